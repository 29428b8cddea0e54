"""Exponential families against generalised linear models, dense integrals, and the Gaussian engine."""

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles.grid_filter import grid_filter
from scipy import stats
from scipy.optimize import minimize
from scipy.special import logsumexp

from ssmts.core import gaussian
from ssmts.core.exponential import (
    Binomial,
    Gamma,
    Gaussian,
    NegativeBinomial,
    Poisson,
    importance_sample,
    loglik,
    mode,
    posterior,
)
from ssmts.core.exponential._importance import _length
from ssmts.core.exponential._mode import task
from ssmts.core.types import LinearGaussianSSM, TimeVarying
from ssmts.exceptions import InputError, InputTypeError, NumericalError

ONE = np.eye(1)
FAMILIES = [Poisson(), NegativeBinomial(2.5), Binomial(), Gamma(1.7), Gaussian(0.6)]


def drawn_from(family, rng, signal, size):
    mu = family.mean(signal, size)
    if isinstance(family, Poisson):
        return rng.poisson(mu).astype(float)
    if isinstance(family, NegativeBinomial):
        return rng.negative_binomial(family.shape, family.shape / (family.shape + mu)).astype(float)
    if isinstance(family, Binomial):
        return rng.binomial(size.astype(int), mu / size).astype(float)
    if isinstance(family, Gamma):
        return rng.gamma(family.shape, mu / family.shape)
    return mu + rng.normal(size=mu.shape) * np.sqrt(family.variance / size)


def log_density(family, y, signal, size):
    """By SciPy."""
    mu = family.mean(signal, size)
    if isinstance(family, Poisson):
        return stats.poisson.logpmf(y, mu)
    if isinstance(family, NegativeBinomial):
        return stats.nbinom.logpmf(y, family.shape, family.shape / (family.shape + mu))
    if isinstance(family, Binomial):
        return stats.binom.logpmf(y, size, mu / size)
    if isinstance(family, Gamma):
        return stats.gamma.logpdf(y, family.shape, scale=mu / family.shape)
    return stats.norm.logpdf(y, mu, np.sqrt(family.variance / size))


def close(got, want, tolerance=1e-9):
    np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance * max(np.abs(want).max(initial=0.0), 1.0))


@pytest.mark.parametrize("family", FAMILIES, ids=repr)
def test_terms_are_those_of_scipy_and_their_differences(family):
    rng = np.random.default_rng(0)
    signal, size = rng.normal(size=50), rng.integers(1, 9, size=50).astype(float)
    y = drawn_from(family, rng, signal, size)
    terms = family.terms(y, signal, size)
    close(terms.log_density, log_density(family, y, signal, size))
    h = 1e-5
    up, down = family.terms(y, signal + h, size), family.terms(y, signal - h, size)
    close(terms.slope, (up.log_density - down.log_density) / (2 * h), 1e-6)
    close(terms.curvature, -(up.slope - down.slope) / (2 * h), 1e-6)
    assert (terms.curvature > 0).all()


def regression(family, rng, n=40):
    design = np.column_stack([np.ones(n), rng.normal(size=n), np.linspace(-1, 1, n)])
    size = rng.integers(2, 9, size=n).astype(float)
    y = drawn_from(family, rng, design @ [0.4, 0.5, -0.3], size)
    zero = np.zeros((3, 3))
    ssm = LinearGaussianSSM(
        np.eye(3), zero, TimeVarying(design[:, None, :]), 0 * ONE, np.zeros(3), zero, initial_diffuse_cov=np.eye(3)
    )
    return ssm, y, design, size


def by_statsmodels(family, y, design, size):
    families = sm.families
    if isinstance(family, Binomial):
        return sm.GLM(np.column_stack([y, size - y]), design, families.Binomial()), 1.0
    if isinstance(family, Gaussian):
        return sm.GLM(y, design, families.Gaussian(), var_weights=size), family.variance
    kind, scale = {
        Poisson: lambda: (families.Poisson(), 1.0),
        NegativeBinomial: lambda: (families.NegativeBinomial(alpha=1 / family.shape), 1.0),
        Gamma: lambda: (families.Gamma(families.links.Log()), 1 / family.shape),
    }[type(family)]()
    return sm.GLM(y, design, kind, offset=np.log(size)), scale


@pytest.mark.parametrize("family", FAMILIES, ids=repr)
@pytest.mark.parametrize("seed", range(3))
def test_constant_coefficients_are_a_generalised_linear_model(family, seed):
    ssm, y, design, size = regression(family, np.random.default_rng(seed))
    model, scale = by_statsmodels(family, y, design, size)
    fit = model.fit(tol=1e-14, maxiter=200, scale=scale)
    cov = np.linalg.inv(-model.hessian(fit.params, scale=scale, observed=True))
    found = mode(ssm, y[:, None], family, size[:, None])
    for t in (0, 17, 39):
        close(found.mean[t], fit.params, 1e-8)
        close(found.cov[t], cov, 1e-8)
    close(found.signal[:, 0], design @ fit.params, 1e-8)
    # Laplace's integral over flat coefficients: the likelihood at the mode times sqrt(|2 pi cov|), over (2 pi)^(3/2).
    close(found.loglik, fit.llf_scaled(scale) + 0.5 * np.linalg.slogdet(cov)[1], 1e-8)


def dense_model(rng, n, family):
    """A random model with two states, in which the states of all rows are an affine function of standard normals z."""
    F = np.array([[0.9, 0.4], [0.0, 0.7]])
    ssm = LinearGaussianSSM(
        F, 0.15 * ONE, np.array([[1.0, 0.3]]), 0 * ONE, np.array([0.2, -0.1]), np.diag([0.3, 0.0]),
        obs_offset=np.array([0.4]), process_loading=np.array([[0.4], [1.0]]),
    )  # fmt: skip
    affine = np.zeros((n, n + 1))
    x, X = np.array([0.2, -0.1]), np.zeros((2, n))
    X[0, 0] = np.sqrt(0.3)
    for t in range(n):
        affine[t, 0], affine[t, 1:] = ssm.observation[0] @ x + 0.4, ssm.observation[0] @ X
        x, X = F @ x, F @ X
        if t < n - 1:
            X[:, t + 1] += np.sqrt(0.15) * ssm.process_loading[:, 0]
    size = rng.integers(2, 6, size=n).astype(float)
    y = drawn_from(family, rng, affine @ np.r_[1.0, rng.normal(size=n)], size)
    return ssm, y, size, affine


@pytest.mark.parametrize("family", FAMILIES, ids=repr)
@pytest.mark.parametrize("n", [2, 3, 4])
def test_likelihoods_are_those_of_dense_integrals(family, n):
    ssm, y, size, affine = dense_model(np.random.default_rng(n), n, family)

    def log_joint(z):
        signal = affine[:, 0] + z @ affine[:, 1:].T
        return (
            log_density(family, y, signal, size).sum(axis=-1) - 0.5 * (z**2).sum(axis=-1) - 0.5 * n * np.log(2 * np.pi)
        )

    best = minimize(lambda z: -log_joint(z), np.zeros(n), method="BFGS", options={"gtol": 1e-9})
    signal = affine[:, 0] + affine[:, 1:] @ best.x
    found = mode(ssm, y[:, None], family, size[:, None])
    close(found.signal[:, 0], signal, 1e-6)
    precision = np.eye(n) + affine[:, 1:].T * family.terms(y, signal, size).curvature @ affine[:, 1:]
    close(found.signal_cov[:, 0, 0], np.diag(affine[:, 1:] @ np.linalg.inv(precision) @ affine[:, 1:].T), 1e-6)
    laplace = log_joint(best.x) + 0.5 * n * np.log(2 * np.pi) - 0.5 * np.linalg.slogdet(precision)[1]
    close(found.loglik, laplace, 1e-8)
    # The integral, by a product rule around the mode.
    points, weights = np.polynomial.hermite_e.hermegauss(24)
    units = np.stack(np.meshgrid(*[points] * n, indexing="ij"), -1).reshape(-1, n)
    logs = np.log(weights)[np.indices((24,) * n)].sum(axis=0).ravel() + 0.5 * (units**2).sum(axis=1)
    L = np.linalg.inv(np.linalg.cholesky(precision)).T
    z = best.x + units @ L.T
    each = log_joint(z) + logs
    exact = logsumexp(each) + np.linalg.slogdet(L)[1]
    assert abs(found.loglik - exact) < 0.05
    drawn = importance_sample(ssm, y[:, None], family, size[:, None], n_draws=1500, random_state=1)
    assert abs(drawn.loglik - exact) < max(4 * drawn.loglik_se, 1e-9)
    assert drawn.loglik_se < 2e-3
    p = np.exp(each - logsumexp(each))
    signals = affine[:, 0] + z @ affine[:, 1:].T
    after = posterior(drawn, [0.1, 0.5, 0.9])
    mean = p @ signals
    spread = np.sqrt(p @ (signals - mean) ** 2)
    assert (np.abs(after.signal[:, 0] - mean) < 0.02 * spread).all()
    assert (np.abs(np.sqrt(after.signal_cov[:, 0, 0]) / spread - 1) < 0.03).all()
    for level, quantile in zip((0.1, 0.5, 0.9), after.quantiles[:, :, 0]):
        normal = mean + spread * stats.norm.ppf(level)  # almost, for such signals
        assert (np.abs(quantile - normal) < 0.15 * spread).all()


def wide(rng, n=30):
    """Three columns of three families on a diffuse slope and a stationary state, with holes."""
    F = np.array([[1.0, 1.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 0.8]])
    H = np.array([[1.0, 0.0, 0.5], [0.5, 0.0, 1.0], [1.0, 0.0, -1.0]])
    ssm = LinearGaussianSSM(
        F, np.diag([0.0, 1e-4, 0.05]), H, np.zeros((3, 3)), np.zeros(3), np.diag([0.0, 0.0, 0.14]),
        initial_diffuse_cov=np.diag([1.0, 1.0, 0.0]),
    )  # fmt: skip
    families = [Poisson(), Binomial(), Gamma(2.0)]
    size = np.tile([2.0, 7.0, 1.0], (n, 1))
    signal = np.cumsum(rng.normal(size=n) * 0.1)[:, None] + rng.normal(size=(n, 3)) * 0.1
    y = np.column_stack([drawn_from(f, rng, signal[:, i], size[:, i]) for i, f in enumerate(families)])
    y[rng.random(y.shape) < 0.25] = np.nan
    y[11] = np.nan
    return ssm, y, families, size


def test_gaussian_observations_are_the_kalman_smoother():
    ssm, y, _, _ = wide(np.random.default_rng(0))
    noisy = ssm._replace(obs_cov=np.diag([0.3, 0.5, 0.2]))
    families = [Gaussian(0.3), Gaussian(0.5), Gaussian(0.2)]
    found, want = mode(ssm, y, families), gaussian.smooth(noisy, y)
    close(found.mean, want.smoothed_mean)
    close(found.cov, want.smoothed_cov)
    close(found.loglik, gaussian.loglik(noisy, y))
    drawn = importance_sample(ssm, y, families, n_draws=5, random_state=0)
    close(drawn.loglik, found.loglik)
    close(drawn.weights, np.full(20, 0.05))


def test_the_mode_has_no_slope_in_states():
    """The log-density of states and series, with the shocks written out, is flat at the mode in every direction."""
    ssm, y, families, size = wide(np.random.default_rng(1))
    found = mode(ssm, y, families, size)
    work = task(ssm, y, families, size, None)
    slope = work.terms(found.signal).slope @ ssm.observation  # of the series in each state
    pull = np.zeros(3)
    for t in range(len(y) - 1, -1, -1):
        pull = slope[t] + ssm.transition.T @ pull
        if t:
            shock = found.mean[t] - ssm.transition @ found.mean[t - 1]
            close(shock, ssm.process_cov @ pull, 1e-7)
    close(found.mean[0], ssm.initial_cov @ pull + found.mean[0] * [1, 1, 0], 1e-7)
    close(pull[:2], np.zeros(2), 1e-7)


def test_the_length_of_a_draw_has_its_distribution():
    ssm, y, families, size = wide(np.random.default_rng(2))
    drawn = importance_sample(ssm, y, families, size, n_draws=600, random_state=0)
    first = drawn.states[::4] - drawn.mode.mean
    variance = np.diagonal(drawn.mode.approximation.ssm.obs_cov.values, axis1=1, axis2=2)
    length, freedom = _length(task(ssm, y, families, size, None), first, variance)
    assert freedom == 3 + 2 * (len(y) - 1)
    assert stats.kstest(length, stats.chi2(freedom).cdf).pvalue > 0.01
    opposite = _length(task(ssm, y, families, size, None), drawn.states[2::4] - drawn.mode.mean, variance)[0]
    close(stats.chi2(freedom).cdf(opposite), 1 - stats.chi2(freedom).cdf(length), 1e-6)
    close(drawn.states.reshape(600, 4, -1)[:, :2].mean(axis=1), np.tile(drawn.mode.mean.ravel(), (600, 1)), 1e-9)


def test_importance_sampling_agrees_with_itself_and_repeats():
    ssm, y, families, size = wide(np.random.default_rng(3))
    one = importance_sample(ssm, y, families, size, n_draws=400, random_state=0)
    other = importance_sample(ssm, y, families, size, n_draws=400, random_state=1)
    assert abs(one.loglik - other.loglik) < 5 * np.hypot(one.loglik_se, other.loglik_se)
    assert one.effective > 800
    assert loglik(ssm, y, families, size, n_draws=400) == one.loglik
    assert loglik(ssm, y, families, size) == one.mode.loglik
    assert abs(one.loglik - one.mode.loglik) < 0.3


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6))
def test_missing_is_removed_and_columns_may_change_places(seed):
    rng = np.random.default_rng(seed)
    ssm, y, families, size = wide(rng)
    y[:, 1] = np.nan
    found = mode(ssm, y, families, size)
    less = ssm._replace(observation=ssm.observation[[2, 0]], obs_cov=np.zeros((2, 2)))
    other = mode(less, y[:, [2, 0]], [families[2], families[0]], size[:, [2, 0]])
    close(other.mean, found.mean, 1e-7)
    close(other.loglik, found.loglik, 1e-7)


@pytest.mark.parametrize("family", [Poisson(), Binomial(), NegativeBinomial(0.3), Gamma(0.2)], ids=repr)
def test_wild_series_are_found(family):
    """From almost nothing to a million and back, of a level that may move little: full steps of Newton would overshoot."""
    y = np.array([0.0, 0.0, 1e6, 0.0, 3.0, 1e6, 0.0, 0.0])[:, None]
    y = y + 1e-9 if isinstance(family, Gamma) else y
    for variance in (1e-6, 0.01, 1.0, 100.0):
        ssm = LinearGaussianSSM(ONE, variance * ONE, ONE, 0 * ONE, np.zeros(1), 100 * ONE)
        found = mode(ssm, y, family, 1e6)
        slope = task(ssm, y, family, 1e6, None).terms(found.signal).slope[:, 0]
        ahead = np.cumsum(slope[::-1])[::-1]
        rounding = 1e-7 * (1 + variance * np.abs(slope).max())
        np.testing.assert_allclose(np.diff(found.signal[:, 0]), variance * ahead[1:], rtol=1e-6, atol=rounding)
        assert np.isfinite(found.loglik)


def test_stochastic_volatility_is_a_gamma_family():
    """Squares of N(0, exp(x)) are gamma with shape 1/2: the exact likelihood of a long series, by a filter on a grid."""
    mu, rho, s, rng = -1.0, 0.95, 0.3, np.random.default_rng(0)
    x, levels = mu, []
    for _ in range(150):
        levels.append(x)
        x = mu + rho * (x - mu) + s * rng.normal()
    y = np.exp(np.array(levels) / 2) * rng.normal(size=150)
    spread = s / np.sqrt(1 - rho**2)
    grid = mu + np.linspace(-8, 8, 601) * spread
    move = stats.norm.logpdf(grid, mu + rho * (grid[:, None] - mu), s)
    prior = stats.norm.logpdf(grid, mu, spread)
    exact = grid_filter(y, grid, prior, lambda t: move, lambda t: stats.norm.logpdf(y[t], 0, np.exp(grid / 2)))[0]
    ssm = LinearGaussianSSM(
        rho * ONE, s**2 * ONE, ONE, 0 * ONE, np.array([mu]), spread**2 * ONE, state_offset=np.array([(1 - rho) * mu])
    )
    drawn = importance_sample(ssm, y[:, None] ** 2, Gamma(0.5), n_draws=500, random_state=0)
    of_squares = np.log(np.abs(y)).sum()
    assert drawn.loglik_se < 0.05
    assert abs(drawn.loglik + of_squares - exact) < 4 * drawn.loglik_se
    assert abs(drawn.mode.loglik + of_squares - exact) < 1.0


def test_inputs_and_offsets_move_the_signal():
    rng = np.random.default_rng(0)
    y, u = rng.poisson(4.0, size=(20, 1)).astype(float), rng.normal(size=(20, 1))
    ssm = LinearGaussianSSM(ONE, 0.1 * ONE, ONE, 0 * ONE, np.zeros(1), ONE)
    driven = mode(ssm._replace(feedthrough=0.5 * ONE), y, Poisson(), inputs=u)
    close(driven.mean, mode(ssm, y, Poisson(), np.exp(0.5 * u)).mean, 1e-8)
    close(driven.loglik, mode(ssm._replace(obs_offset=TimeVarying(0.5 * u)), y, Poisson()).loglik)


def test_forecasts_are_rows_without_observations():
    ssm = LinearGaussianSSM(ONE, 0.1 * ONE, ONE, 0 * ONE, np.zeros(1), 0 * ONE, initial_diffuse_cov=ONE)
    found = mode(ssm, np.array([[3.0], [5.0], [np.nan], [np.nan]]), Poisson())
    close(found.signal[2:, 0], found.signal[[1, 1], 0])
    close(found.signal_cov[2:, 0, 0], found.signal_cov[1, 0, 0] + [0.1, 0.2])


def test_errors_say_what_to_do():
    ssm = LinearGaussianSSM(ONE, 0.1 * ONE, ONE, 0 * ONE, np.zeros(1), 0 * ONE, initial_diffuse_cov=ONE)
    y = np.array([[1.0], [2.0]])
    with pytest.raises(NumericalError, match="give it a proper prior"):
        mode(ssm, 0 * y, Poisson())
    with pytest.raises(NumericalError, match="give it a proper prior"):
        mode(ssm, y, Binomial(), y)
    with pytest.raises(NumericalError, match="the last of 2 steps"):
        mode(ssm, y, Poisson(), max_iterations=2)
    with pytest.raises(InputError, match="distribution of counts"):
        mode(ssm, y + 0.5, Poisson())
    with pytest.raises(InputError, match="positive numbers"):
        mode(ssm, y - 1, Gamma(1.0))
    with pytest.raises(InputError, match=r"2\.0 in 1\.0 trial"):
        mode(ssm, y, Binomial())
    with pytest.raises(InputError, match="size is -1"):
        mode(ssm, y, Poisson(), -1.0)
    with pytest.raises(InputError, match="size has the shape"):
        mode(ssm, y, Poisson(), np.ones(3))
    with pytest.raises(InputError, match="obs_cov is not zero"):
        mode(ssm._replace(obs_cov=ONE), y, Poisson())
    with pytest.raises(InputError, match="undetermined"):
        mode(ssm, y * np.nan, Poisson())
    with pytest.raises(InputError, match="2 entries"):
        mode(ssm, y, [Poisson(), Poisson()])
    with pytest.raises(InputTypeError, match="family is"):
        mode(ssm, y, "poisson")
    with pytest.raises(InputError, match="one series"):
        mode(ssm, y[None], Poisson())
    with pytest.raises(InputError, match="shape is 0"):
        Gamma(0)
    with pytest.raises(InputError, match="n_draws"):
        importance_sample(ssm, y, Poisson(), n_draws=0)
    with pytest.raises(InputError, match="from 0 to 1"):
        posterior(importance_sample(ssm, y, Poisson(), n_draws=2), 2.0)
