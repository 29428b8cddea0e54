"""Structural models of sensors: robust estimation, and innovations from a filter that neither spikes nor shifts lock up."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from joblib import Parallel, delayed
from sklearn.base import clone

from ssmts.core.gaussian import smooth
from ssmts.core.gaussian._filter import advance, innovate
from ssmts.core.gaussian._forward import begin, unresolved, unsound
from ssmts.core.gaussian._recursions import unpack
from ssmts.core.types import Array, Index, State
from ssmts.detection.local_level import Innovations, bounded_loss
from ssmts.detection.robust import GATE, LARGEST, clipped, kernel, persistent, weight
from ssmts.exceptions import InputError, InputTypeError, SsmtsError
from ssmts.forecasting._structural_unit import StructuralUnit, prior, ready
from ssmts.forecasting.structural import StructuralForecaster

GROSS = 5.0  # robust standard deviations from which on a training reading is masked
ROUNDS = 12  # fits at most, each with the readings masked that stood out of the one before
SLOWER = (
    1.0,
    0.1,
    0.01,
    0.001,
)  # factors tried on the process variances, which a shift among the training rows inflates
NEAR = 3000  # training rows that the state of the first one is taken from


class Structural(NamedTuple):
    """Parameters of every sensor.

    Attributes
    ----------
    units : tuple of StructuralUnit
        The state in them is not used.
    starts : tuple of State
        Predictions of the first training row, from all of them but those that stood out.
    directions : tuple of arrays (n_states,)
        Where the state of each sensor goes when the level of its readings moves by one.
    """

    units: tuple[StructuralUnit, ...]
    starts: tuple[State, ...]
    directions: tuple[Array, ...]


class StructuralState(NamedTuple):
    """What is known of every sensor after its last row.

    Attributes
    ----------
    states : tuple of State
        Predictions of the next row.
    rise, fall : (n_sensors,)
        Evidence that the level has shifted up or down, see `ssmts.detection.robust`.
    lead : float
        How many intervals the model is ahead of the clock.
    """

    states: tuple[State, ...]
    rise: Array
    fall: Array
    lead: float


def fit(
    template: StructuralForecaster, y: Array, steps: Array, patience: int, names: Sequence[str] | None = None
) -> Structural:
    """Estimate the model of every sensor by maximum likelihood without the readings that stand out.

    The likelihood is not robust by itself: readings of which the innovation exceeds five robust standard deviations are masked
    and the model is fitted again, until the same ones stand out. The variances that were estimated are brought to the scale of the
    bulk of the innovations, those of the process to the tenth, hundredth or thousandth if that lowers the bounded loss by which
    local levels are fitted: after a shift the likelihood takes the level for restless, but the filter restarts.

    Parameters
    ----------
    template : StructuralForecaster
        Cloned for every sensor; without `target_transform`.
    y : (n_times, n_sensors)
    steps : (n_times,)
        Usual intervals that went by since the row before.
    patience : int
        See `run`.
    names : sequence of str, optional
        What sensors are called in messages; their numbers by default.

    Raises
    ------
    InputError
        If the template has a transformation, or no level that could follow a shift.
    TooShortError
        If a sensor has fewer readings than the model needs.
    """
    if not isinstance(template, StructuralForecaster):
        raise InputTypeError(f'model must be "local_level" or a StructuralForecaster; received {template!r}.')
    if template.target_transform is not None:
        raise InputError(
            "The model of a detector works on the readings as they are; received a forecaster with target_transform="
            f"{template.target_transform!r}. Transform the rows instead and leave it None."
        )
    called = [str(i) for i in range(y.shape[1])] if names is None else names
    tasks = (delayed(_fit_sensor)(template, name, y[:, i], steps, patience) for i, name in enumerate(called))
    parts = Parallel(n_jobs=template.n_jobs, prefer="threads")(tasks)
    return Structural(*(tuple(part) for part in zip(*parts)))


def _fit_sensor(
    template: StructuralForecaster, name: str, y: Array, steps: Array, patience: int
) -> tuple[StructuralUnit, State, Array]:
    masked = np.zeros(len(y), dtype=bool)
    at = np.cumsum(_moves(steps, 0.0)[0]) - 1
    for _ in range(ROUNDS):
        grid = np.full(at[-1] + 1, np.nan)
        grid[at] = np.where(masked, np.nan, y)
        try:
            fitted = clone(template).set_params(freq=None).fit(grid)
        except SsmtsError as error:
            if masked.any():  # what is left does not determine the model any more
                break
            raise type(error)(f"Sensor {name}: {error}") from error
        model, z = _rescaled(fitted.units_[0], grid, y, steps, patience)
        size = np.abs(np.nan_to_num(z))
        # The largest first: they may have made others stand out.
        largest = size > size[~masked].max(initial=0.0) / 3
        before, masked = masked, (size > GROSS) & (masked | largest)
        if np.array_equal(masked, before):
            break
    return model.units[0], model.starts[0], model.directions[0]


def _rescaled(unit: StructuralUnit, grid: Array, y: Array, steps: Array, patience: int) -> tuple[Structural, Array]:
    """The model with the process variances of least loss and all variances to the scale of the bulk, and its innovations."""
    composition = ready(unit.components, unit.parameters)[0]
    values = np.array(unit.parameters)
    free = composition.is_variance & np.array(unit.free)
    process = free & (np.array(composition.parameter_names) != "obs_var")
    found = []
    for factor in SLOWER if process.any() else SLOWER[:1]:
        slower = np.where(process, factor * values, values)
        model = _sensor_model(unit, slower, grid)
        innovations, _ = run(model, start(model), y[:, None], steps, patience, full=True)
        loss, scale = bounded_loss(innovations)
        found.append((loss, np.where(free, scale**2 * slower, slower), innovations.z[:, 0] / scale))
    _, best, z = min(found, key=lambda one: one[0])
    return _sensor_model(unit, best, grid), z


def _sensor_model(unit: StructuralUnit, parameters: Array, grid: Array) -> Structural:
    """The model of one sensor at other parameter values."""
    unit = unit._replace(parameters=tuple(parameters.tolist()))
    return Structural((unit,), (_opening(unit, grid),), (_direction(unit),))


def _opening(unit: StructuralUnit, grid: Array) -> State:
    """The state of the first row given all rows near it: a diffuse start would take its first readings, right or wrong, as they are."""
    smoothed = smooth(ready(unit.components, unit.parameters)[1], grid[:NEAR, None] - unit.shift)
    mean, cov = smoothed.smoothed_mean[0], smoothed.smoothed_cov[0]
    if not (np.isfinite(mean).all() and np.isfinite(cov).all()):
        return prior(unit)
    return State(mean, cov, np.zeros_like(cov), 0)


def _direction(unit: StructuralUnit) -> Array:
    """The shortest direction d that stays where it is, F d = d, and moves the readings one to one, H d = 1."""
    ssm = ready(unit.components, unit.parameters)[1].ssm
    F, H = np.asarray(ssm.transition), np.asarray(ssm.observation)
    system = np.vstack([F - np.eye(len(F)), H])
    target = np.append(np.zeros(len(F)), 1.0)
    d = np.linalg.lstsq(system, target, rcond=None)[0]
    if np.abs(system @ d - target).max() > 1e-6:
        raise InputError(
            'The model has no level, so that it would alarm for ever after a shift. Use a trend such as "local_level".'
        )
    return np.asarray(d)


def start(model: Structural) -> StructuralState:
    """The state before the first training row."""
    zeros = np.zeros(len(model.units))
    return StructuralState(model.starts, zeros, zeros, 0.0)


def run(
    model: Structural, state: StructuralState, y: Array, steps: Array, patience: int, *, full: bool = False
) -> tuple[Innovations, StructuralState]:
    """Innovations of each row given the rows before it, and the state after the last; `state` is left as it is.

    Weights and restarts as in `ssmts.detection.local_level.run`. The model has a regular grid: a gap of k intervals is k - 1 rows
    without reading, a duplicate counts as the next row until a gap makes up for it.

    Parameters
    ----------
    model : Structural
    state : StructuralState
    y : (n_times, n_sensors)
    steps : (n_times,)
    patience : int
    full : bool, default False
        Whether to keep `expected` and `sd` too; otherwise they have no rows.
    """
    n, d = y.shape
    kept = n if full else 0
    out = Innovations(np.empty((kept, d)), np.empty((kept, d)), np.empty((n, d)))
    moves, lead = _moves(steps, state.lead)
    states, rise, fall = [], np.empty(d), np.empty(d)
    for i, unit in enumerate(model.units):
        packed = ready(unit.components, unit.parameters)[1]
        m, P, A = begin(packed, state.states[i])
        expected, sd, z = np.empty(n), np.empty(n), np.empty(n)
        done = _filter(
            packed.layout, packed.values, packed.offset, y[:, i] - unit.shift, moves, model.directions[i], m, P, A,
            state.rise[i], state.fall[i], float(patience), expected, sd, z,
        )  # fmt: skip
        A, t, wrong, rise[i], fall[i] = done
        if wrong:
            raise unsound(t, wrong, m, P)
        states.append(State(m, P, unresolved(A, A.shape[1]), A.shape[1]))
        out.z[:, i] = z
        if full:
            out.expected[:, i], out.sd[:, i] = expected + unit.shift, sd
    return out, StructuralState(tuple(states), rise, fall, lead)


@kernel
def _filter(
    index: Index, value: Array, b: Array, y: Array, moves: Index, direction: Array, m: Array, P: Array, A: Array,
    rise: float, fall: float, patience: float, expected: Array, sd: Array, z: Array,
) -> tuple[Array, int, int, float, float]:  # fmt: skip
    """Filter the readings of one sensor, moving m, P, A to the row after them.

    Returns (diffuse factor, last row, what went wrong there, rise, fall).
    """
    value = value.copy()  # the noise of a reading beyond the gate is raised in place
    model = unpack(index)
    row, v, S, W = np.empty((1, 1)), np.empty(1), np.empty((1, 1)), np.empty((m.size, m.size))
    wrong = 0
    for t in range(y.size):
        row[0, 0] = np.nan
        for _ in range(moves[t] - 1):
            A, wrong = _advance(index, value, b, row, m, P, A, v, S)
        row[0, 0] = 0.0
        innovate(index, value, model, row, m, P, W, v, S)
        known, mean, total = A.shape[1] == 0, -v[0], S[0, 0]
        expected[t], sd[t], z[t] = (mean, math.sqrt(total), np.nan) if known else (np.nan, np.nan, np.nan)
        row[0, 0] = y[t]
        noise, jump = value[model.R], 0.0
        if known and not math.isnan(y[t]):
            z[t] = min(max((y[t] - mean) / sd[t], -LARGEST), LARGEST)
            rise, fall = clipped(z[t], rise, fall)
            if persistent(rise, fall, patience):
                rise, fall, jump, row[0, 0] = 0.0, 0.0, y[t] - mean, np.nan
            else:
                value[model.R] += total * (1.0 / weight(z[t]) ** 2 - 1.0)
        if not wrong:
            A, wrong = _advance(index, value, b, row, m, P, A, v, S)
        value[model.R] = noise
        if wrong:
            return A, t, wrong, rise, fall
        if jump != 0.0:
            _restart(direction, jump, total, m, P)
    return A, y.size, 0, rise, fall


@kernel
def _advance(
    index: Index, value: Array, b: Array, row: Array, m: Array, P: Array, A: Array, v: Array, S: Array
) -> tuple[Array, int]:
    """Move m, P, A over one row; returns what of A is still diffuse, and what went wrong."""
    _, rank, wrong = advance(index, value, b, row, m, P, A, v, S)
    return (A if rank == A.shape[1] else np.ascontiguousarray(A[:, :rank])), wrong


@kernel
def _restart(direction: Array, jump: float, total: float, m: Array, P: Array) -> None:
    """Move the level by a jump that may itself be off by `GATE` standard deviations."""
    for i in range(m.size):
        m[i] += jump * direction[i]
        for j in range(m.size):
            P[i, j] += GATE * GATE * total * direction[i] * direction[j]


def _moves(steps: Array, lead: float) -> tuple[Index, float]:
    """Whole steps of the model for each row, at least one, and how far it is ahead of the clock at the end."""
    moves = []
    for gap in steps:
        move = max(1, round(gap - lead))
        lead += move - gap
        lead = lead if abs(lead) > 0.5 else 0.0
        moves.append(move)
    return np.array(moves, dtype=np.int64), lead
