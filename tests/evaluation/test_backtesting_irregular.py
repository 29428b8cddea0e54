"""Backtests over stamps without a frequency, against loops written by hand."""

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import GridSearchCV, TimeSeriesSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from ssmts import GaussianProcessForecaster, Naive, SeasonalNaive, StructuralForecaster, backtest
from ssmts.evaluation import TimeSplit
from ssmts.exceptions import FrequencyError, TooShortError

FIX = {"matern_var": 4.0, "matern_length_scale": 3.0, "obs_var": 0.3}
COLUMNS = ["mean", "lo-80", "hi-80", "lo-95", "hi-95"]


def process(**parameters):
    return GaussianProcessForecaster(**{"fix": FIX, **parameters})


def readings(n=30, seed=0, regular=0):
    """Rows at odd hours, after some at midnight."""
    rng = np.random.default_rng(seed)
    hours = np.r_[24 * np.arange(regular), 24 * regular + np.cumsum(rng.integers(3, 70, n - regular))]
    stamps = (
        pd.Timestamp("2024-01-01")
        + pd.to_timedelta(hours, "h")
        + pd.to_timedelta(rng.integers(0, 60, n) * (np.arange(n) >= regular), "min")
    )
    return pd.Series(rng.normal(size=n).cumsum(), stamps, name="level")


def by_hand(f, rows, horizon, cutoffs):
    """Every window fitted anew."""
    windows = []
    for cutoff in cutoffs:
        ahead = rows.index[cutoff : cutoff + horizon]
        windows.append(f.fit(rows.iloc[:cutoff]).forecast(ahead).to_frame())
    return pd.concat(windows)


@pytest.mark.parametrize("refit", [True, False, 2])
@pytest.mark.parametrize("horizon, step", [(3, 3), (4, 2)])
@pytest.mark.parametrize("regular", [0, 12])
def test_equals_a_loop_written_by_hand(refit, horizon, step, regular):
    """Also where the first fits see midnights only: one window is not read in steps of a day and another in days."""
    y = readings(regular=regular)
    cutoffs = [len(y) - horizon - i * step for i in range(5)][::-1]
    frame = backtest(process(), y, horizon=horizon, n_windows=5, step=step, refit=refit).frame
    expected = by_hand(process(freq="irregular"), y, horizon, cutoffs)
    np.testing.assert_allclose(frame[COLUMNS], expected[COLUMNS], rtol=1e-8)
    assert (pd.Index(frame["time"]) == expected.index).all()
    assert (pd.Index(frame["cutoff"]) == y.index[np.repeat(cutoffs, horizon) - 1]).all()
    assert frame["lead"].tolist() == list(range(1, horizon + 1)) * 5
    np.testing.assert_array_equal(frame["y"], y[frame["time"]])
    assert frame["time"].dtype == frame["cutoff"].dtype == y.index.dtype


def test_windows_and_scores_are_those_of_other_tools():
    y = readings()
    result = backtest(process(), y, horizon=3, n_windows=4)
    for (_, window), (train, test) in zip(result.frame.groupby("cutoff"), TimeSplit(3, 4).split(y)):
        assert (y.index[test] == window["time"]).all()
        assert y.index[train[-1]] == window["cutoff"].iloc[0]
    assert result.season_length == 1.0
    scale = np.abs(np.diff(y.iloc[:18])).mean()
    error = np.abs(result.frame["y"] - result.frame["mean"]).mean()
    assert result.scores()["mase"].item() == pytest.approx(error / scale)
    seasonal = GaussianProcessForecaster(season_length=7.5, fix={"obs_var": 1.0}, n_starts=1)
    assert backtest(seasonal, y, horizon=3, n_windows=1).season_length == 1.0  # 7.5 days are no rows


def test_numbers_that_count_nothing():
    y = pd.Series(np.random.default_rng(1).normal(size=20), np.cumsum(np.random.default_rng(2).uniform(0.1, 3, 20)))
    frame = backtest(process(), y, horizon=2, n_windows=3).frame
    expected = by_hand(process(), y, 2, [14, 16, 18])
    np.testing.assert_allclose(frame[COLUMNS], expected[COLUMNS], rtol=1e-8)
    np.testing.assert_array_equal(frame["cutoff"], y.index[np.repeat([13, 15, 17], 2)])


def test_series_are_cut_at_the_same_stamps():
    """Stamps of all series are counted; each series has its own rows of a window."""
    a, b = readings(30, seed=1), readings(20, seed=2)
    y = pd.concat({"a": a, "b": b}, names=["sensor", "time"])
    union = a.index.union(b.index)
    result = backtest(process(), y, horizon=6, n_windows=3, refit=False)
    assert set(result.frame["cutoff"]) <= set(union[[-19, -13, -7]])
    for (name, cutoff), window in result.frame.groupby(["series", "cutoff"]):
        rows, place = {"a": a, "b": b}[name], union.get_loc(cutoff)
        inside = rows.index[(rows.index > cutoff) & (rows.index <= union[place + 6])]
        assert (inside == window["time"]).all()
        assert window["lead"].tolist() == (union.get_indexer(inside) - place).tolist()
        expected = process().fit(rows[:cutoff]).forecast(inside).to_frame()
        np.testing.assert_allclose(window[COLUMNS], expected[COLUMNS], rtol=1e-8)
    assert {name: len(rows) for name, rows in result.training.items()} == {
        "a": (a.index <= union[-19]).sum(),
        "b": (b.index <= union[-19]).sum(),
    }


def test_covariates_pipelines_searches_and_long_frames():
    y = readings(regular=12)
    X = pd.DataFrame({"load": np.random.default_rng(3).normal(size=len(y))}, y.index)
    frame = backtest(process(), X, y, horizon=3, n_windows=3, refit=False).frame
    one = process(freq="irregular").fit(X.iloc[:27], y.iloc[:27]).forecast(X.iloc[27:]).to_frame()
    np.testing.assert_allclose(frame[COLUMNS].iloc[-3:], one[COLUMNS], rtol=1e-7)
    scaler = StandardScaler().set_output(transform="pandas")
    piped = backtest(make_pipeline(scaler, process()), X, y, horizon=3, n_windows=3).frame
    np.testing.assert_allclose(piped["mean"].iloc[-3:], one["mean"], rtol=1e-7)
    search = GridSearchCV(process(), {"mean": ["constant", "zero"]}, cv=TimeSeriesSplit(2))
    searched = backtest(search, y, horizon=3, n_windows=2).frame
    assert np.isfinite(searched[COLUMNS].to_numpy()).all()
    assert search.estimator.freq is None  # it is never changed
    long = pd.DataFrame({"unique_id": "a", "ds": y.index, "y": y.to_numpy()})
    same = backtest(process(), long, horizon=3, n_windows=3).frame
    np.testing.assert_allclose(same[COLUMNS], backtest(process(), y, horizon=3, n_windows=3).frame[COLUMNS], rtol=1e-12)


def test_a_grid_is_that_of_the_whole():
    """Rows of which the first few look irregular: every window counts days, and a forecaster told otherwise does not."""
    days = pd.to_datetime(["2024-01-01", "2024-01-04", "2024-01-09", "2024-01-11"]).append(
        pd.date_range("2024-01-12", periods=20)
    )
    y = pd.Series(np.random.default_rng(4).normal(size=24), days)
    frame = backtest(process(), y, horizon=20, n_windows=1).frame
    expected = process(freq="D").fit(y.iloc[:4]).forecast(20)
    np.testing.assert_allclose(frame["mean"], expected.mean, rtol=1e-8)
    assert frame["lead"].tolist() == list(range(1, 21))
    hours = backtest(process(freq="irregular"), y, horizon=2, n_windows=2).frame
    assert hours["lead"].tolist() == [1, 2, 1, 2]


@pytest.mark.parametrize("f", [Naive(), SeasonalNaive(3), StructuralForecaster()])
def test_forecasters_that_count_steps_refuse(f):
    with pytest.raises(FrequencyError, match="freq"):
        backtest(f, readings(), horizon=2)


def test_too_few_stamps():
    with pytest.raises(TooShortError, match="the data have 9"):
        backtest(process(), readings(9), horizon=3, n_windows=4)
