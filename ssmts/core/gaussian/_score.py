"""The score: derivatives of the log-likelihood with respect to every system matrix."""

from typing import Any

import numpy as np
import numpy.typing as npt

from ssmts.core.gaussian._filter import check_number
from ssmts.core.gaussian._forward import FILTERED, GAINS, LIFTED, Pass, over_time, run
from ssmts.core.gaussian._kernels.adjoint import Gradient, Whole, backward
from ssmts.core.gaussian._ladder import serve
from ssmts.core.gaussian._pack import Packed, pack
from ssmts.core.types import Array, Index, LinearGaussianSSM, State, TimeVarying
from ssmts.exceptions import InputError

PARAMETERS = tuple(name for name in LinearGaussianSSM._fields if name != "initial_diffuse_cov")


def score(
    ssm: LinearGaussianSSM | Packed,
    y: npt.ArrayLike,
    wrt: tuple[str, ...] | None = None,
    inputs: npt.ArrayLike | None = None,
    method: str = "auto",
    *,
    state: State | None = None,
) -> tuple[Any, LinearGaussianSSM]:
    """Log-likelihood and its exact derivatives with respect to the system matrices, at about twice the cost of a filter.

    Nothing is inverted, so that variances may be zero and covariances singular. Exact in the diffuse phase too; a matrix
    entry whose change would alter what the diffuse part can be seen through has the derivative of the likelihood at the
    present rank. Entries of ``y`` that the past determines exactly are left out, so that the derivatives of a log-likelihood
    of ``-inf`` are those of what remains.

    Parameters
    ----------
    ssm, y, inputs, method, state
        As in `filter`; of a batch, the derivatives of the sum are returned.
    wrt : tuple of str, optional
        Names of fields of `LinearGaussianSSM`; all that the model has, by default. Fewer cost less: without
        ``transition`` and ``observation`` no covariance is stored.

    Returns
    -------
    loglik : float, or (n_series,) for a batch
    gradient : LinearGaussianSSM
        Each field that was asked for in its own shape (`TimeVarying` if it is), None elsewhere. A covariance has the
        symmetric matrix G with dl = trace(G d cov): a parameter that sits in two entries gets both.

    Raises
    ------
    InputError
        If ``wrt`` names what is no parameter or not part of the model, or as in `filter`.
    NumericalError
        As in `filter`.

    Examples
    --------
    >>> import numpy as np
    >>> from ssmts.core.types import LinearGaussianSSM
    >>> one = np.eye(1)
    >>> white = LinearGaussianSSM(0 * one, 0 * one, one, one, np.zeros(1), 0 * one)
    >>> score(white, [[2.0], [1.0]], wrt=("obs_cov",))[1].obs_cov    # sum of (y^2 / r - 1) / 2r
    array([[1.5]])
    """
    packed = pack(ssm)
    names = tuple(name for name in PARAMETERS if getattr(packed.ssm, name) is not None) if wrt is None else tuple(wrt)
    for name in names:
        if name not in PARAMETERS or getattr(packed.ssm, name) is None:
            what = "the model does not have it" if name in PARAMETERS else f"choose from {', '.join(PARAMETERS)}"
            raise InputError(f"wrt names {name!r}: {what}")
    job = serve("score", packed, y, inputs, method, state, names)
    assert job.rung.score is not None
    if job.rung.batched or job.y.ndim == 2:
        logliks, gradient = job.rung.score(job.packed, job.y, names, inputs, state)
    else:
        parts = job.each(job.rung.score, names, inputs, state)
        total: Any = (None if fields[0] is None else _sum(fields) for fields in zip(*(slope for _, slope in parts)))
        logliks, gradient = np.array([one for one, _ in parts]), LinearGaussianSSM(*total)
    check_number("the log-likelihood", job.rung.name, np.asarray(logliks))
    for name in names:
        field = getattr(gradient, name)
        check_number(f"the score of {name}", job.rung.name, field.values if isinstance(field, TimeVarying) else field)
    return logliks, gradient


def _sum(fields: tuple[Any, ...]) -> Any:
    if isinstance(fields[0], TimeVarying):
        return TimeVarying(np.sum([field.values for field in fields], axis=0))
    return np.sum(fields, axis=0)


def score_one(
    packed: Packed,
    y: Array,
    names: tuple[str, ...],
    inputs: npt.ArrayLike | None,
    state: State | None,
    done: Pass | None = None,
) -> tuple[float, LinearGaussianSSM]:
    """The score of one series by one pass forward, unless it is `done`, and one back."""
    ssm, n, dx, dy = packed.ssm, len(y), len(packed.start.mean), y.shape[1]

    def room(fields: tuple[str, ...], *size: int, each: bool = False) -> Array:
        """Zeros for every row, for the sum over rows, or none at all."""
        if not set(fields) & set(names):
            return np.zeros((0, *size))
        each = each or any(isinstance(getattr(ssm, name), TimeVarying) for name in fields)
        return np.zeros((max(n, 1) if each else 1, *size))

    whole = None
    full = "transition" in names or "observation" in names
    if done is None:
        done = run(packed, y, inputs, state, GAINS | FILTERED if full else GAINS | LIFTED)
    if full:
        kept = done.trace.m, done.trace.P, done.trace.A, done.trace.rank
        whole = Whole(*kept, np.zeros((dx, dx)), room(("transition",), dx, dx), room(("observation",), dy, dx))
    layout, values, states, support, lift = packed.layout, packed.values, dx, support_of(packed, names), packed.lift
    places, driven = support, inputs is not None
    if full:
        lift = None
    if lift is not None:
        layout, values, states = lift.layout, lift.values, dx + len(lift.sums)
        places = np.concatenate([support, dx + np.flatnonzero(lift.sums[:, support].any(axis=1))])
    out = Gradient(
        room(("process_cov", "process_loading"), len(places), len(places)),
        room(("state_offset", "input_matrix"), states, each=driven),
        room(("obs_cov",), dy, dy),
        room(("obs_offset", "feedthrough"), dy, each=driven),
    )
    r, N = np.zeros(states), np.zeros((states, states))
    backward(layout, values, done.y, done.place, done.trace.row, places, out, r, N, whole)
    if lift is not None:
        r, N = lift.down(r), lift.down(lift.down(N).T)
        L = np.concatenate([np.eye(len(support)), lift.sums[places[len(support) :] - dx][:, support]])
        out = out._replace(V=L.T @ out.V @ L, b=lift.down(out.b))
    parts = parts_of(ssm, names, out, whole, support, inputs)
    parts |= {"initial_mean": r, "initial_cov": 0.5 * (np.outer(r, r) - N)}
    chosen: Any = (parts[name] if name in names else None for name in LinearGaussianSSM._fields)
    return done.loglik, LinearGaussianSSM(*chosen)


def support_of(packed: Packed, names: tuple[str, ...]) -> Index:
    """The states on which the derivative with respect to V = G Q G' is wanted."""
    loading = packed.ssm.process_loading
    if loading is None or "process_loading" in names:
        return np.arange(len(packed.start.mean))
    return np.flatnonzero((over_time(loading, packed.n_times) != 0).any(axis=(0, 2)))


def parts_of(
    ssm: LinearGaussianSSM,
    names: tuple[str, ...],
    out: Gradient,
    whole: Whole | None,
    support: Index,
    inputs: npt.ArrayLike | None,
) -> dict[str, Any]:
    """From the derivatives of V, b, R, d, F, H to those of the fields."""
    raw: dict[str, Array] = {"state_offset": out.b, "obs_cov": out.R, "obs_offset": out.d}
    if whole is not None:
        raw |= {"transition": whole.F, "observation": whole.H}
    if len(out.V):
        Q = over_time(ssm.process_cov, len(out.V))
        G = np.eye(len(Q[0]))[None] if ssm.process_loading is None else over_time(ssm.process_loading, len(out.V))
        G = G[:, support]
        raw |= {"process_cov": G.swapaxes(1, 2) @ out.V @ G, "process_loading": 2.0 * out.V @ G @ Q}
    if inputs is not None:
        u = np.asarray(inputs, dtype=float)[:, None, :]
        raw |= {"input_matrix": out.b[..., None] * u} if len(out.b) else {}
        raw |= {"feedthrough": out.d[..., None] * u} if len(out.d) else {}
    return {name: fold(getattr(ssm, name), raw[name]) for name in names if name in raw}


def fold(field: Any, values: Array) -> Any:
    """Sum over time for a constant field; for a time-varying one, zeros for the rows that were not used."""
    if not isinstance(field, TimeVarying):
        return values.sum(axis=0)
    rest = np.zeros((len(field.values) - len(values), *values.shape[1:]))
    return TimeVarying(np.concatenate([values, rest]))
