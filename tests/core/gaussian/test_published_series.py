"""More results of Stata, KFAS, GAUSS and Matlab that ship with statsmodels: regressions, moving averages, factors, offsets, full noise."""

import re

import numpy as np
import pandas as pd
import pytest
from oracles.statsmodels_models import RESULTS, converted, macro, observations, table
from statsmodels.tsa.statespace.dynamic_factor import DynamicFactor
from statsmodels.tsa.statespace.sarimax import SARIMAX
from statsmodels.tsa.statespace.tests.results import (
    results_dynamic_factor,
    results_kalman_filter,
    results_sarimax,
    results_varmax,
)
from statsmodels.tsa.statespace.varmax import VARMAX

from ssmts.core.gaussian import filter, loglik, smooth
from ssmts.core.linalg.lyapunov import solve_lyapunov
from ssmts.core.types import LinearGaussianSSM, TimeVarying

from .test_published import WPI1, columns, growth, vector

ROWS = 75  # to 1978, on which Stata estimated; it predicted 16 rows more
BOTH = np.column_stack([np.ones(91), np.arange(91) + 2.0])


def lutkepohl(columns=3, rows=ROWS):
    return np.diff(np.log(np.array(results_varmax.lutkepohl_data, dtype=float)), axis=0)[:rows, :columns]


KINDS = {
    "dfm": ({"k_factors": 1, "factor_order": 2}, 3, 0),
    "dfm2": ({"k_factors": 2, "factor_order": 1}, 3, 0),
    "dfm_exog1": ({"k_factors": 1, "factor_order": 1}, 3, 1),
    "dfm_exog2": ({"k_factors": 1, "factor_order": 1}, 3, 2),
    "dfm_gen": (
        {"k_factors": 1, "factor_order": 1, "error_var": True, "error_order": 1, "error_cov_type": "unstructured"},
        3,
        0,
    ),
    "dfm_ar2": ({"k_factors": 1, "factor_order": 1, "error_order": 2}, 3, 0),
    "dfm_scalar": ({"k_factors": 1, "factor_order": 1, "error_cov_type": "scalar"}, 3, 1),
    "sfm": ({"k_factors": 1, "factor_order": 0}, 3, 0),
    "sur": ({"k_factors": 0, "factor_order": 0, "error_cov_type": "unstructured"}, 3, 2),
    "sur_auto": (
        {"k_factors": 0, "factor_order": 0, "error_order": 1, "error_var": True, "error_cov_type": "diagonal"},
        2,
        2,
    ),
}


def predicted(model, y, more, start):
    """Predictions: A row ahead, then of `more` rows after the series; and the same if nothing is seen from row `start` on."""
    rows, ssm = np.concatenate([y, np.full((more, y.shape[1]), np.nan)]), converted(model.ssm)
    H, d = (x.values if isinstance(x, TimeVarying) else x for x in (ssm.observation, ssm.obs_offset))
    for seen in (len(y), start):
        rows[seen:] = np.nan
        yield (H @ filter(ssm, rows).predicted_mean[: len(rows), :, None])[..., 0] + d


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.filterwarnings("ignore::statsmodels.tools.sm_exceptions.EstimationWarning")
def test_stata_on_factors_and_their_predictions(name):
    arguments, width, n_exog = KINDS[name]
    stata = getattr(results_dynamic_factor, f"lutkepohl_{name}")
    y = lutkepohl(width)
    whole = np.concatenate([y, np.full((16, width), np.nan)])
    model = DynamicFactor(whole, exog=BOTH[:, :n_exog] if n_exog else None, **arguments)
    model.update(np.array(stata["params"]))
    assert loglik(converted(model.ssm), observations(model.ssm)) == pytest.approx(stata["loglike"], rel=1e-6)
    files = table("results_dynamic_factor_stata.csv").iloc[1:]
    for kind, got in zip(("", "dyn_"), predicted(model, y, 16, 3)):
        want = files[[f"{kind}predict_{name}_{i + 1}" for i in range(width)]].to_numpy()
        np.testing.assert_allclose(got[: len(want)], want, atol=1e-6)


# What Stata calls them: arguments, columns, likelihood.
AUTOREGRESSIONS = {
    "": ({"trend": "n"}, 3, "lutkepohl_var1"),
    "diag": ({"trend": "n", "error_cov_type": "diagonal"}, 3, "lutkepohl_var1_diag"),
    "int": ({"trend": "n", "error_cov_type": "diagonal"}, 3, "lutkepohl_var1_obs_intercept"),
    "var2_": ({"trend": "n", "order": (2, 0)}, 2, "lutkepohl_var2"),
}


@pytest.mark.parametrize("name", AUTOREGRESSIONS)
def test_stata_predicts_by_vector_autoregressions(name):
    arguments, width, key = AUTOREGRESSIONS[name]
    stata, y = getattr(results_varmax, key), lutkepohl(width)
    longer = np.concatenate([y, np.full((16, width), np.nan)])
    model = VARMAX(longer, **{"order": (1, 0), **arguments})
    if name == "int":
        model["obs_intercept"] = stata["obs_intercept"]
    model.update(np.array(stata["params"]))
    assert loglik(converted(model.ssm), observations(model.ssm)) == pytest.approx(stata["loglike"], rel=1e-6)
    files = table("results_var_stata.csv").iloc[1:]
    for kind, got in zip(("", "dyn_"), predicted(model, y, 16, 3)):
        label = f"{kind}predict_" + name
        np.testing.assert_allclose(got, files[[f"{label}{i + 1}" for i in range(width)]], atol=1e-6)


def manufacturing():
    """Monthly growth of capacity use and of hours, 1972 to 2008 (Stata's manufac)."""
    data = pd.read_stata(RESULTS / "manufac.dta").set_index("month")
    return data.loc["1972-01-01":, ["lncaputil", "lnhours"]].diff().iloc[1:].to_numpy(float)


@pytest.mark.parametrize("name, order", [("varma11", (1, 1)), ("vma1", (0, 1))])
@pytest.mark.filterwarnings("ignore::statsmodels.tools.sm_exceptions.EstimationWarning")
def test_stata_on_vector_moving_averages(name, order):
    stata, y = getattr(results_varmax, f"fred_{name}"), manufacturing()
    files = table("results_varmax_stata.csv").iloc[1:].reset_index(drop=True)
    model = VARMAX(y, order=order, trend="n", error_cov_type="diagonal")
    model.update(np.array(stata["params"]))
    assert loglik(converted(model.ssm), y) == pytest.approx(stata["loglike"], rel=1e-6)
    start = 12 * 28 - 1  # January 2000
    for kind, got in zip(("", "dyn_"), predicted(model, y, len(files) - len(y), start)):
        want = files[[f"{kind}predict_{name}_1", f"{kind}predict_{name}_2"]]
        np.testing.assert_allclose(got, want, atol=1e-6 if kind else 1e-4)


def three(frame, name):
    return frame[[f"{name}{i}" for i in (1, 2, 3)]].to_numpy()


def macro_rows():
    return macro()[["realgdp", "realcons", "realinv"]].to_numpy()


def test_kfas_with_offsets_of_both_equations():
    y = macro_rows()
    y = y / y.std(axis=0, ddof=1)
    y[:50, 0] = y[19:70, 1] = y[39:90, 2] = y[119:130, 0] = y[119:130, 2] = np.nan
    offsets = {"obs_offset": np.array([1.0, 2, 3]), "state_offset": np.array([4.0, 5, 6])}
    ssm = LinearGaussianSSM(*[np.eye(3)] * 4, np.zeros(3), 1e6 * np.eye(3), **offsets)
    filtered, smoothed, kfas = filter(ssm, y), smooth(ssm, y), table("results_intercepts_R.csv")
    assert filtered.loglik == pytest.approx(-7924.03893566, rel=1e-9)
    close = {"rtol": 1e-7, "atol": 1e-7}
    forecasts = filtered.predicted_mean[:-1] + offsets["obs_offset"]
    np.testing.assert_allclose(forecasts, three(kfas, "m"), **close)
    np.testing.assert_allclose(filtered.predicted_mean[1:], three(kfas, "a"), **close)
    np.testing.assert_allclose(smoothed.smoothed_mean, three(kfas, "alphahat"), **close)
    np.testing.assert_allclose(smoothed.smoothed_mean + offsets["obs_offset"], three(kfas, "muhat"), **close)
    np.testing.assert_allclose(smoothed.smoothed_process_disturbance, three(kfas, "etahat"), **close)
    np.testing.assert_allclose(np.linalg.det(filtered.predicted_cov[1:]), kfas["detP"], rtol=1e-6)
    np.testing.assert_allclose(np.linalg.det(smoothed.smoothed_cov), kfas["detV"], rtol=1e-6)
    seen, variances = ~np.isnan(y), np.diagonal(filtered.innovation_cov, axis1=1, axis2=2)
    np.testing.assert_allclose(filtered.innovations[seen], three(kfas, "v")[seen], **close)
    np.testing.assert_allclose(variances[seen], three(kfas, "F")[seen], **close)


def test_kfas_with_noise_of_full_covariance_and_rank_two():
    """Changes of the three levels; one combination of them is seen exactly."""
    X = (np.arange(9) + 1).reshape(3, 3) / 10
    ssm = LinearGaussianSSM(np.eye(3), np.eye(3), np.eye(3), X @ X.T, np.zeros(3), 1e6 * np.eye(3))
    y, kfas = np.diff(macro_rows(), axis=0), table("results_smoothing_generalobscov_R.csv")
    filtered, smoothed = filter(ssm, y), smooth(ssm, y)
    close = {"rtol": 1e-7, "atol": 1e-7}
    np.testing.assert_allclose(filtered.predicted_mean[1:], three(kfas, "a"), **close)
    np.testing.assert_allclose(np.linalg.det(filtered.predicted_cov[1:]), kfas["detP"], rtol=1e-7)
    np.testing.assert_allclose(smoothed.smoothed_mean, three(kfas, "alphahat"), **close)
    np.testing.assert_allclose(smoothed.smoothed_process_disturbance, three(kfas, "etahat"), **close)


def test_kim_and_nelson_on_coefficients_that_wander():
    """A demand for money whose coefficients are random walks (Kim and Nelson 1999, section 3.4); rows before the 11th do not count."""
    gauss = results_kalman_filter.tvp
    data, (noise, *moves) = np.array(gauss["data"]), np.array(gauss["parameters"])
    X = np.column_stack([np.ones(len(data)), data[:, 2:]])
    ssm = LinearGaussianSSM(
        np.eye(5),
        np.diag(np.square(moves)),
        TimeVarying(X[:, None]),
        np.array([[noise**2]]),
        np.zeros(5),
        50 * np.eye(5),
    )
    done = filter(ssm, data[:, 1:2])
    assert done.loglik_t[gauss["start"] :].sum() == pytest.approx(gauss["loglike"], abs=1e-5)
    np.testing.assert_allclose(done.predicted_mean[gauss["start"] : -1], gauss["states"], atol=3e-4)


def test_kim_and_nelson_gains_of_output_and_unemployment():
    gauss = results_kalman_filter.uc_bi
    level, cycle, slope, other, noise, first, second, *loadings = gauss["parameters"]
    transition = np.zeros((6, 6))
    transition[[0, 0, 1, 1, 2, 3, 4, 5], [0, 4, 1, 2, 1, 2, 4, 5]] = [1, 1, first, second, 1, 1, 1, 1]
    H = np.array([[1.0, 1, 0, 0, 0, 0], [0, *loadings, 0, 1]])
    ssm = LinearGaussianSSM(
        transition,
        np.diag([level**2, cycle**2, 0, 0, slope**2, other**2]),
        H,
        np.diag([0.0, noise**2]),
        np.zeros(6),
        100 * transition @ transition.T,
    )
    data = np.array(gauss["data"], dtype=float)[4:]
    done = filter(ssm, np.column_stack([np.log(data[:, 0]), data[:, 1] / 100]))
    P, S = done.predicted_cov[:-1], done.innovation_cov
    gains = transition @ P @ H.T @ np.linalg.inv(S)
    np.testing.assert_allclose(gains.sum(axis=(1, 2)), table("results_clark1989_R.csv")["V1"], atol=1e-4)


def test_kfas_on_vector_autoregressions_with_holes_or_a_mixed_start():
    """Rows that KFAS 1.3.1 gets wrong where the diffuse phase ends within a row are left out (see test_published)."""
    mixed = vector()._replace(initial_cov=np.diag([0.0, 3 / 0.84]), initial_diffuse_cov=np.diag([1.0, 0.0]))
    for ssm, y, file, right in ((vector(), growth(missing=True), "missing", 0), (mixed, growth(), "mixed", 1)):
        kfas = table(f"results_exact_initial_var1_{file}_R.csv")
        filtered, smoothed = filter(ssm, y), smooth(ssm, y)
        assert loglik(ssm, y, diffuse_constant=False) == pytest.approx(kfas["llf"][0], rel=1e-12)
        for got, name in (
            (filtered.predicted_mean[:-1], "a"),
            (smoothed.smoothed_mean, "alphahat"),
            (smoothed.smoothed_cov.reshape(20, 4), "V"),
            (smoothed.smoothed_process_disturbance, "etahat"),
            (smoothed.smoothed_process_disturbance_cov.reshape(20, 4), "Veta"),
        ):
            want = columns(kfas, name, got.shape[1])[:20]
            np.testing.assert_allclose(got[right:], want[right:], rtol=1e-10, atol=1e-12)


def test_matlab_on_an_autoregression_with_holes():
    """Matlab's SSM toolbox, to its five digits; its shocks of the hole are not those of KFAS, which we have (see test_published)."""
    names = ["a1", "a2", "a3", "detP", "alphahat1", "alphahat2", "alphahat3", "detV", "eps", "epsvar", "eta", "etavar"]
    matlab = table("results_wpi1_missing_ar3_matlab_ssm.csv", header=None, names=names)
    changes = table("results_wpi1_ar3_stata.csv")["wpi"].diff()
    changes[10:21] = np.nan
    model = SARIMAX(changes[1:].to_numpy(), order=(3, 0, 0), hamilton_representation=True)
    model.update(WPI1)
    ssm, y = converted(model.ssm), observations(model.ssm)
    filtered, smoothed = filter(ssm, y), smooth(ssm, y)
    close = {"rtol": 1e-4, "atol": 2e-4}
    np.testing.assert_allclose(filtered.predicted_mean[:-1], three(matlab, "a"), **close)
    np.testing.assert_allclose(np.linalg.det(filtered.predicted_cov[:-1]), matlab["detP"], **close)
    np.testing.assert_allclose(smoothed.smoothed_mean, three(matlab, "alphahat"), **close)
    np.testing.assert_allclose(np.linalg.det(smoothed.smoothed_cov), matlab["detV"], **close)
    outside = np.r_[:8, 22:123]
    np.testing.assert_allclose(smoothed.smoothed_process_disturbance[outside, 0], matlab["eta"][outside], **close)
    np.testing.assert_allclose(
        smoothed.smoothed_process_disturbance_cov[outside, 0, 0], matlab["etavar"][outside], **close
    )


def test_stata_on_twelve_lags_of_output():
    stata = table("results_realgdpar_stata.csv")
    params = [0.40725515, 0.18782621, -0.01514009, -0.01027267, -0.03642297, 0.11576416, 0.02573029, -0.00766572]
    params += [0.13506498, 0.08649569, 0.06942822, -0.10685783, 0.00007999607]
    growth = np.log(stata["value"]).diff()[1:].to_numpy()
    model = SARIMAX(growth, order=(12, 0, 0), trend="n", hamilton_representation=True)
    model.update(np.array(params))
    done = filter(converted(model.ssm), growth[:, None])
    assert done.loglik == pytest.approx(results_kalman_filter.gdp["stata_loglike"], rel=1e-6)
    np.testing.assert_allclose(done.filtered_mean, stata[[f"u{i + 1}" for i in range(12)]][1:], atol=1e-6)
    standard = done.innovations[:, 0] / np.sqrt(done.innovation_cov[:, 0, 0])
    np.testing.assert_allclose(standard, stata["rstd"][1:], atol=1e-3)


COVERAGE = table("results_sarimax_coverage.csv")


def wholesale(command):
    """SARIMAX for a command of Stata's on wholesale prices, e.g. "arima wpi c t, arima(3,0,2) sarima(0,2,0,4) diffuse"."""
    y, changes = np.array(results_sarimax.wpi1_data), command.startswith("arima D.wpi2")
    names, options = re.match(r"arima \S+ ?([^,]*), (.*)", command).groups()
    time, x = np.arange(1.0, len(y) + 1), (y - np.floor(y)) ** 2
    known = {"c": time**0, "t": time, "t3": time**3, "t32": (time - 1) ** 3, "x": x}
    exog = np.column_stack([known[name] for name in names.split()]) if names else None
    if changes:
        y[9:19] = np.nan
        y, exog = np.diff(y), exog[1:]
    orders = {"arima": (0, 0, 0), "sarima": (0, 0, 0, 0)}
    for kind, numbers in re.findall(r"(s?arima)\(([\d,]+)\)", options):
        orders[kind] = tuple(int(i) for i in numbers.split(","))
    form = {"simple_differencing": True, "hamilton_representation": True}
    free = {"enforce_stationarity": False, "enforce_invertibility": False}
    model = SARIMAX(y, exog, orders["arima"], orders["sarima"], **form, **free)
    model.ssm.initialize_approximate_diffuse(1e9)
    return model


# Stata ended at explosive roots in 43 and 47, from which there is no stationary start.
@pytest.mark.parametrize("number", [i for i in range(len(COVERAGE)) if i not in {43, 47}])
def test_stata_on_every_kind_of_seasonal_model(number):
    """Lags, differences, regressors, trends, a vague start, missing rows; some moving averages have roots on the circle."""
    command, known, params = COVERAGE.iloc[number]
    model = wholesale(command)
    values = np.array([float(v) for v in params.split(",")])
    values[-1] **= 2
    model.update(values)
    ssm = converted(model.ssm)
    if "diffuse" not in command:
        F, G = ssm.transition, ssm.process_loading
        ssm = ssm._replace(initial_cov=solve_lyapunov(F, G @ ssm.process_cov @ G.T))
    printed = (
        1e-3 if {"t3", "diffuse"} & set(re.split("[ ,]", command)) else 7e-5
    )  # parameters of a cubic trend have few digits
    assert loglik(ssm, observations(model.ssm)) == pytest.approx(known, abs=printed)


def test_nile_as_statsmodels_and_eviews_have_it(nile):
    """A start of variance 1e6 whose first row does not count; residuals of EViews' estimates (Van den Bossche 2011)."""
    one = np.eye(1)
    vague = LinearGaussianSSM(one, 1469.1 * one, one, 15099.0 * one, np.zeros(1), 1e6 * one)
    assert filter(vague, nile).loglik_t[1:].sum() == pytest.approx(-632.5376950475525, abs=1e-10)
    noise, moves = np.exp([9.600350, 7.348705])
    eviews = LinearGaussianSSM(one, moves * one, one, noise * one, np.zeros(1), 0 * one, initial_diffuse_cov=one)
    done = filter(eviews, nile)
    e = done.innovations[1:, 0] / np.sqrt(done.innovation_cov[1:, 0, 0])
    e, n = e - e.mean(), len(e)
    lags = np.arange(1, 11)
    r = np.array([e[k:] @ e[:-k] for k in lags]) / (e @ e)
    assert n * (n + 2) * np.sum(r**2 / (n - lags)) == pytest.approx(13.117, abs=1e-3)
    skew, kurtosis = np.mean(e**3) / np.mean(e**2) ** 1.5, np.mean(e**4) / np.mean(e**2) ** 2
    assert n * (skew**2 / 6 + (kurtosis - 3) ** 2 / 24) == pytest.approx(0.041686, abs=1e-6)
