"""Parquet files row group by row group."""

import math
from itertools import islice

import numpy as np
import pandas as pd
import pytest

from ssmts.exceptions import InputError
from ssmts.stream import BadLine, Bell, ParquetSource, Part, Reading

DATA = pd.DataFrame(
    {
        "time": pd.date_range("2024-01-01", periods=2500, freq="s", tz="UTC"),
        "a": np.arange(2500.0),
        "n": np.arange(2500) % 7,
        "label": "x",
    }
)


@pytest.fixture
def bell():
    with Bell() as bell:
        yield bell


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "rows.parquet"
    frame = DATA.copy()
    frame.loc[3, "a"] = np.nan
    frame.loc[4, "a"] = np.inf
    frame.to_parquet(path, row_group_size=900)
    return str(path)


def items(source):
    return [item for block in source for item in block]


def test_columns_of_numbers_are_sensors(path, bell):
    source = ParquetSource(path, bell)
    found = items(source)
    assert source.sensors == ("a", "n")
    assert (source.lines, source.bad) == (2500, 1)
    assert found[2] == Reading(3, found[2].time, [2.0, 2.0])
    assert pd.Timestamp(found[2].time) == DATA["time"][2]
    assert math.isnan(found[3].values[0])
    assert found[4] == BadLine(5, "the column 'a' is infinite")
    assert [item.line for item in found] == list(range(1, 2501))


@pytest.mark.parametrize("blocks", [0, 1, 2, 3])
def test_a_position_is_gone_on_with(path, bell, blocks):
    whole = items(ParquetSource(path, bell))
    source = ParquetSource(path, bell)
    first = [item for block in islice(source, blocks) for item in block]
    other = ParquetSource(path, bell)
    other.go_on(source.position())
    assert repr(first + items(other)) == repr(whole)
    assert (other.lines, other.bad) == (2500, 1)


def test_long_files_and_named_columns(path, bell, tmp_path):
    frame = pd.DataFrame({"ds": [0, 0, 1], "unique_id": ["a", "b", None], "y": [1.0, 2.0, 3.0]})
    frame.to_parquet(tmp_path / "long.pq")
    found = items(ParquetSource(str(tmp_path / "long.pq"), bell))
    assert found == [Part(1, 0, [("a", 1.0)]), Part(2, 0, [("b", 2.0)]), BadLine(3, "the row names no sensor")]
    assert items(ParquetSource(path, bell, sensors=["n"]))[8].values == [1.0]
    with pytest.raises(InputError, match=r"no column 'z'.*--sensors"):
        ParquetSource(path, bell, sensors=["z"])


def test_other_files_are_refused(path, bell, tmp_path):
    (tmp_path / "no.parquet").write_text("time,a\n0,1\n")
    with pytest.raises(InputError, match="cannot be read as Parquet"):
        ParquetSource(str(tmp_path / "no.parquet"), bell)
    position = ParquetSource(path, bell).position()
    DATA[:10].to_parquet(tmp_path / "short.parquet")
    with pytest.raises(InputError, match="has 10 rows, that of the checkpoint has 2500"):
        ParquetSource(str(tmp_path / "short.parquet"), bell).go_on(position)
