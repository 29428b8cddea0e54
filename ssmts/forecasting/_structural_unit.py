"""One fitted structural model: its state in time, on arrays.

Inside a unit the series is ``y - shift`` and covariates are ``(X - center) @ rotation``: centred, uncorrelated columns of
unit mean square over the observed training rows. Levels and coefficients are turned back where they are shown.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..components import Component, Composition
from ..components.transforms import Array
from ..core.gaussian import Packed, filter, forecast, pack, simulate, step
from ..core.gaussian._ahead import ahead as observations_ahead
from ..core.gaussian._forward import Pass, run
from ..core.types import FilterResult, ForecastResult, State, TimeVarying
from ._covariates import Covariates

_CHUNK = 2_000_000  # numbers of one field of a filter result that are held at a time

_SMALL = 40  # states


class StructuralUnit(NamedTuple):
    """Parameters and state of a structural model of one series."""

    components: tuple[Component, ...]
    parameters: tuple[float, ...]  # in the order of Composition.parameter_names
    free: tuple[bool, ...]  # which of them were estimated
    shift: float
    covariates: Covariates | None
    state: State  # of y - shift and of rotated covariates, for the next row
    loglik: float  # of the training rows
    n_observed: int
    n_diffuse: int
    converged: bool

    @property
    def n_estimated(self) -> int:
        """Estimated parameters and diffuse states."""
        return sum(self.free) + self.n_diffuse

    @property
    def n_effective(self) -> int:
        """Rows that count in Schwarz's criterion."""
        return self.n_observed


@lru_cache(maxsize=256)
def model_with(components: tuple[Component, ...]) -> Composition:
    """The sum of components, made once."""
    return Composition(components)


def _packed(components: tuple[Component, ...], parameters: tuple[float, ...]) -> Packed:
    return pack(model_with(components).build(np.array(parameters)))


_packed_small = lru_cache(maxsize=1024)(_packed)  # up to 100 kB each
_packed_large = lru_cache(maxsize=16)(_packed)


def ready(components: tuple[Component, ...], parameters: tuple[float, ...]) -> tuple[Composition, Packed]:
    """The model of a unit, and its matrices packed once; the covariates in them are zero."""
    model = model_with(components)
    return model, (_packed_small if model.n_states <= _SMALL else _packed_large)(components, parameters)


def model_of(unit: StructuralUnit) -> Composition:
    """The unit's model."""
    return model_with(unit.components)


def prior(unit: StructuralUnit) -> State:
    """The state before the first row."""
    return ready(unit.components, unit.parameters)[1].start


def serving(unit: StructuralUnit, Z: Array | None) -> Packed:
    """The unit's matrices for rows of rotated covariates."""
    model, packed = ready(unit.components, unit.parameters)
    return packed if Z is None else packed.replace(observation=TimeVarying(model.rows(Z)[:, None]))


def rotated(unit: StructuralUnit, X: Array | None) -> Array | None:
    """Covariates as the unit takes them."""
    if unit.covariates is None or X is None:
        return None
    return np.asarray((X - unit.covariates.center) @ unit.covariates.rotation)


def passes(unit: StructuralUnit, y: Array, X: Array | None, state: State) -> Iterator[FilterResult]:
    """Filter rows from a state on, a bounded number of them at a time."""
    Z, rows = rotated(unit, X), (y - unit.shift)[:, None]
    length = max(1, _CHUNK // len(state.mean) ** 2)
    for begin in range(0, len(rows), length):
        part = slice(begin, begin + length)
        done = filter(serving(unit, None if Z is None else Z[part]), rows[part], state=state)
        state = done.state
        yield done


def advance(unit: StructuralUnit, y: Array, X: Array | None, state: State) -> Pass:
    """Filter rows from a state on, storing nothing but the last state."""
    return run(serving(unit, rotated(unit, X)), (y - unit.shift)[:, None], None, state)


def update_unit(unit: StructuralUnit, y: Array, X: Array | None) -> StructuralUnit:
    """The unit after more rows; parameters stay."""
    if len(y) == 1 and unit.covariates is None:
        packed = (_packed_small if len(unit.state.mean) <= _SMALL else _packed_large)(unit.components, unit.parameters)
        return unit._replace(state=step(packed, unit.state, y - unit.shift)[0])
    return unit._replace(state=advance(unit, y, X, unit.state).state)


def one_step(unit: StructuralUnit, y: Array, X: Array | None, state: State | None = None) -> tuple[Array, Array]:
    """Mean and variance of each row given those before it; infinite variance while nothing is known.

    The rows are the training rows, or those that follow a state.
    """
    rows = model_of(unit).rows(rotated(unit, X), len(y))
    means, variances, done_rows = [], [], 0
    for done in passes(unit, y, X, prior(unit) if state is None else state):
        n = len(done.innovations)
        means.append(np.sum(rows[done_rows : done_rows + n] * done.predicted_mean[:n], axis=1) + unit.shift)
        variances.append(done.innovation_cov[:, 0, 0])
        done_rows += n
    mean, variance = np.concatenate(means), np.concatenate(variances)
    return mean, variance if state is not None else np.where(_start(unit, y), np.inf, variance)


def _start(unit: StructuralUnit, y: Array) -> NDArray[np.bool_]:
    """Rows before which fewer observed ones lie than there are vague states: nothing can be predicted yet."""
    seen = ~np.isnan(y)
    return np.asarray(np.cumsum(seen) - seen < model_of(unit).n_vague)


def standardised(unit: StructuralUnit, y: Array, X: Array | None) -> Array:
    """Standardised innovations of the observed rows after the diffuse start."""
    parts = []
    for done in passes(unit, y, X, prior(unit)):
        v, S = done.innovations[:, 0], done.innovation_cov[:, 0, 0]
        known = ~np.isnan(v) & np.isfinite(S) & (S > 0)
        parts.append(np.where(known, v, np.nan) / np.sqrt(np.where(known, S, 1.0)))
    out = np.where(_start(unit, y), np.nan, np.concatenate(parts))
    return out[~np.isnan(out)]


def ahead(unit: StructuralUnit, horizon: int, X: Array | None) -> ForecastResult:
    """Forecasts of ``y - shift`` and of the states."""
    return forecast(serving(unit, rotated(unit, X)), unit.state, horizon)


def ahead_seen(unit: StructuralUnit, horizon: int, X: Array | None) -> tuple[Array, Array]:
    """Means and variances of ``y - shift`` to come."""
    mean, cov = observations_ahead(serving(unit, rotated(unit, X)), unit.state, horizon)
    return mean[:, 0], cov[:, 0, 0]


def paths(unit: StructuralUnit, horizon: int, X: Array | None, n_paths: int, rng: np.random.Generator) -> Array:
    """Paths (n_paths, horizon) drawn jointly over the horizon."""
    draws = simulate(serving(unit, rotated(unit, X)), horizon, n_paths, rng, state=unit.state)[1]
    return np.asarray(draws[..., 0] + unit.shift)
