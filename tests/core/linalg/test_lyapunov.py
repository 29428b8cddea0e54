"""Stationary covariances against SciPy, and where SciPy stops."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import solve_discrete_lyapunov

from ssmts.core.linalg.lyapunov import solve_lyapunov, stationary
from ssmts.exceptions import InputError, NumericalError


def stable(rng, n, radius):
    A = rng.normal(size=(n, n))
    return A * radius / np.abs(np.linalg.eigvals(A)).max()


@given(seed=st.integers(0, 10**6))
@settings(max_examples=50, deadline=None)
def test_scipy_agrees(seed):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 8))
    A, G = stable(rng, n, rng.uniform(0, 0.99)), rng.normal(size=(n, 2))
    want = solve_discrete_lyapunov(A, G @ G.T)
    np.testing.assert_allclose(solve_lyapunov(A, G @ G.T), want, rtol=1e-10, atol=1e-10 * np.abs(want).max())
    prior = stationary(A, G @ G.T)
    assert prior.diffuse_cov is None
    np.testing.assert_allclose(prior.cov, want, rtol=1e-10, atol=1e-10 * np.abs(want).max())


@pytest.mark.parametrize("distance", [2.0**-10, 2.0**-20, 2.0**-40])
def test_near_a_unit_root(distance):
    """The variance of a first-order autoregression, 1 / (1 - phi^2)."""
    want = 1 / (distance * (2 - distance))
    assert solve_lyapunov([[1 - distance]], [[1.0]])[0, 0] == pytest.approx(want, rel=1e-15 / distance + 1e-14)


def test_an_adjoint_is_served():
    """trace(S P(V)) = trace(X V) with X the solution for the transposed transition, S indefinite."""
    rng = np.random.default_rng(1)
    A, V, S = stable(rng, 4, 0.9), np.diag([1.0, 0, 2, 0]), rng.normal(size=(4, 4))
    S = S + S.T
    np.testing.assert_allclose(np.sum(S * solve_lyapunov(A, V)), np.sum(solve_lyapunov(A.T, S) * V), rtol=1e-12)


@pytest.mark.parametrize("root", [1.0, -1.0, 1 - 1e-9, 1.2])
def test_roots_without_a_stationary_distribution_are_diffuse(root):
    """In other coordinates too: the diffuse directions are the invariant space, the rest is what a long run gives."""
    rng = np.random.default_rng(2)
    basis = rng.normal(size=(3, 3))
    A = basis @ np.diag([root, 0.5, -0.3]) @ np.linalg.inv(basis)
    prior = stationary(A, np.eye(3))
    np.testing.assert_allclose(prior.unit_roots, [root], rtol=1e-8)
    unit = basis[:, 0] / np.linalg.norm(basis[:, 0])
    np.testing.assert_allclose(prior.diffuse_cov, np.outer(unit, unit), atol=1e-12)
    away = np.eye(3) - prior.diffuse_cov  # where the diffuse part adds nothing, the covariance reproduces itself
    again = away @ (A @ prior.cov @ A.T + np.eye(3)) @ away
    np.testing.assert_allclose(prior.cov, again, atol=1e-8)


def test_a_pair_on_the_circle_stays_together():
    turn = np.array([[0.6, 0.8], [-0.8, 0.6]])
    prior = stationary(turn, np.eye(2))
    np.testing.assert_allclose(prior.diffuse_cov, np.eye(2), atol=1e-14)
    np.testing.assert_allclose(np.abs(prior.unit_roots), 1.0)
    np.testing.assert_array_equal(prior.cov, 0.0)


def test_errors_say_what_to_do():
    with pytest.raises(NumericalError, match=r"modulus 1,.*stationary"):
        solve_lyapunov([[1.0]], [[1.0]])
    with pytest.raises(NumericalError, match="modulus 2,"):
        solve_lyapunov([[2.0]], [[1.0]])
    with pytest.raises(InputError, match="one size"):
        solve_lyapunov([[0.5]], np.eye(2))
    with pytest.raises(InputError, match="square"):
        solve_lyapunov([[0.5, 0.1]], np.eye(2))
    with pytest.raises(InputError, match="noise_cov holds nan"):
        stationary([[0.5]], [[np.nan]])
