"""The watch: the numbers of the detector, in any blocks, through warm-up, silence, strange times and huge values."""

import io
import math
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ssmts import InnovationDetector, load, save
from ssmts.exceptions import InputError
from ssmts.stream import LineSource, Reading, Sink, Watch, run

RNG = np.random.default_rng(7)
NORMAL = RNG.normal([20.0, 5.0, -3.0], [1.0, 2.0, 0.5], (400, 3))
NEW = RNG.normal([20.0, 5.0, -3.0], [1.0, 2.0, 0.5], (60, 3))
NEW[10, 1] = 60.0
NEW[20:25, 0] = np.nan
NEW[30] = np.nan
NEW[40, 2] = -40.0
NAMES = ["flow", "heat", "load"]


def readings(values, times=None):
    times = range(len(values)) if times is None else times
    return [
        Reading(i + 1, time, row) for i, (time, row) in enumerate(zip(times, np.asarray(values, dtype=float).tolist()))
    ]


def fitted(**parameters):
    return InnovationDetector(**({"false_alarm_rate": 1e-4} | parameters)).fit(NORMAL)


def in_blocks(watch, items, cuts):
    edges = [0, *sorted(cuts), len(items)]
    return [answer for a, b in pairwise(edges) for answer in watch.answer(items[a:b])]


def test_answers_are_those_of_the_detector():
    detector = fitted()
    watch = Watch(detector, sensors=NAMES)
    answers = watch.answer(readings(NEW))
    log_p = detector.score_samples(NEW)
    parts = detector.explain(NEW)
    for t, answer in enumerate(answers):
        assert answer.time == t
        if t == 30:
            continue
        assert answer.p_value == pytest.approx(math.exp(log_p[t]), rel=1e-12)
        assert answer.alert == (log_p[t] < detector.offset_)
        assert answer.status == ("alert" if answer.alert else "ok")
        row = parts.loc[t].iloc[NAMES.index(answer.sensor)]
        assert row["share"] == parts.loc[t]["share"].max()
        assert answer[4:8] == tuple(row[["observed", "expected", "lower", "upper"]])
    assert [t for t, answer in enumerate(answers) if answer.alert] == [10, 40]
    assert (answers[10].sensor, answers[10].observed) == ("heat", 60.0)
    assert answers[10].lower < answers[10].expected < answers[10].upper < 60.0
    assert answers[40].sensor == "load"
    assert (watch.readings, watch.alerts) == (60, 2)


def test_a_row_without_any_value_has_no_answer_but_its_time():
    answer = Watch(fitted(), sensors=NAMES).answer(readings(NEW))[30]
    assert (answer.time, answer.status, answer.alert, answer.sensor) == (30, "no-data", False, None)
    assert all(
        math.isnan(value) for value in (answer.p_value, answer.observed, answer.expected, answer.lower, answer.upper)
    )


@settings(max_examples=15)
@given(st.lists(st.integers(0, 60), max_size=6))
def test_blocks_of_any_size_give_the_same_answers(cuts):
    one = in_blocks(Watch(fitted(), sensors=NAMES), readings(NEW), cuts)
    whole = Watch(fitted(), sensors=NAMES).answer(readings(NEW))
    assert repr(one) == repr(whole)


@settings(max_examples=10)
@given(st.lists(st.integers(0, 460), max_size=5))
def test_a_warm_up_is_a_fit_on_the_first_readings(cuts):
    watch = Watch(InnovationDetector(false_alarm_rate=1e-4), warmup=400, sensors=NAMES)
    answers = in_blocks(watch, readings(np.vstack([NORMAL, NEW])), cuts)
    assert all(
        answer.status == "warming" and not answer.alert and math.isnan(answer.p_value) for answer in answers[:400]
    )
    later = [answer._replace(time=answer.time - 400) for answer in answers[400:]]
    assert repr(later) == repr(Watch(fitted(), sensors=NAMES).answer(readings(NEW)))
    assert (watch.readings, watch.alerts, watch.warming) == (460, 2, False)


def test_the_detector_handed_in_is_left_as_it_was():
    detector, plain = fitted(), InnovationDetector()
    before = detector.score_samples(NEW)
    Watch(detector, sensors=NAMES).answer(readings(NEW))
    Watch(plain, warmup=400).answer(readings(NORMAL))
    np.testing.assert_array_equal(detector.score_samples(NEW), before)
    assert not hasattr(plain, "offset_")


def test_warm_up_skips_readings_without_values_and_names_a_single_sensor():
    watch = Watch(InnovationDetector(), warmup=5, sensors=["flow"])
    answers = watch.answer(readings([[1.0], [math.nan], [2.0], [1.5], [1.2], [1.1], [1.3]]))
    assert [a.status for a in answers] == ["warming", "no-data", *["warming"] * 4, answers[-1].status]
    assert (answers[0].sensor, answers[0].observed) == ("flow", 1.0)
    assert answers[1].sensor is None
    assert answers[-1].status in ("ok", "alert")


def test_a_sensor_silent_during_the_warm_up_is_left_out():
    values = np.vstack([NORMAL, NEW])
    values[:400, 1] = np.nan
    values[7, 1] = 3.0
    watch = Watch(InnovationDetector(false_alarm_rate=1e-4), warmup=400, sensors=NAMES)
    answers = watch.answer(readings(values))
    assert watch.silent == ("heat",)
    assert watch.sensors == ("flow", "load")
    alone = Watch(InnovationDetector(false_alarm_rate=1e-4).fit(NORMAL[:, [0, 2]]), sensors=["flow", "load"])
    wanted = alone.answer(readings(NEW[:, [0, 2]], range(400, 460)))
    assert repr(answers[400:]) == repr(wanted)


def test_a_warm_up_in_which_no_sensor_says_enough_begins_anew():
    watch = Watch(InnovationDetector(), warmup=4, sensors=["a", "b"])
    sparse = [[1.0, math.nan], [math.nan, 1.0]] * 2
    answers = watch.answer(readings([*sparse, *RNG.normal(size=(5, 2)).tolist()]))
    assert [a.status for a in answers[:8]] == ["warming"] * 8
    assert answers[8].status in ("ok", "alert")


def test_a_detector_fitted_on_stamps_counts_rows_and_takes_any_times():
    index = pd.date_range("2024-01-01", periods=400, freq="5min", tz="Europe/Berlin")
    detector = InnovationDetector(false_alarm_rate=1e-4).fit(pd.DataFrame(NORMAL, index, NAMES))
    times = ["b", "b", None, -1, "a"] * 12
    answers = Watch(detector, sensors=NAMES).answer(readings(NEW, times))
    assert [answer.time for answer in answers] == times
    wanted = Watch(fitted(), sensors=NAMES).answer(readings(NEW, times))
    np.testing.assert_allclose([a.p_value for a in answers], [a.p_value for a in wanted], rtol=1e-6)
    assert detector.last_time_ == index[-1]


def test_a_watch_saved_and_loaded_goes_on_where_it_stopped(tmp_path):
    whole = Watch(InnovationDetector(), warmup=300, sensors=NAMES)
    answers = whole.answer(readings(np.vstack([NORMAL, NEW])))
    part = Watch(InnovationDetector(), warmup=300, sensors=NAMES)
    part.answer(readings(NORMAL))
    save(part.detector, tmp_path / "watch.ssmts")
    detector = load(tmp_path / "watch.ssmts")
    assert list(detector.columns_) == NAMES
    later = Watch(detector, sensors=detector.columns_).answer(readings(NEW, range(400, 460)))
    assert repr(later) == repr(answers[400:])


@pytest.mark.parametrize("value", [1e300, -1e300, 1e9, 5e-324])
def test_a_huge_value_alerts_and_the_watch_goes_on(value):
    watch = Watch(fitted(), sensors=NAMES)
    before = watch.answer(readings(NEW[:5]))
    shock = watch.answer(readings([[value, 5.0, -3.0]]))[0]
    after = watch.answer(readings(NORMAL[:30]))
    assert not any(answer.alert for answer in before)
    assert shock.alert
    assert shock.sensor == "flow"
    assert not any(answer.alert for answer in after[1:])
    assert all(math.isfinite(answer.expected) for answer in after)


def test_constant_sensors_are_watched():
    watch = Watch(InnovationDetector(), warmup=50, sensors=["valve"])
    answers = watch.answer(readings([[3.0]] * 100 + [[4.0]]))
    assert {answer.status for answer in answers[50:100]} == {"ok"}
    assert answers[100].status == "alert"


def test_a_wrong_warm_up_or_number_of_sensors_is_refused():
    with pytest.raises(InputError, match="is fitted, so there is nothing to warm up"):
        Watch(fitted(), warmup=10)
    with pytest.raises(InputError, match="is not fitted, so it needs a warm-up"):
        Watch(InnovationDetector())
    with pytest.raises(InputError, match="at least 3 readings"):
        Watch(InnovationDetector(), warmup=2)
    with pytest.raises(InputError, match="expecting 3 features"):
        Watch(fitted()).answer(readings([[1.0, 2.0]]))


def test_run_answers_good_lines_and_reports_the_others():
    class Kept(list, Sink):
        def send(self, answers):
            self.append(list(answers))

    text = "time,flow,heat,load\n" + "".join(f"{t},{','.join(map(str, row))}\n" for t, row in enumerate(NEW))
    lines = text.splitlines()
    lines[12] = "what?"
    data = io.BytesIO("\n".join(lines).encode())
    source, watch, sink, texts = LineSource(lambda: data.read(300)), Watch(fitted()), Kept(), []
    run(source, watch, sink, texts.append)
    answers = [answer for block in sink for answer in block]
    assert len(sink) > 2
    assert [int(answer.time) for answer in answers] == [t for t in range(60) if t != 11]
    assert texts == ["line 13: 1 field(s), the header has 4"]
    assert watch.sensors == tuple(NAMES)
    kept = np.delete(NEW, 11, axis=0)
    np.testing.assert_allclose(
        [a.p_value for a in answers], [a.p_value for a in Watch(fitted()).answer(readings(kept))], rtol=1e-12
    )


def test_run_tells_which_sensors_are_left_out_once():
    class Last(Sink):
        def send(self, answers):
            self.last = answers[-1]

    rows = "".join(f'{{"a": {value}, "b": null}}\n' for value in RNG.normal(size=60))
    data = io.BytesIO(rows.encode())
    texts, sink = [], Last()
    run(LineSource(lambda: data.read(200)), Watch(InnovationDetector(), warmup=20), sink, texts.append)
    assert len(texts) == 1
    assert texts[0].endswith("during the warm-up: b")
    assert sink.last.sensor == "a"


# sensors that appear, and state --------------------------------------------------------------------------------------

MANY = np.vstack([RNG.normal([20.0, 5.0, -3.0], [1.0, 2.0, 0.5], (700, 3)), NEW])
APPEARING = [Reading(i + 1, i, row[: 2 if i < 300 else 3]) for i, row in enumerate(MANY.tolist())]


def adopting(told=None):
    note = None if told is None else lambda kind, text: told.append(text)
    return Watch(InnovationDetector(), warmup=150, new_sensors="adopt", memory=100, incidents={}, keys=True, note=note)


def answers_of(watch, items, cuts=(), again=False, make=adopting):
    edges, answers = [0, *sorted(cuts), len(items)], []
    for a, b in pairwise(edges):
        watch.expect(NAMES[: 2 if b <= 300 else 3])
        answers += watch.answer(items[a:b])
        answers += [(a + position, news) for position, news in watch.happened]
        if again:
            state, watch = watch.state(), make()
            watch.go_on(state)
    return sorted(answers, key=repr)


@settings(max_examples=10)
@given(st.lists(st.integers(0, 760), max_size=5), st.booleans())
def test_a_sensor_is_adopted_at_the_same_reading_in_any_blocks_and_watches(cuts, again):
    assert repr(answers_of(adopting(), APPEARING, cuts, again)) == repr(answers_of(adopting(), APPEARING))


def test_an_adopted_sensor_is_watched_as_if_fitted_on_the_last_readings():
    told = []
    watch = adopting(told)
    watch.expect(NAMES[:2])
    watch.answer(APPEARING[:300])
    watch.expect(NAMES)
    answers = watch.answer(APPEARING[300:])
    (text,) = told
    assert text == "now watched, too: load; learnt from the last 100 readings"
    assert watch.sensors == tuple(NAMES)
    first = next(i for i, answer in enumerate(answers) if answer.sensor == "load")
    assert first >= 40
    assert any(answer.sensor == "load" and answer.alert for answer in answers[-30:]), "its fault is found"


@pytest.mark.parametrize("policy", ["report", "ignore"])
def test_other_sensors_are_told_of_once_or_passed_over(policy):
    told = []
    watch = Watch(InnovationDetector(), warmup=150, new_sensors=policy, note=lambda kind, text: told.append(text))
    watch.expect(NAMES[:2])
    watch.answer(APPEARING[:300])
    for a in range(300, 760, 100):
        watch.expect(NAMES)
        answers = watch.answer(APPEARING[a : a + 100])
    assert watch.sensors == ("flow", "heat")
    assert told == (["the sensor 'load' appeared, and is not watched"] if policy == "report" else [])
    assert {answer.sensor for answer in answers} <= {"flow", "heat", None}
    with pytest.raises(InputError, match="new_sensors must be one of"):
        Watch(InnovationDetector(), warmup=10, new_sensors="marry")


def test_a_sensor_that_falls_silent_is_told_of_once_and_when_it_is_back():
    told = []
    watch = Watch(fitted(), sensors=NAMES, note=lambda kind, text: told.append(text))
    data = RNG.normal([20.0, 5.0, -3.0], [1.0, 2.0, 0.5], (900, 3))
    data[200:500, 1] = np.nan
    data[600:, 2] = np.nan
    for a in range(0, 900, 30):
        watch.answer(readings(data[a : a + 30]))
    assert [text.partition(" for ")[0] for text in told] == [
        "the sensor 'heat' has been silent", "the sensor 'heat' is back", "the sensor 'load' has been silent",
    ]  # fmt: skip
    assert watch.quiet == 1


@settings(max_examples=10)
@given(st.integers(0, 460))
def test_a_watch_goes_on_from_its_state_within_and_after_the_warm_up(cut):
    make = lambda: Watch(InnovationDetector(), warmup=200, sensors=NAMES)  # noqa: E731
    items = readings(np.vstack([NORMAL, NEW]))
    whole = make().answer(items)
    one, other = make(), make()
    first = one.answer(items[:cut])
    other.go_on(one.state())
    assert repr(first + other.answer(items[cut:])) == repr(whole)
    assert other.readings == 460
