"""The time axis: a map between stamps and integer steps."""

from dataclasses import dataclass, field
from datetime import timezone, tzinfo
from typing import Any, ClassVar, Literal, Self, cast

import numpy as np
import pandas as pd
from pandas.tseries.frequencies import to_offset

from ._calendar import DAY_NS, FixedGrid, Flags, Grid, Integers, calendar_grid, fixed_length
from .exceptions import FrequencyError, InputTypeError, PersistError, TimeIndexError

Kind = Literal["datetime", "period", "integer", "number"]
Unit = Literal["s", "ms", "us", "ns"]
Stamp = pd.Timestamp | pd.Period | int

TICKS_PER_DAY: dict[Unit, int] = {"s": 86_400, "ms": 86_400 * 10**3, "us": 86_400 * 10**6, "ns": DAY_NS}
_CLASSES: dict[str, type] = {"datetime": pd.DatetimeIndex, "period": pd.PeriodIndex}
_HOLDS = {"datetime": "date-times", "period": "periods", "integer": "integers", "number": "numbers"}


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
        Stamp of step 0. Its zone and its unit are those of the stamps given back; where ``freq`` needs a finer unit,
        the axis takes that.
    name
        Name of the index given back.

    Raises
    ------
    FrequencyError
        ``freq`` is not positive, or ``origin`` is not one of its stamps.

    Examples
    --------
    >>> import pandas as pd
    >>> from ssmts.timeindex import infer_axis
    >>> axis = infer_axis(pd.DatetimeIndex(["2024-01-31", "2024-02-29", "2024-04-30"]))
    >>> axis.freqstr
    'ME'
    >>> axis.steps(pd.DatetimeIndex(["2024-04-30", "2025-01-31"]))
    array([ 3, 12])
    >>> axis.stamps(4, 2).strftime("%Y-%m-%d").tolist()
    ['2024-05-31', '2024-06-30']
    """

    regular: ClassVar[bool] = True  # unlike `StampAxis`

    kind: Kind
    freq: pd.offsets.BaseOffset | int
    origin: Stamp
    name: Any = None
    _zone: str | None = field(init=False, repr=False)
    _dtype: Any = field(init=False, repr=False, compare=False)
    _grid: Grid = field(init=False, repr=False, compare=False)
    _clock: bool = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        n = self.freq if isinstance(self.freq, int) else self.freq.n
        if isinstance(self.origin, pd.Timestamp):
            self._set_datetimes(self.origin, cast(pd.offsets.BaseOffset, self.freq))
        elif isinstance(self.origin, pd.Period):
            self._set(_dtype=pd.PeriodDtype(cast(Any, self.freq)), _grid=FixedGrid(self.origin.ordinal, n))
        else:
            self._set(_dtype=None, _grid=FixedGrid(self.origin, n))
        if n < 1 or getattr(self._grid, "step", 1) < 1:
            raise FrequencyError(f"freq must be positive, received {freq_text(self.freq)!r}.")

    def _set(self, _zone: str | None = None, _clock: bool = False, **fields: Any) -> None:
        for name, value in {"_zone": _zone, "_clock": _clock, **fields}.items():
            object.__setattr__(self, name, value)

    def _set_datetimes(self, origin: pd.Timestamp, freq: pd.offsets.BaseOffset) -> None:
        length = fixed_length(freq)
        if length is not None:
            unit = next(unit for unit, ticks in TICKS_PER_DAY.items() if length * ticks % DAY_NS == 0)
            if TICKS_PER_DAY[unit] > TICKS_PER_DAY[origin.unit]:
                origin = origin.as_unit(unit)
            grid: Grid = FixedGrid(int(origin.asm8.astype(np.int64)), length * TICKS_PER_DAY[origin.unit] // DAY_NS)
        else:
            if not freq.is_on_offset(origin):
                raise FrequencyError(f"The origin {origin} is not a stamp of freq={freq_text(freq)!r}.")
            grid = calendar_grid(freq, origin.tz_localize(None), TICKS_PER_DAY[origin.unit])
        # Without daylight saving, the clock is absolute time; its conversion is spared where the grid is one of ticks.
        steady = origin.tz is None or origin.tz.utcoffset(None) is not None
        clock = length is None and not (steady and isinstance(grid, FixedGrid))
        if not clock and isinstance(grid, FixedGrid):
            grid = FixedGrid(int(origin.asm8.astype(np.int64)), grid.step)
        dtype = np.dtype(f"M8[{origin.unit}]") if origin.tz is None else pd.DatetimeTZDtype(origin.unit, origin.tz)
        self._set(origin=origin, _zone=zone_name(origin.tz), _dtype=dtype, _grid=grid, _clock=clock)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.kind, self.freq, self.origin, self.name)

    @property
    def unit(self) -> Unit:
        """Unit of date-times: ``"s"``, ``"ms"``, ``"us"`` or ``"ns"``."""
        return cast(pd.Timestamp, self.origin).unit

    @property
    def tz(self) -> tzinfo | None:
        """Zone of date-times."""
        return self.origin.tz if isinstance(self.origin, pd.Timestamp) else None

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
            A stamp is off the grid or missing (the first one is named), or the stamps are of another kind or zone.
        """
        steps, off = self._locate(index)
        if off.any():
            row = int(off.argmax())
            raise TimeIndexError(
                f"{stamp_text(index, row)} (row {row}) is off the grid of freq={self.freqstr!r} from {self.format(0)}. "
                "Correct or drop the row, or aggregate the rows to the grid, e.g. with resample()."
            )
        return steps

    def quick_step(self, index: pd.Index) -> int | None:
        """The step of the only stamp of an index, if it takes only integers to tell; None for all else, errors included."""
        if self._clock or type(self._grid) is not FixedGrid or type(index) is not _CLASSES.get(self.kind):
            return None
        stamps = cast(pd.DatetimeIndex, index)
        if stamps.dtype != self._dtype:
            return None
        steps, rest = divmod(int(stamps.asi8[0]) - self._grid.start, self._grid.step)
        return None if rest else steps  # that of NaT is no step of any series

    def contains(self, index: pd.Index) -> Flags:
        """Tell which stamps (n,) of an index are on the grid."""
        return ~self._locate(index)[1]

    def _locate(self, index: pd.Index) -> tuple[Integers, Flags]:
        """Last step at or before each stamp, and which stamps are off the grid."""
        kind = kind_of(index)
        check_present(index)
        if kind != self.kind:
            raise TimeIndexError(
                f"The time index holds {_HOLDS[kind]}, but fit saw {_HOLDS[self.kind]} with freq={self.freqstr!r} from "
                f"{self.format(0)}. Pass an index of the same kind."
            )
        if kind == "integer":
            return self._grid.locate(index.to_numpy(dtype=np.int64))
        if index.dtype != self._dtype:
            self._check_type(index)
        if kind == "period":
            return self._grid.locate(cast(pd.PeriodIndex, index).asi8)
        return self._locate_datetimes(cast(pd.DatetimeIndex, index))

    def _locate_datetimes(self, index: pd.DatetimeIndex) -> tuple[Integers, Flags]:
        stamps = index if index.dtype == self._dtype else index.as_unit(self.unit)
        ticks = (stamps.tz_localize(None) if self._clock and self.tz is not None else stamps).asi8
        steps, off = self._grid.locate(ticks)
        if stamps is not index:
            # A coarser unit cuts stamps off.
            off |= np.asarray(stamps != index)
        if self._clock and self.tz is not None and off.any():
            # Where the clock is put forward past the time of day of the grid, the stamp is moved by up to an hour.
            nominal = self._grid.ticks(steps[off])
            moved = ticks[off] - nominal
            skipped = self._localize(nominal, nonexistent="NaT").isna()
            off[off] = ~(skipped & (moved > 0) & (moved <= TICKS_PER_DAY[self.unit] // 24))
        return steps, off

    def _check_type(self, index: pd.Index) -> None:
        """Accept another unit of the same zone, refuse other zones and periods."""
        if isinstance(index, pd.PeriodIndex):
            raise TimeIndexError(
                f"The periods have freq={index.freqstr!r}, but fit saw freq={self.freqstr!r}. Convert them with asfreq()."
            )
        tz = cast(pd.DatetimeIndex, index).tz
        if zone_name(tz) != self._zone:
            naive = tz is None or self.tz is None
            raise TimeIndexError(
                f"The stamps have the zone {tz}, but fit saw {self.tz}. "
                f"Convert them with {'tz_localize' if naive else 'tz_convert'}({self._zone!r})."
            )

    def _localize(self, ticks: Integers, nonexistent: Literal["NaT", "shift_forward"]) -> pd.DatetimeIndex:
        """Date-times of the clock in the zone; the first of two."""
        wall = pd.DatetimeIndex(ticks.view(f"M8[{self.unit}]"))
        return wall.tz_localize(self.tz, ambiguous=np.ones(len(wall), bool), nonexistent=nonexistent)

    def stamps(self, start: int, count: int) -> pd.Index:
        """Index of the steps ``start, ..., start + count - 1``, with ``freq``, zone, unit and name set.

        Of a time of day that occurs twice the first is taken; one that daylight saving skips is moved forward to the
        next time that exists, and the index then carries no ``freq``.

        Raises
        ------
        TimeIndexError
            The stamps leave the range of the unit.
        """
        if self.kind == "integer":
            first, step = cast(int, self.stamp(start)), cast(int, self.freq)
            return pd.RangeIndex(first, first + count * step, step, name=self.name)
        index: Any = self.at(np.arange(start, start + count, dtype=np.int64))
        if self.kind == "datetime" and not (self._clock and self._skipped(index)):
            index.freq = self.freq
        return cast(pd.Index, index)

    def _skipped(self, index: pd.DatetimeIndex) -> bool:
        """Whether stamps had to be moved, or occur twice."""
        if self.tz is None:
            return False
        wall = index.tz_localize(None)
        twice = wall.tz_localize(self.tz, ambiguous="NaT").isna()
        return bool(twice.any() or (self._grid.locate(wall.asi8)[1]).any())

    def at(self, steps: Integers) -> pd.Index:
        """Index of steps in any order, without ``freq``; see `stamps`."""
        ticks = self._grid.ticks(steps)
        if self.kind == "integer":
            return pd.Index(ticks, name=self.name)
        if self.kind == "period":
            periods: Any = pd.PeriodIndex
            return cast(pd.Index, periods.from_ordinals(ticks, freq=self.freq, name=self.name))
        if self.tz is None:
            return pd.DatetimeIndex(ticks.view(f"M8[{self.unit}]"), name=self.name)
        if self._clock:
            return self._localize(ticks, nonexistent="shift_forward").rename(self.name)
        index = pd.DatetimeIndex(ticks.view(f"M8[{self.unit}]"), name=self.name)
        return index.tz_localize("UTC").tz_convert(self.tz)

    def stamp(self, step: int) -> Stamp:
        """Stamp of a step."""
        if isinstance(self.origin, int):
            return self.origin + step * cast(int, self.freq)
        return cast(Stamp, self.at(np.array([step]))[0])

    def lengths(self, steps: Integers) -> np.ndarray[Any, np.dtype[np.float64]]:
        """Differences of steps in the unit of time, which is a step."""
        return np.asarray(steps, dtype=np.float64)

    def format(self, step: int) -> str:
        """Text of the stamp of a step; a date alone where the stamps of the axis are midnights."""
        stamp = self.stamp(step)
        if isinstance(self.origin, pd.Timestamp):
            freq, wall = cast(pd.offsets.BaseOffset, self.freq), self.origin.tz_localize(None)
            if fixed_length(freq) is None and all(s == s.normalize() for s in (wall, wall + freq)):
                return f"{stamp:%Y-%m-%d}"
        return str(stamp)

    def with_name(self, name: Any) -> Self:
        """Return the same axis whose indexes carry another name."""
        return type(self)(self.kind, self.freq, self.origin, name)

    def to_dict(self) -> dict[str, Any]:
        """Describe the axis in values that JSON can hold: strings, integers, None.

        Raises
        ------
        PersistError
            The offset or the zone has no name that could be read back, or the name of the index is not a string.
        """
        if not (self.name is None or isinstance(self.name, str)):
            raise PersistError(f"The time index is named {self.name!r}; only a string can be saved. Rename the index.")
        text: dict[str, Any] = {"kind": self.kind, "freq": self.freqstr, "name": self.name}
        if isinstance(self.origin, pd.Timestamp):
            if type(self.freq) is pd.DateOffset and all(isinstance(word, int) for word in self.freq.kwds.values()):
                text["freq"] = {"n": self.freq.n} | self.freq.kwds
            text |= {"origin": self.origin.isoformat(), "tz": self._zone, "unit": self.unit}
        elif isinstance(self.origin, pd.Period):
            text["origin"] = self.origin.start_time.isoformat()
        else:
            text |= {"freq": self.freq, "origin": self.origin}
        try:
            same = type(self).from_dict(text) == self
        except (ValueError, KeyError, TypeError):
            same = False
        if not same:
            raise PersistError(
                f"freq={self.freqstr!r} in the zone {self.tz} cannot be saved: pandas reads no such name back. "
                "Use a named frequency and a zone of the IANA data base."
            )
        return text

    @classmethod
    def from_dict(cls, text: dict[str, Any]) -> Self:
        """Rebuild the axis that `to_dict` described."""
        kind, freq, origin, name = text["kind"], text["freq"], text["origin"], text["name"]
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


def kind_of(index: pd.Index, *, numbers: bool = False) -> Kind:
    """Kind of the stamps of an index; with `numbers`, any number is a stamp.

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
    if not isinstance(index, pd.Index):
        raise InputTypeError(f"A time index is a pandas Index, received {type(index).__name__}.")
    if isinstance(index, pd.MultiIndex):
        raise InputTypeError(f"A time index has one level, received the levels {list(index.names)}.")
    if pd.api.types.is_integer_dtype(index.dtype):
        return "integer"
    if numbers and pd.api.types.is_float_dtype(index.dtype):
        return "number"
    if len(index) and all(isinstance(stamp, pd.Timestamp) for stamp in index):
        zones = dict.fromkeys(str(stamp.tz) for stamp in index)
        raise TimeIndexError(
            f"The stamps have several zones: {', '.join(zones)}. "
            "Convert them to one, e.g. with pd.to_datetime(index, utc=True)."
        )
    example = f", e.g. {index[0]!r}" if len(index) else ""
    raise InputTypeError(
        f"A time index holds date-times, periods or integers, received dtype {index.dtype}{example}. "
        "Convert it with pd.to_datetime(index)."
    )


def check_present(index: pd.Index, where: str = "") -> None:
    """Check that no stamp is missing."""
    if index.hasnans:
        row = int(np.asarray(index.isna()).argmax())
        raise TimeIndexError(
            f"The stamp of row {row}{where} is missing ({index[row]}). Drop the row or fill in its stamp."
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


def stamp_text(index: pd.Index, row: int) -> str:
    """Text of the stamp of a row; a date alone where the stamps of the index are midnights."""
    stamp = index[row]
    if isinstance(index, pd.DatetimeIndex) and stamp is not pd.NaT and (index == index.normalize()).all():
        return f"{stamp:%Y-%m-%d}"
    return str(stamp)


def freq_text(freq: pd.offsets.BaseOffset | int) -> str:
    """Write a frequency as pandas does."""
    return str(freq) if isinstance(freq, int) else str(freq.freqstr)
