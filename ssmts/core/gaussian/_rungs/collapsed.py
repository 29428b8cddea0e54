"""The rung of tall observations: many of them in a row say of a few states what as many numbers as there are states say.

With the root of the noise R = L L' and the singular values of what is whitened, L^-1 H = U S V', the observations e of a row fall
apart into two parts that have nothing to do with each other (Jungbacker and Koopman 2015, *Econometrics Journal* 18)::

    e* = U' L^-1 e = S V' x + noise of unit variance,    and the rest of L^-1 e, which is noise alone

so that a model of rank(H) observations gives the states, and the rest adds a constant to the log-likelihood. What is missing has
no line in H and in R. Smoothing errors u and E of the observations are those of the two parts, put together::

    u = L'^-1 (rest + U u*),    E = L'^-1 (I - U U' + U E* U') L^-1

A row of many observations then costs two products of matrices, where many rows miss the same entries.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ssmts.core.gaussian._filter import filter_result
from ssmts.core.gaussian._forward import FILTERED, PREDICTED, begin, dot, drive, over_time, run
from ssmts.core.gaussian._kernels.update import LOG_2PI, UNSEEN
from ssmts.core.gaussian._ladder import Job, Likelihood, Rung, choose
from ssmts.core.gaussian._pack import Packed, is_full
from ssmts.core.gaussian._rungs.shared import groups as by_holes
from ssmts.core.gaussian._score import fold, score_one
from ssmts.core.gaussian._smooth import disturbances, smooth_pass
from ssmts.core.types import Array, FilterResult, Index, LinearGaussianSSM, SmoothResult, State, TimeVarying

ROOM = 2**21  # numbers of a block of groups
FEW, START = 5, 800_000  # observations a row below which nothing is gained; nanoseconds to set out
TIMES = {"filter": 2.0, "smooth": 6.0, "score": 6.0}  # what a scalar observation costs against its likelihood
OBSERVED = {"observation", "obs_cov", "obs_offset", "feedthrough"}  # fields of which the collapsed model knows nothing


class Collapsed(NamedTuple):
    """A series of few observations, and the way back to the many."""

    packed: Packed
    y: Array  # (n, rank)
    inputs: Any  # None if the collapsed model takes none
    constant: Array  # (n,) of the log-likelihood
    e: Array  # (n, n_obs) observations less what they do not owe to the state
    rest: Array  # (n, n_obs) what noise alone makes of them, times R^-1
    groups: list[Index]  # rows that share the following
    root: Array  # (n_groups, n_obs, n_obs) L^-1 without what is missing, or (n_groups, n_obs) if R is diagonal
    back: Array  # (n_groups, n_obs, rank) L'^-1 U
    lines: Array  # (n_groups, rank, n_states) S V'


def collapse(packed: Packed, y: Array, inputs: npt.ArrayLike | None, state: State | None) -> Collapsed:
    """Collapse a series: once for all rows that miss the same entries, or for each row if its matrices are its own."""
    (n, dy), e = y.shape, drive(packed, y, inputs)[1]
    H, R = over_time(packed.ssm.observation, n), over_time(packed.ssm.obs_cov, n)
    groups = _alike(e, max(len(H), len(R)) > 1)
    masks = ~np.isnan(e[np.array([rows[0] for rows in groups], dtype=np.int64)])
    states = np.flatnonzero(H.any(axis=(0, 1)))
    rank, many = min(dy, len(states)), len(groups)
    lines, back = np.zeros((many, rank, H.shape[2])), np.zeros((many, dy, rank))
    root = np.zeros((many, dy, dy) if is_full(R) else (many, dy))
    few, rest, constant = np.full((n, rank), np.nan), np.zeros((n, dy)), np.zeros(n)
    width = max(ROOM // (dy * (len(states) + dy) + 1), 1)
    for first in range(0, many, width):
        part = slice(first, first + width)
        H_own, R_own = (x[part] if len(x) > 1 else x for x in (H[:, :, states], R))
        root[part], log_root = _whitener(R_own, masks[part])
        U, told, lines[part, :, states] = _directions(_times(root[part], H_own))
        back[part] = _times(root[part], U, True)
        for i, rows in enumerate(groups[part], first):
            whitened = _whiten(root[i], np.nan_to_num(e[rows]))
            own, direction = told[i - first], U[i - first]
            found = whitened @ direction
            left = whitened - found @ direction.T
            few[rows] = np.where(own, found, np.nan)
            rest[rows] = _whiten(root[i].T, left)
            free = masks[i].sum() - own.sum()
            constant[rows] = log_root[i - first] - 0.5 * (np.einsum("tp,tp->t", left, left) + free * LOG_2PI)
    group = np.zeros(n, np.int64)  # of each row
    for i, rows in enumerate(groups):
        group[rows] = i
    own_lines, own_back = _turn(packed, begin(packed, state)[2], few, group, lines, back)
    if own_lines:
        start = np.arange(len(own_lines))
        groups = [*(rows[rows >= len(start)] for rows in groups), *start[:, None]]
        root = np.concatenate([root, root[group[start]]])
        lines, back = np.concatenate([lines, own_lines]), np.concatenate([back, own_back])
        group[start] = many + start
    small = packed.replace(
        observation=TimeVarying(lines[group]) if len(groups) != 1 else lines[0],
        obs_cov=np.eye(rank),
        obs_offset=None,
        feedthrough=None,
    )
    driven = inputs if packed.ssm.input_matrix is not None else None
    return Collapsed(small, few, driven, constant, e, rest, groups, root, back, lines)


def _turn(
    packed: Packed, A: Array, few: Array, group: Index, lines: Array, back: Array
) -> tuple[list[Array], list[Array]]:
    """Turn the observations of the rows that begin partly diffuse, so that each sees a diffuse direction of its own.

    One scalar at a time, an observation that sees what others before it have left almost nothing of would lose digits. The
    diffuse factor A is followed through the rows; the lines of each and the way back are returned, and `few` is turned.
    """
    own_lines, own_back = [], []
    F, t = over_time(packed.ssm.transition, len(few)), 0
    while A.shape[1] and t < len(few):
        L, B, told = lines[group[t]].copy(), back[group[t]].copy(), ~np.isnan(few[t])
        U, S, V = np.linalg.svd(L[told] @ A)
        few[t, told], L[told], B[:, told] = U.T @ few[t, told], U.T @ L[told], B[:, told] @ U
        own_lines.append(L)
        own_back.append(B)
        size = np.linalg.norm(L) * np.linalg.norm(A)
        A, t = F[min(t, len(F) - 1)] @ (A @ V[int(np.sum(UNSEEN * size < S)) :].T), t + 1
    return own_lines, own_back


def _alike(e: Array, apart: bool) -> list[Index]:
    """Rows that miss the same entries, or every row by itself."""
    return list(np.arange(len(e))[:, None]) if apart or not len(e) else by_holes(e)


def _whiten(root: Array, rows: Array) -> Array:
    """L^-1 times each of the rows."""
    return rows * root if root.ndim == 1 else rows @ root.T


def _whitener(R: Array, seen: npt.NDArray[np.bool_]) -> tuple[Array, Array]:
    """L^-1 for every pattern, as a vector if R is diagonal, and the logarithms of their determinants."""
    variance = np.where(seen, np.diagonal(R, axis1=1, axis2=2), 1.0)
    if not is_full(R):
        return seen / np.sqrt(variance), -0.5 * np.log(variance).sum(axis=1)
    both = seen[:, :, None] & seen[:, None, :]
    L = np.linalg.cholesky(np.where(both, R, np.eye(R.shape[1])))
    return np.where(both, np.linalg.inv(L), 0.0), -np.log(np.diagonal(L, axis1=1, axis2=2)).sum(axis=1)


def _times(root: Array, matrices: Array, transposed: bool = False) -> Array:
    """L^-1 times matrices, item by item, or L'^-1 if `transposed`."""
    if root.ndim == 2:
        return root[..., None] * matrices
    return (root.swapaxes(1, 2) if transposed else root) @ matrices


def _directions(W: Array) -> tuple[Array, npt.NDArray[np.bool_], Array]:
    """U, which of its columns see anything, and S V'. States are brought to one size first, so that rounding shows."""
    size = np.linalg.norm(W, axis=1, keepdims=True)
    size[size == 0] = 1.0
    U, S, V = np.linalg.svd(W / size, full_matrices=False)
    told = 10 * max(W.shape[1:]) * np.finfo(float).eps * S[:, :1] < S
    return U * told[:, None, :], told, (S * told)[:, :, None] * V * size


def loglik_collapsed(packed: Packed, y: Array, inputs: npt.ArrayLike | None, state: State | None) -> Likelihood:
    """The log-likelihood of the collapsed series by the rung that it takes, and of the rest."""
    small = collapse(packed, y, inputs, state)
    job = Job("loglik", small.packed, small.y, state, small.inputs, ())
    serves = choose("auto", job).loglik
    assert serves is not None
    found = serves(small.packed, small.y, small.inputs, state)
    return Likelihood(found.loglik + small.constant.sum(), found.n_diffuse)


def filter_collapsed(packed: Packed, y: Array, inputs: npt.ArrayLike | None, state: State | None) -> FilterResult:
    """The filter of the collapsed series; innovations are those of the observations themselves."""
    small, n = collapse(packed, y, inputs, state), len(y)
    done = run(small.packed, small.y, small.inputs, state, FILTERED | PREDICTED)
    kept = done.trace
    H, R = over_time(packed.ssm.observation, n), over_time(packed.ssm.obs_cov, n)
    v = small.e - dot(H, kept.predicted_m[:n])
    S = H @ kept.predicted_P[:n] @ H.swapaxes(1, 2) + R
    kept = kept._replace(loglik=kept.loglik + small.constant, v=v, S=(S + S.swapaxes(1, 2)) / 2)
    return filter_result(packed, state, done._replace(loglik=done.loglik + small.constant.sum(), trace=kept))


def smooth_collapsed(packed: Packed, y: Array, inputs: npt.ArrayLike | None, state: State | None) -> SmoothResult:
    """The smoother of the collapsed series, with the disturbances of the observations themselves."""
    small = collapse(packed, y, inputs, state)
    done = smooth_pass(small.packed, small.y, small.inputs, state, whole=False)
    u, E = _errors(small, done.u, done.E)
    return disturbances(packed, done.mean, done.cov, done.r, done.N, u, E)


def _errors(small: Collapsed, u: Array, E: Array) -> tuple[Array, Array]:
    """Smoothing errors of the observations and their covariances, from those of the collapsed ones."""
    errors, covs = small.rest.copy(), np.empty((*small.e.shape, small.e.shape[1]))
    for rows, root, back in zip(small.groups, small.root, small.back):
        alone = (np.diag(root**2) if root.ndim == 1 else root.T @ root) - back @ back.T
        errors[rows] += u[rows] @ back.T
        covs[rows] = alone + back @ E[rows] @ back.T
    return errors, covs


def score_collapsed(
    packed: Packed, y: Array, names: tuple[str, ...], inputs: npt.ArrayLike | None, state: State | None
) -> tuple[float, LinearGaussianSSM]:
    """The score: that of the collapsed series, and Fisher's identity for what it knows nothing of.

    dl/dR = (u u' - E) / 2, dl/dd = u, dl/dH = E[R^-1 noise x' given y] = u x' - R^-1 H V, with x and V smoothed.
    """
    small, own = collapse(packed, y, inputs, state), OBSERVED & set(names)
    others = tuple(name for name in names if name not in OBSERVED)
    loglik, gradient = score_one(small.packed, small.y, others, small.inputs, state)
    total = loglik + float(small.constant.sum())
    if not own:
        return total, gradient
    done = smooth_pass(small.packed, small.y, small.inputs, state, whole=False)
    u, E = _errors(small, done.u, done.E)
    parts: dict[str, Any] = {"obs_cov": 0.5 * (u[:, :, None] * u[:, None, :] - E), "obs_offset": u}
    if "observation" in own:
        parts["observation"] = u[:, :, None] * done.mean[:, None, :]
        for rows, back, lines in zip(small.groups, small.back, small.lines):
            parts["observation"][rows] -= back @ (lines @ done.cov[rows])
    if "feedthrough" in own:
        parts["feedthrough"] = u[:, :, None] * np.asarray(inputs, dtype=float)[:, None, :]
    return total, gradient._replace(**{name: fold(getattr(packed.ssm, name), parts[name]) for name in own})


def refuses(job: Job) -> str:
    """Why collapsing says nothing here."""
    packed, dy = job.packed, job.y.shape[-1]
    states = int(over_time(packed.ssm.observation, packed.n_times).any(axis=(0, 1)).sum())
    if not states < dy:
        return f"there are no more observations ({dy}) than states that they see ({states})"
    if "collapsible" not in packed.derived:
        packed.derived["collapsible"] = _is_regular(over_time(packed.ssm.obs_cov, packed.n_times))
    if not packed.derived["collapsible"]:
        return "obs_cov is singular"
    if "observation" in job.names and (packed.start.rank if job.state is None else job.state.rank):
        return "the derivative of the observation matrix is wanted, and the start is diffuse"
    return ""


def pays(job: Job) -> bool:
    """Whether rows that miss the same entries are so many that collapsing them is faster than one scalar at a time.

    In nanoseconds, from below for the sequential rung and from above for this one.
    """
    packed, (n, dy), dx = job.packed, job.y.shape[-2:], len(job.packed.start.mean)
    if dy < FEW or job.y.ndim == 3:
        return False
    one = (50 + 1.5 * dx * dx) * TIMES.get(job.task, 1.0)
    if n * dy * one < START:
        return False
    full = bool(packed.layout[2])
    varying = any(isinstance(getattr(packed.ssm, name), TimeVarying) for name in ("observation", "obs_cov"))
    patterns = n if varying else len(by_holes(job.y))
    sequential = n * dy * (one + full * dy) + full * patterns * 0.2 * dy**3
    rank = min(dx, dy)
    collapsed = START + n * (rank * one + 2 * rank * dy) + patterns * (15_000 + 400 * dy + full * 40 * dy * dy)
    return bool(collapsed < sequential)


def _is_regular(R: Array) -> bool:
    """Whether every covariance, scaled to correlations, is far enough from singular for its root."""
    variance = np.diagonal(R, axis1=1, axis2=2)
    if not (variance > 0).all():
        return False
    if not is_full(R):
        return True
    scale = 1 / np.sqrt(variance)
    return bool(np.linalg.eigvalsh(R * scale[:, :, None] * scale[:, None, :])[:, 0].min() > 1e-8)


RUNG = Rung(
    name="collapsed",
    cost="a singular value decomposition of n_obs by n_states for every pattern of missing entries, or for every row whose "
    "matrices are its own, with a root of obs_cov; then n_obs n_states a row, and what another rung "
    "asks for n_states observations a row",
    claims="rows of more observations than states that they see, with a nonsingular obs_cov; missing parts of rows, time-varying, "
    "exact diffuse start, where an ill conditioned one costs smoothed covariances what it costs the sequential rung; derivatives of the "
    "observation matrix from a proper start",
    refuses=refuses,
    loglik=loglik_collapsed,
    filter=filter_collapsed,
    smooth=smooth_collapsed,
    score=score_collapsed,
    pays=pays,
)
