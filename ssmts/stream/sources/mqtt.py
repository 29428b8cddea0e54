"""Messages of an MQTT broker, acknowledged once their answers are safe."""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from ...exceptions import InputError
from ..address import Address, Tls
from ..bell import Bell
from ..mqtt_client import mqtt_client
from ..readings import Item
from .messages import MessageSource

__all__ = ["MqttSource"]

MOST = 500  # messages taken at once
POLL = 0.1  # seconds
FULL = 10  # unacknowledged messages, half of what mosquitto gives at once by default
FIRST, LONGEST = 0.2, 10.0  # seconds before the first and between later attempts to connect; they double


class MqttSource(MessageSource):
    """Readings from the messages of a topic, which may have wildcards.

    The session is kept by the broker, and a message is acknowledged when its answers have been flushed, and stand in the checkpoint if
    there is one: what cannot be taken waits at the broker. Messages that the broker sends again are recognised, and left out, where they
    were answered before. Retained messages are old ones and are left out. A lost connection is built up again.

    Parameters
    ----------
    address : Address
    bell : Bell
        Ends the reading.
    note : callable
        Called with a kind and a text when the connection is lost and when it is there again.
    name : str
        Of the client, by which the broker knows its session; one a watch.
    version : {5, 3}, default 5
        Of MQTT: 5 or 3.1.1.
    tls : Tls, optional
    **how
        As in `LineParser`.
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
        **how: Any,
    ) -> None:
        super().__init__(**how)
        self._address, self._bell, self._note, self._version = address, bell, note, version
        self._client, self._how = mqtt_client(address, name, version, tls or Tls(), keep_session=True)
        self._client.on_connect = self._on_connect
        self._client.on_disconnect = self._on_disconnect
        self._client.on_subscribe = self._on_subscribe
        self._client.on_message = lambda client, data, message: self._came.append(message)
        self._came: list[Any] = []
        self._taken: list[tuple[Any, str]] = []  # not acknowledged yet, and their digests
        self._owed: Counter[str] = Counter()  # answered, and not acknowledged before the connection was lost
        self._connected = self._subscribed = self._lost = False
        self._refused: str | None = None
        self._last = time.monotonic()  # when the last message came
        self._starved = False  # whether the broker had nothing more, the last time

    def __iter__(self) -> Iterator[list[Item]]:
        pause = FIRST
        while True:
            if self._client.socket() is None:
                if self._bell.wait(seconds=0):
                    return
                if not self._connect():
                    if self._bell.wait(seconds=pause):
                        return
                    pause = min(2 * pause, LONGEST)
                    yield []
                    continue
                pause = FIRST
            rung = self._gather()
            messages, self._came = self._came, []
            yield [item for message in messages for item in self._read(message)]
            if rung:
                return

    @property
    def hurry(self) -> bool:
        """Whether the broker may be waiting for acknowledgements."""
        if not self._starved or not self._taken:
            return False
        return len(self._taken) >= FULL or time.monotonic() - self._last > 5 * POLL

    def position(self) -> dict[str, Any]:
        """Digests of what has been answered and not been acknowledged."""
        owed = Counter(digest for _, digest in self._taken) + self._owed
        return {"owed": sorted(owed.elements()), "parser": self._parser.state()}

    def go_on(self, position: dict[str, Any]) -> None:
        """Go on at a position: the broker sends what was not acknowledged."""
        self._owed = Counter(position["owed"])
        self._parser.restore(position["parser"])

    def done(self) -> None:
        """Acknowledge what was taken."""
        taken, self._taken = self._taken, []
        for message, _ in taken:
            self._client.ack(message.mid, message.qos)
        self._write()

    def close(self) -> None:
        """Leave; the broker keeps the session."""
        self._client.on_disconnect = None
        if self._client.socket() is not None:
            self._client.disconnect()
            self._write()

    def _read(self, message: Any) -> list[Item]:
        digest = hashlib.blake2b(message.topic.encode() + b"\0" + message.payload, digest_size=8).hexdigest()
        if message.qos:
            self._taken.append((message, digest))
        if message.retain:
            return []
        if message.dup and self._owed[digest] > 0:
            self._owed[digest] -= 1
            return []
        return self._items(message.payload, f"{message.topic}/{digest}")

    def _gather(self) -> bool:
        """Wait for messages, and take those that are there; whether the bell has rung."""
        while len(self._came) < MOST and (socket := self._client.socket()) is not None:
            wait = 0.0 if self._came or _pending(socket) else 0.005 if self._taken else POLL
            writable = [socket] if self._client.want_write() else []
            if self._bell.wait([socket], wait, writable):
                return True
            before = len(self._came)
            self._client.loop_read()
            self._write()
            self._client.loop_misc()
            if self._refused is not None:
                raise InputError(f"{self._address} is refused: {self._refused}.")
            if len(self._came) == before:
                self._starved = not before
                break
            self._last, self._starved = time.monotonic(), False
        return False

    def _write(self) -> None:
        while self._client.want_write() and self._client.socket() is not None:
            self._client.loop_write()

    def _connect(self) -> bool:
        try:
            if self._lost:
                self._client.reconnect()
            else:
                self._client.connect(**self._how)
        except OSError as error:
            if not self._lost:
                self._note("connection", f"{self._address} cannot be reached ({error}); trying again")
            self._lost = True
            return False
        return True

    def _on_connect(self, client: Any, data: Any, flags: Any, reason: Any, properties: Any) -> None:
        if reason.is_failure:
            if not self._connected:  # a wrong password or version stays wrong
                self._refused = str(reason)
            return
        self._connected, self._lost = True, False
        client.subscribe(self._address.topic, qos=1)

    def _on_subscribe(self, client: Any, data: Any, mid: int, reasons: Any, properties: Any) -> None:
        if any(reason.is_failure for reason in reasons):
            self._refused = f"{self._address.topic}: {reasons[0]}"
        else:
            again = "again " if self._subscribed else ""
            self._subscribed = True
            self._note("started", f"{again}subscribed to {self._address}")

    def _on_disconnect(self, client: Any, data: Any, flags: Any, reason: Any, properties: Any) -> None:
        if self._connected and not self._lost:
            self._note("connection", f"the connection to {self._address} is lost ({reason}); trying again")
        self._lost = True
        # Their numbers are void now; the broker will send them again.
        self._owed += Counter(digest for _, digest in self._taken)
        self._taken.clear()
        came, self._came = self._came, []
        self._came = [message for message in came if not message.qos]


def _pending(socket: Any) -> bool:
    """Whether decrypted bytes are waiting, of which `select` knows nothing."""
    return bool(getattr(socket, "pending", lambda: 0)())
