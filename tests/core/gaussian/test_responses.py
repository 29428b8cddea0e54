"""Responses to shocks and joint forecasts against the joint Gaussian written out, closed forms and statsmodels."""

import numpy as np
import pytest
import statsmodels.api as sm
from oracles import dense_gaussian as dense

from ssmts.core import gaussian
from ssmts.core.types import LinearGaussianSSM, TimeVarying
from ssmts.exceptions import InputError

from .cases import CASES, case, close

ONE = np.eye(1)


@pytest.mark.parametrize("number", range(len(CASES)))
def test_joint_forecasts_equal_the_joint_gaussian(number):
    """A model over n rows of which the last are not seen, forecast from the state after the others."""
    ssm, y, inputs = case(number, 7, n=9)
    cut, dy = 6, y.shape[1]
    y = np.nan_to_num(y)
    y[cut:] = np.nan
    state = gaussian.filter(ssm, y[:cut], None if inputs is None else inputs[:cut]).state
    assert state.rank == 0
    rest = LinearGaussianSSM(*(TimeVarying(x.values[cut:]) if isinstance(x, TimeVarying) else x for x in ssm))
    got = gaussian.forecast_cov(rest, state, 3)
    twin = dense.joint(ssm, 9, inputs)
    _, want, _ = dense.given(twin, twin.observations[cut * dy :], y, 9)
    close(got.transpose(0, 2, 1, 3).reshape(3 * dy, -1), want, 1e-8)
    alone = gaussian.forecast(rest, state, 3, None if inputs is None else inputs[cut:])
    np.testing.assert_array_equal(got[np.arange(3), np.arange(3)], alone.cov)


def test_a_diffuse_state_has_no_joint_forecast():
    level = LinearGaussianSSM(ONE, ONE, ONE, ONE, np.zeros(1), 0 * ONE, ONE)
    with pytest.raises(InputError, match="still diffuse"):
        gaussian.forecast_cov(level, gaussian.pack(level).start, 2)


@pytest.mark.parametrize("options", [{}, {"orthogonalized": True}, {"cumulative": True}])
def test_statsmodels_agrees(options):
    """A vector autoregression with correlated shocks."""
    rng = np.random.default_rng(0)
    model = sm.tsa.VARMAX(rng.normal(size=(30, 2)), order=(2, 0))
    params = np.array([0.1, -0.2, 0.5, 0.1, 0.2, -0.1, 0.3, 0.2, 0.1, -0.2, 1.5, 0.4, 0.8])
    model.update(params)
    ssm = LinearGaussianSSM(
        np.array(model["transition"]),
        np.array(model["state_cov"]),
        np.array(model["design"]),
        np.zeros((2, 2)),
        np.zeros(4),
        np.eye(4),
        process_loading=np.array(model["selection"]),
    )
    ours = {"orthogonalised": "orthogonalized" in options, "cumulative": "cumulative" in options}
    every = gaussian.impulse_responses(ssm, 9, **ours)
    for shock in range(2):
        theirs = model.impulse_responses(params, steps=8, impulse=shock, **options)
        close(every[shock], theirs)
        close(gaussian.impulse_responses(ssm, 9, shock, **ours), theirs)
    mix = gaussian.impulse_responses(ssm, 9, [1.0, -2.0], **ours)
    close(mix, every[0] - 2 * every[1])


def test_orthogonal_shocks_make_the_covariance_of_the_state():
    """Summed over shocks and rows, squared responses are the variance that shocks have brought in; singular noise too."""
    rng = np.random.default_rng(2)
    ssm = dense.random_model(rng, 8, 3, 2, 3, full=True, diffuse=0)._replace(obs_cov=np.zeros((2, 2)))
    first = np.asarray(ssm.process_cov.values[0])
    assert np.linalg.matrix_rank(first) < 3
    quiet = TimeVarying(np.concatenate([first[None], np.zeros((7, 3, 3))]))
    known = ssm._replace(process_cov=quiet, initial_cov=np.zeros((3, 3)))
    responses = gaussian.impulse_responses(known, 7, orthogonalised=True)
    cov = gaussian.forecast(known, gaussian.pack(known).start, 8).cov
    close(np.einsum("kti,ktj->tij", responses, responses), cov[1:])


def test_what_is_no_shock_is_refused():
    level = LinearGaussianSSM(ONE, ONE, ONE, ONE, np.zeros(1), ONE)
    with pytest.raises(InputError, match="shocks 0 to 0"):
        gaussian.impulse_responses(level, 3, 1)
    with pytest.raises(InputError, match="1 finite numbers"):
        gaussian.impulse_responses(level, 3, [1.0, 2.0])
    with pytest.raises(InputError, match="steps is 0"):
        gaussian.impulse_responses(level, 0)
