"""The joint score of a row: Mahalanobis distance of the sensors that were read, under a robust, shrunk correlation.

The innovation of every sensor enters as its normal score, the normal quantile of its own calibrated p-value with its sign, so that
a sensor with heavy tails does not drown the others. The distance of a row with m readings is chi-squared with m degrees
of freedom where the sensors' normal scores are jointly normal; what it really is, calibration learns.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from ssmts.core.types import Array
from ssmts.detection.calibration import Calibration, calibrate, log_p_value
from ssmts.detection.normal_tail import log_erfc, log_p_innovations
from ssmts.detection.robust import GATE, kernel

OUTER = 5.0  # normal scores count in full up to half of this, and not at all beyond it
LEAST_EIGENVALUE = 1e-3  # of the shrunk correlation: how far two sensors may be taken for the same
BLOCK = 32  # rows that are multiplied at once
LOG_2 = math.log(2.0)


class Joint(NamedTuple):
    """What is normal for all sensors together.

    Attributes
    ----------
    sensors : Calibration
        Of every sensor's ``-log P(|z| is larger)`` under the normal distribution.
    correlation, precision : (n_sensors, n_sensors)
        Of the normal scores, and its inverse.
    shrinkage : float
        Weight of the identity in `correlation`, between 0 and 1.
    rows : Calibration
        Of the rows' ``-log P(distance is larger)`` under the chi-squared distribution; one column.
    """

    sensors: Calibration
    correlation: Array
    precision: Array
    shrinkage: float
    rows: Calibration


class Explanation(NamedTuple):
    """Scores of rows taken apart by sensor, each ``(n_times, n_sensors)``.

    Attributes
    ----------
    log_p : log p-value of each sensor's own innovation, NaN where nothing was read.
    part : the sensor's part of the row's distance; the parts of a row sum to it. May be negative: a sensor that agrees with others
        which are off explains some of their distance away. NaN where nothing was read.
    """

    log_p: Array
    part: Array


def fit(z: Array, contamination: float) -> Joint:
    """Learn from standardised innovations of training rows.

    Of a run of innovations beyond the gate on the same side only the first counts: a shift or an excursion is one event, not as
    many as it has rows (declustering of exceedances, Davison and Smith 1990).

    Parameters
    ----------
    z : (n_times, n_sensors)
        NaN where there is none.
    contamination : float
        See `ssmts.detection.calibration.calibrate`.
    """
    z = first_of_runs(z)
    sensors = calibrate(nominal(z), contamination)
    scores = np.empty_like(z)
    normal_scores(*sensors, z, scores)
    correlation, shrinkage = shrunk_correlation(scores)
    precision = np.linalg.inv(correlation)
    precision = 0.5 * (precision + precision.T)
    rows = np.empty(len(z))
    empty = np.empty((0, z.shape[1]))
    distances(scores, correlation, precision, rows, empty)
    observed = ~np.isnan(z).all(axis=1)
    return Joint(
        sensors, correlation, precision, shrinkage, calibrate(np.where(observed, rows, np.nan)[:, None], contamination)
    )


def first_of_runs(z: Array) -> Array:
    """Innovations with NaN in place of those that go on an excursion begun in the row before."""
    above, below = z > GATE, z < -GATE
    later = np.zeros(z.shape, dtype=bool)
    later[1:] = (above[1:] & above[:-1]) | (below[1:] & below[:-1])
    return np.where(later, np.nan, z)


def score(joint: Joint, z: Array) -> Array:
    """Log p-value of each row; 0 for rows without a reading.

    Parameters
    ----------
    joint : Joint
    z : (n_times, n_sensors)
        Standardised innovations, NaN where there is none.
    """
    log_p = np.empty(len(z))
    _score(*joint.sensors, joint.correlation, joint.precision, *joint.rows, z, log_p)
    return log_p


def explain(joint: Joint, z: Array) -> Explanation:
    """Take the scores of rows apart by sensor."""
    log_p = np.empty_like(z)
    log_p_innovations(*joint.sensors, z, log_p)
    return Explanation(log_p, parts(joint, log_p, z)[0])


def parts(joint: Joint, log_p: Array, z: Array) -> tuple[Array, Array]:
    """Every sensor's part of its row's distance, and the distance as -log P(distance is larger), 0 without a reading.

    Parameters
    ----------
    joint : Joint
    log_p : (n_times, n_sensors)
        Of the sensors' innovations, however they were calibrated.
    z : (n_times, n_sensors)
        The innovations, of which the signs are taken.
    """
    scores, part, rows = np.empty_like(z), np.empty_like(z), np.empty(len(z))
    _signed(log_p, z, scores)
    distances(scores, joint.correlation, joint.precision, rows, part)
    return part, rows


def nominal(z: Array) -> Array:
    """-log P(|N(0, 1)| > |z|)."""
    out = np.empty_like(z)
    _nominal(z, out)
    return out


def shrunk_correlation(scores: Array, repeats: float = 1.0) -> tuple[Array, float]:
    """Correlation of normal scores that outliers hardly move, shrunk towards the identity, and the weight of the identity.

    Scores beyond 2.5 count less and less, those beyond 5 not at all. Correlations are taken over the rows that both sensors were
    read in, and shrunk by the weight that minimises the expected squared error (Schaefer and Strimmer 2005), or by more where
    an eigenvalue would fall below 0.001.

    Parameters
    ----------
    scores : (n_times, n_sensors)
        NaN where there is none.
    repeats : float, default 1
        Rows that say the same, where rows depend on each other: the error is as large as with so many times fewer.
    """
    d = scores.shape[1]
    seen = (~np.isnan(scores)).astype(float)
    x = _redescending(np.nan_to_num(scores))
    squares = (x**2).T @ seen  # of the row's sensor, over the rows in which the column's sensor was read too
    norm = np.sqrt(squares * squares.T)
    known = norm > 0
    correlation = np.divide(x.T @ x, norm, out=np.zeros((d, d)), where=known)
    np.fill_diagonal(correlation, 1.0)
    # Var r = sum of (x_i x_j / norm - r / n)^2 over rows, the standardisation taken as known.
    counts = np.maximum(seen.T @ seen, 1.0)
    fourth = np.divide((x**2).T @ x**2, norm**2, out=np.zeros((d, d)), where=known)
    error = repeats * np.maximum(fourth - correlation**2 / counts, 0.0)
    off = ~np.eye(d, dtype=bool)
    total = np.sum(correlation[off] ** 2)
    shrinkage = float(min(np.sum(error[off]) / total, 1.0)) if total > 0 else 1.0
    least = np.linalg.eigvalsh(correlation)[0]
    if least < 1:
        shrinkage = max(shrinkage, (LEAST_EIGENVALUE - least) / (1 - least))
    return (1 - shrinkage) * correlation + shrinkage * np.eye(d), shrinkage


def _redescending(scores: Array) -> Array:
    """Scores that come back to zero from half of `OUTER` on (Hampel's function)."""
    size = np.abs(scores)
    return np.sign(scores) * np.minimum(size, np.maximum(OUTER - size, 0.0))


@kernel
def _nominal(z: Array, out: Array) -> None:
    for t in range(z.shape[0]):
        for i in range(z.shape[1]):
            out[t, i] = -log_erfc(abs(z[t, i]) / math.sqrt(2.0))


@kernel
def log_chi2_sf(x: float, m: int) -> float:
    """Log P(chi-squared with m degrees of freedom > x), however far out (DLMF 8.11.4 below the mean, 8.9.2 above)."""
    a, y = 0.5 * m, 0.5 * x
    if y <= 0.0:
        return 0.0
    if m == 1:
        return float(log_erfc(math.sqrt(y)))
    front = a * math.log(y) - y - math.lgamma(a)
    if y < a + 1.0:
        term = total = 1.0 / a
        k = a
        while term > 1e-17 * total:
            k += 1.0
            term *= y / k
            total += term
        return math.log1p(-min(math.exp(front) * total, 1.0))
    # Continued fraction of the upper incomplete gamma function, by the modified Lentz method.
    b = y + 1.0 - a
    c, d = 1e300, 1.0 / b
    h = d
    for k in range(1, 10000):
        step = -k * (k - a)
        b += 2.0
        d = 1.0 / (step * d + b)
        c = b + step / c
        h *= c * d
        if abs(c * d - 1.0) < 1e-15:
            break
    return front + math.log(h)


@kernel
def normal_score(log_p: float) -> float:
    """The z of which P(|N(0, 1)| > z) has this logarithm, to 0.0005 (Abramowitz and Stegun 26.2.23)."""
    t = math.sqrt(2.0 * (LOG_2 - log_p))
    top = 2.515517 + t * (0.802853 + t * 0.010328)
    bottom = 1.0 + t * (1.432788 + t * (0.189269 + t * 0.001308))
    return max(t - top / bottom, 0.0)


@kernel
def normal_scores(
    log_p: Array, spacing: Array, threshold: Array, log_share: Array, shape: Array, scale: Array, z: Array, out: Array
) -> None:
    """Fill `out` with the signed normal score of every innovation."""
    log_p_innovations(log_p, spacing, threshold, log_share, shape, scale, z, out)
    _signed(out, z, out)


@kernel
def _signed(log_p: Array, z: Array, out: Array) -> None:
    """Fill `out` with the signed normal score of every p-value."""
    for t in range(z.shape[0]):
        for i in range(z.shape[1]):
            size = normal_score(log_p[t, i])
            out[t, i] = np.nan if math.isnan(z[t, i]) else size if z[t, i] > 0 else -size


@kernel
def distances(scores: Array, correlation: Array, precision: Array, rows: Array, parts: Array) -> None:
    """Fill `rows` with -log P(distance is larger), 0 where nothing was read; and `parts`, unless it has no rows."""
    n, d = scores.shape
    filled, weighted, block = np.empty((min(n, BLOCK), d)), np.empty((min(n, BLOCK), d)), np.empty((d, d))
    for start in range(0, n, BLOCK):
        count = min(BLOCK, n - start)
        for r in range(count):
            for i in range(d):
                filled[r, i] = 0.0 if math.isnan(scores[start + r, i]) else scores[start + r, i]
        _multiply(filled[:count], precision, weighted[:count])
        for r in range(count):
            t = start + r
            m = without_absent(scores[t], correlation, precision, weighted[r], block)
            distance = 0.0
            for i in range(d):
                distance += filled[r, i] * weighted[r, i]
            rows[t] = -log_chi2_sf(distance, m) if m else 0.0
            if parts.shape[0] > 0:
                for i in range(d):
                    parts[t, i] = scores[t, i] * weighted[r, i]


@kernel
def _multiply(g: Array, precision: Array, out: Array) -> None:
    """Fill `out` with the products of rows g and a symmetric matrix.

    Sums run over the matrix's rows in their order, whatever the number of rows of g, so that rows at once and one by one agree to
    the last digit; four of them at a time, so that the matrix is read once for all and `out` a fourth as often.
    """
    d = g.shape[1]
    whole = d - d % 4
    out[:] = 0.0
    for a in range(0, whole, 4):
        p0, p1, p2, p3 = precision[a], precision[a + 1], precision[a + 2], precision[a + 3]
        for r in range(g.shape[0]):
            g0, g1, g2, g3, row = g[r, a], g[r, a + 1], g[r, a + 2], g[r, a + 3], out[r]
            for i in range(d):
                row[i] = (((row[i] + p0[i] * g0) + p1[i] * g1) + p2[i] * g2) + p3[i] * g3
    for a in range(whole, d):
        for r in range(g.shape[0]):
            for i in range(d):
                out[r, i] += precision[a, i] * g[r, a]


@kernel
def without_absent(g: Array, correlation: Array, precision: Array, out: Array, block: Array) -> int:
    """Solve C x = g over the entries of g that are not NaN, and return their number; `out` is the solution with 0 for NaN.

    Either by factoring C of the present entries, or, if fewer are absent, by correcting the solution for all of them with the
    absent ones set to 0: the inverse of a block is what is left of the inverse after eliminating the others.
    """
    d, m = g.size, 0
    for i in range(d):
        m += not math.isnan(g[i])
    k = d - m
    if k == 0:
        return m
    present, absent = np.empty(m, np.int64), np.empty(k, np.int64)
    a = b = 0
    for i in range(d):
        if math.isnan(g[i]):
            absent[b] = i
            b += 1
        else:
            present[a] = i
            a += 1
    if m <= k:
        for a in range(m):
            out[a] = g[present[a]]
        _cholesky_solve(correlation, present, out, block)
        for a in range(m - 1, -1, -1):
            out[present[a]] = out[a]
        return m
    extra = out[absent]
    _cholesky_solve(precision, absent, extra, block)
    for b in range(m):
        total = 0.0
        for a in range(k):
            total += precision[present[b], absent[a]] * extra[a]
        out[present[b]] -= total
    return m


@kernel
def _cholesky_solve(matrix: Array, index: Array, x: Array, L: Array) -> None:
    """Overwrite x by the solution of the system that rows and columns `index` of a positive definite matrix make."""
    n = index.size
    for i in range(n):
        for j in range(i + 1):
            total = matrix[index[i], index[j]]
            for a in range(j):
                total -= L[i, a] * L[j, a]
            L[i, j] = math.sqrt(total) if i == j else total / L[j, j]
    for i in range(n):
        total = x[i]
        for a in range(i):
            total -= L[i, a] * x[a]
        x[i] = total / L[i, i]
    for i in range(n - 1, -1, -1):
        total = x[i]
        for a in range(i + 1, n):
            total -= L[a, i] * x[a]
        x[i] = total / L[i, i]


@kernel
def _score(
    log_ps: Array, spacings: Array, thresholds: Array, log_shares: Array, shapes: Array, scales: Array,
    correlation: Array, precision: Array,
    log_p: Array, spacing: Array, threshold: Array, log_share: Array, shape: Array, scale: Array, z: Array, out: Array,
) -> None:  # fmt: skip
    """Fill `out` by the calibrations of sensors and of rows, spread out: taking tuples apart costs more than one row does."""
    scores = np.empty_like(z)
    normal_scores(log_ps, spacings, thresholds, log_shares, shapes, scales, z, scores)
    distances(scores, correlation, precision, out, np.empty((0, z.shape[1])))
    for t in range(z.shape[0]):
        out[t] = log_p_value(log_p, spacing, threshold, log_share, shape, scale, 0, out[t])
