"""What a layer is: one linear or nonlinear recurrence over time, with three ways to run it."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn

from ...core.linalg.convolution import convolve

# What a layer remembers of the rows so far; leading axis the batch.
State = Tensor


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
    """Causal convolution of signals ``(B, H, L)`` with a kernel of each channel ``(H, n)``, in the precision of the signals."""
    y: Tensor = convolve(u, kernel.to(u.dtype))
    return y
