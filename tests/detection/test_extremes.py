"""P-values from the largest scores of blocks, against the distributions they are drawn from and a slow obvious twin."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import genpareto, gumbel_r

from ssmts.detection import extremes


@settings(deadline=None)
@given(
    location=st.floats(-3, 10), spread=st.floats(0.05, 3), log_p=st.floats(-60, -1e-3)
)  # below, a score would count as none
def test_score_at_is_the_inverse_of_the_p_value(location, spread, log_p):
    score = extremes.score_at(location, spread, log_p)
    if extremes.SMALLEST < score < 1e300:
        assert extremes.log_p_value(location, spread, score) == pytest.approx(log_p, rel=1e-9)


@settings(deadline=None)
@given(location=st.floats(-3, 10), spread=st.floats(0.05, 3), score=st.floats(0, 1e6), more=st.floats(0, 1e3))
def test_stranger_scores_have_smaller_p_values(location, spread, score, more):
    first, second = (extremes.log_p_value(location, spread, x) for x in (score, score + more))
    assert second <= first <= 0.0


def test_location_and_spread_settle_where_a_gumbel_distribution_puts_them():
    location, spread = extremes.MODE / extremes.SCALE, 1 / extremes.SCALE

    def bounded(power):
        def integrand(x):
            return np.clip((x - location) / spread, -extremes.GATE, extremes.GATE) ** power * gumbel_r.pdf(x)

        return quad(integrand, -4, 40, points=[location - 2 * spread, location + 2 * spread], limit=200)[0]

    assert bounded(1) == pytest.approx(0.0, abs=1e-3)
    assert bounded(2) == pytest.approx(1.0, abs=1e-3)


def test_an_exponential_score_is_its_own_p_value_in_the_bulk():
    """The largest of many standard exponential scores has its mode at the log of their number."""
    mode = math.log(extremes.LOG_BLOCK)
    for score in (0.1, 1.0, 3.0):
        assert extremes.log_p_value(mode + extremes.MODE * 0.2, 0.2, score) == pytest.approx(-score)


@pytest.mark.parametrize("power", [1.0, 2.0, 4.0])
def test_normal_rows_exceed_a_level_as_often_as_it_says(power):
    """Powers of exponential scores have tails from light to very heavy."""
    scores = np.random.default_rng(1).exponential(size=400_000) ** power
    log_p, _ = extremes.run(extremes.start(1, 1), scores)
    for level, least in ((1e-3, 0.5e-3), (1e-4, 0.3e-4)):
        assert least < np.mean(log_p[20_000:] < math.log(level)) < 2 * level


def slowly(scores):
    """The same from the definition, block by block."""
    location, spread, weight, spread_weight = extremes.PRIOR_LOCATION, extremes.PRIOR_SPREAD, 2.0, 5.0
    log_p, block = [], []
    for x in scores:
        if np.isnan(x):
            log_p.append(0.0)
            continue
        mode, scale = np.exp(location - extremes.MODE * spread), extremes.SCALE * spread
        tail = genpareto.logsf(max(x, 1e-6) - mode, max(scale - 1 / mode, 0.1), scale=scale * mode)
        log_p.append(-np.log(200) * min(max(x, 1e-6) / mode, 1.0) + tail)
        block.append(x)
        if len(block) == 200:
            off = np.clip((np.log(max(block)) - location) / spread, -2, 2)
            weight, spread_weight = 0.95 * weight + 1, 0.95 * spread_weight + 1
            location += spread * off / weight
            spread *= np.sqrt(1 + (off**2 - 1) / spread_weight)
            block = []
    return np.array(log_p), location, spread


def test_equals_the_slow_twin():
    rng = np.random.default_rng(2)
    scores = rng.standard_t(3, size=3000) ** 2 + 0.01
    scores[rng.random(3000) < 0.1] = np.nan
    start = extremes.start(1, 1)
    log_p, known = extremes.run(start, scores)
    expected, location, spread = slowly(scores)
    np.testing.assert_allclose(log_p, expected, rtol=1e-10)
    assert known.location[0, 0] == pytest.approx(location)
    assert known.spread[0, 0] == pytest.approx(spread)
    np.testing.assert_array_equal(start.location, extremes.start(1, 1).location)


def test_a_block_far_out_moves_little():
    """One incident among the rows hardly changes what is usual, however large."""
    scores = np.random.default_rng(3).exponential(size=10_000)
    _, clean = extremes.run(extremes.start(1, 1), scores)
    scores[5000:5050] = 1e9
    _, dirty = extremes.run(extremes.start(1, 1), scores)
    assert extremes.score_at(dirty.location[0, 0], dirty.spread[0, 0], -10.0) < 1.5 * extremes.score_at(
        clean.location[0, 0], clean.spread[0, 0], -10.0
    )
