"""What a filter that has settled knows: its gain, its covariance, and how far another covariance is from that."""

from typing import NamedTuple

import numpy as np

from ssmts.core.gaussian._forward import over_time
from ssmts.core.gaussian._kernels.settled import dense_back, dense_forward, sparse_back, sparse_forward
from ssmts.core.gaussian._pack import Packed
from ssmts.core.linalg.riccati import Riccati, solve_riccati
from ssmts.core.types import Array, Index
from ssmts.exceptions import NumericalError

EXPLOSIVE = 1.0 + 1e-3  # size of a root of the transition from which on a pass back loses digits
ERROR = 1e-11  # what the distance to the steady state may add up to, relative to the covariance
ZEROS = 8  # entries of a dense matrix that cost as much as one of a sparse one


class Steady(NamedTuple):
    """A steady state in the form that the passes take."""

    found: Riccati
    observation: Array
    whiten: Array  # L^-1 of S = L L'
    seen: Array  # H' L'^-1
    ahead: Array  # F K
    back: Array  # transpose of the closed loop
    size: Array  # standard deviations of the predicted states
    log_det: float  # of S
    dense: bool  # whether the closed loop is better taken as one dense matrix


def steady(packed: Packed) -> Steady | str:
    """The steady state of a model, or why there is none; found once."""
    if "steady" not in packed.derived:
        packed.derived["steady"] = _solve(packed)
    known: Steady | str = packed.derived["steady"]
    return known


def needed(packed: Packed) -> Steady:
    """The steady state of a model that must have one."""
    known = steady(packed)
    if isinstance(known, str):
        raise NumericalError(known)
    return known


def _solve(packed: Packed) -> Steady | str:
    ssm = packed.ssm
    F, V, H, R = (over_time(x, 1)[0] for x in (ssm.transition, ssm.process_cov, ssm.observation, ssm.obs_cov))
    if ssm.process_loading is not None:
        G = over_time(ssm.process_loading, 1)[0]
        V = G @ V @ G.T
    try:
        found = solve_riccati(F, V, H, R)
        L = np.linalg.cholesky(found.innovation_cov)
    except (NumericalError, np.linalg.LinAlgError) as error:
        return str(error)
    size = np.sqrt(np.diagonal(found.predicted_cov))
    log_det = float(2 * np.log(np.diagonal(L)).sum())
    dense = F.size <= ZEROS * (np.count_nonzero(F) + 2 * found.gain.size)
    whiten = np.linalg.inv(L)
    seen, ahead, back = map(np.ascontiguousarray, (H.T @ whiten.T, F @ found.gain, found.closed_loop.T))
    return Steady(found, np.ascontiguousarray(H), whiten, seen, ahead, back, size, log_det, dense)


def explosive(packed: Packed) -> str:
    """Why passes back over a steady state lose digits, or an empty text."""
    if "explosive" not in packed.derived:
        roots = np.linalg.eigvals(over_time(packed.ssm.transition, 1)[0])
        packed.derived["explosive"] = bool(np.abs(roots).max(initial=0.0) > EXPLOSIVE)
    return "the transition is explosive, so that rounding grows on the way back" if packed.derived["explosive"] else ""


def look_back(packed: Packed, known: Steady, w: Array, place: Index, ahead: Array) -> Array:
    """What whitened innovations say about the first state, and in `ahead` about those predicted from each row."""
    r = np.zeros(len(place))
    if known.dense:
        dense_back(known.back, known.seen, w, r, ahead)
    else:
        sparse_back(packed.layout, packed.values, place, known.found.gain, w @ known.whiten, r, ahead)
    return r


def innovate(packed: Packed, known: Steady, b: Array, y: Array, m: Array, predicted: Array) -> tuple[Array, Index]:
    """Innovations of the steady filter, and the place of each state after y; moves m there."""
    v, place, found = np.empty_like(y), np.arange(len(m)), known.found
    if known.dense:
        dense_forward(found.closed_loop, known.ahead, known.observation, b, y, m, v, predicted)
    else:
        sparse_forward(packed.layout, packed.values, b, y, place, found.gain, m, v, predicted)
    return v, place


def information(known: Steady, n: int) -> Array:
    """The sum of A'^t H' S^-1 H A^t over n rows."""
    A, n_states = known.found.closed_loop, len(known.size)
    one = known.seen @ known.seen.T
    total, power = np.zeros((n_states, n_states)), np.eye(n_states)
    for bit in bin(n)[2:] if n else "":
        total = total + power.T @ total @ power
        power = power @ power
        if bit == "1":
            total = one + A.T @ total @ A
            power = power @ A
    return total


def wait_for(known: Steady, P: Array, n: int) -> int:
    """How many rows, at most n, until the covariance is near enough to the steady one; 0 if it is."""
    shrinks = known.found.radius**2
    scale = np.maximum(known.size, np.finfo(float).tiny ** 0.25)
    distance = float((np.abs(P - known.found.predicted_cov) / np.outer(scale, scale)).max(initial=0.0))
    near = ERROR * (1.0 - shrinks)
    if distance <= near:
        return 0
    if near <= 0.0 or not distance < np.inf:
        return n
    return int(min(n, 1 + np.log(distance / near) / -np.log(max(shrinks, 1e-300))))


def rows_of(b: Array, t: int, stop: int) -> Array:
    """The rows of an offset that may be the same for all."""
    return b[t:stop] if len(b) > 1 else b
