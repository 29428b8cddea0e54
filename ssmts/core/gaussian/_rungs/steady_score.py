"""The score of a series whose covariance settles soon: transients at both ends, sums of products between them.

A log-likelihood is a constant and a quadratic form in the data (see `_rungs.shared.score_many`). What the constant adds to the score
does not depend on the data; once both ends have settled each further row adds the same, so that two short series tell what a
long one has. The form needs the means alone, whose gain is that of the steady state but for the first rows.
"""

import numpy as np
import numpy.typing as npt

from ssmts.core.gaussian._forward import FILTERED, GAINS, NOTHING, begin, drive, forward, run
from ssmts.core.gaussian._kernels.means import NOTHING as NO_MEANS
from ssmts.core.gaussian._kernels.update import LOG_2PI
from ssmts.core.gaussian._ladder import Job
from ssmts.core.gaussian._pack import Packed
from ssmts.core.gaussian._rungs.shared import (
    Back,
    add_scores,
    at_lower_rank,
    backward_means,
    constant_score,
    forward_means,
    quadratic_score,
)
from ssmts.core.gaussian._rungs.steadiness import Steady, explosive, innovate, look_back, needed, rows_of, wait_for
from ssmts.core.gaussian._score import score_one, support_of
from ssmts.core.types import Array, Index, LinearGaussianSSM, State, TimeVarying

NONE = np.empty((0, 0))
SPARE = 10  # rows beyond those that settling is expected to take
BY_ROWS = ("state_offset", "obs_offset", "input_matrix", "feedthrough")


def span(known: Steady, packed: Packed, n: int) -> int:
    """Rows in which both ends of a series settle."""
    return int(packed.factor.shape[1]) + 3 * wait_for(known, 2 * known.found.predicted_cov, n) + SPARE


def refuses_score(job: Job, known: Steady) -> str:
    """Why the score needs more than a steady state."""
    if np.isnan(job.y).any():
        return "the score is that of complete series"
    fields = [name for name in BY_ROWS if name in job.names]
    if fields and (job.inputs is not None or any(isinstance(getattr(job.packed.ssm, f), TimeVarying) for f in fields)):
        return f"a score of {', '.join(fields)} row by row is wanted"
    if explosive(job.packed):
        return explosive(job.packed)
    n = job.y.shape[-2]
    if 2 * span(known, job.packed, n) > n:
        return "the covariance does not settle within a sixth of the rows"
    return ""


def score_steady(
    packed: Packed, y: Array, names: tuple[str, ...], inputs: npt.ArrayLike | None, state: State | None
) -> tuple[float, LinearGaussianSSM]:
    """The score of one series."""
    known, (n, dy) = needed(packed), y.shape
    u = None if inputs is None else np.asarray(inputs, dtype=float)
    b, values = drive(packed, y, u)
    first = _first_settled(packed, known, b, values, state)
    short = first + 2 * wait_for(known, 2 * known.found.predicted_cov, n) + SPARE
    if 2 * short > n:
        return score_one(packed, y, names, inputs, state)
    whole = "transition" in names or "observation" in names
    head = run(packed, y[:first], _some(u, first), state, GAINS)
    support = support_of(packed, names)
    states = np.arange(len(head.state.mean)) if {"state_offset", "transition"} & set(names) else support
    m, ahead, predicted = head.state.mean.copy(), np.empty((n - first, len(packed.start.mean))), NONE
    if whole:
        predicted = np.empty_like(ahead)
    v, place = innovate(packed, known, rows_of(b, first, n), values[first:], m, predicted)
    w = v @ known.whiten.T
    r = look_back(packed, known, w, place, ahead)
    errors, mean = w @ known.whiten - ahead @ known.ahead, NO_MEANS
    if whole:
        mean = (predicted + np.vstack([r, ahead[:-1]]) @ known.found.predicted_cov).T[None]
    tail = Back(ahead[:, states].T[None], np.zeros((len(m), 1)), errors.T[None], mean)
    where = np.searchsorted(states, support)
    total = quadratic_score(packed, names, tail, where, support, None)
    kept = np.empty((len(r), 1))
    kept[np.arange(len(r)) if whole else head.place, 0] = r
    start = _start(packed, y[:first], _some(u, first + 1), state, states, kept, FILTERED if whole else 0)
    if start is None:
        return score_one(packed, y, names, inputs, state)
    total = add_scores(total, quadratic_score(packed, names, start, where, support, None), 1.0)
    longer = (n - short) / short
    for rows, factor in ((short, 1.0 - longer), (2 * short, longer)):
        constant = constant_score(packed, np.zeros((rows, dy)), names, _some(u, rows), state)
        total = add_scores(total, constant, factor)
    squares = float(np.sum(w * w)) + (n - first) * (dy * LOG_2PI + known.log_det)
    return head.loglik - 0.5 * squares, total


def _some(inputs: Array | None, rows: int) -> Array | None:
    return None if inputs is None else inputs[:rows]


def _first_settled(packed: Packed, known: Steady, b: Array, y: Array, state: State | None) -> int:
    """The first row whose covariance may be taken for the steady one, or the number of rows."""
    n = len(y)
    m, P, A = begin(packed, state)
    here = packed.layout, packed.values
    copies = np.arange(len(m)), m.copy(), P.copy(), A.copy()
    t = forward(*here, b, y, *copies, True, *NOTHING)[2] if A.shape[1] else 0
    t = min(n, t + wait_for(known, P if not t else 2 * known.found.predicted_cov, n))
    done, rank = 0, A.shape[1]
    while True:
        if t > done:
            _, rank, _, _, wrong, doubt = forward(
                *here, rows_of(b, done, t), y[done:t], np.arange(len(m)), m, P, A, False, *NOTHING
            )
            if wrong or doubt or rank:
                return n
        A, done = np.empty((len(m), 0)), t
        wait = wait_for(known, P, n)
        if wait == 0 or done == n:
            return done
        t = min(n, done + 2 * wait)


def _start(
    packed: Packed, y: Array, inputs: Array | None, state: State | None, states: Index, r: Array, keep: int
) -> Back | None:
    """The pass back over the first rows, from what the others say about the state after them; None if at a lower rank."""
    rows = np.vstack([y, np.full((1, y.shape[1]), np.nan)])
    done = run(packed, rows, inputs, state, keep | GAINS)
    if at_lower_rank(done):
        return None
    shift = drive(packed, np.zeros_like(rows), inputs)[1]
    (block,) = forward_means(packed, done, rows[None], shift, np.array([0]), state, keep)
    back = backward_means(packed, done, block, states, r)
    return Back(back.ahead[:-1], back.first, back.u[:-1], back.mean[:-1])
