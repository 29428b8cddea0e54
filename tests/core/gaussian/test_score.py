"""The score against complex-step derivatives of the joint Gaussian written out."""

import numpy as np
import pytest
from oracles import dense_gaussian as dense

from ssmts.core import gaussian
from ssmts.core.gaussian._score import PARAMETERS
from ssmts.core.types import LinearGaussianSSM, TimeVarying
from ssmts.exceptions import InputError

ONE = np.eye(1)


def complex_step(ssm, y, inputs=None):
    """The derivative of the twin's log-likelihood with respect to every entry of every field of the model."""
    fields = {}
    for name in PARAMETERS:
        field = getattr(ssm, name)
        if field is None:
            continue
        varying = isinstance(field, TimeVarying)
        values = field.values if varying else field
        gradient = np.zeros(values.shape)
        for place in np.ndindex(values.shape):
            moved = values.astype(complex)
            moved[place] += 1e-30j
            symmetric = name.endswith("cov")
            if symmetric and place[-1] != place[-2]:
                moved[(*place[:-2], place[-1], place[-2])] += 1e-30j
            loglik = dense.loglik(ssm._replace(**{name: TimeVarying(moved) if varying else moved}), y, inputs)
            gradient[place] = loglik.imag / 1e-30 / (2 if symmetric and place[-1] != place[-2] else 1)
        fields[name] = gradient
    return fields


CASES = [
    {"dy": 1, "dx": 2, "dw": 2, "varying": False, "full": False, "diffuse": 0},
    {"dy": 1, "dx": 2, "dw": 1, "varying": False, "diffuse": 2},
    {"dy": 2, "diffuse": 2, "full": False, "inputs": 2},
    {"dy": 2, "diffuse": 3, "inputs": 1, "varying": False},
    {"dy": 3, "diffuse": 0},
    {"dy": 3, "diffuse": 1, "full": False, "varying": False},
    {"dy": 3, "diffuse": 2},
]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("number", range(len(CASES)))
def test_every_derivative_equals_a_complex_step_through_the_joint_gaussian(number, seed):
    n, options = 6, CASES[number]
    rng = np.random.default_rng([number, seed, 7])
    ssm = dense.random_model(rng, n, **options)
    y = dense.random_series(rng, n, options["dy"], missing=0.2)
    inputs = rng.normal(size=(n, options["inputs"])) if "inputs" in options else None
    if gaussian.filter(ssm, y, inputs).state.rank:
        y = np.where(np.isnan(y), 0.3, y)
    loglik, gradient = gaussian.score(ssm, y, inputs=inputs)
    assert loglik == pytest.approx(dense.loglik(ssm, y, inputs), rel=1e-10)
    for name, want in complex_step(ssm, y, inputs).items():
        got = getattr(gradient, name)
        got = got.values if isinstance(got, TimeVarying) else got
        scale = max(1.0, np.abs(want).max(initial=0.0))
        np.testing.assert_allclose(got, want, rtol=1e-7, atol=1e-9 * scale, err_msg=name)
