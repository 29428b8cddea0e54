"""Layers with three faces: `convolve` a whole window, `scan` rows from a state, `step` one row; all three say the same."""

from .base import Layer, State
from .closed_loop import ClosedLoopCompanion
from .companion import Companion
from .preprocess import Differences, MovingAverageResiduals, Preprocess
from .shift import Shift

__all__ = [
    "ClosedLoopCompanion",
    "Companion",
    "Differences",
    "Layer",
    "MovingAverageResiduals",
    "Preprocess",
    "Shift",
    "State",
]
