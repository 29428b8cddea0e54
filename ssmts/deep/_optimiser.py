"""What each parameter is moved by: groups for AdamW, and the learning rate of a step."""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor, nn


def parameter_groups(network: nn.Module, learning_rate: float, weight_decay: float) -> list[dict[str, Any]]:
    """Parameters by how an optimiser treats them.

    A network with a method ``parameter_groups(learning_rate, weight_decay)`` says it itself. In others biases and gains (one axis or none)
    do not decay, nor does a parameter with a true attribute ``_no_decay``; ``_lr`` is a learning rate of its own.

    Parameters
    ----------
    network : Module
    learning_rate, weight_decay : float
    """
    own = getattr(network, "parameter_groups", None)
    if own is not None:
        return list(own(learning_rate, weight_decay))
    groups: dict[tuple[float, float], list[Tensor]] = {}
    for p in network.parameters():
        decay = 0.0 if p.ndim < 2 or getattr(p, "_no_decay", False) else weight_decay
        groups.setdefault((getattr(p, "_lr", learning_rate), decay), []).append(p)
    return [{"params": each, "lr": rate, "weight_decay": decay} for (rate, decay), each in groups.items()]


def rate_factor(step: int, total: int) -> float:
    """Share of the learning rate at a step: a linear rise over a tenth of all, then a cosine down to a hundredth.

    Parameters
    ----------
    step : int
        From 0.
    total : int
    """
    rise = max(total // 10, 1)
    falling = 0.5 * (1 + math.cos(math.pi * max(step - rise, 0) / max(total - rise, 1)))
    return min((step + 1) / rise, 1.0) * (0.01 + 0.99 * falling)
