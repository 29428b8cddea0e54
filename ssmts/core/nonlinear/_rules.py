"""Rules for moments of a function of a Gaussian vector, and the factors that filters make of them.

Every rule hands back deviations: columns X of the state and Y of the function, with X X' the covariance of the state, Y Y' that
of the function and X Y' that between them. The unscented rule may weigh its centre negatively; what it then takes off
Y Y' stands apart. All arrays have a leading axis of series.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from math import sqrt
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.polynomial.hermite_e import hermegauss

from ssmts.core.types import Array
from ssmts.exceptions import InputError, NumericalError

MOST_POINTS = 1_000_000


class Fan(NamedTuple):
    """Moments of a function of a Gaussian vector, by deviations."""

    mean: Array  # (series, d)
    X: Array  # (series, dx, points)
    Y: Array  # (series, d, points)
    less: Array | None  # (series, d), whose square is to be taken off Y Y'

    def cov(self) -> Array:
        """Of the function."""
        cov = self.Y @ self.Y.swapaxes(-1, -2)
        return cov if self.less is None else cov - self.less[..., None] * self.less[..., None, :]


@dataclass(frozen=True)
class Taylor:
    """The function is replaced by its tangent at the mean: the extended Kalman filter.

    Parameters
    ----------
    iterations : int, default 1
        How often the observation is linearised in each update, at the best state so far: with more than one, the iterated
        extended filter, by steps of Gauss and Newton to the mode.

    References
    ----------
    Särkkä and Svensson (2023), Bayesian Filtering and Smoothing, 2nd edition, chapter 7.

    Examples
    --------
    >>> from ssmts.core.nonlinear import Taylor
    >>> Taylor(iterations=5).iterations
    5
    """

    iterations: int = 1

    def __post_init__(self) -> None:
        if isinstance(self.iterations, bool) or not isinstance(self.iterations, int) or self.iterations < 1:
            raise InputError(f"iterations is {self.iterations!r}: pass a positive integer")


@dataclass(frozen=True)
class Unscented:
    """Points at the mean and on both sides of it along the columns of the covariance's factor.

    With ``lam = alpha^2 (n_states + kappa) - n_states``, points lie at sqrt(n_states + lam) standard deviations, each with the
    weight 1 / (2 (n_states + lam)), and the centre has lam / (n_states + lam), for covariances 1 - alpha^2 + beta more. By
    default no weight is negative, and one state is treated as by `GaussHermite` with 3 points.

    Parameters
    ----------
    alpha : float, default 1
    beta : float, default 0
    kappa : float, optional
        ``max(3 - n_states, 0)`` by default.

    References
    ----------
    Julier and Uhlmann (2004), Proceedings of the IEEE 92, 401-422; Särkkä and Svensson (2023), section 8.8.

    Examples
    --------
    >>> from ssmts.core.nonlinear import Unscented
    >>> Unscented(alpha=0.5, beta=2.0).beta
    2.0
    """

    alpha: float = 1.0
    beta: float = 0.0
    kappa: float | None = None

    def points(self, n: int) -> tuple[Array, Array, Array]:
        """Unit points (k, n), their weights for means, and for covariances."""
        spread = self.alpha**2 * (n + (max(3 - n, 0) if self.kappa is None else self.kappa))
        if not spread > 0 or not np.isfinite([spread, self.beta]).all():
            raise InputError(
                f"alpha is {self.alpha!r}, beta {self.beta!r} and kappa {self.kappa!r}: beta must be finite, and "
                f"alpha^2 (n_states + kappa) positive, with {n} state(s)"
            )
        units = np.concatenate([np.zeros((1, n)), np.eye(n), -np.eye(n)]) * sqrt(spread)
        weights = np.full(2 * n + 1, 0.5 / spread)
        weights[0] = 1 - n / spread
        return units, weights, weights + (1 - self.alpha**2 + self.beta) * (np.arange(2 * n + 1) == 0)


@dataclass(frozen=True)
class Cubature:
    """The spherical rule of degree three: points at sqrt(n_states) standard deviations along every axis, all of one weight.

    References
    ----------
    Arasaratnam and Haykin (2009), IEEE Transactions on Automatic Control 54, 1254-1269.

    Examples
    --------
    >>> from ssmts.core.nonlinear import Cubature
    >>> Cubature().points(2)[0]
    array([[ 1.41421356,  0.        ],
           [ 0.        ,  1.41421356],
           [-1.41421356, -0.        ],
           [-0.        , -1.41421356]])
    """

    def points(self, n: int) -> tuple[Array, Array, Array]:
        """As `Unscented.points`."""
        weights = np.full(2 * n, 0.5 / n)
        return np.concatenate([np.eye(n), -np.eye(n)]) * sqrt(n), weights, weights


@dataclass(frozen=True)
class GaussHermite:
    """The product rule: exact for polynomials of degree 2 order - 1 in each state, with order ** n_states points.

    Parameters
    ----------
    order : int, default 5

    References
    ----------
    Ito and Xiong (2000), IEEE Transactions on Automatic Control 45, 910-927.

    Examples
    --------
    >>> from ssmts.core.nonlinear import GaussHermite
    >>> GaussHermite(3).points(1)[0].ravel().round(6)
    array([-1.732051,  0.      ,  1.732051])
    """

    order: int = 5

    def __post_init__(self) -> None:
        if isinstance(self.order, bool) or not isinstance(self.order, int) or self.order < 1:
            raise InputError(f"order is {self.order!r}: pass a positive integer")

    def points(self, n: int) -> tuple[Array, Array, Array]:
        """As `Unscented.points`."""
        if self.order**n > MOST_POINTS:
            raise InputError(
                f"order {self.order} with {n} states needs {self.order**n} points: take Cubature() or a lower order"
            )
        line, weights = hermegauss(self.order)
        units = np.stack(np.meshgrid(*[line] * n, indexing="ij"), axis=-1).reshape(-1, n)
        product = np.prod(np.meshgrid(*[weights / sqrt(2 * np.pi)] * n, indexing="ij"), axis=0).ravel()
        return units, product, product


Rule: TypeAlias = Taylor | Unscented | Cubature | GaussHermite


@lru_cache(maxsize=64)
def _points(rule: Any, n: int) -> tuple[Array, Array, Array]:
    points: tuple[Array, Array, Array] = rule.points(n)
    return points


def by_points(rule: Any, f: Callable[[Array], Array], m: Array, L: Array) -> Fan:
    """The moments of f where the state has the means m (series, dx) and a covariance with the factor L (series, dx, dx)."""
    units, weights, cov_weights = _points(rule, m.shape[-1])
    moves = units @ L.swapaxes(-1, -2)
    values = f(m[:, None, :] + moves)
    mean = weights @ values
    away = values - mean[:, None, :]
    away *= np.abs(away).max(axis=1, keepdims=True) > 1e-14 * np.abs(values).max(axis=1, keepdims=True)  # else rounding
    less = None
    if cov_weights[0] < 0:
        less = sqrt(-cov_weights[0]) * away[:, 0]
    scale = np.sqrt(np.maximum(cov_weights, 0.0))[:, None]
    return Fan(mean, (scale * moves).swapaxes(-1, -2), (scale * away).swapaxes(-1, -2), less)


def by_tangent(value: Array, slope: Array, L: Array) -> Fan:
    """The moments of a linear function with the mean `value` and the derivative `slope` (series, d, dx)."""
    return Fan(value, L, slope @ L, None)


def triangle(columns: Array) -> Array:
    """A lower triangular L with L L' = columns columns'."""
    short = columns.shape[-2] - columns.shape[-1]
    if short > 0:
        columns = np.concatenate([columns, np.zeros((*columns.shape[:-1], short))], axis=-1)
    R = np.asarray(np.linalg.qr(columns.swapaxes(-1, -2), mode="r"))
    return R.swapaxes(-1, -2)


def factor(cov: Array, name: str, t: int) -> Array:
    """A square factor of covariances, which may be singular; one that is indefinite is an error with this name."""
    scale = np.sqrt(np.maximum(np.diagonal(cov, axis1=-2, axis2=-1), 0.0))
    try:
        L = np.asarray(np.linalg.cholesky(cov))
        if (np.diagonal(L, axis1=-2, axis2=-1) > 1e-6 * scale).all():
            return L
    except np.linalg.LinAlgError:
        pass
    # Near the edge a root of rounding errors would count as 1e-8: the directions without variance are told apart.
    whole = np.where(scale > 0, scale, 1.0)
    roots, vectors = np.linalg.eigh(cov / whole[..., :, None] / whole[..., None, :])
    if not roots.min() >= -1e-10 * np.abs(roots).max():
        raise NumericalError(
            f"{name} has the eigenvalue {roots.min():.3g}, after scaling, at row {t}: covariances must be non-negative "
            "definite; if it comes from an unscented rule with a negative weight, take its default kappa, or Cubature()"
        )
    roots = np.where(roots > 1e-14 * roots.shape[-1], roots, 0.0)
    return np.asarray(scale[..., None] * vectors * np.sqrt(roots)[..., None, :])


def joint(fan: Fan, noise: Array, t: int) -> tuple[Array, Array, Array]:
    """Blocks A, B, C of the lower triangular factor [[A, 0], [B, C]] of the covariance of function plus noise, and state."""
    d = fan.Y.shape[-2]
    if fan.less is None:
        top = np.concatenate([fan.Y, np.broadcast_to(noise, (*fan.Y.shape[:-1], noise.shape[-1]))], axis=-1)
        low = np.concatenate([fan.X, np.zeros((*fan.X.shape[:-1], noise.shape[-1]))], axis=-1)
        L = triangle(np.concatenate([top, low], axis=-2))
    else:
        X, cross = fan.X, fan.Y @ fan.X.swapaxes(-1, -2)
        own = fan.cov() + noise @ noise.swapaxes(-1, -2)
        rows = [np.concatenate([own, cross], -1), np.concatenate([cross.swapaxes(-1, -2), X @ X.swapaxes(-1, -2)], -1)]
        L = triangle(factor(np.concatenate(rows, axis=-2), "the joint covariance of states before and after", t))
    return L[..., :d, :d], L[..., d:, :d], L[..., d:, d:]
