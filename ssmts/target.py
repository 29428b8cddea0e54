"""Target transformation: a scikit-learn transformer, column by column and monotone, between the caller's scale and the model's."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.base import clone

from ._containers import FloatArray
from .exceptions import InputError, InputTypeError

_HUGE = 1e300  # stands for infinity in a transformer


@dataclass(frozen=True)
class TargetMap:
    """A fitted transformer of one series, with the direction of each column's map."""

    transformer: Any
    increasing: np.ndarray  # (n_outputs,) bool

    @classmethod
    def fit(
        cls, transformer: Any, values: FloatArray, label: str = "", stamp: Callable[[int], str] = "row {}".format
    ) -> TargetMap:
        """Fit a clone on values ``(n_times, n_outputs)``, in which NaN pass through; `stamp` names a row in messages.

        Raises
        ------
        InputError
            The transformer changes the shape, leaves the finite numbers, or is not monotone on these values.
        InputTypeError
            It is no transformer with an inverse.
        """
        if not hasattr(transformer, "inverse_transform"):
            raise InputTypeError(
                f"target_transform must be a scikit-learn transformer with an inverse, such as "
                f"FunctionTransformer(np.log, np.exp); received {transformer!r}."
            )
        fitted = clone(transformer)
        with _quiet(), _named(transformer, label):
            fitted.fit(values)
        probe = cls(fitted, np.ones(values.shape[1], dtype=bool))
        mapped = probe.forward(values, label, stamp)
        increasing = np.ones(values.shape[1], dtype=bool)
        for column in range(values.shape[1]):
            seen = ~np.isnan(values[:, column])
            order = np.argsort(values[seen, column], kind="stable")
            change = np.diff(mapped[seen, column][order])
            distinct = np.diff(values[seen, column][order]) > 0
            if (change[distinct] > 0).any() and (change[distinct] < 0).any():
                raise InputError(
                    f"target_transform={transformer!r} is not monotone on y{label}; a target transformation must keep or reverse the order."
                )
            increasing[column] = not (change[distinct] < 0).any()
        return cls(fitted, increasing)

    def forward(self, values: FloatArray, label: str = "", stamp: Callable[[int], str] = "row {}".format) -> FloatArray:
        """From the caller's scale to the model's; NaN stay NaN, whatever the transformer makes of them."""
        with _quiet(), _named(self.transformer, label):
            mapped = np.asarray(self.transformer.transform(values), dtype=np.float64)
        if mapped.shape != values.shape:
            raise InputError(
                f"target_transform gave shape {mapped.shape} for y of shape {values.shape}; it must act column by column."
            )
        mapped = np.where(np.isnan(values), np.nan, mapped)
        broken = ~np.isfinite(mapped) & ~np.isnan(values)
        if broken.any():
            row, column = (int(i) for i in np.argwhere(broken)[0])
            raise InputError(
                f"target_transform={self.transformer!r} gives {mapped[row, column]} for the value {values[row, column]:g} of y{label} "
                f"({stamp(row)}). Choose a transformation that is defined there."
            )
        return mapped

    def inverse(self, values: FloatArray) -> FloatArray:
        """From the model's scale to the caller's, on arrays ``(..., n_outputs)``; infinities and NaN pass through."""
        flat = np.asarray(values, dtype=np.float64).reshape(-1, values.shape[-1])
        infinite = np.isinf(flat)
        reachable = np.where(
            infinite, np.copysign(_HUGE, flat), np.nan_to_num(flat)
        )  # some transformers refuse infinities
        with _quiet():
            mapped = np.array(self.transformer.inverse_transform(reachable), dtype=np.float64)
        if infinite.any():
            ends = np.where(self.increasing, flat, -flat)
            limit = np.where(np.abs(mapped) > np.sqrt(_HUGE), np.copysign(np.inf, mapped), mapped)
            mapped = np.where(infinite, np.where(np.isnan(mapped), ends, limit), mapped)
        return np.where(np.isnan(flat), np.nan, mapped).reshape(values.shape)


@contextmanager
def _named(transformer: Any, label: str) -> Iterator[None]:
    """What a transformer says of values that it refuses, NaN for instance, as an error of this library."""
    try:
        yield
    except ValueError as error:
        raise InputError(f"target_transform={transformer!r} refuses y{label}: {error}") from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Values outside a map's domain are checked here, by name; scikit-learn's own words about them are left out."""
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        warnings.filterwarnings("ignore", "The provided functions are not strictly inverse")  # it compares NaN with NaN
        yield
