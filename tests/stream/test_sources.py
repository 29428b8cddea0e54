"""Lines to readings: formats, missing values, every kind of bad line, and bytes that arrive in any pieces."""

import csv
import io
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssmts.exceptions import InputError
from ssmts.stream import BadLine, LineSource, Reading, formats
from ssmts.stream.formats import _json


def pieces(text, size=7):
    """A `read` that gives a text in pieces of a few bytes."""
    data = io.BytesIO(text if isinstance(text, bytes) else text.encode())
    return lambda: data.read(size)


def items(text, size=7, **options):
    source = LineSource(pieces(text, size), **options)
    found = [item for block in source for item in block]
    assert source.bad == sum(isinstance(item, BadLine) for item in found)
    return found, source


def same(one, other):
    """Equal readings, NaN being equal to NaN."""
    return repr(one) == repr(other)


def reasons(found):
    return {item.line: item.reason for item in found if isinstance(item, BadLine)}


# CSV ---------------------------------------------------------------------------------------------------------------


def test_csv_reads_the_columns_besides_the_time():
    found, source = items("flow,Timestamp,heat\n1.5,08:00,3\n-2e3,08:01,4\n")
    assert found == [Reading(2, "08:00", [1.5, 3.0]), Reading(3, "08:01", [-2000.0, 4.0])]
    assert source.sensors == ("flow", "heat")
    assert source.lines == 3


def test_csv_without_a_time_column_has_no_times():
    assert items("a,b\n1,2\n")[0] == [Reading(2, None, [1.0, 2.0])]


def test_csv_takes_named_columns_in_the_order_asked_for():
    found, _ = items("when,a,b,machine\n1,2,3,press\n", time="when", sensors=["b", "a"])
    assert found == [Reading(2, "1", [3.0, 2.0])]


@pytest.mark.parametrize("text", ["", " ", "nan", "NaN", "null", "NA", "n/a", "None"])
def test_csv_missing_values_are_silent_sensors(text):
    (reading,), _ = items(f"time,a,b\n0,{text},1\n")
    assert math.isnan(reading.values[0])
    assert reading.values[1] == 1.0


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_csv_finds_its_delimiter(delimiter):
    text = "\n".join(delimiter.join(row) for row in [("time", "a", "b"), ("t", "1", "2")])
    assert items(text)[0] == [Reading(2, "t", [1.0, 2.0])]


def test_csv_quotes_carriage_returns_and_a_byte_order_mark():
    found, source = items('\ufefftime,"flow, in"\r\n"8 o\'clock, ""sharp""",3\r\n\r\n9,4')
    assert source.sensors == ("flow, in",)
    assert found == [Reading(2, '8 o\'clock, "sharp"', [3.0]), Reading(4, "9", [4.0])]


def test_csv_bad_lines_have_their_number_and_reason_and_end_nothing():
    text = b'time,a\n0,1\n1\n2,3,4\n3,x\n4,1_0\n5,inf\n6,1e999\n"7,1\n\xff,1\n9,2\n'
    found, source = items(text)
    assert reasons(found) == {
        3: "1 field(s), the header has 2",
        4: "3 field(s), the header has 2",
        5: "'x' in the field 'a' is no number",
        6: "'1_0' in the field 'a' is no number",
        7: "the field 'a' is infinite",
        8: "the field 'a' is infinite",
        9: "not CSV: unexpected end of data",
        10: "not UTF-8 at byte 1",
    }
    assert [item.time for item in found if isinstance(item, Reading)] == ["0", "9"]
    assert source.bad == 8


def test_csv_header_without_the_columns_asked_for_is_refused():
    with pytest.raises(InputError, match=r"no column 'c'; its columns are 'time', 'a', 'b'.*--sensors"):
        items("time,a,b\n", sensors=["a", "c"])
    with pytest.raises(InputError, match="no column 'when'"):
        items("time,a\n", time="when")
    with pytest.raises(InputError, match="column 'a' twice"):
        items("time,a,a\n")
    with pytest.raises(InputError, match="no column besides the time"):
        items("time\n")


@given(
    st.lists(
        st.tuples(
            st.text(st.characters(codec="utf-8", exclude_characters="\r\n\x00")),
            st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=2, max_size=2),
        )
    ),
    st.integers(1, 50),
)
def test_csv_reads_what_the_csv_module_writes(rows, size):
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([("time", "a", "b"), *((time, *values) for time, values in rows)])
    assert items(text.getvalue(), size)[0] == [Reading(i + 2, time, values) for i, (time, values) in enumerate(rows)]


# NDJSON ------------------------------------------------------------------------------------------------------------


def test_json_reads_the_fields_besides_the_time():
    found, source = items(
        '{"a": 1, "ts": 5, "timestamp": "08:00", "b": null}\n{"b": 2.5, "timestamp": 17, "extra": "x"}\n'
    )
    assert source.sensors == ("a", "ts", "b")
    assert same(found, [Reading(1, "08:00", [1.0, 5.0, math.nan]), Reading(2, 17, [math.nan, math.nan, 2.5])])


def test_json_takes_named_fields():
    found, _ = items('{"when": 1.5, "a": 2, "machine": "press"}', time="when", sensors=["a"])
    assert found == [Reading(1, 1.5, [2.0])]


def test_json_is_told_by_its_first_line_or_by_name():
    assert items(' {"a": 1}')[0] == [Reading(1, None, [1.0])]
    found, _ = items('oops\n{"a": 1}\n', format="ndjson")
    assert [type(item) for item in found] == [BadLine, Reading]
    with pytest.raises(InputError, match="format must be"):
        LineSource(pieces(""), format="xml")


@pytest.mark.parametrize("text", ["null", "NaN", '""', '"nan"', '"N/A"'])
def test_json_missing_values_are_silent_sensors(text):
    (_, reading), _ = items('{"a": 1, "b": 1}\n{"a": ' + text + ', "b": 2}\n')
    assert math.isnan(reading.values[0])


def test_json_bad_lines_have_their_number_and_reason_and_end_nothing():
    lines = [
        '{"time": 0, "a": 1}', '{"time": 1, "a": ', "[1, 2]", "7", '{"time": 1, "a": "x"}', '{"time": 1, "a": true}',
        '{"time": 1, "a": Infinity}', '{"time": 1, "a": 1e999}', '{"time": [1], "a": 1}', '{"time": 1, "b": 1}',
        '{"a": 1%s}' % ("0" * 400), "[" * 100_000, '{"time": NaN, "a": 1}', '{"time": 2, "a": 2}',
    ]  # fmt: skip
    found, _ = items("\n".join(lines), size=1000)
    texts = reasons(found)
    assert list(texts) == list(range(2, 14))
    assert texts[2].startswith("not JSON: ")
    assert texts[3] == "no JSON object but list"
    assert texts[4] == "no JSON object but int"
    assert texts[5] == "'x' in the field 'a' is no number"
    assert texts[6] == "True in the field 'a' is no number"
    assert texts[7] == texts[8] == texts[11] == "the field 'a' is infinite"
    assert texts[9] == "the time [1] is neither text nor a number"
    assert texts[10] == "the object has none of the fields 'a'"
    assert texts[12].startswith("not JSON: ")
    assert texts[13] == "the time nan is neither text nor a number"
    assert [item.time for item in found if isinstance(item, Reading)] == [0, 2]


def test_json_text_fields_of_the_first_object_ask_for_names():
    found, source = items('{"machine": "press", "a": 1}\n{"time": 0}\n{"a": 2}\n')
    assert "--sensors" in reasons(found)[1]
    assert "no field besides the time" in reasons(found)[2]
    assert source.sensors == ("a",)


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.floats(),
    st.integers(-(2**60), 2**60),
    st.text(max_size=4),
    st.lists(st.none(), max_size=1),
)


@given(st.lists(st.one_of(st.dictionaries(st.sampled_from(["time", "a", "b"]), VALUES), VALUES)))
def test_json_is_read_alike_with_and_without_orjson(objects):
    text = "\n".join(map(json.dumps, objects))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_json, "_fast_loads", None)
        slow = items(text, format="ndjson", sensors=["a", "b"])[0]
    assert same(items(text, format="ndjson", sensors=["a", "b"])[0], slow)


# bytes -------------------------------------------------------------------------------------------------------------


@given(st.binary(max_size=300), st.sampled_from(["ndjson", "csv", "auto"]), st.integers(1, 40))
def test_no_bytes_stop_a_source(noise, format, size):
    head = b"time,a\n0,1\n" if format == "csv" else b'{"time": 0, "a": 1}\n'
    text = head + noise + b"\n" + head.splitlines()[-1]
    found, source = items(text, size, format=format)
    whole, _ = items(text, len(text), format=format)
    assert same(found, whole)
    assert source.lines == text.count(b"\n") + 1
    assert found[-1].values == [1.0]


def test_each_piece_is_answered_without_waiting_for_the_next():
    arrived = iter([b"time,a\n0,1\n1,", b"2\n2,3\n", b"3,4\n"])
    blocks = iter(LineSource(lambda: next(arrived)))
    assert [item.time for item in next(blocks)] == ["0"]
    assert [item.time for item in next(blocks)] == ["1", "2"]
    assert [item.time for item in next(blocks)] == ["3"]


def test_the_last_line_needs_no_end_but_an_interrupted_one_is_dropped():
    assert items("time,a\n0,1\n1,23")[0][-1] == Reading(3, "1", [23.0])
    arrived = iter([b"time,a\n0,1\n1,2", None])
    assert [item.time for block in LineSource(lambda: next(arrived)) for item in block] == ["0"]


@pytest.mark.parametrize("ends", [True, False])
def test_a_line_too_long_is_bad_and_not_kept(monkeypatch, ends):
    monkeypatch.setattr(formats, "LONGEST_LINE", 50)
    text = "time,a\n0,1\n" + "x" * 1000 + ("\n2,3\n" if ends else "")
    found, source = items(text)
    assert reasons(found) == {3: "longer than 50 bytes"}
    assert found[0] == Reading(2, "0", [1.0])
    assert found[2:] == ([Reading(4, "2", [3.0])] if ends else [])
    assert source.lines == (4 if ends else 3)
