"""The robust filter's recursion, compiled: rows that lie far off are absorbed again with a noise that is made larger."""

import math
from typing import Any, NamedTuple

import numpy as np

from ssmts.core.gaussian._forward import BAD_NOISE, BAD_VARIANCE, copy, innovate
from ssmts.core.gaussian._kernels.layout import Model, kernel, part, rare, start, unpack
from ssmts.core.gaussian._kernels.predict import new_moves, predict, settle
from ssmts.core.gaussian._kernels.update import KIND, NOISE, ORDINARY, S, V, Y, absorb, decorrelate, new_row, observe
from ssmts.core.types import Array, Index

RATIONAL, HARD, SOFT, ENTRIES, STUDENT = range(5)  # the kinds of rules
RAW, SPREAD, SEEN, OWN = range(
    4
)  # columns of the notes on a row: innovation, h P h', observation, variance of its noise


class Plan(NamedTuple):
    """A rule and a release in numbers."""

    kind: int
    c: float
    by_noise: bool
    iterations: int
    patience: int  # 0: no release
    below: float


class Desk(NamedTuple):
    """What a row is worked on with."""

    place: Index
    row: Array  # table of the observations
    h: Array  # values of their lines of H, from g on
    notes: Array  # (n_obs, 4) on the row given the past
    M: Array  # work space of the update
    m0: Array  # the prediction
    P0: Array


@kernel
def forward_robust(
    index: Index,
    value: Array,
    plan: Plan,
    run: int,
    b: Array,
    y: Array,
    m: Array,
    P: Array,
    loglik_t: Array,
    v: Array,
    S_t: Array,
    predicted_m: Array,
    predicted_P: Array,
    filtered_m: Array,
    filtered_P: Array,
    weights: Array,
    released: Any,
) -> Any:
    """Filter y with weights, moving m and P to the state after it; nothing is diffuse.

    `run` is how many rows in succession have been doubted before. The arrays from `loglik_t` on are filled, those of means and
    covariances only if they have rows. Returns (run, last row, what went wrong there).
    """
    model = unpack(index)
    n, dx, dy, H = y.shape[0], model.dx, model.dy, model.H
    place, row, W, A, held = (
        np.arange(dx),
        new_row(model),
        np.empty((3 * dx, dx)),
        np.empty((dx, 0)),
        np.empty((0, dx + 1)),
    )
    h = np.empty(H.size) if model.full else value
    desk = Desk(place, row, h, np.empty((dy, 4)), np.empty(dx), np.empty(dx), np.empty((dx, dx)))
    moves = new_moves(index, model, place, True)
    for t in range(n):
        if predicted_m.shape[0] > 0:
            copy(place, m, P, predicted_m, predicted_P, t)
        innovate(index, value, model, t, y, place, m, P, desk.M, v, S_t)
        if model.full:
            if not decorrelate(index, value, model, t, y, row, h):
                return run, t, BAD_NOISE
        else:
            observe(value, model, t, y, row)
        g = 0 if model.full else start(H, t)
        n_seen = _note(index, model, g, desk, m, P)
        loglik_t[t], sound = _absorb(index, model, g, desk, m, P)
        if sound and n_seen > 0:
            least = _weigh(plan, desk, weights[t])
            if plan.kind == STUDENT:
                for _ in range(plan.iterations):
                    least = _scale(index, model, g, plan.c, n_seen, desk, m, P, weights[t])
                    sound = sound and _again(index, model, g, desk, 1.0, m, P, weights[t])
            elif least < 1.0:
                sound = _again(index, model, g, desk, 1.0, m, P, weights[t])
            run = run + 1 if least < plan.below else 0
            if plan.patience > 0 and run >= plan.patience:
                run, released[t] = 0, True
                for i in range(dy):
                    weights[t, i] = 1.0
                sound = sound and _again(index, model, g, desk, _opening(desk.notes), m, P, weights[t])
            for i in range(dy):  # decorrelate goes on from what it left
                row[i, Y], row[i, NOISE] = desk.notes[i, SEEN], desk.notes[i, OWN]
        if not sound:
            return run, t, BAD_VARIANCE
        for i in range(dy):
            if np.isnan(row[i, Y]):
                weights[t, i] = np.nan
        if filtered_m.shape[0] > 0:
            copy(place, m, P, filtered_m, filtered_P, t)
        predict(index, value, model, t, b, moves, m, P, A, 0, held, 0, W)
    if predicted_m.shape[0] > 0:
        copy(place, m, P, predicted_m, predicted_P, n)
    settle(place, m, P, A, W)
    return run, n, 0


@rare
def _absorb(index: Index, model: Model, g: int, desk: Desk, m: Array, P: Array) -> tuple[float, bool]:
    """The update with the noise as it stands in the table; returns the log-likelihood and whether all was sound."""
    A, held = np.empty((m.size, 0)), np.empty((0, m.size + 1))
    gain, product, _, _, sound = absorb(
        index, model.H, desk.h, g, desk.place, desk.row, False, desk.M, m, P, A, 0, held, 0, 1.0
    )
    return gain - 0.5 * math.log(product), sound


@part
def _aside(index: Index, model: Model, i: int, g: int, desk: Desk, m: Array, P: Array) -> tuple[float, float]:
    """Entry i less h m, and h P h'."""
    H, e, spread = model.H, desk.row[i, Y], 0.0
    for a in range(index[H.ptr + i], index[H.ptr + i + 1]):
        x, p = desk.h[g + a], desk.place[index[H.col + a]]
        e -= x * m[p]
        for b in range(index[H.ptr + i], index[H.ptr + i + 1]):
            q = desk.place[index[H.col + b]]
            spread += x * desk.h[g + b] * P[max(p, q), min(p, q)]
    return e, spread


@rare
def _note(index: Index, model: Model, g: int, desk: Desk, m: Array, P: Array) -> int:
    """Write down the prediction, and every entry given the past; returns how many were observed."""
    row, notes, seen = desk.row, desk.notes, 0
    for i in range(m.size):
        desk.m0[i] = m[i]
        for j in range(i + 1):
            desk.P0[i, j] = P[i, j]
    for i in range(model.dy):
        notes[i, SEEN], notes[i, OWN] = row[i, Y], row[i, NOISE]
        notes[i, RAW], notes[i, SPREAD] = _aside(index, model, i, g, desk, m, P)
        if not math.isnan(row[i, Y]):
            seen += 1
    return seen


@rare
def _weigh(plan: Plan, desk: Desk, weight: Array) -> float:
    """The weights of a row by its innovation; returns the least."""
    d, least, c, row, notes = 0.0, 1.0, plan.c, desk.row, desk.notes
    for i in range(weight.size):
        if math.isnan(notes[i, RAW]):
            continue
        if plan.by_noise:
            d += notes[i, RAW] * notes[i, RAW] / notes[i, OWN]
        elif row[i, KIND] == ORDINARY:
            d += row[i, V] * row[i, V] / row[i, S]
    for i in range(weight.size):
        weight[i] = 1.0
        if math.isnan(notes[i, RAW]):
            continue
        if plan.kind == RATIONAL:
            weight[i] = 1.0 / (1.0 + d / (c * c))
        elif plan.kind == HARD:
            weight[i] = 1.0 if d <= c * c else 0.0
        elif plan.kind == SOFT:
            weight[i] = 1.0 if d <= c * c else c * c / d
        elif plan.kind == ENTRIES:
            size = notes[i, OWN] if plan.by_noise else notes[i, OWN] + notes[i, SPREAD]
            far = abs(notes[i, RAW]) / math.sqrt(size)
            weight[i] = 1.0 if far <= c else c / far
        least = min(least, weight[i])
    return least


@rare
def _scale(
    index: Index, model: Model, g: int, df: float, n_seen: int, desk: Desk, m: Array, P: Array, weight: Array
) -> float:
    """The expected precision of a row's noise, relative to obs_cov, given the state after the row."""
    total = 0.0
    for i in range(model.dy):
        if not math.isnan(desk.notes[i, SEEN]):
            e, spread = _aside(index, model, i, g, desk, m, P)
            total += (e * e + spread) / desk.notes[i, OWN]
    for i in range(model.dy):
        weight[i] = (df + n_seen) / (df + total)
    return (df + n_seen) / (df + total)


@rare
def _opening(notes: Array) -> float:
    """The least factor of P, at least 1, for which every innovation is within its standard deviation."""
    factor = 1.0
    for i in range(notes.shape[0]):
        excess = notes[i, RAW] * notes[i, RAW] - notes[i, OWN]
        if not math.isnan(excess) and notes[i, SPREAD] > 0.0:
            factor = max(factor, excess / notes[i, SPREAD])
    return factor


@rare
def _again(index: Index, model: Model, g: int, desk: Desk, factor: float, m: Array, P: Array, weight: Array) -> bool:
    """The update from the prediction, its covariance times a factor, with the noise divided by the weights."""
    row, notes = desk.row, desk.notes
    for i in range(model.dy):
        row[i, Y], row[i, NOISE] = notes[i, SEEN], notes[i, OWN]
        if weight[i] == 0.0:
            row[i, Y] = np.nan
        else:
            row[i, NOISE] /= weight[i]
    for i in range(m.size):
        m[i] = desk.m0[i]
        for j in range(i + 1):
            P[i, j] = factor * desk.P0[i, j]
    _, sound = _absorb(index, model, g, desk, m, P)
    return bool(sound)
