"""Weights and contributions against the joint Gaussian written out, statsmodels, and the means that they add up to."""

import numpy as np
import pytest
import statsmodels.api as sm
from oracles import dense_gaussian as dense
from statsmodels.tsa.statespace.tools import compute_smoothed_state_weights

from ssmts.core import gaussian
from ssmts.core.gaussian import _weights
from ssmts.core.types import LinearGaussianSSM
from ssmts.exceptions import InputError

from .cases import CASES, case, close

ONE = np.eye(1)


def level(obs_var=15099.0):
    return LinearGaussianSSM(ONE, 1469.1 * ONE, ONE, obs_var * ONE, np.zeros(1), 0 * ONE, ONE)


def by_differences(ssm, y, inputs, targets, n_rows):
    """Columns of the linear map from the observed entries to the mean of `targets`, given the first rows."""
    twin = dense.joint(ssm, len(y), inputs)
    rows = np.flatnonzero(~np.isnan(y[:n_rows].ravel()))
    base = dense.given(twin, targets(twin), 0.0 * y, n_rows)[0]
    out = np.zeros((len(base), *y.shape))
    for k in rows:
        unit = 0.0 * y
        unit.ravel()[k] = 1.0
        out[(slice(None), *np.unravel_index(k, y.shape))] = dense.given(twin, targets(twin), unit, n_rows)[0] - base
    return out


def complete(number, seed, n=7):
    """A case whose series determines the diffuse start, with holes if it still does with them."""
    ssm, y, inputs = case(number, seed, n)
    return (
        ssm,
        np.nan_to_num(y) if gaussian.filter(ssm, y[:4], None if inputs is None else inputs[:4]).state.rank else y,
        inputs,
    )


@pytest.mark.parametrize("cheaper", [0, 10**6])
@pytest.mark.parametrize("number", range(len(CASES)))
def test_weights_of_smoothed_states_equal_the_joint_gaussian(number, cheaper, monkeypatch):
    """By a pass for every target, and by impulses."""
    monkeypatch.setattr(_weights, "CHEAPER", cheaper)
    ssm, y, inputs = complete(number, 3)
    dx = len(ssm.initial_mean)
    got = gaussian.weights(ssm, y, np.arange(7))
    want = by_differences(ssm, y, inputs, lambda twin: twin.states[: 7 * dx], 7)
    close(got.reshape(7 * dx, 7, -1), want, 1e-8)


@pytest.mark.parametrize("given", ["present", "past"])
@pytest.mark.parametrize("number", range(len(CASES)))
def test_weights_of_filtered_and_predicted_signals(number, given):
    ssm, y, inputs = complete(number, 4)
    dy, n_rows = y.shape[1], 6 if given == "present" else 5
    y[5:] = np.nan_to_num(y[5:])
    got = gaussian.weights(ssm, y, 5, of="signals", given=given)

    def signals(twin):
        seen, noise = twin.observations[5 * dy : 6 * dy], twin.noises[5 * dy : 6 * dy]
        return seen.plus(-noise.B)

    close(got[0], by_differences(ssm, y, inputs, signals, n_rows), 1e-8)


def test_statsmodels_agrees(nile):
    """A local linear trend with holes and a known start: observations, prior, and what statsmodels calls state intercepts."""
    y = nile[:12].copy()
    y[4:6] = np.nan
    model = sm.tsa.UnobservedComponents(y[:, 0], "lltrend")
    model.ssm.initialize_known(np.array([1000.0, 1.0]), np.diag([500.0, 20.0]))
    results = model.smooth([900.0, 300.0, 5.0], cov_type="none")
    theirs, offsets, prior = compute_smoothed_state_weights(results, compute_prior_weights=True)
    ssm = LinearGaussianSSM(
        np.array([[1.0, 1.0], [0.0, 1.0]]),
        np.diag([300.0, 5.0]),
        np.array([[1.0, 0.0]]),
        900.0 * ONE,
        np.array([1000.0, 1.0]),
        np.diag([500.0, 20.0]),
    )
    every = np.arange(12)
    close(gaussian.weights(ssm, y, every), np.nan_to_num(theirs).transpose(0, 2, 1, 3))
    close(gaussian.weights(ssm, y, every, wrt="initial_mean"), np.nan_to_num(prior))
    ours = gaussian.weights(ssm, y, every, wrt="state_offset")
    close(ours[:, :, :-1], np.nan_to_num(offsets).transpose(0, 2, 1, 3)[:, :, :-1])


@pytest.mark.parametrize("of", ["states", "signals"])
@pytest.mark.parametrize("given", ["all", "present", "past"])
@pytest.mark.parametrize("number", range(len(CASES)))
def test_contributions_add_up_to_the_mean(number, given, of):
    ssm, y, inputs = complete(number, 5, n=9)
    y, cut = y[:7], 7
    times = [5, 8]
    parts = gaussian.contributions(ssm, y, times, inputs, of=of, given=given)
    dy, dx = y.shape[1], len(ssm.initial_mean)
    twin = dense.joint(ssm, 9, inputs)
    longer = np.concatenate([y, np.full((2, dy), np.nan)])
    for k, t in enumerate(times):
        n_rows = min({"all": cut, "present": t + 1, "past": t}[given], cut)
        target = twin.states[t * dx : (t + 1) * dx]
        if of == "signals":
            target = twin.observations[t * dy : (t + 1) * dy]
            target = target.plus(-twin.noises[t * dy : (t + 1) * dy].B)
        close(parts.total[k], dense.given(twin, target, longer, n_rows)[0], 1e-8)
    whole = parts.observations.sum(axis=(2, 3)) + parts.initial_mean.sum(axis=2) + parts.offsets.sum(axis=2)
    close(whole, parts.total)
    assert not parts.observations[:, :, np.isnan(y)].any()


def test_a_steady_level_is_smoothed_exponentially(nile):
    """Durbin and Koopman's gain of the Nile: filter weights fall by the factor 1 - K."""
    K = 0.2670480125709303
    w = gaussian.weights(level(), nile, 99, given="present")[0, 0, :, 0]
    np.testing.assert_allclose(w[99:60:-1], K * (1 - K) ** np.arange(39), rtol=1e-5)
    np.testing.assert_allclose(w.sum(), 1.0)
    middle = gaussian.weights(level(), nile, 50)[0, 0, :, 0]
    np.testing.assert_allclose(middle[51:80], middle[49:20:-1], rtol=1e-5)


def test_what_is_known_exactly_weighs_itself(nile):
    w = gaussian.weights(level(obs_var=0.0), nile[:5], [0, 3], given="present")[:, 0, :, 0]
    np.testing.assert_allclose(w, np.eye(5)[[0, 3]], atol=1e-12)
    np.testing.assert_allclose(gaussian.weights(level(obs_var=0.0), nile[:5], 2, wrt="initial_mean"), 0.0, atol=1e-12)


def test_a_series_goes_on_from_a_state(nile):
    state = gaussian.filter(level(), nile[:60]).state
    whole, tail = gaussian.weights(level(), nile, 80), gaussian.weights(level(), nile[60:], 20, state=state)
    close(tail[0, 0], whole[0, 0, 60:])
    close(
        gaussian.contributions(level(), nile[60:], 20, state=state).total,
        gaussian.contributions(level(), nile, 80).total,
    )


def test_what_cannot_be_weighed_is_refused(nile):
    for words, kind in (
        ("wrt is 'y'", {"wrt": "y"}),
        ("given is 'y'", {"given": "y"}),
        ("of is 'y'", {"of": "y"}),
        ("undetermined", {"given": "past", "times": 0}),
        ("times is -1", {"times": -1}),
        ("times is 0.5", {"times": 0.5}),
    ):
        with pytest.raises(InputError, match=words):
            gaussian.weights(level(), nile, **({"times": 0} | kind))
    with pytest.raises(InputError, match="one series"):
        gaussian.weights(level(), nile[None], 0)
