"""Late readings: any shuffle within the horizon is the sorted stream; the rest is counted, and clocks may be set back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssmts.stream import Part, Reading
from ssmts.stream.order import Reorder

SECOND = 10**9


def readings(times):
    return [Reading(i, time, [float(i)]) for i, time in enumerate(times)]


def ordered(items, horizon, cuts=(), again=False):
    """Times handed out, in blocks, and the order itself; with `again`, restored from its state at every cut."""
    order, out = Reorder(horizon * SECOND, lambda kind, text: None), []
    for a, b in zip([0, *sorted(cuts)], [*sorted(cuts), len(items)]):
        out += order.take(items[a:b])
        if again:
            state, order = order.state(), Reorder(horizon * SECOND, lambda kind, text: None)
            order.go_on(state)
    out += order.rest()
    return [item for _, _, item in out], order


DELAYED = st.lists(st.tuples(st.integers(0, 300), st.integers(0, 60)), min_size=1, max_size=80)


@given(DELAYED, st.lists(st.integers(0, 80), max_size=4), st.booleans())
def test_a_stream_shuffled_within_the_horizon_comes_out_sorted(sent, cuts, again):
    """Each reading has a time and a delay; arrival is by their sum, so that none is later than the largest delay."""
    arrival = sorted(range(len(sent)), key=lambda i: (sent[i][0] + sent[i][1], i))
    items = readings([sent[i][0] for i in arrival])
    out, order = ordered(items, 60, [c for c in cuts if c <= len(items)], again)
    assert order.late == order.resets == 0
    assert out == sorted(items, key=lambda item: (item.time, item.line))


@given(
    st.lists(st.integers(0, 400), max_size=120),
    st.integers(0, 50),
    st.lists(st.integers(0, 120), max_size=4),
    st.booleans(),
)
def test_blocks_and_checkpoints_change_nothing_and_nothing_vanishes(times, horizon, cuts, again):
    items = readings(times)
    whole, order = ordered(items, horizon)
    pieces, other = ordered(items, horizon, [c for c in cuts if c <= len(items)], again)
    assert pieces == whole
    assert (other.late, other.resets) == (order.late, order.resets)
    assert len(whole) + order.late == len(items)


def test_later_than_the_horizon_is_left_out_and_told():
    told = []
    order = Reorder(10 * SECOND, lambda kind, text: told.append((kind, text)))
    out = order.take(readings([100, 120, 105, 121])) + order.rest()
    assert [item.time for _, _, item in out] == [100, 120, 121]
    assert order.late == 1
    assert told == [("late", "the reading of 105 came 15 s after later ones, and is left out")]


def test_a_clock_set_back_is_believed_after_twenty_readings_and_none_is_lost():
    told = []
    order = Reorder(0, lambda kind, text: told.append((kind, text)))
    times = [*range(1000, 1030), *range(500, 550)]
    out = order.take(readings(times)) + order.rest()
    assert [item.time for _, _, item in out] == times
    assert (order.late, order.resets) == (0, 1)
    assert told == [("clock", "the clock went back by 510 s, to 500")]


def test_one_wrong_stamp_in_the_future_stops_nothing():
    order = Reorder(5 * SECOND, lambda kind, text: None)
    times = [*range(10), 10**9, *range(10, 60)]
    out = order.take(readings(times)) + order.rest()
    assert sorted(item.time for _, _, item in out) == sorted(times)
    assert (order.late, order.resets) == (0, 1)


def test_times_that_are_none_are_told_and_counted():
    told = []
    order = Reorder(0, lambda kind, text: told.append(text))
    order.take([Reading(7, "soon", [1.0]), Part("a/b", None, [("x", 1.0)])])
    assert order.unreadable == 2
    assert told == ["line 7: the time 'soon' is neither ISO 8601 nor a number", "a/b: there is no time"]


@pytest.mark.parametrize("part", [False, True])
def test_held_readings_survive_a_checkpoint_exactly(part):
    values = [("é", 0.1), ("b", float("nan"))] if part else [0.1, float("nan")]
    item = (Part if part else Reading)("topic/3", "2024-01-01T00:00:00.25", values)
    order = Reorder(SECOND, print)
    order.take([item])
    other = Reorder(SECOND, print)
    other.go_on(order.state())
    ((_, _, found),) = other.rest()
    assert type(found) is type(item)
    assert repr(found) == repr(item)


def test_a_large_horizon_costs_little_a_reading():
    """Ten thousand readings held, in blocks of one, take as many steps as in one block."""
    times = np.random.default_rng(0).permutation(10_000).tolist()
    whole, _ = ordered(readings(times), 10_000)
    ones, _ = ordered(readings(times), 10_000, range(10_000))
    assert ones == whole
