"""Structural models of sensors: robust estimation, and innovations from a filter that neither spikes nor shifts lock up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from joblib import Parallel, delayed
from sklearn.base import clone

from ssmts.core.gaussian import step
from ssmts.core.types import Array, State
from ssmts.detection.local_level import Innovations, bounded_scale
from ssmts.detection.robust import GATE, LARGEST, clipped, persistent, weight
from ssmts.exceptions import InputError, SsmtsError
from ssmts.forecasting._structural_unit import StructuralUnit, prior, ready

if TYPE_CHECKING:
    from ssmts.forecasting.structural import StructuralForecaster

GROSS = 5.0  # robust standard deviations from which on a training reading is masked
ROUNDS = 4  # fits at most, each with the readings masked that stood out of the one before


class Structural(NamedTuple):
    """Parameters of every sensor.

    Attributes
    ----------
    units : tuple of StructuralUnit
        The state in them is not used.
    shift : (n_sensors, ...) tuple of arrays
        For each sensor the direction in which its state moves when the level of the readings does, (n_states,).
    """

    units: tuple[StructuralUnit, ...]
    shift: tuple[Array, ...]


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
    and the model is fitted again, until the same ones stand out. All variances are then brought to the scale of the bulk
    of the innovations, as those of a local level are.

    Parameters
    ----------
    template : StructuralForecaster
        Cloned for every sensor; without `transform`.
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
    if template.transform is not None:
        raise InputError(
            "The model of a detector works on the readings as they are; received a forecaster with transform="
            f"{template.transform!r}. Transform the rows instead and leave transform=None."
        )
    called = [str(i) for i in range(y.shape[1])] if names is None else names
    tasks = (delayed(_fit_sensor)(template, name, y[:, i], steps, patience) for i, name in enumerate(called))
    units = tuple(Parallel(n_jobs=template.n_jobs, prefer="threads")(tasks))
    return Structural(units, tuple(_direction(unit) for unit in units))


def _fit_sensor(template: StructuralForecaster, name: str, y: Array, steps: Array, patience: int) -> StructuralUnit:
    masked = np.zeros(len(y), dtype=bool)
    for _ in range(ROUNDS):
        try:
            fitted = clone(template).set_params(freq=None).fit(np.where(masked, np.nan, y))
        except SsmtsError as error:
            raise type(error)(f"Sensor {name}: {error}") from error
        unit: StructuralUnit = fitted.units_[0]
        model = Structural((unit,), (_direction(unit),))
        z = run(model, start(model), y[:, None], steps, patience)[0].z[:, 0]
        scale = bounded_scale(z)
        before, masked = masked, np.abs(z) > GROSS * scale
        if np.array_equal(masked, before):
            break
    variances = ready(unit.components, unit.parameters)[0].is_variance
    scaled = np.where(variances, scale**2, 1.0) * np.array(unit.parameters)
    return unit._replace(parameters=tuple(scaled.tolist()))


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
    """The state before the first row: nothing is known."""
    zeros = np.zeros(len(model.units))
    return StructuralState(tuple(prior(unit) for unit in model.units), zeros, zeros, 0.0)


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
    states, rise, fall = list(state.states), state.rise.copy(), state.fall.copy()
    for i, unit in enumerate(model.units):
        sensor = _Sensor(unit, model.shift[i], patience)
        for t in range(n):
            for _ in range(moves[t] - 1):
                states[i] = step(sensor.packed, states[i], [np.nan])[0]
            if full:
                out.expected[t, i], out.sd[t, i] = sensor.predicted(states[i])
            out.z[t, i], states[i], rise[i], fall[i] = sensor.learn(states[i], y[t, i], rise[i], fall[i])
    return out, StructuralState(tuple(states), rise, fall, lead)


def _moves(steps: Array, lead: float) -> tuple[list[int], float]:
    """Whole steps of the model for each row, at least one, and how far it is ahead of the clock at the end."""
    moves = []
    for gap in steps:
        move = max(1, round(gap - lead))
        lead += move - gap
        lead = lead if abs(lead) > 0.5 else 0.0
        moves.append(move)
    return moves, lead


class _Sensor:
    """One sensor's model, ready to filter."""

    def __init__(self, unit: StructuralUnit, direction: Array, patience: int) -> None:
        self.packed = ready(unit.components, unit.parameters)[1]
        self.origin, self.direction, self.patience = unit.shift, direction, float(patience)

    def predicted(self, state: State) -> tuple[float, float]:
        """Mean and standard deviation of the next reading; NaN and inf while nothing is known."""
        innovation = step(self.packed, state, [0.0])[1]
        S = float(innovation.cov[0, 0])
        return (self.origin - float(innovation.value[0]), np.sqrt(S)) if np.isfinite(S) else (np.nan, np.inf)

    def learn(self, state: State, y: float, rise: float, fall: float) -> tuple[float, State, float, float]:
        """The standardised innovation of a reading, and the state, rise and fall after it."""
        after, innovation = step(self.packed, state, [y - self.origin])
        v, S = float(innovation.value[0]), float(innovation.cov[0, 0])
        if not (np.isfinite(v) and np.isfinite(S)):
            return np.nan, after, rise, fall
        z = float(np.clip(v / np.sqrt(S), -LARGEST, LARGEST))
        rise, fall = clipped(z, rise, fall)
        if persistent(rise, fall, self.patience):
            after = step(self.packed, state, [np.nan])[0]
            opened = after.cov + GATE**2 * S * np.outer(self.direction, self.direction)
            return z, after._replace(mean=after.mean + v * self.direction, cov=opened), 0.0, 0.0
        w = weight(z)
        if w < 1:
            noise = np.asarray(self.packed.ssm.obs_cov) + S * (1 / w**2 - 1)
            after = step(self.packed.replace(obs_cov=noise), state, [y - self.origin])[0]
        return z, after, rise, fall
