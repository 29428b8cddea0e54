"""Measures of alarms against loops over the definitions, confusion matrices of scikit-learn, and examples by hand."""

import itertools

import numpy as np
import pandas as pd
import pytest
import sklearn.metrics as skm
from hypothesis import given, settings
from hypothesis import strategies as st

from ssmts.evaluation.anomaly import (
    alerts_per_sensor_day,
    detection_delay,
    event_f1,
    false_alarm_rate,
    missed_alarm_rate,
    point_adjusted_f1,
)
from ssmts.exceptions import InputError

ROWS = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=2, max_size=40).filter(
    lambda rows: len({y for y, _ in rows}) == 2
)
OF_PAIRS = [event_f1, point_adjusted_f1, false_alarm_rate, missed_alarm_rate, detection_delay]


def runs(y):
    """Rows of each run of ones."""
    return [[i for i, _ in group] for one, group in itertools.groupby(enumerate(y), lambda pair: pair[1]) if one]


def f1(precision, recall):
    return 0.0 if precision + recall == 0 else 2 / (1 / precision + 1 / recall) if precision and recall else 0.0


@given(ROWS)
@settings(deadline=None)
def test_every_measure_equals_a_loop_over_its_definition(rows):
    y, alarms = [int(a) for a, _ in rows], [int(b) for _, b in rows]
    events = runs(y)
    found = [event for event in events if any(alarms[i] for i in event)]
    inside, outside = (sum(1 for a, b in zip(y, alarms) if b and a == one) for one in (1, 0))

    precision = inside / (inside + outside) if inside + outside else 0.0
    assert event_f1(y, alarms) == pytest.approx(f1(precision, len(found) / len(events)))

    adjusted = list(alarms)
    for event in found:
        for i in event:
            adjusted[i] = 1
    assert point_adjusted_f1(y, alarms) == pytest.approx(skm.f1_score(y, adjusted, zero_division=0.0))

    (tn, fp), (fn, tp) = skm.confusion_matrix(y, alarms, labels=[0, 1])
    assert missed_alarm_rate(y, alarms) == pytest.approx(fn / (fn + tp))
    assert false_alarm_rate(y, alarms) == pytest.approx(fp / (fp + tn))

    delays = [next((i - event[0] for i in event if alarms[i]), np.nan) for event in events]
    np.testing.assert_array_equal(detection_delay(y, alarms), delays)

    raised = sum(1 for before, now in zip([0, *alarms], alarms) if now and not before)
    assert alerts_per_sensor_day(alarms, step="8h") == pytest.approx(raised / (len(alarms) / 3))


def test_random_scores_win_the_point_adjusted_f1():
    """Three events of 300 rows: a detector that finds the end of two of them, and no false alarm, loses to the lottery."""
    y = np.zeros(10_000, dtype=int)
    for start in (2000, 5000, 8000):
        y[start : start + 300] = 1
    lottery = np.random.default_rng(0).uniform(size=len(y))
    detector = np.zeros(len(y), dtype=int)
    detector[2200:2300] = detector[5250:5300] = 1
    best = {
        measure: max(measure(y, lottery >= threshold) for threshold in np.linspace(0.9, 1, 101)[:-1])
        for measure in (point_adjusted_f1, event_f1)
    }
    assert best[point_adjusted_f1] > 0.9 > point_adjusted_f1(y, detector)
    assert best[event_f1] < 0.25 < 0.79 < event_f1(y, detector)


def test_series_and_arrays_give_the_same():
    rng = np.random.default_rng(1)
    y, alarms = (rng.uniform(size=(2, 60)) < 0.4).astype(int)
    stamps = pd.date_range("2024-01-01", periods=60, freq="h")
    for measure in OF_PAIRS[:-1]:
        expected = measure(y, alarms)
        for true, flags in [
            (pd.Series(y, stamps), pd.Series(alarms, stamps)),
            (pd.Series(y, stamps), alarms.astype(bool)),
            (y.tolist(), pd.Series(alarms, stamps)),
            (y.astype(float), pd.Series(alarms, stamps, dtype="boolean")),
        ]:
            assert measure(true, flags) == expected


def test_delays_in_the_time_of_the_stamps():
    stamps = pd.DatetimeIndex(
        ["2024-01-01 00:00", "2024-01-01 00:01", "2024-01-01 00:07", "2024-01-01 01:00", "2024-01-01 02:00"]
    )
    y = pd.Series([0, 1, 1, 0, 1], stamps)
    delays = detection_delay(y, [0, 0, 1, 1, 0])
    assert list(delays.index) == [stamps[1], stamps[4]]
    assert delays.iloc[0] == pd.Timedelta("6min")
    assert delays.isna().tolist() == [False, True]
    pd.testing.assert_series_equal(detection_delay(y.to_numpy(), pd.Series([0, 0, 1, 1, 0], stamps)), delays)
    numbered = detection_delay(y.set_axis(range(10, 15)), [0, 0, 1, 1, 0])
    pd.testing.assert_series_equal(numbered, pd.Series([1.0, np.nan], [11, 14]))


def test_alerts_over_sensors_and_stamps():
    alarms = pd.DataFrame({"a": [1, 1, 0, 1], "b": [0, 0, 0, 1]}, pd.date_range("2024-01-01", periods=4, freq="6h"))
    assert alerts_per_sensor_day(alarms) == 1.5  # three alerts of two sensors on one day
    assert alerts_per_sensor_day(alarms.to_numpy(), step=pd.Timedelta("6h")) == 1.5
    assert alerts_per_sensor_day(alarms["a"], step="12h") == 1.0
    uneven = alarms["a"].set_axis(pd.DatetimeIndex(["2024-01-01", "2024-01-02", "2024-01-03", "2024-01-09"]))
    assert alerts_per_sensor_day(uneven) == 2 / 9  # the last row lasts the median gap of a day
    for wrong, options, what in [
        ([0, 1], {}, "Pass step"),
        ([0, 1], {"step": "-1h"}, "above zero; received '-1h'"),
        ([0, 1], {"step": 3600}, "received 3600"),
        ([0, 1], {"step": "often"}, "such as '5min', above zero; received 'often'"),
        (alarms.iloc[:1], {}, "Pass step"),
        (alarms.set_axis(alarms.index[[0, 0, 0, 0]]), {}, "have the stamp 2024-01-01"),
        (np.zeros((0, 2)), {"step": "1h"}, r"\(0, 2\)"),
        (np.zeros((1, 2, 3)), {"step": "1h"}, r"\(1, 2, 3\)"),
        ([0, np.nan], {"step": "1h"}, "nan in row 1"),
    ]:
        with pytest.raises(InputError, match=what):
            alerts_per_sensor_day(wrong, **options)


@pytest.mark.parametrize("measure", OF_PAIRS)
def test_bad_rows_are_refused(measure):
    stamps = pd.date_range("2024-01-01", periods=2)
    for y, alarms, what in [
        ([0, 1], [0, 1, 1], "predictions has 3 rows, labels has 2"),
        ([0, 1], [0, np.nan], "predictions has nan in row 1"),
        ([np.nan, 1], [0, 1], "labels has nan in row 0"),
        ([0, 1], [1, -1], r"predictions has -1.0 in row 1.*predict\(X\) == -1"),
        ([0, 1], [0.2, 1], "predictions has 0.2"),
        ([0, 1], ["no", "yes"], "predictions is not numeric"),
        (np.zeros((2, 2)), [0, 1], r"labels has the shape \(2, 2\)"),
        (pd.Series([0, 1], stamps), pd.Series([0, 1], stamps[::-1]), "different indexes"),
    ]:
        with pytest.raises(InputError, match=what):
            measure(y, alarms)
    wrong = [1, 1] if measure is false_alarm_rate else [0, 0]
    with pytest.raises(InputError, match=f"All 2 rows of labels are {'anomalous' if wrong[0] else 'normal'}"):
        measure(wrong, [0, 1])


def test_rows_of_one_kind_where_one_is_enough():
    assert false_alarm_rate([0, 0, 0, 0], [0, 1, 0, 0]) == 0.25
    assert missed_alarm_rate([1, 1], [0, 1]) == 0.5
    assert detection_delay([1, 1], [0, 1]).tolist() == [1.0]
    for measure in (event_f1, point_adjusted_f1):
        with pytest.raises(InputError, match="All 2 rows of labels are anomalous"):
            measure([1, 1], [0, 1])


@pytest.mark.data
def test_alarm_rates_on_the_water_test_bed(data_folder):
    """Hotelling's T2 at its .999 quantile in 400 training rows of each file of SKAB: another scorer gave F1 .758, 42.8 and 16.5 %."""
    truth, alarms = [], []
    for path in sorted((data_folder / "skab" / "data").rglob("*.csv")):
        table = pd.read_csv(path, sep=";", index_col=0)
        if "anomaly" not in table:  # the file without anomalies
            continue
        values = table.iloc[:, :8].to_numpy()
        centred = values - values[:400].mean(axis=0)
        distance = np.sum(centred @ np.linalg.pinv(np.cov(values[:400].T)) * centred, axis=1)
        truth.append(table["anomaly"].to_numpy()[400:])
        alarms.append(distance[400:] > np.quantile(distance[:400], 0.999))
    y, flags = np.concatenate(truth), np.concatenate(alarms)
    assert len(y) == 23_801
    assert skm.f1_score(y, flags) == pytest.approx(0.758, abs=1e-3)
    assert false_alarm_rate(y, flags) == pytest.approx(0.428, abs=1e-3)
    assert missed_alarm_rate(y, flags) == pytest.approx(0.165, abs=1e-3)
