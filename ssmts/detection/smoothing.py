"""Deviations of sensors averaged over the last rows, so that a lasting fault below the noise shows: multivariate EWMA (Lowry et al. 1992).

A row counts for all sensors alike: where one was silent, it is taken to have read what the others say of it, the conditional mean
under their correlation. For a single row the Mahalanobis distance is then exactly that of the sensors that were read; for
averages its expectation is the weighted mean of the numbers of sensors read, so that silence is never a reason for an alarm.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from ssmts.core.types import Array
from ssmts.detection.covariance import Covariance
from ssmts.detection.joint import without_absent
from ssmts.detection.robust import kernel
from ssmts.detection.robust_baseline import Deviations, spreads

LEAST_VARIANCE = 0.05  # of an average, relative to that of independent rows
REMEMBERED = (
    10.0  # standard deviations of an average that later ones hold at most: gross faults wear off as fast as small ones
)


class Smoothing(NamedTuple):
    """How rows are averaged.

    Attributes
    ----------
    decay : float
        Weight of a row relative to that of one a usual interval later.
    persistence : (n_sensors,)
        p in ``p + (1 - p) w``, the variance of an average whose weights have the sum of squares w: the share that averaging
        does not remove.
    correlation, precision : (n_sensors, n_sensors)
        Of the deviations of a row.
    """

    decay: float
    persistence: Array
    correlation: Array
    precision: Array


class SmoothingState(NamedTuple):
    """What is known after the last row.

    Attributes
    ----------
    mean : (n_sensors,)
        Averages.
    sums : (4,)
        Weight of all rows relative to a new one; sum of their squared shares; the same times the number of sensors read in them;
        usual intervals since the last row with a reading.
    """

    mean: Array
    sums: Array


class Averages(NamedTuple):
    """Averages of rows.

    Attributes
    ----------
    departure : (n_times, n_sensors)
        Averages in standard deviations of their own; NaN throughout a row without readings.
    n_seen : (n_times,)
        Sensors that were read, averaged like the rows.
    newest, weight : (n_times,)
        Share of the row in the average, and the sum of squared shares.
    sd : (n_times, n_sensors)
        Standard deviation of the average; without rows unless asked for.
    """

    departure: Array
    n_seen: Array
    newest: Array
    weight: Array
    sd: Array


def fit(seen: Deviations, steps: Array, span: float, related: Covariance, share: float) -> Smoothing:
    """Learn how much averaging does.

    Parameters
    ----------
    seen : Deviations
    steps : (n_times,)
        Usual intervals that went by since the row before.
    span : float
        Rows that are averaged over, as in pandas' ``ewm``.
    related : Covariance
        Of the deviations of a row.
    share : float
        See `ssmts.detection.robust_baseline.spread`.
    """
    d = seen.z.shape[1]
    found = Smoothing(1.0 - 2.0 / (span + 1.0), np.zeros(d), related.correlation, related.precision)
    averages, _ = run(found, start(d), seen, steps, full=True)
    there = ~np.isnan(averages.departure[:, 0])
    usual = float(np.mean(averages.weight[there]))
    variance = spreads((averages.departure * averages.sd)[there], share) ** 2
    if usual == 1:
        return found
    return found._replace(persistence=np.where(variance > 0, (variance - usual) / (1 - usual), 0.0))


def start(n_sensors: int) -> SmoothingState:
    """The state before the first row."""
    return SmoothingState(np.zeros(n_sensors), np.zeros(4))


def run(
    smoothing: Smoothing, state: SmoothingState, seen: Deviations, steps: Array, *, full: bool = False
) -> tuple[Averages, SmoothingState]:
    """Averages up to each row, and the state after the last; `state` is left as it is.

    Parameters
    ----------
    smoothing : Smoothing
    state : SmoothingState
    seen : Deviations
    steps : (n_times,)
    full : bool, default False
        Whether to keep `sd`.
    """
    n, d = seen.z.shape
    kept = n if full else 0
    out = Averages(np.empty((n, d)), np.empty(n), np.empty(n), np.empty(n), np.empty((kept, d)))
    moved = SmoothingState(state.mean.copy(), state.sums.copy())
    _run(*smoothing, *moved, seen.z, seen.anew, steps, *out)
    return out, moved


@kernel
def _run(
    decay: float, persistence: Array, correlation: Array, precision: Array, mean: Array, sums: Array,
    z: Array, anew: Any, steps: Array, departure: Array, n_seen: Array, newest: Array, weight: Array, sds: Array,
) -> None:  # fmt: skip
    full = sds.shape[0] > 0
    d = z.shape[1]
    filled, block = np.empty(d), np.empty((d, d))
    for t in range(z.shape[0]):
        sums[3] += steps[t]
        kept = sums[0] * decay ** sums[3]
        a = 1.0 / (kept + 1.0)
        w = a * a + (1.0 - a) * (1.0 - a) * sums[1]
        newest[t], weight[t] = a, w
        m = _fill(z[t], correlation, precision, filled, block)
        n_seen[t] = (a * a * m + (1.0 - a) * (1.0 - a) * sums[2]) / w if m > 0 else 0.0
        for i in range(d):
            sd = math.sqrt(max(persistence[i] + (1.0 - persistence[i]) * w, LEAST_VARIANCE * w))
            if full:
                sds[t, i] = sd
            if m == 0:
                departure[t, i] = np.nan
                continue
            average = a * filled[i] + (1.0 - a) * mean[i]
            departure[t, i] = average / sd
            mean[i] = min(max(average, -REMEMBERED * sd), REMEMBERED * sd)
            if anew.shape[0] > 0 and anew[t, i]:
                mean[i] = 0.0
        if m > 0:
            sums[0], sums[1], sums[2], sums[3] = kept + 1.0, w, n_seen[t] * w, 0.0


@kernel
def _fill(z: Array, correlation: Array, precision: Array, filled: Array, block: Array) -> int:
    """Fill in for silent sensors what the others say of them; return the number of those that spoke."""
    d = z.size
    silent = 0
    for i in range(d):
        filled[i] = z[i]
        if math.isnan(z[i]):
            silent += 1
    if 0 < silent < d:
        weighted = np.zeros(d)
        for j in range(d):
            if not math.isnan(z[j]):
                for i in range(d):
                    weighted[i] += precision[i, j] * z[j]
        without_absent(z, correlation, precision, weighted, block)
        for i in range(d):
            if math.isnan(z[i]):
                total = 0.0
                for j in range(d):
                    if not math.isnan(z[j]):
                        total += correlation[i, j] * weighted[j]
                filled[i] = total
    return d - silent
