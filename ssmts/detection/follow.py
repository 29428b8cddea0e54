"""A forecaster on its way over rows: what it expected of each, and what it is given to learn of it.

Everything is on the scale of the forecaster's model, behind its target transformation.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ssmts.base import BaseForecaster
from ssmts.core.types import Array, Index
from ssmts.detection.gate import Evidence, decide, nothing, sweep, until_unusual
from ssmts.detection.grid import on_grid
from ssmts.detection.predictive import Predictive, normal, predictive
from ssmts.detection.robust import LARGEST
from ssmts.exceptions import InputError
from ssmts.panel import SeriesRows

LONGEST, SILENT = 512, 65536  # rows that are asked for, and missing rows that are learnt, at once
SWEEPS = 50  # rounds in which the readings that a pass over the training rows holds back may change


class Rules(NamedTuple):
    """What of a reading is believed.

    Attributes
    ----------
    gates : (n_sensors,)
        Normal score up to which a reading is given to the forecaster.
    floors : (n_sensors,)
        Least standard deviation.
    patience : int
        See `ssmts.detection.gate`.
    """

    gates: Array
    floors: Array
    patience: int


class Stand(NamedTuple):
    """Where a forecaster stands.

    Attributes
    ----------
    moved : dict
        Attributes of the forecaster that changed since fit.
    evidence : Evidence
    """

    moved: dict[str, Any]
    evidence: Evidence


class Told(NamedTuple):
    """What was expected of readings.

    Attributes
    ----------
    z : (n_times, n_sensors)
        Normal score of each reading on the caller's scale, NaN where there is none.
    expected : tuple of Predictive
        Distributions of the rows, one part after the other, on the scale of the model; none unless asked for.
    """

    z: Array
    expected: tuple[Predictive, ...]


def begin(patience: int, n_sensors: int) -> Stand:
    """Where a forecaster stands after `fit`."""
    return Stand({}, nothing(patience, n_sensors))


def follow(
    forecaster: BaseForecaster,
    rules: Rules,
    stand: Stand,
    y: Array,
    X: Array | None,
    taken: Array | Index,
    *,
    full: bool = False,
) -> tuple[Told, Stand]:
    """Ask for every row given those before it, then learn from it; neither `forecaster` nor `stand` changes.

    Rows are asked for in blocks where the forecaster has this and nothing in them is unusual, one by one otherwise.

    Parameters
    ----------
    forecaster : BaseForecaster
        Fitted on one series.
    rules : Rules
    stand : Stand
    y : (n_times, n_sensors)
    X : (n_times, n_covariates) or None
    taken : (n_times,)
        Whole steps, or any positive numbers where the forecaster has no grid.
        Steps of the model for each row, see `ssmts.detection.grid`.
    full : bool, default False
        Whether to tell the distributions too.
    """
    way = _Way(forecaster, rules, stand, full)
    return way.over(y, X, taken), Stand(way.moved, way.evidence)


class _Way:
    """One pass over new rows."""

    def __init__(self, forecaster: BaseForecaster, rules: Rules, stand: Stand, full: bool) -> None:
        self.forecaster = object.__new__(type(forecaster))
        self.forecaster.__dict__.update(forecaster.__dict__)
        self.forecaster.__dict__.update(stand.moved)
        self.rules = rules
        self.moved, self.evidence = dict(stand.moved), stand.evidence.copy()
        self.kept: list[Predictive] | None = [] if full else None
        self.jump = np.empty(len(rules.gates))

    def over(self, y: Array, X: Array | None, taken: Array | Index) -> Told:
        """What was expected of the rows, the state moving on."""
        target, broken = forward(self.forecaster, y)
        z, t, size = np.full(y.shape, np.nan), 0, 1
        grid = self.forecaster.form_.axis.regular
        while t < len(y):
            if grid and taken[t] > 1:
                for passed in range(1, int(taken[t]), SILENT):  # a sensor may come back after a year
                    silent = np.full((min(SILENT, int(taken[t]) - passed), y.shape[1]), np.nan)
                    self._learn(silent, None if X is None else np.repeat(X[t : t + 1], len(silent), axis=0))
            stop = t + 1 + int(np.argmax(np.append(taken[t + 1 : t + size] > 1, True)))
            rows = slice(t, stop)
            done = self._block(rows, target, broken, X, z) if size > 1 else 0
            if done == 0:
                usual = self._one(t, y, target, broken, X, z, 1 if grid else taken[t])
                done, size = 1, 8 if usual and grid else 1
            else:
                size = min(2 * size, LONGEST) if done == stop - t else 1
            t += done
        return Told(z * direction(self.forecaster), tuple(self.kept or ()))

    def _block(self, rows: slice, target: Array, broken: Array, X: Array | None, z: Array) -> int:
        """Rows at once, up to the first that is unusual; how many there were, 0 if the forecaster wants them one by one."""
        e, given = self.evidence, target[rows] - self.evidence.shift
        known = None if X is None else X[rows]
        found = self.forecaster._follow(0, given, known)
        if found is None:
            return 0
        expected = normal(*found)
        scores = expected.score(given, self.rules.floors)
        broke = broken[rows].any(axis=1)
        until = int(np.argmax(np.append(broke, True)))
        away = given - expected.median
        usual = int(until_unusual(scores[:until], away[:until], self.rules.gates, e.rise, e.fall, e.recent))
        if usual:
            z[rows][:usual] = scores[:usual]
            self._keep(Predictive(expected.scores, expected.values[:usual]))
            self._learn(given[:usual], None if known is None else known[:usual])
        return usual

    def _one(self, t: int, y: Array, target: Array, broken: Array, X: Array | None, z: Array, lead: Any) -> bool:
        """One row of whatever kind, some time ahead; whether it was usual."""
        e, rules, known = self.evidence, self.rules, None if X is None else X[t : t + 1]
        given = target[t : t + 1] - e.shift
        expected = predictive(self.forecaster._forecast(0, np.array([lead]), known))
        score, away = expected.score(given, rules.floors)[0], (given - expected.median)[0]
        if broken[t].any():
            centre = inverse(self.forecaster, expected.median + e.shift)[0]
            score = np.where(broken[t], beyond(y[t], centre) * direction(self.forecaster), score)
        z[t] = score
        self._keep(expected)
        usual = decide(score, away, rules.gates, e.rise, e.fall, e.recent, self.jump)
        if not usual:
            e.shift[:] += np.nan_to_num(self.jump)
            given = learnt(target[t : t + 1] - e.shift, expected, np.isnan(self.jump)[None], rules, self.forecaster)
        self._learn(given, known, lead)
        return bool(usual)

    def _keep(self, expected: Predictive) -> None:
        if self.kept is not None:
            self.kept.append(moved(expected, self.evidence.shift))

    def _learn(self, y: Array, X: Array | None, lead: Any = 1) -> None:
        last = self.forecaster.last_ + (len(y) if len(y) > 1 else lead)
        changed = self.forecaster._update([SeriesRows(0, y, X, None if self.forecaster.form_.axis.regular else last)])
        changed["last_"] = last
        self.forecaster.__dict__.update(changed)
        self.moved.update(changed)


def within(
    forecaster: BaseForecaster, rules: Rules, y: Array, X: Array | None, taken: Array | Index
) -> tuple[Told, Array]:
    """As `follow` over the rows that the forecaster was fitted on, or the first of them; and which readings were held back.

    A pass over all rows asks for each given those before it, as far as they were believed in the pass before. The first rows
    in which two passes agree are those that `follow` would have found.

    Parameters
    ----------
    forecaster, rules, y, X, taken
        As in `follow`.
    """
    target, broken = forward(forecaster, y)
    known = X if X is None or not forecaster.form_.axis.regular else on_grid_of(X, taken)
    z, held, shifts = np.empty(y.shape), np.zeros(y.shape), np.zeros(y.shape)
    given = target
    for _ in range(SWEEPS):
        mean, variance = _in_sample(forecaster, given, known, taken)
        expected = normal(np.where(np.isinf(variance), np.nan, mean), variance)
        sd = np.maximum(np.sqrt(np.where(np.isfinite(variance), np.maximum(variance, 0.0), np.nan)), rules.floors)
        sweep(target, expected.median, sd, rules.gates, *nothing(rules.patience, y.shape[1]).copy(), z, held, shifts)
        before = given
        given = learnt(target - shifts, expected, held == 1.0, rules, forecaster)
        if np.array_equal(given, before, equal_nan=True):
            break
    z *= direction(forecaster)
    if broken.any():
        z = np.where(broken, beyond(y, inverse(forecaster, expected.median + shifts)), z)
    return Told(z, (moved(expected, shifts),)), (held == 1.0) | broken


def _in_sample(forecaster: BaseForecaster, y: Array, X: Array | None, taken: Array | Index) -> tuple[Array, Array]:
    """Mean and variance of training rows, each given those before it; on a grid `X` has a row for each step."""
    if not forecaster.form_.axis.regular:
        found: tuple[Array, Array] = forecaster._one_step_at(0, np.cumsum(taken), y, X)  # type: ignore[attr-defined]
        return found
    at = np.cumsum(taken) - 1
    mean, variance = forecaster._one_step(0, on_grid(y, np.asarray(taken, dtype=np.int64)), X)
    return mean[at], variance[at]


def on_grid_of(X: Array, taken: Array | Index) -> Array:
    """Covariates on the grid, those of absent rows as in the row after."""
    at = np.cumsum(taken) - 1
    return X[np.searchsorted(at, np.arange(at[-1] + 1))]


def ranges(forecaster: BaseForecaster, rules: Rules, told: Told, reach: Array) -> tuple[Array, Array, Array]:
    """Median, and the readings at `reach` normal scores on both sides, on the caller's scale, each ``(n_times, n_sensors)``."""
    reach, first, found = np.broadcast_to(reach, told.z.shape), 0, []
    for part in told.expected:
        r = reach[first : first + len(part.values)]
        first += len(r)
        found.append([inverse(forecaster, part.at(x, rules.floors)) for x in (0.0 * r, -r, r)])
    centre, one, other = (np.concatenate(each) for each in zip(*found))
    return centre, np.minimum(one, other), np.maximum(one, other)  # a map that decreases swaps the ends


def moved(expected: Predictive, shift: Array) -> Predictive:
    """Distributions of readings before a shift was taken off them."""
    return Predictive(expected.scores, expected.values + shift[..., None])


def learnt(y: Array, expected: Predictive, held: Array, rules: Rules, forecaster: BaseForecaster) -> Array:
    """Readings as the forecaster is given them: those held back are missing, or where it cannot live with that, at the gate."""
    if forecaster.capabilities.missing:
        return np.where(held, np.nan, y)
    bound = expected.at(np.where(y < expected.median, -rules.gates, rules.gates), rules.floors)
    return np.where(np.isnan(y), expected.median, np.where(held, bound, y))


def forward(forecaster: BaseForecaster, y: Array) -> tuple[Array, Array]:
    """Readings on the scale of the model, and which of them are out of the reach of its target transformation, NaN there."""
    broken = np.zeros(y.shape, dtype=bool)
    if forecaster.maps_ is None:
        return y, broken
    change = forecaster.maps_[0].forward
    try:
        return change(y), broken
    except InputError:
        out = np.full(y.shape, np.nan)
    for t, j in np.argwhere(~np.isnan(y)):
        alone = np.full((1, y.shape[1]), np.nan)
        alone[0, j] = y[t, j]
        try:
            out[t, j] = change(alone)[0, j]
        except InputError:
            broken[t, j] = True
    return out, broken


def inverse(forecaster: BaseForecaster, y: Array) -> Array:
    """From the scale of the model to the caller's."""
    return y if forecaster.maps_ is None else np.asarray(forecaster.maps_[0].inverse(y))


def direction(forecaster: BaseForecaster) -> Any:
    """1 for sensors whose scale increases with that of the model, else -1."""
    return 1.0 if forecaster.maps_ is None else np.where(forecaster.maps_[0].increasing, 1.0, -1.0)


def beyond(y: Array, centre: Array) -> Array:
    """The normal score of readings that the model could not have made."""
    return np.where(y < centre, -LARGEST, LARGEST)
