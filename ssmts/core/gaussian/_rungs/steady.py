"""The rung of the steady state: time-invariant models whose covariance is that of the Riccati equation, or comes to it.

**A complete series** is filtered from row 0 with the gain K of the steady state, as if the prior covariance were P, that of the
steady state. It is P + D in truth, which changes the covariance of the series by X D X', where X takes the first state to the
series. With A = F (I - K H) and the innovations v of covariance S the steady filter finds all that this changes::

    M = X' C^-1 X = sum of A'^t H' S^-1 H A^t   by doubling,   s = X' C^-1 e = sum of A'^t H' S^-1 v[t]   by one pass back

so that log|C + X D X'| and the quadratic form follow from matrices of the size of the state; the diffuse part of D is
generalised least squares. It is exact from the first row, whether or not the covariance would ever settle, and needs no
diffuse recursion, which a few harmonics of a long season make ill conditioned.

**With missing entries**, and where covariances are asked for, rows are filtered one by one until the covariance is as near to P
as matters: a distance that shrinks by the square of the radius r of A each row adds up to 1 / (1 - r^2) of itself. From there
on only the mean is moved, up to the next row with a hole. `_rungs.steady_score` does the same for the score.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from ssmts.core.gaussian._filter import filter_one, filter_result
from ssmts.core.gaussian._forward import (
    FILTERED,
    NOTHING,
    PREDICTED,
    Pass,
    Trace,
    begin,
    drive,
    forward,
    new_trace,
    over_time,
    unresolved,
    unsound,
)
from ssmts.core.gaussian._kernels.update import LOG_2PI
from ssmts.core.gaussian._ladder import Job, Likelihood, Rung
from ssmts.core.gaussian._pack import Packed
from ssmts.core.gaussian._rungs.square_root import confirm
from ssmts.core.gaussian._rungs.steadiness import (
    Steady,
    information,
    innovate,
    look_back,
    needed,
    rows_of,
    steady,
    wait_for,
)
from ssmts.core.gaussian._rungs.steady_score import refuses_score, score_steady, span
from ssmts.core.gaussian._rungs.steady_smooth import refuses_smooth, smooth_steady
from ssmts.core.types import Array, FilterResult, State, TimeVarying

CONSTANT = ("transition", "process_cov", "process_loading", "observation", "obs_cov")
FEW, MANY = 6, 60  # diffuse states of which it is worth asking whether the first rows tell them apart
ALIKE = 1e-7  # they do not if one combination is seen by less than this
CLEAR = 1e-7  # diffuse directions that are told apart by less than this are better left to the recursion,
CONDITION = 1e4  # and so is a proper start whose correction is worse conditioned than this
NONE = np.empty((0, 0))
AT_LEAST = 4  # rows to the second look at a covariance that should have settled, twice as many to the next


def pays(job: Job) -> bool:
    """Whether the rung is faster than the sequential one, by half at least, or is needed.

    In nanoseconds, from below for the sequential rung and from above for this one.
    """
    packed, n, (dx, dy) = job.packed, job.y.shape[-2], packed_sizes(job.packed)
    if _varying(packed):
        return False
    complete = job.task == "loglik" and not np.isnan(job.y).any()
    if complete and n > dx and not tells_apart(packed):
        return True
    entries = len(packed.parts[0].col) if len(packed.parts[1][0]) else 0  # if the transition mixes states
    sequential = n * (100 * dy + 0.06 * (entries * dx + dy * dx * dx))
    sequential *= 3 if job.task == "smooth" else 1
    riccati = 250_000 + 12 * dx**3
    if sequential < 2 * (riccati + n * (10 + dx * (dx + 2 * dy)) if complete else riccati):
        return False
    known = steady(packed)
    if complete or isinstance(known, str):
        return True
    if job.task == "smooth":
        return not np.isnan(job.y).any()
    if job.task == "score":
        return bool(n > 4 * span(known, packed, n))
    holes = np.isnan(job.y).any(axis=-1).reshape(-1, n).sum(axis=1).max(initial=0)
    return bool((holes + 1) * wait_for(known, 2 * known.found.predicted_cov, n) < n / 3)


def packed_sizes(packed: Packed) -> tuple[int, int]:
    """Numbers of states and of observations."""
    return len(packed.start.mean), int(packed.layout[1])


def tells_apart(packed: Packed) -> bool:
    """Whether the first rows tell the diffuse states apart well enough for a sequential start; found once for a structure."""
    if "tells_apart" not in packed.kept:
        F, H, A = over_time(packed.ssm.transition, 1)[0], over_time(packed.ssm.observation, 1)[0], packed.factor
        rows: list[Array] = []
        found = True
        if FEW <= A.shape[1] <= MANY:
            while len(rows) * len(H) < A.shape[1]:
                rows.append(H @ A)
                A = F @ A
            columns = np.vstack(rows)
            roots = np.linalg.svd(columns / np.linalg.norm(columns, axis=0).clip(1e-300), compute_uv=False)
            found = bool(roots[-1] > ALIKE * roots[0])
        packed.kept["tells_apart"] = found
    known: bool = packed.kept["tells_apart"]
    return known


def _varying(packed: Packed) -> list[str]:
    return [name for name in CONSTANT if isinstance(getattr(packed.ssm, name), TimeVarying)]


def refuses(job: Job) -> str:
    """Why a steady state cannot serve."""
    varying = _varying(job.packed)
    if varying:
        return f"{', '.join(varying)} changes with time"
    known = steady(job.packed)
    if isinstance(known, str):
        return known
    if job.task == "score":
        return refuses_score(job, known)
    return refuses_smooth(job, known) if job.task == "smooth" else ""


def loglik_steady(packed: Packed, y: Array, inputs: npt.ArrayLike | None, state: State | None) -> Likelihood:
    """Log-likelihood of one series."""
    found = None if np.isnan(y).any() else _corrected(packed, needed(packed), y, inputs, state)
    if found is not None:
        return found
    done = run_steady(packed, y, inputs, state)
    return Likelihood(done.loglik, done.n_diffuse)


def _corrected(
    packed: Packed, known: Steady, y: Array, inputs: npt.ArrayLike | None, state: State | None
) -> Likelihood | None:
    """The likelihood of a complete series; None where the correction for its start is ill conditioned."""
    b, y = drive(packed, y, inputs)
    m, P, factor = begin(packed, state)
    (n, dy), (dx, rank) = y.shape, factor.shape
    M = information(known, n)
    D = _difference(known.found.predicted_cov, P, factor)
    I_MD = np.eye(dx) + M @ D
    if np.linalg.cond(I_MD) > CONDITION:
        return None
    sign, log_det = np.linalg.slogdet(I_MD)
    normal = factor.T @ np.linalg.solve(I_MD, M) @ factor
    scale = np.sqrt(np.diagonal(normal))
    if sign <= 0 or not (scale > 0).all():
        return None
    roots, vectors = np.linalg.eigh(normal / np.outer(scale, scale))
    if rank and not roots[0] > CLEAR * roots[-1]:
        return None
    for _ in range(2):  # from the estimate of the first state innovations have no start to cancel
        w, s = _pass(packed, known, b, y, m.copy())
        s0 = np.linalg.solve(I_MD, s)
        seen = vectors.T @ ((factor.T @ s0) / scale) / np.sqrt(roots)
        with np.errstate(over="ignore", invalid="ignore"):
            square, explained = float(np.sum(w * w)) - s @ D @ s0, float(seen @ seen)
        if not np.isfinite(square + explained):  # the squares of the series are beyond all numbers
            return None
        if explained < 0.5 * square:
            break
        m += factor @ (vectors @ (seen / np.sqrt(roots)) / scale)
    log_det += n * known.log_det + float(np.log(roots).sum() + 2 * np.log(scale).sum())
    return Likelihood(-0.5 * (n * dy * LOG_2PI + log_det + square - explained), rank)


def _difference(steady_cov: Array, cov: Array, factor: Array) -> Array:
    """What separates the steady covariance from one that starts like `cov` + infinity * factor factor'.

    Only directions that the diffuse part does not cover count. Those that it covers keep their regression on the others, so
    that the steady covariance plus the difference remains one.
    """
    dx, rank = factor.shape
    if rank == dx:
        return np.zeros((dx, dx))
    D = cov - steady_cov
    if rank:
        proper = np.eye(dx) - factor @ np.linalg.pinv(factor)
        known = proper @ steady_cov @ proper
        W = proper + (np.eye(dx) - proper) @ steady_cov @ np.linalg.pinv(known, rcond=1e-12, hermitian=True) @ proper
        D = W @ D @ W.T
    return np.asarray(0.5 * (D + D.T))


def _pass(packed: Packed, known: Steady, b: Array, y: Array, m: Array) -> tuple[Array, Array]:
    """Whitened innovations of the steady filter, and what they say about its first state."""
    v, place = innovate(packed, known, b, y, m, NONE)
    w = v @ known.whiten.T
    return w, look_back(packed, known, w, place, NONE)


def run_steady(packed: Packed, y: Array, inputs: npt.ArrayLike | None, state: State | None, keep: int = 0) -> Pass:
    """`run` that leaves the covariance alone wherever it has settled."""
    known, (n, dy) = needed(packed), y.shape
    given, (b, y) = y, drive(packed, y, inputs)
    m, P, A = begin(packed, state)
    dx, rank = A.shape
    copies = np.arange(dx), m.copy(), P.copy(), A.copy()
    rows = forward(packed.layout, packed.values, b, y, *copies, True, *NOTHING)[2] if rank else 0
    trace = new_trace(n, dx, dy, keep, rows, rank) if keep else NOTHING
    holes = np.append(np.flatnonzero(np.isnan(y).any(axis=1)), n)
    t, left, loglik, least, doubtful = 0, rank, 0.0, AT_LEAST, False
    wait = rows + least if rows else wait_for(known, P, n)
    while t < n:
        hole = int(holes[np.searchsorted(holes, t)])
        if wait == 0 and hole > t:
            loglik += _settled(packed, known, rows_of(b, t, hole), y, m, trace, t, hole)
            P, t, least = known.found.predicted_cov.copy(), hole, AT_LEAST
            continue
        stop = min(n, t + 1 if wait == 0 else t + max(wait, least))
        here = packed.layout, packed.values, rows_of(b, t, stop), y[t:stop], np.arange(dx), m, P, A, False
        gain, left, _, row, wrong, doubt = forward(*here, *_part(trace, t, stop))
        if wrong:
            raise unsound(t + row, wrong, m, P)
        A = A if stop == n else np.empty((dx, 0))  # nothing is diffuse any more
        loglik, t, least, doubtful = loglik + gain, stop, 2 * least, doubtful or doubt
        wait = wait_for(known, P, n)
    if doubtful:
        confirm(packed, given, inputs, state, loglik)
    return Pass(loglik, State(m, P, unresolved(A, left), left), rank - left, trace, y, b, np.arange(dx))


def _part(trace: Trace, t: int, stop: int) -> Trace:
    """The room that some of the rows have in a trace."""
    ahead = slice(t, stop + 1)
    own: Any = (field[t:stop] for field in trace)
    return Trace(*own)._replace(predicted_m=trace.predicted_m[ahead], predicted_P=trace.predicted_P[ahead])


def _settled(packed: Packed, known: Steady, b: Array, y: Array, m: Array, trace: Trace, t: int, stop: int) -> float:
    """The log-likelihood of complete rows with the steady gain; moves m and fills the trace."""
    P, S, K = known.found.predicted_cov, known.found.innovation_cov, known.found.gain
    v, _ = innovate(packed, known, b, y[t:stop], m, trace.predicted_m[t:stop])
    w = v @ known.whiten.T
    with np.errstate(over="ignore"):  # then the likelihood is minus infinity
        each: Array = -0.5 * (y.shape[1] * LOG_2PI + known.log_det + (w * w).sum(axis=1))
    if len(trace.v):
        trace.loglik[t:stop], trace.v[t:stop], trace.S[t:stop] = each, v, S
        trace.predicted_m[stop], trace.predicted_P[t : stop + 1] = m, P
    if len(trace.P):
        trace.m[t:stop] = trace.predicted_m[t:stop] + v @ K.T
        filtered = P - K @ S @ K.T
        trace.P[t:stop] = 0.5 * (filtered + filtered.T)
    return float(each.sum())


def filter_steady(packed: Packed, y: Array, inputs: npt.ArrayLike | None, state: State | None) -> FilterResult:
    """The filter of one series."""
    if not len(y):
        return filter_one(packed, y, inputs, state)
    return filter_result(packed, state, run_steady(packed, y, inputs, state, FILTERED | PREDICTED))


RUNG = Rung(
    name="steady",
    cost="about 20 doublings of 10 n_states^3 operations for the Riccati equation; complete likelihoods then 4 n_states n_obs "
    "operations a row and log2(n_times) times 6 n_states^3, others the sequential cost until the covariance has settled, "
    "and 2 n_states n_obs a row from there",
    claims="time-invariant models (offsets and inputs may vary) whose Riccati equation has a solution, with a regular "
    "innovation_cov; smoothers and scores of complete series without explosive roots, the former as long as it takes to "
    "settle, the latter six times as long; to 1e-9, and to 1e-6 where the diffuse start itself is ill conditioned (few "
    "harmonics of a long season), which the sequential rung gets wrong; smoothers of the rows of such a start as near to it "
    "as the square root",
    refuses=refuses,
    pays=pays,
    loglik=loglik_steady,
    filter=filter_steady,
    smooth=smooth_steady,
    score=score_steady,
)
