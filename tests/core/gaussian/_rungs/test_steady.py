"""The steady state: likelihoods that are exact from the first row, and covariances that are left alone once they have settled."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from oracles import dense_gaussian as dense
from oracles import long_double

from ssmts.components import Composition, DummySeason, Trend, TrigonometricSeason
from ssmts.core import gaussian
from ssmts.core.gaussian._forward import run
from ssmts.core.gaussian._ladder import Job, choose
from ssmts.core.gaussian._rungs import steady
from ssmts.core.types import LinearGaussianSSM, TimeVarying
from ssmts.exceptions import InputError, NumericalError

from ..cases import close
from ..test_ladder import same, settled

ONE = np.eye(1)


def level(process_var=1469.1, obs_var=15099.0):
    return LinearGaussianSSM(ONE, process_var * ONE, ONE, obs_var * ONE, np.zeros(1), 0 * ONE, ONE)


def drawn(seed, n, missing=0.0):
    """A random time-invariant model whose state is seen well enough to settle soon."""
    rng = np.random.default_rng(seed)
    dx, dy = int(rng.integers(1, 6)), int(rng.integers(1, 4))
    diffuse = int(rng.integers(0, dx + 1))
    ssm = dense.random_model(rng, n, dx=dx, dy=dy, diffuse=diffuse, varying=False, moves=int(rng.integers(0, dx + 1)))
    ssm = ssm._replace(obs_cov=ssm.obs_cov + np.eye(dy), process_cov=ssm.process_cov + 0.1 * np.eye(2))
    y = dense.random_series(rng, n, dy, missing) if missing else rng.normal(size=(n, dy)) * 2
    return ssm, y


def claimed(ssm):
    return not isinstance(steady.steady(gaussian.pack(ssm)), str)


@given(seed=st.integers(0, 10**6), n=st.integers(1, 60))
@example(10902, 8)  # a proper start far from the steady state
@settings(max_examples=60, deadline=None)
def test_complete_series_have_the_sequential_likelihood(seed, n):
    ssm, y = drawn(seed, n)
    if claimed(ssm):
        for constant in (True, False):
            close(*(gaussian.loglik(ssm, y, method=m, diffuse_constant=constant) for m in ("steady", "sequential")))


@given(seed=st.integers(0, 10**6))
@settings(max_examples=40, deadline=None)
def test_series_with_holes_have_the_sequential_filter(seed):
    ssm, y = drawn(seed, 200, 0.02)
    y[:3], y[50:60] = np.nan, np.nan
    if claimed(ssm):
        close(gaussian.loglik(ssm, y, method="steady"), gaussian.loglik(ssm, y, method="sequential"))
        got, want = (gaussian.filter(ssm, y, method=m) for m in ("steady", "sequential"))
        same(*settled(got, want), 1e-9)
        same(got.state, want.state, 1e-9)


NAMES = (
    "transition",
    "process_cov",
    "observation",
    "obs_cov",
    "initial_mean",
    "initial_cov",
    "state_offset",
    "obs_offset",
)


@given(seed=st.integers(0, 10**6), n=st.integers(60, 400))
@settings(max_examples=40, deadline=None)
def test_smoothers_of_complete_series_are_the_sequential_ones(seed, n):
    """From the rows on that resolve a diffuse start: it may be so ill conditioned that no two rungs agree there."""
    ssm, y = drawn(seed, n)
    packed = gaussian.pack(ssm, n)
    if not steady.refuses(Job("smooth", packed, y, None, None, ())):
        got, want = (gaussian.smooth(packed, y, method=m) for m in ("steady", "sequential"))
        late = slice(packed.factor.shape[1], None)
        for field, other in zip(got[:-2], want[:-2], strict=True):  # residuals divide by what may be rounding
            close(field[late], other[late])
    state = gaussian.filter(packed, y[:20]).state
    if not steady.refuses(Job("smooth", packed, y[20:], state, None, ())):
        got, want = (gaussian.smooth(packed, y[20:], method=m, state=state) for m in ("steady", "sequential"))
        for field, other in zip(got[:-2], want[:-2], strict=True):
            close(field, other)


def test_a_smoother_whose_ends_meet_before_either_has_settled():
    """The slow roots of a slope and a season take most of the series to settle from its start, and as long from its end."""
    model = Composition([Trend(), DummySeason(12)])
    rng = np.random.default_rng(3)
    n = 4000
    y = np.cumsum(rng.normal(size=n) * 0.5 + 0.01)[:, None] + np.resize(rng.normal(size=12), n)[:, None]
    packed = gaussian.pack(model.build(np.array([1.0, 0.3, 1e-4, 0.02])), n)
    same(*(gaussian.smooth(packed, y, method=m) for m in ("steady", "sequential")), 1e-9)
    with pytest.raises(InputError, match="does not settle within the rows"):
        gaussian.smooth(packed, y[:1000], method="steady")
    y[2000] = np.nan
    with pytest.raises(InputError, match="complete series"):
        gaussian.smooth(packed, y, method="steady")


def test_the_nile_is_smoothed_as_published(nile):
    """Durbin and Koopman's example, as in the test of the sequential smoother."""
    result = gaussian.smooth(level(), nile, method="steady")
    want = [1111.66831913, 1110.85766462, 1105.26556731, 804.04959567, 798.37029261]
    np.testing.assert_allclose(result.smoothed_mean[[0, 1, 2, 98, 99], 0], want, rtol=1e-10)
    want = [4032.15794181, 3242.93007322, 2326.75686981, 4032.15794181]
    np.testing.assert_allclose(result.smoothed_cov[[0, 1, 50, 99], 0, 0], want, rtol=1e-10)


def test_smoothers_with_inputs_and_offsets():
    rng = np.random.default_rng(5)
    ssm = level()._replace(
        state_offset=TimeVarying(rng.normal(size=(200, 1)) * 30),
        obs_offset=np.array([5.0]),
        input_matrix=np.array([[10.0, -20.0]]),
        feedthrough=np.array([[1.0, 2.0]]),
    )
    y, inputs = 1000 + 100 * rng.normal(size=(200, 1)), rng.normal(size=(200, 2))
    same(*(gaussian.smooth(ssm, y, inputs, method=m) for m in ("steady", "sequential")), 1e-9)


@given(seed=st.integers(0, 10**6))
@settings(max_examples=30, deadline=None)
def test_scores_of_long_series_are_the_sequential_ones(seed):
    ssm, y = drawn(seed, 1500)
    packed = gaussian.pack(ssm)
    for names in (NAMES, ("process_cov", "obs_cov", "process_loading"), ("obs_offset",)):
        if not steady.refuses(Job("score", packed, y, None, None, names)):
            got, want = (gaussian.score(packed, y, names, method=m) for m in ("steady", "sequential"))
            close(got[0], want[0])
            same(got[1], want[1], 1e-8)


def test_scores_with_inputs_and_from_a_state(nile):
    y = np.vstack([nile] * 8)
    u = np.random.default_rng(0).normal(size=(800, 1))
    ssm = level()._replace(input_matrix=5 * ONE, obs_offset=TimeVarying(u))
    names = ("process_cov", "obs_cov", "transition")
    state = gaussian.filter(ssm, y[:1], u[:1]).state
    for start in (None, state):
        got, want = (gaussian.score(ssm, y, names, u, m, state=start) for m in ("steady", "sequential"))
        same(got, want, 1e-9)
    with pytest.raises(InputError, match="obs_offset row by row"):
        gaussian.score(ssm, y, ("obs_offset",), u, "steady")
    with pytest.raises(InputError, match="complete"):
        gaussian.score(level(), np.where(y > 1300, np.nan, y), names, method="steady")
    with pytest.raises(InputError, match="a sixth"):
        gaussian.score(level(), y[:150], names, method="steady")


@pytest.mark.parametrize("hole", [None, 0, 60, slice(40, 43), 99])
def test_nile(nile, hole):
    if hole is not None:
        nile[hole] = np.nan
    close(gaussian.loglik(level(), nile, method="steady"), gaussian.loglik(level(), nile, method="sequential"), 1e-12)
    got, want = (gaussian.filter(level(), nile, method=m) for m in ("steady", "sequential"))
    same(*settled(got, want), 1e-11)


def test_nile_is_the_published_value(nile):
    assert gaussian.loglik(level(), nile, method="steady") == pytest.approx(-633.4645636488787, abs=1e-10)


def test_the_covariance_is_left_alone_and_taken_up_at_a_hole(monkeypatch, nile):
    """Of three hundred rows with two holes fewer than two thirds are filtered in full, and a hole among them always is."""
    rows = []

    def counted(*args):
        if not args[8]:
            rows.append(len(args[3]))
        return whole(*args)

    whole = steady.forward
    monkeypatch.setattr(steady, "forward", counted)
    y = np.vstack([nile] * 3)
    y[[150, 151]] = np.nan
    close(gaussian.loglik(level(), y, method="steady"), gaussian.loglik(level(), y, method="sequential"), 1e-11)
    assert len(rows) > 1
    assert sum(rows) < 200


def test_a_change_of_variance_is_no_sign_of_having_settled():
    """A weak signal: the innovation variance hardly moves from row to row, far from where it ends."""
    n = 3000
    ssm = level(1e-6, 1.0)
    y = np.random.default_rng(0).normal(size=(n, 1))
    y[1500] = np.nan
    S = gaussian.filter(ssm, y, method="sequential").innovation_cov[:, 0, 0]
    assert abs(S[700] - S[699]) / S[700] < 1e-5 < abs(S[700] - S[-1]) / S[700] * 5
    close(gaussian.loglik(ssm, y, method="steady"), gaussian.loglik(ssm, y, method="sequential"), 1e-12)


@pytest.mark.parametrize("variances", [(1.0, 0.0, 0.0), (0.0, 0.0, 0.0), (0.0, 1e-3, 0.0), (0.1, 0.01, 0.05)])
def test_variances_of_zero(variances):
    """Unit roots without noise stay in the steady filter; the correction for the start carries them."""
    model = Composition([Trend(), DummySeason(12)])
    ssm = model.build(np.array([1.0, *variances]))
    y = np.cumsum(np.random.default_rng(3).normal(size=(400, 1)), axis=0)
    close(gaussian.loglik(ssm, y, method="steady"), gaussian.loglik(ssm, y, method="sequential"))


def test_a_high_level_costs_no_digits():
    """The start is estimated before it is used, so that there is nothing large to cancel."""
    ssm = Composition([Trend(), DummySeason(4)]).build(np.array([1.0, 0.1, 0.01, 0.05]))
    y = np.random.default_rng(3).normal(size=(100, 1))
    want = gaussian.loglik(ssm, y, method="sequential")
    assert gaussian.loglik(ssm, y + 1e6, method="steady") == pytest.approx(want, rel=1e-8)


@pytest.mark.parametrize("n", [300, 900, 3000])
@pytest.mark.parametrize("scale", [1.0, 0.01])
def test_few_harmonics_of_a_long_season(n, scale):
    """A diffuse start from the first rows alone tells such states apart by one part in 10^18; the whole series does not."""
    model = Composition([Trend(), TrigonometricSeason(168, (1, 2, 3, 4, 5, 6))])
    ssm = model.build(model.start * np.where(np.arange(model.start.size), scale, 1.0))
    dx = len(ssm.initial_mean)
    ssm = ssm._replace(initial_cov=np.zeros((dx, dx)), initial_diffuse_cov=np.eye(dx))
    rng = np.random.default_rng(0)
    y = 0.1 * np.cumsum(rng.normal(size=n)) + 3 * np.sin(2 * np.pi * np.arange(n) / 168) + rng.normal(size=n) + 100
    G = np.eye(dx) if ssm.process_loading is None else ssm.process_loading
    parts = ssm.transition, G @ ssm.process_cov @ G.T, ssm.observation[0], ssm.obs_cov[0, 0], np.eye(dx), y
    want = long_double.augmented(*parts)
    if n == 300:
        assert long_double.dense(*parts) == pytest.approx(want, abs=1e-11)
    for method in ("steady", "auto"):
        assert gaussian.loglik(ssm, y[:, None], method=method) == pytest.approx(want, abs=1e-6)


def test_offsets_and_inputs_may_vary():
    rng = np.random.default_rng(5)
    ssm, y = drawn(11, 80)
    dx, dy = len(ssm.initial_mean), y.shape[1]
    ssm = ssm._replace(
        state_offset=TimeVarying(rng.normal(size=(80, dx))),
        obs_offset=TimeVarying(rng.normal(size=(80, dy))),
        input_matrix=rng.normal(size=(dx, 2)),
        feedthrough=TimeVarying(rng.normal(size=(80, dy, 2))),
    )
    u = rng.normal(size=(80, 2))
    for hole in (False, True):
        y[40] = np.nan if hole else y[40]
        close(*(gaussian.loglik(ssm, y, u, m) for m in ("steady", "sequential")))
        same(*settled(*(gaussian.filter(ssm, y, u, m) for m in ("steady", "sequential"))), 1e-9)


def test_a_series_in_two_parts_is_the_whole(nile):
    for cut in (0, 1, 50, 100):
        head = gaussian.filter(level(), nile[:cut], method="steady")
        tail = gaussian.loglik(level(), nile[cut:], method="steady", state=head.state)
        assert head.loglik + tail == pytest.approx(-633.4645636488787, abs=1e-9)


def test_batches_go_series_by_series(nile):
    y = np.stack([nile, nile[::-1]])
    y[1, 5] = np.nan
    close(gaussian.loglik(level(), y, method="steady"), gaussian.loglik(level(), y, method="sequential"))


def test_refusals_say_why(nile):
    varying = level()._replace(observation=TimeVarying(np.ones((100, 1, 1))))
    with pytest.raises(InputError, match="observation changes with time"):
        gaussian.loglik(varying, nile, method="steady")
    unseen = level()._replace(observation=0 * ONE)
    with pytest.raises(InputError, match="not seen by observation"):
        gaussian.loglik(unseen, nile, method="steady")
    twins = LinearGaussianSSM(ONE, ONE, np.ones((2, 1)), np.zeros((2, 2)), np.zeros(1), 0 * ONE, ONE)
    with pytest.raises(InputError, match="determined exactly"):
        gaussian.loglik(twins, np.hstack([nile, nile]), method="steady")


def test_a_steady_state_is_found_once_for_a_model():
    packed = gaussian.pack(level())
    assert steady.steady(packed) is steady.steady(packed)
    other = packed.replace(obs_cov=2 * ONE)
    assert steady.steady(other).found.innovation_cov != steady.steady(packed).found.innovation_cov
    nothing = np.zeros((0, 1))
    assert run(packed, nothing, None, None).loglik == steady.run_steady(packed, nothing, None, None).loglik


def test_auto_takes_it_where_it_pays():
    rng = np.random.default_rng(0)
    F = 0.9 * np.linalg.qr(rng.normal(size=(8, 8)))[0]
    ssm = LinearGaussianSSM(F, np.eye(8), rng.normal(size=(4, 8)), np.eye(4), np.zeros(8), np.eye(8))
    y = rng.normal(size=(5000, 4))

    def chosen(task, y, ssm=ssm):
        return choose("auto", Job(task, gaussian.pack(ssm), y, None, None, ())).name

    assert chosen("loglik", y) == "steady"
    assert chosen("filter", y) == "steady"
    assert chosen("loglik", y[:100]) == "sequential"
    assert chosen("smooth", y) == "steady"
    y[::20] = np.nan
    assert chosen("loglik", y) == "sequential"
    assert chosen("smooth", y) == "sequential"
    assert (
        chosen("loglik", y, ssm._replace(obs_cov=TimeVarying(np.broadcast_to(np.eye(4), (5000, 4, 4))))) == "sequential"
    )


@pytest.mark.parametrize("power", [150, 160, 300])
@pytest.mark.parametrize("method", ["auto", "steady", "schur", "sequential", "square_root"])
def test_a_likelihood_beyond_all_numbers_is_minus_infinity(power, method, nile):
    """Never a quiet NaN."""
    one = np.eye(1)
    level = LinearGaussianSSM(one, one, one, one, np.zeros(1), 0 * one, initial_diffuse_cov=one)
    value = gaussian.loglik(level, nile * 10.0**power, method=method)
    assert value < -1e300
    assert np.isinf(value) == (power > 150)
    with pytest.raises(NumericalError, match="is not a number, as sums of squares overflow"):
        gaussian.loglik(level, nile * 1e300, method="scan")
