"""State-space models for time series: forecasting and anomaly detection with scikit-learn estimators."""

import importlib
import importlib.util
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

# A star import takes what can be imported: networks need the extra ``deep``.
_WITHOUT_DEEP = any(importlib.util.find_spec(name) is None for name in ("torch", "safetensors"))
__all__ = ["__version__", *(name for name in _PUBLIC if not (_WITHOUT_DEEP and _PUBLIC[name].startswith("deep.")))]


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        value = getattr(importlib.import_module(f"{__name__}.{_PUBLIC[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_PUBLIC})
