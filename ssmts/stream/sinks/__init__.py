"""Sinks of answers, one class each: lines, files, MQTT, Kafka, webhooks."""

from ..answer import json_line
from ..records import record_lines
from ._sink import Several, Sink, Undelivered
from .kafka import KafkaSink
from .lines import JsonFile, JsonLines
from .mqtt import MqttSink
from .webhook import Webhook

__all__ = [
    "JsonFile",
    "JsonLines",
    "KafkaSink",
    "MqttSink",
    "Several",
    "Sink",
    "Undelivered",
    "Webhook",
    "json_line",
    "record_lines",
]
