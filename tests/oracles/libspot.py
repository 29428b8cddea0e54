"""Fits of libspot 3.1.0 (PyPI), made once: ``Spot(q=1e-4, level=0.9, max_excess=500).fit(values(shape))``."""

import numpy as np
from scipy import stats

N = 2000

# shape of the values: excess threshold, number of excesses, gamma, sigma, and the value that is exceeded with probability 1e-4
FITS = {
    0.05: (4.859992125529878, 202, 0.03748892099406059, 2.2655509888940037, 22.75231201666082),
    0.3: (6.581358792815449, 203, 0.2936691285542641, 3.983482875584487, 96.6051833350988),
    0.7: (11.260494804684756, 204, 0.6921743212578964, 9.939494009815, 1733.1999194404457),
}


def values(shape):
    """Quantiles of a generalised Pareto distribution of scale 2 in an order without a trend; no random numbers."""
    order = (np.arange(N) * 7919) % N
    return stats.genpareto(shape, scale=2.0).ppf((np.arange(N) + 0.5) / N)[order]
