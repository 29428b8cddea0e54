"""Rows taken in one after the other by the kernel of a stream, where nothing but the end or the variances are asked for.

What `_forward.forward` keeps for later passes makes it long, and long to compile: a first fit, forecast and update of a fresh
install need the one row's kernel only.
"""

import numpy as np

from ssmts.core.gaussian._kernels.layout import kernel, unpack
from ssmts.core.gaussian._pack import Packed
from ssmts.core.gaussian._streams.stream import COLUMNS, PLACE, RANK, Stream, advance, read_out, room_compiled, room_of
from ssmts.core.types import Array, Index, State


@kernel
def advance_rows(index: Index, value: Array, which: Index, flat: Array, y: Array, S: Array) -> float:
    """Take in the rows of y (n, n_obs); returns their log-likelihood, NaN if something is wrong.

    With rows in S (n, n_obs, n_obs), the covariances of the innovations go there.
    """
    model, total, dy = unpack(index), 0.0, y.shape[1]
    lines = 3 * model.dx if model.n_mixed > 0 else 1
    room = room_compiled(model.dx, dy, which[COLUMNS], model.H.size if model.full else 0, lines)
    for t in range(y.shape[0]):
        for i in range(dy):
            flat[i] = y[t, i]
        total += advance(index, value, which, flat)
        if total != total:
            return np.nan
        if S.shape[0] > 0:
            for i in range(dy):
                for j in range(dy):
                    S[t, i, j] = flat[room.S + i * dy + j]
    return total


def last_state(packed: Packed, values: Array, mean: Array, cov: Array, factor: Array, y: Array) -> tuple[float, int]:
    """Move mean and cov, which start with the diffuse `factor`, over the rows of y, at other values of a packed model.

    The model has no offsets. Returns the log-likelihood, NaN if a covariance lost its sign, and how many diffuse directions
    are left.
    """
    layout, (dx, rank) = packed.layout, factor.shape
    size = int(layout[12]) if layout[2] else 0
    room = room_of(dx, int(layout[1]), rank, size, 3 * dx if layout[4] else 1)
    which, flat = np.arange(-PLACE, dx), np.zeros(room.end)
    which[:PLACE] = rank, rank, 0, 0, 0
    flat[room.m : room.P], flat[room.P : room.A], flat[room.A : room.v] = mean, cov.ravel(), factor.ravel()
    if size:
        flat[room.row : room.h] = np.inf  # no row has been decorrelated
    loglik: float = advance_rows(layout, values, which, flat, np.ascontiguousarray(y), np.empty((0, 1, 1)))
    read_out(which, flat, room.m, dx, mean, cov)
    return loglik, int(which[RANK])


def variances_ahead(packed: Packed, state: State, horizon: int) -> Array:
    """Covariances (horizon, n_obs, n_obs) of the observations that follow a proper state of a constant model."""
    stream = Stream(packed, state)
    dy = int(packed.layout[1])
    S = np.empty((horizon, dy, dy))
    advance_rows(stream._index, stream._value, stream._which, stream._flat, np.full((horizon, dy), np.nan), S)
    return S
