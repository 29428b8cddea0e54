"""Readings of sensors joined to rows by their times."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ssmts.stream import Arrange, Part, Reading
from ssmts.stream.rows import Align

SECOND = 10**9


def arranged(items, cuts=(), names=None, again=False, **options):
    arrange, rows = Arrange(lambda kind, text: None, **options), []
    for a, b in zip([0, *sorted(cuts)], [*sorted(cuts), len(items)]):
        rows += arrange.take(items[a:b], names)
        if again:
            state, arrange = arrange.state(), Arrange(lambda kind, text: None, **options)
            arrange.go_on(state)
    rows += arrange.rest()
    width = len(arrange.names(names) or ())
    return [(row.time, row.values + [math.nan] * (width - len(row.values))) for row in rows], arrange.names(names)


def parts(data):
    cells = [(t, f"s{j}", v) for t, row in enumerate(data) for j, v in enumerate(row) if v == v]
    return [Part(i, t, [(name, v)]) for i, (t, name, v) in enumerate(cells)]


@given(
    st.lists(st.lists(st.one_of(st.floats(-9, 9), st.just(math.nan)), min_size=3, max_size=3), min_size=1, max_size=20),
    st.randoms(),
    st.lists(st.integers(0, 60), max_size=4),
    st.booleans(),
)
def test_a_long_stream_in_any_order_within_the_horizon_gives_the_rows_of_the_table(data, random, cuts, again):
    items = parts(data)
    random.shuffle(items)
    names = ("s0", "s1", "s2")
    rows, found = arranged(items, [c for c in cuts if c <= len(items)], again=again, late=60 * SECOND, sensors=names)
    wanted = [(t, row) for t, row in enumerate(data) if any(v == v for v in row)]
    assert repr(rows) == repr(wanted)
    assert found == (names if items else None)


def test_sensors_take_their_places_as_they_appear():
    items = [Part(1, 0, [("a", 1.0)]), Part(2, 1, [("b", 2.0)]), Part(3, 1, [("a", 3.0)]), Part(4, 2, [("c", 4.0)])]
    rows, names = arranged(items)
    assert names == ("a", "b", "c")
    np.testing.assert_array_equal(
        [values for _, values in rows], [[1, np.nan, np.nan], [3, 2, np.nan], [np.nan, np.nan, 4]]
    )


def test_two_values_of_a_sensor_at_one_time_are_two_rows():
    items = [Part(i, 0, [(name, float(i))]) for i, name in enumerate("abab")]
    assert arranged(items)[0] == [(0, [0.0, 1.0]), (0, [2.0, 3.0])]


def test_times_within_the_tolerance_make_a_row_with_the_time_of_the_first():
    items = [
        Part(i, time, [(name, time)])
        for i, (time, name) in enumerate([(0.0, "a"), (0.4, "b"), (1.0, "a"), (1.6, "b"), (2.0, "a")])
    ]
    rows, _ = arranged(items, align=SECOND // 2)
    assert repr(rows) == repr([(0.0, [0.0, 0.4]), (1.0, [1.0, math.nan]), (1.6, [2.0, 1.6])])


def test_a_row_is_complete_once_a_later_time_has_come():
    arrange = Arrange(print)
    assert arrange.take([Part(1, 0, [("a", 1.0)]), Part(2, 0, [("b", 2.0)])], None) == []
    assert arrange.take([Part(3, 1, [("a", 1.5)])], None) == [Reading(1, 0, [1.0, 2.0])]
    late = Arrange(print, late=2 * SECOND)
    assert late.take([Part(1, 0, [("a", 1.0)]), Part(2, 1, [("a", 2.0)])], None) == []
    assert late.take([Part(3, 2, [("a", 3.0)])], None) == []  # time 0 could come for b
    assert [row.time for row in late.take([Part(4, 3, [("a", 4.0)])], None)] == [0]


def test_whole_readings_pass_as_they_come_unless_asked():
    items = [Reading(1, "b", [1.0, math.nan]), Reading(2, "a", [math.nan, 2.0])]
    assert Arrange(print).take(items, ("x", "y")) is items
    joined = [Reading(1, 0, [1.0, math.nan]), Reading(2, 0, [math.nan, 2.0]), Reading(3, 5, [math.nan, math.nan])]
    rows, names = arranged(joined, names=("x", "y"), align=0)
    assert repr(rows) == repr([(0, [1.0, 2.0]), (5, [math.nan, math.nan])])
    assert names == ("x", "y")


def test_a_closed_list_of_sensors_leaves_others_out_and_the_number_is_bounded(monkeypatch):
    items = [Part(1, 0, [("a", 1.0), ("b", 2.0)]), Part(2, 1, [("b", 2.0)])]
    assert arranged(items, sensors=["a"], closed=True)[0] == [(0, [1.0])]
    monkeypatch.setattr("ssmts.stream.rows.MOST", 2)
    told = []
    align = Align(0, note=lambda kind, text: told.append(text))
    rows = align.take([(i, i, Part(i, i, [(name, 1.0)])) for i, name in enumerate("abc")]) + align.rest()
    assert [len(row.values) for row in rows] == [2, 2]
    assert told == ["the sensor 'c' is left out: there are 2 others"]
