"""Electricity transformer temperature."""

from __future__ import annotations

import pandas as pd

from ._card import Card, Dataset
from ._catalogue import entries, file_of, match
from ._files import locate


def load_ett(name: str = "ETTh1", *, progress: bool = False) -> Dataset:
    """Load electricity transformer temperature (ETT): six loads and the oil temperature ``OT``.

    Parameters
    ----------
    name : {"ETTh1", "ETTh2", "ETTm1", "ETTm2"}, default "ETTh1"
        Station 1 or 2, hourly or every 15 minutes.
    progress : bool, default False
        Show a bar if the file has to be downloaded.

    Returns
    -------
    Dataset
        ``data``: DataFrame of 17,420 rows (69,680 for the 15-minute sets) and 7 columns, DatetimeIndex with ``freq``.
        ``card.split``: train, validation and test rows of 12, 4 and 4 months of 30 days.

    Raises
    ------
    DataUnavailableError
        The file is neither on disk nor could it be downloaded.

    References
    ----------
    Zhou et al. (2021), "Informer", AAAI 35. https://github.com/zhouhaoyi/ETDataset

    Examples
    --------
    >>> from ssmts.datasets import load_ett
    >>> data, card = load_ett("ETTh1")  # doctest: +SKIP
    >>> data.loc["2016-07-01 00:00", "OT"]  # doctest: +SKIP
    30.5310001373291
    """
    name = match(name, entries()["ett"], "ETT data set")
    entry = entries()["ett"][name]
    path = locate(str(file_of("ett", name)), progress=progress)
    data = pd.read_csv(path, index_col="date", parse_dates=["date"]).rename_axis("time").asfreq(entry["freq"])
    card = Card(
        name=name,
        family="ett",
        source="https://github.com/zhouhaoyi/ETDataset",
        licence="CC BY-ND 4.0",
        **{**entry, "split": {part: slice(*rows) for part, rows in entry["split"].items()}},
    )
    return Dataset(data, card)
