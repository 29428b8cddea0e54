"""Windows on a panel: a context and the rows after it, drawn from the series without copying them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..exceptions import InputError

IntArray = npt.NDArray[np.int64]


class Batch(NamedTuple):
    """Some windows, in single precision."""

    context: Tensor  # (B, C, L), NaN where missing
    target: Tensor  # (B, C, h), NaN where missing
    covariates: Tensor | None  # (B, F, L + h), 0 where there are no rows
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
    first, last : sequence of int, optional
        For each series, the least and the greatest first row ahead; 1 and ``n_times - horizon`` unless given. A series whose last is
        less than its first has no window.
    stride : int, default 1
        Rows from one window to the next, counted back from the last.

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
        first: Sequence[int] | None = None,
        last: Sequence[int] | None = None,
        stride: int = 1,
    ) -> None:
        if stride < 1 or horizon < 1 or context_length < 1:
            raise InputError(
                f"stride, horizon and context_length must be at least 1; received {stride}, {horizon}, {context_length}."
            )
        self.y, self.X, self.context_length, self.horizon = y, X, context_length, horizon
        series, rows = [], []
        for i, values in enumerate(y):
            low = 1 if first is None else first[i]
            high = len(values) - horizon if last is None else last[i]
            at = np.arange(high, max(low, 1) - 1, -stride, dtype=np.int64)[::-1]
            at = at[self._tells(values, at)]
            series.append(np.full(len(at), i, dtype=np.int64))
            rows.append(at)
        self.series: IntArray = np.concatenate([np.zeros(0, np.int64), *series])
        self.rows: IntArray = np.concatenate([np.zeros(0, np.int64), *rows])

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

    def batch(self, indices: npt.ArrayLike) -> Batch:
        """The windows of these numbers, 0 to ``len - 1``."""
        at = np.asarray(indices, dtype=np.int64)
        length = self.context_length + self.horizon
        values = np.full((len(at), length, self.y[0].shape[1]), np.nan, dtype=np.float32)
        known = None if self.X is None else np.zeros((len(at), length, self.X[0].shape[1]), dtype=np.float32)
        for place, (i, row) in enumerate(zip(self.series[at].tolist(), self.rows[at].tolist())):
            start = row - self.context_length
            _copy(self.y[i], start, values[place])
            if known is not None and self.X is not None:
                _copy(self.X[i], start, known[place])
        both = torch.from_numpy(values).transpose(1, 2)
        return Batch(
            both[..., : self.context_length],
            both[..., self.context_length :],
            None if known is None else torch.from_numpy(known).transpose(1, 2).contiguous(),
            torch.from_numpy(self.series[at]),
        )


def _copy(rows: npt.NDArray[Any], start: int, out: npt.NDArray[Any]) -> None:
    """Rows from a start on, which may be negative, into as many as there are; others stay as they are."""
    low, high = max(start, 0), min(start + len(out), len(rows))
    if low < high:
        out[low - start : high - start] = rows[low:high]
