"""What a column of a dynamic factor model is made of: each factor's part, and its own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from .._containers import FloatArray
from ..core.gaussian import smooth
from ..core.gaussian._pack import takes_inputs
from ._decomposition import Decomposition
from ._factor_model import FactorParams, layout_of, widths
from .joint import JointUnit, ready

OWN = "idiosyncratic"


def part_rows(p: FactorParams, autoregressive: bool, column: int, names: tuple[Any, ...]) -> dict[Any, FloatArray]:
    """Rows (n_states,) that pick the part of each factor, and the idiosyncratic one, out of the states.

    Parameters
    ----------
    p : FactorParams
    autoregressive : bool
    column : int
    names : tuple
        Of the factors.
    """
    layout, wide = layout_of(p, autoregressive), int(widths(p.weights)[column])
    rows = {name: np.zeros(layout.size) for name in (*names, OWN)}
    for lag in range(wide):
        for j, name in enumerate(names):
            rows[name][layout.factors(lag).start + j] = p.weights[column, lag] * p.loadings[column, j]
    if column in layout.columns:
        rows[OWN][layout.places[layout.columns.index(column)]] = p.weights[column, :wide]
    return rows


def parts_of(
    rows: dict[Any, FloatArray], mean: FloatArray, cov: FloatArray, known: dict[str, FloatArray]
) -> tuple[dict[Any, FloatArray], dict[Any, FloatArray]]:
    """Means and variances (n,) of every part.

    Parameters
    ----------
    rows : dict
        As `part_rows` returns them.
    mean, cov : ndarray
        Of the states.
    known : dict of ndarray
        Parts without variance.
    """
    means = {name: mean @ row for name, row in rows.items()} | known
    variances = {name: np.maximum(np.einsum("i,tij,j->t", row, cov, row), 0.0) for name, row in rows.items()}
    return means, variances | {name: np.zeros(len(mean)) for name in known}


def known_parts(p: FactorParams, column: int, X: FloatArray | None, n: int) -> dict[str, FloatArray]:
    """The constant, and the effects of covariates.

    Parameters
    ----------
    p : FactorParams
    column : int
    X : ndarray, shape (n, n_features), optional
    n : int
    """
    out = {"constant": np.full(n, p.level[column])}
    return out if X is None or not p.exog.shape[1] else out | {"regression": X @ p.exog[column]}


def decompose_rows(
    unit: JointUnit,
    p: FactorParams,
    autoregressive: bool,
    column: int,
    names: tuple[Any, ...],
    y: FloatArray,
    X: FloatArray | None,
    index: pd.Index,
) -> Decomposition:
    """Smoothed parts of a column in the training rows.

    Parameters
    ----------
    unit : JointUnit
    p : FactorParams
    autoregressive : bool
    column : int
    names : tuple
        Of the factors.
    y, X : ndarray
    index : Index
    """
    done = smooth(ready(unit.ssm, 0), y, X if takes_inputs(unit.ssm) else None)
    noise = np.where(np.isnan(y[:, column]), 0.0, done.smoothed_obs_disturbance[:, column])
    left = noise, done.smoothed_obs_disturbance_cov[:, column, column]
    states = done.smoothed_mean, done.smoothed_cov
    return _decomposition(p, autoregressive, column, names, states, left, X, index, y[:, column])


def decompose_ahead(
    unit: JointUnit,
    p: FactorParams,
    autoregressive: bool,
    column: int,
    names: tuple[Any, ...],
    leads: Any,
    X: FloatArray | None,
    index: pd.Index,
) -> Decomposition:
    """Forecasts of the parts of a column for the rows `leads` steps ahead.

    Parameters
    ----------
    unit : JointUnit
    p : FactorParams
    autoregressive : bool
    column : int
    names : tuple
        Of the factors.
    leads : ndarray
    X : ndarray, shape (n_leads, n_features), optional
    index : Index
    """
    # Covariates act on observations alone, so that the states are those of the model without them.
    bare = smooth(
        ready(unit.ssm._replace(feedthrough=None), 0),
        np.full((int(leads[-1]), len(p.loadings)), np.nan),
        state=unit.state,
    )
    at = leads - 1
    states, left = (
        (bare.smoothed_mean[at], bare.smoothed_cov[at]),
        (np.zeros(len(at)), np.full(len(at), p.idio_var[column])),
    )
    return _decomposition(p, autoregressive, column, names, states, left, X, index, None)


def _decomposition(
    p: FactorParams,
    autoregressive: bool,
    column: int,
    names: tuple[Any, ...],
    states: tuple[FloatArray, FloatArray],
    noise: tuple[FloatArray, FloatArray],
    X: FloatArray | None,
    index: pd.Index,
    observed: FloatArray | None,
) -> Decomposition:
    """The parts of a column by means and covariances of the states; its own are the noise if no state has it."""
    rows = part_rows(p, autoregressive, column, names)
    means, variances = parts_of(rows, *states, known_parts(p, column, X, len(index)))
    if not rows[OWN].any():
        means[OWN], variances[OWN] = noise
    return Decomposition(index, pd.DataFrame(means, index), pd.DataFrame(variances, index), observed)
