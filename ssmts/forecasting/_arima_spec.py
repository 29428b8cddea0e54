"""From the arguments of an ARIMA forecaster to polynomials, with every argument checked."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from itertools import pairwise
from numbers import Integral
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..components.transforms import Array
from ..exceptions import InputError

Index = NDArray[np.int64]


class Polynomials(NamedTuple):
    """phi(B) = 1 - phi[0] B - ... and theta(B) = 1 + theta[0] B + ... of the differenced series."""

    phi: Any  # (p,), real or complex
    theta: Any  # (q,)


class _Sizes(NamedTuple):
    ar: tuple[int, ...]
    d: int
    ma: tuple[int, ...]
    seasonal_ar: tuple[int, ...]
    D: int
    seasonal_ma: tuple[int, ...]
    s: int
    constant: bool


class Orders(_Sizes):
    """A multiplicative seasonal ARIMA model: the lags of its four polynomials, and its differences.

    The coefficients of the lags stand one after the other: autoregressive, moving average, seasonal of each.
    """

    @property
    def groups(self) -> tuple[tuple[str, tuple[int, ...], int], ...]:
        """Prefix of names, lags, and rows in a lag."""
        return (
            ("ar", self.ar, 1),
            ("ma", self.ma, 1),
            ("seasonal_ar", self.seasonal_ar, self.s),
            ("seasonal_ma", self.seasonal_ma, self.s),
        )

    @cached_property
    def names(self) -> tuple[str, ...]:
        """``ar_1``, ..., ``seasonal_ma_1``, ... of the coefficients."""
        return tuple(f"{prefix}_{lag}" for prefix, lags, _ in self.groups for lag in lags)

    @cached_property
    def places(self) -> tuple[slice, ...]:
        """Where each group has its coefficients."""
        ends = np.cumsum([0] + [len(lags) for _, lags, _ in self.groups])
        return tuple(slice(int(a), int(b)) for a, b in pairwise(ends))

    @cached_property
    def differences(self) -> Array:
        """Coefficients of (1 - B)^d (1 - B^s)^D, from that of 1 on."""
        season = np.zeros(self.s + 1)
        season[0], season[-1] = 1.0, -1.0
        out = np.ones(1)
        for factor in [np.array([1.0, -1.0])] * self.d + [season] * self.D:
            out = np.convolve(out, factor)
        return out

    @property
    def mixed(self) -> bool:
        """Whether both kinds of polynomials are there, whose roots may cancel: then there can be several maxima."""
        return bool(self.ar + self.seasonal_ar) and bool(self.ma + self.seasonal_ma)

    @property
    def n_lost(self) -> int:
        """Rows that the differences cost."""
        return self.d + self.D * self.s

    def polynomials(self, values: NDArray[Any]) -> Polynomials:
        """Multiply the seasonal polynomials out; complex if the coefficients are."""
        factors = []
        for (prefix, lags, step), place in zip(self.groups, self.places):
            out = np.zeros(1 + step * max(lags, default=0), values.dtype)
            out[0] = 1.0
            out[[step * lag for lag in lags]] = values[place] * (-1.0 if prefix.endswith("ar") else 1.0)
            factors.append(out)
        ar, ma, seasonal_ar, seasonal_ma = factors
        return Polynomials(-np.convolve(ar, seasonal_ar)[1:], np.convolve(ma, seasonal_ma)[1:])


def read_orders(order: Any, seasonal_order: Any, season_length: Any, constant: Any) -> Orders:
    """Check the arguments that shape the model.

    Raises
    ------
    InputError
        An argument that cannot be used; the message names it.
    """
    p, d, q = _three("order", order)
    P, D, Q = _three("seasonal_order", seasonal_order)
    seasonal = any((_lags("seasonal_order[0]", P), D, _lags("seasonal_order[2]", Q)))
    if season_length is None:
        if seasonal:
            raise InputError(f"seasonal_order is {seasonal_order!r}: pass season_length=, the rows in a season.")
    elif isinstance(season_length, bool) or not isinstance(season_length, Integral) or season_length < 2:
        raise InputError(f"season_length must be a whole number from 2 on; received {season_length!r}.")
    if constant is not None and not isinstance(constant, bool | np.bool_):
        raise InputError(f"constant must be True, False or None; received {constant!r}.")
    d, D = _whole("order[1]", d), _whole("seasonal_order[1]", D)
    return Orders(
        _lags("order[0]", p),
        d,
        _lags("order[2]", q),
        _lags("seasonal_order[0]", P),
        D,
        _lags("seasonal_order[2]", Q),
        int(season_length) if seasonal else 1,
        d + D == 0 if constant is None else bool(constant),
    )


def _three(name: str, value: Any) -> Sequence[Any]:
    if isinstance(value, str) or not isinstance(value, Sequence | np.ndarray) or len(value) != 3:
        raise InputError(
            f"{name} must have three entries, autoregressive, differences and moving average; received {value!r}."
        )
    return value  # type: ignore[return-value]


def _whole(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, Integral) or value < 0:
        raise InputError(f"{name} must be a whole number, zero or greater; received {value!r}.")
    return int(value)


def _lags(name: str, value: Any) -> tuple[int, ...]:
    if isinstance(value, Sequence | np.ndarray) and not isinstance(value, str):
        lags = tuple(_whole(name, lag) for lag in value)
        if list(lags) != sorted(set(lags)) or 0 in lags:
            raise InputError(f"{name} must be a number of lags, or increasing lags from 1 on; received {value!r}.")
        return lags
    return tuple(range(1, _whole(name, value) + 1))
