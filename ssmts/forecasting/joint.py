"""Forecasters whose columns are one multivariate series: each series of a panel is a unit with a state-space model of its own."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, ClassVar, NamedTuple

import numpy as np
from joblib import Parallel, delayed
from sklearn.utils.validation import check_is_fitted

from .._containers import FloatArray
from ..base import BaseForecaster, Capabilities
from ..core.gaussian import Packed, filter, forecast, pack, simulate, smooth
from ..core.gaussian._forward import over_time, run
from ..core.gaussian._pack import takes_inputs
from ..core.types import FilterResult, LinearGaussianSSM, SmoothResult, State, TimeVarying
from ..distributions import Distribution, Gaussian
from ..exceptions import FutureRowsError, InputError, SsmtsError, UnknownSeriesError
from ..panel import Form, Panel, SeriesRows, read_future
from ._news_table import NewsTable, inputs_of, news_table, read_vintage
from ._summary import COLUMNS, entries


class JointUnit(NamedTuple):
    """A state-space model of one series, and where it stands."""

    ssm: LinearGaussianSSM
    state: State  # of the next row
    row: int  # how many rows have passed, which is where time-varying matrices stand
    loglik: float  # of the training rows
    params: dict[str, Any]
    stderr: dict[str, Any]
    converged: bool
    logliks: FloatArray | None = None  # of the start and after each step, where the fit has steps


class _Same:
    """A model as a key, by identity."""

    __slots__ = ("ssm",)

    def __init__(self, ssm: LinearGaussianSSM) -> None:
        self.ssm = ssm

    def __hash__(self) -> int:
        return id(self.ssm)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other.ssm is self.ssm


@lru_cache(maxsize=256)
def _packed(key: _Same) -> Packed:
    return pack(key.ssm)


def ready(ssm: LinearGaussianSSM, row: int) -> Packed:
    """The matrices from a row on; those of a constant model are packed once."""
    if not any(isinstance(field, TimeVarying) for field in ssm):
        return _packed(_Same(ssm))
    later: Any = (TimeVarying(f.values[row:]) if isinstance(f, TimeVarying) else f for f in ssm)
    return pack(LinearGaussianSSM(*later))


def started(ssm: LinearGaussianSSM, y: FloatArray, X: FloatArray | None, **more: Any) -> JointUnit:
    """The unit of a model that has seen its training rows."""
    done = run(pack(ready(ssm, 0), len(y)), y, X, None)
    settled: dict[str, Any] = {"params": {}, "stderr": {}, "converged": True} | more
    return JointUnit(ssm, done.state, len(y), float(done.loglik), **settled)


class JointForecaster(BaseForecaster):
    """Base of forecasters that treat the columns of a series as one multivariate series.

    Subclasses define `_fit_series`; units stand in ``units_``, one for each series.
    """

    capabilities: ClassVar[Capabilities] = Capabilities(joint=True)
    n_jobs: int | None
    units_: tuple[JointUnit, ...]

    @abstractmethod
    def _fit_series(self, y: FloatArray, X: FloatArray | None) -> JointUnit:
        """Unit of one series ``(n_times, n_outputs)``."""

    # hooks ------------------------------------------------------------------------------------------------------

    def _fitting(self, form: Form) -> Callable[[FloatArray, FloatArray | None], JointUnit]:
        """What fits a series; a model whose arguments name columns looks them up in `form`."""
        return self._fit_series

    def _fit(self, form: Form, panel: Panel) -> dict[str, Any]:
        fit_series = self._fitting(form)

        def fit(series: int) -> JointUnit:
            X = None if panel.X is None or not form.n_features else panel.X[series]
            try:
                return fit_series(np.ascontiguousarray(panel.y[series]), X)
            except SsmtsError as error:
                label = "" if form.keys is None else f"Series {form.keys[series]!r}: "
                raise type(error)(f"{label}{error}") from error

        if len(panel.y) == 1:
            return {"units_": (fit(0),)}
        jobs = (delayed(fit)(series) for series in range(len(panel.y)))
        return {"units_": tuple(Parallel(n_jobs=self.n_jobs, prefer="threads")(jobs))}

    def _update(self, news: Sequence[SeriesRows]) -> dict[str, Any]:
        units = list(self.units_)
        for new in news:
            unit = units[new.series]
            packed = pack(ready(unit.ssm, unit.row), len(new.y))
            done = run(packed, np.ascontiguousarray(new.y), self._inputs(unit, new.X), unit.state)
            units[new.series] = unit._replace(state=done.state, row=unit.row + len(new.y))
        return {"units_": tuple(units)}

    def _forecast(self, series: int, leads: np.ndarray, X: FloatArray | None) -> Distribution:
        unit, horizon = self.units_[series], int(leads[-1])
        inputs = None
        if takes_inputs(unit.ssm):
            assert X is not None
            if len(leads) < horizon and unit.ssm.input_matrix is not None:
                absent = int(np.setdiff1d(np.arange(1, horizon + 1), leads)[0])
                raise FutureRowsError(
                    f"Covariates move the states, so each row counts: X_future{self.form_.label(series)} has no row "
                    f"{absent} step(s) after the last known one. Pass the missing rows."
                )
            inputs = np.zeros((horizon, X.shape[1]))
            inputs[leads - 1] = X
        packed = ready(unit.ssm, unit.row)
        found = forecast(packed, unit.state, horizon, inputs)

        def draw(n: int, rng: np.random.Generator) -> FloatArray:
            return simulate(packed, horizon, n, rng, state=unit.state, inputs=inputs)[1][:, None, leads - 1]

        return Gaussian(found.mean[leads - 1][None], found.cov[leads - 1][None], draw)

    def _one_step(self, series: int, y: FloatArray, X: FloatArray | None) -> tuple[FloatArray, FloatArray]:
        unit = self.units_[series]
        inputs = self._inputs(unit, X)
        done = filter(ready(unit.ssm, 0), y, inputs)
        mean = signal(unit.ssm, done.predicted_mean[:-1], inputs)
        return mean, np.diagonal(done.innovation_cov, axis1=1, axis2=2)

    def _follow(self, series: int, y: FloatArray, X: FloatArray | None) -> tuple[FloatArray, FloatArray]:
        unit = self.units_[series]
        inputs = self._inputs(unit, X)
        done = filter(pack(ready(unit.ssm, unit.row), len(y)), y, inputs, state=unit.state)
        mean = signal(unit.ssm, done.predicted_mean[:-1], inputs, unit.row)
        return mean, np.diagonal(done.innovation_cov, axis1=1, axis2=2)

    @staticmethod
    def _inputs(unit: JointUnit, X: FloatArray | None) -> FloatArray | None:
        return X if takes_inputs(unit.ssm) else None

    # results ----------------------------------------------------------------------------------------------------

    @property
    def states_(self) -> tuple[State, ...]:
        """Predicted state of the next row, of each series."""
        check_is_fitted(self)
        return tuple(unit.state for unit in self.units_)

    @property
    def loglik_(self) -> Any:
        """Log-likelihood of the training rows; of a panel, an array."""
        return self._each("loglik")

    @property
    def converged_(self) -> Any:
        """Whether the search reached a maximum; of a panel, an array."""
        return self._each("converged")

    @property
    def params_(self) -> Any:
        """Parameters by name; of a panel, a list."""
        return self._each("params")

    @property
    def stderr_(self) -> Any:
        """Standard errors by name, NaN where there are none; of a panel, a list."""
        return self._each("stderr")

    def summary(self, series: Any = None) -> str:
        """Estimates with standard errors, as a text table.

        Parameters
        ----------
        series : hashable, optional
            Which series of a panel.

        Returns
        -------
        str
            A parameter that is an array has a line for each of its entries.
        """
        unit = self.units_[self._at(series)]
        n_states, n_obs = len(unit.state.mean), over_time(unit.ssm.observation, 1).shape[-2]
        lines = [
            f"{type(self).__name__}{'' if series is None else f' of {series!r}'}: {n_obs} column(s), {n_states} state(s), "
            + ("converged" if unit.converged else "NOT CONVERGED"),
            f"log-likelihood {unit.loglik:.3f}",
        ]
        return "\n".join([*lines, *(["", COLUMNS, *entries(unit.params, unit.stderr)] if unit.params else [])])

    def filter(self, series: Any = None) -> FilterResult:
        """Filtered states of the training rows, on the scale of the model.

        Parameters
        ----------
        series : hashable, optional
            Which series of a panel.

        Returns
        -------
        FilterResult
        """
        unit, y, X = self._training(series)
        return filter(ready(unit.ssm, 0), y, self._inputs(unit, X))

    def smooth(self, series: Any = None) -> SmoothResult:
        """States and disturbances of the training rows given all of them, on the scale of the model.

        Parameters
        ----------
        series : hashable, optional
            Which series of a panel.

        Returns
        -------
        SmoothResult

        Raises
        ------
        SsmtsError
            The training rows were not saved with the estimator.
        """
        unit, y, X = self._training(series)
        return smooth(ready(unit.ssm, 0), y, self._inputs(unit, X))

    def news(self, y: Any, at: Any = 1, *, series: Any = None) -> NewsTable:
        """Why forecasts change from the training rows to a later vintage of them, with parameters as they are.

        The forecasts move first with the values that were revised, then with those that were withdrawn, then with what is new in
        the values that were added: the weight of each times its distance from what the others let expect.

        Parameters
        ----------
        y : Series, DataFrame, long frame or array
            The later vintage: rows from the first training row on or any later one, as in `fit`. Rows that it does not have
            are as they were; NaN in those that it has are withdrawn. Rows of an array count from the first training row.
        at : int, Index, DataFrame or array, default 1
            What is forecast, as in `predict`: a number of steps after the last training row, or stamps, which may be of
            rows that one of the vintages has. With covariates, the rows of `X` up to the last row of `y` and of what is forecast.
        series : hashable, optional
            Which series of a panel.

        Returns
        -------
        NewsTable
            ``.to_frame(column, time)`` has for one forecast every new value, what was expected, its weight and its impact. All on
            the scale of the model where there is a `target_transform`; means are those of rows without their noise.

        Raises
        ------
        InputError
            Rows before the first training row, or of another kind than those of `fit`.
        SsmtsError
            The training rows were not saved with the estimator.

        References
        ----------
        Banbura and Modugno (2014), Journal of Applied Econometrics 29, 133-160.
        """
        unit, before, X = self._training(series)
        form, rows = self.form_, self.rows_
        which = 0 if form.keys is None else form.keys.index(series)
        assert rows is not None
        if not form.axis.regular:
            raise InputError("news are told of rows with a frequency; those of fit have none.")
        start = int(rows.start[which])
        later = read_vintage(form, y, which, start, rows.y[which])
        later = later if self.maps_ is None else self.maps_[which].forward(later)
        asked, given = read_future(form, at, self.trained_until_, rows, holes=True)
        place = int(np.flatnonzero(asked.series == which)[0]) if which in asked.series else -1
        times = (asked.steps[place] if place >= 0 else np.zeros(0, dtype=np.int64)) - start
        if not len(times) or times.min() < 0:
            raise InputError(f"at must have rows{form.label(which)} from {form.axis.format(start)} on.")
        inputs = None
        if takes_inputs(unit.ssm):
            assert X is not None
            assert given is not None
            inputs = inputs_of(X, times, given[place], max(len(later), int(times.max()) + 1), form, start)
        return news_table(unit.ssm, before, later, times, inputs, form, start)

    def _each(self, name: str) -> Any:
        check_is_fitted(self)
        values = [getattr(unit, name) for unit in self.units_]
        if len(values) == 1:
            return values[0]
        return np.array(values) if np.ndim(values[0]) == 0 and not isinstance(values[0], dict) else values

    def _at(self, series: Any) -> int:
        check_is_fitted(self)
        keys = self.form_.keys
        if keys is None and series is not None:
            raise UnknownSeriesError(f"There is one series only, without a name; received {series!r}.")
        if keys is not None and series not in keys:
            raise UnknownSeriesError(f"Pass series=, one of {', '.join(map(repr, keys[:5]))}; received {series!r}.")
        return 0 if keys is None else keys.index(series)

    def _training(self, series: Any) -> tuple[JointUnit, FloatArray, FloatArray | None]:
        at = self._at(series)
        if self.rows_ is None:
            raise SsmtsError(
                "This needs the training rows, and they were not saved: save(..., data=True), or fit again."
            )
        return self.units_[at], self._model_rows(at), None if self.rows_.X is None else self.rows_.X[at]


def signal(ssm: LinearGaussianSSM, states: FloatArray, inputs: FloatArray | None, row: int = 0) -> FloatArray:
    """Observations without their noise.

    Parameters
    ----------
    ssm : LinearGaussianSSM
    states : ndarray, shape (..., n_times, n_states)
    inputs : ndarray, shape (n_times, n_inputs), optional
    row : int
        Where the first of them stands in time-varying matrices.
    """
    n = states.shape[-2]

    def rows(field: Any) -> FloatArray:
        if isinstance(field, TimeVarying):
            return np.asarray(field.values[row : row + n], dtype=float)
        return np.asarray(field, dtype=float)[None]

    out = np.squeeze(rows(ssm.observation) @ states[..., None], -1)
    if ssm.obs_offset is not None:
        out = out + rows(ssm.obs_offset)
    if ssm.feedthrough is not None and inputs is not None:
        out = out + np.squeeze(rows(ssm.feedthrough) @ inputs[..., None], -1)
    return np.asarray(out)


def check_width(ssm: LinearGaussianSSM, y: FloatArray, X: FloatArray | None) -> None:
    """Refuse rows that a model cannot have made.

    Parameters
    ----------
    ssm : LinearGaussianSSM
    y, X : ndarray
        Rows of the target and of covariates.
    """
    H = ssm.observation.values[0] if isinstance(ssm.observation, TimeVarying) else ssm.observation
    if len(H) != y.shape[1]:
        raise InputError(f"The model has {len(H)} observation(s) a row, and y has {y.shape[1]} column(s).")
    field = ssm.input_matrix if ssm.input_matrix is not None else ssm.feedthrough
    if field is None:
        if X is not None:
            raise InputError(
                f"X has {X.shape[1]} covariate(s), and the model has no inputs: give it a feedthrough or an input_matrix, "
                "or fit y alone."
            )
        return
    width = np.shape(field.values if isinstance(field, TimeVarying) else field)[-1]
    if X is None or X.shape[1] != width:
        got = "none" if X is None else str(X.shape[1])
        raise InputError(f"The model has {width} input(s), so X needs as many columns; it has {got}.")
