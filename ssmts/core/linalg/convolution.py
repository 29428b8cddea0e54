"""Products of power series by the fast Fourier transform: convolutions and correlations of real sequences along the last axis.

Every function takes NumPy arrays or torch tensors, whose leading axes broadcast, and answers in kind; those of torch have gradients.
A sequence is the series ``x[0] + x[1] z + x[2] z^2 + ...``, and a causal filter is the product with that of its kernel.
"""

from __future__ import annotations

import sys
from functools import lru_cache
from typing import Any

import numpy as np
from scipy.fft import next_fast_len


def namespace(array: Any) -> Any:
    """Module whose functions take an array: torch for its tensors, else NumPy. Loads neither.

    Parameters
    ----------
    array : ndarray or Tensor
    """
    torch = sys.modules.get("torch")
    return torch if torch is not None and isinstance(array, torch.Tensor) else np


def convolve(u: Any, kernel: Any, n: int | None = None, *, first: int = 0) -> Any:
    """First n terms of the product of two series: what a causal filter with this kernel makes of u.

    Parameters
    ----------
    u : ndarray or Tensor, shape (..., length)
    kernel : ndarray or Tensor, shape (..., any length)
    n : int, optional
        As many as `u` has unless given.
    first : int, default 0
        Those before are left out, and shorten the transforms.

    Returns
    -------
    ndarray or Tensor, shape (..., n - first)
        Half-precision numbers are convolved in single precision: few devices transform others.

    Notes
    -----
    Real transforms of a length that is a product of small primes and at least n plus what the product has beyond it, in a time of
    n log n and a memory of n for each series.

    Examples
    --------
    >>> import numpy as np
    >>> convolve(np.array([1.0, 2.0, 3.0]), np.array([1.0, -1.0])).round(12)
    array([1., 1., 1.])
    """
    xp = namespace(u)
    n = u.shape[-1] if n is None else n
    u, kernel = u[..., :n], kernel[..., :n]
    size = fast_size(max(u.shape[-1] + kernel.shape[-1] - 1 - first, n))  # what is beyond folds onto what is left out
    u, kernel = _at_least_single(u), _at_least_single(kernel)
    if xp is not np:
        from ._convolution_torch import convolve as by_parts

        return by_parts(u, kernel, first, n, size)
    return np.fft.irfft(np.fft.rfft(u, size) * np.fft.rfft(kernel, size), size)[..., first:n]


def correlate(u: Any, v: Any) -> Any:
    """The sums ``q[k] = sum_i u[i + k] v[i]`` for k = 0, ..., d - 1, of two sequences of length d.

    Parameters
    ----------
    u, v : ndarray or Tensor, shape (..., d)

    Examples
    --------
    >>> import numpy as np
    >>> correlate(np.array([1.0, 2.0, 3.0]), np.array([1.0, 1.0, 0.0])).round(12)
    array([3., 5., 3.])
    """
    xp, d = namespace(u), u.shape[-1]
    return convolve(u, xp.flip(v, (-1,)), 2 * d - 1, first=d - 1)


@lru_cache(maxsize=1024)
def fast_size(n: int) -> int:
    """Least length of at least n whose real transform is fast: a product of 2, 3 and 5, of which 16 divides the long ones.

    Examples
    --------
    >>> fast_size(7), fast_size(673)
    (8, 720)
    """
    return int(next_fast_len(n, real=True)) if n < 64 else 16 * int(next_fast_len(-(-n // 16), real=True))


def _at_least_single(x: Any) -> Any:
    if x.dtype.itemsize >= 4:
        return x
    return x.astype(np.float32) if isinstance(x, np.ndarray) else x.float()
