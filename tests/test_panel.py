"""The door: what goes in as which container comes out the same, and what cannot be used is refused by name."""

import numpy as np
import pandas as pd
import polars as pl
import pytest

from ssmts import Long, Naive, SeasonalNaive, future_frame
from ssmts.exceptions import FutureRowsError, InputError, InputTypeError, TimeIndexError, UnknownSeriesError
from ssmts.panel import read_training

DAYS = pd.date_range("2024-01-01", periods=6, name="day")


def panel_series():
    return pd.Series(
        [1.0, 2.0, 3.0, 10.0, 20.0],
        index=pd.MultiIndex.from_tuples(
            [("a", DAYS[0]), ("a", DAYS[1]), ("a", DAYS[3]), ("b", DAYS[1]), ("b", DAYS[2])], names=["shop", "day"]
        ),
        name="sales",
    )


def test_absent_rows_become_nan_on_the_grid():
    form, panel = read_training(panel_series(), freq="D")
    np.testing.assert_array_equal(panel.y[0][:, 0], [1, 2, np.nan, 3])
    np.testing.assert_array_equal(panel.y[1][:, 0], [10, 20])
    assert form.keys == ("a", "b")
    assert list(panel.last - panel.last.min()) == [1, 0]


def test_panel_forecast_keeps_names_and_counts_from_each_series_own_end():
    out = Naive(freq="D").fit(panel_series()).predict(2)
    assert out.index.names == ["shop", "day"]
    assert out.name == "sales"
    assert out.index.tolist() == [("a", DAYS[4]), ("a", DAYS[5]), ("b", DAYS[3]), ("b", DAYS[4])]
    np.testing.assert_array_equal(out, [3, 3, 20, 20])


def test_rows_in_any_order_of_series_are_answered_in_that_order():
    f = Naive(freq="D").fit(panel_series())
    index = pd.MultiIndex.from_tuples([("b", DAYS[3]), ("a", DAYS[4]), ("b", DAYS[4])], names=["shop", "day"])
    out = f.predict(pd.DataFrame(index=index))
    assert out.index.equals(index)
    np.testing.assert_array_equal(out, [20, 3, 20])


def test_interleaved_rows_are_their_series():
    y = panel_series()
    shuffled = y.iloc[[3, 0, 1, 4, 2]]
    a, b = Naive(freq="D").fit(y), Naive(freq="D").fit(shuffled)
    for key in "ab":
        pd.testing.assert_series_equal(a.predict(3).loc[key], b.predict(3).loc[key])


@pytest.mark.parametrize("backend", ["pandas", "polars"])
def test_long_frames(backend):
    frame = pd.DataFrame(
        {"unique_id": ["a", "a", "b"], "ds": DAYS[[0, 1, 1]], "y": [1.0, 2.0, 5.0], "price": [1.0, 1.5, 2.0]}
    )
    given = frame if backend == "pandas" else pl.DataFrame(frame.to_dict("list"))
    f = Naive(freq="D").fit(given)
    fill = future_frame(f, 1)
    assert list(fill.columns) == ["unique_id", "ds", "price"]
    fill = fill.assign(price=1.0) if backend == "pandas" else fill.with_columns(price=pl.lit(1.0))
    out = f.predict(fill)
    assert type(out) is type(given)
    assert list(out.columns) == ["unique_id", "ds", "y"]
    assert list(out["y"]) == [2.0, 5.0]
    assert [str(d)[:10] for d in out["ds"]] == ["2024-01-03", "2024-01-03"]
    later = frame.iloc[[1, 2]].assign(ds=DAYS[[2, 3]], y=[7.0, 8.0])
    f.update(later if backend == "pandas" else pl.DataFrame(later.to_dict("list")))
    assert (
        f.score(
            later.assign(ds=DAYS[[3, 4]])
            if backend == "pandas"
            else pl.DataFrame(later.assign(ds=DAYS[[3, 4]]).to_dict("list"))
        )
        == 1.0
    )


def test_long_frame_of_one_series_with_names_of_its_own_and_a_zone():
    stamps = pd.date_range("2024-03-30 20:00", periods=8, freq="h", tz="Europe/Berlin")
    frame = pl.DataFrame({"t": stamps.to_list(), "power": [float(i) for i in range(8)]})
    f = Naive().fit(Long(frame, id=None, time="t", target="power"))
    out = f.predict(2)
    assert out.columns == ["t", "power"]
    assert out["t"].to_list() == list((stamps + pd.Timedelta("8h"))[:2].to_pydatetime())
    dates = pl.DataFrame(
        {"ds": stamps.date[[0, 7]].tolist() + [stamps[-1].date() + pd.Timedelta("1D")], "y": [1.0, 2.0, 3.0]}
    )
    assert Naive().fit(dates).predict(1)["ds"].dtype == pl.Date


def test_an_array_goes_out_where_an_array_came_in():
    X = pd.DataFrame({"u": np.arange(6.0)}, index=DAYS)
    out = Naive().fit(X, np.arange(6.0)).predict(X + 1)
    assert isinstance(out, np.ndarray)
    y = pd.Series(np.arange(6.0), index=DAYS)
    assert isinstance(Naive().fit(X.to_numpy(), y).predict(X), pd.Series)


def test_y_without_stamps_takes_those_of_x_by_position():
    X = pd.DataFrame(index=DAYS)
    a = Naive().fit(X, pd.Series(np.arange(6.0), name="v")).predict(1)
    assert a.index[0] == DAYS[-1] + DAYS.freq
    assert a.name == "v"
    with pytest.raises(TimeIndexError, match="different stamps"):
        Naive().fit(X, pd.Series(np.arange(6.0), index=DAYS + DAYS.freq))
    with pytest.raises(InputError, match="6 rows, y has 5"):
        Naive().fit(X, np.arange(5.0))


def test_default_index_that_restarts_is_refused():
    y = pd.Series(np.arange(10.0))
    f = Naive().fit(y)
    assert len(f.predict(y)) == 10
    assert f.predict(y[5:]).index[0] == 5
    with pytest.raises(TimeIndexError, match="reset_index"):
        f.predict(pd.Series(np.arange(3.0)))


def test_nan_in_covariates_names_stamp_and_column():
    X = pd.DataFrame({"u": [1.0, np.nan, 1, 1, 1, 1]}, index=DAYS)
    with pytest.raises(InputError, match=r"2024-01-02.*'u'"):
        Naive().fit(X, np.arange(6.0))


def test_nullable_types_and_integers_are_floats():
    y = pd.Series([1, None, 3, 4, 5, 6], index=DAYS, dtype="Int64")
    out = SeasonalNaive(2).fit(y).predict(2)
    assert out.dtype == np.float64
    np.testing.assert_array_equal(out, [5, 6])


@pytest.mark.parametrize(
    "call, error, words",
    [
        (lambda: Naive().fit(pl.DataFrame({"a": [1.0]})), InputTypeError, "unique_id, ds, y"),
        (lambda: Naive().fit(pd.DataFrame({"ds": DAYS, "y": 1.0}), np.ones(6)), InputTypeError, "without y"),
        (lambda: Naive().fit(5.0), InputTypeError, "y is 5.0"),
        (lambda: Naive().fit(Long(pd.DataFrame({"ds": DAYS, "y": 1.0}), id="shop")), InputError, "no column"),
        (
            lambda: Naive().fit(pd.DataFrame({"unique_id": [None], "ds": DAYS[:1], "y": 1.0})),
            InputError,
            "missing values",
        ),
        (lambda: Naive().fit(pd.Series([1.0, 2, 3], index=[0, 1, 10**12])), TimeIndexError, "reach over"),
        (lambda: Naive().fit(pd.DataFrame({"a": ["x"] * 6}, index=DAYS)), InputError, "not numeric"),
        (lambda: Naive().fit(np.ones((3, 0)), np.ones(3)), InputError, "0 feature"),
        (
            lambda: Naive(freq="D").fit(panel_series()).predict(pd.DataFrame(index=DAYS)),
            InputError,
            r"\(series, time\)",
        ),
        (lambda: Naive().fit(np.arange(5.0)).predict(pd.Series([1.0], index=DAYS[:1])), InputError, "arrays"),
        (
            lambda: Naive(freq="D").fit(panel_series()).update(panel_series().rename(index={"a": "z"}, level=0)),
            UnknownSeriesError,
            "'z'",
        ),
        (
            lambda: Naive().fit(pd.DataFrame({"u": 1.0}, index=DAYS), np.ones(6)).predict(2),
            FutureRowsError,
            "2024-01-07 to 2024-01-08",
        ),
    ],
)
def test_refusals_say_what_is_wrong(call, error, words):
    with pytest.raises(error, match=words):
        call()


WIDE = pd.DataFrame({"a": [1.0, 3, 2, 5, 4, 6], "b": [9.0, 7, 8, 3, 5, 1]}, index=DAYS)


def test_labels_of_columns_come_back():
    """Several levels, their names, and names that occur twice."""
    levels = WIDE.set_axis(pd.MultiIndex.from_tuples([("p", "a"), ("p", "b")], names=["plant", "sensor"]), axis=1)
    f = Naive().fit(levels)
    assert f.predict(2).columns.equals(levels.columns)
    assert f.predict(2).columns.names == ["plant", "sensor"]
    frame = f.forecast(2).to_frame(level=80)
    assert frame.columns.names == ["plant", "sensor", None]
    assert frame.columns[-1] == ("p", "b", "hi-80")
    assert Naive().fit(WIDE.rename_axis(columns="sensor")).predict(1).columns.name == "sensor"
    twice = Naive().fit(WIDE.set_axis(["a", "a"], axis=1)).forecast(1).to_frame(level=80)
    expected = Naive().fit(WIDE).forecast(1).to_frame(level=80)
    np.testing.assert_array_equal(twice, expected)


@pytest.mark.parametrize("backend", ["pandas", "polars"])
@pytest.mark.parametrize("shops", [1, 2])
def test_the_frame_to_fill_is_understood_whatever_its_names(backend, shops):
    frame = pd.DataFrame(
        {
            "shop": np.repeat(list("ab")[:shops], 6),
            "day": np.tile(DAYS, shops),
            "sales": np.arange(6.0 * shops),
            "price": 1.0,
        }
    )

    def given(columns):
        part = frame[columns]
        return part if backend == "pandas" else pl.DataFrame(part.to_dict("list"))

    names = {"id": "shop" if shops > 1 else None, "time": "day", "target": "sales"}
    for columns in (["day", "sales"], ["day", "sales", "price"]):
        rows = given(columns if shops == 1 else ["shop", *columns])
        f = Naive().fit(Long(rows, **names))
        fill = future_frame(f, 2)
        fill = fill.fillna(1.0) if backend == "pandas" else fill.fill_nan(1.0)
        assert list(f.predict(fill)["sales"]) == [5.0, 5.0, 11.0, 11.0][: 2 * shops]
        assert f.score(rows) == f.score(Long(rows, **names))


def test_values_that_pandas_would_turn_into_numbers_are_refused():
    for values in (["1", "2", "3"], np.array([1j, 2, 3]), DAYS[:3].to_numpy(), DAYS[:3] - DAYS[0]):
        for y in (pd.Series(values, DAYS[:3]), pd.DataFrame({"a": 1.0, "b": values}, DAYS[:3])):
            with pytest.raises(InputError, match="not numeric"):
                Naive().fit(y)
    for array in (np.array(["1", "2"]), DAYS.to_numpy()):
        with pytest.raises(InputError, match="not numeric"):
            Naive().fit(array)


def test_lazy_frames_are_refused_without_a_warning():
    with pytest.raises(InputTypeError, match="collect"):
        Naive().fit(pl.DataFrame({"ds": [1], "y": [1.0]}).lazy())


def test_a_sensor_may_be_silent_for_long():
    y = pd.Series([1.0, 2, 3], pd.date_range("2024-01-01", periods=3, freq="s"))
    later = pd.Series([7.0], pd.DatetimeIndex(["2024-01-02"]))
    assert Naive().fit(y).update(later).predict(1).index[0] == pd.Timestamp("2024-01-02 00:00:01")


def test_zones_of_a_panel_must_agree():
    y = pd.Series(np.arange(6.0), DAYS)
    with pytest.raises(TimeIndexError, match="UTC, Europe/Berlin"):
        Naive().fit(pd.concat({"a": y.tz_localize("UTC"), "b": y.tz_localize("Europe/Berlin")}))


def test_stamps_alone_say_when():
    f = Naive().fit(pd.Series(np.arange(6.0), DAYS))
    assert f.predict(DAYS + pd.Timedelta(days=6)).index.equals(pd.date_range("2024-01-07", periods=6))
    several = Naive().fit(panel_series())
    wanted = pd.MultiIndex.from_tuples([("b", DAYS[4])], names=["shop", "day"])
    pd.testing.assert_series_equal(several.predict(wanted), pd.Series([20.0], wanted, name="sales"))
    priced = Naive().fit(pd.DataFrame({"price": 1.0}, DAYS), pd.Series(np.arange(6.0), DAYS))
    with pytest.raises(FutureRowsError, match="price"):
        priced.predict(DAYS + pd.Timedelta(days=6))


@pytest.mark.parametrize("wrong", ["3", None, DAYS[0], pd.Timedelta(days=3), {"a": [1]}, slice(3)], ids=repr)
def test_what_is_no_horizon_and_no_rows_is_refused_by_name(wrong):
    f = Naive().fit(pd.Series(np.arange(6.0), DAYS))
    with pytest.raises(InputTypeError, match=r"is a number of steps, or rows whose index says when.*received"):
        f.predict(wrong)


def test_a_column_of_stamps_is_refused_and_sent_to_the_index():
    frame = pd.Series(np.arange(6.0), DAYS, name="sales").reset_index()
    with pytest.raises(InputError, match=r"'day' holds datetime.*stamps belong in the index"):
        Naive().fit(frame)
