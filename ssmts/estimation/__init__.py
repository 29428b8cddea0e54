"""Estimation of any parametrisation of a linear Gaussian model: maximum likelihood, maximum a posteriori, EM."""

from ssmts.estimation.effects import Effects, regression_effects
from ssmts.estimation.em import EMResult, expectation_maximisation
from ssmts.estimation.likelihood import Estimate, maximum_likelihood, maximum_likelihood_each
from ssmts.estimation.parameters import Parameter

__all__ = [
    "EMResult",
    "Effects",
    "Estimate",
    "Parameter",
    "expectation_maximisation",
    "maximum_likelihood",
    "maximum_likelihood_each",
    "regression_effects",
]
