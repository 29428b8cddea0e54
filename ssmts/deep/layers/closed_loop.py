"""The closed-loop companion layer: a decoder that predicts its own next input, and so a whole horizon at once."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ...core.linalg.companion import bounded, reciprocal
from ...core.linalg.convolution import convolve
from .base import State, causal
from .companion import BOUND, Recursion


class ClosedLoopCompanion(Recursion):
    """A companion recursion whose outputs speak of the next row, and which runs on by itself.

    In the context ``w_t = u_t + sum_i a_i w_(t-i)``; of the row after t the layer says ``y_t = sum_i c_i w_(t-i+1)`` and predicts its
    own input ``k_t = sum_i (a'_i - a_i) w_(t-i+1)``. Beyond the context that prediction is the input, so that w goes on with the
    coefficients a'. Both sets of coefficients are within the bound, so both loops are stable; in the paper's letters ``A + b k'`` is the
    companion matrix of a'.

    Timing: with L rows of context, ``ahead[m]`` is y at row L + m, what is said of the row m + 1 steps after the last one;
    ``ahead[0]`` is the last y of the context. Rows count from one. A known drive ``inputs[m]`` is added to the predicted input of row
    L + 1 + m, and so moves ``ahead[m + 1]`` and what follows.

    Parameters
    ----------
    channels : int
    state_size : int
    bound : float, default 0.999

    Notes
    -----
    Starts with a = 0 and small random a', whose sizes sum to about a half.
    """

    def __init__(self, channels: int, state_size: int, bound: float = BOUND) -> None:
        super().__init__(channels, state_size, bound)
        self.raw_closed = nn.Parameter(0.6 * torch.randn(channels, state_size) / state_size)

    @property
    def closed_coefficients(self) -> Tensor:
        """Coefficients a' of the closed loop, ``(H, d)``, within the bound, in double precision."""
        return bounded(self.raw_closed.double(), self.bound)  # type: ignore[no-any-return]

    def convolve(self, u: Tensor) -> Tensor:
        return causal(u, convolve(self.response(u.shape[-1]), self.output.double()))

    def predicted_inputs(self, u: Tensor) -> Tensor:
        """What each row lets expect of the next input, ``(B, H, L)``, from the zero state."""
        return causal(u, convolve(self.response(u.shape[-1]), self.closed_coefficients - self.coefficients))

    def scan(self, u: Tensor, state: State) -> tuple[Tensor, State]:
        w, after = self._moved(u, state)
        return convolve(w, self.output)[..., self.state_size :], after

    def step(self, u: Tensor, state: State) -> tuple[Tensor, State]:
        after = self._move(u, state)
        return (self.output * after).sum(-1), after

    def last_state(self, u: Tensor) -> State:
        """State after a window ``(B, H, L)``, without those on the way."""
        length, d = u.shape[-1], self.state_size
        first = max(length - d, 0)
        w = convolve(u, self.response(length).to(u.dtype), first=first).flip(-1)
        return nn.functional.pad(w, (0, d - w.shape[-1]))

    def roll_out(self, state: State, horizon: int, inputs: Tensor | None = None) -> Tensor:
        """Run on by itself from a state.

        Parameters
        ----------
        state : Tensor, shape (B, H, d)
        horizon : int
        inputs : Tensor, shape (B, H, at least horizon - 1), optional
            Known drives that are added to the predicted inputs; what is beyond is not used.

        Returns
        -------
        Tensor, shape (B, H, horizon)
        """
        d = self.state_size
        closed = self.closed_coefficients
        # The inputs that would have led a closed loop from zero to the last d of w: then all is one convolution.
        before = state.flip(-1)
        push = before - convolve(before, nn.functional.pad(closed, (1, 0)).to(before.dtype))
        if inputs is not None:
            push = torch.cat([push, inputs[..., : horizon - 1]], dim=-1)
        kernel = convolve(reciprocal(closed, d + horizon - 1), self.output.double())
        ahead: Tensor = convolve(push, kernel.to(push.dtype), d + horizon - 1, first=d - 1)
        return ahead

    def forward(self, u: Tensor, horizon: int, inputs: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """What is said of the rows after those of a window and of their inputs, each ``(B, H, L)``, and of the horizon."""
        response, a = self.response(u.shape[-1]), self.coefficients
        kernels = [convolve(response, k) for k in (self.output.double(), self.closed_coefficients - a)]
        said, expected = convolve(u, torch.stack(kernels)[:, None].to(u.dtype))
        return said, expected, self.roll_out(self.last_state(u), horizon, inputs)
