"""Streams of sensor readings: where they come from, the loop that watches them, and where its answers go.

`sources` turns lines into readings, `watch` has a detector answer them, `sinks` writes the answers. Each knows nothing of
the others' files, so that a new source or sink is one class.
"""

from .sinks import JsonLines
from .sources import BadLine, LineSource, Reading
from .stdin import SignalledInput
from .watch import Answer, Watch, run

__all__ = ["Answer", "BadLine", "JsonLines", "LineSource", "Reading", "SignalledInput", "Watch", "run"]
