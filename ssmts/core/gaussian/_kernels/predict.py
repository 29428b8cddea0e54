"""The filter's prediction, compiled: m <- F m + b, P <- F P F' + V, A <- F A.

**Moves.** A state that a transition only hands on, as a seasonal effect or a constant coefficient (its line of F has a single,
constant 1), keeps its place in m, P and A: what moves is its name. `Moves` says where each state is kept; the other states,
whose values are mixed, are written to the places that have become free. Lines and columns of m, P, A, r and N are places. Of P
only the lower triangle is kept.

**Shears.** Where no state is changed before another one reads it, as the level, which reads the slope, before the slope, the
transition is a product of steps that scale a line or add a multiple of one line to another, in place.
"""

import math
from typing import NamedTuple

import numpy as np

from ssmts.core.gaussian._kernels.layout import Block, Model, part, rare, start
from ssmts.core.gaussian._kernels.update import ROUNDING
from ssmts.core.gaussian._kernels.window import vector
from ssmts.core.types import Array, Index


class Moves(NamedTuple):
    """Where states are kept, and how a transition moves them."""

    place: Index  # (n_states,) of each state
    mixed: Index  # the states that get a new value, none if shears do the same,
    free: Index  # and the states whose places these take over
    shears: Index  # lines (p, q, e): state p gets x_e times q, or if it is q itself, is scaled by x_e (by 0 if e is -1)
    cycles: Index  # length and members of each cycle: a member takes over the place of the next one


@part
def new_moves(index: Index, model: Model, place: Index, moving: bool) -> Moves:
    """The moves of a model; if not `moving`, every state is mixed and stays in its place."""
    if moving:
        free = model.mixed + model.n_mixed
        shears = free + model.n_mixed
        cycles = shears + 3 * model.n_shears
        return Moves(
            place,
            vector(index, model.mixed, model.n_mixed),
            vector(index, free, model.n_mixed),
            vector(index, shears, 3 * model.n_shears),
            vector(index, cycles, index.size - cycles),
        )
    every = np.empty(model.dx, np.int64)
    for i in range(model.dx):
        every[i] = i
    return Moves(place, every, every, every[:0], every[:0])


@part
def shear(P: Array, p: int, q: int, x: float) -> None:
    """P <- E P E' on the lower triangle, where E adds x times line q to line p."""
    corner = P[p, p] + x * (2.0 * P[max(p, q), min(p, q)] + x * P[q, q])
    for j in range(min(p, q)):
        P[p, j] += x * P[q, j]
    if p < q:
        for j in range(p + 1, q):
            P[j, p] += x * P[q, j]
        P[q, p] += x * P[q, q]
        for j in range(q + 1, P.shape[0]):
            P[j, p] += x * P[j, q]
    else:
        for j in range(q, p):
            P[p, j] += x * P[j, q]
        for j in range(p + 1, P.shape[0]):
            P[j, p] += x * P[j, q]
    P[p, p] = corner


@part
def scale(P: Array, p: int, x: float) -> None:
    """P <- E P E' on the lower triangle, where E multiplies line p by x."""
    for j in range(p + 1):
        P[p, j] *= x
    for j in range(p, P.shape[0]):
        P[j, p] *= x


@part
def shear_lines(index: Index, value: Array, F: Block, t: int, moves: Moves, A: Array, columns: int) -> None:
    """A <- E A, the shears of F[t] one after the other."""
    g, place, shears = start(F, t), moves.place, moves.shears
    for s in range(0, shears.size, 3):
        p, q, e = place[shears[s]], place[shears[s + 1]], shears[s + 2]
        x = value[g + e] if e >= 0 else 0.0
        if p == q:
            for k in range(columns):
                A[p, k] *= x
        else:
            for k in range(columns):
                A[p, k] += x * A[q, k]


@rare
def _move_unknown(index: Index, value: Array, F: Block, t: int, moves: Moves, A: Array, W: Array) -> None:
    """The shears of F[t] on a diffuse factor, and the lines of its mixed states in W; what cancels but for rounding is zero.

    A season that adds up to zero is unknown, but not its sum: rounding of it must not count as something to be seen.
    """
    g, shears, columns, terms = start(F, t), moves.shears, A.shape[1], 0.0
    for s in range(0, shears.size, 3):
        p, q, e = moves.place[shears[s]], moves.place[shears[s + 1]], shears[s + 2]
        x = value[g + e] if e >= 0 else 0.0
        if s == 0 or shears[s] != shears[s - 3]:
            terms = _length(A, p, columns)
        if p == q:
            terms *= abs(x)
            for k in range(columns):
                A[p, k] *= x
        else:
            terms += abs(x) * _length(A, q, columns)
            for k in range(columns):
                A[p, k] += x * A[q, k]
        if _length(A, p, columns) <= ROUNDING * terms and (s + 3 >= shears.size or shears[s] != shears[s + 3]):
            for k in range(columns):
                A[p, k] = 0.0
    mix(index, value, F, t, moves, A, columns, W)
    for a in range(moves.mixed.size):
        i, terms = moves.mixed[a], 0.0
        for e in range(index[F.ptr + i], index[F.ptr + i + 1]):
            terms += abs(value[g + e]) * _length(A, moves.place[index[F.col + e]], columns)
        if _length(W, a, columns) <= ROUNDING * terms:
            for k in range(columns):
                W[a, k] = 0.0


@part
def _length(A: Array, i: int, columns: int) -> float:
    total = 0.0
    for k in range(columns):
        total += A[i, k] * A[i, k]
    return math.sqrt(total)


@part
def mix(index: Index, value: Array, F: Block, t: int, moves: Moves, A: Array, columns: int, W: Array) -> None:
    """The lines of F[t] A for the mixed states, one after the other, in W."""
    g = start(F, t)
    for a in range(moves.mixed.size):
        i = moves.mixed[a]
        for j in range(columns):
            W[a, j] = 0.0
        for e in range(index[F.ptr + i], index[F.ptr + i + 1]):
            x, k = value[g + e], moves.place[index[F.col + e]]
            for j in range(columns):
                W[a, j] += x * A[k, j]


@part
def sandwich(index: Index, value: Array, F: Block, t: int, moves: Moves, P: Array, W: Array) -> None:
    """The lower triangle of P <- F[t] P F[t]'; W is work space of three times as many lines."""
    g = start(F, t)
    for s in range(0, moves.shears.size, 3):
        p, q, e = moves.place[moves.shears[s]], moves.place[moves.shears[s + 1]], moves.shears[s + 2]
        x = value[g + e] if e >= 0 else 0.0
        if p == q:
            scale(P, p, x)
        else:
            shear(P, p, q, x)
    if moves.mixed.size > 0:
        _sandwich_mixed(index, value, F, t, moves, P, W)


@rare
def _sandwich_mixed(index: Index, value: Array, F: Block, t: int, moves: Moves, P: Array, W: Array) -> None:
    """The same for a transition that cannot be taken apart into shears."""
    n, mixed, g = P.shape[0], moves.mixed.size, start(F, t)
    for i in range(n):
        for j in range(i):
            P[j, i] = P[i, j]
    mix(index, value, F, t, moves, P, n, W)
    for j in range(n):
        for a in range(mixed):
            W[n + j, a] = W[a, j]
    for a in range(mixed):
        i = moves.mixed[a]
        for b in range(a + 1):
            W[2 * n + a, b] = 0.0
        for e in range(index[F.ptr + i], index[F.ptr + i + 1]):
            x, k = value[g + e], n + moves.place[index[F.col + e]]
            for b in range(a + 1):
                W[2 * n + a, b] += x * W[k, b]
    if mixed < n:
        for a in range(mixed):
            i = moves.place[moves.free[a]]
            for j in range(i):
                P[i, j] = W[a, j]
            for j in range(i, n):
                P[j, i] = W[a, j]
    for a in range(mixed):
        i = moves.place[moves.free[a]]
        for b in range(a + 1):
            j = moves.place[moves.free[b]]
            P[max(i, j), min(i, j)] = W[2 * n + a, b]


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
    held: Array,
    count: int,
    W: Array,
) -> None:
    """From t to t + 1: m <- F m + b, P <- F P F' + V, A <- F A, and the same of the updates held back from P."""
    if rank > 0:
        _move_unknown(index, value, model.F, t, moves, A, W)
        for a in range(moves.mixed.size):
            i = moves.place[moves.free[a]]
            for k in range(A.shape[1]):
                A[i, k] = W[a, k]
    sandwich(index, value, model.F, t, moves, P, W)
    for c in range(count):
        _move_held(index, value, model.F, t, moves, held, c, W)
    move(index, value, model.F, t, b, moves, m, W)
    V, place = model.V, moves.place
    g = start(V, t)
    for e in range(V.size):
        j, k = place[index[model.noisy + e]], place[index[V.col + e]]
        P[max(j, k), min(j, k)] += value[g + e]


@part
def _move_held(index: Index, value: Array, F: Block, t: int, moves: Moves, held: Array, c: int, W: Array) -> None:
    place, mixed, free, shears = moves.place, moves.mixed, moves.free, moves.shears
    g = start(F, t)
    for s in range(0, shears.size, 3):
        p, q, e = place[shears[s]], place[shears[s + 1]], shears[s + 2]
        x = value[g + e] if e >= 0 else 0.0
        held[c, p] = x * held[c, p] if p == q else held[c, p] + x * held[c, q]
    for a in range(mixed.size):
        x = 0.0
        for e in range(index[F.ptr + mixed[a]], index[F.ptr + mixed[a] + 1]):
            x += value[g + e] * held[c, place[index[F.col + e]]]
        W[0, a] = x
    for a in range(mixed.size):
        held[c, place[free[a]]] = W[0, a]


@part
def move(index: Index, value: Array, F: Block, t: int, b: Array, moves: Moves, m: Array, W: Array) -> None:
    """Move the mean, m <- F[t] m + b[t], and the names of the states."""
    place, mixed, free, shears, cycles = moves
    g = start(F, t)
    for s in range(0, shears.size, 3):
        p, q, e = place[shears[s]], place[shears[s + 1]], shears[s + 2]
        x = value[g + e] if e >= 0 else 0.0
        m[p] = x * m[p] if p == q else m[p] + x * m[q]
    for a in range(mixed.size):
        x = 0.0
        for e in range(index[F.ptr + mixed[a]], index[F.ptr + mixed[a] + 1]):
            x += value[g + e] * m[place[index[F.col + e]]]
        W[0, a] = x
    for a in range(mixed.size):
        m[place[free[a]]] = W[0, a]
    rotate(place, cycles)
    if b.shape[0] > 0:
        c = 0 if b.shape[0] == 1 else t
        for j in range(F.n):
            m[place[j]] += b[c, j]


@part
def rotate(place: Index, cycles: Index) -> None:
    """Move the names of the states."""
    i = 0
    while i < cycles.size:
        last = i + cycles[i]
        kept = place[cycles[i + 1]]
        for j in range(i + 1, last):
            place[cycles[j]] = place[cycles[j + 1]]
        place[cycles[last]] = kept
        i = last + 1


@rare
def settle(place: Index, m: Array, P: Array, A: Array, W: Array) -> None:
    """Bring every state back to the place of its number, and complete P by its upper triangle."""
    n = m.size
    for i in range(n):
        for j in range(i):
            P[j, i] = P[i, j]
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
