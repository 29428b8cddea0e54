"""Every public estimator is held to the contract and to scikit-learn's own checks."""

import inspect

import pytest
from sklearn.base import ClassifierMixin
from sklearn.utils.estimator_checks import estimator_checks_generator

import ssmts
from ssmts import checks
from ssmts.base import BaseForecaster
from ssmts.base_detector import BaseDetector


def _public(kind):
    """Estimators of a kind by the lazy table; a new model is found here without a line of its own."""
    found = [getattr(ssmts, name) for name in ssmts.__all__]
    return sorted((c for c in found if inspect.isclass(c) and issubclass(c, kind)), key=lambda c: c.__name__)


# Networks are held to the contract small, forecasters for one epoch; classifiers have to learn what scikit-learn asks them.
_SMALL = {
    "horizon": 6,
    "width": 4,
    "state_size": 6,
    "max_epochs": 1,
    "batches_per_epoch": 2,
    "n_threads": 1,
    "random_state": 0,
}
_SMALL_CLASSIFIER = {
    "n_layers": 1,
    "width": 4,
    "state_size": 4,
    "max_epochs": 10,
    "batch_size": 64,
    "dropout": 0.0,
    "learning_rate": 0.05,
    "validation": None,
    "n_threads": 1,
    "random_state": 0,
}
SMALL = {"SpaceTimeForecaster": _SMALL, "SpaceTimeClassifier": _SMALL_CLASSIFIER}


def _made(cls):
    return cls(**SMALL.get(cls.__name__, {}))


# Settings beyond the defaults that are worth the whole contract.
MORE_FORECASTERS = [
    ssmts.SeasonalNaive(season_length=7),
    ssmts.StructuralForecaster(trend="damped", season_length=7),
    ssmts.ARIMAForecaster((0, 1, 1), (0, 1, 1), 7),
    ssmts.GaussianProcessForecaster(season_length=7),
]
MORE_DETECTORS = [
    ssmts.InnovationDetector(ssmts.Autoregressive(order=2, forgetting=0.99)),
    ssmts.JointDetector(smoothing=5, baseline=100, covariance="factor"),
    ssmts.ForecastDetector(ssmts.ARIMAForecaster((1, 0, 1))),
    ssmts.ForecastDetector(ssmts.VARForecaster(1), covariates=["c"]),
    ssmts.BreakDetector(ssmts.StructuralForecaster("local_level"), interventions=False),
]
FORECASTERS = [*(_made(cls) for cls in _public(BaseForecaster)), *MORE_FORECASTERS]
DETECTORS = [*(cls() for cls in _public(BaseDetector)), *MORE_DETECTORS]


@pytest.mark.parametrize("check", checks.forecaster_checks(), ids=lambda check: check.__name__)
@pytest.mark.parametrize("forecaster", FORECASTERS, ids=repr)
def test_forecaster(forecaster, check):
    check(forecaster)


@pytest.mark.parametrize("check", checks.detector_checks(), ids=lambda check: check.__name__)
@pytest.mark.parametrize("detector", DETECTORS, ids=repr)
def test_detector(detector, check):
    check(detector)


def _sklearn_checks():
    for kind, failures in (
        (BaseForecaster, checks.EXPECTED_FORECASTER_FAILURES),
        (BaseDetector, checks.EXPECTED_DETECTOR_FAILURES),
        (ClassifierMixin, checks.EXPECTED_CLASSIFIER_FAILURES),
    ):
        for cls in _public(kind):
            for estimator, check in estimator_checks_generator(_made(cls)):
                name = check.func.__name__ if hasattr(check, "func") else check.__name__
                yield pytest.param(estimator, check, failures.get(name), id=f"{cls.__name__}-{name}")


@pytest.mark.parametrize("estimator, check, reason", list(_sklearn_checks()))
def test_scikit_learn(estimator, check, reason):
    """scikit-learn's check_estimator; only the checks that are named with a reason may fail."""
    if reason is None:
        check(estimator)
        return
    try:
        check(estimator)
    except AssertionError:
        pytest.xfail(reason)


def test_every_public_name_is_there_and_documented():
    for name in ssmts.__all__:
        assert name in dir(ssmts)
        value = getattr(ssmts, name)
        if callable(value):
            assert inspect.getdoc(value), f"ssmts.{name} has no docstring"
    with pytest.raises(AttributeError, match="no_such_name"):
        ssmts.no_such_name
