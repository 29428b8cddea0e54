"""Where a file of a public data set is: the data folder, the cache, or its public origin.

``files.csv`` lists every file by its path under the data folder, the SHA-256 of the published bytes and the public
address. A file without a known checksum is never downloaded.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import tempfile
from functools import cache
from http.client import HTTPException
from pathlib import Path
from typing import IO, NamedTuple
from urllib.error import HTTPError
from urllib.request import urlopen
from zipfile import BadZipFile, ZipFile

import pandas as pd

from ..exceptions import DataUnavailableError

TIMEOUT = 30.0  # seconds without a byte before a download is given up


class Origin(NamedTuple):
    """SHA-256 of a published file ("" if unknown) and its address; of an archive, the address of the archive."""

    sha256: str
    url: str


@cache
def origins() -> dict[str, Origin]:
    """Every known file, by its path under the data folder."""
    table = pd.read_csv(Path(__file__).with_name("files.csv"), keep_default_na=False)
    return {str(path): Origin(str(sha256), str(url)) for path, sha256, url in table.itertuples(index=False)}


def cache_folder() -> Path:
    """Folder of downloaded files: ``SSMTS_CACHE``, else the platform's cache folder."""
    if chosen := os.environ.get("SSMTS_CACHE"):
        return Path(chosen)
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "ssmts"


def on_disk(path: str) -> Path | None:
    """The file under ``SSMTS_DATA`` or in the cache; None if neither has it."""
    folders = [cache_folder()]
    if chosen := os.environ.get("SSMTS_DATA"):
        folders.insert(0, Path(chosen))
    return next((folder / path for folder in folders if (folder / path).is_file()), None)


def locate(path: str, *, progress: bool = False) -> Path:
    """The file on disk, downloaded into the cache if it is neither under ``SSMTS_DATA`` nor there.

    Raises
    ------
    DataUnavailableError
        The download failed, its checksum is wrong, or the public checksum is not known.
    """
    found = on_disk(path)
    if found is not None:
        return found
    origin = origins()[path]
    if not origin.sha256:
        raise DataUnavailableError(
            _advice(path, "it is not on disk, and no checksum is known to check a download against")
        )
    target = cache_folder() / path
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".download-") as folder:
            fresh = _download(origin, Path(folder), target.name, progress)
            os.replace(fresh, target)
    except DataUnavailableError as error:
        raise DataUnavailableError(_advice(path, str(error))) from error
    except (OSError, HTTPException, BadZipFile, KeyError) as error:
        if isinstance(error, HTTPError):  # it holds the connection
            error.close()
        raise DataUnavailableError(_advice(path, f"the download failed: {error}")) from error
    return target


def _download(origin: Origin, folder: Path, name: str, progress: bool) -> Path:
    """Fetch one file, out of its archive if it lies in one, and check its bytes."""
    fresh = folder / "fetched"
    with urlopen(origin.url, timeout=TIMEOUT) as response, fresh.open("wb") as sink:
        _copy(response, sink, response.headers.get("Content-Length"), name, progress)
    if origin.url.endswith(".zip") and not name.endswith(".zip"):
        with ZipFile(fresh) as archive:
            member = next((member for member in archive.namelist() if member.rpartition("/")[2] == name), name)
            fresh = Path(archive.extract(member, folder))
    with fresh.open("rb") as source:
        received = hashlib.file_digest(source, "sha256").hexdigest()
    if received != origin.sha256:
        raise DataUnavailableError(f"the bytes received have SHA-256 {received}, expected {origin.sha256}")
    return fresh


def _copy(source: IO[bytes], sink: IO[bytes], size: str | None, name: str, progress: bool) -> None:
    from tqdm.auto import tqdm  # here: most sessions download nothing

    total = int(size) if size else None
    with tqdm.wrapattr(source, "read", total=total, desc=name, disable=not progress) as watched:
        shutil.copyfileobj(watched, sink)


def _advice(path: str, reason: str) -> str:
    url = origins()[path].url
    unpack = " and unpack it" if url.endswith(".zip") else ""
    data = os.environ.get("SSMTS_DATA")
    place = Path(data) / path if data else cache_folder() / path
    other = "" if data else f", or at {path} in a folder that the environment variable SSMTS_DATA names"
    return f"{path} could not be had: {reason}. Fetch {url}{unpack}, then put the file at {place}{other}."
