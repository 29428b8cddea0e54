"""The choice between ways from surprises to p-values, for every detector: what a calibrator promises, and how two of them make one score.

A calibrator holds settings only. What it learnt from training rows (the model) and what moves with the stream (the state) are
arrays that the detector keeps, so that scoring changes nothing and a saved detector goes on where it was. Detectors take one as
`calibration`: "tail", "nominal", "spot", "drift_spot", "conformal", "adaptive_conformal", or an object.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from importlib import import_module
from typing import Any, ClassVar, NamedTuple

import numpy as np
from sklearn.base import BaseEstimator, clone
from sklearn.utils._param_validation import HasMethods, StrOptions

from .._containers import FloatArray
from .calibration import calibrate, log_p_values, score_at


class Calibrator(BaseEstimator, ABC):  # type: ignore[misc]
    """A way from surprises, larger is stranger and 0 the least, to p-values; any number of columns, each by itself.

    Subclasses store settings in ``__init__`` and define `learn` and `run`.
    """

    by_sensor: ClassVar[bool] = (
        True  # False: for rows only, where p-values of single sensors would be too coarse to combine
    )
    _parameter_constraints: ClassVar[dict[str, Any]] = {}

    @abstractmethod
    def learn(self, scores: FloatArray, contamination: float, level: float) -> tuple[Any, Any]:
        """Model, and state after the training rows.

        Parameters
        ----------
        scores : (n_times, n_columns)
            NaN where there is none.
        contamination : float
            Largest share of the scores that may be set aside as outliers.
        level : float
            The p-value below which a row will be in alarm.
        """

    @abstractmethod
    def run(
        self, model: Any, state: Any, scores: FloatArray, at: FloatArray | None = None, *, learning: bool = True
    ) -> tuple[FloatArray, FloatArray, Any]:
        """Log p-value of every score before it is learnt, NaN for NaN, and the state after the last; `state` is left as it is.

        Parameters
        ----------
        model, state
            Of `learn`, or the state of an earlier `run`.
        scores : (n_times, n_columns)
        at : (n_times,), optional
            Log p-values. The second thing returned is the score of every column that would have each of them in its row,
            (n_times, n_columns), without rows unless `at` is given.
        learning : bool, default True
            False for training rows, which were learnt already.
        """


class Frozen(Calibrator):
    """What the training rows showed, for ever: their frequencies, and a generalised Pareto tail. ``calibration="tail"``."""

    def learn(self, scores: FloatArray, contamination: float, level: float) -> tuple[Any, Any]:
        return calibrate(scores, contamination), None

    def run(
        self, model: Any, state: Any, scores: FloatArray, at: FloatArray | None = None, *, learning: bool = True
    ) -> tuple[FloatArray, FloatArray, Any]:
        reach = np.empty((0, scores.shape[1]))
        if at is not None:
            levels, place = np.unique(at, return_inverse=True)
            reach = np.array([score_at(model, level) for level in levels])[place]
        return log_p_values(model, scores), reach, None


class Nominal(Calibrator):
    """What the model says: the score is minus the logarithm of the p-value. ``calibration="nominal"``."""

    def learn(self, scores: FloatArray, contamination: float, level: float) -> tuple[Any, Any]:
        return None, None

    def run(
        self, model: Any, state: Any, scores: FloatArray, at: FloatArray | None = None, *, learning: bool = True
    ) -> tuple[FloatArray, FloatArray, Any]:
        reach = np.empty((0, scores.shape[1])) if at is None else np.repeat(-at[:, None], scores.shape[1], axis=1)
        return np.minimum(-scores, 0.0), reach, None


KINDS = {
    "tail": "calibrators:Frozen",
    "nominal": "calibrators:Nominal",
    "spot": "spot:Spot",
    "drift_spot": "spot:DriftSpot",
    "conformal": "conformal:Conformal",
    "adaptive_conformal": "conformal:AdaptiveConformal",
}

# What the parameter `calibration` of a detector may be.
CALIBRATION = [StrOptions(set(KINDS)), HasMethods(["learn", "run"])]


def named(kind: str) -> Calibrator:
    """The calibrator of this name with its defaults; its kernels are loaded only now."""
    module, _, name = KINDS[kind].partition(":")
    made: Calibrator = getattr(import_module(f"{__package__}.{module}"), name)()
    return made


Combine = Callable[[FloatArray], FloatArray]  # log p-values of sensors to the surprise of each row, (n_times, 1)


class Calibrations(NamedTuple):
    """Models, or states, of the calibrators of every sensor and of rows; None where there is nothing to keep."""

    sensors: Any = None
    rows: Any = None


class Stages(NamedTuple):
    """The calibrator of every sensor's surprise, and that of what is made of them in a row; None for the sensor itself."""

    sensors: Calibrator
    rows: Calibrator | None

    @classmethod
    def of(cls, calibration: Any, n_sensors: int) -> Stages:
        """Those of a detector's parameter `calibration`."""
        kind = named(calibration) if isinstance(calibration, str) else clone(calibration, safe=False)
        if isinstance(kind, BaseEstimator):
            kind._validate_params()
        if n_sensors == 1:
            return cls(kind, None)
        return cls(kind if getattr(kind, "by_sensor", True) else Frozen(), kind)

    def learn(
        self, scores: FloatArray, combine: Combine, contamination: float, level: float
    ) -> tuple[Calibrations, Calibrations]:
        """Models, and states after the training rows."""
        model, state = self.sensors.learn(scores, contamination, level)
        if self.rows is None:
            return Calibrations(model), Calibrations(state)
        log_p = self.sensors.run(model, state, scores, learning=False)[0]
        of_rows, state_of_rows = self.rows.learn(combine(log_p), contamination, level)
        return Calibrations(model, of_rows), Calibrations(state, state_of_rows)

    def run(
        self, models: Calibrations, states: Calibrations, scores: FloatArray, combine: Combine, learning: bool
    ) -> tuple[FloatArray, FloatArray, Calibrations]:
        """Log p-value of each row, 0 without any reading, and of each sensor alone, and the states after the last row."""
        log_p, _, sensors = self.sensors.run(models.sensors, states.sensors, scores, learning=learning)
        if self.rows is None:
            return _seen(log_p[:, 0]), log_p, Calibrations(sensors)
        row, _, rows = self.rows.run(models.rows, states.rows, combine(log_p), learning=learning)
        return _seen(row[:, 0]), log_p, Calibrations(sensors, rows)

    def reach(
        self,
        models: Calibrations,
        states: Calibrations,
        scores: FloatArray,
        combine: Combine,
        learning: bool,
        offset: float,
        alone: Callable[[FloatArray], FloatArray],
    ) -> FloatArray:
        """Score of each sensor with which it alone reaches the alarm level, ``(n_times, n_sensors)``.

        `alone` turns the surprise of a row into the log p-value of one sensor that is the only strange one in it.
        """
        at = np.full(len(scores), offset)
        if self.rows is not None:
            log_p = self.sensors.run(models.sensors, states.sensors, scores, learning=learning)[0]
            at = alone(self.rows.run(models.rows, states.rows, combine(log_p), at, learning=learning)[1][:, 0])
        return self.sensors.run(models.sensors, states.sensors, scores, at, learning=learning)[1]


def _seen(log_p: FloatArray) -> FloatArray:
    """Log p-values with 0 for NaN; several times as fast as `numpy.nan_to_num` for a single row."""
    return np.where(np.isnan(log_p), 0.0, log_p)
