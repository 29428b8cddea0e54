"""The discriminative Kalman filter: states that follow an autoregression, seen through any regression of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.linear_model import RidgeCV
from sklearn.metrics import r2_score
from sklearn.model_selection import check_cv, cross_val_predict
from sklearn.multioutput import MultiOutputRegressor
from sklearn.utils import get_tags
from sklearn.utils.validation import check_is_fitted

from .._containers import FloatArray, column_mismatch, read_table
from .._grid import NO_STAMPS, align, fill, ordered_outputs
from ..core.gaussian import filter, smooth
from ..core.types import LinearGaussianSSM, State
from ..distributions import Gaussian
from ..exceptions import InputError, InputTypeError, NumericalError, TimeIndexError, TooShortError
from ..forecasts import Forecast
from ..panel import Form, Rows
from ..timeindex import check_increasing
from ._messages import Messages, calibration, learn_dynamics, messages, outer_products, symmetric
from ._observed import Observed, observed, training_form

SPARE_ROWS = 3  # beyond the number of states
SHARP = 0.01  # a covariance from a regression has at least this share of the least eigenvalue of the constant one


class DiscriminativeKalmanFilter(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """Decode states from observations of any kind: a regression of the states, filtered over time.

    The states `y` follow a first-order vector autoregression. Of the observations `X` nothing is modelled but what they say
    about the states, ``E[y | X]`` and ``Cov[y | X]``, by a regressor; Bayes' rule turns that into the update of a Kalman filter.
    So it serves where there are many observations of an unknown relation to few states: neural recordings and a movement,
    images and a position, a bank of sensors and a load.

    Parameters
    ----------
    regressor : regressor, optional
        Of scikit-learn's kind; one that knows a single output is fitted to each state by itself. A frame goes to it as it is,
        so that a pipeline may pick columns of any type. Default: ``RidgeCV()``.
    cov_regressor : regressor, optional
        Learns how the error of the regressor depends on the observations, from the products of its cross-validated errors; averages
        of neighbours (``KNeighborsRegressor(100)``) are always covariances, others are mended where they are none. The default
        takes one covariance for all rows, which needs the fewest rows.
    robust : bool, default False
        Take the regressor's answer for a likelihood, instead of dividing it by the stationary law of the states. Safe where states
        leave the range of the training rows; the default is exact if they do not.
    calibrate : bool, default True
        Put the regressor's answers on the straight line that fits the states best, judged by cross-validation: Bayes' rule wants
        their conditional mean, and magnifies answers that are too extreme, as those of a few neighbours in many dimensions are.
        Not with `robust`, which takes the answers as they are.
    cv : int or splitter, default 5
        Folds of the errors; a number makes blocks of consecutive rows, since neighbours in time tell each other's states.
    freq : str or offset, optional
        Frequency of the rows; found from the index unless given.

    Attributes
    ----------
    regressor_, cov_regressor_ : regressor
        Fitted; the latter None for a constant covariance.
    intercept_, slope_ : (n_outputs,), (n_outputs, n_outputs)
        An answer f of the regressor is taken for ``intercept_ + slope_ @ f``.
    mean_ : (n_outputs,)
        Mean of the states.
    transition_, process_cov_, stationary_cov_ : (n_outputs, n_outputs)
        The autoregression of their deviations from it.
    obs_cov_ : (n_outputs, n_outputs)
        Covariance of the errors in cross-validation.
    mended_ : float
        Share of the training rows whose covariance had to be changed: clipped at the stationary one, where the regressor is
        worse than none in some direction, or lifted, where `cov_regressor` gave no covariance. Near 1 try ``robust=True``.
    state_ : State
        Where `update` stands.
    n_features_in_ : int
    feature_names_in_ : ndarray of str
        Names of the columns of X, if they are strings.

    Notes
    -----
    `predict` and `smooth` take their rows for a stretch of its own, which starts from the stationary law; `update` goes on from
    the last row that it got. A row of X with NaN that the regressor does not take, or with nothing else, is missing, and so is a stamp
    that the index leaves out. Trials after each other need only a gap of stamps that is long enough to forget.
    With encoder N(f, Q), prediction N(m, M) and stationary covariance S, a row gives the covariance
    ``C = (Q^-1 + M^-1 - S^-1)^-1`` and the mean ``C (Q^-1 f + M^-1 m)``; generalised eigenvalues of Q in S are clipped at 1.

    References
    ----------
    Burkhart, Brandman, Franco, Hochberg and Harrison (2020), The discriminative Kalman filter for Bayesian filtering with
    nonlinear and nongaussian observation models, Neural Computation 32(5), 969-1017.

    Examples
    --------
    A slow position, seen by cells that fire near places of their own:

    >>> import numpy as np
    >>> from sklearn.neighbors import KNeighborsRegressor
    >>> from ssmts import DiscriminativeKalmanFilter
    >>> rng = np.random.default_rng(0)
    >>> position = np.zeros(900)
    >>> for t in range(1, 900):
    ...     position[t] = 0.97 * position[t - 1] + 0.1 * rng.standard_normal()
    >>> rates = np.exp(-8 * (position[:, None] - np.linspace(-1, 1, 12)) ** 2)
    >>> spikes = rng.poisson(rates)
    >>> decoder = DiscriminativeKalmanFilter(KNeighborsRegressor(20)).fit(spikes[:600], position[:600])
    >>> alone = decoder.regressor_.predict(spikes[600:])
    >>> filtered = decoder.predict(spikes[600:])
    >>> [float(np.sqrt(np.mean((guess - position[600:]) ** 2)).round(2)) for guess in (alone, filtered)]
    [0.16, 0.13]
    """

    form_: Form
    state_: State
    last_step_: int | None

    def __init__(
        self,
        regressor: Any = None,
        *,
        cov_regressor: Any = None,
        robust: bool = False,
        calibrate: bool = True,
        cv: Any = 5,
        freq: Any = None,
    ) -> None:
        self.regressor = regressor
        self.cov_regressor = cov_regressor
        self.robust = robust
        self.calibrate = calibrate
        self.cv = cv
        self.freq = freq

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn the movement of the states, and the regression.

        Parameters
        ----------
        X : DataFrame, Series or array of shape (n_times, n_features)
            Observations in time order.
        y : Series, DataFrame or array of shape (n_times,) or (n_times, n_outputs)
            States. Rows with NaN teach nothing.

        Returns
        -------
        self

        Raises
        ------
        InputError, InputTypeError
            Stamps, values or shapes that cannot be used, and too few rows; what was fitted before stays.
        """
        if y is None:
            raise InputError(f"{type(self).__name__} requires y to be passed, but the target y is None.")
        for name in ("regressor", "cov_regressor"):
            if (given := getattr(self, name)) is not None and not hasattr(given, "fit"):
                raise InputTypeError(f"{name} is {given!r}: pass a scikit-learn regressor, or None for the default.")
        regressor = RidgeCV() if self.regressor is None else self.regressor
        seen = observed(X, regressor)
        target, table = align(read_table(y, "y"), seen.table)
        form, steps = training_form(seen, target, table, self.freq)
        known = ~np.isnan(target.values).any(axis=1)
        both = known & ~seen.missing
        n, k = int(both.sum()), target.values.shape[1]
        if n < k + SPARE_ROWS:
            raise TooShortError(
                f"{n} row(s) have observations and states (n_samples = {len(both)}); {k} state(s) need {k + SPARE_ROWS} rows."
            )
        dynamics = learn_dynamics(target.values[known], steps[known])
        features, states = seen[both], target.values[both]
        cv = check_cv(min(self.cv, n) if isinstance(self.cv, int) else self.cv)
        fitted, guess = _regress(regressor, features, states, cv)
        straight = self.calibrate and not self.robust
        intercept, slope = calibration(dynamics, guess, states) if straight else (np.zeros(k), np.eye(k))
        guess = intercept + guess @ slope.T
        errors = states - guess
        cov = errors.T @ errors / (n - len(dynamics.transition) - 1 if straight else n)
        spread = None
        if self.cov_regressor is not None:
            products = outer_products(errors @ dynamics.coordinates.T)
            spread = _several(clone(self.cov_regressor), products).fit(features, _flat(products))
        self.__dict__.pop("feature_names_in_", None)
        if form.features is not None and all(isinstance(name, str) for name in form.features):
            self.feature_names_in_ = np.array(form.features, dtype=object)
        self.n_features_in_ = form.n_features
        self.form_, self.dynamics_ = form, dynamics
        self.regressor_, self.cov_regressor_, self.obs_cov_ = fitted, spread, cov
        self.intercept_, self.slope_ = intercept, slope
        B, back = dynamics.loading, dynamics.coordinates
        self.mean_, self.stationary_cov_ = dynamics.mean, B @ B.T
        self.transition_, self.process_cov_ = B @ dynamics.transition @ back, B @ dynamics.process_cov @ B.T
        self.mended_ = float(np.mean(self._messages(features, guess).mended))
        return self.restart()

    def restart(self) -> Self:
        """Let `update` begin anew, from the stationary law of the states."""
        check_is_fitted(self)
        self.state_, self.last_step_ = self.dynamics_.start, None
        return self

    def predict(self, X: Any, return_std: bool = False) -> Any:
        """Estimate the state of each row from the rows up to it.

        Parameters
        ----------
        X : DataFrame, Series or array of shape (n_times, n_features)
            Observations in time order.
        return_std : bool, default False
            Whether to return the standard deviations of the states beside the means.

        Returns
        -------
        mean : Series, DataFrame or array
            Of the kind and names of the training `y`, with the index of X.
        std : the same, only with `return_std`
        """
        rows, mean, cov = self._filtered(X)
        return self._answer(rows, mean, cov, return_std)

    def predict_interval(self, X: Any, level: float | Sequence[float] = (80, 95)) -> Any:
        """Central intervals of the states of `predict`, columns ``lo-80, hi-80, lo-95, hi-95``.

        Parameters
        ----------
        X : DataFrame, Series or array of shape (n_times, n_features)
        level : float or sequence of float, default (80, 95)
            Coverage in per cent.
        """
        rows, mean, cov = self._filtered(X)
        m, v = self._states(mean, cov)
        return Forecast(Gaussian(m[None], v[None]), rows, level=level).interval()

    def smooth(self, X: Any, return_std: bool = False) -> Any:
        """Estimate the state of each row from all rows.

        Parameters
        ----------
        X, return_std
            As in `predict`.

        Returns
        -------
        mean, std
            As in `predict`.
        """
        rows, steps = self._read(X)
        ssm, y = self._model(rows[0], steps, int(steps[0]))
        found = smooth(ssm, y)
        at = steps - steps[0]
        return self._answer(rows[1], found.smoothed_mean[at], found.smoothed_cov[at], return_std)

    def update(self, X: Any, return_std: bool = False) -> Any:
        """Go on with new rows and return their states; parameters stay.

        Row by row it gives what `predict` gives of all rows at once. All or nothing: an error leaves the state as it was.

        Parameters
        ----------
        X, return_std
            As in `predict`, with rows after the last one.

        Returns
        -------
        mean, std
            As in `predict`.
        """
        (seen, rows), steps = self._read(X, following=True)
        first = int(steps[0]) if self.last_step_ is None else self.last_step_ + 1
        if steps[0] < first:
            stamp, last = self.form_.axis.format(int(steps[0])), self.form_.axis.format(first - 1)
            raise TimeIndexError(
                f"update got rows from {stamp}, but the state stands at {last}. Pass later rows only, or restart() first."
            )
        ssm, y = self._model(seen, steps, first)
        found = filter(ssm, y, state=self.state_)
        at = steps - first
        out = self._answer(rows, found.filtered_mean[at], found.filtered_cov[at], return_std)
        self.state_, self.last_step_ = found.state, int(steps[-1])
        return out

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """R² of `predict`, the mean over the states; rows of `y` with NaN are left out.

        Parameters
        ----------
        X, y
            As in `fit`.
        sample_weight : array of shape (n_times,), optional
        """
        mean = np.asarray(self.predict(X))
        target, _ = align(read_table(y, "y"), observed(X, self.regressor_).table)
        values = ordered_outputs(self.form_, target, "y")
        known = ~np.isnan(values).any(axis=1)
        weight = None if sample_weight is None else np.asarray(sample_weight)[known]
        return float(r2_score(values[known], mean.reshape(values.shape)[known], sample_weight=weight))

    def __sklearn_tags__(self) -> Any:
        """scikit-learn's tags: several states, missing rows, a score that rows without order do not satisfy."""
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.target_tags.multi_output = True
        tags.regressor_tags.poor_score = True
        return tags

    # shared work ------------------------------------------------------------------------------------------------

    def _filtered(self, X: Any) -> tuple[Rows, FloatArray, FloatArray]:
        (seen, rows), steps = self._read(X)
        found = filter(*self._model(seen, steps, int(steps[0])))
        at = steps - steps[0]
        return rows, found.filtered_mean[at], found.filtered_cov[at]

    def _read(self, X: Any, following: bool = False) -> tuple[tuple[Observed, Rows], npt.NDArray[np.int64]]:
        """Rows of X, the answer to fill, and the step of each row."""
        check_is_fitted(self)
        form, seen = self.form_, observed(X, self.regressor_)
        if seen.names is not None and form.features is not None and seen.names != form.features:
            raise InputError(column_mismatch(seen.names, form.features, "X"))
        n = seen.features.shape[1]
        if n != form.n_features:
            raise InputError(
                f"X has {n} features, but {type(self).__name__} is expecting {form.n_features} features as input."
            )
        time = seen.table.time
        if form.indexed and time is None:
            raise InputError(NO_STAMPS)
        if time is None:
            before = self.last_step_ if following else None
            steps = np.arange(len(seen.missing)) + (0 if before is None else before + 1)
        elif form.indexed:
            check_increasing(time)
            steps = form.axis.steps(time)
        else:
            raise InputError("fit saw arrays, whose rows have no stamps; pass an array, not an indexed object.")
        rows = Rows(form, np.zeros(1, dtype=np.int64), (steps,), (np.arange(len(steps)),), seen.table.index)
        return (seen, rows), steps

    def _model(self, seen: Observed, steps: npt.NDArray[np.int64], first: int) -> tuple[LinearGaussianSSM, FloatArray]:
        """The linear Gaussian model of the rows on the grid from the step `first`, and its observations."""
        there = ~seen.missing
        r, k = self.dynamics_.coordinates.shape
        answers = _answers(self.regressor_, seen[there], k) if there.any() else np.empty((0, k))
        said = self._messages(seen[there], self.intercept_ + answers @ self.slope_.T)
        y = np.full((len(there), r), np.nan)
        y[there] = said.y
        y = fill(y, np.arange(len(y)), steps, first, np.nan)
        return said.on_grid(y, steps[there] - first, self.dynamics_), y

    def _messages(self, features: Any, guess: FloatArray) -> Messages:
        cov, floor = self.dynamics_.whiten(self.obs_cov_), 0.0
        if self.cov_regressor_ is not None:
            floor = SHARP * max(float(np.linalg.eigvalsh(cov)[0]), 0.0)
            r = len(cov)
            n = r * (r + 1) // 2
            products = _answers(self.cov_regressor_, features, n) if len(guess) else np.empty((0, n))
            cov = symmetric(products, r)
        return messages(self.dynamics_, guess, cov, robust=self.robust, floor=floor)

    def _states(self, mean: FloatArray, cov: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Means and variances of states."""
        B = self.dynamics_.loading
        variance = np.einsum("ki,tij,kj->tk", B, cov, B)
        return self.mean_ + mean @ B.T, np.maximum(variance, 0.0)

    def _answer(self, rows: Rows, mean: FloatArray, cov: FloatArray, return_std: bool) -> Any:
        m, variance = self._states(mean, cov)
        return (rows.wrap(m[None]), rows.wrap(np.sqrt(variance)[None])) if return_std else rows.wrap(m[None])


def _regress(regressor: Any, features: Any, states: FloatArray, cv: Any) -> tuple[Any, FloatArray]:
    """The regressor fitted to all rows, and its guess of each row from folds without it."""
    model = _several(clone(regressor), states)
    guess = _rows(cross_val_predict(model, features, _flat(states), cv=cv), states.shape[1])
    return model.fit(features, _flat(states)), guess


def _answers(regressor: Any, features: Any, columns: int) -> FloatArray:
    values = _rows(regressor.predict(features), columns)
    if not np.isfinite(values).all():
        row = int((~np.isfinite(values)).any(axis=1).argmax())
        raise NumericalError(
            f"{type(regressor).__name__} answers {values[row]} to row {row} of the complete rows. Scale or clip what it gets."
        )
    return values


def _several(regressor: Any, y: FloatArray) -> Any:
    """A regressor for all columns of y."""
    alone = y.shape[1] > 1 and not get_tags(regressor).target_tags.multi_output
    return MultiOutputRegressor(regressor) if alone else regressor


def _flat(y: FloatArray) -> FloatArray:
    return y[:, 0] if y.shape[1] == 1 else y


def _rows(values: Any, columns: int) -> FloatArray:
    return np.asarray(values, dtype=np.float64).reshape(-1, columns)
