"""Readings from lines of text, whoever brings the bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import Enum
from typing import Any

from .. import formats
from ..readings import Item
from .parsed import ParsedSource

__all__ = ["CHUNK", "LineSource", "Mark"]

CHUNK = 1 << 16  # bytes; about a thousand readings are answered at once when they wait


class Mark(Enum):
    """What a reader of bytes returns besides bytes."""

    IDLE = "nothing has come for a while"
    CUT = "the unfinished last line will not be finished"


Read = Callable[[], bytes | Mark | None]


class LineSource(ParsedSource):
    r"""Readings from lines of text, in blocks of the lines that have arrived.

    A CSV stream begins with a header line; fields are separated by the comma, semicolon, tab or bar that the header
    holds most of, and a row is one line. An NDJSON stream has an object a line, with a field for every sensor; an absent
    field is a silent sensor, and fields that are no sensors are ignored. Missing values are empty, null, NaN, none or NA.
    Blank lines are skipped. Lines that cannot be read come out as `BadLine` and never end the stream. A long stream has one value
    a line and the name of its sensor, and comes out as `Part`, as does Influx line protocol.

    Parameters
    ----------
    read : callable
        Returns the bytes that have arrived, waiting for at least one; ``b""`` at the end of the stream, None when the
        stream is left before its end, which drops an unfinished last line, or a `Mark`.
    again : bool, default False
        Whether a pipe brings the whole stream again to a watch that goes on.
    **how
        As in `LineParser`.

    Attributes
    ----------
    sensors : tuple of str or None
        None until the first line has named them.
    lines, bad : int
        Lines read so far, header and blank ones included, and bad ones among them.

    Raises
    ------
    InputError
        While iterating: a CSV header without the columns asked for.

    Examples
    --------
    >>> import io
    >>> from ssmts.stream.sources import LineSource
    >>> text = io.BytesIO(b"time,flow\n08:00,1.5\n08:01,oops\n08:02,\n")
    >>> for block in LineSource(text.read):
    ...     for item in block:
    ...         print(item)
    Reading(line=2, time='08:00', values=[1.5])
    BadLine(line=3, reason="'oops' in the field 'flow' is no number")
    Reading(line=4, time='08:02', values=[nan])
    """

    acknowledges = hurry = False

    def __init__(
        self,
        read: Read,
        *,
        again: bool = False,
        **how: Any,
    ) -> None:
        super().__init__(**how)
        self._read: Any = read
        self._again = again
        self._rest = b""
        self._too_long = False

    def __iter__(self) -> Iterator[list[Item]]:
        for lines in self._arrived():
            items = self._parser.items(lines)
            if items or not lines:
                yield items

    def position(self) -> dict[str, Any]:
        """Where to go on after the last block; `read` must have a position, too."""
        return {"read": self._read.position(len(self._rest)), "parser": self._parser.state()}

    def go_on(self, position: dict[str, Any]) -> None:
        """Go on at a position."""
        self._read.go_on(position["read"], self._again)
        self._parser.restore(position["parser"])

    def close(self) -> None:
        """Let go of the file."""
        getattr(self._read, "close", lambda: None)()

    def done(self) -> None:
        """Nothing: bytes are not acknowledged."""

    def _arrived(self) -> Iterator[list[bytes | None]]:
        """Blocks of complete lines as they arrive, without their ends; None for a line that is too long to keep."""
        while chunk := self._read():
            if isinstance(chunk, Mark):
                if chunk is Mark.CUT:
                    self._rest, self._too_long = b"", False
                yield []
                continue
            lines: list[bytes | None] = [*(self._rest + chunk).split(b"\n")]
            self._rest = lines.pop() or b""
            if self._too_long and lines:
                lines[0], self._too_long = None, False
            if len(self._rest) > formats.LONGEST_LINE:
                self._rest, self._too_long = b"", True
            if lines:
                yield lines
        if chunk is not None and (self._rest or self._too_long):
            last: list[bytes | None] = [None if self._too_long else self._rest]
            self._rest = b""
            yield last
