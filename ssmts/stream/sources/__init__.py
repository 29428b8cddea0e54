"""Sources of readings, one class each: lines of bytes, Parquet files, MQTT, Kafka."""

from ..formats import TIME_NAMES, delimiter_of
from ..readings import BadLine, Part, Reading
from .files import FollowedFile
from .kafka import KafkaSource
from .lines import LineSource, Mark
from .mqtt import MqttSource
from .parquet import ParquetSource

__all__ = [
    "TIME_NAMES",
    "BadLine",
    "FollowedFile",
    "KafkaSource",
    "LineSource",
    "Mark",
    "MqttSource",
    "ParquetSource",
    "Part",
    "Reading",
    "delimiter_of",
]
