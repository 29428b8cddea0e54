"""Forecast: names, levels and kinds of what it hands out, over a distribution with known numbers."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from ssmts.exceptions import InputError, InputTypeError
from ssmts.forecasts import Forecast, Gaussian, Paths, Quantiles, Stacked, Transformed, check_levels
from ssmts.panel import read_future, read_training


def rows(horizon, is_array=False):
    """The rows after seven daily ones."""
    index = pd.date_range("2024-03-01", periods=7, freq="D")
    form, panel = read_training(np.arange(7.0) if is_array else pd.Series(np.arange(7.0), index, name="y"))
    return read_future(form, horizon, panel.last, panel)[0]


MEAN, SD = np.array([1.0, 2.0, 4.0]), np.array([1.0, 2.0, 3.0])


def gaussian():
    def draw(n, rng):
        return (MEAN + SD * rng.normal(size=(n, 1))).reshape(n, 1, 3, 1)

    return Gaussian(MEAN.reshape(1, 3, 1), np.square(SD).reshape(1, 3, 1), draw)


@pytest.fixture
def forecast():
    return Forecast(gaussian(), rows(3))


@pytest.fixture
def array_forecast():
    return Forecast(gaussian(), rows(3, is_array=True))


def test_mean_has_the_callers_kind(forecast, array_forecast):
    assert forecast.mean.name == "y"
    pd.testing.assert_index_equal(forecast.mean.index, pd.date_range("2024-03-08", periods=3, freq="D"))
    np.testing.assert_array_equal(forecast.mean, MEAN)
    np.testing.assert_array_equal(array_forecast.mean, MEAN)


def test_intervals_are_named_and_central(forecast, array_forecast):
    frame = forecast.interval(level=(80, 97.5))
    assert list(frame.columns) == ["lo-80", "hi-80", "lo-97.5", "hi-97.5"]
    reference = stats.norm(MEAN, SD)
    for level in (80, 97.5):
        low, high = reference.interval(level / 100)
        np.testing.assert_allclose(frame[f"lo-{level:g}"], low, rtol=1e-10)
        np.testing.assert_allclose(frame[f"hi-{level:g}"], high, rtol=1e-10)
    np.testing.assert_array_equal(array_forecast.interval(level=(80, 97.5)), frame.to_numpy())
    assert list(forecast.interval().columns) == ["lo-80", "hi-80", "lo-95", "hi-95"]
    assert list(forecast.interval(level=90).columns) == ["lo-90", "hi-90"]


def test_quantiles_of_a_number_and_of_a_sequence(forecast, array_forecast):
    median = forecast.quantile(0.5)
    assert isinstance(median, pd.Series)
    np.testing.assert_array_equal(median, MEAN)
    frame = forecast.quantile([0.1, 0.5])
    assert list(frame.columns) == ["q-0.1", "q-0.5"]
    np.testing.assert_allclose(frame["q-0.1"], stats.norm(MEAN, SD).ppf(0.1), rtol=1e-12)
    assert array_forecast.quantile(0.5).shape == (3,)
    assert array_forecast.quantile([0.1, 0.5]).shape == (3, 2)


def test_to_frame_is_a_frame_for_arrays_too(forecast, array_forecast):
    for each in (forecast, array_forecast):
        frame = each.to_frame(level=80)
        assert isinstance(frame, pd.DataFrame)
        assert list(frame.columns) == ["mean", "lo-80", "hi-80"]
        np.testing.assert_array_equal(frame["mean"], MEAN)


def test_panels_and_wide_frames_keep_series_and_columns_apart():
    wide = pd.DataFrame({"a": SD, "b": MEAN}, index=pd.period_range("2024", periods=3, freq="Y"))
    form, panel = read_training(pd.concat({"x": wide, "y": wide}, names=["id", "year"]))
    future = read_future(form, 2, panel.last, panel)[0]
    mean = np.arange(8.0).reshape(2, 2, 2)
    forecast = Forecast(Gaussian(mean, np.ones((2, 2, 2))), future)
    np.testing.assert_array_equal(forecast.mean, mean.reshape(4, 2))
    frame = forecast.to_frame(level=80)
    assert list(frame.columns) == [(name, column) for name in "ab" for column in ("mean", "lo-80", "hi-80")]
    assert frame.loc[("y", pd.Period("2028")), ("b", "mean")] == 7.0
    width = stats.norm.ppf(0.9)
    np.testing.assert_allclose(frame[("a", "hi-80")], mean[:, :, 0].ravel() + width)


def test_intervals_read_off_held_quantiles():
    held = Quantiles([0.1, 0.5, 0.9], np.array([1.0, 2.0, 5.0]).reshape(1, 1, 1, 3))
    forecast = Forecast(held, rows(1, is_array=True))
    np.testing.assert_allclose(forecast.interval(level=80), [[1.0, 5.0]])
    with pytest.raises(InputError, match="outside the held range"):
        forecast.interval(level=95)


def test_sample_repeats_with_its_seed(forecast, array_forecast):
    frame = forecast.sample(4, random_state=7)
    assert list(frame.columns) == ["path-0", "path-1", "path-2", "path-3"]
    pd.testing.assert_frame_equal(frame, forecast.sample(4, random_state=7))
    np.testing.assert_array_equal(array_forecast.sample(4, random_state=7), frame.to_numpy())
    np.testing.assert_array_equal(array_forecast.sample(4, random_state=np.random.default_rng(7)), frame.to_numpy())
    assert not np.allclose(array_forecast.sample(4, random_state=8), frame.to_numpy())
    first, again = (forecast.sample(2, random_state=np.random.RandomState(7)) for _ in range(2))
    pd.testing.assert_frame_equal(first, again)
    ranks = frame.rank(axis=1)  # the draw moves all steps together
    assert (ranks.min() == ranks.max()).all()


@pytest.mark.parametrize("n_paths", [0, -1, 2.5, True, "3"])
def test_sample_wants_a_number_of_paths(forecast, n_paths):
    with pytest.raises(InputError, match="n_paths must be an integer of at least 1"):
        forecast.sample(n_paths)


@pytest.mark.parametrize("level", [0.8, 0, 100, -5, 120, np.nan, (80, 0.95)])
def test_levels_are_per_cent(forecast, level):
    with pytest.raises(InputError, match=r"80, not 0\.8"):
        forecast.interval(level=level)
    with pytest.raises(InputError, match=r"80, not 0\.8"):
        forecast.to_frame(level=level)


def test_levels_are_distinct_numbers():
    assert check_levels(80) == (80.0,)
    assert check_levels([95, 50.5]) == (95.0, 50.5)
    with pytest.raises(InputError, match="twice"):
        check_levels([80, 80.0])
    with pytest.raises(InputError, match="level is empty"):
        check_levels(())
    with pytest.raises(InputTypeError, match="level must be a number"):
        check_levels("80")


def test_repr_says_what_it_is(forecast):
    assert repr(forecast) == "Forecast(Gaussian, n_series=1, horizon=3, n_outputs=1)"
    mapped = Forecast(Transformed(gaussian(), np.exp, [True]), rows(3))
    assert repr(Forecast(Stacked([gaussian()]), rows(3))) == repr(forecast)
    assert repr(mapped) == "Forecast(Gaussian, transformed, n_series=1, horizon=3, n_outputs=1)"
    assert "lo-95" in forecast._repr_html_()
    assert repr(Forecast(Paths(np.zeros((2, 1, 3, 1))), rows(3))).startswith("Forecast(Paths,")
