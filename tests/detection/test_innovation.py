"""InnovationDetector: calibration on simulated data, recovery, missing readings, explanations, bad input."""

import pickle

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from scipy import stats

from ssmts import InnovationDetector, load, save
from ssmts.exceptions import InputError, TimeIndexError, TooShortError


def local_levels(n, gains=(0.05, 0.3, 0.7), seed=0, df=np.inf):
    """Random walks seen with noise, innovations of variance one."""
    rng = np.random.default_rng(seed)
    d = len(gains)
    noise = rng.standard_normal((n, d)) if df == np.inf else rng.standard_t(df, (n, d))
    return np.cumsum(rng.standard_normal((n, d)) * gains, axis=0) + noise * np.sqrt(1 - np.array(gains))


def framed(values, start="2024-01-01", freq="min", names="abcdefgh"):
    return pd.DataFrame(
        values,
        index=pd.date_range(start, periods=len(values), freq=freq, name="at"),
        columns=list(names[: values.shape[1]]),
    )


# calibration ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("df", [np.inf, 4])
@pytest.mark.parametrize("gains", [(0.3,), (0.05, 0.3, 0.7)])
def test_p_values_of_fresh_rows_are_uniform(gains, df):
    X = local_levels(24000, gains, seed=1, df=df)
    p = np.exp(InnovationDetector().fit(X[:20000]).update(X[20000:]))
    assert stats.kstest(p, "uniform").pvalue > 0.01
    normal = stats.norm.ppf(np.clip(p, 1e-9, 1 - 1e-9))
    assert abs(np.corrcoef(normal[1:], normal[:-1])[0, 1]) < 0.06, "p-values of consecutive rows are independent"


@pytest.mark.parametrize("df", [np.inf, 4])
@pytest.mark.parametrize("gains", [(0.3,), (0.05, 0.3, 0.7)])
def test_rows_alarm_as_often_as_asked(gains, df):
    rate = 1e-3
    X = local_levels(210000, gains, seed=2, df=df)
    detector = InnovationDetector(false_alarm_rate=rate).fit(X[:10000])
    assert detector.offset_ == np.log(rate)
    alarms = np.mean(detector.update(X[10000:]) < detector.offset_)
    assert rate / 2 < alarms < 2 * rate


@pytest.mark.parametrize("contamination", [0.01, 0.1, 0.5])
def test_contamination_is_met_exactly_on_the_training_rows(contamination):
    X = local_levels(300, seed=3)
    for rows in (X, framed(X)):
        detector = InnovationDetector(contamination=contamination).fit(rows)
        assert (detector.predict(rows) == -1).sum() == round(300 * contamination)
        np.testing.assert_array_equal(detector.predict(rows), np.where(detector.decision_function(rows) < 0, -1, 1))


def test_rows_without_a_reading_do_not_count_for_contamination():
    X = local_levels(400, seed=3)
    X[::2] = np.nan
    detector = InnovationDetector(contamination=0.1).fit(X)
    assert (detector.predict(X) == -1).sum() == 20


def test_outliers_among_training_rows_do_not_hide_new_faults():
    rng = np.random.default_rng(4)
    X = local_levels(3000, seed=4)
    faults = rng.random(X.shape) < 0.006
    X[faults] += rng.choice([-1, 1], faults.sum()) * 10 ** rng.uniform(2, 6, faults.sum())
    detector = InnovationDetector(contamination=0.02, false_alarm_rate=1e-3).fit(X)
    later = X[-1] + np.zeros((20, 3))
    later[10, 1] += 7.0
    alarms = detector.predict(later) == -1
    assert alarms[10]
    assert alarms.sum() == 1


# the stream -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("patience", [3, 10])
@pytest.mark.parametrize("size", [8.0, 1e3, -1e6])
def test_a_level_shift_alarms_for_patience_rows_and_the_next_fault_is_found(size, patience):
    X = local_levels(2400, (0.1, 0.2), seed=5)
    detector = InnovationDetector(false_alarm_rate=1e-5, patience=patience).fit(X[:2000])
    news = X[2000:].copy()
    news[100:, 0] += size
    news[250, 0] += 9.0
    alarms = np.flatnonzero(detector.update(news) < detector.offset_)
    assert alarms[0] == 100
    assert set(alarms) <= set(range(100, 100 + patience)) | {250}
    assert 250 in alarms


def test_without_a_shift_an_excursion_is_not_learnt():
    X = local_levels(2100, (0.1,), seed=6)
    detector = InnovationDetector(false_alarm_rate=1e-4).fit(X[:2000])
    calm, news = X[2000:].copy(), X[2000:].copy()
    news[20:28] += 100.0
    before, after = (pickle.loads(pickle.dumps(detector)).update(rows) for rows in (calm, news))
    assert (after[20:28] < detector.offset_).all()
    assert (after[28:] > detector.offset_).all()
    np.testing.assert_allclose(after[60:], before[60:], atol=0.3)


def test_update_row_by_row_equals_scores_at_once_and_keeps_its_size():
    X = local_levels(900, seed=7)
    X[np.random.default_rng(0).random(X.shape) < 0.2] = np.nan
    detector = InnovationDetector().fit(X[:500])
    scores = detector.score_samples(X[500:])
    np.testing.assert_array_equal(detector.score_samples(X[500:]), scores)
    size = len(pickle.dumps(detector.state_))
    np.testing.assert_allclose(np.concatenate([detector.update(row[None]) for row in X[500:]]), scores, rtol=1e-12)
    assert len(pickle.dumps(detector.state_)) == size


def test_training_rows_of_a_frame_have_the_scores_they_had_in_training():
    X = framed(local_levels(600, seed=8))
    whole = InnovationDetector().fit(X[:400])
    inside = whole.score_samples(X[:400])
    assert inside[0] == 0.0, "nothing is expected of the first row"
    np.testing.assert_allclose(whole.score_samples(X), np.concatenate([inside, whole.score_samples(X[400:])]))
    np.testing.assert_allclose(whole.score_samples(X[100:300]), inside[100:300])


def test_saved_and_loaded_midway(tmp_path):
    X = framed(local_levels(500, seed=9))
    detector = InnovationDetector().fit(X[:300])
    detector.update(X[300:400])
    save(detector, tmp_path / "detector.ssmts")
    again = load(tmp_path / "detector.ssmts")
    np.testing.assert_array_equal(again.update(X[400:]), detector.update(X[400:]))
    assert (tmp_path / "detector.ssmts").stat().st_size < 40_000


# invariances ------------------------------------------------------------------------------------------------------


def test_units_and_origin_of_sensors_do_not_matter():
    X = local_levels(800, seed=10)
    X[700, 1] += 12.0
    other = X * [1e9, -1e-6, 3.0] + [1e10, -1.0, 273.15]
    a, b = (InnovationDetector().fit(rows[:600]).update(rows[600:]) for rows in (X, other))
    np.testing.assert_allclose(b, a, rtol=1e-3, atol=1e-4)


def test_order_of_sensors_does_not_matter():
    X = local_levels(800, (0.05, 0.3, 0.7, 0.2), seed=11)
    X[np.random.default_rng(1).random(X.shape) < 0.1] = np.nan
    order = [2, 0, 3, 1]
    a, b = (InnovationDetector().fit(rows[:600]).update(rows[600:]) for rows in (X, X[:, order]))
    np.testing.assert_allclose(b, a, rtol=1e-8, atol=1e-10)


def test_a_silent_sensor_is_as_good_as_absent():
    """After training, a sensor that says nothing more changes no score but by its place in the correlation."""
    X = local_levels(1500, (0.1, 0.3), seed=12)
    both = InnovationDetector().fit(X[:1000])
    news = X[1000:].copy()
    news[:, 1] = np.nan
    deviation = both.explain(news).deviation
    alone = InnovationDetector().fit(X[:1000, :1]).explain(X[1000:, :1]).deviation.to_numpy()
    np.testing.assert_allclose(deviation.xs(0, level="sensor"), alone, rtol=1e-12)
    assert deviation.xs(1, level="sensor").isna().all()


def test_rows_that_did_not_come_are_rows_without_a_reading():
    X = framed(local_levels(900, seed=13))
    holes = X.copy()
    gone = np.random.default_rng(2).random(900) < 0.2
    gone[[0, -1]] = False
    holes.loc[gone] = np.nan
    full, short = (InnovationDetector().fit(rows[:"2024-01-01 09:00"]) for rows in (holes, X[~gone]))
    after = slice("2024-01-01 09:01", None)
    np.testing.assert_allclose(short.model_.gain, full.model_.gain, rtol=1e-6)
    scores = full.score_samples(holes[after])
    silent = gone[-len(scores) :]
    np.testing.assert_array_equal(scores[silent], 0.0)
    np.testing.assert_allclose(scores[~silent], short.score_samples(X[~gone][after]), rtol=1e-5, atol=1e-7)


def test_irregular_and_duplicated_stamps():
    X = local_levels(600, seed=14)
    rng = np.random.default_rng(3)
    seconds = np.cumsum(np.where(rng.random(600) < 0.05, 0, rng.integers(55, 65, 600)))
    frame = pd.DataFrame(X, index=pd.Timestamp("2024-01-01", tz="Europe/Berlin") + pd.to_timedelta(seconds, unit="s"))
    frame.columns = ["a", "b", "c"]
    detector = InnovationDetector().fit(frame[:400])
    scores = detector.score_samples(frame[400:])
    assert np.isfinite(scores).all()
    one_by_one = np.concatenate([detector.update(frame.iloc[i : i + 1]) for i in range(400, 600)])
    np.testing.assert_allclose(one_by_one, scores, rtol=1e-9, atol=1e-12)


def test_rows_without_stamps_may_follow_a_fit_with_stamps():
    """What a stream that counts its rows does with a detector fitted on a file."""
    X = framed(local_levels(300, seed=14))
    detector = InnovationDetector().fit(X[:200])
    counting = InnovationDetector().fit(X[:200].to_numpy())
    detector.last_time_ = detector.rows_ = detector.trained_until_ = detector.columns_ = None
    values = X[200:].to_numpy()
    np.testing.assert_allclose(detector.update(values), counting.update(values), rtol=1e-12)


def test_after_a_long_silence_anything_goes():
    X = framed(local_levels(1000, (0.5,), seed=15))
    detector = InnovationDetector().fit(X)
    value = X.iloc[[-1]] + 8.0
    soon = value.set_axis(X.index[[-1]] + pd.Timedelta("1min"))
    late = value.set_axis(X.index[[-1]] + pd.Timedelta("12h"))
    assert detector.predict(soon) == [-1]
    assert detector.predict(late) == [1]


@pytest.mark.parametrize(
    "index", [pd.RangeIndex(1000, 1300), pd.period_range("1990", periods=300, freq="M"), pd.Index(np.arange(300) ** 2)]
)
def test_indexes_without_a_clock(index):
    X = pd.DataFrame(local_levels(300, seed=16), index=index, columns=list("abc"))
    detector = InnovationDetector().fit(X[:200])
    array = InnovationDetector().fit(X[:200].to_numpy())
    np.testing.assert_allclose(detector.score_samples(X[200:]), array.score_samples(X[200:].to_numpy()), rtol=1e-12)


# explanation ------------------------------------------------------------------------------------------------------


def test_explanation_of_an_alarm():
    X = framed(local_levels(1020, seed=17))
    X.iloc[1010, 1] += 15.0
    X.iloc[1012] = np.nan
    detector = InnovationDetector(false_alarm_rate=1e-4).fit(X[:1000])
    told = detector.explain(X[1000:])
    assert told.index.names == ["at", "sensor"]
    assert list(told.columns) == [
        "observed", "expected", "lower", "upper", "deviation", "share", "p_value", "culprit", "window",
    ]  # fmt: skip
    assert told[told.culprit].index.tolist() == [(X.index[1010], "b")]
    alarm = told.loc[X.index[1010]]
    assert alarm.loc["b", "observed"] == X.iloc[1010, 1]
    assert alarm.loc["b", "deviation"] > 8
    assert alarm.loc["b", "observed"] > alarm.loc["b", "upper"]
    assert alarm.loc["b", "share"] > 0.9
    assert alarm.loc["b", "p_value"] < 1e-4
    np.testing.assert_allclose(told.share.groupby("at", sort=False).sum().drop(X.index[1012]), 1.0)
    read = told.drop(X.index[1012])
    outside = (read.observed < read.lower) | (read.observed > read.upper)
    np.testing.assert_array_equal(outside, read.p_value < 1e-4)
    silent = told.loc[X.index[1012]]
    assert silent[["observed", "deviation", "share", "p_value"]].isna().all(axis=None)
    assert silent[["expected", "lower", "upper"]].notna().all(axis=None)


def test_explanation_of_arrays_and_of_a_single_series():
    X = local_levels(300, (0.2,), seed=18)
    told = InnovationDetector().fit(X).explain(X[:4])
    assert told.index.tolist() == [(0, 0), (1, 0), (2, 0), (3, 0)]
    series = framed(X)["a"].rename("flow")
    detector = InnovationDetector().fit(series[:250])
    told = detector.explain(series[250:])
    assert told.index[0] == (series.index[250], "flow")
    np.testing.assert_array_equal(told.observed, series[250:])
    read = told.deviation.notna()
    np.testing.assert_allclose(told.share[read], 1.0)


def test_a_sensor_that_leaves_its_companions_is_the_culprit():
    rng = np.random.default_rng(19)
    common = rng.standard_normal((2000, 1))
    X = common + 0.3 * rng.standard_normal((2000, 4))
    detector = InnovationDetector(false_alarm_rate=1e-4).fit(X)
    together = np.full((1, 4), 3.0)
    alone = np.array([[0.0, 0.0, 3.0, 0.0]])
    assert detector.predict(together) == [1]
    told = detector.explain(alone)
    assert told.index[told.culprit].tolist() == [(0, 2)]


def test_plot_has_a_panel_for_each_sensor():
    X = framed(local_levels(320, seed=20))
    axes = InnovationDetector().fit(X[:200]).plot(X[200:])
    assert len(axes) == 4
    plt.close("all")


# bad and odd input ------------------------------------------------------------------------------------------------


def test_constant_sensors_and_integers():
    X = np.column_stack([np.full(300, 5), np.random.default_rng(0).integers(0, 4, 300), np.zeros(300, int)])
    detector = InnovationDetector(false_alarm_rate=1e-3).fit(X)
    assert (detector.predict(X) == 1).all()
    news = np.array([[5, 2, 0], [6, 2, 0], [5, 2, 0]])
    np.testing.assert_array_equal(detector.predict(news), [1, -1, 1])
    assert detector.explain(news).query("culprit").index.tolist() == [(1, 0)]
    only = InnovationDetector().fit(np.full((50, 1), 3.0))
    flat = InnovationDetector().fit(framed(np.full((50, 1), 3.0)))
    assert flat.explain(framed(np.full((50, 1), 3.0))).culprit.sum() == 0
    assert (only.predict(np.full((50, 1), 3.0)) == 1).all()
    assert only.predict([[3.5]]) == [-1]


@pytest.mark.parametrize("n", [3, 5, 12])
def test_short_training(n):
    X = np.random.default_rng(n).normal(size=(n, 2))
    detector = InnovationDetector(false_alarm_rate=1e-4).fit(X)
    assert np.isfinite(detector.score_samples(X)).all()
    assert detector.predict(X[-1:] + 1e6) == [-1]
    assert detector.predict(X[-1:]) == [1]


def test_sensors_that_say_too_little_are_refused_by_name():
    X = framed(local_levels(50, seed=21))
    with pytest.raises(InputError, match="'b' is NaN throughout"):
        InnovationDetector().fit(X.assign(b=np.nan))
    X.iloc[1:, 2] = np.nan
    with pytest.raises(TooShortError, match="Sensor 'c' has 1 reading"):
        InnovationDetector().fit(X)


@pytest.mark.parametrize(
    "arguments",
    [
        {"contamination": 0.0},
        {"contamination": 0.6},
        {"false_alarm_rate": 0.0},
        {"false_alarm_rate": 1.0},
        {"patience": 0},
        {"patience": 2.5},
        {"model": "arima"},
        {"model": 3},
    ],
)
def test_arguments_are_checked(arguments):
    with pytest.raises(ValueError, match=next(iter(arguments))):
        InnovationDetector(**arguments).fit(np.zeros((20, 1)))


def test_an_error_leaves_the_detector_as_it_was():
    X = framed(local_levels(400, seed=22))
    detector = InnovationDetector().fit(X[:300])
    scores = detector.score_samples(X[300:])
    with pytest.raises(InputError):
        detector.fit(X.assign(a=np.nan))
    with pytest.raises(TimeIndexError):
        detector.update(X[:10])
    with pytest.raises(InputError):
        detector.update(X[300:].replace(X.iloc[310, 0], np.inf))
    np.testing.assert_array_equal(detector.score_samples(X[300:]), scores)


@pytest.mark.data
@pytest.mark.parametrize("name", ["machine_temperature_system_failure", "ec2_request_latency_system_failure"])
def test_real_sensors(data_folder, name):
    """Fitted on the first 15 %: few rows alarm, most labelled windows do, and a stream equals a batch."""
    frame = pd.read_csv(data_folder / "nab" / "data" / "realKnownCause" / f"{name}.csv", index_col=0, parse_dates=True)
    frame = frame.sort_index(kind="stable")
    n = int(0.15 * len(frame))
    detector = InnovationDetector(false_alarm_rate=1e-4).fit(frame[:n])
    news = frame[n:]
    scores = detector.score_samples(news)
    alarms = scores < detector.offset_
    assert 0 < alarms.mean() < 0.01
    pieces = np.array_split(np.arange(len(news)), 7)
    np.testing.assert_allclose(np.concatenate([detector.update(news.iloc[piece]) for piece in pieces]), scores)
