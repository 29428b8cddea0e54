"""The exact likelihood of a seasonal ARIMA model with regressors, maximised over their effects and the noise variance.

Effects and, unless it is given, the variance are profiled out: generalised least squares on whitened rows. The gradient in the
other parameters is then that of the likelihood with effects and variance held (envelope theorem). A complete series is
differenced and whitened by the Schur recursion; else, or where that loses digits, the filter of the undifferenced series with
its exact diffuse start does it. The log-likelihood counts no log 2 pi for the rows that the differences cost, which makes the
two agree, and agree with that of the differenced series.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from scipy.signal import lfilter

from ..components.transforms import Array
from ..core.gaussian import Packed, filter, pack, score
from ..core.gaussian._kernels.arma import whiten
from ..core.gaussian._kernels.recursion import CLEAR, likelihood_adjoint
from ..core.types import FilterResult, State
from ..exceptions import NumericalError
from ._arima_model import Moments, matrices, moments, n_states, pull_back
from ._arima_spec import Orders

_LOG_2PI = float(np.log(2 * np.pi))
_CHUNK = 2_000_000  # numbers of one field of a filter result that are held at a time
EXACT = 1e-20  # mean square of the innovations, against that of the rows, from which on a series is reproduced exactly


class Fitted(NamedTuple):
    """The likelihood at some coefficients, and what was profiled out."""

    loglik: float
    gradient: Array  # in the coefficients of the polynomials
    effects: Array  # (n_columns,)
    effects_cov: Array  # (n_columns, n_columns)
    determined: Array  # (n_columns, n_columns) projector on what of the effects the rows determine
    variance: float


class Likelihood:
    """Profile log-likelihood of a series and columns that it is regressed on.

    Parameters
    ----------
    orders : Orders
    y : array (n,)
        NaN where missing.
    columns : array (n, k)
        Regressors; of a constant, `constant_column`.
    variance : float, optional
        Given variance of the noise; profiled out if left out.
    """

    def __init__(self, orders: Orders, y: Array, columns: Array, variance: float | None = None) -> None:
        self.orders, self.variance = orders, variance
        self.rows = np.column_stack([y, columns])
        self.seen = ~np.isnan(y)
        self.n_effective = int(self.seen.sum()) - orders.n_lost
        self._complete = bool(self.seen.all())
        self._last: tuple[Array, Fitted | None] = (np.full(len(orders.names) + 1, np.nan), None)
        if self._complete:
            self._differenced = difference(orders, self.rows)

    def __call__(self, values: Array) -> Fitted | None:
        """None where there is no likelihood: not stationary, not invertible, or the series is reproduced exactly."""
        if not np.array_equal(values, self._last[0]):
            self._last = values.copy(), self._evaluate(values)
        return self._last[1]

    def _evaluate(self, values: Array) -> Fitted | None:
        if self._complete:
            phi, theta = self.orders.polynomials(np.zeros(len(values)))
            m = moments(self.orders, values, max(len(phi), len(theta)), 0)
            if m is None:
                return None
            white = self._differenced.copy()
            logs, sound = whiten(white, m.phi, m.g, CLEAR)
            if sound:
                return self._profiled(m, white, logs, None)
        r = n_states(self.orders)
        m = moments(self.orders, values, r, r)
        return None if m is None else self._filtered(m)

    def _filtered(self, m: Moments) -> Fitted | None:
        packed = pack(matrices(self.orders, m, 1.0, 0.0))
        try:
            white, logs = self._whitened(packed)
        except NumericalError:
            return None
        return self._profiled(m, white, logs, packed)

    def _whitened(self, packed: Packed) -> tuple[Array, float]:
        found = [whitened(packed, np.where(self.seen, column, np.nan)) for column in self.rows.T]
        return np.column_stack([column for column, _ in found]), found[0][1]

    def effects_of_exact(self, values: Array) -> tuple[Array, Array, Array] | None:
        """Effects of a series that the columns reproduce exactly, their covariance (zero), and the projector of `Fitted`."""
        r = n_states(self.orders)
        m = moments(self.orders, values, r, r)
        if m is None:
            return None
        white = self._whitened(pack(matrices(self.orders, m, 1.0, 0.0)))[0]
        effects, cov, determined = _least_squares(white[:, 1:], white[:, 0])
        return effects, np.zeros_like(cov), determined

    def _profiled(self, m: Moments, white: Array, logs: float, packed: Packed | None) -> Fitted | None:
        n = self.n_effective
        effects, cov, determined = _least_squares(white[:, 1:], white[:, 0])
        rest = white[:, 0] - white[:, 1:] @ effects
        squares = float(rest @ rest)
        variance = self.variance if self.variance is not None else squares / n
        if not variance > EXACT * float(white[:, 0] @ white[:, 0]) / n or not np.isfinite(logs):
            return None
        loglik = -0.5 * (n * (_LOG_2PI + np.log(variance)) + logs + squares / variance)
        gradient = self._gradient(m, effects, variance, packed)
        return (
            None if gradient is None else Fitted(float(loglik), gradient, effects, variance * cov, determined, variance)
        )

    def _gradient(self, m: Moments, effects: Array, variance: float, packed: Packed | None) -> Array | None:
        root = np.sqrt(variance)
        if packed is not None:
            rest = (self.rows[:, 0] - self.rows[:, 1:] @ effects) / root
            return pull_back(m, score(packed, rest[:, None], ("transition", "process_loading", "initial_cov"))[1])
        rest = (self._differenced[:, 0] - self._differenced[:, 1:] @ effects) / root
        turn, slope = np.empty(len(m.phi)), np.empty(len(m.g))
        n, q = len(rest), len(m.g) - 1
        room = np.empty((n, q)), np.empty((n, q)), np.empty((n, 4))
        if not likelihood_adjoint(rest, 0.0, m.phi, m.g, CLEAR, turn, slope, *room)[2]:
            return None
        return np.asarray(m.slopes[0] @ turn + m.slopes[1] @ slope)


def _least_squares(X: Array, y: Array) -> tuple[Array, Array, Array]:
    """Smallest coefficients that fit best, their covariance under unit noise, and the projector on what is determined."""
    size = np.sqrt(np.einsum("ij,ij->j", X, X))
    size = np.where(size > 0, size, 1.0)
    left, roots, right = np.linalg.svd(X / size, full_matrices=False)
    keep = roots > 1e-9 * roots.max(initial=0.0)
    inverse = right[keep].T / roots[keep] / size[:, None]
    determined = (right[keep].T @ right[keep]) * size / size[:, None]
    return inverse @ (left[:, keep].T @ y), inverse @ inverse.T, determined


def difference(orders: Orders, rows: Array) -> Array:
    """Differences (n - d, k) of the columns of rows (n, k), as a new array."""
    n, c = len(rows) - orders.n_lost, orders.differences
    out = np.zeros((max(n, 0), rows.shape[1]))
    for lag in np.flatnonzero(c):
        out += c[lag] * rows[orders.n_lost - lag :][: len(out)]
    return out


def constant_column(orders: Orders, n: int) -> Array:
    """The column (n, 1) whose differences are one."""
    if not orders.n_lost:
        return np.ones((n, 1))
    return (
        np.asarray(lfilter([1.0], orders.differences, np.append(0.0, np.ones(n - 1))))[:, None]
        if n
        else np.ones((0, 1))
    )


def passes(packed: Packed, y: Array, state: State | None = None) -> Iterator[FilterResult]:
    """Filter rows, a bounded number of them at a time; from the start, or from a state on."""
    state = packed.start if state is None else state
    length = max(1, _CHUNK // len(state.mean) ** 2)
    for begin in range(0, len(y), length):
        done = filter(packed, y[begin : begin + length, None], state=state)
        state = done.state
        yield done


def whitened(packed: Packed, y: Array) -> tuple[Array, float]:
    """Standardised innovations of the observed rows that the diffuse start does not absorb, and twice minus log-likelihood
    less their squares and log 2 pi.
    """
    white, loglik, start = [], 0.0, 0
    for done in passes(packed, y):
        v, S = done.innovations[:, 0], done.innovation_cov[:, 0, 0]
        use = ~np.isnan(v) & np.isfinite(S) & (S > 0)
        white.append(v[use] / np.sqrt(S[use]))
        loglik += float(done.loglik)
        start += done.n_diffuse
    out = np.concatenate(white)
    return out, -2.0 * loglik - float(out @ out) - (len(out) + start) * _LOG_2PI
