"""Baselines of single sensors, against plain Python and what they promise of gross errors and shifts."""

import numpy as np
import pytest

from ssmts.detection import robust_baseline as baseline

GATE = 3.0


def learnt(y, span=None, share=0.01, steps=None):
    steps = np.ones(len(y)) if steps is None else steps
    found = baseline.fit(y, steps, span, share)
    return found, baseline.run(found, baseline.start(found), y, steps, full=True)[0]


def twin(found, y, steps):
    """One sensor, in plain Python."""
    level, age, rise, fall, readings = found.centre[0], 0.0, 0.0, 0.0, np.inf
    rows = []
    for value, step in zip(y, steps):
        age += step
        z = (value - level) / found.scale[0]
        rows.append((level, z))
        if np.isnan(value) or found.gain == 0:
            continue
        move = np.clip(z, -GATE, GATE)
        rise, fall = max(0.0, rise + move - 1), max(0.0, fall - move - 1)
        if max(rise, fall) >= 2 * found.patience - 1e-9:
            level, readings, rise, fall = value, 0, 0.0, 0.0
        else:
            level += max(1 - (1 - found.gain) ** age, 1 / (readings + 1)) * move * found.scale[0]
        readings, age = readings + 1, 0.0
    return np.array(rows).T


@pytest.mark.parametrize("span", [None, 20.0])
def test_kernel_equals_plain_python(span):
    rng = np.random.default_rng(0)
    y = rng.normal(size=(300, 1))
    y[100:180] += 6.0
    y[200] = 1e4
    y[rng.random(300) < 0.2] = np.nan
    steps = rng.choice([0.0, 0.5, 1.0, 1.0, 4.0], 300)
    found, seen = learnt(y, span, steps=steps)
    expected, z = twin(found, y[:, 0], steps)
    np.testing.assert_allclose(seen.expected[:, 0], expected, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(seen.z[:, 0], z, rtol=1e-9, atol=1e-9)


def test_a_silent_row_is_a_row_that_is_not_there():
    rng = np.random.default_rng(3)
    y = rng.normal(size=(200, 2))
    gone = rng.random(200) < 0.3
    holes = np.where(gone[:, None], np.nan, y)
    found, _ = learnt(y, span=30.0)
    steps = np.diff(np.flatnonzero(~gone), prepend=-1).astype(float)
    with_holes, after = baseline.run(found, baseline.start(found), holes, np.ones(200))
    without, after_too = baseline.run(found, baseline.start(found), y[~gone], steps)
    np.testing.assert_allclose(with_holes.z[~gone], without.z, rtol=1e-12)
    np.testing.assert_allclose(after.level, after_too.level, rtol=1e-12)


@pytest.mark.parametrize("share", [0.001, 0.01, 0.1, 0.5])
def test_moments_are_consistent_for_normal_numbers(share):
    x = np.random.default_rng(4).normal(3.0, 2.0, 200000)
    centre = baseline.winsorised_mean(x, share)
    assert centre == pytest.approx(3.0, abs=0.03)
    assert baseline.spread(x - centre, share) == pytest.approx(2.0, rel=0.02)


def test_a_share_of_gross_errors_moves_the_moments_little():
    x = np.random.default_rng(5).normal(size=10000)
    clean = baseline.spread(x, 0.05)
    x[:300] = 1e6
    assert abs(baseline.winsorised_mean(x, 0.05)) < 0.15
    assert baseline.spread(x, 0.05) < 1.3 * clean
    assert baseline.spread(x, 0.01) > 1e4, "more of them than were reckoned with are no gross errors"


def test_sensors_that_hardly_or_never_change():
    y = np.zeros((1000, 3))
    y[::250, 0] = 1.0  # fewer than may be gross errors
    y[:, 1] = 1e9
    found, seen = learnt(y)
    assert found.scale[0] == pytest.approx(np.std(y[:, 0]), rel=0.01)
    assert found.scale[1] == 1.0
    assert found.scale[2] == 1e-9
    assert not seen.z[:, 1:].any()


@pytest.mark.parametrize("size", [4.0, 1e6])
@pytest.mark.parametrize("span", [20.0, 60.0])
def test_a_moving_baseline_believes_a_shift_in_as_many_rows_and_learns_its_level(span, size):
    y = np.random.default_rng(6).normal(size=(1000, 1))
    found, _ = learnt(y, span)
    later = np.random.default_rng(7).normal(size=(400, 1)) + size
    seen, after = baseline.run(found, baseline.start(found), later, np.ones(400), full=True)
    settled = seen.z[int(span) + 20 :, 0]
    assert abs(np.mean(settled)) < 0.5
    assert np.mean(np.abs(settled) > GATE) < 0.03
    assert abs(after.level[0] - size) < 1.0
    assert seen.anew.sum() == (size > 10)


def test_a_spike_hardly_moves_a_baseline():
    y = np.random.default_rng(8).normal(size=(1000, 1))
    found, _ = learnt(y, 50.0)
    spike = np.zeros((2, 1))
    spike[0] = 1e9
    seen, _ = baseline.run(found, baseline.start(found), spike, np.ones(2))
    assert abs(seen.z[1, 0]) < 0.5
