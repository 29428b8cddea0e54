"""Where a series stands for a network: its height and width, and what is remembered of its rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from .._containers import FloatArray
from ..exceptions import InputError

_LEAST_SPREAD = 1e-12  # of the mean: what varies less is constant but for rounding
_FARTHEST = 1e15  # standard deviations


class Stand(NamedTuple):
    """Where a series stands: its last rows, or the state of a recurrent network."""

    rows: FloatArray  # (at most a context and what `recent_widths` looks at, C), on the model's scale
    X: FloatArray | None  # (as many, F), NaN in absent rows
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
    if not any((~np.isnan(rows)).any() for rows in series):
        raise InputError("y has no observed value.")
    centre, spread = [], []
    for i, rows in enumerate(series):
        seen = ~np.isnan(rows)
        weight = seen * (1.0 if weights is None else weights[i][:, None])
        total = weight.sum(axis=0)
        total = np.where(total > 0, total, 1.0)
        # by a power of two, so that no square leaves the numbers and no bit changes
        exponent = np.frexp(np.abs(np.where(seen, rows, 0.0)).max(axis=0, initial=0.0))[1]
        z = np.ldexp(np.where(seen, rows, 0.0), -exponent)
        mean = (weight * z).sum(axis=0) / total
        deviation = np.sqrt((weight * np.where(seen, z - mean, 0.0) ** 2).sum(axis=0) / total)
        told = deviation > _LEAST_SPREAD * np.abs(mean)
        centre.append(np.ldexp(mean, exponent))
        spread.append(np.where(told, np.ldexp(deviation, exponent), 1.0))
    return np.array(centre), np.array(spread)


def covariates(rows: FloatArray, centre: FloatArray, spread: FloatArray) -> npt.NDArray[np.float32]:
    """Covariates in z-scores and single precision; those of an absent row, which are NaN, are the mean.

    Parameters
    ----------
    rows : ndarray, shape (n_times, F)
    centre, spread : ndarray, shape (F,)
    """
    found: npt.NDArray[np.float32] = np.nan_to_num(single(rows, centre, spread, "X"))
    return found


def single(rows: FloatArray, centre: FloatArray, spread: FloatArray, name: str) -> npt.NDArray[np.float32]:
    """Rows in z-scores and single precision.

    Parameters
    ----------
    rows : ndarray, shape (n_times, C)
    centre, spread : ndarray, shape (C,)
    name : str
        What the message calls them.

    Raises
    ------
    InputError
        A value so far away that its square is beyond single precision.
    """
    z = (rows - centre) / spread
    far = np.abs(z) > _FARTHEST
    if far.any():
        row, column = (int(i) for i in np.argwhere(far)[0])
        raise InputError(
            f"{name} holds {rows[row, column]:.3g}, which lies {abs(z[row, column]):.0e} standard deviations of the training rows from "
            "their mean: no network can read that. Correct it, or pass NaN where a value of y is unknown."
        )
    found: npt.NDArray[np.float32] = z.astype(np.float32)
    return found
