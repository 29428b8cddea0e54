"""Rows in any order within the lag give the filter over the rows in order."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ssmts.core.gaussian import FixedLag, filter
from ssmts.core.types import LinearGaussianSSM
from ssmts.exceptions import InputError, TimeIndexError

from ..cases import close
from ..test_continuous import irregular, matern
from .test_stream import season, standing


def shuffled(times, lag, rng):
    """An order in which every row comes while the newest is at most `lag` ahead of it."""
    due = times + rng.uniform(0, lag, len(times))
    return np.argsort(due, kind="stable")


@given(seed=st.integers(0, 10**6), lag=st.integers(0, 8))
@settings(max_examples=40, deadline=None)
def test_any_order_within_the_lag_is_the_filter(seed, lag):
    rng, ssm = np.random.default_rng(seed), season(4)
    y = rng.normal(size=(25, 1)).cumsum(axis=0)
    come = rng.random(25) < 0.8  # the others never do
    come[-1] = True
    want = filter(ssm, np.where(come[:, None], y, np.nan)).state
    buffer = FixedLag(ssm, lag)
    for t in shuffled(np.arange(25), lag, rng):
        if come[t]:
            buffer.add(t, y[t])
        assert len(buffer) <= lag + 1
    assert buffer.time == 24
    for got, expected in zip(buffer.state, want):
        close(got, expected)


@given(seed=st.integers(0, 10**6), lag=st.floats(0, 2))
@settings(max_examples=30, deadline=None)
def test_any_order_in_continuous_time(seed, lag):
    rng, ssm = np.random.default_rng(seed), matern()
    times, y = irregular()
    want = filter(ssm.discretise(np.diff(times, append=times[-1])), y[:, None]).state
    buffer = FixedLag(ssm, lag, start=times[0])
    for t in shuffled(times, lag, rng):
        buffer.add(times[t], y[t])
    for got, expected in zip(buffer.state, want):
        close(got, expected)


def test_the_same_to_the_last_bit():
    rng, ssm = np.random.default_rng(1), season(6)
    y = rng.normal(size=(40, 1))
    late, ordered = FixedLag(ssm, 5), FixedLag(ssm, 5)
    for t in shuffled(np.arange(40), 5, rng):
        late.add(t, y[t])
    for t, row in enumerate(y):
        ordered.add(t, row)
    for got, want in zip(late.state, ordered.state):
        np.testing.assert_array_equal(got, want)


def test_parts_of_a_row_come_apart():
    ssm, y, _ = standing(5, 3)
    y = np.nan_to_num(y)
    buffer = FixedLag(ssm, 2)
    for t, row in enumerate(y):
        buffer.add(t, [row[0], np.nan, np.nan])
        if t:
            buffer.add(t - 1, [np.nan, *y[t - 1, 1:]])
    buffer.add(len(y) - 1, [np.nan, *y[-1, 1:]])
    for got, want in zip(buffer.state, filter(ssm, y).state):
        close(got, want)
    with pytest.raises(InputError, match="came twice"):
        buffer.add(len(y) - 1, y[-1])


def test_too_late_is_an_error_or_counted():
    strict, lenient = FixedLag(season(4), 2), FixedLag(season(4), 2, late="count")
    for buffer in (strict, lenient):
        for t in range(6):
            buffer.add(t, [1.0])
    before = strict.state
    with pytest.raises(TimeIndexError, match="too late: the newest has 5"):
        strict.add(2, [1.0])
    assert strict.state is before
    assert lenient.add(2, [1.0]) is None
    assert lenient.n_refused == 1


def test_what_is_not_kept_is_settled():
    buffer = FixedLag(matern(), 1e9, late="count", max_rows=3)
    for t in (0.0, 1.0, 2.0, 3.0):
        buffer.add(t, [1.0])
    assert len(buffer) == 3
    assert buffer.add(-1.0, [1.0]) is None
    assert buffer.add(0.5, [1.0]) is not None


def test_an_error_leaves_everything_as_it_was():
    buffer = FixedLag(season(4), 3)
    buffer.add(0, [1.0])
    before = buffer.state
    for time, y, words in ((1, [1.0, 2.0], "y_row"), (0.5, [1.0], "number of a row"), (1, [np.inf], "y_row")):
        with pytest.raises(InputError, match=words):
            buffer.add(time, y)
    assert buffer.state is before
    assert buffer.time == 0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"lag": -1}, "lag is"),
        ({"lag": 1.5}, "lag is"),
        ({"lag": 1, "late": "drop"}, "late is"),
        ({"lag": 1, "max_rows": 0}, "max_rows"),
        ({"lag": 1, "start": np.nan}, "start is"),
    ],
)
def test_arguments_are_checked(options, words):
    with pytest.raises(InputError, match=words):
        FixedLag(season(4), **options)


def test_inputs_are_refused():
    one = np.eye(1)
    with pytest.raises(InputError, match="has inputs"):
        FixedLag(LinearGaussianSSM(one, one, one, one, np.zeros(1), one, input_matrix=one), 2)
