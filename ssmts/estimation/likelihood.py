"""Maximum likelihood and maximum a posteriori for any parametrisation of a linear Gaussian model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np
import numpy.typing as npt
from joblib import Parallel, delayed

from ssmts.components.transforms import Variance
from ssmts.core.types import Array, LinearGaussianSSM
from ssmts.estimation._objective import Objective, Posterior
from ssmts.estimation._search import METHODS, Problem, Summit, climb
from ssmts.estimation._tangents import Build, Derivative, Tangents
from ssmts.estimation.effects import Effects, read_regressors
from ssmts.estimation.parameters import Moved, Values, as_parameters
from ssmts.exceptions import InputError, InputTypeError, NumericalError


@dataclass(frozen=True)
class Estimate:
    """What `maximum_likelihood` returns.

    Attributes
    ----------
    params : dict
        Every parameter by name, in the shape of its start, those that were fixed among them.
    stderr : dict
        Standard errors in the same shapes: NaN for what was fixed, for what stands on a boundary (a variance of zero has no
        normal law), and throughout if the curvature at the end is not that of a maximum.
    cov : ndarray, shape (n, n)
        Covariance of the estimates by their names in ``labels``, by the delta method from the second derivatives of the
        log-likelihood (and log prior), which are differences of its exact gradient.
    labels : tuple of str
        ``"var"``, ``"ar[0]"``, ``"cov[0, 1]"`` ... : the entries of the free parameters.
    loglik : float
        Log-likelihood, without the prior.
    log_prior : float
    gradient : dict
        Of the log-likelihood plus the log prior with respect to the free parameters, in their shapes.
    boundary : tuple of str
        The labels that stand on a boundary.
    converged : bool
        Whether the curvature promises a gain below 1e-7, and no variance at zero would leave it.
    n_evaluations : int
        Likelihoods with their gradients.
    message : str
        What there is to say about the end of the search.
    ssm : LinearGaussianSSM
        The model at the estimate, with the profiled scale and effects in it.
    scale : float or None
        The profiled factor of all covariances.
    effects : Effects or None
        Profiled effects of regressors.
    """

    params: Values
    stderr: Values
    cov: Array
    labels: tuple[str, ...]
    loglik: float
    log_prior: float
    gradient: Values
    boundary: tuple[str, ...]
    converged: bool
    n_evaluations: int
    message: str
    ssm: LinearGaussianSSM
    scale: float | None = None
    effects: Effects | None = None


def maximum_likelihood(
    build: Build,
    y: npt.ArrayLike,
    parameters: Mapping[str, Any],
    inputs: npt.ArrayLike | None = None,
    *,
    fix: Mapping[str, Any] | None = None,
    derivative: Derivative | None = None,
    method: str = "lbfgs",
    n_starts: int = 1,
    random_state: int | np.random.Generator | None = None,
    profile_scale: bool = False,
    regressors: npt.ArrayLike | None = None,
    state_regressors: npt.ArrayLike | None = None,
    rung: str = "auto",
) -> Estimate:
    """Estimate the parameters of a model from a series.

    The gradient is exact: one pass gives the derivatives of the log-likelihood with respect to every system matrix, and the
    derivatives of the matrices come from `build` alone, by a complex step where it takes complex numbers and else by
    differences of the matrices, which never touch the filter.

    Parameters
    ----------
    build : callable
        From a dict of values by name to a `LinearGaussianSSM` of new arrays. ``initial_diffuse_cov`` must not depend on them.
        Where it raises a ValueError or an ArithmeticError on the way there is no likelihood; at the start that is an error.
    y : (n_times, n_obs) or (n_series, n_times, n_obs)
        A series, or a batch of independent ones that share the parameters. NaN are missing.
    parameters : mapping of str to Parameter
        Starting values, transforms and priors; a bare number or array is a start without bounds.
    inputs : (n_times, n_inputs), optional
    fix : mapping of str to value, optional
        Parameters with given values.
    derivative : callable, optional
        From values to ``{name: {field: derivative}}``, each of the shape of the parameter followed by that of the field.
    method : {"lbfgs", "trust"}, default "lbfgs"
        The search by SciPy: quasi-Newton, or a trust region with second derivatives by differences of the score, which costs
        more a step and stands more curved surfaces. Either ends with Newton's steps.
    n_starts : int, default 1
        Searches from the start and from points drawn about it; the best end is kept.
    random_state : int, Generator or None
        For the further starts.
    profile_scale : bool, default False
        Whether a common factor of all covariances is left to its best value at every step, so that one parameter less is
        searched for; leave one variance at 1 in `build`. It is ``scale`` of the result.
    regressors, state_regressors : array_like, optional
        As in `regression_effects`; their effects are left to their best values at every step. One series only.
    rung : str, default "auto"
        Which rung of the ladder runs the recursions.

    Returns
    -------
    Estimate
        With priors, the mode of the posterior density of the parameters as they are named, whatever their transforms.

    Raises
    ------
    InputError
        If arguments do not fit each other, or a search cannot start where it should: the message says why.

    References
    ----------
    Koopman and Shephard (1992), Biometrika 79, for the score.

    Examples
    --------
    The local level model of the Nile (Durbin and Koopman 2012, section 2.10):

    >>> import numpy as np
    >>> import statsmodels.datasets
    >>> from ssmts.components.transforms import Variance
    >>> from ssmts.core.types import LinearGaussianSSM
    >>> from ssmts.estimation import Parameter
    >>> nile = statsmodels.datasets.nile.load_pandas().data[["volume"]].to_numpy()
    >>> one = np.eye(1)
    >>> def level(p):
    ...     return LinearGaussianSSM(
    ...         one, p["level_var"] * one, one, p["obs_var"] * one, np.zeros(1), 0 * one, initial_diffuse_cov=one
    ...     )
    >>> start = {"obs_var": Parameter(10_000.0, Variance()), "level_var": Parameter(10_000.0, Variance())}
    >>> found = maximum_likelihood(level, nile, start)
    >>> {name: round(value) for name, value in found.params.items()}, round(found.loglik, 3)
    ({'obs_var': 15099, 'level_var': 1469}, -633.465)
    """
    if not callable(build):
        raise InputTypeError(
            f"build is of type {type(build).__name__}: pass a function from parameters to a LinearGaussianSSM."
        )
    moved = Moved(as_parameters(parameters), fix or {})
    if method not in METHODS:
        raise InputError(f"method is {method!r}: choose one of {METHODS}.")
    if isinstance(n_starts, bool) or not isinstance(n_starts, Integral) or n_starts < 1:
        raise InputError(f"n_starts must be a whole number of at least 1; received {n_starts!r}.")
    tangents = Tangents(build, moved.parameters, moved.free, moved.values(moved.origin), derivative)
    rows = np.asarray(y, dtype=float)
    if np.isnan(rows).all() and not any(one.prior for one in moved.parameters.values()):
        raise InputError(f"y has no observed value among {rows.size}; there is nothing to learn from.")
    given = None
    if regressors is not None or state_regressors is not None:
        if rows.ndim != 2:
            raise InputError(f"effects are profiled of one series (n_times, n_obs); received shape {rows.shape}.")
        ssm = tangents.model(moved.values(moved.origin))
        given = read_regressors(ssm, len(rows), regressors, state_regressors)
    posterior = Posterior(Objective(tangents, rows, inputs, rung, profile_scale, given), moved)
    _check_start(posterior)
    best: Summit | None = None
    for start in _starts(moved, int(n_starts), np.random.default_rng(random_state)):
        if not np.isfinite(posterior(start)[0]):
            continue
        found = climb(_problem(posterior), start, method)
        if best is None or (np.isfinite(found.height) and found.height > best.height + 1e-9):
            best = found
    assert best is not None
    return _report(posterior, best)


def maximum_likelihood_each(
    build: Build | Sequence[Build],
    y: Sequence[npt.ArrayLike],
    parameters: Mapping[str, Any] | Sequence[Mapping[str, Any]],
    inputs: Sequence[npt.ArrayLike | None] | None = None,
    *,
    n_jobs: int | None = None,
    **options: Any,
) -> list[Estimate]:
    """Estimate many series, each with parameters of its own, in threads.

    Parameters
    ----------
    build : callable or sequence of callable
        One for all series, or one for each.
    y : sequence of (n_times, n_obs)
        Of any lengths.
    parameters : mapping, or sequence of mappings
        One for all series, or one for each.
    inputs : sequence of (n_times, n_inputs), optional
    n_jobs : int, optional
        As in joblib.
    **options
        As in `maximum_likelihood`.

    Returns
    -------
    list of Estimate

    Raises
    ------
    InputError
        As in `maximum_likelihood`; the message names the series.

    Examples
    --------
    >>> import numpy as np
    >>> from ssmts.components.transforms import Variance
    >>> from ssmts.core.types import LinearGaussianSSM
    >>> from ssmts.estimation import Parameter
    >>> one = np.eye(1)
    >>> def white(p):
    ...     return LinearGaussianSSM(0 * one, 0 * one, one, p["var"] * one, np.zeros(1), 0 * one)
    >>> series = [np.array([[1.0], [-1.0]]), np.array([[2.0], [-2.0], [2.0]])]
    >>> [round(e.params["var"], 5) for e in maximum_likelihood_each(white, series, {"var": Parameter(2.0, Variance())})]
    [1.0, 4.0]
    """
    n = len(y)
    columns: dict[str, list[Any]] = {
        "builders": [build] * n if callable(build) else list(build),
        "parameters": [parameters] * n if isinstance(parameters, Mapping) else list(parameters),
        "inputs": [None] * n if inputs is None else list(inputs),
    }
    for name, column in columns.items():
        if len(column) != n:
            raise InputError(f"there are {n} series and {len(column)} {name}: pass one for all, or one for each.")

    def one(i: int, build: Build, start: Mapping[str, Any], given: Any) -> Estimate:
        try:
            return maximum_likelihood(build, y[i], start, given, **options)
        except (InputError, NumericalError) as error:
            raise type(error)(f"series {i}: {error}") from error

    jobs = enumerate(zip(*columns.values()))
    return list(Parallel(n_jobs, prefer="threads")(delayed(one)(i, *job) for i, job in jobs))


def _check_start(posterior: Posterior) -> None:
    at, prior = posterior.detail(posterior.moved.origin)[:2]
    for height, words in ((at.loglik, "log-likelihood"), (prior, "log-density of the priors")):
        if not np.isfinite(height):
            raise InputError(f"the {words} is {height} at the start {posterior.moved.start}: start elsewhere.")


def _starts(moved: Moved, n: int, rng: np.random.Generator) -> list[Array]:
    """The start, and points about it: variances by factors, other numbers by steps of about their size."""
    out, variances = [moved.origin], moved.variances()
    low, high = moved.limits().T
    for _ in range(n - 1):
        noise = rng.standard_normal(moved.size)
        step = np.maximum(np.abs(moved.origin), 1.0) * noise
        point = np.where(variances, moved.origin * np.exp(noise), moved.origin + step)
        out.append(np.clip(point, np.maximum(low, -1e300) * 0.9, np.minimum(high, 1e300) * 0.9))
    return out


def _problem(posterior: Posterior) -> Problem:
    moved = posterior.moved

    def slopes(numbers: Array) -> Array:
        out = np.zeros(moved.size)
        gradient = posterior.detail(numbers)[2]
        for name in moved.free:
            if isinstance(moved.parameters[name].transform, Variance):
                out[moved.places[name]] = gradient[name]
        return out

    return Problem(posterior, moved.limits(), moved.variances(), slopes)


def _report(posterior: Posterior, summit: Summit) -> Estimate:
    moved, x = posterior.moved, summit.numbers
    values = moved.values(x)
    at, prior, gradient, _ = posterior.detail(x)
    on = {name: moved.on_boundary(name, x) for name in moved.free}
    cov = _covariance(moved, summit, on)
    labels = moved.labels()
    edge = np.concatenate([np.zeros(0, dtype=bool), *on.values()])
    errors, deviations, begin = {}, np.sqrt(np.maximum(np.diagonal(cov), 0.0)), 0
    for name, value in values.items():
        if name in moved.fixed:
            errors[name] = np.full(np.shape(value), np.nan)[()]
            continue
        size = np.size(value)
        errors[name] = deviations[begin : begin + size].reshape(np.shape(value))[()]
        begin += size
    boundary = tuple(label for label, here in zip(labels, edge) if here)
    return Estimate(
        params=values,
        stderr=errors,
        cov=cov,
        labels=tuple(labels),
        loglik=at.loglik,
        log_prior=prior,
        gradient={name: gradient[name].reshape(np.shape(values[name]))[()] for name in moved.free},
        boundary=boundary,
        converged=summit.converged,
        n_evaluations=posterior.n_evaluations,
        message=_message(posterior, summit, boundary, cov),
        ssm=at.ssm,
        scale=at.scale,
        effects=at.effects,
    )


def _covariance(moved: Moved, summit: Summit, on: dict[str, npt.NDArray[np.bool_]]) -> Array:
    """The delta method, from the numbers that move to the entries of the parameters; NaN where there is no normal law."""
    sizes = {name: np.size(moved.start[name]) for name in moved.free}
    total = sum(sizes.values())
    J, begin = np.zeros((total, moved.size)), 0
    for name, size in sizes.items():
        J[begin : begin + size, moved.places[name]] = moved.jacobian(name, summit.numbers)
        begin += size
    edge = np.concatenate([np.zeros(0, dtype=bool), *on.values()])
    inner = summit.curvature
    try:
        root = np.linalg.cholesky(inner)
    except np.linalg.LinAlgError:
        return np.full((total, total), np.nan)
    half = np.linalg.solve(root, J[:, summit.moving].T)
    cov = np.asarray(half.T @ half)
    cov[edge], cov[:, edge] = np.nan, np.nan
    return cov


def _message(posterior: Posterior, summit: Summit, boundary: tuple[str, ...], cov: Array) -> str:
    parts = []
    if summit.converged:
        parts.append("a maximum" + (f", with {', '.join(boundary)} on a boundary" if boundary else ""))
    else:
        parts.append(f"no maximum was reached: the curvature promises a further gain of {summit.promised:.2g}")
        if posterior.refusal:
            parts.append(f"the search met values without a likelihood ({posterior.refusal})")
    if cov.size and np.all(np.isnan(cov)) and not boundary:
        parts.append("the curvature is not that of a maximum, so there are no standard errors")
    return "; ".join(parts)
