"""The Kalman filter and smoother in 350 decimal digits, with a diffuse variance of 1e100: what the engine's rungs should give.

A textbook recursion with nothing clever in it: the state is (x, shock, noise), so that observations have no noise of their own
and one smoother gives states and disturbances; scalars are taken in one after the other. 75 digits are right whatever the
model, while `dense_gaussian` loses what the condition of the joint covariance costs in double precision. Covariances made of
roots in double precision are singular but for rounding; they are cut to the rank that they have to 1e-13.
"""

from decimal import Decimal, localcontext
from typing import NamedTuple

import numpy as np
from oracles.dense_gaussian import at

DIGITS = 350
KAPPA = Decimal(10) ** 100
INFINITE = (
    Decimal(10) ** 25
)  # a diffuse variance, and what a transition may leave of it, are above, all others are below
ZERO = Decimal(10) ** -40  # of its terms


class Exact(NamedTuple):
    """Results in double precision; infinite covariances are inf or -inf, means of what is infinite are without meaning."""

    loglik: float
    loglik_t: np.ndarray
    predicted_mean: np.ndarray
    predicted_cov: np.ndarray
    filtered_mean: np.ndarray
    filtered_cov: np.ndarray
    smoothed_mean: np.ndarray  # of (x, shock, noise)
    smoothed_cov: np.ndarray
    redundant: np.ndarray  # (n, n_obs) which entries the past determines exactly,
    contradicted: bool  # and whether one of them lies elsewhere
    n_diffuse: int


def exact(ssm, y, inputs=None) -> Exact:
    """Filter and smooth one series."""
    with localcontext() as context:
        context.prec = DIGITS
        return _exact(ssm, y, inputs)


def decimals(values):
    """The same numbers as decimals, exactly."""
    return np.vectorize(lambda x: Decimal(float(x)), otypes=[object])(np.asarray(values, float))


def low_rank(cov):
    """A covariance without the eigenvalues that are rounding, by pivoted elimination."""
    rest = decimals(cov)
    size, out = [rest[i, i] for i in range(len(rest))], rest * 0
    for _ in range(len(rest)):
        i = max(range(len(rest)), key=lambda k: rest[k, k] / size[k] if size[k] > 0 else Decimal(-1))
        if size[i] <= 0 or rest[i, i] <= Decimal("1e-13") * size[i]:
            break
        step = np.outer(rest[:, i], rest[i]) / rest[i, i]
        rest, out = rest - step, out + step
        rest[i], rest[:, i] = Decimal(0), Decimal(0)
    return out


def _exact(ssm, y, inputs):
    (n, dy), dx = y.shape, len(ssm.initial_mean)
    dw = at(ssm.process_cov, 0).shape[0]
    size = dx + dw + dy
    x, w, e = slice(dx), slice(dx, dx + dw), slice(dx + dw, size)
    m, P = decimals(np.zeros(size)), decimals(np.zeros((size, size)))
    m[x], P[x, x] = decimals(ssm.initial_mean), low_rank(ssm.initial_cov)
    if ssm.initial_diffuse_cov is not None:
        P[x, x] += KAPPA * low_rank(ssm.initial_diffuse_cov)
    kept, steps = [], []
    redundant, contradicted, n_diffuse, gains = np.zeros((n, dy), bool), False, 0, []
    tau = (2 * Decimal("3.14159265358979323846264338327950288419716939937510582097494459230781640628620899")).ln()
    for t in range(n):
        P[w, w], P[e, e] = low_rank(at(ssm.process_cov, t)), low_rank(at(ssm.obs_cov, t))
        predicted, row, gain = (m, P), [], Decimal(0)
        H = np.hstack([decimals(at(ssm.observation, t)), decimals(np.zeros((dy, dw))), decimals(np.eye(dy))])
        d = _offset(ssm.obs_offset, ssm.feedthrough, t, dy, inputs)
        for i in np.flatnonzero(~np.isnan(y[t])):
            h = H[i]
            Ph, v = P @ h, Decimal(float(y[t, i])) - d[i] - h @ m
            S, terms = h @ Ph, (abs(h) @ abs(P) @ abs(h))
            known = max(Decimal(1), terms) if terms < INFINITE else Decimal(1)
            if ZERO * known >= S:
                redundant[t, i] = True
                contradicted |= bool(abs(v) > Decimal("1e-6") * (abs(Decimal(float(y[t, i]))) + abs(h) @ abs(m)))
                continue
            if S > INFINITE:
                n_diffuse += 1
                gain += KAPPA.ln() / 2
            gain -= (tau + S.ln() + v * v / S) / 2
            row.append((h, Ph / S, S, v))
            m, P = m + Ph * (v / S), P - np.outer(Ph, Ph) / S
        kept.append((*predicted, m, P))
        gains.append(gain)
        F = decimals(np.zeros((size, size)))
        F[x, x] = decimals(at(ssm.transition, t))
        F[x, w] = decimals(np.eye(dx) if ssm.process_loading is None else at(ssm.process_loading, t))
        steps.append((row, F))
        m, P = F @ m, F @ P @ F.T
        m[x] += _offset(ssm.state_offset, ssm.input_matrix, t, dx, inputs)
    r, N, means, covs = decimals(np.zeros(size)), decimals(np.zeros((size, size))), [], []
    for t in range(n - 1, -1, -1):
        row, F = steps[t]
        r, N = F.T @ r, F.T @ N @ F
        means.append(kept[t][2] + kept[t][3] @ r)
        covs.append(kept[t][3] - kept[t][3] @ N @ kept[t][3])
        for h, K, S, v in reversed(row):
            r = r + h * (v / S - K @ r)
            L = decimals(np.eye(size)) - np.outer(K, h)
            N = L.T @ N @ L + np.outer(h, h) / S
    fields = [[k[i] for k in kept] for i in range(4)]
    predicted_m, predicted_P = [a[x] for a in fields[0]] + [m[x]], [a[x, x] for a in fields[1]] + [P[x, x]]
    return Exact(
        -np.inf if contradicted else float(sum(gains)),
        floats(gains),
        floats(predicted_m),
        infinite(predicted_P),
        floats([a[x] for a in fields[2]]),
        infinite([a[x, x] for a in fields[3]]),
        floats(means[::-1]),
        infinite(covs[::-1]),
        redundant,
        contradicted,
        n_diffuse,
    )


def _offset(offset, matrix, t, size, inputs):
    out = decimals(np.zeros(size))
    out = out if offset is None else out + decimals(at(offset, t))
    return out if matrix is None else out + decimals(at(matrix, t)) @ decimals(inputs[t])


def floats(values):
    return np.array(values, dtype=object).astype(float)


def infinite(covs):
    values = np.array(covs, dtype=object)
    out = values.astype(float)
    out[values > INFINITE] = np.inf
    out[values < -INFINITE] = -np.inf
    return out
