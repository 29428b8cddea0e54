"""Rules of `ssmts._codec` for times, offsets, indexes and frames."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pandas as pd
from pandas.tseries.frequencies import to_offset

from ._codec import Reader, Rule, Writer


def _zone_name(zone: Any, writer: Writer) -> str:
    """Name by which pandas finds a time zone again."""
    name = str(zone)
    try:
        again = pd.Timestamp("2000-07-01", tz=name)
    except (ValueError, KeyError, OSError) as error:
        raise writer.refusal(f"has the time zone {zone!r}, which has no name. Convert to a named zone.") from error
    if again.utcoffset() != pd.Timestamp("2000-07-01", tz=zone).utcoffset():
        raise writer.refusal(f"has the time zone {zone!r}, which its name does not determine. Convert to a named zone.")
    return name


def _zone(name: str) -> Any:
    return pd.DatetimeTZDtype("ns", name).tz


def _encode_timestamp(value: pd.Timestamp, writer: Writer) -> Any:
    zone = None if value.tz is None else _zone_name(value.tz, writer)
    return [int(value.asm8.view(np.int64)), value.unit, zone, value.fold]


def _decode_timestamp(payload: Any, reader: Reader) -> Any:
    count, unit, zone, fold = payload
    stamp = pd.Timestamp(np.datetime64(count, unit))
    return stamp.replace(fold=fold) if zone is None else stamp.tz_localize("UTC").tz_convert(zone)


def _encode_offset(value: Any, writer: Writer) -> Any:
    try:
        by_name = to_offset(value.freqstr)
    except ValueError:
        by_name = None
    if by_name == value and not value.normalize:
        return value.freqstr
    words = {name: each for name, each in value.kwds.items() if name != "calendar"}  # holidays and weekmask hold it
    parts = [type(value).__name__, value.n, value.normalize, writer.encode_fields(words)]
    cls: Any = getattr(pd.offsets, type(value).__name__, None)
    if type(value) is not cls or cls(value.n, value.normalize, **words) != value:
        raise writer.refusal(f"is the offset {value!r}, which its parts do not determine. Use one of pandas' own.")
    return parts


def _decode_offset(payload: Any, reader: Reader) -> Any:
    if isinstance(payload, str):
        return to_offset(payload)
    name, n, normalize, words = payload
    cls = getattr(pd.offsets, name)
    if not issubclass(cls, pd.offsets.BaseOffset):
        raise TypeError(f"{name} is no offset")
    return cls(n, normalize, **reader.decode_fields(words))


def _encode_values(values: Any, writer: Writer) -> Any:
    """One column: NumPy arrays as they are, times by their counts, other types value by value under their name."""
    dtype = values.to_numpy().dtype if isinstance(values, pd.arrays.NumpyExtensionArray) else values.dtype
    if isinstance(dtype, pd.PeriodDtype):
        return ["period", writer.array(values.asi8), str(dtype)]
    if isinstance(dtype, pd.DatetimeTZDtype):
        counts = values.tz_convert("UTC").tz_localize(None).to_numpy()
        return ["zoned", writer.array(counts), _zone_name(dtype.tz, writer)]
    if isinstance(dtype, pd.CategoricalDtype):
        codes = np.asarray(values.codes, dtype=np.int64)
        return ["categories", writer.array(codes), writer.encode(pd.Index(dtype.categories)), bool(dtype.ordered)]
    if isinstance(dtype, np.dtype):
        return ["numpy", writer.encode(values.to_numpy())]
    return ["extension", str(dtype), writer.encode_all(values.astype(object).tolist())]


def _decode_values(payload: Any, reader: Reader) -> Any:
    kind = payload[0]
    if kind == "period":
        return pd.arrays.PeriodArray(reader.array(payload[1]), dtype=payload[2])
    if kind == "zoned":
        return pd.DatetimeIndex(reader.array(payload[1])).tz_localize("UTC").tz_convert(payload[2]).array
    if kind == "categories":
        categories = reader.decode(payload[2])
        return pd.Categorical.from_codes(reader.array(payload[1]), categories, ordered=payload[3])  # type: ignore[call-overload]
    if kind == "numpy":
        return reader.decode(payload[1])
    return pd.array(reader.decode(payload[2]), dtype=payload[1])


def _object(values: Any) -> Any:
    """``object`` where pandas would otherwise look for a type of its own."""
    return object if isinstance(values, np.ndarray) and values.dtype.kind == "O" else None


def _encode_index(value: pd.Index, writer: Writer) -> Any:
    if isinstance(value, pd.MultiIndex):
        codes = [writer.array(np.asarray(each, dtype=np.int64)) for each in value.codes]
        return ["multi", [writer.encode(level) for level in value.levels], codes, writer.encode_all(value.names)]
    name = writer.encode(value.name)
    if isinstance(value, pd.RangeIndex):
        return ["range", [value.start, value.stop, value.step], name]
    freq = getattr(value, "freq", None) if isinstance(value, pd.DatetimeIndex | pd.TimedeltaIndex) else None
    return ["values", _encode_values(value.array, writer), name, None if freq is None else writer.encode(freq)]


def _decode_index(payload: Any, reader: Reader) -> Any:
    kind = payload[0]
    if kind == "multi":
        codes: Any = [reader.array(each) for each in payload[2]]
        return pd.MultiIndex([reader.decode(each) for each in payload[1]], codes, names=reader.decode(payload[3]))
    name = reader.decode(payload[2])
    if kind == "range":
        start, stop, step = payload[1]
        return pd.RangeIndex(start, stop, step, name=name)
    values = _decode_values(payload[1], reader)
    index = pd.Index(values, name=name, dtype=_object(values))
    if payload[3] is not None:
        index.freq = reader.decode(payload[3])  # type: ignore[attr-defined]
    return index


def _encode_series(value: pd.Series, writer: Writer) -> Any:
    return [_encode_values(value.array, writer), writer.encode(value.index), writer.encode(value.name)]


def _decode_series(payload: Any, reader: Reader) -> Any:
    values = _decode_values(payload[0], reader)
    return pd.Series(values, reader.decode(payload[1]), dtype=_object(values), name=reader.decode(payload[2]))


def _encode_frame(value: pd.DataFrame, writer: Writer) -> Any:
    columns = [_encode_values(value.iloc[:, i].array, writer) for i in range(value.shape[1])]
    return [columns, writer.encode(value.index), writer.encode(value.columns)]


def _decode_frame(payload: Any, reader: Reader) -> Any:
    index = reader.decode(payload[1])
    values = [_decode_values(each, reader) for each in payload[0]]
    columns = {i: pd.Series(v, index, dtype=_object(v)) for i, v in enumerate(values)}
    frame = pd.DataFrame(columns, index=index)
    frame.columns = reader.decode(payload[2])
    return frame


def _is_zone(value: Any) -> bool:
    return isinstance(value, dt.tzinfo)


PANDAS_RULES = (
    Rule("NaT", lambda v: v is pd.NaT, lambda v, _: None, lambda p, _: pd.NaT),
    Rule("NA", lambda v: v is pd.NA, lambda v, _: None, lambda p, _: pd.NA),
    Rule("timestamp", lambda v: isinstance(v, pd.Timestamp), _encode_timestamp, _decode_timestamp),
    Rule(
        "timedelta",
        lambda v: isinstance(v, pd.Timedelta),
        lambda v, _: [int(v.asm8.view(np.int64)), v.unit],
        lambda p, _: pd.Timedelta(np.timedelta64(p[0], p[1])),
    ),
    Rule(
        "period",
        lambda v: isinstance(v, pd.Period),
        lambda v, _: [v.ordinal, v.freqstr],
        lambda p, _: pd.Period(ordinal=p[0], freq=p[1]),
    ),
    Rule("date", lambda v: type(v) is dt.date, lambda v, _: v.isoformat(), lambda p, _: dt.date.fromisoformat(p)),
    Rule(
        "pytimedelta",
        lambda v: type(v) is dt.timedelta,
        lambda v, _: [v.days, v.seconds, v.microseconds],
        lambda p, _: dt.timedelta(*p),
    ),
    Rule("zone", _is_zone, lambda v, w: _zone_name(v, w), lambda p, _: _zone(p)),
    Rule("offset", lambda v: isinstance(v, pd.offsets.BaseOffset), _encode_offset, _decode_offset),
    Rule("index", lambda v: isinstance(v, pd.Index), _encode_index, _decode_index),
    Rule("series", lambda v: type(v) is pd.Series, _encode_series, _decode_series),
    Rule("frame", lambda v: type(v) is pd.DataFrame, _encode_frame, _decode_frame),
)
