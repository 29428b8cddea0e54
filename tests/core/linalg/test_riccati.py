"""Steady states against SciPy, published values, and the filter itself where SciPy stops."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import solve_discrete_are

from ssmts.core.linalg.riccati import solve_riccati
from ssmts.exceptions import InputError, NumericalError

ONE = np.eye(1)


def trend_and_season(s, level, slope, season):
    """Slope and dummy season: transition, noise covariance, observation."""
    F, V, H = np.zeros((s + 1, s + 1)), np.zeros((s + 1, s + 1)), np.zeros((1, s + 1))
    F[0, :2] = F[1, 1] = 1.0
    F[2, 2:] = -1.0
    F[np.arange(3, s + 1), np.arange(2, s)] = 1.0
    V[[0, 1, 2], [0, 1, 2]] = level, slope, season
    H[0, [0, 2]] = 1.0
    return F, V, H


def settled(F, V, H, R, rows):
    """The covariance after many rows that begin with a known state."""
    P = V
    for _ in range(rows):
        S = H @ P @ H.T + R
        P = F @ (P - P @ H.T @ np.linalg.pinv(S) @ H @ P) @ F.T + V
    return P


@given(seed=st.integers(0, 10**6))
@settings(max_examples=50, deadline=None)
def test_scipy_agrees(seed):
    rng = np.random.default_rng(seed)
    n, p = int(rng.integers(1, 8)), int(rng.integers(1, 5))
    F = rng.normal(size=(n, n))
    F *= rng.uniform(0.3, 1.3) / np.abs(np.linalg.eigvals(F)).max()
    G, H, root = rng.normal(size=(n, n)), rng.normal(size=(p, n)), rng.normal(size=(p, p))
    R = root @ root.T + 0.01 * np.eye(p)
    want = solve_discrete_are(F.T, H.T, G @ G.T, R)
    got = solve_riccati(F, G @ G.T, H, R)
    np.testing.assert_allclose(got.predicted_cov, want, rtol=1e-7, atol=1e-9 * np.abs(want).max())
    np.testing.assert_allclose(got.innovation_cov, H @ want @ H.T + R, rtol=1e-7, atol=1e-9)
    assert got.radius < 1


def test_published_values():
    """The level of the Nile (Durbin and Koopman 2012) and a local linear trend."""
    nile = solve_riccati(ONE, 1469.1 * ONE, ONE, 15099.0 * ONE)
    assert nile.predicted_cov[0, 0] == pytest.approx(5501.257941808476, rel=1e-14)
    assert nile.gain[0, 0] == pytest.approx(0.2670480125709303, rel=1e-14)
    assert nile.innovation_cov[0, 0] == pytest.approx(20600.257941808475, rel=1e-14)
    trend = solve_riccati([[1.0, 1.0], [0.0, 1.0]], np.diag([1.0, 0.2]), [[1.0, 0.0]], 15.0 * ONE)
    want = [[10.91056436, 2.27642546], [2.27642546, 1.15856988]]
    np.testing.assert_allclose(trend.predicted_cov, want, atol=5e-9)


@pytest.mark.parametrize("variances", [(0.1, 0.0, 0.05), (0.1, 0.01, 0.0), (0.0, 0.01, 0.05), (0.0, 0.0, 0.0)])
def test_variances_of_zero_leave_their_states_known(variances):
    F, V, H = trend_and_season(12, *variances)
    got = solve_riccati(F, V, H, ONE)
    want = settled(F, V, H, ONE, 20_000)
    np.testing.assert_allclose(got.predicted_cov, want, atol=1e-12)
    assert (got.radius > 1 - 1e-12) == (0.0 in variances[1:])  # the slope's noise moves the level, too


def test_where_scipy_fails():
    F, V, H = trend_and_season(12, 0.0, 0.0, 0.0)
    with pytest.raises(np.linalg.LinAlgError):
        solve_discrete_are(F.T, H.T, V, ONE)
    np.testing.assert_array_equal(solve_riccati(F, V, H, ONE).predicted_cov, 0.0)


def test_a_long_season_is_solved_to_machine_precision():
    F, V, H = trend_and_season(168, 0.1, 0.01, 0.05)
    got = solve_riccati(F, V, H, ONE)
    P, S = got.predicted_cov, got.innovation_cov
    np.testing.assert_allclose(F @ (P - P @ H.T @ H @ P / S) @ F.T + V, P, rtol=1e-10, atol=1e-13 * P.max())
    assert 0.999999 < got.radius < 1


def test_singular_noise():
    """An autoregression seen exactly, one and three rows late: the state is known up to the shocks since."""
    companion = np.eye(4, k=-1)
    companion[0, 0] = 0.5
    for late, want in ((0, 1.0), (1, 1.25), (3, 1.25 + 0.0625 + 0.015625)):
        H = np.eye(4)[late : late + 1]
        got = solve_riccati(companion, np.diag([1.0, 0, 0, 0]), H, 0 * ONE)
        np.testing.assert_allclose(got.predicted_cov[0, 0], want, rtol=1e-14)
        np.testing.assert_allclose(got.predicted_cov, settled(companion, np.diag([1.0, 0, 0, 0]), H, 0 * ONE, 50))


def test_units_of_the_states_do_not_matter():
    F, V, H = trend_and_season(4, 0.1, 0.01, 0.05)
    D = np.diag(10.0 ** np.array([6, -6, 0, 3, -3]))
    I = np.linalg.inv(D)
    want = solve_riccati(F, V, H, ONE).predicted_cov
    got = solve_riccati(D @ F @ I, D @ V @ D, H @ I, ONE).predicted_cov
    np.testing.assert_allclose(I @ got @ I, want, rtol=1e-10, atol=1e-12)


def test_no_solution_is_said_in_words():
    with pytest.raises(NumericalError, match="not seen by observation"):
        solve_riccati(np.eye(2), np.eye(2), [[1.0, 0.0]], ONE)
    walks = np.array(
        [[1.0, 0, 0], [0, 0, 1], [0, 1, 0]]
    )  # a walk and the sum of two that change places are seen as one
    with pytest.raises(NumericalError, match="not seen by observation"):
        solve_riccati(walks, np.eye(3), [[0.6, -0.8, 0.0]], ONE)
    with pytest.raises(NumericalError, match=r"explosive state without noise"):
        solve_riccati(1.1 * ONE, 0 * ONE, ONE, ONE)
    with pytest.raises(NumericalError, match="determined exactly"):
        solve_riccati(ONE, ONE, np.ones((2, 1)), np.zeros((2, 2)))
    with pytest.raises(InputError, match=r"\(p, n\)"):
        solve_riccati(ONE, ONE, np.ones((1, 2)), ONE)
    with pytest.raises(InputError, match="observation holds inf"):
        solve_riccati(ONE, ONE, [[np.inf]], ONE)
