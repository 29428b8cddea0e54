"""What every sink can do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..answer import Answer
from ..incidents import News
from ..records import Record

__all__ = ["Several", "Sink", "Undelivered"]


class Undelivered(OSError):
    """Answers that nobody had confirmed when the watch had to end; a watch that goes on from its checkpoint sends them again."""


class Sink:
    """Where answers go."""

    def send(self, records: Sequence[Record]) -> None:
        """Hand records on at once."""
        raise NotImplementedError

    def alert(self, answers: Sequence[Answer], happened: Sequence[tuple[int, News]]) -> None:
        """Tell somebody, where that is what the sink is for; `send` gets the records besides."""

    def flush(self) -> None:
        """Return once all that was sent is safe: on the disk, or confirmed by who received it."""

    def state(self) -> Any:
        """What `go_on` needs so that after it nothing is missing and, where the sink can take back, nothing is double."""
        return None

    def go_on(self, state: Any) -> None:
        """Go on where a watch stopped that wrote this state into its checkpoint."""

    def close(self) -> None:
        """Deliver what can be delivered, and let go."""


class Several(Sink):
    """Sinks that all get the same."""

    def __init__(self, sinks: Sequence[Sink]) -> None:
        self.sinks = list(sinks)

    def send(self, records: Sequence[Record]) -> None:
        for sink in self.sinks:
            sink.send(records)

    def alert(self, answers: Sequence[Answer], happened: Sequence[tuple[int, News]]) -> None:
        for sink in self.sinks:
            sink.alert(answers, happened)

    def flush(self) -> None:
        for sink in self.sinks:
            sink.flush()

    def state(self) -> Any:
        return [sink.state() for sink in self.sinks]

    def go_on(self, state: Any) -> None:
        for sink, each in zip(self.sinks, state):
            sink.go_on(each)

    def close(self) -> None:
        for sink in self.sinks:
            sink.close()
