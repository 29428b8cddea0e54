"""Random models that are hard in different ways, with series that have missing rows and parts of rows."""

import numpy as np
from oracles import dense_gaussian as dense

CASES = [
    {"dy": 1, "varying": False, "full": False, "diffuse": 0},
    {"dy": 1, "diffuse": 3},
    {"dy": 2, "diffuse": 2, "full": False},
    {"dy": 2, "diffuse": 1, "inputs": 2},
    {"dy": 3, "diffuse": 3, "dx": 4},
    {"dy": 3, "diffuse": 0, "varying": False},
    {"dy": 2, "diffuse": 2, "dx": 4, "varying": False},
    {"dy": 6, "diffuse": 2, "dx": 3},
    {"dy": 1, "diffuse": 2, "dx": 5, "moves": 3},
    {"dy": 2, "diffuse": 3, "dx": 5, "moves": 4, "varying": False},
    {"dy": 2, "diffuse": 2, "dx": 3, "moves": 3, "full": False, "inputs": 1},
]


def case(number, seed, n=7):
    options = CASES[number]
    rng = np.random.default_rng([number, seed])
    ssm = dense.random_model(rng, n, **options)
    inputs = rng.normal(size=(n, options["inputs"])) if "inputs" in options else None
    return ssm, dense.random_series(rng, n, options["dy"]), inputs


def close(got, want, tolerance=1e-9):
    scale = max(np.abs(np.nan_to_num(want)).max(initial=0.0), 1.0)
    np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance * scale)


def any_model(seed):
    """A random model of any size with one to 24 rows of a series: p = 1, 3 or 12, constant or not, with holes, singular.

    Where an exact sensor sees a state that no shock moves, the series contradicts it.
    """
    rng = np.random.default_rng(seed)
    dy, dx, n = int(rng.choice([1, 3, 12])), int(rng.integers(1, 6)), int(rng.integers(1, 25))
    diffuse, dw = int(rng.integers(0, dx + 1)), int(rng.integers(1, dx + 1))
    varying, full, singular = (bool(x) for x in rng.random(3) < 0.5)
    ssm = dense.random_model(rng, n, dx, dy, dw, varying, full, diffuse, singular=singular)
    return ssm, dense.random_series(rng, n, dy, float(rng.choice([0, 0.2, 0.5])))
