"""The companion state-space layer of SpaceTime (Zhang et al. 2023), in controller form."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn

from ...core.linalg.companion import bounded, reciprocal
from ...core.linalg.convolution import convolve
from ...exceptions import InputError
from .base import Layer, State, causal, whole

# Coefficients may sum to this much: eigenvalues up to 1 - 1e-5 for d = 100, so that a horizon of thousands of rows keeps its season.
BOUND = 0.999

Init = Literal["zero", "normal"]


class Recursion(Layer):
    """The part that companion layers share: ``w_t = u_t + a_1 w_(t-1) + ... + a_d w_(t-d)``, and outputs that are sums of the last d of w.

    A system (A, b, c) of the paper with a controllable pair (A, b) is of this form: A the companion matrix with a in its first row,
    b the first unit vector, and the state the last d values of w, the newest first. Here it has 2 d numbers instead of 3 d, and its input
    vector cannot vanish.

    Parameters
    ----------
    channels : int
        H, each a system of its own with one input and one output.
    state_size : int
        Order d.
    bound : float, default 0.999
        Of the sum of absolute coefficients, so that every eigenvalue lies in the unit disc.
    n_kernels : int, optional
        Systems that differ, a divisor of the channels: channel j is system ``j % n_kernels``. As many as channels unless given.
    init : {"zero", "normal"}, default "zero"
        Where coefficients start: at zero, or at random at their bound as in the paper.
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
        super().__init__()
        self.channels, self.state_size = whole("channels", channels), whole("state_size", state_size)
        self.n_kernels = whole("n_kernels", channels if n_kernels is None else n_kernels)
        if channels % self.n_kernels:
            raise InputError(f"n_kernels must divide the {channels} channels; received {n_kernels}.")
        if not 0 < bound <= 1:
            raise InputError(f"bound must be above 0 and at most 1; received {bound!r}.")
        if init not in ("zero", "normal"):
            raise InputError(f"init must be 'zero' or 'normal'; received {init!r}.")
        self.bound, self.init = float(bound), init
        shape = self.n_kernels, state_size
        self.raw = nn.Parameter(torch.zeros(shape) if init == "zero" else self._at_the_bound())
        self.output = nn.Parameter(torch.randn(shape) / math.sqrt(state_size))

    @property
    def coefficients(self) -> Tensor:
        """Coefficients a, ``(n_kernels, d)``, within the bound; in double precision, as all that follows from them."""
        return bounded(self.raw.double(), self.bound)  # type: ignore[no-any-return]

    def zero_state(self, batch: int) -> State:
        return self.raw.new_zeros(batch, self.channels, self.state_size)

    def response(self, n: int) -> Tensor:
        """First n terms of what an impulse does to w, ``(n_kernels, n)``."""
        return reciprocal(self.coefficients, n)  # type: ignore[no-any-return]

    def _at_the_bound(self) -> Tensor:
        return bounded(torch.randn(self.n_kernels, self.state_size), self.bound)  # type: ignore[no-any-return]

    def _each(self, kernels: Tensor, like: Tensor) -> Tensor:
        """Rows ``(..., n_kernels, n)`` for each of the channels, in the precision of their signals."""
        repeats = self.channels // self.n_kernels
        kernels = kernels.to(like.dtype)
        return kernels if repeats == 1 else torch.cat([kernels] * repeats, dim=-2)

    def _move(self, u: Tensor, state: State) -> State:
        """State after one more input ``(B, H)``."""
        self.check(u, state, rows=False)
        w = u + (self._each(self.coefficients, u) * state).sum(-1)
        return torch.cat([w[..., None], state[..., :-1]], dim=-1)

    def _moved(self, u: Tensor, state: State) -> tuple[Tensor, State]:
        """All w from before the state on ``(B, H, d + n)``, the oldest first, and the state after n more inputs ``(B, H, n)``."""
        self.check(u, state)
        n, d = u.shape[-1], self.state_size
        before = state.flip(-1)
        a = self._each(self.coefficients, u)
        # what the old values still add to the recursion is an input of its own: sum over i > t of a_i w_(t-i)
        old = convolve(before, nn.functional.pad(a, (1, 0)), d + min(n, d), first=d)
        driven = u + nn.functional.pad(old, (0, max(n - d, 0)))
        w = torch.cat([before, causal(driven, self._each(self.response(n), u))], dim=-1)
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
    n_kernels : int, optional
        Systems that differ, a divisor of the channels: channel j is system ``j % n_kernels``. As many as channels unless given.
    skip : bool, default True
        Whether there is a D, which starts at one.
    init : {"zero", "normal"}, default "zero"
        Where coefficients start.

    Notes
    -----
    Starts with a = 0, a moving average: coefficients that start at their bound, as in the paper, leave gradients that hardly find
    back (Parnichkun et al. 2024, State-free inference of state-space models, table 5, found the same).

    Examples
    --------
    >>> import torch
    >>> layer = Companion(channels=2, state_size=4)
    >>> u, state = torch.randn(3, 2, 10), layer.zero_state(3)
    >>> y, state = layer.scan(u[..., :9], state)
    >>> last, state = layer.step(u[..., 9], state)
    >>> bool(torch.allclose(torch.cat([y, last[..., None]], -1), layer.convolve(u), atol=1e-5))
    True
    """

    def __init__(
        self,
        channels: int,
        state_size: int,
        bound: float = BOUND,
        *,
        n_kernels: int | None = None,
        skip: bool = True,
        init: Init = "zero",
    ) -> None:
        super().__init__(channels, state_size, bound, n_kernels=n_kernels, init=init)
        self.skip = nn.Parameter(torch.ones(channels)) if skip else None

    def kernel(self, n: int) -> Tensor:
        """First n terms of the response of each channel to an impulse, ``(H, n)``, in double precision."""
        kernel = self._each(convolve(self.response(n), self.output.double()), self.coefficients)
        if self.skip is None:
            return kernel
        return torch.cat([kernel[:, :1] + self.skip[:, None].double(), kernel[:, 1:]], dim=-1)

    def convolve(self, u: Tensor) -> Tensor:
        self.check(u)
        return causal(u, self.kernel(u.shape[-1]))

    def scan(self, u: Tensor, state: State) -> tuple[Tensor, State]:
        w, after = self._moved(u, state)
        y = convolve(w, self._each(self.output, u), first=self.state_size)
        return (y if self.skip is None else y + self.skip[:, None] * u), after

    def step(self, u: Tensor, state: State) -> tuple[Tensor, State]:
        after = self._move(u, state)
        y = (self._each(self.output, u) * after).sum(-1)
        return (y if self.skip is None else y + self.skip * u), after
