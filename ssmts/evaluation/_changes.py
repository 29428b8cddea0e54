"""Measures of change points against those that several people marked; see `ssmts.evaluation.anomaly`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from .._form import IntArray
from ..exceptions import InputError
from ._labels import harmonic


def segment_covering(marks: Sequence[Iterable[int]], found: Iterable[int], n_times: int) -> float:
    """How well the segments between changes cover those that people marked, mean over people.

    Every marked segment counts by its length and by the overlap (intersection over union) with the found segment that overlaps it most.

    Parameters
    ----------
    marks : sequence of iterables of int
        For each person, the rows at which new segments begin, from 0.
    found : iterable of int
        The same of a method.
    n_times : int
        Number of rows.

    Returns
    -------
    float
        Above 0 and at most 1. Finding nothing is rewarded where little is to be found: compare with ``found=[]``.

    Raises
    ------
    InputError
        No marks, or rows outside of the series.

    References
    ----------
    Van den Burg and Williams (2020), "An evaluation of change point detection algorithms", arXiv:2003.06222, after Arbelaez et al. (2011).

    Examples
    --------
    >>> from ssmts.evaluation.anomaly import segment_covering
    >>> round(segment_covering([[10, 20], [10], [0, 5]], [10, 20], n_times=45), 4)
    0.7963
    """
    pieces = list(pairwise(_edges(found, n_times, "found")))
    people = [list(pairwise(_edges(rows, n_times, "marks"))) for rows in _people(marks)]
    return float(np.mean([_covering(segments, pieces, n_times) for segments in people]))


def change_point_f1(marks: Sequence[Iterable[int]], found: Iterable[int], *, margin: int = 5) -> float:
    """F1 of change points: precision over what anybody marked, recall of each person's marks, mean over people.

    A mark is found if a change is at most `margin` rows away, each change serving for one mark. Row 0 counts as marked and found.

    Parameters
    ----------
    marks : sequence of iterables of int
        For each person, the rows at which new segments begin, from 0.
    found : iterable of int
        The same of a method.
    margin : int, default 5
        In rows; the default is that of the Turing change point benchmark.

    Returns
    -------
    float
        Above 0 and at most 1; compare with ``found=[]``.

    Raises
    ------
    InputError
        No marks, rows below 0, or a negative margin.

    References
    ----------
    Van den Burg and Williams (2020), "An evaluation of change point detection algorithms", arXiv:2003.06222.

    Examples
    --------
    >>> from ssmts.evaluation.anomaly import change_point_f1
    >>> round(change_point_f1([[], [10], [50]], [10]), 4)
    0.9091
    """
    if margin < 0:
        raise InputError(f"margin is {margin}; it is a number of rows, at least 0.")
    people = [np.union1d(_rows(rows, None, "marks"), 0) for rows in _people(marks)]
    rows = np.union1d(_rows(found, None, "found"), 0)
    precision = _matched(np.unique(np.concatenate(people)), rows, margin) / len(rows)
    recall = float(np.mean([_matched(marked, rows, margin) / len(marked) for marked in people]))
    return harmonic(precision, recall)


def _people(marks: Any) -> list[Any]:
    people = list(marks)
    if not people or any(np.ndim(rows) != 1 for rows in map(_listed, people)):
        raise InputError(
            f"marks are one list of rows for each person, [[10, 20], [11]]; got {marks!r}. Wrap those of one person: [rows]."
        )
    return people


def _listed(rows: Any) -> Any:
    return list(rows) if isinstance(rows, Iterable) else rows


def _rows(rows: Iterable[int], n_times: int | None, what: str) -> IntArray:
    """Sorted rows of changes."""
    found = np.array(sorted(set(rows)), dtype=np.int64)
    if len(found) and (found[0] < 0 or (n_times is not None and found[-1] >= n_times)):
        raise InputError(
            f"{what} has rows from {found[0]} to {found[-1]}, but the series has rows 0..{'' if n_times is None else n_times - 1}."
        )
    return found


def _edges(rows: Iterable[int], n_times: int, what: str) -> list[int]:
    edges: list[int] = np.union1d(_rows(rows, n_times, what), [0, n_times]).tolist()
    return edges


def _covering(segments: list[tuple[int, int]], pieces: list[tuple[int, int]], n_times: int) -> float:
    total = 0.0
    for a, b in segments:
        shared = [(min(b, d) - max(a, c), max(b, d) - min(a, c)) for c, d in pieces]
        total += (b - a) * max(both / either for both, either in shared)
    return total / n_times


def _matched(marked: IntArray, found: IntArray, margin: int) -> int:
    """How many marks have a change of their own nearby, the nearest being taken first come, first served."""
    left, count = found.tolist(), 0
    for row in marked:
        near = min(left, key=lambda other: (abs(other - row), other), default=None)
        if near is not None and abs(near - row) <= margin:
            left.remove(near)
            count += 1
    return count
