"""Forecast: what a forecaster says about rows to come, in the caller's kind of container.

It joins a distribution on arrays ``(n_series, horizon, n_outputs)`` (`ssmts.distributions`) to the rows it speaks of.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from .distributions import (
    Distribution,
    FloatArray,
    Gaussian,
    Paths,
    Quantiles,
    Stacked,
    Transformed,
    check_numbers,
    check_probabilities,
)
from .exceptions import InputError
from .panel import Rows

__all__ = [
    "Distribution",
    "Forecast",
    "Gaussian",
    "Paths",
    "Quantiles",
    "Stacked",
    "Transformed",
    "check_levels",
    "check_probabilities",
]

RandomState = int | np.random.Generator | np.random.RandomState | None


class Forecast:
    """The distribution of rows to come, in the caller's kind of container.

    Made by ``forecaster.forecast(horizon)``; made by hand only when writing a forecaster.

    Parameters
    ----------
    distribution : Distribution
        Over ``(n_series, horizon, n_outputs)``.
    rows : Rows
        The rows it speaks of.
    history : object or callable, optional
        Past rows in the caller's kind, or what returns them, for `plot`.
    level : float or sequence of float, default (80, 95)
        Levels of central intervals in per cent, shown wherever a call does not say other ones. The default shows the
        body and the tail.

    Examples
    --------
    >>> import pandas as pd
    >>> from ssmts import Naive
    >>> y = pd.Series([1.0, 3.0, 2.0, 4.0], index=pd.period_range("2024", periods=4, freq="Y"), name="y")
    >>> forecast = Naive().fit(y).forecast(2)
    >>> forecast.mean.tolist()
    [4.0, 4.0]
    >>> list(forecast.interval(level=80).columns)
    ['lo-80', 'hi-80']
    """

    def __init__(
        self, distribution: Distribution, rows: Rows, history: Any = None, level: float | Sequence[float] = (80, 95)
    ) -> None:
        self.distribution, self.rows, self.history, self.level = distribution, rows, history, check_levels(level)

    @property
    def mean(self) -> Any:
        """Mean of each row, in the kind, index and names of the training ``y``."""
        return self.rows.wrap(self.distribution.mean())

    def quantile(self, q: float | Sequence[float]) -> Any:
        """Quantiles.

        Parameters
        ----------
        q : float or sequence of float
            Probabilities in (0, 1).

        Returns
        -------
        object
            For a number, the same kind as `mean`. For a sequence, a DataFrame with columns ``q-0.1, q-0.5, ...``, or
            for array callers an array with a last axis along ``q``.
        """
        probabilities = check_probabilities(q)
        values = self.distribution.quantile(probabilities)
        if np.ndim(q) == 0:
            return self.rows.wrap(values[..., 0])
        return self._columns({f"q-{p:g}": values[..., i] for i, p in enumerate(probabilities)})

    def interval(self, level: float | Sequence[float] | None = None) -> Any:
        """Central intervals: columns ``lo-80, hi-80, lo-95, hi-95``, or for array callers a last axis along them.

        Parameters
        ----------
        level : float or sequence of float, optional
            Coverage in per cent, from 1 to below 100; the levels of the forecast unless given.
        """
        return self._columns(self._intervals(level))

    def sample(self, n_paths: int = 100, random_state: RandomState = None) -> Any:
        """Paths drawn jointly over the horizon.

        Columns ``path-0, path-1, ...``, or for array callers a last axis of paths.

        Parameters
        ----------
        n_paths : int, default 100
        random_state : int, Generator, RandomState or None, default None
            The same number gives the same paths.
        """
        if isinstance(n_paths, bool) or not isinstance(n_paths, int | np.integer) or n_paths < 1:
            raise InputError(f"n_paths must be an integer of at least 1; received {n_paths!r}.")
        paths = self.distribution.sample(int(n_paths), _generator(random_state))
        return self._columns({f"path-{i}": path for i, path in enumerate(paths)})

    def to_frame(self, level: float | Sequence[float] | None = None) -> Any:
        """Mean and intervals as one DataFrame with columns ``mean, lo-80, hi-80, ...``."""
        return self.rows.frame({"mean": self.distribution.mean(), **self._intervals(level)})

    def plot(
        self, ax: Any = None, level: float | Sequence[float] | None = None, history: Any = None, **options: Any
    ) -> Any:
        """History, mean and intervals on matplotlib Axes.

        Parameters and returned Axes are those of `ssmts.plotting.plot_forecast`, ``series=`` and ``output=`` among them.
        """
        from .plotting import plot_forecast

        return plot_forecast(self, ax, self.level if level is None else level, history, **options)

    def _intervals(self, level: float | Sequence[float] | None) -> dict[str, FloatArray]:
        levels = self.level if level is None else check_levels(level)
        values = self.distribution.quantile([p for each in levels for p in ((100 - each) / 200, (100 + each) / 200)])
        names = [f"{side}-{each:g}" for each in levels for side in ("lo", "hi")]
        return {name: values[..., i] for i, name in enumerate(names)}

    def _columns(self, columns: dict[str, FloatArray]) -> Any:
        return self.rows.array(columns) if self.rows.is_array else self.rows.frame(columns)

    def __repr__(self) -> str:
        d = self.distribution
        part = d.parts[0] if isinstance(d, Stacked) else d
        kind = f"{type(part.base).__name__}, transformed" if isinstance(part, Transformed) else type(part).__name__
        return f"Forecast({kind}, n_series={d.n_series}, horizon={d.horizon}, n_outputs={d.n_outputs})"

    def _repr_html_(self) -> str:
        frame = self.to_frame()
        table = frame._repr_html_() if hasattr(frame, "_repr_html_") else ""
        return f"<p>{self!r}</p>{table}"


def check_levels(level: float | Sequence[float]) -> tuple[float, ...]:
    """Levels of central intervals, in per cent, as a tuple of floats.

    Raises
    ------
    InputError
        A level below 1 (a fraction?), of 100 or more, given twice, or none at all.
    InputTypeError
        Something that is no number.
    """
    levels = check_numbers(level, "level")
    for each in levels:
        if not 1 <= each < 100:
            raise InputError(f"level is a coverage in per cent, from 1 to below 100 (80, not 0.8); received {each:g}.")
    if len(set(levels)) < len(levels):
        raise InputError(f"level holds a number twice: {list(levels)}.")
    return levels


def _generator(random_state: RandomState) -> np.random.Generator:
    if isinstance(random_state, np.random.RandomState):
        return np.random.default_rng(random_state.randint(0, 2**32, size=4, dtype=np.uint32))
    return np.random.default_rng(random_state)
