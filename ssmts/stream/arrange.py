"""From items as they come to rows as a detector takes them: put in order, and joined by time, as far as asked or needed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .order import Reorder
from .readings import Part, Reading
from .rows import Align

__all__ = ["Arrange"]

Note = Callable[[str, str], None]


class Arrange:
    """Orders and joins readings.

    Whole readings go through as they come unless `late` or `align` is given. Parts of readings, of a stream with one value a
    line, need their times and are always ordered, by default with a horizon of 0, and joined where their times are equal.

    Parameters
    ----------
    note : callable
        Called with a kind and a text.
    late : int, optional
        Nanoseconds by which readings may come late.
    align : int, optional
        Nanoseconds by which the times of a row may differ.
    sensors : sequence of str
        Known beforehand.
    closed : bool, default False
        Whether other sensors are left out.

    Attributes
    ----------
    order : Reorder or None
    """

    def __init__(
        self,
        note: Note,
        *,
        late: int | None = None,
        align: int | None = None,
        sensors: Sequence[str] | None = None,
        closed: bool = False,
    ) -> None:
        self._note, self._tolerance, self._late = note, align or 0, late or 0
        self._sensors, self._closed = tuple(sensors or ()), closed
        self.order = None if late is None and align is None else Reorder(self._late, note)
        self._align = None if align is None else self._joining()

    def take(self, items: Sequence[Reading | Part], names: Sequence[str] | None) -> list[Reading]:
        """Rows that are complete; `names` are those of the values of whole readings."""
        if self._align is None and items and type(items[0]) is Part:
            self.order = self.order or Reorder(self._late, self._note)
            self._align = self._joining()
        if self.order is None:
            return items  # type: ignore[return-value]
        timed = self.order.take(items)
        if self._align is None:
            return [item for _, _, item in timed]
        self._align.know(names or ())
        return self._align.take(timed, self.order.mark)

    def rest(self) -> list[Reading]:
        """What is held, at the end of the stream."""
        if self.order is None:
            return []
        timed = self.order.rest()
        if self._align is None:
            return [item for _, _, item in timed]
        return self._align.take(timed) + self._align.rest()

    def names(self, names: Sequence[str] | None) -> Sequence[str] | None:
        """Names of the values of the rows, where those of whole readings are `names`."""
        return names if self._align is None else self._align.sensors

    def state(self) -> dict[str, Any]:
        """What `go_on` needs."""
        return {
            "order": None if self.order is None else self.order.state(),
            "align": None if self._align is None else self._align.state(),
        }

    def go_on(self, state: dict[str, Any]) -> None:
        """Go on where another stopped."""
        if state["order"] is not None:
            self.order = self.order or Reorder(self._late, self._note)
            self.order.go_on(state["order"])
        if state["align"] is not None:
            self._align = self._align or self._joining()
            self._align.go_on(state["align"])

    def _joining(self) -> Align:
        return Align(self._tolerance, self._sensors, closed=self._closed and bool(self._sensors), note=self._note)
