"""Moments of neighbouring states against the joint Gaussian written out and against statsmodels."""

import numpy as np
import pytest
import statsmodels.api as sm
from oracles import dense_gaussian as dense

from ssmts.core import gaussian
from ssmts.core.types import LinearGaussianSSM
from ssmts.exceptions import InputError

from .cases import CASES, case, close

ONE = np.eye(1)


def determined(number, seed, n=7):
    """A case whose series determines the diffuse start."""
    ssm, y, inputs = case(number, seed, n)
    return ssm, np.nan_to_num(y) if gaussian.filter(ssm, y, inputs).state.rank else y, inputs


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("number", range(len(CASES)))
def test_lag_one_equals_the_joint_gaussian(number, seed):
    ssm, y, inputs = determined(number, seed)
    n, dx = len(y), len(ssm.initial_mean)
    result = gaussian.moments(ssm, y, inputs)
    twin = dense.joint(ssm, n, inputs)
    most = np.nan_to_num(gaussian.filter(ssm, y, inputs).filtered_cov, posinf=0, neginf=0).max()
    for t in range(n - 1):
        _, spread, known = dense.given(twin, twin.states[t * dx : (t + 2) * dx], y, n)
        assert known.all()
        close(result.lag_one[t], spread[dx:, :dx], max(1e-9, 1e-15 * most**2))
    smoothed = gaussian.smooth(ssm, y, inputs)
    np.testing.assert_array_equal(result.mean, smoothed.smoothed_mean)
    np.testing.assert_array_equal(result.cov, smoothed.smoothed_cov)
    close(result.loglik, gaussian.filter(ssm, y, inputs).loglik)


def test_statsmodels_agrees(nile):
    """Their smoothed autocovariance of a local linear trend with missing rows and a known start."""
    y = nile[:40, 0].copy()
    y[7:11] = np.nan
    model = sm.tsa.UnobservedComponents(y, "lltrend")
    model.ssm.initialize_known(np.array([1000.0, 1.0]), np.diag([500.0, 20.0]))
    theirs = model.smooth([900.0, 300.0, 5.0], cov_type="none")
    ours = gaussian.lag_one(
        LinearGaussianSSM(
            np.array([[1.0, 1.0], [0.0, 1.0]]),
            np.diag([300.0, 5.0]),
            np.array([[1.0, 0.0]]),
            900.0 * ONE,
            np.array([1000.0, 1.0]),
            np.diag([500.0, 20.0]),
        ),
        y[:, None],
    )
    want = theirs.smoother_results.smoothed_state_autocov.transpose(2, 0, 1)  # Cov(x[t+1], x[t])
    close(ours, want[: len(ours)])


def test_a_tail_from_a_state_a_batch_and_a_single_row(nile):
    level = LinearGaussianSSM(ONE, 1469.1 * ONE, ONE, 15099.0 * ONE, np.zeros(1), 0 * ONE, ONE)
    whole = gaussian.lag_one(level, nile)
    tail = gaussian.moments(level, nile[40:], state=gaussian.filter(level, nile[:40]).state)
    close(tail.lag_one, whole[40:])
    assert gaussian.lag_one(level, nile[:1]).shape == (0, 1, 1)
    with pytest.raises(InputError, match="undetermined"):
        gaussian.moments(level, np.full((3, 1), np.nan))


def test_a_batch_is_its_series(nile):
    level = LinearGaussianSSM(ONE, 1469.1 * ONE, ONE, 15099.0 * ONE, np.zeros(1), 0 * ONE, ONE)
    holed = nile.copy()
    holed[10:14] = np.nan
    for batch in (np.stack([nile, holed]), np.stack([nile, holed, nile + 5.0, holed[::-1]])):
        result = gaussian.moments(level, batch)
        for number, y in enumerate(batch):
            alone = gaussian.moments(level, y)
            for got, want in zip(result, alone):
                close(got[number], want)
