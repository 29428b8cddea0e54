"""The signals that end a watch between two readings, and not within one."""

from __future__ import annotations

import os
import select
import signal
from types import FrameType, TracebackType
from typing import Any, Self

__all__ = ["Bell"]


class Bell:
    """Rings on SIGINT or SIGTERM.

    A context manager of the main thread. Inside it the first such signal rings the bell; a second one is treated as before the
    context.

    Attributes
    ----------
    signal : signal.Signals or None
        Which signal came.
    """

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None
        self._before: dict[signal.Signals, Any] = {}
        self._pipe = (-1, -1)

    def __enter__(self) -> Self:
        self._pipe = os.pipe()
        for number in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup
                self._before[number] = signal.signal(number, self._stop)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._restore()
        for end in self._pipe:
            os.close(end)

    def wait(self, files: Any = (), seconds: float | None = None, writable: Any = ()) -> bool:
        """Wait until one of `files` can be read or of `writable` written, `seconds` are over, or it rings; True if it has rung."""
        waiting, _, _ = select.select([*files, self._pipe[0]], writable, [], seconds)
        return self._pipe[0] in waiting

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self.signal = signal.Signals(number)
        self._restore()
        os.write(self._pipe[1], b"!")

    def _restore(self) -> None:
        while self._before:
            signal.signal(*self._before.popitem())
