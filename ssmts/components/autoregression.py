"""A stationary autoregressive component."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_discrete_lyapunov

from ssmts.components.base import Block, Component, Parameters, Structure
from ssmts.components.transforms import Array, Stationary, Variance


@dataclass(frozen=True)
class Autoregression(Component):
    """A stationary autoregression x_t = ar_1 x_(t-1) + ... + ar_p x_(t-p) + e_t, e_t ~ N(0, ar_var).

    The states are x_t, ..., x_(t-p+1); they start from their stationary law.

    Parameters
    ----------
    order : int
        p, at least 1.

    Examples
    --------
    >>> from ssmts.components import Autoregression
    >>> Autoregression(2).parameter_names
    ('ar_1', 'ar_2', 'ar_var')
    """

    order: int
    name = "autoregressive"
    is_static = False

    @property
    def groups(self) -> tuple[Parameters, ...]:
        """``ar_1`` ... ``ar_p`` and ``ar_var``."""
        names = tuple(f"ar_{lag}" for lag in range(1, self.order + 1))
        start = (0.5,) if self.order == 1 else (1.0, -0.3) + (0.0,) * (self.order - 2)
        return (Parameters(names, Stationary(), start), Parameters(("ar_var",), Variance(), (0.4,)))

    @property
    def structure(self) -> Structure:
        """The current and the earlier values, noise on the current one."""
        first = np.eye(self.order)[0]
        return Structure(
            state_names=("ar",) + tuple(f"ar(-{lag})" for lag in range(1, self.order)),
            observation=first,
            diffuse=np.zeros(self.order),
            variance_of=("ar_var",) + (None,) * (self.order - 1),
            transition=np.eye(self.order, k=-1),
        )

    def gains(self, values: Array, z: NDArray[np.complex128]) -> Array:
        """In closed form: z^(p-1) over z^p - ar_1 z^(p-1) - ... - ar_p."""
        gain: Array = np.abs(z ** (self.order - 1) / np.polyval(np.append(1.0, -values[:-1]), z)) ** 2
        return gain[None]

    @property
    def other_starts(self) -> tuple[tuple[float, ...], ...]:
        """Negative, weak and strong dependence on the last values."""
        pairs = ((-0.6, 0.0), (0.1, 0.0), (0.9, 0.0)) + (((1.7, -0.8),) if self.order > 1 else ())
        return tuple((*pair, *(0.0,) * self.order)[: self.order] + (0.1,) for pair in pairs)

    def spread(self, values: Array) -> tuple[int, float, Array] | None:
        """What stays put of two or more lags as they tend to a wave: ar_p, a partial autocorrelation, to 1 in size, ar_var to 0."""
        if self.order == 1:
            return None  # tends to a random walk, for which ar_var is the measure
        rest = 1 - values[-2] ** 2
        slopes = np.zeros(values.size)
        slopes[-2] = 2 * values[-2] / rest**2
        return self.order, 1 / rest, slopes

    def block(self, values: Array) -> Block:
        """Companion matrix and stationary covariance."""
        transition = np.eye(self.order, k=-1)
        transition[0] = values[:-1]
        first = np.eye(self.order)[0]
        # the covariance under unit noise, then scaled: exact for a variance of zero and safe for tiny ones
        unit = solve_discrete_lyapunov(transition, np.outer(first, first))
        return Block(transition, values[-1] * first, values[-1] * (unit + unit.T) / 2)

    def pull_back(self, values: Array, block: Block, gradient: Block) -> Array:
        """Chain rule, the stationary covariance by the adjoint equation X = T' X T + dl/dP1."""
        seed = (gradient.initial_cov + gradient.initial_cov.T) / 2
        adjoint = solve_discrete_lyapunov(block.transition.T, seed)
        coefficients = gradient.transition[0] + 2 * (adjoint @ block.transition @ block.initial_cov)[0]
        return np.append(coefficients, gradient.process_var[0] + adjoint[0, 0])
