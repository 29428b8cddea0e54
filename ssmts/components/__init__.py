"""Components of a series and their sum.

Each component says its states, its parameters, its block of every system matrix, and the derivatives of its blocks;
:class:`Composition` puts the blocks together. Parameter values are plain arrays, so that nothing here holds state.
"""

from ssmts.components.autoregression import Autoregression
from ssmts.components.base import Block, Component, Parameters
from ssmts.components.compose import Composition
from ssmts.components.cycle import Cycle
from ssmts.components.regression import Regression
from ssmts.components.seasonal import DummySeason, TrigonometricSeason, distinct_harmonics
from ssmts.components.spectrum import Spectrum
from ssmts.components.trend import DampedTrend, Level, Trend

__all__ = [
    "Autoregression",
    "Block",
    "Component",
    "Composition",
    "Cycle",
    "DampedTrend",
    "DummySeason",
    "Level",
    "Parameters",
    "Regression",
    "Spectrum",
    "Trend",
    "TrigonometricSeason",
    "distinct_harmonics",
]
