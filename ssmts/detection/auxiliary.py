"""Auxiliary residuals of a structural model: how far each reading, level and slope is from what all other rows say of it.

The smoothing errors u of an observation and r of a state, of variances D and N, tell for every row at once what a regression on a
dummy would: an outlier there has the size u / D with the standard error 1 / sqrt(D), a break of a state r / N with 1 / sqrt(N).
Where the disturbance has a variance this t statistic is the smoothed disturbance over its standard deviation (Harvey and Koopman 1992);
it needs none (de Jong and Penzer 1998).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ssmts.core.gaussian._smooth import smooth_pass
from ssmts.core.types import Array
from ssmts.forecasting._structural_unit import StructuralUnit, model_of, ready, rotated, serving

BREAKS = ("level", "slope")  # states of which a break is looked for
NOTHING = 1e-8  # what a dummy tells beyond all else, relative to what it tells alone, below which it is rounding


class Auxiliary(NamedTuple):
    """What all other rows say about every row, each ``(n_times, n_kinds)``, NaN where they say nothing.

    Attributes
    ----------
    kinds : tuple of str
        "outlier", and "level" and "slope" as far as the model has them. A break is in the state of its row: a level moves the
        reading of that row, a slope that of the next.
    size, std_error : estimates, and their standard errors given the parameters.
    """

    kinds: tuple[str, ...]
    size: Array
    std_error: Array

    @property
    def t(self) -> Array:
        """Estimates over their standard errors."""
        ratio: Array = self.size / self.std_error
        return ratio


def kinds_of(unit: StructuralUnit) -> tuple[str, ...]:
    """What is looked for in a model."""
    return ("outlier", *(name for name in BREAKS if name in model_of(unit).state_names))


def auxiliary(unit: StructuralUnit, y: Array, X: Array | None = None) -> Auxiliary:
    """Sizes of outliers and breaks, one at each row of the training rows.

    Parameters
    ----------
    unit : StructuralUnit
    y : (n_times,)
    X : (n_times, n_covariates), optional
    """
    names, kinds = model_of(unit).state_names, kinds_of(unit)
    done = smooth_pass(serving(unit, rotated(unit, X)), (y - unit.shift)[:, None], None, None)
    score, information = np.full((2, len(y), len(kinds)), np.nan)
    score[:, 0], information[:, 0] = done.u[:, 0], done.E[:, 0, 0]
    for k, kind in enumerate(kinds[1:], 1):
        i = names.index(kind)
        score[1:, k], information[1:, k] = done.r[:-1, i], done.N[:-1, i, i]
    most = np.nanmax(np.where(np.isnan(information), 0.0, information), axis=0, initial=0.0)
    known = (information > NOTHING * most) & ~np.isnan(y)[:, None]
    information = np.where(known, information, np.nan)
    return Auxiliary(kinds, score / information, 1.0 / np.sqrt(information))


def response(unit: StructuralUnit, kind: str, row: int, n: int) -> Array:
    """What a break of size one adds to the rows ``(n,)``: the dummy of an intervention."""
    out = np.zeros(n)
    if kind == "outlier":
        out[row] = 1.0
        return out
    ssm = ready(unit.components, unit.parameters)[1].ssm
    F, H = np.asarray(ssm.transition), np.asarray(ssm.observation)[0]
    state = np.zeros(len(F))
    state[model_of(unit).state_names.index(kind)] = 1.0
    for t in range(row, n):
        out[t] = H @ state
        state = F @ state
    return out
