"""Maximum likelihood for models whose variances may be zero.

**Method.** Scoring with the exact gradient: a quadratic model of the log-likelihood is maximised over the admissible
parameters, variances down to zero included, and a line search along the way to its maximum makes sure of an increase.
The curvature is the expected information from the spectrum (cheap, and close far away from the maximum), corrected by
the last changes of the gradient near it (Broyden-Fletcher-Goldfarb-Shanno). Because a variance may step onto zero and
off again as its gradient says, what is found satisfies the first-order (Karush-Kuhn-Tucker) conditions on the boundary
as well as inside.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from ..components.transforms import Array

TOLERANCE = 1e-9  # promised gain below which a search ends
_GAIN = 1e-5  # promised gain, by the information alone, of what may be called a maximum
_SLOPE = 1e-3
_NEAR = 0.3  # root mean square change of the spectrum up to which curvatures along the way are believed
_PATIENCE = 12  # steps near the maximum after which its second derivatives are worth their price
_MOST_STEPS = 60
_LARGEST_STEP = 1.5  # of a number without bound
_FLAT = 1e-6  # information on a number without bound below which it has no effect
_ROUNDING = 2e-7  # of a log-likelihood with a vague start


class Optimum(NamedTuple):
    """Where a search ended."""

    free: Array  # the free numbers
    loglik: float
    gradient: Array  # of the log-likelihood with respect to the free numbers
    converged: bool
    n_evaluations: int


class Problem(NamedTuple):
    """What a search needs.

    ``evaluate(free)`` gives the log-likelihood and its gradient, minus infinity where there is none;
    ``information(free)`` an approximation of minus its second derivatives; ``bounded`` marks the numbers that must not
    be negative; ``limits`` (n, 2) are those of the others; ``n_effective`` is the number of observations that count.
    """

    evaluate: Callable[[Array], tuple[float, Array]]
    information: Callable[[Array], Array]
    bounded: NDArray[np.bool_]
    limits: Array
    n_effective: float


def better(a: Optimum, b: Optimum) -> Optimum:
    """The higher of two; of two that are equally high, one that arrived."""
    return b if not a.loglik >= b.loglik or (b.converged and b.loglik > a.loglik - 1e-6) else a


def maximise(problem: Problem, start: Array) -> Optimum:
    """Climb from a start to a maximum.

    Parameters
    ----------
    problem : Problem
    start : array (n,)
        Free numbers.

    Returns
    -------
    Optimum
        ``converged`` means that the information promises a gain of less than 1e-5, and that no slope, of a variance on a
        relative scale, is more than a thousandth of what chance makes of it (or than 1e-3, where that is more).
    """
    x, (value, gradient) = start, problem.evaluate(start)
    pairs: list[tuple[Array, Array]] = []
    base, n_evaluations, patience = None, 1, _PATIENCE
    for _ in range(_MOST_STEPS):
        if not np.isfinite(value):
            break
        information = problem.information(x)
        if patience == 0:
            base, pairs, patience = _differences(problem, x, gradient, information), [], _PATIENCE
            n_evaluations += x.size
        step, gain = _best_step(problem, x, gradient, _corrected(information if base is None else base, pairs))
        if gain < TOLERANCE:
            break
        found = _line_search(problem, x, value, gradient, step)
        n_evaluations += found.n_evaluations
        if not found.success:
            if gain < _ROUNDING or (base is not None and not pairs):
                break
            patience = 0 if not pairs else patience
            pairs = []
            continue
        move = found.x - x
        near = move @ information @ move < _NEAR**2 * problem.n_effective / 2
        pairs, patience = ([*pairs, (move, gradient - found.gradient)], patience - 1) if near else ([], _PATIENCE)
        base = base if near else None
        x, value, gradient = found.x, found.value, found.gradient
    converged = bool(np.isfinite(value)) and _is_maximum(problem, x, gradient)
    return Optimum(x, float(value), gradient, converged, n_evaluations)


def _differences(problem: Problem, x: Array, gradient: Array, information: Array) -> Array:
    """Minus the second derivatives by differences of the gradient, made positive definite; numbers that rest keep the information."""
    diagonal = np.diagonal(information)
    resting = np.where(
        problem.bounded, (x == 0) & (gradient <= 0), (diagonal <= _FLAT) | _outward(problem, x, gradient)
    )
    places = np.flatnonzero(~resting & (diagonal > 0))
    if not places.size:
        return np.diag(diagonal)
    scale = 1 / np.sqrt(diagonal[places])
    rows = []
    for i, size in zip(places, scale):
        move = np.zeros(x.size)
        move[i] = 1e-4 * (min(size, x[i]) if problem.bounded[i] and x[i] > 0 else min(size, 1.0))
        rows.append((gradient - problem.evaluate(x + move)[1])[places] / move[i])
    curvature = np.array(rows) * np.outer(scale, scale)
    roots, vectors = np.linalg.eigh((curvature + curvature.T) / 2)
    roots = np.maximum(np.abs(roots), 1e-8 * np.abs(roots).max())
    out = np.diag(diagonal)
    out[np.ix_(places, places)] = (vectors * roots) @ vectors.T / np.outer(scale, scale)
    return out


def _is_maximum(problem: Problem, x: Array, gradient: Array) -> bool:
    """First-order conditions, on the boundary and inside."""
    information = problem.information(x)
    gain = _best_step(problem, x, gradient, information)[1]
    unit = np.where(problem.bounded, x, 1.0)
    slopes = np.where(~problem.bounded & _outward(problem, x, gradient), 0.0, unit * gradient)
    steep = _SLOPE * np.maximum(1.0, unit * np.sqrt(np.diagonal(information)))
    return bool(gain < _GAIN and np.all(np.abs(slopes) < steep))


def _outward(problem: Problem, x: Array, gradient: Array) -> NDArray[np.bool_]:
    """Numbers that stand on a limit and would leave it."""
    low, high = problem.limits.T
    out: NDArray[np.bool_] = ((x <= low) & (gradient < 0)) | ((x >= high) & (gradient > 0))
    return out


def _corrected(information: Array, pairs: list[tuple[Array, Array]]) -> Array:
    """The information, made to agree with the last changes of the gradient."""
    for move, change in pairs:
        image = information @ move
        length, curvature = move @ image, move @ change
        if curvature > 1e-6 * length > 0:
            information = information - np.outer(image, image) / length + np.outer(change, change) / curvature
    return information


def _best_step(problem: Problem, x: Array, gradient: Array, information: Array) -> tuple[Array, float]:
    """The admissible step that maximises gradient @ d - d @ information @ d / 2, and the gain that this promises.

    Numbers without bound are eliminated; the rest is a non-negative least-squares problem (Lawson and Hanson 1974). The
    former get as much curvature on top as keeps their steps within reach of the quadratic model, and rest where the
    likelihood does not depend on them, as the damping of a slope that does not move.
    """
    bounded = problem.bounded
    diagonal = np.diagonal(information)
    active = np.where(bounded, diagonal > 0, (diagonal > _FLAT) & ~_outward(problem, x, gradient))
    scale = np.sqrt(np.where(active, diagonal, 1.0))
    B = np.where(active[:, None] & active, information / (scale[:, None] * scale), 0.0)
    B.flat[:: x.size + 1] = 1 + 1e-10 + np.where(bounded, 0.0, np.abs(gradient) / _LARGEST_STEP / scale**2)
    g = np.where(active, gradient / scale, 0.0)
    if bounded.all():
        d = _nonnegative(B, g, x * scale)
        return d / scale, float(g @ d - d @ B @ d / 2)
    d, Bvz = np.zeros(x.size), B[bounded][:, ~bounded]
    out = np.linalg.solve(B[~bounded][:, ~bounded], np.column_stack([Bvz.T, g[~bounded]]))
    d[bounded] = _nonnegative(
        B[bounded][:, bounded] - Bvz @ out[:, :-1], g[bounded] - Bvz @ out[:, -1], (x * scale)[bounded]
    )
    d[~bounded] = out[:, -1] - out[:, :-1] @ d[bounded]
    return d / scale, float(g @ d - d @ B @ d / 2)


def _nonnegative(B: Array, g: Array, x: Array) -> Array:
    """Step d that maximises g @ d - d @ B @ d / 2 with x + d >= 0."""
    if not x.size:
        return x
    roots, vectors = np.linalg.eigh((B + B.T) / 2)
    half = vectors * np.sqrt(np.maximum(roots, 1e-9 * roots[-1]))
    target = half.T @ x + np.linalg.solve(half, g)
    return np.asarray(nnls(half.T, target)[0] - x)


class _Found(NamedTuple):
    success: bool
    x: Array
    value: float
    gradient: Array
    n_evaluations: int


def _line_search(problem: Problem, x: Array, value: float, gradient: Array, step: Array) -> _Found:
    """Shorten the step until the increase is a fraction of what the slope promises.

    A step onto the boundary that fails is tried again short of it first: with several variances at zero there may be no
    likelihood to speak of, and a proportionally shorter step would waste the move of the others.
    """
    low, high = problem.limits.T
    length, rounding, slope = 1.0, _ROUNDING + 1e-12 * abs(value), float(gradient @ step)
    for n in range(1, 16):
        trial = np.clip(x + length * step, low, high)
        trial[problem.bounded & (trial < 1e-14 * x)] = 0.0  # rounding of a step onto the boundary
        new, new_gradient = problem.evaluate(trial)
        if new >= value + 1e-4 * length * slope - rounding:
            return _Found(True, trial, new, new_gradient, n)
        inner = np.where(problem.bounded, np.maximum(step, -0.9 * x), step)
        if n == 1 and np.any(inner > step) and gradient @ inner > 0:
            step, slope = inner, float(gradient @ inner)
            continue
        short = 2 * (value + length * slope - new)
        best = length**2 * slope / short if np.isfinite(short) else 0.0
        length = min(max(best, 0.1 * length), 0.5 * length)
    return _Found(False, x, value, gradient, n)
