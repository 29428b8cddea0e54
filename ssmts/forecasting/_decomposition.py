"""What a series is made of, as forecasters hand it back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ..components.transforms import Array


@dataclass(frozen=True, eq=False)
class Decomposition:
    """The components of a series: means and variances, row by row.

    Attributes
    ----------
    index : Index
        Stamps, or row numbers.
    mean, variance : DataFrame
        A column for each component. The components add up to the series' signal; ``irregular`` (in sample only) is what
        the observed rows have beyond it.
    observed : array (n,) or None
        The series itself, in sample.
    """

    index: pd.Index
    mean: pd.DataFrame
    variance: pd.DataFrame
    observed: Array | None

    def to_frame(self) -> pd.DataFrame:
        """Means and standard deviations side by side: ``level, level_sd, season, season_sd ...``."""
        columns = {}
        for name in self.mean.columns:
            columns[name] = self.mean[name]
            columns[f"{name}_sd"] = np.sqrt(self.variance[name])
        return pd.DataFrame(columns, index=self.index)

    def plot(self, axes: Any = None, *, level: float = 95) -> Any:
        """Draw one component below the other, each with its interval.

        Parameters
        ----------
        axes : sequence of Axes, optional
            One a component; made if left out.
        level : float, default 95
            Level of the intervals, in per cent.

        Returns
        -------
        array of Axes
        """
        from ..plotting import plot_components

        parts: dict[str, Any] = {
            str(name): (self.mean[name].to_numpy(), np.sqrt(self.variance[name].to_numpy()))
            for name in self.mean.columns
        }
        return plot_components(parts, self.index, axes, level=level, observed=self.observed)
