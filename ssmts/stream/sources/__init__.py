"""Sources of readings, one class each: lines of bytes, Parquet files, MQTT, Kafka."""

from ..formats import TIME_NAMES, delimiter_of
from ..readings import BadLine, Part, Reading
from .files import FollowedFile
from .lines import LineSource, Mark
from .parquet import ParquetSource

__all__ = [
    "TIME_NAMES",
    "BadLine",
    "FollowedFile",
    "LineSource",
    "Mark",
    "ParquetSource",
    "Part",
    "Reading",
    "delimiter_of",
]
