"""Every way to p-values through every kind of detector: streams, files, false-alarm rates, and p-values of simulated sensors."""

import copy
import functools
import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.base import clone
from statsmodels.tsa.statespace.structural import UnobservedComponents

from ssmts import (
    ChangePointDetector,
    ForecastDetector,
    InnovationDetector,
    JointDetector,
    Naive,
    ShiftDetector,
    Spot,
    SpreadDetector,
    StructuralForecaster,
    checks,
    load,
    save,
)
from ssmts.checks.detectors import check_detector_explains, check_detector_streams_as_it_scores
from ssmts.detection.calibrators import KINDS, Stages, named
from ssmts.detection.surprise import Surprise, SurpriseDetector


class Deviation(SurpriseDetector):
    """Readings against the mean and the standard deviation of the training rows."""

    def __init__(self, contamination=0.01, false_alarm_rate=None, calibration="tail"):
        self.contamination = contamination
        self.false_alarm_rate = false_alarm_rate
        self.calibration = calibration

    def _learn(self, rows, steps):
        return (np.nanmean(rows.values, axis=0), np.nanstd(rows.values, axis=0)), 0

    def _surprise(self, model, state, rows, steps, *, full):
        mean, sd = model
        z = (rows.values - mean) / sd
        score = -np.log(2.0) - stats.norm.logsf(np.abs(z))
        ones = np.ones_like(z)
        return Surprise(score, mean * ones, sd * ones, z, np.ones(z.shape, dtype=np.int64)), state + len(z)


# A class of these tests is not saved.
CHECKS = [check for check in checks.detector_checks() if "saves" not in check.__name__]
DETECTORS = [ChangePointDetector(), ForecastDetector(Naive()), JointDetector(), ShiftDetector(), SpreadDetector()]


@pytest.mark.parametrize("check", checks.detector_checks(), ids=lambda check: check.__name__)
@pytest.mark.parametrize("kind", KINDS)
def test_innovations_keep_the_contract(kind, check):
    check(InnovationDetector(calibration=kind))


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("kind", KINDS)
def test_surprises_keep_the_contract(kind, check):
    check(Deviation(calibration=kind))


@pytest.mark.parametrize("check", [check_detector_streams_as_it_scores, check_detector_explains])
@pytest.mark.parametrize("kind", ["spot", "drift_spot", "conformal", "adaptive_conformal"])
@pytest.mark.parametrize("detector", DETECTORS, ids=lambda each: type(each).__name__)
def test_other_detectors_take_a_calibrator(detector, kind, check):
    check(clone(detector).set_params(calibration=kind))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("cls, d", [(InnovationDetector, 1), (Deviation, 1), (Deviation, 3)])
def test_range_is_where_a_single_sensor_alarms(cls, d, kind):
    X = np.random.default_rng(1).normal(size=(3000, d)) * [1.0, 5.0, 0.1][:d]
    detector = cls(false_alarm_rate=2e-3, calibration=kind).fit(X)
    told = detector.explain(np.zeros((1, d)))
    for sensor in range(d):
        for side in ("lower", "upper"):
            edge = told[side].to_numpy()[sensor] * np.eye(d)[[sensor]]
            assert detector.predict(0.98 * edge) == [1]
            assert detector.predict(1.02 * edge) == [-1]


def test_nominal_p_values_are_those_of_the_model():
    X = np.random.default_rng(2).normal(size=(400, 3))
    z = np.array([[0.5, -3.0, np.nan], [1.0, 1.0, 6.0]])
    detector = Deviation(calibration="nominal").fit(X)
    mean, sd = detector.model_
    told = detector.observe(mean + z * sd)
    np.testing.assert_allclose(np.exp(told.log_p_sensor), 2 * stats.norm.sf(np.abs(z)), rtol=1e-9)
    smallest = 2 * stats.norm.sf([3.0, 6.0])
    np.testing.assert_allclose(np.exp(told.log_p), 1 - (1 - smallest) ** [2, 3], rtol=1e-6)


def test_nominal_distance_of_rows_is_chi_squared():
    X = np.random.default_rng(3).normal(size=(20000, 3))
    detector = InnovationDetector(calibration="nominal").fit(X)
    told = detector.observe(X[-300:])
    z, C = told.deviation, detector.joint_.correlation
    distance = np.einsum("ti,ij,tj->t", z, np.linalg.inv(C), z)
    np.testing.assert_allclose(np.exp(told.log_p), stats.chi2.sf(distance, 3), rtol=0.02)


def test_nominal_p_values_are_those_of_statsmodels_forecast_errors():
    """The same local levels there and here: p-values of squared standardised forecast errors, of sensors and of rows."""
    rng = np.random.default_rng(5)
    gains = np.array([0.1, 0.4, 0.6])
    bounded = rng.uniform(-1, 1, size=(2, 1500, 3)) * 1.5  # no reading beyond the gate of the robust filter
    X = np.cumsum(bounded[0] * gains, axis=0) + bounded[1] * np.sqrt(1 - gains)
    detector = InnovationDetector(calibration="nominal").fit(X[:1000])
    errors = []
    for y, obs_var, level_var in zip(X.T, detector.model_.obs_var, detector.model_.level_var):
        theirs = UnobservedComponents(y, "local level").smooth([obs_var, level_var])
        errors.append(theirs.standardized_forecasts_error[0])
    z = np.array(errors).T[1000:]
    assert np.abs(z).max() < 3
    told = detector.observe(X[1000:])
    np.testing.assert_allclose(told.log_p_sensor, stats.chi2.logsf(z**2, 1), rtol=1e-6, atol=1e-9)
    nis = np.einsum("ti,ij,tj->t", z, np.linalg.inv(detector.joint_.correlation), z)
    np.testing.assert_allclose(told.log_p, stats.chi2.logsf(nis, 3), atol=5e-3)


def test_names_and_objects_choose_a_calibrator():
    for kind in KINDS:
        given = named(kind)
        assert isinstance(Stages.of(kind, 1).sensors, type(given))
        assert Stages.of(given, 1).sensors is not given, "the argument stays as it is"
    with pytest.raises(ValueError, match="calibration"):
        InnovationDetector(calibration="no such").fit(np.zeros((20, 1)))


# simulated sensors: p-values and rates of alarms ------------------------------------------------------------------


def noise(shape, df, seed):
    rng = np.random.default_rng(seed)
    return rng.standard_normal(shape) if df == math.inf else rng.standard_t(df, shape)


def levels(n, d, df):
    gains = np.array([0.05, 0.3, 0.7])[:d]
    return np.cumsum(noise((n, d), math.inf, 1) * gains, axis=0) + noise((n, d), df, 2) * np.sqrt(1 - gains)


def swings(n, d, df):
    """Autoregressions of order two with complex roots."""
    y, e = np.zeros((n, d)), noise((n, d), df, 3)
    for t in range(2, n):
        y[t] = 1.2 * y[t - 1] - 0.5 * y[t - 2] + e[t]
    return y


def seasons(n, d, df):
    """A trend, a day of 24 hours and a level that wanders."""
    t = np.arange(n)[:, None]
    day = 3 * np.sin(2 * np.pi * t / 24 + np.arange(d))
    return 0.002 * t + day + np.cumsum(0.05 * noise((n, d), math.inf, 4), axis=0) + noise((n, d), df, 5)


MODELS = {
    "level": (levels, "local_level"),
    "autoregression": (swings, "autoregressive"),
    "season": (seasons, StructuralForecaster(season_length=24)),
}
SENSORS = [
    *((model, d, df) for model in ("level", "autoregression") for d in (1, 3) for df in (math.inf, 3)),
    *(("season", d, df) for d, df in ((1, math.inf), (1, 3), (2, math.inf))),
]
RATE, TRAINING, FRESH = 1e-3, 4000, 100_000


@functools.cache
def filtered(name, d, df):
    """A detector fitted on the first rows of simulated sensors, and the innovations of these and of the others."""
    make, model = MODELS[name]
    X = make(TRAINING + FRESH, d, df)
    detector = InnovationDetector(model, false_alarm_rate=RATE).fit(X[:TRAINING])
    told, after = detector._filter(detector.start_, detector.rows_)
    return detector, told.z, detector._filter(after, type(detector.rows_)(X[TRAINING:], None))[0].z


@functools.cache
def scores(sensors, kind):
    """Log p-values of the fresh rows; the models of the sensors are estimated once for all kinds of calibration."""
    detector, z, fresh = filtered(*sensors)
    detector = copy.copy(detector)
    detector.calibration = kind
    calibrated, states = detector._calibrate(z, detector.rows_)
    detector.__dict__.update(calibrated)
    return detector._log_p(detector.state_._replace(calibrations=states), fresh)[0]


@pytest.mark.parametrize("kind", ["tail", "nominal", "spot", "conformal", "adaptive_conformal"])
@pytest.mark.parametrize("sensors", SENSORS, ids=str)
def test_p_values_of_clean_rows_are_uniform(sensors, kind):
    """Kolmogorov-Smirnov at 0.1 %, which allows for the frequencies of the training rows being estimates; and independent."""
    model, _, df = sensors
    if kind == "nominal" and df != math.inf:
        return  # no promise: the model says normal
    p = np.exp(scores(sensors, kind))
    assert stats.kstest(p[:TRAINING], "uniform").statistic < stats.kstwobign.isf(1e-3) * np.sqrt(2 / TRAINING)
    z = stats.norm.ppf(np.clip(p, 1e-9, 1 - 1e-9))
    # An outlier of heavy-tailed noise is a regressor in the rows that follow.
    near_zero = 0.2 if model == "autoregression" and df != math.inf else 0.05
    assert abs(np.corrcoef(z[1:], z[:-1])[0, 1]) < near_zero


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("sensors", SENSORS, ids=str)
def test_rows_alarm_as_often_as_asked(sensors, kind):
    alarms = np.mean(scores(sensors, kind) < np.log(RATE))
    if kind == "nominal" and sensors[2] != math.inf:
        assert alarms > 10 * RATE, "heavy tails need calibration"
    else:
        assert RATE / 2 < alarms < 2 * RATE


def test_recalibrating_is_fitting():
    """The short cut of these tests gives what a fit gives."""
    X = levels(TRAINING + FRESH, 3, 3)
    fitted = InnovationDetector(false_alarm_rate=RATE, calibration="spot").fit(X[:TRAINING])
    np.testing.assert_array_equal(fitted.update(X[TRAINING:]), scores(("level", 3, 3), "spot"))


# alarm levels, files ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_contamination_and_budgets_are_alarm_levels(kind):
    X = pd.DataFrame(levels(6000, 2, math.inf), index=pd.date_range("2024", periods=6000, freq="5min"))
    detector = InnovationDetector(contamination=0.02, calibration=kind).fit(X)
    assert (detector.predict(X) == -1).mean() == pytest.approx(0.02, abs=1e-3)
    detector.set_params(false_alarm_rate="1/week").fit(X)
    assert detector.offset_ == pytest.approx(np.log(1 / 2016))
    assert (detector.predict(X) == -1).sum() <= 8
    later = X.iloc[[-1]].set_axis(X.index[[-1]] + pd.Timedelta("5min"))
    assert detector.predict(later + 30.0) == [-1]


@pytest.mark.parametrize("kind", KINDS)
def test_saved_midway_a_detector_goes_on_as_it_would_have(kind, tmp_path):
    X = levels(3000, 2, 3)
    detector = InnovationDetector(calibration=kind).fit(X[:1000])
    detector.update(X[1000:2000])
    save(detector, tmp_path / "detector")
    again = load(tmp_path / "detector")
    np.testing.assert_array_equal(again.update(X[2000:]), detector.update(X[2000:]))


@pytest.mark.parametrize("kind", ["spot", "drift_spot", "conformal", "adaptive_conformal"])
def test_the_score_of_a_level_is_the_inverse(kind):
    """At every row, in the state it met."""
    rng = np.random.default_rng(6)
    training, scores = rng.exponential(size=(2000, 2)), rng.exponential(size=(300, 2))
    calibrator = named(kind)
    model, state = calibrator.learn(training, 0.01, 0.01)
    for level in (0.5, 0.05, 0.002):
        _, reach, _ = calibrator.run(model, state, scores, np.full(300, np.log(level)))
        for t in (0, 100, 299):
            before = calibrator.run(model, state, scores[:t])[2]
            for factor, sign in ((0.999, 1), (1.001, -1)):
                log_p = calibrator.run(model, before, factor * reach[[t]])[0]
                assert (sign * (log_p - np.log(level)) >= 0).all()


def test_settings_of_a_calibrator_are_checked_and_searched():
    with pytest.raises(ValueError, match="max_peaks"):
        InnovationDetector(calibration=Spot(max_peaks=0)).fit(levels(200, 1, math.inf))
    detector = InnovationDetector(calibration=Spot()).set_params(calibration__patience=7)
    assert clone(detector).fit(levels(200, 1, math.inf)).stages_.sensors.patience == 7


# changes ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [10.0, 1e6])
def test_a_level_shift_ends_and_the_next_fault_is_found(kind, size):
    X = levels(4400, 2, math.inf)
    detector = InnovationDetector(false_alarm_rate=1e-3, calibration=kind).fit(X[:4000])
    news = X[4000:].copy()
    news[100:, 0] += size
    news[250, 0] += 12.0
    alarms = np.flatnonzero(detector.update(news) < detector.offset_)
    assert {100, 250} <= set(alarms)
    assert np.sum(alarms < 100) + np.sum(alarms > 110) <= 3


def test_one_noisy_sensor_does_not_hide_the_others():
    """A sensor becomes four times as noisy for good: a tail of its own follows, and a fault of another sensor is still found."""
    X = levels(16_000, 3, math.inf)
    X[5000:, 0] += 4 * noise(11_000, math.inf, 7)
    X[15_500, 1] += 9.0
    frozen, following = (
        InnovationDetector(false_alarm_rate=1e-3, calibration=kind).fit(X[:4000]) for kind in ("tail", "spot")
    )
    assert (frozen.update(X[4000:]) < frozen.offset_)[8000:].mean() > 0.1
    alarms = following.update(X[4000:]) < following.offset_
    assert alarms[2000:].mean() < 3e-3
    assert alarms[11_500]
