"""Budgets of false alarms: how often a person is willing to be called for nothing."""

from __future__ import annotations

import re

import pandas as pd

from .exceptions import InputError

__all__ = ["alarm_share"]

_PERIODS = {"week": pd.Timedelta(days=7), "month": pd.Timedelta(days=30.4375), "year": pd.Timedelta(days=365.25)}
_BUDGET = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(?:/|per|an?)\s*(.+?)\s*")


def alarm_share(budget: str, interval: float) -> float:
    """Share of rows that a budget of false alarms such as "1/week" or "2 per 12h" comes to.

    Parameters
    ----------
    budget : str
        A number, "/", "per" or "a", and a period: what `pandas.Timedelta` takes for one, a month or a year.
    interval : float
        Seconds from row to row, NaN where that is not known.

    Raises
    ------
    InputError
        If that is no budget, the interval is not known, or the budget would let every row alarm.

    Examples
    --------
    >>> from ssmts._budget import alarm_share
    >>> round(1 / alarm_share("1/week", interval=300.0))
    2016
    """
    match = _BUDGET.fullmatch(budget)
    period = _period(match[2]) if match else pd.Timedelta(0)
    if match is None or not period > pd.Timedelta(0) or not float(match[1]) > 0:
        raise InputError(f'false_alarm_rate as text is a budget such as "1/week" or "2 per 12h"; received {budget!r}.')
    if not interval > 0:
        raise InputError(
            f"false_alarm_rate={budget!r} needs rows with stamps, which say how many there are in that time. Pass a "
            "share of the rows such as 1e-4, or a frame with a DatetimeIndex."
        )
    share = float(match[1]) * interval / period.total_seconds()
    if not share < 1:
        raise InputError(
            f"false_alarm_rate={budget!r} lets every row alarm: there is one every {interval:g} seconds. Pass a smaller budget."
        )
    return share


def _period(text: str) -> pd.Timedelta:
    """The length of a period, 0 for a text that names none."""
    if text in _PERIODS:
        return _PERIODS[text]
    try:
        return pd.Timedelta(text if text[0].isdigit() else f"1 {text}")
    except ValueError:
        return pd.Timedelta(0)
