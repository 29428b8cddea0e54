"""A fitted ARIMA model in use: forecasts, updates, missing rows, covariates, panels, hard series."""

import numpy as np
import pandas as pd
import pytest

from ssmts import ARIMAForecaster
from ssmts.exceptions import InputError, TooShortError
from ssmts.forecasting._arima_spec import read_orders
from ssmts.persist import load, save

AIRLINE = ARIMAForecaster((0, 1, 1), (0, 1, 1), 4, fix={"ma_1": -0.4, "seasonal_ma_1": -0.6, "var": 1.5})
FIXED = [
    AIRLINE,
    ARIMAForecaster((2, 0, 1), fix={"ar_1": 0.5, "ar_2": 0.2, "ma_1": 0.4, "constant": 3.0, "var": 2.0}),
    ARIMAForecaster(((1, 3), 1, 0), constant=True, fix={"ar_1": 0.3, "ar_3": 0.3, "constant": 0.2, "var": 1.0}),
    ARIMAForecaster((0, 2, 1), fix={"ma_1": -0.5, "var": 1.0}),
]


def walk(n, seed=0, missing=0.0):
    rng = np.random.default_rng(seed)
    y = rng.normal(size=n).cumsum() + 5
    y[rng.random(n) < missing] = np.nan
    return y


def psi_weights(forecaster, horizon):
    """Of the undifferenced series, by long division."""
    orders = read_orders(forecaster.order, forecaster.seasonal_order, forecaster.season_length, None)
    phi, theta = orders.polynomials(np.array([forecaster.fix[name] for name in orders.names]))
    full = -np.convolve(np.append(1.0, -phi), orders.differences)[1:]
    psi = np.zeros(horizon)
    psi[0] = 1.0
    for i in range(1, horizon):
        psi[i] = (theta[i - 1] if i <= len(theta) else 0.0) + sum(
            full[j] * psi[i - 1 - j] for j in range(min(i, len(full)))
        )
    return psi


@pytest.mark.parametrize("forecaster", FIXED, ids=str)
def test_variance_of_forecasts_is_that_of_the_psi_weights(forecaster):
    fitted = forecaster.fit(walk(200))
    expected = forecaster.fix["var"] * np.cumsum(psi_weights(forecaster, 12) ** 2)
    # the moving average has been learnt to rounding after two hundred rows
    interval = fitted.predict_interval(12, level=95)
    np.testing.assert_allclose(((interval[:, 1] - interval[:, 0]) / 2 / 1.959963984540054) ** 2, expected, rtol=1e-6)


@pytest.mark.parametrize("forecaster", FIXED, ids=str)
def test_paths_have_the_moments_of_the_forecast(forecaster):
    fitted = forecaster.fit(walk(60, 1))
    values = np.asarray(fitted.sample(6, n_paths=20_000, random_state=0)).T
    spread = np.sqrt(forecaster.fix["var"] * np.cumsum(psi_weights(forecaster, 6) ** 2))
    np.testing.assert_allclose(values.mean(axis=0), fitted.predict(6), atol=0.05 * spread.max())
    np.testing.assert_allclose(values.std(axis=0), spread, rtol=0.03)


@pytest.mark.parametrize("forecaster", FIXED, ids=str)
@pytest.mark.parametrize("cut", [25, 59])
def test_update_is_the_filter_of_all_rows(forecaster, cut):
    y = walk(60, 2, missing=0.15)
    y[0] = 1.0
    whole, part = forecaster.fit(y), forecaster.__class__(**forecaster.get_params()).fit(y[:cut])
    part.update(y[cut:])
    np.testing.assert_allclose(part.predict(9), whole.predict(9), rtol=1e-9)
    np.testing.assert_allclose(part.predict_quantiles(9), whole.predict_quantiles(9), rtol=1e-9)


def test_update_row_by_row_with_covariates():
    rng = np.random.default_rng(3)
    X = pd.DataFrame(rng.normal(size=(80, 2)), columns=["a", "b"], index=pd.date_range("2024", periods=80))
    y = pd.Series(walk(80, 4), index=X.index) + X @ [2.0, -1.0]
    fitted = ARIMAForecaster((1, 1, 1)).fit(X[:60], y[:60])
    fix = dict(fitted.params_.items())
    for t in range(60, 70):
        fitted.update(X[t : t + 1], y[t : t + 1])
    rest = y - X @ fitted.coef_
    alone = ARIMAForecaster((1, 1, 1), fix=fix).fit(rest[:70])
    np.testing.assert_allclose(fitted.predict(X[70:]) - X[70:] @ fitted.coef_, alone.predict(10), rtol=1e-9)


def test_effects_are_found_and_shown_with_errors():
    rng = np.random.default_rng(5)
    X = pd.DataFrame({"a": rng.normal(size=300), "b": rng.normal(size=300) + 50.0})
    y = X @ [2.0, -1.0] + walk(300, 6)
    for missing in (0.0, 0.1):
        seen = y.where(rng.random(300) >= missing)
        fitted = ARIMAForecaster((1, 1, 0), constant=True).fit(X, seen)
        assert np.all(np.abs(fitted.coef_ - [2.0, -1.0]) < 4 * fitted.coef_stderr_)
        assert np.all(fitted.coef_stderr_.between(0.02, 0.1))
        text = fitted.summary()
        assert "coef b" in text
        assert "constant" in text
        assert "(1, 1, 0)" in text


def test_columns_that_cannot_be_told_apart_have_no_error():
    rng = np.random.default_rng(7)
    x = rng.normal(size=80)
    X = pd.DataFrame({"x": x, "again": x, "one": 1.0, "other": rng.normal(size=80)})
    fitted = ARIMAForecaster((0, 1, 1)).fit(X, walk(80, 8) + 3 * x)
    assert fitted.coef_["x"] == pytest.approx(fitted.coef_["again"])
    assert fitted.coef_["x"] == pytest.approx(1.5, abs=0.3)
    assert fitted.coef_["one"] == pytest.approx(0.0, abs=1e-9)
    assert list(fitted.coef_stderr_.isna()) == [True, True, True, False]


def test_missing_rows_are_absent_rows():
    index = pd.date_range("2024", periods=60)
    y = pd.Series(walk(60, 9), index=index)
    y.iloc[[5, 17, 18, 40]] = np.nan
    whole, absent = (ARIMAForecaster((1, 1, 1), freq="D").fit(rows) for rows in (y, y.dropna()))
    assert whole.loglik_ == pytest.approx(absent.loglik_, rel=1e-12)
    pd.testing.assert_series_equal(whole.predict(5), absent.predict(5))


def test_one_missing_row_hardly_moves_the_estimates():
    y = walk(400, 10)
    hole = y.copy()
    hole[200] = np.nan
    whole, part = (ARIMAForecaster((0, 1, 1), (0, 1, 1), 4).fit(rows) for rows in (y, hole))
    assert whole.converged_
    assert part.converged_
    assert part.params_["seasonal_ma_1"] == pytest.approx(whole.params_["seasonal_ma_1"], abs=0.02)
    assert part.loglik_ == pytest.approx(whole.loglik_, abs=6)


def test_units_of_measurement_change_nothing():
    y = walk(120, 11)
    one, other = (ARIMAForecaster((1, 0, 1)).fit(rows) for rows in (y, 1e6 + 1e3 * y))
    for name in ("ar_1", "ma_1"):
        assert one.params_[name] == pytest.approx(other.params_[name], abs=2e-4)
    assert one.loglik_ - 120 * np.log(1e3) == pytest.approx(other.loglik_, abs=1e-4)


@pytest.mark.parametrize("y", [np.zeros(20), np.full(20, 3.0), np.arange(20.0), np.tile([1.0, 2, 3, 4], 6)], ids=str)
def test_series_that_the_model_reproduces(y):
    fitted = ARIMAForecaster((0, 1, 1), (0, 1, 1), 4).fit(y)
    assert not fitted.converged_
    expected = np.arange(20.0, 28.0) if y[-1] == 19.0 else np.resize(y[:4], 8)
    np.testing.assert_allclose(fitted.predict(8), expected, atol=1e-6)
    assert np.isfinite(fitted.loglik_)


@pytest.mark.parametrize("seed", range(8))
def test_overdifferenced_and_nearly_integrated_series_are_fitted(seed):
    rng = np.random.default_rng(seed)
    e = rng.normal(size=150)
    over = ARIMAForecaster((1, 1, 1)).fit(e)
    assert over.params_["ma_1"] < -0.85
    assert np.isfinite(over.loglik_)
    near = ARIMAForecaster((1, 0, 0)).fit(e.cumsum())
    assert 0.75 < near.params_["ar_1"] < 1.0
    assert near.converged_


def test_a_long_season_costs_a_state_a_row():
    y = np.tile(np.random.default_rng(12).normal(size=168), 6) + 0.1 * walk(1008, 13)
    fitted = ARIMAForecaster((0, 1, 1), (0, 1, 1), 168).fit(y)
    assert len(fitted.state_) == 170
    assert fitted.converged_
    assert np.abs(fitted.predict(168) - y[-168:]).max() < 1.0


def test_panels_and_files(tmp_path):
    index = pd.MultiIndex.from_product([["a", "b"], pd.date_range("2024", periods=50)], names=["id", "ds"])
    y = pd.Series(np.concatenate([walk(50, 14), walk(50, 15)]), index=index, name="y")
    fitted = ARIMAForecaster((1, 1, 0)).fit(y)
    assert list(fitted.params_.index) == ["a", "b"]
    assert list(fitted.params_.columns) == ["ar_1", "var"]
    alone = ARIMAForecaster((1, 1, 0)).fit(y["b"])
    assert fitted.params_.loc["b", "ar_1"] == alone.params_["ar_1"]
    save(fitted, tmp_path / "model", data=True)
    again = load(tmp_path / "model")
    pd.testing.assert_series_equal(again.predict(4), fitted.predict(4))
    assert again.summary("b") == fitted.summary("b")
    assert again.standard_errors("b")["ar_1"] == pytest.approx(1 / np.sqrt(49), rel=0.3)


def test_diagnostics_see_what_is_left():
    y = walk(300, 16)
    assert ARIMAForecaster((0, 1, 0)).fit(y).diagnostics().ljung_box_p > 0.01
    assert ARIMAForecaster((0, 0, 0)).fit(y).diagnostics().ljung_box_p < 1e-6
    with pytest.raises(InputError, match="lags"):
        ARIMAForecaster((0, 1, 0)).fit(y).diagnostics(lags=0)


def test_given_parameters_stay_and_are_not_counted():
    y = walk(80, 17)
    free, fixed = ARIMAForecaster((2, 1, 0)).fit(y), ARIMAForecaster((2, 1, 0), fix={"ar_1": 0.0}).fit(y)
    assert fixed.params_["ar_1"] == 0.0
    assert fixed.loglik_ <= free.loglik_ + 1e-6
    lags = ARIMAForecaster(((2,), 1, 0)).fit(y)
    assert fixed.loglik_ == pytest.approx(lags.loglik_, abs=1e-6)
    assert fixed.aic_ == pytest.approx(lags.aic_, abs=1e-5)
    assert "given" in fixed.summary()


def test_what_cannot_be_fitted_is_refused():
    y = walk(80, 18)
    with pytest.raises(InputError, match="'ma_1'"):
        ARIMAForecaster((1, 0, 0), fix={"ma_1": 0.0}).fit(y)
    with pytest.raises(InputError, match="stationary"):
        ARIMAForecaster((1, 0, 0), fix={"ar_1": 1.2}).fit(y)
    with pytest.raises(InputError, match="greater than zero"):
        ARIMAForecaster((1, 0, 0), fix={"var": 0.0}).fit(y)
    with pytest.raises(TooShortError, match="observed rows or more"):
        ARIMAForecaster((0, 1, 1), (0, 1, 1), 12).fit(y[:15])
    y[3::4] = np.nan
    with pytest.raises(TooShortError, match="undetermined"):
        ARIMAForecaster((0, 0, 0), (0, 1, 1), 4).fit(y)


@pytest.mark.parametrize("order", [(0, 0, 0), (1, 0, 0), (2, 0, 1), (0, 1, 1), (1, 1, 0)])
@pytest.mark.parametrize("missing", [False, True])
def test_a_series_that_is_reproduced_exactly_keeps_its_constant_and_effects(order, missing):
    X = np.random.default_rng(19).standard_normal((40, 2))
    gap = np.where(np.isin(np.arange(40), [7, 8, 21]) & missing, np.nan, 0.0)
    np.testing.assert_allclose(ARIMAForecaster(order).fit(gap + 5.0).predict(3), 5.0, rtol=1e-8)
    line = ARIMAForecaster(order, constant=True).fit(gap + (5.0 if not order[1] else 2.0 * np.arange(40)))
    np.testing.assert_allclose(line.predict(3), 5.0 if not order[1] else [80.0, 82.0, 84.0], rtol=1e-8)
    fitted = ARIMAForecaster(order).fit(X, gap + 3.0 + X @ [2.0, -1.0])
    np.testing.assert_allclose(fitted.predict(X[:4]), 3.0 + X[:4] @ [2.0, -1.0], rtol=1e-7)
