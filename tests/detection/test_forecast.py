"""ForecastDetector: any forecaster, the same numbers by row and by block, what is learnt, covariates, pipelines."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

import ssmts
from ssmts import (
    ARIMAForecaster,
    DynamicFactorForecaster,
    ForecastDetector,
    GaussianProcessForecaster,
    InnovationDetector,
    Naive,
    SeasonalNaive,
    StructuralForecaster,
    VARForecaster,
)
from ssmts.detection.predictive import predictive
from ssmts.exceptions import InputError, InputTypeError

LEVEL = StructuralForecaster("local_level")
SEASON = StructuralForecaster("local_level", season_length=12, harmonics=1)
FORECASTERS = [
    SEASON,
    ARIMAForecaster((1, 0, 1)),
    VARForecaster(2),
    DynamicFactorForecaster(1),
    GaussianProcessForecaster(),
    Naive(),
    SeasonalNaive(12),
    StructuralForecaster(
        "local_level", season_length=12, harmonics=1, target_transform=FunctionTransformer(np.log, np.exp)
    ),
]


def named(forecaster):
    if isinstance(forecaster, float):
        return f"{forecaster:g}"
    return type(forecaster).__name__ + ("-log" if forecaster.target_transform is not None else "")


def sensors(n=300, seed=0):
    rng = np.random.default_rng(seed)
    common = np.cumsum(rng.normal(0, 0.1, n))
    season = 2 * np.sin(2 * np.pi * np.arange(n) / 12)
    return pd.DataFrame(
        {"a": 30 + common + season + rng.normal(0, 0.5, n), "b": 20 + 2 * common + rng.normal(0, 0.5, n)},
        index=pd.date_range("2024-01-01", periods=n, freq="h"),
    )


def by_hand(forecaster, X, n, held):
    """Normal scores of rows n, n + 1, ... by the forecaster's public verbs, with some readings missing when they are learnt."""
    f, z = clone(forecaster), []
    if f.target_transform is not None:  # as its model sees it
        f, X = f.set_params(target_transform=None), np.log(X)
    f.fit(X[:n])
    for t in range(n, len(X)):
        row = X.iloc[t : t + 1]
        p = predictive(f.forecast(1).distribution)
        z.append(p.score(row.to_numpy(), np.full(X.shape[1], 1e-12))[0])
        f.update(row.mask(held[t : t + 1]))
    return np.array(z)


# the scores -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("forecaster", FORECASTERS, ids=named)
def test_scores_are_those_of_the_forecasters_own_verbs(forecaster):
    X = sensors()
    X.iloc[220, 0] += 30.0
    X.iloc[240:243] = np.nan
    held = np.zeros(X.shape, dtype=bool)
    held[220, 0] = True
    detector = ForecastDetector(forecaster, max_fits=1).fit(X[:200])
    z = detector.observe(X[200:]).deviation
    unusual = np.abs(z) > detector.rules_.gates
    assert unusual[20, 0]
    held[200:] |= unusual
    wanted = by_hand(forecaster, X, 200, held)
    np.testing.assert_allclose(z, np.where(X[200:].isna(), np.nan, wanted), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("forecaster", [LEVEL, ARIMAForecaster((1, 0, 1)), VARForecaster(2)], ids=repr)
def test_blocks_give_the_numbers_of_row_by_row(forecaster, monkeypatch):
    X = sensors()
    X.iloc[230, 1] -= 20.0
    X.iloc[250:, 0] += 15.0
    detector = ForecastDetector(forecaster).fit(X[:200])
    scores, told = detector.score_samples(X[200:]), detector.explain(X[200:])
    monkeypatch.setattr(type(forecaster), "_follow", lambda *_: None)
    np.testing.assert_allclose(detector.score_samples(X[200:]), scores, rtol=1e-8)
    pd.testing.assert_frame_equal(detector.explain(X[200:]), told, rtol=1e-8)


@pytest.mark.parametrize("forecaster", FORECASTERS, ids=named)
def test_training_rows_get_the_same_scores_in_pieces(forecaster):
    X = sensors()
    X.iloc[60, 0] += 30.0
    X.iloc[100:, 1] += 12.0
    detector = ForecastDetector(forecaster).fit(X)
    whole = detector.score_samples(X)
    pieces = [detector.score_samples(X[a:b]) for a, b in ((0, 70), (70, 71), (71, 104), (104, 300))]
    np.testing.assert_allclose(np.concatenate(pieces), whole, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("df", [np.inf, 4])
def test_p_values_of_fresh_rows_are_uniform(df):
    rng = np.random.default_rng(1)
    noise = rng.standard_normal(24000) if df == np.inf else rng.standard_t(df, 24000)
    y = np.empty(24000)
    y[0] = 0.0
    for t in range(1, 24000):
        y[t] = 0.7 * y[t - 1] + noise[t]
    p = np.exp(ForecastDetector(ARIMAForecaster((1, 0, 0))).fit(y[:20000, None]).update(y[20000:, None]))
    assert stats.kstest(p, "uniform").pvalue > 0.01


def test_scoring_changes_nothing_in_the_detector_nor_in_the_forecaster():
    X = sensors()
    detector = ForecastDetector(SEASON).fit(X[:200])
    before = detector.forecaster_.forecast(3).mean
    scores = detector.score_samples(X[200:])
    detector.update(X[200:])
    pd.testing.assert_frame_equal(detector.forecaster_.forecast(3).mean, before)
    np.testing.assert_array_equal(ForecastDetector(SEASON).fit(X[:200]).score_samples(X[200:]), scores)


# what is learnt ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("forecaster", FORECASTERS, ids=named)
def test_what_comes_after_a_spike_does_not_depend_on_its_size(forecaster):
    X = sensors()
    expected = []
    for size in (30.0, 3e5):
        spiked = X.copy()
        spiked.iloc[220, 0] += size
        detector = ForecastDetector(forecaster).fit(X[:200])
        expected.append(detector.explain(spiked[200:])["expected"])
        assert detector.predict(spiked[200:])[20] == -1
    pd.testing.assert_series_equal(*expected)
    missing = X.copy()
    missing.iloc[220, 0] = np.nan
    without = ForecastDetector(forecaster).fit(X[:200]).explain(missing[200:])["expected"]
    pd.testing.assert_series_equal(expected[0], without)


@pytest.mark.parametrize("forecaster", FORECASTERS, ids=named)
@pytest.mark.parametrize("size", [25.0, -15.0])
def test_after_a_level_shift_alarms_end_and_the_next_fault_is_found(forecaster, size):
    X = sensors()
    X.iloc[230:, 0] += size
    X.iloc[280, 0] += 40.0
    detector = ForecastDetector(forecaster, false_alarm_rate=1e-3, patience=8).fit(X[:200])
    alarms = detector.predict(X[200:]) == -1
    assert alarms[30]
    assert alarms[80]
    assert not alarms[40:80].any(), "alarms did not end two rows after the patience did"
    assert alarms[81:].sum() <= 1


def test_a_shift_of_a_series_that_always_comes_back_is_taken_off_its_readings():
    rng = np.random.default_rng(3)
    y = rng.standard_normal((500, 1))
    y[400:] += 10.0
    detector = ForecastDetector(ARIMAForecaster((0, 0, 0)), false_alarm_rate=1e-4).fit(y[:300])
    told = detector.explain(y[300:])
    assert abs(told["expected"].iloc[-1] - 10.0) < 1.5
    assert (detector.predict(y[300:])[111:] == 1).all()


def test_outliers_among_the_training_rows_are_left_out_of_the_last_fit():
    X = sensors()
    clean = ForecastDetector(LEVEL).fit(X)
    X.iloc[50, 0], X.iloc[120, 1] = 500.0, -300.0
    dirty = ForecastDetector(LEVEL).fit(X)
    for one, other in zip(clean.forecaster_.units_, dirty.forecaster_.units_):
        np.testing.assert_allclose(one.parameters, other.parameters, rtol=0.25)
    once = ForecastDetector(LEVEL, max_fits=1).fit(X)
    assert once.forecaster_.units_[0].parameters[0] > 20 * dirty.forecaster_.units_[0].parameters[0]


def test_a_reading_out_of_reach_of_the_transformation_is_an_alarm_and_no_error():
    X = sensors()
    log = StructuralForecaster("local_level", target_transform=FunctionTransformer(np.log, np.exp))
    detector = ForecastDetector(log).fit(X[:200])
    later = X[200:].copy()
    later.iloc[5, 1] = -3.0
    told = detector.explain(later).xs(later.index[5])
    assert told.loc["b", "culprit"]
    assert told.loc["b", "deviation"] < -1e6
    np.testing.assert_allclose(detector.update(later)[6:], ForecastDetector(log).fit(X[:200]).update(later)[6:])
    assert np.isfinite(detector.score_samples(X[200:].shift(len(X) - 200, freq="h"))).all()


def test_ranges_are_those_outside_of_which_a_sensor_reaches_the_alarm_level():
    X = sensors()[["a"]]
    for forecaster in (
        LEVEL,
        StructuralForecaster("local_level", target_transform=FunctionTransformer(np.reciprocal, np.reciprocal)),
    ):
        detector = ForecastDetector(forecaster, false_alarm_rate=1e-3).fit(X[:200])
        told = detector.explain(X[200:201]).iloc[0]
        assert told.lower < told.expected < told.upper
        for bound, side in ((told.lower, -1), (told.upper, 1)):
            there = detector.explain(X[200:201] * 0 + bound).iloc[0]
            np.testing.assert_allclose(there.p_value, 1e-3, rtol=1e-6)
            assert np.sign(there.deviation) == side


# gaps, covariates -------------------------------------------------------------------------------------------------


def test_a_gap_is_as_many_missing_rows():
    X = sensors()
    detector = ForecastDetector(SEASON).fit(X[:200])
    holes = X[200:].copy()
    holes.iloc[10:17] = np.nan
    gone = X[200:].drop(X.index[210:217])
    whole = pd.Series(detector.score_samples(holes), holes.index)
    np.testing.assert_allclose(detector.score_samples(gone), whole[gone.index], rtol=1e-8)


def test_a_sensor_comes_back_after_a_year():
    X = sensors()[["a"]]
    detector = ForecastDetector(SEASON).fit(X[:200])
    back = X[200:].copy()
    back.index = back.index + pd.Timedelta(days=365)
    at_once = detector.score_samples(back)
    assert np.isfinite(at_once).all()
    assert detector.predict(back)[0] == 1, "the return of a silent sensor is an alarm"
    long = X[200:].copy()
    long.index = long.index + pd.Timedelta(hours=10 * 65536)
    assert np.isfinite(detector.score_samples(long)).all()


def test_a_model_in_continuous_time_takes_stamps_as_they_are():
    rng = np.random.default_rng(6)
    at = np.cumsum(rng.uniform(0.2, 3.0, 260))
    X = pd.DataFrame(
        {"a": np.sin(at / 8) + 0.1 * rng.standard_normal(260)},
        index=pd.Timestamp("2024-01-01") + pd.to_timedelta(np.round(at * 3600), unit="s"),
    )
    X.iloc[250] += 2.0
    detector = ForecastDetector(GaussianProcessForecaster(), max_fits=1).fit(X[:200])
    steps = X.index.to_series().diff() / pd.Timedelta(seconds=detector.interval_)
    y = pd.Series(X["a"].to_numpy(), np.cumsum(np.append(1.0, steps[1:])))
    f = GaussianProcessForecaster(freq="irregular").fit(y[:200])
    expected = []
    for t in range(200, 260):
        ahead = f.forecast(y[t : t + 1].to_frame()[[]])
        expected.append(float(ahead.mean.iloc[0]))
        f.update(y[t : t + 1] if t != 250 else y[t : t + 1] * np.nan)
    np.testing.assert_allclose(detector.explain(X[200:])["expected"], expected, rtol=1e-6, atol=1e-8)
    assert detector.predict(X[200:])[50] == -1
    twice = pd.concat([X[:100], X[99:]])
    assert np.isfinite(ForecastDetector(GaussianProcessForecaster()).fit(twice).score_samples(twice)).all()
    pieces = [detector.score_samples(X[:80]), detector.score_samples(X[80:])]
    np.testing.assert_allclose(np.concatenate(pieces), detector.score_samples(X), rtol=1e-6)


def test_covariates_explain_and_are_not_judged():
    rng = np.random.default_rng(5)
    n = 400
    temperature = 10 + np.cumsum(rng.normal(0, 1.0, n))
    X = pd.DataFrame(
        {"temperature": temperature, "load": 100 - 3 * temperature + rng.normal(0, 0.5, n)},
        index=pd.date_range("2024", periods=n, freq="h"),
    )
    X.iloc[350, 1] += 5.0
    model = StructuralForecaster("fixed")
    detector = ForecastDetector(model, false_alarm_rate=1e-4, covariates=["temperature"], max_fits=1).fit(X[:300])
    assert np.flatnonzero(detector.predict(X[300:]) == -1).tolist() == [50]
    np.testing.assert_allclose(detector.forecaster_.coef_["temperature"], -3.0, atol=0.1)
    alone = ForecastDetector(LEVEL, false_alarm_rate=1e-4).fit(X[["load"]][:300])
    assert alone.predict(X[["load"]][300:])[50] == 1, "what the covariate explains hides the fault"
    told = detector.explain(X[300:])
    assert told.xs("temperature", level="sensor").drop(columns=["observed", "culprit", "window"]).isna().all().all()
    assert (told.xs("load", level="sensor")["share"].isin([0.0, 1.0])).all()
    f = clone(model).fit(X[["temperature"]][:300], X["load"][:300])
    np.testing.assert_allclose(
        told.xs("load", level="sensor")["expected"].iloc[0], f.predict(X[["temperature"]][300:301]), rtol=1e-9
    )


def test_a_row_without_its_covariates_is_not_judged():
    X = sensors()
    detector = ForecastDetector(StructuralForecaster("local_level"), covariates=["b"]).fit(X[:200])
    later = X[200:].copy()
    later.iloc[7, 1] = np.nan
    later.iloc[7, 0] += 1e6
    assert detector.score_samples(later)[7] == 0.0
    absent = later.copy()
    absent.iloc[7] = np.nan
    np.testing.assert_array_equal(detector.score_samples(later), detector.score_samples(absent))
    assert np.isfinite(
        ForecastDetector(StructuralForecaster("local_level"), covariates=["b"]).fit(later).score_samples(later)
    ).all()


def test_columns_of_arrays_are_covariates_by_number():
    X = sensors()
    named = ForecastDetector(LEVEL, covariates=["b"]).fit(X[:200]).score_samples(X[200:])
    numbered = ForecastDetector(LEVEL, covariates=[1]).fit(X[:200].to_numpy()).score_samples(X[200:].to_numpy())
    np.testing.assert_allclose(named, numbered)


# networks ---------------------------------------------------------------------------------------------------------


def test_a_network_is_calibrated_on_rows_that_it_has_not_learnt():
    network = ssmts.SpaceTimeForecaster(
        horizon=4, width=4, state_size=6, max_epochs=2, batches_per_epoch=5, n_threads=1, random_state=0
    )
    X = sensors(400)
    X.iloc[350, 0] += 60.0
    detector = ForecastDetector(network).fit(X[:300])
    assert detector.n_learnt_ == 210
    scores = detector.score_samples(X[300:])
    assert detector.predict(X[300:])[50] == -1
    stream = np.concatenate([detector.update(X[t : t + 1]) for t in range(300, 400)])
    np.testing.assert_allclose(stream, scores, rtol=1e-4)
    assert ForecastDetector(LEVEL, calibration_share=0.5).fit(X[:300]).n_learnt_ == 150


def test_rows_kept_for_calibration_are_not_fitted_on_and_are_learnt_by_update():
    X = sensors()
    detector = ForecastDetector(LEVEL, calibration_share=0.25, max_fits=1).fit(X[:200])
    f = clone(LEVEL).fit(X[:150])
    assert detector.forecaster_.units_[0].parameters == f.units_[0].parameters
    wanted = f.update(X[150:200]).forecast(1).mean
    np.testing.assert_allclose(detector.explain(X[200:201])["expected"], wanted.iloc[0], rtol=1e-9)
    np.testing.assert_allclose(
        np.concatenate([detector.score_samples(X[:160]), detector.score_samples(X[160:200])]),
        detector.score_samples(X[:200]),
        rtol=1e-9,
    )


# use --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("detector", [InnovationDetector(), ForecastDetector(LEVEL)], ids=repr)
def test_pipelines_of_scikit_learn_end_in_detectors(detector):
    X = sensors()
    X.iloc[250, 0] += 30.0
    pipe = make_pipeline(StandardScaler().set_output(transform="pandas"), detector).fit(X[:200])
    scores = pipe.score_samples(X[200:])
    np.testing.assert_array_equal(pipe.decision_function(X[200:]), scores - pipe[-1].offset_)
    np.testing.assert_array_equal(pipe.predict(X[200:]), np.where(scores < pipe[-1].offset_, -1, 1))
    assert pipe.predict(X[200:])[50] == -1
    told = ssmts.explain(pipe, X[200:])
    assert told.xs(X.index[250])["culprit"].tolist() == [True, False]
    assert told.index.equals(pipe[-1].explain(pipe[:-1].transform(X[200:])).index)
    stream = np.concatenate([ssmts.update(pipe, X[t : t + 1]) for t in range(200, 300)])
    np.testing.assert_allclose(stream, scores, rtol=1e-8)
    with pytest.raises(InputError, match="learns from X alone"):
        ssmts.update(pipe, X[200:], X["a"][200:])
    with pytest.raises(InputTypeError, match="no detector"):
        ssmts.explain(make_pipeline(StandardScaler().set_output(transform="pandas"), Naive()).fit(X, X["a"]), X)
    with pytest.raises(InputTypeError, match="no forecaster"):
        ssmts.forecast(pipe, 3)


class Wrapped:
    """Has a forecaster's verbs, and is none of the library's."""

    fit = forecast = update = get_params = lambda self: None


def test_what_cannot_serve_is_refused():
    X = sensors()
    with pytest.raises(InputTypeError, match="forecaster of ssmts"):
        ForecastDetector(Wrapped()).fit(X)
    with pytest.raises(InputError, match="no column of X"):
        ForecastDetector(covariates=["c"]).fit(X)
    with pytest.raises(InputError, match="none is left"):
        ForecastDetector(covariates=["a", "b"]).fit(X)


@pytest.mark.parametrize("calibration", ["tail", "nominal"])
def test_p_values_come_from_where_they_are_asked_to(calibration):
    y = np.random.default_rng(0).standard_normal((400, 1))
    detector = ForecastDetector(ARIMAForecaster((0, 0, 0)), calibration=calibration).fit(y[:300])
    told = detector.observe(y[300:])
    nominal = np.log(2 * stats.norm.sf(np.abs(told.deviation[:, 0])))
    assert np.allclose(told.log_p, nominal) == (calibration == "nominal")


@given(st.integers(0, 10**6), st.sampled_from([1e-6, 1.0, 1e7]), st.floats(-1e3, 1e3))
@settings(max_examples=15, deadline=None)
def test_units_order_and_pieces_of_rows_change_nothing(seed, scale, offset):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((160, 2)) + np.cumsum(rng.normal(0, 0.2, (160, 2)), axis=0)
    X[rng.random(X.shape) < 0.1] = np.nan
    X[rng.random(X.shape) < 0.02] += 20.0
    detector = ForecastDetector(LEVEL).fit(X[:100])
    scores = detector.score_samples(X[100:])
    units = ForecastDetector(LEVEL).fit((X[:100] + offset) * scale)
    np.testing.assert_allclose(units.score_samples((X[100:] + offset) * scale), scores, rtol=0.02, atol=0.02)
    turned = ForecastDetector(LEVEL).fit(X[:100, ::-1])
    np.testing.assert_allclose(turned.score_samples(X[100:, ::-1]), scores, rtol=1e-6, atol=1e-9)
    cut = int(rng.integers(101, 159))
    pieces = [detector.update(X[100:cut]), detector.update(X[cut:])]
    np.testing.assert_allclose(np.concatenate(pieces), scores, rtol=1e-8, atol=1e-10)
