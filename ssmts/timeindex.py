"""Stamps and integer steps: the frequency, zone and order of time indexes.

Models count steps; callers have stamps. `infer_axis` finds the regular grid on which the stamps of one or many series
lie, and the `TimeAxis` that it returns converts both ways. Steps of a day and longer follow the calendar and the clock
of their zone, shorter ones absolute time, so that daylight saving is no gap.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from typing import Any, NamedTuple, cast

import numpy as np
import pandas as pd
from pandas.tseries.frequencies import to_offset

from ._calendar import (
    DAY_NS,
    FIRST_WEEKDAYS,
    LAST_WEEKDAYS,
    MONTH_ENDS,
    MONTH_STARTS,
    WEEKDAYS,
    Flags,
    Integers,
    day_of_month,
    fixed_length,
    rule_of,
    tick_offset,
)
from ._timeaxis import (
    TICKS_PER_DAY,
    TimeAxis,
    check_present,
    freq_text,
    kind_of,
    row_axis,
    stamp_text,
    zone_name,
)
from .exceptions import FrequencyError, TimeIndexError

__all__ = ["TimeAxis", "check_increasing", "infer_axis", "kind_of", "row_axis"]


def check_increasing(index: pd.Index, *, series: Any = None, numbers: bool = False) -> None:
    """Check that stamps are there, and later from row to row.

    Parameters
    ----------
    index : (n,)
        Stamps of one series.
    series
        Name of the series, for the message.
    numbers
        Whether any numbers are stamps, as they are to models in continuous time.

    Raises
    ------
    TimeIndexError
        A stamp is missing, duplicated or before its predecessor; it is named.
    InputTypeError
        The index does not hold time.
    """
    kind = kind_of(index, numbers=numbers)
    where = "" if series is None else f" in series {series!r}"
    check_present(index, where)
    values = index.to_numpy() if kind in ("integer", "number") else cast(pd.DatetimeIndex, index).asi8
    wrong = np.asarray(values[1:] <= values[:-1])
    if not wrong.any():
        return
    row = int(wrong.argmax())
    before, after = (stamp_text(index, i) for i in (row, row + 1))
    if before == after:
        raise TimeIndexError(
            f"The stamp {after}{where} appears twice (rows {row} and {row + 1}). "
            "Keep one, e.g. y[~y.index.duplicated()], or aggregate, e.g. y.groupby(level=0).mean()."
        )
    raise TimeIndexError(
        f"The stamps{where} decrease: {after} follows {before} (row {row + 1}). "
        "Sort the rows by time, e.g. with sort_index()."
    )


def infer_axis(
    indexes: pd.Index | Sequence[pd.Index], freq: str | pd.offsets.BaseOffset | timedelta | int | None = None
) -> TimeAxis:
    """Find the grid on which the stamps of one or several series lie.

    The frequency is that of a PeriodIndex, else ``index.freq``, else ``freq``, else the coarsest pandas offset that
    contains every stamp and is attained by at least half of the gaps. For integers it is ``freq``, else the step of a
    RangeIndex, else the commonest gap, if it divides all others. Rows may be absent anywhere.

    Parameters
    ----------
    indexes
        Index of each series, increasing (see `check_increasing`).
    freq
        Frequency, as pandas writes it; an integer for integer stamps.

    Returns
    -------
    TimeAxis
        Its origin is the earliest stamp of all series (or, where daylight saving has moved that, one step before it).

    Raises
    ------
    FrequencyError
        No frequency was given and none fits (the message lists the commonest gaps), or there are too few stamps to
        tell, or ``freq`` contradicts the stamps or the freq of the index.
    TimeIndexError
        No stamps at all, or series of different kinds or zones.

    Examples
    --------
    >>> import pandas as pd
    >>> from ssmts.timeindex import infer_axis
    >>> infer_axis(pd.DatetimeIndex(["2024-01-01 00:00", "2024-01-01 00:30", "2024-01-01 02:00"])).freqstr
    '30min'
    """
    given = [indexes] if isinstance(indexes, pd.Index) else list(indexes)
    kinds = {kind_of(index) for index in given}
    filled = [index for index in given if len(index)]
    if not filled:
        raise TimeIndexError("There are no stamps. Pass at least one row.")
    if len(kinds) > 1:
        raise TimeIndexError(
            f"The series have time indexes of different kinds: {', '.join(sorted(kinds))}. Convert them to one."
        )
    kind = kinds.pop()
    if kind == "integer":
        return _integer_axis(filled, freq)
    if kind == "period":
        return _period_axis(cast(list[pd.PeriodIndex], filled), freq)
    return _datetime_axis(cast(list[pd.DatetimeIndex], filled), freq)


def _joined(series: list[Integers]) -> tuple[Integers, Flags]:
    """Put the stamps of all series in a row; which neighbours belong to the same series."""
    inside = np.ones(sum(map(len, series)), bool)
    inside[np.cumsum([len(values) for values in series]) - 1] = False
    return np.concatenate(series), inside[:-1]


def _integer_axis(indexes: list[pd.Index], freq: Any) -> TimeAxis:
    if not (freq is None or (isinstance(freq, int | np.integer) and not isinstance(freq, bool))):
        raise FrequencyError(f"The time index holds integers, so freq must be an integer, received {freq!r}.")
    values, inside = _joined([index.to_numpy(dtype=np.int64) for index in indexes])
    own = {index.step if isinstance(index, pd.RangeIndex) else None for index in indexes}
    step = own.pop() if freq is None and len(own) == 1 else freq
    if step is None:
        if inside.sum() < 2:
            raise _too_few(inside, "freq=1")
        sizes, counts = np.unique(np.diff(values)[inside], return_counts=True)
        step = sizes[counts.argmax()]
    axis = TimeAxis("integer", int(step), int(values.min()), indexes[0].name)
    wrong = (values - values.min()) % step != 0
    if wrong.any():
        raise FrequencyError(
            f"{'The commonest gap' if freq is None else f'freq={step}'} does not lead to the stamp "
            f"{values[wrong.argmax()]}.{_gaps_text(values, inside)} Correct that row, or freq=."
        )
    return axis


def _period_axis(indexes: list[pd.PeriodIndex], freq: Any) -> TimeAxis:
    types = {cast(pd.PeriodDtype, index.dtype) for index in indexes}
    if freq is not None:
        try:
            types.add(pd.PeriodDtype(freq))
        except (ValueError, TypeError, AttributeError) as error:
            raise FrequencyError(
                f"freq={freq!r} is no frequency of periods. Use, for instance, 'D', 'M' or 'Q-DEC'."
            ) from error
    if len(types) > 1:
        names = sorted(str(dtype) for dtype in types)
        raise FrequencyError(f"The periods and freq= differ: {', '.join(names)}. Convert them to one with asfreq().")
    offset: Any = types.pop().freq
    axis = TimeAxis("period", offset, min(index.min() for index in indexes), indexes[0].name)
    for index in indexes:
        axis.steps(index)
    return axis


def _datetime_axis(indexes: list[pd.DatetimeIndex], freq: Any) -> TimeAxis:
    stamps, inside = _joined_stamps(indexes)
    offset = _known_offset([index.freq for index in indexes if index.freq is not None], freq, stamps[0])
    if offset is None:
        if inside.sum() < 2:
            raise _too_few(inside, "freq='D' for days")
        axis = _first_axis(stamps, _likely_offsets(stamps, inside))
        if axis is None:
            commonest = to_offset((stamps[1:] - stamps[:-1])[inside].value_counts().index[0])
            raise FrequencyError(
                f"No frequency contains every stamp and is attained by half of the gaps.{_gaps_text(stamps, inside)} "
                "Pass freq=, e.g. freq='h', if every stamp is on that grid; else aggregate the rows, "
                f"e.g. with y.resample({freq_text(_in_days(commonest))!r}).mean()."
            )
        return axis
    # A whole number of days is meant by the calendar, unless only absolute time contains the stamps.
    axis = _first_axis(stamps, [_in_days(offset), offset])
    if axis is None:
        fitting = _first_axis(stamps, _likely_offsets(stamps, inside)) if inside.sum() > 1 else None
        raise FrequencyError(
            f"freq={freq_text(offset)!r} does not contain the stamp {_first_off(stamps, offset)}."
            f"{_gaps_text(stamps, inside)} "
            + ("Correct freq= or that row." if fitting is None else f"freq={fitting.freqstr!r} contains every stamp.")
        )
    return axis


def _joined_stamps(indexes: list[pd.DatetimeIndex]) -> tuple[pd.DatetimeIndex, Flags]:
    """Put the stamps of all series in a row, in the finest of their units; which neighbours are of the same series."""
    zones = {zone_name(index.tz): index.tz for index in indexes}
    if len(zones) > 1:
        raise TimeIndexError(
            f"The series have different zones: {', '.join(map(str, zones))}. Convert them to one with tz_convert(), "
            "after tz_localize() where there is none."
        )
    unit = max((index.unit for index in indexes), key=TICKS_PER_DAY.__getitem__)
    values, inside = _joined([index.as_unit(unit).asi8 for index in indexes])
    (tz,) = zones.values()
    stamps = pd.DatetimeIndex(values.view(f"M8[{unit}]"), name=indexes[0].name)
    return (stamps if tz is None else stamps.tz_localize("UTC").tz_convert(tz)), inside


def _known_offset(own: list[pd.offsets.BaseOffset], freq: Any, stamp: pd.Timestamp) -> pd.offsets.BaseOffset | None:
    """Return the offset that the indexes carry, else the one given; they must agree."""
    given: list[pd.offsets.BaseOffset] = []
    if freq is not None:
        try:
            if isinstance(freq, int):
                raise TypeError("an integer fits integer stamps only")
            given = [to_offset(freq)]
        except (ValueError, TypeError) as error:
            raise FrequencyError(
                f"freq={freq!r} is no frequency of date-times. Use, for instance, 'h', 'D', 'W-MON' or 'MS'."
            ) from error
    known = own + given
    for other in known[1:]:
        if not _same_grid(known[0], other, stamp):
            raise FrequencyError(
                f"freq={freq_text(other)!r} contradicts the {freq_text(known[0])!r} of the index. "
                "Drop one of them, e.g. with index.freq = None."
            )
    return known[0] if known else None


def _in_days(offset: pd.offsets.BaseOffset) -> pd.offsets.BaseOffset:
    length = fixed_length(offset)
    return pd.offsets.Day(length // DAY_NS) if length and length % DAY_NS == 0 else offset


def _same_grid(one: pd.offsets.BaseOffset, other: pd.offsets.BaseOffset, stamp: pd.Timestamp) -> bool:
    """Whether two offsets, the first of which contains the stamp, generate the same stamps (MS x 3 and QS-JAN, say)."""
    one, other = _in_days(one), _in_days(other)
    if one == other:
        return True
    length, rule = fixed_length(one), rule_of(one, 1)
    if length is not None:
        return length == fixed_length(other)
    return rule is not None and rule == rule_of(other, 1) and other.is_on_offset(stamp)


def _first_axis(stamps: pd.DatetimeIndex, offsets: Iterable[pd.offsets.BaseOffset]) -> TimeAxis | None:
    """Axis of the first offset that contains every stamp."""
    origin = stamps.min()
    for offset in offsets:
        if offset.is_on_offset(origin):
            axis = TimeAxis("datetime", offset, origin, stamps.name)
            if stamps.tz is not None and fixed_length(offset) is None:
                axis = _usual_time(axis, stamps)
            if axis.contains(stamps).all():
                return axis
    return None


def _usual_time(axis: TimeAxis, stamps: pd.DatetimeIndex) -> TimeAxis:
    """Move the origin one step back if daylight saving moved the first stamp off the time of day of the others."""
    times = stamps.tz_localize(None) - stamps.tz_localize(None).normalize()
    usual = times.value_counts().index[0]
    first = int(stamps.argmin())
    if times[first] == usual:
        return axis
    other = TimeAxis("datetime", axis.freq, stamps[times == usual].min(), stamps.name)
    if not other.contains(stamps[[first]]).all():
        return axis
    return TimeAxis("datetime", axis.freq, other.stamp(int(other.steps(stamps[[first]])[0]) - 1), stamps.name)


def _first_off(stamps: pd.DatetimeIndex, offset: pd.offsets.BaseOffset) -> str:
    origin = int(stamps.argmin())
    if not offset.is_on_offset(stamps[origin]):
        return stamp_text(stamps, origin)
    axis = TimeAxis("datetime", offset, stamps[origin])
    return stamp_text(stamps, int(axis.contains(stamps).argmin()))


def _too_few(inside: Flags, example: str) -> FrequencyError:
    return FrequencyError(
        f"It takes three stamps of a series to tell the frequency, received {inside.sum() + 1}. "
        f"Pass freq=, e.g. {example}."
    )


def _gaps_text(values: pd.DatetimeIndex | Integers, inside: Flags) -> str:
    """Name the three commonest gaps."""
    counts = pd.Series((values[1:] - values[:-1])[inside]).value_counts()
    if counts.empty:
        return ""
    texts = [
        f"{str(gap).removesuffix(' 00:00:00').removeprefix('0 days ')} ({count} {'time' if count == 1 else 'times'})"
        for gap, count in counts.head(3).items()
    ]
    days = {pd.Timedelta(hours=hours) for hours in (23, 24, 25)}
    saving = " Days of 23 and 25 hours follow a zone with daylight saving: convert the stamps to it with tz_convert()."
    return f" The commonest gaps are {', '.join(texts)}." + (
        saving if len(counts) > 1 and set(counts.index) <= days else ""
    )


class _Fit(NamedTuple):
    """The coarsest step of a rule that contains every stamp, and the share of gaps of one step."""

    step: int
    share: float


def _fit(numbers: Integers, inside: Flags) -> _Fit:
    step = int(np.gcd.reduce(numbers - numbers.min()))
    return _Fit(step, float(np.mean(np.diff(numbers)[inside] == step)) if step else 0.0)


def _likely_offsets(stamps: pd.DatetimeIndex, inside: Flags) -> Iterator[pd.offsets.BaseOffset]:
    """Yield, coarsest first, the offsets that are attained by at least half of the gaps and may contain every stamp.

    The caller checks that they do: a clock that is put forward moves stamps by an hour or so, which is forgiven here.

    Parameters
    ----------
    stamps : (n,)
        One series after the other.
    inside : (n - 1,)
        Which neighbours belong to the same series.
    """
    per_day = TICKS_PER_DAY[stamps.unit]
    wall = (stamps if stamps.tz is None else stamps.tz_localize(None)).asi8
    times, counts = np.unique(wall % per_day, return_counts=True)
    if counts.max() > 0.5 * len(wall):
        days = (wall - times[counts.argmax()]) // per_day
        offset = _likely_months(days, inside) or _likely_days(days, inside)
        if offset is not None:
            yield offset
    fit = _fit(stamps.asi8, inside)
    if fit.share >= 0.5:
        yield tick_offset(fit.step * DAY_NS // per_day)


def _likely_months(days: Integers, inside: Flags) -> pd.offsets.BaseOffset | None:
    """One of the monthly rules, from which quarters and years follow by their step."""
    months = MONTH_STARTS.numbers(days)
    day = int((days - MONTH_STARTS.days(months)).min()) + 1
    rules = [MONTH_STARTS, MONTH_ENDS, FIRST_WEEKDAYS, LAST_WEEKDAYS, day_of_month(min(day, 28))]
    for rule, name in zip(rules, ["{}Begin", "{}End", "B{}Begin", "B{}End", ""]):
        if np.array_equal(rule.days(months), days):
            fit = _fit(months, inside)
            return _month_offset(name, fit.step, int(months[0]) % 12 + 1) if fit.share >= 0.5 else None
    return None


def _month_offset(name: str, step: int, month: int) -> pd.offsets.BaseOffset:
    """Name a step of months: years if whole years, else quarters if whole quarters."""
    anchor: dict[str, int] = {}
    length, unit = 1, "Month"
    if not name:
        return pd.DateOffset(months=step)
    if step % 12 == 0:
        length, unit, anchor = 12, "Year", {"month": month}
    elif step % 3 == 0:
        # As pandas writes them: quarters that start in January are QS-JAN, those that end in December QE-DEC.
        length, unit, anchor = 3, "Quarter", {"startingMonth": (month - 1) % 3 + (1 if name.endswith("Begin") else 10)}
    offset: pd.offsets.BaseOffset = getattr(pd.offsets, name.format(unit))(step // length, **anchor)
    return offset


def _likely_days(days: Integers, inside: Flags) -> pd.offsets.BaseOffset | None:
    """Weeks, days or business days."""
    fit = _fit(days, inside)
    if fit.share >= 0.5 and fit.step % 7 == 0:
        return pd.offsets.Week(fit.step // 7, weekday=int(days[0] + 3) % 7)
    numbers = WEEKDAYS.numbers(days)
    crosses_weekend = (np.diff((days + 3) // 7) > 0) & inside
    if crosses_weekend.any() and np.array_equal(WEEKDAYS.days(numbers), days):
        business = _fit(numbers, inside)
        if business.share >= max(fit.share, 0.5):
            return pd.offsets.BusinessDay(business.step)
    return pd.offsets.Day(fit.step) if fit.share >= 0.5 else None
