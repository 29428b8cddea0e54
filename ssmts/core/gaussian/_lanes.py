"""Many streams of one model, compiled: a step of all of them in one call.

Streams stand side by side in blocks of `LANES`; every number of a state is a line of a block, one lane a stream, so that all
arithmetic runs along lanes whatever the structure of the model. Of the covariance the lower triangle is kept, by places (see
`_predict`), which are the same for all streams.
"""

import math

import numpy as np

from ssmts.core.gaussian._layout import Model, kernel, noise, part, rare, start, unpack
from ssmts.core.gaussian._predict import Moves, new_moves, predict, rotate
from ssmts.core.gaussian._stream import moves_from
from ssmts.core.gaussian._update import (
    CONTRADICTION,
    KIND,
    LOG_2PI,
    ORDINARY,
    REDUNDANT,
    ROUNDING,
    SKIPPED,
    UNSEEN,
    K,
    S,
    Y,
    absorb,
    decorrelate,
    new_row,
    observe,
)
from ssmts.core.gaussian._window import matrix, vector
from ssmts.core.types import Array, Index

LANES = 128  # longer lines than this gain nothing; a block of 13 states fits the first cache


@part
def tri(i: int, j: int) -> int:
    """The line of entry (i, j) of a symmetric matrix."""
    return i * (i + 1) // 2 + j if i >= j else j * (j + 1) // 2 + i


@kernel
def step_lanes(
    index: Index,
    value: Array,
    place: Index,
    b: Array,
    means: Array,
    covs: Array,
    y: Array,
    v: Array,
    variance: Array,
    loglik: Array,
) -> int:
    """Absorb a row y[k] of every stream k and predict the next; R is diagonal and nothing is diffuse.

    Returns the first stream whose covariance has left the sound numbers, or -1. All arrays but the first three are flat.
    """
    model = unpack(index)
    n, dx, dy = loglik.size, model.dx, model.dy
    lanes = min(n, LANES)
    after = place.copy()
    moves = moves_from(index, model, after)
    rotate(after, moves.cycles)
    moves = Moves(place, moves.mixed, moves.free, moves.shears, moves.cycles)
    mixed = moves.mixed.size
    M, W, X = np.empty((dx, lanes)), np.empty((mixed * dx, lanes)), np.empty((mixed * mixed + mixed, lanes))
    lane = np.empty((6, lanes))
    bad = -1
    for first in range(0, n, lanes):
        width, block = min(lanes, n - first), first // lanes
        m = matrix(means, block * dx * lanes, dx, lanes)
        P = matrix(covs, block * (dx * (dx + 1) // 2) * lanes, dx * (dx + 1) // 2, lanes)
        for k in range(width):
            loglik[first + k] = 0.0
        if dy > 1:
            for i in range(dy):
                _look(index, value, model, i, place, m, P, y, first, width, M, lane)
                for k in range(width):
                    v[(first + k) * dy + i], variance[(first + k) * dy + i] = lane[0, k], lane[1, k]
        for i in range(dy):
            _look(index, value, model, i, place, m, P, y, first, width, M, lane)
            if dy == 1:
                for k in range(width):
                    v[first + k], variance[first + k] = lane[0, k], lane[1, k]
            worst = _weigh(value[noise(model, 0) + i * (dy + 1)], first, width, loglik, lane)
            if worst >= 0:
                bad = worst
            _update_lanes(m, P, M, lane, width)
        _predict_lanes(index, value, model, b, moves, after, m, P, W, X, width)
    place[:] = after
    return bad


@rare
def _look(
    index: Index,
    value: Array,
    model: Model,
    i: int,
    place: Index,
    m: Array,
    P: Array,
    y: Array,
    first: int,
    width: int,
    M: Array,
    lane: Array,
) -> None:
    """Lines of `lane`: v = y - h m, S = h P h' + r, and the terms of both without their cancellation; M = P h'."""
    H, dx, dy = model.H, model.dx, model.dy
    g, r = start(H, 0), value[noise(model, 0) + i * (dy + 1)]
    for k in range(width):
        lane[0, k] = y[(first + k) * dy + i]
        lane[1, k] = r
        lane[2, k] = abs(lane[0, k])
        lane[3, k] = r
    for j in range(dx):
        for k in range(width):
            M[j, k] = 0.0
    for e in range(index[H.ptr + i], index[H.ptr + i + 1]):
        x, p = value[g + e], place[index[H.col + e]]
        for j in range(dx):
            t = tri(p, j)
            for k in range(width):
                M[j, k] += x * P[t, k]
        t = tri(p, p)
        for k in range(width):
            lane[0, k] -= x * m[p, k]
            lane[2, k] += abs(x * m[p, k])
            lane[3, k] += x * x * P[t, k]
    for e in range(index[H.ptr + i], index[H.ptr + i + 1]):
        x, p = value[g + e], place[index[H.col + e]]
        for k in range(width):
            lane[1, k] += x * M[p, k]


@rare
def _weigh(r: float, first: int, width: int, loglik: Array, lane: Array) -> int:
    """Lines of `lane`: v / S and 1 / S, 0 for what is missing or redundant, and whether states may have become known exactly."""
    bad = -1
    for k in range(width):
        v, s = lane[0, k], lane[1, k]
        lane[2, k], size = 0.0, lane[2, k]
        lane[3, k], most = 0.0, lane[3, k]
        lane[4, k] = 0.0
        if math.isnan(v):
            if not abs(s) < np.inf:
                bad = first + k
        elif not (abs(s) < np.inf and abs(v) < np.inf):
            bad = first + k
        elif s <= REDUNDANT * most:
            if s < -REDUNDANT * most:
                bad = first + k
            if abs(v) > CONTRADICTION * size:
                loglik[first + k] = -np.inf
        else:
            inverse = 1.0 / s
            loglik[first + k] -= 0.5 * (LOG_2PI + math.log(s) + v * v * inverse)
            lane[2, k], lane[3, k] = v * inverse, inverse  # a missing one leaves the state as it is
            lane[4, k] = 1.0 if r <= ROUNDING * s else 0.0
    return bad


@rare
def _update_lanes(m: Array, P: Array, M: Array, lane: Array, width: int) -> None:
    """M += M v / S, P -= M M' / S."""
    t = 0
    for j in range(m.shape[0]):
        for k in range(width):
            m[j, k] += M[j, k] * lane[2, k]
            lane[5, k] = M[j, k] * lane[3, k]
        for i in range(j + 1):
            for k in range(width):
                P[t, k] -= lane[5, k] * M[i, k]
            t += 1
    for k in range(width):
        if lane[4, k] != 0.0:
            _told(P, M, lane[3, k], k)


@rare
def _told(P: Array, M: Array, inverse: float, k: int) -> None:
    """States of a stream that an observation without noise has told exactly."""
    for j in range(M.shape[0]):
        if M[j, k] != 0.0 and abs(P[tri(j, j), k]) <= ROUNDING * M[j, k] * M[j, k] * inverse:
            for i in range(M.shape[0]):
                P[tri(i, j), k] = 0.0


@rare
def _predict_lanes(
    index: Index,
    value: Array,
    model: Model,
    b: Array,
    moves: Moves,
    after: Index,
    m: Array,
    P: Array,
    W: Array,
    X: Array,
    width: int,
) -> None:
    """M <- F m + b, P <- F P F' + V; `after` are the places of the states then."""
    F, V, place, mixed, dx = model.F, model.V, moves.place, moves.mixed.size, model.dx
    g = start(F, 0)
    for s in range(0, moves.shears.size, 3):
        e = moves.shears[s + 2]
        _shear_lanes(m, P, place[moves.shears[s]], place[moves.shears[s + 1]], value[g + e] if e >= 0 else 0.0, width)
    for a in range(mixed):
        i, mean = moves.mixed[a], mixed * mixed + a
        for k in range(width):
            X[mean, k] = 0.0
        for j in range(dx):
            for k in range(width):
                W[a * dx + j, k] = 0.0
        for e in range(index[F.ptr + i], index[F.ptr + i + 1]):
            x, p = value[g + e], place[index[F.col + e]]
            for k in range(width):
                X[mean, k] += x * m[p, k]
            for j in range(dx):
                t, line = tri(p, j), a * dx + j
                for k in range(width):
                    W[line, k] += x * P[t, k]
    for a in range(mixed):
        i = moves.mixed[a]
        for c in range(a + 1):
            for k in range(width):
                X[a * mixed + c, k] = 0.0
        for e in range(index[F.ptr + i], index[F.ptr + i + 1]):
            x, p = value[g + e], place[index[F.col + e]]
            for c in range(a + 1):
                for k in range(width):
                    X[a * mixed + c, k] += x * W[c * dx + p, k]
    for a in range(mixed):
        p = place[moves.free[a]]
        for k in range(width):
            m[p, k] = X[mixed * mixed + a, k]
        for j in range(dx):
            t = tri(p, j)
            for k in range(width):
                P[t, k] = W[a * dx + j, k]
    for a in range(mixed):
        for c in range(a + 1):
            t = tri(place[moves.free[a]], place[moves.free[c]])
            for k in range(width):
                P[t, k] = X[a * mixed + c, k]
    g = start(V, 0)
    for e in range(V.size):
        t = tri(after[index[model.noisy + e]], after[index[V.col + e]])
        for k in range(width):
            P[t, k] += value[g + e]
    if b.size > 0:
        for j in range(dx):
            for k in range(width):
                m[after[j], k] += b[j]


@rare
def _shear_lanes(m: Array, P: Array, p: int, q: int, x: float, width: int) -> None:
    """Add x times state q to state p, or if they are one, multiply it by x."""
    own, other, both = tri(p, p), tri(q, q), tri(p, q)
    if p == q:
        for k in range(width):
            m[p, k] *= x
        for j in range(m.shape[0]):
            t = tri(p, j)
            for k in range(width):
                P[t, k] *= x
        for k in range(width):
            P[own, k] *= x
        return
    for k in range(width):
        m[p, k] += x * m[q, k]
        P[own, k] += x * (2.0 * P[both, k] + x * P[other, k])
    for j in range(m.shape[0]):
        if j != p:
            t, from_ = tri(p, j), tri(q, j)
            for k in range(width):
                P[t, k] += x * P[from_, k]


@kernel
def step_each(
    index: Index,
    value: Array,
    place: Index,
    b: Array,
    means: Array,
    covs: Array,
    factors: Array,
    ranks: Index,
    y: Array,
    v: Array,
    variance: Array,
    loglik: Array,
) -> int:
    """As `step_lanes`, one stream after the other: for a full R and for streams that are partly diffuse."""
    model, now = unpack(index), np.int64(0)  # as in `advance`
    n, dx, dy, H = loglik.size, model.dx, model.dy, model.H
    lanes = min(n, LANES)
    columns = factors.size // (n * dx)
    m, P, W = np.empty(dx), np.empty((dx, dx)), np.empty((3 * dx, dx))
    M, held = np.empty(dx), np.empty((0, dx + 1))
    row, h = new_row(model), np.empty(H.size) if model.full else value
    g = 0 if model.full else start(H, now)
    moves = new_moves(index, model, place.copy(), True)
    bad = -1
    for s in range(n):
        moves.place[:] = place
        block, k = s // lanes, s % lanes
        for i in range(dx):
            m[i] = means[(block * dx + i) * lanes + k]
            for j in range(i + 1):
                P[i, j] = covs[(block * (dx * (dx + 1) // 2) + tri(i, j)) * lanes + k]
        A, seen = matrix(factors, s * dx * columns, dx, columns), matrix(y, s * dy, 1, dy)
        for i in range(dy):
            v[s * dy + i], variance[s * dy + i] = _one(index, value, model, i, place, m, P, A, ranks[s], seen)
        if model.full:
            sound = decorrelate(index, value, model, now, seen, row, h)
        else:
            observe(value, model, now, seen, row)
            sound = True
        if sound:
            gain, product, rank, _, sound = absorb(
                index, H, h, g, place, row, False, M, m, P, A, ranks[s], held, 0, 1.0
            )
            loglik[s], ranks[s] = gain - 0.5 * math.log(product), rank
        if not sound:
            bad = s
        predict(index, value, model, now, matrix(b, 0, b.size // dx, dx), moves, m, P, A, ranks[s], held, 0, W)
        for i in range(dx):
            means[(block * dx + i) * lanes + k] = m[i]
            for j in range(i + 1):
                covs[(block * (dx * (dx + 1) // 2) + tri(i, j)) * lanes + k] = P[i, j]
    place[:] = moves.place
    return bad


@rare
def _one(
    index: Index, value: Array, model: Model, i: int, place: Index, m: Array, P: Array, A: Array, rank: int, y: Array
) -> tuple[float, float]:
    """Innovation of entry i and its variance, infinite if the entry sees something diffuse."""
    H, g = model.H, start(model.H, 0)
    v, s = y[0, i], value[noise(model, 0) + i * (model.dy + 1)]
    size = seen = 0.0
    for e in range(index[H.ptr + i], index[H.ptr + i + 1]):
        x, p = value[g + e], place[index[H.col + e]]
        v -= x * m[p]
        for f in range(index[H.ptr + i], index[H.ptr + i + 1]):
            q = place[index[H.col + f]]
            s += x * value[g + f] * P[max(p, q), min(p, q)]
        size += abs(x) * _diffuse_size(A, p, rank)
    for k in range(rank):
        a = 0.0
        for e in range(index[H.ptr + i], index[H.ptr + i + 1]):
            p = place[index[H.col + e]]
            if _diffuse_size(A, p, rank) > 0.0:
                a += value[g + e] * A[p, k]
        seen += a * a
    return v, np.inf if seen > 1e-12 * size * size else s


@part
def _diffuse_size(A: Array, p: int, rank: int) -> float:
    """The length of line p of what is still diffuse, 0 if next to nothing of the line is."""
    norm = total = 0.0
    for k in range(A.shape[1]):
        total += A[p, k] * A[p, k]
        norm += A[p, k] * A[p, k] if k < rank else 0.0
    return math.sqrt(norm) if norm > UNSEEN * UNSEEN * total else 0.0


@kernel
def step_means(
    index: Index,
    value: Array,
    place: Index,
    b: Array,
    row: Array,
    h: Array,
    means: Array,
    y: Array,
    v: Array,
    loglik: Array,
) -> None:
    """Absorb a row of every stream and predict, with the gains in `row`, which are those of all of them.

    `row` and `h` are the table of one stream in which the same entries were observed, and the lines of H that it used.
    """
    model = unpack(index)
    n, dx, dy, H = loglik.size, model.dx, model.dy, model.H
    lanes = min(n, LANES)
    g, c = 0 if model.full else start(H, 0), K + 2 * dx
    after = place.copy()
    moves = moves_from(index, model, after)
    rotate(after, moves.cycles)
    mixed = moves.mixed.size
    x, fresh, size = np.empty((dy, lanes)), np.empty((mixed, lanes)), np.empty(lanes)
    constant = 0.0
    for i in range(dy):
        if row[i, KIND] != SKIPPED:
            constant -= 0.5 * (LOG_2PI + math.log(row[i, S]))
    for first in range(0, n, lanes):
        width = min(lanes, n - first)
        m = matrix(means, first * dx, dx, lanes)
        for k in range(width):
            loglik[first + k] = constant
        for i in range(dy):
            q = start(H, 0)
            for k in range(width):
                x[i, k] = y[(first + k) * dy + i]
            if dy > 1:
                for k in range(width):
                    size[k] = x[i, k]
                for e in range(index[H.ptr + i], index[H.ptr + i + 1]):
                    p = place[index[H.col + e]]
                    for k in range(width):
                        size[k] -= value[q + e] * m[p, k]
                for k in range(width):
                    v[(first + k) * dy + i] = size[k]
        for i in range(dy):
            if math.isnan(row[i, Y]):
                if dy == 1:
                    for k in range(width):
                        v[first + k] = np.nan
                continue
            if model.full:
                for j in range(i):
                    if not math.isnan(row[j, Y]):
                        for k in range(width):
                            x[i, k] -= row[i, c + j] * x[j, k]
            _move_lanes(index, model, i, place, row, h, g, m, x, size, width, first, v, loglik)
        for s in range(0, moves.shears.size, 3):
            p, q, e = place[moves.shears[s]], place[moves.shears[s + 1]], moves.shears[s + 2]
            z = value[start(model.F, 0) + e] if e >= 0 else 0.0
            for k in range(width):
                m[p, k] = z * m[p, k] if p == q else m[p, k] + z * m[q, k]
        for a in range(mixed):
            for k in range(width):
                fresh[a, k] = 0.0
            for e in range(index[model.F.ptr + moves.mixed[a]], index[model.F.ptr + moves.mixed[a] + 1]):
                p, z = place[index[model.F.col + e]], value[start(model.F, 0) + e]
                for k in range(width):
                    fresh[a, k] += z * m[p, k]
        for a in range(mixed):
            p = place[moves.free[a]]
            for k in range(width):
                m[p, k] = fresh[a, k]
        if b.size > 0:
            for j in range(dx):
                for k in range(width):
                    m[after[j], k] += b[j]


@rare
def _move_lanes(
    index: Index,
    model: Model,
    i: int,
    place: Index,
    row: Array,
    h: Array,
    g: int,
    m: Array,
    x: Array,
    size: Array,
    width: int,
    first: int,
    v: Array,
    loglik: Array,
) -> None:
    """M += K v for entry i, whose observations in x become v."""
    H = model.H
    y = vector(size, 0, width)
    for k in range(width):
        y[k] = x[i, k]
    for e in range(index[H.ptr + i], index[H.ptr + i + 1]):
        p = place[index[H.col + e]]
        for k in range(width):
            y[k] -= h[g + e] * m[p, k]
    if model.dy == 1:
        for k in range(width):
            v[first + k] = y[k]
    if row[i, KIND] == SKIPPED:
        for k in range(width):
            most = abs(x[i, k])
            for e in range(index[H.ptr + i], index[H.ptr + i + 1]):
                most += abs(h[g + e] * m[place[index[H.col + e]], k])
            if abs(y[k]) > CONTRADICTION * most:
                loglik[first + k] = -np.inf
        return
    if row[i, KIND] == ORDINARY:
        half = 0.5 / row[i, S]
        for k in range(width):
            loglik[first + k] -= half * y[k] * y[k]
    for j in range(m.shape[0]):
        z = row[i, K + j]
        for k in range(width):
            m[j, k] += z * y[k]
