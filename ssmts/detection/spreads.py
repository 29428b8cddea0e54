"""How much sensors scatter: windows of innovations too wide or too narrow, and values that repeat too often.

The squares of the last n standard normal innovations around their mean sum to a chi-squared variable with n - 1 degrees of
freedom. Around their mean, so that a sensor which is stuck far from its level, or has moved, does not seem to scatter.

What is normal is a range of variances relative to the training rows, at first [1, 1]. Scatter that lasts widens it, and the range
falls back on the training rows' as readings do: the end of a burst is no anomaly, and the next burst is one again.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from scipy.special import gammaln, ndtri_exp

from ssmts.core.types import Array
from ssmts.detection.baseline import held, restarted
from ssmts.detection.local_level import LevelState, LocalLevel, step
from ssmts.detection.robust import GATE, kernel

FEWEST_CHANGES = 30  # of a sensor among the training rows, for repeated values to say anything
FORGET = 1.0 / 64  # by how much of the difference a range that was widened follows each reading
MARGIN = 1.5  # on a variance read off a handful of readings, which tell it within a factor of two
FEWEST = 8  # readings it is read off at least
FLOOR = 1e-12  # variances below are zero
MAD = 1.4826  # standard deviations of a normal in its median absolute deviation
TERMS = 10000  # of series and fractions, which end long before


class Spread(NamedTuple):
    """What is normal for every sensor.

    Attributes
    ----------
    level : LocalLevel
        Of the baseline.
    limit : (n_sensors,)
        Score from which a sensor is in alarm by itself.
    repeated, changed : (n_sensors,)
        One more than the readings of the training rows that equalled the one before, and did not; `changed` is 0 where
        repeated values say nothing.
    log_gamma : (window + 1,)
        log Gamma(k / 2).
    gate : float
        Standard deviations that earlier readings count for at most.
    """

    level: LocalLevel
    limit: Array
    repeated: Array
    changed: Array
    log_gamma: Array
    gate: float = GATE


class SpreadState(NamedTuple):
    """What is known of every sensor after its last row.

    Attributes
    ----------
    level : LevelState
    innovations, rows : (n_sensors, window)
        The last innovations, in standard deviations of the training rows, and their rows; in turn.
    counts : (n_sensors, 2)
        Innovations, and rows, since the window was emptied.
    normal : (n_sensors, 2)
        Smallest and largest variance that is taken for normal.
    run : (n_sensors, 4)
        The last value, how often it was repeated, the surprise of that, and the rows it took.
    held : (n_sensors, 2)
        Rows in alarm because of too little and too much scatter.
    """

    level: LevelState
    innovations: Array
    rows: Array
    counts: Array
    normal: Array
    run: Array
    held: Array


class Scatter(NamedTuple):
    """What is said of rows, each ``(n_times, n_sensors)``.

    Attributes
    ----------
    score : minus the logarithm of a p-value, that of the smallest of two or three times their number; NaN where nothing was read.
    expected, sd : of the reading.
    sign : 1 for too much scatter, -1 for too little.
    window : number of rows that the score rests on.
    """

    score: Array
    expected: Array
    sd: Array
    sign: Array
    window: Array


def learn(level: LocalLevel, limit: Array, y: Array, window: int) -> Spread:
    """What is normal, from training rows ``(n_times, n_sensors)`` and a baseline."""
    repeated, changed = np.ones(y.shape[1]), np.zeros(y.shape[1])
    for i, column in enumerate(y.T):
        same = np.diff(column[~np.isnan(column)]) == 0
        repeated[i] += same.sum()
        if (changes := len(same) - same.sum()) >= FEWEST_CHANGES:
            changed[i] = changes + 1.0
    log_gamma = np.append(np.inf, gammaln(0.5 * np.arange(1, window + 1)))
    return Spread(level, limit, repeated, changed, log_gamma)


def start(level: LevelState, window: int) -> SpreadState:
    """The state before the first row."""
    d = len(level.level)
    run = np.zeros((d, 4))
    run[:, 0] = np.nan
    kept = np.zeros((d, window))
    return SpreadState(level, kept, kept, np.zeros((d, 2)), np.ones((d, 2)), run, np.zeros((d, 2)))


def run(
    model: Spread, state: SpreadState, y: Array, steps: Array, patience: int, *, full: bool = False
) -> tuple[Scatter, SpreadState]:
    """Scores of each row given the rows before it, and the state after the last; `state` is left as it is.

    With the baseline ``constant(zeros, ones)`` `y` are innovations of any other model.

    Parameters
    ----------
    model : Spread
    state : SpreadState
    y : (n_times, n_sensors)
    steps : (n_times,)
    patience : int
        Rows in alarm after which that scatter, or that value, is taken for normal.
    full : bool, default False
        Whether to keep all fields; otherwise those besides `score` have no rows.
    """
    y = np.require(y, requirements=["C", "W"])  # one compiled kernel for every kind of array
    n, d = y.shape
    kept = n if full else 0
    told = Scatter(np.empty((n, d)), *(np.empty((kept, d)) for _ in range(4)))
    level = LevelState(*(field.copy() for field in state.level))
    moved = SpreadState(level, *(field.copy() for field in state[1:]))
    _run(*model.level, *level, *model[1:], y, steps, float(patience), *moved[1:], *told)
    return told, moved


def reach(model: Spread, score: Array) -> Array:
    """Innovations with which single readings have these scores, if those before them scatter as they should."""
    dof = float(len(model.log_gamma) - 2)
    log_p = -score - np.log(np.where(model.changed > 0, 3.0, 2.0))
    # Start from the cube root of Wilson and Hilferty (1931).
    bent = 2.0 / (9.0 * dof)
    square = dof * np.maximum(1.0 - bent - np.sqrt(bent) * ndtri_exp(log_p), 0.0) ** 3
    _upper_quantiles(log_p.ravel(), dof, model.log_gamma[-2], flat := square.ravel())
    rest = (dof + 1.0) / dof * np.maximum(flat.reshape(score.shape) - (dof - 1.0), 0.0)
    found: Array = np.sqrt(rest)
    return found


@kernel
def _upper_quantiles(log_p: Array, dof: float, log_gamma: float, square: Array) -> None:
    """Chi-squared quantiles of upper tails, by Newton's method on the logarithm."""
    for k in range(log_p.size):
        for _ in range(50):
            x = max(square[k], 1e-3)
            up = log_tails(x, dof, log_gamma)[0]
            slope = -math.exp((0.5 * dof - 1.0) * math.log(0.5 * x) - 0.5 * x - log_gamma - math.log(2.0) - up)
            move = (up - log_p[k]) / slope
            square[k] = max(x - move, 0.5 * x)
            if abs(move) <= 1e-10 * x:
                break


@kernel
def log_tails(square: float, dof: float, log_gamma: float) -> tuple[float, float]:
    """Log P(larger) and log P(smaller) of a chi-squared variable, `log_gamma` being log Gamma(dof / 2).

    Series and continued fraction of the incomplete gamma functions (DLMF 8.7.1 and 8.9.2), in logarithms, so that neither
    tail underflows.
    """
    a, x = 0.5 * dof, 0.5 * square
    common = a * math.log(x) - x - log_gamma
    if x < a + 1.0:
        term = total = 1.0 / a
        for k in range(1, TERMS):
            term *= x / (a + k)
            total += term
            if term < 1e-17 * total:
                break
        low = min(common + math.log(total), -1e-300)
        return math.log(-math.expm1(low)), low
    b = x + 1.0 - a
    c, d = 1e300, 1.0 / b
    h = d
    for k in range(1, TERMS):
        b += 2.0
        d = 1.0 / (b - k * (k - a) * d)
        c = b - k * (k - a) / c
        h *= c * d
        if abs(c * d - 1.0) < 1e-15:
            break
    up = min(common + math.log(h), -1e-300)
    return up, math.log(-math.expm1(up))


@kernel
def _run(
    gain: Array, variance: Array, level: Array, level_var: Array, rise: Array, fall: Array,
    limit: Array, repeated: Array, changed: Array, log_gamma: Array, gate: float, y: Array, steps: Array, patience: float,
    innovations: Array, rows: Array, counts: Array, normal: Array, repeats: Array, in_alarm: Array,
    score: Array, expected: Array, sd: Array, sign: Array, window: Array,
) -> None:  # fmt: skip
    full = expected.shape[0] > 0
    for t in range(y.shape[0]):
        for i in range(y.shape[1]):
            S = variance[i] * normal[i, 1]
            ahead = level_var[i] + gain[i] * gain[i] * S * steps[t]
            total = ahead + (1.0 - gain[i]) * S
            if full:
                expected[t, i] = level[i] if ahead < np.inf else np.nan
                sd[t, i] = math.sqrt(total) if ahead < np.inf else np.nan
            z, level[i], level_var[i], rise[i], fall[i] = step(
                y[t, i], level[i], ahead, total, S, rise[i], fall[i], patience
            )
            surprise = _repeats(y[t, i], repeats[i], repeated[i], changed[i])
            counts[i, 1] += 1.0
            score[t, i] = np.nan
            if full:
                sign[t, i], window[t, i] = np.nan, 1.0
            if math.isnan(z):
                continue
            z *= math.sqrt(normal[i, 1])
            up, low, span = _tails(z, innovations[i], rows[i], counts[i], normal[i], log_gamma, gate)
            side = 1.0 if up <= min(low, -surprise) else -1.0
            found = -min(up, low, -surprise) - math.log(3.0 if changed[i] > 0.0 else 2.0)
            score[t, i] = max(found, 0.0)
            if full:
                sign[t, i], window[t, i] = side, repeats[i, 3] if side < 0.0 and surprise >= -low else span
            _settle(
                found, side, limit[i], patience, innovations[i], counts[i], normal[i], repeats[i], in_alarm[i], gate
            )
            if restarted(y[t, i], level[i], level_var[i], S):
                counts[i, :] = 0.0


@kernel
def _repeats(y: float, run: Array, repeated: float, changed: float) -> float:
    """Surprise of a value's repetitions: minus log P(as many or more), its probability to be repeated being learnt (beta)."""
    run[3] += 1.0
    if math.isnan(y):
        return 0.0
    if y == run[0]:
        run[2] += math.log1p(changed / (repeated + run[1]))
        run[1] += 1.0
    else:
        run[0], run[1], run[2], run[3] = y, 0.0, 0.0, 1.0
    return float(run[2])


@kernel
def _tails(
    z: float, innovations: Array, rows: Array, counts: Array, normal: Array, log_gamma: Array, gate: float
) -> tuple[float, float, float]:
    """Log p-values of a window as wide, and as narrow, as this one, and the rows it takes; the window moves on."""
    kept = innovations.size
    at, count = int(counts[0]) % kept, int(min(counts[0] + 1.0, kept))
    innovations[at], rows[at] = z, counts[1]
    counts[0] += 1.0
    span = counts[1] - rows[(at + 1) % kept if count == kept else 0] + 1.0
    if count == 1:
        return 0.0, 0.0, span
    edge = gate * math.sqrt(normal[1])
    total = z
    for k in range(count):
        if k != at:
            total += min(max(innovations[k], -edge), edge)
    mean = total / count
    square = (z - mean) ** 2
    for k in range(count):
        if k != at:
            square += (min(max(innovations[k], -edge), edge) - mean) ** 2
    square = max(square, FLOOR * count)
    up = log_tails(square / normal[1], count - 1.0, log_gamma[count - 1])[0]
    low = log_tails(square / normal[0], count - 1.0, log_gamma[count - 1])[1]
    return up, low, span


@kernel
def _settle(
    score: float, side: float, limit: float, patience: float, innovations: Array, counts: Array, normal: Array,
    run: Array, in_alarm: Array, gate: float,
) -> None:  # fmt: skip
    """Follow the range of normal variances back, and widen it where an alarm has lasted for long."""
    kept, at = innovations.size, int(counts[0]) - 1
    if counts[0] > 1.0:
        # Differences, so that a level which is off does not seem to scatter.
        square = 0.5 * (innovations[at % kept] - innovations[(at - 1) % kept]) ** 2
        for each in range(2):
            if normal[each] != 1.0:
                normal[each] += FORGET * (min(square, gate * gate * max(normal[each], 1.0)) - normal[each])
        normal[0], normal[1] = min(max(normal[0], FLOOR), 1.0), max(normal[1], 1.0)
    in_alarm[0] = held(score if side < 0.0 else 0.0, limit, in_alarm[0])
    in_alarm[1] = held(score if side > 0.0 else 0.0, limit, in_alarm[1])
    if max(in_alarm[0], in_alarm[1]) < patience:
        return
    variance = _variance(innovations, int(counts[0]), max(int(patience), FEWEST))
    if side > 0.0:
        normal[1] = max(normal[1], MARGIN * variance)
    else:
        # Innovations of a sensor that is stuck fade for long, as its level comes near.
        normal[0] = FLOOR if run[1] > 0.0 else max(min(normal[0], variance / MARGIN), FLOOR)
        run[2] = -np.inf
    in_alarm[:] = 0.0
    counts[:] = 0.0


@kernel
def _variance(innovations: Array, count: int, wanted: int) -> float:
    """Robust variance of the last innovations around their median."""
    kept = innovations.size
    n = min(wanted, count, kept)
    last = np.empty(n)
    for k in range(n):
        last[k] = innovations[(count - 1 - k) % kept]
    scale = MAD * float(np.median(np.abs(last - np.median(last))))
    return scale * scale
