"""Rows that come late: a buffer of fixed lag takes them in as if they had come in order."""

import math
from bisect import bisect_right
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ssmts.core.gaussian._pack import Packed, pack, takes_inputs
from ssmts.core.gaussian._streams.step import step
from ssmts.core.types import Array, ContinuousSSM, Innovation, LinearGaussianSSM, State
from ssmts.exceptions import InputError, TimeIndexError

MAX_ROWS = 1024  # kept in continuous time unless told otherwise


class Kept(NamedTuple):
    """A row in the buffer, and the state after it."""

    time: float
    y: Array
    state: State


class FixedLag:
    """A stream whose rows may come out of order.

    The rows of the last `lag` are kept, each with the state after it. A late row is put in its place and the rows after it are
    taken in again, so that the state is that of the filter over all rows in order, whatever the order in which they came.
    Memory does not grow.

    Parameters
    ----------
    ssm : LinearGaussianSSM, Packed or ContinuousSSM
        Without inputs.
    lag : float
        How far behind the newest row a row may lie: rows in discrete time, time in continuous time.
    state : State, optional
        The prediction of row `start`, in continuous time the state at the time `start`; the model's prior by default.
    start : float, default 0
        Time of the first row that is taken in; there may be none then.
    late : {"raise", "count"}, default "raise"
        What becomes of rows that are too late: an error, or they are passed over and counted in ``n_refused``.
    max_rows : int, optional
        How many rows are kept at most; what lies before them is too late, too. By default ``lag + 1`` in discrete time, which
        is all of them, and 1024 in continuous time.

    Attributes
    ----------
    n_refused : int
        Rows that were too late.

    Raises
    ------
    InputError
        If an argument cannot be used, or the model has inputs, which rows that are not there yet would need.

    Examples
    --------
    >>> import numpy as np
    >>> from ssmts.core.gaussian import FixedLag
    >>> from ssmts.core.types import LinearGaussianSSM
    >>> one = np.eye(1)
    >>> level = LinearGaussianSSM(one, one, one, one, np.zeros(1), one)
    >>> late, ordered = FixedLag(level, 3), FixedLag(level, 3)
    >>> for t in (0, 2, 1):
    ...     _ = late.add(t, [t])
    >>> for t in (0, 1, 2):
    ...     _ = ordered.add(t, [t])
    >>> late.state.mean == ordered.state.mean
    array([ True])
    """

    def __init__(
        self,
        ssm: LinearGaussianSSM | Packed | ContinuousSSM,
        lag: float,
        state: State | None = None,
        *,
        start: float = 0,
        late: str = "raise",
        max_rows: int | None = None,
    ) -> None:
        self._continuous = isinstance(ssm, ContinuousSSM)
        if late not in {"raise", "count"}:
            raise InputError(f'late is {late!r}: choose "raise" or "count"')
        whole = not self._continuous
        for name, value in (("lag", lag), ("start", start)):
            if not math.isfinite(value) or (whole and value != int(value)) or (name == "lag" and value < 0):
                raise InputError(f"{name} is {value!r}: pass a {'whole ' if whole else ''}number, a lag of at least 0")
        self._ssm = ssm if isinstance(ssm, ContinuousSSM) else pack(ssm)
        packed = pack(ssm.discretise(0.0)) if isinstance(ssm, ContinuousSSM) else pack(ssm)
        if takes_inputs(packed.ssm):
            raise InputError(
                "the model has inputs: rows that are not there yet would need theirs. Use Stream, in order"
            )
        self._lag, self._late = lag, late
        self._max_rows = max_rows if max_rows is not None else (MAX_ROWS if self._continuous else int(lag) + 1)
        if self._max_rows < 1:
            raise InputError(f"max_rows is {max_rows!r}: keep at least one row")
        # the state before all rows that are kept, and the time after which it stands
        self._base = Kept(
            start if self._continuous else start - 1, np.empty(0), packed.start if state is None else state
        )
        self._rows: list[Kept] = []
        self.n_refused = 0

    @property
    def time(self) -> float:
        """Time of the newest row; before the first one, `start`, or the row before it in discrete time."""
        return self._newest.time

    @property
    def state(self) -> State:
        """The prediction of the row after the newest one; in continuous time the state at the time of the newest row."""
        return self._newest.state

    @property
    def _newest(self) -> Kept:
        return self._rows[-1] if self._rows else self._base

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, time: float, y: npt.ArrayLike) -> Innovation | None:
        """Take in one row at its time.

        Parameters
        ----------
        time : float
            A row number in discrete time. Rows between that never come are missing.
        y : (n_obs,)
            NaN where missing. In discrete time a second row of the same number fills in what the first one missed; in
            continuous time several rows may have the same time.

        Returns
        -------
        Innovation or None
            What was new in the row given those before it that have come; None if it was too late and is counted.

        Raises
        ------
        TimeIndexError
            If the row is too late and ``late="raise"``.
        InputError
            If the row does not fit. After an error everything is as before.
        """
        if not math.isfinite(time) or (not self._continuous and time != int(time)):
            raise InputError(
                f"time is {time!r}: pass {'a finite number' if self._continuous else 'the number of a row'}"
            )
        oldest = self._base.time if self._continuous else self._base.time + 1
        if time < max(oldest, self.time - self._lag):
            if self._late == "count":
                self.n_refused += 1
                return None
            raise TimeIndexError(
                f"a row of time {time} came too late: the newest has {self.time}, the lag is {self._lag}, and rows before {oldest} "
                'are settled. Pass a longer lag, or late="count" to pass over such rows'
            )
        row = np.array(y, dtype=float).reshape(-1)
        at = bisect_right(self._rows, time, key=lambda kept: kept.time)
        replaced = not self._continuous and at > 0 and self._rows[at - 1].time == time
        if replaced:
            at -= 1
            row = self._filled(self._rows[at], row)
        before = self._rows[at - 1] if at else self._base
        again: list[Kept] = []
        new: Innovation | None = None
        for t, values in [(time, row), *((kept.time, kept.y) for kept in self._rows[at + replaced :])]:
            after, innovation = step(self._ssm, before.state, values, dt=t - before.time)
            before = Kept(t, values, after)
            again.append(before)
            new = new or innovation
        self._rows[at:] = again
        while len(self._rows) > self._max_rows or self._rows[0].time < self.time - self._lag:
            self._base = self._rows.pop(0)
        return new

    def _filled(self, kept: Kept, row: Array) -> Array:
        both = ~np.isnan(kept.y) & ~np.isnan(row) if row.shape == kept.y.shape else np.zeros(0, bool)
        if both.any():
            raise InputError(f"row {kept.time} has been observed: entries {np.flatnonzero(both).tolist()} came twice")
        return np.where(np.isnan(kept.y), row, kept.y) if row.shape == kept.y.shape else row
