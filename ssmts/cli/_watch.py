"""``ssmts watch``: readings from standard input, an answer to each on standard output."""

from __future__ import annotations

import argparse
import math
import signal
import sys
from typing import Any

import numpy as np

from .. import InnovationDetector
from ..base_detector import BaseDetector
from ..exceptions import InputError
from ..persist import load, save
from ..stream import JsonLines, LineSource, SignalledInput, Watch
from ..stream import run as answer_all
from . import INTERRUPTED, NO_READER, forget_stdout
from ._detect import alarm_level
from ._tables import read_frame, read_sensors

__all__ = ["run"]


def run(options: argparse.Namespace) -> int:
    """Watch standard input until it ends."""
    watch = _watch(options)
    code = 0
    with SignalledInput(sys.stdin.fileno()) as read:
        source = LineSource(read, format=options.format, time=options.time, sensors=watch.sensors)
        try:
            answer_all(source, watch, JsonLines(sys.stdout.buffer), _report)
        except BrokenPipeError:
            forget_stdout()
            code = NO_READER
    _report(f"{source.lines} lines, {watch.readings} readings, {source.bad} bad, {watch.alerts} alerts")
    if options.save:
        if watch.warming:
            raise InputError(
                f"The stream ended after {watch.readings} readings, within the warm-up, so there is no detector to save. Pass a smaller "
                "--warmup, or --fit."
            )
        save(watch.detector, options.save)
    return INTERRUPTED if read.signal == signal.SIGINT else code


def _watch(options: argparse.Namespace) -> Watch:
    """The watch that the command line describes."""
    if options.model is not None:
        return _of_model(options)
    detector = InnovationDetector(**alarm_level(options))
    if options.fit is None:
        return Watch(detector, warmup=options.warmup, sensors=options.sensors)
    rows = read_sensors(read_frame(options.fit), time=options.time, sensors=options.sensors, stamped=False)
    detector.fit(rows.to_numpy(dtype=np.float64, na_value=math.nan))
    return Watch(detector, sensors=list(rows.columns))


def _of_model(options: argparse.Namespace) -> Watch:
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
    if options.false_alarm_rate is not None:
        detector.offset_ = math.log(options.false_alarm_rate)
    n = detector.n_features_in_
    if options.sensors and len(options.sensors) != n:
        raise InputError(f"--sensors names {len(options.sensors)} field(s), the model was fitted on {n}.")
    names: Any = options.sensors or detector.columns_
    return Watch(detector, sensors=None if names is None or None in names else [str(name) for name in names])


def _report(text: str) -> None:
    print(f"ssmts watch: {text}", file=sys.stderr, flush=True)
