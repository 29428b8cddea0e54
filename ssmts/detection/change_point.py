"""A detector of changes of level and scatter that says when they happened."""

from __future__ import annotations

import math
from itertools import pairwise
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from .._containers import FloatArray
from ..base_detector import SensorRows
from . import baseline, run_lengths
from .releasing import ReleasingDetector, least_limits
from .run_lengths import EVIDENT, Change, Prior, Runs, RunState
from .surprise import Surprise, SurpriseDetector


class ChangePointDetector(ReleasingDetector):
    """Bayesian online change points: when each sensor last changed its mean or its scatter, and how sure that is.

    After every reading all starts of the current run of alike readings have a probability, each by the normal-inverse-gamma model of the
    readings since. The score is minus the logarithm of the probability that nothing has changed of late, calibrated by the training rows.

    Parameters
    ----------
    method : {"bocpd", "restarted"}, default "bocpd"
        "bocpd" weighs all histories [1]_ and remembers earlier runs. "restarted" weighs every start against no change since the last
        restart, and forgets all at a restart [3]_.
    run_length : float above 1, default 250
        Readings that pass between changes on average, as is thought beforehand. It hardly matters: a factor of ten is 2.3 in the score.
    mean_spread : float above 0, default 3.0
        How far the mean of a run lies from that of the run before, as is thought beforehand; in standard deviations of the training rows.
    dof : float above 0, default 4.0
        How many readings' worth is known beforehand of the variance of a run: that it is like in the training rows. It makes the first
        readings of a run heavy-tailed, with as many degrees of freedom.
    window : int, default 100
        Readings after which a change is not news any more. Smaller changes need longer to be sure of.
    n_runs : int, default 64
        Most starts that are remembered; beyond that, and below a probability of 1e-8, the least probable are dropped.
    contamination : float in (0, 0.5], default 0.01
        Share of the training rows that are to be in alarm, unless `false_alarm_rate` is given. At most this share of them
        is also taken for outliers and set aside when p-values are calibrated.
    false_alarm_rate : float in (0, 1) or str, optional
        Share of normal rows that may alarm, such as 1e-4: the alarm level of the p-value. Or a budget such as ``"1/week"``,
        which the usual interval between stamps turns into a share.
    on : {"readings", "innovations"}, default "readings"
        What changes: the readings, in units of median and scale of the training rows; or what a robust local level did not expect of
        them, for sensors that drift.
    patience : int, default 10
        Rows that an alarm may last. Then the change is settled.
    calibration : str or Calibrator, default "tail"
        Where p-values come from. "tail": what the training rows showed, for ever. "nominal": the probability itself.
        See `ssmts.detection.calibrators`.

    Attributes
    ----------
    offset_ : float
        Logarithm of the alarm level: rows with ``score_samples`` below it are in alarm.
    model_ : Runs
        Baseline, limits and prior.
    calibrations_ : Calibrations
        Of sensors and rows.
    state_ : SurpriseState
        After the last row.
    n_features_in_, feature_names_in_
        Of the sensors.

    See Also
    --------
    ssmts.ShiftDetector : shifts of the mean only, at a hundredth of the cost.

    Notes
    -----
    The probability that a run ended with the last reading is the same whatever the readings are, so it is no score; what is scored is that
    a run began at most `window` readings ago, and after the last change that was settled.
    In `explain`, ``expected`` is the level before the change; ``deviation``, once a change is more probable than none, is the distance of
    the new mean from it in standard deviations, and ``window`` the rows since the change. ``lower`` and ``upper`` are where a single
    reading would alarm after a long run. One gross error is a run of its own, and alarms as long as a change does.

    The mean of a run is thought to lie around that of the last run of at least five readings, as widely whatever the variance of the run,
    which its scatter alone tells. With the conjugate prior of [2]_ a run far from the training rows has to take its distance for
    scatter, and hides what comes next.

    A reading costs some microseconds, memory is constant.

    References
    ----------
    .. [1] Adams, R. P. and MacKay, D. J. C. (2007). Bayesian online changepoint detection. arXiv:0710.3742.
    .. [2] Murphy, K. P. (2007). Conjugate Bayesian analysis of the Gaussian distribution. University of British Columbia.
    .. [3] Alami, R., Maillard, O. and Feraud, R. (2020). Restarted Bayesian online change-point detector achieves optimal detection
       delay. Proceedings of Machine Learning Research 119, 211-221.
    .. [4] Fearnhead, P. and Liu, Z. (2007). On-line inference for multiple changepoint problems. Journal of the Royal Statistical Society
       B 69, 589-605.

    Examples
    --------
    >>> import numpy as np
    >>> from ssmts import ChangePointDetector
    >>> rng = np.random.default_rng(0)
    >>> detector = ChangePointDetector(false_alarm_rate=1e-3).fit(rng.normal(20.0, 0.5, (2000, 2)))
    >>> new = rng.normal(20.0, 0.5, (300, 2))
    >>> new[100:, 0] += 1.0
    >>> new[200:, 1] = 20.0 + 3.0 * (new[200:, 1] - 20.0)
    >>> detector.change_points(new).round(1)
       time  sensor  mean_before  mean_after  sd_before  sd_after
    0    98       0         20.0        21.0        0.5       0.5
    1   201       1         20.0        20.1        0.5       1.6
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **SurpriseDetector._parameter_constraints,
        "method": [StrOptions({"bocpd", "restarted"})],
        "run_length": [Interval(Real, 1, None, closed="neither")],
        "mean_spread": [Interval(Real, 0, None, closed="neither")],
        "dof": [Interval(Real, 0, None, closed="neither")],
        "window": [Interval(Integral, 1, None, closed="left")],
        "n_runs": [Interval(Integral, 2, None, closed="left")],
        "on": [StrOptions({"readings", "innovations"})],
        "patience": [Interval(Integral, 1, None, closed="left")],
    }

    def __init__(
        self,
        method: str = "bocpd",
        contamination: float = 0.01,
        false_alarm_rate: float | str | None = None,
        *,
        run_length: float = 250.0,
        mean_spread: float = 3.0,
        dof: float = 4.0,
        window: int = 100,
        n_runs: int = 64,
        on: str = "readings",
        patience: int = 10,
        calibration: Any = "tail",
    ) -> None:
        self.method = method
        self.contamination = contamination
        self.false_alarm_rate = false_alarm_rate
        self.run_length = run_length
        self.mean_spread = mean_spread
        self.dof = dof
        self.window = window
        self.n_runs = n_runs
        self.on = on
        self.patience = patience
        self.calibration = calibration

    # results ----------------------------------------------------------------------------------------------------

    def change_points(self, X: Any) -> pd.DataFrame:
        """When the sensors changed within these rows.

        Parameters
        ----------
        X : DataFrame, Series or array of shape (n_times, n_sensors)
            As in `score_samples`: rows after the last one learnt, or training rows.

        Returns
        -------
        DataFrame
            One row a change, by time: ``time`` of the first reading of the new run (its row number for arrays), ``sensor``, and mean and
            standard deviation of the readings in these rows ``before`` and ``after`` it, up to the changes next to it: ``mean_before,
            mean_after, sd_before, sd_after``. They are those of the most probable sequence of changes [4]_ given all the rows;
            "restarted": those that led to restarts, where each is as probable as no change at once.
        """
        check_is_fitted(self)
        rows = self._read_fitted(X)
        found = []
        for sensor, starts in enumerate(self._starts(rows)):
            name = sensor if self.columns_ is None else self.columns_[sensor]
            edges = [0, *starts, len(rows.values)]
            moments = [_moments(rows.values[a:b, sensor]) for a, b in pairwise(edges)]
            for at, (mean, sd), (mean_after, sd_after) in zip(starts, moments[:-1], moments[1:]):
                time = at if rows.index is None else rows.index[at]
                found.append((time, name, mean, mean_after, sd, sd_after, at))
        names = ["time", "sensor", "mean_before", "mean_after", "sd_before", "sd_after", "row"]
        frame = pd.DataFrame(found, columns=names).sort_values("row", kind="stable", ignore_index=True)
        return frame.drop(columns="row")

    def run_length_samples(self, X: Any) -> FloatArray:
        """Rows that the most probable run of each sensor has after each row, ``(n_times, n_sensors)``.

        Parameters
        ----------
        X : DataFrame, Series or array of shape (n_times, n_sensors)
            As in `score_samples`.
        """
        check_is_fitted(self)
        pieces = self._segments(self._read_fitted(X))
        return np.concatenate([self._told(state, part).run for state, part in pieces])

    # hooks ------------------------------------------------------------------------------------------------------

    def _learn(self, rows: SensorRows, steps: FloatArray) -> tuple[Runs, RunState]:
        d = rows.values.shape[1]
        level, state = baseline.fit(self.on, rows.values, steps, self.patience, [rows.name(i) for i in range(d)])
        prior = Prior(0.0, 1.0 / self.mean_spread**2, 0.5 * self.dof, 0.5 * self.dof, True)
        follows = float(self.patience) if self.on == "innovations" else math.inf
        restarts = self.method == "restarted"
        hazard, window = 1.0 / self.run_length, float(self.window)
        return Runs(level, least_limits(d), prior, hazard, window, follows, restarts), run_lengths.start(
            state, self.n_runs
        )

    def _surprise(
        self, model: Runs, state: RunState, rows: SensorRows, steps: FloatArray, *, full: bool
    ) -> tuple[Surprise, RunState]:
        told, after = run_lengths.run(model, state, rows.values, steps, self.patience, full=full)
        return Surprise(told.score, told.expected, told.sd, told.deviation, told.window.astype(np.int64)), after

    def _reach(self, nominal: FloatArray) -> FloatArray:
        return run_lengths.reach(self.model_, nominal)

    # shared work ------------------------------------------------------------------------------------------------

    def _told(self, state: Any, rows: SensorRows) -> Change:
        """What is said of rows, a change being settled as soon as it is more probable than none."""
        model = self.model_._replace(limit=np.full(self.n_features_in_, EVIDENT))
        steps = rows.steps(state.stamp, self.interval_)
        return run_lengths.run(model, state.sensors, rows.values, steps, 1, full=True)[0]

    def _starts(self, rows: SensorRows) -> list[list[int]]:
        """Rows at which new runs begin, for each sensor."""
        pieces = [(state, self._told(state, part)) for state, part in self._segments(rows)]
        first = pieces[0][0].sensors.counts[0, run_lengths.ROWS]
        if self.method == "restarted":
            dropped = np.concatenate([told.dropped for _, told in pieces]) - first
            return [sorted({int(at) for at in column[column >= 0]}) for column in dropped.T]
        begun = np.concatenate([told.start for _, told in pieces]) - first
        known = pieces[0][0].sensors.counts[:, run_lengths.READINGS] > 0
        return [_traced(column, bool(before)) for column, before in zip(begun.T, known)]


def _traced(begun: FloatArray, known: bool) -> list[int]:
    """Starts of runs, from that of the last one on backwards; the very first run of a sensor not `known` before is no change."""
    starts: list[int] = []
    at = len(begun) - 1
    while at >= 0 and begun[at] >= 0:
        starts.insert(0, int(begun[at]))
        at = starts[0] - 1
    return starts if known else starts[1:]


def _moments(values: FloatArray) -> tuple[float, float]:
    seen = values[~np.isnan(values)]
    return (float(seen.mean()), float(seen.std())) if len(seen) else (math.nan, math.nan)
