"""Do standardised innovations look like independent standard normal numbers?"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.special import chdtrc, fdtr, fdtrc

from ..components.transforms import Array


class Diagnostics(NamedTuple):
    """Tests of the standardised innovations of a fitted model (Durbin and Koopman 2012, section 2.12).

    Attributes
    ----------
    residuals : array (n,)
        Standardised innovations of the observed rows after the diffuse start.
    ljung_box, ljung_box_p : float
        Ljung and Box's statistic of serial correlation, and its p-value with ``lags - n_estimated + 1`` degrees of
        freedom (Harvey 1989, section 5.4.2).
    lags : int
        How many autocorrelations it sums.
    skewness, kurtosis : float
        Of the residuals; 0 and 3 for a normal distribution.
    normality, normality_p : float
        Bowman and Shenton's statistic, chi-squared with 2 degrees of freedom.
    heteroscedasticity, heteroscedasticity_p : float
        Ratio of the sums of squares of the last and the first third, and its two-sided p-value by the F distribution.
    """

    residuals: Array
    ljung_box: float
    ljung_box_p: float
    lags: int
    skewness: float
    kurtosis: float
    normality: float
    normality_p: float
    heteroscedasticity: float
    heteroscedasticity_p: float

    def to_frame(self) -> pd.DataFrame:
        """Statistic and p-value of each test."""
        return pd.DataFrame(
            {
                "statistic": [self.ljung_box, self.normality, self.heteroscedasticity],
                "p_value": [self.ljung_box_p, self.normality_p, self.heteroscedasticity_p],
            },
            index=[f"Ljung-Box({self.lags})", "normality", "heteroscedasticity"],
        )

    def __str__(self) -> str:
        return self.to_frame().to_string(float_format=lambda x: f"{x:.4g}")


def diagnose(residuals: Array, lags: int, n_estimated: int) -> Diagnostics:
    """Test standardised innovations.

    Parameters
    ----------
    residuals : array (n,)
        Without NaN; at least 6.
    lags : int
        Autocorrelations in the Ljung-Box statistic; smaller than n.
    n_estimated : int
        Variances and other parameters that were estimated.
    """
    n = residuals.size
    h = max(1, round(n / 3))
    centred = residuals - residuals.mean()
    with np.errstate(divide="ignore", invalid="ignore"):  # residuals without spread have no such statistics: NaN
        square = centred @ centred
        correlations = np.array([centred[k:] @ centred[:-k] for k in range(1, lags + 1)]) / square
        skewness, kurtosis = (float(np.mean((centred / np.sqrt(square / n)) ** power)) for power in (3, 4))
        ratio = float(np.sum(residuals[-h:] ** 2) / np.sum(residuals[:h] ** 2))
    ljung_box = float(n * (n + 2) * np.sum(correlations**2 / (n - np.arange(1, lags + 1))))
    normality = n * (skewness**2 / 6 + (kurtosis - 3) ** 2 / 24)
    bounded = min(ratio, 1e300)
    return Diagnostics(
        residuals=residuals,
        ljung_box=ljung_box,
        ljung_box_p=float(chdtrc(max(1, lags - n_estimated + 1), ljung_box)),
        lags=lags,
        skewness=skewness,
        kurtosis=kurtosis,
        normality=normality,
        normality_p=float(chdtrc(2, normality)),
        heteroscedasticity=ratio,
        heteroscedasticity_p=2 * min(float(fdtr(h, h, bounded)), float(fdtrc(h, h, bounded))),
    )
