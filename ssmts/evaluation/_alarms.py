"""Measures of alarms, a 0 or 1 for each row; see `ssmts.evaluation.anomaly`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from .._form import IntArray
from ..exceptions import InputError
from ._labels import BoolArray, harmonic, read_flags, read_predictions, segments
from ._pairs import floats


def event_f1(labels: Any, predictions: Any) -> float:
    """Harmonic mean of the share of events found and the share of alarm rows inside events.

    An event is a run of rows labelled 1; it is found if one of its rows is in alarm. Long events weigh no more than short
    ones in the recall, and every false alarm row costs precision.

    Parameters
    ----------
    labels : Series or array of shape (n_times,)
        1 in events, 0 elsewhere.
    predictions : Series or array of shape (n_times,)
        1 in alarm, 0 elsewhere; with the index of ``labels`` where both have one.

    Returns
    -------
    float
        From 0 to 1; 0 without any alarm.

    Raises
    ------
    InputError
        Lengths or indexes differ, a value is neither 0 nor 1, or all rows are of one kind.

    References
    ----------
    Liu and Paparrizos (2024), "The elephant in the room: towards a reliable time-series anomaly detection benchmark",
    NeurIPS 37, who report it at the best of 100 thresholds. A threshold chosen on the rows it is judged on flatters.

    Examples
    --------
    >>> from ssmts.evaluation.anomaly import event_f1
    >>> event_f1([0, 1, 1, 1, 0, 0, 1, 0], [0, 0, 1, 1, 0, 1, 0, 0])  # 1 of 2 events, 2 of 3 alarm rows
    0.5714285714285715
    """
    true, flags = read_predictions(labels, predictions)
    starts, ends = segments(true)
    recall = float(np.mean(_alarms_within(flags, starts, ends) > 0))
    return harmonic(float((true & flags).sum()) / max(int(flags.sum()), 1), recall)


def point_adjusted_f1(labels: Any, predictions: Any) -> float:
    """F1 of rows after every event with one alarm has been counted as found in all its rows.

    .. warning::
        Random scores win this measure: an event of 100 rows is almost surely hit by alarms on 3 % of the rows chosen by
        lot, and then counts as 100 rows found. It is here because papers print it. Never choose a detector by it; take
        VUS-PR, `event_f1`, or delays and false alarms at a threshold frozen before.

    Parameters
    ----------
    labels, predictions : Series or array of shape (n_times,)
        As in `event_f1`.

    Returns
    -------
    float
        From 0 to 1; 0 without an alarm in an event.

    Raises
    ------
    InputError
        As in `event_f1`.

    References
    ----------
    Xu et al. (2018), "Unsupervised anomaly detection via variational auto-encoder for seasonal KPIs", WWW. On its flaw:
    Kim et al. (2022), "Towards a rigorous evaluation of time-series anomaly detection", AAAI 36.

    Examples
    --------
    >>> from ssmts.evaluation.anomaly import event_f1, point_adjusted_f1
    >>> y, alarms = [0, 0, 1, 1, 1, 1, 0, 0], [0, 1, 0, 0, 0, 1, 0, 0]
    >>> round(point_adjusted_f1(y, alarms), 3), round(event_f1(y, alarms), 3)
    (0.889, 0.667)
    """
    true, flags = read_predictions(labels, predictions)
    starts, ends = segments(true)
    found = int((ends - starts)[_alarms_within(flags, starts, ends) > 0].sum())
    false = int((flags & ~true).sum())
    return harmonic(found / max(found + false, 1), found / int(true.sum()))


def false_alarm_rate(labels: Any, predictions: Any) -> float:
    """Share of the normal rows that are in alarm.

    Parameters
    ----------
    labels, predictions : Series or array of shape (n_times,)
        As in `event_f1`; rows without an event are enough.

    Returns
    -------
    float
        From 0 to 1. SKAB prints it in per cent.

    Raises
    ------
    InputError
        Lengths or indexes differ, a value is neither 0 nor 1, or no row is labelled 0.

    References
    ----------
    Katser and Kozitsin (2020), "Skoltech anomaly benchmark (SKAB)", https://github.com/waico/SKAB

    Examples
    --------
    >>> from ssmts.evaluation.anomaly import false_alarm_rate
    >>> false_alarm_rate([0, 0, 0, 0, 1, 1], [0, 1, 0, 0, 0, 1])
    0.25
    """
    true, flags = read_predictions(labels, predictions, needs=(False,))
    return float(flags[~true].mean())


def missed_alarm_rate(labels: Any, predictions: Any) -> float:
    """Share of the anomalous rows that are not in alarm.

    Parameters
    ----------
    labels, predictions : Series or array of shape (n_times,)
        As in `event_f1`.

    Returns
    -------
    float
        From 0 to 1. SKAB prints it in per cent.

    Raises
    ------
    InputError
        Lengths or indexes differ, a value is neither 0 nor 1, or no row is labelled 1.

    References
    ----------
    Katser and Kozitsin (2020), "Skoltech anomaly benchmark (SKAB)", https://github.com/waico/SKAB

    Examples
    --------
    >>> from ssmts.evaluation.anomaly import missed_alarm_rate
    >>> missed_alarm_rate([0, 0, 0, 0, 1, 1], [0, 1, 0, 0, 0, 1])
    0.5
    """
    true, flags = read_predictions(labels, predictions, needs=(True,))
    return float(1.0 - flags[true].mean())


def detection_delay(labels: Any, predictions: Any) -> Any:
    """From the start of each event to the first alarm in it.

    Parameters
    ----------
    labels, predictions : Series or array of shape (n_times,)
        As in `event_f1`.

    Returns
    -------
    ndarray or Series
        One number for each event, in order: rows, as float, NaN for an event without an alarm. A Series, indexed by the
        start of each event, where ``labels`` or ``predictions`` is one; with a DatetimeIndex of Timedelta, NaT for events missed.
        Its ``.median()`` is the median delay of the events found, ``.isna().mean()`` the share missed.

    Raises
    ------
    InputError
        As in `missed_alarm_rate`.

    Examples
    --------
    >>> import pandas as pd
    >>> from ssmts.evaluation.anomaly import detection_delay
    >>> detection_delay([0, 1, 1, 1, 0, 1, 1], [1, 0, 0, 1, 0, 0, 0])
    array([ 2., nan])
    >>> y = pd.Series([0, 1, 1, 1], pd.date_range("2024-01-01", periods=4, freq="5min"))
    >>> detection_delay(y, [0, 0, 1, 1]).median()
    Timedelta('0 days 00:05:00')
    """
    true, flags = read_predictions(labels, predictions, needs=(True,))
    starts, ends = segments(true)
    places = np.append(np.flatnonzero(flags), len(flags))
    first = places[np.searchsorted(places, starts)]  # the first alarm at or after each start
    missed = first >= ends
    index = next((each.index for each in (labels, predictions) if isinstance(each, pd.Series)), None)
    if not isinstance(index, pd.DatetimeIndex):
        rows = np.where(missed, np.nan, first - starts)
        return rows if index is None else pd.Series(rows, index=index[starts])
    stamps = index[np.where(missed, starts, first)] - index[starts]
    return pd.Series(stamps, index=index[starts]).mask(missed)


def alerts_per_sensor_day(predictions: Any, *, step: Any = None) -> float:
    """Alerts that one sensor raises on one day, on average: what a person on duty has to read.

    An alert is a run of consecutive rows in alarm. The days are those from the first to the last row, that one included.

    Parameters
    ----------
    predictions : Series, DataFrame or array of shape (n_times,) or (n_times, n_sensors)
        1 in alarm, 0 elsewhere; a column for each sensor.
    step : str or Timedelta, optional
        Time from row to row, such as ``"5min"``. Needed without a DatetimeIndex; with one the stamps tell, and the last row
        lasts as long as the median gap.

    Returns
    -------
    float

    Raises
    ------
    InputError
        A value is neither 0 nor 1, there are no rows, the step is not positive, or nothing tells the time.

    Examples
    --------
    >>> from ssmts.evaluation.anomaly import alerts_per_sensor_day
    >>> alerts_per_sensor_day([0, 1, 1, 0, 0, 1], step="4h")
    2.0
    """
    values = floats(predictions, "predictions")
    if values.ndim not in (1, 2) or values.size == 0:
        raise InputError(f"predictions has the shape {values.shape}. Pass rows, (n_times,) or (n_times, n_sensors).")
    table = read_flags(values, "predictions").reshape(len(values), -1)
    days = _duration(predictions, len(table), step) / pd.Timedelta(days=1)
    rises = int(table[0].sum() + (table[1:] & ~table[:-1]).sum())
    return rises / (table.shape[1] * days)


def _alarms_within(flags: BoolArray, starts: IntArray, ends: IntArray) -> IntArray:
    """Alarm rows in each event."""
    count = np.concatenate([[0], np.cumsum(flags)])
    inside: IntArray = count[ends] - count[starts]
    return inside


def _duration(predictions: Any, n_rows: int, step: Any) -> pd.Timedelta:
    """Time that the rows cover."""
    if step is not None:
        length = _length(step)
        if not length > pd.Timedelta(0):
            raise InputError(f"step must be a length of time such as '5min', above zero; received {step!r}.")
        return n_rows * length
    index = predictions.index if isinstance(predictions, pd.Series | pd.DataFrame) else None
    if not isinstance(index, pd.DatetimeIndex) or n_rows < 2 or index.hasnans:
        raise InputError("Nothing tells how long the rows last. Pass step, or two rows or more with a DatetimeIndex.")
    span: pd.Timedelta = index.max() - index.min()
    if not span > pd.Timedelta(0):
        raise InputError(f"All rows of predictions have the stamp {index[0]}. Pass step, or the stamps of the rows.")
    last: pd.Timedelta = pd.Series(index.sort_values()).diff().median()
    return span + last


def _length(step: Any) -> pd.Timedelta:
    """A length of time, or NaT for what is none."""
    try:
        return pd.Timedelta("NaT" if isinstance(step, int | float) else step)  # a number would be nanoseconds
    except (ValueError, TypeError):
        return pd.Timedelta("NaT")
