"""Files that are written whole or not at all."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Any

from .exceptions import PersistError


def place(path: Any) -> Path:
    """Where a file can be written.

    Parameters
    ----------
    path : str or path-like

    Raises
    ------
    PersistError
        No path, a folder, or in a folder that is not there.
    """
    if not isinstance(path, str | os.PathLike) or not os.fspath(path):
        raise PersistError(f"{path!r} is no path of a file. Pass one, such as 'model.ssmts'.")
    where = Path(path)
    if where.is_dir():
        raise PersistError(f"{where} is a folder. Pass the path of a file, such as {str(where / 'model.ssmts')!r}.")
    if not where.parent.is_dir():
        raise PersistError(
            f"{where} cannot be written: there is no folder {where.parent}. Make it, or pass another path."
        )
    return where


def replace(path: Path, content: bytes) -> None:
    """Write a file so that readers see the old one or the new one, never a part.

    Parameters
    ----------
    path : Path
    content : bytes
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with open(temporary, "xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        _sync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def _sync(folder: Path) -> None:
    """Have the disk keep the names in a folder, too."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
