"""What sources of messages share: one message may carry many readings."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from ..formats import LONGEST_LINE, LineParser
from ..readings import Item

__all__ = ["MessageSource"]


class MessageSource:
    """Reads messages: lines of any format, or a JSON array of objects.

    Parameters
    ----------
    format, time, sensors, long, others, adopt
        As in `LineParser`.

    Attributes
    ----------
    sensors : tuple of str or None
    lines, bad : int
        As in `LineSource`.
    """

    acknowledges = True

    def __init__(
        self,
        *,
        format: str = "auto",
        time: str | None = None,
        sensors: Sequence[str] | None = None,
        long: tuple[str, str] | None = None,
        others: bool = False,
        adopt: bool = False,
    ) -> None:
        self._parser = LineParser(format, time=time, sensors=sensors, long=long, others=others, adopt=adopt)

    @property
    def sensors(self) -> tuple[str, ...] | None:
        """Names of the values of a `Reading`."""
        return self._parser.sensors

    @property
    def lines(self) -> int:
        """Lines read so far."""
        return self._parser.lines

    @property
    def bad(self) -> int:
        """Bad ones among them."""
        return self._parser.bad

    def appeared(self) -> list[str]:
        """Fields that were seen for the first time since the last call and are no sensors."""
        return self._parser.appeared()

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
