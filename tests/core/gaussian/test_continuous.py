"""Models in continuous time, seen at irregular times."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from ssmts.core.gaussian import filter, loglik, step
from ssmts.core.types import ContinuousSSM, State
from ssmts.exceptions import InputError

from .cases import close

RATE = np.sqrt(3.0) / 0.8


def matern(noise=0.1):
    """Matern 3/2 of unit variance and length 0.8."""
    return ContinuousSSM(
        drift=np.array([[0.0, 1.0], [-(RATE**2), -2 * RATE]]),
        diffusion=np.array([[0.0], [2 * RATE**1.5]]),
        observation=np.array([[1.0, 0.0]]),
        obs_cov=np.array([[noise]]),
        initial_mean=np.zeros(2),
        initial_cov=np.diag([1.0, RATE**2]),
    )


def irregular(n=40):
    rng = np.random.default_rng(3)
    times = np.sort(rng.uniform(0, 6, n))
    times[10] = times[9]  # two sensors at one time
    times[21:24] = times[20]
    y = rng.normal(size=n)
    return times, y


def test_equals_the_gaussian_process():
    times, y = irregular()
    r = RATE * np.abs(times[:, None] - times)
    cov = (1 + r) * np.exp(-r) + 0.1 * np.eye(len(y))
    ssm = matern().discretise(np.diff(times, append=times[-1]))
    np.testing.assert_allclose(loglik(ssm, y[:, None]), multivariate_normal(cov=cov).logpdf(y), rtol=1e-10)


@pytest.mark.parametrize("diffuse", [None, np.diag([1.0, 0.0]), np.eye(2)])
def test_steps_equal_the_filter(diffuse):
    times, y = irregular()
    y[5] = np.nan
    motion = ContinuousSSM(*list(vars(matern()).values())[:6], initial_diffuse_cov=diffuse)
    whole = filter(motion.discretise(np.diff(times, append=times[-1])), y[:, None])
    rank = 0 if diffuse is None else int(np.trace(diffuse))
    state = State(motion.initial_mean, motion.initial_cov, np.zeros((2, 2)) if diffuse is None else diffuse, rank)
    for t, dt in enumerate(np.diff(times, prepend=times[0])):
        state, new = step(motion, state, [y[t]], dt=dt)
        close(new.loglik, whole.loglik_t[t])
    for got, want in zip(state, whole.state):
        close(got, want)


def test_a_constant_step_is_a_constant_model():
    ssm = matern().discretise(0.5)
    assert ssm.transition.shape == (2, 2)
    again = matern().discretise([0.5, 0.5])
    np.testing.assert_array_equal(again.transition.values[1], ssm.transition)


@pytest.mark.parametrize("dt", [None, -1.0, np.nan])
def test_time_must_be_told(dt):
    state = State(np.zeros(2), np.eye(2), np.zeros((2, 2)), 0)
    with pytest.raises(InputError, match="dt"):
        step(matern(), state, [1.0], dt=dt)
