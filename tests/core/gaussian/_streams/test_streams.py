"""Many streams in one call equal one stream after the other."""

import numpy as np
import pytest

from ssmts.core.gaussian import Stream, Streams, filter, pack
from ssmts.core.types import LinearGaussianSSM, State
from ssmts.exceptions import InputError, NumericalError

from ..cases import CASES, close
from .test_stream import season, standing


def rows_of(rng, n_times, n_streams, n_obs, missing):
    y = rng.normal(size=(n_times, n_streams, n_obs)).cumsum(axis=0)
    if missing == "alike":
        y.swapaxes(1, 2)[rng.random((n_times, n_obs)) < 0.3] = np.nan
    elif missing == "apart":
        y[rng.random(y.shape) < 0.3] = np.nan
    return y


def check(ssm, y, inputs=None, state=None, **options):
    many = Streams(ssm, y.shape[1], state, **options)
    single = [Stream(ssm, state) for _ in range(y.shape[1])]
    for t, rows in enumerate(y):
        u = None if inputs is None else inputs[t]
        new = many.step(rows, u)
        for i, stream in enumerate(single):
            close(new.loglik[i], stream.step(rows[i], u))
            want = stream.innovation
            close(new.value[i], want.value)
            variance = np.diagonal(want.cov)
            np.testing.assert_array_equal(np.isinf(new.variance[i]), np.isinf(variance))
            finite = np.isfinite(variance)
            close(new.variance[i][finite], variance[finite])
    states = many.states
    for i, stream in enumerate(single):
        for got, want in zip((x[i] for x in states), stream.state):
            close(got, want)
    return many


@pytest.mark.parametrize("missing", ["nothing", "alike", "apart"])
@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("number", range(len(CASES)))
def test_equals_stream_after_stream(number, shared, missing):
    ssm, y, inputs = standing(number, 1)
    rng = np.random.default_rng(number)
    many = check(ssm, rows_of(rng, len(y), 4, y.shape[1], missing), inputs, shared=shared)
    assert many.shared == (shared and missing != "apart")


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("missing", ["nothing", "apart"])
@pytest.mark.parametrize("length", [5, 12])
@pytest.mark.parametrize("before", [3, 30])
def test_more_than_a_block_from_a_state(shared, missing, length, before):
    rng, ssm = np.random.default_rng(5), season(length)
    state = filter(ssm, rng.normal(size=(before, 1)).cumsum(axis=0)).state
    many = check(ssm, rows_of(rng, 8, 150, 1, missing), state=state, shared=shared)
    assert len(many) == 150


def test_streams_part_in_the_middle():
    rng, ssm = np.random.default_rng(6), season(4)
    y = rng.normal(size=(20, 5, 1))
    y[2, :] = np.nan
    y[12, 3] = np.nan
    assert not check(ssm, y).shared


def test_exact_knowledge_and_contradiction():
    one = np.eye(1)
    exact = LinearGaussianSSM(one, 0 * one, one, 0 * one, np.zeros(1), one)
    for shared in (True, False):
        streams = Streams(exact, 2, shared=shared)
        streams.step([1.0, 2.0])
        assert streams.step([1.0, 1.0]).loglik.tolist() == [0.0, -np.inf]
        np.testing.assert_array_equal(streams.states.mean[:, 0], [1.0, 2.0])


def test_starts_from_states_that_differ():
    rng, ssm = np.random.default_rng(7), pack(season(4))
    y = rng.normal(size=(25, 3, 1)).cumsum(axis=0)
    first = Streams(ssm, 3, shared=False)
    y[3, 1] = np.nan
    for rows in y[:4]:
        first.step(rows)
    assert set(first.states.rank) == {1, 2}
    second = Streams(ssm, 3, first.states)
    for rows in y[4:]:
        new, again = first.step(rows), second.step(rows)
        close(again.loglik, new.loglik)
    for got, want in zip(second.states, first.states):
        close(got, want)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda s: s.step(np.zeros(2)), "one row a stream"),
        (lambda s: s.step([1.0, np.inf, 0.0]), "infinite at"),
        (lambda s: s.step(np.zeros(3), inputs=[1.0]), "inputs"),
        (lambda s: Streams(season(4), 0), "positive integer"),
        (lambda s: Streams(season(4), 3, State(np.zeros(4), np.eye(4), np.eye(4), 0)), "state.mean"),
        (lambda s: Streams(season(4), 3, State(np.zeros((3, 5)), np.eye(5), np.eye(5), 0)), "state.cov"),
    ],
)
def test_what_does_not_fit_is_refused(call, words):
    streams = Streams(season(4), 3)
    with pytest.raises(InputError, match=words):
        call(streams)
    np.testing.assert_array_equal(streams.states.mean, 0)


@pytest.mark.parametrize("shared", [True, False])
def test_an_explosive_model_names_the_stream(shared):
    one = np.eye(1)
    streams = Streams(LinearGaussianSSM(1e200 * one, one, one, one, np.zeros(1), one), 2, shared=shared)
    streams.step([1.0, 2.0])
    with pytest.raises(NumericalError, match="stream"):
        streams.step([1.0, 2.0])


def test_more_streams_than_a_block_of_means_holds():
    rng, one = np.random.default_rng(0), np.eye(1)
    model = LinearGaussianSSM(np.array([[1.0, 1.0], [0.0, 0.9]]), np.eye(2), np.eye(1, 2), one, np.zeros(2), np.eye(2))
    together, apart = (Streams(model, 4500, shared=shared) for shared in (True, False))
    y = rng.normal(size=(5, 4500))
    y[3, 4444] = np.nan
    for t, row in enumerate(y):
        for got, want in zip(together.step(row), apart.step(row)):
            np.testing.assert_allclose(got, want, rtol=1e-10, atol=1e-12)
        np.testing.assert_allclose(together.states.mean, apart.states.mean, rtol=1e-10, atol=1e-12)
        assert together.shared == (t < 3)
