"""The Skoltech anomaly benchmark."""

from __future__ import annotations

import pandas as pd

from ._card import Card, Dataset
from ._catalogue import entries, file_of, match
from ._files import locate

LABELS = ["anomaly", "changepoint"]


def load_skab(name: str = "valve1/1", *, progress: bool = False) -> Dataset:
    """Load an experiment of the Skoltech anomaly benchmark (SKAB), version 0.9.

    Parameters
    ----------
    name : str, default "valve1/1"
        ``"anomaly-free"``, ``"valve1/0"`` to ``"valve1/15"``, ``"valve2/0"`` to ``"valve2/3"``, ``"other/1"`` to
        ``"other/14"``.
    progress : bool, default False
        Show a bar if the file has to be downloaded.

    Returns
    -------
    Dataset
        ``data``: DataFrame of the 8 sensors of a water circulation test bed, about one row a second with gaps.
        ``card.labels``: ``anomaly`` and ``changepoint``, 0 or 1, indexed as the data; None for ``"anomaly-free"``.
        ``card.split``: the first 400 rows train.

    Raises
    ------
    DataUnavailableError
        The file is neither on disk nor could it be downloaded.

    References
    ----------
    Katser and Kozitsin (2020), "Skoltech Anomaly Benchmark (SKAB)". https://github.com/waico/SKAB

    Examples
    --------
    >>> from ssmts.datasets import load_skab
    >>> data, card = load_skab("valve1/1")  # doctest: +SKIP
    >>> list(card.labels)  # doctest: +SKIP
    ['anomaly', 'changepoint']
    """
    name = match(name, entries()["skab"], "SKAB experiment")
    path = locate(str(file_of("skab", name)), progress=progress)
    table = pd.read_csv(path, sep=";", index_col="datetime", parse_dates=["datetime"]).rename_axis("time")
    card = Card(
        name=name,
        family="skab",
        description=entries()["skab"][name]["description"],
        source="https://github.com/waico/SKAB (v0.9)",
        licence="GPL-3.0",
        split={"train": slice(0, 400), "test": slice(400, None)},
        labels=table[LABELS].astype(int) if set(LABELS) <= set(table) else None,
    )
    return Dataset(table.drop(columns=LABELS, errors="ignore"), card)
