"""The numbers of a report, made few: least and largest reading of every stretch of rows, and single readings around incidents."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
import pandas as pd

from .._containers import FloatArray
from .._sensor_rows import Explained, SensorRows
from ..detection.usual import clock

__all__ = ["payload"]

MOST_STRETCHES, FEWEST_STRETCHES = 3000, 300  # of rows
BUDGET = 60_000  # stretches of all sensors together
AROUND, INSIDE = 60, 400  # rows before, after and within an incident that are drawn one by one
MOST_INCIDENTS = 100  # that are
FEW_SENSORS = 6  # all of them are then
MOST_ALARMS = 1000  # of a sensor that are marked
LEAST_P = 1e-16


def payload(rows: SensorRows, told: Explained, offset: float, incidents: pd.DataFrame) -> dict[str, Any]:
    """What the page draws, as JSON; arrays are base64 of little-endian numbers."""
    n, d = rows.values.shape
    times = clock(rows.index, n)
    stretches = min(n, max(min(BUDGET // d, MOST_STRETCHES), FEWEST_STRETCHES))
    starts = np.unique(np.linspace(0, n, stretches, endpoint=False).astype(int))
    step = float(np.median(np.diff(times))) if n > 1 else 1.0
    names = [str(i) for i in range(d)] if rows.columns is None else [str(name) for name in rows.columns]
    place = {name: i for i, name in enumerate(range(d) if rows.columns is None else rows.columns)}
    culprit = told.culprit(told.log_p < offset)
    offsets = np.array([np.median(v[~np.isnan(v)]) if (~np.isnan(v)).any() else 0.0 for v in rows.values.T])
    return {
        "stamped": isinstance(rows.index, pd.DatetimeIndex),
        "zone": _zone(rows.index),
        "single": len(starts) == n,
        "step": step,
        "edges": _pack(np.append(times[starts], times[-1] + step), "<f8"),
        "sensors": [
            {
                "name": names[i],
                "offset": float(offsets[i]),
                **_overview(
                    rows.values[:, i] - offsets[i], told.lower[:, i] - offsets[i], told.upper[:, i] - offsets[i], starts
                ),
                **_alarms(times, rows.values[:, i] - offsets[i], told.log_p, culprit[:, i]),
            }
            for i in range(d)
        ],
        "blame": _pack(_blame(told, offset, starts), "u1"),
        "incidents": [_span(each, place, rows.index) for each in incidents.to_dict("records")],
        "details": _details(rows, told, times, offsets, place, incidents),
    }


def _zone(index: Any) -> str | None:
    zone = getattr(index, "tz", None)
    return None if zone is None else str(zone)


def _pack(values: Any, kind: str) -> str:
    return base64.b64encode(np.ascontiguousarray(values).astype(kind).tobytes()).decode()


def _overview(y: FloatArray, lower: FloatArray, upper: FloatArray, starts: Any) -> dict[str, str]:
    """Least and largest reading of every stretch, and its mean range; NaN without a reading."""
    low, high = np.fmin.reduceat(y, starts), np.fmax.reduceat(y, starts)
    counts = np.diff(np.append(starts, len(y)))
    mean = [np.add.reduceat(bound, starts) / counts for bound in (lower, upper)]
    names = ("low", "high", "lower", "upper")
    return {name: _pack(values, "<f4") for name, values in zip(names, (low, high, *mean))}


def _alarms(times: FloatArray, y: FloatArray, log_p: FloatArray, blamed: Any) -> dict[str, str]:
    rows = np.flatnonzero(blamed & ~np.isnan(y))
    if len(rows) > MOST_ALARMS:
        rows = np.sort(rows[np.argsort(log_p[rows], kind="stable")[:MOST_ALARMS]])
    return {"alarm_times": _pack(times[rows], "<f8"), "alarms": _pack(y[rows], "<f4")}


def _blame(told: Explained, offset: float, starts: Any) -> Any:
    """Share in how strange a row is, the largest of every stretch, from 0 to 255 at twice the alarm level; sensor by sensor."""
    decades = np.minimum(told.log_p, 0.0) / min(2 * offset, -1e-9)
    blame = np.clip(np.nan_to_num(told.share), 0.0, 1.0) * decades[:, None]
    return np.round(255 * np.minimum(np.maximum.reduceat(blame, starts, axis=0), 1.0)).T


def _span(incident: dict[Any, Any], place: dict[Any, int], index: Any) -> dict[str, Any]:
    start, end = _numbers([incident["start"], incident["last_seen"]], index)
    return {
        "id": incident["id"],
        "kind": incident["kind"],
        "severity": incident["severity"],
        "sensors": [place[name] for name in incident["sensors"]],
        "start": start,
        "end": end,
    }


def _numbers(times: list[Any], index: Any) -> list[float]:
    """Times of incidents on the axis of the page."""
    if isinstance(index, pd.DatetimeIndex):
        return [float(time) for time in clock(pd.DatetimeIndex(times), len(times))]
    if index is None:
        return [float(time) for time in times]
    return [float(index.get_indexer([time], method="nearest")[0]) for time in times]


def _details(
    rows: SensorRows,
    told: Explained,
    times: FloatArray,
    offsets: FloatArray,
    place: dict[Any, int],
    incidents: pd.DataFrame,
) -> list[dict[str, Any]]:
    """Single readings around the beginning and the end of incidents."""
    out = []
    ranked = incidents.assign(rank=incidents["score"].fillna(0.0)).nsmallest(MOST_INCIDENTS, "rank")
    for incident in ranked.to_dict("records"):
        start, end = np.searchsorted(times, _numbers([incident["start"], incident["last_seen"]], rows.index))
        spans = [(start - AROUND, min(end, start + INSIDE) + AROUND)]
        if end > start + INSIDE:
            spans.append((end - AROUND, end + AROUND))
        for first, last in spans:
            part = slice(max(first, 0), min(last, len(times)))
            named = [place[name] for name in incident["sensors"]]
            for i in range(len(place)) if len(place) <= FEW_SENSORS else named:
                numbers = [a[part, i] - offsets[i] for a in (rows.values, told.lower, told.upper)]
                packed = dict(zip(("y", "lower", "upper"), (_pack(each, "<f4") for each in numbers)))
                out.append({"sensor": i, "times": _pack(times[part], "<f8"), **packed})
    return out
