"""Estimates that others printed: the Nile by four programs, Stata's vague start, and KFAS's series that falls by 100 orders.

The 118 values of KFAS's `testNumerical.R` (log-likelihood 14530.62, variance 0.03556689) are part of a program under the GPL and are
not copied here; a series made the same way, whose maximum has a closed form, stands for them. (Of theirs the closed form is 14530.631
at 0.0355432, a little above where its search stopped.)
"""

import numpy as np
import pytest
from statsmodels.datasets import nile
from statsmodels.tsa.statespace.tests.results import results_sarimax

from ssmts.components.transforms import Variance
from ssmts.core.gaussian import filter
from ssmts.core.types import LinearGaussianSSM, TimeVarying
from ssmts.estimation import Parameter, maximum_likelihood

ONE = np.eye(1)
NILE = nile.load_pandas().data[["volume"]].to_numpy(dtype=float)
LEVEL = {"obs_var": Parameter(9e3, Variance()), "level_var": Parameter(9e3, Variance())}


def relative(p):
    """The local level model in units of the variance of its noise, as Durbin and Koopman search it."""
    return LinearGaussianSSM(ONE, p["q"] * ONE, ONE, ONE, np.zeros(1), 0 * ONE, initial_diffuse_cov=ONE)


# Durbin and Koopman (2012), table 2.1: q, derivative with respect to its logarithm, log-likelihood.
STEPS = [(1.0, -3.32, -495.68), (0.0360, 0.93, -492.53), (0.0745, 0.25, -492.10), (0.0974, -0.001, -492.07)]


@pytest.mark.parametrize("q, slope, height", STEPS)
def test_steps_of_durbin_and_koopman(q, slope, height):
    """Their concentrated log-likelihood leaves out n/2 log(2 pi) + (n - 1)/2."""

    def concentrated(q):
        found = maximum_likelihood(relative, NILE, {"q": Parameter(q, Variance())}, fix={"q": q}, profile_scale=True)
        return found.loglik + 50 * np.log(2 * np.pi) + 99 / 2

    assert concentrated(q) == pytest.approx(height, abs=0.006)
    h = 1e-4
    rise = (concentrated(q * np.exp(h)) - concentrated(q * np.exp(-h))) / (2 * h)
    assert rise == pytest.approx(slope, abs=0.005 if abs(slope) > 0.1 else 5e-4)


def test_end_of_durbin_and_koopman():
    found = maximum_likelihood(relative, NILE, {"q": Parameter(1.0, Variance())}, profile_scale=True)
    assert found.converged
    assert found.params["q"] == pytest.approx(0.0973, abs=5e-5)
    assert found.loglik + 50 * np.log(2 * np.pi) + 99 / 2 == pytest.approx(-492.07, abs=0.005)
    assert found.scale == pytest.approx(15098.5177, rel=1e-6)
    assert found.scale * found.params["q"] == pytest.approx(1469.1768, rel=1e-6)


def after_a_vague_row(p):
    """What a level of variance 1e6 about zero is after the first row, whose likelihood does not count."""
    gain = 1e6 / (1e6 + p["obs_var"])
    mean, cov = gain * NILE[0], (gain * p["obs_var"] + p["level_var"]) * ONE
    return LinearGaussianSSM(ONE, p["level_var"] * ONE, ONE, p["obs_var"] * ONE, mean, cov)


@pytest.mark.parametrize(
    "missing, loglik, params", [(False, -632.5376856, (15108.316, 1463.547)), (True, -379.9899, None)]
)
def test_the_nile_of_statsmodels_and_of_julia(missing, loglik, params):
    """statsmodels' default start; StateSpaceModels.jl has the same, and a test with rows 21-40 and 61-80 missing."""
    y = NILE.copy()
    if missing:
        y[20:40] = y[60:80] = np.nan
    found = maximum_likelihood(after_a_vague_row, y[1:], LEVEL)
    assert found.converged
    assert found.loglik == pytest.approx(loglik, abs=1e-6 if params else 1e-4)
    if params:
        np.testing.assert_allclose([found.params["obs_var"], found.params["level_var"]], params, rtol=1e-6)
    obs_var, level_var = found.params["obs_var"], found.params["level_var"]
    whole = LinearGaussianSSM(ONE, level_var * ONE, ONE, obs_var * ONE, np.zeros(1), 1e6 * ONE)
    assert filter(whole, y).loglik_t[1:].sum() == pytest.approx(found.loglik, abs=1e-9)


def test_stata_with_a_vague_start():
    """arima wpi, arima(1,1,1) diffuse: both states begin with a variance of 1e9. At ma = 0 one of them is never seen, which gives a
    ridge of its own, so the search begins on Stata's side of it."""
    known = results_sarimax.wpi1_diffuse

    def build(p):
        transition, loading = np.array([[p["ar"], 0.0], [1.0, 0.0]]), np.array([[1.0], [0.0]])
        observation, mean = np.array([[1.0, p["ma"]]]), p["mean"] * np.ones(1)
        start = np.zeros(2), known["initial_variance"] * np.eye(2)
        more = {"obs_offset": mean, "process_loading": loading}
        return LinearGaussianSSM(transition, p["var"] * ONE, observation, 0 * ONE, *start, **more)

    y = np.diff(np.array(known["data"]))[:, None]
    begin = {"ar": 0.5, "ma": -0.3, "mean": 0.5, "var": Parameter(1.0, Variance())}
    found = maximum_likelihood(build, y, begin)
    assert found.converged
    assert found.loglik == pytest.approx(known["loglike"], abs=1e-4)
    want = [known[f"params_{name}"][0] for name in ("ar", "ma", "mean", "variance")]
    np.testing.assert_allclose([found.params[name] for name in begin], want, rtol=1e-3)
    errors = [known[f"se_{name}_oim"][0] for name in ("ar", "ma", "mean")]
    np.testing.assert_allclose([found.stderr[name] for name in ("ar", "ma", "mean")], errors, rtol=2e-3)
    deviation = np.sqrt(found.params["var"])
    assert found.stderr["var"] / (2 * deviation) == pytest.approx(known["se_stddev_oim"][0], rel=2e-3)


@pytest.mark.parametrize("last, converged", [(0.02, True), (1.0, False)])
@pytest.mark.parametrize("method", ["lbfgs", "trust"])
def test_a_series_that_falls_by_a_hundred_orders(method, last, converged):
    """y[t] = x[t] y[t-1] with independent x, as in KFAS's test: no noise, variance mean((y[t] / y[t-1])^2).

    If the last ratio is large, the likelihood rises again for noise of 1e-213, which is beyond a search that started at 0.02; then
    what was found is kept, and said to be no maximum.
    """
    rng = np.random.default_rng(1)
    ratios = np.exp(-2.2 + 0.3 * rng.normal(size=118)) * np.where(rng.random(118) < 0.25, -1, 1)
    ratios[-1] = last
    y = 9.5 * np.cumprod(ratios)
    before = np.r_[9.5, y[:-1]]
    assert abs(y[-1]) < 1e-105

    def build(p):
        q = p["var"] * ONE
        return LinearGaussianSSM(0 * ONE, q, TimeVarying(before[:, None, None]), p["noise"] * ONE, np.zeros(1), q)

    start = np.exp(-4.0)
    found = maximum_likelihood(
        build, y[:, None], {"noise": Parameter(start, Variance()), "var": Parameter(start, Variance())}, method=method
    )
    variance = np.mean(ratios**2)
    height = -59 * (np.log(2 * np.pi * variance) + 1) - np.log(np.abs(before)).sum()
    assert found.converged == converged
    assert found.params["noise"] == 0.0
    assert found.loglik == pytest.approx(height, rel=1e-9 if converged else 1e-3)
    if converged:
        assert found.params["var"] == pytest.approx(variance, rel=1e-6)
