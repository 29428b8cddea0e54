"""What each observation, the prior and every offset weigh in the mean of a state or a signal, and what they contribute to it.

**One more observation.** Let z be a state or signal of which the series y has the variance s, and let z be observed once more,
as z + e with the noise variance r. The smoothing errors of y and of this observation are the product of the inverse
covariance of all with their values. For values of zero, but a one of the observation of z, that of z is 1 / (r + s) and those
of y are -w / (r + s), where w are the weights of y in the mean of z: one smoothing pass gives them all, in a diffuse phase
and over missing rows as everywhere. Its derivatives with respect to the prior mean and the offsets are the weights of these.

**Impulses.** Where the states of many rows are asked for, means for series of zeros with a single one cost less: they share
one covariance pass.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ssmts.core.gaussian._filter import filter_one
from ssmts.core.gaussian._forward import BY_STATES, GAINS, drive, over_time, run, series
from ssmts.core.gaussian._pack import Packed, pack
from ssmts.core.gaussian._sample import means_given
from ssmts.core.gaussian._smooth import smooth_pass
from ssmts.core.types import Array, FilterResult, Index, LinearGaussianSSM, State, TimeVarying
from ssmts.exceptions import InputError

OF, GIVEN, WRT = ("states", "signals"), ("all", "present", "past"), ("observations", "initial_mean", "state_offset")
CHEAPER = 32  # impulses that cost as much as one smoothing pass


class Contributions(NamedTuple):
    """What makes up the mean of each target; everything adds up to ``total``.

    Attributes
    ----------
    total : (n_targets, size)
        The mean itself: size is the number of states, or of observations for signals.
    observations : (n_targets, size, n_times, n_obs)
        Of each entry of the series; zero where it is missing.
    initial_mean : (n_targets, size, n_states)
        Of the mean of the first state.
    offsets : (n_targets, size, n_rows)
        Of the offsets and inputs of each row, up to the last row that was asked for.
    """

    total: Array
    observations: Array
    initial_mean: Array
    offsets: Array


class Problem(NamedTuple):
    """A model without offsets that starts from zero, a series of zeros with its holes, and what is asked of them."""

    packed: Packed
    zeros: Array  # (n_rows, dy)
    n_times: int  # rows of the series that was passed
    start: State
    times: Index
    C: Array  # (1 or n_rows, size, dx), the targets
    given: str
    noise: Array  # (dx,) variances of the size of what is not known of each state


class Dual(NamedTuple):
    """Weights in one target."""

    w: Array  # (rows, dy)
    offset: Array  # (rows, dx) of what is added to the state on the way to the next row
    prior: Array  # (dx,)


def weights(
    ssm: LinearGaussianSSM | Packed,
    y: npt.ArrayLike,
    times: npt.ArrayLike,
    *,
    of: str = "states",
    given: str = "all",
    wrt: str = "observations",
    state: State | None = None,
) -> Array:
    """Weights of the observations in the means of states or signals: the derivatives of these means.

    Only where values are missing matters of ``y``.

    Parameters
    ----------
    ssm, state
        As in `filter`.
    y : (n_times, n_obs)
    times : int or sequence of int
        The rows whose states or signals are asked for; those from ``n_times`` on are forecasts.
    of : {"states", "signals"}, default "states"
        A signal is an observation without its noise.
    given : {"all", "present", "past"}, default "all"
        Which rows the mean stands on: all of ``y`` (smoothed), those up to its own (filtered), or those before (predicted).
    wrt : {"observations", "initial_mean", "state_offset"}, default "observations"
        What to weigh: observations, the mean of the first state, or what is added to the state after each row.

    Returns
    -------
    ndarray
        ``(n_targets, size, n_times, n_obs)``, ``(n_targets, size, n_states)`` or ``(n_targets, size, n_rows, n_states)``, where
        size is the number of states, or of observations for signals, and ``n_rows`` reaches up to the last row of ``y`` or of
        ``times``. The weights of missing values are zero, the weight of an observation offset is minus that of its
        observation.

    Raises
    ------
    InputError
        If a word or a row is not one of those above, if the rows that a target stands on leave a diffuse start undetermined,
        or as in `filter`.
    NumericalError
        As in `filter`.

    References
    ----------
    Koopman and Harvey (2003), Journal of Economic Dynamics and Control 27, 1317-1333, for weights and their use.

    Examples
    --------
    >>> import numpy as np
    >>> from ssmts.core.types import LinearGaussianSSM
    >>> one = np.eye(1)
    >>> level = LinearGaussianSSM(one, one, one, one, np.zeros(1), 0 * one, initial_diffuse_cov=one)
    >>> weights(level, [[1.0], [np.nan], [4.0]], [0, 1, 3])[:, 0, :, 0]
    array([[0.75, 0.  , 0.25],
           [0.5 , 0.  , 0.5 ],
           [0.25, 0.  , 0.75]])
    """
    choose("wrt", wrt, WRT)
    problem, _ = ask(ssm, y, times, of, given, state)
    size, n = problem.C.shape[1], problem.n_times
    impulses = int(np.sum(~np.isnan(problem.zeros)))
    if wrt == "observations" and given == "all" and impulses < CHEAPER * size * len(problem.times):
        seen = ~np.isnan(problem.zeros)
        whole = np.zeros((len(problem.times), size, *seen.shape))
        whole[:, :, seen] = by_impulses(problem, *np.nonzero(seen))
        return whole[:, :, :n]
    duals = _duals(problem)
    if wrt == "initial_mean":
        return np.array([[dual.prior for dual in row] for row in duals])
    length = n if wrt == "observations" else len(problem.zeros)
    kept = [[dual.w[:n] if wrt == "observations" else dual.offset for dual in row] for row in duals]
    return np.array([[lengthen(part, length) for part in row] for row in kept])


def contributions(
    ssm: LinearGaussianSSM | Packed,
    y: npt.ArrayLike,
    times: npt.ArrayLike,
    inputs: npt.ArrayLike | None = None,
    *,
    of: str = "signals",
    given: str = "all",
    state: State | None = None,
) -> Contributions:
    """What every observation, the prior and the offsets contribute to the means of states or signals.

    Parameters
    ----------
    ssm, state
        As in `filter`.
    y, times, given
        As in `weights`.
    inputs : (n_rows, n_inputs), optional
        Up to the last row of ``y`` or of ``times``.
    of : {"signals", "states"}, default "signals"

    Returns
    -------
    Contributions

    Raises
    ------
    InputError, NumericalError
        As in `weights`.

    Examples
    --------
    >>> import numpy as np
    >>> from ssmts.core.types import LinearGaussianSSM
    >>> one = np.eye(1)
    >>> level = LinearGaussianSSM(one, one, one, one, np.zeros(1), 0 * one, initial_diffuse_cov=one)
    >>> parts = contributions(level, [[1.0], [np.nan], [4.0]], 3)
    >>> parts.observations.ravel(), parts.total.ravel()
    (array([0.25, 0.  , 3.  ]), array([3.25]))
    """
    problem, values = ask(ssm, y, times, of, given, state)
    packed, n, n_rows = pack(ssm), problem.n_times, len(problem.zeros)
    b, minus_d = drive(packed, np.zeros_like(problem.zeros), inputs)
    b = np.broadcast_to(b, (n_rows, b.shape[1])) if len(b) == 1 else b[:n_rows]
    begin = packed.start if state is None else state
    shape = len(problem.times), problem.C.shape[1]
    seen, offsets = np.zeros((*shape, n, values.shape[1])), np.zeros((*shape, n_rows))
    prior = np.zeros((*shape, len(begin.mean)))
    for k, (t, row) in enumerate(zip(problem.times, _duals(problem))):
        for i, dual in enumerate(row):
            rows = len(dual.w)
            seen[k, i, : min(rows, n)] = dual.w[:n] * np.nan_to_num(values[:rows])
            prior[k, i] = dual.prior * begin.mean
            offsets[k, i, :rows] = np.sum(dual.w * minus_d[:rows], axis=1)
            if len(b):
                offsets[k, i, :rows] += np.sum(dual.offset * b[:rows], axis=1)
            if of == "signals":
                offsets[k, i, t] -= minus_d[t, i]
    return Contributions(seen.sum(axis=(2, 3)) + prior.sum(axis=2) + offsets.sum(axis=2), seen, prior, offsets)


def choose(name: str, value: str, known: tuple[str, ...]) -> None:
    """Refuse a word that is not known."""
    if value not in known:
        raise InputError(f"{name} is {value!r}: choose one of {known}")


def ask(
    ssm: LinearGaussianSSM | Packed, y: npt.ArrayLike, times: npt.ArrayLike, of: str, given: str, state: State | None
) -> tuple[Problem, Array]:
    """What is asked, once it is checked, and the series."""
    choose("of", of, OF)
    choose("given", given, GIVEN)
    packed = pack(ssm)
    values = series(y, packed)
    if values.ndim == 3:
        raise InputError(f"y has the shape {values.shape}: weights are those of one series (n_times, n_obs) at a time")
    asked = np.atleast_1d(np.asarray(times))
    if asked.ndim != 1 or not asked.size or asked.dtype.kind not in "iu" or asked.min() < 0:
        raise InputError(f"times is {times!r}: pass row numbers, 0 or more")
    n_rows = max(len(values), int(asked.max()) + 1)
    packed = pack(packed, n_rows)
    begin = packed.start if state is None else state
    start = begin._replace(mean=np.zeros_like(begin.mean))
    nothing = dict.fromkeys(("state_offset", "obs_offset", "input_matrix", "feedthrough"))
    bare = packed.replace(initial_mean=start.mean, **nothing)
    zeros = lengthen(0.0 * values, n_rows, np.nan)
    filtered = filter_one(bare, zeros, None, start)
    _check_determined(filtered, asked, given)
    variances = np.diagonal(filtered.predicted_cov, axis1=1, axis2=2)
    noise = np.where(np.isfinite(variances), variances, 0.0).max(axis=0)
    C = over_time(bare.ssm.observation, n_rows) if of == "signals" else np.eye(len(start.mean))[None]
    return Problem(bare, zeros, len(values), start, asked.astype(np.int64), C, given, noise), values


def _check_determined(filtered: FilterResult, times: Index, given: str) -> None:
    for t in times:
        cov = {
            "all": filtered.predicted_cov[-1],
            "present": filtered.filtered_cov[t],
            "past": filtered.predicted_cov[t],
        }
        if filtered.state.rank if given == "all" else not np.isfinite(cov[given]).all():
            raise InputError(
                f"the rows that row {t} stands on (given={given!r}) leave part of a diffuse start undetermined: pass more rows"
            )


def lengthen(part: Array, n: int, fill: float = 0.0) -> Array:
    """At least n rows, those that are not there filled."""
    return np.concatenate([part, np.full((max(n - len(part), 0), part.shape[1]), fill)])


def _duals(problem: Problem) -> list[list[Dual]]:
    """The weights in every target, a smoothing pass for each."""
    size = problem.C.shape[1]
    return [
        [_dual(problem, int(t), problem.C[min(t, len(problem.C) - 1), i]) for i in range(size)] for t in problem.times
    ]


def _dual(problem: Problem, t: int, c: Array) -> Dual:
    packed, zeros = problem.packed, problem.zeros
    rows = len(zeros) if problem.given == "all" else t + 1
    y = np.full((rows, zeros.shape[1] + 1), np.nan)
    y[:, :-1] = zeros[:rows]
    if problem.given == "past":
        y[t] = np.nan
    y[t, -1] = 1.0
    H, R = over_time(packed.ssm.observation, rows), over_time(packed.ssm.obs_cov, rows)
    more_R = np.zeros((len(R), R.shape[1] + 1, R.shape[1] + 1))
    more_R[:, :-1, :-1] = R
    more_R[:, -1, -1] = c**2 @ problem.noise or 1.0
    more_H = np.concatenate([H, np.broadcast_to(c, (len(H), 1, len(c)))], axis=1)
    seen = packed.replace(observation=_field(more_H), obs_cov=_field(more_R))
    done = smooth_pass(seen, y, None, problem.start)
    scale = done.u[t, -1]
    w, offset = done.u[:, :-1] / -scale + 0.0, done.r / scale  # no zeros with a sign
    prior = offset[0] @ over_time(packed.ssm.transition, 1)[0] - w[0] @ H[0] + (c if t == 0 else 0.0)
    return Dual(w, offset, prior)


def _field(values: Array) -> Any:
    return values[0] if len(values) == 1 else TimeVarying(values)


def by_impulses(problem: Problem, row: Index, entry: Index) -> Array:
    """The weights (n_targets, size, entries) of some entries by the means for series that are zero but for one of them."""
    packed, zeros = problem.packed, problem.zeros
    done = run(packed, zeros, None, problem.start, GAINS | BY_STATES)
    result = np.zeros((len(problem.times), problem.C.shape[1], len(row)))
    C = problem.C[problem.times] if len(problem.C) > 1 else problem.C
    block = max(1, 2**22 // zeros.size)  # impulses at a time
    for first in range(0, len(row), block):
        some = slice(first, first + block)
        impulses = np.zeros((*zeros.shape, len(row[some])))
        impulses[row[some], entry[some], np.arange(len(row[some]))] = 1.0
        means = means_given(packed, zeros, done, problem.start, impulses)
        result[:, :, some] = C @ means[problem.times]
    return result
