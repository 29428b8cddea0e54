"""Distances of rows under shrunk and factor correlations, against dense formulas, scikit-learn and the distributions they must have."""

import numpy as np
import pytest
from scipy import stats
from sklearn.covariance import EmpiricalCovariance
from sklearn.linear_model import LinearRegression

from ssmts.detection import covariance as cov

METHODS = ["shrunk", "factor", "pca"]


def factor_rows(n=4000, d=7, k=2, seed=0):
    """Rows of a factor model, and their correlation."""
    rng = np.random.default_rng(seed)
    loadings = rng.normal(size=(d, k))
    noise = rng.uniform(0.3, 1.0, d)
    S = loadings @ loadings.T + np.diag(noise)
    scale = 1 / np.sqrt(np.diag(S))
    rows = (rng.normal(size=(n, k)) @ loadings.T + rng.normal(size=(n, d)) * np.sqrt(noise)) * scale
    return rows, S * np.outer(scale, scale)


def with_holes(v, share=0.3, seed=1):
    holes = np.where(np.random.default_rng(seed).random(v.shape) < share, np.nan, v)
    holes[5] = np.nan
    holes[6, 1:] = np.nan
    return holes


@pytest.mark.parametrize("method", METHODS)
def test_complete_rows_have_the_distance_of_scikit_learn(method):
    v, _ = factor_rows()
    found = cov.learn(v, method, 2)
    np.testing.assert_allclose(found.correlation @ found.precision, np.eye(7), atol=1e-10)
    other = EmpiricalCovariance(assume_centered=True).fit(v)
    other.covariance_, other.precision_, other.location_ = found.correlation, found.precision, np.zeros(7)
    np.testing.assert_allclose(cov.measure(found, v).mahalanobis, other.mahalanobis(v), rtol=1e-9)


@pytest.mark.parametrize("method", METHODS)
def test_rows_with_silent_sensors_have_the_distance_of_the_others(method):
    v, _ = factor_rows(300)
    found = cov.learn(v, method, 2)
    holes = with_holes(v)
    measured = cov.measure(found, holes)
    residual = cov.conditional(found, holes)
    for t, row in enumerate(holes):
        there = ~np.isnan(row)
        inverse = np.linalg.inv(found.correlation[np.ix_(there, there)])
        x = row[there]
        assert measured.mahalanobis[t] == pytest.approx(x @ inverse @ x, rel=1e-8, abs=1e-12)
        assert measured.n_seen[t] == there.sum()
        np.testing.assert_allclose(residual[t, there], inverse @ x / np.sqrt(np.diag(inverse)), rtol=1e-7, atol=1e-9)
        assert np.isnan(residual[t, ~there]).all()


@pytest.mark.parametrize("method", ["factor", "pca"])
def test_t2_and_q_by_generalised_least_squares(method):
    v, _ = factor_rows(200)
    found = cov.learn(v, method, 2)
    holes = with_holes(v)
    measured = cov.measure(found, holes)
    for t, row in enumerate(holes):
        there = ~np.isnan(row)
        if there.sum() < 2:
            continue
        x, L, noise = row[there], found.loadings[there], found.noise[there]
        P = np.diag(1 / noise)
        of_factors = np.linalg.inv(L.T @ P @ L)
        f = of_factors @ L.T @ P @ x
        assert measured.t2[t] == pytest.approx(f @ np.linalg.inv(np.eye(2) + of_factors) @ f, rel=1e-7)
        assert measured.q[t] == pytest.approx((x - L @ f) @ P @ (x - L @ f), rel=1e-7, abs=1e-9)


def test_pca_gives_the_textbook_statistics():
    v, _ = factor_rows(500)
    found = cov.learn(v, "pca", 2)
    shrunk = cov.learn(v, "shrunk", None).correlation
    values, vectors = np.linalg.eigh(shrunk)
    scores = v @ vectors
    measured = cov.measure(found, v)
    np.testing.assert_allclose(measured.t2, np.sum(scores[:, -2:] ** 2 / values[-2:], axis=1), rtol=1e-9)
    spe = np.sum((v - scores[:, -2:] @ vectors[:, -2:].T) ** 2, axis=1)
    np.testing.assert_allclose(measured.q, spe / np.mean(values[:-2]), rtol=1e-9)


def test_known_covariance_gives_chi_squared():
    v, _ = factor_rows(20000)
    found = cov.learn(v, "factor", 2)
    rows = np.random.default_rng(2).multivariate_normal(np.zeros(7), found.correlation, 4000)
    measured = cov.measure(found, rows)
    for value, degrees in ((measured.mahalanobis, 7), (measured.t2, 2), (measured.q, 5)):
        assert stats.kstest(value, "chi2", args=(degrees,)).pvalue > 0.01
        np.testing.assert_allclose(
            -cov.surprise(value[:200], np.full(200, degrees)), stats.chi2.logsf(value[:200], degrees), rtol=1e-9
        )
    assert abs(np.corrcoef(measured.t2, measured.q)[0, 1]) < 0.05
    away = with_holes(rows)
    measured = cov.measure(found, away)
    p = np.exp(-cov.surprise(measured.mahalanobis, measured.n_seen))[measured.n_seen > 0]
    assert stats.kstest(p, "uniform").pvalue > 0.01


def test_covariance_of_few_rows_gives_f():
    """A new row against n rows of d sensors whose mean is known: T2 (n - d + 1) / (n d) is F with d and n - d + 1 degrees of freedom."""
    rng = np.random.default_rng(3)
    n, d = 12, 4
    values = []
    for _ in range(3000):
        rows = rng.normal(size=(n, d))
        S = rows.T @ rows / n
        found = cov.Covariance(S, np.linalg.inv(S), np.empty((d, 0)), np.full(d, np.nan))
        values.append(cov.measure(found, rng.normal(size=(1, d))).mahalanobis[0])
    assert stats.kstest(np.array(values) * (n - d + 1) / (n * d), "f", args=(d, n - d + 1)).pvalue > 0.01


def test_conditional_residuals_are_those_of_regressions_on_the_other_sensors():
    v, _ = factor_rows(500)
    S = v.T @ v / len(v)
    found = cov.Covariance(S, np.linalg.inv(S), np.empty((7, 0)), np.full(7, np.nan))
    residuals = cov.conditional(found, v)
    for i in range(7):
        others = np.delete(v, i, axis=1)
        left = v[:, i] - LinearRegression(fit_intercept=False).fit(others, v[:, i]).predict(others)
        np.testing.assert_allclose(residuals[:, i], left / np.sqrt(np.mean(left**2)), rtol=1e-8, atol=1e-9)


def test_factors_come_back():
    v, S = factor_rows(50000)
    np.testing.assert_allclose(cov.learn(v, "factor", 2).correlation, S, atol=0.03)


@pytest.mark.parametrize("k", [0, 1, 2, 3])
def test_parallel_analysis_counts_factors(k):
    found = []
    for seed in range(10):
        rng = np.random.default_rng(seed)
        v = rng.normal(size=(1000, 10))
        for factor in range(k):
            v[:, factor::k] = np.sqrt(0.4) * v[:, factor::k] + np.sqrt(0.6) * rng.normal(size=(1000, 1))
        found.append(cov.parallel_analysis(v))
    assert np.median(found) == k
    assert np.mean(np.array(found) == k) >= 0.7


def test_sensors_that_wander_by_themselves_share_no_factor():
    found = []
    for seed in range(10):
        v = np.zeros((1500, 6))
        noise = np.random.default_rng(seed).normal(size=v.shape)
        for t in range(1, len(v)):
            v[t] = 0.97 * v[t - 1] + noise[t]
        found.append(cov.parallel_analysis(v / v.std(axis=0)))
    assert np.mean(found) < 0.5


def test_rows_that_repeat_each_other_are_shrunk_more():
    v, _ = factor_rows(60)
    weak, strong = (cov.learn(v, "shrunk", None, repeats).correlation for repeats in (1.0, 20.0))
    off = ~np.eye(7, dtype=bool)
    assert np.abs(strong[off]).sum() < 0.9 * np.abs(weak[off]).sum()


@pytest.mark.parametrize("method", METHODS)
def test_outliers_hardly_move_the_correlation(method):
    v, S = factor_rows(3000)
    rng = np.random.default_rng(6)
    v[rng.choice(3000, 60, replace=False)] = rng.normal(size=(60, 7)) * 1e4
    found = cov.learn(v, method, 2).correlation
    assert np.abs(found - S).max() < (0.15 if method != "pca" else 0.4)
