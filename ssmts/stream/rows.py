"""Readings of sensors that come one by one: made rows by their times."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from .order import Timed
from .readings import Reading

__all__ = ["Align"]

MOST = 10_000  # sensors; a stream with more names has something else in that field


class Align:
    """Joins readings, in the order of their times, to rows with one value of each sensor.

    A row has the time of its first reading. Readings up to `tolerance` later join it, unless their sensor has a value in it
    already, which begins the next row: two values of a sensor at the same time are two rows. Nothing is resampled or filled in:
    a sensor without a reading in a row is NaN there.

    Parameters
    ----------
    tolerance : int
        Nanoseconds; 0 joins equal times only.
    sensors : sequence of str, optional
        Those known beforehand; others take the places after them, in the order in which they appear.
    closed : bool, default False
        Whether others are left out.
    note : callable, optional
        Called with a kind and a text.

    Examples
    --------
    >>> from ssmts.stream.readings import Part
    >>> align = Align(0)
    >>> parts = [Part(1, 0, [("flow", 1.5)]), Part(2, 0, [("heat", 20.0)]), Part(3, 1, [("heat", 21.0)])]
    >>> align.take([(part.time, part.line, part) for part in parts])
    [Reading(line=1, time=0, values=[1.5, 20.0])]
    >>> align.rest()
    [Reading(line=3, time=1, values=[nan, 21.0])]
    """

    def __init__(
        self,
        tolerance: int,
        sensors: Sequence[str] = (),
        *,
        closed: bool = False,
        note: Callable[[str, str], None] | None = None,
    ) -> None:
        self.tolerance, self.closed = tolerance, closed
        self._columns: dict[str, int] = {name: i for i, name in enumerate(sensors)}
        self._note = note or (lambda kind, text: None)
        self._open: tuple[int, Any, Any, dict[int, float]] | None = None  # nanoseconds, line, time, values

    @property
    def sensors(self) -> tuple[str, ...]:
        """Names of the values of a row; later rows may have more."""
        return tuple(self._columns)

    def know(self, names: Sequence[str]) -> None:
        """Sensors that whole readings have."""
        for name in names[len(self._columns) :]:
            self._columns[name] = len(self._columns)

    def take(self, timed: Iterable[Timed], mark: int | None = None) -> list[Reading]:
        """Rows that are complete, now that these readings have come and none before `mark` will."""
        out: list[Reading] = []
        for time, _, item in timed:
            values = self._values(item)
            if self._open is not None:
                start, _, _, row = self._open
                if start <= time <= start + self.tolerance and row.keys().isdisjoint(values):
                    row.update(values)
                    continue
                out.append(self._row())
            if values or type(item) is Reading:
                self._open = time, item.line, item.time, values
        if self._open is not None and mark is not None and self._open[0] + self.tolerance < mark:
            out.append(self._row())
        return out

    def rest(self) -> list[Reading]:
        """The last row, at the end of the stream."""
        return [] if self._open is None else [self._row()]

    def state(self) -> dict[str, Any]:
        """What `go_on` needs."""
        return {"sensors": list(self._columns), "open": self._open}

    def go_on(self, state: dict[str, Any]) -> None:
        """Go on where another stopped."""
        self._columns = {name: i for i, name in enumerate(state["sensors"])}
        self._open = state["open"]

    def _values(self, item: Any) -> dict[int, float]:
        """Values by the number of the sensor."""
        if type(item) is Reading:  # a row already, of the first sensors
            return {i: value for i, value in enumerate(item.values) if not math.isnan(value)}
        values: dict[int, float] = {}
        for name, value in item.values:
            column = self._columns.get(name)
            if column is None:
                column = self._new(name)
                if column is None:
                    continue
            values[column] = value
        return values

    def _new(self, name: str) -> int | None:
        if self.closed or len(self._columns) >= MOST:
            if not self.closed:
                self._note("sensors", f"the sensor {name!r} is left out: there are {MOST} others")
            return None
        self._columns[name] = len(self._columns)
        return self._columns[name]

    def _row(self) -> Reading:
        assert self._open is not None
        _, line, time, row = self._open
        self._open = None
        values = [math.nan] * len(self._columns)
        for column, value in row.items():
            values[column] = value
        return Reading(line, time, values)
