"""The means of many streams that have one covariance, compiled: the gains of one stream serve all of them (see `_streams.lanes`)."""

import math

import numpy as np

from ssmts.core.gaussian._kernels.layout import Model, kernel, rare, start, unpack
from ssmts.core.gaussian._kernels.predict import rotate
from ssmts.core.gaussian._kernels.update import CONTRADICTION, KIND, LOG_2PI, ORDINARY, PIVOT, SKIPPED, K, S, Y
from ssmts.core.gaussian._kernels.window import matrix, vector
from ssmts.core.gaussian._streams.stream import moves_from
from ssmts.core.types import Array, Index

LONG = 2048  # lanes of a block of means alone, which are used once: long lines keep the memory busy


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
    lanes = min(n, LONG)
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
        if model.full:
            _independent(row, c, x, width)
        for i in range(dy):
            if math.isnan(row[i, Y]):
                if dy == 1:
                    for k in range(width):
                        v[first + k] = np.nan
                continue
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
def _independent(row: Array, c: int, x: Array, width: int) -> None:
    """The observed lines of C^-1 y, where C starts at column c of `row`."""
    for a in range(row.shape[0]):
        i = int(row[a, PIVOT])
        for b in range(a):
            j = int(row[b, PIVOT])
            if not math.isnan(row[i, Y]):
                for k in range(width):
                    x[i, k] -= row[i, c + j] * x[j, k]


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
