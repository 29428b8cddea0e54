"""First and second moments of the states given the whole series, those of neighbouring states included."""

import numpy as np
import numpy.typing as npt

from ssmts.core.gaussian._filter import loglik
from ssmts.core.gaussian._forward import over_time, series
from ssmts.core.gaussian._ladder import Job, rung, stack
from ssmts.core.gaussian._pack import Packed, pack
from ssmts.core.gaussian._rungs.shared import groups
from ssmts.core.gaussian._score import score_one
from ssmts.core.gaussian._smooth import Smoothed, smooth, smooth_pass
from ssmts.core.types import Array, LinearGaussianSSM, SmoothedMoments, State, TimeVarying
from ssmts.exceptions import InputError


def moments(
    ssm: LinearGaussianSSM | Packed,
    y: npt.ArrayLike,
    inputs: npt.ArrayLike | None = None,
    *,
    state: State | None = None,
) -> SmoothedMoments:
    """Means, covariances and lag-one covariances of the states given all rows, and the log-likelihood, in one call.

    This is what the expectation step of the EM algorithm needs. With V the covariance of the noise of the states, N what
    the rows ahead say about x[t+1] and P the filtered covariance of x[t], the lag-one covariance is
    F Cov(x[t] | y) - V N F P, in which nothing is inverted: V may be singular.

    Parameters
    ----------
    ssm, y, inputs, state
        As in `filter`.

    Returns
    -------
    SmoothedMoments
        A batch adds a leading axis of series to every field.

    Raises
    ------
    InputError
        If ``y`` leaves part of a diffuse start undetermined, so that there are no finite moments, or as in `filter`.
    NumericalError
        As in `filter`.

    References
    ----------
    de Jong and Mackinnon (1988), Biometrika 75, 601-602, for covariances of smoothed states.

    Examples
    --------
    >>> import numpy as np
    >>> from ssmts.core.types import LinearGaussianSSM
    >>> one = np.eye(1)
    >>> level = LinearGaussianSSM(one, one, one, one, np.zeros(1), 0 * one, initial_diffuse_cov=one)
    >>> moments(level, [[1.0], [np.nan], [4.0]]).lag_one.ravel()
    array([0.5, 0.5])
    """
    packed = pack(ssm)
    values = series(y, packed)
    packed = pack(packed, values.shape[-2])
    if values.ndim == 3:
        return _batch(packed, values, inputs, state)
    return _moments(packed, values, inputs, state)


def lag_one(
    ssm: LinearGaussianSSM | Packed,
    y: npt.ArrayLike,
    inputs: npt.ArrayLike | None = None,
    *,
    state: State | None = None,
) -> Array:
    """Covariances of neighbouring states given all rows, Cov(x[t+1], x[t] | y).

    Parameters
    ----------
    ssm, y, inputs, state
        As in `filter`.

    Returns
    -------
    ndarray, shape (n_times - 1, n_states, n_states), or (n_series, ...) for a batch

    Raises
    ------
    InputError, NumericalError
        As in `moments`.

    Examples
    --------
    >>> import numpy as np
    >>> from ssmts.core.types import LinearGaussianSSM
    >>> one = np.eye(1)
    >>> walk = LinearGaussianSSM(one, one, one, one, np.zeros(1), one)
    >>> lag_one(walk, [[1.0], [2.0]])
    array([[[0.2]]])
    """
    return moments(ssm, y, inputs, state=state).lag_one


def _batch(packed: Packed, y: Array, inputs: npt.ArrayLike | None, state: State | None) -> SmoothedMoments:
    """Moments of many series; covariances depend on what is missing alone, and so do those of neighbours."""
    members = groups(y)
    if len(members) == len(y):
        many: SmoothedMoments = stack([_moments(packed, one, inputs, state) for one in y])
        return many
    firsts = [_moments(packed, y[group[0]], inputs, state).lag_one for group in members]
    near = np.empty((len(y), *firsts[0].shape))
    for group, first in zip(members, firsts):
        near[group] = first
    smoothed = smooth(packed, y, inputs, state=state)
    return SmoothedMoments(loglik(packed, y, inputs, state=state), smoothed.smoothed_mean, smoothed.smoothed_cov, near)


def _moments(packed: Packed, y: Array, inputs: npt.ArrayLike | None, state: State | None) -> SmoothedMoments:
    done = smooth_pass(packed, y, inputs, state)
    if done.forward.state.rank:
        raise InputError(
            f"the series leaves {done.forward.state.rank} diffuse direction(s) undetermined: "
            "pass more rows, or a proper prior"
        )
    roots = rung("square_root")
    if roots.smooth is not None and roots.pays(Job("smooth", packed, y, state, inputs, ())):  # as `smooth` does
        mean, cov = roots.smooth(packed, y, inputs, state)[:2]
        done = done._replace(mean=mean, cov=cov)
    return SmoothedMoments(done.forward.loglik, done.mean, done.cov, _lag_one(packed, y, state, done))


def _lag_one(packed: Packed, y: Array, state: State | None, done: Smoothed) -> Array:
    n, dx = len(y), len(packed.start.mean)
    F, V = over_time(packed.ssm.transition, n - 1), process_noise(packed, n - 1)
    moved = np.flatnonzero(np.abs(V).max(axis=(0, 1), initial=0.0))  # the states that have noise
    lines = V[:, moved] @ done.N[: n - 1] @ F @ done.forward.trace.P[: n - 1]
    rows = int(np.sum(done.forward.trace.rank[: n - 1] > 0))  # after which something is still diffuse
    if rows:
        lines[:rows] = -V[: rows if len(V) > 1 else 1, moved] @ _diffuse_score(packed, y, state)[:rows]
    result = F @ done.cov[: n - 1]
    result[:, moved] -= lines
    return np.asarray(result.reshape(n - 1, dx, dx))


def _diffuse_score(packed: Packed, y: Array, state: State | None) -> Array:
    """Derivatives with respect to the transition at each row for a series of zeros: -N F P, exact while P is infinite."""
    n = len(y)
    transition = np.broadcast_to(over_time(packed.ssm.transition, n), (n, *packed.start.cov.shape))
    nothing = dict.fromkeys(("state_offset", "obs_offset", "input_matrix", "feedthrough"))
    zero = packed.replace(transition=TimeVarying(transition), initial_mean=0.0 * packed.start.mean, **nothing)
    begin = None if state is None else state._replace(mean=0.0 * state.mean)
    gradient = score_one(zero, 0.0 * y, ("transition",), None, begin)[1].transition
    assert isinstance(gradient, TimeVarying)
    return gradient.values


def process_noise(packed: Packed, n: int) -> Array:
    """The covariance of what noise adds to the states, (n or 1, n_states, n_states)."""
    V = over_time(packed.ssm.process_cov, n)
    if packed.ssm.process_loading is None:
        return V
    G = over_time(packed.ssm.process_loading, n)
    return np.asarray(G @ V @ G.swapaxes(1, 2))
