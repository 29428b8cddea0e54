"""Parameters of a model that is to be estimated: where a search starts, what is admissible, what is believed beforehand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from ssmts.components.transforms import Covariance, Free, Transform, Variance
from ssmts.core.types import Array
from ssmts.exceptions import InputError, InputTypeError

Value: TypeAlias = Any  # a float, or an array
Values: TypeAlias = dict[str, Value]
Prior: TypeAlias = Any  # an object with logpdf, or a function to the log-density and its gradient

_STEP = np.finfo(float).eps ** (1 / 3)


@dataclass(frozen=True)
class Parameter:
    """A parameter, or an array of parameters under one name.

    Parameters
    ----------
    start : float or array_like
        Where the search starts. Its shape is that in which the model gets the value.
    transform : Transform, default Free()
        What is admissible, and how the search moves: `Free`, `Variance` (down to zero), `Positive`, `Interval`, `Stationary`
        (coefficients of an autoregression), `Covariance` and `Correlation` (matrices) of `ssmts.components.transforms`.
    prior : object or callable, optional
        A frozen distribution of `scipy.stats`, whose ``logpdf`` is summed over the entries of an array, or a function from the
        value to its log-density and the gradient of that. The density is one of the value as the model gets it, and so does
        not depend on the transform.

    Examples
    --------
    >>> from ssmts.components.transforms import Variance
    >>> Parameter(2.0, Variance()).start
    2.0
    """

    start: Value
    transform: Transform = field(default_factory=Free)
    prior: Prior = None

    def log_prior(self, value: Value) -> tuple[float, Array]:
        """Log-density of a value and its gradient; by differences of ``logpdf`` if that is all there is."""
        x = np.asarray(value, dtype=float)
        if self.prior is None:
            return 0.0, np.zeros(x.shape)
        if not hasattr(self.prior, "logpdf"):
            density, gradient = self.prior(value)
            return float(density), np.asarray(gradient, dtype=float).reshape(x.shape)
        density = float(np.sum(self.prior.logpdf(x)))
        if not np.isfinite(density):
            return -np.inf, np.zeros(x.shape)
        step = _STEP * np.where(x == 0, 1.0, np.abs(x))
        ahead, here, behind = (np.asarray(self.prior.logpdf(x + move)) for move in (step, 0 * step, -step))
        slope = np.where(np.isfinite(behind), (ahead - behind) / (2 * step), (ahead - here) / step)
        return density, np.where(np.isfinite(ahead), slope, (here - behind) / step)


class Moved:
    """Parameters as one vector of numbers that a search moves.

    Variances are moved as squares of such numbers, and covariance matrices as factors, so that what is zero or singular lies
    inside; everything else moves as its transform says.
    """

    def __init__(self, parameters: Mapping[str, Parameter], fix: Mapping[str, Value]) -> None:
        unknown = [name for name in fix if name not in parameters]
        if unknown:
            raise InputError(f"fix names {unknown[0]!r}; the parameters are {', '.join(parameters)}.")
        self.parameters = dict(parameters)
        self.fixed: Values = {name: _shaped(name, parameters[name], fix[name]) for name in fix}
        self.free = tuple(name for name in parameters if name not in fix)
        self.start: Values = {}
        places, ends, numbers = {}, [0], []
        for name in self.free:
            value = _shaped(name, parameters[name], parameters[name].start)
            moved = self._to_numbers(name, value)
            if isinstance(parameters[name].transform, Variance) and not np.all(moved > 0):
                raise InputError(
                    f"{name} starts at a variance of zero, which no search leaves: start above, or fix it."
                )
            self.start[name] = value
            places[name] = slice(ends[-1], ends[-1] + moved.size)
            ends.append(ends[-1] + moved.size)
            numbers.append(moved)
        self.places = places
        self.size = ends[-1]
        self.origin = np.concatenate([np.zeros(0), *numbers])

    def values(self, numbers: Array) -> Values:
        """Every parameter by name, those that are fixed too, in the order of declaration."""
        out = {}
        for name, parameter in self.parameters.items():
            if name in self.fixed:
                out[name] = self.fixed[name]
                continue
            own = numbers[self.places[name]]
            flat = own**2 if isinstance(parameter.transform, Variance) else parameter.transform.from_free(own)
            out[name] = _like(flat, self.start[name])
        return out

    def numbers(self, values: Mapping[str, Value]) -> Array:
        """The vector of these values."""
        parts = [self._to_numbers(name, _shaped(name, self.parameters[name], values[name])) for name in self.free]
        return np.concatenate([np.zeros(0), *parts])

    def _to_numbers(self, name: str, value: Value) -> Array:
        transform, flat = self.parameters[name].transform, np.ravel(np.asarray(value, dtype=float))
        return np.sqrt(flat) if isinstance(transform, Variance) else np.asarray(transform.to_free(flat))

    def jacobian(self, name: str, numbers: Array) -> Array:
        """Derivatives of the entries of a parameter (rows) with respect to its numbers."""
        own, transform = numbers[self.places[name]], self.parameters[name].transform
        return np.diag(2 * own) if isinstance(transform, Variance) else transform.jacobian(own)

    def limits(self) -> Array:
        """Range (n, 2) of each number."""
        out = np.tile([-np.inf, np.inf], (self.size, 1))
        for name in self.free:
            if not isinstance(self.parameters[name].transform, Variance):
                out[self.places[name]] = self.parameters[name].transform.limits
        return out

    def variances(self) -> npt.NDArray[np.bool_]:
        """Which numbers are roots of variances."""
        out = np.zeros(self.size, dtype=bool)
        for name in self.free:
            out[self.places[name]] = isinstance(self.parameters[name].transform, Variance)
        return out

    def on_boundary(self, name: str, numbers: Array) -> npt.NDArray[np.bool_]:
        """Which entries of a parameter have no room on one side, and so no standard error."""
        own, parameter = numbers[self.places[name]], self.parameters[name]
        if isinstance(parameter.transform, Variance):
            return np.asarray(own == 0)
        value = self.values(numbers)[name]
        n = np.size(value)
        if isinstance(parameter.transform, Covariance):
            roots = np.linalg.eigvalsh(value)
            return np.full(n, roots[0] <= 1e-9 * roots[-1])
        low, high = parameter.transform.limits
        return np.full(n, bool(np.any((own <= low + 1e-6) | (own >= high - 1e-6))))

    def labels(self) -> list[str]:
        """A name for each entry of each free parameter: ``var``, ``ar[0]``, ``cov[0, 1]``."""
        out = []
        for name in self.free:
            shape = np.shape(self.start[name])
            out += [name] if not shape else [f"{name}{list(place)}" for place in np.ndindex(*shape)]
        return out


def as_parameters(parameters: Mapping[str, Any]) -> dict[str, Parameter]:
    """Bare starting values become free parameters.

    Parameters
    ----------
    parameters : mapping of str to Parameter, float or array_like
    """
    if not isinstance(parameters, Mapping) or not parameters:
        raise InputTypeError(f"parameters must map names to Parameter(start, transform); received {parameters!r}.")
    return {name: p if isinstance(p, Parameter) else Parameter(p) for name, p in parameters.items()}


def _shaped(name: str, parameter: Parameter, given: Value) -> Value:
    try:
        value, wanted = np.asarray(given, dtype=float), np.shape(parameter.start)
    except (TypeError, ValueError):
        raise InputTypeError(f"{name} must be a number or an array of numbers; received {given!r}.") from None
    if value.shape != wanted:
        raise InputError(f"{name} has shape {wanted} at its start; received {value.shape}.")
    if not parameter.transform.contains(value.ravel()):
        raise InputError(f"{name} must be {parameter.transform.domain}; received {given!r}.")
    return float(value) if not value.shape else value


def _like(flat: Array, start: Value) -> Value:
    return float(flat[0]) if not np.ndim(start) else flat.reshape(np.shape(start))
