"""Joint statistics of rows against generalised least squares on the joint Gaussian written out."""

import numpy as np
import pytest
from oracles import dense_gaussian as dense
from scipy.stats import chi2, kstest

from ssmts.core import gaussian
from ssmts.core.types import LinearGaussianSSM

from .cases import CASES, case, close

ONE = np.eye(1)


def gained(omega, e, D):
    """Twice the log-likelihood gained by effects with the regressors D, and their number."""
    information = D.T @ omega @ D
    size = np.sqrt(np.maximum(np.diagonal(information), 0.0))
    D = D[:, size > 1e-7] / size[size > 1e-7]
    information = D.T @ omega @ D
    return e @ omega @ D @ np.linalg.pinv(information, rcond=1e-9) @ D.T @ omega @ e, np.linalg.matrix_rank(
        information, 1e-9
    )


@pytest.mark.parametrize("number", range(len(CASES)))
def test_they_are_the_gain_of_unknown_effects(number):
    ssm, y, inputs = case(number, 6)
    n, dy = y.shape
    dx, twin = len(ssm.initial_mean), dense.joint(ssm, n, inputs)
    rows = np.flatnonzero(~np.isnan(y.ravel()))
    omega = np.linalg.pinv(dense.bordered(twin, rows), hermitian=True)[: len(rows), : len(rows)]
    e = y.ravel()[rows] - twin.observations.mean[rows]
    got = gaussian.row_statistics(ssm, y, inputs)
    for t in range(n):
        outlier = np.eye(n * dy)[rows][:, t * dy : (t + 1) * dy]
        move, effect = np.eye(dx), np.zeros((n, dy, dx))
        for s in range(t + 1, n):
            effect[s] = dense.at(ssm.observation, s) @ move
            move = dense.at(ssm.transition, s) @ move
        effect = effect.reshape(n * dy, dx)[rows]
        G = np.eye(dx) if ssm.process_loading is None else dense.at(ssm.process_loading, t)
        for value, df, D in (
            (got.obs[t], got.obs_df[t], outlier),
            (got.process[t], got.process_df[t], effect @ G),
            (got.state[t], got.state_df[t], effect),
        ):
            want, size = gained(omega, e, D)
            assert df == size
            close(value, want, 1e-6)


def test_a_univariate_statistic_is_a_squared_auxiliary_residual(nile):
    level = LinearGaussianSSM(ONE, 1469.1 * ONE, ONE, 15099.0 * ONE, np.zeros(1), 0 * ONE, ONE)
    got, smoothed = gaussian.row_statistics(level, nile), gaussian.smooth(level, nile)
    close(got.obs, smoothed.obs_auxiliary_residual[:, 0] ** 2)
    close(got.state[:-1], smoothed.process_auxiliary_residual[:-1, 0] ** 2)
    assert got.state_df[-1] == 0
    assert got.state[-1] == 0.0
    # the dam of Aswan changed the level after 1898, and 1913 was dry (Durbin and Koopman 2012, section 2.12.3)
    assert 1871 + np.argmax(got.state) == 1898
    assert 1871 + np.argmax(got.obs) == 1913
    np.testing.assert_array_equal(gaussian.row_statistics(level, nile[None]).obs[0], got.obs)


def test_they_are_chi_square_if_the_model_holds():
    rng = np.random.default_rng(0)
    ssm = dense.random_model(rng, 6, 3, 2, 2, diffuse=0)
    _, paths = gaussian.simulate(ssm, 6, 800, 1)
    got = gaussian.row_statistics(ssm, paths)
    for value, df in ((got.obs, got.obs_df), (got.state, got.state_df)):
        assert kstest(value[:, 2], chi2(df[0, 2]).cdf).pvalue > 0.01
