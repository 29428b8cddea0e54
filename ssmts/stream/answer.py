"""What a watch says of one reading."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from json.encoder import encode_basestring_ascii as _quoted
from typing import Any, NamedTuple

__all__ = ["Answer", "json_line", "json_lines"]

_fast_dumps: Callable[[Any], bytes] | None
try:
    from orjson import dumps as _fast_dumps
except ImportError:
    _fast_dumps = None


class Answer(NamedTuple):
    """What a watch says of one reading.

    Attributes
    ----------
    time : str, int, float or None
        As it came.
    p_value : float
        Probability of a reading at least as strange where all is well; NaN while warming and without any value.
    alert : bool
        Whether the p-value is below the alarm level.
    sensor : str or None
        The sensor that adds most to the strangeness.
    observed, expected, lower, upper : float
        Of that sensor: its value, what was expected, and the range that holds with the probability that the alarm level leaves;
        NaN where unknown.
    status : str
        "warming" (learnt from, not scored), "ok", "alert", or "no-data" (all sensors silent).
    incident : str or None
        The open incident that the sensor takes part in.
    key : int, str or None
        Where the reading came from: the same for the same reading, should it be answered twice; not written where it is None.
    """

    time: Any
    p_value: float = math.nan
    alert: bool = False
    sensor: str | None = None
    observed: float = math.nan
    expected: float = math.nan
    lower: float = math.nan
    upper: float = math.nan
    status: str = "ok"
    incident: str | None = None
    key: int | str | None = None


def json_line(answer: Answer) -> str:
    """An answer as a JSON object in ASCII; null for what is not known or not finite.

    Examples
    --------
    >>> print(json_line(Answer("08:00", sensor="flow", observed=1.5, status="warming")))
    {"time":"08:00","p_value":null,"alert":false,"sensor":"flow","observed":1.5,"expected":null,"lower":null,"upper":null,"status":"warming","incident":null}
    """
    return json_lines([answer])[0]


def json_lines(answers: Sequence[Answer]) -> list[str]:
    """Answers as JSON objects, field by field: numbers of a field are written together, which takes a fraction of the time."""
    if not answers:
        return []
    times, p_values, alerts, sensors, observed, expected, lower, upper, statuses, incidents, keys = zip(*answers)
    numbers = map(_numbers, (p_values, observed, expected, lower, upper))
    names = {name: "null" if name is None else _quoted(name) for name in {*sensors, *incidents}}
    return [
        f'{{"time":{_quoted(time) if type(time) is str else _plain(time)},"p_value":{p_value},"alert":{_TRUTH[alert]},'
        f'"sensor":{names[sensor]},"observed":{value},"expected":{mid},"lower":{low},"upper":{high},"status":"{status}",'
        f'"incident":{names[incident]}{"}" if key is None else _ended(key)}'
        for time, alert, sensor, status, incident, key, p_value, value, mid, low, high in zip(
            times, alerts, sensors, statuses, incidents, keys, *numbers
        )
    ]


_TRUTH = ("false", "true")


def _numbers(values: Sequence[float]) -> list[str]:
    """Numbers as JSON, null where not finite; orjson writes 1e-05 as 0.00001, which reads the same."""
    if _fast_dumps is not None:
        text: str = _fast_dumps(values).decode()
        return text[1:-1].split(",")
    return [repr(value) if value - value == 0.0 else "null" for value in values]  # the difference is NaN for infinities


def _plain(time: Any) -> str:
    return repr(time) if type(time) is int else json.dumps(time)


def _ended(key: int | str) -> str:
    return f',"key":{key}}}' if type(key) is int else f',"key":{json.dumps(key)}}}'
