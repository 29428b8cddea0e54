"""Paths drawn from a model, forward in time."""

import numpy as np
import numpy.typing as npt

from ssmts.core.gaussian._forward import drive, over_time
from ssmts.core.gaussian._kernels.layout import Block, kernel, part, start, unpack
from ssmts.core.gaussian._pack import Packed, pack
from ssmts.core.types import Array, Index, LinearGaussianSSM, State
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
    states, observations = paths(packed, begin, n_times, n_draws, random_state, inputs)
    return np.ascontiguousarray(states.transpose(2, 0, 1)), np.ascontiguousarray(observations.transpose(2, 0, 1))


def paths(
    packed: Packed,
    begin: State,
    n_times: int,
    n_draws: int,
    random_state: int | np.random.Generator | None,
    inputs: npt.ArrayLike | None,
) -> tuple[Array, Array]:
    """States (n_times, n_states, n_draws) and observations of paths, of whose start only the proper part is drawn from."""
    rng = np.random.default_rng(random_state)
    model = packed.ssm
    b, shift = drive(packed, np.zeros((n_times, int(packed.layout[1]))), inputs)
    root = _root(over_time(model.process_cov, n_times))
    if model.process_loading is not None:
        root = over_time(model.process_loading, n_times) @ root
    states = root @ _normal(rng, n_draws, n_times, root.shape[2])
    R = _root(over_time(model.obs_cov, n_times))
    observations = R @ _normal(rng, n_draws, n_times, R.shape[2])
    x = begin.mean[:, None] + _root(begin.cov[None])[0] @ _normal(rng, n_draws, 1, len(begin.mean))[0]
    follow(packed.layout, packed.values, b, x, states)
    observations += over_time(model.observation, n_times) @ states
    observations -= shift[:, :, None]
    return states, observations


@kernel
def follow(index: Index, value: Array, b: Array, x: Array, w: Array) -> None:
    """Let paths x (dx, draws) run through the transition, with the noise w (n, dx, draws), which they overwrite."""
    F, W = unpack(index).F, np.empty(x.shape)
    for t in range(w.shape[0]):
        for i in range(F.n):
            for s in range(x.shape[1]):
                W[i, s] = w[t, i, s]
                w[t, i, s] = x[i, s]
        move_all(index, value, F, t, w[t], x)
        for i in range(F.n):
            more = b[min(t, b.shape[0] - 1), i] if b.shape[0] > 0 else 0.0
            for s in range(x.shape[1]):
                x[i, s] += W[i, s] + more


@part
def move_all(index: Index, value: Array, F: Block, t: int, m: Array, out: Array) -> None:
    """Write F[t] m."""
    g = start(F, t)
    for i in range(F.n):
        for s in range(m.shape[1]):
            out[i, s] = 0.0
        for e in range(index[F.ptr + i], index[F.ptr + i + 1]):
            x, j = value[g + e], index[F.col + e]
            for s in range(m.shape[1]):
                out[i, s] += x * m[j, s]


def positive(name: str, number: int) -> None:
    """Refuse what is no positive integer."""
    if isinstance(number, bool) or not isinstance(number, int | np.integer) or number < 1:
        raise InputError(f"{name} is {number!r}: pass a positive integer")


def _root(cov: Array) -> Array:
    """B with B B' = cov[t]; a singular covariance has one, too."""
    values, vectors = np.linalg.eigh(cov)
    return np.asarray(vectors * np.sqrt(np.maximum(values, 0.0))[:, None, :])


def _normal(rng: np.random.Generator, n_draws: int, n_times: int, size: int) -> Array:
    """Standard normal numbers (n_times, size, n_draws), drawn path by path."""
    return rng.standard_normal((n_draws, n_times, size)).transpose(1, 2, 0)
