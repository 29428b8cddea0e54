"""Diffuse likelihoods of complete univariate series in long double, by routes that meet no ill-conditioned diffuse start."""

import numpy as np

LONG = np.longdouble


def augmented(F, V, H, r, A, y):
    """De Jong's augmented filter: from a known state for y and for every diffuse column, then least squares.

    F (n, n), V (n, n), H (n,), r float, A (n, d) diffuse factor, y (n_times,); the prior is diffuse or known.
    """
    F, V, H, A, y = (np.asarray(x, LONG) for x in (F, V, H, A, y))
    n, d = A.shape
    P, E = np.zeros((n, n), LONG), np.hstack([np.zeros((n, 1), LONG), -A])  # of y and of the columns
    Q = np.zeros((d + 1, d + 1), LONG)
    log_det = LONG(0)
    for value in y:
        e = -(H @ E)
        e[0] += value
        M = P @ H
        S = H @ M + LONG(r)
        Q += np.outer(e, e) / S
        log_det += np.log(S)
        E = F @ (E + np.outer(M, e) / S)
        P = F @ (P - np.outer(M, M) / S) @ F.T + V
    return _least_squares(Q[1:, 1:], Q[1:, 0], Q[0, 0], log_det, len(y))


def dense(F, V, H, r, A, y):
    """The joint covariance written out, factorised column by column."""
    F, V, H, A, y = (np.asarray(x, LONG) for x in (F, V, H, A, y))
    n = len(y)
    rows, covs, P, X, power = [], np.zeros((n, n), LONG), np.zeros_like(F), np.empty((n, A.shape[1]), LONG), A
    states = []
    for t in range(n):
        X[t] = H @ power
        states.append(P)
        P, power = F @ P @ F.T + V, F @ power
    for t in range(n):
        back = states[t] @ H  # Cov(x[t + k], y[t]) is F^k of this
        for k in range(n - t):
            covs[t, t + k] = covs[t + k, t] = H @ back
            back = F @ back
    covs[np.arange(n), np.arange(n)] += LONG(r)
    rows = np.hstack([X, y[:, None]])
    log_det = LONG(0)
    for j in range(n):  # L^-1 applied to rows while L is found
        pivot = np.sqrt(covs[j, j])
        log_det += 2 * np.log(pivot)
        column = covs[j + 1 :, j] / pivot
        covs[j + 1 :, j + 1 :] -= np.outer(column, column)
        rows[j] /= pivot
        rows[j + 1 :] -= np.outer(column, rows[j])
    Q = rows.T @ rows
    return _least_squares(Q[:-1, :-1], Q[:-1, -1], Q[-1, -1], log_det, n)


def _least_squares(normal, cross, square, log_det, n):
    d = len(normal)
    M = np.hstack([normal, cross[:, None]])
    for j in range(d):
        log_det += np.log(M[j, j])
        square -= M[j, d] ** 2 / M[j, j]
        M[j + 1 :] -= np.outer(M[j + 1 :, j] / M[j, j], M[j])
    return float(-(n * np.log(2 * LONG(np.pi)) + log_det + square) / 2)
