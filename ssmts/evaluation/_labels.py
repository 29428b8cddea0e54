"""Labels, alarms and scores of the rows of one series, checked at the door."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from .._containers import FloatArray
from .._form import IntArray
from ..exceptions import InputError
from ._pairs import floats

BoolArray = np.ndarray[Any, np.dtype[np.bool_]]


def read_predictions(
    labels: Any, predictions: Any, needs: tuple[bool, ...] = (True, False)
) -> tuple[BoolArray, BoolArray]:
    """Truth and alarms of every row, both ``(n_times,)``; the truth must have rows of the kinds that are needed."""
    truth, values = read_pair(labels, predictions, "predictions", needs)
    return truth, read_flags(values, "predictions")


def read_scores(labels: Any, scores: Any) -> tuple[BoolArray, IntArray]:
    """Truth of every row and the rank of its score, from 0 for the most normal; equal scores have equal ranks.

    Ranks stand for scores because only their order counts; so the minus infinity of a p-value of zero is a score too.
    """
    truth, values = read_pair(labels, scores, "scores")
    missing = np.isnan(values)
    if missing.any():
        raise InputError(
            f"scores is NaN in {missing.sum()} of {len(values)} rows, first in row {int(missing.argmax())}; "
            "a row without a score has no rank. Drop such rows from labels and scores, or fill them."
        )
    _, rank = np.unique(-values, return_inverse=True)
    return truth, rank.astype(np.int64, copy=False)


def segments(flags: BoolArray) -> tuple[IntArray, IntArray]:
    """First row, and row after the last, of every run of True."""
    change = np.diff(flags.astype(np.int8), prepend=0, append=0)
    return np.flatnonzero(change == 1), np.flatnonzero(change == -1)


def read_pair(
    labels: Any, other: Any, name: str, needs: tuple[bool, ...] = (True, False), of: str = ""
) -> tuple[BoolArray, FloatArray]:
    """Truth with rows of the kinds that are needed, and the values beside it; `of` says in messages of which series."""
    truth_name, name = f"labels{of}", f"{name}{of}"
    truth, rows = _column(labels, truth_name)
    values, own = _column(other, name)
    if len(values) != len(truth):
        raise InputError(f"{name} has {len(values)} rows, {truth_name} has {len(truth)}. Pass one value for each row.")
    if rows is not None and own is not None and not own.equals(rows):
        raise InputError(f"{name} and {truth_name} have different indexes. Give both that of the rows, or pass arrays.")
    flags = read_flags(truth, truth_name)
    for kind in needs:
        if not (flags == kind).any():
            raise InputError(
                f"All {len(flags)} rows of labels are {'normal' if kind else 'anomalous'}. "
                f"Pass rows of which some are {' and some are '.join(str(int(each)) for each in needs)}."
            )
    return flags, values


def _column(obj: Any, name: str) -> tuple[FloatArray, pd.Index | None]:
    index = obj.index if isinstance(obj, pd.Series) else None
    if index is not None and index.nlevels > 1:
        raise InputError(f"{name} has an index of {index.nlevels} levels. Pass one series at a time.")
    values = floats(obj, name)
    if values.ndim != 1:
        raise InputError(f"{name} has the shape {values.shape}. Pass one value for each row, (n_times,).")
    return values, index


def read_flags(values: FloatArray, name: str) -> BoolArray:
    """Zeros and ones as truth values; of any shape with rows first."""
    odd = (values != 0) & (values != 1)
    if odd.any():
        row = int(odd.reshape(len(values), -1).any(axis=1).argmax())
        hint = " (of a detector: predict(X) == -1)" if name == "predictions" else ""
        raise InputError(f"{name} has {values[odd][0]} in row {row}. Pass 1 for anomalous rows and 0 for others{hint}.")
    flags: BoolArray = values == 1
    return flags


def harmonic(precision: float, recall: float) -> float:
    """F1 of precision and recall; 0 where nothing was claimed, so that precision is NaN."""
    return 2 * precision * recall / (precision + recall) if precision > 0 and recall > 0 else 0.0
