"""The time axis: a map between stamps and integer steps."""

from dataclasses import dataclass, field
from datetime import timezone, tzinfo
from typing import Any, Literal, Self, cast

import numpy as np
import pandas as pd
from pandas.tseries.frequencies import to_offset

from ssmts._calendar import DAY_NS, Flags, Integers, Rule, rule_of, table_positions, table_stamps
from ssmts.exceptions import FrequencyError, InputTypeError, PersistError, TimeIndexError

Kind = Literal["datetime", "period", "integer"]
Unit = Literal["s", "ms", "us", "ns"]
Stamp = pd.Timestamp | pd.Period | int

_NAT = np.iinfo(np.int64).min
TICKS_PER_DAY: dict[Unit, int] = {"s": 86_400, "ms": 86_400 * 10**3, "us": 86_400 * 10**6, "ns": 86_400 * 10**9}
_SHORT = {"hours", "minutes", "seconds", "milliseconds", "microseconds", "nanoseconds"}
_HOLDS = {"datetime": "date-times", "period": "periods", "integer": "integers"}


@dataclass(frozen=True, slots=True)
class TimeAxis:
    """The regular grid of stamps: a map between stamps and integer steps.

    Parameters
    ----------
    kind
        Kind of the stamps.
    freq
        Offset from one step to the next; an integer for integer stamps. Offsets of a day and longer follow the calendar
        and the clock of the zone; hours, minutes ... are absolute time.
    origin
        Stamp of step 0. Its zone and its resolution are those of the stamps given back.
    name
        Name of the index given back.

    Examples
    --------
    >>> import pandas as pd
    >>> from ssmts.timeindex import infer_axis
    >>> axis = infer_axis(pd.DatetimeIndex(["2024-01-31", "2024-02-29", "2024-04-30"]))
    >>> axis.freq
    <MonthEnd>
    >>> axis.steps(pd.DatetimeIndex(["2024-04-30", "2025-01-31"]))
    array([ 3, 12])
    >>> axis.stamps(4, 2).strftime("%Y-%m-%d").tolist()
    ['2024-05-31', '2024-06-30']
    """

    kind: Kind
    freq: pd.offsets.BaseOffset | int
    origin: Stamp
    name: Any = None
    _zone: str | None = field(init=False, repr=False)
    _dtype: Any = field(init=False, repr=False, compare=False)
    _rule: Rule | None = field(init=False, repr=False, compare=False)
    _table: bool = field(init=False, repr=False, compare=False)
    _start: int = field(init=False, repr=False, compare=False)
    _step: int = field(init=False, repr=False, compare=False)
    _time: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        n = self.freq if isinstance(self.freq, int) else self.freq.n
        if n < 1:
            raise FrequencyError(f"freq must be positive, received {freq_text(self.freq)!r}. Sort the rows by time.")
        derived: dict[str, Any] = {
            "_zone": None,
            "_dtype": None,
            "_rule": None,
            "_table": False,
            "_step": n,
            "_time": 0,
        }
        if self.kind == "integer":
            derived |= {"_start": int(cast(int, self.origin))}
        elif self.kind == "period":
            period = cast(pd.Period, self.origin)
            derived |= {"_start": period.ordinal, "_dtype": pd.PeriodDtype(cast(Any, period.freq))}
        else:
            derived |= self._datetime_grid()
        for name, value in derived.items():
            object.__setattr__(self, name, value)

    def _datetime_grid(self) -> dict[str, Any]:
        """Derive the arithmetic of date-times from offset and origin, in ticks of the origin's unit."""
        freq, origin = cast(pd.offsets.BaseOffset, self.freq), cast(pd.Timestamp, self.origin)
        grid: dict[str, Any] = {}
        length = fixed_length(freq)
        if length is not None:
            # The stamps need the unit in which both the origin and the step are whole numbers.
            unit = next(u for u, ticks in TICKS_PER_DAY.items() if length % (DAY_NS // ticks) == 0)
            if TICKS_PER_DAY[unit] > TICKS_PER_DAY[origin.unit]:
                origin = origin.as_unit(unit)
            grid |= {
                "origin": origin,
                "_step": length // (DAY_NS // TICKS_PER_DAY[origin.unit]),
                "_start": origin.asm8.astype(np.int64).item(),
            }
        else:
            if not freq.is_on_offset(origin):
                raise FrequencyError(f"{origin} is not a stamp of freq={freq_text(freq)!r}.")
            wall = origin.tz_localize(None).asm8.astype(np.int64)
            day, time = divmod(int(wall), TICKS_PER_DAY[origin.unit])
            found = rule_of(freq, origin.day)
            grid |= {"_time": time, "_table": found is None, "_start": 0}
            if found is not None:
                rule, step = found
                grid |= {"_rule": rule, "_step": step, "_start": int(rule.numbers(np.array([day]))[0])}
        dtype = np.dtype(f"M8[{origin.unit}]") if origin.tz is None else pd.DatetimeTZDtype(origin.unit, origin.tz)
        return grid | {"_zone": zone_name(origin.tz), "_dtype": dtype}

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.kind, self.freq, self.origin, self.name)

    @property
    def unit(self) -> Unit:
        """Resolution of date-times: ``"s"``, ``"ms"``, ``"us"`` or ``"ns"``."""
        return cast(pd.Timestamp, self.origin).unit

    @property
    def tz(self) -> tzinfo | None:
        """Zone of date-times."""
        return cast(pd.Timestamp, self.origin).tz if self.kind == "datetime" else None

    @property
    def freqstr(self) -> str:
        """The frequency in pandas' words; the step for integers."""
        return str(self._dtype)[len("period[") : -1] if self.kind == "period" else freq_text(self.freq)

    def steps(self, index: pd.Index) -> Integers:
        """Convert stamps to steps.

        Parameters
        ----------
        index : (n,)
            Stamps in any order, of the kind and zone of the axis.

        Returns
        -------
        (n,) int64
            Steps, negative before ``origin``.

        Raises
        ------
        TimeIndexError
            A stamp is off the grid (the first one is named), or the stamps are of another kind, period or zone.
        """
        steps, wrong = self._locate(index)
        if wrong.any():
            row = int(wrong.argmax())
            raise TimeIndexError(
                f"{stamp_text(index, row)} (row {row}) is off the grid of freq={self.freqstr!r} from {self.format(0)}. "
                "Correct or drop the row, or aggregate the rows to the grid, e.g. with resample()."
            )
        return steps

    def contains(self, index: pd.Index) -> Flags:
        """Which stamps (n,) are on the grid."""
        return ~self._locate(index)[1]

    def _locate(self, index: pd.Index) -> tuple[Integers, Flags]:
        """Steps of stamps, and which of them are off the grid."""
        values, wrong = self._ticks(index)
        if self._rule is None and not self._table:
            steps, rest = np.divmod(values - self._start, self._step)
            off = rest != 0
        else:
            steps, off = self._locate_calendar(cast(pd.DatetimeIndex, index))
        if self.kind != "integer":
            off |= values == _NAT
        return steps, off if wrong is None else off | wrong

    def _ticks(self, index: pd.Index) -> tuple[Integers, Flags | None]:
        """Integers behind stamps, in the unit of the axis, and which of them this unit cannot hold."""
        kind = kind_of(index)
        if kind != self.kind:
            raise TimeIndexError(
                f"The time index holds {_HOLDS[kind]}, but fit saw {_HOLDS[self.kind]} with freq={self.freqstr!r} from "
                f"{self.format(0)}. Pass an index of the same kind."
            )
        if kind == "integer":
            return index.to_numpy(dtype=np.int64), None
        if index.dtype == self._dtype:
            return cast(pd.DatetimeIndex, index).asi8, None
        if kind == "period":
            raise TimeIndexError(
                f"The periods have freq={cast(pd.PeriodIndex, index).freqstr!r}, but fit saw freq={self.freqstr!r}. "
                "Convert them with asfreq()."
            )
        stamps = cast(pd.DatetimeIndex, index)
        if zone_name(stamps.tz) != self._zone:
            raise TimeIndexError(
                f"The stamps have the zone {stamps.tz}, but fit saw {self.tz}. Use "
                + ("tz_localize()." if self._zone is None or stamps.tz is None else f"tz_convert({self._zone!r}).")
            )
        converted = stamps.as_unit(self.unit)
        return converted.asi8, np.asarray(converted != stamps) if len(stamps) else None

    def _locate_calendar(self, index: pd.DatetimeIndex) -> tuple[Integers, Flags]:
        """Steps by the clock of the zone, and which stamps are off the grid."""
        wall = (index if index.tz is None else index.tz_localize(None)).as_unit(self.unit)
        if self._table:
            origin = cast(pd.Timestamp, self.origin).tz_localize(None)
            return (
                table_positions(cast(pd.offsets.BaseOffset, self.freq), origin, wall)
                if len(wall)
                else (wall.asi8, wall.asi8 != 0)
            )
        rule, per_day = cast(Rule, self._rule), TICKS_PER_DAY[self.unit]
        days, rest = np.divmod(wall.asi8 - self._time, per_day)
        numbers = rule.numbers(days)
        steps, between = np.divmod(numbers - self._start, self._step)
        off = between != 0
        if self._rule is not None:
            off |= rule.days(numbers) != days
        moved = rest != 0
        if self.tz is not None and moved.any():
            # Where the clock is put forward over the time of day of the grid, the stamp is moved by up to an hour.
            nominal = pd.DatetimeIndex((days * per_day + self._time).view(f"M8[{self.unit}]"))
            missing = nominal.tz_localize(self.tz, ambiguous=np.ones(len(nominal), bool), nonexistent="NaT").isna()
            moved &= ~(missing & (rest <= per_day // 24))
        return steps, off | moved

    def stamps(self, start: int, count: int) -> pd.Index:
        """Index of the steps ``start, ..., start + count - 1``, with ``freq``, zone, resolution and name set.

        A time of day that daylight saving skips is moved forward to the next time that exists, of one that occurs twice
        the first is taken; the index then carries no ``freq``.
        """
        if self.kind == "integer":
            first, step = self._start + start * self._step, self._step
            return pd.RangeIndex(first, first + count * step, step, name=self.name)
        steps = np.arange(start, start + count, dtype=np.int64)
        if self.kind == "period":
            periods: Any = pd.PeriodIndex
            return cast(
                pd.Index, periods.from_ordinals(self._start + steps * self._step, freq=self.freq, name=self.name)
            )
        index, regular = self._datetimes(steps)
        return _with_freq(index, self.freq) if regular else index

    def _datetimes(self, steps: Integers) -> tuple[pd.DatetimeIndex, bool]:
        """Stamps of ascending steps, and whether pandas would accept their freq."""
        unit, tz = self.unit, self.tz
        if self._rule is None and not self._table:
            ticks = (self._start + steps * self._step).view(f"M8[{unit}]")
            index = pd.DatetimeIndex(ticks, name=self.name)
            return (index if tz is None else index.tz_localize("UTC").tz_convert(tz)), True
        if self._rule is not None:
            per_day = TICKS_PER_DAY[unit]
            days = self._rule.days(self._start + steps * self._step)
            index = pd.DatetimeIndex((days * per_day + self._time).view(f"M8[{unit}]"), name=self.name)
        elif len(steps):
            freq, origin = cast(pd.offsets.BaseOffset, self.freq), cast(pd.Timestamp, self.origin)
            index = table_stamps(freq, origin.tz_localize(None), steps).rename(self.name)
        else:
            index = pd.DatetimeIndex(np.empty(0, f"M8[{unit}]"), name=self.name)
        if tz is None:
            return index, True
        strict = index.tz_localize(tz, ambiguous="NaT", nonexistent="NaT")
        if not strict.hasnans:
            return strict, True
        return index.tz_localize(tz, ambiguous=np.ones(len(index), bool), nonexistent="shift_forward"), False

    def stamp(self, step: int) -> Stamp:
        """Stamp of a step."""
        if self.kind == "integer":
            return self._start + step * self._step
        if self.kind == "period":
            return cast(Stamp, self.stamps(step, 1)[0])
        return cast(Stamp, self._datetimes(np.array([step]))[0][0])

    def format(self, step: int) -> str:
        """Text of the stamp of a step; a date alone where every stamp of the axis is a midnight."""
        stamp = self.stamp(step)
        if self.kind == "datetime" and self._time == 0 and (self._rule is not None or self._table):
            return f"{stamp:%Y-%m-%d}"
        return str(stamp)

    def with_name(self, name: Any) -> Self:
        """Return the same axis whose indexes carry another name."""
        return type(self)(self.kind, self.freq, self.origin, name)

    def to_dict(self) -> dict[str, Any]:
        """Describe the axis in values that JSON can hold.

        Raises
        ------
        PersistError
            The offset or the zone has no name, or the name of the index is not a string.
        """
        if not (self.name is None or isinstance(self.name, str)):
            raise PersistError(
                f"The name of the time index is {self.name!r}; only strings can be saved. Rename the index."
            )
        text: dict[str, Any] = {"kind": self.kind, "name": self.name, "tz": self._zone}
        if self.kind == "integer":
            return text | {"freq": self._step, "origin": self._start}
        freq = cast(pd.offsets.BaseOffset, self.freq)
        text["freq"] = freq.kwds if type(freq) is pd.DateOffset else self.freqstr
        if self.kind == "period":
            text["origin"] = str(self.origin)
        else:
            text |= {"origin": cast(pd.Timestamp, self.origin).isoformat(), "unit": self.unit}
        try:
            same = type(self).from_dict(text) == self
        except (ValueError, KeyError, TypeError):
            same = False
        if not same:
            raise PersistError(
                f"The time axis of freq={self.freqstr!r} in the zone {self.tz} has no name that pandas can read back. "
                "Use a named frequency and a zone of the IANA data base."
            )
        return text

    @classmethod
    def from_dict(cls, text: dict[str, Any]) -> Self:
        """Rebuild the axis that `to_dict` described."""
        kind, name, freq, origin = text["kind"], text["name"], text["freq"], text["origin"]
        if kind == "integer":
            return cls(kind, freq, origin, name)
        if kind == "period":
            period = pd.Period(origin, freq=freq)
            return cls(kind, period.freq, period, name)
        offset = pd.DateOffset(**freq) if isinstance(freq, dict) else to_offset(freq)
        stamp = pd.Timestamp(origin).as_unit(text["unit"])
        return cls(kind, offset, stamp if text["tz"] is None else stamp.tz_convert(text["tz"]), name)


def row_axis() -> TimeAxis:
    """Return the axis of row numbers, for arrays."""
    return TimeAxis("integer", 1, 0)


def kind_of(index: pd.Index) -> Kind:
    """Kind of the stamps of an index.

    Raises
    ------
    TimeIndexError
        Stamps of several zones.
    InputTypeError
        Strings, floats, dates without type, several levels ...: nothing that can be used as time.
    """
    if isinstance(index, pd.DatetimeIndex):
        return "datetime"
    if isinstance(index, pd.PeriodIndex):
        return "period"
    if isinstance(index, pd.MultiIndex):
        raise InputTypeError(f"A time index has one level, received {index.nlevels} levels: {list(index.names)}.")
    if isinstance(index, pd.Index) and pd.api.types.is_integer_dtype(index.dtype):
        return "integer"
    if not isinstance(index, pd.Index):
        raise InputTypeError(f"A time index is a pandas Index, received {type(index).__name__}.")
    if len(index) and all(isinstance(stamp, pd.Timestamp) for stamp in index):
        zones = list(dict.fromkeys(str(stamp.tz) for stamp in index))
        raise TimeIndexError(
            f"The stamps have several zones: {', '.join(zones[:3])}. "
            "Convert them to one, e.g. with pd.to_datetime(index, utc=True)."
        )
    example = f", e.g. {index[0]!r}" if len(index) else ""
    raise InputTypeError(
        f"A time index holds date-times, periods or integers, received dtype {index.dtype}{example}. "
        "Convert it with pd.to_datetime(index)."
    )


def zone_name(tz: tzinfo | None) -> str | None:
    """Name of a zone, the same for every library that provides it."""
    if tz is None:
        return None
    name = getattr(tz, "key", None) or getattr(tz, "zone", None)
    if name is None:
        offset = tz.utcoffset(None)
        name = str(tz) if offset is None else str(timezone(offset))
    return str(name)


def fixed_length(freq: pd.offsets.BaseOffset) -> int | None:
    """Nanoseconds of an offset that is an absolute length of time, None for an offset of the calendar."""
    if isinstance(freq, pd.offsets.Tick) and not isinstance(freq, pd.offsets.Day):
        return int(freq.nanos)
    words = getattr(freq, "kwds", {})
    if type(freq) is pd.DateOffset and words and words.keys() <= _SHORT:
        return int(freq.n * pd.Timedelta(**words).as_unit("ns").value)
    return None


def stamp_text(index: pd.Index, row: int) -> str:
    """Text of the stamp of a row; a date alone where all stamps of the index are midnights."""
    stamp = index[row]
    if (
        isinstance(index, pd.DatetimeIndex)
        and not pd.isna(stamp)
        and (index.dropna() == index.dropna().normalize()).all()
    ):
        return f"{stamp:%Y-%m-%d}"
    return str(stamp)


def freq_text(freq: pd.offsets.BaseOffset | int) -> str:
    """Write a frequency as pandas does."""
    return str(freq) if isinstance(freq, int) else str(freq.freqstr)


def _with_freq(index: Any, freq: Any) -> pd.Index:
    index.freq = freq
    return cast(pd.Index, index)
