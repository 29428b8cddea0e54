"""Robust updates against the matrix form of each rule, and what they promise."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2, multivariate_normal

from ssmts.core.gaussian import (
    IMQ,
    Huber,
    Mahalanobis,
    Release,
    RobustStream,
    StudentT,
    filter,
    robust_filter,
)
from ssmts.core.types import LinearGaussianSSM, TimeVarying
from ssmts.exceptions import InputError, InputTypeError, NumericalError

from ._streams.test_stream import season
from .cases import CASES, case, close

RULES = [
    IMQ(c=1.5),
    IMQ(whiten="R"),
    Mahalanobis(c=1.5),
    Mahalanobis(c=2.0, whiten="R"),
    Mahalanobis(c=1.2, soft=True),
    Huber(),
    Huber(k=0.8, whiten="R"),
    StudentT(df=3.0),
    StudentT(df=5.0, iterations=1),
]
PLAIN = [IMQ(c=1e15), Mahalanobis(c=np.inf), Mahalanobis(c=np.inf, soft=True), Huber(k=np.inf), StudentT(df=1e17)]


def model(rng, n, dx=3, dy=3, full=True, varying=True):
    """A random model whose noise has full rank."""

    def cov(size):
        root = rng.normal(size=(n if varying else 1, size, size)) / np.sqrt(size)
        values = root @ root.swapaxes(1, 2) + 0.3 * np.eye(size)
        return values if full else values * np.eye(size)

    def field(values):
        return TimeVarying(values) if varying else values[0]

    shape = (n if varying else 1,)
    return LinearGaussianSSM(
        field(0.7 * rng.normal(size=(*shape, dx, dx)) / np.sqrt(dx)),
        field(cov(dx)),
        field(rng.normal(size=(*shape, dy, dx))),
        field(cov(dy)),
        rng.normal(size=dx),
        np.eye(dx),
        state_offset=rng.normal(size=dx),
        obs_offset=rng.normal(size=dy),
    )


def at(x, t):
    return x.values[t] if isinstance(x, TimeVarying) else x


def distance(rule, e, S, R):
    return e @ np.linalg.solve(R if rule.whiten == "R" else S, e)


def scaled_noise(rule, m, P, H, R, y):
    """R over the weights, for the entries that were observed, and the weights."""
    e, S, p = y - H @ m, H @ P @ H.T + R, len(y)
    if isinstance(rule, StudentT):
        weight, posterior = 1.0, update(m, P, H, R, y)
        for _ in range(rule.iterations):
            e = y - H @ posterior[0]
            D = np.outer(e, e) + H @ posterior[1] @ H.T
            weight = (rule.df + p) / (rule.df + np.trace(np.linalg.solve(R, D)))
            posterior = update(m, P, H, R / weight, y)
        return R / weight, np.full(p, weight)
    if isinstance(rule, Huber):
        root = np.linalg.cholesky(R)
        C = root / np.diag(root)
        r, h, e = np.diag(root) ** 2, np.linalg.solve(C, H), np.linalg.solve(C, e)
        size = r if rule.whiten == "R" else r + np.diag(h @ P @ h.T)
        weights = np.minimum(1, rule.k / np.abs(e / np.sqrt(size)))
        return C @ np.diag(r / weights) @ C.T, weights
    c = np.sqrt(chi2.ppf(0.99, len(H))) if rule.c is None else rule.c
    if len(H) < 3 and rule.c is None:
        c = np.sqrt(chi2.ppf(0.99, 3))
    d = distance(rule, e, S, R)
    if isinstance(rule, IMQ):
        weight = 1 / (1 + d / c**2)
    elif rule.soft:
        weight = min(1, c**2 / d)
    else:
        weight = 1.0 if d <= c**2 else 1e-300
    return R / weight, np.full(p, weight)


def update(m, P, H, R, y):
    K = np.linalg.solve(H @ P @ H.T + R, H @ P).T
    return m + K @ (y - H @ m), P - K @ H @ P


def reference(ssm, y, rule):
    m, P = ssm.initial_mean, ssm.initial_cov
    means, logliks, weights = [], [], np.full(y.shape, np.nan)
    for t, row in enumerate(y):
        F, Q, H, R = (at(x, t) for x in (ssm.transition, ssm.process_cov, ssm.observation, ssm.obs_cov))
        seen = ~np.isnan(row)
        logliks.append(0.0)
        if seen.any():
            h, r, v = H[seen], R[np.ix_(seen, seen)], row[seen] - ssm.obs_offset[seen]
            logliks[-1] = multivariate_normal(h @ m, h @ P @ h.T + r).logpdf(v)
            noise, weights[t, seen] = scaled_noise(rule, m, P, h, r, v)
            m, P = update(m, P, h, noise, v)
        means.append(m)
        m, P = F @ m + ssm.state_offset, F @ P @ F.T + Q
    return np.array(means), np.array(logliks), np.where(weights < 1e-100, 0.0, weights), m, P


@pytest.mark.parametrize("rule", RULES, ids=str)
@pytest.mark.parametrize("full", [True, False])
def test_equals_the_matrix_form(rule, full):
    for seed in range(4):
        rng = np.random.default_rng(seed)
        ssm = model(rng, 12, full=full)
        y = 3 * rng.standard_t(2, size=(12, 3))
        y[rng.random(y.shape) < 0.2] = np.nan
        means, logliks, weights, m, P = reference(ssm, y, rule)
        got = robust_filter(ssm, y, rule)
        close(got.weights, weights)
        close(got.filter.filtered_mean, means)
        close(got.filter.loglik_t, logliks)
        close(got.filter.state.mean, m)
        close(got.filter.state.cov, P)
        close(got.filter.predicted_mean[-1], m)


@pytest.mark.parametrize("rule", PLAIN, ids=str)
def test_without_doubt_it_is_the_kalman_filter(rule):
    rng = np.random.default_rng(8)
    for ssm in (season(4), model(rng, 30)):
        y = 5 * rng.standard_t(2, size=(30, len(at(ssm.observation, 0))))
        y[rng.random(y.shape) < 0.2] = np.nan
        got, want = robust_filter(ssm, y, rule, Release()), filter(ssm, y)
        assert not got.released.any()
        for name, values in want._asdict().items():
            if name != "state":
                mine, finite = np.asarray(getattr(got.filter, name)), np.isfinite(values)
                np.testing.assert_array_equal(np.isfinite(mine), finite)
                close(np.where(finite, mine, 0), np.where(finite, values, 0), 1e-12)


@pytest.mark.parametrize("number", range(len(CASES)))
def test_an_open_gate_is_the_kalman_filter_for_every_model(number):
    for seed in range(3):
        ssm, y, inputs = case(number, seed, 9)
        got, want = robust_filter(ssm, y, Mahalanobis(c=np.inf), inputs=inputs), filter(ssm, y, inputs, "sequential")
        assert got.filter.n_diffuse == want.n_diffuse
        for name in ("loglik_t", "filtered_mean", "innovations", "predicted_mean"):
            close(getattr(got.filter, name), getattr(want, name))
        for name in ("filtered_cov", "predicted_cov", "innovation_cov"):
            mine, values = getattr(got.filter, name), getattr(want, name)
            finite = np.isfinite(values)
            np.testing.assert_array_equal(np.isfinite(mine), finite)
            close(np.where(finite, mine, 0), np.where(finite, values, 0))
        for mine, values in zip(got.filter.state, want.state):
            close(mine, values)


@given(seed=st.integers(0, 10**6), power=st.floats(0, 150), at_row=st.integers(0, 9))
@settings(max_examples=40, deadline=None)
def test_the_influence_of_a_row_is_bounded(seed, power, at_row):
    """Of the rules that redescend: the posterior moves no further than a row on the shoulder of the weight moves it."""
    rng = np.random.default_rng(seed)
    ssm = model(rng, 10, dy=1)
    y = rng.normal(size=(10, 1))
    for rule in (IMQ(c=2.0), IMQ(c=2.0, whiten="R"), Mahalanobis(c=2.0), Mahalanobis(c=2.0, soft=True)):
        y[at_row] = np.nan
        without = robust_filter(ssm, y, rule).filter
        spread = np.sqrt(without.predicted_cov[at_row].diagonal())
        y[at_row] = 10**power * rng.choice([-1, 1])
        moved = robust_filter(ssm, y, rule).filter.filtered_mean[at_row] - without.filtered_mean[at_row]
        own = at(ssm.obs_cov, at_row)[0, 0]
        largest = np.sqrt(without.innovation_cov[at_row, 0, 0] / own) * (2.0 + 2.0)
        assert (np.abs(moved) <= largest * spread + 1e-9).all()


@pytest.mark.parametrize(
    "rule", [IMQ(), IMQ(whiten="R"), Mahalanobis(), Mahalanobis(soft=True), Huber(), StudentT()], ids=str
)
@pytest.mark.parametrize("patience", [1, 3, 6])
def test_a_lasting_shift_is_followed_within_the_patience(rule, patience):
    rng, one = np.random.default_rng(11), np.eye(1)
    level = LinearGaussianSSM(one, 1e-3 * one, one, one, np.zeros(1), one)
    y = rng.normal(size=(60, 1))
    y[30:] += 60.0
    y[20] += 40.0  # an outlier alone sets nothing free
    got = robust_filter(level, y, rule, Release(patience=patience))
    assert np.flatnonzero(got.released).tolist() == [*([20, 21] if patience == 1 else []), 29 + patience]
    assert abs(got.filter.predicted_mean[30 + patience, 0] - 60) < 4
    assert abs(got.filter.state.mean[0] - 60) < 1
    if patience > 1:
        assert abs(got.filter.predicted_mean[29 + patience, 0]) < 20


def test_without_a_release_a_hard_gate_stays_locked():
    one = np.eye(1)
    level = LinearGaussianSSM(one, 1e-3 * one, one, one, np.zeros(1), one)
    y = np.concatenate([np.zeros(50), np.full(50, 60.0)])[:, None]
    assert abs(robust_filter(level, y, Mahalanobis()).filter.state.mean[0]) < 1
    assert abs(robust_filter(level, y, Mahalanobis(), Release()).filter.state.mean[0] - 60) < 1


@pytest.mark.parametrize("rule", [IMQ(c=1.5), Huber(), StudentT(), Mahalanobis(c=1.5)], ids=str)
def test_a_stream_and_a_split_equal_the_whole(rule):
    rng = np.random.default_rng(4)
    for ssm in (season(4), model(rng, 40, varying=False)):
        y = 2 * rng.standard_t(2, size=(40, len(ssm.observation))).cumsum(axis=0)
        y[rng.random(y.shape) < 0.1] = np.nan
        whole = robust_filter(ssm, y, rule, Release(patience=2))
        stream = RobustStream(ssm, rule=rule, release=Release(patience=2))
        for t, row in enumerate(y):
            close(stream.step(row), whole.filter.loglik_t[t])
            close(stream.weights, whole.weights[t])
            assert stream.released == whole.released[t]
            close(stream.innovation.value, whole.filter.innovations[t])
        for got, want in zip(stream.state, whole.filter.state):
            close(got, want)
        plain = robust_filter(ssm, y, rule)
        first = robust_filter(ssm, y[:17], rule)
        second = robust_filter(ssm, y[17:], rule, state=first.filter.state)
        close(second.filter.state.mean, plain.filter.state.mean)
        close(first.filter.loglik + second.filter.loglik, plain.filter.loglik)


def test_a_batch_is_its_series():
    rng, ssm = np.random.default_rng(2), season(4)
    y = rng.standard_t(2, size=(3, 20, 1))
    many = robust_filter(ssm, y)
    for i, one in enumerate(y):
        close(many.weights[i], robust_filter(ssm, one).weights)
        close(many.filter.loglik[i], robust_filter(ssm, one).filter.loglik)


def test_nothing_and_only_the_diffuse_start():
    ssm = season(4)
    for n in (0, 2):
        got = robust_filter(ssm, np.ones((n, 1)))
        assert got.weights.shape == (n, 1)
        assert got.filter.n_diffuse == n


def test_a_gate_lives_with_exact_observations():
    one = np.eye(1)
    exact = LinearGaussianSSM(one, one, one, 0 * one, np.zeros(1), one)
    got = robust_filter(exact, [[0.5], [90.0], [1.0]], Mahalanobis(c=3.0))
    assert got.weights.ravel().tolist() == [1.0, 0.0, 1.0]
    with pytest.raises(InputError, match="obs_cov is singular"):
        robust_filter(exact, [[0.5]], IMQ())


@pytest.mark.parametrize(
    ("rule", "release", "words"),
    [
        (IMQ(c=-1.0), None, "c is"),
        (IMQ(whiten="Q"), None, "whiten is"),
        (Huber(k=0.0), None, "k is"),
        (StudentT(df=np.inf), None, "df is"),
        (StudentT(iterations=0), None, "iterations is"),
        (IMQ(), Release(patience=0), "patience is"),
        (IMQ(), Release(below=np.nan), "below is"),
        ("imq", None, "rule is 'imq'"),
        (IMQ(), 5, "release is 5"),
    ],
)
def test_parameters_are_checked(rule, release, words):
    with pytest.raises((InputError, InputTypeError), match=words):
        robust_filter(season(4), np.ones((3, 1)), rule, release)


def test_rows_are_checked():
    stream = RobustStream(season(4))
    for bad in ([1.0, 2.0], np.inf):
        with pytest.raises(InputError, match="y_row is"):
            stream.step(bad)
    one = np.eye(1)
    with pytest.raises(NumericalError, match="at row 1"):
        robust_filter(LinearGaussianSSM(1e200 * one, one, one, one, np.zeros(1), one), np.ones((4, 1)))
