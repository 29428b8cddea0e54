"""Baselines: the last value, and the last value of the season."""

from __future__ import annotations

from numbers import Integral
from typing import Any, ClassVar, NamedTuple

import numpy as np

from .._containers import FloatArray
from .._stampaxis import Axis
from ..base import Capabilities
from ..exceptions import InputError
from .univariate import UnivariateForecaster


class SeasonState(NamedTuple):
    """What a seasonal random walk remembers; position 0 is the season of the next row."""

    last: FloatArray  # (season_length,) last observed value of each season; NaN if there was none
    age: FloatArray  # (season_length,) seasonal steps from that value to the next row of that season
    latest: float  # last observed value of all
    variance: float  # of one seasonal step; infinite when no step was seen


class SeasonalNaive(UnivariateForecaster):
    """The last observed value of the same season.

    The baseline that a seasonal model has to beat: a random walk from season to season,
    ``y[t] = y[t - season_length] + e[t]``. Its intervals are those of that walk: the variance of `e` is the mean square
    of the seasonal changes seen in training and adds up once a season ahead, and once more for every missing season.

    Parameters
    ----------
    season_length : int, default 1
        Rows in a season: 12 for monthly data with a yearly pattern, 24 for hourly data with a daily one. 1 is `Naive`.
    freq : str or offset, optional
        Frequency of the rows; found from the index unless given.
    target_transform : transformer, optional
        scikit-learn transformer applied to the target, column by column; must be monotone.
    n_jobs : int, optional
        Threads over columns and series, as in joblib.

    Attributes
    ----------
    units_ : tuple of SeasonState
        For every column of every series: last values, and the variance of a seasonal step.

    Notes
    -----
    Covariates are accepted and their index is read; their columns do not change the forecast.
    A season without any observed value is forecast by the last value of all, with an infinite interval.

    References
    ----------
    Hyndman & Athanasopoulos, Forecasting: Principles and Practice, 3rd ed., sections 5.2 and 5.5.

    Examples
    --------
    >>> import numpy as np
    >>> from ssmts import SeasonalNaive
    >>> SeasonalNaive(season_length=2).fit(np.array([1.0, 5.0, 2.0, 6.0])).predict(3)
    array([2., 6., 2.])
    """

    capabilities: ClassVar[Capabilities] = Capabilities(covariates=False)

    def __init__(
        self, season_length: int = 1, *, freq: Any = None, target_transform: Any = None, n_jobs: int | None = None
    ) -> None:
        self.season_length = season_length
        self.freq = freq
        self.target_transform = target_transform
        self.n_jobs = n_jobs

    def _fit_unit(self, y: FloatArray, X: FloatArray | None, axis: Axis) -> SeasonState:
        s = self.season_length
        if isinstance(s, bool) or not isinstance(s, Integral) or s < 1:
            raise InputError(f"season_length must be a whole number of at least 1 row, not {s!r}.")
        mean, age = _previous(y, s)
        squares = (y - mean) ** 2 / age
        seen = ~np.isnan(squares)
        variance = float(squares[seen].mean()) if seen.any() else np.inf
        start = SeasonState(np.full(s, np.nan), np.ones(s), np.nan, variance)
        return self._update_unit(start, y, X)

    def _update_unit(self, unit: SeasonState, y: FloatArray, X: FloatArray | None) -> SeasonState:
        s = len(unit.last)
        n_seasons = -(-len(y) // s)
        table = np.full((n_seasons, s), np.nan)
        table.flat[: len(y)] = y
        row = np.where(~np.isnan(table), np.arange(n_seasons)[:, None], -1).max(
            axis=0
        )  # last observed season, -1 if none
        seen = row >= 0
        value = np.where(seen, table[row, np.arange(s)], unit.last)
        seasons = np.where(
            np.arange(s) < len(y) - (n_seasons - 1) * s, n_seasons, n_seasons - 1
        )  # rows passed, by season
        age = np.where(seen, seasons - row, unit.age + seasons)
        observed = y[~np.isnan(y)]
        latest = float(observed[-1]) if len(observed) else unit.latest
        turn = len(y) % s
        return SeasonState(np.roll(value, -turn), np.roll(age, -turn), latest, unit.variance)

    def _forecast_unit(self, unit: SeasonState, horizon: int, X: FloatArray | None) -> tuple[FloatArray, FloatArray]:
        season, turn = np.arange(horizon) % len(unit.last), np.arange(horizon) // len(unit.last)
        known = ~np.isnan(unit.last[season])
        mean = np.where(known, unit.last[season], unit.latest)
        variance = np.where(known, (unit.age[season] + turn) * unit.variance, np.inf)
        return mean, variance

    def _sample_unit(
        self, unit: SeasonState, horizon: int, X: FloatArray | None, n_paths: int, rng: np.random.Generator
    ) -> FloatArray:
        s = len(unit.last)
        if not np.isfinite(unit.variance) or np.isnan(unit.last).any():
            raise InputError(
                "Paths need at least two observed values in a season, and one in every season; the training rows hold fewer."
            )
        seasons = -(-horizon // s)
        steps = rng.standard_normal((n_paths, seasons, s)) * np.sqrt(unit.variance)
        steps[:, 0] *= np.sqrt(unit.age)
        paths: FloatArray = (unit.last + steps.cumsum(axis=1)).reshape(n_paths, -1)[:, :horizon]
        return paths

    def _one_step_unit(self, unit: SeasonState, y: FloatArray, X: FloatArray | None) -> tuple[FloatArray, FloatArray]:
        mean, age = _previous(y, len(unit.last))
        variance = np.where(np.isnan(mean), np.inf, age * unit.variance)
        return mean, variance


class Naive(SeasonalNaive):
    """The last observed value: a random walk.

    The baseline that every model has to beat, with the intervals of the random walk: the variance of the changes from
    row to row adds up with every step ahead and every missing row.

    Parameters
    ----------
    freq : str or offset, optional
        Frequency of the rows; found from the index unless given.
    target_transform : transformer, optional
        scikit-learn transformer applied to the target, column by column; must be monotone.
    n_jobs : int, optional
        Threads over columns and series, as in joblib.

    Attributes
    ----------
    units_ : tuple of SeasonState
        For every column of every series: the last value, and the variance of a step.

    Notes
    -----
    Covariates are accepted and their index is read; their columns do not change the forecast.

    Examples
    --------
    >>> import pandas as pd
    >>> from ssmts import Naive
    >>> y = pd.Series([1.0, 3.0, 2.0], index=pd.period_range("2024-01", periods=3, freq="M"), name="sales")
    >>> Naive().fit(y).predict(2)
    2024-04    2.0
    2024-05    2.0
    Freq: M, Name: sales, dtype: float64
    """

    season_length = 1

    def __init__(self, *, freq: Any = None, target_transform: Any = None, n_jobs: int | None = None) -> None:
        self.freq = freq
        self.target_transform = target_transform
        self.n_jobs = n_jobs


def _previous(y: FloatArray, season_length: int) -> tuple[FloatArray, FloatArray]:
    """For each row the last observed value of its season before it (NaN without one), and how many seasons ago that was."""
    n_seasons = -(-len(y) // season_length)
    table = np.full((n_seasons, season_length), np.nan)
    table.flat[: len(y)] = y
    number = np.arange(n_seasons)[:, None]
    row = np.maximum.accumulate(np.where(np.isnan(table), -1, number), axis=0)
    before = np.vstack([np.full((1, season_length), -1), row[:-1]])
    value = np.where(before >= 0, np.take_along_axis(table, np.maximum(before, 0), axis=0), np.nan)
    age = np.where(before >= 0, number - before, 1).astype(np.float64)
    return value.ravel()[: len(y)], age.ravel()[: len(y)]
