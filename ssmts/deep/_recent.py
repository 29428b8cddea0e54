"""How wide intervals have to be now, by the rows that came since fit."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from .._containers import FloatArray
from .calibration import Calibration, misses
from .windows import Batch, Windows, stretches

_LOOKS = 16  # origins that are looked at: with 32 coverage on validation rows is the same to half a percent
_KNOWN = 0.5  # share of the rows of a context that has values, at least


def recent_widths(
    calibration: Calibration, windows: Windows, n_new: Sequence[int], said: Callable[[Batch, int], FloatArray]
) -> FloatArray:
    """Factors of the widths of intervals by lead, ``(n_series, C, h)``: 1 where no row is new.

    What a forecaster would have said at a few of the rows since fit is compared with what came, except where a gap left less than half of
    its window: what is said after a gap is worse, and says nothing of later. It is a function of the rows that are
    kept, so that many rows at once and one after the other give the same.

    Parameters
    ----------
    calibration : Calibration
    windows : Windows
        On the rows that are kept of each series, with the horizon of training.
    n_new : sequence of int
        How many of the last rows of each series are new; at most ``RECENT`` horizons.
    said : callable
        ``said(batch, horizon)``, quantiles ``(B, C, horizon, len(LEVELS))``.

    References
    ----------
    Gibbs and Candes (2021), Adaptive conformal inference under distribution shift, NeurIPS, for the idea that what comes sets the width;
    here the size of errors does, which a few of them tell better than whether they were inside.
    """
    wider = np.ones((len(n_new), windows.y[0].shape[1], windows.horizon))
    series, rows = [], []
    for i, n in enumerate(n_new):
        back = _spread(n)
        series.append(np.full(len(back), i))
        rows.append(len(windows.y[i]) - back)
    which, at = np.concatenate(series), np.concatenate(rows)
    if not len(at):
        return wider
    missed = []
    for each in stretches(0, len(at)):
        batch = windows.batch_at(which[each], at[each])
        far = misses(said(batch, windows.horizon), batch.target.numpy().astype(float))
        known = (~batch.context.isnan()).sum(-1).numpy() / np.minimum(at[each], windows.context_length)[:, None]
        missed.append(np.where(known[..., None] < _KNOWN, np.nan, far))
    for i, mine in zip(np.unique(which), np.split(np.concatenate(missed), np.flatnonzero(np.diff(which)) + 1)):
        wider[i] = calibration.adapted(mine, n_new[i])
    return wider


def _spread(n: int) -> np.ndarray:
    """Rows back from the end, evenly over the last n."""
    count = min(_LOOKS, max(n, 0))
    return np.ceil(np.linspace(n / count, n, count)).astype(np.int64) if count else np.zeros(0, dtype=np.int64)
