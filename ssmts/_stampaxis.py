"""The axis of stamps without a frequency, which models in continuous time take as they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NoReturn, TypeAlias, cast

import numpy as np
import pandas as pd

from ._timeaxis import TICKS_PER_DAY, TimeAxis, Unit, check_present, kind_of, stamp_text, zone_name
from .exceptions import TimeIndexError


@dataclass(frozen=True)
class StampAxis:
    """Stamps as numbers: a "step" is the tick of a date-time, or the number itself, so that steps are ordered as stamps are.

    Parameters
    ----------
    kind : {"datetime", "integer", "number"}
    unit : str, optional
        Unit of the date-times given back, wherever it holds them.
    tz : str, optional
        Zone of date-times.
    name
        Name of the index given back.

    Examples
    --------
    >>> import pandas as pd
    >>> from ssmts._stampaxis import stamp_axis
    >>> axis = stamp_axis([pd.DatetimeIndex(["2024-01-01 00:00", "2024-01-01 06:00", "2024-01-03"])])
    >>> axis.lengths(axis.steps(pd.DatetimeIndex(["2024-01-01", "2024-01-01 12:00"]))[[1]] - axis.steps(pd.DatetimeIndex(["2024-01-01"])))
    array([0.5])
    """

    kind: str
    unit: Unit | None = None
    tz: str | None = None
    name: Any = None

    regular = False

    @property
    def _ticks(self) -> Unit:
        """Unit of the steps of date-times: microseconds, or as fine as the stamps are."""
        return "ns" if self.unit == "ns" else "us"

    def steps(self, index: pd.Index) -> Any:
        """Convert stamps (n,) to steps, int64 of date-times, float64 of numbers.

        Raises
        ------
        TimeIndexError
            A stamp is missing, of another kind or zone, or finer than the axis can tell.
        """
        kind = kind_of(index, numbers=self.kind != "datetime")
        check_present(index)
        if (kind == "datetime") != (self.kind == "datetime") or kind == "period":
            raise TimeIndexError(
                f"The time index holds stamps of kind {kind!r}, but fit saw {self.kind!r}. Pass an index of the same kind."
            )
        if kind != "datetime":
            numbers = index.to_numpy(dtype=np.float64)
            if np.isinf(numbers).any():
                raise TimeIndexError(f"The stamp of row {int(np.isinf(numbers).argmax())} is infinite. Drop the row.")
            return numbers
        stamps = cast(pd.DatetimeIndex, index)
        if zone_name(stamps.tz) != self.tz:
            naive = stamps.tz is None or self.tz is None
            raise TimeIndexError(
                f"The stamps have the zone {stamps.tz}, but fit saw {self.tz}. "
                f"Convert them with {'tz_localize' if naive else 'tz_convert'}({self.tz!r})."
            )
        fine = stamps.as_unit(self._ticks)
        if TICKS_PER_DAY[stamps.unit] > TICKS_PER_DAY[self._ticks] and (fine != stamps).any():
            row = int(np.argmax(fine != stamps))
            raise TimeIndexError(
                f"{stamps[row]} (row {row}) is finer than the {self._ticks} of the training stamps. Round it, e.g. with "
                f"index.round({self._ticks!r})."
            )
        return fine.asi8

    def at(self, steps: Any) -> pd.Index:
        """Index of steps in any order."""
        if self.kind != "datetime":
            whole = self.kind == "integer" and (np.asarray(steps) % 1 == 0).all()
            return cast(pd.Index, pd.Index(np.asarray(steps, dtype=np.int64 if whole else np.float64), name=self.name))
        stamps = pd.DatetimeIndex(np.asarray(steps, dtype=np.int64).view(f"M8[{self._ticks}]"), name=self.name)
        assert self.unit is not None
        if (stamps.as_unit(self.unit) == stamps).all():
            stamps = stamps.as_unit(self.unit)
        return stamps if self.tz is None else cast(pd.Index, stamps.tz_localize("UTC").tz_convert(self.tz))

    def format(self, step: Any) -> str:
        """Text of the stamp of a step."""
        return stamp_text(self.at(np.array([step])), 0)

    def lengths(self, steps: Any) -> np.ndarray:
        """Differences of steps in the unit of time: a day, or 1 of numbers."""
        per_day = TICKS_PER_DAY[self._ticks] if self.kind == "datetime" else 1
        return np.asarray(steps, dtype=np.float64) / per_day

    def refuse_count(self, horizon: int) -> NoReturn:
        """Say that a number of rows does not tell when they are."""
        raise TimeIndexError(
            f"The training stamps have no frequency, so that the next {horizon} step(s) have no time. Pass the stamps to predict: "
            "an index, or rows whose index says when; or, where the rows belong on a grid, freq= before fit."
        )

    def stamps(self, start: Any, count: int) -> pd.Index:
        """Refuse, since steps that follow each other are not known."""
        self.refuse_count(count)


Axis: TypeAlias = TimeAxis | StampAxis


def stamp_axis(indexes: Sequence[pd.Index]) -> StampAxis:
    """Axis of the stamps of several series, of one kind and zone."""
    kinds = {kind_of(index, numbers=True) for index in indexes}
    zones = {zone_name(index.tz) if isinstance(index, pd.DatetimeIndex) else None for index in indexes}
    if kinds == {"integer", "number"}:
        kinds = {"number"}
    if len(kinds) > 1 or len(zones) > 1 or kinds == {"period"}:
        raise TimeIndexError(
            f"The stamps are of the kinds {sorted(kinds)} and the zones {sorted(map(str, zones))}: pass date-times of one zone, or "
            "numbers."
        )
    (kind,), (zone,) = kinds, zones
    unit = None
    if kind == "datetime":
        unit = max((cast(pd.DatetimeIndex, index).unit for index in indexes), key=TICKS_PER_DAY.__getitem__)
    return StampAxis(kind, unit, zone, indexes[0].name)
