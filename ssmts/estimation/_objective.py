"""The log-likelihood of a series as a function of parameters, with its exact gradient."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ssmts.core.gaussian import Packed, loglik, pack, score
from ssmts.core.types import Array, LinearGaussianSSM, TimeVarying
from ssmts.estimation._tangents import Tangents, numbers_of
from ssmts.estimation.effects import Effects, Regressors, solve
from ssmts.estimation.parameters import Moved, Values
from ssmts.exceptions import NumericalError

RECENT = 4  # evaluations that are kept, since a search comes back to where it stood
COVARIANCES = ("process_cov", "obs_cov", "initial_cov")


class Evaluation(NamedTuple):
    """The likelihood at some values: of what is maximised, its gradient, and the model that it belongs to."""

    loglik: float
    gradient: dict[str, Array]  # of the log-likelihood, by name, (n_entries,)
    ssm: LinearGaussianSSM
    scale: float | None  # profiled factor of all covariances
    effects: Effects | None


class Objective:
    """The log-likelihood of checked rows (n_times, n_obs), or the sum over a batch of them."""

    def __init__(
        self,
        tangents: Tangents,
        y: Array,
        inputs: npt.ArrayLike | None,
        method: str,
        profile_scale: bool,
        regressors: Regressors | None,
    ) -> None:
        self.tangents, self.y, self.inputs, self.method = tangents, y, inputs, method
        self.profile_scale, self.regressors = profile_scale, regressors
        self.n_counted = 0
        self._last: Packed | None = None

    def __call__(self, values: Values) -> Evaluation:
        """Log-likelihood and gradient; minus infinity where the model contradicts the rows."""
        ssm, slopes = self.tangents.at(values)
        effects = None
        if self.regressors is not None:
            effects = solve(ssm, self.regressors, self.y, self.inputs)
        scale = self._scale(ssm, effects) if self.profile_scale else None
        served = ssm if effects is None or self.regressors is None else self.regressors.shifted(ssm, effects.coef)
        served = served if scale is None else scaled(served, scale)
        fields = tuple(sorted({field for part in slopes.values() for field in part}))
        height, found = self._score(served, fields)
        gradient = {}
        for name in self.tangents.free:
            size = np.size(values[name])
            gradient[name] = np.zeros(size)
            for field, slope in slopes[name].items() if math.isfinite(height) else ():
                of = _as(getattr(ssm, field), getattr(found, field))
                of = of * scale if scale is not None and field in COVARIANCES else of
                if not np.all(np.isfinite(of)):
                    raise NumericalError(f"the derivative of the log-likelihood with respect to {field} is not finite.")
                gradient[name] += slope.reshape(size, -1) @ of.ravel()
        return Evaluation(height, gradient, served, scale, effects)

    def _score(self, ssm: LinearGaussianSSM, fields: tuple[str, ...]) -> tuple[float, Any]:
        self._last = packed = _packed_again(self._last, ssm)
        if fields:
            height, found = score(packed, self.y, wrt=fields, inputs=self.inputs, method=self.method)
        else:
            height, found = loglik(packed, self.y, self.inputs, self.method), None
        total = float(np.sum(height))
        if math.isnan(total):
            raise NumericalError(f"the log-likelihood is not a number, and neither is any answer. The model is {ssm}.")
        return total, found

    def _scale(self, ssm: LinearGaussianSSM, effects: Effects | None) -> float:
        """The best factor of all covariances: the mean square of the standardised innovations.

        A factor c changes the log-likelihood to -(n log c + squares / c) / 2 and a constant, and so its slope at c = 1, which
        the score gives, tells the squares.
        """
        if self.regressors is not None and effects is not None:
            ssm = self.regressors.shifted(ssm, effects.coef)
        packed = pack(ssm)
        height, found = score(packed, self.y, wrt=COVARIANCES, inputs=self.inputs)
        slope = sum(float(np.sum(numbers_of(getattr(found, f)) * numbers_of(getattr(ssm, f)))) for f in COVARIANCES)
        height = float(np.sum(height))
        if not self.n_counted:
            twice = float(np.sum(loglik(scaled(ssm, 2.0), self.y, self.inputs)))
            self.n_counted = round((twice - height - slope / 2) / (0.25 - 0.5 * math.log(2.0)))
        squares = 2 * slope + self.n_counted
        if not squares > 0:
            raise NumericalError("the model reproduces the rows exactly: there is no scale to estimate.")
        return squares / self.n_counted


def _packed_again(old: Packed | None, ssm: LinearGaussianSSM) -> Packed:
    """A packed model, from the last one where both have the same fields: what did not change is not looked at again."""
    if old is None or any((a is None) != (b is None) for a, b in zip(old.ssm, ssm)):
        return pack(ssm)
    changed = {name: field for name, field in ssm._asdict().items() if not _same(getattr(old.ssm, name), field)}
    return old.replace(**changed) if changed else old


def _same(a: Any, b: Any) -> bool:
    return a is b or (type(a) is type(b) and np.array_equal(numbers_of(a), numbers_of(b)))


def scaled(ssm: LinearGaussianSSM, factor: float) -> LinearGaussianSSM:
    """The model with all its covariances times a factor."""
    changed: dict[str, Any] = {}
    for name in COVARIANCES:
        values = factor * numbers_of(getattr(ssm, name))
        changed[name] = TimeVarying(values) if isinstance(getattr(ssm, name), TimeVarying) else values
    return ssm._replace(**changed)


def _as(field: Any, gradient: Any) -> Array:
    """The gradient of a field in its own shape, where the field has been made time-varying by an offset."""
    values = numbers_of(gradient)
    if isinstance(gradient, TimeVarying) and not isinstance(field, TimeVarying):
        return np.asarray(values.sum(axis=0))
    return values


class Posterior:
    """What a search climbs: log-likelihood plus log-densities of the priors, on the numbers that it moves.

    Where there is no likelihood the height is minus infinity; ``refusal`` keeps the words of the last error.
    """

    def __init__(self, objective: Objective, moved: Moved) -> None:
        self.objective, self.moved = objective, moved
        self.n_evaluations, self.refusal = 0, ""
        self._recent: dict[bytes, tuple[Evaluation, float, dict[str, Array], Array]] = {}

    def detail(self, numbers: Array) -> tuple[Evaluation, float, dict[str, Array], Array]:
        """The likelihood, the log prior, the gradient of their sum by name, and by number."""
        key = numbers.tobytes()
        if key not in self._recent:
            while len(self._recent) >= RECENT:
                self._recent.pop(next(iter(self._recent)))
            self._recent[key] = self._detail(numbers)
        return self._recent[key]

    def _detail(self, numbers: Array) -> tuple[Evaluation, float, dict[str, Array], Array]:
        values = self.moved.values(numbers)
        at = self.objective(values)
        self.n_evaluations += 1
        prior, gradient = 0.0, {}
        out = np.zeros(self.moved.size)
        for name in self.moved.free:
            density, slope = self.moved.parameters[name].log_prior(values[name])
            prior += density
            gradient[name] = at.gradient[name] + slope.ravel()
            out[self.moved.places[name]] = gradient[name] @ self.moved.jacobian(name, numbers)
        return at, prior, gradient, out

    def __call__(self, numbers: Array) -> tuple[float, Array]:
        """Height and gradient."""
        try:
            at, prior, _, gradient = self.detail(numbers)
        except (ArithmeticError, ValueError, np.linalg.LinAlgError) as error:
            self.refusal = str(error)
            return -np.inf, np.zeros(self.moved.size)
        height = at.loglik + prior
        if not np.isfinite(height):
            self.refusal = "the model contradicts the rows" if at.loglik == -np.inf else "a prior has no density there"
            return -np.inf, np.zeros(self.moved.size)
        return height, gradient
