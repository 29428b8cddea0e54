"""What is subtracted from a window, and what it is divided by, before a network sees it.

A network that has learnt from windows about zero serves series at any height: what it says of a window is moved back by the
same amount. A context's missing values are filled with the last observed one, and marked.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor

from ..exceptions import InputError

Normalization = Literal["last", "mean", "standardize", "none"]
NORMALIZATIONS: tuple[Normalization, ...] = get_args(Normalization)

# The least standard deviation that a window is divided by, in those of its series: what is flat for a whole window is divided by
# this, so that its next step of an ordinary size is a large number and no overflow.
_LEAST_SCALE = 0.01


class Scaled(NamedTuple):
    """A context that a network can read, and how to map its answers back: ``location + scale * answer``."""

    values: Tensor  # (B, C, L), without NaN
    observed: Tensor  # (B, C, L), 1 where there was a value
    location: Tensor  # (B, C, 1)
    scale: Tensor  # (B, C, 1)


def normalise(context: Tensor, kind: Normalization) -> Scaled:
    """Move each window of each column to about zero.

    Parameters
    ----------
    context : Tensor, shape (B, C, L)
        NaN where missing.
    kind : {"last", "mean", "standardize", "none"}
        Subtract the last observed value; or the mean of the observed ones; or that, and divide by their standard deviation; or
        nothing. Only the last of these is causal, which a recurrent state needs.

    Returns
    -------
    Scaled
        A window without any value has location 0 and scale 1: of a series in z-scores, its mean and standard deviation. One value
        alone says nothing of a scale, which is 1 then, too.

    Examples
    --------
    >>> import torch
    >>> window = torch.tensor([[[1.0, float("nan"), 3.0, 5.0]]])
    >>> scaled = normalise(window, "last")
    >>> scaled.values, scaled.location
    (tensor([[[-4., -4., -2.,  0.]]]), tensor([[[5.]]]))
    """
    if kind not in NORMALIZATIONS:
        raise InputError(f"normalization must be one of {', '.join(map(repr, NORMALIZATIONS))}; received {kind!r}.")
    seen = ~torch.isnan(context)
    observed = seen.to(context.dtype)
    values, last = _carried_forward(context, seen)
    count = observed.sum(-1, keepdim=True)
    location = torch.zeros_like(last)
    scale = torch.ones_like(last)
    if kind == "last":
        location = last
    elif kind != "none":
        known = torch.where(seen, context, 0.0)
        location = known.sum(-1, keepdim=True) / count.clamp_min(1)
        if kind == "standardize":
            square = torch.where(seen, context - location, 0.0).square().sum(-1, keepdim=True)
            deviation = (square / count.clamp_min(1)).sqrt().clamp_min(_LEAST_SCALE)
            scale = torch.where(count > 1, deviation, 1.0)
    values = torch.where(torch.isnan(values), torch.zeros_like(values), (values - location) / scale)
    return Scaled(values, observed, location, scale)


def _carried_forward(context: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
    """Each missing value replaced by the last one before it (NaN without one), and the last of all (0 without one)."""
    places = torch.arange(context.shape[-1], device=context.device).expand_as(seen)
    latest = torch.where(seen, places, -1).cummax(-1).values
    values = torch.gather(context, -1, latest.clamp_min(0))  # before the first value this is NaN itself
    return values, torch.nan_to_num(values[..., -1:])
