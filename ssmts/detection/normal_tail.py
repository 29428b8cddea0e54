"""Tail probabilities of the normal distribution, and calibrated p-values of innovations without a logarithm in the common case.

Calibrations keep frequencies by ``log(1 + score)`` of the score -log P(|N(0, 1)| > |z|). That is one smooth function of the
size of z, the same for all sensors, so that polynomials give it where innovations usually are.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.special import log_ndtr, ndtri_exp

from ssmts.core.types import Array
from ssmts.detection.robust import kernel

REACH, PIECES, TERMS = (
    8.0,
    64,
    9,
)  # from 0 to 8 standard deviations, by 64 polynomials of degree 8: rounding is all that is left


def _polynomials() -> Array:
    """Coefficients of log(1 + score) on every piece, the highest power first, interpolated at Chebyshev's points."""
    at = np.cos(np.pi * (np.arange(TERMS) + 0.5) / TERMS)  # from -1 to 1 on every piece
    z = (np.arange(PIECES)[:, None] + 0.5 * (at + 1)) * (REACH / PIECES)
    values = np.log1p(-(np.log(2.0) + log_ndtr(-z)))
    return np.ascontiguousarray(np.linalg.solve(np.vander(at), values.T).T)


_PIECES = _polynomials()


def innovation_at(nominal: Array) -> Array:
    """The z of which ``-log P(|N(0, 1)| > z)`` has this value, 0 for less than 0."""
    found: Array = np.maximum(-ndtri_exp(-nominal - np.log(2.0)), 0.0)
    return found


@kernel
def log_erfc(x: float) -> float:
    """Logarithm of the complementary error function for x >= 0 (beyond 20 by its asymptotic series, DLMF 7.12.1)."""
    if x < 20.0:
        return math.log(math.erfc(x))
    y = 0.5 / (x * x)
    return -x * x - math.log(x * math.sqrt(math.pi)) + math.log1p(-y * (1.0 - 3.0 * y * (1.0 - 5.0 * y)))


@kernel
def log1p_score(z: float) -> float:
    """log(1 + score) of an innovation with 0 <= z < `REACH`."""
    at = z * (PIECES / REACH)
    piece = int(at)
    u = 2.0 * (at - piece) - 1.0
    total = _PIECES[piece, 0]
    for k in range(1, TERMS):
        total = total * u + _PIECES[piece, k]
    return float(total)


@kernel
def log_p_innovations(
    log_p: Array, spacing: Array, threshold: Array, log_share: Array, shape: Array, scale: Array, z: Array, out: Array
) -> None:
    """Fill `out` with the calibrated log p-value of every innovation, `log_p_value` of its score; NaN for NaN."""
    last = log_p.shape[1] - 1
    for t in range(z.shape[0]):
        for i in range(z.shape[1]):
            size = abs(z[t, i])
            at = log1p_score(size) / spacing[i] if size < REACH else np.inf
            if at <= last:
                k = min(max(int(at), 0), last - 1)
                low = log_p[i, k]
                out[t, i] = min(low + (log_p[i, k + 1] - low) * (at - k), 0.0)
            else:
                excess = -log_erfc(size / math.sqrt(2.0)) - threshold[i]
                out[t, i] = log_share[i] - math.log1p(max(shape[i] * excess / scale[i], 0.0)) / shape[i]
