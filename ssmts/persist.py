"""Save and load fitted estimators: a versioned header and arrays in one zip file, no pickle.

The file holds ``header.json`` (what it is, what wrote it, the tree of parameters and state), one ``.npy`` member for each type of
array, and one of ``.safetensors`` for the weights of each network. Loading runs no code from the file: it builds objects of this
library's own classes, of NumPy and pandas, and, by way of skops, of scikit-learn.
"""

import io
import json
import os
import platform
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from . import __version__
from ._codec import PLAIN_RULES, Reader, Writer
from ._codec_objects import OBJECT_RULES, is_ours
from ._codec_pandas import PANDAS_RULES
from ._files import place, replace
from .exceptions import PersistError

__all__ = ["load", "save"]

FORMAT_VERSION = 1
_RULES = PLAIN_RULES + PANDAS_RULES + OBJECT_RULES
_HEADER = "header.json"
_SAMPLE = 1 << 17  # bytes that tell whether a member is worth compressing
_ADVICE = " Save the estimator again."


def save(estimator: Any, path: str | os.PathLike[str], *, data: bool = False) -> None:
    """Write an estimator to a file.

    Parameters
    ----------
    estimator : estimator of this library
        Fitted or not. To keep a scikit-learn Pipeline, save its forecaster.
    path : str or path-like
        Any suffix. An existing file is replaced only once the new one is complete.
    data : bool, default False
        Whether to write the training rows too. Without them the file is a few kilobytes, and predictions within the
        training rows, `decompose` and diagnostics need the rows to be passed again.

    Raises
    ------
    PersistError
        The estimator, or something it holds, cannot be written safely, or not there; the message names it. Nothing is written.

    See Also
    --------
    load

    Examples
    --------
    >>> import os, tempfile
    >>> import pandas as pd
    >>> import ssmts
    >>> from ssmts.persist import load, save
    >>> y = pd.Series([1.0, 3.0, 2.0], index=pd.period_range("2024", periods=3, freq="Y"))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "naive.ssmts")
    ...     save(ssmts.Naive().fit(y), path)
    ...     load(path).predict(1).tolist()
    [2.0]
    """
    if not is_ours(type(estimator)) or not hasattr(estimator, "get_params"):
        raise PersistError(
            f"Only estimators of ssmts can be saved; received {type(estimator).__name__}. Of a fitted pipeline save the last step, "
            "pipeline[-1], of a search best_estimator_; joblib saves them whole."
        )
    where = place(path)
    writer = Writer(_RULES, frozenset() if data else frozenset({"rows_"}))
    header = {
        "format": "ssmts",
        "format_version": FORMAT_VERSION,
        "library_version": __version__,
        "class": type(estimator).__name__,
        "data": bool(data),
        "versions": _versions(),
        "estimator": writer.encode(estimator),
    }
    replace(where, _pack(header, writer))


def load(path: str | os.PathLike[str]) -> Any:
    """Read an estimator from a file that `save` wrote.

    Parameters
    ----------
    path : str or path-like

    Returns
    -------
    estimator
        With the parameters and state it was saved with.

    Raises
    ------
    PersistError
        The file is foreign, truncated, damaged, or of a newer format; the message says which. No code of the file runs.

    See Also
    --------
    save
    """
    content = Path(path).read_bytes()
    header, arrays, blobs = _unpack(content, str(path))
    if "kind" in header:
        raise PersistError(f"{path} is no estimator but a {header['kind']}.")
    estimator = _decoded(header, "estimator", arrays, blobs, path)
    if not is_ours(type(estimator)) or not hasattr(estimator, "get_params"):
        raise PersistError(f"{path} is damaged: it holds no estimator.{_ADVICE}")
    return estimator


def pack(kind: str, content: Any) -> bytes:
    """Bytes of a file of another kind than an estimator, such as a checkpoint, under the same header and rules.

    Parameters
    ----------
    kind : str
    content : tree of plain values, arrays and objects of this library
    """
    writer = Writer(_RULES, frozenset({"rows_"}))
    header = {
        "format": "ssmts",
        "format_version": FORMAT_VERSION,
        "library_version": __version__,
        "kind": kind,
        "versions": _versions(),
        "content": writer.encode(content),
    }
    return _pack(header, writer, method=zipfile.ZIP_STORED)  # what is written every few seconds has to be quick


def unpack(kind: str, content: bytes, path: str) -> Any:
    """What `pack` was given.

    Raises
    ------
    PersistError
        The bytes are foreign, truncated, damaged, of another kind or of a newer format; the message says which.
    """
    header, arrays, blobs = _unpack(content, path, advice="")
    if header.get("kind") != kind:
        what = f"a {header['kind']}" if "kind" in header else f"the estimator {header.get('class')}"
        raise PersistError(f"{path} is no {kind} but {what}.")
    return _decoded(header, "content", arrays, blobs, path, advice="")


def _decoded(
    header: dict[str, Any],
    what: str,
    arrays: dict[str, np.ndarray],
    blobs: list[bytes],
    path: Any,
    advice: str = _ADVICE,
) -> Any:
    try:
        return Reader(_RULES, arrays, blobs).decode(header[what])
    except PersistError as error:
        wrote = f"ssmts {header.get('library_version')} wrote it, this is {__version__}"
        raise PersistError(f"{path} cannot be loaded: {error} ({wrote}.)") from error
    except Exception as error:
        raise PersistError(f"{path} is damaged: {type(error).__name__}: {error}.{advice}") from error


def _versions() -> dict[str, str]:
    import pandas
    import sklearn

    libraries = {"numpy": np, "pandas": pandas, "scikit-learn": sklearn}
    return {"python": platform.python_version(), **{name: each.__version__ for name, each in libraries.items()}}


def _pack(header: dict[str, Any], writer: Writer, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    parts: dict[str, list[Any]] = {
        _HEADER: [json.dumps(header, separators=(",", ":"), allow_nan=False).encode()],
    }
    for name, array in writer.arrays().items():
        start = io.BytesIO()
        np.lib.format.write_array_header_1_0(start, np.lib.format.header_data_from_array_1_0(array))
        parts[f"{name}.npy"] = [start.getvalue(), array.view(np.uint8).data]  # as np.save does, without a copy
    for number, (kind, blob) in enumerate(writer.blobs):
        parts[f"{number}.{kind}"] = [blob]
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method, compresslevel=9) as archive:
        for name, pieces in parts.items():  # a fixed date, so that equal estimators give equal files
            info = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            info.compress_type = method if _shrinks(pieces[-1]) else zipfile.ZIP_STORED
            info.file_size = sum(len(piece) for piece in pieces)
            with archive.open(info, "w") as member:
                for piece in pieces:
                    member.write(piece)
    return out.getvalue()


def _shrinks(content: bytes | memoryview) -> bool:
    """Whether compression saves half, by a sample of large contents: 16 MB of noise would cost a second for 5 %."""
    size = len(content)
    if size <= _SAMPLE:
        return True
    pieces = 32
    sample = b"".join(content[k * size // pieces : k * size // pieces + _SAMPLE // pieces] for k in range(pieces))
    return len(zlib.compress(sample, 1)) < 0.5 * len(sample)


def _unpack(
    content: bytes, path: str, advice: str = _ADVICE
) -> tuple[dict[str, Any], dict[str, np.ndarray], list[bytes]]:
    if not content.startswith(b"PK\x03\x04"):
        begins = f"it begins with {content[:8]!r}" if content else "it is empty"
        raise PersistError(f"{path} is no file of ssmts.persist.save: {begins}.")
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            names = archive.namelist()
            header: Any = json.loads(archive.read(_HEADER)) if _HEADER in names else None
            _check_header(header, path)
            arrays = {
                name.removesuffix(".npy"): np.load(io.BytesIO(archive.read(name)), allow_pickle=False)
                for name in names
                if name.endswith(".npy")
            }
            binary = (name for name in names if name.endswith((".skops", ".safetensors")))
            numbered = {int(name.partition(".")[0]): name for name in binary}
            blobs = [archive.read(numbered[i]) for i in range(len(numbered))]
    except PersistError:
        raise
    except Exception as error:
        raise PersistError(f"{path} is truncated or damaged: {error}.{advice}") from error
    return header, arrays, blobs


def _check_header(header: Any, path: str) -> None:
    if not isinstance(header, dict) or header.get("format") != "ssmts":
        raise PersistError(f"{path} is no file of ssmts.persist.save: a zip archive without a header of ssmts.")
    number = header["format_version"]
    if number > FORMAT_VERSION:
        raise PersistError(
            f"{path} has format {number}, written by ssmts {header.get('library_version')}; ssmts {__version__} "
            f"reads formats up to {FORMAT_VERSION}. Upgrade ssmts."
        )
