"""The joint score against scipy's distributions and dense linear algebra on the sensors that were read."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats

from ssmts.detection import joint
from ssmts.detection.joint import log_chi2_sf, normal_score, shrunk_correlation


def correlated(n, correlation, seed=0):
    return np.random.default_rng(seed).multivariate_normal(np.zeros(len(correlation)), correlation, n)


def random_correlation(d, seed=0):
    factors = np.random.default_rng(seed).normal(size=(d, 2))
    cov = factors @ factors.T + np.eye(d)
    return cov / np.sqrt(np.outer(np.diag(cov), np.diag(cov)))


@pytest.mark.parametrize("m", [1, 2, 3, 8, 101, 2000])
def test_log_chi2_sf_is_scipys_and_goes_on_where_that_underflows(m):
    x = m * np.array([1e-6, 0.1, 0.5, 0.9, 1.0, 1.1, 1.5, 3.0, 20.0])
    got = np.array([log_chi2_sf(float(v), m) for v in x])
    known = got > -700
    np.testing.assert_allclose(got[known], stats.chi2.logsf(x, m)[known], rtol=1e-9, atol=1e-15)
    assert log_chi2_sf(0.0, m) == 0.0
    far = [1e5, 1e9, 1e16]
    # Q(a, y) ~ y^(a-1) exp(-y) / Gamma(a) (1 + (a-1)/y + ...)
    leading = [
        (m / 2 - 1) * np.log(y) - y - special.gammaln(m / 2) + np.log1p((m / 2 - 1) / y) for y in np.array(far) / 2
    ]
    np.testing.assert_allclose([log_chi2_sf(x, m) for x in far], leading, rtol=1e-6)


def test_normal_score_is_the_normal_quantile():
    z = np.linspace(0, 37, 500)
    log_p = np.log(2) + special.log_ndtr(-z)
    np.testing.assert_allclose([normal_score(float(v)) for v in log_p], z, atol=5e-4)
    assert normal_score(0.0) == 0.0


@given(seed=st.integers(0, 10**6), d=st.integers(1, 7), holes=st.floats(0, 1))
@settings(max_examples=60, deadline=None)
def test_distance_is_that_of_the_sensors_that_were_read(seed, d, holes):
    rng = np.random.default_rng(seed)
    C = random_correlation(d, seed)
    g = rng.normal(size=(12, d)) * 3
    g[rng.random(g.shape) < holes] = np.nan
    rows, parts = np.empty(12), np.empty((12, d))
    joint.distances(g, C, np.linalg.inv(C), rows, parts)
    for t in range(12):
        seen = np.flatnonzero(~np.isnan(g[t]))
        solved = np.linalg.solve(C[np.ix_(seen, seen)], g[t, seen]) if len(seen) else np.empty(0)
        np.testing.assert_allclose(parts[t, seen], g[t, seen] * solved, rtol=1e-8, atol=1e-10)
        assert np.isnan(np.delete(parts[t], seen)).all()
        expected = -stats.chi2.logsf(g[t, seen] @ solved, len(seen)) if len(seen) else 0.0
        np.testing.assert_allclose(rows[t], expected, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("d", [1, 3, 8, 37, 130])
def test_rows_at_once_and_one_by_one_agree_to_the_last_digit(d):
    rng = np.random.default_rng(d)
    C = random_correlation(d, d)
    precision = np.linalg.inv(C)
    g = rng.normal(size=(75, d))
    g[rng.random(75) < 0.3] *= np.where(rng.random(d) < 0.2, np.nan, 1.0)
    whole, parts = np.empty(75), np.empty((75, d))
    joint.distances(g, C, precision, whole, parts)
    single, part = np.empty(1), np.empty((1, d))
    for t in range(75):
        joint.distances(g[t : t + 1], C, precision, single, part)
        assert single[0] == whole[t]
        np.testing.assert_array_equal(part[0], parts[t])
        seen = np.flatnonzero(~np.isnan(g[t]))
        solved = np.linalg.solve(C[np.ix_(seen, seen)], g[t, seen]) if len(seen) else np.empty(0)
        np.testing.assert_allclose(parts[t, seen], g[t, seen] * solved, rtol=1e-8, atol=1e-9)


def test_correlation_of_normal_scores():
    C = random_correlation(6, seed=1)
    got, shrinkage = shrunk_correlation(correlated(20000, C))
    np.testing.assert_allclose(got, C, atol=0.04)
    np.testing.assert_allclose(np.diag(got), 1.0)
    assert 0 < shrinkage < 0.01


def test_independent_sensors_are_shrunk_to_independence():
    got, shrinkage = shrunk_correlation(np.random.default_rng(0).normal(size=(300, 40)))
    assert shrinkage > 0.9
    np.testing.assert_allclose(got, np.eye(40), atol=0.05)


def test_outliers_hardly_move_the_correlation():
    C = random_correlation(4, seed=2)
    clean = correlated(4000, C)
    dirty = clean.copy()
    dirty[:80] = 12.0 * np.array([1, -1, 1, -1])
    dirty[80:160, 0] = 30.0
    np.testing.assert_allclose(shrunk_correlation(dirty)[0], shrunk_correlation(clean)[0], atol=0.03)


@pytest.mark.parametrize("n", [3, 10, 200])
def test_correlation_is_positive_definite_whatever_the_rows(n):
    """More sensors than rows, copies, opposites, gaps and silent sensors."""
    rng = np.random.default_rng(0)
    g = rng.normal(size=(n, 30))
    g[:, 1], g[:, 2], g[:, 3], g[:, 4] = g[:, 0], -g[:, 0], 0.0, np.nan
    g[rng.random(g.shape) < 0.4] = np.nan
    got, shrinkage = shrunk_correlation(g)
    assert np.linalg.eigvalsh(got)[0] > 0.9e-3
    assert 0 <= shrinkage <= 1
    np.testing.assert_allclose(np.diag(got), 1.0)
    np.testing.assert_array_equal(got, got.T)


def test_scores_of_fresh_normal_rows_are_uniform_with_and_without_gaps():
    C = random_correlation(5, seed=3)
    model = joint.fit(correlated(20000, C, 1), 0.01)
    fresh = correlated(2000, C, 2)
    assert stats.kstest(np.exp(joint.score(model, fresh)), "uniform").pvalue > 0.05
    fresh[np.random.default_rng(0).random(fresh.shape) < 0.3] = np.nan
    read = ~np.isnan(fresh).all(axis=1)
    p = np.exp(joint.score(model, fresh))
    assert stats.kstest(p[read], "uniform").pvalue > 0.05
    np.testing.assert_array_equal(p[~read], 1.0)


def test_order_of_sensors_does_not_matter():
    z = correlated(600, random_correlation(6, seed=4))
    z[np.random.default_rng(0).random(z.shape) < 0.2] = np.nan
    order = [3, 0, 5, 1, 4, 2]
    a, b = joint.fit(z, 0.01), joint.fit(z[:, order], 0.01)
    np.testing.assert_allclose(joint.score(b, z[:, order]), joint.score(a, z), rtol=1e-8, atol=1e-10)


def test_a_heavy_tailed_sensor_does_not_drown_the_others():
    rng = np.random.default_rng(5)
    z = rng.normal(size=(3000, 3))
    jumps = np.arange(3000) % 40 == 0
    z[jumps, 2] = rng.choice([-1, 1], jumps.sum()) * 1e4
    model = joint.fit(z, 0.01)
    usual, fault = joint.score(model, np.array([[0.5, 0.5, 1e4], [7.0, 0.5, 0.5]]))
    assert usual > np.log(1e-3)
    assert fault < np.log(1e-5)


def test_an_excursion_counts_once():
    z = np.random.default_rng(6).normal(size=(1000, 1))
    z[500:510] = 25.0
    event, shift = joint.fit(np.delete(z, np.s_[501:510], axis=0), 0.01), joint.fit(z, 0.01)
    np.testing.assert_allclose(joint.score(shift, z), joint.score(event, z), rtol=0.02, atol=0.01)


def test_explanation_adds_up_and_names_the_sensor_that_disagrees():
    C = np.array([[1.0, 0.9, 0.0], [0.9, 1.0, 0.0], [0.0, 0.0, 1.0]])
    model = joint.fit(correlated(5000, C), 0.01)
    z = np.array([[3.0, 3.0, 0.1], [3.0, 0.0, 0.1], [np.nan, 0.3, -6.0], [np.nan] * 3])
    told = joint.explain(model, z)
    np.testing.assert_array_equal(np.isnan(told.part), np.isnan(z))
    np.testing.assert_array_equal(np.isnan(told.log_p), np.isnan(z))
    together, apart = np.nansum(told.part[:2], axis=1)
    assert apart > 3 * together, "two sensors that go together are less strange than one alone"
    np.testing.assert_array_equal(np.nanargmax(told.part[:3], axis=1)[1:], [0, 2])
    np.testing.assert_allclose(np.exp(told.log_p[0, 0]), 2 * stats.norm.sf(3), rtol=0.4)
