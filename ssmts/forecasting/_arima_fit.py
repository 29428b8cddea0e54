"""Estimation of a seasonal ARIMA model of one series, on arrays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..components.transforms import Array, Free, Stationary, Transform
from ..core.gaussian._forward import run
from ..exceptions import InputError, TooShortError
from ._arima_likelihood import Fitted, Likelihood, constant_column
from ._arima_model import moments
from ._arima_spec import Orders
from ._arima_starts import apart, cancelling, ranked, starts
from ._arima_unit import ARIMAUnit, packed_with
from ._covariates import Covariates, decorrelate
from ._mle import Problem, better, maximise

_TINY = 1e-24  # variance, against the mean square of the rows, of a series that is reproduced exactly
_MOST_STARTS = 4  # of a kind


class Sample(NamedTuple):
    """A series with what it is regressed on."""

    likelihood: Likelihood
    covariates: Covariates | None
    has_constant: bool  # among the columns, the first


def sample_of(orders: Orders, fix: Mapping[str, float], y: Array, X: Array | None) -> Sample:
    """Collect the columns: a constant that is not given, and uncorrelated covariates as many as the rows can bear."""
    seen, n_free = ~np.isnan(y), sum(name not in fix for name in orders.names)
    has_constant = orders.constant and "constant" not in fix
    centred = has_constant or bool(orders.n_lost)
    room = int(seen.sum()) - orders.n_lost - n_free - has_constant - ("var" not in fix) - 1
    covariates = None if X is None else decorrelate(X[seen], centred, max(1, room))
    ones = constant_column(orders, len(y))
    columns = [ones] if has_constant else []
    if covariates is not None and X is not None:
        columns.append((X - covariates.center) @ covariates.rotation)
    if orders.constant and not has_constant:
        y = y - fix["constant"] * ones[:, 0]
    stack = np.hstack(columns) if columns else np.zeros((len(y), 0))
    return Sample(Likelihood(orders, y, stack, fix.get("var")), covariates, has_constant)


def fit_unit(orders: Orders, fix: Mapping[str, float], y: Array, X: Array | None) -> ARIMAUnit:
    """Estimate a unit.

    Parameters
    ----------
    orders : Orders
    fix : mapping of str to float
        Parameters with given values.
    y : array (n,)
        NaN where missing.
    X : array (n, d), optional
        Covariates.

    Raises
    ------
    TooShortError
        Fewer observed rows than parameters and differences, or rows that leave a start undetermined.
    InputError
        A given value that cannot be used.
    """
    given = _check_fixed(orders, fix)
    sample = sample_of(orders, fix, y, X)
    free = np.isnan(given)
    _check_length(orders, sample, int(free.sum()))
    values, found, converged = _estimate(sample.likelihood, given)
    constant, n_columns = float(fix.get("constant", 0.0)), 0 if X is None else X.shape[1]
    effects, errors, constant_error = np.zeros(n_columns), np.full(n_columns, np.nan), np.nan
    profiled: tuple[Array, Array, Array] | None
    if found is not None:
        profiled = found.effects, found.effects_cov, found.determined
    else:
        profiled = sample.likelihood.effects_of_exact(values)
    if profiled is not None:
        natural = _natural(orders, sample, *profiled, n_columns)
        effects, errors = natural.values[1:], natural.errors[1:]
        if sample.has_constant:
            constant, constant_error = float(natural.values[0]), float(natural.errors[0])
    variance = found.variance if found is not None else _negligible(y, fix)
    packed = packed_with(orders, tuple(values.tolist()), variance, constant)
    done = run(packed, (y if X is None else y - X @ effects)[:, None], None, None)
    if done.state.rank:
        raise TooShortError(
            f"The observed rows leave {done.state.rank} of {orders.n_lost} initial states undetermined: a season that is "
            "never observed. Use more rows or fewer differences."
        )
    loglik = found.loglik if found is not None else float(done.loglik) + 0.5 * orders.n_lost * np.log(2 * np.pi)
    return ARIMAUnit(
        orders=tuple(orders),
        coefficients=tuple(values.tolist()),
        constant=constant,
        variance=variance,
        effects=effects,
        effects_stderr=errors,
        constant_stderr=constant_error,
        free=(*free.tolist(), *([sample.has_constant] if orders.constant else []), "var" not in fix),
        n_effects=0 if sample.covariates is None else sample.covariates.rotation.shape[1],
        state=done.state,
        loglik=loglik,
        n_effective=sample.likelihood.n_effective,
        converged=converged,
    )


def _negligible(y: Array, fix: Mapping[str, float]) -> float:
    square = float(np.nanmean(y**2))
    return fix.get("var", _TINY * square if square > 0 else _TINY)


def _check_fixed(orders: Orders, fix: Mapping[str, float]) -> Array:
    """Given values of the coefficients, NaN for those to estimate."""
    known = (*orders.names, *(["constant"] if orders.constant else []), "var")
    for name in fix:
        if name not in known:
            raise InputError(f"fix names {name!r}, but the model has {', '.join(known)}.")
    if not fix.get("var", 1.0) > 0:
        raise InputError(f"fix['var'] must be greater than zero; received {fix['var']!r}.")
    given = np.array([fix.get(name, np.nan) for name in orders.names])
    if moments(orders, np.where(np.isnan(given), 0.0, given), 0, 0) is None and not np.isnan(given).any():
        raise InputError(f"fix gives {dict(fix)!r}, which is no stationary and invertible model.")
    return given


def _check_length(orders: Orders, sample: Sample, n_free: int) -> None:
    n_columns = sample.likelihood.rows.shape[1] - 1
    needed = orders.n_lost + n_free + n_columns + (sample.likelihood.variance is None)
    n = int(sample.likelihood.seen.sum())
    if n < needed + 1:
        raise TooShortError(
            f"The model loses {orders.n_lost} row(s) to differences and has {needed - orders.n_lost} parameter(s) to "
            f"estimate, so it needs {needed + 1} observed rows or more; received {n} sample{'' if n == 1 else 's'}. "
            "Use more rows or a smaller model."
        )


class _Natural(NamedTuple):
    values: Array  # constant, then covariates
    errors: Array


def _natural(orders: Orders, sample: Sample, found: Array, cov: Array, determined: Array, n_columns: int) -> _Natural:
    """Effects of the covariates as they came, and the constant at covariates of zero."""
    first = int(sample.has_constant)
    turn = np.zeros((1 + n_columns, len(found)))
    turn[0, :first] = 1.0
    known = np.ones(1 + n_columns, dtype=bool)
    if sample.covariates is not None:
        W = sample.covariates.rotation
        turn[1:, first:] = W
        known[1:] = np.abs(W @ np.linalg.pinv(W) - np.eye(len(W))).max(axis=1) < 1e-6
        if not orders.n_lost:
            turn[0, first:] = -sample.covariates.center @ W
    else:
        known[1:] = False
    size = np.abs(turn).max(axis=1, initial=0.0)
    lost = np.abs(turn @ (np.eye(len(found)) - determined)).max(axis=1, initial=0.0) > 1e-6 * size
    errors = np.sqrt(np.einsum("ij,jk,ik->i", turn, cov, turn))
    return _Natural(turn @ found, np.where(known & ~lost, errors, np.nan))


# the search ----------------------------------------------------------------------------------------------------------


class _Group(NamedTuple):
    """Coefficients that are moved together."""

    places: NDArray[np.intp]
    transform: Transform
    sign: float  # of the coefficients as an autoregression


def _groups(orders: Orders, given: Array) -> list[_Group]:
    out = []
    for (prefix, lags, _), place in zip(orders.groups, orders.places):
        places, free = np.arange(place.start, place.stop), np.isnan(given[place])
        whole = free.all() and lags == tuple(range(1, len(lags) + 1))
        if free.any():
            out.append(_Group(places[free], Stationary() if whole else Free(), 1.0 if prefix.endswith("ar") else -1.0))
    return out


def _estimate(likelihood: Likelihood, given: Array) -> tuple[Array, Fitted | None, bool]:
    """Maximum likelihood estimates, the likelihood there, and whether the search arrived."""
    orders, groups = likelihood.orders, _groups(likelihood.orders, given)
    still = np.where(np.isnan(given), 0.0, given)
    if not groups:
        found = likelihood(still)
        return still, found, found is not None
    plain = ranked(likelihood, starts(likelihood, given))
    if not plain:
        return still, None, False
    problem = _problem(likelihood, still, groups)
    best = maximise(problem, _to_free(groups, plain[0]))
    near = ranked(likelihood, cancelling(likelihood, given, _from_free(groups, still, best.free)))
    others = apart(plain, _MOST_STARTS)[1:] if orders.mixed and not near else apart(near, _MOST_STARTS)
    for trial in others:
        best = better(best, maximise(problem, _to_free(groups, trial)))
    values = _from_free(groups, still, best.free)
    return values, likelihood(values), best.converged


def _to_free(groups: list[_Group], values: Array) -> Array:
    return np.concatenate([group.transform.to_free(group.sign * values[group.places]) for group in groups])


def _from_free(groups: list[_Group], still: Array, free: Array) -> Array:
    out, at = still.copy(), 0
    for group in groups:
        k = len(group.places)
        out[group.places] = group.sign * group.transform.from_free(free[at : at + k])
        at += k
    return out


def _problem(likelihood: Likelihood, still: Array, groups: list[_Group]) -> Problem:
    orders, places = likelihood.orders, np.concatenate([group.places for group in groups])
    spectrum = _Spectrum(orders, likelihood.n_effective)

    def jacobian(free: Array) -> Array:
        out, at = np.zeros((len(places), len(places))), 0
        for group in groups:
            own = slice(at, at + len(group.places))
            out[own, own] = group.sign * group.transform.jacobian(free[own])
            at = own.stop
        return out

    def evaluate(free: Array) -> tuple[float, Array]:
        found = likelihood(_from_free(groups, still, free))
        if found is None:
            return -np.inf, np.zeros(len(free))
        return found.loglik, found.gradient[places] @ jacobian(free)

    def information(free: Array) -> Array:
        J = jacobian(free)
        every = spectrum.information(_from_free(groups, still, free))
        return np.asarray(J.T @ every[np.ix_(places, places)] @ J)

    limits = np.vstack([np.tile(group.transform.limits, (len(group.places), 1)) for group in groups])
    return Problem(evaluate, information, np.zeros(len(places), dtype=bool), limits, float(likelihood.n_effective))


class _Spectrum:
    """Expected information of the coefficients from the logarithm of the spectrum (Whittle 1953)."""

    def __init__(self, orders: Orders, n: int) -> None:
        size = min(max(512, 8 * orders.s, n), 4096)
        angles = (np.arange(size) + 0.5) * np.pi / size
        self.orders, self.n = orders, n
        lags = np.array([step * lag for _, group, step in orders.groups for lag in group])
        self.waves = np.exp(-1j * np.outer(lags, angles))

    def information(self, values: Array) -> Array:
        """Matrix (n_coefficients, n_coefficients)."""
        slopes = np.empty(self.waves.shape)
        for (prefix, _, _), place in zip(self.orders.groups, self.orders.places):
            sign = -1.0 if prefix.endswith("ar") else 1.0
            slopes[place] = -sign * -2.0 * (self.waves[place] / (1.0 + sign * values[place] @ self.waves[place])).real
        slopes = slopes - slopes.mean(axis=1, keepdims=True)
        return np.asarray(self.n / 2 * slopes @ slopes.T / slopes.shape[1])
