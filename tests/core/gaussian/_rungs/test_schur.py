"""The Schur rung against the sequential one and against the joint Gaussian written out."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import dense_gaussian as dense
from scipy.linalg import block_diag, solve_discrete_lyapunov

from ssmts.components import (
    Autoregression,
    Composition,
    Cycle,
    DampedTrend,
    DummySeason,
    Level,
    Trend,
    TrigonometricSeason,
)
from ssmts.core.gaussian import loglik, pack, score
from ssmts.core.gaussian._kernels.recursion import CLEAR, likelihood, likelihood_adjoint, likelihood_score
from ssmts.core.gaussian._rungs.reduction import _cyclotomic, reduction
from ssmts.core.types import LinearGaussianSSM
from ssmts.exceptions import InputError

COVARIANCES = ("process_cov", "obs_cov")


def whole(period, name="season"):
    return TrigonometricSeason(period, tuple(range(1, period // 2 + 1)), name)


MODELS = {
    "level": ([Level()], [1.0, 0.3]),
    "trend": ([Trend()], [1.0, 0.3, 0.01]),
    "smooth": ([Trend(smooth=True)], [1.0, 0.01]),
    "dummies": ([Trend(), DummySeason(12)], [1.0, 0.3, 0.01, 0.05]),
    "harmonics": ([Trend(), whole(12)], [1.0, 0.3, 0.01, 0.005]),
    "odd": ([Level(), whole(7)], [0.0, 0.3, 0.02]),
    "two seasons": ([Level(), DummySeason(3, "a"), DummySeason(4, "b")], [1.0, 0.3, 0.02, 0.1]),
    "season in a season": (
        [Level(), whole(4, "a"), TrigonometricSeason(12, (1, 2, 4, 5), "b")],
        [1.0, 0.3, 0.02, 0.01],
    ),
    "some harmonics": ([Level(), TrigonometricSeason(7, (1, 2))], [1.0, 0.3, 0.02]),
    "damped": ([DampedTrend(), whole(4)], [1.0, 0.3, 0.1, 0.9, 0.05]),
    "cycle": ([Level(), Cycle(5, 40)], [0.5, 0.3, 12.0, 0.9, 0.2]),
    "autoregression": ([Level(fixed=True), Autoregression(3)], [0.1, 0.5, -0.3, 0.2, 1.0]),
    "stationary": ([Autoregression(2)], [0.0, 1.2, -0.4, 1.0]),
    "everything": (
        [DampedTrend(), DummySeason(4), Cycle(5, 40), Autoregression(1)],
        [1.0, 0.3, 0.1, 0.8, 0.05, 12.0, 0.9, 0.2, -0.6, 0.3],
    ),
}


def model(name):
    components, values = MODELS[name]
    return Composition(components).build(np.array(values))


def airline(period, theta, seasonal_theta, variance=1.3):
    """(1 - B)(1 - B^s) y = (1 + theta B)(1 + Theta B^s) e: a nilpotent moving average and the last rows of y."""
    moving = np.convolve([1.0, theta], np.eye(period + 1)[0] + seasonal_theta * np.eye(period + 1)[period])
    differences = np.convolve([1.0, -1.0], np.eye(period + 1)[0] - np.eye(period + 1)[period])
    r, d = len(moving), len(differences) - 1
    F = block_diag(np.eye(r, k=1), np.eye(d, k=-1))
    H = np.concatenate([np.eye(r)[0], -differences[1:]])
    F[r] = H
    G = np.concatenate([moving, np.zeros(d)])[:, None]
    Q = np.array([[variance]])
    P = block_diag(solve_discrete_lyapunov(F[:r, :r], G[:r] @ Q @ G[:r].T), np.zeros((d, d)))
    diffuse = np.diag(np.repeat([0.0, 1.0], [r, d]))
    return LinearGaussianSSM(F, Q, H[None], np.zeros((1, 1)), np.zeros(r + d), P, diffuse, process_loading=G)


def series(n, seed=0):
    rng = np.random.default_rng(seed)
    season = 3 * np.sin(np.arange(n) * np.pi / 6)
    return (np.cumsum(0.5 * rng.normal(size=n)) + season + rng.normal(size=n))[:, None]


@pytest.mark.parametrize("name", MODELS)
def test_likelihood_is_that_of_the_sequential_rung_and_of_the_joint_gaussian(name):
    ssm = model(name)
    degree = int(np.count_nonzero(np.diagonal(pack(ssm).start.diffuse_cov)))
    for n in (degree + 1, degree + 3, 40):
        y = series(n)
        got = loglik(ssm, y, method="schur")
        assert got == pytest.approx(dense.loglik(ssm, y), rel=1e-9)
        assert got == pytest.approx(loglik(ssm, y, method="sequential"), rel=1e-10)
    long = series(3000)
    assert loglik(ssm, long, method="schur") == pytest.approx(loglik(ssm, long, method="sequential"), rel=1e-9)


@pytest.mark.parametrize("name", [name for name in MODELS if name != "some harmonics"])
def test_the_default_takes_it(name):
    ssm, y = model(name), series(60)
    assert loglik(ssm, y) == loglik(ssm, y, method="schur")
    without = loglik(ssm, y, diffuse_constant=False) - loglik(ssm, y, method="sequential", diffuse_constant=False)
    assert abs(without) < 1e-9


@pytest.mark.parametrize("period", [4, 12, 60])
def test_a_seasonal_arima_model_in_levels(period):
    ssm, y = airline(period, -0.4, -0.6), series(3 * period + 200)
    assert loglik(ssm, y, method="schur") == pytest.approx(loglik(ssm, y, method="sequential"), rel=1e-10)
    if period == 4:
        assert loglik(ssm, y, method="schur") == pytest.approx(dense.loglik(ssm, y), rel=1e-9)


def test_every_way_to_write_a_season_is_the_same_season():
    """The states of statsmodels (newest effect first), a circle of effects without a level, states in any order."""
    y, n = series(200), 12
    dummies = model("dummies")
    want = loglik(dummies, y, method="sequential")
    order = np.random.default_rng(1).permutation(13)
    shuffled = dummies._replace(
        transition=dummies.transition[np.ix_(order, order)],
        process_cov=dummies.process_cov[np.ix_(order, order)],
        observation=dummies.observation[:, order],
    )
    assert loglik(shuffled, y, method="schur") == pytest.approx(want, rel=1e-11)
    turn = np.roll(np.eye(n), 1, axis=1)
    circle = LinearGaussianSSM(
        turn, 0.1 * np.eye(n), np.eye(n)[:1], np.eye(1), np.zeros(n), np.zeros((n, n)), initial_diffuse_cov=np.eye(n)
    )
    assert loglik(circle, y, method="schur") == pytest.approx(loglik(circle, y, method="sequential"), rel=1e-11)
    assert reduction(pack(circle)).lags.tolist() == [0, n]


@pytest.mark.parametrize("kind", ["dummies", "harmonics"])
def test_a_week_of_hours(kind):
    season = DummySeason(168) if kind == "dummies" else whole(168)
    ssm = Composition([Trend(), season]).build(np.array([1.0, 0.1, 0.01, 0.0005]))
    y = series(600)
    found = reduction(pack(ssm))
    assert found.lags.tolist() == [0, 1, 168, 169]
    assert found.weights.tolist() == [1.0, -1.0, -1.0, 1.0]
    assert loglik(ssm, y, method="schur") == pytest.approx(loglik(ssm, y, method="sequential"), rel=1e-9)


@pytest.mark.parametrize("name", ["trend", "dummies", "harmonics", "two seasons"])
def test_score_is_that_of_the_sequential_rung(name):
    ssm = model(name)
    k = len(ssm.initial_mean)
    G = np.random.default_rng(2).normal(size=(k, k)) / k + np.eye(k)
    loaded = ssm._replace(process_loading=G, process_cov=ssm.process_cov + 0.01)
    offset = loaded._replace(obs_offset=np.array([0.3]), state_offset=0.01 * np.arange(k, dtype=float))
    for one, more in ((ssm, ()), (loaded, ("process_loading",)), (offset, ("obs_offset", "state_offset"))):
        names = (*COVARIANCES, *more, "initial_mean", "initial_cov")
        for n in (k + 1, 100):
            y = series(n)
            value, got = score(one, y, names, method="schur")
            same, want = score(one, y, names, method="sequential")
            assert value == pytest.approx(same, rel=1e-10)
            for field in names:
                scale = max(1.0, np.abs(getattr(want, field)).max())
                np.testing.assert_allclose(getattr(got, field), getattr(want, field), atol=1e-8 * scale, err_msg=field)


def test_score_equals_a_complex_step_through_the_joint_gaussian():
    ssm, y = model("dummies"), series(20)
    gradient = score(ssm, y, COVARIANCES, method="schur")[1]
    for at, slope in ((0, gradient.process_cov[0, 0]), (2, gradient.process_cov[2, 2])):
        moved = ssm.process_cov.astype(complex)
        moved[at, at] += 1e-30j
        assert slope == pytest.approx(dense.loglik(ssm._replace(process_cov=moved), y).imag / 1e-30, rel=1e-8)


def test_offsets_and_the_mean_of_stationary_states():
    ssm = model("damped")._replace(obs_offset=np.array([0.7]))
    b = np.zeros(5)
    b[1] = 0.2
    mean = np.zeros(5)
    mean[1] = 0.2 / (1 - ssm.transition[1, 1])
    drifting = ssm._replace(state_offset=b, initial_mean=mean)
    y = series(50)
    assert loglik(drifting, y, method="schur") == pytest.approx(loglik(drifting, y, method="sequential"), rel=1e-10)
    with pytest.raises(InputError, match="stationary law"):
        loglik(drifting._replace(initial_mean=0 * mean), y, method="schur")


@given(st.integers(0, 2**32 - 1), st.lists(st.sampled_from([0.0, 1e-6, 1e-3, 1.0]), min_size=4, max_size=4))
@settings(max_examples=60, deadline=None)
def test_variances_of_any_size_and_exactly_zero(seed, variances):
    """Where the recursion would lose its digits it leaves the series to the sequential rung."""
    ssm, y = Composition([Trend(), DummySeason(4)]).build(np.array(variances)), series(120, seed)
    want = loglik(ssm, y, method="sequential")
    assert loglik(ssm, y, method="schur") == pytest.approx(want, rel=1e-9)


@given(st.floats(1e-3, 1e3), st.integers(0, 99))
@settings(max_examples=20, deadline=None)
def test_scaling_the_series_moves_the_likelihood_by_the_jacobian(scale, seed):
    ssm, y = model("harmonics"), series(80, seed)
    scaled = ssm._replace(process_cov=scale**2 * ssm.process_cov, obs_cov=scale**2 * ssm.obs_cov)
    degree = 13
    assert loglik(scaled, scale * y) + (80 - degree) * np.log(scale) == pytest.approx(loglik(ssm, y), rel=1e-9)


def test_a_trend_that_nothing_moves_is_left_to_the_sequential_rung_where_the_series_is_long():
    ssm, y = Composition([Trend(), DummySeason(12)]).build(np.array([1.0, 0.0, 0.0, 0.05])), series(5000)
    assert loglik(ssm, y, method="schur") == loglik(ssm, y, method="sequential")
    wrt = COVARIANCES
    np.testing.assert_array_equal(
        score(ssm, y, wrt, method="schur")[1].process_cov, score(ssm, y, wrt, method="sequential")[1].process_cov
    )


def test_the_structure_is_found_once_for_all_values():
    packed = pack(model("dummies"))
    found = reduction(packed)
    other = packed.replace(process_cov=2.0 * packed.ssm.process_cov, obs_cov=np.eye(1))
    assert reduction(other) is found
    assert reduction(packed.replace(observation=2.0 * packed.ssm.observation)) is not found


def test_cyclotomic_polynomials():
    """Degree and the first with a coefficient other than -1, 0, 1, as any table has them."""
    assert _cyclotomic(12).tolist() == [1, 0, -1, 0, 1]
    assert _cyclotomic(105).min() == -2
    whole_turn = np.ones(1)
    for b in (1, 2, 3, 4, 6, 12):
        whole_turn = np.convolve(whole_turn, _cyclotomic(b))
    assert whole_turn.tolist() == [1] + [0] * 11 + [-1]


def _vague():
    return Composition([Trend(), TrigonometricSeason(168, (1, 2, 3))]).build(np.array([1.0, 0.1, 0.01, 0.1]))


def _twice():
    ssm = model("level")
    two = np.ones((2, 1))
    return ssm._replace(observation=two, obs_cov=np.eye(2)), np.ones((5, 2))


REFUSALS = {
    "missing": (lambda: (model("level"), np.array([[1.0], [np.nan], [2.0]])), "missing"),
    "short": (lambda: (model("dummies"), series(13)), "more than 13 rows"),
    "vague": (lambda: (_vague(), series(50)), "not stationary"),
    "two columns": (_twice, "more than one observation"),
    "close harmonics": (
        lambda: (Composition([TrigonometricSeason(40, (1, 2, 3))]).build(np.array([1.0, 0.1])), series(50)),
        "do not determine",
    ),
    "own prior": (
        lambda: (model("stationary")._replace(initial_cov=np.eye(2)), series(9)),
        "stationary law",
    ),
    "unseen": (
        lambda: (model("trend")._replace(observation=np.array([[0.0, 1.0]])), series(9)),
        "do not determine",
    ),
}


@pytest.mark.parametrize("what", REFUSALS)
def test_what_is_not_claimed_is_refused_by_name_and_served_by_default(what):
    make, words = REFUSALS[what]
    ssm, y = make()
    with pytest.raises(InputError, match=words):
        loglik(ssm, y, method="schur")
    assert loglik(ssm, y) == loglik(ssm, y, method="sequential")


def test_no_shock_at_all():
    """The first rows are absorbed, and what follows contradicts them."""
    ssm = Composition([Level()]).build(np.zeros(2))
    assert loglik(ssm, np.ones((4, 1)), method="schur") == loglik(ssm, np.ones((4, 1)), method="sequential")
    assert loglik(ssm, series(4), method="schur") == -np.inf


@pytest.mark.parametrize("order", [0, 1, 3])
def test_the_recursion_backwards_gives_the_slopes_in_the_autoregression_and_the_autocovariances(order):
    """Central differences, every number moved on its own."""
    phi = np.array([0.5, -0.3, 0.2])[:order]
    g = np.array([3.0, 1.2, 0.4, -0.3, 0.2])
    w, n, q = series(30)[:, 0], 30, len(g) - 1
    slope, turn = np.empty(q + 1), np.empty(order)
    out = likelihood_adjoint(w, 0.3, phi, g, CLEAR, turn, slope, np.empty((n, q)), np.empty((n, q)), np.empty((n, 4)))

    def value(numbers):
        logs, squares, sound = likelihood(w, numbers[-1], numbers[:order].copy(), numbers[order:-1].copy(), CLEAR)
        assert sound
        return -0.5 * (logs + squares)

    at = np.concatenate([phi, g, [0.3]])
    moves = 1e-5 * np.eye(len(at))
    slopes = [(value(at + move) - value(at - move)) / 2e-5 for move in moves]
    np.testing.assert_allclose(np.concatenate([turn, slope, out[-1:]]), slopes, rtol=1e-6, atol=1e-7)
    if order == 0:
        same = np.empty(q + 1)
        more = likelihood_score(w, 0.3, g, CLEAR, same, np.empty((n, q)), np.empty(n + q), np.empty(n + q))
        np.testing.assert_allclose(same, slope, rtol=1e-10)
        np.testing.assert_allclose(more, out, rtol=1e-10)
