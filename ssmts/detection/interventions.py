"""Outliers and breaks of a series, one after the other, each with the model estimated again.

The break with the largest auxiliary residual of its kind is a candidate. It is added to the model as a regression effect, all
parameters are estimated again, and the log-likelihood says by how much that is better: a break that a restless level had
swallowed leaves a calmer level behind, which its t statistic under the old parameters does not show. The best candidate stays
if its p-value survives the number of places that it was sought in; at the end those that the others made superfluous go.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import chdtrc
from sklearn.base import clone

from ssmts.components import Regression
from ssmts.core.types import Array
from ssmts.detection.auxiliary import Auxiliary, auxiliary, response
from ssmts.exceptions import SsmtsError
from ssmts.forecasting._structural_unit import StructuralUnit, advance, prior
from ssmts.forecasting.structural import StructuralForecaster

LEAST = 2.0  # auxiliary residual from which on a fit is worth its time


class Break(NamedTuple):
    """An outlier or a break.

    Attributes
    ----------
    kind : "outlier", "level" or "slope"
    row : row of the series, in whose state it is.
    size, std_error : on the scale of the series, a slope a step.
    p_value, p_adjusted : by itself, and for the number of places that it was sought in (Bonferroni).
    """

    kind: str
    row: int
    size: float
    std_error: float
    p_value: float
    p_adjusted: float


class Fitted(NamedTuple):
    """A model with breaks.

    Attributes
    ----------
    unit : of the series and the dummies.
    plain : the same parameters without dummies.
    places : (kind, row) of every break.
    dummies : (n_times, n_breaks), None without breaks.
    sizes, std_errors : (n_breaks,)
    loglik : of the series less its breaks.
    """

    unit: StructuralUnit
    plain: StructuralUnit
    places: tuple[tuple[str, int], ...]
    dummies: Array | None
    sizes: Array
    std_errors: Array
    loglik: float

    def without_breaks(self, y: Array) -> Array:
        """The series less its level and slope breaks, NaN in outliers."""
        if self.dummies is None:
            return y
        rows = [row for kind, row in self.places if kind == "outlier"]
        out: Array = y - self.dummies @ self.sizes
        out[rows] = np.nan
        return out

    def auxiliary(self, y: Array) -> Auxiliary:
        """Auxiliary residuals beside the breaks."""
        return auxiliary(self.unit, y, self.dummies)


def fit(
    template: StructuralForecaster, y: Array, places: Sequence[tuple[str, int]] = (), like: Fitted | None = None
) -> Fitted:
    """Estimate a model with breaks at some places; what these do to later rows is that of the parameters of `like`."""
    model = clone(template).set_params(freq=None)
    if not places:
        unit = model.fit(y).units_[0]
        return Fitted(unit, unit, (), None, np.zeros(0), np.zeros(0), unit.loglik)
    assert like is not None
    X = np.stack([response(like.plain, kind, row, len(y)) for kind, row in places], axis=1)
    fitted = model.fit(X, y)
    unit = fitted.units_[0]
    plain = unit._replace(
        components=tuple(c for c in unit.components if not isinstance(c, Regression)), covariates=None
    )
    sizes, errors = fitted.coef_.to_numpy(), fitted.coef_stderr_.to_numpy()
    rest = y - X @ sizes
    plain = plain._replace(state=prior(plain))
    loglik = float(advance(plain, rest, None, plain.state).loglik)
    return Fitted(unit, plain, tuple(places), X, sizes, errors, loglik)


def find(
    template: StructuralForecaster, y: Array, significance: float, n_series: int, most: int
) -> tuple[Fitted, tuple[Break, ...]]:
    """Search a series for outliers and breaks.

    Parameters
    ----------
    template : StructuralForecaster
    y : (n_times,)
    significance : float
        Of a break, for all places together.
    n_series : int
        How many series are searched.
    most : int
        Breaks at most.
    """
    now = fit(template, y)
    n_places = n_series * int(np.isfinite(now.auxiliary(y).t).sum())
    while len(now.places) < most:
        better = [one for one in _candidates(template, y, now) if one is not None]
        best = max(better, key=lambda one: one.loglik, default=now)
        if _p_value(best, now) * n_places > significance or best is now:
            break
        now = best
    while now.places:
        fewer = [_refitted(template, y, now.places[:i] + now.places[i + 1 :], now) for i in range(len(now.places))]
        p = np.array([1.0 if one is None else _p_value(now, one) for one in fewer])
        worst = int(np.argmax(p))
        smaller = fewer[worst]
        if p[worst] * n_places <= significance or smaller is None:
            parts = zip(now.places, now.sizes, now.std_errors, p)
            found = (
                Break(*place, float(size), float(error), float(each), min(1.0, float(each) * n_places))
                for place, size, error, each in parts
            )
            return now, tuple(sorted(found, key=lambda one: one.row))
        now = smaller
    return now, ()


def _candidates(template: StructuralForecaster, y: Array, now: Fitted) -> list[Fitted | None]:
    """The model with one break more, the most conspicuous one of each kind."""
    told = now.auxiliary(y)
    out = []
    for k, kind in enumerate(told.kinds):
        t = np.abs(told.t[:, k])
        t[[row for other, row in now.places if other == kind]] = np.nan
        if np.nanmax(t, initial=0.0) > LEAST:
            out.append(_refitted(template, y, (*now.places, (kind, int(np.nanargmax(t)))), now))
    return out


def _refitted(
    template: StructuralForecaster, y: Array, places: tuple[tuple[str, int], ...], now: Fitted
) -> Fitted | None:
    """None where so many breaks leave too little to estimate the model from."""
    try:
        return fit(template, y, places, now)
    except SsmtsError:
        return None


def _p_value(larger: Fitted, smaller: Fitted) -> float:
    """Of the likelihood ratio of one break more."""
    return float(chdtrc(1.0, max(2.0 * (larger.loglik - smaller.loglik), 0.0)))
