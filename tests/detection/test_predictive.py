"""Normal scores of readings in normal, quantile and path distributions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from ssmts.detection.predictive import normal, predictive
from ssmts.detection.robust import LARGEST
from ssmts.distributions import Gaussian, Paths, Quantiles
from ssmts.exceptions import InputError

FLOOR = np.array([1e-9, 1e-9])
Q = (0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99)


def test_of_a_normal_distribution_it_is_the_standardised_distance():
    mean, cov = np.array([[[1.0, -2.0]]]), np.array([[[[4.0, 1.0], [1.0, 9.0]]]])
    p = predictive(Gaussian(mean, cov))
    np.testing.assert_allclose(p.score(np.array([[7.0, -20.0]]), FLOOR), [[3.0, -6.0]])
    np.testing.assert_allclose(p.at(np.array([3.0, -6.0]), FLOOR), [[7.0, -20.0]])


def test_of_quantiles_it_is_the_normal_score_of_their_probability():
    gamma = stats.gamma(3.0)
    values = np.stack([gamma.ppf(Q), -gamma.ppf(Q)[::-1]])[None, None]
    p = predictive(Quantiles(Q, values))
    at = np.stack([gamma.ppf(Q), -gamma.ppf(Q)[::-1]], axis=1)
    for row, q in zip(at, Q):
        np.testing.assert_allclose(p.score(row[None], FLOOR)[0], stats.norm.ppf(q), atol=1e-9)
    # beyond the last quantile the tail is normal with its width
    far = p.score(np.array([[gamma.ppf(0.5) + 3 * (gamma.ppf(0.99) - gamma.ppf(0.5)), 0.0]]), FLOOR)
    np.testing.assert_allclose(far[0, 0], 3 * stats.norm.ppf(0.99))


def test_paths_of_a_normal_distribution_give_its_scores_about():
    draws = np.random.default_rng(0).normal(5.0, 2.0, (20000, 1, 1, 1))
    p = predictive(Paths(draws))
    for z in (-4.0, -1.0, 0.5, 3.0):
        np.testing.assert_allclose(p.score(np.array([[5.0 + 2.0 * z]]), FLOOR[:1]), z, atol=0.08)


@given(st.lists(st.floats(-8, 8), min_size=2, max_size=2), st.integers(0, 1000))
def test_a_reading_at_a_score_has_this_score(z, seed):
    values = np.sort(np.random.default_rng(seed).normal(size=(1, 1, 2, len(Q))), axis=-1)
    p = predictive(Quantiles(Q, values))
    np.testing.assert_allclose(p.score(p.at(np.array(z), FLOOR), FLOOR)[0], z, atol=1e-6)


def test_what_nobody_knows_has_no_score_and_certainty_a_large_one():
    p = normal(np.array([[1.0, 1.0, np.nan]]), np.array([[np.inf, 0.0, 1.0]]))
    z = p.score(np.array([[5.0, 5.0, 5.0]]), np.full(3, 1e-9))
    assert np.isnan(z[0, [0, 2]]).all()
    assert z[0, 1] == LARGEST
    assert p.score(np.array([[5.0, 1.0, np.nan]]), np.full(3, 1e-9))[0, 1] == 0.0


def test_quantiles_without_width_are_refused():
    with pytest.raises(InputError, match="both sides of the median"):
        predictive(Quantiles([0.5, 0.9], np.zeros((1, 1, 1, 2))))
