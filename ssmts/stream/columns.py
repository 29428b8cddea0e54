"""Rows of values as arrays, and what detectors say of them by column."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from .._containers import FloatArray

__all__ = ["counting_rows", "matrix", "most_of", "most_telling"]

IntArray = np.ndarray[Any, np.dtype[np.int64]]


def matrix(rows: Sequence[list[float]]) -> FloatArray:
    """Rows of values, NaN where a row has fewer than the last."""
    width = len(rows[-1]) if rows else 0
    if rows and len(rows[0]) != width:
        rows = [row + [math.nan] * (width - len(row)) for row in rows]
    return np.array(rows, dtype=np.float64).reshape(len(rows), width)


def counting_rows(detector: Any, sensors: Sequence[str] | None = None) -> Any:
    """A copy of a fitted detector that takes arrays, whatever it was fitted on, and knows the names of their columns."""
    copied = copy.copy(detector)
    copied.rows_ = copied.last_time_ = copied.trained_until_ = None
    if sensors is not None:
        copied.columns_ = tuple(sensors)
    return copied


def most_of(share: FloatArray) -> IntArray:
    """The sensor with the largest share of each row."""
    most: IntArray = np.argmax(np.where(np.isnan(share), -np.inf, share), axis=1)
    return most


def most_telling(parts: pd.DataFrame, n_sensors: int) -> tuple[IntArray, IntArray]:
    """Sensor with the largest share of each row of an explanation, and the position of its row there."""
    sensor = most_of(parts["share"].to_numpy().reshape(-1, n_sensors))
    return sensor, np.arange(len(sensor)) * n_sensors + sensor
