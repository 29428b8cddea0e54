import numpy as np
import pytest

from ssmts.components import (
    Autoregression,
    Block,
    Cycle,
    DampedTrend,
    DummySeason,
    Level,
    Regression,
    Trend,
    TrigonometricSeason,
)

CASES = {
    "level": (Level(), [0.7]),
    "fixed level": (Level(fixed=True), []),
    "trend": (Trend(), [0.7, 0.02]),
    "smooth trend": (Trend(smooth=True), [0.02]),
    "damped trend": (DampedTrend(), [0.7, 0.02, 0.85]),
    "trigonometric": (TrigonometricSeason(12, (1, 2, 3, 4, 5, 6)), [0.1]),
    "fractional season": (TrigonometricSeason(52.18, (1, 3)), [0.1]),
    "dummy": (DummySeason(4), [0.1]),
    "dummy of two": (DummySeason(2), [0.1]),
    "cycle": (Cycle(5.0, 40.0), [11.0, 0.9, 0.3]),
    "ar1": (Autoregression(1), [0.8, 0.5]),
    "ar3": (Autoregression(3), [0.4, 0.2, -0.3, 0.5]),
    "regression": (Regression(("a", "b")), []),
}


@pytest.fixture(params=CASES)
def case(request):
    component, values = CASES[request.param]
    return component, np.array(values)


def test_shapes_and_names_agree(case):
    component, values = case
    structure, block = component.structure, component.block(values)
    k = len(structure.state_names)
    assert len(set(structure.state_names)) == k
    assert structure.observation.shape == structure.diffuse.shape == block.process_var.shape == (k,)
    assert structure.transition.shape == block.transition.shape == block.initial_cov.shape == (k, k)
    assert len(component.parameter_names) == values.size == sum(len(group.start) for group in component.groups)


def test_a_component_is_a_value(case):
    component, _ = case
    assert hash(component) == hash(component)
    assert component == type(component)(**vars(component))


def test_derivatives_equal_central_differences(case):
    """Of a random linear function of the matrices."""
    component, values = case
    rng = np.random.default_rng(1)
    block = component.block(values)
    weights = Block(*(rng.normal(size=part.shape) for part in block))
    # a gradient with respect to a symmetric matrix is symmetric
    weights = weights._replace(initial_cov=weights.initial_cov + weights.initial_cov.T)

    def total(x):
        return sum(float(np.sum(w * part)) for w, part in zip(weights, component.block(x)))

    differences = [(total(values + step) - total(values - step)) / 2e-6 for step in np.eye(values.size) * 1e-6]
    if component.is_static:  # constant entries of the transition carry no parameter
        weights = weights._replace(transition=np.zeros_like(weights.transition))
    np.testing.assert_allclose(component.pull_back(values, block, weights), differences, rtol=1e-6, atol=1e-7)


def test_the_proper_part_of_the_first_state_is_its_stationary_law(case):
    component, values = case
    diffuse = component.structure.diffuse.astype(bool)
    F, q, P = component.block(values)
    after = F @ P @ F.T + np.diag(q)
    np.testing.assert_allclose(after[np.ix_(~diffuse, ~diffuse)], P[np.ix_(~diffuse, ~diffuse)], atol=1e-12)
    assert not P[diffuse].any()


def test_gains_equal_the_transform_of_the_impulse_response(case):
    """Sum over lags of h F^k g z^-(k+1), which converges outside the unit circle."""
    component, values = case
    structure, transition = component.structure, component.block(values).transition
    z = np.exp(0.25 + 1j * np.array([0.05, 0.6, 1.7, 3.0]))
    response, power = np.zeros((4, len(structure.state_names)), dtype=complex), np.eye(len(transition))
    for k in range(200):
        response += (structure.observation @ power) * (z ** -(k + 1))[:, None]
        power = power @ transition
    expected = [
        sum(np.abs(response[:, i]) ** 2 for i, owner in enumerate(structure.variance_of) if owner == name)
        for name in component.variance_names
    ]
    np.testing.assert_allclose(component.gains(values, z), np.reshape(expected, (-1, 4)), rtol=1e-8)


@pytest.mark.parametrize("season", [TrigonometricSeason(6, (1, 2, 3)), DummySeason(6)])
def test_a_season_without_noise_repeats_and_sums_to_zero(season):
    structure = season.structure
    state = np.random.default_rng(0).normal(size=len(structure.state_names))
    seen = []
    for _ in range(12):
        seen.append(structure.observation @ state)
        state = structure.transition @ state
    np.testing.assert_allclose(seen[:6], seen[6:], atol=1e-12)
    assert abs(sum(seen[:6])) < 1e-12


def test_harmonic_of_half_a_turn_has_one_state():
    assert len(TrigonometricSeason(12, tuple(range(1, 7))).structure.state_names) == 11
    assert len(TrigonometricSeason(7, (1, 2, 3)).structure.state_names) == 6
    assert TrigonometricSeason(2, (1,)).structure.transition.tolist() == [[-1.0]]


def test_a_cycle_turns_once_a_period():
    turn = Cycle(5.0, 40.0).block(np.array([8.0, 0.5, 1.0])).transition
    np.testing.assert_allclose(np.linalg.matrix_power(turn, 8), 0.5**8 * np.eye(2), atol=1e-15)


def test_covariance_of_an_autoregression_equals_its_moving_average():
    values = np.array([0.4, 0.2, -0.3, 0.5])
    block = Autoregression(3).block(values)
    psi = [1.0]
    for k in range(1, 300):
        psi.append(sum(values[j] * psi[k - 1 - j] for j in range(3) if k - 1 - j >= 0))
    psi = np.array(psi)
    gamma = [0.5 * psi[lag:] @ psi[: psi.size - lag] for lag in range(3)]
    np.testing.assert_allclose(block.initial_cov[0], gamma, rtol=1e-10)
