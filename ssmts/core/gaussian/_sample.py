"""The simulation smoother: paths of the states given the series."""

import numpy as np
import numpy.typing as npt

from ssmts.core.gaussian._backward import move_back
from ssmts.core.gaussian._forward import FILTERED, GAINS, run
from ssmts.core.gaussian._ladder import serve
from ssmts.core.gaussian._layout import Block, kernel, part, start, unpack
from ssmts.core.gaussian._pack import Packed
from ssmts.core.gaussian._predict import move, new_moves
from ssmts.core.gaussian._simulate import simulate
from ssmts.core.gaussian._update import DIFFUSE, KIND, SKIPPED, TOTAL, K, S, V, Y, decorrelate, new_row, observe
from ssmts.core.types import Array, Index, LinearGaussianSSM, State
from ssmts.exceptions import InputError


@kernel
def smoothed_means(
    index: Index,
    value: Array,
    y: Array,
    place: Index,
    tables: Array,
    rows: int,
    P: Array,
    diffuse: Array,
    shocks: Array,
    out: Array,
) -> None:
    """Means of the states given y, for a model without offsets that starts from zero, by the gains of an earlier pass.

    P and `diffuse` are the two parts of the covariance of the first state, `rows` the number of rows that began partly
    diffuse. The innovations in the tables are overwritten, and `shocks` by the means of what noise adds to the states.
    """
    model = unpack(index)
    n, dx, H = y.shape[0], model.dx, model.H
    W, row, moves = np.empty((3 * dx, dx)), new_row(model), new_moves(index, model, place, False)
    h, still = np.empty(H.size) if model.full else value, np.zeros((0, dx))
    m, r, r1 = np.zeros(dx), np.zeros(dx), np.zeros(dx)
    for t in range(n):
        if model.full:
            decorrelate(index, value, model, t, y, row, h)
        else:
            observe(value, model, t, y, row)
        _innovations(index, H, h, 0 if model.full else start(H, t), row, tables[t], m)
        move(index, value, model.F, t, still, moves, m, W)
    for t in range(n - 1, -1, -1):
        if t < n - 1:
            _noise_times(index, value, model.V, t, r, shocks[t])
            move_back(index, value, model.F, t, moves, r, W)
            if t < rows:
                move_back(index, value, model.F, t, moves, r1, W)
        if model.full:
            decorrelate(index, value, model, t, y, row, h)
        _means_back(index, H, h, 0 if model.full else start(H, t), tables[t], r, r1)
    for j in range(dx):
        m[j] = 0.0
        for l in range(dx):
            m[j] += P[j, l] * r[l] + diffuse[j, l] * r1[l]
    for t in range(n):
        for j in range(dx):
            out[t, j] = m[j]
        move(index, value, model.F, t, still, moves, m, W)
        for j in range(dx):
            m[j] += shocks[t, j]


@part
def _innovations(index: Index, H: Block, h: Array, g: int, row: Array, table: Array, m: Array) -> None:
    """Update m by a row of observations with the gains of the table, into which the innovations go."""
    for i in range(table.shape[0]):
        if table[i, KIND] == SKIPPED:
            continue
        v = row[i, Y]
        for e in range(index[H.ptr + i], index[H.ptr + i + 1]):
            v -= h[g + e] * m[index[H.col + e]]
        table[i, V] = v
        for j in range(m.size):
            m[j] += table[i, K + j] * v


@part
def _means_back(index: Index, H: Block, h: Array, g: int, table: Array, r: Array, r1: Array) -> None:
    """Take r and r1 back over a row of observations, as the smoother does (see `_smooth`)."""
    n = r.size
    for i in range(table.shape[0] - 1, -1, -1):
        if table[i, KIND] == SKIPPED:
            continue
        s, u, shift = table[i, S], 0.0, 0.0
        for j in range(n):
            u -= table[i, K + j] * r[j]
            shift -= table[i, K + j] * r1[j]
        if table[i, KIND] == DIFFUSE:
            shift += table[i, V] / s
            for j in range(n):
                shift += (table[i, TOTAL] * table[i, K + j] - table[i, K + n + j]) / s * r[j]
        else:
            u += table[i, V] / s
        for e in range(index[H.ptr + i], index[H.ptr + i + 1]):
            j, x = index[H.col + e], h[g + e]
            r[j] += x * u
            r1[j] += x * shift


@part
def _noise_times(index: Index, value: Array, G: Block, t: int, r: Array, out: Array) -> None:
    """Write V[t] r, of whose V the lower triangle is packed."""
    g = start(G, t)
    for i in range(G.n):
        out[i] = 0.0
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
    job = serve("sample", ssm, y, inputs, method, state)
    if job.y.ndim == 3:
        raise InputError(f"y has the shape {job.y.shape}: draw for one series (n_times, n_obs) at a time")
    assert job.rung.sample is not None
    return np.asarray(job.rung.sample(job.packed, job.y, n_draws, random_state, inputs, state))


def sample_one(
    packed: Packed,
    values: Array,
    n_draws: int,
    random_state: int | np.random.Generator | None,
    inputs: npt.ArrayLike | None,
    state: State | None,
) -> Array:
    """Draw paths by the gains of the sequential pass."""
    n = len(values)
    done = run(packed, values, inputs, state, GAINS | FILTERED)
    if done.state.rank:
        raise InputError(
            f"the series leaves {done.state.rank} diffuse direction(s) undetermined, so no path can be drawn"
        )
    begin = packed.start if state is None else state
    proper = State(begin.mean, begin.cov, np.zeros_like(begin.cov), 0)
    states, simulated = simulate(packed, n, n_draws, random_state, state=proper, inputs=inputs)
    tables, rows, spread = done.trace.row, len(done.trace.rank), (begin.cov.copy(), begin.diffuse_cov.copy())
    correction, shocks = np.empty(states.shape[1:]), np.zeros(states.shape[1:])
    for path, other in zip(states, simulated):
        difference = values - other
        smoothed_means(packed.layout, packed.values, difference, done.place, tables, rows, *spread, shocks, correction)
        path += correction
    return states
