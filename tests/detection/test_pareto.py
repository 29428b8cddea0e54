"""Maximum likelihood of Pareto tails against scipy's distribution, numerical derivatives and libspot."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, stats

from ssmts.detection.pareto import FLATTEST, STEEPEST, fit_pareto, tail_derivatives
from tests.oracles import libspot


def loss(excesses, shape, scale):
    return -stats.genpareto(shape, scale=scale).logpdf(excesses).sum()


def plain(excesses, shape=0.5, scale=1.0):
    return fit_pareto(excesses, 0.0, 0.0, 0.0, 0.0, shape, scale)


@pytest.mark.parametrize("start", [(0.001, 0.01), (0.3, 2.0), (3.0, 1e3)])
@pytest.mark.parametrize("n", [30, 300, 3000])
@pytest.mark.parametrize("shape", [0.1, 0.5, 1.0, 2.0])
def test_maximum_is_scipys(shape, n, start):
    excesses = stats.genpareto(shape, scale=2.0).rvs(n, random_state=n)
    theirs, _, scale = stats.genpareto.fit(excesses, floc=0)
    got = plain(excesses, *start)
    if FLATTEST < theirs < STEEPEST:
        np.testing.assert_allclose(got, (theirs, scale), rtol=2e-3, atol=2e-4)
        assert loss(excesses, *got) <= loss(excesses, theirs, scale) + 1e-6
    else:
        assert got[0] in (FLATTEST, STEEPEST)


@pytest.mark.parametrize("shape", libspot.FITS)
def test_maximum_is_that_of_libspot(shape):
    """On the same excesses; theirs stops within 0.001 of the highest likelihood, ours is never below."""
    threshold, number, gamma, sigma, rare = libspot.FITS[shape]
    x = libspot.values(shape)
    excesses = x[x > threshold] - threshold
    assert len(excesses) == number
    got = plain(excesses)
    np.testing.assert_allclose(got, (gamma, sigma), rtol=4e-3, atol=4e-3)
    assert loss(excesses, *got) <= loss(excesses, gamma, sigma) + 1e-9
    tail = stats.genpareto(got[0], scale=got[1])
    np.testing.assert_allclose(number / libspot.N * tail.sf(rare - threshold), 1e-4, rtol=0.1)


def test_thin_tails_become_exponential():
    excesses = stats.uniform().rvs(400, random_state=0)
    shape, scale = plain(excesses)
    assert shape == FLATTEST
    np.testing.assert_allclose(scale, excesses.mean(), rtol=0.01)


def test_excesses_that_are_only_known_to_be_larger():
    """Cut off at a known place, with as many beyond it as there were, the tail is found as if it were whole."""
    whole = stats.genpareto(0.4, scale=1.5).rvs(40000, random_state=1)
    cut = np.quantile(whole, 0.9)
    seen = whole[whole <= cut]
    got = fit_pareto(seen, cut, float(len(whole) - len(seen)), 0.0, 0.0, 0.1, 1.0)
    np.testing.assert_allclose(got, (0.4, 1.5), rtol=0.05)
    shrunk = plain(seen)
    assert stats.genpareto(shrunk[0], scale=shrunk[1]).ppf(0.99) < 0.7 * np.quantile(whole, 0.99)


def penalised(parameters, excesses, cut, n_cut, mean, precision):
    shape, log_scale = parameters
    if not FLATTEST <= shape <= STEEPEST:
        return np.inf
    law = stats.genpareto(shape, scale=np.exp(log_scale))
    return -law.logpdf(excesses).sum() - n_cut * law.logsf(cut) + 0.5 * precision * (shape - mean) ** 2


@given(
    seed=st.integers(0, 10**6), n=st.integers(1, 60), shape=st.floats(0.01, 2.5), log_scale=st.floats(-15, 15),
    n_cut=st.floats(0, 10), precision=st.floats(0.1, 50),
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_penalised_and_cut_off(seed, n, shape, log_scale, n_cut, precision):
    scale = np.exp(log_scale)
    excesses = np.maximum(stats.genpareto(shape, scale=scale).rvs(n, random_state=seed), 1e-12 * scale)
    cut = 3.0 * scale
    rest = (excesses, cut, n_cut, 0.3, precision)
    got = fit_pareto(*rest, 0.3, excesses.mean())
    best = optimize.minimize(penalised, [0.3, np.log(excesses.mean())], rest, "Nelder-Mead", options={"maxiter": 4000})
    assert penalised((got[0], np.log(got[1])), *rest) <= best.fun + 1e-6 * (1 + abs(best.fun))


def test_derivatives_are_those_of_the_loss():
    excesses = stats.genpareto(0.3, scale=2.0).rvs(50, random_state=1)
    a, s, h = 0.5, 0.2, 1e-5

    def at(a, s):
        return np.array(tail_derivatives(excesses, 5.0, 3.0, 0.3, 25.0, s, np.exp(a)))

    by_a, by_s = (at(a + h, s) - at(a - h, s)) / (2 * h), (at(a, s + h) - at(a, s - h)) / (2 * h)
    _, da, ds, daa, das, dss = at(a, s)
    np.testing.assert_allclose(
        [da, ds, daa, das, das, dss], [by_a[0], by_s[0], by_a[1], by_a[2], by_s[1], by_s[2]], rtol=1e-6
    )
    np.testing.assert_allclose(at(a, s)[0], penalised((s, a), excesses, 5.0, 3.0, 0.3, 25.0), rtol=1e-12)
