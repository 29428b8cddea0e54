"""Dynamic factor models: Stata's likelihoods, statsmodels' mixed frequencies, the dense twin, and what must not matter."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import dense_gaussian as dense
from oracles.factors import indicators, mixed, random_case
from oracles.lutkepohl import GROWTH
from statsmodels.tsa.statespace.tests.results import results_dynamic_factor as stata

from ssmts import DynamicFactorForecaster, KalmanImputer
from ssmts.core.gaussian import loglik
from ssmts.exceptions import InputError, InputTypeError, TooShortError
from ssmts.forecasting._factor_model import FactorParams, model_of
from ssmts.forecasting._factor_rows import expected, plan_of


@pytest.mark.parametrize(
    ("case", "gap"),
    [
        ({"order": 2, "k": 1, "summed": 0}, 0),
        ({}, 0),
        ({"order": 3, "autoregressive": False}, 0),
        ({"k": 1, "order": 1}, 11),
        ({"order": 0, "autoregressive": False, "summed": 0}, 0),
        ({"summed": 0, "features": 2}, 11),
    ],
)
def test_the_differenced_form_is_the_model_with_states(case, gap):
    """Its likelihood is that of the dense joint Gaussian, and so are its factors."""
    rng = np.random.default_rng(1)
    p, y, X = random_case(rng, **case)
    y[10 : 10 + gap, 0] = np.nan
    autoregressive = case.get("autoregressive", True)
    plan = plan_of(y, X, p.weights, p.loadings.shape[1], len(p.ar), autoregressive)
    assert (gap > 0) <= (0 in plan.layout.columns)
    found = expected(plan, p)
    ssm, inputs = model_of(p, autoregressive), X if X.shape[1] else None
    assert found.loglik == pytest.approx(dense.loglik(ssm, y, inputs), rel=1e-9)
    joint = dense.joint(ssm, len(y), inputs)
    mean, cov, _ = dense.given(joint, joint.states, y, len(y))
    k, size = p.loadings.shape[1], len(ssm.initial_mean)
    now = (np.arange(len(y))[:, None] * size + np.arange(k)).ravel()
    np.testing.assert_allclose(found.mean[:, :k].ravel(), mean[now], atol=1e-9)
    np.testing.assert_allclose(found.cov[7, :k, :k], cov[7 * size :, 7 * size :][:k, :k], atol=1e-9)


def stata_params(true, exog=0, order=2):
    """Stata's numbers: loadings, coefficients, variances, autoregression."""
    numbers, N = np.array(true["params"]), 3
    ends = np.cumsum([N, exog * N, N, order])
    loadings, coef, var, ar = np.split(numbers, ends[:-1])
    coef = coef.reshape(N, exog)
    mean, exog = (coef[:, 0], coef[:, 1:]) if exog else (np.zeros(N), coef)
    return FactorParams(loadings[:, None], ar[:, None, None], np.eye(1), np.zeros(N), var, mean, exog, np.ones((N, 1)))


@pytest.mark.parametrize(
    ("name", "exog", "order", "height"),
    [
        ("lutkepohl_dfm", 0, 2, 594.0902),
        ("lutkepohl_dfm_exog1", 1, 1, 596.9782),
        ("lutkepohl_dfm_exog2", 2, 1, 597.4551),
    ],
)
def test_likelihoods_of_stata(name, exog, order, height):
    """At its parameters, and at ours, which are as good or better."""
    true = getattr(stata, name)
    p = stata_params(true, exog, order)
    X = np.arange(75.0)[:, None] + 2 if exog == 2 else None
    assert true["loglike"] == pytest.approx(height, abs=1e-4)
    assert loglik(model_of(p, False), GROWTH, X) == pytest.approx(height, abs=1e-3)
    f = DynamicFactorForecaster(1, order, idiosyncratic="white", constant=exog > 0, tol=1e-12, max_iter=5000)
    f.fit(*([GROWTH] if X is None else [X, GROWTH]))
    assert f.loglik_ == pytest.approx(height, abs=1e-3)
    found = f.params_
    sign = np.sign(p.loadings.sum())
    np.testing.assert_allclose(found["loadings"], sign * p.loadings, rtol=2e-2)
    np.testing.assert_allclose(found["idiosyncratic_var"], p.idio_var, rtol=2e-2)
    np.testing.assert_allclose(found["factor_ar"], p.ar, atol=2e-2)
    if exog == 1:
        np.testing.assert_allclose(found["mean"], p.mean, rtol=2e-2)


@pytest.mark.parametrize("autoregressive", [True, False])
def test_mixed_frequencies_of_statsmodels(autoregressive):
    p, y, _ = random_case(np.random.default_rng(2), order=2, autoregressive=autoregressive)
    model, numbers = mixed(p, y, autoregressive)
    assert loglik(model_of(p, autoregressive), y) == pytest.approx(model.loglike(numbers), rel=1e-9)


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"n_factors": 2, "factor_order": 2},
        {"idiosyncratic": "white", "factor_order": 3},
        {"groups": {"g": ["a", "c"]}},
    ],
)
def test_the_likelihood_never_falls(arguments):
    y, _ = indicators()
    y.iloc[20:45, 1] = np.nan  # a column that keeps states
    f = DynamicFactorForecaster(aggregation={"gdp": "growth"}, max_iter=60, tol=0.0, **arguments).fit(y)
    assert f.n_iter_ == len(f.logliks_) - 1 > 20
    assert f.converged_ == (f.n_iter_ < 60)
    assert np.diff(f.logliks_).min() > -1e-9 * abs(f.loglik_)
    assert f.loglik_ == pytest.approx(loglik(f.units_[0].ssm, y.to_numpy()), rel=1e-9)
    assert f.loglik_ == f.logliks_[-1]


def test_the_cycle_is_found():
    y, cycle = indicators(300)
    f = DynamicFactorForecaster(aggregation={"gdp": "growth"}).fit(y)
    found = f.factors_
    assert f.converged_
    assert np.corrcoef(found.mean["factor_1"], cycle)[0, 1] > 0.95
    assert f.params_["factor_ar"].item() == pytest.approx(0.8, abs=0.1)
    np.testing.assert_allclose(f.loadings_["factor_1"][:3] / f.loadings_["factor_1"]["a"], [1, 0.5, -2], atol=0.2)
    smoothed = f.smooth()
    np.testing.assert_allclose(found.mean["factor_1"], smoothed.smoothed_mean[:, 0], atol=1e-9)
    np.testing.assert_allclose(found.variance["factor_1"], smoothed.smoothed_cov[:, 0, 0], atol=1e-9)


ALIKE = {"aggregation": {"gdp": "growth"}, "max_iter": 15, "tol": 0.0}


@pytest.mark.parametrize(("steps", "tolerance"), [(1, 1e-6), (500, 1e-3)])
def test_what_must_not_matter(steps, tolerance):
    """The order of columns, their units and levels, and absent rows: after a step, and at the maximum, which is flat."""
    alike = {"aggregation": {"gdp": "growth"}, "max_iter": steps, "tol": 1e-11}
    y, _ = indicators()
    f = DynamicFactorForecaster(**alike).fit(y)
    frame = f.forecast(4).to_frame()
    turned = DynamicFactorForecaster(**alike).fit(y[["gdp", "c", "a", "b"]])
    assert turned.loglik_ == pytest.approx(f.loglik_, rel=tolerance / 1e3)
    np.testing.assert_allclose(turned.forecast(4).to_frame()[y.columns], frame, rtol=tolerance)
    size, shift = np.array([100.0, 1e-3, 1.0, 7.0]), np.array([5.0, 0.0, 1e3, -2.0])
    scaled = DynamicFactorForecaster(**alike).fit(y * size + shift)
    np.testing.assert_allclose(scaled.predict(4), f.predict(4) * size + shift, rtol=tolerance)
    np.testing.assert_allclose(
        scaled.forecast(4).distribution.cov, f.forecast(4).distribution.cov * np.outer(size, size), rtol=tolerance
    )
    np.testing.assert_allclose(scaled.loadings_["factor_1"], f.loadings_["factor_1"] * size, rtol=tolerance)
    units = float(np.log(size) @ y.notna().sum())
    assert scaled.loglik_ == pytest.approx(f.loglik_ - units, rel=tolerance / 1e3)
    empty = y.copy()
    empty.iloc[[30, 70, 71]] = np.nan
    a, b = DynamicFactorForecaster(**alike).fit(empty), DynamicFactorForecaster(**alike).fit(empty.dropna(how="all"))
    np.testing.assert_allclose(a.predict(4), b.predict(4), rtol=tolerance / 1e3)


def test_update_is_exact():
    """As if the model had been run over all rows, by the dense joint Gaussian."""
    y, _ = indicators(60)
    f = DynamicFactorForecaster(**ALIKE).fit(y[:50]).update(y[50:53]).update(y[53:])
    joint = dense.joint(f.units_[0].ssm, 63)
    rows = np.vstack([y.to_numpy(), np.full((3, 4), np.nan)])
    mean, cov, _ = dense.given(joint, joint.observations, rows, 60)
    np.testing.assert_allclose(f.predict(3).to_numpy().ravel(), mean[-12:], rtol=1e-8)
    np.testing.assert_allclose(f.forecast(3).distribution.cov[0, 2], cov[-4:, -4:], rtol=1e-8)


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"n_factors": 0}, InputError, "needs a factor"),
        ({"n_factors": 5}, InputError, r"n_factors is 5, but y has 4 column\(s\)"),
        ({"factor_order": -1}, InputError, "factor_order must be a whole number"),
        ({"idiosyncratic": "ar2"}, InputError, "choose one of"),
        ({"method": "powell"}, InputError, "choose one of"),
        ({"groups": {"g": ["z"]}}, InputError, "names column 'z'"),
        ({"groups": {"g": ["a"]}, "n_factors": 0}, InputError, "column 'b' has no factor"),
        ({"groups": ["a"]}, InputTypeError, "groups must map"),
        ({"aggregation": {"gdp": "mean"}}, InputError, "choose one of"),
        ({"aggregation": {"a": "growth"}}, InputError, "observed in neighbouring rows"),
        ({"aggregation": {"a": [1.0, -1.0]}}, InputError, "do not add up to zero"),
        ({"tol": -1}, InputError, "tol must be"),
    ],
)
def test_refusals(arguments, error, words):
    y, _ = indicators()
    with pytest.raises(error, match=words):
        DynamicFactorForecaster(**arguments).fit(y)
    with pytest.raises(TooShortError, match="sample"):
        DynamicFactorForecaster(2).fit(y[:2].fillna(0.0))


def test_a_pipeline_fills_holes_with_factors():
    """What is known of one column is known from the others."""
    y, cycle = indicators(120)
    y.iloc[10:100:3, 0] = np.nan
    filled = KalmanImputer(DynamicFactorForecaster(**ALIKE)).set_output(transform="pandas").fit_transform(y)
    assert not filled.isna().any(axis=None)
    np.testing.assert_allclose(filled.to_numpy()[y.notna()], y.to_numpy()[y.notna()], rtol=1e-9)
    holes = y["a"].isna()
    assert np.abs(filled["a"][holes] - cycle[holes]).mean() < 0.7  # of a cycle with a standard deviation of 1.7


@pytest.mark.parametrize("idiosyncratic", ["ar1", "white"])
def test_parts_add_up(idiosyncratic):
    """To the column where it was observed, and to the forecasts; variances are those of the states."""
    y, _ = indicators(90)
    f = DynamicFactorForecaster(idiosyncratic=idiosyncratic, groups={"g": ["a", "gdp"]}, **ALIKE).fit(y)
    for name in y:
        parts = f.decompose(column=name)
        assert list(parts.mean) == ["factor_1", "g", "idiosyncratic", "constant"]
        seen = y[name].notna()
        np.testing.assert_allclose(parts.mean.sum(axis=1)[seen], y[name][seen], rtol=1e-7)
        ahead = f.decompose(5, column=name)
        np.testing.assert_allclose(ahead.mean.sum(axis=1), f.predict(5)[name], rtol=1e-9)
    assert ahead.mean.index.equals(f.predict(5).index)
    load = f.params_["loadings"][0]
    monthly = f.decompose(column="a")
    np.testing.assert_allclose(monthly.mean[["factor_1", "g"]], f.factors_.mean * load, atol=1e-8)
    np.testing.assert_allclose(monthly.variance[["factor_1", "g"]], f.factors_.variance * load**2, atol=1e-8)
    variance = np.diagonal(f.forecast(5).distribution.cov[0], axis1=1, axis2=2)[:, 0]
    parts = f.decompose(5, column="a").variance
    np.testing.assert_allclose(parts.to_numpy()[4].sum(), variance[4], rtol=0.3)  # nearly independent by then
    with pytest.raises(InputError, match="Pass column="):
        f.decompose()


def test_parts_of_covariates():
    X = np.random.default_rng(0).normal(size=(75, 1)) / 50
    f = DynamicFactorForecaster(idiosyncratic="white", max_iter=10).fit(X[:70], GROWTH[:70] + X[:70])
    parts = f.decompose(X[70:], column=1)
    assert list(parts.mean) == ["factor_1", "idiosyncratic", "constant", "regression"]
    np.testing.assert_allclose(parts.mean.sum(axis=1), f.predict(X[70:])[:, 1], rtol=1e-9)
    np.testing.assert_allclose(parts.mean["regression"], X[70:, 0] * f.params_["exog"][1], rtol=1e-9)


@pytest.mark.parametrize(
    ("name", "exog", "order"), [("lutkepohl_dfm", 0, 2), ("lutkepohl_dfm_exog1", 1, 1), ("lutkepohl_dfm_exog2", 2, 1)]
)
def test_maximum_likelihood_of_stata(name, exog, order):
    """Its parameters and standard errors; Stata keeps the data in single precision."""
    true = getattr(stata, name)
    p = stata_params(true, exog, order)
    errors = true["bse_oim"] if "bse_oim" in true else np.sqrt(true["var_oim"])
    e = stata_params({"params": errors}, exog, order)
    X = np.arange(75.0)[:, None] + 2 if exog == 2 else None
    f = DynamicFactorForecaster(1, order, idiosyncratic="white", constant=exog > 0, method="ml")
    f.fit(*([GROWTH] if X is None else [X, GROWTH]))
    assert f.converged_
    assert f.loglik_ == pytest.approx(true["loglike"], abs=1e-3)
    assert f.loglik_ == pytest.approx(loglik(f.units_[0].ssm, GROWTH, X), rel=1e-9)
    sign = np.sign(p.loadings.sum())
    found, spread = f.params_, f.stderr_
    np.testing.assert_allclose(found["loadings"], sign * p.loadings, rtol=2e-3)
    np.testing.assert_allclose(spread["loadings"], e.loadings, rtol=1e-2)
    np.testing.assert_allclose(found["factor_ar"], p.ar, atol=2e-3)
    np.testing.assert_allclose(spread["factor_ar"], e.ar, rtol=1e-2)
    np.testing.assert_allclose(found["idiosyncratic_var"], p.idio_var, rtol=2e-3)
    np.testing.assert_allclose(spread["idiosyncratic_var"], e.idio_var, rtol=2e-2)
    if exog:
        np.testing.assert_allclose(found["mean"], p.mean, rtol=2e-3)
        np.testing.assert_allclose(spread["mean"], e.mean, rtol=2e-2)
        np.testing.assert_allclose(found["exog"], p.exog, rtol=2e-2, atol=1e-7)
        np.testing.assert_allclose(spread["exog"], e.exog, rtol=2e-2)


def test_maximum_likelihood_is_where_em_goes():
    """With two common factors, a quarter and autoregressions."""
    y, _ = indicators(60)
    options = {"n_factors": 2, "aggregation": {"gdp": "sum"}, "idiosyncratic": "white"}
    em = DynamicFactorForecaster(tol=1e-7, **options).fit(y)
    ml = DynamicFactorForecaster(tol=1e-7, method="ml", **options).fit(y)
    assert em.loglik_ < ml.loglik_ < em.loglik_ + 5
    assert ml.loglik_ == pytest.approx(loglik(ml.units_[0].ssm, y.to_numpy()), rel=1e-9)
    assert np.isnan(em.stderr_["loadings"]).all()
    assert np.isfinite(ml.stderr_["mean"]).all()


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    k=st.integers(1, 3),
    order=st.integers(0, 3),
    summed=st.integers(0, 2),
    holes=st.floats(0.0, 0.7),
    autoregressive=st.booleans(),
)
def test_any_pattern_of_holes_has_one_likelihood(seed, k, order, summed, holes, autoregressive):
    """Whatever the plan chooses: the likelihood of the model with states, by the engine."""
    case = {"n": 40, "outputs": 5, "k": k, "order": order, "summed": summed}
    p, y, X = random_case(np.random.default_rng(seed), holes=holes, autoregressive=autoregressive, **case)
    plan = plan_of(y, X, p.weights, k, order, autoregressive)
    assert expected(plan, p).loglik == pytest.approx(loglik(model_of(p, autoregressive), y), rel=1e-9, abs=1e-9)
