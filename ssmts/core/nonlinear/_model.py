"""The nonlinear model, and what its recursions need to know of one series."""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from ssmts.core.gaussian._forward import over_time, series
from ssmts.core.gaussian._pack import pack
from ssmts.core.types import Array, LinearGaussianSSM, Matrix, State
from ssmts.exceptions import InputError, InputTypeError, NumericalError

Function: TypeAlias = Callable[..., Any]


class NonlinearGaussianSSM(NamedTuple):
    """A model whose states move and are seen through functions, with additive Gaussian noise.

    The timing is that of `ssmts.core.types`::

        y[t]   = observation(x[t], t) + e[t],     e[t] ~ N(0, obs_cov)
        x[t+1] = transition(x[t], t) + w[t],      w[t] ~ N(0, process_cov)
        x[0]   ~ N(initial_mean, initial_cov)

    Functions map arrays ``(..., n_states)`` to arrays ``(..., n_states)`` or ``(..., n_obs)``, whatever the leading axes: they
    are called with many points at once. ``t`` is the row, counted from the first one of the series that is handed in, as for
    `TimeVarying`. If a call is given inputs, functions get ``u[t]`` as a third argument.

    Attributes
    ----------
    transition, observation : callable
        ``f(x, t)``, or ``f(x, t, u)`` with inputs.
    process_cov : (n_states, n_states)
    obs_cov : (n_obs, n_obs)
        Both may be `TimeVarying`; covariances may be singular or zero, as long as no observation is known beforehand.
    initial_mean : (n_states,)
    initial_cov : (n_states, n_states)
    transition_jacobian, observation_jacobian : callable or None
        Derivatives ``(..., n_states or n_obs, n_states)`` with the same arguments, which `Taylor` uses; None means
        differences of fourth order, with steps of a thousandth of the state, or of 1 if that is more.

    Examples
    --------
    A state that is seen through its exponential:

    >>> import numpy as np
    >>> from ssmts.core.nonlinear import NonlinearGaussianSSM, filter
    >>> one = np.eye(1)
    >>> ssm = NonlinearGaussianSSM(lambda x, t: 0.9 * x, lambda x, t: np.exp(x), one, one, np.zeros(1), one)
    >>> filter(ssm, [[1.0], [np.nan], [3.0]]).filtered_mean.shape
    (3, 1)
    """

    transition: Function
    observation: Function
    process_cov: Matrix
    obs_cov: Matrix
    initial_mean: Array
    initial_cov: Array
    transition_jacobian: Function | None = None
    observation_jacobian: Function | None = None


class Job(NamedTuple):
    """One call: a checked model and its series, always with a leading axis of series."""

    ssm: NonlinearGaussianSSM
    y: Array  # (series, n, dy)
    inputs: Array | None
    Q: Array  # (1 or n, dx, dx)
    R: Array  # (1 or n, dy, dy)
    m: Array  # (dx,)
    P: Array  # (dx, dx)
    batch: bool

    def moved(self, x: Array, t: int) -> Array:
        """States after the step from row t, without noise."""
        return self._call("transition", x, t, len(self.m))

    def seen(self, x: Array, t: int) -> Array:
        """What states show at row t, without noise."""
        return self._call("observation", x, t, self.y.shape[-1])

    def jacobian(self, name: str, x: Array, t: int) -> Array:
        """Derivative (..., size, dx) of the function with this name."""
        size, given = len(self.m) if name == "transition" else self.y.shape[-1], getattr(self.ssm, f"{name}_jacobian")
        if given is not None:
            return self._call(f"{name}_jacobian", x, t, size, len(self.m))
        h = 2.0**-10 * np.maximum(np.abs(x), 1.0)
        moves = np.multiply.outer([1.0, -1.0, 2.0, -2.0], np.eye(len(self.m)))
        f = self._call(name, x[..., None, None, :] + h[..., None, None, :] * moves, t, size)
        slope = 8 * (f[..., 0, :, :] - f[..., 1, :, :]) - (f[..., 2, :, :] - f[..., 3, :, :])
        slope *= np.abs(slope) > 1e-14 * np.abs(f).max(axis=-3)  # else rounding
        return np.asarray((slope / (12 * h[..., None])).swapaxes(-1, -2))

    def _call(self, name: str, x: Array, t: int, *size: int) -> Array:
        u = () if self.inputs is None else (self.inputs[t],)
        values = np.asarray(getattr(self.ssm, name)(x, t, *u), dtype=float)
        if values.shape != (*x.shape[:-1], *size):
            raise InputError(
                f"{name} gave the shape {values.shape} for states of shape {x.shape}: {(*x.shape[:-1], *size)} is needed, "
                "whatever the leading axes"
            )
        if not np.isfinite(values).all():
            raise NumericalError(f"{name} is not finite at row {t} for states near {x.reshape(-1, x.shape[-1])[0]}")
        return values


def job(ssm: NonlinearGaussianSSM, y: npt.ArrayLike, inputs: npt.ArrayLike | None, state: State | None) -> Job:
    """Check a model, its series and where it starts."""
    if not isinstance(ssm, NonlinearGaussianSSM):
        raise InputTypeError(f"ssm is of type {type(ssm).__name__}: pass a NonlinearGaussianSSM")
    dx, dy = len(ssm.initial_mean), over_time(ssm.obs_cov, 1).shape[-1]
    covariances = ssm.process_cov, np.zeros((dy, dx)), ssm.obs_cov
    frame = pack(LinearGaussianSSM(np.eye(dx), *covariances, ssm.initial_mean, ssm.initial_cov))
    values = series(y, frame)
    n = values.shape[-2]
    frame = pack(frame, n)
    begin = frame.start if state is None else state
    if begin.rank or np.shape(begin.mean) != (dx,) or np.shape(begin.cov) != (dx, dx):
        raise InputError(
            f"the state has means of shape {np.shape(begin.mean)} and the diffuse rank {begin.rank}: pass one with "
            f"{dx} state(s) and a proper covariance"
        )
    u = None if inputs is None else np.asarray(inputs, dtype=float)
    if u is not None and (u.ndim != 2 or len(u) != n or not np.isfinite(u).all()):
        raise InputError(f"inputs of shape {u.shape}: pass finite numbers of shape ({n}, n_inputs)")
    fields = over_time(ssm.process_cov, n), over_time(ssm.obs_cov, n), begin.mean, begin.cov
    return Job(ssm, values if values.ndim == 3 else values[None], u, *fields, values.ndim == 3)


def at(field: Array, t: int) -> Array:
    """Row t of what has a time axis of length 1 if it is constant."""
    row: Array = field[t if len(field) > 1 else 0]
    return row
