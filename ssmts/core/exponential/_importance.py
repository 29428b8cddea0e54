"""Importance sampling around the mode: the likelihood, and moments of states, without Laplace's error."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import logsumexp
from scipy.stats import chi2

from ssmts.core.exponential._families import Family
from ssmts.core.exponential._mode import ModeResult, Task, find, log_weights, task
from ssmts.core.gaussian import sample
from ssmts.core.gaussian._forward import dot, over_time
from ssmts.core.gaussian._pack import Packed
from ssmts.core.gaussian._simulate import positive
from ssmts.core.types import Array, LinearGaussianSSM
from ssmts.exceptions import InputError


class ImportanceSample(NamedTuple):
    """What `importance_sample` returns; paths come in fours that balance each other.

    Attributes
    ----------
    loglik : float
        The log-likelihood, right as the number of draws grows.
    loglik_se : float
        Its standard error, from the spread between fours; NaN for one four.
    effective : float
        How many draws of equal weight would be worth as much.
    states : (4 * n_draws, n_times, n_states)
    signals : (4 * n_draws, n_times, n_obs)
    weights : (4 * n_draws,)
        They sum to one.
    mode : ModeResult
        Of which the draws were made.
    """

    loglik: float
    loglik_se: float
    effective: float
    states: Array
    signals: Array
    weights: Array
    mode: ModeResult


class Posterior(NamedTuple):
    """What `posterior` returns, time first.

    Attributes
    ----------
    mean, cov : (n_times, n_states), (n_times, n_states, n_states)
        Of the states given all rows.
    signal, signal_cov : (n_times, n_obs), (n_times, n_obs, n_obs)
    quantiles : (n_quantiles, n_times, n_obs)
        Of the signals; those of means of observations are their images under the family's `mean`.
    """

    mean: Array
    cov: Array
    signal: Array
    signal_cov: Array
    quantiles: Array


def loglik(
    ssm: LinearGaussianSSM | Packed,
    y: npt.ArrayLike,
    family: Family | Sequence[Family],
    size: npt.ArrayLike | None = None,
    inputs: npt.ArrayLike | None = None,
    *,
    n_draws: int = 0,
    random_state: int | np.random.Generator | None = 0,
) -> float:
    """Log-likelihood of a series of an exponential family, of a diffuse start as in `ssmts.core.gaussian.loglik`.

    Parameters
    ----------
    ssm, y, family, size, inputs
        As in `mode`.
    n_draws : int, default 0
        Laplace's approximation by default; else importance sampling with so many fours of draws.
    random_state : int, Generator or None, default 0
        The same draws for all parameters, so that the likelihood is a smooth function of them.

    Raises
    ------
    InputError, NumericalError
        As in `mode`.

    Examples
    --------
    >>> import numpy as np
    >>> from ssmts.core.exponential import Poisson, loglik
    >>> from ssmts.core.types import LinearGaussianSSM
    >>> one = np.eye(1)
    >>> known = LinearGaussianSSM(one, 0 * one, one, 0 * one, np.zeros(1), 0 * one)
    >>> loglik(known, [[0.0], [0.0]], Poisson())
    -2.0
    """
    if not n_draws:
        return find(task(ssm, y, family, size, inputs)).loglik
    return importance_sample(ssm, y, family, size, inputs, n_draws=n_draws, random_state=random_state).loglik


def importance_sample(
    ssm: LinearGaussianSSM | Packed,
    y: npt.ArrayLike,
    family: Family | Sequence[Family],
    size: npt.ArrayLike | None = None,
    inputs: npt.ArrayLike | None = None,
    *,
    n_draws: int = 250,
    random_state: int | np.random.Generator | None = None,
) -> ImportanceSample:
    """Draw paths of the states from the approximating Gaussian model, with weights that make up for the difference.

    Every draw comes with three others: its mirror at the mode, and both again at the length that has the opposite probability
    (antithetic for location and scale), so that means of odd and of quadratic functions need few draws.

    Parameters
    ----------
    ssm, y, family, size, inputs
        As in `mode`.
    n_draws : int, default 250
        Fours of paths.
    random_state : int, Generator or None, default None
        The same number gives the same paths.

    Raises
    ------
    InputError, NumericalError
        As in `mode`.

    References
    ----------
    Durbin and Koopman (1997), Biometrika 84, 669-684, and (2012), section 11.4; Shephard and Pitt (1997), Biometrika 84.

    Examples
    --------
    >>> import numpy as np
    >>> from ssmts.core.exponential import Poisson, importance_sample
    >>> from ssmts.core.types import LinearGaussianSSM
    >>> one = np.eye(1)
    >>> level = LinearGaussianSSM(one, 0.1 * one, one, 0 * one, np.zeros(1), one)
    >>> drawn = importance_sample(level, [[3.0], [5.0]], Poisson(), random_state=0)
    >>> drawn.states.shape, bool(drawn.effective > 900)
    ((1000, 2, 1), True)
    """
    positive("n_draws", n_draws)
    work = task(ssm, y, family, size, inputs)
    best = find(work)
    variance = np.diagonal(over_time(best.approximation.ssm.obs_cov, len(work.y)), axis1=1, axis2=2)
    centre, expected = work.prior()  # draws around what was expected are those around the mode but for the centre
    expected = np.where(np.isnan(work.y), np.nan, expected)
    away = sample(best.approximation, expected, n_draws, random_state, inputs) - centre
    length, freedom = _length(work, away, variance)
    if freedom:
        opposite = chi2.ppf(chi2.sf(length, freedom), freedom)
        scale = np.sqrt(np.divide(opposite, length, out=np.ones_like(length), where=length > 0))
    else:
        scale = np.ones_like(length)
    fours = np.stack([away, -away, scale[:, None, None] * away, -scale[:, None, None] * away], axis=1)
    states = best.mean + fours.reshape(-1, *away.shape[1:])
    signals = work.signal(states)
    logs = log_weights(work, best, signals)
    total = float(logsumexp(logs))
    weights = np.exp(logs - total)
    by_four = weights.reshape(-1, 4).sum(axis=1)
    se = float(by_four.std(ddof=1) / by_four.mean() / np.sqrt(n_draws)) if n_draws > 1 else np.nan
    value = best.loglik + total - np.log(len(logs))
    return ImportanceSample(value, se, float(1 / np.sum(weights**2)), states, signals, weights, best)


def posterior(drawn: ImportanceSample, q: npt.ArrayLike = (0.05, 0.5, 0.95)) -> Posterior:
    """Moments of states and signals, and quantiles of signals, from weighted draws.

    Parameters
    ----------
    drawn : ImportanceSample
    q : array_like, default (0.05, 0.5, 0.95)

    Raises
    ------
    InputError
        If a quantile is not between 0 and 1.

    Examples
    --------
    >>> import numpy as np
    >>> from ssmts.core.exponential import Gaussian, importance_sample, posterior
    >>> from ssmts.core.types import LinearGaussianSSM
    >>> one = np.eye(1)
    >>> level = LinearGaussianSSM(one, one, one, 0 * one, np.zeros(1), one)
    >>> posterior(importance_sample(level, [[1.0]], Gaussian(1.0), random_state=0)).mean.round(6)
    array([[0.5]])
    """
    levels = np.atleast_1d(np.asarray(q, dtype=float))
    if not ((levels >= 0) & (levels <= 1)).all():
        raise InputError(f"q is {q!r}: pass numbers from 0 to 1")
    w = drawn.weights
    moments = []
    for values in (drawn.states, drawn.signals):
        mean = np.tensordot(w, values, 1)
        away = values - mean
        moments += [mean, np.einsum("b,bti,btj->tij", w, away, away)]
    quantiles = np.quantile(drawn.signals, levels, axis=0, weights=w, method="inverted_cdf")
    return Posterior(moments[0], moments[1], moments[2], moments[3], quantiles)


def _length(work: Task, away: Array, variance: Array) -> tuple[Array, int]:
    """The quadratic form of each path in the density of the Gaussian model, and its degrees of freedom."""
    ssm, n = work.packed.ssm, len(work.y)
    seen = ~np.isnan(work.y)
    length = np.sum(np.where(seen, (work.signal(away) - work.shift) ** 2 / variance, 0.0), axis=(1, 2))
    factor = work.packed.factor
    rank = factor.shape[1]
    free = np.linalg.svd(factor)[0][:, rank:]  # what the diffuse part does not touch
    parts = [(away[:, 0] @ free, free.T @ ssm.initial_cov @ free)]
    F, V = over_time(ssm.transition, n - 1), over_time(ssm.process_cov, n - 1)
    if ssm.process_loading is not None:
        G = over_time(ssm.process_loading, n - 1)
        V = G @ V @ G.swapaxes(1, 2)
    shocks = away[:, 1:] - dot(F, away[:, :-1])
    parts += [(shocks[:, t], V[t if len(V) > 1 else 0]) for t in range(n - 1)]
    freedom = rank
    floor = (1e-13 * np.abs(away).max(initial=0.0)) ** 2  # of variances that rounding would swamp
    for values, cov in parts:
        scale = np.sqrt(np.diagonal(cov))
        some = np.flatnonzero(scale**2 > floor)
        if not some.size:
            continue
        scale = scale[some]
        roots, vectors = np.linalg.eigh(cov[np.ix_(some, some)] / scale[:, None] / scale)
        keep = roots > 1e-12 * len(roots)
        length = length + np.sum((values[:, some] / scale @ vectors[:, keep]) ** 2 / roots[keep], axis=1)
        freedom += int(keep.sum())
    return length, freedom
