"""Streaming peaks over threshold: a Pareto tail that is fitted again as readings come (SPOT and DSPOT, Siffer et al. 2017)."""

from __future__ import annotations

import math
from numbers import Integral
from typing import Any, ClassVar, NamedTuple

import numpy as np
from sklearn.utils._param_validation import Interval

from ssmts.core.types import Array

from .._containers import FloatArray
from .calibration import SHAPE_MEAN, SHAPE_SD, TAIL, Calibration, calibrate, largest_trusted, log_p_value
from .calibrators import Calibrator
from .pareto import fit_pareto
from .robust import kernel

REJECTED = 1e-3  # p-value below which a score is not learnt
WEAR = 0.1  # what a score that is learnt takes off the evidence of a change, to which one that is not adds 1
RENEWED = 25  # the tail is fitted again when one in so many peaks is new
PRECISION = (
    2.0 * SHAPE_SD
) ** -2  # of what is known of the shape beforehand; less than in "tail", as the stream goes on teaching
LOG_REJECTED = math.log(REJECTED)


class SpotState(NamedTuple):
    """What is known of every column after its last score.

    Attributes
    ----------
    peaks : (n_columns, max_peaks)
        The latest excesses over the threshold, each at its turn.
    number, next_one, truncated, fresh : (n_columns,)
        Of peaks; the place of the next; how many came while larger ones were not learnt; and since the last fit.
    share, seen : (n_columns,)
        Of learnt scores above the threshold, and how many these were.
    shape, scale : (n_columns,)
        Of the tail.
    evidence : (n_columns,)
        That what is not learnt has come to stay.
    recent : (n_columns, depth)
        The latest learnt scores, each at its turn; none without a moving mean.
    filled, turn, total : (n_columns,)
        How many of them there are, the place of the next, and their sum.
    """

    peaks: Array
    number: Array
    next_one: Array
    truncated: Array
    fresh: Array
    share: Array
    seen: Array
    shape: Array
    scale: Array
    evidence: Array
    recent: Array
    filled: Array
    turn: Array
    total: Array


class SpotModel(NamedTuple):
    """What the training rows taught: their distribution, and the mean of the scores of each column."""

    calibration: Calibration
    usual: FloatArray


class Spot(Calibrator):
    """P-values from a tail that follows the stream: streaming peaks over threshold (SPOT).

    The largest tenth of the training scores lies above a threshold; the excesses of later scores over it, the peaks, keep the
    generalised Pareto tail up to date. Below the threshold the frequencies of the training rows hold, rescaled
    as the share above it moves.

    Parameters
    ----------
    max_peaks : int, default 500
        Peaks that are kept, the latest ones: they are a fair sample of the tail, while the largest ones would be records that never
        fade. With a tenth of the rows above the threshold, the tail is that of the last ``10 * max_peaks`` rows.
    patience : int, default 50
        Scores of p-value below 0.001 are not learnt, so that faults do not become normal. With the last of so many in a row, or of
        more if others come in between, the tail is learnt anew: the stream has changed. Detectors restart a level that has
        shifted by themselves, so give more rows than they need.

    See Also
    --------
    DriftSpot : on what exceeds a moving mean.

    Notes
    -----
    What is not learnt cuts the tail of what is, by a thousandth of all rows where nothing is wrong; fitted as if it were whole it
    would shrink from fit to fit and alarm ever more often. So many excesses beyond the cut are counted in the likelihood without their
    values. It is maximised in both parameters, with a normal prior on the shape, of mean 0.3 and standard deviation 0.4, and without a
    finite end of the tail.

    References
    ----------
    Siffer, Fouque, Termier and Largouet (2017), Anomaly detection in streams with extreme value theory, KDD.

    Examples
    --------
    >>> import numpy as np
    >>> from ssmts import InnovationDetector, Spot
    >>> X = np.random.default_rng(0).standard_t(3, size=(2000, 1))
    >>> detector = InnovationDetector(false_alarm_rate=1e-4, calibration=Spot(max_peaks=300)).fit(X)
    >>> detector.predict([[0.3], [500.0], [-0.8]])
    array([ 1, -1,  1])
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "max_peaks": [Interval(Integral, 20, None, closed="left")],
        "patience": [Interval(Integral, 1, None, closed="left")],
    }
    _depth = 0

    def __init__(self, max_peaks: int = 500, patience: int = 50) -> None:
        self.max_peaks = max_peaks
        self.patience = patience

    def learn(self, scores: FloatArray, contamination: float, level: float) -> tuple[SpotModel, SpotState]:
        state = _first_state(scores.shape[1], self.max_peaks, self._depth)
        top = largest_trusted(scores, contamination)
        trusted = scores <= top
        usual = np.sum(scores, axis=0, where=trusted) / np.maximum(trusted.sum(axis=0), 1)
        shifted = np.empty_like(scores)
        _shift(usual, top, state, np.ascontiguousarray(scores), shifted)
        calibration = calibrate(shifted, contamination)
        _first_peaks(calibration, shifted, largest_trusted(shifted, contamination), state)
        return SpotModel(calibration, usual), state

    def run(
        self,
        model: SpotModel,
        state: SpotState,
        scores: FloatArray,
        at: FloatArray | None = None,
        *,
        learning: bool = True,
    ) -> tuple[FloatArray, FloatArray, SpotState]:
        after = _copied(state)
        log_p, reach = np.empty(scores.shape), np.empty((0 if at is None else len(scores), scores.shape[1]))
        levels = np.empty(0) if at is None else at
        scores = np.ascontiguousarray(scores)
        _run(model.calibration, model.usual, after, scores, levels, float(self.patience), learning, log_p, reach)
        return log_p, reach, after


class DriftSpot(Spot):
    """P-values from a tail that follows the stream, of what the surprises exceed their moving mean by (DSPOT).

    For surprises whose usual size wanders, as that of sensors whose noise comes and goes with the day.

    Parameters
    ----------
    depth : int, default 100
        Scores that the moving mean is taken over; those that are not learnt are left out.
    max_peaks, patience : int, default 500 and 50
        See `Spot`.

    See Also
    --------
    Spot : without a moving mean.

    Notes
    -----
    What is calibrated is the score less its moving mean plus the usual mean of the training rows, not less than 0.

    References
    ----------
    Siffer, Fouque, Termier and Largouet (2017), Anomaly detection in streams with extreme value theory, KDD.
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **Spot._parameter_constraints,
        "depth": [Interval(Integral, 1, None, closed="left")],
    }

    def __init__(self, depth: int = 100, max_peaks: int = 500, patience: int = 50) -> None:
        super().__init__(max_peaks, patience)
        self.depth = depth

    @property
    def _depth(self) -> int:  # type: ignore[override]
        return int(self.depth)


def _first_state(d: int, max_peaks: int, depth: int) -> SpotState:
    """A state that knows nothing."""
    whole = {"number", "next_one", "truncated", "fresh", "seen", "filled", "turn"}
    wide = {"peaks": max_peaks, "recent": depth}
    zeros: Any = (
        np.zeros((d, wide[name]) if name in wide else d, np.int64 if name in whole else np.float64)
        for name in SpotState._fields
    )
    return SpotState(*zeros)


def _copied(state: SpotState) -> SpotState:
    return SpotState(*(field.copy() for field in state))


def _first_peaks(calibration: Calibration, scores: FloatArray, top: FloatArray, state: SpotState) -> None:
    """Fill in what the training rows say of the tail. One peak of 1 is counted besides, as in `calibrate`."""
    max_peaks = state.peaks.shape[1]
    state.shape[:], state.scale[:] = calibration.shape, calibration.scale
    for i, column in enumerate(scores.T):
        trusted = column[column <= top[i]]
        peaks = trusted[trusted > calibration.threshold[i]] - calibration.threshold[i]
        kept = np.append(1.0, peaks[max(len(peaks) + 1 - max_peaks, 0) :])
        state.peaks[i, : len(kept)] = kept
        state.number[i] = len(kept)
        state.next_one[i] = len(kept) % max_peaks
        state.seen[i] = min(len(trusted), int(max_peaks / TAIL))
        state.share[i] = (len(peaks) + 1) / (len(trusted) + 1)


@kernel
def _run(
    calibration: Calibration,
    usual: FloatArray,
    state: SpotState,
    scores: FloatArray,
    at: FloatArray,
    patience: float,
    learning: bool,
    log_p: FloatArray,
    reach: FloatArray,
) -> None:
    for t in range(scores.shape[0]):
        for i in range(scores.shape[1]):
            lift = _lift(usual, state, i)
            if reach.shape[0] > 0:
                reach[t, i] = max(_score_at(calibration, state, i, at[t]) - lift, 0.0)
            score = scores[t, i]
            if math.isnan(score):
                log_p[t, i] = np.nan
                continue
            lifted = max(score + lift, 0.0)
            p = _log_p(calibration, state, i, lifted)
            log_p[t, i] = p
            if p < LOG_REJECTED:
                if not learning or not _released(state, i, patience):
                    continue
            elif learning:
                state.evidence[i] = max(state.evidence[i] - WEAR, 0.0)
            _remember(state, i, score)
            if learning:
                _learn(state, i, lifted - calibration.threshold[i])


@kernel
def _released(state: SpotState, i: int, patience: float) -> bool:
    """Count a strange score; if strange scores have come to stay, forget the tail, to learn it from this one on."""
    state.evidence[i] += 1.0
    if state.evidence[i] < patience:
        return False
    state.evidence[i] = 0.0
    state.number[i] = state.next_one[i] = state.truncated[i] = state.fresh[i] = state.filled[i] = state.turn[i] = 0
    state.seen[i] = min(state.seen[i], int(patience))
    state.total[i] = 0.0
    state.recent[i, :] = 0.0
    return True


@kernel
def _share(state: SpotState, i: int) -> float:
    """Share of all scores above the threshold: those that are not learnt are above."""
    return float(state.share[i] * (1.0 - REJECTED) + REJECTED)


@kernel
def _log_p(calibration: Calibration, state: SpotState, i: int, score: float) -> float:
    log_share = math.log(_share(state, i))
    if score > calibration.threshold[i]:
        excess = score - calibration.threshold[i]
        return float(log_share - math.log1p(state.shape[i] * excess / state.scale[i]) / state.shape[i])
    body = log_p_value(
        calibration.log_p,
        calibration.spacing,
        calibration.threshold,
        calibration.log_share,
        calibration.shape,
        calibration.scale,
        i,
        score,
    )
    return float(body * _stretch(calibration, i, log_share))


@kernel
def _stretch(calibration: Calibration, i: int, log_share: float) -> float:
    """What logarithms of p-values below the threshold are multiplied by, so that they meet the tail."""
    return float(log_share / calibration.log_share[i]) if calibration.log_share[i] < 0.0 else 1.0


@kernel
def _score_at(calibration: Calibration, state: SpotState, i: int, log_p: float) -> float:
    """The score with this log p-value: the inverse of `_log_p`."""
    log_share = math.log(_share(state, i))
    if log_p < log_share:
        return float(calibration.threshold[i] + _excess(state, i, log_share - log_p))
    target = log_p / _stretch(calibration, i, log_share)
    knots = calibration.log_p
    k = 1
    while k < knots.shape[1] - 1 and knots[i, k] > target:
        k += 1
    fall = knots[i, k - 1] - knots[i, k]
    part = min(max((knots[i, k - 1] - target) / fall, 0.0), 1.0) if fall > 0.0 else 1.0
    return math.expm1((k - 1 + part) * calibration.spacing[i])


@kernel
def _excess(state: SpotState, i: int, depth: float) -> float:
    """Excess whose log p-value lies so far below that of the threshold."""
    return float(state.scale[i] / state.shape[i] * math.expm1(state.shape[i] * depth))


@kernel
def _learn(state: SpotState, i: int, excess: float) -> None:
    """Count a score, and a peak if it is one; from time to time fit the tail again."""
    most = state.peaks.shape[1]
    state.seen[i] = min(state.seen[i] + 1, int(most / TAIL))
    state.share[i] += ((1.0 if excess > 0.0 else 0.0) - state.share[i]) / state.seen[i]
    if not excess > 0.0:
        return
    state.peaks[i, state.next_one[i]] = excess
    state.next_one[i] = (state.next_one[i] + 1) % most
    state.number[i] = min(state.number[i] + 1, most)
    state.truncated[i] = min(state.truncated[i] + 1, most)
    state.fresh[i] += 1
    if state.fresh[i] * RENEWED < state.number[i]:
        return
    state.fresh[i] = 0
    share = _share(state, i)
    beyond = min(REJECTED / share, 0.5)
    n_cut = state.truncated[i] * beyond / (1.0 - beyond)
    cut = _excess(state, i, max(math.log(share) - LOG_REJECTED, 0.0))
    state.shape[i], state.scale[i] = fit_pareto(
        state.peaks[i, : state.number[i]], cut, n_cut, SHAPE_MEAN, PRECISION, state.shape[i], state.scale[i]
    )


@kernel
def _lift(usual: FloatArray, state: SpotState, i: int) -> float:
    """What is added to a score so that a wandering mean does not show; 0 without a moving mean."""
    return float(usual[i] - state.total[i] / state.filled[i]) if state.filled[i] > 0 else 0.0


@kernel
def _remember(state: SpotState, i: int, score: float) -> None:
    """Take a score into the moving mean. Its sum is taken anew once a round, so that rounding does not pile up."""
    depth = state.recent.shape[1]
    if depth == 0:
        return
    turn = state.turn[i]
    state.total[i] += score - state.recent[i, turn]
    state.recent[i, turn] = score
    state.turn[i] = (turn + 1) % depth
    state.filled[i] = min(state.filled[i] + 1, depth)
    if state.turn[i] == 0:
        state.total[i] = np.sum(state.recent[i])


@kernel
def _shift(usual: FloatArray, top: FloatArray, state: SpotState, scores: FloatArray, shifted: FloatArray) -> None:
    """Training scores as they are calibrated; those that are not trusted do not enter the moving mean."""
    for t in range(scores.shape[0]):
        for i in range(scores.shape[1]):
            score = scores[t, i]
            shifted[t, i] = max(score + _lift(usual, state, i), 0.0) if not math.isnan(score) else np.nan
            if score <= top[i]:
                _remember(state, i, score)
