"""Rows that begin partly diffuse, smoothed by generalised least squares.

A diffuse state is x = m + A delta + noise with coefficients delta of which nothing is known. Given delta, the filter is an ordinary
one: its innovations are v + e delta, its means m + A delta, and a regression of v on e, each over its standard deviation, tells
delta as well as the rows do, however little a single one of them says of it (Rosenberg 1973; de Jong 1991). Nothing infinite is
resolved on the way, so that nothing has to cancel. Since delta is diffuse, so is delta + g for any proper g: a share of it counts
as noise, so that no innovation that sees something diffuse has the variance zero.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ssmts.core.gaussian._forward import FILTERED, GAINS, Pass, begin, infinities, over_time, run
from ssmts.core.gaussian._kernels.means import NOTHING, means_back, means_forward
from ssmts.core.gaussian._kernels.update import DIFFUSE, KIND, NOISE, ORDINARY, REDUNDANT, TOTAL, UNSEEN, S, V
from ssmts.core.gaussian._pack import Packed
from ssmts.core.types import Array, State

SETTLED = 0.1  # how much of what is not known of delta must be the share that counts as noise, before other rows follow


class Start(NamedTuple):
    """The first rows given delta, and what these rows know of it."""

    given: Pass  # with delta = 0
    A: Array  # (rows, dx, k) of the filtered states
    e: Array  # (rows, dy, k) of the innovations
    ahead: Array  # (dx, k) of the state after the rows
    delta: Array  # (k,)
    root: Array  # (k, .) of its covariance
    open: Array  # (k, .) directions that no row sees


def begin_diffuse(packed: Packed, y: Array, inputs: npt.ArrayLike | None, state: State | None, done: Pass) -> Start:
    """Filter as many rows of y, given delta, as tell it well; `done` is the pass over all of y."""
    m, P, A = begin(packed, state)
    tables, n = done.trace.row[: len(done.trace.rank)], len(y)
    resolved = tables[..., KIND] == DIFFUSE
    known = tables[..., TOTAL][resolved] / tables[..., S][resolved]  # variances of turned coefficients
    share = np.full(A.shape[1], min(known[known > 0], default=1.0))
    u, rows = None if inputs is None else np.asarray(inputs, dtype=float), len(tables)
    while True:
        prior = State(m, P + A * share @ A.T, np.zeros_like(P), 0)
        given = run(packed, y[:rows], None if u is None else u[:rows], prior, GAINS | FILTERED)
        start, alone, least = _regressed(packed, given, A, share, done.state.rank)
        too_much = (alone < 0.1 * share) & (alone > UNSEEN * share)
        if not too_much.any() and (least >= SETTLED or rows == n):
            return start
        share, rows = np.where(too_much, alone, share), min(2 * rows + 1, n)


def _regressed(packed: Packed, given: Pass, A: Array, share: Array, n_open: int) -> tuple[Start, Array, float]:
    """What the rows of a pass know of delta, its variances but for the `share` where the others are given, and how much of
    what is not known of any direction is the share.
    """
    (rows, dy), (dx, k), table = given.y.shape, A.shape, given.trace.row
    e, filtered, unused = np.zeros((rows, dy, k)), np.empty((rows, dx, k)), np.empty((0, 0))
    moves = np.arange(dx), False, table, A.copy(), np.zeros(k), unused, NOTHING, NOTHING, filtered
    means_forward(packed.layout, packed.values, np.empty((0, dx)), given.y, e, *moves)
    seen = table[..., KIND] == ORDINARY
    deviation = np.sqrt(table[..., S][seen])
    X, v = e[seen] / deviation[:, None], table[..., V][seen] / deviation
    scale = np.linalg.norm(X, axis=0)
    own = np.sum(X[table[..., NOISE][seen] > 0] ** 2, axis=0)  # without noise there is nothing to be smaller than
    alone = np.divide(1.0, own, where=own > 0, out=2 * share) - share
    scale[scale == 0] = 1.0
    Q, R = np.linalg.qr(X / scale)
    U, size, W = np.linalg.svd(R)
    left = np.linalg.qr(W[k - n_open :].T / scale[:, None])[0]
    root = W[: k - n_open].T / size[: k - n_open] / scale[:, None]
    root -= left @ (left.T @ root)
    delta = -root @ (U[:, : k - n_open].T @ (Q.T @ v))
    after = over_time(packed.ssm.transition, rows)[-1] @ filtered[-1]
    most = np.linalg.norm(root / np.sqrt(share)[:, None], 2) if n_open < k else 1.0
    return Start(given, filtered, e, after, delta, root, left), alone, float(1.0 / most**2)


class Ahead(NamedTuple):
    """What the rows behind say about the state after the first ones."""

    r: Array
    N: Array
    root: Array  # (k, .) of the covariance of delta given all rows
    slope: Array  # (dx, .) how r follows the columns of it


def look_ahead(start: Start, r: Array, N: Array) -> Ahead:
    """Move the pass of the first rows to the delta that all rows tell, and take r and N to those given delta."""
    trace = start.given.trace
    told = start.ahead @ start.root
    seen = N @ told
    left = np.eye(told.shape[1]) - told.T @ seen
    delta = start.delta + start.root @ (told.T @ r)
    trace.m[:] += start.A @ delta
    trace.row[..., V] += start.e @ delta
    root = start.root @ np.linalg.cholesky((left + left.T) / 2)
    N = N + seen @ np.linalg.solve(left, seen.T)
    return Ahead(r, (N + N.T) / 2, root, -N @ (start.ahead @ root))


def add_unknown(
    packed: Packed, start: Start, ahead: Ahead, states: Any, size: Array, cov: Array, N: Array, E: Array
) -> None:
    """Add what is not known of delta to the covariances of the states, and take it from those of r and u, given delta.

    `size` are the lines that zero is measured by, of the diffuse factor of the states.
    """
    given = start.given
    (rows, dy), trace, width = given.y.shape, given.trace, ahead.root.shape[1]
    e = start.e @ ahead.root
    F = over_time(packed.ssm.transition, rows)[-1]
    r = F.T @ ahead.slope
    after, here, u = np.empty((rows, len(states), width)), np.empty((rows, len(F), width)), np.empty((rows, dy, width))
    moves = np.arange(len(F)), False, trace.row, states, r, after, here, u, np.empty((0, len(F), width))
    means_back(packed.layout, packed.values, given.y, np.ascontiguousarray(e), *moves)
    after[-1] = ahead.slope[states]
    spread = start.A @ ahead.root + trace.P @ here
    cov += spread @ spread.swapaxes(1, 2)
    _take(after, N)
    _take(u, E)
    if start.open.shape[1]:
        left = start.A @ start.open
        unknown = left @ left.swapaxes(1, 2)
        unknown[np.abs(unknown) <= UNSEEN**2 * size[:, None] * size[..., None]] = 0.0
        cov += infinities(unknown)


def _take(lines: Array, cov: Array) -> None:
    """Take lines times their transpose from covariances; variances of which rounding alone is left are zero."""
    before = np.diagonal(cov, axis1=1, axis2=2).copy()
    cov -= lines @ lines.swapaxes(1, 2)
    known = np.diagonal(cov, axis1=1, axis2=2) > REDUNDANT * before
    cov *= known[:, :, None] & known[:, None, :]
