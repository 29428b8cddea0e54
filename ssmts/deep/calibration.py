"""How far off forecasts were on rows that a network was not trained on, by lead: what makes intervals cover what they say."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.ndimage import uniform_filter1d
from scipy.special import ndtri, stdtrit

from .._containers import FloatArray
from .examples import IntArray
from .losses import LEVELS

_MIDDLE = LEVELS.index(0.5)
_LOW, _HIGH = LEVELS.index(0.1), LEVELS.index(0.9)  # the interval whose coverage is set right
_FARTHEST = 5.0  # no factor is greater, nor less than its inverse: a handful of windows may say anything
RECENT = 8  # horizons: how far back rows say how wide intervals have to be now


class Calibration(NamedTuple):
    """Widths of intervals.

    With `shape`, the network spoke of the centre only, and quantiles are ``centre + factor * shape``. Without, quantiles that the
    network gave are moved away from their median by the factor; beyond the trained horizon those of its last lead, as what a network
    says there of widths was never learnt and fades.
    """

    factor: FloatArray  # (h,), by lead
    shape: FloatArray | None  # (len(LEVELS),)
    one_step: FloatArray | None = (
        None  # (C, C), mean product of the errors of the centre one row ahead, on the normalised scale
    )
    n_origins: int | None = None  # at how many times the errors were made that the widths are from
    common: float = 1.0  # share of their mean square that series have in common
    usual: FloatArray | float = 1.0  # (h,), mean of `misses` of those errors

    def at(self, leads: IntArray) -> FloatArray:
        """Factors of leads, counted from 1; beyond the trained horizon they grow with the root of the lead, as those of a random walk."""
        h = len(self.factor)
        beyond = np.sqrt(np.maximum(leads / h, 1.0))
        factor: FloatArray = self.factor[np.minimum(leads, h) - 1] * beyond
        return factor

    def adapted(self, missed: FloatArray, n_rows: int) -> FloatArray:
        """How much wider intervals have to be than they were, ``(C, h)``, once the values of `n_rows` rows more are known.

        Parameters
        ----------
        missed : ndarray, shape (n_origins, C, h)
            `misses` of forecasts made at times spread over those rows, NaN where the value is not known.
        n_rows : int
            At most `RECENT` horizons.

        Notes
        -----
        Origins of the last `RECENT` horizons count alike, whether they are of the rows that the widths are from or of later ones, which
        take their places one by one unless they have no value. A lead by itself has few errors that do not overlap, so its neighbours
        speak with it.
        """
        h = missed.shape[-1]
        known = ~np.isnan(missed)
        share = _near(known.mean(axis=0), h)
        mean = _near(np.where(known, missed, 0.0).mean(axis=0), h) / np.maximum(share, 1e-9)
        told = n_rows * share
        before = np.maximum(RECENT * h - n_rows * known.any(axis=-1, keepdims=True).mean(axis=0), 0.0)
        if self.n_origins is not None:
            before = np.minimum(before, self.n_origins)
        wider: FloatArray = 1 + told / np.maximum(told + before, 1e-9) * (mean / self.usual - 1)
        if self.n_origins is not None:
            wider = wider * _doubt(self.n_origins + told, self.common) / _doubt(self.n_origins, self.common)
        return wider

    def quantiles(self, centre: FloatArray, quantiles: FloatArray | None, leads: IntArray) -> FloatArray:
        """Quantiles at `LEVELS`, last axis, of centres ``(B, C, n)`` or of quantiles ``(B, n_levels, C, n)`` of the network.

        `leads` are 1 to n.
        """
        factor = self.at(leads)[:, None]
        if self.shape is not None:
            return centre[..., None] + factor * self.shape
        assert quantiles is not None
        given = np.moveaxis(quantiles, 1, -1)
        middle = given[..., _MIDDLE, None]
        return middle + factor * (given - middle)[..., np.minimum(leads, len(self.factor)) - 1, :]


def calibrate(
    centre: FloatArray,
    quantiles: FloatArray | None,
    target: FloatArray,
    origins: IntArray | None = None,
    n_origins: int | None = None,
) -> Calibration:
    """Learn widths from windows.

    Parameters
    ----------
    centre, target : ndarray, shape (B, C, h)
        NaN in `target` is missing.
    quantiles : ndarray, shape (B, len(LEVELS), C, h), optional
    origins : ndarray, shape (B,), optional
        When each forecast was made. Without it nothing is added for doubt.
    n_origins : int, optional
        How many times in a row forecasts of a series were made, where `origins` has only some of them.

    Returns
    -------
    Calibration
        Of the deviation of each lead, smoothed over its neighbours. A factor for given quantiles is what lets the interval between
        the first and the last decile hold four fifths of the values: conformal prediction, with a factor instead of a distance.

    Notes
    -----
    A few times say little about others however many series there are, as far as these err together. Of the width, the common share grows
    by the ratio of the last decile of Student's t with so many degrees of freedom to that of a normal, as for a deviation that is
    estimated from so many values. What is common is measured: the mean product of errors of two series at the same time.

    References
    ----------
    Romano, Patterson and Candes (2019), Conformalized quantile regression, NeurIPS.
    """
    h = target.shape[-1]
    leads = np.arange(1, h + 1)
    found = Calibration(np.ones(h), None, _one_step(target[..., 0] - centre[..., 0]))
    if quantiles is None:
        error = (target - centre).reshape(-1, h)
        deviation = _smooth(np.sqrt(_by_lead(error**2, np.nanmean)), h)
        shape = np.nanquantile(error / deviation, LEVELS) if np.isfinite(error).any() else np.zeros(len(LEVELS))
        shape = shape - shape[_MIDDLE]  # the centre stays what the network says
        found = found._replace(factor=deviation, shape=shape)
    else:
        needed = _distance(np.moveaxis(quantiles, 1, -1), target).reshape(-1, h)
        factor = _smooth(_by_lead(needed, lambda x, axis: np.nanquantile(x, 0.8, axis=axis)), h)
        found = found._replace(factor=np.clip(factor, 1 / _FARTHEST, _FARTHEST))
    values = found.quantiles(centre, quantiles, leads)
    if origins is not None:
        missed = misses(values, target) * np.sign(target - values[..., _MIDDLE])
        n = len(np.unique(origins)) if n_origins is None else n_origins
        found = found._replace(n_origins=n, common=_common(missed, origins))
        found = found._replace(factor=found.factor * _doubt(n, found.common))
        values = found.quantiles(centre, quantiles, leads)
    usual = _near(_by_lead(misses(values, target).reshape(-1, h), np.nanmean), h)
    return found._replace(usual=np.maximum(usual, 1e-9))


def misses(values: FloatArray, target: FloatArray) -> FloatArray:
    """How far values lie from the median of their forecast, as shares of the way to its first or last decile.

    Parameters
    ----------
    values : ndarray, shape (B, C, h, len(LEVELS))
        Quantiles.
    target : ndarray, shape (B, C, h)

    Returns
    -------
    ndarray, shape (B, C, h)
        At most 5, so that no single value says much; NaN where the value is missing.
    """
    return np.minimum(_distance(values, target), _FARTHEST)


def _distance(values: FloatArray, target: FloatArray) -> FloatArray:
    low, middle, high = (values[..., i] for i in (_LOW, _MIDDLE, _HIGH))
    side = np.maximum(np.where(target > middle, high - middle, middle - low), 1e-9)
    distance: FloatArray = np.abs(target - middle) / side
    return distance


def _common(error: FloatArray, origins: IntArray) -> float:
    """Share of the mean square of errors ``(B, C, h)`` that those of different series at the same time have in common; 1 of one series."""
    known = ~np.isnan(error)
    values = np.where(known, error, 0.0)
    _, which = np.unique(origins, return_inverse=True)
    total, square, count = (np.zeros((which.max() + 1, *error.shape[1:])) for _ in range(3))
    for sums, each in ((total, values), (square, values**2), (count, known)):
        np.add.at(sums, which, each)
    pairs = (count * (count - 1)).sum()
    if not pairs or not square.sum():
        return 1.0
    return float(np.clip((total**2 - square).sum() / pairs / (square.sum() / count.sum()), 0.0, 1.0))


def _doubt(n_origins: int | FloatArray, common: float) -> FloatArray:
    """How much wider a width is for being estimated; see the notes of `calibrate`."""
    ratio: FloatArray = np.sqrt(1 - common + common * (stdtrit(n_origins, 0.9) / ndtri(0.9)) ** 2)
    return ratio


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


def _near(values: FloatArray, h: int) -> FloatArray:
    """Mean over the neighbouring leads, half of the horizon."""
    smoothed: FloatArray = uniform_filter1d(values, size=1 + 2 * (h // 4), mode="nearest", axis=-1)
    return smoothed
