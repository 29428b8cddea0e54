"""CSV: a header, then a row a line, with a column for every sensor, or with one of names and one of values."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from typing import Any, Self

from ...exceptions import InputError
from ._values import Bad, csv_number, listed, refuse_infinite, text_of, time_name

__all__ = ["LongCsv", "WideCsv", "delimiter_of", "header_fields"]

DELIMITERS = ",;\t|"


class WideCsv:
    """Rows with a column for every sensor.

    A line of names later on, as where a file was begun anew, is a header for what follows; sensors that it lacks are silent.

    Parameters
    ----------
    header : str
        First line.
    time : str, optional
        Column of stamps.
    sensors : sequence of str, optional
        Columns of the sensors; all but the time unless given.
    """

    def __init__(self, header: str, time: str | None, sensors: Sequence[str] | None) -> None:
        names = header_fields(header)
        time = time or time_name(names)
        self.sensors = tuple(sensors) if sensors is not None else tuple(name for name in names if name != time)
        self.time = time
        wanted = [*self.sensors, *([] if time is None else [time])]
        if absent := [name for name in wanted if name not in names]:
            raise InputError(
                f"The header of the stream has no column {listed(absent)}; its columns are {listed(names)}. Name those to read with "
                "--time and --sensors."
            )
        _refuse_double(names, wanted)
        if not self.sensors:
            raise InputError(f"The header of the stream has no column besides the time {time!r}.")
        self._begin(header)

    @classmethod
    def going_on(cls, header: str, time: str | None, sensors: Sequence[str]) -> Self:
        """A parser in the midst of a stream, whose header may lack sensors."""
        parser = cls.__new__(cls)
        parser.sensors, parser.time = tuple(sensors), time
        parser._begin(header)
        return parser

    def parse(self, line: bytes) -> tuple[Any, list[float]]:
        """Stamp and values of a line; Bad without a text for a header."""
        text = text_of(line).rstrip("\r")
        fields = text.split(self._delimiter) if '"' not in text else _fields(text, self._delimiter)
        if len(fields) != self._width:
            if self._is_header(text):
                raise Bad
            raise Bad(f"{len(fields)} field(s), the header has {self._width}")
        try:
            if "_" in text:
                raise ValueError
            values = [float(fields[column]) for column in self._columns]
        except (ValueError, TypeError):
            if self._is_header(text):
                raise Bad from None
            values = [
                math.nan if column is None else csv_number(name, fields[column])
                for name, column in zip(self.sensors, self._columns)
            ]
        if not math.isfinite(sum(values)):
            refuse_infinite(self.sensors, values)
        return None if self._time_column is None else fields[self._time_column], values

    def _begin(self, header: str) -> None:
        self.header = header
        self._delimiter = delimiter_of(header)
        names = header_fields(header)
        self._width = len(names)
        self._columns: Any = [names.index(name) if name in names else None for name in self.sensors]
        self._time_column = None if self.time is None else names.index(self.time)

    def _is_header(self, text: str) -> bool:
        """Whether a line names the columns again; if so it holds for what follows."""
        if text == self.header:
            return True
        names = _names_or_none(text)
        again = names is not None and any(name in names for name in self.sensors)
        if again and (self.time is None or self.time in (names or ())):
            self._begin(text)
            return True
        return False


class LongCsv:
    """Rows with the name of a sensor and its value."""

    sensors = None

    def __init__(self, header: str, time: str | None, sensor: str, value: str) -> None:
        names = header_fields(header)
        self.header, self.time = header, time or time_name(names)
        wanted = [sensor, value, *([] if self.time is None else [self.time])]
        if absent := [name for name in wanted if name not in names]:
            raise InputError(
                f"The header of the stream has no column {listed(absent)}; its columns are {listed(names)}. Name those to read with "
                "--time and --long."
            )
        _refuse_double(names, wanted)
        self._delimiter, self._width, self._value_name = delimiter_of(header), len(names), value
        self._sensor, self._value = names.index(sensor), names.index(value)
        self._time = None if self.time is None else names.index(self.time)

    def parse(self, line: bytes) -> tuple[Any, list[tuple[str, float]]]:
        """Stamp and named value of a line; Bad without a text for a header."""
        text = text_of(line).rstrip("\r")
        if text == self.header:
            raise Bad
        fields = text.split(self._delimiter) if '"' not in text else _fields(text, self._delimiter)
        if len(fields) != self._width:
            raise Bad(f"{len(fields)} field(s), the header has {self._width}")
        name = fields[self._sensor].strip()
        if not name:
            raise Bad("the line names no sensor")
        value = csv_number(self._value_name, fields[self._value])
        if math.isinf(value):
            raise Bad(f"the field {self._value_name!r} is infinite")
        return None if self._time is None else fields[self._time], [(name, value)]


def delimiter_of(header: str) -> str:
    """The comma, semicolon, tab or bar that a header line holds most of; a comma if it has none."""
    return max(DELIMITERS, key=header.count)


def header_fields(header: str) -> list[str]:
    """Names in a header line."""
    return [name.strip() for name in _fields(header, delimiter_of(header))]


def _names_or_none(text: str) -> list[str] | None:
    try:
        return header_fields(text)
    except Bad:
        return None


def _refuse_double(names: Sequence[str], wanted: Sequence[str]) -> None:
    if double := [name for name in wanted if names.count(name) > 1]:
        raise InputError(f"The header of the stream has the column {double[0]!r} twice. Rename one of them.")


def _fields(text: str, delimiter: str) -> list[str]:
    try:
        return next(csv.reader([text], delimiter=delimiter, strict=True))
    except csv.Error as error:
        raise Bad(f"not CSV: {error}") from error
