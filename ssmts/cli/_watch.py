"""``ssmts watch``: readings from a stream, an answer to each."""

from __future__ import annotations

import argparse
import gc
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pandas as pd

from ..exceptions import InputError, TimeIndexError
from ..persist import save
from ..stream import Arrange, Checkpoint, Notes, Several, Watch, begin, learn_usual, resume
from ..stream import run as answer_all
from ..stream.figures import figures
from ..stream.metrics import Latency, MetricsServer, exposition
from . import INTERRUPTED, NO_READER, forget_stdout
from ._detect import counted, detector_of, saved_detector, settle_budget
from ._streams import bell_of, describe, sinks_of, source_of, warn_of_passwords
from ._tables import read_frame, read_sensors

__all__ = ["run"]


def run(options: argparse.Namespace) -> int:
    """Watch a stream until it ends."""
    notes = Notes(_report)
    warn_of_passwords(options, notes)
    keep = _checkpoint(options, notes)
    content = None if keep is None else keep.read()
    watch = _watch(options, notes) if content is None else _watch_of(content, options, notes)
    arrange = _arrange(options, watch, notes)
    code = 0
    with ExitStack() as stack:
        stack.enter_context(_few_collections())
        bell = stack.enter_context(bell_of(options))
        source = source_of(options, bell, watch.sensors, notes)
        stack.callback(source.close)
        sink = Several(sinks_of(options, bell, notes))
        stack.callback(sink.close)
        if content is not None:
            resume(content, source, arrange, watch, sink)
            _report(f"going on after {watch.readings} readings")
        elif keep is not None:
            begin(keep, source, arrange, watch, sink)
        latency = Latency()
        if options.metrics_port is not None:
            page = lambda: exposition(figures(source, arrange, watch, notes, keep), latency)  # noqa: E731
            stack.callback(_serve(options, page).close)
        try:
            answer_all(
                source,
                watch,
                sink,
                notes,
                arrange=arrange,
                keep=keep,
                output=options.output,
                latency=latency,
                left=lambda: bell.signal is not None,
                live=options.live,
            )
        except BrokenPipeError:
            forget_stdout()
            code = NO_READER
    _report(_summary(source, arrange, watch))
    _save(options, watch)
    return INTERRUPTED if bell.signal == signal.SIGINT else code


def _serve(options: argparse.Namespace, page: Callable[[], str]) -> MetricsServer:
    server = MetricsServer(page, options.metrics_port, options.metrics_host)
    _report(f"metrics at http://{options.metrics_host}:{server.port}/metrics")
    return server


@contextmanager
def _few_collections() -> Iterator[None]:
    """Look for cycles of garbage seldom, and not among what is there for good: readings make none, and the search took half the time."""
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


def _checkpoint(options: argparse.Namespace, notes: Notes) -> Checkpoint | None:
    if options.checkpoint is None:
        if options.every or options.again:
            options.refuse_usage("--every and --again are about a --checkpoint")
        return None
    seconds, rows = options.every or (None, None)
    return Checkpoint(options.checkpoint, seconds=seconds, rows=rows, about=describe(options), note=notes)


def _watch(options: argparse.Namespace, notes: Notes) -> Watch:
    """The watch that the command line describes."""
    more = _common(options, notes)
    if options.model is not None:
        return _of_model(options, more)
    if options.fit is None:
        settle_budget(options, None)
        return Watch(detector_of(options), warmup=options.warmup, sensors=options.sensors, **more)
    frame = read_frame(options.fit)
    how = {"time": options.time, "sensors": options.sensors, "long": options.long}
    rows = read_sensors(frame, **how, stamped=False)
    values = counted(rows)
    stamps = _stamps(frame, how)
    settle_budget(options, None if stamps is None else pd.DatetimeIndex(stamps))
    detector = detector_of(options).fit(values)
    usual = learn_usual(values, stamps)
    return Watch(detector, sensors=list(rows.columns), usual=usual, **more)


def _watch_of(content: Any, options: argparse.Namespace, notes: Notes) -> Watch:
    """A watch for the state in a checkpoint, which decides all that a new one would be asked for."""
    watch = Watch(detector_of(options), warmup=options.warmup, **_common(options, notes))
    watch.sensors = content["watch"]["sensors"]
    return watch


def _common(options: argparse.Namespace, notes: Notes) -> dict[str, Any]:
    """What every watch is told."""
    return {
        "new_sensors": options.new_sensors,
        "memory": options.warmup,
        "incidents": dict(options.incident or ()),
        "keys": _keys(options),
        "note": notes,
    }


def _stamps(frame: pd.DataFrame, how: dict[str, Any]) -> list[Any] | None:
    """Stamps of a file, in nanoseconds, where it has any that can be read; else its incidents are counted in rows."""
    try:
        index = read_sensors(frame, **how).index
    except (InputError, TimeIndexError):
        return None
    if not isinstance(index, pd.DatetimeIndex):
        return None
    return (index if index.tz is not None else index.tz_localize("UTC")).as_unit("ns").asi8.tolist()


def _keys(options: argparse.Namespace) -> bool:
    """Whether answers need keys: where one may come or be sent twice."""
    return any("://" in each for each in [options.source or "", *(options.to or ())])


def _of_model(options: argparse.Namespace, more: dict[str, Any]) -> Watch:
    detector = saved_detector(options)
    n = detector.n_features_in_
    if options.sensors and len(options.sensors) != n:
        raise InputError(f"--sensors names {len(options.sensors)} field(s), the model was fitted on {n}.")
    names: Any = options.sensors or detector.columns_
    return Watch(detector, sensors=None if names is None or None in names else [str(name) for name in names], **more)


def _arrange(options: argparse.Namespace, watch: Watch, notes: Notes) -> Arrange:
    late, align = (None if each is None else round(each * 1e9) for each in (options.late, options.align))
    return Arrange(
        notes,
        late=late,
        align=align,
        sensors=watch.sensors,
        closed=options.sensors is not None or options.new_sensors == "ignore",
    )


def _save(options: argparse.Namespace, watch: Watch) -> None:
    if not options.save:
        return
    if watch.warming:
        raise InputError(
            f"The stream ended after {watch.readings} readings, within the warm-up, so there is no detector to save. Pass a smaller "
            "--warmup, or --fit."
        )
    save(watch.detector, options.save)


def _summary(source: Any, arrange: Arrange, watch: Watch) -> str:
    order = arrange.order
    bad = source.bad + (order.unreadable if order else 0)
    late = f", {order.late} too late" if order and order.late else ""
    return f"{source.lines} lines, {watch.readings} readings, {bad} bad{late}, {watch.alerts} alerts, {watch.opened} incidents"


def _report(text: str) -> None:
    print(f"ssmts watch: {text}", file=sys.stderr, flush=True)
