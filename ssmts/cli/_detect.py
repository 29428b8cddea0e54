"""``ssmts detect``: anomalies in a file."""

from __future__ import annotations

import argparse
import math
from typing import Any

import numpy as np
import pandas as pd

import ssmts

from .._budget import alarm_share
from .._containers import is_default_index
from .._sensor_rows import SensorRows
from ..exceptions import InputError, TooShortError
from ..stream.columns import most_telling
from ._arguments import FALSE_ALARM_RATE
from ._tables import draw, read_frame, read_sensors, write
from ._watch_arguments import DETECTORS

__all__ = ["counted", "detector_of", "fitted", "numbered", "run", "saved_detector"]


def run(options: argparse.Namespace) -> int:
    """Score the rows of a file."""
    rows = numbered(
        read_sensors(read_frame(options.file), time=options.time, sensors=options.sensors, long=options.long)
    )
    detector, asked = fitted(options, rows)
    table = _table(detector, asked, rows)
    if options.plot:
        draw(lambda: detector.plot(asked), options.plot)
    if options.save:
        from ..persist import save

        save(detector, options.save)
    write(table, options.output)
    return 0


def fitted(options: argparse.Namespace, rows: pd.DataFrame) -> tuple[Any, Any]:
    """A detector fitted on the training rows, and the rows as it takes them: counted, where they do not go on after those."""
    training = _training_rows(options, rows)
    settle_budget(options, training.index)
    detector = detector_of(options)
    if training.index.equals(rows.index[: len(training)]) or _follows(rows, training):
        return detector.fit(training), rows
    detector.fit(counted(training))
    detector.columns_ = tuple(training.columns)
    return detector, counted(rows)


def detector_of(options: argparse.Namespace) -> Any:
    """The detector that ``--detector`` names, at the alarm level asked for."""
    return getattr(ssmts, DETECTORS[options.detector])(**alarm_level(options))


def settle_budget(options: argparse.Namespace, index: Any) -> None:
    """Turn a budget of false alarms into a share of rows, by the stamps of training rows."""
    if isinstance(options.false_alarm_rate, str):
        interval = math.nan if index is None else SensorRows(np.empty((len(index), 0)), index).usual_interval
        try:
            options.false_alarm_rate = alarm_share(options.false_alarm_rate, interval)
        except InputError as error:
            options.refuse_usage(f"--false-alarm-rate {options.false_alarm_rate}: {error}")


def alarm_level(options: argparse.Namespace) -> dict[str, float]:
    """What the command line says of the alarm level, as arguments of a detector."""
    if options.contamination is not None:
        return {"contamination": options.contamination}
    rate = options.false_alarm_rate
    return {"false_alarm_rate": FALSE_ALARM_RATE if rate is None else rate}


def numbered(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows whose numbers, if they have no stamps, are meant: the first of them may be training rows."""
    return rows.set_axis(pd.Index(np.arange(len(rows)), name="row")) if is_default_index(rows.index) else rows


def counted(rows: pd.DataFrame) -> Any:
    """Readings alone, without stamps."""
    return rows.to_numpy(dtype=np.float64, na_value=math.nan)


def saved_detector(options: argparse.Namespace) -> Any:
    """The fitted detector in the file of ``--model``, at the alarm level asked for."""
    from ..base_detector import BaseDetector
    from ..persist import load

    detector = load(options.model)
    if not isinstance(detector, BaseDetector):
        raise InputError(
            f"{options.model} holds a {type(detector).__name__}, which detects nothing. Pass a saved detector."
        )
    if options.contamination is not None:
        options.refuse_usage(
            "--contamination is about training rows, and a saved --model has none; use --false-alarm-rate"
        )
    if not hasattr(detector, "offset_"):
        raise InputError(f"{options.model} holds a detector that is not fitted. Fit it before saving it.")
    if isinstance(options.false_alarm_rate, str):
        options.refuse_usage(
            f"--false-alarm-rate {options.false_alarm_rate} needs the stamps of training rows, and a saved --model has none; "
            "give a share such as 1e-4"
        )
    if options.false_alarm_rate is not None:
        detector.offset_ = math.log(options.false_alarm_rate)
    return detector


def _training_rows(options: argparse.Namespace, rows: pd.DataFrame) -> pd.DataFrame:
    """The rows to learn from: the first ones, those of another file, or all."""
    if options.train is None:
        return rows
    if not options.train.lstrip("+-").isdigit():
        frame, names = read_frame(options.train), list(rows.columns)
        wide = any(name in frame for name in names)
        return read_sensors(frame, time=options.time, sensors=names, long=None if wide else options.long)
    count = int(options.train)
    if not 0 < count <= len(rows):
        raise TooShortError(
            f"--train {count} asks for the first {count} rows, but the file has {len(rows)}. Pass 1 to {len(rows)}."
        )
    return rows[:count]


def _follows(rows: pd.DataFrame, training: pd.DataFrame) -> bool:
    """Whether the stamps of rows go on where those of the training rows end."""
    new, known = rows.index, training.index
    if (
        not isinstance(new, pd.DatetimeIndex)
        or not isinstance(known, pd.DatetimeIndex)
        or (new.tz is None) != (known.tz is None)
    ):
        return False
    return bool(new[0] >= known[-1])


def _table(detector: Any, asked: Any, rows: pd.DataFrame) -> pd.DataFrame:
    """Score, p-value, alert and the most telling sensor of each row; blank where no sensor was read."""
    score = detector.score_samples(asked)
    parts = detector.explain(asked)
    sensor, at = most_telling(parts, rows.shape[1])
    silent = rows.isna().all(axis=1).to_numpy()
    told = {name: parts[name].to_numpy()[at] for name in ("observed", "expected", "lower", "upper")}
    table = pd.DataFrame(
        {
            "score": score,
            "p_value": np.exp(score),
            "alert": score < detector.offset_,
            "sensor": rows.columns.take(sensor),
            **told,
        },
        index=rows.index,
    )
    table.loc[silent, ["score", "p_value", "sensor", *told]] = np.nan
    return table
