"""The filter's update, compiled: a row of observations is absorbed one scalar at a time.

An ordinary observation of the line h has the innovation v = y - h m of variance S = h P h' + r, and with the gain
K = P h' / S the state becomes m + K v, P - K S K'. Nothing is inverted, and what is missing is passed over.

**The diffuse part.** An infinite variance is written P + kappa A A' with kappa -> infinity. The factor A has one column for
every direction of which nothing is known, so its rank is the number of its columns. A scalar observation h sees a = h A of
it. A rotation turns the columns until one of them, c, holds all that h sees; c leaves, the gain is K = c / (h c), and the
other columns go on. Columns that have left are propagated along with the rest, as the yardstick of what counts as zero.
"""

import math
from typing import Any

import numpy as np

from ssmts.core.gaussian._layout import Block, Model, noise, part, rare, start
from ssmts.core.types import Array, Index

LOG_2PI = math.log(2 * math.pi)
ROUNDING = 1e-14  # a variance that an observation shrinks by this factor is zero
REDUNDANT = 1e-12  # an innovation variance below this fraction of its terms is zero
CONTRADICTION = 1e-6  # how far, relative to its terms, an observation may lie from what is known exactly
UNSEEN = 1e-9  # a diffuse direction seen by less than this fraction of its size is not seen

# The table of a row of observations has one line for each scalar: the observation and the variance of its noise (made
# independent of the others if R is full), what became of it, v, S, h P h' + r (differs from S if that is diffuse),
# then K (n_states), M = P h' (n_states) and C (n_obs), the unit lower triangle of R = C diag(r) C'.
Y, NOISE, KIND, V, S, TOTAL, K = range(7)
SKIPPED, ORDINARY, DIFFUSE = 0, 1, 2  # the kinds: missing or redundant, or absorbed in one of two ways


@part
def new_row(model: Model) -> Array:
    """Work space for a row of observations."""
    row = np.zeros((model.dy, K + 2 * model.dx + model.dy))
    for i in range(model.dy):
        row[i, Y] = np.inf  # nothing is known of C yet
    return row


@part
def observe(value: Array, model: Model, t: int, y: Array, row: Array) -> None:
    """Put y[t], seen through a diagonal R, into `row`."""
    g = noise(model, t)
    for i in range(model.dy):
        row[i, Y] = y[t, i]
        row[i, NOISE] = value[g + i * (model.dy + 1)]


@rare
def decorrelate(index: Index, value: Array, model: Model, t: int, y: Array, row: Array, h: Array) -> bool:
    """Put y[t], seen through a full R, into `row` as independent observations; False if R is no covariance.

    With R = C diag(r) C', the observed entries of C^-1 y have independent noise of variance r and see the rows of C^-1 H,
    which go to h.
    """
    dy, c = model.dy, K + 2 * model.dx
    known = model.H.times == 1 and model.R_times == 1
    for i in range(dy):
        known = known and (math.isnan(y[t, i]) == math.isnan(row[i, Y])) and row[i, Y] != np.inf
        row[i, Y] = y[t, i]
    if not known and not _factor(index, value, model, t, row, h):
        return False
    for i in range(dy):
        for j in range(i):
            if not math.isnan(row[j, Y]):
                row[i, Y] -= row[i, c + j] * row[j, Y]
    return True


@rare
def _factor(index: Index, value: Array, model: Model, t: int, row: Array, h: Array) -> bool:
    """C, r and C^-1 H for the entries that are observed; lines of C for the others stay those of the identity."""
    H, dy, c = model.H, model.dy, K + 2 * model.dx
    R, g = noise(model, t), start(H, t)
    for e in range(H.size):
        h[e] = value[g + e]
    for i in range(dy):
        total = value[R + i * dy + i]
        r = total
        for j in range(i):
            row[i, c + j] = 0.0
            if math.isnan(row[i, Y]) or math.isnan(row[j, Y]):
                continue
            x = value[R + i * dy + j]
            for k in range(j):
                x -= row[i, c + k] * row[j, c + k] * row[k, NOISE]
            if row[j, NOISE] == 0.0:
                if abs(x) > CONTRADICTION * math.sqrt(total * value[R + j * dy + j]):
                    return False
                continue
            row[i, c + j] = x / row[j, NOISE]
            r -= x * row[i, c + j]
            e = index[H.ptr + i]  # the pattern of a line of H holds those of the lines above it, in the same order
            for f in range(index[H.ptr + j], index[H.ptr + j + 1]):
                while index[H.col + e] != index[H.col + f]:
                    e += 1
                h[e] -= row[i, c + j] * h[f]
        if r < -REDUNDANT * total:
            return False
        row[i, NOISE] = 0.0 if r < REDUNDANT * total else r
    return True


@part
def absorb(
    index: Index, H: Block, h: Array, g: int, place: Index, row: Array, m: Array, P: Array, A: Array, rank: int
) -> Any:
    """Update m, P and A by the observations in `row`; returns (log-likelihood, rank, whether all variances were sound).

    Line i of H has the values h[g + e]. Of A only the first `rank` columns are still diffuse.
    """
    loglik, n = 0.0, m.size
    for i in range(row.shape[0]):
        row[i, KIND] = SKIPPED
        v, s = row[i, Y], row[i, NOISE]
        if math.isnan(v):
            continue
        size, most = abs(v), s  # the terms of v and s added up without their cancellation
        M = K + n
        for k in range(n):
            row[i, M + k] = 0.0
        for e in range(index[H.ptr + i], index[H.ptr + i + 1]):
            j, x = place[index[H.col + e]], h[g + e]
            v -= x * m[j]
            size += abs(x * m[j])
            most += x * x * P[j, j]
            for k in range(n):
                row[i, M + k] += x * P[j, k]
        for e in range(index[H.ptr + i], index[H.ptr + i + 1]):
            s += h[g + e] * row[i, M + place[index[H.col + e]]]
        row[i, V], row[i, S], row[i, TOTAL] = v, s, s
        if not (abs(s) < np.inf and abs(v) < np.inf):
            return loglik, rank, False
        if rank > 0:
            c = _turn(index, H, h, g, place, i, A, rank)
            if c != 0.0:
                rank -= 1
                loglik -= 0.5 * LOG_2PI + math.log(abs(c))
                row[i, KIND], row[i, S] = DIFFUSE, c * c
                _resolve(row, i, c, m, P, A, rank)
                continue
        if s <= REDUNDANT * most:
            if s < -REDUNDANT * most:
                return loglik, rank, False
            if abs(v) > CONTRADICTION * size:
                loglik = -np.inf
            continue
        row[i, KIND] = ORDINARY
        loglik -= 0.5 * (LOG_2PI + math.log(s) + v * v / s)
        _update(row, i, m, P)
    return loglik, rank, True


@part
def _update(row: Array, i: int, m: Array, P: Array) -> None:
    """The ordinary update: m += K v, P -= M M' / S with M = P h' and K = M / S."""
    n = m.size
    M = K + n
    inverse = 1.0 / row[i, S]
    root, gain = math.sqrt(inverse), row[i, V] * inverse
    for j in range(n):
        x = row[i, M + j]
        row[i, K + j] = x * inverse
        row[i, M + j] = x * root
        m[j] += x * gain
    for j in range(n):
        w = row[i, M + j]
        for k in range(n):
            P[j, k] -= w * row[i, M + k]
    if row[i, NOISE] > ROUNDING * row[i, S]:
        return
    for j in range(n):
        w = row[i, M + j]
        if abs(P[j, j]) <= ROUNDING * w * w and w != 0.0:  # the observation tells state j exactly
            for k in range(n):
                P[j, k] = 0.0
                P[k, j] = 0.0


@rare
def _turn(index: Index, H: Block, h: Array, g: int, place: Index, i: int, A: Array, rank: int) -> float:
    """Rotate the diffuse columns of A so that observation i sees the last of them alone; returns h times it, 0 if unseen."""
    a = np.zeros(rank)
    size = 0.0
    for e in range(index[H.ptr + i], index[H.ptr + i + 1]):
        j, x = place[index[H.col + e]], h[g + e]
        norm = 0.0
        for k in range(A.shape[1]):
            norm += A[j, k] * A[j, k]
        size += abs(x) * math.sqrt(norm)
        for k in range(rank):
            a[k] += x * A[j, k]
    # Householder's reflection that sends a to c times the last axis
    c = 0.0
    for k in range(rank):
        c += a[k] * a[k]
    c = math.sqrt(c)
    if not c > UNSEEN * size:
        return 0.0
    last = a[rank - 1]
    c = -c if last > 0.0 else c
    a[rank - 1] -= c
    half = c * (c - last)  # half of the squared length of a, which is now the mirror's normal
    for j in range(A.shape[0]):
        s = 0.0
        for k in range(rank):
            s += A[j, k] * a[k]
        s /= half
        for k in range(rank):
            A[j, k] -= s * a[k]
    return c


@rare
def _resolve(row: Array, i: int, c: float, m: Array, P: Array, A: Array, last: int) -> None:
    """The update by an observation whose variance is infinite: P <- (I - K h) P (I - K h)' + r K K'."""
    n = m.size
    M = K + n
    for j in range(n):
        row[i, K + j] = A[j, last] / c
        m[j] += row[i, K + j] * row[i, V]
    for j in range(n):
        x = row[i, TOTAL] * row[i, K + j] - row[i, M + j]
        for k in range(j + 1):
            P[j, k] += x * row[i, K + k] - row[i, K + j] * row[i, M + k]
            P[k, j] = P[j, k]
