"""What a watch hands to its sinks: answers to readings, and news of incidents."""

from __future__ import annotations

from collections.abc import Sequence

from .answer import Answer, json_line
from .incidents import News, incident_line

__all__ = ["OUTPUTS", "Record", "chosen", "record_line"]

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


def record_line(record: Record) -> str:
    """A record as a JSON object in ASCII."""
    return json_line(record) if type(record) is Answer else incident_line(record)  # type: ignore[arg-type]
