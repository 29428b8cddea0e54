"""Calendar features: what the clock and the calendar say about each row, read from the index alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from .._containers import FloatArray
from ..exceptions import InputError, InputTypeError, TimeIndexError

__all__ = ["CalendarFeatures"]

_ENCODINGS = ("fourier", "ordinal", "onehot")


class _Feature(NamedTuple):
    """A reading of the calendar: its value and the length of its cycle, both ``(n,)``, of stamps ``(n,)``."""

    value: Callable[[pd.DatetimeIndex], Any]
    first: int
    length: Callable[[pd.DatetimeIndex], Any]


def _weeks_of_year(t: pd.DatetimeIndex) -> Any:
    """ISO weeks in the ISO year of each stamp: the week of its 28 December."""
    years, position = np.unique(t.isocalendar()["year"].to_numpy(dtype=np.int64), return_inverse=True)
    ends = pd.DatetimeIndex([f"{year}-12-28" for year in years])
    return ends.isocalendar()["week"].to_numpy(dtype=np.int64)[position]


_FEATURES = {
    "minute": _Feature(lambda t: t.minute, 0, lambda t: 60),
    "hour": _Feature(lambda t: t.hour, 0, lambda t: 24),
    "timeofday": _Feature(lambda t: t.hour + (t.minute + (t.second + t.microsecond / 1e6) / 60) / 60, 0, lambda t: 24),
    "dayofweek": _Feature(lambda t: t.day_of_week, 0, lambda t: 7),
    "is_weekend": _Feature(lambda t: t.day_of_week >= 5, 0, lambda t: 2),
    "day": _Feature(lambda t: t.day, 1, lambda t: t.days_in_month),
    "dayofyear": _Feature(lambda t: t.day_of_year, 1, lambda t: 365 + t.is_leap_year),
    "weekofyear": _Feature(lambda t: t.isocalendar()["week"].to_numpy(dtype=np.int64), 1, _weeks_of_year),
    "month": _Feature(lambda t: t.month, 1, lambda t: 12),
    "quarter": _Feature(lambda t: t.quarter, 1, lambda t: 4),
}


class CalendarFeatures(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Columns that say where in the day, week and year each row stands.

    Only the index is read, so that a frame without columns will do, and a pipeline that starts with this transformer
    can forecast a number of steps (`ssmts.forecast`). The columns of ``X`` pass through unchanged, in front.

    Parameters
    ----------
    features : "auto", str or sequence of str, default "auto"
        Some of ``minute, hour, timeofday, dayofweek, is_weekend, day, dayofyear, weekofyear, month, quarter``; Monday
        is day 0 of the week, ``weekofyear`` is the ISO week, ``timeofday`` is in hours with their fraction.
        "auto" takes of the cycles of day, week and year that hold at least two rows the shortest, and each of which the
        rows of `fit` span at least two, since a cycle seen once cannot be told from a trend: ``timeofday`` (``hour``
        unless Fourier), ``dayofweek``, and ``dayofyear`` (``month`` unless Fourier, or if rows are a month or more
        apart). Yearly rows have none.
    encoding : {"fourier", "ordinal", "onehot"}, default "fourier"
        "fourier": sines and cosines of the position in the cycle, smooth and few; right for linear models, as the
        states of a forecaster are. "ordinal": the number itself, right for trees. "onehot": a column of 0 and 1 a
        value, for those seen in `fit`. ``is_weekend`` is 0 or 1 in each.
    harmonics : int, default 3
        Sine and cosine pairs of a Fourier feature. Three describe the usual two-peaked day and every pattern of a
        week. Never more than the positions seen in `fit` can tell apart, so that the columns are independent.
    drop_first : bool, default True
        Whether the first value of a one-hot feature goes without a column, because all columns of a feature add up to
        a constant, which a model with a level cannot tell from that level.

    Attributes
    ----------
    features_ : tuple of str
        The features taken.
    n_features_in_ : int
        Number of columns passed through.
    feature_names_in_ : ndarray of str
        Their names, if they are strings and there are any.

    Raises
    ------
    InputTypeError
        ``X`` is no DataFrame, or its index holds no dates.
    InputError
        A parameter is not one of those listed, a name is taken already, or a one-hot value was not seen in `fit`.

    Notes
    -----
    Zones: the clock is that of the index' zone. A period is read at its start. Of a two-level index (series, time) the
    second level is read. Output is a DataFrame with the index of ``X``, whatever the output configuration.

    Examples
    --------
    >>> import pandas as pd
    >>> from ssmts.preprocessing import CalendarFeatures
    >>> X = pd.DataFrame(index=pd.date_range("2024-03-01", periods=3, freq="D"))
    >>> CalendarFeatures(["dayofweek", "month"], encoding="ordinal").fit_transform(X)
                dayofweek  month
    2024-03-01        4.0    3.0
    2024-03-02        5.0    3.0
    2024-03-03        6.0    3.0
    """

    def __init__(
        self,
        features: str | Sequence[str] = "auto",
        *,
        encoding: str = "fourier",
        harmonics: int = 3,
        drop_first: bool = True,
    ) -> None:
        self.features = features
        self.encoding = encoding
        self.harmonics = harmonics
        self.drop_first = drop_first

    def fit(self, X: Any, y: Any = None) -> Self:
        """Choose the features and see which of their values occur.

        Parameters
        ----------
        X : DataFrame of shape (n_rows, n_columns)
            Its index says when; it may have no columns.
        y : object, optional
            Not read.

        Returns
        -------
        self
        """
        stamps = _stamps(X)
        if self.encoding not in _ENCODINGS:
            raise InputError(f"encoding must be one of {', '.join(_ENCODINGS)}; received {self.encoding!r}.")
        if isinstance(self.harmonics, bool) or not isinstance(self.harmonics, int | np.integer) or self.harmonics < 1:
            raise InputError(f"harmonics must be a whole number of at least 1; received {self.harmonics!r}.")
        chosen = self._chosen(stamps)
        encoders = {name: self._encoder(name, stamps) for name in chosen}
        new = [column for encoder in encoders.values() for column in encoder.columns]
        taken = [column for column in new if column in X.columns]
        if taken:
            raise InputError(f"X has columns named {taken} already. Rename them, or leave these features out.")
        validate_data(self, X, skip_check_array=True)
        self.features_ = chosen
        self._encoders = encoders
        self._passed = X.columns
        return self

    def transform(self, X: Any) -> pd.DataFrame:
        """Add the columns of the calendar.

        Parameters
        ----------
        X : DataFrame of shape (n_rows, n_columns)
            With the columns of `fit`.

        Returns
        -------
        DataFrame of shape (n_rows, n_columns + n_new)
            Columns of X, then the new ones, float64, with the index of X.
        """
        check_is_fitted(self)
        stamps = _stamps(X)
        validate_data(self, X, skip_check_array=True, reset=False)
        blocks = [encoder.encode(stamps) for encoder in self._encoders.values()]
        names = [column for encoder in self._encoders.values() for column in encoder.columns]
        values = np.column_stack(blocks) if blocks else np.empty((len(X), 0))
        new = pd.DataFrame(values, index=X.index, columns=names)
        return pd.concat([X, new], axis=1) if X.shape[1] else new

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Names of the columns of the output.

        Parameters
        ----------
        input_features : sequence of str, optional
            Names of the columns passed through; those of `fit` unless given.

        Returns
        -------
        ndarray of object
        """
        check_is_fitted(self)
        passed = list(self._passed) if input_features is None else list(input_features)
        if len(passed) != self.n_features_in_ or (hasattr(self, "feature_names_in_") and passed != list(self._passed)):
            raise ValueError(
                f"input_features is not equal to the columns of fit, {list(self._passed)}; received {passed}."
            )
        new = [column for encoder in self._encoders.values() for column in encoder.columns]
        return np.array([*passed, *new], dtype=object)

    def __sklearn_tags__(self) -> Any:
        """scikit-learn's tags: the columns of X are not read, so they may hold anything."""
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.string = True
        tags.input_tags.categorical = True
        return tags

    def _chosen(self, stamps: pd.DatetimeIndex) -> tuple[str, ...]:
        if isinstance(self.features, str):
            if self.features == "auto":
                return _automatic(stamps, self.encoding == "fourier")
            names: tuple[Any, ...] = (self.features,)
        else:
            names = tuple(self.features)
        unknown = [name for name in names if name not in _FEATURES]
        if unknown or len(set(names)) < len(names):
            wrong = f"{unknown} is not among them" if unknown else f"a name occurs twice in {list(names)}"
            raise InputError(f'features must be "auto" or some of {", ".join(_FEATURES)}; {wrong}.')
        return names

    def _encoder(self, name: str, stamps: pd.DatetimeIndex) -> _Ordinal | _Fourier | _OneHot:
        if self.encoding == "ordinal" or name == "is_weekend":
            return _Ordinal(name)
        if self.encoding == "fourier":
            return _Fourier.fit(name, stamps, int(self.harmonics))
        if name == "timeofday":
            raise InputError('timeofday takes any value, so it has no one-hot columns. Use "hour" or "minute".')
        return _OneHot(name, tuple(np.unique(_values(name, stamps)).astype(int).tolist()), bool(self.drop_first))


class _Ordinal(NamedTuple):
    """The value itself."""

    name: str

    @property
    def columns(self) -> list[str]:
        return [self.name]

    def encode(self, stamps: pd.DatetimeIndex) -> FloatArray:
        return _values(self.name, stamps)[:, None]


class _OneHot(NamedTuple):
    """A column for every value seen in fit, perhaps but the first."""

    name: str
    seen: tuple[int, ...]
    drop_first: bool

    @property
    def columns(self) -> list[str]:
        return [f"{self.name}_{value}" for value in self.seen[int(self.drop_first) :]]

    def encode(self, stamps: pd.DatetimeIndex) -> FloatArray:
        values = _values(self.name, stamps)
        unseen = ~np.isin(values, self.seen)
        if unseen.any():
            row = int(unseen.argmax())
            raise InputError(
                f"{self.name}={values[row]:g} ({stamps[row]}) was not among the rows of fit, so it has no column. Fit on rows "
                'that hold it, or use encoding="fourier" or "ordinal".'
            )
        kept = np.array(self.seen[int(self.drop_first) :], dtype=np.float64)
        return np.equal(values[:, None], kept).astype(np.float64)


class _Fourier(NamedTuple):
    """Sine and cosine pairs of the phase, and a column that alternates where that is the last independent one.

    Trigonometric polynomials of degree K are independent on any 2K + 1 distinct phases (a Haar system). On an even
    number n of equally spaced phases the wave of degree n / 2 alternates between them, and completes the basis.
    """

    name: str
    n_pairs: int
    alternating: int | None  # degree of the alternating wave
    origin: float  # its phase

    @classmethod
    def fit(cls, name: str, stamps: pd.DatetimeIndex, harmonics: int) -> _Fourier:
        phases = np.unique(_phase(name, stamps))
        n = len(phases)
        origin = float(phases[0])
        turns = (phases - origin) * n
        whole = n % 2 == 0 and n // 2 <= harmonics and bool(np.allclose(turns, np.round(turns), atol=1e-9))
        return cls(name, min(harmonics, (n - 1) // 2), n // 2 if whole else None, origin)

    @property
    def columns(self) -> list[str]:
        pairs = [f"{self.name}_{wave}{k}" for k in range(1, self.n_pairs + 1) for wave in ("sin", "cos")]
        return pairs if self.alternating is None else [*pairs, f"{self.name}_cos{self.alternating}"]

    def encode(self, stamps: pd.DatetimeIndex) -> FloatArray:
        phase = _phase(self.name, stamps)
        angle = 2 * np.pi * phase[:, None] * np.arange(1, self.n_pairs + 1)
        waves = np.stack([np.sin(angle), np.cos(angle)], axis=-1).reshape(len(phase), -1)
        if self.alternating is None:
            return waves
        return np.column_stack([waves, np.cos(2 * np.pi * self.alternating * (phase - self.origin))])


def _values(name: str, stamps: pd.DatetimeIndex) -> FloatArray:
    return np.asarray(_FEATURES[name].value(stamps), dtype=np.float64)


def _phase(name: str, stamps: pd.DatetimeIndex) -> FloatArray:
    """Position in the cycle, from 0 to below 1."""
    length = np.asarray(_FEATURES[name].length(stamps), dtype=np.float64)
    phase: FloatArray = (_values(name, stamps) - _FEATURES[name].first) / length
    return phase


def _automatic(stamps: pd.DatetimeIndex, fourier: bool) -> tuple[str, ...]:
    """Of the cycles of day, week and year with two rows or more the shortest, and those that the rows span twice."""
    times = np.unique(stamps.as_unit("ns").asi8) / 86_400e9
    if len(times) < 2:
        return ()
    step = float(np.median(np.diff(times)))
    span = (times[-1] - times[0] + step) * 1.01  # two years of twelve months may lack a day
    by_month = not fourier or step > 27
    named = {1.0: "timeofday" if fourier else "hour", 7.0: "dayofweek", 365.25: "month" if by_month else "dayofyear"}
    cycles = [days for days in named if step <= days / 2]
    return tuple(named[days] for days in cycles if days == cycles[0] or span >= 2 * days)


def _stamps(X: Any) -> pd.DatetimeIndex:
    """Stamps of the rows of a frame."""
    if not isinstance(X, pd.DataFrame):
        hint = "X=y.to_frame()[[]] is a frame without columns" if isinstance(X, pd.Series) else "its index says when"
        raise InputTypeError(
            f"CalendarFeatures needs a DataFrame with a time index, received {type(X).__name__}; {hint}."
        )
    index = X.index.get_level_values(-1)
    if isinstance(index, pd.PeriodIndex):
        index = index.to_timestamp(how="start")
    if not isinstance(index, pd.DatetimeIndex):
        raise InputTypeError(
            f"CalendarFeatures needs dates in the index, received {index.dtype}. Convert it with pd.to_datetime(index)."
        )
    if index.hasnans:
        raise TimeIndexError(
            f"The stamp of row {int(np.asarray(index.isna()).argmax())} is missing. Drop the row or fill it in."
        )
    return index
