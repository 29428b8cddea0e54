"""Sources: lines of NDJSON or CSV as they arrive, turned into readings or into bad lines with a reason."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from ..exceptions import InputError

__all__ = ["TIME_NAMES", "BadLine", "LineSource", "Reading", "delimiter_of"]

TIME_NAMES = ("ds", "time", "timestamp", "date", "datetime")
"""Names, in any capitals, by which a column of stamps is known."""

LONGEST_LINE = 1 << 20  # bytes; what is longer is no reading, and must not fill the memory
MISSING = frozenset({"", "nan", "null", "none", "na", "n/a"})
DELIMITERS = ",;\t|"

_fast_loads: Callable[[bytes], Any] | None
try:
    from orjson import loads as _fast_loads
except ImportError:
    _fast_loads = None


class Reading(NamedTuple):
    """One row of values, in the order of the source's `sensors`; NaN where a sensor was silent."""

    line: int  # counted from 1
    time: str | int | float | None  # as it came
    values: list[float]


class BadLine(NamedTuple):
    """A line that is no reading."""

    line: int
    reason: str


class _Bad(Exception):
    """Why the line at hand is no reading."""


class LineSource:
    r"""Readings from lines of text, in blocks of the lines that have arrived.

    A CSV stream begins with a header line; fields are separated by the comma, semicolon, tab or bar that the header
    holds most of, and a row is one line. An NDJSON stream has an object a line, with a field for every sensor; an absent
    field is a silent sensor, and fields that are no sensors are ignored. Missing values are empty, null, NaN, none or NA.
    Blank lines are skipped. Lines that cannot be read come out as `BadLine` and never end the stream.

    Parameters
    ----------
    read : callable
        Returns the bytes that have arrived, waiting for at least one; ``b""`` at the end of the stream, None when the
        stream is left before its end, which drops an unfinished last line.
    format : {"auto", "ndjson", "csv"}, default "auto"
        ``auto`` takes a stream whose first line begins with a brace for NDJSON, any other for CSV.
    time : str, optional
        Field of stamps; unless given, the first one named ds, time, timestamp, date or datetime, if there is one.
    sensors : sequence of str, optional
        Fields to read, in the order wanted; unless given, all but the time. Then every value of the first NDJSON object
        must be a number or missing.

    Attributes
    ----------
    sensors : tuple of str or None
        None until the first line has named them.
    lines, bad : int
        Lines read so far, header and blank ones included, and bad ones among them.

    Raises
    ------
    InputError
        While iterating: a CSV header without the columns asked for.

    Examples
    --------
    >>> import io
    >>> from ssmts.stream.sources import LineSource
    >>> text = io.BytesIO(b"time,flow\n08:00,1.5\n08:01,oops\n08:02,\n")
    >>> for block in LineSource(text.read):
    ...     for item in block:
    ...         print(item)
    Reading(line=2, time='08:00', values=[1.5])
    BadLine(line=3, reason="'oops' in the field 'flow' is no number")
    Reading(line=4, time='08:02', values=[nan])
    """

    def __init__(
        self,
        read: Callable[[], bytes | None],
        *,
        format: str = "auto",
        time: str | None = None,
        sensors: Sequence[str] | None = None,
    ) -> None:
        if format not in ("auto", "ndjson", "csv"):
            raise InputError(f"format must be 'auto', 'ndjson' or 'csv', not {format!r}.")
        self.sensors: tuple[str, ...] | None = None if sensors is None else tuple(sensors)
        self.lines = 0
        self.bad = 0
        self._read = read
        self._format = format
        self._time = time
        self._parse: Callable[[bytes], tuple[Any, list[float]]] | None = None

    def __iter__(self) -> Iterator[list[Reading | BadLine]]:
        for lines in _arrived(self._read):
            items = [item for line in lines if (item := self._item(line)) is not None]
            if items:
                yield items

    def _item(self, line: bytes | None) -> Reading | BadLine | None:
        self.lines += 1
        try:
            if line is None:
                raise _Bad(f"longer than {LONGEST_LINE} bytes")
            if not line or line.isspace():
                return None
            if self._parse is None and not self._begin(line):
                return None
            assert self._parse is not None
            return Reading(self.lines, *self._parse(line))
        except _Bad as error:
            self.bad += 1
            return BadLine(self.lines, str(error))

    def _begin(self, line: bytes) -> bool:
        """Choose the parser by the first line; whether that line may be a reading itself."""
        if self._format == "ndjson" or (self._format == "auto" and _text(line).lstrip().startswith("{")):
            self._parse = self._object
            return True
        self._parse = self._csv_parser(_text(line).rstrip("\r"))
        return False

    def _object(self, line: bytes) -> tuple[Any, list[float]]:
        found = _json_object(line)
        if self.sensors is None:
            self.sensors = self._sensors_of(found)
        if self._time is None:
            self._time = _time_name(found) or TIME_NAMES[0]
        values = [
            value if type(value := found.get(name)) is float else _json_number(name, value) for name in self.sensors
        ]
        if not math.isfinite(sum(values)):
            _refuse_infinite(self.sensors, values)
            if all(map(math.isnan, values)) and not any(name in found for name in self.sensors):
                raise _Bad(f"the object has none of the fields {_listed(self.sensors)}")
        return _json_time(found.get(self._time)), values

    def _sensors_of(self, found: dict[str, Any]) -> tuple[str, ...]:
        time = self._time or _time_name(found)
        values = {name: value for name, value in found.items() if name != time}
        if not values:
            raise _Bad("the object has no field besides the time")
        for name, value in values.items():
            try:
                _json_number(name, value)
            except _Bad as error:
                raise _Bad(f"{error}; name the fields that are sensors with --sensors") from error
        return tuple(values)

    def _csv_parser(self, header: str) -> Callable[[bytes], tuple[Any, list[float]]]:
        delimiter = delimiter_of(header)
        names = [name.strip() for name in _fields(header, delimiter)]
        time = self._time or _time_name(names)
        if self.sensors is None:
            self.sensors = tuple(name for name in names if name != time)
        wanted = [*self.sensors, *([] if time is None else [time])]
        if absent := [name for name in wanted if name not in names]:
            raise InputError(
                f"The header of the stream has no column {_listed(absent)}; its columns are {_listed(names)}. Name those to read with "
                "--time and --sensors."
            )
        if double := [name for name in wanted if names.count(name) > 1]:
            raise InputError(f"The header of the stream has the column {double[0]!r} twice. Rename one of them.")
        if not self.sensors:
            raise InputError(f"The header of the stream has no column besides the time {time!r}.")
        sensors, columns = self.sensors, [names.index(name) for name in self.sensors]
        time_column = None if time is None else names.index(time)

        def parse(line: bytes) -> tuple[Any, list[float]]:
            text = _text(line).rstrip("\r")
            fields = text.split(delimiter) if '"' not in text else _fields(text, delimiter)
            if len(fields) != len(names):
                raise _Bad(f"{len(fields)} field(s), the header has {len(names)}")
            try:
                if "_" in text:  # Python takes 1_0 for a number
                    raise ValueError
                values = [float(fields[column]) for column in columns]
            except ValueError:
                values = [_csv_number(name, fields[column]) for name, column in zip(sensors, columns)]
            if not math.isfinite(sum(values)):
                _refuse_infinite(sensors, values)
            return None if time_column is None else fields[time_column], values

        return parse


def delimiter_of(header: str) -> str:
    """The comma, semicolon, tab or bar that a header line holds most of; a comma if it has none."""
    return max(DELIMITERS, key=header.count)


def _arrived(read: Callable[[], bytes | None]) -> Iterator[list[bytes | None]]:
    """Blocks of complete lines as they arrive, without their ends; None for a line that is too long to keep."""
    rest, too_long = b"", False
    while chunk := read():
        lines: list[bytes | None] = [*(rest + chunk).split(b"\n")]
        rest = lines.pop() or b""
        if too_long and lines:
            lines[0], too_long = None, False
        if len(rest) > LONGEST_LINE:
            rest, too_long = b"", True
        if lines:
            yield lines
    if chunk is not None and (rest or too_long):
        yield [None if too_long else rest]


def _text(line: bytes) -> str:
    try:
        return line.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _Bad(f"not UTF-8 at byte {error.start + 1}") from error


def _fields(text: str, delimiter: str) -> list[str]:
    try:
        return next(csv.reader([text], delimiter=delimiter, strict=True))
    except csv.Error as error:
        raise _Bad(f"not CSV: {error}") from error


def _json_object(line: bytes) -> dict[str, Any]:
    try:
        found = _loads(line)
    except (ValueError, RecursionError) as error:
        raise _Bad(f"not JSON: {error}") from error
    if type(found) is not dict:
        raise _Bad(f"no JSON object but {type(found).__name__}")
    return found


def _loads(line: bytes) -> Any:
    """Read JSON; NaN and the like, which only the standard library reads, are slow."""
    if _fast_loads is not None:
        with suppress(ValueError):
            return _fast_loads(line)
    return json.loads(_text(line))


def _json_number(name: str, value: Any) -> float:
    kind = type(value)
    if kind is float:
        return float(value)
    if value is None or (kind is str and value.strip().lower() in MISSING):
        return math.nan
    if kind is int:
        try:
            return float(value)
        except OverflowError:
            return math.inf
    raise _Bad(f"{_shown(value)} in the field {name!r} is no number")


def _json_time(value: Any) -> Any:
    if value is None or type(value) in (str, int) or (type(value) is float and math.isfinite(value)):
        return value
    raise _Bad(f"the time {_shown(value)} is neither text nor a number")


def _csv_number(name: str, text: str) -> float:
    stripped = text.strip()
    if stripped.lower() in MISSING:
        return math.nan
    try:
        if "_" in stripped:
            raise ValueError
        return float(stripped)
    except ValueError:
        raise _Bad(f"{_shown(text)} in the field {name!r} is no number") from None


def _refuse_infinite(names: Sequence[str], values: Sequence[float]) -> None:
    for name, value in zip(names, values):
        if math.isinf(value):
            raise _Bad(f"the field {name!r} is infinite")


def _time_name(names: Iterable[str]) -> str | None:
    """The first of `names` that is a usual one for stamps."""
    return next((name for name in names if name.lower() in TIME_NAMES), None)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."


def _listed(names: Sequence[str], most: int = 8) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(map(repr, names[:most])) + more
