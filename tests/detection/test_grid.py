"""Irregular stamps on a regular grid."""

import numpy as np

from ssmts.detection.grid import moves


def test_duplicated_stamps_are_rows_until_a_gap_makes_up_for_them():
    taken, lead = moves(np.array([1.0, 1.0, 0.0, 1.0, 1.0, 3.0, 1.0]), 0.0)
    assert taken.tolist() == [1, 1, 1, 1, 1, 2, 1]
    assert lead == 0.0


def test_gaps_are_steps_and_pieces_equal_the_whole():
    steps = np.round(np.random.default_rng(0).exponential(2.0, 200) * 4) / 4
    whole, end = moves(steps, 0.0)
    assert whole.min() == 1
    assert abs(whole.sum() - steps.sum() - end) < 0.5 + 200 * 0.5
    first, lead = moves(steps[:77], 0.0)
    second, after = moves(steps[77:], lead)
    np.testing.assert_array_equal(np.concatenate([first, second]), whole)
    assert after == end


def test_regular_rows_take_one_step_each():
    taken, lead = moves(np.ones(5), 0.0)
    assert taken.tolist() == [1] * 5
    assert lead == 0.0
    assert moves(np.ones(3), 2.0)[0].tolist() == [1, 1, 1]
