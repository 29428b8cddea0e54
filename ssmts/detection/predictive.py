"""Where readings stand in their predictive distributions, whatever kind these are."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import ndtri

from ssmts.core.types import Array
from ssmts.detection.robust import LARGEST
from ssmts.distributions import Distribution, Gaussian, Quantiles
from ssmts.exceptions import InputError

LEVELS = (0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.975)  # quantiles asked of distributions that hold paths
NORMAL = np.array([-1.0, 0.0, 1.0])


class Predictive(NamedTuple):
    """Distributions of readings as quantiles at normal scores, straight lines in between.

    Beyond the outermost quantiles goes the line from the median through them: a tail is normal with the width that the
    quantile shows. Of a normal distribution three points say all.

    Attributes
    ----------
    scores : (n_scores,)
        Increasing, 0 among them.
    values : (n_times, n_sensors, n_scores)
        NaN where nothing is known.
    """

    scores: Array
    values: Array

    @property
    def median(self) -> Array:
        """(n_times, n_sensors)."""
        median: Array = self.values[..., self._middle]
        return median

    @property
    def _middle(self) -> int:
        return int(np.searchsorted(self.scores, 0.0))

    def score(self, y: Array, floor: Array) -> Array:
        """Normal score of every reading, ``ndtri(P(reading <= y))``, at most `LARGEST` in size; NaN where one or the other is.

        Parameters
        ----------
        y : (n_times, n_sensors)
        floor : (n_sensors,)
            Least standard deviation, for sensors that always were as expected.
        """
        away = y - self.median
        low, high = self.median - self.values[..., 0], self.values[..., -1] - self.median
        sd = np.where(away < 0, low / -self.scores[0], high / self.scores[-1])
        z = np.asarray(away / np.maximum(sd, floor))
        if len(self.scores) > 3:
            inner = (y > self.values[..., 0]) & (y < self.values[..., -1]) & (away != 0)
            for place in np.argwhere(inner & (np.maximum(low, high) > floor)):
                z[tuple(place)] = np.interp(y[tuple(place)], self.values[tuple(place)], self.scores)
        clipped: Array = np.clip(z, -LARGEST, LARGEST)
        return clipped

    def at(self, z: Array, floor: Array) -> Array:
        """The readings ``(n_times, n_sensors)`` that have these normal scores, `z` as the sensors or one of each reading."""
        z = np.broadcast_to(z, self.median.shape)
        low, high = self.median - self.values[..., 0], self.values[..., -1] - self.median
        sd = np.where(z < 0, low / -self.scores[0], high / self.scores[-1])
        y = np.asarray(self.median + z * np.maximum(sd, floor))
        if len(self.scores) > 3:
            inner = (z > self.scores[0]) & (z < self.scores[-1])
            for place in np.argwhere(inner & (np.maximum(low, high) > floor)):
                y[tuple(place)] = np.interp(z[tuple(place)], self.scores, self.values[tuple(place)])
        return y


def normal(mean: Array, variance: Array) -> Predictive:
    """Of normal distributions; an infinite variance is one of which nothing is known.

    Parameters
    ----------
    mean, variance : (n_times, n_sensors)
    """
    known = np.isfinite(variance) & ~np.isnan(mean)
    mean, sd = np.where(known, mean, np.nan), np.sqrt(np.where(known, np.maximum(variance, 0.0), np.nan))
    return Predictive(NORMAL, np.asarray(mean[..., None] + NORMAL * sd[..., None]))


def predictive(distribution: Distribution) -> Predictive:
    """Of what a forecaster said of the rows of one series.

    Raises
    ------
    InputError
        Quantiles that have none on both sides of the median, so that they tell no width.
    """
    if isinstance(distribution, Gaussian):
        return normal(distribution.mean()[0], distribution.variance()[0])
    q = np.array(LEVELS)
    if isinstance(distribution, Quantiles):
        q = np.union1d(distribution.q, 0.5)
        if not distribution.q[0] < 0.5 < distribution.q[-1]:
            raise InputError(
                f"A detector needs quantiles on both sides of the median; the forecaster has {distribution.q.tolist()}."
            )
    scores = ndtri(q)
    scores[q == 0.5] = 0.0
    return Predictive(scores, distribution.quantile(q)[0])
