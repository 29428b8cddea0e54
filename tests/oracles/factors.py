"""Months and quarters that factors move: made-up rows, and statsmodels' model of the same parameters."""

import numpy as np
import pandas as pd
from statsmodels.tsa.statespace.dynamic_factor_mq import DynamicFactorMQ

from ssmts.forecasting._factor_model import FactorParams

QUARTER = np.array([1, 2, 3, 2, 1]) / 3


def random_case(rng, n=30, outputs=4, k=2, order=1, autoregressive=True, summed=1, features=0, holes=0.15):
    """Parameters, and rows with holes."""
    weights = np.zeros((outputs, 5))
    weights[:, 0] = 1
    weights[outputs - summed :] = QUARTER
    ar = np.array([0.25 / (j + 1) * np.eye(k) + 0.05 * rng.normal(size=(k, k)) for j in range(order)]).reshape(-1, k, k)
    p = FactorParams(
        loadings=rng.normal(size=(outputs, k)),
        ar=ar,
        cov=np.eye(k) + 0.2,
        idio_ar=rng.uniform(-0.5, 0.9, outputs) * autoregressive,
        idio_var=rng.uniform(0.2, 1, outputs),
        mean=rng.normal(size=outputs),
        exog=rng.normal(size=(outputs, features)),
        weights=weights,
    )
    y = 2 * rng.normal(size=(n, outputs))
    y[rng.random(y.shape) < holes] = np.nan
    y[np.arange(n) % 3 != 2, outputs - summed :] = np.nan
    return p, y, rng.normal(size=(n, features))


def indicators(n=150, seed=0):
    """Three months' indicators of one cycle, a quarter's growth, holes and a ragged edge."""
    rng = np.random.default_rng(seed)
    cycle = np.convolve(rng.normal(size=n + 40), 0.8 ** np.arange(40))[40 : n + 40]
    months = pd.period_range("2010-01", periods=n, freq="M")
    y = pd.DataFrame({name: load * cycle + rng.normal(size=n) for name, load in zip("abc", (1.0, 0.5, -2.0))}, months)
    y["gdp"] = np.convolve(cycle + 0.5 * rng.normal(size=n), QUARTER)[:n] + 1
    y["b"] += 50
    y.loc[months.month % 3 != 0, "gdp"] = np.nan
    y = y.mask(rng.random(y.shape) < 0.05)
    y.iloc[-2:, 0] = np.nan
    y.iloc[-1, 2] = np.nan
    return y, pd.Series(cycle, months)


def mixed(p, y, autoregressive=True):
    """statsmodels' model of months and a quarter with these parameters; it adds up with weights 1, 2, 3, 2, 1."""
    quarter = np.where(p.weights[:, 1] > 0, 3.0, 1.0)
    k = p.loadings.shape[1]
    model = DynamicFactorMQ(
        y - p.level,
        k_endog_monthly=int((quarter == 1).sum()),
        factors=k,
        factor_orders={tuple(map(str, range(k))): len(p.ar)},
        idiosyncratic_ar1=autoregressive,
        standardize=False,
    )
    root = np.linalg.cholesky(p.cov)
    parts = [
        (p.loadings / quarter[:, None]).ravel(),
        np.concatenate(list(p.ar), axis=1).ravel(),
        root[np.tril_indices(k)],
    ]
    parts += [p.idio_ar] if autoregressive else []
    return model, np.concatenate([*parts, p.idio_var / quarter**2])
