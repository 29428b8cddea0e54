"""The contract of detectors: exact scikit-learn outlier detectors whose rows are consecutive readings of sensors."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from numbers import Real
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, OutlierMixin
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import check_is_fitted

from ._budget import alarm_share
from ._containers import FloatArray, Table, column_mismatch, is_default_index, read_table
from ._sensor_rows import Explained, SensorRows, refuse_other_shapes, shares
from ._timeaxis import check_present, kind_of, zone_name
from .exceptions import InputError, SsmtsError, TimeIndexError

__all__ = ["BaseDetector", "Explained", "SensorRows", "shares"]


class BaseDetector(OutlierMixin, BaseEstimator, ABC):  # type: ignore[misc]
    """A scikit-learn outlier detector whose rows have an order.

    Subclasses store their arguments in ``__init__``, among them ``contamination`` and ``false_alarm_rate``, and define `_fit`,
    `_run` and `_explain`. Scores are logarithms of calibrated
    p-values, so higher is more normal, and ``offset_`` is the logarithm of the alarm level.

    Rows handed to `score_samples`, `decision_function` and `predict` are taken as the next ones after the last row
    learnt, scored as `update` would score them one by one, and forgotten again. Rows whose index says that they are
    training rows get the scores they had in training; where everything is an array, rows have no times and always follow.
    """

    offset_: float
    start_: Any
    state_: Any
    contamination: float
    false_alarm_rate: float | str | None

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "contamination": [Interval(Real, 0, 0.5, closed="right")],
        "false_alarm_rate": [None, Interval(Real, 0, 1, closed="neither"), str],
    }

    # hooks ------------------------------------------------------------------------------------------------------

    @abstractmethod
    def _fit(self, rows: SensorRows) -> dict[str, Any]:
        """Learn from training rows; return the attributes to set, among them ``start_`` and ``state_``.

        ``start_`` is the state before the first training row and ``state_`` that after the last one.
        """

    @abstractmethod
    def _run(self, state: Any, rows: SensorRows) -> tuple[FloatArray, Any]:
        """Log p-value of each row, scored before it is learnt, and the state after the last; `state` is left as it is."""

    @abstractmethod
    def _explain(self, state: Any, rows: SensorRows) -> tuple[Explained, Any]:
        """What `_run` does, and why: the same log p-values and the same state after the last row."""

    # the contract -----------------------------------------------------------------------------------------------

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn what is normal.

        Parameters
        ----------
        X : DataFrame, Series or array of shape (n_times, n_sensors)
            Readings in time order; NaN where a sensor was silent. Times may be irregular.
        y : ignored
            For scikit-learn's sake.

        Returns
        -------
        self
        """
        from .detection.usual import learn

        self._validate_params()
        rows, table = self._read(X, "X")
        alarm_share = self._alarm_share(rows)
        if (dead := np.isnan(rows.values).all(axis=0)).any():
            name = rows.name(int(dead.argmax()))
            raise InputError(f"Sensor {name} is NaN throughout X; there is nothing to learn from. Drop the column.")
        fitted = self._fit(rows)
        self.__dict__.pop("feature_names_in_", None)
        self.__dict__.update(fitted)
        self.n_features_in_ = rows.values.shape[1]
        self.columns_ = table.columns
        if table.columns is not None and table.ndim == 2 and all(isinstance(name, str) for name in table.columns):
            self.feature_names_in_ = np.array(table.columns, dtype=object)
        self.rows_: SensorRows | None = rows
        self.usual_ = learn(rows.values, rows.index)
        self.last_time_ = None if rows.index is None else rows.index[-1]
        self.clock_ = None if rows.index is None else _clock(rows.index)
        self.trained_until_ = self.last_time_
        self.offset_ = self._alarm_level(rows, alarm_share, self._scores)
        return self

    def score_samples(self, X: Any) -> FloatArray:
        """Log of the calibrated p-value of each row, ``(n_times,)``; 0 for a row without any reading.

        Parameters
        ----------
        X : DataFrame, Series or array of shape (n_times, n_sensors)
            Rows after the last one learnt, or training rows; see the class.
        """
        check_is_fitted(self)
        return self._scores(self._read_fitted(X))

    def decision_function(self, X: Any) -> FloatArray:
        """``score_samples(X) - offset_``: negative in alarm."""
        return self.score_samples(X) - self.offset_

    def predict(self, X: Any) -> np.ndarray[Any, np.dtype[np.int64]]:
        """-1 for rows in alarm, 1 for the others."""
        return np.where(self.decision_function(X) < 0, -1, 1)

    def fit_predict(self, X: Any, y: Any = None) -> np.ndarray[Any, np.dtype[np.int64]]:
        """Fit, then label the training rows."""
        return self.fit(X).predict(X)

    def update(self, X: Any) -> FloatArray:
        """Score new rows, then learn from them.

        Parameters
        ----------
        X : DataFrame, Series or array of shape (n_times, n_sensors)
            Rows after the last one learnt.

        Returns
        -------
        array of shape (n_times,)
            `score_samples` of the rows, each taken before the row is learnt. All or nothing: an error changes nothing.
        """
        log_p: FloatArray = self._learn_rows(X, self._run)
        return log_p

    def observe(self, X: Any) -> Explained:
        """`update` that also says why: the scores of new rows taken apart, each taken before the row is learnt.

        Parameters
        ----------
        X : DataFrame, Series or array of shape (n_times, n_sensors)
            Rows after the last one learnt.

        Returns
        -------
        Explained
        """
        told: Explained = self._learn_rows(X, self._explain)
        return told

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

            * ``observed, expected``: the reading, and what was expected of it.
            * ``lower, upper``: range outside of which the sensor alone would reach the alarm level.
            * ``deviation``: signed distance from the expected value in standard deviations.
            * ``share``: of the row's score; shares of a row sum to 1. A negative one is that of a sensor which, in agreement with
              others that are off, explains some of their deviation away.
            * ``p_value``: of the sensor alone.
            * ``culprit``: True for the sensor with the largest share in a row in alarm.
            * ``window``: number of rows up to this one that the evidence comes from.
        """
        check_is_fitted(self)
        rows = self._read_fitted(X)
        told = self._explained(rows)
        columns = {
            "observed": rows.values,
            "expected": told.expected,
            "lower": told.lower,
            "upper": told.upper,
            "deviation": told.deviation,
            "share": told.share,
            "p_value": np.exp(told.log_p_sensor),
            "culprit": told.culprit(told.log_p < self.offset_),
            "window": told.window,
        }
        return pd.DataFrame({name: values.ravel() for name, values in columns.items()}, index=self._long_index(rows))

    def incidents(self, X: Any, **options: Any) -> pd.DataFrame:
        """One row for one fault: what alarms of rows, and what else is off in them, come to.

        Parameters
        ----------
        X : DataFrame, Series or array of shape (n_times, n_sensors)
            As in `score_samples`.
        **options
            Of `ssmts.IncidentTracker`, such as ``gap=12``, ``floor={"heat": 0.5}`` or ``suppress=[("2024-05-01", "2024-05-02")]``.

        Returns
        -------
        DataFrame
            In order of their starts, columns as the fields of `ssmts.detection.incidents.Incident`, times as in the rows. An
            incident that has not ended has no end.
        """
        from .detection.incidents import find_incidents

        check_is_fitted(self)
        return find_incidents(self, X, **options)

    def plot(self, X: Any, axes: Any = None, **options: Any) -> Any:
        """Draw readings, expected range, alarms and incidents of each sensor, and the p-values.

        Parameters
        ----------
        X : DataFrame, Series or array of shape (n_times, n_sensors)
            As in `score_samples`.
        axes : sequence of Axes, optional
            One a sensor, and one for the p-values; new ones unless given.
        **options
            As in `incidents`.

        Returns
        -------
        array of Axes
        """
        from ._detection_pictures import draw_detector

        check_is_fitted(self)
        return draw_detector(self, X, axes, options)

    def plot_attribution(self, X: Any, ax: Any = None) -> Any:
        """Draw which sensor is to blame when: a heat map; see `ssmts.plotting.plot_attribution`."""
        from ._detection_pictures import draw_attribution

        check_is_fitted(self)
        return draw_attribution(self, X, ax)

    def __sklearn_tags__(self) -> Any:
        """scikit-learn's tags: NaN are readings that did not come."""
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    # shared work ------------------------------------------------------------------------------------------------

    def _scores(self, rows: SensorRows) -> FloatArray:
        """Log p-values of rows that follow the last one, or were training rows."""
        parts = [self._run(state, part)[0] for state, part in self._segments(rows)]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _explained(self, rows: SensorRows) -> Explained:
        """What is to be said of rows that follow the last one, or were training rows."""
        parts = [self._explain(state, part)[0] for state, part in self._segments(rows)]
        return parts[0] if len(parts) == 1 else Explained(*(np.concatenate(fields) for fields in zip(*parts)))

    def _learn_rows(self, X: Any, hook: Any) -> Any:
        """What `hook` says of new rows, moving the state on."""
        if "offset_" not in self.__dict__:
            check_is_fitted(self)
        rows = self._read_fitted(X)
        if rows.index is not None and rows.index[0] < self.last_time_:
            raise TimeIndexError(
                f"update got rows from {rows.index[0]}, but the last one learnt is {self.last_time_}. Pass later rows only."
            )
        told, state = hook(self.state_, rows)
        self.state_ = state
        if rows.index is not None:
            self.last_time_ = rows.index[-1]
        return told

    def _alarm_share(self, rows: SensorRows) -> float | None:
        """Share of normal rows that may alarm; None where `contamination` says it by the training rows."""
        rate = self.false_alarm_rate
        return alarm_share(rate, rows.usual_interval) if isinstance(rate, str) else rate

    def _alarm_level(self, rows: SensorRows, share: float | None, scores: Callable[[SensorRows], FloatArray]) -> float:
        """Log p-value from which rows alarm: that share, or the one which `contamination` of the training rows are below."""
        if share is not None:
            return math.log(share)
        return float(np.quantile(scores(rows)[~np.isnan(rows.values).all(axis=1)], self.contamination))

    def _long_index(self, rows: SensorRows) -> pd.MultiIndex:
        times = pd.RangeIndex(len(rows.values), name="row") if rows.index is None else rows.index
        n = rows.values.shape[1]
        sensors = pd.Index(list(range(n) if self.columns_ is None else self.columns_), tupleize_cols=False)
        each = sensors.take(np.tile(np.arange(n), len(times)))
        return pd.MultiIndex.from_arrays([times.repeat(n), each], names=[times.name or "time", "sensor"])

    def _segments(self, rows: SensorRows) -> list[tuple[Any, SensorRows]]:
        """Pieces of rows with the state in front of each: training rows first, then rows that follow the last one."""
        if rows.index is None or not rows.index[0] <= self.trained_until_:
            return [(self.state_, self._after_last(rows))]
        if self.rows_ is None:
            raise SsmtsError(
                "Scores of training rows need them, and they were not saved: save(..., data=True), or fit again."
            )
        known = self.rows_.index
        assert known is not None
        first = int(known.searchsorted(rows.index[0]))
        count = min(len(known) - first, len(rows.index))
        if is_default_index(rows.index) and len(rows.index) != len(known):
            raise TimeIndexError(
                f"These rows have a default index 0..{len(rows.index) - 1}, which overlaps the training rows {known[0]}..{known[-1]} "
                "without being them. Keep the index of the original frame (no reset_index)."
            )
        if not rows.index[:count].equals(known[first : first + count]):
            raise TimeIndexError(
                f"These rows start at {rows.index[0]}, within the training rows, without being them. Pass the training rows, or later ones."
            )
        state = self.start_
        if first:
            state = self._run(state, _slice(self.rows_, 0, first))[1]
        pieces = [(state, _slice(rows, 0, count))]
        if count < len(rows.index):
            pieces.append((self.state_, self._after_last(_slice(rows, count, len(rows.index)))))
        return pieces

    def _after_last(self, rows: SensorRows) -> SensorRows:
        if rows.index is not None and rows.index[0] < self.last_time_:
            raise TimeIndexError(
                f"Rows from {rows.index[0]} were seen by update, which keeps none; the last one learnt is {self.last_time_}."
            )
        return rows

    def _read_fitted(self, X: Any) -> SensorRows:
        if type(X) is np.ndarray and X.dtype == np.float64 and self.last_time_ is None:
            # The common case of a stream: scikit-learn's validation would cost more than the score.
            if (
                X.shape[1:] == (self.n_features_in_,)
                and len(X)
                and (math.isfinite(np.vdot(X, X)) or not np.isinf(X).any())
            ):
                return SensorRows(X, None)
        rows, table = self._read(X, "X")
        n, expected = rows.values.shape[1], self.n_features_in_
        if (
            table.columns is not None
            and self.columns_ is not None
            and table.ndim == 2
            and table.columns != self.columns_
        ):
            raise InputError(column_mismatch(table.columns, self.columns_, "X"))
        if n != expected:
            raise InputError(
                f"X has {n} features, but {type(self).__name__} is expecting {expected} features as input."
            )
        if (rows.index is None) != (self.last_time_ is None):
            if rows.index is None:
                raise InputError(
                    "fit saw an index, but these rows come as an array that does not say when they are. Pass a pandas object with its "
                    'index; if a transformer dropped it, call .set_output(transform="pandas") on it.'
                )
            raise InputError("fit saw arrays, whose rows have no stamps; pass an array, not an indexed object.")
        if rows.index is not None and _clock(rows.index) != self.clock_:
            raise TimeIndexError(
                f"The rows have stamps like {rows.index[0]!r}, but fit saw stamps like {self.last_time_!r}. Convert them to the kind and "
                "zone of the training rows."
            )
        return rows

    def _read(self, X: Any, what: str) -> tuple[SensorRows, Table]:
        refuse_other_shapes(X, what, getattr(self, "columns_", None))
        table = read_table(X, what, ensure_2d=True)
        if table.codes is not None:
            raise InputError(
                f"{what} has an index (series, time); a detector wants one column a sensor: unstack the first level."
            )
        if table.time is not None:
            kind_of(table.time)
            check_present(table.time)
        if table.time is not None and not table.time.is_monotonic_increasing:
            stamps = pd.Series(table.time)
            at = table.time[int((stamps.shift() > stamps).to_numpy().argmax())]
            raise TimeIndexError(f"{what} goes back in time at {at}. Sort the rows: {what}.sort_index().")
        return SensorRows(table.values, table.time, table.columns), table


def _clock(index: pd.Index) -> tuple[str, ...]:
    """What must agree between stamps that are compared: their kind, and the zone or the frequency."""
    kind = kind_of(index)
    if isinstance(index, pd.DatetimeIndex):
        return kind, str(zone_name(index.tz))
    return (kind, index.freqstr) if isinstance(index, pd.PeriodIndex) else (kind,)


def _slice(rows: SensorRows, start: int, stop: int) -> SensorRows:
    return SensorRows(rows.values[start:stop], None if rows.index is None else rows.index[start:stop], rows.columns)
