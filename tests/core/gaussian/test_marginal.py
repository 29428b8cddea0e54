"""The marginal likelihood against the density of contrasts, and what it must not depend on."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import dense_gaussian as dense
from scipy.stats import multivariate_normal

from ssmts.core import gaussian
from ssmts.core.types import LinearGaussianSSM, TimeVarying

from .cases import CASES, case, close

ONE = np.eye(1)


def contrasts(ssm, y, inputs):
    """Log-density of the series in an orthonormal basis of what the diffuse effects do not reach."""
    twin = dense.joint(ssm, len(y), inputs)
    rows = np.flatnonzero(~np.isnan(y.ravel()))
    seen = twin.observations[rows]
    directions, sizes, _ = np.linalg.svd(seen.X, full_matrices=True)
    B = directions[:, int(np.sum(sizes > 1e-9 * sizes.max(initial=0.0))) :]
    if not B.size:
        return 0.0
    cov = B.T @ seen.B @ twin.cov @ seen.B.T @ B
    return multivariate_normal(cov=cov, allow_singular=True).logpdf(B.T @ (y.ravel()[rows] - seen.mean))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("number", range(len(CASES)))
def test_it_is_the_density_of_contrasts(number, seed):
    ssm, y, inputs = case(number, seed)
    close(gaussian.marginal_loglik(ssm, y, inputs), contrasts(ssm, y, inputs), 1e-8)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.floats(-6, 6))
def test_scale_and_basis_of_the_diffuse_effects_do_not_matter(seed, power):
    rng = np.random.default_rng(seed)
    ssm, y = dense.random_model(rng, 8, dy=2, diffuse=2), rng.normal(size=(8, 2))
    A = dense.root(ssm.initial_diffuse_cov) @ (np.eye(2) + 0.3 * rng.normal(size=(2, 2))) * 10.0**power
    close(
        gaussian.marginal_loglik(ssm._replace(initial_diffuse_cov=A @ A.T), y), gaussian.marginal_loglik(ssm, y), 1e-7
    )


def test_proper_starts_states_and_batches(nile):
    level = LinearGaussianSSM(ONE, 1469.1 * ONE, ONE, 15099.0 * ONE, np.zeros(1), 0 * ONE, ONE)
    proper = level._replace(initial_diffuse_cov=None, initial_cov=ONE)
    assert gaussian.marginal_loglik(proper, nile) == gaussian.loglik(proper, nile)
    missing = np.full((2, 1), np.nan)
    whole = gaussian.marginal_loglik(level, np.vstack([missing, nile]))
    close(gaussian.marginal_loglik(level, nile, state=gaussian.filter(level, missing).state), whole)
    close(gaussian.marginal_loglik(level, np.stack([nile, nile + 1]))[0], gaussian.marginal_loglik(level, nile))
    # of a local level, X'X counts the rows
    diffuse = gaussian.loglik(level, nile, diffuse_constant=False)
    close(gaussian.marginal_loglik(level, nile), diffuse + 0.5 * np.log(100))


@pytest.mark.parametrize("number", range(len(CASES)))
def test_its_score_is_that_of_differences(number):
    """Along a random direction of the entries of each matrix that are not zero."""
    ssm, y, inputs = case(number, 2)
    y = np.nan_to_num(y, nan=0.3)
    rng, step = np.random.default_rng(0), 1e-5
    value, gradient = gaussian.marginal_score(ssm, y, inputs=inputs)
    assert value == gaussian.marginal_loglik(ssm, y, inputs)
    for name in ("transition", "observation", "obs_cov", "initial_mean"):
        field = getattr(ssm, name)
        old = field.values if isinstance(field, TimeVarying) else field
        direction = rng.normal(size=old.shape) * (old != 0)
        if name == "obs_cov":
            direction = direction + direction.swapaxes(-1, -2)
        ends = [
            gaussian.marginal_loglik(ssm._replace(**{name: type(field)(new) if old is not field else new}), y, inputs)
            for new in (old + step * direction, old - step * direction)
        ]
        got = getattr(gradient, name)
        got = np.sum(direction * (got.values if isinstance(got, TimeVarying) else got))
        close(got, (ends[0] - ends[1]) / (2 * step), 1e-5)
    only = gaussian.marginal_score(ssm, y, ("obs_cov",), inputs)[1]
    assert only.transition is None
