"""The simulation smoother: paths of the states given the series."""

import math

import numpy as np
import numpy.typing as npt

from ssmts.core.gaussian._forward import BY_STATES, GAINS, Pass, run
from ssmts.core.gaussian._kernels.layout import Block, kernel, part, start, unpack
from ssmts.core.gaussian._kernels.update import DIFFUSE, KIND, PIVOT, SKIPPED, TOTAL, K, S, Y, decorrelate, new_row
from ssmts.core.gaussian._ladder import serve
from ssmts.core.gaussian._pack import Packed
from ssmts.core.gaussian._simulate import move_all, paths, positive
from ssmts.core.gaussian._smooth import smooth_pass
from ssmts.core.types import Array, Index, LinearGaussianSSM, State
from ssmts.exceptions import InputError


@kernel
def smoothed_means(
    index: Index, value: Array, seen: Array, tables: Array, rows: int, P: Array, diffuse: Array, y: Array, out: Array
) -> None:
    """Means of the states given each of many series, for a model without offsets that starts from zero.

    The gains are those of an earlier pass over `seen`, which has its missing values where all series have them. P and
    `diffuse` are the two parts of the covariance of the first state, `rows` the number of rows that began partly diffuse.
    Series come last in y (n, dy, series), which is overwritten by the innovations, and in `out` (n, dx, series), which
    holds what noise adds to the states until it gets their means.
    """
    model = unpack(index)
    n, dx, H, many = y.shape[0], model.dx, model.H, y.shape[2]
    row, h = new_row(model), np.empty(H.size) if model.full else value
    W, m, r, r1 = np.empty((dx, many)), np.zeros((dx, many)), np.zeros((dx, many)), np.zeros((dx, many))
    for t in range(n):
        if model.full:
            decorrelate(index, value, model, t, seen, row, h)
            _decorrelate_all(row, K + 2 * dx, y[t])
        _innovations(index, H, h, 0 if model.full else start(H, t), tables[t], y[t], m)
        move_all(index, value, model.F, t, m, W)
        m, W = W, m
    for t in range(n - 1, -1, -1):
        if t < n - 1:
            _noise_times(index, value, model.V, t, r, out[t])
            _move_all_back(index, value, model.F, t, r, W)
            if t < rows:
                _move_all_back(index, value, model.F, t, r1, W)
        if model.full:
            decorrelate(index, value, model, t, seen, row, h)
        _means_back(index, H, h, 0 if model.full else start(H, t), tables[t], y[t], r, r1)
    for j in range(dx):
        for b in range(many):
            m[j, b] = 0.0
        for l in range(dx):
            for b in range(many):
                m[j, b] += P[j, l] * r[l, b] + diffuse[j, l] * r1[l, b]
    for t in range(n):
        for j in range(dx):
            for b in range(many):
                r[j, b] = out[t, j, b] if t < n - 1 else 0.0
                out[t, j, b] = m[j, b]
        move_all(index, value, model.F, t, out[t], m)
        for j in range(dx):
            for b in range(many):
                m[j, b] += r[j, b]


@part
def _decorrelate_all(row: Array, c: int, y: Array) -> None:
    """The observed lines of C^-1 y, where C starts at column c of `row`."""
    for k in range(y.shape[0]):
        i = int(row[k, PIVOT])
        for l in range(k):
            j = int(row[l, PIVOT])
            if not (math.isnan(row[i, Y]) or math.isnan(row[j, Y])):
                for b in range(y.shape[1]):
                    y[i, b] -= row[i, c + j] * y[j, b]


@part
def _innovations(index: Index, H: Block, h: Array, g: int, table: Array, v: Array, m: Array) -> None:
    """Update m by a row of observations with the gains of the table; the observations in v become innovations."""
    for i in range(table.shape[0]):
        if table[i, KIND] == SKIPPED:
            continue
        for e in range(index[H.ptr + i], index[H.ptr + i + 1]):
            j, x = index[H.col + e], h[g + e]
            for b in range(v.shape[1]):
                v[i, b] -= x * m[j, b]
        for j in range(m.shape[0]):
            k = table[i, K + j]
            for b in range(v.shape[1]):
                m[j, b] += k * v[i, b]


@part
def _means_back(index: Index, H: Block, h: Array, g: int, table: Array, v: Array, r: Array, r1: Array) -> None:
    """Take r and r1 back over a row of observations, as the smoother does (see `_smooth`)."""
    n, many = r.shape
    u, shift = np.empty(many), np.empty(many)
    for i in range(table.shape[0] - 1, -1, -1):
        if table[i, KIND] == SKIPPED:
            continue
        diffuse, s = table[i, KIND] == DIFFUSE, table[i, S]
        for b in range(many):
            u[b] = 0.0 if diffuse else v[i, b] / s
            shift[b] = v[i, b] / s if diffuse else 0.0
        for j in range(n):
            k = table[i, K + j]
            q = (table[i, TOTAL] * k - table[i, K + n + j]) / s if diffuse else 0.0
            for b in range(many):
                u[b] -= k * r[j, b]
                shift[b] += q * r[j, b] - k * r1[j, b]
        for e in range(index[H.ptr + i], index[H.ptr + i + 1]):
            j, x = index[H.col + e], h[g + e]
            for b in range(many):
                r[j, b] += x * u[b]
                r1[j, b] += x * shift[b]


@part
def _move_all_back(index: Index, value: Array, F: Block, t: int, r: Array, W: Array) -> None:
    """R <- F[t]'r."""
    g = start(F, t)
    for i in range(F.n):
        for b in range(r.shape[1]):
            W[i, b] = r[i, b]
            r[i, b] = 0.0
    for i in range(F.n):
        for e in range(index[F.ptr + i], index[F.ptr + i + 1]):
            x, j = value[g + e], index[F.col + e]
            for b in range(r.shape[1]):
                r[j, b] += x * W[i, b]


@part
def _noise_times(index: Index, value: Array, V: Block, t: int, r: Array, out: Array) -> None:
    """Write V[t] r, of whose V the lower triangle is packed."""
    g = start(V, t)
    for i in range(V.n):
        for b in range(r.shape[1]):
            out[i, b] = 0.0
    for i in range(V.n):
        for e in range(index[V.ptr + i], index[V.ptr + i + 1]):
            j, x = index[V.col + e], value[g + e]
            for b in range(r.shape[1]):
                out[i, b] += x * r[j, b]
            if i != j:
                for b in range(r.shape[1]):
                    out[j, b] += x * r[i, b]


def sample(
    ssm: LinearGaussianSSM | Packed,
    y: npt.ArrayLike,
    n_draws: int = 1,
    random_state: int | np.random.Generator | None = None,
    inputs: npt.ArrayLike | None = None,
    method: str = "auto",
    *,
    state: State | None = None,
    antithetic: bool = False,
) -> Array:
    """Draw paths of the states given the whole series (simulation smoother).

    A path and a series are simulated from the model, with the missing entries of ``y`` missing there too, and the path
    is corrected by the smoothed mean of the difference of the two series. Gains are computed once for all draws, which
    move together through one pass. With ``method="precision"`` paths are drawn by the Cholesky factor of their joint
    precision instead, which needs noise in every state.

    Parameters
    ----------
    ssm, y, inputs, method, state
        As in `filter`; one series.
    n_draws : int, default 1
    random_state : int, Generator or None, default None
        The same number gives the same paths.
    antithetic : bool, default False
        Whether draws come in pairs that mirror each other at the smoothed mean, 0 and 1, 2 and 3, and so on, so that means
        over an even number of draws are those of the smoother, and means of other functions vary less.

    Returns
    -------
    ndarray, shape (n_draws, n_times, n_states)

    Raises
    ------
    InputError
        If ``n_draws`` is no positive integer, if ``y`` leaves part of a diffuse start undetermined, so that there is
        nothing to draw from, or as in `filter`.
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
    positive("n_draws", n_draws)
    job = serve("sample", ssm, y, inputs, method, state)
    if job.y.ndim == 3:
        raise InputError(f"y has the shape {job.y.shape}: draw for one series (n_times, n_obs) at a time")
    assert job.rung.sample is not None
    n_fresh = (n_draws + 1) // 2 if antithetic else n_draws
    draws = np.asarray(job.rung.sample(job.packed, job.y, n_fresh, random_state, inputs, state))
    if not antithetic:
        return draws
    mirrored = 2 * smooth_pass(job.packed, job.y, inputs, state).mean - draws
    return np.stack([draws, mirrored], axis=1).reshape(-1, *draws.shape[1:])[:n_draws]


def sample_one(
    packed: Packed,
    values: Array,
    n_draws: int,
    random_state: int | np.random.Generator | None,
    inputs: npt.ArrayLike | None,
    state: State | None,
) -> Array:
    """Draw paths by the gains of the sequential pass."""
    done = run(packed, values, inputs, state, GAINS | BY_STATES)
    if done.state.rank:
        raise InputError(
            f"the series leaves {done.state.rank} diffuse direction(s) undetermined, so no path can be drawn"
        )
    begin = packed.start if state is None else state
    states, simulated = paths(packed, begin, len(values), n_draws, random_state, inputs)
    states += means_given(packed, values, done, begin, values[:, :, None] - simulated)
    return np.ascontiguousarray(states.transpose(2, 0, 1))


def means_given(packed: Packed, values: Array, done: Pass, begin: State, y: Array) -> Array:
    """Means (n, dx, series) of the states given each of the series y (n, dy, series), which are overwritten.

    The model has no offsets and starts from zero; `done` is a pass over `values`, from `begin`, that kept its gains.
    """
    out = np.empty((len(y), len(begin.mean), y.shape[2]))
    given = done.trace.row, len(done.trace.rank), begin.cov, begin.diffuse_cov, y, out
    smoothed_means(packed.layout, packed.values, values, *given)
    return out
