"""The recursions of a filter whose covariance has settled, compiled: one gain for every row, no covariance.

Each comes twice: for a transition with many zeros, which are passed over, and with the closed loop as one dense matrix, whose
products run several times faster for each number in it.
"""

import numpy as np

from ssmts.core.gaussian._kernels.backward import move_back, rename_back
from ssmts.core.gaussian._kernels.layout import kernel, start, unpack
from ssmts.core.gaussian._kernels.predict import move, new_moves
from ssmts.core.types import Array, Index


@kernel
def sparse_forward(
    index: Index, value: Array, b: Array, y: Array, place: Index, K: Array, m: Array, v: Array, predicted: Array
) -> None:
    """Move m through complete rows by v = y - H m, m <- F (m + K v) + b; `predicted` are kept if there is room for them."""
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
        move(index, value, model.F, t, b, moves, m, W)
    for j in range(model.dx):
        W[0, j] = m[place[j]]
    for j in range(model.dx):
        m[j] = W[0, j]


@kernel
def dense_forward(A: Array, FK: Array, H: Array, b: Array, y: Array, m: Array, v: Array, predicted: Array) -> None:
    """The same with A = F (I - K H): m <- A m + F K y + b."""
    n, dy = y.shape
    dx = m.size
    new = np.empty(dx)
    for t in range(n):
        if predicted.shape[0] > 0:
            for j in range(dx):
                predicted[t, j] = m[j]
        for i in range(dy):
            x = 0.0
            for j in range(dx):
                x += H[i, j] * m[j]
            v[t, i] = y[t, i] - x
        c = 0 if b.shape[0] == 1 else t
        for j in range(dx):
            x = b[c, j] if b.shape[0] > 0 else 0.0
            for i in range(dy):
                x += FK[j, i] * y[t, i]
            for k in range(dx):
                x += A[j, k] * m[k]
            new[j] = x
        for j in range(dx):
            m[j] = new[j]


@kernel
def sparse_back(index: Index, value: Array, place: Index, K: Array, w: Array, r: Array, ahead: Array) -> None:
    """Take r back over all rows, r <- F'r, r <- r + H'(w - K'r), from zero; `place` is that after the last row.

    `ahead` keeps r of the state predicted from each row, if there is room for it.
    """
    model = unpack(index)
    n, H, W, g = w.shape[0], model.H, np.empty((1, model.dx)), start(model.H, 0)
    moves, u = new_moves(index, model, place, True), np.empty(model.dy)
    for t in range(n - 1, -1, -1):
        if ahead.shape[0] > 0:
            for j in range(model.dx):
                ahead[t, j] = r[place[j]]
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


@kernel
def dense_back(A_t: Array, H_t: Array, w: Array, r: Array, ahead: Array) -> None:
    """The same with the transposes of A and H: r <- A'r + H'w."""
    n, dy = w.shape
    dx = r.size
    new = np.empty(dx)
    for t in range(n - 1, -1, -1):
        if ahead.shape[0] > 0:
            for j in range(dx):
                ahead[t, j] = r[j]
        for j in range(dx):
            x = 0.0
            for i in range(dy):
                x += H_t[j, i] * w[t, i]
            for k in range(dx):
                x += A_t[j, k] * r[k]
            new[j] = x
        for j in range(dx):
            r[j] = new[j]
