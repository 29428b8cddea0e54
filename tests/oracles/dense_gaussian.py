"""A linear Gaussian state-space model written out as one joint Gaussian: the slow, obvious twin of `ssmts.core.gaussian`.

Every state and observation is an affine function of the diffuse coefficients delta, which have an infinite variance, and of
the independent noises z (the proper part of the first state, the shocks, the observation noises). What is observed then has
the mean mu, the regressors X of delta and the covariance C, and the limit of an infinite variance is generalised least
squares, here through the bordered matrix [[C, X], [X', 0]] (universal kriging): no large number stands for infinity.
Everything but the comparison with numbers is analytic, so that a complex step through it gives derivatives to machine
precision.
"""

from typing import NamedTuple

import numpy as np

from ssmts.core.types import LinearGaussianSSM, TimeVarying


class Affine(NamedTuple):
    """mean + X delta + B z, for the entries of a vector."""

    mean: np.ndarray
    X: np.ndarray
    B: np.ndarray

    def __getitem__(self, rows):
        return Affine(self.mean[rows], self.X[rows], self.B[rows])

    def moved(self, matrix, offset):
        return Affine(matrix @ self.mean + offset, matrix @ self.X, matrix @ self.B)

    def plus(self, noise):
        return self._replace(B=self.B + noise)


class Joint(NamedTuple):
    states: Affine  # (n + 1) * dx, the last of which is the state after the last row
    observations: Affine  # n * dy
    shocks: Affine  # n * dw
    noises: Affine  # n * dy
    cov: np.ndarray  # of z


def at(field, t):
    return field.values[t] if isinstance(field, TimeVarying) else np.asarray(field)


def joint(ssm: LinearGaussianSSM, n: int, inputs=None) -> Joint:
    """Unroll the model over n rows."""
    dx, dy, dw = len(ssm.initial_mean), at(ssm.observation, 0).shape[0], at(ssm.process_cov, 0).shape[0]
    A = np.zeros((dx, 0)) if ssm.initial_diffuse_cov is None else root(np.asarray(ssm.initial_diffuse_cov))
    size = dx + n * (dw + dy)
    kind = np.result_type(*(x.values if isinstance(x, TimeVarying) else x for x in ssm if x is not None))
    cov = np.zeros((size, size), kind)
    cov[:dx, :dx] = ssm.initial_cov
    picks = np.eye(size)
    x = Affine(np.asarray(ssm.initial_mean), A, picks[:dx])
    states, seen, shocks, noises = [x], [], [], []
    for t in range(n):
        w = picks[dx + t * (dw + dy) :][:dw]
        e = picks[dx + t * (dw + dy) + dw :][:dy]
        for z, field in ((w, ssm.process_cov), (e, ssm.obs_cov)):
            where = np.flatnonzero(z.any(axis=0))
            cov[np.ix_(where, where)] = at(field, t)
        b, d = np.zeros(dx), np.zeros(dy)
        b = b if ssm.state_offset is None else b + at(ssm.state_offset, t)
        d = d if ssm.obs_offset is None else d + at(ssm.obs_offset, t)
        b = b if ssm.input_matrix is None else b + at(ssm.input_matrix, t) @ inputs[t]
        d = d if ssm.feedthrough is None else d + at(ssm.feedthrough, t) @ inputs[t]
        loading = np.eye(dx) if ssm.process_loading is None else at(ssm.process_loading, t)
        seen.append(x.moved(at(ssm.observation, t), d).plus(e))
        x = x.moved(at(ssm.transition, t), b).plus(loading @ w)
        states.append(x)
        nothing = Affine(np.zeros(dw), np.zeros((dw, A.shape[1])), w)
        shocks.append(nothing)
        noises.append(Affine(np.zeros(dy), np.zeros((dy, A.shape[1])), e))
    return Joint(*(Affine(*map(np.concatenate, zip(*part))) for part in (states, seen, shocks, noises)), cov)


def root(diffuse_cov):
    roots, vectors = np.linalg.eigh(diffuse_cov)
    keep = roots > 1e-10 * roots.max(initial=0.0)
    return vectors[:, keep] * np.sqrt(roots[keep])


def bordered(j: Joint, rows: np.ndarray):
    seen = j.observations[rows]
    d = seen.X.shape[1]
    C = seen.B @ j.cov @ seen.B.T
    return np.block([[C, seen.X], [seen.X.T, np.zeros((d, d))]])


def loglik(ssm: LinearGaussianSSM, y: np.ndarray, inputs=None):
    """The diffuse log-likelihood with Durbin and Koopman's constant; complex if the model is."""
    j = joint(ssm, len(y), inputs)
    rows = np.flatnonzero(~np.isnan(y.ravel()))
    M = bordered(j, rows)
    e = np.concatenate([y.ravel()[rows] - j.observations.mean[rows], np.zeros(len(M) - len(rows))])
    det = np.linalg.det(M)
    logdet = np.log(det if det.real > 0 else -det)
    result = -0.5 * (len(rows) * np.log(2 * np.pi) + logdet + e @ np.linalg.solve(M, e))
    return result if np.iscomplexobj(result) else float(result)


def given(j: Joint, target: Affine, y: np.ndarray, n_rows: int):
    """Mean and covariance of `target` given the first rows of y, and which of its entries these determine."""
    rows = np.flatnonzero(~np.isnan(y[:n_rows].ravel()))
    seen = j.observations[rows]
    M = bordered(j, rows)
    known = np.linalg.matrix_rank(seen.X) == seen.X.shape[1] if len(rows) else not seen.X.shape[1]
    M = np.linalg.inv(M) if known else np.linalg.pinv(M, rcond=1e-13, hermitian=True)
    c = np.hstack([target.B @ j.cov @ seen.B.T, target.X])
    e = np.concatenate([y.ravel()[rows] - seen.mean, np.zeros(seen.X.shape[1])])
    mean = target.mean + c @ M @ e
    cov = target.B @ j.cov @ target.B.T - c @ M @ c.T
    rest = target.X - target.X @ np.linalg.pinv(seen.X, rcond=1e-10) @ seen.X
    return mean, cov, np.abs(rest).max(axis=1, initial=0.0) < 1e-8


def random_model(
    rng, n, dx=3, dy=2, dw=2, varying=True, full=True, diffuse=2, inputs=0, singular=True, moves=0
) -> LinearGaussianSSM:
    """A random model with everything in it; about half of its entries are zero, and `moves` states are only handed on."""

    def draw(*shape, zeros=0.4):
        values = rng.normal(size=(n, *shape) if varying else shape)
        values[..., rng.random(shape) < zeros] = 0.0
        return TimeVarying(values) if varying else values

    def cov(size, full, rank):
        root = rng.normal(size=(n, size, rank) if varying else (size, rank))
        values = root @ np.swapaxes(root, -1, -2)
        if not full:
            values = values * np.eye(size)
        if not full and size > 1 and singular:
            values[..., 0, 0] = 0.0
        return TimeVarying(values) if varying else values

    transition = draw(dx, dx)
    values = transition.values if varying else transition
    values *= 0.6
    values += np.eye(dx) * 0.5
    moved = rng.permutation(dx)[:moves]
    values[..., moved, :] = np.eye(dx)[rng.permutation(dx)[:moves]]
    observation = draw(dy, dx, zeros=0.2)
    start = rng.normal(size=(dx, 2))
    spread = rng.normal(size=(dx, diffuse))
    return LinearGaussianSSM(
        transition,
        cov(dw, True, max(dw - singular, 1)),
        observation,
        cov(dy, full, dy),
        rng.normal(size=dx),
        start @ start.T,
        spread @ spread.T if diffuse else None,
        draw(dx),
        draw(dy),
        draw(dx, dw),
        draw(dx, inputs) if inputs else None,
        draw(dy, inputs) if inputs else None,
    )


def random_series(rng, n, dy, missing=0.3):
    """Rows with holes: some whole, some in part."""
    y = rng.normal(size=(n, dy)) * 2
    y[rng.random((n, dy)) < missing] = np.nan
    if n > 3:
        y[rng.integers(n)] = np.nan
    return y
