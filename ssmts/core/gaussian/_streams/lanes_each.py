"""Many streams one after the other, compiled, in the blocks of `_streams.lanes`: for a full R, and while some are partly diffuse."""

import math

import numpy as np

from ssmts.core.gaussian._kernels.layout import Model, kernel, noise, part, rare, start, unpack
from ssmts.core.gaussian._kernels.predict import new_moves, predict
from ssmts.core.gaussian._kernels.update import UNSEEN, absorb, decorrelate, new_row, observe
from ssmts.core.gaussian._kernels.window import matrix
from ssmts.core.gaussian._streams.lanes import LANES, tri
from ssmts.core.types import Array, Index


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
    """As `step_lanes`, one stream after the other; see there."""
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
