"""Files with one value a row, as loggers write them, made tables with a column for every sensor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from .._timeaxis import check_present
from ..exceptions import InputError

__all__ = ["widened"]


def widened(frame: pd.DataFrame, stamps: pd.Index, long: Sequence[str], sensors: Sequence[str] | None) -> pd.DataFrame:
    """One column a sensor, in the order in which they appear, indexed by time; two values of one at one time make two rows.

    Rows may stand in any order. A row without a value says nothing.
    """
    sensor, value = long
    check_present(stamps)
    if (unnamed := frame[sensor].isna().to_numpy()).any():
        raise InputError(f"Row {int(unnamed.argmax())} has no name in {sensor!r}. Every value needs its sensor.")
    if not pd.api.types.is_numeric_dtype(frame[value].dtype):
        raise InputError(
            f"The column {value!r} holds {_odd(frame[value])}, which is no number. Leave such fields empty."
        )
    table = pd.DataFrame({"time": stamps, "sensor": frame[sensor].astype(str).to_numpy(), "value": frame[value].array})
    table = table.dropna(subset="value")
    names: list[Any] = list(pd.unique(table["sensor"]))
    if absent := [name for name in sensors or () if name not in names]:
        raise InputError(f"There is no sensor {absent[0]!r} in {sensor!r}; it has {names[:12]}. Correct --sensors.")
    table["nth"] = table.groupby(["time", "sensor"]).cumcount()
    wide = table.pivot_table("value", ["time", "nth"], "sensor", aggfunc="first").droplevel("nth")
    wide.index.name, wide.columns.name = stamps.name, None
    return wide[list(sensors or names)]


def _odd(column: pd.Series) -> str:
    text = column.dropna()
    return repr(str(text[pd.to_numeric(text, errors="coerce").isna()].iloc[0]))
