"""A linear Gaussian state-space model in 160 decimal digits: the twin of `ssmts.core.gaussian` that loses none.

The textbook filter and smoother, one scalar observation at a time, with a variance of 1e40 for what is diffuse. What the
numbers of a model leave open in doubles is open here too: a variance below 1e-24 of its line is zero, and so is a
variance of independent noise below 1e-13 of its own. The diffuse factor is an argument, as a matrix of doubles of low rank
has none of its own.
"""

from decimal import Decimal, localcontext
from typing import NamedTuple

import numpy as np

from ssmts.core.types import LinearGaussianSSM, TimeVarying

DIGITS, LARGE = 160, Decimal(10) ** 40
ZERO, NOISELESS, INFINITE, STEP = Decimal("1e-24"), Decimal("1e-13"), Decimal(10) ** 22, Decimal("1e-30")
exactly = np.frompyfunc(Decimal, 1, 1)
TWO_PI = Decimal("6.283185307179586476925286766559005768394338798750")


class Precise(NamedTuple):
    """In doubles, infinite where the diffuse part is not resolved; axes as in the engine's results."""

    loglik: float
    predicted_mean: np.ndarray
    predicted_cov: np.ndarray
    filtered_mean: np.ndarray
    filtered_cov: np.ndarray
    smoothed_mean: np.ndarray
    smoothed_cov: np.ndarray


def matrices(ssm: LinearGaussianSSM, n: int) -> dict[str, list]:
    """Every field in decimals for every row, zero where the model has none."""
    dx, dw = len(ssm.initial_mean), np.shape(getattr(ssm.process_cov, "values", ssm.process_cov))[-1]
    dy = np.shape(getattr(ssm.observation, "values", ssm.observation))[-2]
    nothing = {
        "state_offset": np.zeros(dx),
        "obs_offset": np.zeros(dy),
        "process_loading": np.eye(dx, dw),
        "input_matrix": np.zeros((dx, 0)),
        "feedthrough": np.zeros((dy, 0)),
        "initial_diffuse_cov": np.zeros((dx, dx)),
    }
    found = {}
    for name, field in ssm._asdict().items():
        field = nothing[name] if field is None else field
        varying = isinstance(field, TimeVarying)
        values = exactly(field.values if varying else np.asarray(field, float))
        found[name] = [values[t if varying else 0] if varying else values for t in range(max(n, 1))]
    return found


def independent(R, H, y):
    """Lines of observations with independent noises, largest variance first: (y, h, r) for each that is seen."""
    seen = [i for i in range(len(y)) if y[i] is not None]
    R, H, y = R[np.ix_(seen, seen)].copy(), H[seen].copy(), [y[i] for i in seen]
    first, left, lines = np.diagonal(R).copy(), list(range(len(seen))), []
    while left:
        i = max(left, key=lambda i: R[i, i] / first[i] if first[i] else Decimal(0))
        left.remove(i)
        r = R[i, i] if first[i] and R[i, i] > NOISELESS * first[i] else Decimal(0)
        lines.append((y[i], H[i], r))
        if r:
            c = R[:, i] / r
            R = R - np.outer(c, R[i])
            for j in left:
                H[j], y[j] = H[j] - c[j] * H[i], y[j] - c[j] * y[i]
    return lines


def forward(model, y, inputs, factor):
    """Log-likelihood, predicted and filtered moments, and for each row its lines (h, v, s, gain)."""
    m, P = model["initial_mean"][0].copy(), model["initial_cov"][0].copy()
    A = exactly(factor)
    if A.shape[1]:
        P = P + LARGE * (A @ A.T)
    total, kept = Decimal(0), []
    for t in range(len(y)):
        before, rows = (m, P), []
        u = exactly(inputs[t]) if inputs is not None else None
        d = model["obs_offset"][t] + (model["feedthrough"][t] @ u if u is not None and u.size else 0)
        e = [None if np.isnan(x) else Decimal(float(x)) - d[i] for i, x in enumerate(y[t])]
        for value, h, r in independent(model["obs_cov"][t], model["observation"][t], e):
            M = P @ h
            s, v = h @ M + r, value - h @ m
            if s <= ZERO * (r + h @ h):
                continue
            k = M / s
            total -= ((TWO_PI * s).ln() + v * v / s) / 2
            m, P = m + k * v, P - np.outer(k, M)
            rows.append((h, v, s, k))
        F, G = model["transition"][t], model["process_loading"][t]
        b = model["state_offset"][t] + (model["input_matrix"][t] @ u if u is not None and u.size else 0)
        kept.append((before, (m, P), rows))
        m, P = F @ m + b, F @ P @ F.T + G @ model["process_cov"][t] @ G.T
        P = (P + P.T) / 2
    return total, kept, (m, P)


def run(ssm: LinearGaussianSSM, y, factor, inputs=None) -> Precise:
    """Filter and smooth a series."""
    with localcontext() as context:
        context.prec = DIGITS
        model, n = matrices(ssm, len(y)), len(y)
        total, kept, last = forward(model, y, inputs, factor)
        dx = len(ssm.initial_mean)
        r, N = exactly(np.zeros(dx)), exactly(np.zeros((dx, dx)))
        smoothed = []
        for t in range(n - 1, -1, -1):
            F = model["transition"][t]
            r, N = F.T @ r, F.T @ N @ F
            for h, v, s, k in reversed(kept[t][2]):
                L = exactly(np.eye(dx)) - np.outer(k, h)
                r, N = h * (v / s) + L.T @ r, np.outer(h, h) / s + L.T @ N @ L
            m, P = kept[t][0]
            smoothed.append((m + P @ r, P - P @ N @ P))
        total += sum(s > INFINITE for _, _, rows in kept for _, _, s, _ in rows) * LARGE.ln() / 2
        parts = zip(*([k[0] for k in kept] + [last])), zip(*[k[1] for k in kept]), zip(*smoothed[::-1])
        arrays = [np.array([_doubles(x) for x in xs]) for pair in parts for xs in pair]
    return Precise(float(total), *arrays)


def derivative(ssm: LinearGaussianSSM, y, factor, name, change, inputs=None):
    """Of the log-likelihood, where the values of the field `name` move by `change`."""
    with localcontext() as context:
        context.prec = DIGITS
        model = matrices(ssm, len(y))
        first = forward(model, y, inputs, factor)[0]
        change, varying = exactly(change), isinstance(getattr(ssm, name), TimeVarying)
        model[name] = [x + STEP * (change[t] if varying else change) for t, x in enumerate(model[name])]
        return float((forward(model, y, inputs, factor)[0] - first) / STEP)


def _doubles(values):
    return np.array(
        [float("inf") * (1 if x > 0 else -1) if abs(x) > INFINITE else float(x) for x in values.ravel()]
    ).reshape(values.shape)
