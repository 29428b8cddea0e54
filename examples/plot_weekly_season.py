"""
A weekly season in hourly data, row by row through a month
==========================================================

Electricity demand in England and Wales repeats itself by the week: 168 hours, no two alike. A structural model with an effect for
every hour of the week has 170 states, and still fits in well under a second; then it takes in a month of new hours one by one,
and every hour says by how much it changed the forecast of the last day.
"""

# %%
# The series
# ----------
# Twelve weeks of Taylor's half-hours as hours, in gigawatts. Without the file (``SSMTS_DATA`` names its folder) the script
# goes on with a series of the same shape.
import time

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from ssmts import StructuralForecaster
from ssmts.datasets import load_classic
from ssmts.exceptions import DataUnavailableError

HOURS = 12 * 168


def stand_in():
    """A daily and a weekly rhythm with noise that hangs together."""
    rng, hour = np.random.default_rng(0), np.arange(HOURS)
    noise = np.zeros(HOURS)
    for t in range(1, HOURS):
        noise[t] = 0.85 * noise[t - 1] + rng.normal(0, 0.2)
    rhythm = -5 * np.cos(2 * np.pi * (hour - 4) / 24) - np.sin(4 * np.pi * hour / 24)
    return 30 + rhythm - 3.5 * (hour // 24 % 7 >= 5) + noise


try:
    demand = load_classic("taylor")[0].to_numpy().reshape(-1, 2).mean(axis=1) / 1000
except DataUnavailableError:
    demand = stand_in()
y = pd.Series(demand, index=pd.date_range("2000-06-05", periods=HOURS, freq="h"), name="GW")
past, month = y.iloc[: -4 * 168], y.iloc[-4 * 168 :]
print(f"{len(past)} hours to learn from, {len(month)} hours to come")

# %%
# Fit
# ---
# A level, an effect for each hour of the week that may drift, and what of the weather lasts for some hours.
model = StructuralForecaster(trend="local_level", season_length=168, seasonal="dummy", autoregressive=1)
start = time.perf_counter()
model.fit(past)
print(f"fitted in {time.perf_counter() - start:.2f} s")
print(model.summary())

# %%
# Decompose
# ---------
# Level, week and weather, each given all hours. Two weeks of them:
parts = model.decompose().to_frame().iloc[-336:]
fig, axes = plt.subplots(3, sharex=True, figsize=(9, 6))
for ax, name in zip(axes, ("level", "season", "autoregressive")):
    ax.plot(parts[name])
    ax.fill_between(
        parts.index, parts[name] - 2 * parts[f"{name}_sd"], parts[name] + 2 * parts[f"{name}_sd"], alpha=0.3
    )
    ax.set_ylabel(f"{name}, GW")
fig.autofmt_xdate()

# %%
# A month, row by row
# -------------------
# `update` moves the state and leaves the parameters. Before each hour is known, the forecast of the very last day is noted: its
# change is what that hour taught.
last_day = month.index[-24:]
target, seen = [], month.index[:-24]
spent = 0.0
for stamp in seen:
    start = time.perf_counter()
    model.update(month.loc[[stamp]])
    spent += time.perf_counter() - start
    target.append(model.predict(len(last_day) + len(month.loc[stamp:]) - 25).iloc[-24:].mean())
path = pd.Series(target, index=seen)
print(f"{len(seen)} updates, {1e6 * spent / len(seen):.0f} µs each")

# %%
# The revision caused by each row
# -------------------------------
# Far ahead an hour moves the level only; hours of the same weekday move that day's effects, too. As the last day comes near,
# what lasts of the weather counts as well.
revisions = path.diff()
fig, (above, below) = plt.subplots(2, sharex=True, figsize=(9, 6))
above.plot(path, label="forecast of the last day's mean")
above.axhline(month.loc[last_day].mean(), color="black", lw=1, ls="--", label="as it came")
above.legend()
above.set_ylabel("GW")
below.bar(revisions.index, revisions, width=1 / 24)
below.set_ylabel("revision by the row, GW")
fig.autofmt_xdate()

largest = revisions.abs().nlargest(5).index
print(revisions.loc[largest].rename("revision").to_frame().assign(observed=y.loc[largest]).round(3))
