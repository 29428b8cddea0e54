"""What a network is trained on: numbered examples that come in batches, and the order in which they are visited."""

from __future__ import annotations

from typing import Any, Literal, Protocol, get_args

import numpy as np
import numpy.typing as npt
import torch

from ..exceptions import InputError

IntArray = npt.NDArray[np.int64]
Sampling = Literal["windows", "series"]
SAMPLINGS: tuple[Sampling, ...] = get_args(Sampling)


class Movable(Protocol):
    """A batch: tensors that go to a device together."""

    def to(self, device: torch.device) -> Any:
        """The same on a device."""


class Examples(Protocol):
    """Windows of series, labelled cases, or anything else that a loss can be taken of.

    Attributes
    ----------
    series : array (n_examples,)
        What each example was taken from, for ``sampling="series"``.
    """

    series: IntArray

    @property
    def none_there(self) -> str:
        """What is said of no examples: why there are none."""

    @property
    def memory_advice(self) -> str:
        """What is said after ``with batch_size=64 and`` when memory runs out: how large examples are, and what to lower."""

    def __len__(self) -> int: ...

    def batch(self, indices: npt.ArrayLike) -> Movable:
        """The examples of these numbers, 0 to ``len - 1``."""

    def fingerprint(self) -> str:
        """Short text that differs where the examples do."""


class Order:
    """Which examples an epoch visits: a function of the seed and its number, so that a run can go on anywhere.

    Parameters
    ----------
    examples : Examples
    size : int
        Examples in an epoch.
    sampling : {"windows", "series"}
        "windows": all alike; none comes again before all have come, also where epochs are shorter than that. "series": every series is
        visited equally often, each time at one of its examples drawn at random, so that long series do not drown short ones.
    seed : int

    Examples
    --------
    >>> import numpy as np
    >>> from ssmts.deep.windows import Windows
    >>> windows = Windows([np.zeros((100, 1)), np.zeros((5, 1))], None, 2, 2)
    >>> order = Order(windows, 8, "series", seed=0)
    >>> np.bincount(windows.series[order.epoch(0)])
    array([4, 4])
    """

    def __init__(self, examples: Examples, size: int, sampling: Sampling, seed: int) -> None:
        if sampling not in SAMPLINGS:
            raise InputError(f"sampling must be 'windows' or 'series'; received {sampling!r}.")
        self._size, self._seed = size, seed
        self._latest: tuple[int, IntArray] = (-1, np.empty(0, dtype=np.int64))
        self._n = len(examples)
        self._members: list[IntArray] | None = None
        if sampling == "series":
            by_series = np.argsort(examples.series, kind="stable")
            edges = np.flatnonzero(np.diff(examples.series[by_series])) + 1
            self._members = np.split(by_series, edges)
            self._n = len(self._members)

    def epoch(self, number: int) -> IntArray:
        """Examples of an epoch, in order."""
        start = number * self._size
        passes = range(start // self._n, (start + self._size - 1) // self._n + 1)
        items = np.concatenate([self._permutation(each) for each in passes])
        items = items[start - passes[0] * self._n :][: self._size]
        if self._members is None:
            return items
        shares = np.random.default_rng([self._seed, 1, number]).random(len(items))
        members = [self._members[i] for i in items]
        return np.array([rows[int(share * len(rows))] for rows, share in zip(members, shares)], dtype=np.int64)

    def _permutation(self, number: int) -> IntArray:
        if self._latest[0] != number:
            self._latest = number, np.random.default_rng([self._seed, 0, number]).permutation(self._n)
        return self._latest[1]
