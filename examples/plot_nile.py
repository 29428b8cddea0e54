"""
The Nile: finding a break, and saying so to the model
=====================================================

The yearly flow of the Nile at Aswan fell around 1899. A random walk for the level follows the fall but is surprised by it:
auxiliary residuals tell in which year (Durbin and Koopman 2012, section 2.12). A covariate then makes the break part of the
model.
"""

# %%
# A level that wanders
# --------------------
import matplotlib.pyplot as plt
import numpy as np

import ssmts
from ssmts import StructuralForecaster
from ssmts.core.gaussian import smooth
from ssmts.core.types import LinearGaussianSSM
from ssmts.datasets import load_classic

y, card = load_classic("nile")
wandering = StructuralForecaster("local_level").fit(y)
wandering.decompose().plot()

# %%
# Auxiliary residuals
# -------------------
# The estimators use the numerical core, and so can you: a model is a tuple of matrices. `smooth` estimates the disturbance of
# every observation and of every move of the level from the whole series; each over its standard deviation is an auxiliary
# residual. A large one of an observation is an outlier, a large one of the level a break.
one = np.eye(1)
model = LinearGaussianSSM(
    transition=one,
    process_cov=wandering.params_["level_var"] * one,
    observation=one,
    obs_cov=wandering.params_["obs_var"] * one,
    initial_mean=np.zeros(1),
    initial_cov=0 * one,
    initial_diffuse_cov=one,
)
smoothed = smooth(model, y.to_numpy()[:, None])
residuals = y.to_frame("flow")
residuals["outlier"] = smoothed.obs_auxiliary_residual
residuals["break"] = smoothed.process_auxiliary_residual
ax = residuals[["outlier", "break"]].plot(subplots=True, figsize=(8, 4))[-1]
print(residuals.round(2).sort_values("break", key=abs, ascending=False).head(3))

# %%
# The move on the way from 1898 to 1899 stands out. Of the observations it is 1913, a dry year and not a lower level.
print(residuals["outlier"].abs().idxmax())

# %%
# The break as a covariate
# ------------------------
# A column that is 1 from 1899 on, known of the future too. With it nothing is left for the level to do: its variance is
# estimated as zero, and the rest is noise about two constants.
X = y.to_frame()[[]].assign(after_1898=(y.index >= "1899").astype(float))
broken = StructuralForecaster("local_level").fit(X, y)
print(broken.summary())

# %%
# What it means for the forecast
# ------------------------------
# The wandering level remembers only the last years and may wander on, so that its intervals widen; the broken one is known from
# 72 years. They are narrower by faith in the break, which was found in these very rows: no interval counts that.
X_future = ssmts.future_frame(broken, 15).assign(after_1898=1.0)
figure, axes = plt.subplots(2, 1, figsize=(8, 6), sharex=True, sharey=True, layout="constrained")
for ax, title, forecast in zip(axes, ["wandering", "broken"], [wandering.forecast(15), broken.forecast(X_future)]):
    forecast.plot(ax, history=y)
    ax.set_title(title, loc="left")
