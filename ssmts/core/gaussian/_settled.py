"""The recursions of a filter whose covariance has settled, compiled: one gain for every row, no covariance."""

import numpy as np

from ssmts.core.gaussian._backward import move_back, rename_back
from ssmts.core.gaussian._layout import kernel, start, unpack
from ssmts.core.gaussian._predict import move, new_moves
from ssmts.core.types import Array, Index


@kernel
def settled_forward(
    index: Index,
    value: Array,
    b: Array,
    y: Array,
    place: Index,
    K: Array,
    m: Array,
    v: Array,
    predicted: Array,
    filtered: Array,
) -> None:
    """Move m through complete rows by v = y - H m, m <- F (m + K v) + b; means are kept if there is room for them."""
    model = unpack(index)
    H, W, g = model.H, np.empty((1, model.dx)), start(model.H, 0)
    moves = new_moves(index, model, place, True)
    for t in range(y.shape[0]):
        if predicted.shape[0] > 0:
            for j in range(model.dx):
                predicted[t, j] = m[place[j]]
        for i in range(model.dy):
            x = y[t, i]
            for e in range(index[H.ptr + i], index[H.ptr + i + 1]):
                x -= value[g + e] * m[place[index[H.col + e]]]
            v[t, i] = x
        for j in range(model.dx):
            x = 0.0
            for i in range(model.dy):
                x += K[j, i] * v[t, i]
            m[place[j]] += x
        if filtered.shape[0] > 0:
            for j in range(model.dx):
                filtered[t, j] = m[place[j]]
        move(index, value, model.F, t, b, moves, m, W)
    for j in range(model.dx):
        W[0, j] = m[place[j]]
    for j in range(model.dx):
        m[j] = W[0, j]


@kernel
def settled_back(index: Index, value: Array, place: Index, K: Array, w: Array, r: Array) -> None:
    """Take r back over all rows, r <- F'r, r <- r + H'(w - K'r), from zero; `place` is that after the last row."""
    model = unpack(index)
    n, H, W, g = w.shape[0], model.H, np.empty((1, model.dx)), start(model.H, 0)
    moves, u = new_moves(index, model, place, True), np.empty(model.dy)
    for t in range(n - 1, -1, -1):
        rename_back(moves)
        if t < n - 1:
            move_back(index, value, model.F, t, moves, r, W)
        for i in range(model.dy):
            u[i] = w[t, i]
            for j in range(model.dx):
                u[i] -= K[j, i] * r[place[j]]
        for i in range(model.dy):
            for e in range(index[H.ptr + i], index[H.ptr + i + 1]):
                r[place[index[H.col + e]]] += value[g + e] * u[i]
