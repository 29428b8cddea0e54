"""Rows to check estimators on, and what the checks say when a promise is broken."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import clone

from ..base import BaseForecaster
from ..exceptions import SsmtsError


def series() -> Any:
    """Sixty days with a slope, a week and noise."""
    rng = np.random.default_rng(7)
    n = 60
    values = (
        20
        + 0.05 * np.arange(n)
        + 2 * np.sin(np.arange(n) * 2 * np.pi / 7)
        + rng.normal(0, 0.5, n).cumsum() * 0.3
        + rng.normal(0, 0.3, n)
    )
    return pd.Series(values, index=pd.date_range("2024-01-01", periods=n, freq="D", name="day"), name="sales")


def covariates() -> Any:
    """Two columns of covariates for the days of `series`."""
    rng = np.random.default_rng(8)
    index = series().index
    return pd.DataFrame(
        {"u": rng.normal(size=len(index)), "v": (np.arange(len(index)) % 9 == 0).astype(float)}, index=index
    )


def sensors(start: int = 0, seed: int = 1) -> Any:
    """Two hundred minutes of three sensors, two of them correlated."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(size=(200, 3)) @ np.array([[1.0, 0.4, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 2.0]])
    index = pd.date_range("2024-01-01", periods=start + 200, freq="min")[start:]
    return pd.DataFrame(noise + np.array([10.0, 0.0, -5.0]), index=index, columns=["a", "b", "c"])


def fit(forecaster: BaseForecaster, *args: Any) -> Any:
    """A fitted clone."""
    return clone(forecaster).fit(*args)


def close(actual: Any, expected: Any, what: str, tolerance: float = 1e-7) -> None:
    """Raise unless numbers agree."""
    np.testing.assert_allclose(actual, expected, rtol=tolerance, atol=tolerance, err_msg=what)


def refuses(call: Callable[[], Any], words: str, what: str) -> None:
    """Raise unless a call raises an error of this library that mentions the words."""
    try:
        call()
    except SsmtsError as error:
        message = str(error)
    else:
        raise AssertionError(f"{what} is not refused")
    assert words in message, f"{what} is refused with {message!r}, which does not mention {words!r}"
