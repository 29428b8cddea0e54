"""
Weekly CO2: gaps, a season of 52.18 weeks, and new rows without fitting again
=============================================================================

The Mauna Loa series has missing weeks and a season that is no whole number of rows. A structural model takes both as they are.
"""

# %%
# Fit
# ---
# Missing weeks are NaN; nothing has to be filled.
from ssmts import StructuralForecaster
from ssmts.datasets import load_classic

y, card = load_classic("co2")
print(f"{y.isna().sum()} of {len(y)} weeks are missing")
model = StructuralForecaster(season_length=52.18, harmonics=4).fit(y[:-52])
print(model.summary())

# %%
# Forecast a year, with intervals
# -------------------------------
model.forecast(52).plot(history=y[-260:-52])

# %%
# What the model sees
# -------------------
model.decompose().plot()

# %%
# New rows
# --------
# `update` moves the state and leaves the parameters; it costs the new rows only.
model.update(y[-52:-26])
print(model.forecast(4).to_frame().round(2))
