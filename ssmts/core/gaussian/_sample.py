"""The simulation smoother: paths of the states given the series."""

import numpy as np
import numpy.typing as npt

from ssmts.core.gaussian._backward import move_back
from ssmts.core.gaussian._forward import FILTERED, GAINS, prepare, run
from ssmts.core.gaussian._pack import Packed
from ssmts.core.gaussian._recursions import (
    DIFFUSE,
    KIND,
    SKIPPED,
    TOTAL,
    K,
    Model,
    S,
    V,
    Y,
    decorrelate,
    kernel,
    move,
    new_moves,
    new_row,
    part,
    start,
    unpack,
)
from ssmts.core.gaussian._simulate import simulate
from ssmts.core.types import Array, Index, LinearGaussianSSM, State
from ssmts.exceptions import InputError


@kernel
def smoothed_means(
    index: Index,
    value: Array,
    y: Array,
    place: Index,
    tables: Array,
    n_diffuse_rows: int,
    P: Array,
    diffuse: Array,
    out: Array,
) -> None:
    """Means of the states given y, for a model without offsets that starts from zero, by the gains of an earlier pass.

    P and `diffuse` are the two parts of the covariance of the first state; the V of the tables is overwritten.
    """
    model = unpack(index)
    n, dx, dy, H = y.shape[0], model.dx, model.dy, model.H
    W, zero, row = np.empty((3 * dx, dx)), np.zeros((0, dx)), new_row(model)
    moves = new_moves(index, model, place, False)
    h = np.empty(H.size) if model.full else value
    m, r, r1 = np.zeros(dx), np.zeros(dx), np.zeros(dx)
    for t in range(n):
        if model.full:
            decorrelate(index, value, model, t, y, row, h)
        g = 0 if model.full else start(H, t)
        for i in range(dy):
            v = row[i, Y] if model.full else y[t, i]
            if tables[t, i, KIND] == SKIPPED:
                continue
            for e in range(index[H.ptr + i], index[H.ptr + i + 1]):
                v -= h[g + e] * m[index[H.col + e]]
            tables[t, i, V] = v
            for j in range(dx):
                m[j] += tables[t, i, K + j] * v
        if t < n - 1:
            move(index, value, model.F, t, zero, moves, m, W)
    shocks = np.zeros((n, dx))
    for t in range(n - 1, -1, -1):
        if t < n - 1:
            _noise_times(index, value, model, t, r, shocks[t])
            move_back(index, value, model.F, t, moves, r, W)
            if t < n_diffuse_rows:
                move_back(index, value, model.F, t, moves, r1, W)
        if model.full:
            decorrelate(index, value, model, t, y, row, h)
        g = 0 if model.full else start(H, t)
        for i in range(dy - 1, -1, -1):
            table = tables[t]
            if table[i, KIND] == SKIPPED:
                continue
            kr, kr1, qr = 0.0, 0.0, 0.0
            for j in range(dx):
                kr += table[i, K + j] * r[j]
                kr1 += table[i, K + j] * r1[j]
            u = -kr
            if table[i, KIND] == DIFFUSE:
                for j in range(dx):
                    qr += (table[i, TOTAL] * table[i, K + j] - table[i, K + dx + j]) / table[i, S] * r[j]
                qr += table[i, V] / table[i, S]
            else:
                u += table[i, V] / table[i, S]
            for e in range(index[H.ptr + i], index[H.ptr + i + 1]):
                j, x = index[H.col + e], h[g + e]
                r[j] += x * u
                r1[j] += x * (qr - kr1)
    for j in range(dx):
        m[j] = 0.0
        for l in range(dx):
            m[j] += P[j, l] * r[l] + diffuse[j, l] * r1[l]
    for t in range(n):
        for j in range(dx):
            out[t, j] = m[j]
        if t < n - 1:
            move(index, value, model.F, t, zero, moves, m, W)
            for j in range(dx):
                m[j] += shocks[t, j]


@part
def _noise_times(index: Index, value: Array, model: Model, t: int, r: Array, out: Array) -> None:
    """Out <- V[t] r, of whose V the lower triangle is packed."""
    G = model.V
    g = start(G, t)
    for i in range(G.n):
        for e in range(index[G.ptr + i], index[G.ptr + i + 1]):
            j, x = index[G.col + e], value[g + e]
            out[i] += x * r[j]
            if i != j:
                out[j] += x * r[i]


def sample(
    ssm: LinearGaussianSSM | Packed,
    y: npt.ArrayLike,
    n_draws: int = 1,
    random_state: int | np.random.Generator | None = None,
    inputs: npt.ArrayLike | None = None,
    method: str = "auto",
    *,
    state: State | None = None,
) -> Array:
    """Draw paths of the states given the whole series (simulation smoother).

    A path and a series are simulated from the model, with the missing entries of ``y`` missing there too, and the path
    is corrected by the smoothed mean of the difference of the two series. Gains are computed once for all draws.

    Parameters
    ----------
    ssm, y, inputs, method, state
        As in `filter`; one series.
    n_draws : int, default 1
    random_state : int, Generator or None, default None
        The same number gives the same paths.

    Returns
    -------
    ndarray, shape (n_draws, n_times, n_states)

    Raises
    ------
    InputError
        If ``y`` leaves part of a diffuse start undetermined, so that there is nothing to draw from, or as in `filter`.
    NumericalError
        As in `filter`.

    References
    ----------
    Durbin and Koopman (2002), Biometrika 89, 603-615; mean corrections in Durbin and Koopman (2012), section 4.9.

    Examples
    --------
    >>> import numpy as np
    >>> from ssmts.core.types import LinearGaussianSSM
    >>> one = np.eye(1)
    >>> walk = LinearGaussianSSM(one, one, one, 0 * one, np.zeros(1), 0 * one, initial_diffuse_cov=one)
    >>> sample(walk, [[1.0], [np.nan], [4.0]], 3, random_state=0)[:, [0, 2], 0]
    array([[1., 4.],
           [1., 4.],
           [1., 4.]])
    """
    packed, values = prepare(ssm, y, method)
    if values.ndim == 3:
        raise InputError(f"y has the shape {values.shape}: draw for one series (n_times, n_obs) at a time")
    n = len(values)
    done = run(packed, values, inputs, state, GAINS | FILTERED)
    if done.state.rank:
        raise InputError(
            f"the series leaves {done.state.rank} diffuse direction(s) undetermined, so no path can be drawn"
        )
    rows = len(done.trace.rank)
    begin = packed.start if state is None else state
    proper = State(begin.mean, begin.cov, np.zeros_like(begin.cov), 0)
    states, simulated = simulate(packed, n, n_draws, random_state, state=proper, inputs=inputs)
    correction = np.empty(states.shape[1:])
    for path, other in zip(states, simulated):
        smoothed_means(
            packed.layout,
            packed.values,
            values - other,
            done.place,
            done.trace.row,
            rows,
            begin.cov,
            begin.diffuse_cov,
            correction,
        )
        path += correction
    return states
