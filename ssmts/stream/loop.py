"""The loop: from a source through order, detector and sinks, with a checkpoint every so often."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

from .answer import Answer
from .arrange import Arrange
from .checkpoint import Checkpoint
from .metrics import Latency
from .notes import Notes
from .readings import BadLine, Item, Reading, place
from .records import chosen
from .sinks import Sink
from .watch import Watch

__all__ = ["Source", "begin", "resume", "run"]


class Source(Protocol):
    """Where readings come from.

    Attributes
    ----------
    sensors : sequence of str or None
        Names of the values of whole readings.
    acknowledges : bool
        Whether `done` matters.
    hurry : bool
        Whether it should come soon.
    """

    acknowledges: bool

    @property
    def hurry(self) -> bool:
        """Whether `done` should come soon."""

    @property
    def sensors(self) -> Sequence[str] | None:
        """Names of the values of whole readings."""

    def __iter__(self) -> Iterator[list[Item]]:
        """Blocks of items as they come; an empty one where nothing has come for a while."""

    def appeared(self) -> list[str]:
        """Fields seen for the first time since the last call, that are no sensors."""

    def position(self) -> Any:
        """Where to go on after the last block."""

    def done(self) -> None:
        """All blocks so far are safe with the sinks, and in the checkpoint if there is one."""


def run(
    source: Source,
    watch: Watch,
    sink: Sink,
    report: Callable[[str], None] | Notes,
    *,
    arrange: Arrange | None = None,
    keep: Checkpoint | None = None,
    output: str = "readings",
    latency: Latency | None = None,
    left: Callable[[], bool] = lambda: False,
    live: bool = False,
) -> None:
    """Answer what a source yields until it ends.

    Parameters
    ----------
    source : Source
        Names the sensors, unless the watch knows them.
    watch : Watch
    sink : Sink
        Gets the answers of each block of readings before the next block is waited for.
    report : callable
        Called with a text for every bad line, and for what else is worth knowing.
    arrange : Arrange, optional
        Orders and joins readings; they are taken as they come unless given.
    keep : Checkpoint, optional
        Written when due, and at the end.
    output : {"readings", "incidents", "both"}, default "readings"
        What sinks get: an answer to each reading, news of incidents, or both; a webhook gets what it wants.
    latency : Latency, optional
        Told how long each block took.
    left : callable, optional
        Whether the source ended because it was left, so that readings held for their order stay in the checkpoint, if there is one.
    live : bool, default False
        Whether readings come as they are taken, so that incidents tell of a silent stream while it is silent. What they tell
        then depends on when readings arrive, not on their stamps alone.
    """
    notes = report if isinstance(report, Notes) else Notes(report)
    arrange = arrange or Arrange(notes)
    if watch.note is None:
        watch.note = notes
    heard = time.monotonic()
    for block in source:
        began = time.perf_counter()
        if block:
            heard = time.monotonic()
        elif live:
            watch.silence(time.monotonic() - heard)
            _send([], watch, sink, output)
        rows = arrange.take(_readings(block, notes), source.sensors)
        for name in source.appeared():
            notes("sensors", f"the field {name!r} appeared, and is not watched")
        _answer(rows, arrange, source, watch, sink, output)
        if latency is not None and rows:
            latency.add(time.perf_counter() - began, len(rows))
        if keep is None:
            if source.acknowledges and block:
                sink.flush()
                source.done()
        elif keep.due(len(rows)) or source.hurry:
            _write(keep, source, arrange, watch, sink)
    if keep is None or not left():
        _answer(arrange.rest(), arrange, source, watch, sink, output)
    if keep is not None:
        _write(keep, source, arrange, watch, sink)
    else:
        sink.flush()
        source.done()


def resume(content: Any, source: Any, arrange: Arrange, watch: Watch, sink: Sink) -> None:
    """Go on where the watch stopped whose checkpoint this is.

    Parameters
    ----------
    content : dict
        Of `Checkpoint.read`.
    source, arrange, watch, sink
        As in `run`.
    """
    source.go_on(content["source"])
    arrange.go_on(content["arrange"])
    watch.go_on(content["watch"])
    sink.go_on(content["sink"])


def _readings(block: Sequence[Item], notes: Notes) -> list[Any]:
    for item in block:
        if type(item) is BadLine:
            notes("bad", f"{place(item.line)}: {item.reason}")
    return [item for item in block if type(item) is not BadLine]


def _answer(rows: Sequence[Reading], arrange: Arrange, source: Source, watch: Watch, sink: Sink, output: str) -> None:
    if rows:
        names = arrange.names(source.sensors)
        if names is not None:
            watch.expect(names)
        _send(watch.answer(rows), watch, sink, output)


def _send(answers: Sequence[Answer], watch: Watch, sink: Sink, output: str) -> None:
    if answers or watch.happened:
        sink.send(chosen(output, answers, watch.happened))
        sink.alert(answers, watch.happened)


def begin(keep: Checkpoint, source: Any, arrange: Arrange, watch: Watch, sink: Sink) -> None:
    """Write a first checkpoint, before the first reading, so that a watch that is killed before the next one can go on, too."""
    _write(keep, source, arrange, watch, sink)


def _write(keep: Checkpoint, source: Source, arrange: Arrange, watch: Watch, sink: Sink) -> None:
    sink.flush()
    content = {
        "source": source.position(),
        "arrange": arrange.state(),
        "watch": watch.state(),
        "sink": sink.state(),
    }
    if keep.write(content):
        source.done()
