"""The Monash time series forecasting archive and its file format."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from ..exceptions import InputError
from ._card import Card, Dataset, last_rows
from ._catalogue import entries, file_of, match
from ._files import locate

IntArray = np.ndarray[Any, np.dtype[np.int64]]
# A step of each header word: a number of numpy units. Months keep the day and hour of the first stamp.
STEPS = {
    "yearly": (12, "M"),
    "quarterly": (3, "M"),
    "monthly": (1, "M"),
    "weekly": (7, "D"),
    "daily": (1, "D"),
    "hourly": (1, "h"),
    "half_hourly": (30, "m"),
    "10_minutes": (10, "m"),
    "minutely": (1, "m"),
    "4_seconds": (4, "s"),
}


def load_monash(name: str = "m3_monthly", *, progress: bool = False) -> Dataset:
    """Load a collection of the Monash forecasting archive.

    Parameters
    ----------
    name : str, default "m3_monthly"
        ``m3_monthly``, ``tourism_monthly``, ``m4_hourly``, ``hospital``, ``fred_md``, ``us_births``, ``saugeenday``,
        ``solar_weekly``, ``electricity_weekly`` or ``nn5_daily``. For another file of the archive use `read_tsf`.
    progress : bool, default False
        Show a bar if the file has to be downloaded.

    Returns
    -------
    Dataset
        ``data``: Series with the two-level index (series, time). ``card.split``: the last ``card.horizon`` rows of
        every series are the test part.

    Raises
    ------
    DataUnavailableError
        The file is neither on disk nor could it be downloaded.

    References
    ----------
    Godahewa et al. (2021), "Monash time series forecasting archive", NeurIPS Datasets and Benchmarks.
    https://forecastingdata.org

    Examples
    --------
    >>> from ssmts.datasets import load_monash
    >>> data, card = load_monash("hospital")  # doctest: +SKIP
    >>> data.loc["T1"].iloc[:3].tolist()  # doctest: +SKIP
    [27.0, 16.0, 18.0]
    """
    name = match(name, entries()["monash"], "Monash data set")
    entry = {key: value for key, value in entries()["monash"][name].items() if key != "file"}
    data = read_tsf(locate(str(file_of("monash", name)), progress=progress)).rename(name)
    card = Card(
        name=name,
        family="monash",
        source="https://forecastingdata.org",
        licence="CC BY 4.0",
        split=last_rows(entry["horizon"]),
        **entry,
    )
    return Dataset(data, card)


def read_tsf(path: str | PathLike[str]) -> pd.Series:
    r"""Read a ``.tsf`` file of the Monash archive.

    Parameters
    ----------
    path : path-like
        The unpacked file.

    Returns
    -------
    Series
        Index (series, time), values float64, ``?`` as NaN. A series is named by the attribute ``series_name``, or by
        its attributes but for the start where that is absent. Stamps begin at ``start_timestamp`` and go on in steps
        of the header's ``@frequency``; they are row numbers from 0 where the file has no start or no frequency.

    Raises
    ------
    InputError
        The file is no such file, or a monthly series starts after the 28th, which has no unique next month.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from ssmts.datasets import read_tsf
    >>> text = "@attribute series_name string\n@attribute start_timestamp date\n@frequency monthly\n@data\n"
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder) / "small.tsf"
    ...     _ = file.write_text(text + "T1:1990-01-01 00-00-00:5,?,7\n")
    ...     y = read_tsf(file)
    >>> y.loc["T1"].tolist()
    [5.0, nan, 7.0]
    >>> y.index[-1]
    ('T1', Timestamp('1990-03-01 00:00:00'))
    """
    path = Path(path)
    file = _parse(path)
    lengths = np.array([len(series) for series in file.values])
    row = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    dated = file.frequency is not None and "start_timestamp" in file.table
    times = _stamps(file.table["start_timestamp"], lengths, row, str(file.frequency), path) if dated else row
    named = [column for column in file.table if column != "start_timestamp"]
    names = file.table["series_name"] if "series_name" in file.table else file.table[named].agg(" ".join, axis=1)
    index = pd.MultiIndex.from_arrays([names.repeat(lengths.tolist()), times], names=["series", "time"])
    return pd.Series(np.concatenate(file.values), index=index, name=path.stem)


class _File(NamedTuple):
    table: pd.DataFrame  # attributes, a row a series
    values: list[np.ndarray[Any, np.dtype[np.float64]]]
    frequency: str | None


def _parse(path: Path) -> _File:
    # cp1252 is the archive's encoding; the comments of a few files hold bytes that it leaves undefined.
    head, found, body = path.read_text(encoding="cp1252", errors="replace").partition("@data")
    words = [line.split() for line in head.splitlines() if line.startswith("@")]
    attributes = [word[1] for word in words if word[0] == "@attribute"]
    rows = [line.strip().split(":") for line in body.splitlines() if line.strip()]
    if not (found and rows and all(len(row) == len(attributes) + 1 for row in rows)):
        raise InputError(
            f"{path} cannot be read: after a line '@data' it should have rows of {len(attributes)} attributes and the "
            "values, separated by colons. Pass an unpacked .tsf file of the Monash archive."
        )
    try:
        values = [np.array(row[-1].replace("?", "nan").split(","), dtype=float) for row in rows]
    except ValueError as error:
        raise InputError(f"{path} cannot be read: {error}. Fetch the file anew.") from error
    frequency = next((word[1] for word in words if word[0] == "@frequency"), None)
    return _File(pd.DataFrame([row[:-1] for row in rows], columns=attributes), values, frequency)


def _stamps(start: pd.Series, lengths: IntArray, row: IntArray, frequency: str, path: Path) -> pd.DatetimeIndex:
    """Stamps of all rows of all series, one after another."""
    if frequency not in STEPS:
        raise InputError(f"{path} has the frequency {frequency!r}. Known are {', '.join(STEPS)}.")
    starts = pd.DatetimeIndex(pd.to_datetime(start, format="%Y-%m-%d %H-%M-%S"))
    count, unit = STEPS[frequency]
    if unit == "M" and (starts.day > 28).any():
        late = starts[starts.day > 28][0]
        raise InputError(f"{path} steps by months from {late:%Y-%m-%d}; only days up to the 28th are in every month.")
    first = starts.to_numpy().astype("datetime64[us]")
    base = first.astype(f"datetime64[{unit}]")
    stepped = (np.repeat(base, lengths) + row * count).astype("datetime64[us]")
    return pd.DatetimeIndex(stepped + np.repeat(first - base, lengths))
