"""Averages of rows, against pandas and weights written out; their variances and distances also with silent sensors."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ssmts.detection import covariance, smoothing
from ssmts.detection.robust_baseline import Deviations


def deviations(z):
    return Deviations(z, np.zeros((0, z.shape[1]), dtype=bool), z[:0])


def averaged(z, span, steps=None, correlation=None):
    """Averages of rows with no persistence."""
    d = z.shape[1]
    correlation = np.eye(d) if correlation is None else correlation
    found = smoothing.Smoothing(1 - 2 / (span + 1), np.zeros(d), correlation, np.linalg.inv(correlation))
    steps = np.ones(len(z)) if steps is None else steps
    return smoothing.run(found, smoothing.start(d), deviations(z), steps, full=True)


def test_averages_are_those_of_pandas():
    z = np.random.default_rng(0).normal(size=(200, 3))
    seen, _ = averaged(z, 9.0)
    np.testing.assert_allclose(seen.departure * seen.sd, pd.DataFrame(z).ewm(span=9).mean(), atol=1e-12)
    assert 1 / seen.weight[-1] == pytest.approx(9.0)


@given(st.lists(st.integers(0, 300), min_size=2, max_size=40))
@settings(deadline=None, max_examples=30)
def test_averages_of_irregular_rows_are_those_of_pandas(seconds):
    z = np.random.default_rng(1).normal(size=(len(seconds), 2))
    times = pd.to_datetime("2024-01-01") + pd.to_timedelta(np.cumsum(seconds), "s")
    decay = 1 - 2 / 10
    halflife = pd.Timedelta(seconds=60 * np.log(0.5) / np.log(decay))
    seen, _ = averaged(z, 9.0, np.array(seconds) / 60)
    expected = pd.DataFrame(z).ewm(halflife=halflife, times=times).mean()
    np.testing.assert_allclose(seen.departure * seen.sd, expected, rtol=1e-6, atol=1e-9)
    age = np.cumsum(seconds)[-1] - np.cumsum(seconds)
    weights = decay ** (age / 60)
    assert seen.weight[-1] == pytest.approx(np.sum((weights / weights.sum()) ** 2), rel=1e-6)


@pytest.mark.parametrize("phi", [0.0, 0.8])
def test_departures_have_variance_one_also_after_a_gap(phi):
    rng = np.random.default_rng(2)
    d, n = 400, 600
    z = np.empty((n, d))
    z[0] = rng.normal(size=d)
    for t in range(1, n):
        z[t] = phi * z[t - 1] + np.sqrt(1 - phi**2) * rng.normal(size=d)
    steps = np.ones(n)
    z[400:580] = np.nan
    related = covariance.Covariance(np.eye(d), np.eye(d), np.empty((d, 0)), np.ones(d))
    found = smoothing.fit(deviations(z), steps, 15.0, related, 0.01)
    seen, _ = smoothing.run(found, smoothing.start(d), deviations(z), steps)
    assert np.std(seen.departure[200:400]) == pytest.approx(1.0, abs=0.05)
    assert np.std(seen.departure[580]) == pytest.approx(1.0, abs=0.12)  # the first row again
    assert np.std(seen.departure[0]) == pytest.approx(1.0, abs=0.12)


def correlated(n, seed=3):
    rng = np.random.default_rng(seed)
    S = np.full((4, 4), 0.9) + 0.1 * np.eye(4)
    return rng.multivariate_normal(np.zeros(4), S, n), S


def test_a_silent_sensor_reads_what_the_others_say_of_it():
    z, S = correlated(300)
    z[np.random.default_rng(4).random(z.shape) < 0.4] = np.nan
    z[7] = np.nan
    filled = z.copy()
    for t, row in enumerate(z):
        away, there = np.isnan(row), ~np.isnan(row)
        if there.any():
            filled[t, away] = S[np.ix_(away, there)] @ np.linalg.solve(S[np.ix_(there, there)], row[there])
    seen, _ = averaged(z, 6.0, correlation=S)
    expected = pd.DataFrame(filled).ewm(span=6).mean().to_numpy()
    there = ~np.isnan(z).all(axis=1)
    np.testing.assert_allclose((seen.departure * seen.sd)[there], expected[there], rtol=1e-8, atol=1e-10)
    assert np.isnan(seen.departure[7]).all()


def test_one_row_has_the_distance_of_the_sensors_that_were_read():
    z, S = correlated(50)
    z[np.random.default_rng(5).random(z.shape) < 0.4] = np.nan
    related = covariance.Covariance(S, np.linalg.inv(S), np.empty((4, 0)), np.ones(4))
    seen, _ = averaged(z, 1.0 + 1e-12, correlation=S)
    ours, exact = covariance.measure(related, seen.departure), covariance.measure(related, z)
    np.testing.assert_allclose(ours.mahalanobis, exact.mahalanobis, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(seen.n_seen, exact.n_seen, atol=1e-6)


def test_expected_distance_is_the_average_number_of_sensors_read():
    z, S = correlated(40000)
    rng = np.random.default_rng(6)
    for first in range(0, 40000, 100):
        z[first : first + 60, rng.choice(4, 2, replace=False)] = np.nan
    related = covariance.Covariance(S, np.linalg.inv(S), np.empty((4, 0)), np.ones(4))
    seen, _ = averaged(z, 20.0, correlation=S)
    distance = covariance.measure(related, seen.departure).mahalanobis
    for place in (10, 59, 60, 61, 75, 99):
        assert np.mean(distance[1000 + place :: 100]) == pytest.approx(
            np.mean(seen.n_seen[1000 + place :: 100]), rel=0.15
        )


def test_a_gross_fault_wears_off_as_fast_as_a_small_one():
    z = np.random.default_rng(8).normal(size=(1000, 1))
    z[100:200] = 1e7
    seen, _ = averaged(z, 21.0)
    assert (np.abs(seen.departure[200 + 30 :]) < 4).all()
    assert (np.abs(seen.departure[100:200]) > 10).all()
