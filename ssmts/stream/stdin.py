"""Reading a file descriptor, such as standard input, as bytes arrive."""

from __future__ import annotations

import os
import select
import stat
from typing import Any

from ..exceptions import InputError
from .bell import Bell
from .sources.lines import CHUNK, Mark

__all__ = ["SignalledInput"]


class SignalledInput(Bell):
    """Bytes of a file descriptor as they arrive, until its end or until SIGINT or SIGTERM.

    A context manager of the main thread. Inside it the first such signal ends the reading: what was read is still worked
    on, the next call returns None. A second one is treated as before the context.

    Parameters
    ----------
    fd : int
        File descriptor open for reading.
    patience : float, optional
        Seconds without a byte after which a call returns ``Mark.IDLE``; it waits for ever unless given.

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

    def __init__(self, fd: int, patience: float | None = None) -> None:
        super().__init__()
        self.fd = fd
        self.patience = patience
        self._read = 0

    def __call__(self) -> bytes | Mark | None:
        """Bytes that have arrived, waiting for at least one; ``b""`` at the end, None after a signal."""
        waiting, _, _ = select.select([self.fd, self._pipe[0]], [], [], self.patience)
        if self._pipe[0] in waiting:
            return None
        if not waiting:
            return Mark.IDLE
        data = os.read(self.fd, CHUNK)
        self._read += len(data)
        return data

    def position(self, unread: int = 0) -> dict[str, Any]:
        """Where the last `unread` of the bytes given out begin."""
        return {"offset": self._read - unread}

    def go_on(self, position: dict[str, Any], again: bool = False) -> None:
        """Go on at a position: by seeking in a file; in a pipe, by skipping what comes `again`, else with what comes next.

        Raises
        ------
        InputError
            The file, or what comes again, is shorter.
        """
        offset = int(position["offset"])
        if stat.S_ISREG(os.fstat(self.fd).st_mode):
            if os.fstat(self.fd).st_size < offset:
                raise InputError(
                    f"Standard input is a file of {os.fstat(self.fd).st_size} bytes, but the checkpoint has read {offset} of it. Pass the "
                    "same file, or remove the checkpoint to begin anew."
                )
            os.lseek(self.fd, offset, os.SEEK_SET)
        elif again:
            left = offset
            while left and (data := os.read(self.fd, min(CHUNK, left))):
                left -= len(data)
            if left:
                raise InputError(
                    f"Standard input ended after {offset - left} bytes, but the checkpoint has read {offset}. Pass the stream from its "
                    "beginning, or leave out --again."
                )
        self._read = offset
