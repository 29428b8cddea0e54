"""The simulation smoothers against the smoother, each other, and statsmodels with the same random numbers."""

import numpy as np
import pytest
import statsmodels.api as sm
from oracles import dense_gaussian as dense

from ssmts.core import gaussian
from ssmts.core.types import LinearGaussianSSM
from ssmts.exceptions import InputError

from .cases import close

ONE = np.eye(1)


class Given(np.random.Generator):
    """A source of standard normal numbers that are given, in the order in which they are asked for; zeros if none are."""

    def __init__(self, *numbers):
        super().__init__(np.random.PCG64(0))
        self.numbers = list(numbers)

    def standard_normal(self, size=None, *_):
        return self.numbers.pop(0).reshape(size) if self.numbers else np.zeros(size)


def level(prior=500.0):
    return LinearGaussianSSM(ONE, 1469.1 * ONE, ONE, 15099.0 * ONE, 1000.0 * np.ones(1), prior * ONE)


def regular(seed, diffuse=2, full=True, varying=True):
    """A model whose states all have noise, with a series that has holes."""
    rng = np.random.default_rng(seed)
    ssm = dense.random_model(rng, 9, 3, 2, 3, varying, full, diffuse, singular=False)
    start = ssm.initial_cov + 0.1 * np.eye(3)
    return ssm._replace(process_loading=None, initial_cov=start), dense.random_series(rng, 9, 2, 0.2)


OPTIONS = [{}, {"diffuse": 0}, {"diffuse": 3, "full": False}, {"varying": False}]


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("seed", range(3))
def test_the_precision_gives_the_smoothed_mean_without_chance(seed, options):
    ssm, y = regular(seed, **options)
    draw = gaussian.sample(ssm, y, 1, Given(), method="precision")[0]
    close(draw, gaussian.smooth(ssm, y).smoothed_mean, 1e-7)
    close(gaussian.sample(ssm, y, 1, Given())[0], draw, 1e-7)


@pytest.mark.parametrize("method", ["sequential", "precision"])
def test_draws_have_the_joint_distribution_given_the_series(method):
    """Against the covariance of the whole path, of which every unit vector drawn for is a column of a root."""
    ssm, y = regular(5)
    draws = gaussian.sample(ssm, y, 40_000, 1, method=method).reshape(40_000, -1)
    twin = dense.joint(ssm, 9)
    mean, cov, known = dense.given(twin, twin.states[:27], y, 9)
    assert known.all()
    scale = np.sqrt(np.diagonal(cov))
    np.testing.assert_allclose((draws.mean(axis=0) - mean) / scale, 0.0, atol=0.03)
    np.testing.assert_allclose(np.cov(draws.T) / np.outer(scale, scale), cov / np.outer(scale, scale), atol=0.04)


def test_the_root_of_the_precision_is_exact():
    """Draws for unit vectors are columns of a root of the joint covariance."""
    ssm, y = regular(3)
    mean = gaussian.sample(ssm, y, 1, Given(), method="precision").reshape(-1)
    columns = gaussian.sample(ssm, y, 27, Given(np.eye(27)), method="precision").reshape(27, -1) - mean
    twin = dense.joint(ssm, 9)
    close(columns.T @ columns, dense.given(twin, twin.states[:27], y, 9)[1], 1e-8)


def test_statsmodels_draws_the_same_paths(nile):
    """Both methods with the random numbers of both, with holes."""
    rng = np.random.default_rng(0)
    y = nile[:30].copy()
    y[7:11] = np.nan
    model = sm.tsa.UnobservedComponents(y[:, 0], "llevel")
    model.ssm.initialize_known(np.array([1000.0]), 500.0 * ONE)
    model.update([15099.0, 1469.1])
    e, w, start = rng.normal(size=30), rng.normal(size=30), rng.normal(size=1)
    theirs = model.ssm.simulation_smoother()
    theirs.simulate(measurement_disturbance_variates=e, state_disturbance_variates=w, initial_state_variates=start)
    ours = gaussian.sample(level(), y, 1, Given(w, e, start), method="sequential")[0]
    close(ours, theirs.simulated_state.T)
    theirs = model.simulation_smoother(method="cfa")
    theirs.simulate(variates=w[None])
    close(gaussian.sample(level(), y, 1, Given(w), method="precision")[0], theirs.simulated_state.T)


@pytest.mark.parametrize("method", ["sequential", "precision"])
def test_antithetic_draws_mirror_each_other_at_the_smoothed_mean(method):
    ssm, y = regular(2)
    draws = gaussian.sample(ssm, y, 6, 3, method=method, antithetic=True)
    mean = gaussian.smooth(ssm, y).smoothed_mean
    for pair in draws.reshape(3, 2, 9, 3):
        close(pair.mean(axis=0), mean)
    np.testing.assert_array_equal(draws[::2], gaussian.sample(ssm, y, 3, 3, method=method))
    odd = gaussian.sample(ssm, y, 5, 3, method=method, antithetic=True)
    np.testing.assert_array_equal(odd, draws[:5])


def test_draws_from_a_state_go_on_from_it(nile):
    state = gaussian.filter(level(), nile[:10]).state
    for method in ("sequential", "precision"):
        draw = gaussian.sample(level(), nile[10:20], 1, Given(), method=method, state=state)[0]
        close(draw, gaussian.smooth(level(), nile[:20]).smoothed_mean[10:])


def test_what_has_no_precision_is_refused_in_words(nile):
    for ssm, why in (
        (level()._replace(process_cov=0 * ONE), "noise of the states .* is singular"),
        (level()._replace(obs_cov=0 * ONE), "obs_cov is singular"),
        (level(prior=0.0), "covariance of the first state is singular"),
    ):
        with pytest.raises(InputError, match=f"cannot be used here: .*{why}"):
            gaussian.sample(ssm, nile, method="precision")
    with pytest.raises(InputError, match="undetermined"):
        gaussian.sample(level()._replace(initial_diffuse_cov=ONE), np.full((4, 1), np.nan), method="precision")
    with pytest.raises(InputError, match="n_draws is 0"):
        gaussian.sample(level(), nile, 0, antithetic=True)
