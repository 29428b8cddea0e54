"""The discrete Lyapunov equation, and the stationary prior of a linear recursion."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.linalg import schur

from ssmts.core.types import Array
from ssmts.exceptions import InputError, NumericalError

DOUBLINGS = 64  # after which a root of 1 - 1e-16 would have died out
NEAR_UNIT = 1e-6  # a root closer to the unit circle than this counts as one on it


class Stationary(NamedTuple):
    """What `stationary` returns: the prior of a recursion that has always been running.

    Attributes
    ----------
    cov : (n_states, n_states)
        Covariance of the stationary part; what the diffuse part adds to it has no meaning and is left out.
    diffuse_cov : (n_states, n_states) or None
        The projector on the directions that have no stationary distribution; None if there are none.
    unit_roots : (n_roots,) complex
        The roots of the transition that were taken for diffuse.
    """

    cov: Array
    diffuse_cov: Array | None
    unit_roots: npt.NDArray[np.complex128]


def solve_lyapunov(transition: npt.ArrayLike, noise_cov: npt.ArrayLike) -> Array:
    """Solve P = A P A' + V by doubling: the sum of A^i V A'^i over 2, 4, 8, ... terms.

    Parameters
    ----------
    transition : (n, n)
        All its roots must be inside the unit circle, however close to it: a root of 1 - d takes about log2(20 / d)
        doublings, and costs the relative precision 1e-16 / d that the equation itself has.
    noise_cov : (n, n)
        Any symmetric matrix. With the transpose of a transition and the derivative with respect to P, the solution is the
        derivative with respect to V.

    Raises
    ------
    InputError
        If the shapes do not fit or a value is not finite.
    NumericalError
        If a root is on or outside the unit circle; `stationary` serves such a transition.

    References
    ----------
    Smith (1968); Anderson and Moore (1979), section 6.7.

    Examples
    --------
    >>> solve_lyapunov([[0.5]], [[3.0]])
    array([[4.]])
    """
    A, V = square(transition, "transition"), square(noise_cov, "noise_cov")
    if A.shape != V.shape:
        raise InputError(f"transition is {A.shape} and noise_cov {V.shape}: pass two matrices of one size")
    P = V
    with np.errstate(over="ignore", invalid="ignore"):
        for _ in range(DOUBLINGS):
            more = A @ P @ A.T
            P = P + 0.5 * (more + more.T)
            A = A @ A
            if not np.isfinite(P).all():
                break
            if np.abs(A).max(initial=0.0) < 1e-30:
                return P
    root = np.abs(np.linalg.eigvals(np.asarray(transition, dtype=float))).max()
    raise NumericalError(
        f"transition has a root of modulus {root:.12g}, so that no stationary covariance exists: "
        "use `stationary`, which takes such roots for diffuse"
    )


def stationary(transition: npt.ArrayLike, noise_cov: npt.ArrayLike, near_unit: float = NEAR_UNIT) -> Stationary:
    """Prior of x[t+1] = A x[t] + w[t] that has been running for ever, diffuse where it has no stationary distribution.

    An ordered Schur form splits off the invariant space of the roots that are (nearly) on or outside the unit circle; the
    rest follows a stable recursion of its own, whose covariance `solve_lyapunov` finds.

    Parameters
    ----------
    transition : (n, n)
    noise_cov : (n, n)
        Covariance of w.
    near_unit : float, default 1e-6
        Roots of modulus above ``1 - near_unit`` are diffuse: at that distance the stationary variance is half a million
        times that of the noise, so that a start from it and a diffuse start differ by nothing that data could tell.

    Raises
    ------
    InputError
        As in `solve_lyapunov`.

    Examples
    --------
    >>> import numpy as np
    >>> prior = stationary(np.diag([1.0, 0.5]), np.eye(2))
    >>> prior.cov
    array([[0.        , 0.        ],
           [0.        , 1.33333333]])
    >>> prior.diffuse_cov
    array([[1., 0.],
           [0., 0.]])
    """
    A, V = square(transition, "transition"), square(noise_cov, "noise_cov")

    def outside(real: complex, imaginary: float = 0.0) -> bool:
        return bool(abs(real + 1j * imaginary) > 1.0 - near_unit)

    T, Z, n_unit = schur(A, output="real", sort=outside)
    n_unit = int(n_unit)
    unit, rest = Z[:, :n_unit], Z[:, n_unit:]
    cov = rest @ solve_lyapunov(T[n_unit:, n_unit:], rest.T @ V @ rest) @ rest.T
    roots = np.linalg.eigvals(T[:n_unit, :n_unit]).astype(complex)
    return Stationary(0.5 * (cov + cov.T), unit @ unit.T if n_unit else None, roots)


def square(matrix: npt.ArrayLike, name: str) -> Array:
    """A square matrix of finite floats, or an error that names it."""
    values = np.asarray(matrix, dtype=float)
    if values.ndim != 2 or values.shape[0] != values.shape[1]:
        raise InputError(f"{name} has the shape {values.shape}: pass a square matrix")
    if not np.isfinite(values).all():
        raise InputError(f"{name} holds {values[~np.isfinite(values)][0]}: pass finite numbers")
    return values
