"""Exact discretisation of linear stochastic differential equations, dx = A x dt + L dw."""

import numpy as np
import numpy.typing as npt
from scipy.linalg import matrix_balance

from ssmts.exceptions import InputError, NumericalError

_Array = npt.NDArray[np.float64]
_SHORT = 0.25  # norm of A h up to which the series are summed
_TERMS = 18  # of the series, whose last one is then below 1e-21


def discretize(drift: npt.ArrayLike, diffusion_cov: npt.ArrayLike, dts: npt.ArrayLike) -> tuple[_Array, _Array]:
    """Transition and noise covariance of dx = A x dt + L dw over steps of given lengths.

    Gives ``F = exp(A dt)`` and ``Q``, the integral of ``exp(A s) L L' exp(A s)'`` over a step. Van Loan (1978) reads both off the
    exponential of one block matrix, which overflows for a stable drift and a long step, and in which the entries of Q that
    are of high order in dt drown when the step is short. Here the series of both are summed over a step short enough and
    doubled, F <- F F and Q <- F Q F' + Q: Q is a sum of covariances, every entry in its own order. Zero, singular and unstable drifts
    need no care. Equal steps are computed once.

    Parameters
    ----------
    drift : (n_states, n_states)
        A.
    diffusion_cov : (n_states, n_states)
        L L', the covariance that enters in a unit of time.
    dts : float or (n_times,)
        Lengths of the steps, at least 0.

    Returns
    -------
    transition, process_cov : ndarray, shape (n_states, n_states) or (n_times, n_states, n_states)

    Raises
    ------
    InputError
        If shapes do not fit, a step is negative, or a value is not finite.
    NumericalError
        If an unstable drift leaves the finite numbers within a step.

    References
    ----------
    Van Loan (1978), Computing integrals involving the matrix exponential, IEEE Transactions on Automatic Control 23.

    Examples
    --------
    Integrated Brownian motion:

    >>> import numpy as np
    >>> from ssmts.core.linalg.discretize import discretize
    >>> transition, process_cov = discretize([[0.0, 1.0], [0.0, 0.0]], np.diag([0.0, 1.0]), 2.0)
    >>> transition, process_cov
    (array([[1., 2.],
           [0., 1.]]), array([[2.66666667, 2.        ],
           [2.        , 2.        ]]))
    """
    A, D, steps = _checked(drift, diffusion_cov, dts)
    distinct, which = np.unique(steps, return_inverse=True)
    A, (scale, _) = matrix_balance(A, permute=False, separate=True)  # by powers of 2, without rounding
    F, Q = _over_distinct(A, D / np.outer(scale, scale), distinct)
    F, Q = F * (scale[:, None] / scale), Q * np.outer(scale, scale)
    if not (np.isfinite(F).all() and np.isfinite(Q).all()):
        raise NumericalError(
            f"the drift leaves the finite numbers within a step of {distinct[-1]:g}: take shorter steps"
        )
    return F[which.reshape(steps.shape)], Q[which.reshape(steps.shape)]


def _over_distinct(A: _Array, D: _Array, steps: _Array) -> tuple[_Array, _Array]:
    """F and Q for increasing steps."""
    n = len(A)
    norm = np.abs(A).sum(axis=0).max(initial=0.0)
    doublings = np.zeros(len(steps), int)
    long = norm * steps > _SHORT
    doublings[long] = np.ceil(np.log2(norm * steps[long] / _SHORT)).astype(int)
    h = steps / 2.0**doublings
    f, q = np.eye(n), D
    F, Q = np.zeros((len(steps), n, n)), np.zeros((len(steps), n, n))
    weight = np.ones_like(h)
    for k in range(_TERMS):  # h^k / k! A^k, and h^(k+1) / (k+1)! times the k-th derivative of the integrand
        F += weight[:, None, None] * f
        weight = weight * h / (k + 1)
        Q += weight[:, None, None] * q
        f, q = A @ f, A @ q + q @ A.T
    with np.errstate(over="ignore", invalid="ignore"):
        for k in range(doublings.max(initial=0)):
            on = slice(int(np.searchsorted(doublings, k, side="right")), None)
            Q[on] += F[on] @ Q[on] @ F[on].swapaxes(1, 2)
            F[on] = F[on] @ F[on]
    return F, (Q + Q.swapaxes(1, 2)) / 2


def _checked(drift: npt.ArrayLike, diffusion_cov: npt.ArrayLike, dts: npt.ArrayLike) -> tuple[_Array, _Array, _Array]:
    A, D, steps = (np.asarray(x, dtype=float) for x in (drift, diffusion_cov, dts))
    if A.ndim != 2 or A.shape[0] != A.shape[1] or D.shape != A.shape:
        raise InputError(
            f"drift has the shape {A.shape} and diffusion_cov {D.shape}: pass two square matrices of one size"
        )
    for name, values in (("drift", A), ("diffusion_cov", D), ("dts", steps)):
        if not np.isfinite(values).all():
            raise InputError(f"{name} holds {values[~np.isfinite(values)].flat[0]}: pass finite numbers")
    if steps.ndim > 1 or (steps < 0).any():
        raise InputError(
            f"dts must be a number or one number a row, none negative; received the least {steps.min(initial=0)}"
        )
    return A, D, steps


def discretize_stationary(
    drift: npt.ArrayLike, stationary_cov: npt.ArrayLike, dts: npt.ArrayLike
) -> tuple[_Array, _Array]:
    """Transition and noise covariance of a stationary process that is given by its drift and its stationary covariance.

    The diffusion follows from ``A P + P A' + L L' = 0``, so that ``Q = P - F P F'`` without the cancellation of that difference
    over short steps.

    Parameters
    ----------
    drift : (n_states, n_states)
    stationary_cov : (n_states, n_states)
        P.
    dts : float or (n_times,)

    Returns
    -------
    transition, process_cov : ndarray
        As `discretize`.

    Raises
    ------
    InputError, NumericalError
        As `discretize`.

    Examples
    --------
    >>> import numpy as np
    >>> from ssmts.core.linalg.discretize import discretize_stationary
    >>> transition, process_cov = discretize_stationary([[-1.0]], [[2.0]], np.log(2.0))
    >>> transition, process_cov
    (array([[0.5]]), array([[1.5]]))
    """
    A, P, _ = _checked(drift, stationary_cov, dts)
    moved = A @ P
    return discretize(A, -(moved + moved.T), dts)
