"""Structural models of sensors: robust estimation, and innovations from a filter that neither spikes nor shifts lock up."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from joblib import Parallel, delayed
from sklearn.base import clone

from ssmts.core.gaussian import filter, smooth, step
from ssmts.core.types import Array, State
from ssmts.detection.grid import moves, on_grid
from ssmts.detection.local_level import RESOLUTION, Innovations, bounded_loss
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
LONGEST, CHUNK = 512, 2_000_000  # rows, and numbers in the covariances of all rows, that are filtered at once
NEAR = 3000  # training rows that the state of the first one is taken from


class Structural(NamedTuple):
    """Parameters of every sensor.

    Attributes
    ----------
    units : tuple of StructuralUnit
        The state in them is not used.
    starts : tuple of State
        Predictions of the first training row.
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
    check(template)
    called = [str(i) for i in range(y.shape[1])] if names is None else names
    tasks = (delayed(_fit_sensor)(template, name, y[:, i], steps, patience) for i, name in enumerate(called))
    parts = Parallel(n_jobs=template.n_jobs, prefer="threads")(tasks)
    return Structural(*(tuple(part) for part in zip(*parts)))


def check(template: Any) -> None:
    """Refuse what is no structural model of the readings as they are."""
    if not isinstance(template, StructuralForecaster):
        raise InputTypeError(f'model must be "local_level" or a StructuralForecaster; received {template!r}.')
    if template.target_transform is not None:
        raise InputError(
            "The model of a detector works on the readings as they are; received a forecaster with target_transform="
            f"{template.target_transform!r}. Transform the rows instead and leave it None."
        )


def _fit_sensor(
    template: StructuralForecaster, name: str, y: Array, steps: Array, patience: int
) -> tuple[StructuralUnit, State, Array]:
    masked = np.zeros(len(y), dtype=bool)
    taken = moves(steps, 0.0)[0]
    for _ in range(ROUNDS):
        grid = on_grid(np.where(masked, np.nan, y), taken)
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
        scale = max(
            scale, RESOLUTION * np.nanmax(np.abs(y)) / np.nanmedian(innovations.sd)
        )  # no model of rounding errors
        found.append((loss, np.where(free, scale**2 * slower, slower), innovations.z[:, 0] / scale))
    _, best, z = min(found, key=lambda one: one[0])
    return _sensor_model(unit, best, grid), z


def _sensor_model(unit: StructuralUnit, parameters: Array, grid: Array) -> Structural:
    """The model of one sensor at other parameter values."""
    unit = unit._replace(parameters=tuple(parameters.tolist()))
    return Structural((unit,), (_opening(unit, grid),), (_direction(unit),))


def _opening(unit: StructuralUnit, grid: Array) -> State:
    """The state of the first row where the rows around it put it, as uncertain as a prediction is after as many rows.

    A diffuse start would take the first readings, right or wrong, as they are.
    """
    packed, rows = ready(unit.components, unit.parameters)[1], grid[:NEAR, None] - unit.shift
    last = filter(packed, rows).state
    if last.rank:
        return prior(unit)
    return last._replace(mean=smooth(packed, rows).smoothed_mean[0])


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
    taken, lead = moves(steps, state.lead)
    states, rise, fall = list(state.states), state.rise.copy(), state.fall.copy()
    for i, unit in enumerate(model.units):
        sensor = _Sensor(unit, model.directions[i], patience, states[i], rise[i], fall[i])
        told = sensor.filter(on_grid(y[:, i], taken) - unit.shift)[np.cumsum(taken) - 1]
        states[i], rise[i], fall[i] = sensor.state, sensor.rise, sensor.fall
        out.z[:, i] = told[:, 2]
        if full:
            out.expected[:, i], out.sd[:, i] = told[:, 0] + unit.shift, told[:, 1]
    return out, StructuralState(tuple(states), rise, fall, lead)


class _Sensor:
    """One sensor's filter, in its state after the last row."""

    def __init__(
        self, unit: StructuralUnit, direction: Array, patience: int, state: State, rise: float, fall: float
    ) -> None:
        self.packed = ready(unit.components, unit.parameters)[1]
        self.row = np.asarray(self.packed.ssm.observation)[0]
        self.direction, self.patience = direction, float(patience)
        self.state, self.rise, self.fall = state, rise, fall

    def filter(self, y: Array) -> Array:
        """Expected value, standard deviation and innovation of each reading, (n_times, 3), moving the state on.

        Blocks of rows go through the ordinary filter, up to the first innovation that is to be treated otherwise.
        """
        out, t, size = np.empty((len(y), 3)), 0, 1
        largest = max(1, min(LONGEST, CHUNK // len(self.row) ** 2))
        while t < len(y):
            if size == 1:
                out[t] = self._one(y[t])
                usual = not abs(out[t, 2]) > GATE
                t, size = t + 1, min(8, largest) if usual else 1
                continue
            block = y[t : t + size, None]
            done = filter(self.packed, block, state=self.state)
            told = _standardised(done.predicted_mean[:-1] @ self.row, done.innovation_cov[:, 0, 0], block[:, 0])
            usual, self.rise, self.fall = _until_unusual(told[:, 2], self.rise, self.fall, self.patience)
            out[t : t + usual] = told[:usual]
            if usual < len(block):
                size = 1
                self.state = filter(self.packed, block[:usual], state=self.state).state if usual else self.state
            else:
                size = min(2 * size, largest)
                self.state = done.state
            t += usual
        return out

    def _one(self, y: float) -> Array:
        """The same of one reading, of whatever size."""
        after, innovation = step(self.packed, self.state, [y])
        S = float(innovation.cov[0, 0])
        told = _standardised(self.row @ self.state.mean, S, y)
        if np.isnan(told[2]):
            self.state = after
            return told
        self.rise, self.fall = clipped(told[2], self.rise, self.fall)
        w = weight(told[2]) ** 2
        if persistent(self.rise, self.fall, self.patience):
            after = step(self.packed, self.state, [np.nan])[0]
            opened = after.cov + GATE**2 * S * np.outer(self.direction, self.direction)
            after = after._replace(mean=after.mean + (y - told[0]) * self.direction, cov=opened)
            self.rise = self.fall = 0.0
        elif w < 1:
            # An innovation variance of S / w takes the share w of the step that S would take.
            without = step(self.packed, self.state, [np.nan])[0]
            mean, cov = ((1 - w) * a + w * b for a, b in ((without.mean, after.mean), (without.cov, after.cov)))
            after = after._replace(mean=mean, cov=cov)
        self.state = after
        return told


def _standardised(mean: Any, S: Any, y: Any) -> Array:
    """Mean, standard deviation and innovation of readings, (..., 3); NaN while nothing is known."""
    sd = np.sqrt(np.where(np.isfinite(S), S, np.nan))
    z = np.clip((y - mean) / sd, -LARGEST, LARGEST)
    return np.stack([np.where(np.isnan(sd), np.nan, mean), sd, z], axis=-1)


@kernel
def _until_unusual(z: Array, rise: float, fall: float, patience: float) -> tuple[int, float, float]:
    """How many innovations come before one beyond the gate or one that makes a restart, and rise and fall before it."""
    for t in range(z.size):
        if math.isnan(z[t]):
            continue
        up, down = clipped(z[t], rise, fall)
        if abs(z[t]) > GATE or persistent(up, down, patience):
            return t, rise, fall
        rise, fall = up, down
    return z.size, rise, fall
