"""What a fitted Gaussian process is asked for: terms, coefficients, diagnostics, files, panels, real data."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.datasets
from sklearn.model_selection import TimeSeriesSplit, cross_val_score
from sklearn.preprocessing import FunctionTransformer

import ssmts
from ssmts import GaussianProcessForecaster
from ssmts.components.kernels import Constant, Matern, Periodic
from ssmts.exceptions import InputError, TimeIndexError

KERNEL = Matern(2.5, 5.0, 2.0) + Periodic(7.0, 0.9, 1.5, order=3) * Matern(0.5, 60.0)
FIXED = {
    "matern_1_var": 2.0,
    "matern_1_length_scale": 5.0,
    "periodic_var": 1.5,
    "periodic_length_scale": 0.9,
    "matern_2_length_scale": 60.0,
    "obs_var": 0.2,
}


def series(n=60, seed=0):
    rng = np.random.default_rng(seed)
    t = np.sort(rng.uniform(0, 60, n))
    return pd.Series(
        4 + 2 * np.sin(2 * np.pi * t / 7) + np.sin(t / 9) + 0.4 * rng.standard_normal(n), index=t, name="level"
    )


def stamped(y, zone=None):
    stamps = pd.Timestamp("2024-03-01") + pd.to_timedelta((y.index * 86_400e6).astype(np.int64), unit="us")
    return pd.Series(y.to_numpy(), index=pd.DatetimeIndex(stamps).as_unit("us").tz_localize(zone), name=y.name)


def conditional(term, y, asked, B=True):
    """Mean and variance of one summand given the series with its unknown mean, written out."""
    t = y.index.to_numpy()
    inverse = np.linalg.inv(KERNEL(t[:, None] - t) + 0.2 * np.eye(len(t)))
    one, k = np.ones(len(t)), term(asked[:, None] - t)
    weight = one @ inverse / (one @ inverse @ one)
    reduced = inverse - np.outer(inverse @ one, weight)
    return k @ reduced @ y.to_numpy(), float(term(0.0)) - np.sum(k @ reduced * k, axis=1)


@pytest.mark.parametrize("where", ["rows", "between", "ahead"])
def test_terms_are_those_of_dense_regression(where):
    y = series()
    f = GaussianProcessForecaster(KERNEL, fix=FIXED).fit(y)
    asked = {"rows": y.index, "between": pd.Index([5.05, 20.5, y.index[30]]), "ahead": pd.Index([61.0, 90.0])}[where]
    parts = f.decompose(None if where == "rows" else asked)
    assert parts.index.equals(asked)
    terms = {"matern_1": KERNEL.left, "periodic*matern_2": KERNEL.right}
    for name, term in terms.items():
        mean, variance = conditional(term, y, asked.to_numpy())
        np.testing.assert_allclose(parts.mean[name], mean, atol=1e-8)
        np.testing.assert_allclose(parts.variance[name], variance, atol=1e-8)
    signal = parts.mean[[*terms, "mean"]].sum(axis=1)
    if where == "rows":
        np.testing.assert_allclose(signal + parts.mean["irregular"], y, atol=1e-8)
        assert list(parts.to_frame().columns[:2]) == ["matern_1", "matern_1_sd"]
    elif where == "ahead":
        np.testing.assert_allclose(signal, f.predict(asked), atol=1e-8)


def test_terms_on_a_grid_with_covariates():
    rng = np.random.default_rng(1)
    X = pd.DataFrame(
        {"u": rng.standard_normal(50), "v": rng.standard_normal(50) + 3}, pd.date_range("2024", periods=50)
    )
    y = 2 * X["u"] - X["v"] + np.sin(np.arange(50) / 5) + 0.1 * rng.standard_normal(50) + 7
    f = GaussianProcessForecaster().fit(X, y)
    parts = f.decompose()
    np.testing.assert_allclose(parts.mean.sum(axis=1), y, atol=1e-7)
    np.testing.assert_allclose(parts.mean["regression"], X.to_numpy() @ f.coef_.to_numpy(), atol=1e-7)
    assert f.coef_["u"] == pytest.approx(2, abs=4 * f.coef_stderr_["u"])
    assert f.coef_stderr_.between(1e-3, 0.2).all()
    some = f.decompose(X[10:20])
    np.testing.assert_allclose(some.mean["matern"], parts.mean["matern"][10:20], atol=1e-9)
    future = pd.DataFrame({"u": [1.0, 0.0], "v": [0.0, 2.0]}, pd.date_range(X.index[-1] + X.index.freq, periods=2))
    np.testing.assert_allclose(f.decompose(future).mean.sum(axis=1), f.predict(future), atol=1e-8)
    text = f.summary()
    assert "coef u" in text
    assert "mean" in text
    with pytest.raises(InputError, match="apart"):
        f.decompose(pd.concat([X[-2:], future]))


def test_standard_errors_are_those_of_the_curvature():
    """Against second differences of the likelihood, by refitting at fixed parameters."""
    y = series()
    f = GaussianProcessForecaster(Matern(1.5), mean="zero").fit(y - 4)
    assert f.converged_
    names, best = list(f.params_), np.array(list(f.params_.values()))

    def height(values):
        return GaussianProcessForecaster(Matern(1.5), mean="zero", fix=dict(zip(names, values))).fit(y - 4).loglik_

    h = 1e-3 * best
    curvature = np.empty((3, 3))
    for i, a in enumerate(np.diag(h)):
        for j, b in enumerate(np.diag(h)):
            corners = [height(best + p * a + q * b) for p, q in ((1, 1), (1, -1), (-1, 1), (-1, -1))]
            curvature[i, j] = (corners[0] - corners[1] - corners[2] + corners[3]) / (4 * h[i] * h[j])
    expected = np.sqrt(np.diagonal(np.linalg.inv(-curvature)))
    np.testing.assert_allclose(list(f.stderr_.values()), expected, rtol=2e-3)
    assert height(best) == pytest.approx(f.loglik_, rel=1e-10)


def test_given_values_and_boundaries_have_no_standard_error():
    y = series()
    f = GaussianProcessForecaster(Matern(1.5), fix={"obs_var": 0.2}).fit(y)
    assert f.params_["obs_var"] == 0.2
    assert np.isnan(f.stderr_["obs_var"])
    assert f.stderr_["matern_var"] > 0
    assert "given" in f.summary()
    smooth = np.cos(np.arange(40) / 3)
    exact = GaussianProcessForecaster(Matern(2.5)).fit(smooth)
    assert exact.params_["obs_var"] < 1e-6
    np.testing.assert_allclose(exact.predict(3), np.cos(np.arange(40, 43) / 3), atol=0.05)


def test_the_likelihood_with_two_maxima_is_climbed_from_both_sides():
    """Short waves, or noise about a long one (Rasmussen and Williams 2006, figure 5.5): a bad start does not decide."""
    rng = np.random.default_rng(3)
    t = np.sort(rng.uniform(0, 40, 50))
    y = pd.Series(np.sin(2 * t) + 0.1 * rng.standard_normal(50), index=t)
    ends = [GaussianProcessForecaster(Matern(1.5, start)).fit(y) for start in (1e-2, 1.0, 1e3)]
    assert max(f.loglik_ for f in ends) - min(f.loglik_ for f in ends) < 1e-5


@pytest.mark.parametrize("seed", range(4))
def test_sums_of_alike_kernels_reach_the_best_of_many_starts(seed):
    """Two rough processes of which one may not be there: many local maxima."""
    rng = np.random.default_rng(seed)
    t = np.sort(rng.uniform(0, 60, 50))
    truth = Matern(1.5, 3.0) + Matern(0.5, 25.0, 0.5 * (seed % 2))
    y = np.linalg.cholesky(truth(t[:, None] - t) + 0.1 * np.eye(50)) @ rng.standard_normal(50)
    kernel, rows = Matern(1.5) + Matern(0.5, 30.0), pd.Series(y, index=t)
    ends = [GaussianProcessForecaster(kernel, n_starts=n).fit(rows) for n in (None, 17)]
    assert ends[0].loglik_ > ends[1].loglik_ - 1e-4
    assert ends[0].converged_


def test_residuals_of_the_true_model_are_white():
    rng = np.random.default_rng(5)
    t = np.sort(rng.uniform(0, 400, 400))
    y = np.linalg.cholesky(Matern(1.5, 4.0, 2.0)(t[:, None] - t) + 0.3 * np.eye(400)) @ rng.standard_normal(400)
    f = GaussianProcessForecaster(Matern(1.5)).fit(pd.Series(y, index=t))
    for name, value in {"matern_var": 2.0, "matern_length_scale": 4.0, "obs_var": 0.3}.items():
        assert abs(f.params_[name] - value) < 3 * f.stderr_[name]
    assert f.diagnostics().ljung_box_p > 0.01


@pytest.mark.parametrize("zone", [None, "Europe/Berlin"])
def test_saved_and_loaded(tmp_path, zone):
    y = stamped(series(), zone)
    f = GaussianProcessForecaster(KERNEL).fit(y[:50])
    path = tmp_path / "process.ssmts"
    ssmts.save(f, path)
    loaded = ssmts.load(path)
    assert loaded.kernel_ == f.kernel_
    pd.testing.assert_series_equal(loaded.predict(y.index[50:]), f.predict(y.index[50:]))
    pd.testing.assert_series_equal(
        loaded.update(y[50:55]).predict(y.index[55:]), f.update(y[50:55]).predict(y.index[55:])
    )
    ssmts.save(f, path, data=True)
    pd.testing.assert_series_equal(ssmts.load(path).predict(y[:50]), f.predict(y[:50]))


def test_long_frames_and_panels():
    a, b = stamped(series()), stamped(series(40, 1)) * 3
    panel = pd.concat({"a": a[:50], "b": b[:30]}, names=["unit", "time"])
    f = GaussianProcessForecaster(Matern(1.5)).fit(panel)
    assert list(f.params_.index) == ["a", "b"]
    alone = GaussianProcessForecaster(Matern(1.5)).fit(b[:30])
    asked = pd.MultiIndex.from_product([["b"], b.index[30:]], names=panel.index.names)
    np.testing.assert_allclose(f.predict(asked), alone.predict(b.index[30:]), rtol=1e-9)
    np.testing.assert_allclose(f.predict(panel).loc["b"], alone.predict(b[:30]), rtol=1e-9)
    long = panel.rename("y").rename_axis(["unique_id", "ds"]).reset_index()
    g = GaussianProcessForecaster(Matern(1.5)).fit(long)
    later = pd.DataFrame({"unique_id": "b", "ds": b.index[30:]})
    out = g.predict(later)
    assert out["ds"].tolist() == b.index[30:].tolist()
    np.testing.assert_allclose(out["y"], alone.predict(b.index[30:]), rtol=1e-9)
    g.update(pd.DataFrame({"unique_id": "b", "ds": b.index[30:35], "y": b[30:35].to_numpy()}))
    alone.update(b[30:35])
    np.testing.assert_allclose(g.predict(later[5:])["y"], alone.predict(b.index[35:]), rtol=1e-9)
    with pytest.raises(TimeIndexError, match="no frequency"):
        ssmts.future_frame(f, 3)
    assert len(f.decompose(series="b").mean) == 30


def test_stamps_of_another_kind_are_refused_and_nothing_is_lost():
    y = stamped(series(), "UTC")
    f = GaussianProcessForecaster(Matern(1.5)).fit(y[:50])
    expected = f.predict(y.index[50:])
    for rows, words in [
        (y[50:].tz_localize(None), "zone None, but fit saw UTC"),
        (y[50:].reset_index(drop=True), "holds stamps of kind 'integer'"),
        (y[50:51].set_axis(y.index[50:51].as_unit("ns") + pd.Timedelta(1)), "finer than the us"),
        (y[50:].iloc[::-1], "decrease"),
        (y[50:52].set_axis(y.index[[50, 50]]), "appears twice"),
        (y[40:45], "stands at"),
    ]:
        with pytest.raises(TimeIndexError, match=words):
            f.update(rows)
        with pytest.raises((TimeIndexError, InputError)):
            f.update(rows * np.inf)
    pd.testing.assert_series_equal(f.predict(y.index[50:]), expected)
    assert f.score(y[50:]) > 0


def test_a_transformed_target_names_the_stamp_that_it_cannot_take():
    y = stamped(series())
    log = FunctionTransformer(np.log, np.exp, check_inverse=False)
    f = GaussianProcessForecaster(Matern(1.5), target_transform=log).fit(y.abs() + 1)
    plain = GaussianProcessForecaster(Matern(1.5)).fit(np.log(y.abs() + 1))
    asked = y.index[-1:] + pd.Timedelta("30h")
    np.testing.assert_allclose(f.forecast(asked).quantile(0.5), np.exp(plain.predict(asked).to_numpy()), rtol=1e-9)
    bad = y.abs() + 1
    bad.iloc[7] = -1.0
    with pytest.raises(InputError, match=str(bad.index[7])):
        GaussianProcessForecaster(Matern(1.5), target_transform=log).fit(bad)
    with pytest.raises(InputError, match=str(asked[0])):
        f.update(pd.Series([-1.0], index=asked))


def test_cross_validation_of_irregular_rows():
    y = series()
    scores = cross_val_score(GaussianProcessForecaster(KERNEL, fix=FIXED), y, cv=TimeSeriesSplit(3))
    train, test = list(TimeSeriesSplit(3).split(y))[-1]
    f = GaussianProcessForecaster(KERNEL, fix=FIXED).fit(y.iloc[train])
    error = np.abs(y.iloc[test] - f.predict(y.index[test])).mean()
    assert scores[-1] == pytest.approx(1 - error / np.abs(np.diff(y.iloc[train])).mean(), rel=1e-9)


def test_weekly_co2_at_its_own_stamps_and_on_its_grid():
    """Sixteen years with gaps: weeks on a grid and the same rows as numbers of years tell the same."""
    co2 = statsmodels.datasets.co2.load_pandas().data["co2"]["1958":"1973"]
    weeks = co2.dropna()
    year = 365.25 / 7
    kernel = Matern(2.5, 10 * year) + Periodic(year, order=3) * Matern(0.5, 50 * year)
    grid = GaussianProcessForecaster(kernel, n_starts=1).fit(weeks)
    assert grid.form_.axis.regular
    in_weeks = (weeks.index - weeks.index[0]).days / 7.0
    free = GaussianProcessForecaster(kernel, fix=grid.params_).fit(pd.Series(weeks.to_numpy(), index=in_weeks))
    assert free.loglik_ == pytest.approx(grid.loglik_, rel=1e-9)
    np.testing.assert_allclose(
        grid.predict(3), free.predict(pd.Index(in_weeks[-1] + np.array([1.0, 2.0, 3.0]))), rtol=1e-9
    )
    held = statsmodels.datasets.co2.load_pandas().data["co2"]["1974":"1975"].dropna()
    forecast = grid.forecast(held.index)
    assert np.abs(forecast.mean - held).mean() < 1.0
    inside = forecast.interval(95)
    assert ((held > inside["lo-95"]) & (held < inside["hi-95"])).mean() > 0.8


def test_constant_kernel_is_a_mean_with_a_prior():
    y = np.array([1.0, 2.0, 4.0, 3.0])
    f = GaussianProcessForecaster(Constant(2.0), mean="zero", fix={"constant_var": 2.0, "obs_var": 0.5}).fit(y)
    np.testing.assert_allclose(f.predict(1), y.sum() / (4 + 0.5 / 2.0), rtol=1e-12)
