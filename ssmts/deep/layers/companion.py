"""The companion state-space layer of SpaceTime (Zhang et al. 2023), in controller form."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from ...core.linalg.companion import bounded, reciprocal
from ...core.linalg.convolution import convolve
from .base import Layer, State, causal

# Coefficients may sum to this much: eigenvalues up to 1 - 1e-5 for d = 100, so that a horizon of thousands of rows keeps its season.
BOUND = 0.999


class Recursion(Layer):
    """The part that companion layers share: ``w_t = u_t + a_1 w_(t-1) + ... + a_d w_(t-d)``, and outputs that are sums of the last d of w.

    A system (A, b, c) of the paper with a controllable pair (A, b) is of this form: A the companion matrix with a in its first row,
    b the first unit vector, and the state the last d values of w, the newest first. Here it has 2 d numbers instead of 3 d, and its input
    vector cannot vanish.
    """

    def __init__(self, channels: int, state_size: int, bound: float = BOUND) -> None:
        super().__init__()
        self.channels, self.state_size, self.bound = channels, state_size, bound
        self.raw = nn.Parameter(torch.zeros(channels, state_size))
        self.output = nn.Parameter(torch.randn(channels, state_size) / math.sqrt(state_size))

    @property
    def coefficients(self) -> Tensor:
        """Coefficients a of the recursion, ``(H, d)``, within the bound; in double precision, as all that follows from them."""
        return bounded(self.raw.double(), self.bound)  # type: ignore[no-any-return]

    def zero_state(self, batch: int) -> State:
        return self.raw.new_zeros(batch, self.channels, self.state_size)

    def response(self, n: int) -> Tensor:
        """First n terms of what an impulse does to w, ``(H, n)``."""
        return reciprocal(self.coefficients, n)  # type: ignore[no-any-return]

    def _move(self, u: Tensor, state: State) -> State:
        """State after one more input ``(B, H)``."""
        w = u + (self.coefficients.to(u.dtype) * state).sum(-1)
        return torch.cat([w[..., None], state[..., :-1]], dim=-1)

    def _moved(self, u: Tensor, state: State) -> tuple[Tensor, State]:
        """All w from before the state on ``(B, H, d + n)``, the oldest first, and the state after n more inputs ``(B, H, n)``."""
        n, d = u.shape[-1], self.state_size
        before = state.flip(-1)
        a = self.coefficients.to(u.dtype)
        # what the old values still add to the recursion is an input of its own: sum over i > t of a_i w_(t-i)
        old = convolve(before, nn.functional.pad(a, (1, 0)), d + min(n, d))[..., d:]
        driven = u + nn.functional.pad(old, (0, max(n - d, 0)))[..., :n]
        w = torch.cat([before, causal(driven, self.response(n))], dim=-1)
        return w, w[..., -d:].flip(-1)


class Companion(Recursion):
    """``y_t = sum_i c_i w_(t-i+1) + D u_t`` of the recursion w.

    Parameters
    ----------
    channels : int
        H, each a system of its own with one input and one output.
    state_size : int
        Order d.
    bound : float, default 0.999
        Of the sum of absolute coefficients, so that every eigenvalue lies in the unit disc.

    Notes
    -----
    Starts with a = 0, a moving average: coefficients that start at their bound, as in the paper, leave gradients that hardly find
    back (Parnichkun et al. 2024, State-free inference of state-space models, table 5, found the same).
    """

    def __init__(self, channels: int, state_size: int, bound: float = BOUND) -> None:
        super().__init__(channels, state_size, bound)
        self.skip = nn.Parameter(torch.ones(channels))

    def kernel(self, n: int) -> Tensor:
        """First n terms of the layer's response to an impulse, ``(H, n)``, in double precision."""
        kernel = convolve(self.response(n), self.output.double())
        return torch.cat([kernel[:, :1] + self.skip[:, None].double(), kernel[:, 1:]], dim=-1)

    def convolve(self, u: Tensor) -> Tensor:
        return causal(u, self.kernel(u.shape[-1]))

    def scan(self, u: Tensor, state: State) -> tuple[Tensor, State]:
        w, after = self._moved(u, state)
        return convolve(w, self.output)[..., self.state_size :] + self.skip[:, None] * u, after

    def step(self, u: Tensor, state: State) -> tuple[Tensor, State]:
        after = self._move(u, state)
        return (self.output * after).sum(-1) + self.skip * u, after
