"""Calibrated p-values against known distributions, scipy's Pareto distribution, and training rows with gross errors."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, stats

from ssmts.detection.calibration import SHAPE_MEAN, SHAPE_SD, Calibration, _fit_tail, calibrate, log_p_value, score_at

NOISES = {
    "normal": stats.norm(),
    "laplace": stats.laplace(),
    "t4": stats.t(4),
    "t3": stats.t(3),
}


def nominal(z):
    return -np.log(2) - stats.norm.logsf(np.abs(z))


def evaluate(calibration, scores, column=0):
    return np.array([log_p_value(*calibration, column, float(s)) for s in np.atleast_1d(scores)])


@pytest.mark.parametrize("noise", NOISES)
def test_fresh_scores_have_uniform_p_values(noise):
    law = NOISES[noise]
    train, fresh = (law.rvs(n, random_state=seed) for n, seed in ((20000, 0), (2000, 1)))
    log_p = evaluate(calibrate(nominal(train)[:, None], 0.01), nominal(fresh))
    assert stats.kstest(np.exp(log_p), "uniform").pvalue > 0.05


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("rate", [1e-2, 1e-3])
def test_alarm_rates_are_those_asked_for(noise, rate):
    """The rate is exact arithmetic: the noise's own probability beyond the score of the asked p-value."""
    law = NOISES[noise]
    rates = []
    for seed in range(8):
        calibration = calibrate(nominal(law.rvs(5000, random_state=seed))[:, None], 0.01)
        z = -stats.norm.ppf(np.exp(-score_at(calibration, np.log(rate))[0]) / 2)
        rates.append(2 * law.sf(z))
    assert rate / 2 < np.mean(rates) < 2 * rate
    assert rate / 4 < np.min(rates)
    assert np.max(rates) < 4 * rate


@pytest.mark.parametrize("noise", NOISES)
def test_gross_errors_within_the_contamination_are_set_aside(noise):
    rng = np.random.default_rng(0)
    clean = nominal(NOISES[noise].rvs(4000, random_state=0))
    dirty = clean.copy()
    dirty[rng.choice(4000, 60, replace=False)] = 10 ** rng.uniform(4, 9, 60)
    scores = np.quantile(clean, [0.5, 0.9, 0.99, 0.999])
    before = evaluate(calibrate(clean[:, None], 0.02), scores)
    after = evaluate(calibrate(dirty[:, None], 0.02), scores)
    np.testing.assert_allclose(after, before, atol=0.5)
    undeclared = evaluate(calibrate(dirty[:, None], 0.001), scores)
    assert undeclared[-1] > np.log(0.015), "what is not declared as contamination counts as normal"


def test_a_tail_is_kept_when_it_is_only_heavy():
    scores = nominal(stats.t(2).rvs(5000, random_state=3))
    p = np.exp(evaluate(calibrate(scores[:, None], 0.05), np.sort(scores)[-50:]))
    np.testing.assert_allclose(p[0], 0.01, rtol=0.2)
    assert p[-1] > 1e-5


def test_tail_maximises_the_penalised_likelihood_of_scipys_pareto():
    excesses = stats.genpareto(0.25, scale=2.0).rvs(400, random_state=0)

    def loss(parameters):
        shape, log_scale = parameters
        values = np.append(excesses, 1.0)
        fit = stats.genpareto(shape, scale=np.exp(log_scale))
        return -fit.logpdf(values).sum() + 0.5 * ((shape - SHAPE_MEAN) / SHAPE_SD) ** 2

    best = optimize.minimize(loss, [0.2, 0.5], method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-12})
    shape, scale = _fit_tail(excesses)
    np.testing.assert_allclose([shape, np.log(scale)], best.x, atol=1e-4)


def test_the_tail_is_the_pareto_distribution():
    scores = np.random.default_rng(0).exponential(size=1000)
    calibration = calibrate(scores[:, None], 0.01)
    beyond = calibration.threshold[0] + np.array([0.1, 3.0, 1e3, 1e12])
    tail = stats.genpareto(calibration.shape[0], scale=calibration.scale[0])
    expected = calibration.log_share[0] + tail.logsf(beyond - calibration.threshold[0])
    np.testing.assert_allclose(evaluate(calibration, beyond), expected, rtol=1e-9)


@given(
    scores=st.lists(st.floats(1e-12, 1e8) | st.sampled_from([0.0, 1.0]), min_size=1, max_size=80),
    contamination=st.floats(0.001, 0.5),
)
@settings(max_examples=150, deadline=None)
def test_log_p_is_a_decreasing_function_from_zero(scores, contamination):
    calibration = calibrate(np.array(scores)[:, None], contamination)
    grid = np.unique(np.concatenate([[0.0], np.geomspace(1e-6, 1e12, 200), scores]))
    log_p = evaluate(calibration, grid)
    assert log_p[0] == 0.0
    assert np.isfinite(log_p).all()
    assert (np.diff(log_p) <= 1e-12).all()
    assert (log_p <= 0).all()


def test_score_at_is_the_inverse():
    rng = np.random.default_rng(1)
    calibration = calibrate(np.column_stack([rng.exponential(size=2000), rng.exponential(size=2000) ** 3]), 0.01)
    for p in (0.7, 0.2, 0.1, 0.01, 1e-8):
        scores = score_at(calibration, np.log(p))
        for column in range(2):
            np.testing.assert_allclose(evaluate(calibration, scores[column], column), np.log(p), rtol=1e-9)


def test_values_that_repeat_have_the_p_value_of_all_their_rows():
    scores = np.repeat([0.0, 1.0, 2.0, 50.0], [5000, 3000, 1500, 500])
    calibration = calibrate(scores[:, None], 0.01)
    np.testing.assert_allclose(np.exp(evaluate(calibration, [0.0, 1.0, 2.0])), [1.0, 0.5, 0.2], rtol=0.05)
    np.testing.assert_allclose(np.exp(evaluate(calibration, 2.0001)), 0.05, rtol=0.05)


def test_columns_are_calibrated_apart_and_gaps_left_out():
    rng = np.random.default_rng(2)
    scores = np.column_stack([rng.exponential(size=500), 10 * rng.exponential(size=500)])
    holes = scores.copy()
    holes[100:250, 0] = np.nan
    both, apart = calibrate(holes, 0.01), calibrate(np.delete(scores[:, 0], np.s_[100:250])[:, None], 0.01)
    for mine, theirs in zip(both, apart):
        np.testing.assert_array_equal(mine[0], theirs[0])
    assert isinstance(both, Calibration)


def test_nothing_to_learn_from_still_gives_p_values():
    for scores in (np.full((4, 1), np.nan), np.zeros((30, 1)), np.ones((1, 1))):
        log_p = evaluate(calibrate(scores, 0.01), [0.0, 1e-3, 1.0, 100.0])
        assert np.isfinite(log_p).all()
        assert log_p[0] == 0
        assert log_p[3] < log_p[2]
