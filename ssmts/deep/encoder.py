"""What networks share that read rows: an embedding, and an encoder of companion state-space layers."""

from __future__ import annotations

from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .dropout import Dropout
from .layers import Companion, Preprocess


class EncoderBlock(nn.Module):
    """A companion layer, and a nonlinear map over the channels of what it says; the caller adds this to the input."""

    def __init__(self, width: int, state_size: int, dropout: float) -> None:
        super().__init__()
        self.layer = Companion(width, state_size)
        self.mix = nn.Linear(width, width)
        self.dropout = Dropout(dropout)

    def mixed(self, y: Tensor) -> Tensor:
        """The map of outputs ``(B, H, L)`` of the layer."""
        return along_channels(self.mix, self.dropout(F.gelu(y)))


class EncoderNetwork(nn.Module):
    """Base of networks that read rows by an embedding and an encoder, causally: a row's features depend on the rows up to it.

    Parameters
    ----------
    n_inputs : int
        Numbers that a row is embedded from: each value, whether it is missing, and covariates.
    n_layers : int
        Layers of the encoder.
    width : int
        Channels, H.
    state_size : int
        Order of each companion recursion, d.
    dropout : float
    preprocess : Preprocess, optional
        What it says of the embedded series is added to it.
    """

    def __init__(
        self,
        n_inputs: int,
        *,
        n_layers: int,
        width: int,
        state_size: int,
        dropout: float,
        preprocess: Preprocess | None = None,
    ) -> None:
        super().__init__()
        self.embed = nn.Linear(n_inputs, width)
        self.preprocess = preprocess
        self.encoder = nn.ModuleList(EncoderBlock(width, state_size, dropout) for _ in range(n_layers))

    def embedded(self, values: Tensor, observed: Tensor, covariates: Tensor | None) -> Tensor:
        """Channels ``(B, H, L)`` of normalised values and their marks ``(B, C, L)``, and of covariates ``(B, F, L)``."""
        parts = [values, 1 - observed] + ([] if covariates is None else [covariates])
        return along_channels(self.embed, torch.cat(parts, dim=1))

    def encoded(self, values: Tensor, observed: Tensor, covariates: Tensor | None) -> Tensor:
        """Features ``(B, H, L)`` of each row, from those up to it."""
        u = self.embedded(values, observed, covariates)
        if self.preprocess is not None:
            u = u + self.preprocess.convolve(u)
        for block in self.blocks():
            u = u + block.mixed(block.layer.convolve(u))
        return u

    def blocks(self) -> list[EncoderBlock]:
        """Layers of the encoder."""
        return cast(list[EncoderBlock], list(self.encoder))

    def parameter_groups(self, learning_rate: float, weight_decay: float) -> list[dict[str, Any]]:
        """Groups for an optimiser: state-space coefficients, and biases, do not decay."""
        matrices = [m.weight for m in self.modules() if isinstance(m, nn.Linear)]
        chosen = set(map(id, matrices))
        others = [p for p in self.parameters() if id(p) not in chosen]
        return [
            {"params": matrices, "lr": learning_rate, "weight_decay": weight_decay},
            {"params": others, "lr": learning_rate, "weight_decay": 0.0},
        ]


def along_channels(linear: nn.Linear, x: Tensor) -> Tensor:
    """A linear map of the channels of ``(B, channels, time)``."""
    return torch.baddbmm(linear.bias[:, None], linear.weight.expand(len(x), -1, -1), x)  # copies no signal
