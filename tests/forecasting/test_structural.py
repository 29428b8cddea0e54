"""StructuralForecaster against published results, against statsmodels, and against itself."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.datasets
from oracles import structural_reference as reference
from oracles.statsmodels_models import macro
from scipy.stats import chi2
from statsmodels.tsa.statespace.structural import UnobservedComponents
from statsmodels.tsa.statespace.tests.results import results_structural

from ssmts import StructuralForecaster

NILE = statsmodels.datasets.nile.load_pandas().data["volume"].to_numpy(dtype=float)
NILE_FIXED = {"obs_var": 15099.0, "level_var": 1469.1}


def rows_of(data_folder, file, column, logarithm):
    values = pd.read_csv(data_folder / "classics" / f"{file}.csv")[column].to_numpy(dtype=float)
    return np.log(values) if logarithm else values


def assert_reference(forecaster, loglik, params):
    assert forecaster.converged_
    np.testing.assert_allclose(forecaster.loglik_, loglik, atol=2e-6)
    assert list(forecaster.params_) == list(params)
    scale = max(params.values())
    for name, value in params.items():
        np.testing.assert_allclose(forecaster.params_[name], value, rtol=2e-4, atol=1e-10 * scale)


@pytest.mark.data
@pytest.mark.parametrize("name", reference.CASES)
def test_published_estimates(name, data_folder):
    source, arguments, loglik, params = reference.CASES[name]
    assert_reference(StructuralForecaster(**arguments).fit(rows_of(data_folder, *source)), loglik, params)


@pytest.mark.data
@pytest.mark.parametrize("name", reference.PER_ROW)
def test_likelihoods_as_they_were_printed(name, data_folder):
    source, arguments, *_ = reference.CASES[name]
    y = rows_of(data_folder, *source)
    found = StructuralForecaster(**arguments).fit(y)
    proper = found.loglik_ + found.n_diffuse_ / 2 * np.log(2 * np.pi)
    assert proper / len(y) == pytest.approx(reference.PER_ROW[name], abs=5e-8)
    if name == "Finland":
        assert proper == pytest.approx(reference.FINLAND, abs=5e-4)
    if "trigonometric" in name:
        for parameter, value in reference.DRIVERS_OF_THE_BOOK.items():
            assert found.params_[parameter] == pytest.approx(value, rel=3e-4)


# What StructuralForecaster calls the models that KFAS fitted to unemployment; what is zero in them is given.
OF_KFAS = {
    "deterministic_constant": ("fixed", {}),
    "local_level": ("local_level", {}),
    "random_walk": ("local_level", {"obs_var": 0}),
    "deterministic_trend": ("local_linear", {"level_var": 0, "slope_var": 0}),
    "local_linear_deterministic_trend": ("local_linear", {"slope_var": 0}),
    "random_walk_with_drift": ("local_linear", {"slope_var": 0, "obs_var": 0}),
    "local_linear_trend": ("local_linear", {}),
    "smooth_trend": ("smooth", {}),
    "random_trend": ("smooth", {"obs_var": 0}),
}


@pytest.mark.parametrize("name", OF_KFAS)
def test_maxima_of_kfas_on_unemployment(name):
    """Where KFAS ends, or a little above where it stops at a small variance that should be zero."""
    (trend, fix), known = OF_KFAS[name], getattr(results_structural, name)
    y = macro()["unemp"].to_numpy()
    found = StructuralForecaster(trend, fix=fix).fit(y)
    height = found.loglik_ + found.n_diffuse_ / 2 * np.log(2 * np.pi)
    assert found.converged_
    assert known["llf"] - 1e-6 < height < known["llf"] + 5e-3
    free = [value for key, value in found.params_.items() if key not in fix]
    np.testing.assert_allclose(free, known["params"], rtol=5e-3, atol=1e-5)


def test_estimates_of_the_nile():
    _, arguments, loglik, params = reference.CASES["Nile"]
    forecaster = StructuralForecaster(**arguments).fit(NILE)
    assert_reference(forecaster, loglik, params)
    assert forecaster.aic_ == pytest.approx(2 * 3 - 2 * loglik, abs=1e-5)
    assert forecaster.bic_ == pytest.approx(np.log(100) * 3 - 2 * loglik, abs=1e-5)
    assert forecaster.n_diffuse_ == 1


@pytest.mark.data
def test_effect_of_the_seat_belt_law(data_folder):
    y = rows_of(data_folder, "UKDriverDeaths", "value", True)
    law = pd.read_csv(data_folder / "classics" / "Seatbelts.csv")[["law"]]
    forecaster = StructuralForecaster(trend="local_level", season_length=12, seasonal="dummy").fit(law, y)
    assert_reference(forecaster, reference.SEAT_BELT_LAW["loglik"], reference.SEAT_BELT_LAW["params"])
    assert forecaster.coef_["law"] == pytest.approx(reference.SEAT_BELT_LAW["coef"], rel=1e-5)
    assert forecaster.coef_stderr_["law"] == pytest.approx(reference.SEAT_BELT_LAW["stderr"], rel=1e-4)


@pytest.mark.parametrize("trend, y, values, loglik", reference.DIFFUSE_TOYS)
def test_diffuse_likelihood_of_ten_rows(trend, y, values, loglik):
    forecaster = StructuralForecaster(trend=trend, fix=values).fit(np.array(y))
    assert forecaster.loglik_ == pytest.approx(loglik, abs=1e-10)
    assert forecaster.converged_


def test_nile_with_given_variances():
    forecaster = StructuralForecaster(trend="local_level", fix=NILE_FIXED).fit(NILE)
    assert forecaster.params_ == NILE_FIXED
    mean, variance = reference.NILE_NEXT_STATE
    assert forecaster.state_["level"] == pytest.approx(mean, rel=1e-10)
    assert forecaster.units_[0].state.cov[0, 0] == pytest.approx(variance, rel=1e-9)
    frame = forecaster.decompose()
    for row, (mean, variance) in reference.NILE_SMOOTHED.items():
        assert frame.mean["level"][row] == pytest.approx(mean, rel=1e-10)
        assert frame.variance["level"][row] == pytest.approx(variance, rel=1e-9)
    spread = forecaster.forecast(30).distribution.variance()[0, :, 0]
    for lead, variance in reference.NILE_FORECAST_VARIANCE.items():
        assert spread[lead - 1] == pytest.approx(variance, rel=1e-9)


def test_nile_with_missing_rows():
    y = NILE.copy()
    y[20:40] = y[60:80] = np.nan
    forecaster = StructuralForecaster(trend="local_level", fix=NILE_FIXED).fit(y)
    assert forecaster.loglik_ == pytest.approx(reference.NILE_MISSING_LOGLIK, abs=1e-8)
    frame = forecaster.decompose()
    for row, (mean, variance) in reference.NILE_MISSING_SMOOTHED.items():
        assert frame.mean["level"][row] == pytest.approx(mean, rel=1e-10)
        assert frame.variance["level"][row] == pytest.approx(variance, rel=1e-9)


def test_diagnostics_of_the_nile():
    found = StructuralForecaster(trend="local_level", fix=NILE_FIXED).fit(NILE).diagnostics(lags=9)
    for name, value in reference.NILE_DIAGNOSTICS.items():
        assert getattr(found, name) == pytest.approx(value, abs=0.006)
    assert found.residuals.shape == (99,)


def test_diagnostics_of_the_nile_by_eviews():
    """Van den Bossche (2011): residuals at EViews' estimates, and their probabilities."""
    values = dict(zip(("obs_var", "level_var"), np.exp([9.600350, 7.348705])))
    found = StructuralForecaster("local_level", fix=values).fit(NILE).diagnostics(lags=10)
    known = {"ljung_box": 13.117, "normality": 0.041686, "normality_p": 0.979373}
    for name, value in known.items():
        assert getattr(found, name) == pytest.approx(value, rel=1e-3)
    assert chi2.sf(found.ljung_box, 10) == pytest.approx(0.217, abs=5e-4)


def monthly(n=120, seed=0):
    rng = np.random.default_rng(seed)
    season = np.tile(rng.normal(0, 3, 12), n // 12 + 1)[:n]
    return 50 + rng.normal(0, 0.7, n).cumsum() + season + rng.normal(0, 1, n)


PEERS = {
    "local_level": ({"trend": "local_level"}, {"level": "llevel"}),
    "local_linear": ({"trend": "local_linear"}, {"level": "lltrend"}),
    "fixed": ({"trend": "fixed"}, {"level": "dconstant"}),
    "dummy": (
        {"trend": "local_linear", "season_length": 12, "seasonal": "dummy"},
        {"level": "lltrend", "seasonal": 12},
    ),
    "trigonometric": (
        {"trend": "local_level", "season_length": 12, "harmonics": 3},
        {"level": "llevel", "freq_seasonal": [{"period": 12, "harmonics": 3}]},
    ),
    "autoregressive": ({"trend": "local_level", "autoregressive": 1}, {"level": "llevel", "autoregressive": 1}),
}
ORDER = {"ar_1": 2, "ar_var": 1}  # statsmodels puts the coefficient last


@pytest.mark.parametrize("name", PEERS)
def test_statsmodels_at_our_estimates_agrees_and_cannot_climb_higher(name):
    ours, theirs = PEERS[name]
    y = monthly()
    y[30:34] = np.nan
    forecaster = StructuralForecaster(**ours).fit(y)
    values = sorted(forecaster.params_.items(), key=lambda item: ORDER.get(item[0], 0))
    peer = UnobservedComponents(y, use_exact_diffuse=True, **theirs)
    result = peer.smooth([value for _, value in values])
    assert forecaster.loglik_ == pytest.approx(result.llf, abs=1e-7)
    frame = forecaster.decompose()
    np.testing.assert_allclose(frame.mean["level"], result.level.smoothed, rtol=1e-8)
    if "fixed" not in name:
        np.testing.assert_allclose(frame.variance["level"], result.level.smoothed_cov, rtol=1e-6)
    ahead = result.get_forecast(24)
    forecast = forecaster.forecast(24)
    np.testing.assert_allclose(forecast.mean, ahead.predicted_mean, rtol=1e-8)
    np.testing.assert_allclose(forecast.distribution.variance()[0, :, 0], ahead.var_pred_mean, rtol=1e-7)
    climbed = peer.fit([value for _, value in values], disp=0, method="nm", maxiter=50)
    assert climbed.llf < forecaster.loglik_ + 1e-6


def test_standard_errors_equal_those_of_an_approximate_hessian():
    forecaster = StructuralForecaster(trend="local_level").fit(NILE)
    peer = UnobservedComponents(NILE, "llevel", use_exact_diffuse=True)
    values = np.array(list(forecaster.params_.values()))
    steps = np.diag(1e-3 * values)
    hessian = np.empty((2, 2))
    for i in range(2):
        for j in range(2):
            signs = [(a, b, peer.loglike(values + a * steps[i] + b * steps[j])) for a in (1, -1) for b in (1, -1)]
            hessian[i, j] = sum(a * b * x for a, b, x in signs) / (4 * steps[i, i] * steps[j, j])
    expected = np.sqrt(np.diag(np.linalg.inv(-hessian)))
    lines = {line.split()[0]: line.split() for line in forecaster.summary().splitlines() if line}
    for name, value in zip(forecaster.params_, expected):
        assert float(lines[name][2]) == pytest.approx(value, rel=1e-3)


def test_constant_and_covariates_alone_are_least_squares():
    rng = np.random.default_rng(3)
    X = rng.normal(size=(40, 2)) * [1.0, 1e4] + [5.0, 1e6]
    y = 3 + X @ [2.0, -1e-4] + rng.normal(size=40)
    forecaster = StructuralForecaster(trend="fixed").fit(X, y)
    design = np.column_stack([np.ones(40), X])
    beta, rss, _, _ = np.linalg.lstsq(design, y, rcond=None)
    s2 = rss[0] / 37
    np.testing.assert_allclose(forecaster.coef_, beta[1:], rtol=1e-7)
    np.testing.assert_allclose(forecaster.params_["obs_var"], s2, rtol=1e-6)
    errors = np.sqrt(np.diag(np.linalg.inv(design.T @ design)) * s2)
    np.testing.assert_allclose(forecaster.coef_stderr_, errors[1:], rtol=1e-5)
    np.testing.assert_allclose(forecaster.state_["level"], beta[0], rtol=1e-6)
    future = rng.normal(size=(3, 2)) * [1.0, 1e4] + [5.0, 1e6]
    np.testing.assert_allclose(forecaster.predict(future), beta[0] + future @ beta[1:], rtol=1e-8)
