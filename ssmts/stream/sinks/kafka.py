"""Answers as messages of a Kafka topic, confirmed by it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from ..address import Address, Tls
from ..answer import Answer
from ..bell import Bell
from ..kafka_client import kafka_settings
from ..records import Record, record_lines
from ._sink import Sink, Undelivered

__all__ = ["KafkaSink"]

GRACE = 10.0  # seconds in which messages have to be confirmed once the watch is to end


class KafkaSink(Sink):
    """Produces a message for every answer, with the sensor as its key, idempotently.

    Parameters
    ----------
    address : Address
    bell : Bell
        Once it has rung, `flush` waits ten seconds at most.
    note : callable
        Called with a kind and a text about troubles with the connection.
    tls : Tls, optional
    settings : dict, optional
        Of librdkafka, beyond ours.
    """

    def __init__(
        self,
        address: Address,
        bell: Bell,
        note: Callable[[str, str], None],
        *,
        tls: Tls | None = None,
        settings: dict[str, str] | None = None,
    ) -> None:
        kafka, common = kafka_settings(address, tls or Tls(), settings or {}, note)
        self._address, self._bell = address, bell
        self._failed: str | None = None
        own = {"enable.idempotence": True, "message.timeout.ms": 0, "linger.ms": 5}
        self._producer = kafka.Producer(own | common)

    def send(self, records: Sequence[Record]) -> None:
        for record, line in zip(records, record_lines(records)):
            sensor = record.sensor if isinstance(record, Answer) else record.incident["sensor"]
            key = None if sensor is None else str(sensor).encode()
            while True:
                try:
                    self._producer.produce(self._address.topic, line.encode(), key, on_delivery=self._delivered)
                    break
                except BufferError:  # back-pressure: its queue is full
                    self._producer.poll(0.1)
                    self._give_up()
        self._producer.poll(0)
        self._check()

    def flush(self) -> None:
        until = None
        while self._producer.flush(0.2):
            if self._bell.wait(seconds=0):
                until = until or time.monotonic() + GRACE
                if time.monotonic() > until:
                    raise Undelivered(f"{len(self._producer)} message(s) were not confirmed by {self._address}")
        self._check()

    def close(self) -> None:
        self._producer.flush(0.2)

    def _give_up(self) -> None:
        if self._bell.wait(seconds=0):
            self.flush()

    def _delivered(self, error: Any, message: Any) -> None:
        if error is not None:
            self._failed = error.str()

    def _check(self) -> None:
        if self._failed is not None:
            raise Undelivered(f"{self._address} took no message: {self._failed}")
