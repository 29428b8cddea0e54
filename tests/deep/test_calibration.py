"""Widths by lead: they cover what they say, on rows that they were not learnt from."""

import numpy as np
import pytest
from scipy import stats

from ssmts.deep.calibration import Calibration, calibrate, misses
from ssmts.deep.losses import LEVELS

LOW, MIDDLE, HIGH = (LEVELS.index(q) for q in (0.1, 0.5, 0.9))
LEADS = np.arange(1, 13)


def windows(seed, n=3000, h=12):
    """Forecasts whose errors grow with the root of the lead, and values."""
    rng = np.random.default_rng(seed)
    centre = rng.normal(size=(n, 2, h))
    return centre, centre + rng.normal(size=(n, 2, h)) * np.sqrt(LEADS)


def covered(values, target):
    return ((values[..., LOW] <= target) & (target <= values[..., HIGH])).mean(axis=(0, 1))


def test_a_centre_alone_gets_the_quantiles_of_its_errors():
    found = calibrate(*(lambda c, t: (c, None, t))(*windows(0)))
    np.testing.assert_allclose(found.factor, np.sqrt(LEADS), rtol=0.15)
    np.testing.assert_allclose(found.shape, stats.norm.ppf(LEVELS), atol=0.12)
    centre, target = windows(1)
    values = found.quantiles(centre, None, LEADS)
    assert values.shape == (3000, 2, 12, len(LEVELS))
    np.testing.assert_allclose(covered(values, target), 0.8, atol=0.06)
    assert covered(values, target).mean() == pytest.approx(0.8, abs=0.01)


@pytest.mark.parametrize("width", [0.4, 1.0, 2.5])
def test_given_quantiles_are_widened_or_narrowed_about_their_median(width):
    centre, target = windows(2)
    given = centre[:, None] + width * stats.norm.ppf(LEVELS)[:, None, None] * np.sqrt(LEADS)
    found = calibrate(centre, given, target)
    np.testing.assert_allclose(found.factor, 1 / width, rtol=0.08)
    centre, target = windows(3)
    given = centre[:, None] + width * stats.norm.ppf(LEVELS)[:, None, None] * np.sqrt(LEADS)
    values = found.quantiles(centre, given, LEADS)
    np.testing.assert_allclose(values[..., MIDDLE], centre)
    np.testing.assert_allclose(covered(values, target), 0.8, atol=0.03)


def student(n):
    return stats.t(n).ppf(0.9) / stats.norm.ppf(0.9)


def test_few_origins_of_one_series_widen_as_students_t():
    centre, target = windows(4, n=50)
    plain = calibrate(centre, None, target)
    few = calibrate(centre, None, target, np.arange(50), 3)
    assert few.common == 1
    np.testing.assert_allclose(few.factor / plain.factor, student(3))
    many = calibrate(centre, None, target, np.arange(50), 10_000)
    np.testing.assert_allclose(many.factor, plain.factor, rtol=1e-3)


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_what_series_have_in_common_is_measured_and_widens_alone(share):
    rng = np.random.default_rng(5)
    origins, size = np.repeat(np.arange(400), 20), (1, 1, 12)
    together = rng.normal(size=(400, 1, 12))[origins]
    error = np.sqrt(share) * together + np.sqrt(1 - share) * rng.normal(size=(8000, 1, 12))
    centre = np.zeros((8000, *size[1:]))
    plain, found = calibrate(centre, None, error), calibrate(centre, None, error, origins, 6)
    assert found.common == pytest.approx(share, abs=0.05)
    expected = np.sqrt(1 - share + share * student(6) ** 2)
    np.testing.assert_allclose(found.factor / plain.factor, expected, rtol=0.06)


def test_missing_values_and_leads_without_any():
    centre, target = windows(5)
    target[:, :, 3] = np.nan
    target[::2, 0, 8] = np.nan
    found = calibrate(centre, None, target)
    assert np.isfinite(found.factor).all()
    np.testing.assert_allclose(found.factor, np.sqrt(LEADS), rtol=0.2)
    nothing = calibrate(centre, None, np.full_like(target, np.nan))
    assert np.isfinite(nothing.quantiles(centre, None, LEADS)).all()


def test_beyond_the_horizon_widths_grow_with_the_root_of_the_lead():
    calibration = Calibration(np.array([1.0, 2.0]), np.array(stats.norm.ppf(LEVELS)))
    np.testing.assert_allclose(calibration.at(np.array([1, 2, 4, 8])), [1, 2, 2 * np.sqrt(2), 4])


def test_widths_follow_the_errors_of_new_rows_as_far_as_these_outweigh_what_was_known():
    centre, target = windows(6)
    found = calibrate(centre, None, target, np.arange(3000))
    values = found.quantiles(centre, None, LEADS)
    missed = misses(values, target)
    np.testing.assert_allclose(found.usual, np.nanmean(missed), rtol=0.05)
    np.testing.assert_allclose(found.adapted(missed, 96), 1.0, atol=0.03)
    doubled = misses(values, centre + 2 * (target - centre))
    full = np.nanmean(doubled) / np.nanmean(missed)
    np.testing.assert_allclose(found.adapted(doubled, 96), full, rtol=0.05)  # 96 rows are all that counts
    np.testing.assert_allclose(found.adapted(doubled, 24), 1 + (full - 1) / 4, rtol=0.03)
    few = found._replace(n_origins=13)
    half = 1 + (full - 1) / 2
    np.testing.assert_allclose(few.adapted(doubled, 13), half * student(26) / student(13), rtol=0.04)
    np.testing.assert_allclose(few._replace(common=0.0).adapted(doubled, 13), half, rtol=0.04)


def test_leads_that_are_not_known_yet_stay_as_they_were():
    centre, target = windows(8)
    found = calibrate(centre, None, target, np.arange(3000))
    values = found.quantiles(centre, None, LEADS)
    doubled = misses(values, centre + 2 * (target - centre))
    wider = found.adapted(np.where(LEADS < 4, doubled, np.nan), 48)
    assert (wider[:, :3] > 1.3).all()
    np.testing.assert_allclose(wider[:, 7:], 1.0, rtol=1e-3)


def test_new_rows_without_a_value_change_no_width():
    centre, target = windows(7, n=8)
    found = calibrate(centre, None, target, np.arange(8), 50)
    missed = misses(found.quantiles(centre, None, LEADS), np.where(np.arange(2)[:, None], 3.0, np.nan) + centre)
    wider = found.adapted(missed, 96)
    np.testing.assert_allclose(wider[0], 1.0)
    assert (np.abs(wider[1] - 1) > 0.1).all()


def test_a_few_values_after_a_gap_count_as_a_few():
    centre, target = windows(9)
    found = calibrate(centre, None, target, np.arange(3000))
    doubled = misses(found.quantiles(centre, None, LEADS), centre + 2 * (target - centre))
    after_gap = np.where(np.arange(3000)[:, None, None] < 2250, np.nan, doubled)
    np.testing.assert_allclose(found.adapted(after_gap, 96), found.adapted(doubled, 24), rtol=0.03)


def test_beyond_the_horizon_quantiles_are_those_of_the_last_lead_about_their_own_median():
    centre, target = windows(10)
    shape = np.array(stats.norm.ppf(LEVELS))
    given = centre[:, None] + shape[:, None, None] * np.sqrt(LEADS)
    found = calibrate(centre[..., :3], given[..., :3], target[..., :3])
    fading = centre[:, None] + shape[:, None, None] / LEADS
    fading[..., :3] = given[..., :3]
    values = found.quantiles(centre, fading, LEADS)
    np.testing.assert_allclose(values[..., MIDDLE], centre)
    spread = values - values[..., MIDDLE, None]
    np.testing.assert_allclose(spread[:, :, 3:], spread[:, :, 2:3] * np.sqrt(LEADS[3:] / 3)[:, None], atol=1e-12)
