"""The square-root rungs beyond what every rung is held to: draws, signs, and a case that a difference of covariances loses."""

import mpmath
import numpy as np
import pytest
from numba import njit

from ssmts.core import gaussian
from ssmts.core.gaussian._kernels.root import shrink, tria
from ssmts.core.types import LinearGaussianSSM
from ssmts.exceptions import InputError

from ..cases import case, close


@njit
def reduce(W):
    tria(W, np.empty((0, 1)))


@njit
def absorb(L, f, noise, Ph):
    shrink(L, f, noise, Ph)


@pytest.mark.parametrize("number", [0, 3, 5, 9])
def test_draws_have_the_smoothed_moments(number):
    ssm, y, inputs = case(number, 1)
    if gaussian.filter(ssm, y, inputs).state.rank:
        with pytest.raises(InputError, match="undetermined"):
            gaussian.sample(ssm, y, 2, 0, inputs, method="square_root")
        return
    smoothed = gaussian.smooth(ssm, y, inputs)
    draws = gaussian.sample(ssm, y, 20_000, 0, inputs, method="square_root")
    spread = np.sqrt(np.diagonal(smoothed.smoothed_cov, axis1=1, axis2=2))
    assert (np.abs(draws.mean(axis=0) - smoothed.smoothed_mean) <= 5 * spread / np.sqrt(20_000) + 1e-9).all()
    for t in range(len(y)):
        scale = np.outer(spread[t], spread[t]) + 1e-12
        assert (np.abs(np.cov(draws[:, t].T) - smoothed.smoothed_cov[t]) <= 0.05 * scale + 1e-9).all()


def test_a_seed_repeats():
    ssm, y, _ = case(0, 1)
    one, two = (gaussian.sample(ssm, y, 3, 7, method="square_root") for _ in range(2))
    np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("seed", range(5))
def test_a_reduction_keeps_the_product(seed):
    rng = np.random.default_rng(seed)
    W = rng.normal(size=(4, 7)) * 10.0 ** rng.integers(-6, 6, size=(4, 1))
    L = W.copy()
    reduce(L)
    close(
        L @ L.T / np.outer(*2 * [np.linalg.norm(W, axis=1)]),
        W @ W.T / np.outer(*2 * [np.linalg.norm(W, axis=1)]),
        1e-13,
    )
    assert not np.triu(L, 1).any()


@pytest.mark.parametrize("noise", [0.0, 1e-12, 1.0])
def test_an_observation_shrinks_the_root(noise):
    rng = np.random.default_rng(3)
    L, h = np.tril(rng.normal(size=(4, 4))), np.array([1.0, 0.0, -2.0, 0.5])
    P, new, Ph = L @ L.T, L.copy(), np.empty(4)
    absorb(new, h @ L, noise, Ph)
    close(Ph, P @ h, 1e-13)
    close(new @ new.T, P - np.outer(Ph, Ph) / (h @ Ph + noise), 1e-12)


def test_two_precise_observations_of_almost_the_same():
    """Two exact sensors that differ by 1e-8: what they leave of the state is lost in a difference of covariances (Verhaegen
    and Van Dooren 1986); the reference is worked out with fifty digits."""
    eps, noise = 1e-8, 1e-16
    H = np.array([[1.0, 1.0, 1.0], [1.0, 1.0, 1.0 + eps]])
    ssm = LinearGaussianSSM(np.eye(3), np.zeros((3, 3)), H, noise * np.eye(2), np.zeros(3), np.eye(3))
    y = np.array([[0.3, 0.3 + 2e-9]])
    with mpmath.workdps(50):
        h, r = mpmath.matrix(H.tolist()), mpmath.eye(2) * mpmath.mpf(noise)
        gain = h.T * (h * h.T + r) ** -1
        want = np.array((mpmath.eye(3) - gain * h).tolist(), dtype=float)
        mean = np.array((gain * mpmath.matrix(y[0].tolist())).tolist(), dtype=float).ravel()
    got = gaussian.filter(ssm, y, method="square_root")
    np.testing.assert_allclose(got.filtered_cov[0], want, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(got.filtered_mean[0], mean, rtol=1e-5)
    assert np.linalg.eigvalsh(got.filtered_cov[0]).min() > -1e-17


def test_single_precision_stays_a_covariance_where_a_difference_does_not():
    """A level known to a ten-thousandth of a first guess: single precision carries the root of a variance, not the variance."""
    one = np.eye(1)
    ssm = LinearGaussianSSM(one, 1e-6 * one, one, 1e-6 * one, np.zeros(1), 1e6 * one)
    y = np.cumsum(np.full((200, 1), 1e-3))[:, None]
    single, double = (gaussian.filter(ssm, y, method=m) for m in ("square_root_single", "sequential"))
    np.testing.assert_allclose(single.filtered_cov, double.filtered_cov, rtol=1e-4)
    assert single.loglik == pytest.approx(double.loglik, rel=1e-4)


@pytest.mark.parametrize("size", [1e-100, 1e100])
def test_single_precision_refuses_what_it_cannot_hold(size):
    """It would take such roots for zero, or for infinity."""
    one = np.eye(1)
    level = LinearGaussianSSM(one, size * one, one, size * one, np.zeros(1), 0 * one, initial_diffuse_cov=one)
    with pytest.raises(InputError, match="single precision cannot hold"):
        gaussian.loglik(level, np.zeros((5, 1)), method="square_root_single")
