"""The log-likelihood of a Gaussian process as a function of its hyperparameters, in linear time, with its exact gradient."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..components.kernel_steps import Steps, steps_of
from ..components.kernels import Kernel
from ..components.transforms import Array
from ..core.gaussian import loglik, pack, score
from ..core.types import LinearGaussianSSM, TimeVarying
from ..estimation._tangents import numbers_of
from ._process_model import ONE, Hyperparameter, distinct, hyperparameters, model_of, soundly, with_values

EXACT = 1e-12  # the model reproduces a series if it leaves less than this part of its mean square
PLAIN = 2_000  # rows up to which it costs more to look for structure in a model than to filter
WRT = ("transition", "process_cov", "obs_cov", "initial_cov")


class Likelihood:
    """Log-likelihood of scaled rows as a function of hyperparameters, with its exact gradient.

    Parameters
    ----------
    kernel : Kernel
    y : (n_times,)
    gaps : (n_times,) or None
        Time from each row to the next; None for steps of length 1.
    constant : bool
    Z : (n_times, n_covariates) or None
    """

    def __init__(self, kernel: Kernel, y: Array, gaps: Array | None, constant: bool, Z: Array | None) -> None:
        self.kernel, self.y, self.constant, self.Z = kernel, y[:, None], constant, Z
        self.places: tuple[Hyperparameter, ...] = hyperparameters(kernel)
        self.lengths, self.which = (ONE, np.zeros(len(y), np.int64)) if gaps is None else distinct(gaps)
        self.n_counted = int((~np.isnan(y)).sum()) - int(constant) - (0 if Z is None else Z.shape[1])
        self.method = "auto" if len(y) > PLAIN else "sequential"

    def height(self, values: Mapping[str, float]) -> float:
        """Log-likelihood."""
        packed = pack(self._model(values)[1], len(self.y))
        return float(soundly(lambda method: loglik(packed, self.y, method=method), self.method))

    def __call__(self, values: Mapping[str, float]) -> tuple[float, dict[str, float]]:
        """Log-likelihood and its gradient."""
        steps, model = self._model(values)
        packed = pack(model, len(self.y))
        height, found = soundly(lambda method: score(packed, self.y, wrt=WRT, method=method), self.method)
        d = len(steps.observation)
        of_F, of_Q = (self._by_length(getattr(found, name), d) for name in WRT[:2])
        assert found.initial_cov is not None
        of_P = found.initial_cov[:d, :d]
        gradient = {"obs_var": float(np.sum(numbers_of(found.obs_cov)))}
        for name, leaf, field in self.places:
            *slope, first = steps.slopes[leaf, field]
            gradient[name] = sum(_inner(x, of, first) for x, of in zip(slope, (of_F, of_Q, of_P)) if x is not None)
        return float(height), gradient

    def profiled(self, values: Mapping[str, float]) -> tuple[float, float]:
        """The best factor of all variances, and the log-likelihood there.

        A factor c changes the log-likelihood to ``-(n log c + squares / c) / 2`` and a constant, so that two heights tell
        the squares.
        """
        n, variances = self.n_counted, [name for name in values if name.endswith("_var")]
        here, there = self.height(values), self.height({**values, **{name: 4 * values[name] for name in variances}})
        squares = (n * np.log(4.0) - 2 * (here - there)) / 0.75
        factor = max(squares, 0.0) / n
        if factor < EXACT:
            return factor, np.inf
        return factor, here + squares / 2 - n / 2 * (1 + np.log(factor))

    def _model(self, values: Mapping[str, float]) -> tuple[Steps, LinearGaussianSSM]:
        steps = steps_of(with_values(self.kernel, values), self.lengths)
        return steps, model_of(steps, self.which, values["obs_var"], self.constant, self.Z)

    def _by_length(self, gradient: Array | TimeVarying | None, d: int) -> Array:
        """The gradient with respect to the matrices of each distinct length."""
        if not isinstance(gradient, TimeVarying):
            assert gradient is not None
            return gradient[None, :d, :d]
        order = np.argsort(self.which, kind="stable")
        starts = np.searchsorted(self.which[order], np.arange(len(self.lengths)))
        return np.asarray(np.add.reduceat(gradient.values[order][:, :d, :d], starts, axis=0))


def _inner(block: Array, gradient: Array, first: int) -> float:
    """Sum of products of a block and the gradient with respect to it."""
    at = slice(first, first + block.shape[-1])
    return float(np.vdot(block, gradient[..., at, at]))
