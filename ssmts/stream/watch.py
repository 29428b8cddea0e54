"""The watch: a detector answers readings as they come."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import pandas as pd
from sklearn.base import clone

from .._containers import FloatArray
from ..exceptions import InputError
from .sources import BadLine, LineSource, Reading

__all__ = ["Answer", "Sink", "Watch", "counting_rows", "most_telling", "run"]

FEWEST = 3  # values of a sensor that show a level, a change and a noise
IntArray = np.ndarray[Any, np.dtype[np.int64]]


class Answer(NamedTuple):
    """What a watch says of one reading.

    Attributes
    ----------
    time : str, int, float or None
        As it came.
    p_value : float
        Probability of a reading at least as strange where all is well; NaN while warming and without any value.
    alert : bool
        Whether the p-value is below the alarm level.
    sensor : str or None
        The sensor that adds most to the strangeness.
    observed, expected, lower, upper : float
        Of that sensor: its value, what was expected, and the range that holds with the probability that the alarm level leaves;
        NaN where unknown.
    status : str
        "warming" (learnt from, not scored), "ok", "alert", or "no-data" (all sensors silent).
    """

    time: Any
    p_value: float = math.nan
    alert: bool = False
    sensor: str | None = None
    observed: float = math.nan
    expected: float = math.nan
    lower: float = math.nan
    upper: float = math.nan
    status: str = "ok"


class Sink(Protocol):
    """Where answers go."""

    def send(self, answers: Iterable[Answer]) -> None:
        """Hand answers on at once."""


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
        Names of the sensors, in the order of their values; may be set later, before the first reading.

    Attributes
    ----------
    detector : detector
        With the state after the last reading; it counts rows, whatever it was fitted on.
    sensors : tuple of str or None
    silent : tuple of str
        Sensors left out after the warm-up.
    readings, alerts : int
        Numbers so far.

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

    def __init__(self, detector: Any, *, warmup: int | None = None, sensors: Sequence[str] | None = None) -> None:
        fitted = hasattr(detector, "offset_")
        if fitted == (warmup is not None):
            what = "is fitted, so there is nothing to warm up" if fitted else "is not fitted, so it needs a warm-up"
            raise InputError(f"The detector {what}; received warmup={warmup!r}.")
        if warmup is not None and warmup < FEWEST:
            raise InputError(f"warmup must be at least {FEWEST} readings, not {warmup!r}.")
        self.detector = counting_rows(detector) if fitted else clone(detector)
        self.sensors: tuple[str, ...] | None = None if sensors is None else tuple(sensors)
        self.silent: tuple[str, ...] = ()
        self.readings = 0
        self.alerts = 0
        self._warmup = warmup or 0
        self._learnt: list[list[float]] | None = None if fitted else []
        self._columns: list[int] | None = None

    @property
    def warming(self) -> bool:
        """Whether the detector is still to be fitted."""
        return self._learnt is not None

    def answer(self, readings: Sequence[Reading]) -> list[Answer]:
        """Answer readings, in their order."""
        answers: list[Answer] = []
        if self._learnt is not None:
            answers = self._warm(readings, self._learnt)
        rest = readings[len(answers) :]
        if rest:
            answers += self._score(rest)
        self.readings += len(readings)
        return answers

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
                )
            )
            if spoke:
                learnt.append(reading.values)
            if len(learnt) == self._warmup:
                self._fit(np.array(learnt))
                learnt.clear()
                if not self.warming:
                    break
        return answers

    def _fit(self, values: FloatArray) -> None:
        spoke = (~np.isnan(values)).sum(axis=0) >= FEWEST
        if not spoke.any():
            return
        names = self._names(values.shape[1])
        self.silent = tuple(name for name, each in zip(names, spoke) if not each)
        self.sensors = tuple(name for name, each in zip(names, spoke) if each)
        self._columns = np.flatnonzero(spoke).tolist() if self.silent else None
        self.detector = counting_rows(self.detector.fit(values[:, spoke]), self.sensors)
        self._learnt = None

    def _score(self, readings: Sequence[Reading]) -> list[Answer]:
        values = np.array([reading.values for reading in readings])
        if self._columns is not None:
            values = values[:, self._columns]
        names = self._names(values.shape[1])
        parts = self.detector.explain(values)
        log_p = self.detector.update(values)
        alert = np.asarray(log_p < self.detector.offset_)
        self.alerts += int(alert.sum())
        sensor, rows = most_telling(parts, len(names))
        told = [parts[name].to_numpy()[rows].tolist() for name in ("observed", "expected", "lower", "upper")]
        return [
            Answer(reading.time, status="no-data")
            if math.isnan(observed)
            else Answer(reading.time, p, alarm, names[j], observed, mid, low, high, "alert" if alarm else "ok")
            for reading, p, alarm, j, observed, mid, low, high in zip(
                readings, np.exp(log_p).tolist(), alert.tolist(), sensor.tolist(), *told
            )
        ]

    def _names(self, n: int) -> tuple[str, ...]:
        if self.sensors is None:
            self.sensors = tuple(map(str, range(n)))
        return self.sensors


def run(source: LineSource, watch: Watch, sink: Sink, report: Callable[[str], None]) -> None:
    """Answer what a source yields until it ends.

    Parameters
    ----------
    source : LineSource
        Names the sensors, unless the watch knows them.
    watch : Watch
    sink : Sink
        Gets the answers of each block of readings before the next block is waited for.
    report : callable
        Called with a text for every bad line, and if sensors are left out after the warm-up.
    """
    for block in source:
        readings = [item for item in block if isinstance(item, Reading)]
        for item in block:
            if isinstance(item, BadLine):
                report(f"line {item.line}: {item.reason}")
        if not readings:
            continue
        if watch.sensors is None:
            watch.sensors = source.sensors
        complete = not watch.silent
        sink.send(watch.answer(readings))
        if complete and watch.silent:
            report(f"not watched, for they were silent (or nearly so) during the warm-up: {', '.join(watch.silent)}")


def counting_rows(detector: Any, sensors: Sequence[str] | None = None) -> Any:
    """A copy of a fitted detector that takes arrays, whatever it was fitted on, and knows the names of their columns."""
    copied = copy.copy(detector)
    copied.rows_ = copied.last_time_ = copied.trained_until_ = None
    if sensors is not None:
        copied.columns_ = tuple(sensors)
    return copied


def most_telling(parts: pd.DataFrame, n_sensors: int) -> tuple[IntArray, IntArray]:
    """Sensor with the largest share of each row of an explanation, and the position of its row there."""
    share = parts["share"].to_numpy().reshape(-1, n_sensors)
    sensor = np.argmax(np.where(np.isnan(share), -np.inf, share), axis=1)
    return sensor, np.arange(len(share)) * n_sensors + sensor
