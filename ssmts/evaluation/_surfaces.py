"""Measures of anomaly scores over all thresholds; see `ssmts.evaluation.anomaly`."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy.fft import irfft, next_fast_len, rfft
from sklearn.metrics import average_precision_score, roc_auc_score

from .._containers import FloatArray
from .._form import IntArray
from ..exceptions import InputError
from ._labels import BoolArray, read_scores, segments
from ._pairs import floats
from .split import whole

_FAR = 2**40  # distance to a segment that does not exist


def auc_roc(labels: Any, scores: Any) -> float:
    """Area under the receiver operating characteristic, row by row (scikit-learn's ``roc_auc_score``).

    Parameters
    ----------
    labels : array-like or Series (n_times,)
        1 in anomalous rows, 0 in others.
    scores : array-like or Series (n_times,)
        Higher is more normal, as from ``score_samples``. Pass ``-scores`` where higher is more abnormal. Only the order counts.

    Returns
    -------
    float
        From 0 to 1; .5 for random scores.

    Raises
    ------
    InputError
        All rows are normal, or all anomalous; a score is NaN; lengths or indexes differ; labels are not 0 and 1.

    Examples
    --------
    >>> from ssmts.evaluation.anomaly import auc_roc
    >>> auc_roc([0, 0, 1, 1], [-0.1, -0.4, -0.35, -0.8])
    0.75
    """
    return float(roc_auc_score(*read_scores(labels, scores)))


def auc_pr(labels: Any, scores: Any) -> float:
    """Area under the precision-recall curve, row by row, as average precision (scikit-learn's ``average_precision_score``).

    Parameters and errors are those of `auc_roc`: higher scores are more normal.

    Returns
    -------
    float
        From 0 to 1; about the share of anomalous rows for random scores.

    Examples
    --------
    >>> from ssmts.evaluation.anomaly import auc_pr
    >>> round(auc_pr([0, 0, 1, 1], [-0.1, -0.4, -0.35, -0.8]), 4)
    0.8333
    """
    return float(average_precision_score(*read_scores(labels, scores)))


def vus_pr(labels: Any, scores: Any, *, window: int, n_thresholds: int = 250) -> float:
    """Volume under the precision-recall surface: average precision with soft labels, mean over widths of the soft borders.

    Labels of anomalies are rarely exact to the row. For every width w from 0 to ``window``, rows up to w // 2 beside an
    anomalous segment count as anomalous by ``sqrt(1 - distance / w)``, but are missed by nobody; recall is multiplied by
    the share of segments with an alarm. The headline measure of the TSB-AD benchmark.

    Parameters
    ----------
    labels : array-like or Series (n_times,)
        1 in anomalous rows, 0 in others.
    scores : array-like or Series (n_times,)
        Higher is more normal, as from ``score_samples``. Pass ``-scores`` where higher is more abnormal. Only the order counts.
    window : int
        Largest width, at least 0. TSB-AD takes `vus_window` of the series; results with different widths do not compare.
    n_thresholds : int, default 250
        Thresholds, at evenly spaced ranks of the scores, at least 2. The default is that of TSB-AD.

    Returns
    -------
    float
        From 0 to 1. Random scores get about the share of rows in an anomaly or its soft borders, which grows with the window.

    Raises
    ------
    InputError
        All rows are normal, or all anomalous; a score is NaN; lengths or indexes differ; labels are not 0 and 1; the window
        or the number of thresholds is no such integer.

    Notes
    -----
    Equal to ``RangeAUC_volume_opt`` of the package TSB-AD, not to other packages' measures of the same name.

    References
    ----------
    Paparrizos et al. (2022), "Volume Under the Surface: a new accuracy evaluation measure for time-series anomaly
    detection", VLDB 15. Liu and Paparrizos (2024), "The elephant in the room: towards a reliable time-series anomaly
    detection benchmark", NeurIPS.

    Examples
    --------
    >>> import numpy as np
    >>> from ssmts.evaluation.anomaly import vus_pr
    >>> labels = np.zeros(100)
    >>> labels[50:60] = 1
    >>> late = np.roll(labels, 3)  # higher is more abnormal here
    >>> round(vus_pr(labels, -late, window=0), 3), round(vus_pr(labels, -late, window=20), 3)
    (0.52, 0.791)
    """
    area = _surfaces(labels, scores, window, n_thresholds)
    gained = np.diff(area.tpr, axis=1, prepend=0.0)
    return float((gained * area.precision).sum(axis=1).mean())


def vus_roc(labels: Any, scores: Any, *, window: int, n_thresholds: int = 250) -> float:
    """Volume under the surface of the receiver operating characteristic, with soft labels, mean over widths of the borders.

    Parameters, errors, notes and references are those of `vus_pr`: higher scores are more normal.

    Returns
    -------
    float
        From 0 to 1.

    Examples
    --------
    >>> import numpy as np
    >>> from ssmts.evaluation.anomaly import vus_roc
    >>> labels = np.zeros(100)
    >>> labels[50:60] = 1
    >>> late = np.roll(labels, 3)  # higher is more abnormal here
    >>> round(vus_roc(labels, -late, window=0), 3), round(vus_roc(labels, -late, window=20), 3)
    (0.833, 0.911)
    """
    area = _surfaces(labels, scores, window, n_thresholds)
    fpr = np.pad(area.fpr, ((0, 0), (1, 1)), constant_values=((0, 0), (0.0, 1.0)))
    tpr = np.pad(area.tpr, ((0, 0), (1, 1)), constant_values=((0, 0), (0.0, 1.0)))
    return float((np.diff(fpr) * (tpr[:, 1:] + tpr[:, :-1]) / 2).sum(axis=1).mean())


class _Surfaces(NamedTuple):
    """Rates for every width of the soft borders and threshold, each ``(window + 1, n_thresholds)``."""

    tpr: FloatArray
    fpr: FloatArray
    precision: FloatArray


class _Borders(NamedTuple):
    """Normal rows near a segment, sorted by the distance to the second nearest."""

    nearest: IntArray
    second: IntArray
    row: IntArray


def _surfaces(labels: Any, scores: Any, window: int, n_thresholds: int) -> _Surfaces:
    window = whole("window", window, 0, "vus_window(values) is the rule of TSB-AD")
    n_thresholds = whole("n_thresholds", n_thresholds, 2, "TSB-AD takes 250")
    truth, rank = read_scores(labels, scores)
    n_rows, n_true, half = len(truth), int(truth.sum()), window // 2
    levels = np.sort(rank)[::-1][np.linspace(0, n_rows - 1, n_thresholds).astype(int)]
    alarm = np.searchsorted(-levels, -rank)  # number of the first threshold at which a row is an alarm
    n_alarms = np.bincount(alarm, minlength=n_thresholds).cumsum()
    hits = np.bincount(alarm[truth], minlength=n_thresholds).cumsum()
    borders, found = _borders(truth, half), _found(truth, alarm, half, n_thresholds)
    soft = np.stack(_soft_hits(borders, alarm, half, window, n_thresholds))
    positives = (
        n_true + soft / 2
    )  # the mean of the hard labels and of the soft ones, which count where there is an alarm
    true = hits + soft
    found = found[np.arange(window + 1) // 2]
    return _Surfaces(np.minimum(true / positives, 1) * found, (n_alarms - true) / (n_rows - positives), true / n_alarms)


def _borders(truth: BoolArray, half: int) -> _Borders:
    """Normal rows up to ``half`` beside a segment, with the distances to the two nearest ends of segments."""
    first, after = segments(truth)
    starts, ends = np.append(first, [_FAR, _FAR]), np.append([-_FAR, -_FAR], after - 1)
    row = np.flatnonzero(~truth)
    at = np.searchsorted(first, row)  # segments before the row
    nearest, second = np.sort([row - ends[at + 1], row - ends[at], starts[at] - row, starts[at + 1] - row], axis=0)[:2]
    keep = np.flatnonzero(nearest <= half)
    keep = keep[np.argsort(second[keep], kind="stable")]
    return _Borders(nearest[keep], second[keep], row[keep])


def _soft_hits(borders: _Borders, alarm: IntArray, half: int, window: int, n_thresholds: int) -> list[FloatArray]:
    """Sum of the soft labels of the alarms beside segments, for every width and threshold.

    A row in reach of two segments has the label 1, because each gives it at least the root of a half and the sum is cut at 1.
    So it is enough to count rows by distance and threshold, and to move them to the whole ones when a second one reaches them.
    """
    cell = borders.nearest * n_thresholds + alarm[borders.row]
    shape = half + 1, n_thresholds
    single = np.bincount(cell, minlength=shape[0] * shape[1]).reshape(shape)
    whole = np.zeros(n_thresholds, dtype=np.int64)
    until = np.searchsorted(borders.second, np.arange(half + 1), side="right")
    soft, done = [], 0
    for reach in range(half + 1):
        if until[reach] > done:
            moved = np.bincount(cell[done : until[reach]], minlength=shape[0] * shape[1]).reshape(shape)
            single, whole, done = single - moved, whole + moved.sum(axis=0), until[reach]
        for width in range(2 * reach, min(2 * reach + 1, window) + 1):
            weight = np.sqrt(1 - np.arange(1, reach + 1) / max(width, 1))
            soft.append((weight @ single[1 : reach + 1] + whole).cumsum())
    return soft


def _found(truth: BoolArray, alarm: IntArray, half: int, n_thresholds: int) -> FloatArray:
    """Share of the segments with an alarm, for every reach and threshold; segments whose borders share a row are one."""
    first, after = segments(truth)
    bounds = np.stack([first, after], axis=1).ravel()
    earliest = np.minimum.reduceat(np.append(alarm, n_thresholds), bounds)[::2]
    gap = first[1:] - after[:-1] + 1
    shares = np.empty((half + 1, n_thresholds))
    for reach in range(half + 1):
        left, right = np.maximum(first - reach, 0), np.minimum(after - 1 + reach, len(truth) - 1)
        earliest = np.minimum(earliest, np.minimum(alarm[left], alarm[right]))
        heads = np.flatnonzero(np.append(True, gap > 2 * reach))
        merged = np.minimum.reduceat(earliest, heads)
        shares[reach] = np.bincount(merged, minlength=n_thresholds).cumsum() / len(heads)
    return shares


def vus_window(values: Any) -> int:
    """Window of `vus_pr` and `vus_roc` by the rule of TSB-AD: the lag of the highest peak of the autocorrelation.

    The first 20,000 rows and the lags from 3 to 400 count; a peak before lag 6 or after lag 303, or none, gives 125.

    Parameters
    ----------
    values : array-like, Series or DataFrame (n_times,) or (n_times, n_columns)
        The series (not its scores); of many columns the first counts. NaN count as the mean.

    Returns
    -------
    int

    Raises
    ------
    InputError
        Values are not numeric, infinite, absent, or of more than two dimensions.

    References
    ----------
    Liu and Paparrizos (2024), "The elephant in the room: towards a reliable time-series anomaly detection benchmark", NeurIPS.

    Examples
    --------
    >>> import numpy as np
    >>> from ssmts.evaluation.anomaly import vus_window
    >>> vus_window(np.sin(2 * np.pi * np.arange(1000) / 24))
    24
    """
    x = _first_column(values)[:20_000]
    known = x[~np.isnan(x)]
    if not len(known) or np.ptp(known) == 0:
        return 125
    x = np.where(np.isnan(x), 0.0, x - known.mean())
    spectrum = rfft(x, next_fast_len(2 * len(x), real=True))
    correlation = irfft(np.abs(spectrum) ** 2)[3 : min(401, len(x))]
    peak = np.flatnonzero((correlation[1:-1] > correlation[:-2]) & (correlation[1:-1] > correlation[2:])) + 1
    if not len(peak):
        return 125
    highest = int(peak[correlation[peak].argmax()])
    return highest + 3 if 3 <= highest <= 300 else 125


def _first_column(values: Any) -> FloatArray:
    x = floats(values.iloc[:, 0] if isinstance(values, pd.DataFrame) else values, "values")
    if x.ndim not in (1, 2) or not x.size:
        raise InputError(f"values has the shape {x.shape}. Pass the series, (n_times,) or (n_times, n_columns).")
    x = x if x.ndim == 1 else x[:, 0]
    if np.isinf(x).any():
        raise InputError(f"values is infinite in row {int(np.isinf(x).argmax())}. Pass NaN for what is not known.")
    return x
