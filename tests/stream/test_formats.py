"""Long streams, Influx line protocol, new fields, and parsers that go on from their state."""

import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssmts.exceptions import InputError
from ssmts.stream import BadLine, LineSource, Part, Reading
from ssmts.stream.formats import LineParser


def items(text, **options):
    source = LineSource(io.BytesIO(text.encode()).read, **options)
    return [item for block in source for item in block], source


def reasons(found):
    return [item.reason for item in found if isinstance(item, BadLine)]


# long ----------------------------------------------------------------------------------------------------------------


def test_long_json_is_told_by_its_fields_or_by_name():
    text = '{"time": 0, "sensor": "a", "value": 1.5, "unit": "C"}\n{"time": 1, "sensor": 7, "value": null}\n'
    found, source = items(text)
    assert found[0] == Part(1, 0, [("a", 1.5)])
    assert found[1].values[0][0] == "7"
    assert source.sensors is None
    found, _ = items('{"t": 0, "tag": "a", "v": 2}', time="t", long=("tag", "v"))
    assert found == [Part(1, 0, [("a", 2.0)])]
    found, _ = items('{"time": 0, "sensor": 3, "value": 1.5}', sensors=["value", "sensor"])
    assert found[0].values == [1.5, 3.0], "a field that is asked for by name is a sensor"


def test_long_json_bad_lines():
    head = '{"time": 0, "sensor": "a", "value": 1}\n'
    lines = [
        '{"time": 0, "value": 1}', '{"time": 0, "sensor": "", "value": 1}', '{"time": 0, "sensor": "a"}',
        '{"time": 0, "sensor": "a", "value": "x"}', '{"time": 0, "sensor": "a", "value": 1e999}',
    ]  # fmt: skip
    assert reasons(items(head + "\n".join(lines))[0]) == [
        "the object names no sensor in the field 'sensor'",
        "the object names no sensor in the field 'sensor'",
        "the object has no field 'value'",
        "'x' in the field 'value' is no number",
        "the field 'value' is infinite",
    ]


def test_long_csv():
    found, _ = items('ds;unique_id;y\n0;a;1.5\n0;"b;c";2\n0;;1\n0;a;x\n0;a;inf\nds;unique_id;y\n1;a;\n')
    assert found[:2] == [Part(2, "0", [("a", 1.5)]), Part(3, "0", [("b;c", 2.0)])]
    assert reasons(found) == [
        "the line names no sensor",
        "'x' in the field 'y' is no number",
        "the field 'y' is infinite",
    ]
    assert found[-1].line == 8
    with pytest.raises(InputError, match=r"no column 'v'.*--long"):
        items("time,sensor,value\n", long=("sensor", "v"))


@pytest.mark.parametrize(
    "first", ["08:00,1.5", "2024-01-01T00:00:00Z;2;3", "1.5", "-3e2,4", "2024-01-01 08:00:05.25,7"]
)
def test_a_stream_without_names_is_refused_and_not_taken_for_bad_lines(first):
    with pytest.raises(InputError, match=r"values and no names.*Put a line of names first"):
        items(f"{first}\n{first}\n")


@pytest.mark.parametrize(("names", "row"), [("0,1,2", "1,2,3"), ("time,0.5,1.0", "1,2,3"), ("08:00,flow", "1,2")])
def test_numbers_may_be_among_the_names(names, row):
    found, _ = items(f"{names}\n{row}\n")
    assert [type(each) for each in found] == [Reading]


# Influx --------------------------------------------------------------------------------------------------------------


def test_influx_fields_of_numbers_are_sensors():
    text = (
        'cpu,host=a,core=0 usage=1.5,idle=2i,up=t,who="x y, z=1" 1700000000000000000\nflow value=-3e2 17\n# comment\n'
    )
    found, _ = items(text, format="influx")
    assert found == [
        Part(1, 1700000000000000000, [("cpu,host=a,core=0.usage", 1.5), ("cpu,host=a,core=0.idle", 2.0)]),
        Part(2, 17, [("flow", -300.0)]),
    ]


def test_influx_escapes():
    found, _ = items(r"my\ flow,place=hall\,\ 2 in\=out=1,value=2u 5", format="influx")
    assert found == [Part(1, 5, [("my flow,place=hall, 2.in=out", 1.0), ("my flow,place=hall, 2", 2.0)])]


def test_influx_bad_lines():
    lines = ["a", "a b=1", "a b=1 x", "a b=one 1", "a b=t 1", "a =1 1", "a b 1", "a b=inf 1", "a b=1 1 1"]
    assert reasons(items("\n".join(lines), format="influx")[0]) == [
        "1 part(s) between spaces; expected measurement, fields and a time",
        "the line has no time",
        "the time 'x' is no whole number",
        "'one' in the field 'b' is no number",
        "no field holds a number",
        "'=1' is no field",
        "'b' is no field",
        "the field 'b' is infinite",
        "4 part(s) between spaces; expected measurement, fields and a time",
    ]


NAME = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"], exclude_characters="\\\"#'"), min_size=1)


@given(
    st.lists(st.tuples(NAME, NAME, st.floats(allow_nan=False, allow_infinity=False), st.integers(0, 2**62)), max_size=9)
)
def test_influx_reads_back_what_is_escaped_by_the_rules(points):
    def escaped(name, marks):
        return "".join("\\" + c if c in marks else c for c in name)

    lines = [f"{escaped(m, ', ')} {escaped(f, ',= ')}={v!r} {t}" for m, f, v, t in points]
    found, _ = items("\n".join(lines), format="influx")
    assert found == [Part(i + 1, t, [(m if f == "value" else f"{m}.{f}", v)]) for i, (m, f, v, t) in enumerate(points)]


@given(st.binary(max_size=200), st.sampled_from(["influx", "long"]))
def test_no_bytes_stop_a_long_stream(noise, kind):
    head = b"a b=1 1\n" if kind == "influx" else b'{"time": 0, "sensor": "a", "value": 1}\n'
    source = LineSource(io.BytesIO(head + noise + b"\n" + head).read, format="influx" if kind == "influx" else "auto")
    found = [item for block in source for item in block]
    assert isinstance(found[-1], Part)


# fields that appear --------------------------------------------------------------------------------------------------


def test_new_fields_of_numbers_are_told_once_or_become_sensors():
    lines = [
        {"time": 0, "a": 1},
        {"time": 1, "a": 1, "note": "x"},
        {"time": 2, "a": 1, "b": 2.5},
        {"time": 3, "a": 2, "b": 3},
    ]
    text = "\n".join(map(json.dumps, lines))
    found, source = items(text, others=True)
    assert source.appeared() == ["b"]
    assert source.appeared() == []
    assert [item.values for item in found] == [[1.0], [1.0], [1.0], [2.0]]
    found, source = items(text, adopt=True)
    assert source.sensors == ("a", "b")
    assert [item.values for item in found] == [[1.0], [1.0], [1.0, 2.5], [2.0, 3.0]]


def test_names_without_end_are_told_of_up_to_a_bound(monkeypatch):
    monkeypatch.setattr("ssmts.stream.formats._json.MOST", 5)
    text = "\n".join(json.dumps({"time": t, "a": 1.0, f"x{t}": 2.0}) for t in range(20))
    found, source = items(text, adopt=True, sensors=["a"])
    assert len(source.appeared()) == 5
    assert {len(item.values) for item in found} == {2, 3, 4, 5, 6}


# state ---------------------------------------------------------------------------------------------------------------

STREAMS = {
    "wide json": ('{"time": 0, "a": 1}\n{"time": 1, "a": 2, "b": 3}\n{"time": 2, "a": 4, "b": 5}\n', {"others": True}),
    "long json": (
        '{"t": 0, "s": "a", "v": 1}\nwhat\n{"t": 1, "s": "b", "v": 2}\n',
        {"long": ("s", "v"), "time": "t", "format": "ndjson"},
    ),
    "wide csv": ("time;a;b\n0;1;2\nb;time\n5;1\n6;2\n", {}),
    "long csv": ("time,sensor,value\n0,a,1\n1,b,2\n", {}),
    "influx": ("a b=1 1\n\na b=2 2\n", {"format": "influx"}),
}


@pytest.mark.parametrize("name", STREAMS)
def test_a_parser_goes_on_from_its_state_at_every_line(name):
    text, options = STREAMS[name]
    whole = LineParser(**options)
    wanted = [whole.item(line) for line in text.encode().splitlines()]
    parser, found = LineParser(**options), []
    for line in text.encode().splitlines():
        found.append(parser.item(line))
        state = json.loads(json.dumps(parser.state()))
        parser = LineParser(**options)
        parser.restore(state)
    assert repr(found) == repr(wanted)
    assert (parser.lines, parser.bad, parser.sensors and tuple(parser.sensors)) == (
        whole.lines,
        whole.bad,
        whole.sensors,
    )
