"""Detectors: what was expected of every reading, how surprising it is, and what that says of the row."""
