"""Figures of a running watch, for Prometheus to collect."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Callable, Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

__all__ = ["Figure", "Latency", "MetricsServer", "exposition"]

BOUNDS = (1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 0.1, 0.25, 0.5, 1.0, 2.5)


class Latency:
    """A histogram of seconds, from a reading's arrival to its answer.

    Examples
    --------
    >>> latency = Latency()
    >>> latency.add(0.002, 10)
    >>> latency.count, latency.total, latency.buckets[BOUNDS.index(2.5e-3)]
    (10, 0.02, 10)
    """

    def __init__(self) -> None:
        self.buckets = [0] * (len(BOUNDS) + 1)
        self.count = 0
        self.total = 0.0

    def add(self, seconds: float, readings: int) -> None:
        """Count readings that took so long."""
        self.buckets[bisect_left(BOUNDS, seconds)] += readings
        self.count += readings
        self.total += seconds * readings


class Figure(NamedTuple):
    """One figure: its name, what it says, its kind and its value."""

    name: str
    help: str
    kind: str  # "counter" or "gauge"
    value: float


def exposition(figures: Iterable[Figure], latency: Latency) -> str:
    """Figures in the text format of Prometheus, version 0.0.4.

    Examples
    --------
    >>> print(exposition([Figure("readings_total", "Readings.", "counter", 7)], Latency()))
    # HELP ssmts_watch_readings_total Readings.
    # TYPE ssmts_watch_readings_total counter
    ...
    """
    lines = []
    for name, help, kind, value in figures:
        lines += [
            f"# HELP ssmts_watch_{name} {help}",
            f"# TYPE ssmts_watch_{name} {kind}",
            f"ssmts_watch_{name} {_number(value)}",
        ]
    name = "ssmts_watch_latency_seconds"
    lines += [f"# HELP {name} From the arrival of a reading to its answer.", f"# TYPE {name} histogram"]
    below = 0
    for bound, count in zip(BOUNDS, latency.buckets):
        below += count
        lines.append(f'{name}_bucket{{le="{bound:g}"}} {below}')
    lines += [
        f'{name}_bucket{{le="+Inf"}} {latency.count}',
        f"{name}_sum {latency.total!r}",
        f"{name}_count {latency.count}",
    ]
    return "\n".join(lines) + "\n"


class MetricsServer:
    """Serves a page of figures over HTTP, at ``/metrics``, in a thread of its own.

    Parameters
    ----------
    page : callable
        Returns the text.
    port : int
        0 takes a free one.
    host : str, default "127.0.0.1"

    Attributes
    ----------
    port : int
    """

    def __init__(self, page: Callable[[], str], port: int, host: str = "127.0.0.1") -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                found = self.path.partition("?")[0] in ("/", "/metrics")
                body = page().encode() if found else b"see /metrics\n"
                self.send_response(200 if found else 404)
                self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: Any) -> None:
                """Nothing: who collects figures needs no line for each time."""

        self._server = ThreadingHTTPServer((host, port), Handler)
        self._server.daemon_threads = True
        self.port = int(self._server.server_address[1])
        threading.Thread(target=self._server.serve_forever, name="metrics", daemon=True).start()

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()


def _number(value: float) -> str:
    if value != value:
        return "NaN"
    return repr(value) if type(value) is float else str(value)
