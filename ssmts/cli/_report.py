"""``ssmts report``: one page about the incidents in a file."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..exceptions import InputError
from ..report import write_report
from ..stream.columns import counting_rows
from ._detect import counted, fitted, numbered, saved_detector
from ._tables import read_frame, read_sensors

__all__ = ["run"]


def run(options: argparse.Namespace) -> int:
    """Write the page."""
    rows = numbered(
        read_sensors(read_frame(options.file), time=options.time, sensors=options.sensors, long=options.long)
    )
    detector, asked = _of_model(options, rows) if options.model else fitted(options, rows)
    title = options.title or ("standard input" if options.file == "-" else Path(options.file).name)
    times = rows.index if isinstance(asked, np.ndarray) else None
    write_report(detector, asked, options.html, title=title, times=times)
    return 0


def _of_model(options: argparse.Namespace, rows: pd.DataFrame) -> tuple[Any, Any]:
    detector = saved_detector(options)
    n = detector.n_features_in_
    if rows.shape[1] != n:
        raise InputError(
            f"{options.file} has {rows.shape[1]} sensors, the model was fitted on {n}. Name them with --sensors, in its order."
        )
    if (detector.clock_ or ("",))[0] == "datetime":
        _refuse_known(options, rows.index, detector.last_time_)
        return detector, rows
    return counting_rows(detector, detector.columns_ or list(rows.columns)), counted(rows)


def _refuse_known(options: argparse.Namespace, index: pd.Index, last: Any) -> None:
    """Refuse rows that begin before those end that the model knows; scores of these were not saved."""
    zoned = isinstance(index, pd.DatetimeIndex) and (index.tz is None) == (last.tzinfo is None)
    if zoned and index[0] < last:
        raise InputError(
            f"{options.file} begins at {index[0]}, but the model has learnt rows until {last} and judges later ones only. Pass "
            "later rows, or learn from this file with --train."
        )
