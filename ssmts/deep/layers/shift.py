"""A line of delays: the companion layer without feedback."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from ...core.linalg.convolution import convolve
from .base import Layer, State, causal, whole


class Shift(Layer):
    """``y_t = sum_i c_i u_(t-i+1)``: a learnt moving average of the last d inputs, which are its state, the newest first.

    Parameters
    ----------
    channels : int
    state_size : int
        How many inputs are remembered.
    """

    def __init__(self, channels: int, state_size: int) -> None:
        super().__init__()
        self.channels, self.state_size = whole("channels", channels), whole("state_size", state_size)
        self.output = nn.Parameter(torch.randn(channels, state_size) / math.sqrt(state_size))

    def zero_state(self, batch: int) -> State:
        return self.output.new_zeros(batch, self.channels, self.state_size)

    def convolve(self, u: Tensor) -> Tensor:
        self.check(u)
        return causal(u, self.output[:, : u.shape[-1]])

    def scan(self, u: Tensor, state: State) -> tuple[Tensor, State]:
        self.check(u, state)
        rows = torch.cat([state.flip(-1), u], dim=-1)
        y = convolve(rows, self.output.to(u.dtype), first=self.state_size)
        return y, rows[..., -self.state_size :].flip(-1)

    def step(self, u: Tensor, state: State) -> tuple[Tensor, State]:
        self.check(u, state, rows=False)
        after = torch.cat([u[..., None], state[..., :-1]], dim=-1)
        return (self.output * after).sum(-1), after
