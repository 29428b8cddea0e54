"""Structural models of many complete series, fitted in one compiled call for each thread."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import chain
from typing import NamedTuple

import numpy as np
from joblib import Parallel, delayed, effective_n_jobs

from ..components import Autoregression, Component, Composition, Cycle, DampedTrend, Spectrum
from ..components.transforms import Array, Interval, Stationary, Transform
from ..core.gaussian import Packed, pack
from ..core.gaussian._rungs.reduction import Reduction, reduction
from ..core.gaussian._rungs.schur import difference
from ..core.gaussian._streams.rows import last_state
from ..core.types import Index, State
from ..exceptions import SsmtsError
from ._ascent import search, translate
from ._ascent_objective import GEOMETRIC, INTERVAL, PLAIN, TANH, Plan, Room
from ._ascent_steps import Flags
from ._structural_fit import EXACT, OTHER_STARTS, size_of
from ._structural_spec import Spec, components_of
from ._structural_unit import StructuralUnit, model_with

_MOST_NUMBERS = 20_000_000  # in the state covariances of one call
_MOST_STEPS = 60
_DYNAMICS = (DampedTrend, Cycle, Autoregression)  # components whose dynamics are parameters


class _Entries(NamedTuple):
    """Where in the packed model the parameters are."""

    V: Index  # (2, n) entries of the noise and their parameters
    R: int
    F: list[list[int]]  # of each term: its damping, or the four of a damped rotation
    P: list[list[int]]  # states that start from the term's stationary variance


class _Setting(NamedTuple):
    """What series of one length and one model share."""

    model: Composition
    free: Flags
    found: Reduction
    plan: Plan
    others: list[tuple[slice, Array]]  # other dynamics to start from: where in the parameters, and their values
    packed: Packed
    entries: _Entries


def fit_together(
    spec: Spec, fix: Mapping[str, float], series: Sequence[Array], n_jobs: int | None
) -> list[StructuralUnit | None]:
    """Estimate units of series without covariates.

    Parameters
    ----------
    spec : Spec
        The model.
    fix : mapping of str to float
        Parameters with given values, on the scale of the series.
    series : sequence of array (n,)
    n_jobs : int, optional
        Threads, as in joblib.

    Returns
    -------
    list of StructuralUnit or None
        None for a series that this way does not serve: with missing values, too short, or of a model whose likelihood the
        Schur recursion does not have in closed form. `fit_unit` serves those, or says what is wrong with them. A unit does
        not depend on the others.
    """
    out: list[StructuralUnit | None] = [None] * len(series)
    for n in {len(y) for y in series}:
        places = [i for i, y in enumerate(series) if len(y) == n and np.isfinite(y).all()]
        try:
            components = components_of(spec, n, 0)
            model = model_with(components)
            model.check_fixed(fix)
        except SsmtsError:
            continue
        free = tuple(name not in fix for name in model.parameter_names)
        setting = _setting(components, free, n) if any(free) and places else None
        if setting is not None:
            each = max(1, _MOST_NUMBERS // model.n_states**2)
            for first in range(0, len(places), each):
                _fit(setting, fix, series, places[first : first + each], spec.trend != "none", n_jobs, out)
    return out


def _fit(
    setting: _Setting,
    fix: Mapping[str, float],
    series: Sequence[Array],
    places: Sequence[int],
    has_level: bool,
    n_jobs: int | None,
    out: list[StructuralUnit | None],
) -> None:
    """Put the units of series of one length into their places."""
    model, n_units = setting.model, len(places)
    Y = np.array([series[i] for i in places])
    shifts = Y.mean(axis=1) if has_level else np.zeros(n_units)
    Y -= shifts[:, None]
    scales = np.array([size_of(y, shift, has_level) for y, shift in zip(Y, shifts)])
    given = np.array([fix.get(name, np.nan) for name in model.parameter_names], dtype=float)
    squares = np.where(model.is_variance, scales[:, None] ** 2, 1.0)
    starts = np.where(setting.free, model.start, given / squares)
    W = np.ascontiguousarray(difference(setting.found, (Y / scales[:, None]).T).T)
    n_chunks = min(effective_n_jobs(n_jobs), n_units)
    bounds = np.linspace(0, n_units, n_chunks + 1).astype(int)

    def work(first: int, stop: int) -> list[StructuralUnit | None]:
        chunk = slice(first, stop)
        values, arrived, lost = _Search(setting, W[chunk]).run(starts[chunk])
        found = np.where(setting.free, values * squares[chunk], given)
        states = _states(setting, Y[chunk], found)
        return [
            None
            if lost[i - first] or state is None
            else StructuralUnit(
                components=model.components,
                parameters=tuple(found[i - first].tolist()),
                free=tuple(setting.free.tolist()),
                shift=float(shifts[i]),
                covariates=None,
                state=state[0],
                loglik=state[1],
                n_observed=Y.shape[1],
                n_diffuse=setting.found.degree,
                converged=bool(arrived[i - first]),
            )
            for i, state in zip(range(first, stop), states)
        ]

    if n_chunks == 1:
        done = [work(0, n_units)]
    else:
        done = Parallel(n_jobs=n_jobs, prefer="threads")(map(delayed(work), bounds[:-1], bounds[1:]))
    for place, unit in zip(places, chain.from_iterable(done)):
        out[place] = unit


class _Search:
    """Maximum likelihood of differenced series W (n_series, n), all of them at once.

    The strategy is that of `_structural_fit`, but that a search goes out from every choice of dynamics, where that one, for
    which likelihoods are dear, only takes the best.
    """

    def __init__(self, setting: _Setting, W: Array) -> None:
        self.setting, self.W = setting, W
        self.room = _room(setting.plan, W.shape[1])
        self.lost = np.zeros(len(W), np.bool_)
        self.is_variance = setting.model.is_variance
        self.squares = np.empty(len(W))

    def run(self, starts: Array) -> tuple[Array, Flags, Flags]:
        """Estimates (n_series, k), whether each search arrived, and whether the likelihood lost digits on the way."""
        first, best = starts, self._height(starts)
        hopeless = self.squares < EXACT
        logliks, arrived = np.full(len(starts), -np.inf), hopeless.copy()
        numbers = self._translate(starts)
        self._climb(~hopeless, numbers.copy(), numbers, logliks, arrived)
        for own, values in self.setting.others:  # from all of them: a likelihood has several maxima in the dynamics
            trial = starts.copy()
            trial[:, own] = values
            height = self._height(trial)
            better = height > best
            first, best = np.where(better[:, None], trial, first), np.where(better, height, best)
            self._climb(~hopeless, self._translate(trial), numbers, logliks, arrived)
        for factors in OTHER_STARTS:
            if arrived.all():
                break
            trial = first * [factors.get(name, 1.0) for name in self.setting.model.parameter_names]
            differs = ((trial != first) & self.setting.free).any(axis=1)
            self._climb(~arrived & differs, self._translate(trial), numbers, logliks, arrived)
        for _ in self.setting.plan.terms:
            again, trial = self._reopened(numbers)
            again &= ~hopeless
            if not again.any():
                break
            self._climb(again, trial, numbers, logliks, arrived)
        values = np.where(self.setting.free, self._translate(numbers, back=True), starts)
        small = np.where(self.setting.free & self.is_variance, starts * EXACT, starts)
        return np.where(hopeless[:, None], small, values), arrived & ~hopeless, self.lost

    def _translate(self, rows: Array, back: bool = False) -> Array:
        out = np.empty(rows.shape)
        translate(self.setting.plan, rows, back, out)
        return out

    def _evaluate(self, numbers: Array) -> tuple[Array, Array]:
        logliks, gradients, arrived = np.empty(len(numbers)), np.empty(numbers.shape), np.empty(len(numbers), np.bool_)
        out = logliks, self.squares, gradients, arrived, self.lost
        search(self.setting.plan, self.room, 0, self.W, numbers, *out)
        return logliks, gradients

    def _height(self, values: Array) -> Array:
        """Log-likelihoods at the best common factor on all variances."""
        logliks = self._evaluate(self._translate(values))[0]
        known = self.squares > 0
        squares = np.where(known, self.squares, 1.0)
        return np.where(known, logliks + self.W.shape[1] / 2 * (squares - 1 - np.log(squares)), -np.inf)

    def _climb(self, which: Flags, start: Array, numbers: Array, logliks: Array, arrived: Flags) -> None:
        """Climb from a start, and keep what is better than what there is."""
        places = np.flatnonzero(which)
        found, heights = start[places], np.empty(places.size)
        came, lost = np.empty(places.size, np.bool_), self.lost[places]
        out = heights, np.empty(places.size), np.empty(found.shape), came, lost
        search(self.setting.plan, self.room, _MOST_STEPS, self.W[places], found, *out)
        self.lost[places] = lost
        before = logliks[places]
        better = ~(before >= heights) | (came & (heights > before - 1e-6))
        numbers[places[better]] = found[better]
        logliks[places[better]], arrived[places[better]] = heights[better], came[better]

    def _reopened(self, numbers: Array) -> tuple[Flags, Array]:
        """Where a component has vanished but would not have with other dynamics, and numbers to search from there."""
        values, again, out = self._translate(numbers, back=True), np.zeros(len(numbers), np.bool_), numbers.copy()
        steepest = np.full(len(numbers), 1e-2)
        for own, other in self.setting.others:
            variance = own.start + int(np.flatnonzero(self.is_variance[own])[-1])
            gone = values[:, variance] == 0
            if gone.any():
                trial = np.where(gone[:, None], values, self.setting.model.start)
                trial[:, own] = np.where(self.is_variance[own], trial[:, own], other)
                slopes = self._evaluate(self._translate(trial))[1][:, own]
                zeros = self.is_variance[own] & (trial[:, own] == 0)
                trial[:, own] = np.where(zeros, other, trial[:, own])
                moved = self._translate(trial)
                rise = np.where(zeros & gone[:, None], slopes * moved[:, own], 0.0).max(axis=1)
                better = rise > steepest
                again, steepest = again | better, np.where(better, rise, steepest)
                out = np.where(better[:, None], moved, out)
        return again, out


def _states(setting: _Setting, Y: Array, found: Array) -> list[tuple[State, float] | None]:
    """State after each row of Y and its log-likelihood, at the parameters found; None where the pass does not get there."""
    packed, entries, n_states = setting.packed, setting.entries, setting.model.n_states
    values = np.tile(packed.values, (len(Y), 1))
    values[:, entries.V[0]] = found[:, entries.V[1]]
    values[:, entries.R] = found[:, 0]
    P = np.zeros((len(Y), n_states, n_states))
    for (variance, damped, period, _), F, states in zip(setting.plan.terms, entries.F, entries.P):
        damping = found[:, damped]
        angle = 2 * np.pi / found[:, period] if period >= 0 else np.zeros(len(Y))
        cos, sin = damping * np.cos(angle), damping * np.sin(angle)
        values[:, F] = np.column_stack([cos, sin, -sin, cos][: len(F)] if len(F) > 1 else [damping])
        P[:, states, states] = (found[:, variance] / (1 - damping**2))[:, None]
    m, out = np.zeros((len(Y), n_states)), list[tuple[State, float] | None]()
    nothing = np.zeros((n_states, n_states))
    for y, value, mean, cov in zip(Y, values, m, P):
        loglik, rank = last_state(packed, value, mean, cov, packed.factor, y[:, None])
        out.append(None if np.isnan(loglik) or rank else (State(mean.copy(), cov.copy(), nothing, 0), loglik))
    return out


@lru_cache(maxsize=64)
def _setting(components: tuple[Component, ...], free: tuple[bool, ...], n: int) -> _Setting | None:
    """What a fit of n rows needs besides the rows; None if it cannot be made this way."""
    moving = [c for c in components if not c.is_static]
    if not all(isinstance(c, _DYNAMICS) and getattr(c, "order", 1) == 1 for c in moving):
        return None
    model = model_with(components)
    packed = pack(model.build(model.start))
    found = reduction(packed)
    n_variances = int((model.is_variance & free).sum())
    if model.covariates is not None or isinstance(found, str) or n < found.degree + n_variances + 1:
        return None
    flags = np.array(free)
    others = [(own, np.array(other)) for c, own in model.parts() if flags[own].all() for other in c.other_starts]
    return _Setting(model, flags, found, _plan(model, found, flags, n), others, packed, _entries(model, packed))


def _plan(model: Composition, found: Reduction, free: Flags, n: int) -> Plan:
    k, d = len(model.parameter_names), found.degree
    c = np.zeros(d + 1)
    c[found.lags] = found.weights
    spectrum = Spectrum(model, n)
    basis, gains = np.zeros((k, len(found.noise))), np.zeros((k, spectrum.z.size))
    basis[0], gains[0] = found.noise, 1.0
    for state in np.flatnonzero((model.diffuse > 0) & (model.variance_place >= 0)):
        basis[model.variance_place[state]] += found.basis[state]
    terms, fronts, front_gains = [], [], []
    level = 1 / np.abs(spectrum.z - 1) ** 2
    for component, own in model.parts():
        names = component.parameter_names
        if component.is_static:
            gains[own] = component.gains(np.zeros(len(names)), spectrum.z)
            continue
        damped = isinstance(component, DampedTrend)
        at = _places(component, own)
        terms.append([*at, int(free[at[0]] and not isinstance(component, Autoregression))])
        front = np.append(np.cumsum(c)[:-1], 0.0) if damped else c
        fronts.append(np.correlate(np.append(front, np.zeros(d)), front))
        front_gains.append(level if damped else np.ones(spectrum.z.size))
        if damped:
            gains[own.start] = level
    transforms = [group.transform for group in model.groups for _ in group.names]
    kinds, bounds = zip(*map(_kind, transforms))
    columns = [
        basis,
        gains,
        np.array(bounds),
        model.free_limits(),
    ]
    table = np.zeros((k + 2, sum(column.shape[1] for column in columns)))
    table[:k] = np.hstack(columns)
    r1, m = basis.shape[1], spectrum.z.size
    table[k:, r1 : r1 + m] = spectrum.z.real, spectrum.z.imag
    codes = [kinds, free, model.is_variance]
    return Plan(
        table=table,
        codes=np.ascontiguousarray(np.array(codes, np.int64).T),
        terms=np.reshape(np.array(terms, np.int64), (-1, 4)),
        front=np.hstack([np.reshape(fronts, (-1, d + 1)), np.reshape(front_gains, (-1, m))]),
        r1=r1,
        m=m,
        d1=d + 1,
    )


def _places(component: Component, own: slice) -> list[int]:
    """Places of a moving component's variance, damping, and period or -1."""
    if isinstance(component, DampedTrend):
        return [own.start + 1, own.start + 2, -1]
    if isinstance(component, Cycle):
        return [own.start + 2, own.start + 1, own.start]
    return [own.start + 1, own.start, -1]


def _kind(transform: Transform) -> tuple[int, tuple[float, float]]:
    if isinstance(transform, Interval):
        return GEOMETRIC if transform.geometric else INTERVAL, (transform.low, transform.high)
    return TANH if isinstance(transform, Stationary) else PLAIN, (-math.inf, math.inf)


def _entries(model: Composition, packed: Packed) -> _Entries:
    F, _, V, H, _ = packed.parts
    line = np.repeat(np.arange(model.n_states), np.diff(V.ptr))
    noise = np.flatnonzero(line == V.col)
    places, states = [], []
    for component, _ in model.parts():
        if not component.is_static:
            own = model.state_slices[component.name]
            pair = [own.start, own.start + 1] if isinstance(component, Cycle) else [own.stop - 1]
            at = [F.ptr[i] + int(np.flatnonzero(F.col[F.ptr[i] : F.ptr[i + 1]] == j)[0]) for i in pair for j in pair]
            places.append(at)
            states.append(pair)
    parameters = np.array([F.val.size + noise, model.variance_place[line[noise]]], np.int64)
    return _Entries(parameters, F.val.size + V.val.size + H.val.size, places, states)


def _room(plan: Plan, n: int) -> Room:
    n_terms, r = len(plan.terms), plan.r1 - 1
    widest = max(plan.r1, len(plan.codes), 2 * n_terms + 3)
    return Room(
        w=np.empty(n),
        lines=np.zeros((7, widest)),
        trace=np.empty((2, n, r)),
        ends=np.empty((n, 4)),
        laws=np.empty((n_terms, 4, r + plan.d1)),
    )
