"""What a fitted ARIMA model says of its series: parameters, standard errors, a summary."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..components.transforms import Array
from ._arima_fit import sample_of
from ._arima_unit import ARIMAUnit, orders_of
from ._summary import heading, line


def parameters_of(unit: ARIMAUnit) -> dict[str, float]:
    """Parameters by name."""
    orders = orders_of(unit)
    constant = {"constant": unit.constant} if orders.constant else {}
    return dict(zip(orders.names, unit.coefficients)) | constant | {"var": unit.variance}


def standard_errors(unit: ARIMAUnit, y: Array, X: Array | None) -> dict[str, float]:
    """Standard errors by name, from differences of the exact gradient; NaN where the curvature says nothing."""
    names, values = orders_of(unit).names, np.array(unit.coefficients)
    out = dict.fromkeys(parameters_of(unit), np.nan)
    if not unit.converged:
        return out
    if unit.free[-1]:
        out["var"] = unit.variance * float(np.sqrt(2.0 / unit.n_effective))
    if "constant" in out:
        out["constant"] = unit.constant_stderr
    given = {name: value for (name, value), free in zip(parameters_of(unit).items(), unit.free) if not free}
    likelihood = sample_of(orders_of(unit), given, y, X).likelihood
    places = np.flatnonzero(unit.free[: len(names)])
    curvature = np.empty((len(places), len(places)))
    for row, place in zip(curvature, places):
        step = np.zeros(len(values))
        step[place] = 1e-5
        down, up = likelihood(values - step), likelihood(values + step)
        if down is None or up is None:
            return out
        row[:] = ((down.gradient - up.gradient) / 2e-5)[places]
    variances = np.diagonal(np.linalg.pinv((curvature + curvature.T) / 2))
    errors = np.sqrt(np.where(variances > 0, variances, np.nan))
    return out | {names[place]: float(error) for place, error in zip(places, errors)}


def summary_text(unit: ARIMAUnit, title: str, features: Sequence[Any], errors: dict[str, float] | None) -> str:
    """A table of the estimates; `errors` are the standard errors of the parameters, if they could be had."""
    orders = orders_of(unit)
    season = (
        f" x ({_lags(orders.seasonal_ar)}, {orders.D}, {_lags(orders.seasonal_ma)}){orders.s}" if orders.s > 1 else ""
    )
    lines = [
        f"ARIMA model{title}: ({_lags(orders.ar)}, {orders.d}, {_lags(orders.ma)}){season}",
        f"{unit.n_effective} observed rows beyond the differences, "
        + ("converged" if unit.converged else "NOT CONVERGED"),
        *heading(unit),
    ]
    for (name, value), free in zip(parameters_of(unit).items(), unit.free):
        error = np.nan if errors is None else errors[name]
        lines.append(line(name, value, error) + ("" if free else "  given"))
    lines += [line(f"coef {name}", *pair) for name, *pair in zip(features, unit.effects, unit.effects_stderr)]
    if errors is None:
        lines.append("Standard errors of the parameters need the training rows, which were not saved.")
    return "\n".join(lines)


def _lags(lags: tuple[int, ...]) -> str:
    whole = lags == tuple(range(1, len(lags) + 1))
    return str(len(lags)) if whole else "(" + ", ".join(map(str, lags)) + ")"
