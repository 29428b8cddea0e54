"""Streams of sensor readings: where they come from, the loop that watches them, and where its answers go.

`sources` turns what arrives into readings, `arrange` puts them in order and joins them to rows, `watch` has a detector answer them, `sinks`
hands the answers on, `checkpoint` keeps what is needed to go on, and `loop` ties them together. Each knows nothing of the others'
files, so that a new source or sink is one class.
"""

from .address import Address, Tls
from .answer import Answer
from .arrange import Arrange
from .bell import Bell
from .checkpoint import Checkpoint
from .incidents import News, learn_usual
from .loop import begin, resume, run
from .notes import Notes
from .readings import BadLine, Part, Reading
from .sinks import JsonFile, JsonLines, KafkaSink, MqttSink, Several, Sink, Webhook
from .sources import FollowedFile, KafkaSource, LineSource, Mark, MqttSource, ParquetSource
from .stdin import SignalledInput
from .watch import Watch

__all__ = [
    "Address",
    "KafkaSink",
    "KafkaSource",
    "MqttSink",
    "MqttSource",
    "Tls",
    "Answer",
    "Arrange",
    "BadLine",
    "Bell",
    "Checkpoint",
    "FollowedFile",
    "JsonFile",
    "JsonLines",
    "LineSource",
    "Mark",
    "News",
    "Notes",
    "ParquetSource",
    "Part",
    "Reading",
    "Several",
    "SignalledInput",
    "Sink",
    "Watch",
    "Webhook",
    "begin",
    "learn_usual",
    "resume",
    "run",
]
