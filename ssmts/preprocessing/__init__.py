"""Transformers that keep the index: what goes into a pipeline in front of a forecaster."""

from .calendar import CalendarFeatures

__all__ = ["CalendarFeatures"]
