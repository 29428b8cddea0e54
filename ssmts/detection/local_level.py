"""Local levels of many sensors: robust estimation, and innovations from a filter that neither spikes nor shifts lock up.

Every sensor is a random walk seen with noise. With K the gain and S the innovation variance of its steady state,

    y[t] = level[t] + e[t],        var e = (1 - K) S
    level[t+1] = level[t] + w[t],  var w = K^2 S for a step of one usual interval

which is simple exponential smoothing with the smoothing parameter K (Muth 1960; Durbin and Koopman 2012, section 2.11).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ssmts.core.types import Array
from ssmts.detection.robust import GATE, LARGEST, clipped, kernel, persistent, weight
from ssmts.exceptions import TooShortError

FEWEST = 3  # readings of a sensor that show a level, a change and a noise
SLOWEST = (
    1e-3  # least gain: a level that could not move would be no model of a stream, and this costs 0.05 % of variance
)
RESOLUTION = 1e-9  # standard deviation of a sensor that always was as expected, relative to its value
GRID, GOLDEN, SETTLE = 12, 9, 6  # gains tried on a grid, then by golden section; passes that settle the scale

# A Student t with 4 degrees of freedom weighs the innovations; its scale is that of a normal times 0.831, the root of
# E[5 u^2 / (4 + u^2)] = 1 for u = N(0, 1) / scale.
T_UNITS = 1.2033643751
FURTHEST = (T_UNITS * GATE) ** 2  # squared innovation, in units of t, from which on the loss is constant


class LocalLevel(NamedTuple):
    """Parameters of every sensor.

    Attributes
    ----------
    gain : (n_sensors,)
        Steady-state Kalman gain, above 0 and below 1.
    innovation_var : (n_sensors,)
        Steady-state variance of the innovations, in squared units of the sensor.
    """

    gain: Array
    innovation_var: Array

    @property
    def obs_var(self) -> Array:
        """Variance of the measurement noise."""
        return (1 - self.gain) * self.innovation_var

    @property
    def level_var(self) -> Array:
        """Variance of the level's change over one usual interval."""
        return self.gain**2 * self.innovation_var


class LevelState(NamedTuple):
    """What is known of every sensor after its last row.

    Attributes
    ----------
    level, level_var : (n_sensors,)
        Filtered mean and variance of the level; the variance of a sensor that has not spoken is infinite.
    rise, fall : (n_sensors,)
        Evidence that the level has shifted up or down, see `ssmts.detection.robust`.
    """

    level: Array
    level_var: Array
    rise: Array
    fall: Array


class Innovations(NamedTuple):
    """One-step-ahead predictions and what the readings add to them, each ``(n_times, n_sensors)``.

    Attributes
    ----------
    expected, sd : predicted mean and standard deviation of the reading; NaN while nothing is known.
    z : standardised innovation, NaN where nothing was read or nothing predicted.
    """

    expected: Array
    sd: Array
    z: Array


def start(n_sensors: int) -> LevelState:
    """The state before the first row: nothing is known."""
    zeros = np.zeros(n_sensors)
    return LevelState(zeros, np.full(n_sensors, np.inf), zeros, zeros)


def fit(y: Array, steps: Array, patience: int, names: Sequence[str] | None = None) -> LocalLevel:
    """Estimate gain and innovation variance of every sensor, whatever a few per cent of its readings are.

    The innovations of the robust filter are weighed as by a Student t with 4 degrees of freedom, whose scale is that of maximum
    likelihood (Lange, Little and Taylor 1989). The gain minimises its negative log-likelihood, in which an innovation beyond the
    gate counts as one at the gate: the influence of a reading is bounded on the level, on the scale and on the gain, as in the
    robust exponential smoothing of Gelper, Fried and Croux (2010). The scale is consistent for normal innovations.

    Parameters
    ----------
    y : (n_times, n_sensors)
        NaN where a sensor was silent.
    steps : (n_times,)
        Usual intervals that went by since the row before.
    patience : int
        See `run`.
    names : sequence of str, optional
        What sensors are called in messages; their numbers by default.

    Raises
    ------
    TooShortError
        If a sensor has fewer than three readings.
    """
    enough(y, names)
    columns = [_fit_column(np.ascontiguousarray(column), steps, float(patience)) for column in y.T]
    gain, sd = (np.array(values) for values in zip(*columns))
    return LocalLevel(gain, sd**2)


def enough(y: Array, names: Sequence[str] | None = None) -> None:
    """Raise unless every sensor has the `FEWEST` readings that show a level and a noise."""
    counts = (~np.isnan(y)).sum(axis=0)
    if counts.min() < FEWEST:
        few = int(counts.argmin())
        raise TooShortError(
            f"Sensor {few if names is None else names[few]} has {counts.min()} reading(s) in the {len(y)} training row(s), "
            f"n_samples = {len(y)}; its level and noise need at least {FEWEST}. Train on more rows."
        )


def run(
    model: LocalLevel, state: LevelState, y: Array, steps: Array, patience: int, *, full: bool = False
) -> tuple[Innovations, LevelState]:
    """Innovations of each row given the rows before it, and the state after the last; `state` is left as it is.

    Within `GATE` standard deviations this is the Kalman filter. Beyond, the innovation variance is multiplied by the square of
    the excess, so that a spike moves the level the less the larger it is (the weighted-observation likelihood filter of
    Duran-Martin et al. 2024, weight ``min(1, GATE / |z|)``). After `patience` readings in a row beyond the gate on one side
    (or more of a smaller excess) the level restarts from the last of them.

    Parameters
    ----------
    model : LocalLevel
    state : LevelState
    y : (n_times, n_sensors)
    steps : (n_times,)
    patience : int
    full : bool, default False
        Whether to keep `expected` and `sd` too; otherwise they have no rows.
    """
    if type(y) is not np.ndarray or not y.flags.carray:  # one compiled kernel for every kind of array
        y = np.require(y, requirements=["C", "W"])
    n, d = y.shape
    kept = n if full else 0
    out = Innovations(np.empty((kept, d)), np.empty((kept, d)), np.empty((n, d)))
    level, level_var, rise, fall = state
    moved = LevelState(level.copy(), level_var.copy(), rise.copy(), fall.copy())
    _run(*model, *moved, y, steps, float(patience), *out)
    return out, moved


def bounded_scale(z: Array) -> float:
    """Scale of standardised innovations, 1 for normal ones, whatever a few per cent of them are."""
    seen = np.abs(z)
    moving = seen[seen > 0]
    if not len(moving):
        return 1.0
    scale = float(np.median(moving))
    least = 0.1 * scale
    for _ in range(50):
        square = (T_UNITS * seen / scale) ** 2
        scale = max(scale * float(np.sqrt(np.mean(5.0 * square / (4.0 + square)))), least)
    return scale


def bounded_loss(innovations: Innovations) -> tuple[float, float]:
    """The loss that `fit` minimises, for innovations of any model with variances free of scale, and their scale."""
    seen = ~np.isnan(innovations.z)
    scale = bounded_scale(innovations.z[seen])
    square = (T_UNITS * innovations.z[seen] / scale) ** 2
    loss = np.log(scale * innovations.sd[seen]) + 2.5 * np.log1p(0.25 * np.minimum(square, FURTHEST))
    return float(np.mean(loss)), scale


@kernel
def _run(
    gain: Array, variance: Array, level: Array, level_var: Array, rise: Array, fall: Array,
    y: Array, steps: Array, patience: float, expected: Array, sd: Array, z: Array,
) -> None:  # fmt: skip
    for t in range(y.shape[0]):
        gone = steps[t]
        if expected.shape[0] > 0:
            for i in range(y.shape[1]):
                ahead = level_var[i] + gain[i] * gain[i] * variance[i] * gone
                expected[t, i] = level[i] if ahead < np.inf else np.nan
                sd[t, i] = math.sqrt(ahead + (1.0 - gain[i]) * variance[i]) if ahead < np.inf else np.nan
        row, out = y[t], z[t]
        for i in range(row.size):  # several sensors at once: nothing in the loop branches
            S = variance[i]
            ahead = level_var[i] + gain[i] * gain[i] * S * gone
            total = ahead + (1.0 - gain[i]) * S
            out[i], level[i], level_var[i], rise[i], fall[i] = step(
                row[i], level[i], ahead, total, S, rise[i], fall[i], patience
            )


@kernel
def step(
    y: float, level: float, ahead: float, total: float, S: float, rise: float, fall: float, patience: float
) -> tuple[float, float, float, float, float]:
    """One reading of one sensor: its standardised innovation, and the level, its variance, rise and fall after it.

    Choices are made between results, not between ways, so that the compiler can take several sensors in one instruction.
    """
    known, read = ahead < np.inf, y == y
    usual = known and read
    value = y if read else level
    root = math.sqrt(total if known else 1.0)
    z = min(max((value - level) / root, -LARGEST), LARGEST)
    up, down = clipped(z, rise, fall)
    anew = read and (persistent(up, down, patience) or not known)
    K = ahead / total * weight(z) ** 2
    return (
        z if usual else np.nan,
        value if anew else (level + K * (z * root) if usual else level),
        GATE * GATE * S if anew else (ahead * (1.0 - K) if usual else ahead),
        0.0 if anew else (up if usual else rise),
        0.0 if anew else (down if usual else fall),
    )


@kernel
def _fit_column(y: Array, steps: Array, patience: float) -> tuple[float, float]:
    """Gain and standard deviation of the innovations of one sensor."""
    unit = usual_change(y)
    if unit == 0.0:
        last = 0.0
        for value in y:
            if not math.isnan(value):
                last = value
        return SLOWEST, RESOLUTION * (abs(last) if last != 0.0 else 1.0)
    least = 0.1 * unit  # of the scale, for readings that hardly ever change
    lowest, highest = math.log(SLOWEST), -math.log(SLOWEST)
    width = (highest - lowest) / (GRID - 1)
    best, best_loss, best_sd, sd = lowest, np.inf, unit, unit
    for j in range(GRID):
        at = lowest + j * width
        loss, sd = _loss(y, steps, patience, at, sd, least)
        if loss < best_loss:
            best, best_loss, best_sd = at, loss, sd
    left, right = max(best - width, lowest), min(best + width, highest)
    at, sd = _golden(y, steps, patience, left, right, best_sd, least)
    gain = 1.0 / (1.0 + math.exp(-at))
    for _ in range(SETTLE):
        sd = _pass(y, steps, patience, gain, sd, least)[1]
    return gain, sd


@kernel
def _golden(
    y: Array, steps: Array, patience: float, left: float, right: float, sd: float, least: float
) -> tuple[float, float]:
    """Golden-section search for the logit of the gain."""
    ratio = 0.5 * (math.sqrt(5.0) - 1.0)
    a, b = right - ratio * (right - left), left + ratio * (right - left)
    loss_a, sd = _loss(y, steps, patience, a, sd, least)
    loss_b, sd = _loss(y, steps, patience, b, sd, least)
    for _ in range(GOLDEN):
        if loss_a <= loss_b:
            right, b, loss_b = b, a, loss_a
            a = right - ratio * (right - left)
            loss_a, sd = _loss(y, steps, patience, a, sd, least)
        else:
            left, a, loss_a = a, b, loss_b
            b = left + ratio * (right - left)
            loss_b, sd = _loss(y, steps, patience, b, sd, least)
    return (a, sd) if loss_a <= loss_b else (b, sd)


@kernel
def _loss(y: Array, steps: Array, patience: float, logit: float, sd: float, least: float) -> tuple[float, float]:
    """Loss of a gain at its own scale, which one pass has improved, and that scale."""
    gain = 1.0 / (1.0 + math.exp(-logit))
    sd = _pass(y, steps, patience, gain, sd, least)[1]
    return _pass(y, steps, patience, gain, sd, least)[0], sd


@kernel
def _pass(y: Array, steps: Array, patience: float, gain: float, sd: float, least: float) -> tuple[float, float]:
    """Mean bounded loss of the innovations, and the next scale of the EM iteration for a t."""
    S = sd * sd
    level, level_var, rise, fall = 0.0, np.inf, 0.0, 0.0
    loss, ratio, count = 0.0, 0.0, 0
    for t in range(y.size):
        ahead = level_var + gain * gain * S * steps[t]
        total = ahead + (1.0 - gain) * S
        z, level, level_var, rise, fall = step(y[t], level, ahead, total, S, rise, fall, patience)
        if not math.isnan(z):
            square = (T_UNITS * z) ** 2
            bounded = 1.0 + 0.25 * min(square, FURTHEST)
            loss += 0.5 * math.log(total * bounded**5)
            ratio += 5.0 * square / (4.0 + square)
            count += 1
    return loss / count, max(sd * math.sqrt(ratio / count), least)


@kernel
def usual_change(y: Array) -> float:
    """Median size of the changes from one reading to the next, among those that are changes; 0 if there are none."""
    changes = np.empty(y.size)
    count, before = 0, np.nan
    for value in y:
        if math.isnan(value):
            continue
        if not math.isnan(before) and value != before:
            changes[count] = abs(value - before)
            count += 1
        before = value
    return float(np.median(changes[:count])) if count else 0.0
