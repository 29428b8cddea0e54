"""What sources share whose readings are lines of text: the parser, and what it counts."""

from __future__ import annotations

from typing import Any

from ..formats import LineParser

__all__ = ["ParsedSource"]


class ParsedSource:
    """A source with a `LineParser`, which takes the arguments."""

    def __init__(self, **how: Any) -> None:
        self._parser = LineParser(**how)

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
