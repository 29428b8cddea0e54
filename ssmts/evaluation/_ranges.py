"""Measures of alarms against anomalous ranges; see `ssmts.evaluation.anomaly`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from .._containers import FloatArray
from .._form import IntArray
from ..exceptions import InputError
from ._labels import BoolArray, harmonic, read_predictions, segments

# Weights of the rows of ranges, by their places from 0 and the lengths of the ranges.
_BIASES: dict[str, Callable[[IntArray, IntArray], Any]] = {
    "flat": lambda place, length: np.ones(len(place)),
    "front": lambda place, length: length - place,
    "middle": lambda place, length: np.where(2 * (place + 1) <= length, place + 1, length - place),
    "back": lambda place, length: place + 1,
}


def range_recall(
    labels: Any, predictions: Any, *, alpha: float = 0.2, cardinality: str = "reciprocal", bias: str = "flat"
) -> float:
    """Recall of ranges: how much of each anomalous range is found, mean over ranges.

    A range gets ``alpha`` for being touched at all, and ``1 - alpha`` times the weighted share of its rows with an alarm,
    divided by the number of alarms that touch it.

    Parameters
    ----------
    labels : array-like or Series (n_times,)
        1 in anomalous rows, 0 in others; a range is a run of ones.
    predictions : array-like or Series (n_times,)
        1 in rows with an alarm, 0 in others; of a detector ``predict(X) == -1``.
    alpha : float from 0 to 1, default 0.2
        Reward for existence alone. The default is that of TSB-AD.
    cardinality : {"reciprocal", "one"}, default "reciprocal"
        Whether a range in k pieces has its share divided by k. The default is that of TSB-AD.
    bias : {"flat", "front", "middle", "back"}, default "flat"
        Which rows of a range weigh most: in a range of length L row i from 1 weighs 1, L - i + 1, the lesser of i and
        L - i + 1, or i. ``"front"`` rewards early alarms.

    Returns
    -------
    float
        From 0 to 1.

    Raises
    ------
    InputError
        All rows are normal, or all anomalous; lengths or indexes differ; labels or predictions are not 0 and 1; an option
        is none of the above.

    References
    ----------
    Tatbul, Lee, Zdonik, Alam and Gottschlich (2018), "Precision and recall for time series", NeurIPS.

    Examples
    --------
    >>> from ssmts.evaluation.anomaly import range_recall
    >>> labels, alarms = [0, 1, 1, 1, 1, 0, 0, 1], [0, 1, 0, 1, 0, 0, 0, 0]
    >>> range_recall(labels, alarms)  # (.2 + .8 * (2 / 4) / 2 + 0) / 2
    0.2
    >>> range_recall(labels, alarms, alpha=0, cardinality="one", bias="front")  # (6 / 10 + 0) / 2
    0.3
    """
    if not 0 <= alpha <= 1:
        raise InputError(f"alpha must be from 0 to 1; received {alpha!r}. TSB-AD takes 0.2.")
    return _reward(*read_predictions(labels, predictions), alpha, cardinality, bias)


def range_precision(labels: Any, predictions: Any, *, cardinality: str = "reciprocal", bias: str = "flat") -> float:
    """Precision of ranges: how much of each alarm is anomalous, mean over alarms.

    An alarm, a run of ones in ``predictions``, gets the weighted share of its rows that are anomalous, divided by the number
    of anomalous ranges that it touches. Parameters and errors are those of `range_recall`, with the weights along the alarm;
    there is no reward for existence.

    Returns
    -------
    float
        From 0 to 1; NaN where there is no alarm.

    References
    ----------
    Tatbul, Lee, Zdonik, Alam and Gottschlich (2018), "Precision and recall for time series", NeurIPS.

    Examples
    --------
    >>> from ssmts.evaluation.anomaly import range_precision
    >>> range_precision([0, 1, 1, 0, 1, 0, 0, 0], [0, 1, 1, 1, 1, 0, 1, 1])  # ((3 / 4) / 2 + 0) / 2
    0.1875
    """
    truth, alarm = read_predictions(labels, predictions)
    return _reward(alarm, truth, 0.0, cardinality, bias)


def range_f1(
    labels: Any, predictions: Any, *, alpha: float = 0.2, cardinality: str = "reciprocal", bias: str = "flat"
) -> float:
    """Harmonic mean of `range_precision` and `range_recall`, with the same options; 0 where there is no alarm.

    Parameters, errors and references are those of `range_recall`. With weights along the ranges, it is often recall alone that
    wants them: then take the two by themselves. TSB-AD gives the best value over thresholds, which no user can choose;
    freeze the threshold before.

    Returns
    -------
    float
        From 0 to 1.

    Examples
    --------
    >>> from ssmts.evaluation.anomaly import range_f1
    >>> round(range_f1([0, 1, 1, 0, 1, 0, 0, 0], [0, 1, 1, 1, 1, 0, 1, 1]), 4)  # precision .1875, recall 1
    0.3158
    """
    recall = range_recall(labels, predictions, alpha=alpha, cardinality=cardinality, bias=bias)
    return harmonic(range_precision(labels, predictions, cardinality=cardinality, bias=bias), recall)


def _reward(ranges: BoolArray, others: BoolArray, alpha: float, cardinality: str, bias: str) -> float:
    """Mean reward of the runs in ``ranges`` for what they share with ``others``; NaN without runs."""
    if cardinality not in ("reciprocal", "one"):
        raise InputError(f"cardinality must be 'reciprocal' or 'one'; received {cardinality!r}.")
    if bias not in _BIASES:
        raise InputError(f"bias must be one of {', '.join(map(repr, _BIASES))}; received {bias!r}.")
    first, after = segments(ranges)
    if not len(first):
        return float("nan")
    row, length = np.flatnonzero(ranges), after - first
    number = np.repeat(np.arange(len(first)), length)
    weight = _BIASES[bias](row - first[number], length[number])
    shared = others[row]
    share = np.bincount(number, weight * shared) / np.bincount(number, weight)
    begins = shared & ((row == first[number]) | ~others[row - 1])
    pieces = np.bincount(number, begins)
    if cardinality == "reciprocal":
        share = share / np.maximum(pieces, 1)
    return float((alpha * (pieces > 0) + (1 - alpha) * share).mean())


def affiliation_precision(labels: Any, predictions: Any) -> float:
    """Affiliation precision: how near alarms are to the anomaly of their zone, beside a random alarm there.

    Time is cut into a zone for each anomaly, halfway between neighbours. A moment of an alarm counts 1 in the anomaly, and
    else the probability that a random moment of the zone is farther from it. These are averaged over the
    alarms of a zone, then over the zones that have alarms. A row lasts from its number to the next.

    Parameters
    ----------
    labels : array-like or Series (n_times,)
        1 in anomalous rows, 0 in others; an anomaly is a run of ones.
    predictions : array-like or Series (n_times,)
        1 in rows with an alarm, 0 in others; of a detector ``predict(X) == -1``.

    Returns
    -------
    float
        From 0 to 1, NaN where there is no alarm. Random alarms get about .5, so that .8 is less than it looks.

    Raises
    ------
    InputError
        All rows are normal, or all anomalous; lengths or indexes differ; labels or predictions are not 0 and 1.

    References
    ----------
    Huet, Navarro and Rossi (2022), "Local evaluation of time series anomaly detection algorithms", KDD.

    Examples
    --------
    >>> from ssmts.evaluation.anomaly import affiliation_precision
    >>> affiliation_precision([0, 0, 0, 0, 1, 0, 0, 0, 0, 0], [0, 0, 0, 1, 0, 0, 0, 0, 0, 0])  # the mean of .9 and .7
    0.8
    """
    zones = _zones(*read_predictions(labels, predictions))
    start, end, zone = zones.start, zones.end, zones.zone
    first, after, low, high = (edge[zone] for edge in (zones.first, zones.after, zones.low, zones.high))

    def farther(distance: FloatArray) -> FloatArray:
        """Integral, from 0 to a distance, of the probability of being farther than that from the anomaly."""
        before, behind = np.minimum(distance, first - low), np.minimum(distance, high - after)
        return ((first - low) * before - before**2 / 2 + (high - after) * behind - behind**2 / 2) / (high - low)

    inside = np.maximum(np.minimum(end, after) - np.maximum(start, first), 0)
    early = farther(np.maximum(first - start, 0)) - farther(np.maximum(first - end, 0))
    late = farther(np.maximum(end - after, 0)) - farther(np.maximum(start - after, 0))
    n_zones = len(zones.first)
    length = np.bincount(zone, end - start, n_zones)
    if not length.any():
        return float("nan")
    used = length > 0
    return float((np.bincount(zone, inside + early + late, n_zones)[used] / length[used]).mean())


def affiliation_recall(labels: Any, predictions: Any) -> float:
    """Affiliation recall: how near the alarms of its zone are to each anomaly, beside a random alarm there.

    A moment of an anomaly counts 1 where there is an alarm, and else the probability that a random moment of the zone is
    farther from it than the nearest alarm of the zone is; 0 in a zone without alarms. These are averaged over the anomaly,
    then over anomalies. Parameters, errors, zones and reference are those of `affiliation_precision`.

    Returns
    -------
    float
        From 0 to 1. Many random alarms, or one everywhere, get about 1.

    Examples
    --------
    >>> from ssmts.evaluation.anomaly import affiliation_recall
    >>> affiliation_recall([0, 0, 0, 0, 1, 0, 0, 0, 0, 0], [0, 0, 0, 1, 0, 0, 0, 0, 0, 0])  # the mean of 1 and .8
    0.9
    """
    zones = _zones(*read_predictions(labels, predictions))
    start, end, zone = zones.start, zones.end, zones.zone
    first, after, low, high = (edge[zone] for edge in (zones.first, zones.after, zones.low, zones.high))
    new = np.append(True, zone[1:] != zone[:-1])[: len(zone)]
    last = np.append(new[1:], True)[: len(zone)]
    # Moments whose nearest alarm this is reach halfway to the neighbouring alarm, or to the border of the zone.
    left = np.where(new, low, (start + np.roll(end, 1)) / 2)
    right = np.where(last, high, (end + np.roll(start, -1)) / 2)

    def clipped(moment: FloatArray) -> FloatArray:
        return np.clip(moment, first, after)

    def before(y: FloatArray) -> FloatArray:
        """Antiderivative of the probability at y, for an alarm that starts behind it."""
        return (high - start) * y + np.maximum(2 * y - start - low, 0) ** 2 / 4

    def behind(y: FloatArray) -> FloatArray:
        """Antiderivative of the probability at y, for an alarm that ended before it."""
        return (end - low) * y - np.maximum(high + end - 2 * y, 0) ** 2 / 4

    near = before(clipped(start)) - before(clipped(left)) + behind(clipped(right)) - behind(clipped(end))
    mass = clipped(end) - clipped(start) + near / (high - low)
    n_zones = len(zones.first)
    return float((np.bincount(zone, mass, n_zones) / (zones.after - zones.first)).mean())


def affiliation_f1(labels: Any, predictions: Any) -> float:
    """Harmonic mean of `affiliation_precision` and `affiliation_recall`; 0 where there is no alarm.

    Parameters, errors and reference are those of `affiliation_precision`.

    Returns
    -------
    float
        From 0 to 1. Random alarms, and alarms everywhere, get about .67: report the two by themselves.

    Examples
    --------
    >>> from ssmts.evaluation.anomaly import affiliation_f1
    >>> round(affiliation_f1([0, 0, 0, 0, 1, 0, 0, 0, 0, 0], [0, 0, 0, 1, 0, 0, 0, 0, 0, 0]), 4)
    0.8471
    """
    recall = affiliation_recall(labels, predictions)
    return harmonic(affiliation_precision(labels, predictions), recall)


class _Zones(NamedTuple):
    """Anomalies with their zones, and alarms cut at the borders of zones."""

    first: IntArray  # (n_zones,) start of the anomaly
    after: IntArray  # (n_zones,) its end
    low: FloatArray  # (n_zones,) start of the zone
    high: FloatArray  # (n_zones,) its end
    start: FloatArray  # (n_alarms,) start of an alarm
    end: FloatArray  # (n_alarms,) its end
    zone: IntArray  # (n_alarms,) number of its zone


def _zones(truth: BoolArray, alarm: BoolArray) -> _Zones:
    (first, after), (start, end) = segments(truth), segments(alarm)
    middle = (after[:-1] + first[1:]) / 2
    cuts = middle[np.searchsorted(start, middle, "left") > np.searchsorted(end, middle, "right")]  # inside an alarm
    low, high = np.append(0.0, middle), np.append(middle, float(len(truth)))
    begins: FloatArray = np.sort(np.append(start, cuts))
    ends: FloatArray = np.sort(np.append(end, cuts))
    return _Zones(first, after, low, high, begins, ends, np.searchsorted(low, begins, "right") - 1)
