"""The Schur recursion, compiled: the exact likelihood of a stationary series from its autocovariances, O(q) a row.

A stationary series w with autoregression phi (p,) and moving-average order q is seen through its predictor in companion form:
a[i] is what the past says of w[t+i], as far as the autoregression does not say it. With F the variance of the innovation
v = w - a[0] and T the companion matrix (T x)[i] = phi[i] x[0] + x[i+1]::

    a' = T a + G v / F,    rho = W[0] / F,    G' = G - rho T W,    W' = T W - rho G,    F' = F - rho W[0]

from a = 0, F = g[0] and G = W, where G[i] = g[i+1] - sum_(m <= i) phi[m] g[i+1-m] and g are the autocovariances. G / F is the
gain, and the two lines of G and W are the Schur (rank-one Chandrasekhar) form of the covariance recursion (Morf, Sidhu and
Kailath 1974; Kailath and Sayed 1995): nothing of size q^2 is formed.

Where differences were taken that the series did not need, its spectrum has zeros. A simple zero does no harm; at a double one
(a trend that no shock moves) the spectrum of n rows falls as n^-4 and takes the digits of the autocovariances with it, so that
the recursion says when it should not be believed.
"""

import math
from typing import Any

import numpy as np

from ssmts.core.gaussian._kernels.layout import kernel, part
from ssmts.core.types import Array

CLEAR = 1e-8  # of the size of its terms: a spectrum below this fraction at the lowest frequency costs digits of a likelihood
LEAST = 1e-13  # of the variance of the series: an innovation variance below this fraction has lost its digits
SETTLED = 1e-10  # W relative to F below which the variance does not change any more
NOTHING = 1e-10  # of its last entry: q entries in a row below this fraction; only products of what is before them count
BLOCK = 1024  # rows after which the sliding windows are moved back to the start of their memory


@part
def gains(phi: Array, g: Array, G: Array) -> int:
    """Write the first G, and return how much of it is not zero, but len(phi) at least."""
    q = 0
    for i in range(G.size):
        x = g[i + 1]
        for m in range(min(i, phi.size)):
            x -= phi[m] * g[i - m]
        G[i] = x
        if abs(x) > 1e-16 * g[0]:
            q = i + 1
    return max(q, phi.size)


@part
def clearness(phi: Array, variance: float, G: Array, n: int) -> float:
    """The spectrum g[0] + 2 Re(sum G[i] z^(i+1) / phi(z)) at z = exp(pi i / n), relative to the size of its terms."""
    step = complex(math.cos(math.pi / n), math.sin(math.pi / n))
    z, moving, auto, size = step, 0j, 1.0 + 0j, 0.0
    for i in range(G.size):
        moving += G[i] * z
        size += abs(G[i])
        if i < phi.size:
            auto -= phi[i] * z
        z *= step
    return (variance + 2.0 * (moving / auto).real) / (variance + 2.0 * size / abs(auto))


@kernel
def likelihood(w: Array, mean: float, phi: Array, g: Array, clear: float) -> Any:
    """(Sum of log F, sum of v^2 / F, whether they have their digits) of w with autocovariances g (r + 1,).

    They do not where the `clearness` is less than ``clear``.
    """
    n, p = w.size, phi.size
    G = np.empty(g.size - 1)
    q = gains(phi, g, G)
    W, a = np.zeros(BLOCK + q + 1), np.zeros(BLOCK + q + 1)
    for i in range(q):
        W[i] = G[i]
    F, squares, logs, product, pos, t = g[0], 0.0, 0.0, 1.0, 0, 0
    if not g[0] > 0.0 or clearness(phi, g[0], G[:q], n) < clear:
        return 0.0, 0.0, False
    least, unit, moving = LEAST * g[0], 1.0 / g[0], True
    while t < n and moving:
        if not least < F:
            return 0.0, 0.0, False
        v, z, first = w[t] - mean - a[pos], W[pos], a[pos]
        shrink = 1.0 / F
        c, rho = v * shrink, z * shrink
        squares += v * c
        product *= F * unit
        if t & 15 == 15:
            logs += math.log(product)
            product = 1.0
        F -= rho * z
        pos += 1
        ahead, behind = a[pos : pos + q], W[pos : pos + q]
        for i in range(p):
            ahead[i] += phi[i] * first
            behind[i] += phi[i] * z
        for i in range(q):
            x, y = G[i], behind[i]
            ahead[i] += x * c
            G[i] = x - rho * y
            behind[i] = y - rho * x
        if pos == BLOCK:
            rewind(a, q)
            rewind(W, q)
            pos = 0
        t += 1
        if t & 63 == 0:
            moving = False
            for i in range(q):
                moving = moving or abs(W[pos + i]) > SETTLED * F
    logs += math.log(product) + t * math.log(g[0])
    if t < n:
        more = settled(w, mean, phi, G[:q] / F, a, pos, t)
        squares += more / F
        logs += (n - t) * math.log(F)
    return logs, squares, True


@part
def settled(w: Array, mean: float, phi: Array, K: Array, a: Array, pos: int, first: int) -> float:
    """Sum of v^2 from a row on from which the gain does not change."""
    q, total = K.size, 0.0
    for t in range(first, w.size):
        v, before = w[t] - mean - a[pos], a[pos]
        total += v * v
        pos += 1
        ahead = a[pos : pos + q]
        for i in range(phi.size):
            ahead[i] += phi[i] * before
        for i in range(q):
            ahead[i] += K[i] * v
        if pos == BLOCK:
            rewind(a, q)
            pos = 0
    return total


@part
def rewind(window: Array, q: int) -> None:
    """Move a window from the end of its memory to the start."""
    for i in range(q):
        window[i] = window[BLOCK + i]
    for i in range(q, window.size):
        window[i] = 0.0


@kernel
def likelihood_score(
    w: Array, mean: float, g: Array, clear: float, slope: Array, gain: Array, x: Array, c: Array
) -> Any:
    """As `likelihood` without an autoregression, and the derivatives with respect to mean (returned last) and g.

    With x = S^-1 (w - mean) and c the last column of S^-1, S the covariance matrix of the series, those of g are sums of
    products of x at a lag, less the same of S^-1, whose diagonals are sums over c alone (Gohberg and Semencul 1972).

    ``slope`` (q + 1,) receives them; ``gain`` (n, q), ``x`` and ``c`` (n + q,) are work space.
    """
    n, q = w.size, g.size - 1
    W, a, G = np.zeros(BLOCK + q + 1), np.zeros(BLOCK + q + 1), np.empty(q)
    for i in range(q):
        G[i] = W[i] = g[i + 1]
    F, squares, logs, product, pos, t = g[0], 0.0, 0.0, 1.0, 0, 0
    if not g[0] > 0.0 or clearness(g[:0], g[0], G, n) < clear:
        return 0.0, 0.0, False, 0.0
    least, unit, shrink, moving = LEAST * g[0], 1.0 / g[0], 0.0, True
    while t < n and moving:
        if not least < F:
            return 0.0, 0.0, False, 0.0
        v, z = w[t] - mean - a[pos], W[pos]
        shrink = 1.0 / F
        x[t], rho = v * shrink, z * shrink
        squares += v * x[t]
        product *= F * unit
        if t & 15 == 15:
            logs += math.log(product)
            product = 1.0
        F -= rho * z
        pos += 1
        ahead, behind, K, e = a[pos : pos + q], W[pos : pos + q], gain[t], x[t]
        for i in range(q):
            u, y = G[i], behind[i]
            ahead[i] += u * e
            K[i] = u * shrink
            G[i] = u - rho * y
            behind[i] = y - rho * u
        if pos == BLOCK:
            rewind(a, q)
            rewind(W, q)
            pos = 0
        t += 1
        if t & 63 == 0:
            moving = False
            for i in range(q):
                moving = moving or abs(W[pos + i]) > SETTLED * F
    logs += math.log(product) + t * math.log(g[0])
    last = t
    if t < n:
        shrink = 1.0 / F
        for i in range(q):
            gain[t, i] = G[i] * shrink
        squares += settled_errors(w, mean, F, gain[t], a, pos, t, x)
        logs += (n - t) * math.log(F)
    low = back(gain, last, x, c, n, q, shrink)
    total = 0.0
    for t in range(n):
        total += x[t]
    lagged(x, c, low, n, q, slope)
    return logs, squares, True, total


@part
def settled_errors(w: Array, mean: float, F: float, K: Array, a: Array, pos: int, first: int, x: Array) -> float:
    """Sum of v^2 / F from a row on from which the gain does not change, without an autoregression; v / F goes to x."""
    q, total, shrink = K.size, 0.0, 1.0 / F
    for t in range(first, w.size):
        v = w[t] - mean - a[pos]
        x[t] = v * shrink
        total += v * x[t]
        pos += 1
        ahead = a[pos : pos + q]
        for i in range(q):
            ahead[i] += K[i] * v
        if pos == BLOCK:
            rewind(a, q)
            pos = 0
    return total


@part
def back(gain: Array, settled: int, x: Array, c: Array, n: int, q: int, last: float) -> int:
    """From v / F to S^-1 w, and from 1 / F of the last row to the last column of S^-1; returns where that starts to count.

    Gains from row ``settled`` on are those of that row.
    """
    for t in range(n + q):
        c[t] = 0.0
    for t in range(n, n + q):
        x[t] = 0.0
    c[n - 1] = last
    t, low = n - 2, 0
    while t >= 0:
        stop = max(t - 64, -1)
        if low == 0:
            for l in range(t, stop, -1):
                K, xs, cs = gain[min(l, settled)], x[l + 1 : l + 1 + q], c[l + 1 : l + 1 + q]
                u, y = 0.0, 0.0
                for i in range(q):
                    u += K[i] * xs[i]
                    y += K[i] * cs[i]
                x[l] -= u
                c[l] -= y
            largest = 0.0
            for i in range(q):
                largest = max(largest, abs(c[stop + 1 + i]))
            if largest < NOTHING * last:
                low = stop + 1
        else:
            for l in range(t, stop, -1):
                K, xs = gain[min(l, settled)], x[l + 1 : l + 1 + q]
                u = 0.0
                for i in range(q):
                    u += K[i] * xs[i]
                x[l] -= u
        t = stop
    return low


@part
def lagged(x: Array, c: Array, low: int, n: int, q: int, slope: Array) -> None:
    """Derivatives of the log-likelihood with respect to the autocovariances 0 ... q; c counts from a row on."""
    shrink, weighted = 1.0 / c[n - 1], np.empty(n - low)
    for t in range(low, n):
        weighted[t - low] = (2 * t + 2 - n) * c[t]
    for j in range(q + 1):
        s, z = 0.0, 0.0
        xs, cl, cs = x[j:], c[low:], c[low + j :]  # slices, because loops from an unknown start are not vectorised
        for t in range(n - j):
            s += x[t] * xs[t]
        for t in range(n - j - low):
            z += (weighted[t] + j * cl[t]) * cs[t]
        slope[j] = s - z * shrink
    slope[0] *= 0.5


@kernel
def likelihood_adjoint(
    w: Array,
    mean: float,
    phi: Array,
    g: Array,
    clear: float,
    turn: Array,
    slope: Array,
    Gs: Array,
    Ws: Array,
    ends: Array,
) -> Any:
    """As `likelihood`, and the derivatives with respect to mean (returned last), phi and g, the recursion taken backwards.

    ``turn`` (p,) and ``slope`` (r + 1,) receive those of phi and of g; ``Gs`` and ``Ws`` (n, r) and ``ends`` (n, 4) are work
    space. Lags are not cut where g is zero: the slope there is not.
    """
    n, p, q = w.size, phi.size, g.size - 1
    G = np.empty(q)
    gains(phi, g, G)
    for m in range(p):
        turn[m] = 0.0
    for k in range(q + 1):
        slope[k] = 0.0
    if not g[0] > 0.0 or clearness(phi, g[0], G, n) < clear:
        return 0.0, 0.0, False, 0.0
    W, a = np.zeros(BLOCK + q + 1), np.zeros(BLOCK + q + 1)
    for i in range(q):
        W[i] = G[i]
    F, squares, logs, product, pos = g[0], 0.0, 0.0, 1.0, 0
    least, unit = LEAST * g[0], 1.0 / g[0]
    for t in range(n):
        if not least < F:
            return 0.0, 0.0, False, 0.0
        v, z, first, end = w[t] - mean - a[pos], W[pos], a[pos], ends[t]
        shrink = 1.0 / F
        c, rho = v * shrink, z * shrink
        end[0], end[1], end[2], end[3] = first, z, shrink, c
        squares += v * c
        product *= F * unit
        if t & 15 == 15:
            logs += math.log(product)
            product = 1.0
        F -= rho * z
        pos += 1
        ahead, behind, keep, moved = a[pos : pos + q], W[pos : pos + q], Gs[t], Ws[t]
        for i in range(p):
            ahead[i] += phi[i] * first
            behind[i] += phi[i] * z
        for i in range(q):
            x, y = G[i], behind[i]
            keep[i], moved[i] = x, y
            ahead[i] += x * c
            G[i] = x - rho * y
            behind[i] = y - rho * x
        if pos == BLOCK:
            rewind(a, q)
            rewind(W, q)
            pos = 0
    logs += math.log(product) + n * math.log(g[0])
    return logs, squares, True, recursion_back(phi, g, q, n, turn, slope, Gs, Ws, ends, G, W, a)


@part
def recursion_back(
    phi: Array,
    g: Array,
    q: int,
    n: int,
    turn: Array,
    slope: Array,
    Gs: Array,
    Ws: Array,
    ends: Array,
    dG: Array,
    dW: Array,
    da: Array,
) -> float:
    """Derivatives of the log-likelihood from what a pass forward kept; returns that of the mean. The last three are rooms."""
    p, pos, dF, mean = phi.size, BLOCK, 0.0, 0.0
    for i in range(dW.size):
        dW[i] = da[i] = 0.0
    for i in range(dG.size):
        dG[i] = 0.0
    for t in range(n - 1, -1, -1):
        first, z, shrink, c = ends[t, 0], ends[t, 1], ends[t, 2], ends[t, 3]
        rho = z * shrink
        ahead, behind, G, W = da[pos : pos + q], dW[pos : pos + q], Gs[t], Ws[t]
        dc, drho = 0.0, -z * dF
        for i in range(q):
            u, x, y = ahead[i], dG[i], behind[i]
            dc += u * G[i]
            drho -= x * W[i] + y * G[i]
            dG[i] = x - rho * y + c * u
            behind[i] = y - rho * x
        dz, dfirst = drho * shrink - rho * dF, c - dc * shrink
        for i in range(p):
            dz += phi[i] * behind[i]
            dfirst += phi[i] * ahead[i]
            turn[i] += behind[i] * z + ahead[i] * first
        mean += c - dc * shrink
        dF += -drho * rho * shrink - dc * c * shrink - 0.5 * shrink + 0.5 * c * c
        pos -= 1
        dW[pos], da[pos] = dz, dfirst
        if pos == 0:
            for i in range(q):
                dW[BLOCK + i], da[BLOCK + i] = dW[i], da[i]
            pos = BLOCK
    slope[0] += dF
    for i in range(q):
        x = dG[i] + dW[pos + i]
        slope[i + 1] += x
        for m in range(min(i, p)):
            slope[i - m] -= phi[m] * x
            turn[m] -= g[i - m] * x
    return mean
