"""What detectors share that give every reading a surprise: calibration, combination over sensors, and the explanation."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Any, ClassVar, NamedTuple

import numpy as np

from .._containers import FloatArray
from ..base_detector import BaseDetector, Explained, SensorRows, shares
from .calibrators import CALIBRATION, Calibrations, Stages
from .normal_tail import innovation_at
from .robust import kernel


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


class SurpriseState(NamedTuple):
    """What a detector knows after its last row.

    Attributes
    ----------
    sensors : of the subclass
    stamp : seconds of the row's stamp since 1970, NaN without a clock.
    calibrations : what its calibrators have learnt of the stream.
    learning : whether they go on learning; False for training rows, which they know.
    """

    sensors: Any
    stamp: float
    calibrations: Calibrations = Calibrations()
    learning: bool = True


class SurpriseDetector(BaseDetector):
    """A detector of which a subclass says how surprising every reading is, `_learn` and `_surprise`.

    The surprises of every sensor are calibrated, by default by those of the training rows. A row is as strange as the strangest
    of its m readings, with the p-value ``1 - (1 - p)^m`` that independent sensors would give it (Sidak 1967); what it really is,
    a second calibration learns. With one sensor there is nothing to combine.

    How p-values come about is the parameter `calibration`, which subclasses take in ``__init__`` (see `ssmts.detection.calibrators`).

    Attributes
    ----------
    stages_ : Stages
        The calibrators of sensors and of rows.
    calibrations_ : Calibrations
        What they learnt from the training rows.
    interval_ : float
        Usual seconds from row to row, NaN without a clock.
    """

    calibration: Any = "tail"
    model_: Any
    stages_: Stages
    calibrations_: Calibrations
    interval_: float

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **BaseDetector._parameter_constraints,
        "calibration": CALIBRATION,
    }

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

    def _typical(self, model: Any, scores: FloatArray) -> FloatArray:
        """Scores of training rows that are calibrated by; NaN for those that are known to be of something else."""
        return scores

    def _reach(self, nominal: FloatArray) -> FloatArray:
        """Standard deviations from the expected value at which a reading has a nominal score; for ``-log P(|N(0, 1)| > z)``."""
        return innovation_at(nominal)

    # hooks ------------------------------------------------------------------------------------------------------

    def _fit(self, rows: SensorRows) -> dict[str, Any]:
        interval = rows.usual_interval
        steps = rows.steps(np.nan, interval)
        model, start = self._learn(rows, steps)
        return {"interval_": interval, **self._calibrate(model, start, rows, steps)}

    def _calibrate(self, model: Any, start: Any, rows: SensorRows, steps: FloatArray) -> dict[str, Any]:
        """What is fitted, given the model of the sensors and its state before the first row."""
        surprise, state = self._surprise(model, start, rows, steps, full=False)
        share = float(self.contamination)
        level = self._alarm_share(rows) or share
        stages = Stages.of(self.calibration, rows.values.shape[1])
        models, states = stages.learn(self._typical(model, surprise.score), strangest, share, level)
        return {
            "model_": model,
            "stages_": stages,
            "calibrations_": models,
            "start_": SurpriseState(start, np.nan, states, learning=False),
            "state_": SurpriseState(state, rows.last_stamp, states),
        }

    def _run(self, state: SurpriseState, rows: SensorRows) -> tuple[FloatArray, SurpriseState]:
        surprise, after = self._ahead(state, rows, full=False)
        log_p, _, states = self._calibrated(state, surprise.score)
        return log_p, after._replace(calibrations=states)

    def _explain(self, state: SurpriseState, rows: SensorRows) -> tuple[Explained, SurpriseState]:
        surprise, after = self._ahead(state, rows, full=True)
        log_p_row, log_p, states = self._calibrated(state, surprise.score)
        reach = self._reach(self._alarming(state, surprise.score)) * surprise.sd
        told = Explained(
            log_p_row,
            surprise.expected,
            surprise.expected - reach,
            surprise.expected + reach,
            surprise.deviation,
            shares(-log_p),
            log_p,
            surprise.window,
        )
        return told, after._replace(calibrations=states)

    # shared work ------------------------------------------------------------------------------------------------

    def _ahead(self, state: SurpriseState, rows: SensorRows, *, full: bool) -> tuple[Surprise, SurpriseState]:
        steps = rows.steps(state.stamp, self.interval_)
        surprise, after = self._surprise(self.model_, state.sensors, rows, steps, full=full)
        return surprise, SurpriseState(after, rows.last_stamp, state.calibrations, state.learning)

    def _calibrated(self, state: SurpriseState, scores: FloatArray) -> tuple[FloatArray, FloatArray, Calibrations]:
        """Log p-values of rows and of readings, and what the calibrators know after them."""
        return self.stages_.run(self.calibrations_, state.calibrations, scores, strangest, state.learning)

    def _alarming(self, state: SurpriseState, scores: FloatArray) -> FloatArray:
        """Score of each sensor with which it alone would reach the alarm level in each row."""
        models, states, level = self.calibrations_, state.calibrations, self.offset_
        return self.stages_.reach(models, states, scores, strangest, state.learning, level, self._alone)

    def _alone(self, surprise: FloatArray) -> FloatArray:
        """Log p-value of one sensor that by itself gives a row this surprise."""
        return one_of(self.n_features_in_, -surprise)


def strangest(log_p: FloatArray) -> FloatArray:
    """Surprise of each row from the log p-values of its readings, NaN without any, ``(n_times, 1)``."""
    row = np.empty((len(log_p), 1))
    _sidak(np.ascontiguousarray(log_p), row)
    return -row


def sidak(log_p: FloatArray) -> FloatArray:
    """Log p-value of the smallest of the p-values in each row, were they independent; 0 for a row of NaN."""
    return -np.nan_to_num(strangest(log_p)[:, 0], nan=0.0)


@kernel
def _sidak(log_p: FloatArray, out: FloatArray) -> None:
    for t in range(log_p.shape[0]):
        smallest, count = 0.0, 0
        for i in range(log_p.shape[1]):
            if not math.isnan(log_p[t, i]):
                smallest = min(smallest, log_p[t, i])
                count += 1
        if count == 0:
            out[t, 0] = np.nan
        elif smallest > -30.0:
            out[t, 0] = min(math.log(-math.expm1(count * math.log1p(-math.exp(smallest)))), 0.0)
        else:  # for tiny p-values 1 - (1 - p)^m is m p
            out[t, 0] = smallest + math.log(count)


def one_of(n: int, log_p: FloatArray) -> FloatArray:
    """Log p-value of the best of n tests by itself, from that of all together: Sidak's combination undone."""
    with np.errstate(divide="ignore"):
        found: FloatArray = np.log(-np.expm1(np.log1p(-np.exp(np.minimum(log_p, 0.0))) / n))
    return np.where(np.exp(log_p) > 0, found, log_p - np.log(n))
