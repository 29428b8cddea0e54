"""From scores to incidents: one alert for one fault, with what a person on duty asks.

The shape of it, for programs that watch::

    tracker = IncidentTracker.of(detector, merge_sensors=True, floor={"heat": 0.5})
    for rows, times in blocks:                              # times: seconds since 1970, stamps, or None: rows are counted
        told = detector.observe(rows)
        for change, incident in tracker.update(told, rows, times):   # change: "opened", "changed", "closed"
            print(change, incident.to_dict())               # plain values, fit for JSON
    state = tracker.state_dict()                            # plain values and arrays; constant size; load_state(state) goes on

The quiet path is one compiled pass over the readings; only what happens costs Python. However a stream is cut into blocks, the
incidents are the same.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
import pandas as pd

from .._containers import FloatArray
from .._sensor_rows import Explained
from ..exceptions import InputError
from . import _episodes as scanning
from ._episodes import FIELDS, Rules, scan
from ._incident_book import Book, Event, Incident
from .usual import Usual, clock

__all__ = ["Event", "Incident", "IncidentTracker", "find_incidents"]

NUMBERS = ("score", "p_value", "observed", "expected", "lower", "upper", "deviation")
FEWEST_EQUAL = 3  # equal readings are no wonder below three times as many as a sensor usually has in a row
LONGEST = 2.0  # times that the longest usual silence is exceeded when data are missing
_WIDE = math.inf


class IncidentTracker:
    """Turns the scores of rows into incidents.

    An episode of a sensor opens with `breaches` readings in a row for which it is to blame: its row is below the alarm level,
    and it has the largest share or is below the level by itself. It closes after `clears` readings in a row above a higher
    level, `gap` rows after the last that was off. A sensor is off, too, while it stays where a shift has put it; after
    `release` rows without another alarm what has lasted so long becomes the new normal. Besides, it is off while its short
    mean is outside the slow range, so that a drift too slow for the detector shows, and while it repeats a value. Silence is
    an incident of its own kind. Episodes of several sensors that begin within `gap` rows are one incident.

    Parameters
    ----------
    usual : Usual
        What is usual of the sensors; ``detector.usual_``.
    offset : float
        Logarithm of the alarm level; ``detector.offset_``.
    sensors : sequence of str, optional
        Names; numbers by default.
    clear_factor : float, default 10
        A row is clear when its p-value is so many times the alarm level: readings near the level do not flap.
    breaches, clears : int, default 1 and 3
        Readings in a row that open an episode and that close it.
    gap : float, default 12
        Usual intervals within which episodes are merged, over time and over sensors.
    refractory : float, default 0
        Usual intervals after an episode in which its sensor opens none.
    release : float, default 200
        Usual intervals without an alarm after which a lasting change is accepted.
    floor : float or mapping of sensor to float, default 0
        Readings nearer than that to both the detector's and the slow expected value, in the sensor's unit, never alert.
    missing_after : float or None, default 5
        Usual intervals of the sensor after which silence is missing data, at least twice as long as 99 % of the silences in training.
    stuck_after : int or None, default 10
        Equal readings in a row that are a fault, at least three times as many as usual in training.
    slow_level : float or None, default 5
        Standard deviations of the short mean of about four readings beyond which a sensor has left its slow range.
    grace : int, default 3
        Readings after a silence that open nothing: recovery is no anomaly.
    memory : float, default 5000
        Readings over which the baseline forgets. Episodes do not move it, and no reading by more than two standard deviations.
    merge_sensors : bool, default True
        Whether sensors that fail together are one incident.
    suppress : sequence of (start, end) or (start, end, sensor), default ()
        Planned maintenance: nothing opens in it. Stamps, or numbers of rows without a clock; both ends belong to it.
    entity : str, default ""
        What the sensors belong to.
    model, checkpoint : str, default ""
        Handed through to the incidents; attributes that may be set any time.

    Attributes
    ----------
    positions : list of int
        Of the events that `update` returned last: the row at which each happened, counted from 0.

    Raises
    ------
    InputError
        An option that is no number, not positive, or names a sensor that is not there.

    Examples
    --------
    >>> import numpy as np
    >>> from ssmts import IncidentTracker, InnovationDetector
    >>> rng = np.random.default_rng(0)
    >>> detector = InnovationDetector(false_alarm_rate=1e-4).fit(rng.normal(size=(500, 2)))
    >>> tracker = IncidentTracker.of(detector, sensors=["flow", "heat"])
    >>> rows = rng.normal(size=(80, 2))
    >>> rows[10:40, 1] += 12.0
    >>> for change, incident in tracker.update(detector.observe(rows), rows):
    ...     print(change, incident.sensor, incident.kind)
    opened heat spike
    changed heat level_shift
    closed heat level_shift
    """

    def __init__(
        self,
        usual: Usual,
        offset: float,
        *,
        sensors: Sequence[Any] | None = None,
        clear_factor: float = 10.0,
        breaches: int = 1,
        clears: int = 3,
        gap: float = 12.0,
        refractory: float = 0.0,
        release: float = 200.0,
        floor: float | Mapping[Any, float] = 0.0,
        missing_after: float | None = 5.0,
        stuck_after: int | None = 10,
        slow_level: float | None = 5.0,
        grace: int = 3,
        memory: float = 5000.0,
        merge_sensors: bool = True,
        suppress: Sequence[Sequence[Any]] = (),
        entity: str = "",
        model: str = "",
        checkpoint: str = "",
    ) -> None:
        n = len(usual.scale)
        self.sensors = tuple(range(n)) if sensors is None else tuple(sensors)
        if len(self.sensors) != n:
            raise InputError(
                f"The detector watches {n} sensors; received {len(self.sensors)} names. Pass one a sensor."
            )
        _check(1.0, clear_factor=clear_factor, breaches=breaches, clears=clears, memory=memory)
        _check(0.0, gap=gap, refractory=refractory, release=release, grace=grace)
        _check(0.0, missing_after=missing_after, stuck_after=stuck_after, slow_level=slow_level)
        unit = usual.interval
        self.usual = usual
        self._rules = Rules(
            offset, min(offset + math.log(clear_factor), 0.0), breaches, clears,
            gap * unit, refractory * unit, release * unit, grace, 1 / memory,
        )  # fmt: skip
        self._limits = np.column_stack(
            [
                _floors(floor, self.sensors),
                np.full(n, _WIDE)
                if missing_after is None
                else np.maximum(missing_after * usual.gap, LONGEST * usual.longest),
                np.full(n, _WIDE) if stuck_after is None else np.maximum(stuck_after, FEWEST_EQUAL * usual.run),
                np.full(n, _WIDE if slow_level is None else slow_level),
                usual.short_scale,
            ]
        )
        self._mutes = _mutes(suppress, self.sensors)
        self._book = Book(self.sensors, entity, self._rules, self._limits, usual.gap, merge_sensors)
        self.model, self.checkpoint = model, checkpoint
        self._state = _start(usual)
        self._row, self._now = int(usual.until) + 1, usual.until
        self.positions: list[int] = []

    @classmethod
    def of(cls, detector: Any, **options: Any) -> Self:
        """A tracker for a fitted detector, that goes on after its training rows.

        Parameters
        ----------
        detector : detector
            Fitted.
        **options
            Of the class.
        """
        options.setdefault("sensors", detector.columns_)
        return cls(detector.usual_, detector.offset_, **options)

    def update(self, told: Explained, values: Any, times: Any = None) -> list[Event]:
        """Go on with rows.

        Parameters
        ----------
        told : Explained
            What the detector says of the rows: ``detector.observe(rows)``.
        values : array of shape (n_times, n_sensors)
            The readings, NaN where a sensor was silent.
        times : array of shape (n_times,), DatetimeIndex or None
            Seconds since 1970 or stamps, not decreasing; rows are counted without.

        Returns
        -------
        list of Event
            What happened, in order: pairs ``(change, incident)``.

        Raises
        ------
        InputError
            Arrays whose shapes do not agree.
        """
        y = np.require(values, np.float64, "C")
        if y.ndim != 2 or y.shape != told.share.shape or y.shape[1] != len(self.sensors):
            raise InputError(
                f"values must have a row for each of the {len(told.log_p)} scores and {len(self.sensors)} columns; received {y.shape}."
            )
        when = clock(times, len(y), self._row) if times is None or isinstance(times, pd.Index) else times
        when = np.require(when, np.float64, "C")
        if when.shape != (len(y),):
            raise InputError(f"times must be {len(y)} numbers, one a row; received shape {when.shape}.")
        arrays = [np.require(a, np.float64, "C") for a in (told.log_p, told.share, told.log_p_sensor, told.expected)]
        events: list[Event] = []
        self.positions = []
        t = i = 0
        while True:
            t, i, sensor, happened = scan(
                self._state, self.usual.coef, self.usual.pulse, self._limits, self._mutes, self._rules, *arrays, y, when, t, i
            )  # fmt: skip
            if happened == scanning.NOTHING:
                break
            events += self._book.note(happened, sensor, when[t], self._state, (self.model, self.checkpoint))
            self.positions += [int(t)] * (len(events) - len(self.positions))
        self._row += len(y)
        self._now = float(when[-1]) if len(when) else self._now
        return events

    def tick(self, now: float) -> list[Event]:
        """Tell that no rows came until a time, so that silence is noticed while it lasts.

        Parameters
        ----------
        now : float
            Seconds since 1970; not before the last row.

        Returns
        -------
        list of Event
        """
        nothing = np.full((1, len(self.sensors)), np.nan)
        told = Explained(
            np.zeros(1), nothing, nothing, nothing, nothing, nothing, nothing, np.zeros(nothing.shape, dtype=np.int64)
        )
        events = self.update(told, nothing, np.array([float(now)]))
        self._row -= 1
        return events

    @property
    def open(self) -> list[Incident]:
        """Incidents that have not ended."""
        return self._book.snapshots(self._now, self._state, (self.model, self.checkpoint))

    @property
    def status(self) -> dict[Any, str]:
        """Of every sensor: "ok", "alert", "recovering" (off no more, but not closed), or "no-data"."""
        return {name: _status(row) for name, row in zip(self.sensors, self._state)}

    def state_dict(self) -> dict[str, Any]:
        """What the tracker knows after its last row: plain values and arrays, of constant size but for open incidents."""
        return {
            "fields": list(FIELDS),
            "sensors": self._state.copy(),
            "row": self._row,
            "now": self._now,
            "open": self._book.state(),
        }

    def load_state(self, state: dict[str, Any]) -> Self:
        """Go on where another tracker with the same options stood.

        Parameters
        ----------
        state : dict
            From `state_dict`.

        Raises
        ------
        InputError
            The state of another number of sensors, or of another version.
        """
        rows = np.array(state.get("sensors", ()), dtype=np.float64)
        if list(state.get("fields", ())) != list(FIELDS) or rows.shape != self._state.shape:
            raise InputError(
                f"This is no state of a tracker of {len(self.sensors)} sensors of this version; received one of shape {rows.shape}. "
                "Start anew."
            )
        self._state, self._row, self._now = rows, int(state["row"]), float(state["now"])
        self._book.load(state["open"])
        return self


def find_incidents(detector: Any, X: Any, told: Explained | None = None, **options: Any) -> pd.DataFrame:
    """Incidents in rows of a fitted detector, which stays where it is; see `BaseDetector.incidents`."""
    rows = detector._read_fitted(X)
    told = detector._explained(rows) if told is None else told
    stamped = isinstance(rows.index, pd.DatetimeIndex)
    tracker = IncidentTracker.of(detector, **options)
    first = tracker._row
    if (
        rows.index is not None
        and not stamped
        and detector.rows_ is not None
        and rows.index[0] <= detector.trained_until_
    ):
        first = tracker._row = int(detector.rows_.index.searchsorted(rows.index[0]))
    events = tracker.update(told, rows.values, rows.index if stamped else None)
    found = {event.incident.id: event.incident for event in events} | {each.id: each for each in tracker.open}
    table = pd.DataFrame([each.to_dict() for each in found.values()], columns=Incident._fields)
    table = table.astype(dict.fromkeys(NUMBERS, np.float64) | {"n_readings": np.int64})
    for name in ("start", "detected", "last_seen", "end"):
        table[name] = _stamps(table[name], rows.index, first)
    return table.sort_values(["start", "detected"], ignore_index=True)


def _stamps(times: pd.Series, index: pd.Index | None, first: int) -> Any:
    """Times as the index of the rows has them."""
    if isinstance(index, pd.DatetimeIndex):
        stamps = pd.to_datetime((times.astype(float) * 1e6).round() * 1000, unit="ns").astype("datetime64[us]")
        return stamps if index.tz is None else stamps.dt.tz_localize("UTC").dt.tz_convert(index.tz)
    if index is None:
        return times.astype("Int64")
    return [None if pd.isna(t) else index[min(max(int(t) - first, 0), len(index) - 1)] for t in times]


def _start(usual: Usual) -> FloatArray:
    state = np.zeros((len(usual.scale), len(FIELDS)))
    state[:, scanning.SCALE_VAR], state[:, scanning.NOISE_VAR] = usual.scale**2, usual.noise**2
    for field in (scanning.SEEN, scanning.VALUE, scanning.RESIDUAL, scanning.SHORT):
        state[:, field] = np.nan
    state[:, scanning.QUIET_UNTIL] = -np.inf
    return state


def _status(row: FloatArray) -> str:
    if row[scanning.SILENT] == 1:
        return "no-data"
    if row[scanning.OPEN] == 1:
        return "recovering" if row[scanning.CLEARS] > 0 else "alert"
    return "recovering" if row[scanning.SILENT] == 2 else "ok"


def _check(least: float, **numbers: Any) -> None:
    for name, value in numbers.items():
        if value is not None and not (isinstance(value, int | float | np.number) and value >= least):
            raise InputError(f"{name} must be a number of at least {least:g}; received {value!r}.")


def _floors(floor: Any, sensors: tuple[Any, ...]) -> FloatArray:
    if not isinstance(floor, Mapping):
        _check(0.0, floor=floor)
        return np.full(len(sensors), float(floor))
    for name, value in floor.items():
        _position(name, sensors, "floor")
        _check(0.0, floor=value)
    return np.array([float(floor.get(name, 0.0)) for name in sensors])


def _mutes(suppress: Any, sensors: tuple[Any, ...]) -> FloatArray:
    out = []
    for window in suppress:
        if isinstance(window, str) or len(window) not in (2, 3):
            raise InputError(f"suppress has windows (start, end) or (start, end, sensor); received {window!r}.")
        start, end = (_seconds(each) for each in window[:2])
        if not start <= end:
            raise InputError(f"A window of suppress ends before it starts: {window!r}.")
        out.append((start, end, _position(window[2], sensors, "suppress") if len(window) == 3 else -1))
    return np.array(out, dtype=np.float64).reshape(-1, 3)


def _position(name: Any, sensors: tuple[Any, ...], option: str) -> int:
    if name not in sensors:
        raise InputError(f"{option} names the sensor {name!r}; there are {list(sensors[:8])}.")
    return sensors.index(name)


def _seconds(time: Any) -> float:
    if isinstance(time, int | float | np.number):
        return float(time)
    return float(pd.Timestamp(time).timestamp())
