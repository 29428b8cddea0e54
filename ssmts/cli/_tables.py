"""Files to tables and back: which column is the time, which the target, which the series, which a sensor."""

from __future__ import annotations

import csv
import errno
import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from ..exceptions import InputError
from ..stream.formats import TIME_NAMES, all_values, delimiter_of, long_names
from ._long import widened
from ._stamps import reads_as_dates, stamps

__all__ = ["draw", "read_frame", "read_sensors", "read_series", "write"]

TARGET_NAMES = ("y", "value")
ID_NAME = "unique_id"
NO_TIME = "none"


def read_frame(path: str) -> pd.DataFrame:
    """Read a CSV or Parquet file as it stands; ``-`` is CSV on standard input."""
    if Path(path).suffix.lower() in (".parquet", ".pq"):
        return _parquet(path)
    source: Any = io.BytesIO(sys.stdin.buffer.read()) if path == "-" else path
    try:
        header = pd.read_csv(source, sep="\x1f", header=None, nrows=1, quoting=csv.QUOTE_NONE, dtype=str)
        if path == "-":
            source.seek(0)
        delimiter = delimiter_of(str(header.iloc[0, 0]))
        frame = pd.read_csv(source, sep=delimiter, skipinitialspace=True)
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path} is no UTF-8 text: {error.reason} at byte {error.start}. Convert it, e.g. with iconv."
        ) from error
    except pd.errors.EmptyDataError as error:
        raise InputError(f"{path} is empty. Pass a table with a header line.") from error
    except pd.errors.ParserError as error:
        raise InputError(f"{path} cannot be read as CSV: {str(error).strip()}.") from error
    if not isinstance(frame.index, pd.RangeIndex):
        raise InputError(
            f"{path} has rows with more fields than its header, {_listed(frame.columns)}. Give every column a name."
        )
    if not len(frame):
        raise InputError(f"{path} has no rows below its header, {_listed(frame.columns)}.")
    if all_values(list(frame.columns)):
        raise InputError(
            f"{path} begins with {_listed(frame.columns)}, which are values and no names. Put a line of names first."
        )
    return frame if delimiter == "," else frame.apply(_with_points)


def read_series(
    frame: pd.DataFrame, *, target: str | None = None, time: str | None = None, id: str | None = None
) -> pd.Series:
    """Find the series to forecast: indexed by time, or by (series, time) where a column tells several apart."""
    time = _time_column(frame, time)
    if id is None:
        id = ID_NAME if ID_NAME in frame and target != ID_NAME else None
    else:
        _check_there(frame, id, "--id")
    target = _target_column(frame, target, (time, id))
    index = _index(frame, time, id)
    if id is None and index.has_duplicates:
        _refuse_stacked(frame, time)
    if id is not None:
        index = pd.MultiIndex.from_arrays([frame[id], index], names=[id, index.name])
    return frame[target].set_axis(index)


def read_sensors(
    frame: pd.DataFrame,
    *,
    time: str | None = None,
    sensors: Sequence[str] | None = None,
    stamped: bool = True,
    long: Sequence[str] | None = None,
) -> pd.DataFrame:
    """Find the sensors, one a column, indexed by time; by the number of the row where stamps do not matter.

    Rows that hold one value each, of the sensor in a column of names (`long`, else by the usual names), are joined by their times.
    """
    for name in long or ():
        _check_there(frame, name, "--long")
    if names := long or long_names(list(frame.columns), sensors):
        rows = widened(frame, _times_of_values(frame, time, names), names, sensors)
        return rows if stamped else rows.reset_index(drop=True).rename_axis("row")
    time = _time_column(frame, time)
    for name in sensors or ():
        _check_there(frame, name, "--sensors")
    if not sensors:
        _refuse_stray_text(frame, time)
    chosen = list(sensors) if sensors else [name for name in _numeric(frame) if name != time]
    if not chosen:
        raise InputError(
            f"There is no column of numbers to watch among {_listed(frame.columns)}{_text_in(frame, time)}. "
            "Name one with --sensors."
        )
    return frame[chosen].set_axis(_index(frame, time if stamped else None, None))


def write(table: pd.DataFrame, path: str | None) -> None:
    """Write a table with its index as CSV, Parquet or JSON by the ending of the file; as CSV on standard output without one."""
    plain = table.reset_index()
    for name in plain.columns:
        if isinstance(plain[name].dtype, pd.PeriodDtype):
            plain[name] = plain[name].astype(str)
    kind = None if path is None else Path(path).suffix.lower()
    if kind == ".parquet":
        plain.to_parquet(path, index=False)
    elif kind == ".json":
        plain.to_json(path, orient="records", date_format="iso", date_unit="us", double_precision=15, indent=1)
    else:
        plain.to_csv(sys.stdout if path is None else path, index=False)


def draw(plot: Any, path: str) -> None:
    """Write the Axes that `plot` returns into a file."""
    try:
        import matplotlib
    except ImportError as error:
        raise ImportError("--plot needs matplotlib: pip install 'ssmts[plot]'") from error
    matplotlib.use("Agg")
    from matplotlib import pyplot

    axes = plot()
    figure = (axes if hasattr(axes, "figure") else axes.ravel()[0]).figure
    figure.savefig(path, dpi=130)
    pyplot.close(figure)


# columns ---------------------------------------------------------------------------------------------------------


def _parquet(path: str) -> pd.DataFrame:
    try:
        frame = pd.read_parquet(path)
    except FileNotFoundError as error:  # which pyarrow does not tell by its name
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path) from error
    except ValueError as error:
        raise InputError(f"{path} cannot be read as Parquet: {error}.") from error
    counted = isinstance(frame.index, pd.RangeIndex) and frame.index.name is None
    return frame if counted else frame.reset_index()


def _time_column(frame: pd.DataFrame, given: str | None) -> str | None:
    if given == NO_TIME and NO_TIME not in frame:
        return None
    if given is not None:
        _check_there(frame, given, "--time")
        return given
    named = [name for name in frame.columns if str(name).lower() in TIME_NAMES]
    if named:
        return str(named[0])
    dates = [name for name in frame.columns if name not in _numeric(frame) and reads_as_dates(frame[name])]
    if len(dates) > 1:
        raise InputError(
            f"Several columns could hold the stamps: {_listed(dates)}. Name one with --time, or --time none."
        )
    return dates[0] if dates else None


def _target_column(frame: pd.DataFrame, given: str | None, taken: tuple[str | None, ...]) -> str:
    if given is not None:
        _check_there(frame, given, "--target")
        return given
    left = [name for name in _numeric(frame) if name not in taken]
    named = [name for name in left if name.lower() in TARGET_NAMES]
    if len(named) == 1:
        return named[0]
    if len(left) == 1:
        return left[0]
    if not left:
        raise InputError(
            f"There is no column of numbers to forecast among {_listed(frame.columns)}{_text_in(frame, *taken)}. "
            "Name one with --target."
        )
    raise InputError(f"Several columns could be the target: {_listed(left)}. Name one with --target.")


def _check_there(frame: pd.DataFrame, name: str, option: str) -> None:
    if name not in frame:
        raise InputError(f"There is no column {name!r}; the file has {_listed(frame.columns)}. Correct {option}.")


def _numeric(frame: pd.DataFrame) -> list[str]:
    """Columns of numbers, but for those without a name, which count rows."""
    types = pd.api.types
    return [
        name
        for name, dtype in frame.dtypes.items()
        if isinstance(name, str)
        and types.is_numeric_dtype(dtype)
        and not types.is_bool_dtype(dtype)
        and not name.startswith("Unnamed: ")
        and name not in ("index", "rownames")
    ]


def _times_of_values(frame: pd.DataFrame, time: str | None, long: Sequence[str]) -> pd.Index:
    """Stamps of rows that hold one value each, which without them could not be joined."""
    time = _time_column(frame.drop(columns=list(long)), time)
    if time is None:
        raise InputError(
            f"Rows with one value each, of the sensor named in {long[0]!r}, are joined by their stamps, and there are none "
            f"among {_listed(frame.columns)}. Name their column with --time."
        )
    return stamps(frame[time])


def _refuse_stray_text(frame: pd.DataFrame, time: str | None) -> None:
    """Refuse a column that is left out only because of some text among its numbers: a sensor that nobody would miss."""
    for name in frame.columns.difference([*_numeric(frame), time], sort=False):
        text = frame[name].dropna()
        if not isinstance(name, str) or pd.api.types.is_bool_dtype(text.dtype) or reads_as_dates(text):
            continue
        odd = pd.to_numeric(text, errors="coerce").isna()
        if odd.any() and odd.mean() < 0.5:
            raise InputError(
                f"The column {name!r} holds {str(text[odd].iloc[0])!r} among its numbers, in row {text.index[odd][0]}. Leave such "
                "fields empty, or name the columns to watch with --sensors."
            )


def _index(frame: pd.DataFrame, time: str | None, id: str | None) -> pd.Index:
    if time is not None:
        return stamps(frame[time])
    rows = pd.RangeIndex(len(frame)) if id is None else pd.Index(frame.groupby(id).cumcount())
    return rows.rename("row")


def _with_points(column: pd.Series) -> pd.Series:
    """Numbers with a decimal comma, as they are written between semicolons, made numbers."""
    text = column.dropna().astype(str)
    if pd.api.types.is_numeric_dtype(column.dtype) or not text.str.fullmatch(r"[+-]?\d+(?:,\d+)?").all():
        return column
    return pd.to_numeric(column.astype("string").str.replace(",", ".")).astype("float64")


def _refuse_stacked(frame: pd.DataFrame, time: str | None) -> None:
    """Stamps that repeat because rows of several series stand in one file."""
    apart = [n for n in frame.columns if n not in (time, *_numeric(frame)) and not frame.duplicated([n, time]).any()]
    if apart:
        raise InputError(
            f"The stamps in {time!r} repeat, but not within each value of {_listed(apart)}. If that column tells several "
            "series apart, name it with --id."
        )


def _text_in(frame: pd.DataFrame, *known: str | None) -> str:
    """An example of what keeps columns from being numbers."""
    for name in frame.columns.difference([*_numeric(frame), *filter(None, known)], sort=False):
        text = frame[name].dropna()
        odd = text[pd.to_numeric(text, errors="coerce").isna()]
        if len(odd):
            return f" ({name!r} holds {str(odd.iloc[0])!r})"
    return ""


def _listed(names: Any, most: int = 12) -> str:
    texts = [repr(str(name)) for name in names]
    more = f" and {len(texts) - most} more" if len(texts) > most else ""
    return ", ".join(texts[:most]) + more
