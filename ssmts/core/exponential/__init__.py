"""Counts, shares and positive numbers with a signal that is linear in Gaussian states: mode, likelihood and weighted draws.

>>> import numpy as np
>>> from ssmts.core.exponential import Poisson, mode
>>> from ssmts.core.types import LinearGaussianSSM
>>> one = np.eye(1)
>>> level = LinearGaussianSSM(one, 0.1 * one, one, 0 * one, np.zeros(1), 0 * one, initial_diffuse_cov=one)
>>> Poisson().mean(mode(level, [[3.0], [4.0], [np.nan]], Poisson()).signal).ravel().round(2)
array([3.43, 3.57, 3.57])
"""

from ssmts.core.exponential._families import Binomial, Family, Gamma, Gaussian, NegativeBinomial, Poisson
from ssmts.core.exponential._importance import ImportanceSample, Posterior, importance_sample, loglik, posterior
from ssmts.core.exponential._mode import ModeResult, mode

__all__ = [
    "Binomial",
    "Family",
    "Gamma",
    "Gaussian",
    "ImportanceSample",
    "ModeResult",
    "NegativeBinomial",
    "Poisson",
    "Posterior",
    "importance_sample",
    "loglik",
    "mode",
    "posterior",
]
