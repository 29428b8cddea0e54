"""The recursions in square-root form, compiled: a covariance P is carried as a lower triangle L with P = L L'.

What is never formed as a difference cannot turn negative: an observation shrinks the columns of L (Carlson 1973), and a
transition is one orthogonal reduction, L <- tria[F L, G Q^(1/2)], where tria(W) is the lower triangle with
tria(W) tria(W)' = W W' (Kailath, Sayed and Hassibi 2000, chapter 12). Half the digits of P are enough for L, so that the
recursions are safe in single precision. The diffuse part is the factor A of `_kernels.update`.
"""

import math
from typing import Any

import numpy as np

from ssmts.core.gaussian._forward import BAD_NOISE, BAD_VARIANCE, LOST_DIGITS
from ssmts.core.gaussian._kernels.layout import Block, Model, kernel, rare, start, unpack
from ssmts.core.gaussian._kernels.update import (
    CONTRADICTION,
    DIFFUSE,
    KIND,
    LOG_2PI,
    NOISE,
    ORDINARY,
    SKIPPED,
    TOTAL,
    K,
    S,
    V,
    Y,
    decorrelate,
    new_row,
    observe,
)
from ssmts.core.gaussian._kernels.update import _turn as turn
from ssmts.core.types import Array, Index

ROOM = 1e4  # times the variance that is zero but for rounding: what lies between has lost digits
VANISHED = 1e-290  # variances below are zero: of their squares mirrors would be made, which are below all numbers
LEAST = 1e-12  # beyond which there is no such room, which single precision does not have


@rare
def tria(W: Array, mirrors: Array) -> None:
    """Make W lower triangular by a product with an orthogonal matrix from the right (Householder).

    That is a mirror for each line; with room in `mirrors`, of the shape of W, their normals go there, zeros where none was
    needed: W was L M_n ... M_1.
    """
    n, columns = W.shape
    for i in range(mirrors.shape[0]):
        for k in range(columns):
            mirrors[i, k] = 0.0
    for i in range(min(n, columns)):
        total = 0.0
        for k in range(i, columns):
            total += W[i, k] * W[i, k]
        if total < VANISHED:
            for k in range(i, columns):
                W[i, k] = 0.0
            continue
        size = math.sqrt(total)
        first = W[i, i]
        size = -size if first > 0.0 else size
        half = size * (size - first)  # half the squared length of the mirror's normal, W[i, i:] less size in front
        W[i, i] = first - size
        if mirrors.shape[0] > 0:
            for k in range(i, columns):
                mirrors[i, k] = W[i, k] / size
        for j in range(i + 1, n):
            x = 0.0
            for k in range(i, columns):
                x += W[j, k] * W[i, k]
            x /= half
            for k in range(i, columns):
                W[j, k] -= x * W[i, k]
        W[i, i] = size
        for k in range(i + 1, columns):
            W[i, k] = 0.0


@rare
def shrink(L: Array, f: Array, r: float, w: Array) -> None:
    """L <- L G with G G' = I - f f' / (f'f + r), and w <- (old L) f; f = L'h is overwritten.

    Column j of G is known from the partial sums s_j = r + f_j^2 + f_(j+1)^2 + ...: it has sqrt(s_(j+1) / s_j) on the diagonal
    and - f_i f_j / sqrt(s_j s_(j+1)) below.
    """
    n = f.size
    for i in range(n):
        w[i] = 0.0
    after = r
    for j in range(n - 1, -1, -1):
        x = f[j]
        before = after + x * x
        if before > 0.0:
            keep = math.sqrt(after / before)
            product = before * after  # may be below all numbers
            root = math.sqrt(product) if product > VANISHED else math.sqrt(before) * math.sqrt(after)
            share = x / root if after > 0.0 else 0.0
        else:
            keep, share = 1.0, 0.0
        for i in range(j, n):
            old = L[i, j]
            L[i, j] = keep * old - share * w[i]
            w[i] += x * old
        after = before


@rare
def absorb(
    index: Index,
    H: Block,
    h: Array,
    g: int,
    place: Index,
    row: Array,
    m: Array,
    L: Array,
    A: Array,
    rank: int,
    unknown: int,
    tiny: float,
    seen: Array,
    turned: Array,
    folded: Array,
) -> Any:
    """Update m, L and A by the observations in `row`; returns (log-likelihood, rank, unknown, what went wrong).

    An innovation variance below `tiny` of its terms is zero, and so are all when as many observations without noise have told
    something as there are directions in which the states are `unknown`. What the way back asks for goes to `seen`, `turned`
    and `folded` (see `Way`), if these have room.
    """
    loglik, n = 0.0, m.size
    f, w = np.empty(n), np.empty(n)
    known = np.empty(n)  # the variances that rounding is measured by: the largest of the row
    for j in range(n):
        known[j] = _variance(L, j)
    exact = False
    for i in range(row.shape[0]):
        row[i, KIND] = SKIPPED
        v, r = row[i, Y], row[i, NOISE]
        if math.isnan(v):
            continue
        size, most, s = abs(v), r, r
        for k in range(n):
            f[k] = 0.0
        for e in range(index[H.ptr + i], index[H.ptr + i + 1]):
            j, x = index[H.col + e], h[g + e]
            v -= x * m[j]
            size += abs(x * m[j])
            for k in range(j + 1):
                f[k] += x * L[j, k]
            most += x * x * (known[j] if r == 0.0 else _variance(L, j))
        for k in range(n):
            s += f[k] * f[k]
            if seen.shape[0] > 0:
                seen[i, k] = f[k]
        row[i, V], row[i, S], row[i, TOTAL] = v, s, s
        if not (abs(s) < np.inf and abs(v) < np.inf):
            return loglik, rank, unknown, BAD_VARIANCE
        if rank > 0:
            c = turn(index, H, h, g, place, row, i, A, rank)
            if c != 0.0:
                rank -= 1
                loglik -= 0.5 * LOG_2PI + math.log(abs(c))
                row[i, KIND], row[i, S] = DIFFUSE, c * c
                if turned.shape[0] > 0:
                    turned[rank, A.shape[1]] = c
                    for k in range(rank + 1):
                        turned[rank, k] = row[i, K + k]  # where `turn` leaves the normal of its mirror
                mirrors = folded[rank] if folded.shape[0] > 0 else np.empty((0, n + 1), L.dtype)
                terms = r
                for e in range(index[H.ptr + i], index[H.ptr + i + 1]):
                    terms += h[g + e] * h[g + e] * known[index[H.col + e]]
                _resolve(row, i, c, r, m, L, A, rank, f, w, known, terms, mirrors)
                if r == 0.0:
                    exact, unknown = True, _less(L, unknown, rank)
                continue
        if s <= tiny * most:
            if abs(v) > max(CONTRADICTION, 50.0 * math.sqrt(tiny)) * size:
                loglik = -np.inf
            continue
        if r == 0.0 and s < min(tiny * ROOM, LEAST) * most:
            return loglik, rank, unknown, LOST_DIGITS
        row[i, KIND] = ORDINARY
        loglik -= 0.5 * (LOG_2PI + math.log(s) + v * v / s)
        shrink(L, f, r, w)
        for k in range(n):
            row[i, K + k] = w[k] / s
            row[i, K + n + k] = w[k]
            m[k] += w[k] * v / s
            known[k] = max(known[k], w[k] * w[k] / s * (most / s))
        if r == 0.0:
            exact, unknown = True, _less(L, unknown, rank)
    if exact:
        for j in range(n):
            if _variance(L, j) <= tiny * known[j]:
                for k in range(j + 1):
                    L[j, k] = 0.0
    return loglik, rank, unknown, 0


@rare
def _less(L: Array, unknown: int, rank: int) -> int:
    """One direction less is unknown; where none is left, the states are known exactly. Counting does not round."""
    if unknown <= 1 and rank == 0:
        for j in range(L.shape[0]):
            for k in range(j + 1):
                L[j, k] = 0.0
    return max(unknown - 1, 0)


@rare
def _variance(L: Array, j: int) -> float:
    total = 0.0
    for k in range(j + 1):
        total += L[j, k] * L[j, k]
    return total


@rare
def _resolve(
    row: Array,
    i: int,
    c: float,
    r: float,
    m: Array,
    L: Array,
    A: Array,
    last: int,
    f: Array,
    w: Array,
    known: Array,
    terms: float,
    mirrors: Array,
) -> None:
    """An observation whose variance is infinite: L <- tria[(I - K h) L, K r^(1/2)] with K = (the last column of A) / c.

    Rounding of what is left is measured by the terms that cancel, of which h L L'h + r has `terms`.
    """
    n = m.size
    W = np.empty((n, n + 1))
    for j in range(n):
        x = 0.0
        for k in range(j + 1):
            x += L[j, k] * f[k]
        w[j] = x
    for j in range(n):
        k_j = A[j, last] / c
        row[i, K + j] = k_j
        row[i, K + n + j] = w[j]
        m[j] += k_j * row[i, V]
        size = abs(k_j) * math.sqrt(terms)
        for k in range(j + 1):
            size += abs(L[j, k])
        known[j] = max(known[j], size * size)
        for k in range(n):
            x = (L[j, k] if k <= j else 0.0) - k_j * f[k]
            W[j, k] = x
        W[j, n] = k_j * math.sqrt(r)
    tria(W, mirrors)
    for j in range(n):
        for k in range(j + 1):
            L[j, k] = W[j, k]


@rare
def predict(
    index: Index,
    value: Array,
    model: Model,
    t: int,
    b: Array,
    roots: Array,
    m: Array,
    L: Array,
    A: Array,
    rank: int,
    W: Array,
    W_A: Array,
    mirrors: Array,
) -> None:
    """From t to t + 1: m <- F m + b, L <- tria[F L, root of V], A <- F A."""
    n, shocks, F = m.size, roots.shape[2], model.F
    g, q = start(F, t), (t if roots.shape[0] > 1 else 0)
    for i in range(n):
        x = 0.0
        for k in range(n):
            W[i, k] = 0.0
        for k in range(A.shape[1]):
            W_A[i, k] = 0.0
        for e in range(index[F.ptr + i], index[F.ptr + i + 1]):
            j, c = index[F.col + e], value[g + e]
            x += c * m[j]
            for k in range(j + 1):
                W[i, k] += c * L[j, k]
            if rank > 0:
                for k in range(A.shape[1]):
                    W_A[i, k] += c * A[j, k]
        for k in range(shocks):
            W[i, n + k] = roots[q, i, k]
        W_A[i, A.shape[1]] = x
    tria(W, mirrors)
    for i in range(n):
        m[i] = W_A[i, A.shape[1]]
        if b.shape[0] > 0:
            m[i] += b[0 if b.shape[0] == 1 else t, i]
        for k in range(i + 1):
            L[i, k] = W[i, k]
        if rank > 0:
            for k in range(A.shape[1]):
                A[i, k] = W_A[i, k]


@rare
def keep(m: Array, L: Array, to_m: Array, to_L: Array, t: int) -> None:
    """Write a mean and the root of a covariance to row t."""
    for i in range(m.size):
        to_m[t, i] = m[i]
        for j in range(m.size):
            to_L[t, i, j] = L[i, j] if j <= i else 0.0


@kernel
def root_forward(
    index: Index,
    value: Array,
    b: Array,
    y: Array,
    roots: Array,
    m: Array,
    L: Array,
    A: Array,
    unknown: int,
    moved: int,
    tiny: float,
    loglik_t: Array,
    predicted_m: Array,
    predicted_L: Array,
    filtered_m: Array,
    filtered_L: Array,
    rows: Array,
    filtered_A: Array,
    ranks: Index,
    seen: Array,
    mirrors: Array,
    turned: Array,
    folded: Array,
) -> Any:
    """Filter y, moving m, L, A to the state after it; `roots` (n or 1, n_states, n_shocks) are those of the process noise.

    Of the first state `unknown` directions are not known exactly, and the noise moves at most `moved`.

    Returns (log-likelihood, rank, number of rows that began partly diffuse, last row, what went wrong there).
    """
    model = unpack(index)
    n, dx, H = y.shape[0], model.dx, model.H
    row, place = new_row(model), np.arange(dx)
    W, W_A = np.empty((dx, dx + roots.shape[2])), np.empty((dx, A.shape[1] + 1))
    h = np.empty(H.size) if model.full else value
    loglik, rank, n_diffuse = 0.0, A.shape[1], 0
    nothing = np.empty((0, dx), L.dtype)
    for t in range(n):
        n_diffuse += 1 if rank > 0 else 0
        if predicted_L.shape[0] > 0:
            keep(m, L, predicted_m, predicted_L, t)
        if model.full:
            if not decorrelate(index, value, model, t, y, row, h):
                return loglik, rank, n_diffuse, t, BAD_NOISE
        else:
            observe(value, model, t, y, row)
        g = 0 if model.full else start(H, t)
        own = seen[t] if t < seen.shape[0] else nothing
        gain, rank, unknown, wrong = absorb(
            index, H, h, g, place, row, m, L, A, rank, unknown, tiny, own, turned, folded
        )
        unknown = min(unknown + moved, dx)
        if wrong != 0:
            return loglik, rank, n_diffuse, t, wrong
        loglik += gain
        if loglik_t.shape[0] > 0:
            loglik_t[t] = gain
        if filtered_L.shape[0] > 0:
            keep(m, L, filtered_m, filtered_L, t)
        if rows.shape[0] > 0:
            for i in range(model.dy):
                for j in range(rows.shape[2]):
                    rows[t, i, j] = row[i, j]
        if t < ranks.shape[0]:
            ranks[t] = rank
            for i in range(dx):
                for k in range(A.shape[1]):
                    filtered_A[t, i, k] = A[i, k]
        predict(
            index, value, model, t, b, roots, m, L, A, rank, W, W_A, mirrors[t] if t < mirrors.shape[0] else nothing
        )
    if predicted_L.shape[0] > 0:
        keep(m, L, predicted_m, predicted_L, n)
    return loglik, rank, n_diffuse, n, 0
