"""Streams of readings as text."""

import json

import numpy as np


def values(n_rows, n_sensors=1, seed=0):
    """Readings of sensors around 20, with a shift and some spikes."""
    rng = np.random.default_rng(seed)
    data = rng.normal(20.0, 1.0, (n_rows, n_sensors)).round(3)
    data[n_rows // 2 :, 0] += 4.0
    data[rng.integers(n_rows // 3, n_rows, 5), 0] += 30.0
    return data


def wide(data, start=1_700_000_000, step=1):
    """NDJSON with a field for every sensor, one line a row."""
    names = [f"s{j}" for j in range(data.shape[1])]
    return [
        json.dumps({"time": start + step * t} | {name: v for name, v in zip(names, row) if v == v})
        for t, row in enumerate(data.tolist())
    ]


def long(data, start=1_700_000_000, step=1):
    """NDJSON with one value a line."""
    return [
        json.dumps({"time": start + step * t, "sensor": f"s{j}", "value": v})
        for t, row in enumerate(data.tolist())
        for j, v in enumerate(row)
        if v == v
    ]


def text(lines):
    return ("\n".join(lines) + "\n").encode()
