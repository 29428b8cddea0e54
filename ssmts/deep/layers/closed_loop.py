"""The closed-loop companion layer: a decoder that predicts its own next input, and so a whole horizon at once."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ...core.linalg.companion import bounded, reciprocal
from ...core.linalg.convolution import convolve
from ...exceptions import InputError
from .base import State, causal, whole
from .companion import BOUND, Init, Recursion


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
        Of the sum of absolute coefficients of either loop.
    n_kernels : int, optional
        Systems that differ, a divisor of the channels: channel j is system ``j % n_kernels``. As many as channels unless given.
    init : {"zero", "normal"}, default "zero"
        ``"zero"``: a = 0 and small random a', whose sizes sum to about a half. ``"normal"``: both at random at their bound.

    Examples
    --------
    >>> import torch
    >>> layer = ClosedLoopCompanion(channels=2, state_size=4)
    >>> said, expected, ahead = layer(torch.randn(3, 2, 10), horizon=5)
    >>> said.shape, expected.shape, ahead.shape
    (torch.Size([3, 2, 10]), torch.Size([3, 2, 10]), torch.Size([3, 2, 5]))
    >>> bool(torch.allclose(ahead[..., 0], said[..., -1], atol=1e-5))
    True
    """

    def __init__(
        self,
        channels: int,
        state_size: int,
        bound: float = BOUND,
        *,
        n_kernels: int | None = None,
        init: Init = "zero",
    ) -> None:
        super().__init__(channels, state_size, bound, n_kernels=n_kernels, init=init)
        small = 0.6 * torch.randn(self.n_kernels, state_size) / state_size
        self.raw_closed = nn.Parameter(small if init == "zero" else self._at_the_bound())

    @property
    def closed_coefficients(self) -> Tensor:
        """Coefficients a' of the closed loop, ``(n_kernels, d)``, within the bound, in double precision."""
        return bounded(self.raw_closed.double(), self.bound)  # type: ignore[no-any-return]

    @property
    def _feedback(self) -> Tensor:
        """The vector k, by which a state predicts its next input."""
        return self.closed_coefficients - self.coefficients

    def convolve(self, u: Tensor) -> Tensor:
        self.check(u)
        return causal(u, self._each(convolve(self.response(u.shape[-1]), self.output.double()), u))

    def scan(self, u: Tensor, state: State) -> tuple[Tensor, State]:
        w, after = self._moved(u, state)
        return convolve(w, self._each(self.output, u), first=self.state_size), after

    def step(self, u: Tensor, state: State) -> tuple[Tensor, State]:
        after = self._move(u, state)
        return (self._each(self.output, u) * after).sum(-1), after

    def last_state(self, u: Tensor) -> State:
        """State after a window ``(B, H, L)``, without those on the way."""
        self.check(u)
        length, d = u.shape[-1], self.state_size
        first = max(length - d, 0)
        w = convolve(u, self._each(self.response(length), u), first=first).flip(-1)
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
        closed, horizon = self.closed_coefficients, whole("horizon", horizon)
        # The inputs that would have led a closed loop from zero to the last d of w: then all is one convolution.
        before = state.flip(-1)
        push = before - convolve(before, self._each(nn.functional.pad(closed, (1, 0)), state))
        if inputs is not None:
            if inputs.shape[:2] != state.shape[:2] or inputs.shape[2] < horizon - 1:
                raise InputError(
                    f"inputs must be {(*state.shape[:2], horizon - 1)}, drives of the rows ahead but the last, or longer; "
                    f"received {tuple(inputs.shape)}."
                )
            push = torch.cat([push, inputs[..., : horizon - 1]], dim=-1)
        kernel = convolve(reciprocal(closed, d + horizon - 1), self.output.double())
        ahead: Tensor = convolve(push, self._each(kernel, push), d + horizon - 1, first=d - 1)
        return ahead

    def forward(self, u: Tensor, horizon: int, inputs: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """What is said of the rows after those of a window and of their inputs, each ``(B, H, L)``, and of the horizon."""
        self.check(u)
        response = self.response(u.shape[-1])
        kernels = [self._each(convolve(response, k), u) for k in (self.output.double(), self._feedback)]
        said, expected = convolve(u, torch.stack(kernels)[:, None])
        return said, expected, self.roll_out(self.last_state(u), horizon, inputs)
