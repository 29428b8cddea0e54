"""Late readings: brought back into the order of their times within a horizon."""

from __future__ import annotations

import heapq
import json
from collections.abc import Callable, Iterable
from typing import Any

from .clock import nanoseconds
from .formats._values import shown
from .readings import Part, Reading, place

__all__ = ["Reorder", "Timed"]

Timed = tuple[int, int, Any]  # nanoseconds, number of arrival, reading
BELIEVED = 20  # readings one after the other that are too late, after which the clock has been set back


class Reorder:
    """Hands readings out in the order of their times, each once none that is earlier can come.

    What is more than `horizon` behind the latest time seen is too late and left out; equal times keep the order of arrival. Twenty
    such readings in a row mean that the clock was set back, or that the stamps before were wrong: what is held is handed out, and
    time begins anew with those twenty, none of which is lost.

    Parameters
    ----------
    horizon : int
        Nanoseconds.
    note : callable
        Called with a kind and a text for each reading left out and each clock set back.

    Attributes
    ----------
    late, resets, unreadable : int
        Numbers of readings left out because they came too late, of clocks set back, and of readings without a time that can be read.
    mark : int or None
        No reading before this time will be handed out any more.

    Examples
    --------
    >>> from ssmts.stream.readings import Reading
    >>> order = Reorder(10_000_000_000, print)
    >>> [each[0] // 10**9 for each in order.take(Reading(i, time, []) for i, time in enumerate([100, 97, 108, 103, 120]))]
    [97, 100, 103, 108]
    >>> order.take([Reading(5, 105, [])])  # may be followed by others, and so is not judged yet
    []
    """

    def __init__(self, horizon: int, note: Callable[[str, str], None]) -> None:
        self.horizon = horizon
        self.late = self.resets = self.unreadable = 0
        self.mark: int | None = None
        self._note = note
        self._held: list[Timed] = []
        self._doubtful: list[Timed] = []
        self._arrived = 0

    def take(self, items: Iterable[Reading | Part]) -> list[Timed]:
        """Readings whose turn has come, now that these have arrived."""
        out: list[Timed] = []
        held, push, pop = self._held, heapq.heappush, heapq.heappop
        for item in items:
            try:
                time = nanoseconds(item.time)
            except (ValueError, OverflowError):
                self._refuse(item)
                continue
            self._arrived += 1
            if self.mark is not None and time < self.mark:
                self._doubtful.append((time, self._arrived, item))
                if len(self._doubtful) == BELIEVED:
                    out += self._set_back()
                continue
            if self._doubtful:
                self._leave_out()
            push(held, (time, self._arrived, item))
            if self.mark is None or time - self.horizon > self.mark:
                self.mark = time - self.horizon
                while held and held[0][0] <= self.mark:
                    out.append(pop(held))
        while held and self.mark is not None and held[0][0] <= self.mark:  # those exactly at the mark
            out.append(pop(held))
        return out

    def rest(self) -> list[Timed]:
        """All that is held, at the end of the stream."""
        if self._doubtful:
            self._leave_out()
        out = sorted(self._held)
        self._held.clear()
        return out

    def state(self) -> dict[str, Any]:
        """What `go_on` needs."""
        held = [
            [time, number, type(item) is Part, *item] for time, number, item in [*sorted(self._held), *self._doubtful]
        ]
        return {
            "late": self.late,
            "resets": self.resets,
            "unreadable": self.unreadable,
            "arrived": self._arrived,
            "mark": self.mark,
            "doubtful": len(self._doubtful),
            "held": json.dumps(held),
        }

    def go_on(self, state: dict[str, Any]) -> None:
        """Go on where another stopped."""
        self.late, self.resets, self.unreadable = state["late"], state["resets"], state["unreadable"]
        self._arrived, self.mark = state["arrived"], state["mark"]
        items = [
            (
                time,
                number,
                Part(line, stamp, [(name, value) for name, value in values]) if part else Reading(line, stamp, values),
            )
            for time, number, part, line, stamp, values in json.loads(state["held"])
        ]
        cut = len(items) - state["doubtful"]
        self._held, self._doubtful = items[:cut], items[cut:]

    def _refuse(self, item: Reading | Part) -> None:
        self.unreadable += 1
        what = f"the time {shown(item.time)} is neither ISO 8601 nor a number"
        self._note("bad", f"{place(item.line)}: {'there is no time' if item.time is None else what}")

    def _leave_out(self) -> None:
        for time, _, item in self._doubtful:
            assert self.mark is not None
            behind = (self.mark + self.horizon - time) / 1e9
            self._note("late", f"the reading of {shown(item.time)} came {behind:g} s after later ones, and is left out")
        self.late += len(self._doubtful)
        self._doubtful.clear()

    def _set_back(self) -> list[Timed]:
        out, again = sorted(self._held), self._doubtful
        newest = max(time for time, _, _ in again)
        assert self.mark is not None
        back = (self.mark + self.horizon - newest) / 1e9
        self._note("clock", f"the clock went back by {back:g} s, to {shown(again[0][2].time)}")
        self.resets += 1
        self.mark = newest - self.horizon
        self._held[:] = again
        heapq.heapify(self._held)
        self._doubtful = []
        return out
