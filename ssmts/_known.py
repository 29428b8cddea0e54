"""What the contract knows of each series of a fitted forecaster besides its model: rows, places in time, scales, target transformations."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from ._containers import FloatArray
from ._form import Form, Panel, SeriesRows, Steps
from .panel import refuse_silent
from .target import TargetMap


class Known(NamedTuple):
    """One entry a series in each field; a state is changed by taking another one, so that errors lose nothing."""

    form: Form
    rows: Panel | None  # of training
    last: Steps
    trained_until: Steps
    scale: FloatArray  # (n_series, n_outputs), of the score
    maps: list[TargetMap] | None

    def after(self, news: Sequence[SeriesRows]) -> Steps:
        """Last step of each series once new rows have come."""
        last = self.last.copy()
        for new in news:
            last[new.series] = new.steps[-1] if new.steps is not None else last[new.series] + len(new.y)
        return last

    def on_model_scale(self, new: SeriesRows) -> FloatArray:
        """New rows of a series, transformed."""
        assert self.maps is not None
        i = new.series
        return self.maps[i].forward(new.y, self.form.label(i), partial(stamp, self.form, self._steps(new)))

    def joined(self, form: Form, last: Steps, news: Sequence[SeriesRows], transform: Any) -> Known:
        """With series that fit has not seen: they have no training rows, and their first rows set their scales."""
        n, maps, rows = self.form.n_series, self.maps, self.rows
        first = [new for new in news if new.series >= n]
        for new in first:
            refuse_silent(form, new.series, new.y)
        if rows is not None:
            nothing = tuple(rows.y[0][:0] for _ in first)
            X = None if rows.X is None else (*rows.X, *(rows.X[0][:0] for _ in first))
            rows = Panel((*rows.y, *nothing), X, np.concatenate([rows.start, last[n:] + 1]))
        scale = np.concatenate([self.scale, [naive_error(new.y) for new in first]])
        grown = Known(form, rows, last, np.concatenate([self.trained_until, last[n:]]), scale, maps)
        if maps is None:
            return grown
        return grown._replace(
            maps=[*maps, *(fit_map(transform, form, new.series, new.y, grown._steps(new)) for new in first)]
        )

    def _steps(self, new: SeriesRows) -> Steps:
        return self.last[new.series] + 1 + np.arange(len(new.y)) if new.steps is None else new.steps


def fit_map(transform: Any, form: Form, series: int, values: FloatArray, steps: Steps) -> TargetMap:
    """The target transformation fitted to rows of a series."""
    return TargetMap.fit(transform, values, form.label(series), partial(stamp, form, steps))


def stamp(form: Form, steps: Steps, row: int) -> str:
    """Words for one of the rows at these steps."""
    return form.axis.format(steps[row].item()) if form.indexed else f"row {steps[row]}"


def naive_error(values: FloatArray) -> FloatArray:
    """Mean absolute change from one row to the next, per column; 1 where there is none."""
    change = np.abs(np.diff(values, axis=0))
    seen = ~np.isnan(change)
    total = np.where(seen, change, 0.0).sum(axis=0)
    error = total / np.maximum(seen.sum(axis=0), 1)
    return np.where(error > 0, error, 1.0)
