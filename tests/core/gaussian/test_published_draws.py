"""Simulation smoothers with the random numbers of KFAS and of a program by Chan: the paths that these drew ship with statsmodels."""

import numpy as np
import pytest
from oracles.statsmodels_models import macro, table

from ssmts.core.gaussian import sample, smooth
from ssmts.core.types import LinearGaussianSSM, TimeVarying

from .test_sample import Given

NOISE = np.diag([0.0000640649, 0.0000572802, 0.0017088585])
TRANSITION = np.array(
    [
        [-0.1119908792, 0.8441841604, 0.0238725303],
        [0.2629347724, 0.4996718412, -0.0173023305],
        [-3.2192369082, 4.1536028244, 0.4514379215],
    ]
)
SHOCKS = np.array(
    [
        [0.0000640649, 0.0000388496, 0.0002148769],
        [0.0000388496, 0.0000572802, 0.000001555],
        [0.0002148769, 0.000001555, 0.0017088585],
    ]
)
MODEL = LinearGaussianSSM(TRANSITION, SHOCKS, np.eye(3), NOISE, np.zeros(3), 1e6 * np.eye(3))


def growth(holes):
    """Quarterly growth of output, consumption and investment."""
    y = np.log(macro()[["realgdp", "realcons", "realinv"]]).diff().iloc[1:].to_numpy()
    if holes == "rows":
        y[:50] = np.nan
    elif holes == "a column":
        y[:50, 0] = np.nan
    elif holes == "mixed":
        y[:50, 0] = y[19:70, 1] = y[39:90, 2] = y[119:130, 0] = y[119:130, 2] = y[-10:] = np.nan
    return y


def symmetric_root(cov, z):
    """What the symmetric parts of our root must be fed so that shocks are those of the Cholesky factor, fed with z."""
    values, vectors = np.linalg.eigh(cov)
    return z @ np.linalg.cholesky(cov).T @ vectors / np.sqrt(values)


def drawn(y, e, w, start):
    """One path by the random numbers e of observations (n, 3), w of shocks, and those of the first state."""
    given = Given(symmetric_root(SHOCKS, w), symmetric_root(NOISE, e), start)
    return sample(MODEL, y, 1, given, method="sequential")[0]


def held_to(y, path, kfas):
    """States, signals and both disturbances; those of observations where there are any."""
    np.testing.assert_allclose(path, kfas[["state1", "state2", "state3"]], atol=1e-7)
    np.testing.assert_allclose(path, kfas[["signal1", "signal2", "signal3"]], atol=1e-7)
    shocks = path[1:] - path[:-1] @ TRANSITION.T
    np.testing.assert_allclose(shocks, kfas[["eta1", "eta2", "eta3"]][:-1], atol=1e-7)
    seen, noise = ~np.isnan(y), kfas[["eps1", "eps2", "eps3"]].to_numpy()
    np.testing.assert_allclose((y - path)[seen], noise[seen], atol=1e-7)


@pytest.mark.parametrize("number", [0, 1, 2])
def test_nine_rows_by_numbers_that_are_zero_or_rise(number):
    y, nothing, rising = growth(None)[:9], np.zeros((9, 3)), np.arange(27.0).reshape(9, 3) / 10
    e, w = rising if number else nothing, rising if number == 2 else nothing
    held_to(y, drawn(y, e, w, np.zeros(3)), table(f"results_simulation_smoothing{number}.csv"))


@pytest.mark.parametrize("number, holes", [(3, None), (4, "rows"), (5, "a column"), (6, "mixed")])
def test_random_numbers_with_and_without_holes(number, holes):
    """KFAS draws no noise for missing entries; its normal numbers go to the entries that are there, then to shocks and to the start."""
    y = growth(holes)
    z = table("results_simulation_smoothing3_variates.csv")["x"].to_numpy()
    seen = ~np.isnan(y)
    e, n = np.zeros(y.shape), seen.sum()
    e[seen] = z[:n]
    w = z[n : n + y.size].reshape(y.shape)
    held_to(y, drawn(y, e, w, z[n + y.size :][:3]), table(f"results_simulation_smoothing{number}.csv"))


def values(name):
    return table(f"cfa_tvpvar_{name}.csv", header=None).to_numpy()


@pytest.mark.parametrize("iteration", [0, 1])
def test_coefficients_that_wander_by_their_precision(iteration):
    """Two iterations of the Gibbs sampler of a vector autoregression with time-varying coefficients (Chan and Jeliazkov 2009)."""
    y = (np.log(macro()[["realcons", "realgdp"]]).diff().iloc[1:13] * 400).to_numpy()
    row = np.column_stack([np.ones(9), y[2:-1]])
    observation = np.zeros((9, 2, 6))
    observation[:, 0, :3] = observation[:, 1, 3:] = row
    noise, shocks = (
        (values("Omega_11")[:, :2], values("Omega_22")[:, 0]) if iteration else (np.cov(y.T), np.full(6, 0.01))
    )
    ssm = LinearGaussianSSM(np.eye(6), np.diag(shocks), TimeVarying(observation), noise, np.zeros(6), 5 * np.eye(6))
    part = slice(6 * iteration, 6 * iteration + 6)
    z = values("state_variates")[part].T
    path = sample(ssm, y[3:], 1, Given(z), method="precision")[0]
    np.testing.assert_allclose(path, values("beta")[part].T, rtol=1e-7)
    smoothed = smooth(ssm, y[3:])
    np.testing.assert_allclose(smoothed.smoothed_mean, values("posterior_mean")[part].T, rtol=1e-7)
    cov = np.linalg.inv(values("invP")[54 * iteration : 54 * iteration + 54])
    blocks = [cov[6 * t : 6 * t + 6, 6 * t : 6 * t + 6] for t in range(9)]
    np.testing.assert_allclose(smoothed.smoothed_cov, blocks, rtol=1e-6, atol=1e-9)
