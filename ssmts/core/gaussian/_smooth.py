"""The smoother: states and disturbances given the whole series, by one pass back over the stored gains."""

from typing import Any

import numpy as np
import numpy.typing as npt

from ssmts.core.gaussian._backward import (
    correlate,
    cross_errors,
    move_back,
    sandwich_back,
    smoothing_error,
    step_back,
)
from ssmts.core.gaussian._filter import _stack
from ssmts.core.gaussian._forward import (
    FILTERED,
    GAINS,
    PREDICTED,
    Pass,
    begin,
    dot,
    over_time,
    prepare,
    run,
    unresolved,
)
from ssmts.core.gaussian._pack import Packed
from ssmts.core.gaussian._recursions import (
    DIFFUSE,
    KIND,
    SKIPPED,
    TOTAL,
    Block,
    K,
    S,
    V,
    decorrelate,
    kernel,
    new_moves,
    new_row,
    part,
    start,
    unpack,
)
from ssmts.core.types import Array, Index, LinearGaussianSSM, SmoothResult, State


@kernel
def back(
    index: Index,
    value: Array,
    y: Array,
    place: Index,
    tables: Array,
    n_diffuse_rows: int,
    r_after: Array,
    N_after: Array,
    r_before: Array,
    N_before: Array,
    u: Array,
    E: Array,
    r1_before: Array,
    N1_before: Array,
    N2_before: Array,
) -> None:
    """Fill r, N after and before each row (that is r_t, N_t and r_{t-1}, N_{t-1}), u and E of its observations.

    The rows that began partly diffuse also get the terms of order 1/kappa and 1/kappa^2 in r = r + r1/kappa and
    N = N + N1/kappa + N2/kappa^2 (Durbin and Koopman 2012, section 5.3, in the form whose N1 is symmetric).
    """
    model = unpack(index)
    n, dx, dy, H = y.shape[0], model.dx, model.dy, model.H
    W, row = np.empty((3 * dx, dx)), new_row(model)
    moves = new_moves(index, model, place, False)
    h = np.empty(H.size) if model.full else value
    Nk, Ne = np.empty(dx), np.empty((dy, dx))
    r, r1, N, N1, N2 = np.zeros(dx), np.zeros(dx), np.zeros((dx, dx)), np.zeros((dx, dx)), np.zeros((dx, dx))
    for t in range(n - 1, -1, -1):
        r_after[t] = r
        N_after[t] = N
        if t < n - 1:
            move_back(index, value, model.F, t, moves, r, W)
            sandwich_back(index, value, model.F, t, moves, N, W)
            if t < n_diffuse_rows:
                move_back(index, value, model.F, t, moves, r1, W)
                sandwich_back(index, value, model.F, t, moves, N1, W)
                sandwich_back(index, value, model.F, t, moves, N2, W)
        if model.full:
            decorrelate(index, value, model, t, y, row, h)
        g = 0 if model.full else start(H, t)
        table = tables[t]
        for i in range(dy - 1, -1, -1):
            if table[i, KIND] == SKIPPED:
                for j in range(dx):
                    Ne[i, j] = 0.0
                continue
            u[t, i], e = smoothing_error(table, i, r, N, Nk)
            cross_errors(index, H, h, g, place, table, i, e, Nk, Ne, E[t])
            if t < n_diffuse_rows:
                _orders_back(index, H, h, g, table, i, r, N, r1, N1, N2)
            step_back(index, H, h, g, place, i, u[t, i], e, r, N, Nk)
        if model.full:
            correlate(row, K + 2 * dx, u[t], E[t])
        r_before[t] = r
        N_before[t] = N
        if t < n_diffuse_rows:
            r1_before[t] = r1
            N1_before[t] = N1
            N2_before[t] = N2


@part
def _orders_back(
    index: Index, H: Block, h: Array, g: int, table: Array, i: int, r: Array, N: Array, r1: Array, N1: Array, N2: Array
) -> None:
    """Take r1, N1 and N2 back over observation i, before r and N are.

    With L = I - K h and, if the observation was absorbed by the diffuse part, L0 = q h with q = (F K - M) / S, where F is
    its finite variance h P h' + r and M = P h'::

        r1 <- L'r1 + L0'r + h'v / S
        N1 <- L'N1 L + L0'N L + L'N L0 + h'h / S
        N2 <- L'N2 L + L0'N1 L + L'N1 L0 + L0'N L0 - h'h F / S^2
    """
    n = r.size
    z, k, q = np.zeros(n), np.empty(n), np.zeros(n)
    for a in range(index[H.ptr + i], index[H.ptr + i + 1]):
        z[index[H.col + a]] = h[g + a]
    for j in range(n):
        k[j] = table[i, K + j]
    diffuse = table[i, KIND] == DIFFUSE
    s = table[i, S]
    if diffuse:
        for j in range(n):
            q[j] = (table[i, TOTAL] * k[j] - table[i, K + n + j]) / s
    kr, qr = 0.0, 0.0
    for j in range(n):
        kr += k[j] * r1[j]
        qr += q[j] * r[j]
    shift = qr - kr + (table[i, V] / s if diffuse else 0.0)
    N1k, N1q, N2k, Nq = np.zeros(n), np.zeros(n), np.zeros(n), np.zeros(n)
    for j in range(n):
        for l in range(n):
            N1k[j] += N1[j, l] * k[l]
            N1q[j] += N1[j, l] * q[l]
            N2k[j] += N2[j, l] * k[l]
            Nq[j] += N[j, l] * q[l]
    one, two = 0.0, 0.0
    for j in range(n):
        one += k[j] * N1k[j] - 2.0 * k[j] * Nq[j]
        two += k[j] * N2k[j] - 2.0 * k[j] * N1q[j] + q[j] * Nq[j]
    if diffuse:
        one += 1.0 / s
        two -= table[i, TOTAL] / (s * s)
    for j in range(n):
        r1[j] += z[j] * shift
        for l in range(n):
            N1[j, l] += z[j] * (Nq[l] - N1k[l]) + z[l] * (Nq[j] - N1k[j]) + one * z[j] * z[l]
            N2[j, l] += z[j] * (N1q[l] - N2k[l]) + z[l] * (N1q[j] - N2k[j]) + two * z[j] * z[l]


def smooth(
    ssm: LinearGaussianSSM | Packed,
    y: npt.ArrayLike,
    inputs: npt.ArrayLike | None = None,
    method: str = "auto",
    *,
    state: State | None = None,
) -> SmoothResult:
    """Smooth states and disturbances: their means and covariances given all rows.

    Parameters
    ----------
    ssm, y, inputs, method, state
        As in `filter`.

    Returns
    -------
    SmoothResult
        A batch adds a leading axis of series to every field. States that the whole series leaves undetermined have
        infinite variances.

    Raises
    ------
    InputError, NumericalError
        As in `filter`.

    References
    ----------
    Durbin and Koopman (2012), sections 4.4, 4.5, 5.3 and 6.4.

    Examples
    --------
    >>> import numpy as np
    >>> from ssmts.core.types import LinearGaussianSSM
    >>> one = np.eye(1)
    >>> level = LinearGaussianSSM(one, one, one, one, np.zeros(1), 0 * one, initial_diffuse_cov=one)
    >>> smooth(level, [[1.0], [np.nan], [4.0]]).smoothed_mean.ravel()
    array([1.75, 2.5 , 3.25])
    """
    packed, values = prepare(ssm, y, method)
    if values.ndim == 3:
        return SmoothResult(*_stack([_smooth_one(packed, one, inputs, state) for one in values]))
    return _smooth_one(packed, values, inputs, state)


def _smooth_one(packed: Packed, y: Array, inputs: npt.ArrayLike | None, state: State | None) -> SmoothResult:
    done = run(packed, y, inputs, state, GAINS | PREDICTED | FILTERED)
    n, dx, dy, rows = len(y), len(packed.start.mean), y.shape[1], len(done.trace.rank)
    r_after, N_after, r, N = np.empty((n, dx)), np.empty((n, dx, dx)), np.empty((n, dx)), np.empty((n, dx, dx))
    u, E = np.zeros((n, dy)), np.zeros((n, dy, dy))
    r1, N1, N2 = np.empty((rows, dx)), np.empty((rows, dx, dx)), np.empty((rows, dx, dx))
    back(
        packed.layout, packed.values, done.y, done.place, done.trace.row, rows, r_after, N_after, r, N, u, E, r1, N1, N2
    )
    m, P = done.trace.predicted_m[:n], done.trace.predicted_P[:n]
    mean = m + dot(P, r)
    cov = P - P @ N @ P
    if rows:
        Pinf, left = predicted_diffuse(packed, done, state)
        mixed = Pinf @ N1 @ P[:rows]
        mean[:rows] += dot(Pinf, r1)
        cov[:rows] -= mixed + mixed.swapaxes(1, 2) + Pinf @ N2 @ Pinf
        _keep_unknown(cov, left, packed, n)
    return _disturbances(packed, mean, cov, r_after, N_after, u, E)


def predicted_diffuse(packed: Packed, done: Pass, state: State | None) -> tuple[Array, Array]:
    """What infinity multiplies in the predicted covariance of the rows that began partly diffuse, and after the last row."""
    trace, A = done.trace, begin(packed, state)[2]
    rank = A.shape[1]
    F = over_time(packed.ssm.transition, len(trace.rank))
    out = []
    for t in range(len(trace.rank)):
        out.append(unresolved(A, rank))
        A, rank = F[min(t, len(F) - 1)] @ trace.A[t], int(trace.rank[t])
    return np.array(out), done.state.diffuse_cov


def _keep_unknown(cov: Array, left: Array, packed: Packed, n: int) -> None:
    """Infinite variances where the series ended before everything was determined, traced back through the transitions."""
    if not left.any():
        return
    F = over_time(packed.ssm.transition, n)
    factor = np.linalg.svd(left)[0][:, : np.linalg.matrix_rank(left)]
    for t in range(n - 1, -1, -1):
        factor = np.linalg.pinv(F[min(t, len(F) - 1)]) @ factor
        size = np.abs(factor @ factor.T)
        cov[t][size > 1e-12 * size.max()] = np.inf


def _disturbances(packed: Packed, mean: Array, cov: Array, r: Array, N: Array, u: Array, E: Array) -> SmoothResult:
    """Observation noise R u with covariance R - R E R, shocks Q G'r with covariance Q - Q G'N G Q."""
    n = len(mean)
    R, Q = over_time(packed.ssm.obs_cov, n), over_time(packed.ssm.process_cov, n)
    QG = Q if packed.ssm.process_loading is None else Q @ over_time(packed.ssm.process_loading, n).swapaxes(1, 2)
    obs, shocks = dot(R, u), dot(QG, r)
    explained_obs, explained_shocks = R @ E @ R, QG @ N @ QG.swapaxes(1, 2)
    return SmoothResult(
        mean,
        cov,
        obs,
        R - explained_obs,
        shocks,
        Q - explained_shocks,
        _standardise(obs, explained_obs),
        _standardise(shocks, explained_shocks),
    )


def _standardise(values: Array, cov: Array) -> Any:
    variance = np.diagonal(cov, axis1=1, axis2=2)
    floor = 1e-14 * np.abs(variance).max(initial=0.0)
    return np.divide(
        values, np.sqrt(np.maximum(variance, 0.0)), out=np.full_like(values, np.nan), where=variance > floor
    )
