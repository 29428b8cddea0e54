"""Arguments of deep estimators, checked at the door."""

from __future__ import annotations

import numbers
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ..exceptions import InputError
from .examples import SAMPLINGS
from .losses import LOSSES
from .scaling import NORMALIZATIONS

_WHOLE = {
    "horizon": 1,
    "batch_size": 1,
    "max_epochs": 1,
    "batches_per_epoch": 1,
    "patience": 1,
    "stride": 1,
    "n_layers": 0,
    "width": 1,
    "state_size": 1,
}
_WHOLE_OR_NONE = {"n_threads": 1, "checkpoint_steps": 1}

_LEAST_LEARNT = 3  # rows
_ENOUGH = 10  # cases of a class: two of them validate, eight are learnt


def check(estimator: Any) -> None:
    """Refuse arguments that cannot be used.

    Parameters
    ----------
    estimator : estimator
        What it has of the arguments of deep estimators is checked.

    Raises
    ------
    InputError
    """
    for name, least in {**_WHOLE, **_WHOLE_OR_NONE}.items():
        value = getattr(estimator, name, least)
        if name in _WHOLE_OR_NONE and value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < least:
            raise InputError(f"{name} must be a whole number of at least {least}; received {value!r}.")
    length: Any = getattr(estimator, "context_length", "auto")
    whole = isinstance(length, numbers.Integral) and not isinstance(length, bool)
    auto = isinstance(length, str) and length == "auto"
    if not auto and not (whole and length >= 2):
        raise InputError(f"context_length must be 'auto' or a whole number of at least 2 rows; received {length!r}.")
    _one_of(estimator, "loss", LOSSES)
    _one_of(estimator, "normalization", NORMALIZATIONS)
    _one_of(estimator, "sampling", SAMPLINGS)
    for name in ("preprocess", "progress"):
        value = getattr(estimator, name, False)
        if not isinstance(value, bool | np.bool_):
            raise InputError(f"{name} must be True or False; received {value!r}.")
    if getattr(estimator, "preprocess", False) and estimator.width < 2:
        raise InputError(
            "preprocess=True needs a width of at least 2, as it differences one half of the channels and takes moving averages from "
            f"the other; received width={estimator.width}."
        )
    for name, low, high in (
        ("dropout", 0, 1),
        ("average", 0, 1),
        ("weight_decay", 0, None),
        ("learning_rate", 0, None),
    ):
        value = getattr(estimator, name, low)
        number = isinstance(value, numbers.Real) and not isinstance(value, bool)
        if not number or not value >= low or (high is not None and not value < high):
            raise InputError(
                f"{name} must be a number from {low}"
                + (f" to below {high}" if high else " on")
                + f"; received {value!r}."
            )
    weights = getattr(estimator, "loss_weights", (1, 0, 0))
    if (
        not isinstance(weights, list | tuple)
        or len(weights) != 3
        or not all(isinstance(w, numbers.Real) and 0 <= float(w) < np.inf for w in weights)
        or not sum(weights)
    ):
        raise InputError(f"loss_weights must be three numbers of at least 0, not all 0; received {weights!r}.")


def validation_rows(asked: Any, lengths: Sequence[int], horizon: int) -> list[int]:
    """Rows at the end of each series that are kept from training; 0 where too few would be left.

    Parameters
    ----------
    asked : "auto", int, float or None
        A number of rows; a share of them; or a horizon and a tenth of the rows, where at least as much again is left to learn from.
    lengths : sequence of int
        Rows of the series.
    horizon : int

    Raises
    ------
    InputError
        Another kind of value, or rows that no series has to spare.
    """
    if asked is None:
        return [0] * len(lengths)
    if isinstance(asked, str) and asked == "auto":
        rows = [horizon + n // 10 for n in lengths]
        return [v if n - v >= max(horizon, 10) else 0 for n, v in zip(lengths, rows)]
    number = not isinstance(asked, bool)
    if number and isinstance(asked, int | np.integer) and asked >= 0:
        rows = [int(asked)] * len(lengths)
    elif number and isinstance(asked, float | np.floating) and 0 <= asked < 1:
        rows = [max(int(asked * n), 1 if asked else 0) for n in lengths]
    else:
        raise InputError(
            f"validation must be 'auto', None, a number of rows or a share of them below 1; received {asked!r}."
        )
    rows = [v if n - v >= _LEAST_LEARNT else 0 for n, v in zip(lengths, rows)]
    if asked and not any(rows):
        raise InputError(
            f"validation={asked!r} leaves {_LEAST_LEARNT} rows to learn from in no series: the longest has {max(lengths)}. Pass fewer "
            "rows, or None."
        )
    return rows


def validation_share(asked: Any, counts: npt.NDArray[np.integer[Any]]) -> float:
    """Share of the cases of each class that is kept from training.

    Parameters
    ----------
    asked : "auto", int, float or None
        A number of cases; a share of them; or a fifth where each class has at least ten cases.
    counts : array of int, shape (n_classes,)
        Cases of each class.
    """
    if asked is None:
        return 0.0
    if isinstance(asked, str) and asked == "auto":
        return 0.2 if counts.min() >= _ENOUGH else 0.0
    number = not isinstance(asked, bool)
    if number and isinstance(asked, int | np.integer) and 0 <= asked < counts.sum():
        return float(asked / counts.sum())
    if number and isinstance(asked, float | np.floating) and 0 <= asked < 1:
        return float(asked)
    raise InputError(
        f"validation must be 'auto', None, a number of cases below all {counts.sum()} or a share of them below 1; received {asked!r}."
    )


def _one_of(estimator: Any, name: str, allowed: tuple[str, ...]) -> None:
    value = getattr(estimator, name, allowed[0])
    if not isinstance(value, str) or value not in allowed:
        raise InputError(f"{name} must be one of {', '.join(map(repr, allowed))}; received {value!r}.")
