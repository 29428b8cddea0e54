"""One pass forward through a series, keeping what later passes ask for, and the checks at the door of every function."""

import math
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ssmts.core.gaussian._kernels.known import directions, forget, told
from ssmts.core.gaussian._kernels.layout import Model, kernel, noise, part, rare, start, unpack
from ssmts.core.gaussian._kernels.predict import new_moves, predict, settle
from ssmts.core.gaussian._kernels.update import (
    ROUNDING,
    SCALE,
    UNSEEN,
    K,
    absorb,
    absorb_diffuse,
    add_line,
    clear_row,
    decorrelate,
    flush,
    observe,
)
from ssmts.core.gaussian._kernels.window import matrix, vector
from ssmts.core.gaussian._lift import lifted_cov
from ssmts.core.gaussian._pack import Packed, diffuse_factor, takes_inputs
from ssmts.core.types import Array, Index, LinearGaussianSSM, State, TimeVarying
from ssmts.exceptions import InputError, InputTypeError, NumericalError

GAINS, FILTERED, PREDICTED = 1, 2, 4  # what a trace keeps
BY_STATES = 16  # gains are kept by states, without the means and covariances that otherwise come with that
AHEAD = 32  # of the predicted rows only what is told of observations
LIFTED = 8  # gains that are kept may be those of the lifted model, if there is one
BAD_VARIANCE, BAD_NOISE, LOST_DIGITS = 1, 2, 3  # what went wrong in a pass
LOST = 1e-6  # a variance below minus this of its line is not rounding but wrong
MANY = 48  # states from which on updates of P are held back


class Trace(NamedTuple):
    """What a forward pass keeps for its caller and for later passes; an array without rows is not kept."""

    loglik: Array  # (n,)
    v: Array  # (n, dy) innovations, and
    S: Array  # (n, dy, dy) H P H' + R
    predicted_m: Array  # (n + 1, dx)
    predicted_P: Array  # (n + 1, dx, dx)
    m: Array  # (n, dx) filtered
    P: Array  # (n, dx, dx)
    row: Array  # (n, dy, K + dx, or K + 2 dx if anything was diffuse) tables of the observations
    # of the rows that began partly diffuse:
    A: Array  # (rows, dx, rank) filtered; the columns that have left come last, the latest of them first
    rank: Index  # (rows,) after the row


class Pass(NamedTuple):
    """A finished forward pass."""

    loglik: float
    state: State
    n_diffuse: int
    trace: Trace
    y: Array  # less obs_offset and feedthrough
    b: Array  # state_offset and input_matrix @ inputs (0, 1 or n, dx)
    place: Index  # of each state after the last row


@kernel
def forward(
    index: Index,
    value: Array,
    b: Array,
    y: Array,
    place: Index,
    m: Array,
    P: Array,
    A: Array,
    probe: bool,
    loglik_t: Array,
    v: Array,
    S: Array,
    predicted_m: Array,
    predicted_P: Array,
    filtered_m: Array,
    filtered_P: Array,
    rows: Array,
    filtered_A: Array,
    ranks: Index,
) -> Any:
    """Filter y, moving m, P, A to the state after it; with `probe`, only until nothing is diffuse.

    From `loglik_t` on, the arrays of a `Trace` to fill. Tables of observations are kept by places, of which `place` is left
    with the last; if means and covariances are kept, then by states, too.

    Returns (log-likelihood, rank, number of rows that began partly diffuse, last row, what went wrong there, whether variances
    that decide the likelihood may be rounding).
    """
    model = unpack(index)
    n, dx, dy, columns, H = y.shape[0], model.dx, model.dy, A.shape[1], model.H
    whole, keep = filtered_P.shape[0] + predicted_P.shape[0] > 0, rows.shape[0] > 0
    many = 0 if whole or dx < MANY else 4
    # Windows instead of arrays: around every call the references to an array are counted, which costs as much as a small row.
    wide = K + 2 * dx + dy
    work = np.empty((3 * dx + 1) * dx + dy * wide + many * (dx + 1) + H.size)
    W, M, first = matrix(work, 0, 3 * dx, dx), vector(work, 3 * dx * dx, dx), (3 * dx + 1) * dx
    row, held = matrix(work, first, dy, wide), matrix(work, first + dy * wide, many, dx + 1)
    h = vector(work, work.size - H.size, H.size) if model.full else vector(value, 0, value.size)
    index, value, place = vector(index, 0, index.size), vector(value, 0, value.size), vector(place, 0, dx)
    m, P, A = vector(m, 0, dx), matrix(P, 0, dx, dx), matrix(A, 0, dx, columns)
    count, product = 0, 1.0
    clear_row(model, row)
    moves = new_moves(index, model, place, True)
    loglik, rank, n_diffuse = 0.0, columns, 0
    unknown, moved = directions(index, model, P, A)
    for t in range(n):
        if rank > 0:
            n_diffuse += 1
        elif probe:
            break
        if predicted_P.shape[0] > 0:
            copy(place, m, P, predicted_m, predicted_P, t)
        if v.shape[0] > 0:
            innovate(index, value, model, t, y, place, m, P, M, v, S)
        if model.full:
            if not decorrelate(index, value, model, t, y, row, h):
                return loglik, rank, n_diffuse, t, BAD_NOISE, False
        else:
            observe(value, model, t, y, row)
        g = 0 if model.full else start(H, t)
        if rank > 0:
            gain, product, rank, count, sound = absorb_diffuse(
                index, H, h, g, place, row, keep, M, m, P, A, rank, held, count, product
            )
        else:
            gain, product, _, count, sound = absorb(
                index, H, h, g, place, row, keep, M, m, P, None, 0, held, count, product
            )
        if not sound:
            return loglik, rank, n_diffuse, t, BAD_VARIANCE, False
        unknown -= told(row)
        if unknown <= 0 and rank == 0:
            count = forget(P)
        unknown = min(max(unknown, 0) + moved, dx)
        if loglik_t.shape[0] > 0:
            gain -= 0.5 * math.log(product)
            product = 1.0
            loglik_t[t] = gain
        loglik += gain
        if filtered_P.shape[0] > 0:
            copy(place, m, P, filtered_m, filtered_P, t)
        if keep:
            keep_row(place, row, whole, dx, rows[t])
        if t < ranks.shape[0]:
            ranks[t] = rank
            for i in range(filtered_A.shape[1]):
                for k in range(A.shape[1]):
                    filtered_A[t, i, k] = A[place[i], k]
        predict(index, value, model, t, b, moves, m, P, A, rank, held, count, W)
    if predicted_P.shape[0] > 0:
        copy(place, m, P, predicted_m, predicted_P, n)
    flush(P, held, count)
    settle(place, m, P, A, W)
    doubt = False
    for i in range(dy):
        doubt = doubt or row[i, SCALE] < 0.0
    work[0] = 0.0  # it must live until here
    return loglik - 0.5 * math.log(product), rank, n_diffuse, n, 0, doubt


@part
def copy(place: Index, m: Array, P: Array, to_m: Array, to_P: Array, t: int) -> None:
    """Write a mean and a covariance to row t."""
    for i in range(to_m.shape[1]):
        p = place[i]
        to_m[t, i] = m[p]
        for j in range(i + 1):
            q = place[j]
            x = P[max(p, q), min(p, q)]
            to_P[t, i, j] = x
            to_P[t, j, i] = x


@rare
def keep_row(place: Index, row: Array, whole: bool, dx: int, out: Array) -> None:
    """Write the table of a row of observations, in the order of places, or if `whole` in that of states."""
    for i in range(row.shape[0]):
        for j in range(K):
            out[i, j] = row[i, j]
        if whole:
            wide = (out.shape[1] - K) > dx
            n = (out.shape[1] - K) // 2 if wide else out.shape[1] - K
            for j in range(n):
                out[i, K + j] = row[i, K + place[j]]
                if wide:
                    out[i, K + n + j] = row[i, K + dx + place[j]]
        else:
            for j in range(K, out.shape[1]):
                out[i, j] = row[i, j]


@rare
def innovate(
    index: Index,
    value: Array,
    model: Model,
    t: int,
    y: Array,
    place: Index,
    m: Array,
    P: Array,
    M: Array,
    v: Array,
    S: Array,
) -> None:
    """Write v = y - H m and S = H P H' + R at time t; M is work space."""
    H, dy = model.H, model.dy
    g, r = start(H, t), noise(model, t)
    for i in range(dy):
        v[t, i] = y[t, i]
        for k in range(m.size):
            M[k] = 0.0
        for e in range(index[H.ptr + i], index[H.ptr + i + 1]):
            x, j = value[g + e], place[index[H.col + e]]
            v[t, i] -= x * m[j]
            add_line(P, j, x, M)
        for j in range(i + 1):
            x = value[r + i * dy + j]
            for e in range(index[H.ptr + j], index[H.ptr + j + 1]):
                x += value[g + e] * M[place[index[H.col + e]]]
            S[t, i, j] = x
            S[t, j, i] = x


def new_trace(n: int, dx: int, dy: int, keep: int, rows: int, rank: int) -> Trace:
    """Room for what a pass over n rows, of which the first `rows` begin partly diffuse, is asked to keep."""
    predicted, filtered, gains = (n if keep & what else 0 for what in (PREDICTED, FILTERED | BY_STATES, GAINS))
    after, width = predicted + 1 if keep & PREDICTED else 0, dx if keep & FILTERED else 0
    told = n if keep & (PREDICTED | AHEAD) else 0
    return Trace(
        np.empty(told),
        np.empty((told, dy)),
        np.empty((told, dy, dy)),
        np.empty((after, dx)),
        np.empty((after, dx, dx)),
        np.empty((filtered, width)),
        np.empty((filtered, width, width)),
        np.empty((gains, dy, K + dx * (2 if rows else 1))),
        np.empty((rows, dx, rank)),
        np.empty(rows, np.int64),
    )


NOTHING = new_trace(0, 0, 0, keep=0, rows=0, rank=0)


def run(packed: Packed, y: Array, inputs: npt.ArrayLike | None, state: State | None, keep: int = 0) -> Pass:
    """Filter one checked series and keep what is asked for."""
    n, dy = y.shape
    given, (b, y) = y, drive(packed, y, inputs)
    m, P, A = begin(packed, state)
    (dx, rank), lift = A.shape, packed.lift
    by_state = bool(keep & (FILTERED | PREDICTED | BY_STATES))
    if keep & GAINS and not by_state and not keep & LIFTED:
        lift = None
    layout, values = packed.layout, packed.values
    if lift is not None:
        layout, values = lift.layout, lift.values
        b, m, P, A = (
            lift.up(b.T).T.copy() if len(b) else np.empty((0, len(lift.sums) + dx)),
            lift.up(m),
            lifted_cov(lift.sums, P),
            lift.up_factor(A),
        )
    place = np.arange(len(m))
    rows = 0
    if keep & (FILTERED | BY_STATES) and rank:
        copies = place.copy(), m.copy(), P.copy(), A.copy()
        rows = forward(layout, values, b, y, *copies, True, *NOTHING)[2]
    trace = new_trace(n, dx if by_state else len(m), dy, keep, rows, rank) if keep else NOTHING
    loglik, left, _, t, wrong, doubt = forward(layout, values, b, y, place, m, P, A, False, *trace)
    m, P, A = m[:dx].copy(), P[:dx, :dx].copy(), A[:dx]
    if wrong:
        raise unsound(t, wrong, m, P)
    if doubt:
        import_module("ssmts.core.gaussian._rungs.square_root").confirm(packed, given, inputs, state, loglik)
    if keep & (FILTERED | PREDICTED):
        most = np.zeros(dx)  # the largest variance of each state before
        for name, covs in (("predicted_cov", trace.predicted_P), ("filtered_cov", trace.P), ("predicted_cov", P[None])):
            no_negative(name, covs, most=most)
            most = np.maximum(most, np.diagonal(covs, axis1=1, axis2=2).max(axis=0, initial=0.0))
    place = np.arange(dx) if by_state else place
    return Pass(loglik, State(m, P, unresolved(A, left), left), rank - left, trace, y, b, place)


def begin(packed: Packed, state: State | None) -> tuple[Array, Array, Array]:
    """Mean, covariance and diffuse factor to start from, free to be overwritten."""
    if state is None:
        return packed.start.mean.copy(), packed.start.cov.copy(), packed.factor.copy()
    check_state(packed, state)
    factor = diffuse_factor(state.diffuse_cov, state.rank) if state.rank else np.empty((len(state.mean), 0))
    return state.mean.copy(), state.cov.copy(), factor


def check_state(packed: Packed, state: State) -> None:
    """Refuse what is no state of the model."""
    if not isinstance(state, State):
        raise InputTypeError(f"state is of type {type(state).__name__}: pass a State, such as the .state of a filter")
    if state.mean.shape != packed.start.mean.shape:
        raise InputError(f"the state has {len(state.mean)} entries, but the model has {len(packed.start.mean)} states")


def drive(packed: Packed, y: Array, inputs: npt.ArrayLike | None) -> tuple[Array, Array]:
    """What moves the state at each row, and y less what it does not owe to the state."""
    ssm, b = packed.ssm, packed.offset
    if ssm.obs_offset is not None:
        y = y - over_time(ssm.obs_offset, len(y))
    check_inputs(ssm, inputs)
    if inputs is None:
        return b, y
    u = np.asarray(inputs, dtype=float)
    n_inputs = over_time(ssm.input_matrix if ssm.input_matrix is not None else ssm.feedthrough, 1).shape[-1]
    if u.shape != (len(y), n_inputs) or not np.isfinite(u).all():
        raise InputError(f"inputs of shape {u.shape}: pass finite numbers of shape {(len(y), n_inputs)}")
    if ssm.input_matrix is not None:
        driven = dot(over_time(ssm.input_matrix, len(y)), u)
        b = b[: len(y)] + driven if len(b) else driven
    if ssm.feedthrough is not None:
        y = y - dot(over_time(ssm.feedthrough, len(y)), u)
    return np.ascontiguousarray(b), y


def check_inputs(ssm: LinearGaussianSSM, inputs: npt.ArrayLike | None) -> None:
    """Refuse inputs that the model does not take, and their absence where it does."""
    wanted = takes_inputs(ssm)
    if wanted and inputs is None:
        raise InputError("the model has input_matrix or feedthrough: pass inputs, one row of numbers for each row of y")
    if not wanted and inputs is not None:
        raise InputError("the model takes no inputs: pass inputs exactly if it has an input_matrix or a feedthrough")


def over_time(field: Any, n: int) -> Array:
    """The values of a field for n rows, with a time axis of length n, or 1 if constant."""
    if isinstance(field, TimeVarying):
        return np.asarray(field.values, dtype=float)[:n]
    return np.asarray(field, dtype=float)[None]


def dot(matrices: Array, vectors: Array) -> Array:
    """Matrix times vector at each time."""
    return np.squeeze(matrices @ vectors[..., None], -1)


def unresolved(A: Array, rank: npt.ArrayLike) -> Array:
    """A A' over the first `rank` columns, exactly zero for states that are no longer diffuse; also of many A at once."""
    active = np.where(np.arange(A.shape[-1]) < np.asarray(rank)[..., None, None], A, 0.0)
    left = np.linalg.norm(active, axis=-1) > UNSEEN * np.linalg.norm(A, axis=-1)
    active *= left[..., None]
    return active @ active.swapaxes(-1, -2)


def infinities(diffuse_cov: Array) -> Array:
    """What kappa times a matrix adds in the limit: 0, inf or -inf; what is negative by rounding counts as zero."""
    size = np.sqrt(np.maximum(np.diagonal(diffuse_cov, axis1=-2, axis2=-1), 0.0))
    both = size[..., None, :] * size[..., None]
    seen = (np.abs(diffuse_cov) > 1e-12 * both) & (both > 0)
    return np.where(seen, np.copysign(np.inf, diffuse_cov), 0.0)


def no_negative(name: str, covs: Array, prior: Array | None = None, most: Array | float = 0.0) -> None:
    """Make variances that are negative by rounding zero, with their covariances; what is too large for that is an error.

    It is measured by the variances in `prior` (n, n_states), or by the lines of the covariances themselves; where nothing hides it, what
    dies out ends as rounding of the largest variance that the state has had, in the rows before or in `most` (n_states,).
    """
    variance = np.diagonal(covs, axis1=1, axis2=2)
    if not (variance < 0).any():
        return
    if prior is None:
        least = LOST * np.abs(covs).max(axis=2)
        least = np.maximum(least, ROUNDING * np.maximum(np.maximum.accumulate(variance), most))
    else:
        least = LOST * prior
    wrong = variance < -least
    if wrong.any():
        row = int(np.argmax(wrong.any(axis=1)))
        raise NumericalError(
            f"{name} has the negative variance {variance[row].min():.3g} at row {row}: more digits have cancelled than doubles "
            'have; method="square_root" keeps twice as many'
        )
    kept = variance >= 0
    covs[~(kept[:, :, None] & kept[:, None, :])] = 0.0


def unsound(t: int, wrong: int, m: Array, P: Array) -> NumericalError:
    """The error that says what left the sound numbers at row t."""
    if wrong == BAD_NOISE:
        return NumericalError(f"obs_cov has a negative eigenvalue at row {t}: pass a covariance")
    if not np.isfinite(m).all():
        return NumericalError(f"predicted_mean is no longer finite at row {t}: is the transition explosive?")
    if not np.isfinite(P).all():
        return NumericalError(f"predicted_cov is no longer finite at row {t}: is the transition explosive?")
    if wrong == LOST_DIGITS:
        return lost(f"at row {t} an innovation variance is too near to what rounding leaves of it")
    return NumericalError(
        f"innovation_cov is negative or not finite at row {t}: "
        "process_cov, obs_cov and initial_cov must be non-negative definite; if they are and differ widely in scale, "
        'method="square_root" keeps twice the digits'
    )


def lost(what: str, more: str = "") -> NumericalError:
    """The error of sensors that tell states so nearly exactly that rounding decides."""
    return NumericalError(
        f"observations without noise tell states so nearly exactly that digits are lost: {what}. Give obs_cov the variance that the "
        f"sensors really have, or drop sensors that nearly repeat others{more}"
    )


def series(y: npt.ArrayLike, packed: Packed) -> Array:
    """The observations as the kernels take them, or an error that says what does not fit."""
    if np.iscomplexobj(y):
        raise InputError("y is complex: pass real numbers, such as the real and imaginary parts as two columns")
    try:
        values = np.require(y, dtype=np.float64, requirements=["C", "W"])
    except (TypeError, ValueError) as error:
        raise InputError(
            f"y is not numeric ({error}): pass an array of floats, with NaN where a value is missing"
        ) from error
    n_obs = int(packed.layout[1])
    if values.ndim not in (2, 3) or values.shape[-1] != n_obs:
        raise InputError(
            f"y has the shape {values.shape}: the model wants (n_times, {n_obs}), or (n_series, n_times, {n_obs})"
        )
    if not math.isfinite(np.vdot(values, values)) and np.isinf(values).any():  # the first costs a fifth of the second
        raise InputError(f"y is infinite at {tuple(np.argwhere(np.isinf(values))[0].tolist())}: missing values are NaN")
    return values
