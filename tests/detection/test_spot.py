"""Streaming peaks over threshold: rates, faults that are not learnt, changes that are, and a slow twin of the recursion."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.base import clone

from ssmts import DriftSpot, Spot
from ssmts.detection.calibration import SHAPE_MEAN, TAIL, calibrate, largest_trusted, log_p_values
from ssmts.detection.pareto import fit_pareto
from ssmts.detection.spot import PRECISION, REJECTED, RENEWED, WEAR

KINDS = {"spot": Spot(), "drift": DriftSpot()}
LEVEL = np.log(1e-3)


def nominal(z):
    return -np.log(2) - stats.norm.logsf(np.abs(z))


def clean(n, df=np.inf, seed=0, columns=1):
    law = stats.norm() if df == np.inf else stats.t(df)
    return nominal(law.rvs((n, columns), random_state=seed))


def slow(calibrator, calibration, training, scores, top):
    """SPOT with lists: the log p-values of scores that follow the training scores."""
    t = calibration.threshold[0]
    trusted = training[training <= top]
    peaks = [1.0, *(trusted[trusted > t] - t)][-calibrator.max_peaks :]
    peaks[0] = 1.0
    share, seen = (np.sum(trusted > t) + 1) / (len(trusted) + 1), min(len(trusted), calibrator.max_peaks / TAIL)
    shape, scale = calibration.shape[0], calibration.scale[0]
    truncated, fresh, evidence, out = 0, 0, 0.0, []
    for score in scores:
        above = share * (1 - REJECTED) + REJECTED
        if score > t:
            out.append(np.log(above) + stats.genpareto(shape, scale=scale).logsf(score - t))
        else:
            body = log_p_values(calibration, np.array([[score]]))[0, 0]
            out.append(body * np.log(above) / calibration.log_share[0])
        strange = out[-1] < np.log(REJECTED)
        evidence = evidence + 1 if strange else max(evidence - WEAR, 0)
        if strange and evidence < calibrator.patience:
            continue
        if strange:
            evidence, peaks, truncated, fresh, seen = 0, [], 0, 0, min(seen, calibrator.patience)
        seen = min(seen + 1, calibrator.max_peaks / TAIL)
        share += ((score > t) - share) / seen
        if score > t:
            peaks = [*peaks, score - t][-calibrator.max_peaks :]
            truncated, fresh = min(truncated + 1, calibrator.max_peaks), fresh + 1
            if fresh * RENEWED >= len(peaks):
                fresh, above = 0, share * (1 - REJECTED) + REJECTED
                part = min(REJECTED / above, 0.5)
                cut = stats.genpareto(shape, scale=scale).isf(min(REJECTED / above, 1.0))
                shape, scale = fit_pareto(
                    np.array(peaks), cut, truncated * part / (1 - part), SHAPE_MEAN, PRECISION, shape, scale
                )
    return np.array(out)


@pytest.mark.parametrize("max_peaks", [40, 500])
def test_recursion_is_that_of_its_slow_twin(max_peaks):
    calibrator = Spot(max_peaks=max_peaks, patience=5)
    training, scores = clean(700, 4), clean(2500, 4, seed=1)
    scores[1000:1050] += 40.0
    model, state = calibrator.learn(training, 0.01, 1e-3)
    got = calibrator.run(model, state, scores)[0][:, 0]
    calibration = calibrate(training, 0.01)
    top = largest_trusted(training, 0.01)[0]
    np.testing.assert_allclose(got, slow(calibrator, calibration, training[:, 0], scores[:, 0], top), rtol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n", [100, 1000, 10000])
@pytest.mark.parametrize("df", [np.inf, 3])
def test_rates_are_those_asked_for_from_few_rows_on(kind, n, df):
    """A hundred training rows are enough, because the stream goes on teaching."""
    model, state = KINDS[kind].learn(clean(n, df), 0.01, 1e-3)
    log_p = KINDS[kind].run(model, state, clean(100_000, df, seed=1))[0]
    for level in (1e-2, 1e-3):
        assert level / 2 < np.mean(log_p < np.log(level)) < 2 * level


def test_p_values_are_uniform():
    model, state = Spot().learn(clean(20_000), 0.01, 1e-3)
    log_p = Spot().run(model, state, clean(4000, seed=1))[0][:, 0]
    assert stats.kstest(np.exp(log_p), "uniform").pvalue > 0.05


def test_a_moving_mean_follows_a_level_that_wanders():
    """Scores on a wave as slow as 8000 rows: DSPOT alarms as asked in every part of it, SPOT hardly ever but on its crests."""
    n = 102_000
    wave = 4.0 * (1 + np.sin(np.arange(n) * 2 * np.pi / 8000))
    scores = (np.random.default_rng(2).exponential(size=n) + wave)[:, None]
    rates = {}
    for kind, calibrator in KINDS.items():
        model, state = calibrator.learn(scores[:6000], 0.01, 1e-3)
        log_p = calibrator.run(model, state, scores[6000:])[0][:, 0]
        crest = wave[6000:] > 7.0
        rates[kind] = [np.mean(log_p[part] < np.log(0.01)) for part in (crest, ~crest)]
    assert max(rates["drift"]) < 2 * min(rates["drift"])
    assert rates["spot"][0] > 10 * rates["spot"][1]


@pytest.mark.parametrize("kind", KINDS)
def test_faults_are_not_learnt(kind):
    calibrator = KINDS[kind]
    model, state = calibrator.learn(clean(3000), 0.01, 1e-3)
    stream, probe = clean(20_000, seed=1), np.array([[4.0], [8.0], [12.0], [30.0]])
    faulty = stream.copy()
    rng = np.random.default_rng(3)
    single = rng.choice(20_000, 200, replace=False)
    faulty[single, 0] = 10 ** rng.uniform(2, 12, 200)
    faulty[5000:5040] = 1e4  # shorter than patience
    after, despite = (calibrator.run(model, calibrator.run(model, state, s)[2], probe)[0] for s in (stream, faulty))
    np.testing.assert_allclose(despite, after, rtol=0.2)
    assert (calibrator.run(model, state, faulty)[0][single] < LEVEL).all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [30.0, 1e4, 1e12])
def test_what_stays_is_learnt_after_patience(kind, size):
    """A lasting change alarms for `patience` rows, then ends; what is larger still is found."""
    calibrator = clone(KINDS[kind]).set_params(patience=30)
    model, state = calibrator.learn(clean(3000), 0.01, 1e-3)
    stream = clean(4000, seed=1)
    stream[1000:] += size
    log_p, _, after = calibrator.run(model, state, stream)
    alarms = np.flatnonzero(log_p < LEVEL)
    np.testing.assert_array_equal(alarms[(alarms >= 1000) & (alarms < 1100)], np.arange(1000, 1030))
    assert np.sum(alarms >= 1100) < 10
    assert calibrator.run(model, after, np.array([[1e3 * size]]))[0] < LEVEL


def test_noise_that_grows_now_and_then_beyond_is_learnt_too():
    """Three times the noise: a quarter of the rows alarm, hardly ever `patience` in a row, and yet it ends."""
    z = stats.norm().rvs(60_000, random_state=4)
    z[10_000:] *= 3.0
    model, state = Spot().learn(nominal(z[:5000])[:, None], 0.01, 1e-3)
    alarms = Spot().run(model, state, nominal(z[5000:])[:, None])[0][:, 0] < LEVEL
    assert alarms[5000:5100].mean() > 0.15
    assert 2e-4 < alarms[-40_000:].mean() < 2e-3


@given(seed=st.integers(0, 1000), cut=st.integers(0, 120), columns=st.integers(1, 3))
@settings(max_examples=25, deadline=None)
def test_pieces_columns_and_gaps(seed, cut, columns):
    """A stream in two pieces gives what it gives at once, columns go by themselves, NaN is as if it had not been."""
    rng = np.random.default_rng(seed)
    scores = rng.exponential(size=(120, columns)) * 3
    holes = scores.copy()
    holes[rng.random(holes.shape) < 0.2] = np.nan
    calibrator = DriftSpot(depth=7, max_peaks=20, patience=3)
    model, state = calibrator.learn(rng.exponential(size=(100, columns)), 0.05, 0.01)
    whole, _, after = calibrator.run(model, state, holes, np.full(120, -5.0))
    first, _, middle = calibrator.run(model, state, holes[:cut])
    second, _, last = calibrator.run(model, middle, holes[cut:])
    np.testing.assert_array_equal(np.concatenate([first, second]), whole)
    for a, b in zip(last, after):
        np.testing.assert_array_equal(a, b)
    for i in range(columns):
        alone = type(model)(type(model.calibration)(*(f[[i]] for f in model.calibration)), model.usual[[i]])
        seen = ~np.isnan(holes[:, i])
        log_p = calibrator.run(alone, type(state)(*(f[[i]] for f in state)), holes[seen][:, [i]])[0]
        np.testing.assert_array_equal(log_p[:, 0], whole[seen, i])
    assert np.isnan(whole[np.isnan(holes)]).all()
    assert (whole[~np.isnan(holes)] <= 0).all()


def test_memory_does_not_grow():
    model, state = Spot(max_peaks=50).learn(clean(500), 0.01, 1e-3)
    sizes = {sum(f.nbytes for f in Spot(max_peaks=50).run(model, state, clean(n, seed=1))[2]) for n in (1, 10, 5000)}
    assert len(sizes) == 1


@pytest.mark.parametrize("scores", [np.full((4, 1), np.nan), np.zeros((30, 1)), np.ones((1, 1)), np.empty((0, 1))])
def test_nothing_to_learn_from_still_gives_p_values(scores):
    for calibrator in (Spot(max_peaks=20), DriftSpot(max_peaks=20)):
        model, state = calibrator.learn(scores, 0.01, 1e-3)
        log_p = calibrator.run(model, state, np.tile([[0.0], [1e-3], [1.0], [100.0]], (40, 1)))[0]
        assert np.isfinite(log_p).all()
        assert (log_p <= 0).all()
