"""ARIMA models against published fits: R's ?arima, Stata 12 (as statsmodels' test files have it), and statsmodels itself."""

import numpy as np
import pandas as pd
import pytest
from statsmodels.tsa.statespace.sarimax import SARIMAX
from statsmodels.tsa.statespace.tests.results import results_sarimax as stata

from ssmts import ARIMAForecaster
from ssmts.forecasting._arima_fit import _groups, _problem, sample_of
from ssmts.forecasting._arima_spec import read_orders
from ssmts.forecasting._mle import maximise


def classic(folder, name):
    return pd.read_csv(folder / "classics" / f"{name}.csv")["value"].to_numpy(float)


# name, transformation, arguments, parameters, log-likelihood: the help page of R's arima, and R's other data sets.
R_FITS = [
    ("LakeHuron", None, ((2, 0, 0),), (1.04361881, -0.2495024, 579.0472566, 0.4788206), -103.63322),
    ("lh", None, ((1, 0, 0),), (0.57392438, 2.4132856, 0.1974896), -29.379162),
    ("lh", None, ((3, 0, 0),), (0.6448013, -0.0633820, -0.2197964, 2.3931194, 0.1786603), -27.0924111),
    ("USAccDeaths", None, ((0, 1, 1), (0, 1, 1), 12), (-0.4302705, -0.5527283, 99352.6), -425.441102),
    ("lynx", np.log10, ((2, 0, 0),), (1.37760593, -0.7398767, None, 0.0510704), 6.5046595),
    ("AirPassengers", np.log, ((0, 1, 1), (0, 1, 1), 12), (-0.40182315, -0.5569365, 0.0013481), 244.69648683),
    ("AirPassengers", np.log, ((0, 1, 2), (0, 1, 1), 12), None, 244.805),
    ("AirPassengers", np.log, ((0, 1, 2), (0, 1, 2), 12), None, 245.074),
    ("Nile", None, ((0, 1, 1),), (-0.732942,), -632.5456251),
    ("Nile", None, ((2, 1, 1),), (0.256579, 0.0663624, -0.8896845, 19700.231), -630.448064),
]


@pytest.mark.data
@pytest.mark.parametrize("name, transform, arguments, parameters, loglik", R_FITS, ids=lambda x: str(x)[:20])
def test_fits_of_r(data_folder, name, transform, arguments, parameters, loglik):
    y = classic(data_folder, name)
    fitted = ARIMAForecaster(*arguments).fit(y if transform is None else transform(y))
    assert fitted.converged_
    np.testing.assert_allclose(fitted.loglik_, loglik, atol=6e-4 if parameters is None else 2e-6 * abs(loglik))
    for found, known in zip(fitted.params_.values(), parameters or ()):
        assert known is None or found == pytest.approx(known, rel=1e-4, abs=2e-5)


@pytest.mark.data
def test_criteria_count_what_was_estimated(data_folder):
    """The aic of R's ?arima."""
    lh, deaths = classic(data_folder, "lh"), classic(data_folder, "USAccDeaths")
    assert ARIMAForecaster((1, 0, 0)).fit(lh).aic_ == pytest.approx(64.76, abs=0.005)
    assert ARIMAForecaster((3, 0, 0)).fit(lh).aic_ == pytest.approx(64.18, abs=0.006)
    assert ARIMAForecaster((0, 1, 1), (0, 1, 1), 12).fit(deaths).aic_ == pytest.approx(856.88, abs=0.005)


WPI = np.array(stata.wpi1_data)
STATA_FITS = [
    (stata.wpi1_stationary, WPI, (1, 1, 1), True, "se_ar_oim", "se_ma_oim"),
    (stata.wpi1_ar3, WPI, (3, 1, 0), False, "se_ar", "se_ma"),
    (stata.wpi1_seasonal, np.log(WPI), (1, 1, (1, 4)), True, "se_ar_oim", "se_ma_oim"),
]


@pytest.mark.parametrize("known, y, order, constant, se_ar, se_ma", STATA_FITS, ids=["wpi1", "wpi1 ar3", "log wpi1"])
def test_fits_of_stata(known, y, order, constant, se_ar, se_ma):
    fitted = ARIMAForecaster(order, constant=constant).fit(y)
    values = [*known["params_ar"], *known["params_ma"], *known["params_mean"], *known["params_variance"]]
    np.testing.assert_allclose(list(fitted.params_.values()), values, rtol=1e-3)
    np.testing.assert_allclose(
        [fitted.loglik_, fitted.aic_, fitted.bic_], [known["loglike"], known["aic"], known["bic"]], rtol=1e-6
    )
    errors = fitted.standard_errors().to_numpy()[: len(known["params_ar"]) + len(known["params_ma"])]
    np.testing.assert_allclose(errors, [*known[se_ar], *known[se_ma]], rtol=0.06)


FRIEDMAN = np.array(stata.friedman2_data["consump"]), np.array(stata.friedman2_data["m2"])[:, None]


def test_regression_with_arma_errors_of_stata():
    known = stata.friedman2_mle
    y, X = FRIEDMAN
    fitted = ARIMAForecaster((1, 0, 1)).fit(X, y)
    assert fitted.loglik_ == pytest.approx(known["loglike"], rel=1e-7)
    assert fitted.aic_ == pytest.approx(known["aic"], abs=1e-3)
    assert fitted.bic_ == pytest.approx(known["bic"], abs=1e-3)
    found = [fitted.params_["constant"], fitted.coef_.iloc[0], fitted.params_["ar_1"], fitted.params_["ma_1"]]
    np.testing.assert_allclose(found, [*known["params_exog"], *known["params_ar"], *known["params_ma"]], rtol=1e-3)
    assert fitted.params_["var"] == pytest.approx(known["params_variance"][0], rel=5e-4)


def test_predictions_of_stata():
    """At the parameters that Stata found up to 1978q1: one-step predictions, and forecasts from there on."""
    known = stata.friedman2_predict
    y, X = FRIEDMAN
    fix = {
        "constant": known["params_exog"][0],
        "ar_1": known["params_ar"][0],
        "ma_1": known["params_ma"][0],
        "var": known["params_variance"][0],
    }
    n = len(y) - 15
    explained = known["params_exog"][1] * X[:, 0]
    every = pd.Series(y - explained)
    nothing = pd.DataFrame(index=every.index)
    whole = ARIMAForecaster((1, 0, 1), fix=fix).fit(every)
    np.testing.assert_allclose(whole.predict(nothing) + explained, known["predict"], rtol=2e-5)
    part = ARIMAForecaster((1, 0, 1), fix=fix).fit(every[:n])
    assert part.loglik_ == pytest.approx(known["loglike"], rel=1e-6)
    forecasts = np.concatenate([part.predict(nothing[:n]), part.predict(15)])
    np.testing.assert_allclose(forecasts + explained, known["forecast"], rtol=2e-5)


def test_lags_may_be_given():
    y = np.random.default_rng(0).normal(size=60).cumsum()
    assert ARIMAForecaster((2, 1, 1)).fit(y).params_ == ARIMAForecaster(((1, 2), 1, (1,))).fit(y).params_
    assert list(ARIMAForecaster(((2, 5), 0, 0), (0, 0, (2,)), 7).fit(y).params_) == [
        "ar_2",
        "ar_5",
        "seasonal_ma_2",
        "constant",
        "var",
    ]


@pytest.mark.parametrize("seed", range(6))
def test_no_worse_than_statsmodels(seed):
    """The maximum of the same likelihood, found from a start of our own."""
    rng = np.random.default_rng(seed)
    e = rng.normal(size=130)
    y = e[5:] + 0.5 * e[4:-1] + 0.4 * e[1:-4] + 0.2 * e[:-5]
    y = np.cumsum(y)[:120] if seed % 2 else y[:120]
    order, seasonal = (1, seed % 2, 1), (1, 0, int(seed % 3 != 0))
    ours = ARIMAForecaster(order, seasonal, 4, constant=False).fit(y)
    peer = SARIMAX(y, order=order, seasonal_order=(*seasonal, 4), simple_differencing=True)
    theirs = peer.fit(disp=0, maxiter=500)
    assert ours.loglik_ > theirs.llf - 1e-4
    params = [ours.params_.get(name, None) for name in ("ar_1", "ma_1", "seasonal_ar_1", "seasonal_ma_1", "var")]
    assert ours.loglik_ == pytest.approx(peer.loglike([x for x in params if x is not None]), rel=1e-8)


def noisy(seed):
    """Series that do not know their model: noise, a noisy walk, a noisy wave."""
    rng = np.random.default_rng(seed)
    e = rng.normal(size=80)
    return (e, e + 0.3 * rng.normal(size=80).cumsum(), 0.5 * e + np.sin(0.9 * np.arange(80)))[seed % 3]


# The highest of 40 climbs from random starts and of our own; none of them comes where regressions or round numbers start.
HIGHEST = [
    ((1, 0, 1), 15, -110.0962),
    ((1, 0, 1), 18, -109.5069),
    ((1, 0, 1), 39, -103.8170),
    ((2, 0, 2), 0, -107.1258),
    ((2, 0, 2), 6, -105.7228),
    ((2, 0, 2), 12, -102.3142),
    ((2, 0, 2), 28, -124.6466),
]


@pytest.mark.parametrize("order, seed, height", HIGHEST)
def test_roots_that_nearly_cancel_at_the_unit_circle(order, seed, height):
    fitted = ARIMAForecaster(order).fit(noisy(seed))
    assert fitted.converged_
    assert fitted.loglik_ > height - 1e-3


@pytest.mark.parametrize("order, seeds", [((1, 0, 1), (15, 18, 39)), ((2, 0, 2), (7,)), ((1, 1, 1), (0, 1, 2))])
def test_no_random_start_leads_higher(order, seeds):
    for seed in seeds:
        y, rng = noisy(seed), np.random.default_rng(seed)
        orders = read_orders(order, (0, 0, 0), None, None)
        likelihood = sample_of(orders, {}, y, None).likelihood
        groups, still = _groups(orders, np.full(len(orders.names), np.nan)), np.zeros(len(orders.names))
        problem = _problem(likelihood, still, groups)
        found = ARIMAForecaster(order).fit(y)
        assert found.converged_
        others = [maximise(problem, 1.5 * rng.normal(size=len(still))).loglik for _ in range(8)]
        assert found.loglik_ > max(others) - 1e-3
