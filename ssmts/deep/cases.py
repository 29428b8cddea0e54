"""Labelled sequences of any lengths: how they are read, divided and put into batches.

Sequences are filled behind their last row up to the longest of a batch. What reads a batch looks at no row behind, so that a case gives
the same in any company.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from sklearn.utils import check_array, column_or_1d
from sklearn.utils.multiclass import check_classification_targets
from torch import Tensor

from .._containers import FloatArray
from ..exceptions import InputError, InputTypeError
from .examples import IntArray


class CaseBatch(NamedTuple):
    """Some cases, in single precision, time last."""

    values: Tensor  # (B, C, L), NaN where missing and behind the last row
    lengths: Tensor  # (B,), rows of each
    labels: Tensor  # (B,), numbers of classes
    weights: Tensor  # (B,)

    def to(self, device: torch.device) -> CaseBatch:
        """The same on a device."""
        return CaseBatch(*(each.to(device) for each in self))


class Cases:
    """Labelled sequences to train on.

    Parameters
    ----------
    values : sequence of arrays (C, n_times)
        NaN where missing; lengths may differ.
    labels : array of int, shape (n_cases,)
        Numbers of classes.
    weights : array, shape (n_cases,)
        Divided by their mean, so that the mean of weighted losses is a weighted mean.

    Examples
    --------
    >>> import numpy as np
    >>> cases = Cases([np.ones((1, 2)), np.ones((1, 3))], np.array([0, 1]), np.array([1.0, 3.0]))
    >>> batch = cases.batch([0, 1])
    >>> batch.values, batch.lengths, batch.weights
    (tensor([[[1., 1., nan]],
            [[1., 1., 1.]]]), tensor([2, 3]), tensor([0.5000, 1.5000]))
    """

    none_there = "There is no case to train on."

    def __init__(self, values: Sequence[npt.NDArray[Any]], labels: IntArray, weights: FloatArray) -> None:
        self.values, self.labels = values, np.asarray(labels, dtype=np.int64)
        self.weights = (weights / weights.mean()).astype(np.float32)
        self.series: IntArray = np.arange(len(values))

    @property
    def memory_advice(self) -> str:
        """What makes cases large."""
        longest = max(rows.shape[1] for rows in self.values)
        return f"cases of up to {longest} rows. Lower batch_size first, then width, or cut or thin long cases."

    def __len__(self) -> int:
        return len(self.values)

    def batch(self, indices: npt.ArrayLike) -> CaseBatch:
        """The cases of these numbers, 0 to ``len - 1``."""
        at = np.asarray(indices, dtype=np.int64)
        values, lengths = padded([self.values[i] for i in at.tolist()], np.float32)
        return CaseBatch(values, lengths, torch.from_numpy(self.labels[at]), torch.from_numpy(self.weights[at]))

    def fingerprint(self) -> str:
        """Short text that differs where the cases do: of all values, labels and weights."""
        digest = hashlib.blake2b(digest_size=16)
        for array in (self.labels, self.weights, *self.values):
            digest.update(repr((array.shape, array.dtype.str)).encode())
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()


def padded(values: Sequence[npt.NDArray[Any]], dtype: type) -> tuple[Tensor, Tensor]:
    """Sequences ``(C, n_times)`` as one ``(B, C, L)``, filled with NaN behind, and their lengths ``(B,)``."""
    lengths = np.array([rows.shape[1] for rows in values], dtype=np.int64)
    out = np.full((len(values), values[0].shape[0], lengths.max()), np.nan, dtype=dtype)
    for each, rows in zip(out, values):
        each[:, : rows.shape[1]] = rows
    return torch.from_numpy(out), torch.from_numpy(lengths)


def alike(lengths: IntArray, most: int, rows: int) -> Iterator[IntArray]:
    """Numbers of cases of about the same length, to be answered together.

    Parameters
    ----------
    lengths : array of int, shape (n_cases,)
    most : int
        Cases together.
    rows : int
        Rows together, with those that fill; a longer case comes alone.
    """
    by_length = np.argsort(-lengths, kind="stable")
    start = 0
    while start < len(by_length):
        n = min(max(rows // int(lengths[by_length[start]]), 1), most)
        yield by_length[start : start + n]
        start += n


# what comes in ---------------------------------------------------------------------------------------------------


def is_table(X: Any) -> bool:
    """Whether X is a frame or an array that scikit-learn takes, one channel a case; it has the words for what is none.

    Raises
    ------
    InputError
        Nested lists of different lengths.
    """
    if _is_list(X):
        return False
    try:
        return _n_axes(X) < 3
    except ValueError as error:
        raise InputError(
            "X is a nested list of different lengths. Pass a list of arrays, (n_times,) or (n_channels, n_times) each."
        ) from error


def sequences(X: Any) -> list[FloatArray]:
    """The cases of X, (n_channels, n_times) each, in double precision.

    Parameters
    ----------
    X : array, shape (n_cases, n_times) or (n_cases, n_channels, n_times), or list of arrays

    Raises
    ------
    InputError, InputTypeError
        Shapes and values that cannot be used; the message names the case.
    """
    if _is_list(X):
        cases = [_case(given, i) for i, given in enumerate(X)]
    elif (axes := _n_axes(X)) > 3:
        raise InputError(
            f"X must be (n_cases, n_times), (n_cases, n_channels, n_times) or a list of arrays; received {axes} dimensions."
        )
    else:
        array = check_array(X, dtype=np.float64, ensure_all_finite=False, allow_nd=True, input_name="X")
        cases = list(array if array.ndim == 3 else array[:, None])
    counts = np.array([len(rows) for rows in cases])
    if not len(counts):
        raise InputError("X holds no case: pass one or more.")
    if (counts != counts[0]).any():
        i = int(np.argmax(counts != counts[0]))
        raise InputError(
            f"Case {i} of X has {counts[i]} channels, case 0 has {counts[0]}. Pass arrays (n_channels, n_times) with the same "
            "channels; fill an absent channel with NaN."
        )
    for i, rows in enumerate(cases):
        _check_values(rows, i)
    return cases


def labels_of(y: Any, n_cases: int) -> npt.NDArray[Any]:
    """Labels, one a case.

    Parameters
    ----------
    y : array-like, shape (n_cases,)
    n_cases : int

    Raises
    ------
    InputError
        Of another number, or missing.
    """
    if y is None:
        raise InputError("SpaceTimeClassifier requires y to be passed, but the target y is None. Pass a label a case.")
    labels = column_or_1d(y, warn=True)
    if len(labels) != n_cases:
        raise InputError(f"X has {n_cases} cases and y {len(labels)} labels. Pass one label a case.")
    if labels.dtype.kind == "f" and np.isinf(labels).any():
        raise InputError(
            f"Input y contains infinity, first for case {int(np.argmax(np.isinf(labels)))}. Leave such cases out of X and y."
        )
    missing = pd.isna(labels)
    if missing.any():
        raise InputError(
            f"y has no label for {missing.sum()} cases, first case {int(np.argmax(missing))}. Leave such cases out of X and y."
        )
    return np.asarray(labels)


def classes_of(labels: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], IntArray]:
    """Sorted classes, and the number of that of each case.

    Parameters
    ----------
    labels : array, shape (n_cases,)

    Raises
    ------
    InputTypeError
        Labels that have no order.
    InputError
        One class only; scikit-learn's ValueError for what is no class.
    """
    try:
        check_classification_targets(labels)
        classes, codes = np.unique(labels, return_inverse=True)
    except TypeError as error:
        kinds = sorted({type(label).__name__ for label in labels.tolist()})
        raise InputTypeError(
            f"y has labels of the kinds {', '.join(kinds)}, which have no order. Pass labels of one kind."
        ) from error
    if len(classes) < 2:
        raise InputError(
            f"y holds only one class, {classes.tolist()[0]!r}, in the cases with a weight above 0 (n_samples = {len(labels)}). "
            "Pass cases of two classes or more."
        )
    return classes, codes


def weights_of(sample_weight: Any, n_cases: int) -> FloatArray:
    """Weights, one a case; 1 unless given.

    Parameters
    ----------
    sample_weight : array-like, shape (n_cases,), optional
    n_cases : int

    Raises
    ------
    InputError
        Of another shape, below 0, not finite, or all 0.
    """
    if sample_weight is None:
        return np.ones(n_cases)
    weights = np.asarray(sample_weight, dtype=np.float64)
    if weights.shape != (n_cases,):
        raise InputError(f"sample_weight must be {(n_cases,)}, one weight a case; received {weights.shape}.")
    if not np.isfinite(weights).all() or (weights < 0).any():
        raise InputError(
            f"sample_weight must be finite and 0 or more; received from {weights.min()} to {weights.max()}."
        )
    if not weights.any():
        raise InputError("sample_weight is zero for all cases. Pass a weight above 0 for those to learn from.")
    return weights


def class_weights(asked: Any, classes: npt.NDArray[Any], codes: IntArray, weights: FloatArray) -> FloatArray:
    """A weight for each class.

    Parameters
    ----------
    asked : None, "balanced" or dict
        1; what gives all classes the same sum of weights; or what it says by label, 1 where it says nothing.
    classes : array, shape (n_classes,)
    codes : array of int, shape (n_cases,)
        Numbers of the cases' classes.
    weights : array, shape (n_cases,)
        Of the cases.

    Raises
    ------
    InputError
        Anything else, a label that y does not have, or weights below 0 or all 0.
    """
    if asked is None:
        return np.ones(len(classes))
    if isinstance(asked, str) and asked == "balanced":
        balanced: FloatArray = weights.sum() / (len(classes) * np.bincount(codes, weights))
        return balanced
    if not isinstance(asked, Mapping):
        raise InputError(f"class_weight must be None, 'balanced' or a dict of weights by label; received {asked!r}.")
    unknown = [label for label in asked if label not in classes.tolist()]
    if unknown:
        raise InputError(f"class_weight has the labels {unknown}, which y has not; y has {classes.tolist()}.")
    try:
        found = np.array([float(asked.get(label, 1.0)) for label in classes.tolist()])
    except (TypeError, ValueError) as error:
        raise InputError(f"class_weight must give each label a number; received {asked!r}.") from error
    if not np.isfinite(found).all() or (found < 0).any() or not found.any():
        raise InputError(f"class_weight must be 0 or more, and not 0 for all classes; received {asked!r}.")
    return found


def held_out(codes: IntArray, share: float, seed: int) -> npt.NDArray[np.bool_]:
    """Which cases validate: of each class this share, rounded, and never the last one that is there.

    Parameters
    ----------
    codes : array of int, shape (n_cases,)
        Numbers of the cases' classes.
    share : float
    seed : int

    Raises
    ------
    InputError
        A share that is no case of any class.
    """
    rng = np.random.default_rng([seed, 3])
    held = np.zeros(len(codes), dtype=bool)
    for code in np.unique(codes):
        members = rng.permutation(np.flatnonzero(codes == code))
        held[members[: min(round(share * len(members)), len(members) - 1)]] = True
    if share and not held.any():
        raise InputError(
            f"validation takes a share of {share:.2g} of each class, which is no case of any of them: the largest has "
            f"{np.bincount(codes).max()}. Pass more, or None."
        )
    return held


def _is_list(X: Any) -> bool:
    """Whether X is a list of arrays, of lengths of their own; also an array or a Series of arrays."""
    if isinstance(X, np.ndarray | pd.Series):
        return X.dtype == object and X.ndim == 1 and len(X) > 0 and all(np.ndim(each) for each in X)
    return isinstance(X, list | tuple) and any(hasattr(each, "shape") for each in X)


def _n_axes(X: Any) -> int:
    return int(X.ndim if hasattr(X, "ndim") else np.asarray(X).ndim)


def _case(given: Any, number: int) -> FloatArray:
    if hasattr(given, "columns"):
        raise InputTypeError(
            f"Case {number} of X is a frame, whose rows may be times or channels. Pass an array, channels first: frame.to_numpy().T."
        )
    try:
        if np.iscomplexobj(given):
            raise TypeError("complex numbers")
        values = np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputTypeError(
            f"Case {number} of X must be an array of numbers, (n_channels, n_times); received {type(given).__name__} ({error})."
        ) from error
    values = values[None] if values.ndim == 1 else values
    if values.ndim != 2:
        raise InputError(f"Case {number} of X must be (n_channels, n_times) or (n_times,); received {values.shape}.")
    return values


def _check_values(rows: FloatArray, number: int) -> None:
    if not rows.size:
        raise InputError(f"Case {number} of X is empty: it is {rows.shape} (n_channels, n_times). Leave it out.")
    infinite = np.isinf(rows)
    if infinite.any():
        channel, time = (int(at[0]) for at in np.nonzero(infinite))
        raise InputError(
            f"Case {number} of X contains infinity in channel {channel} at time {time}. Pass NaN for what is missing."
        )
    if np.isnan(rows).all():
        raise InputError(f"Case {number} of X has no value, only NaN. Leave it out.")
