"""What the pictures of `ssmts.plotting` share: axes, colours, bands, readable dates and the legend."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from .exceptions import InputError

INK, GREY, GRID = "#3a3f44", "#8a9097", "#e3e6e8"
BLUE, RED = "#0072B2", "#D55E00"  # of Okabe and Ito
_OWN = "ssmts"  # label of the figures made here


def _pyplot() -> Any:
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError("Plots need matplotlib: pip install ssmts[plot]") from error
    return plt


def make_axes(given: Any, n: int, *, height: float, stacked: bool = False) -> Any:
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


def pick(names: list[Any], wanted: Any, what: str) -> list[int]:
    """Positions of the names wanted; all without a wish."""
    if wanted is None:
        return list(range(len(names)))
    wishes = wanted if isinstance(wanted, list) else [wanted]
    absent = [wish for wish in wishes if wish not in names]
    if absent:
        raise InputError(f"There is no {what} {absent[0]!r}; there are {names[:8]}{' ...' if len(names) > 8 else ''}.")
    return [names.index(wish) for wish in wishes]


def draw_forecast(ax: Any, x: Any, mean: Any, bands: Sequence[tuple[Any, Any, float]], *, named: bool = True) -> None:
    """Mean and intervals, the widest first; a single row as a point with bars."""
    for number, (low, high, level) in enumerate(bands):
        label = f"{level:g} % interval" if named else None
        if len(x) > 1:
            band(ax, x, low, high, label, 0.2 + 0.17 * number)
        else:
            ax.vlines(x, low, high, color=_tint(0.2 + 0.17 * number), lw=4 + 4 * number, label=label, zorder=1)
    ax.plot(x, mean, color=BLUE, lw=1.6, label="mean" if named else None, **dots(len(x), BLUE, most=1))


def band(ax: Any, x: Any, low: Any, high: Any, label: str | None, strength: float) -> None:
    """Area between two lines."""
    ax.fill_between(x, np.asarray(low), np.asarray(high), color=_tint(strength), lw=0, label=label, zorder=1)


def _tint(strength: float) -> tuple[float, ...]:
    """Blue mixed with white: opaque, so that the legend shows the very colour of a band that lies on another."""
    from matplotlib.colors import to_rgb

    return tuple(1 - min(strength, 0.8) * (1 - part) for part in to_rgb(BLUE))


def dots(n: int, color: str = INK, most: int = 60) -> dict[str, Any]:
    """Markers where rows are few, so that single rows and gaps can be seen."""
    return {"marker": "o", "ms": 3 if most > 1 else 5, "mfc": color, "mec": "none"} if n <= most else {}


def spans(ax: Any, x: Any, flags: npt.NDArray[np.bool_]) -> None:
    """Shade the stretches in alarm."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(int)))
    for start, stop in zip(edges[::2], edges[1::2]):
        ax.axvspan(x[start], x[min(stop, len(x) - 1)], color=RED, alpha=0.12, lw=0, zorder=0)


def to_x(index: pd.Index) -> Any:
    """Stamps as matplotlib draws them; zoned stamps in UTC, labelled in their zone by `finish`."""
    if isinstance(index, pd.PeriodIndex):
        index = index.to_timestamp()
    if isinstance(index, pd.DatetimeIndex) and index.tz is not None:
        index = index.tz_convert("UTC").tz_localize(None)
    return index.to_numpy()


def finish(ax: Any, index: pd.Index, title: str = "") -> None:
    """Labels that can be read, a light grid, and no frame."""
    from matplotlib import dates, ticker

    if isinstance(index, pd.DatetimeIndex | pd.PeriodIndex):
        zone = getattr(index, "tz", None)
        locator = dates.AutoDateLocator(tz=zone, minticks=4, maxticks=9)
        ax.xaxis.set_major_locator(locator)
        ax.xaxis.set_major_formatter(dates.ConciseDateFormatter(locator, tz=zone))
    else:
        ax.xaxis.set_major_locator(ticker.MaxNLocator(integer=True, nbins=9, steps=[1, 2, 5, 10]))
    ax.set_title(title, loc="left", fontsize=10, color=INK)
    ax.grid(axis="y", color=GRID, lw=0.8)
    ax.set_axisbelow(True)
    ax.spines[["top", "right", "left"]].set_visible(False)
    ax.spines["bottom"].set_color(GREY)
    ax.tick_params(colors=GREY, labelcolor=INK, labelsize=9, left=False)
    ax.margins(x=0.01)


def legend(axes: Any) -> None:
    """One legend for all panels: above them where this module made the figure, inside the first of the caller's."""
    handles, labels = axes[0].get_legend_handles_labels()
    order = sorted(
        range(len(labels)), key=lambda i: (labels[i].endswith("interval"), -i * labels[i].endswith("interval"))
    )
    entries = [handles[i] for i in order], [labels[i] for i in order]
    style = {"fontsize": 9, "handlelength": 1.4, "columnspacing": 1.2, "labelcolor": INK}
    figure = axes[0].figure
    if figure.get_label() != _OWN:
        axes[0].legend(*entries, loc="best", framealpha=0.8, edgecolor="none", **style)
    elif axes[0].get_subplotspec().get_gridspec().ncols > 1:
        figure.legend(*entries, loc="outside upper right", ncols=6, frameon=False, **style)
    else:
        above = {"loc": "lower right", "bbox_to_anchor": (1.0, 1.0), "borderaxespad": 0.2}
        axes[0].legend(*entries, ncols=6, frameon=False, **above, **style)


def title_of(key: Any, output: Any) -> str:
    """Title of the panel of a series and a column, either of which may be nameless."""
    return " · ".join(str(part) for part in (key, output) if part is not None)
