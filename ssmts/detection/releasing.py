"""What detectors share whose evidence grows over many rows: alarms end, because the baseline follows what stays."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from .._containers import FloatArray
from ..base_detector import SensorRows
from .surprise import SurpriseDetector

LEAST = 7.0  # score that nothing is learnt anew below: a nominal p-value of 1e-3


def least_limits(n_sensors: int) -> FloatArray:
    """Scores that end alarms while calibration has not yet said where they begin."""
    return np.full(n_sensors, LEAST)


class ReleasingDetector(SurpriseDetector):
    """A detector by surprise whose model has a field `limit`, the score at which each sensor is in alarm by itself.

    The model runs over the training rows with `least_limits`; the limits then follow from the calibration of its scores.
    """

    def _fit(self, rows: SensorRows) -> dict[str, Any]:
        fitted = super()._fit(rows)
        trial = copy.copy(self)
        trial.__dict__.update(fitted, n_features_in_=rows.values.shape[1])
        share = self._alarm_share(rows)
        if share is None:
            scores = trial._run(trial.start_, rows)[0][~np.isnan(rows.values).all(axis=1)]
            trial.offset_ = float(np.quantile(scores, self.contamination))
        else:
            trial.offset_ = float(np.log(share))
        begins = trial._alarming(trial.start_, np.full((1, rows.values.shape[1]), np.nan))[0]
        trial.model_ = trial.model_._replace(limit=np.maximum(begins, LEAST))
        state = trial._run(trial.start_, rows)[1]._replace(learning=True)
        return fitted | {"model_": trial.model_, "state_": state}
