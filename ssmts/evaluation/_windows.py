"""The windows of a backtest: fits, updates and forecasts, and what is kept of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import chain
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
from joblib import Parallel, delayed, effective_n_jobs
from sklearn.base import clone

from .. import through
from .._containers import FloatArray
from .._form import IntArray
from ..distributions import Distribution, Gaussian, Quantiles, Stacked, Transformed
from ..exceptions import SsmtsError
from ..forecasts import Forecast
from ._probabilistic import crps_gaussian, crps_samples
from ._rows import Data

STAGES = ("fit", "update", "forecast")
_N_QUANTILES = 100  # stand for a distribution that is no Gaussian in its CRPS


class Window(NamedTuple):
    """Forecasts of the rows of one window."""

    cutoff: int  # step
    rows: IntArray  # (n,) positions of the rows in the data
    values: FloatArray  # (n, n_outputs, 2 + 2 n_levels): mean, borders, CRPS
    seconds: dict[str, float]


def collect(
    f: Any,
    data: Data,
    passes: list[IntArray],
    horizon: int,
    levels: tuple[float, ...],
    n_jobs: Any,
    n: int,
    progress: bool,
) -> list[Window]:
    """Windows of every pass; those without rows are left out."""
    windows: Iterable[Window]
    if len(passes) == 1 or effective_n_jobs(n_jobs) == 1:
        windows = chain.from_iterable(_pass(f, data, each, horizon, levels) for each in passes)
    else:
        run = Parallel(n_jobs=n_jobs, prefer="threads", return_as="generator")
        windows = chain.from_iterable(run(delayed(_whole_pass)(f, data, each, horizon, levels) for each in passes))
    if progress:
        from tqdm.auto import tqdm

        windows = tqdm(windows, total=n, desc="backtest", unit="window")
    return [window for window in windows if len(window.rows)]


def _whole_pass(*arguments: Any) -> list[Window]:
    return list(_pass(*arguments))


def _pass(f: Any, data: Data, cutoffs: IntArray, horizon: int, levels: tuple[float, ...]) -> Iterator[Window]:
    """Fit before the first cutoff; forecast, and update from each cutoff to the next."""
    model, before, known = clone(f), None, None
    for cutoff in cutoffs.tolist():
        seconds = dict.fromkeys(STAGES, 0.0)
        with _named(data, cutoff):
            start = perf_counter()
            if before is None:
                rows = data.between(None, cutoff)
                model.fit(*data.take(rows))
                known = data.known(rows)
                seconds["fit"] = perf_counter() - start
            else:
                rows = data.between(before, cutoff, known)
                if len(data.number[rows]):
                    through.update(model, *data.take(rows))
                seconds["update"] = perf_counter() - start
            rows, values = data.between(cutoff, cutoff + horizon, known), np.empty(0)
            if len(data.number[rows]):
                start = perf_counter()
                forecast = through.forecast(model, data.future(rows), level=levels)
                values = _values(forecast, data.values[rows], levels)
                seconds["forecast"] = perf_counter() - start
        before = cutoff
        yield Window(cutoff, data.number[rows], values, seconds)


def _values(forecast: Forecast, y: FloatArray, levels: tuple[float, ...]) -> FloatArray:
    """Mean, borders of the intervals and CRPS of the rows of a forecast, ``(n, n_outputs, 2 + 2 n_levels)``."""
    distribution = forecast.distribution
    borders = [p for level in levels for p in ((100 - level) / 200, (100 + level) / 200)]
    deviation = _deviation(distribution)
    grid = [] if deviation is not None else _grid(distribution)
    quantiles = distribution.quantile([*borders, *grid])
    columns = {"mean": distribution.mean(), **{str(i): quantiles[..., i] for i in range(quantiles.shape[-1])}}
    if deviation is not None:
        columns["std"] = deviation
    values = forecast.rows.array(columns).reshape(*y.shape, len(columns))
    n = 1 + len(borders)
    if deviation is not None:
        crps = crps_gaussian(y, values[..., 0], values[..., -1])
    else:
        crps = crps_samples(y.ravel(), values[..., n:].reshape(y.size, -1)).reshape(y.shape)
    return np.concatenate([values[..., :n], crps[..., None]], axis=-1)


def _deviation(distribution: Distribution) -> FloatArray | None:
    """Standard deviations of a Gaussian, None of anything else."""
    if isinstance(distribution, Gaussian):
        return np.sqrt(distribution.variance())
    if isinstance(distribution, Stacked):
        parts = [part for part in distribution.parts if isinstance(part, Gaussian)]
        if len(parts) == len(distribution.parts):
            return distribution.stack(np.sqrt(part.variance()) for part in parts)
    return None


def _grid(distribution: Distribution) -> list[float]:
    """Probabilities in the middle of equal parts of (0, 1), within those that the distribution holds."""
    tail = _tail(distribution)
    middles = (np.arange(_N_QUANTILES) + 0.5) / _N_QUANTILES
    return [float(p) for p in np.clip(middles, tail, 1 - tail)]


def _tail(distribution: Distribution) -> float:
    """Smallest probability p such that the distribution holds its quantiles at p and 1 - p."""
    if isinstance(distribution, Quantiles):
        return float(max(distribution.q[0], 1 - distribution.q[-1]))
    if isinstance(distribution, Transformed):
        return _tail(distribution.base)
    return max(map(_tail, distribution.parts)) if isinstance(distribution, Stacked) else 0.0


@contextmanager
def _named(data: Data, cutoff: int) -> Iterator[None]:
    """Put the cutoff in front of the library's errors."""
    try:
        yield
    except SsmtsError as error:
        raise type(error)(f"Window with cutoff {data.format(cutoff)}: {error}") from error
