"""Rows of sensor readings, and what detectors say of them."""

from __future__ import annotations

import math
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from ._containers import FloatArray, is_long, is_polars
from .exceptions import InputError, InputTypeError

__all__ = ["Explained", "SensorRows", "refuse_other_shapes", "shares"]


@dataclass(frozen=True)
class SensorRows:
    """Readings of sensors: one row a time, one column a sensor; NaN where a sensor was silent."""

    values: FloatArray  # (n_times, n_sensors)
    index: pd.Index | None  # None for arrays
    columns: tuple[Hashable, ...] | None = None  # None for arrays

    def name(self, sensor: int) -> str:
        """What a sensor is called in messages: the name of its column, or its number."""
        return str(sensor) if self.columns is None else repr(self.columns[sensor])

    @property
    def elapsed(self) -> FloatArray | None:
        """Seconds from the row before to each row, NaN for the first; None where rows carry no clock."""
        if not isinstance(self.index, pd.DatetimeIndex):
            return None
        seconds = (self.index - self.index[0]) / pd.Timedelta(seconds=1)
        return np.diff(np.asarray(seconds, dtype=np.float64), prepend=np.nan)

    @property
    def usual_interval(self) -> float:
        """Median seconds from row to row, NaN without a clock."""
        elapsed = self.elapsed
        if elapsed is None:
            return math.nan
        positive = elapsed[elapsed > 0]
        return float(np.median(positive)) if len(positive) else math.nan

    @property
    def last_stamp(self) -> float:
        """Seconds of the last row's stamp since 1970, NaN without a clock."""
        return float(self.index[-1].timestamp()) if isinstance(self.index, pd.DatetimeIndex) else math.nan

    def steps(self, last_stamp: float, interval: float) -> FloatArray:
        """Usual intervals that went by since the row before each row, `last_stamp` before the first; 1 where not known."""
        steps = np.empty(len(self.values))
        steps.fill(1.0)
        if self.index is not None and isinstance(self.index, pd.DatetimeIndex) and interval > 0:
            if len(steps) > 1:
                steps[1:] = np.asarray(self.elapsed)[1:] / interval
            if last_stamp == last_stamp:
                steps[0] = (self.index[0].timestamp() - last_stamp) / interval
        return steps


class Explained(NamedTuple):
    """What a detector says of rows and of every reading in them.

    Attributes
    ----------
    log_p : (n_times,)
        Log of the calibrated p-value of each row; 0 without any reading.
    expected, lower, upper : (n_times, n_sensors)
        Expected reading, and the range outside of which the sensor alone would reach the alarm level; NaN where unknown.
    deviation : (n_times, n_sensors)
        Signed, in standard deviations; NaN where nothing was read.
    share : (n_times, n_sensors)
        Of the row's score; the shares of a row sum to 1, or are all 0. NaN where nothing was read.
    log_p_sensor : (n_times, n_sensors)
        Log of the p-value of each sensor alone; NaN where nothing was read.
    window : (n_times, n_sensors)
        Number of rows up to this one that the evidence comes from; 1 for the reading alone.
    """

    log_p: FloatArray
    expected: FloatArray
    lower: FloatArray
    upper: FloatArray
    deviation: FloatArray
    share: FloatArray
    log_p_sensor: FloatArray
    window: np.ndarray[Any, np.dtype[np.int64]]

    def culprit(self, alarms: Any) -> Any:
        """True for the sensor with the largest share in each row of `alarms`, (n_times, n_sensors)."""
        culprit = np.zeros(self.share.shape, dtype=bool)
        rows = np.flatnonzero(np.asarray(alarms) & ~np.isnan(self.share).all(axis=1))
        culprit[rows, np.argmax(np.nan_to_num(self.share[rows], nan=-np.inf), axis=1)] = True
        return culprit


def refuse_other_shapes(X: Any, what: str, columns: tuple[Hashable, ...] | None) -> None:
    """Refuse what holds readings otherwise than with a column for every sensor; `columns` are those of a fitted detector."""
    if is_long(X):
        raise InputTypeError(
            "A detector wants one column a sensor: pivot the long frame, frame.pivot(index='ds', columns='unique_id', values='y')."
        )
    if is_polars(X):
        raise InputTypeError(
            f"{what} comes from polars. Pass {what}.to_pandas(), with the times as its index if there are any (.set_index('time')), "
            f"or {what}.to_numpy()."
        )
    if isinstance(X, pd.Series) and len(X) > 1 and tuple(X.index) == columns:
        raise InputError(
            f"{what} is one row as a Series, whose index holds sensors and not times. Pass it as a frame, {what}.to_frame().T, or "
            "take rows by .iloc[[i]]."
        )


def shares(part: FloatArray) -> FloatArray:
    """What part each reading has in its row, from the parts of the score, NaN where nothing was read: they sum to 1, or are 0."""
    total = np.nansum(part, axis=1, keepdims=True)
    found: FloatArray = np.divide(part, total, out=np.where(np.isnan(part), np.nan, 0.0), where=total > 0)
    return found
