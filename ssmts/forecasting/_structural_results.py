"""What a fitted structural model says of its series: components, coefficients, standard errors, a summary."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..components.transforms import Array
from ..core.gaussian import smooth
from ._decomposition import Decomposition
from ._structural_fit import Likelihood, sample_again
from ._structural_unit import StructuralUnit, ahead, model_of, rotated, serving
from ._summary import heading, line


def component_rows(unit: StructuralUnit, X: Array | None, n: int) -> dict[str, Array]:
    """Rows (n, n_states) that pick each component out of the state; covariates count from zero, not from their mean."""
    model, Z = model_of(unit), rotated(unit, X)
    every = model.rows(Z, n)
    out = {}
    for name, states in model.state_slices.items():
        out[name] = np.zeros_like(every)
        out[name][:, states] = every[:, states]
    if unit.covariates is not None and "level" in out:
        offset = unit.covariates.center @ unit.covariates.rotation
        out["level"][:, model.covariates] = -offset
        out["regression"][:, model.covariates] += offset
    return out


def _components(unit: StructuralUnit, rows: dict[str, Array], mean: Array, cov: Array) -> tuple[Any, Any]:
    means = {name: np.einsum("ti,ti->t", row, mean) for name, row in rows.items()}
    variances = {name: np.maximum(np.einsum("ti,tij,tj->t", row, cov, row), 0.0) for name, row in rows.items()}
    if "level" in means:
        means["level"] = means["level"] + unit.shift
    return means, variances


def decompose_rows(unit: StructuralUnit, y: Array, X: Array | None, index: pd.Index) -> Decomposition:
    """Smoothed components of the training rows."""
    done = smooth(serving(unit, rotated(unit, X)), (y - unit.shift)[:, None])
    rows = component_rows(unit, X, len(y))
    means, variances = _components(unit, rows, done.smoothed_mean, done.smoothed_cov)
    seen = ~np.isnan(y)
    means["irregular"] = np.where(seen, done.smoothed_obs_disturbance[:, 0], np.nan)
    variances["irregular"] = np.where(seen, done.smoothed_obs_disturbance_cov[:, 0, 0], np.nan)
    return Decomposition(index, pd.DataFrame(means, index=index), pd.DataFrame(variances, index=index), y)


def decompose_ahead(unit: StructuralUnit, leads: NDArray[np.intp], X: Array | None, index: pd.Index) -> Decomposition:
    """Forecasts of the components for the rows `leads` steps ahead; `X` has a row for every step up to the last."""
    horizon = int(leads[-1])
    done = ahead(unit, horizon, X)
    rows = component_rows(unit, X, horizon)
    means, variances = _components(unit, rows, done.state_mean, done.state_cov)
    at = leads - 1
    mean = pd.DataFrame({name: values[at] for name, values in means.items()}, index=index)
    variance = pd.DataFrame({name: values[at] for name, values in variances.items()}, index=index)
    return Decomposition(index, mean, variance, None)


def state_means(unit: StructuralUnit, names: Sequence[Any]) -> dict[Any, float]:
    """The predicted state of the next row, by name, coefficients by covariate; levels count covariates from zero."""
    model = model_of(unit)
    hidden = range(model.n_states)[model.covariates] if model.covariates else ()
    out: dict[Any, float] = {
        name: float(unit.state.mean[i]) for i, name in enumerate(model.state_names) if i not in hidden
    }
    coefficients = coefficients_of(unit, len(names))[0]
    if "level" in out:
        out["level"] += unit.shift
        if unit.covariates is not None:
            out["level"] -= float(unit.covariates.center @ coefficients)
    return out | dict(zip(names, coefficients.tolist()))


def coefficients_of(unit: StructuralUnit, n_columns: int) -> tuple[Array, Array]:
    """Coefficients of the covariates and their standard errors; NaN errors where columns depend on each other."""
    if unit.covariates is None:
        return np.zeros(n_columns), np.full(n_columns, np.nan)
    states, W = model_of(unit).covariates, unit.covariates.rotation
    errors = np.sqrt(np.einsum("ij,jk,ik->i", W, unit.state.cov[states, states], W))
    determined = np.abs(W @ np.linalg.pinv(W) - np.eye(len(W))).max(axis=1) < 1e-6
    return W @ unit.state.mean[states], np.where(determined, errors, np.nan)


def standard_errors(unit: StructuralUnit, y: Array, X: Array | None) -> Array:
    """Standard errors of the parameters from the curvature of the likelihood, by differences of its exact gradient.

    NaN for parameters that were given or stand on their boundary, where the curvature says nothing.
    """
    model, sample = model_of(unit), sample_again(unit, y, X)
    scales = np.where(model.is_variance, sample.scale**2, 1.0)
    values = np.array(unit.parameters) / scales
    low, high = model.free_limits().T
    numbers = model.to_free(values)
    inside = np.array(unit.free) & (numbers > low) & (numbers < high)
    if not inside.any() or not unit.converged:
        return np.full(values.size, np.nan)
    likelihood, places = Likelihood(sample), np.flatnonzero(inside)

    def gradient(moved: Array) -> Array:
        now = model.from_free(moved)
        return (np.where(unit.free, likelihood(now)[1], 0.0) @ model.free_jacobian(moved))[places]

    curvature = np.empty((places.size, places.size))
    for row, place in zip(curvature, places):
        step = np.zeros(values.size)
        step[place] = 1e-4 * (values[place] if model.is_variance[place] else 1.0)
        row[:] = (gradient(numbers - step) - gradient(numbers + step)) / (2 * step[place])
    cov = np.zeros((values.size, values.size))
    cov[np.ix_(places, places)] = np.linalg.pinv((curvature + curvature.T) / 2)
    chain = model.free_jacobian(numbers)
    variances = np.diagonal(chain @ cov @ chain.T)
    return np.where(inside & (variances > 0), np.sqrt(np.maximum(variances, 0)), np.nan) * scales


def summary_text(unit: StructuralUnit, title: str, features: Sequence[Any], errors: Array | None) -> str:
    """A table of the estimates; `errors` are the standard errors of the parameters, if they could be had."""
    lines = [
        f"Structural model{title}: {', '.join(c.name for c in unit.components)}",
        f"{unit.n_observed} observed rows, {unit.n_diffuse} diffuse states, "
        + ("converged" if unit.converged else "NOT CONVERGED"),
        *heading(unit),
    ]
    names = model_of(unit).parameter_names
    for name, value, error, free in zip(
        names, unit.parameters, [np.nan] * len(names) if errors is None else errors, unit.free
    ):
        lines.append(line(name, value, error) + ("" if free else "  given"))
    lines += [line(f"coef {name}", *pair) for name, *pair in zip(features, *coefficients_of(unit, len(features)))]
    if errors is None:
        lines.append("Standard errors of the parameters need the training rows, which were not saved.")
    return "\n".join(lines)
