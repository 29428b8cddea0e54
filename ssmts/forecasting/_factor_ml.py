"""Maximum likelihood of dynamic factor models by the exact score, from where EM has ended, with standard errors."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy.linalg import block_diag

from .._containers import FloatArray
from ..components.transforms import Interval, Variance
from ..core.types import LinearGaussianSSM
from ..estimation import Estimate, Parameter, maximum_likelihood
from ._factor_em import Freedom
from ._factor_model import LIMIT, FactorParams, model_of
from ._factor_start import normalised, turned

INSIDE = LIMIT - 1e-6  # a start of an autoregression


class Highest(NamedTuple):
    """What the search has found, with the standard errors of `FactorParams` by field, on columns of unit variance."""

    params: FactorParams
    stderr: dict[str, FloatArray]
    coef_cov: FloatArray  # (n_outputs, k, k) of the coefficients of one and covariates, as far as they are estimated
    loglik: float
    converged: bool


def highest(y: FloatArray, X: FloatArray, start: FactorParams, freedom: Freedom) -> Highest:
    """Search for the maximum from a start whose factors have noises of variance one.

    Parameters
    ----------
    y : ndarray, shape (n_times, n_outputs)
    X : ndarray, shape (n_times, n_features)
    start : FactorParams
    freedom : Freedom
    """
    outputs, k = start.loadings.shape
    turn, free = _triangular(start, freedom)
    begin = turned(start, turn)
    coef = np.hstack([begin.mean[:, None], begin.exog])[:, freedom.regressors[0, k:]]
    parameters = {
        "loadings": Parameter(begin.loadings[free]),
        "idio_var": Parameter(begin.idio_var, Variance()),
    }
    for b, block in enumerate(freedom.blocks):
        if len(begin.ar):
            parameters[f"ar_{b}"] = Parameter(begin.ar[:, block, block])
    if freedom.autoregressive:
        parameters["idio_ar"] = Parameter(np.clip(begin.idio_ar, -INSIDE, INSIDE), Interval(-1.0, 1.0))
    if coef.size:
        parameters["coef"] = Parameter(coef)

    def read(values: dict[str, Any]) -> FactorParams:
        loadings = np.zeros((outputs, k), dtype=np.result_type(values["loadings"]))
        loadings[free] = values["loadings"]
        blocks = [np.asarray(values.get(f"ar_{b}", begin.ar[:, s, s])) for b, s in enumerate(freedom.blocks)]
        ar = np.array([block_diag(*(A[j] for A in blocks)) for j in range(len(begin.ar))]).reshape(-1, k, k)
        both = np.zeros((outputs, 1 + X.shape[1]), dtype=np.result_type(values.get("coef", 0.0), 0.0))
        if coef.size:
            both[:, freedom.regressors[0, k:]] = values["coef"]
        return begin._replace(
            loadings=loadings,
            ar=ar,
            cov=np.eye(k),
            idio_ar=np.asarray(values.get("idio_ar", begin.idio_ar)),
            idio_var=np.asarray(values["idio_var"]),
            mean=both[:, 0],
            exog=both[:, 1:],
        )

    def build(values: dict[str, Any]) -> LinearGaussianSSM:
        return model_of(read(values), freedom.autoregressive)

    found = maximum_likelihood(build, y, parameters, X if X.shape[1] else None)
    p = normalised(read(found.params), freedom.blocks)
    errors = _errors(found, p, free, freedom)
    return Highest(p, errors, _coef_cov(found, coef.shape), found.loglik, found.converged)


def _triangular(p: FactorParams, freedom: Freedom) -> tuple[FloatArray, Any]:
    """A rotation within each block after which the first of its columns have no loadings on later factors, and what is free."""
    free, turns = freedom.regressors[:, : p.loadings.shape[1]].copy(), []
    for block in freedom.blocks:
        size = block.stop - block.start
        columns = np.flatnonzero(free[:, block.start])[:size]
        turns.append(np.linalg.qr(p.loadings[columns, block].T)[0] if size > 1 else np.eye(1))
        for i, column in enumerate(columns):
            free[column, block.start + i + 1 : block.stop] = False
    return block_diag(*turns), free


def _errors(found: Estimate, p: FactorParams, free: Any, freedom: Freedom) -> dict[str, FloatArray]:
    """Standard errors; none of loadings and dynamics of factors that have been rotated."""
    loadings, ar = np.full(p.loadings.shape, np.nan), np.full(p.ar.shape, np.nan)
    loadings[free] = found.stderr["loadings"]
    for b, block in enumerate(freedom.blocks):
        if block.stop - block.start > 1:
            loadings[:, block] = np.nan
        elif len(p.ar):
            ar[:, block, block] = found.stderr[f"ar_{b}"]
    nothing = np.full(len(p.loadings), np.nan)
    return {
        "loadings": loadings,
        "ar": ar,
        "idio_ar": found.stderr.get("idio_ar", nothing),
        "idio_var": found.stderr["idio_var"],
    }


def _coef_cov(found: Estimate, shape: tuple[int, ...]) -> FloatArray:
    """The covariances of the coefficients of each column."""
    places = [i for i, label in enumerate(found.labels) if label.startswith("coef[")]
    rows = np.array(places, dtype=np.int64).reshape(shape)
    return np.array([found.cov[np.ix_(row, row)] for row in rows])
