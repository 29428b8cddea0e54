"""Which readings a model is to learn: those it can believe, and after many on one side, all of them from where they are now.

A reading beyond the gate is held back. Evidence of a shift is gathered as in `ssmts.detection.robust`; when it equals that of
`patience` readings in a row beyond the gate the shift is believed, and is taken off this and all later readings of the
sensor: the median distance of the last readings from what was expected of them.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from ssmts.core.types import Array
from ssmts.detection.robust import GATE, LARGEST, clipped, kernel, persistent


class Evidence(NamedTuple):
    """What the last readings say about shifts, for each sensor.

    Attributes
    ----------
    rise, fall : (n_sensors,)
        Evidence that the readings have shifted up or down.
    recent : (patience, n_sensors)
        Distances of the last readings from what was expected, the latest last; NaN before there were as many.
    shift : (n_sensors,)
        What is taken off readings.
    """

    rise: Array
    fall: Array
    recent: Array
    shift: Array

    def copy(self) -> Evidence:
        """Arrays of its own."""
        return Evidence(*(part.copy() for part in self))


def nothing(patience: int, n_sensors: int) -> Evidence:
    """Before the first reading."""
    zeros = np.zeros(n_sensors)
    return Evidence(zeros, zeros.copy(), np.full((patience, n_sensors), np.nan), zeros.copy())


@kernel
def decide(z: Array, away: Array, gates: Array, rise: Array, fall: Array, recent: Array, jump: Array) -> bool:
    """Fill `jump` with what each sensor has shifted by, 0 if it has not, NaN if its reading is to be held back.

    Evidence is changed; that of a shift is used up. Returns whether the row is to be learnt just as it is.

    Parameters
    ----------
    z, away : (n_sensors,)
        Normal score of each reading, and its distance from what was expected; NaN where nothing was read. Without a distance,
        which a reading has that the model could not have made, it is held back and says nothing about shifts.
    gates : (n_sensors,)
        Normal score up to which a reading is believed.
    """
    usual = True
    for i in range(z.size):
        jump[i] = 0.0
        if math.isnan(z[i]):
            continue
        if math.isnan(away[i]):
            jump[i], usual = np.nan, False
            continue
        x = z[i] * GATE / gates[i]
        rise[i], fall[i] = clipped(x, rise[i], fall[i])
        for k in range(recent.shape[0] - 1):
            recent[k, i] = recent[k + 1, i]
        recent[recent.shape[0] - 1, i] = away[i]
        if persistent(rise[i], fall[i], recent.shape[0]):
            jump[i], usual = _median(recent[:, i]), False
            rise[i] = fall[i] = 0.0
            recent[:, i] = np.nan
        elif abs(x) > GATE:
            jump[i], usual = np.nan, False
    return usual


@kernel
def _median(values: Array) -> float:
    """Of the values that are there."""
    ordered = np.empty(values.size)
    n = 0
    for x in values:
        if math.isnan(x):
            continue
        j = n
        while j > 0 and ordered[j - 1] > x:
            ordered[j] = ordered[j - 1]
            j -= 1
        ordered[j] = x
        n += 1
    return float(0.5 * (ordered[(n - 1) // 2] + ordered[n // 2]))


@kernel
def until_unusual(z: Array, away: Array, gates: Array, rise: Array, fall: Array, recent: Array) -> int:
    """How many rows come before one that `decide` would not have learnt just as it is; evidence is that before it."""
    n, d, patience = z.shape[0], z.shape[1], recent.shape[0]
    for t in range(n):
        for i in range(d):
            if math.isnan(z[t, i]):
                continue
            x = z[t, i] * GATE / gates[i]
            up, down = clipped(x, rise[i], fall[i])
            if math.isnan(away[t, i]) or abs(x) > GATE or persistent(up, down, patience):
                return t
        for i in range(d):
            if math.isnan(z[t, i]):
                continue
            rise[i], fall[i] = clipped(z[t, i] * GATE / gates[i], rise[i], fall[i])
            for k in range(patience - 1):
                recent[k, i] = recent[k + 1, i]
            recent[patience - 1, i] = away[t, i]
    return int(n)


@kernel
def sweep(
    y: Array,
    mean: Array,
    sd: Array,
    gates: Array,
    rise: Array,
    fall: Array,
    recent: Array,
    shift: Array,
    z: Array,
    held: Array,
    shifts: Array,
) -> None:
    """Decide on all rows by predictions that are taken as given; fill `z`, `held` and `shifts`, what is taken off each reading."""
    n, d = y.shape
    away, jump = np.empty(d), np.empty(d)
    for t in range(n):
        for i in range(d):
            away[i] = y[t, i] - shift[i] - mean[t, i]
            z[t, i] = min(max(away[i] / sd[t, i], -LARGEST), LARGEST)
        decide(z[t], away, gates, rise, fall, recent, jump)
        for i in range(d):
            held[t, i] = math.isnan(jump[i])
            if not held[t, i]:
                shift[i] += jump[i]
            shifts[t, i] = shift[i]
