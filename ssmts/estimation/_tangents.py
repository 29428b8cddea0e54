"""How the system matrices move with the parameters: from the model's builder alone, or as its author says."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ssmts.components.transforms import Variance
from ssmts.core.types import Array, LinearGaussianSSM, TimeVarying
from ssmts.estimation.parameters import Parameter, Values
from ssmts.exceptions import InputError, InputTypeError

Build = Callable[[Values], LinearGaussianSSM]
Derivative = Callable[[Values], Mapping[str, Mapping[str, Any]]]

_TINY = 1e-30
_WIDE, _NARROW = 1e-3, 6e-6  # steps of differences of fourth and of second order, relative


def numbers_of(field: Any) -> Array:
    """The numbers of a field, its time axis first if it has one."""
    return np.asarray(field.values if isinstance(field, TimeVarying) else field)


class Tangents:
    """The model at some parameter values, and the derivatives of its matrices.

    Parameters
    ----------
    build : callable
        From values by name to a model.
    parameters : mapping of str to Parameter
    free : sequence of str
        Names of the parameters to differentiate by.
    start : dict
        Values of all parameters, at which it is tried whether the builder takes complex numbers.
    derivative : callable, optional
        From values to ``{name: {field: derivative}}``, each of the shape of the parameter followed by that of the field.
    """

    def __init__(
        self,
        build: Build,
        parameters: Mapping[str, Parameter],
        free: Sequence[str],
        start: Values,
        derivative: Derivative | None = None,
    ) -> None:
        self.build, self.parameters, self.free, self.derivative = build, parameters, tuple(free), derivative
        self._check_fresh(start)
        self.complex = derivative is None and self._takes_complex(start)

    def model(self, values: Values) -> LinearGaussianSSM:
        """The model at these values."""
        ssm = self.build(values)
        if not isinstance(ssm, LinearGaussianSSM):
            raise InputTypeError(f"the builder returned {type(ssm).__name__}: it must return a LinearGaussianSSM.")
        return ssm

    def at(self, values: Values) -> tuple[LinearGaussianSSM, dict[str, dict[str, Array]]]:
        """The model, and of each parameter the derivatives of the fields that it moves, (n_entries, *shape of the field)."""
        ssm = self.model(values)
        if self.derivative is not None:
            return ssm, self._given(ssm, values)
        one = self._complex_step if self.complex else self._differences
        out: dict[str, dict[str, Array]] = {}
        for name in self.free:
            parts = [one(ssm, values, name, place) for place in np.ndindex(np.shape(values[name]))]
            fields = sorted({field for part in parts for field in part})
            out[name] = {
                f: np.stack([p.get(f, np.zeros(numbers_of(getattr(ssm, f)).shape)) for p in parts]) for f in fields
            }
        return ssm, out

    def _given(self, ssm: LinearGaussianSSM, values: Values) -> dict[str, dict[str, Array]]:
        assert self.derivative is not None
        out: dict[str, dict[str, Array]] = {name: {} for name in self.free}
        for name, fields in self.derivative(values).items():
            if name not in out:
                continue
            for field, slope in fields.items():
                if field not in LinearGaussianSSM._fields or getattr(ssm, field) is None:
                    raise InputError(
                        f"the derivative with respect to {name} names {field!r}, which the model does not have."
                    )
                shape, size = numbers_of(getattr(ssm, field)).shape, np.size(values[name])
                given = numbers_of(slope)
                if given.shape != np.shape(values[name]) + shape:
                    raise InputError(
                        f"the derivative of {field} with respect to {name} must have shape {np.shape(values[name]) + shape}; "
                        f"received {given.shape}."
                    )
                out[name][field] = given.reshape(size, *shape)
        return out

    def _moved(self, values: Values, name: str, place: tuple[int, ...], step: complex) -> LinearGaussianSSM:
        moved = np.array(values[name], dtype=complex if isinstance(step, complex) else float)
        moved[place] += step
        return self.build(values | {name: moved if moved.shape else moved.item()})

    def _complex_step(
        self, ssm: LinearGaussianSSM, values: Values, name: str, place: tuple[int, ...]
    ) -> dict[str, Array]:
        moved = self._moved(values, name, place, complex(0.0, _TINY))
        return _changed(ssm, lambda field: numbers_of(getattr(moved, field)).imag / _TINY)

    def _differences(
        self, ssm: LinearGaussianSSM, values: Values, name: str, place: tuple[int, ...]
    ) -> dict[str, Array]:
        """Central differences of fourth order; of second order and forward where there is no room behind."""
        x = float(np.asarray(values[name])[place])
        size = max(abs(x), 1e-3 * abs(float(np.asarray(self.parameters[name].start)[place])), 1e-8)
        forward = isinstance(self.parameters[name].transform, Variance) and x < 3 * _WIDE * size
        h = (_NARROW if forward else _WIDE) * size
        weights = {0: -1.5, 1: 2.0, 2: -0.5} if forward else {-2: 1 / 12, -1: -2 / 3, 1: 2 / 3, 2: -1 / 12}
        models = {k: self._moved(values, name, place, k * h) for k in weights if k}

        def slope(field: str) -> Array:  # the weights add up to zero, and a field that does not move gives exactly that
            here = numbers_of(getattr(ssm, field))
            return np.asarray(sum(weights[k] / h * (numbers_of(getattr(m, field)) - here) for k, m in models.items()))

        return _changed(ssm, slope)

    def _check_fresh(self, values: Values) -> None:
        """A builder that writes into the arrays of its last answer would make every difference zero."""
        ssm = self.model(values)
        before = [None if field is None else numbers_of(field).copy() for field in ssm]
        for name in self.free:
            start = np.asarray(values[name])
            self.build(values | {name: start * (1 + _NARROW) if start.shape else float(start * (1 + _NARROW))})
            for field, old, new in zip(LinearGaussianSSM._fields, before, ssm):
                if old is not None and not np.array_equal(old, numbers_of(new), equal_nan=True):
                    raise InputError(
                        f"the builder writes into {field} of a model that it has returned: it must make new arrays."
                    )

    def _takes_complex(self, values: Values) -> bool:
        """Whether a complex step gives what differences give. Builders may answer complex numbers with any error."""
        ssm = self.model(values)
        for name in self.free:
            for place in np.ndindex(np.shape(values[name])):
                try:
                    with warnings.catch_warnings():
                        warnings.simplefilter("error")
                        exact = self._complex_step(ssm, values, name, place)
                except Exception:
                    return False
                near = self._differences(ssm, values, name, place)
                for field in exact.keys() | near.keys():
                    a, b = (slopes.get(field, np.zeros(1)) for slopes in (exact, near))
                    scale = max(np.abs(a).max(), np.abs(b).max())
                    noise = 1e-9 * np.abs(numbers_of(getattr(ssm, field))).max() / max(np.abs(values[name]).max(), 1e-8)
                    if not np.all(np.abs(a - b) <= 1e-5 * scale + noise):
                        return False
        return True


def _changed(ssm: LinearGaussianSSM, slope: Callable[[str], Array]) -> dict[str, Array]:
    """The derivatives of the fields that change."""
    out = {}
    for field in LinearGaussianSSM._fields:
        if getattr(ssm, field) is not None:
            values = slope(field)
            if values.any():
                if field == "initial_diffuse_cov":
                    raise InputError("initial_diffuse_cov depends on a parameter: what is infinite must not.")
                out[field] = values
    return out
