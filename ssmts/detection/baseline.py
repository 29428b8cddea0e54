"""What lasting deviations are measured against: the level that is expected of every sensor, and when it gives in.

On innovations the baseline is the robust local level of `ssmts.detection.local_level`, which drifts with the sensor. On readings it is
a constant, median and robust scale of the training rows: a local level whose gain is 0. Both restart at the reading with which
an alarm has lasted `patience` rows, and then learn from those that follow; a constant becomes their mean.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ssmts.core.types import Array
from ssmts.detection import local_level
from ssmts.detection.local_level import RESOLUTION, LevelState, LocalLevel, bounded_scale
from ssmts.detection.robust import GATE, kernel

RESTART_VAR = GATE * GATE  # variance of a level that was read off a single reading, in those of an innovation
QUIET = 0.5  # share of the alarm score below which an alarm is over; above, it is only interrupted


def fit(
    on: str, y: Array, steps: Array, patience: int, names: Sequence[str] | None = None
) -> tuple[LocalLevel, LevelState]:
    """Baseline of every sensor from training rows, and its state before the first of them.

    Parameters
    ----------
    on : "innovations" or "readings"
    y, steps, patience, names
        As in `ssmts.detection.local_level.fit`.

    Raises
    ------
    TooShortError
        If a sensor has fewer than three readings.
    """
    if on == "innovations":
        return local_level.fit(y, steps, patience, names), local_level.start(y.shape[1])
    local_level.enough(y, names)
    centre = np.nanmedian(y, axis=0)
    scale = np.array([_scale(column[~np.isnan(column)] - middle, middle) for column, middle in zip(y.T, centre)])
    return constant(centre, scale)


def constant(centre: Array, scale: Array) -> tuple[LocalLevel, LevelState]:
    """A baseline that knows its level and keeps it; with zeros and ones, rows of it are standardised already."""
    zeros = np.zeros(len(centre))
    return LocalLevel(zeros, scale**2), LevelState(centre, zeros, zeros, zeros)


def _scale(deviations: Array, centre: float) -> float:
    return bounded_scale(deviations) if deviations.any() else RESOLUTION * (abs(centre) if centre else 1.0)


@kernel
def restarted(y: float, level: float, level_var: float, S: float) -> bool:
    """Whether a level has just been read off this reading."""
    return level == y and level_var == RESTART_VAR * S


@kernel
def held(score: float, limit: float, before: float) -> float:
    """Rows in alarm since the score was last so low that no alarm goes on."""
    if score >= limit:
        return before + 1.0
    return 0.0 if score < QUIET * limit else before
