"""How good forecasts are: metrics for every container, and windows to compute them on."""

from .backtesting import BacktestResult, backtest
from .metrics import coverage, crps, interval_score, mae, mase, mase_scale, pinball, rmse, smape
from .split import TimeSplit

__all__ = [
    "BacktestResult",
    "TimeSplit",
    "backtest",
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
