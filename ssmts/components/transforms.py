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
        """Derivatives d natural_i / d free_j, shape (n, n); of a matrix, whose entries are not all free, (n_entries, n_free)."""


@dataclass(frozen=True)
class Free:
    """A number without bounds, moved as it is."""

    limits: tuple[float, float] = (-math.inf, math.inf)
    domain: str = "a finite number"

    def contains(self, values: Array) -> bool:
        """Finite."""
        return bool(np.all(np.isfinite(values)))

    def to_free(self, values: Array) -> Array:
        """The number."""
        return values

    def from_free(self, free: Array) -> Array:
        """The number."""
        return free

    def jacobian(self, free: Array) -> Array:
        """Identity."""
        return np.eye(free.size)


@dataclass(frozen=True)
class Positive:
    """A number above zero, moved as its logarithm: for what is never zero, such as a length scale."""

    limits: tuple[float, float] = (-690.0, 690.0)  # beyond them exp leaves the normal numbers
    domain: str = "a finite number above zero"

    def contains(self, values: Array) -> bool:
        """Finite and above zero."""
        return bool(np.all(np.isfinite(values) & (values > 0)))

    def to_free(self, values: Array) -> Array:
        """Logarithm."""
        return np.asarray(np.log(values))

    def from_free(self, free: Array) -> Array:
        """Exponential."""
        return np.asarray(np.exp(free))

    def jacobian(self, free: Array) -> Array:
        """The values on the diagonal."""
        return np.diag(np.exp(free))


@dataclass(frozen=True)
class Covariance:
    """A covariance matrix, given row by row, moved as the lower triangle of its Cholesky factor.

    The diagonal of the factor may take either sign, so that a singular matrix is a point like any other and not at
    infinity, as it would be on the scale of logarithms.
    """

    limits: tuple[float, float] = (-math.inf, math.inf)
    domain: str = "a symmetric matrix without negative eigenvalues"

    def contains(self, values: Array) -> bool:
        """Symmetric and non-negative definite up to rounding."""
        matrix = _square(values)
        size = np.abs(matrix).max(initial=0.0)
        if not np.all(np.isfinite(matrix)) or np.abs(matrix - matrix.T).max(initial=0.0) > 1e-10 * size:
            return False
        return bool(np.linalg.eigvalsh(matrix).min(initial=0.0) >= -1e-10 * size)

    def to_free(self, values: Array) -> Array:
        """Cholesky factor, of a singular matrix too."""
        roots, vectors = np.linalg.eigh(_square(values))
        half = vectors * np.sqrt(np.maximum(roots, 0.0))
        factor = np.asarray(np.linalg.qr(half.T, mode="r")).T
        factor = factor * np.where(np.diagonal(factor) < 0, -1.0, 1.0)
        return np.asarray(factor[np.tril_indices(len(factor))])

    def from_free(self, free: Array) -> Array:
        """Factor times its transpose."""
        factor = _triangle(free, 0)
        return np.asarray((factor @ factor.T).ravel())

    def jacobian(self, free: Array) -> Array:
        """By the product rule."""
        factor = _triangle(free, 0)
        n = len(factor)
        out = np.zeros((n, n, free.size))
        for place, (i, j) in enumerate(zip(*np.tril_indices(n))):
            out[i, :, place] += factor[:, j]
            out[:, i, place] += factor[:, j]
        return out.reshape(n * n, free.size)


@dataclass(frozen=True)
class Correlation:
    """A correlation matrix, given row by row, moved as the inverse tanh of its canonical partial correlations.

    Row i of the Cholesky factor is built from i numbers between -1 and 1, each the part of the length that is left
    (Lewandowski, Kurowicka and Joe, 2009).
    """

    limits: tuple[float, float] = (-8.0, 8.0)
    domain: str = "a correlation matrix with positive eigenvalues"

    def contains(self, values: Array) -> bool:
        """Unit diagonal, symmetric, positive definite."""
        matrix = _square(values)
        if not np.allclose(matrix, matrix.T, atol=1e-12) or not np.allclose(np.diagonal(matrix), 1.0, atol=1e-12):
            return False
        return bool(np.linalg.eigvalsh(matrix).min() > 0)

    def to_free(self, values: Array) -> Array:
        """Inverse tanh of the partial correlations."""
        factor = np.linalg.cholesky(_square(values))
        left = np.sqrt(1.0 - np.cumsum(factor**2, axis=1) + factor**2)
        rows, columns = np.tril_indices(len(factor), -1)
        return np.asarray(np.arctanh(factor[rows, columns] / left[rows, columns]))

    def from_free(self, free: Array) -> Array:
        """Correlations."""
        factor = self._factor(free)
        return np.asarray((factor @ factor.T).ravel())

    def _factor(self, free: Array) -> Array:
        partial = np.tanh(_triangle(free, -1))
        factor = np.zeros_like(partial)
        for i in range(len(partial)):
            left = 1.0
            for j in range(i):
                factor[i, j] = partial[i, j] * np.sqrt(left)
                left = left * (1.0 - partial[i, j] ** 2)
            factor[i, i] = np.sqrt(left)
        return factor

    def jacobian(self, free: Array) -> Array:
        """By a complex step, exact to rounding."""
        moved = [self.from_free(free + 1e-30j * unit).imag / 1e-30 for unit in np.eye(free.size)]
        return np.array(moved).T.reshape(-1, free.size)


def _square(values: Array) -> Array:
    n = math.isqrt(values.size)
    return values.reshape(n, n)


def _triangle(free: Array, diagonal: int) -> Array:
    """The matrix whose lower triangle, from a diagonal on down, holds these numbers row by row."""
    n = (math.isqrt(8 * free.size + 1) - 1) // 2 - diagonal
    out = np.zeros((n, n), dtype=free.dtype)
    out[np.tril_indices(n, diagonal)] = free
    return out


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
