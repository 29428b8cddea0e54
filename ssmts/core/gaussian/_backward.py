"""The step back over one scalar observation, shared by the smoother and the score.

Going back from the last row, r and N collect what the rows ahead say about a state x: its log-likelihood given the rows so
far grows by r'd - d'N d / 2 (in expectation) if its mean is moved by d. With P's adjoint (r r' - N) / 2 they are also the
derivatives of the log-likelihood with respect to the state's mean and covariance (Koopman and Shephard 1992), and that
remains true over an observation that the diffuse part absorbs, which adds nothing of its own to either.
"""

from typing import Any

from ssmts.core.gaussian._recursions import KIND, ORDINARY, Block, K, S, V, kernel
from ssmts.core.types import Array, Index


@kernel
def smoothing_error(table: Array, i: int, r: Array, N: Array, Nk: Array) -> Any:
    """The error u = v / S - K'r and its variance e = 1 / S + K'N K, without their first terms where S is infinite; Nk <- N K."""
    n = r.size
    u, e = 0.0, 0.0
    for j in range(n):
        Nk[j] = 0.0
    for j in range(n):
        k = table[i, K + j]
        u -= k * r[j]
        for l in range(n):
            Nk[l] += k * N[j, l]
    for j in range(n):
        e += table[i, K + j] * Nk[j]
    if table[i, KIND] == ORDINARY:
        u += table[i, V] / table[i, S]
        e += 1.0 / table[i, S]
    return u, e


@kernel
def step_back(
    index: Index, H: Block, h: Array, g: int, i: int, u: float, e: float, r: Array, N: Array, Nk: Array
) -> None:
    """The recursion r <- L'r + h'v / S, N <- L'N L + h'h / S with L = I - K h, by way of u, e and Nk = N K."""
    first, stop = index[H.ptr + i], index[H.ptr + i + 1]
    for a in range(first, stop):
        j, x = index[H.col + a], h[g + a]
        r[j] += x * u
        for l in range(r.size):
            N[j, l] -= x * Nk[l]
    for a in range(first, stop):
        j, x = index[H.col + a], h[g + a]
        for l in range(r.size):
            N[l, j] -= x * Nk[l]
        for b in range(first, stop):
            N[j, index[H.col + b]] += e * x * h[g + b]


@kernel
def cross_errors(
    index: Index, H: Block, h: Array, g: int, table: Array, i: int, e: float, Nk: Array, Ne: Array, E: Array
) -> None:
    """Covariances E[i, j] of the smoothing errors of one row, j > i, and N[state, noise j] in Ne[j].

    The noises of the row are thought of as states that only it sees, so that N has lines for them too.
    """
    n = Nk.size
    first, stop = index[H.ptr + i], index[H.ptr + i + 1]
    for j in range(i + 1, E.shape[0]):
        x = 0.0
        for l in range(n):
            x += table[i, K + l] * Ne[j, l]
        E[i, j] = -x
        E[j, i] = -x
        for a in range(first, stop):
            Ne[j, index[H.col + a]] -= h[g + a] * x
    E[i, i] = e
    for l in range(n):
        Ne[i, l] = -Nk[l]
    for a in range(first, stop):
        Ne[i, index[H.col + a]] += h[g + a] * e


@kernel
def correlate(table: Array, c: int, u: Array, E: Array) -> None:
    """From the independent observations of a full R back to the given ones: u <- C'^-1 u, E <- C'^-1 E C^-1.

    C starts at column c of the table.
    """
    for i in range(u.size - 1, -1, -1):
        for j in range(i + 1, u.size):
            x = table[j, c + i]
            u[i] -= x * u[j]
            for l in range(u.size):
                E[i, l] -= x * E[j, l]
    for i in range(u.size - 1, -1, -1):
        for j in range(i + 1, u.size):
            for l in range(u.size):
                E[l, i] -= table[j, c + i] * E[l, j]
