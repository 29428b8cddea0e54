"""What a fitted Gaussian process says of its series: its terms, coefficients, a summary."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..components.transforms import Array
from ..core.gaussian import forecast, smooth
from ._decomposition import Decomposition
from ._process_model import soundly, terms_of
from ._process_unit import ProcessUnit, ahead_of, later, parameters_of, rotated, served
from ._summary import heading, line


def component_rows(unit: ProcessUnit, X: Array | None, n: int) -> dict[str, Array]:
    """Rows (n, n_states) that pick each term of the kernel, the mean and the regression out of the state; covariates count from zero."""
    assert unit.state is not None
    size, at, out = len(unit.state.mean), 0, {}
    for name, term in terms_of(unit.kernel).items():
        seen = term.process().observation
        out[name] = np.zeros((n, size))
        out[name][:, at : at + len(seen)] = seen
        at += len(seen)
    if unit.constant:
        out["mean"] = np.zeros((n, size))
        out["mean"][:, at] = 1.0
    Z = rotated(unit, X)
    if unit.covariates is not None and Z is not None:
        center = unit.covariates.center @ unit.covariates.rotation if unit.constant else np.zeros(Z.shape[1])
        out["regression"] = np.zeros((n, size))
        out["regression"][:, size - Z.shape[1] :] = Z + center
        if unit.constant:
            out["mean"][:, size - Z.shape[1] :] = -center
    return out


def _components(
    unit: ProcessUnit, X: Array | None, mean: Array, cov: Array
) -> tuple[dict[str, Array], dict[str, Array]]:
    rows = component_rows(unit, X, len(mean))
    means = {name: np.einsum("ti,ti->t", row, mean) for name, row in rows.items()}
    variances = {name: np.maximum(np.einsum("ti,tij,tj->t", row, cov, row), 0.0) for name, row in rows.items()}
    if unit.constant:
        means["mean"] = means["mean"] + unit.shift
    return means, variances


def decompose_rows(
    unit: ProcessUnit, y: Array, gaps: Array | None, X: Array | None, shown: NDArray[np.int64], index: pd.Index
) -> Decomposition:
    """Smoothed terms at some of the rows; `shown` are their positions."""
    packed, rows = served(unit, later(gaps), X), (y - unit.shift)[:, None]
    done = soundly(lambda method: smooth(packed, rows, method=method))
    parts = _components(unit, None if X is None else X[shown], done.smoothed_mean[shown], done.smoothed_cov[shown])
    seen = ~np.isnan(y[shown])
    noise = (done.smoothed_obs_disturbance[shown, 0], done.smoothed_obs_disturbance_cov[shown, 0, 0])
    mean, variance = (
        pd.DataFrame(part | {"irregular": np.where(seen, own, np.nan)}, index=index) for part, own in zip(parts, noise)
    )
    return Decomposition(index, mean, variance, y[shown])


def decompose_ahead(
    unit: ProcessUnit, n: int, gaps: Array | None, X: Array | None, shown: NDArray[np.int64], index: pd.Index
) -> Decomposition:
    """Forecasts of the terms at some of the rows to come; `shown` are their positions."""
    assert unit.state is not None
    packed, more = ahead_of(unit, gaps, X)
    done = forecast(packed, unit.state, n + more)
    parts = _components(
        unit, None if X is None else X[shown], done.state_mean[shown + more], done.state_cov[shown + more]
    )
    mean, variance = (pd.DataFrame(part, index=index) for part in parts)
    return Decomposition(index, mean, variance, None)


def coefficients_of(unit: ProcessUnit, n_columns: int) -> tuple[Array, Array]:
    """Coefficients of the covariates and their standard errors; NaN errors where columns depend on each other."""
    if unit.covariates is None or unit.state is None:
        return np.zeros(n_columns), np.full(n_columns, np.nan)
    W = unit.covariates.rotation
    states = slice(len(unit.state.mean) - W.shape[1], None)
    errors = np.sqrt(np.einsum("ij,jk,ik->i", W, unit.state.cov[states, states], W))
    determined = np.abs(W @ np.linalg.pinv(W) - np.eye(len(W))).max(axis=1) < 1e-6
    return W @ unit.state.mean[states], np.where(determined, errors, np.nan)


def mean_of(unit: ProcessUnit) -> tuple[float, float]:
    """The unknown mean where covariates are zero, and its standard error."""
    assert unit.state is not None
    row = component_rows(unit, None if unit.covariates is None else unit.covariates.center[None], 1)["mean"][0]
    return unit.shift + float(row @ unit.state.mean), float(np.sqrt(row @ unit.state.cov @ row))


def summary_text(unit: ProcessUnit, title: str, features: Sequence[Any]) -> str:
    """A table of the estimates."""
    lines = [
        f"Gaussian process{title}: {' + '.join(terms_of(unit.kernel))}",
        f"{unit.n_observed} observed rows, " + ("converged" if unit.converged else "NOT CONVERGED"),
        *heading(unit),
    ]
    for (name, value), error, free in zip(parameters_of(unit).items(), unit.stderr, unit.free):
        lines.append(line(name, value, error) + ("" if free else "  given"))
    if unit.constant:
        lines.append(line("mean", *mean_of(unit)))
    lines += [line(f"coef {name}", *pair) for name, *pair in zip(features, *coefficients_of(unit, len(features)))]
    return "\n".join(lines)
