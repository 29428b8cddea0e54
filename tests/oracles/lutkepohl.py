"""Investment, income and consumption of West Germany, 1960 to 1982, and vector autoregressions of their growth.

Origin of the data: Luetkepohl (2005), table E.1. Origin of the exact likelihoods: Stata's `dfactor`, as in the results of
statsmodels 0.15 (`tsa/statespace/tests/results/results_varmax.py`), which carries the data too. Least squares with two
lags: Luetkepohl (2005), equation 3.2.22 and the tables after it.
"""

import numpy as np
from statsmodels.tsa.statespace.tests.results import results_varmax as stata

GROWTH = np.diff(np.log(np.array(stata.lutkepohl_data, dtype=float)), axis=0)[:75]
CONST = [-0.017, 0.016, 0.013]
COEF = [
    [[-0.320, 0.146, 0.961], [0.044, -0.153, 0.289], [-0.002, 0.225, -0.264]],
    [[-0.161, 0.115, 0.934], [0.050, 0.019, -0.010], [0.034, 0.355, -0.022]],
]
COV = np.array([[21.30, 0.72, 1.23], [0.72, 1.37, 0.61], [1.23, 0.61, 0.89]]) * 1e-4  # divided by 73 - 7
