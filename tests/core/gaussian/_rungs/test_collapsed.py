"""The collapse of tall observations against the joint Gaussian written out, and against the recursion by scalars."""

import numpy as np
import pytest
from oracles import dense_gaussian as dense

from ssmts.core import gaussian
from ssmts.core.gaussian._ladder import Job, choose
from ssmts.core.types import LinearGaussianSSM, TimeVarying
from ssmts.exceptions import InputError

from ..cases import close
from ..test_ladder import same, settled


def regular(rng, p, varying=False, full=True, n=1):
    """Covariances far from singular, of one size or of very different ones."""
    A = rng.normal(size=(n if varying else 1, p, p))
    R = A @ A.swapaxes(1, 2) / p + 0.3 * np.eye(p)
    R = R if full else R * np.eye(p)
    size = 10.0 ** rng.uniform(-1, 1, p)
    R = R * size[:, None] * size
    return TimeVarying(R) if varying else R[0]


def tall(rng, n=9, p=12, dx=3, diffuse=0, full=True, varying=False, lost=0, inputs=0):
    """A random model with more observations than states, of which `lost` directions are not seen by any observation."""
    ssm = dense.random_model(rng, n, dy=p, dx=dx, diffuse=diffuse, varying=varying, full=full, inputs=inputs)
    ssm = ssm._replace(obs_cov=regular(rng, p, varying, full, n))
    if lost:
        H = ssm.observation.values if varying else ssm.observation
        blind = np.linalg.qr(rng.normal(size=(dx, dx)))[0][:, lost:]
        H = H @ blind @ blind.T
        ssm = ssm._replace(observation=TimeVarying(H) if varying else H)
    return ssm, dense.random_series(rng, n, p, 0.3), rng.normal(size=(n, inputs)) if inputs else None


CASES = [
    {},
    {"full": False},
    {"diffuse": 2},
    {"diffuse": 3, "full": False},
    {"varying": True},
    {"varying": True, "full": False, "diffuse": 2},
    {"varying": True, "inputs": 2, "diffuse": 1},
    {"lost": 1},
    {"lost": 2, "full": False, "varying": True},
    {"inputs": 1, "full": False},
    {"p": 4, "dx": 3, "diffuse": 2},
]


@pytest.mark.parametrize("number", range(len(CASES)))
@pytest.mark.parametrize("seed", range(5))
def test_it_agrees_with_the_recursion_and_with_the_joint_gaussian(number, seed):
    rng = np.random.default_rng([number, seed])
    ssm, y, inputs = tall(rng, **CASES[number])
    packed = gaussian.pack(ssm, len(y))
    loglik = gaussian.loglik(packed, y, inputs, "collapsed")
    close(loglik, gaussian.loglik(packed, y, inputs, "sequential"))
    if (
        inputs is None
        and np.linalg.matrix_rank(X := dense.joint(ssm, len(y)).observations.X[~np.isnan(y.ravel())]) == X.shape[1]
    ):
        close(loglik, dense.loglik(ssm, y))
    for task in (
        "filter",
        "smooth",
    ):  # against roots: a scalar of a row that hardly sees what is diffuse costs the recursion digits
        got, want = (getattr(gaussian, task)(packed, y, inputs, method) for method in ("collapsed", "square_root"))
        got, want = settled(got, want)
        same(got[:6], want[:6], 1e-9)
        for ours, theirs in zip(got[6:8], want[6:8], strict=True):  # residuals divide by what may be rounding
            close(*(np.where(np.isnan(ours * theirs), 0.0, x) for x in (ours, theirs)), 1e-7)


@pytest.mark.parametrize("number", [k for k, case in enumerate(CASES) if not case.get("diffuse")])
@pytest.mark.parametrize("seed", range(5))
def test_scores_agree(number, seed):
    rng = np.random.default_rng([number, seed])
    ssm, y, inputs = tall(rng, **CASES[number])
    got, want = (gaussian.score(ssm, y, None, inputs, method) for method in ("collapsed", "sequential"))
    same(got, want, 1e-7)


def test_scores_from_a_diffuse_start_but_of_the_observation_matrix():
    ssm, y, _ = tall(np.random.default_rng(5), diffuse=2)
    names = ("obs_cov", "transition", "process_cov")
    same(*(gaussian.score(ssm, y, names, method=method) for method in ("collapsed", "sequential")), 1e-7)
    with pytest.raises(InputError, match="derivative of the observation matrix"):
        gaussian.score(ssm, y, ("observation",), method="collapsed")


def test_it_goes_on_from_a_state():
    ssm, y, _ = tall(np.random.default_rng(6), n=12, diffuse=2)
    first = gaussian.filter(ssm, y[:2], method="collapsed")
    both = gaussian.filter(ssm, y[2:], state=first.state, method="collapsed")
    close(first.loglik + both.loglik, gaussian.loglik(ssm, y, method="sequential"))
    close(both.state.mean, gaussian.filter(ssm, y, method="sequential").state.mean)


def test_rows_without_observations_and_series_without_rows():
    ssm, y, _ = tall(np.random.default_rng(7))
    y[3:6] = np.nan
    close(gaussian.loglik(ssm, y, method="collapsed"), gaussian.loglik(ssm, y, method="sequential"))
    assert gaussian.loglik(ssm, y[:0], method="collapsed") == 0.0
    nothing = np.full_like(y, np.nan)
    assert gaussian.loglik(ssm, nothing, method="collapsed") == 0.0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda ssm: ssm._replace(obs_cov=np.ones((6, 6))), "obs_cov is singular"),
        (lambda ssm: ssm._replace(obs_cov=np.diag([1.0, 1, 1, 1, 1, 0])), "obs_cov is singular"),
        (
            lambda ssm: ssm._replace(observation=ssm.observation[:2], obs_cov=np.eye(2), obs_offset=None),
            "no more observations",
        ),
    ],
)
def test_what_it_does_not_claim_it_refuses(change, words):
    ssm, _, _ = tall(np.random.default_rng(8), p=6)
    ssm = change(ssm)
    with pytest.raises(InputError, match=words):
        gaussian.loglik(ssm, np.zeros((3, len(ssm.obs_cov))), method="collapsed")


def test_states_that_nobody_sees_cost_no_observation():
    """Lags of factors: four factors of which a hundred columns see one."""
    rng = np.random.default_rng(9)
    F = np.eye(4, k=-1) + np.diag([0.8, 0, 0, 0])
    H = np.zeros((30, 4))
    H[:, 0] = rng.normal(size=30)
    Q = np.diag([1.0, 0, 0, 0])
    ssm = LinearGaussianSSM(F, Q, H, np.eye(30), np.zeros(4), np.eye(4))
    y = rng.normal(size=(3000, 30))
    y[-1, :10] = np.nan
    job = Job("loglik", gaussian.pack(ssm), y, None, None, ())
    y[::7, 3] = np.nan  # so that the steady state does not pay
    assert choose("auto", job).name == "collapsed"
    close(gaussian.loglik(ssm, y), gaussian.loglik(ssm, y, method="sequential"))
