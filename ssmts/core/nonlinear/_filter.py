"""The Gaussian filter and smoother of nonlinear models: one recursion by factors of covariances for all rules."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ssmts.core.gaussian._forward import over_time
from ssmts.core.gaussian._kernels.update import LOG_2PI
from ssmts.core.gaussian._ladder import stack
from ssmts.core.nonlinear._ensemble import Ensemble, ensemble_moments, ensemble_smoothed
from ssmts.core.nonlinear._model import Job, NonlinearGaussianSSM, at, job
from ssmts.core.nonlinear._rules import (
    Cubature,
    Fan,
    GaussHermite,
    Rule,
    Taylor,
    Unscented,
    by_points,
    by_tangent,
    factor,
    joint,
    triangle,
)
from ssmts.core.types import Array, FilterResult, ForecastResult, SmoothedMoments, State
from ssmts.exceptions import InputError, InputTypeError, NumericalError


class Pass(NamedTuple):
    """What a pass over the rows leaves, series first; covariances by their factors."""

    loglik_t: Array  # (series, n)
    predicted_m: Array  # (series, n + 1, dx)
    predicted_L: Array
    m: Array  # (series, n, dx)
    L: Array
    v: Array  # (series, n, dy)
    S: Array
    B: Array  # (series, n, dx, dx), with C beside the factor of x[t] when that of x[t+1] is triangular
    C: Array


def filter(
    ssm: NonlinearGaussianSSM,
    y: npt.ArrayLike,
    rule: Rule | Ensemble | None = None,
    inputs: npt.ArrayLike | None = None,
    *,
    state: State | None = None,
) -> FilterResult:
    """Filter a nonlinear series, with Gaussian moments of each state by a rule.

    In each step the joint distribution of a state and what follows from it is replaced by the Gaussian with the same
    moments, as the rule computes them. Covariances are kept by triangular factors, so that they stay non-negative definite.
    On a linear model every rule is the Kalman filter.

    Parameters
    ----------
    ssm : NonlinearGaussianSSM
    y : (n_times, n_obs) or (n_series, n_times, n_obs)
        NaN are missing, in whole rows or in part. Series of a batch move through one pass together.
    rule : Taylor, Unscented, Cubature, GaussHermite or Ensemble, optional
        ``Unscented()`` by default: no derivatives, and few points.
    inputs : (n_times, n_inputs), optional
        Handed to the functions row by row; shared by a batch.
    state : State, optional
        Start from here instead of from the model's prior.

    Returns
    -------
    FilterResult
        Innovations are observations minus predicted means, with covariances by the same rule. With an iterated `Taylor` the
        likelihood is that of the last linearisation, which is Laplace's approximation.

    Raises
    ------
    InputError
        If model, series, inputs or rule do not fit each other, or a function does not keep leading axes.
    NumericalError
        If a function is not finite, a covariance is indefinite, or an observation is known beforehand without any noise.

    References
    ----------
    Särkkä and Svensson (2023), Bayesian Filtering and Smoothing, 2nd edition, chapters 7 to 10.

    Examples
    --------
    >>> import numpy as np
    >>> from ssmts.core.nonlinear import GaussHermite, NonlinearGaussianSSM, filter
    >>> one = np.eye(1)
    >>> ssm = NonlinearGaussianSSM(np.sin, lambda x, t: x**2, one, one, np.ones(1), one)
    >>> ssm = ssm._replace(transition=lambda x, t: np.sin(x))
    >>> filter(ssm, [[2.0]], GaussHermite(7)).filtered_mean.round(3)
    array([[1.]])
    """
    work = job(ssm, y, inputs, state)
    if isinstance(rule, Ensemble):
        return ensemble_moments(work, rule)
    done = run(work, rule)
    P, filtered = done.predicted_L @ done.predicted_L.swapaxes(-1, -2), done.L @ done.L.swapaxes(-1, -2)
    arrays = done.loglik_t, done.predicted_m, P, done.m, filtered, done.v, done.S
    results = []
    for loglik_t, m, P, *rest in zip(*arrays):
        after = State(m[-1], P[-1], np.zeros_like(P[-1]), 0)
        fields: tuple[Any, ...] = (float(loglik_t.sum()), loglik_t, m, P, *rest, 0, after)
        results.append(FilterResult(*fields))
    return stack(results) if work.batch else results[0]  # type: ignore[no-any-return]


def loglik(
    ssm: NonlinearGaussianSSM,
    y: npt.ArrayLike,
    rule: Rule | Ensemble | None = None,
    inputs: npt.ArrayLike | None = None,
    *,
    state: State | None = None,
) -> Any:
    """Log-likelihood of a nonlinear series by the innovations of `filter`.

    Parameters
    ----------
    ssm, y, rule, inputs, state
        As in `filter`.

    Returns
    -------
    float, or (n_series,) for a batch

    Raises
    ------
    InputError, NumericalError
        As in `filter`.

    Examples
    --------
    >>> import numpy as np
    >>> from ssmts.core.nonlinear import Cubature, NonlinearGaussianSSM, loglik
    >>> one = np.eye(1)
    >>> ssm = NonlinearGaussianSSM(lambda x, t: x, lambda x, t: x, one, one, np.zeros(1), 0 * one)
    >>> round(loglik(ssm, [[0.0]], Cubature()), 6)
    -0.918939
    """
    return filter(ssm, y, rule, inputs, state=state).loglik


def smooth(
    ssm: NonlinearGaussianSSM,
    y: npt.ArrayLike,
    rule: Rule | Ensemble | None = None,
    inputs: npt.ArrayLike | None = None,
    *,
    state: State | None = None,
) -> SmoothedMoments:
    """Moments of the states given the whole series, by the smoother of Rauch, Tung and Striebel with the moments of a rule.

    Parameters
    ----------
    ssm, y, rule, inputs, state
        As in `filter`.

    Returns
    -------
    SmoothedMoments
        With the covariances of neighbouring states.

    Raises
    ------
    InputError, NumericalError
        As in `filter`.

    References
    ----------
    Särkkä and Svensson (2023), chapters 13 and 14; Evensen and van Leeuwen (2000), Monthly Weather Review 128, and Raanes
    (2016), Quarterly Journal of the Royal Meteorological Society 142, for ensembles.

    Examples
    --------
    >>> import numpy as np
    >>> from ssmts.core.nonlinear import NonlinearGaussianSSM, smooth
    >>> one = np.eye(1)
    >>> walk = NonlinearGaussianSSM(lambda x, t: x, lambda x, t: x, one, one, np.zeros(1), 1e8 * one)
    >>> smooth(walk, [[1.0], [np.nan], [4.0]]).mean.ravel().round(4)
    array([1.75, 2.5 , 3.25])
    """
    work = job(ssm, y, inputs, state)
    if isinstance(rule, Ensemble):
        return ensemble_smoothed(work, rule)
    done = run(work, rule)
    series, n, dx = done.m.shape
    A = done.predicted_L[:, 1:]
    gains = done.B @ _inverse(A)
    left = np.concatenate([done.C, done.B - gains @ A], axis=-1)  # a factor of what is left of x[t] given x[t+1]
    m, P, lag = done.m.copy(), np.empty((series, n, dx, dx)), np.empty((series, max(n - 1, 0), dx, dx))
    L = done.predicted_L[:, 0] if n == 0 else done.L[:, n - 1]
    for t in range(n - 1, -1, -1):
        if t < n - 1:
            G = gains[:, t]
            m[:, t] += _dot(G, m[:, t + 1] - done.predicted_m[:, t + 1])
            lag[:, t] = P[:, t + 1] @ G.swapaxes(-1, -2)
            L = triangle(np.concatenate([left[:, t], G @ L], axis=-1))
        P[:, t] = L @ L.swapaxes(-1, -2)
    total = done.loglik_t.sum(axis=-1)
    if work.batch:
        return SmoothedMoments(total, m, P, lag)
    return SmoothedMoments(float(total[0]), m[0], P[0], lag[0])


def forecast(
    ssm: NonlinearGaussianSSM,
    state: State,
    horizon: int,
    rule: Rule | None = None,
    inputs: npt.ArrayLike | None = None,
) -> ForecastResult:
    """Forecast the rows that follow a state.

    Parameters
    ----------
    ssm : NonlinearGaussianSSM
        Row 0 is the first forecast, for its functions, too.
    state : State
        As `filter` returns it, of one series.
    horizon : int
    rule : Taylor, Unscented, Cubature or GaussHermite, optional
        As in `filter`.
    inputs : (horizon, n_inputs), optional

    Raises
    ------
    InputError
        If the horizon is not a positive integer, or as in `filter`.

    Examples
    --------
    >>> import numpy as np
    >>> from ssmts.core.nonlinear import NonlinearGaussianSSM, filter, forecast
    >>> one = np.eye(1)
    >>> ssm = NonlinearGaussianSSM(lambda x, t: 0.5 * x, lambda x, t: x**2, one, one, np.zeros(1), one)
    >>> forecast(ssm, filter(ssm, [[1.0]]).state, 2).mean.round(2)
    array([[1.25],
           [1.31]])
    """
    if isinstance(horizon, bool) or not isinstance(horizon, int | np.integer) or horizon < 1:
        raise InputError(f"horizon is {horizon!r}: pass a positive integer")
    nothing = np.full((horizon, over_time(ssm.obs_cov, 1).shape[-1]), np.nan)
    work = job(ssm, nothing, inputs, state)
    done = run(work, rule)
    m, L = done.predicted_m[0, :horizon], done.predicted_L[0, :horizon]
    mean = np.array([_observed(work, _known(rule), m[None, t], L[None, t], t).mean[0] for t in range(horizon)])
    return ForecastResult(mean, done.S[0], m, L @ L.swapaxes(-1, -2))


def _known(rule: Any) -> Rule:
    rule = Unscented() if rule is None else rule
    if not isinstance(rule, Taylor | Unscented | Cubature | GaussHermite):
        raise InputTypeError(
            f"rule is {rule!r}: pass Taylor(), Unscented(), Cubature() or GaussHermite(), or to filter and smooth Ensemble()"
        )
    return rule


def run(work: Job, rule: Rule | None) -> Pass:
    """Pass over the rows of all series."""
    rule = _known(rule)
    (series, n, dy), dx = work.y.shape, len(work.m)
    m, L = np.tile(work.m, (series, 1)), np.tile(factor(work.P, "initial_cov", 0), (series, 1, 1))
    by_row, by_next = (series, n), (series, n + 1)
    done = Pass(
        np.zeros(by_row),
        *(np.empty((*by_next, dx)), np.empty((*by_next, dx, dx)), np.empty((*by_row, dx)), np.empty((*by_row, dx, dx))),
        *(
            np.empty((*by_row, dy)),
            np.empty((*by_row, dy, dy)),
            np.empty((*by_row, dx, dx)),
            np.empty((*by_row, dx, dx)),
        ),
    )
    done.predicted_m[:, 0], done.predicted_L[:, 0] = m, L
    Q = np.array([factor(one, "process_cov", t) for t, one in enumerate(work.Q)])
    R = np.array([factor(one, "obs_cov", t) for t, one in enumerate(work.R)])
    for t in range(n):
        m, L = _update(work, rule, done, t, m, L, at(R, t))
        done.m[:, t], done.L[:, t] = m, L
        fan = _moved(work, rule, m, L, t)
        L, done.B[:, t], done.C[:, t] = joint(fan, at(Q, t), t)
        m = fan.mean
        done.predicted_m[:, t + 1], done.predicted_L[:, t + 1] = m, L
    return done


def _update(work: Job, rule: Rule, done: Pass, t: int, m: Array, L: Array, noise: Array) -> tuple[Array, Array]:
    """The state after row t, whose innovation and likelihood are noted."""
    y, R = work.y[:, t], at(work.R, t)
    seen = ~np.isnan(y)
    fan = _observed(work, rule, m, L, t)
    done.v[:, t], done.S[:, t] = y - fan.mean, fan.cov() + R
    if not seen.any():
        return m, L
    if not seen.all():
        both = seen[:, :, None] & seen[:, None, :]
        noise = factor(np.where(both, R, np.eye(len(R)) * ~both), "obs_cov", t)
    mean, root = m, L
    for step in range(rule.iterations if isinstance(rule, Taylor) else 1):
        if step:
            slope = work.jacobian("observation", mean, t)
            fan = by_tangent(work.seen(mean, t) + _dot(slope, m - mean), slope, L)
        masked = fan._replace(Y=fan.Y * seen[..., None], less=None if fan.less is None else fan.less * seen)
        A, B, root = joint(masked, noise, t)
        scales = np.abs(np.diagonal(A, axis1=1, axis2=2))
        if not (scales > 1e-13 * np.linalg.norm(A, axis=-1)).all():
            raise NumericalError(
                f"innovation_cov is singular at row {t}: an observation is known beforehand; give it some noise in obs_cov, "
                "or drop one of two that are the same"
            )
        e = np.linalg.solve(A, np.where(seen, y - fan.mean, 0.0)[..., None])
        mean = m + (B @ e)[..., 0]
    done.loglik_t[:, t] = -0.5 * (seen.sum(axis=1) * LOG_2PI + (e[..., 0] ** 2).sum(axis=1)) - np.log(scales).sum(
        axis=1
    )
    return mean, root


def _observed(work: Job, rule: Rule, m: Array, L: Array, t: int) -> Fan:
    if isinstance(rule, Taylor):
        return by_tangent(work.seen(m, t), work.jacobian("observation", m, t), L)
    return by_points(rule, lambda x: work.seen(x, t), m, L)


def _moved(work: Job, rule: Rule, m: Array, L: Array, t: int) -> Fan:
    if isinstance(rule, Taylor):
        return by_tangent(work.moved(m, t), work.jacobian("transition", m, t), L)
    return by_points(rule, lambda x: work.moved(x, t), m, L)


def _inverse(A: Array) -> Array:
    """The inverse of factors, over what they span."""
    scale = np.linalg.norm(A, axis=-1, keepdims=True)
    scale = np.where(scale > 0, scale, 1.0)
    return np.asarray(np.linalg.pinv(A / scale, rcond=1e-13)) / scale.swapaxes(-1, -2)


def _dot(matrices: Array, vectors: Array) -> Array:
    return np.asarray((matrices @ vectors[..., None])[..., 0])
