"""Stamps as they come, on one clock."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Any

__all__ = ["nanoseconds", "seconds_of"]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
SECOND = 1_000_000_000
# A number is taken for seconds since 1970 unless that would be after the year 5138; then for milli-, micro- or nanoseconds.
UNITS = ((10**11, SECOND), (10**14, 1_000_000), (10**17, 1_000))
PARTS = {
    "ns": 1,
    "us": 1_000,
    "ms": 1_000_000,
    "s": SECOND,
    "m": 60 * SECOND,
    "min": 60 * SECOND,
    "h": 3600 * SECOND,
    "d": 86400 * SECOND,
}


def nanoseconds(time: Any) -> int:
    """Nanoseconds since 1970 of a stamp: a number, or text in ISO 8601 or with a number; UTC unless it says otherwise.

    Raises
    ------
    ValueError
        It is no such stamp.

    Examples
    --------
    >>> nanoseconds("2024-01-01T00:00:00Z") == nanoseconds(1704067200) == nanoseconds("1704067200000")
    True
    """
    kind = type(time)
    if kind is str:
        try:
            stamp = datetime.fromisoformat(time)
        except ValueError:
            return _of_number(_number(time))
        if time.isdigit() and len(time) != 8:  # eight digits are a day
            return _of_number(int(time))
        if stamp.tzinfo is None:
            stamp = stamp.replace(tzinfo=UTC)
        return (stamp - EPOCH) // MICROSECOND * 1_000
    if kind is int or kind is float:
        return _of_number(time)
    raise ValueError("there is no time")


def seconds_of(text: str) -> float:
    """Seconds of a length of time such as 60s, 100ms, 5m, 1h or 2d; a bare number is seconds.

    Examples
    --------
    >>> seconds_of("5m"), seconds_of("100ms"), seconds_of("2")
    (300.0, 0.1, 2.0)
    """
    number = text.rstrip("nsumihd")
    unit = text[len(number) :] or "s"
    if unit not in PARTS:
        raise ValueError(f"{text!r} is no length of time")
    length = float(number) * PARTS[unit] / SECOND
    if not 0 <= length < math.inf:
        raise ValueError(f"{text!r} is no length of time")
    return length


def _number(text: str) -> float:
    try:
        return int(text)
    except ValueError:
        return float(text)


def _of_number(number: float) -> int:
    size = abs(number)
    for bound, unit in UNITS:
        if size < bound:
            return number * unit if type(number) is int else round(number * unit)
    if size < 2.0**63:
        return int(number)
    raise ValueError(f"{number} is no time")
