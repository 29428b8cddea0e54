"""One reading a call, as other packages do it; a package that is not installed leaves its cell empty."""

import importlib.util


def installed(module):
    return importlib.util.find_spec(module) is not None


def gaussian_scorer(y):
    """River's, over the last 500 readings: a score, then the reading is learnt."""
    from river.anomaly import GaussianScorer

    model = GaussianScorer(window_size=500)

    def take(value):
        score = model.score_one(None, value)
        model.learn_one(None, value)
        return score

    return _warmed(take, y)


def half_space_trees(y):
    """River's, ten trees of height 8 as by default, on readings brought to [0, 1] as they must be."""
    from river.anomaly import HalfSpaceTrees

    model = HalfSpaceTrees(seed=0)
    low, wide = min(y), max(y) - min(y)

    def take(value):
        x = {"y": (value - low) / wide}
        score = model.score_one(x)
        model.learn_one(x)
        return score

    return _warmed(take, y)


def filterpy(y):
    """A local level and the squared innovation in units of its variance."""
    import numpy as np
    from filterpy.kalman import KalmanFilter

    model = KalmanFilter(dim_x=1, dim_z=1)
    model.x[:], model.P[:] = y[0], 1e6
    model.F[:], model.H[:], model.Q[:], model.R[:] = 1.0, 1.0, 0.04, 1.0

    def take(value):
        model.predict()
        model.update(value)
        return (model.y.T @ np.linalg.inv(model.S) @ model.y).item()

    return _warmed(take, y)


def _warmed(take, y):
    for value in y:
        take(value)
    return take
