"""A stochastic cycle."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ssmts.components.base import Block, Component, Parameters, Structure
from ssmts.components.transforms import Array, Interval, Variance


@dataclass(frozen=True)
class Cycle(Component):
    """A stationary damped stochastic cycle.

    The two states turn by 2 pi / cycle_period a step, shrink by cycle_damping and receive independent shocks of
    variance cycle_var; they start from their stationary law, cycle_var / (1 - cycle_damping^2) times the identity
    (Harvey 1989, section 2.3.3). The first state is the cycle.

    Parameters
    ----------
    low, high : float
        Bounds of the period, in steps.

    Examples
    --------
    >>> from ssmts.components import Cycle
    >>> Cycle(18, 144).parameter_names
    ('cycle_period', 'cycle_damping', 'cycle_var')
    """

    low: float
    high: float
    name = "cycle"
    is_static = False

    @property
    def groups(self) -> tuple[Parameters, ...]:
        """``cycle_period``, ``cycle_damping``, ``cycle_var``."""
        return (
            Parameters(
                ("cycle_period",), Interval(self.low, self.high, geometric=True), (math.sqrt(self.low * self.high),)
            ),
            Parameters(("cycle_damping",), Interval(), (0.9,)),
            Parameters(("cycle_var",), Variance(), (0.1,)),
        )

    @property
    def structure(self) -> Structure:
        """Two stationary states."""
        return Structure(
            state_names=("cycle", "cycle*"),
            observation=np.array([1.0, 0.0]),
            diffuse=np.zeros(2),
            variance_of=("cycle_var", "cycle_var"),
            transition=np.zeros((2, 2)),
        )

    def gains(self, values: Array, z: NDArray[np.complex128]) -> Array:
        """In closed form: the first row of (z - T)^-1."""
        period, damping, _ = values
        angle = 2 * math.pi / period
        ahead, sin = z - damping * math.cos(angle), damping * math.sin(angle)
        gain: Array = (np.abs(ahead) ** 2 + sin**2) / np.abs(ahead**2 + sin**2) ** 2
        return gain[None]

    @property
    def other_starts(self) -> tuple[tuple[float, ...], ...]:
        """Periods from one bound to the other."""
        return tuple((self.low * (self.high / self.low) ** place, 0.9, 0.05) for place in (0.05, 0.25, 0.75, 0.95))

    def block(self, values: Array) -> Block:
        """A damped rotation and its stationary law."""
        period, damping, variance = values
        angle = 2 * math.pi / period
        cos, sin = math.cos(angle), math.sin(angle)
        transition = damping * np.array([[cos, sin], [-sin, cos]])
        return Block(transition, np.full(2, variance), np.eye(2) * variance / (1 - damping**2))

    def spread(self, values: Array) -> tuple[int, float, Array]:
        """The cycle's stationary variance, which stays put as the cycle tends to a wave: cycle_damping to 1, cycle_var to 0."""
        rest = 1 - values[1] ** 2
        return 2, 1 / rest, np.array([0.0, 2 * values[1] / rest**2, 0.0])

    def pull_back(self, values: Array, block: Block, gradient: Block) -> Array:
        """Chain rule through the angle, the damping and the stationary law."""
        period, damping, variance = values
        angle = 2 * math.pi / period
        cos, sin = math.cos(angle), math.sin(angle)
        turn = gradient.transition
        along = cos * (turn[0, 0] + turn[1, 1]) + sin * (turn[0, 1] - turn[1, 0])
        across = -sin * (turn[0, 0] + turn[1, 1]) + cos * (turn[0, 1] - turn[1, 0])
        rest = 1 - damping**2
        initial = gradient.initial_cov[0, 0] + gradient.initial_cov[1, 1]
        return np.array(
            [
                -damping * across * angle / period,
                along + initial * 2 * damping * variance / rest**2,
                gradient.process_var.sum() + initial / rest,
            ]
        )
