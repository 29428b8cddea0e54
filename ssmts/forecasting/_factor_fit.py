"""The fit of a dynamic factor model to one series of several columns."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .._containers import FloatArray
from ..exceptions import TooShortError
from ._covariates import decorrelate
from ._factor_em import Freedom, climb
from ._factor_ml import Highest, highest
from ._factor_model import FactorParams
from ._factor_rows import Plan, expected, plan_of
from ._factor_spec import Factors
from ._factor_start import normalised, principal_start


class Settings(NamedTuple):
    """Arguments of the forecaster, checked."""

    factors: Factors
    order: int
    autoregressive: bool
    constant: bool
    method: str
    max_iter: int
    tol: float


class Fitted(NamedTuple):
    """What a fit has found, in the units of the series."""

    params: FactorParams
    loglik: float
    logliks: FloatArray
    converged: bool
    stderr: dict[str, FloatArray]  # by field of the parameters


def fit_factors(y: FloatArray, X: FloatArray | None, weights: FloatArray, settings: Settings) -> Fitted:
    """Estimate on columns in units of their standard deviation, and go back.

    Parameters
    ----------
    y : ndarray, shape (n_times, n_outputs)
    X : ndarray, shape (n_times, n_features), optional
    weights : ndarray, shape (n_outputs, n_weights)
    settings : Settings
    """
    room = _room(y, settings)
    shift = np.nanmean(y, axis=0) if settings.constant else np.zeros(y.shape[1])
    size = np.sqrt(np.nanmean((y - shift) ** 2, axis=0))
    size = np.where(size > 1e-10 * np.nanmax(np.abs(y), axis=0), size, 1.0)
    rows = ~np.isnan(y).all(axis=1)
    covariates = None if X is None else decorrelate(X[rows], settings.constant, room)
    n, d = len(y), 0 if covariates is None else covariates.rotation.shape[1]
    Z = np.zeros((n, d)) if X is None or covariates is None else (X - covariates.center) @ covariates.rotation
    k = len(settings.factors.names)
    free = np.ones((y.shape[1], k + 1 + d), dtype=bool)
    free[:, :k], free[:, k] = settings.factors.pattern, settings.constant
    freedom = Freedom(free, settings.factors.blocks, settings.autoregressive)
    scaled = (y - shift) / size
    plan = plan_of(scaled, Z, weights, k, settings.order, settings.autoregressive)
    start = principal_start(scaled, Z, weights, freedom, settings.order)
    done = climb(plan, start, freedom, settings.max_iter, settings.tol)
    p, height, converged, errors = normalised(done.params, freedom.blocks), done.moments.loglik, done.converged, {}
    center = np.zeros(0 if X is None else X.shape[1]) if covariates is None else covariates.center
    rotation = np.zeros((len(center), 0)) if covariates is None else covariates.rotation
    if settings.method == "ml":
        best = highest(scaled, Z, p, freedom)
        p, height, converged = best.params, best.loglik, best.converged
        errors = _errors_in_units(best, size, center, rotation, settings.constant)
    units = float(np.log(size) @ (~np.isnan(y)).sum(axis=0))
    p = p.scaled(size, shift / weights.sum(axis=1))
    exog = p.exog @ rotation.T
    p = p._replace(exog=exog, mean=p.mean - exog @ center)
    return Fitted(p, height - units, done.logliks - units, converged, errors)


def _errors_in_units(
    best: Highest, size: FloatArray, center: FloatArray, rotation: FloatArray, constant: bool
) -> dict[str, FloatArray]:
    """Standard errors of parameters in the units of the series, by the delta method."""
    outputs = len(size)
    errors = best.stderr | {
        "loadings": best.stderr["loadings"] * size[:, None],
        "idio_var": best.stderr["idio_var"] * size**2,
        "mean": np.full(outputs, np.nan),
        "exog": np.full((outputs, len(center)), np.nan),
    }
    if best.coef_cov.size:
        J = np.hstack([np.zeros((1 + len(center), int(constant))), np.vstack([-(center @ rotation), rotation])])
        J[0, : int(constant)] = 1.0
        both = size[:, None] * np.sqrt(np.maximum(np.einsum("ab,ibc,ac->ia", J, best.coef_cov, J), 0.0))
        errors |= {"mean": both[:, 0] if constant else errors["mean"], "exog": both[:, 1:]}
    return errors


def _room(y: FloatArray, settings: Settings) -> int:
    """How many covariates the rows can bear."""
    seen = (~np.isnan(y)).sum(axis=0)
    each = settings.factors.pattern.sum(axis=1) + int(settings.constant) + int(settings.autoregressive) + 1
    short = int(np.argmin(seen - each))
    least = int(each[short]) + 1
    rows = int((~np.isnan(y)).any(axis=1).sum())
    if seen[short] < least or rows < settings.order + 2:
        n = min(int(seen[short]), rows)
        raise TooShortError(
            f"A column with {int(settings.factors.pattern[short].sum())} factor(s) of order {settings.order} needs "
            f"{max(least, settings.order + 2)} observed rows or more; column {short} has {n} sample{'' if n == 1 else 's'}."
        )
    return max(1, int((seen - each).min()) - 1)


def plan_in_units(y: FloatArray, X: FloatArray | None, p: FactorParams, autoregressive: bool) -> Plan:
    """The plan of rows in their own units.

    Parameters
    ----------
    y : ndarray, shape (n_times, n_outputs)
    X : ndarray, shape (n_times, n_features), optional
    p : FactorParams
    autoregressive : bool
    """
    Z = np.zeros((len(y), 0)) if X is None else X
    return plan_of(y, Z, p.weights, p.loadings.shape[1], len(p.ar), autoregressive)


def smoothed_factors(
    y: FloatArray, X: FloatArray | None, p: FactorParams, autoregressive: bool
) -> tuple[FloatArray, FloatArray]:
    """Means (n_times, n_factors) and covariances of the factors given all rows.

    Parameters
    ----------
    y : ndarray, shape (n_times, n_outputs)
    X : ndarray, shape (n_times, n_features), optional
    p : FactorParams
    autoregressive : bool
    """
    plan = plan_in_units(y, X, p, autoregressive)
    found, now = expected(plan, p), plan.layout.factors(0)
    return found.mean[:, now], found.cov[:, now, now]
