r"""Influx line protocol: ``measurement,tag=a field=1.5,other=2i 1700000000000000000``.

Escapes and quotes as in the description at docs.influxdata.com (line protocol reference, v2): commas, spaces and equal signs of names
are escaped by a backslash, text values stand in double quotes.
"""

from __future__ import annotations

import math
import re
from typing import Any

from ._values import Bad, shown, text_of

__all__ = ["InfluxLines"]

_SPACE, _COMMA = re.compile(r"(?<!\\) "), re.compile(r"(?<!\\),")
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')
_EQUALS = re.compile(r"(?<!\\)=")
_ESCAPE = re.compile(r"\\([,= ])")
VALUE = "value"  # the name of a field that names nothing more than its measurement


class InfluxLines:
    """Every field of numbers is a sensor: ``measurement,tag=a.field``, and without the field where that is ``value``."""

    sensors = None
    time = None

    def __init__(self) -> None:
        self._names: dict[tuple[str, str], str] = {}

    def parse(self, line: bytes) -> tuple[Any, list[tuple[str, float]]]:
        """Stamp and named values of a line; Bad without a text for a comment."""
        text = text_of(line).strip()
        if text.startswith("#"):
            raise Bad
        if '"' in text:
            text = _QUOTED.sub('""', text)  # text is no reading, whatever stands in it
        parts = _SPACE.split(text) if "\\" in text else text.split(" ")
        parts = [part for part in parts if part]
        if not 2 <= len(parts) <= 3:
            raise Bad(f"{len(parts)} part(s) between spaces; expected measurement, fields and a time")
        head, fields = parts[0], parts[1]
        values = []
        for field in _COMMA.split(fields) if "\\" in fields else fields.split(","):
            name, value = self._field(field)
            if value is not None:
                values.append((self._sensor(head, name), value))
        if not values:
            raise Bad("no field holds a number")
        return self._time(parts), values

    def _field(self, field: str) -> tuple[str, float | None]:
        name, *rest = _EQUALS.split(field, maxsplit=1) if "\\" in field else field.split("=", 1)
        if not name or not rest:
            raise Bad(f"{shown(field)} is no field")
        text = rest[0]
        if text[:1] in ('"', "t", "T", "f", "F"):
            return name, None
        try:
            value = float(text[:-1] if text[-1:] in "iu" else text)
        except ValueError:
            raise Bad(f"{shown(text)} in the field {name!r} is no number") from None
        if math.isinf(value):
            raise Bad(f"the field {name!r} is infinite")
        return name, value

    def _sensor(self, head: str, field: str) -> str:
        name = self._names.get((head, field))
        if name is None:
            name = _ESCAPE.sub(r"\1", head if field == VALUE else f"{head}.{field}")
            if len(self._names) < 100_000:  # names are few, or else this is no stream of sensors
                self._names[head, field] = name
        return name

    def _time(self, parts: list[str]) -> int:
        if len(parts) < 3:
            raise Bad("the line has no time")
        try:
            return int(parts[2])
        except ValueError:
            raise Bad(f"the time {shown(parts[2])} is no whole number") from None
