"""Pictures of forecasts, components, detections and backtests.

Every function draws on the Axes it is given, or on new ones, and returns them. Colours are those of Okabe and Ito, which
people with any kind of colour vision can tell apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import ndtri

from ._containers import FloatArray, is_long, read_long, read_table
from ._detection_pictures import plot_attribution, plot_detection
from ._drawing import (
    BLUE,
    GREY,
    INK,
    band,
    dots,
    draw_forecast,
    finish,
    legend,
    make_axes,
    pick,
    title_of,
    to_x,
)
from .exceptions import InputError
from .forecasts import check_levels

if TYPE_CHECKING:
    from .forecasts import Forecast

__all__ = ["plot_attribution", "plot_backtest", "plot_components", "plot_detection", "plot_forecast"]

_MOST_PANELS = 6
_MOST_CUTOFFS = 24


def plot_forecast(
    forecast: Forecast,
    ax: Any = None,
    level: float | Sequence[float] = (80, 95),
    history: Any = None,
    *,
    series: Any = None,
    output: Any = None,
) -> Any:
    """Draw history, mean and central intervals.

    Parameters
    ----------
    forecast : Forecast
    ax : Axes or sequence of Axes, optional
        One for each series and output drawn; new ones unless given.
    level : float or sequence of float, default (80, 95)
        Levels of the intervals, in per cent.
    history : int, Series, DataFrame or array, optional
        Past rows, or how many of the rows of ``forecast.history`` to draw. By default four times as many as are
        forecast and at least fifty, which shows the season without hiding the forecast.
    series : hashable or list, optional
        Names of series to draw; by default the first six.
    output : hashable or list, optional
        Names of columns to draw; by default all.

    Returns
    -------
    Axes or array of Axes
        An array when several series or columns are drawn.

    Raises
    ------
    InputError
        A series or column that the forecast does not have, or too few Axes.
    ImportError
        matplotlib is not installed.

    Examples
    --------
    >>> import pandas as pd
    >>> from ssmts import Naive
    >>> from ssmts.plotting import plot_forecast
    >>> y = pd.Series([1.0, 2.0, 4.0], pd.date_range("2024-01-01", periods=3), name="load")
    >>> axes = plot_forecast(Naive().fit(y).forecast(2), level=90)
    >>> [text.get_text() for text in axes.get_legend().get_texts()]
    ['history', 'mean', '90 % interval']
    """
    rows, distribution = forecast.rows, forecast.distribution
    form = rows.form
    keys = [None] if form.keys is None else [form.keys[code] for code in rows.series]
    chosen = [(i, j) for i in pick(keys, series, "series") for j in pick(list(form.outputs), output, "output")]
    chosen = chosen if series is not None else chosen[:_MOST_PANELS]
    levels = sorted(check_levels(level), reverse=True)
    mean = distribution.mean()
    bounds = distribution.quantile([p for each in levels for p in ((100 - each) / 200, (100 + each) / 200)])
    times = rows.times().get_level_values(-1)
    past = _past(forecast, history)
    axes = make_axes(ax, len(chosen), height=3.4)
    for place, (i, j) in zip(axes, chosen):
        index = times.take(rows.positions[i])
        if keys[i] in past:
            before, values = past[keys[i]]
            place.plot(to_x(before), values[:, j], color=INK, lw=1.1, label="history", **dots(len(before)))
        n = len(index)
        bands = [(bounds[i, :n, j, 2 * b], bounds[i, :n, j, 2 * b + 1], each) for b, each in enumerate(levels)]
        draw_forecast(place, to_x(index), mean[i, :n, j], bands)
        finish(place, times, title=title_of(keys[i], form.outputs[j] if form.kind != "array" else None))
    legend(axes)
    return axes[0] if len(axes) == 1 and not isinstance(ax, np.ndarray | list) else axes


def _past(forecast: Forecast, history: Any) -> dict[Any, tuple[pd.Index, FloatArray]]:
    """Stamps and values ``(n_times, n_outputs)`` of the past rows of each series."""
    count = history if isinstance(history, int | np.integer) else None
    source = forecast.history if history is None or count is not None else history
    source = source() if callable(source) else source
    if source is None:
        return {}
    table = read_long(source)[0] if is_long(source) else read_table(source, "history")
    assert table is not None
    time = pd.RangeIndex(len(table.values)) if table.time is None else table.time
    codes = np.zeros(len(time), dtype=int) if table.codes is None else table.codes
    keys = [None] if table.keys is None else list(table.keys)
    tail = count if count is not None else max(4 * forecast.distribution.horizon, 50)
    past = {}
    for code, key in enumerate(keys):
        rows = np.flatnonzero(codes == code)
        rows = rows if history is not None and count is None else rows[max(len(rows) - tail, 0) :]
        past[key] = time.take(rows), table.values[rows]
    return past


def plot_components(
    components: Mapping[str, tuple[npt.ArrayLike, npt.ArrayLike | None]],
    index: pd.Index,
    axes: Any = None,
    *,
    level: float = 95,
    observed: npt.ArrayLike | None = None,
) -> Any:
    """Draw the components of a series one below the other, each with its interval.

    Parameters
    ----------
    components : mapping of str to (mean, sd)
        Arrays ``(n_times,)``; ``sd=None`` draws no interval.
    index : Index
        Stamps of the rows.
    axes : sequence of Axes, optional
        One a component.
    level : float, default 95
        Level of the intervals, in per cent.
    observed : array of shape (n_times,), optional
        The series itself, drawn behind the first component.

    Returns
    -------
    array of Axes

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from ssmts.plotting import plot_components
    >>> days = pd.date_range("2024-01-01", periods=4)
    >>> axes = plot_components({"level": (np.arange(4.0), np.ones(4)), "season": (np.zeros(4), None)}, days)
    >>> len(axes)
    2
    """
    (each,) = check_levels(level)
    z = float(ndtri((100 + each) / 200))
    places = make_axes(axes, len(components), height=1.7, stacked=True)
    x = to_x(index)
    for place, (name, (mean, sd)) in zip(places, components.items()):
        middle = np.asarray(mean, dtype=np.float64)
        if observed is not None and place is places[0]:
            place.plot(x, np.asarray(observed), color=GREY, lw=0.9, label="observed", **dots(len(x), GREY))
        if sd is not None:
            spread = z * np.asarray(sd, dtype=np.float64)
            band(place, x, middle - spread, middle + spread, f"{each:g} % interval", 0.25)
        place.plot(x, middle, color=BLUE, lw=1.4, label="estimate")
        finish(place, index, title=name)
    legend(places)
    return places


def plot_backtest(frame: pd.DataFrame, ax: Any = None, *, series: Any = None, output: Any = None) -> Any:
    """Draw the observed rows of a backtest and its forecasts, window by window.

    Where windows overlap, the next one drawn is the first that begins after the one before has ended. Windows of a
    single row are joined to one line.

    Parameters
    ----------
    frame : DataFrame
        Long: columns ``cutoff, time, y, mean``, and where they are there ``series``, ``output`` and ``lo-80, hi-80, ...``.
    ax : Axes or sequence of Axes, optional
        One for each series and output drawn; new ones unless given.
    series, output : hashable or list, optional
        Names of series and columns to draw; by default the first six panels.

    Returns
    -------
    Axes or array of Axes
        An array when several series or columns are drawn.

    Raises
    ------
    InputError
        A column that is missing, a series or output that is not there, or too few Axes.
    ImportError
        matplotlib is not installed.

    Examples
    --------
    >>> import numpy as np
    >>> from ssmts import Naive, backtest
    >>> from ssmts.plotting import plot_backtest
    >>> result = backtest(Naive(), np.arange(30.0), horizon=3, n_windows=2)
    >>> axes = plot_backtest(result.frame)
    >>> len(result.frame)
    6
    """
    needed = {"cutoff", "time", "y", "mean"}
    if not needed <= set(frame.columns):
        raise InputError(f"A backtest has the columns {sorted(needed)}; received {list(frame.columns)}.")
    panels: list[tuple[tuple[Any, ...], pd.DataFrame]] = [((), frame)]
    for column, wanted in (("series", series), ("output", output)):
        if column in frame:
            names = list(pd.unique(frame[column]))
            names = [names[i] for i in pick(names, wanted, column)]
            panels = [((*key, name), part[part[column] == name]) for key, part in panels for name in names]
    panels = panels if series is not None else panels[:_MOST_PANELS]
    levels = sorted((float(str(c)[3:]) for c in frame.columns if str(c).startswith("lo-")), reverse=True)
    axes = make_axes(ax, len(panels), height=3.4)
    for place, (key, part) in zip(axes, panels):
        _draw_windows(place, part, levels)
        finish(place, pd.Index(part["time"]), title=" · ".join(map(str, key)))
    legend(axes)
    return axes[0] if len(axes) == 1 and not isinstance(ax, np.ndarray | list) else axes


def _draw_windows(ax: Any, part: pd.DataFrame, levels: list[float]) -> None:
    """Observed rows, and the forecasts of windows that do not overlap."""
    observed = part.drop_duplicates("time").sort_values("time")
    x = to_x(pd.Index(observed["time"]))
    ax.plot(x, observed["y"], color=INK, lw=1.1, label="observed", **dots(len(x)))
    windows = [rows.sort_values("time") for _, rows in part.groupby("cutoff", sort=True)]
    if all(len(rows) == 1 for rows in windows):
        windows = [part.sort_values("time")]
    drawn: list[pd.DataFrame] = []
    for rows in windows:
        if not drawn or rows["time"].iloc[0] > drawn[-1]["time"].iloc[-1]:
            drawn.append(rows)
    for number, rows in enumerate(drawn):
        bands = [(rows[f"lo-{each:g}"], rows[f"hi-{each:g}"], each) for each in levels]
        draw_forecast(ax, to_x(pd.Index(rows["time"])), rows["mean"], bands, named=number == 0)
        if len(drawn) <= _MOST_CUTOFFS:
            cutoff = to_x(pd.Index(rows["cutoff"].iloc[:1]))[0]
            ax.axvline(cutoff, color=GREY, lw=0.8, ls=":", zorder=0, label=None if number else "cutoff")
