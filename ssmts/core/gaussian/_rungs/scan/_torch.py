"""Filter, smoother, sampler and likelihood by associative scans of tensors.

**Diffuse start.** The start x = m + A delta with an infinite variance of delta is carried by columns: the series in the
first, A in the others, all with the covariances of a start that is proper. In the end delta is what generalised least
squares says, from ``quadratic`` (de Jong 1991). The proper start has the covariance P + s A A': in the limit that is the same
prior, and it sees to it that no row is without noise because the start is.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch

from ssmts.core.gaussian._rungs.scan._elements_torch import (
    Elements,
    Tensor,
    combine_affine,
    combine_back,
    combine_back_square_root,
    combine_covariance,
    combine_square_root,
    covariance_elements,
    root,
    solve,
    square_root_elements,
    step_covariance,
    symmetric,
    tria,
)
from ssmts.core.scan.associative import associative_reduce, associative_scan
from ssmts.exceptions import InputError, NumericalError

FORMS = ("covariance", "square_root")
CONTRADICTION = 1e-6  # how far, relative to its terms, an observation may lie from what is known exactly


class Tensors(NamedTuple):
    """A model and its series; what all series or all rows share has length 1 there or is expanded."""

    F: Tensor  # (series, n, dx, dx)
    b: Tensor  # (series, n, dx, 1)
    V: Tensor  # (series, n, dx, dx) of the noise in the states
    H: Tensor  # (series, n, dy, dx)
    R: Tensor  # (series, n, dy, dy)
    m: Tensor  # (series, dx, 1)
    P: Tensor  # (series, dx, dx)
    A: Tensor  # (series, dx, rank)
    y: Tensor  # (series, n, dy, 1) less what offsets and inputs explain
    form: str


class Rows(NamedTuple):
    """Every row as an element sees it: x = F x_before + c + noise of covariance V, y = H x + noise of covariance R."""

    F: Tensor
    V: Tensor
    H: Tensor  # zero where missing,
    R: Tensor  # and there with a noise of its own of variance 1
    used: Tensor  # (series, n, dy) what is neither missing nor redundant
    contradicted: Tensor  # (series, n) whether a redundant entry contradicts the others
    spread: Tensor  # P + s A A'


class Pass(NamedTuple):
    """What a pass forward leaves; means have one column for each column of the data, diffuse ones last."""

    predicted: Tensor  # (series, n + 1, dx, k)
    predicted_cov: Tensor  # (series, n + 1, dx, dx)
    filtered: Tensor  # (series, n, dx, k)
    filtered_cov: Tensor
    factor: Tensor  # of the covariance of the used innovations
    white: Tensor  # factor^-1 innovations (series, n, dy, k)


def after_first(first: Tensor, later: Tensor) -> Tensor:
    """A first row and those that follow, of series that may be shared by either."""
    lead = torch.broadcast_shapes(first.shape[:1], later.shape[:1])
    both = [first[:, None].expand(*lead, 1, *first.shape[1:]), later.expand(*lead, *later.shape[1:])]
    return torch.cat(both, dim=1)


def rows_of(t: Tensors) -> Rows:
    """Bring missing and redundant entries into a form that needs no case, or say why the scan cannot serve."""
    used = ~torch.isnan(t.y[..., 0])
    if (used == used[:1]).all():
        used = used[:1]
    spread = t.P + _scale(t) * (t.A @ t.A.mT)
    F = after_first(torch.zeros_like(t.F[:, 0]), t.F[:, :-1])
    V = after_first(spread, t.V[:, :-1])
    used, contradicted = _without_redundant(t, F, V, used)
    H = t.H * used[..., None]
    R = t.R * (used[..., None] & used[..., None, :]) + torch.diag_embed((~used).to(t.R.dtype))
    return Rows(F, V, H, R, used, contradicted, spread)


def _scale(t: Tensors) -> Any:
    """A variance for the diffuse directions that is seen like the noise is."""
    if not t.A.shape[-1]:
        return 0.0
    with torch.no_grad():
        seen = (t.H @ t.A[:, None]).square().sum(-1).mean()
        noise = torch.diagonal(t.R + t.H @ t.V @ t.H.mT, dim1=-2, dim2=-1).mean()
        scale = noise / seen
        return torch.where(torch.isfinite(scale) & (scale > 0), scale, torch.ones_like(scale))


@torch.no_grad()
def _without_redundant(t: Tensors, F: Tensor, V: Tensor, used: Tensor) -> tuple[Tensor, Tensor]:
    """Leave out entries that those before them in the row determine whatever the state was.

    An entry without noise that does see the state before makes a density without a finite precision: that is refused.
    """
    H = t.H * used[..., None]
    S = H @ V @ H.mT + t.R * (used[..., None] & used[..., None, :])
    e = torch.where(used[..., None], t.y - H @ after_first(t.m, t.b[:, :-1]), 0.0)
    seen, terms = H @ F, e.abs().sum(dim=(-2, -1))
    reach, size = seen.abs().amax(dim=(-2, -1)), torch.diagonal(S, dim1=-2, dim2=-1)
    loose = 1e-12 if S.dtype == torch.float64 else 1e-5
    contradicted, redundant = torch.zeros(e.shape[:2], dtype=torch.bool, device=e.device), []
    for i in range(S.shape[-1]):
        pivot = S[..., i, i]
        sound = pivot > loose * size[..., i]
        gone = ~sound & used[..., i]
        if gone.any():
            exact = gone & (seen[..., i, :].abs().amax(-1) > math.sqrt(loose) * reach)
            if exact.any():
                row = int(torch.nonzero(exact)[0][1])
                raise InputError(
                    f"observation {i} of row {row} sees the state before it without noise, so that its density has no "
                    'finite precision: give it a variance, or take method="sequential"'
                )
            contradicted |= gone & (e[..., i, 0].abs() > CONTRADICTION * terms)
        redundant.append(gone)
        weight = S[..., :, i] * (sound / torch.where(sound, pivot, 1.0))[..., None]
        weight = (weight * (torch.arange(S.shape[-1], device=S.device) > i))[..., None]
        line = slice(i, i + 1)
        S, seen, e = S - weight * S[..., line, :], seen - weight * seen[..., line, :], e - weight * e[..., line, :]
    return used & ~torch.stack(redundant, dim=-1), contradicted


def columns(t: Tensors, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Data, start and drift in columns: y (series, n, dy, k) less nothing, and then one for each diffuse direction."""
    d, k = t.A.shape[-1], y.shape[-1]
    pad = torch.nn.functional.pad
    start = torch.cat([t.m.expand(*t.m.shape[:-1], k), t.A.expand(len(t.m), -1, -1)], dim=-1)
    drift = pad(t.b.expand(*t.b.shape[:-1], k), (0, d))
    return pad(torch.nan_to_num(y), (0, d)), start, drift


def elements(t: Tensors, rows: Rows, y: Tensor, full: bool = True) -> Elements:
    """The element of every row, with its normaliser if `full`."""
    data, start, drift = columns(t, y)
    c = after_first(start, drift[:, :-1])
    e = (data - rows.H @ c) * rows.used[..., None]
    if t.form == "covariance":
        return covariance_elements(rows.F, c, rows.V, rows.H, rows.R, e, full)
    return square_root_elements(rows.F, c, root(rows.V), rows.H, root(rows.R), e, full)


def centred(t: Tensors) -> Tensors:
    """The same with a start near what the first rows say, which changes nothing in the limit and spares digits."""
    d = t.A.shape[-1]
    if not d:
        return t
    with torch.no_grad():
        n = 16 + 2 * d
        F, b, V, H, R, y = (x[:, :n] for x in (t.F, t.b, t.V, t.H, t.R, t.y))
        head = Tensors(F, b, V, H, R, t.m, t.P, t.A, y, "covariance")
        quadratic = associative_reduce(combine_covariance, elements(head, rows_of(head), head.y), 1)[6][:, 0]
        delta = -torch.linalg.pinv(quadratic[:, 1:, 1:], hermitian=True) @ quadratic[:, 1:, :1]
        shift = t.A @ delta
    return t._replace(m=t.m + shift)


def block_of(t: Tensors) -> int | None:
    """Blocks pay where there is little to do side by side: on a CPU, and in one long series."""
    n = t.y.shape[1]
    return max(16, int(math.sqrt(n))) if t.y.device.type == "cpu" else None


def forward(t: Tensors, rows: Rows, y: Tensor) -> Pass:
    """Filter all columns of y."""
    plain = t.form == "covariance"
    seen = elements(t, rows, y, full=False)
    lead = torch.broadcast_shapes(*(e.shape[:2] for e in seen))
    seen = tuple(e.expand(lead[0] if e is seen[1] or e is seen[3] else e.shape[0], *e.shape[1:]) for e in seen)
    combine = combine_covariance if plain else combine_square_root
    _, mean, C, _, _ = associative_scan(combine, seen, 1, block=block_of(t), step=step_covariance if plain else None)
    data, start, drift = columns(t, y)
    predicted = after_first(start, t.F @ mean + drift)
    H, P = rows.H, C if plain else C @ C.mT
    if plain:
        ahead = after_first(rows.spread, symmetric(t.F @ C @ t.F.mT) + t.V)
        factor = torch.linalg.cholesky(symmetric(H @ ahead[:, :-1] @ H.mT) + rows.R)
    else:
        U = after_first(root(rows.spread), tria(t.F @ C, root(t.V)))
        ahead, factor = U @ U.mT, tria(H @ U[:, :-1], root(rows.R))
    white = solve(factor, (data - H @ predicted[:, :-1]) * rows.used[..., None])
    done = Pass(predicted, ahead, mean, P, factor, white)
    _check(rows, done)
    return done


@torch.no_grad()
def _check(rows: Rows, done: Pass) -> None:
    """Every row must follow from the one before it by the recursion, or products of elements have lost what it would keep.

    That is so where exact sensors leave a closed loop that grows: a span then tells the state before it ever more precisely.
    """
    P = done.predicted_cov[:, :-1]
    half = solve(done.factor, rows.H @ P)
    off = (done.predicted[:, :-1] + half.mT @ done.white - done.filtered).abs().amax(dim=(-2, -1))
    size = done.filtered.abs().amax(dim=(-2, -1)).clamp(min=1.0)
    loose = 3e-10 if P.dtype == torch.float64 else 1e-3
    lost = ~(off <= loose * size.amax(dim=1, keepdim=True))
    if lost.any():
        row = int(torch.nonzero(lost)[0][1])
        raise NumericalError(
            f"filtered_mean of row {row} does not follow from the row before it, as exact sensors tell states that a scan cannot hold: "
            'take method="sequential"'
        )


def _definite(quadratic: Tensor) -> Tensor:
    """The Cholesky factor of the precision of the diffuse directions, or an error that says what is missing."""
    scale = torch.diagonal(quadratic, dim1=-2, dim2=-1).sqrt()
    scaled = quadratic.detach() / (scale[..., None] * scale[..., None, :]).detach()
    loose = 1e-11 if quadratic.dtype == torch.float64 else 1e-5
    if not (scale > 0).all() or (torch.linalg.eigvalsh(scaled) < loose).any():
        raise InputError(
            "the series leaves part of a diffuse start undetermined, too few rows see it: pass more rows, a proper prior, "
            'or take method="sequential"'
        )
    factor: Tensor = torch.linalg.cholesky(quadratic)
    return factor


def _least_squares(quadratic: Tensor, d: int) -> tuple[Tensor, Tensor]:
    """Delta for every column of the data, and the Cholesky factor of its precision."""
    factor = torch.linalg.cholesky(quadratic[..., -d:])
    return -torch.cholesky_solve(quadratic[..., :-d], factor), factor


def _normal(constant: Tensor, quadratic: Tensor, used: Tensor) -> Tensor:
    total: Tensor = -0.5 * (constant + quadratic + math.log(2 * math.pi) * used.to(constant.dtype))
    return total


def loglik(t: Tensors) -> Tensor:
    """Log-likelihoods (series,), from the innovations of all rows at once.

    The normaliser of a product of elements is the same number, but loses digits with the square of the level of the data,
    which elements see without a prediction; it serves `span`.
    """
    t = centred(t)
    rows = rows_of(t)
    return torch.where(rows.contradicted.any(dim=-1), -torch.inf, _of_what_agrees(t, rows))


def _of_what_agrees(t: Tensors, rows: Rows) -> Tensor:
    """The likelihoods of a start that is centred, without what redundant entries say."""
    done = forward(t, rows, t.y)
    constant = 2 * torch.diagonal(done.factor, dim1=-2, dim2=-1).abs().log().sum(dim=(-2, -1))
    quadratic = (done.white.mT @ done.white).sum(dim=1)
    d, rest = t.A.shape[-1], quadratic[:, 0, 0]
    if d:
        factor = _definite(quadratic[:, 1:, 1:])
        half = solve(factor, quadratic[:, 1:, :1])
        rest = rest - half.square().sum(dim=(-2, -1))
        constant = constant + 2 * torch.diagonal(factor, dim1=-2, dim2=-1).log().sum(-1)
    return _normal(constant, rest, rows.used.sum(dim=(-2, -1)))


def filtered(t: Tensors) -> dict[str, Tensor]:
    """The fields of a `FilterResult`, and ``settled``, the rows after which nothing was diffuse."""
    t = centred(t)
    rows = rows_of(t)
    done = forward(t, rows, t.y)
    d, n = t.A.shape[-1], t.y.shape[1]
    settled = torch.ones(t.y.shape[:2], dtype=torch.bool, device=t.y.device)
    means = done.predicted[..., :1], done.filtered[..., :1]
    covs = done.predicted_cov, done.filtered_cov
    if d:
        quadratic = (done.white.mT @ done.white).cumsum(dim=1)
        end = _definite(quadratic[:, -1, 1:, 1:])[:, None]
        share = solve(end, solve(end, quadratic[..., 1:, 1:]).mT)
        settled = torch.linalg.eigvalsh(share.detach())[..., 0] > (1e-9 if t.y.dtype == torch.float64 else 1e-4)
        quadratic = torch.where(settled[..., None, None], quadratic, quadratic[:, -1:])
        delta, factor = _least_squares(quadratic[..., -d:, :], d)
        before = after_first(delta[:, 0], delta), after_first(factor[:, 0], factor)
        means, covs = zip(
            _resolved(done.predicted, done.predicted_cov, *before),
            _resolved(done.filtered, done.filtered_cov, delta, factor),
        )
    v = t.y - t.H @ means[0][:, :-1]
    S = symmetric(t.H @ covs[0][:, :-1] @ t.H.mT) + t.R
    pairs = rows.used[..., None] & rows.used[..., None, :]
    chol = torch.linalg.cholesky(torch.where(pairs, S, 0.0) + torch.diag_embed((~rows.used).to(S.dtype)))
    white = solve(chol, torch.where(rows.used[..., None], torch.nan_to_num(v), 0.0))
    logdet = 2 * torch.diagonal(chol, dim1=-2, dim2=-1).log().sum(-1)
    each = _normal(logdet, white.square().sum(dim=(-2, -1)), rows.used.sum(-1))
    total = each.sum(-1)
    if d:
        known = after_first(torch.zeros_like(settled[:, 0]), settled)[:, :-1]  # nothing diffuse before the row
        total = _of_what_agrees(t, rows)
        each = torch.where(known, each, 0.0)
        last = torch.nn.functional.one_hot((~known).sum(-1) - 1, n)
        each = each + last * (total - each.sum(-1))[:, None]
    series = t.y.shape[0]
    fields = {
        "loglik": torch.where(rows.contradicted.any(dim=-1), -torch.inf, total),
        "loglik_t": torch.where(rows.contradicted, -torch.inf, each),
        "predicted_mean": means[0][..., 0],
        "predicted_cov": covs[0],
        "filtered_mean": means[1][..., 0],
        "filtered_cov": covs[1],
        "innovations": v[..., 0],
        "innovation_cov": S,
        "settled": settled,
    }
    return {name: x.expand(series, *x.shape[1:]) for name, x in fields.items()}


def _resolved(mean: Tensor, cov: Tensor, delta: Tensor, factor: Tensor) -> tuple[Tensor, Tensor]:
    """Means with the diffuse directions put in, covariances with what remains open of them."""
    d = delta.shape[-2]
    X = mean[..., -d:]
    half = solve(factor, X.mT)
    return mean[..., :-d] + X @ delta, cov + half.mT @ half


class Smoothed(NamedTuple):
    """Means of the states, and the backward recursion, of every column of the data; shapes as in `disturbances`."""

    mean: Tensor  # (series, n, dx, k)
    cov: Tensor
    r: Tensor  # (series, n, dx, k) of the state predicted from each row
    N: Tensor
    u: Tensor  # (series, n, dy, k) of the observations
    E: Tensor


def smoothed(t: Tensors, y: Tensor) -> Smoothed:
    """Smooth every column of y by one scan forward and one back."""
    t = centred(t)
    rows = rows_of(t)
    done = forward(t, rows, y)
    d, plain, P = t.A.shape[-1], t.form == "covariance", done.predicted_cov[:, :-1]
    one = torch.eye(P.shape[-1], dtype=P.dtype, device=P.device)
    half = solve(done.factor, rows.H)
    inverse = solve(done.factor, torch.eye(half.shape[-2], dtype=P.dtype, device=P.device)) * rows.used[..., None, :]
    S_inverse = inverse.mT @ inverse
    gain = P @ half.mT @ inverse
    u = inverse.mT @ done.white
    L = t.F @ (one - gain @ rows.H)
    lead = torch.broadcast_shapes(L.shape[:1], half.shape[:1])
    L, W = L.expand(*lead, *L.shape[1:]), half.mT @ half if plain else tria(half.mT)
    back = combine_back if plain else combine_back_square_root
    step = _step_back if plain else None
    _, r, N = associative_scan(
        back, (L, rows.H.mT @ u, W.expand(*lead, *W.shape[1:])), 1, reverse=True, block=block_of(t), step=step
    )
    ahead_r = torch.cat([r[:, 1:], torch.zeros_like(r[:, :1])], dim=1)
    ahead_N = torch.cat([N[:, 1:], torch.zeros_like(N[:, :1])], dim=1)
    here, GF = t.F.mT @ ahead_r, t.F @ gain
    u = u - gain.mT @ here
    mean = done.filtered + done.filtered_cov @ here
    if plain:
        N_f = t.F.mT @ ahead_N @ t.F
        E = S_inverse + GF.mT @ ahead_N @ GF
    else:
        wide = t.F.mT @ ahead_N
        N_f, ahead_N = wide @ wide.mT, ahead_N @ ahead_N.mT
        E = S_inverse + GF.mT @ ahead_N @ GF
    cov = symmetric(done.filtered_cov - done.filtered_cov @ N_f @ done.filtered_cov)
    if not d:
        return Smoothed(mean, cov, ahead_r, ahead_N, u, E)
    quadratic = (done.white[..., -d:].mT @ done.white).sum(dim=1)
    _definite(quadratic[..., -d:])
    delta, factor = (part[:, None] for part in _least_squares(quadratic, d))
    mean, cov = _resolved(mean, cov, delta, factor)
    open_r, open_u = solve(factor, ahead_r[..., -d:].mT), solve(factor, u[..., -d:].mT)
    ahead_r = ahead_r[..., :-d] + ahead_r[..., -d:] @ delta
    u = u[..., :-d] + u[..., -d:] @ delta
    return Smoothed(mean, cov, ahead_r, ahead_N - open_r.mT @ open_r, u, E - open_u.mT @ open_u)


def _step_back(i: Elements, j: Elements) -> Elements:
    """`combine_back` onto what is after j's last row, of which L does not matter."""
    return j[0], i[0].mT @ j[1] + i[1], i[0].mT @ j[2] @ i[0] + i[2]


def paths(t: Tensors, shocks: Tensor, noises: Tensor) -> Tensor:
    """Paths of the states given the series, (series, n, dx, draws), made of standard normal numbers.

    Parameters
    ----------
    t : Tensors
    shocks, noises : (series, n, dx, draws), (series, n, dy, draws)
        Zeros give the smoothed mean.
    """
    F = after_first(torch.zeros_like(t.F[:, 0]), t.F[:, :-1])
    moved = after_first(root(t.P), root(t.V[:, :-1])) @ shocks
    states = associative_scan(combine_affine, (F, moved), 1, block=block_of(t))[1]
    simulated = t.H @ states + root(t.R) @ noises
    return states + smoothed(t, t.y - simulated).mean


def span(t: Tensors, first: int, stop: int) -> tuple[Tensor, Tensor, Tensor]:
    """Constant, linear and quadratic term of the log-density of rows first to stop - 1, given the state before them."""
    rows = rows_of(t)
    part: Callable[[Tensor], Tensor] = lambda e: e[:, first:stop]  # noqa: E731
    combine = combine_covariance if t.form == "covariance" else combine_square_root
    total = associative_reduce(combine, tuple(map(part, elements(t, rows, t.y))), 1)
    constant = _normal(total[5][:, 0, 0, 0], total[6][:, 0, 0, 0], part(rows.used).sum(dim=(-2, -1)))
    J = total[4][:, 0]
    return constant, total[3][:, 0, :, 0], J if t.form == "covariance" else J @ J.mT
