"""The square-root rung with roots in single precision: half the memory, for a relative error of about 1e-6.

What carries a covariance from row to row is rounded to single precision; means, and the sums within a row, are double.
"""

import numpy as np

from ssmts.core.gaussian._rungs.square_root import rung_of

RUNG = rung_of(
    "square_root_single",
    np.float32,
    "what the square-root rung does, to 1e-4 and scores to 1e-3, where a state is not much better known than 1e-6 of its size; exact "
    "sensors that tell states over several rows may be beyond it",
)
