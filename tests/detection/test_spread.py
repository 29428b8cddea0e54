"""SpreadDetector: bursts and stuck sensors, when alarms end, and streams that are hard."""

import pickle

import numpy as np
import pandas as pd
import pytest

from ssmts import SpreadDetector
from ssmts.exceptions import TooShortError

ON = ["innovations", "readings"]
SCALE, CENTRE = np.array([0.5, 20.0, 1e-3]), np.array([20.0, -300.0, 0.0])


def steady(n, d=2, seed=0):
    return np.random.default_rng(seed).standard_normal((n, d)) * SCALE[:d] + CENTRE[:d]


def wandering(n, d=2, seed=0):
    """Local levels of which a tenth of an innovation stays."""
    e = np.random.default_rng(seed).standard_normal((n, d)) * SCALE[:d]
    return 0.1 * np.cumsum(e, axis=0) + 0.9 * e + CENTRE[:d]


def alarms(detector, X):
    return np.flatnonzero(detector.score_samples(X) < detector.offset_)


def first_culprit(told):
    """Row, sensor and deviation of the first alarm."""
    row = told.query("culprit").iloc[0]
    return *row.name, row["deviation"]


@pytest.mark.parametrize("on, made", [("innovations", steady), ("innovations", wandering), ("readings", steady)])
def test_a_burst_and_a_stuck_sensor_are_found_and_told_apart(on, made):
    X = made(5000)
    detector = SpreadDetector(on=on, false_alarm_rate=1e-4).fit(X[:4000])
    burst, stuck, quiet = X[4000:4200].copy(), X[4000:4200].copy(), X[4000:4200].copy()
    burst[100:, 1] += 3.0 * SCALE[1] * np.random.default_rng(1).standard_normal(100)
    stuck[100:, 0] = stuck[99, 0]
    quiet[100:, 0] = quiet[99, 0] + 0.05 * SCALE[0] * np.random.default_rng(1).standard_normal(100)
    for rows, sensor, sign, delay in ((burst, 1, 1, 20), (stuck, 0, -1, 4), (quiet, 0, -1, 20)):
        at, who, deviation = first_culprit(detector.explain(rows))
        assert 100 <= at <= 100 + delay
        assert who == sensor
        assert np.sign(deviation) == sign
        assert abs(deviation) > 3.5
        found = alarms(detector, rows)
        assert len(found) <= 20, "alarms end"


def test_stuck_far_from_the_level_is_still_stuck():
    X = steady(3100)
    detector = SpreadDetector(on="readings", false_alarm_rate=1e-4).fit(X[:3000])
    news = X[3000:].copy()
    news[50:, 0] = CENTRE[0] + 2.5 * SCALE[0]
    told = detector.explain(news).query("culprit")
    assert (told["deviation"] < 0).all()
    assert len(told)


@pytest.mark.parametrize("on", ON)
@pytest.mark.parametrize("d", [1, 2])
@pytest.mark.parametrize("rounded", [False, True])
def test_normal_rows_alarm_as_often_as_asked(on, d, rounded):
    rate = 2e-3
    X = steady(220000, d)
    if rounded:
        X = np.round((X - CENTRE[:d]) / SCALE[:d]) * SCALE[:d]
    detector = SpreadDetector(false_alarm_rate=rate, on=on).fit(X[:20000])
    share = np.mean(detector.update(X[20000:]) < detector.offset_)
    assert rate / 2 < share < 2 * rate


@pytest.mark.parametrize("on", ON)
@pytest.mark.parametrize("factor", [3.0, 30.0, 1e8])
def test_an_alarm_ends_and_the_next_burst_is_found(on, factor):
    X = steady(4000)
    detector = SpreadDetector(on=on, false_alarm_rate=1e-4).fit(X[:2000])
    news = X[2000:].copy()
    for burst in (slice(100, 400), slice(1500, 1600)):
        news[burst, 0] = CENTRE[0] + factor * (news[burst, 0] - CENTRE[0])
    found = np.flatnonzero(detector.update(news) < detector.offset_)
    assert 100 <= found[0] < 112
    assert ((found >= 1500) & (found < 1512)).any()
    assert (found < 400).sum() <= 30
    assert not ((found >= 450) & (found < 1500)).any(), "the end of a burst is no burst"


@pytest.mark.parametrize("on", ON)
@pytest.mark.parametrize("size", [4.0, -1e3, 1e9])
def test_a_level_shift_does_not_lock_up(on, size):
    X = steady(3000)
    detector = SpreadDetector(on=on, false_alarm_rate=1e-4).fit(X[:2000])
    news = X[2000:].copy()
    news[100:, 0] += size * SCALE[0]
    news[600:620, 0] += 4.0 * SCALE[0] * np.random.default_rng(1).standard_normal(20)
    news[800:, 0] = news[800, 0]
    found = np.flatnonzero(detector.update(news) < detector.offset_)
    assert (found < 600).sum() <= 30
    assert ((found >= 600) & (found < 620)).any()
    assert ((found >= 800) & (found < 805)).any()


def test_a_coarse_sensor_repeats_values_normally():
    X = np.round(steady(4200, 1) / 0.5) * 0.5
    detector = SpreadDetector(false_alarm_rate=1e-4).fit(X[:4000])
    assert not len(alarms(detector, X[4000:]))
    news = X[4000:].copy()
    news[100:] = news[100]
    found = alarms(detector, news)
    assert 104 < found[0] < 130


@pytest.mark.parametrize("on", ON)
def test_scale_and_order_of_sensors_change_nothing(on):
    X = steady(900, 3)
    X[700:720, 2] *= 5
    X[800:, 0] = X[800, 0]
    X[np.random.default_rng(1).random(X.shape) < 0.1] = np.nan
    detector = SpreadDetector(on=on).fit(X[:600])
    scores, told = detector.score_samples(X[600:]), detector.explain(X[600:])
    scaled = SpreadDetector(on=on).fit(X[:600] * 2.0**30)
    np.testing.assert_allclose(scaled.score_samples(X[600:] * 2.0**30), scores, rtol=1e-6, atol=1e-9)
    turned = SpreadDetector(on=on).fit(X[:600, [2, 0, 1]])
    np.testing.assert_allclose(turned.score_samples(X[600:][:, [2, 0, 1]]), scores, rtol=1e-9, atol=1e-12)
    there = turned.explain(X[600:][:, [2, 0, 1]])["deviation"].to_numpy().reshape(-1, 3)
    np.testing.assert_allclose(there, told["deviation"].to_numpy().reshape(-1, 3)[:, [2, 0, 1]], atol=1e-9)


@pytest.mark.parametrize("on", ON)
def test_stream_equals_batch_and_memory_is_constant(on):
    X = steady(800)
    X[600:640, 0] = X[600, 0]
    X[700:, 1] = 4 * (X[700:, 1] + 300) - 300
    X[np.random.default_rng(2).random(X.shape) < 0.2] = np.nan
    index = pd.to_datetime(np.cumsum(np.random.default_rng(3).choice([0, 60, 60, 61, 600], 800)), unit="s")
    frame = pd.DataFrame(X, index=index, columns=["u", "v"])
    detector = SpreadDetector(on=on).fit(frame.iloc[:500])
    scores = detector.score_samples(frame.iloc[500:])
    size = len(pickle.dumps(detector.state_))
    stream = np.concatenate([detector.update(frame.iloc[i : i + 1]) for i in range(500, 800)])
    np.testing.assert_allclose(stream, scores, rtol=1e-9, atol=1e-12)
    assert len(pickle.dumps(detector.state_)) == size


@pytest.mark.parametrize("on", ON)
def test_a_sensor_that_never_moved_is_normal_until_it_does(on):
    X = steady(5000)
    X[:, 1] = 7.0
    detector = SpreadDetector(on=on, false_alarm_rate=1e-3).fit(X[:400])
    news = X[400:].copy()
    news[4000:, 1] += 0.1 * np.random.default_rng(0).standard_normal(600)
    culprits = detector.explain(news)["culprit"].to_numpy().reshape(-1, 2)[:, 1]
    assert 4000 <= np.flatnonzero(culprits)[0] <= 4003
    assert culprits.sum() <= 30


def test_range_is_where_one_reading_alone_alarms():
    X = steady(3000)
    detector = SpreadDetector(8, on="readings", false_alarm_rate=1e-4).fit(X)
    # Seven readings with a mean of zero and a square sum of six.
    signs, sd = np.array([1, -1, 1, -1, 1, -1, 0.0]), np.sqrt(detector.model_.level.innovation_var)
    calm = signs[:, None] * sd + np.median(X, axis=0)
    detector.update(calm)
    told = detector.explain(calm[:1])
    for sensor in range(2):
        edge = told["upper"].to_numpy()[sensor] - told["expected"].to_numpy()[sensor]
        for part, label in ((0.98, 1), (1.02, -1)):
            row = np.median(X, axis=0)[None].copy()
            row[0, sensor] += part * edge
            assert detector.predict(row) == [label]


@pytest.mark.parametrize("on", ON)
def test_two_readings_are_too_few(on):
    X = steady(20)
    X[2:, 1] = np.nan
    with pytest.raises(TooShortError, match="Sensor 1 has 2 reading"):
        SpreadDetector(on=on).fit(X)
