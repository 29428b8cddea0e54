"""The smoother and the simulation smoother against the joint Gaussian written out, and against numbers of others."""

import numpy as np
import pytest
import statsmodels.api as sm
from oracles import dense_gaussian as dense

from ssmts.core import gaussian
from ssmts.core.types import LinearGaussianSSM, TimeVarying

from .cases import CASES, case, close

ONE = np.eye(1)


def level(process_var=1469.1, obs_var=15099.0):
    return LinearGaussianSSM(ONE, process_var * ONE, ONE, obs_var * ONE, np.zeros(1), 0 * ONE, ONE)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("number", range(len(CASES)))
def test_smoother_equals_the_joint_gaussian(number, seed):
    ssm, y, inputs = case(number, seed)
    n, dy = y.shape
    dx, dw = len(ssm.initial_mean), dense.at(ssm.process_cov, 0).shape[0]
    result = gaussian.smooth(ssm, y, inputs)
    twin = dense.joint(ssm, n, inputs)
    filtered = gaussian.filter(ssm, y, inputs)
    determined = filtered.state.rank == 0
    # What the rows ahead say is taken off the filtered covariance: rounding is of the order of its square.
    most = np.where(np.isfinite(filtered.filtered_cov), filtered.filtered_cov, 0.0).max()
    tolerance = max(1e-9, 1e-15 * most**2)
    for t in range(n):
        want, spread, known = dense.given(twin, twin.states[t * dx : (t + 1) * dx], y, n)
        assert known.all() or not determined
        if determined:
            close(result.smoothed_mean[t], want, tolerance)
            close(result.smoothed_cov[t], spread, tolerance)
        else:
            close(result.smoothed_mean[t][known], want[known], tolerance)
            assert (np.isinf(np.diagonal(result.smoothed_cov[t])) == ~known).all()
        for joint, mean, cov, size in (
            (twin.noises, result.smoothed_obs_disturbance, result.smoothed_obs_disturbance_cov, dy),
            (twin.shocks, result.smoothed_process_disturbance, result.smoothed_process_disturbance_cov, dw),
        ):
            want, spread, _ = dense.given(twin, joint[t * size : (t + 1) * size], y, n)
            close(mean[t], want, tolerance)
            close(cov[t], spread, tolerance)


@pytest.mark.parametrize("number", range(len(CASES)))
def test_auxiliary_residuals_are_the_disturbances_over_their_standard_deviation(number):
    ssm, y, inputs = case(number, 11)
    result = gaussian.smooth(ssm, y, inputs)
    n = len(y)
    for field, mean, left, ratio in (
        (
            ssm.obs_cov,
            result.smoothed_obs_disturbance,
            result.smoothed_obs_disturbance_cov,
            result.obs_auxiliary_residual,
        ),
        (
            ssm.process_cov,
            result.smoothed_process_disturbance,
            result.smoothed_process_disturbance_cov,
            result.process_auxiliary_residual,
        ),
    ):
        prior = np.stack([np.diagonal(dense.at(field, t)) for t in range(n)])
        variance = prior - np.diagonal(left, axis1=1, axis2=2)
        sound = variance > 1e-6 * prior.max()
        np.testing.assert_allclose(ratio[sound], (mean / np.sqrt(np.where(sound, variance, 1.0)))[sound], rtol=1e-6)
        assert np.isnan(ratio[~(variance > 0)]).all()


def test_nile(nile):
    """Smoothed states of Durbin and Koopman's example, with and without their two missing stretches."""
    result = gaussian.smooth(level(), nile)
    np.testing.assert_allclose(
        result.smoothed_mean[[0, 1, 2, 98, 99], 0],
        [1111.66831913, 1110.85766462, 1105.26556731, 804.04959567, 798.37029261],
        rtol=1e-10,
    )
    np.testing.assert_allclose(
        result.smoothed_cov[[0, 1, 50, 99], 0, 0],
        [4032.15794181, 3242.93007322, 2326.75686981, 4032.15794181],
        rtol=1e-10,
    )
    missing = nile.copy()
    missing[20:40] = missing[60:80] = np.nan
    result = gaussian.smooth(level(), missing)
    np.testing.assert_allclose(result.smoothed_mean[[29, 69], 0], [903.42110296, 837.17732371], rtol=1e-10)
    np.testing.assert_allclose(result.smoothed_cov[[29, 69], 0, 0], [9715.0059025, 9715.0055490], rtol=1e-10)


def test_statsmodels_agrees_on_a_season(nile):
    """Level, slope and dummy season with exact diffuse start."""
    y = nile[:60, 0].copy()
    y[7:11] = np.nan
    model = sm.tsa.UnobservedComponents(y, "lltrend", seasonal=4, use_exact_diffuse=True)
    theirs = model.smooth([900.0, 300.0, 5.0, 40.0])
    transition = np.zeros((5, 5))
    transition[0, :2] = transition[1, 1] = 1
    transition[2, 2:] = -1
    transition[3, 2] = transition[4, 3] = 1
    ours = gaussian.smooth(
        LinearGaussianSSM(
            transition,
            np.diag([300.0, 5.0, 40.0]),
            np.array([[1.0, 0, 1, 0, 0]]),
            900.0 * ONE,
            np.zeros(5),
            np.zeros((5, 5)),
            np.eye(5),
            process_loading=np.eye(5)[:, :3],
        ),
        y[:, None],
    )
    close(ours.smoothed_mean, theirs.smoothed_state.T)
    close(ours.smoothed_cov, theirs.smoothed_state_cov.T)
    close(ours.smoothed_obs_disturbance, theirs.smoothed_measurement_disturbance.T)
    close(ours.smoothed_process_disturbance[:-1], theirs.smoothed_state_disturbance.T[:-1])


def test_a_batch_is_its_series(nile):
    batch = np.stack([nile, nile[::-1]])
    result = gaussian.smooth(level(), batch)
    for one, y in zip(result.smoothed_mean, batch):
        np.testing.assert_allclose(one, gaussian.smooth(level(), y).smoothed_mean, rtol=1e-13)


@pytest.mark.parametrize("number", range(len(CASES)))
def test_draws_have_the_smoothed_distribution(number):
    ssm, y, inputs = case(number, 2, n=5)
    if gaussian.filter(ssm, y, inputs).state.rank:
        y = np.nan_to_num(y)
    draws = gaussian.sample(ssm, y, 20_000, 0, inputs)
    exact = gaussian.smooth(ssm, y, inputs)
    for t in range(5):
        scale = np.sqrt(max(np.abs(exact.smoothed_cov[t]).max(), 1e-12))
        np.testing.assert_allclose(draws[:, t].mean(axis=0), exact.smoothed_mean[t], atol=0.05 * scale)
        np.testing.assert_allclose(np.cov(draws[:, t].T), exact.smoothed_cov[t], atol=0.06 * scale**2)
    np.testing.assert_array_equal(draws[:3], gaussian.sample(ssm, y, 20_000, 0, inputs)[:3])


def test_draws_are_joint_over_time_and_keep_what_is_known(nile):
    """Differences of a draw have the smoothed distribution of the shocks; without noise every draw passes through y."""
    draws = gaussian.sample(level(), nile[:20], 20_000, 1)
    exact = gaussian.smooth(level(), nile[:20])
    np.testing.assert_allclose(
        np.diff(draws[..., 0], axis=1).mean(axis=0), exact.smoothed_process_disturbance[:-1, 0], atol=2
    )
    variance = exact.smoothed_process_disturbance_cov[:-1, 0, 0]
    np.testing.assert_allclose(np.diff(draws[..., 0], axis=1).var(axis=0), variance, rtol=0.06)
    y = nile[:10].copy()
    y[4] = np.nan
    through = gaussian.sample(level(obs_var=0.0), y, 100, 0)[..., 0]
    seen = ~np.isnan(y[:, 0])
    np.testing.assert_allclose(through[:, seen] - y[seen, 0], 0, atol=1e-8)
    assert through[:, 4].std() > 1


class Zeros(np.random.Generator):
    """A source of standard normal numbers that are all zero."""

    def standard_normal(self, size=None, *_):
        return np.zeros(size)


@pytest.mark.parametrize("number", range(len(CASES)))
def test_without_chance_a_draw_is_the_smoothed_mean(number):
    ssm, y, inputs = case(number, 4)
    if gaussian.filter(ssm, y, inputs).state.rank:
        y = np.nan_to_num(y)
    draw = gaussian.sample(ssm, y, 2, Zeros(np.random.PCG64(0)), inputs)
    close(draw[1], gaussian.smooth(ssm, y, inputs).smoothed_mean, 1e-7)


def test_without_noise_draws_are_the_smoothed_mean():
    """A model without any randomness but a diffuse start has one path."""
    y = np.arange(5.0)[:, None] * 2 + 1
    line = LinearGaussianSSM(
        np.array([[1.0, 1.0], [0.0, 1.0]]),
        np.zeros((2, 2)),
        np.array([[1.0, 0.0]]),
        0 * ONE,
        np.zeros(2),
        np.zeros((2, 2)),
        np.eye(2),
    )
    draws = gaussian.sample(line, y, 3, 0)
    np.testing.assert_allclose(draws, np.broadcast_to(gaussian.smooth(line, y).smoothed_mean, draws.shape), atol=1e-9)
    np.testing.assert_allclose(draws[0, :, 1], 2.0)


def test_time_varying_rows_follow_a_state(nile):
    """Smoothing the tail from a state is smoothing the whole, for the rows of the tail."""
    rng = np.random.default_rng(0)
    Z = TimeVarying(rng.normal(size=(12, 1, 1)))
    ssm = level()._replace(observation=Z)
    y = nile[:12]
    whole = gaussian.smooth(ssm, y)
    head = gaussian.filter(ssm._replace(observation=TimeVarying(Z.values[:5])), y[:5])
    tail = gaussian.smooth(ssm._replace(observation=TimeVarying(Z.values[5:])), y[5:], state=head.state)
    close(tail.smoothed_mean, whole.smoothed_mean[5:])
    close(tail.smoothed_cov, whole.smoothed_cov[5:])


@pytest.mark.parametrize("prior", [1e4, 1e6, 1e8])
@pytest.mark.parametrize("observation", [1.0, -20.0])
def test_a_vague_prior_costs_no_more_digits_than_it_is_wide(prior, observation):
    """The root keeps all digits; observations leave variances of about one over the square of their factor."""
    y = np.random.default_rng(0).normal(size=(60, 1)).cumsum(axis=0)
    y[:10] = np.nan
    ssm = LinearGaussianSSM(ONE, ONE, observation * ONE, ONE, np.zeros(1), prior * ONE)
    got, want = (gaussian.smooth(ssm, y, method=method) for method in ("sequential", "square_root"))
    np.testing.assert_allclose(got.smoothed_cov, want.smoothed_cov, rtol=1e-14 * prior * observation**2)
    np.testing.assert_allclose(got.smoothed_mean, want.smoothed_mean, rtol=1e-12 * prior * observation**2)
