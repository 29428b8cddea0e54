"""Climbing: SciPy's searches on scaled numbers, then Newton's steps, with variances of zero found by their slopes."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

from ssmts.core.types import Array
from ssmts.exceptions import InputError

Function = Callable[[Array], tuple[float, Array]]

METHODS = ("lbfgs", "trust")
GAIN = 1e-7  # promised by the curvature, below which a point is called a maximum
_DIFFERENCE = 1e-3  # step of differences of the gradient, in units in which the curvature is about one
_MOST_STEPS = 500
_VANISHING = 1e-3  # of its start: a root of a variance this small is tried at zero


class Problem(NamedTuple):
    """What to climb, and how the numbers may move."""

    function: Function
    limits: Array  # (n, 2)
    variances: npt.NDArray[np.bool_]  # numbers that are roots of variances
    slopes: Callable[[Array], Array]  # derivatives with respect to the variances themselves, others zero


class Summit(NamedTuple):
    """Where a search ended."""

    numbers: Array
    height: float
    curvature: Array  # minus the second derivatives with respect to the numbers that move
    moving: npt.NDArray[np.intp]  # numbers that are neither zero variances nor at a limit
    promised: float  # gain that the curvature promises
    converged: bool


def climb(problem: Problem, start: Array, method: str) -> Summit:
    """Climb from a start to a maximum.

    Parameters
    ----------
    problem : Problem
    start : ndarray, shape (n,)
    method : {"lbfgs", "trust"}
    """
    if method not in METHODS:
        raise InputError(f"method is {method!r}: choose one of {METHODS}")
    x = best = np.clip(start, *problem.limits.T)
    top = -np.inf
    units = np.ones(x.size)
    for _ in range(4 if x.size else 0):
        units = _units(problem, x)
        x = _search(problem, x, units, method)
        x = _newton(problem, x, units)
        zeroed = _at_zero(problem, x, start)
        height = problem.function(zeroed)[0]
        if height >= top:
            best, top = zeroed, height
        opened = _reopened(problem, zeroed, start)
        if np.array_equal(opened, x):
            break
        x = opened
    x = best  # a variance that was let in again may have led to a lower place
    height, gradient = problem.function(x)
    moving = _moving(problem, x, gradient)
    curvature = _curvature(problem, x, units, moving)
    promised = _promise(curvature, gradient[moving])[1]
    zero = problem.variances & (x == 0)
    converged = promised < GAIN and not np.any(problem.slopes(x)[zero] * start[zero] ** 2 > 1e-3)
    return Summit(x, height, curvature, moving, promised, bool(converged))


def _moving(problem: Problem, x: Array, gradient: Array) -> npt.NDArray[np.intp]:
    low, high = problem.limits.T
    held = (problem.variances & (x == 0)) | ((x <= low) & (gradient <= 0)) | ((x >= high) & (gradient >= 0))
    return np.flatnonzero(~held)


def _curvature(problem: Problem, x: Array, units: Array, moving: npt.NDArray[np.intp]) -> Array:
    """Minus the second derivatives, by central differences of the gradient."""
    rows = []
    for i in moving:
        h = _DIFFERENCE * (min(units[i], abs(x[i])) if problem.variances[i] else units[i])
        unit = np.zeros(x.size)
        unit[i] = h
        (up, ahead), (down, behind) = problem.function(x + unit), problem.function(x - unit)
        if not (np.isfinite(up) and np.isfinite(down)):
            return np.full((len(moving), len(moving)), np.nan)
        rows.append((behind - ahead)[moving] / (2 * h))
    out = np.array(rows).reshape(len(moving), len(moving))
    return np.asarray((out + out.T) / 2)


def _promise(curvature: Array, gradient: Array) -> tuple[Array, float]:
    """Newton's step with every curvature made positive, and what it promises; infinite where the surface bends upwards."""
    if not len(gradient):
        return gradient, 0.0
    if not np.all(np.isfinite(curvature)):
        return np.zeros_like(gradient), np.inf
    size = np.sqrt(np.maximum(np.abs(np.diagonal(curvature)), 1e-300))
    roots, vectors = np.linalg.eigh(curvature / np.outer(size, size))
    along = vectors.T @ (gradient / size)
    least = 1e-9 * max(np.abs(roots).max(), 1e-300)
    step = vectors @ (along / np.maximum(np.abs(roots), least)) / size
    promise = float(np.sum(along**2 / np.maximum(np.abs(roots), least)) / 2)
    return step, promise if roots[0] > -1e-6 * np.abs(roots).max() else np.inf


def _newton(problem: Problem, x: Array, units: Array) -> Array:
    """A few of Newton's steps, each only if it rises; near the maximum the second derivatives are used again."""
    curvature, at, promise = np.zeros((0, 0)), np.zeros(0, dtype=np.intp), np.inf
    for _ in range(6):
        height, gradient = problem.function(x)
        if not np.isfinite(height):
            return x
        moving = _moving(problem, x, gradient)
        if promise > 1e-3 or not np.array_equal(at, moving):
            curvature, at = _curvature(problem, x, units, moving), moving
        step, promise = _promise(curvature, gradient[moving])
        if promise < GAIN * 1e-6 or not step.any():
            return x
        for length in (1.0, 0.25, 0.05):
            trial = x.copy()
            trial[moving] += length * step
            trial = np.clip(trial, *problem.limits.T)
            rise = problem.function(trial)[0] - height
            if rise > 0 or (rise > -1e-11 * abs(height) and promise < 1e-3 and length == 1.0):
                x = trial
                break
        else:
            return x
    return x


def _at_zero(problem: Problem, x: Array, start: Array) -> Array:
    """Variances that want to be zero are set to it, as long as nothing is lost."""
    slopes = problem.slopes(x)
    small = problem.variances & (x != 0) & (np.abs(x) < _VANISHING * np.abs(start)) & (slopes <= 0)
    small |= (
        problem.variances
        & (x != 0)
        & (slopes <= 0)
        & (np.abs(slopes) * x**2 < 1e-6)
        & (np.abs(x) < 0.1 * np.abs(start))
    )
    if not small.any():
        return x
    height = problem.function(x)[0]
    for group in (small, *(small & (np.arange(x.size) == i) for i in np.flatnonzero(small))):
        trial = np.where(group, 0.0, x)
        new = problem.function(trial)[0]
        if new >= height - 1e-9 * (1 + abs(height)):
            x, height = trial, new
    return x


def _reopened(problem: Problem, x: Array, start: Array) -> Array:
    """Variances at zero from which the likelihood rises are let in again."""
    zero = problem.variances & (x == 0)
    if not zero.any():
        return x
    rising = zero & (problem.slopes(x) * start**2 > 1e-3)
    return np.where(rising, 1e-2 * np.abs(start), x)


def _search(problem: Problem, start: Array, scale: Array, method: str) -> Array:
    """SciPy's search in these units."""
    height = problem.function(start)[0]
    low, high = problem.limits.T
    worst = height - 1e3 * (1 + abs(height))

    def downhill(z: Array) -> tuple[float, Array]:
        x = start + z * scale
        inside = np.clip(x, low, high)
        value, slope = problem.function(inside)
        if not np.isfinite(value):
            return -worst, np.zeros(z.size)
        return -value, -np.where(x == inside, slope, 0.0) * scale

    if method == "lbfgs":
        bounds = np.stack([(low - start) / scale, (high - start) / scale], axis=1)
        options = {"maxiter": _MOST_STEPS, "maxfun": 2 * _MOST_STEPS, "maxcor": 20, "ftol": 1e-15, "gtol": 1e-5}
        done = minimize(downhill, np.zeros(start.size), jac=True, method="L-BFGS-B", bounds=bounds, options=options)
    else:
        last: dict[bytes, Array] = {}

        def second(z: Array) -> Array:
            key = z.tobytes()
            if key not in last:
                last.clear()
                rows = [(downhill(z + d)[1] - downhill(z - d)[1]) / 2e-4 for d in 1e-4 * np.eye(z.size)]
                last[key] = (np.array(rows) + np.array(rows).T) / 2
            return last[key]

        options = {"maxiter": _MOST_STEPS, "gtol": 1e-5}
        done = minimize(downhill, np.zeros(start.size), jac=True, hess=second, method="trust-exact", options=options)
    return np.asarray(np.clip(start + done.x * scale, low, high))


def _units(problem: Problem, x: Array) -> Array:
    """One over the root of the curvature along each number, within reason."""
    gradient, out = problem.function(x)[1], np.ones(x.size)
    for i in range(x.size):
        size = max(abs(x[i]), 1e-2 if not problem.variances[i] else 1e-300)
        unit = np.zeros(x.size)
        unit[i] = 1e-3 * size
        ahead = problem.function(x + unit)
        bend = abs((gradient - ahead[1])[i]) / unit[i] if np.isfinite(ahead[0]) else 0.0
        out[i] = np.clip(1 / np.sqrt(bend), 1e-3 * size, 1e2 * size) if bend > 0 else size
    return out
