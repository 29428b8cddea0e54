"""Rolling backtests: forecasts from many cutoffs, set against what came."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from numbers import Integral
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import clone

from .._containers import FloatArray, is_long
from ..base import BaseForecaster
from ..exceptions import InputError, InputTypeError
from ..forecasts import check_levels
from ._pairs import score
from ._rows import Data
from ._windows import STAGES, Window, collect
from .metrics import coverage, interval_score, mae, mase_scale, rmse, smape
from .split import TimeSplit

__all__ = ["BacktestResult", "backtest"]


@dataclass(frozen=True, repr=False, eq=False)
class BacktestResult:
    """Forecasts of every window beside what came.

    Attributes
    ----------
    frame : DataFrame
        One row a series, cutoff, time and output, in this order: columns ``series``, ``cutoff`` (stamp of the last row
        known), ``time``, ``lead`` (steps from the cutoff), ``output`` (where ``y`` has several columns), ``y``,
        ``mean``, ``lo-80, hi-80, ...``, ``crps``. Always pandas; times of arrays are row numbers; a single series is
        called by the name of ``y``, or "y". Missing ``y`` are NaN.
    name : str
        Class of the forecaster.
    horizon, n_windows : int
        As asked.
    level : tuple of float
        Levels of the intervals, in per cent.
    season_length : float
        Lag of the naive forecast in the scale of MASE, in rows.
    seconds : dict of str to float
        Seconds spent in ``"fit"``, ``"update"`` and ``"forecast"``, summed over the windows (and threads).
    training : dict of ndarray
        Values ``(n_times, n_outputs)`` of each series up to its first fit, NaN where absent.

    Examples
    --------
    >>> import numpy as np
    >>> from ssmts import SeasonalNaive, backtest
    >>> result = backtest(SeasonalNaive(2), np.array([1.0, 5.0, 2.0, 6.0, 4.0, 6.0, 3.0, 7.0]), horizon=2, n_windows=2)
    >>> result.scores("lead")["mase"].to_dict()
    {1: 1.5, 2: 0.5}
    """

    frame: pd.DataFrame
    name: str
    horizon: int
    n_windows: int
    level: tuple[float, ...]
    season_length: float
    seconds: dict[str, float]
    training: dict[Hashable, FloatArray]

    def scores(self, by: str | Sequence[str] | None = None, *, season_length: float | None = None) -> pd.DataFrame:
        """Table of scores, rows without ``y`` left out.

        Parameters
        ----------
        by : str or sequence of str, optional
            Columns of `frame` to give one row of scores for each value of, such as ``"series"``, ``"cutoff"`` or
            ``"lead"``; one row for all unless given.
        season_length : float, optional
            Lag of the naive forecast in the scale of MASE; that of the forecaster unless given.

        Returns
        -------
        DataFrame
            ``mae, rmse, mase, smape, crps`` and for every level ``coverage-80`` (from 0 to 1) and ``winkler-80``, of
            `ssmts.evaluation`. MASE is the mean over the rows of the error over the scale of its series and output,
            ``mean |y_t - y_(t - season_length)|`` of the rows up to its first fit; where that is 0 the row is left
            out. The CRPS of a distribution that is no Gaussian is that of 100 of its quantiles.

        Raises
        ------
        InputError
            ``by`` names no column.
        """
        frame = self.frame
        names = [by] if isinstance(by, str) else list(by or ())
        absent = [name for name in names if name not in frame]
        if absent:
            raise InputError(f"by must name columns of the frame, {list(frame)}; received {absent}.")
        labels: Any = None
        if names:
            labels = pd.Index(frame[names[0]]) if len(names) == 1 else pd.MultiIndex.from_frame(frame[names])
        y, mean = frame["y"].to_numpy(), frame["mean"].to_numpy()
        scale = self._scale(self.season_length if season_length is None else season_length)
        table = {
            "mae": mae(y, mean, by=labels),
            "rmse": rmse(y, mean, by=labels),
            "mase": mae(y / scale, mean / scale, by=labels),
            "smape": smape(y, mean, by=labels),
            "crps": score(lambda _, loss: loss, y, frame["crps"].to_numpy(), by=labels),
        }
        for level in self.level:
            lower, upper = (frame[f"{side}-{level:g}"].to_numpy() for side in ("lo", "hi"))
            table[f"coverage-{level:g}"] = coverage(y, lower, upper, by=labels)
            table[f"winkler-{level:g}"] = interval_score(y, lower, upper, level=level, by=labels)
        return pd.DataFrame(table) if names else pd.DataFrame(table, index=[self.name])

    def plot(self, ax: Any = None, *, series: Any = None, output: Any = None) -> Any:
        """Draw observed rows, means and intervals on matplotlib Axes; see `ssmts.plotting.plot_backtest`.

        Parameters
        ----------
        ax : Axes or sequence of Axes, optional
            New ones unless given.
        series, output : hashable or list, optional
            Names of series and columns to draw; by default the first six panels.

        Returns
        -------
        Axes or array of Axes
        """
        from ..plotting import plot_backtest

        return plot_backtest(self.frame, ax=ax, series=series, output=output)

    def _scale(self, season_length: float) -> FloatArray:
        """Scale of MASE for every row of the frame; NaN where there is none."""
        scales = np.stack([mase_scale(values, season_length) for values in self.training.values()])
        scales[scales == 0] = np.nan
        series = pd.Index(list(self.training)).get_indexer(pd.Index(self.frame["series"]))
        output = self.frame["output"].factorize()[0] if "output" in self.frame else 0
        rows: FloatArray = scales[series, output]
        return rows

    def __repr__(self) -> str:
        seconds = sum(self.seconds.values())
        what = f"{self.name}, horizon={self.horizon}, n_windows={self.n_windows}, {seconds:.3g} s"
        return f"BacktestResult({what})\n{self.scores().to_string(float_format='%.4g')}"


def backtest(
    f: Any,
    X: Any,
    y: Any = None,
    *,
    horizon: int,
    n_windows: int = 5,
    step: int | None = None,
    refit: bool | int = True,
    level: float | Sequence[float] = (80, 95),
    n_jobs: int | None = None,
    progress: bool = False,
) -> BacktestResult:
    """Forecast from many cutoffs in the past, and set the forecasts against what came.

    The last window ends at the last row. Cutoffs are the same stamps for all series, as in `TimeSplit`. Each window
    forecasts the rows there are in it, with their covariates; absent rows are left out, missing values kept as NaN.

    Parameters
    ----------
    f : estimator
        A forecaster, a Pipeline that ends in one, or a search over either. It is cloned, never changed.
    X, y
        As in ``f.fit``: the series alone, or covariates and series, or a long frame. For a pipeline or search the
        series alone stands for it and a frame without columns.
    horizon : int
        Rows to forecast in a window.
    n_windows : int, default 5
        Number of windows; that of `TimeSplit`.
    step : int, optional
        Rows from one cutoff to the next; ``horizon`` unless given, so that windows do not overlap.
    refit : bool or int, default True
        Whether to fit on all rows up to each cutoff. False fits once, before the first, and then moves the state by
        ``update``; a number k fits at every k-th window and updates in between.
    level : float or sequence of float, default (80, 95)
        Levels of the intervals, in per cent.
    n_jobs : int, optional
        Fits side by side, as in joblib: in threads, since the models compute outside the interpreter's lock, unless
        ``joblib.parallel_config`` says otherwise. Without refits there is one pass and nothing to share.
    progress : bool, default False
        Whether to show a bar that counts windows.

    Returns
    -------
    BacktestResult
        With ``.frame``, ``.scores()``, ``.seconds``, ``.plot()``.

    Raises
    ------
    TooShortError
        There are too few rows for the windows and one training row.
    InputError
        A parameter that cannot be used; or what fit, update or forecast raise, with the cutoff in front.
    FrequencyError
        The stamps have no frequency, and the forecaster needs one.
    InputTypeError
        ``f`` is no forecaster, pipeline that ends in one, or search over one.

    Notes
    -----
    A series takes part from the first fit after its first row; a window that has no row is left out.

    Where the stamps have no frequency, which forecasters in continuous time take (``capabilities.irregular``), the stamps of all series
    together are counted: ``horizon``, ``step`` and ``lead`` are numbers of stamps that occur, and the scale of MASE is that of the
    row before. Every window reads its rows as the whole is read, on its grid or as they are.

    Examples
    --------
    >>> import numpy as np
    >>> from ssmts import Naive, backtest
    >>> result = backtest(Naive(), np.array([1.0, 2.0, 4.0, 3.0, 5.0, 6.0]), horizon=1, n_windows=2)
    >>> result.frame[["cutoff", "time", "y", "mean"]]
       cutoff  time    y  mean
    0       3     4  5.0   3.0
    1       4     5  6.0   5.0
    >>> float(round(result.scores().loc["Naive", "mase"], 3))
    1.125
    """
    split = TimeSplit(horizon, n_windows, step)
    levels = check_levels(level)
    between_fits = _between_fits(refit, split.n_windows)
    forecaster = _inner(f)
    data = Data.read(X, y, forecaster.freq, forecaster.capabilities.irregular)
    if y is None and f is not forecaster and isinstance(X, pd.Series | pd.DataFrame) and not is_long(X):
        data = replace(data, X=pd.DataFrame(index=X.index), y=X)
    if forecaster.capabilities.irregular and forecaster.freq is None:
        f = clone(f)
        _inner(f).set_params(freq=data.freq())
    cutoffs = data.cutoffs(split)
    passes = [cutoffs[i : i + between_fits] for i in range(0, len(cutoffs), between_fits)]
    windows = collect(f, data, passes, split.horizon, levels, n_jobs, len(cutoffs), progress)
    seconds = {stage: sum(window.seconds[stage] for window in windows) for stage in STAGES}
    return BacktestResult(
        frame=_frame(data, windows, levels),
        name=type(forecaster).__name__,
        horizon=split.horizon,
        n_windows=split.n_windows,
        level=levels,
        season_length=_season_length(forecaster) if data.form.axis.regular else 1.0,
        seconds=seconds,
        training=data.training(cutoffs[::between_fits]),
    )


def _frame(data: Data, windows: list[Window], levels: tuple[float, ...]) -> pd.DataFrame:
    """Windows as one long frame, by series, cutoff, time and output."""
    if not windows:
        raise InputError(
            "No window has a row of a series that has rows to fit on. Pass a longer horizon or more windows."
        )
    rows = np.concatenate([window.rows for window in windows])
    cutoff = np.repeat([window.cutoff for window in windows], [len(window.rows) for window in windows])
    values = np.concatenate([window.values for window in windows])
    codes = np.zeros(len(rows), dtype=np.int64) if data.codes is None else data.codes[rows]
    order = np.lexsort((data.steps[rows], cutoff, codes))
    rows, cutoff, values, codes = rows[order], cutoff[order], values[order], codes[order]
    n_outputs = data.values.shape[1]
    each = np.repeat(np.arange(len(rows)), n_outputs)
    time = pd.Index(rows) if data.time is None else data.time.take(rows)
    columns: dict[str, Any] = {
        "series": pd.Index(data.series_names()).take(codes[each]),
        "cutoff": data.stamps(cutoff).take(each),
        "time": time.take(each),
        "lead": (data.steps[rows] - cutoff)[each],
    }
    if n_outputs > 1:
        columns["output"] = pd.Index(data.form.outputs).take(np.tile(np.arange(n_outputs), len(rows)))
    columns["y"] = data.values[rows].ravel()
    names = ["mean", *(f"{side}-{level:g}" for level in levels for side in ("lo", "hi")), "crps"]
    columns |= {name: values[..., i].ravel() for i, name in enumerate(names)}
    return pd.DataFrame(columns)


def _inner(f: Any) -> BaseForecaster:
    """The forecaster at the end of pipelines and searches."""
    if isinstance(f, BaseForecaster):
        return f
    if hasattr(f, "steps"):
        return _inner(f.steps[-1][1])
    if hasattr(f, "estimator") and hasattr(f, "cv"):
        return _inner(f.estimator)
    raise InputTypeError(
        f"{type(f).__name__} is no forecaster, pipeline that ends in one, or search over one. Backtest several one by one. "
        "To transform the target use target_transform= of the forecaster, which keeps its distribution."
    )


def _between_fits(refit: Any, n_windows: int) -> int:
    """Windows from one fit to the next."""
    if isinstance(refit, bool | np.bool_):
        return 1 if refit else n_windows
    if not isinstance(refit, Integral) or refit < 1:
        raise InputError(f"refit must be True, False or a whole number of windows of at least 1; received {refit!r}.")
    return int(refit)


def _season_length(forecaster: BaseForecaster) -> float:
    """The season of a forecaster, its shortest if it has several, 1 if it has none."""
    given = np.atleast_1d(np.asarray(getattr(forecaster, "season_length", None) or 1))
    return float(given.min()) if given.dtype.kind in "iuf" else 1.0
