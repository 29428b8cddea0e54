"""The recursions of the means alone, compiled, for many series whose gains are known from one pass.

Series lie side by side in the last axis, so that each operation on a mean is one on contiguous numbers, the same for all.
"""

import math

import numpy as np

from ssmts.core.gaussian._kernels.backward import rename_back, shear_lines_back
from ssmts.core.gaussian._kernels.layout import Block, Model, kernel, part, rare, start, unpack
from ssmts.core.gaussian._kernels.predict import Moves, mix, move, new_moves, shear_lines
from ssmts.core.gaussian._kernels.update import (
    CONTRADICTION,
    DIFFUSE,
    KIND,
    ORDINARY,
    PIVOT,
    SKIPPED,
    TOTAL,
    K,
    S,
    decorrelate,
    new_row,
)
from ssmts.core.types import Array, Index

NOTHING = np.empty((0, 0, 0))


@kernel
def means_forward(
    index: Index,
    value: Array,
    b: Array,
    pattern: Array,
    y: Array,
    place: Index,
    moving: bool,
    tables: Array,
    m: Array,
    loglik: Array,
    loglik_t: Array,
    v: Array,
    predicted: Array,
    filtered: Array,
) -> None:
    """Move the means m of all series to the state after y, with the gains in `tables`.

    What the innovations add to the likelihoods is added to `loglik` and written to `loglik_t`; y itself is overwritten with
    the innovations that each scalar observation had when it was absorbed. `pattern` is one of the series. `tables` are by
    places if `moving`, and else by states; means are kept by states.
    """
    model = unpack(index)
    n, dy, width = y.shape
    dx, H = model.dx, model.H
    row, W, still = new_row(model), np.empty((dx + 1, max(width, dx))), np.zeros(dx)
    h = np.empty(H.size) if model.full else value
    moves = new_moves(index, model, place, moving)
    gain = np.empty(width)
    for t in range(n):
        if predicted.shape[0] > 0:
            _put(place, m, predicted[t])
        if v.shape[0] > 0:
            for i in range(dy):
                for s in range(width):
                    v[t, i, s] = y[t, i, s]
                _see(index, H, value, start(H, t), i, place, m, v[t])
        if model.full:
            decorrelate(index, value, model, t, pattern, row, h)
            _independent(row, model, pattern, t, y)
        for s in range(width):
            gain[s] = 0.0
        g = 0 if model.full else start(H, t)
        for i in range(dy):
            if math.isnan(pattern[t, i]):
                continue
            _see(index, H, h, g, i, place, m, y[t])
            if tables[t, i, KIND] == SKIPPED:
                _contradict(index, H, h, g, i, place, m, y[t], gain)
            else:
                _absorb(tables[t, i], m, y[t, i], gain)
        for s in range(width):
            loglik[s] += gain[s]
            if loglik_t.shape[0] > 0:
                loglik_t[t, s] = gain[s]
        if filtered.shape[0] > 0:
            _put(place, m, filtered[t])
        _mean_ahead(index, value, model, t, b, moves, m, still, W)
    if predicted.shape[0] > 0:
        _put(place, m, predicted[n])


@part
def _put(place: Index, source: Array, to: Array) -> None:
    for i in range(to.shape[0]):
        for s in range(to.shape[1]):
            to[i, s] = source[place[i], s]


@part
def _see(index: Index, H: Block, h: Array, g: int, i: int, place: Index, m: Array, e: Array) -> None:
    """Take the prediction h m from line i of e."""
    for a in range(index[H.ptr + i], index[H.ptr + i + 1]):
        x, j = h[g + a], place[index[H.col + a]]
        for s in range(e.shape[1]):
            e[i, s] -= x * m[j, s]


@part
def _absorb(table: Array, m: Array, e: Array, gain: Array) -> None:
    """Absorb an observation whose innovations are e: m += K e."""
    width = e.size
    if table[KIND] == ORDINARY:
        half = 0.5 / table[S]
        for s in range(width):
            gain[s] -= half * e[s] * e[s]
    for j in range(m.shape[0]):
        k = table[K + j]
        if k != 0.0:
            for s in range(width):
                m[j, s] += k * e[s]


@rare
def _contradict(
    index: Index, H: Block, h: Array, g: int, i: int, place: Index, m: Array, e: Array, gain: Array
) -> None:
    """An observation that the past determines exactly has the likelihood zero if it is not what was determined."""
    for s in range(e.shape[1]):
        y, most = e[i, s], 0.0
        for a in range(index[H.ptr + i], index[H.ptr + i + 1]):
            x = h[g + a] * m[place[index[H.col + a]], s]
            y += x
            most += abs(x)
        if abs(e[i, s]) > CONTRADICTION * (most + abs(y)):
            gain[s] = -np.inf


@rare
def _independent(row: Array, model: Model, pattern: Array, t: int, y: Array) -> None:
    """C^-1 y for all series, with C as `decorrelate` left it in `row`."""
    c = K + 2 * model.dx
    for k in range(model.dy):
        i = int(row[k, PIVOT])
        for l in range(k):
            j = int(row[l, PIVOT])
            x = row[i, c + j]
            if x != 0.0 and not (math.isnan(pattern[t, i]) or math.isnan(pattern[t, j])):
                for s in range(y.shape[2]):
                    y[t, i, s] -= x * y[t, j, s]


@part
def _mean_ahead(
    index: Index, value: Array, model: Model, t: int, b: Array, moves: Moves, m: Array, still: Array, W: Array
) -> None:
    """M <- F m + b; `still` is a mean of zeros with which the names of the states move."""
    width = m.shape[1]
    shear_lines(index, value, model.F, t, moves, m, width)
    mix(index, value, model.F, t, moves, m, width, W)
    for a in range(moves.mixed.size):
        i = moves.place[moves.free[a]]
        for s in range(width):
            m[i, s] = W[a, s]
    move(index, value, model.F, t, b[:0], moves, still, W)
    if b.shape[0] > 0:
        c = 0 if b.shape[0] == 1 else t
        for i in range(m.shape[0]):
            x, j = b[c, i], moves.place[i]
            for s in range(width):
                m[j, s] += x


@kernel
def means_back(
    index: Index,
    value: Array,
    pattern: Array,
    e: Array,
    place: Index,
    moving: bool,
    tables: Array,
    states: Index,
    r: Array,
    ahead: Array,
    here: Array,
    u: Array,
    r1: Array,
) -> None:
    """Take r (dx, n_series), zero at first, back to the first predicted state.

    Fills `ahead` with r of `states` as they are predicted from row t, `here` with r of all states filtered at it, u of the
    observations, and r1 of the rows that began partly diffuse (see `_smooth.back`); arrays without rows are not wanted. e are
    the innovations that `means_forward` leaves in y, `place` is that after the last row. If `here` or r1 is wanted, nothing
    may be `moving`.
    """
    model = unpack(index)
    n, dy, width = e.shape
    dx, H = model.dx, model.H
    row, W, r1t = new_row(model), np.empty((dx, width)), np.zeros((dx, width))
    h = np.empty(H.size) if model.full else value
    moves = new_moves(index, model, place, moving)
    for t in range(n - 1, -1, -1):
        for i in range(states.size):
            for s in range(width):
                ahead[t, i, s] = r[place[states[i]], s]
        rename_back(moves)
        if t < n - 1:
            _transposed(index, value, model.F, t, moves, r, W)
            if t < r1.shape[0]:
                _transposed(index, value, model.F, t, moves, r1t, W)
        if here.shape[0] > 0:
            _put(place, r, here[t])
        if t < r1.shape[0]:
            _put(place, r1t, r1[t])
        if model.full:
            decorrelate(index, value, model, t, pattern, row, h)
        g = 0 if model.full else start(H, t)
        for i in range(dy - 1, -1, -1):
            table = tables[t, i]
            for s in range(width):
                u[t, i, s] = 0.0
            if math.isnan(pattern[t, i]) or table[KIND] == SKIPPED:
                continue
            if t < r1.shape[0]:
                _next_order(index, H, h, g, i, table, e[t, i], r, r1t)
            _error_back(index, H, h, g, i, place, table, e[t, i], r, u[t, i])
        if model.full:
            for k in range(dy - 1, -1, -1):
                i = int(row[k, PIVOT])
                for j in range(dy):
                    x = row[j, K + 2 * dx + i]
                    for s in range(width):
                        u[t, i, s] -= x * u[t, j, s]


@part
def _transposed(index: Index, value: Array, F: Block, t: int, moves: Moves, r: Array, W: Array) -> None:
    """R <- F[t]'r; names of states are those before the transition."""
    place, mixed, free, width, g = moves.place, moves.mixed, moves.free, r.shape[1], start(F, t)
    shear_lines_back(index, value, F, t, moves, r, width)
    for a in range(mixed.size):
        i = place[free[a]]
        for s in range(width):
            W[a, s] = r[i, s]
            r[i, s] = 0.0
    for a in range(mixed.size):
        for f in range(index[F.ptr + mixed[a]], index[F.ptr + mixed[a] + 1]):
            x, j = value[g + f], place[index[F.col + f]]
            for s in range(width):
                r[j, s] += x * W[a, s]


@part
def _error_back(
    index: Index, H: Block, h: Array, g: int, i: int, place: Index, table: Array, e: Array, r: Array, u: Array
) -> None:
    """U = v / S - K'r, then r += h'u."""
    width = e.size
    if table[KIND] == ORDINARY:
        for s in range(width):
            u[s] = e[s] / table[S]
    for j in range(r.shape[0]):
        k = table[K + j]
        for s in range(width):
            u[s] -= k * r[j, s]
    for a in range(index[H.ptr + i], index[H.ptr + i + 1]):
        x, j = h[g + a], place[index[H.col + a]]
        for s in range(width):
            r[j, s] += x * u[s]


@rare
def _next_order(index: Index, H: Block, h: Array, g: int, i: int, table: Array, e: Array, r: Array, r1: Array) -> None:
    """r1 <- L'r1, and if the diffuse part absorbed the observation, + L0'r + h'v / S, as in `_smooth`."""
    dx, width = r.shape
    diffuse = table[KIND] == DIFFUSE
    for s in range(width):
        shift = e[s] / table[S] if diffuse else 0.0
        for j in range(dx):
            k = table[K + j]
            shift -= k * r1[j, s]
            if diffuse:
                shift += (table[TOTAL] * k - table[K + dx + j]) / table[S] * r[j, s]
        for a in range(index[H.ptr + i], index[H.ptr + i + 1]):
            r1[index[H.col + a], s] += h[g + a] * shift
