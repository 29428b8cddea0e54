"""The score against complex-step derivatives of the joint Gaussian written out."""

import numpy as np
import pytest
from oracles import dense_gaussian as dense

from ssmts.components import Composition, DummySeason, Trend
from ssmts.core import gaussian
from ssmts.core.gaussian._score import PARAMETERS
from ssmts.core.types import LinearGaussianSSM, TimeVarying
from ssmts.exceptions import InputError, NumericalError

ONE = np.eye(1)


def complex_step(ssm, y, inputs=None):
    """The derivative of the twin's log-likelihood with respect to every entry of every field of the model."""
    fields = {}
    for name in PARAMETERS:
        field = getattr(ssm, name)
        if field is None:
            continue
        varying = isinstance(field, TimeVarying)
        values = field.values if varying else field
        gradient = np.zeros(values.shape)
        for place in np.ndindex(values.shape):
            moved = values.astype(complex)
            moved[place] += 1e-30j
            symmetric = name.endswith("cov")
            if symmetric and place[-1] != place[-2]:
                moved[(*place[:-2], place[-1], place[-2])] += 1e-30j
            loglik = dense.loglik(ssm._replace(**{name: TimeVarying(moved) if varying else moved}), y, inputs)
            gradient[place] = loglik.imag / 1e-30 / (2 if symmetric and place[-1] != place[-2] else 1)
        fields[name] = gradient
    return fields


CASES = [
    {"dy": 1, "dx": 2, "dw": 2, "varying": False, "full": False, "diffuse": 0},
    {"dy": 1, "dx": 2, "dw": 1, "varying": False, "diffuse": 2},
    {"dy": 2, "diffuse": 2, "full": False, "inputs": 2},
    {"dy": 2, "diffuse": 3, "inputs": 1, "varying": False},
    {"dy": 3, "diffuse": 0},
    {"dy": 3, "diffuse": 1, "full": False, "varying": False},
    {"dy": 3, "diffuse": 2},
    {"dy": 2, "diffuse": 2, "dx": 4, "moves": 3, "varying": False},
    {"dy": 1, "diffuse": 1, "dx": 3, "moves": 3},
]


def case(number, seed, n=5):
    """A model, a series that resolves its diffuse part, and inputs."""
    options = CASES[number]
    for attempt in range(100):
        rng = np.random.default_rng([number, seed, attempt])
        ssm = dense.random_model(rng, n, **options)
        y = dense.random_series(rng, n, options["dy"], missing=0.2)
        inputs = rng.normal(size=(n, options["inputs"])) if "inputs" in options else None
        if gaussian.filter(ssm, y, inputs).state.rank == 0:
            return ssm, y, inputs
    raise AssertionError("no series resolves the diffuse part")


def unwrap(field):
    return field.values if isinstance(field, TimeVarying) else field


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("number", range(len(CASES)))
def test_every_derivative_equals_a_complex_step_through_the_joint_gaussian(number, seed):
    ssm, y, inputs = case(number, seed)
    loglik, gradient = gaussian.score(ssm, y, inputs=inputs)
    assert loglik == pytest.approx(dense.loglik(ssm, y, inputs), rel=1e-10)
    for name, want in complex_step(ssm, y, inputs).items():
        scale = max(1.0, np.abs(want).max(initial=0.0))
        np.testing.assert_allclose(unwrap(getattr(gradient, name)), want, rtol=1e-7, atol=1e-9 * scale, err_msg=name)


@pytest.mark.parametrize("number", range(len(CASES)))
def test_what_is_asked_for_alone_equals_what_is_asked_for_together(number):
    ssm, y, inputs = case(number, 5)
    loglik, everything = gaussian.score(ssm, y, inputs=inputs)
    for name in PARAMETERS:
        if getattr(ssm, name) is None:
            assert getattr(everything, name) is None
            continue
        one, alone = gaussian.score(ssm, y, wrt=(name,), inputs=inputs)
        assert one == pytest.approx(loglik, rel=1e-12)
        want = unwrap(getattr(everything, name))
        scale = max(1.0, np.abs(want).max(initial=0.0))
        np.testing.assert_allclose(unwrap(getattr(alone, name)), want, rtol=1e-9, atol=1e-10 * scale, err_msg=name)
        assert [field for field in alone if field is not None] == [getattr(alone, name)]


def test_nile_with_a_proper_prior(nile):
    """Computed once by the formulas of Koopman and Shephard (1992) in plain NumPy, and by differences."""
    ssm = LinearGaussianSSM(ONE, 2000.0 * ONE, ONE, 12000.0 * ONE, np.array([1000.0]), 1e5 * ONE)
    gradient = gaussian.score(ssm, nile)[1]
    assert gradient.obs_cov[0, 0] == pytest.approx(5.5322899e-4, rel=1e-7)
    assert gradient.process_cov[0, 0] == pytest.approx(3.8681480e-4, rel=1e-7)


def test_the_score_is_zero_at_the_maximum(nile):
    """The exact diffuse maximum of the local level, 15098.5177 and 1469.1768."""
    ssm = LinearGaussianSSM(ONE, 1469.1768 * ONE, ONE, 15098.5177 * ONE, np.zeros(1), 0 * ONE, ONE)
    gradient = gaussian.score(ssm, nile, wrt=("obs_cov", "process_cov"))[1]
    assert abs(gradient.obs_cov[0, 0]) < 1e-9
    assert abs(gradient.process_cov[0, 0]) < 1e-8


def seasonal(level_var=1.0, slope_var=0.1, season_var=0.5, obs_var=2.0, s=12):
    """Trend and dummy season: the states of a season only move."""
    transition = np.zeros((s + 1, s + 1))
    transition[0, :2] = transition[1, 1] = 1.0
    transition[2, 2:] = -1.0
    transition[3:, 2:-1] = np.eye(s - 2)
    loading = np.eye(s + 1)[:, :3]
    observation = np.zeros((1, s + 1))
    observation[0, [0, 2]] = 1.0
    noise = np.diag([level_var, slope_var, season_var])
    prior = np.zeros(s + 1), np.zeros((s + 1, s + 1)), np.eye(s + 1)
    return LinearGaussianSSM(transition, noise, observation, obs_var * ONE, *prior, process_loading=loading)


def test_variances_of_a_seasonal_model_against_differences():
    rng = np.random.default_rng(3)
    y = (np.cumsum(rng.normal(size=90)) + 5 * np.sin(np.arange(90) * np.pi / 6))[:, None]
    y[[5, 20, 21, 60]] = np.nan
    ssm = seasonal()
    gradient = gaussian.score(ssm, y, wrt=("process_cov", "obs_cov"))[1]
    got = [*np.diagonal(gradient.process_cov), gradient.obs_cov[0, 0]]
    for i, value in enumerate([1.0, 0.1, 0.5, 2.0]):
        names = ("level_var", "slope_var", "season_var", "obs_var")
        up, down = (gaussian.loglik(seasonal(**{names[i]: value * (1 + h)}), y) for h in (1e-5, -1e-5))
        assert got[i] == pytest.approx((up - down) / (2e-5 * value), rel=1e-7)


def test_a_batch_adds_up():
    ssm, y, _ = case(4, 0)
    other = y[::-1].copy()
    loglik, total = gaussian.score(ssm, np.stack([y, other]))
    one, two = gaussian.score(ssm, y), gaussian.score(ssm, other)
    np.testing.assert_allclose(loglik, [one[0], two[0]])
    for both, a, b in zip(total, one[1], two[1]):
        if both is not None:
            np.testing.assert_allclose(unwrap(both), unwrap(a) + unwrap(b), atol=1e-12)


def test_rows_that_are_not_used_have_no_derivative():
    ssm, y, _ = case(4, 1)
    gradient = gaussian.score(ssm, y[:3])[1]
    assert gradient.process_cov.values.shape == ssm.process_cov.values.shape
    assert not gradient.process_cov.values[2:].any()
    assert not gradient.observation.values[3:].any()


def test_wrt_names_parameters_of_the_model(nile):
    ssm = LinearGaussianSSM(ONE, ONE, ONE, ONE, np.zeros(1), ONE)
    with pytest.raises(InputError, match="wrt names 'Q': choose from transition"):
        gaussian.score(ssm, nile, wrt=("Q",))
    with pytest.raises(InputError, match="wrt names 'state_offset': the model does not have it"):
        gaussian.score(ssm, nile, wrt=("state_offset",))


@pytest.mark.parametrize("moves", [0, 2])
def test_an_explosive_transition_does_not_blow_up_what_rounding_leaves(moves):
    """The pass back keeps N symmetric to the bit: with and without kept covariances it gives the same after many rows."""
    rng = np.random.default_rng(0)
    F = (
        np.array([[0.0, 1, 0], [0, 0, 1], [0.6, 1.1, 0.9]])
        if moves
        else np.array([[1.3, 0.2, 0], [0.1, 0.5, 0], [0, 0.3, 1.7]])
    )
    ssm = LinearGaussianSSM(F, np.eye(3), rng.normal(size=(1, 3)), np.eye(1), np.zeros(3), np.eye(3))
    y = rng.normal(size=(1500, 1))
    lean, whole = (
        gaussian.score(ssm, y, names, method="sequential")[1] for names in (("obs_cov",), ("obs_cov", "transition"))
    )
    np.testing.assert_allclose(lean.obs_cov, whole.obs_cov, rtol=1e-10)


@pytest.mark.parametrize("seasons", [(4,), (3, 4)])
def test_the_derivative_of_the_noise_of_states_that_hand_on_is_the_sum_of_those_of_its_rows(seasons):
    rng = np.random.default_rng(len(seasons))
    model = Composition([Trend(), *map(DummySeason, seasons)])
    ssm = model.build(rng.uniform(0.1, 1.0, 3 + len(seasons)))
    y = dense.random_series(rng, 120, 1, missing=0.1)
    rows = TimeVarying(np.repeat(ssm.process_cov[None], len(y), axis=0))
    together = gaussian.score(ssm, y, ("process_cov",), method="sequential")[1].process_cov
    each = gaussian.score(ssm._replace(process_cov=rows), y, ("process_cov",), method="sequential")[1].process_cov
    np.testing.assert_allclose(together, each.values.sum(axis=0), rtol=1e-9, atol=1e-9 * np.abs(together).max())


@pytest.mark.parametrize("method", ["sequential", "square_root"])
def test_a_score_that_is_no_number_is_an_error(method):
    level = LinearGaussianSSM(ONE, ONE, ONE, ONE, np.zeros(1), 0 * ONE, initial_diffuse_cov=ONE)
    y = np.cumsum(np.random.default_rng(0).normal(size=(20, 1)), axis=0)
    assert np.isfinite(gaussian.score(level, y * 1e100, method=method)[1].transition).all()
    with pytest.raises(
        NumericalError, match=r"the score of observation .* is not a number, as sums of squares overflow"
    ):
        gaussian.score(level, y * 1e200, ("observation",), method=method)
