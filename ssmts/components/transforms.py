"""Maps between a parameter as people read it and the free number that an optimiser moves.

Each transform covers one or several parameters of a component. ``to_free`` and ``from_free`` are each other's
inverse inside ``limits``, the range of the free numbers beyond which the parameter is at its bound in all but name.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class Transform(Protocol):
    """What an optimiser needs to know of a group of parameters."""

    @property
    def limits(self) -> tuple[float, float]:
        """Range of the free numbers."""

    @property
    def domain(self) -> str:
        """The admissible values in words."""

    def contains(self, values: Array) -> bool:
        """Whether the values (natural scale) are admissible; a boundary that makes sense as a model is."""

    def to_free(self, values: Array) -> Array:
        """Free numbers of the natural values."""

    def from_free(self, free: Array) -> Array:
        """Natural values of the free numbers."""

    def jacobian(self, free: Array) -> Array:
        """Derivatives d natural_i / d free_j, shape (n, n)."""


@dataclass(frozen=True)
class Variance:
    """A variance, moved as it is, down to zero.

    On the scale of logarithms a variance whose best value is zero would walk for ever, and a step too far would look
    like an arrival.
    """

    limits: tuple[float, float] = (0.0, math.inf)
    domain: str = "a finite number, zero or greater"

    def contains(self, values: Array) -> bool:
        """Finite and not negative."""
        return bool(np.all(np.isfinite(values) & (values >= 0)))

    def to_free(self, values: Array) -> Array:
        """The variance."""
        return values

    def from_free(self, free: Array) -> Array:
        """The variance."""
        return free

    def jacobian(self, free: Array) -> Array:
        """Identity."""
        return np.eye(free.size)


@dataclass(frozen=True)
class Interval:
    """A number strictly between ``low`` and ``high``, moved as the log odds of its place between them.

    Parameters
    ----------
    low, high : float
        The open interval.
    geometric : bool
        Measure the place on the scale of logarithms, which suits a period.
    """

    low: float = 0.0
    high: float = 1.0
    geometric: bool = False

    @property
    def limits(self) -> tuple[float, float]:
        """Log odds of 3e-4 from either end."""
        return (-8.0, 8.0)

    @property
    def domain(self) -> str:
        """The interval in words."""
        return f"a number strictly between {self.low:g} and {self.high:g}"

    def contains(self, values: Array) -> bool:
        """Strictly inside."""
        return bool(np.all((values > self.low) & (values < self.high)))

    def _ends(self) -> tuple[float, float]:
        return (math.log(self.low), math.log(self.high)) if self.geometric else (self.low, self.high)

    def to_free(self, values: Array) -> Array:
        """Log odds."""
        low, high = self._ends()
        place = ((np.log(values) if self.geometric else values) - low) / (high - low)
        free: Array = np.log(place / (1 - place))
        return free

    def from_free(self, free: Array) -> Array:
        """Inverse log odds."""
        low, high = self._ends()
        inner: Array = low + (high - low) / (1 + np.exp(-free))
        return np.exp(inner) if self.geometric else inner

    def jacobian(self, free: Array) -> Array:
        """Width times p (1 - p), times the value itself on the scale of logarithms."""
        low, high = self._ends()
        place = 1 / (1 + np.exp(-free))
        slope = (high - low) * place * (1 - place)
        return np.diag(slope * self.from_free(free) if self.geometric else slope)


@dataclass(frozen=True)
class Stationary:
    """Autoregressive coefficients of a stationary process, moved as the inverse tanh of its partial autocorrelations.

    The map from partial autocorrelations to coefficients is the Durbin-Levinson recursion (Barndorff-Nielsen and
    Schou, 1973; Monahan, 1984).
    """

    limits: tuple[float, float] = (-4.0, 4.0)  # partial autocorrelations of 0.9993
    domain: str = "coefficients of a stationary autoregression"

    def contains(self, values: Array) -> bool:
        """All partial autocorrelations inside (-1, 1)."""
        partial = _partial_autocorrelations(values)
        return bool(np.all(np.abs(partial) < 1))

    def to_free(self, values: Array) -> Array:
        """Inverse tanh of the partial autocorrelations."""
        return np.arctanh(_partial_autocorrelations(values))

    def from_free(self, free: Array) -> Array:
        """Coefficients by Durbin-Levinson."""
        coefficients = np.zeros(0)
        for partial in np.tanh(free):
            coefficients = np.append(coefficients - partial * coefficients[::-1], partial)
        return coefficients

    def jacobian(self, free: Array) -> Array:
        """The recursion differentiated, column by column."""
        partials = np.tanh(free)
        coefficients, slopes = np.zeros(0), np.zeros((0, free.size))
        for k, partial in enumerate(partials):
            upper = slopes - partial * slopes[::-1]
            upper[:, k] -= coefficients[::-1]
            last = np.zeros((1, free.size))
            last[0, k] = 1.0
            slopes = np.vstack([upper, last])
            coefficients = np.append(coefficients - partial * coefficients[::-1], partial)
        return np.asarray(slopes * (1 - partials**2))


def _partial_autocorrelations(coefficients: Array) -> Array:
    """Durbin-Levinson backwards; entries of 1 or more in size mean that the process is not stationary."""
    rest = np.asarray(coefficients, dtype=float)
    partial = np.zeros(rest.size)
    for k in range(rest.size - 1, -1, -1):
        partial[k] = rest[k]
        if not abs(partial[k]) < 1:
            break
        rest = (rest[:k] + partial[k] * rest[:k][::-1]) / (1 - partial[k] ** 2)
    return partial
