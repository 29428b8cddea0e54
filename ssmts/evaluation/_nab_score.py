"""The score of the Numenta anomaly benchmark; see `ssmts.evaluation.anomaly`."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from .._containers import FloatArray
from .._form import IntArray
from ..exceptions import InputError
from ._labels import BoolArray, read_pair, segments


class NABProfile(NamedTuple):
    """What detections, misses and false alarms weigh."""

    found: float
    missed: float
    false: float


PROFILES = {
    "standard": NABProfile(1.0, 1.0, 0.11),
    "reward_low_FP_rate": NABProfile(1.0, 1.0, 0.22),
    "reward_low_FN_rate": NABProfile(1.0, 2.0, 0.11),
}


class NABScore(NamedTuple):
    """Result of `nab_score`."""

    score: float  # 100 for perfect detection, 0 for a detector that never alarms; it may be negative
    threshold: float  # rows with a score below it are detections; minus infinity if no detection at all is best
    by_series: dict[Hashable, float]  # unscaled, as NAB prints it for each file; their sum makes the score


def nab_score(labels: Any, scores: Any, *, profile: str = "standard", threshold: float | None = None) -> NABScore:
    """Score of the Numenta anomaly benchmark (NAB), version 1.1.

    The first 15 % of the rows of a series, 750 at most, are not judged. Of the detections in a window only that worth most
    counts: nearly 1 at the window's start, falling to 0 at its end along a sigmoid; a window without any costs the weight of
    a miss. Each detection outside costs the weight of a false alarm, less shortly after a window. The sum over the corpus is
    scaled to 0 for a detector that never alarms and 100 for one that finds every window at once.

    Parameters
    ----------
    labels : Series or array of shape (n_times,), or a dict or list of them
        1 in windows, 0 elsewhere, for a series or for each series of a corpus; `window_labels` makes them. A run of ones is
        one window.
    scores : the same
        Scores with the sign of ``score_samples``, **higher is more normal**, on one scale for the whole corpus. NAB's own
        files have the other sign: pass ``-scores``.
    profile : {"standard", "reward_low_FP_rate", "reward_low_FN_rate"}, default "standard"
        Weights: false alarms weigh .11, in the second .22; misses weigh 1, in the third 2.
    threshold : float, optional
        Rows with a score below it are detections, as for ``offset_`` in ``predict``. By default the one that makes NAB's score
        largest over the whole corpus, just above the score of the last detection, and with the fewest detections of several.
        The published results are such. As it is chosen on the rows it is judged on, a threshold from other series is the
        honest number.

    Returns
    -------
    NABScore
        ``score``, ``threshold`` and ``by_series``, the unscaled score of each series.

    Raises
    ------
    InputError
        Lengths, indexes or the names of series differ, a label is neither 0 nor 1, a score is NaN or plus infinity, no window
        reaches into the rows judged, or the profile is unknown.

    Notes
    -----
    With the window's rows ``a`` to ``b``, width ``w = b - a + 1`` and ``s(p) = 2 / (1 + exp(5 p)) - 1``, row ``i`` inside is
    worth ``s(-(b - i + 1) / w) / s(-1)``; a later row outside costs ``-s((i - b) / (w - 1))`` times the weight, all of the weight
    from ``3 (w - 1)`` rows after ``b`` on and before the first window. Two cases the benchmark does not have: a window that
    ends before the rows judged is left out of the scaling too, and after a window of one row, where the formula divides by
    zero, a false alarm costs all of its weight.

    References
    ----------
    Lavin and Ahmad (2015), "Evaluating real-time anomaly detection algorithms: the Numenta anomaly benchmark", ICMLA.
    https://github.com/numenta/NAB

    Examples
    --------
    >>> import numpy as np
    >>> from ssmts.evaluation.anomaly import nab_score
    >>> y, scores = np.zeros(100), np.zeros(100)
    >>> y[50:60] = 1
    >>> scores[[52, 90]] = -9, -8
    >>> round(nab_score(y, scores).score, 2)  # alarms below the best threshold, in the window's third row only
    98.86
    >>> round(nab_score(y, scores, threshold=-5).score, 2)  # with the false alarm, which costs .11 of 2
    93.36
    """
    if profile not in PROFILES:
        raise InputError(f"profile must be one of {', '.join(map(repr, PROFILES))}; received {profile!r}.")
    if threshold is not None and np.isnan(threshold):
        raise InputError("threshold is NaN. Pass a number, or None for the best.")
    weights = PROFILES[profile]
    corpus = _read_corpus(labels, scores)
    parts = {name: _worth(true, scores) for name, (true, scores) in corpus.items()}
    n_windows = sum(part.n_windows for part in parts.values())
    if not n_windows:
        raise InputError(
            "labels has no window in the rows judged, those after the first 15 %. Pass rows that hold one."
        )
    if threshold is None:
        threshold = _best(list(parts.values()), weights)
    raw = {name: part.below(threshold, weights) for name, part in parts.items()}
    null = -weights.missed * n_windows
    score = 100 * (sum(raw.values()) - null) / (weights.found * n_windows - null)
    return NABScore(float(score), float(threshold), raw)


def window_labels(index: pd.Index, windows: Any) -> pd.Series:
    """Labels of rows from the first and last stamps of windows.

    Parameters
    ----------
    index : Index
        Stamps of the rows, in their order. They may repeat and go back, as those of some files of NAB do.
    windows : DataFrame or list of pairs
        First and last stamp of each window, both inside, such as ``load_nab(...).card.labels``.

    Returns
    -------
    Series
        1 where the stamp lies in a window, 0 elsewhere.

    Raises
    ------
    InputError
        A window holds no row.

    Examples
    --------
    >>> import pandas as pd
    >>> from ssmts.evaluation.anomaly import window_labels
    >>> days = pd.date_range("2024-01-01", periods=5)
    >>> window_labels(days, [("2024-01-02", "2024-01-04")]).tolist()
    [0, 1, 1, 1, 0]
    """
    labels = np.zeros(len(index), dtype=bool)
    for start, end in windows.to_numpy() if isinstance(windows, pd.DataFrame) else windows:
        if isinstance(index, pd.DatetimeIndex):
            start, end = pd.Timestamp(start), pd.Timestamp(end)
        inside = (index >= start) & (index <= end)
        if not inside.any():
            raise InputError(f"No row lies in the window from {start} to {end}. Pass windows in the time of the rows.")
        labels |= inside
    return pd.Series(labels.astype(np.int64), index=index)


class _Worth(NamedTuple):
    """The rows judged of a series: their scores, what a detection is worth, and the window each is in."""

    scores: FloatArray
    worth: FloatArray  # in windows from 0 to 1, outside from -1 to 0
    window: IntArray  # -1 outside
    n_windows: int

    def gains(self, weights: NABProfile) -> tuple[FloatArray, FloatArray]:
        """Scores in rising order, and what the sum gains as the threshold passes each row."""
        order = np.argsort(self.scores, kind="stable")
        scores, worth, window = self.scores[order], self.worth[order], self.window[order]
        gains = worth * weights.false
        for number in range(self.n_windows):
            rows = np.flatnonzero(window == number)
            best = np.maximum.accumulate(worth[rows] * weights.found)
            gains[rows] = np.diff(best, prepend=-weights.missed)
        return scores, gains

    def below(self, threshold: float, weights: NABProfile) -> float:
        """The unscaled score of detections below a threshold."""
        scores, gains = self.gains(weights)
        return float(gains[scores < threshold].sum() - weights.missed * self.n_windows)


def _worth(true: BoolArray, scores: FloatArray) -> _Worth:
    """What a detection in each row judged is worth, apart from the weights of a profile."""
    n_rows = len(true)
    starts, ends = segments(true)
    probation = int(0.15 * min(n_rows, 5000))
    past, window = np.full(n_rows, np.inf), np.full(n_rows, -1)  # rows behind the last window in widths, and window
    for start, end in zip(starts, ends):
        past[end:] = np.arange(1, n_rows - end + 1) / (end - start - 1) if end > start + 1 else np.inf
    worth = np.where(past >= 3, -1.0, _sigmoid(np.minimum(past, 3.0)))
    judged = ends > probation
    for number, (start, end) in enumerate(zip(starts[judged], ends[judged])):
        place = np.linspace(-1.0, 0.0, end - start, endpoint=False)
        worth[start:end] = _sigmoid(place) / _sigmoid(np.array(-1.0))
        window[start:end] = number
    return _Worth(scores[probation:], worth[probation:], window[probation:], int(judged.sum()))


def _sigmoid(place: FloatArray) -> FloatArray:
    """2 / (1 + exp(5 p)) - 1."""
    value: FloatArray = -np.tanh(2.5 * place)
    return value


def _best(parts: list[_Worth], weights: NABProfile) -> float:
    """The threshold with the largest sum over all series, the one with the fewest detections of several."""
    pairs = [part.gains(weights) for part in parts]
    scores, gains = (np.concatenate(each) for each in zip(*pairs))
    order = np.argsort(scores, kind="stable")
    scores, total = scores[order], np.cumsum(gains[order])
    last = np.append(scores[1:] != scores[:-1], True)  # rows with equal scores pass together
    totals = np.concatenate([[0.0], total[last]])  # no detection at all comes first
    best = int(np.argmax(totals > totals.max() - 1e-9))  # sums that differ by rounding are equal
    return -np.inf if best == 0 else float(np.nextafter(scores[last][best - 1], np.inf))


def _read_corpus(labels: Any, scores: Any) -> dict[Hashable, tuple[BoolArray, FloatArray]]:
    """Labels and scores of each series by its name."""
    truths, scores = _named(labels), _named(scores)
    if absent := set(truths) ^ set(scores):
        raise InputError(
            f"labels and scores do not hold the same series: {next(iter(absent))!r} is in one of them only."
        )
    corpus = {}
    for name, truth in truths.items():
        flags, values = read_pair(truth, scores[name], "scores", needs=(), of=f" of series {name!r}")
        wrong = np.isnan(values) | (values == np.inf)
        if wrong.any():
            row = int(wrong.argmax())
            raise InputError(f"scores of series {name!r} is {values[row]} in row {row}. Pass a number below infinity.")
        corpus[name] = flags, values
    return corpus


def _named(obj: Any) -> dict[Hashable, Any]:
    """Series by name: those of a dict, those of a list by number, or a single one."""
    if isinstance(obj, Mapping):
        return dict(obj)
    if isinstance(obj, list | tuple) and len(obj) and np.ndim(obj[0]) > 0:
        return dict(enumerate(obj))
    return {0: obj}
