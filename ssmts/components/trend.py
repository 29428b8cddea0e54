"""Level and trend components."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ssmts.components.base import Block, Component, Parameters, Structure
from ssmts.components.transforms import Array, Interval, Variance


@dataclass(frozen=True)
class Level(Component):
    """A level that wanders as a random walk, or stands still.

    mu_(t+1) = mu_t + eta_t, eta_t ~ N(0, level_var); the first level is diffuse.

    Parameters
    ----------
    fixed : bool
        A constant: no noise, no parameter.

    Examples
    --------
    >>> from ssmts.components import Level
    >>> Level().parameter_names
    ('level_var',)
    """

    fixed: bool = False
    name = "level"

    @property
    def groups(self) -> tuple[Parameters, ...]:
        """``level_var``, if the level moves."""
        return () if self.fixed else (Parameters(("level_var",), Variance(), (0.4,)),)

    @property
    def structure(self) -> Structure:
        """One diffuse state."""
        return Structure(("level",), np.ones(1), np.ones(1), (None if self.fixed else "level_var",), np.ones((1, 1)))


@dataclass(frozen=True)
class Trend(Component):
    """A level with a slope.

    mu_(t+1) = mu_t + nu_t + eta_t, nu_(t+1) = nu_t + zeta_t with variances level_var and slope_var; both start diffuse
    (Harvey 1989, section 2.3.2; Durbin and Koopman 2012, section 3.2.1).

    Parameters
    ----------
    smooth : bool
        No noise on the level (an integrated random walk): its only parameter is ``slope_var``.

    Examples
    --------
    >>> from ssmts.components import Trend
    >>> Trend().parameter_names
    ('level_var', 'slope_var')
    """

    smooth: bool = False
    name = "level"

    @property
    def groups(self) -> tuple[Parameters, ...]:
        """``level_var`` (unless smooth) and ``slope_var``."""
        if self.smooth:
            return (Parameters(("slope_var",), Variance(), (0.02,)),)
        return (Parameters(("level_var", "slope_var"), Variance(), (0.4, 0.003)),)

    @property
    def structure(self) -> Structure:
        """Two diffuse states; the slope is added to the level."""
        return Structure(
            state_names=("level", "slope"),
            observation=np.array([1.0, 0.0]),
            diffuse=np.ones(2),
            variance_of=(None if self.smooth else "level_var", "slope_var"),
            transition=np.array([[1.0, 1.0], [0.0, 1.0]]),
        )


@dataclass(frozen=True)
class DampedTrend(Component):
    """A level with a slope that dies out, so that forecasts level off.

    mu_(t+1) = mu_t + nu_t + eta_t, nu_(t+1) = damping nu_t + zeta_t. The slope is a stationary autoregression and
    starts from its own law N(0, slope_var / (1 - damping^2)); the level starts diffuse (Harvey 1989, section 2.3.2).
    A diffuse first slope would put ``damping`` into the regressor of a diffuse effect, whose likelihood then favours
    small values of it (Francke, Koopman and de Vos 2010).

    Examples
    --------
    >>> from ssmts.components import DampedTrend
    >>> DampedTrend().parameter_names
    ('level_var', 'slope_var', 'damping')
    """

    name = "level"
    is_static = False

    @property
    def groups(self) -> tuple[Parameters, ...]:
        """``level_var``, ``slope_var`` and ``damping``."""
        return (
            Parameters(("level_var", "slope_var"), Variance(), (0.4, 0.01)),
            Parameters(("damping",), Interval(), (0.9,)),
        )

    @property
    def structure(self) -> Structure:
        """A diffuse level and a stationary slope."""
        return Structure(
            state_names=("level", "slope"),
            observation=np.array([1.0, 0.0]),
            diffuse=np.array([1.0, 0.0]),
            variance_of=("level_var", "slope_var"),
            transition=np.array([[1.0, 1.0], [0.0, 0.0]]),
        )

    def block(self, values: Array) -> Block:
        """Damping on the slope, and the slope's stationary variance."""
        level_var, slope_var, damping = values
        transition = np.array([[1.0, 1.0], [0.0, damping]])
        initial = np.array([[0.0, 0.0], [0.0, slope_var / (1 - damping**2)]])
        return Block(transition, np.array([level_var, slope_var]), initial)

    def gains(self, values: Array, z: NDArray[np.complex128]) -> Array:
        """In closed form: noise summed once, and summed once and damped."""
        level: Array = 1 / np.abs(z - 1) ** 2
        return np.array([level, level / np.abs(z - values[2]) ** 2])

    @property
    def other_starts(self) -> tuple[tuple[float, ...], ...]:
        """Quicker and slower damping."""
        return ((0.4, 0.1, 0.2), (0.4, 0.05, 0.6), (0.4, 0.001, 0.98))

    def spread(self, values: Array) -> tuple[int, float, Array]:
        """The slope's stationary variance, which stays put as the slope tends to a constant: damping to 1, slope_var to 0."""
        rest = 1 - values[2] ** 2
        return 1, 1 / rest, np.array([0.0, 0.0, 2 * values[2] / rest**2])

    def pull_back(self, values: Array, block: Block, gradient: Block) -> Array:
        """Chain rule through the transition and the stationary variance."""
        _, slope_var, damping = values
        rest = 1 - damping**2
        initial = gradient.initial_cov[1, 1]
        return np.array(
            [
                gradient.process_var[0],
                gradient.process_var[1] + initial / rest,
                gradient.transition[1, 1] + initial * 2 * damping * slope_var / rest**2,
            ]
        )
