"""Pictures of what detectors say: readings with expected ranges and incidents, and who is to blame for them."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ._containers import FloatArray, read_table
from ._drawing import BLUE, GREY, INK, RED, band, finish, legend, make_axes, pick, spans, to_x

__all__ = ["draw_attribution", "draw_detector", "plot_attribution", "plot_detection"]

_LEAST_P = 1e-16  # smaller p-values would flatten all others
_MOST_SENSORS = 12
_MOST_COLUMNS = 800  # of a heat map; rows beyond are drawn together, by the most telling of them
_LETTER = 5.0  # points that a letter of a label takes, on the wide side


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
    incidents: pd.DataFrame | None = None,
) -> Any:
    """Draw readings with their expected range, alarms and incidents, sensor by sensor, and the p-values below.

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
    incidents : DataFrame, optional
        As `BaseDetector.incidents` returns them: their time is shaded in the panels of their sensors, with the kind of fault.
        Without them rows in alarm are.

    Returns
    -------
    array of Axes

    Examples
    --------
    >>> import numpy as np
    >>> from ssmts.plotting import plot_detection
    >>> readings, p_values = np.array([[0.1], [0.2], [9.0]]), np.array([0.8, 0.6, 1e-5])
    >>> axes = plot_detection(readings, p_values, p_values < 1e-3, alarm_level=1e-3)
    >>> len(axes)
    2
    """
    table = read_table(X, "X")
    index = pd.RangeIndex(len(table.values)) if table.time is None else table.time
    names = list(table.columns or range(table.values.shape[1]))
    wanted = None if sensors is None else list(sensors)
    chosen = pick(names, wanted, "sensor")[: None if wanted else _MOST_SENSORS]
    flags = np.asarray(alarms, dtype=bool)
    flags = flags if flags.ndim == 2 else np.repeat(flags[:, None], len(names), axis=1)
    rows_in_alarm = np.asarray(flags.any(axis=1))
    mid, low, high = (
        None if v is None else np.asarray(v).reshape(table.values.shape) for v in (expected, lower, upper)
    )
    places = make_axes(axes, len(chosen) + 1, height=1.7, stacked=True)
    x = to_x(index)
    for place, j in zip(places, chosen):
        if low is not None and high is not None:
            band(place, x, low[:, j], high[:, j], "expected range", 0.25)
        if mid is not None:
            place.plot(x, mid[:, j], color=BLUE, lw=0.9, label="expected")
        place.plot(x, table.values[:, j], color=INK, lw=0.9, label="reading")
        if incidents is None:
            spans(place, x, rows_in_alarm)
        hit = flags[:, j]
        place.plot(x[hit], table.values[hit, j], "o", color=RED, ms=3.5, mew=0, label="alarm", zorder=5)
        finish(place, index, title=str(names[j]))
        if incidents is not None:
            _shade(place, names[j], incidents, index)
    last = places[len(chosen)]
    last.plot(x, np.maximum(np.asarray(p_values, dtype=np.float64), _LEAST_P), color=INK, lw=0.9)
    if alarm_level is not None:
        last.axhline(alarm_level, color=RED, lw=1, ls="--", label=f"alarm below {alarm_level:.2g}")
    spans(last, x, rows_in_alarm)
    last.set_yscale("log")
    last.minorticks_off()
    last.invert_yaxis()
    finish(last, index, title="p-value")
    legend(places[:1])
    if alarm_level is not None:
        legend(places[len(chosen) :])
    return places


def _shade(place: Any, sensor: Hashable, incidents: pd.DataFrame, index: pd.Index) -> None:
    """Shade the incidents of a sensor in its panel, those without readings grey, and write what they look like."""
    left, right = place.get_xlim()
    letter = _LETTER * (right - left) * place.figure.dpi / 72 / place.get_window_extent().width
    taken: list[tuple[float, float]] = []  # by labels, of which the longest incidents have theirs first
    each: Any
    for each in incidents.iloc[np.argsort(incidents["start"] - incidents["last_seen"], kind="stable")].itertuples():
        if sensor not in each.sensors:
            continue
        start, end = (place.convert_xunits(time) for time in to_x(pd.Index([each.start, each.last_seen])))
        color = GREY if each.kind == "dropout" else RED
        place.axvspan(start, end, color=color, alpha=0.16, lw=0, zorder=0)
        place.axvline(start, color=color, alpha=0.5, lw=0.8, zorder=0)
        text = (each.kind if each.sensor == sensor else "with " + str(each.sensor)).replace("_", " ")
        width = (len(text) + 1) * letter
        late = start + width > right
        begins = start - width if late else start
        if all(begins >= right_of or begins + width <= left_of for left_of, right_of in taken):
            taken.append((begins, begins + width))
            style = {"fontsize": 8, "color": color, "va": "top", "ha": "right" if late else "left", "zorder": 6}
            at = {"xycoords": place.get_xaxis_transform(), "textcoords": "offset points"}
            place.annotate(text, (start, 1.0), (-3 if late else 3, -2), **at, **style)
    place.set_xlim(left, right)


def plot_attribution(
    X: Any,
    p_values: npt.ArrayLike,
    share: npt.ArrayLike,
    ax: Any = None,
    *,
    alarm_level: float | None = None,
    sensors: Sequence[Hashable] | None = None,
) -> Any:
    """Draw which sensor is to blame when: a heat map of sensors and times.

    The colour is the share of a sensor in how strange a row is, the row's ``-log10(p_value)``: dark where the row is strange
    and the sensor the reason, and light where nothing is the matter, whatever the shares.

    Parameters
    ----------
    X : DataFrame, Series or array of shape (n_times, n_sensors)
        Readings, for their times and names.
    p_values : array of shape (n_times,)
        Calibrated p-value of each row.
    share : array of shape (n_times, n_sensors)
        Of the row's score, NaN where nothing was read.
    ax : Axes, optional
        New ones unless given.
    alarm_level : float, optional
        p-value below which a row is in alarm: colours end at twice its logarithm.
    sensors : list of hashable, optional
        Columns to draw; by default all.

    Returns
    -------
    Axes

    Examples
    --------
    >>> import numpy as np
    >>> from ssmts.plotting import plot_attribution
    >>> ax = plot_attribution(np.zeros((3, 2)), [0.8, 1e-5, 0.6], [[0.5, 0.5], [0.1, 0.9], [0.5, 0.5]])
    >>> [text.get_text() for text in ax.get_yticklabels()]
    ['0', '1']
    """
    table = read_table(X, "X")
    index = pd.RangeIndex(len(table.values)) if table.time is None else table.time
    names = list(table.columns or range(table.values.shape[1]))
    chosen = pick(names, None if sensors is None else list(sensors), "sensor")
    decades = -np.log10(np.maximum(np.asarray(p_values, dtype=np.float64), _LEAST_P))
    blame = np.clip(np.nan_to_num(np.asarray(share, dtype=np.float64)[:, chosen]), 0, 1) * decades[:, None]
    top = 6.0 if alarm_level is None else -2 * np.log10(alarm_level)
    (place,) = make_axes(ax, 1, height=max(1.2 + 0.28 * len(chosen), 2.2))
    edges, cells = _cells(to_x(index), blame)
    mesh = place.pcolormesh(
        edges, np.arange(len(chosen) + 1), cells.T, cmap="Oranges", vmin=0, vmax=top, rasterized=True
    )
    place.set_yticks(np.arange(len(chosen)) + 0.5, [str(names[j]) for j in chosen])
    place.invert_yaxis()
    finish(place, index, title="share in how strange the row is")
    place.grid(False)
    bar = place.figure.colorbar(mesh, ax=place, pad=0.01, extend="max", label="share × −log10 p")
    bar.outline.set_visible(False)
    return place


def _cells(x: Any, blame: FloatArray) -> tuple[Any, FloatArray]:
    """Edges in time and the largest value of each cell; every row is a cell unless there are too many."""
    n = len(x)
    starts = np.unique(np.linspace(0, n, min(n, _MOST_COLUMNS), endpoint=False).astype(int))
    step = x[-1] - x[-2] if n > 1 else np.timedelta64(1, "s") if np.issubdtype(x.dtype, np.datetime64) else 1
    return np.append(x[starts], x[-1] + step), np.maximum.reduceat(blame, starts, axis=0)


def draw_detector(detector: Any, X: Any, axes: Any, options: dict[str, Any]) -> Any:
    """The picture of `BaseDetector.plot`."""
    from .detection.incidents import find_incidents

    told = detector._explained(detector._read_fitted(X))
    return plot_detection(
        X,
        np.exp(told.log_p),
        told.culprit(told.log_p < detector.offset_),
        told.expected,
        told.lower,
        told.upper,
        axes,
        alarm_level=float(np.exp(detector.offset_)),
        incidents=find_incidents(detector, X, told, **options),
    )


def draw_attribution(detector: Any, X: Any, ax: Any) -> Any:
    """The picture of `BaseDetector.plot_attribution`."""
    told = detector._explained(detector._read_fitted(X))
    return plot_attribution(X, np.exp(told.log_p), told.share, ax, alarm_level=float(np.exp(detector.offset_)))
