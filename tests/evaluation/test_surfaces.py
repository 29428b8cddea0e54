"""Measures of scores against the definitions in loops, TSB-AD's recorded numbers, and scikit-learn."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
import sklearn.metrics as skm
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles.anomaly_metrics import VOLUMES, WINDOWS, case, walk

from ssmts import InnovationDetector
from ssmts.evaluation.anomaly import auc_pr, auc_roc, vus_pr, vus_roc, vus_window
from ssmts.exceptions import InputError

METRICS = [auc_pr, auc_roc, lambda y, s: vus_pr(y, s, window=9), lambda y, s: vus_roc(y, s, window=9)]


def runs(flags):
    """First and last row of every run of ones."""
    found, start = [], None
    for i, flag in enumerate([*flags, 0]):
        if flag and start is None:
            start = i
        if not flag and start is not None:
            found.append((start, i - 1))
            start = None
    return found


def volumes(labels, scores, window, n_thresholds):
    """VUS-PR and VUS-ROC by the definition, a row at a time."""
    n, areas = len(labels), []
    ordered = sorted(-scores, reverse=True)
    levels = [ordered[int(i)] for i in np.linspace(0, n - 1, n_thresholds)]
    for width in range(window + 1):
        half, soft = width // 2, [float(flag) for flag in labels]
        for a, b in runs(labels):
            for distance in range(1, half + 1):
                for x in (a - distance, b + distance):
                    if 0 <= x < n:
                        soft[x] += np.sqrt(1 - distance / width)
        soft = [min(1, value) for value in soft]
        wide: list = []
        for a, b in runs(labels):
            if wide and wide[-1][1] >= a - half:  # their borders share a row
                wide[-1][1] = b + half
            else:
                wide.append([max(a - half, 0), b + half])
        curve = [(0.0, 0.0, 1.0)]
        for level in levels:
            alarm = [-score >= level for score in scores]
            true = sum(soft[i] for i in range(n) if alarm[i])
            positives = (sum(labels) + sum(1 if labels[i] else soft[i] * alarm[i] for i in range(n))) / 2
            found = sum(any(alarm[a : b + 1]) for a, b in wide) / len(wide)
            rate = min(true / positives, 1) * found
            curve.append((rate, (sum(alarm) - true) / (n - positives), true / sum(alarm)))
        precision = sum((now[0] - old[0]) * now[2] for old, now in pairwise(curve))
        curve.append((1.0, 1.0, 0.0))
        roc = sum((now[1] - old[1]) * (now[0] + old[0]) / 2 for old, now in pairwise(curve))
        areas.append((precision, roc))
    return np.mean(areas, axis=0)


@given(st.integers(0, 10_000), st.integers(0, 17), st.sampled_from([2, 13, 60]))
@settings(deadline=None, max_examples=40)
def test_volumes_by_the_definition(seed, window, n_thresholds):
    rng = np.random.default_rng(seed)
    labels = (rng.uniform(size=45) < rng.choice([0.05, 0.2, 0.6])).astype(int)
    labels[rng.integers(45)], labels[rng.integers(45)] = 1, 0
    if not labels.any():
        labels[3] = 1
    scores = np.round(rng.normal(size=45), 1)
    ours = [metric(labels, scores, window=window, n_thresholds=n_thresholds) for metric in (vus_pr, vus_roc)]
    np.testing.assert_allclose(ours, volumes(labels, scores, window, n_thresholds), rtol=0, atol=1e-12)


def test_a_window_longer_than_the_series():
    labels, scores = np.array([0, 1, 0, 0, 1, 1, 0, 0, 0]), np.array([5.0, 1, 3, 3, 2, 7, 6, 0, 8])
    ours = [metric(labels, scores, window=50, n_thresholds=9) for metric in (vus_pr, vus_roc)]
    np.testing.assert_allclose(ours, volumes(labels, scores, 50, 9), rtol=0, atol=1e-12)


@pytest.mark.parametrize("seed", range(6))
def test_volumes_of_tsb_ad(seed):
    labels, scores, _, window = case(seed)
    ours = [vus_pr(labels, scores, window=window), vus_roc(labels, scores, window=window)]
    np.testing.assert_allclose(ours, VOLUMES[seed], rtol=0, atol=1e-9)


def test_a_volume_by_hand():
    # The top score is beside the anomaly. Two thresholds: at the top row, and at all rows.
    labels, scores = np.array([0, 1, 0, 0]), np.array([1.0, 1.0, 0.0, 1.0])
    # w = 0 and 1: the top row is a false alarm; then all rows, with precision 1/4: average precision 1/4.
    # w = 2: the top row counts root 1/2, of (1 + 1 + root 1/2) / 2, precision root 1/2; then all rows: 1 + 2 root 1/2 of
    # 1 + root 1/2, cut to 1, precision (1 + 2 root 1/2) / 4.
    root = np.sqrt(0.5)
    first = root / (1 + root / 2)
    by_hand = [0.25, 0.25, first * root + (1 - first) * (1 + 2 * root) / 4]
    assert vus_pr(labels, scores, window=2, n_thresholds=2) == pytest.approx(np.mean(by_hand), abs=1e-15)


@pytest.mark.parametrize("seed", range(6))
def test_areas_are_those_of_scikit_learn(seed):
    labels, scores, _, _ = case(seed)
    assert auc_roc(labels, scores) == skm.roc_auc_score(labels, -scores)
    assert auc_pr(labels, scores) == skm.average_precision_score(labels, -scores)


@pytest.mark.parametrize("metric", METRICS)
def test_only_the_order_of_scores_counts_in_every_container(metric):
    labels, scores, _, _ = case(1)
    expected = metric(labels, scores)
    stamps = pd.date_range("2024", periods=len(labels))
    assert metric(labels, np.exp(scores) * 1e9) == expected
    assert metric(labels, np.where(scores == scores.min(), -np.inf, scores)) == expected
    assert metric(labels.astype(bool).tolist(), scores.tolist()) == expected
    assert metric(pd.Series(labels, stamps, dtype="Int64"), pd.Series(scores, stamps, dtype="Float64")) == expected
    assert metric(pd.Series(labels, stamps), scores) == expected


@pytest.mark.parametrize("metric", METRICS)
def test_scores_of_a_detector_have_the_right_sign(metric):
    rng = np.random.default_rng(0)
    x, labels = rng.normal(size=(600, 1)), np.zeros(600)
    labels[[420, 500, 560]] = 1
    detector = InnovationDetector().fit(x[:400])
    assert metric(labels, detector.score_samples(x + 8 * labels[:, None])) > 0.7


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(
    ("labels", "scores", "message"),
    [
        ([0, 0, 0], [1.0, 2.0, 3.0], "All 3 rows of labels are normal"),
        ([1, 1, 1], [1.0, 2.0, 3.0], "All 3 rows of labels are anomalous"),
        ([], [], "All 0 rows"),
        ([0, 1, 0], [1.0, np.nan, 3.0], "scores is NaN in 1 of 3 rows, first in row 1"),
        ([0, 1, 0], [1.0, 2.0], "scores has 2 rows, labels has 3"),
        ([0, 1, -1], [1.0, 2.0, 3.0], r"labels has -1.0 in row 2"),
        ([0, 1, np.nan], [1.0, 2.0, 3.0], "labels has nan in row 2"),
        ([0, 1, 0], ["a", "b", "c"], "scores is not numeric"),
        ([[0], [1], [0]], [1.0, 2.0, 3.0], r"labels has the shape \(3, 1\)"),
        (pd.Series([0, 1, 0]), pd.Series([1.0, 2.0, 3.0], [1, 2, 3]), "different indexes"),
        (
            pd.Series([0, 1], pd.MultiIndex.from_tuples([("a", 1), ("b", 1)])),
            [1.0, 2.0],
            "an index of 2 levels. Pass one series",
        ),
    ],
)
def test_bad_rows_are_refused(metric, labels, scores, message):
    with pytest.raises(InputError, match=message):
        metric(labels, scores)


@pytest.mark.parametrize("window", [-1, 2.0, True, None, "auto"])
def test_bad_windows_are_refused(window):
    with pytest.raises(InputError, match="window must be an integer of at least 0"):
        vus_pr([0, 1], [1.0, 0.0], window=window)


def test_one_threshold_is_refused():
    with pytest.raises(InputError, match="n_thresholds must be an integer of at least 2; received 1"):
        vus_roc([0, 1], [1.0, 0.0], window=2, n_thresholds=1)


@pytest.mark.parametrize("seed", range(8))
def test_windows_of_tsb_ad(seed):
    assert vus_window(walk(seed)) == WINDOWS[seed]


def test_a_window_by_plain_sums_of_products():
    x = walk(2)[:700] - walk(2)[:700].mean()
    r = [x[lag:] @ x[: len(x) - lag] for lag in range(401)]
    peaks = [lag for lag in range(4, 400) if r[lag] > r[lag - 1] and r[lag] > r[lag + 1]]
    best = max(peaks, key=r.__getitem__)
    assert vus_window(walk(2)[:700]) == (best if 6 <= best <= 303 else 125)


@pytest.mark.parametrize(("period", "window"), [(5, 125), (6, 6), (303, 303), (304, 125)])
def test_the_borders_of_the_rule(period, window):
    assert vus_window(np.arange(10_000) % period == 0) == window


def test_windows_of_other_input():
    wave = np.sin(2 * np.pi * np.arange(900) / 24)
    frame = pd.DataFrame({"a": wave, "b": 0.0})
    assert vus_window(frame) == vus_window(frame.to_numpy()) == vus_window(frame["a"]) == vus_window(5 + wave) == 24
    assert vus_window(np.where(np.arange(900) // 30 % 7, wave, np.nan)) == 24
    assert (
        vus_window(np.concatenate([np.tile(wave, 23), np.sin(np.arange(50_000))])[:60_000]) == 24
    )  # 20,000 rows count
    assert vus_window(np.full(50, 0.1)) == vus_window([np.nan]) == vus_window([1.0, 2.0]) == 125  # no peak
    assert vus_window(np.sin(2 * np.pi * np.arange(2000) / 350)) == 125  # too long a season


@pytest.mark.parametrize(
    ("values", "message"),
    [([], "shape"), (np.ones((2, 2, 2)), "shape"), (["a"], "not numeric"), ([1.0, np.inf], "infinite in row 1")],
)
def test_bad_values_for_a_window_are_refused(values, message):
    with pytest.raises(InputError, match=message):
        vus_window(values)
