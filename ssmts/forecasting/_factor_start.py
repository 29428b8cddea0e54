"""Where EM for a dynamic factor model starts from, and the form in which its end is told."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.linalg import block_diag

from .._containers import FloatArray
from ._factor_em import FLOOR, Freedom
from ._factor_model import FactorParams
from ._var import CALM, companion, interpolated

_LEAST = 0.05  # idiosyncratic variance of a start


def principal_start(y: FloatArray, X: FloatArray, weights: FloatArray, freedom: Freedom, order: int) -> FactorParams:
    """Principal components of rows with their holes filled, and regressions on them.

    Factors that all columns have come first; those of a group are components of what is left of its columns.

    Parameters
    ----------
    y : ndarray, shape (n_times, n_outputs)
        In units of their standard deviation.
    X : ndarray, shape (n_times, n_features)
    weights : ndarray, shape (n_outputs, n_weights)
    freedom : Freedom
    order : int

    References
    ----------
    Doz, Giannone and Reichlin (2012), Review of Economics and Statistics 94, 1014-1024.
    """
    n, outputs = y.shape
    filled = interpolated(y) / weights.sum(axis=1)
    k = freedom.regressors.shape[1] - 1 - X.shape[1]
    pattern, known = freedom.regressors[:, :k], np.hstack([np.ones((n, 1)), X])
    free = freedom.regressors[:, k:]
    coef = np.zeros((outputs, known.shape[1]))
    for i in range(outputs):
        coef[i, free[i]] = np.linalg.lstsq(known[:, free[i]], filled[:, i], rcond=1e-10)[0]
    rest = filled - known @ coef.T
    factors, loadings = np.zeros((n, k)), np.zeros((outputs, k))
    for block in freedom.blocks:
        columns = np.flatnonzero(pattern[:, block.start])
        left, roots, right = np.linalg.svd(rest[:, columns], full_matrices=False)
        size = block.stop - block.start
        factors[:, block] = left[:, :size] * np.sqrt(n)
        loadings[columns, block] = right[:size].T * roots[:size] / np.sqrt(n)
        rest[:, columns] -= factors[:, block] @ loadings[columns, block].T
    A, cov = np.zeros((order, k, k)), np.eye(k)
    for block in freedom.blocks:
        A[:, block, block], cov[block, block] = _autoregression(factors[:, block], order)
    now, past = rest[1:], rest[:-1]
    psi = np.sum(now * past, axis=0) / np.maximum(np.sum(rest**2, axis=0), 1e-300)
    psi = np.clip(psi, -0.9, 0.9) if freedom.autoregressive else np.zeros(outputs)
    var = np.maximum(np.mean(rest**2, axis=0) * (1 - psi**2), _LEAST)
    return FactorParams(loadings, A, cov, psi, var, coef[:, 0], coef[:, 1:], weights)


def _autoregression(f: FloatArray, order: int) -> tuple[FloatArray, FloatArray]:
    """Least squares, drawn into the region of stationarity."""
    n, size = f.shape
    if not order:
        return np.zeros((0, size, size)), np.eye(size)
    past = np.hstack([f[order - i : n - i] for i in range(1, order + 1)])
    slopes = np.linalg.lstsq(past, f[order:], rcond=1e-10)[0].T
    A: FloatArray = np.asarray(slopes.reshape(size, order, size).swapaxes(0, 1), dtype=float)
    root = float(np.abs(np.linalg.eigvals(companion(A))).max())
    A = A * (min(1.0, CALM / root) if root > 0 else 1.0) ** np.arange(1, order + 1)[:, None, None]
    rest = f[order:] - past @ np.concatenate(list(A), axis=1).T
    return A, rest.T @ rest / len(rest) + _LEAST * np.eye(size)


def normalised(p: FactorParams, blocks: tuple[slice, ...]) -> FactorParams:
    """The same model with factors whose noises are uncorrelated with variance one.

    What is left is a rotation within each block: the one with orthogonal loadings, the strongest factor first, and loadings
    that add up to more than zero.

    Parameters
    ----------
    p : FactorParams
        Of columns in units of their standard deviation.
    blocks : tuple of slice
    """
    turns = []
    for block in blocks:
        L = np.linalg.cholesky(p.cov[block, block])
        loadings = p.loadings[:, block] @ L
        turn = np.linalg.eigh(loadings.T @ loadings)[1][:, ::-1]
        sums = (loadings @ turn).sum(axis=0)
        turns.append(L @ (turn * np.where(sums < 0, -1.0, 1.0)))
    return turned(p, block_diag(*turns))


def turned(p: FactorParams, turn: FloatArray) -> FactorParams:
    """The same model with factors f of which the present ones are ``turn @ f``.

    Parameters
    ----------
    p : FactorParams
    turn : ndarray, shape (n_factors, n_factors)
    """
    back = np.linalg.inv(turn)
    cov = back @ p.cov @ back.T
    return p._replace(loadings=p.loadings @ turn, ar=back @ p.ar @ turn, cov=(cov + cov.T) / 2)


def on_floor(p: FactorParams) -> Any:
    """Which columns have the least idiosyncratic variance there may be.

    Parameters
    ----------
    p : FactorParams
        Of columns in units of their standard deviation.
    """
    return p.idio_var <= FLOOR
