"""News: why a forecast or a smoothed signal has changed since an earlier vintage of the data."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ssmts.core.gaussian._forward import dot, drive, over_time
from ssmts.core.gaussian._pack import Packed, pack
from ssmts.core.gaussian._smooth import smooth
from ssmts.core.gaussian._weights import ask, by_impulses, lengthen
from ssmts.core.types import Array, Index, LinearGaussianSSM, State
from ssmts.exceptions import InputError


class News(NamedTuple):
    """Why means have changed; ``current - previous`` is the sum of all impacts.

    Attributes
    ----------
    previous, current : (n_targets, size)
        The means given the earlier and the later vintage: size is the number of observations, or of states.
    updates : (n_updates, 2)
        Row and column of every value that is new: in new rows, or where one was missing.
    expected, news : (n_updates,)
        What the earlier values, revised, said about a new one, and the new one less that.
    update_weights, update_impacts : (n_targets, size, n_updates)
        What a unit of news changes, and what the news has changed.
    revisions : (n_revisions, 2)
        Row and column of every value that is another one now.
    revision_sizes : (n_revisions,)
    revision_impacts : (n_targets, size, n_revisions)
        What a revision changes before there is news.
    withdrawals : (n_withdrawals, 2)
        Row and column of every value that is missing now.
    withdrawal_impacts : (n_targets, size, n_withdrawals)
        What is lost with them: what they had added, as news, to the other values, revised.
    """

    previous: Array
    current: Array
    updates: Index
    expected: Array
    news: Array
    update_weights: Array
    update_impacts: Array
    revisions: Index
    revision_sizes: Array
    revision_impacts: Array
    withdrawals: Index
    withdrawal_impacts: Array


def news(
    ssm: LinearGaussianSSM | Packed,
    previous: npt.ArrayLike,
    current: npt.ArrayLike,
    times: npt.ArrayLike,
    inputs: npt.ArrayLike | None = None,
    *,
    of: str = "signals",
    state: State | None = None,
) -> News:
    """What new and revised values change in forecasts or smoothed signals.

    The means move first with the values that were revised, then with those that were withdrawn, then with what is new in the
    values that were added: the weight of each in the mean times its distance from what the others let expect.

    Parameters
    ----------
    ssm, state
        As in `filter`.
    previous, current : (n_times, n_obs)
        Two vintages of a series from the same first row, of which the later one has as many rows or more.
    times : int or sequence of int
        The rows whose signals are asked for, past or future.
    inputs : (n_rows, n_inputs), optional
        Up to the last row of ``current`` or of ``times``.
    of : {"signals", "states"}, default "signals"
        A signal is an observation without its noise: the mean of a forecast.

    Returns
    -------
    News

    Raises
    ------
    InputError
        If the later vintage is shorter, what both have leaves a diffuse start undetermined, or as in `filter`.
    NumericalError
        As in `filter`.

    References
    ----------
    Banbura and Modugno (2014), Journal of Applied Econometrics 29, 133-160, section 2.3.

    Examples
    --------
    >>> import numpy as np
    >>> from ssmts.core.types import LinearGaussianSSM
    >>> one = np.eye(1)
    >>> level = LinearGaussianSSM(one, one, one, one, np.zeros(1), 0 * one, initial_diffuse_cov=one)
    >>> found = news(level, [[1.0], [2.0]], [[1.0], [3.0], [4.0]], 3)
    >>> found.previous.ravel(), found.revision_impacts.ravel(), found.update_impacts.ravel(), found.current.ravel()
    (array([1.66666667]), array([0.66666667]), array([1.04166667]), array([3.375]))
    """
    before, earlier = ask(ssm, previous, times, of, "all", state)
    after, later = ask(ssm, current, times, of, "all", state)
    if len(later) < len(earlier):
        raise InputError(
            f"current has {len(later)} rows, but previous has {len(earlier)}: pass both from the same first row"
        )
    earlier = lengthen(earlier, len(later), np.nan)
    known, kept = ~np.isnan(earlier), ~np.isnan(earlier) & ~np.isnan(later)
    both = np.where(kept, later, np.nan)
    ask(ssm, both, times, of, "all", state)  # is it enough?
    revisions, withdrawals, updates = (
        np.argwhere(which) for which in (kept & (earlier != later), known & ~kept, ~known & ~np.isnan(later))
    )
    (was, _), (_, guess), (now, _) = (
        _means(ssm, lengthen(y, len(after.zeros), np.nan), after.times, inputs, of, state)
        for y in (earlier, both, later)
    )
    sizes, lost = (later - earlier)[tuple(revisions.T)], (earlier - guess[: len(later)])[tuple(withdrawals.T)]
    old = by_impulses(before, *np.concatenate([revisions, withdrawals]).T) * np.concatenate([sizes, -lost])
    expected = guess[tuple(updates.T)]
    fresh, weights = later[tuple(updates.T)] - expected, by_impulses(after, *updates.T)
    revised, withdrawn = old[:, :, : len(sizes)], old[:, :, len(sizes) :]
    return News(
        was, now, updates, expected, fresh, weights, weights * fresh, revisions, sizes, revised, withdrawals, withdrawn
    )


def _means(
    ssm: LinearGaussianSSM | Packed, y: Array, times: Index, inputs: Any, of: str, state: State | None
) -> tuple[Array, Array]:
    """Means of the targets, and of all observations, noise included, given y."""
    packed = pack(ssm, len(y))
    result = smooth(packed, y, inputs, state=state)
    signals = dot(over_time(packed.ssm.observation, len(y)), result.smoothed_mean)
    signals = signals - drive(packed, np.zeros_like(y), inputs)[1]
    targets = signals if of == "signals" else result.smoothed_mean
    return targets[times], signals + result.smoothed_obs_disturbance
