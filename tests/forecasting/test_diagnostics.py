import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.diagnostic import acorr_ljungbox
from statsmodels.stats.stattools import jarque_bera

from ssmts.forecasting._diagnostics import diagnose

RESIDUALS = np.random.default_rng(0).standard_t(6, 90)


def test_statistics_equal_those_of_statsmodels():
    found = diagnose(RESIDUALS, 8, 1)
    peer = acorr_ljungbox(RESIDUALS, lags=[8])
    assert found.ljung_box == pytest.approx(peer["lb_stat"].iloc[0])
    assert found.ljung_box_p == pytest.approx(peer["lb_pvalue"].iloc[0])
    statistic, p_value, skewness, kurtosis = jarque_bera(RESIDUALS)
    assert (found.normality, found.normality_p) == pytest.approx((statistic, p_value))
    assert (found.skewness, found.kurtosis) == pytest.approx((skewness, kurtosis))
    ratio = np.sum(RESIDUALS[60:] ** 2) / np.sum(RESIDUALS[:30] ** 2)
    assert found.heteroscedasticity == pytest.approx(ratio)
    assert found.heteroscedasticity_p == pytest.approx(2 * min(stats.f.cdf(ratio, 30, 30), stats.f.sf(ratio, 30, 30)))


def test_estimated_parameters_take_degrees_of_freedom():
    found = diagnose(RESIDUALS, 8, 4)
    assert found.ljung_box_p == pytest.approx(stats.chi2.sf(found.ljung_box, 8 - 4 + 1))


def test_table():
    frame = diagnose(RESIDUALS, 8, 2).to_frame()
    assert frame.index.tolist() == ["Ljung-Box(8)", "normality", "heteroscedasticity"]
    assert "p_value" in str(diagnose(RESIDUALS, 8, 2))


def test_residuals_without_spread_have_no_statistics():
    assert np.isnan(diagnose(np.ones(30), 3, 0).ljung_box)
    late = np.where(np.arange(30) < 15, 0.0, RESIDUALS[:30])
    found = diagnose(late, 3, 0)
    assert found.heteroscedasticity == np.inf
    assert found.heteroscedasticity_p == 0.0
