"""Ensemble Kalman filters and smoothers: moments are those of a sample that the model moves."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ssmts.core.gaussian._kernels.update import LOG_2PI
from ssmts.core.gaussian._ladder import stack
from ssmts.core.nonlinear._model import Job, NonlinearGaussianSSM, at, job
from ssmts.core.nonlinear._rules import factor
from ssmts.core.types import Array, FilterResult, SmoothedMoments, State
from ssmts.exceptions import InputError, NumericalError


@dataclass(frozen=True, eq=False)
class Ensemble:
    """Moments by a sample of states, for models with more states than a covariance can be kept of.

    Parameters
    ----------
    n_members : int, default 100
    random_state : int, Generator or None, default None
        The same number gives the same ensemble.
    inflation : float, default 1
        By what deviations of predicted members from their mean are multiplied, against the loss of spread of small ensembles.
    localisation : tuple of ndarray, optional
        Factors (n_states, n_obs) and (n_obs, n_obs) for the covariances of states with observations and among observations,
        which take away what far-off ones share by chance; see `gaspari_cohn`. Filters only.
    square_root : bool, default True
        Members are moved so that the sample has exactly the moments that the update gives (symmetric transform, Bishop et
        al. 2001; with localisation one observation after the other, Whitaker and Hamill 2002, for a diagonal obs_cov). Draws
        of the noise then have its exact moments and no sample correlation with the members if
        ``n_members > 2 * n_states``: on a linear model, such a filter is the Kalman filter. If False, every member sees
        observations with noise of its own (Burgers, van Leeuwen and Evensen 1998).

    Examples
    --------
    >>> from ssmts.core.nonlinear import Ensemble
    >>> Ensemble(50, random_state=0).inflation
    1.0
    """

    n_members: int = 100
    random_state: int | np.random.Generator | None = None
    inflation: float = 1.0
    localisation: tuple[Array, Array] | None = None
    square_root: bool = True

    def __post_init__(self) -> None:
        if isinstance(self.n_members, bool) or not isinstance(self.n_members, int | np.integer) or self.n_members < 2:
            raise InputError(f"n_members is {self.n_members!r}: pass an integer of 2 or more")
        if not 0 < self.inflation < np.inf:
            raise InputError(f"inflation is {self.inflation!r}: pass a positive number, 1 for none")


class EnsembleResult(NamedTuple):
    """What `ensemble_filter` returns, time first.

    Attributes
    ----------
    loglik, loglik_t : float, (n_times,)
        With Gaussian predictions of each row.
    predicted : (n_times + 1, n_members, n_states)
    filtered : (n_times, n_members, n_states)
    innovations, innovation_cov : (n_times, n_obs), (n_times, n_obs, n_obs)
    """

    loglik: float
    loglik_t: Array
    predicted: Array
    filtered: Array
    innovations: Array
    innovation_cov: Array


def gaspari_cohn(distance: npt.ArrayLike) -> Array:
    """A factor that falls smoothly from 1 at no distance to 0 at 2 and beyond, and keeps covariances covariances.

    Parameters
    ----------
    distance : array_like
        Over the length at which the factor is 5/24.

    References
    ----------
    Gaspari and Cohn (1999), Quarterly Journal of the Royal Meteorological Society 125, equation 4.10.

    Examples
    --------
    >>> gaspari_cohn([0.0, 1.0, 2.0]).round(4)
    array([1.    , 0.2083, 0.    ])
    """
    r = np.abs(np.asarray(distance, dtype=float))
    near = (((-r / 4 + 0.5) * r + 0.625) * r - 5 / 3) * r**2 + 1
    s = np.maximum(r, 1.0)
    far = ((((s / 12 - 0.5) * s + 0.625) * s + 5 / 3) * s - 5) * s + 4 - 2 / (3 * s)
    return np.where(r <= 1, near, np.where(r < 2, far, 0.0))


def ensemble_filter(
    ssm: NonlinearGaussianSSM,
    y: npt.ArrayLike,
    rule: Ensemble,
    inputs: npt.ArrayLike | None = None,
    *,
    state: State | None = None,
) -> EnsembleResult:
    """The members of an ensemble Kalman filter, without a covariance of states for every row.

    Parameters
    ----------
    ssm, inputs, state
        As in `filter`.
    y : (n_times, n_obs)
    rule : Ensemble

    Raises
    ------
    InputError, NumericalError
        As in `filter`.

    Examples
    --------
    >>> import numpy as np
    >>> from ssmts.core.nonlinear import Ensemble, NonlinearGaussianSSM, ensemble_filter
    >>> one = np.eye(1)
    >>> ssm = NonlinearGaussianSSM(lambda x, t: x, lambda x, t: x, one, one, np.zeros(1), one)
    >>> ensemble_filter(ssm, [[1.0]], Ensemble(20, random_state=0)).filtered.mean(axis=1).round(6)
    array([[0.5]])
    """
    return _single(job(ssm, y, inputs, state), rule)


def ensemble_smooth(
    ssm: NonlinearGaussianSSM,
    y: npt.ArrayLike,
    rule: Ensemble,
    inputs: npt.ArrayLike | None = None,
    *,
    state: State | None = None,
) -> Array:
    """Members given the whole series, by the recursion of Rauch, Tung and Striebel with sample moments (Raanes 2016).

    Parameters
    ----------
    ssm, y, rule, inputs, state
        As in `ensemble_filter`.

    Returns
    -------
    ndarray, shape (n_times, n_members, n_states)

    Raises
    ------
    InputError
        If the rule has a localisation, or as in `ensemble_filter`.
    NumericalError
        As in `filter`.

    Examples
    --------
    >>> import numpy as np
    >>> from ssmts.core.nonlinear import Ensemble, NonlinearGaussianSSM, ensemble_smooth
    >>> one = np.eye(1)
    >>> ssm = NonlinearGaussianSSM(lambda x, t: x, lambda x, t: x, one, one, np.zeros(1), one)
    >>> ensemble_smooth(ssm, [[1.0], [1.0]], Ensemble(20, random_state=0)).mean(axis=1).ravel().round(6)
    array([0.6, 0.8])
    """
    members: Array = _back(_single(job(ssm, y, inputs, state), rule), rule)
    return members


def ensemble_moments(work: Job, rule: Ensemble) -> FilterResult:
    """Sample moments of an ensemble filter, for `filter`."""
    results = []
    for done in _each(work, rule):
        means = _moments(done.predicted), _moments(done.filtered)
        m, P = means[0][0][-1], means[0][1][-1]
        after = State(m, P, np.zeros_like(P), 0)
        fields = done.loglik, done.loglik_t, *means[0], *means[1], done.innovations, done.innovation_cov
        results.append(FilterResult(*fields, 0, after))
    return stack(results) if work.batch else results[0]  # type: ignore[no-any-return]


def ensemble_smoothed(work: Job, rule: Ensemble) -> SmoothedMoments:
    """Sample moments of an ensemble smoother, for `smooth`."""
    results = []
    for done in _each(work, rule):
        members = _back(done, rule)
        away = members - members.mean(axis=1, keepdims=True)
        lag = away[1:].swapaxes(1, 2) @ away[:-1] / (members.shape[1] - 1)
        results.append(SmoothedMoments(done.loglik, *_moments(members), lag))
    return stack(results) if work.batch else results[0]  # type: ignore[no-any-return]


def _single(work: Job, rule: Ensemble) -> EnsembleResult:
    if work.batch:
        raise InputError("y is a batch of series: members are kept of one series (n_times, n_obs) at a time")
    return _forward(work, work.y[0], rule, np.random.default_rng(rule.random_state))


def _each(work: Job, rule: Ensemble) -> list[EnsembleResult]:
    rng = np.random.default_rng(rule.random_state)
    return [_forward(work, y, rule, rng) for y in work.y]


def _moments(members: Array) -> tuple[Array, Array]:
    mean: Array = members.mean(axis=1)
    away = members - mean[:, None]
    return mean, away.swapaxes(1, 2) @ away / (members.shape[1] - 1)


def _forward(work: Job, y: Array, rule: Ensemble, rng: np.random.Generator) -> EnsembleResult:
    """Members over the rows of one series."""
    (n, dy), dx, N = y.shape, len(work.m), int(rule.n_members)
    tapers = _tapers(rule, dx, dy)
    if tapers is not None and rule.square_root and np.any(work.R * ~np.eye(dy, dtype=bool)):
        raise InputError(
            "obs_cov is not diagonal: with localisation, observations are taken one after the other; "
            "transform them so that their noises are independent, or pass square_root=False"
        )
    predicted, filtered = np.empty((n + 1, N, dx)), np.empty((n, N, dx))
    loglik_t, v, S = np.zeros(n), np.empty((n, dy)), np.empty((n, dy, dy))
    Q = [factor(one[None], "process_cov", t)[0] for t, one in enumerate(work.Q)]
    X = work.m + _draws(rng, np.zeros((N, 0)), factor(work.P[None], "initial_cov", 0)[0], rule.square_root)
    for t in range(n):
        predicted[t] = X
        shown = work.seen(X, t)
        v[t] = y[t] - shown.mean(axis=0)
        Y = (shown - shown.mean(axis=0)).T / np.sqrt(N - 1)
        S[t] = (Y @ Y.T if tapers is None else tapers[1] * (Y @ Y.T)) + at(work.R, t)
        seen = np.flatnonzero(~np.isnan(y[t]))
        if seen.size:
            loglik_t[t] = _density(v[t, seen], S[t][np.ix_(seen, seen)], t)
            X = _updated(X, Y, seen, v[t], S[t], at(work.R, t), rule, tapers, rng)
        filtered[t] = X
        X = work.moved(X, t)
        X = X + _draws(rng, X, Q[t if len(Q) > 1 else 0], rule.square_root)
        X = X.mean(axis=0) + rule.inflation * (X - X.mean(axis=0))
    predicted[n] = X
    return EnsembleResult(float(loglik_t.sum()), loglik_t, predicted, filtered, v, S)


def _tapers(rule: Ensemble, dx: int, dy: int) -> tuple[Array, Array] | None:
    if rule.localisation is None:
        return None
    shapes = [np.shape(x) for x in rule.localisation]
    if shapes != [(dx, dy), (dy, dy)]:
        raise InputError(f"localisation has the shapes {shapes}: pass factors of shapes {[(dx, dy), (dy, dy)]}")
    return np.asarray(rule.localisation[0], dtype=float), np.asarray(rule.localisation[1], dtype=float)


def _draws(rng: np.random.Generator, members: Array, root: Array, exact: bool) -> Array:
    """Noise with the covariance root root' for each member, if possible with exact moments and uncorrelated with members."""
    root = root[:, np.abs(root).max(axis=0, initial=0.0) > 0]
    N = len(members)
    Z = rng.standard_normal((N, root.shape[1]))
    if exact and Z.size:
        ones = np.ones((N, 1))
        room = members.shape[1] + Z.shape[1] < N
        basis = np.linalg.qr(np.hstack([ones, members - members.mean(axis=0)]) if room else ones)[0]
        for _ in range(2):  # once more, for what rounding leaves
            Z -= basis @ (basis.T @ Z)
        if room:
            Z = np.linalg.qr(Z)[0] * np.sqrt(N - 1)
    return np.asarray(Z @ root.T)


def _density(v: Array, S: Array, t: int) -> float:
    try:
        L = np.linalg.cholesky(S)
    except np.linalg.LinAlgError as error:
        raise NumericalError(
            f"innovation_cov is singular at row {t}: give every observation some noise in obs_cov, or take more members"
        ) from error
    e = np.linalg.solve(L, v)
    return float(-0.5 * (len(v) * LOG_2PI + e @ e) - np.log(np.diag(L)).sum())


def _updated(
    X: Array,
    Y: Array,
    seen: npt.NDArray[np.intp],
    v: Array,
    S: Array,
    R: Array,
    rule: Ensemble,
    tapers: tuple[Array, Array] | None,
    rng: np.random.Generator,
) -> Array:
    """Members after an update by the observations that are seen; Y are the deviations of what members show."""
    N = len(X)
    mean = X.mean(axis=0)
    A = (X - mean).T / np.sqrt(N - 1)
    if tapers is not None and rule.square_root:
        mean, A = _one_by_one(mean, A, Y, seen, v, R, tapers)
        return np.asarray(mean + np.sqrt(N - 1) * A.T)
    both = np.ix_(seen, seen)
    Y, S, v, R = Y[seen], S[both], v[seen], R[both]
    C = A @ Y.T if tapers is None else tapers[0][:, seen] * (A @ Y.T)
    if not rule.square_root:
        e = _draws(rng, X, factor(R[None], "obs_cov", 0)[0], False)
        each = v + e - np.sqrt(N - 1) * Y.T
        return np.asarray(X + np.linalg.solve(S, each.T).T @ C.T)
    mean = mean + C @ np.linalg.solve(S, v)
    _, s, V = np.linalg.svd(np.linalg.solve(np.linalg.cholesky(S), Y), full_matrices=False)
    A = A + (A @ V.T * (np.sqrt(np.maximum(1 - s**2, 0.0)) - 1)) @ V
    return np.asarray(mean + np.sqrt(N - 1) * A.T)


def _one_by_one(
    mean: Array, A: Array, Y: Array, seen: npt.NDArray[np.intp], v: Array, R: Array, tapers: tuple[Array, Array]
) -> tuple[Array, Array]:
    """Mean and deviations after updates by one observation after the other, of what members show, too."""
    dx = len(A)
    both, taper = np.vstack([A, Y]), np.vstack(tapers)
    moves = np.zeros(len(both))
    for i in seen:
        row = both[dx + i].copy()
        s = row @ row + R[i, i]
        gain = taper[:, i] * (both @ row) / s
        moves = moves + gain * (v[i] - moves[dx + i])
        both = both - np.outer(gain / (1 + np.sqrt(R[i, i] / s)), row)
    return mean + moves[:dx], both[:dx]


def _back(done: EnsembleResult, rule: Ensemble) -> Any:
    """Members given all rows."""
    if rule.localisation is not None:
        raise InputError("localisation is for filters: smooth without it, with more members")
    members = done.filtered.copy()
    for t in range(len(members) - 2, -1, -1):
        after, now = done.predicted[t + 1], done.filtered[t]
        inverse = np.linalg.pinv(after - after.mean(axis=0), rcond=1e-12)
        members[t] = now + np.linalg.multi_dot([members[t + 1] - after, inverse, now - now.mean(axis=0)])
    return members
