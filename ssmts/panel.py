"""The only door: Series, frames, long frames and arrays become a `Panel` on one regular grid, and answers go back the same way.

`Form` remembers how the caller's data looked, `Panel` holds the training rows of every series on the grid of a
`TimeAxis`, and `Rows` says which rows of which series a question is about and puts the answer into the caller's kind.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from typing import Any, cast

import numpy as np
import pandas as pd

from ._containers import (
    FloatArray,
    Long,
    LongNames,
    Table,
    is_default_index,
    is_long,
    read_long,
    read_table,
)
from ._form import Form, IntArray, Panel, Rows, SeriesRows, Steps
from ._grid import (
    NO_STAMPS,
    align,
    axis_steps,
    check_features,
    groups_of,
    named,
    ordered_outputs,
    placed,
    refuse_missing,
    series_codes,
    steps_of,
)
from ._timeaxis import TimeAxis
from .exceptions import FutureRowsError, InputError, InputTypeError, TimeIndexError

__all__ = ["Form", "Long", "Panel", "Rows", "SeriesRows", "read_future", "read_new", "read_training"]


def read_training(
    X: Any, y: Any = None, *, freq: Any = None, irregular: bool = False, absent: float = 0.0
) -> tuple[Form, Panel]:
    """Read what `fit` was given: covariates and target, the target alone, or a long frame.

    With `irregular`, stamps without a frequency are taken as they are. `absent` is what covariates are in rows that are not there.
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
    axis, steps = axis_steps(target, freq, irregular)
    refuse_missing(covariates)
    groups = groups_of(target)
    ys, Xs, start = [], [], []
    for positions in groups:
        s = steps[positions]
        ys.append(placed(axis, target.values, positions, s, s[0], np.nan))
        if covariates is not None:
            Xs.append(placed(axis, covariates.values, positions, s, s[0], absent))
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
        refuse_silent(form, series, values)
    at = None if axis.regular else tuple(steps[positions] for positions in groups)
    return form, Panel(tuple(ys), tuple(Xs) if covariates is not None else None, np.array(start), at)


def refuse_silent(form: Form, series: int, values: FloatArray) -> None:
    """Refuse a series of which a column was never observed."""
    for column, name in enumerate(form.outputs):
        if np.isnan(values[:, column]).all():
            which = f" (column {name!r})" if len(form.outputs) > 1 else ""
            raise InputError(f"y{form.label(series)}{which} is NaN throughout; there is nothing to learn from.")


def read_new(form: Form, X: Any, y: Any, last: Steps, absent: float = 0.0) -> list[SeriesRows]:
    """Read new rows of `update`: each series goes on after its own last row, absent rows become NaN, their covariates `absent`."""
    return _news(form, *_new_tables(form, X, y), last, absent)


def read_grown(form: Form, X: Any, y: Any, last: Steps, absent: float = 0.0) -> tuple[Form, Steps, list[SeriesRows]]:
    """As `read_new`, but series that fit has not seen join the form, and end before their first row."""
    target, covariates = _new_tables(form, X, y)
    if form.keys is not None and target.keys is not None and target.time is not None and form.axis.regular:
        known = set(form.keys)
        joined = [(key, rows[:1]) for key, rows in zip(target.keys, groups_of(target)) if key not in known]
        if joined:
            before = [int(form.axis.steps(target.time.take(rows))[0]) - 1 for _, rows in joined]
            form = replace(form, keys=(*form.keys, *(key for key, _ in joined)))
            last = np.concatenate([last, np.array(before, dtype=last.dtype)])
    return form, last, _news(form, target, covariates, last, absent)


def _new_tables(form: Form, X: Any, y: Any) -> tuple[Table, Table | None]:
    if form.kind == "long":
        if y is not None:
            raise InputTypeError("fit saw a long frame, which holds its own target: call update(frame) without y.")
        target, covariates = read_long(X, form.long)
        assert target is not None
    elif y is None:
        if form.n_features:
            raise InputError(f"fit saw {form.n_features} covariate(s){named(form)}: call update(X_new, y_new).")
        target, covariates = read_table(X, "y_new"), None
    else:
        covariates = read_table(X, "X_new", ensure_2d=True, allow_no_columns=_is_frame(X))
        if form.indexed and covariates.time is None:
            raise InputError(NO_STAMPS)
        target, covariates = align(read_table(y, "y_new"), covariates)
        check_features(form, covariates, "X_new")
    return target, covariates


def _news(form: Form, target: Table, covariates: Table | None, last: Steps, absent: float) -> list[SeriesRows]:
    if form.kind == "long":
        check_features(form, covariates, "The long frame")
    refuse_missing(covariates)
    values = ordered_outputs(form, target, "y_new")
    codes = series_codes(form, target)
    steps = steps_of(form, target, codes, last)
    news = []
    for positions in groups_of(target):
        series = int(codes[positions[0]])
        s, after = steps[positions], last[series].item()
        if s[0] <= after:
            first, end = form.axis.format(s[0].item()), form.axis.format(after)
            raise TimeIndexError(
                f"update got rows from {first}, but the state{form.label(series)} stands at {end}. Pass later rows only."
            )
        X_rows = None if covariates is None else placed(form.axis, covariates.values, positions, s, after + 1, absent)
        rows = placed(form.axis, values, positions, s, after + 1, np.nan)
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
    codes = series_codes(form, table)
    if not form.indexed and table.time is not None:
        raise InputError(
            "fit saw arrays, whose rows have no stamps; pass an array or a number of steps, not an indexed object."
        )
    steps = steps_of(form, table, codes, last)
    groups = groups_of(table)
    if table.time is not None and is_default_index(table.time) and training is not None:
        _refuse_restarted_count(steps, training)
    rows = Rows(form, codes[[p[0] for p in groups]], tuple(steps[p] for p in groups), tuple(groups), table.index)
    if not form.n_features:
        return rows, None
    refuse_missing(table)
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
            f"The forecaster was fitted with {form.n_features} covariate(s){named(form)}, so the next {h} steps need their values: pass "
            f"X_future with the rows {first} to {end}; ssmts.future_frame(forecaster, {h}) makes the frame to fill."
        )
    return Rows.following(form, last, h)


def _future_table(form: Form, X: Any) -> Table:
    if is_long_of(form, X):
        covariates = read_long(X, form.long, target=False)[1]
        if form.n_features:
            check_features(form, covariates, "X_future")
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
        check_features(form, table, "X_future")
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


def _refuse_restarted_count(steps: IntArray, training: Panel) -> None:
    first, last = int(training.start.min()), int(training.last.max())
    if steps[0] > last or (steps[0] == first and len(steps) == last - first + 1):
        return
    raise TimeIndexError(
        f"These rows have a default index 0..{len(steps) - 1}, which overlaps the training rows {first}..{last} without being them. "
        "Keep the index of the original frame (no reset_index), or pass the number of steps."
    )


def past_rows(form: Form, panel: Panel) -> Any:
    """Training rows in the caller's kind."""
    steps = tuple(panel.steps(i) for i in range(len(panel.y)))
    ends = np.cumsum([0] + [len(y) for y in panel.y])
    positions = tuple(np.arange(a, b) for a, b in pairwise(ends))
    rows = Rows(form, np.arange(len(steps)), steps, positions)
    longest = max(len(y) for y in panel.y)
    padded = np.full((len(panel.y), longest, panel.y[0].shape[1]), np.nan)
    for i, y in enumerate(panel.y):
        padded[i, : len(y)] = y
    return rows.wrap(padded)


def quick_new(form: Form, X: Any, last: np.ndarray) -> list[SeriesRows] | None:
    """The common case of a stream, one series without covariates that goes on where it stopped; None for all else."""
    if form.keys is not None or form.n_features is not None or not form.axis.regular:
        return None
    if type(X) is np.ndarray and not form.indexed and X.dtype == np.float64:
        values = X
    elif type(X) is pd.Series and form.indexed and form.kind == "pandas":
        values, axis = np.asarray(X.values), cast(TimeAxis, form.axis)
        if values.shape != (1,) or values.dtype != np.float64 or axis.quick_step(X.index) != last.item(0) + 1:
            return None
    else:
        return None
    if values.ndim != form.ndim or not values.size:
        return None
    if math.isinf(values.item()) if values.size == 1 else np.isinf(values).any():
        return None
    rows = values.reshape(len(values), -1)
    return [SeriesRows(0, rows, None)] if rows.shape[1] == len(form.outputs) else None
