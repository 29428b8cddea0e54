"""Robust local levels against a plain Python twin, a dense joint Gaussian, and data of known parameters."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ssmts.detection import local_level
from ssmts.detection.local_level import LocalLevel
from ssmts.detection.robust import GATE, SLACK
from ssmts.exceptions import TooShortError


def simulate(n, gain, sd=1.0, seed=0, df=np.inf):
    """A random walk seen with noise, normal or of a t distribution with its quartiles."""
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal(n) if df == np.inf else rng.standard_t(df, n)
    return np.cumsum(rng.standard_normal(n) * gain * sd) + noise * np.sqrt(1 - gain) * sd


def twin(model, y, steps, patience):
    """The filter of one sensor, written out: expected, sd and z of every row."""
    K, S = model.gain[0], model.innovation_var[0]
    level, var, up, down = None, None, 0.0, 0.0
    out = []
    for value, step in zip(y, steps):
        if level is None:
            out.append((np.nan, np.nan, np.nan))
            if not np.isnan(value):
                level, var = value, GATE**2 * S
            continue
        ahead = var + K**2 * S * step
        total = ahead + (1 - K) * S
        z = (value - level) / np.sqrt(total)
        out.append((level, np.sqrt(total), z))
        if np.isnan(value):
            var = ahead
            continue
        up = max(0.0, up + np.clip(z, -GATE, GATE) - SLACK)
        down = max(0.0, down - np.clip(z, -GATE, GATE) - SLACK)
        if max(up, down) > patience * (GATE - SLACK) - 1e-9:
            level, var, up, down = value, GATE**2 * S, 0.0, 0.0
            continue
        noise = total / min(1.0, GATE / abs(z)) ** 2 - ahead  # so that the innovation variance is total / weight^2
        precision = 1 / ahead + 1 / noise if noise else np.inf
        level, var = (level / ahead + value / noise) / precision, 1 / precision
    return np.array(out).T


@pytest.mark.parametrize("gain", [0.02, 0.3, 0.95])
def test_filter_equals_its_twin_through_spikes_gaps_and_shifts(gain):
    rng = np.random.default_rng(3)
    y = simulate(400, gain, 2.0)
    y[rng.random(400) < 0.1] = np.nan
    y[:3] = np.nan
    y[[50, 120]] += [80.0, -200.0]
    y[200:] += 60.0
    steps = rng.exponential(size=400)
    model = LocalLevel(np.array([gain]), np.array([4.0]))
    got, _ = local_level.run(model, local_level.start(1), y[:, None], steps, 6, full=True)
    for mine, theirs in zip(got, twin(model, y, steps, 6)):
        np.testing.assert_allclose(mine[:, 0], theirs, rtol=1e-9, atol=1e-9)


def test_within_the_gate_it_is_the_exact_conditional_distribution():
    """Expected values and variances against conditioning in the dense joint Gaussian of all readings."""
    n, gain, S = 30, 0.4, 2.5
    rng = np.random.default_rng(0)
    y = 5 + 0.5 * rng.standard_normal(n)
    y[[4, 5, 17]] = np.nan
    model = LocalLevel(np.array([gain]), np.array([S]))
    got, _ = local_level.run(model, local_level.start(1), y[:, None], np.ones(n), 10, full=True)
    # After the first reading the level is N(y[0], 9 S); later levels add independent changes.
    walk = np.minimum.outer(np.arange(1, n), np.arange(1, n)) * gain**2 * S + GATE**2 * S
    cov = walk + (1 - gain) * S * np.eye(n - 1)
    assert np.nanmax(np.abs(got.z)) < GATE
    for t in range(1, n):
        seen = np.flatnonzero(~np.isnan(y[1:t]))
        weights = np.linalg.solve(cov[np.ix_(seen, seen)], cov[seen, t - 1]) if len(seen) else np.empty(0)
        mean = y[0] + weights @ (y[1:][seen] - y[0])
        var = cov[t - 1, t - 1] - weights @ cov[seen, t - 1]
        np.testing.assert_allclose([got.expected[t, 0], got.sd[t, 0] ** 2], [mean, var], rtol=1e-12)


def test_steady_state_has_the_gain_and_variance_of_the_model():
    model = LocalLevel(np.array([0.07, 0.5, 0.9]), np.array([1.0, 4.0, 0.25]))
    y = np.zeros((2000, 3))
    out, state = local_level.run(model, local_level.start(3), y, np.ones(2000), 10, full=True)
    np.testing.assert_allclose(out.sd[-1] ** 2, model.innovation_var, rtol=1e-9)
    np.testing.assert_allclose(state.level_var / model.obs_var, model.gain, rtol=1e-9)
    np.testing.assert_allclose(model.level_var + state.level_var, model.gain * model.innovation_var, rtol=1e-9)


def test_missing_rows_are_longer_steps():
    y = simulate(60, 0.3)
    model = LocalLevel(np.array([0.3]), np.array([1.0]))
    silent = np.zeros(60, dtype=bool)
    silent[[10, 11, 12, 40]] = True
    holes = np.where(silent, np.nan, y)[:, None]
    steps = np.diff(np.flatnonzero(~silent), prepend=-1).astype(float)
    full, _ = local_level.run(model, local_level.start(1), holes, np.ones(60), 10)
    short, _ = local_level.run(model, local_level.start(1), y[~silent][:, None], steps, 10)
    np.testing.assert_allclose(full.z[~silent], short.z, rtol=1e-12)


@pytest.mark.parametrize("gain", [0.05, 0.3, 0.8])
def test_estimates_of_clean_data(gain):
    model = local_level.fit(simulate(8000, gain, 3.0, seed=1)[:, None], np.ones(8000), 10)
    np.testing.assert_allclose(model.gain, gain, rtol=0.12)
    np.testing.assert_allclose(model.innovation_var, 9.0, rtol=0.05)


@pytest.mark.parametrize("gain", [0.05, 0.3, 0.8])
def test_two_per_cent_of_gross_outliers_barely_move_the_estimates(gain):
    rng = np.random.default_rng(2)
    clean = simulate(3000, gain, seed=2)
    dirty = clean + np.where(rng.random(3000) < 0.02, rng.choice([-1, 1], 3000) * 10 ** rng.uniform(1.5, 6, 3000), 0.0)
    before, after = (local_level.fit(y[:, None], np.ones(3000), 10) for y in (clean, dirty))
    np.testing.assert_allclose(after.gain, before.gain, rtol=0.15)
    np.testing.assert_allclose(np.sqrt(after.innovation_var), np.sqrt(before.innovation_var), rtol=0.1)


def test_level_shifts_among_training_rows_are_no_noise():
    y = simulate(1000, 0.1, seed=5)
    shifted = y + 40.0 * (np.arange(1000) > 300) - 90.0 * (np.arange(1000) > 700)
    before, after = (local_level.fit(v[:, None], np.ones(1000), 10) for v in (y, shifted))
    np.testing.assert_allclose(after.gain, before.gain, rtol=0.3)
    np.testing.assert_allclose(after.innovation_var, before.innovation_var, rtol=0.2)


def test_influence_of_a_spike_is_bounded_and_falls_with_its_size():
    model = LocalLevel(np.array([0.3]), np.array([1.0]))
    _, state = local_level.run(model, local_level.start(1), np.zeros((500, 1)), np.ones(500), 10)
    sizes = np.array([0.5, 3.0, 6.0, 30.0, 1e3, 1e12, 1e300])
    moved = np.array([local_level.run(model, state, [[s]], np.ones(1), 10)[1].level[0] for s in sizes])
    np.testing.assert_allclose(moved[:2], 0.3 * sizes[:2], rtol=1e-6)
    assert (np.diff(moved[1:-1]) < 0).all()
    assert moved[-1] < 1e-6


@pytest.mark.parametrize("patience", [1, 4, 10, 25])
def test_a_level_shift_is_followed_after_exactly_patience_rows(patience):
    model = LocalLevel(np.array([0.01]), np.array([1.0]))
    y = 0.1 * np.random.default_rng(0).standard_normal((600, 1))
    y[400:] += 50.0
    z = local_level.run(model, local_level.start(1), y, np.ones(600), patience)[0].z[400:, 0]
    assert (z[:patience] > 30).all()
    assert (np.abs(z[patience:]) < 1).all()


def test_spikes_to_both_sides_and_short_excursions_are_never_followed():
    model = LocalLevel(np.array([0.05]), np.array([1.0]))
    y = np.zeros((400, 1))
    y[100:160] = 20.0 * (-1.0) ** np.arange(60)[:, None]
    y[200:209] = 20.0
    y[300:390:3] = 20.0
    out = local_level.run(model, local_level.start(1), y, np.ones(400), 10, full=True)[0]
    assert np.abs(out.expected[1:]).max() < 0.5


@given(
    scale=st.floats(1e-6, 1e6),
    offset=st.floats(-1e3, 1e3),
    sign=st.sampled_from([-1.0, 1.0]),
    seed=st.integers(0, 20),
)
@settings(max_examples=25, deadline=None)
def test_units_and_origin_do_not_matter(scale, offset, sign, seed):
    y = simulate(120, 0.3, seed=seed)[:, None]
    steps = np.ones(120)
    y[60] += 30.0
    a = local_level.fit(y, steps, 10)
    other = sign * scale * (y + offset)
    b = local_level.fit(other, steps, 10)
    np.testing.assert_allclose(b.gain, a.gain, rtol=1e-5)
    za = local_level.run(a, local_level.start(1), y, steps, 10)[0].z
    zb = local_level.run(b, local_level.start(1), other, steps, 10)[0].z
    np.testing.assert_allclose(sign * zb, za, rtol=1e-4, atol=1e-5)


def test_sensors_do_not_touch_each_other_and_pieces_equal_the_whole():
    rng = np.random.default_rng(1)
    y = np.column_stack([simulate(300, g, seed=i) for i, g in enumerate((0.05, 0.5, 0.9))])
    y[rng.random(y.shape) < 0.2] = np.nan
    y[150:, 1] += 40.0
    steps = rng.exponential(size=300)
    model = local_level.fit(y, steps, 10)
    start = local_level.start(3)
    whole, end = local_level.run(model, start, y, steps, 10)
    for i in range(3):
        one = local_level.fit(y[:, [i]], steps, 10)
        alone, _ = local_level.run(one, local_level.start(1), y[:, [i]], steps, 10)
        np.testing.assert_array_equal(alone.z[:, 0], whole.z[:, i])
    state, parts = start, []
    for part in np.split(np.arange(300), [1, 2, 100, 170]):
        out, state = local_level.run(model, state, y[part], steps[part], 10)
        parts.append(out.z)
    np.testing.assert_array_equal(np.concatenate(parts), whole.z)
    for a, b in zip(state, end):
        np.testing.assert_array_equal(a, b)
    assert np.isinf(start.level_var).all(), "a run leaves the state it was given as it is"


def test_sensors_that_hardly_ever_move():
    """Constant, mostly constant and two-valued sensors have a finite scale; what never happened is far off."""
    rng = np.random.default_rng(0)
    rare = np.where(rng.random(500) < 0.05, 1.0, 0.0)
    y = np.column_stack([np.full(500, 7.0), np.zeros(500), rare, np.full(500, 0.1)])
    y[[100, 300], 3] = 1e6
    model = local_level.fit(y, np.ones(500), 10)
    assert np.isfinite(model.innovation_var).all()
    assert (model.innovation_var > 0).all()
    assert ((model.gain > 0) & (model.gain < 1)).all()
    out, state = local_level.run(model, local_level.start(4), y, np.ones(500), 10)
    np.testing.assert_array_equal(out.z[1:, :2], 0.0)
    z = local_level.run(model, state, [[7.001, 1e-3, 0.0, 0.2]], np.ones(1), 10)[0].z[0]
    assert z[0] > 1e4
    assert z[1] > 1e4
    assert abs(z[2]) < 3


def test_too_few_readings_are_refused_by_name():
    y = np.random.default_rng(0).normal(size=(20, 2))
    y[2:, 1] = np.nan
    with pytest.raises(TooShortError, match=r"Sensor 1 has 2 reading\(s\).*at least 3"):
        local_level.fit(y, np.ones(20), 10)


def test_one_kernel_serves_every_kind_of_array():
    model = LocalLevel(np.array([0.3, 0.2]), np.array([1.0, 1.0]))
    y = np.random.default_rng(0).normal(size=(20, 2))
    frozen = y.copy()
    frozen.setflags(write=False)
    for rows in (y, np.asfortranarray(y), frozen, np.repeat(y, 2, axis=1)[:, ::2]):
        out, _ = local_level.run(model, local_level.start(2), rows, np.ones(20), 10)
        np.testing.assert_array_equal(out.z, local_level.run(model, local_level.start(2), y, np.ones(20), 10)[0].z)
    assert len(local_level._run.signatures) == 1
