"""What sources of messages share: one message may carry many readings."""

from __future__ import annotations

import json
from typing import Any

from ..formats import LONGEST_LINE
from ..readings import Item
from .parsed import ParsedSource

__all__ = ["MessageSource"]


class MessageSource(ParsedSource):
    """Reads messages: lines of any format, or a JSON array of objects.

    Parameters
    ----------
    **how
        As in `LineParser`.

    Attributes
    ----------
    sensors : tuple of str or None
    lines, bad : int
        As in `LineSource`.
    """

    acknowledges = True

    def _items(self, payload: bytes, place: str) -> list[Item]:
        """What a message says; its lines are known by the message's place and their number."""
        lines = _lines(payload.strip())
        if len(lines) == 1:
            places = [place]
        else:
            places = [f"{place}#{number}" for number in range(1, len(lines) + 1)]
        found = [self._parser.item(None if len(line) > LONGEST_LINE else line, at) for line, at in zip(lines, places)]
        return [item for item in found if item is not None]


def _lines(payload: bytes) -> list[bytes]:
    if payload.startswith(b"["):
        try:
            found: Any = json.loads(payload)
        except (ValueError, RecursionError):
            return [payload]
        if all(type(each) is dict for each in found):
            return [json.dumps(each).encode() for each in found]
        return [payload]
    return payload.split(b"\n")
