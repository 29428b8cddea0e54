"""Sensors that fall silent, and come back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .._containers import FloatArray

__all__ = ["Silence"]

PATIENCE = 100  # usual gaps without a value after which a sensor counts as silent


class Silence:
    """Tells once when a sensor has fallen silent, and when it is back.

    How long a gap is usual is known by the share of rows so far in which the sensor had a value.

    Parameters
    ----------
    note : callable
        Called with a kind and a text.

    Attributes
    ----------
    silent : list of bool
        By sensor.
    """

    def __init__(self, note: Callable[[str, str], None]) -> None:
        self._note = note
        self._rows = 0
        self._seen = self._quiet = np.zeros(0)
        self.silent: list[bool] = []

    def take(self, values: FloatArray, names: Sequence[str]) -> None:
        """Look at rows of values, (n_rows, n_sensors), NaN where there is none."""
        n, m = values.shape
        if len(self.silent) != m:
            more = m - len(self.silent)
            self._seen = np.append(self._seen, np.full(more, float(self._rows)))  # as if seen so far
            self._quiet = np.append(self._quiet, np.zeros(more))
            self.silent += [False] * more
        missing = np.isnan(values)
        self._rows += n
        if not missing.any() and not any(self.silent):
            self._seen += n
            self._quiet[:] = 0
            return
        there = n - missing.sum(axis=0)
        # Rows after the last value of each sensor.
        tail = np.where(there > 0, np.argmin(missing[::-1], axis=0), n)
        quiet = np.where(there > 0, tail, self._quiet + n)
        self._seen += there
        usual = self._rows / np.maximum(self._seen, 1.0)
        for j in np.flatnonzero((quiet >= PATIENCE * usual) != np.array(self.silent)).tolist():
            self.silent[j] = not self.silent[j]
            said = f"has been silent for {int(quiet[j])} rows" if self.silent[j] else "is back"
            self._note("sensors", f"the sensor {names[j]!r} {said}")
        self._quiet = quiet

    def state(self) -> dict[str, Any]:
        """What `go_on` needs."""
        return {"rows": self._rows, "seen": self._seen, "quiet": self._quiet, "silent": list(self.silent)}

    def go_on(self, state: dict[str, Any]) -> None:
        """Go on where another stopped."""
        self._rows, self._seen, self._quiet, self.silent = (state[name] for name in ("rows", "seen", "quiet", "silent"))
