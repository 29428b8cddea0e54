"""Exact discretisation against quadrature, closed forms, and itself over two half steps."""

from itertools import pairwise
from math import factorial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import expm

from ssmts.core.linalg.discretize import discretize, discretize_stationary
from ssmts.exceptions import InputError, NumericalError

DRIFTS = {
    "zero": np.zeros((2, 2)),
    "singular": np.array([[0.0, 1.0], [0.0, 0.0]]),
    "stable": np.array([[-1.0, 0.3, 0.0], [0.2, -0.5, 1.0], [0.0, -1.0, -2.0]]),
    "unstable": np.array([[0.5, 2.0], [-1.0, 0.1]]),
    "badly scaled": np.array([[0.0, 1.0], [-1e6, -2e3]]),
}


@pytest.mark.parametrize("name", DRIFTS)
@pytest.mark.parametrize("dt", [1e-3, 0.1, 1.0, 4.0])
def test_equals_the_exponential_and_quadrature(name, dt):
    A = DRIFTS[name]
    L = np.random.default_rng(len(name)).normal(size=(len(A), 2))
    F, Q = discretize(A, L @ L.T, dt)
    np.testing.assert_allclose(F, expm(A * dt), rtol=1e-10, atol=1e-12 * np.abs(F).max())
    nodes, weights = np.polynomial.legendre.leggauss(40)
    pieces = np.linspace(0, dt, 41) if name != "badly scaled" else np.concatenate([[0], np.geomspace(1e-5, dt, 60)])
    want = np.zeros_like(Q)
    for low, high in pairwise(pieces):
        for x, w in zip(nodes, weights):
            e = expm(A * (low + (high - low) * (x + 1) / 2)) @ L
            want += w * (high - low) / 2 * (e @ e.T)
    np.testing.assert_allclose(Q, want, rtol=1e-8, atol=1e-11 * np.abs(want).max())


@pytest.mark.parametrize("dt", [1e-6, 1e-3, 1.0, 50.0])
def test_every_entry_of_an_integrator_chain_is_exact(dt):
    n = 4
    A, D = np.eye(n, k=1), np.diag([0.0] * (n - 1) + [2.0])
    want = np.array(
        [
            [
                2 * dt ** (2 * n - 1 - i - j) / (2 * n - 1 - i - j) / factorial(n - 1 - i) / factorial(n - 1 - j)
                for j in range(n)
            ]
            for i in range(n)
        ]
    )
    np.testing.assert_allclose(discretize(A, D, dt)[1], want, rtol=1e-12)


@given(seed=st.integers(0, 10**6), scale=st.floats(1e-3, 30.0), part=st.floats(0.0, 1.0))
@settings(max_examples=50, deadline=None)
def test_two_steps_are_one(seed, scale, part):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 5))
    A, L = rng.normal(size=(n, n)) - scale / 10 * np.eye(n), rng.normal(size=(n, 1))
    F, Q = discretize(A, L @ L.T, scale * np.array([part, 1 - part, 1.0]))
    np.testing.assert_allclose(F[1] @ F[0], F[2], rtol=1e-9, atol=1e-11 * np.abs(F).max() ** 2)
    joined = F[1] @ Q[0] @ F[1].T + Q[1]
    np.testing.assert_allclose(joined, Q[2], rtol=1e-9, atol=1e-11 * np.abs(joined).max())
    np.testing.assert_array_equal(Q[2], Q[2].T)
    assert np.linalg.eigvalsh(Q[2])[0] >= -1e-12 * np.abs(Q[2]).max()


def test_no_time_changes_nothing_and_equal_steps_are_equal():
    A = DRIFTS["stable"]
    F, Q = discretize(A, np.eye(3), [0.0, 1.0, 0.0, 1.0])
    np.testing.assert_array_equal(F[0], np.eye(3))
    np.testing.assert_array_equal(Q[0], 0)
    np.testing.assert_array_equal(F[1], F[3])
    assert discretize(A, np.eye(3), [])[0].shape == (0, 3, 3)


def test_a_long_step_of_a_stiff_drift_reaches_the_stationary_covariance():
    A, P = np.diag([-1e4, -1.0]), np.array([[2.0, 0.5], [0.5, 1.0]])
    F, Q = discretize_stationary(A, P, 100.0)
    np.testing.assert_allclose(Q, P, rtol=1e-11)
    np.testing.assert_allclose(F, 0, atol=1e-40)


@pytest.mark.parametrize("dt", [0.05, 1.0, 7.0])
def test_the_stationary_form_is_the_difference(dt):
    """Matern 5/2 (Hartikainen and Saerkkae 2010)."""
    rate = np.sqrt(5.0) / 1.7
    A = np.array([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [-(rate**3), -3 * rate**2, -3 * rate]])
    k = rate**2 / 3
    P = np.array([[1.0, 0.0, -k], [0.0, k, 0.0], [-k, 0.0, rate**4]])
    F, Q = discretize_stationary(A, P, dt)
    np.testing.assert_allclose(Q, P - F @ P @ F.T, atol=1e-12 * P.max())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((np.eye(2), np.eye(3), 1.0), "square matrices"),
        ((np.eye(2), np.eye(2), -1.0), "none negative"),
        ((np.eye(2), np.eye(2), np.ones((2, 2))), "one number a row"),
        ((np.eye(2) * np.nan, np.eye(2), 1.0), "drift holds nan"),
    ],
)
def test_what_does_not_fit_is_refused(arguments, words):
    with pytest.raises(InputError, match=words):
        discretize(*arguments)


def test_an_explosion_says_so():
    with pytest.raises(NumericalError, match="shorter steps"):
        discretize([[1.0]], [[1.0]], 1e6)
