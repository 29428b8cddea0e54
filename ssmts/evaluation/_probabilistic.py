"""Measures of quantiles, intervals and distributions; see `ssmts.evaluation.metrics`."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import ndtr
from sklearn.metrics import mean_pinball_loss

from .._containers import FloatArray
from ..exceptions import InputError
from ..forecasts import check_levels, check_probabilities
from ._pairs import read_truth, score


def pinball(y_true: Any, y_pred: Any, *, q: Any, sample_weight: Any = None, by: Any = None) -> Any:
    """Pinball (quantile) loss (scikit-learn's), averaged over the probabilities.

    Parameters
    ----------
    y_true, sample_weight, by
        As in `mae`.
    y_pred : Series, DataFrame, long frame or array
        For a number ``q`` a quantile for each value of ``y_true``. For a sequence the quantiles in its order: the last axis of
        an array, the columns of a frame; for a wide ``y_true`` two-level columns (output, quantile), as `Forecast.quantile`
        gives them.
    q : float or sequence of float
        Probabilities in (0, 1).

    Returns
    -------
    float, Series or ndarray
        As in `mae`.

    Raises
    ------
    InputError
        As in `mae`, or the number of quantiles is not that of ``q``.

    Examples
    --------
    >>> from ssmts.evaluation import pinball
    >>> pinball([10.0, 10.0], [8.0, 14.0], q=0.9)
    1.1
    """
    probabilities = check_probabilities(q)

    def loss(y: FloatArray, quantiles: FloatArray) -> FloatArray:
        losses: FloatArray = _quantile_losses(y, quantiles, probabilities).mean(axis=0)
        return losses

    def whole(y: FloatArray, quantiles: FloatArray, sample_weight: FloatArray | None) -> float:
        columns = _quantile_columns(quantiles, probabilities)
        parts = [mean_pinball_loss(y, f, sample_weight=sample_weight, alpha=p) for f, p in zip(columns, probabilities)]
        return float(np.mean(parts))

    options = {"sample_weight": sample_weight, "by": by, "whole": whole, "statistics": np.ndim(q) > 0}
    return score(loss, y_true, y_pred, **options)


def _quantile_columns(quantiles: FloatArray, probabilities: tuple[float, ...]) -> FloatArray:
    """Quantiles as (n_q, n_rows)."""
    columns = quantiles.reshape(len(quantiles), -1).T
    if len(columns) != len(probabilities):
        raise InputError(f"y_pred has {len(columns)} quantiles, q has {len(probabilities)}: {list(probabilities)}.")
    return columns


def _quantile_losses(y: FloatArray, quantiles: FloatArray, probabilities: tuple[float, ...]) -> FloatArray:
    """Pinball loss of every quantile and row, (n_q, n_rows)."""
    error = y - _quantile_columns(quantiles, probabilities)
    level = np.array(probabilities)[:, None]
    return np.maximum(level * error, (level - 1) * error)


def crps(y_true: Any, y_pred: Any, *, std: Any = None, q: Any = None, sample_weight: Any = None, by: Any = None) -> Any:
    """Continuous ranked probability score, in the unit of ``y``; for a point forecast the mean absolute error.

    Parameters
    ----------
    y_true, sample_weight, by
        As in `mae`.
    y_pred : Series, DataFrame, long frame or array
        With ``std`` the mean of a Gaussian. With ``q`` its quantiles, and with neither samples, in both cases on the
        last axis of an array, in the columns of a frame or, for a wide ``y_true``, in two-level columns (output,
        statistic).
    std : as y_true, or float, optional
        Standard deviation of a Gaussian; the score is exact.
    q : sequence of float, optional
        Probabilities of the quantiles, increasing. The score is twice the pinball loss, each probability weighted by the
        part of (0, 1) that is nearest to it: an approximation, close where the probabilities are many.

    Returns
    -------
    float, Series or ndarray
        As in `mae`. From samples it is the score of their empirical distribution.

    Raises
    ------
    InputError
        As in `mae`; both ``std`` and ``q``; a negative ``std``.

    References
    ----------
    Gneiting and Raftery (2007), "Strictly proper scoring rules, prediction, and estimation", JASA 102, eq. 20-21.

    Examples
    --------
    >>> from ssmts.evaluation import crps
    >>> round(crps([0.0], [0.0], std=1.0), 6)
    0.233695
    >>> crps([1.0], [[0.0, 2.0]])
    0.5
    """
    options = {"sample_weight": sample_weight, "by": by}
    if std is not None and q is not None:
        raise InputError("crps takes std (a Gaussian) or q (quantiles), not both.")
    if std is not None:
        spread = np.full(np.shape(read_truth(y_true).values), std) if np.ndim(std) == 0 else std
        return score(crps_gaussian, y_true, y_pred, spread, names=("y_pred", "std"), **options)
    if q is None:
        return score(crps_samples, y_true, y_pred, statistics=True, **options)
    probabilities = check_probabilities(q)
    if np.any(np.diff(probabilities) <= 0):
        raise InputError(f"q must increase; received {list(probabilities)}.")
    middle = np.add(probabilities[1:], probabilities[:-1]) / 2
    share = np.diff([0.0, *middle, 1.0])

    def loss(y: FloatArray, quantiles: FloatArray) -> FloatArray:
        losses: FloatArray = 2 * share @ _quantile_losses(y, quantiles, probabilities)
        return losses

    return score(loss, y_true, y_pred, statistics=True, **options)


def crps_gaussian(y: FloatArray, mean: FloatArray, std: FloatArray) -> FloatArray:
    """Score of each row of a Gaussian, exact; the absolute error where ``std`` is 0."""
    if (std < 0).any():
        raise InputError(f"std holds a negative number, {std.min():g}. Pass standard deviations.")
    error = y - mean
    z = np.divide(error, std, out=np.zeros_like(error), where=std > 0)
    density = np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi)
    spread = std * (z * (2 * ndtr(z) - 1) + 2 * density - 1 / np.sqrt(np.pi))
    return np.where(std > 0, spread, np.abs(error))


def crps_samples(y: FloatArray, samples: FloatArray) -> FloatArray:
    """Score of each row of samples ``(n, n_samples)``: E|x - y| - E|x - x'| / 2, the second by order statistics."""
    n = samples.shape[1]
    rank = 2 * np.arange(1, n + 1) - n - 1
    near = np.abs(samples - y[:, None]).mean(axis=1)
    scores: FloatArray = near - np.sort(samples, axis=1) @ rank / n**2
    return scores


def coverage(y_true: Any, lower: Any, upper: Any, *, sample_weight: Any = None, by: Any = None) -> Any:
    """Share of the values that lie within their interval, borders included.

    Parameters
    ----------
    y_true, sample_weight, by
        As in `mae`.
    lower, upper : as y_true
        Borders of the interval for each value.

    Returns
    -------
    float, Series or ndarray
        From 0 to 1; an honest 80 % interval gives 0.8. Groups as in `mae`.

    Raises
    ------
    InputError
        As in `mae`, or an upper border below its lower one.

    Examples
    --------
    >>> from ssmts.evaluation import coverage
    >>> coverage([1.0, 2.0, 3.0, 4.0], [0.0, 0.0, 0.0, 0.0], [3.0, 3.0, 3.0, 3.0])
    0.75
    """
    return score(_inside, y_true, lower, upper, names=("lower", "upper"), sample_weight=sample_weight, by=by)


def _inside(y: FloatArray, lower: FloatArray, upper: FloatArray) -> FloatArray:
    _check_order(lower, upper)
    return np.asarray((lower <= y) & (y <= upper), dtype=np.float64)


def _check_order(lower: FloatArray, upper: FloatArray) -> None:
    if (upper < lower).any():
        pair = int((upper < lower).argmax())
        raise InputError(f"An upper border lies below its lower one: {upper[pair]:g} < {lower[pair]:g}.")


def interval_score(
    y_true: Any, lower: Any, upper: Any, *, level: float, sample_weight: Any = None, by: Any = None
) -> Any:
    """Interval (Winkler) score: mean width, plus ``2 / alpha`` times the distance of the values outside.

    Parameters
    ----------
    y_true, sample_weight, by
        As in `mae`.
    lower, upper : as y_true
        Borders of the interval for each value.
    level : float
        Coverage that the interval claims, in per cent; ``alpha = 1 - level / 100``.

    Returns
    -------
    float, Series or ndarray
        In the unit of ``y``, smaller is better. Groups as in `mae`.

    Raises
    ------
    InputError
        As in `coverage`, or ``level`` is none.

    References
    ----------
    Gneiting and Raftery (2007), JASA 102, eq. 43; Winkler (1972), JASA 67.

    Examples
    --------
    >>> from ssmts.evaluation import interval_score
    >>> interval_score([1.0, 5.0], [0.0, 0.0], [4.0, 4.0], level=80)
    9.0
    """
    levels = check_levels(level)
    if len(levels) != 1:
        raise InputError(f"interval_score takes one level; received {list(levels)}.")
    alpha = 1 - levels[0] / 100

    def loss(y: FloatArray, lower: FloatArray, upper: FloatArray) -> FloatArray:
        _check_order(lower, upper)
        outside = np.maximum(lower - y, 0.0) + np.maximum(y - upper, 0.0)
        return upper - lower + 2 / alpha * outside

    names = ("lower", "upper")
    return score(loss, y_true, lower, upper, names=names, sample_weight=sample_weight, by=by)
