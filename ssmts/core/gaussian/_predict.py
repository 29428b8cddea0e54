"""The filter's prediction, compiled: m <- F m + b, P <- F P F' + V, A <- F A.

**Moves.** A state that a transition only hands on, as a seasonal effect or a constant coefficient (its line of F has a single,
constant 1), keeps its place in m, P and A: what moves is its name. `Moves` says where each state is kept; the other states,
whose values are mixed, are written to the places that have become free. Lines and columns of m, P, A, r and N are places.
"""

from typing import NamedTuple

import numpy as np

from ssmts.core.gaussian._layout import Block, Model, part, rare, start
from ssmts.core.types import Array, Index


class Moves(NamedTuple):
    """Where states are kept, and how a transition moves them."""

    place: Index  # (n_states,) of each state
    mixed: Index  # the states that get a new value,
    free: Index  # and the states whose places these take over
    cycles: Index  # length and members of each cycle: a member takes over the place of the next one


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
