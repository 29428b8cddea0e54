"""The Kalman filter, its likelihood, and forecasts."""

from typing import Any

import numpy as np
import numpy.typing as npt

from ssmts.core.gaussian._forward import (
    FILTERED,
    PREDICTED,
    Pass,
    begin,
    dot,
    drive,
    infinities,
    over_time,
    run,
    unresolved,
)
from ssmts.core.gaussian._kernels.update import LOG_2PI
from ssmts.core.gaussian._ladder import Likelihood, serve, stack
from ssmts.core.gaussian._pack import Packed, pack
from ssmts.core.types import Array, FilterResult, ForecastResult, LinearGaussianSSM, State
from ssmts.exceptions import InputError, NumericalError


def filter(
    ssm: LinearGaussianSSM | Packed,
    y: npt.ArrayLike,
    inputs: npt.ArrayLike | None = None,
    method: str = "auto",
    *,
    state: State | None = None,
) -> FilterResult:
    """Run the Kalman filter.

    Observations are absorbed one scalar at a time, after decorrelation if ``obs_cov`` is full (Koopman and Durbin 2000); a
    diffuse prior is treated exactly (Koopman 1997, Durbin and Koopman 2012, section 5.2). NaN are missing, in whole rows or
    in part. An entry that the past determines exactly adds nothing, unless it contradicts it: then ``loglik`` is ``-inf``. Of
    states that the rows so far leave undetermined the covariances are infinite, and the means have no meaning.

    Parameters
    ----------
    ssm : LinearGaussianSSM or Packed
    y : (n_times, n_obs) or (n_series, n_times, n_obs)
        The series, or a batch of independent series of the same model.
    inputs : (n_times, n_inputs), optional
        Needed exactly if the model has ``input_matrix`` or ``feedthrough``; shared by a batch.
    method : str, default "auto"
        Which rung of the ladder to use, by name; "auto" takes the fastest that is exact for the model and the data.
    state : State, optional
        Start from here instead of from the model's prior, all series of a batch from the same; `TimeVarying` rows count
        from the first row of ``y``.

    Raises
    ------
    InputError
        If the model, the series or the inputs do not fit each other, or the rung that was named does not claim them.
    NumericalError
        If a covariance leaves the sound numbers; the message names the matrix and the row.

    Examples
    --------
    >>> import numpy as np
    >>> from ssmts.core.types import LinearGaussianSSM
    >>> one = np.eye(1)
    >>> level = LinearGaussianSSM(one, one, one, one, np.zeros(1), 0 * one, initial_diffuse_cov=one)
    >>> result = filter(level, np.array([[1.0], [np.nan], [4.0]]))
    >>> result.state.mean, result.n_diffuse
    (array([3.25]), 1)
    """
    job = serve("filter", ssm, y, inputs, method, state)
    assert job.rung.filter is not None
    if job.rung.batched or job.y.ndim == 2:
        done: FilterResult = job.rung.filter(job.packed, job.y, inputs, state)
    else:
        done = stack(job.each(job.rung.filter, inputs, state))
    check_number("the log-likelihood", job.rung.name, np.asarray(done.loglik), np.atleast_2d(done.loglik_t))
    return done


def check_number(what: str, method: str, values: Array, loglik_t: Array | None = None) -> None:
    """Refuse to hand out what is no number, saying at which row that began if the rows' likelihoods (n_series, n) tell."""
    if not np.isnan(values).any():
        return
    wrong = np.zeros((0, 0), bool) if loglik_t is None else np.isnan(loglik_t)
    where = f" from row {int(np.argmax(wrong.any(axis=0)))} on" if wrong.any() else ""
    other = "" if method == "sequential" else ', or pass method="sequential", which names the matrix and the row'
    raise NumericalError(
        f"{what} of method={method!r} is not a number{where}, as sums of squares overflow: scale the series and the model{other}"
    )


def filter_one(packed: Packed, y: Array, inputs: npt.ArrayLike | None, state: State | None) -> FilterResult:
    """The filter of one series, one scalar observation at a time."""
    return filter_result(packed, state, run(packed, y, inputs, state, FILTERED | PREDICTED))


def filter_result(packed: Packed, state: State | None, done: Pass) -> FilterResult:
    """What a pass that started from `state` and kept everything has found."""
    show_infinities(packed, state, done)
    kept = done.trace
    means = kept.predicted_m, kept.predicted_P, kept.m, kept.P
    return FilterResult(done.loglik, kept.loglik, *means, kept.v, kept.S, done.n_diffuse, done.state)


def show_infinities(packed: Packed, state: State | None, done: Pass) -> None:
    """Add kappa A A' to the covariances of the rows that are partly diffuse, in the limit."""
    trace, rows, first = done.trace, len(done.trace.rank), begin(packed, state)[2]
    if not first.shape[1]:
        return
    F, H = over_time(packed.ssm.transition, rows), over_time(packed.ssm.observation, rows)
    A = np.concatenate([first[None], F @ trace.A])
    predicted = unresolved(A, np.concatenate([[first.shape[1]], trace.rank]))
    trace.predicted_P[: rows + 1] += infinities(predicted)
    trace.S[:rows] += infinities(observed(H, predicted[:rows]))
    trace.P[:rows] += infinities(unresolved(trace.A, trace.rank))


def observed(H: Array, diffuse_cov: Array) -> Array:
    """H A A' H', exactly zero for observations that see nothing diffuse."""
    seen = H @ diffuse_cov @ H.swapaxes(-1, -2)
    size = dot(np.abs(H), np.sqrt(np.diagonal(diffuse_cov, axis1=-2, axis2=-1)))
    return np.where(np.abs(seen) > 1e-12 * size[..., None, :] * size[..., None], seen, 0.0)


def loglik(
    ssm: LinearGaussianSSM | Packed,
    y: npt.ArrayLike,
    inputs: npt.ArrayLike | None = None,
    method: str = "auto",
    *,
    state: State | None = None,
    diffuse_constant: bool = True,
) -> Any:
    """Log-likelihood of a series, in memory that does not grow with its length.

    Parameters
    ----------
    ssm, y, inputs, method, state
        As in `filter`.
    diffuse_constant : bool, default True
        Whether observations that the diffuse part absorbs count -log(2 pi) / 2, as in Durbin and Koopman (2012) and in
        statsmodels; without, the likelihood is that of KFAS, STAMP, and Commandeur and Koopman (2007).

    Returns
    -------
    float, or (n_series,) for a batch

    Raises
    ------
    InputError, NumericalError
        As in `filter`.

    Examples
    --------
    >>> import numpy as np
    >>> from ssmts.core.types import LinearGaussianSSM
    >>> one = np.eye(1)
    >>> round(loglik(LinearGaussianSSM(one, one, one, one, np.zeros(1), 0 * one), np.zeros((1, 1))), 6)
    -0.918939
    """
    job = serve("loglik", ssm, y, inputs, method, state)
    assert job.rung.loglik is not None
    if job.rung.batched or job.y.ndim == 2:
        done = job.rung.loglik(job.packed, job.y, inputs, state)
    else:
        done = stack(job.each(job.rung.loglik, inputs, state))
    check_number("the log-likelihood", job.rung.name, np.asarray(done.loglik))
    return done.loglik + (0.0 if diffuse_constant else 0.5 * LOG_2PI * done.n_diffuse)


def loglik_one(packed: Packed, y: Array, inputs: npt.ArrayLike | None, state: State | None) -> Likelihood:
    """Log-likelihood of one series by the sequential pass."""
    done = run(packed, y, inputs, state)
    return Likelihood(done.loglik, done.n_diffuse)


def forecast(
    ssm: LinearGaussianSSM | Packed, state: State, horizon: int, inputs: npt.ArrayLike | None = None
) -> ForecastResult:
    """Forecast the rows that follow a state.

    Parameters
    ----------
    ssm : LinearGaussianSSM or Packed
        Row 0 of a `TimeVarying` belongs to the first forecast.
    state : State
        As `filter` and `step` return it.
    horizon : int
        Number of rows.
    inputs : (horizon, n_inputs), optional

    Raises
    ------
    InputError
        If the horizon is not a positive integer, or inputs or state do not fit.

    Examples
    --------
    >>> import numpy as np
    >>> from ssmts.core.types import LinearGaussianSSM
    >>> one = np.eye(1)
    >>> level = LinearGaussianSSM(one, one, one, one, np.zeros(1), one)
    >>> forecast(level, State(np.array([3.0]), one, 0 * one, 0), 2).cov.ravel()
    array([2., 3.])
    """
    packed, nothing = to_come(ssm, horizon)
    done = filter_one(packed, nothing, inputs, state)
    mean, cov = done.predicted_mean[:horizon], done.predicted_cov[:horizon]
    # The innovation of an observation of 0 is minus its prediction.
    zero = drive(packed, np.zeros_like(nothing), inputs)[1]
    H = over_time(packed.ssm.observation, horizon)
    return ForecastResult(dot(H, mean) - zero, done.innovation_cov, mean, cov)


def to_come(ssm: LinearGaussianSSM | Packed, horizon: int) -> tuple[Packed, Array]:
    """The packed model and rows of which nothing is seen."""
    if isinstance(horizon, bool) or not isinstance(horizon, int | np.integer) or horizon < 1:
        raise InputError(f"horizon is {horizon!r}: pass a positive integer")
    packed = pack(ssm, int(horizon))
    return packed, np.full((horizon, int(packed.layout[1])), np.nan)
