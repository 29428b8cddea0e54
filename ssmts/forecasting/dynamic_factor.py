"""Dynamic factor models: many columns that a few unseen factors move."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils.validation import check_is_fitted

from .._containers import FloatArray
from ..exceptions import InputError
from ..panel import Form, read_future
from ._arguments import choice, whole
from ._decomposition import Decomposition
from ._factor_fit import Settings, fit_factors, smoothed_factors
from ._factor_model import FactorParams, model_of
from ._factor_parts import decompose_ahead, decompose_rows
from ._factor_spec import IDIOSYNCRATIC, METHODS, factors_of, place, weights_of
from .joint import JointForecaster, JointUnit, started

NAMES = {
    "loadings": "loadings",
    "factor_ar": "ar",
    "idiosyncratic_ar": "idio_ar",
    "idiosyncratic_var": "idio_var",
    "mean": "mean",
    "exog": "exog",
    "weights": "weights",
}


def named_params(p: FactorParams) -> dict[str, Any]:
    """Parameters by the names of ``params_``.

    Parameters
    ----------
    p : FactorParams
    """
    return {name: getattr(p, field) for name, field in NAMES.items()}


def read_params(params: Mapping[str, Any]) -> FactorParams:
    """The opposite of `named_params`.

    Parameters
    ----------
    params : mapping
    """
    fields = {field: params[name] for name, field in NAMES.items()}
    return FactorParams(cov=np.eye(params["loadings"].shape[1]), **fields)


class DynamicFactorForecaster(JointForecaster):
    """Many columns that a few unseen factors move: mixed frequencies, ragged edges, news.

    Each column is a constant, what it has of the factors, and an idiosyncratic part of its own; the factors are a vector
    autoregression::

        y[t] = mean + loadings @ f[t] + exog @ X[t] + u[t]
        f[t] = ar[0] @ f[t-1] + ... + ar[factor_order-1] @ f[t-factor_order] + N(0, I)
        u[t] = idiosyncratic_ar * u[t-1] + N(0, idiosyncratic_var),     column by column

    A column that is observed once in several rows, such as a quarterly one in a monthly frame (NaN in the months
    between), may add them up: see `aggregation`.

    Parameters
    ----------
    n_factors : int, default 1
        Number of factors that all columns have.
    factor_order : int, default 1
        Order of the autoregression of the factors; 0 for factors without a memory.
    idiosyncratic : {"ar1", "white"}, default "ar1"
        Whether what a column has for itself is an autoregression or white noise. Economic indicators deviate from the
        factors for months.
    groups : mapping of name to columns, optional
        A further factor for each of some groups of columns, which moves apart from the others.
    aggregation : mapping of column to word or weights, optional
        What a column that is observed once in a period of s rows (found from its rows) says of them: "sum" or "average" of
        the period; "growth", the change, in logarithms or in per cent, of such a sum or average from one period to the next,
        where the factors move the changes from row to row: weights (1, 2, ..., s, ..., 2, 1) / s of Mariano and Murasawa
        (2003), 1/3, 2/3, 1, 2/3, 1/3 for quarters of months; "last", the default of all columns, the value of the
        row in which it stands, as stocks are; or weights of one's own, that of the newest row first.
    constant : bool, default True
        Whether columns have means to be estimated; else they are zero.
    method : {"em", "ml"}, default "em"
        Expectation maximisation, in a step of which a hundred columns cost a tenth of a second; or a search with the exact
        score from where it ends, which finds the maximum to many digits and gives standard errors, for up to about a
        hundred parameters.
    max_iter : int, default 500
        Steps of EM.
    tol : float, default 1e-6
        EM ends where the log-likelihood gains less, relative to its size: what is then left to gain is far below what
        moves a forecast.
    freq : str or offset, optional
        Frequency of the rows; found from the index unless given.
    target_transform : transformer, optional
        scikit-learn transformer applied to the target, column by column; must be monotone.
    n_jobs : int, optional
        Threads over the series of a panel, as in joblib.

    Attributes
    ----------
    params_ : dict
        ``loadings`` (n_outputs, n_factors), ``factor_ar`` (factor_order, n_factors, n_factors), ``idiosyncratic_ar`` and
        ``idiosyncratic_var`` (n_outputs,), ``mean`` (n_outputs,) of a row, whatever the column adds up, ``exog``
        (n_outputs, n_features), and ``weights`` (n_outputs, n_weights) of rows in columns; of a panel, a list.
    stderr_ : dict
        Standard errors in the same shapes, of method "ml"; NaN for what has none, such as loadings and autoregressions of
        several common factors, which are one rotation of many.
    loadings_ : DataFrame
        Loadings by column and factor.
    factors_ : Decomposition
        Smoothed factors of the training rows, ``.mean`` and ``.variance``; of a panel, a list.
    loglik_ : float
    logliks_ : ndarray
        Log-likelihood of the start and after each step, which never falls; of a panel, a list.
    converged_ : bool
    n_iter_ : int
        Steps of EM.
    states_ : tuple of State
    units_ : tuple
        Model and state of every series.

    Notes
    -----
    The model is estimated on columns in units of their standard deviation; everything that is told is in the units of the
    columns. Factors have noises of variance one without correlation, orthogonal loadings on columns of unit variance
    within the common factors, the strongest first, and loadings whose sum over these columns is positive.

    EM stands on the factors alone: a column is differenced by its autoregression over the gap to its last value, so that a
    hundred columns need a handful of states. Idiosyncratic variances do not fall below 1e-6 of the variance of their
    column.

    References
    ----------
    Banbura and Modugno (2014), Journal of Applied Econometrics 29, 133-160. Doz, Giannone and Reichlin (2012), Review of
    Economics and Statistics 94, 1014-1024. Mariano and Murasawa (2003), Journal of Applied Econometrics 18, 427-443.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from ssmts import DynamicFactorForecaster
    >>> rng = np.random.default_rng(0)
    >>> cycle = np.convolve(rng.normal(size=240), 0.8 ** np.arange(40))[:240]
    >>> months = pd.period_range("2000-01", periods=240, freq="M")
    >>> y = pd.DataFrame({name: cycle + rng.normal(size=240) for name in "abc"}, months)
    >>> gdp = np.convolve(cycle, [1 / 3, 2 / 3, 1, 2 / 3, 1 / 3])[:240]
    >>> y["gdp"] = np.where(months.month % 3 == 0, gdp, np.nan)  # quarters stand in their last months
    >>> f = DynamicFactorForecaster(aggregation={"gdp": "growth"}).fit(y)
    >>> f.predict(3).shape, f.loadings_.shape
    ((3, 4), (4, 1))
    """

    def __init__(
        self,
        n_factors: int = 1,
        factor_order: int = 1,
        *,
        idiosyncratic: str = "ar1",
        groups: Mapping[Any, Sequence[Any]] | None = None,
        aggregation: Mapping[Any, Any] | None = None,
        constant: bool = True,
        method: str = "em",
        max_iter: int = 500,
        tol: float = 1e-6,
        freq: Any = None,
        target_transform: Any = None,
        n_jobs: int | None = None,
    ) -> None:
        self.n_factors = n_factors
        self.factor_order = factor_order
        self.idiosyncratic = idiosyncratic
        self.groups = groups
        self.aggregation = aggregation
        self.constant = constant
        self.method = method
        self.max_iter = max_iter
        self.tol = tol
        self.freq = freq
        self.target_transform = target_transform
        self.n_jobs = n_jobs

    def _fitting(self, form: Form) -> Callable[[FloatArray, FloatArray | None], JointUnit]:
        return partial(self._fit_series, outputs=form.outputs)

    def _fit_series(self, y: FloatArray, X: FloatArray | None, outputs: tuple[Any, ...] = ()) -> JointUnit:
        settings = self._settings(outputs)
        weights = weights_of(self.aggregation, y, outputs)
        if X is not None and weights.shape[1] > 1:
            raise InputError("covariates act on single rows, but aggregation has columns of several: fit y alone.")
        found = fit_factors(y, X, weights, settings)
        ssm = model_of(found.params, settings.autoregressive)
        params = named_params(found.params)
        stderr = {name: found.stderr.get(NAMES[name], np.full(np.shape(params[name]), np.nan)) for name in params}
        more = {"params": params, "stderr": stderr, "converged": found.converged, "logliks": found.logliks}
        return started(ssm, y, X, **more)._replace(loglik=found.loglik)

    def _settings(self, outputs: tuple[Any, ...]) -> Settings:
        tol = self.tol
        if not isinstance(tol, int | float) or not tol >= 0:
            raise InputError(f"tol must be a number, zero or greater; received {tol!r}.")
        return Settings(
            factors=factors_of(self.n_factors, self.groups, outputs),
            order=whole("factor_order", self.factor_order, 0),
            autoregressive=choice("idiosyncratic", self.idiosyncratic, IDIOSYNCRATIC) == "ar1",
            constant=bool(self.constant),
            method=choice("method", self.method, METHODS),
            max_iter=whole("max_iter", self.max_iter, 0),
            tol=float(tol),
        )

    # results ----------------------------------------------------------------------------------------------------

    @property
    def logliks_(self) -> Any:
        """Log-likelihood of the start and after each step of EM; of a panel, a list."""
        return self._each("logliks")

    @property
    def n_iter_(self) -> Any:
        """Steps of EM; of a panel, an array."""
        check_is_fitted(self)
        steps = [len(unit.logliks) - 1 for unit in self.units_ if unit.logliks is not None]
        return steps[0] if len(steps) == 1 else np.array(steps)

    @property
    def loadings_(self) -> Any:
        """Loadings by column and factor; of a panel, a list."""
        check_is_fitted(self)
        outputs = pd.Index(self.form_.outputs)
        names = self._settings(self.form_.outputs).factors.names
        found = [pd.DataFrame(unit.params["loadings"], index=outputs, columns=list(names)) for unit in self.units_]
        return found[0] if len(found) == 1 else found

    @property
    def factors_(self) -> Any:
        """Smoothed factors of the training rows; of a panel, a list."""
        check_is_fitted(self)
        keys = self.form_.keys
        found = [self._smoothed_factors(key) for key in (keys or (None,))]
        return found[0] if len(found) == 1 else found

    def decompose(self, X: Any = None, *, column: Any = None, series: Any = None) -> Decomposition:
        """Split a column into what each factor contributes and what is its own.

        Parameters
        ----------
        X : int, DataFrame or array, optional
            Left out: the training rows, smoothed. A number of steps, or rows as in `predict`: forecasts of the parts.
        column : hashable, optional
            Which column of y; needed where there are several.
        series : hashable, optional
            Which series of a panel.

        Returns
        -------
        Decomposition
            Means and variances of the factors' parts, which add up rows as the column does, of ``idiosyncratic``, of the
            ``constant`` and of the ``regression`` on covariates, ``.to_frame()`` and ``.plot()``. Their means add up to the
            column where it was observed, and to its forecasts.

        Raises
        ------
        SsmtsError
            The training rows were not saved with the estimator.
        """
        check_is_fitted(self)
        outputs = self.form_.outputs
        if column is None and len(outputs) > 1:
            raise InputError(f"Pass column=, one of {', '.join(map(repr, outputs[:5]))}.")
        at = 0 if column is None else place(column, outputs, "decompose")
        settings = self._settings(outputs)
        names = settings.factors.names
        if X is None:
            unit, y, given = self._training(series)
            which = 0 if series is None else (self.form_.keys or ()).index(series)
            assert self.rows_ is not None
            index = self.form_.axis.stamps(int(self.rows_.start[which]), len(y))
            p = read_params(unit.params)
            return decompose_rows(unit, p, settings.autoregressive, at, names, y, given, index)
        rows, ahead = read_future(self.form_, X, self.last_, self.rows_)
        keys = self.form_.keys
        which = 0 if keys is None else place(series, keys, "series")
        found = int(np.flatnonzero(rows.series == which)[0]) if which in rows.series else -1
        leads = rows.steps[found] - self.last_[which] if found >= 0 else np.zeros(1, dtype=np.int64)
        if leads.min() < 1:
            raise InputError("Parts are forecast for rows after the last known one; call decompose() for those before.")
        unit, covariates = self.units_[which], None if ahead is None else ahead[found]
        index = self.form_.axis.at(self.last_[which] + leads)
        p = read_params(unit.params)
        return decompose_ahead(unit, p, settings.autoregressive, at, names, leads, covariates, index)

    def _smoothed_factors(self, series: Any) -> Decomposition:
        unit, y, X = self._training(series)
        settings = self._settings(self.form_.outputs)
        mean, cov = smoothed_factors(y, X, read_params(unit.params), settings.autoregressive)
        at = 0 if series is None else (self.form_.keys or ()).index(series)
        assert self.rows_ is not None
        index = self.form_.axis.stamps(int(self.rows_.start[at]), len(y))
        variance = np.diagonal(cov, axis1=1, axis2=2)
        names = list(settings.factors.names)
        return Decomposition(index, pd.DataFrame(mean, index, names), pd.DataFrame(variance, index, names), None)
