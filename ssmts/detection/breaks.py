"""A detector that looks at all rows at once: which were outliers, and where levels and slopes broke."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any, ClassVar, NamedTuple

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from scipy.special import log_ndtr
from sklearn.utils._param_validation import HasMethods, Interval

from .._containers import FloatArray
from ..base_detector import Explained, SensorRows, shares
from ..core.types import State
from ..exceptions import SsmtsError
from ..forecasting._structural_unit import model_of, ready
from ..forecasting.structural import StructuralForecaster
from . import structural
from .auxiliary import auxiliary
from .calibrators import Calibrations, Stages
from .grid import moves, on_grid
from .innovation import DetectorState, InnovationDetector
from .interventions import Break, Fitted, find, fit
from .normal_tail import innovation_at
from .surprise import one_of, sidak, strangest

_LOG_2 = float(np.log(2.0))


class Smoothed(NamedTuple):
    """A place among the training rows, whose scores rest on all of them."""

    row: int


class BreakDetector(InnovationDetector):
    """Outliers, level breaks and slope breaks by what all rows say, those before and those behind.

    A structural model of each sensor is smoothed, and each row asked what a regression on a dummy would say there: an outlier, a break of
    the level, a break of the slope (auxiliary residuals: Harvey and Koopman 1992; de Jong and Penzer 1998). The most conspicuous
    one is added to the model, the model estimated again, and so on while the likelihood gains enough. ``breaks_`` lists what was found.

    Training rows are scored by these tests. Later rows have no rows behind them: they are scored by their innovations,
    as `InnovationDetector` does, from a state and with parameters that the breaks did not disturb.

    Parameters
    ----------
    model : StructuralForecaster, optional
        Model of each sensor, with a level. ``StructuralForecaster("local_linear")`` by default, which has a slope that may break.
    contamination : float in (0, 0.5], default 0.01
        Share of the training rows that are to be in alarm, unless `false_alarm_rate` is given.
    false_alarm_rate : float in (0, 1) or str, optional
        Share of normal rows that may alarm, such as 1e-4: the alarm level of the p-value. Or a budget such as ``"1/week"``.
    interventions : bool, default True
        Whether to add breaks to the model one after the other. False: what stands out of the model without any, by its t statistic alone.
    significance : float in (0, 1), default 0.05
        Largest p-value of a break in ``breaks_``, for all rows, kinds and sensors together.
    max_breaks : int, default 20
        Breaks of one sensor at most.
    patience : int, default 10
        As in `InnovationDetector`, of later rows.
    calibration : str or Calibrator, default "tail"
        Where p-values of later rows come from, see `InnovationDetector`. Those of training rows are from the tail of their own tests.

    Attributes
    ----------
    breaks_ : DataFrame
        A row a break, in the order of time: ``time`` (row number without an index), ``sensor``, ``kind`` ("outlier", "level", "slope"),
        ``size``, ``std_error``, ``t``, ``p_value`` of the break by itself and ``p_adjusted`` for all places in which it was sought
        (Bonferroni). The level is another one from its row on; a slope moves the rows after it.
    fits_ : tuple of Fitted
        Model and breaks of each sensor.
    offset_ : float
        Logarithm of the alarm level: rows with ``score_samples`` below it are in alarm.
    state_ : DetectorState
        After the last row.
    n_features_in_, feature_names_in_
        Of the sensors.

    Notes
    -----
    A p-value of a break is that of twice the gain in log-likelihood (chi-squared with one degree of freedom), for a variance that was
    estimated with the break in it is too large, and the t statistic under it too small: that of the Nile in 1899 is 3.2 before and
    8.7 after the model knows the break. With ``interventions=False`` it is that of the t statistic.

    A training row is as strange as the best of its tests (Sidak over kinds and sensors), those of breaks in ``breaks_`` included;
    neighbouring rows have much the same tests, and calibration on all of them tells what that means. Where everything is an
    array, rows equal to the training rows are the training rows.

    References
    ----------
    Harvey and Koopman (1992), Journal of Business & Economic Statistics 10, 377-389. de Jong and Penzer (1998), JASA 93, 796-806.
    Durbin and Koopman (2012), sections 2.12 and 7.5. Commandeur and Koopman (2007), An Introduction to State Space Time Series Analysis.

    Examples
    --------
    The dam at Aswan, begun in 1899:

    >>> from ssmts import BreakDetector, StructuralForecaster
    >>> from ssmts.datasets import load_classic
    >>> nile = load_classic("nile").data.to_frame()
    >>> detector = BreakDetector(StructuralForecaster("local_level")).fit(nile)
    >>> print(detector.breaks_[["time", "kind", "size", "t"]].to_string(float_format="{:.1f}".format))
       time   kind   size    t
    0  1899  level -247.8 -8.7
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **InnovationDetector._parameter_constraints,
        "model": [None, HasMethods(["fit", "forecast"])],
        "interventions": ["boolean"],
        "significance": [Interval(Real, 0, 1, closed="neither")],
        "max_breaks": [Interval(Integral, 0, None, closed="left")],
    }

    def __init__(
        self,
        model: Any = None,
        contamination: float = 0.01,
        false_alarm_rate: float | str | None = None,
        *,
        interventions: bool = True,
        significance: float = 0.05,
        max_breaks: int = 20,
        patience: int = 10,
        calibration: Any = "tail",
    ) -> None:
        self.model = model
        self.contamination = contamination
        self.false_alarm_rate = false_alarm_rate
        self.interventions = interventions
        self.significance = significance
        self.max_breaks = max_breaks
        self.patience = patience
        self.calibration = calibration

    # hooks ------------------------------------------------------------------------------------------------------

    def _fit(self, rows: SensorRows) -> dict[str, Any]:
        interval = rows.usual_interval
        steps = rows.steps(np.nan, interval)
        names = [rows.name(i) for i in range(rows.values.shape[1])]
        template = StructuralForecaster("local_linear") if self.model is None else self.model
        taken = moves(steps, 0.0)[0]
        at = np.cumsum(taken) - 1
        y = on_grid(rows.values, taken)
        structural.check(template)
        tasks = (delayed(self._search)(template, y[:, i], name, len(names)) for i, name in enumerate(names))
        found = Parallel(n_jobs=template.n_jobs, prefer="threads")(tasks)
        calm = np.stack([each.without_breaks(y[:, i])[at] for i, (each, _) in enumerate(found)], axis=1)
        model = structural.fit(template, calm, steps, self.patience, names)
        start = structural.start(model)
        innovations, state = structural.run(model, start, calm, steps, self.patience)
        states = [after_breaks(*each, len(y)) for each in zip(state.states, (one for one, _ in found))]
        scores, known = self._calibrate(innovations.z, rows)
        fits, breaks = (tuple(part) for part in zip(*found))
        tests = smoothed(fits, breaks, y, at).score
        share = float(self.contamination)
        level = self._alarm_share(rows) or share
        calibrations = Stages.of("tail", len(names)).learn(tests, strangest, share, level)[0]
        return {
            "model_": model,
            "fits_": fits,
            "found_": breaks,
            "breaks_": table(breaks, rows, at),
            "smoothed_": calibrations,
            **scores,
            "interval_": interval,
            "start_": Smoothed(0),
            "state_": DetectorState(state._replace(states=tuple(states)), rows.last_stamp, known),
        }

    def _run(self, state: Any, rows: SensorRows) -> tuple[FloatArray, Any]:
        if not isinstance(state, Smoothed):
            return super()._run(state, rows)
        told, after = self._explain(state, rows)
        return told.log_p, after

    def _explain(self, state: Any, rows: SensorRows) -> tuple[Explained, Any]:
        if not isinstance(state, Smoothed):
            return super()._explain(state, rows)
        some = slice(state.row, state.row + len(rows.values))
        told = self._smoothed()
        return told._replace(**{name: field[some] for name, field in told._asdict().items()}), Smoothed(some.stop)

    def _segments(self, rows: SensorRows) -> list[tuple[Any, SensorRows]]:
        known = self.rows_
        if rows.index is None and known is not None and np.array_equal(rows.values, known.values, equal_nan=True):
            return [(self.start_, rows)]
        return super()._segments(rows)

    # what was found ---------------------------------------------------------------------------------------------

    def auxiliary_residuals(self, *, interventions: bool = False) -> pd.DataFrame:
        """The t statistics of outliers and breaks at each training row.

        Parameters
        ----------
        interventions : bool, default False
            Whether beside the breaks in ``breaks_``, or of the model without any.

        Returns
        -------
        DataFrame
            A row a time and sensor, indexed by both, and a column a kind.

        Raises
        ------
        SsmtsError
            The training rows were not saved with the detector.
        """
        rows, at, y = self._training()
        told = []
        for i, fitted in enumerate(self.fits_):
            if not interventions and fitted.places:
                template = StructuralForecaster("local_linear") if self.model is None else self.model
                fitted = fit(template, y[:, i])
            told.append(fitted.auxiliary(y[:, i]).t[at])
        kinds = auxiliary(self.fits_[0].unit, y[:, 0], self.fits_[0].dummies).kinds
        return pd.DataFrame(np.stack(told, axis=1).reshape(-1, len(kinds)), self._long_index(rows), list(kinds))

    # shared work ------------------------------------------------------------------------------------------------

    def _search(
        self, template: StructuralForecaster, y: FloatArray, name: str, n_sensors: int
    ) -> tuple[Fitted, tuple[Break, ...]]:
        """Model and breaks of one sensor."""
        try:
            if self.interventions:
                return find(template, y, float(self.significance), n_sensors, int(self.max_breaks))
            fitted = fit(template, y)
        except SsmtsError as error:
            raise type(error)(f"Sensor {name}: {error}") from error
        told = fitted.auxiliary(y)
        p = np.exp(_LOG_2 + log_ndtr(-np.abs(told.t)))
        n_places = n_sensors * int(np.isfinite(p).sum())
        places = np.argwhere(p * n_places <= self.significance)
        places = places[np.argsort(p[tuple(places.T)], kind="stable")[: int(self.max_breaks)]]
        breaks = (
            Break(
                told.kinds[k],
                int(t),
                float(told.size[t, k]),
                float(told.std_error[t, k]),
                float(p[t, k]),
                min(1.0, float(p[t, k]) * n_places),
            )
            for t, k in places
        )
        return fitted, tuple(sorted(breaks, key=lambda one: one.row))

    def _training(self) -> tuple[SensorRows, np.ndarray, FloatArray]:
        """Training rows, their places on the grid, and the grid."""
        if self.rows_ is None:
            raise SsmtsError(
                "This needs the training rows, and they were not saved: save(..., data=True), or fit again."
            )
        taken = moves(self.rows_.steps(np.nan, self.interval_), 0.0)[0]
        return self.rows_, np.cumsum(taken) - 1, on_grid(self.rows_.values, taken)

    def _smoothed(self) -> Explained:
        """What all training rows say of each of them."""
        _, at, y = self._training()
        told = smoothed(self.fits_, self.found_, y, at)
        frozen, n = Stages.of("tail", y.shape[1]), len(at)
        log_p, log_p_sensor, _ = frozen.run(self.smoothed_, Calibrations(), told.score, strangest, learning=False)
        level = self._offset()
        scores = frozen.reach(self.smoothed_, Calibrations(), told.score, strangest, False, level, self._alone)
        reach = innovation_at(-one_of(len(told.kinds), -scores)) * told.sd
        window = np.repeat(np.arange(1, n + 1)[:, None], y.shape[1], axis=1)
        return Explained(
            log_p,
            told.expected,
            told.expected - reach,
            told.expected + reach,
            told.deviation,
            shares(-log_p_sensor),
            log_p_sensor,
            window,
        )

    def _alone(self, surprise: FloatArray) -> FloatArray:
        """Log p-value of one sensor that by itself gives a row this surprise."""
        return one_of(self.n_features_in_, -surprise)

    def _offset(self) -> float:
        """The alarm level; any one while it is being found."""
        return float(vars(self).get("offset_", np.log(0.01)))


class SmoothedRows(NamedTuple):
    """What the tests of all kinds say of training rows, each ``(n_times, n_sensors)``.

    Attributes
    ----------
    score : minus the log p-value of the best test, for as many kinds as there are; NaN where nothing was read.
    expected, sd : reading that all others let expect, and its standard deviation.
    deviation : t statistic of the best test.
    kinds : tuple of str
    """

    score: FloatArray
    expected: FloatArray
    sd: FloatArray
    deviation: FloatArray
    kinds: tuple[str, ...]


def smoothed(fits: Sequence[Fitted], found: Sequence[tuple[Break, ...]], y: FloatArray, at: np.ndarray) -> SmoothedRows:
    """Tests of the rows that stand at places `at` of a grid, those of breaks that were found included."""
    shape = len(at), y.shape[1]
    score, expected, sd, deviation = (np.full(shape, np.nan) for _ in range(4))
    kinds: tuple[str, ...] = ()
    for i, (fitted, breaks) in enumerate(zip(fits, found)):
        told = fitted.auxiliary(y[:, i])
        kinds = told.kinds
        t, size, error = told.t[at], told.size[at, 0], told.std_error[at, 0]
        tests = _LOG_2 + log_ndtr(-np.abs(t))
        for one in breaks:
            row, k = int(np.searchsorted(at, one.row)), kinds.index(one.kind)
            tests[row, k] = np.log(max(one.p_value, np.finfo(float).tiny))
            t[row, k] = one.size / one.std_error
            if one.kind == "outlier":
                size[row], error[row] = one.size, one.std_error
        seen = ~np.isnan(y[at, i])
        best = np.argmin(np.where(np.isnan(tests), 0.0, tests), axis=1)
        score[:, i] = np.where(seen, -sidak(tests), np.nan)
        deviation[:, i] = np.where(seen, np.take_along_axis(t, best[:, None], axis=1)[:, 0], np.nan)
        expected[:, i], sd[:, i] = y[at, i] - size, error
    return SmoothedRows(score, expected, sd, deviation, kinds)


def after_breaks(state: State, fitted: Fitted, n: int) -> State:
    """The state of a series after n rows from that of the series less its breaks."""
    unit = fitted.plain
    F = np.asarray(ready(unit.components, unit.parameters)[1].ssm.transition)
    mean, cov = state.mean.copy(), state.cov.copy()
    for (kind, row), size, error in zip(fitted.places, fitted.sizes, fitted.std_errors):
        if kind == "outlier":
            continue
        moved = np.zeros(len(F))
        moved[model_of(unit).state_names.index(kind)] = 1.0
        moved = np.linalg.matrix_power(F, n - row) @ moved
        mean += size * moved
        cov += error**2 * np.outer(moved, moved)
    return state._replace(mean=mean, cov=cov)


def table(found: Sequence[tuple[Break, ...]], rows: SensorRows, at: np.ndarray) -> pd.DataFrame:
    """Breaks of all sensors in the order of time."""
    times = pd.RangeIndex(len(rows.values)) if rows.index is None else rows.index
    names = list(range(len(found)) if rows.columns is None else rows.columns)
    lines = [(int(np.searchsorted(at, one.row)), names[i], one) for i, breaks in enumerate(found) for one in breaks]
    lines.sort(key=lambda line: line[0])
    which = np.array([row for row, _, _ in lines], dtype=np.intp)
    return pd.DataFrame(
        {
            "time": times.take(which),
            "sensor": pd.Series([name for _, name, _ in lines], dtype=object),
            "kind": pd.Series([one.kind for _, _, one in lines], dtype=object),
            "size": np.array([one.size for _, _, one in lines]),
            "std_error": np.array([one.std_error for _, _, one in lines]),
            "t": np.array([one.size / one.std_error for _, _, one in lines]),
            "p_value": np.array([one.p_value for _, _, one in lines]),
            "p_adjusted": np.array([one.p_adjusted for _, _, one in lines]),
        }
    )
