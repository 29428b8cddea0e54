"""Vector autoregressions."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from .._containers import FloatArray
from ..components.transforms import Covariance, Variance
from ..core.gaussian import impulse_responses
from ..estimation import Estimate, Parameter, maximum_likelihood
from ..exceptions import InputError, TooShortError
from ._arguments import choice, whole
from ._var import Coefficients, interpolated, least_squares, model_of, stationary_model, stationary_slopes
from .joint import JointForecaster, JointUnit, started

LIKELIHOODS = ("auto", "conditional", "exact")


class VARForecaster(JointForecaster):
    """A vector autoregression: every column depends on the past of all.

    ``y[t] = const + coef[0] @ y[t-1] + ... + coef[lags-1] @ y[t-lags] + exog @ X[t] + e[t],  e[t] ~ N(0, cov)``

    Parameters
    ----------
    lags : int, default 1
        Order of the autoregression.
    constant : bool, default True
        Whether there is an intercept in every equation.
    cov : {"full", "diagonal"}, default "full"
        Whether the errors of the columns may be correlated.
    likelihood : {"auto", "conditional", "exact"}, default "auto"
        "conditional" on the first ``lags`` rows, whose maximum is least squares; it needs complete rows, and takes columns
        that wander without limit. "exact": of all rows, of a stationary process that has always been running, with missing
        values anywhere; a numerical search, for up to about a hundred coefficients. "auto": the former for complete rows,
        the latter for others.
    freq : str or offset, optional
        Frequency of the rows; found from the index unless given.
    target_transform : transformer, optional
        scikit-learn transformer applied to the target, column by column; must be monotone.
    n_jobs : int, optional
        Threads over the series of a panel, as in joblib.

    Attributes
    ----------
    params_, stderr_ : dict
        ``coef`` (lags, n_outputs, n_outputs), ``const`` (n_outputs,), ``exog`` (n_outputs, n_features) as far as there are any,
        and ``cov`` (n_outputs, n_outputs), of which least squares give no standard error. Of the exact likelihood the mean
        ``mean`` (n_outputs,) is estimated, and ``const`` follows from it.
    loglik_ : float
        The likelihood that was maximised.
    converged_ : bool
    states_ : tuple of State
    units_ : tuple
        Model and state of every series.

    Notes
    -----
    ``cov`` is divided by the number of rows, as maximum likelihood has it. Covariates in the rows before the first are taken
    for zero. Of covariates that are more than the rows can bear, or depend on each other, the leading principal components
    are used.

    References
    ----------
    Luetkepohl (2005), New introduction to multiple time series analysis, chapters 3 and 10.

    Examples
    --------
    >>> import numpy as np
    >>> from ssmts import VARForecaster
    >>> y = np.zeros((200, 2))
    >>> rng = np.random.default_rng(0)
    >>> for t in range(1, 200):
    ...     y[t] = np.array([[0.5, 0.3], [0.0, 0.8]]) @ y[t - 1] + rng.normal(size=2)
    >>> VARForecaster().fit(y).params_["coef"][0].round(1)
    array([[0.5, 0.2],
           [0. , 0.8]])
    """

    def __init__(
        self,
        lags: int = 1,
        *,
        constant: bool = True,
        cov: str = "full",
        likelihood: str = "auto",
        freq: Any = None,
        target_transform: Any = None,
        n_jobs: int | None = None,
    ) -> None:
        self.lags = lags
        self.constant = constant
        self.cov = cov
        self.likelihood = likelihood
        self.freq = freq
        self.target_transform = target_transform
        self.n_jobs = n_jobs

    def impulse_responses(self, steps: int, *, orthogonalised: bool = False, cumulative: bool = False) -> Any:
        """What an error in one column adds to all columns, from the row in which it happens on.

        Parameters
        ----------
        steps : int
            Number of rows.
        orthogonalised : bool, default False
            Whether errors are those of the Cholesky factor of their covariance, of variance one and uncorrelated, each of
            which moves the columns after its own in the same row.
        cumulative : bool, default False
            Whether responses are added up.

        Returns
        -------
        ndarray, shape (n_outputs, steps, n_outputs)
            Of an error in each column (first axis); of a panel, a list.
        """
        check_is_fitted(self)
        options = {"orthogonalised": orthogonalised, "cumulative": cumulative}
        found = [impulse_responses(unit.ssm, steps, **options) for unit in self.units_]
        return found[0] if len(found) == 1 else found

    def _fit_series(self, y: FloatArray, X: FloatArray | None) -> JointUnit:
        lags = whole("lags", self.lags, 1)
        if self.cov not in ("full", "diagonal"):
            raise InputError(f"cov is {self.cov!r}: choose 'full' or 'diagonal'.")
        choice("likelihood", self.likelihood, LIKELIHOODS)
        missing = bool(np.isnan(y).any())
        if missing and self.likelihood == "conditional":
            raise InputError(
                'y has missing values, which the conditional likelihood does not take: use likelihood="exact".'
            )
        _check_length(y, lags, self.constant)
        start = least_squares(interpolated(y), X, lags, self.constant, self.cov == "diagonal")
        if missing or self.likelihood == "exact":
            return self._exact(y, X, start)
        params, stderr = start.named(self.constant)
        settled = {"params": params, "stderr": stderr, "converged": True}
        return started(model_of(start, y), y, X, **settled)._replace(loglik=start.loglik)

    def _exact(self, y: FloatArray, X: FloatArray | None, start: Coefficients) -> JointUnit:
        """Search from least squares on filled rows, drawn into the region of stationarity."""
        calm = start.calmed()
        size = np.sqrt(np.diagonal(calm.cov))
        variances = Parameter(size**2, Variance()) if self.cov == "diagonal" else Parameter(calm.cov, Covariance())
        parameters = {"coef": Parameter(calm.coef), "cov": variances}
        if self.constant:
            parameters["mean"] = Parameter(np.nanmean(y, axis=0))
        if X is not None:
            parameters["exog"] = Parameter(calm.exog)
        found = maximum_likelihood(stationary_model, y, parameters, X, derivative=stationary_slopes)
        return started(found.ssm, y, X, params=_named(found), stderr=found.stderr, converged=found.converged)


def _named(found: Estimate) -> dict[str, Any]:
    params = dict(found.params)
    if "mean" in params:
        params["const"] = params["mean"] - params["coef"].sum(axis=0) @ params["mean"]
    params["cov"] = np.diag(params["cov"]) if np.ndim(params["cov"]) == 1 else params["cov"]
    return params


def _check_length(y: FloatArray, lags: int, constant: bool) -> None:
    n, k = y.shape
    seen = int((~np.isnan(y)).all(axis=1).sum()) if not np.isnan(y).any() else int((~np.isnan(y)).any(axis=1).sum())
    needed = lags + k * lags + int(constant) + 1
    if seen < needed:
        raise TooShortError(
            f"{k} column(s) with {lags} lag(s) need {needed} observed rows or more; received {seen} "
            f"sample{'' if seen == 1 else 's'} of {n}. Use fewer lags, or more rows."
        )
