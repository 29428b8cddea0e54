"""A detector that asks of every row of readings how surprising it is, given the rows before."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any, ClassVar, NamedTuple

import numpy as np
import pandas as pd
from scipy.special import ndtri_exp
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from .._containers import FloatArray
from ..base_detector import BaseDetector, SensorRows
from . import joint, local_level
from .calibration import score_at
from .local_level import Innovations

_LOG_2 = float(np.log(2.0))


class DetectorState(NamedTuple):
    """What a detector knows after its last row.

    Attributes
    ----------
    sensors : LevelState or StructuralState
    time : float
        Seconds of the last row's stamp since 1970; NaN without a clock.
    """

    sensors: Any
    time: float


class InnovationDetector(BaseDetector):
    """Anomalies in one or many sensors: readings that their state-space models did not expect.

    Every sensor has a model of its own, by default a local level, which predicts each reading from those before. What the reading adds to
    the prediction, in standard deviations, is its innovation. A row is scored by the Mahalanobis distance of its innovations under
    their correlation, over the sensors that were read, and the distance is turned into a p-value by what the training rows
    showed: `score_samples` is its logarithm.

    Estimation lives with some per cent of outliers among the training rows. In the stream a spike hardly moves the level, whatever
    its size, and a level shift ends to alarm after `patience` rows: the level then restarts where the readings are.

    Parameters
    ----------
    model : "local_level" or StructuralForecaster, default "local_level"
        Model of each sensor. A local level takes any sensor and costs a fraction of a microsecond a reading; give a forecaster for those
        with a season or a slope, which costs some hundred times as much.
    contamination : float in (0, 0.5], default 0.01
        Share of the training rows that are to be in alarm, unless `false_alarm_rate` is given. At most this share of them
        is also taken for outliers and set aside when p-values are calibrated.
    false_alarm_rate : float in (0, 1), optional
        Share of normal rows that may alarm, such as 1e-4: the alarm level of the p-value.
    patience : int, default 10
        Rows in a row beyond three standard deviations on one side after which a level shift is believed (more, if they exceed
        less). Shorter excursions are never learnt as normal; a shift alarms for so many rows and then ends.

    Attributes
    ----------
    offset_ : float
        Logarithm of the alarm level: rows with ``score_samples`` below it are in alarm.
    model_ : LocalLevel or Structural
        Parameters of the sensors.
    joint_ : Joint
        Calibrations of sensors and rows, and the correlation of the sensors.
    state_ : DetectorState
        After the last row.
    n_features_in_, feature_names_in_
        Of the sensors.

    See Also
    --------
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
        "model": [StrOptions({"local_level"}), HasMethods(["fit", "forecast"])],
        "contamination": [Interval(Real, 0, 0.5, closed="right")],
        "false_alarm_rate": [None, Interval(Real, 0, 1, closed="neither")],
        "patience": [Interval(Integral, 1, None, closed="left")],
    }

    def __init__(
        self,
        model: Any = "local_level",
        contamination: float = 0.01,
        false_alarm_rate: float | None = None,
        *,
        patience: int = 10,
    ) -> None:
        self.model = model
        self.contamination = contamination
        self.false_alarm_rate = false_alarm_rate
        self.patience = patience

    def explain(self, X: Any) -> pd.DataFrame:
        """Take the scores of rows apart: which sensor, how far, what was expected.

        Parameters
        ----------
        X : DataFrame, Series or array of shape (n_times, n_sensors)
            As in `score_samples`.

        Returns
        -------
        DataFrame
            One row a time and sensor, indexed by both, with the columns

            * ``observed, expected``: reading and its prediction from the rows before.
            * ``lower, upper``: range outside of which the sensor alone would reach the alarm level.
            * ``deviation``: signed distance from the prediction in standard deviations.
            * ``share``: of the row's distance; shares of a row sum to 1. Negative where a sensor, in agreement with others
              that are off, explains some of their distance away.
            * ``p_value``: of the sensor alone.
            * ``culprit``: True for the sensor with the largest share in a row in alarm.
        """
        check_is_fitted(self)
        rows = self._read_fitted(X)
        innovations = self._innovations(rows)
        parts, share, culprit = self._blame(innovations, joint.score(self.joint_, innovations.z) < self.offset_)
        lower, upper = self._range(innovations)
        columns = {
            "observed": rows.values,
            "expected": innovations.expected,
            "lower": lower,
            "upper": upper,
            "deviation": innovations.z,
            "share": share,
            "p_value": np.exp(parts.log_p),
            "culprit": culprit,
        }
        return pd.DataFrame({name: values.ravel() for name, values in columns.items()}, index=self._long_index(rows))

    def plot(self, X: Any, axes: Any = None) -> Any:
        """Draw readings, expected range and alarms of each sensor, and the p-values.

        Parameters
        ----------
        X : DataFrame, Series or array of shape (n_times, n_sensors)
            As in `score_samples`.
        axes : sequence of Axes, optional
            One a sensor, and one for the p-values; new ones unless given.

        Returns
        -------
        array of Axes
        """
        from ..plotting import plot_detection

        check_is_fitted(self)
        innovations = self._innovations(self._read_fitted(X))
        log_p = joint.score(self.joint_, innovations.z)
        lower, upper = self._range(innovations)
        return plot_detection(
            X,
            np.exp(log_p),
            self._blame(innovations, log_p < self.offset_)[2],
            innovations.expected,
            lower,
            upper,
            axes,
            alarm_level=float(np.exp(self.offset_)),
        )

    def _blame(self, innovations: local_level.Innovations, alarms: Any) -> Any:
        """Parts of the distance of each row, the sensors' shares in it, and the sensor to blame in rows in alarm."""
        parts = joint.explain(self.joint_, innovations.z)
        total = np.nansum(parts.part, axis=1, keepdims=True)
        share = np.divide(parts.part, total, out=np.where(np.isnan(parts.part), np.nan, 0.0), where=total > 0)
        culprit = np.zeros(share.shape, dtype=bool)
        culprit[alarms, np.argmax(np.nan_to_num(share[alarms], nan=-np.inf), axis=1)] = True
        return parts, share, culprit

    # hooks ------------------------------------------------------------------------------------------------------

    def _fit(self, rows: SensorRows) -> dict[str, Any]:
        interval = _usual_interval(rows)
        steps = _steps(rows, np.nan, interval)
        names = [rows.name(i) for i in range(rows.values.shape[1])]
        if self.model == "local_level":
            model: Any = local_level.fit(rows.values, steps, self.patience, names)
            start: Any = local_level.start(rows.values.shape[1])
        else:
            from . import structural

            model = structural.fit(self.model, rows.values, steps, self.patience, names)
            start = structural.start(model)
        innovations, state = _engine(model).run(model, start, rows.values, steps, self.patience)
        return {
            "model_": model,
            "joint_": joint.fit(innovations.z, float(self.contamination)),
            "interval_": interval,
            "start_": DetectorState(start, np.nan),
            "state_": DetectorState(state, _stamp(rows, -1)),
        }

    def _run(self, state: DetectorState, rows: SensorRows) -> tuple[FloatArray, DetectorState]:
        innovations, after = self._filter(state, rows)
        return joint.score(self.joint_, innovations.z), after

    def _alarm_level(self, log_p: FloatArray) -> float:
        if self.false_alarm_rate is not None:
            return float(np.log(self.false_alarm_rate))
        assert self.rows_ is not None
        return float(np.quantile(log_p[~np.isnan(self.rows_.values).all(axis=1)], self.contamination))

    # shared work ------------------------------------------------------------------------------------------------

    def _filter(self, state: DetectorState, rows: SensorRows, full: bool = False) -> tuple[Innovations, DetectorState]:
        steps = _steps(rows, state.time, self.interval_)
        innovations, after = _engine(self.model_).run(
            self.model_, state.sensors, rows.values, steps, self.patience, full=full
        )
        return innovations, DetectorState(after, _stamp(rows, -1))

    def _innovations(self, rows: SensorRows) -> Innovations:
        """Innovations of rows that follow the last one, or were training rows, with what was expected."""
        parts = [self._filter(state, part, full=True)[0] for state, part in self._segments(rows)]
        return Innovations(*(np.concatenate(fields) for fields in zip(*parts)))

    def _range(self, innovations: Innovations) -> tuple[FloatArray, FloatArray]:
        """Bounds of the readings outside of which a sensor alone would reach the alarm level."""
        nominal = score_at(self.joint_.sensors, self.offset_)
        reach = np.maximum(-ndtri_exp(-nominal - _LOG_2), 0.0) * innovations.sd
        return innovations.expected - reach, innovations.expected + reach

    def _long_index(self, rows: SensorRows) -> pd.MultiIndex:
        times = pd.RangeIndex(len(rows.values), name="row") if rows.index is None else rows.index
        sensors = pd.Index(
            list(range(rows.values.shape[1]) if self.columns_ is None else self.columns_), tupleize_cols=False
        )
        each = sensors.take(np.tile(np.arange(len(sensors)), len(times)))
        return pd.MultiIndex.from_arrays([times.repeat(len(sensors)), each], names=[times.name or "time", "sensor"])


def _engine(model: Any) -> Any:
    """The module that runs a model."""
    if isinstance(model, local_level.LocalLevel):
        return local_level
    from . import structural

    return structural


def _usual_interval(rows: SensorRows) -> float:
    """Median seconds from row to row, NaN without a clock."""
    elapsed = rows.elapsed
    if elapsed is None:
        return np.nan
    positive = elapsed[elapsed > 0]
    return float(np.median(positive)) if len(positive) else np.nan


def _stamp(rows: SensorRows, position: int) -> float:
    """Seconds of a row's stamp since 1970, NaN without a clock."""
    return float(rows.index[position].timestamp()) if isinstance(rows.index, pd.DatetimeIndex) else np.nan


def _steps(rows: SensorRows, last_time: float, interval: float) -> FloatArray:
    """Usual intervals that went by since the row before; 1 where that is not known."""
    steps = np.ones(len(rows.values))
    if isinstance(rows.index, pd.DatetimeIndex) and interval > 0:
        if len(steps) > 1:
            steps[1:] = np.asarray(rows.elapsed)[1:] / interval
        if last_time == last_time:
            steps[0] = (_stamp(rows, 0) - last_time) / interval
    return steps
