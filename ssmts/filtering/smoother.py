"""Transformers for pipelines: smoothed signals, and missing values filled in."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin, clone
from sklearn.utils.validation import check_is_fitted, validate_data

from .._containers import FloatArray
from ..base import BaseForecaster
from ..core.gaussian import Packed, pack, sample, smooth
from ..core.gaussian._forward import over_time
from ..core.gaussian._pack import takes_inputs
from ..core.types import Array, LinearGaussianSSM, SmoothResult, State
from ..exceptions import InputError, InputTypeError, TooShortError
from ..forecasting._structural_unit import prior, serving
from ..forecasting.joint import JointForecaster, ready
from ..forecasting.structural import StructuralForecaster
from ..panel import read_future
from .kalman import KalmanFilter


class Stretch(NamedTuple):
    """Consecutive rows of some columns with the model that they follow."""

    packed: Packed
    start: State
    y: Array  # (n_times, n_obs) on the model's scale
    shift: float
    columns: slice
    rows: npt.NDArray[np.intp]  # which of these rows the caller asked about
    positions: npt.NDArray[np.intp]  # and where they stand in the caller's table


class _Smoothing(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """What the transformers share: a forecaster that is fitted on the table, and tables cut into stretches."""

    model: Any
    freq: Any
    n_jobs: int | None

    def fit(self, X: Any, y: Any = None) -> Self:
        """Estimate the model of the columns.

        Parameters
        ----------
        X : DataFrame, Series, or array of shape (n_rows, n_columns)
            Rows in the order of time. NaN are missing values; so are stamps that an index leaves out.
        y : object, optional
            Not read.

        Returns
        -------
        self
        """
        forecaster, X = self._forecaster(), _columns(X)
        values = validate_data(self, X, dtype=np.float64, ensure_all_finite="allow-nan")
        self.forecaster_ = forecaster.fit(_table(X, values))
        return self

    def _forecaster(self) -> BaseForecaster:
        model = self.model
        if model is None:
            made: BaseForecaster = StructuralForecaster(freq=self.freq, n_jobs=self.n_jobs)
        elif isinstance(model, LinearGaussianSSM):
            made = KalmanFilter(model, freq=self.freq, n_jobs=self.n_jobs)
        elif isinstance(model, StructuralForecaster | JointForecaster):
            made = clone(model)
        else:
            raise InputTypeError(
                "model must be None, a LinearGaussianSSM, a StructuralForecaster, a KalmanFilter, a VARForecaster or a "
                f"DynamicFactorForecaster; received {type(model).__name__}."
            )
        if made.target_transform is not None:
            raise InputError("model has a target_transform: put the transformer before this one in a pipeline instead.")
        return made

    def _stretches(self, X: Any) -> tuple[FloatArray, list[Stretch]]:
        """Values of a table, and its series cut into stretches on the grid of time."""
        check_is_fitted(self)
        X = _columns(X)
        values = validate_data(self, X, dtype=np.float64, ensure_all_finite="allow-nan", reset=False)
        f = self.forecaster_
        rows, _ = read_future(f.form_, _table(X, values), f.last_, None, holes=True)
        out: list[Stretch] = []
        for series, steps, positions in zip(rows.series, rows.steps, rows.positions):
            last = int(f.last_[series])
            follows = f.form_.indexed and steps[0] > last
            first = last + 1 if follows else int(steps[0])
            y = np.full((int(steps[-1]) - first + 1, values.shape[1]), np.nan)
            y[steps - first] = values[positions]
            out += self._cut(int(series), y, follows, steps - first, positions)
        return values, out

    def _cut(self, series: int, y: Array, follows: bool, rows: Any, positions: Any) -> Iterator[Stretch]:
        f = self.forecaster_
        width = y.shape[1]
        if isinstance(f, JointForecaster):
            unit = f.units_[series]
            if takes_inputs(unit.ssm):
                raise InputError("the model has inputs, which a transformer of columns cannot give it.")
            packed = pack(ready(unit.ssm, unit.row if follows else 0), len(y))
            yield Stretch(packed, unit.state if follows else packed.start, y, 0.0, slice(None), rows, positions)
            return
        for column in range(width):
            one = f.units_[series * width + column]
            start = one.state if follows else prior(one)
            own = np.ascontiguousarray(y[:, column : column + 1] - one.shift)
            yield Stretch(serving(one, None), start, own, one.shift, slice(column, column + 1), rows, positions)

    def __sklearn_tags__(self) -> Any:
        """scikit-learn's tags: missing values are welcome."""
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags


class KalmanSmoother(_Smoothing):
    """Take the noise out of columns: the signal of a state-space model given all rows, at every row.

    Parameters
    ----------
    model : forecaster or LinearGaussianSSM, optional
        A `StructuralForecaster`, which is fitted to each column by itself; or a `KalmanFilter`, `VARForecaster`,
        `DynamicFactorForecaster` or explicit matrices, whose observations are the columns together. Default: ``StructuralForecaster()``.
    freq : str or offset, optional
        Frequency of the rows for the default model and for explicit matrices; found from the index unless given.
    n_jobs : int, optional
        Threads over columns and series, as in joblib.

    Attributes
    ----------
    forecaster_ : StructuralForecaster, KalmanFilter, VARForecaster or DynamicFactorForecaster
        The fitted model.
    n_features_in_ : int
    feature_names_in_ : ndarray of str
        Names of the columns, if they are strings.

    Notes
    -----
    The signal is the observation without its noise, at missing rows too. It looks ahead: it is for description and for
    training data, not for a live stream. Rows that `transform` gets with stamps after those of `fit` go on from the state
    there; all others, and arrays, are a stretch of their own that starts from the prior of the model with the fitted parameters.

    Examples
    --------
    >>> import numpy as np
    >>> from ssmts import KalmanSmoother, StructuralForecaster
    >>> import statsmodels.datasets
    >>> nile = statsmodels.datasets.nile.load_pandas().data[["volume"]].to_numpy()
    >>> KalmanSmoother(StructuralForecaster("local_level")).fit_transform(nile)[:3].round(1).ravel()
    array([1111.7, 1110.9, 1105.3])
    """

    def __init__(self, model: Any = None, *, freq: Any = None, n_jobs: int | None = None) -> None:
        self.model = model
        self.freq = freq
        self.n_jobs = n_jobs

    def transform(self, X: Any) -> Any:
        """Smooth the columns.

        Parameters
        ----------
        X : DataFrame, Series, or array of shape (n_rows, n_columns)

        Returns
        -------
        DataFrame, Series, or array of shape (n_rows, n_columns)
            Of the kind of X, with its index and columns.
        """
        values, stretches = self._stretches(X)
        out = np.empty_like(values)
        for stretch in stretches:
            found = smoothed(stretch)
            out[stretch.positions, stretch.columns] = (means(stretch, found.smoothed_mean) + stretch.shift)[
                stretch.rows
            ]
        return _like(X, out)


class KalmanImputer(_Smoothing):
    """Fill in missing values with what a state-space model expects of them, given all the others.

    Parameters
    ----------
    model : forecaster or LinearGaussianSSM, optional
        A `StructuralForecaster`, which is fitted to each column by itself; or a `KalmanFilter`, `VARForecaster`,
        `DynamicFactorForecaster` or explicit matrices, whose observations are the columns together. Default: ``StructuralForecaster()``.
    draw : bool, default False
        Whether values are drawn from their joint distribution, instead of being its mean: for multiple imputation, and where
        filled columns should be as rough as observed ones.
    random_state : int, Generator or None
        For the draws.
    freq : str or offset, optional
        Frequency of the rows for the default model and for explicit matrices; found from the index unless given.
    n_jobs : int, optional
        Threads over columns and series, as in joblib.

    Attributes
    ----------
    forecaster_ : StructuralForecaster, KalmanFilter, VARForecaster or DynamicFactorForecaster
        The fitted model.
    n_features_in_ : int
    feature_names_in_ : ndarray of str
        Names of the columns, if they are strings.

    Notes
    -----
    Observed values come back as they are. Where `transform` starts is as in `KalmanSmoother`.

    Examples
    --------
    >>> import numpy as np
    >>> from ssmts import KalmanImputer
    >>> from ssmts.core.types import LinearGaussianSSM
    >>> one = np.eye(1)
    >>> walk = LinearGaussianSSM(one, one, one, 0 * one, np.zeros(1), 0 * one, initial_diffuse_cov=one)
    >>> KalmanImputer(walk).fit_transform([[1.0], [np.nan], [np.nan], [4.0]]).ravel()
    array([1., 2., 3., 4.])
    """

    def __init__(
        self,
        model: Any = None,
        *,
        draw: bool = False,
        random_state: int | np.random.Generator | None = None,
        freq: Any = None,
        n_jobs: int | None = None,
    ) -> None:
        self.model = model
        self.draw = draw
        self.random_state = random_state
        self.freq = freq
        self.n_jobs = n_jobs

    def transform(self, X: Any) -> Any:
        """Fill in missing values.

        Parameters
        ----------
        X : DataFrame, Series, or array of shape (n_rows, n_columns)

        Returns
        -------
        DataFrame, Series, or array of shape (n_rows, n_columns)
            Of the kind of X, with its index and columns.
        """
        values, stretches = self._stretches(X)
        out, rng = values.copy(), np.random.default_rng(self.random_state)
        for stretch in stretches:
            if not np.isnan(stretch.y).any():
                continue
            filled = (self._drawn(stretch, rng) if self.draw else self._expected(stretch)) + stretch.shift
            own = out[stretch.positions, stretch.columns]
            out[stretch.positions, stretch.columns] = np.where(np.isnan(own), filled[stretch.rows], own)
        return _like(X, out)

    @staticmethod
    def _expected(stretch: Stretch) -> Array:
        found = smoothed(stretch)
        return means(stretch, found.smoothed_mean) + found.smoothed_obs_disturbance

    @staticmethod
    def _drawn(stretch: Stretch, rng: np.random.Generator) -> Array:
        """A path of the states, and of missing noises given those that are seen beside them."""
        smoothed(stretch)
        states = sample(stretch.packed, stretch.y, 1, rng, state=stretch.start)[0]
        mean = means(stretch, states)
        R, out = over_time(stretch.packed.ssm.obs_cov, len(mean)), mean.copy()
        for t in np.flatnonzero(np.isnan(stretch.y).any(axis=1)):
            cov, seen = R[min(int(t), len(R) - 1)], ~np.isnan(stretch.y[t])
            gain = cov[np.ix_(~seen, seen)] @ np.linalg.pinv(cov[np.ix_(seen, seen)], hermitian=True)
            rest = cov[np.ix_(~seen, ~seen)] - gain @ cov[np.ix_(seen, ~seen)]
            roots, vectors = np.linalg.eigh(rest)
            noise = vectors @ (np.sqrt(np.maximum(roots, 0.0)) * rng.standard_normal(len(roots)))
            out[t, ~seen] += gain @ (stretch.y[t, seen] - mean[t, seen]) + noise
        return out


def smoothed(stretch: Stretch) -> SmoothResult:
    """The smoother of a stretch, which must determine the model's states."""
    found = smooth(stretch.packed, stretch.y, state=stretch.start)
    if not np.all(np.isfinite(found.smoothed_cov)):
        seen = int((~np.isnan(stretch.y)).any(axis=1).sum())
        raise TooShortError(
            f"The model starts from {stretch.start.rank} unknown value(s), which {seen} observed "
            f"row{'' if seen == 1 else 's'} in a stretch of their own do not determine. Pass more rows, or rows whose index "
            "goes on after those of fit."
        )
    return found


def means(stretch: Stretch, states: Array) -> Array:
    """Observations without their noise, of states (n_times, n_states)."""
    ssm, n = stretch.packed.ssm, len(states)
    out = np.squeeze(over_time(ssm.observation, n) @ states[..., None], -1)
    return np.asarray(out if ssm.obs_offset is None else out + over_time(ssm.obs_offset, n))


def _columns(X: Any) -> Any:
    return X.to_frame() if isinstance(X, pd.Series) else X


def _table(X: Any, values: FloatArray) -> Any:
    """The caller's frame with its index, or checked values."""
    return X.astype(np.float64) if isinstance(X, pd.DataFrame) else values


def _like(X: Any, values: FloatArray) -> Any:
    if isinstance(X, pd.Series):
        return pd.Series(values[:, 0], index=X.index, name=X.name)
    return pd.DataFrame(values, index=X.index, columns=X.columns) if isinstance(X, pd.DataFrame) else values
