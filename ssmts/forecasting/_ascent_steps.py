"""The quadratic model of the compiled search: its best admissible step, on small dense arrays."""

import math

import numpy as np
from numpy.typing import NDArray

from ..core.gaussian._kernels.layout import rare
from ..core.types import Array, Index

TOLERANCE = 1e-9  # promised gain below which a search ends
FLAT = 1e-6  # information on a number without bound below which it has no effect
ROUNDING = 2e-7  # of a log-likelihood
_LARGEST_STEP = 1.5  # of a number without bound
_RIDGE = 1e-9
Flags = NDArray[np.bool_]


@rare
def outward(table: Array, at: int, i: int, x: Array, gradient: Array) -> bool:
    """Whether a number stands on a limit and would leave it."""
    return bool((x[i] <= table[i, at] and gradient[i] < 0.0) or (x[i] >= table[i, at + 1] and gradient[i] > 0.0))


@rare
def corrected(base: Array, moves: Array, changes: Array, pairs: int, out: Array) -> None:
    """The information, made to agree with the last changes of the gradient."""
    k = len(base)
    image = np.empty(k)
    for i in range(k):  # an assignment of slices costs seconds to compile, for the words of its error
        for j in range(k):
            out[i, j] = base[i, j]
    for p in range(pairs):
        length, curvature = 0.0, 0.0
        for i in range(k):
            image[i] = 0.0
            for j in range(k):
                image[i] += out[i, j] * moves[p, j]
            length += moves[p, i] * image[i]
            curvature += moves[p, i] * changes[p, i]
        if length > 0.0 and curvature > 1e-6 * length:
            for i in range(k):
                for j in range(k):
                    out[i, j] += changes[p, i] * changes[p, j] / curvature - image[i] * image[j] / length


@rare
def cholesky(B: Array, inside: Flags, L: Array) -> bool:
    """The lower factor of the rows and columns of B that are inside; False if they are not positive definite."""
    for i in range(len(B)):
        if inside[i]:
            for j in range(i + 1):
                if inside[j]:
                    x = B[i, j]
                    for l in range(j):
                        if inside[l]:
                            x -= L[i, l] * L[j, l]
                    if i == j:
                        if not x > 1e-13 * B[i, i]:
                            return False
                        L[i, i] = math.sqrt(x)
                    else:
                        L[i, j] = x / L[j, j]
    return True


@rare
def solve(L: Array, inside: Flags, q: Array, z: Array) -> None:
    """Z with L L' z = q on what is inside."""
    k = len(L)
    for i in range(k):
        if inside[i]:
            z[i] = q[i]
            for j in range(i):
                if inside[j]:
                    z[i] -= L[i, j] * z[j]
            z[i] /= L[i, i]
    for i in range(k - 1, -1, -1):
        if inside[i]:
            for j in range(i + 1, k):
                if inside[j]:
                    z[i] -= L[j, i] * z[j]
            z[i] /= L[i, i]


@rare
def shifted(B: Array, inside: Flags) -> None:
    """Add to the diagonal of what is inside until it is positive definite."""
    k, largest = len(B), 0.0
    L = np.zeros((k, k))
    for i in range(k):
        for j in range(k):
            if inside[i] and inside[j]:
                largest = max(largest, abs(B[i, j]))
    more = 1e-8 * largest
    while more > 0.0:
        for i in range(k):
            if inside[i]:
                B[i, i] += more
        if cholesky(B, inside, L):
            return
        more *= 4.0


@rare
def best_step(codes: Index, table: Array, at: int, x: Array, gradient: Array, information: Array, step: Array) -> float:
    """The admissible step that maximises gradient @ d - d @ information @ d / 2; returns the gain that this promises.

    Bounded numbers stay non-negative: an active-set search from the present point (Lawson and Hanson 1974, chapter 23). The
    others get as much curvature on top as keeps their steps within reach of the quadratic model, and rest where the likelihood
    does not depend on them. ``codes`` and ``table`` are those of a `Plan`, with limits at a column of the latter.
    """
    k = x.size
    B, L, scale, active = np.zeros((k, k)), np.zeros((k, k)), np.ones(k), np.zeros(k, np.bool_)
    g, s, q, z, inside, origin = np.zeros(k), np.zeros(k), np.zeros(k), np.zeros(k), np.zeros(k, np.bool_), np.zeros(k)
    bounded = np.zeros(k, np.bool_)
    for i in range(k):
        step[i], bounded[i] = 0.0, codes[i, 2] == 1
        d = information[i, i]
        active[i] = codes[i, 1] == 1 and (
            d > 0.0 if bounded[i] else d > FLAT and not outward(table, at, i, x, gradient)
        )
        if active[i]:
            scale[i] = math.sqrt(d)
            g[i] = gradient[i] / scale[i]
            if bounded[i]:
                origin[i] = s[i] = x[i] * scale[i]
            inside[i] = not bounded[i] or s[i] > 0.0
    for i in range(k):
        for j in range(k):
            if active[i] and active[j]:
                B[i, j] = information[i, j] / (scale[i] * scale[j])
        if active[i]:
            B[i, i] = 1.0 + _RIDGE + (0.0 if bounded[i] else abs(gradient[i]) / _LARGEST_STEP / scale[i] ** 2)
    if not cholesky(B, active, L):
        shifted(B, active)
    for i in range(k):
        q[i] = g[i]
        for j in range(k):
            q[i] += B[i, j] * origin[j]
    for _ in range(4 * k + 4):
        settle(B, inside, bounded, q, s, z, L)
        worst, entering = 1e-9, -1
        for i in range(k):
            if active[i] and not inside[i]:
                rise = q[i]
                for j in range(k):
                    rise -= B[i, j] * s[j]
                if rise > worst:
                    worst, entering = rise, i
        if entering < 0:
            break
        inside[entering] = True
    gain = 0.0
    for i in range(k):
        if active[i]:
            d = s[i] - origin[i]
            step[i] = d / scale[i]
            gain += g[i] * d
            for j in range(k):
                gain -= 0.5 * d * B[i, j] * (s[j] - origin[j])
    return gain


@rare
def settle(B: Array, inside: Flags, bounded: Flags, q: Array, s: Array, z: Array, L: Array) -> None:
    """Move s to the maximum over what is inside; bounded numbers that meet zero on the way leave."""
    k = len(B)
    for _ in range(k + 1):
        if not cholesky(B, inside, L):
            return
        solve(L, inside, q, z)
        part, meets = 1.0, -1
        for i in range(k):
            if inside[i] and bounded[i] and z[i] <= 0.0 and s[i] <= part * (s[i] - z[i]):
                part, meets = s[i] / (s[i] - z[i]) if s[i] > z[i] else 0.0, i
        for i in range(k):
            if inside[i]:
                s[i] += part * (z[i] - s[i])
        if meets < 0:
            return
        s[meets] = 0.0
        inside[meets] = False
