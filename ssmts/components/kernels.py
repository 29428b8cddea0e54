"""Covariance functions of Gaussian processes over time, each with the stochastic differential equation that has it.

A stationary process whose covariance function is one of these kernels is the first state, or a sum of states, of
``dx = A x dt + L dw`` in its stationary law. So a regression on n times costs n steps of a filter instead of the
factorisation of an (n, n) matrix. Sums of kernels put their states side by side; products take all products of states.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, fields, replace
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt
from scipy.linalg import block_diag
from scipy.special import ive

from ssmts.core.types import Array
from ssmts.exceptions import InputError, InputTypeError

# Of unit length scale: the drift in the process and its scaled derivatives, their covariance, the noise of the last one.
_MATERN: dict[float, tuple[list[list[float]], list[list[float]], float]] = {
    0.5: ([[-1.0]], [[1.0]], 2.0),
    1.5: ([[0.0, 1.0], [-1.0, -2.0]], [[1.0, 0.0], [0.0, 1.0]], 4.0),
    2.5: (
        [[0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [-1.0, -3.0, -3.0]],
        [[1.0, 0.0, -1 / 3], [0.0, 1 / 3, 0.0], [-1 / 3, 0.0, 1.0]],
        16 / 3,
    ),
}


class StationaryProcess(NamedTuple):
    """A linear stochastic differential equation in its stationary law, and what of it is seen.

    Attributes
    ----------
    drift : (n_states, n_states)
        A.
    diffusion_cov : (n_states, n_states)
        L L', which solves ``A P + P A' + L L' = 0``. It is kept beside the others, because the equation would lose its small
        entries by cancellation, and with them the noise of short steps.
    stationary_cov : (n_states, n_states)
        P.
    observation : (n_states,)
    """

    drift: Array
    diffusion_cov: Array
    stationary_cov: Array
    observation: Array


class Kernel(ABC):
    """A stationary covariance function of time; immutable. Kernels add and multiply."""

    @abstractmethod
    def __call__(self, lags: npt.ArrayLike) -> Array:
        """Covariance of two values that lie `lags` apart, of the shape of `lags`."""

    @abstractmethod
    def process(self) -> StationaryProcess:
        """The stochastic differential equation with this covariance function."""

    @property
    @abstractmethod
    def leaves(self) -> tuple[Leaf, ...]:
        """The kernels that this one is made of, as they stand from left to right."""

    @abstractmethod
    def with_leaves(self, leaves: tuple[Leaf, ...]) -> Kernel:
        """The same sums and products of other kernels."""

    def __add__(self, other: Kernel) -> Sum:
        return Sum(self, other) if isinstance(other, Kernel) else NotImplemented

    def __mul__(self, other: Kernel) -> Product:
        return Product(self, other) if isinstance(other, Kernel) else NotImplemented


class Leaf(Kernel):
    """A kernel that is no sum or product; its fields are its parameters."""

    name = ""
    variance: float

    @property
    def leaves(self) -> tuple[Leaf, ...]:
        """The kernel itself."""
        return (self,)

    def with_leaves(self, leaves: tuple[Leaf, ...]) -> Kernel:
        """The one given."""
        (leaf,) = leaves
        return leaf

    def with_values(self, **values: float) -> Self:
        """The same kernel with some parameters changed."""
        return replace(self, **values)  # type: ignore[type-var]

    def _check_positive(self) -> None:
        for field in fields(self):  # type: ignore[arg-type]
            value = getattr(self, field.name)
            if isinstance(value, bool) or not isinstance(value, int | float | np.number):
                raise InputTypeError(f"{field.name} of {type(self).__name__} must be a number; received {value!r}.")
            if not (value > 0 and math.isfinite(value)) and not (field.name == "variance" and value == 0):
                raise InputError(
                    f"{field.name} of {type(self).__name__} must be positive and finite; received {value!r}."
                )


@dataclass(frozen=True)
class Matern(Leaf):
    """The Matérn family: the larger `nu`, the smoother the process; it has a derivative from 1.5 on, two from 2.5 on.

    With ``r = sqrt(2 nu) |lag| / length_scale`` the covariance is the variance times ``exp(-r)``, ``(1 + r) exp(-r)`` or
    ``(1 + r + r^2 / 3) exp(-r)``. The states are the process and its derivatives over powers of ``sqrt(2 nu) / length_scale``,
    so that all are of one size (Hartikainen and Särkkä 2010).

    Parameters
    ----------
    nu : {0.5, 1.5, 2.5}, default 1.5
        0.5 is the Ornstein-Uhlenbeck process.
    length_scale : float, default 1.0
        In the unit of time.
    variance : float, default 1.0

    References
    ----------
    Hartikainen and Särkkä (2010), Kalman filtering and smoothing solutions to temporal Gaussian process regression models.

    Examples
    --------
    >>> from ssmts.components.kernels import Matern
    >>> Matern(0.5, length_scale=2.0)([0.0, 2.0]).round(4)
    array([1.    , 0.3679])
    """

    nu: float = 1.5
    length_scale: float = 1.0
    variance: float = 1.0
    name = "matern"

    def __post_init__(self) -> None:
        self._check_positive()
        if self.nu not in _MATERN:
            raise InputError(f"nu of Matern must be 0.5, 1.5 or 2.5; received {self.nu!r}.")

    @property
    def _rate(self) -> float:
        return math.sqrt(2 * self.nu) / self.length_scale

    def __call__(self, lags: npt.ArrayLike) -> Array:
        """Covariance at `lags`."""
        r = self._rate * np.abs(np.asarray(lags, dtype=float))
        polynomial = {0.5: 1.0, 1.5: 1.0 + r, 2.5: 1.0 + r + r**2 / 3}[self.nu]
        return np.asarray(self.variance * polynomial * np.exp(-r))

    def process(self) -> StationaryProcess:
        """1, 2 or 3 states."""
        drift, cov, noise = _MATERN[self.nu]
        n = len(drift)
        diffusion = np.zeros((n, n))
        diffusion[-1, -1] = noise * self._rate * self.variance
        return StationaryProcess(self._rate * np.array(drift), diffusion, self.variance * np.array(cov), np.eye(n)[0])


@dataclass(frozen=True)
class Periodic(Leaf):
    """A process that repeats itself without end: ``variance * exp(-2 sin^2(pi lag / period) / length_scale^2)``, cut to harmonics.

    The cosine series of that function, ``exp(-1 / length_scale^2) (I_0 + 2 sum_j I_j cos(2 pi j lag / period))`` with modified Bessel
    functions ``I_j(1 / length_scale^2)``, is taken up to `order`; each harmonic is an oscillator without noise of two states
    (Solin and Särkkä 2014). What is evaluated is the series that was cut, which for a length scale of 1 is the whole to 1e-7.
    A season that changes is a product with a `Matern`.

    Parameters
    ----------
    period : float
        In the unit of time.
    length_scale : float, default 1.0
        Of the sine, not of time: small values make a rough season, which needs a higher order.
    variance : float, default 1.0
    order : int, default 7
        Number of harmonics.

    References
    ----------
    Solin and Särkkä (2014), Explicit link between periodic covariance functions and state space models, AISTATS.

    Examples
    --------
    >>> from ssmts.components.kernels import Matern, Periodic
    >>> season = Periodic(12.0) * Matern(0.5, length_scale=100.0)
    >>> season([0.0, 6.0, 12.0]).round(3)
    array([1.   , 0.127, 0.887])
    >>> season.process().drift.shape
    (15, 15)
    """

    period: float
    length_scale: float = 1.0
    variance: float = 1.0
    order: int = 7
    name = "periodic"

    def __post_init__(self) -> None:
        self._check_positive()
        if self.order != int(self.order):
            raise InputError(f"order of Periodic must be a whole number of at least 1; received {self.order!r}.")

    @property
    def _weights(self) -> Array:
        j = np.arange(self.order + 1)
        return np.asarray(self.variance * ive(j, self.length_scale**-2) * np.where(j > 0, 2.0, 1.0))

    @property
    def _frequencies(self) -> Array:
        return np.asarray(2 * np.pi * np.arange(self.order + 1) / self.period, dtype=np.float64)

    def __call__(self, lags: npt.ArrayLike) -> Array:
        """Covariance at `lags`, of the series that was cut."""
        return np.asarray(np.cos(np.multiply.outer(np.asarray(lags, dtype=float), self._frequencies)) @ self._weights)

    def process(self) -> StationaryProcess:
        """A constant, and two states a harmonic."""
        turns = [w * np.array([[0.0, -1.0], [1.0, 0.0]]) for w in self._frequencies[1:]]
        drift = block_diag(np.zeros((1, 1)), *turns)
        pairs = np.repeat(np.arange(self.order + 1), [1] + [2] * self.order)
        seen = np.array([1.0] + [1.0, 0.0] * self.order)
        return StationaryProcess(drift, np.zeros(drift.shape), np.diag(self._weights[pairs]), seen)


@dataclass(frozen=True)
class Constant(Leaf):
    """An unknown constant; in products, a factor.

    Parameters
    ----------
    variance : float, default 1.0

    Examples
    --------
    >>> from ssmts.components.kernels import Constant
    >>> Constant(4.0)([0.0, 10.0])
    array([4., 4.])
    """

    variance: float = 1.0
    name = "constant"

    def __post_init__(self) -> None:
        self._check_positive()

    def __call__(self, lags: npt.ArrayLike) -> Array:
        """Covariance at `lags`."""
        return np.full(np.shape(lags), float(self.variance))

    def process(self) -> StationaryProcess:
        """One state that stands still."""
        still = np.zeros((1, 1))
        return StationaryProcess(still, still, np.full((1, 1), float(self.variance)), np.ones(1))


@dataclass(frozen=True)
class _Pair(Kernel):
    left: Kernel
    right: Kernel

    @property
    def leaves(self) -> tuple[Leaf, ...]:
        """Those of the left, then those of the right."""
        return self.left.leaves + self.right.leaves

    def with_leaves(self, leaves: tuple[Leaf, ...]) -> Kernel:
        """The same sums and products of other kernels."""
        n = len(self.left.leaves)
        return replace(self, left=self.left.with_leaves(leaves[:n]), right=self.right.with_leaves(leaves[n:]))


@dataclass(frozen=True)
class Sum(_Pair):
    """Covariance of the sum of two independent processes; write ``one + other``."""

    def __call__(self, lags: npt.ArrayLike) -> Array:
        """Covariance at `lags`."""
        return self.left(lags) + self.right(lags)

    def process(self) -> StationaryProcess:
        """The states of both, side by side."""
        a, b = self.left.process(), self.right.process()
        drift, diffusion, cov = (block_diag(one, other) for one, other in zip(a[:3], b[:3]))
        return StationaryProcess(drift, diffusion, cov, np.concatenate([a.observation, b.observation]))


@dataclass(frozen=True)
class Product(_Pair):
    """Covariance of the product of two independent processes; write ``one * other``.

    That product is not Gaussian; the Gaussian process with its covariance has as states all products of states, the drift
    ``A1 x I + I x A2`` and the stationary covariance ``P1 x P2`` (Solin and Särkkä 2014, section 3.3).
    """

    def __call__(self, lags: npt.ArrayLike) -> Array:
        """Covariance at `lags`."""
        return self.left(lags) * self.right(lags)

    def process(self) -> StationaryProcess:
        """All products of a state of one and a state of the other."""
        a, b = self.left.process(), self.right.process()
        drift = np.kron(a.drift, np.eye(len(b.drift))) + np.kron(np.eye(len(a.drift)), b.drift)
        diffusion = np.kron(a.diffusion_cov, b.stationary_cov) + np.kron(a.stationary_cov, b.diffusion_cov)
        cov = np.kron(a.stationary_cov, b.stationary_cov).astype(np.float64)
        seen = np.kron(a.observation, b.observation).astype(np.float64)
        return StationaryProcess(drift, diffusion, cov, seen)


def leaf_labels(kernel: Kernel) -> tuple[str, ...]:
    """A name for each leaf: that of its kind, numbered where there are several of the kind.

    Parameters
    ----------
    kernel : Kernel

    Examples
    --------
    >>> from ssmts.components.kernels import Matern, Periodic, leaf_labels
    >>> leaf_labels(Matern() + Periodic(12.0) * Matern())
    ('matern_1', 'periodic', 'matern_2')
    """
    names = [leaf.name for leaf in kernel.leaves]
    return tuple(
        name if names.count(name) == 1 else f"{name}_{names[: i + 1].count(name)}" for i, name in enumerate(names)
    )
