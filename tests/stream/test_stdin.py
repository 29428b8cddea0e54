"""Input that a signal ends between two readings."""

import os
import signal
import threading

import pytest

from ssmts.stream import SignalledInput


@pytest.fixture
def pipe():
    out, into = os.pipe()
    yield out, into
    for end in (out, into):
        try:
            os.close(end)
        except OSError:
            assert end == into  # closed by the test


def test_bytes_come_as_they_arrive_and_end(pipe):
    out, into = pipe
    with SignalledInput(out) as read:
        os.write(into, b"one")
        assert read() == b"one"
        os.write(into, b"two")
        os.close(into)
        assert read() == b"two"
        assert read() == b""
    assert read.signal is None


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_wait(pipe, number):
    before = signal.getsignal(number)
    with SignalledInput(pipe[0]) as read:
        timer = threading.Timer(0.05, os.kill, (os.getpid(), number))
        timer.start()
        assert read() is None
        assert read() is None
        timer.join()
        assert signal.getsignal(number) is before  # a second one is not caught
    assert read.signal is number
    assert signal.getsignal(number) is before


def test_a_signal_while_working_ends_the_next_wait(pipe):
    with SignalledInput(pipe[0]) as read:
        os.write(pipe[1], b"one")
        assert read() == b"one"
        os.kill(os.getpid(), signal.SIGTERM)
        os.write(pipe[1], b"two")
        assert read() is None
    assert read.signal is signal.SIGTERM


def test_an_ignored_signal_stays_ignored(pipe):
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with SignalledInput(pipe[0]):
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
