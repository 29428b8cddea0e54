"""The exact score: derivatives of the log-likelihood with respect to every system matrix, by one pass back.

The pass carries r and N (see `_kernels.backward`), from which the derivatives follow without inverting any covariance (Koopman and
Shephard 1992; Segal and Weinstein 1989), and while the state was partly diffuse also X, the derivative with respect to
A A'. These formulas are the adjoints of the scalar steps of `_kernels.update` and `_kernels.predict`, written down for

    ordinary      m' = m + K v,  P' = L P L' + r K K',  K = P h' / S
    diffuse       the same with K = A A' h' / (h A A' h'),  A' A'' = L A A' L'
    transition    m' = F m + b,  P' = F P F' + V,  A' = F A
"""

from typing import NamedTuple

import numpy as np

from ssmts.core.gaussian._kernels.backward import (
    correlate,
    cross_errors,
    move_back,
    padded,
    rename_back,
    sandwich_back,
    smoothing_error,
    step_back,
)
from ssmts.core.gaussian._kernels.layout import Block, Model, kernel, part, rare, start, unpack
from ssmts.core.gaussian._kernels.predict import Moves, mix, new_moves, rotate
from ssmts.core.gaussian._kernels.update import DIFFUSE, KIND, PIVOT, SKIPPED, TOTAL, K, S, V, clear_row, decorrelate
from ssmts.core.gaussian._kernels.window import matrix, vector
from ssmts.core.types import Array, Index

ROOM = 2**15  # numbers that the sums over rows may take: they should stay close to the processor


class Gradient(NamedTuple):
    """Where the pass back adds up derivatives: time first, of length 1 to add up over time, 0 if not wanted."""

    V: Array  # (times, support, support)
    b: Array  # (times, dx)
    R: Array  # (times, dy, dy)
    d: Array  # (times, dy)


class Whole(NamedTuple):
    """What the derivatives of F and H need besides: the filtered states, which are overwritten."""

    m: Array  # (n, dx)
    P: Array  # (n, dx, dx)
    A: Array  # (rows, dx, rank)
    rank: Index  # (rows,)
    X: Array  # (dx, dx), zero
    F: Array  # (times, dx, dx) out
    H: Array  # (times, dy, dx) out


@kernel
def backward(
    index: Index,
    value: Array,
    y: Array,
    place: Index,
    tables: Array,
    support: Index,
    out: Gradient,
    r: Array,
    N: Array,
    whole: Whole | None,
) -> None:
    """Add the derivatives to `out`, and leave those of the prior in r and N, which start from zero.

    Without `whole` the code for it is not even compiled, and neither are states kept in place.
    """
    model = unpack(index)
    n, dx, dy, H = y.shape[0], model.dx, model.dy, model.H
    wide, line = K + 2 * dx + dy, padded(dx)
    first = 3 * dx * dx + (dx + 1) * line
    work = np.zeros(first + dy * (wide + 1 + dy + 2 * dx) + H.size)  # seen through windows, see `forward`
    W, Nk = matrix(work, 0, 3 * dx, dx), vector(work, 3 * dx * dx, line)
    last_N, N = N, matrix(work, 3 * dx * dx + line, dx, line)
    row, u, E = (
        matrix(work, first, dy, wide),
        vector(work, first + dy * wide, dy),
        matrix(work, first + dy * (wide + 1), dy, dy),
    )
    first += dy * (wide + 1 + dy)
    Ne, dH = matrix(work, first, dy, dx), matrix(work, first + dy * dx, dy, dx)
    h = vector(work, work.size - H.size, H.size) if model.full else vector(value, 0, value.size)
    index, value, place = vector(index, 0, index.size), vector(value, 0, value.size), vector(place, 0, dx)
    r = vector(r, 0, dx)
    clear_row(model, row)
    moves = new_moves(index, model, place, whole is None)
    # Many states whose names move are summed up by places, for lines then lie side by side: half the time of a pass.
    together = out.V.shape[0] == 1 and 4 * support.size**2 > dx * line
    period = _period(moves.cycles, n, dx * line) if together else 0
    sums, each_V = np.zeros(period * dx * line), out.V[: 0 if period > 0 else n]
    for t in range(n - 1, -1, -1):
        if t < n - 1:
            if period > 0:
                _add_places(sums, t % period, r, N)
            _add_noise(each_V, out.b, t, support, place, r, N)
        rename_back(moves)
        if t < n - 1:
            if whole is not None:
                _add_transition(index, value, model.F, t, moves, whole, r, N, W)
            move_back(index, value, model.F, t, moves, r, W)
            sandwich_back(index, value, model.F, t, moves, N, W)
        if model.full:
            decorrelate(index, value, model, t, y, row, h)
        g, table = (0 if model.full else start(H, t)), matrix(tables, t * dy * tables.shape[2], dy, tables.shape[2])
        if whole is not None:
            rank = whole.rank[t] if t < whole.rank.size else 0
        for i in range(dy - 1, -1, -1):
            u[i] = 0.0
            for j in range(dy):
                E[i, j] = 0.0
                E[j, i] = 0.0
            if dy > 1:
                for j in range(dx):
                    Ne[i, j] = 0.0
            if whole is not None:
                for j in range(dx):
                    dH[i, j] = 0.0
            if table[i, KIND] == SKIPPED:
                continue
            u[i], e = smoothing_error(table, i, r, N, Nk)
            if whole is not None:
                _line(table, i, u[i], e, r, Nk, whole.m[t], whole.P[t], dH)
                if table[i, KIND] == DIFFUSE:
                    _diffuse_line(index, H, h, g, table, i, r, N, whole.A[t], rank, whole.X, dH)
                    rank += 1
            E[i, i] = e
            if dy > 1 and out.R.shape[0] > 0:
                cross_errors(index, H, h, g, place, table, i, e, Nk, Ne, E)
            step_back(index, H, h, g, place, i, u[i], e, r, N, Nk)
        if model.full:
            correlate(row, K + 2 * dx, u, E)
        _add_observation(out.R, out.d, t, u, E)
        if whole is not None:
            _add_lines(whole.H, t, row, model, dH)
    for i in range(dx):
        for j in range(dx):
            last_N[i, j] = N[i, j]
    for s in range(period):
        rotate(place, moves.cycles)
        _add_sums(out.V, support, place, matrix(sums, s * dx * line, dx, line))
    for s in range(out.V.shape[0]):
        for a in range(support.size):
            for c in range(a):
                out.V[s, c, a] = out.V[s, a, c]
    work[0] = 0.0  # it must live until here


@part
def _add_noise(out_V: Array, out_b: Array, t: int, support: Index, place: Index, r: Array, N: Array) -> None:
    """Add dl/dV = (r r' - N) / 2 on the states of `support`, and dl/db = r."""
    if out_V.shape[0] > 0:
        s = 0 if out_V.shape[0] == 1 else t
        for a in range(support.size):
            i = place[support[a]]
            for c in range(a + 1):
                j = place[support[c]]
                out_V[s, a, c] += 0.5 * (r[i] * r[j] - N[i, j])
    if out_b.shape[0] > 0:
        s = 0 if out_b.shape[0] == 1 else t
        for i in range(r.size):
            out_b[s, i] += r[place[i]]


@part
def _period(cycles: Index, n: int, size: int) -> int:
    """The number of transitions after which every state is back in its place; 0 if n are not many more, or it takes too much room."""
    period, i = 1, 0
    while i < cycles.size:
        length, common, rest = cycles[i], period, cycles[i]
        while rest > 0:
            common, rest = rest, common % rest
        period *= length // common
        if period * size > ROOM or 4 * period > n:
            return 0
        i += length + 1
    return period


@part
def _add_places(sums: Array, s: int, r: Array, N: Array) -> None:
    """Add r r' - N, by places, to that of all rows whose states have the places that they have here."""
    wide = N.shape[1]
    line = s * N.size
    for i in range(r.size):
        to, x = vector(sums, line, wide), r[i]
        for j in range(r.size):
            to[j] += x * r[j] - N[i, j]
        line += wide


@rare
def _add_sums(out_V: Array, support: Index, place: Index, sums: Array) -> None:
    """Add what `_add_places` has collected while the states had these places."""
    for a in range(support.size):
        for c in range(a + 1):
            out_V[0, a, c] += 0.5 * sums[place[support[a]], place[support[c]]]


@rare
def _add_transition(
    index: Index, value: Array, F: Block, t: int, moves: Moves, whole: Whole, r: Array, N: Array, W: Array
) -> None:
    """Add dl/dF = r m' + (r r' - N) F P + 2 X F A A', and take X back over the transition; every state is in its place."""
    n, m, P, out = r.size, whole.m[t], whole.P[t], whole.F
    if out.shape[0] > 0:
        s = 0 if out.shape[0] == 1 else t
        mix(index, value, F, t, moves, P, n, W)
        for j in range(n):
            x = m[j]
            for l in range(n):
                x += r[l] * W[l, j]
            for i in range(n):
                out[s, i, j] += r[i] * x
        for i in range(n):
            for l in range(n):
                x = N[i, l]
                for j in range(n):
                    out[s, i, j] -= x * W[l, j]
    rank = whole.rank[t] if t < whole.rank.size else 0
    if rank > 0 and out.shape[0] > 0:
        A, X = whole.A[t], whole.X
        mix(index, value, F, t, moves, A, rank, W)
        for i in range(n):
            for k in range(rank):
                x = 0.0
                for l in range(n):
                    x += X[i, l] * W[l, k]
                for j in range(n):
                    out[s, i, j] += 2.0 * x * A[j, k]
    if rank > 0:
        sandwich_back(index, value, F, t, moves, whole.X, W)


@rare
def _line(table: Array, i: int, u: float, e: float, r: Array, Nk: Array, m: Array, P: Array, dH: Array) -> None:
    """Take m and P back to before observation i; dl/dh = u m + P (u r + N K) + P h' (u^2 - e)."""
    n, M = r.size, K + r.size
    s = table[i, TOTAL]
    ordinary = table[i, KIND] != DIFFUSE
    for j in range(n):
        k = table[i, K + j]
        m[j] -= k * table[i, V]
        w = s * k if ordinary else table[i, M + j]
        for l in range(n):
            z = table[i, K + l]
            P[j, l] += w * z + k * ((s * z if ordinary else table[i, M + l]) - s * z)
        dH[i, j] = u * m[j] + w * (u * u - e)
    for j in range(n):
        for l in range(n):
            dH[i, j] += P[j, l] * (u * r[l] + Nk[l])


@rare
def _diffuse_line(
    index: Index,
    H: Block,
    h: Array,
    g: int,
    table: Array,
    i: int,
    r: Array,
    N: Array,
    A: Array,
    rank: int,
    X: Array,
    dH: Array,
) -> None:
    """What dl/dh and X owe to the gain k = A A'h' / s and to s = h A A'h'; `rank` columns of A are left after it.

    The derivative with respect to k is p = r (v - r'x) + N x with x = P h' - (h P h' + r) k. Then, with a = p / 2s - X k,
    dl/dh += 2 A A' a - (k'p + 1) k (A after the observation) and X <- X + h'a' + a h + (k'X k - (k'p + 1/2) / s) h'h.
    """
    n, s = r.size, table[i, S]
    a = np.zeros(n)
    rx, kp, kXk = 0.0, 0.0, 0.0
    for j in range(n):
        x = table[i, K + n + j] - table[i, TOTAL] * table[i, K + j]
        rx += r[j] * x
        for l in range(n):
            a[l] += N[j, l] * x
    for j in range(n):
        a[j] += r[j] * (table[i, V] - rx)
        kp += table[i, K + j] * a[j]
    for j in range(n):
        x = 0.0
        for l in range(n):
            x += X[j, l] * table[i, K + l]
        a[j] = 0.5 * a[j] / s - x
        kXk += table[i, K + j] * x
        dH[i, j] -= (kp + 1.0) * table[i, K + j]
    for c in range(rank):
        x = 0.0
        for j in range(n):
            x += A[j, c] * a[j]
        for j in range(n):
            dH[i, j] += 2.0 * x * A[j, c]
    both = kXk - (kp + 0.5) / s
    first, stop = index[H.ptr + i], index[H.ptr + i + 1]
    for b in range(first, stop):
        j, x = index[H.col + b], h[g + b]
        for l in range(n):
            X[j, l] += x * a[l]
            X[l, j] += x * a[l]
        for c in range(first, stop):
            X[j, index[H.col + c]] += both * x * h[g + c]


@part
def _add_observation(out_R: Array, out_d: Array, t: int, u: Array, E: Array) -> None:
    """Add dl/dd = u and dl/dR = (u u' - E) / 2."""
    for i in range(u.size):
        if out_d.shape[0] > 0:
            out_d[0 if out_d.shape[0] == 1 else t, i] += u[i]
        if out_R.shape[0] > 0:
            s = 0 if out_R.shape[0] == 1 else t
            for j in range(u.size):
                out_R[s, i, j] += 0.5 * (u[i] * u[j] - E[i, j])


@rare
def _add_lines(out: Array, t: int, row: Array, model: Model, dH: Array) -> None:
    """Add dl/dH, taken back to the given observations if these were decorrelated."""
    if out.shape[0] == 0:
        return
    s, c = (0 if out.shape[0] == 1 else t), K + 2 * model.dx
    for k in range(model.dy - 1, -1, -1):
        i = int(row[k, PIVOT]) if model.full else k
        for l in range(model.dx):
            if model.full:
                for j in range(model.dy):
                    dH[i, l] -= row[j, c + i] * dH[j, l]
            out[s, i, l] += dH[i, l]
