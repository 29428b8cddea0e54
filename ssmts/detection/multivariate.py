"""A detector of many sensors of one machine: how far they are, together and against each other, from where they usually are."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any, ClassVar, NamedTuple

import numpy as np
import pandas as pd
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from .._containers import FloatArray
from ..base_detector import BaseDetector, Explained, SensorRows, shares
from ..exceptions import InputError
from . import covariance as covariances
from . import robust_baseline as baselines
from . import smoothing as smoothings
from .calibrators import CALIBRATION, Calibrations, Stages
from .covariance import Covariance
from .joint import nominal
from .local_level import enough
from .normal_tail import innovation_at
from .robust_baseline import Baseline, BaselineState
from .smoothing import Smoothing, SmoothingState
from .surprise import sidak


class JointModel(NamedTuple):
    """What a machine's sensors usually do, each alone and together.

    Attributes
    ----------
    baseline : Baseline
    smoothing : Smoothing or None
        None where every row is taken by itself.
    covariance : Covariance
        Of the departures.
    """

    baseline: Baseline
    smoothing: Smoothing | None
    covariance: Covariance


class JointState(NamedTuple):
    """What a detector knows after its last row.

    Attributes
    ----------
    sensors : BaselineState
    averages : SmoothingState
    stamp : seconds of the row's stamp since 1970, NaN without a clock.
    calibrations : what the calibrators have learnt of the stream.
    learning : whether they go on learning; False for training rows, which they know.
    """

    sensors: BaselineState
    averages: SmoothingState
    stamp: float
    calibrations: Calibrations = Calibrations()
    learning: bool = True


class Departures(NamedTuple):
    """Rows against the baselines.

    Attributes
    ----------
    deviation, departure : (n_times, n_sensors)
        Of the readings, NaN where nothing was read; and of the average of the last ones, in standard deviations of its own.
    n_seen : (n_times,)
        Sensors that were read, averaged like the rows.
    expected, sd : (n_times, n_sensors)
        Baselines, and the standard deviation of the average. Without rows unless asked for.
    newest, weight : (n_times, 1)
        Share of the row in the average, and the sum of squared shares.
    """

    deviation: FloatArray
    departure: FloatArray
    n_seen: Any
    expected: FloatArray
    sd: FloatArray
    newest: FloatArray
    weight: FloatArray

    @property
    def read(self) -> FloatArray:
        """Departures of the sensors that were read, NaN for the others."""
        return np.where(np.isnan(self.deviation), np.nan, self.departure)


class JointDetector(BaseDetector):
    """Anomalies of many sensors of one machine, against how the training rows say they are and hang together.

    Every sensor has a baseline and a scale, learnt with a bounded influence of gross errors. Readings about the baseline, averaged
    over the last `smoothing` rows, are its departure. A row is scored by the Mahalanobis distance of the departures under the sensors'
    correlation (`statistic` has others), over the sensors that were read, and the score turned into a p-value: `score_samples` is
    its logarithm.

    Take it for machines that normally stay where they are, or hang together closely, and for faults that last: a smoothed
    departure finds shifts much smaller than the noise. For sensors that wander, take
    `InnovationDetector`; for those with a daily cycle, `AutoDetector`.

    Parameters
    ----------
    smoothing : float, default 1
        Rows that a departure averages over (exponentially, as ``ewm(span=...)`` in pandas). 1 for none: the reading alone. More
        finds smaller lasting faults, later.
    baseline : float, optional
        Rows that the baseline averages over; it then follows the readings slowly, each of which counts for three standard
        deviations at most, and starts anew after as many rows (10 at least) beyond three standard deviations on one side: so long,
        at most, does a lasting change alarm. By default the baseline is frozen: a fault is a fault until it ends.
    covariance : {"shrunk", "factor", "pca"}, default "shrunk"
        Correlation of the departures: shrunk towards none (Schaefer and Strimmer 2005), which takes any number of sensors; by common
        factors and a noise variance for each sensor; or by principal components and one noise variance for all.
    statistic : {"mahalanobis", "t2", "q", "largest"}, default "mahalanobis"
        What a row is scored by. "mahalanobis" is Hotelling's T-squared of all sensors. With factors it is the sum of "t2", what happens
        in the space of the factors, and "q", the squared prediction error outside of it: broken relations. "largest" is the
        departure furthest off, whatever the others do.
    n_factors : int, optional
        By default as many as parallel analysis finds in the training rows.
    contamination : float in (0, 0.5], default 0.01
        Share of the training rows that are to be in alarm, unless `false_alarm_rate` is given. At most this share of the readings of
        a sensor is also taken for gross errors in its baseline and scale, and of the rows when p-values are calibrated.
    false_alarm_rate : float in (0, 1) or str, optional
        Share of normal rows that may alarm, such as 1e-4: the alarm level of the p-value. Or a budget such as ``"1/week"``,
        which the usual interval between stamps turns into a share.
    calibration : str or Calibrator, default "tail"
        Where p-values come from. "tail": what the training rows showed, for ever. "nominal": what the model says, the
        chi-squared distribution.

    Attributes
    ----------
    offset_ : float
        Logarithm of the alarm level: rows with ``score_samples`` below it are in alarm.
    model_ : JointModel
        Baselines, and the correlation of the sensors.
    n_factors_ : int
        Number of factors; 0 without.
    stages_, calibrations_ : calibrators of sensors and rows, and what they learnt of the training rows.
    state_ : JointState
        After the last row.
    n_features_in_, feature_names_in_
        Of the sensors.

    Notes
    -----
    The shares of `explain` go by the squares of the departures: they name the sensors that have left their usual range. In a row in alarm
    in which no sensor alone is, they go by the squares of the conditional residuals (`disagreement`), which name the sensor
    that broke with the others. The additive parts of the Mahalanobis distance are not used: among sensors that move together
    they blame those that moved least. To attribute an event of many rows, weigh the shares of each row by its sum of
    squared deviations.

    Stamps may be irregular: weights of rows fade with the time that goes by, in units of the median interval of the training rows,
    and the variance of a departure follows the rows that it holds. A sensor that is silent is left out of the distance of a
    row; where rows are averaged it is taken to read what the others say of it, so that neither silence nor its end is an
    anomaly. The lower and upper bounds of `explain` are those of one reading with nothing strange before it.

    Examples
    --------
    >>> import numpy as np
    >>> from ssmts import JointDetector
    >>> rng = np.random.default_rng(0)
    >>> load = rng.normal(size=(500, 1))
    >>> X = [20.0, 5.0, 1.0] + load * [2.0, 1.0, 0.5] + 0.1 * rng.normal(size=(500, 3))
    >>> detector = JointDetector(false_alarm_rate=1e-4).fit(X)
    >>> together, alone = [24.0, 7.0, 2.0], [20.0, 7.0, 1.0]
    >>> detector.predict([together, alone])  # twice the usual load, and a sensor that rises by itself
    array([ 1, -1])
    >>> detector.disagreement([alone]).round(0)
          0     1    2
    0 -12.0  15.0 -3.0
    """

    stages_: Stages
    calibrations_: Calibrations
    model_: JointModel
    interval_: float

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **BaseDetector._parameter_constraints,
        "smoothing": [Interval(Real, 1, None, closed="left")],
        "baseline": [None, Interval(Real, 1, None, closed="left")],
        "covariance": [StrOptions({"shrunk", "factor", "pca"})],
        "statistic": [StrOptions({"mahalanobis", "t2", "q", "largest"})],
        "n_factors": [None, Interval(Integral, 1, None, closed="left")],
        "calibration": CALIBRATION,
    }

    def __init__(
        self,
        smoothing: float = 1,
        baseline: float | None = None,
        *,
        covariance: str = "shrunk",
        statistic: str = "mahalanobis",
        n_factors: int | None = None,
        contamination: float = 0.01,
        false_alarm_rate: float | str | None = None,
        calibration: Any = "tail",
    ) -> None:
        self.smoothing = smoothing
        self.baseline = baseline
        self.covariance = covariance
        self.statistic = statistic
        self.n_factors = n_factors
        self.contamination = contamination
        self.false_alarm_rate = false_alarm_rate
        self.calibration = calibration

    def statistics(self, X: Any) -> pd.DataFrame:
        """The distances that rows can be scored by, before they are turned into p-values.

        Parameters
        ----------
        X : DataFrame, Series or array of shape (n_times, n_sensors)
            As in `score_samples`.

        Returns
        -------
        DataFrame
            ``mahalanobis`` and, with factors, its two parts ``t2`` and ``q`` (NaN without); ``largest``, the square of the
            departure furthest off; ``n_seen``, the number of sensors read.
        """
        check_is_fitted(self)
        rows = self._read_fitted(X)
        departures, read = self._seen(rows)
        found = covariances.measure(self.model_.covariance, departures)
        largest = np.max(np.nan_to_num(read**2, nan=0.0), axis=1)
        table = {"mahalanobis": found.mahalanobis, "t2": found.t2, "q": found.q, "largest": largest}
        return pd.DataFrame({**table, "n_seen": np.count_nonzero(~np.isnan(read), axis=1)}, index=rows.index)

    def disagreement(self, X: Any) -> pd.DataFrame:
        """Every sensor against what the others say of it: which one disagrees.

        Parameters
        ----------
        X : DataFrame, Series or array of shape (n_times, n_sensors)
            As in `score_samples`.

        Returns
        -------
        DataFrame of shape (n_times, n_sensors)
            Conditional residual of each departure given those of all other sensors read in the row, in standard deviations; NaN
            where nothing was read.
        """
        check_is_fitted(self)
        rows = self._read_fitted(X)
        departures, read = self._seen(rows)
        residuals = np.where(np.isnan(read), np.nan, covariances.conditional(self.model_.covariance, departures))
        return pd.DataFrame(residuals, index=rows.index, columns=self.columns_)

    # hooks ------------------------------------------------------------------------------------------------------

    def _fit(self, rows: SensorRows) -> dict[str, Any]:
        d = rows.values.shape[1]
        self._check_factors(d)
        enough(rows.values, [rows.name(i) for i in range(d)])
        interval, share = rows.usual_interval, float(self.contamination)
        steps = rows.steps(np.nan, interval)
        learnt = baselines.fit(rows.values, steps, self.baseline, share)
        before = JointState(baselines.start(learnt), smoothings.start(d), np.nan, learning=False)
        seen, _ = baselines.run(learnt, before.sensors, rows.values, steps)
        related = covariances.learn(seen.z, self.covariance, self.n_factors)
        averaging = None
        if self.smoothing > 1:
            averaging = smoothings.fit(seen, steps, float(self.smoothing), related, share)
            averages, _ = smoothings.run(averaging, before.averages, seen, steps)
            related = covariances.learn(averages.departure, self.covariance, self.n_factors, float(self.smoothing))
        model = JointModel(learnt, averaging, related)
        departures, after = _departures(model, before, rows, steps)
        stages = Stages.of(self.calibration, d)
        level = self._alarm_share(rows) or share
        models, states = stages.learn(nominal(departures.read), self._combine(model, departures), share, level)
        return {
            "model_": model,
            "n_factors_": related.loadings.shape[1],
            "stages_": stages,
            "calibrations_": models,
            "interval_": interval,
            "start_": before._replace(calibrations=states),
            "state_": after._replace(calibrations=states, learning=True),
        }

    def _run(self, state: JointState, rows: SensorRows) -> tuple[FloatArray, JointState]:
        seen, after = self._ahead(state, rows)
        stages, known = self.stages_, state.calibrations
        if stages.rows is None or known.sensors is not None or self.statistic == "largest":
            log_p, _, states = self._calibrated(state, seen)
            return log_p, after._replace(calibrations=states)
        # Nobody asks for p-values of single sensors, and their calibrators learn nothing.
        surprise = self._combine(self.model_, seen)(seen.departure)
        row, _, moved = stages.rows.run(self.calibrations_.rows, known.rows, surprise, learning=state.learning)
        return np.nan_to_num(row[:, 0], nan=0.0), after._replace(calibrations=Calibrations(None, moved))

    def _explain(self, state: JointState, rows: SensorRows) -> tuple[Explained, JointState]:
        seen, after = self._ahead(state, rows, full=True)
        log_p, log_p_sensor, states = self._calibrated(state, seen)
        lower, upper = self._range(state, seen)
        told = Explained(
            log_p,
            seen.expected,
            lower,
            upper,
            seen.deviation,
            shares(self._part(seen, log_p, log_p_sensor)),
            log_p_sensor,
            np.broadcast_to(np.rint(1.0 / seen.weight).astype(np.int64), seen.deviation.shape),
        )
        return told, after._replace(calibrations=states)

    # shared work ------------------------------------------------------------------------------------------------

    def _check_factors(self, n_sensors: int) -> None:
        if self.covariance == "shrunk" and self.statistic in ("t2", "q"):
            raise InputError(
                f"statistic={self.statistic!r} wants factors, and covariance='shrunk' has none. Pass covariance='factor' or 'pca'."
            )
        if self.covariance != "shrunk" and self.n_factors is not None and self.n_factors >= max(n_sensors, 2):
            raise InputError(
                f"n_factors={self.n_factors} is too many for {n_sensors} sensor(s), n_features = {n_sensors}: pass a smaller number."
            )

    def _ahead(self, state: JointState, rows: SensorRows, *, full: bool = False) -> tuple[Departures, JointState]:
        return _departures(self.model_, state, rows, rows.steps(state.stamp, self.interval_), full=full)

    def _seen(self, rows: SensorRows) -> tuple[FloatArray, FloatArray]:
        """Departures, and those of sensors that were read, of rows that follow the last one, or were training rows."""
        parts = [self._ahead(state, part)[0] for state, part in self._segments(rows)]
        return np.concatenate([part.departure for part in parts]), np.concatenate([part.read for part in parts])

    def _combine(self, model: JointModel, seen: Departures) -> Any:
        """What makes surprises of rows of the log p-values of their sensors, of which only "largest" makes use."""

        def combine(log_p: FloatArray) -> FloatArray:
            if self.statistic == "largest":
                row = -sidak(log_p)
            else:
                found = covariances.measure(model.covariance, seen.departure)
                n_t2 = np.minimum(found.n_factors, seen.n_seen)
                degrees = {"mahalanobis": seen.n_seen, "t2": n_t2, "q": seen.n_seen - n_t2}
                row = covariances.surprise(getattr(found, self.statistic), degrees[self.statistic])
            return np.where(np.isnan(seen.deviation).all(axis=1), np.nan, row)[:, None]

        return combine

    def _calibrated(self, state: JointState, seen: Departures) -> tuple[FloatArray, FloatArray, Calibrations]:
        """Log p-values of rows and of sensors, and what the calibrators know after them."""
        combine = self._combine(self.model_, seen)
        return self.stages_.run(self.calibrations_, state.calibrations, nominal(seen.read), combine, state.learning)

    def _part(self, seen: Departures, log_p: FloatArray, log_p_sensor: FloatArray) -> FloatArray:
        """What shares go by: squares of departures, or of conditional residuals where only these tell why a row is in alarm."""
        part: FloatArray = seen.read**2
        alone = (np.nan_to_num(log_p_sensor) < self.offset_).any(axis=1)
        together = np.flatnonzero((log_p < self.offset_) & ~alone)
        if len(together):
            residuals = covariances.conditional(self.model_.covariance, seen.departure[together])
            part[together] = np.where(np.isnan(part[together]), np.nan, residuals**2)
        return part

    def _range(self, state: JointState, seen: Departures) -> tuple[FloatArray, FloatArray]:
        """Bounds of the readings outside of which one alone would reach the alarm level, with nothing strange before it."""
        known, surprises = (self.calibrations_.sensors, state.calibrations.sensors), nominal(seen.read)
        at = np.full(len(surprises), self.offset_)
        limit = self.stages_.sensors.run(*known, surprises, at, learning=state.learning)[1]
        reach = innovation_at(limit) * seen.sd
        scale = self.model_.baseline.scale / seen.newest
        return seen.expected - reach * scale, seen.expected + reach * scale


def _departures(
    model: JointModel, state: JointState, rows: SensorRows, steps: FloatArray, *, full: bool = False
) -> tuple[Departures, JointState]:
    """Departures of rows, and the state after the last; `state` is left as it is."""
    found, sensors = baselines.run(model.baseline, state.sensors, rows.values, steps, full=full)
    after = state._replace(sensors=sensors, stamp=rows.last_stamp)
    if model.smoothing is None:
        ones = np.ones((len(steps), 1))
        n_seen = np.count_nonzero(~np.isnan(found.z), axis=1)
        seen = Departures(found.z, found.z, n_seen, found.expected, np.ones(found.expected.shape), ones, ones)
        return seen, after
    averages, moved = smoothings.run(model.smoothing, state.averages, found, steps, full=full)
    seen = Departures(
        found.z,
        averages.departure,
        averages.n_seen,
        found.expected,
        averages.sd,
        averages.newest[:, None],
        averages.weight[:, None],
    )
    return seen, after._replace(averages=moved)
