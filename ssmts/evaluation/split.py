"""Windows to evaluate forecasts on: every series is cut at the same stamps."""

from __future__ import annotations

from collections.abc import Iterator
from numbers import Integral
from typing import Any

import numpy as np
import pandas as pd
from sklearn.model_selection import BaseCrossValidator

from .._containers import is_long
from .._form import IntArray
from ..exceptions import FrequencyError, InputError, InputTypeError, TooShortError
from ..timeindex import infer_axis

__all__ = ["TimeSplit"]


class TimeSplit(BaseCrossValidator):
    """Rolling-origin splitter, to be passed as ``cv=`` to scikit-learn.

    The last window ends at the last stamp of all series. Each window tests on ``horizon`` consecutive stamps and trains on
    all rows before them, but for ``gap`` stamps. Stamps are counted on the regular grid on which they lie, so that an
    absent row counts as much as a missing value; where there is no such grid, the stamps that occur are counted.

    Parameters
    ----------
    horizon : int
        Stamps of a test window.
    n_windows : int, default 5
        Number of windows; that of scikit-learn's splitters.
    step : int or None, default None
        Stamps from one window to the next; None for ``horizon``, windows that do not overlap.
    gap : int, default 0
        Stamps between the training rows and the window that belong to neither.

    Examples
    --------
    >>> import numpy as np
    >>> from ssmts.evaluation import TimeSplit
    >>> for train, test in TimeSplit(horizon=2, n_windows=2).split(np.zeros(8)):
    ...     print(train, test)
    [0 1 2 3] [4 5]
    [0 1 2 3 4 5] [6 7]

    Two series are cut at the same stamps, although they begin and end at different ones:

    >>> import pandas as pd
    >>> days = pd.date_range("2024-01-01", periods=6)
    >>> y = pd.concat({"a": pd.Series(0.0, days), "b": pd.Series(0.0, days[2:5])})
    >>> train, test = next(TimeSplit(horizon=2, n_windows=1).split(y))
    >>> y.index[test].tolist() == [("a", days[4]), ("a", days[5]), ("b", days[4])]
    True
    """

    def __init__(self, horizon: int, n_windows: int = 5, step: int | None = None, gap: int = 0) -> None:
        self.horizon = whole("horizon", horizon, 1)
        self.n_windows = whole("n_windows", n_windows, 1)
        self.step = None if step is None else whole("step", step, 1)
        self.gap = whole("gap", gap, 0)

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        """Number of windows, whatever the data."""
        return self.n_windows

    def split(self, X: Any, y: Any = None, groups: Any = None) -> Iterator[tuple[IntArray, IntArray]]:
        """Row numbers of the training and the test part of each window, earliest first.

        Parameters
        ----------
        X, y : Series, DataFrame or array
            The first that has an index says when the rows are: stamps, or two levels (series, time). Arrays are one row a
            time. A DataFrame without columns will do.
        groups : ignored
            For scikit-learn.

        Yields
        ------
        train, test : ndarray of int
            A series without training rows is left out of the test part.

        Raises
        ------
        TooShortError
            There are too few stamps for the windows and one training row.
        InputError
            No series has rows in a window.
        InputTypeError
            A long frame, which scikit-learn does not take.
        """
        times, series = self._rows(X, y)
        n_times = int(times.max()) + 1
        starts = n_times - self.horizon - (self.step or self.horizon) * np.arange(self.n_windows)[::-1]
        if starts[0] - self.gap < 1:
            raise TooShortError(
                f"{self!r} needs {n_times - starts[0] + self.gap + 1} stamps, one of them to train on; the data have "
                f"{n_times}. Pass more rows, or a smaller horizon, n_windows, step or gap."
            )
        for start in starts:
            train = np.flatnonzero(times < start - self.gap)
            inside = (times >= start) & (times < start + self.horizon)
            test = np.flatnonzero(inside & np.isin(series, series[train]))
            if not len(test):
                raise InputError(
                    f"The test window of {self.horizon} stamps from stamp number {start} on has no row of a series with "
                    "training rows. Pass a longer horizon or other windows."
                )
            yield train, test

    @staticmethod
    def _rows(X: Any, y: Any) -> tuple[IntArray, IntArray]:
        """Number of the time, counted from the first of all series, and of the series, of every row."""
        if is_long(X):
            raise InputTypeError(
                "scikit-learn takes no long frame: call frame.set_index(['unique_id', 'ds']) first, and pass its columns."
            )
        index = next((data.index for data in (X, y) if isinstance(data, pd.Series | pd.DataFrame)), None)
        if index is None:
            n_rows = len(np.asarray(X))
            return np.arange(n_rows), np.zeros(n_rows, dtype=np.int64)
        if index.nlevels > 2:
            raise InputError(f"The index has {index.nlevels} levels {list(index.names)}; pass (series, time).")
        stamps = index.get_level_values(-1)
        series = (
            index.get_level_values(0).factorize()[0] if index.nlevels == 2 else np.zeros(len(index), dtype=np.int64)
        )
        if stamps.hasnans:
            raise InputError(f"The stamp of row {int(stamps.isna().argmax())} is missing. Drop the row.")
        try:
            order = stamps.unique().sort_values()
            steps = infer_axis(order).steps(stamps)
        except FrequencyError:
            steps = stamps.factorize(sort=True)[0]
        return steps - steps.min(), series


def whole(name: str, value: Any, least: int, hint: str = "") -> int:
    """A number of rows, windows or thresholds, checked at the door."""
    if not isinstance(value, Integral) or isinstance(value, bool) or value < least:
        raise InputError(f"{name} must be an integer of at least {least}; received {value!r}.{hint and f' {hint}.'}")
    return int(value)
