"""What estimators promise whatever their model: scores, updates and refusals."""

import datetime
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import polars
import pytest
from sklearn.preprocessing import FunctionTransformer

from ssmts import ARIMAForecaster, InnovationDetector, Naive, StructuralForecaster
from ssmts.exceptions import InputError, InputTypeError, SsmtsError, TimeIndexError

DAYS = pd.date_range("2024-01-01", periods=8, name="day")
Y = pd.Series([1.0, 3, 2, 5, 4, 6, 8, 7], DAYS, name="v")
WIDE = pd.DataFrame({"a": Y, "b": Y * 10 + [0, 1, 0, 1, 0, 1, 0, 1]})


def test_score_takes_columns_by_name():
    f = Naive().fit(WIDE[:6])
    assert f.score(WIDE[6:][["b", "a"]]) == f.score(WIDE[6:])
    with pytest.raises(InputError, match="'z'"):
        f.score(WIDE[6:].rename(columns={"a": "z"}))


def test_update_takes_columns_by_name():
    a, b = Naive().fit(WIDE[:6]).update(WIDE[6:]), Naive().fit(WIDE[:6]).update(WIDE[6:][["b", "a"]])
    pd.testing.assert_frame_equal(a.predict(2), b.predict(2))


def test_score_of_a_target_whose_covariates_are_an_index_alone():
    X = Y.to_frame()[[]]
    f = Naive().fit(X[:6], Y[:6])
    assert f.score(Y[6:]) == f.score(X[6:], Y[6:])
    pd.testing.assert_series_equal(f.predict(Y[6:]), f.predict(X[6:]))


@pytest.mark.parametrize("weight", [[-1.0, 1.0], [np.nan, 1.0], [[1.0], [1.0]], [1.0], ["a", "b"]])
def test_weights_that_are_none_are_refused(weight):
    with pytest.raises(InputError):
        Naive().fit(Y[:6]).score(Y[6:], sample_weight=weight)


def test_an_array_of_covariates_does_not_say_when():
    X = pd.DataFrame({"u": np.arange(8.0)}, DAYS)
    f = Naive().fit(X[:6], Y[:6])
    with pytest.raises(InputError, match="set_output"):
        f.update(X[6:].to_numpy(), Y[6:])
    assert f.update(X[6:], Y[6:].to_numpy()).last_[0] == 7


@pytest.mark.parametrize("forecaster", [StructuralForecaster(), ARIMAForecaster()])
def test_absent_rows_are_missing_values_and_have_the_covariates_that_they_are_asked_with(forecaster):
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"u": 50 + rng.normal(size=80)}, pd.date_range("2024-01-01", periods=80))
    y = 3 * X["u"] + 0.1 * rng.normal(size=80)
    there = np.ones(80, dtype=bool)
    there[[30, 31, 64]] = False
    absent = forecaster.fit(X[there][:60], y[there][:60]).update(X[there][60:], y[there][60:]).predict(X[28:34])
    missing = forecaster.fit(X[:62], y.where(there)[:62]).update(X[62:], y.where(there)[62:]).predict(X[28:34])
    np.testing.assert_allclose(absent, missing, rtol=1e-6)
    assert abs(absent - y[28:34]).max() < 1


@pytest.mark.parametrize("zone", [datetime.UTC, ZoneInfo("UTC"), "UTC"])
def test_a_zone_is_the_same_from_every_library(zone):
    y = Y.tz_localize("UTC")
    for piece in (slice(5, 6), slice(5, 8)):
        f = Naive().fit(y[:5]).update(Y.tz_localize(zone)[piece])
        assert f.predict(1).index[0] == y.index[piece][-1] + y.index.freq


@pytest.mark.parametrize("transform", [None, FunctionTransformer(np.log, np.exp, check_inverse=False)])
def test_update_of_a_panel_is_all_or_nothing(transform):
    """A series that cannot go on leaves those before it where they were."""
    f = Naive(target_transform=transform).fit(pd.concat({"p": Y, "q": Y[:5]}, names=["series"]))
    before = f.forecast(3).to_frame()
    good = pd.Series([9.0], DAYS[-1:] + DAYS.freq)
    bad = {"rows before the last": Y[3:4], "infinity": pd.Series([np.inf], DAYS[5:6])}
    if transform is not None:
        bad["a value outside the transformation"] = pd.Series([-1.0], DAYS[5:6])
    for rows in bad.values():
        with pytest.raises(SsmtsError, match="'q'"):
            f.update(pd.concat({"p": good, "q": rows}))
        pd.testing.assert_frame_equal(f.forecast(3).to_frame(), before)


def test_a_refused_fit_leaves_the_fitted_forecaster():
    X = pd.DataFrame({"u": np.arange(8.0)}, DAYS)
    f = Naive().fit(X, Y)
    state = {name: value for name, value in vars(f).items() if name.endswith("_")}
    for args in ((Y * np.nan,), (X.replace(3.0, np.nan), Y), (Y.to_numpy() * np.inf,)):
        with pytest.raises(InputError):
            f.fit(*args)
        assert all(vars(f)[name] is value for name, value in state.items())


def test_a_mean_beyond_all_numbers_scores_minus_infinity():
    """Quietly: the mean of a log-normal distribution is finite only as far as floating point reaches."""
    square = FunctionTransformer(lambda y: np.log(y) * 1e-3, lambda z: np.exp(z * 1e3), check_inverse=False)
    y = pd.Series(np.exp([0.0, 60.0, -60.0, 60.0, -60.0, 60.0]), DAYS[:6])
    assert Naive(target_transform=square).fit(y).score(y) == -np.inf


# detectors ---------------------------------------------------------------------------------------------------------

MINUTES = pd.date_range("2024-01-01", periods=66, freq="min")
SENSORS = pd.DataFrame(np.random.default_rng(0).normal(size=(66, 2)), MINUTES, columns=["a", "b"])


@pytest.mark.parametrize(
    "rows",
    [
        SENSORS[60:].tz_localize("UTC"),
        SENSORS[60:].reset_index(drop=True),
        SENSORS[60:].to_period("min"),
        SENSORS[60:].set_axis([pd.NaT, *MINUTES[61:]]),
    ],
    ids=["zone", "integers", "periods", "missing stamp"],
)
def test_detector_refuses_other_stamps_by_name(rows):
    d = InnovationDetector().fit(SENSORS[:60])
    for call in (d.update, d.score_samples, d.explain):
        with pytest.raises(TimeIndexError):
            call(rows)


def test_readings_in_another_shape_are_told_how_to_be_passed():
    X = pd.DataFrame(np.random.default_rng(0).normal(size=(50, 2)), columns=["flow", "heat"])
    X.index = pd.date_range("2024-01-01", periods=50, freq="1h")
    detector = InnovationDetector().fit(X[:40])
    with pytest.raises(InputError, match=r"one row as a Series.*to_frame\(\)\.T"):
        detector.update(X.iloc[40])
    assert detector.update(X.iloc[40].to_frame().T) == detector.__class__().fit(X[:40]).score_samples(X[40:41])
    with pytest.raises(InputTypeError, match=r"X comes from polars.*X\.to_pandas\(\)"):
        detector.fit(polars.from_pandas(X))
    with pytest.raises(InputTypeError, match="pivot the long frame"):
        detector.fit(pd.DataFrame({"unique_id": ["a"], "ds": [pd.Timestamp("2024-01-01")], "y": [1.0]}))
    values = np.arange(1000.0)
    for flat in (values, list(values)):
        with pytest.raises(InputError, match=r"X has the shape \(1000,\). Reshape your data") as caught:
            detector.fit(flat)
        assert len(str(caught.value)) < 250
    assert np.isfinite(detector.update(X[41:])).all()  # nothing was lost


def test_detector_refuses_an_index_that_is_no_time():
    for index in (np.arange(66) * 0.5, [f"{i:02d}" for i in range(66)]):
        with pytest.raises(InputTypeError, match="time index"):
            InnovationDetector().fit(SENSORS.set_axis(index))


def test_detector_refuses_rows_that_count_anew_from_zero():
    X = SENSORS.reset_index(drop=True)
    d = InnovationDetector().fit(X[:60])
    assert d.score_samples(X[:60]).shape == (60,)
    with pytest.raises(TimeIndexError, match="no reset_index"):
        d.score_samples(X[60:].reset_index(drop=True))
    np.testing.assert_array_equal(d.score_samples(X[60:]), d.update(X[60:]))
