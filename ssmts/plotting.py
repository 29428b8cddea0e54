"""Pictures of forecasts, components, detections and backtests.

Every function draws on the Axes it is given, or on new ones, and returns them. Colours are those of Okabe and Ito, which
people with any kind of colour vision can tell apart.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import ndtri

from ._containers import is_long, read_long, read_table
from .exceptions import InputError
from .forecasts import check_levels

if TYPE_CHECKING:
    from .forecasts import Forecast

__all__ = ["plot_backtest", "plot_components", "plot_detection", "plot_forecast"]

FloatArray = npt.NDArray[np.float64]

_INK, _GREY, _GRID = "#3a3f44", "#8a9097", "#e3e6e8"
_BLUE, _RED, _GREEN = "#0072B2", "#D55E00", "#009E73"
_LEAST_P = 1e-16  # smaller p-values would flatten all others
_OWN = "ssmts"  # label of the figures made here
_MOST_PANELS = 6
_MOST_SENSORS = 12


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
    """
    rows, distribution = forecast.rows, forecast.distribution
    form = rows.form
    keys = [None] if form.keys is None else [form.keys[code] for code in rows.series]
    chosen = [(i, j) for i in _chosen(keys, series, "series") for j in _chosen(list(form.outputs), output, "output")]
    chosen = chosen if series is not None else chosen[:_MOST_PANELS]
    levels = sorted(check_levels(level), reverse=True)
    mean = distribution.mean()
    bounds = distribution.quantile([p for each in levels for p in ((100 - each) / 200, (100 + each) / 200)])
    times = rows.times().get_level_values(-1)
    past = _past(forecast, history)
    axes = _axes(ax, len(chosen), height=3.4)
    for place, (i, j) in zip(axes, chosen):
        index = times.take(rows.positions[i])
        if keys[i] in past:
            before, values = past[keys[i]]
            place.plot(_x(before), values[:, j], color=_INK, lw=1.1, label="history", **_dots(len(before)))
        n = len(index)
        bands = [(bounds[i, :n, j, 2 * b], bounds[i, :n, j, 2 * b + 1], each) for b, each in enumerate(levels)]
        _draw_forecast(place, _x(index), mean[i, :n, j], bands)
        _finish(place, times, title=_title(keys[i], form.outputs[j] if form.kind != "array" else None))
    _legend(axes)
    return axes[0] if len(axes) == 1 and not isinstance(ax, np.ndarray | list) else axes


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
    """
    (each,) = check_levels(level)
    z = float(ndtri((100 + each) / 200))
    places = _axes(axes, len(components), height=1.7, stacked=True)
    x = _x(index)
    for place, (name, (mean, sd)) in zip(places, components.items()):
        middle = np.asarray(mean, dtype=np.float64)
        if observed is not None and place is places[0]:
            place.plot(x, np.asarray(observed), color=_GREY, lw=0.9, label="observed", **_dots(len(x), _GREY))
        if sd is not None:
            spread = z * np.asarray(sd, dtype=np.float64)
            _band(place, x, middle - spread, middle + spread, f"{each:g} % interval", 0.25)
        place.plot(x, middle, color=_BLUE, lw=1.4, label="estimate")
        _finish(place, index, title=name)
    _legend(places)
    return places


def plot_detection(
    X: Any,
    p_values: npt.ArrayLike,
    alarms: npt.ArrayLike,
    expected: npt.ArrayLike | None = None,
    lower: npt.ArrayLike | None = None,
    upper: npt.ArrayLike | None = None,
    axes: Any = None,
    *,
    alarm_level: float | None = None,
    sensors: Sequence[Hashable] | None = None,
) -> Any:
    """Draw readings with their expected range and alarms, sensor by sensor, and the p-values below.

    Parameters
    ----------
    X : DataFrame, Series or array of shape (n_times, n_sensors)
        Readings.
    p_values : array of shape (n_times,)
        Calibrated p-value of each row, drawn on a logarithmic axis that points down.
    alarms : array of bool of shape (n_times,) or (n_times, n_sensors)
        Rows in alarm, or which sensors are.
    expected, lower, upper : array of shape (n_times, n_sensors), optional
        What was expected of each reading, and between which bounds.
    axes : sequence of Axes, optional
        One a sensor, and one for the p-values.
    alarm_level : float, optional
        p-value below which a row is in alarm, drawn as a line.
    sensors : list of hashable, optional
        Columns to draw; by default the first twelve.

    Returns
    -------
    array of Axes
    """
    table = read_table(X, "X")
    index = pd.RangeIndex(len(table.values)) if table.time is None else table.time
    names = list(table.columns or range(table.values.shape[1]))
    chosen = _chosen(names, list(sensors) if sensors is not None else None, "sensor")[
        : None if sensors else _MOST_SENSORS
    ]
    flags = np.asarray(alarms, dtype=bool)
    flags = flags if flags.ndim == 2 else np.repeat(flags[:, None], len(names), axis=1)
    rows_in_alarm = np.asarray(flags.any(axis=1))
    mid, low, high = (
        None if v is None else np.asarray(v).reshape(table.values.shape) for v in (expected, lower, upper)
    )
    places = _axes(axes, len(chosen) + 1, height=1.7, stacked=True)
    x = _x(index)
    for place, j in zip(places, chosen):
        if low is not None and high is not None:
            _band(place, x, low[:, j], high[:, j], "expected range", 0.25)
        if mid is not None:
            place.plot(x, mid[:, j], color=_BLUE, lw=0.9, label="expected")
        place.plot(x, table.values[:, j], color=_INK, lw=0.9, label="reading")
        _spans(place, x, rows_in_alarm)
        hit = flags[:, j]
        place.plot(x[hit], table.values[hit, j], "o", color=_RED, ms=3.5, mew=0, label="alarm", zorder=5)
        _finish(place, index, title=str(names[j]))
    last = places[len(chosen)]
    last.plot(x, np.maximum(np.asarray(p_values, dtype=np.float64), _LEAST_P), color=_INK, lw=0.9)
    if alarm_level is not None:
        last.axhline(alarm_level, color=_RED, lw=1, ls="--", label=f"alarm below {alarm_level:.2g}")
    _spans(last, x, rows_in_alarm)
    last.set_yscale("log")
    last.invert_yaxis()
    _finish(last, index, title="p-value")
    _legend(places[:1])
    if alarm_level is not None:
        _legend(places[len(chosen) :])
    return places


def plot_backtest(frame: pd.DataFrame, ax: Any = None, *, series: Any = None) -> Any:
    """Draw the observed rows of a backtest and each window's forecasts.

    Parameters
    ----------
    frame : DataFrame
        Long: columns ``cutoff, time, y, mean``, and where they are there ``series`` and ``lo-80, hi-80, ...``.
    ax : Axes or sequence of Axes, optional
        One a series.
    series : hashable or list, optional
        Names of series to draw; by default the first six.

    Returns
    -------
    Axes or array of Axes
        An array when several series are drawn.
    """
    needed = {"cutoff", "time", "y", "mean"}
    if not needed <= set(frame.columns):
        raise InputError(f"A backtest has the columns {sorted(needed)}; received {list(frame.columns)}.")
    keys = list(pd.unique(frame["series"])) if "series" in frame else [None]
    chosen = _chosen(keys, series, "series")[: None if series is not None else _MOST_PANELS]
    names = [str(c).removeprefix("lo-") for c in frame.columns if str(c).startswith("lo-")]
    levels = sorted(map(float, names), reverse=True)
    axes = _axes(ax, len(chosen), height=3.4)
    for place, i in zip(axes, chosen):
        part = frame if keys[i] is None else frame[frame["series"] == keys[i]]
        observed = part.drop_duplicates("time").sort_values("time")
        times = pd.Index(observed["time"])
        place.plot(_x(times), observed["y"], color=_INK, lw=1.1, label="observed", **_dots(len(times)))
        for number, (cutoff, window) in enumerate(part.groupby("cutoff", sort=True)):
            rows = window.sort_values("time")
            bands = [(rows[f"lo-{each:g}"], rows[f"hi-{each:g}"], each) for each in levels]
            _draw_forecast(place, _x(pd.Index(rows["time"])), rows["mean"], bands, named=number == 0)
            label = "cutoff" if number == 0 else None
            place.axvline(_x(pd.Index([cutoff]))[0], color=_GREY, lw=0.8, ls=":", zorder=0, label=label)
        _finish(place, times, title=_title(keys[i], None))
    _legend(axes)
    return axes[0] if len(axes) == 1 and not isinstance(ax, np.ndarray | list) else axes


# shared work ----------------------------------------------------------------------------------------------------


def _pyplot() -> Any:
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError("Plots need matplotlib: pip install ssmts[plot]") from error
    return plt


def _axes(given: Any, n: int, *, height: float, stacked: bool = False) -> Any:
    """Array of ``n`` Axes: those given, or new ones below each other (and beside, where there are many)."""
    plt = _pyplot()
    if given is not None:
        axes = np.ravel(np.asarray(given, dtype=object))
        if len(axes) < n:
            raise InputError(f"There are {n} panels to draw but {len(axes)} Axes. Pass {n}, or choose what to draw.")
        return axes[:n]
    n_columns = 1 if stacked or n <= 3 else 2
    n_rows = -(-n // n_columns)
    size = (8.0 if n_columns == 1 else 11.0, height * n_rows if n > 1 else max(height, 3.6))
    figure, grid = plt.subplots(n_rows, n_columns, figsize=size, sharex=stacked, squeeze=False, layout="constrained")
    figure.set_label(_OWN)
    for spare in grid.ravel()[n:]:
        figure.delaxes(spare)
    return grid.ravel()[:n]


def _chosen(names: list[Any], wanted: Any, what: str) -> list[int]:
    """Positions of the names wanted; all without a wish."""
    if wanted is None:
        return list(range(len(names)))
    wishes = wanted if isinstance(wanted, list) else [wanted]
    absent = [wish for wish in wishes if wish not in names]
    if absent:
        raise InputError(f"There is no {what} {absent[0]!r}; there are {names[:8]}{' ...' if len(names) > 8 else ''}.")
    return [names.index(wish) for wish in wishes]


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


def _draw_forecast(ax: Any, x: Any, mean: Any, bands: Sequence[tuple[Any, Any, float]], *, named: bool = True) -> None:
    """Mean and intervals, the widest first; a single row as a point with bars."""
    for number, (low, high, level) in enumerate(bands):
        label = f"{level:g} % interval" if named else None
        if len(x) > 1:
            _band(ax, x, low, high, label, 0.2 + 0.17 * number)
        else:
            ax.vlines(x, low, high, color=_tint(0.2 + 0.17 * number), lw=4 + 4 * number, label=label)
    ax.plot(x, mean, color=_BLUE, lw=1.6, label="mean" if named else None, **_dots(len(x), _BLUE, most=1))


def _band(ax: Any, x: Any, low: Any, high: Any, label: str | None, strength: float) -> None:
    ax.fill_between(x, np.asarray(low), np.asarray(high), color=_tint(strength), lw=0, label=label, zorder=1)


def _tint(strength: float) -> tuple[float, ...]:
    """Blue mixed with white: opaque, so that the legend shows the very colour of a band that lies on another."""
    from matplotlib.colors import to_rgb

    return tuple(1 - min(strength, 0.8) * (1 - part) for part in to_rgb(_BLUE))


def _dots(n: int, color: str = _INK, most: int = 60) -> dict[str, Any]:
    """Markers where rows are few, so that single rows and gaps can be seen."""
    return {"marker": "o", "ms": 3 if most > 1 else 5, "mfc": color, "mec": "none"} if n <= most else {}


def _spans(ax: Any, x: Any, flags: npt.NDArray[np.bool_]) -> None:
    """Shade the stretches in alarm."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(int)))
    for start, stop in zip(edges[::2], edges[1::2]):
        ax.axvspan(x[start], x[min(stop, len(x) - 1)], color=_RED, alpha=0.12, lw=0, zorder=0)


def _x(index: pd.Index) -> Any:
    """Stamps as matplotlib draws them; zoned stamps in UTC, labelled in their zone by `_finish`."""
    if isinstance(index, pd.PeriodIndex):
        index = index.to_timestamp()
    if isinstance(index, pd.DatetimeIndex) and index.tz is not None:
        index = index.tz_convert("UTC").tz_localize(None)
    return index.to_numpy()


def _finish(ax: Any, index: pd.Index, title: str = "") -> None:
    """Labels that can be read, a light grid, and no frame."""
    from matplotlib import dates, ticker

    if isinstance(index, pd.DatetimeIndex | pd.PeriodIndex):
        zone = getattr(index, "tz", None)
        locator = dates.AutoDateLocator(tz=zone, minticks=4, maxticks=9)
        ax.xaxis.set_major_locator(locator)
        ax.xaxis.set_major_formatter(dates.ConciseDateFormatter(locator, tz=zone))
    else:
        ax.xaxis.set_major_locator(ticker.MaxNLocator(integer=True, nbins=9, steps=[1, 2, 5, 10]))
    ax.set_title(title, loc="left", fontsize=10, color=_INK)
    ax.grid(axis="y", color=_GRID, lw=0.8)
    ax.set_axisbelow(True)
    ax.spines[["top", "right", "left"]].set_visible(False)
    ax.spines["bottom"].set_color(_GREY)
    ax.tick_params(colors=_GREY, labelcolor=_INK, labelsize=9, left=False)
    ax.margins(x=0.01)


def _legend(axes: Any) -> None:
    """One legend for all panels: above them where this module made the figure, inside the first of the caller's."""
    handles, labels = axes[0].get_legend_handles_labels()
    order = sorted(
        range(len(labels)), key=lambda i: (labels[i].endswith("interval"), -i * labels[i].endswith("interval"))
    )
    entries = [handles[i] for i in order], [labels[i] for i in order]
    style = {"fontsize": 9, "handlelength": 1.4, "columnspacing": 1.2, "labelcolor": _INK}
    figure = axes[0].figure
    if figure.get_label() != _OWN:
        axes[0].legend(*entries, loc="best", framealpha=0.8, edgecolor="none", **style)
    elif axes[0].get_subplotspec().get_gridspec().ncols > 1:
        figure.legend(*entries, loc="outside upper right", ncols=6, frameon=False, **style)
    else:
        above = {"loc": "lower right", "bbox_to_anchor": (1.0, 1.0), "borderaxespad": 0.2}
        axes[0].legend(*entries, ncols=6, frameon=False, **above, **style)


def _title(key: Any, output: Any) -> str:
    return " · ".join(str(part) for part in (key, output) if part is not None)
