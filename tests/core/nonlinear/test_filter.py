"""Filters and smoothers by rules for moments, against the Kalman filter, quadrature, and what they promise."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles.grid_filter import grid_filter
from scipy.integrate import quad
from scipy.optimize import minimize
from scipy.stats import chi2, multivariate_normal, norm

from ssmts.core import gaussian
from ssmts.core.nonlinear import (
    Cubature,
    GaussHermite,
    NonlinearGaussianSSM,
    Taylor,
    Unscented,
    filter,
    forecast,
    loglik,
    smooth,
)
from ssmts.core.nonlinear._rules import by_points
from ssmts.core.types import State, TimeVarying
from ssmts.exceptions import InputError, InputTypeError, NumericalError

from .models import KITAGAWA, ONE, as_functions, bearings, gentle, growth, kitagawa, linear, pendulum, simulated

RULES = [
    Taylor(),
    Taylor(iterations=3),
    Unscented(),
    Unscented(kappa=-1.0),
    Cubature(),
    GaussHermite(3),
    GaussHermite(4),
]


def close(got, want, tolerance=1e-10):
    scale = max(np.abs(np.nan_to_num(want)).max(initial=0.0), 1.0)
    np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance * scale)


@pytest.mark.parametrize("rule", RULES, ids=repr)
@pytest.mark.parametrize("seed", range(4))
def test_every_rule_is_the_kalman_filter_on_a_linear_model(rule, seed):
    lin, ssm, y = linear(seed, varying=seed % 2 == 0)
    got, want = filter(ssm, y, rule), gaussian.filter(lin, y)
    for name in want._fields:
        if name != "state":
            close(getattr(got, name), getattr(want, name))
    for one, other in zip(got.state, want.state):
        close(one, other)
    close(loglik(ssm, y, rule), want.loglik)
    for one, other in zip(smooth(ssm, y, rule), gaussian.moments(lin, y)):
        close(one, other)


@pytest.mark.parametrize("rule", [Taylor(), Unscented(), Unscented(kappa=-1.0), Cubature(), GaussHermite(3)], ids=repr)
def test_noise_may_be_singular_and_transitions_forget(rule):
    F = np.array([[0.9, 1.0, 0.0], [0.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    lin = linear(5, varying=False)[0]._replace(transition=F, process_cov=np.diag([1.0, 0.0]))
    lin = lin._replace(process_loading=np.eye(3)[:, :2], initial_cov=np.diag([1.0, 0.0, 2.0]))
    y = linear(5)[2]
    for one, other in zip(smooth(as_functions(lin), y, rule), gaussian.moments(lin, y)):
        close(one, other)


@pytest.mark.parametrize("f", [np.sin, np.exp, np.tanh, lambda x: x**3 - x])
def test_gauss_hermite_moments_are_those_of_numerical_integration(f):
    m, s = 0.4, 0.7
    fan = by_points(GaussHermite(80), f, np.array([[m]]), np.array([[[s]]]))

    def mean(g):
        return quad(lambda x: g(x) * norm.pdf(x, m, s), m - 12 * s, m + 12 * s, epsabs=1e-13, epsrel=1e-13)[0]

    mu = mean(f)
    close(fan.mean[0, 0], mu)
    close(fan.cov()[0, 0, 0], mean(lambda x: (f(x) - mu) ** 2))
    close((fan.X @ fan.Y.swapaxes(1, 2))[0, 0, 0], mean(lambda x: (x - m) * (f(x) - mu)))


def test_rules_are_exact_for_the_polynomials_they_claim():
    rng = np.random.default_rng(0)
    L = np.tril(rng.normal(size=(1, 2, 2)))
    m = rng.normal(size=(1, 2))
    P = (L @ L.swapaxes(1, 2))[0]

    def square(x):
        return (x[..., :1] * x[..., 1:]) + x[..., :1] ** 2

    mean = m[0, 0] * m[0, 1] + P[0, 1] + m[0, 0] ** 2 + P[0, 0]
    gradient = np.array([2 * m[0, 0] + m[0, 1], m[0, 0]])
    hessian = np.array([[2.0, 1.0], [1.0, 0.0]])
    variance = gradient @ P @ gradient + 0.5 * np.trace(hessian @ P @ hessian @ P)
    for rule in (Unscented(), Unscented(0.5, 2.0, 0.0), Cubature(), GaussHermite(2), GaussHermite(3)):
        close(by_points(rule, square, m, L).mean[0, 0], mean)
    close(by_points(GaussHermite(3), square, m, L).cov()[0, 0, 0], variance)


def test_one_state_without_settings_is_three_points():
    one, other = filter(kitagawa(), KITAGAWA, Unscented()), filter(kitagawa(), KITAGAWA, GaussHermite(3))
    close(one.filtered_mean, other.filtered_mean)
    close(one.loglik, other.loglik)


@pytest.mark.parametrize("rule", [Unscented(), GaussHermite(5), Taylor()], ids=repr)
def test_one_row_is_the_textbook_update(rule):
    """Särkkä and Svensson (2023), equations 8.6 and 8.8, written with moments by quadrature."""
    ssm, y = gentle(), np.array([[1.3]])
    got = filter(ssm, y, rule)
    if isinstance(rule, Taylor):
        mu, C, S = 0.0, 1.0, 1.2
    else:
        x, w = np.polynomial.hermite_e.hermegauss(3 if isinstance(rule, Unscented) else 5)
        w = w / w.sum()
        h = x + 0.05 * x**2
        mu = w @ h
        C, S = w @ (x * (h - mu)), w @ (h - mu) ** 2 + 0.2
    close(got.filtered_mean[0, 0], C / S * (1.3 - mu))
    close(got.filtered_cov[0, 0, 0], 1 - C**2 / S)
    close(got.loglik, norm.logpdf(1.3, mu, np.sqrt(S)))


def exact(ssm, y, grid):
    prior = norm.logpdf(grid, ssm.initial_mean[0], np.sqrt(ssm.initial_cov[0, 0]))
    q, r = np.sqrt(ssm.process_cov[0, 0]), np.sqrt(ssm.obs_cov[0, 0])
    column = grid[:, None]

    def seen(t):
        return norm.logpdf(y[t, 0], ssm.observation(grid, t), r) if np.isfinite(y[t, 0]) else np.zeros(len(grid))

    return grid_filter(y, grid, prior, lambda t: norm.logpdf(grid[None], ssm.transition(column, t), q), seen)


def test_where_little_bends_moments_are_close_to_the_truth():
    ssm = gentle()
    y = simulated(ssm, 40, np.random.default_rng(3))[1]
    y[7] = np.nan
    total, means = exact(ssm, y, np.linspace(-6, 6, 1201))
    far = {}
    for rule in (Taylor(), Unscented(), GaussHermite(9)):
        got = filter(ssm, y, rule)
        far[type(rule)] = np.abs(got.filtered_mean[:, 0] - means).max()
        assert abs(got.loglik - total) < 0.3
    assert far[GaussHermite] < 0.05
    assert far[GaussHermite] < far[Taylor]


def test_how_far_a_gaussian_is_from_two_peaks():
    """The square hides the sign of the state, which no Gaussian can say: 14 units of log-likelihood and more, by any rule.

    More points are no remedy: the means go from one peak to the other by what is left out.
    """
    total, means = exact(kitagawa(), KITAGAWA, np.linspace(-45, 45, 1501))
    close(total, -135.8225958730, 1e-7)
    close(means[[0, 10, 49]], [0.0, 0.4749665123, 2.1198520412], 1e-6)
    for rule in (Unscented(), Cubature(), GaussHermite(4), GaussHermite(10), GaussHermite(40)):
        got = filter(kitagawa(), KITAGAWA, rule)
        assert total - 95 < got.loglik < total - 14
        close(got.filtered_mean[0, 0], 0.0)
        assert abs(got.filtered_mean[49, 0] - means[49]) < 0.7
    assert loglik(kitagawa(), KITAGAWA, Taylor()) < -500


@pytest.mark.parametrize("rule", [Taylor(), Unscented(), Cubature(), GaussHermite(3)], ids=repr)
def test_a_pendulum_is_followed_and_smoothed(rule):
    ssm = pendulum()
    states, y = simulated(ssm, 400, np.random.default_rng(1))
    y[100:120] = np.nan
    filtered, smoothed = filter(ssm, y, rule), smooth(ssm, y, rule)
    error = np.sqrt(np.mean((filtered.filtered_mean - states)[:, 0] ** 2))
    after = np.sqrt(np.mean((smoothed.mean - states)[:, 0] ** 2))
    assert after < error < 0.3  # the noise of a row is 0.32
    away = smoothed.mean - states
    distance = np.einsum("ti,tij,tj->t", away, np.linalg.inv(smoothed.cov), away)
    assert (distance < chi2.ppf(0.99, 2)).mean() > 0.8
    assert np.linalg.eigvalsh(smoothed.cov).min() > 0


@pytest.mark.parametrize("rule", [Taylor(iterations=4), Unscented(), Cubature(), GaussHermite(3)], ids=repr)
def test_a_ship_is_found_by_two_bearings(rule):
    ssm = bearings()
    states, y = simulated(ssm, 60, np.random.default_rng(2))
    y[::7, 0] = np.nan
    y[20:23] = np.nan
    done, smoothed = filter(ssm, y, rule), smooth(ssm, y, rule)
    error = np.linalg.norm((done.filtered_mean - states)[:, :2], axis=1)
    assert np.linalg.norm((smoothed.mean - states)[:, :2], axis=1).mean() < error.mean() < 1.2
    scaled = done.innovations[:, 1] / np.sqrt(done.innovation_cov[:, 1, 1])
    assert 0.7 < np.nanstd(scaled) < 1.3


def test_iterations_find_the_mode_and_its_laplace_approximation():
    show = lambda x, t: np.stack([np.exp(x[..., 0]), x[..., 0] * x[..., 1]], axis=-1)  # noqa: E731
    ssm = NonlinearGaussianSSM(lambda x, t: x, show, np.eye(2), 0.3 * np.eye(2), np.array([0.2, 0.5]), np.eye(2))
    y = np.array([[2.5, 1.0]])

    def minus_log(x):
        joint = multivariate_normal.logpdf(y[0], show(x, 0), ssm.obs_cov)
        return -joint - multivariate_normal.logpdf(x, ssm.initial_mean, ssm.initial_cov)

    best = minimize(minus_log, ssm.initial_mean, method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-13})
    got = filter(ssm, y, Taylor(iterations=60))
    close(got.filtered_mean[0], best.x, 1e-6)
    a, b = best.x
    J = np.array([[np.exp(a), 0.0], [b, a]])
    precision = np.eye(2) + J.T @ J / 0.3
    close(got.filtered_cov[0], np.linalg.inv(precision), 1e-6)
    close(got.loglik, -best.fun + np.log(2 * np.pi) - 0.5 * np.linalg.slogdet(precision)[1], 1e-6)


def test_derivatives_by_differences_are_those_of_the_formula():
    ssm = pendulum()
    y = simulated(ssm, 50, np.random.default_rng(0))[1]

    def moved(x, t):
        slope = np.zeros((*x.shape[:-1], 2, 2))
        slope[..., 0, 0] = slope[..., 1, 1] = 1.0
        slope[..., 0, 1], slope[..., 1, 0] = 0.0125, -9.8 * 0.0125 * np.cos(x[..., 0])
        return slope

    def seen(x, t):
        return np.stack([np.cos(x[..., 0]), 0 * x[..., 0]], axis=-1)[..., None, :]

    known = ssm._replace(transition_jacobian=moved, observation_jacobian=seen)
    close(filter(ssm, y, Taylor()).filtered_cov, filter(known, y, Taylor()).filtered_cov, 1e-9)
    close(loglik(ssm, y, Taylor()), loglik(known, y, Taylor()), 1e-9)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 19), st.sampled_from(RULES[:3] + RULES[4:6]))
def test_split_is_whole_and_batch_is_loop(seed, k, rule):
    ssm = bearings()
    rng = np.random.default_rng(seed)
    y = np.stack([simulated(ssm, 20, rng)[1] for _ in range(3)])
    y[rng.random(y.shape) < 0.2] = np.nan
    whole = filter(ssm, y[0], rule)
    first = filter(ssm, y[0, :k], rule)
    second = filter(ssm, y[0, k:], rule, state=first.state)
    close(first.loglik + second.loglik, whole.loglik)
    close(second.state.mean, whole.state.mean)
    close(second.state.cov, whole.state.cov)
    many, smoothed = filter(ssm, y, rule), smooth(ssm, y, rule)
    for b in range(3):
        one = filter(ssm, y[b], rule)
        close(many.loglik[b], one.loglik)
        close(many.filtered_cov[b], one.filtered_cov)
        close(many.innovations[b], one.innovations)
        close(many.state.mean[b], one.state.mean)
        for field, alone in zip(smoothed, smooth(ssm, y[b], rule)):
            close(field[b], alone)


@pytest.mark.parametrize("rule", RULES[:6], ids=repr)
def test_an_entry_that_is_missing_says_nothing(rule):
    ssm = bearings()
    y = simulated(ssm, 15, np.random.default_rng(8))[1]
    y[:, 1] = np.nan
    less = ssm._replace(observation=lambda x, t: ssm.observation(x, t)[..., :1], obs_cov=ssm.obs_cov[:1, :1])
    close(filter(ssm, y, rule).filtered_mean, filter(less, y[:, :1], rule).filtered_mean)
    close(loglik(ssm, y, rule), loglik(less, y[:, :1], rule))
    assert loglik(ssm, np.full((4, 2), np.nan), rule) == 0.0


def test_inputs_and_time_reach_the_functions():
    n, u = len(KITAGAWA), 8 * np.cos(1.2 * (np.arange(len(KITAGAWA)) + 1))[:, None]
    driven = kitagawa()._replace(
        transition=lambda x, t, u: growth(x, 0) - 8 * np.cos(1.2) + u, observation=lambda x, t, u: x**2 / 20
    )
    close(loglik(driven, KITAGAWA, GaussHermite(7), u), loglik(kitagawa(), KITAGAWA, GaussHermite(7)))
    varying = kitagawa()._replace(
        obs_cov=TimeVarying(np.ones((n, 1, 1))), process_cov=TimeVarying(np.full((n, 1, 1), 10.0))
    )
    close(loglik(varying, KITAGAWA, GaussHermite(7)), loglik(kitagawa(), KITAGAWA, GaussHermite(7)))


@pytest.mark.parametrize("rule", RULES, ids=repr)
def test_forecasts_are_those_of_the_linear_model(rule):
    lin, ssm, y = linear(3, varying=False)
    state = gaussian.filter(lin, y).state
    for one, other in zip(forecast(ssm, state, 5, rule), gaussian.forecast(lin, state, 5)):
        close(one, other)


def test_errors_say_what_to_do():
    ssm = kitagawa()
    with pytest.raises(InputError, match="transition gave the shape"):
        filter(ssm._replace(transition=lambda x, t: np.zeros(3)), KITAGAWA)
    with pytest.raises(NumericalError, match="observation is not finite at row 0"):
        filter(ssm._replace(observation=lambda x, t: x * np.nan), KITAGAWA)
    with pytest.raises(NumericalError, match="innovation_cov is singular at row 0"):
        filter(ssm._replace(obs_cov=0 * ONE, initial_cov=0 * ONE), KITAGAWA)
    with pytest.raises(NumericalError, match="Cubature"):
        filter(ssm, KITAGAWA, Unscented(kappa=-0.5))
    with pytest.raises(InputTypeError, match="rule is 'ukf'"):
        filter(ssm, KITAGAWA, "ukf")
    with pytest.raises(InputTypeError, match="NonlinearGaussianSSM"):
        filter(linear(0)[0], KITAGAWA)
    with pytest.raises(InputError, match="alpha"):
        filter(ssm, KITAGAWA, Unscented(kappa=-1.0))
    with pytest.raises(InputError, match="points"):
        filter(bearings(), np.zeros((1, 2)), GaussHermite(40))
    with pytest.raises(InputError, match="horizon"):
        forecast(ssm, State(np.zeros(1), ONE, 0 * ONE, 0), 0)
    with pytest.raises(InputError, match="proper covariance"):
        filter(ssm, KITAGAWA, state=State(np.zeros(1), ONE, ONE, 1))
    with pytest.raises(InputError, match="inputs of shape"):
        filter(ssm, KITAGAWA, inputs=np.zeros((3, 1)))
    with pytest.raises(InputError, match="iterations"):
        Taylor(0)
    with pytest.raises(InputError, match="order"):
        GaussHermite(0)
