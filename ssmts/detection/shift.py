"""A detector of small shifts that last."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
from sklearn.utils._param_validation import Interval, StrOptions

from .._containers import FloatArray
from ..base_detector import SensorRows
from . import baseline, charts
from .charts import Chart, ChartState
from .releasing import ReleasingDetector, least_limits
from .surprise import Surprise, SurpriseDetector


class ShiftDetector(ReleasingDetector):
    """Shifts too small for one reading to show, found because they last.

    Every sensor has a control chart of its standardised innovations, or readings, which gathers evidence over many rows. The score is the
    log likelihood ratio between a shift and none, calibrated by the training rows. Gross errors alarm too, for one row.

    Parameters
    ----------
    method : {"cusum", "glr", "ewma"}, default "cusum"
        CUSUM [2]_ finds shifts of at least `size` soonest, and says since when they are there. GLR [3]_ takes no `size`, asks all
        windows up to `window` readings, and costs six times as much. EWMA [4]_ is a plain smoothing of the innovations.
    size : float in (0, 4], default 1.0
        CUSUM: the shift that is to be found soonest, in standard deviations of the innovations (of the readings). Means that are off
        by less than half of it are let be.
    window : int, default 128
        GLR: longest stretch of readings that is taken together.
    weight : float in (0, 1], default 0.1
        EWMA: that of the latest reading. Smaller ones find smaller shifts, later.
    on : {"innovations", "readings"}, default "innovations"
        What is charted: what a robust local level did not expect, for sensors that drift and for noise that is correlated from row to
        row; or the distance of the readings from the median of the training rows in units of their scale, for sensors that have one
        normal level, whose slow drift is to be found too.
    contamination : float in (0, 0.5], default 0.01
        Share of the training rows that are to be in alarm, unless `false_alarm_rate` is given. At most this share of them
        is also taken for outliers and set aside when p-values are calibrated.
    false_alarm_rate : float in (0, 1) or str, optional
        Share of normal rows that may alarm, such as 1e-4: the alarm level of the p-value. Or a budget such as ``"1/week"``,
        which the usual interval between stamps turns into a share. Rows of a shift alarm together, so that there are
        fewer false alerts than false rows.
    patience : int, default 10
        Rows that an alarm may last. Then the baseline restarts at the latest reading, and the evidence from nothing.
    calibration : str or Calibrator, default "tail"
        Where p-values come from. "tail": what the training rows showed, for ever. "nominal": ``exp(-score)``, about right for the CUSUM
        of independent normal innovations only. See `ssmts.detection.calibrators`.

    Attributes
    ----------
    offset_ : float
        Logarithm of the alarm level: rows with ``score_samples`` below it are in alarm.
    model_ : Chart
        Baseline and limits of the sensors.
    calibrations_ : Calibrations
        Of sensors and rows.
    state_ : SurpriseState
        After the last row.
    n_features_in_, feature_names_in_
        Of the sensors.

    See Also
    --------
    ssmts.InnovationDetector : single readings that were not expected.

    Notes
    -----
    In `explain`, ``deviation`` is the shift as it is estimated, in standard deviations, and ``window`` the rows it is estimated from:
    with CUSUM those since the sum left zero, which is when the shift began. ``lower`` and ``upper`` are where one reading would
    alarm with no evidence before it.

    An alarm ends `patience` rows after it began; interruptions in which the score stays above half of the limit do not count as its end.
    A row counts in which the sensor alone would be in alarm, with a score of at least 7 (a nominal p-value of 1e-3): weaker alarms, which
    only `contamination` or a high rate asks for, end by themselves. Evidence counts readings, not time; a silent sensor neither adds to
    it nor takes from it.

    A CUSUM of independent normal readings with ``size=1`` and limit 5 in its sums gives a false alert every 465 rows, and finds a shift of
    one standard deviation after 10.4 [1]_. The limits here follow from the false-alarm rate that is asked for instead.

    References
    ----------
    .. [1] Montgomery, D. C. (2013). Introduction to Statistical Quality Control, 7th edition, chapter 9. Wiley.
    .. [2] Page, E. S. (1954). Continuous inspection schemes. Biometrika 41, 100-115.
    .. [3] Willsky, A. S. and Jones, H. L. (1976). A generalized likelihood ratio approach to the detection and estimation of jumps in
       linear systems. IEEE Transactions on Automatic Control 21, 108-112.
    .. [4] Lucas, J. M. and Saccucci, M. S. (1990). Exponentially weighted moving average control schemes: properties and
       enhancements. Technometrics 32, 1-12.

    Examples
    --------
    >>> import numpy as np
    >>> from ssmts import ShiftDetector
    >>> rng = np.random.default_rng(0)
    >>> detector = ShiftDetector(on="readings", false_alarm_rate=1e-3).fit(rng.normal(20.0, 0.5, (5000, 2)))
    >>> new = rng.normal(20.0, 0.5, (60, 2))
    >>> new[20:, 1] += 0.6  # hardly more than the noise
    >>> detector.predict(new).tolist().index(-1)
    40
    >>> told = detector.explain(new).loc[40, 1]
    >>> bool(told["culprit"]), int(told["window"]), round(float(told["deviation"]), 1)
    (True, 17, 1.1)
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **SurpriseDetector._parameter_constraints,
        "method": [StrOptions(set(charts.METHODS))],
        "size": [Interval(Real, 0, 4, closed="right")],
        "window": [Interval(Integral, 1, None, closed="left")],
        "weight": [Interval(Real, 0, 1, closed="right")],
        "on": [StrOptions({"innovations", "readings"})],
        "patience": [Interval(Integral, 1, None, closed="left")],
    }

    def __init__(
        self,
        method: str = "cusum",
        contamination: float = 0.01,
        false_alarm_rate: float | str | None = None,
        *,
        size: float = 1.0,
        window: int = 128,
        weight: float = 0.1,
        on: str = "innovations",
        patience: int = 10,
        calibration: Any = "tail",
    ) -> None:
        self.method = method
        self.contamination = contamination
        self.false_alarm_rate = false_alarm_rate
        self.size = size
        self.window = window
        self.weight = weight
        self.on = on
        self.patience = patience
        self.calibration = calibration

    def _learn(self, rows: SensorRows, steps: FloatArray) -> tuple[Chart, ChartState]:
        d = rows.values.shape[1]
        model, state = baseline.fit(self.on, rows.values, steps, self.patience, [rows.name(i) for i in range(d)])
        chart = Chart(model, least_limits(d), float(self.size), float(self.weight), charts.grid(self.window))
        return chart, charts.start(self.method, state, self.window)

    def _surprise(
        self, model: Chart, state: ChartState, rows: SensorRows, steps: FloatArray, *, full: bool
    ) -> tuple[Surprise, ChartState]:
        told, after = charts.run(self.method, model, state, rows.values, steps, self.patience, full=full)
        return Surprise(told.score, told.expected, told.sd, told.size, told.window.astype(np.int64)), after

    def _limit(self, fitted: dict[str, Any], rows: SensorRows) -> FloatArray:
        return charts.within_reach(self.method, fitted["model_"], super()._limit(fitted, rows))

    def _reach(self, nominal: FloatArray) -> FloatArray:
        return charts.reach(self.method, self.model_, nominal)
