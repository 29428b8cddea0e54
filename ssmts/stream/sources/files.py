"""Files, to their end or as they grow, through rotation and truncation."""

from __future__ import annotations

import glob
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..bell import Bell
from .lines import CHUNK, Mark

__all__ = ["FollowedFile"]

POLL = 0.1  # seconds between two looks at a file that has not grown
HEAD = 256  # bytes at its beginning by which a file is known


class FollowedFile:
    """Bytes of a file, and of those that take its place.

    A file that was renamed or removed is read to its end; then the new file of the name is read from its beginning. A file that
    has become shorter, or begins otherwise, was emptied and written anew: it is read from its beginning, and an unfinished line is dropped.

    Parameters
    ----------
    path : str or path-like
    bell : Bell
        Ends the reading.
    follow : bool, default True
        Whether to wait at the end for more.
    note : callable, optional
        Called with a text for what a reader should know: that a file was replaced, or is gone.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        bell: Bell,
        *,
        follow: bool = True,
        note: Callable[[str], None] | None = None,
    ) -> None:
        self.path = os.fspath(path)
        self._bell, self._follow, self._note = bell, follow, note or (lambda text: None)
        self._next: list[str] = []  # files to read after the present one, before that of the name
        self._fd = os.open(self.path, os.O_RDONLY)
        self._offset = 0
        self._ended = True  # with a whole line
        self._head = b""

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)

    def __call__(self) -> bytes | Mark | None:
        """Bytes that have come, ``b""`` at the end of a file that is not followed, None after a signal, or a `Mark`."""
        if self._bell.wait(seconds=0):
            return None
        if self._follow and self._emptied():
            self._note(f"{self.path} was emptied and is read from its beginning")
            os.lseek(self._fd, 0, os.SEEK_SET)
            self._offset, self._ended, self._head = 0, True, b""
            return Mark.CUT
        if data := self._more():
            return data
        if not self._follow:
            return b""
        if self._replaced():
            # What was written between the last look and the renaming; a reading after it would be lost.
            if data := self._more():
                return data
            cut = not self._ended
            return b"\n" if self._open_next() and cut else Mark.IDLE
        return None if self._bell.wait(seconds=POLL) else Mark.IDLE

    def position(self, unread: int = 0) -> dict[str, Any]:
        """Which file, and where in it the last `unread` of the bytes given out begin."""
        about = os.fstat(self._fd)
        head = os.pread(self._fd, min(HEAD, self._offset), 0)
        return {
            "offset": self._offset - unread,
            "device": about.st_dev,
            "inode": about.st_ino,
            "head": _digest(head),
            "head_size": len(head),
        }

    def go_on(self, position: dict[str, Any], again: bool = False) -> None:
        """Go on at a position, in the file of then, whatever it is called now."""
        if not position["offset"] and not position["head_size"]:
            return
        found = self._find(position)
        if found is None:
            self._note(
                f"{self.path} is not the file that the checkpoint has read {position['offset']} bytes of; what came after them is "
                "lost, and the file is read from its beginning"
            )
            return
        os.close(self._fd)
        self._fd = os.open(found, os.O_RDONLY)
        self._offset = os.lseek(self._fd, position["offset"], os.SEEK_SET)
        self._head = os.pread(self._fd, min(HEAD, self._offset), 0)
        self._next = _newer(self.path, found)

    def _more(self) -> bytes:
        data = os.read(self._fd, CHUNK)
        if data:
            if len(self._head) < HEAD and self._offset == len(self._head):
                self._head = (self._head + data)[:HEAD]
            self._offset += len(data)
            self._ended = data.endswith(b"\n")
        return data

    def _emptied(self) -> bool:
        if os.fstat(self._fd).st_size < self._offset:
            return True
        return bool(self._head) and os.pread(self._fd, len(self._head), 0) != self._head

    def _replaced(self) -> bool:
        if self._next:
            return True
        now, mine = _number(self.path), _number(self._fd)
        if now is None or now == mine:  # renamed, and the new one is still to come; or still the same
            return False
        called = next((each for each in _siblings(self.path) if _number(each) == mine), None)
        self._next = [] if called is None else _newer(self.path, called)  # there may have been several rotations
        return True

    def _open_next(self) -> bool:
        """Go over to the next file, unless it is gone again."""
        path = self._next.pop(0) if self._next else self.path
        try:
            descriptor = os.open(path, os.O_RDONLY)
        except FileNotFoundError:
            return False
        os.close(self._fd)
        self._fd = descriptor
        self._offset, self._ended, self._head = 0, True, b""
        return True

    def _find(self, position: dict[str, Any]) -> str | None:
        """The file of a position: by its number and beginning, else, as where it was copied, by its beginning alone."""
        alike = []
        for path in [self.path, *_siblings(self.path)]:
            try:
                with open(path, "rb") as file:
                    size, head = os.fstat(file.fileno()).st_size, _digest(file.read(position["head_size"]))
            except FileNotFoundError:
                continue
            if size < position["offset"] or head != position["head"]:
                continue
            if _number(path) == (position["device"], position["inode"]):
                return path
            alike.append(path)
        return alike[0] if alike else None


def _number(file: str | int) -> tuple[int, int] | None:
    """Device and number of a file; None if it is gone."""
    try:
        about = os.stat(file)
    except FileNotFoundError:
        return None
    return about.st_dev, about.st_ino


def _siblings(path: str) -> list[str]:
    """Files of the same name with an ending more, such as ``.1``, that are no folders and not packed."""
    packed = (".gz", ".bz2", ".xz", ".zst", ".tmp")
    return [
        each
        for each in sorted(glob.glob(glob.escape(path) + ".*"))
        if Path(each).is_file() and not each.endswith(packed)
    ]


def _newer(path: str, found: str) -> list[str]:
    """Files between a rotated one and that of the name: of ``name.3`` they are ``name.2`` and ``name.1``, then the name."""
    if found == path:
        return []
    number = found[len(path) + 1 :]
    between = [f"{path}.{i}" for i in range(int(number) - 1, 0, -1)] if number.isdigit() else []
    return [each for each in between if Path(each).is_file()] + [path]


def _digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()
