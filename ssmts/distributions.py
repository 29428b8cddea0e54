"""Distributions of values to come, on arrays ``(n_series, horizon, n_outputs)``: no index, no column, no unit.

There are three, `Gaussian`, `Quantiles` and `Paths`; `Transformed` carries any of them through the inverse of a target
transformation, `Stacked` holds several series side by side. `ssmts.forecasts.Forecast` joins a distribution to the rows it speaks of.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri, roots_hermitenorm

from .exceptions import InputError, InputTypeError

FloatArray = npt.NDArray[np.float64]
Draw = Callable[[int, np.random.Generator], npt.ArrayLike]
Map = Callable[[FloatArray], npt.ArrayLike]

_N_NODES = 64  # exact to 1e-14 relative for the exponential of a normal with standard deviations up to 7
_CHUNK = 8192  # rows mapped at once: bounds the memory of the quadrature
_TOLERANCE = 1e-9  # 1 - 0.9 is not 0.1


class Distribution(ABC):
    """A distribution over ``(n_series, horizon, n_outputs)`` future values."""

    shape: tuple[int, int, int]

    @property
    def n_series(self) -> int:
        """Number of series."""
        return self.shape[0]

    @property
    def horizon(self) -> int:
        """Number of steps ahead."""
        return self.shape[1]

    @property
    def n_outputs(self) -> int:
        """Number of values forecast at each step."""
        return self.shape[2]

    @abstractmethod
    def expect(self, function: Map) -> FloatArray:
        """Expectation ``(n_series, horizon, n_outputs)`` of a function that acts on each output column by itself.

        The function takes and returns arrays ``(..., n_outputs)``; it may be called with infinite values.
        """

    @abstractmethod
    def quantile(self, q: npt.ArrayLike) -> FloatArray:
        """Quantiles ``(n_series, horizon, n_outputs, len(q))`` at probabilities ``q`` in (0, 1)."""

    @abstractmethod
    def sample(self, n: int, rng: np.random.Generator) -> FloatArray:
        """Draws ``(n, n_series, horizon, n_outputs)``, each a path that is joint over the horizon."""

    def mean(self) -> FloatArray:
        """Mean ``(n_series, horizon, n_outputs)``."""
        return self.expect(lambda values: values)

    def __repr__(self) -> str:
        sizes = f"n_series={self.n_series}, horizon={self.horizon}, n_outputs={self.n_outputs}"
        return f"{type(self).__name__}({sizes})"


class Gaussian(Distribution):
    """Normal at each step, with paths drawn from the model's state.

    Parameters
    ----------
    mean : array of shape (n_series, horizon, n_outputs)
    cov : array of shape (n_series, horizon, n_outputs) or (n_series, horizon, n_outputs, n_outputs)
        Variances of a new observation, or its full covariance over the outputs. An infinite variance is a
        step about which nothing is known; its interval is (-inf, inf).
    draw : callable, optional
        ``draw(n, rng) -> (n, n_series, horizon, n_outputs)``, paths drawn jointly over the horizon. Marginals do not
        determine paths, so `sample` refuses without it.

    Examples
    --------
    >>> import numpy as np
    >>> from ssmts.distributions import Gaussian
    >>> g = Gaussian(np.zeros((1, 2, 1)), np.array([1.0, 4.0]).reshape(1, 2, 1))
    >>> g.quantile([0.025, 0.975]).round(2)[0, :, 0]
    array([[-1.96,  1.96],
           [-3.92,  3.92]])
    """

    def __init__(self, mean: npt.ArrayLike, cov: npt.ArrayLike, draw: Draw | None = None) -> None:
        self._mean = _three(mean, "mean")
        self.shape = _shape(self._mean)
        self.cov = np.asarray(cov, dtype=np.float64)
        full = (*self.shape, self.n_outputs)
        if self.cov.shape not in (self.shape, full):
            raise InputError(f"cov must have shape {self.shape} (variances) or {full}; received {self.cov.shape}.")
        self._draw = draw
        variance = self.variance()
        if np.any(variance < 0):
            place = tuple(int(i) for i in np.argwhere(variance < 0)[0])
            raise InputError(f"cov holds a negative variance, {variance[place]:g}, at (series, step, output) {place}.")

    def mean(self) -> FloatArray:
        return self._mean.copy()

    def variance(self) -> FloatArray:
        """Variances ``(n_series, horizon, n_outputs)``."""
        if self.cov.ndim == 3:
            return self.cov
        variance: FloatArray = np.diagonal(self.cov, axis1=2, axis2=3)
        return variance

    def expect(self, function: Map) -> FloatArray:
        """Expectation by Gauss-Hermite quadrature with 64 nodes.

        Nodes outside the domain of the function (where it gives NaN) are left out: the mean is conditional on the
        domain. Where the variance is infinite the function of the mean is given, as `mean` does for itself.
        """
        z, weights = _hermite()
        mean, sd = self._mean.reshape(-1, self.n_outputs), np.sqrt(self.variance()).reshape(-1, self.n_outputs)
        sd = np.where(np.isinf(sd), 0.0, sd)
        result = np.empty_like(mean)
        for start in range(0, len(mean), _CHUNK):
            rows = slice(start, start + _CHUNK)
            mapped = _apply(function, mean[rows] + z[:, None, None] * sd[rows])
            inside = ~np.isnan(mapped)
            total = np.tensordot(weights, np.where(inside, mapped, 0.0), 1)
            weight = np.tensordot(weights, inside.astype(np.float64), 1)
            result[rows] = np.divide(total, weight, out=np.full_like(total, np.nan), where=weight > 0)
        return result.reshape(self.shape)

    def quantile(self, q: npt.ArrayLike) -> FloatArray:
        z = ndtri(np.array(check_probabilities(q)))
        sd = np.sqrt(self.variance())[..., None]
        spread = np.multiply(sd, z, out=np.zeros((*self.shape, len(z))), where=z != 0)  # inf * 0 is the median
        quantiles: FloatArray = self._mean[..., None] + spread
        return quantiles

    def sample(self, n: int, rng: np.random.Generator) -> FloatArray:
        if self._draw is None:
            raise InputError(
                "These rows have a distribution at each step but no model to draw paths from: they lie within the training "
                "rows, or were made by hand. Use quantile or interval, or ask for rows after the last known one."
            )
        return _paths(self._draw(n, rng), (n, *self.shape), "draw")


class Quantiles(Distribution):
    """Quantiles at fixed probabilities, linear in between.

    Parameters
    ----------
    q : sequence of float
        Probabilities, strictly increasing in (0, 1).
    values : array of shape (n_series, horizon, n_outputs, len(q))
        Must not decrease along ``q``; sort them where a model lets its quantiles cross.

    Notes
    -----
    Quantiles outside the held range are refused, and so are paths: quantiles say nothing about steps together. The mean
    is the integral of the quantile function by the trapezoid rule with constant tails, the median if only that is held.

    Examples
    --------
    >>> import numpy as np
    >>> from ssmts.distributions import Quantiles
    >>> d = Quantiles([0.1, 0.5, 0.9], np.array([1.0, 2.0, 5.0]).reshape(1, 1, 1, 3))
    >>> d.quantile([0.3, 0.9]).ravel()
    array([1.5, 5. ])
    >>> round(d.mean().item(), 2)
    2.6
    """

    def __init__(self, q: Sequence[float] | FloatArray, values: npt.ArrayLike) -> None:
        self.q = np.array(check_probabilities(q))
        if np.any(np.diff(self.q) <= 0):
            raise InputError(f"q must be strictly increasing; received {self.q.tolist()}.")
        self.values = np.asarray(values, dtype=np.float64)
        if self.values.ndim != 4 or self.values.shape[3] != len(self.q):
            raise InputError(
                f"values must have shape (n_series, horizon, n_outputs, {len(self.q)}), the last axis along q; "
                f"received {self.values.shape}."
            )
        self.shape = _shape(self.values[..., 0])
        with np.errstate(invalid="ignore"):
            crossed = np.diff(self.values, axis=-1) < 0
        if crossed.any():
            place = tuple(int(i) for i in np.argwhere(crossed)[0][:3])
            raise InputError(f"values decrease along q at (series, step, output) {place}. Sort them along q.")

    def expect(self, function: Map) -> FloatArray:
        if not self.q[0] <= 0.5 <= self.q[-1]:
            raise InputError(f"A mean needs quantiles on both sides of 0.5, or 0.5; held are {self.q.tolist()}.")
        edges = np.concatenate([[0.0], (self.q[1:] + self.q[:-1]) / 2, [1.0]])
        mapped = _apply(function, np.moveaxis(self.values, -1, 0))
        expectation: FloatArray = np.tensordot(np.diff(edges), mapped, 1)
        return expectation

    def quantile(self, q: npt.ArrayLike) -> FloatArray:
        wanted = np.array(check_probabilities(q))
        outside = wanted[(wanted < self.q[0] - _TOLERANCE) | (wanted > self.q[-1] + _TOLERANCE)]
        if len(outside):
            raise InputError(
                f"Quantile {outside[0]:g} lies outside the held range {self.q[0]:g} to {self.q[-1]:g}. "
                "Ask within it, or fit with more extreme quantiles."
            )
        upper = np.clip(np.searchsorted(self.q, wanted - _TOLERANCE), 0, len(self.q) - 1)
        lower = np.maximum(upper - 1, 0)
        gap = self.q[upper] - self.q[lower]
        part = np.divide(wanted - self.q[lower], gap, out=np.ones_like(wanted), where=gap > 0)
        low, high = self.values[..., lower], self.values[..., upper]
        with np.errstate(invalid="ignore"):
            inside = low + part * (high - low)
        return np.where(np.abs(part - 1) < _TOLERANCE, high, inside)

    def sample(self, n: int, rng: np.random.Generator) -> FloatArray:
        raise InputError("Quantiles say nothing about steps together: no path can be drawn. Use quantile or interval.")


class Paths(Distribution):
    """Paths drawn by a model, as an empirical distribution.

    Parameters
    ----------
    values : array of shape (n_paths, n_series, horizon, n_outputs)

    Notes
    -----
    `sample` draws among the held paths with replacement, whole, so that steps, outputs and series stay together.

    Examples
    --------
    >>> import numpy as np
    >>> from ssmts.distributions import Paths
    >>> d = Paths(np.arange(5.0).reshape(5, 1, 1, 1))
    >>> d.mean().item(), d.quantile([0.25]).item()
    (2.0, 1.0)
    """

    def __init__(self, values: npt.ArrayLike) -> None:
        self.values = np.asarray(values, dtype=np.float64)
        if self.values.ndim != 4 or not len(self.values):
            raise InputError(
                "values must have shape (n_paths, n_series, horizon, n_outputs) with at least one path; "
                f"received {self.values.shape}."
            )
        self.shape = _shape(self.values[0])

    def expect(self, function: Map) -> FloatArray:
        expectation: FloatArray = _apply(function, self.values).mean(axis=0)
        return expectation

    def quantile(self, q: npt.ArrayLike) -> FloatArray:
        return np.moveaxis(np.quantile(self.values, check_probabilities(q), axis=0), 0, -1)

    def sample(self, n: int, rng: np.random.Generator) -> FloatArray:
        return self.values[rng.integers(0, len(self.values), size=n)]


class Transformed(Distribution):
    """A distribution carried through the inverse of a target transformation.

    Parameters
    ----------
    base : Distribution
        Distribution on the scale of the model.
    inverse : callable
        From the model's scale to the caller's, on arrays ``(..., n_outputs)``, each column by a monotone map of its
        own; must let NaN and infinities pass.
    increasing : array of bool of shape (n_outputs,)
        Whether each column's map increases; where it decreases the tails are swapped.

    Notes
    -----
    The mean is that of the mapped distribution, not the map of the mean; the quantile at 0.5 is its median.

    Examples
    --------
    >>> import numpy as np
    >>> from ssmts.distributions import Gaussian, Transformed
    >>> d = Transformed(Gaussian(np.zeros((1, 1, 1)), np.ones((1, 1, 1))), np.exp, [True])
    >>> round(d.mean().item(), 4), d.quantile([0.5]).item()
    (1.6487, 1.0)
    """

    def __init__(self, base: Distribution, inverse: Map, increasing: npt.ArrayLike) -> None:
        self.base, self.inverse = base, inverse
        self.shape = base.shape
        self.increasing = np.asarray(increasing, dtype=bool)
        if self.increasing.shape != (self.n_outputs,):
            raise InputError(f"increasing must have shape ({self.n_outputs},); received {self.increasing.shape}.")

    def expect(self, function: Map) -> FloatArray:
        return self.base.expect(lambda values: function(_apply(self.inverse, values)))

    def quantile(self, q: npt.ArrayLike) -> FloatArray:
        wanted = np.array(check_probabilities(q))
        if self.increasing.all():
            quantiles = self.base.quantile(wanted)
        elif not self.increasing.any():
            quantiles = self.base.quantile(1 - wanted)
        else:
            up, down = self.base.quantile(wanted), self.base.quantile(1 - wanted)
            quantiles = np.where(self.increasing[:, None], up, down)
        return np.moveaxis(_apply(self.inverse, np.moveaxis(quantiles, -1, 0)), 0, -1)

    def sample(self, n: int, rng: np.random.Generator) -> FloatArray:
        return _apply(self.inverse, self.base.sample(n, rng))


class Stacked(Distribution):
    """Distributions of several series side by side; shorter horizons are NaN at their end.

    Parameters
    ----------
    parts : sequence of Distribution
        One or more series each, all with the same number of outputs. Paths are drawn independently of each other.

    Examples
    --------
    >>> import numpy as np
    >>> from ssmts.distributions import Gaussian, Stacked
    >>> a, b = (Gaussian(np.zeros((1, h, 1)), np.ones((1, h, 1))) for h in (1, 2))
    >>> Stacked([a, b]).mean()[:, :, 0]
    array([[ 0., nan],
           [ 0.,  0.]])
    """

    def __init__(self, parts: Sequence[Distribution]) -> None:
        self.parts = tuple(parts)
        if not self.parts or len({part.n_outputs for part in self.parts}) > 1:
            raise InputError("Stacked needs at least one distribution, all with the same number of outputs.")
        self.shape = (
            sum(part.n_series for part in self.parts),
            max(part.horizon for part in self.parts),
            self.parts[0].n_outputs,
        )

    def stack(self, arrays: Iterable[FloatArray], series_axis: int = 0) -> FloatArray:
        """One array of every part, joined along the series, shorter horizons filled up with NaN."""
        padded = []
        for array in arrays:
            width = [(0, 0)] * array.ndim
            width[series_axis + 1] = (0, self.horizon - array.shape[series_axis + 1])
            padded.append(np.pad(array, width, constant_values=np.nan) if width[series_axis + 1][1] else array)
        return np.concatenate(padded, axis=series_axis)

    def mean(self) -> FloatArray:
        return self.stack(part.mean() for part in self.parts)

    def expect(self, function: Map) -> FloatArray:
        return self.stack(part.expect(function) for part in self.parts)

    def quantile(self, q: npt.ArrayLike) -> FloatArray:
        return self.stack(part.quantile(q) for part in self.parts)

    def sample(self, n: int, rng: np.random.Generator) -> FloatArray:
        return self.stack((part.sample(n, rng) for part in self.parts), series_axis=1)


def in_order(first: Gaussian, second: Distribution, order: npt.NDArray[np.int64]) -> Distribution:
    """The rows of two distributions of the same series as one: normal, or quantiles where the second holds quantiles.

    Parameters
    ----------
    first : Gaussian
    second : Gaussian or Quantiles
    order : array of int of shape (n_rows,)
        Of the rows of the first, then those of the second, which comes where.
    """
    if isinstance(second, Quantiles):
        values = np.concatenate([first.quantile(second.q), second.values], axis=1)
        return Quantiles(second.q, values[:, order])
    if not isinstance(second, Gaussian):
        raise InputError(
            f"Rows within the training rows are normal, and later ones are {type(second).__name__}: ask for them apart."
        )
    mean = np.concatenate([first.mean(), second.mean()], axis=1)
    return Gaussian(mean[:, order], np.concatenate([first.variance(), second.variance()], axis=1)[:, order])


def check_probabilities(q: npt.ArrayLike) -> tuple[float, ...]:
    """Probabilities in (0, 1), as a tuple of floats.

    Raises
    ------
    InputError
        A probability of 0 or less or of 1 or more, or none at all.
    InputTypeError
        Something that is no number.
    """
    probabilities = check_numbers(q, "q")
    for each in probabilities:
        if not 0 < each < 1:
            raise InputError(f"q must lie strictly between 0 and 1; received {each:g}.")
    return probabilities


def check_numbers(value: Any, name: str) -> tuple[float, ...]:
    """A number or a sequence of numbers as a tuple of floats; ``name`` is what the message calls it."""
    array = np.atleast_1d(np.asarray(value))
    if array.dtype.kind not in "iuf" or array.ndim != 1:
        raise InputTypeError(f"{name} must be a number or a sequence of numbers; received {value!r}.")
    if not len(array):
        raise InputError(f"{name} is empty. Pass at least one number.")
    return tuple(array.astype(np.float64).tolist())


@lru_cache(maxsize=1)
def _hermite() -> tuple[FloatArray, FloatArray]:
    nodes, weights = roots_hermitenorm(_N_NODES)
    return nodes, weights / weights.sum()


def _apply(function: Map, values: FloatArray) -> FloatArray:
    """Map values; overflow and steps outside the domain give inf and NaN, which the caller handles."""
    with np.errstate(all="ignore"):
        mapped = np.asarray(function(values), dtype=np.float64)
    if mapped.shape != values.shape:
        raise InputError(f"The map of a distribution must keep the shape {values.shape}; it gave {mapped.shape}.")
    return mapped


def _three(values: npt.ArrayLike, name: str) -> FloatArray:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 3:
        raise InputError(f"{name} must have shape (n_series, horizon, n_outputs); received {array.shape}.")
    return array


def _shape(values: FloatArray) -> tuple[int, int, int]:
    n_series, horizon, n_outputs = values.shape
    return n_series, horizon, n_outputs


def _paths(values: npt.ArrayLike, shape: tuple[int, ...], name: str) -> FloatArray:
    array = np.asarray(values, dtype=np.float64)
    if array.shape != shape:
        raise InputError(f"{name} must give shape {shape}; it gave {array.shape}.")
    return array
