"""Measures of attributions, which say how much each sensor is to blame for an event; see `ssmts.evaluation.anomaly`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import ndcg_score

from .._containers import FloatArray
from ..exceptions import InputError
from ._labels import BoolArray, read_flags
from ._pairs import floats


def hit_rate(labels: Any, attributions: Any, *, percent: float = 100) -> float:
    """HitRate@P%: which share of the sensors to blame is among the sensors blamed most, averaged over events.

    Of an event with ``m`` sensors to blame the ``floor(m percent / 100)`` with the largest attribution are looked at.

    Parameters
    ----------
    labels : DataFrame or array of shape (n_events, n_sensors), or (n_sensors,) for one event
        1 for sensors to blame, 0 for the others.
    attributions : DataFrame or array of the same shape
        The larger, the more a sensor is blamed. Sensors with equal attributions share their places: the number is
        that of the average over all ways to order them.
    percent : float, default 100
        How many sensors are looked at; papers print 100 and 150.

    Returns
    -------
    float
        From 0 to 1.

    Raises
    ------
    InputError
        Shapes, indexes or columns differ, a label is neither 0 nor 1, an attribution is NaN, an event has no sensor to blame, or
        ``percent`` is below 100: an event with one sensor to blame would have none looked at.

    References
    ----------
    Su et al. (2019), "Robust anomaly detection for multivariate time series through stochastic recurrent neural network",
    KDD 25, section 4.5.

    Examples
    --------
    >>> from ssmts.evaluation.anomaly import hit_rate
    >>> blame = [[1, 1, 0, 0], [0, 0, 0, 1]]
    >>> scores = [[5.0, 0.1, 3.0, 0.2], [0.1, 0.2, 0.3, 0.9]]
    >>> hit_rate(blame, scores)
    0.75
    """
    true, scores, sizes = _read_blame(labels, attributions, percent)
    return float(np.mean([_hits(t, s, k) / t.sum() for t, s, k in zip(true, scores, sizes)]))


def ndcg(labels: Any, attributions: Any, *, percent: float = 100) -> float:
    """NDCG@P%: as `hit_rate`, but a sensor to blame counts the more the higher it stands (scikit-learn's `ndcg_score`).

    The sensor in place ``i`` counts ``1 / log2(1 + i)``; the sum is divided by that of a perfect order.

    Parameters
    ----------
    labels, attributions, percent
        As in `hit_rate`; two sensors at least.

    Returns
    -------
    float
        From 0 to 1, the mean over events.

    Raises
    ------
    InputError
        As in `hit_rate`, or there is one sensor only.

    References
    ----------
    Järvelin and Kekäläinen (2002), "Cumulated gain-based evaluation of IR techniques", ACM Transactions on Information
    Systems 20. For attributions: Tuli, Casale and Jennings (2022), "TranAD", VLDB 15.

    Examples
    --------
    >>> from ssmts.evaluation.anomaly import ndcg
    >>> ndcg([0, 1, 0], [0.5, 0.3, 0.1])
    0.0
    >>> round(ndcg([0, 1, 0], [0.5, 0.3, 0.1], percent=200), 3)
    0.631
    """
    true, scores, sizes = _read_blame(labels, attributions, percent)
    if true.shape[1] < 2:
        raise InputError("ndcg needs two sensors or more to rank; labels has one.")
    # Ranks, because scikit-learn refuses infinite scores.
    ranks = [np.unique(row, return_inverse=True)[1] for row in scores]
    return float(np.mean([ndcg_score([t], [r], k=k) for t, r, k in zip(true, ranks, sizes)]))


def _read_blame(labels: Any, attributions: Any, percent: float) -> tuple[BoolArray, FloatArray, list[int]]:
    """Labels and attributions (n_events, n_sensors), and how many sensors to look at in each event."""
    if not percent >= 100:
        raise InputError(f"percent must be 100 or more; received {percent!r}.")
    blame, scores = floats(labels, "labels"), floats(attributions, "attributions")
    if blame.shape != scores.shape or blame.ndim not in (1, 2) or blame.size == 0:
        raise InputError(
            f"attributions has the shape {scores.shape}, labels has {blame.shape}. Pass (n_events, n_sensors) for both."
        )
    for axis in ("index", "columns"):
        own, other = (getattr(each, axis, None) for each in (labels, attributions))
        if isinstance(own, pd.Index) and isinstance(other, pd.Index) and not own.equals(other):
            raise InputError(f"attributions and labels have different {axis}. Order both alike.")
    true, scores = read_flags(np.atleast_2d(blame), "labels"), np.atleast_2d(scores)
    if np.isnan(scores).any():
        row = int(np.isnan(scores).any(axis=1).argmax())
        raise InputError(f"attributions holds NaN for event {row}. Pass a number for each sensor, 0 for a silent one.")
    if not true.any(axis=1).all():
        row = int((~true.any(axis=1)).argmax())
        raise InputError(f"Event {row} of labels has no sensor to blame. Leave such events out.")
    return true, scores, [int(n * percent // 100) for n in true.sum(axis=1)]


def _hits(true: BoolArray, scores: FloatArray, size: int) -> float:
    """Sensors to blame among the `size` blamed most; those level with the last place share what is left of it."""
    if size >= len(scores):
        return float(true.sum())
    last = np.sort(scores)[-size]
    above, level = scores > last, scores == last
    return float(true[above].sum() + true[level].mean() * (size - above.sum()))
