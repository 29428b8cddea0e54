"""Control charts of many sensors: evidence of small shifts that last, gathered over many readings.

All scores are logarithms of likelihood ratios between a shift and none, for standard normal innovations z:

* CUSUM (Page 1954): of a shift by `size` standard deviations up or down, since the row that makes it largest,
  ``size max_j sum_(i>=j) (z[i] - size / 2)``.
* GLR (Willsky and Jones 1976): of a shift of any size, ``max_n (sum of the last n z)^2 / (2 n)``, n on a grid.
* EWMA (Roberts 1959): ``Z^2 / (2 var Z)`` of the average ``Z[t] = (1 - w) Z[t-1] + w z[t]``.

The latest reading counts in full, those before for `GATE` standard deviations at most: a spike is an alarm of one row and not the
beginning of a shift. A reading that did not come adds nothing and takes nothing away.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from ssmts.core.types import Array
from ssmts.detection.baseline import RESTART_VAR, held, restarted
from ssmts.detection.local_level import LevelState, LocalLevel, step
from ssmts.detection.robust import GATE, kernel

FINENESS = math.sqrt(2.0)  # ratio of neighbouring windows of the GLR; at worst a fifth of a shift's rows go unused
UNHEARD = 100  # rows
ATTAINED = 0.8  # part of the highest score of a chart that a limit may be
METHODS = CUSUM, GLR, EWMA = ("cusum", "glr", "ewma")


class Chart(NamedTuple):
    """What a chart knows of its sensors, and what it looks for.

    Attributes
    ----------
    level : LocalLevel
        Of the baseline.
    limit : (n_sensors,)
        Score from which a sensor is in alarm by itself.
    size : float
        CUSUM: the shift in standard deviations.
    weight : float
        EWMA: that of the latest reading.
    windows : (n_windows,)
        GLR: numbers of readings.
    gate : float
        Standard deviations that earlier readings count for at most.
    """

    level: LocalLevel
    limit: Array
    size: float
    weight: float
    windows: Array
    gate: float = GATE


class ChartState(NamedTuple):
    """What is known of every sensor after its last row.

    Attributes
    ----------
    level : LevelState
    evidence : (n_sensors, n_fields)
        CUSUM: the sums up and down, and the readings and rows since each was zero. GLR: sum of all readings, their number, and
        rows, since the restart. EWMA: average, its variance, and rows.
    sums, rows : (n_sensors, window)
        GLR: the sum of all readings before each of the last ones, and its row; in turn.
    held : (n_sensors,)
        Rows in alarm.
    """

    level: LevelState
    evidence: Array
    sums: Array
    rows: Array
    held: Array


class Evidence(NamedTuple):
    """What charts say of rows, each ``(n_times, n_sensors)``.

    Attributes
    ----------
    score : log likelihood ratio, NaN where nothing was read or nothing predicted.
    expected, sd : of the reading.
    size : mean innovation over the rows that the score rests on, signed: the estimated shift in standard deviations.
    window : number of these rows.
    """

    score: Array
    expected: Array
    sd: Array
    size: Array
    window: Array


def grid(window: int) -> Array:
    """Windows of the GLR from 1 to `window`, each about `FINENESS` times as long as the one before."""
    count = 1 + math.ceil(math.log(window) / math.log(FINENESS))
    return np.unique(np.rint(np.geomspace(1.0, window, count))).astype(np.int64)


def start(method: str, level: LevelState, window: int) -> ChartState:
    """The state before the first row.

    Parameters
    ----------
    method : "cusum", "glr" or "ewma"
    level : LevelState
        Of the baseline.
    window : int
        Longest window of the GLR.
    """
    d = len(level.level)
    kept = window if method == GLR else 0
    return ChartState(
        level, np.zeros((d, 6 if method == CUSUM else 3)), np.zeros((d, kept)), np.zeros((d, kept)), np.zeros(d)
    )


def run(
    method: str, chart: Chart, state: ChartState, y: Array, steps: Array, patience: float, *, full: bool = False
) -> tuple[Evidence, ChartState]:
    """Scores of each row given the rows before it, and the state after the last; `state` is left as it is.

    With the baseline ``constant(zeros, ones)``, and infinite `limit` and `patience`, `y` are innovations of any other model.

    Parameters
    ----------
    method : "cusum", "glr" or "ewma"
    chart : Chart
    state : ChartState
    y : (n_times, n_sensors)
    steps : (n_times,)
    patience : float
        Rows in alarm after which the baseline restarts from the latest reading and the evidence from nothing. Where readings
        beyond the gate never reach the limit, because that is beyond the chart, this happens `UNHEARD` rows later.
    full : bool, default False
        Whether to keep all fields; otherwise those besides `score` have no rows.
    """
    y = np.require(y, requirements=["C", "W"])  # one compiled kernel for every kind of array
    n, d = y.shape
    kept = n if full else 0
    told = Evidence(np.empty((n, d)), *(np.empty((kept, d)) for _ in range(4)))
    level = LevelState(*(field.copy() for field in state.level))
    moved = ChartState(level, *(field.copy() for field in state[1:]))
    _run(
        METHODS.index(method), *chart.level, *level, chart.limit, chart.size, chart.weight, chart.windows, chart.gate,
        y, steps, float(patience), float(patience + UNHEARD), *moved[1:], *told,
    )  # fmt: skip
    return told, moved


def reach(method: str, chart: Chart, score: Array) -> Array:
    """Innovations at which single readings have these scores, with no evidence before them."""
    if method == CUSUM:
        found: Array = score / chart.size + 0.5 * chart.size
        return found
    # A single reading has the weight w among an average of variance w / (2 - w).
    w = chart.weight if method == EWMA else 1.0
    return np.sqrt(2.0 * score / (w * (2.0 - w)))


def within_reach(method: str, chart: Chart, limit: Array) -> Array:
    """Limits that a shift beyond the gate will pass, whatever its size; averages and windows of bounded readings are bounded."""
    if method == CUSUM:
        return limit
    highest = 0.5 * chart.gate**2 * ((2.0 - chart.weight) / chart.weight if method == EWMA else chart.windows[-1])
    return np.minimum(limit, ATTAINED * highest)


@kernel
def _run(
    method: int, gain: Array, variance: Array, level: Array, level_var: Array, rise: Array, fall: Array,
    limit: Array, size: float, weight: float, windows: Array, gate: float, y: Array, steps: Array, patience: float, unheard: float,
    evidence: Array, sums: Array, rows: Array, held_rows: Array,
    score: Array, expected: Array, sd: Array, shift: Array, window: Array,
) -> None:  # fmt: skip
    full = expected.shape[0] > 0
    for t in range(y.shape[0]):
        for i in range(y.shape[1]):
            S = variance[i]
            ahead = level_var[i] + gain[i] * gain[i] * S * steps[t]
            total = ahead + (1.0 - gain[i]) * S
            if full:
                expected[t, i] = level[i] if ahead < np.inf else np.nan
                sd[t, i] = math.sqrt(total) if ahead < np.inf else np.nan
            z, level[i], level_var[i], rise[i], fall[i] = step(
                y[t, i], level[i], ahead, total, S, rise[i], fall[i], unheard
            )
            if method == 0:
                found, mean, reach = _cusum(z, evidence[i], size, gate)
            elif method == 1:
                found, mean, reach = _glr(z, evidence[i], sums[i], rows[i], windows, gate)
            else:
                found, mean, reach = _ewma(z, evidence[i], weight, gate)
            score[t, i] = found
            if full:
                shift[t, i], window[t, i] = mean, reach
            if math.isnan(y[t, i]):
                continue
            held_rows[i] = held(found, limit[i], held_rows[i])
            if held_rows[i] >= patience:
                level[i], level_var[i], rise[i], fall[i] = y[t, i], RESTART_VAR * S, 0.0, 0.0
            if restarted(y[t, i], level[i], level_var[i], S):
                evidence[i, :] = 0.0
                held_rows[i] = 0.0


@kernel
def _cusum(z: float, evidence: Array, size: float, gate: float) -> tuple[float, float, float]:
    """Score, mean shift and rows it rests on after an innovation; `evidence` moves on."""
    slack = 0.5 * size
    for side in range(2):
        if evidence[side] > 0.0:
            evidence[4 + side] += 1.0
        else:
            evidence[2 + side], evidence[4 + side] = 0.0, 1.0
    if math.isnan(z):
        return np.nan, np.nan, 1.0
    side = 0 if evidence[0] + z >= evidence[1] - z else 1
    sign = 1.0 - 2.0 * side
    excess, readings, reach = evidence[side] + sign * z - slack, evidence[2 + side] + 1.0, evidence[4 + side]
    for each in range(2):
        within = min(max(z, -gate), gate) * (1.0 - 2.0 * each)
        evidence[each] = max(evidence[each] + within - slack, 0.0)
        evidence[2 + each] += 1.0
    if excess <= 0.0:
        return 0.0, z, 1.0
    return size * excess, sign * (excess + slack * readings) / readings, reach


@kernel
def _glr(
    z: float, evidence: Array, sums: Array, rows: Array, windows: Array, gate: float
) -> tuple[float, float, float]:
    """As `_cusum`."""
    row = evidence[2]
    evidence[2] += 1.0
    if math.isnan(z):
        return np.nan, np.nan, 1.0
    total, readings, kept = evidence[0], int(evidence[1]), sums.size
    sums[readings % kept], rows[readings % kept] = total, row
    best, best_n, best_sum, first = -1.0, 1, z, row
    for n in windows:
        if n > readings + 1:
            break
        at = (readings + 1 - n) % kept
        part = total - sums[at] + z
        found = 0.5 * part * part / n
        if found > best:
            best, best_n, best_sum, first = found, n, part, rows[at]
    evidence[0], evidence[1] = total + min(max(z, -gate), gate), readings + 1.0
    return best, best_sum / best_n, row - first + 1.0


@kernel
def _ewma(z: float, evidence: Array, weight: float, gate: float) -> tuple[float, float, float]:
    """As `_cusum`."""
    evidence[2] += 1.0
    if math.isnan(z):
        return np.nan, np.nan, 1.0
    average, variance = (1.0 - weight) * evidence[0], (1.0 - weight) ** 2 * evidence[1] + weight * weight
    now = average + weight * z
    evidence[0], evidence[1] = average + weight * min(max(z, -gate), gate), variance
    # As many readings without weights would have an average of this variance in the long run.
    return 0.5 * now * now / variance, now, min(evidence[2], math.ceil((2.0 - weight) / weight))
