"""One fitted ARIMA model: its state in time, on arrays."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from ..components.transforms import Array
from ..core.gaussian import Packed, pack, simulate, step
from ..core.gaussian._ahead import ahead as observations_ahead
from ..core.gaussian._forward import run
from ..core.types import State
from ..exceptions import InputError
from ._arima_likelihood import passes
from ._arima_model import matrices, moments, n_states
from ._arima_spec import Orders


class ARIMAUnit(NamedTuple):
    """Parameters and state of an ARIMA model of one series."""

    orders: tuple[Any, ...]  # of `Orders`
    coefficients: tuple[float, ...]  # of the polynomials, in the order of Orders.names
    constant: float  # mean of the differenced series
    variance: float
    effects: Array  # (n_columns,) of the covariates
    effects_stderr: Array  # (n_columns,), NaN where the rows do not determine them
    constant_stderr: float
    free: tuple[bool, ...]  # which of coefficients, constant and variance were estimated
    n_effects: int  # estimated: the rank of the covariates
    state: State  # of y less the covariates' part, for the next row
    loglik: float
    n_effective: int  # observed rows less those that the differences cost
    converged: bool

    @property
    def n_estimated(self) -> int:
        """Estimated parameters, and coefficients of covariates."""
        return sum(self.free) + self.n_effects


@lru_cache(maxsize=256)
def packed_with(orders: Orders, coefficients: tuple[float, ...], variance: float, constant: float) -> Packed:
    """The matrices of a model, packed once."""
    r = n_states(orders)
    found = moments(orders, np.array(coefficients), r, r)
    if found is None:
        raise InputError(f"The coefficients {coefficients} are not those of a stationary and invertible model.")
    return pack(matrices(orders, found, variance, constant))


def orders_of(unit: ARIMAUnit) -> Orders:
    """The unit's orders."""
    return Orders(*unit.orders)


def packed_of(unit: ARIMAUnit) -> Packed:
    """The unit's matrices."""
    return packed_with(orders_of(unit), unit.coefficients, unit.variance, unit.constant)


def _explained(unit: ARIMAUnit, X: Array | None, n: int) -> Array:
    return np.zeros(n) if X is None else np.asarray(X @ unit.effects)


def update_unit(unit: ARIMAUnit, y: Array, X: Array | None) -> ARIMAUnit:
    """The unit after more rows; parameters stay."""
    rows = y - _explained(unit, X, len(y))
    if len(y) == 1:
        return unit._replace(state=step(packed_of(unit), unit.state, rows)[0])
    return unit._replace(state=run(packed_of(unit), rows[:, None], None, unit.state).state)


def ahead(unit: ARIMAUnit, horizon: int, X: Array | None) -> tuple[Array, Array]:
    """Means and variances (horizon,) of the rows to come."""
    mean, cov = observations_ahead(packed_of(unit), unit.state, horizon)
    return mean[:, 0] + _explained(unit, X, horizon), cov[:, 0, 0]


def paths(unit: ARIMAUnit, horizon: int, X: Array | None, n_paths: int, rng: np.random.Generator) -> Array:
    """Paths (n_paths, horizon) drawn jointly over the horizon."""
    draws = simulate(packed_of(unit), horizon, n_paths, rng, state=unit.state)[1]
    return np.asarray(draws[..., 0] + _explained(unit, X, horizon))


def one_step(unit: ARIMAUnit, y: Array, X: Array | None, state: State | None = None) -> tuple[Array, Array]:
    """Mean and variance of each row given those before it; infinite variance while nothing is known.

    The rows are the training rows, or those that follow a state.
    """
    explained, means, variances = _explained(unit, X, len(y)), [], []
    for done in passes(packed_of(unit), y - explained, state):
        means.append(done.predicted_mean[: len(done.innovations), 0])
        variances.append(done.innovation_cov[:, 0, 0])
    return np.concatenate(means) + explained, np.concatenate(variances)


def standardised(unit: ARIMAUnit, y: Array, X: Array | None) -> Array:
    """Standardised innovations of the observed rows after the diffuse start."""
    mean, variance = one_step(unit, y, X)
    use = ~np.isnan(y) & np.isfinite(variance) & (variance > 0)
    return np.asarray((y[use] - mean[use]) / np.sqrt(variance[use]))
