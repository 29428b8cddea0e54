"""The search for a maximum, on functions whose maximum is known."""

import numpy as np
import pytest

from ssmts.forecasting._mle import Problem, maximise


def problem(evaluate, information, bounded, n_effective=100.0):
    bounded = np.array(bounded)
    limits = np.where(bounded[:, None], [0.0, np.inf], [-4.0, 4.0])
    return Problem(evaluate, information, bounded, limits, n_effective)


def two_variances(s1, s2, n=100):
    """Of n observations of variance a and n of a + b: sums of squares n * s1 and n * s2."""

    def evaluate(x):
        a, b = x
        if a <= 0:
            return -np.inf, np.zeros(2)
        t = a + b
        value = -0.5 * n * (np.log(a) + s1 / a + np.log(t) + s2 / t)
        gb = -0.5 * n * (1 / t - s2 / t**2)
        return value, np.array([gb - 0.5 * n * (1 / a - s1 / a**2), gb])

    def information(x):
        a, t = x[0], x.sum()
        return 0.5 * n * np.array([[1 / a**2 + 1 / t**2, 1 / t**2], [1 / t**2, 1 / t**2]])

    return problem(evaluate, information, [True, True], 2.0 * n)


@pytest.mark.parametrize("start", [(1.0, 1.0), (1e-4, 10.0), (50.0, 1e-6)])
def test_maximum_inside(start):
    found = maximise(two_variances(2.0, 5.0), np.array(start))
    assert found.converged
    np.testing.assert_allclose(found.free, [2.0, 3.0], rtol=1e-5)


@pytest.mark.parametrize("start", [(1.0, 1.0), (1e-4, 10.0)])
def test_maximum_on_the_boundary_is_exactly_zero(start):
    found = maximise(two_variances(5.0, 2.0), np.array(start))
    assert found.converged
    assert found.free[1] == 0.0
    assert found.gradient[1] < 0
    assert found.free[0] == pytest.approx(3.5, rel=1e-5)


def test_a_start_on_the_wrong_boundary_is_left():
    found = maximise(two_variances(2.0, 5.0), np.array([4.0, 0.0]))
    assert found.converged
    np.testing.assert_allclose(found.free, [2.0, 3.0], rtol=1e-5)


@pytest.mark.parametrize("wrong", [0.05, 20.0])
def test_information_that_is_wrong_costs_steps_but_no_accuracy(wrong):
    right = two_variances(2.0, 5.0)
    crude = right._replace(information=lambda x: wrong * np.diag(np.diag(right.information(x))))
    found = maximise(crude, np.array([1.0, 1.0]))
    assert found.converged
    np.testing.assert_allclose(found.free, [2.0, 3.0], rtol=1e-4)


def test_unbounded_numbers_beside_a_variance():
    """Mean and variance of a normal sample, from far away."""
    y = np.random.default_rng(0).normal(1.5, 0.3, 200)

    def evaluate(x):
        e = y - x[1]
        if x[0] <= 0:
            return -np.inf, np.zeros(2)
        value = -0.5 * np.sum(np.log(x[0]) + e**2 / x[0])
        return value, np.array([-0.5 * np.sum(1 / x[0] - e**2 / x[0] ** 2), e.sum() / x[0]])

    def information(x):
        return np.diag([100 / x[0] ** 2, 200 / x[0]])

    found = maximise(problem(evaluate, information, [True, False], 200.0), np.array([5.0, -3.0]))
    assert found.converged
    np.testing.assert_allclose(found.free, [y.var(), y.mean()], rtol=1e-5)


def test_only_unbounded_numbers_and_a_limit():
    target = np.array([1.0, 9.0])  # the second lies beyond its limit of 4

    def evaluate(x):
        return -0.5 * np.sum((x - target) ** 2), target - x

    found = maximise(problem(evaluate, lambda x: np.eye(2), [False, False]), np.zeros(2))
    assert found.converged
    np.testing.assert_allclose(found.free, [1.0, 4.0], atol=1e-4)


def test_a_number_without_effect_rests():
    def evaluate(x):
        return -((x[0] - 2) ** 2), np.array([-2 * (x[0] - 2), 0.0])

    found = maximise(problem(evaluate, lambda x: np.diag([2.0, 0.0]), [True, False]), np.array([1.0, 0.7]))
    assert found.converged
    np.testing.assert_allclose(found.free, [2.0, 0.7], rtol=1e-6)


def test_no_maximum_is_not_reported_as_one():
    def grows(x):
        return x[0] ** 2, 2 * x

    assert not maximise(problem(grows, lambda x: np.eye(1), [True]), np.array([1.0])).converged

    def nowhere(x):
        return -np.inf, np.zeros(1)

    assert not maximise(problem(nowhere, lambda x: np.eye(1), [True]), np.array([1.0])).converged


def test_a_gradient_that_lies_ends_the_search_without_success():
    def evaluate(x):
        return -((x[0] - 2) ** 2), 2 * (x - 2)

    found = maximise(problem(evaluate, lambda x: 2 * np.eye(1), [True]), np.array([1.0]))
    assert not found.converged
    assert found.free[0] == pytest.approx(1.0, abs=1e-4)
