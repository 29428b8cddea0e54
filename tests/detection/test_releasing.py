"""Alarms that the baseline followed are no noise to be calibrated by, and limits agree with scores."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ssmts import ChangePointDetector, ShiftDetector, SpreadDetector
from ssmts.detection.releasing import AGREE, LEAST, without_changes


def slow_lasting(scores, limit, patience):
    """First and last row of alarms that lasted `patience` rows before the score fell below half of the limit."""
    found, since, count = [], None, 0
    for t, score in enumerate(scores):
        if np.isnan(score):
            continue
        if score < limit / 2:
            since, count = None, 0
            continue
        since = t if since is None else since
        count += score >= limit
        if count == patience:
            found.append((since, t))
            since, count = None, 0
    return found


@settings(deadline=None)
@given(st.lists(st.one_of(st.just(np.nan), st.floats(0, 20)), min_size=1, max_size=80), st.integers(1, 6))
def test_alarms_that_lasted_are_left_out(scores, patience):
    scores = np.array(scores)
    kept = without_changes(scores[:, None], np.array([8.0]), patience, 1.0)[:, 0]
    expected = scores.copy()
    for first, last in slow_lasting(scores, 8.0, patience):
        expected[first : last + 1] = np.nan
    np.testing.assert_array_equal(kept, expected)


def test_the_largest_are_left_out_first_and_not_more_than_the_share():
    scores = np.ones((1000, 2))
    for first, height in ((100, 10.0), (300, 30.0), (500, 20.0)):
        scores[first : first + 5, 0] = height
    kept = without_changes(scores, np.array([8.0, 8.0]), 5, 0.01)
    assert np.isnan(kept[300:305, 0]).all()
    assert np.isnan(kept[500:505, 0]).all()
    assert np.isnan(kept).sum() == 10
    np.testing.assert_array_equal(scores[100:105, 0], 10.0)
    assert np.isnan(scores).sum() == 0


DETECTORS = [
    ShiftDetector(),
    ShiftDetector("glr"),
    ShiftDetector("ewma"),
    SpreadDetector(),
    ChangePointDetector(n_runs=32),
    ChangePointDetector("restarted", n_runs=32),
]


@pytest.mark.parametrize("detector", DETECTORS, ids=repr)
@pytest.mark.parametrize("on", ["innovations", "readings"])
def test_changes_among_the_training_rows_do_not_hide_later_ones(detector, on):
    rng = np.random.default_rng(0)
    X, later = rng.standard_normal((4000, 2)), rng.standard_normal((400, 2))
    X[1000:1200, 0] += 10.0
    X[1700:1710, 1] += 1e5
    later[200:] *= 4.0
    later[200:] += 2.0
    detector = detector.__class__(**{**detector.get_params(), "on": on, "false_alarm_rate": 1e-3}).fit(X)
    assert (detector.model_.limit < 60).all()
    found = np.flatnonzero(detector.predict(later) == -1)
    assert ((found >= 200) & (found < 215)).any()
    assert (found < 200).sum() < 10


@pytest.mark.parametrize("detector", DETECTORS[:4], ids=repr)
def test_limits_are_where_alarms_begin(detector):
    rng = np.random.default_rng(1)
    X = rng.standard_normal((5000, 1))
    for t in range(1, len(X)):
        X[t] += 0.5 * X[t - 1]
    detector = detector.__class__(**{**detector.get_params(), "on": "readings", "false_alarm_rate": 1e-3}).fit(X)
    begins = detector._alarming(detector.start_, np.full((1, 1), np.nan))[0]
    np.testing.assert_allclose(detector.model_.limit, np.maximum(begins, LEAST), rtol=AGREE)
