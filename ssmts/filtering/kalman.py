"""A forecaster from explicit state-space matrices, or from a function of parameters to them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from .._containers import FloatArray
from ..components.transforms import Variance
from ..core.types import LinearGaussianSSM
from ..estimation import Parameter, maximum_likelihood
from ..exceptions import InputError, InputTypeError, TooShortError
from ..forecasting._covariates import decorrelate
from ..forecasting.joint import JointForecaster, JointUnit, check_width, started


class KalmanFilter(JointForecaster):
    """Forecast with a linear Gaussian state-space model of your own.

    Parameters
    ----------
    model : LinearGaussianSSM or callable, optional
        Explicit matrices; or a function from a dict of parameters by name to them, which is estimated by maximum likelihood
        (`ssmts.estimation.maximum_likelihood`). Default: a random walk seen with noise in every column, and effects of the
        covariates, with all variances estimated.
    parameters : mapping of str to Parameter, optional
        Starting values, transforms and priors of the parameters of a function; numbers and arrays are starts without bounds.
    fix : mapping of str to value, optional
        Parameters with given values.
    method : {"lbfgs", "trust"}, default "lbfgs"
        How parameters are searched for.
    n_starts : int, default 1
        Number of searches, of which the best is kept.
    random_state : int, Generator or None
        For the further starts.
    freq : str or offset, optional
        Frequency of the rows; found from the index unless given.
    target_transform : transformer, optional
        scikit-learn transformer applied to the target, column by column; must be monotone.
    n_jobs : int, optional
        Threads over the series of a panel, as in joblib.

    Attributes
    ----------
    params_, stderr_ : dict
        Parameters and their standard errors, of a function; those of the default model are ``obs_var``, ``level_var`` and
        ``coef``.
    ssm_ : LinearGaussianSSM
        The model; of a panel, a list.
    states_ : tuple of State
        Predicted state of the next row, of each series.
    loglik_ : float
    converged_ : bool
    units_ : tuple
        Model and state of every series.

    Notes
    -----
    Several columns of ``y`` are one multivariate series, in the order of the observations of the model; covariates are its
    inputs. Row t of a `TimeVarying` belongs to row t since the first training row, so that it needs values for the rows to be
    forecast too. Each series of a panel has parameters of its own.

    Examples
    --------
    >>> import numpy as np
    >>> from ssmts import KalmanFilter
    >>> from ssmts.core.types import LinearGaussianSSM
    >>> one = np.eye(1)
    >>> level = LinearGaussianSSM(one, one, one, one, np.zeros(1), 0 * one, initial_diffuse_cov=one)
    >>> KalmanFilter(level).fit(np.array([1.0, np.nan, 4.0])).predict(2)
    array([3.25, 3.25])
    """

    def __init__(
        self,
        model: LinearGaussianSSM | Callable[[dict[str, Any]], LinearGaussianSSM] | None = None,
        parameters: Mapping[str, Any] | None = None,
        *,
        fix: Mapping[str, Any] | None = None,
        method: str = "lbfgs",
        n_starts: int = 1,
        random_state: int | np.random.Generator | None = None,
        freq: Any = None,
        target_transform: Any = None,
        n_jobs: int | None = None,
    ) -> None:
        self.model = model
        self.parameters = parameters
        self.fix = fix
        self.method = method
        self.n_starts = n_starts
        self.random_state = random_state
        self.freq = freq
        self.target_transform = target_transform
        self.n_jobs = n_jobs

    @property
    def ssm_(self) -> Any:
        """The model; of a panel, a list."""
        models = [unit.ssm for unit in self.units_]
        return models[0] if len(models) == 1 else models

    def _fit_series(self, y: FloatArray, X: FloatArray | None) -> JointUnit:
        if self.model is None:
            if self.parameters is not None:
                raise InputError("parameters belong to a model that is a function of them, and model is None.")
            return self._levels(y, X)
        if isinstance(self.model, LinearGaussianSSM):
            if self.parameters or self.fix:
                raise InputError("model is explicit, so that parameters and fix mean nothing: pass a function of them.")
            check_width(self.model, y, X)
            return started(self.model, y, X)
        if not callable(self.model):
            raise InputTypeError(
                f"model must be a LinearGaussianSSM, a function from parameters to one, or None; received {self.model!r}."
            )
        if not self.parameters:
            raise InputError("model is a function, so that it needs parameters, a mapping of names to starting values.")
        starts = {name: getattr(p, "start", p) for name, p in self.parameters.items()}
        check_width(self.model(starts | dict(self.fix or {})), y, X)
        found = maximum_likelihood(self.model, y, self.parameters, X, fix=self.fix, **self._search())
        return started(found.ssm, y, X, params=found.params, stderr=found.stderr, converged=found.converged)

    def _search(self) -> dict[str, Any]:
        return {"method": self.method, "n_starts": self.n_starts, "random_state": self.random_state}

    def _levels(self, y: FloatArray, X: FloatArray | None) -> JointUnit:
        """Random walks with noise, and effects of covariates that are profiled out."""
        p = y.shape[1]
        seen = int((~np.isnan(y)).sum(axis=0).min())
        if seen < 3:
            raise TooShortError(
                f"A level with two variances needs 3 observed rows or more in each column; received {seen} "
                f"sample{'' if seen == 1 else 's'}."
            )
        scale = np.array([_size(column[~np.isnan(column)]) for column in y.T])
        shift = np.array([column[~np.isnan(column)].mean() for column in y.T])
        complete = ~np.isnan(y).any(axis=1)
        rows = complete if complete.sum() > 3 else ~np.isnan(y).all(axis=1)
        covariates = None if X is None else decorrelate(X[rows], True, seen - 3)
        one, zero = np.eye(p), np.zeros((p, p))

        def build(params: dict[str, Any]) -> LinearGaussianSSM:
            level, noise = (np.diag(scale**2 * np.asarray(params[name])) for name in ("level_var", "obs_var"))
            return LinearGaussianSSM(
                one, level, one, noise, np.zeros(p), zero, initial_diffuse_cov=one, obs_offset=shift
            )

        start = {name: Parameter(np.full(p, 0.5), Variance()) for name in ("obs_var", "level_var")}
        regressors = None
        if X is not None and covariates is not None:
            Z = (X - covariates.center) @ covariates.rotation
            regressors = np.einsum("tk,ij->tijk", Z, one).reshape(len(X), p, -1)
        given = {
            name: np.zeros(p) + np.asarray(value, dtype=float) / scale**2 for name, value in (self.fix or {}).items()
        }
        found = maximum_likelihood(build, y, start, fix=given, regressors=regressors, **self._search())
        params, stderr = (
            {name: _plain(values * scale**2) for name, values in part.items()} for part in (found.params, found.stderr)
        )
        ssm = build(found.params)
        if X is not None:
            coef, center = np.zeros((p, X.shape[1])), np.zeros(X.shape[1])
            if found.effects is not None and covariates is not None:
                coef, center = found.effects.coef.reshape(p, -1) @ covariates.rotation.T, covariates.center
            ssm = ssm._replace(feedthrough=coef, obs_offset=shift - coef @ center)
            params["coef"] = coef if p > 1 else coef[0]
        return started(ssm, y, X, params=params, stderr=stderr, converged=found.converged)


def _size(observed: FloatArray) -> float:
    """Root mean square of the changes from one observed row to the next, or of the rows, or 1."""
    for values in (np.diff(observed), observed):
        size = float(np.sqrt(np.mean(values**2))) if values.size else 0.0
        if size > 0:
            return size
    return 1.0


def _plain(values: FloatArray) -> Any:
    """A number, where there is one column only."""
    return float(values[0]) if values.size == 1 else values
