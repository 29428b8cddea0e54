"""What is usual of every sensor: a slow robust range, its daily cycle, its noise, its silences and its runs of equal values.

A detector's expected value follows the readings within rows; after ten rows of a fault it expects the fault. Which sensor is off,
how far and in what way is told against a baseline that does not follow: ranked by the distance from a frozen robust range, the
faulty channels of server machines come first more often than ranked by innovations.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from ..core.types import Array
from ..exceptions import InputError
from .local_level import RESOLUTION
from .robust import kernel

__all__ = ["Usual", "clock", "learn"]

HARMONICS = 2  # of the cycle: its shape, and no more than two days of rows can tell
DAY = 86400.0
MOST_ROWS, FEWEST_ROWS, BUDGET = (
    20_000,
    2000,
    1_000_000,
)  # of the last rows learnt from, by the number of readings in them
BLOCKS = 4  # of consecutive rows: the range is that of residuals in a block that the fit has not seen
WORTH = 0.9  # a cycle is kept if it brings the scale of such residuals below this share
PACE = 0.25  # weight of a reading in the short mean
STEP = 3.0  # standard deviations of noise by which a reading may be off the short mean and count in full
MAD = 1.4826022185  # standard deviation of a normal distribution by its median distance
HUBER, REWEIGHTED, TINY = 1.345, 8, 1e-300  # bound in standard deviations, passes, and a scale that is not 0


class Usual(NamedTuple):
    """What is usual of every sensor.

    Attributes
    ----------
    coef : (n_sensors, 5)
        Centre, and cosine and sine of the cycle and of its half, in the unit of the sensor.
    pulse : float
        Angle by which the cycle goes on in a second (in a row, without a clock); 0 without any cycle.
    scale : (n_sensors,)
        Standard deviation of readings from centre and cycle, on rows that the fit has not seen.
    short_scale : (n_sensors,)
        The same of their short mean.
    noise : (n_sensors,)
        Standard deviation of what is new in every reading, by the changes from one to the next.
    gap : (n_sensors,)
        Usual time between readings, in seconds (rows).
    longest : (n_sensors,)
        Time between readings that all but one in a hundred keep.
    run : (n_sensors,)
        Equal readings in a row, a number that all but one run in two hundred keep.
    interval : float
        Usual time from row to row.
    until : float
        Time of the last row learnt from.
    """

    coef: Array
    pulse: float
    scale: Array
    short_scale: Array
    noise: Array
    gap: Array
    longest: Array
    run: Array
    interval: float
    until: float


def clock(index: pd.Index | None, n: int, first: int = 0) -> Array:
    """Times of rows as numbers: seconds since 1970 by stamps; else the number of the row, from `first`."""
    if isinstance(index, pd.DatetimeIndex):
        epoch = pd.Timestamp(0, tz=index.tz)
        return np.asarray((index - epoch) / pd.Timedelta(seconds=1), dtype=np.float64)
    return np.arange(first, first + n, dtype=np.float64)


def learn(values: Array, index: pd.Index | None, season: Any = "auto") -> Usual:
    """Learn what is usual from training rows, of which a few per cent may be anything.

    Parameters
    ----------
    values : (n_times, n_sensors)
        NaN where a sensor was silent.
    index : Index or None
        Stamps of the rows.
    season : "auto", float, str, Timedelta or None, default "auto"
        Length of the cycle: a number of rows, or a time. "auto" tries a day where stamps span two of them. A sensor keeps the
        cycle only if that explains readings that were not fitted.

    Raises
    ------
    InputError
        A cycle of no positive length.
    """
    start = max(len(values) - max(min(BUDGET // values.shape[1], MOST_ROWS), FEWEST_ROWS), 0)
    times = clock(index, len(values))[start:]
    values = np.ascontiguousarray(values[start:])
    steps = np.diff(times)
    interval = float(np.median(steps[steps > 0])) if (steps > 0).any() else 1.0
    pulse = _pulse(season, times, interval, isinstance(index, pd.DatetimeIndex))
    coef, left = _centre(values, times, pulse)
    scale = _spread(left)
    noise = _spread(_changes(left), around=0.0) / math.sqrt(2.0)
    least = RESOLUTION * np.maximum(np.abs(coef[:, 0]), 1e-3)
    noise = np.maximum(np.where(noise > 0, noise, scale), least)
    short = np.column_stack([_short_means(np.ascontiguousarray(r), sd) for r, sd in zip(left.T, noise)])
    gap, longest = _silences(values, times, interval)
    return Usual(
        coef,
        pulse if coef[:, 1:].any() else 0.0,
        np.maximum(scale, noise),
        np.maximum(_spread(short), 0.5 * noise),
        noise,
        gap,
        longest,
        _runs(values),
        interval,
        float(times[-1]),
    )


def _pulse(season: Any, times: Array, interval: float, stamped: bool) -> float:
    """Angle a second (a row) of a cycle, 0 for none."""
    if season is None:
        return 0.0
    if isinstance(season, str) and season == "auto":
        tried = stamped and times[-1] - times[0] >= 2 * DAY - interval and interval <= DAY / 6
        return 2 * math.pi / DAY if tried else 0.0
    if stamped:
        length = pd.Timedelta(season).total_seconds() if not isinstance(season, int | float) else season * interval
    else:
        length = float(season)
    if not length > 0:
        raise InputError(f"season must be a positive length, 'auto' or None; received {season!r}.")
    return 2 * math.pi / length


def waves(times: Array, pulse: float) -> Array:
    """1, and cosine and sine of the cycle and its half at some times, (n_times, 5)."""
    angle = pulse * times[:, None] * np.arange(1, HARMONICS + 1)
    pairs = np.stack([np.cos(angle), np.sin(angle)], axis=2).reshape(len(times), -1)
    return np.column_stack([np.ones(len(times)), pairs])


def _centre(values: Array, times: Array, pulse: float) -> tuple[Array, Array]:
    """Coefficients of every sensor, and residuals of every reading by a fit without it."""
    coef = np.zeros((values.shape[1], 1 + 2 * HARMONICS))
    coef[:, 0] = _middle(values)
    left = _unseen(values, None)
    if pulse:
        design = waves(times, pulse)
        other = _unseen(values, design)
        better = _spread(other, around=0.0) < WORTH * _spread(left, around=0.0)
        if better.any():
            coef[better] = _fit(values[:, better], design)
            left[:, better] = other[:, better]
    return coef, left


def _unseen(values: Array, design: Array | None) -> Array:
    """Residuals of every block of rows by a fit to the others: of the design, or of the median."""
    rows, left = np.arange(len(values)), np.empty_like(values)
    terms = 1 if design is None else design.shape[1]
    blocks = np.array_split(rows, BLOCKS if len(rows) >= 4 * BLOCKS * terms else 1)
    for block in blocks:
        others = np.setdiff1d(rows, block) if len(blocks) > 1 else block
        if design is None:
            left[block] = values[block] - _middle(values[others])
        else:
            left[block] = values[block] - design[block] @ _fit(values[others], design[others]).T
    return left


def _middle(values: Array) -> Array:
    """Median of every column, 0 without a value."""
    seen = [column[~np.isnan(column)] for column in values.T]
    return np.array([np.median(column) if len(column) else 0.0 for column in seen])


def _fit(values: Array, design: Array) -> Array:
    """Huber's regression of every column on the design, (n_sensors, n_terms), by reweighted least squares."""
    present, middle = ~np.isnan(values), _middle(values)
    y = np.where(present, values - middle, 0.0)
    weights = present.astype(np.float64)
    ridge = 1e-9 * np.eye(design.shape[1])
    coef = np.zeros((values.shape[1], design.shape[1]))
    for _ in range(REWEIGHTED):
        gram = np.einsum("td,tp,tq->dpq", weights, design, design, optimize=True)
        gram += ridge * np.maximum(gram[:, :1, :1], 1.0)
        coef = np.linalg.solve(gram, np.einsum("td,tp->dp", weights * y, design, optimize=True)[:, :, None])[:, :, 0]
        left = y - design @ coef.T
        bound = HUBER * np.maximum(_spread(np.where(present, left, np.nan), around=0.0), TINY)
        weights = present * np.minimum(1.0, bound / np.maximum(np.abs(left), bound))
    coef[:, 0] += middle
    return coef


def _spread(values: Array, around: float | None = None) -> Array:
    """Standard deviation of every column by the median distance from its middle; by the mean distance where that is 0."""
    out = np.zeros(values.shape[1])
    for i, column in enumerate(values.T):
        seen = column[~np.isnan(column)]
        if len(seen):
            away = np.abs(seen - (np.median(seen) if around is None else around))
            out[i] = MAD * np.median(away) or math.sqrt(math.pi / 2) * np.mean(away)
    return out


def _changes(values: Array) -> Array:
    """Changes of every sensor from one reading to the next one there is; NaN where the reading is the same."""
    filled = pd.DataFrame(values).ffill().to_numpy()
    changes = np.diff(filled, axis=0)
    return np.where(np.isnan(values[1:]) | (changes == 0), np.nan, changes)


@kernel
def follow(short: float, residual: float, noise: float) -> float:
    """The short mean after a reading, which moves it by no more than one `STEP` off would."""
    reach = STEP * noise
    return short + PACE * min(max(residual - short, -reach), reach)


@kernel
def _short_means(residuals: Array, noise: float) -> Array:
    """The short mean after every reading, NaN where nothing was read."""
    out = np.full(residuals.size, np.nan)
    short = np.nan
    for t in range(residuals.size):
        if not math.isnan(residuals[t]):
            short = residuals[t] if math.isnan(short) else follow(short, residuals[t], noise)
            out[t] = short
    return out


def _silences(values: Array, times: Array, interval: float) -> tuple[Array, Array]:
    """Usual and long times between readings of every sensor."""
    usual, long = np.full(values.shape[1], interval), np.full(values.shape[1], interval)
    for i, column in enumerate(values.T):
        gaps = np.diff(times[~np.isnan(column)])
        if len(gaps):
            usual[i], long[i] = max(float(np.median(gaps)), interval), max(float(np.quantile(gaps, 0.99)), interval)
    return usual, long


def _runs(values: Array) -> Array:
    """Length of runs of equal readings that all but one in two hundred keep."""
    out = np.ones(values.shape[1])
    for i, column in enumerate(values.T):
        seen = column[~np.isnan(column)]
        ends = np.flatnonzero(np.append(np.diff(seen) != 0, True))
        if len(seen):
            out[i] = np.quantile(np.diff(ends, prepend=-1), 0.995)
    return out
