"""Linear layers and networks as linear Gaussian state-space models, which the Kalman engine filters through missing rows.

A companion recursion that predicts the next row from those before, and the error that it makes, are a model in innovations form::

    w_t = A w_(t-1) + b (E y_t + beta),     y_(t+1) = v + M w_t + eps_(t+1),     eps ~ N(0, noise)

with one channel, E = 1 and M = c the process ``(1 - a(B) - B c(B)) y = (1 - a(B)) eps``: AR(p) where a = 0, simple exponential smoothing
where ``a = 1 - alpha`` and ``c = alpha``, ARMA in general. The state that the filter carries before row t is ``(w_(t-1), eps_t)``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from .._containers import FloatArray
from ..core.types import LinearGaussianSSM
from ..exceptions import InputError
from .layers import ClosedLoopCompanion, Companion


def innovations_model(
    layer: Companion | ClosedLoopCompanion,
    noise_cov: npt.ArrayLike,
    *,
    read_in: npt.ArrayLike | None = None,
    read_out: npt.ArrayLike | None = None,
    input_offset: npt.ArrayLike | None = None,
    output_offset: npt.ArrayLike | None = None,
) -> LinearGaussianSSM:
    """The process whose best one-step prediction is what a layer says of the next row.

    Parameters
    ----------
    layer : Companion or ClosedLoopCompanion
        With H channels. Of a closed loop only the coefficients of the context count.
    noise_cov : array, shape (C, C), or number
        Covariance of the errors of the prediction one row ahead.
    read_in : array, shape (H, C), optional
        Inputs of the layer from a row of the series.
    read_out : array, shape (C, H), optional
        Prediction from the outputs of the layer. Unless both are given, channel and column are the same.
    input_offset : array, shape (H,), optional
    output_offset : array, shape (C,), optional
        Added to inputs and to predictions; default 0.

    Returns
    -------
    LinearGaussianSSM
        Of ``H d + C`` states, the last d values of the recursion of each channel, the newest first, and the error of the row; with a skip
        the last d + 1. It starts with a recursion that is known to be zero, as the layer does, and has no noise of observation: what was
        seen is known. With NumPy arrays, in double precision.

    Notes
    -----
    The layer's bound holds the roots of a, those of the filter. Those of ``1 - a(B) - B c(B)``, of the process itself, are not held: a
    layer that was trained on a trend or a random walk may have them on the unit circle or slightly beyond.

    Examples
    --------
    A layer set by hand to AR(2):

    >>> import torch
    >>> from ssmts.core.gaussian import forecast, filter
    >>> layer = ClosedLoopCompanion(channels=1, state_size=2)
    >>> with torch.no_grad():
    ...     _ = layer.output.copy_(torch.tensor([[0.5, 0.25]]))
    >>> ssm = innovations_model(layer, 1.0)
    >>> seen = filter(ssm, np.array([[1.0], [0.5], [2.0], [4.0]]))
    >>> forecast(ssm, seen.state, 2).mean.ravel()
    array([2.5 , 2.25])
    """
    if layer.channels > 1 and (read_in is None) != (read_out is None):
        raise InputError("Pass read_in and read_out, or neither: without them each channel is a series of its own.")
    a, c = _systems(layer)
    width, order = a.shape
    E = np.eye(width) if read_in is None else np.asarray(read_in, dtype=float)
    V = np.eye(width) if read_out is None else np.asarray(read_out, dtype=float)
    n_obs = V.shape[0]
    if E.shape != (width, n_obs) or V.shape != (n_obs, width):
        raise InputError(
            f"read_in must be ({width}, n_obs) and read_out (n_obs, {width}); received {E.shape} and {V.shape}."
        )
    noise = np.asarray(noise_cov, dtype=float) * (np.eye(n_obs) if np.ndim(noise_cov) == 0 else 1.0)
    if noise.shape != (n_obs, n_obs):
        raise InputError(f"noise_cov must be a number or {(n_obs, n_obs)}; received {noise.shape}.")
    beta = np.zeros(width) if input_offset is None else np.asarray(input_offset, dtype=float)
    v = np.zeros(n_obs) if output_offset is None else np.asarray(output_offset, dtype=float)

    size, newest = width * order, np.arange(width) * order
    says = (V[:, :, None] * c).reshape(n_obs, size)
    recursion = np.zeros((size, size))
    for h, first in enumerate(newest):
        recursion[first, first : first + order] = a[h]
        older = np.arange(first + 1, first + order)
        recursion[older, older - 1] = 1.0
    recursion[newest] += E @ says  # the row that is read is itself what was said of it, and the error
    transition = np.zeros((size + n_obs, size + n_obs))
    transition[:size, :size] = recursion
    transition[newest, size:] = E
    offset = np.zeros(size + n_obs)
    offset[newest] = beta + E @ v
    start = np.zeros((size + n_obs, size + n_obs))
    start[size:, size:] = noise
    return LinearGaussianSSM(
        transition=transition,
        process_cov=noise,
        observation=np.hstack([says, np.eye(n_obs)]),
        obs_cov=np.zeros((n_obs, n_obs)),
        initial_mean=np.zeros(size + n_obs),
        initial_cov=start,
        state_offset=offset,
        obs_offset=v,
        process_loading=np.eye(size + n_obs)[:, size:],
    )


def rescaled(model: LinearGaussianSSM, centre: FloatArray, spread: FloatArray) -> LinearGaussianSSM:
    """The same model of a series ``centre + spread * y``.

    Parameters
    ----------
    model : LinearGaussianSSM
        Time-invariant, without noise of observation.
    centre, spread : ndarray, shape (n_obs,)
    """
    observation, offset = np.asarray(model.observation), np.asarray(model.obs_offset)
    return model._replace(observation=spread[:, None] * observation, obs_offset=centre + spread * offset)


def network_model(network: Any, noise_cov: FloatArray) -> LinearGaussianSSM:
    """A `SpaceTimeNetwork` without encoder, preprocessing and covariates, on its own scale; its centre is what it predicts.

    Parameters
    ----------
    network : SpaceTimeNetwork
    noise_cov : ndarray, shape (C, C)
    """
    n = network.n_outputs
    weight, bias = _array(network.head.weight), _array(network.head.bias)
    return innovations_model(
        network.decoder,
        noise_cov,
        read_in=_array(network.embed.weight)[
            :, :n
        ],  # the other columns mark missing values, which the filter needs not
        read_out=weight[:n],
        input_offset=_array(network.embed.bias),
        output_offset=bias[:n],
    )


def must_be_linear(estimator: Any, n_covariates: int) -> None:
    """Raise unless the predictions of a `SpaceTimeForecaster` one row ahead are linear in the rows before.

    Parameters
    ----------
    estimator : SpaceTimeForecaster
    n_covariates : int

    Raises
    ------
    InputError
    """
    wanted = {
        "n_layers=0": estimator.n_layers == 0,
        "preprocess=False": not estimator.preprocess,
        "normalization='none'": estimator.normalization == "none",
        "loss='mse' (or 'mae', 'gaussian', 'student_t')": estimator.loss != "quantile",
    }
    absent = [name for name, there in wanted.items() if not there]
    if absent:
        raise InputError(
            f"This network is not linear in the rows that it reads, and no linear Gaussian model: pass {', '.join(absent)} "
            "and fit again."
        )
    if n_covariates:
        raise InputError(
            f"A network with covariates has no state-space model yet; this one has {n_covariates}. Fit it without X."
        )


def _systems(layer: Companion | ClosedLoopCompanion) -> tuple[FloatArray, FloatArray]:
    """Coefficients a and c of each channel, ``(H, order)``; a skip makes the order one more."""
    repeats = layer.channels // layer.n_kernels
    a, c = (np.tile(_array(each), (repeats, 1)) for each in (layer.coefficients, layer.output))
    skip = getattr(layer, "skip", None)
    if skip is None:
        return a, c
    # D u_t = D (w_t - a_1 w_(t-1) - ... - a_d w_(t-d))
    D, none = _array(skip)[:, None], np.zeros((layer.channels, 1))
    return np.hstack([a, none]), np.hstack([c, none]) + D * np.hstack([none + 1.0, -a])


def _array(values: Any) -> FloatArray:
    array: FloatArray = values.detach().double().cpu().numpy()
    return array
