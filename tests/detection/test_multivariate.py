"""JointDetector: calibration, faults that only the sensors together show, lasting faults, explanations, streams, bad input."""

import itertools
import pickle

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from ssmts import JointDetector
from ssmts.exceptions import InputError, TooShortError

VARIANTS = [
    {},
    {"statistic": "largest", "smoothing": 5},
    {"covariance": "factor", "statistic": "t2", "n_factors": 1},
    {"covariance": "pca", "statistic": "q", "baseline": 200},
    {"covariance": "factor", "smoothing": 9, "baseline": 100},
]


def machine(n, seed=0, df=np.inf):
    """Five sensors that follow the load of a machine, and one by itself."""
    rng = np.random.default_rng(seed)
    load = rng.normal(size=(n, 1))
    noise = rng.normal(size=(n, 6)) if df == np.inf else rng.standard_t(df, (n, 6))
    return np.hstack([load + 0.3 * noise[:, :5], noise[:, 5:]]) * [1, 2, 0.1, 5, 1, 3] + [0, 10, -4, 50, 1, 7]


def stamped(values, start=0):
    return pd.DataFrame(
        values, pd.date_range("2024-01-01", periods=start + len(values), freq="min")[start:], list("abcdef")
    )


# calibration ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("settings_", VARIANTS, ids=str)
def test_p_values_of_fresh_rows_are_uniform(settings_):
    X = machine(24000, 1)
    detector = JointDetector(**settings_).fit(X[:20000])
    p = np.exp(detector.update(X[20000:]))
    independent = p[:: 3 * int(settings_.get("smoothing", 1))]
    assert stats.kstest(independent, "uniform").pvalue > 0.01


@pytest.mark.parametrize("df", [np.inf, 4])
def test_rows_alarm_as_often_as_asked(df):
    rate = 1e-3
    X = machine(160000, 2, df)
    detector = JointDetector(false_alarm_rate=rate).fit(X[:10000])
    alarms = np.mean(detector.update(X[10000:]) < detector.offset_)
    assert rate / 2 < alarms < 2 * rate


@pytest.mark.parametrize("settings_", VARIANTS, ids=str)
def test_contamination_is_met_on_the_training_rows(settings_):
    X = stamped(machine(1000, 3))
    detector = JointDetector(contamination=0.02, **settings_).fit(X)
    assert (detector.predict(X) == -1).sum() == 20


def test_nominal_p_values_are_those_of_chi_squared():
    X = machine(20000, 4)
    detector = JointDetector(calibration="nominal").fit(X)
    log_p = detector.score_samples(X[:300])
    distance = detector.statistics(X[:300])["mahalanobis"]
    np.testing.assert_allclose(log_p, stats.chi2.logsf(distance, 6), rtol=1e-9)
    assert stats.kstest(np.exp(detector.score_samples(machine(4000, 5))), "uniform").pvalue > 0.001


# what it finds ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("covariance", ["shrunk", "factor"])
def test_a_sensor_that_breaks_with_the_others_is_found_and_named(covariance):
    X = machine(3000, 6)
    detector = JointDetector(covariance=covariance, false_alarm_rate=1e-4).fit(X)
    broken = np.array([[0.0, 10, -4, 50, 1, 7]]) + [0, 0, 0, 9.0, 0, 0] + [0, 0, 0, 0, 0, 4.5]
    assert (np.abs((broken - X.mean(axis=0)) / X.std(axis=0)) < 2.0).all(), "no sensor is strange by itself"
    told = detector.explain(broken)
    assert detector.predict(broken) == [-1]
    assert told["culprit"].to_numpy().argmax() == 3
    assert detector.disagreement(broken).abs().to_numpy().argmax() == 3
    load = np.array([[0.0, 10, -4, 50, 1, 7]]) + np.array([1, 2, 0.1, 5, 1, 0]) * 2.5
    assert detector.predict(load) == [1], "all of them together follow the load"


def test_t2_and_q_tell_a_load_from_a_broken_relation():
    X = machine(3000, 7)
    usual = np.array([0.0, 10, -4, 50, 1, 7])
    load = usual + np.array([1, 2, 0.1, 5, 1, 0]) * 7
    broken = usual + [0, 0, 0, 9.0, 0, 0]
    detectors = {
        s: JointDetector(covariance="factor", statistic=s, n_factors=1, false_alarm_rate=1e-4) for s in ("t2", "q")
    }
    alarms = {s: d.fit(X).predict([load, broken]).tolist() for s, d in detectors.items()}
    assert alarms == {"t2": [-1, 1], "q": [1, -1]}
    table = detectors["q"].statistics([load, broken])
    np.testing.assert_allclose(table["t2"] + table["q"], table["mahalanobis"], rtol=1e-9)
    assert detectors["q"].n_factors_ == 1


def test_smoothing_finds_a_shift_below_the_noise():
    X = machine(5000, 8)
    later = machine(400, 9)
    later[100:] += 0.8 * X.std(axis=0) * [0, 0, 0, 0, 0, 1]
    found = {}
    for smoothing in (1, 40):
        detector = JointDetector(smoothing, false_alarm_rate=1e-3).fit(X)
        found[smoothing] = np.mean(detector.predict(later)[160:] == -1)
    assert found[1] < 0.05
    assert found[40] > 0.7


@pytest.mark.parametrize("smoothing", [1, 9])
def test_a_lasting_change_ends_to_alarm_and_the_next_fault_is_found(smoothing):
    X = machine(4000, 10)
    detector = JointDetector(smoothing, baseline=100, false_alarm_rate=1e-4).fit(X)
    later = machine(1500, 11)
    later[200:, 5] += 1e5
    later[1200, 5] -= 60.0
    alarms = detector.predict(later) == -1
    assert alarms[200:290].all()
    assert alarms[330 + 5 * smoothing : 1200].mean() < 0.01
    assert alarms[1200]
    frozen = JointDetector(smoothing, false_alarm_rate=1e-4).fit(X).predict(later) == -1
    assert frozen[200:].all()


def test_a_sensor_that_comes_back_is_no_anomaly():
    X = stamped(machine(3000, 12))
    detector = JointDetector(30, false_alarm_rate=1e-3).fit(X)
    later = stamped(machine(2000, 13), 3000)
    for first in range(100, 2000, 100):
        later.iloc[first : first + 60, 2:5] = np.nan
    back = np.arange(160, 2000, 100)
    assert (detector.predict(later)[back] == -1).sum() <= 1


def test_gross_errors_among_the_training_rows():
    X, later = machine(2000, 14), machine(500, 15)
    clean = JointDetector(contamination=0.05).fit(X)
    dirty = X.copy()
    dirty[np.random.default_rng(0).choice(2000, 40, replace=False)] += 1e4
    soiled = JointDetector(contamination=0.05).fit(dirty)
    ratio = soiled.model_.baseline.scale / clean.model_.baseline.scale
    assert (ratio < 1.5).all()
    assert np.corrcoef(clean.score_samples(later), soiled.score_samples(later))[0, 1] > 0.95


# explanations -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("smoothing", [1, 12])
def test_range_is_where_the_sensor_alone_reaches_the_alarm_level(smoothing):
    X = stamped(machine(3000, 16))
    detector = JointDetector(smoothing, baseline=500, false_alarm_rate=1e-3).fit(X)
    detector.update(stamped(machine(50, 17), 3000))
    nothing = detector.state_.averages._replace(mean=np.zeros(6))
    detector.state_ = detector.state_._replace(averages=nothing)
    row = stamped(machine(1, 18), 3050)
    told = detector.explain(row).droplevel(0)
    for name in "abcdef":
        width = told["upper"][name] - told["lower"][name]
        for edge, inward in ((told["lower"][name], 1), (told["upper"][name], -1)):
            for side, beyond in ((inward, False), (-inward, True)):
                moved = row.copy()
                moved[name] = edge + side * 1e-6 * width
                p = detector.explain(moved).droplevel(0)["p_value"][name]
                assert (np.log(p) < detector.offset_) == beyond


def test_deviation_and_window_are_those_of_the_readings():
    X = machine(3000, 19)
    detector = JointDetector(9).fit(X)
    told = detector.explain(X[:1] * 0 + [0, 10, -4, 50, 1, 30])
    baseline = detector.model_.baseline
    np.testing.assert_allclose(told["expected"], baseline.centre)
    np.testing.assert_allclose(told["deviation"], (told["observed"] - baseline.centre) / baseline.scale)
    assert set(told["window"]) == {9}
    assert told["culprit"].to_numpy().argmax() == 5
    assert set(JointDetector().fit(X).explain(X[:3])["window"]) == {1}


# invariances ------------------------------------------------------------------------------------------------------


@given(
    st.sampled_from(VARIANTS),
    st.permutations(range(6)),
    st.lists(st.floats(0.01, 1e6), min_size=6, max_size=6),
    st.floats(0, 0.4),
)
@settings(deadline=None, max_examples=10)
def test_order_and_units_of_sensors_do_not_matter(settings_, order, units, missing):
    X, later = machine(400, 20), machine(60, 21)
    later[np.random.default_rng(0).random(later.shape) < missing] = np.nan
    scores = JointDetector(**settings_).fit(X).score_samples(later)
    other = JointDetector(**settings_).fit(X[:, order] * units).score_samples(later[:, order] * units)
    np.testing.assert_allclose(other, scores, rtol=1e-4, atol=1e-6)


@given(st.sampled_from(VARIANTS), st.lists(st.integers(1, 40), min_size=1, max_size=6), st.integers(0, 99))
@settings(deadline=None, max_examples=10)
def test_pieces_of_a_stream_do_not_matter(settings_, pieces, seed):
    rng = np.random.default_rng(seed)
    index = pd.to_datetime("2024-01-01") + pd.to_timedelta(np.cumsum(rng.choice([0, 30, 60, 60, 600], 500)), "s")
    values = machine(500, seed)
    values[rng.random(values.shape) < 0.2] = np.nan
    X = pd.DataFrame(values, index)
    whole, parts = JointDetector(**settings_).fit(X[:400]), JointDetector(**settings_).fit(X[:400])
    cuts = np.minimum(np.cumsum([400, *pieces, 500]), 500)
    scores = np.concatenate([parts.update(X[a:b]) for a, b in itertools.pairwise(cuts) if b > a])
    np.testing.assert_allclose(scores, whole.update(X[400:]), rtol=1e-9, atol=1e-12)


def test_state_does_not_grow():
    X = machine(500, 22)
    detector = JointDetector(9, 100).fit(X)
    before = len(pickle.dumps(detector.state_))
    detector.update(machine(20000, 23))
    assert len(pickle.dumps(detector.state_)) == before


# strange input ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("settings_", VARIANTS, ids=str)
def test_constant_sensors_and_large_numbers(settings_):
    X = machine(500, 24)
    X[:, 2] = 3.0
    X[:, 3] = 1e9 + X[:, 3]
    detector = JointDetector(**settings_).fit(X)
    later = machine(50, 25)
    later[:, 2] = 3.0
    later[:, 3] += 1e9
    assert np.isfinite(detector.score_samples(later)).all()
    if settings_.get("statistic") != "t2":
        later[20, 2] = 4.0
        assert detector.predict(later)[20] == -1
        assert detector.explain(later)["culprit"].to_numpy().reshape(50, 6)[20, 2]


def test_one_sensor():
    y = machine(1000, 26)[:, 5]
    for settings_ in ({}, {"covariance": "factor"}, {"statistic": "largest"}):
        detector = JointDetector(false_alarm_rate=1e-3, **settings_).fit(y.reshape(-1, 1))
        assert detector.predict([[7.0], [30.0]]).tolist() == [1, -1]


@pytest.mark.parametrize(
    ("settings_", "what"),
    [
        ({"statistic": "q"}, "covariance='factor' or 'pca'"),
        ({"covariance": "pca", "n_factors": 6}, "6 sensor"),
        ({"smoothing": 0.5}, "smoothing"),
        ({"baseline": 0}, "baseline"),
    ],
)
def test_settings_that_cannot_be(settings_, what):
    with pytest.raises((InputError, ValueError), match=what):
        JointDetector(**settings_).fit(machine(50))


def test_too_few_readings_of_a_sensor():
    X = stamped(machine(50))
    X.iloc[2:, 3] = np.nan
    with pytest.raises(TooShortError, match="'d' has 2 reading"):
        JointDetector().fit(X)
