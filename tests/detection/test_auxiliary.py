"""Auxiliary residuals: statsmodels' smoother, regressions on dummies in dense matrices, textbook years."""

import numpy as np
import pytest
import statsmodels.api as sm
from scipy.linalg import cholesky, lstsq, solve_triangular

from ssmts import StructuralForecaster
from ssmts.datasets import load_classic
from ssmts.detection.auxiliary import auxiliary, response


def fitted(y, trend="local_level", X=None, **kwargs):
    model = StructuralForecaster(trend, **kwargs)
    return (model.fit(y) if X is None else model.fit(X, y)).units_[0]


def walk(n, seed=0, slope=0.0):
    rng = np.random.default_rng(seed)
    return np.cumsum(rng.normal(0, 0.5, n)) + np.cumsum(np.cumsum(rng.normal(0, slope, n))) + rng.normal(0, 1.0, n)


# statsmodels ------------------------------------------------------------------------------------------------------


def theirs(y, trend, parameters, season=None):
    """The t statistics of observations and states by the disturbance smoother of statsmodels."""
    model = sm.tsa.UnobservedComponents(y, trend, seasonal=season, use_exact_diffuse=True)
    done = model.smooth(parameters).smoother_results
    with np.errstate(invalid="ignore", divide="ignore"):
        return _standardised(done, parameters)


def _standardised(done, parameters):
    eps, left = done.smoothed_measurement_disturbance[0], done.smoothed_measurement_disturbance_cov[0, 0]
    outlier = eps / np.sqrt(parameters[0] - left)
    states = [
        done.smoothed_state_disturbance[i] / np.sqrt(parameters[1 + i] - done.smoothed_state_disturbance_cov[i, i])
        for i in range(len(parameters) - 1)
    ]
    return outlier, [np.append(np.nan, state[:-1]) for state in states]


@pytest.mark.parametrize("missing", [False, True])
@pytest.mark.parametrize("trend, name", [("local_level", "llevel"), ("local_linear", "lltrend")])
def test_they_are_the_smoothed_disturbances_of_statsmodels(trend, name, missing):
    y = walk(120, slope=0.3)
    if missing:
        y[[30, 31, 32, 77]] = np.nan
    given = {"obs_var": 1.3, "level_var": 0.4, "slope_var": 0.05}
    given = {name: given[name] for name in list(given)[: 2 if trend == "local_level" else 3]}
    unit = fitted(y, trend, fix=given)
    ours = auxiliary(unit, y)
    outlier, states = theirs(y, name, np.array(unit.parameters))
    seen = ~np.isnan(y)
    assert np.isnan(ours.t[~seen]).all()
    np.testing.assert_allclose(ours.t[seen, 0], outlier[seen], rtol=1e-6, atol=1e-8)
    for k, state in enumerate(states, 1):
        both = seen & ~np.isnan(ours.t[:, k])
        assert both.sum() > 110
        np.testing.assert_allclose(ours.t[both, k], state[both], rtol=1e-6, atol=1e-8)


def test_with_a_season_they_are_those_of_statsmodels():
    y = walk(140) + np.tile([3.0, -1.0, 0.5, -2.5], 35)
    given = {"obs_var": 0.8, "level_var": 0.3, "season_var": 0.02}
    ours = auxiliary(fitted(y, season_length=4, seasonal="dummy", fix=given), y)
    outlier, states = theirs(y, "llevel", np.array(list(given.values())), 4)
    np.testing.assert_allclose(ours.t[:, 0], outlier, rtol=1e-6, atol=1e-8)
    assert np.isfinite(ours.t[1:, 1]).all()
    np.testing.assert_allclose(ours.t[1:, 1], states[0][1:], rtol=1e-6, atol=1e-8)


# dense regressions ------------------------------------------------------------------------------------------------


def dense(y, parameters, trend, dummy):
    """Coefficient and standard error of a dummy by generalised least squares with the covariance of all rows."""
    n, t = len(y), np.arange(len(y))
    V = parameters[0] * np.eye(n) + parameters[1] * np.minimum.outer(t, t)
    known = [np.ones(n)]
    if trend == "local_linear":
        ramps = np.maximum(t[:, None] - t[None, 1:-1] - 0.0, 0.0)  # a slope shock that moves row s + 1 first
        V = V + parameters[2] * ramps @ ramps.T
        known.append(t.astype(float))
    X = np.column_stack([*known, dummy])
    seen = ~np.isnan(y)
    L = cholesky(V[np.ix_(seen, seen)], lower=True)
    Xw, yw = (solve_triangular(L, part[seen], lower=True) for part in (X, y))
    coefficients = lstsq(Xw, yw)[0]
    return coefficients[-1], np.sqrt(np.linalg.pinv(Xw.T @ Xw)[-1, -1])


def dummy_of(kind, row, n):
    t = np.arange(n)
    return {"outlier": t == row, "level": t >= row, "slope": np.maximum(t - row, 0)}[kind].astype(float)


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("trend", ["local_level", "local_linear"])
def test_they_are_what_a_regression_on_a_dummy_says(trend, seed):
    y = walk(50, seed, slope=0.2)
    y[[11, 12, 30]] = np.nan
    unit = fitted(y, trend)
    ours = auxiliary(unit, y)
    for row in (2, 5, 13, 25, 44, 47, 48):
        for k, kind in enumerate(ours.kinds):
            if kind == "slope" and row == 48:
                continue
            size, error = dense(y, unit.parameters, trend, dummy_of(kind, row, 50))
            np.testing.assert_allclose(ours.size[row, k], size, rtol=1e-6, atol=1e-8, err_msg=f"{kind} {row}")
            np.testing.assert_allclose(ours.std_error[row, k], error, rtol=1e-6, err_msg=f"{kind} {row}")


@pytest.mark.parametrize("trend", ["fixed", "local_level", "local_linear", "damped"])
def test_states_without_noise_may_break_too(trend):
    y = walk(60, 3)
    model = StructuralForecaster(trend, fix={} if trend == "fixed" else {"level_var": 0.0})
    unit = model.fit(y).units_[0]
    ours = auxiliary(unit, y)
    assert ours.kinds[:2] == ("outlier", "level")
    size, error = ours.size[30, 1], ours.std_error[30, 1]
    dummy = response(unit, "level", 30, 60)
    np.testing.assert_array_equal(dummy, np.arange(60) >= 30)
    given = dict(zip(("obs_var", *(name for name in model.params_ if name != "obs_var")), unit.parameters))
    again = StructuralForecaster(trend, fix=given).fit(dummy[:, None], y)
    np.testing.assert_allclose(again.coef_.iloc[0], size, rtol=1e-6)
    np.testing.assert_allclose(again.coef_stderr_.iloc[0], error, rtol=1e-6)


def test_beside_covariates_they_are_what_one_more_dummy_says():
    rng = np.random.default_rng(4)
    X = rng.normal(size=(80, 2))
    y = walk(80, 5) + X @ [2.0, -1.0]
    unit = fitted(y, X=X)
    ours = auxiliary(unit, y, X)
    for kind, row in (("outlier", 20), ("level", 55)):
        more = np.column_stack([X, response(unit, kind, row, 80)])
        given = dict(zip(("obs_var", "level_var"), unit.parameters))
        again = StructuralForecaster("local_level", fix=given).fit(more, y)
        k = ours.kinds.index(kind)
        np.testing.assert_allclose(again.coef_.iloc[-1], ours.size[row, k], rtol=1e-6)
        np.testing.assert_allclose(again.coef_stderr_.iloc[-1], ours.std_error[row, k], rtol=1e-6)


def test_a_slope_moves_the_rows_after_its_own():
    unit = fitted(walk(40, slope=0.3), "local_linear")
    np.testing.assert_array_equal(response(unit, "slope", 10, 15), [0] * 11 + [1, 2, 3, 4])
    np.testing.assert_array_equal(response(unit, "outlier", 3, 5), [0, 0, 0, 1, 0])


# textbooks --------------------------------------------------------------------------------------------------------


def test_the_nile_has_its_level_break_in_1899_and_its_outliers_in_1913_and_1877():
    """Durbin and Koopman (2012), section 2.12.2 and figure 2.8: the largest auxiliary residuals."""
    nile = load_classic("nile").data
    told = auxiliary(fitted(nile.to_numpy()), nile.to_numpy())
    years = np.asarray(nile.index.year)[np.argsort(-np.abs(told.t), axis=0, kind="stable")]
    assert years[0, 1] == 1899
    assert years[:2, 0].tolist() == [1913, 1877]
    assert told.t[28, 1] < -3


def test_scale_and_level_change_nothing():
    y = walk(90, 6)
    here, there = (auxiliary(fitted(part), part).t for part in (y, 1e6 + 1e3 * y))
    np.testing.assert_allclose(there, here, rtol=1e-3, atol=1e-3)
