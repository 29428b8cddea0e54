"""Dynamic factor models as state-space models: parameters to matrices, and what each column is a sum of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from .._containers import FloatArray
from ..core.types import LinearGaussianSSM
from ..exceptions import NumericalError
from ._var import _settled

LIMIT = 0.999  # of the size of an idiosyncratic autoregression


class FactorParams(NamedTuple):
    """Parameters of a dynamic factor model of n_outputs columns and n_factors factors.

    A column is ``sum_k weights[k] (loadings @ f[t-k] + u[t-k]) + mean sum(weights) + exog @ X[t]`` with factors
    ``f[t] = ar[0] @ f[t-1] + ... + N(0, cov)`` and ``u[t] = idio_ar u[t-1] + N(0, idio_var)``.
    """

    loadings: FloatArray  # (n_outputs, n_factors)
    ar: FloatArray  # (order, n_factors, n_factors)
    cov: FloatArray  # (n_factors, n_factors)
    idio_ar: FloatArray  # (n_outputs,)
    idio_var: FloatArray  # (n_outputs,)
    mean: FloatArray  # (n_outputs,) of a row of the index, whatever the column adds up
    exog: FloatArray  # (n_outputs, n_features)
    weights: FloatArray  # (n_outputs, n_weights), zero where a column has fewer

    @property
    def level(self) -> FloatArray:
        """The mean of each column."""
        return np.asarray(self.mean * self.weights.sum(axis=1))

    def scaled(self, size: FloatArray, shift: FloatArray) -> FactorParams:
        """The parameters of columns in units that are `size` times smaller, and `shift` (per row of the index) further up."""
        return self._replace(
            loadings=self.loadings * size[:, None],
            idio_var=self.idio_var * size**2,
            mean=self.mean * size + shift,
            exog=self.exog * size[:, None],
        )


class Layout(NamedTuple):
    """Where the states stand: lags of the factors, newest first, then lags of the idiosyncratic part of some columns."""

    n_factors: int
    lags: int
    columns: tuple[int, ...]  # that have states of their own
    places: tuple[slice, ...]  # of each of these

    @property
    def size(self) -> int:
        """Number of states."""
        return self.places[-1].stop if self.places else self.n_factors * self.lags

    def factors(self, lag: int) -> slice:
        """The factors of so many rows ago."""
        return slice(lag * self.n_factors, (lag + 1) * self.n_factors)


def widths(weights: FloatArray) -> np.ndarray[Any, np.dtype[np.intp]]:
    """How many rows each column is a sum of."""
    return np.asarray(weights.shape[1] - np.argmax(weights[:, ::-1] != 0, axis=1))


def lay_out(n_factors: int, lags: int, own: Mapping[int, int]) -> Layout:
    """The layout with so many lags of factors, and of some columns.

    Parameters
    ----------
    n_factors, lags : int
    own : mapping of int to int
        Lags of the idiosyncratic part of a column.
    """
    begin, places = n_factors * lags, []
    for width in own.values():
        places.append(slice(begin, begin + width))
        begin += width
    return Layout(n_factors, lags, tuple(own), tuple(places))


def layout_of(p: FactorParams, autoregressive: bool) -> Layout:
    """The states of `model_of`.

    Parameters
    ----------
    p : FactorParams
    autoregressive : bool
    """
    n, k = p.loadings.shape
    wide = widths(p.weights)
    own = {i: int(wide[i]) for i in range(n) if autoregressive or wide[i] > 1}
    return lay_out(k, max(len(p.ar), int(wide.max()), 1), own)


def model_of(p: FactorParams, autoregressive: bool) -> LinearGaussianSSM:
    """The model of all columns as they are, complex if the parameters are.

    Columns whose idiosyncratic part has a memory, of its own or by what they add up, have states for it and no noise.

    Parameters
    ----------
    p : FactorParams
    autoregressive : bool
        Whether the idiosyncratic parts are autoregressions.
    """
    n, wide, layout = len(p.loadings), widths(p.weights), layout_of(p, autoregressive)
    states = transitions(p, layout)
    kind = np.result_type(p.loadings, p.ar, p.idio_ar, p.idio_var)
    H, R = np.zeros((n, layout.size), kind), np.zeros((n, n), kind)
    for lag in range(p.weights.shape[1]):
        H[:, layout.factors(lag)] += p.weights[:, lag, None] * p.loadings if lag < layout.lags else 0.0
    for i, place in zip(layout.columns, layout.places):
        H[i, place] = p.weights[i, : wide[i]]
    rest = np.setdiff1d(np.arange(n), layout.columns)
    R[rest, rest] = p.idio_var[rest]
    feedthrough = p.exog if p.exog.shape[1] else None
    return states._replace(observation=H, obs_cov=R, obs_offset=p.level, feedthrough=feedthrough)


def transitions(p: FactorParams, layout: Layout) -> LinearGaussianSSM:
    """The states of a model, from their stationary law, without observations.

    Parameters
    ----------
    p : FactorParams
    layout : Layout
    """
    k, lags, size = layout.n_factors, layout.lags, layout.size
    kind = np.result_type(p.ar, p.cov, p.idio_ar, p.idio_var)
    F, P = np.zeros((size, size), kind), np.zeros((size, size), kind)
    shocks = k + len(layout.columns)
    G, Q = np.zeros((size, shocks)), np.zeros((shocks, shocks), kind)
    if len(p.ar):
        F[:k, : k * len(p.ar)] = np.concatenate(list(p.ar), axis=1)
    F[k : k * lags, : k * (lags - 1)] = np.eye(k * (lags - 1))
    G[:k, :k], Q[:k, :k] = np.eye(k), p.cov
    top = slice(0, k * lags)
    V = np.zeros((k * lags, k * lags), kind)
    V[:k, :k] = p.cov
    P[top, top] = _settled(F[top, top], V[None])[0]
    for j, (i, place) in enumerate(zip(layout.columns, layout.places)):
        width = place.stop - place.start
        psi, variance = p.idio_ar[i], p.idio_var[i]
        if not abs(psi) < 1:
            raise NumericalError("an idiosyncratic autoregression is not stationary.")
        F[place, place] = np.eye(width, k=-1)
        F[place.start, place.start] = psi
        G[place.start, k + j], Q[k + j, k + j] = 1.0, variance
        apart = np.abs(np.subtract.outer(np.arange(width), np.arange(width)))
        P[place, place] = psi**apart * variance / (1 - psi * psi)
    none = np.zeros((0, size))
    return LinearGaussianSSM(F, Q, none, np.zeros((0, 0)), np.zeros(size), P, process_loading=G)
