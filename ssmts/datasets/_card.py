"""What every loader returns: the data and a card that says what they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import NamedTuple

import pandas as pd


@dataclass(frozen=True, repr=False)
class Card:
    """What a data set is, where it comes from and how it is meant to be used.

    Parameters
    ----------
    name, family : str
        Name to load it by, and the loader: ``"asd"``, ``"ett"``, ``"monash"``, ``"nab"``, ``"skab"`` or
        ``"classic"``.
    description, source, licence : str
        What was measured, who published it, under which terms.
    n_series : int
        Independent series; a frame of several columns is one multivariate series.
    freq : str or None
        pandas alias of the step; None where the stamps are irregular or plain integers.
    season_length : float or None
        Rows of the first season to model, 1 for none; None where the publisher names none.
    horizon : int or None
        Rows to forecast: that of the published protocol (ETT: the shortest of 96, 192, 336, 720), for classics a
        customary one.
    split : mapping of str to slice
        Row slices, for each series, of the published split.
    labels : DataFrame or None
        NAB: columns ``start, end``, one row per labelled window. SKAB: columns ``anomaly, changepoint`` (0 or 1),
        indexed as the data. ASD: ``start, end`` and a column for each sensor, 1 for those to blame.

    Examples
    --------
    >>> from ssmts.datasets import load_classic
    >>> flow, card = load_classic("nile")
    >>> card
    nile: Annual flow of the Nile at Aswan in 10^8 cubic metres, 1871 to 1970
      family         classic
      source         Cobb (1978), Biometrika 65; with statsmodels
      licence        public domain
      n_series       1
      freq           Y-DEC
      season_length  1
      horizon        6
      split          train [:-6], test [-6:]
    >>> len(flow.iloc[card.split["test"]])
    6
    """

    name: str
    family: str
    description: str
    source: str
    licence: str
    n_series: int = 1
    freq: str | None = None
    season_length: float | None = None
    horizon: int | None = None
    split: Mapping[str, slice] = field(default_factory=dict, hash=False)
    labels: pd.DataFrame | None = field(default=None, compare=False)

    def __repr__(self) -> str:
        shown = {f.name: getattr(self, f.name) for f in fields(self)[1:] if f.name != "description"}
        shown["split"] = ", ".join(f"{part} {_brackets(rows)}" for part, rows in self.split.items())
        if self.labels is not None:
            shown["labels"] = f"{len(self.labels)} rows of {', '.join(map(str, self.labels))}"
        lines = (f"  {name:<14} {value}" for name, value in shown.items() if value not in (None, ""))
        return "\n".join([f"{self.name}: {self.description}", *lines])


def _brackets(rows: slice) -> str:
    start, stop = ("" if edge is None else edge for edge in (rows.start, rows.stop))
    return f"[{start}:{stop}]"


class Dataset(NamedTuple):
    """Data and their card; unpacks as ``data, card = load_classic("nile")``.

    Parameters
    ----------
    data : Series or DataFrame
        Times in the index; a collection of series has a two-level index (series, time).
    card : Card
        What the data are.

    Examples
    --------
    >>> from ssmts.datasets import load_classic
    >>> load_classic("elnino").data.index[0]
    Period('1950-01', 'M')
    """

    data: pd.Series | pd.DataFrame
    card: Card


def last_rows(horizon: int) -> dict[str, slice]:
    """Split that tests on the last ``horizon`` rows of every series."""
    return {"train": slice(None, -horizon), "test": slice(-horizon, None)}
