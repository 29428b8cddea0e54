"""Irregular stamps on a regular grid."""

import numpy as np

from ssmts.detection.grid import moves, on_grid


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


def test_jitter_is_no_gap_and_does_not_add_up():
    stamps = np.arange(200) + np.random.default_rng(0).uniform(-0.2, 0.2, 200)
    taken, lead = moves(np.append(1.0, np.diff(stamps)), 0.0)
    assert (taken == 1).all()
    assert abs(lead) <= 1.0


def test_rows_stand_where_the_clock_puts_them():
    taken, _ = moves(np.array([1.0, 3.0, 1.0]), 0.0)
    np.testing.assert_array_equal(on_grid(np.array([1.0, 2.0, 3.0]), taken), [1.0, np.nan, np.nan, 2.0, 3.0])
    np.testing.assert_array_equal(on_grid(np.ones((3, 2)), taken)[:, 1], [1.0, np.nan, np.nan, 1.0, 1.0])
