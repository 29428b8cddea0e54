"""Measures of attributions against the mean over all orders of ties, and examples by hand."""

import itertools
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ssmts.evaluation.anomaly import hit_rate, ndcg
from ssmts.exceptions import InputError

BLAME = st.lists(st.tuples(st.booleans(), st.integers(0, 2)), min_size=2, max_size=5).filter(
    lambda rows: any(y for y, _ in rows)
)


def shuffled_ties(measure, y, scores):
    """Mean of a measure over all orders of sensors, with ties broken by the order."""
    values = []
    for order in itertools.permutations(range(len(y))):
        ranked = sorted(order, key=lambda i: -scores[i])
        values.append(measure(y, ranked))
    return np.mean(values)


@given(BLAME, st.sampled_from([100, 150, 200]))
@settings(deadline=None, max_examples=50)
def test_attributions_equal_the_mean_over_all_orders_of_ties(rows, percent):
    y, scores = [int(a) for a, _ in rows], [float(b) for _, b in rows]
    blamed = {i for i, one in enumerate(y) if one}
    size = math.floor(percent * len(blamed) / 100)

    def hits(y, ranked):
        return len(blamed & set(ranked[:size])) / len(blamed)

    def gain(y, ranked):
        ideal = sum(1 / math.log2(2 + i) for i in range(min(size, len(blamed))))
        return sum(1 / math.log2(2 + i) for i, sensor in enumerate(ranked[:size]) if sensor in blamed) / ideal

    assert hit_rate(y, scores, percent=percent) == pytest.approx(shuffled_ties(hits, y, scores))
    assert ndcg(y, scores, percent=percent) == pytest.approx(shuffled_ties(gain, y, scores))


def test_attributions_by_hand():
    y = [[1, 1, 0, 0, 0], [0, 0, 0, 0, 1]]
    scores = [[9.0, 1.0, 8.0, 2.0, 0.0], [0.0, 0.0, 0.0, 0.0, np.inf]]
    assert hit_rate(y, scores) == 0.75  # one of two, one of one
    assert hit_rate(y, scores, percent=200) == 1.0  # the second of the first event stands fourth
    first = 1 / (1 + 1 / np.log2(3))
    assert ndcg(y, scores) == pytest.approx((first + 1) / 2)
    frame = pd.DataFrame(y, columns=list("abcde"))
    assert hit_rate(frame, pd.DataFrame(scores, columns=list("abcde"))) == 0.75
    assert hit_rate(frame, scores) == 0.75


@pytest.mark.parametrize("measure", [hit_rate, ndcg])
def test_bad_attributions_are_refused(measure):
    y, scores = pd.DataFrame([[1, 0], [0, 1]], columns=["a", "b"]), pd.DataFrame(np.eye(2), columns=["a", "b"])
    for true, blame, percent, what in [
        (y, scores.iloc[:1], 100, r"shape \(1, 2\), labels has \(2, 2\)"),
        (y, scores[["b", "a"]], 100, "different columns"),
        (y, scores.set_axis([5, 6]), 100, "different index"),
        (y, scores.where(scores > 0), 100, "NaN for event 0"),
        ([[1, 0], [0, 0]], scores.to_numpy(), 100, "Event 1 of labels has no sensor"),
        (y, scores, 50, "100 or more"),
        (y, scores, np.nan, "100 or more"),
        ([[1, 2]], [[0.0, 0.0]], 100, "has 2.0 in row 0"),
    ]:
        with pytest.raises(InputError, match=what):
            measure(true, blame, percent=percent)
    with pytest.raises(InputError, match="two sensors"):
        ndcg([[1]], [[0.5]])


@pytest.mark.data
def test_the_sensors_to_blame_in_server_data(data_folder):
    """Mean over the twelve entities of ASD, as another scorer gave it: z-scores frozen in training .77, those of differences .87."""
    arrays = np.load(data_folder / "asd" / "asd.npz")
    rates = {order: [] for order in (0, 1)}
    for number in range(1, 13):
        train, test = (arrays[f"omi-{number}_{part}"].astype(float) for part in ("train", "test"))
        deviation = {
            0: abs(test - train.mean(axis=0)) / (train.std(axis=0) + 1e-6),
            1: abs(np.diff(test, axis=0, prepend=test[:1])) / (np.diff(train, axis=0).std(axis=0) + 1e-6),
        }
        events = (data_folder / "asd" / "interpretation_label" / f"omi-{number}.txt").read_text().split()
        spans = [[int(row) for row in event.split(":")[0].split("-")] for event in events]
        blamed = [
            np.isin(np.arange(19), [int(name) - 1 for name in event.split(":")[1].split(",")]) for event in events
        ]
        for order, rows in deviation.items():
            rates[order].append(hit_rate(blamed, [rows[first : last + 1].mean(axis=0) for first, last in spans]))
    assert np.mean(rates[0]) == pytest.approx(0.77, abs=0.005)
    assert np.mean(rates[1]) == pytest.approx(0.87, abs=0.005)
