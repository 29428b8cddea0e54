"""Paths drawn from a model, forward in time."""

import numpy as np
import numpy.typing as npt

from ssmts.core.gaussian._forward import dot, drive, over_time
from ssmts.core.gaussian._pack import Packed, pack
from ssmts.core.types import Array, LinearGaussianSSM, State
from ssmts.exceptions import InputError


def simulate(
    ssm: LinearGaussianSSM | Packed,
    n_times: int,
    n_draws: int = 1,
    random_state: int | np.random.Generator | None = None,
    *,
    state: State | None = None,
    inputs: npt.ArrayLike | None = None,
) -> tuple[Array, Array]:
    """Draw paths of states and observations, jointly over time.

    Parameters
    ----------
    ssm : LinearGaussianSSM or Packed
    n_times : int
        Rows of each path; row 0 of a `TimeVarying` belongs to the first.
    n_draws : int, default 1
    random_state : int, Generator or None, default None
        The same number gives the same paths.
    state : State, optional
        Where paths start: that of the row after a filtered series gives forecast paths. Default: the model's prior. A
        diffuse part has no distribution to draw from and is refused.
    inputs : (n_times, n_inputs), optional

    Returns
    -------
    states, observations : (n_draws, n_times, n_states), (n_draws, n_times, n_obs)

    Raises
    ------
    InputError
        If a number is not positive, the start is partly diffuse, or the inputs do not fit.

    Examples
    --------
    >>> import numpy as np
    >>> from ssmts.core.types import LinearGaussianSSM
    >>> one = np.eye(1)
    >>> walk = LinearGaussianSSM(one, one, one, 0 * one, np.zeros(1), 0 * one)
    >>> states, observations = simulate(walk, 3, n_draws=5, random_state=0)
    >>> states.shape, bool((states == observations).all())
    ((5, 3, 1), True)
    """
    positive("n_times", n_times)
    positive("n_draws", n_draws)
    packed = pack(ssm, int(n_times))
    begin = packed.start if state is None else state
    if begin.rank:
        raise InputError(
            f"the start has {begin.rank} diffuse direction(s), which no path can be drawn from: filter more rows first"
        )
    rng = np.random.default_rng(random_state)
    model = packed.ssm
    b, shift = drive(packed, np.zeros((n_times, int(packed.layout[1]))), inputs)
    F, H = over_time(model.transition, n_times), over_time(model.observation, n_times)
    w = _noise(over_time(model.process_cov, n_times), n_draws, n_times, rng)
    if model.process_loading is not None:
        w = dot(over_time(model.process_loading, n_times), w)
    e = _noise(over_time(model.obs_cov, n_times), n_draws, n_times, rng)
    states = np.empty((n_draws, n_times, len(begin.mean)))
    x = begin.mean + _noise(begin.cov[None], n_draws, 1, rng)[:, 0]
    for t in range(n_times):
        states[:, t] = x
        x = x @ F[min(t, len(F) - 1)].T + w[:, t]
        x = x + b[min(t, len(b) - 1)] if len(b) else x
    return states, dot(H, states) + e - shift


def positive(name: str, number: int) -> None:
    """Refuse what is no positive integer."""
    if isinstance(number, bool) or not isinstance(number, int | np.integer) or number < 1:
        raise InputError(f"{name} is {number!r}: pass a positive integer")


def _noise(cov: Array, n_draws: int, n_times: int, rng: np.random.Generator) -> Array:
    """Draws (n_draws, n_times, n) of N(0, cov[t]); a singular covariance has a root too."""
    values, vectors = np.linalg.eigh(cov)
    root = vectors * np.sqrt(np.maximum(values, 0.0))[:, None, :]
    return dot(root, rng.standard_normal((n_draws, n_times, cov.shape[-1])))
