"""Maximum likelihood for the hyperparameters of a Gaussian process in linear time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize
from scipy.stats import qmc

from ..components.kernels import Kernel, Matern
from ..components.transforms import Array, Positive, Transform, Variance
from ..estimation._search import Problem, Summit, climb
from ..estimation.parameters import Moved, Parameter, Values
from ..exceptions import InputError, TooShortError
from ._covariates import decorrelate
from ._process_likelihood import EXACT, Likelihood
from ._process_model import hyperparameters, terms_of, with_values
from ._process_unit import ProcessUnit, filtered

FOLLOWED = 12  # steps up from each start, before the best is climbed
SPREAD = 16  # starting points that are tried beside the kernel's own
PROPORTIONS = 4  # the same where all length scales are given: proportions of variances are climbed from anywhere


class Sample(NamedTuple):
    """A series as the search sees it."""

    likelihood: Likelihood
    shift: float
    scale: float
    span: float  # from the first row to the last
    spacing: float  # median time between observed rows


def fit_unit(
    kernel: Kernel,
    fix: Mapping[str, float],
    constant: bool,
    n_starts: int | None,
    y: Array,
    gaps: Array | None,
    X: Array | None,
) -> ProcessUnit:
    """Estimate what `fix` leaves free, and filter the series.

    Parameters
    ----------
    kernel : Kernel
    fix : mapping of str to float
    constant : bool
        Whether there is an unknown mean.
    n_starts : int or None
        How many starting points are followed; None for `_enough`.
    y : (n_times,)
    gaps : (n_times,) or None
        Time from the row before to each row.
    X : (n_times, n_columns) or None

    Raises
    ------
    TooShortError
        Fewer observed rows than unknown values and variances.
    InputError
        An argument that cannot be used.
    """
    names = tuple(place.name for place in hyperparameters(kernel))
    _check_fixed(fix, names)
    seen = ~np.isnan(y)
    n_variances = sum(name.endswith("_var") and name not in fix for name in (*names, "obs_var"))
    needed = int(constant) + int(X is not None) + n_variances + 1
    n = int(seen.sum())
    if n < needed:
        raise TooShortError(
            f"The model has {n_variances} variance(s) to estimate{' beside a mean' if constant else ''}, so it needs {needed} observed "
            f"rows or more; received {n} sample{'' if n == 1 else 's'}. Use more rows or a smaller kernel."
        )
    covariates = None if X is None else decorrelate(X[seen], constant, max(1, n - needed))
    Z = None if X is None or covariates is None else (X - covariates.center) @ covariates.rotation
    sample = _sample(kernel, constant, y, gaps, Z)
    square = sample.scale**2
    given = {name: value / square if name.endswith("_var") else value for name, value in fix.items()}
    values, errors, converged = _estimate(sample, given, n_starts)
    units = {name: square if name.endswith("_var") else 1.0 for name in values}
    found = {name: values[name] * units[name] for name in values} | dict(fix)
    unit = ProcessUnit(
        kernel=with_values(kernel, found),
        obs_var=found["obs_var"],
        constant=constant,
        shift=sample.shift,
        covariates=covariates,
        regular=gaps is None,
        state=None,
        free=tuple(name not in fix for name in (*names, "obs_var")),
        stderr=tuple(errors.get(name, np.nan) * units[name] for name in (*names, "obs_var")),
        loglik=0.0,
        n_observed=n,
        converged=converged,
    )
    return filtered(unit, y, gaps, X)


def _check_fixed(fix: Mapping[str, float], names: tuple[str, ...]) -> None:
    for name, value in fix.items():
        if name not in names and name != "obs_var":
            raise InputError(f"fix names {name!r}; the parameters are {', '.join((*names, 'obs_var'))}.")
        if value < 0 or (value == 0 and not name.endswith("_var")):
            raise InputError(
                f"fix[{name!r}] must be positive{' or zero' if name.endswith('_var') else ''}; received {value!r}."
            )
    if len(fix) > len(names) and not any(value for name, value in fix.items() if name.endswith("_var")):
        raise InputError("fix sets every variance to zero, so that nothing is left to chance.")


def _sample(kernel: Kernel, constant: bool, y: Array, gaps: Array | None, Z: Array | None) -> Sample:
    seen = ~np.isnan(y)
    shift = float(np.mean(y[seen])) if constant else 0.0
    scale = float(np.sqrt(np.mean((y[seen] - shift) ** 2)))
    if not scale > 1e-12 * abs(shift):
        scale = abs(shift) or 1.0
    times = np.arange(len(y), dtype=float) if gaps is None else np.cumsum(gaps)
    apart = np.diff(times[seen])
    likelihood = Likelihood(
        kernel, (y - shift) / scale, None if gaps is None else np.append(gaps[1:], 0.0), constant, Z
    )
    spacing = float(np.median(apart)) if len(apart) else 1.0
    return Sample(likelihood, shift, scale, max(float(times[-1] - times[0]), spacing), spacing)


def _estimate(
    sample: Sample, given: Mapping[str, float], n_starts: int | None
) -> tuple[Values, dict[str, float], bool]:
    """Values of all parameters, standard errors of those that were free, and whether the search arrived."""
    likelihood = sample.likelihood
    free = [name for name in (*(place.name for place in likelihood.places), "obs_var") if name not in given]
    if not free:
        return dict(given), {}, True
    transforms = _transforms(sample)
    tried: list[tuple[float, Values]] = []
    scaled = not any(name.endswith("_var") and value > 0 for name, value in given.items())
    for trial in _spread(sample, free):
        values = trial | dict(given)
        factor, height = 1.0, -np.inf
        with suppress(ArithmeticError):
            factor, height = likelihood.profiled(values) if scaled else (1.0, likelihood.height(values))
        if factor < EXACT:  # no maximum; small variances let later rows move the state all the same
            return {n: v * EXACT if n in free and n.endswith("_var") else v for n, v in values.items()}, {}, False
        if np.isfinite(height):
            tried.append(
                (height, {n: v * factor if n in free and n.endswith("_var") else v for n, v in values.items()})
            )
    if not tried:
        raise InputError(
            "No likelihood is finite: the values that are fixed contradict the rows, or leave numbers of too different sizes."
        )
    tried = sorted(tried, key=lambda pair: -pair[0])[: n_starts or _enough(free)]
    if len(tried) > 1:
        tried = sorted(
            (_followed(likelihood, start, given, transforms) for _, start in tried), key=lambda pair: -pair[0]
        )
    best = _climbed(likelihood, tried[0][1], given, transforms)
    for _ in terms_of(likelihood.kernel):
        again = _reopened(sample, best[1].values(best[0].numbers), free)
        if again is None:
            break
        best = max(best, _climbed(likelihood, again, given, transforms), key=lambda end: end[0].height)
    summit, moved = best
    return moved.values(summit.numbers), _errors(moved, summit), summit.converged


def _enough(free: list[str]) -> int:
    """Starting points to follow: what took to find the best of many where it was tried."""
    n_scales = sum(name.endswith("_length_scale") for name in free)
    return (1, 5)[n_scales] if n_scales <= 1 else 6 * n_scales


def _followed(
    likelihood: Likelihood, start: Values, given: Mapping[str, float], transforms: Mapping[str, Transform]
) -> tuple[float, Values]:
    """Height and values some steps up from a start: enough to tell which hill it is on."""
    moved = Moved({name: Parameter(start[name], transforms[name]) for name in start}, given)
    problem = _problem(likelihood, moved)
    worst = 1e3 * (1 + abs(problem.function(moved.origin)[0]))

    def downhill(numbers: Array) -> tuple[float, Array]:
        height, gradient = problem.function(numbers)
        return (-height, -gradient) if np.isfinite(height) else (worst, gradient)

    done = minimize(
        downhill, moved.origin, jac=True, method="L-BFGS-B", bounds=problem.limits, options={"maxiter": FOLLOWED}
    )
    if not np.isfinite(done.x).all():
        return -np.inf, start
    return -float(done.fun), _open(moved.values(done.x), moved.free)


def _open(values: Values, free: Iterable[str]) -> Values:
    """Values to search from: variances that were lost on the way are let in again."""
    return {n: max(v, 1e-2) if n in free and n.endswith("_var") else v for n, v in values.items()}


def _climbed(
    likelihood: Likelihood, start: Values, given: Mapping[str, float], transforms: Mapping[str, Transform]
) -> tuple[Summit, Moved]:
    moved = Moved({name: Parameter(start[name], transforms[name]) for name in start}, given)
    return climb(_problem(likelihood, moved), moved.origin, "lbfgs"), moved


def _reopened(sample: Sample, values: Values, free: list[str]) -> Values | None:
    """Values to search from where a summand has vanished, but would not have with other length scales; None if there are none.

    At a variance of zero the likelihood does not depend on the length scale, but its slope in the variance does.
    """
    likelihood, first = sample.likelihood, 0
    steepest, found = 1e-2, None
    for term in terms_of(likelihood.kernel).values():
        leaves = range(first, first + len(term.leaves))
        first = leaves.stop
        own = [place for place in likelihood.places if place.leaf in leaves and place.name in free]
        variances = [place.name for place in own if place.field == "variance"]
        scales = [place.name for place in own if place.field != "variance"]
        if not variances or not scales or any(values[name] > 0 for name in variances):
            continue
        for trial in _spread(sample, free):
            moved = values | {name: trial[name] for name in scales}
            slopes = likelihood(moved)[1]
            rise = max(slopes[name] for name in variances)
            if rise > steepest:
                steepest, found = rise, moved
    return None if found is None else _open(found, free)


def _transforms(sample: Sample) -> dict[str, Transform]:
    """Length scales between what the rows can tell from noise and from a polynomial; those of a season as its harmonics can bear."""
    out: dict[str, Transform] = {"obs_var": Variance()}
    for name, leaf, field in sample.likelihood.places:
        if field == "variance":
            out[name] = Variance()
        elif isinstance(sample.likelihood.kernel.leaves[leaf], Matern):
            out[name] = Positive((np.log(sample.spacing / 20), np.log(50 * sample.span)))
        else:
            out[name] = Positive((np.log(0.1), np.log(20.0)))
    return out


def _spread(sample: Sample, free: list[str]) -> Iterator[Values]:
    """The kernel's own length scales, then others spread evenly over what is sensible; variances that add up to one."""
    kernel = sample.likelihood.kernel
    places = sample.likelihood.places
    n_terms = max(1, sum(place.field == "variance" for place in places))
    own = {p.name: 0.8 / n_terms if p.field == "variance" else getattr(kernel.leaves[p.leaf], p.field) for p in places}
    yield own | {"obs_var": 0.2}
    if len(free) == 1 and free == ["obs_var"]:
        return
    limits = _transforms(sample)
    many = SPREAD if any(name.endswith("scale") for name in free) else PROPORTIONS
    for point in qmc.Halton(len(places) + 1, scramble=False).random(many + 1)[1:]:
        trial = {}
        for place, u in zip(places, point):
            if place.field == "variance":
                trial[place.name] = 10 ** (2 * u - 1)
            elif isinstance(kernel.leaves[place.leaf], Matern):
                trial[place.name] = sample.spacing * (2 * sample.span / sample.spacing) ** u
            else:
                trial[place.name] = 0.5 * 8**u
        trial = {
            n: float(np.clip(v, *np.exp(limits[n].limits))) if n.endswith("scale") else v for n, v in trial.items()
        }
        yield trial | {"obs_var": 10 ** (3 * point[-1] - 2)}


def _problem(likelihood: Likelihood, moved: Moved) -> Problem:
    kept: dict[bytes, tuple[float, dict[str, float]]] = {}

    def at(numbers: Array) -> tuple[float, dict[str, float]]:
        key = numbers.tobytes()
        if key not in kept:
            while len(kept) > 4:
                kept.pop(next(iter(kept)))
            kept[key] = (-np.inf, dict.fromkeys(moved.parameters, 0.0))
            if np.isfinite(numbers).all():
                with suppress(ArithmeticError):
                    kept[key] = likelihood(moved.values(numbers))
        return kept[key]

    def function(numbers: Array) -> tuple[float, Array]:
        height, gradient = at(numbers)
        out = np.zeros(moved.size)
        for name in moved.free:
            out[moved.places[name]] = gradient[name] * moved.jacobian(name, numbers)[0]
        return (height, out) if np.isfinite(height) else (-np.inf, np.zeros(moved.size))

    def slopes(numbers: Array) -> Array:
        gradient, out = at(numbers)[1], np.zeros(moved.size)
        for name in moved.free:
            if isinstance(moved.parameters[name].transform, Variance):
                out[moved.places[name]] = gradient[name]
        return out

    return Problem(function, moved.limits(), moved.variances(), slopes)


def _errors(moved: Moved, summit: Summit) -> dict[str, float]:
    """Standard errors by the delta method; none on a boundary, or where the curvature is not that of a maximum."""
    try:
        root = np.linalg.cholesky(summit.curvature)
    except np.linalg.LinAlgError:
        return {}
    half = np.linalg.solve(root, np.eye(len(root)))
    inner = dict(zip(summit.moving.tolist(), np.sqrt(np.sum(half**2, axis=0)).tolist()))
    out = {}
    for name in moved.free:
        place = moved.places[name].start
        if place in inner and not moved.on_boundary(name, summit.numbers).any():
            out[name] = abs(float(moved.jacobian(name, summit.numbers)[0, 0])) * inner[place]
    return out
