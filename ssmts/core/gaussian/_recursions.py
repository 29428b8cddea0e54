"""The steps of the Kalman filter, compiled: one scalar observation at a time, then one transition.

Letters as in the design's table: F, V = G Q G', H, R for the matrices, m and P for the state's mean and covariance, v, S and
K = P H' / S for innovation, its variance and the gain. Matrices come by compressed rows and are never multiplied by zeros.

**The diffuse part.** An infinite variance is written P + kappa A A' with kappa -> infinity. The factor A has one column for
every direction of which nothing is known, so its rank is the number of its columns. A scalar observation h sees a = h A of
it. A rotation turns the columns until one of them, c, holds all that h sees; c leaves, the gain is K = c / (h c), and the
other columns go on. Columns that have left are propagated along with the rest, as the yardstick of what counts as zero.

**Moves.** A state that a transition only hands on, as a seasonal effect or a constant coefficient (its line of F has a single,
constant 1), keeps its place in m, P and A: what moves is its name. `Moves` says where each state is kept; the other states,
whose values are mixed, are written to the places that have become free. Positions in m, P, A, r and N below are places.

Kernels hand each other few arrays, because every array costs a count of references at a call: a packed model is two vectors
and a `Model` of positions in them, and the work space of a row of observations is one table.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from numba import njit

from ssmts.core.types import Array, Index

# Not the full fastmath, which would fold the test for NaN away. Only what Python calls is cached; its parts go into it.
OPTIONS: Any = {"nogil": True, "error_model": "numpy", "fastmath": {"reassoc", "contract", "nsz", "arcp"}}
kernel = njit(cache=True, **OPTIONS)
# Parts are compiled into kernels only: Python never calls them, so they need no wrappers, which cost as much to compile.
part = njit(forceinline=True, no_cpython_wrapper=True, no_cfunc_wrapper=True, **OPTIONS)

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


class Block(NamedTuple):
    """Where the compressed rows of a matrix are in a packed model."""

    n: int  # rows
    size: int  # entries
    times: int
    ptr: int
    col: int
    val: int


class Model(NamedTuple):
    """Where the pieces of a packed model are."""

    dx: int
    dy: int
    full: bool  # R is not diagonal
    F: Block
    V: Block  # lower triangle
    H: Block
    R: int
    R_times: int
    mixed: int
    n_mixed: int


class Moves(NamedTuple):
    """Where states are kept, and how a transition moves them."""

    place: Index  # (n_states,) of each state
    mixed: Index  # the states that get a new value,
    free: Index  # and the states whose places these take over
    cycles: Index  # length and members of each cycle: a member takes over the place of the next one


@part
def _block(index: Index, head: int, i: int, j: int) -> Any:
    n, size, times = index[head], index[head + 1], index[head + 2]
    col = i + n + 1
    return Block(n, size, times, i, col, j), col + size, j + times * size


@part
def unpack(index: Index) -> Model:
    """Find the pieces of a packed model."""
    F, i, j = _block(index, 5, 14, 0)
    V, i, j = _block(index, 8, i, j)
    H, i, j = _block(index, 11, i, j)
    return Model(index[0], index[1], index[2] != 0, F, V, H, j, index[3], i, index[4])


@part
def new_moves(index: Index, model: Model, place: Index, moving: bool) -> Moves:
    """The moves of a model; if not `moving`, every state is mixed and stays in its place."""
    if moving:
        free = model.mixed + model.n_mixed
        cycles = free + model.n_mixed
        return Moves(place, index[model.mixed : free], index[free:cycles], index[cycles:])
    every = np.empty(model.dx, np.int64)
    for i in range(model.dx):
        every[i] = i
    return Moves(place, every, every, every[:0])


@part
def start(G: Block, t: int) -> int:
    """Where the values of G[t] start."""
    return G.val + (t * G.size if G.times > 1 else 0)


@part
def noise(model: Model, t: int) -> int:
    """Where the values of R[t] start."""
    return model.R + (t * model.dy * model.dy if model.R_times > 1 else 0)


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


@part
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


@part
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


@part
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


@part
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


@part
def mix(index: Index, value: Array, F: Block, t: int, moves: Moves, A: Array, columns: int, W: Array) -> None:
    """The lines of F[t] A for the mixed states, one after the other, in W."""
    g = start(F, t)
    for a in range(moves.mixed.size):
        i = moves.mixed[a]
        first, stop = index[F.ptr + i], index[F.ptr + i + 1]
        if first == stop:
            for j in range(columns):
                W[a, j] = 0.0
        for e in range(first, stop):
            x, k = value[g + e], moves.place[index[F.col + e]]
            if e == first:
                for j in range(columns):
                    W[a, j] = x * A[k, j]
            else:
                for j in range(columns):
                    W[a, j] += x * A[k, j]


@part
def sandwich(index: Index, value: Array, F: Block, t: int, moves: Moves, P: Array, W: Array) -> None:
    """P <- F[t] P F[t]', exactly symmetric; W is work space of three times as many lines."""
    n, mixed = P.shape[0], moves.mixed.size
    g = start(F, t)
    mix(index, value, F, t, moves, P, n, W)
    for j in range(n):
        for a in range(mixed):
            W[n + j, a] = W[a, j]
    for a in range(mixed):  # the mixed states among themselves
        i = moves.mixed[a]
        for b in range(mixed):
            W[2 * n + a, b] = 0.0
        for e in range(index[F.ptr + i], index[F.ptr + i + 1]):
            x, k = value[g + e], n + moves.place[index[F.col + e]]
            for b in range(mixed):
                W[2 * n + a, b] += x * W[k, b]
    if mixed < n:
        for a in range(mixed):
            i = moves.place[moves.free[a]]
            for j in range(n):
                P[i, j] = W[a, j]
            for j in range(n):
                P[j, i] = W[a, j]
    for a in range(mixed):
        i = moves.place[moves.free[a]]
        for b in range(mixed):
            P[i, moves.place[moves.free[b]]] = 0.5 * (W[2 * n + a, b] + W[2 * n + b, a])


@part
def predict(
    index: Index,
    value: Array,
    model: Model,
    t: int,
    b: Array,
    moves: Moves,
    m: Array,
    P: Array,
    A: Array,
    rank: int,
    W: Array,
) -> None:
    """From t to t + 1: m <- F m + b, P <- F P F' + V, A <- F A."""
    if rank > 0:
        mix(index, value, model.F, t, moves, A, A.shape[1], W)
        for a in range(moves.mixed.size):
            i = moves.place[moves.free[a]]
            for k in range(A.shape[1]):
                A[i, k] = W[a, k]
    sandwich(index, value, model.F, t, moves, P, W)
    move(index, value, model.F, t, b, moves, m, W)
    V, place = model.V, moves.place
    g = start(V, t)
    for i in range(V.n):
        for e in range(index[V.ptr + i], index[V.ptr + i + 1]):
            j, k = place[i], place[index[V.col + e]]
            x = P[j, k] + value[g + e]
            P[j, k] = x
            P[k, j] = x


@part
def move(index: Index, value: Array, F: Block, t: int, b: Array, moves: Moves, m: Array, W: Array) -> None:
    """Move the mean, m <- F[t] m + b[t], and the names of the states."""
    place, mixed, free, cycles = moves
    g = start(F, t)
    for a in range(mixed.size):
        x = 0.0
        for e in range(index[F.ptr + mixed[a]], index[F.ptr + mixed[a] + 1]):
            x += value[g + e] * m[place[index[F.col + e]]]
        W[0, a] = x
    for a in range(mixed.size):
        m[place[free[a]]] = W[0, a]
    i = 0
    while i < cycles.size:
        last = i + cycles[i]
        kept = place[cycles[i + 1]]
        for j in range(i + 1, last):
            place[cycles[j]] = place[cycles[j + 1]]
        place[cycles[last]] = kept
        i = last + 1
    if b.shape[0] > 0:
        c = 0 if b.shape[0] == 1 else t
        for j in range(F.n):
            m[place[j]] += b[c, j]


@part
def settle(place: Index, m: Array, P: Array, A: Array, W: Array) -> None:
    """Bring every state back to the place of its number."""
    n = m.size
    for i in range(n):
        W[n, i] = m[place[i]]
        for j in range(n):
            W[i, j] = P[place[i], place[j]]
    for i in range(n):
        m[i] = W[n, i]
        for j in range(n):
            P[i, j] = W[i, j]
    for i in range(n):
        for k in range(A.shape[1]):
            W[i, k] = A[place[i], k]
    for i in range(n):
        for k in range(A.shape[1]):
            A[i, k] = W[i, k]
