"""One step of the online-learnt autoregression against full covariances."""

import numpy as np
import pytest

from ssmts.detection.recursive import learn, move_origin, predict
from ssmts.detection.robust import GATE


def random_state(p, seed=0):
    """Coefficients with a covariance in factors and in full, and readings of which some are uncertain."""
    rng = np.random.default_rng(seed)
    theta = rng.normal(size=1 + p) / (1 + p)
    L = np.tril(rng.normal(size=(1 + p, 1 + p)), -1) + np.diag(rng.uniform(0.01, 0.1, 1 + p))
    half = rng.normal(size=(p, p))
    return theta, L, rng.normal(size=p), 0.1 * half @ half.T


def full(L):
    U = np.tril(L, -1).T + np.eye(len(L))
    return U @ np.diag(np.diag(L)) @ U.T


@pytest.mark.parametrize("p", [1, 2, 8])
@pytest.mark.parametrize("z", [0.7, -12.0])
def test_a_step_is_that_of_full_covariances(p, z):
    theta, L, lag, C = random_state(p, seed=p)
    P, x, b = full(L), np.append(1.0, lag), theta[1:]
    f, g, c = np.empty(p + 1), np.empty(p + 1), np.empty(p)
    mean, own, spread, aged = predict(theta, L, lag, C, 1, 0.9, f, c)
    assert aged == (0.9 if np.trace(P) <= 0.9 * (1 + p) else 1.0)
    np.testing.assert_allclose([mean, own, spread], [x @ theta, x @ P @ x / aged, b @ C @ b], rtol=1e-12)
    S = 1 + own + spread
    w, e = min(1.0, GATE / abs(z)) ** 2, z * np.sqrt(S)
    joint = np.block([[np.array([[S]]), (C @ b)[None]], [(C @ b)[:, None], C]])
    gain = joint[:, 0] * w / S
    place, spreads = (np.append(mean, lag) + gain * e)[:p], (joint - np.outer(gain, joint[0]))[:p, :p]
    K = P @ x / aged / (S / w)
    coefficients, covariance = theta + K * e, P / aged - np.outer(K, P @ x / aged)
    loose, seen = np.array([3]), np.array([p])
    learn(0, z, mean, own, S, aged, theta, L, lag, C, loose, seen, f, g, c)
    np.testing.assert_allclose(theta, coefficients, rtol=1e-10)
    np.testing.assert_allclose(full(L), covariance, rtol=1e-9, atol=1e-13)
    np.testing.assert_allclose(lag, place, rtol=1e-10)
    np.testing.assert_allclose(C, spreads, rtol=1e-9, atol=1e-13)
    assert loose[0] == (2 if w == 1 else p)


@pytest.mark.parametrize("p", [1, 3, 8])
def test_the_origin_may_be_moved(p):
    """Predictions are what they were, and so is what coefficients add to their variance."""
    theta, L, lag, C = random_state(p, seed=10 + p)
    f, c = np.empty(p + 1), np.empty(p)
    before, by = predict(theta, L, lag, C, 0, 1.0, f, c), lag[0]
    move_origin(theta, L, lag)
    after = predict(theta, L, lag, C, 0, 1.0, f, c)
    assert lag[0] == 0.0
    np.testing.assert_allclose(after[0] + by, before[0], rtol=1e-12)
    np.testing.assert_allclose(after[1], before[1], rtol=1e-12)
