"""The way back of the square-root form: what all rows say about a state, in the coordinates of its root.

A state is x = m + L z + A d: z is white given the rows so far, and of d, one entry for each direction that is still diffuse,
nothing is known. What was done to L on the way forward says how the z before follows from the z after:

* An observation y of the line h, f = L'h, with the innovation v of variance S made L G of L, so that z = f v / S + G z'.
* A transition made X of [F L, V] by mirrors, V the root of the noise: (z, shock) are the mirrors' image of (z', rest), where
  nothing is known of the rest but that it is white.
* An observation that resolved a diffuse direction c made a root of [(I - K h) L, K r^(1/2)] by mirrors: (z, -noise) are the
  image of (z', rest), and the direction itself is (v - f'z - r^(1/2) noise) / c.

So a mean of z and a root of its covariance go back by mirrors and by factors that are no larger than one. Nothing is
inverted, no rank is decided upon, and covariances may be singular; errors are rounding of what was known before the rows ahead.

Lines of U are d (the last one first), z and shocks; its columns are vectors to take back, a mean and a root, or draws.
"""

import math

import numpy as np

from ssmts.core.gaussian._kernels.layout import kernel, rare
from ssmts.core.gaussian._kernels.root import tria
from ssmts.core.gaussian._kernels.update import DIFFUSE, KIND, NOISE, ORDINARY, S, V
from ssmts.core.types import Array, Index


@rare
def reflect(U: Array, first: int, stop: int, normal: Array, start: int, dots: Array) -> None:
    """Mirror the columns of U, lines from `first` on, by the entries start ... of a normal; up to column `stop`."""
    half, size = 0.0, normal.size
    for k in range(start, size):
        half += normal[k] * normal[k]
    if half == 0.0:
        return
    half *= 0.5
    for c in range(stop):
        dots[c] = 0.0
    for k in range(start, size):
        for c in range(stop):
            dots[c] += normal[k] * U[first + k, c]
    for c in range(stop):
        dots[c] /= half
    for k in range(start, size):
        for c in range(stop):
            U[first + k, c] -= normal[k] * dots[c]


@rare
def observe_back(
    U: Array, first: int, stop: int, means: int, f: Array, r: float, v: float, s: float, dots: Array
) -> None:
    """Z <- f v / S + G z for the lines of U from `first` on; v moves the first `means` columns. See `root.shrink` for G."""
    n = f.size
    for c in range(stop):
        dots[c] = v / s if c < means else 0.0
    rest = np.empty(n + 1)  # r + f_k^2 + f_(k+1)^2 + ...
    rest[n] = r
    for k in range(n - 1, -1, -1):
        rest[k] = rest[k + 1] + f[k] * f[k]
    for k in range(n):
        keep, share = 1.0, 0.0
        if rest[k] > 0.0:
            keep = math.sqrt(rest[k + 1] / rest[k])
            share = f[k] / math.sqrt(rest[k] * rest[k + 1]) if rest[k + 1] > 0.0 else 0.0
        for c in range(stop):
            z = U[first + k, c]
            U[first + k, c] = keep * z + f[k] * dots[c]
            dots[c] -= share * z


@rare
def resolve_back(
    U: Array,
    first: int,
    stop: int,
    means: int,
    f: Array,
    r: float,
    v: float,
    turned: Array,
    folded: Array,
    at: int,
    dots: Array,
) -> None:
    """Back over the observation that resolved direction `at`, with a fresh white line after z."""
    n, columns = f.size, turned.shape[1] - 1
    for i in range(n - 1, -1, -1):
        reflect(U, first, stop, folded[at, i], i, dots)
    c, d = turned[at, columns], first - 1 - at
    for k in range(stop):
        x = v if k < means else 0.0
        for i in range(n):
            x -= f[i] * U[first + i, k]
        U[d, k] = (x + math.sqrt(r) * U[first + n, k]) / c
    half = 0.0
    for i in range(at + 1):
        half += 0.5 * turned[at, i] * turned[at, i]
    for k in range(stop):
        x = 0.0
        for i in range(at + 1):
            x += turned[at, i] * U[first - 1 - i, k]
        for i in range(at + 1):
            U[first - 1 - i, k] -= turned[at, i] * x / half


@rare
def show(U: Array, rank: int, most: int, first: int, stop: int, A: Array, L: Array, out: Array) -> None:
    """Out <- A d + L z for columns `first` ... `stop` of U, d the first `rank` directions of `most`."""
    n = L.shape[0]
    for i in range(n):
        for c in range(first, stop):
            x = 0.0
            for k in range(rank):
                x += A[i, k] * U[most - 1 - k, c]
            for k in range(i + 1):
                x += L[i, k] * U[most + k, c]
            out[i, c - first] = x


@kernel
def root_back(
    table: Array,
    ranks: Index,
    A: Array,
    L: Array,
    seen: Array,
    mirrors: Array,
    turned: Array,
    folded: Array,
    moved: Array,
    shock: Array,
    shock_cov: Array,
    still: Array,
) -> None:
    """Smooth: moved[t] = L[t] E(z) + A[t] E(d), L[t] <- a root of the smoothed covariance, `shock` the white shocks after t.

    `table`, `ranks`, A and filtered roots L are those of `root_forward`, and so is what it left for the way back. still[t]
    (n_states, directions that no row resolves) are the columns of what stays diffuse.
    """
    n, dx = moved.shape
    most, shocks, left = turned.shape[0], shock.shape[1], still.shape[2]
    size = most + dx
    U = np.zeros((size + max(shocks, 1), 1 + 2 * size + max(shocks, 1)))
    D, dots = np.zeros((most, left)), np.empty(U.shape[1])
    W, empty, nothing = np.empty((dx, size)), np.empty((0, 1)), np.empty((dx, 0))
    for k in range(left):
        D[most - 1 - k, k] = 1.0
    for k in range(dx):
        U[most + k, 1 + k] = 1.0
    rank, width = left, dx  # how many columns of U from the second on are a root
    for t in range(n - 1, -1, -1):
        if t < n - 1:
            _add_white(U, size, shocks, 1 + width)
            width += shocks
            for i in range(dx - 1, -1, -1):
                reflect(U, most, 1 + width, mirrors[t, i], i, dots)
            for i in range(shocks):
                shock[t, i] = U[size + i, 0]
                for j in range(shocks):
                    x = 0.0
                    for k in range(1, 1 + width):
                        x += U[size + i, k] * U[size + j, k]
                    shock_cov[t, i, j] = x
            tria(U[most - rank : size, 1 : 1 + width], empty)
            width = min(width, dx + rank)
        own = A[t] if t < A.shape[0] else nothing
        show(U, rank, most, 0, 1, own, L[t], W)
        for i in range(dx):
            moved[t, i] = W[i, 0]
        show(U, rank, most, 1, 1 + width, own, L[t], W)
        if width > dx:
            tria(W[:, :width], empty)
        for i in range(dx):
            for k in range(dx):
                L[t, i, k] = W[i, k]
            for k in range(left):
                x = 0.0
                for j in range(rank):
                    x += own[i, j] * D[most - 1 - j, k]
                still[t, i, k] = x
        for i in range(table.shape[1] - 1, -1, -1):
            kind, f = table[t, i, KIND], seen[t, i]
            if kind == ORDINARY:
                observe_back(U, most, 1 + width, 1, f, table[t, i, NOISE], table[t, i, V], table[t, i, S], dots)
            elif kind == DIFFUSE:
                _add_white(U, size, 1, 1 + width)
                width += 1
                resolve_back(U, most, 1 + width, 1, f, table[t, i, NOISE], table[t, i, V], turned, folded, rank, dots)
                _turn_back(D, most, turned, rank)
                rank += 1


@rare
def _add_white(U: Array, first: int, lines: int, columns: int) -> None:
    """Lines of U of which nothing is known but that they are white: as many new columns."""
    for i in range(lines):
        for k in range(columns + lines):
            U[first + i, k] = 1.0 if k == columns + i else 0.0
    for i in range(first):
        for k in range(columns, columns + lines):
            U[i, k] = 0.0


@rare
def _turn_back(D: Array, most: int, turned: Array, at: int) -> None:
    """The columns of what stays diffuse before the mirror that turned direction `at` out."""
    half = 0.0
    for i in range(at + 1):
        half += 0.5 * turned[at, i] * turned[at, i]
    for k in range(D.shape[1]):
        x = 0.0
        for i in range(at + 1):
            x += turned[at, i] * D[most - 1 - i, k]
        for i in range(at + 1):
            D[most - 1 - i, k] -= turned[at, i] * x / half


@kernel
def draw_back(
    table: Array,
    A: Array,
    L: Array,
    seen: Array,
    mirrors: Array,
    turned: Array,
    folded: Array,
    last: Array,
    white: Array,
    fresh: Array,
    paths: Array,
) -> None:
    """Draw paths (n, n_states, n_draws) less filtered means; `last` (n_states, n_draws), `white` (n - 1, n_shocks, n_draws), and
    `fresh` (directions, n_draws) are standard normal numbers. Every direction must have been resolved.
    """
    n, dx, draws = paths.shape
    most, shocks = turned.shape[0], mirrors.shape[2] - dx
    size, rank = most + dx, 0
    U, dots, nothing = np.zeros((size + max(shocks, 1), draws)), np.empty(draws), np.empty((dx, 0))
    U[most:size] = last
    for t in range(n - 1, -1, -1):
        if t < n - 1:
            U[size : size + shocks] = white[t]
            for i in range(dx - 1, -1, -1):
                reflect(U, most, draws, mirrors[t, i], i, dots)
        show(U, rank, most, 0, draws, A[t] if t < A.shape[0] else nothing, L[t], paths[t])
        for i in range(table.shape[1] - 1, -1, -1):
            kind, f = table[t, i, KIND], seen[t, i]
            if kind == ORDINARY:
                observe_back(U, most, draws, draws, f, table[t, i, NOISE], table[t, i, V], table[t, i, S], dots)
            elif kind == DIFFUSE:
                U[size] = fresh[rank]
                resolve_back(U, most, draws, draws, f, table[t, i, NOISE], table[t, i, V], turned, folded, rank, dots)
                rank += 1
