"""Where a series stands for a network: its height and width, and what is remembered of its rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from .._containers import FloatArray
from ..exceptions import InputError


class Stand(NamedTuple):
    """Where a series stands: its last rows, or the state of a recurrent network."""

    rows: FloatArray  # (at most a context and what `recent_widths` looks at, C), on the model's scale
    X: FloatArray | None  # (as many, F)
    state: tuple[Any, ...] | None  # arrays, where normalisation is causal
    latest: FloatArray  # (C,), last observed values, NaN without any
    n_new: int  # rows since fit, or since there was a context; less than 0 before


def nothing(n_outputs: int, context_length: int) -> Stand:
    """Where a series stands before its first row."""
    return Stand(np.zeros((0, n_outputs)), None, None, np.full(n_outputs, np.nan), -context_length)


def moments_of(
    series: Sequence[FloatArray], weights: Sequence[FloatArray] | None = None
) -> tuple[FloatArray, FloatArray]:
    """Mean and standard deviation of each column of each series, ``(n_series, C)``; 0 and 1 where there is nothing to tell.

    Parameters
    ----------
    series : sequence of arrays (n_times, C)
        NaN where missing.
    weights : sequence of arrays (n_times,), optional
        Of the rows; all alike unless given.
    """
    centre, spread = [], []
    for i, rows in enumerate(series):
        seen = ~np.isnan(rows)
        weight = seen * (1.0 if weights is None else weights[i][:, None])
        total = weight.sum(axis=0)
        total = np.where(total > 0, total, 1.0)
        mean = (weight * np.where(seen, rows, 0.0)).sum(axis=0) / total
        deviation = np.sqrt((weight * np.where(seen, rows - mean, 0.0) ** 2).sum(axis=0) / total)
        centre.append(mean)
        spread.append(np.where(deviation > 1e-12 * np.maximum(np.abs(mean), 1e-300), deviation, 1.0))
    if not any((~np.isnan(rows)).any() for rows in series):
        raise InputError("y has no observed value.")
    return np.array(centre), np.array(spread)
