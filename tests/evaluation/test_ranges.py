"""Measures of alarms against the papers' definitions in loops, and recorded numbers of prts and of the affiliation package."""

import math
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles.anomaly_metrics import AFFILIATION, RANGES, case

from ssmts.evaluation.anomaly import (
    affiliation_f1,
    affiliation_precision,
    affiliation_recall,
    range_f1,
    range_precision,
    range_recall,
)
from ssmts.exceptions import InputError

METRICS = [range_recall, range_precision, range_f1, affiliation_precision, affiliation_recall, affiliation_f1]
BIASES = ["flat", "front", "middle", "back"]


def sets(flags):
    """Every run of ones as the list of its rows."""
    found = [[]]
    for row, flag in enumerate(flags):
        if flag:
            found[-1].append(row)
        elif found[-1]:
            found.append([])
    return [rows for rows in found if rows]


def weigh(bias, i, length):
    """Positional bias of the paper's figure 2, i from 1."""
    if bias == "middle":
        return i if i <= length / 2 else length - i + 1
    return {"flat": 1, "front": length - i + 1, "back": i}[bias]


def reward(ranges, others, alpha, cardinality, bias):
    """Mean over ranges of existence and overlap, by the paper's equations 3 to 8."""
    total = 0.0
    for one in ranges:
        overlap = 0.0
        touching = [other for other in others if set(other) & set(one)]
        for other in touching:
            mine = sum(weigh(bias, i, len(one)) for i, row in enumerate(one, 1) if row in other)
            overlap += mine / sum(weigh(bias, i, len(one)) for i in range(1, len(one) + 1))
        factor = 1 / len(touching) if cardinality == "reciprocal" and len(touching) > 1 else 1
        total += alpha * bool(touching) + (1 - alpha) * factor * overlap
    return total / len(ranges)


def affiliation(labels, alarms, fine=60):
    """Precision and recall by sums over fine moments of what the paper integrates."""
    n, events = len(labels), sets(labels)
    moments = (np.arange(n * fine) + 0.5) / fine
    alarm = np.repeat(np.asarray(alarms, bool), fine)
    edges = [0.0, *[(a[-1] + 1 + b[0]) / 2 for a, b in pairwise(events)], float(n)]
    precisions, recalls = [], []
    for event, low, high in zip(events, edges, edges[1:]):
        zone = moments[(moments > low) & (moments < high)]
        hits = moments[(moments > low) & (moments < high) & alarm]
        away = np.maximum(np.maximum(event[0] - zone, zone - event[-1] - 1), 0)
        own = np.maximum(np.maximum(event[0] - hits, hits - event[-1] - 1), 0)
        if len(hits):
            precisions.append(np.mean([(away > d).mean() if d else 1.0 for d in own]))
        chance = []
        for y in zone[(zone > event[0]) & (zone < event[-1] + 1)]:
            d = np.abs(hits - y).min() if len(hits) else np.inf
            chance.append((np.abs(zone - y) > d).mean() if d else 1.0)
        recalls.append(np.mean(chance))
    return np.mean(precisions) if precisions else np.nan, np.mean(recalls)


def rows(seed, n=40):
    rng = np.random.default_rng(seed)
    labels, alarms = (np.repeat(rng.uniform(size=n), rng.integers(1, 5, n))[:n] < p for p in rng.uniform(0.1, 0.7, 2))
    labels[rng.integers(n)] ^= labels.all() or not labels.any()
    return labels.astype(int), alarms.astype(int)


@given(st.integers(0, 10_000), st.sampled_from(BIASES), st.sampled_from(["one", "reciprocal"]), st.floats(0, 1))
@settings(deadline=None, max_examples=80)
def test_ranges_by_the_definition(seed, bias, cardinality, alpha):
    labels, alarms = rows(seed)
    truth, found = sets(labels), sets(alarms)
    how = {"cardinality": cardinality, "bias": bias}
    recall = reward(truth, found, alpha, cardinality, bias)
    assert range_recall(labels, alarms, alpha=alpha, **how) == pytest.approx(recall, abs=1e-12)
    f1 = 0.0
    if found:
        precision = reward(found, truth, 0, cardinality, bias)
        assert range_precision(labels, alarms, **how) == pytest.approx(precision, abs=1e-12)
        f1 = 2 * precision * recall / (precision + recall) if precision and recall else 0.0
    assert range_f1(labels, alarms, alpha=alpha, **how) == pytest.approx(f1, abs=1e-12)


@pytest.mark.parametrize(("bias", "cardinality"), RANGES)
@pytest.mark.parametrize("seed", range(6))
def test_ranges_of_prts(bias, cardinality, seed):
    labels, _, alarms, _ = case(seed)
    how = {"bias": bias, "cardinality": cardinality}
    ours = range_recall(labels, alarms, **how), range_precision(labels, alarms, **how)
    np.testing.assert_allclose(ours, RANGES[bias, cardinality][seed], rtol=0, atol=1e-9)


@pytest.mark.parametrize(("bias", "share"), [("flat", 2 / 5), ("front", 9 / 15), ("middle", 3 / 9), ("back", 3 / 15)])
def test_biases_by_hand(bias, share):
    # The first two of five rows are found; weights 5 4 3 2 1, 1 2 3 2 1 and 1 2 3 4 5.
    assert range_recall([0, 1, 1, 1, 1, 1], [0, 1, 1, 0, 0, 0], alpha=0, bias=bias) == pytest.approx(share)


@given(st.integers(0, 10_000))
@settings(deadline=None, max_examples=25)
def test_affiliation_by_sums_over_fine_moments(seed):
    labels, alarms = rows(seed)
    ours = affiliation_precision(labels, alarms), affiliation_recall(labels, alarms)
    np.testing.assert_allclose(ours, affiliation(labels, alarms), rtol=0, atol=0.01)


@pytest.mark.parametrize("seed", range(6))
def test_affiliation_of_the_authors(seed):
    labels, _, alarms, _ = case(seed)
    ours = affiliation_precision(labels, alarms), affiliation_recall(labels, alarms)
    np.testing.assert_allclose(ours, AFFILIATION[seed], rtol=0, atol=1e-9)
    assert affiliation_f1(labels, alarms) == pytest.approx(2 * ours[0] * ours[1] / sum(ours))


def test_affiliation_by_the_example_of_the_authors_page():
    # github.com/ahstat/affiliation-metrics-py; the two zones have the precisions 7/11 and 1.
    labels, alarms = [0, 0, 0, 1, 0, 0, 0, 1, 1, 1], [0, 0, 0, 0, 1, 0, 0, 0, 1, 0]
    assert affiliation_precision(labels, alarms) == pytest.approx((7 / 11 + 1) / 2)
    assert affiliation_recall(labels, alarms) == pytest.approx(0.8443, abs=5e-5)


def test_the_second_zone_of_the_papers_example():
    # Minutes 30 to 120: the anomaly lasts from 50 to 70, the alarms from 40 to 60 and from 115 on.
    minute = np.arange(30, 120)
    labels = (minute >= 50) & (minute < 70)
    alarms = ((minute >= 40) & (minute < 60)) | (minute >= 115)
    assert affiliation_precision(labels, alarms) == pytest.approx(0.672222222, abs=1e-9)
    assert affiliation_recall(labels, alarms) == pytest.approx(0.944444444, abs=1e-9)


def test_an_alarm_up_to_the_border_of_a_zone_is_not_in_the_next():
    # The border is at 3. A moment y of the first anomaly counts (2 y - 1) / 3, 2/3 on average, and the second nothing;
    # a moment x of the alarm counts 2 (3 - x) / 3, 1/3 on average.
    labels, alarms = [0, 1, 0, 0, 1, 0], [0, 0, 1, 0, 0, 0]
    assert affiliation_recall(labels, alarms) == pytest.approx(1 / 3)
    assert affiliation_precision(labels, alarms) == pytest.approx(1 / 3)


def test_random_alarms_and_alarms_everywhere_get_two_thirds():
    rng = np.random.default_rng(0)
    labels = np.zeros(20_000)
    labels[500::1000] = 1
    assert affiliation_f1(labels, rng.uniform(size=20_000) < 0.1) == pytest.approx(2 / 3, abs=0.02)
    assert affiliation_f1(labels, np.ones(20_000)) == pytest.approx(2 / 3, abs=0.02)


@pytest.mark.parametrize("metric", METRICS)
def test_alarms_like_the_labels_are_perfect(metric):
    labels, _, _, _ = case(1)
    stamps = pd.date_range("2024", periods=len(labels))
    assert metric(labels, labels) == pytest.approx(1)
    assert metric(pd.Series(labels, stamps), pd.Series(labels == 1, stamps)) == pytest.approx(1)


def test_without_alarms_precision_is_undefined_and_recall_zero():
    labels, none = [0, 1, 0, 1], [0, 0, 0, 0]
    assert math.isnan(range_precision(labels, none))
    assert math.isnan(affiliation_precision(labels, none))
    assert [metric(labels, none) for metric in (range_recall, range_f1, affiliation_recall, affiliation_f1)] == [0] * 4


def test_alarms_that_miss_every_range_are_worth_nothing():
    assert [metric([0, 1, 0], [1, 0, 1]) for metric in (range_recall, range_precision, range_f1)] == [0] * 3


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(
    ("labels", "predictions", "message"),
    [
        ([0, 0], [0, 1], "All 2 rows of labels are normal"),
        ([1, 1], [0, 1], "All 2 rows of labels are anomalous"),
        ([0, 1], [1, -1], r"predictions has -1.0 in row 1.*predict\(X\) == -1"),
        ([0, 1], [0, np.nan], "predictions has nan in row 1"),
        ([0, 1], [0, 1, 1], "predictions has 3 rows, labels has 2"),
    ],
)
def test_bad_rows_are_refused(metric, labels, predictions, message):
    with pytest.raises(InputError, match=message):
        metric(labels, predictions)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"alpha": 1.5}, "alpha must be from 0 to 1; received 1.5"),
        ({"alpha": np.nan}, "alpha must be from 0 to 1; received nan"),
        ({"cardinality": "two"}, "cardinality must be 'reciprocal' or 'one'; received 'two'"),
        ({"bias": "up"}, "bias must be one of 'flat', 'front', 'middle', 'back'; received 'up'"),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        range_recall([0, 1], [0, 1], **options)
