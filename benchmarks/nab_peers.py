"""Detectors of other packages for `nab.py`: scores of training rows and of the rows after them, higher is more normal."""

import importlib.util

import numpy as np

WINDOW = 10  # rows in a window of detectors that know no time


def packages():
    """Those installed."""
    return [name for name in ("river", "pyod") if importlib.util.find_spec(name)]


def half_space_trees(train, test):
    from river.anomaly import HalfSpaceTrees
    from river.preprocessing import MinMaxScaler

    return _stream(MinMaxScaler() | HalfSpaceTrees(seed=0), train, test)


def _stream(model, train, test):
    scores = []
    for value in np.concatenate([train, test]):
        x = {"y": float(value)}
        scores.append(-model.score_one(x))
        model.learn_one(x)
    return np.array(scores)


def gaussian_scorer(train, test):
    from river.anomaly import GaussianScorer

    model, scores = GaussianScorer(), []
    for value in np.concatenate([train, test]):
        scores.append(-model.score_one(None, float(value)))
        model.learn_one(None, float(value))
    return np.array(scores)


def nearest_neighbours(train, test):
    from pyod.models.knn import KNN

    return _windows(KNN(), train, test)


def isolation_forest(train, test):
    from pyod.models.iforest import IForest

    return _windows(IForest(random_state=0), train, test)


def _windows(model, train, test):
    """Windows in standard deviations of the training rows; rows before the first full one are perfectly normal."""
    values = np.concatenate([train, test])
    spread = np.std(train) or 1.0
    windows = np.lib.stride_tricks.sliding_window_view((values - np.mean(train)) / spread, WINDOW)
    model.fit(windows[: len(train) - WINDOW + 1])
    scores = -model.decision_function(windows)
    return np.append(np.full(WINDOW - 1, scores.max()), scores)


_RIVER, _PYOD = ("river" in packages(), "pyod" in packages())
DETECTORS = {
    "River HalfSpaceTrees": half_space_trees if _RIVER else None,
    "River GaussianScorer": gaussian_scorer if _RIVER else None,
    "PyOD KNN": nearest_neighbours if _PYOD else None,
    "PyOD IForest": isolation_forest if _PYOD else None,
}
