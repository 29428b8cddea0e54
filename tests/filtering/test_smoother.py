"""Smoothers and imputers in scikit-learn's world, against the dense twin."""

import numpy as np
import pandas as pd
import pytest
from oracles import dense_gaussian as dense
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import estimator_checks_generator

from ssmts import KalmanFilter, KalmanImputer, KalmanSmoother, StructuralForecaster, VARForecaster
from ssmts.checks import EXPECTED_FAILURES
from ssmts.core.types import LinearGaussianSSM
from ssmts.exceptions import InputError, InputTypeError, TooShortError

ONE = np.eye(1)
WALK = LinearGaussianSSM(ONE, ONE, ONE, 0 * ONE, np.zeros(1), 0 * ONE, initial_diffuse_cov=ONE)


def _checks():
    for estimator in (KalmanSmoother(), KalmanImputer()):
        for one, check in estimator_checks_generator(estimator):
            name = check.func.__name__ if hasattr(check, "func") else check.__name__
            yield pytest.param(one, check, EXPECTED_FAILURES.get(name), id=f"{type(estimator).__name__}-{name}")


@pytest.mark.parametrize(("estimator", "check", "reason"), list(_checks()))
def test_scikit_learn(estimator, check, reason):
    try:
        check(estimator)
    except (AssertionError, TooShortError):
        if reason is None:
            raise
        pytest.xfail(reason)


def table(n=60, seed=0, zone=None):
    rng = np.random.default_rng(seed)
    X = pd.DataFrame(
        {"a": rng.normal(size=n).cumsum(), "b": 5 + rng.normal(size=n)},
        pd.date_range("2024-03-01", periods=n, freq="D", tz=zone),
    )
    return X.mask(rng.random((n, 2)) < 0.2)


@pytest.mark.parametrize("kind", [KalmanSmoother, KalmanImputer])
def test_frames_keep_index_and_columns(kind):
    X = table(zone="Europe/Berlin")
    out = kind(StructuralForecaster("local_level")).fit_transform(X)
    assert out.index.equals(X.index)
    assert list(out) == ["a", "b"]
    assert not out.isna().any(axis=None)
    if kind is KalmanImputer:
        np.testing.assert_array_equal(out.to_numpy()[X.notna()], X.to_numpy()[X.notna()])
    arrays = kind(StructuralForecaster("local_level")).fit_transform(X.to_numpy())
    np.testing.assert_allclose(arrays, out, rtol=1e-9)
    each = [kind(StructuralForecaster("local_level")).fit_transform(X[[name]])[name] for name in X]
    pd.testing.assert_frame_equal(out, pd.concat(each, axis=1), check_freq=False)


@pytest.mark.parametrize("kind", [KalmanSmoother, KalmanImputer])
def test_a_series_in_a_series_out(kind):
    X = table().iloc[:, 0]
    got = kind(WALK).fit_transform(X)
    pd.testing.assert_series_equal(got, kind(WALK).fit_transform(X.to_frame()).iloc[:, 0])
    assert got.name == X.name
    with pytest.raises(ValueError, match="feature names should match"):
        kind(WALK).fit(X).transform(X.rename("other"))


def test_absent_stamps_are_missing_rows():
    X = table()
    holes = X.iloc[[*range(10), *range(15, 60)]]
    blank = X.copy()
    blank.iloc[10:15] = np.nan
    a = KalmanSmoother(StructuralForecaster("local_level"), freq="D").fit_transform(holes)
    b = KalmanSmoother(StructuralForecaster("local_level")).fit_transform(blank)
    pd.testing.assert_frame_equal(a, b.loc[holes.index], check_freq=False)


@pytest.mark.parametrize("full", [True, False])
def test_imputed_values_are_those_of_the_joint_gaussian(full):
    """Conditional means and, of draws, their covariance, correlated noises included."""
    rng = np.random.default_rng(1)
    half = rng.normal(size=(2, 2))
    ssm = LinearGaussianSSM(
        np.array([[0.8, 0.1], [0.0, 0.5]]),
        np.eye(2),
        rng.normal(size=(2, 2)),
        half @ half.T if full else np.diag([0.5, 0.0]),
        np.array([1.0, -1.0]),
        np.eye(2),
        obs_offset=np.array([3.0, -2.0]),
    )
    y = dense.random_series(rng, 8, 2)
    y[2], y[3, 0] = np.nan, np.nan
    whole = dense.joint(ssm, 8).observations
    mean, cov = whole.mean, whole.B @ dense.joint(ssm, 8).cov @ whole.B.T
    seen = ~np.isnan(y.ravel())
    gain = cov[np.ix_(~seen, seen)] @ np.linalg.inv(cov[np.ix_(seen, seen)])
    expected = mean[~seen] + gain @ (y.ravel()[seen] - mean[seen])
    spread = cov[np.ix_(~seen, ~seen)] - gain @ cov[np.ix_(seen, ~seen)]
    imputer = KalmanImputer(ssm).fit(y)
    np.testing.assert_allclose(imputer.transform(y).ravel()[~seen], expected, rtol=1e-8, atol=1e-9)
    np.testing.assert_array_equal(imputer.transform(y).ravel()[seen], y.ravel()[seen])
    imputer.set_params(draw=True, random_state=np.random.default_rng(0))
    draws = np.array([imputer.transform(y).ravel()[~seen] for _ in range(1500)])
    np.testing.assert_allclose(draws.mean(axis=0), expected, atol=4 * np.sqrt(np.diagonal(spread).max() / 1500))
    np.testing.assert_allclose(np.cov(draws.T), spread, atol=0.15 * spread.max())


def test_rows_after_those_of_fit_go_on_from_there():
    X = table(80)
    fitted = KalmanImputer(StructuralForecaster("local_level")).fit(X.iloc[:60])
    later = fitted.transform(X.iloc[60:])
    f = fitted.forecaster_
    first = X.iloc[60:].isna() & X.iloc[60:].notna().cumsum().eq(0)
    for name in X:
        rows = first.index[first[name]]
        if len(rows):
            assert later.loc[rows[0], name] != pytest.approx(X[name].mean())
    blank = X.iloc[60:63] * np.nan
    np.testing.assert_allclose(fitted.transform(blank), f.predict(3), rtol=1e-9)
    gap = fitted.transform(X.iloc[65:68] * np.nan)
    np.testing.assert_allclose(gap, f.predict(8).iloc[5:], rtol=1e-9)
    with pytest.raises(TooShortError, match="in a stretch of their own"):
        fitted.transform(X.iloc[10:12] * np.nan)


def test_panels_and_joint_models():
    X = pd.concat({"x": table(40, 1), "y": table(50, 2)}, names=["unit", "time"])
    out = KalmanSmoother(KalmanFilter()).fit_transform(X)
    assert out.index.equals(X.index)
    alone = KalmanSmoother(KalmanFilter()).fit_transform(X.loc["y"])
    np.testing.assert_allclose(out.loc["y"], alone, rtol=1e-6)


def test_an_autoregression_fills_columns_from_each_other():
    rng = np.random.default_rng(7)
    common = rng.normal(size=200)
    X = np.stack([common, 2.0 * common], axis=1) + 0.1 * rng.normal(size=(200, 2))
    holes = X.copy()
    holes[50:60, 0] = np.nan
    out = KalmanImputer(VARForecaster()).fit_transform(holes)
    assert np.abs(out[50:60, 0] - X[50:60, 0]).max() < 0.5
    np.testing.assert_array_equal(out[60:], X[60:])


def test_in_a_pipeline():
    X = table()
    target = np.arange(60.0)
    pipe = make_pipeline(KalmanImputer(StructuralForecaster("local_level")), StandardScaler(), LinearRegression()).fit(
        X, target
    )
    assert pipe.predict(X).shape == (60,)
    named = make_pipeline(KalmanSmoother(WALK)).set_output(transform="pandas")
    assert list(named.fit_transform(X[["a"]])) == ["a"]
    np.testing.assert_array_equal(named.get_feature_names_out(), ["a"])


def test_refusals():
    with pytest.raises(InputTypeError, match="model must be None"):
        KalmanImputer(3).fit(np.ones((9, 1)))
    with pytest.raises(InputError, match="target_transform"):
        KalmanImputer(StructuralForecaster(target_transform=StandardScaler())).fit(np.ones((9, 1)))
    with pytest.raises(InputError, match=r"1 observation\(s\)"):
        KalmanSmoother(WALK).fit(np.ones((9, 2)))
    fitted = KalmanSmoother(WALK).fit(np.arange(9.0)[:, None])
    with pytest.raises(TooShortError, match="1 unknown value"):
        fitted.transform([[np.nan]])
