"""What the numbers at the end of a network mean: a loss to train by, and a distribution to answer with.

A head has ``n_parameters`` numbers for every value that it forecasts, on the axis P of arrays ``(B, P, C, n)``.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from scipy.special import ndtri, stdtrit
from torch import Tensor

from ..exceptions import InputError
from .network import Output
from .scaling import Normalization, Scaled, normalise
from .windows import Batch

Loss = Literal["mse", "mae", "quantile", "gaussian", "student_t"]
LOSSES: tuple[Loss, ...] = get_args(Loss)

# Deciles for the body; the other ones are the ends of intervals of 95, 98 and 99 per cent, beyond which no network can be
# trusted to have seen enough rows.
LEVELS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.975, 0.99, 0.995)

_LEAST_DEVIATION = 1e-3  # in those of the normalised windows: a density that may grow without bound is no loss
_LEAST_FREEDOM = 2.0  # the variance of a Student t exists above


class Head(ABC):
    """Meaning of a network's last numbers."""

    n_parameters: int
    centre: Literal["mean", "median"]  # what `location` is

    @abstractmethod
    def loss(self, parameters: Tensor, target: Tensor) -> Tensor:
        """Loss of each value.

        Parameters
        ----------
        parameters : Tensor, shape (B, P, C, n)
        target : Tensor, shape (B, C, n)
            NaN where missing, which cost 0.

        Returns
        -------
        Tensor, shape (B, C, n)
        """

    def location(self, parameters: Tensor) -> Tensor:
        """Centre of the distribution, ``(B, C, n)``."""
        return parameters[:, 0]

    def quantiles(self, parameters: Tensor) -> Tensor | None:
        """Quantiles at `LEVELS`, ``(B, len(LEVELS), C, n)``; None where the numbers speak of the centre only."""
        return None


class MeanSquare(Head):
    """Squared error: the centre is the mean, and what surrounds it has to be learnt from residuals."""

    n_parameters, centre = 1, "mean"

    def loss(self, parameters: Tensor, target: Tensor) -> Tensor:
        return _where_seen((parameters[:, 0] - torch.nan_to_num(target)).square(), target)


class MeanAbsolute(Head):
    """Absolute error: the centre is the median."""

    n_parameters, centre = 1, "median"

    def loss(self, parameters: Tensor, target: Tensor) -> Tensor:
        return _where_seen((parameters[:, 0] - torch.nan_to_num(target)).abs(), target)


class Pinball(Head):
    """Quantiles at `LEVELS`: twice the mean of the pinball losses, which tends to the continuous ranked probability score.

    The numbers are sorted, so that quantiles do not cross.
    """

    n_parameters, centre = len(LEVELS), "median"

    def loss(self, parameters: Tensor, target: Tensor) -> Tensor:
        q = torch.tensor(LEVELS, dtype=parameters.dtype, device=parameters.device)[:, None, None]
        weights = torch.tensor(_cell_widths(), dtype=parameters.dtype, device=parameters.device)[:, None, None]
        error = torch.nan_to_num(target)[:, None] - self.quantiles(parameters)
        return _where_seen(2 * (weights * torch.maximum(q * error, (q - 1) * error)).sum(1), target)

    def location(self, parameters: Tensor) -> Tensor:
        return self.quantiles(parameters)[:, LEVELS.index(0.5)]

    def quantiles(self, parameters: Tensor) -> Tensor:
        return parameters.sort(dim=1).values


class Normal(Head):
    """Negative log-likelihood of a normal with its own mean and standard deviation for each value."""

    n_parameters, centre = 2, "mean"

    def deviation(self, parameters: Tensor) -> Tensor:
        """Standard deviation ``(B, C, n)``."""
        return F.softplus(parameters[:, 1]) + _LEAST_DEVIATION

    def loss(self, parameters: Tensor, target: Tensor) -> Tensor:
        deviation = self.deviation(parameters)
        z = (torch.nan_to_num(target) - parameters[:, 0]) / deviation
        return _where_seen(0.5 * z.square() + deviation.log() + 0.5 * math.log(2 * math.pi), target)

    def quantiles(self, parameters: Tensor) -> Tensor:
        z = torch.tensor(ndtri(LEVELS), dtype=parameters.dtype, device=parameters.device)[:, None, None]
        return parameters[:, :1] + z * self.deviation(parameters)[:, None]


class StudentT(Head):
    """Negative log-likelihood of a Student t with its own location, scale and degrees of freedom, above 2, for each value."""

    n_parameters, centre = 3, "mean"

    def shape(self, parameters: Tensor) -> tuple[Tensor, Tensor]:
        """Scale and degrees of freedom, each ``(B, C, n)``."""
        return F.softplus(parameters[:, 1]) + _LEAST_DEVIATION, F.softplus(parameters[:, 2]) + _LEAST_FREEDOM

    def loss(self, parameters: Tensor, target: Tensor) -> Tensor:
        scale, freedom = self.shape(parameters)
        law: Any = torch.distributions.StudentT(freedom, parameters[:, 0], scale, validate_args=False)
        return _where_seen(-law.log_prob(torch.nan_to_num(target)), target)

    def quantiles(self, parameters: Tensor) -> Tensor:
        scale, freedom = self.shape(parameters)
        df = freedom.detach().double().cpu().numpy()
        z = np.stack([stdtrit(df, q) for q in LEVELS], axis=1)
        return parameters[:, :1] + torch.from_numpy(z).to(scale) * scale[:, None]


_HEADS: dict[str, type[Head]] = {
    "mse": MeanSquare,
    "mae": MeanAbsolute,
    "quantile": Pinball,
    "gaussian": Normal,
    "student_t": StudentT,
}


def head(loss: Loss) -> Head:
    """Head of a loss by its name.

    Parameters
    ----------
    loss : {"mse", "mae", "quantile", "gaussian", "student_t"}

    Examples
    --------
    >>> head("gaussian").n_parameters
    2
    """
    if loss not in LOSSES:
        raise InputError(f"loss must be one of {', '.join(map(repr, LOSSES))}; received {loss!r}.")
    return _HEADS[loss]()


def mean_of_observed(losses: Tensor, target: Tensor) -> Tensor:
    """Mean over the values that are there; 0 where there are none.

    Parameters
    ----------
    losses, target : Tensor
        Of one shape; NaN in `target` is missing, and costs 0 in `losses`.
    """
    return losses.sum() / (~torch.isnan(target)).sum().clamp_min(1)


@dataclass(frozen=True)
class Objective:
    """The loss of a network over windows: called with a network and a batch, a mean over the batch."""

    loss: Loss
    loss_weights: tuple[float, ...]  # of the three terms of `window_loss`
    normalization: Normalization
    burn_in: int

    def __call__(self, network: Any, batch: Batch) -> Tensor:
        """The loss of a batch; an epoch is chosen by the rows ahead, unless they are not learnt."""
        scaled = normalise(batch.context, self.normalization)
        terms = self.loss_weights if network.training or not self.loss_weights[0] else (1.0, 0.0, 0.0)
        aside = bool(terms[1] or terms[2])
        output: Output = network(
            scaled.values, scaled.observed, batch.covariates, batch.target.shape[-1], in_context=aside
        )
        return window_loss(head(self.loss), output, scaled, batch.target, terms, self.burn_in)


def window_loss(
    head: Head, output: Output, scaled: Scaled, target: Tensor, weights: tuple[float, ...], burn_in: int
) -> Tensor:
    """The loss of a window: of the rows ahead, of the rows of the context one step ahead, and of the decoder's inputs.

    Parameters
    ----------
    head : Head
    output : Output
        Of the network, for the window.
    scaled : Scaled
        The normalised context.
    target : Tensor, shape (B, C, h)
        Rows ahead on the scale of the context, NaN where missing.
    weights : tuple of three floats
        Of the three terms. The third is relative to the mean square of the inputs that it predicts: these are learnt as well, and
        an absolute error would grow with them.
    burn_in : int
        Rows of the context that are too early to be predicted by one.

    References
    ----------
    Zhang et al. (2023), section 3.2; there the terms are root mean squares.
    """
    target = (target - scaled.location) / scaled.scale
    total = weights[0] * mean_of_observed(head.loss(output.ahead, target), target)
    if weights[1] and output.fitted is not None:
        seen = torch.where(scaled.observed > 0, scaled.values, torch.nan)[..., burn_in + 1 :]
        losses = head.loss(output.fitted[..., burn_in:-1], seen)
        total = total + weights[1] * mean_of_observed(losses, seen)
    if weights[2] and output.hidden is not None:
        predicted, true = (each[..., burn_in:] for each in output.hidden)
        scale = true.detach().square().mean((0, 2), keepdim=True).clamp_min(1e-6)
        total = total + weights[2] * ((predicted - true).square() / scale).mean()
    return total


def _where_seen(losses: Tensor, target: Tensor) -> Tensor:
    return torch.where(torch.isnan(target), torch.zeros_like(losses), losses)


def _cell_widths() -> npt.NDArray[np.float64]:
    """How much of (0, 1) each level stands for."""
    edges = np.concatenate([[0.0], (np.array(LEVELS[1:]) + np.array(LEVELS[:-1])) / 2, [1.0]])
    widths: npt.NDArray[np.float64] = np.diff(edges)
    return widths
