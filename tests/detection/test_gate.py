"""What is held back and what is released, against a slow twin in plain Python."""

import numpy as np
import pytest

from ssmts.detection.gate import decide, nothing, sweep, until_unusual
from ssmts.detection.robust import GATE, SLACK


class Twin:
    """The rule for one sensor, as its words say it."""

    def __init__(self, patience):
        self.patience, self.rise, self.fall, self.recent = patience, 0.0, 0.0, []

    def see(self, z, away, gate):
        """What the sensor has shifted by, None for a reading that is held back."""
        if np.isnan(z):
            return 0.0
        x = z * GATE / gate
        counted = float(np.clip(x, -GATE, GATE))
        self.rise, self.fall = max(0.0, self.rise + counted - SLACK), max(0.0, self.fall - counted - SLACK)
        self.recent = [*self.recent, away][-self.patience :]
        if max(self.rise, self.fall) >= self.patience * (GATE - SLACK) - 1e-9:
            jump = float(np.median(self.recent))
            self.rise, self.fall, self.recent = 0.0, 0.0, []
            return jump
        return None if abs(x) > GATE else 0.0


@pytest.mark.parametrize("patience", [1, 2, 5])
def test_decisions_are_those_of_the_twin(patience):
    rng = np.random.default_rng(patience)
    z = rng.standard_normal((400, 2)) * 2.5
    z[100:130, 0] += 6.0
    z[200:240, 1] -= 2.5
    z[rng.random(z.shape) < 0.1] = np.nan
    gates = np.array([3.0, 4.5])
    twins, e, jump, seen = [Twin(patience), Twin(patience)], nothing(patience, 2), np.empty(2), 0
    for t in range(len(z)):
        away = z[t] * np.array([0.5, 2.0])
        usual = decide(z[t], away, gates, e.rise, e.fall, e.recent, jump)
        wanted = [twin.see(*each) for twin, each in zip(twins, zip(z[t], away, gates))]
        np.testing.assert_allclose(jump, [np.nan if x is None else x for x in wanted])
        assert usual == (wanted == [0.0, 0.0])
        seen += any(x not in (None, 0.0) for x in wanted)
    assert seen >= 2, "no shift was ever believed"


def test_blocks_stop_where_a_row_is_unusual():
    rng = np.random.default_rng(0)
    z = rng.standard_normal((300, 2)) * 1.6
    gates, jump = np.array([3.0, 3.0]), np.empty(2)
    whole, single = nothing(4, 2), nothing(4, 2)
    usual = until_unusual(z, z, gates, whole.rise, whole.fall, whole.recent)
    for t in range(usual):
        assert decide(z[t], z[t], gates, single.rise, single.fall, single.recent, jump)
    for one, other in zip(whole, single):
        np.testing.assert_array_equal(one, other)
    assert usual < 300
    assert not decide(z[usual], z[usual], gates, single.rise, single.fall, single.recent, jump)


def test_a_sweep_takes_a_shift_off_all_later_readings():
    y = np.zeros((30, 1))
    y[10:] = 50.0
    z, held, shifts = (np.empty((30, 1)) for _ in range(3))
    mean, sd = np.zeros((30, 1)), np.ones((30, 1))
    sweep(y, mean, sd, np.array([3.0]), *nothing(5, 1), z, held, shifts)
    assert np.flatnonzero(held[:, 0]).tolist() == [10, 11, 12, 13]
    np.testing.assert_array_equal(shifts[:, 0], np.where(np.arange(30) < 14, 0.0, 50.0))
    np.testing.assert_array_equal(z[15:, 0], 0.0)


def test_a_reading_without_a_distance_is_held_back_and_tells_nothing():
    e, jump = nothing(2, 1), np.empty(1)
    for _ in range(10):
        assert not decide(np.array([1e8]), np.array([np.nan]), np.array([3.0]), e.rise, e.fall, e.recent, jump)
        assert np.isnan(jump[0])
    assert e.rise[0] == 0.0
