"""Kernels against their closed forms, scikit-learn's, and dense Gaussian process regression."""

import numpy as np
import pytest
from scipy.linalg import expm
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process import kernels as sk

from ssmts.components.kernels import Constant, Kernel, Matern, Periodic, leaf_labels
from ssmts.core.gaussian import loglik, smooth
from ssmts.core.linalg.discretize import discretize
from ssmts.core.types import LinearGaussianSSM, TimeVarying
from ssmts.exceptions import InputError, InputTypeError

KERNELS = [
    Matern(0.5, 1.3, 2.0),
    Matern(1.5, 0.7, 0.5),
    Matern(2.5, 4.0, 3.0),
    Periodic(2.3, 1.0, 1.5),
    Periodic(2.3, 0.6, 1.5, order=4),
    Constant(2.0) + Matern(1.5, 0.7, 0.5),
    Matern(0.5, 0.3) + Matern(2.5, 5.0, 2.0) + Periodic(2.3),
    Matern(2.5, 2.0, 2.0) * Matern(0.5, 1.0, 0.5),
    Periodic(2.3, 1.0, 1.5, order=3) * Matern(1.5, 6.0) + Matern(0.5, 0.4, 0.3),
    (Matern(0.5) + Constant(2.0)) * Periodic(1.7, 0.8, order=5),
]


def data(n: int = 40) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    times = np.cumsum(rng.exponential(0.4, n)) + np.where(np.arange(n) > n // 2, 3.0, 0.0)
    times[5] = times[4]  # two rows at one time
    times[8] = times[7] + 1e-6
    return times, np.sin(times) + 0.3 * rng.standard_normal(n)


def model_of(kernel: Kernel, times: np.ndarray, noise: float) -> LinearGaussianSSM:
    process = kernel.process()
    F, Q = discretize(process.drift, process.diffusion_cov, np.diff(times, append=times[-1]))
    n = len(process.drift)
    H, R = process.observation[None], np.array([[noise]])
    return LinearGaussianSSM(TimeVarying(F), TimeVarying(Q), H, R, np.zeros(n), process.stationary_cov)


@pytest.mark.parametrize("kernel", KERNELS, ids=str)
def test_process_has_the_covariance_function(kernel: Kernel) -> None:
    A, D, P, h = kernel.process()
    np.testing.assert_allclose(A @ P + P @ A.T + D, 0, atol=1e-12 * np.abs(A @ P).max())
    assert np.linalg.eigvalsh(D).min() > -1e-12 * max(D.max(), 1)
    lags = np.array([0.0, 1e-7, 0.2, 1.0, 2.3, 7.7])
    found = [h @ expm(A * lag) @ P @ h for lag in lags]
    np.testing.assert_allclose(kernel(lags), found, rtol=1e-11, atol=1e-12)
    np.testing.assert_array_equal(kernel(-lags), kernel(lags))


@pytest.mark.parametrize("kernel", KERNELS, ids=str)
def test_smoother_and_likelihood_equal_dense_regression(kernel: Kernel) -> None:
    times, y = data()
    hidden = y.copy()
    hidden[[0, 10, 11, 39]] = np.nan
    ssm = model_of(kernel, times, 0.1)
    seen = ~np.isnan(hidden)
    K = kernel(times[:, None] - times)
    S = K[np.ix_(seen, seen)] + 0.1 * np.eye(seen.sum())
    gain = np.linalg.solve(S, K[seen]).T
    result = smooth(ssm, hidden[:, None])
    h = ssm.observation[0]
    np.testing.assert_allclose(result.smoothed_mean @ h, gain @ y[seen], rtol=1e-8, atol=1e-8)
    variance = np.diagonal(K - gain @ K[seen])
    np.testing.assert_allclose(np.einsum("i,tij,j->t", h, result.smoothed_cov, h), variance, rtol=1e-8, atol=1e-8)
    dense = -0.5 * (y[seen] @ np.linalg.solve(S, y[seen]) + np.linalg.slogdet(2 * np.pi * S)[1])
    np.testing.assert_allclose(loglik(ssm, hidden[:, None]), dense, rtol=1e-8)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        *((Matern(nu, 1.3, 2.0), 2.0 * sk.Matern(1.3, nu=nu)) for nu in (0.5, 1.5, 2.5)),
        (Periodic(2.3, 1.2, 1.5, order=12), 1.5 * sk.ExpSineSquared(1.2, 2.3)),
        (Constant(2.0) + Matern(0.5), sk.ConstantKernel(2.0) + sk.Matern(1.0, nu=0.5)),
        (Periodic(2.3, order=12) * Matern(1.5, 6.0), sk.ExpSineSquared(1.0, 2.3) * sk.Matern(6.0, nu=1.5)),
    ],
    ids=str,
)
def test_scikit_learn_gives_the_same(ours: Kernel, theirs: sk.Kernel) -> None:
    times, y = data()
    reference = GaussianProcessRegressor(theirs, alpha=0.1, optimizer=None).fit(times[:, None], y)
    result = smooth(model_of(ours, times, 0.1), y[:, None])
    h = ours.process().observation
    mean, deviation = reference.predict(times[:, None], return_std=True)
    np.testing.assert_allclose(result.smoothed_mean @ h, mean, rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(np.einsum("i,tij,j->t", h, result.smoothed_cov, h), deviation**2, rtol=1e-8)
    likelihood = loglik(model_of(ours, times, 0.1), y[:, None])
    np.testing.assert_allclose(likelihood, reference.log_marginal_likelihood_value_, rtol=1e-8)


def test_periodic_series_becomes_the_closed_form() -> None:
    lags = np.linspace(0, 5, 31)
    whole = 1.5 * np.exp(-2 * np.sin(np.pi * lags / 2.3) ** 2)
    errors = [np.abs(Periodic(2.3, 1.0, 1.5, order=k)(lags) - whole).max() for k in (1, 3, 7, 14)]
    assert errors[0] > errors[1] > errors[2] > errors[3]
    assert errors[2] < 2e-7
    assert errors[3] < 1e-14


def test_kernels_are_values() -> None:
    kernel = Matern() + Periodic(12.0) * Matern(0.5)
    assert leaf_labels(kernel) == ("matern_1", "periodic", "matern_2")
    assert kernel.with_leaves(kernel.leaves) == kernel
    changed = kernel.with_leaves((Matern(2.5), *kernel.leaves[1:]))
    assert changed == Matern(2.5) + Periodic(12.0) * Matern(0.5)
    assert Matern().with_values(length_scale=2.0) == Matern(length_scale=2.0)


def test_arguments_are_checked() -> None:
    with pytest.raises(InputError, match=r"nu of Matern must be 0\.5, 1\.5 or 2\.5; received 2"):
        Matern(2)
    with pytest.raises(InputError, match="length_scale of Matern must be positive and finite; received -1"):
        Matern(length_scale=-1)
    with pytest.raises(InputTypeError, match="period of Periodic must be a number; received 'year'"):
        Periodic("year")  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"order of Periodic must be a whole number of at least 1; received 1\.5"):
        Periodic(12.0, order=1.5)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        Matern() + 1.0  # type: ignore[operator]
