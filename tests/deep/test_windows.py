"""Windows against loops over rows."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ssmts.deep.examples import Order
from ssmts.deep.windows import Windows
from ssmts.exceptions import InputError


def slow(y, context, horizon, row):
    at = np.arange(row - context, row + horizon)
    return np.array([y[t] if 0 <= t < len(y) else np.full(y.shape[1], np.nan) for t in at]).T


def panel(rng, missing, columns=2):
    y = [rng.normal(size=(n, columns)).astype(np.float32) for n in rng.integers(1, 20, size=3)]
    for rows in y:
        rows[rng.random(rows.shape) < missing] = np.nan
    return y


@given(st.integers(0, 999), st.integers(1, 12), st.integers(1, 6), st.integers(1, 3), st.floats(0, 0.9), st.booleans())
def test_every_window_is_that_of_a_loop(seed, context, horizon, stride, missing, ranged):
    rng = np.random.default_rng(seed)
    y = panel(rng, missing)
    X = [rng.normal(size=(len(rows), 3)) for rows in y]
    first = rng.integers(0, 8, size=3).tolist() if ranged else None
    last = rng.integers(0, 25, size=3).tolist() if ranged else None
    windows = Windows(y, X, context, horizon, first=first, last=last, stride=stride)
    expected = []
    for i, rows in enumerate(y):
        least, greatest = (first[i], last[i]) if ranged else (1, len(rows) - horizon)
        for row in sorted(range(greatest, max(least, 1) - 1, -stride)):
            both = slow(rows, context, horizon, row)
            if not np.isnan(both[:, :context]).all() and not np.isnan(both[:, context:]).all():
                expected.append((i, row, both))
    assert len(windows) == len(expected)
    if expected:
        order = rng.permutation(len(expected))
        batch = windows.batch(order)
        assert batch.context.is_contiguous()
        assert batch.target.is_contiguous()
        for place, k in enumerate(order):
            i, row, both = expected[k]
            assert batch.series[place] == i
            np.testing.assert_array_equal(batch.context[place], both[:, :context])
            np.testing.assert_array_equal(batch.target[place], both[:, context:])
            known = np.nan_to_num(slow(X[i], context, horizon, row)).astype(np.float32)
            np.testing.assert_array_equal(batch.covariates[place], known)


def test_ranges_and_rows_beyond_the_end():
    y = [np.arange(10.0)[:, None], np.arange(4.0)[:, None]]
    windows = Windows(y, None, 3, 4, first=[8, 5], last=[9, 3])
    assert windows.rows.tolist() == [8, 9]
    batch = windows.batch([1])
    np.testing.assert_array_equal(batch.target[0, 0], [9, np.nan, np.nan, np.nan])
    assert batch.covariates is None
    assert batch.context.dtype == torch.float32
    assert Windows(y, None, 3, 4, first=2, last=2).rows.tolist() == [2, 2]


def test_windows_are_there_without_values_too():
    y = [np.arange(5.0)[:, None]]
    X = [np.arange(8.0)[:, None]]  # known further than the target
    batch = Windows(y, X, 2, 3).batch_at([0, 0], [5, 20])
    np.testing.assert_array_equal(batch.context[:, 0], [[3, 4], [np.nan, np.nan]])
    assert batch.target.isnan().all()
    np.testing.assert_array_equal(batch.covariates[:, 0], [[3, 4, 5, 6, 7], [0, 0, 0, 0, 0]])


def test_windows_do_not_copy_the_series():
    y = [np.zeros((50, 1))]
    windows = Windows(y, None, 5, 2)
    y[0][:] = 7
    assert (windows.batch([0]).context[..., -1] == 7).all()
    rows = np.arange(400.0).reshape(100, 4)[:, ::2]  # no memory of its own, every other column
    np.testing.assert_array_equal(Windows([rows], None, 2, 1).batch([5]).context[0], rows[4:6].T)


def test_fingerprints_tell_windows_apart():
    y, X = [np.arange(20.0)[:, None]], [np.arange(20.0)[:, None]]
    same = Windows(y, X, 3, 2).fingerprint()
    assert same == Windows([y[0].copy()], [X[0].copy()], 3, 2).fingerprint()
    changed = y[0] + np.where(np.arange(20) == 7, 1e-12, 0)[:, None]
    others = [
        Windows([changed], X, 3, 2),
        Windows(y, None, 3, 2),
        Windows(y, [-X[0]], 3, 2),
        Windows(y, X, 4, 2),
        Windows(y, X, 3, 2, stride=2),
        Windows(y, X, 3, 2, first=5),
        Windows([y[0].astype(np.float32)], X, 3, 2),
        Windows([y[0][:10], y[0][10:]], [X[0][:10], X[0][10:]], 3, 2),
    ]
    assert len({same, *(other.fingerprint() for other in others)}) == len(others) + 1


@pytest.mark.parametrize(
    ("message", "y", "X", "more"),
    [
        ("received 0, 2, 3", [np.zeros((5, 1))], None, {"stride": 0}),
        ("at least one series", [], None, {}),
        ("the same columns", [np.zeros((5, 1)), np.zeros((5, 2))], None, {}),
        ("the same columns", [np.zeros(5)], None, {}),
        ("X must have one array", [np.zeros((5, 1))], [], {}),
        ("first must be a row", [np.zeros((5, 1))], None, {"first": [1, 2]}),
        ("last must be a row", [np.zeros((5, 1))], None, {"last": 0.5}),
    ],
)
def test_what_does_not_fit_is_refused(message, y, X, more):
    with pytest.raises(InputError, match=message):
        Windows(y, X, 3, 2, **more)


# orders ---------------------------------------------------------------------------------------------------------


@given(st.integers(1, 40), st.integers(1, 60), st.integers(0, 99))
def test_no_window_comes_again_before_all_have_come(n, size, seed):
    windows = Windows([np.zeros((n + 1, 1))], None, 1, 1)
    order = Order(windows, size, "windows", seed)
    seen = np.concatenate([order.epoch(number) for number in range(5)])
    assert len(seen) == 5 * size
    for start in range(0, len(seen), n):
        stretch = seen[start : start + n]
        assert len(np.unique(stretch)) == len(stretch)
    np.testing.assert_array_equal(Order(windows, size, "windows", seed).epoch(3), seen[3 * size : 4 * size])


def test_series_are_visited_equally_often_and_all_their_windows_are():
    y = [np.zeros((n, 1)) for n in (101, 1, 3)]  # 100, 0 and 2 windows
    windows = Windows(y, None, 1, 1)
    windows.series, windows.rows = windows.series[::-1].copy(), windows.rows[::-1].copy()  # in any order
    order = Order(windows, 1000, "series", 0)
    seen = np.concatenate([order.epoch(number) for number in range(2)])
    assert np.bincount(windows.series[seen]).tolist() == [1000, 0, 1000]
    visits = np.bincount(seen, minlength=102)
    assert visits.min() > 0
    assert abs(visits[windows.series == 2] - 500).max() < 80  # 3.6 standard deviations
    np.testing.assert_array_equal(Order(windows, 1000, "series", 0).epoch(1), seen[1000:])
    assert not np.array_equal(Order(windows, 1000, "series", 1).epoch(1), seen[1000:])
    with pytest.raises(InputError, match="sampling must be"):
        Order(windows, 10, "rows", 0)
