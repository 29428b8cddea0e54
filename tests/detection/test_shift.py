"""ShiftDetector: what it finds, when its alarms end, and streams that are hard."""

import pickle

import numpy as np
import pandas as pd
import pytest

from ssmts import InnovationDetector, ShiftDetector
from ssmts.exceptions import TooShortError

METHODS = ["cusum", "glr", "ewma"]
ON = ["innovations", "readings"]


def steady(n, d=2, seed=0):
    return np.random.default_rng(seed).standard_normal((n, d)) * ([0.5, 20.0, 1e-3][:d]) + [20.0, -300.0, 0.0][:d]


def alarms(detector, X):
    return np.flatnonzero(detector.score_samples(X) < detector.offset_)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("on", ON)
def test_a_shift_that_no_reading_shows_is_found(method, on):
    X = steady(4300)
    X[4200:, 1] += 20.0
    detector = ShiftDetector(method, false_alarm_rate=1e-4, on=on).fit(X[:4000])
    plain = InnovationDetector(false_alarm_rate=1e-4).fit(X[:4000])
    assert not len(alarms(plain, X[4000:]))
    found = alarms(detector, X[4000:])
    assert 200 < found[0] < 235
    told = detector.explain(X[4000 : 4001 + found[0]]).query("culprit").iloc[0]
    assert told.name == (found[0], 1)
    assert 0.5 < told["deviation"] < 2.0
    if method != "ewma":
        assert abs(found[0] - told["window"] + 1 - 200) < 12, "the window reaches back to the shift"


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("on", ON)
@pytest.mark.parametrize("d", [1, 2])
def test_normal_rows_alarm_as_often_as_asked(method, on, d):
    rate = 2e-3
    detector = ShiftDetector(method, false_alarm_rate=rate, on=on).fit(steady(20000, d))
    share = np.mean(detector.update(steady(200000, d, seed=1)) < detector.offset_)
    assert rate / 2 < share < 2 * rate


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("on", ON)
@pytest.mark.parametrize("size", [1.5, 6.0, 1e4, -1e9])
def test_an_alarm_lasts_patience_rows_and_the_next_shift_is_found(method, on, size):
    X = steady(3000)
    detector = ShiftDetector(method, false_alarm_rate=1e-4, on=on, patience=6).fit(X[:2000])
    news = X[2000:].copy()
    news[100:, 0] += 0.5 * size
    news[600:, 0] -= 0.5 * size
    found = np.flatnonzero(detector.update(news) < detector.offset_)
    first, second = found[found < 600], found[found >= 600]
    assert 100 <= first[0] < 140
    assert 600 <= second[0] < 640
    assert len(first) <= 6
    assert len(second) <= 6
    assert max(first[-1] - first[0], second[-1] - second[0]) < 40, "interruptions are short"


def test_a_slow_drift_alarms_again_and_again_against_readings_but_never_for_long():
    X = steady(12000, 1)
    detector = ShiftDetector(on="readings", false_alarm_rate=1e-4).fit(X[:2000])
    news = X[2000:] + 0.5 * np.linspace(0, 20, 10000)[:, None]
    found = alarms(detector, news)
    assert found[0] < 1500
    runs = np.split(found, np.flatnonzero(np.diff(found) > 1) + 1)
    assert max(len(run) for run in runs) <= 10
    assert len(found) < 600


def test_a_spike_alarms_once():
    X = steady(2100)
    detector = ShiftDetector(false_alarm_rate=1e-3).fit(X[:2000])
    news = X[2000:].copy()
    news[50, 0] += 1e5
    found = alarms(detector, news)
    assert 50 in found
    assert set(found) <= {50, *alarms(detector, X[2000:])}


def test_shifts_among_the_training_rows_do_not_hide_later_ones():
    X = steady(4000)
    X[1000:1200, 0] += 5.0
    X[2500:2520, 1] += 1e7
    X[3800:, 0] += 1.0
    detector = ShiftDetector(on="readings", contamination=0.02, false_alarm_rate=1e-3).fit(X[:3700])
    found = alarms(detector, X[3700:])
    assert 100 <= found[0] < 140


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("on", ON)
def test_scale_and_order_of_sensors_change_nothing(method, on):
    X = steady(900, 3)
    X[700:, 2] += 2e-3
    X[np.random.default_rng(1).random(X.shape) < 0.1] = np.nan
    detector = ShiftDetector(method, on=on).fit(X[:600])
    scores, told = detector.score_samples(X[600:]), detector.explain(X[600:])
    scaled = ShiftDetector(method, on=on).fit(X[:600] * 1e9)
    np.testing.assert_allclose(scaled.score_samples(X[600:] * 1e9), scores, rtol=1e-6, atol=1e-9)
    turned = ShiftDetector(method, on=on).fit(X[:600, [2, 0, 1]])
    np.testing.assert_allclose(turned.score_samples(X[600:][:, [2, 0, 1]]), scores, rtol=1e-9, atol=1e-12)
    there = turned.explain(X[600:][:, [2, 0, 1]])["deviation"].to_numpy().reshape(-1, 3)
    np.testing.assert_allclose(there, told["deviation"].to_numpy().reshape(-1, 3)[:, [2, 0, 1]], atol=1e-9)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("on", ON)
def test_stream_equals_batch_and_memory_is_constant(method, on):
    X = steady(800)
    X[600:, 0] += 1.0
    X[np.random.default_rng(2).random(X.shape) < 0.2] = np.nan
    index = pd.to_datetime(np.cumsum(np.random.default_rng(3).choice([0, 60, 60, 61, 600], 800)), unit="s")
    frame = pd.DataFrame(X, index=index, columns=["u", "v"])
    detector = ShiftDetector(method, on=on).fit(frame.iloc[:500])
    scores = detector.score_samples(frame.iloc[500:])
    size = len(pickle.dumps(detector.state_))
    stream = np.concatenate([detector.update(frame.iloc[i : i + 1]) for i in range(500, 800)])
    np.testing.assert_allclose(stream, scores, rtol=1e-9, atol=1e-12)
    assert len(pickle.dumps(detector.state_)) == size


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("on", ON)
def test_a_sensor_that_never_moved_alarms_when_it_does_and_then_no_more(method, on):
    X = steady(600)
    X[:, 1] = 7.0
    detector = ShiftDetector(method, on=on, false_alarm_rate=1e-3).fit(X[:400])
    news = X[400:].copy()
    news[50:, 1] = 7.5
    told = detector.explain(news)
    culprits = told["culprit"].to_numpy().reshape(-1, 2)[:, 1]
    assert np.flatnonzero(culprits)[0] == 50
    assert culprits.sum() <= 10


@pytest.mark.parametrize("method", METHODS)
def test_range_is_where_one_reading_alone_alarms(method):
    X = steady(2000)
    detector = ShiftDetector(method, on="readings", false_alarm_rate=1e-3).fit(X)
    quiet = np.tile(detector.model_.level.innovation_var * 0 + np.median(X, axis=0), (400, 1))
    detector.update(quiet)  # until nothing but the constant is left of the evidence
    told = detector.explain(quiet[:1])
    for sensor in range(2):
        for side in ("lower", "upper"):
            edge = told[side].to_numpy()[sensor] - quiet[0, sensor]
            for part, label in ((0.98, 1), (1.02, -1)):
                row = quiet[:1].copy()
                row[0, sensor] += part * edge
                assert detector.predict(row) == [label]


@pytest.mark.parametrize("on", ON)
def test_two_readings_are_too_few(on):
    X = steady(20)
    X[2:, 1] = np.nan
    with pytest.raises(TooShortError, match="Sensor 1 has 2 reading"):
        ShiftDetector(on=on).fit(X)


@pytest.mark.parametrize(
    "bad", [{"size": 0}, {"size": 5}, {"window": 0}, {"weight": 0}, {"on": "x"}, {"method": "page"}]
)
def test_bad_arguments_are_refused(bad):
    with pytest.raises(ValueError, match=next(iter(bad))):
        ShiftDetector(**bad).fit(steady(50))
