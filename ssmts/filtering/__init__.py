"""Estimators that filter and smooth with explicit state-space models."""
