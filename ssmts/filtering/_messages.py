"""States that follow an autoregression, and what a regression says of them, as rows of a linear Gaussian model.

Everything happens in coordinates in which the stationary law of the states is the standard normal one: units, collinear
columns and columns that never change cost nothing there, and a covariance fits into the stationary one if its eigenvalues are
at most 1.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from .._containers import FloatArray
from ..core.linalg.lyapunov import NEAR_UNIT, solve_lyapunov
from ..core.types import LinearGaussianSSM, Matrix, State, TimeVarying
from ..exceptions import InputError, TooShortError

LARGEST = (
    1.0 - 1e-10
)  # eigenvalue of a covariance, in units of the stationary one; at 1 its row would have no precision
COLLINEAR = 1e-10  # share of the variance of standardised columns below which a direction is rounding
UNSETTLED = 1e-6  # a stationary variance this far below that of the rows is none


class Dynamics(NamedTuple):
    """States ``z = mean + loading @ v``, with ``v[t+1] = transition @ v[t] + w[t]`` and v stationary with covariance 1."""

    mean: FloatArray  # (k,)
    loading: FloatArray  # (k, r)
    coordinates: FloatArray  # (r, k), a left inverse of the loading
    transition: FloatArray  # (r, r)
    process_cov: FloatArray  # (r, r)

    @property
    def start(self) -> State:
        """The stationary law."""
        r = len(self.transition)
        return State(np.zeros(r), np.eye(r), np.zeros((r, r)), 0)

    def whiten(self, cov: FloatArray) -> FloatArray:
        """Covariances of states (..., k, k) in the coordinates v."""
        return np.asarray(self.coordinates @ cov @ self.coordinates.T)


class Messages(NamedTuple):
    """Gaussian messages of an encoder as observations: ``y[t] = observation @ v[t] + N(0, obs_cov)``."""

    y: FloatArray  # (n, r)
    observation: FloatArray  # (r, r), or (n, r, r)
    obs_cov: FloatArray
    mended: npt.NDArray[np.bool_]  # () or (n,): whether the covariance was changed

    def on_grid(self, y: FloatArray, at: npt.NDArray[np.int64], dynamics: Dynamics) -> LinearGaussianSSM:
        """The model of the rows `y`, whose rows `at` are these messages."""

        def placed(values: FloatArray) -> Matrix:
            if values.ndim == 2:
                return values
            out = np.tile(np.eye(values.shape[1]), (len(y), 1, 1))
            out[at] = values
            return TimeVarying(out)

        start = dynamics.start
        return LinearGaussianSSM(
            transition=dynamics.transition,
            process_cov=dynamics.process_cov,
            observation=placed(self.observation),
            obs_cov=placed(self.obs_cov),
            initial_mean=start.mean,
            initial_cov=start.cov,
        )


def learn_dynamics(y: FloatArray, steps: npt.NDArray[np.int64]) -> Dynamics:
    """First-order vector autoregression of complete rows, and the coordinates of its stationary law.

    Least squares; where they find no stationary law (a root at or beyond 1, a direction that no noise reaches), the Yule-Walker
    equations, whose stationary covariance is that of the rows.

    Parameters
    ----------
    y : ndarray, shape (n_times, k)
    steps : ndarray, shape (n_times,)
        When each row was; only rows one step apart say how the states move.
    """
    first = np.flatnonzero(np.diff(steps) == 1)
    if not len(first):
        raise TooShortError(
            f"y has {len(y)} complete row(s), no two of them consecutive, so that they do not say how the states move: "
            "pass consecutive rows, or freq= if the frequency is another."
        )
    mean, loading, coordinates = _principal(y)
    u = (y - mean) @ coordinates.T
    A, V, S = _autoregression(u[first], u[first + 1], len(u))
    root = np.linalg.cholesky(S)
    A, V = np.linalg.solve(root, A @ root), np.linalg.solve(root, np.linalg.solve(root, V).T)
    return Dynamics(mean, loading @ root, np.linalg.solve(root, coordinates), A, 0.5 * (V + V.T))


def _principal(y: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Mean, and the principal axes of standardised columns as loading and coordinates of covariance 1."""
    mean = y.mean(axis=0)
    spread = y.std(axis=0)
    moves = spread > 1e-12 * np.abs(mean)
    if not moves.any():
        raise InputError("y has the same values in every row: there is no state to follow. Pass states that change.")
    scale = np.where(moves, spread, 1.0)
    Z = np.where(moves, (y - mean) / scale, 0.0)
    values, vectors = np.linalg.eigh(Z.T @ Z / len(Z))
    kept = values > COLLINEAR * values[-1]
    size, axes = np.sqrt(values[kept]), vectors[:, kept]
    return mean, scale[:, None] * axes * size, (axes / size).T / scale


def _autoregression(before: FloatArray, after: FloatArray, n: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Transition, noise covariance and stationary covariance, of rows whose covariance is 1."""
    found, *_ = np.linalg.lstsq(before, after, rcond=None)
    A, rest = found.T, after - before @ found
    V = rest.T @ rest / len(rest)
    if np.abs(np.linalg.eigvals(A)).max() < 1.0 - NEAR_UNIT:
        S = solve_lyapunov(A, V)
        if np.linalg.eigvalsh(S)[0] > UNSETTLED:
            return np.asarray(A), V, S
    left, size, right = np.linalg.svd(after.T @ before / n)
    size = np.minimum(size, 1.0 - 1.0 / n)  # never needed where no row is missing
    return (left * size) @ right, (left * (1.0 - size**2)) @ left.T, np.eye(len(size))


def calibration(dynamics: Dynamics, f: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Intercept (k,) and slope (k, k) of the straight line from guesses of states to the states, both (n, k)."""
    mean, B, back = dynamics.mean, dynamics.loading, dynamics.coordinates
    u, v = (f - mean) @ back.T, (y - mean) @ back.T
    found, *_ = np.linalg.lstsq(u - u.mean(axis=0), v - v.mean(axis=0), rcond=None)
    slope = B @ found.T @ back
    return mean + B @ (v.mean(axis=0) - u.mean(axis=0) @ found) - slope @ mean, slope


def messages(dynamics: Dynamics, f: FloatArray, cov: FloatArray, *, robust: bool, floor: float) -> Messages:
    """What an encoder N(f, cov) of the states says, as observations of the filter.

    The message is N(f, Q) over the stationary N(0, 1), that is precision ``1/q - 1`` and information ``f/q`` along each
    eigenvector of Q: the observation ``f / sqrt(1 - q)`` of ``sqrt(1 - q) v`` with variance q. With `robust`, N(f, Q).

    Parameters
    ----------
    dynamics : Dynamics
    f : ndarray, shape (n, k)
    cov : ndarray, shape (r, r) or (n, r, r)
        In the coordinates of the dynamics.
    robust : bool
    floor : float
        The least eigenvalue that a covariance may have.
    """
    q, axes = np.linalg.eigh(cov)
    most = np.inf if robust else LARGEST
    mended = np.asarray(((q < floor) | (q > most)).any(axis=-1))
    q = np.clip(q, floor, most)
    H = axes.swapaxes(-1, -2)
    e = np.ones_like(q) if robust else np.sqrt(1.0 - q)
    y = np.squeeze(H @ ((f - dynamics.mean) @ dynamics.coordinates.T)[..., None], -1) / e
    return Messages(y, np.ascontiguousarray(e[..., None] * H), q[..., None] * np.eye(q.shape[-1]), mended)


def outer_products(errors: FloatArray) -> FloatArray:
    """Lower triangles of the outer products of rows (n, r)."""
    i, j = np.tril_indices(errors.shape[1])
    return np.asarray(errors[:, i] * errors[:, j])


def symmetric(triangles: FloatArray, size: int) -> FloatArray:
    """Matrices (n, size, size) of their lower triangles, one a row."""
    i, j = np.tril_indices(size)
    out = np.empty((len(triangles), size, size))
    out[:, i, j] = out[:, j, i] = triangles
    return out
