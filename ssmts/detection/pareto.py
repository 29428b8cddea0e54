"""Maximum likelihood of a generalised Pareto tail from a running start.

P(excess > x) = (1 + shape x / scale)^(-1 / shape). Both parameters are found at once, by Newton steps in the shape and the logarithm of
the scale that go downhill, so that a fit next to the last one costs two or three passes over the excesses. The profile that Grimshaw
(1993) searches has several roots, of which one at zero is no maximum; here nothing is searched for but lower values of the loss.
"""

from __future__ import annotations

import math

from ssmts.core.types import Array
from ssmts.detection.robust import kernel

FLATTEST = 1e-3  # least shape: exponential within 0.1 % of its logarithm, and far from the 0/0 of the limit
STEEPEST = 3.0  # largest shape
STEPS = 100


@kernel
def fit_pareto(
    excesses: Array, cut: float, n_cut: float, mean: float, precision: float, shape: float, scale: float
) -> tuple[float, float]:
    """Shape and scale of highest likelihood, from the given ones.

    Parameters
    ----------
    excesses : (n,)
        Above 0.
    cut, n_cut : float
        Besides, so many excesses of which is known only that they are larger than `cut`.
    mean, precision : float
        Of the normal prior of the shape; precision 0 for plain maximum likelihood.
    shape, scale : float
        To start from.

    Returns
    -------
    shape : float
        Between 0.001, as good as exponential, and 3.
    scale : float
    """
    shape = min(max(shape, FLATTEST), STEEPEST)
    loss, da, ds, daa, das, dss = tail_derivatives(excesses, cut, n_cut, mean, precision, shape, scale)
    n = excesses.size + n_cut
    for _ in range(STEPS):
        if not daa * dss - das * das > 1e-6 * n * n:
            # Not convex here: expected information, which is positive definite everywhere.
            daa, das = n / (1.0 + 2.0 * shape), n / ((1.0 + shape) * (1.0 + 2.0 * shape))
            dss = 2.0 * das + precision
        det = daa * dss - das * das
        step_a, step_s = (das * ds - dss * da) / det, (das * da - daa * ds) / det
        if (shape <= FLATTEST and step_s < 0.0) or (shape >= STEEPEST and step_s > 0.0):
            step_a, step_s = -da / daa, 0.0  # along the border
        room = 1.0
        if abs(step_a) > 1.0:
            room = 1.0 / abs(step_a)
        if abs(step_s) * room > 0.5:
            room = 0.5 / abs(step_s)
        improved = False
        for _ in range(30):
            to_s = min(max(shape + room * step_s, FLATTEST), STEEPEST)
            to = scale * math.exp(room * step_a)
            found = tail_derivatives(excesses, cut, n_cut, mean, precision, to_s, to)
            if found[0] < loss:
                improved = True
                break
            room *= 0.5
        if not improved:
            break
        moved = max(abs(to_s - shape), room * abs(step_a))
        shape, scale = to_s, to
        loss, da, ds, daa, das, dss = found
        if moved < 1e-5:  # a Newton step so small leaves an error of its square
            break
    return shape, scale


@kernel
def tail_derivatives(
    excesses: Array, cut: float, n_cut: float, mean: float, precision: float, s: float, scale: float
) -> tuple[float, float, float, float, float, float]:
    """Negative penalised log-likelihood, and its derivatives by a = log scale and shape s: loss, a, s, aa, as, ss."""
    n = excesses.size
    logs, w1, w2 = 0.0, 0.0, 0.0
    for x in excesses:
        logs += math.log1p(s * x / scale)
        w = x / (scale + s * x)
        w1 += w
        w2 += w * w
    up, r = 1.0 + s, 1.0 / s
    log_cut, c = math.log1p(s * cut / scale), cut / (scale + s * cut)
    loss = n * math.log(scale) + up * r * logs + n_cut * r * log_cut + 0.5 * precision * (s - mean) ** 2
    da = n - up * w1 - n_cut * c
    ds = r * (up * w1 - r * logs) + n_cut * r * (c - r * log_cut) + precision * (s - mean)
    daa = up * (w1 - s * w2) + n_cut * c * (1.0 - s * c)
    das = up * w2 - w1 + n_cut * c * c
    dss = r * (2.0 * r * (r * logs - w1) - up * w2) + n_cut * r * (2.0 * r * (r * log_cut - c) - c * c) + precision
    return loss, da, ds, daa, das, dss
