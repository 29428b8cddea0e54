"""What a layer is: one linear or nonlinear recurrence over time, with three ways to run it."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from ...core.linalg.convolution import convolve

# What a layer remembers of the rows so far; leading axis the batch.
State = Tensor

# Rows of a window up to which a product with a Toeplitz matrix is faster on a CPU than three Fourier transforms of the signals.
_TOEPLITZ = 1024


class Layer(nn.Module, ABC):
    """A causal map of signals ``(batch, channels, time)`` that keeps a state of constant size.

    For training a window is convolved at once; a stream is stepped row by row; and a scan moves a state over some rows. From the
    zero state all three give the same numbers.
    """

    @abstractmethod
    def convolve(self, u: Tensor) -> Tensor:
        """Outputs ``(B, H, L)`` of inputs ``(B, H, L)``, from the zero state."""

    @abstractmethod
    def scan(self, u: Tensor, state: State) -> tuple[Tensor, State]:
        """Outputs ``(B, H, n)`` of inputs ``(B, H, n)`` that follow on a state, and the state after them."""

    @abstractmethod
    def step(self, u: Tensor, state: State) -> tuple[Tensor, State]:
        """Output ``(B, H)`` of one row ``(B, H)``, and the state after it."""

    @abstractmethod
    def zero_state(self, batch: int) -> State:
        """State before the first row."""


def causal(u: Tensor, kernel: Tensor) -> Tensor:
    """Causal convolution of signals ``(B, H, L)`` with a kernel of each channel ``(H, n)``: by matrix products or transforms.

    Matrix products take L^2 operations a signal, transforms L log L; on a CPU the former run thirty times as fast, and keep no complex
    copies for the gradient.
    """
    return product(u, kernel, u.shape[-1])


def toeplitz_product(u: Tensor, kernel: Tensor, rows: int, first: int = 0) -> Tensor:
    """Terms `first` to `first` + `rows` - 1 of the product of signals ``(B, H, m)`` with kernels ``(H, n)``.

    A Toeplitz matrix of each channel is written out; see `causal` for when this pays.
    """
    columns = u.shape[-1]
    need, low = rows + columns - 1, columns - 1 - first
    strip = nn.functional.pad(kernel.to(u.dtype), (low, need - low - kernel.shape[-1]))
    matrix = strip.unfold(-1, columns, 1)  # row i holds terms first + i - columns + 1, ..., first + i
    return torch.matmul(u.flip(-1).transpose(0, 1), matrix.transpose(1, 2)).transpose(0, 1)


def product(u: Tensor, kernel: Tensor, rows: int, first: int = 0) -> Tensor:
    """As `toeplitz_product`, by whichever way is faster."""
    if _short(u, rows):
        return toeplitz_product(u, kernel, rows, first)
    found: Tensor = convolve(u, kernel.to(u.dtype), first + rows)[..., first:]
    return found


def _short(u: Tensor, rows: int) -> bool:
    return u.device.type == "cpu" and u.shape[-1] * rows <= _TOEPLITZ**2
