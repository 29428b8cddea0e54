"""The smoother of a complete series whose covariance settles: constants, and what the two ends add to them.

After the first rows the state is m + d + e with e ~ N(0, P), P the covariance of the steady state, and d ~ N(0, D), D what
the true covariance has beyond P. Given d, everything ahead is the steady filter's from the mean m + d. With A = F (I - K H),
s what the steady filter's innovations say about its first state, N = A'N A + H' S^-1 H, W = D (I + N D)^-1 and d^ = W s, the
smoothed means are those of the steady gain from m + d^; and k rows later, j rows before the end, with X = (I - P N) A^k::

    covariance of the state           P - P N P + X W X' + P T P,                   T = A'^j N A^j
    N of the predicted state          N - N A^k W A'^k N - T
    covariance of smoothing errors    S^-1 + K'F' N F K - G W G' - K'F' T F K,      G = (K'F'N A - S^-1 H) A^k

T is that of the row behind in the last. A term is a sum of squares of lines, which lose rank as they decay: after a few hundred
rows two or three are left, that follow the slowest roots of A.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ssmts.core.gaussian._forward import drive, run
from ssmts.core.gaussian._kernels.layout import kernel
from ssmts.core.gaussian._ladder import Job
from ssmts.core.gaussian._pack import Packed
from ssmts.core.gaussian._rungs.steadiness import (
    Steady,
    explosive,
    information,
    innovate,
    look_back,
    needed,
    rows_of,
    wait_for,
)
from ssmts.core.gaussian._smooth import disturbances, moved_by, shock_gain, smooth_one, smooth_pass
from ssmts.core.types import Array, SmoothResult, State

NEGLIGIBLE = 1e-13  # a square, relative to the variances that it is added to
BLOCK = 64  # rows of the first stretch of lines; the next ones are twice as long each
SPARE = 20


def first_settled(packed: Packed) -> int:
    """The row from which on the steady state and a correction take over."""
    dx, rank = packed.factor.shape
    return int(rank + 2 * dx + SPARE)


def refuses_smooth(job: Job, known: Steady) -> str:
    """Why the smoother needs more than a steady state."""
    if np.isnan(job.y).any():
        return "the smoother is that of complete series"
    if explosive(job.packed):
        return explosive(job.packed)
    n = job.y.shape[-2]
    if first_settled(job.packed) + wait_for(known, 2 * known.found.predicted_cov, n) > n:
        return "the covariance does not settle within the rows"
    return ""


class Stretch(NamedTuple):
    """Lines of some rows, and the signs of their squares."""

    first: int
    lines: Array  # (rows, rank, n_states)
    signs: Array  # (rank,)


def smooth_steady(packed: Packed, y: Array, inputs: npt.ArrayLike | None, state: State | None) -> SmoothResult:
    """The smoother of one series."""
    known, (n, dy), first = needed(packed), y.shape, first_settled(packed)
    u = None if inputs is None else np.asarray(inputs, dtype=float)
    head = run(packed, y[:first], None if u is None else u[:first], state).state
    P, A, size = known.found.predicted_cov, known.found.closed_loop, known.size
    far = np.linalg.matrix_power(A, n - first) * size / np.where(size > 0, size, 1.0)[:, None]
    if head.rank or not (far**2 < NEGLIGIBLE).all():
        return smooth_one(packed, y, inputs, state)
    dx, N = len(P), information(known, n - first)
    D = head.cov - P
    W = D @ np.linalg.inv(np.eye(dx) + N @ D)
    b, values = drive(packed, y, u)
    b, values = rows_of(b, first, n), values[first:]
    ahead, predicted = np.empty((n, dx)), np.empty((n - first, dx))
    s = _steady_pass(packed, known, b, values, head.mean.copy(), np.empty((0, 0)), np.empty((0, 0)))[1]
    w, r = _steady_pass(packed, known, b, values, head.mean + W @ s, predicted, ahead[first:])
    moved = moved_by(shock_gain(packed, 1))
    FK, precision = known.ahead, known.whiten.T @ known.whiten
    cov, ahead_N, E = np.empty((n, dx, dx)), np.empty((n, len(moved), len(moved))), np.empty((n, dy, dy))
    cov[first:], ahead_N[first:] = P - P @ N @ P, N[np.ix_(moved, moved)]
    E[first:] = precision + FK.T @ N @ FK
    scale = np.sqrt(np.diagonal(cov[first]).clip(0.0))
    scale = np.where(scale > 0, scale, np.where(size > 0, size, 1.0))
    for at, lines, signs in _decay(W, A.T, scale, n - first):
        here = slice(first + at, first + at + len(lines))
        add_squares(_times(lines, np.eye(dx) - N @ P), signs, cov[here])
        add_squares(_times(lines, A.T @ N[:, moved]), -signs, ahead_N[here])
        add_squares(_times(lines, (FK.T @ N @ A - precision @ known.observation).T), -signs, E[here])
    for at, lines, signs in _decay(N, A, 1.0 / scale, n - first):
        lines = np.ascontiguousarray(lines[::-1])
        here = slice(n - at - len(lines), n - at)
        add_squares(_times(lines, A @ P), signs, cov[here])
        add_squares(np.ascontiguousarray(lines[..., moved]), -signs, ahead_N[here])
        add_squares(_times(lines, FK), -signs, E[here])
    mean, errors = np.empty((n, dx)), np.empty((n, dy))
    mean[first:] = predicted + np.vstack([r, ahead[first:-1]]) @ P
    errors[first:] = w @ known.whiten - ahead[first:] @ FK
    true_N = N - N @ W @ N
    begun = smooth_pass(packed, y[:first], None if u is None else u[:first], state, whole=False, after=(r, true_N))
    mean[:first], cov[:first], ahead[:first] = begun.mean, begun.cov, begun.r
    ahead_N[:first], errors[:first], E[:first] = begun.N, begun.u, begun.E
    return disturbances(packed, mean, cov, ahead, ahead_N, errors, E)


def _steady_pass(
    packed: Packed, known: Steady, b: Array, y: Array, m: Array, predicted: Array, ahead: Array
) -> tuple[Array, Array]:
    """Whitened innovations of the steady filter from m, and what they say about its first state."""
    v, place = innovate(packed, known, b, y, m, predicted)
    w = v @ known.whiten.T
    return w, look_back(packed, known, w, place, ahead)


def _decay(square: Array, step: Array, scale: Array, n: int) -> list[Stretch]:
    """Lines whose signed squares add up to step'^k square step^k, k = 0, ..., n - 1, as long as they matter beside scale."""
    stretches: list[Stretch] = []
    at, rows = 0, BLOCK
    over = np.outer(scale, scale)
    while at < n:
        roots, vectors = np.linalg.eigh(0.5 * (square + square.T) / over)
        large = np.abs(roots) > NEGLIGIBLE
        if not large.any():
            break
        start = (vectors[:, large] * np.sqrt(np.abs(roots[large]))).T * scale
        rows = min(rows, n - at)
        lines, power = start[None], step
        while len(lines) < rows:
            lines = np.concatenate([lines, _times(lines[: rows - len(lines)], power)])
            power = power @ power
        signs = np.sign(roots[large])
        stretches.append(Stretch(at, lines, signs))
        after = lines[-1] @ step
        square = (after.T * signs) @ after
        at, rows = at + rows, 2 * rows
    return stretches


def _times(lines: Array, matrix: Array) -> Array:
    """Lines @ matrix as one product: NumPy takes that of three axes by many small ones."""
    done: Array = lines.reshape(-1, lines.shape[-1]) @ matrix
    return done.reshape(*lines.shape[:-1], matrix.shape[1])


@kernel
def add_squares(lines: Array, signs: Array, out: Array) -> None:
    """Add to each matrix of `out` the signed squares of its lines."""
    for t in range(out.shape[0]):
        for c in range(signs.size):
            for i in range(out.shape[1]):
                x = signs[c] * lines[t, c, i]
                for j in range(out.shape[2]):
                    out[t, i, j] += x * lines[t, c, j]
