"""The way back over one scalar observation and over one transition, shared by the smoother and the score.

Going back from the last row, r and N collect what the rows ahead say about a state x: its log-likelihood given the rows so
far grows by r'd - d'N d / 2 (in expectation) if its mean is moved by d. With P's adjoint (r r' - N) / 2 they are also the
derivatives of the log-likelihood with respect to the state's mean and covariance (Koopman and Shephard 1992), and that
remains true over an observation that the diffuse part absorbs, which adds nothing of its own to either.
"""

from typing import Any

from ssmts.core.gaussian._kernels.layout import Block, part, rare, start
from ssmts.core.gaussian._kernels.predict import Moves
from ssmts.core.gaussian._kernels.update import KIND, NOISE, ORDINARY, PIVOT, K, S, V
from ssmts.core.types import Array, Index

VAGUE = 1e-2  # noise below this fraction of the innovation variance makes a row that says almost all that is known


@part
def padded(n: int) -> int:
    """The length of lines of n numbers that the processor takes in whole bunches of 16, where that costs little memory."""
    wide = (n + 15) // 16 * 16
    return wide if 2 * wide <= 3 * n else n


@part
def smoothing_error(table: Array, i: int, r: Array, N: Array, Nk: Array) -> Any:
    """The error u = v / S - K'r and its variance e = 1 / S + K'N K, without 1 / S where S is infinite; Nk <- N K.

    Lines of N may be longer than there are states, and Nk as long as they (see `padded`); likewise below.
    """
    n = r.size
    u, e = 0.0, 0.0
    for j in range(Nk.size):
        Nk[j] = 0.0
    for j in range(n):
        k = table[i, K + j]
        u -= k * r[j]
        for l in range(Nk.size):
            Nk[l] += k * N[j, l]
    for j in range(n):
        e += table[i, K + j] * Nk[j]
    if table[i, KIND] == ORDINARY:
        u += table[i, V] / table[i, S]
        e += 1.0 / table[i, S]
    return u, e


@part
def step_back(
    index: Index, H: Block, h: Array, g: int, place: Index, i: int, u: float, e: float, r: Array, N: Array, Nk: Array
) -> None:
    """The recursion r <- L'r + h'v / S, N <- L'N L + h'h / S with L = I - K h, by way of u, e and Nk = N K.

    N stays symmetric to the bit: what is skew in it would grow as an explosive transition does.
    """
    first, stop = index[H.ptr + i], index[H.ptr + i + 1]
    for a in range(first, stop):
        j, x = place[index[H.col + a]], h[g + a]
        r[j] += x * u
        for l in range(Nk.size):
            N[j, l] -= x * Nk[l]
        N[j, j] -= x * Nk[j]
        for l in range(r.size):
            N[l, j] = N[j, l]
    for a in range(first, stop):
        j, x = place[index[H.col + a]], e * h[g + a]
        for b in range(first, stop):
            N[j, place[index[H.col + b]]] += x * h[g + b]


@rare
def step_back_from_vague(
    index: Index,
    H: Block,
    h: Array,
    g: int,
    place: Index,
    table: Array,
    i: int,
    u: float,
    r: Array,
    N: Array,
    NL: Array,
) -> None:
    """`step_back` where the row says almost all that is known, so that L'N L is almost nothing, and no difference of terms of N.

    The columns of L that h touches are written down: -h_j K, and h_j K_j short of 1 is r / S + the sum of h_k K_k over the
    other k. NL is work space, a line for each of them.
    """
    first, stop, n = index[H.ptr + i], index[H.ptr + i + 1], r.size
    inverse = 1.0 / table[i, S] if table[i, KIND] == ORDINARY else 0.0
    for b in range(first, stop):
        j, x, own = place[index[H.col + b]], h[g + b], _short_of_one(index, H, h, g, place, table, i, b)
        r[j] += x * u
        for l in range(n):
            NL[b - first, l] = own * N[j, l]
        for k in range(n):
            if k != j:
                for l in range(n):
                    NL[b - first, l] -= x * table[i, K + k] * N[k, l]
    for b in range(first, stop):
        j = place[index[H.col + b]]
        for l in range(n):
            N[j, l] = NL[b - first, l]
            N[l, j] = NL[b - first, l]
    for a in range(first, stop):
        j, x, own = place[index[H.col + a]], h[g + a], _short_of_one(index, H, h, g, place, table, i, a)
        for b in range(first, a + 1):
            total = x * h[g + b] * inverse + own * NL[b - first, j]
            for k in range(n):
                if k != j:
                    total -= x * table[i, K + k] * NL[b - first, k]
            l = place[index[H.col + b]]
            N[j, l] = total
            N[l, j] = total


@part
def _short_of_one(index: Index, H: Block, h: Array, g: int, place: Index, table: Array, i: int, b: int) -> float:
    """1 - h_j K_j for entry b of the line."""
    left = table[i, NOISE] / table[i, S] if table[i, KIND] == ORDINARY else 0.0
    for c in range(index[H.ptr + i], index[H.ptr + i + 1]):
        if c != b:
            left += h[g + c] * table[i, K + place[index[H.col + c]]]
    return float(left)


@part
def cross_errors(
    index: Index,
    H: Block,
    h: Array,
    g: int,
    place: Index,
    table: Array,
    i: int,
    e: float,
    Nk: Array,
    Ne: Array,
    E: Array,
) -> None:
    """Covariances E[i, j] of the smoothing errors of one row, j > i, and N[state, noise j] in Ne[j].

    The noises of the row are thought of as states that only it sees, so that N has lines for them too.
    """
    n = Ne.shape[1]
    first, stop = index[H.ptr + i], index[H.ptr + i + 1]
    for j in range(i + 1, E.shape[0]):
        x = 0.0
        for l in range(n):
            x += table[i, K + l] * Ne[j, l]
        E[i, j] = -x
        E[j, i] = -x
        for a in range(first, stop):
            Ne[j, place[index[H.col + a]]] -= h[g + a] * x
    E[i, i] = e
    for l in range(n):
        Ne[i, l] = -Nk[l]
    for a in range(first, stop):
        Ne[i, place[index[H.col + a]]] += h[g + a] * e


@rare
def correlate(table: Array, c: int, u: Array, E: Array) -> None:
    """From the independent observations of a full R back to the given ones: u <- C'^-1 u, E <- C'^-1 E C^-1.

    C starts at column c of the table.
    """
    for k in range(u.size - 1, -1, -1):
        i = int(table[k, PIVOT])
        for j in range(u.size):
            x = table[j, c + i]
            u[i] -= x * u[j]
            for l in range(u.size):
                E[i, l] -= x * E[j, l]
    for k in range(u.size - 1, -1, -1):
        i = int(table[k, PIVOT])
        for j in range(u.size):
            for l in range(u.size):
                E[l, i] -= table[j, c + i] * E[l, j]


@part
def rename_back(moves: Moves) -> None:
    """Undo what a transition did to the names of the states."""
    place, cycles = moves.place, moves.cycles
    i = 0
    while i < cycles.size:
        last = i + cycles[i]
        kept = place[cycles[last]]
        for j in range(last, i + 1, -1):
            place[cycles[j]] = place[cycles[j - 1]]
        place[cycles[i + 1]] = kept
        i = last + 1


@part
def shear_lines_back(index: Index, value: Array, F: Block, t: int, moves: Moves, A: Array, columns: int) -> None:
    """A <- E'A, the shears of F[t] transposed, the last one first."""
    g, place, shears = start(F, t), moves.place, moves.shears
    for s in range(shears.size - 3, -1, -3):
        p, q, e = place[shears[s]], place[shears[s + 1]], shears[s + 2]
        x = value[g + e] if e >= 0 else 0.0
        if p == q:
            for k in range(columns):
                A[p, k] *= x
        else:
            for k in range(columns):
                A[q, k] += x * A[p, k]


@part
def move_back(index: Index, value: Array, F: Block, t: int, moves: Moves, r: Array, W: Array) -> None:
    """Take r back over a transition, r <- F[t]'r; names of states are those before it."""
    place, mixed, free, shears = moves.place, moves.mixed, moves.free, moves.shears
    g = start(F, t)
    for s in range(shears.size - 3, -1, -3):
        p, q, e = place[shears[s]], place[shears[s + 1]], shears[s + 2]
        x = value[g + e] if e >= 0 else 0.0
        r[q] = x * r[q] if p == q else r[q] + x * r[p]
    for a in range(mixed.size):
        i = place[free[a]]
        W[0, a] = r[i]
        r[i] = 0.0
    for a in range(mixed.size):
        for e in range(index[F.ptr + mixed[a]], index[F.ptr + mixed[a] + 1]):
            r[place[index[F.col + e]]] += value[g + e] * W[0, a]


@part
def sandwich_back(index: Index, value: Array, F: Block, t: int, moves: Moves, N: Array, W: Array) -> None:
    """Take N back over a transition, N <- F[t]'N F[t]; names of states are those before it."""
    g, n, wide = start(F, t), N.shape[0], N.shape[1]
    for s in range(moves.shears.size - 3, -1, -3):
        p, q, e = moves.place[moves.shears[s]], moves.place[moves.shears[s + 1]], moves.shears[s + 2]
        x = value[g + e] if e >= 0 else 0.0
        if p == q:
            for j in range(wide):
                N[p, j] *= x
            N[p, p] *= x
            for j in range(n):
                N[j, p] = N[p, j]
        else:
            for j in range(wide):
                N[q, j] += x * N[p, j]
            N[q, q] += x * N[q, p]
            for j in range(n):
                N[j, q] = N[q, j]
    if moves.mixed.size > 0:
        _sandwich_mixed(index, value, F, t, moves, N, W)


@rare
def _sandwich_mixed(index: Index, value: Array, F: Block, t: int, moves: Moves, N: Array, W: Array) -> None:
    """The same for a transition that cannot be taken apart into shears.

    With f the lines of the mixed states, c the lines of N at their places and s the entries that these share, N is emptied
    at these places and gets f'z + z'f, where z = c + s f / 2. W is work space of three times as many lines.
    """
    place, mixed, free = moves.place, moves.mixed, moves.free
    n, g, count = N.shape[0], start(F, t), mixed.size
    for a in range(count):
        i = place[free[a]]
        for j in range(n):
            W[j, a] = N[i, j]
    for a in range(count):
        i = place[free[a]]
        for j in range(n):
            N[i, j] = 0.0
            N[j, i] = 0.0
        for b in range(count):
            W[n + a, b] = 0.5 * W[i, b]
            W[i, b] = 0.0
    for a in range(count):  # z' in the first lines of W
        for e in range(index[F.ptr + mixed[a]], index[F.ptr + mixed[a] + 1]):
            x, k = value[g + e], place[index[F.col + e]]
            for b in range(count):
                W[k, b] += x * W[n + a, b]
    for a in range(count):
        for j in range(n):
            W[n + a, j] = W[j, a]
    for k in range(n):
        for j in range(n):
            W[2 * n + k, j] = 0.0
    for a in range(count):  # f'z in the last
        for e in range(index[F.ptr + mixed[a]], index[F.ptr + mixed[a] + 1]):
            x, k = value[g + e], 2 * n + place[index[F.col + e]]
            for j in range(n):
                W[k, j] += x * W[n + a, j]
    for i in range(n):
        for j in range(n):
            N[i, j] += W[2 * n + i, j] + W[2 * n + j, i]
