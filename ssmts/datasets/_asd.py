"""The application server data set."""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..exceptions import DataUnavailableError
from ._card import Card, Dataset
from ._catalogue import entries, match
from ._files import locate, on_disk

METRICS = [f"m{number}" for number in range(1, 20)]


def load_asd(name: str = "omi-1", *, progress: bool = False) -> Dataset:
    """Load an entity of the application server data set (ASD): 19 metrics of a server, and which of them each anomaly shows in.

    Parameters
    ----------
    name : str, default "omi-1"
        ``"omi-1"`` to ``"omi-12"``.
    progress : bool, default False
        Show a bar if a file has to be downloaded.

    Returns
    -------
    Dataset
        ``data``: DataFrame of the metrics ``m1`` to ``m19``, scaled to 0 to 1 by the publisher, one row every five minutes. The
        publisher gives no stamps: the index counts rows. ``card.split``: 8,640 rows train (7,291 of omi-12), 4,320 test.
        ``card.labels``: a row for each anomaly, all of them in the test rows, with its first and last row in ``start, end``, both
        inside, and a column for each metric, 1 where the publisher's engineers saw the anomaly in it.

    Raises
    ------
    DataUnavailableError
        A file is not on disk: the published bytes of the metrics have no known checksum, so they are not downloaded. The message
        says where they are. They may lie in the data folder as published (``asd/processed/omi-1_train.pkl``), or as arrays
        in one archive ``asd/asd.npz``.

    References
    ----------
    Li et al. (2021), "Multivariate time series anomaly detection and interpretation using hierarchical inter-metric and temporal
    embedding", KDD 27. https://github.com/zhhlee/InterFusion

    Examples
    --------
    >>> from ssmts.datasets import load_asd
    >>> data, card = load_asd("omi-1")  # doctest: +SKIP
    >>> card.labels[["start", "end"]].iloc[0].tolist()  # doctest: +SKIP
    [9400, 9405]
    """
    name = match(name, entries()["asd"], "ASD entity")
    spans = locate(f"asd/interpretation_label/{name}.txt", progress=progress).read_text(encoding="utf-8").split()
    train, test = (_rows(f"{name}_{part}", progress) for part in ("train", "test"))
    values = np.vstack([train, test]).astype(np.float64)
    data = pd.DataFrame(values, pd.RangeIndex(len(values), name="time"), METRICS)
    card = Card(
        name=name,
        family="asd",
        description=entries()["asd"][name]["description"],
        source="https://github.com/zhhlee/InterFusion",
        licence="MIT",
        split={"train": slice(0, len(train)), "test": slice(len(train), None)},
        labels=pd.DataFrame([_label(span, len(train)) for span in spans]),
    )
    return Dataset(data, card)


def _label(text: str, first: int) -> dict[str, int]:
    """An anomaly such as ``760-765:4,5,7``, of the test rows, which begin at row `first`."""
    rows, _, metrics = text.partition(":")
    start, end = (first + int(row) for row in rows.split("-"))
    to_blame = {f"m{number}" for number in metrics.split(",")}
    return {"start": start, "end": end, **{metric: int(metric in to_blame) for metric in METRICS}}


def _rows(name: str, progress: bool) -> Any:
    """Rows of an entity's part, from one archive of arrays or as published."""
    archive = on_disk("asd/asd.npz")
    if archive is not None:
        with np.load(archive) as arrays:
            return arrays[name]
    return _unpickle(locate(f"asd/processed/{name}.pkl", progress=progress))


class _Arrays(pickle.Unpickler):
    """Reads arrays, and refuses whatever else a pickle may ask for."""

    def find_class(self, module: str, name: str) -> Any:
        """The few names that a pickled array consists of."""
        if module in ("numpy.core.multiarray", "numpy._core.multiarray") and name == "_reconstruct":
            return np._core.multiarray._reconstruct  # type: ignore[attr-defined]
        if module == "numpy" and name in ("ndarray", "dtype"):
            return getattr(np, name)
        if (module, name) == ("_codecs", "encode"):  # bytes in pickles that Python 2 can read
            return lambda text, encoding: text.encode(encoding)
        raise pickle.UnpicklingError(f"it asks for {module}.{name}, which is no part of an array")


def _unpickle(path: Path) -> Any:
    try:
        rows = _Arrays(io.BytesIO(path.read_bytes())).load()
    except (pickle.UnpicklingError, EOFError, ValueError, AttributeError, IndexError) as error:
        raise DataUnavailableError(
            f"{path} is not the array that was published: {error}. Fetch the file again."
        ) from error
    if not isinstance(rows, np.ndarray) or rows.ndim != 2 or rows.shape[1] != len(METRICS):
        raise DataUnavailableError(f"{path} does not hold rows of {len(METRICS)} metrics. Fetch the file again.")
    return rows
