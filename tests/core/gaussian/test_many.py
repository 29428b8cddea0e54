"""Many series of their own models in threads: the numbers of a loop."""

import numpy as np
import pytest

from ssmts.core import gaussian
from ssmts.core.types import LinearGaussianSSM
from ssmts.exceptions import InputError, NumericalError

from .cases import CASES, case
from .test_ladder import same

ONE = np.eye(1)


@pytest.mark.parametrize("n_jobs", [None, 1, 2])
@pytest.mark.parametrize("task", ["loglik", "filter", "smooth", "score"])
def test_a_loop_of_models_and_lengths(task, n_jobs):
    triples = [case(number % len(CASES), number, n=3 + number % 5) for number in range(23)]
    ssms, ys, inputs = map(list, zip(*triples))
    function = getattr(gaussian, task)
    got = gaussian.many(function, ssms, ys, inputs, n_jobs=n_jobs, method="sequential")
    assert len(got) == len(ys)
    for one, ssm, y, u in zip(got, ssms, ys, inputs):
        want = function(ssm, y, inputs=u, method="sequential")
        same(_flat(one), _flat(want), 1e-15)


def _flat(result):
    """Without NaN, which equal nothing."""
    if isinstance(result, tuple):
        return tuple(_flat(part) for part in result)
    return np.nan_to_num(result, nan=-7.0, posinf=np.inf, neginf=-np.inf) if isinstance(result, np.ndarray) else result


def test_one_model_serves_ragged_series_from_their_own_states(nile):
    level = gaussian.pack(LinearGaussianSSM(ONE, 1469.1 * ONE, ONE, 15099.0 * ONE, np.zeros(1), 0 * ONE, ONE))
    cuts = [1, 10, 50]
    heads = gaussian.many(gaussian.filter, level, [nile[:cut] for cut in cuts])
    tails = gaussian.many(
        gaussian.loglik, level, [nile[cut:] for cut in cuts], state=[h.state for h in heads], n_jobs=2
    )
    np.testing.assert_allclose([h.loglik + t for h, t in zip(heads, tails)], -633.4645636488787, rtol=1e-12)
    assert gaussian.many(gaussian.loglik, level, []) == []


def test_errors_name_the_series():
    level = LinearGaussianSSM(ONE, ONE, ONE, ONE, np.zeros(1), 0 * ONE, ONE)
    explosive = level._replace(transition=1e200 * ONE, initial_diffuse_cov=None)
    rows = np.zeros((5, 1))
    with pytest.raises(NumericalError, match="series 2: predicted_cov"):
        gaussian.many(gaussian.loglik, [level, level, explosive], [rows] * 3, n_jobs=2)
    with pytest.raises(InputError, match="series 1: y has the shape"):
        gaussian.many(gaussian.loglik, level, [rows, rows.T])
    with pytest.raises(InputError, match="3 series and 2 models"):
        gaussian.many(gaussian.loglik, [level] * 2, [rows] * 3)
    with pytest.raises(InputError, match="3 series and 1 states"):
        gaussian.many(gaussian.loglik, level, [rows] * 3, state=[None])
