"""The likelihood of a structural model's differenced series as a function of free numbers, compiled.

What components are to the Schur recursion: variances whose autocovariances do not change, and *terms*, components with
dynamics of their own. The chain rule from autocovariances to free numbers is written out, and so is the expected information.
"""

import math
from typing import Any, NamedTuple

import numpy as np

from ..core.gaussian._kernels.layout import rare
from ..core.gaussian._kernels.recursion import likelihood_adjoint
from ..core.types import Array, Index

CLEAR = 3e-10  # see `core.gaussian._kernels.recursion`; what it costs in digits is within the tolerance of a search
_LOG_2PI = math.log(2 * math.pi)
_STEP = 1e-4
PLAIN, INTERVAL, GEOMETRIC, TANH = range(4)  # how a parameter is made of a free number
# Lines of a room; the last has the mean square of the standardised innovations, and whether digits were lost.
G, SLOPE, PHI, TURN, REST, VALUES, NOTE = range(7)
KIND, FREE, VARIANCE = range(3)  # columns of codes


class Plan(NamedTuple):
    """What the series of a call have in common; k parameters, d differences, lags up to r, m frequencies.

    A *term* is a component whose dynamics are parameters: a front polynomial after an autoregression of one damping or of a
    damped rotation, whose autocovariances are u damping^l cos(l angle) with the stationary variance u.

    Few arrays, because every one that is handed over costs code for a count of references. The columns of ``table`` are, for
    every parameter: autocovariances of a unit of each variance outside terms (``r1 = r + 1`` of them); power gains of these
    variances (m); the ends of an interval (2); limits of the free number (2). Two more rows hold, at the gains, real and
    imaginary parts of where spectra are taken. Columns of ``codes``: how a parameter is made of a free number; whether it is
    free; whether it is a variance.
    """

    table: Array
    codes: Index
    terms: Index  # (n_terms, 4) places of variance, damping, period (or -1); 1 if the stationary variance is what moves
    front: Array  # (n_terms, d1 + m) autocovariances of the front polynomials, d1 = d + 1, and their power gains
    r1: int
    m: int
    d1: int


class Room(NamedTuple):
    """Work space. Lines of ``lines`` are those named above."""

    w: Array
    lines: Array
    trace: Array  # (2, n, r)
    ends: Array  # (n, 4)
    laws: Array  # (n_terms, 4, r + d + 1) autocovariances of unit variance, their derivatives, sums of slopes


@rare
def natural(plan: Plan, numbers: Array, values: Array) -> None:
    """Parameter values of free numbers."""
    for i in range(numbers.size):
        x, kind = numbers[i], plan.codes[i, KIND]
        low, high = plan.table[i, plan.r1 + plan.m], plan.table[i, plan.r1 + plan.m + 1]
        if kind == PLAIN:
            values[i] = x
        elif kind == INTERVAL:
            values[i] = low + (high - low) / (1.0 + math.exp(-x))
        elif kind == GEOMETRIC:
            values[i] = low * math.exp(math.log(high / low) / (1.0 + math.exp(-x)))
        else:
            values[i] = math.tanh(x)
    for s in range(len(plan.terms)):
        if plan.terms[s, 3] == 1:
            values[plan.terms[s, 0]] *= 1.0 - values[plan.terms[s, 1]] ** 2


@rare
def numbers_of(plan: Plan, values: Array, numbers: Array) -> None:
    """Free numbers of parameter values."""
    for i in range(values.size):
        x, kind = values[i], plan.codes[i, KIND]
        low, high = plan.table[i, plan.r1 + plan.m], plan.table[i, plan.r1 + plan.m + 1]
        if kind == PLAIN:
            numbers[i] = x
        elif kind == INTERVAL:
            numbers[i] = math.log((x - low) / (high - x))
        elif kind == GEOMETRIC:
            numbers[i] = math.log(math.log(x / low) / math.log(high / x))
        else:
            numbers[i] = math.atanh(x)
    for s in range(len(plan.terms)):
        if plan.terms[s, 3] == 1:
            numbers[plan.terms[s, 0]] /= 1.0 - values[plan.terms[s, 1]] ** 2


@rare
def rate(plan: Plan, i: int, x: float) -> Any:
    """Derivative of a parameter with respect to its free number."""
    kind, low, high = plan.codes[i, KIND], plan.table[i, plan.r1 + plan.m], plan.table[i, plan.r1 + plan.m + 1]
    if kind == PLAIN:
        return 1.0
    if kind == TANH:
        return 1.0 - math.tanh(x) ** 2
    p = 1.0 / (1.0 + math.exp(-x))
    if kind == INTERVAL:
        return (high - low) * p * (1.0 - p)
    return math.log(high / low) * p * (1.0 - p) * low * math.exp(math.log(high / low) * p)


@rare
def law(plan: Plan, s: int, values: Array, out: Array) -> Any:
    """Autocovariances of term s under a unit stationary variance, with their derivatives in damping and angle.

    Returns damping, angle and stationary variance.
    """
    damping, period = values[plan.terms[s, 1]], plan.terms[s, 2]
    angle = 2.0 * math.pi / values[period] if period >= 0 else 0.0
    before, power = 0.0, 1.0  # damping^(l - 1), damping^l
    for l in range(out.shape[1]):
        cos, sin = (math.cos(l * angle), math.sin(l * angle)) if period >= 0 else (1.0, 0.0)
        out[0, l] = power * cos
        out[1, l] = l * before * cos
        out[2, l] = -l * power * sin
        before, power = power, power * damping
    return damping, angle, values[plan.terms[s, 0]] / (1.0 - damping**2)


@rare
def convolve(plan: Plan, skip: int, values: Array, out: Array) -> int:
    """The product of the polynomials of all terms but one, into out; returns its degree."""
    out[0] = 1.0
    degree = 0
    for s in range(len(plan.terms)):
        if s != skip:
            damping, period = values[plan.terms[s, 1]], plan.terms[s, 2]
            one, two, more = -damping, 0.0, 1
            if period >= 0:
                one, two, more = -2.0 * damping * math.cos(2.0 * math.pi / values[period]), damping**2, 2
            for i in range(degree + 1, degree + more + 1):
                out[i] = 0.0
            degree += more
            for i in range(degree, -1, -1):
                x = out[i]
                if i >= 1:
                    x += one * out[i - 1]
                if i >= 2:
                    x += two * out[i - 2]
                out[i] = x
    return degree


@rare
def evaluate(plan: Plan, room: Room, numbers: Array, gradient: Array) -> Any:
    """Log-likelihood of the differenced series and its slopes in the free numbers; -inf where there is none."""
    v, g, slope, n_terms = room.lines[VALUES], room.lines[G, : plan.r1], room.lines[SLOPE, : plan.r1], len(plan.terms)
    natural(plan, numbers, v)
    room.lines[NOTE, 0] = math.nan
    n, top = room.w.size, plan.d1 - 1
    for k in range(g.size):
        g[k] = 0.0
    for i in range(numbers.size):
        gradient[i] = 0.0
        if plan.codes[i, VARIANCE] == 1 and v[i] > 0.0:
            for k in range(g.size):
                g[k] += v[i] * plan.table[i, k]
    for s in range(n_terms):
        own = room.laws[s]
        u = law(plan, s, v, own)[2]
        for k in range(g.size):
            x = 0.0
            for j in range(-top, top + 1):
                x += plan.front[s, abs(j)] * own[0, abs(k - j)]
            g[k] += u * x
    if not g[0] > 0.0:
        return -math.inf
    degree = convolve(plan, -1, v, room.lines[REST])
    phi, turn = room.lines[PHI, :degree], room.lines[TURN, :degree]
    for i in range(degree):
        phi[i] = -room.lines[REST, i + 1]
    logs, squares, sound, _ = likelihood_adjoint(
        room.w, 0.0, phi, g, CLEAR, turn, slope, room.trace[0], room.trace[1], room.ends
    )
    if not sound:
        room.lines[NOTE, 1] = 1.0
        return -math.inf
    room.lines[NOTE, 0] = squares / n
    for i in range(numbers.size):
        if plan.codes[i, VARIANCE] == 1:
            for k in range(g.size):
                gradient[i] += plan.table[i, k] * slope[k]
    for s in range(n_terms):
        _term_slopes(plan, room, s, gradient)
    for i in range(numbers.size):
        gradient[i] = gradient[i] * rate(plan, i, numbers[i]) if plan.codes[i, FREE] == 1 else 0.0
    return -0.5 * (n * _LOG_2PI + logs + squares)


@rare
def _term_slopes(plan: Plan, room: Room, s: int, gradient: Array) -> None:
    """Add the slopes in the stationary variance, the damping and the period of a term."""
    v, slope, own, top = room.lines[VALUES], room.lines[SLOPE, : plan.r1], room.laws[s], plan.d1 - 1
    at, damped, period = plan.terms[s, 0], plan.terms[s, 1], plan.terms[s, 2]
    damping = v[damped]
    angle = 2.0 * math.pi / v[period] if period >= 0 else 0.0
    keep = 1.0 - damping**2
    u = v[at] / keep
    for l in range(own.shape[1]):
        own[3, l] = 0.0
    for k in range(slope.size):
        for j in range(-top, top + 1):
            own[3, abs(k - j)] += slope[k] * plan.front[s, abs(j)]
    height, along, across = 0.0, 0.0, 0.0
    for l in range(own.shape[1]):
        height += own[3, l] * own[0, l]
        along += own[3, l] * own[1, l]
        across += own[3, l] * own[2, l]
    along *= u
    across *= u
    degree = convolve(plan, s, v, room.lines[REST])
    cos, sin = math.cos(angle), math.sin(angle)
    for b in range(degree + 1):  # turn[i] is the slope in minus the coefficient i + 1 of the whole polynomial
        x = -room.lines[REST, b] * room.lines[TURN, b]
        if period >= 0:
            y = -room.lines[REST, b] * room.lines[TURN, b + 1]
            along += -2.0 * cos * x + 2.0 * damping * y
            across += 2.0 * damping * sin * x
        else:
            along -= x
    if plan.terms[s, 3] == 1:
        gradient[at] += height
    else:
        gradient[at] += height / keep
        along += height * 2.0 * damping * v[at] / keep**2
    gradient[damped] += along
    if period >= 0:
        gradient[period] -= across * angle / v[period]


@rare
def term_power(plan: Plan, s: int, values: Array, x: float, y: float) -> Any:
    """Power gain of a unit variance of a term at z = x + iy, without that of its front."""
    damping, period = values[plan.terms[s, 1]], plan.terms[s, 2]
    if period < 0:
        return 1.0 / ((x - damping) ** 2 + y * y)
    angle = 2.0 * math.pi / values[period]
    ahead, sin = x - damping * math.cos(angle), damping * math.sin(angle)
    real, imaginary = ahead * ahead - y * y + sin * sin, 2.0 * ahead * y
    return (ahead * ahead + y * y + sin * sin) / (real * real + imaginary * imaginary)


@rare
def information(plan: Plan, room: Room, numbers: Array, out: Array) -> None:
    """The expected information of the free numbers, as `components.Spectrum` has it."""
    k, n_terms, m = numbers.size, len(plan.terms), plan.m
    values, relative = np.empty(k), np.empty(k)
    natural(plan, numbers, values)
    ends = np.empty((n_terms, 2, 2, k))  # values with one number of a term moved up and down
    moved = numbers.copy()
    for s in range(n_terms):
        for a in range(2):
            at = plan.terms[s, 1 + a]
            if at >= 0:
                for b in range(2):
                    moved[at] = numbers[at] + (_STEP if b == 0 else -_STEP)
                    natural(plan, moved, ends[s, a, b])
                moved[at] = numbers[at]
    for i in range(k):
        for j in range(k):
            out[i, j] = 0.0
    for f in range(m):
        x, y, total = plan.table[k, plan.r1 + f], plan.table[k + 1, plan.r1 + f], 0.0
        for i in range(k):
            relative[i] = 0.0
            if plan.codes[i, VARIANCE] == 1:
                relative[i] = plan.table[i, plan.r1 + f]
                total += values[i] * plan.table[i, plan.r1 + f]
        for s in range(n_terms):
            at, front = plan.terms[s, 0], plan.front[s, plan.d1 + f]
            power = front * term_power(plan, s, values, x, y)
            total += values[at] * power
            relative[at] = power * (1.0 - values[plan.terms[s, 1]] ** 2 if plan.terms[s, 3] == 1 else 1.0)
            for a in range(2):
                place = plan.terms[s, 1 + a]
                if place >= 0:
                    up = ends[s, a, 0, at] * term_power(plan, s, ends[s, a, 0], x, y)
                    down = ends[s, a, 1, at] * term_power(plan, s, ends[s, a, 1], x, y)
                    relative[place] = front * (up - down) / (2.0 * _STEP)
        total = max(total, 1e-300)
        for i in range(k):
            relative[i] = relative[i] / total if plan.codes[i, FREE] == 1 else 0.0
            for j in range(i + 1):
                out[i, j] += relative[i] * relative[j]
    for i in range(k):
        for j in range(i + 1):
            out[i, j] *= room.w.size / (2.0 * m)
            out[j, i] = out[i, j]
