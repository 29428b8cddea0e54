"""EM for dynamic factor models: every step raises the log-likelihood, stationary starts and missing values included."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy.linalg import block_diag

from .._containers import FloatArray
from ..core.linalg.lyapunov import solve_lyapunov
from ..exceptions import NumericalError
from ._factor_model import LIMIT, FactorParams
from ._factor_rows import Moments, Plan, Sums, column_sums, expected, spread
from ._var import companion

FLOOR = 1e-6  # of the variance of a column: the least idiosyncratic variance
_GOLDEN = (np.sqrt(5.0) - 1) / 2
_ROUNDS = 50
_FIRST_JUMP = 4.0  # longest leap at first, in steps; it grows as leaps succeed
_FAR = 100.0  # beyond it numbers are no parameters of columns of unit variance
_STEPS, _PROMISE = 30, 1e-15  # of a search for dynamics, and the gain a row below which it ends


class Climb(NamedTuple):
    """How EM went."""

    params: FactorParams
    moments: Moments
    logliks: FloatArray  # of the start and after each step
    converged: bool


class Freedom(NamedTuple):
    """What of a model is estimated."""

    regressors: np.ndarray[Any, np.dtype[np.bool_]]  # (n_outputs, n_factors + 1 + n_features)
    blocks: tuple[slice, ...]  # factors that move together, apart from others
    autoregressive: bool


def climb(plan: Plan, start: FactorParams, freedom: Freedom, max_iter: int, tol: float) -> Climb:
    """EM from a start.

    Parameters
    ----------
    plan : Plan
    start : FactorParams
    freedom : Freedom
    max_iter : int
    tol : float
        Steps end where the log-likelihood gains less, relative to its size.

    References
    ----------
    Varadhan and Roland (2008), Scandinavian Journal of Statistics 35, 335-353, for the leap after every two steps.
    """
    p, m, heights, trail, most = start, expected(plan, start), [], [], _FIRST_JUMP
    heights.append(m.loglik)
    while len(heights) <= max_iter:
        trail.append(p)
        p, jump = step(plan, p, m, freedom), None
        if len(trail) == 2:
            jump = _leap(plan, [*trail, p], heights[-1], most, freedom)
            most, trail = most * 4 if jump else max(most / 4, _FIRST_JUMP), []
        p, m = jump or (p, expected(plan, p))
        heights.append(m.loglik)
        if jump is None and heights[-1] - heights[-2] <= tol * abs(heights[-1]):
            return Climb(p, m, np.array(heights), True)
    return Climb(p, m, np.array(heights), False)


def _leap(
    plan: Plan, trail: list[FactorParams], least: float, most: float, freedom: Freedom
) -> tuple[FactorParams, Moments] | None:
    """Where two steps in succession point to, if the log-likelihood there is not below `least` (Varadhan and Roland 2008)."""
    try:
        first, second, third = (_numbers(p, freedom) for p in trail)
        move, bend = second - first, third - 2 * second + first
        size = float(np.linalg.norm(bend))
        length = min(float(np.linalg.norm(move)) / size, most) if size > 0 else 1.0
        x = first + 2 * length * move + length**2 * bend
        if length <= 1 or not np.abs(x).max() < _FAR:
            return None
        p = _from_numbers(x, trail[-1], freedom)
        m = expected(plan, p)
    except (NumericalError, np.linalg.LinAlgError):
        return None
    return (p, m) if m.loglik >= least else None


def _numbers(p: FactorParams, freedom: Freedom) -> FloatArray:
    """Parameters as numbers without bounds, but for the stationarity of the factors."""
    roots = [np.linalg.cholesky(p.cov[block, block]) for block in freedom.blocks]
    corners = [L[np.tril_indices(len(L), -1)] for L in roots] + [np.log(np.diagonal(L)) for L in roots]
    columns = (p.loadings.ravel(), p.mean, p.exog.ravel(), np.arctanh(p.idio_ar), np.log(p.idio_var))
    return np.concatenate([p.ar.ravel(), *columns, *corners])


def _from_numbers(x: FloatArray, like: FactorParams, freedom: Freedom) -> FactorParams:
    """The opposite of `_numbers`."""
    sizes = [like.ar.size, like.loadings.size, like.mean.size, like.exog.size, like.mean.size, like.mean.size]
    widths = [block.stop - block.start for block in freedom.blocks]
    ends = np.cumsum([*sizes, *(w * (w - 1) // 2 for w in widths), *widths])
    ar, loadings, mean, exog, psi, var, *corners = np.split(x, ends[:-1])
    cov = like.cov.copy()
    for block, below, diagonal in zip(freedom.blocks, corners, corners[len(widths) :]):
        L = np.diag(np.exp(diagonal))
        L[np.tril_indices(len(L), -1)] = below
        cov[block, block] = L @ L.T
    return like._replace(
        ar=ar.reshape(like.ar.shape),
        loadings=loadings.reshape(like.loadings.shape),
        mean=mean,
        exog=exog.reshape(like.exog.shape),
        idio_ar=np.clip(np.tanh(psi), -LIMIT, LIMIT),
        idio_var=np.maximum(np.exp(var), FLOOR),
        cov=cov,
    )


def step(plan: Plan, p: FactorParams, m: Moments, freedom: Freedom) -> FactorParams:
    """Raise the expected log-likelihood: coefficients of columns, then their noises, and the dynamics of the factors.

    Parameters
    ----------
    plan : Plan
    p : FactorParams
    m : Moments
        Of the rows given `p`.
    freedom : Freedom
    """
    sums = column_sums(plan, p, m)
    k = p.loadings.shape[1]
    coef = _coefficients(sums, p.idio_ar, freedom.regressors)
    ar, var = _noises(sums, coef, p.idio_ar, freedom.autoregressive)
    A, cov = p.ar.copy(), p.cov.copy()
    for block in freedom.blocks:
        A[:, block, block], cov[block, block] = _dynamics(plan, m, block, p.ar[:, block, block], p.cov[block, block])
    return p._replace(
        loadings=coef[:, :k], mean=coef[:, k], exog=coef[:, k + 1 :], ar=A, cov=cov, idio_ar=ar, idio_var=var
    )


def _coefficients(sums: Sums, psi: FloatArray, free: np.ndarray[Any, np.dtype[np.bool_]]) -> FloatArray:
    """Generalised least squares of each column on factors, one and covariates."""
    total = np.zeros(sums.now.shape[1:])
    for g, now, cross, past in zip(sums.gaps, sums.now, sums.cross, sums.past):
        f = (psi**g if g else 0.0 * psi)[:, None, None]
        total += (now - f * (cross + cross.swapaxes(1, 2)) + f**2 * past) / spread(psi, g)[:, None, None]
    left = np.where(free[:, :, None] & free[:, None, :], total[:, :-1, :-1], 0.0)
    right = np.where(free, total[:, :-1, -1], 0.0)
    return np.asarray((np.linalg.pinv(left, rcond=1e-12, hermitian=True) @ right[..., None])[..., 0])


def _noises(sums: Sums, coef: FloatArray, psi: FloatArray, autoregressive: bool) -> tuple[FloatArray, FloatArray]:
    """Autoregressions and variances of what the regressions leave, by a search over the former for all columns at once."""
    c = np.hstack([-coef, np.ones((len(coef), 1))])
    now, cross, past = (np.einsum("ia,giab,ib->gi", c, part, c) for part in (sums.now, sums.cross, sums.past))
    n = np.maximum(sums.rows.sum(axis=0), 1.0)

    def variance(psi: FloatArray) -> FloatArray:
        squares = np.zeros(len(psi))
        for j, g in enumerate(sums.gaps):
            f = psi**g if g else 0.0 * psi
            squares += (now[j] - 2 * f * cross[j] + f**2 * past[j]) / spread(psi, g)
        return np.asarray(squares / n)

    def height(psi: FloatArray) -> FloatArray:
        s = variance(psi)
        v = np.maximum(s, FLOOR)
        spreads = sum(sums.rows[j] * np.log(spread(psi, g)) for j, g in enumerate(sums.gaps))
        return np.asarray(-0.5 * (n * (np.log(v) + s / v) + spreads))

    if autoregressive:
        found = _golden(height, np.full(len(psi), -LIMIT), np.full(len(psi), LIMIT))
        psi = np.where(height(found) > height(psi), found, psi)
    return psi, np.maximum(variance(psi), FLOOR)


def _golden(height: Any, low: FloatArray, high: FloatArray) -> FloatArray:
    """Golden-section search for the maxima of many functions."""
    a, b = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
    fa, fb = height(a), height(b)
    for _ in range(_ROUNDS):
        left = fa > fb
        low, high = np.where(left, low, a), np.where(left, b, high)
        new = np.where(left, high - _GOLDEN * (high - low), low + _GOLDEN * (high - low))
        value = height(new)
        a, b, fa, fb = (
            np.where(left, new, b),
            np.where(left, a, new),
            np.where(left, value, fb),
            np.where(left, fa, value),
        )
    return np.asarray((low + high) / 2)


def _dynamics(plan: Plan, m: Moments, block: slice, A: FloatArray, cov: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The autoregression of some factors and the covariance of its noise, start included."""
    order, size, before = len(A), block.stop - block.start, plan.before

    def places(lag: int) -> np.ndarray[Any, np.dtype[np.intp]]:
        of_lag = [plan.layout.factors(lag + j) for j in range(order + 1)]
        return np.concatenate([np.arange(f.start, f.stop)[block] for f in of_lag])

    own = places(0)
    S = m.mean[:, own].T @ m.mean[:, own] + m.cov[:, own[:, None], own].sum(axis=0)
    count = len(m.mean)
    for lag in range(1, before - order + 1):
        own = places(lag)
        S += np.outer(m.mean[0, own], m.mean[0, own]) + m.cov[0, own[:, None], own]
        count += 1
    if not order:
        return A, S / count
    first = places(before - order)[size:]
    start = np.outer(m.mean[0, first], m.mean[0, first]) + m.cov[0, first[:, None], first]
    problem = _Start(S, start, count, size, order)
    return problem.best(A, cov)


def _descend(loss: Any, x: FloatArray, H: FloatArray) -> FloatArray:
    """Quasi-Newton steps down, each shortened until it lands where there is a loss, and a lower one."""
    value, gradient = loss(x)
    for _ in range(_STEPS):
        move = -H @ gradient
        slope = float(gradient @ move)
        if not slope < -_PROMISE:
            break
        length, new = 1.0, loss(x + move)
        while not new[0] <= value + 1e-4 * length * slope and length > 1e-10:
            length /= 4
            new = loss(x + length * move)
        if not new[0] < value:
            break
        s, t = length * move, new[1] - gradient
        x, (value, gradient) = x + s, new
        curved = float(s @ t)
        if curved > 0:
            turn = np.eye(len(x)) - np.outer(s, t) / curved
            H = turn @ H @ turn.T + np.outer(s, s) / curved
    return x


class _Start:
    """The expected log-likelihood of an autoregression from its stationary law, and where it is greatest."""

    def __init__(self, S: FloatArray, start: FloatArray, count: int, size: int, order: int) -> None:
        self.S, self.start, self.count, self.size, self.order = S, start, count, size, order
        self.corner = np.tril_indices(size)

    def best(self, A: FloatArray, cov: FloatArray) -> tuple[FloatArray, FloatArray]:
        """From least squares, or from the present values if these are higher."""
        present = self.numbers(np.concatenate(list(A), axis=1), cov)
        size, S = self.size, self.S
        slopes: FloatArray = np.asarray(
            np.linalg.lstsq(S[size:, size:], S[size:, :size], rcond=1e-13)[0].T, dtype=float
        )
        rest = S[:size, :size] - slopes @ S[size:, :size]
        trial = present
        with np.errstate(all="ignore"):
            least = self.numbers(slopes, (rest + rest.T) / (2 * self.count))
        if np.isfinite(least).all() and self.loss(least)[0] < self.loss(present)[0]:
            trial = least
        slopes, L = self.read(_descend(self.loss, trial, self.curvature(trial)))
        return np.ascontiguousarray(slopes.reshape(size, self.order, size).swapaxes(0, 1)), L @ L.T

    def curvature(self, x: FloatArray) -> FloatArray:
        """About the inverse of the second derivatives: exact for slopes but for the start."""
        L = self.read(x)[1]
        below = self.S[self.size :, self.size :]
        inner = np.linalg.pinv(below, rcond=1e-12, hermitian=True) * (self.count / 2)
        return np.asarray(block_diag(np.kron(L @ L.T, inner), np.diag((np.diagonal(L) ** 2 / 4)[self.corner[0]])))

    def numbers(self, slopes: FloatArray, cov: FloatArray) -> FloatArray:
        """Slopes (size, order * size), and the lower triangle of the root of the covariance."""
        try:
            L = np.linalg.cholesky(cov)
        except np.linalg.LinAlgError:
            return np.full(slopes.size + len(self.corner[0]), np.nan)
        return np.concatenate([slopes.ravel(), L[self.corner]])

    def read(self, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        """The opposite of `numbers`."""
        split = self.size * self.size * self.order
        L = np.zeros((self.size, self.size))
        L[self.corner] = x[split:]
        return x[:split].reshape(self.size, -1), L

    def loss(self, x: FloatArray) -> tuple[float, FloatArray]:
        """Minus the expected log-likelihood a row, and its gradient."""
        size, nothing = self.size, (np.inf, np.zeros(len(x)))
        slopes, L = self.read(x)
        if not np.abs(np.diagonal(L)).min() > 0:
            return nothing
        F = companion(slopes.reshape(size, self.order, size).swapaxes(0, 1))
        V = np.zeros(F.shape)
        V[:size, :size] = L @ L.T
        try:
            if not np.abs(np.linalg.eigvals(F)).max() < 1 - 1e-9:
                return nothing
            P = solve_lyapunov(F, V)
            inverse_V, inverse_P = np.linalg.inv(V[:size, :size]), np.linalg.inv(P)
        except (NumericalError, np.linalg.LinAlgError):
            return nothing
        full = np.hstack([np.eye(size), -slopes])
        rest = full @ self.S @ full.T
        signs = np.linalg.slogdet(P)
        if not signs[0] > 0:
            return nothing
        value = self.count * 2 * np.log(np.abs(np.diagonal(L))).sum() + np.sum(inverse_V * rest)
        value += signs[1] + np.sum(inverse_P * self.start)
        by_P = inverse_P - inverse_P @ self.start @ inverse_P
        X = solve_lyapunov(F.T, (by_P + by_P.T) / 2)
        by_V = self.count * inverse_V - inverse_V @ rest @ inverse_V + X[:size, :size]
        by_slopes = -2 * inverse_V @ full @ self.S[:, size:] + 2 * (X @ F @ P)[:size]
        gradient = np.concatenate([by_slopes.ravel(), (2 * by_V @ L)[self.corner]])
        return float(value) / self.count, gradient / self.count
