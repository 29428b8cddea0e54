"""Stamps without a frequency: to steps and back, and what is refused."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssmts import Naive
from ssmts._stampaxis import StampAxis, stamp_axis
from ssmts.exceptions import FrequencyError, InputTypeError, TimeIndexError
from ssmts.panel import read_new, read_training


@given(
    seconds=st.lists(st.integers(-(10**9), 10**9), min_size=1, max_size=8, unique=True),
    unit=st.sampled_from(["s", "ms", "us", "ns"]),
    zone=st.sampled_from([None, "UTC", "Europe/Berlin", "Asia/Kathmandu"]),
)
def test_date_times_come_back_as_they_went_in(seconds, unit, zone):
    index = pd.DatetimeIndex(np.array(sorted(seconds), dtype="M8[s]"), name="when").as_unit(unit)
    index = index if zone is None else index.tz_localize("UTC").tz_convert(zone)
    axis = stamp_axis([index])
    steps = axis.steps(index)
    pd.testing.assert_index_equal(axis.at(steps), index)
    np.testing.assert_allclose(axis.lengths(np.diff(steps)), np.diff(sorted(seconds)) / 86_400, rtol=1e-15)


def test_finer_stamps_are_told_where_they_can_be():
    axis = stamp_axis([pd.DatetimeIndex(["2024-01-01", "2024-01-02"]).as_unit("s")])
    half = pd.DatetimeIndex(["2024-01-01 00:00:00.5"])
    assert axis.at(axis.steps(half))[0] == half[0]
    with pytest.raises(TimeIndexError, match=r"finer than the us .* index\.round\('us'\)"):
        axis.steps(half.as_unit("ns") + pd.Timedelta(1))


def test_numbers():
    axis = stamp_axis([pd.Index([0, 7, 9], name="n")])
    pd.testing.assert_index_equal(axis.at(axis.steps(pd.Index([3, 5], name="n"))), pd.Index([3, 5], name="n"))
    assert axis.at(axis.steps(pd.Index([3.5])))[0] == 3.5
    assert stamp_axis([pd.Index([0, 1]), pd.Index([0.5])]).kind == "number"
    for bad, words in [(pd.Index([np.inf]), "infinite"), (pd.Index([np.nan, 1.0]), "missing")]:
        with pytest.raises(TimeIndexError, match=words):
            axis.steps(bad)
    with pytest.raises(InputTypeError):
        axis.steps(pd.Index(["a"]))


@pytest.mark.parametrize(
    "indexes",
    [
        [pd.Index([1, 2]), pd.DatetimeIndex(["2024"])],
        [pd.DatetimeIndex(["2024"]), pd.DatetimeIndex(["2024"], tz="UTC")],
        [pd.period_range("2024", periods=2, freq="M")],
    ],
)
def test_what_is_no_axis(indexes):
    with pytest.raises(TimeIndexError, match="date-times of one zone, or numbers"):
        stamp_axis(indexes)


def test_a_grid_is_kept_where_there_is_one():
    days = pd.Series(1.0, index=pd.date_range("2024", periods=5))
    assert read_training(days, irregular=True)[0].axis.regular
    assert isinstance(read_training(days, freq="irregular", irregular=True)[0].axis, StampAxis)
    odd = days.set_axis(
        pd.DatetimeIndex(["2024-01-01", "2024-01-03 07:00", "2024-01-03 08:01", "2024-01-09", "2024-02-01"])
    )
    form, panel = read_training(odd, irregular=True)
    assert not form.axis.regular
    assert len(panel.y[0]) == 5
    with pytest.raises(FrequencyError):
        read_training(odd)
    with pytest.raises(FrequencyError):
        read_training(odd, freq="D", irregular=True)
    new = read_new(form, odd[-1:].set_axis([pd.Timestamp("2024-02-01 12:00")]), None, panel.last)
    np.testing.assert_allclose(form.axis.lengths(new[0].steps - panel.last), [0.5])


def test_models_on_a_grid_refuse_numbers_that_are_not_whole():
    with pytest.raises(InputTypeError, match="float64"):
        Naive().fit(pd.Series([1.0, 2.0, 3.0], index=[0.0, 0.5, 1.7]))
