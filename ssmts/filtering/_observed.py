"""Rows of observations as a regressor gets them: a frame as it is, an array as floats, each with its stamps and what is missing."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.multioutput import MultiOutputRegressor
from sklearn.utils import get_tags

from .._containers import Table, is_long, read_table
from ..exceptions import InputError, InputTypeError
from ..panel import Form
from ..timeindex import check_increasing, infer_axis, row_axis


@dataclass(frozen=True)
class Observed:
    """Rows of X: what the regressor gets, when they were, and which of them are missing."""

    features: Any  # DataFrame or array
    table: Table  # stamps only, for a frame
    names: tuple[Hashable, ...] | None
    missing: npt.NDArray[np.bool_]

    def __getitem__(self, rows: npt.NDArray[np.bool_]) -> Any:
        """Some of the rows, for the regressor."""
        return self.features.iloc[rows] if isinstance(self.features, pd.DataFrame) else self.features[rows]


def observed(X: Any, regressor: Any) -> Observed:
    """Read X; a row is missing if there is nothing in it, or a NaN that the regressor does not take."""
    if is_long(X):
        raise InputTypeError("X is a long frame; pass one row a time, with the times as index.")
    features: Any
    names: tuple[Hashable, ...] | None
    if isinstance(X, pd.Series):
        X = X.to_frame()
    if isinstance(X, pd.DataFrame):
        if not X.shape[1]:
            raise InputError(f"X has 0 feature(s) (shape={X.shape}) while a minimum of 1 is required.")
        table = read_table(X.iloc[:, :0], "X", allow_no_columns=True)
        features, names, blank = X, tuple(X.columns), np.asarray(X.isna())
    else:
        table = read_table(X, "X", ensure_2d=True)
        features, names, blank = table.values, None, np.isnan(table.values)
    if table.codes is not None:
        raise InputError("X has an index (series, time); fit each series by itself, or put them after each other.")
    inner = regressor.estimator if isinstance(regressor, MultiOutputRegressor) else regressor
    takes = get_tags(inner).input_tags.allow_nan
    return Observed(features, table, names, np.asarray((np.all if takes else np.any)(blank, axis=1)))


def training_form(seen: Observed, target: Table, table: Table, freq: Any) -> tuple[Form, npt.NDArray[np.int64]]:
    """How the training rows look, and the step of each."""
    time = table.time
    if time is None:
        axis, steps = row_axis(), np.arange(len(target.values))
    else:
        check_increasing(time)
        axis = infer_axis([time], freq)
        steps = axis.steps(time)
    form = Form(
        kind=target.kind,
        ndim=target.ndim,
        outputs=target.columns or tuple(range(target.values.shape[1])),
        axis=axis,
        indexed=time is not None,
        keys=None,
        level_names=() if table.index is None else tuple(table.index.names),
        features=seen.names,
        n_features=seen.features.shape[1],
        long=None,
        column_names=target.column_names,
    )
    return form, steps
