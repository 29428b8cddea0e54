"""Maximum likelihood of complete series, compiled: the search of `_mle` over the likelihood of `core.gaussian._kernels.recursion`.

One call serves any number of series of the same length with models of the same structure, each on its own. The search, its
curvatures and its tolerances are those that `_mle` explains; what differs is only that no Python runs in it. Where to start
from and when to start again is decided in `_structural_panel`.
"""

import math
from typing import Any

import numpy as np

from ..core.gaussian._kernels.layout import kernel, rare
from ..core.types import Array
from ._ascent_objective import FREE, NOTE, VARIANCE, Plan, Room, evaluate, information, natural, numbers_of
from ._ascent_steps import FLAT, ROUNDING, TOLERANCE, Flags, best_step, corrected, outward, shifted

_GAIN = 1e-5  # promised gain of what may be called a maximum
_SLOPE = 1e-3
_NEAR = 0.3  # root mean square change of the spectrum up to which curvatures along the way are believed
_PATIENCE = 12  # steps near the maximum after which its second derivatives are worth their price


@rare
def differences(plan: Plan, room: Room, x: Array, gradient: Array, info: Array, out: Array) -> None:
    """Minus the second derivatives by differences of the gradient, made positive definite; numbers that rest keep the information."""
    k = x.size
    moved, there = x.copy(), np.empty(k)
    places, scale = np.zeros(k, np.bool_), np.ones(k)
    for i in range(k):
        rests = plan.codes[i, FREE] == 0 or info[i, i] <= 0.0
        if plan.codes[i, VARIANCE] == 1:
            rests = rests or (x[i] == 0.0 and gradient[i] <= 0.0)
        else:
            rests = rests or info[i, i] <= FLAT or outward(plan.table, plan.r1 + plan.m + 2, i, x, gradient)
        places[i] = not rests
        for j in range(k):
            out[i, j] = info[i, i] if i == j else 0.0
        if places[i]:
            scale[i] = 1.0 / math.sqrt(info[i, i])
    rows = np.zeros((k, k))
    for i in range(k):
        if places[i]:
            size = min(scale[i], x[i]) if plan.codes[i, VARIANCE] == 1 and x[i] > 0.0 else scale[i]
            move = 1e-4 * (size if plan.codes[i, VARIANCE] == 1 else min(size, 1.0))
            moved[i] = x[i] + move
            evaluate(plan, room, moved, there)
            moved[i] = x[i]
            for j in range(k):
                rows[i, j] = (gradient[j] - there[j]) / move
    for i in range(k):
        for j in range(k):
            if places[i] and places[j]:
                out[i, j] = 0.5 * (rows[i, j] + rows[j, i]) * scale[i] * scale[j]
    shifted(out, places)
    for i in range(k):
        for j in range(k):
            if places[i] and places[j]:
                out[i, j] /= scale[i] * scale[j]


@rare
def line_search(
    plan: Plan, room: Room, x: Array, value: float, gradient: Array, step: Array, trial: Array, there: Array
) -> Any:
    """Shorten the step until the increase is a fraction of what the slope promises; (whether it was found, its value)."""
    k, length, slope, new = x.size, 1.0, 0.0, value
    floor = ROUNDING + 1e-12 * abs(value)
    for i in range(k):
        slope += gradient[i] * step[i]
    for tries in range(15):
        for i in range(k):
            trial[i] = x[i]
            if plan.codes[i, FREE] == 1:
                trial[i] = min(
                    max(x[i] + length * step[i], plan.table[i, plan.r1 + plan.m + 2]),
                    plan.table[i, plan.r1 + plan.m + 3],
                )
                if plan.codes[i, VARIANCE] == 1 and trial[i] < 1e-14 * x[i]:
                    trial[i] = 0.0  # rounding of a step onto the boundary
        new = evaluate(plan, room, trial, there)
        if new >= value + 1e-4 * length * slope - floor:
            return True, new
        if tries == 0:  # short of the boundary first
            rise, differs = 0.0, False
            for i in range(k):
                inner = max(step[i], -0.9 * x[i]) if plan.codes[i, VARIANCE] == 1 else step[i]
                differs = differs or inner > step[i]
                rise += gradient[i] * inner
            if differs and rise > 0.0:
                for i in range(k):
                    if plan.codes[i, VARIANCE] == 1:
                        step[i] = max(step[i], -0.9 * x[i])
                slope = rise
                continue
        short = 2.0 * (value + length * slope - new)
        best = length**2 * slope / short if short < math.inf else 0.0
        length = min(max(best, 0.1 * length), 0.5 * length)
    return False, new


@rare
def is_maximum(plan: Plan, room: Room, x: Array, gradient: Array) -> Any:
    """First-order conditions, on the boundary and inside."""
    k = x.size
    info, step = np.empty((k, k)), np.empty(k)
    information(plan, room, x, info)
    good = best_step(plan.codes, plan.table, plan.r1 + plan.m + 2, x, gradient, info, step) < _GAIN
    for i in range(k):
        unit = x[i] if plan.codes[i, VARIANCE] == 1 else 1.0
        if plan.codes[i, FREE] == 1 and (
            plan.codes[i, VARIANCE] == 1 or not outward(plan.table, plan.r1 + plan.m + 2, i, x, gradient)
        ):
            good = good and abs(unit * gradient[i]) < _SLOPE * max(1.0, unit * math.sqrt(info[i, i]))
    return good


@kernel
def search(
    plan: Plan,
    room: Room,
    most: int,
    W: Array,
    numbers: Array,
    logliks: Array,
    squares: Array,
    gradients: Array,
    arrived: Flags,
    lost: Flags,
) -> None:
    """Climb from the free numbers (n_series, k) of each row of W (n_series, n), a differenced series, in `most` steps or fewer.

    With none, the likelihood is taken where it is. ``squares`` receives the mean squares of the standardised innovations at the
    last point that was tried, NaN where there is no likelihood; ``lost`` is set where the likelihood lost digits, and left as it
    is elsewhere.
    """
    k = numbers.shape[1]
    there, step, trial = np.empty(k), np.zeros(k), np.empty(k)
    info, base, curvature = np.empty((k, k)), np.empty((k, k)), np.empty((k, k))
    moves, changes = np.empty((_PATIENCE + 1, k)), np.empty((_PATIENCE + 1, k))
    for s in range(len(W)):
        for i in range(room.w.size):
            room.w[i] = W[s, i]
        room.lines[NOTE, 1] = 0.0
        x, gradient = numbers[s], gradients[s]
        value, pairs, patience, has_base = evaluate(plan, room, x, gradient), 0, _PATIENCE, False
        for _ in range(most):
            if not value > -math.inf:
                break
            information(plan, room, x, info)
            if patience == 0:
                differences(plan, room, x, gradient, info, base)
                has_base, pairs, patience = True, 0, _PATIENCE
            corrected(base if has_base else info, moves, changes, pairs, curvature)
            gain = best_step(plan.codes, plan.table, plan.r1 + plan.m + 2, x, gradient, curvature, step)
            if gain < TOLERANCE:
                break
            found, new = line_search(plan, room, x, value, gradient, step, trial, there)
            if not found:
                if gain < ROUNDING or (has_base and pairs == 0):
                    break
                patience = 0 if pairs == 0 else patience
                pairs = 0
                continue
            length = 0.0
            for i in range(k):
                for j in range(k):
                    length += (trial[i] - x[i]) * info[i, j] * (trial[j] - x[j])
            if length < _NEAR**2 * room.w.size / 2:
                for i in range(k):
                    moves[pairs, i], changes[pairs, i] = trial[i] - x[i], gradient[i] - there[i]
                pairs, patience = pairs + 1, patience - 1
            else:
                pairs, patience, has_base = 0, _PATIENCE, False
            value = new
            for i in range(k):
                x[i], gradient[i] = trial[i], there[i]
        logliks[s], squares[s] = value, room.lines[NOTE, 0]
        arrived[s] = most > 0 and value > -math.inf and is_maximum(plan, room, x, gradient)
        lost[s] = lost[s] or room.lines[NOTE, 1] > 0.0


@kernel
def translate(plan: Plan, rows: Array, back: bool, out: Array) -> None:
    """Free numbers of rows of parameter values (n, k), or back."""
    for s in range(len(rows)):
        if back:
            natural(plan, rows[s], out[s])
        else:
            numbers_of(plan, rows[s], out[s])
