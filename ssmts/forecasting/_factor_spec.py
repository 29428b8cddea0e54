"""What a user says of a dynamic factor model, checked: which factors there are, and what each column adds up."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from .._containers import FloatArray
from ..exceptions import InputError, InputTypeError
from ._arguments import choice, whole

IDIOSYNCRATIC = ("ar1", "white")
METHODS = ("em", "ml")
SUMS = ("growth", "sum", "average", "last")


class Factors(NamedTuple):
    """The factors of a model."""

    names: tuple[Any, ...]
    pattern: np.ndarray[Any, np.dtype[np.bool_]]  # (n_outputs, n_factors), which columns have which
    blocks: tuple[slice, ...]  # factors that move together


def factors_of(n_factors: Any, groups: Any, outputs: tuple[Hashable, ...]) -> Factors:
    """Common factors, and one for each group of columns.

    Parameters
    ----------
    n_factors : int
    groups : mapping of name to columns, or None
    outputs : tuple
        Names of the columns.
    """
    common = whole("n_factors", n_factors, 0)
    if groups is not None and not isinstance(groups, Mapping):
        raise InputTypeError(f"groups must map names to columns of y; received {groups!r}.")
    given = dict(groups or {})
    if not common + len(given):
        raise InputError("n_factors is 0 and there are no groups: a model needs a factor.")
    if common > len(outputs):
        raise InputError(f"n_factors is {common}, but y has {len(outputs)} column(s): choose as many or fewer.")
    names = (*(f"factor_{j + 1}" for j in range(common)), *given)
    pattern = np.zeros((len(outputs), len(names)), dtype=bool)
    pattern[:, :common] = True
    for j, (name, columns) in enumerate(given.items(), common):
        pattern[[place(column, outputs, f"groups[{name!r}]") for column in columns], j] = True
        if not pattern[:, j].any():
            raise InputError(f"groups[{name!r}] has no columns.")
    bare = np.flatnonzero(~pattern.any(axis=1))
    if len(bare):
        raise InputError(
            f"column {outputs[bare[0]]!r} has no factor: put it into a group, or choose n_factors above 0."
        )
    ends = [*([common] if common else []), *range(common + 1, len(names) + 1)]
    return Factors(names, pattern, tuple(slice(a, b) for a, b in zip([0, *ends], ends)))


def place(column: Hashable, outputs: tuple[Hashable, ...], what: str) -> int:
    """Which column a name is.

    Parameters
    ----------
    column : hashable
    outputs : tuple
    what : str
        The argument that names it.
    """
    if column not in outputs:
        known = ", ".join(map(repr, outputs[:5]))
        raise InputError(f"{what} names column {column!r}; y has {known}{', ...' if len(outputs) > 5 else ''}.")
    return outputs.index(column)


def weights_of(aggregation: Any, y: FloatArray, outputs: tuple[Hashable, ...]) -> FloatArray:
    """Of each column, how much it has of each row before, (n_outputs, n_weights).

    Parameters
    ----------
    aggregation : mapping of column to word or weights, or None
    y : ndarray, shape (n_times, n_outputs)
        From which it is seen how many rows a period has.
    outputs : tuple
        Names of the columns.
    """
    if aggregation is not None and not isinstance(aggregation, Mapping):
        raise InputTypeError(
            f"aggregation must map columns of y to one of {SUMS} or weights; received {aggregation!r}."
        )
    rows: list[FloatArray] = [np.ones(1)] * len(outputs)
    for column, how in (aggregation or {}).items():
        at = place(column, outputs, "aggregation")
        rows[at] = _weights(column, how, y[:, at])
    out = np.zeros((len(rows), max(map(len, rows))))
    for i, row in enumerate(rows):
        out[i, : len(row)] = row
    return out


def _weights(column: Hashable, how: Any, values: FloatArray) -> FloatArray:
    if not isinstance(how, str):
        if not isinstance(how, Sequence | np.ndarray):
            raise InputTypeError(f"aggregation[{column!r}] must be one of {SUMS} or weights; received {how!r}.")
        row = np.trim_zeros(np.asarray(how, dtype=float), "b")
        if row.ndim != 1 or not row.size or not np.isfinite(row).all() or abs(row.sum()) < 1e-9 * np.abs(row).max():
            raise InputError(f"aggregation[{column!r}] must be weights that do not add up to zero; received {how!r}.")
        return row
    choice(f"aggregation[{column!r}]", how, SUMS)
    if how == "last":
        return np.ones(1)
    seen = np.flatnonzero(~np.isnan(values))
    period = int(np.gcd.reduce(np.diff(seen))) if len(seen) > 1 else 0
    if period < 2:
        found = "in neighbouring rows" if period == 1 else "once"
        raise InputError(
            f"aggregation[{column!r}] is {how!r}, a value for several rows, but the column is observed {found}, which does "
            "not tell how many: leave the rows within a period NaN, or pass weights, that of the newest row first."
        )
    ones = np.ones(period)
    return {"sum": ones, "average": ones / period, "growth": np.convolve(ones, ones) / period}[how]
