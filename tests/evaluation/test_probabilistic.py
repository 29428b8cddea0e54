"""CRPS against numerical integration of its definition, quantile losses against scikit-learn, over all containers."""

from itertools import pairwise

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.stats
import sklearn.metrics as skm
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad

from ssmts.evaluation import crps, mae, pinball
from ssmts.exceptions import InputError

Q = (0.1, 0.5, 0.9)


def integral(cdf, y, low=-60.0, high=60.0, points=()):
    """CRPS as it is defined: the integral of (F(x) - 1{x >= y})^2."""
    edges = np.unique([low, *points, y, high])
    parts = [quad(lambda x: (cdf(x) - (x >= y)) ** 2, a, b, limit=200)[0] for a, b in pairwise(edges)]
    return sum(parts)


@pytest.mark.parametrize(("y", "mean", "std"), [(0.3, 1.0, 2.0), (-4.0, 0.0, 1.0), (2.0, 2.0, 0.1), (9.0, 1.0, 3.0)])
def test_gaussian_crps_is_its_integral(y, mean, std):
    exact = integral(scipy.stats.norm(mean, std).cdf, y, points=[mean - 8 * std, mean, mean + 8 * std])
    assert crps([y], [mean], std=[std]) == pytest.approx(exact, rel=1e-7)


def test_gaussian_without_spread_is_a_point_forecast():
    y, mean = [1.0, 5.0], [2.0, 3.0]
    assert crps(y, mean, std=0.0) == crps(y, mean, std=[0.0, 0.0]) == mae(y, mean)
    assert crps(y, mean, std=1e-9) == pytest.approx(mae(y, mean))
    assert np.isfinite(crps([1e6], [0.0], std=1e-6))


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=6), st.floats(-6, 6))
@settings(deadline=None, max_examples=40)
def test_crps_of_samples_is_the_integral_of_their_steps(samples, y):
    steps = np.unique([*samples, y])
    middle = (steps[1:] + steps[:-1]) / 2  # between two steps the integrand is constant
    share = np.mean(np.asarray(samples)[:, None] <= middle, axis=0)
    exact = np.sum((share - (middle >= y)) ** 2 * np.diff(steps))
    assert crps([y], [samples]) == pytest.approx(exact, abs=1e-12)


@pytest.mark.parametrize("y", [-2.0, 0.1, 3.0])
def test_crps_of_many_quantiles_nears_the_exact_one(y):
    even = np.arange(1, 1000) / 1000
    uneven = scipy.stats.beta(0.5, 0.5).ppf(even)  # dense at both ends
    for q in (even, uneven):
        quantiles = scipy.stats.norm.ppf(q)[None]
        assert crps([y], quantiles, q=q) == pytest.approx(crps([y], [0.0], std=1.0), rel=2e-3)


def test_crps_of_evenly_spread_middles_is_twice_the_mean_pinball_loss():
    q = (np.arange(10) + 0.5) / 10
    rng = np.random.default_rng(0)
    y, quantiles = rng.normal(size=30), np.sort(rng.normal(size=(30, 10)), axis=1)
    pinballs = [skm.mean_pinball_loss(y, quantiles[:, i], alpha=p) for i, p in enumerate(q)]
    assert crps(y, quantiles, q=q) == pytest.approx(2 * np.mean(pinballs), rel=1e-12)
    assert pinball(y, quantiles, q=q) == pytest.approx(np.mean(pinballs), rel=1e-12)
    y[3], quantiles[5, 2] = np.nan, np.nan
    known = [i for i in range(30) if i not in (3, 5)]
    assert crps(y, quantiles, q=q) == pytest.approx(crps(y[known], quantiles[known], q=q), rel=1e-12)


def quantile_frames(n_series=2, n_times=5):
    rng = np.random.default_rng(0)
    index = pd.MultiIndex.from_product([["a", "b"], pd.date_range("2024-01-01", periods=n_times)], names=["id", "time"])
    y = pd.Series(rng.normal(size=n_series * n_times), index, name="y")
    values = np.sort(rng.normal(size=(n_series * n_times, 3)), axis=1)
    return y, pd.DataFrame(values, index, [f"q-{p}" for p in Q])


def test_quantiles_in_every_container():
    y, f = quantile_frames()
    loss, score = pinball(y.to_numpy(), f.to_numpy(), q=Q), crps(y.to_numpy(), f.to_numpy(), q=Q)
    wide_y = pd.concat({key: y.loc[key] for key in ("a", "b")}, axis=1)
    wide_f = pd.concat({key: f.loc[key] for key in ("b", "a")}, axis=1)  # columns (output, quantile), in another order
    stacked = np.stack([f.loc["a"].to_numpy(), f.loc["b"].to_numpy()], axis=1)
    truth = y.rename_axis(["unique_id", "ds"]).reset_index()
    table = f.rename_axis(["unique_id", "ds"]).reset_index()
    polars = [pl.DataFrame({c: frame[c].to_numpy() for c in frame}) for frame in (truth, table)]
    pairs = [
        (y, f),
        (y, f[::-1]),
        (y, f.to_numpy()),
        (wide_y, wide_f),
        (wide_y.to_numpy(), stacked),
        (truth, table),
        polars,
    ]
    for one, other in pairs:
        assert pinball(one, other, q=Q) == pytest.approx(loss, rel=1e-13)
        assert crps(one, other, q=Q) == pytest.approx(score, rel=1e-13)
    by = crps(wide_y, wide_f, q=Q, by="series")
    assert by.tolist() == pytest.approx([crps(y.loc[key], f.loc[key], q=Q) for key in ("a", "b")])


def test_gaussian_and_samples_in_a_panel():
    y, f = quantile_frames()
    mean, std = f["q-0.5"], f["q-0.9"] - f["q-0.1"]
    by = crps(y, mean[::-1], std=std.sample(frac=1.0, random_state=0), by="series")
    assert by["b"] == pytest.approx(crps(y.loc["b"].to_numpy(), mean.loc["b"].to_numpy(), std=std.loc["b"].to_numpy()))
    weight = np.r_[np.ones(5), np.zeros(5)]
    assert crps(y, f, sample_weight=weight) == pytest.approx(crps(y.loc["a"], f.loc["a"]))


def test_one_sample_is_a_point_forecast():
    y, f = quantile_frames()
    assert crps(y, f[["q-0.5"]]) == pytest.approx(mae(y, f["q-0.5"]))


@pytest.mark.parametrize(
    ("call", "what"),
    [
        (lambda y, f: crps(y, f, std=1.0, q=Q), "not both"),
        (lambda y, f: crps(y, f["q-0.5"], std=-1.0), "negative"),
        (lambda y, f: crps(y, f, q=(0.1, 0.9)), "3 quantiles"),
        (lambda y, f: crps(y, f, q=(0.9, 0.5, 0.1)), "increase"),
        (lambda y, f: pinball(y, f, q=(0.1, 0.9)), "3 quantiles"),
        (lambda y, f: pinball(y, f, q=(0.0, 0.5, 1.0)), "between 0 and 1"),
        (lambda y, f: pinball(y, f, q=0.5), "has the shape"),
        (lambda y, f: crps(y.to_numpy(), f["q-0.5"].to_numpy()), "last axis"),
        (lambda y, f: crps(y, f.droplevel(0)), r"1 level\(s\)"),
        (lambda y, f: crps(y, y.reset_index().set_axis(["unique_id", "ds", "y"], axis=1)), "without columns"),
    ],
)
def test_refusals(call, what):
    y, f = quantile_frames()
    with pytest.raises(InputError, match=what):
        call(y, f)
