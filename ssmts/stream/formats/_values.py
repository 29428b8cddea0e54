"""Single fields: numbers, missing values and stamps, and why one is none."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from typing import Any

__all__ = [
    "TIME_NAMES",
    "Bad",
    "all_values",
    "csv_number",
    "json_number",
    "json_time",
    "listed",
    "refuse_infinite",
    "shown",
    "text_of",
    "time_name",
]

TIME_NAMES = ("ds", "time", "timestamp", "date", "datetime")
"""Names, in any capitals, by which a column of stamps is known."""

MISSING = frozenset({"", "nan", "null", "none", "na", "n/a"})


_VALUE = re.compile(r"[+-]?\d+([.,]\d+)*(e[+-]?\d+)?|\d+([-./:]\d+){1,2}Z?([ T].*)?", re.IGNORECASE)


class Bad(Exception):
    """Why the line at hand is no reading."""


def all_values(names: Sequence[str]) -> bool:
    """Whether the names in a header are numbers and times, and so rather a first row; whole numbers alone may be names."""
    return all(map(_VALUE.fullmatch, names)) and not all(map(str.isdigit, names))


def text_of(line: bytes) -> str:
    """A line as text."""
    try:
        return line.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Bad(f"not UTF-8 at byte {error.start + 1}") from error


def json_number(name: str, value: Any) -> float:
    """The number that a JSON value is, NaN if it is missing."""
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
    raise Bad(f"{shown(value)} in the field {name!r} is no number")


def json_time(value: Any) -> Any:
    """A stamp as it came."""
    if value is None or type(value) in (str, int) or (type(value) is float and math.isfinite(value)):
        return value
    raise Bad(f"the time {shown(value)} is neither text nor a number")


def csv_number(name: str, text: str) -> float:
    """The number that a text is, NaN if it is missing."""
    stripped = text.strip()
    if stripped.lower() in MISSING:
        return math.nan
    try:
        if "_" in stripped:  # Python takes 1_0 for a number
            raise ValueError
        return float(stripped)
    except ValueError:
        raise Bad(f"{shown(text)} in the field {name!r} is no number") from None


def refuse_infinite(names: Sequence[str], values: Sequence[float]) -> None:
    """Raise for the first value that is infinite."""
    for name, value in zip(names, values):
        if math.isinf(value):
            raise Bad(f"the field {name!r} is infinite")


def time_name(names: Iterable[str]) -> str | None:
    """The first of `names` that is a usual one for stamps."""
    return next((name for name in names if name.lower() in TIME_NAMES), None)


def shown(value: Any) -> str:
    """A value for a message, cut."""
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."


def listed(names: Sequence[str], most: int = 8) -> str:
    """Names for a message, the first few."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(map(repr, names[:most])) + more
