"""The Numenta anomaly benchmark."""

from __future__ import annotations

import json

import pandas as pd
from pandas.tseries.frequencies import to_offset

from ._card import Card, Dataset
from ._catalogue import entries, file_of, match
from ._files import locate


def load_nab(name: str = "nyc_taxi", *, progress: bool = False) -> Dataset:
    """Load a series of the Numenta anomaly benchmark (NAB), version 1.1.

    Parameters
    ----------
    name : str, default "nyc_taxi"
        One of 58, as ``"realKnownCause/nyc_taxi"`` or ``"nyc_taxi"``; `list_datasets` has them all.
    progress : bool, default False
        Show a bar if a file has to be downloaded.

    Returns
    -------
    Dataset
        ``data``: Series of values with a DatetimeIndex. The rows are those of the file: 25 files have irregular stamps,
        7 repeat a stamp and ``machine_temperature_system_failure`` once goes back; `Series.sort_index` and
        ``y[~y.index.duplicated()]`` mend that where a model needs it. ``card.labels``: start and end of the labelled
        windows, both inside. ``card.split``: NAB ignores the first 15 % of the rows, 750 at most (``"probation"``).

    Raises
    ------
    DataUnavailableError
        A file is neither on disk nor could it be downloaded.

    References
    ----------
    Ahmad et al. (2017), "Unsupervised real-time anomaly detection for streaming data", Neurocomputing 262.
    https://github.com/numenta/NAB

    Examples
    --------
    >>> from ssmts.datasets import load_nab
    >>> data, card = load_nab("nyc_taxi")  # doctest: +SKIP
    >>> len(data), len(card.labels)  # doctest: +SKIP
    (10320, 5)
    """
    name = match(name, entries()["nab"], "NAB series")
    windows = json.loads(locate("nab/labels/combined_windows.json", progress=progress).read_text(encoding="utf-8"))
    path = locate(str(file_of("nab", name)), progress=progress)
    table = pd.read_csv(path, parse_dates=["timestamp"], dtype={"value": float})
    index = _with_freq(pd.DatetimeIndex(table["timestamp"], name="time"))
    labels = pd.DataFrame(windows[f"{name}.csv"], columns=["start", "end"], dtype=object).apply(pd.to_datetime)
    probation = int(0.15 * min(len(table), 5000))
    card = Card(
        name=name,
        family="nab",
        description=entries()["nab"][name]["description"],
        source="https://github.com/numenta/NAB (v1.1)",
        licence="MIT",
        freq=index.freqstr,
        split={"probation": slice(0, probation), "test": slice(probation, None)},
        labels=labels,
    )
    return Dataset(table["value"].set_axis(index), card)


def _with_freq(index: pd.DatetimeIndex) -> pd.DatetimeIndex:
    """The index with its frequency set, if every gap is the same."""
    gaps = index[1:] - index[:-1]
    if gaps[0] > pd.Timedelta(0) and (gaps == gaps[0]).all():
        return pd.DatetimeIndex(index, freq=to_offset(gaps[0]))
    return index
