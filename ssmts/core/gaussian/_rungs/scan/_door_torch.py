"""The scan for arrays: the functions of the rung."""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from ssmts.core.gaussian._filter import filter_one
from ssmts.core.gaussian._forward import FILTERED, begin, drive, over_time, run
from ssmts.core.gaussian._ladder import Job, Likelihood, stack
from ssmts.core.gaussian._moments import process_noise
from ssmts.core.gaussian._pack import Packed
from ssmts.core.gaussian._rungs.scan import _torch as scan
from ssmts.core.gaussian._smooth import disturbances
from ssmts.core.types import Array, FilterResult, SmoothResult, State
from ssmts.exceptions import InputError


def refuses(job: Job) -> str:
    """Why a scan would not be exact here, or ""."""
    y = job.y if job.y.ndim == 3 else job.y[None]
    if any(_head(job.packed, one, job.inputs, job.state)[1] for one in y):
        return "the series leaves part of a diffuse start undetermined, too few rows see it"
    try:
        scan.rows_of(_tensors(job.packed, y, job.inputs, job.state))
    except InputError as error:
        return str(error)
    return ""


def _head(packed: Packed, y: Array, inputs: Any, state: State | None) -> tuple[int, int]:
    """How many rows begin partly diffuse, and how many directions are so after the last one."""
    if not begin(packed, state)[2].shape[1]:
        return 0, 0
    n, u = 16, None if inputs is None else np.asarray(inputs)
    while True:
        done = run(packed, y[:n], None if u is None else u[:n], state, FILTERED)
        if not done.state.rank or n >= len(y):
            return len(done.trace.rank), done.state.rank
        n *= 2


def _tensors(packed: Packed, y: Array, inputs: Any, state: State | None) -> scan.Tensors:
    """A model and a batch as tensors."""
    n = y.shape[1]
    b, shift = drive(packed, np.zeros(y.shape[1:]), inputs)
    m, P, A = begin(packed, state)
    b = b[:n] if len(b) else np.zeros((1, len(m)))

    def rows(values: Array) -> torch.Tensor:
        return torch.as_tensor(np.ascontiguousarray(values[:n]))[None].expand(1, n, *values.shape[1:])

    ssm = packed.ssm
    F, H, R = (rows(over_time(field, n)) for field in (ssm.transition, ssm.observation, ssm.obs_cov))
    start, cov, factor = (torch.as_tensor(x)[None] for x in (m[:, None], P, A))
    data, V = torch.as_tensor(y + shift)[..., None], rows(process_noise(packed, n))
    return scan.Tensors(F, rows(b[..., None]), V, H, R, start, cov, factor, data, "covariance")


def _batch(y: Array) -> Array:
    return y if y.ndim == 3 else y[None]


def loglik_scan(packed: Packed, y: Array, inputs: npt.ArrayLike | None, state: State | None) -> Likelihood:
    """Log-likelihood by a reduction."""
    t = _tensors(packed, _batch(y), inputs, state)
    done = scan.loglik(t).numpy()
    rank = t.A.shape[-1]
    return Likelihood(done, np.full(len(done), rank)) if y.ndim == 3 else Likelihood(float(done[0]), rank)


def filter_scan(packed: Packed, y: Array, inputs: npt.ArrayLike | None, state: State | None) -> FilterResult:
    """The filter; rows that begin partly diffuse are those of the sequential pass."""
    many = _batch(y)
    fields = {name: x.numpy() for name, x in scan.filtered(_tensors(packed, many, inputs, state)).items()}
    del fields["settled"]
    out = []
    for i, one in enumerate(many):
        rows = _head(packed, one, inputs, state)[0]
        own: dict[str, Any] = {name: np.array(x[i]) for name, x in fields.items()}
        if rows:
            first = filter_one(packed, one[:rows], None if inputs is None else np.asarray(inputs)[:rows], state)
            for name in own:
                if name != "loglik":
                    own[name][:rows] = getattr(first, name)[:rows]
        m, P = own["predicted_mean"][-1].copy(), own["predicted_cov"][-1].copy()
        rank = begin(packed, state)[2].shape[1]
        own["loglik"] = float(own["loglik"])
        out.append(FilterResult(**own, n_diffuse=rank, state=State(m, P, np.zeros_like(P), 0)))
    return stack(out) if y.ndim == 3 else out[0]  # type: ignore[no-any-return]


def smooth_scan(packed: Packed, y: Array, inputs: npt.ArrayLike | None, state: State | None) -> SmoothResult:
    """The smoother."""
    t = _tensors(packed, _batch(y), inputs, state)
    done = scan.smoothed(t, t.y)
    mean, r, u = (x[..., 0].numpy() for x in (done.mean, done.r, done.u))
    covs = [x.expand(len(mean), *x.shape[1:]).numpy() for x in (done.cov, done.N, done.E)]
    each = [disturbances(packed, a, P, b, N, c, E) for a, b, c, P, N, E in zip(mean, r, u, *covs)]
    return stack(each) if y.ndim == 3 else each[0]  # type: ignore[no-any-return]


def sample_scan(
    packed: Packed,
    y: Array,
    n_draws: int,
    random_state: int | np.random.Generator | None,
    inputs: npt.ArrayLike | None,
    state: State | None,
) -> Array:
    """Paths of the states given one series."""
    t = _tensors(packed, y[None], inputs, state)
    rng, dx = np.random.default_rng(random_state), t.F.shape[-1]
    z = torch.as_tensor(rng.standard_normal((1, len(y), dx + y.shape[1], n_draws)))
    done: Array = scan.paths(t, z[:, :, :dx], z[:, :, dx:])[0].permute(2, 0, 1).contiguous().numpy()
    return done
