"""From the arguments of a structural forecaster to components, with every argument checked."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any, NamedTuple

import numpy as np

from ..components import (
    Autoregression,
    Component,
    Cycle,
    DampedTrend,
    DummySeason,
    Level,
    Regression,
    Trend,
    TrigonometricSeason,
    distinct_harmonics,
)
from ..exceptions import InputError

_TRENDS: dict[str, tuple[Component, ...]] = {
    "none": (),
    "fixed": (Level(fixed=True),),
    "local_level": (Level(),),
    "local_linear": (Trend(),),
    "smooth": (Trend(smooth=True),),
    "damped": (DampedTrend(),),
}
_SEASONALS = ("trigonometric", "dummy")
DEFAULT_HARMONICS = 10


class Spec(NamedTuple):
    """The arguments of a structural forecaster that shape its model."""

    trend: Any
    season_length: Any
    seasonal: Any
    harmonics: Any
    cycle: Any
    autoregressive: Any


def components_of(spec: Spec, n_times: int, n_covariates: int) -> tuple[Component, ...]:
    """The components of the model.

    Parameters
    ----------
    spec : Spec
        The arguments.
    n_times : int
        Rows of the series; bounds the period of a cycle.
    n_covariates : int
        Columns of the regression, 0 for none.

    Raises
    ------
    InputError
        An argument that cannot be used; the message names it.
    """
    if not isinstance(spec.trend, str) or spec.trend not in _TRENDS:
        raise InputError(f"trend must be one of {', '.join(_TRENDS)}; received {spec.trend!r}.")
    periods = season_lengths(spec.season_length)
    out = _TRENDS[spec.trend] + _seasons(spec, periods) + _cycle(spec.cycle, periods, n_times)
    order = spec.autoregressive
    if isinstance(order, bool) or not isinstance(order, Integral) or order < 0:
        raise InputError(f"autoregressive must be a whole number of lags, 0 for none; received {order!r}.")
    if order:
        out += (Autoregression(int(order)),)
    if n_covariates:
        out += (Regression(tuple(f"covariate_{i + 1}" for i in range(n_covariates))),)
    if not out:
        raise InputError(
            'The model is empty: trend="none" needs a season_length, a cycle, an autoregressive order or covariates.'
        )
    return out


def season_lengths(season_length: Any) -> tuple[float, ...]:
    """Season lengths as a tuple of numbers, shortest first."""
    if season_length is None:
        return ()
    given = season_length if _is_sequence(season_length) else [season_length]
    for one in given:
        if isinstance(one, bool) or not isinstance(one, Real) or not 2 <= float(one) < np.inf:
            raise InputError(
                f"season_length must be a number, of 2 rows or more (or several such numbers); received {one!r}."
            )
    periods = tuple(int(one) if float(one).is_integer() else float(one) for one in given)
    if len(set(periods)) < len(periods):
        raise InputError(f"season_length has a season twice: {season_length!r}.")
    return periods


def _is_sequence(value: Any) -> bool:
    return isinstance(value, Sequence | np.ndarray) and not isinstance(value, str)


def _seasons(spec: Spec, periods: tuple[float, ...]) -> tuple[Component, ...]:
    if spec.seasonal not in _SEASONALS:
        raise InputError(f"seasonal must be one of {', '.join(_SEASONALS)}; received {spec.seasonal!r}.")
    if spec.harmonics is not None and not periods:
        raise InputError(f"harmonics={spec.harmonics!r} needs a season: pass season_length.")
    names = [f"season_{period:g}" for period in periods] if len(periods) > 1 else ["season"]
    if spec.seasonal == "dummy":
        return _dummies(spec, periods, names)
    chosen = distinct_harmonics(periods, _wanted_harmonics(spec.harmonics, periods), DEFAULT_HARMONICS)
    return tuple(TrigonometricSeason(p, js, name) for p, js, name in zip(periods, chosen, names))


def _dummies(spec: Spec, periods: tuple[float, ...], names: list[str]) -> tuple[Component, ...]:
    if spec.harmonics is not None:
        raise InputError(f'harmonics={spec.harmonics!r} goes with seasonal="trigonometric"; a dummy season has none.')
    for period in periods:
        if not float(period).is_integer():
            raise InputError(f'season_length={period} is no whole number: use seasonal="trigonometric".')
    whole = [int(period) for period in periods]
    for i, a in enumerate(whole):
        for b in whole[:i]:
            if np.gcd(a, b) > 1:
                raise InputError(
                    f'Dummy seasons of lengths {b} and {a} overlap, so no data can tell them apart: use seasonal="trigonometric".'
                )
    return tuple(DummySeason(period, name) for period, name in zip(whole, names))


def _wanted_harmonics(harmonics: Any, periods: tuple[float, ...]) -> tuple[int | None, ...]:
    given = list(harmonics) if _is_sequence(harmonics) else [harmonics] * len(periods)
    if len(given) != len(periods):
        raise InputError(f"harmonics has {len(given)} entries for {len(periods)} seasons; received {harmonics!r}.")
    for one, period in zip(given, periods):
        if one is None:
            continue
        most = int(period / 2 + 1e-9)
        if isinstance(one, bool) or not isinstance(one, Integral) or not 1 <= int(one) <= most:
            raise InputError(
                f"harmonics of a season of {period:g} rows must be a whole number from 1 to {most}, or None; received {one!r}."
            )
    return tuple(None if one is None else int(one) for one in given)


def _cycle(cycle: Any, periods: tuple[float, ...], n_times: int) -> tuple[Component, ...]:
    if cycle is False or cycle is None:
        return ()
    if cycle is True:
        low = max(3.0, 1.5 * max(periods, default=0.0))
        return (Cycle(low, max(2 * low, n_times / 2)),)
    pair = list(cycle) if _is_sequence(cycle) else []
    numbers = [one for one in pair if isinstance(one, Real) and not isinstance(one, bool)]
    if len(pair) != 2 or len(numbers) != 2 or not 2 <= float(pair[0]) < float(pair[1]) < np.inf:
        raise InputError(
            f"cycle must be True, False, or the bounds of its period (low, high), 2 or more; received {cycle!r}."
        )
    return (Cycle(float(pair[0]), float(pair[1])),)
