"""How long ago many sensors last changed: Bayesian online change points, exact but for runs of negligible probability.

A run is a stretch of readings that are normal with one mean and one variance, both unknown. Given that a run started at some
reading, the next one has a Student t distribution (Murphy 2007). After each reading every run goes on with probability 1 - h or
a new one begins; what that makes of the probabilities of all starts is the recursion of Adams and MacKay (2007) and, with maxima
for sums, the most probable sequence of changes (Fearnhead and Liu 2007).

Restarted (Alami, Maillard and Feraud 2020), every start is weighed against the oldest one alone: with V the predictive probability that
the oldest run gave to the readings before a start, its weight is ``h V`` times that of its own readings. Once one weighs more than
the oldest, all are dropped.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from ssmts.core.types import Array
from ssmts.detection.baseline import held, restarted
from ssmts.detection.local_level import LevelState, LocalLevel, step
from ssmts.detection.robust import LARGEST, kernel

NEGLIGIBLE = math.log(1e-8)  # log of the probability below which a run is dropped
LOG_2PI = math.log(2.0 * math.pi)
FARTHEST = 1e100  # standard deviations, so that squares stay finite
EXPANDED = 20.0  # alpha from which a ratio of gamma functions is its expansion, to the last digit
MATURE = 5.0  # readings of a run whose mean the next one's may lie around
EVIDENT = math.log(2.0)  # score from which a change is more probable than none
FIELDS = START, ROW, KAPPA, MEAN, ALPHA, BETA, PLACE, SCALE, WEIGHT, BEST, SHARE = range(11)
COUNTS = ALIVE, READINGS, ROWS, SETTLED, HELD, CENTRE = range(6)


class Prior(NamedTuple):
    """What is known of a run before its first reading.

    Attributes
    ----------
    mean, kappa, alpha, beta : float
        Of the normal-inverse-gamma distribution: variance inverse gamma (alpha, beta), mean normal with that variance divided by kappa.
    relative : bool
        Whether the mean lies around that of the last most probable run that had `MATURE` readings (before that, around `mean`), and as
        widely whatever the variance. The first reading of a run then is distributed as it is otherwise, but tells of the mean only.
        Otherwise all means lie around `mean`, and a run far from it has to take its distance for variance.
    """

    mean: float
    kappa: float
    alpha: float
    beta: float
    relative: bool


class Runs(NamedTuple):
    """Model of the runs of every sensor.

    Attributes
    ----------
    level : LocalLevel
        Of the baseline.
    limit : (n_sensors,)
        Score from which a sensor is in alarm by itself.
    prior : Prior
    hazard : float
        Probability that a run ends after a reading.
    window : float
        Readings after which a change is not news any more.
    follows : float
        Rows beyond the gate after which the baseline restarts, and the runs with it; infinite for one that stands.
    restarts : bool
    negligible : float
        Logarithm of the probability below which a run is dropped.
    """

    level: LocalLevel
    limit: Array
    prior: Prior
    hazard: float
    window: float
    follows: float
    restarts: bool
    negligible: float = NEGLIGIBLE


class RunState(NamedTuple):
    """What is known of every sensor after its last row.

    Attributes
    ----------
    level : LevelState
    runs : (n_sensors, n_runs + 1, 11)
        Of each run, from the oldest to the youngest: the number of its first reading and row, the four parameters of its posterior
        distribution, place and scale of what it predicted last, and the logarithms of its probability (restarted: of
        its weight over that of the oldest) and of that of the most probable past with it, and the probability itself.
    counts : (n_sensors, 6)
        Number of runs, readings and rows so far, the reading up to which changes are settled, rows in alarm, and the number around
        which the mean of the next run lies.
    """

    level: LevelState
    runs: Array
    counts: Array


class Change(NamedTuple):
    """What is said of rows, each ``(n_times, n_sensors)``.

    Attributes
    ----------
    score : minus log P(no news of a change), NaN where nothing was read.
    expected, sd : of the reading, in the most probable run without news.
    deviation : of the mean of the most probable new run, or of the reading alone while no change is evident; in `sd`.
    window : rows that this mean is taken over.
    run : rows of the most probable run so far, 0 before the first reading.
    start : row of the first reading of the last run in the most probable past; rows are counted from the first one ever.
    dropped : restarted: row of the first reading of the run that led to a restart after this row; NaN where none did.
    """

    score: Array
    expected: Array
    sd: Array
    deviation: Array
    window: Array
    run: Array
    start: Array
    dropped: Array


def start(level: LevelState, n_runs: int) -> RunState:
    """The state before the first row."""
    d = len(level.level)
    return RunState(level, np.zeros((d, n_runs + 1, len(FIELDS))), np.zeros((d, len(COUNTS))))


def run(
    model: Runs, state: RunState, y: Array, steps: Array, patience: float, *, full: bool = False
) -> tuple[Change, RunState]:
    """Scores of each row given the rows before it, and the state after the last; `state` is left as it is.

    With the baseline ``constant(zeros, ones)`` `y` are standardised already.

    Parameters
    ----------
    model : Runs
    state : RunState
    y : (n_times, n_sensors)
    steps : (n_times,)
    patience : float
        Rows in alarm after which a change is settled. Restarted: after which all runs are dropped.
    full : bool, default False
        Whether to keep all fields; otherwise those besides `score` have no rows.
    """
    y = np.require(y, requirements=["C", "W"])  # one compiled kernel for every kind of array
    n, d = y.shape
    kept = n if full else 0
    told = Change(np.empty((n, d)), *(np.empty((kept, d)) for _ in range(7)))
    moved = RunState(LevelState(*(field.copy() for field in state.level)), state.runs.copy(), state.counts.copy())
    settings = (model.hazard, model.window, model.follows, model.restarts, model.negligible)
    _run(
        *model.level, *moved.level, model.limit, np.array(model.prior, dtype=np.float64), *settings,
        y, steps, float(patience), moved.runs, moved.counts, *told,
    )  # fmt: skip
    return told, moved


def reach(model: Runs, score: Array) -> Array:
    """Distance of single readings with these scores from the mean of a long run, in its standard deviations."""
    log_h = math.log(model.hazard) - math.log1p(-model.hazard)
    wanted = log_h - (score + np.log(-np.expm1(-np.maximum(score, 1e-12))))
    _, kappa, alpha, beta, _ = model.prior
    spread = 2.0 * beta * (kappa + 1.0) / kappa
    level = math.lgamma(alpha + 0.5) - math.lgamma(alpha) - 0.5 * math.log(math.pi * spread)
    low, high = np.zeros_like(wanted), np.full_like(wanted, 1e9)
    for _ in range(100):
        z = 0.5 * (low + high)
        odds = -0.5 * (z * z + LOG_2PI) - level + (alpha + 0.5) * np.log1p(z * z / spread)
        low, high = np.where(odds > wanted, z, low), np.where(odds > wanted, high, z)
    return high


@kernel
def _run(
    gain: Array, variance: Array, level: Array, level_var: Array, rise: Array, fall: Array,
    limit: Array, prior: Array, hazard: float, news: float, follows: float, restarts: bool, negligible: float,
    y: Array, steps: Array, patience: float, runs: Array, counts: Array,
    score: Array, expected: Array, sd: Array, deviation: Array, window: Array, length: Array, begun: Array, dropped: Array,
) -> None:  # fmt: skip
    full = expected.shape[0] > 0
    for t in range(y.shape[0]):
        for i in range(y.shape[1]):
            S = variance[i]
            ahead = level_var[i] + gain[i] * gain[i] * S * steps[t]
            total = ahead + (1.0 - gain[i]) * S
            before, root = level[i], math.sqrt(total)
            z, level[i], level_var[i], rise[i], fall[i] = step(
                y[t, i], level[i], ahead, total, S, rise[i], fall[i], follows
            )
            if abs(z) >= LARGEST:  # runs have means of their own, to be told apart however far away
                z = min(max((y[t, i] - before) / root, -FARTHEST), FARTHEST)
            found, old, new = np.nan, -1, -1
            if math.isnan(z):
                counts[i, ROWS] += 1.0
            else:
                _grow(z, runs[i], counts[i], prior, hazard, restarts)
                found, old, new = _weigh(runs[i], counts[i], news, restarts)
            score[t, i] = found
            if full:
                expected[t, i], sd[t, i], deviation[t, i], window[t, i] = _tell(
                    z, before, root, runs[i], counts[i], prior, found, old, new
                )
                length[t, i], begun[t, i] = _most_probable(runs[i], counts[i])
                dropped[t, i] = np.nan
            if not math.isnan(z):
                settles = _settle(found, limit[i], patience, counts[i])
                if settles and restarts:
                    if full and new >= 0:
                        dropped[t, i] = runs[i, new, ROW]
                    counts[i, ALIVE] = 0.0
                _prune(runs[i], counts[i], old, restarts, negligible)
            if restarted(y[t, i], level[i], level_var[i], S):
                counts[i, ALIVE], counts[i, HELD], counts[i, SETTLED] = 0.0, 0.0, counts[i, READINGS]
                counts[i, CENTRE] = prior[0]


@kernel
def _grow(z: float, runs: Array, counts: Array, prior: Array, hazard: float, restarts: bool) -> None:
    """All runs go on with a reading, or a new one begins with it."""
    alive = int(counts[ALIVE])
    oldest, best, top = runs[0, WEIGHT], -np.inf, 0
    for k in range(alive):
        best, top = max(best, runs[k, BEST]), k if runs[k, WEIGHT] > runs[top, WEIGHT] else top
    if counts[READINGS] == 0.0:
        counts[CENTRE] = prior[0]
    elif prior[4] > 0.0 and alive > 0 and runs[top, KAPPA] >= MATURE:
        counts[CENTRE] = runs[top, MEAN]
    new = runs[alive]
    new[START], new[ROW] = counts[READINGS], counts[ROWS]
    new[MEAN], new[KAPPA], new[ALPHA], new[BETA] = counts[CENTRE], prior[1], prior[2], prior[3]
    new[WEIGHT], new[BEST] = 0.0, 0.0
    if alive > 0:
        new[WEIGHT] = math.log(hazard) + (oldest if restarts else 0.0)
        new[BEST] = math.log(hazard) + best
    go_on = math.log1p(-hazard)
    for k in range(alive + 1):
        log_p = _learn(z, runs[k])
        if k < alive:
            runs[k, BEST] += go_on
            runs[k, WEIGHT] += 0.0 if restarts else go_on
        runs[k, WEIGHT] += log_p
        runs[k, BEST] += log_p
    if prior[4] > 0.0:
        new[MEAN], new[KAPPA], new[ALPHA], new[BETA] = z, 1.0, prior[2], prior[3]
    counts[ALIVE], counts[READINGS], counts[ROWS] = alive + 1.0, counts[READINGS] + 1.0, counts[ROWS] + 1.0
    _normalise(runs, counts, restarts)


@kernel
def _learn(z: float, run: Array) -> float:
    """Log predictive density of a reading in a run, which takes it up."""
    kappa, mean, alpha, beta = run[KAPPA], run[MEAN], run[ALPHA], run[BETA]
    spread = 2.0 * beta * (kappa + 1.0) / kappa
    run[PLACE], run[SCALE] = mean, math.sqrt(0.5 * spread / alpha)
    square = (z - mean) ** 2
    run[KAPPA], run[ALPHA] = kappa + 1.0, alpha + 0.5
    run[MEAN] = mean + (z - mean) / (kappa + 1.0)
    run[BETA] = beta + 0.5 * kappa / (kappa + 1.0) * square
    if alpha < EXPANDED:
        constant = math.lgamma(alpha + 0.5) - math.lgamma(alpha) - 0.5 * math.log(math.pi * spread)
    else:
        # log Gamma(a + 1/2) - log Gamma(a) - log(a) / 2 (DLMF 5.11.13), which takes no more than the logarithm that is there.
        square_inverse = 1.0 / (alpha * alpha)
        series = -0.125 + square_inverse * (
            1.0 / 192.0 - square_inverse * (1.0 / 640.0 - square_inverse * 17.0 / 14336.0)
        )
        constant = 0.5 * math.log(alpha / (math.pi * spread)) + series / alpha
    return float(constant - (alpha + 0.5) * math.log1p(square / spread))


@kernel
def _normalise(runs: Array, counts: Array, restarts: bool) -> None:
    """Probabilities sum to 1; restarted, the oldest run has the weight 1."""
    alive = int(counts[ALIVE])
    largest = runs[0, WEIGHT]
    if not restarts:
        for k in range(alive):
            largest = max(largest, runs[k, WEIGHT])
        total = 0.0
        for k in range(alive):
            runs[k, SHARE] = math.exp(runs[k, WEIGHT] - largest)
            total += runs[k, SHARE]
        largest += math.log(total)
        for k in range(alive):
            runs[k, SHARE] /= total
    for k in range(alive):
        runs[k, WEIGHT] -= largest
        runs[k, BEST] -= largest


@kernel
def _weigh(runs: Array, counts: Array, news: float, restarts: bool) -> tuple[float, int, int]:
    """Score, and the most probable runs without and with news; -1 where there is none."""
    settled = runs[0, START] if restarts else max(counts[SETTLED], counts[READINGS] - 1.0 - news)
    old, new = -1, -1
    for k in range(int(counts[ALIVE])):
        if runs[k, START] <= settled:
            old = k if old < 0 or runs[k, WEIGHT] > runs[old, WEIGHT] else old
        else:
            new = k if new < 0 or runs[k, WEIGHT] > runs[new, WEIGHT] else new
    if new < 0:
        return 0.0, old, new
    if restarts:
        odds = runs[new, WEIGHT]
        return (odds if odds > 40.0 else math.log1p(math.exp(odds))), old, new
    largest, total = runs[old, WEIGHT], 0.0
    for k in range(int(counts[ALIVE])):
        if runs[k, START] <= settled:
            # The probability of the largest may be zero to double precision.
            total += runs[k, SHARE] if largest > NEGLIGIBLE else math.exp(runs[k, WEIGHT] - largest)
    return max((0.0 if largest > NEGLIGIBLE else -largest) - math.log(total), 0.0), old, new


@kernel
def _settle(score: float, limit: float, patience: float, counts: Array) -> bool:
    """Whether an alarm has lasted long enough for what changed to be settled."""
    counts[HELD] = held(score, limit, counts[HELD])
    if counts[HELD] < patience:
        return False
    counts[HELD], counts[SETTLED] = 0.0, counts[READINGS] - 1.0
    return True


@kernel
def _prune(runs: Array, counts: Array, old: int, restarts: bool, negligible: float) -> None:
    """Drop negligible runs; of too many, the least probable one leaves its probability to the run next to it.

    The youngest and the most probable one without news stay.
    """
    alive, kept, lost = int(counts[ALIVE]), 0, 0.0
    for k in range(alive):
        if k == old or k == alive - 1 or runs[k, WEIGHT] >= negligible:
            if kept < k:
                runs[kept] = runs[k]
            old = kept if k == old else old
            kept += 1
        else:
            lost += runs[k, SHARE]
    if kept == runs.shape[0]:
        least = 1 if old == 0 else 0
        for k in range(kept - 1):
            if k != old and runs[k, WEIGHT] < runs[least, WEIGHT]:
                least = k
        if not restarts:
            near = least - 1 if least > 0 and runs[least - 1, WEIGHT] >= runs[least + 1, WEIGHT] else least + 1
            higher, lower = runs[near, WEIGHT], runs[least, WEIGHT]
            runs[near, WEIGHT] = max(higher, lower) + math.log1p(math.exp(-abs(higher - lower)))
            runs[near, SHARE] += runs[least, SHARE]
        for k in range(least, kept - 1):
            runs[k] = runs[k + 1]
        kept -= 1
    counts[ALIVE] = float(kept)
    if not restarts and lost > 0.0:
        left = math.log1p(-lost)
        for k in range(kept):
            runs[k, WEIGHT] -= left
            runs[k, BEST] -= left


@kernel
def _most_probable(runs: Array, counts: Array) -> tuple[float, float]:
    """Rows of the most probable run, and the row at which the last run of the most probable past began."""
    if counts[ALIVE] == 0.0:
        return 0.0, np.nan
    by_weight, by_past = 0, 0
    for k in range(int(counts[ALIVE])):
        by_weight = k if runs[k, WEIGHT] > runs[by_weight, WEIGHT] else by_weight
        by_past = k if runs[k, BEST] > runs[by_past, BEST] else by_past
    return counts[ROWS] - runs[by_weight, ROW], runs[by_past, ROW]


@kernel
def _tell(
    z: float, level: float, root: float, runs: Array, counts: Array, prior: Array, score: float, old: int, new: int
) -> tuple[float, float, float, float]:
    """Expected reading, its standard deviation, deviation from it, and the rows the deviation is of."""
    if old < 0:
        return np.nan, np.nan, np.nan, 1.0
    place, scale = runs[old, PLACE], runs[old, SCALE]
    mean, rows = z, 1.0
    if new >= 0 and score >= EVIDENT:
        extra = 0.0 if prior[4] > 0.0 else prior[1]
        mean = (runs[new, KAPPA] * runs[new, MEAN] - extra * prior[0]) / (runs[new, KAPPA] - extra)
        rows = counts[ROWS] - runs[new, ROW]
    return level + place * root, scale * root, (mean - place) / scale, rows
