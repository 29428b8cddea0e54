"""How far off forecasts were on rows that a network was not trained on, by lead: what makes intervals cover what they say."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.ndimage import uniform_filter1d
from scipy.special import ndtri, stdtrit

from .losses import LEVELS

FloatArray = npt.NDArray[np.float64]

_MIDDLE = LEVELS.index(0.5)
_LOW, _HIGH = LEVELS.index(0.1), LEVELS.index(0.9)  # the interval whose coverage is set right
_FARTHEST = 5.0  # no factor is greater, nor less than its inverse: a handful of windows may say anything


class Calibration(NamedTuple):
    """Widths of intervals.

    With `shape`, the network spoke of the centre only, and quantiles are ``centre + factor * shape``. Without, quantiles that the
    network gave are moved away from their median by the factor.
    """

    factor: FloatArray  # (h,), by lead
    shape: FloatArray | None  # (len(LEVELS),)
    one_step: FloatArray | None = (
        None  # (C, C), mean product of the errors of the centre one row ahead, on the normalised scale
    )

    def at(self, leads: npt.NDArray[np.int64]) -> FloatArray:
        """Factors of leads, counted from 1; beyond the trained horizon they grow with the root of the lead, as those of a random walk."""
        h = len(self.factor)
        beyond = np.sqrt(np.maximum(leads / h, 1.0))
        factor: FloatArray = self.factor[np.minimum(leads, h) - 1] * beyond
        return factor

    def quantiles(self, centre: FloatArray, quantiles: FloatArray | None, leads: npt.NDArray[np.int64]) -> FloatArray:
        """Quantiles at `LEVELS`, last axis, of centres ``(B, C, n)`` or of quantiles ``(B, n_levels, C, n)`` of the network."""
        factor = self.at(leads)[:, None]
        if self.shape is not None:
            return centre[..., None] + factor * self.shape
        assert quantiles is not None
        given = np.moveaxis(quantiles, 1, -1)
        middle = given[..., _MIDDLE, None]
        return middle + factor * (given - middle)


def calibrate(
    centre: FloatArray, quantiles: FloatArray | None, target: FloatArray, n_origins: int | None = None
) -> Calibration:
    """Learn widths from windows.

    Parameters
    ----------
    centre, target : ndarray, shape (B, C, h)
        NaN in `target` is missing.
    quantiles : ndarray, shape (B, len(LEVELS), C, h), optional
    n_origins : int, optional
        At how many times the forecasts were made. Series of a panel err together, so that a few times say little about others however
        many series there are: widths grow by the ratio of the last decile of Student's t with so many degrees of freedom to that of a
        normal, as for a deviation that is estimated from so many values.

    Returns
    -------
    Calibration
        Of the deviation of each lead, smoothed over its neighbours. A factor for given quantiles is what lets the interval between
        the first and the last decile hold four fifths of the values: conformal prediction, with a factor instead of a distance.

    References
    ----------
    Romano, Patterson and Candes (2019), Conformalized quantile regression, NeurIPS.
    """
    h = target.shape[-1]
    products = _one_step(target[..., 0] - centre[..., 0])
    doubt = 1.0 if n_origins is None else float(stdtrit(n_origins, 0.9) / ndtri(0.9))
    if quantiles is None:
        error = (target - centre).reshape(-1, h)
        deviation = _smooth(np.sqrt(_by_lead(error**2, np.nanmean)), h)
        shape = np.nanquantile(error / deviation, LEVELS) if np.isfinite(error).any() else np.zeros(len(LEVELS))
        shape = shape - shape[_MIDDLE]  # the centre stays what the network says
        return Calibration(doubt * deviation, shape, products)
    low, middle, high = (quantiles[:, i] for i in (_LOW, _MIDDLE, _HIGH))
    side = np.maximum(np.where(target > middle, high - middle, middle - low), 1e-9)
    needed = (np.abs(target - middle) / side).reshape(-1, h)
    factor = _smooth(_by_lead(needed, lambda x, axis: np.nanquantile(x, 0.8, axis=axis)), h)
    return Calibration(doubt * np.clip(factor, 1 / _FARTHEST, _FARTHEST), None, products)


def _one_step(error: FloatArray) -> FloatArray:
    """Mean product of errors ``(B, C)``, of complete rows; where there are none, the mean square of each column."""
    complete = error[~np.isnan(error).any(axis=1)]
    if len(complete) > error.shape[1]:
        products: FloatArray = complete.T @ complete / len(complete)
        return products
    count = np.maximum((~np.isnan(error)).sum(axis=0), 1)
    return np.diag(np.nansum(error**2, axis=0) / count)


def _by_lead(values: FloatArray, statistic: object) -> FloatArray:
    """A statistic of each lead that has values, the last known one or that of all where it has none."""
    known = ~np.isnan(values).all(axis=0)
    out = np.ones(values.shape[1])
    if known.any():
        found = statistic(values[:, known], axis=0)  # type: ignore[operator]
        out = np.interp(np.arange(len(out)), np.flatnonzero(known), found)
    return out


def _smooth(values: FloatArray, h: int) -> FloatArray:
    """Mean over the neighbouring leads, an eighth of the horizon."""
    smoothed: FloatArray = np.maximum(uniform_filter1d(values, size=1 + 2 * (h // 16), mode="nearest"), 1e-9)
    return smoothed
