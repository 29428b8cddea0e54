"""State-space models for time series: forecasting and anomaly detection with scikit-learn estimators."""

import importlib
from typing import Any

__version__ = "0.1.0"

# Public name -> module. A new model is one file and one line here; the common tests find it by this table.
_PUBLIC = {
    "ARIMAForecaster": "forecasting.arima",
    "AdaptiveConformal": "detection.conformal",
    "AutoDetector": "detection.auto",
    "Autoregressive": "detection.autoregressive",
    "BreakDetector": "detection.breaks",
    "ChangePointDetector": "detection.change_point",
    "Conformal": "detection.conformal",
    "DiscriminativeKalmanFilter": "filtering.discriminative",
    "DriftSpot": "detection.spot",
    "DynamicFactorForecaster": "forecasting.dynamic_factor",
    "ForecastDetector": "detection.forecast",
    "GaussianProcessForecaster": "forecasting.gaussian_process",
    "IncidentTracker": "detection.incidents",
    "InnovationDetector": "detection.innovation",
    "JointDetector": "detection.multivariate",
    "KalmanFilter": "filtering.kalman",
    "KalmanImputer": "filtering.smoother",
    "KalmanSmoother": "filtering.smoother",
    "Long": "panel",
    "Naive": "forecasting.naive",
    "SeasonalNaive": "forecasting.naive",
    "ShiftDetector": "detection.shift",
    "SpaceTimeClassifier": "deep.classifier",
    "SpaceTimeForecaster": "deep.spacetime",
    "Spot": "detection.spot",
    "SpreadDetector": "detection.spread",
    "StructuralForecaster": "forecasting.structural",
    "VARForecaster": "forecasting.var",
    "backtest": "evaluation.backtesting",
    "explain": "through",
    "forecast": "through",
    "future_frame": "through",
    "load": "persist",
    "save": "persist",
    "update": "through",
}

__all__ = ["__version__", *_PUBLIC]


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        value = getattr(importlib.import_module(f"{__name__}.{_PUBLIC[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_PUBLIC})
