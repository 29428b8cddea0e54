import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssmts.components.transforms import Correlation, Covariance, Free, Interval, Positive, Stationary, Variance

TRANSFORMS = {
    "free": (Free(), np.array([-0.3, 2.0])),
    "positive": (Positive(), np.array([-0.3, 2.0])),
    "covariance": (Covariance(), np.array([0.5, -0.3, 1.2, 0.8, 0.1, 0.4])),
    "correlation": (Correlation(), np.array([0.5, -0.3, 1.2])),
    "variance": (Variance(), np.array([0.3, 2.0])),
    "interval": (Interval(), np.array([-1.2, 0.4])),
    "period": (Interval(18.0, 144.0, geometric=True), np.array([0.7])),
    "stationary": (Stationary(), np.array([0.6, -0.4, 1.1, 0.2])),
}


@pytest.mark.parametrize("name", TRANSFORMS)
def test_free_numbers_and_values_are_each_others_inverse(name):
    transform, free = TRANSFORMS[name]
    np.testing.assert_allclose(transform.to_free(transform.from_free(free)), free, rtol=1e-12)


@pytest.mark.parametrize("name", TRANSFORMS)
def test_jacobian_equals_central_differences(name):
    transform, free = TRANSFORMS[name]
    columns = []
    for step in np.eye(free.size) * 1e-6:
        columns.append((transform.from_free(free + step) - transform.from_free(free - step)) / 2e-6)
    np.testing.assert_allclose(transform.jacobian(free), np.column_stack(columns), rtol=1e-7, atol=1e-9)


def test_autoregression_from_partial_autocorrelations():
    # KFAS 1.5, help page of SSMarima: artransform(c(1, 1, 1))
    np.testing.assert_allclose(Stationary().from_free(np.ones(3)), [-0.3984572, 0.6233126, 0.7615942], atol=5e-8)


@given(st.lists(st.floats(-3, 3), min_size=1, max_size=6))
def test_every_free_number_gives_a_stationary_autoregression(free):
    coefficients = Stationary().from_free(np.array(free))
    companion = np.eye(len(free), k=-1)
    companion[0] = coefficients
    assert np.abs(np.linalg.eigvals(companion)).max() < 1 + 1e-9
    assert Stationary().contains(coefficients)


def test_an_explosive_autoregression_is_not_admissible():
    assert not Stationary().contains(np.array([1.1]))
    assert not Stationary().contains(np.array([0.5, 0.6]))


def test_limits_of_admissible_values():
    assert Variance().contains(np.array([0.0]))
    assert not Variance().contains(np.array([-1e-9]))
    assert not Variance().contains(np.array([np.inf]))
    assert Interval().contains(np.array([0.5]))
    assert not Interval().contains(np.array([1.0]))
    assert not Interval().contains(np.array([np.nan]))


@given(st.lists(st.floats(-3, 3), min_size=6, max_size=6))
def test_every_free_number_gives_a_covariance_and_a_correlation(free):
    numbers = np.array(free)
    covariance, correlation = Covariance(), Correlation()
    assert covariance.contains(covariance.from_free(numbers))
    matrix = correlation.from_free(numbers).reshape(4, 4)
    np.testing.assert_allclose(np.diagonal(matrix), 1.0, atol=1e-12)
    assert np.linalg.eigvalsh(matrix)[0] > -1e-12


def test_singular_covariances_have_a_factor():
    singular = np.outer([1.0, 2.0, -1.0], [1.0, 2.0, -1.0])
    for matrix in (singular, np.zeros((3, 3)), np.diag([0.0, 4.0, 0.0])):
        back = Covariance().from_free(Covariance().to_free(matrix.ravel())).reshape(3, 3)
        np.testing.assert_allclose(back, matrix, atol=1e-14)
    assert not Covariance().contains(np.array([1.0, 2.0, 2.0, 1.0]))
    assert not Covariance().contains(np.array([1.0, 0.5, 0.4, 1.0]))
    assert not Correlation().contains(np.array([1.0, 0.5, 0.5, 2.0]))
    assert not Positive().contains(np.zeros(1))
