"""Rungs against 350 decimal digits on models of any kind, which singular covariances and diffuse starts make hard."""

from functools import cache

import numpy as np
import pytest
from oracles import decimal_gaussian
from oracles import dense_gaussian as dense

from ssmts.core import gaussian
from ssmts.core.gaussian._ladder import Job, choose, rung
from ssmts.core.types import TimeVarying
from ssmts.exceptions import NumericalError

from .cases import any_model, close

# Diffuse starts that rows see badly, states that nothing moves, exact sensors that a series contradicts, roots of covariances
# that are singular but for rounding, states that stay diffuse
HARD = (
    *(1050, 1063, 1068, 1075, 1079, 1096, 1105, 1137, 1141, 1220, 1260, 1316, 1409, 1414, 1422, 1425, 1452, 1468, 1498),
    *(1560, 1565, 1576, 1628, 1706, 1713, 1740, 1771, 1781, 1834, 1916, 1950, 1951, 2079, 2106, 2127, 2147, 2176, 2231),
)
SEEDS = (*HARD, *range(40))
BEYOND_SCANS = (1834, 3264)


@cache
def truth(seed, wide=0):
    ssm, y = model(seed, wide)
    return decimal_gaussian.exact(ssm, y)


def model(seed, wide=0):
    """Any model, with a proper prior that is so wide instead of the diffuse one."""
    ssm, y = any_model(seed)
    if wide and ssm.initial_diffuse_cov is not None:
        cov = ssm.initial_cov + wide * ssm.initial_diffuse_cov
        ssm = ssm._replace(initial_cov=cov, initial_diffuse_cov=None)
    return ssm, y


def served(method, task, seed, wide=0):
    """A task, unless the rung does not claim it."""
    ssm, y = model(seed, wide)
    packed = gaussian.pack(ssm, len(y))
    if rung(method).refuses(Job(task, packed, y, None, None, ())):
        return None
    return getattr(gaussian, task)(packed, y, method=method)


def agree(mean, cov, want_mean, want_cov, tolerance):
    """Infinities are the same, and so is the rest; means of what is infinite have no meaning."""
    infinite = np.isinf(want_cov)
    np.testing.assert_array_equal(np.isinf(cov), infinite)
    close(np.where(infinite, 0.0, cov), np.where(infinite, 0.0, want_cov), tolerance)
    known = np.isfinite(np.diagonal(want_cov, axis1=1, axis2=2))
    close(np.where(known, mean, 0.0), np.where(known, want_mean, 0.0), tolerance)


def check_filter(method, seed, tolerance, wide=0):
    got, want = served(method, "filter", seed, wide), truth(seed, wide)
    if got is None:
        return False
    close(served(method, "loglik", seed, wide), want.loglik, tolerance)
    close(got.loglik, want.loglik, tolerance)
    assert got.n_diffuse == want.n_diffuse
    agree(got.predicted_mean, got.predicted_cov, want.predicted_mean, want.predicted_cov, tolerance)
    agree(got.filtered_mean, got.filtered_cov, want.filtered_mean, want.filtered_cov, tolerance)
    return True


def check_smooth(method, seed, tolerance, wide=0):
    got, want = served(method, "smooth", seed, wide), truth(seed, wide)
    if got is None:
        return False
    dx, dw = got.smoothed_mean.shape[1], got.smoothed_process_disturbance.shape[1]
    state, shock, noise = slice(dx), slice(dx, dx + dw), slice(dx + dw, None)
    for (mean, cov), part in zip((got[:2], got[2:4], got[4:6]), (state, noise, shock), strict=True):
        agree(mean, cov, want.smoothed_mean[:, part], want.smoothed_cov[:, part, part], tolerance)
    return True


@pytest.mark.parametrize(("method", "tolerance"), [("square_root", 1e-9), ("square_root_single", 1e-4)])
@pytest.mark.parametrize("seed", SEEDS)
def test_roots_filter_and_smooth_what_they_claim(method, tolerance, seed):
    assert check_filter(method, seed, tolerance)
    assert check_smooth(method, seed, tolerance)


@pytest.mark.parametrize("method", ["scan", "collapsed", "steady"])
def test_rungs_filter_and_smooth_what_they_claim(method):
    """What the scan gives is checked against the recursion, and refused if it is something else."""
    served = 0
    for seed in SEEDS:
        diffuse = any_model(seed)[0].initial_diffuse_cov is not None
        if method == "scan" and seed in BEYOND_SCANS:
            continue
        served += check_filter(method, seed, 1e-8 if method == "scan" and diffuse else 1e-9)
        if method == "scan" or not diffuse:  # see docs/ladder.md for smoothed covariances of diffuse starts
            served += check_smooth(method, seed, 1e-8 if method == "scan" and diffuse else 1e-9)
    assert served > 10


@pytest.mark.parametrize("seed", BEYOND_SCANS)
@pytest.mark.parametrize("task", ["loglik", "filter", "smooth"])
def test_a_scan_that_loses_what_the_recursion_keeps_says_so(seed, task):
    """Exact sensors of states that are moved by few shocks leave a closed loop that grows."""
    ssm, y = any_model(seed)
    with pytest.raises(NumericalError, match="does not follow from the row before it"):
        getattr(gaussian, task)(ssm, y, method="scan")


@pytest.mark.parametrize("seed", [1137, 1141, 1316, 1319, 1414, 1422, 1560, 1709, 1886, 2229])
def test_rungs_treat_a_row_of_probability_zero_alike(seed):
    """It adds nothing but a likelihood of minus infinity, in its row and in the sum."""
    ssm, y = any_model(seed)
    want = truth(seed)
    assert want.contradicted
    for method in ("sequential", "square_root", "scan", "steady"):
        if check_filter(method, seed, 1e-9):
            loglik_t = served(method, "filter", seed).loglik_t
            assert np.isneginf(loglik_t).any()
            agreed = np.isfinite(loglik_t)
            close(loglik_t[agreed].sum(), want.loglik_t[agreed].sum())
            assert gaussian.loglik(ssm, y, method=method) == -np.inf


@pytest.mark.parametrize("seed", SEEDS)
def test_the_sequential_rung_filters_and_smooths_what_it_claims(seed):
    """Of 2106 exact sensors tell the states over several rows."""
    assert check_filter("sequential", seed, 1e-9)
    assert check_smooth("sequential", seed, 1e-6 if seed == 2106 else 1e-9)


@pytest.mark.parametrize(("method", "tolerance"), [("square_root", 1e-9), ("square_root_single", 1e-4)])
@pytest.mark.parametrize("seed", [4, 20, 28, 33, 39, 40, 42, 47, 51, 52])
def test_roots_keep_their_digits_after_a_wide_prior(method, tolerance, seed):
    check_filter(method, seed, tolerance, 1e6)
    check_smooth(method, seed, tolerance, 1e6)


@pytest.mark.parametrize("seed", [28, 42, 47, 51, 63, 69, 74])
def test_automatic_smoothers_keep_their_digits_after_a_wide_prior(seed):
    """Of each of these the sequential rung loses more than 1e-9."""
    ssm, y = model(seed, 1e6)
    job = Job("smooth", gaussian.pack(ssm, len(y)), y, None, None, ())
    assert choose("auto", job).name == "square_root"
    got, want = gaussian.smooth(ssm, y), truth(seed, 1e6)
    dx = got.smoothed_mean.shape[1]
    agree(got.smoothed_mean, got.smoothed_cov, want.smoothed_mean[:, :dx], want.smoothed_cov[:, :dx, :dx], 1e-9)
    assert choose("auto", job._replace(task="filter")).name != "square_root"


@pytest.mark.parametrize("seed", range(60, 75))
def test_the_decimals_are_the_joint_gaussian_where_that_is_well_conditioned(seed):
    """Which some of these are not."""
    ssm, y = any_model(seed)
    twin = dense.joint(ssm, len(y))
    rows = np.flatnonzero(~np.isnan(y.ravel()))
    X = twin.observations.X[rows]
    if truth(seed).redundant.any() or len(rows) == 0 or np.linalg.matrix_rank(X) < X.shape[1]:
        return
    if np.linalg.cond(dense.bordered(twin, rows)) > 1e6:
        return
    close(truth(seed).loglik, dense.loglik(ssm, y), 1e-6)
    mean, cov, _ = dense.given(twin, twin.states, y, len(y))
    dx, n = len(ssm.initial_mean), len(y)
    close(truth(seed).smoothed_mean[:, :dx].ravel(), mean[: n * dx], 1e-6)
    for t in range(n):
        part = slice(t * dx, (t + 1) * dx)
        close(truth(seed).smoothed_cov[t, :dx, :dx], cov[part, part], 1e-6)


def scaled(ssm, directions, step):
    """A model whose entries are larger by step times the directions, a covariance as that of scaled variables: zeros stay."""

    def move(name, field):
        if field is None or name not in directions:
            return field
        values, by = field.values if isinstance(field, TimeVarying) else field, 1 + step * directions[name]
        values = values * (by[..., None] * by[..., None, :] if name.endswith("_cov") else by)
        return TimeVarying(values) if isinstance(field, TimeVarying) else values

    return ssm._replace(**{name: move(name, field) for name, field in ssm._asdict().items()})


@pytest.mark.parametrize("seed", range(24))
def test_scores_of_roots_are_slopes(seed):
    """Along a random direction of everything that the model has; not where a row sees a diffuse direction by its weakest entry."""
    (ssm, y), rng = any_model(seed), np.random.default_rng(seed)
    if truth(seed).redundant.any():
        return
    sizes = {
        name: np.shape(field.values if isinstance(field, TimeVarying) else field)
        for name, field in ssm._asdict().items()
        if field is not None and name != "initial_diffuse_cov"
    }
    directions = {name: rng.normal(size=size[:-1] if name.endswith("_cov") else size) for name, size in sizes.items()}
    step = 1e-5
    above = [decimal_gaussian.exact(scaled(ssm, directions, k * step), y).loglik for k in (-2, -1, 1, 2)]
    slope = (above[0] - 8 * above[1] + 8 * above[2] - above[3]) / (12 * step)
    for method, tolerance in (("square_root", 1e-7), ("square_root_single", 1e-3)):
        gradient = gaussian.score(ssm, y, method=method)[1]
        terms = []
        for name, by in directions.items():
            field, g = getattr(ssm, name), getattr(gradient, name)
            field, g = (x.values if isinstance(x, TimeVarying) else x for x in (field, g))
            moved = field * (by[..., None] + by[..., None, :] if name.endswith("_cov") else by)
            terms.append(g * moved)
        size = sum(np.abs(part).sum() for part in terms)
        assert sum(part.sum() for part in terms) == pytest.approx(slope, abs=tolerance * max(size, 1.0))
