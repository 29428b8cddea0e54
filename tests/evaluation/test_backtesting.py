"""Backtests against loops written by hand, over every container, with missing values, and through pipelines."""

import os

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy import integrate, stats
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, TimeSeriesSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

import ssmts
from ssmts import Naive, SeasonalNaive, backtest
from ssmts.distributions import Paths, Quantiles
from ssmts.evaluation import TimeSplit, coverage, interval_score, mae, mase, rmse, smape
from ssmts.evaluation.backtesting import BacktestResult
from ssmts.exceptions import InputError, InputTypeError, TooShortError
from ssmts.preprocessing import CalendarFeatures

COLUMNS = ["mean", "lo-80", "hi-80", "lo-95", "hi-95"]


def walk(n=120, freq="D", tz=None, seed=0, name="load"):
    values = np.random.default_rng(seed).standard_normal(n).cumsum() + 10 * np.sin(np.arange(n) * 2 * np.pi / 7)
    return pd.Series(values, pd.date_range("2024-01-01", periods=n, freq=freq, tz=tz), name=name)


def by_hand(f, y, horizon, cutoffs, refit):
    """Mean and intervals of every window; `refit` is the number of windows between fits."""
    windows = []
    for i, cutoff in enumerate(cutoffs):
        if i % refit == 0:
            f = clone(f).fit(y.iloc[:cutoff])
        else:
            f.update(y.iloc[cutoffs[i - 1] : cutoff])
        windows.append(f.forecast(horizon).to_frame())
    return pd.concat(windows)


@pytest.mark.parametrize("refit, every", [(True, 1), (False, 99), (1, 1), (3, 3), (99, 99)])
@pytest.mark.parametrize("horizon, step", [(5, 5), (5, 2), (3, 7)])
@pytest.mark.parametrize("tz", [None, "Europe/Berlin"])
def test_equals_a_loop_written_by_hand(refit, every, horizon, step, tz):
    y = walk(freq="h", tz=tz)
    cutoffs = [len(y) - horizon - i * step for i in range(7)][::-1]
    result = backtest(SeasonalNaive(7), y, horizon=horizon, n_windows=7, step=step, refit=refit)
    expected = by_hand(SeasonalNaive(7), y, horizon, cutoffs, every)
    frame = result.frame
    np.testing.assert_array_equal(frame[COLUMNS], expected[COLUMNS])
    assert (pd.Index(frame["time"]) == expected.index).all()
    assert (pd.Index(frame["cutoff"]) == y.index[np.repeat(cutoffs, horizon) - 1]).all()
    assert frame["lead"].tolist() == list(range(1, horizon + 1)) * 7
    np.testing.assert_array_equal(frame["y"], y[frame["time"]])
    assert frame["time"].dtype == y.index.dtype
    assert frame["cutoff"].dtype == y.index.dtype
    assert list(frame) == ["series", "cutoff", "time", "lead", "y", *COLUMNS, "crps"]
    assert (frame["series"] == "load").all()


def test_the_step_is_the_horizon_by_default():
    y = walk()
    pd.testing.assert_frame_equal(
        backtest(Naive(), y, horizon=6).frame, backtest(Naive(), y, horizon=6, n_windows=5, step=6).frame
    )


def test_the_forecaster_is_not_changed():
    y = walk()
    f = SeasonalNaive(7).fit(y)
    backtest(f, y, horizon=3, refit=False)
    assert f.units_[0].latest == y.iloc[-1]
    unfitted = SeasonalNaive(7)
    backtest(unfitted, y, horizon=3)
    assert not hasattr(unfitted, "units_")


def test_cutoffs_are_those_of_time_split():
    ragged = pd.concat({"a": walk(50), "b": walk(40)[8:], "c": walk(60)[20:]}, names=["series", "time"])
    ragged = ragged.drop([("a", walk().index[33]), ("c", walk().index[58])])
    result = backtest(Naive(), ragged, horizon=6, n_windows=4, step=5)
    by_cutoff = dict(list(result.frame.groupby("cutoff")))
    splits = list(TimeSplit(6, 4, 5).split(ragged))
    assert len(by_cutoff) == len(splits)
    for (_, rows), (_, test) in zip(by_cutoff.items(), splits):
        assert set(zip(rows["series"], rows["time"])) == set(ragged.index[test])


@pytest.mark.parametrize("refit", [True, False, 2])
@pytest.mark.parametrize("interleaved", [False, True])
def test_a_panel_equals_its_series_one_by_one(refit, interleaved):
    series = {name: walk(80, seed=i) for i, name in enumerate(["b", "a", "c"])}
    panel = pd.concat(series, names=["shop", "day"])
    if interleaved:
        panel = panel.sort_index(level="day", kind="stable")
    options = {"horizon": 4, "n_windows": 5, "refit": refit}
    frame = backtest(SeasonalNaive(7), panel, **options).frame
    alone = {name: backtest(SeasonalNaive(7), y, **options) for name, y in series.items()}
    for name, result in alone.items():
        rows = frame[frame["series"] == name].reset_index(drop=True)
        pd.testing.assert_frame_equal(rows.drop(columns="series"), result.frame.drop(columns="series"))
    scores = backtest(SeasonalNaive(7), panel, **options).scores("series")
    for name, result in alone.items():
        np.testing.assert_allclose(scores.loc[name], result.scores().loc["SeasonalNaive"], rtol=1e-12)


@pytest.mark.parametrize("refit", [True, False])
def test_long_frames_and_arrays_equal_the_indexed_form(refit):
    panel = pd.concat({"a": walk(60), "b": walk(60, seed=1)}, names=["unique_id", "ds"]).rename("y")
    options = {"horizon": 4, "n_windows": 3, "refit": refit}
    expected = backtest(Naive(), panel, **options).frame
    long = panel.reset_index()
    pd.testing.assert_frame_equal(backtest(Naive(), long, **options).frame, expected)
    shuffled = long.sort_values(["ds", "unique_id"])
    pd.testing.assert_frame_equal(backtest(Naive(), pl.from_pandas(shuffled), **options).frame, expected)
    renamed = ssmts.Long(pl.from_pandas(long.rename(columns={"y": "sales", "ds": "day"})), time="day", target="sales")
    pd.testing.assert_frame_equal(backtest(Naive(), renamed, **options).frame, expected)
    one = backtest(Naive(), panel.loc["a"].to_numpy(), **options).frame
    of_a = expected[expected["series"] == "a"].reset_index(drop=True)
    pd.testing.assert_frame_equal(one[["y", *COLUMNS, "crps"]], of_a[["y", *COLUMNS, "crps"]])
    assert one["time"].tolist() == list(range(48, 60))
    assert one["cutoff"].tolist() == [47] * 4 + [51] * 4 + [55] * 4
    assert one["series"].unique().tolist() == ["y"]
    lists = backtest(Naive(), panel.loc["a"].tolist(), **options).frame
    pd.testing.assert_frame_equal(lists, one)


def test_periods_and_integers():
    y = walk(40)
    for index in (pd.period_range("2024-01", periods=40, freq="M"), pd.RangeIndex(100, 180, 2)):
        frame = backtest(Naive(), y.set_axis(index), horizon=3, n_windows=2).frame
        assert (pd.Index(frame["time"]) == index[-6:]).all()
        assert pd.Index(frame["cutoff"]).equals(index[[33] * 3 + [36] * 3])


@pytest.mark.parametrize("refit", [True, False])
def test_several_outputs_have_a_column_of_their_own(refit):
    y = pd.DataFrame({"east": walk(), "west": walk(seed=3)})
    result = backtest(Naive(), y, horizon=3, n_windows=4, refit=refit)
    assert list(result.frame)[:6] == ["series", "cutoff", "time", "lead", "output", "y"]
    for name in y:
        rows = result.frame[result.frame["output"] == name].reset_index(drop=True)
        alone = backtest(Naive(), y[name], horizon=3, n_windows=4, refit=refit)
        pd.testing.assert_frame_equal(rows[["y", *COLUMNS, "crps"]], alone.frame[["y", *COLUMNS, "crps"]])
        np.testing.assert_allclose(result.scores("output").loc[name], alone.scores().loc["Naive"], rtol=1e-12)


@pytest.mark.parametrize("refit", [True, False, 2])
def test_missing_values_stay_and_absent_rows_are_left_out(refit):
    y = walk(60)
    y.iloc[[10, 46, 50, 51, 52, 57]] = np.nan
    options = {"horizon": 3, "n_windows": 5, "refit": refit}
    result = backtest(Naive(), y, **options)
    assert result.frame["y"].isna().sum() == 5
    assert result.frame["mean"].notna().all()
    seen = result.frame.dropna(subset="y")
    assert result.scores().loc["Naive", "mae"] == pytest.approx(np.abs(seen["y"] - seen["mean"]).mean(), rel=1e-12)
    absent = backtest(Naive(), y.drop(y.index[[10, 46, 50, 51, 52, 57]]).set_axis(y.dropna().index), **options)
    expected = seen.reset_index(drop=True)
    pd.testing.assert_frame_equal(absent.frame, expected)
    np.testing.assert_allclose(absent.scores(), result.scores(), rtol=1e-12)


def test_a_window_without_rows_is_left_out():
    y = walk(60).drop(walk(60).index[51:54])
    frame = backtest(Naive(), y, horizon=3, n_windows=5, refit=False).frame
    assert len(frame) == 12
    assert frame["cutoff"].nunique() == 4
    after = frame[frame["time"] == y.index[51]]
    assert after["mean"].item() == y.iloc[50]
    assert after["lead"].item() == 1


def test_a_series_takes_part_from_the_first_fit_after_its_first_row():
    panel = pd.concat({"old": walk(60), "new": walk(60)[50:]}, names=["series", "time"])
    options = {"horizon": 3, "n_windows": 5}
    by_window = backtest(Naive(), panel, **options).frame
    assert by_window.loc[by_window["series"] == "new", "cutoff"].nunique() == 3
    third = backtest(Naive(), panel, refit=3, **options).frame
    assert third.loc[third["series"] == "new", "cutoff"].nunique() == 2
    once = backtest(Naive(), panel, refit=False, **options)
    assert set(once.frame["series"]) == {"old"}
    assert list(once.training) == ["old"]


def test_rows_are_forecast_through_gaps_at_the_cutoff():
    y = walk(60)
    gap = y.drop(y.index[55:57])
    result = backtest(Naive(), gap, horizon=3, n_windows=1)
    assert (result.frame["mean"] == y.iloc[54]).all()
    f = Naive().fit(y.iloc[:55])
    expected = f.forecast(gap.iloc[-3:]).to_frame()
    np.testing.assert_array_equal(result.frame[COLUMNS], expected[COLUMNS])


class Regression(Naive):
    """Yesterday's value plus the covariate, which shows whether the right covariates arrive."""

    def _forecast_unit(self, unit, horizon, X):
        mean, variance = super()._forecast_unit(unit, horizon, X)
        return mean + X[:, 0], variance


@pytest.mark.parametrize("refit", [True, False])
@pytest.mark.parametrize("kind", ["pandas", "array", "mixed", "panel", "long"])
def test_covariates_are_those_of_the_window(refit, kind):
    y = walk(50)
    X = pd.DataFrame({"price": np.arange(50.0) ** 2}, index=y.index)
    given = {
        "pandas": (X, y),
        "array": (X.to_numpy(), y.to_numpy()),
        "mixed": (X, y.to_numpy()),
        "panel": (pd.concat({"a": X, "b": X}), pd.concat({"a": y, "b": y})),
        "long": (X.assign(y=y).rename_axis("ds").reset_index(),),
    }[kind]
    frame = backtest(Regression(), *given, horizon=4, n_windows=3, step=2, refit=refit).frame
    rows = [50 - 4 - 2 * w + i for w in (2, 1, 0) for i in range(4)]
    last = [50 - 4 - 2 * w - 1 for w in (2, 1, 0) for _ in range(4)]
    expected = y.to_numpy()[last] + X["price"].to_numpy()[rows]
    np.testing.assert_allclose(frame["mean"], np.tile(expected, 2 if kind == "panel" else 1), rtol=1e-12)


@pytest.mark.parametrize("refit", [True, False, 2])
def test_a_pipeline_equals_a_loop_written_by_hand(refit):
    y = walk(80, freq="h")
    X = pd.DataFrame({"price": np.linspace(1, 2, 80)}, index=y.index)
    pipe = make_pipeline(
        FunctionTransformer(np.square),
        StandardScaler().set_output(transform="pandas"),
        CalendarFeatures(),
        Regression(),
    )
    result = backtest(pipe, X, y, horizon=4, n_windows=3, refit=refit)
    rows = []
    for window, cutoff in enumerate([68, 72, 76]):
        if refit is True or window == 0 or (refit == 2 and window == 2):
            model = clone(pipe).fit(X.iloc[:cutoff], y.iloc[:cutoff])
        else:
            ssmts.update(model, X.iloc[cutoff - 4 : cutoff], y.iloc[cutoff - 4 : cutoff])
        rows.append(ssmts.forecast(model, X.iloc[cutoff : cutoff + 4]).to_frame())
    np.testing.assert_array_equal(result.frame[COLUMNS], pd.concat(rows)[COLUMNS])
    assert result.name == "Regression"


def test_the_series_alone_goes_through_a_pipeline_or_search():
    y = walk(80, freq="h")
    calendar = make_pipeline(CalendarFeatures("hour"), Naive())
    search = GridSearchCV(SeasonalNaive(), {"season_length": [1, 7]}, cv=TimeSeriesSplit(2))
    for f, plain in [(calendar, Naive()), (search, SeasonalNaive(7))]:
        for data in (y, pd.concat({"a": y, "b": y + 1}), y.to_frame()):
            if f is search and isinstance(data.index, pd.MultiIndex):
                continue  # TimeSeriesSplit would cut the panel between series
            expected = backtest(plain, data, horizon=2, n_windows=3, refit=False).frame
            pd.testing.assert_frame_equal(backtest(f, data, horizon=2, n_windows=3, refit=False).frame, expected)
    array = backtest(search, y.to_numpy(), horizon=2, n_windows=3).frame
    np.testing.assert_array_equal(array["mean"], backtest(SeasonalNaive(7), y, horizon=2, n_windows=3).frame["mean"])


@pytest.mark.parametrize("refit", [True, 2, False])
def test_threads_and_a_bar_change_nothing(refit, capsys):
    y = walk(80)
    options = {"horizon": 3, "n_windows": 8, "refit": refit}
    quiet = backtest(SeasonalNaive(7), y, **options)
    assert capsys.readouterr() == ("", "")
    threads = backtest(SeasonalNaive(7), y, n_jobs=3, progress=True, **options)
    assert "8/8" in capsys.readouterr().err
    pd.testing.assert_frame_equal(threads.frame, quiet.frame)


def test_processes_change_nothing():
    import joblib

    y = walk(60)
    with joblib.parallel_config("loky", n_jobs=2):
        frame = backtest(Naive(), y, horizon=3, n_windows=4).frame
    pd.testing.assert_frame_equal(frame, backtest(Naive(), y, horizon=3, n_windows=4).frame)


def test_scores_are_those_of_the_metrics():
    y = walk()
    y.iloc[[30, 100]] = np.nan
    result = backtest(SeasonalNaive(7), y, horizon=10, n_windows=4, refit=False)
    frame = result.frame
    scores = result.scores().loc["SeasonalNaive"]
    true, mean = frame["y"], frame["mean"]
    assert scores["mae"] == mae(true, mean)
    assert scores["rmse"] == rmse(true, mean)
    assert scores["smape"] == smape(true, mean)
    assert scores["mase"] == pytest.approx(mase(true, mean, y_train=y.iloc[:80], season_length=7), rel=1e-12)
    for level in (80, 95):
        lower, upper = frame[f"lo-{level}"], frame[f"hi-{level}"]
        assert scores[f"coverage-{level}"] == coverage(true, lower, upper)
        assert scores[f"winkler-{level}"] == pytest.approx(interval_score(true, lower, upper, level=level), rel=1e-12)
    yearly = result.scores(season_length=1).loc["SeasonalNaive"]
    assert yearly["mase"] == pytest.approx(mase(true, mean, y_train=y.iloc[:80]), rel=1e-12)


def test_scores_by_groups():
    panel = pd.concat({"a": walk(80), "b": walk(80, seed=1)}, names=["series", "time"])
    result = backtest(SeasonalNaive(7), panel, horizon=10, n_windows=2)
    frame = result.frame
    table = result.scores(["series", "cutoff"])
    assert len(table) == 4
    assert table.index.names == ["series", "cutoff"]
    for key, rows in frame.groupby(["series", "cutoff"]):
        assert table.loc[key, "rmse"] == pytest.approx(np.sqrt(np.mean((rows["y"] - rows["mean"]) ** 2)), rel=1e-12)
        assert table.loc[key, "crps"] == pytest.approx(rows["crps"].mean(), rel=1e-12)
    by_lead = result.scores("lead")
    assert by_lead.index.tolist() == list(range(1, 11))
    assert by_lead["mae"].mean() == pytest.approx(result.scores().loc["SeasonalNaive", "mae"], rel=1e-12)
    with pytest.raises(InputError, match=r"received \['shop'\]"):
        result.scores("shop")


def test_the_season_of_mase_is_the_forecaster_s():
    y = walk()
    for season, expected in [(7, 7.0), (1, 1.0)]:
        assert backtest(SeasonalNaive(season), y, horizon=2).season_length == expected
    assert backtest(Naive(), y, horizon=2).season_length == 1.0

    class Several(Naive):
        season_length = (7, 365.25)

        def _fit_unit(self, y, X, axis):
            return SeasonalNaive(7)._fit_unit(y, X, axis)

    assert backtest(Several(), y, horizon=2).season_length == 7.0


def test_a_constant_series_has_no_mase():
    flat = pd.Series(2.0, walk(30).index)
    panel = pd.concat({"flat": flat, "walk": walk(30)}, names=["series", "time"])
    result = backtest(Naive(), panel, horizon=2, n_windows=3)
    table = result.scores("series")
    assert np.isnan(table.loc["flat", "mase"])
    assert result.scores().loc["Naive", "mase"] == pytest.approx(table.loc["walk", "mase"], rel=1e-12)


class Fixed(Naive):
    """A forecaster whose distribution is set from outside."""

    def _forecast(self, series, leads, X):
        return self.distribution(len(leads))


def crps_by_integration(cdf, y, low, high):
    return integrate.quad(lambda x: (cdf(x) - (x >= y)) ** 2, low, high, points=[y], limit=400)[0]


def test_crps_of_a_gaussian_is_exact():
    y = walk()
    frame = backtest(Naive(), y, horizon=3, n_windows=2).frame
    for _, row in frame.iterrows():
        deviation = (row["hi-80"] - row["mean"]) / stats.norm.ppf(0.9)
        cdf = stats.norm(row["mean"], deviation).cdf
        exact = crps_by_integration(cdf, row["y"], row["mean"] - 12 * deviation, row["mean"] + 12 * deviation)
        assert row["crps"] == pytest.approx(exact, rel=1e-7)


def test_crps_of_other_distributions_is_near_that_of_their_cdf():
    y = np.abs(walk(40, seed=5)) + 5
    log = FunctionTransformer(np.log, np.exp)
    frame = backtest(Naive(target_transform=log), y, horizon=2, n_windows=2).frame
    for _, row in frame.iterrows():
        mu = np.log(row["lo-80"] * row["hi-80"]) / 2
        sigma = np.log(row["hi-80"] / row["lo-80"]) / (2 * stats.norm.ppf(0.9))
        exact = crps_by_integration(stats.lognorm(sigma, scale=np.exp(mu)).cdf, row["y"], 1e-6, np.exp(mu + 12 * sigma))
        assert row["crps"] == pytest.approx(exact, rel=0.01)

    draws = stats.gamma(2.0).rvs(4001, random_state=0)
    Fixed.distribution = staticmethod(lambda h: Paths(np.tile(draws[:, None, None, None], (1, 1, h, 1))))
    frame = backtest(Fixed(), walk(20, seed=2).abs(), horizon=2, n_windows=2).frame
    for _, row in frame.iterrows():
        assert row["crps"] == pytest.approx(crps_by_integration(stats.gamma(2.0).cdf, row["y"], 0, 60), rel=0.05)


def test_quantiles_within_their_range_only():
    q, values = [0.05, 0.1, 0.5, 0.9, 0.96], [0.0, 1.0, 2.0, 5.0, 9.0]
    Fixed.distribution = staticmethod(lambda h: Quantiles(q, np.tile(values, (1, h, 1, 1))))
    y = pd.Series(2.0, walk(20).index)
    frame = backtest(Fixed(), y, horizon=2, n_windows=1, level=80).frame
    assert frame["lo-80"].tolist() == [1.0, 1.0]
    assert (frame["crps"] > 0).all()
    with pytest.raises(InputError, match=r"Window with cutoff 2024-01-18: Quantile 0\.025 lies outside"):
        backtest(Fixed(), y, horizon=2, n_windows=1)


def test_seconds_and_repr():
    y = walk()
    result = backtest(Naive(), y, horizon=3, refit=False)
    assert set(result.seconds) == {"fit", "update", "forecast"}
    assert all(seconds > 0 for seconds in result.seconds.values())
    assert backtest(Naive(), y, horizon=3).seconds["update"] == 0
    text = repr(result)
    assert text.startswith("BacktestResult(Naive, horizon=3, n_windows=5, ")
    assert "coverage-95" in text
    assert isinstance(result, BacktestResult)


def test_levels_are_the_columns():
    result = backtest(Naive(), walk(), horizon=3, level=[50, 99.5])
    assert list(result.frame)[5:] == ["mean", "lo-50", "hi-50", "lo-99.5", "hi-99.5", "crps"]
    assert list(result.scores())[-4:] == ["coverage-50", "winkler-50", "coverage-99.5", "winkler-99.5"]


def test_plot():
    os.environ.setdefault("MPLBACKEND", "Agg")
    import matplotlib.pyplot as plt

    axes = backtest(Naive(), walk(), horizon=7).plot()
    assert axes.get_lines()
    both = backtest(Naive(), pd.DataFrame({"a": walk(), "b": walk(seed=1)}), horizon=7).plot()
    assert len(both) == 2
    plt.close("all")


@pytest.mark.parametrize(
    "options, message",
    [
        ({"horizon": 0}, "horizon must be an integer of at least 1; received 0"),
        ({"horizon": 2.5}, "horizon must be an integer of at least 1; received 2.5"),
        ({"horizon": 2, "n_windows": 0}, "n_windows must be an integer of at least 1"),
        ({"horizon": 2, "step": -1}, "step must be an integer of at least 1"),
        ({"horizon": 2, "refit": 0}, "refit must be True, False or a whole number of windows"),
        ({"horizon": 2, "refit": 1.5}, "refit must be True, False or a whole number of windows"),
        ({"horizon": 2, "level": 0.8}, "level is a coverage in per cent"),
    ],
)
def test_wrong_arguments_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        backtest(Naive(), walk(), **options)


def test_too_few_rows_says_how_many_are_needed():
    with pytest.raises(
        TooShortError, match="5 windows of 4 rows, 4 apart, need 21 rows, one of them to fit on; the data have 20"
    ):
        backtest(Naive(), walk(20), horizon=4)
    assert len(backtest(Naive(freq="D"), walk(21), horizon=4, level=80).frame) == 20


def test_no_forecaster_is_refused():
    from sklearn.compose import TransformedTargetRegressor

    for f in (StandardScaler(), TransformedTargetRegressor(Naive()), make_pipeline(StandardScaler()), 3):
        with pytest.raises(InputTypeError, match="no forecaster, pipeline that ends in one, or search"):
            backtest(f, walk(), horizon=2)


def test_errors_of_a_window_name_its_cutoff():
    y = walk(30)
    y.iloc[:22] = np.nan
    with pytest.raises(InputError, match="Window with cutoff 2024-01-20: y is NaN throughout"):
        backtest(Naive(), y, horizon=2)
    panel = pd.concat({"old": walk(22), "new": walk(30)[26:]}, names=["series", "time"])
    with pytest.raises(InputError, match="No window has a row"):
        backtest(Naive(), panel, horizon=4, n_windows=1)


@pytest.mark.data
def test_hourly_electricity_without_refit(data_folder):
    path = data_folder / "ett" / "ETTh1.csv"
    frame = pd.read_csv(path, index_col="date", parse_dates=True, usecols=["date", "OT"])
    result = backtest(SeasonalNaive(24), frame["OT"], horizon=24, n_windows=120, refit=False)
    wanted = frame["OT"].to_numpy()[-24 * 121 : -24]
    np.testing.assert_array_equal(result.frame["mean"], wanted)
    assert 0.75 < result.scores().loc["SeasonalNaive", "coverage-80"] < 0.95
