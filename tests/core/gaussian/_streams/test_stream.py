"""A stream gives row by row what the filter gives for the whole series."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ssmts.core.gaussian import Stream, filter, pack, step
from ssmts.core.types import LinearGaussianSSM, State
from ssmts.exceptions import InputError, NumericalError

from ..cases import CASES, case, close

STANDING = [number for number, options in enumerate(CASES) if options.get("varying", True) is False]


def standing(number, seed, n=9):
    """A case whose matrices do not change with time: all of them with the first row's."""
    ssm, y, inputs = case(number, seed, n)
    return LinearGaussianSSM(*(x.values[0] if hasattr(x, "values") else x for x in ssm)), y, inputs


def season(n=12):
    """Level, slope and a dummy season, whose transition hands most states on."""
    F = np.zeros((n + 1, n + 1))
    F[0, :2] = F[1, 1] = 1.0
    F[2, 2:] = -1.0
    F[3:, 2:-1] = np.eye(n - 2)
    Q = np.diag([0.3, 0.01, 0.2] + [0.0] * (n - 2))
    H = np.zeros((1, n + 1))
    H[0, [0, 2]] = 1.0
    return LinearGaussianSSM(F, Q, H, np.eye(1), np.zeros(n + 1), 0 * F, initial_diffuse_cov=np.eye(n + 1))


@pytest.mark.parametrize("number", range(len(CASES)))
@pytest.mark.parametrize("seed", range(3))
def test_equals_the_filter(number, seed):
    ssm, y, inputs = standing(number, seed)
    whole, stream = filter(ssm, y, inputs), Stream(ssm)
    for t, row in enumerate(y):
        loglik = stream.step(row, None if inputs is None else inputs[t])
        new = stream.innovation
        close(new.value, whole.innovations[t])
        np.testing.assert_array_equal(np.isinf(new.cov), np.isinf(whole.innovation_cov[t]))
        close(np.where(np.isinf(new.cov), 0, new.cov), np.where(np.isinf(new.cov), 0, whole.innovation_cov[t]))
        close(loglik, whole.loglik_t[t])
    for got, want in zip(stream.state, whole.state):
        close(got, want)


def test_states_handed_on_keep_their_numbers():
    rng, ssm = np.random.default_rng(0), season()
    y = np.cumsum(rng.normal(size=(60, 1)), axis=0)
    y[rng.random(60) < 0.2] = np.nan
    stream = Stream(ssm)
    for t, row in enumerate(y):
        stream.step(float(row[0]))
        if t % 7 == 0:
            for got, want in zip(stream.state, filter(ssm, y[: t + 1]).state):
                close(got, want)


@given(seed=st.integers(0, 10**6), cut=st.integers(0, 9), number=st.sampled_from(range(len(CASES))))
@settings(max_examples=40, deadline=None)
def test_can_be_left_and_taken_up_anywhere(seed, cut, number):
    ssm, y, inputs = standing(number, seed)
    one = Stream(ssm)
    for t, row in enumerate(y):
        if t == cut:
            one = Stream(pack(ssm), one.state)
        one.step(row, None if inputs is None else inputs[t])
    for got, want in zip(one.state, filter(ssm, y, inputs).state):
        close(got, want)


def test_rows_between_are_missing():
    ssm = season(4)
    y = np.array([1.0, 2, np.nan, np.nan, 5, 3, np.nan, 1])[:, None]
    state = pack(ssm).start
    for row, dt in zip(y[[0, 1, 4, 5, 7]], [None, 1, 3, 1.0, 2]):
        state = step(ssm, state, row, dt=dt)[0]
    for got, want in zip(state, filter(ssm, y).state):
        close(got, want)


@pytest.mark.parametrize("model", [season(12), standing(5, 0)[0]])
def test_steps_from_state_to_state_are_those_of_a_stream(model):
    rng, packed, n_obs = np.random.default_rng(1), pack(model), len(model.observation)
    y = np.cumsum(rng.normal(size=(60, n_obs)), axis=0)
    y[rng.random(y.shape) < 0.2] = np.nan
    stream, state = Stream(packed), packed.start
    for row in y:
        loglik = stream.step(row)
        before = state.mean.copy(), state.cov.copy()
        after, new = step(packed, state, row)
        for got, want in zip((*state[:2], *after, *new), (*before, *stream.state, *stream.innovation)):
            close(got, want)
        close(new.loglik, loglik)
        state = after
    assert state.rank == 0


def test_what_was_handed_out_or_in_is_not_touched():
    ssm = season(4)
    start = State(np.ones(5), np.eye(5), np.zeros((5, 5)), 0)
    stream = Stream(ssm, start)
    stream.step(3.0)
    kept, new = stream.state, stream.innovation
    copies = kept.mean.copy(), kept.cov.copy(), new.value.copy()
    stream.step(9.0)
    np.testing.assert_array_equal(start.mean, np.ones(5))
    for got, want in zip((kept.mean, kept.cov, new.value), copies):
        np.testing.assert_array_equal(got, want)


def test_a_row_that_does_not_fit_changes_nothing():
    ssm, y, _ = standing(5, 0)
    stream = Stream(ssm)
    stream.step(y[0])
    before = stream.state
    for bad in (3.0, [1.0, 2.0], [1.0, np.inf, 2.0], [[1.0, 2.0, 3.0]]):
        with pytest.raises(InputError, match="y_row is"):
            stream.step(bad)
    for got, want in zip(stream.state, before):
        np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("dt", [0, -1, 1.5, np.nan])
def test_rows_lie_whole_steps_apart(dt):
    with pytest.raises(InputError, match="whole number of steps"):
        step(season(4), pack(season(4)).start, [1.0], dt=dt)


def test_an_explosive_model_says_so():
    one = np.eye(1)
    stream = Stream(LinearGaussianSSM(1e200 * one, one, one, one, np.zeros(1), one))
    stream.skip(5)
    with pytest.raises(NumericalError, match="no longer finite"):
        stream.step(1.0)
