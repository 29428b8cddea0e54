"""The detector for those who do not want to choose one."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import Any, ClassVar, NamedTuple

import numpy as np
import pandas as pd
from sklearn.utils._param_validation import Interval

from .._containers import FloatArray
from .._form import IntArray
from ..base_detector import BaseDetector, Explained, SensorRows, shares
from ..exceptions import InputError
from . import covariance, extremes, profiles
from .covariance import Covariance
from .extremes import Extremes
from .profiles import Judgement, Views, ViewState
from .surprise import one_of, sidak

LEVEL, RANGE = 0.05, 0.001  # gains of the two levels: the last twenty readings, the last thousand
PROFILE = 0.1  # gain of profiles: the last ten cycles
FINEST, WEEK = 96, 168  # bins of a cycle at most, a quarter of an hour of a day; of one of a week and longer, an hour
COARSEST = 4  # rows in a cycle that make a profile worth keeping


class AutoModel(NamedTuple):
    """What every sensor is looked at for.

    Attributes
    ----------
    views : Views
        Level, range, and a profile for every period.
    periods : tuple of float
        Seconds.
    interval : float
        Usual seconds from row to row, NaN without a clock.
    related : Covariance or None
        Relations of the sensors' deviations from their ranges; None for a single sensor.
    """

    views: Views
    periods: tuple[float, ...]
    interval: float
    related: Covariance | None = None


class AutoState(NamedTuple):
    """What the detector knows after its last row.

    Attributes
    ----------
    views : ViewState
        Of every sensor.
    together : Extremes
        Of the distance of all sensors.
    stamp : float
        Seconds of the last row's stamp since 1970, NaN without a clock.
    """

    views: ViewState
    together: Extremes
    stamp: float


class AutoDetector(BaseDetector):
    """Anomalies in one or many sensors, with nothing to choose: the detector to start with.

    Every sensor is seen from several sides at once:

    * its level over the last twenty readings, and its range over the last thousand,
    * its profiles over the day and over the week, where rows carry a clock,
    * a chart for small lasting shifts, and one for readings that scatter more than they did, or less, as those of a stuck sensor.

    Many sensors are looked at together besides, by the distance of their deviations under the correlation of the training rows: a
    sensor that breaks with the others shows though its own readings are usual.

    Each view learns in the stream how large its largest deviation in 200 readings usually is, so that a view that suits the sensor badly
    has little to say, one that suits it well much, and a sensor known for its spikes alarms only at larger ones. A reading
    is as strange as its strangest view finds it, and a row as its strangest reading or as all of them together, with the
    p-value that independent ones would give it. Nothing is fitted for long: training rows are learnt like those of the stream, and
    twenty are enough to start with.

    Parameters
    ----------
    contamination : float in (0, 0.5], default 0.01
        Share of the training rows that are to be in alarm, unless `false_alarm_rate` is given.
    false_alarm_rate : float in (0, 1) or str, optional
        Share of normal rows that may alarm, such as 1e-4, or a budget such as ``"1/week"``. P-values are meant for levels
        below 1 in 200; above they are rough.
    patience : int, default 50
        Readings in a row beyond three standard deviations on one side after which a level shift is believed (more, if they exceed less).
        A shift alarms for so many rows at most and then is normal.
    cycles : sequence of str, default ("1D", "7D")
        Periods over which a profile is learnt, as pandas durations. Those with fewer than four usual intervals are left out, all of
        them where rows have no DatetimeIndex. Profiles go by the time of the index' zone.

    Attributes
    ----------
    offset_ : float
        Logarithm of the alarm level: rows with ``score_samples`` below it are in alarm.
    model_ : AutoModel
        What every sensor is looked at for.
    state_ : AutoState
        After the last row.
    n_features_in_, feature_names_in_
        Of the sensors.

    See Also
    --------
    ssmts.InnovationDetector : one model of the sensors, and their correlation.

    Notes
    -----
    Of every view the largest score of each block of 200 readings is followed: its logarithm is nearly Gumbel distributed
    (Fisher and Tippett 1928), with a location and a spread that the last twenty blocks determine, each block bounded in what it can
    do. A single reading exceeds the mode of that distribution once in 200; beyond, its p-value falls as a generalised Pareto tail
    (Pickands 1975) of the same slope, heavier or lighter as the slope tells.

    Asked for 1e-3 of the rows, 0.5e-3 to 1.7e-3 of 30,000 simulated ones alarmed after 1,000 or 3,000 training rows, for normal
    noise, t noise with three degrees of freedom and a daily cycle, one sensor or four; asked for 1e-4, 0 to 1.6e-4. Alarms of
    autocorrelated sensors come in runs: single ones with an autoregression of 0.9, or a random walk in noise, had 3.3e-3 to
    4.0e-3, four of them 1.1e-3 to 2.1e-3. After a gross spike the chart of the scatter stays in alarm for some rows.

    Gains and block length were chosen on every second file of the Numenta anomaly benchmark, see ``benchmarks/nab.py``; the
    scores of the other half are in its table.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from ssmts import AutoDetector
    >>> rng = np.random.default_rng(0)
    >>> times = pd.date_range("2024-01-01", periods=4000, freq="15min")
    >>> daily = 10 * np.sin(2 * np.pi * np.arange(4000) / 96)
    >>> y = pd.Series(20 + daily + rng.normal(size=4000), index=times)
    >>> detector = AutoDetector(false_alarm_rate="1/year").fit(y[:3000])
    >>> new = y[3000:].copy()
    >>> new.iloc[200] += 12  # as high as at noon, but it is morning
    >>> new[detector.predict(new) == -1].index.tolist() == [new.index[200]]
    True
    """

    model_: AutoModel

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **BaseDetector._parameter_constraints,
        "patience": [Interval(Integral, 1, None, closed="left")],
        "cycles": ["array-like"],
    }

    def __init__(
        self,
        contamination: float = 0.01,
        false_alarm_rate: float | str | None = None,
        *,
        patience: int = 50,
        cycles: Sequence[str] = ("1D", "7D"),
    ) -> None:
        self.contamination = contamination
        self.false_alarm_rate = false_alarm_rate
        self.patience = patience
        self.cycles = cycles

    # hooks ------------------------------------------------------------------------------------------------------

    def _fit(self, rows: SensorRows) -> dict[str, Any]:
        model = _model(rows.usual_interval, self.cycles)
        start = AutoState(profiles.start(model.views, rows.values), extremes.start(1, 1), np.nan)
        if rows.values.shape[1] > 1:
            z = self._scored(model, start, rows)[1].z
            model = model._replace(related=covariance.learn(z, "shrunk", None))
        return {"model_": model, "start_": start, "state_": self._scored(model, start, rows)[2]}

    def _run(self, state: AutoState, rows: SensorRows) -> tuple[FloatArray, AutoState]:
        log_p, _, after = self._scored(self.model_, state, rows)
        return log_p, after

    def _explain(self, state: AutoState, rows: SensorRows) -> tuple[Explained, AutoState]:
        level = self._alone()
        log_p, found, after = self._scored(self.model_, state, rows, level)
        part = -found.log_p
        together = np.flatnonzero((log_p < self.offset_) & ~(found.log_p < level).any(axis=1))
        if self.model_.related is not None and len(together):
            part[together] = covariance.conditional(self.model_.related, found.z[together]) ** 2
        told = Explained(
            log_p, found.expected, found.lower, found.upper, found.deviation, shares(part), found.log_p, found.window
        )
        return told, after

    # shared work ------------------------------------------------------------------------------------------------

    def _scored(
        self, model: AutoModel, state: AutoState, rows: SensorRows, level: float | None = None
    ) -> tuple[FloatArray, Judgement, AutoState]:
        """Log p-value of each row, what its readings are found to be, and the state after the last."""
        bins = _bins(model, rows)
        steps = np.maximum(rows.steps(state.stamp, model.interval), 0.0)
        found, views = profiles.run(model.views, state.views, rows.values, bins, steps, self.patience, level)
        log_p, together = sidak(found.log_p), state.together
        if model.related is not None:
            seen = covariance.measure(model.related, found.z)
            distance = np.where(seen.n_seen > 0, covariance.surprise(seen.mahalanobis, seen.n_seen), np.nan)
            joint, together = extremes.run(together, distance)
            log_p = sidak(np.stack([log_p, joint], axis=1))
        return log_p, found, AutoState(views, together, rows.last_stamp)

    def _alone(self) -> float:
        """Log p-value of one sensor with which a row reaches the alarm level by itself: Sidak's combinations undone."""
        m = self.n_features_in_
        return self.offset_ if m == 1 else float(one_of(2 * m, np.asarray(self.offset_)))


def _model(interval: float, cycles: Sequence[str]) -> AutoModel:
    """Level, range, and a profile for every cycle with a few rows."""
    periods = tuple(seconds for seconds in map(_seconds, cycles) if seconds >= COARSEST * interval)
    finest = [FINEST if period < WEEK * 3600 else WEEK for period in periods]
    n_bins = np.array([1, 1] + [min(n, round(period / interval)) for n, period in zip(finest, periods)])
    first = np.cumsum(n_bins) - n_bins
    gain = np.array([LEVEL, RANGE] + [PROFILE] * len(periods))
    return AutoModel(Views(gain, first, n_bins, scatter=0, shift=1), periods, interval)


def _seconds(cycle: Any) -> float:
    """Length of a cycle."""
    try:
        seconds = pd.Timedelta(cycle).total_seconds()
    except (TypeError, ValueError) as error:
        raise InputError(f'cycles must be durations such as "1D" or "12h"; received {cycle!r}.') from error
    if not seconds > 0:
        raise InputError(f"cycles must be durations above 0; received {cycle!r}.")
    return float(seconds)


def _bins(model: AutoModel, rows: SensorRows) -> IntArray:
    """The bin of each view that rows fall in: that whose middle is nearest, by the time on the wall."""
    views, periods = model.views, model.periods
    bins = np.zeros((len(rows.values), len(views.gain)), dtype=np.int64)
    if periods:
        assert isinstance(rows.index, pd.DatetimeIndex)
        seconds = np.asarray((rows.index.tz_localize(None) - pd.Timestamp(0)) / pd.Timedelta(seconds=1))
        for v, period in enumerate(periods, start=len(views.gain) - len(periods)):
            n = int(views.n_bins[v])
            bins[:, v] = np.floor(np.mod(seconds, period) / period * n + 0.5).astype(np.int64) % n
    return bins
