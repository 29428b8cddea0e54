"""What a panel is: how the caller's data looked, the rows of every series, and which rows an answer is about."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ._containers import FloatArray, LongNames
from ._stampaxis import Axis, StampAxis

IntArray = np.ndarray[Any, np.dtype[np.int64]]
Steps = np.ndarray[Any, Any]  # int64, or float64 on an axis of numbers


@dataclass(frozen=True)
class Form:
    """How the training data looked, and so how answers must look."""

    kind: str  # container of y and of every answer: "array", "pandas" or "long"
    ndim: int  # 1 when y was one-dimensional
    outputs: tuple[Hashable, ...]  # column names of y
    axis: Axis
    indexed: bool  # whether fit saw an index
    keys: tuple[Hashable, ...] | None  # names of the series; None for a single one
    level_names: tuple[Hashable, ...]  # names of the index levels
    features: tuple[Hashable, ...] | None  # names of the covariates; None without names
    n_features: int | None  # None when y stood alone
    long: LongNames | None
    column_names: tuple[Hashable, ...] = (None,)  # names of the levels of the columns of y

    @property
    def n_series(self) -> int:
        """Number of series."""
        return 1 if self.keys is None else len(self.keys)

    def label(self, series: int) -> str:
        """Words that name a series in messages; empty for a single one."""
        return "" if self.keys is None else f" of series {self.keys[series]!r}"


@dataclass(frozen=True)
class Panel:
    """The rows of every series on the regular grid, where absent ones are NaN in `y` and 0 in `X`; or as they come, with their steps."""

    y: tuple[FloatArray, ...]  # each (n_times, n_outputs)
    X: tuple[FloatArray, ...] | None  # each (n_times, n_features)
    start: Steps  # (n_series,) step of the first row
    at: tuple[Steps, ...] | None = None  # each (n_times,), where there is no grid

    def steps(self, series: int) -> Steps:
        """Step of each row of a series."""
        if self.at is not None:
            return self.at[series]
        return np.arange(self.start[series], self.start[series] + len(self.y[series]))

    @property
    def last(self) -> Steps:
        """Step of the last row of each series."""
        if self.at is not None:
            return np.array([steps[-1] for steps in self.at])
        return self.start + np.array([len(y) for y in self.y], dtype=np.int64) - 1


@dataclass(slots=True)
class SeriesRows:
    """New rows of one series, from the row after its last one on; or as they come, with their steps."""

    series: int
    y: FloatArray  # (n_new, n_outputs)
    X: FloatArray | None
    steps: Steps | None = None  # (n_new,), where there is no grid


@dataclass(frozen=True)
class Rows:
    """The rows that a question is about: steps of some series, in the caller's order."""

    form: Form
    series: IntArray  # (S,) which series
    steps: tuple[Steps, ...]  # of each: steps asked for
    positions: tuple[IntArray, ...]  # of each: row in the answer
    index: pd.Index | None = None  # the caller's own index, given back as it is

    @classmethod
    def following(cls, form: Form, last: IntArray, horizon: int) -> Rows:
        """The next rows of every series, one series after the other."""
        if isinstance(form.axis, StampAxis):
            form.axis.refuse_count(horizon)
        n = form.n_series
        steps = tuple(np.arange(t + 1, t + horizon + 1) for t in last)
        return cls(form, np.arange(n), steps, tuple(np.arange(i * horizon, (i + 1) * horizon) for i in range(n)))

    @property
    def n_rows(self) -> int:
        """Number of rows of the answer."""
        return sum(len(steps) for steps in self.steps)

    @property
    def is_array(self) -> bool:
        """Whether the caller works with bare arrays."""
        return self.form.kind == "array"

    def flat(self, values: FloatArray) -> FloatArray:
        """Values ``(S, horizon, ...)`` as rows in the caller's order, ``(n_rows, ...)``."""
        out = np.empty((self.n_rows, *values.shape[2:]))
        for block, steps, positions in zip(values, self.steps, self.positions):
            out[positions] = block[: len(steps)]
        return out

    def wrap(self, values: FloatArray) -> Any:
        """Values ``(S, horizon, n_outputs)`` in the caller's kind, shape, index and names."""
        flat = self.flat(values)
        form = self.form
        if form.kind == "array":
            return flat[:, 0] if form.ndim == 1 else flat
        if form.kind == "long":
            assert form.long is not None
            return self.long_frame({form.long.target: flat[:, 0]})
        if form.ndim == 1:
            return pd.Series(flat[:, 0], index=self.times(), name=form.outputs[0])
        return pd.DataFrame(flat, index=self.times(), columns=pd.Index(form.outputs).set_names(form.column_names))

    def frame(self, columns: Mapping[str, FloatArray]) -> Any:
        """A frame of several statistics, each ``(S, horizon, n_outputs)``; with several outputs their columns are (output, statistic)."""
        flats = {name: self.flat(values) for name, values in columns.items()}
        form = self.form
        if form.kind == "long":
            return self.long_frame({name: flat[:, 0] for name, flat in flats.items()})
        if form.ndim == 1:
            return pd.DataFrame({name: flat[:, 0] for name, flat in flats.items()}, index=self.times())
        names = form.outputs if form.kind == "pandas" else tuple(range(len(form.outputs)))
        labels = [(*(output if isinstance(output, tuple) else (output,)), name) for output in names for name in flats]
        values = np.stack(list(flats.values()), axis=-1).reshape(self.n_rows, -1)
        header = pd.MultiIndex.from_tuples(labels, names=[*form.column_names, None])
        return pd.DataFrame(values, index=self.times(), columns=header)

    def array(self, columns: Mapping[str, FloatArray]) -> FloatArray:
        """Several statistics as one array ``(n_rows[, n_outputs], n_statistics)``."""
        stacked = np.stack([self.flat(values) for values in columns.values()], axis=-1)
        return stacked[:, 0] if self.form.ndim == 1 else stacked

    def times(self) -> Any:
        """Index of the answer: stamps, or (series, stamp)."""
        if self.index is not None:
            return self.index
        form, axis = self.form, self.form.axis
        if form.keys is None:
            first = self.steps[0]
            return axis.stamps(int(first[0]), len(first)) if axis.regular else axis.at(first)
        steps: Any = np.empty(self.n_rows, dtype=self.steps[0].dtype)
        owner = np.empty(self.n_rows, dtype=np.int64)
        for series, s, p in zip(self.series, self.steps, self.positions):
            steps[p], owner[p] = s, series
        stamps = axis.at(steps)
        return pd.MultiIndex.from_arrays([pd.Index(form.keys).take(owner), stamps], names=form.level_names)

    def long_frame(self, columns: Mapping[str, FloatArray]) -> Any:
        """A long frame of the caller's library: id, time, and columns of one value a row."""
        long = self.form.long
        assert long is not None
        times = self.times()
        stamps = times.get_level_values(-1)
        data: dict[str, Any] = {} if long.id is None else {long.id: times.get_level_values(0).to_numpy()}
        if long.backend == "pandas":
            return pd.DataFrame({**data, long.time: stamps, **columns})
        import narwhals as nw

        zone = getattr(stamps, "tz", None)
        naive = stamps.tz_convert("UTC").tz_localize(None) if zone is not None else stamps
        if isinstance(naive, pd.PeriodIndex):
            naive = naive.to_timestamp()
        if getattr(naive, "unit", None) == "s":  # polars knows ms, us and ns
            naive = naive.as_unit("us")
        frame = nw.from_dict({**data, long.time: naive.to_numpy(), **columns}, backend=long.backend)
        if zone is not None:
            frame = frame.with_columns(nw.col(long.time).dt.replace_time_zone("UTC").dt.convert_time_zone(str(zone)))
        if long.time_is_date:
            frame = frame.with_columns(nw.col(long.time).cast(nw.Date))
        return frame.to_native()
