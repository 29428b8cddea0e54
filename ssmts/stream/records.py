"""What a watch hands to its sinks: answers to readings, and news of incidents."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

from .answer import Answer, json_lines
from .incidents import News, incident_line

__all__ = ["OUTPUTS", "Record", "chosen", "record_lines"]

Record = Answer | News
OUTPUTS = ("readings", "incidents", "both")


def chosen(output: str, answers: Sequence[Answer], happened: Sequence[tuple[int, News]]) -> Sequence[Record]:
    """The records of one of `OUTPUTS`: news follow the answer to the reading with which they came."""
    if output == "readings" or not happened:
        return answers if output != "incidents" else []
    if output == "incidents":
        return [news for _, news in happened]
    records: list[Record] = []
    done = 0
    for position, news in happened:
        records += answers[done : position + 1]
        records.append(news)
        done = position + 1
    return [*records, *answers[done:]]


def record_lines(records: Sequence[Record]) -> list[str]:
    """Records as JSON objects in ASCII."""
    lines: list[str] = []
    for kind, some in groupby(records, type):
        each: list[Any] = list(some)
        lines += json_lines(each) if kind is Answer else [incident_line(news) for news in each]
    return lines
