"""Autoregressive moving averages, compiled: autocovariances, weights, and innovations of several columns at once.

The functions of polynomials take complex coefficients, so that a complex step through them gives derivatives to machine
precision. Polynomials are phi(B) = 1 - phi[0] B - ... and theta(B) = 1 + theta[0] B + ...; the noise has unit variance.
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from ssmts.core.gaussian._kernels.layout import kernel
from ssmts.core.gaussian._kernels.recursion import BLOCK, LEAST, clearness, gains, rewind
from ssmts.core.types import Array

Complex = npt.NDArray[np.complex128]


@kernel
def responses(phi: Complex, theta: Complex, psi: Complex) -> None:
    """Write the response psi[i] of the i-th row after a unit noise: psi(B) = theta(B) / phi(B)."""
    for i in range(psi.size):
        x = 1.0 + 0j if i == 0 else 0j
        if 0 < i <= theta.size:
            x += theta[i - 1]
        for j in range(min(i, phi.size)):
            x += phi[j] * psi[i - 1 - j]
        psi[i] = x


@kernel
def covariances(phi: Complex, theta: Complex, g: Complex) -> bool:
    """Write the autocovariances g[0], g[1], ...; False if the autoregression is not stationary.

    Those of the autoregression alone come from its partial autocorrelations, found by stepping its order down, in O(p^2)
    (Durbin-Levinson); the moving average sums them over its own lags (Brockwell and Davis 1991, section 3.3).
    """
    p, q, n = phi.size, theta.size, g.size
    steps = np.zeros((p + 1, p + 1), np.complex128)  # line k: coefficients of the best predictor of order k
    for i in range(p):
        steps[p, i] = phi[i]
    for k in range(p, 0, -1):
        last = steps[k, k - 1]
        if not abs(last.real) < 1.0:
            return False
        for i in range(k - 1):
            steps[k - 1, i] = (steps[k, i] + last * steps[k, k - 2 - i]) / (1.0 - last * last)
    auto = np.zeros(n + q, np.complex128)
    spread = 1.0 + 0j
    for k in range(1, p + 1):
        spread /= 1.0 - steps[k, k - 1] * steps[k, k - 1]
    auto[0] = spread
    for k in range(1, n + q):
        x = 0j
        if k <= p:
            x += steps[k, k - 1] * spread
            spread *= 1.0 - steps[k, k - 1] * steps[k, k - 1]
            for i in range(k - 1):
                x += steps[k - 1, i] * auto[k - 1 - i]
        else:
            for i in range(p):
                x += phi[i] * auto[k - 1 - i]
        auto[k] = x
    for k in range(n):
        g[k] = 0j
    for lag in range(q + 1):
        weight = 0j
        for i in range(q + 1 - lag):
            first = theta[i - 1] if i else 1.0 + 0j
            weight += first * (theta[i + lag - 1] if i + lag else 1.0 + 0j)
        if weight != 0j:
            for k in range(n):
                g[k] += weight * auto[k + lag]
                if lag:
                    g[k] += weight * auto[abs(k - lag)]
    return True


@kernel
def whiten(w: Array, phi: Array, g: Array, clear: float) -> Any:
    """Turn each column of w (n, m) into standardised innovations, in place: one Schur recursion serves all.

    Returns (sum of log F, whether the innovations have their digits), as `_kernels.recursion.likelihood`, from autocovariances
    g (r + 1,).
    """
    n, m = w.shape
    G = np.empty(g.size - 1)
    q = gains(phi, g, G)
    if not g[0] > 0.0 or clearness(phi, g[0], G[:q], n) < clear:
        return 0.0, False
    W, a = np.zeros(BLOCK + q + 1), np.zeros((m, BLOCK + q + 1))
    for i in range(q):
        W[i] = G[i]
    F, logs, pos = g[0], 0.0, 0
    for t in range(n):
        if not LEAST * g[0] < F:
            return 0.0, False
        z, shrink, root = W[pos], 1.0 / F, 1.0 / math.sqrt(F)
        rho = z * shrink
        logs += math.log(F)
        F -= rho * z
        for j in range(m):
            first = a[j, pos]
            v = w[t, j] - first
            w[t, j] = v * root
            ahead, c = a[j, pos + 1 : pos + 1 + q], v * shrink
            for i in range(phi.size):
                ahead[i] += phi[i] * first
            for i in range(q):
                ahead[i] += G[i] * c
        pos += 1
        behind = W[pos : pos + q]
        for i in range(phi.size):
            behind[i] += phi[i] * z
        for i in range(q):
            x, y = G[i], behind[i]
            G[i] = x - rho * y
            behind[i] = y - rho * x
        if pos == BLOCK:
            rewind(W, q)
            for j in range(m):
                rewind(a[j], q)
            pos = 0
    return logs, True
