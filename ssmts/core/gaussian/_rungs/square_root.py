"""The square-root rungs: no covariance is ever a difference, in double and in single precision.

**The smoother.** Given x[t+1], the state before it is x[t] = m + E (x[t+1] - its prediction) + D z, which one reduction of the
joint root [[F L, G Q^(1/2)], [L, 0]] gives (Rauch, Tung and Striebel 1965, in the form of Yaghoobi et al. 2022). While a part
A of the state is diffuse, x[t+1] tells that part exactly: with F A = U1 R, it is B x[t+1], B = A R^(-1) U1', and what is
regressed on the rest of x[t+1], U2'x[t+1] with U2 orthogonal to U1, has finite variances only.
"""

from functools import partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ssmts.core.gaussian import _smooth
from ssmts.core.gaussian._filter import show_infinities
from ssmts.core.gaussian._forward import Pass, Trace, begin, dot, drive, infinities, over_time, unresolved, unsound
from ssmts.core.gaussian._kernels.root import root_back, root_forward
from ssmts.core.gaussian._kernels.update import K
from ssmts.core.gaussian._ladder import Job, Likelihood, Rung
from ssmts.core.gaussian._pack import Packed
from ssmts.core.gaussian._score import score_one
from ssmts.core.gaussian._smooth import standardised
from ssmts.core.types import Array, FilterResult, LinearGaussianSSM, SmoothResult, State
from ssmts.exceptions import InputError, NumericalError

_ZERO = 1e-13  # what cancels to less than this of its terms is zero


class Roots(NamedTuple):
    """A finished pass: the part that every rung has, and roots of the covariances."""

    done: Pass
    filtered: Array  # (n, dx, dx) lower triangles


def root_of(cov: Array) -> Array:
    """Roots with root @ root.T = cov of one or many covariances, which may be singular."""
    values, vectors = np.linalg.eigh(cov)
    if (values < -1e-9 * np.abs(values).max(axis=-1, initial=0.0)[..., None]).any():
        raise NumericalError(
            f"a covariance has the negative eigenvalue {values.min():.3g}: pass non-negative definite ones"
        )
    return np.asarray(vectors * np.sqrt(np.maximum(values, 0.0))[..., None, :])


def lower(W: Array) -> Array:
    """The lower triangle L, square, with L L' = W W' for one or many W."""
    n = W.shape[-2]
    wide = np.concatenate([W, np.zeros((*W.shape[:-1], max(0, n - W.shape[-1])))], axis=-1)
    return np.asarray(np.asarray(np.linalg.qr(wide.swapaxes(-1, -2), mode="r")).swapaxes(-1, -2))


def shock_roots(packed: Packed) -> Array:
    """Roots of the process noise as it reaches the states, (n or 1, n_states, n_shocks)."""
    Q, G = root_of(over_time(packed.ssm.process_cov, packed.n_times)), packed.ssm.process_loading
    return np.ascontiguousarray(Q if G is None else over_time(G, packed.n_times) @ Q)


def run(
    packed: Packed, y: Array, inputs: npt.ArrayLike | None, state: State | None, kind: type, *, keep: bool
) -> Roots:
    """Filter one checked series with roots of type `kind`; keep everything or nothing."""
    (n, dy), (b, y) = y.shape, drive(packed, y, inputs)
    m, P, A = begin(packed, state)
    (dx, rank), L = A.shape, lower(root_of(P))
    rows = n if keep and rank else 0
    kept = n if keep else 0
    loglik_t, ranks = np.empty(kept), np.zeros(rows, np.int64)
    after = kept + 1 if keep else 0
    predicted: tuple[Array, Array] = np.empty((after, dx), kind), np.empty((after, dx, dx), kind)
    filtered: tuple[Array, Array] = np.empty((kept, dx), kind), np.empty((kept, dx, dx), kind)
    table, factors = np.empty((kept, dy, K + 2 * dx)), np.empty((rows, dx, rank))
    m, L = m.astype(kind), np.ascontiguousarray(L, kind)
    tiny = float((20 * dx * np.finfo(kind).eps) ** 2)  # a root is wrong by rounding, its square by the square of that
    model = packed.layout, packed.values, b, y, shock_roots(packed)
    traces = loglik_t, *predicted, *filtered, table, factors, ranks
    loglik, left, n_diffuse, t, wrong = root_forward(*model, m, L, A, tiny, *traces)
    if wrong:
        raise unsound(t, wrong, m, L)
    n_open = min(n_diffuse, rows)
    (ahead, root), (means, P) = (
        (mean.astype(float), one.astype(float) @ one.astype(float).swapaxes(1, 2))
        for mean, one in (predicted, filtered)
    )
    v, S = np.empty((0, dy)), np.empty((0, dy, dy))
    if keep:
        H = over_time(packed.ssm.observation, n)
        v, S = y - dot(H, ahead[:n]), H @ root[:n] @ H.swapaxes(1, 2) + over_time(packed.ssm.obs_cov, n)
    trace = Trace(loglik_t, v, S, ahead, root, means, P, table, factors[:n_open], ranks[:n_open])
    L = L.astype(float)
    end = State(m.astype(float), L @ L.T, unresolved(A, left), left)
    return Roots(Pass(float(loglik), end, rank - left, trace, y, b, np.arange(dx)), filtered[1])


class Links(NamedTuple):
    """How a state and a shock follow from the next state: gains, and roots of what remains open."""

    E: Array  # (n - 1, dx, dx)
    D: Array  # (n - 1, dx, .)
    shock_E: Array  # (n - 1, dw, dx)
    shock_D: Array  # (n - 1, dw, .)


def links(packed: Packed, roots: Roots) -> Links:
    """The links of all rows but the last."""
    L, trace = roots.filtered[:-1], roots.done.trace
    n, dx, _ = L.shape
    F, Q = over_time(packed.ssm.transition, n), root_of(over_time(packed.ssm.process_cov, n))
    G = packed.ssm.process_loading
    V = Q if G is None else over_time(G, n) @ Q
    F, Q, V = (np.broadcast_to(x, (n, *x.shape[1:])).astype(L.dtype) for x in (F, Q, V))
    B, U = np.zeros((n, dx, dx), L.dtype), np.broadcast_to(np.eye(dx, dtype=L.dtype), (n, dx, dx)).copy()
    for t in np.flatnonzero(trace.rank[:n] > 0):
        B[t], U[t] = _told_by_the_next(F[t], trace.A[t][:, : trace.rank[t]])
    FL = F @ L
    told = U @ np.concatenate([FL, V], axis=2)
    terms = np.abs(U) @ np.concatenate([np.abs(F) @ np.abs(L), np.abs(V)], axis=2)
    sound = np.linalg.norm(told, axis=2) > _ZERO * np.linalg.norm(terms, axis=2)
    told = np.where(sound[:, :, None], told, 0.0)  # what is not zero but for rounding
    state = np.concatenate([L - B @ FL, -B @ V], axis=2)
    shock = np.concatenate([np.zeros((n, Q.shape[1], dx), L.dtype), Q], axis=2)
    gains, left = _regress(np.concatenate([state, shock], axis=1), told)
    gains = gains @ U
    return Links(B + gains[:, :dx], left[:, :dx], gains[:, dx:], left[:, dx:])


def _told_by_the_next(F: Array, A: Array) -> tuple[Array, Array]:
    """B with B F A = A, and U with the lines that the next state tells besides A (see the module), the others zero."""
    d = A.shape[1]
    U, R = np.linalg.qr(F @ A, mode="complete")
    B = A @ np.linalg.pinv(R[:d], rcond=1e-10) @ U[:, :d].T
    U[:, :d] = 0.0
    return B, U.T


def _regress(a: Array, b: Array) -> tuple[Array, Array]:
    """Gains E and roots D with a z = E b z + D z' for white z and z'; lines of b may depend on each other."""
    scale = np.linalg.norm(b, axis=2)
    scale = np.where(scale > 0, scale, 1.0).astype(b.dtype)
    inverse = np.linalg.pinv(b / scale[:, :, None], rcond=float(1e4 * np.finfo(b.dtype).eps))
    gains = a @ (inverse / scale[:, None, :])
    return gains, a - gains @ b


def loglik_one(kind: type, packed: Packed, y: Array, inputs: npt.ArrayLike | None, state: State | None) -> Likelihood:
    """Log-likelihood of one series."""
    done = run(packed, y, inputs, state, kind, keep=False).done
    return Likelihood(done.loglik, done.n_diffuse)


def filter_one(kind: type, packed: Packed, y: Array, inputs: npt.ArrayLike | None, state: State | None) -> FilterResult:
    """The filter of one series."""
    done = run(packed, y, inputs, state, kind, keep=True).done
    show_infinities(packed, state, done)
    kept = done.trace
    means = kept.predicted_m, kept.predicted_P, kept.m, kept.P
    return FilterResult(done.loglik, kept.loglik, *means, kept.v, kept.S, done.n_diffuse, done.state)


def smooth_one(kind: type, packed: Packed, y: Array, inputs: npt.ArrayLike | None, state: State | None) -> SmoothResult:
    """The smoother of one series."""
    if not len(y):
        return _smooth.smooth_one(packed, y, inputs, state)
    roots = run(packed, y, inputs, state, kind, keep=True)
    trace, link = roots.done.trace, links(packed, roots)
    m: Array = trace.m.astype(kind)
    L = roots.filtered
    root_back(m, L, link.E, link.D, trace.predicted_m)
    m, L = m.astype(float), L.astype(float)
    cov = L @ L.swapaxes(1, 2)
    if roots.done.state.rank:
        cov += infinities(_left_open(trace, link.E))
    noise, shock = _noise(packed, roots.done.y, m, L), _shocks(packed, trace, link, m, L)
    R, Q = over_time(packed.ssm.obs_cov, len(m)), over_time(packed.ssm.process_cov, len(m))
    auxiliary = (
        standardised(x, prior - cov, prior, float(50 * np.finfo(kind).eps))
        for (x, cov), prior in ((noise, R), (shock, Q))
    )
    return SmoothResult(m, cov, *noise, *shock, *auxiliary)


def _left_open(trace: Trace, E: Array) -> Array:
    """The diffuse part that the whole series leaves open, A A' of every row."""
    A = [trace.A[-1][:, : trace.rank[-1]]]
    for gain in E[::-1]:
        A.append(gain @ A[-1])
    return unresolved(np.array(A[::-1]), A[0].shape[1])


def _shocks(packed: Packed, trace: Trace, link: Links, m: Array, L: Array) -> tuple[Array, Array]:
    """Means and covariances of the shocks; of the last one nothing is known."""
    E, D = link.shock_E.astype(float), link.shock_D.astype(float)
    Q = over_time(packed.ssm.process_cov, len(m))[-1]
    mean, spread = dot(E, m[1:] - trace.predicted_m[1:-1]), E @ L[1:]
    cov = spread @ spread.swapaxes(1, 2) + D @ D.swapaxes(1, 2)
    return np.concatenate([mean, np.zeros((1, len(Q)))]), np.concatenate([cov, Q[None]])


def _noise(packed: Packed, y: Array, m: Array, L: Array) -> tuple[Array, Array]:
    """Means and covariances of the observation noise: of missing entries by their correlation with observed ones."""
    n, dy = y.shape
    R, H = (
        np.broadcast_to(x, (n, dy, x.shape[2]))
        for x in (over_time(packed.ssm.obs_cov, n), over_time(packed.ssm.observation, n))
    )
    seen = ~np.isnan(y)
    both = seen[:, :, None] & seen[:, None, :]
    C = R * seen[:, None, :] @ np.linalg.pinv(np.where(both, R, 0.0), rcond=1e-13, hermitian=True)
    C = np.where(both, np.eye(dy), np.where(seen[:, :, None], 0.0, C))
    spread = C @ np.where(seen[:, :, None], H, 0.0) @ L
    mean = dot(C, np.where(seen, y - dot(H, m), 0.0))
    return mean, R - C @ np.where(both, R, 0.0) @ C.swapaxes(1, 2) + spread @ spread.swapaxes(1, 2)


def sample_one(
    kind: type,
    packed: Packed,
    y: Array,
    n_draws: int,
    random_state: int | np.random.Generator | None,
    inputs: npt.ArrayLike | None,
    state: State | None,
) -> Array:
    """Draw the last state, then each state given the next one (Carter and Kohn 1994)."""
    roots = run(packed, y, inputs, state, kind, keep=True)
    if roots.done.state.rank:
        raise InputError(
            f"the series leaves {roots.done.state.rank} diffuse direction(s) undetermined, so no path can be drawn"
        )
    trace, link, rng = roots.done.trace, links(packed, roots), np.random.default_rng(random_state)
    out = np.empty((n_draws, *trace.m.shape))
    for t in range(len(y) - 1, -1, -1):
        root = roots.filtered[t] if t == len(y) - 1 else link.D[t]
        out[:, t] = trace.m[t] + rng.standard_normal((n_draws, root.shape[1])) @ root.T
        if t < len(y) - 1:
            out[:, t] += (out[:, t + 1] - trace.predicted_m[t + 1]) @ link.E[t].T
    return out


def score_of(
    kind: type, packed: Packed, y: Array, names: tuple[str, ...], inputs: npt.ArrayLike | None, state: State | None
) -> tuple[float, LinearGaussianSSM]:
    """The score by the gains of this pass, whose states stay in their places: so all of the way back is asked for."""
    done = run(packed, y, inputs, state, kind, keep=True).done
    loglik, gradient = score_one(packed, y, tuple({*names, "observation"}), inputs, state, done)
    nothing: Any = None
    return loglik, gradient if "observation" in names else gradient._replace(observation=nothing)


def rung_of(name: str, kind: type, claims: str) -> Rung:
    """The rung whose roots are numbers of a type."""
    cost = "two to three times the sequential rung: an orthogonal reduction of n_states by n_states + n_shocks a row"
    serve: list[Any] = [partial(one, kind) for one in (loglik_one, filter_one, smooth_one, score_of, sample_one)]
    return Rung(name, cost, claims, partial(_out_of_range, kind), *serve)


def _out_of_range(kind: type, job: Job) -> str:
    """Why roots of this type cannot hold the covariances of a model, or ""."""
    if kind is np.float64:
        return ""
    cov, ssm = begin(job.packed, job.state)[1], job.packed.ssm
    largest = max(np.abs(over_time(x, 1)).max(initial=0.0) for x in (cov, ssm.process_cov, ssm.obs_cov))
    if largest and not 1e-60 < largest < 1e60:
        return (
            f"covariances of {largest:.2g} have roots that single precision cannot hold: scale the series and the model"
        )
    return ""


RUNG = rung_of(
    "square_root", np.float64, "every model, as the sequential rung does, with covariances that cannot lose their sign"
)
