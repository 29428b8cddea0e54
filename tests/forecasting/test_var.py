"""Vector autoregressions: Stata's exact likelihoods, Luetkepohl's book, statsmodels, and the dense twin."""

import numpy as np
import pandas as pd
import pytest
from oracles import dense_gaussian as dense
from oracles.lutkepohl import COEF, CONST, COV, GROWTH, stata
from statsmodels.tsa.api import VAR

from ssmts import VARForecaster
from ssmts.exceptions import InputError, TooShortError
from ssmts.forecasting._var import stationary_model, stationary_slopes


@pytest.mark.parametrize(
    ("arguments", "columns", "name"),
    [
        ({"constant": False}, [0, 1, 2], "lutkepohl_var1"),
        ({"constant": False, "cov": "diagonal"}, [0, 1, 2], "lutkepohl_var1_diag"),
        ({"cov": "diagonal"}, [0, 1, 2], "lutkepohl_var1_obs_intercept"),
        ({"lags": 2, "constant": False}, [0, 1], "lutkepohl_var2"),
    ],
)
def test_exact_likelihoods_of_stata(arguments, columns, name):
    """Stata keeps the data in single precision."""
    true, k, lags = getattr(stata, name), len(columns), arguments.get("lags", 1)
    f = VARForecaster(likelihood="exact", **arguments).fit(GROWTH[:, columns])
    assert f.converged_
    assert f.loglik_ == pytest.approx(true["loglike"], abs=1e-3)
    size = lags * k * k  # equation by equation
    np.testing.assert_allclose(f.params_["coef"].transpose(1, 0, 2).ravel(), true["params"][:size], atol=2e-5)
    np.testing.assert_allclose(f.stderr_["coef"].transpose(1, 0, 2).ravel() ** 2, true["var_oim"][:size], rtol=1e-3)
    if "obs_intercept" in true:
        np.testing.assert_allclose(f.params_["mean"], true["obs_intercept"], atol=1e-6)


def test_least_squares_of_the_book():
    f = VARForecaster(2).fit(GROWTH)
    np.testing.assert_allclose(f.params_["coef"], COEF, atol=6e-4)
    np.testing.assert_allclose(f.params_["const"], CONST, atol=6e-4)
    np.testing.assert_allclose(f.params_["cov"] * 73 / 66, COV, atol=6e-7)


@pytest.mark.parametrize("lags", [1, 3])
def test_complete_rows_against_statsmodels(lags):
    theirs = VAR(GROWTH).fit(lags)
    f = VARForecaster(lags).fit(GROWTH)
    np.testing.assert_allclose(f.params_["coef"], theirs.coefs, rtol=1e-8, atol=1e-10)
    assert f.loglik_ == pytest.approx(theirs.llf, rel=1e-10)
    factor = np.sqrt(theirs.df_resid / theirs.nobs)  # theirs divide by the degrees of freedom
    np.testing.assert_allclose(f.stderr_["const"], theirs.stderr[0] * factor, rtol=1e-8)
    np.testing.assert_allclose(f.stderr_["coef"][0], theirs.stderr[1:4].T * factor, rtol=1e-8)
    np.testing.assert_allclose(f.predict(8), theirs.forecast(GROWTH[-lags:], 8), rtol=1e-8)
    covs = theirs.mse(8) * theirs.df_resid / theirs.nobs
    np.testing.assert_allclose(f.forecast(8).distribution.cov[0], covs, rtol=1e-7, atol=1e-14)
    np.testing.assert_allclose(f.impulse_responses(6).transpose(1, 2, 0), theirs.irf(5).irfs, atol=1e-10)
    ortho = f.impulse_responses(6, orthogonalised=True).transpose(1, 2, 0) / factor
    np.testing.assert_allclose(ortho, theirs.irf(5).orth_irfs, rtol=1e-7, atol=1e-10)
    inside = pd.DataFrame(GROWTH)
    fitted = VARForecaster(lags).fit(inside).predict(inside)
    np.testing.assert_allclose(fitted[lags:], theirs.fittedvalues, rtol=1e-7, atol=1e-12)


def test_a_trend_as_covariate():
    """Stata's VAR(1) of growth on a trend that counts from 3 at the second row; conditional on the first."""
    true = stata.lutkepohl_var1_exog
    X = np.arange(2.0, 77.0)[:, None]
    f = VARForecaster(constant=False).fit(X, GROWTH)
    assert f.loglik_ == pytest.approx(true["loglike"], abs=1e-3)
    np.testing.assert_allclose(f.params_["coef"].ravel(), true["params"][:9], atol=1e-5)
    np.testing.assert_allclose(f.params_["exog"].ravel(), true["params"][9:12], atol=2e-8)
    np.testing.assert_allclose(np.linalg.cholesky(f.params_["cov"])[np.tril_indices(3)], true["params"][12:], atol=2e-6)
    later = np.arange(77.0, 80.0)[:, None]
    last, expected = GROWTH[-1], []
    for x in later:
        last = f.params_["coef"][0] @ last + f.params_["exog"] @ x
        expected.append(last)
    np.testing.assert_allclose(f.predict(later), expected, rtol=1e-9)


def test_a_constant_and_a_trend_as_covariates():
    """Stata's log-likelihood and covariance stand in comments of its results; the root of the latter there is not its Cholesky root."""
    true, X = stata.lutkepohl_var1_exog2, np.column_stack([np.ones(75), np.arange(2.0, 77.0)])
    f = VARForecaster(constant=False).fit(X, GROWTH)
    assert f.loglik_ == pytest.approx(600.9801664685759, abs=1e-3)
    np.testing.assert_allclose(f.params_["coef"].ravel(), true["params"][:9], atol=2e-5)
    np.testing.assert_allclose(f.params_["exog"].ravel(), true["params"][9:15], atol=1e-6)
    cov = [0.00199918, 0.00005435, 0.00013469, 0.00012306, 0.00006251, 0.00010039]
    np.testing.assert_allclose(f.params_["cov"][np.tril_indices(3)], cov, atol=1e-8)


def test_exact_and_conditional_agree_with_the_dense_twin():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(40, 1)), GROWTH[:40, :2] * 100
    y = y.copy()
    y[5, 0], y[9], y[20:22, 1] = np.nan, np.nan, np.nan
    f = VARForecaster(2).fit(X, y)
    ssm = f.units_[0].ssm
    assert f.loglik_ == pytest.approx(dense.loglik(ssm, y, X), rel=1e-9)
    F = ssm.transition
    np.testing.assert_allclose(
        F @ ssm.initial_cov @ F.T + ssm.process_loading @ ssm.process_cov @ ssm.process_loading.T,
        ssm.initial_cov,
        rtol=1e-8,
    )
    later = rng.normal(size=(3, 1))
    joint = dense.joint(ssm, 43, np.vstack([X, later]))
    mean, cov, _ = dense.given(joint, joint.observations, np.vstack([y, np.full((3, 2), np.nan)]), 43)
    np.testing.assert_allclose(f.predict(later).ravel(), mean[80:], rtol=1e-7)
    np.testing.assert_allclose(f.forecast(later).distribution.cov[0, 2], cov[84:, 84:], rtol=1e-7)


@pytest.mark.parametrize("diagonal", [True, False])
def test_derivatives_of_the_stationary_model(diagonal):
    """Against central differences of the matrices."""
    rng = np.random.default_rng(3)
    p = {
        "coef": 0.3 * rng.normal(size=(2, 2, 2)),
        "cov": np.array([1.0, 2.0]) if diagonal else np.array([[1.0, 0.4], [0.4, 2.0]]),
        "mean": rng.normal(size=2),
        "exog": rng.normal(size=(2, 3)),
    }
    slopes = stationary_slopes(p)
    for name, value in p.items():
        for place in np.ndindex(*value.shape):
            step = np.zeros(value.shape)
            step[place] = 1e-6
            ahead, behind = (stationary_model(p | {name: value + sign * step}) for sign in (1, -1))
            for field in ahead._fields:
                if getattr(ahead, field) is None:
                    continue
                change = (getattr(ahead, field) - getattr(behind, field)) / 2e-6
                given = slopes[name][field][place] if field in slopes[name] else np.zeros_like(change)
                given = (given + given.T) / 2 if field == "initial_cov" else given
                np.testing.assert_allclose(given, change, atol=1e-7)


def test_missing_values_cost_little():
    """Holes in a long series leave the estimates close to those of the whole."""
    rng = np.random.default_rng(1)
    A = np.array([[0.6, 0.2], [-0.1, 0.5]])
    y = np.zeros((600, 2))
    for t in range(1, 600):
        y[t] = A @ y[t - 1] + rng.multivariate_normal([0.0, 0.0], [[1.0, 0.5], [0.5, 2.0]])
    holes = y.copy()
    holes[rng.random(y.shape) < 0.15] = np.nan
    f = VARForecaster().fit(holes)
    assert f.converged_
    assert np.abs((f.params_["coef"][0] - A) / f.stderr_["coef"][0]).max() < 3
    np.testing.assert_allclose(f.params_["cov"], [[1.0, 0.5], [0.5, 2.0]], atol=0.35)


def test_update_is_exact():
    news = np.tile(2 * GROWTH[0], (4, 1))
    whole = VARForecaster(2).fit(GROWTH).update(news)
    one_by_one = VARForecaster(2).fit(GROWTH)
    for row in news:
        one_by_one.update(row[None])
    np.testing.assert_allclose(one_by_one.predict(5), whole.predict(5), rtol=1e-12)
    params = whole.params_
    np.testing.assert_allclose(whole.predict(1)[0], params["const"] + params["coef"].sum(axis=0) @ news[0], rtol=1e-9)


def test_columns_that_wander():
    y = np.random.default_rng(2).normal(size=(80, 2)).cumsum(axis=0) + 1e3
    f = VARForecaster(2).fit(y)
    theirs = VAR(y).fit(2)
    np.testing.assert_allclose(f.predict(5), theirs.forecast(y[-2:], 5), rtol=1e-7)
    exact = VARForecaster(1, likelihood="exact").fit(y)
    assert np.isfinite(exact.loglik_)
    assert np.abs(np.linalg.eigvals(exact.params_["coef"][0])).max() < 1


@pytest.mark.parametrize(
    ("arguments", "rows", "words"),
    [
        ({"lags": 0}, GROWTH, "lags must be a whole number"),
        ({"cov": "spherical"}, GROWTH, "choose 'full' or 'diagonal'"),
        ({"likelihood": "whittle"}, GROWTH, "choose one of"),
        ({"likelihood": "conditional"}, np.where(np.eye(75, 3) > 0, np.nan, GROWTH), "has missing values"),
        ({"lags": 3}, GROWTH[:9], r"3 column\(s\) with 3 lag\(s\) need 14 observed rows or more; received 9 samples"),
    ],
)
def test_refusals(arguments, rows, words):
    with pytest.raises((InputError, TooShortError), match=words):
        VARForecaster(**arguments).fit(rows)
