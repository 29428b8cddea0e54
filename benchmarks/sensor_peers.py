"""Detectors of other packages for `skab.py` and `asd.py`: how strange rows of many sensors are, training rows and the rows after them."""

import importlib.util
import warnings

import numpy as np


def packages():
    """Those installed."""
    return [name for name in ("pyod",) if importlib.util.find_spec(name)]


def _fitted(name, train):
    """A detector of PyOD with its defaults and a seed, fitted to z-scored rows."""
    from pyod.models.copod import COPOD
    from pyod.models.ecod import ECOD
    from pyod.models.iforest import IForest
    from pyod.models.pca import PCA

    seeded = {"PCA": PCA, "IForest": IForest}
    made = seeded[name](random_state=0) if name in seeded else {"ECOD": ECOD, "COPOD": COPOD}[name]()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return made.fit(train)


def pyod(name):
    """A function from training and later rows to the strangeness of both, one after the other."""

    def strangeness(train, test):
        mean, sd = train.mean(axis=0), train.std(axis=0)
        moving = sd > 0  # PCA divides by the variance of others
        scaled = [((rows - mean)[:, moving]) / sd[moving] for rows in (train, test)]
        model = _fitted(name, scaled[0])
        return np.concatenate([model.decision_function(rows) for rows in scaled])

    return strangeness


def by_dimension(name, train, test):
    """Strangeness of training and of test rows by a detector that adds it up over sensors, and each sensor's part in test rows."""
    mean, sd = train.mean(axis=0), train.std(axis=0)
    sd = np.where(sd > 0, sd, 1.0)
    model = _fitted(name, (train - mean) / sd)
    before = model.decision_function((train - mean) / sd)
    after = model.decision_function((test - mean) / sd)
    return before, after, model.O[-len(test) :]
