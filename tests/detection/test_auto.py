"""AutoDetector: what it finds, what it lives with, and what leaves its scores as they are."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ssmts import AutoDetector
from ssmts.datasets import load_nab, make_sensors
from ssmts.detection.extremes import BLOCK
from ssmts.evaluation.anomaly import nab_score, window_labels
from ssmts.exceptions import InputError

N = 3000
RATE = 1e-4


def frame(values, start=0, freq="5min", tz=None):
    values = np.asarray(values, dtype=float).reshape(len(values), -1)
    times = pd.date_range("2024-01-01", periods=start + len(values), freq=freq, tz=tz)[start:]
    return pd.DataFrame(values, index=times, columns=list("abcdefgh")[: values.shape[1]])


def noise(n=N, d=1, seed=0):
    return np.random.default_rng(seed).standard_normal((n, d))


def alarms(detector, X):
    return np.flatnonzero(detector.predict(X) == -1)


FAULTS = {
    "spike": lambda y: y.__setitem__(slice(1000, 1001), 8.0),
    "level shift": lambda y: y.__setitem__(slice(1000, None), y[1000:] + 6.0),
    "drift": lambda y: y.__setitem__(slice(1000, None), y[1000:] + np.clip(np.arange(1000) * 0.01, 0, 8)[:, None]),
    "burst": lambda y: y.__setitem__(slice(1000, 1100), 3 * y[1000:1100]),
    "stuck": lambda y: y.__setitem__(slice(1000, 1200), 0.3),
}


@pytest.mark.parametrize("clock", [False, True])
@pytest.mark.parametrize("fault", FAULTS)
def test_every_kind_of_fault_is_found_and_blamed(fault, clock):
    X, later = noise(2 * N, 3), noise(2000, 3, seed=1)
    FAULTS[fault](later[:, 1:2])
    if clock:
        X, later = frame(X), frame(later, start=2 * N)
    detector = AutoDetector(false_alarm_rate=5e-5).fit(X)
    found = alarms(detector, later)
    assert 1000 <= found[0] < 1200
    culprits = detector.explain(later).query("culprit").index.get_level_values("sensor")
    assert set(culprits) == {"b" if clock else 1}


@pytest.mark.parametrize("clock", [False, True])
@pytest.mark.parametrize("size", [4.0, 10.0, 1e6])
def test_alarms_end_after_a_level_shift_and_the_next_fault_is_found(size, clock):
    X, later = noise(), noise(2000, seed=1)
    later[500:] += size
    later[1500] += 12.0
    if clock:
        X, later = frame(X), frame(later, start=N)
    detector = AutoDetector(false_alarm_rate=RATE, patience=20).fit(X)
    found = alarms(detector, later)
    assert found[0] < 510
    assert not ((found > 500 + 20 + 40) & (found < 1500)).any(), "patience, and until the new level is sure"
    assert 1500 in found


def test_a_time_of_the_day_has_a_profile_of_its_own():
    """What is usual at noon is none at night, by the time on the wall of the index' zone, through daylight saving."""
    times = pd.date_range("2024-02-20", periods=96 * 60, freq="15min", tz="Europe/Berlin")
    at_work = (times.hour >= 8) & (times.hour < 18)
    y = pd.Series(50.0 * at_work + noise(len(times))[:, 0], index=times)
    detector = AutoDetector(false_alarm_rate=RATE).fit(y[:"2024-03-30"])
    later = y["2024-03-31":].copy()
    assert len(alarms(detector, later["2024-04-01":])) <= 2
    later["2024-04-03 02:00":"2024-04-03 02:30"] += 50.0
    assert set(later.index[alarms(detector, later)]) >= set(later["2024-04-03 02:00":"2024-04-03 02:30"].index)
    plain = AutoDetector(false_alarm_rate=RATE, cycles=()).fit(y[:"2024-03-30"])
    assert not set(later.index[alarms(plain, later)]) & set(later["2024-04-03 02:00":"2024-04-03 02:30"].index)


def test_a_sensor_that_breaks_with_the_others_is_found_and_blamed():
    rng = np.random.default_rng(5)
    n = 2 * N + 2000
    load = np.convolve(rng.standard_normal(n + 50), np.ones(50) / 7, mode="same")[:n]
    X = np.column_stack([load, 2 * load, -load, load]) + 0.2 * rng.standard_normal((n, 4))
    X[2 * N + 1000 : 2 * N + 1100, 1] *= -1
    detector = AutoDetector(false_alarm_rate=RATE).fit(X[: 2 * N])
    later = X[2 * N :]
    found = alarms(detector, later)
    assert ((found >= 1000) & (found < 1100)).sum() > 20
    assert ((found < 1000) | (found >= 1100)).sum() < 3
    told = detector.explain(later).query("culprit")
    assert (told.loc[1000:1099].index.get_level_values("sensor") == 1).mean() > 0.9
    alone = AutoDetector(false_alarm_rate=RATE).fit(X[: 2 * N, [1]])
    assert not len(alarms(alone, later[1000:1100, [1]])), "its own readings are usual"


def test_alarms_end_after_the_sensors_have_parted_for_good():
    rng = np.random.default_rng(6)
    load = rng.standard_normal((N + 6000, 1))
    X = load + 0.1 * rng.standard_normal((N + 6000, 3))
    X[N + 1000 :, 2] = rng.standard_normal(5000)
    found = alarms(AutoDetector(false_alarm_rate=RATE).fit(X[:N]), X[N:])
    assert 1000 <= found[0] < 1010
    assert (found > 4000).sum() < 10


def test_incidents_among_the_training_rows_change_little():
    X, later = noise(6000), noise(2000, seed=1)
    later[1000] = 9.0
    dirty = X.copy()
    dirty[1000:1040] += 40.0
    dirty[[2000, 3100, 4444]] -= 1e4
    dirty[5000:5100] = 0.0
    for rows in (X, dirty):
        found = alarms(AutoDetector(false_alarm_rate=RATE).fit(rows), later)
        assert found[0] == 1000
        assert found[-1] < 1010, "the chart of the scatter remembers a spike for some rows"


def test_a_sensor_known_for_its_spikes_alarms_at_larger_ones():
    X, later = noise(6000), noise(1000, seed=1)
    X[::73] += 20.0
    later[[300, 600], 0] = 20.0, 200.0
    assert list(alarms(AutoDetector(false_alarm_rate=RATE).fit(X), later)) == [600]


@pytest.mark.parametrize("draw", ["normal", "t3", "t5", "exponential"])
@pytest.mark.parametrize("d", [1, 4])
def test_normal_rows_alarm_as_often_as_asked(draw, d):
    """Within a factor of two, after a thousand training rows."""
    rng = np.random.default_rng(4)
    size = (101_000, d)
    X = {
        "normal": rng.standard_normal,
        "t3": lambda size: rng.standard_t(3, size),
        "t5": lambda size: rng.standard_t(5, size),
        "exponential": rng.standard_exponential,
    }[draw](size)
    detector = AutoDetector(false_alarm_rate=1e-3).fit(X[:1000])
    share = np.mean(detector.update(X[1000:]) < detector.offset_)
    assert 0.5e-3 < share < 2e-3


def test_spikes_of_eight_standard_deviations_are_found():
    """At a thousandth, among sensors with a load in common and a daily cycle: most; among white ones all."""
    found = []
    for seed in range(8):
        X, faults = make_sensors(6000, 4, faults=["spike"] * 6, random_state=seed)
        detector = AutoDetector(false_alarm_rate=1e-3).fit(X[:2000])
        found += list(detector.predict(X[2000:])[X.index.get_indexer(faults["start"]) - 2000] == -1)
    assert np.mean(found) > 0.7
    for seed in range(8):
        X = noise(2001, 4, seed)
        X[2000, 2] = 8.0
        assert AutoDetector(false_alarm_rate=1e-4).fit(X[:2000]).predict(X[2000:]) == [-1]


def test_a_constant_sensor_alarms_when_it_moves_and_gets_used_to_it():
    X = np.full((500, 1), 7.0)
    noisy = X.copy()
    noisy[200:] += noise(300)
    later = np.concatenate([noisy, 7.0 + noise(1500, seed=2)])
    detector = AutoDetector(false_alarm_rate=RATE, patience=20).fit(X)
    assert not len(alarms(detector, X))
    found = alarms(detector, later)
    assert found[0] == 200
    assert found[-1] < 200 + 3 * 20 + 25


@pytest.mark.parametrize("n", [1, 2, 20, BLOCK + 1])
def test_few_training_rows_are_enough_for_gross_faults(n):
    detector = AutoDetector(false_alarm_rate=RATE).fit(noise(n, 2))
    later = noise(100, 2, seed=1)
    if n >= 20:
        later[50] = 30.0
        assert list(alarms(detector, later)) == [50]
    assert np.isfinite(detector.update(later)).all()


def test_a_single_training_row_at_the_default_level():
    """Warnings are errors here: the level of one sensor is that of the row, 1."""
    detector = AutoDetector().fit(noise(1, 2))
    assert detector.offset_ == 0
    assert np.isfinite(detector.explain(noise(5, 2, seed=1))["upper"]).any()


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 99), scale=st.floats(1e-3, 1e3), offset=st.floats(-1e3, 1e3), holes=st.floats(0, 0.3))
def test_units_and_the_order_of_sensors_do_not_matter(seed, scale, offset, holes):
    X, later = noise(300, 3, seed), noise(300, 3, seed + 100)
    later[np.random.default_rng(seed).random(later.shape) < holes] = np.nan
    expected = AutoDetector().fit(X).score_samples(later)
    moved = AutoDetector().fit(scale * X + offset).score_samples(scale * later + offset)
    np.testing.assert_allclose(moved, expected, rtol=1e-5, atol=1e-7)
    turned = AutoDetector().fit(X[:, [2, 0, 1]]).score_samples(later[:, [2, 0, 1]])
    np.testing.assert_allclose(turned, expected, rtol=1e-9, atol=1e-12)


@settings(deadline=None, max_examples=30)
@given(cut=st.integers(50, 350), seed=st.integers(0, 99))
def test_rows_without_a_reading_are_rows_that_did_not_come(cut, seed):
    rng = np.random.default_rng(seed)
    X = frame(noise(400, 1, seed))
    holes = X.mask(rng.random(X.shape) < 0.3)
    whole = AutoDetector(false_alarm_rate=RATE).fit(X[:50])
    if cut > 50:
        whole.update(holes[50:cut])
    scores = whole.update(holes[cut:])
    less = AutoDetector(false_alarm_rate=RATE).fit(X[:50])
    if len(first := holes[50:cut].dropna()):
        less.update(first)
    rest = holes[cut:].dropna()
    np.testing.assert_allclose(scores[holes[cut:].notna().to_numpy()[:, 0]], less.update(rest), rtol=1e-8, atol=1e-10)


def test_the_range_of_a_reading_is_where_it_would_alarm():
    X, later = frame(noise()), frame(noise(50, seed=1), start=N)
    detector = AutoDetector(false_alarm_rate=RATE).fit(X)
    told = detector.explain(later).xs("a", level="sensor").iloc[20]
    for value, expected in ((told["upper"] + 0.01, -1), (told["upper"] - 0.01, 1), (told["lower"] - 0.01, -1)):
        changed = later.copy()
        changed.iloc[20, 0] = value
        assert detector.predict(changed)[20] == expected


def test_memory_is_constant():
    detector = AutoDetector().fit(frame(noise(500)))

    def size(state):
        return sum(size(part) if isinstance(part, tuple) else np.asarray(part).nbytes for part in state)

    before = size(detector.state_)
    detector.update(frame(noise(20_000), start=500))
    assert size(detector.state_) == before


def test_cycles_with_few_rows_are_left_out():
    def bins(freq, cycles=("1D", "7D")):
        return AutoDetector(cycles=cycles).fit(frame(noise(300), freq=freq)).model_.views.n_bins.tolist()

    assert bins("5min") == [1, 1, 96, 168]
    assert bins("h") == [1, 1, 24, 168]
    assert bins("12h") == [1, 1, 14]
    assert bins("D") == [1, 1, 7]
    assert bins("7D") == [1, 1]
    assert bins("h", ("8h",)) == [1, 1, 8]
    assert AutoDetector().fit(noise(300)).model_.views.n_bins.tolist() == [1, 1]


@pytest.mark.parametrize("cycle", ["a day", "-1D", "0s", None])
def test_bad_cycles_are_named(cycle):
    with pytest.raises(InputError, match="cycles must be durations"):
        AutoDetector(cycles=[cycle]).fit(frame(noise(30)))


@pytest.mark.data
def test_score_on_files_of_the_benchmark():
    """A few of the files that the settings were chosen on; `benchmarks/nab.py` has all of them."""
    labels, scores = {}, {}
    for name in ("nyc_taxi", "ec2_request_latency_system_failure", "occupancy_t4013", "Twitter_volume_CRM"):
        y, card = load_nab(name)
        n = card.split["probation"].stop
        detector = AutoDetector().fit(y[:n])
        log_p = np.concatenate([detector.score_samples(y[:n]), detector.update(y[n:])])
        rows = np.flatnonzero(log_p < np.log(5e-4))
        first = rows[np.diff(rows, prepend=-np.inf) > 50]  # of incidents, which end after 50 rows without an alarm
        labels[name] = window_labels(y.index, card.labels).to_numpy()
        scores[name] = -np.isin(np.arange(len(y)), first).astype(float)
    assert nab_score(labels, scores, threshold=-0.5).score == pytest.approx(85.0, abs=5.0)
