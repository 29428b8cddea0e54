"""Filter, smoother and likelihood against results of KFAS, Stata, Matlab's SSM toolbox and GAUSS that ship with statsmodels.

More of them: `test_published_series`, `test_published_draws`, `test_published_nowcast` beside this file, `tests/estimation/test_published`,
and `test_arima_published`, `test_var_published`, `test_structural`, `test_dynamic_factor` of the forecasters. Files of its folders that no
test reads, because what they hold is not offered: exponential smoothing (`exponential_smoothing*`, `fit_ets*`), priors and draws of
variances in a Gibbs sampler (`cfa_tvpvar_v10`, `_S10`, `_vi0`, `_Si0`), structural and cointegrated vector autoregressions and local
projections, statistics and tests of unit roots or of dependence (`results_corrgram`, `results_ccf`, `results_pccf`, `bds_*` and the series
beside them); `sm-0.9-sarimax.pkl` and `e1.dat` to `e6.dat` hold no results.
"""

import math

import numpy as np
import pytest
from oracles.statsmodels_models import converted, macro, observations, table
from statsmodels.tsa.statespace.dynamic_factor import DynamicFactor
from statsmodels.tsa.statespace.sarimax import SARIMAX
from statsmodels.tsa.statespace.structural import UnobservedComponents
from statsmodels.tsa.statespace.tests.results import (
    results_dynamic_factor,
    results_kalman_filter,
    results_structural,
    results_varmax,
)
from statsmodels.tsa.statespace.varmax import VARMAX

from ssmts.core.gaussian import filter, loglik, smooth
from ssmts.core.types import LinearGaussianSSM

LOG_2PI = math.log(2 * math.pi)
TEN = np.r_[10.2394, np.ones(9)]
SLOPED = np.r_[10.2394, 4.2039, 6.123123, np.ones(7)]
COMMON = np.column_stack([TEN, np.r_[8.2304, np.ones(9)]])


def growth(missing=False):
    """Yearly growth of GDP and consumption over twenty quarters."""
    y = (np.log(macro()[["realgdp", "realcons"]]).iloc[:21].diff().iloc[1:] * 400).to_numpy()
    if missing:
        y[:5, 0] = y[8:12] = np.nan
    return y


def constant(transition, process, observation, noise, loading=None):
    transition, observation = np.atleast_2d(transition).astype(float), np.atleast_2d(observation).astype(float)
    n = len(transition)
    nothing = np.zeros((n, n))
    return LinearGaussianSSM(
        transition,
        np.atleast_2d(process).astype(float),
        observation,
        np.atleast_2d(noise).astype(float),
        np.zeros(n),
        nothing,
        np.eye(n),
        process_loading=None if loading is None else np.asarray(loading, float),
    )


def vector(noise=None):
    return constant([[0.5, 0.3], [0.2, 0.4]], np.diag([2.0, 3.0]), np.eye(2), np.diag(noise or [0.0, 0.0]))


def factor():
    return constant([[0.9, 0.1], [1.0, 0.0]], [[1.0]], [[0.5, 0.0], [1.0, 0.0]], np.diag([1.5, 2.0]), [[1.0], [0.0]])


# What KFAS filtered and smoothed from an exact diffuse start: model, series, file.
KFAS = {
    "local level": (constant(1, 8.253, 1, 1.993), TEN[:, None], "local_level"),
    "local linear trend": (
        constant([[1, 1], [0, 1]], np.diag([8.253, 2.334]), [1, 0], 1.993),
        SLOPED[:, None],
        "local_linear_trend",
    ),
    "local linear trend, second row missing": (
        constant([[1, 1], [0, 1]], np.diag([8.253, 2.334]), [1, 0], 1.993),
        np.where(np.arange(10) == 1, np.nan, SLOPED)[:, None],
        "local_linear_trend_missing",
    ),
    "common level": (
        constant(np.eye(2), 3.2324, [[1, 0], [0.1111, 1]], np.eye(2), [[1], [0]]),
        COMMON,
        "common_level",
    ),
    "common level, restricted": (constant(1, 3.2324, [[1], [0.1111]], np.eye(2)), COMMON, "common_level_restricted"),
    "vector autoregression": (vector(), growth(), "var1"),
    "vector autoregression with noise": (vector([4.0, 5.0]), growth(), "var1_measurement_error"),
    "dynamic factor": (factor(), growth(), "dfm"),
}

# Rows that KFAS 1.3.1 smooths wrongly where the diffuse phase ends within a row of several series (mended in 1.3.6): its
# factor in row 1 differs from the lagged factor of row 2, which is the same quantity.
WRONG = {"common level, restricted": 1, "dynamic factor": 2}


def columns(frame, name, n):
    """A vector that KFAS wrote as name_1, name_2, ..."""
    return frame[[f"{name}_{i + 1}" for i in range(n)]].to_numpy()


@pytest.mark.parametrize("name", KFAS)
def test_kfas_from_an_exact_diffuse_start(name):
    ssm, y, file = KFAS[name]
    kfas, (n, dy), dx = table(f"results_exact_initial_{file}_R.csv"), y.shape, len(ssm.initial_mean)
    filtered, smoothed = filter(ssm, y), smooth(ssm, y)
    assert loglik(ssm, y, diffuse_constant=False) == pytest.approx(kfas["llf"].iloc[0], rel=1e-9)
    rows = np.isfinite(filtered.predicted_cov).all(axis=(1, 2))
    np.testing.assert_allclose(filtered.predicted_mean[rows], columns(kfas, "a", dx)[rows], rtol=1e-9, atol=1e-9)
    right = np.arange(n) >= WRONG.get(name, 0)
    np.testing.assert_allclose(
        smoothed.smoothed_mean[right], columns(kfas, "alphahat", dx)[:n][right], rtol=1e-8, atol=1e-9
    )
    shocks = smoothed.smoothed_process_disturbance
    np.testing.assert_allclose(shocks, columns(kfas, "etahat", shocks.shape[1])[:n], rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(
        smoothed.smoothed_obs_disturbance[~np.isnan(y)].ravel(),
        columns(kfas, "epshat", dy)[:n][~np.isnan(y)],
        rtol=1e-8,
        atol=1e-8,
    )
    for got, short, dense in (
        (smoothed.smoothed_cov, "sumV", "V"),
        (smoothed.smoothed_process_disturbance_cov, "sumVeta", "Veta"),
    ):
        if short in kfas:
            np.testing.assert_allclose(got.sum(axis=(1, 2))[right], kfas[short][:n][right], rtol=1e-8, atol=1e-8)
        elif f"{dense}_1" in kfas:
            want = columns(kfas, dense, got[0].size)[:n]
            np.testing.assert_allclose(got.reshape(n, -1)[right], want[right], rtol=1e-8, atol=1e-8)


def macro_rows():
    return macro()[["realgdp", "realcons", "realinv"]]


def walks():
    """Three independent random walks in noise, with long holes."""
    y = macro_rows().diff().iloc[1:].to_numpy()
    y[:50, 0] = y[19:70, 1] = y[39:90, 2] = y[119:130, 0] = y[119:130, 2] = np.nan
    start = np.zeros(3), 1e6 * np.eye(3)
    return LinearGaussianSSM(*[np.eye(3)] * 4, *start), y, "results_smoothing_R.csv", -205310.9767, 1e-7


def growing_together(noise):
    """A vector autoregression of growth rates seen with noise."""
    y = np.log(macro_rows()).diff().iloc[1:].to_numpy()
    transition = [
        [-0.1119908792, 0.8441841604, 0.0238725303],
        [0.2629347724, 0.4996718412, -0.0173023305],
        [-3.2192369082, 4.1536028244, 0.4514379215],
    ]
    process = [
        [0.0000640649, 0.0000388496, 0.0002148769],
        [0.0000388496, 0.0000572802, 0.000001555],
        [0.0002148769, 0.000001555, 0.0017088585],
    ]
    return LinearGaussianSSM(np.array(transition), np.array(process), np.eye(3), noise, np.zeros(3), 1e6 * np.eye(3)), y


def independent():
    ssm, y = growing_together(np.diag([0.0000640649, 0.0000572802, 0.0017088585]))
    return ssm, y, "results_smoothing2_R.csv", 1695.34872, 1e-6


@pytest.mark.parametrize("make", [walks, independent])
def test_kfas_on_three_series(make):
    ssm, y, file, want, tolerance = make()
    kfas = table(file)
    filtered, smoothed = filter(ssm, y), smooth(ssm, y)
    assert filtered.loglik == pytest.approx(want, rel=1e-8)

    def three(name):
        return kfas[[f"{name}{i}" for i in (1, 2, 3)]].to_numpy()

    atol = {"rtol": 1e-6, "atol": tolerance}
    np.testing.assert_allclose(filtered.predicted_mean[1:], three("a"), **atol)
    np.testing.assert_allclose(smoothed.smoothed_mean, three("alphahat"), **atol)
    np.testing.assert_allclose(smoothed.smoothed_process_disturbance, three("etahat"), **atol)
    seen = ~np.isnan(y)
    np.testing.assert_allclose(smoothed.smoothed_obs_disturbance[seen], three("epshat")[seen], **atol)
    for got, name in ((filtered.predicted_cov[1:], "detP"), (smoothed.smoothed_cov, "detV")):
        np.testing.assert_allclose(np.linalg.det(got), kfas[name], rtol=1e-4, atol=1e-16)


WPI1 = np.r_[0.5270715, 0.0952613, 0.2580355, 0.5307459]  # Stata, sspace: an AR(3) of changes of the price index


def test_stata_and_matlab_on_an_autoregression():
    stata = table("results_wpi1_ar3_stata.csv")
    names = [
        "a1",
        "a2",
        "a3",
        "detP",
        "alphahat1",
        "alphahat2",
        "alphahat3",
        "detV",
        "eps",
        "epsvar",
        "eta",
        "etavar",
    ]
    matlab = table("results_wpi1_ar3_matlab_ssm.csv", header=None, names=names)
    model = SARIMAX(
        stata["wpi"], order=(3, 1, 0), simple_differencing=True, hamilton_representation=True, missing="none"
    )
    model.update(WPI1)
    ssm, y = converted(model.ssm), observations(model.ssm)
    filtered, smoothed = filter(ssm, y), smooth(ssm, y)
    close = {"atol": 2e-4}
    np.testing.assert_allclose(filtered.predicted_mean[:-1], stata[["sp1", "sp2", "sp3"]][1:], **close)
    np.testing.assert_allclose(filtered.predicted_mean[:-1], matlab[["a1", "a2", "a3"]], **close)
    np.testing.assert_allclose(filtered.filtered_mean, stata[["sf1", "sf2", "sf3"]][1:], **close)
    np.testing.assert_allclose(
        filtered.innovations[:, 0] / np.sqrt(filtered.innovation_cov[:, 0, 0]), stata["sr1"][1:], **close
    )
    np.testing.assert_allclose(smoothed.smoothed_mean, stata[["sm1", "sm2", "sm3"]][1:], **close)
    np.testing.assert_allclose(smoothed.smoothed_mean, matlab[["alphahat1", "alphahat2", "alphahat3"]], **close)
    np.testing.assert_allclose(smoothed.smoothed_process_disturbance[:, 0], matlab["eta"], **close)
    np.testing.assert_allclose(smoothed.smoothed_process_disturbance_cov[:, 0, 0], matlab["etavar"], **close)
    np.testing.assert_allclose(np.linalg.det(filtered.predicted_cov[:-1]), matlab["detP"], **close)


def test_kfas_on_an_autoregression_with_holes():
    stata, kfas = table("results_wpi1_ar3_stata.csv"), table("results_smoothing3_R.csv")
    changes = stata["wpi"].diff()
    changes[10:21] = np.nan
    model = SARIMAX(changes[1:].to_numpy(), order=(3, 0, 0), hamilton_representation=True)
    model.update(WPI1)
    smoothed = smooth(converted(model.ssm), observations(model.ssm))
    np.testing.assert_allclose(smoothed.smoothed_process_disturbance[:, 0], kfas["etahat"], atol=1e-9)
    np.testing.assert_allclose(smoothed.smoothed_process_disturbance_cov[:, 0, 0], kfas["detVeta"], atol=1e-9)


STRUCTURAL = [name for name, case in vars(results_structural).items() if isinstance(case, dict) and "llf" in case]


@pytest.mark.parametrize("name", STRUCTURAL)
@pytest.mark.filterwarnings("ignore::statsmodels.tools.sm_exceptions.SpecificationWarning")
def test_kfas_on_structural_models_of_unemployment(name):
    """Unemployment in the United States, quarterly; the fitted models of KFAS, from its likelihoods without log(2 pi) of diffuse rows,
    and from the likelihoods of all rows where states start with variances of 1e6."""
    case = getattr(results_structural, name)
    arguments = case["models"][0] | {"use_exact_diffuse": not name.endswith("approx_diffuse")} | case["kwargs"]
    if "exog" in arguments:
        arguments["exog"] = np.log(macro()["realgdp"].to_numpy())
    model = UnobservedComponents(macro()["unemp"].to_numpy(), **arguments)
    model.update(np.array(case["params"]))
    ssm, y = converted(model.ssm), observations(model.ssm)
    assert loglik(ssm, y, diffuse_constant=False) == pytest.approx(case["llf"], rel=case.get("rtol", 1e-7))


def lutkepohl(columns=3):
    """Growth of investment, income and consumption of West Germany to 1978 (Luetkepohl 2005; Stata's lutkepohl2)."""
    return np.diff(np.log(np.array(results_varmax.lutkepohl_data, dtype=float)), axis=0)[:75, :columns]


BOTH = np.column_stack([np.ones(75), np.arange(75) + 2.0])  # a constant and a trend

# Stata's var, sspace and dfactor: model, its parameters and log-likelihood.
STATA = {
    "lutkepohl_var1": lambda: VARMAX(lutkepohl(), order=(1, 0), trend="n"),
    "lutkepohl_var1_diag": lambda: VARMAX(lutkepohl(), order=(1, 0), trend="n", error_cov_type="diagonal"),
    "lutkepohl_var1_diag_meas": lambda: VARMAX(
        lutkepohl(), order=(1, 0), trend="n", error_cov_type="diagonal", measurement_error=True
    ),
    "lutkepohl_var2": lambda: VARMAX(lutkepohl(2), order=(2, 0), trend="n"),
    "lutkepohl_dfm": lambda: DynamicFactor(lutkepohl(), k_factors=1, factor_order=2),
    "lutkepohl_dfm2": lambda: DynamicFactor(lutkepohl(), k_factors=2, factor_order=1),
    "lutkepohl_dfm_exog1": lambda: DynamicFactor(lutkepohl(), k_factors=1, factor_order=1, exog=BOTH[:, :1]),
    "lutkepohl_dfm_exog2": lambda: DynamicFactor(lutkepohl(), k_factors=1, factor_order=1, exog=BOTH),
    "lutkepohl_dfm_ar2": lambda: DynamicFactor(lutkepohl(), k_factors=1, factor_order=1, error_order=2),
    "lutkepohl_dfm_scalar": lambda: DynamicFactor(
        lutkepohl(), k_factors=1, factor_order=1, exog=BOTH[:, :1], error_cov_type="scalar"
    ),
    "lutkepohl_sfm": lambda: DynamicFactor(lutkepohl(), k_factors=1, factor_order=0),
    "lutkepohl_sur": lambda: DynamicFactor(
        lutkepohl(), k_factors=0, factor_order=0, exog=BOTH, error_cov_type="unstructured"
    ),
}


@pytest.mark.parametrize("name", STATA)
@pytest.mark.filterwarnings("ignore::statsmodels.tools.sm_exceptions.EstimationWarning")
def test_stata_on_vector_autoregressions_and_factors(name):
    stata = getattr(results_dynamic_factor if hasattr(results_dynamic_factor, name) else results_varmax, name)
    model = STATA[name]()
    model.update(np.array(stata["params"]))
    assert loglik(converted(model.ssm), observations(model.ssm)) == pytest.approx(stata["loglike"], rel=1e-6)


def kim_and_nelson(gauss, transition, process, observation, noise, y, start, abs):
    """The model as the GAUSS programs start it: 100 times the identity, moved once."""
    spread = transition @ (100.0 * np.eye(len(transition))) @ transition.T
    ssm = LinearGaussianSSM(transition, process, observation, noise, np.zeros(len(transition)), spread)
    done = filter(ssm, y)
    assert done.loglik_t[start:].sum() == pytest.approx(gauss["loglike"], abs=abs)
    return done.filtered_mean[gauss["start"] :], np.array(gauss["states"])


def test_kim_and_nelson_on_the_trend_and_cycle_of_output():
    """Clark's (1987) trend and cycle of log output."""
    gauss = results_kalman_filter.uc_uni
    level, cycle, slope, first, second = gauss["parameters"]
    transition = np.array([[1.0, 0, 0, 1], [0, first, second, 0], [0, 1, 0, 0], [0, 0, 0, 1]])
    process = np.diag([level**2, cycle**2, 0.0, slope**2])
    y = np.log(np.array(gauss["data"], dtype=float)).reshape(-1, 1)
    got, want = kim_and_nelson(gauss, transition, process, np.array([[1.0, 1, 0, 0]]), np.zeros((1, 1)), y, 20, 1e-5)
    np.testing.assert_allclose(got[:, [0, 1, 3]], want, atol=6e-5)


def test_kim_and_nelson_on_output_and_unemployment():
    """Clark's (1989) common cycle of output and unemployment; the likelihood is that of the mended program (1485.41934, all rows)."""
    gauss = results_kalman_filter.uc_bi
    level, cycle, slope, other, noise, first, second, *loadings = gauss["parameters"]
    transition = np.zeros((6, 6))
    transition[[0, 0, 1, 1, 2, 3, 4, 5], [0, 4, 1, 2, 1, 2, 4, 5]] = [1, 1, first, second, 1, 1, 1, 1]
    process = np.diag([level**2, cycle**2, 0, 0, slope**2, other**2])
    observation = np.array([[1.0, 1, 0, 0, 0, 0], [0, *loadings, 0, 1]])
    data = np.array(gauss["data"], dtype=float)[4:]
    y = np.column_stack([np.log(data[:, 0]), data[:, 1] / 100])
    got, want = kim_and_nelson(gauss, transition, process, observation, np.diag([0.0, noise**2]), y, 0, 5e-3)
    np.testing.assert_allclose(got[:, [0, 1, 4, 5]], want, atol=6e-5)
