"""EM: Murphy's toolbox, a log-likelihood that never falls, and fixed points at which the exact score is zero."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import dense_gaussian as dense
from oracles import murphy_robot

from ssmts.components.transforms import Covariance, Variance
from ssmts.core.gaussian import score, simulate, smooth
from ssmts.core.types import LinearGaussianSSM, TimeVarying
from ssmts.estimation import Parameter, expectation_maximisation, maximum_likelihood
from ssmts.exceptions import InputError

EVERY = (
    "transition",
    "state_offset",
    "process_cov",
    "observation",
    "obs_offset",
    "obs_cov",
    "initial_mean",
    "initial_cov",
)


def test_murphys_toolbox():
    start, robot = murphy_robot.start, murphy_robot.robot
    found = expectation_maximisation(
        start, murphy_robot.y, ("process_cov", "obs_cov"), murphy_robot.inputs, max_iter=50, tol=0.0
    )
    np.testing.assert_allclose(found.logliks[:50], robot["loglik"], rtol=1e-10)
    np.testing.assert_allclose(found.ssm.process_cov, robot["process_cov"], atol=1e-9)
    np.testing.assert_allclose(found.ssm.obs_cov, robot["obs_cov"], atol=1e-9)
    smoothed = smooth(found.ssm, murphy_robot.y, murphy_robot.inputs)
    np.testing.assert_allclose(smoothed.smoothed_mean[::100], robot["smoothed_mean"], atol=1e-8)
    np.testing.assert_allclose(smoothed.smoothed_cov[250], robot["smoothed_cov_250"], atol=1e-8)


def model(rng, dy=2, dx=2, diffuse=False, inputs=0):
    def cov(n):
        half = rng.normal(size=(n, n))
        return half @ half.T + 0.3 * np.eye(n)

    return LinearGaussianSSM(
        transition=0.4 * rng.normal(size=(dx, dx)),
        process_cov=cov(dx),
        observation=rng.normal(size=(dy, dx)),
        obs_cov=cov(dy),
        initial_mean=rng.normal(size=dx),
        initial_cov=cov(dx),
        initial_diffuse_cov=np.diag([1.0] + [0.0] * (dx - 1)) if diffuse else None,
        state_offset=rng.normal(size=dx),
        obs_offset=rng.normal(size=dy),
        input_matrix=rng.normal(size=(dx, inputs)) if inputs else None,
        feedthrough=rng.normal(size=(dy, inputs)) if inputs else None,
    )


def never_falls(found):
    assert np.all(np.diff(found.logliks) > -1e-9 * (1 + np.abs(found.logliks[1:])))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.booleans(), st.booleans(), st.sets(st.sampled_from(EVERY), min_size=1))
def test_the_log_likelihood_never_falls(seed, diagonal, diffuse, names):
    rng = np.random.default_rng(seed)
    ssm = model(rng, diffuse=diffuse, inputs=1)
    if diagonal:
        ssm = ssm._replace(obs_cov=np.diag(np.diagonal(ssm.obs_cov)))
    names = {"input_matrix", "feedthrough"} | names - ({"initial_mean", "initial_cov"} if diffuse else set())
    restrict = {"obs_cov": np.eye(2, dtype=bool)} if diagonal and "obs_cov" in names else None
    y, u = dense.random_series(rng, 12, 2), rng.normal(size=(12, 1))
    found = expectation_maximisation(ssm, y, tuple(names), u, restrict=restrict, max_iter=8, tol=0.0)
    never_falls(found)
    assert found.loglik == pytest.approx(dense.loglik(found.ssm, y, u), rel=1e-8)


@pytest.mark.parametrize("diagonal", [True, False])
@pytest.mark.parametrize("diffuse", [True, False])
def test_a_fixed_point_has_zero_score(diagonal, diffuse):
    """EM rests where the exact score is zero, which a search by that score finds, and nowhere near."""
    rng = np.random.default_rng(1)
    ssm = model(rng, diffuse=diffuse)._replace(transition=np.array([[0.9, 0.2], [0.1, 0.4]]))
    y = simulate(ssm._replace(initial_diffuse_cov=None), 120, random_state=0)[1][0]
    y[rng.random((120, 2)) < 0.2] = np.nan
    free = np.array([[True, False], [False, True]])
    shape = Variance() if diagonal else Covariance()

    def build(p):
        R = np.diag(np.asarray(p["noise"])) if diagonal else p["noise"]
        F = np.array([[p["roots"][0], 0.2], [0.1, p["roots"][1]]])
        return ssm._replace(transition=F, process_cov=p["shocks"], obs_cov=R)

    start = {
        "roots": Parameter([0.5, 0.5]),
        "shocks": Parameter(np.eye(2), Covariance()),
        "noise": Parameter(np.ones(2) if diagonal else np.eye(2), shape),
    }
    best = maximum_likelihood(build, y, start)
    assert best.converged
    assert not best.boundary
    names = ("transition", "process_cov", "obs_cov")
    restrict = {"transition": free} | ({"obs_cov": np.eye(2, dtype=bool)} if diagonal else {})
    rests = expectation_maximisation(best.ssm, y, names, restrict=restrict, max_iter=3, tol=-1.0)
    for name in names:
        np.testing.assert_allclose(getattr(rests.ssm, name), getattr(best.ssm, name), atol=1e-5)
    away = build(best.params | {"roots": best.params["roots"] - 0.1})
    climbs = expectation_maximisation(away, y, names, restrict=restrict, max_iter=60, tol=0.0)
    never_falls(climbs)
    assert climbs.loglik < best.loglik + 1e-9
    assert best.loglik - climbs.loglik < 0.1 * (best.loglik - climbs.logliks[0])
    np.testing.assert_array_equal(climbs.ssm.transition[~free], ssm.transition[~free])


def test_where_em_ends_the_score_is_zero():
    rng = np.random.default_rng(2)
    y = rng.normal(size=(25, 2)) + [1.0, -1.0]
    y[3, 0], y[7] = np.nan, np.nan
    ssm, names = model(rng), ("obs_cov", "obs_offset")
    ssm = ssm._replace(process_cov=0.1 * ssm.process_cov)
    found = expectation_maximisation(ssm, y, names, max_iter=3000, tol=1e-15)
    for gradient in score(found.ssm, y, wrt=names)[1]:
        assert gradient is None or np.abs(gradient).max() < 1e-4


def test_linear_restrictions():
    """A companion transition whose two lags are the same number."""
    rng = np.random.default_rng(3)
    y = np.zeros((200, 1))
    for t in range(2, 200):
        y[t] = 0.4 * y[t - 1] + 0.4 * y[t - 2] + rng.normal()
    ssm = LinearGaussianSSM(
        np.array([[0.1, 0.1], [1.0, 0.0]]), np.eye(1), np.eye(1, 2), np.zeros((1, 1)), np.zeros(2), np.eye(2),
        process_loading=np.eye(2, 1),
    )  # fmt: skip
    same = np.array([[[1.0, 1.0], [0.0, 0.0]]])
    found = expectation_maximisation(
        ssm, y, ("transition", "process_cov"), restrict={"transition": same}, max_iter=50, tol=1e-14
    )
    F = found.ssm.transition
    assert F[0, 0] == F[0, 1]
    np.testing.assert_array_equal(F[1], [1.0, 0.0])
    z = y[1:-1, 0] + y[:-2, 0]
    slope = z @ y[2:, 0] / (z @ z)
    assert F[0, 0] == pytest.approx(slope, abs=0.01)  # but for the start
    gradient = score(found.ssm, y, wrt=("transition", "process_cov"))[1]
    assert abs(gradient.transition[0].sum()) < 1e-4
    assert abs(gradient.process_cov.item()) < 1e-4


def test_what_has_no_noise_stays_as_it_is():
    rng = np.random.default_rng(4)
    ssm = model(rng)._replace(process_cov=np.diag([1.0, 0.0]), obs_cov=np.diag([0.0, 1.0]))
    y = np.random.default_rng(0).normal(size=(20, 2))
    y[:, 0] = np.nan
    y[3, 0] = 1.0
    found = expectation_maximisation(
        ssm, y, ("transition", "process_cov", "observation", "obs_cov"), max_iter=5, tol=0.0
    )
    never_falls(found)
    np.testing.assert_array_equal(found.ssm.transition[1], ssm.transition[1])
    np.testing.assert_array_equal(found.ssm.observation[0], ssm.observation[0])
    np.testing.assert_allclose(found.ssm.process_cov[1], 0.0, atol=1e-9)
    assert found.ssm.obs_cov[0, 0] == pytest.approx(0.0, abs=1e-12)
    assert np.abs(found.ssm.transition[0] - ssm.transition[0]).max() > 0.01


def test_time_varying_neighbours():
    rng = np.random.default_rng(5)
    ssm, y = model(rng), dense.random_series(rng, 10, 2)
    ramp = rng.uniform(0.5, 1.5, size=10)[:, None, None]
    ssm = ssm._replace(
        observation=TimeVarying(ramp * ssm.observation),
        process_cov=TimeVarying(ramp * ssm.process_cov),
        obs_cov=TimeVarying(ramp * ssm.obs_cov),
    )
    found = expectation_maximisation(ssm, y, ("transition", "state_offset", "obs_offset", "initial_mean"), max_iter=400)
    never_falls(found)
    gradient = score(found.ssm, y, wrt=("transition", "state_offset", "obs_offset"))[1]
    assert np.abs(gradient.obs_offset).max() < 0.05


def test_a_batch_adds_up():
    rng = np.random.default_rng(6)
    ssm, y = model(rng), rng.normal(size=(4, 15, 2))
    y[1, 3:5] = np.nan
    twice = expectation_maximisation(ssm, np.concatenate([y, y]), EVERY, max_iter=10, tol=0.0)
    once = expectation_maximisation(ssm, y, EVERY, max_iter=10, tol=0.0)
    never_falls(once)
    np.testing.assert_allclose(twice.logliks, 2 * once.logliks, rtol=1e-9)
    alone = expectation_maximisation(ssm, y[0], ("process_cov",), max_iter=3, tol=0.0)
    same = expectation_maximisation(ssm, y[:1], ("process_cov",), max_iter=3, tol=0.0)
    np.testing.assert_allclose(alone.logliks, same.logliks, rtol=1e-12)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        ({"estimate": ("noise",)}, "estimate names 'noise': choose from"),
        ({"estimate": ("input_matrix",)}, "the model does not have it"),
        ({"estimate": ("initial_mean",), "diffuse": True}, "the start is diffuse"),
        ({"estimate": ("obs_cov",), "restrict": {"transition": np.eye(2, dtype=bool)}}, "not among the fields"),
        ({"estimate": ("obs_cov",), "restrict": {"obs_cov": np.eye(2, dtype=bool)}}, "whole diagonal blocks"),
        ({"estimate": ("obs_cov",), "restrict": {"obs_cov": np.eye(2)}}, "symmetric booleans"),
        ({"estimate": ("transition",), "restrict": {"transition": np.ones((2, 3))}}, "directions of shape"),
    ],
)
def test_refusals(call, words):
    ssm = model(np.random.default_rng(7), diffuse=call.pop("diffuse", False))
    with pytest.raises(InputError, match=words):
        expectation_maximisation(ssm, np.zeros((5, 2)), **call)
    moving = ssm._replace(transition=TimeVarying(np.tile(ssm.transition, (5, 1, 1))))
    with pytest.raises(InputError, match="transition is time-varying"):
        expectation_maximisation(moving, np.zeros((5, 2)), ("transition",))
