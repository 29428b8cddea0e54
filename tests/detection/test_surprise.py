"""Combination of surprises over sensors, on a detector whose surprise is known."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kstest, norm

from ssmts.detection.surprise import Surprise, SurpriseDetector, one_of, sidak


class Deviation(SurpriseDetector):
    """Readings against the mean and the standard deviation of the training rows."""

    def __init__(self, contamination=0.01, false_alarm_rate=None):
        self.contamination = contamination
        self.false_alarm_rate = false_alarm_rate

    def _learn(self, rows, steps):
        return (np.nanmean(rows.values, axis=0), np.nanstd(rows.values, axis=0)), 0

    def _surprise(self, model, state, rows, steps, *, full):
        mean, sd = model
        z = (rows.values - mean) / sd
        score = -np.log(2.0) - norm.logsf(np.abs(z))
        ones = np.ones_like(z)
        return Surprise(score, mean * ones, sd * ones, z, np.ones(z.shape, dtype=np.int64)), state + len(z)


@pytest.mark.parametrize("n_sensors", [1, 5])
def test_p_values_of_clean_rows_are_uniform(n_sensors):
    rng = np.random.default_rng(0)
    detector = Deviation().fit(rng.normal(size=(40000, n_sensors)))
    fresh = rng.normal(size=(5000, n_sensors))
    assert kstest(np.exp(detector.score_samples(fresh)), "uniform").pvalue > 0.01


def test_range_is_where_a_sensor_alone_alarms():
    rng = np.random.default_rng(1)
    X = rng.normal(size=(3000, 3)) * [1.0, 5.0, 0.1]
    detector = Deviation(false_alarm_rate=1e-3).fit(X)
    told = detector.explain(np.zeros((1, 3)))
    for sensor in range(3):
        for side in ("lower", "upper"):
            edge = told[side].to_numpy()[sensor]
            inside, outside = np.zeros((1, 3)), np.zeros((1, 3))
            inside[0, sensor], outside[0, sensor] = 0.98 * edge, 1.02 * edge
            assert detector.predict(inside) == [1]
            assert detector.predict(outside) == [-1]


@given(
    st.lists(st.one_of(st.floats(-700, 0), st.just(np.nan)), min_size=1, max_size=6),
)
def test_sidak_is_what_independent_sensors_give(log_p):
    row = np.array([log_p])
    seen = row[~np.isnan(row)]
    got = sidak(row)[0]
    if not len(seen):
        assert got == 0.0
    elif seen.min() > -25:
        assert got == pytest.approx(np.log1p(-((1 - np.exp(seen.min())) ** len(seen))), rel=1e-4, abs=1e-12) or (
            np.exp(seen.min()) == 1.0 and got == 0.0
        )
    else:
        assert got == pytest.approx(seen.min() + np.log(len(seen)), rel=1e-9)


def test_one_of_many_tests_undoes_what_sidak_makes_of_the_best():
    log_p = -np.array([2.0, 3.0, 25.0, 40.0, 800.0])
    for n in (1, 3, 40):
        together = sidak(np.column_stack([log_p] + [np.zeros(len(log_p))] * (n - 1)))
        np.testing.assert_allclose(one_of(n, together), log_p, rtol=1e-6, atol=1e-9)
    assert np.isnan(one_of(3, np.array([np.nan])))[0]
