"""Calendar features against the standard library's calendar, and inside scikit-learn's machinery."""

import calendar
import datetime as dt

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.model_selection import GridSearchCV, TimeSeriesSplit, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import check_array
from sklearn.utils.estimator_checks import parametrize_with_checks

import ssmts
from ssmts.exceptions import InputError, InputTypeError, TimeIndexError
from ssmts.preprocessing import CalendarFeatures

ALL = ("minute", "hour", "timeofday", "dayofweek", "is_weekend", "day", "dayofyear", "weekofyear", "month", "quarter")


def dated(X):
    """A frame with stamps of whatever scikit-learn's checks pass: a row every six hours."""
    if not isinstance(X, pd.DataFrame):
        X = pd.DataFrame(check_array(X, dtype=None, ensure_all_finite=False))
    return X if isinstance(X.index, pd.DatetimeIndex) else X.set_axis(pd.date_range("2024", periods=len(X), freq="6h"))


class Dated(CalendarFeatures):
    """Takes arrays, so that scikit-learn's checks can run."""

    def fit(self, X, y=None):
        return super().fit(dated(X))

    def transform(self, X):
        return super().transform(dated(X))


EXPECTED_FAILURES = {
    "check_transformer_preserve_dtypes": "output is a DataFrame, which has no single dtype",
    "check_methods_sample_order_invariance": "arrays are dated by their row number",
    "check_methods_subset_invariance": "arrays are dated by their row number",
}


@parametrize_with_checks([Dated()], expected_failed_checks=lambda estimator: EXPECTED_FAILURES)
def test_scikit_learn(estimator, check):
    check(estimator)


def frame(start, periods, freq, tz=None):
    return pd.DataFrame(index=pd.date_range(start, periods=periods, freq=freq, tz=tz))


def by_hand(stamp):
    """What the standard library says of a stamp: value and phase of every feature."""
    date = stamp.date()
    year, week, weekday = date.isocalendar()
    weeks = dt.date(year, 12, 28).isocalendar().week
    day_of_year = date.timetuple().tm_yday
    hours = stamp.hour + stamp.minute / 60 + stamp.second / 3600
    in_month = calendar.monthrange(date.year, date.month)[1]
    in_year = 365 + calendar.isleap(date.year)
    return {
        "minute": (stamp.minute, stamp.minute / 60),
        "hour": (stamp.hour, stamp.hour / 24),
        "timeofday": (hours, hours / 24),
        "dayofweek": (weekday - 1, (weekday - 1) / 7),
        "is_weekend": (weekday >= 6, None),
        "day": (date.day, (date.day - 1) / in_month),
        "dayofyear": (day_of_year, (day_of_year - 1) / in_year),
        "weekofyear": (week, (week - 1) / weeks),
        "month": (date.month, (date.month - 1) / 12),
        "quarter": ((date.month + 2) // 3, ((date.month + 2) // 3 - 1) / 4),
    }


@given(st.datetimes(dt.datetime(1900, 1, 1), dt.datetime(2200, 1, 1)).map(lambda t: t.replace(microsecond=0)))
def test_values_are_those_of_the_standard_library(stamp):
    X = pd.DataFrame(index=pd.DatetimeIndex([stamp]))
    out = CalendarFeatures(ALL, encoding="ordinal").fit_transform(X)
    for name, (value, _) in by_hand(stamp).items():
        assert out[name].iloc[0] == pytest.approx(float(value), abs=1e-12)


def test_phases_are_those_of_the_standard_library():
    X = frame("2019-12-20 00:10:07", 900, "1147min")
    names = [name for name in ALL if name != "is_weekend"]
    out = CalendarFeatures(names, harmonics=2).fit_transform(X)
    for name in names:
        phase = np.array([by_hand(stamp)[name][1] for stamp in X.index.to_pydatetime()])
        assert ((phase >= 0) & (phase < 1)).all()
        for k in [k for k in (1, 2) if f"{name}_sin{k}" in out]:
            np.testing.assert_allclose(out[f"{name}_sin{k}"], np.sin(2 * np.pi * k * phase), atol=1e-12)
            np.testing.assert_allclose(out[f"{name}_cos{k}"], np.cos(2 * np.pi * k * phase), atol=1e-12)
        assert any(column.startswith(f"{name}_") for column in out)


@pytest.mark.parametrize(
    "X, fourier, other",
    [
        (frame("2024-01-01", 24 * 800, "h"), ("timeofday", "dayofweek", "dayofyear"), ("hour", "dayofweek", "month")),
        (frame("2024-01-01", 24 * 13, "h"), ("timeofday",), ("hour",)),
        (frame("2024-01-01", 800, "D"), ("dayofweek", "dayofyear"), ("dayofweek", "month")),
        (frame("2024-01-01", 800, "B"), ("dayofweek", "dayofyear"), ("dayofweek", "month")),
        (frame("2024-01-01", 105, "W"), ("dayofyear",), ("month",)),
        (frame("2024-01-01", 24, "MS"), ("month",), ("month",)),
        (frame("2024-01-01", 15, "h"), ("timeofday",), ("hour",)),
        (frame("2024-01-01", 13, "D"), ("dayofweek",), ("dayofweek",)),
        (frame("2024-01-01", 23, "MS"), ("month",), ("month",)),
        (frame("2024-01-01", 9, "QS"), ("month",), ("month",)),
        (frame("2024-01-01", 50, "YS"), (), ()),
        (frame("2024-01-01", 1, "D"), (), ()),
    ],
)
def test_automatic_features_are_the_shortest_cycle_and_those_seen_twice(X, fourier, other):
    assert CalendarFeatures().fit(X).features_ == fourier
    assert CalendarFeatures(encoding="onehot").fit(X).features_ == other
    assert CalendarFeatures(encoding="ordinal").fit(X).features_ == other


@pytest.mark.parametrize("encoding", ["fourier", "onehot"])
@pytest.mark.parametrize("harmonics", [1, 3, 40])
@pytest.mark.parametrize("freq", ["h", "6h", "12h", "D", "B", "W", "MS", "QS", "2QS"])
def test_columns_and_a_level_are_independent(freq, harmonics, encoding):
    X = frame("2019-03-04 06:00", 1500 if freq in "6h12hDB" else 200, freq)
    for name in ["timeofday", "hour", "dayofweek", "weekofyear", "month", "quarter"]:
        if name == "timeofday" and encoding == "onehot":
            continue
        out = CalendarFeatures(name, encoding=encoding, harmonics=harmonics).fit_transform(X)
        assert np.linalg.matrix_rank(np.column_stack([np.ones(len(X)), out])) == 1 + out.shape[1]


def test_a_full_fourier_basis_spans_the_dummies():
    X = frame("2024-01-01", 70, "D")
    fourier = CalendarFeatures("dayofweek", harmonics=3).fit_transform(X)
    dummies = CalendarFeatures("dayofweek", encoding="onehot").fit_transform(X)
    basis = np.column_stack([np.ones(70), fourier])
    np.testing.assert_allclose(basis @ np.linalg.lstsq(basis, dummies)[0], dummies, atol=1e-12)


def test_one_hot_matches_get_dummies():
    X = frame("2024-01-01", 500, "B")
    wanted = pd.get_dummies(X.index.day_of_week, prefix="dayofweek").set_index(X.index).astype(float)
    full = CalendarFeatures("dayofweek", encoding="onehot", drop_first=False).fit_transform(X)
    pd.testing.assert_frame_equal(full, wanted, check_column_type=False)
    pd.testing.assert_frame_equal(CalendarFeatures("dayofweek", encoding="onehot").fit_transform(X), full.iloc[:, 1:])


def test_one_hot_value_unseen_in_fit_is_an_error():
    X = frame("2024-01-01", 20, "D")
    calendar_features = CalendarFeatures("month", encoding="onehot").fit(X)
    with pytest.raises(InputError, match=r"month=2 \(2024-02-01 00:00:00\) was not among the rows of fit"):
        calendar_features.transform(frame("2024-01-25", 10, "D"))


def test_the_clock_is_that_of_the_zone():
    utc = frame("2024-03-30", 72, "h", "UTC")
    berlin = utc.tz_convert("Europe/Berlin")
    out = CalendarFeatures(["hour"], encoding="ordinal").fit_transform(berlin)
    assert out["hour"].tolist() == [float(stamp.hour) for stamp in berlin.index]
    assert out.index.equals(berlin.index)
    assert str(out.index.tz) == "Europe/Berlin"


def test_periods_are_read_at_their_start():
    periods = pd.DataFrame(index=pd.period_range("2024-01", periods=30, freq="M", name="when"))
    out = CalendarFeatures(["month", "day", "hour"], encoding="ordinal").fit_transform(periods)
    assert out.index.equals(periods.index)
    assert out.index.name == "when"
    assert out.iloc[13].tolist() == [2.0, 1.0, 0.0]


def test_a_panel_equals_its_series():
    one, other = frame("2024-01-01", 60, "D"), frame("2024-02-10", 30, "D")
    panel = pd.concat({"b": one, "a": other}, names=["series", "time"])
    out = CalendarFeatures("dayofweek").fit(one).transform(panel)
    assert out.index.equals(panel.index)
    alone = CalendarFeatures("dayofweek").fit(one)
    pd.testing.assert_frame_equal(out.loc["b"], alone.transform(one), check_names=False, check_freq=False)
    pd.testing.assert_frame_equal(out.loc["a"], alone.transform(other), check_names=False, check_freq=False)


def test_other_columns_pass_through_in_front():
    X = frame("2024-01-01", 20, "D").assign(price=np.arange(20), kind="x")
    features = CalendarFeatures(["is_weekend", "dayofweek"], harmonics=1).fit(X)
    out = features.transform(X)
    assert list(out) == ["price", "kind", "is_weekend", "dayofweek_sin1", "dayofweek_cos1"]
    assert features.get_feature_names_out().tolist() == list(out)
    assert features.get_feature_names_out(["price", "kind"]).tolist() == list(out)
    pd.testing.assert_frame_equal(out[["price", "kind"]], X)
    assert features.n_features_in_ == 2
    with pytest.raises(ValueError, match="input_features"):
        features.get_feature_names_out(["price", "sort"])
    with pytest.raises(ValueError, match="feature names should match"):
        features.transform(X.rename(columns={"price": "cost"}))


def test_zero_columns_in_and_out():
    X = frame("2024-01-01", 20, "YS")
    features = CalendarFeatures().fit(X)
    assert features.transform(X).shape == (20, 0)
    assert features.get_feature_names_out().tolist() == []
    assert features.n_features_in_ == 0


def test_output_configuration():
    X = frame("2024-01-01", 20, "D")
    plain = CalendarFeatures("dayofweek").fit_transform(X)
    for transform in ("pandas", "default"):
        out = CalendarFeatures("dayofweek").set_output(transform=transform).fit_transform(X)
        pd.testing.assert_frame_equal(out, plain)


def test_inside_a_column_transformer():
    X = frame("2024-01-01", 20, "D").assign(price=np.arange(20.0))
    both = ColumnTransformer(
        [("when", CalendarFeatures("dayofweek"), ["price"]), ("scaled", StandardScaler(), ["price"])]
    )
    out = both.set_output(transform="pandas").fit_transform(X)
    assert out.index.equals(X.index)
    assert list(out)[:2] == ["when__price", "when__dayofweek_sin1"]
    assert out.shape == (20, 8)


def test_clone_keeps_the_parameters():
    features = CalendarFeatures(["month"], encoding="ordinal", harmonics=2, drop_first=False)
    assert clone(features).get_params() == features.get_params()


@pytest.mark.parametrize(
    "parameters, message",
    [
        ({"encoding": "sine"}, "encoding must be one of fourier, ordinal, onehot"),
        ({"harmonics": 0}, "harmonics must be a whole number"),
        ({"harmonics": True}, "harmonics must be a whole number"),
        ({"features": "weekday"}, r"\['weekday'\] is not among them"),
        ({"features": ["month", "month"]}, "a name occurs twice"),
        ({"features": "timeofday", "encoding": "onehot"}, "no one-hot columns"),
    ],
)
def test_wrong_parameters_are_refused_in_fit(parameters, message):
    with pytest.raises(InputError, match=message):
        CalendarFeatures(**parameters).fit(frame("2024-01-01", 20, "D"))


def test_wrong_input_is_refused():
    X = frame("2024-01-01", 20, "D")
    features = CalendarFeatures("month", encoding="ordinal").fit(X)
    with pytest.raises(InputTypeError, match="needs a DataFrame with a time index, received ndarray"):
        features.transform(np.zeros((3, 0)))
    with pytest.raises(InputTypeError, match=r"y.to_frame\(\)\[\[\]\]"):
        CalendarFeatures().fit(pd.Series(1.0, index=X.index))
    with pytest.raises(InputTypeError, match="needs dates in the index, received int64"):
        features.transform(pd.DataFrame(index=range(3)))
    with pytest.raises(TimeIndexError, match="row 1 is missing"):
        features.transform(pd.DataFrame(index=pd.DatetimeIndex(["2024-01-01", None])))
    with pytest.raises(InputError, match=r"columns named \['month'\] already"):
        CalendarFeatures("month", encoding="ordinal").fit(X.assign(month=1.0))
    assert features.transform(X).shape == (20, 1)


def test_a_pipeline_is_cross_validated_searched_and_forecasts_a_number_of_steps():
    X = frame("2024-01-01", 300, "h", "Europe/Paris")
    y = pd.Series(np.sin(np.arange(300.0)), index=X.index, name="load")
    pipe = make_pipeline(CalendarFeatures(), StandardScaler().set_output(transform="pandas"), ssmts.Naive())
    scores = cross_val_score(pipe, X, y, cv=TimeSeriesSplit(3))
    expected = cross_val_score(ssmts.Naive(), X, y, cv=TimeSeriesSplit(3))
    np.testing.assert_array_equal(scores, expected)
    forecast = ssmts.forecast(pipe.fit(X, y), 24)
    assert forecast.mean.index.equals(pd.date_range(X.index[-1], periods=25, freq="h")[1:])
    assert (forecast.mean == y.iloc[-1]).all()
    search = GridSearchCV(pipe, {"calendarfeatures__encoding": ["ordinal", "fourier"]}, cv=TimeSeriesSplit(2))
    assert len(ssmts.forecast(search.fit(X, y), 5).mean) == 5
