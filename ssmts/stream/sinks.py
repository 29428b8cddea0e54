"""Sinks: where the answers of a watch go."""

from __future__ import annotations

import json
from collections.abc import Iterable
from json.encoder import encode_basestring_ascii as _quoted
from typing import BinaryIO

from .watch import Answer

__all__ = ["JsonLines", "json_line"]


class JsonLines:
    """Writes one JSON object a line for every answer, and flushes after each block.

    Parameters
    ----------
    file : binary file

    Examples
    --------
    >>> import sys
    >>> from ssmts.stream.sinks import json_line
    >>> from ssmts.stream.watch import Answer
    >>> print(json_line(Answer("08:00", sensor="flow", observed=1.5, status="warming")))
    {"time":"08:00","p_value":null,"alert":false,"sensor":"flow","observed":1.5,"expected":null,"lower":null,"upper":null,"status":"warming"}
    """

    def __init__(self, file: BinaryIO) -> None:
        self.file = file

    def send(self, answers: Iterable[Answer]) -> None:
        """Write answers, and hand them on at once."""
        self.file.write("".join([json_line(answer) + "\n" for answer in answers]).encode("ascii"))
        self.file.flush()


def json_line(answer: Answer) -> str:
    """An answer as a JSON object in ASCII; null for what is not known or not finite."""
    time, p_value, alert, sensor, *range_, status = answer
    observed, expected, lower, upper = map(_number, range_)
    return (
        f'{{"time":{_quoted(time) if type(time) is str else json.dumps(time)},"p_value":{_number(p_value)},'
        f'"alert":{"true" if alert else "false"},"sensor":{"null" if sensor is None else _quoted(sensor)},'
        f'"observed":{observed},"expected":{expected},"lower":{lower},"upper":{upper},"status":"{status}"}}'
    )


def _number(value: float) -> str:
    return repr(value) if value - value == 0.0 else "null"  # the difference is NaN for NaN and infinities
