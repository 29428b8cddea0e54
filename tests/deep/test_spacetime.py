"""SpaceTime as a forecaster: it learns, its state is exact, and what it cannot do it says."""

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone

import ssmts
from ssmts import SpaceTimeForecaster
from ssmts.deep.calibration import RECENT
from ssmts.deep.losses import LEVELS, LOSSES
from ssmts.deep.scaling import NORMALIZATIONS
from ssmts.exceptions import FutureRowsError, InputError, SsmtsError, TooShortError

SMALL = {
    "context_length": 24,
    "horizon": 8,
    "width": 6,
    "state_size": 12,
    "max_epochs": 2,
    "batches_per_epoch": 5,
    "random_state": 0,
    "n_threads": 1,
}


def small(**more):
    return SpaceTimeForecaster(**{**SMALL, **more})


def wave(n=160, seed=0, name="load"):
    rng = np.random.default_rng(seed)
    t = np.arange(n)
    y = 20 + 3 * np.sin(2 * np.pi * t / 12) + 0.4 * rng.normal(size=n)
    return pd.Series(y, pd.date_range("2024-01-01", periods=n, freq="h"), name=name)


def same(a, b, tolerance=1e-5):
    a, b = (each.forecast(6).to_frame().to_numpy() for each in (a, b))
    np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


def test_a_season_is_learnt_better_than_by_the_last_value_and_its_intervals_cover():
    y = wave(700)
    f = small(max_epochs=12, batches_per_epoch=40, width=12, learning_rate=0.01).fit(y[:600])
    errors, inside = [], []
    for start in range(600, 690, 5):
        truth = y[start : start + 8]
        frame = f.forecast(8).to_frame()
        errors.append((frame["mean"] - truth).abs().mean())
        inside.append(((frame["lo-80"] <= truth) & (truth <= frame["hi-80"])).mean())
        f.update(y[start : start + 5])
    assert np.mean(errors) < 0.6  # the noise alone leaves 0.32, the last value 3.3
    assert 0.6 < np.mean(inside) < 0.95


@pytest.mark.parametrize("loss", ["quantile", "mse"])
def test_intervals_follow_what_came_since_fit(loss):
    y = wave(600)
    f = small(loss=loss, max_epochs=8, batches_per_epoch=30).fit(y[:400])
    width = f.forecast(8).interval(80).diff(axis=1).iloc[:, 1].mean()
    calm, rough = clone(f), clone(f)
    calm.__dict__.update(f.__dict__)
    rough.__dict__.update(f.__dict__)
    calm.update(y[400:440])
    louder = y + pd.Series(2.0 * np.random.default_rng(1).normal(size=600), y.index)
    rough.update(louder[400:440])
    now, then = (each.forecast(8) for each in (rough, calm))
    assert then.interval(80).diff(axis=1).iloc[:, 1].mean() == pytest.approx(width, rel=0.5)
    assert now.interval(80).diff(axis=1).iloc[:, 1].mean() > 2 * width
    inside = []
    for start in range(440, 590, 10):
        rough.update(louder[start : start + 10])
        bounds = rough.forecast(8).interval(80)
        truth = louder.reindex(bounds.index).dropna()
        bounds = bounds.loc[truth.index]
        inside.append(((bounds["lo-80"] <= truth) & (truth <= bounds["hi-80"])).mean())
    assert np.nanmean(inside) == pytest.approx(0.8, abs=0.13)  # with the widths of fit: a quarter


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_update_is_what_a_longer_fit_would_see(normalization):
    y = wave()
    holes = y.copy()
    holes.iloc[[5, 70, 100, 101, 119, 125]] = np.nan
    f = small(normalization=normalization).fit(holes[:120])
    at_once, single = clone(f), clone(f)
    at_once.__dict__.update(f.__dict__)
    single.__dict__.update(f.__dict__)
    at_once.update(holes[120:140])
    for row in range(120, 140):
        single.update(holes[row : row + 1])
    same(at_once, single, 1e-4)
    # the window of a model that has seen the same rows in another way
    kept = 24 + RECENT * f.horizon
    np.testing.assert_array_equal(at_once.stands_[0].rows[:, 0], holes[140 - kept : 140])
    whole = f._scaled_with({k: v for k, v in f.__dict__.items() if k.endswith("_")})
    nothing = f.stands_[0]._replace(rows=np.zeros((0, 1)), state=None, latest=np.array([np.nan]), n_new=-120)
    whole.stands_ = (f._moved(0, nothing, holes[:140].to_numpy()[:, None], None),)
    whole.last_ = at_once.last_
    same(whole, at_once, 1e-4)
    assert f.capabilities.recurrent == (normalization == "none")


def test_a_recurrent_state_says_what_the_window_says_while_it_has_seen_no_more():
    y = wave(60)
    f = small(context_length=59, normalization="none", validation=None).fit(y)
    stateless = clone(f)
    stateless.__dict__.update(f.__dict__)
    stateless.stands_ = (f.stands_[0]._replace(state=None),)
    np.testing.assert_allclose(f.predict(8)[1:], stateless.predict(8)[1:], rtol=0.05)


@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_gives_a_distribution_that_grows_beyond_the_horizon(loss):
    y = wave()
    f = small(loss=loss).fit(y)
    frame = f.forecast(30, level=(80, 95)).to_frame()
    assert np.isfinite(frame.to_numpy()).all()
    assert (frame["lo-95"] <= frame["lo-80"]).all()
    assert (frame["lo-80"] < frame["hi-80"]).all()
    np.testing.assert_allclose(f.predict(5), f.predict(30)[:5], rtol=1e-5)
    factor = f.calibration_.at(np.array([8, 32]))
    assert factor[1] == pytest.approx(2 * factor[0])
    q = f.predict_quantiles(4, q=LEVELS[:3])
    assert (q.diff(axis=1).iloc[:, 1:] >= 0).all().all()
    wide = frame["hi-80"] - frame["lo-80"]  # what is said of widths beyond the horizon is not learnt, and not asked for
    np.testing.assert_allclose(wide[8:], wide.iloc[7] * np.sqrt(np.arange(9, 31) / 8), rtol=1e-5)
    with pytest.raises(InputError):
        f.sample(3)


@pytest.mark.parametrize("normalization", ["standardize", "none"])
def test_intervals_after_a_gap_are_about_as_wide_as_before_it(normalization):
    y = wave(600)
    f = small(normalization=normalization, max_epochs=8, batches_per_epoch=30).fit(y[:400])
    f.update(y[400:440])
    width = f.forecast(8).interval(80).diff(axis=1).iloc[:, 1].mean()
    f.update(y[440:540] * np.nan)
    assert np.isfinite(f.forecast(8).interval(80)).all().all()
    f.update(y[540:541])  # one value says nothing of a scale
    assert f.forecast(8).interval(80).diff(axis=1).iloc[:, 1].mean() > 0.5 * width
    f.update(y[541:570])
    assert 0.5 * width < f.forecast(8).interval(80).diff(axis=1).iloc[:, 1].mean() < 2 * width


def test_scale_and_height_do_not_matter():
    y = wave()
    a, b = small().fit(y), small().fit(10 * y + 300)
    np.testing.assert_allclose(10 * a.predict(8) + 300, b.predict(8), rtol=1e-4)


def test_series_of_a_panel_in_any_order_and_of_any_length():
    parts = {"p": wave(seed=1), "q": wave(90, seed=2), "r": wave(30, seed=3)}
    f = small().fit(pd.concat(parts, names=["series"]))
    out = f.forecast(5).to_frame()
    assert list(out.index.get_level_values(0).unique()) == ["p", "q", "r"]
    for key, y in parts.items():
        assert out.loc[key].index[0] == y.index[-1] + pd.Timedelta("1h")
    g = clone(f)
    g.__dict__.update(f.__dict__)
    g.update(pd.concat({"q": wave(95, seed=2)[90:]}, names=["series"]))
    np.testing.assert_allclose(g.predict(5).loc["p"], f.predict(5).loc["p"], rtol=1e-5)
    assert not np.allclose(g.predict(5).loc["q"], f.predict(5).loc["q"])


@pytest.mark.parametrize("normalization", ["last", "none"])
def test_series_are_forecast_together_as_they_are_one_by_one(normalization):
    """Whatever the number of their rows ahead, with covariates and without."""
    y = pd.concat({"p": wave(seed=1), "q": wave(90, seed=2), "r": wave(20, seed=3)}, names=["series"])
    X = pd.DataFrame({"u": np.random.default_rng(0).normal(size=len(y))}, y.index)
    rows = {"p": 3, "q": 11, "r": 6}
    for covariates in (X, X[[]]):
        f = small(normalization=normalization).fit(covariates, y)
        ahead = ssmts.future_frame(f, 11).fillna(0.7)
        asked = pd.concat([ahead.loc[[key]].iloc[:n] for key, n in rows.items()])
        together = f.forecast(asked).to_frame()
        for key in rows:
            alone = f.forecast(asked.loc[[key]]).to_frame()
            np.testing.assert_allclose(together.loc[key], alone.loc[key], rtol=1e-4)


@pytest.mark.parametrize("normalization", ["standardize", "none"])
def test_a_series_unseen_in_fit_joins_by_its_rows(normalization):
    stamps = wave(200).index
    X = pd.DataFrame({"u": np.random.default_rng(0).normal(size=200)}, stamps)
    p, z = wave(120), 50 * wave(90, seed=5) - 300
    f = small(normalization=normalization).fit(
        pd.concat({"p": X[:120]}, names=["id"]), pd.concat({"p": p}, names=["id"])
    )
    ahead = pd.concat({"p": X[120:126]}, names=["id"])
    before = f.predict(ahead)
    f.update(pd.concat({"z": X[:90]}, names=["id"]), pd.concat({"z": z}, names=["id"]))
    np.testing.assert_allclose(f.predict(ahead), before, rtol=1e-5)
    out = f.predict(pd.concat({"z": X[90:96]}, names=["id"]))
    assert out["z"].index.equals(stamps[90:96])
    assert abs(out - z.mean()).max() < 4 * z.std()
    np.testing.assert_allclose(f.centre_[1], z.mean())
    more = pd.concat({"z": X[90:91], "p": X[120:121]}, names=["id"])
    f.update(more, pd.Series([700.0, 20.0], more.index))
    np.testing.assert_allclose(f.centre_[1], z.mean())
    assert [len(stand.rows) for stand in f.stands_] == [24 + RECENT * f.horizon] * 2
    assert [stand.n_new for stand in f.stands_] == [1, min(91 - 24, RECENT * f.horizon)]


def test_columns_are_one_series_and_constant_ones_stay():
    y = pd.DataFrame({"a": wave(seed=1), "b": wave(seed=2), "flat": 7.0})
    f = small(max_epochs=10, loss="gaussian").fit(y)
    out = f.predict(6)
    assert list(out.columns) == ["a", "b", "flat"]
    np.testing.assert_allclose(out["flat"], 7.0, atol=0.5)
    assert f.capabilities.joint


def test_covariates_known_in_advance_matter():
    y = wave(400)
    stamps = pd.date_range("2024-01-01", periods=408, freq="h")
    X = pd.DataFrame({"sale": (np.random.default_rng(0).random(408) < 0.2).astype(float)}, stamps)
    y = y + 8 * X["sale"][:400]
    f = small(max_epochs=15, batches_per_epoch=40, learning_rate=0.01).fit(X[:400], y)
    ahead = X[400:].assign(sale=0.0)
    without = f.predict(ahead)
    ahead.iloc[3] = 1.0
    effect = f.predict(ahead) - without
    assert effect.iloc[3] == pytest.approx(8, abs=2.5)
    assert abs(effect.iloc[:3]).max() < 1e-6
    with pytest.raises(FutureRowsError):
        f.predict(ahead[["sale"]].iloc[[0, 2]])
    with pytest.raises(SsmtsError):
        f.predict(4)
    before = f.predict(ahead)
    f.update(ahead.iloc[:1], pd.Series([20.0], ahead.index[:1], name="load"))
    assert f.predict(ahead.iloc[1:]).index.equals(ahead.index[1:])
    assert len(before) == 8


@pytest.mark.parametrize("normalization", ["standardize", "none"])
def test_absent_rows_have_the_mean_of_the_covariates_and_do_not_count_in_it(normalization):
    y = wave(160)
    X = pd.DataFrame(
        {"u": 1000 + np.random.default_rng(0).normal(size=166)}, pd.date_range(y.index[0], periods=166, freq="h")
    )
    there = np.ones(160, dtype=bool)
    there[[40, 41, 90]] = False
    there[122:130] = False
    f = small(normalization=normalization).fit(X[:120][there[:120]], y[:120][there[:120]])
    np.testing.assert_allclose(f.x_centre_, X[:120][there[:120]].mean())
    np.testing.assert_allclose(f.x_spread_, X[:120][there[:120]].std(ddof=0))
    filled = clone(f)
    filled.__dict__.update(f.__dict__)
    f.update(X[120:160][there[120:]], y[120:][there[120:]])
    filled.update(X[120:160].where(there[120:, None], f.x_centre_[0]), y[120:].where(there[120:]))
    same_rows = (each.forecast(X[160:]).to_frame() for each in (f, filled))
    np.testing.assert_allclose(*same_rows, rtol=1e-6)
    changed = X[30:60].copy()
    changed.iloc[10] = 1002.0
    within = f.predict(X[30:60])  # absent rows are asked with covariates of their own
    assert np.isfinite(within).all()
    assert within.iloc[10] != f.predict(changed).iloc[10]


def test_in_sample_predictions_look_back_only():
    y = wave()
    f = small(loss="gaussian").fit(y)
    found = f.predict(y.to_frame()[[]])
    assert np.isnan(found.iloc[0])
    changed = y.copy()
    changed.iloc[100:] += 5
    mean, variance = f._one_step(0, changed.to_numpy()[:, None], None)
    np.testing.assert_allclose(mean[1:101, 0], found[1:101], rtol=1e-5)
    assert abs(mean[101, 0] - found.iloc[101]) > 0.1
    assert (variance[1:] > 0).all()


@pytest.mark.parametrize("loss", LOSSES)
def test_rows_within_and_after_the_training_rows_are_answered_at_once(loss):
    y = wave()
    f = small(loss=loss).fit(y)
    asked = pd.DataFrame(index=pd.date_range(y.index[150], periods=14, freq="h"))
    together = f.forecast(asked).to_frame()
    apart = pd.concat([f.forecast(asked[:10]).to_frame(), f.forecast(4).to_frame()])
    np.testing.assert_allclose(together, apart, rtol=1e-12)
    np.testing.assert_allclose(f.predict(asked[::-2][::-1]), apart["mean"][1::2], rtol=1e-12)
    first = pd.DataFrame(index=y.index[:1].append(asked.index[-1:]))  # nothing is known before the first row
    assert np.isnan(f.forecast(first).to_frame().iloc[0]).all()
    assert np.isfinite(f.forecast(first).to_frame().iloc[1]).all()


def test_series_may_be_visited_equally_often():
    """A short series that goes another way is learnt where it is not drowned by a long one."""
    t = np.arange(400)
    panel = pd.concat({"long": pd.Series(np.sin(t / 2)), "short": pd.Series(np.sin(t[:45] * 2))}, names=["id", "time"])
    seen = {}
    for sampling in ("windows", "series"):
        f = small(sampling=sampling, validation=None, batches_per_epoch=30, learning_rate=0.02).fit(panel)
        seen[sampling] = abs(f.predict(8)["short"].to_numpy() - np.sin(np.arange(45, 53) * 2)).mean()
    assert seen["series"] < 0.7 * seen["windows"]


def test_no_value_at_all_in_the_window_gives_the_mean_of_the_series():
    y = wave()
    f = small().fit(y)
    f.update(pd.Series(np.nan, pd.date_range(y.index[-1], periods=25, freq="h")[1:], name="load"))
    out = f.forecast(4).to_frame()
    assert np.isfinite(out.to_numpy()).all()
    assert (abs(out["mean"] - y.mean()) < 3 * y.std()).all()


def test_bad_input_is_said_and_what_was_fitted_stays():
    y = wave(60)
    f = small().fit(y)
    expected = f.predict(3)
    for bad, (value, said) in {
        "context_length": (100, "60 rows"),
        "average": (1.0, "average must be a number from 0 to below 1"),
        "horizon": (0, "horizon"),
        "loss": ("rmse", "'mse'"),
        "normalization": ("minmax", "'last'"),
        "width": (2.5, "width"),
        "dropout": (1.5, "dropout"),
        "validation": (1.5, "validation"),
        "loss_weights": ((1, 2), "three numbers"),
        "learning_rate": (-1, "learning_rate"),
        "sampling": ("rows", "'windows', 'series'"),
        "checkpoint_steps": (0, "checkpoint_steps must be a whole number"),
        "preprocess": ("yes", "preprocess must be True or False"),
        "progress": ("no", "progress must be True or False"),
        "device": ("meta", "device must be 'auto'"),
        "random_state": ("0", "random_state must be None"),
        "stride": (0, "stride"),
    }.items():
        f.set_params(**{bad: value})
        with pytest.raises(InputError, match=said):
            f.fit(y)
        f.set_params(**{bad: SMALL.get(bad, SpaceTimeForecaster().get_params()[bad])})
        np.testing.assert_array_equal(f.predict(3), expected)
    with pytest.raises(InputError, match="n_threads must be a whole number"):
        small(n_threads=0).fit(y)
    with pytest.raises(InputError, match=r"a width of at least 2.*received width=1"):
        small(width=1, preprocess=True).fit(y)
    with pytest.raises(InputError, match=r"validation=10000 leaves 3 rows .* the longest has 60"):
        small(validation=10_000).fit(y)
    for several in ({"context_length": np.arange(2, 4)}, {"loss": np.array(["mse", "mae"])}):
        with pytest.raises(InputError, match="must be"):
            small(**several).fit(y)
    with pytest.raises(InputError, match=r"There is no window .* validate by fewer"):
        small().fit(y.where(np.arange(60) > 56))
    with pytest.raises(InputError, match="three numbers"):
        small(loss_weights=(1, "a", 0)).fit(y)
    with pytest.raises(TooShortError, match="3 rows"):
        small(context_length="auto").fit(y[:2])
    if not torch.cuda.is_available():
        with pytest.raises(InputError, match="no CUDA"):
            small(device="cuda").fit(y)


def test_values_that_no_network_can_read_are_refused_and_the_state_stays():
    y, X = wave(60), pd.DataFrame({"u": np.cos(np.arange(63.0))}, pd.date_range("2024-01-01", periods=63, freq="h"))
    far = pd.Series(1e38, X.index[60:], name="load")
    for normalization in ("standardize", "none"):
        f = small(normalization=normalization).fit(y)
        expected = f.predict(3)
        with pytest.raises(InputError, match=r"y holds 1e\+38, which lies 5e\+37 standard deviations"):
            f.update(far)
        np.testing.assert_array_equal(f.predict(3), expected)
        g = small(normalization=normalization).fit(X[:60], y)
        expected = g.predict(X[60:])
        with pytest.raises(InputError, match=r"X holds .*e\+38"):
            g.predict(1e38 * X[60:])
        with pytest.raises(InputError, match=r"X holds .*e\+38"):
            g.update(1e38 * X[60:], far * 0)
        np.testing.assert_array_equal(g.predict(X[60:]), expected)


@pytest.mark.parametrize("size", [1e-300, 1e-20, 1e200, 1e300])
def test_a_series_of_any_size_is_forecast_alike(size):
    y = wave(60)
    np.testing.assert_allclose(small().fit(y * size).predict(3) / size, small().fit(y).predict(3), rtol=1e-4)


@pytest.mark.parametrize("n", [3, 4, 7, 10])
def test_a_few_rows_are_enough(n):
    out = SpaceTimeForecaster(max_epochs=1, width=4, state_size=4, random_state=0).fit(np.arange(float(n))).forecast(3)
    assert np.isfinite(out.interval(80)).all()
