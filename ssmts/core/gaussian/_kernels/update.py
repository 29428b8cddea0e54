"""The filter's update, compiled: a row of observations is absorbed one scalar at a time.

An ordinary observation of the line h has the innovation v = y - h m of variance S = h P h' + r, and with the gain
K = P h' / S the state becomes m + K v, P - K S K'. Nothing is inverted, and what is missing is passed over.

**The diffuse part.** An infinite variance is written P + kappa A A' with kappa -> infinity. The factor A has one column for
every direction of which nothing is known, so its rank is the number of its columns. A scalar observation h sees a = h A of
it. A rotation turns the columns until one of them, c, holds all that h sees; c leaves, the gain is K = c / (h c), and the
other columns go on. Columns that have left are propagated along with the rest, as the yardstick of what counts as zero.

**The triangle.** Of P only the lower triangle is kept. With many states it is too large for the cache next to the processor,
and an update M M' / s of it is bound by the traffic: so up to four updates are held back, as lines of `held` (M, then 1 / s),
and taken from P together. What is held back moves with the states, and the columns of P that an observation asks for are
corrected by it.
"""

import math
from typing import Any

import numpy as np

from ssmts.core.gaussian._kernels.layout import Block, Model, noise, part, rare, start
from ssmts.core.types import Array, Index

LOG_2PI = math.log(2 * math.pi)
ROUNDING = 1e-14  # a variance that an observation shrinks by this factor is zero
REDUNDANT = 1e-12  # an innovation variance below this fraction of its terms is zero
CONTRADICTION = 1e-6  # how far, relative to its terms, an observation may lie from what is known exactly
EARLY = 0.1  # what must be left of a variance for its entry to be a pivot before its turn by size
UNSEEN = 1e-9  # a diffuse direction seen by less than this fraction of its size is not seen
NOISELESS = 1e-9  # noise below this fraction of what an observation has seen hides no rounding
DOUBTFUL = (
    1e-4  # of what such an observation has seen: a variance below this fraction may be rounding, whatever is zero here
)

# The table of a row of observations has one line for each scalar: the observation and the variance of its noise (made
# independent of the others if R is full), what became of it, v, S, h P h' + r (differs from S if that is diffuse), the entry
# that was the pivot of that number when R was factored, the largest variance that the line has seen, negative once one was so
# small beside it that it may be rounding, then K (n_states), M = P h' (n_states) and C (n_obs) with R = C diag(r) C': ones on
# the diagonal, and else C[i, j] is zero unless j was a pivot before i.
Y, NOISE, KIND, V, S, TOTAL, PIVOT, SCALE, K = range(9)
SKIPPED, ORDINARY, DIFFUSE = 0, 1, 2  # the kinds: missing or redundant, or absorbed in one of two ways


@part
def new_row(model: Model) -> Array:
    """Work space for a row of observations."""
    row = np.empty((model.dy, K + 2 * model.dx + model.dy))
    clear_row(model, row)
    return row


@part
def clear_row(model: Model, row: Array) -> None:
    """Make work space ready for the first row."""
    for i in range(model.dy):
        for j in range(row.shape[1]):
            row[i, j] = 0.0
        row[i, Y] = np.inf  # nothing is known of C yet


@part
def observe(value: Array, model: Model, t: int, y: Array, row: Array) -> None:
    """Put y[t], seen through a diagonal R, into `row`."""
    g = noise(model, t)
    for i in range(model.dy):
        row[i, Y] = y[t, i]
        row[i, V] = abs(y[t, i])
        row[i, NOISE] = value[g + i * (model.dy + 1)]


@rare
def decorrelate(index: Index, value: Array, model: Model, t: int, y: Array, row: Array, h: Array) -> bool:
    """Put y[t], seen through a full R, into `row` as independent observations; False if R is no covariance.

    With R = C diag(r) C', the observed entries of C^-1 y have independent noise of variance r and see the rows of C^-1 H,
    which go to h. The terms of an entry without their cancellation are left as V.
    """
    dy, c = model.dy, K + 2 * model.dx
    known = model.H.times == 1 and model.R_times == 1
    for i in range(dy):
        known = known and (math.isnan(y[t, i]) == math.isnan(row[i, Y])) and row[i, Y] != np.inf
        row[i, Y] = y[t, i]
    if not known and not _factor(index, value, model, t, row, h):
        return False
    for k in range(dy):
        i = int(row[k, PIVOT])
        row[i, V] = abs(row[i, Y])
        for l in range(k):
            j = int(row[l, PIVOT])
            if not math.isnan(row[j, Y]):
                row[i, Y] -= row[i, c + j] * row[j, Y]
                row[i, V] += abs(row[i, c + j]) * row[j, V]
    return True


@rare
def _factor(index: Index, value: Array, model: Model, t: int, row: Array, h: Array) -> bool:
    """C, r and C^-1 H for the entries that are observed; lines of C for the others are those of the identity.

    Entries are pivots in their order as long as enough is left of their variance, then those of which most is left, so that
    rounding does not grow, whatever depends on what.
    """
    H, dy, c = model.H, model.dy, K + 2 * model.dx
    R, g = noise(model, t), start(H, t)
    for e in range(H.size):
        h[e] = value[g + e]
    for i in range(dy):
        row[i, NOISE], row[i, PIVOT] = value[R + i * (dy + 1)], float(i)
        for j in range(dy):
            row[i, c + j] = 0.0
    for k in range(dy):
        i = _pivot(value, R, row, k)
        total = value[R + i * (dy + 1)]
        if row[i, NOISE] < -REDUNDANT * total:
            return False
        if row[i, NOISE] < REDUNDANT * total:
            row[i, NOISE] = 0.0
            _without_rounding(index, value, H, g, row, c, k, h)
        if math.isnan(row[i, Y]):
            continue
        for l in range(k + 1, dy):
            j = int(row[l, PIVOT])
            if not math.isnan(row[j, Y]) and not _less_pivot(index, value, H, R, row, c, k, j, h):
                return False
    return True


@part
def _pivot(value: Array, R: int, row: Array, k: int) -> int:
    """Move the pivot of number k to its place among those that are left; what is missing comes last."""
    dy, best, most = row.shape[0], k, -np.inf
    for l in range(k, dy):
        i = int(row[l, PIVOT])
        total = value[R + i * (dy + 1)]
        if math.isnan(row[i, Y]):
            continue
        left = row[i, NOISE] / total if total > 0.0 else 0.0
        if left > most:
            best, most = l, left
        if left >= EARLY:
            best = l
            break
    chosen = row[best, PIVOT]
    for l in range(best, k, -1):
        row[l, PIVOT] = row[l - 1, PIVOT]
    row[k, PIVOT] = chosen
    return int(chosen)


@rare
def _without_rounding(index: Index, value: Array, H: Block, g: int, row: Array, c: int, k: int, h: Array) -> None:
    """Make zero what rounding alone has left of the line of pivot k, which has no noise that would hide it."""
    i = int(row[k, PIVOT])
    first = index[H.ptr + i]
    for e in range(first, index[H.ptr + i + 1]):
        terms = abs(value[g + e])
        for l in range(k):
            j = int(row[l, PIVOT])
            if row[i, c + j] != 0.0:
                terms += abs(row[i, c + j] * h[index[H.ptr + j] + e - first])
        if abs(h[e]) <= ROUNDING * terms:
            h[e] = 0.0


@part
def _less_pivot(index: Index, value: Array, H: Block, R: int, row: Array, c: int, k: int, j: int, h: Array) -> bool:
    """Take what pivot k explains from entry j and its line of H; False if a pivot without variance should explain some."""
    dy, i = row.shape[0], int(row[k, PIVOT])
    x = value[R + j * dy + i]
    for l in range(k):
        before = int(row[l, PIVOT])
        x -= row[i, c + before] * row[j, c + before] * row[before, NOISE]
    if row[i, NOISE] == 0.0:
        return bool(abs(x) <= CONTRADICTION * math.sqrt(value[R + i * (dy + 1)] * value[R + j * (dy + 1)]))
    if x != 0.0:  # then both belong to one group of correlated entries, of which all lines have the same pattern
        row[j, c + i] = x / row[i, NOISE]
        row[j, NOISE] -= x * row[j, c + i]
        f = index[H.ptr + i]
        for e in range(index[H.ptr + j], index[H.ptr + j + 1]):
            h[e] -= row[j, c + i] * h[f]
            f += 1
    return True


def _absorb(
    index: Index,
    H: Block,
    h: Array,
    g: int,
    place: Index,
    row: Array,
    keep: bool,
    M: Array,
    m: Array,
    P: Array,
    A: Array | None,
    rank: int,
    held: Array,
    count: int,
    product: float,
) -> Any:
    """Update m, P and A by the observations in `row`; returns (log-likelihood, product, rank, count, whether all was sound).

    Line i of H has the values h[g + e]. Of A only the first `rank` columns are still diffuse. `product` is that of the
    variances whose logarithm is still to be taken, `count` the number of updates held back from P . Gains are
    written to `row` with `keep`; M is work space. A is None where nothing is diffuse. Several lines without noise can tell a
    state exactly, and what is left of P is then rounding. That is measured by the terms that have cancelled in the row: at
    first the variances themselves, then also k^2 h P h' for every gain k. They are kept where the last line has room for its M.
    """
    loglik, n, final = 0.0, m.size, row.shape[0] - 1
    if final > 0:
        for j in range(n):
            row[final, K + n + j] = _variance(P, held, count, j)
    for i in range(row.shape[0]):
        row[i, KIND] = SKIPPED
        v, s = row[i, Y], row[i, NOISE]
        if math.isnan(v):
            continue
        size, most = row[i, V], s  # the terms of v and s added up without their cancellation
        first, stop = index[H.ptr + i], index[H.ptr + i + 1]
        for k in range(n):
            M[k] = 0.0
        for e in range(first, stop):
            j, x = place[index[H.col + e]], h[g + e]
            v -= x * m[j]
            size += abs(x * m[j])
            most += x * x * _variance(P, held, count, j)
            add_line(P, j, x, M)
        for k in range(count):
            _less_held(index, H, h, g, place, first, stop, held, k, M)
        for e in range(first, stop):
            s += h[g + e] * M[place[index[H.col + e]]]
        terms = most  # and those of what has cancelled in the row before it
        if final > 0 and (row[i, NOISE] == 0.0 or s < EARLY * most):
            terms = max(most, _terms(index, H, h, g, place, row, i, n))
        scale = _doubt(row, i, s, terms)
        row[i, V], row[i, S], row[i, TOTAL] = v, s, s
        if not (abs(s) < np.inf and abs(v) < np.inf):
            return loglik, product, rank, count, False
        if A is not None:
            c = _turn(index, H, h, g, place, row, i, A, rank) if rank > 0 else 0.0
            if c != 0.0:
                rank -= 1
                loglik -= 0.5 * LOG_2PI + math.log(abs(c))
                row[i, KIND], row[i, S] = DIFFUSE, c * c
                if row[i, NOISE] <= NOISELESS * scale:
                    view = _view(index, H, h, g, place, i, A)
                    if c * c < DOUBTFUL * view * view:
                        row[i, SCALE] = -max(scale, 1e-300)
                _resolve(row, i, keep, c, terms, M, m, P, A, rank)
                continue
        floor = REDUNDANT * most
        if row[i, NOISE] == 0.0:
            floor = max(floor, ROUNDING * terms)
        if s <= floor:
            if s < -REDUNDANT * scale:
                return loglik, product, rank, count, False
            if abs(v) > CONTRADICTION * size:
                loglik = -np.inf
            continue
        row[i, KIND] = ORDINARY
        inverse = 1.0 / s
        loglik -= 0.5 * (LOG_2PI + v * v * inverse)
        product *= s
        if not (1e-75 < s < 1e75 and 1e-75 < product < 1e75):
            loglik -= 0.5 * (math.log(product / s) + math.log(s))
            product = 1.0
        if keep:
            for j in range(n):
                row[i, K + j] = M[j] * inverse
        gain = v * inverse
        for j in range(n):
            m[j] += M[j] * gain
        if rank == 0 and held.shape[0] > 0:
            for j in range(n):
                held[count, j] = M[j]
            held[count, n] = inverse
            count += 1
            if count == held.shape[0]:
                count = flush(P, held, count)
        else:
            for j in range(n):
                x = M[j] * inverse
                for k in range(j + 1):
                    P[j, k] -= x * M[k]
        if final > 0 and (row[i, NOISE] == 0.0 or s < EARLY * terms):
            _grow(row, inverse, terms, M)
        if row[i, NOISE] <= ROUNDING * s:
            count = flush(P, held, count)
            _clean(P, M, inverse)
            if final > 0:
                _clean_all(P, M, row)
    return loglik, product, rank, count, True


@part
def _doubt(row: Array, i: int, s: float, terms: float) -> float:
    """Note the largest variance that line i has seen, and that s may be rounding beside it; returns it."""
    scale: float = abs(row[i, SCALE])
    if scale == 0.0:
        for j in range(row.shape[0]):
            scale = max(scale, abs(row[j, SCALE]))
    scale = max(scale, terms)
    doubtful = row[i, SCALE] < 0.0 or (s < DOUBTFUL * scale and row[i, NOISE] <= NOISELESS * scale)
    row[i, SCALE] = -scale if doubtful else scale
    return scale


@rare
def _terms(index: Index, H: Block, h: Array, g: int, place: Index, row: Array, i: int, n: int) -> float:
    """The variance of line i without any cancellation in the row so far."""
    total: float = row[i, NOISE]
    final = row.shape[0] - 1
    for e in range(index[H.ptr + i], index[H.ptr + i + 1]):
        total += h[g + e] * h[g + e] * row[final, K + n + place[index[H.col + e]]]
    return total


@rare
def _grow(row: Array, inverse: float, terms: float, M: Array) -> None:
    """Count what cancels in an update by the gain M * inverse among the terms that rounding is measured by."""
    n, final = M.size, row.shape[0] - 1
    for j in range(n):
        k = M[j] * inverse
        row[final, K + n + j] = max(row[final, K + n + j], k * k * terms)


# The first, inlined, for rows before which nothing is diffuse: it takes None for A, and is twice as fast without the code for it.
absorb, absorb_diffuse = part(_absorb), rare(_absorb)


@part
def add_line(P: Array, i: int, x: float, out: Array) -> None:
    """Add x times line i of a symmetric matrix, of which only the lower triangle is kept."""
    for j in range(i):
        out[j] += x * P[i, j]
    for j in range(i, out.size):
        out[j] += x * P[j, i]


@part
def _variance(P: Array, held: Array, count: int, j: int) -> float:
    x: float = P[j, j]
    for c in range(count):
        x -= held[c, j] * held[c, j] * held[c, P.shape[0]]
    return x


@part
def _less_held(
    index: Index, H: Block, h: Array, g: int, place: Index, first: int, stop: int, held: Array, c: int, M: Array
) -> None:
    """Take from M what update c, which P has not got yet, takes from it."""
    x = 0.0
    for e in range(first, stop):
        x += h[g + e] * held[c, place[index[H.col + e]]]
    x *= held[c, M.size]
    for k in range(M.size):
        M[k] -= x * held[c, k]


@rare
def flush(P: Array, held: Array, count: int) -> int:
    """Take the updates that were held back from P, four in one go; returns how many are left, which is none."""
    n = P.shape[0]
    if count == 4:
        for i in range(n):
            a, b = held[0, i] * held[0, n], held[1, i] * held[1, n]
            c, d = held[2, i] * held[2, n], held[3, i] * held[3, n]
            for j in range(i + 1):
                P[i, j] -= a * held[0, j] + b * held[1, j] + c * held[2, j] + d * held[3, j]
        return 0
    for k in range(count):
        for i in range(n):
            a = held[k, i] * held[k, n]
            for j in range(i + 1):
                P[i, j] -= a * held[k, j]
    return 0


@rare
def _clean(P: Array, M: Array, inverse: float) -> None:
    """After an observation without noise: zero the lines of P of the states that it tells exactly."""
    n = M.size
    for j in range(n):
        if M[j] != 0.0 and abs(P[j, j]) <= ROUNDING * M[j] * M[j] * inverse:
            _forget(P, j)


@rare
def _clean_all(P: Array, M: Array, row: Array) -> None:
    """The same for the states that it tells together with those of the row before it."""
    n, final = M.size, row.shape[0] - 1
    for j in range(n):
        if M[j] != 0.0 and abs(P[j, j]) <= ROUNDING * row[final, K + n + j]:
            _forget(P, j)


@rare
def _forget(P: Array, j: int) -> None:
    for k in range(j + 1):
        P[j, k] = 0.0
    for k in range(j, P.shape[0]):
        P[k, j] = 0.0


@rare
def _view(index: Index, H: Block, h: Array, g: int, place: Index, i: int, A: Array) -> float:
    """The size of what observation i would see of A without cancellation."""
    size = 0.0
    for e in range(index[H.ptr + i], index[H.ptr + i + 1]):
        norm, j = 0.0, place[index[H.col + e]]
        for k in range(A.shape[1]):
            norm += A[j, k] * A[j, k]
        size += abs(h[g + e]) * math.sqrt(norm)
    return size


@rare
def _turn(index: Index, H: Block, h: Array, g: int, place: Index, row: Array, i: int, A: Array, rank: int) -> float:
    """Rotate the diffuse columns of A so that observation i sees the last of them alone; returns h times it, 0 if unseen.

    The line of the table is work space: an allocation here would slow down every row, diffuse or not.
    """
    for k in range(rank):
        row[i, K + k] = 0.0
    size = 0.0
    for e in range(index[H.ptr + i], index[H.ptr + i + 1]):
        j, x = place[index[H.col + e]], h[g + e]
        norm = 0.0
        for k in range(A.shape[1]):
            norm += A[j, k] * A[j, k]
        size += abs(x) * math.sqrt(norm)
        for k in range(rank):
            row[i, K + k] += x * A[j, k]
    # Householder's reflection that sends h A to c times the last axis
    c = 0.0
    for k in range(rank):
        c += row[i, K + k] * row[i, K + k]
    c = math.sqrt(c)
    if not c > UNSEEN * size:
        return 0.0
    last = row[i, K + rank - 1]
    c = -c if last > 0.0 else c
    row[i, K + rank - 1] -= c
    half = c * (c - last)  # half of the squared length of what is now the mirror's normal
    for j in range(A.shape[0]):
        s = 0.0
        for k in range(rank):
            s += A[j, k] * row[i, K + k]
        s /= half
        for k in range(rank):
            A[j, k] -= s * row[i, K + k]
    return c


@rare
def _resolve(
    row: Array, i: int, keep: bool, c: float, terms: float, M: Array, m: Array, P: Array, A: Array, last: int
) -> None:
    """The update by an observation whose variance is infinite: P <- (I - K h) P (I - K h)' + r K K'."""
    n, final = m.size, row.shape[0] - 1
    exact = row[i, NOISE] <= ROUNDING * row[i, TOTAL]
    for j in range(n - 1, -1, -1):  # from below, so that what is forgotten stays so
        k = A[j, last] / c
        zero = REDUNDANT * (P[j, j] + 2.0 * abs(k * M[j]) + k * k * row[i, TOTAL])
        size = max(P[j, j], k * k * terms)  # what rounding is measured by from here on
        if final > 0:
            size = max(size, row[final, K + n + j])
            row[final, K + n + j] = size
        m[j] += k * row[i, V]
        if keep:
            row[i, K + j], row[i, K + n + j] = k, M[j]
        x, z = (row[i, TOTAL] * k - M[j]) / c, k
        for l in range(j + 1):
            P[j, l] += x * A[l, last] - z * M[l]
        if exact:
            if k != 0.0 and abs(P[j, j]) <= max(zero, ROUNDING * size):
                _forget(P, j)
            left, norm = 0.0, 0.0
            for l in range(A.shape[1]):
                norm += A[j, l] * A[j, l]
                left += A[j, l] * A[j, l] if l < last else 0.0
            if left <= UNSEEN * UNSEEN * norm:
                for l in range(last):
                    A[j, l] = 0.0
