"""One step of an autoregression that is learnt as it goes, of one sensor: recursive least squares, and a filter of the last readings.

Letters: theta holds intercept and coefficients, with covariance U D U' in units of the noise; L has D on its diagonal and U' below. The
last p readings, the latest first, are `lag` with covariance C, 0 where they were read. `loose` counts the rows until C is 0 again,
`seen` the rows since the sensor started, up to p, or -1 while nothing is known. f, g and c are room for U' x, D U' x and C b.
"""

from __future__ import annotations

import math

from ssmts.core.types import Array, Index
from ssmts.detection.robust import GATE, kernel, weight

LOST = 1e12  # variance of a prediction from which on nothing is known any more


@kernel
def predict(
    theta: Array, L: Array, lag: Array, C: Array, loose: int, forgetting: float, f: Array, c: Array
) -> tuple[float, float, float, float]:
    """Mean of the next reading, what coefficients and lags add to its variance, and how much P is forgotten.

    Left in f is U' x with x = (1, lags), and in c is C b with b the coefficients of the lags.
    """
    q = theta.size
    mean, own, trace = theta[0], L[0, 0], L[0, 0]
    f[0] = 1.0
    for j in range(1, q):
        total, size = lag[j - 1] + L[j, 0], 1.0 + L[j, 0] * L[j, 0]
        for k in range(1, j):
            total += L[j, k] * lag[k - 1]
            size += L[j, k] * L[j, k]
        f[j] = total
        own += L[j, j] * total * total
        trace += L[j, j] * size
        mean += theta[j] * lag[j - 1]
    aged = forgetting if trace <= forgetting * q else 1.0  # q is the trace at the start
    spread = 0.0
    for j in range(q - 1):
        c[j] = 0.0
        if loose > 0:
            for k in range(q - 1):
                c[j] += C[j, k] * theta[k + 1]
            spread += c[j] * theta[j + 1]
    return mean, own / aged, max(spread, 0.0), aged


@kernel
def learn(
    i: int, z: float, mean: float, own: float, total: float, aged: float, theta: Array, L: Array, lag: Array, C: Array,
    loose: Index, seen: Index, f: Array, g: Array, c: Array,
) -> None:  # fmt: skip
    """One reading of innovation variance `total`, its weight that of z: coefficients, earlier lags, and the newest one."""
    w = weight(z) ** 2
    e = z * math.sqrt(total)
    p = lag.size
    if seen[i] >= p:
        # Bierman's measurement update, R being what of the innovation is not the coefficients'.
        alpha = total / w - own
        for j in range(p + 1):
            g[j] = L[j, j] / aged * f[j]
            before = alpha
            alpha += f[j] * g[j]
            L[j, j] *= before / (alpha * aged)
            for k in range(j):
                u = L[j, k]
                L[j, k] = u - g[k] * f[j] / before
                g[k] += g[j] * u
        for j in range(p + 1):
            theta[j] += g[j] * (e / alpha)
    seen[i] = min(seen[i] + 1, p)
    if loose[i] > 0:
        for j in range(p):
            lag[j] += c[j] * (w * e / total)
            for k in range(p):
                C[j, k] -= c[j] * c[k] * (w / total)
    if w < 1.0:
        loose[i] = p
    if loose[i] > 0:
        push(lag, C, mean + w * e, total * (1.0 - w), c, 1.0 - w)
        loose[i] -= w >= 1.0
    else:  # all lags were read, so that C is 0
        for j in range(p - 1, 0, -1):
            lag[j] = lag[j - 1]
        lag[0] = mean + e


@kernel
def push(lag: Array, C: Array, value: float, variance: float, c: Array, share: float) -> None:
    """Make `value` the latest lag; its covariance with the others is a share of c."""
    for j in range(lag.size - 1, 0, -1):
        lag[j] = lag[j - 1]
        for k in range(lag.size - 1, 0, -1):
            C[j, k] = C[j - 1, k - 1]
    lag[0] = value
    C[0, 0] = variance
    for k in range(1, lag.size):
        C[0, k] = C[k, 0] = share * c[k - 1]


@kernel
def fill(
    count: int,
    i: int,
    theta: Array,
    L: Array,
    lag: Array,
    C: Array,
    loose: Index,
    seen: Index,
    forgetting: float,
    f: Array,
    c: Array,
) -> None:
    """Put predictions in the place of readings that did not come."""
    for _ in range(count):
        mean, own, spread, _aged = predict(theta, L, lag, C, loose[i], forgetting, f, c)
        if not own + spread < LOST:
            seen[i] = -1
        if seen[i] < 0:
            break
        loose[i], seen[i] = lag.size, min(seen[i] + 1, lag.size)
        push(lag, C, mean, 1.0 + own + spread, c, 1.0)


@kernel
def begin(i: int, u: float, lag: Array, C: Array, loose: Index, seen: Index) -> None:
    """Start with one reading: those before it may have been as far from it as the gate."""
    lag[:] = u
    C[:] = 0.0
    for j in range(1, lag.size):
        C[j, j] = GATE * GATE
    loose[i], seen[i] = lag.size, 1


@kernel
def open_up(L: Array) -> None:
    """Make the coefficients as uncertain as at the start."""
    L[:] = 0.0
    for j in range(L.shape[0]):
        L[j, j] = 1.0


@kernel
def move_origin(theta: Array, L: Array, lag: Array) -> None:
    """Count readings from the latest lag; the predictions stay what they are."""
    by = lag[0]
    theta[0] -= by
    for j in range(1, theta.size):
        lag[j - 1] -= by
        theta[0] += by * theta[j]
        size = 1.0
        for k in range(1, j):
            size += L[j, k]
        L[j, 0] += by * size
