"""Online-learnt autoregressions against weighted least squares, statsmodels, a dense joint Gaussian and a plain twin."""

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from ssmts import Autoregressive, InnovationDetector, load, save
from ssmts.detection import autoregressive
from ssmts.detection.autoregressive import FAR, AutoregressiveModel
from ssmts.detection.robust import GATE, SLACK
from ssmts.exceptions import InputError, TooShortError

COEF = (1.2, -0.5, 0.1)


def simulate(n, coef=COEF, sd=1.0, level=0.0, seed=0):
    """A stationary autoregression about a level."""
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal(n + 200) * sd
    y = np.zeros(n + 200)
    for t in range(len(coef), n + 200):
        y[t] = np.dot(coef, y[t - len(coef) : t][::-1]) + noise[t]
    return level + y[200:]


def model_of(order, forgetting=1.0, center=0.0, scale=1.0):
    return AutoregressiveModel(order, forgetting, np.array([center]), np.array([scale]))


def covariance(state, i=0):
    U = np.tril(state.factor[i], -1).T + np.eye(len(state.factor[i]))
    return U @ np.diag(np.diag(state.factor[i])) @ U.T


def regression(u, p):
    """Rows (1, last p readings) and targets."""
    return np.column_stack([np.ones(len(u) - p), *(u[p - k - 1 : -k - 1] for k in range(p))]), u[p:]


def run(model, state, y, patience=10, full=False, steps=None):
    y = np.asarray(y, dtype=float).reshape(len(y), -1)
    return autoregressive.run(model, state, y, np.ones(len(y)) if steps is None else steps, patience, full=full)


def twin(model, y, patience):
    """The filter of one sensor, written out with full covariances: expected, sd and z of every row."""
    p, lam, s = model.order, model.forgetting, model.scale[0]
    theta, P = np.eye(1 + p)[1], np.eye(1 + p)
    center, lags, C, seen = model.center[0], None, None, 0
    up = down = unrest = 0.0
    out = []
    for value in y:
        u = (value - center) / s
        if lags is None:
            out.append((np.nan, np.nan, np.nan))
            if not np.isnan(value):
                lags, C, seen = np.full(p, u), GATE**2 * np.diag(np.arange(p) > 0).astype(float), 1
            continue
        x, b = np.append(1.0, lags), theta[1:]
        aged = lam if np.trace(P) <= lam * (1 + p) else 1.0
        own = x @ P @ x / aged
        S = 1 + own + b @ C @ b
        mean = x @ theta
        z = (u - mean) / np.sqrt(S)
        out.append((center + s * mean, s * np.sqrt(S), z))
        # Lags and the new reading jointly, the reading seen with noise.
        joint = np.block([[np.array([[S]]), (C @ b)[None]], [(C @ b)[:, None], C]])
        place = np.append(mean, lags)
        w = 0.0 if np.isnan(value) else min(1.0, GATE / abs(z)) ** 2
        if not np.isnan(value):
            up = max(0.0, up + np.clip(z, -GATE, GATE) - SLACK)
            down = max(0.0, down - np.clip(z, -GATE, GATE) - SLACK)
            unrest = max(0.0, unrest + min(abs(z), GATE) - 2)
            if max(up, down) > patience * 2 - 1e-9:
                up, down, unrest = 0.0, 0.0, patience / 2
                center = value - s * mean
                P = P + GATE**2 * np.outer(np.eye(1 + p)[0], np.eye(1 + p)[0])
                joint[0] = joint[:, 0] = 0.0
                w = 0.0
            elif unrest > patience - 1e-9:
                up = down = unrest = 0.0
                P = np.eye(1 + p)
                lags, C, seen = np.full(p, u), GATE**2 * np.diag(np.arange(p) > 0).astype(float), 1
                continue
            else:
                if seen >= p:
                    K = P @ x / aged / (S / w)
                    theta, P = theta + K * (u - mean), P / aged - np.outer(K, P @ x / aged)
                gain = joint[:, 0] * w / S
                place = place + gain * (u - mean)
                joint = joint - np.outer(gain, joint[0])
        lags, C, seen = place[:p], joint[:p, :p], seen + 1
    return np.array(out).T


# the regression ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("forgetting", [1.0, 0.995, 0.98])
@pytest.mark.parametrize("order", [1, 3, 8])
def test_coefficients_are_those_of_weighted_least_squares(order, forgetting):
    y = simulate(400, sd=0.3)  # a third of the noise that the model has: no innovation reaches the gate
    start = autoregressive.start(model_of(order))
    start = start._replace(factor=start.factor / 4)  # more is known than what forgetting is to leave
    _, state = run(model_of(order, forgetting), start, y)
    X, target = regression(y, order)
    weight = forgetting ** np.arange(len(target) - 1, -1, -1.0)
    prior = 2 * np.sqrt(forgetting ** len(target)) * np.eye(1 + order)
    A = np.vstack([prior, np.sqrt(weight)[:, None] * X])
    b = np.append(prior[:, 1], np.sqrt(weight) * target)
    np.testing.assert_allclose(state.coef[0], np.linalg.lstsq(A, b, rcond=None)[0], rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(covariance(state), np.linalg.inv(A.T @ A), rtol=1e-8, atol=1e-12)


def test_innovations_are_the_recursive_residuals_of_statsmodels():
    """With the prior as the first rows of its regression, RecursiveLS has the same coefficients and residuals."""
    p, y = 4, simulate(300, sd=0.3, seed=1)
    out, state = run(model_of(p), autoregressive.start(model_of(p)), y)
    X, target = regression(y, p)
    theirs = sm.RecursiveLS(np.append(np.eye(1 + p)[1], target), np.vstack([np.eye(1 + p), X])).fit()
    coefficients = theirs.recursive_coefficients.filtered
    np.testing.assert_allclose(state.coef[0], coefficients[:, -1], rtol=1e-6, atol=1e-8)
    # Theirs are divided by the residual scale of the whole sample.
    residuals = theirs.resid_recursive[1 + p :]
    np.testing.assert_allclose(out.z[p:, 0], residuals, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("patience", [3, 8])
@pytest.mark.parametrize(("order", "forgetting"), [(1, 0.99), (4, 0.98), (8, 0.999)])
def test_filter_equals_its_twin_through_spikes_gaps_and_shifts(order, forgetting, patience):
    rng = np.random.default_rng(3)
    y = simulate(500, sd=2.0, level=50.0, seed=2)
    y[rng.random(500) < 0.1] = np.nan
    y[:2] = np.nan
    y[[60, 150]] += [80.0, -300.0]
    y[220:] += 90.0
    y[330:360:2] -= 150.0
    y[331:360:2] += 130.0
    model = model_of(order, forgetting, center=40.0, scale=2.0)
    got, _ = run(model, autoregressive.start(model), y, patience, full=True)
    for mine, theirs in zip(got, twin(model, y, patience)):
        np.testing.assert_allclose(mine[:, 0], theirs, rtol=1e-7, atol=1e-7)


def test_what_is_not_read_is_conditioned_on_the_rest():
    """With coefficients known, expected values and variances against conditioning in the dense joint Gaussian."""
    n, p = 30, 3
    model = model_of(p)
    past, y = simulate(50, sd=0.4, seed=4), simulate(n, sd=0.4, seed=5)
    state = run(model, autoregressive.start(model), past)[1]
    coef = np.array([[0.3, *COEF]])
    state = state._replace(coef=coef, factor=np.zeros_like(state.factor))
    y[[3, 4, 5, 6, 11, 13, 20, 21]] = np.nan
    got = run(model, state, y, full=True)[0]
    assert np.nanmax(np.abs(got.z)) < GATE
    # Rows solve L y = a + lags' part + e with a unit lower triangular L.
    L = np.eye(n)
    for k, b in enumerate(COEF, start=1):
        L -= b * np.eye(n, k=-k)
    carried = np.array([sum(b * past[t - k] for k, b in enumerate(COEF, start=1) if t < k) for t in range(n)])
    mean, cov = np.linalg.solve(L, 0.3 + carried), np.linalg.inv(L) @ np.linalg.inv(L).T
    for t in range(n):
        seen = np.flatnonzero(~np.isnan(y[:t]))
        weights = np.linalg.solve(cov[np.ix_(seen, seen)], cov[seen, t]) if len(seen) else np.empty(0)
        expected, var = mean[t] + weights @ (y[seen] - mean[seen]), cov[t, t] - weights @ cov[seen, t]
        np.testing.assert_allclose([got.expected[t, 0], got.sd[t, 0] ** 2], [expected, var], rtol=1e-9, atol=1e-9)


def test_gaps_of_the_clock_are_rows_without_reading():
    y = simulate(300, seed=6)
    silent = np.zeros(300, dtype=bool)
    silent[[40, 41, 42, 100, 200, 201]] = True
    steps = np.diff(np.flatnonzero(~silent), prepend=-1).astype(float)
    model = model_of(4, 0.99)
    full, _ = run(model, autoregressive.start(model), np.where(silent, np.nan, y))
    short, _ = run(model, autoregressive.start(model), y[~silent], steps=steps)
    np.testing.assert_allclose(full.z[~silent], short.z, rtol=1e-12)


def test_a_row_without_target_teaches_nothing():
    model = model_of(3, 0.98)
    state = run(model, autoregressive.start(model), simulate(200, seed=7))[1]
    after = run(model, state, [np.nan, np.nan])[1]
    np.testing.assert_array_equal(after.coef, state.coef)
    np.testing.assert_array_equal(after.factor, state.factor)


def test_the_origin_is_no_matter():
    """Moving it changes no prediction: a sensor that climbs a million standard deviations is predicted like one that does not."""
    model = model_of(2, 0.99)
    slope, noise = 3.0 * np.arange(20000), np.cumsum(np.random.default_rng(8).standard_normal(20000))
    climbing = run(model, autoregressive.start(model), noise + slope)[0].z
    again = run(model, autoregressive.start(model), noise + slope + 5 * FAR)[0].z
    assert abs(np.std(climbing[5000:]) - 1) < 0.05
    np.testing.assert_allclose(again[5000:], climbing[5000:], rtol=1e-5, atol=1e-5)


# the estimate of the noise ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("dirty", [False, True])
def test_the_noise_of_training_rows_with_and_without_outliers(dirty):
    rng = np.random.default_rng(10)
    y = simulate(3000, sd=5.0, level=1e4, seed=10)
    if dirty:
        y += np.where(rng.random(3000) < 0.02, rng.choice([-1, 1], 3000) * 10 ** rng.uniform(2.5, 6, 3000), 0.0)
    model = autoregressive.fit(Autoregressive(), y[:, None], np.ones(3000), 10)
    np.testing.assert_allclose(model.scale, 5.0, rtol=0.1 if dirty else 0.04)


@given(
    scale=st.floats(1e-6, 1e6), offset=st.floats(-1e3, 1e3), sign=st.sampled_from([-1.0, 1.0]), seed=st.integers(0, 9)
)
@settings(max_examples=20, deadline=None)
def test_units_and_origin_do_not_matter(scale, offset, sign, seed):
    y = simulate(200, seed=seed)[:, None]
    y[[100, 130]] += [[30.0], [np.nan]]
    one, other = y, sign * scale * (y + offset)
    z = []
    for rows in (one, other):
        model = autoregressive.fit(Autoregressive(order=3), rows, np.ones(200), 10)
        z.append(run(model, autoregressive.start(model), rows)[0].z)
    np.testing.assert_allclose(sign * z[1], z[0], rtol=1e-4, atol=1e-5)


def test_sensors_do_not_touch_each_other_and_pieces_equal_the_whole():
    rng = np.random.default_rng(1)
    y = np.column_stack([simulate(400, seed=i, level=10.0**i) for i in range(3)])
    y[rng.random(y.shape) < 0.1] = np.nan
    y[200:, 1] += 40.0
    steps = np.where(rng.random(400) < 0.1, 3.0, 1.0)
    model = autoregressive.fit(Autoregressive(order=4), y, steps, 10)
    start = autoregressive.start(model)
    whole, end = autoregressive.run(model, start, y, steps, 10)
    for i in range(3):
        one = autoregressive.fit(Autoregressive(order=4), y[:, [i]], steps, 10)
        alone, _ = autoregressive.run(one, autoregressive.start(one), y[:, [i]], steps, 10)
        np.testing.assert_array_equal(alone.z[:, 0], whole.z[:, i])
    state, parts = start, []
    for part in np.split(np.arange(400), [1, 2, 100, 170]):
        out, state = autoregressive.run(model, state, y[part], steps[part], 10)
        parts.append(out.z)
    np.testing.assert_array_equal(np.concatenate(parts), whole.z)
    for a, b in zip(state, end):
        np.testing.assert_array_equal(a, b)
    assert (start.seen == -1).all(), "a run leaves the state it was given as it is"


# the stream -------------------------------------------------------------------------------------------------------


def test_a_spike_alarms_once_and_a_shift_for_patience_rows():
    y = simulate(2600, (0.6, 0.2), seed=11)
    y[2100] += 1e6
    y[2300:] += 50.0
    z = run(model_of(8, 0.999), autoregressive.start(model_of(8)), y)[0].z[:, 0]
    far = np.flatnonzero(np.abs(z[2000:]) > 5)
    assert far.tolist() == [100, *range(300, 310)]


@pytest.mark.parametrize("period", [25.0, 7.0, 40.0])
def test_a_new_rhythm_is_learnt(period):
    """A periodic sensor changes its period and phase: no prediction fits, then the new one is followed as well."""
    t = np.arange(3000.0)
    y = 100 * np.sin(t / 16) + np.random.default_rng(12).standard_normal(3000)
    y[2000:] += 100 * np.sin(2 * np.pi * t[2000:] / period) - 100 * np.sin(t[2000:] / 16)
    model = autoregressive.fit(Autoregressive(), y[:1500, None], np.ones(1500), 10)
    z = run(model, autoregressive.start(model), y)[0].z[:, 0]
    assert np.abs(z[2000:2010]).max() > 5
    assert np.abs(z[2100:]).max() < 6
    assert np.std(z[2300:]) < 1.5


def test_coefficients_that_change_are_followed():
    y = np.concatenate([simulate(3000, (0.8,), seed=13), simulate(6000, (-0.8,), seed=14)])
    model = model_of(2, 0.99)
    state = run(model, autoregressive.start(model), y)[1]
    np.testing.assert_allclose(state.coef[0, 1:], [-0.8, 0.0], atol=0.25)
    gentle = np.concatenate([simulate(3000, (0.3,), seed=13), simulate(3000, (-0.3,), seed=14)])
    kept = run(model_of(2, 1.0), autoregressive.start(model), gentle)[1]
    np.testing.assert_allclose(kept.coef[0, 1], 0.0, atol=0.1)


def test_millions_of_constant_rows_and_then_news():
    """Nothing grows without bound where nothing is to be learnt, and the sensor is as ready as it was."""
    model = model_of(8, 0.99, center=7.0, scale=0.5)
    state = run(model, autoregressive.start(model), 7 + 0.5 * simulate(500, sd=0.5, seed=15))[1]
    flat = np.full((1_000_000, 1), 9.0)
    for _ in range(2):
        out, state = run(model, state, flat)
        assert np.abs(out.z[100:]).max() < 0.1
    P = covariance(state)
    assert 0 < np.trace(P) < 2 * 9 / 0.99
    assert np.linalg.eigvalsh(P).min() > 0
    z = run(model, state, 7 + 0.5 * simulate(2000, seed=16))[0].z
    assert np.isfinite(z).all()
    assert abs(np.std(z[500:]) - 1) < 0.1


def test_values_of_a_billion_and_gaps_without_end():
    y = 1e9 + 1e9 * simulate(600, seed=17)
    model = autoregressive.fit(Autoregressive(), y[:500, None], np.ones(500), 10)
    state = run(model, autoregressive.start(model), y[:500])[1]
    out, after = run(model, state, y[500:], steps=np.append(1e12, np.ones(99)), full=True)
    assert np.abs(out.z).max() < 5
    assert all(np.isfinite(field).all() for field in after)
    explosive = state._replace(coef=np.tile([[0.0, 1.5] + [0.0] * 7], (1, 1)))
    out, after = run(model, explosive, y[500:], steps=np.append(1000.0, np.ones(99)), full=True)
    assert np.isnan(out.z[0, 0]), "a prediction that has left every bound is none"
    assert np.isfinite(out.z[1:]).all()
    spikes = y[500:].copy()
    spikes[::7] = 1e300
    assert np.isfinite(run(model, state, spikes)[0].z).all()


def test_sensors_that_hardly_ever_move():
    rng = np.random.default_rng(18)
    rare = np.where(rng.random(500) < 0.05, 1.0, 0.0)
    y = np.column_stack([np.full(500, 7.0), np.zeros(500), rare, np.full(500, 0.1)])
    y[[100, 300], 3] = 1e6
    model = autoregressive.fit(Autoregressive(order=2), y, np.ones(500), 10)
    assert np.isfinite(model.scale).all()
    assert (model.scale > 0).all()
    state = autoregressive.run(model, autoregressive.start(model), y, np.ones(500), 10)[1]
    z = run(model, state, np.array([[7.001, 1e-3, 0.0, 0.2]]))[0].z[0]
    assert (z[[0, 1]] > 1e4).all()
    assert abs(z[2]) < 3


# the detector -----------------------------------------------------------------------------------------------------


def test_p_values_of_fresh_rows_are_uniform():
    X = np.column_stack([simulate(24000, seed=19), simulate(24000, (0.5, 0.3), sd=7.0, level=100.0, seed=20)])
    p = np.exp(InnovationDetector("autoregressive").fit(X[:20000]).update(X[20000:]))
    assert stats.kstest(p, "uniform").pvalue > 0.01


def test_rows_alarm_as_often_as_asked():
    rate, X = 1e-3, simulate(160_000, seed=21)[:, None]
    detector = InnovationDetector("autoregressive", false_alarm_rate=rate).fit(X[:10_000])
    assert rate / 2 < np.mean(detector.update(X[10_000:]) < detector.offset_) < 2 * rate


def test_saved_and_loaded_midway(tmp_path):
    X = simulate(500, seed=22)[:, None]
    X[250:255] = np.nan
    detector = InnovationDetector(Autoregressive(order=3, forgetting=0.99)).fit(X[:300])
    detector.update(X[300:400])
    save(detector, tmp_path / "detector.ssmts")
    again = load(tmp_path / "detector.ssmts")
    assert again.model == detector.model
    np.testing.assert_array_equal(again.update(X[400:]), detector.update(X[400:]))


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (Autoregressive(order=0), "order must be"),
        (Autoregressive(order=2.5), "order must be"),
        (Autoregressive(forgetting=0.0), "forgetting must be"),
        (Autoregressive(forgetting=1.01), "forgetting must be"),
    ],
)
def test_settings_are_checked(spec, message):
    with pytest.raises(InputError, match=message):
        InnovationDetector(spec).fit(np.zeros((50, 1)))


def test_too_few_readings_are_refused_by_name():
    y = np.random.default_rng(0).normal(size=(40, 2))
    y[10:, 1] = np.nan
    with pytest.raises(TooShortError, match=r"Sensor 1 has 10 reading\(s\).*order 8 needs at least 11"):
        InnovationDetector("autoregressive").fit(y)
