"""One fitted Gaussian process: its state in time, on arrays.

The state of a series on a grid is that of the next row. Without a grid nobody knows when that will be, and the state is that at the
last row. `gaps` always hold the time from the row before to each row; on a grid there are none.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

import numpy as np

from ..components.kernel_steps import steps_of
from ..components.kernels import Kernel
from ..components.transforms import Array
from ..core.gaussian import Packed, Stream, filter, simulate, step
from ..core.gaussian._ahead import ahead as observations_ahead
from ..core.gaussian._forward import run
from ..core.types import FilterResult, State, TimeVarying
from ..exceptions import NumericalError
from ._covariates import Covariates
from ._process_model import hyperparameters, over, ready, soundly

CHUNK = 1_000_000  # numbers of one field of a model or a result that are held at a time


class ProcessUnit(NamedTuple):
    """Parameters and state of a Gaussian process of one series."""

    kernel: Kernel
    obs_var: float
    constant: bool
    shift: float
    covariates: Covariates | None
    regular: bool  # whether rows are a step of length 1 apart
    state: State | None  # of y - shift: kernel, constant, coefficients of rotated covariates
    free: tuple[bool, ...]  # which of the hyperparameters and obs_var were estimated
    stderr: tuple[float, ...]  # of the same
    loglik: float  # of the training rows
    n_observed: int
    converged: bool

    @property
    def n_estimated(self) -> int:
        """Estimated hyperparameters, the mean and coefficients."""
        return sum(self.free) + n_effects(self)

    @property
    def n_effective(self) -> int:
        """Rows that count in Schwarz's criterion."""
        return self.n_observed


def parameters_of(unit: ProcessUnit) -> dict[str, float]:
    """Parameters by name."""
    leaves = unit.kernel.leaves
    found = {name: float(getattr(leaves[leaf], field)) for name, leaf, field in hyperparameters(unit.kernel)}
    return found | {"obs_var": unit.obs_var}


def n_effects(unit: ProcessUnit) -> int:
    """Constant and coefficients, of which nothing is known beforehand."""
    return int(unit.constant) + (0 if unit.covariates is None else unit.covariates.rotation.shape[1])


def rotated(unit: ProcessUnit, X: Array | None) -> Array | None:
    """Covariates as the unit takes them."""
    if unit.covariates is None or X is None:
        return None
    return np.asarray((X - unit.covariates.center) @ unit.covariates.rotation)


def served(unit: ProcessUnit, gaps: Array | None, X: Array | None) -> Packed:
    """The model of rows, `gaps` (n_times,) from each to the next."""
    return over(unit.kernel, unit.obs_var, unit.constant, gaps, rotated(unit, X))


def later(gaps: Array | None) -> Array | None:
    """Time to the next row instead of from the one before; none after the last."""
    return None if gaps is None else np.append(gaps[1:], 0.0)


def _led(gaps: Array | None, X: Array | None) -> tuple[Array | None, Array | None, int]:
    """Put a row without observation at the state's own time before the others, where that is not the first row's; how many."""
    if gaps is None or gaps[0] == 0:
        return gaps, X, 0
    return np.append(0.0, gaps), None if X is None else np.concatenate([X[:1], X]), 1


def filtered(unit: ProcessUnit, y: Array, gaps: Array | None, X: Array | None) -> ProcessUnit:
    """The unit at the end of its training rows."""
    unit = unit._replace(state=served(unit, None if gaps is None else np.zeros(1), None if X is None else X[:1]).start)
    loglik = 0.0
    for packed, rows in _pieces(unit, y, gaps, X):
        state, more = _advanced(packed, rows, unit.state)
        unit, loglik = unit._replace(state=state), loglik + more
    return unit._replace(loglik=loglik)


def _advanced(packed: Packed, rows: Array, state: State | None) -> tuple[State, float]:
    """State after rows, and their log-likelihood."""
    try:
        done = run(packed, rows, None, state)
    except NumericalError:
        careful = filter(packed, rows, method="square_root", state=state)
        return careful.state, careful.loglik
    return done.state, float(done.loglik)


def _filtered(packed: Packed, rows: Array, state: State) -> FilterResult:
    return soundly(lambda method: filter(packed, rows, method=method, state=state))


def _pieces(unit: ProcessUnit, y: Array, gaps: Array | None, X: Array | None) -> Iterator[tuple[Packed, Array]]:
    """Models and rows (n, 1), a bounded number at a time."""
    assert unit.state is not None
    length = max(1, CHUNK // len(unit.state.mean) ** 2)
    following, rows = later(gaps), (y - unit.shift)[:, None]
    for begin in range(0, len(rows), length):
        part = slice(begin, begin + length)
        yield served(unit, None if following is None else following[part], None if X is None else X[part]), rows[part]


def update_unit(unit: ProcessUnit, y: Array, gaps: Array | None, X: Array | None) -> ProcessUnit:
    """The unit after more rows; parameters stay."""
    assert unit.state is not None
    if len(y) == 1 and gaps is None and unit.covariates is None:
        return unit._replace(state=step(served(unit, None, None), unit.state, y - unit.shift)[0])
    if len(y) == 1 and gaps is not None and unit.covariates is None and not unit.state.rank:
        with suppress(NumericalError):
            return unit._replace(state=_later_row(unit, float(y[0]) - unit.shift, gaps))
    gaps, X, more = _led(gaps, X)
    for packed, rows in _pieces(unit, np.append(np.full(more, np.nan), y), gaps, X):
        unit = unit._replace(state=_advanced(packed, rows, unit.state)[0])
    return unit


def _later_row(unit: ProcessUnit, y: float, gaps: Array) -> State:
    """The state at a row that comes some time after the last one: what a stream of rows costs the least with."""
    assert unit.state is not None
    steps = steps_of(unit.kernel, gaps)
    F, Q, d = steps.transition[0], steps.process_cov[0], len(steps.observation)
    mean, cov = unit.state.mean.copy(), unit.state.cov.copy()
    mean[:d] = F @ mean[:d]
    cov[:d] = F @ cov[:d]
    cov[:, :d] = cov[:, :d] @ F.T
    cov[:d, :d] += Q
    still = ready(unit.kernel, unit.obs_var, unit.constant, 0, 0.0)
    stream = Stream(still, unit.state._replace(mean=mean, cov=(cov + cov.T) / 2))
    stream.step(y)
    return stream.state


def ahead_of(unit: ProcessUnit, gaps: Array | None, X: Array | None) -> tuple[Packed, int]:
    """The model of rows to come, and how many rows without observation lead to the first of them."""
    gaps, X, more = _led(gaps, X)
    return served(unit, later(gaps), X), more


def ahead(unit: ProcessUnit, n: int, gaps: Array | None, X: Array | None) -> tuple[Array, Array]:
    """Means and variances (n,) of rows to come."""
    assert unit.state is not None
    packed, more = ahead_of(unit, gaps, X)
    mean, cov = observations_ahead(packed, unit.state, n + more)
    return mean[more:, 0] + unit.shift, np.maximum(cov[more:, 0, 0], 0.0)


def paths(
    unit: ProcessUnit, n: int, gaps: Array | None, X: Array | None, n_paths: int, rng: np.random.Generator
) -> Array:
    """Paths (n_paths, n) drawn jointly over rows to come."""
    packed, more = ahead_of(unit, gaps, X)
    draws = simulate(packed, n + more, n_paths, rng, state=unit.state)[1]
    return np.asarray(draws[:, more:, 0] + unit.shift)


def passes(unit: ProcessUnit, y: Array, gaps: Array | None, X: Array | None) -> Iterator[tuple[Packed, FilterResult]]:
    """Filter training rows, a bounded number of them at a time."""
    state = served(unit, None if gaps is None else np.zeros(1), None if X is None else X[:1]).start
    for packed, rows in _pieces(unit, y, gaps, X):
        done = _filtered(packed, rows, state)
        state = done.state
        yield packed, done


def one_step(unit: ProcessUnit, y: Array, gaps: Array | None, X: Array | None) -> tuple[Array, Array]:
    """Mean and variance of each row given those before it; infinite variance while nothing is known."""
    means, variances = [], []
    for packed, done in passes(unit, y, gaps, X):
        H, n = packed.ssm.observation, len(done.innovations)
        rows = H.values[:, 0] if isinstance(H, TimeVarying) else np.asarray(H)[0]
        means.append(np.sum(rows * done.predicted_mean[:n], axis=1) + unit.shift)
        variances.append(np.maximum(done.innovation_cov[:, 0, 0], 0.0))
    return np.concatenate(means), np.concatenate(variances)


def standardised(unit: ProcessUnit, y: Array, gaps: Array | None, X: Array | None) -> Array:
    """Standardised innovations of the observed rows after the diffuse start."""
    mean, variance = one_step(unit, y, gaps, X)
    use = ~np.isnan(y) & np.isfinite(variance) & (variance > 0)
    return np.asarray((y[use] - mean[use]) / np.sqrt(variance[use]))
