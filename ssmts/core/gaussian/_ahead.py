"""Forecasts of observations alone."""

import numpy as np
import numpy.typing as npt

from ssmts.core.gaussian._filter import forecast, to_come
from ssmts.core.gaussian._forward import AHEAD, drive, over_time, run
from ssmts.core.gaussian._pack import EVER, Packed
from ssmts.core.gaussian._streams.rows import variances_ahead
from ssmts.core.types import Array, LinearGaussianSSM, State


def ahead(
    ssm: LinearGaussianSSM | Packed, state: State, horizon: int, inputs: npt.ArrayLike | None = None
) -> tuple[Array, Array]:
    """Mean and covariance of the rows to come as `forecast` has them, in memory that does not grow with the states."""
    packed, nothing = to_come(ssm, horizon)
    if state.rank:
        done = forecast(packed, state, horizon, inputs)
        return done.mean, done.cov
    if packed.n_times == EVER:
        cov = variances_ahead(packed, state, horizon)
    else:
        cov = run(packed, nothing, inputs, state, AHEAD).trace.S
    b, zero = drive(packed, np.zeros_like(nothing), inputs)
    F, H = over_time(packed.ssm.transition, horizon), over_time(packed.ssm.observation, horizon)
    mean, x = np.empty_like(nothing), state.mean
    for t in range(horizon):
        mean[t] = H[min(t, len(H) - 1)] @ x
        x = F[min(t, len(F) - 1)] @ x
        x = x + b[min(t, len(b) - 1)] if len(b) else x
    return mean - zero, cov
