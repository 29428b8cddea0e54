"""The quasi-differenced form of a dynamic factor model: what is expected of the factors given the rows.

A column without a memory beyond its last value needs no state: its value less ``idio_ar**g`` times the one observed g rows
before is a sum of factors of both rows and a noise of its own. Only columns that add up several rows, or miss so many in
succession that the factors of both ends would cost more, keep states.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .._containers import FloatArray
from ..core.gaussian import pack
from ..core.gaussian._smooth import smooth_pass
from ..core.types import LinearGaussianSSM, TimeVarying
from ._factor_model import FactorParams, Layout, lay_out, transitions, widths


class Plan(NamedTuple):
    """What the pattern of missing values asks for, once for all parameters."""

    y: FloatArray  # (n_times, n_outputs)
    X: FloatArray  # (n_times, n_features)
    weights: FloatArray
    gap: np.ndarray[Any, np.dtype[np.int64]]  # (n_times, n_outputs) rows since the last value; 0 where there was none
    used: np.ndarray[Any, np.dtype[np.bool_]]  # (n_times, n_outputs) values of columns without states
    layout: Layout
    before: int  # rows before the first whose factors matter


def plan_of(
    y: FloatArray, X: FloatArray, weights: FloatArray, n_factors: int, order: int, autoregressive: bool
) -> Plan:
    """Choose for each column between differences and states, so that there are few states.

    Parameters
    ----------
    y : ndarray, shape (n_times, n_outputs)
    X : ndarray, shape (n_times, n_features)
    weights : ndarray, shape (n_outputs, n_weights)
    n_factors, order : int
    autoregressive : bool
    """
    seen, wide = ~np.isnan(y), widths(weights)
    gap = _gaps(seen) if autoregressive else np.zeros(y.shape, dtype=np.int64)
    summed = wide > 1
    most = np.where(summed, 0, gap.max(axis=0))
    before = int(max(order, wide.max() - 1))

    def size(longest: int) -> int:
        long = most > longest
        back = max(before, 1) if long.any() else before
        return int(n_factors * (max(back, longest) + 1) + 2 * long.sum())

    longest = min((int(g) for g in np.unique(most)), key=size)
    own = {int(i): int(max(wide[i], 2)) for i in np.flatnonzero(summed | (most > longest))}
    before = max(before, 1) if own else before
    stated = np.isin(np.arange(y.shape[1]), list(own))
    layout = lay_out(n_factors, max(before, longest) + 1, own)
    return Plan(y, X, weights, np.where(stated, 0, gap), seen & ~stated, layout, before)


def _gaps(seen: np.ndarray[Any, np.dtype[np.bool_]]) -> np.ndarray[Any, np.dtype[np.int64]]:
    rows = np.arange(len(seen))[:, None]
    last = np.maximum.accumulate(np.where(seen, rows, -1), axis=0)
    before = np.concatenate([np.full((1, seen.shape[1]), -1), last[:-1]])
    return np.where(seen & (before >= 0), rows - before, 0)


def spread(psi: FloatArray, gap: Any) -> FloatArray:
    """Variance that an autoregression gathers over a gap, over that of its noise; of all its past for a gap of 0."""
    whole = 1.0 - psi**2
    return np.asarray(np.where(np.asarray(gap) > 0, 1.0 - psi ** (2 * np.asarray(gap)), 1.0) / whole)


class Moments(NamedTuple):
    """Smoothed states of the quasi-differenced form."""

    loglik: float
    mean: FloatArray  # (n_times, n_states)
    cov: FloatArray  # (n_times, n_states, n_states)


def differenced(plan: Plan, p: FactorParams) -> tuple[LinearGaussianSSM, FloatArray]:
    """The model and its rows, each over the root of `spread`.

    Parameters
    ----------
    plan : Plan
    p : FactorParams
    """
    layout, gap, n = plan.layout, plan.gap, len(plan.y)
    e = plan.y - p.level - plan.X @ p.exog.T
    carried = np.where(gap > 0, p.idio_ar**gap, 0.0)
    root = np.sqrt(spread(np.where(plan.used.any(axis=0), p.idio_ar, 0.0), gap))
    rows, columns = np.nonzero(gap)
    past = np.zeros_like(e)
    past[rows, columns] = e[rows - gap[rows, columns], columns]
    H = np.zeros((n if gap.any() else 1, len(p.loadings), layout.size))
    H[:, :, layout.factors(0)] = p.loadings / (root[..., None] if gap.any() else root[:1, :, None])
    for g in np.unique(gap[gap > 0]):
        rows, columns = np.nonzero(gap == g)
        H[rows, columns, layout.factors(int(g))] = -(carried / root)[rows, columns, None] * p.loadings[columns]
    for i, place in zip(layout.columns, layout.places):
        width = min(place.stop - place.start, p.weights.shape[1])
        H[:, i, : layout.n_factors * layout.lags] = 0.0
        for lag in range(width):
            H[:, i, layout.factors(lag)] = p.weights[i, lag] * p.loadings[i]
        H[:, i, place.start : place.start + width] = p.weights[i, :width]
    noise = np.where(np.isin(np.arange(len(p.loadings)), layout.columns), 0.0, p.idio_var)
    observation: Any = TimeVarying(H) if len(H) > 1 else H[0]
    ssm = transitions(p, layout)._replace(observation=observation, obs_cov=np.diag(noise))
    return ssm, np.where(plan.gap > 0, e - carried * past, e) / root


def expected(plan: Plan, p: FactorParams) -> Moments:
    """Log-likelihood of the rows, and their smoothed factors.

    Parameters
    ----------
    plan : Plan
    p : FactorParams
    """
    ssm, rows = differenced(plan, p)
    done = smooth_pass(pack(ssm, len(rows)), np.ascontiguousarray(rows), None, None)
    scale = np.log(spread(p.idio_ar, plan.gap))
    return Moments(float(done.forward.loglik) - 0.5 * float(scale[plan.used].sum()), done.mean, done.cov)


class Sums(NamedTuple):
    """Sums of second moments of (factors, 1, covariates, column) over the rows of each column, by the gap before them.

    ``now[g]`` of the rows themselves, ``cross[g]`` with those g rows before, ``past[g]`` of the latter; of a gap of 0 the
    two last are zero.
    """

    gaps: tuple[int, ...]
    rows: FloatArray  # (n_gaps, n_outputs) how many
    now: FloatArray  # (n_gaps, n_outputs, size, size)
    cross: FloatArray
    past: FloatArray


def column_sums(plan: Plan, p: FactorParams, m: Moments) -> Sums:
    """What the regressions of all columns need.

    Parameters
    ----------
    plan : Plan
    p : FactorParams
        With which the moments were made.
    m : Moments
    """
    gaps = sorted({0, *(int(g) for g in np.unique(plan.gap[plan.used])), *([1] if plan.layout.columns else [])})
    n, outputs = plan.y.shape
    size = plan.layout.n_factors + plan.X.shape[1] + 2
    count, (now, cross, past) = np.zeros((len(gaps), outputs)), np.zeros((3, len(gaps), outputs, size, size))
    y = np.where(plan.used, plan.y, 0.0)
    for j, g in enumerate(gaps):
        mask = (plan.used & (plan.gap == g)).astype(float)
        count[j] = mask.sum(axis=0)
        here, lagged = _regressors(plan, m, 0, 0), _regressors(plan, m, g, g)
        before = np.zeros_like(y)
        before[g:] = y[: n - g]
        now[j] = _moments_with(mask, here, _second(plan, m, here, here, 0, 0), here, y, y)
        if g:
            both = _second(plan, m, here, lagged, 0, g)
            cross[j] = _moments_with(mask, here, both, lagged, y, before)
            past[j] = _moments_with(mask, lagged, _second(plan, m, lagged, lagged, g, g), lagged, before, before)
    for i, place in zip(plan.layout.columns, plan.layout.places):
        _add_stated(plan, p, m, i, place, (count, now, cross, past), gaps.index(1))
    return Sums(tuple(gaps), count, now, cross, past)


def _regressors(plan: Plan, m: Moments, lag: int, shift: int) -> FloatArray:
    """Means (n, size - 1) of factors of `lag` rows ago, one, and the covariates of `shift` rows ago."""
    n = len(plan.y)
    X = np.zeros_like(plan.X)
    X[shift:] = plan.X[: n - shift]
    return np.hstack([m.mean[:, plan.layout.factors(lag)], np.ones((n, 1)), X])


def _second(plan: Plan, m: Moments, a: FloatArray, b: FloatArray, lag_a: int, lag_b: int) -> FloatArray:
    k = plan.layout.n_factors
    out = a[:, :, None] * b[:, None, :]
    out[:, :k, :k] += m.cov[:, plan.layout.factors(lag_a), plan.layout.factors(lag_b)]
    return np.asarray(out)


def _moments_with(
    mask: FloatArray, a: FloatArray, ab: FloatArray, b: FloatArray, ya: FloatArray, yb: FloatArray
) -> FloatArray:
    """Sums over the rows of each column of (a, ya)(b, yb)'."""
    n, size = a.shape
    out = np.empty((mask.shape[1], size + 1, size + 1))
    out[:, :size, :size] = (mask.T @ ab.reshape(n, -1)).reshape(-1, size, size)
    out[:, :size, size] = (mask * yb).T @ a
    out[:, size, :size] = (mask * ya).T @ b
    out[:, size, size] = np.sum(mask * ya * yb, axis=0)
    return out


def _add_stated(
    plan: Plan, p: FactorParams, m: Moments, i: int, place: slice, sums: tuple[FloatArray, ...], one: int
) -> None:
    """A column with states: its values row by row, seen or not, are what is expected, from before the first row on."""
    count, now, cross, past = sums
    k, lags = plan.layout.n_factors, place.stop - place.start
    d = plan.X.shape[1]
    lift = np.zeros((k + d + 2, k + d + 2))  # from (factors, idiosyncratic part, 1, X) to (factors, 1, X, column)
    lift[:k, :k] = np.eye(k)
    lift[k : k + d + 1, k + 1 :] = np.eye(d + 1)
    lift[-1] = np.concatenate([p.loadings[i], [1.0, p.mean[i]], p.exog[i]])

    def states(lag: int) -> np.ndarray[Any, np.dtype[np.intp]]:
        f = plan.layout.factors(lag)
        return np.append(np.arange(f.start, f.stop), place.start + lag)

    def means(rows: Any, lag: int) -> FloatArray:
        known = np.ones((len(m.mean[rows]), 1 + d))
        shifted = np.arange(len(plan.y))[rows] - lag
        known[:, 1:] = np.where((shifted >= 0)[:, None], plan.X[np.maximum(shifted, 0)], 0.0)
        return np.hstack([m.mean[rows][:, states(lag)], known])

    def total(rows: Any, a: int, b: int) -> FloatArray:
        out = means(rows, a).T @ means(rows, b)
        out[: k + 1, : k + 1] += m.cov[rows][:, states(a)[:, None], states(b)].sum(axis=0)
        return np.asarray(lift @ out @ lift.T)

    every, first = slice(None), slice(0, 1)
    count[0, i] += 1
    now[0, i] += total(first, lags - 1, lags - 1)
    for rows, a, b in [(every, 0, 1), *((first, lag, lag + 1) for lag in range(1, lags - 1))]:
        count[one, i] += len(m.mean[rows])
        now[one, i] += total(rows, a, a)
        cross[one, i] += total(rows, a, b)
        past[one, i] += total(rows, b, b)
