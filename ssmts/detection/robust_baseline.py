"""What each sensor usually reads, and by how much its readings depart from that.

A baseline is a centre and a scale that a share of gross errors in the training rows moves by a bounded amount. It is frozen, or follows
the readings slowly: as an exponentially weighted mean in which a reading counts for `GATE` standard deviations at most.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy.stats import norm

from ssmts.core.types import Array
from ssmts.detection.local_level import RESOLUTION
from ssmts.detection.robust import GATE, LARGEST, clipped, kernel, persistent

SETTLE = 5  # passes over the training rows that settle the scale about a baseline that moves


class Baseline(NamedTuple):
    """What is normal for every sensor.

    Attributes
    ----------
    centre, scale : (n_sensors,)
        Usual reading, where training starts, and standard deviation about the baseline.
    gain : float
        Weight of a reading in the baseline, one usual interval after the one before; 0 for a baseline that is frozen.
    patience : float
        Readings beyond the gate, one after another on one side, after which a baseline that moves starts anew.
    """

    centre: Array
    scale: Array
    gain: float
    patience: float


class BaselineState(NamedTuple):
    """What is known of every sensor after its last row, each ``(n_sensors,)``.

    Attributes
    ----------
    level : the baseline.
    age : usual intervals since the last reading.
    rise, fall : evidence that the baseline has shifted, see `ssmts.detection.robust`.
    readings : those since the baseline last started anew, which it is the mean of until they are as many as it averages over.
    """

    level: Array
    age: Array
    rise: Array
    fall: Array
    readings: Array


def fit(y: Array, steps: Array, span: float | None, share: float) -> Baseline:
    """Learn baselines and scales.

    Parameters
    ----------
    y : (n_times, n_sensors)
        NaN where a sensor was silent; no column is NaN throughout.
    steps : (n_times,)
        Usual intervals that went by since the row before.
    span : float or None
        Rows that a moving baseline averages over, as in pandas' ``ewm``; None for a frozen one.
    share : float
        Largest share of a sensor's readings, the furthest from its centre, that may be gross errors: these count as if they
        were as far off as the others go.
    """
    columns = [column[~np.isnan(column)] for column in y.T]
    first = None if span is None else max(int(span), 1)
    centre = np.array([winsorised_mean(column[:first], share) for column in columns])
    scale = np.array([spread(column - winsorised_mean(column, share), share) for column in columns])
    constant = scale == 0
    scale[constant] = RESOLUTION * np.where(centre[constant] == 0, 1.0, np.abs(centre[constant]))
    if span is None:
        return Baseline(centre, scale, 0.0, 0.0)
    baseline = Baseline(centre, scale, 2.0 / (span + 1.0), max(10.0, float(span)))
    for _ in range(SETTLE):
        found = spreads(run(baseline, start(baseline), y, steps)[0].z, share)
        scale = scale * np.where((found > 0) & ~constant, found, 1.0)
        baseline = baseline._replace(scale=scale)
    return baseline


def start(baseline: Baseline) -> BaselineState:
    """The state before the first row."""
    zeros = np.zeros(len(baseline.centre))
    return BaselineState(baseline.centre, zeros, zeros, zeros, np.full(len(zeros), np.inf))


class Deviations(NamedTuple):
    """Readings against the baselines before them, each ``(n_times, n_sensors)``.

    Attributes
    ----------
    z : in standard deviations, NaN where nothing was read.
    anew : whether the baseline started anew with the reading; without rows where it never does.
    expected : the baseline, in units of the sensor; without rows unless asked for.
    """

    z: Array
    anew: Any
    expected: Array


def run(
    baseline: Baseline, state: BaselineState, y: Array, steps: Array, *, full: bool = False
) -> tuple[Deviations, BaselineState]:
    """Deviations of readings, and the state after the last row; `state` is left as it is.

    Parameters
    ----------
    baseline : Baseline
    state : BaselineState
    y : (n_times, n_sensors)
    steps : (n_times,)
    full : bool, default False
        Whether to keep `expected`.
    """
    y = np.require(y, requirements=["C", "W"])  # one compiled kernel for every kind of array
    n, d = y.shape
    anew = np.zeros((n if baseline.gain else 0, d), dtype=np.bool_)
    out = Deviations(np.empty((n, d)), anew, np.empty((n if full else 0, d)))
    moved = BaselineState(*(field.copy() for field in state))
    _run(baseline.scale, baseline.gain, baseline.patience, *moved, y, steps, *out)
    return out, moved


def winsorised_mean(x: Array, share: float) -> float:
    """Mean of readings of which a share, those furthest from the median, count as if they were as far off as the others go."""
    middle = np.median(x)
    reach = np.quantile(np.abs(x - middle), 1 - share)
    return float(middle + np.mean(np.clip(x - middle, -reach, reach)))


def spread(x: Array, share: float) -> float:
    """Standard deviation about 0 of numbers, a share of which, the largest, count as if they were as large as the others.

    Consistent for normal numbers. Where all but that share are 0 nothing tells gross errors from the others, and all count.
    """
    size = np.abs(x)
    reach = np.quantile(size, 1 - share)
    if reach == 0:
        return float(np.sqrt(np.mean(size**2)))
    k = norm.isf(share / 2)
    kept = 1 - share - 2 * k * norm.pdf(k) + share * k * k  # E min(|u|, k)^2 for u = N(0, 1)
    return float(np.sqrt(np.mean(np.minimum(size, reach) ** 2) / kept))


def spreads(x: Array, share: float) -> Array:
    """`spread` of the numbers in each column that are not NaN."""
    return np.array([spread(column[~np.isnan(column)], share) for column in x.T])


@kernel
def _run(
    scale: Array, gain: float, patience: float, level: Array, age: Array, rise: Array, fall: Array, readings: Array,
    y: Array, steps: Array, z: Array, anew: Any, expected: Array,
) -> None:  # fmt: skip
    full = expected.shape[0] > 0
    for t in range(y.shape[0]):
        for i in range(y.shape[1]):
            age[i] += steps[t]
            if full:
                expected[t, i] = level[i]
            if y[t, i] != y[t, i]:
                z[t, i] = np.nan
                continue
            z[t, i] = min(max((y[t, i] - level[i]) / scale[i], -LARGEST), LARGEST)
            if gain > 0.0:
                rise[i], fall[i] = clipped(z[t, i], rise[i], fall[i])
                if persistent(rise[i], fall[i], patience):
                    level[i], rise[i], fall[i], readings[i] = y[t, i], 0.0, 0.0, 0.0
                    anew[t, i] = True
                else:
                    usual = gain if age[i] == 1.0 else 1.0 - (1.0 - gain) ** age[i]
                    share = max(usual, 1.0 / (readings[i] + 1.0))
                    level[i] += share * min(max(z[t, i], -GATE), GATE) * scale[i]
                readings[i] += 1.0
            age[i] = 0.0
