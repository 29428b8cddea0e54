"""The expected information of the parameters, from the spectrum."""

from __future__ import annotations

import math

import numpy as np

from ssmts.components.compose import Composition
from ssmts.components.transforms import Array

_MOST_FREQUENCIES = 2048
_STEP = 1e-4


class Spectrum:
    """Spectrum of a model's observations and, from its derivatives, the expected information of the parameters.

    For a long stationary series the information is the sum over frequencies of half the products of the derivatives of
    the logarithm of the spectrum (Whittle 1953; Harvey 1989, section 4.3). A series made stationary by differences has
    all its components divided by the same factor, which cancels, so the transfer functions of random walks and seasons
    serve as they are. What no series of n rows can resolve, the poles themselves, is left out by evaluating outside the
    unit circle, at the radius exp(pi / n). This is an approximation: right enough to steer a search by, not for standard
    errors.

    Parameters
    ----------
    model : Composition
    n_times : int
        Rows of the series.

    Examples
    --------
    >>> import numpy as np
    >>> from ssmts.components import Composition, Level, Spectrum
    >>> Spectrum(Composition([Level()]), 100).information(np.array([1.0, 0.1]), 99).shape
    (2, 2)
    """

    def __init__(self, model: Composition, n_times: int) -> None:
        m = min(max(n_times // 2, 8), _MOST_FREQUENCIES)
        self.model = model
        self.z = np.exp(math.pi / n_times + 1j * math.pi * (np.arange(m) + 0.5) / m)
        self._gains = np.zeros((len(model.parameter_names), m))
        self._gains[0] = 1.0
        for component, parameters in model.parts():
            if component.is_static:
                self._gains[parameters] = component.gains(np.zeros(len(component.parameter_names)), self.z)

    def slopes(self, values: Array) -> tuple[Array, Array]:
        """The spectrum (m,), and its derivatives with respect to the free numbers (n_parameters, m)."""
        model, out = self.model, self._gains.copy()
        for component, parameters in model.parts():
            if component.is_static:
                continue
            own = values[parameters]
            is_variance = model.is_variance[parameters]
            gains = np.zeros((own.size, self.z.size))
            gains[is_variance] = component.gains(own, self.z)
            out[parameters] = gains
        spectrum = values[model.is_variance] @ out[model.is_variance]
        free = model.to_free(values)
        scale = np.diagonal(model.free_jacobian(free))
        out[model.is_variance] *= scale[model.is_variance, None]
        for component, parameters in model.parts():
            for i in range(parameters.start, parameters.stop):
                if not model.is_variance[i]:
                    ends = []
                    for sign in (1, -1):
                        moved = free.copy()
                        moved[i] += sign * _STEP
                        own = model.from_free(moved)[parameters]
                        ends.append(own[model.is_variance[parameters]] @ component.gains(own, self.z))
                    out[i] = (ends[0] - ends[1]) / (2 * _STEP)
        return np.asarray(spectrum), out

    def information(self, values: Array, n_effective: float) -> Array:
        """Expected information of the free numbers, (n_parameters, n_parameters).

        Parameters
        ----------
        values : array (n_parameters,)
            Parameter values; not all variances zero.
        n_effective : float
            Observed rows less diffuse states.
        """
        spectrum, slopes = self.slopes(values)
        relative = slopes / np.maximum(spectrum, np.finfo(float).tiny)
        products = np.einsum("im,jm->ij", relative, relative)  # not by BLAS, whose threads cost more than this
        return np.asarray(products * (n_effective / (2 * self.z.size)))
