"""Sinks of answers, one class each: lines, files, MQTT, Kafka, webhooks."""

from ..answer import json_line
from ._sink import Several, Sink
from .lines import JsonFile, JsonLines
from .webhook import Webhook

__all__ = ["JsonFile", "JsonLines", "Several", "Sink", "Webhook", "json_line"]
