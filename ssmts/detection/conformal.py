"""P-values by rank among the scores of normal rows, with a level that may follow the alarms that were raised."""

from __future__ import annotations

import math
from numbers import Integral, Real
from typing import Any, ClassVar, NamedTuple

import numpy as np
from sklearn.utils._param_validation import Interval

from .._containers import FloatArray
from ..exceptions import TooShortError
from .calibration import calibrate, largest_trusted, score_at
from .calibrators import Calibrator
from .robust import kernel
from .spot import WEAR

LEAST = 0.05  # of minus the log of the level: rows with a p-value below 0.95 alarm
STRANGE = 0.01  # part of the alarm level: scores of a p-value below it, by the tail of the training rows, are strange


class ConformalState(NamedTuple):
    """What is known of every column after its last score.

    Attributes
    ----------
    ordered : (n_columns, max_scores)
        The latest learnt scores in ascending order.
    queue : (n_columns, max_scores)
        The same, each at its turn.
    number, turn : (n_columns,)
        How many there are, and the place of the next.
    evidence : (n_columns,)
        That what is not learnt has come to stay.
    allowed : (n_columns,)
        How many strange scores are to be learnt all the same.
    limit : (n_columns,)
        Minus the log p-value at which a row alarms; moves in `AdaptiveConformal` only.
    """

    ordered: FloatArray
    queue: FloatArray
    number: FloatArray
    turn: FloatArray
    evidence: FloatArray
    allowed: FloatArray
    limit: FloatArray


class ConformalModel(NamedTuple):
    """Minus the logarithm of the asked level, and how many times the score at the alarm level a strange score is."""

    asked: float
    strange: FloatArray


class Conformal(Calibrator):
    """P-values by rank: (1 + number of calibration scores at least as large) / (1 + number of calibration scores).

    Where rows are exchangeable, as innovations of a right model are, a p-value below a level comes no more often than the
    level says, whatever the distribution and however few the rows; no tail is extrapolated. The calibration scores are the training
    rows' and, as the stream goes on, the latest rows'.

    In detectors of several sensors the rows are calibrated so, the sensors by ``"tail"``: ranks are too coarse to be combined.

    Parameters
    ----------
    max_scores : int, default 5000
        Scores that are kept, the latest ones.
    patience : int, default 50
        Scores that are strange even for an alarm are not learnt, so that faults do not become normal: those as far beyond the score
        of the alarm level as a hundredth of it was in the training rows, by their tail. After so many in a row, or
        more if others come in between, as many are learnt: the stream has changed. Alarms thin out then; of n rows of a
        new kind nobody knows more than which is the strangest in n.

    Raises
    ------
    TooShortError
        By detectors, if there are fewer training rows than it takes to reach the alarm level: ``1 / level``.

    See Also
    --------
    AdaptiveConformal : with a level that follows the rate of alarms.

    Notes
    -----
    Ties count as "at least as large", without randomisation: p-values are rather too large than too small, and the same data
    get the same scores.

    References
    ----------
    Vovk, Gammerman and Shafer (2005), Algorithmic learning in a random world; Laxhammar and Falkman (2010), Conformal prediction for
    distribution-independent anomaly detection in streaming vessel data.

    Examples
    --------
    >>> import numpy as np
    >>> from ssmts import Conformal, InnovationDetector
    >>> X = np.random.default_rng(0).standard_t(3, size=(2000, 1))
    >>> detector = InnovationDetector(false_alarm_rate=1e-3, calibration=Conformal()).fit(X)
    >>> np.exp(detector.score_samples([[500.0]])).round(5)
    array([0.0005])
    """

    by_sensor = False
    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "max_scores": [Interval(Integral, 20, None, closed="left")],
        "patience": [Interval(Integral, 1, None, closed="left")],
    }
    _step = 0.0

    def __init__(self, max_scores: int = 5000, patience: int = 50) -> None:
        self.max_scores = max_scores
        self.patience = patience

    def learn(self, scores: FloatArray, contamination: float, level: float) -> tuple[ConformalModel, ConformalState]:
        size = (scores.shape[1], self.max_scores)
        state = ConformalState(
            np.full(size, np.inf), np.full(size, np.inf), *np.zeros((2, size[0]), np.int64), *np.zeros((3, size[0]))
        )
        for i, (column, top) in enumerate(zip(scores.T, largest_trusted(scores, contamination))):
            kept = column[column <= top][-self.max_scores :]
            self._check_enough(len(kept), level)
            state.ordered[i, : len(kept)], state.queue[i, : len(kept)] = np.sort(kept), kept
            state.number[i], state.turn[i] = len(kept), len(kept) % self.max_scores
        state.limit[:] = -math.log(level)
        tail = calibrate(scores, contamination)
        alarm, strange = (score_at(tail, math.log(p)) for p in (level, STRANGE * level))
        ratio = np.divide(strange, alarm, out=np.ones(size[0]), where=alarm > 0)
        return ConformalModel(-math.log(level), ratio), state

    def _check_enough(self, number: int, level: float) -> None:
        if (number + 1) * level <= 1 + 1e-9:
            raise TooShortError(
                f"Conformal p-values of n_samples = {number} training row(s) are never below 1/{number + 1}, and the alarm level "
                f"is {level:.3g}. Train on {math.floor(1 / level) + 1} rows or more (max_scores is {self.max_scores}), ask for a "
                'higher rate, or take calibration="spot".'
            )

    def run(
        self,
        model: ConformalModel,
        state: ConformalState,
        scores: FloatArray,
        at: FloatArray | None = None,
        *,
        learning: bool = True,
    ) -> tuple[FloatArray, FloatArray, ConformalState]:
        after = ConformalState(*(field.copy() for field in state)) if learning else state
        log_p, reach = np.empty(scores.shape), np.empty((0 if at is None else len(scores), scores.shape[1]))
        levels = np.empty(0) if at is None else at
        scores = np.ascontiguousarray(scores)
        _run(after, *model, scores, levels, float(self.patience), float(self._step), learning, log_p, reach)
        return log_p, reach, after


class AdaptiveConformal(Conformal):
    """P-values by rank whose level follows the rate of alarms (adaptive conformal inference).

    Each alarm lowers the level by the factor ``exp(-step)`` and each row raises it by ``exp(step * rate)``, `rate` being the asked
    rate of alarms, so that over a long time rows alarm no more often than asked, whatever the stream does: also where it drifts, or the
    model is wrong. Real faults count as well: after many of them only larger ones alarm.

    Parameters
    ----------
    step : float, default 0.1
        The larger, the faster the level follows, and the more it wavers: by a standard deviation of ``sqrt(step / 2)`` in its
        logarithm. In n rows the rate exceeds what was asked by at most ``(log(1 + max_scores) + step) / (step * n)``.
    max_scores, patience : int, default 5000 and 50
        See `Conformal`.

    See Also
    --------
    Conformal : with a level that stays.

    Notes
    -----
    The alarm level of a detector, ``offset_``, is a constant; instead of it the p-values move: they are raised to the power by which
    the present level would become the asked one. Gibbs and Candes move the level itself by steps, which at levels such as 0.001 is 0
    after one alarm; its logarithm has no such end.

    References
    ----------
    Gibbs and Candes (2021), Adaptive conformal inference under distribution shift, NeurIPS.
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **Conformal._parameter_constraints,
        "step": [Interval(Real, 0, None, closed="neither")],
    }

    def __init__(self, step: float = 0.1, max_scores: int = 5000, patience: int = 50) -> None:
        super().__init__(max_scores, patience)
        self.step = step

    @property
    def _step(self) -> float:  # type: ignore[override]
        return float(self.step)


@kernel
def _run(
    state: ConformalState,
    asked: float,
    strange: FloatArray,
    scores: FloatArray,
    at: FloatArray,
    patience: float,
    step: float,
    learning: bool,
    log_p: FloatArray,
    reach: FloatArray,
) -> None:
    rate = math.exp(-asked)
    for t in range(scores.shape[0]):
        for i in range(scores.shape[1]):
            power = asked / state.limit[i]
            if reach.shape[0] > 0:
                reach[t, i] = _score_at(state.ordered[i], state.number[i], at[t] / power)
            if math.isnan(scores[t, i]):
                log_p[t, i] = np.nan
                continue
            n = state.number[i]
            place = _below(state.ordered[i], n, scores[t, i])
            p = (1.0 + n - place) / (n + 1.0)
            log_p[t, i] = power * math.log(p)
            if learning:
                if step > 0.0:
                    alarm = 1.0 if log_p[t, i] < -asked else 0.0
                    state.limit[i] = max(state.limit[i] + step * (alarm - rate), LEAST)
                usual = _score_at(state.ordered[i], n, -asked)
                if _welcome(state, i, scores[t, i] > strange[i] * usual, patience):
                    _learn(state, i, scores[t, i], place)


@kernel
def _below(ordered: FloatArray, n: int, score: float) -> int:
    """How many of the first n are smaller."""
    low, high = 0, n
    while low < high:
        middle = (low + high) // 2
        if ordered[middle] < score:
            low = middle + 1
        else:
            high = middle
    return low


@kernel
def _score_at(ordered: FloatArray, n: int, log_p: float) -> float:
    """The largest score whose p-value is not below this one; infinite if none is."""
    above = math.ceil(math.exp(log_p) * (n + 1.0) - 1e-9) - 1
    return float(ordered[n - above]) if 0 < above <= n else np.inf if above <= 0 else 0.0


@kernel
def _welcome(state: ConformalState, i: int, strange: bool, patience: float) -> bool:
    """Whether a score is to be learnt."""
    if not strange:
        state.evidence[i] = max(state.evidence[i] - WEAR, 0.0)
        return True
    if state.allowed[i] == 0.0:
        state.evidence[i] += 1.0
        if state.evidence[i] < patience:
            return False
        state.evidence[i], state.allowed[i] = 0.0, patience
    state.allowed[i] -= 1.0
    return True


@kernel
def _learn(state: ConformalState, i: int, score: float, place: int) -> None:
    """Take a score in, `place` others being smaller; the oldest one goes when there is no more room."""
    n = state.number[i]
    ordered, size = state.ordered[i], state.queue.shape[1]
    if n < size:
        gap = n
        state.number[i] = n + 1
    else:
        gap = _below(ordered, n, state.queue[i, state.turn[i]])
    _put(ordered, gap, place, score)
    state.queue[i, state.turn[i]] = score
    state.turn[i] = (state.turn[i] + 1) % size


@kernel
def _put(ordered: FloatArray, gap: int, place: int, score: float) -> None:
    """Put a score in front of `place`, moving those between there and the entry to be given up, at `gap`, by one."""
    one = np.uint64(1)  # unsigned: an index that may be negative keeps the loop from being vectorised
    if gap >= place:
        j = np.uint64(gap)
        while j > np.uint64(place):
            ordered[j] = ordered[j - one]
            j -= one
        ordered[place] = score
    else:
        for k in range(np.uint64(gap), np.uint64(place - 1)):
            ordered[k] = ordered[k + one]
        ordered[place - 1] = score
