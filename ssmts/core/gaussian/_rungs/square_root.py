"""The square-root rungs: no covariance is ever a difference, in double and in single precision.

The way back goes through the coordinates of the roots, see `_kernels.root_back`: for the smoother and for draws alike.
"""

from functools import partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ssmts.core.gaussian import _smooth
from ssmts.core.gaussian._filter import show_infinities
from ssmts.core.gaussian._forward import (
    Pass,
    Trace,
    begin,
    dot,
    drive,
    infinities,
    lost,
    over_time,
    unresolved,
    unsound,
)
from ssmts.core.gaussian._kernels.root import root_forward
from ssmts.core.gaussian._kernels.root_back import draw_back, root_back
from ssmts.core.gaussian._kernels.update import KIND, SKIPPED, UNSEEN, K
from ssmts.core.gaussian._ladder import Job, Likelihood, Rung
from ssmts.core.gaussian._pack import Packed
from ssmts.core.gaussian._score import score_one
from ssmts.core.gaussian._smooth import standardised
from ssmts.core.types import Array, FilterResult, LinearGaussianSSM, SmoothResult, State
from ssmts.exceptions import InputError, NumericalError

# A root that is zero is wrong by so many roundings for each state, and its square by their square.
ROUNDINGS = 20.0

# A proper prior so much wider than the noise that it is seen through costs other smoothers more than 1e-9: what remains of it is
# the difference of numbers as large as its square.
WIDE = 300.0

AGREED = 1e-6  # how near the log-likelihoods of covariances and of roots must be where variances may be rounding


class Way(NamedTuple):
    """What a pass leaves for the way back; an array without rows is not kept."""

    seen: Array  # (n, dy, dx) what scalar observations see of the white coordinates, f = L'h
    mirrors: Array  # (n, dx, dx + dw) normals of the mirrors of each transition
    turned: (
        Array  # (rank, rank + 1) for each diffuse direction the mirror that turned it out, and what its observation saw
    )
    folded: Array  # (rank, dx, dx + 1) and the mirrors that made a root after it


class Roots(NamedTuple):
    """A finished pass: the part that every rung has, and roots of the covariances."""

    done: Pass
    filtered: Array  # (n, dx, dx) lower triangles
    way: Way


def root_of(cov: Array) -> Array:
    """Roots with root @ root.T = cov of one or many covariances, which may be singular.

    A correlation matrix that is singular has eigenvalues that are rounding; their roots, 1e-8, would count as information.
    """
    size = np.sqrt(np.maximum(np.diagonal(cov, axis1=-2, axis2=-1), 0.0))
    scale = np.where(size > 0, size, 1.0)
    values, vectors = np.linalg.eigh(cov / (scale[..., :, None] * scale[..., None, :]))
    if (values < -1e-9).any():  # which may be rounding of what is small beside the others
        values_of_cov = np.linalg.eigvalsh(cov)
        if (values_of_cov[..., 0] < -1e-9 * values_of_cov[..., -1]).any():
            raise NumericalError(
                f"a covariance has the negative eigenvalue {values_of_cov.min():.3g}: pass non-negative definite ones"
            )
    values = np.where(values > 10 * cov.shape[-1] * np.finfo(float).eps, values, 0.0)
    return np.asarray(scale[..., :, None] * vectors * np.sqrt(values)[..., None, :])


def lower(W: Array) -> Array:
    """The lower triangle L, square, with L L' = W W' for one or many W."""
    n = W.shape[-2]
    wide = np.concatenate([W, np.zeros((*W.shape[:-1], max(0, n - W.shape[-1])))], axis=-1)
    return np.asarray(np.asarray(np.linalg.qr(wide.swapaxes(-1, -2), mode="r")).swapaxes(-1, -2))


def _columns(roots: Array) -> int:
    """The most columns that are not zero, which is no less than the rank."""
    return int((roots != 0).any(axis=-2).sum(axis=-1).max(initial=0))


def squared(root: Array) -> Array:
    """Root root' of one or many roots, in double precision."""
    root = root.astype(float)
    return np.asarray(root @ root.swapaxes(-1, -2))


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
    (dx, rank), start = A.shape, root_of(P)
    L = lower(start)
    rows = n if keep and rank else 0
    kept = n if keep else 0
    loglik_t, ranks = np.empty(kept), np.zeros(rows, np.int64)
    after, events = (kept + 1, rank) if keep else (0, 0)
    noise = shock_roots(packed)
    predicted: tuple[Array, Array] = np.empty((after, dx)), np.empty((after, dx, dx), kind)
    filtered: tuple[Array, Array] = np.empty((kept, dx)), np.empty((kept, dx, dx), kind)
    table, factors = np.empty((kept, dy, K + 2 * dx)), np.empty((rows, dx, rank))
    way = Way(
        np.empty((kept, dy, dx), kind),
        np.empty((kept, dx, dx + noise.shape[2]), kind),
        np.empty((events, rank + 1)),
        np.empty((events, dx, dx + 1), kind),
    )
    L = np.ascontiguousarray(L, kind)
    tiny = (ROUNDINGS * dx * float(np.finfo(kind).eps)) ** 2
    model = packed.layout, packed.values, b, y, noise
    traces = loglik_t, *predicted, *filtered, table, factors, ranks, *way
    unknown, moved = min(_columns(start) + rank, dx), _columns(noise)  # in so many directions
    loglik, left, n_diffuse, t, wrong = root_forward(*model, m, L, A, unknown, moved, tiny, *traces)
    if wrong:
        raise unsound(t, wrong, m, L)
    n_open = min(n_diffuse, rows)
    (ahead, root), (means, P) = ((mean, squared(one)) for mean, one in (predicted, filtered))
    v, S = np.empty((0, dy)), np.empty((0, dy, dy))
    if keep:
        H = over_time(packed.ssm.observation, n)
        v, S = y - dot(H, ahead[:n]), H @ root[:n] @ H.swapaxes(1, 2) + over_time(packed.ssm.obs_cov, n)
    trace = Trace(loglik_t, v, S, ahead, root, means, P, table, factors[:n_open], ranks[:n_open])
    end = State(m, squared(L), unresolved(A, left), left)
    return Roots(Pass(float(loglik), end, rank - left, trace, y, b, np.arange(dx)), filtered[1], way)


def loglik_one(kind: type, packed: Packed, y: Array, inputs: npt.ArrayLike | None, state: State | None) -> Likelihood:
    """Log-likelihood of one series."""
    done = run(packed, y, inputs, state, kind, keep=False).done
    return Likelihood(done.loglik, done.n_diffuse)


def confirm(packed: Packed, y: Array, inputs: npt.ArrayLike | None, state: State | None, loglik: float) -> None:
    """Refuse a log-likelihood of other recursions, in which rounding may have been taken for variances, unless roots find it, too."""
    try:
        found = loglik_one(np.float64, packed, y, inputs, state).loglik
    except NumericalError:
        found = np.nan
    if found != loglik and not abs(found - loglik) <= AGREED * max(1.0, abs(found)):
        more = '; method="square_root" keeps twice the digits'
        raise lost(f"the log-likelihood is {loglik:.9g} by covariances and {found:.9g} by their roots", more)


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
    trace, (n, dx) = roots.done.trace, (len(y), len(packed.start.mean))
    dw = roots.way.mirrors.shape[2] - dx
    moved, still = np.empty((n, dx)), np.empty((n, dx, roots.done.state.rank))
    shock, shock_cov = (
        np.zeros((n, dw)),
        np.broadcast_to(np.eye(dw), (n, dw, dw)).copy(),
    )  # of the last nothing is known
    L = roots.filtered.astype(float)
    ranks = np.ascontiguousarray(trace.rank)
    root_back(trace.row, ranks, trace.A, L, *roots.way, moved, shock, shock_cov, still)
    m, cov = trace.m + moved, squared(L)
    if roots.done.state.rank:
        still[np.linalg.norm(still, axis=-1) <= UNSEEN * np.linalg.norm(trace.A, axis=-1)] = 0.0
        cov += infinities(still @ still.swapaxes(1, 2))
    Q = over_time(packed.ssm.process_cov, n)
    root = root_of(Q)
    shocks = dot(root, shock), root @ shock_cov @ root.swapaxes(1, 2)
    noise = _noise(packed, roots.done.y, trace.row[..., KIND] != SKIPPED, m, L)
    R, zero = over_time(packed.ssm.obs_cov, n), float(50 * np.finfo(kind).eps)
    auxiliary = (standardised(x, prior - cov, prior, zero) for (x, cov), prior in ((noise, R), (shocks, Q)))
    return SmoothResult(m, cov, *noise, *shocks, *auxiliary)


def _noise(packed: Packed, y: Array, seen: npt.NDArray[np.bool_], m: Array, L: Array) -> tuple[Array, Array]:
    """Means and covariances of the observation noise: of entries that are not seen by their correlation with those that are."""
    n, dy = y.shape
    R, H = (
        np.broadcast_to(x, (n, dy, x.shape[2]))
        for x in (over_time(packed.ssm.obs_cov, n), over_time(packed.ssm.observation, n))
    )
    noisy = np.diagonal(R, axis1=1, axis2=2) > 0
    both = seen[:, :, None] & seen[:, None, :]
    C = R * seen[:, None, :] @ np.linalg.pinv(np.where(both, R, 0.0), rcond=1e-13, hermitian=True)
    C = np.where(both, np.eye(dy), np.where(seen[:, :, None], 0.0, C)) * noisy[:, :, None]
    spread = C @ np.where(seen[:, :, None], H, 0.0) @ L
    mean = dot(C, np.where(seen, y - dot(H, m), 0.0))
    return mean, R - C @ np.where(both, R, 0.0) @ C.swapaxes(1, 2) + squared(spread)


def sample_one(
    kind: type,
    packed: Packed,
    y: Array,
    n_draws: int,
    random_state: int | np.random.Generator | None,
    inputs: npt.ArrayLike | None,
    state: State | None,
) -> Array:
    """Draw the last state, then what led to it, backwards (Carter and Kohn 1994)."""
    roots = run(packed, y, inputs, state, kind, keep=True)
    if roots.done.state.rank:
        raise InputError(
            f"the series leaves {roots.done.state.rank} diffuse direction(s) undetermined, so no path can be drawn"
        )
    trace, rng = roots.done.trace, np.random.default_rng(random_state)
    (n, dx), rank = trace.m.shape, len(roots.way.turned)
    dw = roots.way.mirrors.shape[2] - dx
    white = [rng.standard_normal((*size, n_draws)) for size in ((dx,), (max(n - 1, 0), dw), (rank,))]
    paths = np.empty((n, dx, n_draws))
    draw_back(trace.row, trace.A, roots.filtered.astype(float), *roots.way, *white, paths)
    return np.ascontiguousarray((trace.m[:, :, None] + paths).transpose(2, 0, 1))


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
    cost = (
        "an orthogonal reduction of n_states by n_states + n_shocks a row, for smoothers another on the way back: three to ten times "
        "the sequential rung"
    )
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


def pays(job: Job) -> bool:
    """Whether a smoother starts from a proper prior so wide that the other rungs lose digits of what remains of it."""
    if job.task != "smooth":
        return False
    ssm, start = job.packed.ssm, job.packed.start if job.state is None else job.state
    seen, moved = (
        np.diagonal(over_time(x, job.packed.n_times), axis1=1, axis2=2) for x in (ssm.obs_cov, ssm.process_cov)
    )
    noise = seen[seen > 0].min() if (seen > 0).any() else moved.max(initial=0.0)
    return bool(np.diagonal(start.cov).max(initial=0.0) > WIDE * noise > 0)


RUNG = rung_of(
    "square_root",
    np.float64,
    "every model, as the sequential rung does, with covariances that cannot lose their sign; smoothers keep 1e-9 after an ill "
    "conditioned diffuse start and after a proper prior with variances 1e6 times those of what is seen, too; exact sensors that tell "
    "states with a condition of up to 1e7 to 1e-6, or an error that says that digits are lost",
)._replace(pays=pays)
