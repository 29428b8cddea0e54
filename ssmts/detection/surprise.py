"""What detectors share that give every reading a surprise: calibration, combination over sensors, and the explanation."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, NamedTuple

import numpy as np
from scipy.special import ndtri_exp

from .._containers import FloatArray
from ..base_detector import BaseDetector, Explained, SensorRows, shares
from .calibration import Calibration, calibrate, log_p_values, score_at


class Surprise(NamedTuple):
    """How surprising readings are, each ``(n_times, n_sensors)``.

    Attributes
    ----------
    score : at least 0, larger is stranger, NaN where nothing was read. Best minus the logarithm of a nominal p-value.
    expected, sd : expected reading and its standard deviation; NaN where unknown.
    deviation : signed, in standard deviations.
    window : integers, number of rows up to this one that the score rests on.
    """

    score: FloatArray
    expected: FloatArray
    sd: FloatArray
    deviation: FloatArray
    window: Any


class Calibrations(NamedTuple):
    """Distributions of the surprise of every sensor, and of that of a row (one column), as the training rows showed them."""

    sensors: Calibration
    rows: Calibration


class SurpriseState(NamedTuple):
    """What a detector knows after its last row: of its sensors, and the seconds of the row's stamp (NaN without a clock)."""

    sensors: Any
    stamp: float


class SurpriseDetector(BaseDetector):
    """A detector of which a subclass says how surprising every reading is, `_learn` and `_surprise`.

    The surprises of every sensor are calibrated by those of the training rows. A row is as strange as the strangest of its m
    readings, with the p-value ``1 - (1 - p)^m`` that independent sensors would give it (Sidak 1967); what it really is,
    a second calibration learns. With one sensor there is nothing to combine.

    Attributes
    ----------
    calibrations_ : Calibrations
    interval_ : float
        Usual seconds from row to row, NaN without a clock.
    """

    model_: Any
    calibrations_: Calibrations
    interval_: float

    @abstractmethod
    def _learn(self, rows: SensorRows, steps: FloatArray) -> tuple[Any, Any]:
        """Model of the sensors from training rows, and the state before the first of them."""

    @abstractmethod
    def _surprise(
        self, model: Any, state: Any, rows: SensorRows, steps: FloatArray, *, full: bool
    ) -> tuple[Surprise, Any]:
        """Surprise of every reading given the rows before, and the state after the last; `state` is left as it is.

        `steps` are the usual intervals that went by since the row before each. Unless `full`, fields besides `score` may have no rows.
        """

    def _reach(self, nominal: FloatArray) -> FloatArray:
        """Standard deviations from the expected value at which a reading has a nominal score; for ``-log P(|N(0, 1)| > z)``."""
        reach: FloatArray = np.maximum(-ndtri_exp(-nominal - np.log(2.0)), 0.0)
        return reach

    # hooks ------------------------------------------------------------------------------------------------------

    def _fit(self, rows: SensorRows) -> dict[str, Any]:
        interval = rows.usual_interval
        steps = rows.steps(np.nan, interval)
        model, start = self._learn(rows, steps)
        surprise, state = self._surprise(model, start, rows, steps, full=False)
        share = float(self.contamination)
        sensors = calibrate(surprise.score, share)
        combined = sidak(log_p_values(sensors, surprise.score))
        combined[np.isnan(surprise.score).all(axis=1)] = np.nan
        return {
            "model_": model,
            "calibrations_": Calibrations(sensors, calibrate(-combined[:, None], share)),
            "interval_": interval,
            "start_": SurpriseState(start, np.nan),
            "state_": SurpriseState(state, rows.last_stamp),
        }

    def _run(self, state: SurpriseState, rows: SensorRows) -> tuple[FloatArray, SurpriseState]:
        surprise, after = self._ahead(state, rows, full=False)
        return self._row(log_p_values(self.calibrations_.sensors, surprise.score)), after

    def _explain(self, state: SurpriseState, rows: SensorRows) -> tuple[Explained, SurpriseState]:
        surprise, after = self._ahead(state, rows, full=True)
        log_p = log_p_values(self.calibrations_.sensors, surprise.score)
        reach = self._reach(score_at(self.calibrations_.sensors, self._sensor_level())) * surprise.sd
        told = Explained(
            self._row(log_p),
            surprise.expected,
            surprise.expected - reach,
            surprise.expected + reach,
            surprise.deviation,
            shares(-log_p),
            log_p,
            surprise.window,
        )
        return told, after

    # shared work ------------------------------------------------------------------------------------------------

    def _ahead(self, state: SurpriseState, rows: SensorRows, *, full: bool) -> tuple[Surprise, SurpriseState]:
        steps = rows.steps(state.stamp, self.interval_)
        surprise, after = self._surprise(self.model_, state.sensors, rows, steps, full=full)
        return surprise, SurpriseState(after, rows.last_stamp)

    def _row(self, log_p: FloatArray) -> FloatArray:
        """Log p-value of each row from those of its readings, 0 without any."""
        if log_p.shape[1] == 1:
            return np.nan_to_num(log_p[:, 0], nan=0.0)
        return log_p_values(self.calibrations_.rows, -sidak(log_p)[:, None])[:, 0]

    def _sensor_level(self) -> float:
        """Log p-value of one sensor with which a row reaches the alarm level by itself."""
        m = self.n_features_in_
        if m == 1:
            return self.offset_
        nominal = -score_at(self.calibrations_.rows, self.offset_)[0]
        return float(np.log(-np.expm1(np.log1p(-np.exp(nominal)) / m)))


def sidak(log_p: FloatArray) -> FloatArray:
    """Log p-value of the smallest of the p-values in each row, were they independent; 0 for a row of NaN."""
    count = (~np.isnan(log_p)).sum(axis=1)
    smallest = np.min(np.nan_to_num(log_p, nan=0.0), axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):  # p-values of 1, and rows of NaN
        exact = np.log(-np.expm1(count * np.log1p(-np.exp(smallest))))
    # For tiny p-values 1 - (1 - p)^m is m p.
    found: FloatArray = np.where(smallest > -30.0, exact, smallest + np.log(np.maximum(count, 1)))
    return np.where(count > 0, np.minimum(found, 0.0), 0.0)
