"""The rung for many series of the same model: gains and covariances, which no observation enters, are found once.

They depend on the data only through what is missing. Series are therefore grouped by that, one pass a group, and then only
means are moved, all series of a block side by side. Everything else is a product of matrices over the series.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ssmts.core.gaussian._filter import show_infinities
from ssmts.core.gaussian._forward import FILTERED, GAINS, PREDICTED, Pass, begin, drive, run
from ssmts.core.gaussian._kernels.adjoint import Gradient, Whole
from ssmts.core.gaussian._kernels.means import NOTHING, means_back, means_forward
from ssmts.core.gaussian._kernels.update import DIFFUSE, KIND, LOG_2PI, ORDINARY, SKIPPED, S
from ssmts.core.gaussian._ladder import Job, Likelihood, Rung, rung
from ssmts.core.gaussian._pack import Packed
from ssmts.core.gaussian._score import parts_of, score_one, support_of
from ssmts.core.gaussian._smooth import disturbances, smooth_pass
from ssmts.core.types import Array, FilterResult, Index, LinearGaussianSSM, SmoothResult, State, TimeVarying

NEAR = 2**11  # numbers that stay close to the processor: the means of a block of series
FAR = 32  # states of which too few series are close at a time
CALL, START = 15_000, 100_000  # nanoseconds to set out on one series, and on a batch
ROOM = 2**21  # numbers that the stored means of a block may take


class Means(NamedTuple):
    """What `_kernels.means` leaves of a block of series, time first and series last; arrays without rows were not asked for."""

    series: Index
    loglik: Array
    loglik_t: Array
    v: Array
    predicted: Array
    filtered: Array
    e: Array


def groups(y: Array) -> list[Index]:
    """The series that miss the same entries, by number."""
    holes = np.isnan(y)
    if not holes.any():
        return [np.arange(len(y))]
    found: dict[bytes, list[int]] = {}
    for i, packed in enumerate(np.packbits(holes.reshape(len(y), -1), axis=1)):
        found.setdefault(packed.tobytes(), []).append(i)
    return [np.array(members) for members in found.values()]


def refuses(job: Job) -> str:
    """Why many series do not pay here."""
    if job.y.ndim != 3:
        return "y is one series"
    if not job.y.shape[1]:
        return "the series have no rows"
    if len(groups(job.y)) == len(job.y):
        return "no two series miss the same entries"
    return ""


def pays(job: Job) -> bool:
    """Whether the pass of covariances comes back, in nanoseconds, against the one rung that has none: Schur's."""
    if job.y.ndim != 3:
        return False
    if job.task not in ("loglik", "score") or rung("schur").refuses(job):
        return True
    (many, n), dx = job.y.shape[:2], len(job.packed.start.mean)
    schur, own, once = 8 + dx / 4, dx * (0.4 if dx < FAR else 1.0), 100 + 10 * dx
    if job.task == "score":
        schur, own, once = 3 * schur, 9 * own, 3 * once
    return bool(many * (n * (schur - own) + CALL) > n * once + START)


def _passes(
    packed: Packed, y: Array, inputs: npt.ArrayLike | None, state: State | None, keep: int
) -> Iterator[tuple[Pass, Array, Index]]:
    """For every group the pass of its first series, all series less what inputs and offsets explain, and who they are."""
    for members in groups(y):
        done = run(packed, y[members[0]], inputs, state, keep | GAINS)
        yield done, drive(packed, np.zeros(y.shape[1:]), inputs)[1], members


def forward_means(
    packed: Packed, done: Pass, y: Array, shift: Array, members: Index, state: State | None, keep: int
) -> Iterator[Means]:
    """Move the means of a group through its series, block by block."""
    start, n = begin(packed, state)[0], len(shift)
    dx = len(start)
    width = int(np.clip(min(NEAR // dx, ROOM // max(n * (dx if keep else 1), 1)), 8, 256))
    loglik = _constants(done.trace.row)
    for first in range(0, len(members), width):
        series = members[first : first + width]
        e = np.ascontiguousarray((y[series] + shift).transpose(1, 2, 0))
        m = np.repeat(start[:, None], len(series), axis=1)
        total, each = np.full(len(series), loglik.sum()), np.empty((0, 0))
        v = predicted = filtered = NOTHING
        if keep & FILTERED:
            filtered = np.empty((n, *m.shape))
        if keep & PREDICTED:
            each, v, predicted = np.empty((n, len(series))), np.empty_like(e), np.empty((n + 1, *m.shape))
        kept = total, each, v, predicted, filtered
        tables = np.arange(dx), not len(done.trace.P), done.trace.row
        means_forward(packed.layout, packed.values, done.b, done.y, e, *tables, m, *kept)
        yield Means(series, total, each + loglik[:, None] if len(each) else each, v, predicted, filtered, e)


def _constants(tables: Array) -> Array:
    """What the variances of the innovations add to the log-likelihood of each row, whatever the series."""
    absorbed = tables[..., KIND] != SKIPPED
    constant: Array = np.sum(absorbed * LOG_2PI + np.log(np.where(absorbed, tables[..., S], 1.0)), axis=1)
    return -0.5 * constant


def loglik_many(packed: Packed, y: Array, inputs: npt.ArrayLike | None, state: State | None) -> Likelihood:
    """Log-likelihoods of a batch."""
    total, n_diffuse = np.empty(len(y)), np.empty(len(y), np.int64)
    for done, shift, members in _passes(packed, y, inputs, state, 0):
        n_diffuse[members] = done.n_diffuse
        for block in forward_means(packed, done, y, shift, members, state, 0):
            total[block.series] = block.loglik
    return Likelihood(total, n_diffuse)


def filter_many(packed: Packed, y: Array, inputs: npt.ArrayLike | None, state: State | None) -> FilterResult:
    """The filter of a batch; covariances that all series share are views of one."""
    (many, n), dx = y.shape[:2], len(packed.start.mean)
    loglik: Any = np.empty(many)
    loglik_t, v = np.empty((many, n)), np.empty(y.shape)
    predicted, filtered = np.empty((many, n + 1, dx)), np.empty((many, n, dx))
    shared: list[tuple[Index, tuple[Any, ...]]] = []
    for done, shift, members in _passes(packed, y, inputs, state, FILTERED | PREDICTED):
        for block in forward_means(packed, done, y, shift, members, state, FILTERED | PREDICTED):
            who = block.series
            loglik[who], loglik_t[who] = block.loglik, block.loglik_t.T
            v[who], predicted[who] = block.v.transpose(2, 0, 1), block.predicted.transpose(2, 0, 1)
            filtered[who] = block.filtered.transpose(2, 0, 1)
        show_infinities(packed, state, done)
        trace, last = done.trace, done.state
        covs = trace.predicted_P, trace.P, trace.S, done.n_diffuse, last.cov, last.diffuse_cov, last.rank
        shared.append((members, covs))
    predicted_cov, filtered_cov, S_t, n_diffuse, cov, diffuse_cov, rank = _share(shared, many)
    after = State(predicted[:, n], cov, diffuse_cov, rank)
    return FilterResult(loglik, loglik_t, predicted, predicted_cov, filtered, filtered_cov, v, S_t, n_diffuse, after)


def _share(found: list[tuple[Index, tuple[Any, ...]]], many: int) -> list[Any]:
    """What each group has in common, for each of its series."""
    if len(found) == 1:
        return [np.broadcast_to(part, (many, *np.shape(part))) for part in found[0][1]]
    out = [np.empty((many, *np.shape(part)), np.asarray(part).dtype) for part in found[0][1]]
    for members, parts in found:
        for to, part in zip(out, parts):
            to[members] = part
    return out


class Back(NamedTuple):
    """What a block of series says backwards, time first and series last."""

    ahead: Array  # r of some of the states predicted from each row,
    first: Array  # and of the first predicted one
    u: Array
    mean: Array  # smoothed, without rows if no filtered ones were kept


def backward_means(packed: Packed, done: Pass, block: Means, states: Index, r: Array | None = None) -> Back:
    """The pass back over a block; r (dx, n_series) is what rows after these say about the last
    state, by places, where nothing is seen.
    """
    (n, _, width), dx = block.e.shape, len(packed.start.mean)
    trace, rows = done.trace, len(done.trace.rank)
    ahead, u = np.empty((n, len(states), width)), np.empty_like(block.e)
    r = np.zeros((dx, width)) if r is None else r
    here, r1 = np.empty_like(block.filtered), np.empty((rows, dx, width))
    tables = done.place.copy(), not len(trace.P), trace.row
    means_back(packed.layout, packed.values, done.y, block.e, *tables, states, r, ahead, here, u, r1)
    if not len(block.filtered):
        return Back(ahead, r, u, NOTHING)
    mean = block.filtered + trace.P @ here
    if rows:
        A = trace.A * (np.arange(trace.A.shape[2]) < trace.rank[:, None])[:, None, :]
        mean[:rows] += A @ (A.swapaxes(1, 2) @ r1)
    return Back(ahead, r, u, mean)


def smooth_many(packed: Packed, y: Array, inputs: npt.ArrayLike | None, state: State | None) -> SmoothResult:
    """The smoother of a batch; covariances that all series share are views of one."""
    many = len(y)
    own: dict[str, Array] = {}
    shared: list[tuple[Index, tuple[Any, ...]]] = []
    shift = drive(packed, np.zeros(y.shape[1:]), inputs)[1]
    for members in groups(y):
        both = smooth_pass(packed, y[members[0]], inputs, state)
        done = both.forward
        for block in forward_means(packed, done, y, shift, members, state, FILTERED):
            back = backward_means(packed, done, block, np.arange(len(done.place)))
            mean, r, u = (part.transpose(2, 0, 1) for part in (back.mean, back.ahead, back.u))
            result = disturbances(packed, mean, both.cov, r, both.N, u, both.E)._asdict()
            for name in [name for name in result if not name.endswith("_cov")]:
                own.setdefault(name, np.empty((many, *result[name].shape[1:])))[block.series] = result[name]
        shared.append((members, tuple(part for name, part in result.items() if name.endswith("_cov"))))
    covs = [name for name in SmoothResult._fields if name.endswith("_cov")]
    return SmoothResult(**own, **dict(zip(covs, _share(shared, many))))


def score_many(
    packed: Packed, y: Array, names: tuple[str, ...], inputs: npt.ArrayLike | None, state: State | None
) -> tuple[Array, LinearGaussianSSM]:
    """Log-likelihoods of a batch, and the derivatives of their sum.

    A log-likelihood is a constant and a quadratic form in the data. What the constant adds to a derivative is the score of
    a series whose innovations are zero; the form adds r x' to that of the transition, u x' to that of the observation,
    r r' / 2 and u u' / 2 to those of the covariances, with x smoothed.
    """
    loglik, total = np.empty(len(y)), None
    keep = FILTERED if "transition" in names or "observation" in names else 0
    support = support_of(packed, names)
    states = (
        np.arange(len(packed.start.mean)) if {"state_offset", "input_matrix", "transition"} & set(names) else support
    )
    for done, shift, members in _passes(packed, y, inputs, state, keep):
        if "observation" in names and at_lower_rank(done):
            for i in members:
                loglik[i], own = score_one(packed, y[i], names, inputs, state)
                total = add_scores(total, own, 1.0)
            continue
        constant = constant_score(packed, y[members[0]], names, inputs, state)
        parts = None
        for block in forward_means(packed, done, y, shift, members, state, keep):
            loglik[block.series] = block.loglik
            back = backward_means(packed, done, block, states)
            parts = add_scores(
                parts, quadratic_score(packed, names, back, np.searchsorted(states, support), support, inputs), 1.0
            )
        total = add_scores(total, add_scores(parts, constant, float(len(members))), 1.0)
    assert total is not None
    return loglik, total


def at_lower_rank(done: Pass) -> bool:
    """Whether an observation saw nothing diffuse while something still was: it could see some if its line were another.

    Its derivative is that at the present rank, as the sequential score has it, where a smoothed state would be that of the
    whole.
    """
    rank, kinds = done.trace.rank, done.trace.row[: len(done.trace.rank), :, KIND]
    after = (
        rank[:, None] + np.cumsum((kinds == DIFFUSE)[:, ::-1], axis=1)[:, ::-1]
    )  # before an observation, if not diffuse
    return bool(((kinds == ORDINARY) & (after > 0)).any())


def constant_score(
    packed: Packed, y: Array, names: tuple[str, ...], inputs: npt.ArrayLike | None, state: State | None
) -> LinearGaussianSSM:
    """The score of a series with the same holes that is exactly what was predicted."""
    fields = ("initial_mean", "state_offset", "obs_offset")
    still = packed.replace(**{k: _times(x, 0.0) for k in fields if (x := getattr(packed.ssm, k)) is not None})
    state = None if state is None else state._replace(mean=np.zeros_like(state.mean))
    u = None if inputs is None else np.zeros_like(np.asarray(inputs, dtype=float))
    return score_one(still, np.where(np.isnan(y), np.nan, 0.0), names, u, state)[1]


def quadratic_score(
    packed: Packed, names: tuple[str, ...], back: Back, where: Index, support: Index, inputs: npt.ArrayLike | None
) -> LinearGaussianSSM:
    """What the quadratic form of a block adds to its score; `support` is `where` in the states of `back`."""
    ssm, dx = packed.ssm, len(packed.start.mean)
    r, u, x, first = back.ahead, back.u, back.mean, back.first

    def add(fields: tuple[str, ...], left: Array, right: Array | None, each: bool = False) -> Array:
        """Products summed over the series, and over the rows where none of the fields wants them apart."""
        if not set(fields) & set(names):
            return np.zeros((0, *left.shape[1:-1], *(() if right is None else right.shape[1:-1])))
        each = each or any(isinstance(getattr(ssm, name), TimeVarying) for name in fields)
        if right is None:
            sums: Array = left.sum(axis=-1)
            return sums if each else sums.sum(axis=0, keepdims=True)
        products: Array = left @ right.swapaxes(1, 2)
        return products if each else products.sum(axis=0, keepdims=True)

    driven, s = inputs is not None, r[:, where]
    out = Gradient(
        0.5 * add(("process_cov", "process_loading"), s, s),
        add(("state_offset", "input_matrix"), r, None, driven),
        0.5 * add(("obs_cov",), u, u),
        add(("obs_offset", "feedthrough"), u, None, driven),
    )
    F, H = add(("transition",), r, x), add(("observation",), u, x)
    unused = np.zeros((0, dx)), np.zeros((0, dx, dx)), np.zeros((0, dx, 0)), np.zeros(0, np.int64), np.zeros((dx, dx))
    parts = parts_of(ssm, names, out, Whole(*unused, F, H), support, inputs)
    parts |= {"initial_mean": first.sum(axis=1), "initial_cov": 0.5 * first @ first.T}
    chosen: Any = (parts[name] if name in names else None for name in LinearGaussianSSM._fields)
    return LinearGaussianSSM(*chosen)


def _times(field: Any, factor: float) -> Any:
    return TimeVarying(field.values * factor) if isinstance(field, TimeVarying) else np.asarray(field) * factor


def add_scores(total: Any, more: LinearGaussianSSM, factor: float) -> Any:
    """Total + factor * more, field by field; None is nothing."""
    fields: list[Any] = [None if field is None else _times(field, factor) for field in more]
    for i, field in enumerate(total or ()):
        if isinstance(field, TimeVarying):
            fields[i] = TimeVarying(field.values + fields[i].values)
        elif field is not None:
            fields[i] = field + fields[i]
    return LinearGaussianSSM(*fields)


RUNG = Rung(
    name="shared",
    cost="one sequential pass for every pattern of missing entries; then, for each row of each series, 4 n_states n_obs "
    "operations and 2 for each entry of the transition that mixes states, on n_states numbers that stay in the cache "
    "and, from memory, n_obs of y and its share, 1 / 2^11, of n_obs n_states^2 gains",
    claims="batches of series of one model of which some miss the same entries; any model, time-varying, exact diffuse start "
    "(an ill conditioned one costs the smoothed means of its rows digits, to 1e-7)",
    refuses=refuses,
    loglik=loglik_many,
    filter=filter_many,
    smooth=smooth_many,
    score=score_many,
    batched=True,
    pays=pays,
)
