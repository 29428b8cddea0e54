"""What the passes make of a transition's structure: sums of states, shears, updates held back; none of it may show."""

import numpy as np
import pytest
from oracles import dense_gaussian as dense

from ssmts.core import gaussian
from ssmts.core.gaussian import _forward
from ssmts.core.gaussian._lift import find_sums
from ssmts.core.gaussian._pack import compress
from ssmts.core.types import LinearGaussianSSM, TimeVarying

from .cases import close


def dummy(length, factor=-1.0):
    """Transition of a dummy season; with another factor than -1, its first effect is any multiple of the sum."""
    transition = np.eye(length - 1, k=-1)
    transition[0] = factor
    return transition


def blocks(*parts):
    n = sum(len(part) for part in parts)
    out, at = np.zeros((n, n)), 0
    for part in parts:
        out[at : at + len(part), at : at + len(part)] = part
        at += len(part)
    return out


TREND = np.array([[1.0, 1.0], [0.0, 1.0]])
TRANSITIONS = {
    "season": blocks(TREND, dummy(8)),
    "two seasons": blocks(dummy(8), np.array([[0.7]]), dummy(9)),
    "season and the sum elsewhere": blocks(TREND, dummy(8)) + np.outer(np.eye(9)[0], np.r_[0.0, 0.0, np.full(7, 0.5)]),
    "damped": blocks(np.array([[1.0, 0.9], [0.0, 0.9]]), dummy(8)),
    "rows that cannot be ordered": blocks(np.array([[0.8, 0.6], [-0.6, 0.8]]), dummy(8)),
    "companion by columns": np.eye(6, k=1) + np.outer([0.5, -0.2, 0.1, 0.3, -0.1, 0.05], np.eye(6)[0]),
    "companion by rows": np.eye(6, k=-1) + np.outer(np.eye(6)[0], [0.5, -0.2, 0.1, 0.3, -0.1, 0.05]),
    "upper triangle": np.triu(np.full((5, 5), 0.5)),
    "dead state": np.diag([0.5, 0.0, 1.0]) + np.eye(3, k=1),
}


def model(transition, seed, n_obs=1, diffuse=0.5, offset=False):
    rng = np.random.default_rng(seed)
    n = len(transition)
    G = np.zeros((n, 3))
    G[rng.permutation(n)[:3], range(3)] = 1.0
    root = rng.normal(size=(3, 3))
    H = rng.normal(size=(n_obs, n)) * (rng.random((n_obs, n)) < 0.8)
    H[:, 0] = 1.0
    R = np.diag(rng.uniform(0.5, 2.0, n_obs))
    prior = np.diag(rng.uniform(0.0, 1.0, n))
    shift = rng.normal(size=n) if offset else None
    A = np.eye(n)[:, : int(n * diffuse)]
    return LinearGaussianSSM(
        transition, root @ root.T, H, R, rng.normal(size=n), prior, A @ A.T if diffuse else None, shift, None, G
    )


def rows(seed, n, n_obs=1):
    rng = np.random.default_rng(seed)
    y = rng.normal(size=(n, n_obs))
    y[rng.random((n, n_obs)) < 0.2] = np.nan
    return y


@pytest.mark.parametrize("n_obs", [1, 2])
@pytest.mark.parametrize("name", TRANSITIONS)
def test_likelihood_equals_the_joint_gaussian(name, n_obs):
    ssm, y = model(TRANSITIONS[name], 1, n_obs, offset=True), rows(2, 16, n_obs)
    want = dense.loglik(ssm, y)
    close(gaussian.loglik(ssm, y, method="sequential"), want)
    close(gaussian.filter(ssm, y, method="sequential").loglik, want)


@pytest.mark.parametrize("diffuse", [0, 1])
@pytest.mark.parametrize("name", TRANSITIONS)
def test_constant_and_time_varying_transitions_give_the_same(name, diffuse):
    """A transition that is given row by row is not lifted."""
    n = 40
    ssm, y = model(TRANSITIONS[name], 3, diffuse=diffuse, offset=True), rows(4, n)
    each = ssm._replace(transition=TimeVarying(np.repeat(ssm.transition[None], n, axis=0)))
    wrt = ("process_cov", "obs_cov", "state_offset", "initial_mean", "initial_cov", "process_loading")
    (loglik, slopes), (other, others) = (gaussian.score(x, y, wrt, method="sequential") for x in (ssm, each))
    close(loglik, other)
    for field in wrt:
        close(getattr(slopes, field), getattr(others, field))
    for got, want in zip(
        gaussian.filter(ssm, y, method="sequential")[:-1], gaussian.filter(each, y, method="sequential")[:-1]
    ):
        close(got, want)
    for got, want in zip(gaussian.smooth(ssm, y, method="sequential"), gaussian.smooth(each, y, method="sequential")):
        close(got, want, 1e-8)


def test_a_dummy_season_is_lifted_to_a_cycle():
    F = compress(TRANSITIONS["season"][None])
    sums, lifted = find_sums(F)
    np.testing.assert_array_equal(sums, [[0.0] * 2 + [-1.0] * 7])
    assert len(lifted.col) == 2 + 8 + 1  # the trend takes three entries, and every other state one
    assert find_sums(compress(dummy(8, 0.5)[None])) is None


def test_replaced_noise_reaches_the_lifted_model():
    ssm, y = model(TRANSITIONS["two seasons"], 5), rows(6, 30)
    packed = gaussian.pack(ssm)
    assert packed.lift is not None
    changed = {"process_cov": 2.0 * ssm.process_cov, "obs_cov": 3.0 * ssm.obs_cov}
    fresh = gaussian.loglik(ssm._replace(**changed), y, method="sequential")
    close(gaussian.loglik(packed.replace(**changed), y, method="sequential"), fresh)


@pytest.mark.parametrize("noise", [0.0, 1.0])
def test_updates_held_back(monkeypatch, noise):
    """Many states: updates reach the covariance four at a time, and all of them before a row without noise is cleaned up."""
    transition = blocks(TREND, dummy(60))
    ssm, y = model(transition, 7, diffuse=0, offset=True), rows(8, 150)
    ssm = ssm._replace(obs_cov=noise * ssm.obs_cov)
    kept = gaussian.filter(ssm, y, method="sequential")  # covariances that are kept are never behind
    assert len(transition) >= _forward.MANY
    close(gaussian.loglik(ssm, y, method="sequential"), kept.loglik)
    state = _forward.run(gaussian.pack(ssm), y, None, None).state
    close(state.mean, kept.state.mean)
    close(state.cov, kept.state.cov)


def test_products_of_variances_neither_over_nor_underflow():
    one = np.eye(1)
    for size in (1e-90, 1e-30, 1e30, 1e120):
        white = LinearGaussianSSM(0 * one, 0 * one, one, size * one, np.zeros(1), 0 * one)
        want = -0.5 * 40 * (np.log(2 * np.pi) + np.log(size))
        close(gaussian.loglik(white, np.zeros((40, 1)), method="sequential"), want)


def test_a_state_told_exactly_in_the_diffuse_phase_is_known():
    """The second row contradicts the first, which had no noise; the rounding of the first must not hide that."""
    one = np.eye(2)
    ssm = LinearGaussianSSM(
        one, 0 * one, one[[0, 1, 0]], np.diag([0.0, 1.0, 0.0]), np.zeros(2), one / 3, np.full((2, 2), 0.7) + one
    )
    assert gaussian.loglik(ssm, np.array([[1.0, 2.0, 1.0], [1.0, 3.0, 1.0]]), method="sequential") > -100
    assert gaussian.loglik(ssm, np.array([[1.0, 2.0, np.nan], [1.1, 3.0, np.nan]]), method="sequential") == -np.inf


@pytest.mark.parametrize("seed", range(3))
def test_a_transition_of_the_same_pattern_has_moves_of_its_own(seed):
    rng = np.random.default_rng(seed)
    F = np.eye(4, k=1) + np.diag([0.0, 0.0, 0.0, 1.0])
    y = rng.normal(size=(8, 1))
    packed = gaussian.pack(LinearGaussianSSM(F, np.eye(4), np.ones((1, 4)), np.eye(1), np.zeros(4), np.eye(4)))
    for scaled in (F, 0.5 * F, F * rng.integers(1, 3, F.shape), F):
        model = packed.ssm._replace(transition=scaled)
        want = dense.loglik(model, y)
        for again in (gaussian.pack(model), packed.replace(transition=scaled)):
            np.testing.assert_allclose(gaussian.loglik(again, y, method="sequential"), want, rtol=1e-10)
