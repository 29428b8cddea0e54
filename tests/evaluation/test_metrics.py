"""Metrics against scikit-learn, textbook formulas written out, and themselves over all containers."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
import sklearn.metrics as skm
from hypothesis import given, settings
from hypothesis import strategies as st

from ssmts import Long
from ssmts.evaluation import coverage, interval_score, mae, mase, mase_scale, pinball, rmse, smape
from ssmts.exceptions import InputError, UnknownSeriesError

NAN = np.nan
DAYS = pd.date_range("2024-01-01", periods=4, name="time")


def some_rows(seed=0, shape=(40,), share_missing=0.2):
    rng = np.random.default_rng(seed)
    y, f, w = rng.normal(10, 3, shape), rng.normal(10, 3, shape), rng.uniform(0, 2, shape)
    y[rng.uniform(size=shape) < share_missing] = NAN
    f[rng.uniform(size=shape) < share_missing] = NAN
    return y, f, w, ~(np.isnan(y) | np.isnan(f))


def panel(n_series=3, n_times=8, seed=0):
    """Truth and prediction with a two-level index, with NaN."""
    y, f, _, _ = some_rows(seed, (n_series * n_times,))
    index = pd.MultiIndex.from_product(
        [[f"s{i}" for i in range(n_series)], pd.date_range("2024-01-01", periods=n_times)], names=["shop", "time"]
    )
    return pd.Series(y, index, name="y"), pd.Series(f, index, name="f")


def wide(series):
    """A column a series."""
    return pd.concat({key: series.loc[key] for key in series.index.levels[0]}, axis=1, names=series.index.names[:1])


def long(series, value="y", frame=pd.DataFrame):
    table = series.rename(value).rename_axis(["unique_id", "ds"]).reset_index()
    return frame({column: table[column].to_numpy() for column in table})


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (mae, skm.mean_absolute_error),
        (rmse, skm.root_mean_squared_error),
        (lambda y, f, **w: pinball(y, f, q=0.3, **w), lambda y, f, **w: skm.mean_pinball_loss(y, f, alpha=0.3, **w)),
    ],
)
def test_scikit_learns_metrics_on_the_pairs_with_values(ours, theirs):
    y, f, w, known = some_rows()
    assert ours(y, f) == theirs(y[known], f[known])
    assert ours(y, f, sample_weight=w) == pytest.approx(theirs(y[known], f[known], sample_weight=w[known]), rel=1e-14)
    y, f, w, known = some_rows(1, (20, 3))
    assert ours(y, f, sample_weight=w) == pytest.approx(theirs(y[known], f[known], sample_weight=w[known]), rel=1e-14)


def test_smape_by_hand():
    assert smape([100.0, 0.0, -2.0, NAN], [110.0, 0.0, 2.0, 5.0]) == pytest.approx((20 / 2.1 + 0 + 200) / 3)


@given(st.integers(0, 100), st.sampled_from([mae, rmse, smape]))
@settings(deadline=None, max_examples=30)
def test_every_container_gives_the_same_number(seed, metric):
    y, f = panel(seed=seed)
    expected = metric(y.to_numpy(), f.to_numpy())
    wide_y, wide_f = wide(y), wide(f)
    pairs = [
        (y, f),
        (y, f.sample(frac=1.0, random_state=0)),  # aligned by the index, not by position
        (y, f.to_numpy()),
        (y.to_numpy(), f),
        (y.to_frame(), f.to_frame()),
        (y.dropna(), f),  # absent rows of the truth equal NaN
        (wide_y, wide_f[["s2", "s0", "s1"]]),
        (wide_y, wide_f.to_numpy()),
        (wide_y.to_numpy(), wide_f.to_numpy()),
        (long(y), long(f)),
        (long(y, frame=pl.DataFrame), long(f, frame=pl.DataFrame)),
        (Long(long(y, "sales").rename(columns={"ds": "day"}), "unique_id", "day", "sales"), f),
        (y.to_numpy().tolist(), f.to_numpy().tolist()),
    ]
    for truth, prediction in pairs:
        assert metric(truth, prediction) == pytest.approx(expected, rel=1e-13)


def test_by_series_over_all_containers():
    y, f = panel()
    expected = [mae(y.loc[key].to_numpy(), f.loc[key].to_numpy()) for key in ("s0", "s1", "s2")]
    by_key = pd.Series(expected, pd.Index(["s0", "s1", "s2"], name="shop"))
    pd.testing.assert_series_equal(mae(y, f, by="series"), by_key)
    pd.testing.assert_series_equal(mae(long(y), long(f), by="series"), by_key, check_names=False)
    wide_y, wide_f = wide(y), wide(f)
    pd.testing.assert_series_equal(mae(wide_y, wide_f, by="series"), by_key)
    np.testing.assert_array_equal(mae(wide_y.to_numpy(), wide_f.to_numpy(), by="series"), expected)
    np.testing.assert_array_equal(mae(y.loc["s0"].to_numpy(), f.loc["s0"].to_numpy(), by="series"), expected[:1])
    two = mae(pd.DataFrame({"a": y, "b": y}), pd.DataFrame({"b": f + 1, "a": f}), by="series")
    assert two.xs("a", level=1).tolist() == expected
    assert two["s1", "b"] == pytest.approx(mae(y.loc["s1"], f.loc["s1"] + 1))


def test_by_labels_equals_a_groupby():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"series": rng.choice(["b", "a"], 60), "cutoff": rng.integers(3, size=60)})
    frame["y"], frame["mean"] = rng.normal(size=60), rng.normal(size=60)
    frame.loc[3:9, "mean"] = NAN
    error = (frame["y"] - frame["mean"]).abs()
    one = mae(frame["y"], frame["mean"], by=frame["cutoff"])
    pd.testing.assert_series_equal(one.sort_index(), error.groupby(frame["cutoff"]).mean(), check_names=False)
    assert one.index.name == "cutoff"
    for by in (frame[["series", "cutoff"]], pd.MultiIndex.from_frame(frame[["series", "cutoff"]])):
        two = mae(frame["y"], frame["mean"], by=by)
        expected = error.groupby([frame["series"], frame["cutoff"]]).mean()
        pd.testing.assert_series_equal(two.sort_index(), expected, check_names=False)
        assert two.index.names == ["series", "cutoff"]
    columns = mae(frame[["y", "mean"]].fillna(0.0), np.zeros((60, 2)), by=frame["series"].tolist())
    assert columns["a"] == pytest.approx(
        frame[["y", "mean"]].fillna(0.0).abs()[frame["series"] == "a"].to_numpy().mean()
    )


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (mae, skm.mean_absolute_error),
        (rmse, skm.root_mean_squared_error),
        (lambda y, f, **w: pinball(y, f, q=0.3, **w), lambda y, f, **w: skm.mean_pinball_loss(y, f, alpha=0.3, **w)),
    ],
)
def test_groups_equal_scikit_learns_metrics_of_each(ours, theirs):
    y, f = panel()
    weight = pd.Series(np.random.default_rng(0).uniform(size=len(y)), y.index)
    each, weighted = ours(y, f, by="series"), ours(y, f, sample_weight=weight, by="series")
    for key in ("s0", "s1", "s2"):
        rows = (y + f).loc[key].notna().to_numpy()
        true, prediction, w = (part.loc[key].to_numpy()[rows] for part in (y, f, weight))
        assert each[key] == pytest.approx(theirs(true, prediction), rel=1e-13)
        assert weighted[key] == pytest.approx(theirs(true, prediction, sample_weight=w), rel=1e-13)


def test_groups_without_pairs_are_nan():
    y = pd.DataFrame({"a": [1.0, 2.0], "b": [NAN, NAN]})
    assert mae(y, y + 1, by="series").equals(pd.Series([1.0, NAN], ["a", "b"]))
    assert np.isnan(mae([NAN], [1.0]))
    assert np.isnan(mae([2.0], [1.0], sample_weight=[0.0]))


def test_weights_align_and_broadcast():
    y, f = pd.Series([1.0, 2.0, 3.0, 4.0], DAYS), pd.Series([2.0, 4.0, 6.0, 8.0], DAYS)
    weight = pd.Series([4.0, 3.0, 2.0, 1.0], DAYS[::-1])  # 1, 2, 3, 4 in the order of the truth
    assert mae(y, f, sample_weight=weight) == pytest.approx((1 + 4 + 9 + 16) / 10)
    two, two_f = pd.concat({"a": y, "b": y}, axis=1), pd.concat({"a": f, "b": f}, axis=1)
    assert mae(two, two_f, sample_weight=weight) == pytest.approx(3.0)
    for wrong in ([1.0, 2.0], [1.0, 1.0, 1.0, -1.0], [1.0, 1.0, 1.0, NAN]):
        with pytest.raises(InputError, match="sample_weight"):
            mae(y, f, sample_weight=wrong)


def test_alignment_refuses_to_score_what_was_not_predicted():
    y = pd.Series([1.0, NAN, 3.0, 4.0], DAYS)
    assert mae(y, pd.Series([1.0, 3.0, 5.0], DAYS[[0, 2, 3]])) == pytest.approx(1 / 3)  # the NaN needs no prediction
    with pytest.raises(InputError, match=r"no row for 2 of the 3 rows .*2024-01-03"):
        mae(y, pd.Series([1.0, 2.0], DAYS[:2]))
    with pytest.raises(InputError, match=r"no row for 3 of the 3 rows"):
        mae(y, pd.Series(y.to_numpy(), DAYS.to_period("D")))
    with pytest.raises(InputError, match="twice"):
        mae(y, pd.Series([1.0, 2.0, 3.0], DAYS[[0, 0, 1]]))
    with pytest.raises(InputError, match=r"1 level\(s\)"):
        mae(panel()[0], y)
    with pytest.raises(InputError, match="has the shape"):
        mae(y, [1.0, 2.0])
    with pytest.raises(InputError, match="column"):
        mae(pd.DataFrame({"a": y, "b": y}), pd.DataFrame({"a": y, "c": y}))
    with pytest.raises(InputError, match="has the shape"):
        mae(pd.DataFrame({"a": y, "b": y}), y)
    with pytest.raises(InputError, match="not numeric"):
        mae(y, ["a", "b", "c", "d"])
    with pytest.raises(InputError, match=r"\(2, 2, 2\)"):
        mae(np.zeros((2, 2, 2)), np.zeros((2, 2, 2)))
    with pytest.raises(InputError, match="2 rows"):
        mae([1.0, 2.0, 3.0], pd.Series([1.0, 2.0]))


def test_bad_groups():
    for by, what in [("column", "'series'"), ([1, 2], "2 labels"), (["a", None, "b", "c"], "row 1")]:
        with pytest.raises(InputError, match=what):
            mae(np.ones(4), np.ones(4), by=by)


def test_mase_by_hand():
    train = [1.0, 3.0, NAN, 7.0, 11.0]  # naive errors of lag 1: 2, 4; of lag 2: 4 (3 -> 7)
    assert mase_scale(train).tolist() == [3.0]
    assert mase_scale(train, 2).tolist() == [4.0]
    assert mase_scale(train, 5).tolist() == [3.0]  # not longer than the season: lag 1
    assert mase_scale(train, 1.6).tolist() == [4.0]
    assert mase([10.0, 20.0], [12.0, 20.0], y_train=train, season_length=2) == pytest.approx(0.25)


def test_mase_is_the_mean_over_series():
    y, f = panel()
    train = pd.concat(
        {key: pd.Series(np.arange(6.0) ** i, pd.RangeIndex(6)) for i, key in enumerate(["s2", "s1", "s0"])}
    )
    errors = mae(y, f, by="series")
    each = mase(y, f, y_train=train, by="series")
    assert np.isnan(each["s2"])  # constant in training: no scale
    assert each["s1"] == pytest.approx(errors["s1"])  # 0, 1, 2, ...: steps of 1
    assert each["s0"] == pytest.approx(errors["s0"] / 5)  # 0, 1, 4, 9, 16, 25: mean step 5
    assert mase(y, f, y_train=train) == pytest.approx(each[["s0", "s1"]].mean())
    options = {"y_train": wide(train), "by": "series"}
    pd.testing.assert_series_equal(mase(wide(y), wide(f), **options), each)
    assert np.isnan(mase([1.0], [2.0], y_train=[5.0, 5.0, 5.0]))


def test_mase_of_absent_training_rows_equals_nan():
    y = pd.Series(np.random.default_rng(0).normal(size=60), pd.date_range("2024", periods=60))
    y.iloc[[10, 11, 25, 40]] = NAN
    assert mase_scale(y.dropna(), 7).iloc[0] == mase_scale(y, 7).iloc[0]
    irregular = pd.Series([1.0, 2.0, 4.0], pd.DatetimeIndex(["2024-01-01", "2024-01-08", "2024-01-22"]))
    assert mase_scale(irregular, 1, freq="7D").iloc[0] == 1.0


def test_mase_refuses():
    y, f = panel()
    with pytest.raises(UnknownSeriesError, match="'s2'"):
        mase(y, f, y_train=y.loc[["s0", "s1"]])
    with pytest.raises(InputError, match="mase_scale"):
        mase(y, f, y_train=y, by=np.arange(len(y)))
    with pytest.raises(InputError, match="season_length"):
        mase(y, f, y_train=y, season_length=0)
    with pytest.raises(InputError, match="1 series or columns"):
        mase(y, f, y_train=np.arange(9.0))


@given(st.integers(0, 50), st.floats(1, 99))
@settings(deadline=None, max_examples=30)
def test_interval_score_is_a_sum_of_two_pinball_losses(seed, level):
    """Bracher et al. (2021), PLoS Computational Biology 17, eq. 1: IS = 2 / alpha (rho_lower + rho_upper)."""
    y, f, w, known = some_rows(seed)
    lower, upper = f - w, f + w
    alpha = 1 - level / 100
    pinballs = sum(
        skm.mean_pinball_loss(y[known], border[known], alpha=p)
        for border, p in [(lower, alpha / 2), (upper, 1 - alpha / 2)]
    )
    assert interval_score(y, lower, upper, level=level) == pytest.approx(2 / alpha * pinballs, rel=1e-10)


def test_interval_score_and_coverage_by_hand():
    y, lower, upper = [1.0, 5.0, -1.0, NAN], [0.0, 0.0, 0.0, 0.0], [4.0, 4.0, 4.0, 4.0]
    assert interval_score(y, lower, upper, level=80) == pytest.approx((4 + (4 + 10 * 1) + (4 + 10 * 1)) / 3)
    assert coverage(y, lower, upper) == pytest.approx(1 / 3)
    assert coverage([0.0, 4.0], lower[:2], upper[:2]) == 1.0  # borders are inside
    index = pd.MultiIndex.from_product([["a", "b"], [0, 1]])
    by = coverage(pd.Series(y, index), pd.Series(lower, index), pd.Series(upper, index), by="series")
    assert by.to_dict() == {"a": 0.5, "b": 0.0}


def test_intervals_refuse():
    with pytest.raises(InputError, match="below its lower"):
        coverage([1.0], [2.0], [1.0])
    with pytest.raises(InputError, match="below its lower"):
        interval_score([1.0], [2.0], [1.0], level=80)
    for level in (0.8, 100, [80, 95]):
        with pytest.raises(InputError, match="level"):
            interval_score([1.0], [0.0], [1.0], level=level)


def test_a_panel_of_many_series_equals_a_groupby():
    y, f = panel(1000, 5)
    expected = (y - f).abs().groupby(level=0, sort=False).mean()
    pd.testing.assert_series_equal(mae(y, f, by="series"), expected, check_names=False)
