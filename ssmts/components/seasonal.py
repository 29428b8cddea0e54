"""Seasonal components: trigonometric, and by dummies."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import block_diag

from ssmts.components.base import Component, Parameters, Structure
from ssmts.components.transforms import Array, Variance

_SAME_FREQUENCY = 1e-9


@dataclass(frozen=True)
class TrigonometricSeason(Component):
    """A season as a sum of harmonics whose coefficients wander.

    Harmonic j turns by 2 pi j / period a step; every state receives independent noise of the one variance
    (Harvey 1989, section 2.3.4; Durbin and Koopman 2012, section 3.2.2). A harmonic of half a turn a step has one
    state, every other has two, all diffuse.

    Parameters
    ----------
    period : float
        Season length in steps, 2 or more; need not be an integer.
    harmonics : tuple of int
        Which harmonics, each at most half the period.
    name : str
        Name of the component; its variance is called ``<name>_var``.

    Examples
    --------
    >>> from ssmts.components import TrigonometricSeason
    >>> TrigonometricSeason(12, (1, 2, 3, 4, 5, 6)).structure.state_names[-3:]
    ('season_5', 'season_5*', 'season_6')
    """

    period: float
    harmonics: tuple[int, ...]
    name: str = "season"

    @property
    def is_truncated(self) -> bool:
        """Whether the period has harmonics that are left out."""
        return max(self.harmonics) < int(self.period / 2 + _SAME_FREQUENCY)

    def _is_half_turn(self, harmonic: int) -> bool:
        return abs(harmonic / self.period - 0.5) < _SAME_FREQUENCY

    @property
    def groups(self) -> tuple[Parameters, ...]:
        """``<name>_var``."""
        return (Parameters((f"{self.name}_var",), Variance(), (0.1 / len(self.harmonics),)),)

    @property
    def structure(self) -> Structure:
        """A rotation for each harmonic: ``<name>_1``, its quadrature ``<name>_1*``, ``<name>_2`` ..."""
        pairs = [(f"{self.name}_{j}", f"{self.name}_{j}*")[: 1 if self._is_half_turn(j) else 2] for j in self.harmonics]
        names = tuple(name for pair in pairs for name in pair)
        return Structure(
            state_names=names,
            observation=np.array([0.0 if name.endswith("*") else 1.0 for name in names]),
            diffuse=np.ones(len(names)),
            variance_of=(f"{self.name}_var",) * len(names),
            transition=np.asarray(block_diag(*[self._turn(j) for j in self.harmonics])),
        )

    def gains(self, values: Array, z: NDArray[np.complex128]) -> Array:
        """Sum over the harmonics, in closed form."""
        total = np.zeros(z.shape)
        for j in self.harmonics:
            if self._is_half_turn(j):
                total += 1 / np.abs(z + 1) ** 2
                continue
            angle = 2 * math.pi * j / self.period
            ahead, sin = z - math.cos(angle), math.sin(angle)
            total += (np.abs(ahead) ** 2 + sin**2) / np.abs(ahead**2 + sin**2) ** 2
        return total[None]

    def _turn(self, harmonic: int) -> Array:
        if self._is_half_turn(harmonic):
            return -np.ones((1, 1))
        angle = 2 * math.pi * harmonic / self.period
        cos, sin = math.cos(angle), math.sin(angle)
        return np.array([[cos, sin], [-sin, cos]])


@dataclass(frozen=True)
class DummySeason(Component):
    """A season whose effects over any ``period`` successive steps sum to noise of variance ``<name>_var``.

    gamma_(t+1) = -(gamma_t + ... + gamma_(t-period+2)) + omega_t (Durbin and Koopman 2012, eq. 3.3); the period - 1
    states are the current and earlier effects, all diffuse.

    Parameters
    ----------
    period : int
        Season length in steps, 2 or more.
    name : str
        Name of the component; its variance is called ``<name>_var``.

    Examples
    --------
    >>> from ssmts.components import DummySeason
    >>> DummySeason(4).structure.state_names
    ('season', 'season(-1)', 'season(-2)')
    """

    period: int
    name: str = "season"

    @property
    def groups(self) -> tuple[Parameters, ...]:
        """``<name>_var``."""
        return (Parameters((f"{self.name}_var",), Variance(), (0.05,)),)

    @property
    def structure(self) -> Structure:
        """The current effect, which is minus the sum of the earlier ones plus noise, and the earlier ones."""
        k = self.period - 1
        transition = np.eye(k, k=-1)
        transition[0] = -1.0
        return Structure(
            state_names=(self.name,) + tuple(f"{self.name}(-{lag})" for lag in range(1, k)),
            observation=np.eye(k)[0],
            diffuse=np.ones(k),
            variance_of=(f"{self.name}_var",) + (None,) * (k - 1),
            transition=transition,
        )

    def gains(self, values: Array, z: NDArray[np.complex128]) -> Array:
        """In closed form: the effects are noise times z^(period - 2) over 1 + z + ... + z^(period - 1)."""
        gain: Array = np.abs(z ** (self.period - 2) * (z - 1) / (z**self.period - 1)) ** 2
        return gain[None]


def distinct_harmonics(
    periods: tuple[float, ...], n_harmonics: tuple[int | None, ...], default: int
) -> tuple[tuple[int, ...], ...]:
    """Which harmonics each of several seasons takes, no frequency twice.

    The harmonics of a long season include those of every season that divides it (the seventh of a week of hours is
    the first of a day): data cannot tell the two apart, so the shorter season keeps it.

    Parameters
    ----------
    periods : tuple of float
        Season lengths in steps.
    n_harmonics : tuple of int or None
        How many harmonics of each; None means all that the length allows (half of it), if it is an integer of at most
        ``2 * default + 4``, else ``default``.
    default : int
        See ``n_harmonics``.

    Returns
    -------
    tuple of tuple of int
        In the order of ``periods``.
    """
    taken: list[float] = []
    chosen: dict[int, tuple[int, ...]] = {}
    for place in sorted(range(len(periods)), key=lambda place: periods[place]):
        period, wanted = periods[place], n_harmonics[place]
        most = int(period / 2 + _SAME_FREQUENCY)
        if wanted is None:
            short = float(period).is_integer() and period <= 2 * default + 4
            wanted = most if short else min(default, most)
        fresh = [j for j in range(1, wanted + 1) if all(abs(j / period - other) > _SAME_FREQUENCY for other in taken)]
        taken += [j / period for j in fresh]
        chosen[place] = tuple(fresh)
    return tuple(chosen[place] for place in range(len(periods)))
