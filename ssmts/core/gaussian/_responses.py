"""What a model says before any series is seen: responses to shocks, and the joint covariance of a forecast."""

import numpy as np
import numpy.typing as npt

from ssmts.core.gaussian._filter import forecast
from ssmts.core.gaussian._forward import over_time
from ssmts.core.gaussian._pack import Packed, pack
from ssmts.core.gaussian._simulate import positive
from ssmts.core.types import Array, LinearGaussianSSM, State
from ssmts.exceptions import InputError


def impulse_responses(
    ssm: LinearGaussianSSM | Packed,
    steps: int,
    shock: int | npt.ArrayLike | None = None,
    *,
    orthogonalised: bool = False,
    cumulative: bool = False,
) -> Array:
    """What a shock to the states adds to the observations of the rows that follow.

    Parameters
    ----------
    ssm : LinearGaussianSSM or Packed
        Of `TimeVarying` matrices, row 0 is that in which the shock happens.
    steps : int
        Number of rows. The first is the row after the shock, which it enters by ``process_loading``.
    shock : int or (n_shocks,), optional
        The number of a shock, or what happens to all of them at once. Default: every shock in turn.
    orthogonalised : bool, default False
        Whether a unit shock is a line of the Cholesky factor of ``process_cov``, by which correlated shocks become
        uncorrelated ones of variance one, each of which moves those after it in the same row. The covariance may be singular.
    cumulative : bool, default False
        Whether responses are added up over the rows.

    Returns
    -------
    ndarray, shape (steps, n_obs), or (n_shocks, steps, n_obs) without ``shock``

    Raises
    ------
    InputError
        If ``steps`` is no positive integer, or there is no such shock.

    References
    ----------
    Luetkepohl (2005), New introduction to multiple time series analysis, section 2.3.2.

    Examples
    --------
    >>> import numpy as np
    >>> from ssmts.core.types import LinearGaussianSSM
    >>> one = np.eye(1)
    >>> autoregression = LinearGaussianSSM(0.5 * one, 4.0 * one, one, 0 * one, np.zeros(1), one)
    >>> impulse_responses(autoregression, 3, shock=0).ravel()
    array([1.  , 0.5 , 0.25])
    >>> impulse_responses(autoregression, 3, shock=0, orthogonalised=True, cumulative=True).ravel()
    array([2. , 3. , 3.5])
    """
    positive("steps", steps)
    model = pack(ssm, steps + 1).ssm
    Q = over_time(model.process_cov, 1)[0]
    units = _cholesky(Q) if orthogonalised else np.eye(len(Q))
    chosen = units.T if shock is None else (units @ _direction(shock, len(Q)))[None]
    G = np.eye(len(Q)) if model.process_loading is None else over_time(model.process_loading, 1)[0]
    F, H = over_time(model.transition, steps + 1), over_time(model.observation, steps + 1)
    x = chosen @ G.T
    out = np.empty((len(x), steps, H.shape[1]))
    for t in range(steps):
        out[:, t] = x @ H[min(t + 1, len(H) - 1)].T
        x = x @ F[min(t + 1, len(F) - 1)].T
    out = out.cumsum(axis=1) if cumulative else out
    return out if shock is None else out[0]


def _direction(shock: int | npt.ArrayLike, n_shocks: int) -> Array:
    if isinstance(shock, int | np.integer) and not isinstance(shock, bool):
        if not 0 <= shock < n_shocks:
            raise InputError(f"shock is {shock}, but the model has the shocks 0 to {n_shocks - 1}")
        return np.asarray(np.eye(n_shocks)[shock])
    direction = np.asarray(shock, dtype=float)
    if direction.shape != (n_shocks,) or not np.isfinite(direction).all():
        raise InputError(f"shock is {shock!r}: pass the number of a shock, or {n_shocks} finite numbers")
    return direction


def _cholesky(cov: Array) -> Array:
    """The lower triangle L with L L' = cov, of a singular covariance too."""
    values, vectors = np.linalg.eigh(cov)
    L = np.linalg.qr((vectors * np.sqrt(np.maximum(values, 0.0))).T)[1].T
    return np.asarray(L * np.where(np.diagonal(L) < 0, -1.0, 1.0))


def forecast_cov(ssm: LinearGaussianSSM | Packed, state: State, horizon: int) -> Array:
    """Joint covariance of the next rows: that of every two of them, their noise included.

    Parameters
    ----------
    ssm, state, horizon
        As in `forecast`.

    Returns
    -------
    ndarray, shape (horizon, horizon, n_obs, n_obs)
        Entry ``[h, g, i, j]`` is the covariance of observation ``i`` of row ``h`` and observation ``j`` of row ``g``; the
        diagonal ``[h, h]`` is ``forecast(...).cov[h]``. The covariance of the rows one after the other is
        ``cov.transpose(0, 2, 1, 3).reshape(horizon * n_obs, -1)``.

    Raises
    ------
    InputError
        If the horizon is not a positive integer, the state does not fit, or part of it is still diffuse.

    Examples
    --------
    >>> import numpy as np
    >>> from ssmts.core.types import LinearGaussianSSM
    >>> one = np.eye(1)
    >>> walk = LinearGaussianSSM(one, one, one, 0 * one, np.zeros(1), one)
    >>> forecast_cov(walk, State(np.zeros(1), one, 0 * one, 0), 3)[:, :, 0, 0]
    array([[1., 1., 1.],
           [1., 2., 2.],
           [1., 2., 3.]])
    """
    positive("horizon", horizon)
    packed = pack(ssm, int(horizon))
    if state.rank:
        raise InputError(f"{state.rank} direction(s) of the state are still diffuse: filter more rows first")
    alone = forecast(packed.replace(input_matrix=None, feedthrough=None), state, horizon)
    F, H = (over_time(field, horizon) for field in (packed.ssm.transition, packed.ssm.observation))
    n_obs = H.shape[1]
    result = np.empty((horizon, horizon, n_obs, n_obs))
    ahead = np.empty((0, n_obs, H.shape[2]))  # covariances of the observations so far with the state of row h
    for h in range(horizon):
        H_h = H[min(h, len(H) - 1)]
        result[:h, h] = ahead @ H_h.T
        result[h, :h] = result[:h, h].swapaxes(1, 2)
        result[h, h] = alone.cov[h]
        ahead = np.concatenate([ahead, (H_h @ alone.state_cov[h])[None]]) @ F[min(h, len(F) - 1)].T
    return result
