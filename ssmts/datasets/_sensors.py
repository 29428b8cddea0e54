"""Sensor streams with faults whose place and kind are known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from ..exceptions import InputError, TooShortError

FloatArray = np.ndarray[Any, np.dtype[np.float64]]
FAULTS = ("spike", "level_shift", "drift", "variance_burst", "stuck", "dropout")
SHORTEST_SLOT = 12  # rows of a fault and the quiet after it


class Sensors(NamedTuple):
    """A sensor stream and the faults in it.

    Parameters
    ----------
    data : DataFrame
        One row a time, one column a sensor.
    faults : DataFrame
        One row a fault in time order, columns ``sensor, kind, start, end, size``: stamps of the first and the last
        faulty row; ``size`` is the offset in the sensor's unit (reached at the end by a drift), the factor on the noise
        for a variance burst, and NaN for a stuck sensor and a dropout.

    Examples
    --------
    >>> from ssmts.datasets import make_sensors
    >>> make_sensors(faults=["spike"], random_state=0).faults["kind"].tolist()
    ['spike']
    """

    data: pd.DataFrame
    faults: pd.DataFrame


def make_sensors(
    n_times: int = 2000,
    n_sensors: int = 4,
    *,
    faults: Sequence[str] = FAULTS,
    size: float = 8.0,
    season_length: float = 288,
    start: str = "2024-01-01",
    freq: str = "5min",
    random_state: int | np.random.Generator | None = None,
) -> Sensors:
    """Simulate sensors of one machine, and break them one at a time.

    Each sensor is a base level plus a daily cycle of its own phase, a load shared by all sensors (a first-order
    autoregression) and white noise. The first third of the rows is without fault; the rest has an equal share of rows
    for each fault, which takes up to half of its share, so that every fault ends and quiet rows follow it.

    Parameters
    ----------
    n_times, n_sensors : int, default 2000 and 4
        Shape of the data.
    faults : sequence of str, default one of each kind
        Kinds in time order, each in a sensor drawn at random: ``spike`` (one row), ``level_shift``, ``drift`` (linear),
        ``variance_burst``, ``stuck`` (repeats a value), ``dropout`` (NaN).
    size : float, default 8.0
        Offset of a spike, a shift and the end of a drift in standard deviations of the sensor's noise, of random sign;
        factor on the noise in a variance burst.
    season_length : float, default 288
        Rows of the daily cycle; a day of the default ``freq``.
    start, freq : str, default "2024-01-01" and "5min"
        First stamp and step.
    random_state : int, Generator or None, default None
        Seed; None draws other numbers each time.

    Returns
    -------
    Sensors
        ``data`` with columns ``sensor_1, sensor_2, ...`` and the table ``faults``.

    Raises
    ------
    InputError
        An unknown kind of fault, or a number that is not positive.
    TooShortError
        Fewer than 12 rows for each fault after the clean third.

    Examples
    --------
    >>> from ssmts.datasets import make_sensors
    >>> data, faults = make_sensors(600, 2, faults=["spike", "dropout"], random_state=0)
    >>> data.shape, faults["kind"].tolist()
    ((600, 2), ['spike', 'dropout'])
    >>> int(data.isna().sum().sum()) > 0
    True
    """
    _check(n_times, n_sensors, faults, size, season_length)
    rng = np.random.default_rng(random_state)
    noise_std = rng.uniform(0.5, 2.0, n_sensors)
    noise = rng.normal(size=(n_times, n_sensors)) * noise_std
    values = _normal_operation(rng, n_times, noise_std, season_length) + noise
    index = pd.date_range(start, periods=n_times, freq=freq, name="time")
    columns = [f"sensor_{number}" for number in range(1, n_sensors + 1)]
    clean = n_times // 3
    slot = (n_times - clean) // max(len(faults), 1)
    table = []
    for number, kind in enumerate(faults):
        column = int(rng.integers(n_sensors))
        first = clean + number * slot + int(rng.integers(slot // 4))
        rows = slice(first, first + (1 if kind == "spike" else int(rng.integers(slot // 4, slot // 2))))
        amount = _amount(kind, size, noise_std[column], rng)
        values[rows, column] = _break(kind, values[rows, column], noise[rows, column], amount)
        table.append((columns[column], kind, index[rows][0], index[rows][-1], amount))
    return Sensors(
        pd.DataFrame(values, index, columns), pd.DataFrame(table, columns=["sensor", "kind", "start", "end", "size"])
    )


def _check(n_times: int, n_sensors: int, faults: Sequence[str], size: float, season_length: float) -> None:
    unknown = [kind for kind in faults if kind not in FAULTS]
    if unknown or isinstance(faults, str):
        raise InputError(f"faults must be a sequence of {', '.join(FAULTS)}; got {faults!r}.")
    numbers = {"n_times": n_times, "n_sensors": n_sensors, "size": size, "season_length": season_length}
    for name, value in numbers.items():
        if not value > 0:
            raise InputError(f"{name} must be positive; got {value!r}.")
    needed = len(faults) * SHORTEST_SLOT
    if n_times - n_times // 3 < needed:
        raise TooShortError(
            f"{len(faults)} faults need {needed} rows after the first third; n_times={n_times} leaves "
            f"{n_times - n_times // 3}. Pass n_times of at least {-(-needed * 3 // 2)}, or fewer faults."
        )


def _normal_operation(rng: np.random.Generator, n_times: int, scale: FloatArray, season_length: float) -> FloatArray:
    """Level, daily cycle and shared load (n_times, n_sensors), without noise; ``scale`` sets each sensor's unit."""
    from scipy.signal import lfilter

    n_sensors = len(scale)
    level = 20.0 * scale + rng.uniform(0.0, 50.0, n_sensors)
    angle = 2 * np.pi * np.arange(n_times)[:, None] / season_length + rng.uniform(0.0, 2 * np.pi, n_sensors)
    load = lfilter([0.2], [1.0, -0.98], rng.normal(size=n_times))  # standard deviation 1 in the long run
    cycle = scale * rng.uniform(2.0, 5.0, n_sensors) * np.sin(angle)
    values: FloatArray = level + cycle + load[:, None] * scale * rng.uniform(0.5, 2.0, n_sensors)
    return values


def _amount(kind: str, size: float, noise_std: float, rng: np.random.Generator) -> float:
    if kind in ("stuck", "dropout"):
        return np.nan
    return size if kind == "variance_burst" else float(rng.choice([-1.0, 1.0])) * size * noise_std


def _break(kind: str, values: FloatArray, noise: FloatArray, amount: float) -> FloatArray:
    """The faulty rows of one sensor."""
    n_rows = len(values)
    if kind == "drift":
        return values + amount * np.arange(1, n_rows + 1) / n_rows
    if kind == "variance_burst":
        return values + (amount - 1.0) * noise
    if kind == "stuck":
        return np.full(n_rows, values[0])
    if kind == "dropout":
        return np.full(n_rows, np.nan)
    return values + amount
