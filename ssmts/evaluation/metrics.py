"""Measures of forecasts: of points, quantiles, intervals and distributions.

All take the truth first and any container: arrays ``(n_times,)`` or ``(n_times, n_outputs)``, a Series, a wide frame, a
two-level index (series, time), or a long frame. pandas objects are aligned by their index: a prediction must have a row
wherever the truth has a value, further rows are left out; arrays are taken by position. Pairs with NaN are skipped.

Common keywords
    ``sample_weight``: a weight for each row, or for each value. ``by``: None for one number, the mean over all pairs;
    ``"series"`` for one number for each series, or column of a wide frame; or one label for each row, for one number for
    each label, such as ``by=frame[["series", "cutoff"]]``. Groups come as a Series, for arrays
    as an array; a group without pairs is NaN.
"""

from ._points import mae, mase, mase_scale, rmse, smape
from ._probabilistic import coverage, crps, interval_score, pinball

__all__ = ["coverage", "crps", "interval_score", "mae", "mase", "mase_scale", "pinball", "rmse", "smape"]
