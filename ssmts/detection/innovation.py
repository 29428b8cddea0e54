"""A detector that asks of every row of readings how surprising it is, given the rows before."""

from __future__ import annotations

from numbers import Integral
from typing import Any, ClassVar, NamedTuple

import numpy as np
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions

from .._containers import FloatArray
from ..base_detector import BaseDetector, Explained, SensorRows, shares
from . import autoregressive, local_level
from .autoregressive import Autoregressive
from .calibrators import CALIBRATION, Calibrations
from .fleet import FleetDetector
from .local_level import Innovations


class DetectorState(NamedTuple):
    """What a detector knows after its last row.

    Attributes
    ----------
    sensors : LevelState, AutoregressiveState or StructuralState
    time : float
        Seconds of the last row's stamp since 1970; NaN without a clock.
    calibrations : Calibrations
        What the calibrators have learnt of the stream.
    learning : bool
        Whether they go on learning; False for training rows, which they know.
    """

    sensors: Any
    time: float
    calibrations: Calibrations = Calibrations()
    learning: bool = True


class InnovationDetector(FleetDetector):
    """Anomalies in one or many sensors: readings that their state-space models did not expect.

    Every sensor has a model of its own, by default a local level, which predicts each reading from those before. What the reading adds to
    the prediction, in standard deviations, is its innovation. A row is scored by the Mahalanobis distance of its innovations under
    their correlation, over the sensors that were read, and the distance is turned into a p-value by what the training rows
    showed: `score_samples` is its logarithm.

    Estimation lives with some per cent of outliers among the training rows. In the stream a spike hardly moves the level, whatever
    its size, and a level shift ends to alarm after `patience` rows: the level then restarts where the readings are.

    Parameters
    ----------
    model : "local_level", "autoregressive", Autoregressive or StructuralForecaster, default "local_level"
        Model of each sensor. A local level takes any sensor and costs some nanoseconds a reading. An autoregression goes on
        learning row by row how each reading follows from the last eight, for sensors that swing or whose ways change, and costs some
        hundred nanoseconds; `Autoregressive` sets its order and forgetting. Give a forecaster for those with a season or a slope,
        which costs some microseconds.
    contamination : float in (0, 0.5], default 0.01
        Share of the training rows that are to be in alarm, unless `false_alarm_rate` is given. At most this share of them
        is also taken for outliers and set aside when p-values are calibrated.
    false_alarm_rate : float in (0, 1) or str, optional
        Share of normal rows that may alarm, such as 1e-4: the alarm level of the p-value. Or a budget such as ``"1/week"``,
        which the usual interval between stamps turns into a share.
    patience : int, default 10
        Rows in a row beyond three standard deviations on one side after which a level shift is believed (more, if they exceed
        less). Shorter excursions are never learnt as normal; a shift alarms for so many rows and then ends.
    calibration : str or Calibrator, default "tail"
        Where p-values come from. "tail": what the training rows showed, for ever. "nominal": what the model says, the
        chi-squared distribution. "spot" and "drift_spot": a tail that follows the stream; "conformal" and "adaptive_conformal":
        ranks among the latest rows. For other settings than their defaults give an object: `Spot`, `DriftSpot`,
        `Conformal`, `AdaptiveConformal`. The guide on thresholds says which to take.

    Attributes
    ----------
    offset_ : float
        Logarithm of the alarm level: rows with ``score_samples`` below it are in alarm.
    model_ : LocalLevel, AutoregressiveModel or Structural
        Parameters of the sensors.
    joint_ : Joint
        Calibrations of sensors and rows, and the correlation of the sensors.
    stages_ : Stages or None
        Calibrators of sensors and rows other than "tail"; what they learnt of the training rows is in ``calibrations_``.
    state_ : DetectorState
        After the last row.
    n_features_in_, feature_names_in_
        Of the sensors.

    See Also
    --------
    ssmts.Autoregressive : settings of the online-learnt autoregression.
    ssmts.StructuralForecaster : models with season and slope.

    Notes
    -----
    A p-value is an empirical frequency of the training rows down to 0.1 and comes from a generalised Pareto tail below, so that heavy
    tails of the noise do not raise the rate of alarms. First sensor by sensor, then for the distance of the row.
    Stamps may be irregular or duplicated: the variance of a local level grows with the time that went by, in units of the median interval
    of the training rows. Without a clock each row is one interval.

    Examples
    --------
    >>> import numpy as np
    >>> from ssmts import InnovationDetector
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(500, 2)) + [20.0, 5.0]
    >>> detector = InnovationDetector(false_alarm_rate=1e-4).fit(X)
    >>> new = np.array([[20.3, 5.1], [20.1, 55.0], [np.nan, 4.2]])
    >>> detector.predict(new)
    array([ 1, -1,  1])
    >>> detector.explain(new).query("culprit").index.tolist()
    [(1, 1)]
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **BaseDetector._parameter_constraints,
        "model": [StrOptions({"local_level", "autoregressive"}), Autoregressive, HasMethods(["fit", "forecast"])],
        "patience": [Interval(Integral, 1, None, closed="left")],
        "calibration": CALIBRATION,
    }

    def __init__(
        self,
        model: Any = "local_level",
        contamination: float = 0.01,
        false_alarm_rate: float | str | None = None,
        *,
        patience: int = 10,
        calibration: Any = "tail",
    ) -> None:
        self.model = model
        self.contamination = contamination
        self.false_alarm_rate = false_alarm_rate
        self.patience = patience
        self.calibration = calibration

    # hooks ------------------------------------------------------------------------------------------------------

    def _fit(self, rows: SensorRows) -> dict[str, Any]:
        interval = rows.usual_interval
        steps = rows.steps(np.nan, interval)
        names = [rows.name(i) for i in range(rows.values.shape[1])]
        if self.model == "local_level":
            model: Any = local_level.fit(rows.values, steps, self.patience, names)
            start: Any = local_level.start(rows.values.shape[1])
        elif self.model == "autoregressive" or isinstance(self.model, Autoregressive):
            spec = Autoregressive() if self.model == "autoregressive" else self.model
            model = autoregressive.fit(spec, rows.values, steps, self.patience, names)
            start = autoregressive.start(model)
        else:
            from . import structural

            model = structural.fit(self.model, rows.values, steps, self.patience, names)
            start = structural.start(model)
        innovations, state = _engine(model).run(model, start, rows.values, steps, self.patience)
        scores, states = self._calibrate(innovations.z, rows)
        return {
            "model_": model,
            **scores,
            "interval_": interval,
            "start_": DetectorState(start, np.nan, states, learning=False),
            "state_": DetectorState(state, rows.last_stamp, states),
        }

    def _run(self, state: DetectorState, rows: SensorRows) -> tuple[FloatArray, DetectorState]:
        innovations, after = self._filter(state, rows)
        log_p, states = self._log_p(state, innovations.z)
        return log_p, after if states is after.calibrations else after._replace(calibrations=states)

    def _explain(self, state: DetectorState, rows: SensorRows) -> tuple[Explained, DetectorState]:
        innovations, after = self._filter(state, rows, full=True)
        parts = self._parts(state, innovations.z)
        reach = parts.reach * innovations.sd
        told = Explained(
            parts.log_p,
            innovations.expected,
            innovations.expected - reach,
            innovations.expected + reach,
            innovations.z,
            shares(parts.part),
            parts.log_p_sensor,
            np.ones(innovations.z.shape, dtype=np.int64),
        )
        return told, after._replace(calibrations=parts.calibrations)

    # shared work ------------------------------------------------------------------------------------------------

    def _filter(self, state: DetectorState, rows: SensorRows, full: bool = False) -> tuple[Innovations, DetectorState]:
        steps = rows.steps(state.time, self.interval_)
        innovations, after = _engine(self.model_).run(
            self.model_, state.sensors, rows.values, steps, self.patience, full=full
        )
        return innovations, DetectorState(after, rows.last_stamp, state.calibrations, state.learning)


def _engine(model: Any) -> Any:
    """The module that runs a model."""
    if isinstance(model, local_level.LocalLevel):
        return local_level
    if isinstance(model, autoregressive.AutoregressiveModel):
        return autoregressive
    from . import structural

    return structural
