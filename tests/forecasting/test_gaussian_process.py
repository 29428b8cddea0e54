"""Gaussian processes against the regression with an (n, n) matrix, and against scikit-learn."""

from contextlib import suppress

import numpy as np
import pandas as pd
import pytest
import sklearn.gaussian_process.kernels as theirs
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import precise_gaussian
from sklearn.gaussian_process import GaussianProcessRegressor

from ssmts import GaussianProcessForecaster
from ssmts.components.kernels import Constant, Matern, Periodic
from ssmts.core.gaussian import loglik
from ssmts.exceptions import InputError, InputTypeError, NumericalError, TimeIndexError, TooShortError
from ssmts.forecasting._process_likelihood import Likelihood
from ssmts.forecasting._process_model import hyperparameters, over, terms_of, with_values

SEASON = Matern(1.5, 2.0, 1.2) + Periodic(7.0, 0.9, 0.7, order=4) * Matern(0.5, 20.0)
KERNELS = {
    "rough": Matern(0.5, 3.0, 2.0),
    "smooth": Matern(2.5, 4.0, 0.5),
    "season": SEASON,
    "product": Matern(1.5, 3.0, 0.8) * Matern(0.5, 30.0) + Constant(0.4),
}


def times(n=40, seed=0):
    return np.sort(np.random.default_rng(seed).uniform(0, 30, n))


def path(kernel, t, obs_var=0.3, seed=1):
    cov = kernel(t[:, None] - t) + obs_var * np.eye(len(t))
    return np.linalg.cholesky(cov) @ np.random.default_rng(seed).standard_normal(len(t))


def fixed(kernel, obs_var=0.3):
    """The values of a kernel, as `fix` takes them."""
    found = {name: getattr(kernel.leaves[leaf], field) for name, leaf, field in hyperparameters(kernel)}
    return found | {"obs_var": obs_var}


def dense(kernel, obs_var, t, y, B, asked, B_asked):
    """Log-likelihood, and mean and variance of observations, by generalised least squares and kriging; B are unknown effects."""
    seen = ~np.isnan(y)
    t, y, B = t[seen], y[seen], B[seen]
    K = kernel(t[:, None] - t) + obs_var * np.eye(len(t))
    inverse = np.linalg.inv(K)
    G = B.T @ inverse @ B
    beta = np.linalg.solve(G, B.T @ inverse @ y) if B.shape[1] else np.zeros(0)
    r = y - B @ beta
    logdet = np.linalg.slogdet(K)[1] + (np.linalg.slogdet(G)[1] if B.shape[1] else 0.0)
    loglik = -0.5 * (len(y) * np.log(2 * np.pi) + logdet + r @ inverse @ r)
    k = kernel(asked[:, None] - t)
    rest = B_asked - k @ inverse @ B
    mean = B_asked @ beta + k @ inverse @ r
    variance = float(kernel(0.0)) + obs_var - np.sum(k @ inverse * k, axis=1)
    if B.shape[1]:
        variance = variance + np.sum(rest @ np.linalg.inv(G) * rest, axis=1)
    return loglik, mean, variance


@pytest.fixture(params=KERNELS)
def kernel(request):
    return KERNELS[request.param]


@pytest.mark.parametrize("mean", ["zero", "constant"])
@pytest.mark.parametrize("n_covariates", [0, 2])
def test_predictions_are_those_of_dense_regression(kernel, mean, n_covariates):
    t, asked = times(), np.array([30.5, 31.0, 44.0, 300.0])
    rng = np.random.default_rng(2)
    X, X_asked = rng.standard_normal((40, n_covariates)), rng.standard_normal((4, n_covariates))
    y = 5.0 * (mean == "constant") + path(kernel, t) + X @ np.arange(1.0, n_covariates + 1)
    y[[3, 17]] = np.nan
    f = GaussianProcessForecaster(kernel, mean=mean, fix=fixed(kernel))
    if n_covariates:
        f.fit(pd.DataFrame(X, index=t), pd.Series(y, index=t))
        found = f.forecast(pd.DataFrame(X_asked, index=asked))
    else:
        f.fit(pd.Series(y, index=t))
        found = f.forecast(pd.Index(asked))
    effects = [np.ones((40, 1))] * (mean == "constant"), [np.ones((4, 1))] * (mean == "constant")
    B, B_asked = (np.concatenate([*ones, x], axis=1) for ones, x in zip(effects, (X, X_asked)))
    loglik, expected, variance = dense(kernel, 0.3, t, y, B, asked, B_asked)
    np.testing.assert_allclose(found.mean, expected, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(found.distribution.variance()[0, :, 0], variance, rtol=1e-9)
    if n_covariates:  # they enter as uncorrelated columns of mean square one, which changes a determinant
        loglik -= np.linalg.slogdet(f.units_[0].covariates.rotation)[1]
    assert f.loglik_ == pytest.approx(loglik, rel=1e-10)
    inside = f.predict(pd.DataFrame(X, index=t) if n_covariates else pd.Index(t))
    before = slice(0, 20)
    at = dense(kernel, 0.3, t[before], y[before], B[before], t[20:21], B[20:21])[1]
    np.testing.assert_allclose(inside.iloc[20], at[0], rtol=1e-9)


def test_regular_rows_are_irregular_rows_of_equal_distance(kernel):
    t = np.arange(40.0)
    y = path(kernel, t)
    y[5] = np.nan
    grid = GaussianProcessForecaster(kernel, fix=fixed(kernel)).fit(y)
    free = GaussianProcessForecaster(kernel, fix=fixed(kernel)).fit(pd.Series(y, index=t))
    assert grid.loglik_ == pytest.approx(free.loglik_, rel=1e-11)
    np.testing.assert_allclose(grid.predict(5), free.predict(pd.Index(t[-1] + np.arange(1.0, 6.0))), rtol=1e-9)
    a, b = grid.update(y[:3]), free.update(pd.Series(y[:3], index=[40.0, 41.0, 42.0]))
    np.testing.assert_allclose(a.predict(2), b.predict(pd.Index([43.0, 44.0])), rtol=1e-9)
    estimated = [GaussianProcessForecaster(kernel).fit(given) for given in (y, pd.Series(y, index=t))]
    assert estimated[0].loglik_ == pytest.approx(estimated[1].loglik_, abs=1e-6)


def test_loglik_and_gradient_by_differences(kernel):
    t = times()
    y = path(kernel, t)
    y[7] = np.nan
    likelihood = Likelihood(
        kernel, y, np.append(np.diff(t), 0.0), True, np.random.default_rng(0).standard_normal((40, 2))
    )
    values = {name: 1.1 * value for name, value in fixed(kernel).items()}
    height, gradient = likelihood(values)
    assert height == pytest.approx(likelihood.height(values), rel=1e-12)
    for name, value in values.items():
        up, down = (likelihood.height(values | {name: value * (1 + h)}) for h in (1e-4, -1e-4))
        assert gradient[name] == pytest.approx((up - down) / (2e-4 * value), rel=1e-6, abs=1e-6)
    factor, best = likelihood.profiled(values)
    scaled = [
        likelihood.height({n: v * c if n.endswith("_var") else v for n, v in values.items()})
        for c in (factor, 1.01 * factor, 0.99 * factor)
    ]
    assert scaled[0] == pytest.approx(best, rel=1e-10)
    assert scaled[0] > max(scaled[1:])


@pytest.mark.parametrize(
    "ours, other",
    [
        (Matern(0.5, 3.0, 2.0), 2.0 * theirs.Matern(3.0, nu=0.5)),
        (Matern(1.5, 2.0, 0.7), 0.7 * theirs.Matern(2.0, nu=1.5)),
        (Matern(2.5, 4.0, 1.5), 1.5 * theirs.Matern(4.0, nu=2.5)),
        (Periodic(7.0, 1.1, 2.0, order=12), 2.0 * theirs.ExpSineSquared(1.1, 7.0)),
        (
            Periodic(7.0, 1.1, 2.0, order=12) * Matern(0.5, 30.0) + Matern(1.5, 2.0),
            2.0 * theirs.ExpSineSquared(1.1, 7.0) * theirs.Matern(30.0, nu=0.5) + theirs.Matern(2.0, nu=1.5),
        ),
    ],
)
def test_scikit_learn_agrees(ours, other):
    t = times()
    y = path(ours, t)
    regressor = GaussianProcessRegressor(other + theirs.WhiteKernel(0.3), optimizer=None).fit(t[:, None], y)
    f = GaussianProcessForecaster(ours, mean="zero", fix=fixed(ours)).fit(pd.Series(y, index=t))
    assert f.loglik_ == pytest.approx(regressor.log_marginal_likelihood_value_, rel=1e-8)
    asked = np.array([30.1, 33.0, 50.0])
    mean, deviation = regressor.predict(asked[:, None], return_std=True)
    found = f.forecast(pd.Index(asked))
    np.testing.assert_allclose(found.mean, mean, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(found.distribution.variance()[0, :, 0], deviation**2, rtol=1e-7)


@pytest.mark.parametrize("seed", range(4))
def test_the_maximum_is_not_below_that_of_scikit_learn(seed):
    t = times(60, seed)
    y = path(Matern(1.5, 3.0, 2.0), t, 0.2, seed)
    regressor = GaussianProcessRegressor(
        theirs.ConstantKernel() * theirs.Matern(nu=1.5) + theirs.WhiteKernel(), n_restarts_optimizer=4, random_state=0
    ).fit(t[:, None], y)
    f = GaussianProcessForecaster(Matern(1.5), mean="zero").fit(pd.Series(y, index=t))
    assert f.loglik_ > regressor.log_marginal_likelihood_value_ - 1e-6
    assert f.converged_
    product = regressor.kernel_.k1
    if f.loglik_ < regressor.log_marginal_likelihood_value_ + 1e-4:
        assert f.params_["matern_length_scale"] == pytest.approx(product.k2.length_scale, rel=1e-2)


@settings(max_examples=25, deadline=None)
@given(
    gaps=st.lists(st.floats(1e-3, 50.0), min_size=6, max_size=25),
    cut=st.integers(1, 4),
    factor=st.floats(1e-3, 1e3),
    stretch=st.sampled_from([0.01, 1.0, 86_400.0]),
    shift=st.floats(-100.0, 100.0),
    seed=st.integers(0, 1000),
)
def test_invariants(gaps, cut, factor, stretch, shift, seed):
    t = np.cumsum(gaps)
    kernel = Matern(1.5, 2.0, 1.2) + Periodic(7.0, 0.9, 0.7, order=2) * Matern(0.5, 20.0)
    y = pd.Series(np.random.default_rng(seed).standard_normal(len(t)), index=t)
    asked = pd.Index(t[-1] + np.array([0.1, 3.0]))
    whole = GaussianProcessForecaster(kernel, fix=fixed(kernel)).fit(y)
    expected, variance = whole.predict(asked).to_numpy(), whole.forecast(asked).distribution.variance()
    parts = GaussianProcessForecaster(kernel, fix=fixed(kernel)).fit(y[: cut + 1])
    parts.update(y[cut + 1 : cut + 2]).update(y[cut + 2 :]) if len(y) > cut + 2 else parts.update(y[cut + 1 :])
    np.testing.assert_allclose(parts.predict(asked), expected, rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(parts.forecast(asked).distribution.variance(), variance, rtol=1e-8)
    values = {
        name: value * (factor**2 if name.endswith("_var") else stretch if "matern" in name else 1.0)
        for name, value in fixed(kernel).items()
    }
    leaves = kernel.leaves
    moved = kernel.with_leaves((leaves[0], leaves[1].with_values(period=7.0 * stretch), leaves[2]))
    other = GaussianProcessForecaster(moved, fix=values).fit(
        pd.Series(shift + factor * y.to_numpy(), index=t * stretch)
    )
    np.testing.assert_allclose(
        other.predict(pd.Index(asked.to_numpy() * stretch)),
        shift + factor * expected,
        rtol=1e-7,
        atol=1e-7 * (factor + 1),
    )
    holes = pd.Series(np.nan, index=(t[1:] + t[:-1]) / 2)
    filled = GaussianProcessForecaster(kernel, fix=fixed(kernel)).fit(pd.concat([y, holes]).sort_index())
    np.testing.assert_allclose(filled.predict(asked), expected, rtol=1e-8, atol=1e-8)


def test_paths_have_the_law_of_the_forecast():
    t = times()
    f = GaussianProcessForecaster(SEASON, fix=fixed(SEASON)).fit(pd.Series(path(SEASON, t), index=t))
    asked = pd.Index([30.5, 31.0, 44.0])
    paths = f.sample(asked, n_paths=20_000, random_state=0).to_numpy()
    forecast = f.forecast(asked)
    deviation = np.sqrt(forecast.distribution.variance()[0, :, 0])
    assert np.all(np.abs(paths.mean(axis=1) - forecast.mean) < 5 * deviation / np.sqrt(20_000))
    np.testing.assert_allclose(paths.std(axis=1), deviation, rtol=0.03)
    joint = np.cov(paths)
    K = SEASON(t[:, None] - t) + 0.3 * np.eye(len(t))
    k = SEASON(asked.to_numpy()[:, None] - t)
    rest = 1 - k @ np.linalg.solve(K, np.ones(len(t)))
    spread = np.outer(rest, rest) / np.linalg.solve(K, np.ones(len(t))).sum()
    expected = (
        SEASON(asked.to_numpy()[:, None] - asked.to_numpy()) - k @ np.linalg.solve(K, k.T) + spread + 0.3 * np.eye(3)
    )
    np.testing.assert_allclose(joint, expected, atol=0.05 * expected.max())


def test_stamps_between_training_rows_are_predicted_from_the_rows_before():
    t = times()
    y = pd.Series(path(SEASON, t), index=t)
    f = GaussianProcessForecaster(SEASON, fix=fixed(SEASON)).fit(y)
    between = pd.Index([(t[10] + t[11]) / 2, t[11], t[20] + 1e-3, 31.0])
    found = f.predict(between)
    for stamp, value in found.items():
        before = GaussianProcessForecaster(SEASON, fix=fixed(SEASON)).fit(y[t < stamp])
        assert before.predict(pd.Index([stamp])).iloc[0] == pytest.approx(value, rel=1e-9)


def test_days_are_forecast_by_the_hour_where_asked():
    days = pd.date_range("2024-01-01", periods=40)
    y = pd.Series(path(SEASON, np.arange(40.0)), index=days)
    grid = GaussianProcessForecaster(SEASON, fix=fixed(SEASON)).fit(y)
    hours = days[-1] + pd.to_timedelta([12, 24, 30], unit="h")
    with pytest.raises(TimeIndexError, match="off the grid"):
        grid.predict(hours)
    free = GaussianProcessForecaster(SEASON, fix=fixed(SEASON), freq="irregular").fit(y)
    assert free.loglik_ == pytest.approx(grid.loglik_, rel=1e-11)
    found = free.predict(hours)
    assert found.iloc[1] == pytest.approx(grid.predict(1).iloc[0], rel=1e-10)
    one = np.ones((40, 1))
    expected = dense(SEASON, 0.3, np.arange(40.0), y.to_numpy(), one, np.array([39.5, 40.0, 40.25]), one[:3])[1]
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_integers_without_a_grid_take_fractions():
    t = np.array([0, 7, 9, 13, 20, 31, 33, 50, 55, 61, 62]) * 10 + np.arange(11) // 5 * 3
    y = pd.Series(np.sin(t / 90), index=t)
    f = GaussianProcessForecaster(
        Matern(1.5), fix={"matern_var": 1.0, "matern_length_scale": 90.0, "obs_var": 0.01}
    ).fit(y)
    assert f.predict(y[:5]).index.equals(y.index[:5])
    assert f.forecast(pd.Index([640, 650])).to_frame().index.dtype == np.int64
    half = f.predict(pd.Index([640.5]))
    f.update(pd.Series([1.0], index=[630.25]))
    assert f.predict(pd.Index([640.5])).iloc[0] > half.iloc[0]


def test_smooth_processes_over_short_steps_keep_their_sign():
    """Gaps of five orders of size and no noise: where the covariance of a filter is rounding, its square root is not."""
    t = np.cumsum(10.0 ** np.random.default_rng(0).uniform(-3, 2, 300))
    y = pd.Series(np.sin(t / 50), index=t)
    values = {"matern_var": 5.0, "matern_length_scale": 200.0, "obs_var": 0.0}
    packed = over(with_values(Matern(2.5), values), 0.0, True, np.append(np.diff(t), 0.0), None)
    rows = y.to_numpy()[:, None]
    want = precise_gaussian.run(packed.ssm, rows, packed.factor).loglik
    assert loglik(packed, rows, method="square_root") == pytest.approx(want, rel=1e-9)
    with suppress(NumericalError):  # rounding decides, which depends on the processor: right or refused
        assert loglik(packed, rows) == pytest.approx(want, rel=1e-6)
    f = GaussianProcessForecaster(Matern(2.5), fix=values).fit(y)
    assert f.loglik_ == pytest.approx(want, rel=1e-6)
    found = f.forecast(y.index)
    deviation = np.sqrt(found.distribution.variance()[0, 10:, 0])
    assert np.all(np.abs(found.mean - y)[10:] < 6 * deviation + 1e-9)
    np.testing.assert_allclose(f.decompose().mean.sum(axis=1), y, atol=1e-6)
    assert f.predict(pd.Index([t[-1] + 1.0])).iloc[0] == pytest.approx(np.sin((t[-1] + 1.0) / 50), abs=1e-3)


def test_long_regular_series_are_served_by_other_rungs():
    y = path(Matern(1.5, 9.0, 1.0), np.arange(2500.0))
    likelihood = Likelihood(Matern(1.5), y, None, True, None)
    values = {"matern_var": 1.2, "matern_length_scale": 8.0, "obs_var": 0.25}
    assert likelihood.method == "auto"
    height, gradient = likelihood(values)
    likelihood.method = "sequential"
    other, slopes = likelihood(values)
    assert height == pytest.approx(other, rel=1e-10)
    assert gradient == pytest.approx(slopes, rel=1e-6)


def test_names_and_terms():
    kernel = (Matern(0.5) + Constant()) * Matern(1.5) + Periodic(12.0)
    assert [p.name for p in hyperparameters(kernel)] == [
        "matern_1_var",
        "matern_1_length_scale",
        "constant_var",
        "matern_2_length_scale",
        "periodic_var",
        "periodic_length_scale",
    ]
    assert list(terms_of(kernel)) == ["matern_1*constant*matern_2", "periodic"]
    assert with_values(kernel, {"periodic_var": 2.0}).leaves[-1] == Periodic(12.0, variance=2.0)


def test_arguments_are_checked():
    y = np.random.default_rng(0).standard_normal(30)
    for forecaster, error, words in [
        (GaussianProcessForecaster("matern"), InputTypeError, "kernel must be made of"),
        (GaussianProcessForecaster(Matern(), season_length=7), InputError, "belongs to the default kernel"),
        (GaussianProcessForecaster(season_length=-7), InputError, "season_length must be a positive number"),
        (GaussianProcessForecaster(mean="linear"), InputError, 'mean must be "constant" or "zero"'),
        (GaussianProcessForecaster(n_starts=0), InputError, "n_starts must be a whole number"),
        (
            GaussianProcessForecaster(fix={"matern_1_var": 1.0}),
            InputError,
            "the parameters are matern_var, matern_length",
        ),
        (GaussianProcessForecaster(fix={"obs_var": -1.0}), InputError, r"fix\['obs_var'\] must be positive or zero"),
    ]:
        with pytest.raises(error, match=words):
            forecaster.fit(y)
    with pytest.raises(TooShortError, match="needs 4 observed rows or more; received 3 samples"):
        GaussianProcessForecaster().fit(y[:3])
    with pytest.raises(TimeIndexError, match="infinite"):
        GaussianProcessForecaster().fit(pd.Series(y, index=np.append(np.arange(29.0), np.inf)))
    with pytest.raises(TimeIndexError, match="no frequency, so that the next 3"):
        GaussianProcessForecaster().fit(pd.Series(y, index=times(30))).predict(3)


def test_a_series_that_never_changes_is_forecast_as_it_is():
    f = GaussianProcessForecaster().fit(np.full(20, 3.0))
    assert not f.converged_
    np.testing.assert_allclose(f.predict(3), 3.0, rtol=1e-6)
    assert np.isfinite(f.update(np.array([4.0])).predict(3)).all()
