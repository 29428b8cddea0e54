"""Streams: rows taken in one after the other, of one series or of many, late ones included; a state as bytes."""
