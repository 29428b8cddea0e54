"""
A sensor stream: alarms, and which sensor is to blame
=====================================================

`InnovationDetector` predicts every reading from the rows before it, and asks how surprising the errors of all sensors are
together. The stream is simulated, so that the faults are known.
"""

# %%
# Fit on quiet rows
# -----------------
# Four sensors follow a common load and the hours of the day; the first third of the rows is without fault. The one thing to
# choose is the rate of false alarms, here a row in two thousand.
import pandas as pd

from ssmts import InnovationDetector
from ssmts.datasets import make_sensors

readings, faults = make_sensors(3000, 4, random_state=3)
quiet, stream = readings[:1000], readings[1000:]
detector = InnovationDetector(false_alarm_rate=1 / 2000).fit(quiet)
print(faults.to_string(index=False, float_format="%.1f"))

# %%
# The picture
# -----------
# Each sensor with the range that was expected of it, and the p-value of every row. `plot`, `explain` and `score_samples` look
# at rows without learning from them.
detector.plot(stream)

# %%
# Which sensor
# ------------
# For every row and sensor `explain` says what was expected, how far off the reading was, and its share of the row's distance.
explained = detector.explain(stream)
spike = faults["start"][0]
print(explained.loc[spike].round(2).to_string())

# %%
# Rows as they come
# -----------------
# `update` scores rows and then learns from them, here an hour at a time. The scores, logarithms of p-values, are those that
# `score_samples` gives for all rows at once.
at_once = detector.score_samples(stream)
scores = pd.concat([pd.Series(detector.update(rows), rows.index) for _, rows in stream.groupby(pd.Grouper(freq="h"))])
print("largest difference:", abs(scores - at_once).max())

# %%
# What was found, and what was not
# --------------------------------
alarms = scores < detector.offset_
found = faults[["sensor", "kind"]].assign(
    rows=[len(alarms[a:b]) for a, b in zip(faults["start"], faults["end"])],
    alarms=[alarms[a:b].sum() for a, b in zip(faults["start"], faults["end"])],
)
print(found.to_string(index=False))
elsewhere = alarms.copy()
for a, b in zip(faults["start"], faults["end"]):
    elsewhere[a : b + pd.Timedelta("1h")] = False
print(f"alarms elsewhere, an hour after a fault left out: {elsewhere.sum()} of {len(alarms)} rows")

# %%
# Whatever is sudden is found in its first rows: the spike, the shift (which alarms until the level is believed to have moved),
# the burst of noise. A slow drift is followed as any wandering level is, and a sensor that repeats its last value or falls
# silent gives no reading that would be unexpected: each of them needs a test of its own.
