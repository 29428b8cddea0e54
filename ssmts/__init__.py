"""State-space models for time series: forecasting and anomaly detection with scikit-learn estimators."""
