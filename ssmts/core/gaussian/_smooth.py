"""The smoother: states and disturbances given the whole series, by one pass back over the stored gains."""

from typing import Any, NamedTuple

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
from ssmts.core.gaussian._forward import FILTERED, GAINS, Pass, dot, infinities, over_time, run
from ssmts.core.gaussian._ladder import serve, stack
from ssmts.core.gaussian._layout import Block, kernel, part, start, unpack
from ssmts.core.gaussian._pack import Packed
from ssmts.core.gaussian._predict import new_moves
from ssmts.core.gaussian._update import DIFFUSE, KIND, SKIPPED, TOTAL, K, S, V, decorrelate, new_row
from ssmts.core.types import Array, Index, LinearGaussianSSM, SmoothResult, State


@kernel
def back(
    index: Index,
    value: Array,
    y: Array,
    place: Index,
    tables: Array,
    ahead_r: Array,
    ahead_N: Array,
    r: Array,
    N: Array,
    u: Array,
    E: Array,
    r1: Array,
    N1: Array,
    N2: Array,
) -> None:
    """Fill r[t] and N[t] of the filtered state, `ahead` of the state predicted from it, u[t] and E[t] of the observations.

    The rows that began partly diffuse also get the next terms of r + r1 / kappa and N + N1 / kappa + N2 / kappa^2 (Durbin
    and Koopman 2012, section 5.3, in the form that keeps N1 symmetric).
    """
    model = unpack(index)
    n, dx, dy, H = y.shape[0], model.dx, model.dy, model.H
    W, row, moves = np.empty((3 * dx, dx)), new_row(model), new_moves(index, model, place, False)
    h = np.empty(H.size) if model.full else value
    Nk, Ne = np.empty(dx), np.zeros((dy, dx))
    rt, r1t = np.zeros(dx), np.zeros(dx)
    Nt, N1t, N2t = np.zeros((dx, dx)), np.zeros((dx, dx)), np.zeros((dx, dx))
    for t in range(n - 1, -1, -1):
        _keep(rt, Nt, ahead_r, ahead_N, t)
        if t < n - 1:
            move_back(index, value, model.F, t, moves, rt, W)
            sandwich_back(index, value, model.F, t, moves, Nt, W)
        _keep(rt, Nt, r, N, t)
        if t < r1.shape[0]:
            if t < n - 1:
                move_back(index, value, model.F, t, moves, r1t, W)
                sandwich_back(index, value, model.F, t, moves, N1t, W)
                sandwich_back(index, value, model.F, t, moves, N2t, W)
            _keep(r1t, N1t, r1, N1, t)
            _keep(r1t, N2t, r1, N2, t)
        if model.full:
            decorrelate(index, value, model, t, y, row, h)
        g = 0 if model.full else start(H, t)
        for i in range(dy - 1, -1, -1):
            for j in range(dx):
                Ne[i, j] = 0.0
            if tables[t, i, KIND] == SKIPPED:
                continue
            u[t, i], e = smoothing_error(tables[t], i, rt, Nt, Nk)
            cross_errors(index, H, h, g, place, tables[t], i, e, Nk, Ne, E[t])
            if t < r1.shape[0]:
                _orders_back(index, H, h, g, tables[t], i, rt, Nt, r1t, N1t, N2t)
            step_back(index, H, h, g, place, i, u[t, i], e, rt, Nt, Nk)
        if model.full:
            correlate(row, K + 2 * dx, u[t], E[t])


@part
def _keep(r: Array, N: Array, to_r: Array, to_N: Array, t: int) -> None:
    for i in range(r.size):
        to_r[t, i] = r[i]
        for j in range(r.size):
            to_N[t, i, j] = N[i, j]


@part
def _orders_back(
    index: Index, H: Block, h: Array, g: int, table: Array, i: int, r: Array, N: Array, r1: Array, N1: Array, N2: Array
) -> None:
    """Take r1, N1 and N2 back over observation i, before r and N are.

    With L = I - K h and, if the diffuse part absorbed the observation, L0 = q h, where q = (f K - M) / S, f = h P h' + r
    and M = P h' (else q, f and v are 0 and 1 / S is dropped)::

        r1 <- L'r1 + L0'r + h'v / S
        N1 <- L'N1 L + L0'N L + L'N L0 + h'h / S
        N2 <- L'N2 L + L0'N1 L + L'N1 L0 + L0'N L0 - h'h f / S^2
    """
    n = r.size
    z, q, Nq, N1k, N1q, N2k = np.zeros(n), np.zeros(n), np.zeros(n), np.zeros(n), np.zeros(n), np.zeros(n)
    for a in range(index[H.ptr + i], index[H.ptr + i + 1]):
        z[index[H.col + a]] = h[g + a]
    shift, one, two = 0.0, 0.0, 0.0
    if table[i, KIND] == DIFFUSE:
        f, s = table[i, TOTAL], table[i, S]
        shift, one, two = table[i, V] / s, 1.0 / s, -f / (s * s)
        for j in range(n):
            q[j] = (f * table[i, K + j] - table[i, K + n + j]) / s
    for j in range(n):
        k = table[i, K + j]
        shift += q[j] * r[j] - k * r1[j]
        for l in range(n):
            Nq[l] += q[j] * N[j, l]
            N1k[l] += k * N1[j, l]
            N1q[l] += q[j] * N1[j, l]
            N2k[l] += k * N2[j, l]
    for j in range(n):
        k = table[i, K + j]
        one += k * (N1k[j] - 2.0 * Nq[j])
        two += k * (N2k[j] - 2.0 * N1q[j]) + q[j] * Nq[j]
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
        A batch adds a leading axis of series to every field. Of states that the whole series leaves undetermined the
        covariances are infinite and the means have no meaning.

    Raises
    ------
    InputError, NumericalError
        As in `filter`.

    References
    ----------
    Durbin and Koopman (2012), sections 4.4, 4.5, 5.3 and 6.4; Koopman (1993) for the disturbances.

    Examples
    --------
    >>> import numpy as np
    >>> from ssmts.core.types import LinearGaussianSSM
    >>> one = np.eye(1)
    >>> level = LinearGaussianSSM(one, one, one, one, np.zeros(1), 0 * one, initial_diffuse_cov=one)
    >>> smooth(level, [[1.0], [np.nan], [4.0]]).smoothed_mean.ravel()
    array([1.75, 2.5 , 3.25])
    """
    job = serve("smooth", ssm, y, inputs, method, state)
    assert job.rung.smooth is not None
    if job.rung.batched or job.y.ndim == 2:
        one: SmoothResult = job.rung.smooth(job.packed, job.y, inputs, state)
        return one
    many: SmoothResult = stack(job.each(job.rung.smooth, inputs, state))
    return many


def smooth_one(packed: Packed, y: Array, inputs: npt.ArrayLike | None, state: State | None) -> SmoothResult:
    """The smoother of one series by one pass forward and one back."""
    done = smooth_pass(packed, y, inputs, state)
    return disturbances(packed, done.mean, done.cov, done.r, done.N, done.u, done.E)


class Smoothed(NamedTuple):
    """What the two passes of the smoother leave."""

    forward: Pass
    mean: Array  # (n, dx)
    cov: Array  # (n, dx, dx)
    r: Array  # (n, dx) of the state predicted from row t
    N: Array  # (n, dx, dx)
    u: Array  # (n, dy) of the observations
    E: Array  # (n, dy, dy)


def smooth_pass(packed: Packed, y: Array, inputs: npt.ArrayLike | None, state: State | None) -> Smoothed:
    """One pass forward and one back."""
    done = run(packed, y, inputs, state, GAINS | FILTERED)
    trace, (n, dy), dx = done.trace, y.shape, len(packed.start.mean)
    rows = len(trace.rank)
    ahead_r, ahead_N, r, N = np.empty((n, dx)), np.empty((n, dx, dx)), np.empty((n, dx)), np.empty((n, dx, dx))
    u, E = np.zeros((n, dy)), np.zeros((n, dy, dy))
    r1, N1, N2 = np.empty((rows, dx)), np.empty((rows, dx, dx)), np.empty((rows, dx, dx))
    tables = trace.row, ahead_r, ahead_N, r, N, u, E, r1, N1, N2
    back(packed.layout, packed.values, done.y, done.place, *tables)
    P = trace.P
    mean, cov = trace.m + dot(P, r), P - P @ N @ P
    if rows:
        columns = np.arange(trace.A.shape[2]) < trace.rank[:, None]
        A = trace.A * columns[:, None, :]
        A_t = A.swapaxes(1, 2)
        mixed = A @ (A_t @ N1 @ P[:rows])
        mean[:rows] += dot(A, dot(A_t, r1))
        cov[:rows] -= mixed + mixed.swapaxes(1, 2) + A @ (A_t @ N2 @ A) @ A_t
        if done.state.rank:
            left = np.eye(A.shape[2]) * columns[:, None, :] - A_t @ N1 @ A
            cov += infinities(A @ left @ A_t)
    return Smoothed(done, mean, cov, ahead_r, ahead_N, u, E)


def disturbances(packed: Packed, mean: Array, cov: Array, r: Array, N: Array, u: Array, E: Array) -> SmoothResult:
    """Observation noise R u with covariance R - R E R, shocks Q G'r with covariance Q - Q G'N G Q.

    Of many series, mean, r and u have a leading axis, and so have the fields of the result that depend on them.
    """
    n = len(cov)
    R, Q = over_time(packed.ssm.obs_cov, n), over_time(packed.ssm.process_cov, n)
    QG = Q if packed.ssm.process_loading is None else Q @ over_time(packed.ssm.process_loading, n).swapaxes(1, 2)
    noise, noise_known = dot(R, u), R @ E @ R
    shock, shock_known = dot(QG, r), QG @ N @ QG.swapaxes(1, 2)
    auxiliary = standardised(noise, noise_known, R), standardised(shock, shock_known, Q)
    return SmoothResult(mean, cov, noise, R - noise_known, shock, Q - shock_known, *auxiliary)


def standardised(values: Array, cov: Array, prior: Array, zero: float = 1e-14) -> Any:
    """Values over their standard deviation, NaN where the variance is zero but for rounding, `zero` of that before."""
    variance, most = np.diagonal(cov, axis1=1, axis2=2), np.diagonal(prior, axis1=1, axis2=2)
    known = variance > zero * most
    return np.divide(values, np.sqrt(np.where(known, variance, 1.0)), out=np.full_like(values, np.nan), where=known)
