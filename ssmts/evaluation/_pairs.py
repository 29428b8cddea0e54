"""Truth and predictions of any container become aligned arrays of the pairs that have values, each with its group."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from .._containers import FloatArray, is_long, read_long
from .._form import IntArray
from ..exceptions import InputError


class Truth(NamedTuple):
    """The observed values, a column per output."""

    values: FloatArray  # (n_rows, n_columns)
    shape: tuple[int, ...]  # as handed in
    stamps: pd.Index | None  # (series,) time; None for arrays
    columns: pd.Index | None


class Pairs(NamedTuple):
    """Pairs without NaN, flat over rows and columns."""

    true: FloatArray  # (n,)
    predictions: list[FloatArray]  # each (n,), or (n, n_statistics)
    weight: FloatArray | None  # (n,)
    group: IntArray  # (n,) position in `labels`
    labels: pd.Index | None  # None: one score for all
    as_array: bool


def score(
    loss: Callable[..., FloatArray],
    y_true: Any,
    *predictions: Any,
    names: tuple[str, ...] = ("y_pred",),
    sample_weight: Any = None,
    by: Any = None,
    statistics: bool = False,
    whole: Callable[..., float] | None = None,
    root: bool = False,
) -> Any:
    """Mean loss over all pairs, or of each group of ``by``; NaN where no pair has values.

    Parameters
    ----------
    loss
        Loss of each pair, of flat arrays without NaN.
    statistics
        The first prediction has a last axis (of an array) or columns (of a frame) of samples or quantiles.
    whole
        The same metric over all pairs in one call, scikit-learn's where it has one. Its checks cost a third of a
        millisecond a call, too much for thousands of groups.
    root
        Take the square root of each mean.
    """
    pairs = pair(y_true, predictions, names, sample_weight, by, statistics)
    weight = np.ones(len(pairs.true)) if pairs.weight is None else pairs.weight
    if pairs.labels is None and whole is not None and weight.any():
        return float(whole(pairs.true, *pairs.predictions, sample_weight=pairs.weight))
    n_groups = 1 if pairs.labels is None else len(pairs.labels)
    total = np.bincount(pairs.group, weight * loss(pairs.true, *pairs.predictions), n_groups)
    mass = np.bincount(pairs.group, weight, n_groups)
    means = np.divide(total, mass, out=np.full(n_groups, np.nan), where=mass > 0)
    if root:
        means = np.sqrt(means)
    if pairs.labels is None:
        return float(means[0])
    return means if pairs.as_array else pd.Series(means, index=pairs.labels)


def pair(
    y_true: Any, predictions: tuple[Any, ...], names: tuple[str, ...], sample_weight: Any, by: Any, statistics: bool
) -> Pairs:
    """Align every prediction with the truth, drop pairs with NaN, and number the groups."""
    truth = read_truth(y_true)
    aligned = [
        _aligned(prediction, truth, name, statistics and position == 0)
        for position, (prediction, name) in enumerate(zip(predictions, names, strict=True))
    ]
    group, labels = _groups(truth, by)
    n_rows, n_columns = truth.values.shape
    flat = [values.reshape(n_rows * n_columns, *values.shape[2:]) for values in aligned]
    true = truth.values.ravel()
    known = ~np.isnan(true)
    for values in flat:
        known &= ~np.isnan(values).reshape(len(values), -1).any(axis=1)
    weight = None if sample_weight is None else _weights(sample_weight, truth)[known]
    as_array = truth.stamps is None and isinstance(by, str)
    return Pairs(true[known], [values[known] for values in flat], weight, group[known], labels, as_array)


def read_truth(y_true: Any) -> Truth:
    """Read observed values: Series, frame, long frame, or an array of one or two dimensions."""
    y_true = _indexed(y_true, "y_true", statistics=False)
    if isinstance(y_true, pd.Series):
        return Truth(floats(y_true, "y_true")[:, None], y_true.shape, y_true.index, pd.Index([y_true.name]))
    if isinstance(y_true, pd.DataFrame):
        return Truth(floats(y_true, "y_true"), y_true.shape, y_true.index, y_true.columns)
    values = floats(y_true, "y_true")
    if values.ndim not in (1, 2):
        raise InputError(f"y_true has the shape {values.shape}; pass (n_times,) or (n_times, n_outputs).")
    return Truth(values.reshape(len(values), -1), values.shape, None, None)


def series_labels(truth: Truth) -> tuple[IntArray, pd.Index]:
    """Number of the series of every row and column (n_rows, n_columns), and the name of each number."""
    n_rows, n_columns = truth.values.shape
    columns = truth.columns if truth.columns is not None else pd.RangeIndex(n_columns)
    if truth.stamps is None or truth.stamps.nlevels == 1:
        return np.tile(np.arange(n_columns), (n_rows, 1)), columns
    codes, keys = truth.stamps.get_level_values(0).factorize()
    labels = pd.Index(keys, name=truth.stamps.names[0])
    if n_columns > 1:
        labels = pd.MultiIndex.from_product([labels, columns])
    return codes[:, None] * n_columns + np.arange(n_columns), labels


def _groups(truth: Truth, by: Any) -> tuple[IntArray, pd.Index | None]:
    n_rows, n_columns = truth.values.shape
    if by is None:
        return np.zeros(n_rows * n_columns, dtype=np.int64), None
    if isinstance(by, str):
        if by != "series":
            raise InputError(f"by must be None, 'series' or one label for each row; received {by!r}.")
        group, labels = series_labels(truth)
        return group.ravel(), labels
    if isinstance(by, pd.DataFrame):
        by = pd.MultiIndex.from_frame(by)
    keys = by if isinstance(by, pd.Index) else pd.Index(by)
    if len(keys) != n_rows:
        raise InputError(f"by has {len(keys)} labels for the {n_rows} rows of y_true. Pass one for each row.")
    codes, _ = keys.factorize()
    if (codes < 0).any():
        raise InputError(f"by has no label for row {int((codes < 0).argmax())} of y_true. Pass one for each row.")
    _, first = np.unique(codes, return_index=True)
    return np.repeat(codes, n_columns), keys.take(first)


def _weights(sample_weight: Any, truth: Truth) -> FloatArray:
    """Weight of every pair, flat."""
    if isinstance(sample_weight, pd.Series | pd.DataFrame) and truth.stamps is not None:
        values = _rows(floats(sample_weight, "sample_weight"), sample_weight.index, truth, "sample_weight")
    else:
        values = floats(sample_weight, "sample_weight")
    if values.shape not in (truth.values.shape[:1], truth.values.shape):
        raise InputError(
            f"sample_weight has the shape {values.shape}; y_true has {truth.shape}. Pass one for each row."
        )
    weights: FloatArray = np.broadcast_to(values.reshape(len(values), -1), truth.values.shape).ravel()
    if not (weights >= 0).all():
        raise InputError("sample_weight holds a negative number or NaN. Pass weights of zero or more.")
    return weights


def _aligned(prediction: Any, truth: Truth, name: str, statistics: bool) -> FloatArray:
    """Values of a prediction for the rows of the truth: (n_rows, n_columns), or (n_rows, n_columns, n_statistics)."""
    n_columns = truth.values.shape[1]
    prediction = _indexed(prediction, name, statistics)
    if not isinstance(prediction, pd.Series | pd.DataFrame):
        return _like(floats(prediction, name), truth, name, statistics)
    if isinstance(prediction, pd.DataFrame) and truth.columns is not None and n_columns > 1:
        absent = [column for column in truth.columns if column not in prediction]
        if absent:
            raise InputError(f"{name} has no column {absent}; it has {list(prediction)}. Name them as in y_true.")
        picked = [floats(prediction[column], name) for column in truth.columns]
        values = np.stack(picked, axis=1)
    else:
        values = floats(prediction, name)
        if isinstance(prediction, pd.Series) or statistics:
            values = values[:, None]
    if values.shape[1] != n_columns or values.ndim != 2 + statistics:
        raise InputError(_misshapen(name, prediction.shape, truth, statistics))
    return (
        values
        if truth.stamps is None and len(values) == len(truth.values)
        else _rows(values, prediction.index, truth, name)
    )


def _like(values: FloatArray, truth: Truth, name: str, statistics: bool) -> FloatArray:
    """An array in the shape of the truth, which may lack or add an axis for a single column."""
    own = values.shape[:-1] if statistics and values.ndim else values.shape
    n_rows, n_columns = truth.values.shape
    fits = own == truth.shape or (n_columns == 1 and own in ((n_rows,), (n_rows, 1)))
    if not fits:
        raise InputError(_misshapen(name, values.shape, truth, statistics))
    return values.reshape(n_rows, n_columns, -1) if statistics else values.reshape(n_rows, n_columns)


def _rows(values: FloatArray, index: pd.Index, truth: Truth, name: str) -> FloatArray:
    """The rows of a prediction at the stamps of the truth, which must be there wherever the truth has a value."""
    if truth.stamps is None:
        raise InputError(f"{name} has {len(values)} rows, y_true has {len(truth.values)}.")
    if index.equals(truth.stamps):
        return values
    if index.nlevels != truth.stamps.nlevels:
        raise InputError(f"{name} has an index of {index.nlevels} level(s), y_true one of {truth.stamps.nlevels}.")
    if not index.is_unique:
        raise InputError(f"{name} has {index[index.duplicated()][0]} twice. Pass one row for each stamp of a series.")
    position = index.get_indexer(truth.stamps)
    needed = ~np.isnan(truth.values).all(axis=1)
    absent = needed & (position < 0)
    if absent.any():
        first = truth.stamps[int(absent.argmax())]
        raise InputError(
            f"{name} has no row for {absent.sum()} of the {needed.sum()} rows of y_true that have values, first {first}. "
            "Pass a prediction for every row to score, with the index of y_true."
        )
    return np.where((position < 0).reshape(-1, *[1] * (values.ndim - 1)), np.nan, values[position])


def _misshapen(name: str, shape: tuple[int, ...], truth: Truth, statistics: bool) -> str:
    wanted = "the shape of y_true and a last axis (of a frame: columns) of statistics" if statistics else "its shape"
    return f"{name} has the shape {shape}, y_true has {truth.shape}. Pass {wanted}."


def _indexed(obj: Any, name: str, statistics: bool) -> Any:
    """A long frame as a pandas frame with its series and stamps in the index; anything else as it is."""
    if not is_long(obj):
        return obj
    target, others = read_long(obj, target=not statistics)
    table = others if statistics else target
    if table is None or table.time is None:
        raise InputError(f"{name} is a long frame without columns of statistics.")
    index = table.time
    if table.keys is not None and table.codes is not None:
        index = pd.MultiIndex.from_arrays([pd.Index(table.keys).take(table.codes), index])
    return pd.DataFrame(table.values, index=index, columns=list(table.columns or []))


def floats(obj: Any, name: str) -> FloatArray:
    """Numbers of a container, NaN for what is missing."""
    try:
        if isinstance(obj, pd.Series | pd.DataFrame):
            return obj.to_numpy(dtype=np.float64, na_value=np.nan)
        return np.asarray(obj, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name} is not numeric: {error}.") from error
