"""Reading a file descriptor so that a signal ends it between two readings, and not within one."""

from __future__ import annotations

import os
import select
import signal
from types import FrameType, TracebackType
from typing import Any, Self

__all__ = ["SignalledInput"]

CHUNK = 1 << 16  # bytes; about a thousand readings are answered at once when they wait


class SignalledInput:
    """Bytes of a file descriptor as they arrive, until its end or until SIGINT or SIGTERM.

    A context manager of the main thread. Inside it the first such signal ends the reading: what was read is still worked
    on, the next call returns None. A second one is treated as before the context.

    Parameters
    ----------
    fd : int
        File descriptor open for reading.

    Attributes
    ----------
    signal : signal.Signals or None
        Which signal came.

    Examples
    --------
    >>> import os
    >>> from ssmts.stream.stdin import SignalledInput
    >>> out, into = os.pipe()
    >>> _ = os.write(into, b"hello"), os.close(into)
    >>> with SignalledInput(out) as read:
    ...     print(read(), read())
    b'hello' b''
    """

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.signal: signal.Signals | None = None
        self._before: dict[signal.Signals, Any] = {}
        self._bell = (-1, -1)

    def __enter__(self) -> Self:
        self._bell = os.pipe()
        for number in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup
                self._before[number] = signal.signal(number, self._stop)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._restore()
        for end in self._bell:
            os.close(end)

    def __call__(self) -> bytes | None:
        """Bytes that have arrived, waiting for at least one; ``b""`` at the end, None after a signal."""
        waiting, _, _ = select.select([self.fd, self._bell[0]], [], [])
        return None if self._bell[0] in waiting else os.read(self.fd, CHUNK)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self.signal = signal.Signals(number)
        self._restore()
        os.write(self._bell[1], b"!")

    def _restore(self) -> None:
        while self._before:
            signal.signal(*self._before.popitem())
