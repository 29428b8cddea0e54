"""The verbs of a forecaster or detector through scikit-learn's meta-estimators: a Pipeline that ends in one, a fitted search."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils.validation import check_is_fitted

from .base import BaseForecaster
from .base_detector import BaseDetector
from .exceptions import FutureRowsError, InputError, InputTypeError
from .forecasts import Forecast
from .panel import Rows


def forecast(estimator: Any, X: Any, *, level: float | Sequence[float] = (80, 95)) -> Forecast:
    """Forecast with a forecaster, a Pipeline that ends in one, or a fitted search over either.

    Parameters
    ----------
    estimator : estimator
        Fitted. Of a search the best estimator is taken; the transformers of a pipeline transform the rows first.
    X : int, DataFrame, Series or array
        A number of steps, or the rows to forecast. A number suffices for a pipeline whose first transformer needs only
        the index, as calendar features do.
    level : float or sequence of float, default (80, 95)
        Levels that the forecast shows.

    Returns
    -------
    Forecast

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn.pipeline import make_pipeline
    >>> import ssmts
    >>> from ssmts.preprocessing import CalendarFeatures
    >>> y = pd.Series(range(10), index=pd.date_range("2024-01-01", periods=10), dtype=float)
    >>> pipe = make_pipeline(CalendarFeatures(["dayofweek"]), ssmts.Naive()).fit(y.to_frame()[[]], y)
    >>> ssmts.forecast(pipe, 2).mean.tolist()
    [9.0, 9.0]
    """
    steps, forecaster = _unwrap(estimator, BaseForecaster)
    if steps is not None and _is_count(X):
        names = _columns(steps, ())
        if names:
            raise FutureRowsError(
                f"The pipeline was fitted with {len(names)} column(s) of X {list(names)}, so the next {X} steps need their values: pass "
                f"X_future with those rows; ssmts.future_frame(estimator, {X}) makes the frame to fill."
            )
        X = _frame_to_fill(forecaster, X, names)
    found: Forecast = forecaster.forecast(X if steps is None else steps.transform(X), level=level)
    return found


def update(estimator: Any, X: Any, y: Any = None) -> Any:
    """Move the state of a forecaster or detector over new rows, through a Pipeline or a fitted search.

    Parameters
    ----------
    estimator : estimator
        As in `forecast`, or with a detector. The transformers of a pipeline transform the rows and learn nothing.
    X, y
        As in the estimator's ``update``; with `y` alone the pipeline of a forecaster gets the index of `y`.

    Returns
    -------
    estimator
        Of a detector the scores of the rows, each taken before the row is learnt.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> import ssmts
    >>> from ssmts.preprocessing import CalendarFeatures
    >>> y = pd.Series(range(10), index=pd.date_range("2024-01-01", periods=10), dtype=float)
    >>> pipe = make_pipeline(CalendarFeatures(["dayofweek"]), ssmts.Naive()).fit(y[:9].to_frame()[[]], y[:9])
    >>> ssmts.forecast(ssmts.update(pipe, y[9:]), 1).mean.tolist()
    [9.0]
    >>> rows = pd.DataFrame({"speed": [5.0, 4.0, 6.0] * 20}, index=pd.date_range("2024-01-01", periods=60, freq="min"))
    >>> scaler = StandardScaler().set_output(transform="pandas")
    >>> watch = make_pipeline(scaler, ssmts.InnovationDetector()).fit(rows[:50])
    >>> ssmts.update(watch, rows[50:]).shape
    (10,)
    """
    steps, last = _unwrap(estimator)
    if isinstance(last, BaseDetector):
        if y is not None:
            raise InputError("A detector learns from X alone: call update(estimator, X).")
        return last.update(X if steps is None else steps.transform(X))
    forecaster: BaseForecaster = last
    if steps is None:
        forecaster.update(X, y)
        return estimator
    if y is None:
        if not isinstance(X, pd.Series | pd.DataFrame):
            raise InputError("Through a pipeline, update needs X and y, or a y whose index the transformers can read.")
        X, y = pd.DataFrame(index=X.index), X
    forecaster.update(steps.transform(X), y)
    return estimator


def explain(estimator: Any, X: Any) -> pd.DataFrame:
    """Take the scores of rows apart with a detector, a Pipeline that ends in one, or a fitted search over either.

    Parameters
    ----------
    estimator : estimator
        Fitted.
    X : DataFrame, Series or array of shape (n_times, n_sensors)
        As in the detector's ``explain``, before the transformers of a pipeline.

    Returns
    -------
    DataFrame
        That of the detector: readings and ranges are as its transformers give them.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> import ssmts
    >>> rows = pd.DataFrame({"speed": [5.0, 4.0, 6.0] * 20}, index=pd.date_range("2024-01-01", periods=60, freq="min"))
    >>> scaler = StandardScaler().set_output(transform="pandas")
    >>> watch = make_pipeline(scaler, ssmts.InnovationDetector()).fit(rows[:50])
    >>> ssmts.explain(watch, rows[50:])["observed"].round(2).tolist()[:3]
    [1.26, 0.02, -1.21]
    """
    steps, detector = _unwrap(estimator, BaseDetector)
    told: pd.DataFrame = detector.explain(X if steps is None else steps.transform(X))
    return told


def future_frame(estimator: Any, horizon: int) -> Any:
    """The frame of rows to come that ``predict`` wants: its index, and a column of NaN to fill for every covariate.

    Parameters
    ----------
    estimator : estimator
        A fitted forecaster, or a Pipeline or fitted search over one; then the columns are those the pipeline was fitted
        with.
    horizon : int
        Number of rows after the last known one of every series.

    Returns
    -------
    DataFrame
        Indexed by time or (series, time); for long frames with their id and time columns.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> import ssmts
    >>> X = pd.DataFrame({"price": [1.0, 2.0, 1.0]}, index=pd.period_range("2024-01", periods=3, freq="M"))
    >>> ssmts.future_frame(ssmts.Naive().fit(X, np.array([3.0, 2.0, 4.0])), 2)
             price
    2024-04    NaN
    2024-05    NaN
    """
    steps, forecaster = _unwrap(estimator, BaseForecaster)
    form = forecaster.form_
    own = form.features if form.features is not None else tuple(range(form.n_features or 0))
    return _frame_to_fill(forecaster, horizon, _columns(steps, own))


def _columns(steps: Any, default: tuple[Hashable, ...]) -> tuple[Hashable, ...]:
    """Columns of X that fitted transformers want; the default where there are none, or none that counts its columns."""
    n = getattr(steps, "n_features_in_", None)
    return default if n is None else tuple(getattr(steps, "feature_names_in_", range(n)))


def _frame_to_fill(forecaster: BaseForecaster, horizon: int, names: tuple[Hashable, ...]) -> Any:
    form = forecaster.form_
    if not form.indexed:
        raise InputError(
            "fit saw arrays without times; forecast takes the next rows of X as an array, or a number of steps where X has none."
        )
    rows = _next_rows(forecaster, horizon)
    if form.long is not None:
        blank = np.full((form.n_series, horizon, 1), np.nan)
        return rows.long_frame({str(name): rows.flat(blank)[:, 0] for name in names})
    return pd.DataFrame(np.nan, index=rows.times(), columns=pd.Index(names), dtype=np.float64)


def _next_rows(forecaster: BaseForecaster, horizon: int) -> Rows:
    if not _is_count(horizon) or horizon < 1:
        raise InputError(f"The horizon must be a whole number of at least 1 step, not {horizon!r}.")
    return Rows.following(forecaster.form_, forecaster.last_, horizon)


def _is_count(X: Any) -> bool:
    return isinstance(X, int | np.integer) and not isinstance(X, bool)


def _unwrap(estimator: Any, kind: Any = (BaseForecaster, BaseDetector)) -> tuple[Any, Any]:
    """Fitted transformers (None without any) and the forecaster or detector behind them."""
    if isinstance(estimator, kind):
        check_is_fitted(estimator)
        return None, estimator
    if hasattr(estimator, "best_estimator_"):
        return _unwrap(estimator.best_estimator_, kind)
    if hasattr(estimator, "steps"):
        check_is_fitted(estimator)
        before, last = _unwrap(estimator.steps[-1][1], kind)
        if before is None:
            return (estimator[:-1] if len(estimator.steps) > 1 else None), last
    if hasattr(estimator, "estimator") and not hasattr(estimator, "best_estimator_"):
        check_is_fitted(estimator)
    if kind is BaseDetector:
        raise InputTypeError(
            f"{type(estimator).__name__} is no detector, pipeline that ends in one, or fitted search over one."
        )
    raise InputTypeError(
        f"{type(estimator).__name__} is no forecaster, pipeline that ends in one, or fitted search over one. To transform the target use "
        "target_transform= of the forecaster, which keeps its distribution."
    )


__all__ = ["explain", "forecast", "future_frame", "update"]
