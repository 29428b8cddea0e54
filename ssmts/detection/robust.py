"""What an innovation may do to a state: bounded weight for one, a restart after many of the same sign.

`weight` bounds what one reading can do. `clipped` gathers evidence of a shift: a two-sided CUSUM (Page 1954) of the standardised
innovations, each counted for `GATE` at most and less `SLACK`. A spike raises it by at most ``GATE - SLACK`` and normal readings
wear that off in a few rows; readings beyond the gate on the same side, one after another, reach the limit in exactly
`patience` rows, smaller but lasting excesses later, and innovations of mean below `SLACK` standard deviations never.
"""

from __future__ import annotations

from numba import njit

# Not the full fastmath, which would fold the test for NaN away.
OPTIONS = {"cache": True, "nogil": True, "error_model": "numpy", "fastmath": {"reassoc", "contract", "nsz", "arcp"}}
kernel = njit(**OPTIONS)
part = njit(forceinline=True, **OPTIONS)  # of a kernel that hands it many arrays, which costs more than the work

GATE = 3.0  # standard deviations up to which an innovation is believed in full: 99.7 % of normal ones
SLACK = 1.0  # standard deviations of lasting excess that the filter is left to follow by itself
LARGEST = 1e8  # innovations are clipped here, so that their squares stay finite


@kernel
def weight(z: float) -> float:
    """Weight of an innovation of z standard deviations, in (0, 1]; its variance is to be divided by the square."""
    return 1.0 if abs(z) <= GATE else GATE / abs(z)


@kernel
def clipped(z: float, rise: float, fall: float) -> tuple[float, float]:
    """Evidence of a shift up and of a shift down after an innovation of z standard deviations."""
    step = min(max(z, -GATE), GATE)
    return max(0.0, rise + step - SLACK), max(0.0, fall - step - SLACK)


@kernel
def persistent(rise: float, fall: float, patience: float) -> bool:
    """Whether the evidence equals that of `patience` readings in a row beyond the gate."""
    return max(rise, fall) >= patience * (GATE - SLACK) - 1e-9
