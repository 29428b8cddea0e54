"""A filter on a grid of a single state: the slow, obvious twin of approximate filters, exact as the grid becomes dense."""

import numpy as np
from scipy.special import logsumexp


def grid_filter(y, grid, log_prior, log_move, log_seen):
    """Log-likelihood and filtered means of a series.

    `log_prior` (k,) are log-densities on the grid, `log_move(t)` (k, k) those of going from line to column after row t, and
    `log_seen(t)` (k,) those of y[t]; both are zero where there is nothing to say.
    """
    width = np.log(grid[1] - grid[0])
    log_p, total, means = log_prior + width, 0.0, []
    for t in range(len(y)):
        joint = log_p + log_seen(t)
        total += logsumexp(joint)
        log_p = joint - logsumexp(joint)
        means.append(np.exp(log_p) @ grid)
        log_p = np.log(np.exp(log_p) @ np.exp(log_move(t)) + 1e-300) + width
    return total, np.array(means)
