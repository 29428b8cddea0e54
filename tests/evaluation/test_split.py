"""TimeSplit: the same stamps for all series, scikit-learn's protocol, and refusals."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.dummy import DummyRegressor
from sklearn.model_selection import GridSearchCV, TimeSeriesSplit, check_cv, cross_val_score

from ssmts import Long
from ssmts.evaluation import TimeSplit
from ssmts.exceptions import InputError, InputTypeError, TooShortError
from ssmts.forecasting.naive import Naive

DAYS = pd.date_range("2024-01-01", periods=20)


@given(st.integers(1, 5), st.integers(1, 4), st.integers(0, 3), st.integers(0, 30))
@settings(deadline=None, max_examples=50)
def test_equals_scikit_learns_splitter_where_that_can_do_the_same(horizon, n_windows, gap, spare):
    n_rows = horizon * n_windows + gap + 1 + spare
    ours = list(TimeSplit(horizon, n_windows, gap=gap).split(np.zeros((n_rows, 2))))
    assert len(ours) == n_windows
    if n_windows > 1:
        theirs = TimeSeriesSplit(n_windows, test_size=horizon, gap=gap).split(np.zeros((n_rows, 2)))
        for (train, test), (their_train, their_test) in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(train, their_train)
            np.testing.assert_array_equal(test, their_test)


@given(st.data())
@settings(deadline=None, max_examples=60)
def test_every_window_of_a_panel_is_cut_at_one_time(data):
    """Series of any start, end and gaps, rows in any order between series."""
    n_series = data.draw(st.integers(1, 4))
    parts = {}
    for i in range(n_series):
        low, high = sorted(data.draw(st.lists(st.integers(0, 19), min_size=2, max_size=2, unique=True)))
        keep = [time for time in range(low, high + 1) if time in (low, high) or data.draw(st.integers(0, 4)) > 0]
        parts[f"s{i}"] = pd.Series(0.0, pd.Index(keep))
    y = pd.concat(parts, names=["series", "time"]).sort_index(level=1)
    horizon, n_windows = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 3))
    step, gap = data.draw(st.integers(1, 4)), data.draw(st.integers(0, 2))
    series, times = y.index.get_level_values(0), y.index.get_level_values(1).to_numpy()
    gaps = np.diff(np.unique(times))
    assume(len(gaps) > 1 and (gaps == 1).mean() > 0.5)  # otherwise the grid is not one of unit steps
    splitter = TimeSplit(horizon, n_windows, step, gap)
    if np.ptp(times) + 1 < horizon + (n_windows - 1) * step + gap + 1:
        with pytest.raises(TooShortError):
            next(splitter.split(y))
        return
    windows = splitter.split(y)
    for number in range(n_windows):
        first = times.max() + 1 - horizon - (n_windows - 1 - number) * step
        inside = (times >= first) & (times < first + horizon)
        expected = np.flatnonzero(inside & series.isin(series[times < first - gap]))
        if not len(expected):
            return
        train, test = next(windows)
        np.testing.assert_array_equal(train, np.flatnonzero(times < first - gap))
        np.testing.assert_array_equal(test, expected)


@pytest.mark.parametrize(
    "index",
    [
        pd.period_range("2020-01", periods=10, freq="M"),
        pd.date_range("2024-03-28", periods=10, freq="D", tz="Europe/Oslo"),  # with a change to summer time
        pd.date_range("2024-01-31", periods=10, freq="ME"),
        pd.RangeIndex(5, 25, 2),
        pd.RangeIndex(10),
    ],
)
def test_any_index_and_absent_rows_count(index):
    keep = [0, 1, 2, 3, 5, 6, 7, 9]  # 4 and 8 are absent
    frame = pd.DataFrame(index=index)  # without columns, as X of a forecaster without covariates
    for train, test in [
        next(TimeSplit(3, 1).split(frame.iloc[keep])),
        next(TimeSplit(3, 1).split(None, frame.iloc[keep])),
    ]:
        assert train.tolist() == [0, 1, 2, 3, 4, 5]  # stamps 0 to 6
        assert test.tolist() == [6, 7]  # stamps 7 and 9; 8 is absent and counts


def test_stamps_without_a_frequency_are_counted():
    stamps = pd.DatetimeIndex(["2024-01-01", "2024-01-01 07:13:05", "2024-02-01 01:00", "2024-02-03 05:00:01"])
    train, test = next(TimeSplit(2, 1).split(pd.Series(0.0, stamps)))
    assert (train.tolist(), test.tolist()) == ([0, 1], [2, 3])


def test_a_series_without_training_rows_is_not_tested():
    y = pd.concat({"old": pd.Series(0.0, DAYS), "new": pd.Series(0.0, DAYS[17:])})
    windows = [y.index[test].get_level_values(0).unique().tolist() for _, test in TimeSplit(2, 2).split(y)]
    assert windows == [["old"], ["old", "new"]]
    apart = pd.concat({"old": pd.Series(0.0, DAYS[:5]), "new": pd.Series(0.0, DAYS[17:])})
    with pytest.raises(InputError, match="no row of a series with training rows"):
        list(TimeSplit(3, 1).split(apart))


def test_overlapping_windows():
    windows = [test.tolist() for _, test in TimeSplit(3, 3, step=1).split(np.zeros(6))]
    assert windows == [[1, 2, 3], [2, 3, 4], [3, 4, 5]]


def test_too_short_says_how_many_stamps_are_needed():
    splitter = TimeSplit(4, 2, step=3, gap=2)  # 3 + 4 tested, 2 left out, 1 to train on
    with pytest.raises(TooShortError, match=r"needs 10 stamps.*have 9"):
        next(splitter.split(np.zeros(9)))
    assert [train.tolist() for train, _ in splitter.split(np.zeros(10))] == [[0], [0, 1, 2, 3]]


@pytest.mark.parametrize(
    "options", [{"horizon": 0}, {"horizon": 2.5}, {"n_windows": 0}, {"step": 0}, {"gap": -1}, {"horizon": True}]
)
def test_bad_parameters(options):
    with pytest.raises(InputError, match=next(iter(options))):
        TimeSplit(**{"horizon": 3, **options})


def test_bad_data():
    long = pd.DataFrame({"unique_id": ["a"] * 9, "ds": DAYS[:9], "y": 0.0})
    for frame in (long, Long(long)):
        with pytest.raises(InputTypeError, match="set_index"):
            next(TimeSplit(1, 1).split(frame))
    with pytest.raises(InputError, match="row 1 is missing"):
        next(TimeSplit(1, 1).split(pd.Series(0.0, pd.DatetimeIndex(["2024-01-01", None, "2024-01-02"]))))
    with pytest.raises(InputError, match="3 levels"):
        next(TimeSplit(1, 1).split(pd.Series(0.0, pd.MultiIndex.from_product([["a"], ["b"], DAYS]))))


def test_is_a_scikit_learn_splitter():
    splitter = TimeSplit(2, 3, gap=1)
    assert splitter.get_n_splits() == 3
    assert repr(splitter) == "TimeSplit(gap=1, horizon=2, n_windows=3, step=None)"
    assert check_cv(splitter) is splitter
    assert repr(clone(splitter, safe=False)) == repr(splitter)
    X, y = np.zeros((12, 1)), np.arange(12.0)
    # the mean of rows 0 ... k-1 is (k - 1) / 2; the test rows are k + 1 and k + 2
    scores = cross_val_score(DummyRegressor(), X, y, cv=splitter, scoring="neg_mean_absolute_error")
    assert scores.tolist() == [-((k + 1.5) - (k - 1) / 2) for k in (5, 7, 9)]
    search = GridSearchCV(DummyRegressor(strategy="constant"), {"constant": [0.0, 9.0]}, cv=splitter).fit(X, y)
    assert search.best_params_ == {"constant": 9.0}


def test_forecasters_are_cross_validated_on_a_panel():
    y = pd.concat({"a": pd.Series(np.arange(20.0), DAYS), "b": pd.Series(np.arange(10.0) ** 2, DAYS[10:])})
    scores = cross_val_score(Naive(), y, cv=TimeSplit(2, 2))
    by_hand = [Naive().fit(y.iloc[train]).score(y.iloc[test]) for train, test in TimeSplit(2, 2).split(y)]
    assert scores.tolist() == by_hand
    alone = cross_val_score(Naive(), pd.DataFrame(index=y.index), y, cv=TimeSplit(2, 2))
    assert alone.tolist() == by_hand
