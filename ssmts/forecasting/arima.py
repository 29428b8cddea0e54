"""Seasonal ARIMA models with covariates and missing values."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from .._containers import FloatArray
from .._stampaxis import Axis
from ..base import Capabilities
from ._arima_fit import fit_unit
from ._arima_results import parameters_of, standard_errors, summary_text
from ._arima_spec import read_orders
from ._arima_unit import ARIMAUnit, ahead, one_step, orders_of, paths, standardised, update_unit
from ._diagnostics import Diagnostics, diagnose
from ._named_units import NamedUnitsForecaster, read_fixed, read_lags


class ARIMAForecaster(NamedUnitsForecaster):
    """A seasonal ARIMA model: after differences, a series is a moving average of noise and of its own past.

    ``y[t] = X[t] @ coef + z[t]`` with ``phi(B) Phi(B^s) ((1 - B)^d (1 - B^s)^D z[t] - constant) = theta(B) Theta(B^s) e[t]``,
    where B moves a series back by one row, s is ``season_length`` and ``phi(B) = 1 - ar_1 B - ...``,
    ``theta(B) = 1 + ma_1 B + ...``. Parameters are estimated by exact maximum likelihood, within the stationary and
    invertible models; a Kalman filter then carries the state, so that missing rows cost nothing and `update` moves on without
    estimating again. A season of s rows costs s states, never a matrix for each row.

    Parameters
    ----------
    order : (p, d, q), default (1, 1, 1)
        Autoregressive lags, differences, and moving-average lags. p and q are numbers of lags, or the lags themselves:
        ``(1, 1, (1, 4))`` has the moving-average lags 1 and 4 only. The default follows a series whose level wanders.
    seasonal_order : (P, D, Q), default (0, 0, 0)
        The same in steps of a season.
    season_length : int, optional
        Rows in a season; needed with a seasonal order.
    constant : bool, optional
        Estimate the mean of the differenced series: a level without differences, a drift with one. Default: without
        differences only, since a drift or more extrapolates for ever.
    fix : dict of str to float, optional
        Parameters with given values, such as ``{"ar_1": 0.0}``, on the scale of the (transformed) target.
    freq : str or offset, optional
        Frequency of the rows; found from the index unless given.
    target_transform : transformer, optional
        scikit-learn transformer applied to the target, column by column; must be monotone. Parameters and diagnostics are
        those of the transformed target.
    n_jobs : int, optional
        Threads over columns and series, as in joblib.

    Attributes
    ----------
    params_ : dict of str to float
        ``ar_1`` ..., ``ma_1`` ..., ``seasonal_ar_1`` ..., ``seasonal_ma_1`` ..., by lags (of seasons, for the latter two);
        ``constant``, the mean of the differenced series where covariates are zero; ``var``, of the noise.
    coef_, coef_stderr_ : Series
        Coefficients of the covariates by name, and their standard errors given the other parameters. Where columns depend
        on each other or on what the differences take away, the coefficients are the smallest that fit and have no standard
        error.
    loglik_ : float
        Log-likelihood of the differenced series; with missing rows, the diffuse log-likelihood of the rows without log 2 pi
        for those that the differences cost, which is the same number where none are missing.
    aic_, bic_ : float
        ``-2 loglik_ + k * 2`` and ``-2 loglik_ + k * log(n)``, where k counts the estimated parameters, coefficients and
        variance among them, and n the observed rows less those that the differences cost.
    converged_ : bool
        Whether the search reached a maximum. False also where there is none, because the model reproduces the series
        exactly.
    state_ : Series
        What is expected of the next rows: ``ahead_0`` is the next row less its covariates' part, ``ahead_1`` ... those after
        it as far as the model looks, differenced as far as rows from the next on go.
    units_ : tuple
        Parameters and state of every column of every series.

    With several series or columns these are a DataFrame (``params_, coef_, coef_stderr_, state_``) or a Series with one row
    each.

    Notes
    -----
    A series needs more observed rows than differences and parameters. NaN and absent rows of `y` are missing values. Of more
    covariates than the rows can bear, the leading principal components are used. Covariates and the constant are estimated by
    generalised least squares along with the rest, by maximum likelihood: not diffuse, as in `StructuralForecaster`, so
    that log-likelihoods of models with different covariates compare.

    References
    ----------
    Box, Jenkins and Reinsel (1994), Time Series Analysis, 3rd ed. Harvey (1989), Forecasting, Structural Time Series Models
    and the Kalman Filter, section 3.3. Hannan and Rissanen (1982), Biometrika 69, 81-94, for the start of the search.

    Examples
    --------
    Yearly sunspots, an autoregression of two lags about a constant:

    >>> import statsmodels.datasets
    >>> from ssmts import ARIMAForecaster
    >>> sunspots = statsmodels.datasets.sunspots.load_pandas().data["SUNACTIVITY"].to_numpy()
    >>> forecaster = ARIMAForecaster((2, 0, 0)).fit(sunspots)
    >>> {name: round(value, 2) for name, value in forecaster.params_.items()}
    {'ar_1': 1.39, 'ar_2': -0.69, 'constant': 49.66, 'var': 274.76}
    >>> forecaster.predict(2).round(1)
    array([13.7, 31.8])
    """

    capabilities: ClassVar[Capabilities] = Capabilities()

    def __init__(
        self,
        order: Sequence[Any] = (1, 1, 1),
        seasonal_order: Sequence[Any] = (0, 0, 0),
        season_length: int | None = None,
        *,
        constant: bool | None = None,
        fix: Mapping[str, float] | None = None,
        freq: Any = None,
        target_transform: Any = None,
        n_jobs: int | None = None,
    ) -> None:
        self.order = order
        self.seasonal_order = seasonal_order
        self.season_length = season_length
        self.constant = constant
        self.fix = fix
        self.freq = freq
        self.target_transform = target_transform
        self.n_jobs = n_jobs

    # the model -----------------------------------------------------------------------------------------------------

    def _fit_unit(self, y: FloatArray, X: FloatArray | None, axis: Axis) -> ARIMAUnit:
        orders = read_orders(self.order, self.seasonal_order, self.season_length, self.constant)
        return fit_unit(orders, read_fixed(self.fix, '{"ar_1": 0.0}'), y, X)

    def _update_unit(self, unit: ARIMAUnit, y: FloatArray, X: FloatArray | None) -> ARIMAUnit:
        return update_unit(unit, y, X)

    def _forecast_unit(self, unit: ARIMAUnit, horizon: int, X: FloatArray | None) -> tuple[FloatArray, FloatArray]:
        return ahead(unit, horizon, X)

    def _sample_unit(
        self, unit: ARIMAUnit, horizon: int, X: FloatArray | None, n_paths: int, rng: np.random.Generator
    ) -> FloatArray:
        return paths(unit, horizon, X, n_paths, rng)

    def _one_step_unit(self, unit: ARIMAUnit, y: FloatArray, X: FloatArray | None) -> tuple[FloatArray, FloatArray]:
        return one_step(unit, y, X)

    def _follow_unit(self, unit: ARIMAUnit, y: FloatArray, X: FloatArray | None) -> tuple[FloatArray, FloatArray]:
        return one_step(unit, y, X, unit.state)

    # what was fitted -----------------------------------------------------------------------------------------------

    @property
    def params_(self) -> Any:
        """Parameters by name."""
        return self._table(parameters_of, keep_dict=True)

    @property
    def coef_(self) -> Any:
        """Coefficients by covariate."""
        names = self._features()
        return self._table(lambda unit: dict(zip(names, unit.effects.tolist())))

    @property
    def coef_stderr_(self) -> Any:
        """Standard errors of the coefficients by covariate."""
        names = self._features()
        return self._table(lambda unit: dict(zip(names, unit.effects_stderr.tolist())))

    @property
    def state_(self) -> Any:
        """What is expected of the next rows."""
        return self._table(lambda unit: {f"ahead_{i}": float(x) for i, x in enumerate(unit.state.mean)})

    def standard_errors(self, series: Hashable | None = None, column: Hashable | None = None) -> pd.Series:
        """Standard errors of the parameters.

        Parameters
        ----------
        series, column : hashable, optional
            Which series of a panel, and which column of a wide frame.

        Returns
        -------
        Series
            By the names of ``params_``: from the curvature of the likelihood at its maximum, the other parameters estimated
            along; of the constant, given the others; NaN for parameters that were given, or where there is no maximum.

        Raises
        ------
        SsmtsError
            The training rows were not saved with the estimator.
        """
        at, unit = self._unit(series, column)
        return pd.Series(standard_errors(unit, *self._training(at)))

    def summary(self, series: Hashable | None = None, column: Hashable | None = None) -> str:
        """Estimates with standard errors, as a text table.

        Parameters
        ----------
        series, column : hashable, optional
            Which series of a panel, and which column of a wide frame.
        """
        at, unit = self._unit(series, column)
        errors = None if self.rows_ is None else standard_errors(unit, *self._training(at))
        return summary_text(unit, self._title(at), self._features(), errors)

    def diagnostics(
        self, lags: int | None = None, *, series: Hashable | None = None, column: Hashable | None = None
    ) -> Diagnostics:
        """Test the standardised innovations of the training rows.

        Parameters
        ----------
        lags : int, optional
            Autocorrelations in the Ljung-Box statistic. Default: twice the season, 10 without one, but no more than a fifth
            of the rows (Hyndman and Athanasopoulos).
        series, column : hashable, optional
            Which series of a panel, and which column of a wide frame.

        Returns
        -------
        Diagnostics
        """
        at, unit = self._unit(series, column)
        residuals, season = standardised(unit, *self._training(at)), orders_of(unit).s
        lags = read_lags(lags, season if season > 1 else 5, len(residuals))
        return diagnose(residuals, lags, sum(unit.free[: len(unit.coefficients)]) + 1)
