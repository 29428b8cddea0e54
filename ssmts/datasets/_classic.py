"""Series of textbooks: those that come with statsmodels, and those of R."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np
import pandas as pd

from ._card import Card, Dataset, last_rows
from ._catalogue import entries, file_of, match
from ._files import locate

LAYOUT = ("file", "columns", "start")  # parts of an entry that say how to read the file


def load_classic(name: str = "nile", *, progress: bool = False) -> Dataset:
    """Load a series of the textbooks.

    Parameters
    ----------
    name : str, default "nile"
        ``nile`` (yearly), ``co2`` (weekly, with gaps), ``sunspots`` (yearly), ``elnino`` (monthly) and ``macrodata``
        (quarterly, 12 columns) come with statsmodels and need no file. The others are files: ``AirPassengers``,
        ``JohnsonJohnson``, ``LakeHuron``, ``Seatbelts``, ``UKDriverDeaths``, ``UKgas``, ``USAccDeaths``, ``WWWusage``,
        ``lh``, ``lynx``, ``nottem``, ``presidents``, ``sunspots_monthly``, ``taylor``, ``vehicle_fatalities``.
        Capitals do not matter.
    progress : bool, default False
        Show a bar if the file has to be downloaded.

    Returns
    -------
    Dataset
        ``data``: float64 Series, or DataFrame for ``macrodata``, ``Seatbelts`` and ``vehicle_fatalities`` (``norway``,
        ``finland``). Index: PeriodIndex for months, quarters and years, DatetimeIndex for ``co2`` and ``taylor``, the
        sample number from 1 for ``WWWusage`` and ``lh``.

    Raises
    ------
    DataUnavailableError
        The file is neither on disk nor could it be downloaded.

    Examples
    --------
    >>> from ssmts.datasets import load_classic
    >>> data, card = load_classic("co2")
    >>> data.index.freqstr, int(data.isna().sum()), card.season_length
    ('W-SAT', 59, 52.18)
    """
    name = match(name, entries()["classic"], "classic series")
    entry = entries()["classic"][name]
    path = file_of("classic", name)
    if path is None:
        table = _embedded(name)
    else:
        table = pd.read_csv(locate(path, progress=progress)).drop(columns=["rownames", "time", "date"], errors="ignore")
    table = table.rename(columns=entry.get("columns", {})).astype(float)
    table.index = _index(entry, table).rename("time")
    licence = "published figures; this file as distributed with R or its packages (GPL)"
    known = {key: value for key, value in entry.items() if key not in LAYOUT}
    card = Card(**{"licence": licence, **known}, name=name, family="classic", split=last_rows(entry["horizon"]))
    return Dataset(table.iloc[:, 0].rename(name) if table.shape[1] == 1 else table, card)


def _embedded(name: str) -> pd.DataFrame:
    table: pd.DataFrame = import_module(f"statsmodels.datasets.{name}").load_pandas().data
    values = table.drop(columns=["year", "quarter", "YEAR"], errors="ignore")
    if name == "elnino":  # a row a year, a column a month
        return pd.DataFrame({name: np.ravel(values)})
    return values


def _index(entry: dict[str, Any], table: pd.DataFrame) -> pd.Index:
    start, freq, n_times = entry.get("start"), entry.get("freq"), len(table)
    if start is None:  # statsmodels gives the stamps
        return table.index
    if freq is None:
        return pd.RangeIndex(start, start + n_times)
    if freq in ("M", "Q-DEC", "Y-DEC"):
        return pd.period_range(start, periods=n_times, freq=freq)
    return pd.date_range(start, periods=n_times, freq=freq)
