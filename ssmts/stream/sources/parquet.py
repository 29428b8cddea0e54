"""Parquet files, row group by row group."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ...exceptions import InputError
from ..bell import Bell
from ..formats import long_names
from ..formats._values import listed, time_name
from ..readings import BadLine, Item, Part, Reading

__all__ = ["ParquetSource"]

BLOCK = 1000  # rows answered at once


class ParquetSource:
    """Readings from the rows of a Parquet file, with a column for every sensor, or with one of names and one of values.

    Parameters
    ----------
    path : str
    bell : Bell
        Ends the reading.
    time, sensors, long
        As in `LineParser`; unless named, sensors are the columns of numbers.

    Attributes
    ----------
    sensors : tuple of str or None
        None for a long file.
    lines, bad : int
        Rows read so far, and bad ones among them: those with an infinite value, or without a name.
    """

    acknowledges = hurry = False

    def __init__(
        self,
        path: str,
        bell: Bell,
        *,
        time: str | None = None,
        sensors: Sequence[str] | None = None,
        long: tuple[str, str] | None = None,
    ) -> None:
        self._path, self._bell = path, bell
        self._file = _open(path)
        schema = self._file.schema_arrow
        names = list(schema.names)
        self.time = time or time_name(names)
        self._long = long = long or long_names(names, sensors)
        self.sensors: tuple[str, ...] | None = None
        if long is None:
            numbers = [field.name for field in schema if _is_number(field.type) and field.name != self.time]
            self.sensors = tuple(sensors or numbers)
        wanted = [*(self.sensors or long or ()), *([self.time] if self.time else [])]
        if absent := [name for name in wanted if name not in names]:
            raise InputError(
                f"{path} has no column {listed(absent)}; its columns are {listed(names)}. "
                "Name those to read with --time, --sensors or --long."
            )
        if not wanted or self.sensors == ():
            raise InputError(f"{path} has no column of numbers among {listed(names)}.")
        self._wanted = wanted
        self.lines = 0
        self.bad = 0

    def appeared(self) -> list[str]:
        """None: the columns of a file stay."""
        return []

    def __iter__(self) -> Iterator[list[Item]]:
        first = 0
        for group in range(self._file.num_row_groups):
            count = self._file.metadata.row_group(group).num_rows
            if first + count <= self.lines:
                first += count
                continue
            for batch in self._file.iter_batches(BLOCK, row_groups=[group], columns=self._wanted):
                if first + len(batch) > self.lines:
                    if self._bell.wait(seconds=0):
                        return
                    yield self._items(batch.slice(max(self.lines - first, 0)))
                first += len(batch)

    def position(self) -> dict[str, Any]:
        """How many rows were read, of how many."""
        return {"rows": self.lines, "bad": self.bad, "of": self._file.metadata.num_rows}

    def go_on(self, position: dict[str, Any]) -> None:
        """Go on at a position."""
        if position["of"] != self._file.metadata.num_rows:
            raise InputError(
                f"{self._path} has {self._file.metadata.num_rows} rows, that of the checkpoint has {position['of']}. Pass the same file, "
                "or remove the checkpoint to begin anew."
            )
        self.lines, self.bad = position["rows"], position["bad"]

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def done(self) -> None:
        """Nothing: a file is not acknowledged."""

    def _items(self, batch: Any) -> list[Item]:
        times = [None] * len(batch) if self.time is None else _times(batch.column(self.time))
        lines = range(self.lines + 1, self.lines + len(batch) + 1)
        self.lines += len(batch)
        items: list[Item]
        if self._long is not None:
            names = batch.column(self._long[0]).to_pylist()
            values = _numbers(batch.column(self._long[1])).tolist()
            items = [
                BadLine(
                    line, f"the column {self._long[1]!r} is infinite" if name is not None else "the row names no sensor"
                )
                if math.isinf(value) or name is None
                else Part(line, time, [(str(name), value)])
                for line, time, name, value in zip(lines, times, names, values)
            ]
        else:
            assert self.sensors is not None
            table = np.column_stack([_numbers(batch.column(name)) for name in self.sensors])
            infinite = np.isinf(table)
            items = [Reading(*each) for each in zip(lines, times, table.tolist())]
            for row in np.flatnonzero(infinite.any(axis=1)).tolist():
                name = self.sensors[int(infinite[row].argmax())]
                items[row] = BadLine(lines[row], f"the column {name!r} is infinite")
        self.bad += sum(type(item) is BadLine for item in items)
        return items


def _open(path: str) -> Any:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise ImportError("Parquet files need pyarrow: pip install pyarrow") from error
    os.stat(path)  # an absent file is told of by its name
    try:
        return parquet.ParquetFile(path)
    except pyarrow.ArrowInvalid as error:
        raise InputError(f"{path} cannot be read as Parquet: {error}.") from error


def _is_number(kind: Any) -> bool:
    from pyarrow import types

    return bool(types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind))


def _numbers(column: Any) -> Any:
    return column.cast("float64", safe=False).to_numpy(zero_copy_only=False)


def _times(column: Any) -> list[Any]:
    """Stamps as text, numbers as they are."""
    from pyarrow import types

    return list(
        (column if _is_number(column.type) or types.is_string(column.type) else column.cast("string")).to_pylist()
    )
