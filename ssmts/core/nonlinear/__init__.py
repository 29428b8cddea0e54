"""Nonlinear models with Gaussian noise: extended, unscented, cubature, Gauss-Hermite and ensemble filters and smoothers.

>>> import numpy as np
>>> from ssmts.core.nonlinear import GaussHermite, NonlinearGaussianSSM, smooth
>>> one = np.eye(1)
>>> ssm = NonlinearGaussianSSM(lambda x, t: 0.9 * x, lambda x, t: np.exp(x / 2), 0.1 * one, one, np.zeros(1), one)
>>> smooth(ssm, [[1.0], [2.0], [1.5]], GaussHermite(9)).mean.shape
(3, 1)
"""

from ssmts.core.nonlinear._ensemble import Ensemble, EnsembleResult, ensemble_filter, ensemble_smooth, gaspari_cohn
from ssmts.core.nonlinear._filter import filter, forecast, loglik, smooth
from ssmts.core.nonlinear._model import NonlinearGaussianSSM
from ssmts.core.nonlinear._rules import Cubature, GaussHermite, Taylor, Unscented

__all__ = [
    "Cubature",
    "Ensemble",
    "EnsembleResult",
    "GaussHermite",
    "NonlinearGaussianSSM",
    "Taylor",
    "Unscented",
    "ensemble_filter",
    "ensemble_smooth",
    "filter",
    "forecast",
    "gaspari_cohn",
    "loglik",
    "smooth",
]
