"""Structural time series models: level, trend, season, cycle, autoregression and covariates."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from .._containers import FloatArray
from .._stampaxis import Axis
from ..base import Capabilities
from ..exceptions import InputError
from ..panel import read_future
from ._decomposition import Decomposition
from ._diagnostics import Diagnostics, diagnose
from ._named_units import NamedUnitsForecaster, read_fixed, read_lags
from ._structural_fit import fit_unit
from ._structural_panel import fit_together
from ._structural_results import (
    coefficients_of,
    decompose_ahead,
    decompose_rows,
    standard_errors,
    state_means,
    summary_text,
)
from ._structural_spec import Spec
from ._structural_unit import StructuralUnit, ahead_seen, model_of, one_step, paths, standardised, update_unit


class StructuralForecaster(NamedUnitsForecaster):
    """A structural time series model: the series is a sum of components, each a small stochastic process.

    ``y[t] = trend[t] + season[t] + cycle[t] + autoregression[t] + X[t] @ coef + noise[t]``. The variances and other
    parameters are estimated by maximum likelihood with an exact diffuse start and an exact gradient; a Kalman filter
    then carries the state, so that missing rows cost nothing and `update` moves on without estimating again.

    Parameters
    ----------
    trend : {"none", "fixed", "local_level", "local_linear", "smooth", "damped"}, default "damped"
        ``"none"``: no level, the series moves about zero. ``"fixed"``: a constant level. ``"local_level"``: a random
        walk. ``"local_linear"``: a random walk whose slope is another one. ``"smooth"``: the same without noise on the
        level. ``"damped"``: the slope dies out by the factor ``damping`` a step, so that forecasts level off.
        Variances that the data do not support are estimated as exactly zero: ``"local_linear"`` becomes a random walk with
        drift, a smooth trend or a straight line (by choice: ``fix={"level_var": 0, "slope_var": 0}``), ``"damped"`` a
        local level. The default is the one that was never far from the best where all were compared, on held-out rows
        of monthly, weekly, daily and hourly collections; ``"local_linear"`` extrapolates further than most series go.
    season_length : float or sequence of float, optional
        Rows in a season, of one season or of several: 12, 52.18, (24, 168).
    seasonal : {"trigonometric", "dummy"}, default "trigonometric"
        A season as a sum of harmonics with one variance, or as effects that sum to noise over a season. The former also
        takes lengths that are no whole numbers.
    harmonics : int or sequence, optional
        Number of harmonics, of each season. Default: all that a length of up to 24 whole rows has, else 10, for a long
        season of many harmonics costs time and rows, and is smooth as a rule. Of several seasons, a frequency that two share
        belongs to the shorter one.
    cycle : bool or (low, high), default False
        A damped stochastic cycle whose period, in rows, lies between the bounds. True: from 1.5 times the longest season
        (3 rows without one) to half the number of rows.
    autoregressive : int, default 0
        Order of a stationary autoregressive component.
    fix : dict of str to float, optional
        Parameters with given values, such as ``{"level_var": 0.0}``, on the scale of the (transformed) target.
    freq : str or offset, optional
        Frequency of the rows; found from the index unless given.
    target_transform : transformer, optional
        scikit-learn transformer applied to the target, column by column; must be monotone. Parameters, states,
        components and diagnostics are those of the transformed target.
    n_jobs : int, optional
        Threads over columns and series, as in joblib. Complete series of one length without covariates share one compiled
        call a thread: thousands of short series a second.

    Attributes
    ----------
    params_ : dict of str to float
        ``obs_var``, ``level_var``, ``slope_var``, ``season_var`` (``season_12_var`` ... of several), ``damping``,
        ``cycle_period``, ``cycle_damping``, ``cycle_var``, ``ar_1`` ..., ``ar_var``, as far as the model has them.
    coef_, coef_stderr_ : Series
        Coefficients of the covariates by name, and their standard errors given the parameters, after the last row. Where
        columns depend on each other, the coefficients are the smallest that fit and have no standard error.
    loglik_ : float
        Diffuse log-likelihood of the training rows; log 2 pi is counted for every observed row (Durbin and Koopman 2012,
        section 7.2.2). It depends on the units of covariates.
    aic_, bic_ : float
        ``-2 loglik_ + k * 2`` and ``-2 loglik_ + k * log(observed rows)``, where k counts the estimated parameters and the
        diffuse states, coefficients among them.
    converged_ : bool
        Whether the search reached a maximum, inside or on the boundary. False also where there is none, because the
        model reproduces the series exactly.
    n_diffuse_ : int
        Diffuse states.
    state_ : Series
        Predicted state of the next row, by name; a level is that at covariates of zero.
    units_ : tuple
        Parameters and state of every column of every series.

    With several series or columns these are a DataFrame (``params_, coef_, coef_stderr_, state_``) or a Series with one row
    each.

    Notes
    -----
    A series needs more observed rows than diffuse states and variances. NaN and absent rows of `y` are missing values.
    Of more covariates than the rows can bear, the leading principal components are used. A long season of few harmonics
    starts with a variance of 1e7 times the sum of all variances instead of an infinite one, which its first rows could not
    resolve; log-likelihoods are brought to the diffuse scale.

    References
    ----------
    Harvey (1989), Forecasting, Structural Time Series Models and the Kalman Filter. Durbin & Koopman (2012), Time Series
    Analysis by State Space Methods, 2nd ed.

    Examples
    --------
    The flow of the Nile (Durbin and Koopman 2012, section 2.2):

    >>> import statsmodels.datasets
    >>> from ssmts import StructuralForecaster
    >>> nile = statsmodels.datasets.nile.load_pandas().data["volume"].to_numpy()
    >>> forecaster = StructuralForecaster(trend="local_level").fit(nile)
    >>> {name: round(value) for name, value in forecaster.params_.items()}
    {'obs_var': 15099, 'level_var': 1469}
    >>> forecaster.predict(2).round(1)
    array([798.4, 798.4])
    """

    capabilities: ClassVar[Capabilities] = Capabilities()

    def __init__(
        self,
        trend: str = "damped",
        season_length: float | Sequence[float] | None = None,
        *,
        seasonal: str = "trigonometric",
        harmonics: int | Sequence[int | None] | None = None,
        cycle: bool | tuple[float, float] = False,
        autoregressive: int = 0,
        fix: Mapping[str, float] | None = None,
        freq: Any = None,
        target_transform: Any = None,
        n_jobs: int | None = None,
    ) -> None:
        self.trend = trend
        self.season_length = season_length
        self.seasonal = seasonal
        self.harmonics = harmonics
        self.cycle = cycle
        self.autoregressive = autoregressive
        self.fix = fix
        self.freq = freq
        self.target_transform = target_transform
        self.n_jobs = n_jobs

    # the model -----------------------------------------------------------------------------------------------------

    def _spec(self) -> Spec:
        return Spec(self.trend, self.season_length, self.seasonal, self.harmonics, self.cycle, self.autoregressive)

    def _fixed(self) -> dict[str, float]:
        return read_fixed(self.fix, '{"level_var": 0.0}')

    def _fit_unit(self, y: FloatArray, X: FloatArray | None, axis: Axis) -> StructuralUnit:
        return fit_unit(self._spec(), self._fixed(), y, X)

    def _fit_together(self, tasks: Sequence[tuple[FloatArray, FloatArray | None]]) -> list[Any]:
        if any(X is not None for _, X in tasks):
            return [None] * len(tasks)
        return list(fit_together(self._spec(), self._fixed(), [y for y, _ in tasks], self.n_jobs))

    def _update_unit(self, unit: StructuralUnit, y: FloatArray, X: FloatArray | None) -> StructuralUnit:
        return update_unit(unit, y, X)

    def _forecast_unit(self, unit: StructuralUnit, horizon: int, X: FloatArray | None) -> tuple[FloatArray, FloatArray]:
        mean, cov = ahead_seen(unit, horizon, X)
        return mean + unit.shift, cov

    def _sample_unit(
        self, unit: StructuralUnit, horizon: int, X: FloatArray | None, n_paths: int, rng: np.random.Generator
    ) -> FloatArray:
        return paths(unit, horizon, X, n_paths, rng)

    def _one_step_unit(
        self, unit: StructuralUnit, y: FloatArray, X: FloatArray | None
    ) -> tuple[FloatArray, FloatArray]:
        return one_step(unit, y, X)

    def _follow_unit(self, unit: StructuralUnit, y: FloatArray, X: FloatArray | None) -> tuple[FloatArray, FloatArray]:
        return one_step(unit, y, X, unit.state)

    # what was fitted -----------------------------------------------------------------------------------------------

    @property
    def params_(self) -> Any:
        """Parameters by name."""
        return self._table(lambda unit: dict(zip(model_of(unit).parameter_names, unit.parameters)), keep_dict=True)

    @property
    def coef_(self) -> Any:
        """Coefficients by covariate."""
        names = self._features()
        return self._table(lambda unit: dict(zip(names, coefficients_of(unit, len(names))[0].tolist())))

    @property
    def coef_stderr_(self) -> Any:
        """Standard errors of the coefficients by covariate."""
        names = self._features()
        return self._table(lambda unit: dict(zip(names, coefficients_of(unit, len(names))[1].tolist())))

    @property
    def state_(self) -> Any:
        """Predicted state of the next row."""
        names = self._features()
        return self._table(lambda unit: state_means(unit, names))

    @property
    def n_diffuse_(self) -> Any:
        """Diffuse states."""
        return self._table(lambda unit: unit.n_diffuse)

    def summary(self, series: Hashable | None = None, column: Hashable | None = None) -> str:
        """Estimates with standard errors, as a text table.

        Parameters
        ----------
        series, column : hashable, optional
            Which series of a panel, and which column of a wide frame.

        Returns
        -------
        str
            Standard errors are those of the curvature of the likelihood at its maximum. Parameters that were given, or
            that stand on their boundary (a variance of zero), have none; nor has any where the training rows are gone.
        """
        at, unit = self._unit(series, column)
        errors = None
        if self.rows_ is not None:
            errors = standard_errors(unit, *self._training(at))
        return summary_text(unit, self._title(at), self._features(), errors)

    def decompose(
        self, X: Any = None, *, series: Hashable | None = None, column: Hashable | None = None
    ) -> Decomposition:
        """Split a series into its components.

        Parameters
        ----------
        X : int, DataFrame or array, optional
            Left out: the training rows, smoothed, that is with the help of the rows before and after. A number of steps or
            rows of covariates as in `predict`: forecasts of the components.
        series, column : hashable, optional
            Which series of a panel, and which column of a wide frame.

        Returns
        -------
        Decomposition
            Means and variances of each component, ``.to_frame()`` and ``.plot()``.

        Raises
        ------
        SsmtsError
            The training rows were not saved with the estimator.
        """
        at, unit = self._unit(series, column)
        which = at // len(self.form_.outputs)
        if X is None:
            y, covariates = self._training(at)
            assert self.rows_ is not None
            return decompose_rows(unit, y, covariates, self.form_.axis.stamps(int(self.rows_.start[which]), len(y)))
        rows, given = read_future(self.form_, X, self.last_, self.rows_)
        place = int(np.flatnonzero(rows.series == which)[0]) if which in rows.series else -1
        leads = rows.steps[place] - self.last_[which] if place >= 0 else np.zeros(1, dtype=np.int64)
        if leads.min() < 1:
            raise InputError(
                "Components are forecast for rows after the last known one; call decompose() for those before."
            )
        covariates = None
        if given is not None:
            covariates = np.zeros((int(leads[-1]), given[place].shape[1]))
            covariates[leads - 1] = given[place]
        stamps = self.form_.axis.stamps(int(self.last_[which]) + 1, int(leads[-1])).take(leads - 1)
        return decompose_ahead(unit, np.asarray(leads, dtype=np.intp), covariates, stamps)

    def diagnostics(
        self, lags: int | None = None, *, series: Hashable | None = None, column: Hashable | None = None
    ) -> Diagnostics:
        """Test the standardised innovations of the training rows.

        Parameters
        ----------
        lags : int, optional
            Autocorrelations in the Ljung-Box statistic. Default: twice the longest season, 10 without one, but no more
            than a fifth of the rows (Hyndman and Athanasopoulos).
        series, column : hashable, optional
            Which series of a panel, and which column of a wide frame.

        Returns
        -------
        Diagnostics
        """
        at, unit = self._unit(series, column)
        residuals = standardised(unit, *self._training(at))
        longest = int(max((getattr(component, "period", 0) for component in unit.components), default=0)) or 5
        lags = read_lags(lags, longest, len(residuals))
        return diagnose(residuals, lags, sum(unit.free))
