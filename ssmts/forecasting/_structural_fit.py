"""Estimation of a structural model of one series, on arrays."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from ..components import Composition, Spectrum
from ..components.transforms import Array
from ..core.gaussian import pack, score
from ..exceptions import InputError, NumericalError, TooShortError
from ._covariates import Covariates, decorrelate
from ._mle import Problem, better, maximise
from ._structural_spec import Spec, components_of
from ._structural_unit import StructuralUnit, advance, model_of, model_with, rotated

EXACT = 1e-12  # the model reproduces a series if it explains all but this part of the mean square of its changes
OTHER_STARTS: tuple[dict[str, float], ...] = (  # factors on the first start
    {"obs_var": 0.05},
    {"obs_var": 20.0},
    {"level_var": 0.01, "slope_var": 0.01},
    {"damping": 0.5, "cycle_damping": 0.6},
)


class Sample(NamedTuple):
    """A series with the model it is to be fitted with."""

    model: Composition
    y: Array  # (n,) shifted and scaled
    Z: Array | None  # (n, rank) rotated covariates
    shift: float
    scale: float
    covariates: Covariates | None
    n_observed: int


def fit_unit(spec: Spec, fix: Mapping[str, float], y: Array, X: Array | None) -> StructuralUnit:
    """Estimate a unit.

    Parameters
    ----------
    spec : Spec
        The model.
    fix : mapping of str to float
        Parameters with given values, on the scale of `y`.
    y : array (n,)
        NaN where missing.
    X : array (n, d), optional
        Covariates.

    Raises
    ------
    TooShortError
        Not more observed rows than diffuse states and variances, or rows that leave a state undetermined.
    InputError
        An argument that cannot be used.
    """
    sample = sample_of(spec, y, X)
    model = sample.model
    model.check_fixed(fix)
    scales = np.where(model.is_variance, sample.scale**2, 1.0)
    free = np.array([name not in fix for name in model.parameter_names])
    given = np.array([fix.get(name, np.nan) for name in model.parameter_names], dtype=float)
    if not free.any() and not given[model.is_variance].any():
        raise InputError("fix sets every variance to zero, so that nothing is left to chance.")
    _check_length(sample, free)
    start = np.where(free, model.start, given / scales)
    found, converged = _estimate(sample, start, free) if free.any() else (start, True)
    values = np.where(free, found * scales, given)
    unit = StructuralUnit(
        components=model.components,
        parameters=tuple(values.tolist()),
        free=tuple(free.tolist()),
        shift=sample.shift,
        covariates=sample.covariates,
        state=pack(model.build(values)).start,
        loglik=0.0,
        n_observed=sample.n_observed,
        n_diffuse=0,
        converged=converged,
    )
    return _filtered(unit, y, X)


def sample_of(spec: Spec, y: Array, X: Array | None) -> Sample:
    """Shift and scale a series, rotate its covariates, and build its model."""
    observed = ~np.isnan(y)
    has_level = spec.trend != "none"
    covariates = None if X is None else decorrelate(X[observed], has_level, _room(spec, y))
    model = model_with(components_of(spec, len(y), 0 if covariates is None else covariates.rotation.shape[1]))
    shift = float(np.mean(y[observed])) if has_level and observed.any() else 0.0
    scale = size_of(y[observed] - shift, shift, has_level)
    Z = None if X is None or covariates is None else (X - covariates.center) @ covariates.rotation
    return Sample(model, (y - shift) / scale, Z, shift, scale, covariates, int(observed.sum()))


def sample_again(unit: StructuralUnit, y: Array, X: Array | None) -> Sample:
    """The rows that a unit was fitted with, as its search saw them."""
    observed = y[~np.isnan(y)] - unit.shift
    scale = size_of(observed, unit.shift)
    Z = rotated(unit, X)
    return Sample(model_of(unit), (y - unit.shift) / scale, Z, unit.shift, scale, unit.covariates, observed.size)


def size_of(observed: Array, shift: float, has_level: bool = True) -> float:
    """Root mean square of the changes from one observed row to the next; where there are none, or no level, of the rows."""
    if not has_level:
        return float(np.sqrt(np.mean(observed**2))) or 1.0
    for values in (np.diff(observed), observed, np.array([shift])):
        size = float(np.max(np.abs(values), initial=0.0))
        if size > 0:
            return size * float(np.sqrt(np.mean((values / size) ** 2)))
    return 1.0


def _room(spec: Spec, y: Array) -> int:
    """How many coefficients the observed rows can bear beside the rest of the model; at least one."""
    with_one = model_with(components_of(spec, len(y), 1))
    return max(1, int((~np.isnan(y)).sum()) - with_one.n_unknown - int(with_one.is_variance.sum()))


def _check_length(sample: Sample, free: Array) -> None:
    n_variances = int((sample.model.is_variance & free).sum())
    n_unknown = sample.model.n_unknown
    needed, n = n_unknown + n_variances + 1, sample.n_observed
    if n < needed:
        raise TooShortError(
            f"The model starts from {n_unknown} unknown value(s) and has {n_variances} variance(s) to estimate, so it "
            f"needs {needed} observed rows or more; received {n} sample{'' if n == 1 else 's'}. "
            "Use more rows or a smaller model."
        )


def _estimate(sample: Sample, start: Array, free: Array) -> tuple[Array, bool]:
    """Maximum likelihood estimates, and whether the search arrived."""
    model, likelihood = sample.model, Likelihood(sample)
    height = likelihood.height(start)
    if likelihood.squares < EXACT:
        # No maximum: the likelihood grows without bound. Small variances let later rows move the state all the same.
        return np.where(free & model.is_variance, start * EXACT, start), False
    for trial in _other_dynamics(model, start, free):
        other = likelihood.height(trial)
        start, height = (trial, other) if other > height else (start, height)
    problem = _problem(sample, likelihood, start, free)
    best = maximise(problem, model.to_free(start)[free])
    for factors in OTHER_STARTS:
        if best.converged:
            break
        other = start * np.array([factors.get(name, 1.0) for name in model.parameter_names])
        if not np.array_equal(other[free], start[free]):
            best = better(best, maximise(problem, model.to_free(other)[free]))
    for _ in model.components:
        again = _reopened(model, likelihood, _complete(model, start, free, best.free), free)
        if again is None:
            break
        best = better(best, maximise(problem, model.to_free(again)[free]))
    return _complete(model, start, free, best.free), best.converged


def _other_dynamics(model: Composition, values: Array, free: Array, vanished: bool = False) -> Iterator[Array]:
    """Values with those of one component replaced by each of its other starts; of components that have vanished only."""
    for component, own in model.parts():
        if free[own].all() and not (vanished and component.block(values[own]).initial_cov.any()):
            for other in component.other_starts:
                out = values.copy()
                out[own] = other
                yield out


def _reopened(model: Composition, likelihood: Likelihood, values: Array, free: Array) -> Array | None:
    """Values to search from where a component has vanished, but would not have with other dynamics; None if there are none.

    At a variance of zero the likelihood does not depend on the dynamics, but its slope in the variance does.
    """
    promising, steepest = None, 1e-2
    for trial in _other_dynamics(model, values, free, vanished=True):
        gone = model.is_variance & (values == 0) & (trial > 0)
        slopes = likelihood(np.where(model.is_variance, values, trial))[1]
        rise = float(np.max(np.where(gone, slopes * trial, 0.0)))
        if rise > steepest:
            promising, steepest = np.where(model.is_variance & ~gone, values, trial), rise
    return promising


def _complete(model: Composition, values: Array, free: Array, numbers: Array) -> Array:
    """All parameter values: those given, and those of the free numbers."""
    every = model.to_free(values)
    every[free] = numbers
    return np.where(free, model.from_free(every), values)


def _problem(sample: Sample, likelihood: Likelihood, values: Array, free: Array) -> Problem:
    """The likelihood as a function of the free numbers of the parameters to estimate."""
    model = sample.model
    spectrum = Spectrum(model, len(sample.y))
    n_effective = sample.n_observed - model.n_unknown

    def evaluate(numbers: Array) -> tuple[float, Array]:
        now = _complete(model, values, free, numbers)
        loglik, gradient = likelihood(now)
        return loglik, (np.where(free, gradient, 0.0) @ model.free_jacobian(model.to_free(now)))[free]

    def information(numbers: Array) -> Any:
        return spectrum.information(_complete(model, values, free, numbers), n_effective)[np.ix_(free, free)]

    return Problem(evaluate, information, model.is_variance[free], model.free_limits()[free], n_effective)


class Likelihood:
    """Log-likelihood and its gradient as a function of parameter values.

    ``squares`` is the mean square of the standardised innovations at the last values; it comes for free, because
    scaling all variances by c changes the log-likelihood by (sum of squares / c - n log c) / 2.
    """

    def __init__(self, sample: Sample) -> None:
        self.model, self.y = sample.model, sample.y[:, None]
        self.squares = np.nan
        self._n = sample.n_observed - self.model.n_unknown
        self._last: tuple[Array, tuple[float, Array]] = (np.zeros(0), (-np.inf, np.zeros(0)))
        self._packed = pack(self.model.build(self.model.start, sample.Z), len(self.y))

    def height(self, values: Array) -> float:
        """Log-likelihood at the best common factor on all variances."""
        loglik = self(values)[0]
        return loglik + self._n / 2 * (self.squares - 1 - np.log(self.squares)) if self.squares > 0 else -np.inf

    def __call__(self, values: Array) -> tuple[float, Array]:
        """Minus infinity and zeros where there is no likelihood."""
        if np.array_equal(values, self._last[0]):
            return self._last[1]
        self._last = values.copy(), self._evaluate(values)
        return self._last[1]

    def _evaluate(self, values: Array) -> tuple[float, Array]:
        matrices = self.model.matrices(values)
        try:
            loglik, slopes = score(self._packed.replace(**matrices), self.y, wrt=tuple(matrices))
        except NumericalError:
            loglik = -np.inf
        if not np.isfinite(loglik):
            return -np.inf, np.zeros(len(values))
        constant, more = self.model.constant(values)
        loglik, gradient = loglik + constant, self.model.gradient(values, slopes) + more
        variances = self.model.is_variance
        self.squares = 1 + 2 * float(values[variances] @ gradient[variances]) / self._n
        return loglik, gradient


def _filtered(unit: StructuralUnit, y: Array, X: Array | None) -> StructuralUnit:
    """The unit with the state after the training rows, and their likelihood."""
    done = advance(unit, y, X, unit.state)
    if done.state.rank:
        raise TooShortError(
            f"The observed rows leave {done.state.rank} of {unit.state.rank} initial states undetermined: a season that is "
            "never observed, or covariates that the model's own trend or season can stand in for. "
            "Use more rows or a smaller model."
        )
    model = model_of(unit)
    loglik = done.loglik + model.constant(np.array(unit.parameters))[0]
    if unit.covariates is not None:
        loglik += float(np.log(np.linalg.svd(unit.covariates.rotation, compute_uv=False)).sum())
    return unit._replace(state=done.state, loglik=loglik, n_diffuse=done.n_diffuse + model.n_vague)
