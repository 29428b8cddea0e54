"""Incidents of a watch: what its detector says of rows, told as incidents with the stamps of the stream."""

from __future__ import annotations

import json
import math
from bisect import bisect_left
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from .._containers import FloatArray
from ..base_detector import Explained
from ..detection.incidents import IncidentTracker
from ..detection.usual import Usual, learn
from .clock import nanoseconds
from .readings import Reading

__all__ = ["Incidents", "News", "incident_line", "learn_usual"]

KEPT = 1000  # rows whose stamps are known still
BEHIND = 20  # rows in a row by a clock that went back, after which it is believed
STAMPS = ("start", "detected", "last_seen", "end")


class News(NamedTuple):
    """Something that happened to an incident.

    Attributes
    ----------
    change : str
        "opened", "changed" or "closed".
    incident : dict
        Fields of `ssmts.detection.Incident`, with the stamps of the stream.
    key : str or None
        The same for the same news, should they be told twice; not written where it is None.
    """

    change: str
    incident: dict[str, Any]
    key: str | None = None


class Incidents:
    """Follows the incidents of one watch.

    Parameters
    ----------
    usual : Usual
        What is usual of the sensors.
    offset : float
        Logarithm of the alarm level.
    sensors : sequence of str
    clocked : bool
        Whether `usual` was learnt by a clock, so that the stamps of readings are read; else rows are counted.
    options : mapping
        Of `IncidentTracker`.
    """

    def __init__(
        self, usual: Usual, offset: float, sensors: Sequence[str], clocked: bool, options: Mapping[str, Any]
    ) -> None:
        self.clocked, self.usual = clocked, usual
        self._tracker = IncidentTracker(usual, offset, sensors=sensors, **options)
        self._now = -math.inf
        self._shift = 0.0
        self._behind = 0
        self._rows: deque[float] = deque(maxlen=KEPT)  # times by the clock of the incidents
        self._stamps: deque[Any] = deque(maxlen=KEPT)  # and as they came
        self._row = self._tracker._row
        self._open: dict[str, tuple[Any, dict[str, Any]]] = {}  # sensors, and stamps known at the opening, by id

    @property
    def open(self) -> int:
        """Number of incidents that have not ended."""
        return len(self._open)

    def take(
        self, told: Explained, values: FloatArray, readings: Sequence[Reading], culprits: Sequence[Any], keys: bool
    ) -> tuple[list[str | None] | None, list[tuple[int, News]]]:
        """Go on with rows.

        Parameters
        ----------
        told : Explained
        values : (n_rows, n_sensors)
        readings : sequence of Reading
        culprits : sequence
            The sensor that the answer to each row is about.
        keys : bool
            Whether news carry keys.

        Returns
        -------
        list or None
            The open incident that the culprit of each row takes part in; None where there are none.
        list of (row, News)
        """
        stamps = [reading.time for reading in readings]
        times = self._clock(stamps) if self.clocked else np.arange(self._row, self._row + len(stamps), dtype=np.float64)
        self._row += len(stamps)
        events = self._tracker.update(told, values, times)
        before = len(self._rows)
        rows = [*self._rows, *times.tolist()] if events else []
        all_stamps = [*self._stamps, *stamps] if events else []
        self._rows.extend(times.tolist())
        self._stamps.extend(stamps)
        if not events and not self._open:
            return None, []
        labels: list[str | None] = []
        news: list[tuple[int, News]] = []
        waiting = deque(zip(self._tracker.positions, events))
        for row, culprit in enumerate(culprits):
            while waiting and waiting[0][0] == row:
                change, incident = waiting.popleft()[1]
                now = before + row + 1
                first = max(now - KEPT, 0)  # however a stream is cut into blocks, the same stamps are known
                fields = self._stamped(change, incident, rows[first:now], all_stamps[first:now])
                key = f"{readings[row].line}/{incident.id}/{change}" if keys else None
                news.append((row, News(change, fields, key)))
            of_it = (name for name, (sensors, _) in self._open.items() if culprit in sensors)
            labels.append(next(of_it, None))
        return labels, news

    def silence(self, seconds: float, keys: bool) -> list[News]:
        """News of a stream from which nothing has come for `seconds` since its last row; their stamps are that row's."""
        if not self.clocked or not self._rows:
            return []
        rows, stamps = list(self._rows), list(self._stamps)
        events = self._tracker.tick(self._now + seconds)
        return [
            News(change, self._stamped(change, one, rows, stamps), f"silence/{one.id}/{change}" if keys else None)
            for change, one in events
        ]

    def state(self) -> dict[str, Any]:
        """What `go_on` needs."""
        return {
            "tracker": self._tracker.state_dict(),
            "clock": (self._now, self._shift, self._behind, self._row),
            "rows": np.array(self._rows),
            "stamps": json.dumps(list(self._stamps)),
            "open": [[name, list(sensors), stamps] for name, (sensors, stamps) in self._open.items()],
        }

    def go_on(self, state: dict[str, Any]) -> None:
        """Go on where another stopped."""
        self._tracker.load_state(state["tracker"])
        self._now, self._shift, self._behind, self._row = state["clock"]
        self._rows.extend(state["rows"].tolist())
        self._stamps.extend(json.loads(state["stamps"]))
        self._open = {name: (tuple(sensors), stamps) for name, sensors, stamps in state["open"]}

    def _stamped(self, change: str, incident: Any, rows: list[float], stamps: list[Any]) -> dict[str, Any]:
        """Fields of an incident with the stamps of the stream; keeps the book of those that are open."""
        fields: dict[str, Any] = incident.to_dict()
        _, known = self._open.get(incident.id, ((), {}))
        for name in STAMPS:
            time = fields[name]
            if time is not None:
                # The first row that is not before the time, the oldest one known for what is long ago.
                fields[name] = known.get(repr(time), stamps[min(bisect_left(rows, time), len(stamps) - 1)])
        if change == "closed":
            self._open.pop(incident.id, None)
        else:
            self._open[incident.id] = incident.sensors, {repr(getattr(incident, n)): fields[n] for n in STAMPS[:2]}
        return fields

    def _clock(self, stamps: Sequence[Any]) -> FloatArray:
        """Seconds by a clock that never goes back: it stands while stamps are behind, and follows them after twenty rows."""
        interval = self.usual.interval
        out = np.empty(len(stamps))
        for i, stamp in enumerate(stamps):
            try:
                time = nanoseconds(stamp) / 1e9 + self._shift
            except (ValueError, OverflowError):
                time = self._now + interval if self._now > -math.inf else 0.0
            if time >= self._now:
                self._now, self._behind = time, 0
            else:
                self._behind += 1
                if self._behind == BEHIND:
                    self._shift += self._now - time
                    self._behind = 0
            out[i] = self._now
        return out


def learn_usual(values: FloatArray, stamps: Sequence[Any] | None) -> tuple[Usual, bool]:
    """What is usual of sensors, by their stamps if these can be read and do not go back; and whether it is by them."""
    if stamps is not None:
        try:
            times = np.array([nanoseconds(stamp) for stamp in stamps], dtype=np.int64)
        except (ValueError, OverflowError):
            times = np.zeros(0, dtype=np.int64)
        if len(times) > 1 and (np.diff(times) >= 0).all() and times[-1] > times[0]:
            return learn(values, pd.DatetimeIndex(times.astype("datetime64[ns]"))), True
    return learn(values, None), False


def incident_line(news: News) -> str:
    """News as a JSON object in ASCII; null for what is not known."""
    change, incident, key = news
    fields = {"change": change, "incident": incident["id"]} | {n: _plain(v) for n, v in incident.items() if n != "id"}
    return json.dumps(fields if key is None else fields | {"key": key}, separators=(",", ":"))


def _plain(value: Any) -> Any:
    if type(value) is float:
        return value if math.isfinite(value) else None
    if isinstance(value, tuple | list):
        return [_plain(each) for each in value]
    return value if isinstance(value, str | int | bool) or value is None else str(value)
