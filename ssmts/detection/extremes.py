"""From scores to p-values by the largest scores of blocks of readings, learnt as they come.

The logarithm of the largest of many alike scores tends to a Gumbel distribution where their tail is heavy (Fisher and Tippett
1928; Gumbel 1958), with few enough parameters, two, to be followed in a stream from one block to the next. How single scores
fall off beyond the mode follows from it: a generalised Pareto tail (Pickands 1975) of the same slope there.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from ssmts.core.types import Array, Index
from ssmts.detection.robust import kernel, part

BLOCK = 200  # readings in a block
LOG_BLOCK = math.log(BLOCK)
MEMORY = 0.95  # weight of a block relative to the one after: the last twenty count
PRIOR_LOCATION, PRIOR_SPREAD = math.log(10.0), 0.4  # of the log of a block's largest score before any block was seen
LOCATION_BLOCKS, SPREAD_BLOCKS = 2.0, 5.0  # blocks that these are worth
GATE = 2.0  # spreads from the location that a block counts for at most
# The location and spread of a Gumbel distribution that settle under that gate, E clip(x) = 0 and E clip(x)^2 = 1 for
# x = (G - location) / spread: its mode lies MODE spreads below the location, and its scale is SCALE spreads.
MODE, SCALE = 0.4628, 0.9003
LEAST_SHAPE = 0.1  # of the tail
FURTHEST = 300.0  # logarithm of a score relative to the mode, beyond which all are alike
SMALLEST = 1e-6  # scores below count as this


class Extremes(NamedTuple):
    """What is known of the largest scores of blocks, each ``(n_sensors, n_views)``.

    Attributes
    ----------
    location, spread : of the log of a block's largest score, robustly.
    weight, spread_weight : number of blocks that they rest on.
    largest : largest score of the block under way.
    filled : number of scores in it.
    """

    location: Array
    spread: Array
    weight: Array
    spread_weight: Array
    largest: Array
    filled: Index


def start(n_sensors: int, n_views: int) -> Extremes:
    """Before the first score."""
    shape = (n_sensors, n_views)
    return Extremes(
        np.full(shape, PRIOR_LOCATION),
        np.full(shape, PRIOR_SPREAD),
        np.full(shape, LOCATION_BLOCKS),
        np.full(shape, SPREAD_BLOCKS),
        np.zeros(shape),
        np.zeros(shape, dtype=np.int64),
    )


def copied(extremes: Extremes) -> Extremes:
    """The same in arrays of its own."""
    fields: Any = (field.copy() for field in extremes)
    return Extremes(*fields)


@part
def _tail(mode: float, spread: float) -> tuple[float, float]:
    """Scale of the tail beyond the mode, in multiples of the score there, and shape.

    The scale of a generalised Pareto tail grows by its shape with every unit of the threshold. Surprises start with scale 1, so
    that at a mode m it is 1 + shape m: the shape is 0 for normal readings, 2 / df for t ones.
    """
    scale = SCALE * spread
    return scale, max(scale - math.exp(-mode), LEAST_SHAPE)


@part
def log_p_value(location: float, spread: float, score: float) -> float:
    """Log P(a score is larger).

    A single score exceeds the mode of a block's largest with probability ``1 / BLOCK``, and there its p-value falls by a
    factor of e within the scale. Beyond goes a generalised Pareto tail of that slope. Below, the logarithm is proportional
    to the score, as for minus the logarithm of a nominal p-value.
    """
    mode = location - MODE * spread
    above = math.log(max(score, SMALLEST)) - mode
    if above > 0.0:
        scale, shape = _tail(mode, spread)
        return float(-LOG_BLOCK - math.log1p(shape * math.expm1(min(above, FURTHEST)) / scale) / shape)
    return -LOG_BLOCK * math.exp(above) if score > SMALLEST else 0.0


@kernel
def score_at(location: float, spread: float, log_p: float) -> float:
    """The score with this p-value, the inverse of `log_p_value`."""
    mode = location - MODE * spread
    if log_p < -LOG_BLOCK:
        scale, shape = _tail(mode, spread)
        excess = math.expm1(min(-shape * (log_p + LOG_BLOCK), FURTHEST)) * scale / shape
        return float(math.exp(min(mode, FURTHEST)) * (1.0 + excess))
    return math.exp(mode) * (-log_p / LOG_BLOCK)


@part
def learn(extremes: Extremes, i: int, v: int, score: float) -> None:
    """Count a score of sensor i in view v; at the end of a block move location and spread towards its largest."""
    location, spread, weight, spread_weight, largest, filled = extremes
    largest[i, v] = max(largest[i, v], score)
    filled[i, v] += 1
    if filled[i, v] < BLOCK:
        return
    reach = GATE * spread[i, v]
    off = min(max(math.log(max(largest[i, v], SMALLEST)) - location[i, v], -reach), reach)
    weight[i, v] = MEMORY * weight[i, v] + 1.0
    spread_weight[i, v] = MEMORY * spread_weight[i, v] + 1.0
    location[i, v] += off / weight[i, v]
    variance = spread[i, v] ** 2
    spread[i, v] = math.sqrt(variance + (off * off - variance) / spread_weight[i, v])
    largest[i, v], filled[i, v] = 0.0, 0


def run(extremes: Extremes, scores: Array) -> tuple[Array, Extremes]:
    """Log p-value of each score by those before it, 0 for NaN, and what is known after the last; `extremes` is left as it is.

    Parameters
    ----------
    extremes : Extremes
        Of one sensor and view.
    scores : (n_times,)
    """
    known = copied(extremes)
    log_p = np.zeros(len(scores))
    _run(known, np.ascontiguousarray(scores), log_p)
    return log_p, known


@kernel
def _run(known: Extremes, scores: Array, log_p: Array) -> None:
    for t in range(scores.size):
        if not math.isnan(scores[t]):
            log_p[t] = log_p_value(known.location[0, 0], known.spread[0, 0], scores[t])
            learn(known, 0, 0, scores[t])
