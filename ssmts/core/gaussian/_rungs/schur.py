"""The Schur rung: complete time-invariant series, by the recursion on their differences.

**What it claims.** One series without missing values, of a model in which nothing changes with time and nothing is put in:

* Diffuse states whose transition is made of companion matrices (dummy seasons, integrated series, earlier rows of y), of
  rotations that make up whole seasons (all harmonics of a season, or all that another season does not have already), and of
  ones; a few other roots if the first rows tell them apart well. Each must be seen. They may depend on the other states.
* States that are not diffuse start from the law that their transition keeps (Lyapunov equation, and its mean): damped
  slopes, cycles, autoregressions, moving averages in any form.
* More rows than diffuse states.

A few harmonics of a long season, vague starts and other proper priors are refused. Where the spectrum of the differenced series
has a double zero and the series is long, or a variance loses its digits, the sequential rung gives the numbers
(`_kernels.recursion.CLEAR`, `_kernels.recursion.LEAST`).

Whoever has the autocovariances (r + 1,) and the autoregression (p,) of a stationary series calls `_kernels.recursion.likelihood`
directly, without a model.
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.linalg import toeplitz

from ssmts.core.gaussian._filter import loglik_one
from ssmts.core.gaussian._kernels.recursion import CLEAR, likelihood, likelihood_score
from ssmts.core.gaussian._kernels.update import LOG_2PI
from ssmts.core.gaussian._ladder import Job, Likelihood, Rung
from ssmts.core.gaussian._pack import VALUES, Packed, takes_inputs
from ssmts.core.gaussian._rungs.reduction import Reduction, autocovariances, is_settled, level, reduction
from ssmts.core.gaussian._score import score_one
from ssmts.core.types import Array, LinearGaussianSSM, State, TimeVarying

_SERVED = VALUES | {"process_loading"}


def difference(found: Reduction, y: Array) -> Array:
    """The differenced series (n - d,) of y (n,), or of columns (n, ...)."""
    n = len(y) - found.degree
    out = np.zeros((n, *y.shape[1:]))
    for lag, weight in zip(found.lags.tolist(), found.weights.tolist()):
        rows = y[found.degree - lag :][:n]
        if weight == 1.0:
            out += rows
        elif weight == -1.0:
            out -= rows
        else:
            out += weight * rows
    return out


def _refuses(job: Job) -> str:
    packed, y, ssm = job.packed, job.y, job.packed.ssm
    if packed.layout[1] != 1:
        return "there is more than one observation a row"
    if job.state is not None:
        return "the recursion starts from the model's own prior"
    if any(isinstance(field, TimeVarying) for field in ssm):
        return "the model changes with time"
    if takes_inputs(ssm):
        return "the model has inputs"
    if math.isnan(np.vdot(y, y)):
        return "values are missing"
    found = reduction(packed)
    if isinstance(found, str):
        return found
    if y.shape[-2] <= found.degree:
        return f"the differences need more than {found.degree} rows"
    if job.task == "score" and not _SERVED.issuperset(job.names):
        return f"derivatives are given of {', '.join(sorted(_SERVED))} only"
    if job.task == "score" and found.proper.size:
        return "derivatives are given only where every state is diffuse"
    return "" if is_settled(found, packed) else "states that are not diffuse do not start from their stationary law"


def _found(packed: Packed) -> Reduction:
    found = reduction(packed)
    assert not isinstance(found, str)
    return found


def _loglik(packed: Packed, y: Array, inputs: npt.ArrayLike | None, state: State | None) -> Likelihood:
    found = _found(packed)
    w = difference(found, y[:, 0])
    logs, squares, sound = likelihood(w, level(found, packed), found.phi, autocovariances(found, packed), CLEAR)
    if not sound:
        return loglik_one(packed, y, inputs, state)
    return Likelihood(_total(found, len(y), logs, squares), found.degree)


def _total(found: Reduction, n: int, logs: float, squares: float) -> float:
    return -0.5 * (n * LOG_2PI + logs + squares) - found.log_det


def _score(
    packed: Packed, y: Array, names: tuple[str, ...], inputs: npt.ArrayLike | None, state: State | None
) -> tuple[float, LinearGaussianSSM]:
    found = _found(packed)
    w, g = difference(found, y[:, 0]), autocovariances(found, packed)
    n, q = len(w), found.degree
    slope = np.empty(q + 1)
    room = np.empty((n, q)), np.empty(n + q), np.empty(n + q)
    logs, squares, sound, total = likelihood_score(w, level(found, packed), g, CLEAR, slope, *room)
    if not sound:
        return score_one(packed, y, names, inputs, state)
    parts = {name: _slope(name, found, packed, slope, total) for name in names}
    return _total(found, len(y), logs, squares), LinearGaussianSSM(*map(parts.get, LinearGaussianSSM._fields))  # type: ignore[arg-type]


def _slope(name: str, found: Reduction, packed: Packed, slope: Array, total: float) -> Any:
    """The derivative with respect to a field, from those with respect to the autocovariances and to the mean."""
    ssm, d = packed.ssm, found.degree
    if name == "obs_cov":
        return np.array([[slope @ found.noise]])
    if name == "process_cov":
        return _quadratic(slope, found.tail[:d])
    if name == "process_loading":
        return 2.0 * _quadratic(slope, found.psi) @ np.asarray(ssm.process_loading) @ np.asarray(ssm.process_cov)
    if name == "obs_offset":
        return np.array([found.scale * total])
    if name == "state_offset":
        return total * found.psi.sum(axis=0)
    return np.zeros_like(getattr(ssm, name))  # of the first diffuse states nothing is left


def _quadratic(slope: Array, psi: Array) -> Array:
    """Psi' M psi, where M is the symmetric Toeplitz matrix of the slopes, halved beside the diagonal."""
    column = 0.5 * slope[: len(psi)]
    if len(column):
        column[0] *= 2.0
    return np.asarray(psi.T @ (toeplitz(column) @ psi)) if psi.size else np.zeros((psi.shape[1],) * 2)


RUNG = Rung(
    name="schur",
    cost="q a row, where q is the number of states",
    claims=(
        "one complete series of a time-invariant model whose states are diffuse, with roots that make up whole seasons, or "
        "stationary; derivatives of covariances, loading and offsets where all states are diffuse"
    ),
    refuses=_refuses,
    loglik=_loglik,
    score=_score,
)
