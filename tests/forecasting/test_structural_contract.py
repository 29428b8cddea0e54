"""Given the parameters, a structural model is its filter: pieces, absent rows, panels and files change nothing."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.preprocessing import FunctionTransformer

from ssmts import StructuralForecaster
from ssmts.persist import load, save

N, HORIZON = 48, 4
VARIANCES = {"obs_var": 0.7, "level_var": 0.3}
MODELS = {
    "local_level": {"trend": "local_level", "fix": VARIANCES},
    "no noise": {"trend": "local_level", "fix": {"obs_var": 0.0, "level_var": 0.3}},
    "no level noise": {"trend": "local_level", "fix": {"obs_var": 0.7, "level_var": 0.0}},
    "seasonal": {
        "trend": "local_linear",
        "season_length": 4,
        "fix": {**VARIANCES, "slope_var": 0.01, "season_var": 0.05},
    },
    "dummy": {
        "trend": "smooth",
        "season_length": 4,
        "seasonal": "dummy",
        "fix": {"obs_var": 0.7, "slope_var": 0.01, "season_var": 0.05},
    },
    "autoregressive": {
        "trend": "damped",
        "autoregressive": 1,
        "fix": {**VARIANCES, "slope_var": 0.1, "damping": 0.9, "ar_1": 0.5, "ar_var": 0.3},
    },
}
INDEXES = {
    "days": pd.date_range("2024-01-01", periods=N + HORIZON),
    "zone": pd.date_range("2024-10-26", periods=N + HORIZON, freq="h", tz="Europe/Berlin"),
    "months": pd.date_range("2020-01-01", periods=N + HORIZON, freq="MS"),
    "periods": pd.period_range("2020-01", periods=N + HORIZON, freq="M"),
    "integers": pd.RangeIndex(5, 5 + 2 * (N + HORIZON), 2),
}
LOG = FunctionTransformer(np.log, np.exp, check_inverse=False)


def rows(seed, index, missing=0.2):
    rng = np.random.default_rng(seed)
    y = np.exp(rng.normal(size=N).cumsum() * 0.2 + 2)
    y[16:] = np.where(rng.random(N - 16) < missing, np.nan, y[16:])
    X = pd.DataFrame(rng.normal(size=(N + HORIZON, 2)), index, columns=["u", "v"])
    return X, pd.Series(y, index[:N], name="load")


def frame(forecaster, future):
    return forecaster.forecast(future).to_frame(level=(50, 95))


def agree(actual, expected):
    size = np.abs(np.asarray(expected, dtype=float))  # the mean under a logarithm may be infinite
    size = np.max(size, where=np.isfinite(size), initial=0.0)
    np.testing.assert_allclose(actual, expected, rtol=1e-9, atol=1e-9 * size)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    name=st.sampled_from(sorted(MODELS)),
    index=st.sampled_from(sorted(INDEXES)),
    covariates=st.booleans(),
    transform=st.sampled_from([None, LOG]),
    cuts=st.sets(st.integers(20, N - 1), min_size=1, max_size=4),
)
def test_fit_equals_fit_of_a_part_and_updates(seed, name, index, covariates, transform, cuts):
    X, y = rows(seed, INDEXES[index])
    future = X.iloc[N:] if covariates else HORIZON

    def part(start, stop):
        return (X.iloc[start:stop], y.iloc[start:stop]) if covariates else (y.iloc[start:stop],)

    f = StructuralForecaster(target_transform=transform, **MODELS[name]).fit(*part(0, N))
    edges = [*sorted(cuts), N]
    g = StructuralForecaster(target_transform=transform, **MODELS[name]).fit(*part(0, edges[0]))
    for start, stop in pairwise(edges):
        g.update(*part(start, stop))
    agree(frame(g, future), frame(f, future))
    inside = (X if covariates else y).iloc[: edges[0]]
    agree(g.predict(inside), f.predict(inside))


@pytest.mark.parametrize("name", MODELS)
def test_one_step_predictions_are_forecasts_from_the_rows_before(name):
    X, y = rows(3, INDEXES["days"], missing=0.0)
    inside = frame(StructuralForecaster(**MODELS[name]).fit(X.iloc[:N], y), X.iloc[:N])
    for k in (20, 33, N - 1):
        agree(inside.iloc[[k]], frame(StructuralForecaster(**MODELS[name]).fit(X.iloc[:k], y.iloc[:k]), X.iloc[[k]]))


@pytest.mark.parametrize("name", MODELS)
def test_absent_rows_are_nan_rows(name):
    X, y = rows(4, INDEXES["months"])
    f = StructuralForecaster(**MODELS[name]).fit(X.iloc[:N], y)
    seen = y.notna()
    g = StructuralForecaster(**MODELS[name]).fit(X.iloc[:N][seen], y[seen])
    last = y.index.get_loc(y[seen].index[-1])
    agree(frame(g, X.iloc[last + 1 :])[-HORIZON:], frame(f, X.iloc[N:]))


@pytest.mark.parametrize("name", MODELS)
def test_panel_is_its_series(name):
    X, y = rows(5, INDEXES["days"])
    parts = {"p": (X.iloc[:N], y), "q": (-X.iloc[6:N], 3 * y[6:] + 1), "r": (X.iloc[: N - 5] * 2, y[: N - 5])}
    ahead = {key: part[0].iloc[-HORIZON:].set_axis(X.index[len(X) - HORIZON :]) for key, part in parts.items()}
    ahead["r"] = ahead["r"].set_axis(X.index[N - 5 : N - 1])

    def panel(position):
        return pd.concat({key: part[position] for key, part in parts.items()}, names=["series", "time"])

    together = frame(
        StructuralForecaster(**MODELS[name]).fit(panel(0), panel(1)), pd.concat({k: ahead[k] for k in "rpq"})
    )
    for key, part in parts.items():
        agree(together.loc[key], frame(StructuralForecaster(**MODELS[name]).fit(*part), ahead[key]))


@pytest.mark.parametrize("name", MODELS)
def test_a_file_changes_nothing(name, tmp_path):
    X, y = rows(6, INDEXES["zone"])
    f = StructuralForecaster(**MODELS[name]).fit(X.iloc[:40], y[:40])
    save(f, tmp_path / "rows", data=True)
    save(f, tmp_path / "model")
    pd.testing.assert_frame_equal(frame(load(tmp_path / "rows"), X), frame(f, X))
    for each in (f, g := load(tmp_path / "model")):
        each.update(X.iloc[40:N], y[40:])
    pd.testing.assert_frame_equal(frame(g, X.iloc[N:]), frame(f, X.iloc[N:]))
    pd.testing.assert_frame_equal(g.sample(X.iloc[N:], 5, random_state=1), f.sample(X.iloc[N:], 5, random_state=1))
