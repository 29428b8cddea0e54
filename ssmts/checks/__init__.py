"""Named checks of the contract, for the library's estimators and for those that others write.

``check_forecaster(MyForecaster())`` and ``check_detector(MyDetector())`` run every check; ``forecaster_checks()`` and
``detector_checks()`` list them one by one for a parametrised test. A failed check raises ``AssertionError``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..base import BaseForecaster
from ..base_detector import BaseDetector
from . import detectors, forecasters

__all__ = [
    "EXPECTED_CLASSIFIER_FAILURES",
    "EXPECTED_DETECTOR_FAILURES",
    "EXPECTED_FAILURES",
    "EXPECTED_FORECASTER_FAILURES",
    "check_detector",
    "check_forecaster",
    "detector_checks",
    "forecaster_checks",
]

Check = Callable[[Any], None]

# Checks of scikit-learn that cannot hold where rows have an order, for ``check_estimator(..., expected_failed_checks=...)``.
_IN_ORDER = "rows are consecutive times: their order and completeness are the model"
EXPECTED_FAILURES = {
    "check_methods_sample_order_invariance": _IN_ORDER,
    "check_methods_subset_invariance": _IN_ORDER,
}
# Where everything is an array there are no times, so rows always follow; rows of a frame may be the training rows.
EXPECTED_DETECTOR_FAILURES = {
    **EXPECTED_FAILURES,
    "check_classifier_data_not_an_array": "a frame's training rows get their scores of training; arrays have no times, so theirs follow",
}
EXPECTED_FORECASTER_FAILURES = {
    **EXPECTED_FAILURES,
    "check_regressor_data_not_an_array": "predicting a frame's training rows is in-sample; arrays have no times, so theirs always follow",
}
# Networks are trained in single precision: in full batches, a weight and as many copies differ in the seventh digit, and the check asks
# for nine.
EXPECTED_CLASSIFIER_FAILURES = {
    "check_sample_weight_equivalence_on_dense_data": "equal but for the rounding of single precision",
}


def check_forecaster(forecaster: BaseForecaster) -> None:
    """Run every check of the contract on an unfitted forecaster.

    Parameters
    ----------
    forecaster : BaseForecaster
        Quick to fit on 60 rows; it is cloned, never changed.

    Raises
    ------
    AssertionError
        What does not hold.

    Examples
    --------
    >>> from ssmts import Naive
    >>> from ssmts.checks import check_forecaster
    >>> check_forecaster(Naive())
    """
    for check in forecaster_checks():
        check(forecaster)


def check_detector(detector: BaseDetector) -> None:
    """Run every check of the contract on an unfitted detector.

    Parameters
    ----------
    detector : BaseDetector
        Quick to fit on 200 rows of three sensors; it is cloned, never changed.

    Raises
    ------
    AssertionError
        What does not hold.
    """
    for check in detector_checks():
        check(detector)


def forecaster_checks() -> list[Check]:
    """Every check of a forecaster, in order; their ``__name__`` says what they hold it to."""
    return [value for name, value in vars(forecasters).items() if name.startswith("check_")]


def detector_checks() -> list[Check]:
    """Every check of a detector, in order."""
    return [value for name, value in vars(detectors).items() if name.startswith("check_")]
