import copy
import json
import pickle
from datetime import timedelta, timezone

import dateutil.relativedelta
import dateutil.tz
import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pandas.tseries.frequencies import to_offset

from ssmts.exceptions import FrequencyError, InputTypeError, PersistError, TimeIndexError
from ssmts.timeindex import TimeAxis, check_increasing, infer_axis, row_axis

SHORT = ["h", "6h", "36h", "30min", "5min", "7s", "250ms", "3us", "10ns"]
DAILY = ["D", "2D", "W-MON", "2W-SUN", "B", "2B"]
MONTHLY = ["MS", "ME", "BMS", "BME", "2MS", "QS-FEB", "QE-NOV", "2QS-JAN", "BQS-MAR", "BQE-DEC", "YS-APR", "YE-JUN"]
YEARLY = ["BYS-JAN", "BYE-DEC", "2YS-JAN", "3YE-SEP"]
FREQS = SHORT + DAILY + MONTHLY + YEARLY
ZONES = [None, "UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata"]
FINER_THAN_SECONDS = {"250ms", "3us", "10ns"}


def stamps(*texts, tz=None):
    return pd.DatetimeIndex(texts).tz_localize(tz)


def date_range(start, n, freq, tz=None, unit="ns"):
    return pd.date_range(start, periods=n, freq=freq, tz=tz, name="when").as_unit(unit)


def without_freq(index):
    index = index.copy(deep=True)
    index.freq = None
    return index


def assert_same_stamps(left, right):
    pd.testing.assert_index_equal(left, right, exact=True)
    assert left.freq == right.freq


# The twin of every grid is the list that pd.date_range writes.


@pytest.mark.parametrize("freq", FREQS)
@pytest.mark.parametrize("tz", ZONES)
def test_steps_and_stamps_are_positions_in_date_range(freq, tz):
    index = date_range("2023-01-02 06:00", 60, freq, tz)
    for unit in ("ns", "us", "s"):
        if (unit == "s" and freq in FINER_THAN_SECONDS) or (unit == "us" and freq == "10ns"):
            continue
        expected = index.as_unit(unit)
        expected.freq = index.freq
        axis = infer_axis(expected)
        assert axis.steps(expected).tolist() == list(range(60))
        assert_same_stamps(axis.stamps(0, 60), expected)
        assert_same_stamps(axis.stamps(50, 10), expected[50:])
        assert_same_stamps(axis.stamps(3, 0), expected[:0])
        pd.testing.assert_index_equal(axis.at(np.array([7, 2])), without_freq(expected)[[7, 2]])
        assert axis.stamp(17) == expected[17]
        assert axis.steps(axis.stamps(-9, 20)).tolist() == list(range(-9, 11))
        assert axis.steps(expected[:0]).tolist() == []


@pytest.mark.parametrize("freq", ["h", "90s", "D", "2D", "W-TUE", "MS"])
@pytest.mark.parametrize("tz", [None, "UTC", "Europe/Berlin"])
def test_the_quick_step_of_a_stamp_is_its_step_or_unknown(freq, tz):
    index = date_range("2023-01-02 06:00", 60, freq, tz)
    axis = infer_axis(index)
    known = [axis.quick_step(index[i : i + 1]) for i in range(60)]
    expected = {True: list(range(60)), False: [None] * 60}
    assert known == expected[freq in ("h", "90s") or (freq != "MS" and tz != "Europe/Berlin")]
    other = [index[:1] + pd.Timedelta("1s"), index[:1].as_unit("s"), pd.DatetimeIndex([pd.NaT]).tz_localize(tz)]
    wall = index[:1].tz_localize(None) if tz else index[:1].tz_localize("UTC")
    for stamp in (*other, wall, pd.Index([3]), index[:1].astype(str)):
        assert axis.quick_step(stamp) not in range(60)


def test_the_quick_step_of_a_period():
    axis = infer_axis(pd.period_range("2020-01", periods=9, freq="M"))
    assert axis.quick_step(pd.PeriodIndex(["2021-03"], freq="M")) == 14
    assert axis.quick_step(pd.PeriodIndex(["2021-03"], freq="Q")) is None


@pytest.mark.parametrize("freq", FREQS)
@pytest.mark.parametrize("tz", ["UTC", "Europe/Berlin", None])
def test_complete_stamps_give_the_frequency_of_pandas(freq, tz):
    index = without_freq(date_range("2023-01-02 06:00", 60, freq, tz))
    axis = infer_axis(index)
    assert_same_stamps(without_freq(axis.stamps(0, 60)), index)
    expected = "W-MON" if freq == "7D" else freq
    assert axis.freqstr == to_offset(expected).freqstr


@pytest.mark.parametrize("freq", [freq for freq in FREQS if freq != "2B"])
@pytest.mark.filterwarnings("ignore:A future version of pandas")
def test_agrees_with_infer_freq(freq):
    index = without_freq(date_range("2023-01-02", 60, freq))
    expected = pd.date_range(index[0], periods=80, freq=pd.infer_freq(index), name="when")
    pd.testing.assert_index_equal(infer_axis(index).stamps(0, 80), expected, exact=True)


@given(st.sampled_from(FREQS), st.sampled_from(ZONES), st.integers(0, 20_000), st.integers(0, 2**32), st.floats(0, 0.3))
@settings(deadline=None, max_examples=150)
def test_absent_rows_keep_the_frequency(freq, tz, day, seed, share):
    # Noon is a time of day that no zone skips; from 1930, so that the years fit into nanoseconds.
    index = date_range(pd.Timestamp("1930-01-01 12:00") + pd.Timedelta(days=day), 40, freq, tz)
    kept = np.random.default_rng(seed).random(40) >= share
    kept[[0, 1, -1]] = True
    rows = np.flatnonzero(kept)
    assume(np.mean(np.diff(rows) == 1) >= 0.5)
    axis = infer_axis(index[rows])
    assert axis.steps(index[rows]).tolist() == rows.tolist()
    assert_same_stamps(axis.stamps(0, 40), index)


@pytest.mark.parametrize(
    "freq",
    [
        "SMS",
        "SME",
        "bh",
        "WOM-2TUE",
        pd.offsets.LastWeekOfMonth(weekday=4),
        pd.offsets.Easter(),
        pd.offsets.CustomBusinessDay(holidays=["2023-01-06", "2023-01-09"]),
        pd.offsets.CustomBusinessMonthEnd(),
        pd.offsets.FY5253(startingMonth=1, weekday=4),
        pd.DateOffset(months=1),
        pd.DateOffset(months=2, years=1),
        pd.DateOffset(days=3),
        pd.DateOffset(weeks=1),
        pd.DateOffset(hours=5),
        pd.DateOffset(),
        pd.offsets.Week(),
    ],
)
@pytest.mark.parametrize("tz", [None, "Europe/Berlin"])
def test_offsets_that_must_be_given(freq, tz):
    index = date_range("2023-01-04 10:00" if freq == "bh" else "2023-01-04", 50, freq, tz)
    axis = infer_axis(without_freq(index), freq)
    assert axis.steps(index).tolist() == list(range(50))
    assert_same_stamps(axis.stamps(0, 50), index)
    assert_same_stamps(axis.stamps(20, 5), index[20:25])
    assert_same_stamps(axis.stamps(20, 0), index[:0])
    assert axis.steps(index[:0]).tolist() == []
    later = infer_axis(index[30:])
    assert later.steps(index[[0, 29, 49]]).tolist() == [-30, -1, 19]
    with pytest.raises(TimeIndexError, match="off the grid"):
        axis.steps(index + pd.Timedelta(minutes=1))


def test_mid_month_stamps_are_months():
    axis = infer_axis(stamps("2024-01-15", "2024-02-15", "2024-04-15"))
    assert axis.freq == pd.DateOffset(months=1)
    assert axis.steps(stamps("2025-01-15")).tolist() == [12]
    assert axis.format(2) == "2024-03-15"


# Inference.


@pytest.mark.parametrize(
    "texts, freq",
    [
        (["2024-01-01", "2024-02-01", "2024-03-01"], "MS"),
        (["2024-07-01", "2024-08-01", "2024-09-01"], "MS"),
        (["2001-01-01", "2002-01-01", "2003-01-01"], "YS-JAN"),
        (["2024-01-31", "2024-02-29", "2024-06-30"], "ME"),
        (["2024-05-31", "2024-06-28", "2024-07-31"], "BME"),
        (["2024-01-31 18:00", "2024-04-30 18:00", "2024-07-31 18:00"], "QE-OCT"),
        (["2024-01-01", "2024-01-08", "2024-01-29"], "W-MON"),
        (["2024-01-04", "2024-01-05", "2024-01-08"], "B"),
        (["2024-01-05", "2024-01-08", "2024-01-11"], "3D"),
        (["2024-01-01", "2024-01-02", "2024-01-03", "2024-01-05"], "D"),
        (["2024-01-01", "2024-01-02", "2024-01-03", "2024-01-08"], "B"),
        (["2024-01-01", "2024-01-03", "2024-01-05", "2024-01-09", "2024-01-11"], "2B"),
        (["2024-01-01 00:00", "2024-01-01 12:00", "2024-01-02 00:00"], "12h"),
        (["2024-01-01 00:00:01", "2024-01-01 00:00:03", "2024-01-01 00:00:05"], "2s"),
        (["2024-01-01 00:00", "2024-01-01 00:45", "2024-01-01 01:30"], "45min"),
    ],
)
def test_coarsest_offset(texts, freq):
    assert infer_axis(stamps(*texts)).freqstr == to_offset(freq).freqstr


def test_several_series_share_an_axis():
    parts = [stamps("2024-03-01", "2024-04-01"), stamps("2024-01-01", "2024-02-01"), stamps("2024-09-01"), stamps()]
    axis = infer_axis(parts)
    assert axis.freqstr == "MS"
    assert axis.origin == pd.Timestamp("2024-01-01")
    assert [axis.steps(part).tolist() for part in parts] == [[2, 3], [0, 1], [8], []]


def test_gaps_between_series_do_not_count():
    days = [stamps("2024-01-01", "2024-01-02"), stamps("2024-05-01", "2024-05-02"), stamps("2024-09-01")]
    assert infer_axis(days).freqstr == "D"
    with pytest.raises(FrequencyError, match="It takes three stamps of a series"):
        infer_axis([stamps("2024-01-01"), stamps("2024-01-02"), stamps("2024-01-03")])


def test_series_that_are_shifted_against_each_other_have_no_frequency():
    with pytest.raises(FrequencyError, match="2 days"):
        infer_axis([date_range("2024-01-01", 5, "2D"), date_range("2024-01-02", 5, "2D")])


@pytest.mark.parametrize(
    "texts, message",
    [
        (
            ["2024-01-01", "2024-01-03", "2024-01-08", "2024-01-10", "2024-01-15", "2024-01-19", "2024-01-20"],
            r"commonest gaps are 2 days \(2 times\), 5 days \(2 times\), [14] days \(1 time\)\. .*resample\('2D'\)",
        ),
        (
            ["2024-01-01 00:00:00", "2024-01-01 00:10:00", "2024-01-01 00:20:00", "2024-01-01 00:31:00"],
            r"commonest gaps are 00:10:00 \(2 times\), 00:11:00 \(1 time\)\. Pass freq=.*resample\('10min'\)",
        ),
    ],
)
def test_no_frequency_lists_the_commonest_gaps(texts, message):
    with pytest.raises(FrequencyError, match=message):
        infer_axis(stamps(*texts))


def test_local_days_written_in_utc_are_pointed_out():
    days = without_freq(date_range("2024-01-01", 366, "D", "Europe/Berlin"))
    with pytest.raises(FrequencyError, match=r"1 days \(363 times\).*daylight saving.*tz_convert"):
        infer_axis(days.tz_convert("UTC"))
    assert infer_axis(days.tz_convert("UTC").tz_convert("Europe/Berlin")).freqstr == "D"


@pytest.mark.parametrize("index", [stamps("2024-01-01"), stamps("2024-01-01", "2024-01-02"), pd.Index([3, 4])])
def test_too_few_stamps(index):
    with pytest.raises(FrequencyError, match=r"three stamps.*Pass freq="):
        infer_axis(index)


def test_no_stamps():
    with pytest.raises(TimeIndexError, match="no stamps"):
        infer_axis(stamps(), "D")
    with pytest.raises(TimeIndexError, match="no stamps"):
        infer_axis([])


# freq= and index.freq.


@pytest.mark.parametrize(
    "freq, text", [("D", "D"), ("24h", "D"), ("1h", "h"), (timedelta(minutes=30), "30min"), (pd.Timedelta("1D"), "D")]
)
def test_given_frequency(freq, text):
    axis = infer_axis(stamps("2024-01-01", "2024-01-03"), freq)
    assert axis.freqstr == text
    assert axis.stamp(0) == pd.Timestamp("2024-01-01")


@pytest.mark.parametrize(
    "freq, texts, message",
    [
        ("D", ["2024-01-01", "2024-01-02 01:00"], "freq='D' does not contain the stamp 2024-01-02 01:00:00"),
        ("W", ["2024-01-01", "2024-01-08"], "freq='W-SUN' does not contain the stamp 2024-01-01"),
        ("W", ["2024-01-01", "2024-01-08", "2024-01-15"], "freq='W-MON' contains every stamp"),
        ("ME", ["2024-01-31", "2024-02-28"], "freq='ME' does not contain the stamp 2024-02-28"),
        ("B", ["2024-01-05", "2024-01-06", "2024-01-07"], "the stamp 2024-01-06"),
        ("2D", ["2024-01-01", "2024-01-02"], r"stamp 2024-01-02\. The commonest gaps are 1 days \(1 time\)"),
        ("often", ["2024-01-01"], "freq='often' is no frequency"),
        (3, ["2024-01-01"], "freq=3 is no frequency"),
        ("-1D", ["2024-01-01"], "must be positive, received '-1D'"),
        (pd.DateOffset(days=-1), ["2024-01-01"], "must be positive"),
        (pd.DateOffset(hours=0), ["2024-01-01"], "must be positive"),
    ],
)
def test_frequency_that_contradicts_the_stamps(freq, texts, message):
    with pytest.raises(FrequencyError, match=message):
        infer_axis(stamps(*texts), freq)


def test_frequency_that_contradicts_that_of_the_index():
    index = date_range("2024-01-07", 4, "W-SUN")
    for freq in ("D", "W-MON", "2W"):
        with pytest.raises(FrequencyError, match="contradicts the 'W-SUN' of the index"):
            infer_axis(index, freq)
    with pytest.raises(FrequencyError, match="'D' contradicts the 'W-SUN'"):
        infer_axis([index, date_range("2024-01-07", 4, "D")])
    assert infer_axis(index, "W").freqstr == "W-SUN"
    with pytest.raises(FrequencyError, match="'5min' contradicts the 'h'"):
        infer_axis(date_range("2024-01-07", 4, "h"), "5min")


@pytest.mark.parametrize("own, given", [("3MS", "QS"), ("QS-JAN", "QS-OCT"), ("D", "24h"), ("60min", "h"), ("7D", "W")])
def test_two_names_of_one_frequency(own, given):
    index = date_range("2023-01-01", 4, own)
    assert infer_axis(index, given).freq == index.freq


def test_index_freq_holds_for_one_stamp():
    assert infer_axis(date_range("2024-01-31", 1, "ME")).stamp(1) == pd.Timestamp("2024-02-29")


# Zones and daylight saving.


def test_hours_are_absolute_time():
    index = date_range("2024-03-30", 24 * 365, "h", "Europe/Berlin")
    axis = infer_axis(without_freq(index))
    assert axis.freqstr == "h"
    assert_same_stamps(axis.stamps(0, len(index)), index)
    spring, autumn = pd.Timestamp("2024-03-31 03:00", tz=axis.tz), pd.Timestamp("2024-10-27 03:00", tz=axis.tz)
    assert axis.steps(pd.DatetimeIndex([spring])).tolist() == [26]
    assert axis.steps(pd.DatetimeIndex([autumn])).tolist() == [(autumn - index[0]) // pd.Timedelta("1h")]


def test_days_are_calendar_steps():
    index = date_range("2024-03-01", 366, "D", "Europe/Berlin")
    axis = infer_axis(index[np.r_[0:100, 130:366]])
    assert set(np.diff(index.asi8) // (3600 * 10**9)) == {23, 24, 25}
    assert axis.steps(index).tolist() == list(range(366))
    assert_same_stamps(axis.stamps(0, 366), index)


@pytest.mark.parametrize("start", ["2018-10-25", "2018-11-04"])
def test_midnight_that_daylight_saving_skips(start):
    # In São Paulo the day 2018-11-04 began at 01:00.
    days = pd.date_range(start, "2018-12-31").tz_localize("America/Sao_Paulo", nonexistent="shift_forward")
    assert (days == pd.Timestamp("2018-11-04 01:00", tz="America/Sao_Paulo")).sum() == 1
    axis = infer_axis(days)
    assert axis.freqstr == "D"
    steps = axis.steps(days)
    assert np.diff(steps).tolist() == [1] * (len(days) - 1)
    pd.testing.assert_index_equal(axis.stamps(int(steps[0]), len(days)), days)
    assert axis.format(int(steps[-1])) == "2018-12-31"


def test_time_of_day_that_is_skipped_or_occurs_twice():
    zone = "Europe/Berlin"
    axis = infer_axis(stamps("2024-03-01 02:30", tz=zone), "D")
    spring = axis.stamps(29, 3)
    assert spring.strftime("%d %H:%M").tolist() == ["30 02:30", "31 03:00", "01 02:30"]
    assert spring.freq is None
    # A zone change by an hour, as adding days in absolute time gives it, is the same day.
    assert axis.steps(stamps("2024-03-31 03:30", tz=zone)).tolist() == [30]
    with pytest.raises(TimeIndexError, match=r"2024-03-31 04:00:00\+02:00 \(row 0\) is off the grid"):
        axis.steps(stamps("2024-03-31 04:00", tz=zone))
    with pytest.raises(TimeIndexError, match="off the grid"):
        axis.steps(stamps("2024-04-01 03:00", tz=zone))
    step = int(axis.steps(stamps("2024-10-26 02:30", tz=zone))[0]) + 1
    autumn = axis.stamps(step, 1)
    assert autumn.tz_convert("UTC").strftime("%d %H:%M").tolist() == ["27 00:30"]
    second = autumn + pd.Timedelta("1h")
    assert second.strftime("%d %H:%M").tolist() == ["27 02:30"]
    assert axis.steps(second).tolist() == [step]


@pytest.mark.parametrize("tz", ["Europe/Berlin", "America/New_York", "Australia/Sydney"])
@pytest.mark.parametrize("time", ["00:00", "01:30", "02:00", "02:30", "23:30"])
@pytest.mark.parametrize("freq", ["D", "W-SUN", "MS", "B", "SMS"])
def test_round_trip_through_the_years(tz, time, freq):
    axis = infer_axis(stamps(f"2024-01-01 {time}" if freq != "W-SUN" else f"2024-01-07 {time}", tz=tz), freq)
    assert axis.steps(axis.stamps(-800, 1600)).tolist() == list(range(-800, 800))


def test_absolute_days_in_a_zone_with_daylight_saving():
    index = date_range("2024-03-01", 60, "24h", "UTC").tz_convert("Europe/Berlin")
    for same in (index, without_freq(index)):
        axis = infer_axis(same, "24h")
        assert axis.steps(index).tolist() == list(range(60))
        pd.testing.assert_index_equal(axis.stamps(0, 60), index)
    with pytest.raises(FrequencyError, match="does not contain the stamp 2024-04-01 02:00:00"):
        infer_axis(without_freq(index), pd.offsets.Day())


def test_another_zone_is_refused():
    axis = infer_axis(date_range("2024-01-01", 3, "h", "Europe/Berlin"))
    with pytest.raises(TimeIndexError, match=r"zone UTC.*Europe/Berlin.*tz_convert\('Europe/Berlin'\)"):
        axis.steps(date_range("2024-01-01", 3, "h", "UTC"))
    with pytest.raises(TimeIndexError, match=r"zone None.*tz_localize\('Europe/Berlin'\)"):
        axis.steps(date_range("2024-01-01", 3, "h"))
    naive = infer_axis(date_range("2024-01-01", 3, "h"))
    with pytest.raises(TimeIndexError, match=r"zone UTC.*tz_localize\(None\)"):
        naive.steps(date_range("2024-01-01", 3, "h", "UTC"))
    with pytest.raises(TimeIndexError, match="different zones: None, UTC"):
        infer_axis([date_range("2024-01-01", 3, "h"), date_range("2024-01-01", 3, "h", "UTC")])


def test_one_zone_of_several_libraries():
    berlin = date_range("2024-01-01", 3, "D", dateutil.tz.UTC)
    assert infer_axis(date_range("2024-01-01", 3, "D", "UTC")).steps(berlin).tolist() == [0, 1, 2]
    fixed = date_range("2024-01-01", 3, "D", timezone(timedelta(hours=2)))
    offset = date_range("2024-01-01", 3, "D", dateutil.tz.tzoffset(None, 7200))
    assert infer_axis(fixed).steps(offset).tolist() == [0, 1, 2]


# Units.


def test_units_may_differ():
    seconds = date_range("2024-01-01", 5, "h", unit="s")
    axis = infer_axis(seconds)
    assert axis.unit == "s"
    assert axis.steps(seconds.as_unit("ns")).tolist() == [0, 1, 2, 3, 4]
    with pytest.raises(TimeIndexError, match=r"2024-01-01 01:00:00.000000001 \(row 1\) is off the grid"):
        axis.steps(seconds.as_unit("ns")[:2] + pd.to_timedelta([0, 1], unit="ns"))
    axis = infer_axis([seconds[:2], seconds[2:].as_unit("ms")])
    assert axis.unit == "ms"
    assert axis.stamps(0, 2).dtype == "datetime64[ms]"


def test_a_step_finer_than_the_unit_makes_the_unit_finer():
    axis = infer_axis(stamps("2024-01-01").as_unit("s"), "250ms")
    assert axis.unit == "ms"
    assert axis.stamp(3) == pd.Timestamp("2024-01-01 00:00:00.750")


@pytest.mark.parametrize("freq", ["D", "B", "YS", "h"])
def test_stamps_beyond_the_range_of_the_unit(freq):
    many = 10**10 if freq == "h" else 10**6
    with pytest.raises(TimeIndexError, match="2262"):
        infer_axis(stamps("2024-01-01").as_unit("ns"), freq).stamps(many, 2)
    assert infer_axis(stamps("2024-01-01").as_unit("s"), "D").format(10**6) == str(np.datetime64("2024-01-01") + 10**6)


# Periods and integers.


@pytest.mark.parametrize("freq", ["h", "15min", "D", "W-SUN", "M", "Q-NOV", "Y-JUN", "2M", "3D"])
def test_periods(freq):
    index = pd.period_range("2023-01-02", periods=40, freq=freq, name="when")
    axis = infer_axis(index[np.r_[0, 5:40]])
    assert axis.kind == "period"
    assert axis.steps(index).tolist() == list(range(40))
    assert_same_stamps(axis.stamps(0, 40), index)
    assert axis.stamp(7) == index[7]
    assert axis.format(7) == str(index[7])
    assert axis.steps(axis.stamps(-3, 3)).tolist() == [-3, -2, -1]
    assert infer_axis(index[:1], freq) == infer_axis(index)


def test_periods_of_another_frequency():
    months = pd.period_range("2023-01", periods=4, freq="M")
    with pytest.raises(FrequencyError, match=r"period\[M\], period\[Q-DEC\]"):
        infer_axis(months, "Q")
    with pytest.raises(FrequencyError, match="no frequency of periods"):
        infer_axis(months, "nonsense")
    with pytest.raises(FrequencyError, match="no frequency of periods"):
        infer_axis(months, pd.offsets.MonthBegin())
    with pytest.raises(TimeIndexError, match="freq='Q-DEC', but fit saw freq='M'"):
        infer_axis(months).steps(months.asfreq("Q").unique())
    with pytest.raises(TimeIndexError, match=r"2023-02 \(row 1\) is off the grid of freq='2M'"):
        infer_axis(pd.PeriodIndex(["2023-01", "2023-02"], freq="2M"))


def test_integers():
    axis = infer_axis(pd.Index([10, 15, 20, 35], name="row"))
    assert axis.freq == 5
    assert axis.steps(pd.Index([5, 100], dtype="uint16")).tolist() == [-1, 18]
    pd.testing.assert_index_equal(axis.stamps(4, 3), pd.RangeIndex(30, 45, 5, name="row"))
    pd.testing.assert_index_equal(axis.at(np.array([2, 0])), pd.Index([20, 10], name="row"))
    assert axis.format(1) == "15"
    with pytest.raises(TimeIndexError, match=r"12 \(row 0\) is off the grid of freq='5' from 10"):
        axis.steps(pd.Index([12]))


def test_integer_frequencies():
    assert infer_axis(pd.RangeIndex(4, 10, 2)).freq == 2
    assert infer_axis(pd.RangeIndex(4, 10, 2), 1).freq == 1
    assert infer_axis([pd.Index([0, 1]), pd.RangeIndex(4, 10, 2), pd.Index([5, 6, 7])]).freq == 1
    with pytest.raises(FrequencyError, match=r"stamp 8\. The commonest gaps are 2 \(2 times\), 3 \(1 time\)"):
        infer_axis(pd.Index([1, 3, 5, 8]))
    with pytest.raises(FrequencyError, match="freq=3 does not lead to the stamp 2"):
        infer_axis(pd.Index([0, 2]), 3)
    with pytest.raises(FrequencyError, match="must be an integer, received 'D'"):
        infer_axis(pd.RangeIndex(5), "D")


def test_rows():
    axis = row_axis()
    assert axis.steps(pd.RangeIndex(3, 6)).tolist() == [3, 4, 5]
    pd.testing.assert_index_equal(axis.stamps(3, 2), pd.RangeIndex(3, 5))


# What is no time, and order.


@pytest.mark.parametrize(
    "index, error, message",
    [
        (pd.Index([1.5, 2.5]), InputTypeError, r"received dtype float64, e\.g\. .*1\.5.*pd\.to_datetime"),
        (pd.Index(["2024-01-01"]), InputTypeError, r"e\.g\. '2024-01-01'.*pd\.to_datetime"),
        (pd.Index([True, False]), InputTypeError, "received dtype bool"),
        (pd.Index([pd.Timestamp("2024-01-01").date()]), InputTypeError, "pd.to_datetime"),
        (pd.to_timedelta([1, 2], unit="h"), InputTypeError, "received dtype timedelta64"),
        (pd.MultiIndex.from_product([["a"], [1]], names=["series", "time"]), InputTypeError, "levels.*series.*time"),
        ([1, 2], InputTypeError, "received list"),
        (
            pd.Index([pd.Timestamp("2024-01-01", tz="UTC"), pd.Timestamp("2024-01-02", tz="Asia/Tokyo")], dtype=object),
            TimeIndexError,
            "several zones: UTC, Asia/Tokyo.*utc=True",
        ),
    ],
)
def test_indexes_that_hold_no_time(index, error, message):
    for call in (check_increasing, row_axis().steps, lambda index: infer_axis([index], "D")):
        with pytest.raises(error, match=message):
            call(index)


def test_kinds_do_not_mix():
    with pytest.raises(TimeIndexError, match="different kinds: datetime, integer"):
        infer_axis([stamps("2024-01-01"), pd.RangeIndex(3)])
    axis = infer_axis(date_range("2024-01-01", 3, "D"))
    with pytest.raises(TimeIndexError, match="holds integers, but fit saw date-times with freq='D' from 2024-01-01"):
        axis.steps(pd.RangeIndex(3))


@pytest.mark.parametrize(
    "index, message",
    [
        (stamps("2024-01-01", "2024-01-02", "2024-01-02"), r"2024-01-02 appears twice \(rows 1 and 2\).*duplicated"),
        (stamps("2024-01-03", "2024-01-02 01:00"), r"2024-01-02 01:00:00 follows 2024-01-03 00:00:00 \(row 1\).*sort"),
        (stamps("2024-01-01", None), r"row 1 is missing \(NaT\)"),
        (pd.Index([1, 1]), r"1 appears twice"),
        (pd.Index([2, 1], dtype="uint8"), r"1 follows 2"),
        (pd.Index([1, None], dtype="Int64"), r"row 1 is missing"),
        (pd.PeriodIndex(["2024-02", "2024-01"], freq="M"), r"2024-01 follows 2024-02"),
        (pd.PeriodIndex(["2024-02", None], freq="M"), r"row 1 is missing"),
        (pd.RangeIndex(3, 0, -1), r"2 follows 3"),
    ],
)
def test_stamps_that_do_not_increase(index, message):
    with pytest.raises(TimeIndexError, match=message):
        check_increasing(index)
    with pytest.raises(TimeIndexError, match="in series 'shop 3'"):
        check_increasing(index, series="shop 3")


def test_stamps_that_increase():
    for index in (date_range("2024-01-01", 3, "D"), stamps("2024-01-01"), stamps(), pd.RangeIndex(3), pd.Index([1, 5])):
        check_increasing(index)


def test_missing_stamps_have_no_step():
    axis = infer_axis(date_range("2024-01-01", 3, "s", unit="s"))
    with pytest.raises(TimeIndexError, match="row 1 is missing"):
        axis.steps(stamps("2024-01-01", None))


# Texts, and the axis as a value.


@pytest.mark.parametrize(
    "freq, tz, text",
    [
        ("D", None, "2024-01-02"),
        ("D", "Europe/Berlin", "2024-01-02"),
        ("12h", None, "2024-01-01 12:00:00"),
        ("24h", None, "2024-01-02"),
        (pd.offsets.CustomBusinessDay(), None, "2024-01-02"),
        ("h", "UTC", "2024-01-01 01:00:00+00:00"),
    ],
)
def test_text_of_stamps(freq, tz, text):
    assert infer_axis(stamps("2024-01-01", tz=tz), freq).format(1) == text


def test_time_of_day_is_written():
    assert infer_axis(stamps("2024-01-01 09:00"), "D").format(1) == "2024-01-02 09:00:00"


AXES = [
    infer_axis(date_range("2023-01-02 06:00", 3, freq, tz, unit))
    for freq in ["h", "250ms", "D", "W-MON", "B", "QE-NOV", "SMS", pd.DateOffset(n=2, months=1)]
    for tz in [None, "UTC", "Europe/Berlin", timezone(timedelta(hours=-3))]
    for unit in ["ms", "ns"]
]
AXES += [infer_axis(pd.period_range("2023-01-02", periods=3, freq=freq)) for freq in ["M", "2M", "W-TUE", "h"]]
AXES += [row_axis(), infer_axis(pd.Index([3, 5, 7], name="row"))]


@pytest.mark.parametrize("axis", AXES, ids=lambda axis: f"{axis.freqstr} {axis.tz}")
def test_axis_survives_json_pickle_and_copy(axis):
    text = json.loads(json.dumps(axis.to_dict()))
    for other in (TimeAxis.from_dict(text), pickle.loads(pickle.dumps(axis)), copy.deepcopy(axis)):
        assert other == axis
        assert hash(other) == hash(axis)
        assert_same_stamps(other.stamps(5, 3), axis.stamps(5, 3)) if axis.kind != "integer" else None
        assert other.stamps(5, 3).dtype == axis.stamps(5, 3).dtype


def test_axes_that_differ():
    axis = infer_axis(date_range("2024-01-01", 3, "D", "UTC"))
    assert axis.with_name("other") != axis
    assert axis.with_name("other").stamps(0, 1).name == "other"
    assert infer_axis(date_range("2024-01-01 01:00", 3, "D", timezone(timedelta(hours=1)))) != axis
    assert infer_axis(date_range("2024-01-02", 3, "D", "UTC")) != axis


@pytest.mark.parametrize(
    "axis",
    [
        infer_axis(date_range("2024-01-01", 3, "D")).with_name(("a", 1)),
        infer_axis(date_range("2024-01-01", 3, pd.offsets.CustomBusinessDay(holidays=["2024-12-25"]))),
        infer_axis(date_range("2024-01-01", 3, pd.offsets.Easter())),
        infer_axis(date_range("2024-01-01", 3, pd.DateOffset(months=1, weekday=dateutil.relativedelta.MO))),
    ],
)
def test_axes_that_cannot_be_saved(axis):
    with pytest.raises(PersistError, match=r"cannot be saved|only a string"):
        axis.to_dict()


def test_origin_off_its_frequency():
    with pytest.raises(FrequencyError, match="not a stamp of freq='MS'"):
        TimeAxis("datetime", to_offset("MS"), pd.Timestamp("2024-01-02"))


@pytest.mark.data
@pytest.mark.parametrize(
    "name, column, freq, absent",
    [
        ("ett/ETTh1.csv", "date", "h", 0),
        ("ltsf/national_illness.csv", "date", "W-TUE", 0),
        ("nab/data/realKnownCause/ambient_temperature_system_failure.csv", "timestamp", "h", 621),
        ("nab/data/realKnownCause/nyc_taxi.csv", "timestamp", "30min", 0),
    ],
)
def test_real_stamps(data_folder, name, column, freq, absent):
    index = pd.DatetimeIndex(pd.read_csv(data_folder / name, usecols=[column])[column])
    check_increasing(index)
    axis = infer_axis(index)
    assert axis.freqstr == freq
    assert axis.steps(index)[-1] + 1 - len(index) == absent
