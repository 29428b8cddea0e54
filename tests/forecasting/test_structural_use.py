"""StructuralForecaster in use: updating, covariates, panels, components, summaries."""

import numpy as np
import pandas as pd
import pytest

from ssmts import StructuralForecaster, load, save
from ssmts.exceptions import InputError, SsmtsError, UnknownSeriesError

FIXED = {
    "level": ({"trend": "local_level"}, {"obs_var": 1.0, "level_var": 0.3}),
    "season": (
        {"trend": "local_linear", "season_length": 7, "seasonal": "dummy"},
        {"obs_var": 1.0, "level_var": 0.3, "slope_var": 0.001, "season_var": 0.01},
    ),
    "two seasons": (
        {"trend": "damped", "season_length": (7, 30.5), "harmonics": (None, 2)},
        {
            "obs_var": 1.0,
            "level_var": 0.3,
            "slope_var": 0.01,
            "damping": 0.9,
            "season_7_var": 0.01,
            "season_30.5_var": 0.001,
        },
    ),
    "cycle and autoregression": (
        {"trend": "fixed", "cycle": (5, 20), "autoregressive": 2},
        {
            "obs_var": 1.0,
            "cycle_period": 9.0,
            "cycle_damping": 0.8,
            "cycle_var": 0.5,
            "ar_1": 0.4,
            "ar_2": 0.2,
            "ar_var": 0.3,
        },
    ),
}


def daily(n=100, seed=0):
    rng = np.random.default_rng(seed)
    y = 100 + rng.normal(0, 0.5, n).cumsum() + 4 * np.sin(2 * np.pi * np.arange(n) / 7) + rng.normal(0, 1, n)
    y[[5, 30, 31]] = np.nan
    return y


def covariates(n=100, seed=1, start=0):
    rng = np.random.default_rng(seed)
    columns = {"price": 50 + rng.normal(size=n), "holiday": (rng.random(n) < 0.2).astype(float)}
    return pd.DataFrame(columns, index=pd.RangeIndex(start, start + n))


@pytest.mark.parametrize("with_X", [False, True])
@pytest.mark.parametrize("name", FIXED)
def test_fit_equals_fit_and_update(name, with_X):
    arguments, fix = FIXED[name]
    y, X, future = daily(), covariates().to_numpy(), covariates(10, 2).to_numpy()
    rows = (lambda a, b: (X[a:b], y[a:b])) if with_X else (lambda a, b: (y[a:b],))
    whole = StructuralForecaster(**arguments, fix=fix).fit(*rows(0, 100))
    parts = StructuralForecaster(**arguments, fix=fix).fit(*rows(0, 60)).update(*rows(60, 61)).update(*rows(61, 100))
    a, b = (f.forecast(future if with_X else 10) for f in (whole, parts))
    np.testing.assert_allclose(b.mean, a.mean, rtol=1e-9)
    np.testing.assert_allclose(b.distribution.variance(), a.distribution.variance(), rtol=1e-8)
    np.testing.assert_allclose(parts.state_, whole.state_, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("name", FIXED)
def test_predictions_of_training_rows_are_those_an_updating_forecaster_makes(name):
    arguments, fix = FIXED[name]
    y = daily()
    index = pd.date_range("2024", periods=100, freq="D")
    series = pd.Series(y, index=index)
    mean = StructuralForecaster(**arguments, fix=fix).fit(series).predict(series)
    moving = StructuralForecaster(**arguments, fix=fix).fit(series[:80])
    for t in range(80, 100):
        assert mean.iloc[t] == pytest.approx(moving.predict(1).iloc[0], rel=1e-7)
        moving.update(series[t : t + 1])


def test_memory_of_a_long_pass_is_bounded_and_changes_nothing(monkeypatch):
    arguments, fix = FIXED["season"]
    y, X = daily(), covariates().to_numpy()
    whole = StructuralForecaster(**arguments, fix=fix).fit(X, y)
    monkeypatch.setattr("ssmts.forecasting._structural_unit._CHUNK", 11**2 * 7)
    parts = StructuralForecaster(**arguments, fix=fix).fit(X, y)
    assert parts.loglik_ == pytest.approx(whole.loglik_, rel=1e-12)
    np.testing.assert_allclose(parts.state_, whole.state_, rtol=1e-9)
    np.testing.assert_allclose(parts.diagnostics().residuals, whole.diagnostics().residuals, rtol=1e-7)
    mean, variance = (whole._one_step_unit(whole.units_[0], y, X), parts._one_step_unit(whole.units_[0], y, X))
    np.testing.assert_allclose(mean, variance, rtol=1e-7)


def test_paths_have_the_moments_of_the_forecast():
    forecaster = StructuralForecaster(trend="local_linear", season_length=7).fit(daily())
    forecast = forecaster.forecast(20)
    paths = forecast.sample(4000, random_state=0)
    spread = np.sqrt(forecast.distribution.variance()[0, :, 0])
    np.testing.assert_allclose(paths.mean(axis=1), forecast.mean, atol=0.08 * spread.max())
    np.testing.assert_allclose(paths.std(axis=1), spread, rtol=0.06)
    # jointly: neighbouring rows of a random walk are correlated
    assert np.corrcoef(paths[-1], paths[-8])[0, 1] > 0.5


def test_components_add_up_in_sample():
    y, X = daily(), covariates()
    forecaster = StructuralForecaster(trend="local_linear", season_length=7, cycle=(8, 20), autoregressive=1).fit(X, y)
    parts = forecaster.decompose()
    assert list(parts.mean.columns) == ["level", "season", "cycle", "autoregressive", "regression", "irregular"]
    seen = ~np.isnan(y)
    np.testing.assert_allclose(parts.mean.sum(axis=1, min_count=1)[seen], y[seen], rtol=1e-10)
    assert parts.mean["irregular"][~seen].isna().all()
    assert (parts.variance.drop(columns="irregular") > 0).all().all()
    np.testing.assert_allclose(parts.mean["regression"], X @ forecaster.coef_, rtol=1e-6)
    frame = parts.to_frame()
    np.testing.assert_allclose(frame["season_sd"] ** 2, parts.variance["season"])


def test_components_add_up_in_a_forecast():
    y, X = daily(), covariates()
    forecaster = StructuralForecaster(trend="damped", season_length=7).fit(X, y)
    future = covariates(12, 3, start=100)
    parts = forecaster.decompose(future)
    np.testing.assert_allclose(parts.mean.sum(axis=1), forecaster.predict(future), rtol=1e-10)
    assert parts.index.tolist() == list(range(100, 112))
    np.testing.assert_allclose(parts.mean["regression"], future @ forecaster.coef_, rtol=1e-8)
    assert (parts.variance > 0).all().all()


def test_variance_of_the_signal_is_that_of_the_forecast_without_noise():
    forecaster = StructuralForecaster(trend="local_level").fit(daily())
    parts, forecast = forecaster.decompose(5), forecaster.forecast(5)
    expected = forecast.distribution.variance()[0, :, 0] - forecaster.params_["obs_var"]
    np.testing.assert_allclose(parts.variance["level"], expected)


def test_components_of_rows_that_have_no_forecast_are_refused():
    series = pd.Series(daily(), index=pd.date_range("2024", periods=100, freq="D"))
    forecaster = StructuralForecaster(trend="local_level").fit(series)
    with pytest.raises(InputError, match="call decompose\\(\\) for those before"):
        forecaster.decompose(series[90:])
    ahead = forecaster.decompose(pd.DataFrame(index=pd.to_datetime(["2024-04-12"])))  # the third row ahead
    assert ahead.variance["level"].iloc[0] == pytest.approx(forecaster.decompose(3).variance["level"].iloc[2])


def test_covariates_do_not_depend_on_their_units_or_origin():
    y, X = daily(), covariates()
    forecaster = StructuralForecaster(trend="local_level", season_length=7).fit(X, y)
    other = StructuralForecaster(trend="local_level", season_length=7).fit(X * [1e-3, 1e5] + [7.0, 1e6], y)
    np.testing.assert_allclose(other.coef_ * [1e-3, 1e5], forecaster.coef_, rtol=1e-4)
    assert other.loglik_ + np.log(1e-3 * 1e5) == pytest.approx(forecaster.loglik_, abs=1e-4)
    future = covariates(5, 4, start=100)
    a, b = forecaster.predict(future), other.predict(future * [1e-3, 1e5] + [7.0, 1e6])
    np.testing.assert_allclose(a, b, rtol=1e-6)


def test_covariates_that_depend_on_each_other_share_their_effect():
    y, X = daily(), covariates()
    X = X.assign(again=2 * X["price"], constant=3.0)
    forecaster = StructuralForecaster(trend="local_level").fit(X, y)
    single = StructuralForecaster(trend="local_level").fit(X[["price", "holiday"]], y)
    assert forecaster.coef_["price"] + 2 * forecaster.coef_["again"] == pytest.approx(single.coef_["price"], rel=1e-5)
    assert forecaster.coef_["constant"] == 0.0
    assert forecaster.coef_stderr_[["price", "again", "constant"]].isna().all()
    assert forecaster.coef_stderr_["holiday"] == pytest.approx(single.coef_stderr_["holiday"], rel=1e-5)
    constant = StructuralForecaster(trend="local_level").fit(X[["constant"]], y)
    assert constant.coef_["constant"] == 0.0
    future = X[["constant"]][:3].set_index(pd.RangeIndex(100, 103))
    np.testing.assert_allclose(
        constant.predict(future), StructuralForecaster(trend="local_level").fit(y).predict(3), rtol=1e-9
    )


def test_no_level_means_that_the_series_moves_about_zero():
    rng = np.random.default_rng(0)
    e = rng.normal(size=300)
    y = np.zeros(300)
    for t in range(1, 300):
        y[t] = 0.8 * y[t - 1] + e[t]
    forecaster = StructuralForecaster(trend="none", autoregressive=1, fix={"obs_var": 0.0}).fit(y)
    assert forecaster.params_["ar_1"] == pytest.approx(0.8, abs=0.1)
    np.testing.assert_allclose(forecaster.predict(3), y[-1] * forecaster.params_["ar_1"] ** np.arange(1, 4), rtol=1e-8)
    assert forecaster.n_diffuse_ == 0


def test_a_cycle_is_found():
    rng = np.random.default_rng(2)
    state, y = np.array([3.0, 0.0]), []
    turn = 0.97 * np.array([[np.cos(0.5), np.sin(0.5)], [-np.sin(0.5), np.cos(0.5)]])
    for _ in range(300):
        y.append(10 + state[0] + 0.3 * rng.normal())
        state = turn @ state + 0.5 * rng.normal(size=2)
    forecaster = StructuralForecaster(trend="fixed", cycle=True).fit(np.array(y))
    assert forecaster.params_["cycle_period"] == pytest.approx(2 * np.pi / 0.5, rel=0.05)
    assert forecaster.params_["cycle_damping"] == pytest.approx(0.97, abs=0.03)


def test_a_season_of_fractional_length_is_followed():
    n = 300
    t = np.arange(n + 52)
    y = 5 * np.sin(2 * np.pi * t / 52.18) + 0.1 * np.random.default_rng(0).normal(size=n + 52)
    forecaster = StructuralForecaster(trend="local_level", season_length=52.18, harmonics=3).fit(y[:n])
    assert np.abs(forecaster.predict(52) - y[n:]).max() < 0.6
    assert set(forecaster.params_) == {"obs_var", "level_var", "season_var"}


def test_a_panel_equals_its_series_one_by_one():
    panel = pd.concat({name: pd.Series(daily(seed=i), name="y") for i, name in enumerate(["a", "b"])})
    forecaster = StructuralForecaster(trend="local_level", season_length=7).fit(panel)
    for name in ["a", "b"]:
        alone = StructuralForecaster(trend="local_level", season_length=7).fit(panel[name])
        assert forecaster.params_.loc[name].to_dict() == alone.params_
        assert forecaster.loglik_[name] == alone.loglik_
        assert forecaster.converged_[name]
        np.testing.assert_array_equal(forecaster.state_.loc[name], alone.state_)
        np.testing.assert_array_equal(forecaster.predict(5)[name], alone.predict(5))
        assert forecaster.summary(series=name).splitlines()[2:] == alone.summary().splitlines()[2:]
        pd.testing.assert_frame_equal(forecaster.decompose(series=name).mean, alone.decompose().mean)
        pd.testing.assert_frame_equal(forecaster.decompose(4, series=name).mean, alone.decompose(4).mean)
        assert forecaster.diagnostics(series=name).ljung_box == alone.diagnostics().ljung_box


def test_columns_of_a_wide_frame_are_named():
    wide = pd.DataFrame({"x": daily(), "z": daily(seed=1)})
    forecaster = StructuralForecaster(trend="local_level").fit(wide)
    assert forecaster.params_.index.tolist() == ["x", "z"]
    assert "of z" in forecaster.summary(column="z")
    with pytest.raises(InputError, match="pass column=, one of 'x', 'z'"):
        forecaster.decompose()
    with pytest.raises(UnknownSeriesError, match="no column 'q'"):
        forecaster.diagnostics(column="q")
    assert forecaster.decompose(column="x").mean["level"].shape == (100,)


def test_summary_shows_what_was_given_and_what_stands_on_its_boundary():
    y, X = daily(), covariates()
    forecaster = StructuralForecaster(trend="local_linear", season_length=7, fix={"obs_var": 1.2}).fit(X, y)
    lines = {line.split()[0]: line for line in forecaster.summary().splitlines() if line}
    assert lines["obs_var"].split()[1:] == ["1.2", "-", "given"]
    assert "97 observed rows, 10 diffuse states, converged" in forecaster.summary()
    coefficients = [line for line in forecaster.summary().splitlines() if line.startswith("coef")]
    assert coefficients[0].split()[:2] == ["coef", "price"]
    assert float(coefficients[0].split()[3]) == pytest.approx(forecaster.coef_stderr_["price"], rel=1e-5)


def test_a_variance_of_zero_has_no_standard_error():
    forecaster = StructuralForecaster(trend="local_level").fit(np.random.default_rng(1).normal(size=60))
    assert forecaster.params_["level_var"] == 0.0
    lines = {line.split()[0]: line.split() for line in forecaster.summary().splitlines() if line}
    assert lines["level_var"][1:] == ["0", "-"]
    variance = forecaster.params_["obs_var"]
    assert float(lines["obs_var"][2]) == pytest.approx(variance * np.sqrt(2 / 59), rel=1e-3)  # of a normal variance


def test_a_saved_forecaster_forecasts_without_its_rows(tmp_path):
    y, X = daily(), covariates()
    forecaster = StructuralForecaster(trend="damped", season_length=7, cycle=True).fit(X, y)
    path = tmp_path / "model.ssmts"
    save(forecaster, path)
    again = load(path)
    future = covariates(3, 5, start=100)
    np.testing.assert_array_equal(again.predict(future), forecaster.predict(future))
    assert again.params_ == forecaster.params_
    assert "not saved" in again.summary()
    for method in (again.decompose, again.diagnostics):
        with pytest.raises(SsmtsError, match="not saved"):
            method()
    np.testing.assert_array_equal(again.decompose(future).mean, forecaster.decompose(future).mean)


def test_transformed_target_is_described_on_its_own_scale():
    from sklearn.preprocessing import FunctionTransformer

    logarithm = FunctionTransformer(np.log, np.exp)
    y = np.exp(daily() / 50)
    forecaster = StructuralForecaster(trend="local_level", target_transform=logarithm).fit(y)
    plain = StructuralForecaster(trend="local_level").fit(np.log(y))
    assert forecaster.params_ == pytest.approx(plain.params_)
    np.testing.assert_allclose(forecaster.decompose().mean, plain.decompose().mean)


def test_decomposition_is_drawn():
    import matplotlib.pyplot as plt

    series = pd.Series(daily(), index=pd.date_range("2024", periods=100, freq="D"))
    parts = StructuralForecaster(trend="local_level", season_length=7).fit(series).decompose()
    axes = parts.plot(level=80)
    assert [ax.get_title(loc="left") for ax in axes] == ["level", "season", "irregular"]
    plt.close(axes[0].figure)


@pytest.mark.parametrize("lags", [0, 200, True, 2.5])
def test_lags_that_cannot_be_used(lags):
    with pytest.raises(InputError, match="lags must be a whole number"):
        StructuralForecaster(trend="local_level").fit(daily()).diagnostics(lags)


def test_more_covariates_than_the_rows_can_bear_are_reduced_to_their_principal_components():
    rng = np.random.default_rng(0)
    common = rng.normal(size=(20, 1))
    X = common + 0.01 * rng.normal(size=(20, 30))
    y = 5 * common[:, 0] + 0.1 * rng.normal(size=20)
    forecaster = StructuralForecaster(trend="local_level").fit(X, y)
    assert forecaster.n_diffuse_ == 20 - 3  # as many as leave a row more than diffuse states and variances
    assert forecaster.coef_stderr_.isna().all()
    assert forecaster.predict(np.ones((1, 30)))[0] == pytest.approx(5.0, abs=1.0)
