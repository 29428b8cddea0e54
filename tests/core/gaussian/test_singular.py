"""Sensors without noise, more of them than there is to know, and other places where a variance is exactly zero."""

import numpy as np
import pytest
from oracles import dense_gaussian, precise_gaussian
from oracles.decimal_gaussian import exact

from ssmts.components import Composition, Cycle, DummySeason, Level
from ssmts.core import gaussian
from ssmts.core.types import LinearGaussianSSM, State, TimeVarying
from ssmts.exceptions import NumericalError

from .cases import close

METHODS = ("sequential", "square_root")
ONE = np.eye(1)


def exact_sensors(seed, p, dx, moves=True, diffuse=False, n=4):
    """Sensors that see `dx` states without noise, and a series that they agree on."""
    rng = np.random.default_rng(seed)
    noise, H = rng.normal(size=(dx, dx)), rng.normal(size=(p, dx))
    F = 0.9 * np.eye(dx) + 0.1 * rng.normal(size=(dx, dx))
    ssm = LinearGaussianSSM(F, moves * noise @ noise.T, H, np.zeros((p, p)), np.zeros(dx), np.eye(dx))
    y = gaussian.simulate(ssm, n, random_state=seed)[1][0]
    return ssm._replace(initial_diffuse_cov=np.eye(dx)) if diffuse else ssm, y


@pytest.mark.parametrize(
    ("method", "moves", "diffuse"),
    [
        ("sequential", True, False),
        ("sequential", True, True),
        ("sequential", False, False),
        ("square_root", True, False),
        ("square_root", True, True),
        ("square_root", False, False),
        ("square_root", False, True),
    ],
)
def test_exact_sensors_beyond_the_number_of_states_add_nothing(method, moves, diffuse):
    """As many sensors as states tell the states; those of the row that come after them say nothing more."""
    for seed, (p, dx) in enumerate([(3, 1), (6, 2), (12, 2), (6, 3), (12, 3)] * 4):
        ssm, y = exact_sensors(seed, p, dx, moves, diffuse)
        first = ssm._replace(observation=ssm.observation[:dx], obs_cov=np.zeros((dx, dx)))
        alone = y[:, :dx] if moves else np.vstack([y[:1, :dx], np.full((len(y) - 1, dx), np.nan)])
        close(gaussian.loglik(ssm, y, method=method), gaussian.loglik(first, alone, method=method), 1e-7)


def innovations_form(seed):
    """Two recursions that read a series and what they say of its next row, which has no other noise than that error.

    While rows are complete the recursions are known exactly; what a gap leaves unknown of them dies out with their roots.
    """
    rng = np.random.default_rng(seed)
    F, H, read = np.zeros((5, 5)), np.append(0.3 * rng.normal(size=4), 1.0), np.array([1.0, 0.0, 0.7, 0.0])
    for first in (0, 2):
        F[first, first : first + 2] = -np.poly(rng.uniform(-0.4, 0.4, 2))[1:]
        F[first + 1, first] = 1.0
    F[:4] += np.outer(read, H)
    start = np.diag([0.0, 0, 0, 0, 1])
    return LinearGaussianSSM(F, ONE, H[None], 0 * ONE, np.zeros(5), start, process_loading=np.eye(5)[:, 4:])


@pytest.mark.parametrize("gap", [1, 4])
@pytest.mark.parametrize("seed", [0, 2, 3, 5])
def test_what_a_gap_left_unknown_dies_out_to_nothing(seed, gap):
    ssm, y = innovations_form(seed), np.random.default_rng(seed).normal(size=(50, 1))
    y[10 : 10 + gap] = np.nan
    truth = exact(ssm, y)
    for method in ("auto", *METHODS):
        result = gaussian.filter(ssm, y, method=method)
        close(result.loglik_t, truth.loglik_t, 1e-11)
        for name in ("predicted_mean", "predicted_cov", "filtered_mean", "filtered_cov"):
            np.testing.assert_allclose(getattr(result, name), getattr(truth, name), rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(
            gaussian.smooth(ssm, y, method=method).smoothed_cov, truth.smoothed_cov[:, :5, :5], atol=1e-10
        )


@pytest.mark.parametrize("method", ["auto", *METHODS, "square_root_single"])
def test_what_dies_out_below_all_numbers_is_nothing(method):
    """Roots of 1e-160 are numbers, their squares are not."""
    ssm, y = innovations_form(1), np.random.default_rng(1).normal(size=(500, 1))
    y[10:14] = np.nan
    result = gaussian.filter(ssm, y, method=method)
    single = method == "square_root_single"
    np.testing.assert_allclose(result.innovation_cov[400:], 1.0, rtol=1e-5 if single else 1e-13)
    recursions = result.predicted_cov[400:, :4, :4]
    assert abs(recursions).max() < (1e-12 if single else 1e-15)


def test_roots_of_nothing_do_not_divide_by_it():
    """Two states that halve at each row, known as long as they are numbers, under a sensor without noise."""
    ssm = LinearGaussianSSM(np.diag([0.5, 0.4]), np.zeros((2, 2)), np.ones((1, 2)), 0 * ONE, np.zeros(2), np.eye(2))
    for n in (240, 400, 800):
        y = np.full((n, 1), np.nan)
        y[-1] = 0.0
        assert np.isfinite(gaussian.filter(ssm, y, method="square_root").filtered_cov).all()


def test_a_diffuse_state_may_be_wiped_out_before_it_was_seen():
    ssm = LinearGaussianSSM(0 * ONE, ONE, ONE, ONE, np.zeros(1), 0 * ONE, initial_diffuse_cov=ONE)
    y = np.array([[np.nan], [0.5], [1.0]])
    state = gaussian.filter(ssm, y[:1]).state
    assert (state.rank, state.diffuse_cov[0, 0]) == (1, 0.0)
    stream = gaussian.Stream(ssm, state)
    late = gaussian.FixedLag(ssm, 3)
    for t, row in enumerate(y):
        late.add(t, row)
    whole = gaussian.filter(ssm, y)
    assert whole.loglik == pytest.approx(stream.step(y[1]) + stream.step(y[2]), rel=1e-12)
    close(late.state.mean, whole.state.mean)
    close(gaussian.filter(ssm, y[1:], state=state).state.mean, whole.state.mean)
    streams = gaussian.Streams(ssm, 2, State(*(np.repeat(np.asarray(x)[None], 2, axis=0) for x in state)))
    close(streams.step(y[[1, 1]]).loglik, np.repeat(whole.loglik_t[1], 2))


@pytest.mark.parametrize("method", ["auto", *METHODS])
def test_a_batch_without_rows(method):
    varying = TimeVarying(np.ones((1, 1, 1)))
    ssm = LinearGaussianSSM(ONE, varying, ONE, ONE, np.zeros(1), ONE, initial_diffuse_cov=ONE)
    empty = np.empty((3, 0, 1))
    assert gaussian.smooth(ssm, empty, method=method).smoothed_mean.shape == (3, 0, 1)
    loglik, gradient = gaussian.score(ssm, empty, ("process_cov",), method=method)
    assert not loglik.any()
    assert not gradient.process_cov.values.any()


def test_statistics_of_rows_where_a_variance_is_zero_but_for_rounding():
    """A season and a cycle seen exactly: what rows tell of some states is rounding, which may be negative."""
    model = Composition([DummySeason(4), Cycle(3.0, 12.0)])
    ssm = model.build(np.array([0.0, 5e-6, 6.0, 0.9, 1.6e-4]))
    for seed in range(10):
        y = np.random.default_rng(seed).normal(size=(8, 1))
        for part in gaussian.row_statistics(ssm, y):
            assert np.isfinite(part).all()
            assert (part >= 0).all()


@pytest.mark.parametrize("zeros", [0.0, 0.6])
@pytest.mark.parametrize("seed", [61, 87, 161, 244, 279, 541, 692, *range(2000, 2050)])
def test_noise_of_low_rank_is_a_covariance(seed, zeros):
    """Twelve sensors with few sources of noise: a small pivot magnifies rounding in those that are zero."""
    rng = np.random.default_rng(seed)
    r = rng.normal(size=(12, rng.integers(1, 12)))
    H = rng.normal(size=(12, 2))
    r[rng.random(r.shape) < zeros] = 0.0
    ssm = LinearGaussianSSM(np.eye(2), np.eye(2), H, r @ r.T, np.zeros(2), np.eye(2))
    y = rng.normal(size=(1, 2)) @ H.T + rng.normal(size=(1, r.shape[1])) @ r.T
    assert np.isfinite(gaussian.loglik(ssm, y, method="sequential"))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("moves", [False, True])
def test_exact_sensors_tell_states_that_begin_partly_diffuse(method, moves):
    """The first row tells all; what comes after it follows from it, and must not count as news."""
    for seed in range(40):
        rng = np.random.default_rng(seed)
        dx = int(rng.integers(1, 5))
        root, spread, H = (rng.normal(size=(k, dx)) for k in (dx, dx, 3 * dx))
        if np.linalg.cond(H[:dx]) > 20 or np.linalg.cond(spread) > 20:
            continue
        F = 0.9 * np.eye(dx) + 0.1 * rng.normal(size=(dx, dx)) if moves else np.eye(dx)
        A, states = spread.T[:, : rng.integers(1, dx + 1)], [rng.normal(size=dx)]
        for _ in range(3):
            states.append(F @ states[-1])
        zero = np.zeros((dx, dx))
        ssm = LinearGaussianSSM(F, zero, H, np.zeros((3 * dx, 3 * dx)), np.zeros(dx), root @ root.T, A @ A.T)
        y = np.array(states) @ H.T
        told = ssm._replace(observation=H[:dx], obs_cov=zero)
        close(gaussian.loglik(ssm, y, method=method), dense_gaussian.loglik(told, y[:1, :dx]), 1e-7)


def test_streams_of_exact_sensors_beyond_the_number_of_states():
    for seed, (p, dx) in enumerate([(6, 2), (12, 2), (6, 3), (12, 3)] * 4):
        ssm, y = exact_sensors(seed, p, dx)
        each, one = gaussian.Streams(ssm, 2, shared=False), gaussian.Stream(ssm)
        for row in y:
            close(each.step(np.stack([row, row])).loglik, np.repeat(one.step(row), 2), 1e-7)


def exact_sensors_over_rows(seed):
    """Sensors without noise that tell unmoved states, partly diffuse, over several rows; None if they never do."""
    rng = np.random.default_rng(seed)
    dx, p = int(rng.integers(1, 5)), int(rng.choice([1, 2, 3, 6, 12]))
    d = int(rng.integers(1, dx + 1))
    H = rng.normal(size=(p, dx))
    F = np.eye(dx) if rng.random() < 0.5 else 0.9 * np.eye(dx) + 0.1 * rng.normal(size=(dx, dx))
    A = rng.normal(size=(dx, d)) if rng.random() < 0.5 else np.eye(dx)[:, :d]
    root = rng.normal(size=(dx, dx))
    P = root @ root.T if rng.random() < 0.7 or d < dx else np.zeros((dx, dx))
    states = [rng.normal(size=dx)]
    for _ in range(3):
        states.append(F @ states[-1])
    ssm = LinearGaussianSSM(F, np.zeros((dx, dx)), H, np.zeros((p, p)), np.zeros(dx), P, A @ A.T)
    told = np.vstack([H @ np.linalg.matrix_power(F, t) for t in range(4)])
    return (ssm, np.array(states) @ H.T) if np.linalg.matrix_rank(told) == dx else None


@pytest.mark.parametrize("seed", [*range(150), 240, 243, 337, 398, 410, 416, 470, 560, 643, 689, 721, 776, 902, 1091])
def test_roots_know_what_exact_sensors_told_over_rows(seed):
    """What cancels in giant roots, of states that a row hardly sees, is rounding later on and no news."""
    if found := exact_sensors_over_rows(seed):
        ssm, y = found
        close(gaussian.loglik(ssm, y, method="square_root"), exact(ssm, y).loglik, 1e-6)


@pytest.mark.parametrize("moves", [True, False])
@pytest.mark.parametrize("diffuse", [True, False])
def test_exact_sensors_of_which_the_first_are_almost_the_same(moves, diffuse):
    """They tell the states with a condition of up to 2000; what they leave is rounding, in this row and in the next."""
    for seed in (9, 20, 22, 29):
        for p, dx in ((6, 3), (12, 3), (8, 4)):
            ssm, y = exact_sensors(seed, p, dx, moves, diffuse)
            first = ssm._replace(observation=ssm.observation[:dx], obs_cov=np.zeros((dx, dx)))
            alone = y[:, :dx] if moves else np.vstack([y[:1, :dx], np.full((len(y) - 1, dx), np.nan)])
            want = precise_gaussian.run(first, alone, gaussian.pack(first).factor)
            got = gaussian.filter(ssm, y, method="sequential")
            close(got.loglik, want.loglik, 1e-8)
            close(got.filtered_mean, np.linalg.solve(first.observation, y[:, :dx].T).T, 1e-8)
            assert (np.diagonal(got.filtered_cov, axis1=1, axis2=2) >= 0).all()
            assert got.filtered_cov.max() < 1e-9


def last_bits(rng, x):
    return x * (1 + 2.0**-52 * rng.choice([-1, 0, 1], x.shape))


@pytest.mark.parametrize("diffuse", [True, False])
def test_the_last_bits_of_a_model_do_not_decide_what_is_known(diffuse):
    """Compilers order sums as the processor likes them, so that rounding is another one elsewhere."""
    rng = np.random.default_rng(0)
    for _ in range(25):
        ssm, y = exact_sensors(20, 8, 4, False, diffuse)
        ssm = ssm._replace(observation=last_bits(rng, ssm.observation), transition=last_bits(rng, ssm.transition))
        want = precise_gaussian.run(ssm, y, gaussian.pack(ssm).factor).loglik
        for method in METHODS:
            close(gaussian.loglik(ssm, y, method=method), want, 1e-8)


def nearly_equal_sensors(seed):
    """Sensors without noise, enough to tell the states, two of which differ by 1 to 1e-6."""
    rng = np.random.default_rng(seed)
    dx = int(rng.integers(2, 6))
    p, i = int(rng.integers(dx, 13)), int(rng.integers(1, dx))
    H, noise, F = (
        rng.normal(size=(p, dx)),
        rng.normal(size=(dx, dx)),
        0.9 * np.eye(dx) + 0.1 * rng.normal(size=(dx, dx)),
    )
    H[i] = H[i - 1] + 10.0 ** -rng.uniform(0, 6) * rng.normal(size=dx)
    ssm = LinearGaussianSSM(F, (seed & 1) * noise @ noise.T, H, np.zeros((p, p)), np.zeros(dx), np.eye(dx))
    y = gaussian.simulate(ssm, 4, random_state=seed)[1][0]
    return (ssm._replace(initial_diffuse_cov=np.eye(dx)) if seed & 2 else ssm), y


@pytest.mark.parametrize(
    "make", [nearly_equal_sensors, exact_sensors_over_rows, lambda seed: exact_sensors(seed, 1, 3, False)]
)
def test_likelihoods_of_exact_sensors_are_right_or_refused(make):
    """Of what cancels covariances keep half the digits, and know by roots when these are too few."""
    right = refused = 0
    for seed in range(120):
        if not (found := make(seed)):
            continue
        ssm, y = found
        want = precise_gaussian.run(ssm, y, gaussian.pack(ssm).factor).loglik
        close(gaussian.loglik(ssm, y, method="square_root"), want, 1e-6)
        for method in ("sequential", "auto"):
            try:
                got = gaussian.loglik(ssm, y, method=method)
            except NumericalError:
                refused += 1
            else:
                close(got, want, 1e-6)
                right += 1
    assert right > 2 * refused, (right, refused)


def test_roots_refuse_what_they_cannot_tell_from_rounding():
    """Three sensors along almost one line, of which the third adds 1e-8 of it to what the others say."""
    rng = np.random.default_rng(0)
    line, refused = rng.normal(size=3), 0
    for e in (1e-3, 3e-4, 1e-4):
        H = np.array([line, line + e * rng.normal(size=3), line + e * rng.normal(size=3), *rng.normal(size=(3, 3))])
        H[2] = H[1] + (H[1] - H[0]) + e * e * rng.normal(size=3)
        ssm = LinearGaussianSSM(np.eye(3), 0 * np.eye(3), H, np.zeros((6, 6)), np.zeros(3), np.eye(3))
        y = rng.normal(size=(1, 3)) @ H.T
        want = precise_gaussian.run(ssm, y, np.zeros((3, 0))).loglik
        for method in METHODS:
            try:
                close(gaussian.loglik(ssm, y, method=method), want, 1e-6)
            except NumericalError:
                refused += 1
    assert refused


@pytest.mark.parametrize("season", [4, 12, 24])
@pytest.mark.parametrize("trend", [[], [Level()]])
def test_a_season_of_which_everything_is_unknown_but_its_sum(season, trend):
    """The next effect, minus the sum of the others, is known from the start: what cancels in it must not be seen as diffuse."""
    model = Composition([*trend, DummySeason(season)])
    ssm = model.build(model.start)
    dx, first = len(ssm.initial_mean), len(ssm.initial_mean) - season + 1
    A = np.zeros((dx, dx - 1))
    A[:first, :first] = np.eye(first)
    A[first:, first:] = (np.eye(season - 1) - np.eye(season - 1, k=-1))[:, :-1]
    ssm = ssm._replace(initial_diffuse_cov=A @ A.T, initial_cov=0.1 * np.eye(dx))
    rng = np.random.default_rng(season)
    y = rng.normal(size=(3 * season, 1))
    y[rng.random(y.shape) < 0.1] = np.nan
    want = precise_gaussian.run(ssm, y, A)
    got = gaussian.filter(ssm, y, method="sequential")
    assert got.n_diffuse == dx - 1
    close(got.loglik, want.loglik)
    close(gaussian.loglik(ssm, y, method="sequential"), want.loglik)
    close(got.filtered_cov[-1], want.filtered_cov[-1])
    close(gaussian.smooth(ssm, y, method="sequential").smoothed_cov, want.smoothed_cov)
    stream, late = gaussian.Stream(ssm), gaussian.FixedLag(ssm, 3)
    close(sum(stream.step(row) for row in y), want.loglik)
    close(sum(late.add(t, row).loglik for t, row in enumerate(y)), want.loglik)
