"""The mode of the states given observations of an exponential family, by repeated smoothing, and Laplace's likelihood.

At a signal, each log-density is replaced by the Gaussian one, of a pseudo-observation, that has its first two derivatives there.
Smoothing the pseudo-observations is Newton's step to the mode of the states, with a diffuse start treated exactly.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ssmts.core.exponential._families import Family, Terms
from ssmts.core.gaussian._filter import filter_one
from ssmts.core.gaussian._forward import dot, drive, over_time, series
from ssmts.core.gaussian._pack import Packed, pack
from ssmts.core.gaussian._smooth import Smoothed, smooth_pass
from ssmts.core.types import Array, LinearGaussianSSM, TimeVarying
from ssmts.exceptions import InputError, InputTypeError, NumericalError

FLATTEST = 1e-100  # curvatures below are raised to it
SLIGHT, STRONG = (
    1e-5,
    0.25,
)  # dampings: against pseudo-observations so far away that they cancel, and against steps too far
HALVINGS = 60


class ModeResult(NamedTuple):
    """What `mode` returns, time first.

    Attributes
    ----------
    loglik : float
        Laplace's approximation of the log-likelihood.
    mean, cov : (n_times, n_states), (n_times, n_states, n_states)
        The mode of the states, and their covariance in the approximating Gaussian model.
    signal, signal_cov : (n_times, n_obs), (n_times, n_obs, n_obs)
    approximation : Packed
        The Gaussian model with the same mode and curvature: the model with observation noise.
    pseudo_y : (n_times, n_obs)
        The observations of that model, NaN where y is.
    n_iterations : int
    """

    loglik: float
    mean: Array
    cov: Array
    signal: Array
    signal_cov: Array
    approximation: Packed
    pseudo_y: Array
    n_iterations: int


class Task(NamedTuple):
    """A checked model with its series."""

    packed: Packed
    y: Array
    families: tuple[Family, ...]
    size: Array
    inputs: Any
    shift: Array  # what signals do not owe to states

    def terms(self, signal: Array) -> Terms:
        """Of all observations; signals may have leading axes. Zero where nothing is observed."""
        with np.errstate(over="ignore", invalid="ignore"):
            columns = [
                family.terms(self.y[:, i], signal[..., i], self.size[:, i]) for i, family in enumerate(self.families)
            ]
        seen = ~np.isnan(self.y)
        return Terms(*(np.where(seen, np.stack(parts, axis=-1), 0.0) for parts in zip(*columns)))

    def signal(self, states: Array) -> Array:
        """Of states (..., n_times, n_states)."""
        return dot(over_time(self.packed.ssm.observation, len(self.y)), states) + self.shift

    def prior(self) -> tuple[Array, Array]:
        """States and signals as expected before anything is seen, of a diffuse start at its mean."""
        nothing = np.full_like(self.y, np.nan)
        states = filter_one(self.packed, nothing, self.inputs, None).predicted_mean[:-1]
        return states, self.signal(states)

    def approximated(self, signal: Array, damping: float = 0.0) -> tuple[Packed, Array, Array]:
        """The Gaussian model with the slopes and curvatures at a signal, its observations, and their variances.

        With damping, no observation wants to move its signal further than the inverse of it; the mode stays the same.
        """
        _, slope, curvature = self.terms(signal)
        curvature = np.maximum(curvature, np.maximum(damping * np.abs(slope), FLATTEST))
        seen = ~np.isnan(self.y)
        variance = np.where(seen, 1 / curvature, 1.0)
        noise = variance[:, :, None] * np.eye(variance.shape[1])
        pseudo_y = np.where(seen, signal + slope / curvature, np.nan)
        return self.packed.replace(obs_cov=TimeVarying(noise)), pseudo_y, variance


def task(
    ssm: LinearGaussianSSM | Packed,
    y: npt.ArrayLike,
    family: Family | Sequence[Family],
    size: npt.ArrayLike | None,
    inputs: npt.ArrayLike | None,
) -> Task:
    """Check a model, its series and their distributions."""
    packed = pack(ssm)
    values = series(y, packed)
    if values.ndim == 3:
        raise InputError(f"y has the shape {values.shape}: pass one series (n_times, n_obs) at a time")
    n, dy = values.shape
    packed = pack(packed, n)
    if np.any(over_time(packed.ssm.obs_cov, n)):
        raise InputError(
            "obs_cov is not zero, but the family gives the noise: pass zeros; noise of a signal is a state"
        )
    families = (family,) * dy if isinstance(family, Family) else tuple(family)
    if not all(isinstance(one, Family) for one in families):
        raise InputTypeError(f"family is {family!r}: pass Poisson(), Binomial(), ... or one of them for each column")
    if len(families) != dy:
        raise InputError(f"family has {len(families)} entries, but y has {dy} column(s): pass one for each")
    given = np.asarray(1.0 if size is None else size, dtype=float)
    try:
        sizes = np.array(np.broadcast_to(given, (n, dy)))
    except ValueError as error:
        raise InputError(f"size has the shape {given.shape}: pass one for each observation, {(n, dy)}") from error
    for i, one in enumerate(families):
        one.check(values[:, i], sizes[:, i], i)
    return Task(packed, values, families, sizes, inputs, -drive(packed, np.zeros((n, dy)), inputs)[1])


def mode(
    ssm: LinearGaussianSSM | Packed,
    y: npt.ArrayLike,
    family: Family | Sequence[Family],
    size: npt.ArrayLike | None = None,
    inputs: npt.ArrayLike | None = None,
    *,
    max_iterations: int = 200,
    tolerance: float = 1e-8,
) -> ModeResult:
    """Find the most likely path of the states, and the Gaussian model that agrees there.

    Newton's steps are smoothers of pseudo-observations; a step that would lower the log-density of states and series is halved.
    As all families are log-concave, the mode is unique.

    Parameters
    ----------
    ssm : LinearGaussianSSM or Packed
        How the states move, and the signal ``observation @ x + obs_offset + feedthrough @ u`` of each observation. obs_cov
        must be zero. A diffuse start is treated exactly.
    y : (n_times, n_obs)
        NaN are missing; rows of NaN at the end are forecast.
    family : Poisson, NegativeBinomial, Binomial, Gamma or Gaussian, or a sequence of these
        Of all columns, or one for each.
    size : array_like, broadcastable to (n_times, n_obs), optional
        Exposure, trials or weight, as the family says; 1 by default.
    inputs : (n_times, n_inputs), optional
    max_iterations : int, default 200
    tolerance : float, default 1e-8
        The search ends with a step that moves no signal by more than this, over 1 plus the largest signal. Newton's steps
        being quadratic, the mode is then right to rounding.

    Returns
    -------
    ModeResult

    Raises
    ------
    InputError
        If an observation cannot come from its family, or as in `ssmts.core.gaussian.filter`.
    NumericalError
        If there is no mode, as when all counts are zero and the level is diffuse, or it is not found.

    References
    ----------
    Durbin and Koopman (2012), Time Series Analysis by State Space Methods, 2nd edition, sections 10.6 and 10.7.

    Examples
    --------
    A level that does not change, of counts, is the logarithm of their mean:

    >>> import numpy as np
    >>> from ssmts.core.exponential import Poisson, mode
    >>> from ssmts.core.types import LinearGaussianSSM
    >>> one = np.eye(1)
    >>> level = LinearGaussianSSM(one, 0 * one, one, 0 * one, np.zeros(1), 0 * one, initial_diffuse_cov=one)
    >>> found = mode(level, [[3.0], [np.nan], [5.0]], Poisson())
    >>> np.exp(found.signal).ravel().round(6), round(1 / found.cov[0, 0, 0], 6)
    (array([4., 4., 4.]), np.float64(8.0))
    """
    return find(task(ssm, y, family, size, inputs), max_iterations, tolerance)


def find(work: Task, max_iterations: int = 200, tolerance: float = 1e-8) -> ModeResult:
    """The mode of a checked model."""
    seen = ~np.isnan(work.y)
    columns = [f.guess(work.y[:, i], work.size[:, i]) for i, f in enumerate(work.families)]
    signal, pull = np.where(seen, np.stack(columns, axis=-1), 0.0), None
    step, damping = np.array([np.inf]), SLIGHT
    for iteration in range(1, max_iterations + 1):
        model, pseudo_y, variance = work.approximated(signal, damping)
        smoothed = _smoothed(work, model, pseudo_y)
        target = work.signal(smoothed.mean)
        step = np.where(seen, target - signal, 0.0)
        # The slope of the log-prior at what is smoothed is minus that of the pseudo-observations.
        target_pull = step / variance - work.terms(signal).slope
        if pull is None:
            signal, pull = target, target_pull
            continue
        small = tolerance * (1 + np.abs(signal[seen]).max(initial=0.0))
        if damping == SLIGHT and np.abs(step).max(initial=0.0) <= small:
            return _result(work, smoothed.mean, iteration)
        share = _share(work, signal, pull, step, target_pull)
        if not share and damping == STRONG:
            raise _lost(step, "no share of a step raises the log-density; it would move")
        signal, pull = signal + share * (target - signal), pull + share * (target_pull - pull)
        damping = STRONG if share < 0.1 else max(damping / 8, SLIGHT)
    raise _lost(step, f"the last of {max_iterations} steps moved")


def _share(work: Task, signal: Array, pull: Array, step: Array, target_pull: Array) -> float:
    """How much of a step to take so that the log-density of states and series does not fall."""
    here = work.terms(signal).log_density
    share, seen = 1.0, ~np.isnan(work.y)
    terms = ((np.abs(work.y) + work.size) * (1 + np.abs(signal)))[seen]  # the size of what cancels in a log-density
    rounding = 1e-11 * (1 + np.abs(here).sum()) + 1e-14 * terms.sum()
    for _ in range(HALVINGS):
        there = work.terms(signal + share * step).log_density
        # The log-prior is quadratic: its change is the step times the mean of its slopes at both ends.
        gain = np.sum(there - here) + share * np.sum((pull + 0.5 * share * (target_pull - pull)) * step)
        if gain >= -rounding:
            return share
        share /= 2
    return 0.0


def _lost(step: Array, how: str) -> NumericalError:
    t, i = np.unravel_index(int(np.argmax(np.abs(step))), step.shape) if step.ndim == 2 else (0, 0)
    return NumericalError(
        f"the mode of the states was not found: {how} the signal of column {i} at row {t} by {np.abs(step).max():.3g}. "
        "Where all counts are 0, or all trials succeed, a diffuse level has no mode: give it a proper prior"
    )


def _smoothed(work: Task, model: Packed, pseudo_y: Array) -> Smoothed:
    smoothed = smooth_pass(model, pseudo_y, work.inputs, None)
    if smoothed.forward.state.rank:
        raise InputError(
            f"the series leaves {smoothed.forward.state.rank} diffuse direction(s) undetermined: pass more rows or a proper prior"
        )
    return smoothed


def _result(work: Task, mean: Array, iteration: int) -> ModeResult:
    signal = work.signal(mean)
    at_mode, seen = work.terms(signal), ~np.isnan(work.y)
    if (at_mode.curvature[seen] <= FLATTEST).any():
        raise _lost(np.where(seen, signal, 0.0), "the log-density is flat where the steps end, having moved")
    model, pseudo_y, variance = work.approximated(signal)
    # Pseudo-observations may lie so far away that their own likelihood would cancel. Of signals as expected it is that of the
    # determinants alone, and the log-prior of the mode comes from its slope, which is minus that of the series.
    expected = work.prior()[1]
    smoothed = _smoothed(work, model, np.where(seen, expected, np.nan))
    own = at_mode.log_density - 0.5 * at_mode.slope * (signal - expected)
    loglik = smoothed.forward.loglik + np.sum(own + 0.5 * np.log(2 * np.pi * variance) * seen)
    H = over_time(model.ssm.observation, len(signal))
    signal_cov = H @ smoothed.cov @ H.swapaxes(1, 2)
    return ModeResult(float(loglik), mean, smoothed.cov, signal, signal_cov, model, pseudo_y, iteration)


def log_weights(work: Task, found: ModeResult, signals: Array) -> Array:
    """The density of the series over that of the approximation, of signals (..., n_times, n_obs), in logs less those at the mode."""
    best, away = work.terms(found.signal), signals - found.signal
    quadratic = best.log_density + best.slope * away - 0.5 * best.curvature * away**2
    return np.asarray((work.terms(signals).log_density - quadratic).sum(axis=(-2, -1)))
