"""Tails of innovations against scipy and against the calibration that they shorten."""

import numpy as np
import pytest
from scipy import special

from ssmts.detection.calibration import calibrate, log_p_values
from ssmts.detection.joint import nominal
from ssmts.detection.normal_tail import REACH, log1p_score, log_erfc, log_p_innovations


def test_log_erfc_is_scipys():
    x = np.concatenate([np.linspace(0, 30, 200), [1e3, 1e7]])
    np.testing.assert_allclose(
        [log_erfc(float(v)) for v in x], np.log(2) + special.log_ndtr(-np.sqrt(2) * x), rtol=1e-9
    )


def test_polynomials_are_the_function():
    z = np.append(np.linspace(0, REACH, 5001)[:-1], np.nextafter(REACH, 0))
    exact = np.log1p(-(np.log(2) + special.log_ndtr(-z)))
    np.testing.assert_allclose([log1p_score(float(v)) for v in z], exact, rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("df", [3, 30])
def test_p_values_of_innovations_are_those_of_their_scores(df):
    rng = np.random.default_rng(df)
    z = rng.standard_t(df, size=(4000, 4)) * [1.0, 0.2, 3.0, 0.0]
    calibration = calibrate(nominal(z[:1000]), 0.01)
    z[::50] = np.nan
    z[7] = [0.0, REACH, -1e8, 1e-3]
    got = np.empty_like(z)
    log_p_innovations(*calibration, z, got)
    np.testing.assert_allclose(got, log_p_values(calibration, nominal(z)), rtol=1e-12, atol=1e-13)
    np.testing.assert_array_equal(np.isnan(got), np.isnan(z))
    assert np.nanmax(got) <= 0.0
