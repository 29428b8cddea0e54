"""
What a companion layer can say: autoregressions and exponential smoothing
=========================================================================

One layer of SpaceTime has a recursion ``w_t = y_t + a_1 w_(t-1) + ...`` and predicts the next row by ``c_1 w_t + c_2 w_(t-1) + ...``.
As a filter that is ``c(B) / (1 - a(B))``, and the classical models of forecasting are among them: AR(p) with a = 0 and c its coefficients,
simple exponential smoothing with ``a = 1 - alpha`` and ``c = alpha`` (Zhang et al. 2023, section 3). Here a layer learns each from a
simulated series, without being told which it is.
"""

# %%
# Three processes
# ---------------
# An AR(3), a seasonal AR(1)(1) with 12 months, and ARIMA(0, 1, 1), whose best prediction is exponential smoothing with alpha = 0.4.
import matplotlib.pyplot as plt
import numpy as np
import torch
from scipy.signal import lfilter

from ssmts import ARIMAForecaster
from ssmts.core.gaussian import filter as kalman
from ssmts.core.linalg.convolution import convolve
from ssmts.deep.layers import ClosedLoopCompanion
from ssmts.deep.linear import innovations_model

torch.set_num_threads(1)
noise = np.random.default_rng(1).normal(size=2500)
seasonal = np.zeros(13)
seasonal[[0, 11, 12]] = 0.6, 0.5, -0.3
processes = {
    "AR(3)": ([0.5, -0.3, 0.4], lfilter([1], [1, -0.5, 0.3, -0.4], noise), 3),
    "(1,0,0)(1,0,0), 12 months": (seasonal, lfilter([1], np.r_[1, -seasonal], noise), 13),
    "exponential smoothing": (0.4 * 0.6 ** np.arange(13), np.cumsum(lfilter([1, -0.6], [1], noise)), 1),
}

# %%
# Learn
# -----
# Least squares one row ahead. The gradient runs through the division of power series that the layer's kernel is.


def learn(y, order):
    """One layer that predicts the next row."""
    torch.manual_seed(0)
    u = torch.from_numpy(y / y.std())[None, None]
    layer = ClosedLoopCompanion(channels=1, state_size=order).double()
    with torch.no_grad():
        layer.output.mul_(0.1)  # begins by saying little
    search = torch.optim.LBFGS([layer.raw, layer.output], max_iter=80, line_search_fn="strong_wolfe")

    def loss():
        search.zero_grad()
        error = (layer.convolve(u)[..., :-1] - u[..., 1:]).square().mean()
        error.backward()
        return error

    search.step(loss)
    return layer


def weights(layer, n=13):
    """What each row adds to the prediction of the row so many after it."""
    return convolve(layer.response(n), layer.output.double())[0].detach().numpy()


layers = {name: learn(y, order) for name, (_, y, order) in processes.items()}

# %%
# The weights of the past, as they are and as they were learnt
# ------------------------------------------------------------
# `ARIMAForecaster` is told the orders and estimates coefficients by maximum likelihood; its weights are those of its own estimate.
ar = ARIMAForecaster((3, 0, 0)).fit(processes["AR(3)"][1]).params_
sar = ARIMAForecaster((1, 0, 0), (1, 0, 0), 12).fit(processes["(1,0,0)(1,0,0), 12 months"][1]).params_
ma = ARIMAForecaster((0, 1, 1)).fit(processes["exponential smoothing"][1]).params_
by_likelihood = {
    "AR(3)": np.array([ar[f"ar_{i}"] for i in (1, 2, 3)]),
    "(1,0,0)(1,0,0), 12 months": -np.convolve([1, -sar["ar_1"]], np.r_[1, np.zeros(11), -sar["seasonal_ar_1"]])[1:],
    "exponential smoothing": (1 + ma["ma_1"]) * (-ma["ma_1"]) ** np.arange(13),
}
figure, axes = plt.subplots(3, sharex=True, figsize=(8, 7), layout="constrained")
for ax, (name, (truth, _, _)) in zip(axes, processes.items()):
    learnt, lags = weights(layers[name]), np.arange(1, 14)
    ax.bar(lags, np.pad(truth, (0, 13 - len(truth))), color="lightgrey", label="truth")
    ax.plot(lags, learnt, "o", label="layer")
    ax.plot(lags, np.pad(by_likelihood[name], (0, 13 - len(by_likelihood[name]))), "x", label="maximum likelihood")
    ax.set_title(name, loc="left")
    ax.set_ylabel("weight")
    print(f"{name}: largest error {np.abs(learnt - np.pad(truth, (0, 13 - len(truth)))).max():.3f}")
axes[0].legend()
axes[-1].set_xlabel("rows back")

# %%
# The layer as a state-space model
# --------------------------------
# What it says and the error that it makes are a linear Gaussian model, so that the Kalman filter can take it over. Of rows that are
# missing it predicts what it can and says how unsure it is.
name = "(1,0,0)(1,0,0), 12 months"
y = processes[name][1][-120:].copy()
whole = y.copy()
y[50:68] = np.nan
scale = processes[name][1].std()
seen = kalman(innovations_model(layers[name], (1.0 / scale) ** 2), y[:, None] / scale, method="square_root")
model = innovations_model(layers[name], 1.0)
centre = seen.predicted_mean[:-1] @ np.asarray(model.observation)[0] * scale
width = 1.28 * np.sqrt(seen.innovation_cov[:, 0, 0]) * scale
figure, ax = plt.subplots(figsize=(8, 3.5), layout="constrained")
rows = np.arange(len(y))
ax.plot(rows, np.where(np.isnan(y), whole, np.nan), color="tab:red", lw=0.8, zorder=3, label="what was not seen")
ax.plot(rows, y, color="black", label="seen")
ax.plot(rows, centre, label="predicted from the rows before")
ax.fill_between(rows, centre - width, centre + width, alpha=0.3, label="four fifths")
ax.legend(ncols=2)
