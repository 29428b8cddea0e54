"""How often clean rows alarm against what was asked, by kind of calibration and by training rows; and scores a second.

``python benchmarks/thresholds.py [seeds]``. Every row of the table is a local level seen with noise, watched by
`InnovationDetector` with ``false_alarm_rate``; the numbers are alarms among 100,000 rows after the training rows, divided by those
asked for: the mean over seeds, and the lowest and the highest. Speeds are those of the calibrators on standard exponential
scores, beside libspot where it is installed.
"""

import sys

import harness  # isort: skip  # first: it sets the number of threads
import numpy as np

from ssmts import InnovationDetector
from ssmts.detection.calibrators import KINDS, named

FRESH = 100_000
TRAINING = (100, 300, 1000, 3000, 10_000)
NOISES = {"normal": np.inf, "t, 3 df": 3}
RATES = (1e-2, 1e-3)


def level(n, df, seed):
    """A random walk seen with noise."""
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal(n) if df == np.inf else rng.standard_t(df, n)
    return (np.cumsum(0.3 * rng.standard_normal(n)) + noise)[:, None]


def realised(kind, df, rate, n, seeds):
    """Alarms by those asked for of every seed, or none where so few rows are refused."""
    if "conformal" in kind and n * rate <= 1:
        return []
    found = []
    for seed in range(seeds):
        X = level(n + FRESH, df, seed)
        detector = InnovationDetector(false_alarm_rate=rate, calibration=kind).fit(X[:n])
        found.append(np.mean(detector.update(X[n:]) < detector.offset_) / rate)
    return found


def cell(found):
    """Mean and range in words."""
    return f"{np.mean(found):.2f} ({min(found):.2f}-{max(found):.2f})" if found else "refused"


def speeds():
    """Scores a second of every kind."""
    rng = np.random.default_rng(0)
    training, scores = rng.exponential(size=(10_000, 1)), rng.exponential(size=(20_000, 1))
    found = {}
    for kind in KINDS:
        calibrator = named(kind)
        model, state = calibrator.learn(training, 0.01, 1e-3)
        found[kind] = len(scores) / harness.seconds(lambda c=calibrator, m=model, s=state: c.run(m, s, scores))[0]
    try:
        import libspot
    except ImportError:
        return found
    peer = libspot.Spot(q=1e-3)
    peer.fit(training[:, 0])
    values = scores[:, 0].tolist()
    found["libspot, step by step"] = len(values) / harness.seconds(lambda: [peer.step(x) for x in values])[0]
    return found


def main(seeds):
    rows = [
        [kind, noise, f"{rate:g}", *(cell(realised(kind, df, rate, n, seeds)) for n in TRAINING)]
        for rate in RATES
        for noise, df in NOISES.items()
        for kind in KINDS
    ]
    notes = ["Scores a second, one column:", ""]
    notes += [f"* {kind}: {speed / 1e6:.2f} million" for kind, speed in speeds().items()]
    harness.report(
        "thresholds",
        "Alarms of clean rows by alarms asked for",
        ["calibration", "noise", "asked", *(f"{n} training rows" for n in TRAINING)],
        rows,
        ["ssmts", "numpy", "numba"],
        [f"Mean (lowest-highest) of {seeds} seeds, {FRESH} rows each.", "", *notes],
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10)
