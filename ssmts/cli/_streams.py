"""From the names of sources and sinks on the command line to the things themselves."""

from __future__ import annotations

import argparse
import hashlib
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..exceptions import InputError
from ..stream import (
    Address,
    Bell,
    FollowedFile,
    JsonFile,
    JsonLines,
    KafkaSink,
    KafkaSource,
    LineSource,
    MqttSink,
    MqttSource,
    Notes,
    ParquetSource,
    SignalledInput,
    Sink,
    Tls,
    Webhook,
)
from ..stream.address import has_password, shown

__all__ = ["bell_of", "describe", "sinks_of", "source_of", "warn_of_passwords"]

STANDARD = "-"
PATIENCE = 0.5  # seconds without a line after which a checkpoint may be written, and silence told


def bell_of(options: argparse.Namespace) -> Bell:
    """What signals ring: standard input itself, or a bell."""
    if _is_stdin(options):
        return SignalledInput(sys.stdin.fileno(), PATIENCE if options.checkpoint or options.live else None)
    return Bell()


def source_of(options: argparse.Namespace, bell: Bell, sensors: Sequence[str] | None, notes: Notes) -> Any:
    """The source that the command line names."""
    how: dict[str, Any] = {"time": options.time, "sensors": sensors, "long": options.long and tuple(options.long)}
    name = options.follow or options.source or STANDARD
    if Path(name).suffix.lower() in (".parquet", ".pq") and not options.follow and "://" not in name:
        return ParquetSource(name, bell, **how)
    others = options.new_sensors == "report" and options.sensors is None
    how |= {"format": options.format, "others": others, "adopt": options.new_sensors == "adopt"}
    if "://" in name and not options.follow:
        return _broker_source(name, options, bell, notes, how)
    read: Any = bell
    if not _is_stdin(options):
        read = FollowedFile(name, bell, follow=options.follow is not None, note=lambda text: notes("connection", text))
    return LineSource(read, again=options.again, **how)


def sinks_of(options: argparse.Namespace, bell: Bell, notes: Notes) -> list[Sink]:
    """The sinks that the command line names."""
    return [_sink(name, options, bell, notes) for name in options.to or [STANDARD]]


def describe(options: argparse.Namespace) -> dict[str, Any]:
    """What a checkpoint must agree with: the source and the sinks, without users and passwords."""
    source = options.follow or options.source or STANDARD
    return {"source": shown(source), "sinks": [shown(name) for name in options.to or [STANDARD]]}


def warn_of_passwords(options: argparse.Namespace, notes: Notes) -> None:
    """Say that a password on the command line can be read by others."""
    if any(has_password(name) for name in [options.source or STANDARD, *(options.to or ())]):
        notes.report(
            "a password in an address can be read by whoever lists the processes: put it into SSMTS_MQTT_PASSWORD or "
            "SSMTS_KAFKA_PASSWORD"
        )


def _broker_source(name: str, options: argparse.Namespace, bell: Bell, notes: Notes, how: dict[str, Any]) -> Any:
    if name.startswith(("http://", "https://")):
        raise InputError("http:// is no source: pass a file, mqtt:// or kafka://.")
    address = Address.parse(name)
    how |= {"name": options.client_id or _name(address), "tls": _tls(options)}
    if address.kind == "mqtt":
        return MqttSource(address, bell, notes, version=options.mqtt_version, **how)
    return KafkaSource(address, bell, notes, settings=dict(options.kafka_option or ()), **how)


def _sink(name: str, options: argparse.Namespace, bell: Bell, notes: Notes) -> Sink:
    if name == STANDARD:
        return JsonLines(sys.stdout.buffer)
    if name.startswith(("http://", "https://")):
        return Webhook(name, notes, bell=bell)
    if "://" not in name:
        return JsonFile(name)
    address = Address.parse(name)
    if address.kind == "kafka":
        return KafkaSink(address, bell, notes, tls=_tls(options), settings=dict(options.kafka_option or ()))
    own = f"{options.client_id or _name(address)}-answers"
    return MqttSink(address, bell, notes, name=own, version=options.mqtt_version, tls=_tls(options))


def _name(address: Address) -> str:
    """What a watch is called at a broker: the same each time on this machine, and another for other topics."""
    about = f"{socket.gethostname()} {address}"
    return f"ssmts-{hashlib.blake2b(about.encode(), digest_size=6).hexdigest()}"


def _tls(options: argparse.Namespace) -> Tls:
    return Tls(options.tls_ca, options.tls_cert, options.tls_key)


def _is_stdin(options: argparse.Namespace) -> bool:
    return not options.follow and options.source in (None, STANDARD)
