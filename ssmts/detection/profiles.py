"""What is usual for a sensor, seen from several sides: its level, its range, its profile over the day and over the week.

A view keeps a level for every bin of a cycle, or one level if it has no cycle. A level starts as a running mean and goes on as
exponential smoothing, the local level model in its steady state; the standard deviation of the innovations is followed too. Readings
beyond the gate count as ones at the gate. Two charts of innovations are kept besides: their smoothed mean shows small
lasting shifts (EWMA chart, Roberts 1959), their smoothed square a sensor that scatters more or less than it did.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from ssmts.core.types import Array, Index
from ssmts.detection import extremes
from ssmts.detection.extremes import Extremes
from ssmts.detection.joint import normal_score
from ssmts.detection.local_level import RESOLUTION
from ssmts.detection.normal_tail import log_erfc
from ssmts.detection.robust import GATE, LARGEST, clipped, kernel, part, persistent, weight

FOLLOW = 0.001  # how fast variances follow: they rest on the last thousand readings
YOUNG = 5.0  # readings that the spread of the training rows is worth at the start
SHARED = 10.0  # readings that the variance of all bins is worth in that of one
CHART = 0.1  # smoothing of the charts, which rest on the last twenty readings
REACH = 5.0  # standard deviations that a reading counts for at most in a chart
FAR = 10.0  # standard deviations that the first reading of a bin counts for, and that show a variance to be wrong if readings stay beyond
CHART_ROWS = round(2.0 / CHART) - 1  # rows of a plain mean of the same variance
CHARTS = 2
# The cube root of a chi-squared divided by its degrees of freedom is normal with this variance, and mean 1 less the variance
# (Wilson and Hilferty 1931).
CUBE_ROOT = 2.0 / (9.0 * CHART_ROWS)
# Views overlap. Taken for this many independent ones, they alarm as often as asked on white noise.
INDEPENDENT = 3.0
LOG_INDEPENDENT = math.log(INDEPENDENT)


class Views(NamedTuple):
    """The sides that every sensor is seen from.

    Attributes
    ----------
    gain : (n_views,)
        Least share of an innovation that a level follows.
    first, n_bins : (n_views,)
        Where the bins of a view begin in the table of levels, and how many they are.
    scatter, shift : int
        Views whose innovations are charted for their scatter and for shifts; by the latter, views after it open their bins.
    """

    gain: Array
    first: Index
    n_bins: Index
    scatter: int
    shift: int


class ViewState(NamedTuple):
    """What is known of every sensor after its last row.

    Attributes
    ----------
    level, level_var, readings : (n_sensors, n_bins of all views)
        Level of every bin, variance of the innovations in it, and readings it has seen.
    variance, seen : (n_sensors, n_views)
        Of the innovations in any bin, and readings it rests on.
    rise, fall, wild : (n_sensors, n_views)
        Evidence that the level has shifted up, down, or that the scatter has grown, see `ssmts.detection.robust`.
    mean, power : (n_sensors,)
        Smoothed innovation, smoothed square of the innovation.
    elapsed : (n_sensors,)
        Usual intervals that the sensor has been silent.
    extremes : Extremes
        Of the views, and of the two charts in the last columns.
    """

    level: Array
    level_var: Array
    readings: Array
    variance: Array
    seen: Array
    rise: Array
    fall: Array
    wild: Array
    mean: Array
    power: Array
    elapsed: Array
    extremes: Extremes


class Judgement(NamedTuple):
    """What the views say of readings, each ``(n_times, n_sensors)``; fields besides the first two have no rows unless asked for.

    Attributes
    ----------
    log_p : log p-value, NaN where nothing was read.
    z : standardised innovation in the view that is charted for shifts, NaN where nothing was read.
    expected, lower, upper : expected reading, and the range outside of which it would reach the level asked for in some view.
    deviation : signed, in standard deviations.
    window : rows that the evidence comes from.
    """

    log_p: Array
    z: Array
    expected: Array
    lower: Array
    upper: Array
    deviation: Array
    window: Index


def start(views: Views, y: Array) -> ViewState:
    """The state before the first training row: the middle and the spread of the training rows, and no profile.

    Parameters
    ----------
    views : Views
    y : (n_times, n_sensors)
    """
    d, n_views, n_bins = y.shape[1], len(views.gain), int(views.n_bins.sum())
    middle = np.nanmedian(y, axis=0)
    away = np.abs(y - middle)
    away[away == 0] = np.nan  # a sensor that hardly ever moves has the spread of its moves
    spread = np.zeros(d)
    moves = ~np.isnan(away).all(axis=0)
    spread[moves] = 1.4826 * np.nanmedian(away[:, moves], axis=0)
    level, readings = np.zeros((d, n_bins)), np.zeros((d, n_bins))
    plain = views.first[views.n_bins == 1]
    level[:, plain], readings[:, plain] = middle[:, None], 1.0
    rise, fall, wild = np.zeros((3, d, n_views))
    return ViewState(
        level=level,
        level_var=np.zeros((d, n_bins)),
        readings=readings,
        variance=np.repeat(spread[:, None] ** 2, n_views, axis=1),
        seen=np.full((d, n_views), YOUNG),
        rise=rise,
        fall=fall,
        wild=wild,
        mean=np.zeros(d),
        power=np.ones(d),
        elapsed=np.zeros(d),
        extremes=extremes.start(d, n_views + CHARTS),
    )


def run(
    views: Views,
    state: ViewState,
    y: Array,
    bins: Index,
    steps: Array,
    patience: int,
    alarm_level: float | None = None,
) -> tuple[Judgement, ViewState]:
    """Judge each row by the rows before it, and the state after the last; `state` is left as it is.

    A reading is as strange as its strangest view finds it. After `patience` readings in a row beyond the gate on one side
    (or more of a smaller excess) a view moves to where the readings are: a level to the last of them, a profile as a whole. If
    for twice as long they are ten standard deviations off on either side, its variance is taken from the last of them.

    Parameters
    ----------
    views : Views
    state : ViewState
    y : (n_times, n_sensors)
    bins : (n_times, n_views)
        Which bin of each view a row falls in.
    steps : (n_times,)
        Usual intervals that went by since the row before.
    patience : int
    alarm_level : float, optional
        Log p-value of a sensor that the range is for. Without it only `log_p` and `z` are filled.
    """
    y = np.require(y, requirements=["C", "W"])
    n, d = y.shape
    kept = 0 if alarm_level is None else n
    expected, lower, upper, deviation = np.empty((4, kept, d))
    window = np.ones((kept, d), dtype=np.int64)
    told = Judgement(np.empty((n, d)), np.empty((n, d)), expected, lower, upper, deviation, window)
    fields: Any = (*(field.copy() for field in state[:-1]), extremes.copied(state.extremes))
    after = ViewState(*fields)
    _run(views, after, y, bins, steps, float(patience), float(alarm_level or 0.0), told)
    return told, after


@kernel
def _run(
    views: Views, state: ViewState, y: Array, bins: Index, steps: Array, patience: float, alarm_level: float, told: Judgement
) -> None:  # fmt: skip
    full = told.expected.shape[0] > 0
    for t in range(y.shape[0]):
        for i in range(y.shape[1]):
            state.elapsed[i] += steps[t]
            expected, sd = np.nan, np.nan
            if full:
                expected, sd, lower, upper = _range(views, state, i, bins[t], alarm_level - LOG_INDEPENDENT)
                told.expected[t, i], told.lower[t, i], told.upper[t, i] = expected, lower, upper
                told.deviation[t, i] = (y[t, i] - expected) / sd
            if math.isnan(y[t, i]):
                told.log_p[t, i] = told.z[t, i] = np.nan
                continue
            log_p, told.z[t, i], strangest, level, deviation = _reading(views, state, i, bins[t], y[t, i], patience)
            told.log_p[t, i] = log_p
            state.elapsed[i] = 0.0
            if full and log_p < alarm_level:
                told.expected[t, i], told.deviation[t, i] = level, deviation
                told.window[t, i] = CHART_ROWS if strangest >= views.gain.size else 1


@part
def _reading(
    views: Views, state: ViewState, i: int, bins: Index, y: float, patience: float
) -> tuple[float, float, int, float, float]:
    """Log p-value of a reading, z, the view or chart that finds it strangest, and level and deviation in that; all learn it."""
    n_views, usual = views.gain.size, np.nan
    log_p, strangest, level, deviation, opening = 0.0, 0, np.nan, np.nan, y
    for v in range(n_views):
        at = views.first[v] + bins[v]
        before = state.level[i, at]
        if state.readings[i, at] == 0.0:
            state.level[i, at], state.readings[i, at] = opening, 1.0
            continue
        z = _follow(views, state, i, v, at, y, patience)
        found = _judge(state.extremes, i, v, z)
        if found < log_p:
            log_p, strangest, level, deviation = found, v, before, z
        if v == views.shift:
            usual = z
            opening = y if abs(z) <= FAR else before + (y - before) * FAR / abs(z)
            state.mean[i] += CHART * (min(max(z, -REACH), REACH) - state.mean[i])
            charted = state.mean[i] * math.sqrt((2.0 - CHART) / CHART)
            found = _judge(state.extremes, i, n_views, charted)
            if found < log_p:
                log_p, strangest, level, deviation = found, n_views, before, charted
        if v == views.scatter:
            state.power[i] += CHART * (min(z * z, REACH * REACH) - state.power[i])
            charted = (math.pow(state.power[i], 1.0 / 3.0) - 1.0 + CUBE_ROOT) / math.sqrt(CUBE_ROOT)
            found = _judge(state.extremes, i, n_views + 1, charted)
            if found < log_p:
                log_p, strangest, level, deviation = found, n_views + 1, before, z
    return min(log_p + LOG_INDEPENDENT, 0.0), usual, strangest, level, deviation


@part
def _judge(known: Extremes, i: int, v: int, z: float) -> float:
    """Log p-value of a deviation, which is learnt afterwards."""
    score = -log_erfc(abs(z) / math.sqrt(2.0))
    log_p = extremes.log_p_value(known.location[i, v], known.spread[i, v], score)
    extremes.learn(known, i, v, score)
    return float(log_p)


@part
def _range(views: Views, state: ViewState, i: int, bins: Index, log_p: float) -> tuple[float, float, float, float]:
    """Expected reading and its standard deviation in the view that is surest of it, and the range common to all views."""
    expected, sd, lower, upper = np.nan, np.inf, -np.inf, np.inf
    for v in range(views.gain.size):
        at = views.first[v] + bins[v]
        if state.readings[i, at] == 0.0:
            continue
        level, own = state.level[i, at], math.sqrt(_variance(views, state, i, v, at))
        score = extremes.score_at(state.extremes.location[i, v], state.extremes.spread[i, v], log_p)
        reach = own * normal_score(-score)
        lower, upper = max(lower, level - reach), min(upper, level + reach)
        if own < sd:
            expected, sd = level, own
    return expected, sd, lower, upper


@part
def _variance(views: Views, state: ViewState, i: int, v: int, at: int) -> float:
    """Variance of the next innovation in a view."""
    count, variance = state.readings[i, at], state.variance[i, v]
    more = 1.0 + 1.0 / count
    if views.n_bins[v] > 1:
        m = min(count, 1.0 / views.gain[v])
        variance = (SHARED * variance + m * state.level_var[i, at]) / (SHARED + m)
    else:  # the level has moved on in the meantime
        more += views.gain[v] ** 2 * (state.elapsed[i] - 1.0)
    total = max(more * variance, (RESOLUTION * state.level[i, at]) ** 2, 1e-200)
    return float(total)


@part
def _follow(views: Views, state: ViewState, i: int, v: int, at: int, y: float, patience: float) -> float:
    """Standardised innovation of a reading in a view, which follows it."""
    total = _variance(views, state, i, v, at)
    count = state.readings[i, at]
    state.readings[i, at] = count + 1.0
    e = y - state.level[i, at]
    z = float(min(max(e / math.sqrt(total), -LARGEST), LARGEST))
    square = (weight(z) * e) ** 2
    state.seen[i, v] += 1.0
    state.variance[i, v] += max(FOLLOW, 1.0 / state.seen[i, v]) * (square - state.variance[i, v])
    gain = max(views.gain[v], 1.0 / (count + 1.0))
    if views.n_bins[v] == 1:
        drift = gain * gain * (state.elapsed[i] - 1.0)
        gain = (gain + drift) / (1.0 + drift)
    state.level_var[i, at] += gain * (square - state.level_var[i, at])
    state.level[i, at] += gain * weight(z) * e
    _release(views, state, i, v, at, y, e, z, patience)
    return z


@part
def _release(
    views: Views, state: ViewState, i: int, v: int, at: int, y: float, e: float, z: float, patience: float
) -> None:
    """Let a view go to where the readings have been for long, and its variance to what they have shown for long."""
    state.rise[i, v], state.fall[i, v] = clipped(z, state.rise[i, v], state.fall[i, v])
    state.wild[i, v] = max(0.0, state.wild[i, v] + min(abs(z), FAR) - (FAR - 1.0))
    if state.wild[i, v] >= 2.0 * patience - 1e-9:
        state.variance[i, v], state.seen[i, v], state.wild[i, v] = (e / GATE) ** 2, YOUNG, 0.0
    if persistent(state.rise[i, v], state.fall[i, v], patience):
        state.rise[i, v] = state.fall[i, v] = 0.0
        if views.n_bins[v] == 1:
            state.level[i, at], state.readings[i, at] = y, 1.0
            return
        first, move = views.first[v], y - state.level[i, at]
        for k in range(first, first + views.n_bins[v]):
            if state.readings[i, k] > 0.0:
                state.level[i, k] += move
