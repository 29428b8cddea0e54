"""Every way to p-values through every kind of detector: streams, files, false-alarm rates, and p-values of simulated sensors."""

import numpy as np
import pytest
from scipy import stats

from ssmts import InnovationDetector, checks
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


CHECKS = [
    check for check in checks.detector_checks() if "saves" not in check.__name__
]  # a class of these tests is not saved


@pytest.mark.parametrize("check", checks.detector_checks(), ids=lambda check: check.__name__)
@pytest.mark.parametrize("kind", KINDS)
def test_innovations_keep_the_contract(kind, check):
    check(InnovationDetector(calibration=kind))


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("kind", KINDS)
def test_surprises_keep_the_contract(kind, check):
    check(Deviation(calibration=kind))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("cls", [InnovationDetector, Deviation])
def test_range_is_where_a_single_sensor_alarms(cls, kind):
    X = np.random.default_rng(1).normal(size=(3000, 1))
    detector = cls(false_alarm_rate=2e-3, calibration=kind).fit(X)
    told = detector.explain(np.zeros((1, 1)))
    for side in ("lower", "upper"):
        edge = told[side].to_numpy()
        assert detector.predict([0.98 * edge]) == [1]
        assert detector.predict([1.02 * edge]) == [-1]


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


def test_names_and_objects_choose_a_calibrator():
    for kind in KINDS:
        given = named(kind)
        assert isinstance(Stages.of(kind, 1).sensors, type(given))
        assert Stages.of(given, 1).sensors is not given, "the argument stays as it is"
    with pytest.raises(ValueError, match="calibration"):
        InnovationDetector(calibration="no such").fit(np.zeros((20, 1)))
