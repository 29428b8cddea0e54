"""Many streams of one model, compiled: a step of all of them in one call.

Streams stand side by side in blocks of `LANES`; every number of a state is a line of a block, one lane a stream, so that all
arithmetic runs along lanes whatever the structure of the model. Of the covariance the lower triangle is kept, by places (see
`_kernels.predict`), which are the same for all streams.
"""

import math

import numpy as np

from ssmts.core.gaussian._kernels.layout import Model, kernel, noise, part, rare, start, unpack
from ssmts.core.gaussian._kernels.predict import Moves, rotate
from ssmts.core.gaussian._kernels.update import CONTRADICTION, LOG_2PI, REDUNDANT, ROUNDING
from ssmts.core.gaussian._kernels.window import matrix
from ssmts.core.gaussian._streams.stream import moves_from
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
