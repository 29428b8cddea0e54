"""Effects of regressors by one filter pass, against ordinary and dense generalised least squares."""

import numpy as np
import pytest
from oracles import dense_gaussian as dense

from ssmts.core.gaussian import loglik
from ssmts.core.types import LinearGaussianSSM, TimeVarying
from ssmts.estimation import regression_effects
from ssmts.exceptions import InputError

ONE = np.eye(1)


def test_ordinary_least_squares():
    rng = np.random.default_rng(0)
    X, noise = rng.standard_normal((30, 3)), rng.standard_normal(30)
    y = X @ [1.0, -2.0, 0.5] + noise
    white = LinearGaussianSSM(0 * ONE, 0 * ONE, ONE, 2.0 * ONE, np.zeros(1), 0 * ONE)
    found = regression_effects(white, y[:, None], X)
    np.testing.assert_allclose(found.coef, np.linalg.lstsq(X, y, rcond=None)[0], rtol=1e-10)
    np.testing.assert_allclose(found.cov, 2.0 * np.linalg.inv(X.T @ X), rtol=1e-10)


@pytest.mark.parametrize("diffuse", [0, 2])
@pytest.mark.parametrize("where", ["observations", "states", "both"])
def test_generalised_least_squares_of_the_dense_twin(diffuse, where):
    """At the effects the likelihood is flat, and its curvature is the inverse of their covariance."""
    rng = np.random.default_rng(1)
    n, dy, dx = 9, 2, 3
    ssm = dense.random_model(rng, n, dx, dy, diffuse=diffuse)
    y = dense.random_series(rng, n, dy)
    X = rng.standard_normal((n, dy, 2)) if where != "states" else None
    W = rng.standard_normal((n, dx, 1)) if where != "observations" else None
    found = regression_effects(ssm, y, X, state_regressors=W)
    sizes = [0 if part is None else part.shape[2] for part in (X, W)]
    assert len(found.coef) == sum(sizes)

    def height(coef):
        changed = {}
        for field, part, own in (("obs_offset", X, coef[: sizes[0]]), ("state_offset", W, coef[sizes[0] :])):
            if part is not None:
                base = getattr(ssm, field)
                base = (
                    np.zeros(part.shape[:2]) if base is None else base.values if isinstance(base, TimeVarying) else base
                )
                changed[field] = TimeVarying(base + part @ own)
        return dense.loglik(ssm._replace(**changed), y)

    assert found.loglik == pytest.approx(height(found.coef), rel=1e-9)
    for step in np.eye(len(found.coef)):
        ahead, behind = height(found.coef + step), height(found.coef - step)
        assert ahead == pytest.approx(behind, abs=1e-7)
        curvature = 2 * found.loglik - ahead - behind
        assert curvature == pytest.approx(step @ np.linalg.inv(found.cov) @ step, rel=1e-6)


def test_refusals():
    white = LinearGaussianSSM(0 * ONE, 0 * ONE, ONE, ONE, np.zeros(1), 0 * ONE)
    with pytest.raises(InputError, match="there are no regressors"):
        regression_effects(white, np.ones((3, 1)))
    with pytest.raises(InputError, match="leave 1 of 2 effect"):
        regression_effects(white, np.ones((3, 1)), np.ones((3, 2)))
    level = white._replace(transition=ONE, process_cov=ONE, initial_diffuse_cov=ONE)
    with pytest.raises(InputError, match="what the model itself explains"):
        regression_effects(level, np.ones((3, 1)), np.ones((3, 1)))
    assert np.isfinite(loglik(level, np.ones((3, 1))))
