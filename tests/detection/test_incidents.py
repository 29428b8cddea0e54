"""One alert for one fault: what the tracker opens, merges, names and closes."""

import numpy as np
import pandas as pd
import pytest

from ssmts import IncidentTracker, InnovationDetector


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


def test_a_tracker_follows_the_stream_like_the_whole(detector):
    rows = clean(300)
    rows[100:120, 0] += 12.0
    whole = IncidentTracker.of(detector).update(
        detector._explain(detector.state_, detector._read_fitted(rows))[0], rows
    )
    assert [event.change for event in whole] == ["opened", "changed", "closed"]
