"""Lines to readings: which format a stream has, and what each of its lines says."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from ...exceptions import InputError
from ..readings import BadLine, Item, Part, Reading
from ._csv import LongCsv, WideCsv, delimiter_of, header_fields
from ._influx import InfluxLines
from ._json import LongJson, WideJson, json_object
from ._values import TIME_NAMES, Bad, all_values, listed, text_of

__all__ = ["FORMATS", "LONGEST_LINE", "TIME_NAMES", "LineParser", "all_values", "delimiter_of", "long_names"]

FORMATS = ("auto", "ndjson", "csv", "influx")
LONGEST_LINE = 1 << 20  # bytes; what is longer is no reading, and must not fill the memory
SENSOR_NAMES, VALUE_NAMES = ("sensor", "sensor_id", "unique_id"), ("value", "y")

Parser = WideJson | LongJson | WideCsv | LongCsv | InfluxLines


class LineParser:
    """Reads lines, the first of which says what they are.

    Parameters
    ----------
    format : {"auto", "ndjson", "csv", "influx"}, default "auto"
        ``auto`` takes a stream whose first line begins with a brace for NDJSON, any other for CSV.
    time : str, optional
        Field of stamps; unless given, the first one named ds, time, timestamp, date or datetime, if there is one.
    sensors : sequence of str, optional
        Fields to read, in the order wanted; unless given, all but the time. Then every value of the first NDJSON object
        must be a number or missing. In a long stream sensors name themselves.
    long : (str, str), optional
        Fields of the sensor's name and of its value, where a line holds a single value. Unless given, a stream is long if its
        first line has a field sensor, sensor_id or unique_id and one value or y, and none of the `sensors`.
    others, adopt : bool, default False
        As in `WideJson`.

    Attributes
    ----------
    sensors : tuple of str or None
        Of a wide stream; None until the first line has named them, and for others.
    lines, bad : int
        Lines read so far, header and blank ones included, and bad ones among them.
    """

    def __init__(
        self,
        format: str = "auto",
        *,
        time: str | None = None,
        sensors: Sequence[str] | None = None,
        long: tuple[str, str] | None = None,
        others: bool = False,
        adopt: bool = False,
    ) -> None:
        if format not in FORMATS:
            raise InputError(f"format must be {', '.join(map(repr, FORMATS[:-1]))} or {FORMATS[-1]!r}, not {format!r}.")
        self.lines = 0
        self.bad = 0
        self._format, self._time, self._sensors, self._long = format, time, sensors, long
        self._others, self._adopt = others, adopt
        self._parser: Parser | None = InfluxLines() if format == "influx" else None

    @property
    def sensors(self) -> tuple[str, ...] | None:
        """Names of the values of a `Reading`."""
        if self._parser is not None and self._parser.sensors is not None:
            return self._parser.sensors
        return None if self._sensors is None else tuple(self._sensors)

    def appeared(self) -> list[str]:
        """Names of fields of numbers, besides the sensors, that were seen for the first time since the last call."""
        if not isinstance(self._parser, WideJson) or not self._parser.appeared:
            return []
        names, self._parser.appeared = self._parser.appeared, []
        return names

    def item(self, line: bytes | None, place: Any = None) -> Item | None:
        """What a line says, and None for one that says nothing; the line None was too long to keep.

        Parameters
        ----------
        line : bytes or None
        place : optional
            What the line is known by; its number unless given.
        """
        self.lines += 1
        if place is None:
            place = self.lines
        try:
            if line is None:
                raise Bad(f"longer than {LONGEST_LINE} bytes")
            if not line or line.isspace():
                return None
            if self._parser is None and not self._begin(line):
                return None
            assert self._parser is not None
            time, values = self._parser.parse(line)
        except Bad as error:
            return self._refused(error, place)
        return Reading(place, time, values) if self._parser.sensors is not None else Part(place, time, values)  # type: ignore[arg-type]

    def items(self, lines: Iterable[bytes | None]) -> list[Item]:
        """What lines say; the same as `item` for one after the other, in less time for most."""
        found: list[Item] = []
        new = tuple.__new__  # half the price of a call of the class
        for line in lines:
            item: Any
            if self._parser is None or not line or line.isspace():
                item = self.item(line)
            else:
                self.lines += 1
                try:
                    time, values = self._parser.parse(line)
                except Bad as error:
                    item = self._refused(error, self.lines)
                else:
                    item = new(Part if self._parser.sensors is None else Reading, (self.lines, time, values))
            if item is not None:
                found.append(item)
        return found

    def state(self) -> dict[str, Any]:
        """What `restore` needs to go on with the next line."""
        parser = self._parser
        found: dict[str, Any] = {"lines": self.lines, "bad": self.bad, "kind": None}
        if parser is not None:
            found |= {"kind": type(parser).__name__, "time": parser.time, "header": getattr(parser, "header", None)}
            found["sensors"] = parser.sensors
            found["known"] = sorted(parser._known) if isinstance(parser, WideJson) else []
        if isinstance(parser, LongJson):
            found["long"] = (parser.sensor, parser.value)
        return found

    def restore(self, state: dict[str, Any]) -> None:
        """Go on where another parser stopped."""
        self.lines, self.bad = state["lines"], state["bad"]
        kind, time, sensors = state["kind"], state.get("time"), state.get("sensors")
        if kind == "WideJson":
            self._parser = WideJson(time, sensors, self._others, self._adopt)
            self._parser._known = set(state["known"])
        elif kind == "LongJson":
            self._parser = LongJson(time, *state["long"])
        elif kind == "WideCsv":
            self._parser = WideCsv.going_on(state["header"], time, sensors or ())
        elif kind == "LongCsv":
            self._begin(state["header"].encode())

    def _begin(self, line: bytes) -> bool:
        """Choose the parser by the first line; whether that line may be a reading itself."""
        if self._format == "ndjson" or (self._format == "auto" and text_of(line).lstrip().startswith("{")):
            long = self._long or long_names(list(json_object(line)), self._sensors)
            self._parser = (
                LongJson(self._time, *long) if long else WideJson(self._time, self._sensors, self._others, self._adopt)
            )
            return True
        header = text_of(line).rstrip("\r")
        names = header_fields(header)
        if all_values(names):
            raise InputError(
                f"The stream begins with {listed(names)}, which are values and no names. Put a line of names first."
            )
        long = self._long or long_names(names, self._sensors)
        self._parser = LongCsv(header, self._time, *long) if long else WideCsv(header, self._time, self._sensors)
        return False

    def _refused(self, error: Bad, place: Any) -> BadLine | None:
        """What is said of a line that is no reading; nothing of a header or a comment."""
        if not error.args:
            return None
        self.bad += 1
        return BadLine(place, str(error))


def long_names(names: Sequence[Any], sensors: Sequence[str] | None) -> tuple[str, str] | None:
    """Fields of sensor and value by their usual names, where a stream or file is long; None if one of `sensors` is a field itself."""
    sensor = next((name for name in names if name in SENSOR_NAMES), None)
    value = next((name for name in names if name in VALUE_NAMES), None)
    wide = any(name in names for name in sensors or ())
    return (sensor, value) if sensor and value and not wide else None
