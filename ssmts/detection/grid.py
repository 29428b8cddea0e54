"""Rows with irregular stamps on the regular grid of a model that counts steps."""

from __future__ import annotations

import numpy as np

from ssmts.core.types import Array, Index


def moves(steps: Array, lead: float) -> tuple[Index, float]:
    """Whole steps of the model for each row, at least one, and how far it is ahead of the clock at the end.

    A gap of k intervals is k steps, so k - 1 rows without reading; a duplicate counts as the next row until a gap makes up for it.

    Parameters
    ----------
    steps : (n_times,)
        Usual intervals that went by since the row before.
    lead : float
        How many intervals the model is ahead of the clock.
    """
    if lead == 0.0 and steps[0] == 1.0 and (len(steps) == 1 or (steps == 1.0).all()):
        return np.ones(len(steps), dtype=np.int64), 0.0
    whole = []
    for gap in steps:
        move = max(1, round(gap - lead))
        lead += move - gap
        lead = lead if abs(lead) > 0.5 else 0.0
        whole.append(move)
    return np.array(whole, dtype=np.int64), lead


def on_grid(values: Array, taken: Index) -> Array:
    """Rows ``(n_times, ...)`` on the grid, NaN where there are none; `taken` are the steps to each."""
    at = np.cumsum(taken) - 1
    grid = np.full((at[-1] + 1, *values.shape[1:]), np.nan)
    grid[at] = values
    return grid
