"""Fits end at the best maximum known, also where variances are exactly zero: another optimiser looks for better ones."""

import numpy as np
import pytest
from scipy.optimize import minimize

from ssmts import StructuralForecaster
from ssmts.components import Composition, DummySeason, Trend
from ssmts.core.gaussian import pack, score

MODEL = Composition([Trend(), DummySeason(4)])


def drawn(rng, n=100):
    """Level, slope, season and noise, of which about 40 % do not move at all."""
    variances = np.array([1.0, 0.3, 0.02, 0.1]) * rng.lognormal(0, 1, 4) * (rng.random(4) > 0.4)
    slope = np.cumsum(rng.normal(0, np.sqrt(variances[2]), n))
    level = np.cumsum(slope + rng.normal(0, np.sqrt(variances[1]), n))
    season = np.zeros(n + 4)
    season[:4] = rng.normal(0, 2, 4)
    for t in range(4, n + 4):
        season[t] = -season[t - 3 : t].sum() + rng.normal(0, np.sqrt(variances[3]))
    y = level + season[4:] + rng.normal(0, np.sqrt(variances[0]), n)
    return y + 1e-3 * np.std(y) * rng.normal(size=n)  # without any noise a series has no likelihood


def best_of(y, starts):
    """The highest log-likelihood that L-BFGS-B finds in the variances themselves, bounded by zero, from several starts."""
    packed, scale = pack(MODEL.build(np.ones(4)), len(y)), np.mean(np.diff(y) ** 2)

    def minus(shares):
        matrices = MODEL.matrices(shares * scale)
        loglik, slopes = score(packed.replace(**matrices), y[:, None], wrt=tuple(matrices))
        return -loglik, -MODEL.gradient(shares * scale, slopes) * scale

    found = [minimize(minus, start, jac=True, method="L-BFGS-B", bounds=[(0, None)] * 4) for start in starts]
    return max(-one.fun for one in found)


@pytest.mark.parametrize("part", range(4))
def test_at_most_one_in_a_hundred_random_fits_misses_a_better_maximum(part):
    rng = np.random.default_rng([300, part])
    Y = np.stack([drawn(rng) for _ in range(75)], axis=1)
    forecaster = StructuralForecaster(trend="local_linear", season_length=4, seasonal="dummy").fit(Y)
    starts = [[0.3, 0.1, 0.01, 0.1], [0.01, 0.5, 0.001, 0.01], [1.0, 0.001, 1e-4, 1e-3], [0.1, 0.01, 0.1, 0.3]]
    missed = [unit.loglik < best_of(Y[:, j], starts) - 1e-3 for j, unit in enumerate(forecaster.units_)]
    assert sum(missed) <= 1


@pytest.mark.parametrize("n", range(10, 14))
def test_a_few_rows_more_than_diffuse_states_are_enough(n):
    y = drawn(np.random.default_rng(n), n)
    forecaster = StructuralForecaster(trend="local_linear", season_length=4, seasonal="dummy").fit(y)
    assert np.isfinite(forecaster.loglik_)
    assert np.isfinite(forecaster.predict(3)).all()
