"""Products of power series for torch: their gradient keeps the factors, not the transforms; on a CPU they stay within its cache."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

# Numbers that a CPU transforms at once: more would leave its cache, and cost twice the time and all the memory.
_AT_ONCE = 2**18


def convolve(u: Tensor, kernel: Tensor, first: int, n: int, size: int) -> Tensor:
    """Terms `first` to n - 1 of the product of two real series, with a gradient.

    Parameters
    ----------
    u, kernel : Tensor, shape (..., any length)
    first, n : int
    size : int
        Of the transforms: at least n, and the terms of the whole product but for the first ones.
    """
    product: Tensor = _Convolve.apply(u, kernel, first, n, size)  # type: ignore[no-untyped-call]
    return product


class _Convolve(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, u: Tensor, kernel: Tensor, first: int, n: int, size: int) -> Tensor:
        ctx.save_for_backward(u, kernel)
        ctx.first, ctx.size = first, size
        transformed = torch.fft.rfft(kernel, size)
        shape = np.broadcast_shapes(u.shape[:-1], kernel.shape[:-1])
        product = u.new_empty(*shape, n - first)
        for rows in _parts(u, kernel, shape, size):
            of_part = torch.fft.rfft(u[rows], size) * transformed
            product[rows] = torch.fft.irfft(of_part, size)[..., first:n]
        return product

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None, None, None]:  # type: ignore[override]
        u, kernel = ctx.saved_tensors
        first, size = ctx.first, ctx.size
        of_u = torch.empty_like(u) if ctx.needs_input_grad[0] else None
        of_kernel: Tensor | None = None
        conjugate = torch.fft.rfft(kernel, size).conj().resolve_conj()
        for rows in _parts(u, kernel, gradient.shape[:-1], size):
            inputs, part = u[rows], gradient[rows]
            part = torch.fft.rfft(F.pad(part, (first, 0)) if first else part, size)
            if of_u is not None:
                of_u[rows] = torch.fft.irfft(_summed(part * conjugate, inputs), size)[..., : u.shape[-1]]
            if ctx.needs_input_grad[1]:
                summed = _summed(part * torch.fft.rfft(inputs, size).conj(), kernel)
                of_kernel = summed if of_kernel is None else of_kernel + summed
        if of_kernel is not None:
            of_kernel = torch.fft.irfft(of_kernel, size)[..., : kernel.shape[-1]]
        return of_u, of_kernel, None, None, None


def _summed(transformed: Tensor, like: Tensor) -> Tensor:
    """The sum over all axes along which a factor was repeated."""
    return transformed.sum_to_size(*like.shape[:-1], transformed.shape[-1])


def _parts(u: Tensor, kernel: Tensor, shape: tuple[int, ...], size: int) -> Iterator[Any]:
    """Indices of parts of u, and of the product, along the axis of batches, where the kernel does not vary."""
    if u.device.type != "cpu" or u.ndim < 3 or (kernel.ndim >= 3 and kernel.shape[-3] > 1):
        yield ...
        return
    batch = u.shape[-3]
    others = size
    for axis, length in enumerate(shape):
        others *= length if axis != len(shape) - 3 else 1
    step = max(1, _AT_ONCE // others)
    for begin in range(0, batch, step):
        yield (..., slice(begin, begin + step), slice(None), slice(None))
