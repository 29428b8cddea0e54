"""``ssmts report``: one page about the incidents in a file."""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import ssmts

from ..exceptions import InputError
from ..report import write_report
from ..stream.watch import counting_rows
from ._detect import alarm_level, follows, numbered, saved_detector, training_rows
from ._tables import read_frame, read_sensors
from ._watch_arguments import DETECTORS

__all__ = ["run"]


def run(options: argparse.Namespace) -> int:
    """Write the page."""
    rows = numbered(read_sensors(read_frame(options.file), time=options.time, sensors=options.sensors))
    detector, asked = _of_model(options, rows) if options.model else _fitted(options, rows)
    title = options.title or ("standard input" if options.file == "-" else Path(options.file).name)
    times = rows.index if isinstance(asked, np.ndarray) else None
    write_report(detector, asked, options.html, title=title, times=times)
    return 0


def _fitted(options: argparse.Namespace, rows: pd.DataFrame) -> tuple[Any, Any]:
    """A detector fitted on the training rows, and the rows as it takes them: counted, where they do not go on after those."""
    detector = getattr(ssmts, DETECTORS[options.detector])(**alarm_level(options))
    training = training_rows(options, rows)
    if training.index.equals(rows.index[: len(training)]) or follows(rows, training):
        return detector.fit(training), rows
    detector.fit(_counted(training))
    detector.columns_ = tuple(training.columns)
    return detector, _counted(rows)


def _of_model(options: argparse.Namespace, rows: pd.DataFrame) -> tuple[Any, Any]:
    detector = saved_detector(options)
    n = detector.n_features_in_
    if rows.shape[1] != n:
        raise InputError(
            f"{options.file} has {rows.shape[1]} sensors, the model was fitted on {n}. Name them with --sensors, in its order."
        )
    if (detector.clock_ or ("",))[0] == "datetime":
        return detector, rows
    return counting_rows(detector, detector.columns_ or list(rows.columns)), _counted(rows)


def _counted(rows: pd.DataFrame) -> Any:
    return rows.to_numpy(dtype=np.float64, na_value=math.nan)
