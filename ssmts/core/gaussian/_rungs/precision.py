"""The precision rung: paths of the states by the banded Cholesky factor of their joint precision.

States that all have noise of their own have a joint precision of blocks on three diagonals, sparser than any covariance: a
path is its mean plus L'^-1 z, where L L' is the precision and z standard normal (Chan and Jeliazkov 2009, McCausland, Miller
and Pelletier 2011). One factor serves all draws.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.linalg import LinAlgError, cho_solve_banded, cholesky_banded
from scipy.linalg.lapack import dtbtrs

from ssmts.core.gaussian._forward import begin, dot, drive, over_time
from ssmts.core.gaussian._ladder import Job, Rung
from ssmts.core.gaussian._moments import process_noise
from ssmts.core.gaussian._pack import Packed
from ssmts.core.types import Array, State
from ssmts.exceptions import InputError

SINGULAR = 1e-12  # an eigenvalue of a correlation matrix below this is zero


def refuses(job: Job) -> str:
    """Which covariance has no inverse."""
    n = job.y.shape[-2]
    cov, A = begin(job.packed, job.state)[1:]
    known = _without(A)
    for name, values in (
        ("the noise of the states (process_loading process_cov process_loading')", process_noise(job.packed, n)),
        ("obs_cov", over_time(job.packed.ssm.obs_cov, n)),
        ("the proper part of the covariance of the first state", (known.T @ cov @ known)[None]),
    ):
        if _singular(values):
            return f"{name} is singular, so that there is no joint precision"
    return ""


def _singular(cov: Array) -> bool:
    scale = np.sqrt(np.diagonal(cov, axis1=1, axis2=2))
    if not scale.size:
        return False
    if not (scale > 0).all():
        return True
    return bool(np.linalg.eigvalsh(cov / scale[:, None, :] / scale[:, :, None]).min() < SINGULAR)


def _without(A: Array) -> Array:
    """An orthonormal basis of the directions that A does not touch."""
    vectors, _, _ = np.linalg.svd(A, full_matrices=True)
    return np.asarray(vectors[:, A.shape[1] :])


def sample_precision(
    packed: Packed,
    y: Array,
    n_draws: int,
    random_state: int | np.random.Generator | None,
    inputs: npt.ArrayLike | None,
    state: State | None,
) -> Array:
    """Draw paths of the states given the series."""
    diagonal, below, shift = _joint(packed, y, inputs, state)
    n, dx = shift.shape
    try:
        factor = cholesky_banded(_bands(diagonal, below), lower=True)
    except LinAlgError as error:
        raise InputError(
            "the joint precision of the states is singular: the series leaves part of a diffuse start undetermined"
        ) from error
    mean = cho_solve_banded((factor, True), shift.ravel())
    z = np.random.default_rng(random_state).standard_normal((n_draws, n * dx)).T
    paths = mean[:, None] + dtbtrs(factor, z, uplo="L", trans="T")[0]
    return np.ascontiguousarray(paths.T).reshape(n_draws, n, dx)


def _joint(packed: Packed, y: Array, inputs: Any, state: State | None) -> tuple[Array, Array, Array]:
    """The blocks of the precision on and below its diagonal, and the precision times the mean."""
    n = len(y)
    b, y = drive(packed, y, inputs)
    m, P, A = begin(packed, state)
    missing = np.isnan(y)
    H = np.where(missing[..., None], 0.0, over_time(packed.ssm.observation, n))
    unseen = missing[..., None] | missing[:, None, :]
    R = np.where(unseen, np.eye(y.shape[1]), over_time(packed.ssm.obs_cov, n))
    RH = np.linalg.solve(R, H)
    F, V = over_time(packed.ssm.transition, n - 1), process_noise(packed, n - 1)
    b = b[: n - 1] if len(b) else np.zeros((1, len(m)))
    V_inverse = np.asarray(np.linalg.inv(V), dtype=float)
    known = _without(A)
    prior = known @ np.linalg.solve(known.T @ P @ known, known.T)
    diagonal, shift = H.swapaxes(1, 2) @ RH, dot(RH.swapaxes(1, 2), np.where(missing, 0.0, y))
    diagonal[0] += prior
    shift[0] += prior @ m
    back = F.swapaxes(1, 2) @ V_inverse
    diagonal[: n - 1] += back @ F
    diagonal[1:] += V_inverse
    shift[: n - 1] -= dot(back, b)
    shift[1:] += dot(V_inverse, b)
    below = np.broadcast_to(-V_inverse @ F, (n - 1, *P.shape))
    return diagonal, below, shift


def _bands(diagonal: Array, below: Array) -> Array:
    """The lower bands of a symmetric matrix of blocks on three diagonals, as LAPACK stores them."""
    n, dx, _ = diagonal.shape
    bands = np.zeros((2 * dx, n, dx))
    for j in range(dx):
        bands[: dx - j, :, j] = diagonal[:, j:, j].T
        bands[dx - j : 2 * dx - j, : n - 1, j] = below[:, :, j].T
    return bands.reshape(2 * dx, n * dx)


RUNG = Rung(
    name="precision",
    cost="n_times (2 n_states)^2 n_states once, 4 n_states^2 a row and draw",
    claims="paths of states that all have noise of their own, seen with nonsingular noise; missing, time-varying, diffuse start",
    refuses=refuses,
    sample=sample_precision,
)
