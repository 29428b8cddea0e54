"""What a layer is: one linear or nonlinear recurrence over time, with three ways to run it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from numbers import Integral
from typing import Any

from torch import Tensor, nn

from ...core.linalg.convolution import convolve
from ...exceptions import InputError

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

    def check(self, u: Tensor, state: State | None = None, *, rows: bool = True) -> None:
        """Raise unless inputs ``(B, H, n)``, or ``(B, H)`` of one row, and a state have the shapes that the layer takes.

        Parameters
        ----------
        u : Tensor
        state : Tensor, optional
        rows : bool, default True
            Whether the inputs have an axis of time.
        """
        shape = self.zero_state(1).shape
        wanted = f"(batch, {shape[1]}, time)" if rows else f"(batch, {shape[1]})"
        if u.ndim != 2 + rows or u.shape[1] != shape[1]:
            raise InputError(f"inputs must be {wanted}; received {tuple(u.shape)}.")
        if rows and not u.shape[2]:
            raise InputError("inputs hold no row: pass one or more.")
        if state is not None and state.shape != (len(u), *shape[1:]):
            raise InputError(
                f"the state must be {(len(u), *shape[1:])} for these inputs; received {tuple(state.shape)}."
            )


def causal(u: Tensor, kernel: Tensor) -> Tensor:
    """Causal convolution of signals ``(B, H, L)`` with a kernel of each channel ``(H, n)``, in the precision of the signals."""
    y: Tensor = convolve(u, kernel.to(u.dtype))
    return y


def whole(name: str, value: Any, least: int = 1) -> int:
    """The value if it is a whole number of at least `least`; else an error that names it.

    Parameters
    ----------
    name : str
    value : object
    least : int, default 1
    """
    if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
        raise InputError(f"{name} must be a whole number, {least} or more; received {value!r}.")
    return int(value)
