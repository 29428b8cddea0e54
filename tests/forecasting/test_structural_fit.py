"""Estimation: gradients, convergence on the boundary, equivariance, short series."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ssmts import StructuralForecaster
from ssmts.exceptions import InputError, InputTypeError, TooShortError
from ssmts.forecasting._structural_fit import Likelihood, sample_of
from ssmts.forecasting._structural_spec import Spec


def series(n=90, seed=0, gap=True):
    rng = np.random.default_rng(seed)
    t = np.arange(n)
    y = 20 + rng.normal(0, 0.4, n).cumsum() + 3 * np.sin(2 * np.pi * t / 7) + rng.normal(0, 0.8, n)
    if gap:
        y[[3, 40, 41, 42]] = np.nan
    return y


SPECS = {
    "fixed": Spec("fixed", None, "trigonometric", None, False, 0),
    "local_level": Spec("local_level", None, "trigonometric", None, False, 0),
    "local_linear": Spec("local_linear", 7, "dummy", None, False, 0),
    "smooth": Spec("smooth", 7, "trigonometric", 2, False, 0),
    "damped": Spec("damped", None, "trigonometric", None, False, 0),
    "two seasons": Spec("local_level", (4, 7.5), "trigonometric", None, False, 0),
    "vague": Spec("damped", 60, "trigonometric", 5, False, 0),
    "cycle": Spec("local_level", None, "trigonometric", None, (5, 30), 0),
    "autoregression": Spec("none", 7, "dummy", None, False, 3),
    "all": Spec("damped", 7, "trigonometric", None, True, 2),
}


@pytest.mark.parametrize("covariates", [False, True])
@pytest.mark.parametrize("name", SPECS)
def test_gradient_equals_central_differences(name, covariates):
    X = np.random.default_rng(5).normal(size=(90, 2)) if covariates else None
    sample = sample_of(SPECS[name], series(), X)
    likelihood, model = Likelihood(sample), sample.model
    values = model.start * np.linspace(0.9, 1.1, model.start.size)
    gradient = likelihood(values)[1]
    size, rtol = (1e-3, 1e-3) if model.n_vague else (1e-5, 2e-5)  # a vague start costs digits of the likelihood
    for i, value in enumerate(values):
        step = np.zeros(values.size)
        step[i] = size * (abs(value) + 1e-3)
        difference = (likelihood(values + step)[0] - likelihood(values - step)[0]) / (2 * step[i])
        np.testing.assert_allclose(gradient[i], difference, rtol=rtol, atol=1e-4)


def test_mean_square_of_the_innovations_comes_with_the_likelihood():
    sample = sample_of(SPECS["local_linear"], series(), None)
    likelihood = Likelihood(sample)
    values = sample.model.start
    likelihood(values)
    before = likelihood.squares
    likelihood(2 * values)
    assert likelihood.squares == pytest.approx(before / 2, rel=1e-8)
    best = likelihood.height(values)
    assert best == pytest.approx(likelihood(values * before)[0], rel=1e-9)
    assert best == pytest.approx(likelihood.height(5 * values), rel=1e-9)


@pytest.mark.parametrize("name", SPECS)
def test_no_parameter_can_be_moved_to_a_higher_likelihood(name):
    spec = SPECS[name]
    y = series()
    forecaster = StructuralForecaster(**spec._asdict()).fit(y)
    assert forecaster.converged_
    sample = sample_of(spec, y, None)
    likelihood, model = Likelihood(sample), sample.model
    scales = np.where(model.is_variance, sample.scale**2, 1.0)
    values = np.array(list(forecaster.params_.values())) / scales
    best = likelihood(values)[0]
    for i in range(values.size):
        for factor in (0.0, 0.5, 0.97, 1.03, 2.0):
            other = values.copy()
            other[i] = values[i] * factor if values[i] > 0 or not model.is_variance[i] else factor * 1e-3 * values[0]
            if all(g.transform.contains(other[s]) for g, s in model._grouped()):
                assert likelihood(other)[0] < best + 1e-5, model.parameter_names[i]


@settings(max_examples=20, deadline=None)
@given(
    st.lists(st.sampled_from([0.0, 0.0, 1e-3, 0.1, 1.0]), min_size=4, max_size=4),
    st.integers(0, 10_000),
    st.sampled_from([25, 60, 150]),
)
def test_variances_of_zero_converge(variances, seed, n):
    """Level, slope and season of 4, simulated with some variances zero."""
    rng = np.random.default_rng(seed)
    obs, level_var, slope_var, season_var = np.sqrt(variances) if any(variances) else np.ones(4)
    season, level, slope, y = list(rng.normal(size=3)), 0.0, 0.1, []
    for _ in range(n):
        y.append(level + season[0] + obs * rng.normal())
        level, slope = level + slope + level_var * rng.normal(), slope + slope_var * rng.normal()
        season = [-sum(season) + season_var * rng.normal(), *season[:2]]
    forecaster = StructuralForecaster(trend="local_linear", season_length=4, seasonal="dummy").fit(np.array(y))
    assert forecaster.converged_
    sample = sample_of(Spec("local_linear", 4, "dummy", None, False, 0), np.array(y), None)
    values = np.array(list(forecaster.params_.values())) / sample.scale**2
    gradient = Likelihood(sample)(values)[1]
    assert np.all(values >= 0)
    assert np.all(np.abs(values * gradient) < 1e-2)
    assert np.all(gradient[values == 0] * values.sum() < 1e-2)  # no variance of zero would rather be positive


@settings(max_examples=15, deadline=None)
@given(st.floats(-1e6, 1e6), st.floats(1e-4, 1e5), st.booleans())
def test_estimates_follow_scale_and_shift(shift, scale, negative):
    factor = -scale if negative else scale
    y = series()
    arguments = {"trend": "local_linear", "season_length": 7}
    a = StructuralForecaster(**arguments).fit(y)
    b = StructuralForecaster(**arguments).fit(factor * y + shift)
    loose = 1e-5 + 1e-9 * (abs(shift) / scale) ** 2  # digits that the shift takes from the rows
    largest = max(a.params_.values())
    for name, value in a.params_.items():
        assert b.params_[name] / factor**2 == pytest.approx(value, rel=loose, abs=loose * largest)
    np.testing.assert_allclose((b.predict(10) - shift) / factor, a.predict(10), rtol=loose, atol=loose)
    n_effective = np.isfinite(y).sum() - a.n_diffuse_
    assert b.loglik_ + n_effective * np.log(scale) == pytest.approx(a.loglik_, abs=1e-3 + 100 * loose)


def test_powers_of_two_change_nothing_but_the_scale():
    y = series()
    a, b = (StructuralForecaster(trend="local_level", season_length=7).fit(c * y) for c in (1.0, 2.0**20))
    assert {name: value * 2.0**40 for name, value in a.params_.items()} == b.params_


@pytest.mark.parametrize(
    "trend, n_needed", [("fixed", 3), ("local_level", 4), ("local_linear", 6), ("smooth", 5), ("damped", 5)]
)
def test_short_series(trend, n_needed):
    y = np.array([3.0, 1.0, 4.0, 1.5, 5.0, 9.0])
    for n in range(1, 7):
        forecaster = StructuralForecaster(trend=trend)
        if n < n_needed:
            with pytest.raises(TooShortError, match=rf"{n_needed} observed rows or more; received {n} sample"):
                forecaster.fit(y[:n])
        else:
            assert np.isfinite(forecaster.fit(y[:n]).predict(3)).all()
            assert np.isfinite(forecaster.forecast(3).distribution.variance()).all()


def test_missing_rows_do_not_count():
    y = np.full(30, np.nan)
    y[[2, 9, 20]] = 1.0, 2.0, 1.5
    with pytest.raises(TooShortError, match="received 3 samples"):
        StructuralForecaster(trend="local_level").fit(y)


@pytest.mark.parametrize("y", [np.full(30, 7.0), np.zeros(30), np.arange(30.0), 1e-5 * np.arange(30.0) - 4])
def test_a_series_that_is_reproduced_exactly_has_no_maximum_but_goes_on(y):
    forecaster = StructuralForecaster(trend="local_linear").fit(y)
    assert not forecaster.converged_
    step = y[1] - y[0]
    size = np.abs(y).max() + 1
    np.testing.assert_allclose(forecaster.predict(3), y[-1] + step * np.arange(1, 4), atol=1e-6 * size)
    moved = forecaster.update(np.full(8, y[-1] + 1.0)).predict(1)
    as_if_nothing_had_happened = y[-1] + 9 * step
    assert abs(moved[0] - (y[-1] + 1)) < 0.3 * abs(as_if_nothing_had_happened - (y[-1] + 1))


def test_a_season_that_is_never_seen_is_refused():
    y = series(gap=False)
    y[2::7] = np.nan
    with pytest.raises(TooShortError, match="leave 1 of 7 initial states undetermined"):
        StructuralForecaster(trend="local_level", season_length=7, seasonal="dummy").fit(y)


def test_covariates_that_the_trend_can_stand_in_for_are_refused():
    y = series(gap=False)
    with pytest.raises(TooShortError, match="undetermined"):
        StructuralForecaster(trend="local_linear").fit(np.arange(90.0)[:, None], y)


BAD = {
    "trend": ("linear", "trend must be one of none, fixed"),
    "season_length": (1, "2 rows or more"),
    "seasonal": ("fourier", "seasonal must be one of"),
    "harmonics": (7, "a whole number from 1 to 6"),
    "cycle": ((9, 5), "bounds of its period"),
    "autoregressive": (-1, "whole number of lags"),
}


@pytest.mark.parametrize("name", BAD)
def test_arguments_that_cannot_be_used(name):
    value, message = BAD[name]
    forecaster = StructuralForecaster(**{"season_length": 12, name: value})
    with pytest.raises(InputError, match=message):
        forecaster.fit(series())


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"season_length": 7.5, "seasonal": "dummy"}, "no whole number"),
        ({"season_length": (4, 12), "seasonal": "dummy"}, "overlap"),
        ({"season_length": (7, 7)}, "twice"),
        ({"season_length": 7, "seasonal": "dummy", "harmonics": 2}, "dummy season has none"),
        ({"harmonics": 2}, "needs a season"),
        ({"season_length": (7, 30), "harmonics": (1, 2, 3)}, "3 entries for 2 seasons"),
        ({"season_length": "7"}, "2 rows or more"),
        ({"trend": "none"}, "The model is empty"),
        ({"fix": {"level": 1.0}}, "Its parameters are obs_var, level_var, slope_var, damping"),
        ({"fix": {"level_var": np.nan}}, "must be a finite number"),
        ({"fix": {"level_var": -1.0}}, "zero or greater"),
        ({"trend": "local_level", "fix": {"level_var": 0.0, "obs_var": 0.0}}, "nothing is left to chance"),
    ],
)
def test_combinations_that_cannot_be_used(arguments, message):
    with pytest.raises(InputError, match=message):
        StructuralForecaster(**arguments).fit(series())


def test_fix_of_another_type():
    with pytest.raises(InputTypeError, match="must map names"):
        StructuralForecaster(fix=["level_var"]).fit(series())


def test_fixed_parameters_stay_and_the_others_are_estimated():
    y = series()
    whole = StructuralForecaster(trend="damped").fit(y)
    part = StructuralForecaster(trend="damped", fix={"level_var": whole.params_["level_var"], "damping": 0.9}).fit(y)
    assert part.params_["damping"] == 0.9
    assert part.params_["level_var"] == whole.params_["level_var"]
    assert part.loglik_ <= whole.loglik_ + 1e-6
    assert part.aic_ == pytest.approx(2 * 3 - 2 * part.loglik_)  # two variances and one diffuse level


def test_further_starts_are_taken_only_where_the_first_does_not_converge(monkeypatch):
    from ssmts.forecasting import _structural_fit

    taken = []
    true = _structural_fit.maximise

    def stubborn(problem, start, *rest):
        taken.append(start)
        return true(problem, start, *rest)._replace(converged=len(taken) > 2)

    monkeypatch.setattr(_structural_fit, "maximise", stubborn)
    forecaster = StructuralForecaster(trend="local_linear").fit(series())
    assert forecaster.converged_
    assert len(taken) == 3
    assert len({tuple(start) for start in taken}) == 3
    monkeypatch.setattr(_structural_fit, "maximise", true)
    assert StructuralForecaster(trend="local_linear").fit(series()).params_ == pytest.approx(
        forecaster.params_, rel=1e-3
    )
