"""Messages of a Kafka topic, committed once their answers are safe."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

from ..address import Address, Tls
from ..bell import Bell
from ..kafka_client import kafka_settings
from ..readings import Item
from .messages import MessageSource

__all__ = ["KafkaSource"]

MOST = 1000  # messages taken at once
POLL = 0.1  # seconds
LOOK = 300.0  # seconds between two looks for new partitions


class KafkaSource(MessageSource):
    """Readings from the messages of a topic.

    Offsets are committed when answers have been flushed, and stand in the checkpoint if there is one; a watch that goes on from
    a checkpoint begins at the offsets in it. The watch reads all partitions and is alone in its group, so that nobody is waited for when
    it comes back after a kill.
    librdkafka fetches ahead up to its own limits (``queued.max.messages.kbytes``), and no further.

    Parameters
    ----------
    address : Address
    bell : Bell
        Ends the reading.
    note : callable
        Called with a kind and a text about troubles with the connection.
    name : str
        The consumer group, under which offsets are committed; one a watch.
    tls : Tls, optional
    settings : dict, optional
        Of librdkafka, beyond ours.
    **how
        As in `LineParser`.
    """

    hurry = False

    def __init__(
        self,
        address: Address,
        bell: Bell,
        note: Callable[[str, str], None],
        *,
        name: str,
        tls: Tls | None = None,
        settings: dict[str, str] | None = None,
        **how: Any,
    ) -> None:
        super().__init__(**how)
        kafka, common = kafka_settings(address, tls or Tls(), settings or {}, note)
        self._kafka, self._bell, self._note, self._address = kafka, bell, note, address
        own = {"group.id": name, "enable.auto.commit": False, "auto.offset.reset": "earliest"}
        self._consumer = kafka.Consumer(own | common)
        self._offsets: dict[int, int] = {}  # by partition: the next one to read
        self._committed: dict[int, int] = {}
        self._assigned: set[int] = set()
        self._look_again = 0.0  # when to look for new partitions

    def __iter__(self) -> Iterator[list[Item]]:
        while not self._bell.wait(seconds=0):
            if time.monotonic() > self._look_again and not self._assign():
                yield []
                continue
            first = self._consumer.poll(POLL)
            messages = [] if first is None else [first, *self._consumer.consume(MOST - 1, 0.0)]
            yield [item for message in messages for item in self._read(message)]

    def position(self) -> dict[str, Any]:
        """Offsets of the next messages."""
        return {
            "offsets": [[partition, offset] for partition, offset in self._offsets.items()],
            "parser": self._parser.state(),
        }

    def go_on(self, position: dict[str, Any]) -> None:
        """Go on at a position."""
        self._offsets = dict(position["offsets"])
        self._parser.restore(position["parser"])

    def done(self) -> None:
        """Commit the offsets."""
        new = {part: offset for part, offset in self._offsets.items() if self._committed.get(part) != offset}
        if new:
            try:
                self._consumer.commit(offsets=[self._place(*each) for each in new.items()], asynchronous=False)
            except self._kafka.KafkaException as error:
                self._note("connection", f"{self._address}: offsets were not committed: {error.args[0].str()}")
                return
            self._committed |= new

    def close(self) -> None:
        """Leave the group."""
        self._consumer.close()

    def _read(self, message: Any) -> list[Item]:
        if error := message.error():
            if error.code() != self._kafka.KafkaError._PARTITION_EOF:
                self._note("connection", f"{self._address}: {error.str()}")
            return []
        partition, offset = message.partition(), message.offset()
        if offset < self._offsets.get(partition, 0):  # answered already
            return []
        self._offsets[partition] = offset + 1
        return self._items(message.value() or b"", f"{message.topic()}/{partition}/{offset}")

    def _assign(self) -> bool:
        """Read all partitions that there are, each from where it was left."""
        self._look_again = time.monotonic() + LOOK
        try:
            found = self._consumer.list_topics(self._address.topic, timeout=5.0).topics[self._address.topic]
            if found.error is not None:
                raise self._kafka.KafkaException(found.error)
            new = sorted(found.partitions.keys() - self._assigned)
            if not new:
                return True
            for place in self._consumer.committed([self._place(part, 0) for part in new], timeout=10.0):
                if place.partition not in self._offsets and place.offset >= 0:
                    self._offsets[place.partition] = self._committed[place.partition] = place.offset
        except self._kafka.KafkaException as error:
            self._note("connection", f"{self._address}: {error.args[0].str()}")
            self._look_again = time.monotonic() + POLL
            self._bell.wait(seconds=10 * POLL)
            return False
        if not self._assigned:
            self._note("started", f"reading {self._address}")
        self._assigned |= set(new)
        start = self._kafka.OFFSET_BEGINNING
        self._consumer.incremental_assign([self._place(part, self._offsets.get(part, start)) for part in new])
        return True

    def _place(self, partition: int, offset: int) -> Any:
        return self._kafka.TopicPartition(self._address.topic, partition, offset)
