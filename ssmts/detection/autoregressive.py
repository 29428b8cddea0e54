"""Autoregressions of many sensors, learnt row by row, that neither spikes nor shifts lock up.

Every sensor is predicted from its last p readings and an intercept, y[t] = a + b1 y[t-1] + ... + bp y[t-p] + e[t], whose coefficients
are learnt by recursive least squares with forgetting: after row n they minimise the sum over rows of forgetting^(n - t) e[t]^2, plus a
prior (Ljung 1999, section 11.2). Two recursions share one prediction:

* coefficients, with their covariance P as U D U' (Bierman 1977), which stays positive definite over any number of rows;
* the last p readings, with a covariance C where one of them was not read: the Kalman filter of the autoregression, so that expected
  values and variances through a gap are those of the model.

All of it is in units of the sensor's noise about a centre, so that neither its units nor its origin matter.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ssmts.core.types import Array, Index
from ssmts.detection.grid import moves
from ssmts.detection.local_level import RESOLUTION, T_UNITS, Innovations, usual_change
from ssmts.detection.recursive import LOST, begin, fill, learn, move_origin, open_up, predict, push
from ssmts.detection.robust import GATE, LARGEST, clipped, kernel, persistent
from ssmts.exceptions import InputError, TooShortError

FEWEST = 3  # readings beyond the first p that a noise is estimated from
PASSES = 6  # over the training rows, each with the noise that the one before has shown
GAP = 10_000  # rows without reading that a gap is filled with at most
FAR = 1e3  # standard deviations from the centre at which it is moved there
UNREST = 2.0  # size of innovation that is usual for no noise: those of a normal one are .8 in the mean
USUAL, SHIFT, ANEW = 0, 1, 2  # what a reading does


class Autoregressive(NamedTuple):
    """Settings of the online-learnt autoregression of `ssmts.InnovationDetector`.

    Parameters
    ----------
    order : int, default 8
        Number of earlier readings that each one is predicted from. Two follow a sinusoid, so that 8 have room for four periodic
        components; with the default forgetting, estimating them costs 1 % of variance.
    forgetting : float in (0, 1], default 0.999
        Weight of a row against the next one: the last ``1 / (1 - forgetting)`` rows count, by default 1,000. With 1 nothing is
        forgotten.

    Examples
    --------
    >>> import numpy as np
    >>> from ssmts import Autoregressive, InnovationDetector
    >>> X = np.sin(np.arange(600.0) / 3)[:, None] + np.random.default_rng(0).normal(scale=0.1, size=(600, 1))
    >>> detector = InnovationDetector(Autoregressive(order=4), false_alarm_rate=1e-4).fit(X[:500])
    >>> X[550] -= 1.0
    >>> np.flatnonzero(detector.predict(X[500:]) == -1)
    array([50])
    """

    order: int = 8
    forgetting: float = 0.999


class AutoregressiveModel(NamedTuple):
    """What the training rows tell of every sensor, and does not change afterwards.

    Attributes
    ----------
    order : int
    forgetting : float
    center, scale : (n_sensors,)
        Median of the readings and standard deviation of the noise, in units of the sensor.
    """

    order: int
    forgetting: float
    center: Array
    scale: Array


class AutoregressiveState(NamedTuple):
    """What is known of every sensor after its last row; readings are in units of `AutoregressiveModel.scale` about `center`.

    Attributes
    ----------
    center : (n_sensors,)
        In units of the sensor.
    coef : (n_sensors, 1 + order)
        Intercept, then the coefficients of the last reading, of the last but one, and so on.
    factor : (n_sensors, 1 + order, 1 + order)
        Covariance U D U' of `coef`: D on the diagonal, U' below it.
    lags : (n_sensors, order)
        The last readings, the latest first, or what is known of them.
    lag_cov : (n_sensors, order, order)
        Their covariance; 0 where they were read.
    loose, seen : (n_sensors,) int
        Rows until `lag_cov` is 0 throughout; rows since the sensor started, up to `order`, or -1 while nothing is known.
    rise, fall, unrest : (n_sensors,)
        Evidence of a shift up or down, see `ssmts.detection.robust`, and of another course altogether.
    lead : float
        How many intervals the model is ahead of the clock.
    """

    center: Array
    coef: Array
    factor: Array
    lags: Array
    lag_cov: Array
    loose: Index
    seen: Index
    rise: Array
    fall: Array
    unrest: Array
    lead: float


def start(model: AutoregressiveModel) -> AutoregressiveState:
    """The state before the first row: a random walk, of which every coefficient is uncertain by 1."""
    d, p = len(model.center), model.order
    coef = np.zeros((d, 1 + p))
    coef[:, 1] = 1.0
    factor = np.tile(np.eye(1 + p), (d, 1, 1))
    loose, seen = np.zeros(d, dtype=np.int64), np.full(d, -1, dtype=np.int64)
    zeros = np.zeros(d)
    return AutoregressiveState(
        model.center, coef, factor, np.zeros((d, p)), np.zeros((d, p, p)), loose, seen, zeros, zeros, zeros, 0.0
    )


def fit(
    spec: Autoregressive, y: Array, steps: Array, patience: int, names: Sequence[str] | None = None
) -> AutoregressiveModel:
    """Estimate the noise of every sensor, whatever a few per cent of its readings are.

    Each pass learns the coefficients from the start, row by row, and weighs the innovations that it meets as by a Student t with 4
    degrees of freedom (as for local levels); their scale is the noise of the next pass. It is that of predictions, so that what
    the coefficients cost is counted once.

    Parameters
    ----------
    spec : Autoregressive
    y : (n_times, n_sensors)
        NaN where a sensor was silent.
    steps : (n_times,)
        Usual intervals that went by since the row before.
    patience : int
        See `run`.
    names : sequence of str, optional
        What sensors are called in messages; their numbers by default.

    Raises
    ------
    InputError
        If the settings make no sense.
    TooShortError
        If a sensor has fewer readings than the order and three more.
    """
    order, forgetting = spec
    if isinstance(order, bool) or not isinstance(order, int | np.integer) or order < 1:
        raise InputError(f"order must be a whole number of earlier readings, at least 1; received {order!r}.")
    if not 0 < forgetting <= 1:
        raise InputError(f"forgetting must be above 0 and at most 1; received {forgetting!r}.")
    counts = (~np.isnan(y)).sum(axis=0)
    if counts.min() < order + FEWEST:
        few = int(counts.argmin())
        raise TooShortError(
            f"Sensor {few if names is None else names[few]} has {counts.min()} reading(s) in the {len(y)} training row(s), "
            f"n_samples = {len(y)}; an autoregression of order {order} needs at least {order + FEWEST}. Train on more rows."
        )
    scale, least = np.array([_first_scale(np.ascontiguousarray(column)) for column in y.T]).T
    model = AutoregressiveModel(int(order), float(forgetting), np.nanmedian(y, axis=0), scale)
    for _ in range(PASSES):
        z = run(model, start(model), y, steps, patience)[0].z
        model = model._replace(scale=np.maximum(model.scale * _scales(np.ascontiguousarray(z.T)), least))
    return model


def run(
    model: AutoregressiveModel,
    state: AutoregressiveState,
    y: Array,
    steps: Array,
    patience: int,
    *,
    full: bool = False,
) -> tuple[Innovations, AutoregressiveState]:
    """Innovations of each row given the rows before it, and the state after the last; `state` is left as it is.

    Within `GATE` standard deviations of the prediction a reading is learnt in full. Beyond, its variance is multiplied by the square
    of the excess, as in `ssmts.detection.local_level`, for the coefficients and as a lag of later rows. What is not read is
    replaced by its prediction and adds its variance to the predictions that rest on it; nothing is learnt from it. Gaps are
    filled in that way, up to 10,000 rows.

    After `patience` readings in a row beyond the gate on one side the centre moves to the readings and the intercept opens; after as
    many beyond it on either side, or half as many after a shift, the sensor starts anew, with what its coefficients were as the
    expectation. Forgetting rests while less is known of the coefficients than at the start, as where readings are constant: else
    their covariance would grow without bound.

    Parameters
    ----------
    model : AutoregressiveModel
    state : AutoregressiveState
    y : (n_times, n_sensors)
    steps : (n_times,)
    patience : int
    full : bool, default False
        Whether to keep `expected` and `sd` too; otherwise they have no rows.
    """
    if type(y) is not np.ndarray or not y.flags.carray:  # one compiled kernel for every kind of array
        y = np.require(y, requirements=["C", "W"])
    n, d = y.shape
    kept = n if full else 0
    out = Innovations(np.empty((kept, d)), np.empty((kept, d)), np.empty((n, d)))
    taken, lead = moves(steps, state.lead)
    moved: list[Any] = [field.copy() for field in state[:-1]]
    _run(model.forgetting, model.scale, *moved, y, taken, float(patience), *out)
    return out, AutoregressiveState._make([*moved, lead])


@kernel
def _run(
    forgetting: float, scale: Array, center: Array, coef: Array, factor: Array, lags: Array, lag_cov: Array, loose: Index,
    seen: Index, rise: Array, fall: Array, unrest: Array, y: Array, taken: Index, patience: float, expected: Array,
    sd: Array, z: Array,
) -> None:  # fmt: skip
    q = coef.shape[1]
    f, g, c = np.empty(q), np.empty(q), np.empty(q - 1)
    for i in range(y.shape[1]):
        theta, L, lag, C = coef[i], factor[i], lags[i], lag_cov[i]
        for t in range(y.shape[0]):
            if taken[t] > 1:
                fill(min(taken[t] - 1, GAP), i, theta, L, lag, C, loose, seen, forgetting, f, c)
            mean, own, spread, aged = predict(theta, L, lag, C, loose[i], forgetting, f, c)
            total = 1.0 + own + spread
            if not total < LOST:
                seen[i] = -1
            if expected.shape[0] > 0:
                expected[t, i] = center[i] + mean * scale[i] if seen[i] >= 0 else np.nan
                sd[t, i] = math.sqrt(total) * scale[i] if seen[i] >= 0 else np.nan
            z[t, i] = np.nan
            u = (y[t, i] - center[i]) / scale[i]
            if math.isnan(u):
                fill(1, i, theta, L, lag, C, loose, seen, forgetting, f, c)
            elif seen[i] < 0:
                rise[i] = fall[i] = unrest[i] = 0.0
                begin(i, u, lag, C, loose, seen)
            else:
                z[t, i] = min(max((u - mean) / math.sqrt(total), -LARGEST), LARGEST)
                what = _judge(i, z[t, i], rise, fall, unrest, patience)
                if what == SHIFT:
                    center[i] = y[t, i] - mean * scale[i]
                    L[0, 0] += GATE * GATE
                    push(lag, C, mean, 0.0, c, 0.0)
                elif what == ANEW:
                    open_up(L)
                    begin(i, u, lag, C, loose, seen)
                else:
                    learn(i, z[t, i], mean, own, total, aged, theta, L, lag, C, loose, seen, f, g, c)
            if abs(lag[0]) > FAR:
                center[i] += lag[0] * scale[i]
                move_origin(theta, L, lag)


@kernel
def _judge(i: int, z: float, rise: Array, fall: Array, unrest: Array, patience: float) -> int:
    """What an innovation makes of the evidence: a shift, a start anew, or nothing of the kind."""
    rise[i], fall[i] = clipped(z, rise[i], fall[i])
    unrest[i] = max(0.0, unrest[i] + min(abs(z), GATE) - UNREST)
    limit = patience * (GATE - UNREST)
    if persistent(rise[i], fall[i], patience):
        rise[i] = fall[i] = 0.0
        unrest[i] = 0.5 * limit  # a second shift at once is none
        return SHIFT
    if unrest[i] > limit - 1e-9:
        rise[i] = fall[i] = unrest[i] = 0.0
        return ANEW
    return USUAL


@kernel
def _first_scale(y: Array) -> tuple[float, float]:
    """Noise to start with, the usual change between readings, and the least that may be found."""
    change = usual_change(y)
    largest, count, still, before = 0.0, 0, 0, np.nan
    for value in y:
        if not math.isnan(value):
            largest = max(largest, abs(value))
            count += 1
            still += value == before
            before = value
    least = RESOLUTION * (largest if largest > 0.0 else 1.0)
    if 2 * still > count and change > 0.0:  # readings that hardly ever change are known by their changes only
        least = max(least, 0.1 * change)
    return max(change, least), least


@kernel
def _scales(z: Array) -> Array:
    """Scale of the innovations of every sensor (a row), of maximum likelihood for a t with 4 degrees of freedom; 1 for normal ones."""
    scales = np.ones(len(z))
    for i in range(len(z)):
        for _ in range(20):
            ratio, count = 0.0, 0
            for innovation in z[i]:
                if not math.isnan(innovation):
                    square = (T_UNITS * innovation / scales[i]) ** 2
                    ratio += 5.0 * square / (4.0 + square)
                    count += 1
            scales[i] *= math.sqrt(max(ratio / count, 1e-4)) if count else 1.0
    return scales
