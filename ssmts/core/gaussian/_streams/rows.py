"""Rows taken in one after the other by the kernel of a stream, where nothing but the end or the variances are asked for.

What `_forward.forward` keeps for later passes makes it long, and long to compile: a first fit, forecast and update of a fresh
install need the one row's kernel only.
"""

import numpy as np

from ssmts.core.gaussian._pack import Packed
from ssmts.core.gaussian._streams.stream import PLACE, RANK, Stream, advance, read_out, room_of
from ssmts.core.types import Array, State


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
    loglik: float = advance(layout, values, which, flat, np.ascontiguousarray(y))
    read_out(which, flat, room.m, dx, mean, cov)
    return loglik, int(which[RANK])


def variances_ahead(packed: Packed, state: State, horizon: int) -> Array:
    """Covariances (horizon, n_obs, n_obs) of the observations that follow a proper state of a constant model."""
    stream = Stream(packed, state)
    dy = int(packed.layout[1])
    rows = np.full((horizon, dy + dy * dy), np.nan)
    advance(stream._index, stream._value, stream._which, stream._flat, rows)
    return rows[:, dy:].reshape(horizon, dy, dy)
