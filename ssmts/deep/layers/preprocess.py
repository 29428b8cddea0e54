"""Fixed kernels in front of a network: differences, and what a moving average leaves (Zhang et al. 2023, appendix)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ...core.linalg.convolution import convolve
from ...exceptions import InputError
from .base import Layer, State, causal, whole

_HIGHEST_DIFFERENCE = 3
_SHORTEST_AVERAGE, _LONGEST_AVERAGE = 4, 720  # as in the paper


class FixedKernels(Layer):
    """A moving average of each channel whose weights are not learnt; its state is the last inputs, the newest first.

    Parameters
    ----------
    kernels : Tensor, shape (H, n)
    """

    kernels: Tensor

    def __init__(self, kernels: Tensor) -> None:
        super().__init__()
        self.register_buffer("kernels", kernels, persistent=False)

    def zero_state(self, batch: int) -> State:
        channels, n = self.kernels.shape
        return self.kernels.new_zeros(batch, channels, max(n - 1, 1))

    def convolve(self, u: Tensor) -> Tensor:
        self.check(u)
        return causal(u, self.kernels[:, : u.shape[-1]])

    def scan(self, u: Tensor, state: State) -> tuple[Tensor, State]:
        self.check(u, state)
        rows = torch.cat([state.flip(-1), u], dim=-1)
        y = convolve(rows, self.kernels.to(u.dtype), first=state.shape[-1])
        return y, rows[..., -state.shape[-1] :].flip(-1)

    def step(self, u: Tensor, state: State) -> tuple[Tensor, State]:
        self.check(u, state, rows=False)
        rows = torch.cat([u[..., None], state], dim=-1)
        n = self.kernels.shape[-1]
        return (self.kernels.to(u.dtype) * rows[..., :n]).sum(-1), rows[..., :-1]


class Differences(FixedKernels):
    """Differences of the orders 0, 1, 2, 3, 0, ... of the channels.

    Parameters
    ----------
    channels : int
    """

    def __init__(self, channels: int) -> None:
        super().__init__(difference_kernels(whole("channels", channels)))


class MovingAverageResiduals(FixedKernels):
    """What is left of each channel when the mean of its last rows is taken away.

    Parameters
    ----------
    windows : sequence of int
        Rows of the mean, for each channel.
    """

    def __init__(self, windows: list[int]) -> None:
        if not windows:
            raise InputError("windows is empty: pass the rows of each channel's mean.")
        super().__init__(residual_kernels([whole("windows", rows) for rows in windows]))


class Preprocess(FixedKernels):
    """Differences of one half of the channels, residuals of moving averages of the other.

    Parameters
    ----------
    channels : int
    context_length : int
        No average is longer than this or 720 rows, nor shorter than 4.
    seed : int, default 0
        The windows are drawn once; the same seed draws the same.
    """

    def __init__(self, channels: int, context_length: int, *, seed: int = 0) -> None:
        half = whole("channels", channels, 2) // 2
        longest = max(min(whole("context_length", context_length), _LONGEST_AVERAGE), _SHORTEST_AVERAGE)
        generator = torch.Generator().manual_seed(seed)
        windows = torch.randint(_SHORTEST_AVERAGE, longest + 1, (channels - half,), generator=generator).tolist()
        parts = [difference_kernels(half), residual_kernels(windows)]
        n = max(part.shape[-1] for part in parts)
        super().__init__(torch.cat([torch.nn.functional.pad(part, (0, n - part.shape[-1])) for part in parts]))


def difference_kernels(channels: int) -> Tensor:
    """Kernels ``(channels, 4)`` of differences of the orders 0 to 3, in turn."""
    kernels = torch.zeros(channels, _HIGHEST_DIFFERENCE + 1)
    for i in range(channels):
        order = i % (_HIGHEST_DIFFERENCE + 1)
        for k in range(order + 1):
            kernels[i, k] = (-1) ** k * math.comb(order, k)
    return kernels


def residual_kernels(windows: list[int]) -> Tensor:
    """Kernels ``(len(windows), longest)`` of the residuals of means of so many rows."""
    kernels = torch.zeros(len(windows), max(windows))
    for i, rows in enumerate(windows):
        kernels[i, :rows] -= 1.0 / rows
        kernels[i, 0] += 1.0
    return kernels
