"""Fleets: answers for each sensor are those of a detector of its own, and the state is that of `update`."""

import numpy as np
import pandas as pd
import pytest

from ssmts import Autoregressive, InnovationDetector, StructuralForecaster, load, save
from ssmts.exceptions import InputError


def fleet(n, d, seed=0, holes=0.05):
    """Random walks with noise of different units, with faults and readings that did not come."""
    rng = np.random.default_rng(seed)
    X = np.cumsum(rng.normal(size=(n, d)) * rng.uniform(0, 1, d), axis=0) + rng.normal(size=(n, d))
    X[rng.random(X.shape) < 0.01] += 12.0
    X[n // 2 :, 0] += 30.0
    X[rng.random(X.shape) < holes] = np.nan
    return X * 10.0 ** rng.integers(-6, 9, d) + rng.normal(size=d)


@pytest.mark.parametrize(
    ("model", "calibration"),
    [
        ("local_level", "tail"),
        ("local_level", "nominal"),
        (Autoregressive(order=2), "tail"),
        (StructuralForecaster(trend="local_level"), "tail"),
    ],
)
def test_each_sensor_is_answered_as_by_a_detector_of_its_own(model, calibration):
    d = 19 if model == "local_level" else 3
    X = fleet(500, d)
    make = {"model": model, "calibration": calibration, "false_alarm_rate": 1e-3}
    got = InnovationDetector(**make).fit(X[:300]).update_sensors(X[300:])
    assert got.alarm.any()
    for i in range(d):
        own = InnovationDetector(**make).fit(X[:300, [i]])
        told = own.observe(X[300:, [i]])
        np.testing.assert_array_equal(got.deviation[:, i], told.deviation[:, 0])
        np.testing.assert_array_equal(got.log_p[:, i], told.log_p_sensor[:, 0])
        with np.errstate(invalid="ignore"):
            outside = (X[300:, [i]] < told.lower) | (X[300:, [i]] > told.upper)
            np.testing.assert_array_equal(got.alarm[:, i], told.log_p_sensor[:, 0] < own.offset_)
        np.testing.assert_array_equal(got.alarm[:, i], outside[:, 0])


def test_alarms_are_the_same_without_p_values():
    X = fleet(400, 30, seed=1)
    full, fast = (InnovationDetector().fit(X[:300]) for _ in range(2))
    told, alarms = full.update_sensors(X[300:]), fast.update_sensors(X[300:], p_values=False)
    np.testing.assert_array_equal(alarms.alarm, told.alarm)
    np.testing.assert_array_equal(alarms.deviation, told.deviation)
    assert alarms.log_p.shape == (0, 30)
    np.testing.assert_array_equal(np.isnan(told.log_p), np.isnan(told.deviation))


def test_row_by_row_equals_rows_at_once_and_may_alternate_with_update():
    X = fleet(500, 21, seed=2)
    a, b = (InnovationDetector().fit(X[:300]) for _ in range(2))
    whole = a.update_sensors(X[300:400])
    parts = [b.update_sensors(row[None]) for row in X[300:400]]
    for field, pieces in zip(whole, zip(*parts)):
        np.testing.assert_array_equal(np.concatenate(pieces), field)
    np.testing.assert_array_equal(a.update(X[400:]), b.update(X[400:]))


def test_frames_with_stamps_and_a_detector_saved_midway(tmp_path):
    X = pd.DataFrame(fleet(450, 4, seed=3), columns=list("abcd"))
    X.index = pd.date_range("2024-01-01", periods=450, freq="min") + pd.to_timedelta(np.arange(450) // 100, unit="h")
    detector = InnovationDetector(false_alarm_rate="1/day").fit(X[:300])
    detector.update_sensors(X[300:350])
    save(detector, tmp_path / "fleet.ssmts")
    again = load(tmp_path / "fleet.ssmts")
    for a, b in zip(again.update_sensors(X[350:]), detector.update_sensors(X[350:])):
        np.testing.assert_array_equal(a, b)


def test_another_alarm_level_and_another_fit_have_other_limits():
    X = fleet(500, 5, seed=4, holes=0.0)
    detector = InnovationDetector(false_alarm_rate=1e-2).fit(X[:300])
    state, few = detector.state_, detector.update_sensors(X[300:])
    detector.state_, detector.offset_ = state, np.log(1e-1)
    many = detector.update_sensors(X[300:])
    np.testing.assert_array_equal(many.alarm, few.log_p < np.log(1e-1))
    assert many.alarm.sum() > few.alarm.sum()
    detector.fit(10 * X[:300])
    again = detector.update_sensors(10 * X[300:])
    np.testing.assert_array_equal(again.alarm, again.log_p < detector.offset_)


def test_an_error_changes_nothing():
    X = fleet(400, 3, seed=5)
    detector = InnovationDetector().fit(X[:300])
    bad = X[300:].copy()
    bad[50, 1] = np.inf
    before = detector.score_samples(X[300:])
    with pytest.raises(InputError, match="inf"):
        detector.update_sensors(bad)
    with pytest.raises(InputError, match="expecting 3 features"):
        detector.update_sensors(X[300:, :2])
    np.testing.assert_array_equal(detector.score_samples(X[300:]), before)


def test_readings_of_every_sensor_alarm_as_often_as_asked():
    rng = np.random.default_rng(6)
    X = np.cumsum(rng.normal(size=(12000, 40)) * 0.2, axis=0) + rng.normal(size=(12000, 40))
    detector = InnovationDetector(false_alarm_rate=1e-3).fit(X[:4000])
    rate = detector.update_sensors(X[4000:], p_values=False).alarm.mean()
    assert 0.5e-3 < rate < 2e-3
