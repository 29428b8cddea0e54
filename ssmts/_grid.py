"""Rows of tables on the grid of time: which series and which step each belongs to, in the columns and kinds that fit saw."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from ._containers import FloatArray, Table, column_mismatch
from ._form import Form, IntArray, Steps
from ._stampaxis import Axis, stamp_axis
from .exceptions import FrequencyError, FutureRowsError, InputError, TimeIndexError, UnknownSeriesError
from .timeindex import check_increasing, infer_axis, kind_of, row_axis

NO_STAMPS = (
    "fit saw an index, but these rows come as an array that does not say when they are. Pass a pandas object with its "
    'index; if a transformer dropped it, call .set_output(transform="pandas") on it.'
)
_LONGEST_GAP = 1_000_000  # steps; beyond it a stamp is wrong rather than a sensor silent, and NaN rows fill the memory


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


def axis_steps(target: Table, freq: Any, irregular: bool) -> tuple[Axis, Steps]:
    """The axis that the stamps of training rows stand on, and the step of each row."""
    if target.time is None:
        return row_axis(), np.arange(len(target.values))
    as_they_are = irregular and isinstance(freq, str) and freq == "irregular"
    irregular = irregular and (freq is None or as_they_are)
    numbers = kind_of(target.time, numbers=irregular) == "number"
    parts = [target.time] if target.codes is None else [target.time.take(p) for p in groups_of(target)]
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


def groups_of(table: Table) -> list[IntArray]:
    """Positions of the rows of each series present, in the order of `keys`."""
    if table.codes is None:
        return [np.arange(len(table.values))]
    order = np.argsort(table.codes, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(table.codes[order])) + 1)


def placed(axis: Axis, values: FloatArray, positions: IntArray, steps: Steps, first: Any, blank: float) -> FloatArray:
    """Rows on the grid; without one, the rows that there are."""
    return fill(values, positions, steps, int(first), blank) if axis.regular else values[positions]


def fill(values: FloatArray, positions: IntArray, steps: Steps, first: int, blank: float) -> FloatArray:
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


def steps_of(form: Form, table: Table, codes: IntArray, last: Steps) -> Steps:
    """Steps of new rows: from their stamps, or counted on from the last row where there are no stamps."""
    if table.time is None:
        if form.indexed:
            raise InputError(NO_STAMPS)
        following: IntArray = last[0] + 1 + np.arange(len(table.values))
        return following
    if not form.indexed:
        raise InputError("fit saw arrays, whose rows have no stamps; pass an array, not an indexed object.")
    steps = form.axis.steps(table.time)
    for positions in groups_of(table):
        if len(positions) > 1 and (np.diff(steps[positions]) <= 0).any():
            key = None if form.keys is None else form.keys[int(codes[positions[0]])]
            check_increasing(table.time.take(positions), series=key, numbers=not form.axis.regular)
    return steps


def series_codes(form: Form, table: Table) -> IntArray:
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
            f"Series {unknown} were not seen in fit, which knows {_some(form.keys)}. Fit again with them; where "
            "capabilities.unseen is true, update takes their first rows."
        )
    codes: IntArray = np.asarray(found, dtype=np.int64)[table.codes]
    return codes


def _some(names: Sequence[Hashable], most: int = 8) -> str:
    return str(list(names[:most])) + (f" and {len(names) - most} more" if len(names) > most else "")


def ordered_outputs(form: Form, target: Table, what: str) -> FloatArray:
    """Values of new rows of y, columns in the order of fit."""
    if target.values.shape[1] != len(form.outputs):
        raise InputError(f"{what} has {target.values.shape[1]} column(s), fit saw {len(form.outputs)}.")
    if target.columns is None or form.ndim == 1 or form.kind != "pandas" or target.columns == form.outputs:
        return target.values
    if set(target.columns) != set(form.outputs):
        raise InputError(f"{what} has the columns {list(target.columns)}, fit saw {list(form.outputs)}.")
    return target.values[:, [target.columns.index(name) for name in form.outputs]]


def check_features(form: Form, table: Table | None, what: str) -> None:
    """Refuse covariates whose names, order or number differ from those of fit, in scikit-learn's words."""
    if table is not None and form.features is not None and table.columns is not None and table.columns != form.features:
        raise FutureRowsError(column_mismatch(table.columns, form.features, what))
    n = 0 if table is None else table.values.shape[1]
    expected = form.n_features or 0
    if n != expected:
        raise FutureRowsError(
            f"X has {n} features, but Forecaster is expecting {expected} features as input. Pass {what}{named(form)}."
        )


def refuse_missing(covariates: Table | None) -> None:
    """Refuse covariates with NaN, and name the first."""
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


def named(form: Form) -> str:
    """The names of the covariates as they stand in messages; nothing if they have none."""
    return "" if form.features is None else f" {list(form.features)}"
