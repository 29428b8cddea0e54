"""The book of open incidents: which episodes of sensors belong together, and what is to be said of them."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from hashlib import blake2b
from typing import Any, NamedTuple

import numpy as np

from .._containers import FloatArray
from . import _episodes as scanning
from ._episodes import Rules
from .fault_kind import guess, is_return

__all__ = ["Book", "Event", "Incident"]

NAMED = 5  # contributors that an incident names
RANGE = 3.0  # standard deviations of the slow range on either side
MAJOR, CRITICAL = 1.5, 3.0  # times the alarm level, in logarithms, or the slow level
FAULT, NO_DATA = "fault", "dropout"


class Incident(NamedTuple):
    """One fault.

    Attributes
    ----------
    id : str
        Deduplication key: the same for the same sensor, kind of evidence and start, in a replay too.
    entity, sensor : str
        What the sensors belong to, and the one that is furthest from its slow range.
    sensors : tuple
        All that are part of it, in the order in which they joined.
    kind : str
        A guess: "spike", "level_shift", "drift", "variance_burst", "stuck", "dropout" or "unknown".
    status : str
        "alert", "recovering" (off no more, but not closed), "no-data" (silent), or "ok" (closed).
    severity : str
        "minor", "major" or "critical": by the logarithm of the p-value (below 1.5, 3 times that of the alarm level, beyond), or by the
        distance from the slow range.
    start, detected, last_seen, end : float
        First time of the event, time at which it was noticed, last time that was off, and that time again once it is over, else
        None. Seconds since 1970, or numbers of rows.
    score, p_value : float
        The least; NaN where no row was in alarm.
    observed, expected, lower, upper, deviation : float
        Of the sensor, where it was furthest from its slow range: three standard deviations about what is usual at that time.
    contributors : tuple of (sensor, share)
        The largest, by squared distance from their slow ranges; of a dropout or a stuck sensor those concerned, alike.
    n_readings : int
        From start to last_seen.
    model, checkpoint : str
        As they were handed to the tracker.
    """

    id: str
    entity: str
    sensor: Any
    sensors: tuple[Any, ...]
    kind: str
    status: str
    severity: str
    start: float
    detected: float
    last_seen: float
    end: float | None
    score: float
    p_value: float
    observed: float
    expected: float
    lower: float
    upper: float
    deviation: float
    contributors: tuple[tuple[Any, float], ...]
    n_readings: int
    model: str
    checkpoint: str

    def to_dict(self) -> dict[str, Any]:
        """Fields as plain values."""
        return self._asdict()


class Event(NamedTuple):
    """Something that happened to an incident: "opened", "changed" (kind, severity or sensors) or "closed"."""

    change: str
    incident: Incident


@dataclass
class _Open:
    """An open incident: its members by sensor, with the row of their episode once that is over."""

    id: str
    evidence: str
    start: float
    latest: float  # start of the member that joined last
    detected: float
    members: dict[int, FloatArray | None]
    silence: dict[int, tuple[float, float]]  # of sensors without data, first and last time of the silence
    strength: FloatArray  # largest squared distance of every sensor from its slow range
    told: tuple[Any, ...] = ()


class Book:
    """Open incidents of a tracker."""

    def __init__(
        self,
        sensors: tuple[Any, ...],
        entity: str,
        rules: Rules,
        limits: FloatArray,
        usual_gap: FloatArray,
        merge_sensors: bool,
    ) -> None:
        self.sensors, self.entity, self.rules, self.limits, self.usual_gap = sensors, entity, rules, limits, usual_gap
        self.merge_sensors = merge_sensors
        self.open: list[_Open] = []

    def note(self, happened: int, i: int, now: float, state: FloatArray, labels: tuple[str, str]) -> list[Event]:
        """Take something that happened to sensor i into the book."""
        evidence = NO_DATA if happened in (scanning.MISSING, scanning.COMPLETE) else FAULT
        if happened in (scanning.OPENED, scanning.MISSING):
            incident, change = self._opened(evidence, i, now, state)
        else:
            incident = next(each for each in reversed(self.open) if each.evidence == evidence and _takes_part(each, i))
            change = "changed"
            if happened == scanning.CLOSED:
                incident.members[i] = state[i].copy()
            elif happened == scanning.COMPLETE:
                incident.silence[i] = self._silent(incident, i, state)
                incident.members[i] = state[i].copy()
            if all(row is not None for row in incident.members.values()):
                self.open.remove(incident)
                change = "closed"
        _strengthen(incident.strength, state)
        told = self._describe(incident, now, state, labels, closed=change == "closed")
        news = (told.kind, told.severity, told.sensors)
        if change == "changed" and news == incident.told:
            return []
        incident.told = news
        return [Event(change, told)]

    def snapshots(self, now: float, state: FloatArray, labels: tuple[str, str]) -> list[Incident]:
        """All open incidents as they stand at the time of the last row."""
        return [self._describe(each, now, state, labels, closed=False) for each in self.open]

    def state(self) -> list[dict[str, Any]]:
        """The book as plain values and arrays."""
        return [
            {
                **asdict(each),
                "members": [[i, row] for i, row in each.members.items()],
                "silence": [[i, *span] for i, span in each.silence.items()],
                "told": [*each.told],
            }
            for each in self.open
        ]

    def load(self, state: list[dict[str, Any]]) -> None:
        """Take a book from `state`."""
        self.open = [
            _Open(
                **{
                    **each,
                    "members": {int(i): None if row is None else np.array(row) for i, row in each["members"]},
                    "silence": {int(i): (start, end) for i, start, end in each["silence"]},
                    "strength": np.array(each["strength"], dtype=np.float64),
                    "told": (*each["told"][:2], tuple(each["told"][2])),
                }
            )
            for each in state
        ]

    def _opened(self, evidence: str, i: int, now: float, state: FloatArray) -> tuple[_Open, str]:
        """Join an incident that began shortly before, or begin one."""
        start = float(state[i, scanning.START] if evidence == FAULT else state[i, scanning.SEEN] + self.usual_gap[i])
        span = (start, math.nan)
        for each in reversed(self.open):
            near = abs(start - each.latest) <= self.rules.gap
            if each.evidence == evidence and near and (self.merge_sensors or i in each.members):
                each.members[i], each.latest = None, max(start, each.latest)
                each.start = min(start, each.start)
                each.silence.update({i: span} if evidence == NO_DATA else {})
                return each, "changed"
        key = f"{self.entity}|{self.sensors[i]}|{evidence}|{start!r}"
        incident = _Open(
            blake2b(key.encode(), digest_size=8).hexdigest(),
            evidence,
            start,
            start,
            float(now),
            {i: None},
            {i: span} if evidence == NO_DATA else {},
            np.zeros(len(self.sensors)),
        )
        self.open.append(incident)
        return incident, "opened"

    def _describe(
        self, incident: _Open, now: float, state: FloatArray, labels: tuple[str, str], *, closed: bool
    ) -> Incident:
        if incident.evidence == NO_DATA:
            return self._silence(incident, now, state, labels, closed)
        rows = {i: state[i] if row is None else row for i, row in incident.members.items()}
        first = max(rows, key=lambda i: abs(rows[i][scanning.PEAK]))
        row = rows[first]
        names, kind = tuple(self.sensors[i] for i in rows), guess(row)
        score = float(min(each[scanning.LOG_P] for each in rows.values()))
        last = float(max(each[scanning.LAST] for each in rows.values()))
        alert = any(own is None and state[i, scanning.CLEARS] == 0 for i, own in incident.members.items())
        expected, reach = float(row[scanning.PEAK_EXPECTED]), RANGE * float(row[scanning.PEAK_SCALE])
        start = float(min(row[scanning.OFF_SINCE], incident.start)) if is_return(row) else incident.start
        strength = incident.strength.copy()
        for i, each in rows.items():
            strength[i] = max(strength[i], each[scanning.PEAK] ** 2)
        return Incident(
            id=incident.id,
            entity=self.entity,
            sensor=self.sensors[first],
            sensors=names,
            kind=kind,
            status="ok" if closed else "alert" if alert else "recovering",
            severity=self._severity(rows, score),
            start=start,
            detected=incident.detected,
            last_seen=last,
            end=last if closed else None,
            score=score if score < 0 else math.nan,
            p_value=math.exp(score) if score < 0 else math.nan,
            observed=float(row[scanning.PEAK_VALUE]),
            expected=expected,
            lower=expected - reach,
            upper=expected + reach,
            deviation=float(row[scanning.PEAK]),
            contributors=_alike(names) if kind == "stuck" else self._contributors(strength),
            n_readings=int(row[scanning.N_KEPT]),
            model=labels[0],
            checkpoint=labels[1],
        )

    def _silence(
        self, incident: _Open, now: float, state: FloatArray, labels: tuple[str, str], closed: bool
    ) -> Incident:
        nan = math.nan
        silent = [i for i in incident.members if state[i, scanning.SILENT] == 1]
        ends = [self._silent(incident, i, state)[1] for i in incident.silence]
        last = float(now if silent else max(ends))
        names = tuple(self.sensors[i] for i in incident.members)
        return Incident(
            id=incident.id,
            entity=self.entity,
            sensor=names[0],
            sensors=names,
            kind="dropout",
            status="ok" if closed else "no-data" if silent else "recovering",
            severity="major",
            start=incident.start,
            detected=incident.detected,
            last_seen=last,
            end=last if closed else None,
            score=nan,
            p_value=nan,
            observed=nan,
            expected=nan,
            lower=nan,
            upper=nan,
            deviation=nan,
            contributors=_alike(names),
            n_readings=0,
            model=labels[0],
            checkpoint=labels[1],
        )

    def _silent(self, incident: _Open, i: int, state: FloatArray) -> tuple[float, float]:
        """First and last time of a silence of sensor i."""
        start, end = incident.silence[i]
        return start, max(start, float(state[i, scanning.BACK_AT] - self.usual_gap[i])) if math.isnan(end) else end

    def _severity(self, rows: dict[int, FloatArray], score: float) -> str:
        times = score / self.rules.raise_at if self.rules.raise_at < 0 else 0.0
        for i, row in rows.items():
            level, unit = self.limits[i, 3:]
            if row[scanning.CAUSE] == scanning.SLOW:
                times = max(times, abs(row[scanning.MOVED]) / (level * unit))
            elif row[scanning.CAUSE] == scanning.STUCK:
                times = max(times, MAJOR)
        return "critical" if times >= CRITICAL else "major" if times >= MAJOR else "minor"

    def _contributors(self, strength: FloatArray) -> tuple[tuple[Any, float], ...]:
        order = np.argsort(-strength, kind="stable")[:NAMED]
        total = float(strength.sum())
        return tuple((self.sensors[i], float(strength[i] / total)) for i in order if strength[i] > 0)


def _alike(names: tuple[Any, ...]) -> tuple[tuple[Any, float], ...]:
    """Contributors where no distance tells them apart: sensors that are silent or stuck are to blame themselves."""
    return tuple((name, 1.0 / len(names)) for name in names[:NAMED])


def _takes_part(incident: _Open, i: int) -> bool:
    return i in incident.members and incident.members[i] is None


def _strengthen(strength: FloatArray, state: FloatArray) -> None:
    """Raise the strengths to the squared distances beyond one standard deviation of the readings that came last."""
    away = state[:, scanning.RESIDUAL] ** 2 / state[:, scanning.SCALE_VAR] - 1.0
    np.fmax(strength, np.fmax(away, 0.0), out=strength)
