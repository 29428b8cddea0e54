"""A column of a file to stamps: dates in the usual notations, offsets from UTC, whole numbers."""

from __future__ import annotations

import warnings

import pandas as pd

from ..exceptions import InputError

__all__ = ["reads_as_dates", "stamps"]

# Two numbers and a year: the numbers are day and month in one of two orders.
_TWO_ORDERS = r"^\s*(?P<first>\d{1,2})(?P<mark>[./-])(?P<second>\d{1,2})[./-](?:\d{4}|\d{2})(?!\d)"
_OFFSET = r"\dZ$|[T:]\d\d\S*\s?[+-]\d\d(?::?\d\d)?$"  # after a clock, for 01-02-2024 has none
_COMPACT = (19000101, 21001231)  # 20240131 is a date


def stamps(column: pd.Series) -> pd.Index:
    """Read a column of stamps."""
    types = pd.api.types
    if types.is_float_dtype(column.dtype) and not column.isna().all():
        if not (column == column.round()).all():
            bad = column[column != column.round()].iloc[0]
            raise InputError(
                f"The column {column.name!r} holds {bad}, which is no date and no whole number. Write dates, such as "
                "2024-01-31, or number the rows with --time none."
            )
        column = column.astype("int64")
    if types.is_integer_dtype(column.dtype) and len(column) and column.between(*_COMPACT).all():
        compact = pd.to_datetime(column.astype(str), format="%Y%m%d", errors="coerce")
        if compact.notna().all():
            column = compact
    if types.is_numeric_dtype(column.dtype) or isinstance(column.dtype, pd.PeriodDtype | pd.DatetimeTZDtype):
        index: pd.Index = pd.Index(column)
        return index
    try:
        return pd.DatetimeIndex(_dates(column))
    except InputError:
        raise
    except (ValueError, TypeError, UserWarning) as error:
        raise InputError(
            f"The column {column.name!r} cannot be read as dates: {str(error).partition('. You might')[0]}. Write them like 2024-01-31 "
            "or 2024-01-31T08:00, or number the rows with --time none."
        ) from error


def reads_as_dates(column: pd.Series) -> bool:
    """Whether a column of text holds dates, be it that the order of day and month is open."""
    try:
        _dates(column)
    except InputError:
        return True
    except (ValueError, TypeError, UserWarning):
        return False
    return True


def _dates(column: pd.Series) -> pd.Series:
    """Stamps from text; those with an offset from UTC in UTC, since offsets may change within a file."""
    text = column.astype(str)
    offset = bool(text.str.contains(_OFFSET, regex=True).any())
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a format that pandas cannot tell would be guessed row by row
        try:
            return pd.to_datetime(column, utc=offset, format="ISO8601")
        except ValueError:
            return pd.to_datetime(column, utc=offset, dayfirst=_day_first(column.dropna(), offset))


def _day_first(column: pd.Series, offset: bool) -> bool:
    """Whether 01/02/2024 is the first of February: told by a number above 12, by dots, or by a regular frequency.

    pandas alone takes it for the second of January, and so makes of months a few days of January without a word.
    """
    parts = column.astype(str).str.extract(_TWO_ORDERS)
    if parts["first"].isna().any():
        return False
    first, second = parts["first"].astype(int), parts["second"].astype(int)
    if (first > 12).any() or (second > 12).any():
        return bool((first > 12).any())
    if (parts["mark"] == ".").all():
        return True
    if (first == second).all():
        return False
    regular = [order for order in (False, True) if _is_regular(pd.to_datetime(column, utc=offset, dayfirst=order))]
    if len(regular) != 1:
        raise InputError(
            f"The column {column.name!r} does not tell day from month, as in {str(column[first != second].iloc[0])!r}. "
            "Write dates like 2024-01-31, or number the rows with --time none."
        )
    return regular[0]


def _is_regular(times: pd.Series) -> bool:
    index = pd.DatetimeIndex(times.drop_duplicates())
    return len(index) > 2 and index.is_monotonic_increasing and pd.DatetimeIndex(index, freq="infer").freq is not None
