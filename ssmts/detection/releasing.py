"""What detectors share whose evidence grows over many rows: alarms end, because the baseline follows what stays."""

from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np

from .._containers import FloatArray
from ..base_detector import SensorRows
from .baseline import QUIET, held
from .robust import kernel
from .surprise import SurpriseDetector

ROUNDS = 8  # of limits and scores, if they do not agree before
AGREE = 0.05  # relative difference
LEAST = 7.0  # score that nothing is learnt anew below: a nominal p-value of 1e-3


def least_limits(n_sensors: int) -> FloatArray:
    """Scores that end alarms while calibration has not yet said where they begin."""
    return np.full(n_sensors, LEAST)


class ReleasingDetector(SurpriseDetector):
    """A detector by surprise with a parameter `patience`, whose model has a `limit`: the score with which each sensor alone is in alarm.

    Where alarms begin follows from the scores of the training rows, and these from where alarms begin, as a baseline that follows
    keeps them low: first with `least_limits`, then with the limits that came of it, until both agree.
    """

    def _fit(self, rows: SensorRows) -> dict[str, Any]:
        fitted = super()._fit(rows)
        steps = rows.steps(np.nan, fitted["interval_"])
        start = fitted["start_"].sensors
        for _ in range(ROUNDS):
            model = fitted["model_"]
            limit = self._limit(fitted, rows)
            if (np.abs(limit - model.limit) <= AGREE * model.limit).all():
                break
            fitted |= self._calibrate(model._replace(limit=limit), start, rows, steps)
        return fitted

    def _typical(self, model: Any, scores: FloatArray) -> FloatArray:
        """Scores without the largest alarms that the baseline ended by following, which are changes and not noise."""
        return without_changes(scores, model.limit, self.patience, self.contamination)

    def _limit(self, fitted: dict[str, Any], rows: SensorRows) -> FloatArray:
        """Score of each sensor from which it alone is in alarm."""
        trial = copy.copy(self)
        trial.__dict__.update(fitted, n_features_in_=rows.values.shape[1])
        trial.offset_ = self._alarm_level(rows, self._alarm_share(rows), lambda rows: trial._run(trial.start_, rows)[0])
        begins = trial._alarming(trial.start_, np.full((1, rows.values.shape[1]), np.nan))[0]
        limit: FloatArray = np.maximum(begins, LEAST)
        return limit


def without_changes(scores: FloatArray, limit: FloatArray, patience: int, share: float) -> FloatArray:
    """Scores of training rows with NaN in those alarms that lasted until they were followed, the largest first.

    A shift among the training rows is one event, but all of its rows score high, and with sums of evidence they rise to their
    peak without a gap by which calibration might tell outliers. Not more than `share` of the rows are left out, and the rows of
    an alarm wholly or not, so that noise which often lasts so long still counts as noise.

    Parameters
    ----------
    scores : (n_times, n_sensors)
    limit : (n_sensors,)
        Scores with which alarms begin.
    patience : int
    share : float
    """
    kept = scores.copy()
    for i, column in enumerate(scores.T):
        events = _lasting(np.ascontiguousarray(column), limit[i], float(patience))
        left = share * np.count_nonzero(~np.isnan(column))
        peaks = {event: np.nanmax(column[events == event]) for event in range(1, events.max() + 1)}
        for event in sorted(peaks, key=lambda event: -peaks[event]):
            rows = (events == event) & ~np.isnan(column)
            left -= rows.sum()
            if left < 0:
                break
            kept[rows, i] = np.nan
    return kept


@kernel
def _lasting(scores: FloatArray, limit: float, patience: float) -> Any:
    """Number of the alarm that each row belongs to, from 1; 0 for none, and for alarms that ended by themselves."""
    events = np.zeros(scores.size, dtype=np.int64)
    count, first, number = 0.0, 0, 0
    for t in range(scores.size):
        if not scores[t] >= QUIET * limit:  # silent rows neither end an alarm nor begin one
            if not math.isnan(scores[t]):
                count, first = 0.0, t + 1
            continue
        count = held(scores[t], limit, count)
        if count >= patience:
            number += 1
            events[first : t + 1] = number
            count, first = 0.0, t + 1
    return events
