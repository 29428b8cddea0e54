"""The linear Gaussian state-space model, its state, and what the recursions of `ssmts.core.gaussian` hand back.

The model of a series ``y[0], ..., y[n-1]`` with states ``x[t]`` and inputs ``u[t]`` is::

    y[t]   = observation @ x[t] + obs_offset + feedthrough @ u[t] + e[t],              e[t] ~ N(0, obs_cov)
    x[t+1] = transition @ x[t] + state_offset + input_matrix @ u[t] + process_loading @ w[t],   w[t] ~ N(0, process_cov)
    x[0]   ~ N(initial_mean, initial_cov + kappa * initial_diffuse_cov),               kappa -> infinity

**Timing.** The prior is that of the first state *before* the first observation: ``x[0]`` given nothing. Row ``t`` of a
`TimeVarying` matrix belongs to row ``t`` of ``y``: ``observation[t]`` maps ``x[t]`` to ``y[t]``, whereas ``transition[t]``,
``state_offset[t]`` and ``process_cov[t]`` act on the way from ``t`` to ``t+1``, so the noise enters *after* the observation.
*Predicted* means given ``y[:t]``, *filtered* given ``y[:t+1]``, *smoothed* given all of ``y``. Predicted arrays have one row
more than ``y``: row 0 is the prior and row ``n`` is the state of the first row that has not been seen, which is the `State`
to forecast, update or simulate from; there the counting of `TimeVarying` rows starts at 0 again.
"""

from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from ssmts.core.linalg.discretize import discretize
from ssmts.core.linalg.operators import Operator

Array: TypeAlias = npt.NDArray[np.float64]
Index: TypeAlias = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class TimeVarying:
    """A system matrix that changes with time; nothing is ever guessed from a shape.

    Parameters
    ----------
    values : ndarray, shape (n_times, ...)
        One matrix (or vector) a row of the series.

    Examples
    --------
    >>> import numpy as np
    >>> regressor = np.array([1.0, 2.0, 3.0])
    >>> TimeVarying(regressor[:, None, None]).values.shape     # three observation matrices of one row and one state
    (3, 1, 1)
    """

    values: Array


Matrix: TypeAlias = Array | TimeVarying | Operator


class LinearGaussianSSM(NamedTuple):
    """A linear Gaussian state-space model; the module docstring has its equations and its timing.

    Every field but the three of the prior may be `TimeVarying`, and every matrix may be an operator of
    `ssmts.core.linalg.operators`. Covariances are symmetric and non-negative definite; they
    may be singular or zero.

    Attributes
    ----------
    transition : (n_states, n_states)
    process_cov : (n_shocks, n_shocks)
    observation : (n_obs, n_states)
    obs_cov : (n_obs, n_obs)
    initial_mean : (n_states,)
    initial_cov : (n_states, n_states)
        The proper part of the prior covariance.
    initial_diffuse_cov : (n_states, n_states) or None
        What infinity multiplies in the prior covariance; None means that the prior is proper.
    state_offset : (n_states,) or None
    obs_offset : (n_obs,) or None
    process_loading : (n_states, n_shocks) or None
        None means the identity.
    input_matrix : (n_states, n_inputs) or None
    feedthrough : (n_obs, n_inputs) or None

    Examples
    --------
    A random walk seen with noise, of which nothing is known beforehand:

    >>> import numpy as np
    >>> one = np.eye(1)
    >>> level = LinearGaussianSSM(one, 1469.1 * one, one, 15099.0 * one, np.zeros(1), 0 * one, initial_diffuse_cov=one)
    >>> level.process_cov
    array([[1469.1]])
    """

    transition: Matrix
    process_cov: Matrix
    observation: Matrix
    obs_cov: Matrix
    initial_mean: Array
    initial_cov: Array
    initial_diffuse_cov: Array | None = None
    state_offset: Matrix | None = None
    obs_offset: Matrix | None = None
    process_loading: Matrix | None = None
    input_matrix: Matrix | None = None
    feedthrough: Matrix | None = None


@dataclass(frozen=True, eq=False)
class ContinuousSSM:
    """A linear Gaussian model in continuous time, seen whenever a row comes.

    The state moves by ``dx = drift @ x dt + diffusion @ dw`` with standard Brownian motions w, and a row at time t is
    ``y = observation @ x(t) + obs_offset + e`` with ``e ~ N(0, obs_cov)``. The prior is that of the state at the first row.

    Parameters
    ----------
    drift : (n_states, n_states)
    diffusion : (n_states, n_shocks)
    observation : (n_obs, n_states)
    obs_cov : (n_obs, n_obs)
    initial_mean : (n_states,)
    initial_cov : (n_states, n_states)
    initial_diffuse_cov : (n_states, n_states), optional
    obs_offset : (n_obs,), optional

    Examples
    --------
    Brownian motion seen at irregular times:

    >>> import numpy as np
    >>> one = np.eye(1)
    >>> motion = ContinuousSSM(0 * one, one, one, one, np.zeros(1), one)
    >>> motion.discretise(np.diff([0.0, 0.5, 3.0])).process_cov.values.ravel()
    array([0.5, 2.5])
    """

    drift: Array
    diffusion: Array
    observation: Array
    obs_cov: Array
    initial_mean: Array
    initial_cov: Array
    initial_diffuse_cov: Array | None = None
    obs_offset: Array | None = None
    derived: dict[Any, Any] = field(default_factory=dict, init=False, repr=False)  # as in a `Packed`

    def over(self, dts: npt.ArrayLike) -> tuple[Array, Array]:
        """Transition and noise covariance over steps of given lengths; see `discretize`."""
        L = np.asarray(self.diffusion, dtype=float)
        return discretize(self.drift, L @ L.T, dts)

    def discretise(self, dts: npt.ArrayLike) -> LinearGaussianSSM:
        """The model of a series by rows, exact at their times.

        Parameters
        ----------
        dts : (n_times,) or float
            Time from each row to the next, 0 where rows have the same stamp; after the last row, the time until the state
            that the filter returns. A number is the constant step of a time-invariant model.

        Raises
        ------
        InputError, NumericalError
            As `ssmts.core.linalg.discretize.discretize`.
        """
        F, Q = self.over(dts)
        fixed = np.ndim(dts) == 0
        return LinearGaussianSSM(
            transition=F if fixed else TimeVarying(F),
            process_cov=Q if fixed else TimeVarying(Q),
            observation=self.observation,
            obs_cov=self.obs_cov,
            initial_mean=self.initial_mean,
            initial_cov=self.initial_cov,
            initial_diffuse_cov=self.initial_diffuse_cov,
            obs_offset=self.obs_offset,
        )


class State(NamedTuple):
    """Everything the past says about the next row: the predicted state before that row is seen.

    Attributes
    ----------
    mean : (n_states,)
    cov : (n_states, n_states)
        Proper part of the covariance.
    diffuse_cov : (n_states, n_states)
        What infinity multiplies; all zero once enough has been observed.
    rank : int
        Rank of ``diffuse_cov``. Every observation that sees something diffuse lowers it by exactly one.
    """

    mean: Array
    cov: Array
    diffuse_cov: Array
    rank: int


class FilterResult(NamedTuple):
    """What `ssmts.core.gaussian.filter` returns, time first; a batch adds a leading axis of series to every field.

    While the state is partly diffuse, entries of the covariances that grow without bound as kappa does are ``inf`` (or
    ``-inf``), and means of states that are not determined yet have no meaning.

    Attributes
    ----------
    loglik : float
        Log-likelihood of all rows, ``-inf`` if a row contradicts what the model knows exactly.
    loglik_t : (n_times,)
        The contribution of each row, 0 where nothing was observed.
    predicted_mean, predicted_cov : (n_times + 1, n_states), (n_times + 1, n_states, n_states)
    filtered_mean, filtered_cov : (n_times, n_states), (n_times, n_states, n_states)
    innovations : (n_times, n_obs)
        Observation minus its prediction from the rows before, NaN where unobserved.
    innovation_cov : (n_times, n_obs, n_obs)
        Covariance of that prediction error, also of entries that were not observed.
    n_diffuse : int
        How many scalar observations the diffuse part has absorbed.
    state : State
        After the last row.
    """

    loglik: float
    loglik_t: Array
    predicted_mean: Array
    predicted_cov: Array
    filtered_mean: Array
    filtered_cov: Array
    innovations: Array
    innovation_cov: Array
    n_diffuse: int
    state: State


class SmoothResult(NamedTuple):
    """What `ssmts.core.gaussian.smooth` returns, time first; a batch adds a leading axis of series.

    The disturbances are estimates of ``e[t]`` and ``w[t]`` given all rows, with the covariance that remains. The auxiliary
    residuals are these estimates over their own standard deviation, NaN where that is zero: standard normal if the model
    holds, correlated in time; a large one of an observation tells an outlier, one of a shock a break
    (Harvey and Koopman 1992, de Jong and Penzer 1998).

    Attributes
    ----------
    smoothed_mean, smoothed_cov : (n_times, n_states), (n_times, n_states, n_states)
    smoothed_obs_disturbance, smoothed_obs_disturbance_cov : (n_times, n_obs), (n_times, n_obs, n_obs)
    smoothed_process_disturbance, smoothed_process_disturbance_cov : (n_times, n_shocks), (n_times, n_shocks, n_shocks)
        Row ``t`` is the shock from ``t`` to ``t+1``; of the last one nothing is observed.
    obs_auxiliary_residual : (n_times, n_obs)
    process_auxiliary_residual : (n_times, n_shocks)
    """

    smoothed_mean: Array
    smoothed_cov: Array
    smoothed_obs_disturbance: Array
    smoothed_obs_disturbance_cov: Array
    smoothed_process_disturbance: Array
    smoothed_process_disturbance_cov: Array
    obs_auxiliary_residual: Array
    process_auxiliary_residual: Array


class SmoothedMoments(NamedTuple):
    """What `ssmts.core.gaussian.moments` returns, time first; a batch adds a leading axis of series.

    Attributes
    ----------
    loglik : float
    mean, cov : (n_times, n_states), (n_times, n_states, n_states)
        Of each state given all rows.
    lag_one : (n_times - 1, n_states, n_states)
        Row ``t`` is the covariance of ``x[t+1]`` (lines) and ``x[t]`` (columns) given all rows.
    """

    loglik: float
    mean: Array
    cov: Array
    lag_one: Array


class ForecastResult(NamedTuple):
    """What `ssmts.core.gaussian.forecast` returns: the next rows and their states, each given the past only.

    Attributes
    ----------
    mean, cov : (horizon, n_obs), (horizon, n_obs, n_obs)
        Of a new observation, its noise included.
    state_mean, state_cov : (horizon, n_states), (horizon, n_states, n_states)
    """

    mean: Array
    cov: Array
    state_mean: Array
    state_cov: Array


class Innovation(NamedTuple):
    """What one row said that was new.

    Attributes
    ----------
    value : (n_obs,)
        Observation minus prediction, NaN where unobserved.
    cov : (n_obs, n_obs)
        Covariance of the prediction error; infinite where the prediction is diffuse.
    loglik : float
        Contribution of the row to the log-likelihood.
    n_diffuse : int
        How many of its entries the diffuse part of the state absorbed.
    """

    value: Array
    cov: Array
    loglik: float
    n_diffuse: int


class Innovations(NamedTuple):
    """What one row of each of many streams said that was new.

    Attributes
    ----------
    value : (n_streams, n_obs)
        Observation minus prediction, NaN where unobserved.
    variance : (n_streams, n_obs)
        Of the prediction error; infinite where the prediction is diffuse.
    loglik : (n_streams,)
        Contribution of the row to the log-likelihood of each stream.
    """

    value: Array
    variance: Array
    loglik: Array


class RobustResult(NamedTuple):
    """What `ssmts.core.gaussian.robust_filter` returns, time first; a batch adds a leading axis of series.

    Attributes
    ----------
    filter : FilterResult
        Innovations, their covariance and the log-likelihood are those of the rows as the model has them, with `obs_cov` as it
        is, given the robust state before; an outlier shows in full.
    weights : (n_times, n_obs)
        By what `obs_cov` was divided: 1 for an entry that was believed in full, NaN where unobserved.
    released : (n_times,) bool
        Rows at which the state was set free to follow, because too many in a row had been doubted.
    """

    filter: FilterResult
    weights: Array
    released: npt.NDArray[np.bool_]
