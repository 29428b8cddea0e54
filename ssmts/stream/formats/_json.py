"""NDJSON: an object a line, with a field for every sensor, or with the name of one sensor and its value."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from typing import Any

from ._values import TIME_NAMES, Bad, json_number, json_time, listed, refuse_infinite, text_of, time_name

__all__ = ["LongJson", "WideJson", "json_object"]

MOST = 10_000  # fields that are told of; a stream with more names has something else in them

_fast_loads: Callable[[bytes], Any] | None
try:
    from orjson import loads as _fast_loads
except ImportError:
    _fast_loads = None


class WideJson:
    """Objects with a field for every sensor.

    Parameters
    ----------
    time : str, optional
        Field of stamps.
    sensors : sequence of str, optional
        Fields of the sensors; those of the first object unless given.
    others : bool, default False
        Whether to name fields of numbers that are no sensors, in `appeared`.
    adopt : bool, default False
        Whether such fields become sensors, after those that are known.
    """

    def __init__(
        self, time: str | None, sensors: Sequence[str] | None, others: bool = False, adopt: bool = False
    ) -> None:
        self.time = time
        self.sensors = None if sensors is None else tuple(sensors)
        self.appeared: list[str] = []
        self._watching, self._adopt = others or adopt, adopt
        self._known: set[str] = set()
        self._fields: Any = None  # of the object looked through last

    def parse(self, line: bytes) -> tuple[Any, list[float]]:
        """Stamp and values of a line."""
        found = json_object(line)
        if self.sensors is None:
            self.sensors = self._sensors_of(found)
        if self.time is None:
            self.time = time_name(found) or TIME_NAMES[0]
        if self._watching and found.keys() != self._fields:
            self._look_through(found)
        values = [
            value if type(value := found.get(name)) is float else json_number(name, value) for name in self.sensors
        ]
        if not math.isfinite(sum(values)):
            refuse_infinite(self.sensors, values)
            if all(map(math.isnan, values)) and not any(name in found for name in self.sensors):
                raise Bad(f"the object has none of the fields {listed(self.sensors)}")
        time = found.get(self.time)
        return time if type(time) is int or type(time) is str else json_time(time), values

    def _sensors_of(self, found: dict[str, Any]) -> tuple[str, ...]:
        time = self.time or time_name(found)
        values = {name: value for name, value in found.items() if name != time}
        if not values:
            raise Bad("the object has no field besides the time")
        for name, value in values.items():
            try:
                json_number(name, value)
            except Bad as error:
                raise Bad(f"{error}; name the fields that are sensors with --sensors") from error
        return tuple(values)

    def _look_through(self, found: dict[str, Any]) -> None:
        """Find fields of numbers that are not known yet."""
        assert self.sensors is not None
        self._fields = found.keys()
        for name in found.keys() - self._known - set(self.sensors) - {self.time}:
            if type(found[name]) in (int, float) and len(self._known) < MOST:
                self._known.add(name)
                self.appeared.append(name)
                if self._adopt:
                    self.sensors = (*self.sensors, name)


class LongJson:
    """Objects with the name of a sensor and its value."""

    sensors = None

    def __init__(self, time: str | None, sensor: str, value: str) -> None:
        self.time, self.sensor, self.value = time, sensor, value

    def parse(self, line: bytes) -> tuple[Any, list[tuple[str, float]]]:
        """Stamp and named value of a line."""
        found = json_object(line)
        if self.time is None:
            self.time = time_name(found) or TIME_NAMES[0]
        name, value = found.get(self.sensor), found.get(self.value)
        if type(name) is not str or not name:
            if type(name) is not int:
                raise Bad(f"the object names no sensor in the field {self.sensor!r}")
            name = str(name)
        if type(value) is not float:
            if value is None and self.value not in found:
                raise Bad(f"the object has no field {self.value!r}")
            value = json_number(self.value, value)
        if math.isinf(value):
            raise Bad(f"the field {self.value!r} is infinite")
        return json_time(found.get(self.time)), [(name, value)]


def json_object(line: bytes) -> dict[str, Any]:
    """The object that a line holds; NaN and the like, which only the standard library reads, are slow."""
    try:
        found = _loads(line) if _fast_loads is None else _fast_loads(line)
    except (ValueError, RecursionError):
        found = _loads(line)
    if type(found) is not dict:
        raise Bad(f"no JSON object but {type(found).__name__}")
    return found


def _loads(line: bytes) -> Any:
    try:
        return json.loads(text_of(line))
    except (ValueError, RecursionError) as error:
        raise Bad(f"not JSON: {error}") from error
