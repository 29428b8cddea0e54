"""The contract: what every forecaster and detector of the library does, whatever its model.

A model adds four hooks that see arrays on a regular grid; containers, times, transformations, validation and scores are
settled here, once.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import check_is_fitted

from ._containers import FloatArray, read_long, read_table
from ._form import Steps
from ._grid import align, ordered_outputs
from ._known import Known, fit_map, naive_error
from .distributions import Distribution, Gaussian, Stacked, Transformed, in_order
from .exceptions import InputError, SsmtsError, TimeIndexError
from .forecasts import Forecast, RandomState
from .panel import (
    Form,
    Panel,
    Rows,
    SeriesRows,
    is_long_of,
    past_rows,
    quick_new,
    read_future,
    read_grown,
    read_new,
    read_training,
)


@dataclass(frozen=True)
class Capabilities:
    """What a forecaster can do; read it as ``Forecaster.capabilities``."""

    covariates: bool = True  # uses the columns of X; otherwise only its index is read
    missing: bool = True  # lives with NaN and absent rows in y
    joint: bool = False  # treats several columns of y as one multivariate series; otherwise one by one
    pooled: bool = False  # one set of parameters for all series of a panel
    paths: bool = True  # draws paths jointly over the horizon
    recurrent: bool = True  # `update` costs the new rows only, whatever came before
    irregular: bool = False  # takes stamps without a frequency as they are
    unseen: bool = False  # `update` takes series of a panel that fit has not seen, with their context


class Depends:
    """Capabilities that depend on arguments: of a class what always holds, of an instance what its arguments allow."""

    def __init__(self, always: Capabilities, of: Callable[[Any], Capabilities]) -> None:
        self.always, self.of = always, of

    def __get__(self, instance: Any, owner: type) -> Capabilities:
        """What holds."""
        return self.always if instance is None else self.of(instance)


class BaseForecaster(RegressorMixin, BaseEstimator, ABC):  # type: ignore[misc]
    """A scikit-learn regressor whose rows have times.

    Subclasses store their arguments in ``__init__``, among them ``freq=None`` and ``target_transform=None``, and define the
    hooks `_fit`, `_update`, `_forecast` and `_one_step`.
    """

    capabilities: ClassVar[Capabilities] = Capabilities()
    # Covariates of absent rows: any number will do where they add to a value that is missing, too. Models whose states they move take NaN.
    _absent: ClassVar[float] = 0.0
    freq: Any
    target_transform: Any

    # hooks ------------------------------------------------------------------------------------------------------

    @abstractmethod
    def _fit(self, form: Form, panel: Panel) -> dict[str, Any]:
        """Estimate on the model's scale; return the attributes to set."""

    @abstractmethod
    def _update(self, news: Sequence[SeriesRows]) -> dict[str, Any]:
        """Move the state over new rows; return the attributes to set, leaving the present ones untouched."""

    @abstractmethod
    def _forecast(self, series: int, leads: np.ndarray, X: FloatArray | None) -> Distribution:
        """Distribution ``(1, len(leads), n_outputs)`` of the rows `leads` steps after the last one; `X` has a row a lead."""

    @abstractmethod
    def _one_step(self, series: int, y: FloatArray, X: FloatArray | None) -> tuple[FloatArray, FloatArray]:
        """Mean and variance ``(n_times, n_outputs)`` of each training row given those before it."""

    def _follow(self, series: int, y: FloatArray, X: FloatArray | None) -> tuple[FloatArray, FloatArray] | None:
        """Mean and variance ``(n_times, n_outputs)`` of each of the next rows given those before it, from where the state stands.

        None, the default, where nothing is cheaper than `_forecast` and `_update` in turn.
        """
        return None

    # the contract -----------------------------------------------------------------------------------------------

    def fit(self, X: Any, y: Any = None) -> Self:
        """Estimate the model.

        Parameters
        ----------
        X : DataFrame, Series or array
            Covariates, known in advance, one row a time; or the series itself when `y` is left out; or a long frame.
        y : Series, DataFrame or array, optional
            What is wanted. NaN and absent rows are missing values.

        Returns
        -------
        self

        Raises
        ------
        InputError, InputTypeError
            Stamps, values or shapes that cannot be used; the message names the place. What was fitted before stays.
        """
        form, panel = read_training(X, y, freq=self.freq, irregular=self.capabilities.irregular, absent=self._absent)
        maps = None
        scaled = panel
        if self.target_transform is not None:
            maps = [fit_map(self.target_transform, form, i, rows, panel.steps(i)) for i, rows in enumerate(panel.y)]
            scaled = replace(panel, y=tuple(m.forward(values) for m, values in zip(maps, panel.y)))
        fitted = self._fit(form, scaled)
        self.__dict__.pop("feature_names_in_", None)
        self.__dict__.update(fitted)
        self.form_ = form
        self.rows_: Panel | None = panel
        self.last_ = panel.last
        self.trained_until_ = panel.last
        self.maps_ = maps
        self.scale_ = np.stack([naive_error(values) for values in panel.y])
        self.n_features_in_ = form.n_features or 0
        if form.features is not None and all(isinstance(name, str) for name in form.features):
            self.feature_names_in_ = np.array(form.features, dtype=object)
        return self

    def predict(self, X: Any) -> Any:
        """Predict the mean.

        Parameters
        ----------
        X : int, DataFrame, Series or array
            A number of steps after the last known row, or the rows to predict: their index says when. Rows among the
            training rows get one-step-ahead predictions, later rows forecasts, a gap before them is forecast through.

        Returns
        -------
        Series, DataFrame, long frame or array
            Of the kind, index and names of the training `y`.
        """
        rows, distribution = self._answer(X)
        return rows.wrap(distribution.mean())

    def forecast(self, X: Any, level: float | Sequence[float] = (80, 95)) -> Forecast:
        """Forecast the distribution.

        Parameters
        ----------
        X : int, DataFrame, Series or array
            As in `predict`.
        level : float or sequence of float, default (80, 95)
            Levels in per cent that the forecast's frames, intervals and plots show unless told otherwise.

        Returns
        -------
        Forecast
            With ``.mean``, ``.quantile(q)``, ``.interval(level)``, ``.sample(n)``, ``.to_frame()``, ``.plot()``.
        """
        rows, distribution = self._answer(X)
        history = None if self.rows_ is None else partial(past_rows, self.form_, self.rows_)
        return Forecast(distribution, rows, history=history, level=level)

    def predict_interval(self, X: Any, level: float | Sequence[float] = (80, 95)) -> Any:
        """Central intervals of `forecast`, columns ``lo-80, hi-80, lo-95, hi-95``."""
        return self.forecast(X).interval(level)

    def predict_quantiles(self, X: Any, q: float | Sequence[float] = (0.1, 0.5, 0.9)) -> Any:
        """Quantiles of `forecast`, columns ``q-0.1, q-0.5, q-0.9``."""
        return self.forecast(X).quantile(q)

    def sample(self, X: Any, n_paths: int = 100, random_state: RandomState = None) -> Any:
        """Paths of `forecast`, drawn jointly over the horizon, columns ``path-0, path-1, ...``."""
        return self.forecast(X).sample(n_paths, random_state)

    def update(self, X: Any, y: Any = None) -> Self:
        """Move the state over new rows; parameters stay.

        Costs the new rows only, and is all or nothing: an error leaves the state as it was.

        Parameters
        ----------
        X, y
            As in `fit`, with rows after the last known one. Absent rows in between are missing values. A panel may
            bring rows of some of its series, and, where ``capabilities.unseen`` says so, of others: their first rows are
            their context.

        Returns
        -------
        self
        """
        if "form_" not in self.__dict__:
            check_is_fitted(self)
        known = Known(self.form_, self.rows_, self.last_, self.trained_until_, self.scale_, self.maps_)
        news = quick_new(known.form, X, known.last) if y is None else None
        if news is None and self.capabilities.unseen:
            form, last, news = read_grown(known.form, X, y, known.last, self._absent)
            known = known if form is known.form else known.joined(form, last, news, self.target_transform)
        elif news is None:
            news = read_new(known.form, X, y, known.last, self._absent)
        news = [replace(new, y=known.on_model_scale(new)) for new in news] if known.maps is not None else news
        changed = self._update(news)
        self.__dict__.update(changed)
        self.last_ = known.after(news)
        if known.form is not self.form_:
            self.form_, self.rows_, _, self.trained_until_, self.scale_, self.maps_ = known
        return self

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Skill against the naive forecast: 1 - MAE / mean ``|y_t - y_(t-1)|`` of the training rows.

        1 is perfect, 0 is as far off as yesterday's value was in training. NaN are skipped; where the training rows
        never changed, the error itself takes the place of the ratio. Every column of every series has its own divisor.

        Parameters
        ----------
        X, y
            As in `fit`.
        sample_weight : array of shape (n_rows,), optional
        """
        check_is_fitted(self)
        target = self._target_table(X, y)
        rows, distribution = self._answer(X, holes=True)
        means = rows.flat(distribution.mean())
        scale = np.empty_like(means)
        for series, positions in zip(rows.series, rows.positions):
            scale[positions] = self.scale_[series]
        ratio = np.abs(target - means) / scale
        weight = np.ones(len(ratio)) if sample_weight is None else _weights(sample_weight, len(ratio))
        weights = np.where(np.isnan(ratio), 0.0, weight[:, None])
        if not weights.sum() > 0:
            raise InputError("There is no observed value of y to score against.")
        ratio = np.where(weights > 0, ratio, 0.0)
        with np.errstate(over="ignore"):  # a mean beyond all numbers is infinitely wrong
            return float(1.0 - np.sum(weights * ratio) / weights.sum())

    def __sklearn_tags__(self) -> Any:
        """scikit-learn's tags: several outputs, no required y, a score that random rows do not satisfy."""
        tags = super().__sklearn_tags__()
        tags.target_tags.required = False
        tags.target_tags.multi_output = True
        tags.regressor_tags.poor_score = True
        return tags

    # shared work ------------------------------------------------------------------------------------------------

    def _answer(self, X: Any, *, holes: bool = False) -> tuple[Rows, Distribution]:
        """Distribution of the rows asked for, on the caller's scale."""
        check_is_fitted(self)
        rows, X_rows = read_future(self.form_, X, self.last_, self.rows_, holes=holes)
        parts = []
        with self._asked(rows, X_rows):
            for i, series in enumerate(rows.series):
                part = self._series_answer(int(series), rows.steps[i], None if X_rows is None else X_rows[i])
                if self.maps_ is not None:
                    part = Transformed(part, self.maps_[series].inverse, self.maps_[series].increasing)
                parts.append(part)
        return rows, parts[0] if len(parts) == 1 else Stacked(parts)

    def _asked(self, rows: Rows, X: list[FloatArray] | None) -> AbstractContextManager[None]:
        """Around the answer about all series asked for: where a model may forecast them together."""
        return nullcontext()

    def _series_answer(self, series: int, steps: np.ndarray, X: FloatArray | None) -> Distribution:
        last, trained_until = self.last_[series].item(), self.trained_until_[series].item()
        future = steps > last
        if future.all():
            return self._forecast(series, steps - last, X)
        between = ~future & (steps > trained_until)
        if between.any():
            where = self.form_.axis.format(steps[between][0].item())
            raise TimeIndexError(
                f"{where}{self.form_.label(series)} was seen by update, which keeps no rows. Ask for rows after "
                f"{self.form_.axis.format(last)}, or fit on all rows to predict within them."
            )
        mean, variance = self._in_sample(series, steps[~future], None if X is None else X[~future])
        within = Gaussian(mean[None], variance[None])
        if not future.any():
            return within
        later = self._forecast(series, steps[future] - last, None if X is None else X[future])
        return in_order(within, later, np.argsort(future, kind="stable").argsort())

    def _in_sample(self, series: int, steps: np.ndarray, X: FloatArray | None) -> tuple[FloatArray, FloatArray]:
        """One-step-ahead predictions of training rows; `X` has a row for each of the steps asked for."""
        form = self.form_
        if self.rows_ is None:
            raise SsmtsError(
                "Predictions within the training rows need them, and they were not saved: save(..., data=True), or fit again."
            )
        start = self.rows_.start[series].item()
        if steps[0] < start:
            raise TimeIndexError(
                f"{form.axis.format(steps[0].item())} lies before the first training row{form.label(series)}, {form.axis.format(start)}."
            )
        at = self.rows_.steps(series)
        y, given = self._model_rows(series), None if self.rows_.X is None else self.rows_.X[series]
        if self.rows_.at is not None:  # other stamps than those of the rows are missing rows
            at, y, given = rows_among(at, y, given, steps, X)
        elif given is not None and X is not None:  # an absent row has the covariates that it is asked with
            here = np.searchsorted(at, steps)
            silent = np.isnan(y[here]).all(axis=1)
            given = given.copy()
            given[here[silent]] = X[silent]
        mean, variance = (
            self._one_step(series, y, given) if self.rows_.at is None else self._one_step_at(series, at, y, given)
        )
        mean = np.where(np.isinf(variance), np.nan, mean)  # nothing was known yet
        asked = np.searchsorted(at, steps)
        return mean[asked], variance[asked]

    def _model_rows(self, series: int) -> FloatArray:
        """Training rows of a series on the model's scale."""
        assert self.rows_ is not None
        y = self.rows_.y[series]
        return y if self.maps_ is None else self.maps_[series].forward(y)

    def _target_table(self, X: Any, y: Any) -> FloatArray:
        """Observed values, in the caller's row order."""
        if is_long_of(self.form_, X):
            target = read_long(X, self.form_.long)[0]
            assert target is not None
        elif y is None:
            if self.form_.n_features:
                raise InputError("fit saw covariates: call score(X, y).")
            target = read_table(X, "y")
        else:
            covariates = read_table(X, "X", ensure_2d=True, allow_no_columns=isinstance(X, pd.DataFrame))
            target = align(read_table(y, "y"), covariates)[0]
        return ordered_outputs(self.form_, target, "y")


def rows_among(
    at: Steps, y: FloatArray, X: FloatArray | None, asked: Steps, X_asked: FloatArray | None
) -> tuple[Steps, FloatArray, FloatArray | None]:
    """Rows with missing ones where others are asked for."""
    other = ~np.isin(asked, at)
    every = np.concatenate([at, asked[other]])
    order = np.argsort(every, kind="stable")
    y = np.concatenate([y, np.full((int(other.sum()), y.shape[1]), np.nan)])[order]
    if X is not None and X_asked is not None:
        X = np.concatenate([X, X_asked[other]])[order]
    return every[order], y, X


def _weights(sample_weight: Any, n_rows: int) -> FloatArray:
    table = read_table(sample_weight, "sample_weight")
    if table.ndim != 1 or len(table.values) != n_rows or not (table.values >= 0).all():
        raise InputError(
            f"sample_weight must be {n_rows} numbers of at least 0, one a row; received shape {np.shape(sample_weight)} "
            f"with the least {table.values.min():g}."
        )
    return table.values[:, 0]
