"""A detector made of a forecaster: every row is compared with the one-step-ahead forecast of it, then learnt."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from numbers import Integral, Real
from typing import Any, ClassVar, NamedTuple

import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.utils._param_validation import HasMethods, Interval

from .._containers import FloatArray
from ..base import BaseForecaster
from ..base_detector import BaseDetector, Explained, SensorRows, shares
from ..exceptions import InputError, InputTypeError, SsmtsError
from . import joint
from .calibration import calibrate, score_at
from .calibrators import CALIBRATION, Calibrations
from .follow import Rules, Stand, Told, begin, follow, forward, ranges, within
from .grid import moves
from .local_level import RESOLUTION
from .normal_tail import innovation_at
from .robust import GATE
from .scored import ScoredDetector

WIDEST = 10.0  # normal scores up to which readings are believed however heavy the tails of the training rows look
USUAL = float(np.log(0.0027))  # log of the share of normal readings beyond the gate
SHORTEST = 1e-6  # usual intervals between two rows of one stamp, where there is no grid
HELD_OUT = 0.3  # share of the training rows on which a model is calibrated that may know the others by heart


class ForecastState(NamedTuple):
    """What a detector knows after its last row.

    Attributes
    ----------
    stand : Stand
        Of the forecaster.
    lead : float
        How many steps it is ahead of the clock.
    stamp : float
        Seconds of the last row's stamp since 1970; NaN without a clock.
    calibrations : Calibrations
        What the calibrators have learnt of the stream.
    learning : bool
        Whether they go on learning.
    """

    stand: Stand
    lead: float
    stamp: float
    calibrations: Calibrations
    learning: bool = True


class TrainingState(NamedTuple):
    """Where a detector stands among its training rows: the readings before, ``(n_times, n_columns)``, and the steps to each."""

    values: FloatArray
    steps: FloatArray
    stamp: float
    calibrations: Calibrations
    learning: bool = False


class ForecastDetector(ScoredDetector):
    """Anomalies by a forecaster: readings that are far from what it forecast one step ahead.

    Any forecaster of the library becomes a detector. Each reading is compared with its predictive distribution, whatever the kind
    of that, and becomes a normal score; a row is scored by the Mahalanobis distance of its sensors' scores under their
    correlation, over the sensors that were read, and the distance is turned into a p-value by what the training rows showed:
    `score_samples` is its logarithm. Then the forecaster learns the row by `update`, with its parameters as they are.

    Anomalies are not learnt: a reading beyond the gate (three standard deviations, more where training readings have heavy
    tails) is missing for the forecaster, so that the next forecasts do not depend on its size. After `patience` of them in a row
    on one side a level shift is believed, and what the readings have moved by is taken off them from then on: alarms end, and
    season and slope go on, whether the forecaster has a level of its own or not.

    Parameters
    ----------
    forecaster : forecaster, optional
        A forecaster of this library, for all columns together; `StructuralForecaster()` by default. Forecasters of one
        column treat the sensors independently. It is cloned.
    contamination : float in (0, 0.5], default 0.01
        Share of the training rows that are to be in alarm, unless `false_alarm_rate` is given. At most this share of them
        is also taken for outliers and set aside when p-values are calibrated.
    false_alarm_rate : float in (0, 1) or str, optional
        Share of normal rows that may alarm, such as 1e-4: the alarm level of the p-value. Or a budget such as ``"1/week"``,
        which the usual interval between stamps turns into a share.
    covariates : sequence, optional
        Names of the columns of `X` (numbers of them where X is an array) that are known and not judged, such as the temperature that
        explains a load. A row in which one of them is NaN is not judged either.
    patience : int, default 10
        Rows in a row beyond the gate on one side after which a level shift is believed (more, if they exceed less).
    calibration_share : float in [0, 1), optional
        Share of the training rows, the last ones, that the forecaster is not fitted on, and on which alone p-values are calibrated. By
        default 0.3 for forecasters with parameters pooled over series, that is networks, which may know their training rows
        by heart, and 0 for all others, whose few parameters make little of the rows they were estimated on.
    max_fits : int, default 2
        Fits of the forecaster at most, each without the readings that were held back after the one before.
    calibration : str or Calibrator, default "tail"
        Where p-values come from, see `InnovationDetector`.

    Attributes
    ----------
    offset_ : float
        Logarithm of the alarm level: rows with ``score_samples`` below it are in alarm.
    forecaster_ : forecaster
        As fitted on the training rows, which are numbered by their usual interval.
    joint_ : Joint
        Calibrations of sensors and rows, and the correlation of the sensors.
    rules_ : Rules
        Gate, least standard deviation and patience, on the scale of the model where there is a `target_transform`.
    state_ : ForecastState
        After the last row.
    n_features_in_, feature_names_in_
        Of the columns of X.

    See Also
    --------
    InnovationDetector : for local levels and structural models some hundred times faster, with robust estimation.

    Notes
    -----
    Of normal predictive distributions the score is the standardised innovation. Quantiles and paths are turned into normal scores
    by their quantiles, with normal tails beyond the outermost ones. The unit of time is the usual interval of the training rows, for season
    lengths too. Models in discrete time have a step for each: a gap is filled with missing rows, and a duplicated stamp counts as the
    next row. Those in continuous time take the stamps as they are (`GaussianProcessForecaster`).

    `score_samples` works on a copy of the state, whatever the number of training rows. Forecasters that predict rows in
    blocks (structural, ARIMA and joint state-space models) do so as long as no reading is unusual; the numbers are those of row by row.

    Examples
    --------
    >>> import numpy as np
    >>> from ssmts import ForecastDetector, StructuralForecaster
    >>> rng = np.random.default_rng(0)
    >>> t = np.arange(400)
    >>> load = (50 + 10 * np.sin(2 * np.pi * t / 24) + rng.normal(size=400))[:, None]
    >>> model = StructuralForecaster("local_level", season_length=24, harmonics=2)
    >>> detector = ForecastDetector(model, false_alarm_rate=1e-3).fit(load[:360])
    >>> load[380] += 8
    >>> np.flatnonzero(detector.predict(load[360:]) == -1)
    array([20])
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **BaseDetector._parameter_constraints,
        "forecaster": [None, HasMethods(["fit", "forecast", "update"])],
        "covariates": [None, "array-like"],
        "patience": [Interval(Integral, 1, None, closed="left")],
        "calibration_share": [None, Interval(Real, 0, 1, closed="left")],
        "max_fits": [Interval(Integral, 1, None, closed="left")],
        "calibration": CALIBRATION,
    }

    def __init__(
        self,
        forecaster: Any = None,
        contamination: float = 0.01,
        false_alarm_rate: float | str | None = None,
        *,
        covariates: Sequence[Hashable] | None = None,
        patience: int = 10,
        calibration_share: float | None = None,
        max_fits: int = 2,
        calibration: Any = "tail",
    ) -> None:
        self.forecaster = forecaster
        self.contamination = contamination
        self.false_alarm_rate = false_alarm_rate
        self.covariates = covariates
        self.patience = patience
        self.calibration_share = calibration_share
        self.max_fits = max_fits
        self.calibration = calibration

    # hooks ------------------------------------------------------------------------------------------------------

    def _fit(self, rows: SensorRows) -> dict[str, Any]:
        template = self._template()
        interval = rows.usual_interval
        steps = rows.steps(np.nan, interval)
        judged, known = self._columns(rows)
        filling = np.nan_to_num(np.nanmean(rows.values[:, known], axis=0)) if known.size else np.zeros(0)
        y, X = split(rows.values, judged, known, filling)
        irregular = template.capabilities.irregular and rows.elapsed is not None
        taken, lead = paces(steps, 0.0, irregular)
        share = self.calibration_share
        if share is None:
            share = HELD_OUT if template.capabilities.pooled else 0.0
        learnt = len(y) - int(share * len(y))
        first = slice(0, learnt)
        forecaster, rules, z = self._estimate(template, rows, y[first], None if X is None else X[first], taken[first])
        state, stand = begin(self.patience, len(judged)), begin(self.patience, len(judged))
        if learnt < len(y):
            later = y[learnt:], None if X is None else X[learnt:], taken[learnt:]
            z = follow(forecaster, rules._replace(gates=np.full(len(judged), WIDEST)), stand, *later)[0].z
            rules = rules._replace(gates=self._gates(z))
            told, state = follow(forecaster, rules, stand, *later)
            z = told.z
        scores, states = self._calibrate(z, rows)
        return {
            "forecaster_": forecaster,
            "rules_": rules,
            **scores,
            "judged_": judged,
            "known_": known,
            "filling_": filling,
            "interval_": interval,
            "n_learnt_": learnt,
            "start_": TrainingState(np.empty((0, rows.values.shape[1])), np.empty(0), np.nan, states),
            "state_": ForecastState(state, lead, rows.last_stamp, states),
        }

    def _run(self, state: Any, rows: SensorRows) -> tuple[FloatArray, Any]:
        told, after = self._told(state, rows, full=False)
        log_p, states = self._log_p(state, told.z)
        return log_p, after._replace(calibrations=states)

    def _explain(self, state: Any, rows: SensorRows) -> tuple[Explained, Any]:
        told, after = self._told(state, rows, full=True)
        parts = self._parts(state, told.z)
        expected, lower, upper = ranges(self.forecaster_, self.rules_, told, parts.reach)
        wide = self._all_columns
        explained = Explained(
            parts.log_p,
            wide(expected),
            wide(lower),
            wide(upper),
            wide(told.z),
            wide(shares(parts.part)),
            wide(parts.log_p_sensor),
            np.ones(rows.values.shape, dtype=np.int64),
        )
        return explained, after._replace(calibrations=parts.calibrations)

    # shared work ------------------------------------------------------------------------------------------------

    def _template(self) -> BaseForecaster:
        if self.forecaster is None:
            from ..forecasting.structural import StructuralForecaster

            return StructuralForecaster()
        if not isinstance(self.forecaster, BaseForecaster):
            raise InputTypeError(f"forecaster must be a forecaster of ssmts; received {self.forecaster!r}.")
        return self.forecaster

    def _columns(self, rows: SensorRows) -> tuple[np.ndarray, np.ndarray]:
        """Numbers of the columns that are judged, and of those that are known."""
        n = rows.values.shape[1]
        names = list(range(n) if rows.columns is None else rows.columns)
        wanted = [] if self.covariates is None else list(self.covariates)
        for name in wanted:
            if name not in names:
                raise InputError(f"covariates has {name!r}, which is no column of X; those are {names}.")
        known = np.array([i for i, name in enumerate(names) if name in wanted], dtype=np.intp)
        judged = np.setdiff1d(np.arange(n), known)
        if not judged.size:
            raise InputError("covariates has all columns of X, so that none is left to judge.")
        return judged, known

    def _estimate(
        self, template: BaseForecaster, rows: SensorRows, y: FloatArray, X: FloatArray | None, taken: Any
    ) -> tuple[BaseForecaster, Rules, FloatArray]:
        """Forecaster, rules and normal scores of the rows, fitted without the readings that stand out."""
        places = pd.Index(np.cumsum(taken))
        grid = places if taken.dtype == np.float64 else pd.RangeIndex(1, places[-1] + 1)
        freq = "irregular" if grid is places else None
        names, of_X = ([str(rows.columns[i]) if rows.columns else i for i in which] for which in self._columns(rows))
        wide = np.full(y.shape[1], WIDEST)
        held = np.zeros(y.shape, dtype=bool)
        for number in range(1, self.max_fits + 1):
            frame = pd.DataFrame(np.where(held, np.nan, y), index=places, columns=names).reindex(grid)
            given = (frame,) if X is None else (pd.DataFrame(X, places, of_X).reindex(grid).bfill(), frame)
            try:
                forecaster = clone(template).set_params(freq=freq).fit(*given)
            except SsmtsError:
                if number == 1:
                    raise
                break  # what is left does not determine the model any more
            target = np.abs(forward(forecaster, y)[0])
            size = np.nanmax(np.where(np.isnan(target), 0.0, target), axis=0)
            rules = Rules(wide, RESOLUTION * np.where(size > 0, size, 1.0), int(self.patience))
            rules = rules._replace(gates=self._gates(within(forecaster, rules, y, X, taken)[0].z))
            told, out = within(forecaster, rules, y, X, taken)
            before, held = held, out & ~np.isnan(y)
            if not (held & ~before).any() or not forecaster.capabilities.missing:
                break
        return forecaster, rules, told.z

    def _gates(self, z: FloatArray) -> FloatArray:
        """Normal scores that as few readings exceed as three standard deviations of a normal distribution."""
        found = innovation_at(score_at(calibrate(joint.nominal(z), float(self.contamination)), USUAL))
        return np.clip(found, GATE, WIDEST)

    def _told(self, state: Any, rows: SensorRows, *, full: bool) -> tuple[Told, Any]:
        """What was expected of the rows, and the state after them."""
        steps = rows.steps(state.stamp, self.interval_)
        if isinstance(state, ForecastState):
            y, X = self._split(rows.values)
            taken, lead = paces(steps, state.lead, not self.forecaster_.form_.axis.regular)
            told, stand = follow(self.forecaster_, self.rules_, state.stand, y, X, taken, full=full)
            return told, state._replace(stand=stand, lead=lead, stamp=rows.last_stamp)
        before, n = len(state.values), self.n_learnt_ - len(state.values)
        values = np.concatenate([state.values, rows.values])
        steps = np.concatenate([state.steps, steps])
        parts, after = [], state._replace(values=values, steps=steps, stamp=rows.last_stamp)
        taken = paces(steps, 0.0, not self.forecaster_.form_.axis.regular)[0]
        if n > 0:
            y, X = self._split(values[: self.n_learnt_])
            told = within(self.forecaster_, self.rules_, y, X, taken[: self.n_learnt_])[0]
            parts.append(later(told, before))
        if len(values) > self.n_learnt_:
            y, X = self._split(values[self.n_learnt_ :])
            stand = begin(int(self.patience), len(self.judged_))
            told = follow(self.forecaster_, self.rules_, stand, y, X, taken[self.n_learnt_ :], full=full)[0]
            parts.append(later(told, max(-n, 0)))
        return Told(np.concatenate([part.z for part in parts]), sum((part.expected for part in parts), ())), after

    def _split(self, values: FloatArray) -> tuple[FloatArray, FloatArray | None]:
        return split(values, self.judged_, self.known_, self.filling_)

    def _all_columns(self, field: FloatArray) -> FloatArray:
        """What is told of the sensors that are judged, NaN for the covariates."""
        if not self.known_.size:
            return field
        wide = np.full((len(field), len(self.judged_) + len(self.known_)), np.nan)
        wide[:, self.judged_] = field
        return wide


def split(values: FloatArray, judged: Any, known: Any, filling: FloatArray) -> tuple[FloatArray, FloatArray | None]:
    """Readings and covariates; where one of these is NaN, no reading counts and any number will do, such as the mean."""
    if not len(known):
        return values, None
    X = values[:, known]
    absent: Any = np.isnan(X)
    y = np.where(absent.any(axis=1)[:, None], np.nan, values[:, judged])
    return y, np.where(absent, filling, X)


def paces(steps: FloatArray, lead: float, irregular: bool) -> tuple[Any, float]:
    """Steps to each row: whole ones on the grid of a model that has one, else as they are, a duplicate just behind its stamp."""
    return (np.maximum(steps, SHORTEST), 0.0) if irregular else moves(steps, lead)


def later(told: Told, first: int) -> Told:
    """What was told from a row on."""
    z, parts = told.z[first:], []
    for part in told.expected:
        parts.append(part._replace(values=part.values[first:]))
        first = max(first - len(part.values), 0)
    return Told(z, tuple(parts))
