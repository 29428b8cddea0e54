"""States to bytes and back."""

import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ssmts.core.gaussian import Streams, filter, state_from_bytes, state_to_bytes
from ssmts.core.types import State
from ssmts.exceptions import InputError, PersistError

from .test_stream import season


def state_after(n, seed=0):
    return filter(season(12), np.random.default_rng(seed).normal(size=(n, 1))).state


@given(n=st.integers(1, 30), seed=st.integers(0, 99))
@settings(max_examples=25, deadline=None)
def test_comes_back_to_the_last_bit(n, seed):
    state = state_after(n, seed)
    written = state_to_bytes(state)
    assert len(written) < 2000
    for got, want in zip(state_from_bytes(written), state):
        np.testing.assert_array_equal(got, want)
    assert state_to_bytes(state_from_bytes(written)) == written


@pytest.mark.parametrize("n_times", [3, 20])
def test_many_streams_at_once(n_times):
    streams = Streams(season(12), 7)
    for rows in np.random.default_rng(0).normal(size=(n_times, 7)):
        rows[3] = np.nan
        streams.step(rows)
    states = streams.states
    for got, want in zip(state_from_bytes(state_to_bytes(states)), states):
        np.testing.assert_array_equal(got, want)


def test_the_format_is_what_the_module_says():
    state = State(np.array([1.0, 2.0]), np.array([[3.0, 4.0], [4.0, 5.0]]), np.zeros((2, 2)), 0)
    body = struct.pack("<8sHHIQi5d", b"ssmtsST\n", 1, 0, 2, 1, 0, 1.0, 2.0, 3.0, 4.0, 5.0)
    assert state_to_bytes(state) == body + struct.pack("<I", zlib.crc32(body))


def test_anything_else_is_refused_in_words():
    written = state_to_bytes(state_after(20))
    for cut in range(1, len(written), 37):
        with pytest.raises(PersistError, match="truncated"):
            state_from_bytes(written[:cut])
    for place in range(len(written) - 900, len(written), 101):
        with pytest.raises(PersistError, match="damaged"):
            state_from_bytes(written[:place] + bytes([written[place] ^ 1]) + written[place + 1 :])
    newer = written[:8] + struct.pack("<H", 2) + written[10:]
    for data, words in (
        (b"", "no state"),
        (b"PK\x03\x04", "no state"),
        (newer, "upgrade"),
        (written + b"x", "other data"),
    ):
        with pytest.raises(PersistError, match=words):
            state_from_bytes(data)


def test_what_is_no_state_is_not_written():
    with pytest.raises(InputError, match="not symmetric"):
        state_to_bytes(State(np.ones(2), np.array([[1.0, 0.5], [0.0, 1.0]]), np.zeros((2, 2)), 0))
    with pytest.raises(InputError, match="shape"):
        state_to_bytes(State(np.ones(3), np.eye(2), np.zeros((2, 2)), 0))
