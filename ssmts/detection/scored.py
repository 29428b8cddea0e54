"""What detectors share whose sensors give a standardised innovation a reading: their joint score, however it is calibrated."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .._containers import FloatArray
from ..base_detector import BaseDetector, SensorRows
from . import joint
from .calibration import score_at
from .calibrators import Calibrations, Stages
from .normal_tail import innovation_at


class Parts(NamedTuple):
    """Scores of rows taken apart.

    Attributes
    ----------
    log_p : (n_times,)
        Log p-value of each row.
    log_p_sensor, part : (n_times, n_sensors)
        Log p-value of each reading by itself, and its part of the row's distance.
    reach : (n_sensors,) or (n_times, n_sensors)
        Innovation at which a sensor alone reaches the alarm level.
    calibrations : Calibrations
        What the calibrators know after the rows.
    """

    log_p: FloatArray
    log_p_sensor: FloatArray
    part: FloatArray
    reach: FloatArray
    calibrations: Calibrations


class ScoredDetector(BaseDetector):
    """A detector whose rows are scored by the Mahalanobis distance of their standardised innovations.

    States of subclasses have the fields ``calibrations`` and ``learning``.

    Attributes
    ----------
    joint_ : Joint
        Calibrations of sensors and rows, and the correlation of the sensors.
    stages_ : Stages or None
        Calibrators of sensors and rows other than "tail"; what they learnt of the training rows is in ``calibrations_``.
    calibrations_ : Calibrations
    """

    calibration: Any = "tail"
    joint_: joint.Joint
    stages_: Stages | None
    calibrations_: Calibrations

    def _calibrate(self, z: FloatArray, rows: SensorRows) -> tuple[dict[str, Any], Calibrations]:
        """Fitted attributes that innovations of training rows make, and what the calibrators know after these."""
        share = float(self.contamination)
        fitted = joint.fit(z, share)
        stages, models, states = None, Calibrations(), Calibrations()
        if self.calibration != "tail":
            stages = Stages.of(self.calibration, z.shape[1])
            z = joint.first_of_runs(z)
            level = self._alarm_share(rows) or share
            models, states = stages.learn(joint.nominal(z), _distance(fitted, z), share, level)
        return {"joint_": fitted, "stages_": stages, "calibrations_": models}, states

    def _log_p(self, state: Any, z: FloatArray) -> tuple[FloatArray, Calibrations]:
        """Log p-value of each row, and what the calibrators know after them."""
        if self.stages_ is None:
            return joint.score(self.joint_, z), state.calibrations
        log_p, _, states = self._calibrated(self.stages_, state, z)
        return log_p, states

    def _parts(self, state: Any, z: FloatArray) -> Parts:
        """What `_log_p` does, and why."""
        if self.stages_ is None:
            log_p, states = joint.score(self.joint_, z), state.calibrations
            log_p_sensor, part = joint.explain(self.joint_, z)
            limit = score_at(self.joint_.sensors, self.offset_)
        else:
            log_p, log_p_sensor, states = self._calibrated(self.stages_, state, z)
            part = joint.parts(self.joint_, log_p_sensor, z)[0]
            at, known = np.full(len(z), self.offset_), (self.calibrations_.sensors, state.calibrations.sensors)
            limit = self.stages_.sensors.run(*known, joint.nominal(z), at, learning=state.learning)[1]
        return Parts(log_p, log_p_sensor, part, innovation_at(limit), states)

    def _calibrated(self, stages: Stages, state: Any, z: FloatArray) -> tuple[FloatArray, FloatArray, Calibrations]:
        """Log p-values of rows and of readings by calibrators other than "tail", and what these know after them."""
        combine = _distance(self.joint_, z)
        return stages.run(self.calibrations_, state.calibrations, joint.nominal(z), combine, state.learning)


def _distance(fitted: joint.Joint, z: FloatArray) -> Any:
    """What makes the surprise of rows of the log p-values of their readings: the distance under the sensors' correlation."""

    def combine(log_p: FloatArray) -> FloatArray:
        rows = joint.parts(fitted, log_p, z)[1]
        return np.where(np.isnan(z).all(axis=1), np.nan, rows)[:, None]

    return combine
