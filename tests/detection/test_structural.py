"""Structural models of sensors: the same filter as local levels where both apply, seasons, gaps, robust estimates."""

import numpy as np
import pandas as pd
import pytest

from ssmts import InnovationDetector, Naive, StructuralForecaster, load, save
from ssmts.detection import local_level, structural
from ssmts.detection.local_level import LocalLevel
from ssmts.detection.robust import GATE
from ssmts.exceptions import InputError, TooShortError

LEVEL = StructuralForecaster(trend="local_level")
SEASON = StructuralForecaster(trend="local_level", season_length=12)


def seasonal(n, seed=0, noise=0.3):
    rng = np.random.default_rng(seed)
    level = 20 + np.cumsum(rng.normal(0, 0.03, n))
    return level + 3 * np.sin(2 * np.pi * np.arange(n) / 12) + noise * rng.standard_normal(n)


def test_a_structural_local_level_filters_as_a_local_level():
    rng = np.random.default_rng(1)
    gain, S = 0.3, 2.0
    y = np.cumsum(rng.normal(size=400) * gain * np.sqrt(S)) + rng.normal(size=400) * np.sqrt((1 - gain) * S)
    y[50] += 40.0
    y[100:104] = np.nan
    y[250:] += 25.0
    template = StructuralForecaster(trend="local_level", fix={"obs_var": (1 - gain) * S, "level_var": gain**2 * S})
    unit = template.fit(y).units_[0]
    model = structural.Structural((unit,), (structural.prior(unit),), (structural._direction(unit),))
    steps = np.ones(400)
    mine, _ = structural.run(model, structural.start(model), y[:, None], steps, 7, full=True)
    other, _ = local_level.run(
        LocalLevel(np.array([gain]), np.array([S])), local_level.start(1), y[:, None], steps, 7, full=True
    )
    # They open differently, at the first row and after the shift, and then agree again.
    for part in (slice(40, 257), slice(300, 400)):
        for a, b in zip(mine, other):
            np.testing.assert_allclose(a[part], b[part], rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize("trend", ["local_level", "local_linear", "smooth", "damped", "fixed"])
def test_direction_of_a_shift_moves_all_later_rows_by_one(trend):
    unit = StructuralForecaster(trend=trend, season_length=12).fit(seasonal(80)).units_[0]
    direction = structural._direction(unit)
    ssm = structural.ready(unit.components, unit.parameters)[1].ssm
    state = direction.copy()
    for _ in range(30):
        np.testing.assert_allclose(ssm.observation @ state, [1.0], atol=1e-8)
        state = ssm.transition @ state


def test_gross_errors_among_training_rows_barely_move_the_model():
    rng = np.random.default_rng(2)
    clean = seasonal(600, seed=2)
    dirty = clean.copy()
    at = rng.choice(600, 12, replace=False)
    dirty[at] += rng.choice([-1, 1], 12) * 10 ** rng.uniform(1, 5, 12)
    before, after = (structural.fit(SEASON, y[:, None], np.ones(600), 10).units[0] for y in (clean, dirty))
    np.testing.assert_allclose(np.sqrt(after.parameters[0]), np.sqrt(before.parameters[0]), rtol=0.1)
    fitted = StructuralForecaster(trend="local_level", season_length=12).fit(dirty).units_[0]
    assert fitted.parameters[0] > 100 * before.parameters[0], "the likelihood alone is moved"


def test_a_season_is_expected_and_a_shift_forgotten_after_patience_rows():
    X = seasonal(720, seed=3)
    detector = InnovationDetector(SEASON, false_alarm_rate=1e-4, patience=6).fit(X[:600, None])
    news = X[600:, None].copy()
    news[30] += 3.0
    news[60:] += 10.0
    news[100] -= 3.0
    told = detector.explain(news)
    alarms = np.flatnonzero(detector.predict(news) == -1)
    assert {30, 100} <= set(alarms)
    assert set(alarms) <= {30, 100} | set(range(60, 67))
    steady = np.r_[:60, 80:120]
    truth = (X[600:] + np.where(np.arange(120) >= 60, 10.0, 0.0))[steady]
    assert np.abs(told.expected.to_numpy()[steady] - truth).max() < 1.5
    flat = InnovationDetector(false_alarm_rate=1e-4).fit(X[:600, None])
    assert flat.predict(news)[30] == 1, "a local level cannot tell this fault from the season"


def test_stream_equals_batch_and_survives_saving(tmp_path):
    X = np.column_stack([seasonal(300, seed=4), seasonal(300, seed=5)])
    X[np.random.default_rng(0).random(X.shape) < 0.1] = np.nan
    detector = InnovationDetector(SEASON).fit(X[:240])
    scores = detector.score_samples(X[240:])
    assert np.isfinite(scores).all()
    save(detector, tmp_path / "detector.ssmts")
    for streaming in (detector, load(tmp_path / "detector.ssmts")):
        stream = np.concatenate([streaming.update(row[None]) for row in X[240:]])
        np.testing.assert_allclose(stream, scores, rtol=1e-10, atol=1e-12)


def test_absent_rows_keep_the_phase_of_the_season():
    X = pd.DataFrame({"flow": seasonal(400, seed=6)}, index=pd.date_range("2024-01-01", periods=400, freq="h"))
    gone = np.zeros(400, dtype=bool)
    gone[305:345] = gone[360] = True
    detector = InnovationDetector(SEASON).fit(X[:300])
    holes = detector.explain(X[300:].mask(gone[300:, None]))
    short = detector.explain(X[300:][~gone[300:]])
    np.testing.assert_allclose(short.expected, holes.expected[~gone[300:]], rtol=1e-9)
    jittered = X[300:][~gone[300:]]
    jittered.index = jittered.index + pd.to_timedelta(
        np.random.default_rng(0).uniform(-900, 900, len(jittered)), unit="s"
    )
    np.testing.assert_allclose(detector.explain(jittered).expected, short.expected, rtol=1e-9)


def test_models_that_cannot_serve_are_refused():
    y = seasonal(100)[:, None]
    with pytest.raises(InputError, match="target_transform"):
        InnovationDetector(StructuralForecaster(target_transform=object())).fit(y)
    with pytest.raises(InputError, match="has no level"):
        InnovationDetector(StructuralForecaster(trend="none", autoregressive=1)).fit(y)
    with pytest.raises(TypeError, match="StructuralForecaster; received Naive"):
        InnovationDetector(Naive()).fit(y)
    with pytest.raises(TooShortError, match="Sensor 'a'"):
        InnovationDetector(SEASON).fit(pd.DataFrame({"a": y[:8, 0]}))


def test_readings_that_follow_the_model_exactly():
    """Errors of rounding are no noise to learn from, and whatever else comes is an alarm."""
    X = np.tile([1.0, 2.0, 3.0, 4.0], 30)[:, None]
    detector = InnovationDetector(
        StructuralForecaster(trend="local_level", season_length=4), false_alarm_rate=1e-3
    ).fit(X)
    news = X[:8].copy()
    news[5] += 0.01
    np.testing.assert_array_equal(np.flatnonzero(detector.predict(news) == -1), [5])


def test_a_spike_has_bounded_influence():
    X = seasonal(300, seed=7)[:, None]
    model = structural.fit(LEVEL, X, np.ones(300), 10)
    _, state = structural.run(model, structural.start(model), X, np.ones(300), 10)
    expected = []
    for size in (0.0, 1e2, 1e4, 1e8):
        _, after = structural.run(model, state, X[-1:] + size, np.ones(1), 10)
        expected.append(structural.run(model, after, X[-1:], np.ones(1), 10, full=True)[0].expected[0, 0])
    assert np.abs(np.diff(expected)).max() < GATE * np.std(np.diff(X[:, 0]))
    np.testing.assert_allclose(expected[-1], expected[-2], atol=1e-2)
