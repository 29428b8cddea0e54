"""Vector autoregressions against R's vars, Stata's var and JMulTi, whose results ship with statsmodels.

Not tested, because not offered: structural and cointegrated models (`results_svar*`, JMulTi's vecm files), tests of causality and of
residuals, orders by criteria, and Stata's `results_local_proj.R`. Standard errors and covariances of these programs are divided by the
degrees of freedom, ours by the number of rows, as maximum likelihood has it.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import statsmodels.tsa.tests.results as files
from oracles.statsmodels_models import macro, table
from scipy.stats import norm
from statsmodels.datasets.macrodata import data as macrodata
from statsmodels.tsa.statespace.tests.results import results_var_misc, results_var_R
from statsmodels.tsa.vector_ar.tests.JMulTi_results.parse_jmulti_var_output import load_results_jmulti
from statsmodels.tsa.vector_ar.tests.results.results_var import MacrodataResults
from statsmodels.tsa.vector_ar.tests.results.results_var_data import var_results

from ssmts import VARForecaster

NAMES = ["dln_inv", "dln_inc", "dln_consump"]
LUTKEPOHL = pd.read_stata(Path(files.__file__).parent / "lutkepohl2.dta").astype(dict.fromkeys(NAMES, float))
Y = LUTKEPOHL[NAMES].iloc[1:76].to_numpy()
TIME = np.arange(1.0, 86.0)


def with_levels(*names):
    return LUTKEPOHL[list(names)].iloc[1:86].to_numpy(dtype=float)


# The form of each model of R: whether it has a constant, and covariates of its 75 rows and of ten more.
FORMS = {
    "basic": (False, None),
    "c": (True, None),
    "ct": (True, TIME[:, None]),
    "ct_as_exog0": (False, np.column_stack([np.ones(85), TIME - 1])),
    "ctt_as_exog1": (False, np.column_stack([np.ones(85), TIME, TIME**2])),
    "ct_exog": (True, np.column_stack([TIME, with_levels("inc")])),
    "c_2exog": (True, with_levels("inc", "inv")),
}


def of_r(name):
    """Intercepts and slopes of the covariates, coefficients of the lags, and covariance."""
    found = getattr(results_var_R, f"res_{name}")
    numbers = np.array(found["params"])
    n_trend = {"c": 1, "ct": 2, "ct_exog": 2, "c_2exog": 1}.get(name, 0)
    ends = np.cumsum([3 * n_trend, 18])
    trend, lags, exog = np.split(numbers[:-6], ends)
    root = np.zeros((3, 3))
    root[np.tril_indices(3)] = numbers[-6:]
    known = np.hstack([trend.reshape(3, -1), exog.reshape(3, -1)])
    return known, lags.reshape(3, 2, 3).transpose(1, 0, 2), root @ root.T, found["llf"]


def fitted(name):
    constant, X = FORMS[name]
    f = VARForecaster(2, constant=constant)
    return f.fit(Y) if X is None else f.fit(X[:75], Y)


@pytest.mark.parametrize("name", FORMS)
def test_estimates_of_r(name):
    known, lags, cov, loglik = of_r(name)
    f = fitted(name)
    constant, X = FORMS[name]
    assert f.loglik_ == pytest.approx(loglik, rel=1e-10)
    np.testing.assert_allclose(f.params_["coef"], lags, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(f.params_["cov"], cov, rtol=1e-8)
    if constant:
        np.testing.assert_allclose(f.params_["const"], known[:, 0], rtol=1e-6, atol=1e-9)
    if X is not None:
        np.testing.assert_allclose(f.params_["exog"], known[:, int(constant) :], rtol=1e-5, atol=1e-10)


@pytest.mark.parametrize("name", FORMS)
def test_forecasts_and_responses_of_r(name):
    """Ten rows ahead with their intervals of 95 %, and responses: plain, orthogonalised, added up, and as shares of the variance."""
    r, f, X = table("results_var_R_output.csv"), fitted(name), FORMS[name][1]
    n_free = 6 + (0 if X is None else X.shape[1]) + FORMS[name][0]
    factor = np.sqrt(73 / (73 - n_free))
    ahead = f.forecast(10) if X is None else f.forecast(X[75:])
    np.testing.assert_allclose(ahead.mean, r[[f"{name}.fcast.{y}.fcst" for y in NAMES]][:10], rtol=1e-6)
    deviation = np.sqrt(ahead.distribution.variance()[0]) * factor
    widths = r[[f"{name}.fcast.{y}.CI" for y in NAMES]][:10]
    np.testing.assert_allclose(norm.ppf(0.975) * deviation, widths, rtol=1e-7)
    kinds = {
        "irf": (f.impulse_responses(11), 1.0),
        "irf.ortho": (f.impulse_responses(11, orthogonalised=True), factor),
        "irf.cumu": (f.impulse_responses(11, orthogonalised=True, cumulative=True), factor),
    }
    for kind, (found, size) in kinds.items():
        for i, origin in enumerate(NAMES):
            want = r[[f"{name}.{kind}.{origin}.{y}" for y in NAMES]]
            np.testing.assert_allclose(size * found[i], want, rtol=1e-6, atol=1e-10)
    shares = np.cumsum(kinds["irf.ortho"][0][:, :10] ** 2, axis=1)
    shares = (shares / shares.sum(axis=0)).transpose(1, 2, 0).reshape(10, 9)
    columns = [column for column in r if column.startswith(f"{name}.fevd.")]
    np.testing.assert_allclose(shares, r[columns][:10], rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("name, columns, constant", [("ar1", [0], True), ("var1", [0, 1, 2], False)])
def test_stata_on_one_lag(name, columns, constant):
    """Its three ways of counting give one likelihood; the covariance by degrees of freedom, and its likelihood, too."""
    y, f = Y[:, columns], VARForecaster(constant=constant).fit(Y[:, columns])
    known, k = getattr(results_var_misc, f"lutkepohl_{name}"), len(columns)
    assert f.loglik_ == pytest.approx(known["loglike"], rel=1e-6)
    lags = f.params_["coef"].ravel()
    found = [*f.params_["const"], *lags] if constant else lags
    np.testing.assert_allclose(found, known["params"][: len(found)], rtol=1e-5)
    cov, n, n_free = f.params_["cov"], len(y) - 1, k + int(constant)
    root = np.linalg.cholesky(cov)[np.tril_indices(k)] if k > 1 else cov[0]
    np.testing.assert_allclose(root, known["params"][len(found) :], rtol=2e-5)
    assert known["aic"] == pytest.approx((-2 * f.loglik_ + 2 * len(found)) / n, rel=1e-6)
    small = getattr(results_var_misc, f"lutkepohl_{name}_lustats_dfk")
    cov = cov * n / (n - n_free)
    root = np.linalg.cholesky(cov)[np.tril_indices(k)] if k > 1 else cov[0]
    np.testing.assert_allclose(root, small["params"][len(found) :], rtol=2e-5, atol=1e-7)


def macro_growth():
    return np.log(macro()[["realgdp", "realcons", "realinv"]]).diff().iloc[1:].to_numpy()


def test_stata_and_r_on_growth():
    """Output, consumption and investment of the United States on two lags. Stata's data are in single precision."""
    f, stata, r = VARForecaster(2).fit(macro_growth()), MacrodataResults(), var_results
    p, e = f.params_, f.stderr_
    found = np.column_stack([p["const"], p["coef"][0], p["coef"][1]])
    errors = np.column_stack([e["const"], e["coef"][0], e["coef"][1]])
    np.testing.assert_allclose(found, stata.params, rtol=2e-3, atol=2e-5)
    np.testing.assert_allclose(errors, stata.bse, rtol=1e-4)
    assert f.loglik_ == pytest.approx(stata.llf, abs=2e-2)
    assert np.linalg.det(p["cov"]) == pytest.approx(stata.detsig, rel=1e-4)
    of_r = np.array(r.coefs.tolist()).T
    np.testing.assert_allclose(found, of_r, rtol=1e-9)
    size = np.sqrt(200 / 193)
    np.testing.assert_allclose(errors * size, np.array(r.stderr.tolist()).T, rtol=1e-9)
    assert f.loglik_ == pytest.approx(float(r.loglike[0]), rel=1e-12)
    plain, turned = f.impulse_responses(6), f.impulse_responses(6, orthogonalised=True)
    np.testing.assert_allclose(plain.transpose(1, 2, 0), r.phis, rtol=1e-9, atol=1e-14)
    for i, name in enumerate(["realgdp", "realcons", "realinv"]):
        np.testing.assert_allclose(plain[i], np.array(r.irf.item()[name].tolist()), rtol=1e-9, atol=1e-14)
        np.testing.assert_allclose(size * turned[i], np.array(r.orthirf.item()[name].tolist()), rtol=1e-9, atol=1e-14)


CASES = [(trend, season) for trend in ("nc", "c", "ct") for season in (0, 4)]
JMULTI = load_results_jmulti(macrodata, CASES)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_jmulti_on_levels(case):
    """Four lags of consumption, output and investment, with and without constant, trend and seasons, to the digits it prints.

    Its log-likelihood counts a row less.
    """
    (trend, season), known = case, JMULTI[case]
    y, n = macro()[list(macrodata.variable_names)].to_numpy(), 203
    columns = [(np.arange(n + 5) % 4 == i).astype(float) for i in range(3 * (season > 0))]
    columns += [np.arange(n + 5) + 1.0] * (trend == "ct")
    X = np.column_stack(columns) if columns else None
    f = VARForecaster(4, constant=trend != "nc")
    f = f.fit(y) if X is None else f.fit(X[:n], y)
    p, e, m = f.params_, f.stderr_, n - 4
    size = np.sqrt(m / (m - 12 - len(columns) - (trend != "nc")))
    assert f.loglik_ == pytest.approx(known["log_like"] * m / (m - 1), rel=1e-6)
    np.testing.assert_allclose(size**2 * p["cov"], known["est"]["Sigma_u"], rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(np.hstack(p["coef"]), known["est"]["Lagged endogenous term"], atol=6e-4)
    np.testing.assert_allclose(size * np.hstack(e["coef"]), known["se"]["Lagged endogenous term"], atol=6e-4)
    for kind, ours, factor in (("est", p, 1.0), ("se", e, size)):
        terms = [ours[name].reshape(3, -1) for name in ("const", "exog") if name in ours]
        if terms:
            np.testing.assert_allclose(factor * np.hstack(terms), known[kind]["Deterministic term"], atol=6e-4)
    ahead = f.forecast(5) if X is None else f.forecast(X[n:])
    np.testing.assert_allclose(ahead.mean, known["fc"]["fc"], atol=6e-3)
    half = norm.ppf(0.975) * size * np.sqrt(ahead.distribution.variance()[0])
    np.testing.assert_allclose(half, (known["fc"]["upper"] - known["fc"]["lower"]) / 2, rtol=5e-3)
    responses = f.impulse_responses(21).transpose(1, 2, 0).reshape(21, 9)
    np.testing.assert_allclose(responses, known["ir"], atol=6e-5)
