"""Conformal p-values: ranks by brute force, rates, the adaptive level, faults that are not learnt and changes that are."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.base import clone

from ssmts import AdaptiveConformal, Conformal, InnovationDetector
from ssmts.detection.calibration import calibrate, largest_trusted, score_at
from ssmts.detection.spot import WEAR
from ssmts.exceptions import TooShortError

KINDS = {"conformal": Conformal(), "adaptive": AdaptiveConformal()}


def run(calibrator, training, scores, level=0.01, contamination=0.01):
    model, state = calibrator.learn(training[:, None], contamination, level)
    log_p, _, after = calibrator.run(model, state, scores[:, None])
    return log_p[:, 0], (model, after)


def slow(calibrator, training, scores, level, step=0.0):
    """Conformal p-values by counting in a list."""
    tail = calibrate(training[:, None], 0.01)
    ratio = score_at(tail, np.log(level / 100))[0] / score_at(tail, np.log(level))[0]
    top = largest_trusted(training[:, None], 0.01)[0]
    kept = [*training[training <= top]][-calibrator.max_scores :]
    evidence, allowed, limit, out = 0.0, 0, -np.log(level), []
    for score in scores:
        p = (1 + sum(other >= score for other in kept)) / (len(kept) + 1)
        out.append(np.log(p) * -np.log(level) / limit)
        limit = max(limit + step * ((out[-1] < np.log(level)) - level), 0.05)
        # The largest score without an alarm.
        usual = max(s for s in kept if (1 + sum(other >= s for other in kept)) / (len(kept) + 1) >= level - 1e-12)
        if score > ratio * usual:
            evidence += allowed == 0
            if evidence >= calibrator.patience:
                evidence, allowed = 0, calibrator.patience
            if not allowed:
                continue
            allowed -= 1
        else:
            evidence = max(evidence - WEAR, 0)
        kept = [*kept, score][-calibrator.max_scores :]
    return np.array(out)


@given(
    seed=st.integers(0, 10**6), n=st.integers(21, 90), max_scores=st.integers(20, 60), patience=st.integers(1, 12),
    digits=st.integers(0, 6), step=st.sampled_from([0.0, 0.1, 1.0]),
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_ranks_are_those_of_brute_force(seed, n, max_scores, patience, digits, step):
    """With ties, and with stretches of faults."""
    rng = np.random.default_rng(seed)
    training, scores = np.round(rng.exponential(size=n), digits), np.round(rng.exponential(size=150), digits)
    scores[60:80] += rng.choice([0.0, 3.0, 50.0])
    settings = {"max_scores": max_scores, "patience": patience}
    calibrator = AdaptiveConformal(step, **settings) if step else Conformal(**settings)
    got, _ = run(calibrator, training, scores, 0.2)
    np.testing.assert_allclose(got, slow(calibrator, training, scores, 0.2, step), rtol=1e-9)


@given(seed=st.integers(0, 1000), cut=st.integers(0, 120), columns=st.integers(1, 3))
@settings(max_examples=25, deadline=None)
def test_pieces_columns_and_gaps(seed, cut, columns):
    """A stream in two pieces gives what it gives at once, columns go by themselves, NaN is as if it had not been."""
    rng = np.random.default_rng(seed)
    training, scores = rng.exponential(size=(60, columns)), 4 * rng.exponential(size=(120, columns))
    scores[rng.random(scores.shape) < 0.2] = np.nan
    calibrator = AdaptiveConformal(max_scores=50, patience=4)
    model, state = calibrator.learn(training, 0.05, 0.1)
    whole, _, after = calibrator.run(model, state, scores)
    first, _, middle = calibrator.run(model, state, scores[:cut])
    second, _, last = calibrator.run(model, middle, scores[cut:])
    np.testing.assert_array_equal(np.concatenate([first, second]), whole)
    for a, b in zip(last, after):
        np.testing.assert_array_equal(a, b)
    for i in range(columns):
        seen = ~np.isnan(scores[:, i])
        model, state = calibrator.learn(training[:, [i]], 0.05, 0.1)
        np.testing.assert_array_equal(calibrator.run(model, state, scores[seen][:, [i]])[0][:, 0], whole[seen, i])
    np.testing.assert_array_equal(np.isnan(whole), np.isnan(scores))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("df", [np.inf, 3])
@pytest.mark.parametrize("n, level", [(200, 1e-2), (2000, 1e-2), (2000, 1e-3)])
def test_rates_are_those_asked_for_whatever_the_noise(kind, df, n, level):
    law = stats.norm() if df == np.inf else stats.t(df)
    x = -stats.norm.logsf(np.abs(law.rvs(n + 100_000, random_state=0)))
    log_p, _ = run(KINDS[kind], x[:n], x[n:], level)
    assert 0.8 * level < np.mean(log_p < np.log(level)) < 1.5 * level


def test_p_values_are_uniform():
    x = np.random.default_rng(0).exponential(size=44_000)
    log_p, _ = run(Conformal(max_scores=40_000), x[:40_000], x[40_000:])
    assert stats.kstest(np.exp(log_p), "uniform").pvalue > 0.05
    assert abs(np.corrcoef(log_p[1:], log_p[:-1])[0, 1]) < 0.05


@given(seed=st.integers(0, 10**6), step=st.floats(0.01, 2.0), level=st.sampled_from([0.3, 0.1, 0.03]))
@settings(max_examples=40, deadline=None)
def test_alarms_are_never_more_than_promised(seed, step, level):
    """The bound of the adaptive level holds for any scores: here ever growing ones, waves and bursts."""
    rng = np.random.default_rng(seed)
    t = np.arange(4000)
    scores = np.abs(rng.normal(size=4000)) + rng.choice([0, 0.01]) * t + rng.choice([0, 10]) * (np.sin(t / 200) > 0.5)
    calibrator = AdaptiveConformal(step, max_scores=100, patience=5)
    log_p, _ = run(calibrator, np.abs(rng.normal(size=100)), scores, level)
    alarms = np.cumsum(log_p < np.log(level))
    bound = level * (t + 1) + (np.log(101) + step) / step
    assert (alarms <= bound + 1e-6).all()


def test_level_follows_where_ranks_alone_do_not():
    """A model that is ever further off: the rate of "conformal" is several times what was asked, that of the adaptive one is not."""
    x = np.abs(np.random.default_rng(1).normal(size=60_000)) * np.linspace(1, 30, 60_000)
    rates = {kind: np.mean(run(each, x[:2000], x[2000:])[0] < np.log(0.01)) for kind, each in KINDS.items()}
    assert rates["conformal"] > 1.2e-2
    assert rates["adaptive"] < 1.15e-2


def test_faults_are_not_learnt():
    x = np.random.default_rng(2).exponential(size=25_000)
    stream, probe = x[5000:], np.array([3.0, 6.0, 12.0, 14.0])
    faulty = stream.copy()
    faulty[4000:4040] = 1e6
    faulty[::101] = 10 ** np.random.default_rng(3).uniform(2, 9, 199)
    for n, level in ((300, 1e-2), (5000, 1e-3)):
        calm, despite = (
            Conformal().run(*run(Conformal(max_scores=n), x[:n], s, level)[1], probe[:, None])[0][:, 0]
            for s in (stream, faulty)
        )
        np.testing.assert_allclose(np.exp(despite), np.exp(calm), rtol=0.15, atol=5 / n)
        log_p = run(Conformal(max_scores=n), x[:n], faulty, level)[0]
        assert (log_p[::101] < np.log(level)).all(), "faults ten times as often as alarms were asked for"


@pytest.mark.parametrize("kind", KINDS)
def test_what_stays_is_learnt_after_patience(kind):
    x = np.random.default_rng(3).exponential(size=9000)
    x[6000:] += 1e5
    calibrator = clone(KINDS[kind]).set_params(patience=30)
    log_p, _ = run(calibrator, x[:5000], x[5000:], 1e-3)
    alarms = np.flatnonzero(log_p < np.log(1e-3))
    if kind == "conformal":
        assert np.isin(np.arange(1000, 1030), alarms).all()
    assert np.sum(alarms > 1040) <= 50
    assert np.sum(alarms > 2000) <= 15


def test_too_few_rows_for_the_level_are_refused():
    X = np.random.default_rng(4).normal(size=(500, 1))
    with pytest.raises(TooShortError, match=r"499 training row.* never below 1/500.*Train on 1001 rows"):
        InnovationDetector(false_alarm_rate=1e-3, calibration="conformal").fit(X)
    InnovationDetector(false_alarm_rate=3e-3, calibration="conformal").fit(X)


def test_ties_count_as_at_least_as_large():
    log_p, _ = run(Conformal(max_scores=20), np.repeat([0.0, 1.0], [15, 5]), np.array([0.0, 1.0]), 0.2)
    np.testing.assert_allclose(np.exp(log_p), [1.0, 6 / 21])
