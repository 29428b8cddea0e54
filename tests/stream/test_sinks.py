"""Answers to JSON lines: exact numbers, null for what is not finite, and no way to print anything else."""

import io
import json
import math

from hypothesis import given
from hypothesis import strategies as st

from ssmts.stream import Answer, JsonLines
from ssmts.stream import answer as answer_module
from ssmts.stream.answer import json_line, json_lines

NUMBER = st.floats()
TIME = st.one_of(st.none(), st.text(), st.integers(), st.floats(allow_nan=False, allow_infinity=False))


def refuse(constant):
    raise AssertionError(f"{constant} is no JSON")


KEY = st.one_of(st.none(), st.integers(1), st.text(min_size=1))


@given(
    TIME,
    NUMBER,
    st.booleans(),
    st.one_of(st.none(), st.text()),
    NUMBER,
    NUMBER,
    NUMBER,
    NUMBER,
    st.one_of(st.none(), st.text()),
    KEY,
)
def test_a_line_holds_the_answer_exactly(time, p_value, alert, sensor, observed, expected, lower, upper, incident, key):
    answer = Answer(time, p_value, alert, sensor, observed, expected, lower, upper, "ok", incident, key)
    line = json_line(answer)
    assert line.isascii()
    assert len(line.splitlines()) == 1
    found = json.loads(line, parse_constant=refuse)
    wanted = answer._asdict()
    if key is None:
        del wanted["key"]
    assert list(found) == list(wanted)
    for name, value in wanted.items():
        missing = name != "time" and isinstance(value, float) and not math.isfinite(value)
        assert found[name] == (None if missing else value)


def test_lines_hold_the_same_without_orjson(monkeypatch):
    numbers = [0.0, -0.0, 1e-300, 1e300, 1e-5, 1e16, 0.1, 1 / 3, math.nan, math.inf, -math.inf, 5e-324]
    answers = [Answer(i, x, False, "a", x, x, x, x, "ok", None, str(i)) for i, x in enumerate(numbers)]
    with_it = json_lines(answers)
    monkeypatch.setattr(answer_module, "_fast_dumps", None)
    without = json_lines(answers)
    assert list(map(json.loads, with_it)) == list(map(json.loads, without))
    assert json_lines([]) == []
    assert [json_lines([each])[0] for each in answers] == without


def test_a_block_is_written_at_once_and_flushed():
    class File(io.BytesIO):
        calls = []

        def write(self, data):
            self.calls.append(data)

        def flush(self):
            self.calls.append("flush")

    JsonLines(File()).send([Answer("0"), Answer("1")])
    text, flushed = File.calls
    assert flushed == "flush"
    assert [json.loads(line)["time"] for line in text.splitlines()] == ["0", "1"]
    assert text.endswith(b"\n")
