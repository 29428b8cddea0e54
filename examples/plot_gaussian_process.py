"""
Irregular stamps: a Gaussian process of CO2
===========================================

A third of the weeks of the Mauna Loa series, at their own dates, with nothing between them: a Gaussian process in continuous time needs no
grid, and a filter makes it linear in the rows.
"""

# %%
# Fit
# ---
# Stamps without a frequency are taken as they are; the unit of time is a day.
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from ssmts import GaussianProcessForecaster
from ssmts.components.kernels import Matern, Periodic
from ssmts.datasets import load_classic

y, card = load_classic("co2")
y = y.dropna()
picked = np.sort(np.random.default_rng(0).choice(len(y), len(y) // 3, replace=False))
rows = y.iloc[picked]
kernel = Matern(2.5, 3_000.0) + Periodic(365.25, order=3) * Matern(0.5, 20_000.0)
model = GaussianProcessForecaster(kernel, freq="irregular").fit(rows[:"1996"])
print(model.summary())

# %%
# Forecasts, at any stamps
# ------------------------
# Nothing says when the next rows will be, so `predict` takes their stamps.
held = y["1997":]
forecast = model.forecast(held.index)
forecast.plot(history=rows["1992":"1996"])
print(f"mean absolute error {np.abs(forecast.mean - held).mean():.2f} ppm over {len(held)} weeks")

# %%
# Between the rows
# ----------------
# The summands of the kernel, smoothed wherever they are asked for: here by the day, over two years. Each of them, and the mean, has
# a level of its own, and the rows tell only the sum of the levels: it is the shapes that mean something.
days = pd.date_range("1975-01-01", "1976-12-31", freq="D")
parts = model.decompose(days).mean
season = parts["periodic*matern_2"]
fig, axes = plt.subplots(2, sharex=True, figsize=(9, 6))
axes[0].plot(days, parts[["mean", "matern_1", "periodic*matern_2"]].sum(axis=1), label="by the day")
axes[0].plot(rows["1975":"1976"], "k.", label="rows")
axes[0].set_ylabel("CO2, ppm")
axes[0].legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
axes[1].plot(days, season - season.mean())
axes[1].set_ylabel("season, ppm")

# %%
# New rows
# --------
# `update` moves the state to the stamps of the rows it gets, and leaves the parameters.
model.update(rows["1997":"1999"])
print(model.forecast(y["2001-06":"2001-07"].index).to_frame().round(2))
print(y["2001-06":"2001-07"])
