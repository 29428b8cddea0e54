"""Many series, each with a model of its own: a loop over threads."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from joblib import Parallel, delayed, effective_n_jobs

from ssmts.core.gaussian._pack import Packed
from ssmts.core.types import LinearGaussianSSM, State
from ssmts.exceptions import InputError, NumericalError

Result = TypeVar("Result")
SHARES = 4  # chunks for each worker, so that none waits long for the last


def many(
    function: Callable[..., Result],
    ssm: LinearGaussianSSM | Packed | Sequence[LinearGaussianSSM | Packed],
    y: Sequence[npt.ArrayLike],
    inputs: Sequence[npt.ArrayLike | None] | None = None,
    *,
    state: Sequence[State | None] | None = None,
    n_jobs: int | None = None,
    **options: Any,
) -> list[Result]:
    """Call `loglik`, `score`, `filter`, `smooth` or `sample` for many series, in threads.

    Each series may have its own model and its own length; the compiled recursions do not hold the interpreter, so that
    threads run at once. Series of one model and one length are better passed to these functions as a batch: they then share
    their covariances.

    Parameters
    ----------
    function : callable
        Called as ``function(ssm, y, inputs=..., state=..., **options)``.
    ssm : LinearGaussianSSM, Packed, or a sequence of them
        One for all series, or one for each.
    y : sequence of (n_times, n_obs)
    inputs : sequence of (n_times, n_inputs), optional
        One for each series.
    state : sequence of State, optional
        Where each series starts, instead of at its model's prior.
    n_jobs : int, optional
        As in joblib: None is 1 unless `joblib.parallel_config` says otherwise, whose back end may also be of processes or
        machines; -1 takes all cores.
    **options
        Passed on, as ``method`` or ``wrt``.

    Returns
    -------
    list
        One result for each series, in their order.

    Raises
    ------
    InputError
        If there are not as many models, inputs or states as series, or as the function does.
    NumericalError
        As the function does; the message names the series.

    Examples
    --------
    >>> import numpy as np
    >>> from ssmts.core.gaussian import loglik, many
    >>> from ssmts.core.types import LinearGaussianSSM
    >>> one = np.eye(1)
    >>> noises = [LinearGaussianSSM(one, 0 * one, one, var * one, np.zeros(1), 0 * one) for var in (1.0, 2.0)]
    >>> [round(value, 3) for value in many(loglik, noises, [np.zeros((1, 1)), np.zeros((5, 1))], n_jobs=2)]
    [-0.919, -6.328]
    """
    n = len(y)
    single = isinstance(ssm, LinearGaussianSSM | Packed)
    columns: list[Sequence[Any]] = [
        [ssm] * n if single else ssm,
        y,
        *([None] * n if x is None else x for x in (inputs, state)),
    ]
    for name, column in zip(("models", "series", "inputs", "states"), columns):
        if len(column) != n:
            raise InputError(f"there are {n} series and {len(column)} {name}: pass one for each")
    jobs = list(zip(range(n), *columns))
    shares = np.array_split(np.arange(n), max(1, min(n, SHARES * effective_n_jobs(n_jobs))))
    calls = (delayed(_some)(function, [jobs[i] for i in share], options) for share in shares)
    return [result for part in Parallel(n_jobs, prefer="threads")(calls) for result in part]


def _some(function: Callable[..., Result], jobs: list[tuple[Any, ...]], options: dict[str, Any]) -> list[Result]:
    results = []
    for i, ssm, y, inputs, state in jobs:
        try:
            results.append(function(ssm, y, inputs=inputs, state=state, **options))
        except (InputError, NumericalError) as error:
            raise type(error)(f"series {i}: {error}") from error
    return results
