"""Sums of many states become states of their own, so that a transition that takes them need not add them up.

A row of the transition that takes c times the sum of a set S of states, as the dummy season takes minus the sum of the last
effects, is multiplied out at a cost that grows with S. If the sum hands itself on, that is if z = c 1_S'x obeys a short
equation of its own (for the season: the next z is the effect that leaves), the model with the state z besides is the same
model with a transition of few entries. A lifted model is an ordinary one for the recursions; its first states are the model's
own, and what is taken from L x for L = [I; sums] goes back to x through L'.
"""

from typing import Any, NamedTuple

import numpy as np

from ssmts.core.types import Array, Index

FEW = 6  # states in a sum from which on it is worth a state of its own


class Rows(NamedTuple):
    """A matrix by compressed rows: its pattern is the union over time, its values carry time first, of length 1 if constant."""

    ptr: Index  # (rows + 1,) where each row starts in col
    col: Index
    val: Array  # (n_times or 1, len(col))


class Lift(NamedTuple):
    """A lifted model in the packed form."""

    sums: Array  # (n_sums, n_states) what each further state is
    transition: Rows
    moves: tuple[Index, ...]
    noise: Rows
    layout: Index
    values: Array

    def up(self, x: Array) -> Array:
        """L x, for a vector or the columns of a matrix."""
        return np.concatenate([x, self.sums @ x])

    def up_factor(self, A: Array) -> Array:
        """L A for a diffuse factor; a sum of which nothing is unknown has no line of rounding."""
        lines = self.sums @ A
        size = np.abs(self.sums) @ np.linalg.norm(A, axis=1)
        lines[np.linalg.norm(lines, axis=1) <= 1e-14 * size] = 0.0
        return np.concatenate([A, lines])

    def down(self, r: Array) -> Array:
        """L'r, where the last axis is that of the lifted states."""
        n = self.sums.shape[1]
        return np.asarray(r[..., :n] + r[..., n:] @ self.sums)


def lifted_cov(sums: Array, P: Array) -> Array:
    """L P L', of a matrix or of each of many."""
    side = sums @ P
    return np.block([[P, side.swapaxes(-1, -2)], [side, side @ sums.T]])


def find_sums(F: Rows) -> tuple[Array, Rows] | None:
    """The sums that a constant transition is worth lifting by, and the lifted transition; None if there are none."""
    n = len(F.ptr) - 1
    long = np.flatnonzero(np.diff(F.ptr) >= FEW)
    if len(F.val) > 1 or not long.size:
        return None
    rows: list[dict[int, float]] = [
        dict(zip(F.col[F.ptr[i] : F.ptr[i + 1]].tolist(), F.val[0, F.ptr[i] : F.ptr[i + 1]].tolist())) for i in range(n)
    ]
    sums: list[Array] = []
    for i in long:
        cols, values = F.col[F.ptr[i] : F.ptr[i + 1]], F.val[0, F.ptr[i] : F.ptr[i + 1]]
        kinds, counts = np.unique(values, return_counts=True)
        c = float(kinds[counts.argmax()])
        members = cols[values == c]
        own = _transition_of(rows, members, c)
        if counts.max() < FEW or len(own) > counts.max() // 3:
            continue
        new = n + len(sums)
        rows[i] = {j: x for j, x in rows[i].items() if x != c} | {new: 1.0}
        sums.append(np.where(np.isin(np.arange(n), members), c, 0.0))
        rows.append(own)
    return (np.array(sums), _rows(rows)) if sums else None


def _transition_of(rows: list[dict[int, float]], members: Any, c: float) -> dict[int, float]:
    """What c times the sum of `members` is next, by the states."""
    total: dict[int, float] = {}
    for i in members.tolist():
        for j, x in rows[i].items():
            total[j] = total.get(j, 0.0) + c * x
    return {j: x for j, x in sorted(total.items()) if x != 0.0}


def _rows(rows: list[dict[int, float]]) -> Rows:
    ptr = np.cumsum([0, *map(len, rows)])
    col = np.array([j for row in rows for j in row], np.int64)
    return Rows(ptr, col, np.array([[x for row in rows for x in row.values()]]))
