"""From scores to p-values by what the training rows showed: their own frequencies, and a generalised Pareto tail.

Scores are of the kind "larger is stranger" and start at 0; those used here are minus the logarithm of a nominal p-value, so that
they are standard exponential where the model is right. Any number of them is calibrated at once, one a column.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from ssmts.core.types import Array
from ssmts.detection.robust import kernel

TAIL = 0.1  # share of the training scores that the Pareto tail is fitted to
KNOTS = 65  # points by which the frequencies below the tail are kept
SHAPE_MEAN, SHAPE_SD = (
    0.3,
    0.2,
)  # what is known of the tail's shape beforehand: 0 for normal innovations, 2 / df for t ones
STEEPEST = 3.0  # largest shape
REJECTED = 0.01  # expected number of training rows beyond a score that is set aside as an outlier
GAPS = 4  # widest gaps tried
RESOLVED = 1e-3  # scores below are as good as zero: those of exact readings are rounding, whose size tells nothing


class Calibration(NamedTuple):
    """Distribution of the scores of every column.

    Attributes
    ----------
    log_p : (n_columns, n_knots)
        Log P(score >= knot) at knots from 0 to `threshold`, evenly spaced in log(1 + score); in between straight lines.
    spacing : (n_columns,)
        Distance of the knots in log(1 + score).
    threshold : (n_columns,)
        Where the tail begins.
    log_share : (n_columns,)
        Log P(score > threshold).
    shape, scale : (n_columns,)
        Of the generalised Pareto distribution of ``score - threshold``, ``shape`` above 0.
    """

    log_p: Array
    spacing: Array
    threshold: Array
    log_share: Array
    shape: Array
    scale: Array


def calibrate(scores: Array, contamination: float) -> Calibration:
    """Learn the distribution of scores from training rows of which some may be anomalous.

    The tail is the generalised Pareto distribution to which excesses over a high threshold tend (Pickands 1975; for streams
    Siffer et al. 2017), fitted to the largest tenth by maximum likelihood with a normal prior on the shape, which keeps
    short training series from promising impossibly thin or thick tails (penalised as by Coles and Dixon 1999), and without a
    finite end. Rows that do not belong to it are set aside first: of the largest ``contamination`` share those of which a tail
    fitted to the others expects less than a tenth in so many rows. A heavy tail is thus kept, a handful of gross errors not.

    Parameters
    ----------
    scores : (n_times, n_columns)
        NaN where there is none.
    contamination : float
        Largest share of the scores that may be set aside.
    """
    return Calibration(*(np.array(field) for field in zip(*(_column(column, contamination) for column in scores.T))))


def _column(scores: Array, contamination: float) -> tuple[Array, float, float, float, float, float]:
    ordered = np.sort(scores[~np.isnan(scores)])
    ordered[ordered < RESOLVED] = 0.0
    kept = ordered[: len(ordered) - _outliers(ordered, contamination)]
    n = len(kept)
    threshold = max(float(kept[n - 1 - _tail_size(n)]), RESOLVED) if n else 0.0
    excesses = kept[kept > threshold] - threshold
    body = np.unique(kept[(kept > 0) & (kept <= threshold)])
    at_least = np.log((n - np.searchsorted(kept, body)) / (n + 1))
    spacing = math.log1p(threshold) / (KNOTS - 1)
    knots = np.arange(KNOTS) * spacing
    log_p = np.interp(knots, np.append(0.0, np.log1p(body)), np.append(0.0, at_least))
    return log_p, spacing, threshold, math.log((len(excesses) + 1) / (n + 1)), *_fit_tail(excesses)


def largest_trusted(scores: Array, contamination: float) -> Array:
    """The largest score of every column that `calibrate` does not set aside, 0 without any; ``(n_columns,)``."""
    columns = (np.sort(column[~np.isnan(column)]) for column in scores.T)
    return np.array([c[len(c) - 1 - _outliers(c, contamination)] if len(c) else 0.0 for c in columns])


def _tail_size(n: int) -> int:
    """How many of n scores the tail is fitted to: a tenth, not less than ten, not more than half."""
    return max(min(max(int(TAIL * n), 10), n // 2), 0) if n > 1 else 0


def _outliers(ordered: Array, contamination: float) -> int:
    """How many of the largest scores are set aside: those above a gap that a tail fitted below it cannot explain."""
    n = len(ordered)
    size = _tail_size(n)
    suspects = min(math.ceil(contamination * n), size // 2)
    if not suspects:
        return 0
    tail = ordered[n - 1 - size :] - ordered[n - 1 - size]
    # Spacings of the logarithm times their rank are alike in a heavy tail (Renyi 1953), so that a gap stands out in them.
    heights = np.log(tail[size - suspects :] + np.median(tail) + 1.0)
    above = np.arange(suspects, 0, -1)
    gaps = np.diff(heights) * above
    for j in sorted(above[np.argsort(gaps)[-GAPS:]], reverse=True):
        trusted = tail[1 : size + 1 - j]
        shape, scale = _fit_tail(trusted[trusted > 0])
        if len(trusted) * math.exp(_log_tail(tail[size + 1 - j], shape, scale)) < REJECTED:
            return int(j)
    return 0


def _fit_tail(excesses: Array) -> tuple[float, float]:
    """Shape and scale of a Pareto tail.

    One excess of 1, what a standard exponential expects, is counted besides, so that a tail without any is defined.
    """
    shape, scale = _search_shape(np.append(excesses, 1.0))
    return float(shape), float(scale)


def _log_tail(excess: float, shape: float, scale: float) -> float:
    """Log P(an excess is larger)."""
    return -math.log1p(shape * excess / scale) / shape


@kernel
def log_p_value(
    log_p: Array, spacing: Array, threshold: Array, log_share: Array, shape: Array, scale: Array, i: int, score: float
) -> float:
    """Log P(a score of column i is at least this one)."""
    if score <= 0.0:
        return 0.0
    if score > threshold[i]:
        return float(log_share[i] - math.log1p(shape[i] * (score - threshold[i]) / scale[i]) / shape[i])
    at = math.log1p(score) / spacing[i]
    k = min(int(at), log_p.shape[1] - 2)
    return float(log_p[i, k] + (log_p[i, k + 1] - log_p[i, k]) * (at - k))


def log_p_values(calibration: Calibration, scores: Array) -> Array:
    """Log P(a score of its column is at least as large) of every score, NaN for NaN.

    Parameters
    ----------
    calibration : Calibration
    scores : (n_times, n_columns)
    """
    out = np.empty(scores.shape)
    _log_p_values(*calibration, np.ascontiguousarray(scores), out)
    return out


@kernel
def _log_p_values(
    log_p: Array,
    spacing: Array,
    threshold: Array,
    log_share: Array,
    shape: Array,
    scale: Array,
    scores: Array,
    out: Array,
) -> None:
    for t in range(scores.shape[0]):
        for i in range(scores.shape[1]):
            if math.isnan(scores[t, i]):
                out[t, i] = np.nan
            else:
                out[t, i] = log_p_value(log_p, spacing, threshold, log_share, shape, scale, i, scores[t, i])


def score_at(calibration: Calibration, log_p: float) -> Array:
    """The score of every column whose p-value is this one, the inverse of `log_p_value`.

    Parameters
    ----------
    calibration : Calibration
    log_p : float

    Returns
    -------
    (n_columns,)
    """
    body, spacing, threshold, log_share, shape, scale = calibration
    tail = threshold + scale / shape * np.expm1(shape * np.maximum(log_share - log_p, 0.0))
    at = np.array([np.interp(-log_p, -column, np.arange(len(column))) for column in body])
    return np.where(log_p < log_share, tail, np.minimum(np.expm1(at * spacing), threshold))


@kernel
def _search_shape(excesses: Array) -> tuple[float, float]:
    """Golden-section search for the shape of highest penalised likelihood, the scale being the best for each shape."""
    ratio = 0.5 * (math.sqrt(5.0) - 1.0)
    left, right = 1e-6, STEEPEST
    scale = np.mean(excesses)
    a, b = right - ratio * (right - left), left + ratio * (right - left)
    loss_a, scale = _tail_loss(excesses, a, scale)
    loss_b, scale = _tail_loss(excesses, b, scale)
    for _ in range(24):
        if loss_a <= loss_b:
            right, b, loss_b = b, a, loss_a
            a = right - ratio * (right - left)
            loss_a, scale = _tail_loss(excesses, a, scale)
        else:
            left, a, loss_a = a, b, loss_b
            b = left + ratio * (right - left)
            loss_b, scale = _tail_loss(excesses, b, scale)
    shape = 0.5 * (left + right)
    return shape, _tail_loss(excesses, shape, scale)[1]


@kernel
def _tail_loss(excesses: Array, shape: float, scale: float) -> tuple[float, float]:
    """Negative penalised log-likelihood of a shape at its best scale, and that scale."""
    n = excesses.size
    for _ in range(100):
        total, slope = -float(n), 0.0
        for x in excesses:
            share = x / (scale + shape * x)
            total += (1.0 + shape) * share
            slope += (1.0 + shape) * share * scale / (scale + shape * x)
        # Newton in the logarithm of the scale, in which `total` falls.
        move = min(max(total / slope, -1.0), 1.0)
        scale *= math.exp(move)
        if abs(move) < 1e-10:
            break
    loss = n * math.log(scale) + 0.5 * ((shape - SHAPE_MEAN) / SHAPE_SD) ** 2
    for x in excesses:
        loss += (1.0 + 1.0 / shape) * math.log1p(shape * x / scale)
    return loss, scale
