"""``ssmts backtest``: forecasters compared on the past."""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import Any, NamedTuple

import pandas as pd

from ..exceptions import InputError, TooShortError
from ._forecast import forecaster
from ._tables import draw, read_frame, read_series, write

__all__ = ["run"]

MOST_WINDOWS = 100


class _Task(NamedTuple):
    """What to backtest on."""

    y: pd.Series
    horizon: int
    season: list[float] | None
    n_windows: int
    scored_after: Any  # stamp of the last row before the rows whose windows count; None: all count


def run(options: argparse.Namespace) -> int:
    """Compare forecasters and print one table."""
    from .. import backtest

    task = _of_dataset(options) if options.dataset else _of_file(options)
    rows, frames, results = [], [], []
    for name in options.models or ("structural", "seasonal_naive" if task.season else "naive"):
        result = backtest(
            forecaster(name, task.season, options),
            task.y,
            horizon=task.horizon,
            n_windows=task.n_windows,
            step=options.step,
            refit=options.refit,
            level=options.level,
        )
        if task.scored_after is not None:
            counted = result.frame[result.frame["cutoff"] >= task.scored_after]
            result = replace(result, frame=counted.reset_index(drop=True), n_windows=counted["cutoff"].nunique())
        results.append(result)
        rows.append(_line(result, task.season))
        frames.append(result.frame.assign(model=result.name).set_index("model"))
    if options.output:
        write(pd.concat(frames), options.output)
    if options.plot:
        draw(results[0].plot, options.plot)
    print(_heading(results[0]), end="\n\n")
    print(pd.concat(rows).to_string(float_format=lambda value: f"{value:.4g}"))
    return 0


def _heading(result: Any) -> str:
    first, last = result.frame["cutoff"].min(), result.frame["cutoff"].max()
    if result.n_windows == 1:
        return f"1 window of {result.horizon} rows, cutoff {first}"
    return f"{result.n_windows} windows of {result.horizon} rows, cutoffs from {first} to {last}"


def _line(result: Any, season: list[float] | None) -> pd.DataFrame:
    """The row of the table for one forecaster; all are scaled by the same season."""
    scores = result.scores(season_length=round(season[0]) if season else 1)
    line: pd.DataFrame = scores[["mase", "mae", "smape", "crps"]].rename(
        columns={"mase": "MASE", "mae": "MAE", "smape": "sMAPE", "crps": "CRPS"}
    )
    for level in result.level:
        line[f"in {level:g} %"] = 100 * scores[f"coverage-{level:g}"]
    line["seconds"] = sum(result.seconds.values())
    return line


def _of_file(options: argparse.Namespace) -> _Task:
    if options.horizon is None:
        options.refuse_usage("a FILE needs --horizon, the number of rows in a window")
    y = read_series(read_frame(options.file), target=options.target, time=options.time, id=options.id)
    return _Task(y, options.horizon, options.season, _windows(y, options.horizon, options), None)


def _of_dataset(options: argparse.Namespace) -> _Task:
    from ..datasets import load_dataset

    if given := [f"--{name}" for name in ("time", "id") if getattr(options, name)]:
        options.refuse_usage(f"a --dataset knows its columns: {' and '.join(given)} is for a FILE")
    data, card = load_dataset(options.dataset, progress=True)
    y = _column(data, card.name, options.target)
    horizon: int | None = options.horizon or card.horizon
    if horizon is None:
        raise InputError(f"{card.name} has no customary horizon; pass --horizon.")
    known = None if card.season_length == 1 else card.season_length
    season = options.season or (None if known is None else [known])
    published = {"train", "test"} <= set(card.split) and card.family != "classic"
    if options.windows or options.refit or not published or y.index.nlevels > 1:
        return _Task(y, horizon, season, _windows(y, horizon, options), None)
    positions = range(len(y))
    n_train, test = len(positions[card.split["train"]]), positions[card.split["test"]]
    if horizon > len(test):
        raise TooShortError(
            f"{card.name} has {len(test)} test rows, fewer than the horizon of {horizon}. Pass --windows."
        )
    windows = 1 + (test.stop - n_train - horizon) // (options.step or horizon)
    return _Task(y[: test.stop], horizon, season, windows, y.index[test.start - 1])


def _column(data: pd.Series | pd.DataFrame, name: str, target: str | None) -> pd.Series:
    """The column to forecast of a data set."""
    if isinstance(data, pd.Series):
        if target not in (None, data.name):
            raise InputError(f"{name} has the single column {data.name!r}, not {target!r}. Leave --target out.")
        return data
    if target not in data:
        what = f"no column {target!r}" if target else "several columns"
        raise InputError(f"{name} has {what}; name one of {', '.join(map(str, data.columns))} with --target.")
    return data[target]


def _windows(y: pd.Series, horizon: int, options: argparse.Namespace) -> int:
    """As asked, or as many windows as fit into the last fifth of the rows; one at least."""
    if options.windows:
        windows: int = options.windows
        return windows
    n_rows = y.index.get_level_values(-1).nunique()
    return min(max(1 + (n_rows // 5 - horizon) // (options.step or horizon), 1), MOST_WINDOWS)
