"""Sensors that have nothing to do with one another, in one detector: each is judged by itself, and none waits for the others."""

from __future__ import annotations

from abc import abstractmethod
from functools import partial
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np

from .._containers import FloatArray
from ..base_detector import SensorRows
from .calibration import Calibration, score_at
from .joint import nominal
from .normal_tail import innovation_at, log_p_innovations
from .robust import kernel
from .scored import ScoredDetector

_LIMITS: WeakKeyDictionary[Any, tuple[float, Calibration, FloatArray]] = WeakKeyDictionary()


class SensorScores(NamedTuple):
    """What a detector says of readings one by one, each ``(n_times, n_sensors)``.

    Attributes
    ----------
    alarm : bool
        Whether the sensor alone reaches the alarm level, ``log_p < offset_``; False where nothing was read.
    deviation : float
        Standardised innovation; NaN where nothing was read or nothing expected.
    log_p : float
        Log of the calibrated p-value of the sensor alone; NaN as `deviation`. Without rows unless asked for.
    """

    alarm: Any
    deviation: FloatArray
    log_p: FloatArray


class FleetDetector(ScoredDetector):
    """A detector that can also be asked for every sensor by itself; subclasses define `_filter` besides."""

    def update_sensors(self, X: Any, *, p_values: bool = True) -> SensorScores:
        """`update` for a fleet: many unrelated sensors, each with answers of its own and no work on what they have in common.

        The state moves as it does in `update`, and the answers for each sensor are those that a detector of its own would give. The
        alarm level of every reading is ``offset_``: with ``false_alarm_rate=1e-4``, a ten-thousandth of the normal readings of
        every sensor alarm.

        Parameters
        ----------
        X : DataFrame, Series or array of shape (n_times, n_sensors)
            Rows after the last one learnt.
        p_values : bool, default True
            Whether to return them too. Alarms alone come from a threshold on the innovation and cost a seventh of the time.

        Returns
        -------
        SensorScores
            Each reading is scored before it is learnt. All or nothing: an error changes nothing.

        Examples
        --------
        >>> import numpy as np
        >>> from ssmts import InnovationDetector
        >>> rng = np.random.default_rng(0)
        >>> X = rng.normal(size=(500, 1000)) + np.arange(1000.0)
        >>> detector = InnovationDetector(false_alarm_rate=1e-6).fit(X)
        >>> row = np.arange(1000.0)[None]
        >>> row[0, [7, 700]] += 9.0
        >>> np.flatnonzero(detector.update_sensors(row).alarm)
        array([  7, 700])
        """
        told: SensorScores = self._learn_rows(X, partial(self._sensors, p_values=p_values))
        return told

    def _sensors(self, state: Any, rows: SensorRows, *, p_values: bool) -> tuple[SensorScores, Any]:
        innovations, after = self._filter(state, rows)
        z = innovations.z
        if self.stages_ is None:
            alarm, log_p = np.empty(z.shape, dtype=np.bool_), np.empty(z.shape if p_values else (0, z.shape[1]))
            _beyond(z, self._limits(), alarm)
            if p_values:
                log_p_innovations(*self.joint_.sensors, z, log_p)
            return SensorScores(alarm, z, log_p), after
        log_p, _, moved = self.stages_.sensors.run(
            self.calibrations_.sensors, state.calibrations.sensors, nominal(z), learning=state.learning
        )
        after = after._replace(calibrations=state.calibrations._replace(sensors=moved))
        return SensorScores(log_p < self.offset_, z, log_p), after

    def _limits(self) -> FloatArray:
        """Innovation at which each sensor alone reaches the alarm level; kept, as it costs more than a row."""
        kept = _LIMITS.get(self)
        if kept is None or kept[0] != self.offset_ or kept[1] is not self.joint_.sensors:
            at = innovation_at(score_at(self.joint_.sensors, self.offset_))
            kept = _LIMITS[self] = self.offset_, self.joint_.sensors, at
        return kept[2]

    @abstractmethod
    def _filter(self, state: Any, rows: SensorRows, full: bool = False) -> tuple[Any, Any]:
        """Innovations of the rows, and the state after them."""


@kernel
def _beyond(z: FloatArray, limit: FloatArray, out: Any) -> None:
    for t in range(z.shape[0]):
        row, told = z[t], out[t]
        for i in range(row.size):
            told[i] = abs(row[i]) > limit[i]
