"""ChangePointDetector: when sensors changed, when alarms end, and streams that are hard."""

import pickle

import numpy as np
import pandas as pd
import pytest

from ssmts import ChangePointDetector
from ssmts.exceptions import InputError, TooShortError

METHODS = ["bocpd", "restarted"]
ON = ["readings", "innovations"]
SCALE, CENTRE = np.array([0.5, 20.0, 1e-3]), np.array([20.0, -300.0, 0.0])


def steady(n, d=2, seed=0):
    return np.random.default_rng(seed).standard_normal((n, d)) * SCALE[:d] + CENTRE[:d]


def alarms(detector, X):
    return np.flatnonzero(detector.score_samples(X) < detector.offset_)


def changed(n=400):
    """A shift of sensor 0 and a burst of sensor 1 that stay."""
    X = steady(n, seed=5)
    X[150:, 0] += 1.5
    X[300:, 1] = CENTRE[1] + 4.0 * (X[300:, 1] - CENTRE[1])
    return X


@pytest.mark.parametrize("method", METHODS)
def test_changes_are_dated(method):
    detector = ChangePointDetector(method).fit(steady(1000))
    found = detector.change_points(changed())
    assert found["sensor"].tolist() == [0, 1]
    assert np.abs(found["time"] - [150, 300]).max() <= 4
    np.testing.assert_allclose(found["mean_after"][0] - found["mean_before"][0], 1.5, atol=0.15)
    np.testing.assert_allclose(found["sd_after"][1] / found["sd_before"][1], 4.0, rtol=0.3)
    assert found.columns.tolist() == ["time", "sensor", "mean_before", "mean_after", "sd_before", "sd_after"]
    assert len(detector.change_points(steady(300, seed=6))) == 0


@pytest.mark.parametrize("method", METHODS)
def test_dates_are_stamps_and_span_training_rows_and_later_ones(method):
    X = np.vstack([steady(300), changed()])
    X[np.random.default_rng(0).random(X.shape) < 0.1] = np.nan
    X[449:451] = np.nan
    index = pd.date_range("2024-03-01", periods=len(X), freq="h", tz="Europe/Berlin")
    frame = pd.DataFrame(X, index=index, columns=["u", "v"])
    whole = ChangePointDetector(method).fit(frame).change_points(frame)
    assert whole["sensor"].tolist() == ["u", "v"]
    assert abs((whole["time"][0] - index[450]) / pd.Timedelta("1h")) <= 4
    half = ChangePointDetector(method).fit(frame.iloc[:300])
    later = half.change_points(frame.iloc[300:])
    both = half.change_points(frame)
    pd.testing.assert_frame_equal(later[["time", "sensor"]], both[["time", "sensor"]])


def test_run_lengths_grow_and_fall_back():
    detector = ChangePointDetector().fit(steady(1000))
    lengths = detector.run_length_samples(changed())
    assert lengths.shape == (400, 2)
    assert (lengths[:100] > 900).mean() > 0.95
    assert abs(lengths[299, 0] - 150) <= 4
    assert abs(lengths[-1, 0] - 250) <= 4
    assert abs(lengths[-1, 1] - 100) <= 4


@pytest.mark.parametrize("method", METHODS)
def test_explanations_say_by_how_much_and_since_when(method):
    detector = ChangePointDetector(method, false_alarm_rate=1e-3).fit(steady(3000))
    told = detector.explain(changed()).query("culprit")
    first = told.index[0][0]
    assert 150 <= first < 160
    assert told.index[0][1] == 0
    settled = told.loc[first : first + 8].iloc[-1]
    assert abs(settled.name[0] - settled["window"] + 1 - 150) <= 4
    assert settled["deviation"] == pytest.approx(3.0, abs=1.0)
    assert settled["expected"] == pytest.approx(20.0, abs=0.2)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("on", ON)
@pytest.mark.parametrize("d", [1, 2])
def test_normal_rows_alarm_as_often_as_asked(method, on, d):
    rate = 5e-3
    X = steady(42000, d)
    detector = ChangePointDetector(method, false_alarm_rate=rate, on=on, n_runs=16).fit(X[:12000])
    share = np.mean(detector.update(X[12000:]) < detector.offset_)
    assert rate / 2 < share < 2 * rate


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("on", ON)
@pytest.mark.parametrize("size", [5.0, -1e4, 1e9])
def test_an_alarm_ends_and_the_next_change_is_found(method, on, size):
    X = steady(3000)
    detector = ChangePointDetector(method, false_alarm_rate=1e-3, on=on, patience=6).fit(X[:2000])
    news = X[2000:].copy()
    news[100:, 0] += size * SCALE[0]
    news[600:, 0] += 6.0 * SCALE[0]
    found = np.flatnonzero(detector.update(news) < detector.offset_)
    quiet = np.flatnonzero(detector.score_samples(X[2000:]) < detector.offset_)
    found = found[~np.isin(found, quiet)]
    first, second = found[found < 600], found[found >= 600]
    assert 100 <= first[0] < 106
    assert 600 <= second[0] < 606
    assert len(first) <= 12
    assert len(second) <= 12


def test_two_alarms_for_one_gross_error_at_most():
    X = steady(2300)
    detector = ChangePointDetector(false_alarm_rate=1e-3, patience=5).fit(X[:2000])
    news = X[2000:].copy()
    news[100, 0] += 1e4
    found = alarms(detector, news)
    assert found[0] == 100
    assert len(found) <= 10
    assert found[-1] < 115


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("on", ON)
def test_scale_and_order_of_sensors_change_nothing(method, on):
    X = steady(700, 3)
    X[600:, 2] += 2e-3
    X[np.random.default_rng(1).random(X.shape) < 0.1] = np.nan
    detector = ChangePointDetector(method, on=on).fit(X[:500])
    scores, told = detector.score_samples(X[500:]), detector.explain(X[500:])
    scaled = ChangePointDetector(method, on=on).fit(X[:500] * 2.0**30)
    np.testing.assert_allclose(scaled.score_samples(X[500:] * 2.0**30), scores, rtol=1e-6, atol=1e-9)
    turned = ChangePointDetector(method, on=on).fit(X[:500, [2, 0, 1]])
    np.testing.assert_allclose(turned.score_samples(X[500:][:, [2, 0, 1]]), scores, rtol=1e-9, atol=1e-12)
    there = turned.explain(X[500:][:, [2, 0, 1]])["deviation"].to_numpy().reshape(-1, 3)
    np.testing.assert_allclose(there, told["deviation"].to_numpy().reshape(-1, 3)[:, [2, 0, 1]], atol=1e-9)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("on", ON)
def test_stream_equals_batch_and_memory_is_constant(method, on):
    X = steady(700)
    X[600:, 0] += 1.0
    X[np.random.default_rng(2).random(X.shape) < 0.2] = np.nan
    index = pd.to_datetime(np.cumsum(np.random.default_rng(3).choice([0, 60, 60, 61, 600], 700)), unit="s")
    frame = pd.DataFrame(X, index=index, columns=["u", "v"])
    detector = ChangePointDetector(method, on=on).fit(frame.iloc[:500])
    scores = detector.score_samples(frame.iloc[500:])
    size = len(pickle.dumps(detector.state_))
    stream = np.concatenate([detector.update(frame.iloc[i : i + 1]) for i in range(500, 700)])
    np.testing.assert_allclose(stream, scores, rtol=1e-9, atol=1e-12)
    assert len(pickle.dumps(detector.state_)) == size


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("on", ON)
def test_a_sensor_that_never_moved_alarms_when_it_does_and_then_no_more(method, on):
    X = steady(3000)
    X[:, 1] = 7.0
    detector = ChangePointDetector(method, on=on, false_alarm_rate=1e-3).fit(X[:400])
    news = X[400:].copy()
    news[2000:, 1] = 7.5
    culprits = detector.explain(news)["culprit"].to_numpy().reshape(-1, 2)[:, 1]
    assert np.flatnonzero(culprits)[0] == 2000
    assert culprits.sum() <= 12


@pytest.mark.parametrize("method", METHODS)
def test_range_is_where_one_reading_alone_alarms(method):
    X = steady(3000)
    detector = ChangePointDetector(method, false_alarm_rate=1e-3).fit(X)
    rows = X[:1].copy()
    told = detector.explain(rows)
    for sensor in range(2):
        for side in ("lower", "upper"):
            edge = told[side].to_numpy()[sensor] - told["expected"].to_numpy()[sensor]
            for part, label in ((0.9, 1), (1.1, -1)):
                row = told["expected"].to_numpy()[None].copy()
                row[0, sensor] += part * edge
                assert detector.predict(row) == [label]


def test_bad_rows_and_arguments_are_refused():
    detector = ChangePointDetector().fit(steady(50))
    for ask in (detector.change_points, detector.run_length_samples):
        with pytest.raises(InputError, match="features"):
            ask(steady(20, 3))
    few = steady(20)
    few[2:, 1] = np.nan
    with pytest.raises(TooShortError, match="Sensor 1 has 2 reading"):
        ChangePointDetector().fit(few)
    for bad in ({"method": "x"}, {"run_length": 1}, {"mean_spread": 0}, {"dof": 0}, {"window": 0}, {"n_runs": 1}):
        with pytest.raises(ValueError, match=next(iter(bad))):
            ChangePointDetector(**bad).fit(steady(50))
