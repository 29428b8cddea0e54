"""A report of a detector on one page: incidents, zoomable series, and who is to blame; readable without a network."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils.validation import check_is_fitted

from .._files import place, replace
from .._sensor_rows import SensorRows
from ..detection.incidents import find_incidents
from ..exceptions import InputError
from ._page import page
from ._series import payload

__all__ = ["html_report", "write_report"]


def html_report(detector: Any, X: Any, *, title: str = "Incidents", times: Any = None, **options: Any) -> str:
    """Write what a detector says of rows as one HTML page.

    The page has the facts of the run, a table of incidents that can be sorted, the readings of every sensor with their expected range and
    incidents, which can be zoomed by mouse, wheel, touch pad and keys, and a heat map of who is to blame. It loads nothing, and
    stays small: of many rows it draws the least and the largest reading of every stretch, and single readings around incidents.

    Parameters
    ----------
    detector : detector
        Fitted.
    X : DataFrame, Series or array of shape (n_times, n_sensors)
        As in ``detector.score_samples``.
    title : str, default "Incidents"
    times : Index, optional
        Stamps to show, one a row, where the detector counts rows.
    **options
        Of `ssmts.IncidentTracker`.

    Returns
    -------
    str

    Examples
    --------
    >>> import numpy as np
    >>> from ssmts import InnovationDetector
    >>> from ssmts.report import html_report
    >>> X = np.random.default_rng(0).normal(size=(300, 2))
    >>> html_report(InnovationDetector().fit(X[:200]), X[200:]).startswith("<!doctype html>")
    True
    """
    check_is_fitted(detector)
    rows = detector._read_fitted(X)
    told = detector._explained(rows)
    rows = SensorRows(rows.values, rows.index, detector.columns_)  # arrays have no names, their detector may
    incidents = find_incidents(detector, X, told, **options)
    if times is not None:
        rows, incidents = _stamped(rows, incidents, pd.Index(times), int(detector.usual_.until) + 1)
    return page(
        title, _facts(detector, rows, told, incidents), incidents, payload(rows, told, detector.offset_, incidents)
    )


def write_report(detector: Any, X: Any, path: str | os.PathLike[str], **options: Any) -> None:
    """Write `html_report` to a file, which is replaced only once the new one is complete.

    Parameters
    ----------
    detector, X, **options
        As in `html_report`.
    path : str or path-like
    """
    replace(place(path), html_report(detector, X, **{"title": Path(path).stem, **options}).encode())


def _stamped(rows: SensorRows, incidents: pd.DataFrame, times: pd.Index, first: int) -> tuple[SensorRows, pd.DataFrame]:
    """Rows and incidents that were counted, with stamps."""
    if len(times) != len(rows.values) or rows.index is not None:
        raise InputError(
            f"times are one a row, where the detector counts rows; received {len(times)} for {len(rows.values)} rows."
        )
    names = ["start", "detected", "last_seen", "end"]
    at = incidents[names].apply(lambda column: column.map(lambda row: times[int(row) - first], na_action="ignore"))
    return SensorRows(rows.values, times, rows.columns), incidents.assign(**at)


def _facts(detector: Any, rows: Any, told: Any, incidents: Any) -> dict[str, str]:
    """What is to be known of the run."""
    from .. import __version__

    n, d = rows.values.shape
    missing = float(np.isnan(rows.values).mean())
    facts = {
        "rows": f"{n:,} of {d:,} sensor{'s' if d != 1 else ''}",
        "times": "rows are numbered" if rows.index is None else f"{rows.index[0]} to {rows.index[-1]}",
        "no reading": f"{missing:.1%}",
        "detector": " ".join(repr(detector).split()),
        "alarm level": f"p < {np.exp(detector.offset_):.2g}",
        "rows in alarm": f"{int((told.log_p < detector.offset_).sum()):,}",
        "incidents": f"{len(incidents):,}",
    }
    if detector.rows_ is not None:
        known = detector.rows_
        until = "" if known.index is None else f", until {known.index[-1]}"
        facts["trained on"] = f"{len(known.values):,} rows{until}"
    return facts | {"written by": f"ssmts {__version__}"}
