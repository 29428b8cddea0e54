"""KalmanFilter: a forecaster from matrices, against the dense twin, published numbers and the engine itself."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from oracles import dense_gaussian as dense

import ssmts
from ssmts import KalmanFilter, VARForecaster
from ssmts.components.transforms import Variance
from ssmts.core.gaussian import loglik
from ssmts.core.types import LinearGaussianSSM, TimeVarying
from ssmts.estimation import Parameter
from ssmts.exceptions import FutureRowsError, InputError, InputTypeError, TooShortError, UnknownSeriesError

ONE = np.eye(1)
NILE = sm.datasets.nile.load_pandas().data["volume"].to_numpy()


def level(p):
    return LinearGaussianSSM(
        ONE, p["level_var"] * ONE, ONE, p["obs_var"] * ONE, np.zeros(1), 0 * ONE, initial_diffuse_cov=ONE
    )


LEVEL = {"obs_var": Parameter(9e3, Variance()), "level_var": Parameter(9e3, Variance())}


def driven(rng, dy=2):
    """Two outputs, with inputs in both equations."""
    ssm = dense.random_model(rng, 1, 3, dy, varying=False, diffuse=1, singular=False)
    return ssm._replace(input_matrix=rng.normal(size=(3, 2)), feedthrough=rng.normal(size=(dy, 2)))


def test_explicit_matrices_of_the_nile():
    """Durbin and Koopman (2012), chapter 2; digits beyond the book's from a dense computation with long numbers."""
    f = KalmanFilter(level({"obs_var": 15099.0, "level_var": 1469.1})).fit(NILE)
    assert f.loglik_ == pytest.approx(-633.4645636488787, abs=1e-9)
    assert f.states_[0].mean[0] == pytest.approx(798.3702926083578, abs=1e-8)
    assert f.states_[0].cov[0, 0] == pytest.approx(5501.257941809, abs=1e-6)
    np.testing.assert_allclose(
        f.forecast(30).distribution.variance()[0, [0, -1], 0], [20600.25794, 63204.15794], atol=1e-4
    )
    smoothed = f.smooth()
    np.testing.assert_allclose(
        smoothed.smoothed_mean[[0, 1, 2, 98, 99], 0],
        [1111.66831913, 1110.85766462, 1105.26556731, 804.04959567, 798.37029261],
        atol=1e-7,
    )


def test_a_function_of_parameters_is_estimated():
    f = KalmanFilter(level, LEVEL).fit(NILE)
    assert f.params_["obs_var"] == pytest.approx(15098.52, rel=1e-4)
    assert f.converged_
    assert f.stderr_["level_var"] > 0
    fixed = KalmanFilter(level, LEVEL, fix={"level_var": 0.0}).fit(NILE)
    np.testing.assert_allclose(fixed.predict(2), NILE.mean(), rtol=1e-9)
    assert fixed.params_["level_var"] == 0.0
    assert f.ssm_.obs_cov[0, 0] == f.params_["obs_var"]


def test_forecasts_are_joint_over_outputs_and_take_inputs():
    rng = np.random.default_rng(0)
    ssm = driven(rng)
    y, u = dense.random_series(rng, 20, 2), rng.normal(size=(25, 2))
    f = KalmanFilter(ssm).fit(u[:20], y)
    assert f.loglik_ == pytest.approx(dense.loglik(ssm, y, u[:20]), rel=1e-9)
    padded = np.vstack([y, np.full((5, 2), np.nan)])
    joint = dense.joint(ssm, 25, u)
    expected, cov, _ = dense.given(joint, joint.observations, padded, 25)
    mean, distribution = f.predict(u[20:]), f.forecast(u[20:]).distribution
    np.testing.assert_allclose(mean.ravel(), expected[40:], rtol=1e-8)
    for h in range(5):
        own = slice(40 + 2 * h, 42 + 2 * h)
        np.testing.assert_allclose(distribution.cov[0, h], cov[own, own], rtol=1e-8)
    draws = np.asarray(f.sample(u[20:], n_paths=20_000, random_state=1)).transpose(2, 0, 1)
    np.testing.assert_allclose(draws.mean(axis=0), mean, atol=0.05 * draws.std())
    np.testing.assert_allclose(np.cov(draws[:, 3].T), cov[46:48, 46:48], atol=0.1 * np.abs(cov[46:48, 46:48]).max())


@pytest.mark.parametrize("k", [1, 9, 19])
def test_update_is_exact(k):
    rng = np.random.default_rng(1)
    ssm = driven(rng)
    y, u = dense.random_series(rng, 20, 2), rng.normal(size=(24, 2))
    y[0] = 1.0
    whole = KalmanFilter(ssm).fit(u[:20], y)
    parts = KalmanFilter(ssm).fit(u[:k], y[:k]).update(u[k:20], y[k:])
    np.testing.assert_allclose(parts.predict(u[20:]), whole.predict(u[20:]), rtol=1e-9)
    np.testing.assert_allclose(parts.states_[0].cov, whole.states_[0].cov, rtol=1e-8, atol=1e-10)


def test_time_varying_matrices_go_on_where_they_stand():
    rng = np.random.default_rng(2)
    x = rng.normal(size=40)
    ssm = LinearGaussianSSM(
        ONE, 0 * ONE, TimeVarying(x[:, None, None]), ONE, np.zeros(1), 0 * ONE, initial_diffuse_cov=ONE
    )
    y = 2.0 * x[:30] + rng.normal(size=30)
    slope = x[:30] @ y / (x[:30] @ x[:30])
    f = KalmanFilter(ssm).fit(y[:20]).update(y[20:])
    np.testing.assert_allclose(f.predict(10), slope * x[30:], rtol=1e-9)
    with pytest.raises(InputError, match="values for 10 only"):
        f.predict(11)


def test_in_sample_predictions_are_one_step_ahead():
    index = pd.date_range("1871", periods=100, freq="YS")
    y = pd.Series(NILE, index, name="flow")
    f = KalmanFilter(level({"obs_var": 15099.0, "level_var": 1469.1})).fit(y)
    inside = f.predict(y.iloc[:4])
    assert np.isnan(inside.iloc[0])
    np.testing.assert_allclose(inside.iloc[1:], [1120.0, 1140.92783993, 1072.79852953], atol=1e-7)


def test_the_default_model_has_levels_and_effects():
    rng = np.random.default_rng(3)
    X = rng.normal(size=(150, 2))
    y = (
        np.cumsum(0.3 * rng.normal(size=(150, 2)), axis=0)
        + X @ [[2.0, 0.0], [0.0, -1.0]]
        + 0.5 * rng.normal(size=(150, 2))
    )
    f = KalmanFilter().fit(X, y)
    np.testing.assert_allclose(f.params_["coef"], [[2.0, 0.0], [0.0, -1.0]], atol=0.15)
    each = [KalmanFilter().fit(X, y[:, j]) for j in (0, 1)]
    np.testing.assert_allclose(f.params_["level_var"], [e.params_["level_var"] for e in each], rtol=1e-3)
    np.testing.assert_allclose(f.loglik_, sum(e.loglik_ for e in each), rtol=1e-7)
    structural = ssmts.StructuralForecaster(trend="local_level").fit(y[:, 0])
    alone = KalmanFilter().fit(y[:, 0])
    assert alone.params_["level_var"] == pytest.approx(structural.params_["level_var"], rel=1e-3)
    held = KalmanFilter(fix={"level_var": 0.0}).fit(y[:, 0])
    assert held.params_["level_var"] == 0.0


def test_panels():
    rng = np.random.default_rng(4)
    y = pd.concat(
        {name: pd.Series(rng.normal(size=n).cumsum(), pd.RangeIndex(n)) for name, n in (("a", 40), ("b", 30))},
        names=["shop", "t"],
    )
    f = KalmanFilter(level, LEVEL, n_jobs=2).fit(y)
    alone = KalmanFilter(level, LEVEL).fit(y["b"])
    assert f.params_[1] == alone.params_
    np.testing.assert_allclose(f.predict(3)["b"], alone.predict(3))
    assert f.smooth("b").smoothed_mean.shape == (30, 1)
    assert loglik(f.ssm_[0], y["a"].to_numpy()[:, None]) == pytest.approx(f.loglik_[0])
    with pytest.raises(UnknownSeriesError, match="Pass series="):
        f.smooth()


@pytest.mark.parametrize(
    ("arguments", "data", "error", "words"),
    [
        ({"model": level}, (NILE,), InputError, "it needs parameters"),
        ({"model": 3}, (NILE,), InputTypeError, "model must be a LinearGaussianSSM"),
        ({"parameters": LEVEL}, (NILE,), InputError, "model is None"),
        (
            {"model": level({"obs_var": 1.0, "level_var": 1.0}), "fix": {"obs_var": 1.0}},
            (NILE,),
            InputError,
            "model is explicit",
        ),
        (
            {"model": level, "parameters": LEVEL},
            (np.ones((5, 2)),),
            InputError,
            r"1 observation\(s\) a row, and y has 2",
        ),
        ({"model": level, "parameters": LEVEL}, (np.ones((5, 2)), np.ones(5)), InputError, "the model has no inputs"),
        ({}, (NILE[:2],), TooShortError, "received 2 samples"),
    ],
)
def test_refusals(arguments, data, error, words):
    with pytest.raises(error, match=words):
        KalmanFilter(**arguments).fit(*data)


def test_covariates_that_move_states_must_have_every_row():
    rng = np.random.default_rng(5)
    index = pd.RangeIndex(30)
    u = pd.DataFrame(rng.normal(size=(30, 2)), index)
    f = KalmanFilter(driven(rng, 1)).fit(u[:20], pd.Series(rng.normal(size=20), index[:20]))
    with pytest.raises(FutureRowsError, match=r"has no row 1 step\(s\)"):
        f.predict(u[22:])
    with pytest.raises(InputError, match=r"2 input\(s\), so X needs as many"):
        KalmanFilter(driven(rng, 1)).fit(np.ones(9))


@pytest.mark.parametrize("sign", [-1, 1])
@pytest.mark.parametrize("noise", [0.0, 1.0])
def test_regression_on_its_own_past_over_a_hundred_orders_of_magnitude(sign, noise):
    """KFAS, tests/testthat/testNumerical.R: y = exp(-t) or exp(t), whose ratio of neighbours is the coefficient."""
    y = np.exp(sign * np.arange(1.0, 251.0))
    past = TimeVarying(np.concatenate([[0.0], y[:-1]])[:, None, None])
    y[0] = np.nan
    ssm = LinearGaussianSSM(ONE, 0 * ONE, past, noise * ONE, np.zeros(1), 0 * ONE, initial_diffuse_cov=ONE)
    f = KalmanFilter(ssm).fit(y)
    assert f.states_[0].mean[0] == pytest.approx(np.exp(sign), rel=1e-12)
    np.testing.assert_allclose(f.smooth().smoothed_mean, np.exp(sign), rtol=1e-12)


def test_what_is_saved_goes_on(tmp_path):
    y = np.random.default_rng(6).normal(size=(30, 2)).cumsum(axis=0)
    explicit = KalmanFilter(level({"obs_var": 1.0, "level_var": 2.0})).fit(y[:, 0])
    for f, more in ((explicit, y[:3, 0]), (KalmanFilter().fit(y), y[:3]), (ssmts.VARForecaster().fit(y), y[:3])):
        ssmts.save(f, tmp_path / "f.ssmts")
        again = ssmts.load(tmp_path / "f.ssmts")
        np.testing.assert_array_equal(again.update(more).predict(3), f.update(more).predict(3))
    imputer = ssmts.KalmanImputer().fit(y)
    ssmts.save(imputer, tmp_path / "i.ssmts")
    holes = np.where(np.eye(30, 2) > 0, np.nan, y)
    np.testing.assert_array_equal(ssmts.load(tmp_path / "i.ssmts").transform(holes), imputer.transform(holes))


def test_summaries_have_a_line_for_every_number():
    rng = np.random.default_rng(0)
    y = pd.DataFrame(rng.normal(size=(60, 2)).cumsum(axis=0), columns=["a", "b"])
    f = VARForecaster().fit(y)
    lines = f.summary().splitlines()
    assert lines[0] == "VARForecaster: 2 column(s), 2 state(s), converged"
    assert lines[1] == f"log-likelihood {f.loglik_:.3f}"
    (found,) = [line.split() for line in lines if line.startswith("coef[0, 1, 0]")]
    assert float(found[3]) == pytest.approx(f.params_["coef"][0][1, 0], rel=1e-5)
    assert float(found[4]) == pytest.approx(f.stderr_["coef"][0][1, 0], rel=1e-5)
    panel = pd.concat({"x": y, "z": y + 1.0}, names=["series", "time"])
    both = VARForecaster().fit(panel)
    assert both.summary("z").startswith("VARForecaster of 'z'")
    with pytest.raises(UnknownSeriesError, match="'x', 'z'"):
        both.summary()
