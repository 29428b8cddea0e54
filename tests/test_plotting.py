"""Pictures: what is drawn where, read back from the Axes."""

import itertools
import sys

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.dates as mdates
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import polars as pl
import pytest

from ssmts import InnovationDetector, Naive, SeasonalNaive
from ssmts.exceptions import InputError
from ssmts.plotting import plot_attribution, plot_backtest, plot_components, plot_detection, plot_forecast

rng = np.random.default_rng(2)
MONTHS = pd.period_range("2019-01", periods=72, freq="M", name="month")
Y = pd.Series(rng.normal(size=72).cumsum(), index=MONTHS, name="sales")


@pytest.fixture(autouse=True)
def _close():
    yield
    plt.close("all")


def line(ax, label):
    """The one line of a label, as drawn."""
    (found,) = [each for each in ax.lines if each.get_label() == label]
    return found


def labels(ax):
    """Entries of the legend."""
    return [text.get_text() for text in ax.get_legend().get_texts()]


def tick_labels(ax):
    ax.figure.canvas.draw()
    return [tick.get_text() for tick in ax.get_xticklabels()]


def test_forecast_draws_history_mean_and_named_intervals():
    forecast = Naive().fit(Y).forecast(12)
    ax = forecast.plot(level=(50, 90))
    assert isinstance(ax, mpl.axes.Axes)
    assert labels(ax) == ["history", "mean", "50 % interval", "90 % interval"]
    assert ax.get_title(loc="left") == "sales"
    np.testing.assert_array_equal(line(ax, "mean").get_ydata(), forecast.mean)
    np.testing.assert_array_equal(line(ax, "history").get_ydata(), Y.iloc[-50:])
    first = pd.Timestamp(line(ax, "mean").get_xdata()[0])
    assert first == pd.Timestamp("2025-01-01")
    wide, narrow = (band.get_paths()[0].get_extents() for band in ax.collections)
    frame = forecast.interval(level=(50, 90))
    assert (wide.y0, wide.y1) == pytest.approx((frame["lo-90"].min(), frame["hi-90"].max()))
    assert (narrow.y0, narrow.y1) == pytest.approx((frame["lo-50"].min(), frame["hi-50"].max()))


def test_forecast_takes_its_own_levels_and_the_callers_axes():
    _, ax = plt.subplots()
    forecast = Naive().fit(Y).forecast(3, level=99)
    assert forecast.plot(ax=ax) is ax
    assert "99 % interval" in labels(ax)


def test_history_is_a_number_of_rows_or_rows():
    forecast = Naive().fit(Y).forecast(3)
    assert len(line(forecast.plot(history=7), "history").get_ydata()) == 7
    np.testing.assert_array_equal(line(forecast.plot(history=Y.iloc[20:23]), "history").get_ydata(), Y.iloc[20:23])
    forecast.history = lambda: Y.iloc[:5]
    np.testing.assert_array_equal(line(forecast.plot(), "history").get_ydata(), Y.iloc[:5])
    forecast.history = None
    assert labels(forecast.plot()) == ["mean", "80 % interval", "95 % interval"]


def test_one_step_is_a_point_with_bars():
    ax = Naive().fit(Y).forecast(1).plot()
    assert line(ax, "mean").get_marker() == "o"
    assert [type(each).__name__ for each in ax.collections] == ["LineCollection", "LineCollection"]


def test_dates_can_be_read_in_their_zone():
    hours = pd.date_range("2024-03-30 12:00", periods=30, freq="h", tz="America/New_York")
    ax = Naive().fit(pd.Series(np.arange(30.0), index=hours)).forecast(6).plot()
    assert isinstance(ax.xaxis.get_major_formatter(), mdates.ConciseDateFormatter)
    shown = tick_labels(ax)
    assert "Mar-31" in shown or "31" in shown
    midnight = mdates.date2num(pd.Timestamp("2024-03-31", tz="America/New_York").to_pydatetime())
    assert any(tick == pytest.approx(midnight) for tick in ax.get_xticks())


def test_integer_rows_have_integer_ticks():
    ax = Naive().fit(np.arange(30.0) ** 1.1).forecast(6).plot()
    assert ax.get_title(loc="left") == ""
    assert all(float(tick).is_integer() for tick in ax.get_xticks())
    np.testing.assert_array_equal(line(ax, "mean").get_xdata(), np.arange(30, 36))


def panel(n):
    return pd.concat({f"shop {i}": 100 * i + Y for i in range(n)}, names=["id", "month"])


def test_panels_draw_the_first_series_or_those_chosen():
    forecast = Naive().fit(panel(8)).forecast(4)
    axes = forecast.plot()
    assert [ax.get_title(loc="left") for ax in axes] == [f"shop {i} · sales" for i in range(6)]
    (legend,) = axes[0].figure.legends
    assert [text.get_text() for text in legend.get_texts()][:2] == ["history", "mean"]
    ax = forecast.plot(series="shop 7")
    np.testing.assert_array_equal(line(ax, "mean").get_ydata(), forecast.mean.loc["shop 7"])
    np.testing.assert_array_equal(line(ax, "history").get_ydata(), 700 + Y.iloc[-50:])
    assert len(forecast.plot(series=["shop 7", "shop 1"])) == 2
    with pytest.raises(InputError, match="no series 'shop 9'; there are"):
        forecast.plot(series="shop 9")
    with pytest.raises(InputError, match="6 panels to draw but 1 Axes"):
        forecast.plot(ax=plt.figure().add_subplot())


def test_wide_frames_draw_each_column():
    forecast = Naive().fit(pd.DataFrame({"a": Y, "b": 2 * Y})).forecast(4)
    axes = forecast.plot()
    assert [ax.get_title(loc="left") for ax in axes] == ["a", "b"]
    np.testing.assert_array_equal(line(axes[1], "mean").get_ydata(), forecast.mean["b"])
    np.testing.assert_array_equal(line(axes[1], "history").get_ydata(), 2 * Y.iloc[-50:])
    assert isinstance(forecast.plot(output="b"), mpl.axes.Axes)
    _, given = plt.subplots(2)
    assert list(forecast.plot(ax=given)) == list(given)


def test_polars_frames_are_drawn():
    frame = pl.DataFrame({"unique_id": "a", "ds": MONTHS.to_timestamp().to_numpy(), "y": Y.to_numpy()})
    ax = Naive().fit(frame).forecast(4).plot()
    np.testing.assert_array_equal(line(ax, "history").get_ydata(), Y.iloc[-50:])
    assert pd.Timestamp(line(ax, "mean").get_xdata()[0]) == pd.Timestamp("2025-01-01")


def test_unknown_steps_are_left_open():
    y = pd.Series([np.nan, 1.0, np.nan, 2.0, np.nan, 3.0], index=pd.RangeIndex(6), name="y")
    forecast = SeasonalNaive(season_length=2).fit(y).forecast(4)
    assert np.isinf(forecast.interval(level=80).to_numpy()).any()
    ax = forecast.plot(level=80)
    ax.figure.canvas.draw()
    assert np.isfinite(ax.get_ylim()).all()


def test_components_stand_below_each_other():
    level, season = Y.to_numpy(), np.sin(np.arange(72.0))
    axes = plot_components(
        {"level": (level, np.full(72, 0.5)), "season": (season, None)}, MONTHS, observed=level + season
    )
    assert [ax.get_title(loc="left") for ax in axes] == ["level", "season"]
    assert labels(axes[0]) == ["observed", "estimate", "95 % interval"]
    np.testing.assert_array_equal(line(axes[1], "estimate").get_ydata(), season)
    (band,) = (each.get_paths()[0].get_extents() for each in axes[0].collections)
    assert band.y1 == pytest.approx(level.max() + 1.959964 * 0.5)
    assert not axes[1].collections
    _, given = plt.subplots(2)
    again = plot_components({"level": (level, None), "season": (season, None)}, MONTHS, given)
    assert list(again) == list(given)


def test_detection_marks_alarms_sensor_by_sensor():
    index = pd.date_range("2024-05-01", periods=100, freq="min")
    X = pd.DataFrame({"a": np.arange(100.0), "b": -np.arange(100.0)}, index=index)
    alarms = np.zeros((100, 2), dtype=bool)
    alarms[10:15, 0] = alarms[99, 1] = True
    p = np.where(alarms.any(axis=1), 0.0, 0.5)
    values = X.to_numpy()
    axes = plot_detection(X, p, alarms, values, values - 1, values + 1, alarm_level=1e-4)
    assert [ax.get_title(loc="left") for ax in axes] == ["a", "b", "p-value"]
    np.testing.assert_array_equal(line(axes[0], "alarm").get_ydata(), np.arange(10.0, 15.0))
    np.testing.assert_array_equal(line(axes[1], "alarm").get_ydata(), [-99.0])
    assert labels(axes[0]) == ["expected range", "expected", "reading", "alarm"]
    assert labels(axes[2]) == ["alarm below 0.0001"]
    assert axes[2].get_yscale() == "log"
    assert np.isfinite(axes[2].get_ylim()).all()
    assert axes[2].get_ylim()[0] > axes[2].get_ylim()[1]
    whole = plot_detection(X, p, alarms.any(axis=1), sensors=["b"])
    assert [ax.get_title(loc="left") for ax in whole] == ["b", "p-value"]
    assert len(line(whole[0], "alarm").get_ydata()) == 6
    with pytest.raises(InputError, match="no sensor 'c'"):
        plot_detection(X, p, alarms, sensors=["c"])


def backtest_frame():
    windows = []
    for cutoff in (47, 59):
        rows = Y.iloc[cutoff + 1 : cutoff + 13]
        mean = np.full(len(rows), Y.iloc[cutoff])
        frame = {"series": "s", "cutoff": MONTHS[cutoff], "time": rows.index, "y": rows.to_numpy(), "mean": mean}
        windows.append(
            pd.DataFrame(frame | {"lo-80": mean - 1, "hi-80": mean + 1, "lo-95": mean - 2, "hi-95": mean + 2})
        )
    return pd.concat(windows, ignore_index=True)


def test_backtest_draws_each_window():
    frame = backtest_frame()
    ax = plot_backtest(frame)
    assert labels(ax) == ["observed", "mean", "cutoff", "80 % interval", "95 % interval"]
    np.testing.assert_array_equal(line(ax, "observed").get_ydata(), frame["y"])
    assert len(ax.collections) == 4
    both = plot_backtest(pd.concat([frame, frame.assign(series="t", y=0.0)]))
    assert [each.get_title(loc="left") for each in both] == ["s", "t"]
    assert not line(both[1], "observed").get_ydata().any()
    alone = plot_backtest(frame.drop(columns=["series", "lo-80", "hi-80", "lo-95", "hi-95"]))
    assert labels(alone) == ["observed", "mean", "cutoff"]
    with pytest.raises(InputError, match="A backtest has the columns"):
        plot_backtest(frame.drop(columns="mean"))


def test_a_bar_of_one_row_leaves_the_observed_value_in_sight():
    ax = plot_backtest(backtest_frame()[:1])
    assert len(ax.collections) == 2
    assert max(bar.get_zorder() for bar in ax.collections) < line(ax, "observed").get_zorder()


def test_backtest_draws_windows_that_do_not_overlap():
    frame = backtest_frame()
    late = frame[frame["cutoff"] == MONTHS[47]].assign(cutoff=MONTHS[50], time=MONTHS[51:63], mean=99.0)
    ax = plot_backtest(pd.concat([frame, late]))
    drawn = [each for each in ax.lines if each.get_color() == "#0072B2"]
    np.testing.assert_array_equal([each.get_ydata()[0] for each in drawn], [Y.iloc[47], Y.iloc[59]])


def test_backtest_joins_windows_of_one_row():
    rows = backtest_frame()
    ax = plot_backtest(rows.assign(cutoff=rows["time"] - 1, mean=np.arange(24.0)))
    np.testing.assert_array_equal(line(ax, "mean").get_ydata(), np.arange(24.0))


def test_backtest_draws_each_output():
    frame = backtest_frame()
    wide = pd.concat([frame.assign(output="a"), frame.assign(output="b", y=1.0)])
    axes = plot_backtest(wide)
    assert [ax.get_title(loc="left") for ax in axes] == ["s · a", "s · b"]
    ax = plot_backtest(wide, output="b")
    assert set(line(ax, "observed").get_ydata()) == {1.0}
    with pytest.raises(InputError, match="no output 'c'"):
        plot_backtest(wide, output="c")


def test_missing_matplotlib_is_named(monkeypatch):
    forecast = Naive().fit(Y).forecast(3)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r"pip install ssmts\[plot\]"):
        plot_forecast(forecast)


@pytest.fixture(scope="module")
def watched():
    """A detector, and rows with a shift of one sensor and a silence of the other."""
    rng = np.random.default_rng(0)
    index = pd.date_range("2024-01-01", periods=800, freq="1min")
    X = pd.DataFrame(rng.normal(size=(800, 2)), index, ["flow", "heat"])
    X.iloc[600:630, 1] += 12.0
    X.iloc[700:730, 0] = np.nan
    return InnovationDetector(false_alarm_rate=1e-4).fit(X[:500]), X[500:]


def test_a_detector_draws_its_incidents_in_the_panels_of_their_sensors(watched):
    detector, X = watched
    axes = detector.plot(X)
    labels = [[text.get_text() for text in ax.texts] for ax in axes]
    assert labels == [["dropout"], ["level shift"], []]
    start = mdates.date2num(X.index[100])
    spans = [patch.get_x() for patch in axes[1].patches]
    assert spans == [pytest.approx(start, abs=1e-6)]
    quiet = detector.plot(X, missing_after=None, suppress=[(X.index[90], X.index[150], "heat")])
    assert [len(ax.texts) for ax in quiet] == [0, 0, 0]


@pytest.mark.parametrize("apart", [1, 5, 12, 40, 80])
def test_labels_of_incidents_do_not_cover_each_other(apart):
    starts = pd.date_range("2024-01-01", periods=400, freq="1min")[10::apart]
    found = [(t, t, ("flow", "heat"), "heat" if n % 2 else "flow", "variance_burst") for n, t in enumerate(starts)]
    incidents = pd.DataFrame(found, columns=["start", "last_seen", "sensors", "sensor", "kind"])
    index = pd.date_range("2024-01-01", periods=400, freq="1min")
    X = pd.DataFrame(np.zeros((400, 2)), index, ["flow", "heat"])
    axes = plot_detection(X, np.ones(400), np.zeros(400, dtype=bool), incidents=incidents)
    axes[0].figure.canvas.draw()
    for ax in axes[:2]:
        boxes = sorted((text.get_window_extent().intervalx for text in ax.texts), key=lambda box: box[0])
        assert len(boxes) >= min(len(starts), 4)
        assert all(ends[1] <= begins[0] for ends, begins in itertools.pairwise(boxes))
        assert boxes[-1][1] <= ax.get_window_extent().x1 + 2


def test_the_label_of_a_long_incident_comes_before_those_of_short_ones():
    index = pd.date_range("2024-01-01", periods=400, freq="1min")
    found = [(index[98], index[98], ("flow",), "flow", "spike"), (index[100], index[300], ("flow",), "flow", "stuck")]
    incidents = pd.DataFrame(found, columns=["start", "last_seen", "sensors", "sensor", "kind"])
    X = pd.DataFrame(np.zeros((400, 1)), index, ["flow"])
    axes = plot_detection(X, np.ones(400), np.zeros(400, dtype=bool), incidents=incidents)
    assert [text.get_text() for text in axes[0].texts] == ["stuck"]


def test_attribution_is_dark_where_the_sensor_is_to_blame(watched):
    detector, X = watched
    ax = detector.plot_attribution(X)
    cells = ax.collections[0].get_array().reshape(2, len(X))
    assert np.unravel_index(cells.argmax(), cells.shape)[0] == 1
    assert cells[1, 100] > 4
    assert (cells[0, 201:229] == 0).all()
    assert [text.get_text() for text in ax.get_yticklabels()] == ["flow", "heat"]


def test_a_heat_map_of_many_rows_keeps_the_darkest_of_each_cell():
    p, share = np.full(10_000, 0.5), np.full((10_000, 2), 0.5)
    p[1234], share[1234] = 1e-8, [0.0, 1.0]
    ax = plot_attribution(np.zeros((10_000, 2)), p, share)
    cells = ax.collections[0].get_array().reshape(2, -1)
    assert cells.shape[1] == 800
    assert cells.max() == pytest.approx(8)
    assert cells[1].argmax() == 1234 * 800 // 10_000
