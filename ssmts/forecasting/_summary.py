"""Summaries of fitted models as text: what all of them say in the same words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

COLUMNS = f"{'':24}{'estimate':>14}{'std. error':>14}"


def aic(unit: Any) -> float:
    """Akaike's criterion of a unit."""
    return 2 * unit.n_estimated - 2 * unit.loglik  # type: ignore[no-any-return]


def bic(unit: Any) -> float:
    """Schwarz's criterion of a unit."""
    return unit.n_estimated * float(np.log(unit.n_effective)) - 2 * unit.loglik  # type: ignore[no-any-return]


def heading(unit: Any) -> list[str]:
    """The criteria, and what stands in the columns below."""
    return [f"log-likelihood {unit.loglik:.3f}, AIC {aic(unit):.3f}, BIC {bic(unit):.3f}", "", COLUMNS]


def line(name: str, value: float, error: float) -> str:
    """A parameter, its estimate and its standard error, which may be NaN."""
    return f"{name:24}{value:>14.6g}" + (f"{'-':>14}" if np.isnan(error) else f"{error:>14.6g}")


def entries(params: Mapping[str, Any], stderr: Mapping[str, Any]) -> Iterator[str]:
    """A line for every number among parameters that may be arrays: ``coef[0, 2]``."""
    for name, value in params.items():
        errors = np.broadcast_to(stderr.get(name, np.nan), np.shape(value))
        for place, number in np.ndenumerate(value):
            yield line(f"{name}{list(place) if place else ''}", number, float(errors[place]))
