"""The state-space form of an ARIMA model, and its likelihood: against dense twins, differences, and plain sums."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import dense_gaussian

from ssmts.components.transforms import Stationary
from ssmts.core.gaussian import filter, loglik, pack
from ssmts.core.gaussian._kernels.arma import covariances, responses, whiten
from ssmts.exceptions import InputError
from ssmts.forecasting._arima_likelihood import Likelihood, constant_column, difference
from ssmts.forecasting._arima_model import is_invertible, matrices, moments, n_states
from ssmts.forecasting._arima_spec import read_orders

ORDERS = [
    ((0, 0, 0), (0, 0, 0), None),
    ((2, 0, 1), (0, 0, 0), None),
    ((0, 1, 0), (0, 0, 0), None),
    ((0, 1, 1), (0, 1, 1), 4),
    ((1, 1, (1, 3)), (1, 0, 1), 3),
    ((2, 1, 1), (1, 1, 0), 2),
    ((1, 2, 1), (0, 0, 0), None),
    (((2,), 0, 3), (0, 1, 0), 3),
]


def draw(order, seasonal, season, seed):
    """Orders, and coefficients of a stationary and invertible model."""
    orders, rng = read_orders(order, seasonal, season, True), np.random.default_rng(seed)
    values = np.zeros(len(orders.names))
    for (prefix, lags, _), place in zip(orders.groups, orders.places):
        if lags == tuple(range(1, len(lags) + 1)):
            values[place] = Stationary().from_free(rng.normal(size=len(lags))) * (1 if prefix.endswith("ar") else -1)
        else:
            values[place] = rng.uniform(-0.45, 0.45, len(lags))
    return orders, values, rng


def dense_cov(phi, theta, n, terms=3000):
    """Covariance of n rows of a stationary series by its infinite moving average."""
    psi = np.zeros(terms)
    psi[0] = 1.0
    for i in range(1, terms):
        psi[i] = (theta[i - 1] if i <= len(theta) else 0.0) + sum(
            phi[j] * psi[i - 1 - j] for j in range(min(i, len(phi)))
        )
    g = np.array([psi[: terms - k] @ psi[k:] for k in range(n)])
    return g[np.abs(np.subtract.outer(np.arange(n), np.arange(n)))], psi


@pytest.mark.parametrize("order, seasonal, season", ORDERS)
def test_moments_are_those_of_the_infinite_moving_average(order, seasonal, season):
    orders, values, _ = draw(order, seasonal, season, 1)
    phi, theta = orders.polynomials(values)
    cov, psi = dense_cov(phi, theta, 12)
    g, found = np.empty(12, complex), np.empty(9, complex)
    assert covariances(phi.astype(complex), theta.astype(complex), g)
    responses(phi.astype(complex), theta.astype(complex), found)
    np.testing.assert_allclose(g.real, cov[0], rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(found.real, psi[:9], rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("order, seasonal, season", ORDERS)
@pytest.mark.parametrize("missing", [0.0, 0.3])
def test_likelihood_is_that_of_the_dense_model(order, seasonal, season, missing):
    orders, values, rng = draw(order, seasonal, season, 2)
    r = n_states(orders)
    ssm = matrices(orders, moments(orders, values, r, r), 1.7, 0.3)
    y = rng.normal(size=(24, 1)).cumsum(axis=0)
    y[rng.random(24) < missing] = np.nan
    assert loglik(ssm, y, method="sequential") == pytest.approx(dense_gaussian.loglik(ssm, y), rel=1e-9)
    if not missing:
        assert loglik(ssm, y, method="schur") == pytest.approx(dense_gaussian.loglik(ssm, y), rel=1e-9)


@pytest.mark.parametrize("order, seasonal, season", ORDERS)
def test_likelihood_is_that_of_the_differenced_series(order, seasonal, season):
    orders, values, rng = draw(order, seasonal, season, 3)
    y, X = rng.normal(size=30).cumsum(), rng.normal(size=(30, 2))
    columns = np.hstack([constant_column(orders, 30), X])
    found = Likelihood(orders, y, columns)(values)
    w = difference(orders, np.column_stack([y, columns]))
    np.testing.assert_allclose(w[:, 1], 1.0, rtol=1e-9)  # the constant is the mean of the differences
    C = dense_cov(*orders.polynomials(values), len(w))[0]
    inverse = np.linalg.inv(C)
    cov = np.linalg.inv(w[:, 1:].T @ inverse @ w[:, 1:])
    beta = cov @ w[:, 1:].T @ inverse @ w[:, 0]
    e = w[:, 0] - w[:, 1:] @ beta
    variance = e @ inverse @ e / len(e)
    np.testing.assert_allclose(found.effects, beta, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(found.effects_cov, variance * cov, rtol=1e-7, atol=1e-10)
    known = -0.5 * (len(e) * (np.log(2 * np.pi * variance) + 1) + np.linalg.slogdet(C)[1])
    assert found.loglik == pytest.approx(known, rel=1e-9)


@pytest.mark.parametrize("order, seasonal, season", ORDERS[1:])
@pytest.mark.parametrize("missing", [0.0, 0.2])
@pytest.mark.parametrize("variance", [None, 0.8])
def test_gradient_is_exact(order, seasonal, season, missing, variance):
    orders, values, rng = draw(order, seasonal, season, 4)
    y, X = rng.normal(size=40).cumsum(), rng.normal(size=(40, 1))
    y[rng.random(40) < missing] = np.nan
    at = Likelihood(orders, y, X, variance)
    found = at(values).gradient
    for i in range(len(values)):
        h = np.zeros(len(values))
        h[i] = 2e-4 * (1 - np.abs(values).max())
        a, b, c, d = (at(values + k * h).loglik for k in (-2, -1, 1, 2))
        assert found[i] == pytest.approx((a - 8 * b + 8 * c - d) / (12 * h[i]), rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("order, seasonal, season", ORDERS)
def test_without_missing_rows_the_two_ways_agree(order, seasonal, season):
    orders, values, rng = draw(order, seasonal, season, 5)
    y, X = rng.normal(size=40).cumsum(), rng.normal(size=(40, 1))
    at, r = Likelihood(orders, y, X), n_states(orders)
    fast, slow = at(values), at._filtered(moments(orders, values, r, r))
    assert fast.loglik == pytest.approx(slow.loglik, rel=1e-10)
    np.testing.assert_allclose(fast.gradient, slow.gradient, rtol=1e-7, atol=1e-8)
    np.testing.assert_allclose(fast.effects, slow.effects, rtol=1e-8)


def test_conventions_of_the_airline_model_differ_by_the_constant():
    """Stata (air2) counts log 2 pi for the differenced rows, Durbin and Koopman for all of them."""
    from statsmodels.tsa.statespace.tests.results.results_sarimax import air2_data

    y = np.log(np.array(air2_data))
    orders, values = read_orders((0, 1, 1), (0, 1, 1), 12, None), np.array([-0.40182315, -0.5569365])
    assert n_states(orders) == 14
    found = Likelihood(orders, y, np.zeros((len(y), 0)))(values)
    assert found.loglik == pytest.approx(244.69648683, abs=1e-7)
    ssm = matrices(orders, moments(orders, values, 14, 14), found.variance, 0.0)
    assert loglik(ssm, y[:, None]) == pytest.approx(232.75028590, abs=1e-7)
    assert loglik(ssm, y[:, None]) + 6.5 * np.log(2 * np.pi) == pytest.approx(found.loglik, rel=1e-12)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 3))
def test_whitening_is_a_triangular_root_of_the_covariance(seed, m):
    orders, values, rng = draw((2, 0, 2), (0, 0, 1), 3, seed)
    phi, theta = orders.polynomials(values * 0.9)
    w = rng.normal(size=(20, m))
    g = np.empty(max(len(phi), len(theta)) + 1, complex)
    assert covariances(phi.astype(complex), theta.astype(complex), g)
    white = w.copy()
    logs, sound = whiten(white, phi, g.real.copy(), 0.0)
    C = dense_cov(phi, theta, 20)[0]
    assert sound
    assert logs == pytest.approx(np.linalg.slogdet(C)[1], rel=1e-7, abs=1e-7)
    np.testing.assert_allclose(white, np.linalg.solve(np.linalg.cholesky(C), w), rtol=1e-6, atol=1e-7)


def test_whitening_of_more_rows_than_the_windows_hold():
    rng = np.random.default_rng(6)
    phi, theta = np.array([0.6, 0.2]), np.array([0.4, 0.0, 0.3])
    orders = read_orders((2, 0, 3), (0, 0, 0), None, False)
    y = rng.normal(size=2500)
    values = np.concatenate([phi, theta])
    r = n_states(orders)
    packed = pack(matrices(orders, moments(orders, values, r, r), 1.0, 0.0))
    done = filter(packed, y[:, None], method="sequential")
    w, g = np.column_stack([y, y[::-1]]), moments(orders, values, 3, 0).g
    logs, _ = whiten(w, phi, g, 0.0)
    assert logs == pytest.approx(np.log(done.innovation_cov).sum(), rel=1e-10)
    np.testing.assert_allclose(w[:, 0], (done.innovations / np.sqrt(done.innovation_cov[:, 0]))[:, 0], atol=1e-9)


def test_models_outside_are_told():
    assert moments(read_orders((1, 0, 0), (0, 0, 0), None, None), np.array([1.0]), 1, 1) is None
    assert moments(read_orders((0, 0, 1), (0, 0, 0), None, None), np.array([1.5]), 1, 1) is None
    assert is_invertible(np.array([-0.4]))
    assert not is_invertible(np.array([0.0, 1.2]))


@pytest.mark.parametrize(
    "arguments, words",
    [
        (((1, 1), (0, 0, 0), None, None), "order must have three entries"),
        (((1, -1, 0), (0, 0, 0), None, None), r"order\[1\]"),
        ((((2, 1), 0, 0), (0, 0, 0), None, None), "increasing lags"),
        ((((0, 1), 0, 0), (0, 0, 0), None, None), "increasing lags"),
        (((1, True, 0), (0, 0, 0), None, None), "True"),
        (((1, 0, 0), (1, 0, 0), None, None), "season_length"),
        (((1, 0, 0), (1, 0, 0), 1, None), "season_length"),
        (((1, 0, 0), (1, 0, 0), 12, "c"), "constant"),
    ],
)
def test_arguments_that_cannot_be_used_are_named(arguments, words):
    with pytest.raises(InputError, match=words):
        read_orders(*arguments)
