"""The rows of a backtest: any container, cut at steps of time."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from .._containers import FloatArray, Long, is_long, read_long, read_table
from .._form import IntArray, Steps
from .._grid import align
from .._stampaxis import StampAxis
from ..exceptions import TooShortError
from ..panel import Form, Panel, read_training
from .split import TimeSplit

FlagArray = np.ndarray[Any, np.dtype[np.bool_]]


@dataclass(frozen=True)
class Data:
    """The caller's rows, and for each its step, its series and its values."""

    X: Any  # as the estimator gets them
    y: Any
    form: Form
    panel: Panel
    values: FloatArray  # (n_rows, n_outputs)
    time: pd.Index | None  # None for arrays
    number: IntArray  # (n_rows,) 0, 1, 2, ...
    steps: IntArray  # (n_rows,)
    codes: IntArray | None  # (n_rows,) position in the keys of the form; None for a single series
    order: IntArray  # (n_rows,) rows by time
    ordered: IntArray  # their steps
    occurring: Steps | None  # without a grid the stamps of all series, which steps then count

    @classmethod
    def read(cls, X: Any, y: Any, freq: Any, irregular: bool = False) -> Data:
        """Read what `fit` takes; rows keep the caller's order and learn their place in time.

        With `irregular`, stamps without a frequency are taken as they are.
        """
        form, panel = read_training(X, y, freq=freq, irregular=irregular)
        if is_long(X):
            table = read_long(X, form.long)[0]
            assert table is not None
        elif y is None:
            table = read_table(X, "y")
        else:
            covariates = read_table(X, "X", ensure_2d=True, allow_no_columns=isinstance(X, pd.DataFrame))
            table = align(read_table(y, "y"), covariates)[0]
        number = np.arange(len(table.values))
        steps, occurring = number if table.time is None else form.axis.steps(table.time), None
        if not form.axis.regular:
            occurring, steps = np.unique(steps, return_inverse=True)
        order = np.argsort(steps, kind="stable")
        X, y = (each if _has_rows(each) or each is None else np.asarray(each) for each in (X, y))
        places = number, steps, table.codes, order, steps[order], occurring
        return cls(X, y, form, panel, table.values, table.time, *places)

    def cutoffs(self, split: TimeSplit) -> IntArray:
        """Steps of the last rows known, one a window."""
        first, last = int(self.ordered[0]), int(self.ordered[-1])
        step = split.horizon if split.step is None else split.step
        cutoffs: IntArray = last - split.horizon - step * np.arange(split.n_windows)[::-1]
        if cutoffs[0] < first:
            needed = last - int(cutoffs[0]) + 1
            raise TooShortError(
                f"{split.n_windows} windows of {split.horizon} rows, {step} apart, need {needed} rows, one of them to fit on; the data "
                f"have {last - first + 1}. Pass more rows, or a smaller horizon, n_windows or step."
            )
        return cutoffs

    def between(self, after: int | None, last: int, known: FlagArray | None = None) -> Any:
        """Rows with steps from `after`, left out, to `last`, in the caller's order; of the series known."""
        low = 0 if after is None else int(np.searchsorted(self.ordered, after, "right"))
        high = int(np.searchsorted(self.ordered, last, "right"))
        if self.codes is None:
            return slice(low, high)
        rows = np.sort(self.order[low:high])
        return rows if known is None else rows[known[self.codes[rows]]]

    def known(self, rows: Any) -> FlagArray | None:
        """Which series have some of the rows; None where all have."""
        if self.codes is None:
            return None
        known = np.zeros(self.form.n_series, dtype=bool)
        known[self.codes[rows]] = True
        return None if known.all() else known

    def take(self, rows: Any) -> tuple[Any, Any]:
        """X and y of some rows, as the caller passed them."""
        return _take(self.X, rows), _take(self.y, rows)

    def future(self, rows: Any) -> Any:
        """What to ask a forecast for: the rows of X, or their number where there is nothing but values."""
        return len(self.number[rows]) if self.y is None and self.time is None else _take(self.X, rows)

    def series_names(self) -> list[Hashable]:
        """Names of the series; of a single one the name of y."""
        if self.form.keys is not None:
            return list(self.form.keys)
        name = self.form.outputs[0] if self.form.ndim == 1 and self.form.kind == "pandas" else None
        return ["y" if name is None else name]

    def stamps(self, steps: IntArray) -> pd.Index:
        """Stamps of steps."""
        if isinstance(self.form.axis, StampAxis):
            assert self.occurring is not None
            return self.form.axis.at(self.occurring[steps])
        low, high = int(steps.min()), int(steps.max())
        return self.form.axis.stamps(low, high - low + 1).take(steps - low)

    def format(self, step: int) -> str:
        """Text of the stamp of a step."""
        return self.form.axis.format(step if self.occurring is None else self.occurring[step])

    def freq(self) -> Any:
        """What a forecaster that could do without a frequency must be told, so that it reads every part as the whole; or None."""
        if isinstance(self.form.axis, StampAxis):
            return "irregular"
        return None if self.time is None else self.form.axis.freq

    def training(self, fits: IntArray) -> dict[Hashable, FloatArray]:
        """Values of each series up to the first of some steps that is not before its first row."""
        training, stamps = {}, self.panel.at
        for series, (name, values) in enumerate(zip(self.series_names(), self.panel.y)):
            if stamps is None or self.occurring is None:
                steps = int(self.panel.start[series]) + np.arange(len(values))
            else:
                steps = np.searchsorted(self.occurring, stamps[series])
            later = fits[fits >= steps[0]]
            if len(later):
                training[name] = values[: int(np.searchsorted(steps, later[0], "right"))].copy()
        return training


def _has_rows(obj: Any) -> bool:
    """Whether rows of an object can be taken as they are."""
    return isinstance(obj, np.ndarray | pd.Series | pd.DataFrame) or is_long(obj)


def _take(obj: Any, rows: Any) -> Any:
    if obj is None:
        return None
    if isinstance(obj, Long):
        return replace(obj, frame=_take(obj.frame, rows))
    return obj.iloc[rows] if isinstance(obj, pd.Series | pd.DataFrame) else obj[rows]
