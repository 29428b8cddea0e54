"""What a watch reports besides its answers: in full at first, then by number only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

__all__ = ["Notes"]

IN_FULL = 100
NAMES = {
    "bad": "bad lines",
    "late": "late readings left out",
    "clock": "clocks set back",
    "sensors": "changes of sensors",
    "checkpoint": "checkpoints that failed",
    "webhook": "troubles with the webhook",
    "started": "connections",
    "connection": "troubles with the connection",
}


class Notes:
    """Hands texts on: the first hundred of a kind, and then a count whenever it has doubled, so that garbage does not fill a disk.

    Parameters
    ----------
    report : callable
        Called with a text.

    Attributes
    ----------
    counts : Counter
        By kind.

    Examples
    --------
    >>> texts = []
    >>> notes = Notes(texts.append)
    >>> for line in range(1000):
    ...     notes("bad", f"line {line}: not JSON")
    >>> len(texts), texts[0], texts[100:]
    (103, 'line 0: not JSON', ['200 bad lines so far', '400 bad lines so far', '800 bad lines so far'])
    """

    def __init__(self, report: Callable[[str], None]) -> None:
        self.report = report
        self.counts: Counter[str] = Counter()

    def __call__(self, kind: str, text: str) -> None:
        """Report a text of a kind."""
        self.counts[kind] += 1
        count = self.counts[kind]
        if count <= IN_FULL:
            self.report(text)
        elif count % IN_FULL == 0 and (count // IN_FULL).bit_count() == 1:
            self.report(f"{count} {NAMES[kind]} so far")
