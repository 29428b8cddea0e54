"""Containers to arrays: any pandas, polars or array-like object becomes one `Table` of float64 values with its stamps."""

from __future__ import annotations

import numbers
from collections.abc import Hashable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from pandas.api.types import infer_dtype, is_complex_dtype, is_numeric_dtype
from sklearn.utils import check_array

from .exceptions import InputError, InputTypeError

_NUMBERS = {"integer", "floating", "mixed-integer-float", "decimal", "boolean", "empty"}  # as pandas calls them

FloatArray = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True)
class Long:
    """A long frame with column names of its own.

    A pandas or polars frame with the columns ``unique_id, ds, y`` is understood as it is; wrap other names in ``Long``.

    Parameters
    ----------
    frame : DataFrame
        pandas or polars, one row per series and time; columns beyond the three named ones are covariates.
    id : str or None, default "unique_id"
        Column that names the series; None when the frame holds one series.
    time : str, default "ds"
        Column of stamps.
    target : str, default "y"
        Column to forecast.

    Examples
    --------
    >>> import pandas as pd
    >>> from ssmts import Long, Naive
    >>> sales = pd.DataFrame({"shop": "a", "day": pd.date_range("2024-01-01", periods=3), "sales": [3.0, 4.0, 5.0]})
    >>> Naive().fit(Long(sales, id="shop", time="day", target="sales")).predict(1)
      shop        day  sales
    0    a 2024-01-04    5.0
    """

    frame: Any
    id: str | None = "unique_id"
    time: str = "ds"
    target: str = "y"


@dataclass(frozen=True)
class LongNames:
    """Column names and library of the long frames that an estimator was fitted on."""

    id: str | None
    time: str
    target: str
    backend: str
    time_is_date: bool = False


@dataclass(frozen=True)
class Table:
    """Rows as handed in: values, and for each row its series and its stamp."""

    kind: str  # the caller's container: "array", "pandas" or "long"
    values: FloatArray  # (n_rows, n_columns)
    columns: tuple[Hashable, ...] | None  # None for arrays
    ndim: int
    time: pd.Index | None = None  # None for arrays
    codes: np.ndarray | None = None  # (n_rows,) position in `keys`; None for one series
    keys: tuple[Hashable, ...] | None = None
    index: pd.Index | None = None  # the caller's own index
    long: LongNames | None = None
    column_names: tuple[Hashable, ...] = (None,)  # names of the levels of the columns

    @property
    def carries_stamps(self) -> bool:
        """Whether the rows say when they are; a default RangeIndex only counts them."""
        return self.time is not None and not is_default_index(self.time)


def is_default_index(index: pd.Index) -> bool:
    """Whether an index is the 0, 1, 2, ... that pandas makes when none was given."""
    return isinstance(index, pd.RangeIndex) and index.start == 0 and index.step == 1


def is_polars(obj: Any) -> bool:
    """Whether an object comes from polars, told without importing polars."""
    return type(obj).__module__.partition(".")[0] == "polars"


def is_long(obj: Any) -> bool:
    """Whether an object is a long frame: wrapped in `Long`, or with the columns ``ds`` and ``y``."""
    if isinstance(obj, Long):
        return True
    if is_polars(obj) and type(obj).__name__ == "LazyFrame":
        raise InputTypeError(
            "A long frame must be an eager pandas or polars DataFrame, not a LazyFrame: call .collect()."
        )
    columns = getattr(obj, "columns", None)
    if columns is None or (isinstance(obj, pd.DataFrame) and isinstance(obj.columns, pd.MultiIndex)):
        return False
    return "ds" in columns and ("y" in columns or "unique_id" in columns)


def read_table(obj: Any, what: str, *, ensure_2d: bool = False, allow_no_columns: bool = False) -> Table:
    """Read a Series, frame or array; `what` names it in errors."""
    if is_polars(obj):
        raise InputTypeError(
            f"{what} is a polars {type(obj).__name__} without time stamps. Pass a long frame with the columns unique_id, ds, y "
            "(other names: ssmts.Long), or a pandas object whose index holds the times."
        )
    if isinstance(obj, pd.Series):
        return _with_index(_floats(obj, what)[:, None], (obj.name,), 1, obj.index, what)
    if isinstance(obj, pd.DataFrame):
        if not obj.shape[1] and not allow_no_columns:
            raise InputError(f"{what} has 0 feature(s) (shape={obj.shape}) while a minimum of 1 is required.")
        table = _with_index(_floats(obj, what), tuple(obj.columns), 2, obj.index, what)
        return replace(table, column_names=tuple(obj.columns.names))
    if obj is None or isinstance(obj, numbers.Number | str | dict):
        raise InputTypeError(
            f"{what} is {obj!r}. Pass a Series, a DataFrame, an array or a sequence of values in time order."
        )
    if getattr(getattr(obj, "dtype", None), "kind", "f") in "USmM":
        raise InputError(f"{what} is not numeric; its type is {obj.dtype}. Convert it to numbers.")
    if (dims := getattr(obj, "ndim", 0)) > 2:
        raise InputError(
            f"Found array with dim {dims}, while dim <= 2 is required: {what} is (n_times, n_outputs). Several series go into "
            "one frame with an index (series, time), or into a long frame with the columns unique_id, ds, y."
        )
    if getattr(getattr(obj, "dtype", None), "kind", "f") == "c":
        raise InputError(f"Complex data not supported: {what} has the type {obj.dtype}. Pass real numbers.")
    try:
        values = check_array(
            obj, dtype=np.float64, ensure_all_finite=False, ensure_2d=False, input_name=what, ensure_min_samples=1
        )
    except TypeError as error:
        raise InputTypeError(str(error)) from error
    except ValueError as error:
        raise InputError(str(error)) from error
    if ensure_2d and values.ndim < 2:  # scikit-learn's own message holds all the values
        raise InputError(
            f"Expected 2D array, got 1D array instead: {what} has the shape {values.shape}. Reshape your data: reshape(-1, 1) if it is a "
            "single column, reshape(1, -1) if it is a single row."
        )
    _refuse_infinities(values, what)
    return Table("array", values.reshape(len(values), -1), None, values.ndim)


def read_long(obj: Any, names: LongNames | None = None, *, target: bool = True) -> tuple[Table | None, Table | None]:
    """Read a long frame into a table of the target and one of the covariates (None without any)."""
    import narwhals as nw

    if not isinstance(obj, Long):
        found = names or LongNames("unique_id" if "unique_id" in obj.columns else None, "ds", "y", "")
        obj = Long(obj, found.id, found.time, found.target)
    try:
        frame = nw.from_native(obj.frame, eager_only=True)
    except TypeError as error:
        raise InputTypeError(
            f"A long frame must be an eager pandas or polars DataFrame, not {type(obj.frame).__name__}."
        ) from error
    needed = [c for c in (obj.id, obj.time, obj.target if target else None) if c is not None]
    absent = [c for c in needed if c not in frame.columns]
    if absent:
        raise InputError(
            f"The long frame has no column {absent}; it has {list(frame.columns)}. Name yours with ssmts.Long(...)."
        )
    if not len(frame):
        raise InputError("The long frame has no rows.")
    stamps = frame[obj.time]
    is_date = stamps.dtype == nw.Date
    long = LongNames(obj.id, obj.time, obj.target, str(frame.implementation).lower(), is_date)
    codes = keys = None
    if obj.id is not None:
        codes, uniques = pd.factorize(np.asarray(frame[obj.id].to_list(), dtype=object))
        if (codes < 0).any():
            raise InputError(f"Column {obj.id!r} has missing values; every row must name its series.")
        keys = tuple(uniques)
    covariates = [c for c in frame.columns if c not in (obj.id, obj.time, obj.target)]
    time = _long_time(stamps, obj.time)

    def table(columns: list[str]) -> Table:
        values = np.column_stack([_long_floats(frame[c], c) for c in columns])
        return Table("long", values, tuple(columns), 1, time, codes, keys, None, long)

    return (table([obj.target]) if target else None), (table(covariates) if covariates else None)


def _long_time(stamps: Any, name: str) -> Any:
    if stamps.implementation.is_pandas():
        return pd.Index(stamps.to_native(), name=name)
    zone = getattr(stamps.dtype, "time_zone", None)
    index = pd.Index(
        stamps.dt.convert_time_zone("UTC").dt.replace_time_zone(None).to_numpy() if zone else stamps.to_numpy(),
        name=name,
    )
    return index.tz_localize("UTC").tz_convert(zone) if zone else index


def _long_floats(column: Any, name: str) -> FloatArray:
    native = column.to_native()
    if not isinstance(native, pd.Series):
        try:
            native = pd.Series(np.asarray(column.to_numpy(), dtype=np.float64), name=name)
        except (TypeError, ValueError) as error:
            raise InputError(f"Column {name!r} is not numeric: {error}.") from error
    return _floats(native, f"Column {name!r}")


def _floats(obj: pd.Series | pd.DataFrame, what: str) -> FloatArray:
    try:
        raw = obj.to_numpy()
        if raw.dtype.kind not in "fiub":
            _refuse_other_types(obj)
            raw = obj.to_numpy(dtype=np.float64, na_value=np.nan)
        values = np.array(raw, dtype=np.float64, order="C")
    except (TypeError, ValueError) as error:
        dtypes = {str(c): str(t) for c, t in obj.dtypes.items()} if isinstance(obj, pd.DataFrame) else obj.dtype
        raise InputError(
            f"{what} is not numeric ({error}); its types are {dtypes}. Convert or drop what is no number; stamps belong in the index."
        ) from error
    if not len(values):
        raise InputError(f"{what} has 0 sample(s) (shape={values.shape}) while a minimum of 1 is required.")
    _refuse_infinities(values, what, obj.index)
    return values


def _refuse_other_types(obj: pd.Series | pd.DataFrame) -> None:
    """Refuse what pandas would turn into numbers: digits in strings, times, the real part of complex numbers."""
    columns = [obj] if isinstance(obj, pd.Series) else [obj.iloc[:, i] for i in range(obj.shape[1])]
    for column in columns:
        if is_numeric_dtype(column.dtype) and not is_complex_dtype(column.dtype):
            continue
        if (kind := infer_dtype(column, skipna=True)) not in _NUMBERS:
            raise TypeError(f"{'it' if column.name is None else repr(column.name)} holds {kind}")


def _refuse_infinities(values: FloatArray, what: str, index: pd.Index | None = None) -> None:
    if np.isinf(values).any():
        row = int(np.isinf(values.reshape(len(values), -1)).any(axis=1).argmax())
        where = f"row {row}" if index is None else f"{index[row]}"
        raise InputError(f"{what} contains infinity at {where}. Replace it by NaN where the value is unknown.")


def _with_index(values: FloatArray, columns: tuple[Hashable, ...], ndim: int, index: pd.Index, what: str) -> Table:
    if index.nlevels == 1:
        return Table("pandas", values, columns, ndim, index, index=index)
    if index.nlevels > 2:
        raise InputError(f"{what} has an index of {index.nlevels} levels {list(index.names)}; pass (series, time).")
    codes, keys = pd.factorize(index.get_level_values(0))
    if (codes < 0).any():
        raise InputError(f"{what} has rows whose series is missing in the first index level.")
    return Table("pandas", values, columns, ndim, index.get_level_values(1), codes, tuple(keys), index)


def column_mismatch(columns: tuple[Hashable, ...], fitted: tuple[Hashable, ...], what: str) -> str:
    """What differs between two sets of column names, in scikit-learn's words."""
    unseen = [c for c in columns if c not in fitted]
    missing = [c for c in fitted if c not in columns]
    message = "The feature names should match those that were passed during fit.\n"
    if unseen:
        message += "Feature names unseen at fit time:\n" + "".join(f"- {c}\n" for c in unseen)
    if missing:
        message += "Feature names seen at fit time, yet now missing:\n" + "".join(f"- {c}\n" for c in missing)
    if not unseen and not missing:
        message += "Feature names must be in the same order as they were in fit.\n"
    return f"{message}Pass {what} with the columns {list(fitted)}."
