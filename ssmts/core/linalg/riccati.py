"""The discrete algebraic Riccati equation of the Kalman filter: the covariance that it settles at."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ssmts.core.linalg.lyapunov import DOUBLINGS, square
from ssmts.core.types import Array
from ssmts.exceptions import InputError, NumericalError

SINGULAR = 1e-10  # an innovation covariance whose correlations have a smaller eigenvalue is singular
EXPLOSIVE = 1e-4  # a multiple root of one is computed to no better than this
NOISE = 1e-6  # an increment of a variance that is more negative than this is noise of a sum that grows without bound
UNSEEN = 1e6  # if predicted_cov is larger than what observations show of it by this factor, rounding is what they show
LOST = 1e-6  # a solution that satisfies the equation no better than this is none


class Riccati(NamedTuple):
    """The steady state of a Kalman filter.

    Attributes
    ----------
    predicted_cov : (n_states, n_states)
        P, the covariance of the predicted state.
    innovation_cov : (n_obs, n_obs)
        S = H P H' + R.
    gain : (n_states, n_obs)
        K = P H' S^-1.
    closed_loop : (n_states, n_states)
        F (I - K H), which takes the error of one predicted mean to the next.
    radius : float
        Largest modulus of its roots: an error of the covariance shrinks by its square at every row. It is one if a state
        with a unit root has no noise of its own.
    """

    predicted_cov: Array
    innovation_cov: Array
    gain: Array
    closed_loop: Array
    radius: float


def solve_riccati(
    transition: npt.ArrayLike, process_cov: npt.ArrayLike, observation: npt.ArrayLike, obs_cov: npt.ArrayLike
) -> Riccati:
    """Solve P = F P F' + V - F P H' (H P H' + R)^-1 H P F' by structure-preserving doubling.

    Over any number of rows the filter maps the covariance X + D to X + C + A D (I + J D)^-1 A'. Two such maps make a third,
    so that doubling finds the map over 2, 4, 8, ... rows from that of one. X is the covariance a few rows after the state
    was known exactly, as many as it takes to see every observation with noise. Neither R nor V need be regular, and unit
    roots may lack noise: those states stay known, and their roots stay in the closed loop.

    Parameters
    ----------
    transition : (n_states, n_states)
    process_cov : (n_states, n_states)
        Covariance V of the noise as it reaches the states.
    observation : (n_obs, n_states)
    obs_cov : (n_obs, n_obs)

    Returns
    -------
    Riccati

    Raises
    ------
    InputError
        If the shapes do not fit or a value is not finite.
    NumericalError
        If there is no solution: a state with a root on or outside the unit circle that no observation sees (the model is
        not detectable), an explosive state without noise, or observations that others determine exactly.

    References
    ----------
    Anderson (1978), the doubling algorithm; Chu, Fan, Lin and Wang (2004), its structure.

    Examples
    --------
    The level of the Nile:

    >>> solve_riccati([[1.0]], [[1469.1]], [[1.0]], [[15099.0]]).predicted_cov.round(6)
    array([[5501.257942]])
    """
    F, V, H, R = _checked(transition, process_cov, observation, obs_cov)
    X, K, S = _known_start(F, V, H, R)
    A = F - F @ K @ H
    C, J = _next(F, V, H, R, X, K) - X, _symmetric(H.T @ np.linalg.solve(S, H))
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        done = _double(A, C, J)
    P = X if done is None else X + done
    S = _symmetric(H @ P @ H.T + R)
    if done is None or (np.diagonal(np.abs(H) @ np.abs(P) @ np.abs(H).T) > UNSEEN * np.diagonal(S)).any():
        raise NumericalError(
            "the Riccati equation has no solution: a state whose root is on or outside the unit circle is not seen by "
            "observation, so that predicted_cov grows without bound. Observe it, or take it out of the model"
        )
    K = _gain(P, H, S)
    closed = F - F @ K @ H
    radius = float(np.abs(np.linalg.eigvals(closed)).max(initial=0.0))
    if radius > 1.0 + EXPLOSIVE:
        raise NumericalError(
            f"the Riccati equation has no stabilising solution: the closed loop keeps a root of modulus {radius:.6g}, that "
            "of an explosive state without noise in process_cov or without observation"
        )
    size = np.sqrt(np.diagonal(P))
    gap = np.abs(_next(F, V, H, R, P, K) - P)
    if (gap > LOST * size[:, None] * size + 1e-12 * size.max(initial=0.0) ** 2).any():
        raise NumericalError(
            f"predicted_cov solves the Riccati equation only to {gap.max():.3g}: the variances of the model are too far apart"
        )
    return Riccati(P, S, K, closed, radius)


def _checked(
    transition: npt.ArrayLike, process_cov: npt.ArrayLike, observation: npt.ArrayLike, obs_cov: npt.ArrayLike
) -> tuple[Array, Array, Array, Array]:
    F, V, R = square(transition, "transition"), square(process_cov, "process_cov"), square(obs_cov, "obs_cov")
    H = np.asarray(observation, dtype=float)
    if V.shape != F.shape or H.shape != (len(R), len(F)):
        raise InputError(
            f"transition is {F.shape}, process_cov {V.shape}, observation {H.shape}, obs_cov {R.shape}: "
            "pass (n, n), (n, n), (p, n) and (p, p)"
        )
    if not np.isfinite(H).all():
        raise InputError(f"observation holds {H[~np.isfinite(H)][0]}: pass finite numbers")
    return F, V, H, R


def _known_start(F: Array, V: Array, H: Array, R: Array) -> tuple[Array, Array, Array]:
    """The covariance of the first rows after the state was known at which S is regular, with its gain and S."""
    X = V
    for _ in range(len(F) + 1):
        S = _symmetric(H @ X @ H.T + R)
        size = np.sqrt(np.diagonal(S))
        if (size > 0).all() and np.linalg.eigvalsh(S / np.outer(size, size))[0] > SINGULAR:
            return X, _gain(X, H, S), S
        X = _next(F, V, H, R, X, np.asarray(X @ H.T @ np.linalg.pinv(S, hermitian=True, rcond=1e-12)))
    raise NumericalError(
        "innovation_cov is singular whatever the state: an observation is determined exactly by others or by the past. "
        "Drop it, or give obs_cov a variance for it"
    )


def _gain(P: Array, H: Array, S: Array) -> Array:
    return np.asarray(np.linalg.solve(S, H @ P).T, dtype=float)


def _next(F: Array, V: Array, H: Array, R: Array, P: Array, K: Array) -> Array:
    """The covariance predicted from P with the gain K, in Joseph's form."""
    L = F - F @ K @ H
    FK = F @ K
    return _symmetric(L @ P @ L.T + FK @ R @ FK.T + V)


def _symmetric(matrix: Array) -> Array:
    return 0.5 * (matrix + matrix.T)


def _double(A: Array, C: Array, J: Array) -> Array | None:
    """The limit of C, or None if it has none. Its increments square at every doubling once they are small."""
    n, small = len(A), False
    eye = np.eye(n)
    for _ in range(DOUBLINGS):
        both = np.linalg.solve(eye + C @ J, np.hstack([A, C]))
        WA, WC = both[:, :n], both[:, n:]
        more = _symmetric(A @ WC @ A.T)
        J = J + _symmetric(A.T @ J @ WA)
        C, A = C + more, A @ WA
        if not (np.isfinite(C).all() and np.isfinite(J).all()) or (np.diagonal(more) < -NOISE * np.diagonal(C)).any():
            return None
        if small:
            return C
        small = bool((np.diagonal(more) <= 1e-9 * np.diagonal(C)).all())
    return None
