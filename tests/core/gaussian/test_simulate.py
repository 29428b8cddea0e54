"""Forward paths: their moments are those of the forecast, their steps obey the model's equations."""

import numpy as np
import pytest

from ssmts.core.gaussian import filter, forecast, simulate
from ssmts.core.types import LinearGaussianSSM, TimeVarying
from ssmts.exceptions import InputError


@pytest.fixture
def ssm():
    rng = np.random.default_rng(3)
    root = rng.normal(size=(2, 2))
    return LinearGaussianSSM(
        transition=np.array([[0.9, 0.3, 0.0], [0.0, 0.7, 0.2], [0.1, 0.0, 0.5]]),
        process_cov=root @ root.T,
        observation=TimeVarying(rng.normal(size=(40, 2, 3))),
        obs_cov=np.array([[1.0, 0.5], [0.5, 0.25]]),  # singular: one noise in two observations
        initial_mean=np.array([1.0, -1.0, 2.0]),
        initial_cov=np.diag([1.0, 0.0, 2.0]),
        state_offset=TimeVarying(rng.normal(size=(40, 3))),
        obs_offset=np.array([5.0, -5.0]),
        process_loading=np.array([[1.0, 0.0], [0.5, 1.0], [0.0, 0.0]]),
        input_matrix=rng.normal(size=(3, 1)),
        feedthrough=rng.normal(size=(2, 1)),
    )


def test_moments_are_those_of_the_forecast(ssm):
    u = np.linspace(-1, 1, 5)[:, None]
    states, observations = simulate(ssm, 5, 400_000, 0, inputs=u)
    exact = forecast(ssm, filter(ssm._replace(initial_diffuse_cov=None), np.full((1, 2), np.nan), [[0.0]]).state, 5, u)
    start = simulate(ssm, 5, 400_000, 0, state=filter(ssm, np.full((1, 2), np.nan), [[0.0]]).state, inputs=u)
    for t in range(5):
        spread = np.sqrt(np.diagonal(exact.cov[t]))
        np.testing.assert_allclose(start[1][:, t].mean(axis=0), exact.mean[t], atol=0.01 * spread.max())
        np.testing.assert_allclose(np.cov(start[1][:, t].T), exact.cov[t], atol=0.02 * spread.max() ** 2)
        np.testing.assert_allclose(np.cov(start[0][:, t].T), exact.state_cov[t], atol=0.02 * exact.state_cov[t].max())
    np.testing.assert_allclose(states[:, 0].mean(axis=0), ssm.initial_mean, atol=0.01)
    assert np.ptp(states[:, 0, 1]) == 0, "a state known exactly is drawn as it is"
    noise = (
        observations
        - np.einsum("tij,ntj->nti", ssm.observation.values[:5], states)
        - ssm.obs_offset
        - u @ ssm.feedthrough.T
    )
    np.testing.assert_allclose(noise[..., 0], 2 * noise[..., 1], atol=1e-7)


def test_paths_are_joint_over_time(ssm):
    """The third state has no noise of its own, so it follows from the states before along every path."""
    states, _ = simulate(ssm, 6, 50, 1, inputs=np.ones((6, 1)))
    expected = states[:, :-1] @ ssm.transition[2] + ssm.state_offset.values[:5, 2] + ssm.input_matrix[2, 0]
    np.testing.assert_allclose(states[:, 1:, 2], expected)


def test_a_seed_repeats_and_a_diffuse_start_is_refused(ssm):
    u = np.zeros((3, 1))
    np.testing.assert_array_equal(simulate(ssm, 3, 2, 5, inputs=u)[1], simulate(ssm, 3, 2, 5, inputs=u)[1])
    with pytest.raises(InputError, match="diffuse"):
        simulate(ssm._replace(initial_diffuse_cov=np.eye(3)), 3, inputs=u)
    for bad in ({"n_times": 0}, {"n_times": 2, "n_draws": 1.5}):
        with pytest.raises(InputError, match="positive integer"):
            simulate(ssm, **bad, inputs=u)
