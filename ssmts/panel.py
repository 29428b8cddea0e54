"""The only door: Series, frames, long frames and arrays become a `Panel` on one regular grid, and answers go back the same way.

`Form` remembers how the caller's data looked, `Panel` holds the training rows of every series on the grid of a
`TimeAxis`, and `Rows` says which rows of which series a question is about and puts the answer into the caller's kind.
"""

from __future__ import annotations

import numbers
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from ._containers import (
    FloatArray,
    Long,
    LongNames,
    Table,
    column_mismatch,
    is_default_index,
    is_long,
    read_long,
    read_table,
)
from ._stampaxis import Axis, StampAxis, stamp_axis
from .exceptions import FrequencyError, FutureRowsError, InputError, InputTypeError, TimeIndexError, UnknownSeriesError
from .timeindex import check_increasing, infer_axis, kind_of, row_axis

__all__ = ["Form", "Long", "Panel", "Rows", "SeriesRows", "read_future", "read_new", "read_training"]

_NO_STAMPS = (
    "fit saw an index, but these rows come as an array that does not say when they are. Pass a pandas object with its "
    'index; if a transformer dropped it, call .set_output(transform="pandas") on it.'
)
_LONGEST_GAP = 1_000_000  # steps; beyond it a stamp is wrong rather than a sensor silent, and NaN rows fill the memory

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


@dataclass(frozen=True)
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


def read_training(X: Any, y: Any = None, *, freq: Any = None, irregular: bool = False) -> tuple[Form, Panel]:
    """Read what `fit` was given: covariates and target, the target alone, or a long frame.

    With `irregular`, stamps without a frequency are taken as they are.
    """
    if is_long(X):
        if y is not None:
            raise InputTypeError("A long frame holds its own target: call fit(frame) without y.")
        target, covariates = read_long(X)
        assert target is not None
    elif y is None:
        target, covariates = read_table(X, "y"), None
    else:
        covariates = read_table(X, "X", ensure_2d=True, allow_no_columns=_is_frame(X))
        target, covariates = align(read_table(y, "y"), covariates)
    axis, steps = _axis_steps(target, freq, irregular)
    _refuse_missing(covariates)
    groups = _groups(target)
    ys, Xs, start = [], [], []
    for positions in groups:
        s = steps[positions]
        ys.append(_placed(axis, target.values, positions, s, s[0], np.nan))
        if covariates is not None:
            Xs.append(_placed(axis, covariates.values, positions, s, s[0], 0.0))
        start.append(s[0])
    form = Form(
        kind=target.kind,
        ndim=target.ndim,
        outputs=target.columns or tuple(range(target.values.shape[1])),
        axis=axis,
        indexed=target.time is not None,
        keys=target.keys,
        level_names=() if target.index is None else tuple(target.index.names),
        features=None if covariates is None else covariates.columns,
        n_features=None if covariates is None else covariates.values.shape[1],
        long=target.long,
        column_names=target.column_names,
    )
    if form.long is not None:
        form = replace(form, level_names=(form.long.id, form.long.time))
    for series, values in enumerate(ys):
        for column, name in enumerate(form.outputs):
            if np.isnan(values[:, column]).all():
                which = f" (column {name!r})" if len(form.outputs) > 1 else ""
                raise InputError(f"y{form.label(series)}{which} is NaN throughout; there is nothing to learn from.")
    at = None if axis.regular else tuple(steps[positions] for positions in groups)
    return form, Panel(tuple(ys), tuple(Xs) if covariates is not None else None, np.array(start), at)


def read_new(form: Form, X: Any, y: Any, last: Steps) -> list[SeriesRows]:
    """Read new rows of `update`: each series goes on after its own last row, absent rows become NaN."""
    if form.kind == "long":
        if y is not None:
            raise InputTypeError("fit saw a long frame, which holds its own target: call update(frame) without y.")
        target, covariates = read_long(X, form.long)
        assert target is not None
    elif y is None:
        if form.n_features:
            raise InputError(f"fit saw {form.n_features} covariate(s){_named(form)}: call update(X_new, y_new).")
        target, covariates = read_table(X, "y_new"), None
    else:
        covariates = read_table(X, "X_new", ensure_2d=True, allow_no_columns=_is_frame(X))
        if form.indexed and covariates.time is None:
            raise InputError(_NO_STAMPS)
        target, covariates = align(read_table(y, "y_new"), covariates)
        _check_features(form, covariates, "X_new")
    if form.kind == "long":
        _check_features(form, covariates, "The long frame")
    _refuse_missing(covariates)
    values = _ordered_outputs(form, target, "y_new")
    codes = _series_codes(form, target)
    steps = _steps(form, target, codes, last)
    news = []
    for positions in _groups(target):
        series = int(codes[positions[0]])
        s, after = steps[positions], last[series].item()
        if s[0] <= after:
            first, end = form.axis.format(s[0].item()), form.axis.format(after)
            raise TimeIndexError(
                f"update got rows from {first}, but the state{form.label(series)} stands at {end}. Pass later rows only."
            )
        X_rows = None if covariates is None else _placed(form.axis, covariates.values, positions, s, after + 1, 0.0)
        rows = _placed(form.axis, values, positions, s, after + 1, np.nan)
        news.append(SeriesRows(series, rows, X_rows, None if form.axis.regular else s))
    return news


def read_future(
    form: Form, X: Any, last: Steps, training: Panel | None, *, holes: bool = False
) -> tuple[Rows, list[FloatArray] | None]:
    """Read what `predict` was asked: a horizon, or rows whose index says when.

    Returns the rows, and for each of their series the covariates of each row asked for. With ``holes=False`` the rows
    after the last known one must be consecutive when there are covariates.
    """
    if isinstance(X, numbers.Number) or (isinstance(X, np.ndarray) and X.ndim == 0):
        return _horizon_rows(form, X, last), None
    if isinstance(X, pd.Index):  # stamps alone
        X = pd.DataFrame(index=X)
    elif isinstance(X, Mapping) or not (pd.api.types.is_list_like(X) or is_long(X) or hasattr(X, "__array__")):
        raise InputTypeError(
            f"What to predict is a number of steps, or rows whose index says when (ssmts.future_frame makes them); received {X!r}."
        )
    table = _future_table(form, X)
    codes = _series_codes(form, table)
    if not form.indexed and table.time is not None:
        raise InputError(
            "fit saw arrays, whose rows have no stamps; pass an array or a number of steps, not an indexed object."
        )
    steps = _steps(form, table, codes, last)
    groups = _groups(table)
    if table.time is not None and is_default_index(table.time) and training is not None:
        _refuse_restarted_count(steps, training)
    rows = Rows(form, codes[[p[0] for p in groups]], tuple(steps[p] for p in groups), tuple(groups), table.index)
    if not form.n_features:
        return rows, None
    _refuse_missing(table)
    if not holes and form.axis.regular:
        for series, s in zip(rows.series, rows.steps):
            future = s[s > last[series]]
            if len(future) and len(future) <= future[-1] - future[0]:
                gap = int(np.flatnonzero(np.diff(future) > 1)[0])
                absent = int(future[-1] - future[0]) + 1 - len(future)
                where = form.axis.format(int(future[gap]) + 1)
                raise FutureRowsError(
                    f"X_future{form.label(int(series))} has no row for {where}; pass the {absent} missing row(s)."
                )
    return rows, [table.values[p] for p in groups]


def _horizon_rows(form: Form, horizon: Any, last: Steps) -> Rows:
    whole = isinstance(horizon, numbers.Integral) and not isinstance(horizon, bool)
    if not whole and not (isinstance(horizon, np.ndarray) and horizon.dtype.kind in "iu"):
        raise (
            InputTypeError(f"The horizon must be a whole number of steps, not {horizon!r}.")
            if not isinstance(horizon, numbers.Real)
            else InputError(f"The horizon must be a whole number of steps, not {horizon!r}.")
        )
    h = int(horizon)
    if h < 1:
        raise InputError(f"The horizon must be at least 1 step, not {horizon!r}.")
    if form.n_features and form.axis.regular:
        first, end = form.axis.format(int(last[0]) + 1), form.axis.format(int(last[0]) + h)
        raise FutureRowsError(
            f"The forecaster was fitted with {form.n_features} covariate(s){_named(form)}, so the next {h} steps need their values: pass "
            f"X_future with the rows {first} to {end}; ssmts.future_frame(forecaster, {h}) makes the frame to fill."
        )
    return Rows.following(form, last, h)


def _future_table(form: Form, X: Any) -> Table:
    if is_long_of(form, X):
        covariates = read_long(X, form.long, target=False)[1]
        if form.n_features:
            _check_features(form, covariates, "X_future")
            assert covariates is not None
            return covariates
        known = read_long(_with_constant(X, form.long), form.long)[0]
        assert known is not None
        return known
    if (
        isinstance(X, pd.Series if form.n_features == 0 else (pd.Series, pd.DataFrame)) and not form.n_features
    ):  # y_test: its index, never its values
        return read_table(pd.DataFrame(index=X.index), "X_future", allow_no_columns=True)
    table = read_table(X, "X_future", ensure_2d=form.n_features is not None, allow_no_columns=_is_frame(X))
    if form.n_features is not None:
        _check_features(form, table, "X_future")
    return table


def is_long_of(form: Form, X: Any) -> bool:
    """Whether X is a long frame for a forecaster that was fitted on one, with its column names."""
    return form.long is not None and (is_long(X) or form.long.time in getattr(X, "columns", ()))


def _with_constant(X: Any, names: LongNames | None) -> Any:
    """The stamps of a long frame, under a target column that is never read."""
    import narwhals as nw

    assert names is not None
    frame = nw.from_native(X.frame if isinstance(X, Long) else X, eager_only=True)
    keep = [c for c in (names.id, names.time) if c is not None]
    return frame.select(*keep, nw.lit(0.0).alias(names.target)).to_native()


def _is_frame(obj: Any) -> bool:
    return isinstance(obj, pd.DataFrame)


def _named(form: Form) -> str:
    return "" if form.features is None else f" {list(form.features)}"


def align(target: Table, covariates: Table) -> tuple[Table, Table]:
    """Give both tables the stamps that either carries."""
    n, m = len(covariates.values), len(target.values)
    if n != m:
        raise InputError(
            f"Found input variables with inconsistent numbers of samples: X has {n} rows, y has {m}. Pass one row of each for every time."
        )
    if target.carries_stamps and covariates.carries_stamps:
        assert target.index is not None
        assert covariates.index is not None
        if not target.index.equals(covariates.index):
            where = next((a for a, b in zip(target.index, covariates.index) if a != b), "kind")
            raise TimeIndexError(
                f"X and y carry different stamps (first difference: {where}). Align them, or pass y as an array."
            )
    stamped = covariates if covariates.carries_stamps or target.time is None else target
    stamps: dict[str, Any] = {
        "time": stamped.time,
        "codes": stamped.codes,
        "keys": stamped.keys,
        "index": stamped.index,
    }
    return replace(target, **stamps), replace(covariates, **stamps)


def _axis_steps(target: Table, freq: Any, irregular: bool) -> tuple[Axis, Steps]:
    if target.time is None:
        return row_axis(), np.arange(len(target.values))
    as_they_are = irregular and isinstance(freq, str) and freq == "irregular"
    irregular = irregular and (freq is None or as_they_are)
    numbers = kind_of(target.time, numbers=irregular) == "number"
    parts = [target.time] if target.codes is None else [target.time.take(p) for p in _groups(target)]
    for position, part in enumerate(parts):
        check_increasing(part, series=None if target.keys is None else target.keys[position], numbers=numbers)
    axis: Axis
    try:
        axis = stamp_axis(parts) if numbers or as_they_are else infer_axis(parts, freq)
    except FrequencyError:
        if not irregular:
            raise
        axis = stamp_axis(parts)
    return axis, axis.steps(target.time)


def _groups(table: Table) -> list[IntArray]:
    """Positions of the rows of each series present, in the order of `keys`."""
    if table.codes is None:
        return [np.arange(len(table.values))]
    order = np.argsort(table.codes, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(table.codes[order])) + 1)


def _placed(axis: Axis, values: FloatArray, positions: IntArray, steps: Steps, first: Any, blank: float) -> FloatArray:
    """Rows on the grid; without one, the rows that there are."""
    return _fill(values, positions, steps, int(first), blank) if axis.regular else values[positions]


def _fill(values: FloatArray, positions: IntArray, steps: Steps, first: int, blank: float) -> FloatArray:
    """Rows on the grid from `first` to the last step, `blank` where absent."""
    span = int(steps[-1]) - first + 1
    if span > _LONGEST_GAP + 100 * len(positions):
        raise TimeIndexError(
            f"{len(positions)} row(s) reach over {span} steps of the frequency. Is a stamp or the frequency wrong? Pass freq= if so."
        )
    if len(positions) == len(values) == span:
        return values
    out = np.full((span, values.shape[1]), blank)
    out[steps - first] = values[positions]
    return out


def _steps(form: Form, table: Table, codes: IntArray, last: Steps) -> Steps:
    """Steps of new rows: from their stamps, or counted on from the last row where there are no stamps."""
    if table.time is None:
        if form.indexed:
            raise InputError(_NO_STAMPS)
        following: IntArray = last[0] + 1 + np.arange(len(table.values))
        return following
    if not form.indexed:
        raise InputError("fit saw arrays, whose rows have no stamps; pass an array, not an indexed object.")
    steps = form.axis.steps(table.time)
    for positions in _groups(table):
        if len(positions) > 1 and (np.diff(steps[positions]) <= 0).any():
            key = None if form.keys is None else form.keys[int(codes[positions[0]])]
            check_increasing(table.time.take(positions), series=key, numbers=not form.axis.regular)
    return steps


def _series_codes(form: Form, table: Table) -> IntArray:
    """For each row the position of its series in `form.keys`."""
    if form.keys is None:
        if table.codes is not None:
            raise InputError("fit saw a single series, but these rows have an index (series, time).")
        return np.zeros(len(table.values), dtype=np.int64)
    if table.codes is None:
        if table.time is None and form.kind == "array":
            return np.zeros(len(table.values), dtype=np.int64)
        raise InputError("fit saw several series, so the rows need an index (series, time) that says whose they are.")
    assert table.keys is not None
    found = pd.Index(form.keys).get_indexer(pd.Index(table.keys))
    if (found < 0).any():
        unknown = [key for key, at in zip(table.keys, found) if at < 0]
        raise UnknownSeriesError(
            f"Series {unknown} were not seen in fit, which knows {_some(form.keys)}. Fit again with them."
        )
    codes: IntArray = np.asarray(found, dtype=np.int64)[table.codes]
    return codes


def _some(names: Sequence[Hashable], most: int = 8) -> str:
    return str(list(names[:most])) + (f" and {len(names) - most} more" if len(names) > most else "")


def _ordered_outputs(form: Form, target: Table, what: str) -> FloatArray:
    """Values of new rows of y, columns in the order of fit."""
    if target.values.shape[1] != len(form.outputs):
        raise InputError(f"{what} has {target.values.shape[1]} column(s), fit saw {len(form.outputs)}.")
    if target.columns is None or form.ndim == 1 or form.kind != "pandas" or target.columns == form.outputs:
        return target.values
    if set(target.columns) != set(form.outputs):
        raise InputError(f"{what} has the columns {list(target.columns)}, fit saw {list(form.outputs)}.")
    return target.values[:, [target.columns.index(name) for name in form.outputs]]


def _check_features(form: Form, table: Table | None, what: str) -> None:
    """Refuse covariates whose names, order or number differ from those of fit, in scikit-learn's words."""
    if table is not None and form.features is not None and table.columns is not None and table.columns != form.features:
        raise FutureRowsError(column_mismatch(table.columns, form.features, what))
    n = 0 if table is None else table.values.shape[1]
    expected = form.n_features or 0
    if n != expected:
        raise FutureRowsError(
            f"X has {n} features, but Forecaster is expecting {expected} features as input. Pass {what}{_named(form)}."
        )


def _refuse_missing(covariates: Table | None) -> None:
    if covariates is None:
        return
    bad = np.isnan(covariates.values)
    if not bad.any():
        return
    row = int(bad.any(axis=1).argmax())
    column = int(bad[row].argmax())
    name = column if covariates.columns is None else repr(covariates.columns[column])
    where = f"row {row}" if covariates.time is None else f"{covariates.time[row]}"
    raise InputError(
        f"X contains NaN at {where} (column {name}). Covariates must be known at every row: fill or drop it."
    )


def _refuse_restarted_count(steps: IntArray, training: Panel) -> None:
    first, last = int(training.start.min()), int(training.last.max())
    if steps[0] > last or (steps[0] == first and len(steps) == last - first + 1):
        return
    raise TimeIndexError(
        f"These rows have a default index 0..{len(steps) - 1}, which overlaps the training rows {first}..{last} without being them. "
        "Keep the index of the original frame (no reset_index), or pass the number of steps."
    )
