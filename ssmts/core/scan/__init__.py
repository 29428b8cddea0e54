"""Scans: recurrences whose steps can be taken in another order than one after the other."""
