"""The baselines against formulas written out by hand."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ssmts import Naive, SeasonalNaive
from ssmts.exceptions import InputError


def seasonal_naive_by_hand(y, s, horizon):
    """Last observed value of each season, its distance in seasons, and the mean square of seasonal steps, by loops."""
    squares = []
    for t in range(len(y)):
        if np.isnan(y[t]):
            continue
        for k in range(1, t // s + 1):
            if not np.isnan(y[t - k * s]):
                squares.append((y[t] - y[t - k * s]) ** 2 / k)
                break
    variance = np.mean(squares) if squares else np.inf
    means, variances = [], []
    for h in range(1, horizon + 1):
        t, k = len(y) - 1 + h, 1
        while t - k * s >= len(y) or (t - k * s >= 0 and np.isnan(y[t - k * s])):
            k += 1
        if t - k * s >= 0:
            means.append(y[t - k * s])
            variances.append(k * variance)
        else:
            means.append(y[~np.isnan(y)][-1])
            variances.append(np.inf)
    return np.array(means), np.array(variances)


def floats(n):
    return arrays(np.float64, n, elements=st.floats(-100, 100).map(lambda v: round(v, 3)) | st.just(np.nan))


@given(st.integers(1, 5), st.integers(6, 25).flatmap(floats), st.integers(1, 12))
def test_forecast_equals_the_formula(s, y, horizon):
    y[0] = 1.0
    forecast = SeasonalNaive(s).fit(y).forecast(horizon)
    mean, variance = seasonal_naive_by_hand(y, s, horizon)
    np.testing.assert_allclose(forecast.mean, mean)
    np.testing.assert_allclose(forecast.distribution.variance()[0, :, 0], variance)


@given(st.integers(1, 5), st.integers(6, 25).flatmap(floats), st.integers(1, 12), st.data())
def test_update_equals_a_longer_past(s, y, horizon, data):
    """After update the means and ages are those of the whole series; the variance stays that of fit."""
    y[0] = 1.0
    k = data.draw(st.integers(2, len(y) - 1))
    f = SeasonalNaive(s).fit(y[:k]).update(y[k:])
    np.testing.assert_allclose(f.predict(horizon), seasonal_naive_by_hand(y, s, horizon)[0])
    ages = [u.age for u in (f.units_[0], SeasonalNaive(s).fit(y).units_[0])]
    seen = ~np.isnan(f.units_[0].last)
    np.testing.assert_array_equal(ages[0][seen], ages[1][seen])


def test_one_step_predictions():
    y = np.array([1.0, 2.0, np.nan, 4.0, 5.0, 6.0])
    f = SeasonalNaive(2).fit(pd.Series(y))
    np.testing.assert_array_equal(f.predict(pd.Series(y)), [np.nan, np.nan, 1, 2, 1, 4])
    interval = f.predict_interval(pd.Series(y), level=95)
    width = (interval["hi-95"] - interval["lo-95"]).to_numpy()
    assert np.isnan(width[0])  # nothing was known
    np.testing.assert_allclose(width[4] / width[3], np.sqrt(2))  # two seasons ago against one


def test_paths_are_random_walks_from_season_to_season():
    y = np.array([1.0, 10.0, 3.0, 8.0, np.nan, 9.0])
    paths = SeasonalNaive(2).fit(y).sample(6, n_paths=200_000, random_state=0)
    mean, variance = seasonal_naive_by_hand(y, 2, 6)
    np.testing.assert_allclose(paths.mean(axis=1), mean, atol=0.05)
    np.testing.assert_allclose(paths.var(axis=1), variance, rtol=0.02)
    np.testing.assert_allclose(np.cov(paths[0], paths[2])[0, 1], variance[0], rtol=0.03)
    assert abs(np.corrcoef(paths[0], paths[1])[0, 1]) < 0.01


def test_naive_is_the_season_of_one_row():
    y = np.array([3.0, 1.0, np.nan, 4.0])
    pd.testing.assert_frame_equal(Naive().fit(y).forecast(3).to_frame(), SeasonalNaive().fit(y).forecast(3).to_frame())


def test_nothing_to_learn_the_spread_from_gives_infinite_intervals_and_no_paths():
    f = SeasonalNaive(4).fit(np.array([1.0, 2.0]))
    np.testing.assert_array_equal(f.predict(4), [2.0, 2.0, 1.0, 2.0])
    assert np.isinf(f.predict_interval(4)).all()
    with pytest.raises(InputError, match="Paths need"):
        f.sample(2)


@pytest.mark.parametrize("season_length", [0, -1, 2.5, True, "7"])
def test_season_length_is_a_whole_number(season_length):
    with pytest.raises(InputError, match="season_length must be a whole number"):
        SeasonalNaive(season_length).fit(np.arange(5.0))
