"""The networks of SpaceTime: an encoder of companion state-space layers, and a decoder that feeds itself or a pooled head.

Zhang, Saab, Poli, Dao, Goel and Re (2023), Effectively modeling time series with simple discrete state spaces, ICLR.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .dropout import Dropout
from .encoder import EncoderNetwork, along_channels
from .layers import ClosedLoopCompanion, Preprocess
from .layers.base import Layer, State


class Output(NamedTuple):
    """What a network says of a window, on the scale of its normalised values."""

    ahead: Tensor  # (B, P, C, h), the numbers of the forecast of each row ahead
    fitted: (
        Tensor | None
    )  # (B, P, C, L), those of the row that follows each row of the context, given the rows up to it
    hidden: tuple[Tensor, Tensor] | None  # predicted and true inputs of the decoder at rows 2 to L, each (B, H, L - 1)


class SpaceTimeNetwork(EncoderNetwork):
    """Embedding, encoder, closed-loop decoder and head.

    Only the decoder runs in a closed loop: the encoder reads the context, and beyond it the decoder predicts its own next
    inputs, so that a horizon costs one division of power series and no step-by-step run through the network.

    Parameters
    ----------
    n_outputs : int
        Columns of the target, C.
    n_covariates : int
        Columns known in advance, F. They enter the embedding with their own rows; beyond the context they drive the decoder's
        states and add to what its states say.
    n_parameters : int
        Numbers that describe the forecast of one value, P.
    context_length : int
        Rows of a window; the longest moving average of the preprocessing.
    n_layers : int
        Layers of the encoder.
    width : int
        Channels, H.
    state_size : int
        Order of each companion recursion, d.
    dropout : float
    preprocess : bool
        Whether fixed differences and moving-average residuals of the embedded series are added to it.
    seed : int
        Of the windows of the moving averages.
    """

    def __init__(
        self,
        n_outputs: int,
        n_covariates: int,
        n_parameters: int,
        *,
        context_length: int,
        n_layers: int,
        width: int,
        state_size: int,
        dropout: float,
        preprocess: bool,
        seed: int = 0,
    ) -> None:
        super().__init__(
            2 * n_outputs + n_covariates,
            n_layers=n_layers,
            width=width,
            state_size=state_size,
            dropout=dropout,
            preprocess=Preprocess(width, context_length, seed=seed) if preprocess else None,
        )
        self.config: dict[str, Any] = {
            "n_outputs": n_outputs,
            "n_covariates": n_covariates,
            "n_parameters": n_parameters,
            "context_length": context_length,
            "n_layers": n_layers,
            "width": width,
            "state_size": state_size,
            "dropout": dropout,
            "preprocess": preprocess,
            "seed": seed,
        }
        self.n_outputs, self.n_parameters = n_outputs, n_parameters
        self.decoder = ClosedLoopCompanion(width, state_size)
        self.drive = nn.Linear(n_covariates, width) if n_covariates else None
        self.direct = nn.Linear(n_covariates, width) if n_covariates else None
        self.head = nn.Linear(width, n_outputs * n_parameters)
        self.dropout = Dropout(dropout)

    def forward(
        self, values: Tensor, observed: Tensor, covariates: Tensor | None, horizon: int, *, in_context: bool = True
    ) -> Output:
        """Forecast the rows after a window.

        Parameters
        ----------
        values : Tensor, shape (B, C, L)
            Normalised, without NaN.
        observed : Tensor, shape (B, C, L)
            1 where there was a value.
        covariates : Tensor, shape (B, F, L + horizon), optional
            Of the rows of the context and of those to forecast.
        horizon : int
            Any; what was learnt about the closed loop goes on.
        in_context : bool, default True
            Whether to say also what the rows of the context let expect of the next one; else `fitted` and `hidden` are None.
        """
        length = values.shape[-1]
        context = None if covariates is None else covariates[..., :length]
        u = self.encoded(values, observed, context)
        following = None if covariates is None else covariates[..., length:]
        drives = self._drives(following)
        if not in_context:
            ahead = self.decoder.roll_out(self.decoder.last_state(u), horizon, drives)
            return Output(self._said(ahead, following), None, None)
        known = None if covariates is None else covariates[..., 1 : length + 1]
        fitted, expected, ahead = self.decoder(u, horizon, drives)
        return Output(self._said(ahead, following), self._said(fitted, known), (expected[..., :-1], u[..., 1:]))

    # one row after the other ------------------------------------------------------------------------------------

    def zero_state(self, batch: int) -> tuple[State, ...]:
        """States of all layers before the first row."""
        return tuple(layer.zero_state(batch) for layer in self._layers())

    def scan(self, values: Tensor, observed: Tensor, covariates: Tensor | None, state: tuple[State, ...]) -> Any:
        """Move the states over rows ``(B, C, n)``; returns the fitted numbers ``(B, P, C, n)`` but for covariates, and the states."""
        u = self.embedded(values, observed, covariates)
        states = list(state)
        at = 0
        if self.preprocess is not None:
            y, states[0] = self.preprocess.scan(u, states[0])
            u, at = u + y, 1
        for block in self.blocks():
            y, states[at] = block.layer.scan(u, states[at])
            u, at = u + block.mixed(y), at + 1
        y, states[at] = self.decoder.scan(u, states[at])
        return y, tuple(states)

    def ahead(self, state: tuple[State, ...], horizon: int, covariates: Tensor | None) -> Tensor:
        """Forecast from states: ``(B, P, C, horizon)``; `covariates` are ``(B, F, horizon)``, of the rows to forecast."""
        return self._said(self.decoder.roll_out(state[-1], horizon, self._drives(covariates)), covariates)

    # parts ------------------------------------------------------------------------------------------------------

    def _layers(self) -> list[Layer]:
        first: list[Layer] = [] if self.preprocess is None else [self.preprocess]
        return [*first, *(block.layer for block in self.blocks()), self.decoder]

    def _drives(self, covariates: Tensor | None) -> Tensor | None:
        if covariates is None or self.drive is None or not covariates.shape[-1]:
            return None
        return along_channels(self.drive, covariates)

    def _said(self, features: Tensor, covariates: Tensor | None) -> Tensor:
        """The head's numbers; `covariates` are of the rows spoken of."""
        if self.direct is not None and covariates is not None:
            features = features + F.pad(
                along_channels(self.direct, covariates), (0, features.shape[-1] - covariates.shape[-1])
            )
        numbers = along_channels(self.head, self.dropout(features))
        return numbers.reshape(len(numbers), self.n_parameters, self.n_outputs, -1)


class ClassificationNetwork(EncoderNetwork):
    """Encoder, and a linear head on the mean of a sequence's features and those of its last row.

    The mean tells what occurs anywhere, the last row what the states still remember. Rows behind the last one, which fill a batch, are
    left out of both, and the encoder does not look ahead, so they change nothing.

    Parameters
    ----------
    n_channels : int
        Channels of a sequence, C.
    n_classes : int
    n_layers : int
        Layers of the encoder.
    width : int
        Channels of the network, H.
    state_size : int
        Order of each companion recursion, d.
    dropout : float
    """

    def __init__(
        self, n_channels: int, n_classes: int, *, n_layers: int, width: int, state_size: int, dropout: float
    ) -> None:
        sizes: dict[str, Any] = {"n_layers": n_layers, "width": width, "state_size": state_size, "dropout": dropout}
        super().__init__(2 * n_channels, **sizes)
        self.config: dict[str, Any] = {"n_channels": n_channels, "n_classes": n_classes, **sizes}
        self.head = nn.Linear(2 * width, n_classes)
        self.dropout = Dropout(dropout)

    def forward(self, values: Tensor, observed: Tensor, lengths: Tensor) -> Tensor:
        """Logarithms of odds of the classes, up to a constant, ``(B, n_classes)``.

        Parameters
        ----------
        values, observed : Tensor, shape (B, C, L)
            Normalised, without NaN, and 1 where there was a value.
        lengths : Tensor of int, shape (B,)
            Rows of each sequence, at least 1.
        """
        u = self.encoded(values, observed, None)
        inside = torch.arange(u.shape[-1], device=u.device) < lengths[:, None]
        mean = torch.where(inside[:, None], u, 0.0).sum(-1) / lengths[:, None]
        last = u.gather(-1, (lengths - 1)[:, None, None].expand(-1, u.shape[1], 1))[..., 0]
        logits: Tensor = self.head(self.dropout(torch.cat([mean, last], dim=1)))
        return logits
