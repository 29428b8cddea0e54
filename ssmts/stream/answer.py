"""What a watch says of one reading."""

from __future__ import annotations

import json
import math
from json.encoder import encode_basestring_ascii as _quoted
from typing import Any, NamedTuple

__all__ = ["Answer", "json_line"]


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
    time, p_value, alert, sensor, *range_, status, incident, key = answer
    observed, expected, lower, upper = map(_number, range_)
    end = "" if key is None else f',"key":{json.dumps(key)}'
    return (
        f'{{"time":{_quoted(time) if type(time) is str else json.dumps(time)},"p_value":{_number(p_value)},'
        f'"alert":{"true" if alert else "false"},"sensor":{"null" if sensor is None else _quoted(sensor)},'
        f'"observed":{observed},"expected":{expected},"lower":{lower},"upper":{upper},"status":"{status}",'
        f'"incident":{"null" if incident is None else _quoted(incident)}{end}}}'
    )


def _number(value: float) -> str:
    return repr(value) if value - value == 0.0 else "null"  # the difference is NaN for NaN and infinities
