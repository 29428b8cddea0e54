"""What is usual of sensors: against another package's robust regression, against what was put in, and whatever a few readings are."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy.stats import norm

from ssmts.datasets import make_sensors
from ssmts.detection._episodes import CLIP, CLIPPED_VAR
from ssmts.detection.usual import MAD, _fit, clock, learn, waves
from ssmts.exceptions import InputError

DAYS = pd.date_range("2024-03-01", periods=4 * 288, freq="5min")


def cycle(n_sensors=2, seed=0):
    rng = np.random.default_rng(seed)
    angle = 2 * np.pi * np.arange(len(DAYS))[:, None] / 288
    return 20 + 4 * np.sin(angle + np.arange(n_sensors)) + rng.normal(size=(len(DAYS), n_sensors))


def test_the_fit_is_hubers_regression():
    times = clock(DAYS, len(DAYS))
    design = waves(times, 2 * np.pi / 86400)
    rng = np.random.default_rng(1)
    y = design @ [20.0, 3.0, -1.0, 0.5, 0.2] + rng.standard_t(2, size=len(DAYS))
    other = sm.RLM(y, design, M=sm.robust.norms.HuberT(1.345)).fit(scale_est=lambda r: MAD * np.median(np.abs(r)))
    np.testing.assert_allclose(_fit(y[:, None], design)[0], other.params, atol=1e-3)


def test_constants():
    x = np.linspace(-12, 12, 400_001)
    assert np.trapezoid(np.minimum(x**2, CLIP**2) * norm.pdf(x), x) == pytest.approx(CLIPPED_VAR, abs=1e-6)
    assert 1 / norm.ppf(0.75) == pytest.approx(MAD, abs=1e-9)


def test_cycle_scale_and_noise_are_those_put_in():
    usual = learn(cycle(), DAYS)
    assert usual.pulse == pytest.approx(2 * np.pi / 86400)
    np.testing.assert_allclose(usual.coef[:, 0], 20, atol=0.2)
    np.testing.assert_allclose(np.hypot(usual.coef[:, 1], usual.coef[:, 2]), 4, atol=0.2)
    np.testing.assert_allclose(usual.scale, 1, rtol=0.1)
    np.testing.assert_allclose(usual.noise, 1, rtol=0.1)
    np.testing.assert_allclose(
        usual.short_scale, 0.5, rtol=0.1
    )  # sqrt(.25 / 1.75) is .38, but not below half the noise
    assert (usual.interval, usual.gap.tolist(), usual.run.tolist()) == (300.0, [300.0, 300.0], [1.0, 1.0])


def test_no_cycle_where_there_is_none():
    rng = np.random.default_rng(0)
    assert learn(rng.normal(size=(len(DAYS), 3)), DAYS).pulse == 0
    assert learn(cycle(), DAYS, season=None).pulse == 0
    assert learn(cycle()[:288], DAYS[:288]).pulse == 0  # one day tells of no cycle


@pytest.mark.parametrize("season", ["24h", pd.Timedelta(days=1), 288])
def test_a_season_is_a_time_or_a_number_of_rows(season):
    assert learn(cycle(), DAYS, season).pulse == pytest.approx(2 * np.pi / 86400)
    assert learn(cycle(), None, 288).pulse == pytest.approx(2 * np.pi / 288)
    with pytest.raises(InputError, match="positive length"):
        learn(cycle(), None, -5)


def test_a_few_readings_may_be_anything():
    values, rng = cycle(), np.random.default_rng(2)
    before = learn(values, DAYS)
    bad = rng.random(values.shape) < 0.04
    values[bad] = 1e6
    values[rng.random(values.shape) < 0.1] = np.nan
    after = learn(values, DAYS)
    np.testing.assert_allclose(after.coef, before.coef, atol=0.3)
    np.testing.assert_allclose(after.scale, before.scale, rtol=0.25)
    np.testing.assert_allclose(after.noise, before.noise, rtol=0.25)


def test_the_range_holds_on_rows_that_were_not_seen():
    """With loads that wander, residuals of the fitted rows would promise a range that later rows leave."""
    held = []
    for seed in range(20):
        X = make_sensors(2000, 4, faults=[], random_state=seed).data
        usual = learn(X[:667].to_numpy(), X.index[:667])
        later = X[667:].to_numpy() - waves(clock(X.index[667:], 1333), usual.pulse) @ usual.coef.T
        held.append(np.mean(np.abs(later) < 3 * usual.scale))
    assert np.mean(held) > 0.985


def test_units_move_what_is_told_with_them():
    values, unit, offset = cycle(), np.array([1e9, 1e-6]), np.array([5e9, -3e-6])
    one, other = learn(values, DAYS), learn(values * unit + offset, DAYS)
    for name in ("scale", "short_scale", "noise"):
        np.testing.assert_allclose(getattr(other, name), getattr(one, name) * unit, rtol=1e-6)
    np.testing.assert_allclose(other.coef[:, 1:], one.coef[:, 1:] * unit[:, None], rtol=1e-4, atol=1e-10)


def test_silences_and_runs():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(2000, 3))
    values[np.arange(2000) % 5 > 0, 0] = np.nan  # speaks every fifth row
    values[:, 1] = np.repeat(rng.normal(size=100), 20)  # every value twenty times
    values[:, 2] = 7.0
    usual = learn(values, None)
    assert usual.gap.tolist() == [5.0, 1.0, 1.0]
    assert usual.run[1] == pytest.approx(20, abs=1)
    assert usual.run[2] == 2000
    assert (usual.scale > 0).all()
