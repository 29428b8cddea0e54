"""Correlation of sensors by shrinkage or by a few factors, and the distances of rows under it, over the sensors that were read.

With factors the correlation is S = L L' + P with loadings L (n_sensors, n_factors) and a diagonal P. Of a row v the factors are
estimated by generalised least squares, f = (L' P^-1 L)^-1 L' P^-1 v, and the Mahalanobis distance falls into two parts,

    v' S^-1 v = T2 + Q,   T2 = f' (I + (L' P^-1 L)^-1)^-1 f,   Q = (v - L f)' P^-1 (v - L f)

independent and chi-squared with n_factors and n_sensors - n_factors degrees of freedom for normal v: what the sensors do together
as usual, only more of it, and what breaks the relations between them. With a P that is the same for all sensors these are Hotelling's
statistic in the space of principal components and the squared prediction error (Jackson and Mudholkar 1979), the latter over
the noise variance.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from sklearn.decomposition import FactorAnalysis
from sklearn.exceptions import ConvergenceWarning

from ssmts.core.types import Array
from ssmts.detection.joint import LEAST_EIGENVALUE, distances, log_chi2_sf, shrunk_correlation
from ssmts.detection.robust import kernel

IntArray = np.ndarray[Any, np.dtype[np.int64]]

SURROGATES = 10  # at least so many sets of sensors without relations are compared with
NEGLIGIBLE = 1e-9  # precision of a factor that the sensors which were read do not show


class Covariance(NamedTuple):
    """Relations of the sensors.

    Attributes
    ----------
    correlation, precision : (n_sensors, n_sensors)
        And its inverse.
    loadings : (n_sensors, n_factors)
        Of the factors; without columns where there are none.
    noise : (n_sensors,)
        Variance of each sensor that no factor explains; NaN where there are no factors.
    """

    correlation: Array
    precision: Array
    loadings: Array
    noise: Array


class Distances(NamedTuple):
    """Squared distances of rows and the degrees of freedom of each, ``(n_times,)``; `t2` and `q` are NaN without factors."""

    mahalanobis: Array
    t2: Array
    q: Array
    n_seen: IntArray
    n_factors: IntArray


def learn(v: Array, method: str, n_factors: int | None, repeats: float = 1.0) -> Covariance:
    """Relations of sensors in training rows, which outliers hardly move.

    Parameters
    ----------
    v : (n_times, n_sensors)
        Departures in standard deviations, NaN where there is none.
    method : {"shrunk", "factor", "pca"}
    n_factors : int or None
        None for as many as `parallel_analysis` finds, one at least.
    repeats : float
        Rows that say the same, where rows are means of earlier ones.
    """
    correlation, _ = shrunk_correlation(v, repeats)
    d = len(correlation)
    if method == "shrunk" or d == 1:
        return Covariance(correlation, _inverse(correlation), np.empty((d, 0)), np.full(d, np.nan))
    k = min(max(parallel_analysis(v), 1), d - 1) if n_factors is None else n_factors
    loadings, noise = factors(correlation, k) if method == "factor" else components(correlation, k)
    weighted = loadings / noise[:, None]
    inner = np.linalg.solve(np.eye(k) + loadings.T @ weighted, weighted.T)
    precision = np.diag(1 / noise) - weighted @ inner
    return Covariance(
        loadings @ loadings.T + np.diag(noise), np.ascontiguousarray((precision + precision.T) / 2), loadings, noise
    )


def factors(correlation: Array, k: int) -> tuple[Array, Array]:
    """Loadings and noise variances of maximum likelihood (scikit-learn's `FactorAnalysis`), the noise not below 0.001."""
    d = len(correlation)
    root = np.linalg.cholesky(correlation)
    rows = np.vstack([root.T, -root.T]) * math.sqrt(d)  # rows with mean 0 and exactly this covariance
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the last digits of a start value for chi-squared
        fitted = FactorAnalysis(k, svd_method="lapack", max_iter=2000, tol=1e-6).fit(rows)
    loadings: Array = fitted.components_.T
    return loadings, np.maximum(1 - np.sum(loadings**2, axis=1), LEAST_EIGENVALUE)


def components(correlation: Array, k: int) -> tuple[Array, Array]:
    """Loadings of the first principal components, and the mean of the other eigenvalues as everybody's noise (Tipping and Bishop 1999)."""
    values, vectors = np.linalg.eigh(correlation)
    noise = float(np.mean(values[:-k]))
    loadings = vectors[:, -k:] * np.sqrt(np.maximum(values[-k:] - noise, 0.0))
    return loadings, np.full(len(values), noise)


def parallel_analysis(v: Array) -> int:
    """Number of factors whose eigenvalue exceeds that of sensors without relations (Horn 1965; 95 % of them as by Glorfeld 1995).

    Sensors without relations are the sensors themselves, each shifted in time by another number of rows and wrapped round, so
    that a sensor that wanders slowly is compared with ones that do as well.
    """
    n, d = v.shape
    real = np.linalg.eigvalsh(_raw_correlation(v))[::-1]
    p = max(d, SURROGATES + 1)
    while any(p % q == 0 for q in range(2, math.isqrt(p) + 1)):
        p += 1
    # The p places are n / p rows apart and p is prime: no two sensors ever share one.
    shifts = [[int((i * r) % p * n / p) for i in range(d)] for r in range(1, SURROGATES + 1)]
    chance = [
        np.linalg.eigvalsh(_raw_correlation(np.column_stack([np.roll(c, s) for c, s in zip(v.T, shift)])))[::-1]
        for shift in shifts
    ]
    larger = real > np.quantile(chance, 0.95, axis=0)
    return int(np.argmin(larger)) if not larger.all() else d


def measure(covariance: Covariance, v: Array) -> Distances:
    """Distances of rows over the sensors that were read in each.

    Parameters
    ----------
    covariance : Covariance
    v : (n_times, n_sensors)
        NaN where a sensor was silent.
    """
    seen = ~np.isnan(v)
    n_seen = seen.sum(axis=1)
    if not covariance.loadings.shape[1]:
        none = np.full(len(v), np.nan)
        part = np.empty(v.shape)
        distances(np.ascontiguousarray(v), covariance.correlation, covariance.precision, np.empty(len(v)), part)
        return Distances(np.nansum(part, axis=1), none, none, n_seen, np.zeros(len(v), dtype=np.int64))
    t2, q, k = np.zeros(len(v)), np.zeros(len(v)), np.zeros(len(v), dtype=np.int64)
    for rows, there in _patterns(seen):
        x, noise, loadings = v[np.ix_(rows, there)], covariance.noise[there], covariance.loadings[there]
        weighted = loadings / noise[:, None]
        inner, turned = np.linalg.eigh(loadings.T @ weighted)
        shown = inner > NEGLIGIBLE
        inner = inner[shown]
        square = (x @ (weighted @ turned[:, shown])) ** 2
        explained = square @ (1 / inner)
        q[rows] = np.maximum((x**2) @ (1 / noise) - explained, 0.0) if len(there) > len(inner) else 0.0
        t2[rows] = square @ (1 / (inner * (1 + inner)))
        k[rows] = len(inner)
    return Distances(t2 + q, t2, q, n_seen, k)


def conditional(covariance: Covariance, v: Array) -> Array:
    """Every sensor against what the others say of it: [S^-1 v]_i / sqrt([S^-1]_ii), standard normal; NaN where nothing was read.

    It is the residual of a regression on all other sensors that were read, over its standard deviation.
    """
    out = np.full(v.shape, np.nan)
    for rows, there in _patterns(~np.isnan(v)):
        precision = _precision_of(covariance, there)
        out[np.ix_(rows, there)] = v[np.ix_(rows, there)] @ precision / np.sqrt(np.diag(precision))
    return out


def surprise(distance: Array, degrees: Any) -> Array:
    """-log P(chi-squared is larger); 0 without degrees of freedom."""
    out = np.empty(len(distance))
    _surprise(distance, np.asarray(degrees, dtype=np.float64), out)
    return out


def _raw_correlation(v: Array) -> Array:
    """Of the rows that both sensors were read in, not shrunk."""
    known = np.nan_to_num(np.clip(v, -5.0, 5.0))
    seen = (~np.isnan(v)).astype(float)
    squares = (known**2).T @ seen
    norm = np.sqrt(squares * squares.T)
    correlation: Array = np.divide(known.T @ known, norm, out=np.zeros_like(norm), where=norm > 0)
    np.fill_diagonal(correlation, 1.0)
    return correlation


def _inverse(matrix: Array) -> Array:
    return np.ascontiguousarray(np.linalg.inv(matrix))


def _patterns(seen: Any) -> Iterator[tuple[IntArray, IntArray]]:
    """Rows that have the same sensors, and these; rows without any are left out."""
    if seen.all():
        yield np.arange(len(seen)), np.arange(seen.shape[1])
        return
    kinds, which = np.unique(seen, axis=0, return_inverse=True)
    order = np.argsort(which.ravel(), kind="stable")
    for kind, rows in zip(kinds, np.split(order, np.cumsum(np.bincount(which.ravel()))[:-1])):
        if kind.any():
            yield rows, np.flatnonzero(kind)


def _precision_of(covariance: Covariance, there: IntArray) -> Array:
    """Inverse of the correlation of some of the sensors: what the inverse of all leaves when the others are eliminated."""
    whole = covariance.precision
    if len(there) == len(whole):
        return whole
    away = np.setdiff1d(np.arange(len(whole)), there)
    cross = whole[np.ix_(there, away)]
    left: Array = whole[np.ix_(there, there)] - cross @ np.linalg.solve(whole[np.ix_(away, away)], cross.T)
    return left


@kernel
def _surprise(distance: Array, degrees: Array, out: Array) -> None:
    for t in range(distance.size):
        out[t] = -log_chi2_sf(distance[t], degrees[t]) if degrees[t] > 0 else 0.0
