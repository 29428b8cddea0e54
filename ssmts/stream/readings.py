"""What sources yield: readings, parts of readings, and lines that are neither."""

from __future__ import annotations

from typing import Any, NamedTuple

__all__ = ["BadLine", "Item", "Part", "Reading", "Time", "place"]

Time = str | int | float | None  # a stamp as it came


class Reading(NamedTuple):
    """One row of values, in the order of the source's `sensors`; NaN where a sensor was silent."""

    line: Any  # number counted from 1, or the place of a message
    time: Time
    values: list[float]


class Part(NamedTuple):
    """Values of some sensors by name: a piece of the row of its time."""

    line: Any
    time: Time
    values: list[tuple[str, float]]


class BadLine(NamedTuple):
    """A line that is no reading."""

    line: Any
    reason: str


Item = Reading | Part | BadLine


def place(line: Any) -> str:
    """Where something came from, for a message: ``line 7``, or the place of a message as it is."""
    return f"line {line}" if type(line) is int else str(line)
