"""Stamps on one clock."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssmts.stream.clock import nanoseconds, seconds_of


@given(st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1)))
def test_text_and_numbers_of_every_unit_name_the_same_time(stamp):
    wanted = round(stamp.replace(tzinfo=UTC).timestamp() * 1e6) * 1000
    assert nanoseconds(stamp.isoformat()) == wanted
    assert nanoseconds(stamp.isoformat(" ") + "+00:00") == wanted
    if stamp.year > 1980:  # a number's size tells its unit
        assert nanoseconds(wanted) == wanted
        assert nanoseconds(wanted // 1000) == wanted
        assert nanoseconds(wanted // 1_000_000) == wanted // 1_000_000 * 1_000_000
        assert nanoseconds(str(wanted // 10**9)) == wanted // 10**9 * 10**9


def test_offsets_days_and_fractions():
    assert nanoseconds("2024-01-01T01:00:00+01:00") == nanoseconds("2024-01-01T00:00:00Z") == 1_704_067_200 * 10**9
    assert nanoseconds("20240101") == nanoseconds("2024-01-01") == 1_704_067_200 * 10**9
    assert nanoseconds(1.5) == nanoseconds("1.5") == 1_500_000_000
    assert nanoseconds(-3) == -3 * 10**9


@pytest.mark.parametrize("time", [None, "", "08:00", "soon", "nan", "inf", float("nan"), 1e300, True, [1]])
def test_what_is_no_stamp_is_refused(time):
    with pytest.raises((ValueError, OverflowError)):
        nanoseconds(time)


def test_lengths_of_time():
    assert [seconds_of(text) for text in ("60s", "500ms", "2", "1.5min", "5m", "1h", "2d", "0s", "10us")] == [
        60.0, 0.5, 2.0, 90.0, 300.0, 3600.0, 172800.0, 0.0, 1e-5,
    ]  # fmt: skip
    for text in ("", "s", "-1s", "1 year", "nan", "inf", "60x"):
        with pytest.raises(ValueError):
            seconds_of(text)
