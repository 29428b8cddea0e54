"""Many series through one covariance pass: the numbers of a loop over the series."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import dense_gaussian as dense

from ssmts.components import Composition, DummySeason, Trend
from ssmts.core import gaussian
from ssmts.core.gaussian._ladder import Job, choose
from ssmts.core.gaussian._rungs.shared import RUNG, groups
from ssmts.core.types import LinearGaussianSSM
from ssmts.exceptions import InputError

from ..cases import CASES, case, close
from ..test_ladder import same, settled

ONE = np.eye(1)


def batch(number, seed, n_series=4, patterns=2):
    """Series of a model that share their holes in groups of two or more."""
    ssm, y, inputs = case(number, seed)
    rng = np.random.default_rng([3, number, seed])
    many = rng.normal(size=(n_series * patterns, *y.shape)) * 2
    for i in range(patterns):
        many[i::patterns][:, np.isnan(dense.random_series(rng, *y.shape))] = np.nan
    return ssm, many, inputs


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("number", range(len(CASES)))
def test_a_batch_is_a_loop(number, seed):
    ssm, y, inputs = batch(number, seed)
    for task in ("filter", "smooth"):
        got, want = (getattr(gaussian, task)(ssm, y, inputs, method=m) for m in ("shared", "sequential"))
        if task == "filter":
            same(got.state.cov, want.state.cov, 1e-9)
            np.testing.assert_array_equal(got.state.rank, want.state.rank)
        same(*settled(got, want), 1e-9)
    got, want = (gaussian.score(ssm, y, inputs=inputs, method=m) for m in ("shared", "sequential"))
    close(got[0], want[0])
    same(got[1], want[1], 1e-8)
    for constant in (True, False):
        close(*(gaussian.loglik(ssm, y, inputs, m, diffuse_constant=constant) for m in ("shared", "sequential")))


@pytest.mark.parametrize("number", [1, 3, 4, 8])
def test_a_batch_goes_on_from_a_state(number):
    ssm, y, inputs = batch(number, 7)
    state = gaussian.filter(ssm, y[0], inputs).state
    for task in ("loglik", "filter", "smooth"):
        got, want = (getattr(gaussian, task)(ssm, y, inputs, m, state=state) for m in ("shared", "sequential"))
        same(*((got, want) if task == "loglik" else settled(got, want)), 1e-9)
    got, want = (gaussian.score(ssm, y, inputs=inputs, method=m, state=state) for m in ("shared", "sequential"))
    same(got, want, 1e-8)


@given(seed=st.integers(0, 10**6))
@settings(max_examples=20, deadline=None)
def test_the_order_of_the_series_and_the_blocks_do_not_matter(seed):
    """Over several blocks, and each series as if it were alone with its twin."""
    rng = np.random.default_rng(seed)
    ssm = dense.random_model(rng, 6, dx=3, dy=2, diffuse=1)
    y = rng.normal(size=(600, 6, 2))
    y[::3, 2:4] = np.nan
    order = rng.permutation(600)
    got = gaussian.loglik(ssm, y, method="shared")
    np.testing.assert_allclose(gaussian.loglik(ssm, y[order], method="shared"), got[order], rtol=1e-12)
    for i in rng.integers(600, size=3):
        close(got[i], gaussian.loglik(ssm, y[i]))


def test_series_are_grouped_by_their_holes():
    y = np.zeros((5, 3, 2))
    assert [list(g) for g in groups(y)] == [[0, 1, 2, 3, 4]]
    y[[1, 3], 0, 1] = np.nan
    y[4, 2] = np.nan
    assert [list(g) for g in groups(y)] == [[0, 2], [1, 3], [4]]


def test_alone_with_its_holes_no_series_gains():
    ssm, y, _ = batch(2, 0)
    packed = gaussian.pack(ssm)
    own = y.copy()
    own[np.isnan(own)] = 0.0
    own[np.arange(len(own)), np.arange(len(own)) % 7, np.arange(len(own)) // 7] = np.nan
    assert "miss" in RUNG.refuses(Job("loglik", packed, own, None, None, ()))
    assert "one series" in RUNG.refuses(Job("loglik", packed, y[0], None, None, ()))
    with pytest.raises(InputError, match="one series"):
        gaussian.loglik(ssm, y[0], method="shared")
    close(gaussian.loglik(ssm, own), gaussian.loglik(ssm, own, method="sequential"))


def test_auto_takes_it_unless_complete_series_need_no_covariances():
    rng = np.random.default_rng(0)

    def chosen(season, n_series, task="loglik", hole=False):
        ssm = Composition([Trend(), DummySeason(season)]).build(np.array([1.0, 0.1, 0.01, 0.05]))
        y = rng.normal(size=(n_series, 500, 1))
        y[:, 7] = np.nan if hole else y[:, 7]
        return choose("auto", Job(task, gaussian.pack(ssm), y, None, None, ("obs_cov",))).name

    assert chosen(4, 100) == "shared"
    assert chosen(100, 3) == chosen(100, 3, "score") == "schur"
    assert chosen(100, 3, hole=True) == chosen(100, 3, "smooth") == "shared"


@pytest.mark.parametrize("full", [False, True])
def test_what_contradicts_an_exact_prediction_is_said_series_by_series(full):
    R = np.ones((2, 2)) if full else np.zeros((2, 2))
    twins = LinearGaussianSSM(ONE, ONE, np.ones((2, 1)), R, np.zeros(1), 0 * ONE, ONE)
    y = np.repeat(np.random.default_rng(0).normal(size=(4, 9, 1)), 2, axis=2)
    y[1, 5, 1] += 0.5
    got, want = (gaussian.filter(twins, y, method=m) for m in ("shared", "sequential"))
    np.testing.assert_array_equal(np.isinf(got.loglik), [False, True, False, False])
    np.testing.assert_array_equal(np.isinf(got.loglik_t), np.isinf(want.loglik_t))
    fine = np.isfinite(want.loglik_t)
    close(got.loglik_t[fine], want.loglik_t[fine])
    np.testing.assert_array_equal(gaussian.loglik(twins, y, method="shared"), got.loglik)


@pytest.mark.parametrize("first", [0.0, 1.0])
def test_the_score_of_a_line_that_saw_nothing_diffuse_is_that_at_the_present_rank(first):
    """An empty line before the one that resolves the level: the sequential rung's convention holds for the batch."""
    H = np.array([[0.0], [1.0]]) if first == 0.0 else np.array([[1.0, 0.0], [0.0, 1.0]])
    dx = H.shape[1]
    ssm = LinearGaussianSSM(np.eye(dx), np.eye(dx), H, np.eye(2), np.zeros(dx), np.eye(dx), np.diag([0.0, 1.0][-dx:]))
    y = np.random.default_rng(0).normal(size=(3, 9, 2))
    got, want = (gaussian.score(ssm, y, ("transition", "observation"), method=m) for m in ("shared", "sequential"))
    same(got, want, 1e-10)


def test_nothing_observed():
    ssm, y, inputs = batch(3, 1)
    got, want = (gaussian.filter(ssm, np.full_like(y, np.nan), inputs, m) for m in ("shared", "sequential"))
    same(*settled(got, want), 1e-9)
    np.testing.assert_array_equal(gaussian.loglik(ssm, y[:, :0], None if inputs is None else inputs[:0]), 0.0)
