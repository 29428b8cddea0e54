"""How good forecasts are: metrics for every container, and windows to compute them on."""

from .metrics import coverage, crps, interval_score, mae, mase, mase_scale, pinball, rmse, smape
from .split import TimeSplit

__all__ = [
    "TimeSplit",
    "coverage",
    "crps",
    "interval_score",
    "mae",
    "mase",
    "mase_scale",
    "pinball",
    "rmse",
    "smape",
]
