"""Inference in linear Gaussian state-space models: the Kalman ladder.

>>> import numpy as np
>>> from ssmts.core.gaussian import filter, forecast
>>> from ssmts.core.types import LinearGaussianSSM
>>> one = np.eye(1)
>>> level = LinearGaussianSSM(one, one, one, one, np.zeros(1), 0 * one, initial_diffuse_cov=one)
>>> forecast(level, filter(level, [[3.0], [3.0]]).state, 1).mean
array([[3.]])
"""

from ssmts.core.gaussian._filter import filter, forecast, loglik
from ssmts.core.gaussian._many import many
from ssmts.core.gaussian._marginal import marginal_loglik, marginal_score
from ssmts.core.gaussian._moments import lag_one, moments
from ssmts.core.gaussian._news import news
from ssmts.core.gaussian._pack import Packed, pack
from ssmts.core.gaussian._residuals import row_statistics
from ssmts.core.gaussian._responses import forecast_cov, impulse_responses
from ssmts.core.gaussian._robust import IMQ, Huber, Mahalanobis, Release, StudentT, robust_filter
from ssmts.core.gaussian._sample import sample
from ssmts.core.gaussian._score import score
from ssmts.core.gaussian._simulate import simulate
from ssmts.core.gaussian._smooth import smooth
from ssmts.core.gaussian._streams.bytes import state_from_bytes, state_to_bytes
from ssmts.core.gaussian._streams.late import FixedLag
from ssmts.core.gaussian._streams.robust_stream import RobustStream
from ssmts.core.gaussian._streams.step import step
from ssmts.core.gaussian._streams.stream import Stream
from ssmts.core.gaussian._streams.streams import Streams
from ssmts.core.gaussian._weights import contributions, weights

__all__ = [
    "FixedLag",
    "Huber",
    "IMQ",
    "Mahalanobis",
    "Packed",
    "Release",
    "RobustStream",
    "Stream",
    "Streams",
    "StudentT",
    "contributions",
    "filter",
    "forecast",
    "forecast_cov",
    "impulse_responses",
    "lag_one",
    "loglik",
    "many",
    "marginal_loglik",
    "marginal_score",
    "moments",
    "news",
    "pack",
    "row_statistics",
    "robust_filter",
    "sample",
    "score",
    "simulate",
    "smooth",
    "state_from_bytes",
    "state_to_bytes",
    "step",
    "weights",
]
