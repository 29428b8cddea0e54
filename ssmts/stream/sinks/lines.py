"""Answers as lines of JSON, to a stream or to a file that can be cut back."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, BinaryIO

from ...exceptions import InputError
from ..records import Record, record_lines
from ._sink import Sink

__all__ = ["JsonFile", "JsonLines"]


class JsonLines(Sink):
    """Writes one JSON object a line for every answer, and flushes after each block.

    Parameters
    ----------
    file : binary file
    """

    def __init__(self, file: BinaryIO) -> None:
        self.file = file

    def send(self, records: Sequence[Record]) -> None:
        self.file.write("".join([line + "\n" for line in record_lines(records)]).encode("ascii"))
        self.file.flush()


class JsonFile(Sink):
    """Appends one JSON object a line to a file.

    The length of the file stands in the checkpoint: a watch that goes on cuts the file back to it, so that no answer is there twice.

    Parameters
    ----------
    path : str
        Made if it is not there.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        self._lines = JsonLines(os.fdopen(self._fd, "wb"))

    def send(self, records: Sequence[Record]) -> None:
        self._lines.send(records)

    def flush(self) -> None:
        os.fsync(self._fd)

    def state(self) -> Any:
        return {"bytes": os.fstat(self._fd).st_size}

    def go_on(self, state: Any) -> None:
        there = os.fstat(self._fd).st_size
        if there < state["bytes"]:
            raise InputError(
                f"{self.path} has {there} bytes, but {state['bytes']} had been written at the checkpoint. Put the file back, or remove "
                "the checkpoint to begin anew."
            )
        os.ftruncate(self._fd, state["bytes"])

    def close(self) -> None:
        self._lines.file.close()
