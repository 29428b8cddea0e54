"""What KFAS tortures itself with: regressions with diffuse coefficients, rows that say nothing, more coefficients than rows.

Series over a hundred orders of magnitude, a series twice, a root of .9999999, single rows and models without noise stand in
`test_filter`; draws without chance in `test_sample` and `test_smooth`; maximum likelihood of a series that falls by a hundred orders in
`tests/estimation/test_published.py`; generalised linear models in `tests/core/exponential`.
"""

import numpy as np
import pytest
import statsmodels.api as sm

from ssmts.core import gaussian
from ssmts.core.types import LinearGaussianSSM, TimeVarying

METHODS = ("sequential", "square_root")


def regression(X, var=2.0):
    k, one = X.shape[1], np.eye(1)
    zero = np.zeros((k, k))
    return LinearGaussianSSM(np.eye(k), zero, TimeVarying(X[:, None, :]), var * one, np.zeros(k), zero, np.eye(k))


@pytest.fixture
def stack_loss():
    """Brownlee's stack loss: 21 days of a plant, a constant and three covariates."""
    data = sm.datasets.stackloss.load_pandas()
    return sm.add_constant(data.exog).to_numpy(), data.endog.to_numpy()


@pytest.mark.parametrize("method", METHODS)
def test_coefficients_and_leverage_of_a_regression(stack_loss, method):
    """In the four rows of the diffuse start the sequential smoother keeps three digits of the variances (see docs/ladder.md)."""
    X, y = stack_loss
    theirs = sm.OLS(y, X).fit()
    ssm = regression(X, theirs.scale)
    result = gaussian.smooth(ssm, y[:, None], method=method)
    np.testing.assert_allclose(result.smoothed_mean, np.tile(theirs.params, (21, 1)), rtol=1e-7)
    size = np.sqrt(np.outer(theirs.bse, theirs.bse))
    error = np.abs(result.smoothed_cov - theirs.cov_params()) / size
    assert error[4:].max() < 1e-9
    assert error.max() < (1e-12 if method == "square_root" else 1e-2)
    w = gaussian.weights(ssm, y[:, None], np.arange(21))  # of every state in every row: (21, 4, 21, 1)
    hat = np.einsum("ti,tis->ts", X, w[..., 0])
    np.testing.assert_allclose(np.diagonal(hat), theirs.get_influence().hat_matrix_diag, rtol=1e-7)
    np.testing.assert_allclose(hat, X @ np.linalg.pinv(X), atol=1e-9)
    studentized = theirs.get_influence().resid_studentized_internal
    np.testing.assert_allclose(result.obs_auxiliary_residual[:, 0], studentized, rtol=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_more_coefficients_than_rows(method):
    """Every row is explained exactly; what is told of the rest is nothing, and infinite variances say so."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(3, 5)), rng.normal(size=3)
    result = gaussian.filter(regression(X), y[:, None], method=method)
    assert result.n_diffuse == 3
    assert result.state.rank == 2
    height = -0.5 * (3 * np.log(2 * np.pi) + np.linalg.slogdet(X @ X.T)[1])
    assert result.loglik == pytest.approx(height, rel=1e-10)
    np.testing.assert_allclose(X @ result.state.mean, y, rtol=1e-9)
    assert np.isinf(np.diagonal(result.predicted_cov[-1])).all()
    smoothed = gaussian.smooth(regression(X), y[:, None], method=method)
    assert np.isinf(np.diagonal(smoothed.smoothed_cov[0])).all()


@pytest.mark.parametrize("method", ["auto", *METHODS])
def test_a_suffix_of_nothing(nile, method):
    one = np.eye(1)
    ssm = LinearGaussianSSM(one, 1469.1 * one, one, 15099.0 * one, np.zeros(1), 0 * one, one)
    longer = np.vstack([nile, np.full((200, 1), np.nan)])
    assert gaussian.loglik(ssm, longer, method=method) == pytest.approx(-633.4645636488787, abs=1e-9)
    smoothed, whole = (gaussian.smooth(ssm, y, method=method) for y in (longer, nile))
    np.testing.assert_allclose(smoothed.smoothed_mean[:100], whole.smoothed_mean, rtol=1e-10)
    np.testing.assert_allclose(smoothed.smoothed_cov[:100], whole.smoothed_cov, rtol=1e-10)
    np.testing.assert_allclose(smoothed.smoothed_mean[100:], 798.3702926083578, rtol=1e-10)
    expected = 5501.257941809 + 1469.1 * np.arange(200)
    np.testing.assert_allclose(smoothed.smoothed_cov[100:, 0, 0], expected, rtol=1e-9)
