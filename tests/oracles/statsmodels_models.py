"""Models as statsmodels writes them down, and the results of other packages that it ships with its tests.

The comma-separated files come from KFAS (R), the SSM toolbox (Matlab) and Stata; the scripts that made them lie beside them.
Known errors of these sources, as the tests of statsmodels describe them: KFAS 1.3.1 leaves out log(2 pi) of diffuse rows and
gives filtered covariances that are not symmetric, so these are not compared.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import statsmodels.tsa.statespace.tests
from statsmodels.datasets import macrodata

from ssmts.core.types import LinearGaussianSSM, TimeVarying

RESULTS = Path(statsmodels.tsa.statespace.tests.__file__).parent / "results"


def table(name, **options):
    return pd.read_csv(RESULTS / name, **options)


def macro():
    """United States 1959-2009, quarterly."""
    data = macrodata.load_pandas().data
    data.index = pd.period_range("1959Q1", "2009Q3", freq="Q")
    return data


def converted(representation, diffuse=False):
    """The `LinearGaussianSSM` of a statsmodels `Representation`, diffuse throughout or started as it says."""

    def matrix(name):
        values = np.moveaxis(getattr(representation, name), -1, 0).astype(float)  # time is their last axis
        if len(values) == 1:
            return values[0]
        values[-1] = np.where(
            np.isnan(values[-1]), 0.0, values[-1]
        )  # what leads beyond the last row is left open there
        return TimeVarying(values)

    n = representation.k_states
    if diffuse:
        mean, cov, unknown = np.zeros(n), np.zeros((n, n)), np.eye(n)
    else:
        mean, unknown, cov = (np.asarray(x, float) for x in representation.initialization(model=representation))
    return LinearGaussianSSM(
        transition=matrix("transition"),
        process_cov=matrix("state_cov"),
        observation=matrix("design"),
        obs_cov=matrix("obs_cov"),
        initial_mean=mean,
        initial_cov=cov,
        initial_diffuse_cov=unknown if unknown.any() else None,
        state_offset=matrix("state_intercept"),
        obs_offset=matrix("obs_intercept"),
        process_loading=matrix("selection"),
    )


def observations(representation):
    """The series of a `Representation`, time first."""
    return np.array(representation.endog.T, dtype=float, order="C")
