"""Windows on a panel: a context and the rows after it, drawn from the series without copying them.

The panel stays where it is: windows are numbers of rows, and a batch copies its own rows only.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..exceptions import InputError
from .examples import IntArray

_AT_ONCE = 256  # windows that are answered together


class Batch(NamedTuple):
    """Some windows, in single precision, time last."""

    context: Tensor  # (B, C, L), NaN where missing
    target: Tensor  # (B, C, h), NaN where missing
    covariates: (
        Tensor | None
    )  # (B, F, L + h), 0 where there are no rows: nothing masks them, and 0 is the mean of z-scores
    series: Tensor  # (B,), which series

    def to(self, device: torch.device) -> Batch:
        """The same on a device."""
        covariates = None if self.covariates is None else self.covariates.to(device)
        return Batch(self.context.to(device), self.target.to(device), covariates, self.series.to(device))


class Windows:
    """All windows whose first row ahead is one of the rows asked for.

    Parameters
    ----------
    y : sequence of arrays (n_times, C)
        Target of each series, NaN where missing.
    X : sequence of arrays (n_times or more, F), optional
        Covariates of each series.
    context_length, horizon : int
        Rows before and from the first row ahead on. What lies outside of the series is missing.
    first, last : int or sequence of int, optional
        For each series, the least and the greatest first row ahead; 1 and ``n_times - horizon`` unless given. A series whose last is
        less than its first has no window.
    stride : int, default 1
        Rows from one window to the next, counted back from the last, so that the latest rows are always among them.

    Attributes
    ----------
    series, rows : arrays (n_windows,)
        Series and first row ahead of each window.

    Raises
    ------
    InputError
        Arrays that do not fit each other, or sizes below 1.

    Notes
    -----
    A window without any value ahead, or without any before, is left out. A batch copies the rows of its own windows only.

    Examples
    --------
    >>> import numpy as np
    >>> windows = Windows([np.arange(6.0)[:, None]], None, 3, 2)
    >>> len(windows)
    4
    >>> batch = windows.batch([3])
    >>> batch.context, batch.target
    (tensor([[[1., 2., 3.]]]), tensor([[[4., 5.]]]))
    """

    def __init__(
        self,
        y: Sequence[npt.NDArray[Any]],
        X: Sequence[npt.NDArray[Any]] | None,
        context_length: int,
        horizon: int,
        *,
        first: int | Sequence[int] | None = None,
        last: int | Sequence[int] | None = None,
        stride: int = 1,
    ) -> None:
        if stride < 1 or horizon < 1 or context_length < 1:
            raise InputError(
                f"stride, horizon and context_length must be at least 1; received {stride}, {horizon}, {context_length}."
            )
        _check_arrays(y, X)
        self.y, self.X, self.context_length, self.horizon = y, X, context_length, horizon
        least = _each(first, [1] * len(y), "first")
        greatest = _each(last, [len(values) - horizon for values in y], "last")
        series, rows = [], []
        for i, values in enumerate(y):
            at = np.arange(greatest[i], max(least[i], 1) - 1, -stride, dtype=np.int64)[::-1]
            at = at[self._tells(values, at)]
            series.append(np.full(len(at), i, dtype=np.int64))
            rows.append(at)
        self.series: IntArray = np.concatenate(series)
        self.rows: IntArray = np.concatenate(rows)

    def _tells(self, values: npt.NDArray[Any], at: IntArray) -> npt.NDArray[np.bool_]:
        """Whether windows have a value before and ahead."""
        seen = np.concatenate([[0], np.cumsum(~np.isnan(values).all(axis=1))])
        n = len(values)
        ahead = seen[np.minimum(at + self.horizon, n)] - seen[np.minimum(at, n)]
        before = seen[np.minimum(at, n)] - seen[np.clip(at - self.context_length, 0, n)]
        told: npt.NDArray[np.bool_] = (ahead > 0) & (before > 0)
        return told

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def none_there(self) -> str:
        """Why there is no window."""
        return (
            "There is no window to train on: no rows with a value ahead of one with a value before. Rows that "
            "validate are not learnt: pass more rows, or validate by fewer."
        )

    @property
    def memory_advice(self) -> str:
        """What makes windows large."""
        return f"a context of {self.context_length} rows. Lower batch_size first, then width or context_length."

    def batch(self, indices: npt.ArrayLike) -> Batch:
        """The windows of these numbers, 0 to ``len - 1``."""
        at = np.asarray(indices, dtype=np.int64)
        return self.batch_at(self.series[at], self.rows[at])

    def batch_at(self, series: npt.ArrayLike, rows: npt.ArrayLike) -> Batch:
        """Windows at any rows, whether they have values or not.

        Parameters
        ----------
        series, rows : array-like of int, shape (B,)
            Series, and first rows ahead: ``len(y[i])`` to forecast what follows on series i.
        """
        which, after = np.asarray(series, dtype=np.int64), np.asarray(rows, dtype=np.int64)
        before = after - self.context_length
        return Batch(
            _gather(self.y, which, before, self.context_length, np.nan),
            _gather(self.y, which, after, self.horizon, np.nan),
            None if self.X is None else _gather(self.X, which, before, self.context_length + self.horizon, 0.0),
            torch.from_numpy(which.copy()),
        )

    def fingerprint(self) -> str:
        """Short text that differs where the windows do: of all values, and of which rows are drawn."""
        digest = hashlib.blake2b(repr((self.context_length, self.horizon)).encode(), digest_size=16)
        for array in (self.series, self.rows, *self.y, *(self.X or ())):
            digest.update(repr((array.shape, array.dtype.str)).encode())
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()


def stretches(start: int, stop: int) -> Iterator[slice]:
    """From one number to before another, in pieces whose windows are answered together."""
    for first in range(start, stop, _AT_ONCE):
        yield slice(first, min(first + _AT_ONCE, stop))


def _gather(arrays: Sequence[npt.NDArray[Any]], series: IntArray, starts: IntArray, length: int, fill: float) -> Tensor:
    """Rows of arrays from starts on, ``(B, columns, length)``; `fill` where an array has no such row."""
    out = np.empty((len(series), arrays[0].shape[1], length), dtype=np.float32)
    for each, i, start in zip(out, series.tolist(), starts.tolist()):
        rows = arrays[i]
        low, high = max(start, 0), min(start + length, len(rows))
        if high - low < length:
            each.fill(fill)
        if low < high:
            each[:, low - start : high - start] = rows[low:high].T
    return torch.from_numpy(out)


def _each(given: int | Sequence[int] | None, default: Sequence[int], name: str) -> list[int]:
    """One row for each series."""
    if given is None:
        return list(default)
    rows = np.asarray(given)
    if rows.shape not in {(), (len(default),)} or rows.dtype.kind not in "iu":
        raise InputError(
            f"{name} must be a row number, or one for each of the {len(default)} series; received {given!r}."
        )
    return [int(row) for row in np.broadcast_to(rows, (len(default),))]


def _check_arrays(y: Sequence[npt.NDArray[Any]], X: Sequence[npt.NDArray[Any]] | None) -> None:
    if not len(y):
        raise InputError("y must hold at least one series; received none.")
    if X is not None and len(X) != len(y):
        raise InputError(f"X must have one array for each of the {len(y)} series of y; received {len(X)}.")
    for name, arrays in (("y", y), ("X", y if X is None else X)):
        shapes = {each.shape[1:] for each in arrays}
        if len(shapes) != 1 or len(next(iter(shapes))) != 1:
            raise InputError(
                f"{name} must be arrays (n_times, n_columns) with the same columns; received shapes {[a.shape for a in arrays][:5]}."
            )
