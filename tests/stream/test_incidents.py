"""Incidents of a watch: those of the detector, with the stamps of the stream, however it is cut and whenever it goes on."""

import json
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ssmts import InnovationDetector
from ssmts.stream import Reading, Watch
from ssmts.stream.incidents import incident_line, learn_usual
from ssmts.stream.records import chosen, record_lines

RNG = np.random.default_rng(3)
N = 900
DATA = RNG.normal([20.0, 5.0], [1.0, 0.5], (N, 2))
DATA[100, 0] += 15.0  # a spike
DATA[300:400, 1] += 6.0  # a shift that ends
DATA[500:540, 0] = np.nan  # silence
DATA[700:760, 1] = 5.0  # stuck
TRAIN = RNG.normal([20.0, 5.0], [1.0, 0.5], (600, 2))
START = 1_700_000_000


def watch(clocked=True, **options):
    detector = InnovationDetector(false_alarm_rate=1e-4).fit(TRAIN)
    stamps = [START - 600 + t for t in range(600)] if clocked else None
    usual = learn_usual(TRAIN, stamps)
    return Watch(detector, sensors=["flow", "heat"], incidents=options, usual=usual, keys=True)


def readings(data=DATA, stamp=lambda t: START + t):
    return [Reading(t + 1, stamp(t), row) for t, row in enumerate(data.tolist())]


def lines(items, cuts=(), again=False, make=watch):
    """All that a watch says, in blocks; with `again`, by another watch after every block."""
    one, found = make(), []
    for a, b in pairwise([0, *sorted(cuts), len(items)]):
        answers = one.answer(items[a:b])
        found += record_lines(chosen("both", answers, one.happened))
        if again:
            state, one = one.state(), make()
            one.go_on(state)
    return found


WHOLE = lines(readings())


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, N), max_size=6), st.booleans())
def test_blocks_and_checkpoints_change_nothing(cuts, again):
    assert lines(readings(), cuts, again) == WHOLE


def test_single_readings_give_what_a_block_gives():
    assert lines(readings()[:450], range(450)) == lines(readings()[:450])


def test_news_are_the_incidents_of_the_detector_with_the_stamps_of_the_stream():
    news = [json.loads(line) for line in WHOLE if line.startswith('{"change"')]
    index = pd.to_datetime(np.arange(-600, N) + START, unit="s")
    detector = InnovationDetector(false_alarm_rate=1e-4).fit(pd.DataFrame(TRAIN, index[:600], ["flow", "heat"]))
    wanted = detector.incidents(pd.DataFrame(DATA, index[600:], ["flow", "heat"]))
    last = {each["incident"]: each for each in news}
    assert len(last) == len(wanted) > 3
    found = sorted(last.values(), key=lambda each: (each["start"], each["detected"]))
    for each, (_, row) in zip(found, wanted.iterrows()):
        assert each["kind"] == row["kind"]
        assert each["sensor"] == row["sensor"]
        for name in ("start", "detected"):
            assert each[name] == row[name].timestamp()
    kinds = [each["kind"] for each in found]
    assert {"spike", "dropout", "stuck"} <= set(kinds)
    opened = [each["incident"] for each in news if each["change"] == "opened"]
    assert len(opened) == len(set(opened))
    assert len({each["key"] for each in news}) == len(news)


def test_answers_carry_the_open_incident_of_their_sensor():
    open_now, seen = {}, 0
    for line in map(json.loads, WHOLE):
        if "change" in line:
            if line["change"] == "closed":
                open_now.pop(line["incident"])
            else:
                open_now[line["incident"]] = line["sensors"]
            continue
        if line["incident"] is not None:
            seen += 1
    assert seen > 50
    spike = json.loads(next(line for line in WHOLE if f'"time":{START + 100},' in line))
    assert spike["alert"]
    assert spike["incident"] in {json.loads(line)["incident"] for line in WHOLE if line.startswith('{"change"')}


def test_records_are_readings_or_incidents_or_both():
    one = watch()
    answers = one.answer(readings()[:200])
    assert chosen("readings", answers, one.happened) == answers
    assert chosen("incidents", answers, one.happened) == [news for _, news in one.happened]
    both = chosen("both", answers, one.happened)
    assert len(both) == len(answers) + len(one.happened)
    position, news = one.happened[0]
    assert both.index(news) == position + 1
    assert both[position] is answers[position]
    assert one.opened == sum(each.change == "opened" for _, each in one.happened)


@pytest.mark.parametrize("stamp", [lambda t: f"reading {t}", lambda t: START + 5 * t])
def test_rows_are_counted_where_nothing_was_learnt_by_a_clock(stamp):
    """Gaps in time are no silence then; stamps are handed through."""
    make = lambda: watch(clocked=False)  # noqa: E731
    found = [json.loads(line) for line in lines(readings(stamp=stamp), make=make) if line.startswith('{"change"')]
    wanted = [json.loads(line) for line in WHOLE if line.startswith('{"change"')]
    assert [(each["change"], each["kind"]) for each in found] == [(each["change"], each["kind"]) for each in wanted]
    assert found[0]["detected"] == stamp(100)


def test_a_clock_that_goes_back_stands_still_and_is_then_followed():
    items = readings()
    back = [each._replace(time=each.time - 10_000) if i >= 200 else each for i, each in enumerate(items)]
    found = [json.loads(line) for line in lines(back, [50, 333]) if line.startswith('{"change"')]
    assert {"spike", "dropout", "stuck"} <= {each["kind"] for each in found}
    assert lines(back, [50, 333]) == lines(back)


def test_rules_reach_the_tracker_and_stamps_that_go_back_are_not_learnt_from():
    assert (
        sum('"opened"' in line for line in lines(readings(), make=lambda: watch(floor=100.0, missing_after=None))) < 3
    )
    assert learn_usual(TRAIN, [3, 2, *range(598)])[1] is False
    assert learn_usual(TRAIN, ["soon"] * 600)[1] is False
    assert learn_usual(TRAIN, list(range(600)))[1] is True


def test_lines_are_json_whatever_is_in_them():
    one = watch()
    one.answer(readings())
    for _, news in one.happened:
        line = incident_line(news._replace(incident=news.incident | {"p_value": float("nan"), "sensor": ("a", 1)}))
        assert line.isascii()
        assert json.loads(line, parse_constant=pytest.fail)["p_value"] is None


def test_silence_of_the_whole_stream_is_told_while_it_lasts():
    quiet, usual = watch(), watch()
    first, later = readings()[:90], readings(stamp=lambda t: START + t + 60)[90:]
    quiet.answer(first)
    usual.answer(first)
    told = []
    for seconds in (0.5, 3.0, 40.0, 50.0):
        quiet.silence(seconds)
        told += [(seconds, news) for _, news in quiet.happened]
    (at, news), (_, other) = told if len(told) == 2 else (*told, (0, None))
    assert at == 40.0
    assert (news.change, news.incident["kind"], news.incident["detected"]) == ("opened", "dropout", START + 89)
    assert news.key.startswith("silence/")
    assert other is None or other.incident["kind"] == "dropout"
    # What follows is what it is without the look at the silence, but for the incident that is open already.
    answers, alone = quiet.answer(later), usual.answer(later)
    assert [each[:5] for each in answers] == [each[:5] for each in alone]
    ends = [each.incident["id"] for _, each in quiet.happened if each.change == "closed"]
    assert news.incident["id"] in ends
    assert {each.incident["id"] for _, each in usual.happened} <= {
        news.incident["id"],
        *(each.incident["id"] for _, each in quiet.happened),
    }


def test_silence_is_not_told_by_rows():
    said = []
    by_rows = watch(clocked=False)
    by_rows.note = lambda kind, text: said.append(text)
    by_rows.answer(readings()[:90])
    by_rows.silence(1e6)
    by_rows.silence(2e6)
    assert by_rows.happened == []
    assert len(said) == 1
    assert "silence of the whole stream is not told" in said[0]
