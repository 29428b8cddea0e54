"""Which figures of a watch are served, and where they come from."""

from __future__ import annotations

import time
from typing import Any

from .arrange import Arrange
from .checkpoint import Checkpoint
from .clock import nanoseconds
from .metrics import Figure
from .notes import Notes
from .watch import Watch

__all__ = ["figures"]


def figures(source: Any, arrange: Arrange, watch: Watch, notes: Notes, keep: Checkpoint | None) -> list[Figure]:
    """The figures of a running watch, as `exposition` takes them."""
    order = arrange.order
    found = [
        Figure("lines_total", "Lines or rows read.", "counter", source.lines),
        Figure("readings_total", "Readings answered.", "counter", watch.readings),
        Figure(
            "bad_lines_total",
            "Lines that were no readings.",
            "counter",
            source.bad + (order.unreadable if order else 0),
        ),
        Figure(
            "late_readings_total",
            "Readings left out because they came too late.",
            "counter",
            order.late if order else 0,
        ),
        Figure("alerts_total", "Readings in alarm.", "counter", watch.alerts),
        Figure(
            "troubles_total",
            "Troubles with connections and webhooks.",
            "counter",
            notes.counts["connection"] + notes.counts["webhook"],
        ),
        Figure("incidents_total", "Incidents opened.", "counter", watch.opened),
        Figure("open_incidents", "Incidents that have not ended.", "gauge", watch.open),
        Figure("warming", "1 until the detector is fitted.", "gauge", int(watch.warming)),
        Figure("sensors", "Sensors watched.", "gauge", len(watch.sensors or ())),
        Figure("silent_sensors", "Sensors watched that have fallen silent.", "gauge", watch.quiet),
        Figure("lag_seconds", "Time since the stamp of the last reading answered.", "gauge", _lag(watch.last_time)),
    ]
    if keep is not None:
        found += [
            Figure("checkpoints_total", "Checkpoints written.", "counter", keep.written),
            Figure("checkpoint_failures_total", "Checkpoints that could not be written.", "counter", keep.failed),
            Figure("checkpoint_age_seconds", "Time since the last checkpoint.", "gauge", time.time() - keep.last),
        ]
    return found


def _lag(stamp: Any) -> float:
    try:
        return time.time() - nanoseconds(stamp) / 1e9
    except (ValueError, OverflowError):
        return float("nan")
