"""Answers as messages of an MQTT broker, confirmed by it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from ..address import Address, Tls
from ..bell import Bell
from ..mqtt_client import mqtt_client
from ..records import Record, record_lines
from ._sink import Sink, Undelivered

__all__ = ["MqttSink"]

LINES = 100  # answers a message, at most
MOST = 1000  # messages that are not confirmed yet, beyond which the watch waits
GRACE = 10.0  # seconds in which they have to be confirmed once the watch is to end


class MqttSink(Sink):
    """Publishes answers with QoS 1, those of a block together: a message holds one or more lines of JSON.

    Messages that the broker has not confirmed are sent again when a lost connection is there again.

    Parameters
    ----------
    address : Address
    bell : Bell
        Once it has rung, `flush` waits ten seconds at most.
    note : callable
        Called with a kind and a text when the connection is lost, and when it is there again.
    name : str
        Of the client.
    version, tls
        As in `MqttSource`.
    """

    def __init__(
        self,
        address: Address,
        bell: Bell,
        note: Callable[[str, str], None],
        *,
        name: str,
        version: int = 5,
        tls: Tls | None = None,
    ) -> None:
        self._address, self._bell, self._note = address, bell, note
        self._client, how = mqtt_client(address, name, version, tls or Tls(), keep_session=False)
        self._sent = self._confirmed = 0
        self._change = threading.Condition()
        self._lost = False
        self._client.on_publish = self._on_publish
        self._client.on_connect = self._on_connect
        self._client.on_disconnect = self._on_disconnect
        self._client.reconnect_delay_set(1, 10)
        self._client.connect_async(**how)
        self._client.loop_start()

    def send(self, records: Sequence[Record]) -> None:
        for start in range(0, len(records), LINES):
            payload = "\n".join(record_lines(records[start : start + LINES]))
            with self._change:
                self._sent += 1
            self._client.publish(self._address.topic, payload.encode(), qos=1)
        if self._sent - self._confirmed > MOST:
            self.flush()

    def flush(self) -> None:
        last = None
        while True:
            with self._change:
                if self._change.wait_for(lambda: self._confirmed >= self._sent, 0.2):
                    return
            if self._bell.wait(seconds=0):
                last = last or time.monotonic() + GRACE
                if time.monotonic() > last:
                    raise Undelivered(
                        f"{self._sent - self._confirmed} message(s) were not confirmed by {self._address}"
                    )

    def close(self) -> None:
        self._client.on_disconnect = None
        self._client.disconnect()
        self._client.loop_stop()

    def _on_publish(self, client: Any, data: Any, mid: int, reason: Any, properties: Any) -> None:
        with self._change:
            self._confirmed += 1
            self._change.notify_all()

    def _on_connect(self, client: Any, data: Any, flags: Any, reason: Any, properties: Any) -> None:
        if reason.is_failure:
            self._note("connection", f"{self._address} refused the connection: {reason}")
        elif self._lost:
            self._lost = False
            self._note("connection", f"{self._address} is there again")

    def _on_disconnect(self, client: Any, data: Any, flags: Any, reason: Any, properties: Any) -> None:
        if not self._lost:
            self._lost = True
            self._note("connection", f"the connection to {self._address} is lost ({reason}); trying again")
