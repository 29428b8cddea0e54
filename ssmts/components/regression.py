"""Covariates with constant coefficients."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ssmts.components.base import Component, Parameters, Structure


@dataclass(frozen=True)
class Regression(Component):
    """Coefficients that stand still and start diffuse; the covariates are their row of the observation matrix.

    With a constant and white noise beside it this is ordinary least squares (Harvey 1989, section 3.4.2).

    Parameters
    ----------
    columns : tuple of str
        Names of the covariates.

    Examples
    --------
    >>> from ssmts.components import Regression
    >>> Regression(("price", "holiday")).structure.state_names
    ('price', 'holiday')
    """

    columns: tuple[str, ...]
    name = "regression"
    groups: tuple[Parameters, ...] = ()

    @property
    def structure(self) -> Structure:
        """A diffuse constant for each column; zeros in ``observation``, for covariates to take their place."""
        k = len(self.columns)
        return Structure(self.columns, np.zeros(k), np.ones(k), (None,) * k, np.eye(k))
