"""The smoother: states and disturbances given the whole series, by one pass back over the stored gains."""

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ssmts.core.gaussian._forward import FILTERED, GAINS, Pass, dot, no_negative, over_time, run
from ssmts.core.gaussian._kernels.backward import (
    VAGUE,
    correlate,
    cross_errors,
    move_back,
    padded,
    rename_back,
    sandwich_back,
    smoothing_error,
    step_back,
    step_back_from_vague,
)
from ssmts.core.gaussian._kernels.layout import kernel, part, unpack
from ssmts.core.gaussian._kernels.layout import start as row_start
from ssmts.core.gaussian._kernels.predict import new_moves
from ssmts.core.gaussian._kernels.update import KIND, NOISE, SKIPPED, K, S, clear_row, decorrelate
from ssmts.core.gaussian._kernels.window import matrix, vector
from ssmts.core.gaussian._ladder import serve, stack
from ssmts.core.gaussian._pack import Packed
from ssmts.core.gaussian._start import add_unknown, begin_diffuse, look_ahead
from ssmts.core.types import Array, Index, LinearGaussianSSM, SmoothResult, State

ZERO = 1e-14  # a variance of an estimate below this fraction of the prior one is zero but for rounding


@kernel
def back(
    index: Index,
    value: Array,
    y: Array,
    place: Index,
    first_row: int,
    tables: Array,
    states: Index,
    P: Array,
    last_r: Array,
    last_N: Array,
    ahead_r: Array,
    ahead_N: Array,
    mean: Array,
    cov: Array,
    u: Array,
    E: Array,
) -> None:
    """Fill r and N of the state predicted from each row (N on `states`), cov[t] = P - P N P, u[t] and E[t]; mean[t] += P r.

    `place` is that before the first row and after the last, of whose next state `last` says what is known of rows behind y;
    it is left with that of the state predicted for `first_row`, where the pass ends. P, mean, r and N of `mean` and `cov` are
    those of the filtered state. No row may begin partly diffuse.
    """
    model = unpack(index)
    n, dx, dy, H = y.shape[0], model.dx, model.dy, model.H
    wide, width, line = K + 2 * dx + dy, tables.shape[2], padded(dx)
    work = np.zeros((3 * dx + 2) * dx + (4 * dx + 2) * line + dy * (wide + width + dx) + H.size)  # see `forward`
    W, Nk, first = matrix(work, 0, 3 * dx, dx), vector(work, 3 * dx * dx, line), 3 * dx * dx + line
    row, table = matrix(work, first, dy, wide), matrix(work, first + dy * wide, dy, width)
    first += dy * (wide + width)
    Ne, rt, rs = matrix(work, first, dy, dx), vector(work, first + dy * dx, dx), vector(work, first + (dy + 1) * dx, dx)
    first += (dy + 2) * dx
    Nt, Ns = matrix(work, first, dx, line), matrix(work, first + dx * line, dx, line)
    three = matrix(work, first + 2 * dx * line, 2 * dx + 1, line)
    h = vector(work, work.size - H.size, H.size) if model.full else vector(value, 0, value.size)
    index, value, place = vector(index, 0, index.size), vector(value, 0, value.size), vector(place, 0, dx)
    clear_row(model, row)
    moves = new_moves(index, model, place, True)
    for i in range(dx):
        rt[i] = last_r[i]
        for j in range(dx):
            Nt[i, j] = last_N[i, j]
    for t in range(n - 1, first_row - 1, -1):
        for i in range(dx):
            ahead_r[t, i] = rt[place[i]]
        for i in range(states.size):
            for j in range(states.size):
                ahead_N[t, i, j] = Nt[place[states[i]], place[states[j]]]
        rename_back(moves)
        move_back(index, value, model.F, t, moves, rt, W)
        sandwich_back(index, value, model.F, t, moves, Nt, W)
        for i in range(dx):
            p = place[i]
            rs[i] = rt[p]
            for j in range(dx):
                Ns[i, j] = Nt[p, place[j]]
        _look_ahead(P, t, rs, Ns, three, mean, cov)
        if model.full:
            decorrelate(index, value, model, t, y, row, h)
        g = 0 if model.full else row_start(H, t)
        _by_place(place, tables, t, table)
        for i in range(dy - 1, -1, -1):
            for j in range(dx):
                Ne[i, j] = 0.0
            if table[i, KIND] == SKIPPED:
                continue
            u[t, i], e = smoothing_error(table, i, rt, Nt, Nk)
            if dy > 1:
                cross_errors(index, H, h, g, place, table, i, e, Nk, Ne, matrix(E, t * dy * dy, dy, dy))
            else:
                E[t, 0, 0] = e
            if table[i, NOISE] < VAGUE * table[i, S]:
                step_back_from_vague(index, H, h, g, place, table, i, u[t, i], rt, Nt, three)
            else:
                step_back(index, H, h, g, place, i, u[t, i], e, rt, Nt, Nk)
        if model.full:
            correlate(row, K + 2 * dx, vector(u, t * dy, dy), matrix(E, t * dy * dy, dy, dy))
    for i in range(dx):
        last_r[i] = rt[place[i]]
        for j in range(dx):
            last_N[i, j] = Nt[place[i], place[j]]
    work[0] = 0.0  # it must live until here


@part
def _look_ahead(P: Array, t: int, r: Array, N: Array, work: Array, mean: Array, cov: Array) -> None:
    """mean[t] += P r and cov[t] = P - P N P for P[t]; work has a line more than twice those of N, and as long."""
    n, line = N.shape
    Pt, NP = matrix(work, 0, n, line), matrix(work, n * line, n, line)
    sums = vector(work, 2 * n * line, line)
    for i in range(n):
        x = 0.0
        for j in range(n):
            Pt[i, j] = P[t, i, j]
            x += P[t, i, j] * r[j]
        mean[t, i] += x
    for i in range(n):
        _line_of_product(N, i, Pt, sums)
        for j in range(line):
            NP[i, j] = sums[j]
    for i in range(n):
        _line_of_product(Pt, i, NP, sums)
        for j in range(i + 1):
            x = Pt[i, j] - sums[j]
            cov[t, i, j] = x
            cov[t, j, i] = x


@part
def _line_of_product(A: Array, i: int, B: Array, out: Array) -> None:
    """Line i of A B, four lines of B at a time."""
    n = B.shape[0]
    whole = n // 4 * 4
    for j in range(out.size):
        out[j] = 0.0
    for k in range(0, whole, 4):
        a, b, c, d = A[i, k], A[i, k + 1], A[i, k + 2], A[i, k + 3]
        for j in range(out.size):
            out[j] += a * B[k, j] + b * B[k + 1, j] + c * B[k + 2, j] + d * B[k + 3, j]
    for k in range(whole, n):
        a = A[i, k]
        for j in range(out.size):
            out[j] += a * B[k, j]


@part
def _by_place(place: Index, tables: Array, t: int, table: Array) -> None:
    """The table of row t, which is by states, by places."""
    n = place.size
    for i in range(table.shape[0]):
        for j in range(K):
            table[i, j] = tables[t, i, j]
        for first in range(K, table.shape[1], n):
            for j in range(n):
                table[i, first + place[j]] = tables[t, i, first + j]


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
    done = smooth_pass(packed, y, inputs, state, whole=False)
    return disturbances(packed, done.mean, done.cov, done.r, done.N, done.u, done.E)


class Smoothed(NamedTuple):
    """What the two passes of the smoother leave."""

    forward: Pass
    mean: Array  # (n, dx)
    cov: Array  # (n, dx, dx)
    r: Array  # (n, dx) of the state predicted from row t
    N: Array  # (n, dx, dx), or on the states that shocks move
    u: Array  # (n, dy) of the observations
    E: Array  # (n, dy, dy)


def smooth_pass(
    packed: Packed,
    y: Array,
    inputs: npt.ArrayLike | None,
    state: State | None,
    whole: bool = True,
    after: tuple[Array, Array] | None = None,
) -> Smoothed:
    """One pass forward and one back; N of all states, or only of those that shocks move if not `whole`.

    `after` is what rows behind those of y say about their first state, r and N.
    """
    done = run(packed, y, inputs, state, GAINS | FILTERED)
    trace, (n, dy), dx = done.trace, y.shape, len(packed.start.mean)
    states = np.arange(dx) if whole else moved_by(shock_gain(packed, n))
    mean, cov, u, E = trace.m.copy(), np.empty((n, dx, dx)), np.zeros((n, dy)), np.zeros((n, dy, dy))
    out = np.empty((n, dx)), np.empty((n, len(states), len(states))), mean, cov, u, E
    r, N = (np.zeros(dx), np.zeros((dx, dx))) if after is None else (after[0].copy(), after[1].copy())
    start = begin_diffuse(packed, y, inputs, state, done) if len(trace.rank) else None
    rows = 0 if start is None else len(start.A)
    back(packed.layout, packed.values, done.y, np.arange(dx), rows, trace.row, states, trace.P, r, N, *out)
    if start is not None:
        own, ahead = start.given.trace, look_ahead(start, r, N)
        mean[:rows] = own.m
        begun = [part[:rows] for part in out]
        back(packed.layout, packed.values, done.y[:rows], np.arange(dx), 0, own.row, states, own.P, r, ahead.N, *begun)
        add_unknown(packed, start, ahead, states, np.linalg.norm(trace.A, axis=-1), cov[:rows], begun[1], E[:rows])
    before = np.diagonal(trace.P, axis1=1, axis2=2).copy()
    before[: len(trace.A)] += np.square(np.linalg.norm(trace.A, axis=-1))  # what is infinite has the size of its factor
    no_negative("smoothed_cov", cov, before)
    return Smoothed(done, mean, cov, *out[:2], u, E)


def disturbances(packed: Packed, mean: Array, cov: Array, r: Array, N: Array, u: Array, E: Array) -> SmoothResult:
    """Observation noise R u with covariance R - R E R, shocks Q G'r with covariance Q - Q G'N G Q.

    Of many series, mean, r and u have a leading axis, and so have the fields of the result that depend on them.
    """
    n = len(cov)
    R, Q, gain = over_time(packed.ssm.obs_cov, n), over_time(packed.ssm.process_cov, n), shock_gain(packed, n)
    noise, shock = _times(R, u), _times(gain, r)
    moved = gain if N.shape[-1] == gain.shape[-1] else gain[..., moved_by(gain)]
    noise_cov, noise_scale = _remaining(R, E, R)
    shock_cov, shock_scale = _remaining(moved, N, Q)
    return SmoothResult(mean, cov, noise, noise_cov, shock, shock_cov, noise * noise_scale, shock * shock_scale)


def shock_gain(packed: Packed, n: int) -> Array:
    """Q G', which takes what the rows ahead say about a state to what they say about its shock."""
    Q, loading = over_time(packed.ssm.process_cov, n), packed.ssm.process_loading
    return Q if loading is None else np.asarray(Q @ over_time(loading, n).swapaxes(1, 2))


def moved_by(gain: Array) -> Index:
    """The states that shocks move."""
    return np.flatnonzero((gain != 0).any(axis=(0, 1)))


def _times(matrices: Array, vectors: Array) -> Array:
    return vectors @ matrices[0].T if len(matrices) == 1 else dot(matrices, vectors)


def _remaining(gain: Array, N: Array, prior: Array) -> tuple[Array, Array]:
    """The covariances prior - gain N gain' of disturbances, and 1 / the standard deviations of their estimates."""
    n, size, active = len(N), prior.shape[1], np.flatnonzero((gain != 0).any(axis=(0, 2)))
    cov, scale = np.empty((n, size, size)), np.empty((n, size))
    work = np.empty(N.shape[1])
    remaining(*map(np.ascontiguousarray, (gain[:, active], N, prior)), active, work, cov, scale)
    return cov, scale


@kernel
def remaining(gain: Array, N: Array, prior: Array, active: Index, work: Array, cov: Array, scale: Array) -> None:
    """Fill cov[t] = prior[t] - gain[t] N[t] gain[t]' and scale[t] = 1 / the roots of what is taken off its diagonal.

    Scale is NaN where that is zero but for rounding, as in `standardised`. Gains, of the `active` disturbances alone, and
    priors may be the same for all rows.
    """
    n, size, states = cov.shape[0], cov.shape[1], N.shape[1]
    for t in range(n):
        g, p = min(t, gain.shape[0] - 1), min(t, prior.shape[0] - 1)
        whole, out = vector(prior, p * size * size, size * size), vector(cov, t * size * size, size * size)
        for i in range(size * size):
            out[i] = whole[i]
        for i in range(size):
            scale[t, i] = np.nan
        for a in range(active.size):
            i = active[a]
            for k in range(states):
                work[k] = 0.0
            for l in range(states):
                for k in range(states):
                    work[k] += gain[g, a, l] * N[t, l, k]
            for b in range(a + 1):
                x = 0.0
                for k in range(states):
                    x += work[k] * gain[g, b, k]
                cov[t, i, active[b]] = prior[p, i, active[b]] - x
                cov[t, active[b], i] = cov[t, i, active[b]]
                if a == b and x > ZERO * prior[p, i, i]:
                    scale[t, i] = 1.0 / math.sqrt(x)


def standardised(values: Array, cov: Array, prior: Array, zero: float = ZERO) -> Any:
    """Values over their standard deviation, NaN where the variance is zero but for rounding, `zero` of that before."""
    variance, most = np.diagonal(cov, axis1=1, axis2=2), np.diagonal(prior, axis1=1, axis2=2)
    known = variance > zero * most
    return np.divide(values, np.sqrt(np.where(known, variance, 1.0)), out=np.full_like(values, np.nan), where=known)
