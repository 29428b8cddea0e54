"""ARIMA against gretl, Stata, R and Matlab, as the result files of statsmodels' tests have them (`tsa/tests/results`).

Without a test, for these reasons: conditional sums of squares and least squares of the same files (`css`, `AROLS`), which are not
offered; Stata's end for ARIMA(1, 1, 2) with a constant, whose moving average is not invertible and lies 6 below gretl's maximum, which is
tested instead; `results_arima_exog_forecasts_mle.csv`, whose covariate and model are not said; the first of gretl's dynamic forecasts of
`results_arima_forecasts_all_mle.csv`, after five rows, for which gretl takes the noise before the first row for zero.
"""

from importlib import import_module
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import statsmodels.tsa.tests.results as results
from statsmodels.datasets import macrodata, sunspots
from statsmodels.tsa.statespace.tests.results import results_sarimax
from statsmodels.tsa.tests.results import results_arma, results_arma_acf
from statsmodels.tsa.tests.results.results_process import armarep

from ssmts import ARIMAForecaster
from ssmts.core.gaussian._kernels.arma import covariances, responses

FOLDER = Path(results.__file__).parent
PRICES = macrodata.load_pandas().data["cpi"].to_numpy(dtype=float)


def deviations(forecast):
    return np.sqrt(forecast.distribution.variance()[0, :, 0])


def one_step(y, order, constant=None):
    """A fit, and its predictions of the rows it was fitted to."""
    rows = pd.Series(y)
    fitted = ARIMAForecaster(order, constant=constant).fit(rows)
    return fitted, fitted.predict(pd.DataFrame(index=rows.index)).to_numpy()


ARMA = {"11": (1, 0, 1), "14": (1, 0, 4), "41": (4, 0, 1), "22": (2, 0, 2), "50": (5, 0, 0), "02": (0, 0, 2)}


@pytest.mark.parametrize("constant", [False, True])
@pytest.mark.parametrize("name", ARMA)
def test_gretl_on_simulated_series(name, constant):
    """Exact maximum likelihood: estimates, criteria, standard errors, predictions, residuals, and ten rows ahead."""
    label = name + "c" * constant
    gretl = getattr(results_arma, f"Y_arma{label}")()
    y = pd.read_csv(FOLDER / "y_arma_data.csv")[f"y_arma{label}"].to_numpy()
    fitted, predicted = one_step(y, ARMA[name], constant)
    assert fitted.converged_
    found = [fitted.loglik_, fitted.aic_, fitted.bic_]
    np.testing.assert_allclose(found, [gretl.llf, gretl.aic, gretl.bic], rtol=1e-10)
    first = [fitted.params_["constant"]] if constant else []
    coefficients = [value for key, value in fitted.params_.items() if key not in ("constant", "var")]
    np.testing.assert_allclose([*first, *coefficients], gretl.params, rtol=2e-5, atol=2e-5)
    assert fitted.params_["var"] == pytest.approx(gretl.sigma2, rel=1e-7)
    errors = fitted.standard_errors().drop(["constant", "var"], errors="ignore")
    np.testing.assert_allclose(errors, gretl.bse[len(first) :], rtol=2e-3)
    np.testing.assert_allclose(predicted, gretl.fittedvalues, atol=3e-4)
    np.testing.assert_allclose(y - predicted, gretl.resid, atol=3e-4)
    if hasattr(gretl, "forecast"):
        ahead = fitted.forecast(10)
        np.testing.assert_allclose(ahead.mean, gretl.forecast, atol=1e-5)
        np.testing.assert_allclose(deviations(ahead), gretl.forecasterr, atol=1e-5)


@pytest.mark.parametrize("name", ["111", "111nc", "112nc", "211", "211nc"])
def test_stata_on_consumer_prices(name):
    """Stata keeps the data in single precision. Its standard errors are outer products of gradients, which are not offered."""
    stata = import_module(f"statsmodels.tsa.tests.results.arima{name}_results").results
    order, constant = tuple(int(i) for i in name[:3]), not name.endswith("nc")
    fitted, predicted = one_step(PRICES, order, constant)
    criteria = [fitted.loglik_, fitted.aic_, fitted.bic_]
    np.testing.assert_allclose(criteria, [stata["llf"][0], *stata["icstats"][4:6]], atol=6e-4)
    first = [fitted.params_["constant"]] if constant else []
    coefficients = [value for key, value in fitted.params_.items() if key not in ("constant", "var")]
    found = [*first, *coefficients, np.sqrt(fitted.params_["var"])]
    np.testing.assert_allclose(found, stata["params"], rtol=2e-4)
    np.testing.assert_allclose(PRICES[1:] - predicted[1:], stata["resid"][1:], atol=2e-4)
    np.testing.assert_allclose(predicted[1:] - PRICES[:-1], stata["xb"][1:], atol=2e-4)


def test_gretl_on_consumer_prices_with_two_moving_average_lags():
    fitted = ARIMAForecaster((1, 1, 2), constant=True).fit(PRICES)
    assert fitted.aic_ == pytest.approx(488.8925, abs=5e-5)
    assert fitted.bic_ == pytest.approx(505.4338, abs=5e-5)
    p, errors = fitted.params_, fitted.standard_errors()
    assert 1 / p["ar_1"] == pytest.approx(1.0324, abs=5e-5)
    np.testing.assert_allclose(sorted(np.roots([p["ma_2"], p["ma_1"], 1.0])), [-4.8613, 1.1447], atol=2e-4)
    known = np.sqrt([9.69682e-04, 0.00698068, 0.00713662])
    np.testing.assert_allclose(errors[["ar_1", "ma_1", "ma_2"]], known, rtol=2e-3)


@pytest.mark.parametrize("name", ["111nc", "111c", "211nc", "211c"])
def test_gretl_forecasts_consumer_prices(name):
    """25 quarters ahead; and from 2000 on by what was estimated from all rows."""
    gretl = pd.read_csv(FOLDER / "results_arima_forecasts.csv")
    arguments = {"order": tuple(int(i) for i in name[:3]), "constant": name[3:] == "c"}
    fitted = ARIMAForecaster(**arguments).fit(PRICES)
    ahead = fitted.forecast(25)
    np.testing.assert_allclose(ahead.mean, gretl[f"fc{name}"][-25:], atol=2e-4)
    np.testing.assert_allclose(deviations(ahead), gretl[f"fc{name}se"][-25:], atol=1e-4)
    start = 164  # 2000Q1
    earlier = ARIMAForecaster(**arguments, fix=fitted.params_).fit(PRICES[:start])
    np.testing.assert_allclose(earlier.predict(64), gretl[f"fc{name}dyn"], atol=4e-4)


@pytest.mark.parametrize("file, order, rows", [("arima111", (1, 1, 1), 203), ("arima212", (2, 1, 2), 203)])
def test_x12_forecasts_consumer_prices(file, order, rows):
    """Three digits of a forecast, four of its error, and its interval of 95 %."""
    name = "arima111_forecasts.csv" if file == "arima111" else "arima212_forecast.csv"
    known = pd.read_csv(FOLDER / name, skipinitialspace=True).iloc[:, 1:]
    known.columns = ["cpi", "predict", "stderr", "low", "high"]
    np.testing.assert_allclose(known["cpi"].iloc[:rows], PRICES, atol=1e-9)
    fitted = ARIMAForecaster(order, constant=True).fit(PRICES)
    ahead, known = fitted.forecast(len(known) - rows), known.iloc[rows:].astype(float)
    np.testing.assert_allclose(ahead.mean, known["predict"], atol=2e-3)
    np.testing.assert_allclose(deviations(ahead), known["stderr"], atol=2e-4)
    low, high = ahead.quantile(0.025), ahead.quantile(0.975)
    np.testing.assert_allclose(low, known["low"], atol=2e-3)
    np.testing.assert_allclose(high, known["high"], atol=2e-3)


def test_gretl_on_four_autoregressive_lags_of_changes():
    """gretl ended on a hill with a moving average of 0.93914; one on the unit circle is higher by 0.09."""
    gretl = pd.read_csv(FOLDER / "results_arima_forecasts_all_mle.csv")
    order, rows = (4, 1, 1), pd.Series(PRICES)
    fitted = ARIMAForecaster(order, constant=True, fix={"ma_1": 0.939145}).fit(rows)
    predicted = fitted.predict(pd.DataFrame(index=rows.index)).to_numpy()
    highest = ARIMAForecaster(order, constant=True).fit(rows)
    assert fitted.loglik_ + 0.09 < highest.loglik_ < fitted.loglik_ + 0.1
    assert highest.params_["ma_1"] > 0.999
    np.testing.assert_allclose(predicted[1:], gretl["fc"][1:203], atol=2e-5)
    np.testing.assert_allclose(fitted.predict(25), gretl["fc"][203:], atol=1e-5)
    for column, atol in (("fcdyn2", 2e-3), ("fcdyn3", 2e-5)):
        known = gretl[column].dropna()
        earlier = ARIMAForecaster(order, constant=True, fix=fitted.params_).fit(PRICES[: known.index[0]])
        np.testing.assert_allclose(earlier.predict(len(known)), known, atol=atol)


def test_gretl_on_nine_lags_of_sunspots():
    y, order = sunspots.load_pandas().data["SUNACTIVITY"].to_numpy(), (9, 0, 0)
    fitted, predicted = one_step(y, order)
    gretl = np.loadtxt(FOLDER / "ARMLEConstantPredict.csv", delimiter=",")[:, 1]
    np.testing.assert_allclose(np.concatenate([predicted, fitted.predict(25)]), gretl, atol=2e-4)
    for _, known in pd.read_csv(FOLDER / "results_ar_forecast_mle_dynamic.csv").iloc[:, :4].items():
        known = known.dropna()
        earlier = ARIMAForecaster(order, fix=fitted.params_).fit(y[: known.index[0]])
        np.testing.assert_allclose(earlier.predict(len(known)), known, atol=2e-4)


def test_airline_of_stata():
    """Its air2; standard errors from the observed information."""
    known = results_sarimax.air2_stationary
    fitted = ARIMAForecaster((0, 1, 1), (0, 1, 1), 12).fit(np.log(np.array(known["data"])))
    found = [*fitted.params_.values()]
    np.testing.assert_allclose(
        found, [*known["params_ma"], *known["params_seasonal_ma"], *known["params_variance"]], rtol=3e-5
    )
    criteria = [fitted.loglik_, fitted.aic_, fitted.bic_]
    np.testing.assert_allclose(criteria, [known["loglike"], known["aic"], known["bic"]], rtol=2e-7)
    errors = fitted.standard_errors()[["ma_1", "seasonal_ma_1"]]
    np.testing.assert_allclose(errors, [*known["se_ma_oim"], *known["se_seasonal_ma_oim"]], rtol=1e-3)


@pytest.mark.parametrize("name", ["dynamic_predict", "dynamic_forecast"])
def test_dynamic_predictions_of_stata(name):
    """Consumption and money: errors forecast from the end of 1977 on, with the line in money that is known."""
    known = results_sarimax.friedman2_predict
    y, x = np.array(known["data"]["consump"]), np.array(known["data"]["m2"])
    explained, start = known["params_exog"][1] * x, len(y) - 16
    constant, ar = known["params_exog"][0], known["params_ar"][0]
    fix = {"constant": constant, "ar_1": ar, "ma_1": known["params_ma"][0], "var": known["params_variance"][0]}
    earlier = ARIMAForecaster((1, 0, 1), fix=fix).fit((y - explained)[:start])
    np.testing.assert_allclose(earlier.predict(16) + explained[start:], known[name][start:], rtol=2e-5)


R_CORRELATIONS = {
    "bd_example_3_3_2": ([1, -0.25], [1]),
    "custom_example_1": ([1, -0.25], [1, 0.2]),
    "custom_example_2": ([1, -0.25], [1, 0.2, 0.3]),
    "custom_example_3": ([1, -0.25], [1, 0.2, 0.3, -0.35]),
    "custom_example_4": ([1, -0.25], [1, 0.2, 0.3, -0.35, -0.1]),
    "custom_example_5": ([1, -0.25, 0.1], [1, 0.2]),
    "custom_example_6": ([1, -0.25, 0.1, -0.05], [1, 0.2]),
    "custom_example_7": ([1, -0.25, 0.1, -0.05, 0.02], [1, 0.2]),
}


@pytest.mark.parametrize("name", R_CORRELATIONS)
def test_autocorrelations_of_r(name):
    """ARMAacf; the first is Brockwell and Davis (1991), example 3.3.2."""
    ar, ma = (np.array(x, dtype=complex) for x in R_CORRELATIONS[name])
    g = np.empty(10, dtype=complex)
    assert covariances(ar, ma, g)
    np.testing.assert_allclose((g / g[0]).real, getattr(results_arma_acf, name), rtol=1e-10)


def test_weights_of_matlab():
    """Of the moving average without end, and, with both sides changed, of the autoregression without end."""
    ar, ma = armarep.ar[1:], armarep.ma[1:]
    for left, right, known in ((-ar, ma, armarep.marep), (-ma, ar, -armarep.arrep)):
        psi = np.empty(21, dtype=complex)
        responses(left.astype(complex), right.astype(complex), psi)
        np.testing.assert_allclose(psi.real[1:], known.ravel(), rtol=1e-9, atol=1e-14)
