"""A detector of sensors that scatter too much, or too little."""

from __future__ import annotations

from numbers import Integral
from typing import Any, ClassVar

import numpy as np
from sklearn.utils._param_validation import Interval, StrOptions

from .._containers import FloatArray
from ..base_detector import SensorRows
from . import baseline, spreads
from .normal_tail import innovation_at
from .releasing import ReleasingDetector, least_limits
from .spreads import Spread, SpreadState
from .surprise import Surprise, SurpriseDetector


class SpreadDetector(ReleasingDetector):
    """Bursts of noise, and sensors that are stuck or have lost their noise.

    Sums of squared innovations of each sensor over a window are compared with both tails of the chi-squared distribution, and runs of the
    same value with how often the sensor repeated its value in the training rows. The smallest p-value counts, calibrated by the training
    rows.

    Parameters
    ----------
    window : int, default 16
        Readings that are taken together. A threefold standard deviation alarms after some four of them whatever the window, half of it only
        in sixteen or more. Scores of a window are alike, so that training rows should be many windows: a hundred say what is normal.
    contamination : float in (0, 0.5], default 0.01
        Share of the training rows that are to be in alarm, unless `false_alarm_rate` is given. At most this share of them
        is also taken for outliers and set aside when p-values are calibrated.
    false_alarm_rate : float in (0, 1) or str, optional
        Share of normal rows that may alarm, such as 1e-4: the alarm level of the p-value. Or a budget such as ``"1/week"``,
        which the usual interval between stamps turns into a share.
    on : {"innovations", "readings"}, default "innovations"
        What scatters: what a robust local level did not expect, for sensors that drift; or the readings around the mean of the window, in
        units of the robust scale of the training rows.
    patience : int, default 10
        Rows that an alarm may last. Then that scatter is taken for normal, or the value for one to stay at.
    calibration : str or Calibrator, default "tail"
        Where p-values come from. "tail": what the training rows showed, for ever. "nominal": the chi-squared distribution.
        See `ssmts.detection.calibrators`.

    Attributes
    ----------
    offset_ : float
        Logarithm of the alarm level: rows with ``score_samples`` below it are in alarm.
    model_ : Spread
        Baseline and limits of the sensors, and how often they repeat a value.
    calibrations_ : Calibrations
        Of sensors and rows.
    state_ : SurpriseState
        After the last row.
    n_features_in_, feature_names_in_
        Of the sensors.

    See Also
    --------
    ssmts.ShiftDetector : sensors whose mean has shifted.

    Notes
    -----
    In `explain`, ``deviation`` says which of the two it is: above 0 too much scatter, below 0 too little, or a value that repeats; in size
    the standard normal deviate with the same p-value. ``window`` are the rows of the window, or of the run of the same value.
    ``lower`` and ``upper`` are where a single reading would alarm in a window that scatters as it should.

    An alarm with a score of at least 7 (a nominal p-value of 1e-3) ends `patience` rows after it began; weaker ones, which only
    `contamination` or a high rate asks for, end by themselves. The range of normal variances then is wider, until readings are back
    within the one of the training rows: that a burst or a stuck value ends is no alarm, and the next one is. The wider range is given
    up by a 64th of the difference each reading. Repeated values are learnt as a probability for each sensor (with its uncertainty, by
    a beta distribution), so that readings of a coarse resolution alarm only after longer runs; of a sensor that changed less than
    thirty times in the training rows they say nothing. A silent sensor neither adds to a window nor takes from it.

    Examples
    --------
    >>> import numpy as np
    >>> from ssmts import SpreadDetector
    >>> rng = np.random.default_rng(0)
    >>> detector = SpreadDetector(false_alarm_rate=1e-3).fit(rng.normal(20.0, 0.5, (3000, 2)))
    >>> new = rng.normal(20.0, 0.5, (60, 2))
    >>> new[20:, 0] = new[20, 0]  # stuck
    >>> new[40:, 1] = 20.0 + 3 * (new[40:, 1] - 20.0)  # three times the noise
    >>> told = detector.explain(new).query("culprit").groupby("sensor")["deviation"]
    >>> np.sign(told.first()).tolist()  # too little of sensor 0, too much of sensor 1
    [-1.0, 1.0]
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **SurpriseDetector._parameter_constraints,
        "window": [Interval(Integral, 2, None, closed="left")],
        "on": [StrOptions({"innovations", "readings"})],
        "patience": [Interval(Integral, 1, None, closed="left")],
    }

    def __init__(
        self,
        window: int = 16,
        contamination: float = 0.01,
        false_alarm_rate: float | str | None = None,
        *,
        on: str = "innovations",
        patience: int = 10,
        calibration: Any = "tail",
    ) -> None:
        self.window = window
        self.contamination = contamination
        self.false_alarm_rate = false_alarm_rate
        self.on = on
        self.patience = patience
        self.calibration = calibration

    def _learn(self, rows: SensorRows, steps: FloatArray) -> tuple[Spread, SpreadState]:
        d = rows.values.shape[1]
        level, state = baseline.fit(self.on, rows.values, steps, self.patience, [rows.name(i) for i in range(d)])
        return spreads.learn(level, least_limits(d), rows.values, self.window), spreads.start(state, self.window)

    def _surprise(
        self, model: Spread, state: SpreadState, rows: SensorRows, steps: FloatArray, *, full: bool
    ) -> tuple[Surprise, SpreadState]:
        told, after = spreads.run(model, state, rows.values, steps, self.patience, full=full)
        deviation = told.sign * innovation_at(told.score) if full else told.sign
        return Surprise(told.score, told.expected, told.sd, deviation, told.window.astype(np.int64)), after

    def _reach(self, nominal: FloatArray) -> FloatArray:
        return spreads.reach(self.model_, nominal)
