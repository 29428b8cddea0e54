"""Calendar arithmetic: pandas offsets as grids of integers.

A `Rule` numbers the days it contains (every day, weekdays, first days of months ...), so that a pandas offset becomes a
rule and a step: ``QS-JAN`` is every third number of the rule "first days of months". Days are counted from 1970-01-01,
a Thursday; ticks are the integers behind date-times of some unit.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from .exceptions import TimeIndexError

Integers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
DAY_NS = 86_400 * 10**9
_SHORT = {"hours", "minutes", "seconds", "milliseconds", "microseconds", "nanoseconds"}


class Rule(NamedTuple):
    """Days and their numbers: ``numbers`` is monotone; a day belongs to the rule if ``days(numbers(day)) == day``."""

    numbers: Callable[[Integers], Integers]
    days: Callable[[Integers], Integers]


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


DAYS = Rule(np.asarray, np.asarray)
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
    if kind == "DateOffset" and not words:
        return DAYS, n
    if kind == "DateOffset" and words.keys() <= {"days", "weeks"}:
        return DAYS, n * (words.get("days", 0) + 7 * words.get("weeks", 0))
    if kind == "DateOffset" and words.keys() <= {"months", "years"} and day <= 28:
        return day_of_month(day), n * (words.get("months", 0) + 12 * words.get("years", 0))
    return None


def fixed_length(offset: pd.offsets.BaseOffset) -> int | None:
    """Nanoseconds of an offset that is an absolute length of time, None for an offset of the calendar."""
    if isinstance(offset, pd.offsets.Tick) and not isinstance(offset, pd.offsets.Day):
        return int(offset.nanos)
    words: dict[Any, Any] = getattr(offset, "kwds", {})
    if type(offset) is pd.DateOffset and words and words.keys() <= _SHORT:
        return int(offset.n * pd.Timedelta(**words).as_unit("ns").value)
    return None


def tick_offset(nanoseconds: int) -> pd.offsets.Tick:
    """Name a fixed length of time by the coarsest unit that divides it, up to hours."""
    offsets = (pd.offsets.Hour, pd.offsets.Minute, pd.offsets.Second, pd.offsets.Milli, pd.offsets.Micro)
    for length, offset in zip((3_600 * 10**9, 60 * 10**9, 10**9, 10**6, 10**3), offsets):
        if nanoseconds % length == 0:
            return offset(nanoseconds // length)
    return pd.offsets.Nano(nanoseconds)


class FixedGrid(NamedTuple):
    """Every ``step`` ticks from ``start``."""

    start: int
    step: int

    def locate(self, ticks: Integers) -> tuple[Integers, Flags]:
        """Last step at or before each of the ticks, and which ticks lie between steps."""
        steps, rest = np.divmod(ticks - self.start, self.step)
        return steps, rest != 0

    def ticks(self, steps: Integers) -> Integers:
        """Ticks of steps."""
        for step in (steps.min(), steps.max()) if len(steps) else ():
            _check_range(self.start + int(step) * self.step)
        return self.start + steps * self.step


class RuleGrid(NamedTuple):
    """Every ``step`` numbers of a rule from ``start``, at the tick ``time`` of the day."""

    rule: Rule
    start: int
    step: int
    time: int
    per_day: int

    def locate(self, ticks: Integers) -> tuple[Integers, Flags]:
        """Last step at or before the day of each of the ticks, and which ticks lie between steps."""
        days, rest = np.divmod(ticks - self.time, self.per_day)
        numbers = self.rule.numbers(days)
        steps, between = np.divmod(numbers - self.start, self.step)
        return steps, ((self.rule.days(numbers) - days) | between | rest) != 0

    def ticks(self, steps: Integers) -> Integers:
        """Ticks of steps."""
        days = self.rule.days(self.start + steps * self.step)
        for day in (days.min(), days.max()) if len(days) else ():
            _check_range((int(day) + 1) * self.per_day)
        return days * self.per_day + self.time


class TableGrid(NamedTuple):
    """The list that an offset without a rule (custom business days, semi-months, Easter ...) generates around ``origin``.

    The cost of both directions grows with the distance from ``origin``.
    """

    offset: pd.offsets.BaseOffset
    origin: pd.Timestamp

    def locate(self, ticks: Integers) -> tuple[Integers, Flags]:
        """Last step at or before each of the ticks, and which ticks lie between steps."""
        if not len(ticks):
            return ticks, ticks != 0
        last = pd.Timestamp(np.datetime64(int(ticks.max()), self.origin.unit))
        table = after = self._ticks(pd.date_range(self.origin, max(last, self.origin), freq=self.offset))
        before = 0
        while ticks.min() < table[0]:
            before = 2 * before + 1
            table = np.concatenate([self._before(before), after])
        found = np.searchsorted(table, ticks, side="right") - 1
        return found - before, table[found] != ticks

    def ticks(self, steps: Integers) -> Integers:
        """Ticks of steps."""
        if not len(steps):
            return steps
        # One stamp more than needed: some offsets of pandas 2 cannot generate a list of one.
        low, high = min(int(steps.min()), 0), max(int(steps.max()), 0) + 1
        after = pd.date_range(self.origin, periods=high + 1, freq=self.offset)
        return np.concatenate([self._before(-low), self._ticks(after)])[steps - low]

    def _before(self, count: int) -> Integers:
        if not count:
            return np.empty(0, np.int64)
        return self._ticks(pd.date_range(end=self.origin, periods=count + 1, freq=self.offset))[:-1]

    def _ticks(self, stamps: pd.DatetimeIndex) -> Integers:
        return stamps.as_unit(self.origin.unit).asi8


Grid = FixedGrid | RuleGrid | TableGrid


def calendar_grid(offset: pd.offsets.BaseOffset, origin: pd.Timestamp, per_day: int) -> Grid:
    """Grid of a calendar offset in ticks of the clock; ``origin`` is a stamp of it, without zone."""
    found = rule_of(offset, origin.day)
    if found is None:
        return TableGrid(offset, origin)
    rule, step = found
    start = int(origin.asm8.astype(np.int64))
    if rule is DAYS:
        return FixedGrid(start, step * per_day)
    day, time = divmod(start, per_day)
    return RuleGrid(rule, int(rule.numbers(np.array([day]))[0]), step, time, per_day)


def _check_range(tick: int) -> None:
    if abs(tick) >= 2**63:
        raise TimeIndexError(
            "The steps lead out of the range of the date-times, which ends in 2262 for the unit 'ns'. "
            "Use a coarser unit, e.g. y.index = y.index.as_unit('s')."
        )
