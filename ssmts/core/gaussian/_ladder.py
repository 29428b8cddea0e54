"""The ladder: every way there is to run the recursions, what it claims, and which of them serves a call.

A rung is a module with a constant ``RUNG``; its functions take a packed model and one checked series ``(n_times, n_obs)``, or
a batch ``(n_series, n_times, n_obs)`` where the rung says that it is batched. `choose` takes the first rung of `ORDER` that
claims the call, or the one that was named; every rung gives the numbers of the sequential one, which claims everything.
"""

from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ssmts.core.gaussian._forward import check_inputs, series
from ssmts.core.gaussian._pack import Packed, pack
from ssmts.core.types import Array, LinearGaussianSSM, State
from ssmts.exceptions import InputError

RUNGS = (
    "shared",
    "collapsed",
    "schur",
    "steady",
    "sequential",
    "square_root",
    "square_root_single",
    "precision",
    "scan",
)
# in which "auto" asks: roots where others would lose digits, then the fastest first; rungs that are not here serve by name only
ORDER = ("square_root", "shared", "schur", "steady", "collapsed", "sequential")


class Job(NamedTuple):
    """A call as a rung sees it when it is asked whether it can serve."""

    task: str  # "loglik", "filter", "smooth", "score", "sample"
    packed: Packed
    y: Array  # (n_times, n_obs) or (n_series, n_times, n_obs)
    state: State | None  # where to start, None for the model's prior
    inputs: Any
    names: tuple[str, ...]  # what a score is wanted of


class Likelihood(NamedTuple):
    """A log-likelihood and what it stands on; of a batch, arrays (n_series,)."""

    loglik: Any
    n_diffuse: Any  # scalar observations that the diffuse part absorbed


class Rung(NamedTuple):
    """One way to run the recursions.

    ``refuses`` says in words why the rung cannot serve a job, and "" if it can. A task whose function is None is not served.
    """

    name: str
    cost: str
    claims: str
    refuses: Callable[[Job], str]
    loglik: Callable[..., Likelihood] | None = None  # (packed, y, inputs, state)
    filter: Callable[..., Any] | None = None  # (packed, y, inputs, state) -> FilterResult
    smooth: Callable[..., Any] | None = None  # (packed, y, inputs, state) -> SmoothResult
    score: Callable[..., Any] | None = None  # (packed, y, names, inputs, state) -> (loglik, LinearGaussianSSM)
    sample: Callable[..., Any] | None = None  # (packed, y, n_draws, rng, inputs, state) -> (n_draws, n_times, n_states)
    batched: bool = False  # functions take (n_series, n_times, n_obs) in one call
    pays: Callable[[Job], bool] = lambda job: True  # whether "auto" should use it where it does not refuse; cheap


@cache
def rung(name: str) -> Rung:
    """The rung of this name."""
    found: Rung = import_module(f"ssmts.core.gaussian._rungs.{name}").RUNG
    return found


def choose(method: str, job: Job) -> Rung:
    """The rung that serves a job.

    Parameters
    ----------
    method : str
        A rung's name, or "auto".
    job : Job

    Raises
    ------
    InputError
        If there is no such rung, or if it does not claim the job.
    """
    if method == "auto":
        rungs = (r for r in map(rung, ORDER) if getattr(r, job.task) is not None)
        return next(r for r in rungs if r.pays(job) and not r.refuses(job))
    if method not in RUNGS:
        raise InputError(f"method is {method!r}: choose one of {('auto', *RUNGS)}")
    named = rung(method)
    why = named.refuses(job) if getattr(named, job.task) is not None else f"it does not serve {job.task!r}"
    if why:
        raise InputError(
            f'method={method!r} cannot be used here: {why}. It claims {named.claims}; "auto" finds another.'
        )
    return named


TASKS = ("loglik", "filter", "smooth", "score", "sample")


def page() -> str:
    """The rungs as a table in Markdown: what each serves, claims and costs (docs/ladder.md)."""
    lines = [
        "# The ladder",
        "",
        'Every function of `ssmts.core.gaussian` takes `method=`. `"auto"` asks the rungs '
        + ", ".join(f"`{name}`" for name in ORDER)
        + " in this order and takes the first that claims the model and the data; any rung can be named, and refuses in words what "
        "it does not claim. What a rung claims it gives to 1e-9 relative against `sequential`, scores to 1e-7, unless its row "
        "says otherwise; `tests/core/gaussian/test_ladder.py` and `test_decimals.py` hold it to that, by the joint Gaussian written "
        "out and by the recursion in 350 digits. Of states that stay diffuse every rung gives infinite variances, and means "
        "without meaning; a row that contradicts what is known exactly has the log-likelihood minus infinity and moves nothing.",
        "",
        "| rung | serves | claims | operations |",
        "|---|---|---|---|",
    ]
    for name in RUNGS:
        one = rung(name)
        served = ", ".join(task for task in TASKS if getattr(one, task) is not None)
        lines.append(f"| `{name}` | {served} | {one.claims} | {one.cost} |")
    return "\n".join(lines) + "\n"


class Served(NamedTuple):
    """A checked call and the rung that serves it."""

    packed: Packed
    y: Array
    rung: Rung

    def each(self, function: Callable[..., Any], *args: Any) -> Any:
        """The result for one series, or a list of results, one for each series of a batch."""
        if self.y.ndim == 3:
            return [function(self.packed, one, *args) for one in self.y]
        return function(self.packed, self.y, *args)


def serve(
    task: str,
    ssm: LinearGaussianSSM | Packed,
    y: npt.ArrayLike,
    inputs: Any,
    method: str,
    state: State | None,
    names: tuple[str, ...] = (),
) -> Served:
    """Check a call at the door and find the rung for it."""
    packed = pack(ssm)
    values = series(y, packed)
    check_inputs(packed.ssm, inputs)
    packed = pack(packed, values.shape[-2])
    return Served(packed, values, choose(method, Job(task, packed, values, state, inputs, names)))


def stack(results: list[Any]) -> Any:
    """One result whose fields have a leading axis of series."""
    fields = zip(*results)
    return type(results[0])(*(stack(list(f)) if isinstance(f[0], tuple) else np.stack(f) for f in fields))
