"""Calendar offsets of pandas as integer arithmetic.

A `Rule` numbers the days it contains (every day, weekdays, first days of months ...), so that a pandas offset becomes a
rule and a step: ``QS-JAN`` is every third number of the rule "first days of months". Days are counted from 1970-01-01,
a Thursday.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

Integers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
DAY_NS = 86_400 * 10**9


class Rule(NamedTuple):
    """Days and their numbers: ``numbers`` is monotone; a day belongs to the rule if ``days(numbers(day)) == day``."""

    numbers: Callable[[Integers], Integers]
    days: Callable[[Integers], Integers]


def _same(values: Integers) -> Integers:
    return values


def _weekday_numbers(days: Integers) -> Integers:
    week, weekday = np.divmod(days + 3, 7)
    return week * 5 + np.minimum(weekday, 4)


def _weekday_days(numbers: Integers) -> Integers:
    week, weekday = np.divmod(numbers, 5)
    return week * 7 + weekday - 3


def _month_numbers(days: Integers) -> Integers:
    return days.view("M8[D]").astype("M8[M]").view(np.int64)


def _month_start(months: Integers, day: int = 1) -> Integers:
    return months.view("M8[M]").astype("M8[D]").view(np.int64) + (day - 1)


def _month_end(months: Integers) -> Integers:
    return _month_start(months + 1) - 1


def _first_weekday(months: Integers) -> Integers:
    start = _month_start(months)
    weekday = (start + 3) % 7
    return start + np.where(weekday > 4, 7 - weekday, 0)


def _last_weekday(months: Integers) -> Integers:
    end = _month_end(months)
    return end - np.maximum((end + 3) % 7 - 4, 0)


DAYS = Rule(_same, _same)
WEEKDAYS = Rule(_weekday_numbers, _weekday_days)
MONTH_STARTS = Rule(_month_numbers, _month_start)
MONTH_ENDS = Rule(_month_numbers, _month_end)
FIRST_WEEKDAYS = Rule(_month_numbers, _first_weekday)
LAST_WEEKDAYS = Rule(_month_numbers, _last_weekday)

_MONTHLY = {
    "MonthBegin": (MONTH_STARTS, 1),
    "QuarterBegin": (MONTH_STARTS, 3),
    "HalfYearBegin": (MONTH_STARTS, 6),
    "YearBegin": (MONTH_STARTS, 12),
    "MonthEnd": (MONTH_ENDS, 1),
    "QuarterEnd": (MONTH_ENDS, 3),
    "HalfYearEnd": (MONTH_ENDS, 6),
    "YearEnd": (MONTH_ENDS, 12),
    "BusinessMonthBegin": (FIRST_WEEKDAYS, 1),
    "BQuarterBegin": (FIRST_WEEKDAYS, 3),
    "BHalfYearBegin": (FIRST_WEEKDAYS, 6),
    "BYearBegin": (FIRST_WEEKDAYS, 12),
    "BusinessMonthEnd": (LAST_WEEKDAYS, 1),
    "BQuarterEnd": (LAST_WEEKDAYS, 3),
    "BHalfYearEnd": (LAST_WEEKDAYS, 6),
    "BYearEnd": (LAST_WEEKDAYS, 12),
}


def day_of_month(day: int) -> Rule:
    """Rule of one day (1 to 28) in each month."""
    return Rule(_month_numbers, partial(_month_start, day=day))


def rule_of(offset: pd.offsets.BaseOffset, day: int) -> tuple[Rule, int] | None:
    """Rule and step of a calendar offset, or None for offsets that no rule describes.

    Parameters
    ----------
    offset
        Any pandas offset.
    day
        Day of the month of the first stamp, on which ``DateOffset(months=...)`` repeats.
    """
    kind, n = type(offset).__name__, offset.n
    words: dict[str, int] = getattr(offset, "kwds", {})
    if kind == "Day":
        return DAYS, n
    if kind == "Week":
        return DAYS, 7 * n
    if kind == "BusinessDay" and not words.get("offset"):
        return WEEKDAYS, n
    if kind in _MONTHLY:
        rule, months = _MONTHLY[kind]
        return rule, months * n
    if kind == "DateOffset" and words.keys() <= {"months", "years"} and words and day <= 28:
        return day_of_month(day), n * (words.get("months", 0) + 12 * words.get("years", 0))
    if kind == "DateOffset" and words.keys() <= {"days", "weeks"}:
        return DAYS, n * (words.get("days", 0) + 7 * words.get("weeks", 0)) if words else n
    return None


def table_positions(
    offset: pd.offsets.BaseOffset, origin: pd.Timestamp, wall: pd.DatetimeIndex
) -> tuple[Integers, Flags]:
    """Positions of wall-clock stamps in the list that ``offset`` generates around ``origin``, and which are not in it.

    For offsets without a rule (custom business days, semi-months, Easter ...). The cost grows with the distance from
    ``origin``.
    """
    after = pd.date_range(origin, max(wall.max(), origin), freq=offset)
    before = after[:0]
    while len(wall) and (before[0] if len(before) else origin) > wall.min():
        before = pd.date_range(end=origin, periods=2 * len(before) + 2, freq=offset)[:-1]
    found = np.asarray(before.append(after).get_indexer(wall), np.int64)
    return found - len(before), found < 0


def table_stamps(offset: pd.offsets.BaseOffset, origin: pd.Timestamp, steps: Integers) -> Any:
    """Wall-clock stamps (DatetimeIndex) at positions of the list that ``offset`` generates around ``origin``."""
    low, high = min(steps.min(), 0), max(steps.max(), 0)
    before = pd.date_range(end=origin, periods=1 - low, freq=offset)[:-1]
    return before.append(pd.date_range(origin, periods=high + 1, freq=offset))[steps - low]


class _Fit(NamedTuple):
    """The coarsest step of a rule that contains every stamp, and the share of gaps of one step."""

    step: int
    share: float


def _fit(numbers: Integers, inside: Flags) -> _Fit:
    step = int(np.gcd.reduce(numbers - numbers.min()))
    return _Fit(step, float(np.mean(np.diff(numbers)[inside] == step)) if step else 0.0)


def likely_offsets(wall: Integers, instants: Integers, inside: Flags, per_day: int) -> Iterator[pd.offsets.BaseOffset]:
    """Yield, coarsest first, the offsets that are attained by at least half of the gaps and may contain every stamp.

    The caller checks that they do: a clock that is put forward moves stamps by an hour or so, which is forgiven here.

    Parameters
    ----------
    wall, instants : (n,)
        Stamps by the clock of their zone and in absolute time, one series after the other, in ticks.
    inside : (n - 1,)
        Which neighbours belong to the same series.
    per_day
        Ticks of a day.
    """
    times, counts = np.unique(wall % per_day, return_counts=True)
    if counts.max() > 0.5 * len(wall):
        days = (wall - times[counts.argmax()]) // per_day
        offset = _infer_months(days, inside) or _infer_days(days, inside)
        if offset is not None:
            yield offset
    fit = _fit(instants, inside)
    if fit.share >= 0.5:
        yield tick_offset(fit.step * (DAY_NS // per_day))


def tick_offset(nanoseconds: int) -> pd.offsets.Tick:
    """Name a fixed length of time by the coarsest unit that divides it, up to hours."""
    offsets = (pd.offsets.Hour, pd.offsets.Minute, pd.offsets.Second, pd.offsets.Milli, pd.offsets.Micro)
    for length, offset in zip((3_600 * 10**9, 60 * 10**9, 10**9, 10**6, 10**3), offsets):
        if nanoseconds % length == 0:
            return offset(nanoseconds // length)
    return pd.offsets.Nano(nanoseconds)


def _infer_months(days: Integers, inside: Flags) -> pd.offsets.BaseOffset | None:
    """One of the monthly rules, from which quarters and years follow by their step."""
    first_day = int(days.min() - _month_start(_month_numbers(days.min(keepdims=True)))[0]) + 1
    rules = [MONTH_STARTS, MONTH_ENDS, FIRST_WEEKDAYS, LAST_WEEKDAYS, day_of_month(min(first_day, 28))]
    names = ["{}Begin", "{}End", "B{}Begin", "B{}End", ""]
    for rule, name in zip(rules, names, strict=True):
        months = _month_numbers(days)
        if not np.array_equal(rule.days(months), days):
            continue
        fit = _fit(months, inside)
        if fit.share < 0.5:
            return None
        return _month_offset(name, fit.step, int(months[0]) % 12 + 1)
    return None


def _month_offset(name: str, step: int, month: int) -> pd.offsets.BaseOffset:
    """Name a step of months: years if whole years, else quarters if whole quarters."""
    if not name:
        return pd.DateOffset(months=step)
    if step % 12 == 0:
        length, unit, anchor = 12, "Year", {"month": month}
    elif step % 3 == 0:
        # As pandas writes them: quarters that start in January are QS-JAN, those that end in December QE-DEC.
        length, unit, anchor = 3, "Quarter", {"startingMonth": (month - 1) % 3 + (1 if name.endswith("Begin") else 10)}
    else:
        length, unit, anchor = 1, "Month", {}
    offset: pd.offsets.BaseOffset = getattr(pd.offsets, name.format(unit))(step // length, **anchor)
    return offset


def _infer_days(days: Integers, inside: Flags) -> pd.offsets.BaseOffset | None:
    """Weeks, days or business days."""
    fit = _fit(days, inside)
    if fit.share >= 0.5 and fit.step % 7 == 0:
        return pd.offsets.Week(fit.step // 7, weekday=int(days[0] + 3) % 7)
    numbers = _weekday_numbers(days)
    if np.array_equal(_weekday_days(numbers), days) and np.any((np.diff((days + 3) // 7) > 0) & inside):
        business = _fit(numbers, inside)
        if business.share >= max(fit.share, 0.5):
            return pd.offsets.BusinessDay(business.step)
    return pd.offsets.Day(fit.step) if fit.share >= 0.5 else None
