"""Gaussian processes over time, in linear time and at irregular stamps."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from numbers import Real
from typing import Any, ClassVar

import numpy as np

from .._containers import FloatArray
from .._stampaxis import Axis
from ..base import Capabilities, rows_among
from ..components.kernels import Kernel, Matern, Periodic
from ..distributions import Distribution
from ..exceptions import InputError, InputTypeError
from ..panel import Form, Panel, SeriesRows, read_future
from ._arguments import whole
from ._decomposition import Decomposition
from ._diagnostics import Diagnostics, diagnose
from ._named_units import NamedUnitsForecaster, read_fixed, read_lags
from ._process_fit import fit_unit
from ._process_results import coefficients_of, decompose_ahead, decompose_rows, summary_text
from ._process_unit import ProcessUnit, ahead, one_step, parameters_of, paths, standardised, update_unit


class GaussianProcessForecaster(NamedUnitsForecaster):
    """A Gaussian process over time: a series is a random function, seen with noise, whose covariance is a kernel.

    ``y[t] = f(t) + mean + X[t] @ coef + noise[t]`` with ``f ~ GP(0, kernel)``. Matérn and periodic kernels, their sums and products
    are the laws of stochastic differential equations, which a Kalman filter solves: n rows cost n steps instead of the
    factorisation of an (n, n) matrix, at stamps of any distances, and `update` moves on without estimating again. The
    predictions are those of Gaussian process regression, exactly. Hyperparameters are estimated by maximum likelihood with an
    exact gradient.

    Parameters
    ----------
    kernel : Kernel, optional
        Of `ssmts.components.kernels`: ``Matern(1.5, 10.0) + Periodic(12.0) * Matern(0.5, 100.0)``. Its length scales are where a search
        starts; its variances are estimated, whatever they are, except those that another one of the same product makes
        superfluous; `nu`, `period` and `order` are taken as they are. Default: ``Matern(1.5)``, whose paths are smooth but not very; with a
        `season_length` a season that changes slowly is added, ``Periodic(season_length) * Matern(0.5)``.
    season_length : float, optional
        In the unit of time, for the default kernel.
    mean : {"constant", "zero"}, default "constant"
        ``"constant"``: an unknown mean, to which forecasts return beyond the length scales. ``"zero"``: the series moves about zero.
    n_starts : int, optional
        How many starting points are followed, the best of those that are spread over what is sensible, before the most promising
        is climbed to the end: the likelihood can have several maxima. Default: 5 for one length scale, 6 for each of several, 1 where
        all are given.
    fix : dict of str to float, optional
        Parameters with given values, such as ``{"obs_var": 0.0}``, on the scale of the (transformed) target.
    freq : str or offset, optional
        Frequency of the rows; found from the index unless given. ``"irregular"``: stamps are taken as they are even where there is
        one, so that days can be forecast by the hour.
    target_transform : transformer, optional
        scikit-learn transformer applied to the target, column by column; must be monotone.
    n_jobs : int, optional
        Threads over columns and series, as in joblib.

    Attributes
    ----------
    params_ : dict of str to float
        ``matern_var``, ``matern_length_scale``, ``periodic_var`` ... by kernel, numbered where there are several of a kind
        (``matern_1_var``), and ``obs_var``, the variance of the noise.
    stderr_ : dict of str to float
        Their standard errors; NaN for what was given or stands on a boundary, or where there is no maximum.
    kernel_ : Kernel
        The kernel with its estimated parameters; with several series or columns a Series of them.
    coef_, coef_stderr_ : Series
        Coefficients of the covariates by name, and their standard errors given the parameters, after the last row.
    loglik_ : float
        Log-likelihood of the training rows; with a mean or covariates it is the diffuse one.
    aic_, bic_ : float
        ``-2 loglik_ + k * 2`` and ``-2 loglik_ + k * log(observed rows)``, where k counts estimated parameters, the mean and coefficients.
    converged_ : bool
        Whether the search reached a maximum.
    units_ : tuple
        Parameters and state of every column of every series.

    Notes
    -----
    **Time.** Where the stamps have a frequency, given or found, a step of it is the unit of time of length scales and periods, and
    absent rows are missing values. Date-times without one are taken as they are, in days, and numbers of an index as they are.
    Nothing then says when the next rows will be: `predict` takes their stamps, an index or rows with one, and not a number of
    steps. Equal steps are computed once, so that regular rows cost the least.

    References
    ----------
    Hartikainen and Särkkä (2010), Kalman filtering and smoothing solutions to temporal Gaussian process regression models. Solin and
    Särkkä (2014), Explicit link between periodic covariance functions and state space models.

    Examples
    --------
    Readings at irregular times:

    >>> import numpy as np
    >>> import pandas as pd
    >>> from ssmts import GaussianProcessForecaster
    >>> stamps = pd.to_datetime(["2024-01-01 06:00", "2024-01-01 18:30", "2024-01-03 07:10", "2024-01-04 05:00", "2024-01-04 23:00"])
    >>> readings = pd.Series([1.0, 1.4, 2.1, 1.7, 1.1], index=stamps)
    >>> forecaster = GaussianProcessForecaster(fix={"obs_var": 0.01, "matern_var": 0.3, "matern_length_scale": 1.0}).fit(readings)
    >>> forecaster.predict(pd.to_datetime(["2024-01-05 12:00", "2024-02-05 00:00"])).round(2)
    2024-01-05 12:00:00    1.10
    2024-02-05 00:00:00    1.39
    dtype: float64
    """

    capabilities: ClassVar[Capabilities] = Capabilities(irregular=True)

    def __init__(
        self,
        kernel: Kernel | None = None,
        season_length: float | None = None,
        *,
        mean: str = "constant",
        n_starts: int | None = None,
        fix: Mapping[str, float] | None = None,
        freq: Any = None,
        target_transform: Any = None,
        n_jobs: int | None = None,
    ) -> None:
        self.kernel = kernel
        self.season_length = season_length
        self.mean = mean
        self.n_starts = n_starts
        self.fix = fix
        self.freq = freq
        self.target_transform = target_transform
        self.n_jobs = n_jobs

    # rows without a grid: the time since the row before travels as the first column of X --------------------------------

    def _fit(self, form: Form, panel: Panel) -> dict[str, Any]:
        if panel.at is not None:
            given = panel.X or (None,) * len(panel.y)
            panel = replace(panel, X=tuple(_with_gaps(form, at, X, at[0]) for at, X in zip(panel.at, given)))
        return super()._fit(form, panel)

    def _update(self, news: Sequence[SeriesRows]) -> dict[str, Any]:
        form, last = self.form_, self.last_
        timed = [
            new if new.steps is None else replace(new, X=_with_gaps(form, new.steps, new.X, last[new.series]))
            for new in news
        ]
        return super()._update(timed)

    def _forecast(self, series: int, leads: np.ndarray, X: FloatArray | None) -> Distribution:
        if not self.form_.axis.regular:
            X, leads = _with_gaps(self.form_, leads, X, 0), np.arange(1, len(leads) + 1)
        return super()._forecast(series, leads, X)

    def _one_step_at(
        self, series: int, at: np.ndarray, y: FloatArray, X: FloatArray | None
    ) -> tuple[FloatArray, FloatArray]:
        return self._one_step(series, y, _with_gaps(self.form_, at, X, at[0]))

    # the model ----------------------------------------------------------------------------------------------------------

    def _kernel(self) -> Kernel:
        s = self.season_length
        if self.kernel is None:
            if s is None:
                return Matern(1.5)
            if isinstance(s, bool) or not isinstance(s, Real) or not (float(s) > 0 and np.isfinite(float(s))):
                raise InputError(f"season_length must be a positive number; received {s!r}.")
            order = max(1, min(7, int(float(s) / 2)))
            return Matern(1.5) + Periodic(float(s), order=order) * Matern(0.5, length_scale=10.0 * float(s))
        if s is not None:
            raise InputError(
                "season_length belongs to the default kernel: leave it out, or put a Periodic into kernel."
            )
        if not isinstance(self.kernel, Kernel):
            raise InputTypeError(
                f"kernel must be made of the kernels of ssmts.components.kernels, such as Matern(1.5); received {self.kernel!r}."
            )
        return self.kernel

    def _fit_unit(self, y: FloatArray, X: FloatArray | None, axis: Axis) -> ProcessUnit:
        if self.mean not in ("constant", "zero"):
            raise InputError(f'mean must be "constant" or "zero"; received {self.mean!r}.')
        n_starts = None if self.n_starts is None else whole("n_starts", self.n_starts, 1)
        gaps, X = _split(axis.regular, X)
        fixed = read_fixed(self.fix, '{"obs_var": 0.0}')
        return fit_unit(self._kernel(), fixed, self.mean == "constant", n_starts, y, gaps, X)

    def _update_unit(self, unit: ProcessUnit, y: FloatArray, X: FloatArray | None) -> ProcessUnit:
        return update_unit(unit, y, *_split(unit.regular, X))

    def _forecast_unit(self, unit: ProcessUnit, horizon: int, X: FloatArray | None) -> tuple[FloatArray, FloatArray]:
        return ahead(unit, horizon, *_split(unit.regular, X))

    def _sample_unit(
        self, unit: ProcessUnit, horizon: int, X: FloatArray | None, n_paths: int, rng: np.random.Generator
    ) -> FloatArray:
        return paths(unit, horizon, *_split(unit.regular, X), n_paths, rng)

    def _one_step_unit(self, unit: ProcessUnit, y: FloatArray, X: FloatArray | None) -> tuple[FloatArray, FloatArray]:
        return one_step(unit, y, *_split(unit.regular, X))

    # what was fitted ----------------------------------------------------------------------------------------------------

    @property
    def params_(self) -> Any:
        """Parameters by name."""
        return self._table(parameters_of, keep_dict=True)

    @property
    def stderr_(self) -> Any:
        """Standard errors of the parameters by name."""
        return self._table(lambda unit: dict(zip(parameters_of(unit), unit.stderr)), keep_dict=True)

    @property
    def kernel_(self) -> Any:
        """The kernel with its estimated parameters."""
        return self._table(lambda unit: unit.kernel)

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

    def summary(self, series: Hashable | None = None, column: Hashable | None = None) -> str:
        """Estimates with standard errors, as a text table.

        Parameters
        ----------
        series, column : hashable, optional
            Which series of a panel, and which column of a wide frame.
        """
        at, unit = self._unit(series, column)
        return summary_text(unit, self._title(at), self._features())

    def decompose(
        self, X: Any = None, *, series: Hashable | None = None, column: Hashable | None = None
    ) -> Decomposition:
        """Split a series into the summands of its kernel.

        Parameters
        ----------
        X : int, Index, DataFrame or array, optional
            Left out: the training rows, smoothed, that is with the help of the rows before and after. Stamps or rows as in `predict`:
            within the training span the terms are smoothed there too, also between the rows; later they are forecast.
        series, column : hashable, optional
            Which series of a panel, and which column of a wide frame.

        Returns
        -------
        Decomposition
            Means and variances of each summand (``matern``, ``periodic*matern_2`` ...), of the ``mean`` and of the ``regression``,
            ``.to_frame()`` and ``.plot()``; within the training span also ``irregular``, the noise.

        Raises
        ------
        InputError
            Rows both within and after the training span.
        SsmtsError
            The training rows were not saved with the estimator.

        Examples
        --------
        A season is told from what else moves a series:

        >>> import numpy as np
        >>> from ssmts import GaussianProcessForecaster
        >>> t = np.arange(60)
        >>> y = np.sin(2 * np.pi * t / 6) + 0.1 * np.random.default_rng(0).standard_normal(60).cumsum()
        >>> parts = GaussianProcessForecaster(season_length=6).fit(y).decompose()
        >>> parts.mean["periodic*matern_2"].iloc[:6].round(1).tolist()
        [-0.1, 0.7, 0.8, -0.1, -1.0, -1.0]
        """
        at = self._unit(series, column)[0]
        which, form = at // len(self.form_.outputs), self.form_
        if X is None:
            return self._decompose_within(at, None, None)
        rows, covariates = read_future(form, X, self.last_, self.rows_)
        if which not in rows.series:
            raise InputError(f"There are no rows{form.label(which)} in X.")
        place = int(np.flatnonzero(rows.series == which)[0])
        steps, given = rows.steps[place], None if covariates is None else covariates[place]
        if (steps > self.last_[which]).all():
            return self._decompose_ahead(self.units_[at], which, steps, given)
        if (steps > self.trained_until_[which]).any():
            raise InputError("Ask for components within the training rows and after the last known row apart.")
        return self._decompose_within(at, steps, given)

    def _decompose_within(self, at: int, steps: np.ndarray | None, given: FloatArray | None) -> Decomposition:
        """Smoothed terms at the training rows, or at some steps among them."""
        unit, form, which = self.units_[at], self.form_, at // len(self.form_.outputs)
        y, X = self._training(at)
        assert self.rows_ is not None
        stamps = self.rows_.steps(which)
        steps = stamps if steps is None else steps
        if steps[0] < stamps[0]:
            first = form.axis.format(steps[0].item())
            raise InputError(f"{first} lies before the first training row{form.label(which)}.")
        if not form.axis.regular:
            stamps, among, X = rows_among(stamps, y[:, None], X, steps, given)
            y, X = np.ascontiguousarray(among[:, 0]), _with_gaps(form, stamps, X, stamps[0])
        shown = np.searchsorted(stamps, steps)
        return decompose_rows(unit, y, *_split(unit.regular, X), shown, form.axis.at(steps))

    def _decompose_ahead(
        self, unit: ProcessUnit, which: int, steps: np.ndarray, given: FloatArray | None
    ) -> Decomposition:
        leads, axis = steps - self.last_[which], self.form_.axis
        if not axis.regular:
            X, shown = _with_gaps(self.form_, leads, given, 0), np.arange(len(leads))
        else:
            X, shown = None, leads - 1
            if given is not None:
                X = np.zeros((int(leads[-1]), given.shape[1]))
                X[shown] = given
        n = int(shown[-1]) + 1
        return decompose_ahead(unit, n, *_split(unit.regular, X), shown, axis.at(steps))

    def diagnostics(
        self, lags: int | None = None, *, series: Hashable | None = None, column: Hashable | None = None
    ) -> Diagnostics:
        """Test the standardised innovations of the training rows.

        Parameters
        ----------
        lags : int, optional
            Autocorrelations in the Ljung-Box statistic. Default: 10, but no more than a fifth of the rows.
        series, column : hashable, optional
            Which series of a panel, and which column of a wide frame.

        Returns
        -------
        Diagnostics
        """
        at, unit = self._unit(series, column)
        y, X = self._training(at)
        if self.rows_ is not None and self.rows_.at is not None:
            stamps = self.rows_.steps(at // len(self.form_.outputs))
            X = _with_gaps(self.form_, stamps, X, stamps[0])
        residuals = standardised(unit, y, *_split(unit.regular, X))
        return diagnose(residuals, read_lags(lags, 5, len(residuals)), sum(unit.free))


def _with_gaps(form: Form, at: np.ndarray, X: FloatArray | None, before: Any) -> FloatArray:
    """Covariates behind a column of the time since the row before, of the first row since the step `before`."""
    gaps = form.axis.lengths(np.diff(at, prepend=at.dtype.type(before)))[:, None]
    return gaps if X is None else np.concatenate([gaps, X], axis=1)


def _split(regular: bool, X: FloatArray | None) -> tuple[FloatArray | None, FloatArray | None]:
    """What `_with_gaps` joined; on a grid there is no such column."""
    if regular or X is None:
        return None, X
    return np.ascontiguousarray(X[:, 0]), np.ascontiguousarray(X[:, 1:]) if X.shape[1] > 1 else None
