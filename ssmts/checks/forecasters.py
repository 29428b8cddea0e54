"""What every forecaster is held to, one function a promise."""

from __future__ import annotations

import importlib.util
import pickle
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.base import clone

from ..base import BaseForecaster
from ..persist import load, save
from ._material import close, covariates, fit, refuses, series


def check_forecaster_gives_back_the_kind_it_got(forecaster: BaseForecaster) -> None:
    """Series, frames, two-level indexes, long frames and arrays come back as they went in, with the future index."""
    y = series()
    wide = pd.DataFrame({"a": y, "b": y.iloc[::-1].to_numpy()})
    future = pd.date_range(y.index[-1] + y.index.freq, periods=5, freq="D", name=y.index.name)
    out = fit(forecaster, y).predict(5)
    assert isinstance(out, pd.Series)
    assert out.name == y.name
    assert out.index.equals(future)
    assert out.index.name == y.index.name
    out = fit(forecaster, wide).predict(5)
    assert list(out.columns) == ["a", "b"]
    assert out.index.equals(future)
    panel = pd.concat({"p": y, "q": y[:-3] + 1}, names=["series"])
    out = fit(forecaster, panel).predict(5)
    assert out.index.names == panel.index.names
    assert out["q"].index[0] == y.index[-3], "every series goes on after its own last row"
    array = fit(forecaster, y.to_numpy()).predict(5)
    assert isinstance(array, np.ndarray)
    assert array.shape == (5,)
    assert fit(forecaster, wide.to_numpy()).predict(5).shape == (5, 2)
    long = panel.rename("y").rename_axis(["unique_id", "ds"]).reset_index()
    out = fit(forecaster, long).predict(5)
    assert list(out.columns) == ["unique_id", "ds", "y"]
    if importlib.util.find_spec("polars"):
        import polars as pl

        other = fit(forecaster, pl.DataFrame(long.to_dict("list"))).predict(5)
        assert isinstance(other, pl.DataFrame)
        close(other["y"].to_numpy(), out["y"].to_numpy(), "polars and pandas long frames")
    framed = fit(forecaster, pd.DataFrame(index=y.index), y.to_numpy()).predict(5)
    assert isinstance(framed, np.ndarray), "an array in y gives an array out, even when X is a frame"


def check_forecaster_reads_every_time_index(forecaster: BaseForecaster) -> None:
    """Zones, periods and integers mean the same rows; only the index of the answer differs."""
    y = series()
    expected = fit(forecaster, y).predict(4).to_numpy()
    for index in (
        pd.date_range("2024-03-30 12:00", periods=len(y), freq="h", tz="Europe/Berlin"),
        pd.period_range("2020-01", periods=len(y), freq="M"),
        pd.RangeIndex(1900, 1900 + len(y)),
        pd.date_range("2020-01-31", periods=len(y), freq="ME"),
    ):
        out = fit(forecaster, pd.Series(y.to_numpy(), index=index)).predict(4)
        close(out.to_numpy(), expected, f"forecasts on {type(index).__name__}")
        assert out.index[0] > index[-1]
        assert getattr(out.index, "tz", None) == getattr(index, "tz", None)


def check_forecaster_frame_of_several_columns_is_each_column(forecaster: BaseForecaster) -> None:
    """Unless the model is joint, every column is forecast as if it stood alone."""
    if forecaster.capabilities.joint:
        return
    y = series()
    wide = pd.DataFrame({"a": y, "b": y.iloc[::-1].to_numpy() * 2})
    out = fit(forecaster, wide).forecast(4).to_frame()
    for name in wide:
        close(
            out[name].to_numpy(),
            fit(forecaster, wide[name]).forecast(4).to_frame().to_numpy(),
            f"column {name!r} alone",
        )


def check_forecaster_panel_equals_its_series(forecaster: BaseForecaster) -> None:
    """A panel is its series one by one, whatever their order, unless parameters are pooled."""
    if forecaster.capabilities.pooled:
        return
    y = series()
    parts = {"p": y, "q": y[:-4] * 3 + 1, "r": y[10:]}
    panel = pd.concat(parts, names=["series"])
    out = fit(forecaster, panel).forecast(4).to_frame()
    shuffled = fit(forecaster, pd.concat({k: parts[k] for k in "rpq"}, names=["series"])).forecast(4).to_frame()
    for key, part in parts.items():
        alone = fit(forecaster, part).forecast(4).to_frame()
        close(out.loc[key].to_numpy(), alone.to_numpy(), f"series {key!r} alone")
        close(shuffled.loc[key].to_numpy(), alone.to_numpy(), "another order of the series")


def check_forecaster_update_in_pieces_equals_at_once(forecaster: BaseForecaster) -> None:
    """Rows one by one, in pieces or at once lead to the same state, and the forecast index moves on."""
    y = series()
    at_once = fit(forecaster, y[:40]).update(y[40:])
    one_by_one = fit(forecaster, y[:40])
    for row in range(40, len(y)):
        assert one_by_one.update(y[row : row + 1]) is one_by_one
    a, b = at_once.forecast(6).to_frame(), one_by_one.forecast(6).to_frame()
    assert a.index[0] == y.index[-1] + y.index.freq
    close(a.to_numpy(), b.to_numpy(), "update row by row", 1e-9)
    array = fit(forecaster, y[:40].to_numpy()).update(y[40:].to_numpy())
    close(array.predict(6), a["mean"].to_numpy(), "update with arrays")
    panel = pd.concat({"p": y[:40], "q": y[:40]}, names=["series"])
    partial = fit(forecaster, panel).update(pd.concat({"q": y[40:]}, names=["series"]))
    if not forecaster.capabilities.pooled:
        close(partial.predict(6).loc["q"].to_numpy(), a["mean"].to_numpy(), "update of one series of a panel")
    assert partial.predict(6).loc["p"].index[0] == y.index[40]


def check_forecaster_missing_rows_are_nan_rows(forecaster: BaseForecaster) -> None:
    """NaN in y and absent rows are the same, in `fit` and in `update`."""
    if not forecaster.capabilities.missing:
        return
    y = series().astype(float)
    holes = y.copy()
    holes.iloc[[5, 6, 20, 45, 50, 51]] = np.nan
    a, b = fit(forecaster, holes), fit(forecaster, holes.dropna())
    close(a.forecast(5).to_frame().to_numpy(), b.forecast(5).to_frame().to_numpy(), "absent rows")
    a = fit(forecaster, holes[:44]).update(holes[44:])
    b = fit(forecaster, holes[:44].dropna()).update(holes[44:].dropna())
    close(a.forecast(5).to_frame().to_numpy(), b.forecast(5).to_frame().to_numpy(), "absent rows in update")


def check_forecaster_in_sample_and_gaps(forecaster: BaseForecaster) -> None:
    """Training rows get one-step-ahead predictions, later rows forecasts, and a gap before them is forecast through."""
    y = series()
    f = fit(forecaster, y)
    inside = f.predict(y)
    assert inside.index.equals(y.index)
    close(f.predict(y[30:40]).to_numpy(), inside[30:40].to_numpy(), "a part of the training rows")
    known = inside.dropna().index[-1]
    before = fit(forecaster, y[:known][:-1])
    assert np.isfinite(before.predict(1)).all()
    later = pd.DataFrame(index=pd.date_range(y.index[-1], periods=9, freq="D")[3:])
    close(f.predict(later).to_numpy(), f.predict(8)[2:].to_numpy(), "rows after a gap")
    both = pd.DataFrame(index=pd.date_range(y.index[-2], periods=4, freq="D"))
    close(f.predict(both).to_numpy(), np.concatenate([inside[-2:], f.predict(2)]), "training rows and later ones")
    changed = y[-3:].copy() * np.nan
    close(
        f.predict(changed).to_numpy(), inside[-3:].to_numpy(), "values of a y handed to predict, which must not be read"
    )


def check_forecaster_distribution(forecaster: BaseForecaster) -> None:
    """Quantiles rise, intervals nest around the median, paths agree with them and repeat under a seed."""
    f = fit(forecaster, series())
    forecast = f.forecast(6, level=(50, 90))
    frame = forecast.to_frame()
    assert list(frame.columns) == ["mean", "lo-50", "hi-50", "lo-90", "hi-90"]
    assert (frame["lo-90"] <= frame["lo-50"]).all()
    assert (frame["lo-50"] <= frame["hi-50"]).all()
    assert (frame["hi-50"] <= frame["hi-90"]).all()
    close(f.predict(6).to_numpy(), frame["mean"].to_numpy(), "predict and the mean")
    close(f.predict_interval(6, level=50).to_numpy(), frame[["lo-50", "hi-50"]].to_numpy(), "predict_interval")
    quantiles = f.predict_quantiles(6, q=(0.05, 0.5, 0.95))
    close(quantiles["q-0.05"].to_numpy(), frame["lo-90"].to_numpy(), "quantile and interval")
    if forecaster.capabilities.paths:
        paths = f.sample(6, n_paths=4000, random_state=1)
        assert paths.shape == (6, 4000)
        assert paths.equals(f.sample(6, n_paths=4000, random_state=1)), "a seed repeats paths"
        spread = (frame["hi-90"] - frame["lo-90"]).to_numpy()
        error = np.abs(np.quantile(paths, 0.95, axis=1) - frame["hi-90"].to_numpy())
        assert (error < 0.1 * spread + 1e-12).all(), "quantiles of paths differ from the quantiles"


def check_forecaster_covariates(forecaster: BaseForecaster) -> None:
    """X_future is wanted, row by row and column by column; its index says when."""
    y, X = series(), covariates()
    f = fit(forecaster, X, y)
    future = pd.DataFrame(
        {"u": [0.5, -0.5, 1.0], "v": [0.0, 1.0, 0.0]},
        index=pd.date_range(y.index[-1] + y.index.freq, periods=3, freq="D"),
    )
    expected = f.predict(future)
    assert expected.index.equals(future.index)
    refuses(lambda: f.predict(3), "X_future", "a horizon without the covariates")
    refuses(lambda: f.predict(future[["u"]]), "feature names", "a missing column")
    refuses(lambda: f.predict(future.assign(w=1.0)), "feature names", "an extra column")
    refuses(lambda: f.predict(future.rename(columns={"u": "U"})), "feature names", "a renamed column")
    refuses(lambda: f.predict(future.iloc[[0, 2]]), "no row for", "a missing stamp")
    refuses(lambda: f.predict(future.to_numpy()), "set_output", "an array where fit saw an index")
    refuses(lambda: f.predict(future.reset_index(drop=True)), "", "a default index where fit saw dates")
    refuses(lambda: f.predict(future.assign(u=np.nan)), "NaN", "NaN in X_future")
    refuses(lambda: f.update(y[-1:]), "", "update without its covariates")
    close(f.predict(future).to_numpy(), expected.to_numpy(), "the forecaster after refused calls")
    arrays = fit(forecaster, X.to_numpy(), y.to_numpy())
    close(arrays.predict(future.to_numpy()), expected.to_numpy(), "arrays, whose rows follow the training rows")
    if forecaster.capabilities.covariates:
        assert not np.allclose(f.predict(future + 5.0), expected), "covariates are not used"


def check_forecaster_refuses_bad_rows(forecaster: BaseForecaster) -> None:
    """Rows that cannot be used are refused by name, and what was fitted stays usable."""
    y = series()
    f = fit(forecaster, y)
    expected = f.predict(3)
    index = y.index
    twice, back = index.to_numpy().copy(), index.to_numpy().copy()
    twice[7] = twice[6]
    back[[7, 8]] = back[[8, 7]]
    mixed = pd.Index(
        [stamp.tz_localize("UTC" if i % 2 else "Europe/Berlin") for i, stamp in enumerate(index)], dtype=object
    )
    odd = pd.DatetimeIndex(
        index[:3].tolist() + [index[3] + pd.Timedelta("1.234s"), index[5] + pd.Timedelta("7h"), index[8]]
    )
    values = y.to_numpy(dtype=float)
    bad = {
        "duplicate stamps": pd.Series(values, index=pd.DatetimeIndex(twice)),
        "decreasing stamps": pd.Series(values, index=pd.DatetimeIndex(back)),
        "mixed zones": pd.Series(values, index=mixed),
        "infinities": pd.Series(np.where(np.arange(len(y)) == 4, np.inf, values), index=index),
        "strings": pd.Series(["a"] * len(y), index=index),
        "NaN throughout": pd.Series(np.nan, index=index),
        "no rows": y[:0],
        "a stamp that is no time": pd.Series(values, index=[pd.NaT, *index[1:]]),
    }
    if not forecaster.capabilities.irregular:
        bad["no usable frequency"] = pd.Series(values[:6], index=odd)
    for what, bad_y in bad.items():
        refuses(partial(f.fit, bad_y), "", f"fit with {what}")
        close(f.predict(3).to_numpy(), expected.to_numpy(), f"the forecaster after fit refused {what}")
    for what, rows in {
        "rows before the last": y[-2:],
        "an array": y[-2:].to_numpy(),
        "infinity": pd.Series([np.inf], index=[index[-1] + index.freq]),
        "another zone": pd.Series([1.0], index=(index[-1:] + index.freq).tz_localize("UTC")),
        "a stamp off the grid": pd.Series([1.0], index=index[-1:] + pd.Timedelta("1h")),
    }.items():
        refuses(partial(f.update, rows), "", f"update with {what}")
        close(f.predict(3).to_numpy(), expected.to_numpy(), f"the forecaster after update refused {what}")
    for horizon in (0, -3, 1.5, True, "3", None):
        refuses(partial(f.predict, horizon), "", f"the horizon {horizon!r}")
    panel = fit(forecaster, pd.concat({"p": y, "q": y}, names=["series"]))
    after = pd.Series([1.0], index=pd.MultiIndex.from_tuples([("z", index[-1] + index.freq)]))
    refuses(lambda: panel.predict(after), "'z'", "a series unseen in fit")
    if not forecaster.capabilities.unseen:
        refuses(lambda: panel.update(after), "'z'", "update with a series unseen in fit")


def check_forecaster_takes_unseen_series(forecaster: BaseForecaster) -> None:
    """Where it says so, a series that fit has not seen joins by its context, and is forecast as a series of fit with the same rows.

    The medians are the same; intervals may follow from errors on rows that were not learnt.
    """
    if not forecaster.capabilities.unseen:
        return
    y = series()
    panel = pd.concat({"p": y[:-5], "q": y[3:-9] * 2}, names=["series"])
    f = fit(forecaster, panel)
    before, middle = f.forecast(4).to_frame(), f.predict_quantiles(4, q=0.5)
    first, later = pd.concat({"z": y[:-5]}, names=["series"]), pd.concat({"z": y[-5:], "p": y[-5:]}, names=["series"])
    f.update(first)
    frame = f.forecast(4).to_frame()
    close(frame.loc[["p", "q"]].to_numpy(), before.to_numpy(), "series of fit after one has joined")
    joined = f.predict_quantiles(4, q=0.5).loc["z"]
    close(joined.to_numpy(), middle.loc["p"].to_numpy(), "a series with the rows of another")
    assert joined.index.equals(middle.loc["p"].index)
    f.update(later)
    frame, middle = f.forecast(4).to_frame(), f.predict_quantiles(4, q=0.5)
    close(middle.loc["z"].to_numpy(), middle.loc["p"].to_numpy(), "the same rows after both went on")
    assert np.isfinite(f.score(pd.concat({"z": y[-5:].shift(5, freq="D")}, names=["series"])))
    silent = pd.concat({"s": y[:9] * np.nan, "p": y[-5:].shift(5, freq="D")}, names=["series"])
    refuses(lambda: f.update(silent), "NaN throughout", "a series without any value")
    refuses(lambda: f.predict(first), "keeps no rows", "rows that update has seen")
    close(f.forecast(4).to_frame().to_numpy(), frame.to_numpy(), "the forecaster after refused calls")


def check_forecaster_takes_irregular_stamps(forecaster: BaseForecaster) -> None:
    """Where it says so, stamps without a frequency are taken as they are, and the stamps to predict say when."""
    if not forecaster.capabilities.irregular:
        return
    rng = np.random.default_rng(9)
    seconds = 86_400 * np.arange(60) + rng.integers(0, 80_000, 60)
    stamps = pd.Timestamp("2024-01-01") + pd.to_timedelta(seconds, unit="s")
    for index in (pd.DatetimeIndex(stamps), pd.DatetimeIndex(stamps).tz_localize("UTC"), pd.Index(seconds / 86_400)):
        y = pd.Series(series().to_numpy(), index=index, name="sales")
        f = fit(forecaster, y[:45])
        refuses(lambda f=f: f.predict(3), "no frequency", "a number of steps where nothing says when they are")  # type: ignore[misc]
        out = f.forecast(index[45:]).to_frame()
        assert out.index.equals(index[45:])
        assert np.isfinite(out.to_numpy()).all()
        close(f.predict(index[[50, 55]]).to_numpy(), out["mean"].iloc[[5, 10]].to_numpy(), "some of the stamps")
        inside = f.predict(y[:45])
        assert inside.index.equals(index[:45])
        both = f.predict(index[40:50])
        close(both.to_numpy(), np.concatenate([inside[40:], out["mean"][:5]]), "training rows and later ones")
        assert f.sample(index[45:], n_paths=7, random_state=0).shape == (15, 7)
        at_once, one_by_one = fit(forecaster, y[:45]).update(y[45:55]), fit(forecaster, y[:45])
        for row in range(45, 55):
            one_by_one.update(y[row : row + 1])
        close(one_by_one.predict(index[55:]).to_numpy(), at_once.predict(index[55:]).to_numpy(), "update row by row")
        refuses(partial(at_once.update, y[50:52]), "stands at", "rows before the last")
        panel = fit(forecaster, pd.concat({"p": y[:45], "q": y[3:40]}, names=["series"]))
        panel.update(pd.concat({"p": y[45:55]}, names=["series"]))
        asked = pd.MultiIndex.from_product([["p"], index[55:]], names=["series", None])
        close(panel.predict(asked).to_numpy(), at_once.predict(index[55:]).to_numpy(), "a series of a panel")
        holes = y[:45].where(np.arange(45) % 7 != 3)
        a, b = fit(forecaster, holes), fit(forecaster, holes.dropna())
        close(a.predict(index[45:]).to_numpy(), b.predict(index[45:]).to_numpy(), "NaN and absent rows", 1e-4)


def check_forecaster_leaves_its_input_alone(forecaster: BaseForecaster) -> None:
    """No call changes the caller's data or the constructor's arguments."""
    y, X = series(), covariates()
    y_copy, X_copy = y.copy(), X.copy()
    f = clone(forecaster)
    parameters = f.get_params()
    f.fit(X, y).predict(X)
    f.score(X, y)
    pd.testing.assert_series_equal(y, y_copy)
    pd.testing.assert_frame_equal(X, X_copy)
    assert repr(f.get_params()) == repr(parameters)


def check_forecaster_score(forecaster: BaseForecaster) -> None:
    """The score is 1 - MAE / mean absolute change of the training rows, NaN skipped, with or without weights."""
    y = series()
    train, test = y[:50], y[50:].astype(float)
    f = fit(forecaster, train)
    scale = train.diff().abs().mean()
    expected = 1 - (test - f.predict(len(test))).abs().mean() / scale
    close(f.score(test), expected, "score(y)")
    close(f.score(test, sample_weight=np.full(len(test), 2.0)), expected, "equal weights")
    holes = test.copy()
    holes.iloc[::2] = np.nan
    close(f.score(holes), 1 - (holes - f.predict(len(test))).abs().mean() / scale, "NaN in score")
    close(f.score(holes.dropna()), f.score(holes), "absent rows in score")
    refuses(lambda: f.score(test * np.nan), "no observed value", "score without any value")


def check_forecaster_target_transform(forecaster: BaseForecaster) -> None:
    """A transformed target is forecast on its own scale: median mapped, mean of the mapped distribution, tails swapped if decreasing."""
    from sklearn.preprocessing import FunctionTransformer, MinMaxScaler

    y = np.exp(series() / 10)
    plain = fit(forecaster, np.log(y)).forecast(4)
    log = FunctionTransformer(np.log, np.exp, check_inverse=False)
    mapped = fit(clone(forecaster).set_params(target_transform=log), y).forecast(4)
    for q in (0.1, 0.5, 0.9):
        close(
            mapped.quantile(q).to_numpy(),
            np.exp(plain.quantile(q)).to_numpy(),
            f"quantile {q} of the mapped distribution",
        )
    assert (mapped.mean > np.exp(plain.mean)).all(), (
        "the mean of the mapped distribution lies above the map of the mean"
    )
    decreasing = FunctionTransformer(np.negative, np.negative, check_inverse=False)
    a = fit(clone(forecaster).set_params(target_transform=decreasing), y).forecast(4)
    assert (a.quantile(0.9) > a.quantile(0.1)).all()
    scaled = fit(clone(forecaster).set_params(target_transform=MinMaxScaler()), y[:40]).update(y[40:])
    assert scaled.predict(2).index[0] > y.index[-1]
    refuses(
        lambda: fit(clone(forecaster).set_params(target_transform=log), -y),
        "target_transform",
        "log of negative values",
    )


def check_forecaster_saves_and_loads(forecaster: BaseForecaster) -> None:
    """A saved forecaster loads to identical forecasts and goes on; without its rows it says so where they are needed."""
    y = series()
    f = fit(forecaster, y)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.ssmts"
        save(f, path)
        loaded = load(path)
        assert f.forecast(5).to_frame().equals(loaded.forecast(5).to_frame())
        more = pd.Series([1.0, 2.0], index=pd.date_range(y.index[-1] + y.index.freq, periods=2, freq="D"))
        assert clone(f).fit(y).update(more).predict(3).equals(loaded.update(more).predict(3))
        refuses(lambda: loaded.predict(y), "not saved", "predictions within rows that were not saved")
        save(f, path, data=True)
        assert f.predict(y).equals(load(path).predict(y))
    again = pickle.loads(pickle.dumps(f))
    assert f.predict(3).equals(again.predict(3))
