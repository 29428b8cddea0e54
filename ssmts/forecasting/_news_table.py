"""Why the forecasts of a joint model change when values come, are revised or withdrawn: the engine's news, with names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from .._containers import FloatArray, read_long, read_table
from .._grid import ordered_outputs, series_codes, steps_of
from ..core.gaussian import news
from ..core.gaussian._news import News
from ..core.types import LinearGaussianSSM
from ..exceptions import FutureRowsError, InputError, TimeIndexError
from ..panel import Form, is_long_of


@dataclass(frozen=True, eq=False)
class NewsTable:
    """Why means have changed from one vintage to the next; ``previous + impacts.sum()`` is ``current``.

    Attributes
    ----------
    previous, current : DataFrame
        Means by row and column that were asked for, given the earlier and the later vintage.
    details : DataFrame
        A row for each value that has changed, indexed by kind ("news" of a value that was missing, "revision",
        "withdrawal"), row and column: ``actual``, the value now; ``forecast``, what the earlier vintage, revised, let expect of
        news, and the earlier value of a revision; ``news``, the difference. Of a withdrawal they are NaN.
    weights, impacts : DataFrame
        By the same rows, and the rows and columns that were asked for: what a unit of news changes, and what the news has
        changed. A withdrawal has an impact only.
    """

    previous: pd.DataFrame
    current: pd.DataFrame
    details: pd.DataFrame
    weights: pd.DataFrame
    impacts: pd.DataFrame

    def to_frame(self, column: Any, time: Any = None) -> pd.DataFrame:
        """Details, weights and impacts on one forecast.

        Parameters
        ----------
        column : hashable
            The column that is forecast.
        time : hashable, optional
            The row that is forecast; the only one unless given.

        Returns
        -------
        DataFrame
            ``actual, forecast, news, weight, impact`` by kind, row and column.
        """
        if column not in self.previous.columns:
            raise InputError(f"column is {column!r}: choose one of {list(self.previous.columns)}.")
        rows = self.previous.index
        if time is None and len(rows) > 1:
            raise InputError(f"{len(rows)} rows were asked for: pass time=, one of {list(rows[:5])}.")
        label = rows[0] if time is None else time
        if label not in rows:
            raise InputError(f"time is {time!r}: choose one of {list(rows[:5])}.")
        place = list(rows).index(label) * self.previous.shape[1] + list(self.previous.columns).index(column)
        weight, impact = (frame.to_numpy()[:, place] for frame in (self.weights, self.impacts))
        return self.details.assign(weight=weight, impact=impact)


def read_vintage(form: Form, y: Any, series: int, start: int, before: FloatArray) -> FloatArray:
    """Rows of a later vintage from the first row of the earlier one on; rows that it does not have are as they were.

    Parameters
    ----------
    form : Form
    y : Series, DataFrame, long frame or array
    series : int
    start : int
        Step of the first row.
    before : ndarray, shape (n_times, n_outputs)
    """
    table = read_long(y, form.long)[0] if is_long_of(form, y) else read_table(y, "y")
    assert table is not None
    values = ordered_outputs(form, table, "y")
    codes = series_codes(form, table)
    steps = steps_of(form, table, codes, np.full(form.n_series, start - 1))
    own = codes == series
    if not own.any():
        raise InputError(f"y has no rows{form.label(series)}.")
    at = steps[own] - start
    if at.min() < 0:
        raise TimeIndexError(
            f"y begins before the first training row, {form.axis.format(start)}: pass rows from there on."
        )
    later = np.full((max(len(before), int(at.max()) + 1), before.shape[1]), np.nan)
    later[: len(before)] = before
    later[at] = values[own]
    return later


def inputs_of(
    X: FloatArray, known: np.ndarray[Any, Any], given: FloatArray, n: int, form: Form, start: int
) -> FloatArray:
    """Covariates of n rows from the training rows and from those given for some rows.

    Parameters
    ----------
    X : ndarray, shape (n_times, n_features)
    known : ndarray
        Row of each line of `given`.
    given : ndarray
    n : int
    form : Form
    start : int
        Step of the first row.
    """
    out = np.full((max(n, len(X)), X.shape[1]), np.nan)
    out[known] = given
    out[: len(X)] = X
    bare = np.flatnonzero(np.isnan(out[:n]).any(axis=1))
    if len(bare):
        raise FutureRowsError(
            f"There are no covariates for {form.axis.format(start + int(bare[0]))}: pass them with `at`."
        )
    return out[:n]


def news_table(
    ssm: LinearGaussianSSM, before: FloatArray, later: FloatArray, times: Any, inputs: Any, form: Form, start: int
) -> NewsTable:
    """The news of the engine with stamps and names.

    Parameters
    ----------
    ssm : LinearGaussianSSM
    before, later : ndarray, shape (n_times, n_outputs)
    times : ndarray
        Rows that are asked for.
    inputs : ndarray or None
    form : Form
    start : int
        Step of the first row.
    """
    found = news(ssm, before, later, times, inputs)
    names = list(form.outputs)
    stamps = form.axis.at(start + np.asarray(times))
    asked = pd.MultiIndex.from_product([stamps, names], names=["time", "column"])
    kinds = ("news", "revision", "withdrawal")
    places = (found.updates, found.revisions, found.withdrawals)
    rows = np.concatenate(places).astype(np.int64)
    labels = pd.MultiIndex.from_arrays(
        [np.repeat(kinds, [len(p) for p in places]), form.axis.at(start + rows[:, 0]), [names[j] for j in rows[:, 1]]],
        names=["kind", "time", "column"],
    )
    revised = tuple(found.revisions.T)
    lost = np.full(len(found.withdrawals), np.nan)
    details = {
        "actual": np.concatenate([later[tuple(found.updates.T)], later[revised], lost]),
        "forecast": np.concatenate([found.expected, later[revised] - found.revision_sizes, lost]),
        "news": np.concatenate([found.news, found.revision_sizes, lost]),
    }
    impacts, weights = _joined(found, len(asked))
    return NewsTable(
        pd.DataFrame(found.previous, stamps, names),
        pd.DataFrame(found.current, stamps, names),
        pd.DataFrame(details, labels),
        pd.DataFrame(weights, labels, asked),
        pd.DataFrame(impacts, labels, asked),
    )


def _joined(found: News, targets: int) -> tuple[FloatArray, FloatArray]:
    """Impacts and weights (n_changes, n_targets) of all kinds."""
    parts = (found.update_impacts, found.revision_impacts, found.withdrawal_impacts)
    weights = (found.update_weights, found.revision_impacts / found.revision_sizes, parts[2] * np.nan)
    impacts, weight = (np.concatenate([p.reshape(targets, -1) for p in each], axis=1).T for each in (parts, weights))
    return impacts, weight
