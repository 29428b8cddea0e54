"""Measures of point forecasts; see `ssmts.evaluation.metrics`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import mean_absolute_error, root_mean_squared_error

from .._containers import FloatArray
from ..exceptions import InputError, UnknownSeriesError
from ..panel import read_training
from ._pairs import read_truth, score, series_labels


def mae(y_true: Any, y_pred: Any, *, sample_weight: Any = None, by: Any = None) -> Any:
    """Mean absolute error (scikit-learn's).

    Parameters
    ----------
    y_true, y_pred : Series, DataFrame, long frame or array
        Truth and prediction; see the module for containers, alignment and NaN.
    sample_weight : array-like, optional
        A weight for each row or value.
    by : None, "series" or one label for each row, default None
        What to give one number for.

    Returns
    -------
    float, Series or ndarray
        The mean over all pairs, or of each group.

    Raises
    ------
    InputError
        A prediction is absent for a row with a value, or shapes do not fit.

    Examples
    --------
    >>> import numpy as np
    >>> from ssmts.evaluation import mae
    >>> mae([1.0, np.nan, 3.0], [2.0, 2.0, 5.0])
    1.5
    """
    return score(_absolute, y_true, y_pred, sample_weight=sample_weight, by=by, whole=mean_absolute_error)


def _absolute(y: FloatArray, f: FloatArray) -> FloatArray:
    return np.abs(y - f)


def rmse(y_true: Any, y_pred: Any, *, sample_weight: Any = None, by: Any = None) -> Any:
    """Root mean squared error (scikit-learn's), the root of the mean over all pairs of the group.

    Parameters, returned value and errors are those of `mae`.

    Examples
    --------
    >>> from ssmts.evaluation import rmse
    >>> rmse([1.0, 2.0], [4.0, 6.0])
    3.5355339059327378
    """
    whole = root_mean_squared_error
    return score(_squared, y_true, y_pred, sample_weight=sample_weight, by=by, whole=whole, root=True)


def _squared(y: FloatArray, f: FloatArray) -> FloatArray:
    return (y - f) ** 2


def smape(y_true: Any, y_pred: Any, *, sample_weight: Any = None, by: Any = None) -> Any:
    """Symmetric mean absolute percentage error in per cent, from 0 to 200.

    Mean of ``200 |y - f| / (|y| + |f|)``, as in the M3 and M4 competitions and the Monash archive; a pair of zeros counts 0.
    Parameters, returned value and errors are those of `mae`.

    References
    ----------
    Makridakis, Spiliotis and Assimakopoulos (2020), "The M4 competition", International Journal of Forecasting 36.

    Examples
    --------
    >>> from ssmts.evaluation import smape
    >>> smape([1.0, 0.0], [3.0, 0.0])
    50.0
    """
    return score(_smape, y_true, y_pred, sample_weight=sample_weight, by=by)


def _smape(y: FloatArray, f: FloatArray) -> FloatArray:
    size = np.abs(y) + np.abs(f)
    share: FloatArray = np.divide(200.0 * np.abs(y - f), size, out=np.zeros_like(size), where=size > 0)
    return share


def mase_scale(y_train: Any, season_length: float = 1, *, freq: Any = None) -> Any:
    """Mean absolute error of the seasonal naive forecast within the training rows, of each series.

    Parameters
    ----------
    y_train : Series, DataFrame, long frame or array
        Training rows. They are put on their regular grid, so that absent rows equal NaN; pairs with NaN are skipped.
    season_length : float, default 1
        Lag in rows, rounded. Lag 1 is taken for a series that has no more rows than that.
    freq : str or offset, optional
        Frequency of the stamps, where they do not tell.

    Returns
    -------
    Series or ndarray
        One number for each series or column, NaN where no pair has values; an array for arrays.

    Examples
    --------
    >>> from ssmts.evaluation import mase_scale
    >>> mase_scale([1.0, 2.0, 4.0, 8.0], season_length=2)
    array([4.5])
    """
    lag = _lag(season_length)
    form, panel = read_training(y_train, freq=freq)
    scales = np.concatenate([_naive_error(y, lag if len(y) > lag else 1) for y in panel.y])
    if form.kind == "array":
        return scales
    labels = pd.Index(form.outputs)
    if form.keys is not None:
        labels = pd.Index(form.keys, name=form.level_names[0])
        if len(form.outputs) > 1:
            labels = pd.MultiIndex.from_product([labels, form.outputs])
    return pd.Series(scales, index=labels)


def _lag(season_length: float) -> int:
    if not season_length >= 1:
        raise InputError(f"season_length must be 1 or more rows; received {season_length!r}.")
    return round(season_length)


def _naive_error(y: FloatArray, lag: int) -> FloatArray:
    """Mean |y_t - y_(t-lag)| of each column of ``y`` (n_times, n_outputs), NaN skipped."""
    errors = np.abs(y[lag:] - y[:-lag])
    count = np.sum(~np.isnan(errors), axis=0)
    means: FloatArray = np.divide(np.nansum(errors, axis=0), count, out=np.full(y.shape[1], np.nan), where=count > 0)
    return means


def mase(
    y_true: Any,
    y_pred: Any,
    *,
    y_train: Any,
    season_length: float = 1,
    freq: Any = None,
    sample_weight: Any = None,
    by: Any = None,
) -> Any:
    """Mean absolute scaled error: the mean absolute error of a series over its `mase_scale`, averaged over the series.

    Parameters
    ----------
    y_true, y_pred, sample_weight
        As in `mae`.
    y_train : Series, DataFrame, long frame or array
        Training rows of every series of ``y_true``.
    season_length : float, default 1
        Lag of the naive forecast that sets the scale: yearly 1, quarterly 4, monthly 12, weekly 52, daily 7, hourly 24 in the
        M4 competition and the Monash archive. Rounded; 1 for series with no more training rows than that.
    freq : str or offset, optional
        Frequency of the training stamps, where they do not tell.
    by : None or "series", default None
        The mean over series, or each of them.

    Returns
    -------
    float, Series or ndarray
        A series whose training rows repeat exactly has no scale: its MASE is NaN, and the mean skips it.

    Raises
    ------
    UnknownSeriesError
        ``y_train`` lacks a series of ``y_true``.
    InputError
        As in `mae`.

    References
    ----------
    Hyndman and Koehler (2006), "Another look at measures of forecast accuracy", International Journal of Forecasting 22.

    Examples
    --------
    >>> from ssmts.evaluation import mase
    >>> mase([9.0, 9.0], [8.0, 8.0], y_train=[1.0, 3.0, 5.0, 7.0])
    0.5
    """
    if by is not None and not (isinstance(by, str) and by == "series"):
        raise InputError("by of mase must be None or 'series'. For other groups divide the errors by mase_scale.")
    errors = mae(y_true, y_pred, sample_weight=sample_weight, by="series")
    scale = _matched(mase_scale(y_train, season_length, freq=freq), y_true)
    values = np.divide(np.asarray(errors), scale, out=np.full(len(scale), np.nan), where=scale > 0)
    if by is None:
        return float(np.nanmean(values)) if not np.isnan(values).all() else np.nan
    return pd.Series(values, index=errors.index) if isinstance(errors, pd.Series) else values


def _matched(scale: Any, y_true: Any) -> FloatArray:
    """Scales in the order of the series of the truth; a single one, and those of arrays, by position."""
    truth = read_truth(y_true)
    _, labels = series_labels(truth)
    if isinstance(scale, pd.Series) and truth.stamps is not None and not len(scale) == len(labels) == 1:
        absent = labels[~labels.isin(scale.index)]
        if len(absent):
            raise UnknownSeriesError(f"y_train has no rows of {len(absent)} series of y_true, first {absent[0]!r}.")
        scale = scale.reindex(labels)
    if len(scale) != len(labels):
        raise InputError(f"y_train has {len(scale)} series or columns, y_true has {len(labels)}.")
    return np.asarray(scale, dtype=np.float64)
