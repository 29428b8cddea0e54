"""Checkpoints: all that a watch needs to go on where it was, written so that it is there as a whole or not at all."""

from __future__ import annotations

import glob
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .._files import place, replace
from ..exceptions import PersistError
from ..persist import pack, unpack

__all__ = ["Checkpoint"]

KIND = "checkpoint"
EVERY = 10.0  # seconds


class Checkpoint:
    """A file that is replaced every so often.

    Parameters
    ----------
    path : str or path-like
    seconds, rows : optional
        After which a new one is due; ten seconds unless one of them is given.
    about : dict, optional
        What the next watch has to be like: `read` refuses a checkpoint about something else.
    note : callable
        Called with a kind and a text if it cannot be written.

    Attributes
    ----------
    written, failed : int
        Numbers so far.
    last : float
        When the last one was written, `time.time`; NaN before.

    Examples
    --------
    >>> import os, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     keep = Checkpoint(os.path.join(folder, "watch.checkpoint"), rows=100)
    ...     keep.due(99), keep.due(1), keep.write({"offset": 4711}), keep.read()
    (False, True, True, {'offset': 4711})
    """

    def __init__(
        self,
        path: Any,
        *,
        seconds: float | None = None,
        rows: int | None = None,
        about: dict[str, Any] | None = None,
        note: Callable[[str, str], None] | None = None,
    ) -> None:
        self.path: Path = place(path)
        self._seconds = EVERY if seconds is None and rows is None else seconds
        self._rows = rows
        self._about = about
        self._note = note or (lambda kind, text: None)
        self.written = self.failed = 0
        self.last = float("nan")
        self._since_rows, self._since = 0, time.monotonic()

    def due(self, rows: int = 0) -> bool:
        """Whether it is time for a new one, now that `rows` more were answered."""
        self._since_rows += rows
        if self._rows is not None and self._since_rows >= self._rows:
            return True
        return self._seconds is not None and time.monotonic() - self._since >= self._seconds

    def write(self, content: Any) -> bool:
        """Write a new one; where that fails, say so, leave the old one, and return False."""
        self._since_rows, self._since = 0, time.monotonic()
        try:
            replace(self.path, pack(KIND, {"about": self._about, "content": content}))
        except OSError as error:
            self.failed += 1
            self._note("checkpoint", f"no checkpoint: {self.path}: {error.strerror or error}; the one before stays")
            return False
        self.written += 1
        self.last = time.time()
        return True

    def read(self) -> Any:
        """What the file holds, None if there is none.

        Raises
        ------
        PersistError
            It is truncated, damaged, foreign, of a newer version, or of another watch; the message says which.
        """
        self._sweep()
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return None
        try:
            found = unpack(KIND, content, str(self.path))
        except PersistError as error:
            raise PersistError(
                f"{error} Name another file with --checkpoint, or remove this one to begin anew."
            ) from error

        about = found["about"] or {}
        for name, wanted in (self._about or {}).items():
            if about.get(name) != wanted:
                raise PersistError(
                    f"{self.path} is the checkpoint of a watch with another {name}: {about.get(name)!r}, not {wanted!r}. Start it as "
                    "before, or name another file with --checkpoint."
                )
        return found["content"]

    def _sweep(self) -> None:
        """Remove what a process that was killed while writing left behind."""
        for leftover in self.path.parent.glob(f".{glob.escape(self.path.name)}.*.tmp"):
            leftover.unlink(missing_ok=True)
