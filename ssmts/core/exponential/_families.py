"""Distributions of observations given a signal: log-densities and their first two derivatives in the signal.

All log-densities are concave in the signal, so that there is one mode at most.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import expit, gammaln

from ssmts.core.types import Array
from ssmts.exceptions import InputError


class Terms(NamedTuple):
    """A log-density, its derivative in the signal, and minus its second derivative."""

    log_density: Array
    slope: Array
    curvature: Array


class Family(ABC):
    """A distribution of observations given their signal. `size` is what the class says: exposure, trials or weight."""

    whole: ClassVar[bool] = False  # counts only
    least: ClassVar[float] = 0.0

    @abstractmethod
    def terms(self, y: Array, signal: Array, size: Array) -> Terms:
        """Log-density of y, its slope in the signal, and its curvature."""

    @abstractmethod
    def mean(self, signal: npt.ArrayLike, size: npt.ArrayLike = 1.0) -> Array:
        """Mean of an observation."""

    @abstractmethod
    def guess(self, y: Array, size: Array) -> Array:
        """A signal to start from, of one observation alone."""

    def check(self, y: Array, size: Array, column: int) -> None:
        """Refuse observations and sizes that the distribution cannot have."""
        name, seen = type(self).__name__, ~np.isnan(y)
        wrong = seen & ((y < self.least) | (self.whole & (y != np.floor(y))))
        if wrong.any():
            t = int(np.flatnonzero(wrong)[0])
            kind = "counts" if self.whole else "numbers of 0 or more" if self.least == 0 else "positive numbers"
            raise InputError(f"y is {y[t]} at row {t} of column {column}, but {name}() is a distribution of {kind}")
        bad = ~(np.isfinite(size) & (size > 0))
        if bad.any():
            t = int(np.flatnonzero(bad)[0])
            raise InputError(f"size is {size[t]} at row {t} of column {column}: pass positive numbers")


def positive(name: str, value: Any) -> None:
    """Refuse a parameter that is no positive number."""
    if not 0 < value < np.inf:
        raise InputError(f"{name} is {value!r}: pass a positive number")


class Log(Family):
    """What families whose mean is ``size * exp(signal)`` share."""

    def mean(self, signal: npt.ArrayLike, size: npt.ArrayLike = 1.0) -> Array:
        """``size * exp(signal)``."""
        return np.asarray(size * np.exp(signal))

    def guess(self, y: Array, size: Array) -> Array:
        """The logarithm of the observation, away from that of zero."""
        return np.asarray(np.log((y + 0.25 * self.whole) / size))


@dataclass(frozen=True)
class Poisson(Log):
    """Counts with the mean ``size * exp(signal)``; `size` is the exposure.

    Examples
    --------
    >>> from ssmts.core.exponential import Poisson
    >>> float(Poisson().mean(0.0, size=5.0))
    5.0
    """

    whole = True

    def terms(self, y: Array, signal: Array, size: Array) -> Terms:
        mu = size * np.exp(signal)
        return Terms(y * (signal + np.log(size)) - mu - gammaln(y + 1), y - mu, mu)


@dataclass(frozen=True)
class NegativeBinomial(Log):
    """Counts with the mean ``size * exp(signal)`` and the variance ``mean + mean^2 / shape``; `size` is the exposure.

    Parameters
    ----------
    shape : float
        To infinity the Poisson distribution; statsmodels writes alpha for 1 / shape.

    Examples
    --------
    >>> from ssmts.core.exponential import NegativeBinomial
    >>> NegativeBinomial(3.0).shape
    3.0
    """

    shape: float
    whole = True

    def __post_init__(self) -> None:
        positive("shape", self.shape)

    def terms(self, y: Array, signal: Array, size: Array) -> Terms:
        r, log_mu = self.shape, signal + np.log(size)
        p, rest = expit(log_mu - np.log(r)), expit(np.log(r) - log_mu)  # mean and shape over their sum
        constant = gammaln(y + r) - gammaln(r) - gammaln(y + 1)
        log_p, log_rest = -np.logaddexp(0, np.log(r) - log_mu), -np.logaddexp(0, log_mu - np.log(r))
        return Terms(constant + y * log_p + r * log_rest, y * rest - r * p, (y + r) * p * rest)


@dataclass(frozen=True)
class Binomial(Family):
    """Successes in ``size`` trials, each with the probability ``1 / (1 + exp(-signal))``.

    Examples
    --------
    >>> from ssmts.core.exponential import Binomial
    >>> float(Binomial().mean(0.0, size=10.0))
    5.0
    """

    whole = True

    def terms(self, y: Array, signal: Array, size: Array) -> Terms:
        p, rest = expit(signal), expit(-signal)
        constant = gammaln(size + 1) - gammaln(y + 1) - gammaln(size - y + 1)
        return Terms(constant + y * signal - size * np.logaddexp(0, signal), y * rest - (size - y) * p, size * p * rest)

    def mean(self, signal: npt.ArrayLike, size: npt.ArrayLike = 1.0) -> Array:
        """``size / (1 + exp(-signal))``."""
        return np.asarray(size * expit(signal))

    def guess(self, y: Array, size: Array) -> Array:
        """The log-odds of the observation, away from 0 and 1."""
        return np.asarray(np.log((y + 0.5) / (size - y + 0.5)))

    def check(self, y: Array, size: Array, column: int) -> None:
        super().check(y, size, column)
        over = np.flatnonzero((y > size) | (size != np.floor(size)))
        if over.size:
            t = int(over[0])
            raise InputError(
                f"y is {y[t]} in {size[t]} trial(s) at row {t} of column {column}: pass whole trials as size"
            )


@dataclass(frozen=True)
class Gamma(Log):
    """Positive numbers with the mean ``size * exp(signal)`` and the variance ``mean^2 / shape``.

    Parameters
    ----------
    shape : float
        1 for the exponential distribution.

    Examples
    --------
    >>> from ssmts.core.exponential import Gamma
    >>> float(Gamma(2.0).mean(0.0))
    1.0
    """

    shape: float
    least = float(np.nextafter(0.0, 1.0))

    def __post_init__(self) -> None:
        positive("shape", self.shape)

    def terms(self, y: Array, signal: Array, size: Array) -> Terms:
        a, log_mu = self.shape, signal + np.log(size)
        ratio = a * y * np.exp(-log_mu)
        return Terms(a * np.log(a) - gammaln(a) + (a - 1) * np.log(y) - a * log_mu - ratio, ratio - a, ratio)


@dataclass(frozen=True)
class Gaussian(Family):
    """Numbers with the signal as their mean and the variance ``variance / size``; `size` is a weight.

    Parameters
    ----------
    variance : float

    Examples
    --------
    >>> from ssmts.core.exponential import Gaussian
    >>> Gaussian(0.5).variance
    0.5
    """

    variance: float
    least = -np.inf

    def __post_init__(self) -> None:
        positive("variance", self.variance)

    def terms(self, y: Array, signal: Array, size: Array) -> Terms:
        variance, e = self.variance / size, y - signal
        return Terms(-0.5 * (np.log(2 * np.pi * variance) + e**2 / variance), e / variance, 1 / variance + 0.0 * e)

    def mean(self, signal: npt.ArrayLike, size: npt.ArrayLike = 1.0) -> Array:
        """The signal."""
        return np.asarray(signal, dtype=float) + 0.0 * np.asarray(size)

    def guess(self, y: Array, size: Array) -> Array:
        """The observation."""
        return np.array(y)
