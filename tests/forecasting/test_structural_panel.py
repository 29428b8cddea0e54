"""Many complete series in one compiled call: the same units as one at a time, and as the search that serves every model."""

import numpy as np
import pandas as pd
import pytest
from numba import njit

from ssmts import StructuralForecaster
from ssmts.core.gaussian import filter, pack, simulate
from ssmts.core.gaussian._rungs.schur import difference
from ssmts.exceptions import TooShortError
from ssmts.forecasting._ascent_steps import best_step
from ssmts.forecasting._mle import Problem, _best_step
from ssmts.forecasting._structural_fit import Likelihood, fit_unit, sample_of, size_of
from ssmts.forecasting._structural_panel import _Search, _setting, _states, fit_together
from ssmts.forecasting._structural_spec import Spec
from ssmts.forecasting._structural_unit import model_of

SPECS = {
    "fixed": Spec("fixed", None, "trigonometric", None, False, 0),
    "local_level": Spec("local_level", None, "trigonometric", None, False, 0),
    "local_linear": Spec("local_linear", 4, "dummy", None, False, 0),
    "smooth": Spec("smooth", 7, "trigonometric", None, False, 0),
    "damped": Spec("damped", 12, "trigonometric", None, False, 0),
    "cycle": Spec("local_level", None, "trigonometric", None, (5, 30), 0),
    "autoregression": Spec("none", 4, "dummy", None, False, 1),
    "all": Spec("damped", 4, "trigonometric", None, (6, 30), 1),
}


def series(seed, n=90, level=0.4, season=3.0):
    rng = np.random.default_rng(seed)
    t = np.arange(n)
    return 20 + rng.normal(0, level, n).cumsum() + season * np.sin(np.pi * t / 2) + rng.normal(0, 0.8, n)


def several():
    """Levels and seasons that move and that do not: some variances are zero at the maximum."""
    return [series(seed, level=level, season=season) for seed, level, season in [(0, 0.4, 3), (1, 0, 3), (2, 0.1, 0)]]


def same(a, b):
    assert a._replace(state=None) == b._replace(state=None)
    for one, other in zip(a.state, b.state):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("name", SPECS)
def test_units_are_those_of_the_search_that_serves_every_model(name):
    units = fit_together(SPECS[name], {}, several(), None)
    for unit, y in zip(units, several()):
        slow = fit_unit(SPECS[name], {}, y, None)
        assert unit.converged
        assert unit.loglik > slow.loglik - 1e-5
        if unit.loglik < slow.loglik + 1e-5:
            assert [value == 0 for value in unit.parameters] == [value == 0 for value in slow.parameters]
        done = filter(model_of(unit).build(np.array(unit.parameters)), y[:, None] - unit.shift, method="sequential")
        assert unit.loglik == pytest.approx(done.loglik, rel=1e-10)
        np.testing.assert_allclose(unit.state.mean, done.state.mean, rtol=1e-7, atol=1e-9)
        np.testing.assert_allclose(unit.state.cov, done.state.cov, rtol=1e-7, atol=1e-9)
        assert (unit.n_observed, unit.n_diffuse, unit.shift) == (slow.n_observed, slow.n_diffuse, slow.shift)


@pytest.mark.parametrize("n_jobs", [None, 2])
@pytest.mark.parametrize("name", ["local_linear", "damped"])
def test_a_panel_is_its_series(name, n_jobs):
    many = [series(seed) for seed in range(7)]
    together = fit_together(SPECS[name], {}, many, n_jobs)
    for unit, y in zip(together, many):
        same(unit, fit_together(SPECS[name], {}, [y], None)[0])


def test_a_panel_with_holes_and_other_lengths():
    many = {"a": series(0), "b": series(1, 60), "c": series(2), "d": series(3)}
    many["c"][[4, 5]] = np.nan
    frame = pd.concat({name: pd.Series(y) for name, y in many.items()})
    panel = StructuralForecaster(trend="local_linear", season_length=4, n_jobs=2).fit(frame)
    for unit, y in zip(panel.units_, many.values()):
        same(unit, StructuralForecaster(trend="local_linear", season_length=4).fit(y).units_[0])


@pytest.mark.parametrize("fix", [{"level_var": 0.0}, {"damping": 0.8}, {"slope_var": 0.02, "obs_var": 0.5}])
def test_given_parameters_stay(fix):
    y = series(4)
    unit = fit_together(SPECS["damped"], fix, [y], None)[0]
    slow = fit_unit(SPECS["damped"], fix, y, None)
    found = dict(zip(model_of(unit).parameter_names, unit.parameters))
    assert {name: found[name] for name in fix} == fix
    assert unit.loglik > slow.loglik - 1e-4
    assert unit.free == slow.free


def test_what_is_not_served_is_left_to_the_other_search():
    hole = series(0)
    hole[3] = np.nan
    assert fit_together(SPECS["local_level"], {}, [hole, series(1)], None)[0] is None
    assert fit_together(Spec("none", None, "trigonometric", None, False, 2), {}, [series(0)], None) == [None]
    assert fit_together(Spec("damped", 60, "trigonometric", 3, False, 0), {}, [series(0)], None) == [None]
    assert fit_together(SPECS["damped"], {}, [series(0, 10)], None) == [None]
    assert fit_together(SPECS["local_level"], {"no_such": 1.0}, [series(0)], None) == [None]
    with pytest.raises(TooShortError, match="Series 'b'"):
        StructuralForecaster(season_length=12).fit(pd.concat({"a": pd.Series(series(0)), "b": pd.Series(series(1, 9))}))


def test_a_series_that_the_model_reproduces_has_no_maximum():
    unit = fit_together(SPECS["local_linear"], {}, [np.arange(40.0)], None)[0]
    assert unit is None or not unit.converged
    assert not StructuralForecaster(trend="local_linear").fit(np.arange(40.0)).converged_


@pytest.mark.parametrize("name", SPECS)
def test_likelihood_and_slopes(name):
    """Slopes and the likelihood are those of the other search."""
    y = series(5)
    sample = sample_of(SPECS[name], y, None)
    model = sample.model
    setting = _setting(model.components, (True,) * len(model.parameter_names), len(y))
    search = _Search(setting, np.tile(difference(setting.found, sample.y), (2, 1)))
    values = model.start * np.linspace(0.9, 1.1, model.start.size)
    numbers = search._translate(np.array([values, values]))
    np.testing.assert_allclose(numbers[0], model.to_free(values), atol=1e-12)
    np.testing.assert_allclose(search._translate(numbers, back=True)[0], values)
    logliks, gradients = search._evaluate(numbers)
    slow = Likelihood(sample)
    constant = slow(values)[0] - logliks[0]
    assert search.squares[0] == pytest.approx(slow.squares, rel=1e-8)
    np.testing.assert_allclose(gradients[0], slow(values)[1] @ model.free_jacobian(numbers[0]), rtol=1e-7, atol=1e-7)
    assert slow(1.1 * model.start)[0] - search._evaluate(search._translate(np.array([1.1 * model.start] * 2)))[0][
        0
    ] == pytest.approx(constant, abs=1e-8)


def test_the_packed_model_is_that_of_the_parameters():
    """Every entry that the pass forward takes, for a model with all kinds of components."""
    spec, y = SPECS["all"], series(6)
    model = sample_of(spec, y, None).model
    setting = _setting(model.components, (True,) * len(model.parameter_names), len(y))
    values = model.start * np.linspace(0.8, 1.1, model.start.size)
    ((state, loglik),) = _states(setting, y[None] - 20, values[None])
    done = filter(pack(model.build(values)), y[:, None] - 20, method="sequential")
    assert loglik == pytest.approx(done.loglik, rel=1e-11)
    np.testing.assert_allclose(state.mean, done.state.mean, rtol=1e-8, atol=1e-10)


@njit
def _stepped(codes, limits, x, gradient, curvature, step):
    return best_step(codes, limits, 0, x, gradient, curvature, step)


def test_the_best_step_is_that_of_non_negative_least_squares():
    """Lawson and Hanson's routine on the same quadratic model, numbers without bound among the variances."""
    rng = np.random.default_rng(0)
    for _ in range(200):
        k = int(rng.integers(1, 6))
        A = rng.normal(size=(k, k + 1)) * np.exp(rng.normal(size=(k, 1)))
        curvature = A @ A.T + 0.1 * np.eye(k)
        bounded = rng.random(k) < 0.7
        x = np.where(bounded, rng.exponential(size=k) * (rng.random(k) < 0.6), rng.normal(size=k))
        gradient = 3 * rng.normal(size=k)
        limits = np.where(bounded[:, None], [0.0, np.inf], [-4.0, 4.0])
        want, gain = _best_step(Problem(None, None, bounded, limits, 1.0), x, gradient, curvature)
        codes = np.column_stack([np.zeros(k), np.ones(k), bounded]).astype(np.int64)
        step = np.empty(k)
        assert _stepped(codes, limits, x, gradient, curvature, step) == pytest.approx(gain, rel=1e-6, abs=1e-7)
        np.testing.assert_allclose(step, want, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["local_linear", "damped"])
def test_few_searches_end_below_the_best_that_is_known(name):
    """300 series drawn from the model, two variances of five exactly zero: at most 1 % miss the best of ten other starts."""
    rng, n = np.random.default_rng(11), 120
    model = sample_of(SPECS[name], series(0), None).model
    many = []
    for _ in range(300):
        values = model.start.copy()
        size = np.exp(rng.normal(size=values.size)) * (rng.random(values.size) < 0.6)
        values[model.is_variance] *= size[model.is_variance]
        values[~model.is_variance] = rng.uniform(0.3, 0.97)
        values[0] += 0.1 * (not values[model.is_variance].any())
        ssm = model.build(values)
        proper = ssm._replace(initial_cov=ssm.initial_cov + np.diag(model.diffuse), initial_diffuse_cov=None)
        many.append(simulate(proper, n, 1, rng)[1][0, :, 0])
    found = fit_together(SPECS[name], {}, many, 2)
    setting = _setting(model.components, (True,) * len(model.parameter_names), n)
    scaled = np.array([(y - unit.shift) / size_of(y - unit.shift, unit.shift) for y, unit in zip(many, found)])
    again = _Search(setting, np.ascontiguousarray(difference(setting.found, scaled.T).T))
    squares = np.array([size_of(y - unit.shift, unit.shift) ** 2 for y, unit in zip(many, found)])[:, None]
    ours = np.array([unit.parameters for unit in found]) / np.where(model.is_variance, squares, 1.0)
    logliks = again._evaluate(again._translate(ours))[0]
    best = logliks.copy()
    for _ in range(10):
        starts = model.start * np.where(model.is_variance, np.exp(1.5 * rng.normal(size=ours.shape)), 1.0)
        starts[:, ~model.is_variance] = rng.uniform(0.1, 0.98, size=starts[:, ~model.is_variance].shape)
        numbers, values, arrived = again._translate(starts), np.full(300, -np.inf), np.zeros(300, np.bool_)
        again._climb(np.ones(300, np.bool_), numbers.copy(), numbers, values, arrived)
        best = np.maximum(best, values)
    assert (best - logliks > 1e-3).sum() <= 3
    assert np.mean([unit.converged for unit in found]) > 0.99
