"""A seasonal ARIMA model as a state-space model of one small form, and the derivatives of its matrices.

With c(B) the polynomial of all differences (degree d) and w = c(B) y the differenced series, state i is what row t says of row
t + i, differenced as far as rows from t on go: ``x[i] = sum_(j <= i) c[j] E(y[t+i-j] | y[..t])``. Then, for r states,
r = max(p + d, q + 1)::

    y[t] = x[0],     x'[i] = x[i+1] - c[i+1] x[0] + psi[i] e,     x'[r-1] = sum_j phi[j] x[r-j] - c[r] x[0] + psi[r-1] e

Before the first row, x is the forecast of w, whose covariance is ``P[i, j] = P[i-1, j-1] - psi[i-1] psi[j-1]`` from the
autocovariances ``P[0, j]``, and the d rows before make x[0] ... x[d-1] diffuse. So a season of s rows costs s states instead
of the 2 s of a model that keeps the differences apart; for d = 0 this is Akaike's (1974) form. What the parameters move is
the last line of the transition, psi and P, never the diffuse part.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..components.transforms import Array
from ..core.gaussian._kernels.arma import covariances, responses
from ..core.types import LinearGaussianSSM
from ._arima_spec import Orders

_STEP = 1e-40
_ROUNDING = 1e-14


class Moments(NamedTuple):
    """What the polynomials say of the differenced series under a unit noise, and the derivatives in each coefficient."""

    phi: Array  # (p,)
    g: Array  # (r + 1,) autocovariances
    psi: Array  # (r,) response to the noise
    slopes: tuple[Array, Array, Array]  # of the three, (n_coefficients, ...)


def n_states(orders: Orders) -> int:
    """Size of the state."""
    phi, theta = orders.polynomials(np.zeros(len(orders.names)))
    return max(len(phi) + orders.n_lost, len(theta) + 1)


def moments(orders: Orders, values: Array, n_lags: int, n_responses: int) -> Moments | None:
    """Autocovariances 0 ... n_lags and responses 0 ... n_responses - 1; None if not stationary and invertible."""
    trials = np.tile(values.astype(complex), (len(values) + 1, 1))
    trials[np.arange(1, len(trials)), np.arange(len(values))] += _STEP * 1j
    found = []
    for i, trial in enumerate(trials):
        phi, theta = orders.polynomials(trial)
        g, psi = np.empty(n_lags + 1, complex), np.empty(n_responses, complex)
        if i == 0 and not is_invertible(theta.real):
            return None
        if not covariances(phi, theta, g):
            return None
        responses(phi, theta, psi)
        found.append((phi, g, psi))
    phi, g, psi = (np.real(x) for x in found[0])
    slopes = tuple(
        np.reshape([one[k].imag / _STEP for one in found[1:]], (len(values), len(found[0][k]))) for k in range(3)
    )
    return Moments(phi.copy(), g.copy(), psi.copy(), slopes)  # type: ignore[arg-type]


def is_invertible(theta: Array) -> bool:
    """Whether all partial autocorrelations of -theta lie in [-1, 1]."""
    return bool(covariances(-theta.astype(complex) * (1.0 - 1e-12), np.zeros(0, complex), np.zeros(1, complex)))


def prior_cov(m: Moments) -> Array:
    """Covariance of the forecasts of the differenced series before its first row, its own value first."""
    P = _along(m.g, m.psi, m.psi, len(m.phi) > 0)
    if len(m.phi):  # what is left of a difference of equal numbers is nothing
        nothing = np.diagonal(P) < _ROUNDING * m.g[0]
        P[nothing] = P[:, nothing] = 0.0
    return P


def prior_slope(m: Moments, slope_g: Array, slope_psi: Array) -> Array:
    """Derivative of `prior_cov`."""
    half = _along(slope_g / 2, m.psi, slope_psi, len(m.phi) > 0)
    other = _along(slope_g / 2, slope_psi, m.psi, len(m.phi) > 0)
    return half + other


def _along(first: Array, a: Array, b: Array, down: bool) -> Array:
    """The symmetric P with P[0] = first and P[i, j] = P[i-1, j-1] - a[i-1] b[j-1] above the diagonal.

    Of a moving average P is the sum of the products from (i, j) on, taken from below without a difference.
    """
    r = len(a)
    P = np.empty((r, r))
    if down:
        P[0] = first[:r]
        for i in range(1, r):
            P[i, i:] = P[i - 1, i - 1 : r - 1] - a[i - 1] * b[i - 1 : r - 1]
    else:
        for i in range(r - 1, -1, -1):
            P[i, i:] = a[i] * b[i:]
            if i < r - 1:
                P[i, i : r - 1] += P[i + 1, i + 1 :]
    upper = np.triu_indices(r, 1)
    P.T[upper] = P[upper]
    return P


def matrices(orders: Orders, m: Moments, variance: float, constant: float) -> LinearGaussianSSM:
    """The model of the series."""
    r, d, p = len(m.psi), orders.n_lost, len(m.phi)
    transition = np.eye(r, k=1)
    transition[:d, 0] -= orders.differences[1:]
    transition[r - 1, r - p :] += m.phi[::-1]
    offset = np.zeros(r)
    offset[-1] = constant * (1.0 - m.phi.sum())
    diffuse = np.zeros((r, r))
    diffuse[:d, :d] = np.eye(d)
    return LinearGaussianSSM(
        transition=transition,
        process_cov=np.array([[variance]]),
        observation=np.eye(1, r),
        obs_cov=np.zeros((1, 1)),
        initial_mean=np.full(r, constant),
        initial_cov=variance * prior_cov(m),
        initial_diffuse_cov=diffuse if d else None,
        state_offset=offset if constant else None,
        process_loading=m.psi[:, None],
    )


def pull_back(m: Moments, gradient: Any) -> Array:
    """Derivatives in the coefficients from those in the matrices of a model with unit variance and no constant."""
    p, r = len(m.phi), len(m.psi)
    d_phi, d_g, d_psi = m.slopes
    out = d_phi @ gradient.transition[r - 1, r - p :][::-1] + d_psi @ gradient.process_loading[:, 0]
    prior = [np.sum(gradient.initial_cov * prior_slope(m, a, b)) for a, b in zip(d_g, d_psi)]
    return np.asarray(out + np.array(prior).reshape(len(out)))
