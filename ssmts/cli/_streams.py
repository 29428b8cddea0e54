"""From the names of sources and sinks on the command line to the things themselves."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ..exceptions import InputError
from ..stream import (
    Bell,
    FollowedFile,
    JsonFile,
    JsonLines,
    LineSource,
    Notes,
    ParquetSource,
    SignalledInput,
    Sink,
    Webhook,
)

__all__ = ["bell_of", "describe", "sinks_of", "source_of"]

STANDARD = "-"
PATIENCE = 0.5  # seconds without a line after which a checkpoint may be written


def bell_of(options: argparse.Namespace) -> Bell:
    """What signals ring: standard input itself, or a bell."""
    if _is_stdin(options):
        return SignalledInput(sys.stdin.fileno(), PATIENCE if options.checkpoint else None)
    return Bell()


def source_of(options: argparse.Namespace, bell: Bell, sensors: Sequence[str] | None, notes: Notes) -> Any:
    """The source that the command line names."""
    how: dict[str, Any] = {"time": options.time, "sensors": sensors, "long": options.long and tuple(options.long)}
    name = options.follow or options.source or STANDARD
    if Path(name).suffix.lower() in (".parquet", ".pq") and not options.follow:
        return ParquetSource(name, bell, **how)
    others = options.new_sensors == "report" and options.sensors is None
    how |= {"format": options.format, "others": others, "adopt": options.new_sensors == "adopt"}
    read: Any = bell
    if not _is_stdin(options):
        read = FollowedFile(name, bell, follow=options.follow is not None, note=lambda text: notes("connection", text))
    return LineSource(read, again=options.again, **how)


def sinks_of(options: argparse.Namespace, notes: Callable[[str, str], None]) -> list[Sink]:
    """The sinks that the command line names."""
    return [_sink(name, notes) for name in options.to or [STANDARD]]


def describe(options: argparse.Namespace) -> dict[str, Any]:
    """What a checkpoint must agree with: the source and the sinks, without any password."""
    source = options.follow or options.source or STANDARD
    return {"source": source, "sinks": list(options.to or [STANDARD])}


def _sink(name: str, notes: Callable[[str, str], None]) -> Sink:
    if name == STANDARD:
        return JsonLines(sys.stdout.buffer)
    if name.startswith(("http://", "https://")):
        return Webhook(name, notes)
    if "://" in name:
        raise InputError(f"{name.partition('://')[0]}:// is no sink: pass a file, http:// or https://.")
    return JsonFile(name)


def _is_stdin(options: argparse.Namespace) -> bool:
    return not options.follow and options.source in (None, STANDARD)
