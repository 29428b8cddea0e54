"""The watch: a detector answers readings as they come."""

from __future__ import annotations

import json
import math
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.base import clone

from .._containers import FloatArray
from ..base_detector import Explained
from ..exceptions import InputError
from .answer import Answer
from .columns import counting_rows, matrix, most_of
from .incidents import Incidents, News, learn_usual
from .readings import Reading
from .silence import Silence

__all__ = ["Watch"]

FEWEST = 3  # values of a sensor that show a level, a change and a noise
MEMORY = 500  # rows kept to learn a new sensor from
LOOK = 16  # readings between two looks whether a new sensor can be learnt
NEW_SENSORS = ("report", "ignore", "adopt")
_STATUS = ("ok", "alert")


class Watch:
    """Answers readings one by one, each before it is learnt from.

    Readings count in the order in which they come. Their times are handed through and never read: they may be
    irregular, twice the same, or go backwards. Readings that come together are answered together, with the same numbers.

    Parameters
    ----------
    detector : detector
        Fitted, or to be fitted on the first readings. A copy is worked on.
    warmup : int, optional
        How many readings to learn from, for a detector that is not fitted; 3 at least. Readings without any value do not
        count. A sensor with fewer than three values in that time is left out; if that is all of them, the warm-up begins anew.
    sensors : sequence of str, optional
        Names of the sensors, in the order of their values.
    new_sensors : {"report", "ignore", "adopt"}, default "report"
        What to do about values beyond those of the sensors that are watched: say so once, pass them over in silence, or fit the
        detector again, on the last `memory` readings, once the new sensor has half as many values among them as the others.
    memory : int, default 500
        Readings kept for that, with "adopt".
    incidents : mapping, optional
        Options of `IncidentTracker`, which then follows what the detector says; none is followed unless given.
    usual : (Usual, bool), optional
        What is usual of the sensors of a fitted detector, and whether that was learnt by a clock; what the detector has learnt of it
        unless given.
    keys : bool, default False
        Whether answers tell where their readings came from.
    note : callable, optional
        Called with a kind and a text on sensors that appear, fall silent, or are left out.

    Attributes
    ----------
    detector : detector
        With the state after the last reading; it counts rows, whatever it was fitted on.
    sensors : tuple of str or None
    incoming : tuple of str or None
        Names of the values of the readings, as `expect` was told.
    silent : tuple of str
        Sensors left out after the warm-up.
    happened : list of (int, News)
        What happened to incidents with the readings answered last: the position of the answer, and the news.
    readings, alerts, opened : int
        Numbers of readings, of those in alarm, and of incidents so far.
    last_time : str, int, float or None
        Of the last reading.

    Raises
    ------
    InputError
        No warm-up for a detector that is not fitted, or one for a detector that is.

    Examples
    --------
    >>> import numpy as np
    >>> from ssmts import InnovationDetector
    >>> from ssmts.stream import Reading, Watch
    >>> rng = np.random.default_rng(0)
    >>> watch = Watch(InnovationDetector().fit(rng.normal(size=(200, 1))), sensors=["flow"])
    >>> [answer.status for answer in watch.answer([Reading(1, "08:00", [0.3]), Reading(2, "08:01", [25.0])])]
    ['ok', 'alert']
    """

    def __init__(
        self,
        detector: Any,
        *,
        warmup: int | None = None,
        sensors: Sequence[str] | None = None,
        new_sensors: str = "report",
        memory: int = MEMORY,
        incidents: Mapping[str, Any] | None = None,
        usual: tuple[Any, bool] | None = None,
        keys: bool = False,
        note: Callable[[str, str], None] | None = None,
    ) -> None:
        fitted = hasattr(detector, "offset_")
        if fitted == (warmup is not None):
            what = "is fitted, so there is nothing to warm up" if fitted else "is not fitted, so it needs a warm-up"
            raise InputError(f"The detector {what}; received warmup={warmup!r}.")
        if warmup is not None and warmup < FEWEST:
            raise InputError(f"warmup must be at least {FEWEST} readings, not {warmup!r}.")
        if new_sensors not in NEW_SENSORS:
            raise InputError(f"new_sensors must be one of {', '.join(NEW_SENSORS)}, not {new_sensors!r}.")
        self.detector = counting_rows(detector) if fitted else clone(detector)
        self.sensors: tuple[str, ...] | None = None if sensors is None else tuple(sensors)
        self.incoming: tuple[str, ...] | None = None
        self.silent: tuple[str, ...] = ()
        self.readings = 0
        self.alerts = 0
        self.opened = 0
        self.last_time: Any = None
        self.note = note
        self._keys, self._new_sensors = keys, new_sensors
        self._warmup = warmup or 0
        self._learnt: list[list[float]] | None = None if fitted else []
        self._learnt_times: list[Any] = []
        self._columns: list[int] | None = None  # of the sensors among the values; None where nothing else comes
        self._known = 0  # names of values that have been spoken of: watched, left out or told of
        self._recent: deque[list[float]] | None = deque(maxlen=memory) if new_sensors == "adopt" else None
        self._recent_times: deque[Any] = deque(maxlen=memory)
        self._silence = Silence(self._note)
        self.happened: list[tuple[int, News]] = []
        self._options = incidents
        self._incidents: Incidents | None = None
        self._deaf = False  # whether it was said that silence cannot be told
        self._usual = usual

    @property
    def warming(self) -> bool:
        """Whether the detector is still to be fitted."""
        return self._learnt is not None

    @property
    def quiet(self) -> int:
        """Number of watched sensors that have fallen silent."""
        return sum(self._silence.silent)

    @property
    def open(self) -> int:
        """Number of incidents that have not ended."""
        return 0 if self._incidents is None else self._incidents.open

    def answer(self, readings: Sequence[Reading]) -> list[Answer]:
        """Answer readings, in their order."""
        answers: list[Answer] = []
        self.happened = []
        if self._learnt is not None:
            answers = self._warm(readings, self._learnt)
        rest = readings[len(answers) :]
        if rest:
            score = self._score if self._recent is None else self._score_and_adopt
            answers += score(rest, len(answers))
        self.readings += len(readings)
        if readings:
            self.last_time = readings[-1].time
        return answers

    # warm-up ----------------------------------------------------------------------------------------------------

    def _warm(self, readings: Sequence[Reading], learnt: list[list[float]]) -> list[Answer]:
        """Keep readings until there are enough, then fit; answers of those that belong to the warm-up."""
        answers = []
        for reading in readings:
            spoke = any(not math.isnan(value) for value in reading.values)
            only = len(reading.values) == 1
            answers.append(
                Answer(
                    reading.time,
                    sensor=self._names(1)[0] if only and spoke else None,
                    observed=reading.values[0] if only else math.nan,
                    status="warming" if spoke else "no-data",
                    key=reading.line if self._keys else None,
                )
            )
            if spoke:
                learnt.append(reading.values)
                self._learnt_times.append(reading.time)
            if len(learnt) == self._warmup:
                self._fit(matrix(learnt))
                learnt.clear()
                self._learnt_times.clear()
                if not self.warming:
                    break
        return answers

    def _fit(self, values: FloatArray) -> None:
        spoke = (~np.isnan(values)).sum(axis=0) >= FEWEST
        if not spoke.any():
            return
        names = self._names(values.shape[1])
        self.silent = tuple(name for name, each in zip(names, spoke) if not each)
        if self.silent:
            self._note(
                "sensors",
                f"not watched, for they were silent (or nearly so) during the warm-up: {', '.join(self.silent)}",
            )
        self._learnt = None
        self._learn(values, np.flatnonzero(spoke).tolist(), names, self._learnt_times)

    def _learn(self, values: FloatArray, columns: list[int], names: Sequence[str], times: Sequence[Any]) -> None:
        """Fit on some columns of values, and watch these from now on."""
        self._columns = columns
        self._known = len(names)
        self.sensors = tuple(names[column] for column in columns)
        self.detector = counting_rows(self.detector.fit(values[:, columns]), self.sensors)
        self._incidents = None
        self._usual = None if self._options is None else learn_usual(values[:, columns], times)

    # scores -----------------------------------------------------------------------------------------------------

    def _score(self, readings: Sequence[Reading], start: int = 0) -> list[Answer]:
        """Answers of readings, the first of which has the position `start` among those answered together."""
        values = matrix([reading.values for reading in readings])
        if self._columns is not None and len(self._columns) < values.shape[1]:
            values = values[:, self._columns]
        names = self._names(values.shape[1])
        told = self.detector.observe(values)
        self._silence.take(values, names)
        alert = np.asarray(told.log_p < self.detector.offset_)
        self.alerts += int(np.count_nonzero(alert))
        most = np.zeros(len(values), dtype=np.int64) if len(names) == 1 else most_of(told.share)
        sensor = [names[j] for j in most.tolist()] if len(names) > 1 else [names[0]] * len(readings)
        incident = self._follow(told, values, readings, sensor, start)
        rows = np.arange(len(most))
        of_it = [part[rows, most].tolist() for part in (values, told.expected, told.lower, told.upper)]
        times = [reading.time for reading in readings]
        keys = [reading.line for reading in readings] if self._keys else [None] * len(readings)
        status = [_STATUS[alarm] for alarm in alert.tolist()]
        columns = times, np.exp(told.log_p).tolist(), alert.tolist(), sensor, *of_it, status, incident, keys
        new = tuple.__new__  # a third of the price of a call of the class
        answers = [new(Answer, each) for each in zip(*columns)]
        for i in np.flatnonzero(np.isnan(values[rows, most])).tolist():
            answers[i] = Answer(times[i], status="no-data", key=keys[i])
        return answers

    def _follow(
        self, told: Explained, values: FloatArray, readings: Sequence[Reading], sensor: Sequence[str], start: int
    ) -> Sequence[str | None]:
        """The open incident of the sensor of each answer."""
        if self._options is None:
            return [None] * len(readings)
        if self._incidents is None:
            self._incidents = self._made()
        labels, news = self._incidents.take(told, values, readings, sensor, self._keys)
        self.opened += sum(each.change == "opened" for _, each in news)
        self.happened += [(start + row, each) for row, each in news]
        return [None] * len(readings) if labels is None else labels

    def silence(self, seconds: float) -> None:
        """Look at a stream from which nothing has come for `seconds`; `happened` tells what comes of it."""
        if self._incidents is None:
            self.happened = []
            return
        if not self._incidents.clocked and not self._deaf:
            self._deaf = True
            self._note("sensors", "the stamps learnt from cannot be read, so silence of the whole stream is not told")
        news = self._incidents.silence(seconds, self._keys)
        self.opened += sum(each.change == "opened" for each in news)
        self.happened = [(-1, each) for each in news]

    def _made(self) -> Incidents:
        assert self._options is not None
        usual, clocked = self._usual or (self.detector.usual_, (self.detector.clock_ or ("",))[0] == "datetime")
        names = self._names(self.detector.n_features_in_)
        return Incidents(usual, self.detector.offset_, names, clocked, self._options)

    def _note(self, kind: str, text: str) -> None:
        if self.note is not None:
            self.note(kind, text)

    def _names(self, n: int) -> tuple[str, ...]:
        if self.warming and self.incoming is not None:
            return self.incoming[:n]
        if self.sensors is None:
            self.sensors = tuple(map(str, range(n)))
        return self.sensors

    # sensors that appear ----------------------------------------------------------------------------------------

    def expect(self, names: Sequence[str]) -> None:
        """Take note of the names of the values to come: those so far, and perhaps more behind them."""
        self.incoming = tuple(names)
        if self.warming:
            return
        if self._columns is None:
            self._columns = list(range(self.detector.n_features_in_))
            self._known = len(self._columns)
            if self.sensors is None:
                self.sensors = self.incoming[: self._known]
        for name in self.incoming[self._known :]:
            if self._new_sensors == "report":
                self._note("sensors", f"the sensor {name!r} appeared, and is not watched")
        self._known = max(self._known, len(names))

    def _score_and_adopt(self, readings: Sequence[Reading], start: int) -> list[Answer]:
        """Score, and fit again as soon as a new sensor has shown enough of itself."""
        answers: list[Answer] = []
        assert self._recent is not None
        for i, reading in enumerate(readings):
            self._recent.append(reading.values)
            self._recent_times.append(reading.time)
            if (self.readings + start + i) % LOOK == 0 and (new := self._ready(len(reading.values), self._recent)):
                answers += self._score(readings[len(answers) : i + 1], start + len(answers))
                self._adopt(new, self._recent)
        done = len(answers)
        return answers + (self._score(readings[done:], start + done) if done < len(readings) else [])

    def _ready(self, width: int, recent: deque[list[float]]) -> list[int]:
        """Columns that are not watched, and have half as many values among the readings kept as those that are, at least."""
        if len(self._columns or ()) == width or len(recent) < (recent.maxlen or 0):
            return []
        there = (~np.isnan(matrix(list(recent)))).sum(axis=0)
        enough = max(FEWEST, 0.5 * float(np.median(there[self._columns or []])) if self._columns else 0.0)
        return [i for i in range(width) if i not in (self._columns or ()) and there[i] >= enough]

    def _adopt(self, new: list[int], recent: deque[list[float]]) -> None:
        values = matrix(list(recent))
        spoke = (~np.isnan(values)).sum(axis=0) >= FEWEST
        names = (self.incoming or tuple(map(str, range(values.shape[1]))))[: values.shape[1]]
        added = ", ".join(names[i] for i in new)
        self._note("sensors", f"now watched, too: {added}; learnt from the last {len(values)} readings")
        columns = sorted({i for i in self._columns or () if spoke[i]} | set(new))
        self.detector = clone(self.detector)
        self._learn(values, columns, names, self._recent_times)
        self.silent = tuple(name for i, name in enumerate(names) if i not in columns)
        self._silence = Silence(self._note)

    # state ------------------------------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """What `go_on` needs."""
        kept = {name: getattr(self, name) for name in _KEPT}
        learnt = None if self._learnt is None else matrix(self._learnt)
        recent = None if self._recent is None else matrix(list(self._recent))
        return {
            **kept,
            "detector": self.detector,
            "learnt": learnt,
            "learnt_times": json.dumps(self._learnt_times),
            "recent": recent,
            "recent_times": json.dumps(list(self._recent_times)),
            "silence": self._silence.state(),
            "incidents": None if self._incidents is None else self._incidents.state(),
        }

    def go_on(self, state: dict[str, Any]) -> None:
        """Go on where another watch stopped."""
        for name in _KEPT:
            setattr(self, name, state[name])
        self.detector = state["detector"]
        self._learnt = None if state["learnt"] is None else state["learnt"].tolist()
        if self._recent is not None and state["recent"] is not None:
            self._recent.extend(state["recent"].tolist())
        self._learnt_times = json.loads(state["learnt_times"])
        self._recent_times.extend(json.loads(state["recent_times"]))
        self._silence.go_on(state["silence"])
        if state["incidents"] is not None and self._options is not None:
            self._incidents = self._made()
            self._incidents.go_on(state["incidents"])


_KEPT = (
    "sensors",
    "incoming",
    "silent",
    "readings",
    "alerts",
    "opened",
    "last_time",
    "_warmup",
    "_columns",
    "_known",
    "_usual",
)
