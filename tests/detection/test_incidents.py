"""One alert for one fault: what the tracker opens, merges, names and closes."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ssmts import IncidentTracker, InnovationDetector, load, save
from ssmts.base_detector import Explained
from ssmts.detection.fault_kind import KINDS
from ssmts.detection.usual import learn
from ssmts.exceptions import InputError


@pytest.fixture(scope="module")
def detector():
    rng = np.random.default_rng(0)
    return InnovationDetector(false_alarm_rate=1e-4).fit(rng.normal(size=(1000, 3)) + [20.0, 5.0, -3.0])


def clean(n, seed=1):
    return np.random.default_rng(seed).normal(size=(n, 3)) + [20.0, 5.0, -3.0]


def test_clean_rows_are_no_incident(detector):
    assert detector.incidents(clean(3000)).empty


def test_a_level_shift_is_one_incident_that_ends_and_the_next_fault_is_found(detector):
    rows = clean(800)
    rows[100:, 1] += 12.0  # for good
    rows[500, 1] += 15.0
    found = detector.incidents(rows, release=100)
    assert found["kind"].tolist() == ["level_shift", "spike"]
    assert found["sensor"].tolist() == [1, 1]
    shift, spike = found["start"] - 1000
    assert (shift, spike) == (100, 500)
    # ten rows of alarms (`patience`), and a hundred more until the shift is accepted
    assert found["end"][0] - 1000 <= 100 + 10 + 100
    alarms = np.flatnonzero(detector.predict(rows[:400]) == -1)
    assert alarms.min() == 100
    assert alarms.max() < 110


def test_flapping_is_one_incident(detector):
    rows = clean(300)
    rows[100:160:5, 2] += 15.0
    found = detector.incidents(rows)
    assert len(found) == 1
    assert found["start"][0] - 1000 == 100
    assert found["end"][0] - 1000 == 155


def test_sensors_that_fail_together_are_one_incident(detector):
    rows = clean(300)
    rows[100:130, 0] += 10.0
    rows[104:130, 2] += 20.0
    together = detector.incidents(rows)
    assert len(together) == 1
    assert together["sensors"][0] == (0, 2)
    assert together["sensor"][0] == 2
    assert [name for name, _ in together["contributors"][0][:2]] == [2, 0]
    apart = detector.incidents(rows, merge_sensors=False)
    assert sorted(apart["sensor"]) == [0, 2]


def test_replayed_dropouts_are_one_incident_each_and_recovery_is_none(detector):
    rows = clean(600)
    for start in (100, 200, 300, 400):
        rows[start : start + 30, 1] = np.nan
        rows[start + 30, 1] += 9.0  # the first reading after a silence is odd
    found = detector.incidents(rows)
    assert found["kind"].tolist() == ["dropout"] * 4
    assert (found["start"] - 1000).tolist() == [100, 200, 300, 400]
    assert (found["end"] - 1000).tolist() == [129, 229, 329, 429]
    assert found["id"].is_unique


def test_suppressed_rows_open_nothing(detector):
    rows = clean(300)
    rows[100:120, 0] += 12.0
    rows[200, 1] += 12.0
    assert detector.incidents(rows)["sensor"].tolist() == [0, 1]
    assert detector.incidents(rows, suppress=[(1090, 1200)])["sensor"].tolist() == []
    assert detector.incidents(rows, suppress=[(1000, 1300, 1)])["sensor"].tolist() == [0]


def test_ids_are_the_same_in_a_replay(detector):
    rows = clean(300)
    rows[100:120, 0] += 12.0
    assert detector.incidents(rows)["id"].tolist() == detector.incidents(rows[:150])["id"].tolist()


def test_stamps_come_back_as_they_were():
    index = pd.date_range("2024-01-01", periods=700, freq="5min", tz="Europe/Berlin")
    X = pd.DataFrame({"flow": np.random.default_rng(0).normal(size=700)}, index)
    detector = InnovationDetector(false_alarm_rate=1e-4).fit(X[:500])
    X.iloc[600:620] += 20.0
    found = detector.incidents(X[500:], entity="pump")
    assert found["sensor"].tolist() == ["flow"]
    assert found["start"][0] == index[600]
    assert found["entity"][0] == "pump"


def explained(detector, rows):
    return detector._explain(detector.state_, detector._read_fitted(rows))[0]


def part(told, start, stop):
    return type(told)(*(field[start:stop] for field in told))


def faulty(seed, n=260):
    """Rows with a handful of faults of any kind, anywhere, some at once."""
    rng = np.random.default_rng(seed)
    rows = clean(n, seed)
    for _ in range(5):
        kind, sensor, start = rng.integers(6), rng.integers(3), rng.integers(5, n - 40)
        span = slice(start, start + int(rng.integers(1, 40)))
        column = rows[span, sensor]
        if kind == 0:
            column[0] += 15
        elif kind == 1:
            column += rng.choice([-12, 12])
        elif kind == 2:
            column += np.linspace(0, 10, len(column))
        elif kind == 3:
            column += rng.normal(size=len(column)) * 8
        elif kind == 4:
            column[:] = column[0]
        else:
            column[:] = np.nan
    return rows


def plain(events):
    """Events that compare equal where NaN stand in the same places."""
    return [(change, str(incident)) for change, incident in events]


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), cuts=st.lists(st.integers(1, 259), max_size=8, unique=True), data=st.booleans())
def test_any_blocks_give_the_same_incidents(detector, seed, cuts, data):
    rows = faulty(seed)
    told = explained(detector, rows)
    times = np.arange(len(rows)) * 60.0 + 1000 if data else None
    whole = IncidentTracker.of(detector, gap=8, refractory=5)
    expected = whole.update(told, rows, times)
    tracker, events = IncidentTracker.of(detector, gap=8, refractory=5), []
    bounds = [0, *sorted(cuts), len(rows)]
    for start, stop in pairwise(bounds):
        state = tracker.state_dict()  # and every block by a program that has just started
        tracker = IncidentTracker.of(detector, gap=8, refractory=5).load_state(state)
        events += tracker.update(
            part(told, start, stop), rows[start:stop], None if times is None else times[start:stop]
        )
    assert plain(events) == plain(expected)
    assert str(tracker.open) == str(whole.open)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000))
@example(seed=8009)  # a short mean that stays outside after its incident has closed
def test_what_holds_for_every_stream(detector, seed):
    rows = faulty(seed)
    tracker = IncidentTracker.of(detector)
    state = {}
    for change, incident in tracker.update(explained(detector, rows), rows):
        assert (change == "opened") == (incident.id not in state)
        assert state.get(incident.id) != "closed"
        state[incident.id] = change
        assert incident.start <= incident.detected
        assert incident.start <= incident.last_seen
        assert (incident.end is not None) == (change == "closed") == (incident.status == "ok")
        assert incident.sensor in incident.sensors
        assert incident.kind in KINDS
        shares = [share for _, share in incident.contributors]
        assert shares == sorted(shares, reverse=True)
        assert sum(shares) <= 1 + 1e-9
        if incident.kind != "dropout":
            assert incident.lower <= incident.expected <= incident.upper
            assert np.sign(incident.deviation) == np.sign(incident.observed - incident.expected)
    assert {each.id for each in tracker.open} == {key for key, change in state.items() if change != "closed"}


@pytest.mark.parametrize("seed", range(3))
def test_incidents_do_not_depend_on_units(seed):
    rng = np.random.default_rng(seed)
    X, rows = rng.normal(size=(600, 3)), faulty(seed) - [20.0, 5.0, -3.0]
    unit, offset = np.array([1e9, 1e-6, 7.0]), np.array([-3e9, 2e-6, 100.0])
    columns = ["kind", "sensor", "start", "end", "n_readings"]
    one = InnovationDetector(false_alarm_rate=1e-4).fit(X).incidents(rows)[columns]
    other = InnovationDetector(false_alarm_rate=1e-4).fit(X * unit + offset).incidents(rows * unit + offset)[columns]
    pd.testing.assert_frame_equal(one, other)


def test_absent_rows_are_silent_ones():
    index = pd.date_range("2024-01-01", periods=900, freq="1min")
    X = pd.DataFrame(np.random.default_rng(0).normal(size=(900, 2)), index)
    detector = InnovationDetector(false_alarm_rate=1e-4).fit(X[:500])
    silent, absent = X[500:].copy(), X[500:].drop(index[600:640])
    silent.loc[index[600:640]] = np.nan
    columns = ["id", "kind", "sensors", "start", "end"]
    one, other = (detector.incidents(rows)[columns] for rows in (silent, absent))
    pd.testing.assert_frame_equal(one, other)
    assert one.loc[0, "start"] == index[600]
    assert one.loc[0, "end"] == index[639]


def test_silence_is_noticed_while_no_rows_come(detector):
    tracker = IncidentTracker.of(detector)
    rows = clean(50)
    assert tracker.update(explained(detector, rows), rows, np.arange(50.0)) == []
    assert tracker.tick(53.0) == []
    first, *others = tracker.tick(60.0)
    assert (first.change, first.incident.kind, first.incident.status) == ("opened", "dropout", "no-data")
    assert others[-1].incident.sensors == (0, 1, 2)
    assert set(tracker.status.values()) == {"no-data"}
    assert tracker.tick(100.0) == []


def test_minimum_breaches_and_clears(detector):
    rows = clean(300)
    rows[[50, 100, 101, 102], 0] += 15.0
    found = detector.incidents(rows, breaches=3)
    assert (found["start"] - 1000).tolist() == [100]
    assert (found["detected"] - 1000).tolist() == [102]
    rows = clean(300)
    rows[[100, 103, 106, 109], 0] += 15.0
    assert len(detector.incidents(rows, gap=0, clears=3)) == 1
    assert len(detector.incidents(rows, gap=0, clears=1)) == 4


def test_a_clearer_level_closes(detector):
    rows = clean(200)
    told = explained(detector, rows)
    between = 0.5 * (detector.offset_ + min(detector.offset_ + np.log(10), 0))
    told.log_p[:], told.log_p_sensor[:] = 0.0, 0.0
    told.share[:] = [1.0, 0.0, 0.0]
    told.log_p[50] = told.log_p_sensor[50, 0] = detector.offset_ - 1
    told.log_p[51:100] = told.log_p_sensor[51:100, 0] = between  # neither
    rows[50, 0] += 15.0
    events = IncidentTracker.of(detector, gap=0).update(told, rows)
    assert [event.change for event in events] == ["opened", "closed"]
    tracker = IncidentTracker.of(detector, gap=0)
    tracker.update(part(told, 0, 100), rows[:100])
    assert len(tracker.open) == 1


def test_refractory_time(detector):
    rows = clean(300)
    rows[[100, 130, 180], 0] += 15.0
    assert len(detector.incidents(rows)) == 3
    assert (detector.incidents(rows, refractory=50)["start"] - 1000).tolist() == [100, 180]


def test_readings_nearer_than_the_floor_never_alert(detector):
    rows = clean(300)
    rows[100:110, 0] += 12.0
    rows[200:210, 1] += 12.0
    assert detector.incidents(rows, floor={0: 20.0})["sensor"].tolist() == [1]
    assert detector.incidents(rows, floor=20.0).empty


def test_a_drift_and_a_stuck_sensor_show_without_any_alarm(detector):
    rows = clean(500)
    rows[100:200, 1] += np.linspace(0, 6, 100)
    rows[300:340, 2] = rows[300, 2]
    told = explained(detector, rows)
    told.log_p[:] = 0.0
    events = IncidentTracker.of(detector).update(told, rows)
    closed = [incident for change, incident in events if change == "closed"]
    assert [(each.sensor, each.kind) for each in closed] == [(1, "drift"), (2, "stuck")]
    assert closed[0].contributors[0][0] == 1
    assert closed[1].contributors == ((2, 1.0),)  # whatever the others do meanwhile
    assert np.isnan(closed[0].p_value)
    assert 100 <= closed[0].start - 1000 <= 150
    assert (closed[1].start - 1000, closed[1].end - 1000) == (300, 339)
    quiet = IncidentTracker.of(detector, slow_level=None, stuck_after=None)
    assert quiet.update(told, rows) == []


def test_a_lasting_drift_is_accepted_at_last(detector):
    rows = clean(1500)
    rows[100:, 1] += 6.0
    told = explained(detector, rows)
    told.log_p[:] = 0.0
    closed = [incident for change, incident in IncidentTracker.of(detector).update(told, rows) if change == "closed"]
    assert len(closed) == 1
    assert closed[0].end - 1000 <= 100 + 200 + 20


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"gap": -1}, "gap must be a number"),
        ({"breaches": 0}, "breaches must be"),
        ({"floor": {"heat": 1.0}}, "names the sensor 'heat'"),
        ({"suppress": [(5, 3)]}, "ends before it starts"),
        ({"suppress": ["now"]}, "windows"),
        ({"sensors": ["a"]}, "watches 3 sensors"),
    ],
)
def test_bad_options_are_refused(detector, options, message):
    with pytest.raises(InputError, match=message):
        IncidentTracker.of(detector, **options)


def test_bad_rows_and_states_are_refused_and_nothing_is_lost(detector):
    tracker = IncidentTracker.of(detector)
    rows = clean(20)
    told = explained(detector, rows)
    with pytest.raises(InputError, match="values must have"):
        tracker.update(told, rows[:, :2])
    with pytest.raises(InputError, match="times must be"):
        tracker.update(told, rows, [1.0])
    with pytest.raises(InputError, match="Start anew"):
        tracker.load_state({"fields": [], "sensors": np.zeros((2, 2))})
    assert tracker.update(told, rows) == []


def test_a_saved_detector_finds_the_same(detector, tmp_path):
    rows = faulty(5)
    save(detector, tmp_path / "d.ssmts")
    pd.testing.assert_frame_equal(load(tmp_path / "d.ssmts").incidents(rows), detector.incidents(rows))


def obvious(levels, breaches, clears, gap, refractory):
    """Incidents of one sensor by levels of rows (-1 breach, 0 neither, 1 clear): (start, detected, last seen, closed at or None)."""
    out, t, quiet = [], 0, -np.inf
    while t < len(levels):
        run = levels[t : t + breaches]
        if t < quiet or run != [-1] * breaches:
            t += 1
            continue
        start, detected = t, t + breaches - 1
        last, clear, closed = detected, 0, None
        for now in range(detected + 1, len(levels)):
            if levels[now] == -1:
                last, clear = now, 0
            clear += levels[now] == 1
            if clear >= clears and now - last >= gap:
                closed = now
                break
        out.append((start, detected, last, closed))
        if closed is None:
            break
        t, quiet = closed + 1, last + refractory
    return out


@settings(max_examples=300, deadline=None)
@given(
    levels=st.lists(st.sampled_from([-1, 0, 1, 1, 1]), min_size=1, max_size=80),
    breaches=st.integers(1, 3),
    clears=st.integers(1, 4),
    gap=st.integers(0, 6),
    refractory=st.integers(0, 15),
)
def test_opening_and_closing_are_what_the_words_say(levels, breaches, clears, gap, refractory):
    n = len(levels)
    usual = learn(np.random.default_rng(0).normal(size=(200, 1)), None)
    log_p = np.array([{-1: -12.0, 0: -8.0, 1: -1.0}[each] for each in levels])  # alarm below -9.2, clear from -6.9 on
    flat = np.full((n, 1), float(usual.coef[0, 0]))  # readings that are nowhere off
    told = Explained(
        log_p, flat, flat - 3, flat + 3, 0 * flat, 0 * flat + 1, log_p[:, None], np.ones((n, 1), dtype=int)
    )
    tracker = IncidentTracker(
        usual, np.log(1e-4), breaches=breaches, clears=clears, gap=gap, refractory=refractory, merge_sensors=False,
        missing_after=None, stuck_after=None, slow_level=None,
    )  # fmt: skip
    events = tracker.update(told, flat, np.arange(n, dtype=float))
    at = dict(zip([event.incident.id for event in events if event.change == "closed"],
                  [t for t, event in zip(tracker.positions, events) if event.change == "closed"]))  # fmt: skip
    last = {event.incident.id: event.incident for event in events} | {each.id: each for each in tracker.open}
    found = [(each.start, each.detected, each.last_seen, at.get(each.id)) for each in last.values()]
    assert found == obvious(levels, breaches, clears, gap, refractory)


def test_a_sensor_that_wanders_alerts_ever_less(detector):
    rng = np.random.default_rng(3)
    rows = clean(20_000, 3)
    rows[:, 1] += 0.2 * rng.normal(size=20_000).cumsum()  # goes 28 standard deviations away
    told = explained(detector, rows)
    told.log_p[:] = 0.0
    opened = [t for t, event in _timed(IncidentTracker.of(detector), told, rows) if event.change == "opened"]
    assert 2 <= len(opened) <= 15  # 100 times as many rows as a lasting change takes to be accepted


def _timed(tracker, told, rows):
    events = tracker.update(told, rows)
    return zip(tracker.positions, events)


@pytest.mark.parametrize(
    "index",
    [
        pd.period_range("2024-01", periods=700, freq="D"),
        pd.Index(np.arange(700) * 10),
        pd.date_range("2024", periods=700, freq="h"),
    ],
    ids=["periods", "numbers", "stamps"],
)
def test_times_are_those_of_the_rows(index):
    X = pd.DataFrame({"flow": np.random.default_rng(0).normal(size=700)}, index)
    X.iloc[400] += 20.0  # within the training rows
    X.iloc[600:620] += 20.0
    detector = InnovationDetector(false_alarm_rate=1e-4).fit(X[:500])
    later = detector.incidents(X[500:])
    assert later["start"].tolist() == [index[600]]
    whole = detector.incidents(X)
    assert whole["start"].tolist() == [index[400], index[600]]
    assert whole["end"][0] == index[400]
    assert whole["end"][1] >= index[619]
    unfinished = detector.incidents(X[500:615])
    assert unfinished["status"].tolist() == ["alert"]
    assert unfinished["end"].isna().all()
