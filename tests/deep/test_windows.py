"""Windows against loops over rows."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ssmts.deep.windows import Windows
from ssmts.exceptions import InputError


def slow(y, context, horizon, row):
    at = np.arange(row - context, row + horizon)
    return np.array([y[t] if 0 <= t < len(y) else np.full(y.shape[1], np.nan) for t in at]).T


@given(st.integers(0, 999), st.integers(1, 12), st.integers(1, 6), st.integers(1, 3), st.floats(0, 0.9))
def test_every_window_is_that_of_a_loop(seed, context, horizon, stride, missing):
    rng = np.random.default_rng(seed)
    y = [rng.normal(size=(n, 2)).astype(np.float32) for n in rng.integers(1, 20, size=3)]
    for rows in y:
        rows[rng.random(rows.shape) < missing] = np.nan
    X = [rng.normal(size=(len(rows), 3)).astype(np.float32) for rows in y]
    windows = Windows(y, X, context, horizon, stride=stride)
    expected = []
    for i, rows in enumerate(y):
        for row in sorted(range(len(rows) - horizon, 0, -stride)):
            both = slow(rows, context, horizon, row)
            if not np.isnan(both[:, :context]).all() and not np.isnan(both[:, context:]).all():
                expected.append((i, row, both))
    assert len(windows) == len(expected)
    if expected:
        order = rng.permutation(len(expected))
        batch = windows.batch(order)
        for place, k in enumerate(order):
            i, row, both = expected[k]
            assert batch.series[place] == i
            np.testing.assert_array_equal(batch.context[place], both[:, :context])
            np.testing.assert_array_equal(batch.target[place], both[:, context:])
            np.testing.assert_array_equal(batch.covariates[place], np.nan_to_num(slow(X[i], context, horizon, row)))


def test_ranges_and_rows_beyond_the_end():
    y = [np.arange(10.0)[:, None], np.arange(4.0)[:, None]]
    windows = Windows(y, None, 3, 4, first=[8, 5], last=[9, 3])
    assert windows.rows.tolist() == [8, 9]
    batch = windows.batch([1])
    np.testing.assert_array_equal(batch.target[0, 0], [9, np.nan, np.nan, np.nan])
    assert batch.covariates is None
    assert batch.context.dtype == torch.float32


def test_windows_do_not_copy_the_series():
    y = [np.zeros((50, 1))]
    windows = Windows(y, None, 5, 2)
    y[0][:] = 7
    assert (windows.batch([0]).context[..., -1] == 7).all()


def test_sizes_that_are_none_are_refused():
    with pytest.raises(InputError, match="received 0, 2, 3"):
        Windows([np.zeros((5, 1))], None, 3, 2, stride=0)
