"""Forecasters of one column at a time: each column of each series is a unit with parameters and a state of its own."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
from joblib import Parallel, delayed

from .._containers import FloatArray
from .._stampaxis import Axis
from ..base import BaseForecaster
from ..distributions import Distribution, Gaussian
from ..exceptions import SsmtsError
from ..panel import Form, Panel, SeriesRows


class UnivariateForecaster(BaseForecaster):
    """Base of forecasters that fit every column of every series on its own.

    A unit is an immutable value: parameters and state of one column. Subclasses define the five hooks on units; work
    over units runs in ``n_jobs`` threads. Units stand in ``units_``, series by series and column by column.
    """

    n_jobs: int | None
    units_: tuple[Any, ...]

    @abstractmethod
    def _fit_unit(self, y: FloatArray, X: FloatArray | None, axis: Axis) -> Any:
        """Unit of one column ``(n_times,)``."""

    @abstractmethod
    def _update_unit(self, unit: Any, y: FloatArray, X: FloatArray | None) -> Any:
        """Unit after new rows, with the same parameters."""

    @abstractmethod
    def _forecast_unit(self, unit: Any, horizon: int, X: FloatArray | None) -> tuple[FloatArray, FloatArray]:
        """Mean and variance ``(horizon,)`` of the observations to come."""

    @abstractmethod
    def _sample_unit(
        self, unit: Any, horizon: int, X: FloatArray | None, n_paths: int, rng: np.random.Generator
    ) -> FloatArray:
        """Paths ``(n_paths, horizon)``, joint over the horizon."""

    @abstractmethod
    def _one_step_unit(self, unit: Any, y: FloatArray, X: FloatArray | None) -> tuple[FloatArray, FloatArray]:
        """Mean and variance ``(n_times,)`` of each training row given those before it."""

    def _fit(self, form: Form, panel: Panel) -> dict[str, Any]:
        tasks = [
            (values[:, column], None if panel.X is None else panel.X[series], _unit_label(form, series, column))
            for series, values in enumerate(panel.y)
            for column in range(values.shape[1])
        ]

        def fit(y: FloatArray, X: FloatArray | None, label: str) -> Any:
            try:
                return self._fit_unit(np.ascontiguousarray(y), X, form.axis)
            except SsmtsError as error:
                raise type(error)(f"{label}{error}") from error

        units = self._fit_together([(y, X) for y, X, _ in tasks])
        left = [i for i, unit in enumerate(units) if unit is None]
        if len(left) == 1:
            units[left[0]] = fit(*tasks[left[0]])
        elif left:
            fitted = Parallel(n_jobs=self.n_jobs, prefer="threads")(delayed(fit)(*tasks[i]) for i in left)
            for i, unit in zip(left, fitted):
                units[i] = unit
        return {"units_": tuple(units)}

    def _fit_together(self, tasks: Sequence[tuple[FloatArray, FloatArray | None]]) -> list[Any]:
        """Units of the columns that can be fitted in one call, None for those that are left to `_fit_unit`."""
        return [None] * len(tasks)

    def _update(self, news: Sequence[SeriesRows]) -> dict[str, Any]:
        units = list(self.units_)
        for new in news:
            width = new.y.shape[1]
            for column in range(width):
                at = new.series * width + column
                units[at] = self._update_unit(units[at], np.ascontiguousarray(new.y[:, column]), new.X)
        return {"units_": tuple(units)}

    def _forecast(self, series: int, leads: np.ndarray, X: FloatArray | None) -> Distribution:
        horizon = int(leads[-1])
        X_all = X
        if X is not None and len(leads) < horizon:  # rows before and between those asked for change nothing after them
            X_all = np.zeros((horizon, X.shape[1]))
            X_all[leads - 1] = X
        units = self._units_of(series)
        moments = [self._forecast_unit(unit, horizon, X_all) for unit in units]
        mean, variance = (np.stack([m[i][leads - 1] for m in moments], axis=-1) for i in (0, 1))

        def draw(n: int, rng: np.random.Generator) -> FloatArray:
            paths = [self._sample_unit(unit, horizon, X_all, n, rng)[:, leads - 1] for unit in units]
            return np.stack(paths, axis=-1)[:, None]

        return Gaussian(mean[None], variance[None], draw)

    def _one_step(self, series: int, y: FloatArray, X: FloatArray | None) -> tuple[FloatArray, FloatArray]:
        units = self._units_of(series)
        moments = [self._one_step_unit(unit, np.ascontiguousarray(y[:, j]), X) for j, unit in enumerate(units)]
        return np.stack([m[0] for m in moments], axis=-1), np.stack([m[1] for m in moments], axis=-1)

    def _follow_unit(self, unit: Any, y: FloatArray, X: FloatArray | None) -> tuple[FloatArray, FloatArray] | None:
        """As `_one_step_unit`, of the rows that follow from where the unit stands; None unless a model has it."""
        return None

    def _follow(self, series: int, y: FloatArray, X: FloatArray | None) -> tuple[FloatArray, FloatArray] | None:
        found = []
        for j, unit in enumerate(self._units_of(series)):
            moments = self._follow_unit(unit, np.ascontiguousarray(y[:, j]), X)
            if moments is None:
                return None
            found.append(moments)
        return np.stack([m[0] for m in found], axis=-1), np.stack([m[1] for m in found], axis=-1)

    def _units_of(self, series: int) -> tuple[Any, ...]:
        width = len(self.form_.outputs)
        return self.units_[series * width : (series + 1) * width]


def _unit_label(form: Form, series: int, column: int) -> str:
    parts = [] if form.keys is None else [f"series {form.keys[series]!r}"]
    if len(form.outputs) > 1:
        parts.append(f"column {form.outputs[column]!r}")
    return ", ".join(parts).capitalize() + ": " if parts else ""
