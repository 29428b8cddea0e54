"""Structural models of many complete series, fitted in one compiled call for each thread."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from joblib import Parallel, delayed, effective_n_jobs

from ..components import Autoregression, Component, Composition, Cycle, DampedTrend, Spectrum
from ..components.transforms import Array, Interval, Stationary, Transform
from ..core.gaussian import Packed, pack
from ..core.gaussian._forward import NOTHING
from ..core.gaussian._reduction import Reduction, reduction
from ..core.types import State
from ..exceptions import SsmtsError
from ._ascent import FITTED, GEOMETRIC, INTERVAL, PLAIN, TANH, Filter, Plan, Room, fit_rows
from ._structural_fit import OTHER_STARTS, size_of
from ._structural_spec import Spec, components_of
from ._structural_unit import StructuralUnit, model_with

_MOST_NUMBERS = 20_000_000  # in the state covariances of one call
_DYNAMICS = (DampedTrend, Cycle, Autoregression)  # components whose dynamics are parameters


class _Setting(NamedTuple):
    """What series of one length and one model share."""

    model: Composition
    plan: Plan
    seen: Filter
    degree: int


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
    lengths = np.array([len(y) for y in series])
    for n in np.unique(lengths):
        places = [i for i in np.flatnonzero(lengths == n) if np.isfinite(series[i]).all()]
        try:
            components = components_of(spec, int(n), 0)
            model = model_with(components)
            model.check_fixed(fix)
        except SsmtsError:
            continue
        free = tuple(name not in fix for name in model.parameter_names)
        setting = _setting(components, free, int(n)) if any(free) and places else None
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
    model, plan, n_states = setting.model, setting.plan, setting.model.n_states
    Y = np.array([series[i] for i in places])
    shifts = Y.mean(axis=1) if has_level else np.zeros(len(Y))
    Y -= shifts[:, None]
    scales = np.array([size_of(y, shift, has_level) for y, shift in zip(Y, shifts)])
    given = np.array([fix.get(name, np.nan) for name in model.parameter_names], dtype=float)
    squares = np.where(model.is_variance, scales[:, None] ** 2, 1.0)
    starts = np.where(plan.free, model.start, given / squares)
    k, n_units = len(given), len(Y)
    values, status, arrived = np.empty((n_units, k)), np.empty(n_units, np.int64), np.empty(n_units, np.bool_)
    logliks, m, P = np.empty(n_units), np.empty((n_units, n_states)), np.empty((n_units, n_states, n_states))
    bounds = np.linspace(0, n_units, min(effective_n_jobs(n_jobs), n_units) + 1).astype(int)
    chunks = [slice(a, b) for a, b in zip(bounds[:-1], bounds[1:])]
    columns = (Y, scales, starts, values, status, arrived, logliks, m, P)

    def work(chunk: slice) -> None:
        room = _room(plan, Y.shape[1] - setting.degree)
        fit_rows(plan, room, setting.seen, *(column[chunk] for column in columns))

    if len(chunks) == 1:
        work(chunks[0])
    else:
        Parallel(n_jobs=n_jobs, prefer="threads")(delayed(work)(chunk) for chunk in chunks)
    free, nothing = tuple(plan.free.tolist()), np.zeros((n_states, n_states))
    nothing.flags.writeable = False
    values = np.where(plan.free, values, given)
    for i, place in enumerate(places):
        if status[i] == FITTED:
            out[place] = StructuralUnit(
                components=model.components,
                parameters=tuple(values[i].tolist()),
                free=free,
                shift=float(shifts[i]),
                covariates=None,
                state=State(m[i].copy(), P[i].copy(), nothing, 0),
                loglik=float(logliks[i]),
                n_observed=Y.shape[1],
                n_diffuse=setting.degree,
                converged=bool(arrived[i]),
            )


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
    return _Setting(model, _plan(model, found, np.array(free), n), _filter(model, packed), found.degree)


def _plan(model: Composition, found: Reduction, free: np.ndarray, n: int) -> Plan:
    k, d = len(model.parameter_names), found.degree
    c = np.zeros(d + 1)
    c[found.lags] = found.weights
    spectrum = Spectrum(model, n)
    basis, gains = np.zeros((k, len(found.noise))), np.zeros((k, spectrum.z.size))
    basis[0], gains[0] = found.noise, 1.0
    for state in np.flatnonzero((model.diffuse > 0) & (model.variance_place >= 0)):
        basis[model.variance_place[state]] += found.basis[state]
    terms, fronts, front_gains, owners, others = [], [], [], [], []
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
        for other in component.other_starts if free[own].all() else ():
            owners.append(np.isin(np.arange(k), np.arange(own.start, own.stop)))
            others.append(model.start)
            others[-1] = np.where(owners[-1], 0.0, model.start)
            others[-1][own] = other
    transforms = [group.transform for group in model.groups for _ in group.names]
    kinds, bounds = zip(*map(_kind, transforms))
    factors = [[more.get(name, 1.0) for name in model.parameter_names] for more in OTHER_STARTS]
    return Plan(
        lags=found.lags.astype(np.int64),
        weights=found.weights,
        basis=basis,
        terms=np.reshape(np.array(terms, np.int64), (-1, 4)),
        fronts=np.reshape(fronts, (-1, d + 1)),
        z=np.array([spectrum.z.real, spectrum.z.imag]),
        gains=gains,
        front_gains=np.reshape(front_gains, (-1, spectrum.z.size)),
        kinds=np.array(kinds, np.int64),
        bounds=np.array(bounds, dtype=float),
        limits=model.free_limits().astype(float),
        free=free,
        is_variance=model.is_variance,
        others=np.reshape(others, (-1, k)),
        owner=np.reshape(np.array(owners, dtype=np.bool_), (-1, k)),
        factors=np.array(factors),
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


def _filter(model: Composition, packed: Packed) -> Filter:
    """Where the parameters are in the packed model."""
    F, _, V, H, R = packed.parts
    line = np.repeat(np.arange(model.n_states), np.diff(V.ptr))
    noise = np.flatnonzero(line == V.col)
    entries, first = [], []
    for component, _ in model.parts():
        if component.is_static:
            continue
        states = model.state_slices[component.name]
        pair = [states.stop - 1] if not isinstance(component, Cycle) else [states.start, states.start + 1]
        found = [F.ptr[i] + int(np.flatnonzero(F.col[F.ptr[i] : F.ptr[i + 1]] == j)[0]) for i in pair for j in pair]
        entries.append((found + [-1] * 3)[:4])
        first.append((pair + [-1])[:2])
    start = F.val.size
    return Filter(
        layout=packed.layout,
        values=packed.values,
        V=np.column_stack([start + noise, model.variance_place[line[noise]]]).astype(np.int64),
        R=start + V.val.size + H.val.size,
        F=np.reshape(np.array(entries, np.int64), (-1, 4)),
        P=np.reshape(np.array(first, np.int64), (-1, 2)),
        A=packed.factor,
        b=packed.offset,
        trace=NOTHING,
    )


def _room(plan: Plan, n: int) -> Room:
    n_terms, r = len(plan.terms), plan.basis.shape[1] - 1
    p = int(n_terms + (plan.terms[:, 2] >= 0).sum())
    backwards = n if n_terms else 0
    return Room(
        w=np.empty(n),
        g=np.empty(r + 1),
        slope=np.empty(r + 1),
        phi=np.empty(p),
        turn=np.empty(p),
        rest=np.empty(p + 3),
        values=np.empty(len(plan.kinds)),
        one=np.empty((n, r)),
        two=np.empty((backwards, r)),
        ends=np.empty((backwards, 4)),
        x=np.empty(n + r),
        c=np.empty(n + r),
        laws=np.empty((n_terms, 4, r + plan.fronts.shape[1])),
        note=np.zeros(2),
    )
