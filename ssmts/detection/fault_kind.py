"""What kind of fault an episode looks like, by what was kept of its readings."""

from __future__ import annotations

from ..core.types import Array
from ._episodes import (
    ALARM,
    BEFORE,
    CAUSE,
    FIRST_SUM,
    N_FIRST,
    N_JUMPS,
    N_KEPT,
    N_OFF,
    NOISE_VAR,
    SHORT,
    SIGNS,
    SPEED,
    STUCK,
)
from .usual import PACE, STEP

__all__ = ["KINDS", "guess", "is_return"]

KINDS = ("spike", "level_shift", "drift", "variance_burst", "stuck", "dropout", "unknown")

FEW = 3  # readings off that are a spike
COHERENT = 0.75  # share by which one sign outweighs the other in a shift or a drift
JUMPING = 0.25  # share of the readings of a burst that are far from the one before; half, on both sides
SUDDEN = 2.5  # standard deviations of noise between the readings before and the first ones after a shift
FAST = (
    PACE * STEP / 3
)  # of noise by which the short mean goes on in a reading after a shift; it can three times as fast


def guess(episode: Array) -> str:
    """The kind of fault, one of `KINDS`.

    Readings that repeat a value are stuck. Up to three readings off are a spike. More of them that are far from one another are a variance
    burst, the sooner if they lie on both sides of what was before; others a level shift if the first of them are off, else a drift.

    Parameters
    ----------
    episode : (n_fields,)
        Of a sensor, as `ssmts.detection._episodes` keeps it.
    """
    if episode[CAUSE] == STUCK:
        return "stuck"
    n, off, jumps, noise = episode[N_KEPT], episode[N_OFF], episode[N_JUMPS], episode[NOISE_VAR] ** 0.5
    alarm = episode[CAUSE] == ALARM
    coherent = abs(episode[SIGNS]) >= COHERENT * off
    scattered = jumps > max(FEW, JUMPING * n / (1 if coherent else 2))
    if is_return(episode) and not scattered:
        return "drift"
    if alarm and min(n, off) <= FEW:
        return "spike" if off else "unknown"
    if scattered:
        return "variance_burst"
    if alarm:
        sudden = abs(episode[FIRST_SUM]) >= SUDDEN * noise * episode[N_FIRST]
    else:
        sudden = episode[SPEED] >= FAST * noise
    return "level_shift" if sudden else "drift"


def is_return(episode: Array) -> bool:
    """Whether an alarm came where readings jumped back to the slow range from where they had drifted unnoticed."""
    before = abs(episode[BEFORE])
    after = abs(episode[BEFORE] + episode[FIRST_SUM] / max(episode[N_FIRST], 1.0))  # which a spike moves, too
    back = max(after, abs(episode[SHORT])) <= before / 2
    return bool(episode[CAUSE] == ALARM and before >= SUDDEN * episode[NOISE_VAR] ** 0.5 and back)
