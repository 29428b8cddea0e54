"""The training loop of all deep estimators.

An epoch draws its order, and a step its dropout, from the seed and their own numbers, so that a run that was cut off and goes on from
its last checkpoint ends at the same weights as one that was not: to the last bit on the CPU with as many threads.
"""

from __future__ import annotations

import copy
import math
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from .._files import place
from ..exceptions import InputError, NumericalError
from . import _checkpoint as checkpoints
from ._machine import device_of, memory_named, threads
from ._optimiser import parameter_groups, rate_factor
from ._randomness import Randomness
from .examples import SAMPLINGS, Examples, IntArray, Order, Sampling

__all__ = ["History", "TrainOptions", "device_of", "mean_loss", "train"]

Loss = Callable[[Any, Any], Tensor]

# Steps between looks at the losses on CUDA: each look waits for the device. A look says which step it was all the same.
_UNSEEN = 32
_ASIDE = ("device", "n_threads", "progress")  # options that a run may change when it goes on


@dataclass(frozen=True)
class TrainOptions:
    """How a network is trained.

    Parameters
    ----------
    learning_rate : float
        Of AdamW at its height: after a linear rise over the first tenth of the steps, before a cosine down to a hundredth.
    weight_decay : float
        Of weight matrices; see `parameter_groups` for what does not decay.
    batch_size : int
        Examples in a step, at most: an epoch is cut into steps of about the same size.
    max_epochs : int
    batches_per_epoch : int
        An epoch ends after so many steps, or when all examples were drawn.
    patience : int
        Epochs without a better validation loss until training stops.
    gradient_clip : float
        Norm that the gradient is cut to; infinity leaves it.
    average : float
        Decay of the running mean of the weights that is validated and kept; 0 keeps the weights themselves.
    device : str
        "auto" takes CUDA where it is.
    n_threads : int, optional
        Of torch on the CPU; as they are unless given.
    mixed_precision : bool
        Products in bfloat16 on CUDA; transforms stay single.
    seed : int
    progress : bool
        Show a bar.
    sampling : {"windows", "series"}
        Whether all examples are visited alike, or all series; see `Order`.

    Raises
    ------
    InputError
        An option out of its range.
    """

    learning_rate: float = 4e-3
    weight_decay: float = 1e-4
    batch_size: int = 64
    max_epochs: int = 10
    batches_per_epoch: int = 100
    patience: int = 4
    gradient_clip: float = 1.0
    average: float = 0.0
    device: str = "auto"
    n_threads: int | None = None
    mixed_precision: bool = True
    seed: int = 0
    progress: bool = False
    sampling: Sampling = "windows"

    @classmethod
    def of(cls, estimator: Any, seed: int) -> TrainOptions:
        """Those arguments of an estimator that have the names of options, and a seed."""
        given = {each.name: getattr(estimator, each.name) for each in fields(cls) if hasattr(estimator, each.name)}
        return cls(**{**given, "seed": seed})

    def __post_init__(self) -> None:
        for name in ("batch_size", "max_epochs", "batches_per_epoch", "patience"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} must be at least 1; received {getattr(self, name)!r}.")
        for name in ("learning_rate", "gradient_clip"):
            if not getattr(self, name) > 0:
                raise InputError(f"{name} must be above 0; received {getattr(self, name)!r}.")
        if not 0 <= self.average < 1 or not self.weight_decay >= 0:
            raise InputError(
                f"average must be from 0 to below 1, weight_decay 0 or more; received {self.average!r}, {self.weight_decay!r}."
            )
        if self.sampling not in SAMPLINGS:
            raise InputError(f"sampling must be 'windows' or 'series'; received {self.sampling!r}.")


class History(NamedTuple):
    """What training was like."""

    train: tuple[float, ...]  # mean loss of each epoch
    validation: tuple[float, ...]  # loss after each epoch; empty without validation examples
    best_epoch: int  # whose weights were kept, counted from 0
    seconds: float  # also those before an interruption
    stopped_early: bool


def train(
    network: nn.Module,
    loss: Loss,
    examples: Examples,
    validation: Examples | None,
    options: TrainOptions,
    *,
    checkpoint: str | os.PathLike[str] | None = None,
    checkpoint_steps: int | None = None,
    objective: dict[str, Any] | None = None,
) -> History:
    """Fit a network to examples.

    The state of torch's generators, and its number of threads, are what they were afterwards.

    Parameters
    ----------
    network : Module
        Trained in place, and left on its device in evaluation mode, with the weights of the best validation loss, or the last ones.
    loss : callable
        ``loss(network, batch)``, a mean over the batch. `network` is in training mode for the one, in evaluation mode for the other
        examples.
    examples : Examples
        `Windows`, or others of their kind.
    validation : Examples or None
        Not learnt from, later in time where there is time; without them all epochs are run.
    options : TrainOptions
    checkpoint : path, optional
        File that is written after each epoch, and from which a run of the same data and options goes on. It stays when the run has
        ended: the next such run ends at once.
    checkpoint_steps : int, optional
        Write it after every so many steps, too; for epochs that take long.
    objective : dict, optional
        What the loss depends on, numbers and strings: a checkpoint of another one is refused.

    Returns
    -------
    History

    Raises
    ------
    NumericalError
        The loss or its gradient is no finite number any more; names the step.
    InputError
        There is no example, no CUDA where it was asked for, or not enough memory; names the argument to change.
    PersistError
        The checkpoint is of another run.

    Examples
    --------
    >>> import numpy as np
    >>> from torch import nn
    >>> from ssmts.deep.windows import Windows
    >>> windows = Windows([np.sin(np.arange(200.0))[:, None]], None, 2, 1, first=2)
    >>> network = nn.Linear(2, 1, bias=False)
    >>> options = TrainOptions(0.1, 0.0, max_epochs=100)
    >>> history = train(network, lambda f, b: (f(b.context) - b.target).square().mean(), windows, None, options)
    >>> network.weight.data.round(decimals=2)  # sin(t + 1) = 2 cos(1) sin(t) - sin(t - 1)
    tensor([[-1.0000,  1.0800]])
    """
    if not len(examples):
        raise InputError(examples.none_there)
    device = device_of(options.device)
    advice = f"Training ran out of memory on {device} with batch_size={options.batch_size} and {examples.memory_advice}"
    path = None if checkpoint is None else place(checkpoint)
    with threads(options.n_threads), memory_named(advice):
        to = network.to(device)
        return _Run(to, loss, examples, validation, options, device, path, checkpoint_steps, objective or {}).run()


class _Run:
    """One training, from its start or from a checkpoint."""

    def __init__(
        self,
        network: nn.Module,
        loss: Loss,
        examples: Examples,
        validation: Examples | None,
        options: TrainOptions,
        device: torch.device,
        checkpoint: Path | None,
        checkpoint_steps: int | None,
        objective: dict[str, Any],
    ) -> None:
        self.network, self.loss, self.examples, self.options, self.device = network, loss, examples, options, device
        self.validation = validation if validation is not None and len(validation) else None
        self.checkpoint, self.checkpoint_steps, self.objective = checkpoint, checkpoint_steps, objective
        groups = parameter_groups(network, options.learning_rate, options.weight_decay)
        self.optimiser = torch.optim.AdamW(groups, fused=all(p.is_floating_point() for p in network.parameters()))
        self.rates = [group["lr"] for group in self.optimiser.param_groups]
        self.average = copy.deepcopy(network).requires_grad_(False) if options.average else network
        self.steps = min(options.batches_per_epoch, -(-len(examples) // options.batch_size))
        self.total = self.steps * options.max_epochs
        self.order = Order(
            examples, min(self.steps * options.batch_size, len(examples)), options.sampling, options.seed
        )
        self.random = Randomness(device, options.seed)
        self.epoch, self.step, self.sum, self.seconds = 0, 0, 0.0, 0.0  # sum of the losses of the epoch's examples
        self.best, self.best_epoch, self.best_weights = math.inf, 0, checkpoints.weights(self.average)
        self.train_losses: list[float] = []
        self.validation_losses: list[float] = []
        self.unseen: list[tuple[int, int, Tensor]] = []  # step, its examples, its loss and norm of the gradient
        self.identity = {} if checkpoint is None else self._identity()

    def run(self) -> History:
        options, self.began = self.options, time.perf_counter()
        if self.checkpoint is not None and self.checkpoint.exists():
            self._resume(self.checkpoint)
        bar = tqdm(total=options.max_epochs, initial=self.epoch, unit="epoch", disable=not options.progress)
        with bar, self.random.within(self.network):
            while self.epoch < options.max_epochs and not self._is_stale():
                self.train_losses.append(self._train_epoch())
                self._keep_if_better()
                self.epoch, self.sum = self.epoch + 1, 0.0
                self._save()
                bar.update()
                bar.set_postfix(train=self.train_losses[-1], validation=(self.validation_losses or [math.nan])[-1])
        self.network.load_state_dict(self.best_weights)
        self.network.eval()
        stopped = self.epoch < options.max_epochs
        losses = tuple(self.train_losses), tuple(self.validation_losses)
        return History(*losses, self.best_epoch, self._elapsed(), stopped)

    def _is_stale(self) -> bool:
        return self.validation is not None and self.epoch - 1 - self.best_epoch >= self.options.patience

    def _train_epoch(self) -> float:
        self.network.train()
        batches = np.array_split(self.order.epoch(self.epoch), self.steps)
        while self.step < (self.epoch + 1) * self.steps:
            self._take_step(batches[self.step - self.epoch * self.steps])
            self.step += 1
            if self.checkpoint_steps and self.step % self.checkpoint_steps == 0 and self.step % self.steps:
                self._save()
        self._look()
        return self.sum / sum(map(len, batches))

    def _take_step(self, indices: IntArray) -> None:
        self.random.set(self.step)
        self._set_rates()
        batch = self.examples.batch(indices).to(self.device)
        mixed = self.options.mixed_precision and self.device.type == "cuda"
        with torch.autocast("cuda", torch.bfloat16, enabled=mixed):
            loss = self.loss(self.network, batch)
        self.optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), self.options.gradient_clip)
        self.unseen.append((self.step, len(indices), torch.stack([loss.detach().float(), norm.float()])))
        if self.device.type == "cpu" or len(self.unseen) == _UNSEEN:
            self._look()
        self.optimiser.step()
        self._follow()

    def _look(self) -> None:
        """Add up the losses of the last steps, unless one is not finite."""
        if not self.unseen:
            return
        found = torch.stack([each for _, _, each in self.unseen]).tolist()
        for (step, size, _), (loss, norm) in zip(self.unseen, found):
            if not math.isfinite(loss) or not math.isfinite(norm):
                what, value = ("norm of the gradient", norm) if math.isfinite(loss) else ("training loss", loss)
                raise NumericalError(
                    f"The {what} is {value} at step {step - self.epoch * self.steps + 1} of epoch {self.epoch + 1}. Lower "
                    f"learning_rate (now {self.options.learning_rate:g}), or look for values far beyond all others."
                )
            self.sum += loss * size
        self.unseen.clear()

    def _set_rates(self) -> None:
        factor = rate_factor(self.step, self.total)
        for group, rate in zip(self.optimiser.param_groups, self.rates):
            group["lr"] = rate * factor

    def _follow(self) -> None:
        """Move the running mean of the weights."""
        if self.average is self.network:
            return
        decay = min(self.options.average, (1 + self.step) / (10 + self.step))  # at first there is little to average
        with torch.no_grad():
            for mean, weight in zip(self.average.parameters(), self.network.parameters()):
                mean.lerp_(weight, 1 - decay)
            for kept, value in zip(self.average.buffers(), self.network.buffers()):
                kept.copy_(value)

    def _keep_if_better(self) -> None:
        if self.validation is None:
            self.best_weights, self.best_epoch = checkpoints.weights(self.average), self.epoch
            return
        loss = mean_loss(self.average, self.loss, self.validation, self.device, self.options.batch_size)
        if not math.isfinite(loss):
            raise NumericalError(
                f"The validation loss is {loss} after epoch {self.epoch + 1}. Lower learning_rate, or look for values far beyond "
                "all others."
            )
        self.validation_losses.append(loss)
        if loss < self.best:
            self.best, self.best_weights, self.best_epoch = loss, checkpoints.weights(self.average), self.epoch

    # checkpoints ------------------------------------------------------------------------------------------------

    def _elapsed(self) -> float:
        return self.seconds + time.perf_counter() - self.began

    def _identity(self) -> dict[str, Any]:
        """What must be the same for a run to go on."""
        network = self.network
        shapes = {name: list(value.shape) for name, value in network.state_dict().items()}
        return {
            "data": [self.examples.fingerprint(), self.validation and self.validation.fingerprint()],
            "options": {name: value for name, value in asdict(self.options).items() if name not in _ASIDE},
            "objective": self.objective,
            "network": {"class": type(network).__qualname__, **(getattr(network, "config", None) or {}), **shapes},
        }

    def _save(self) -> None:
        if self.checkpoint is None:
            return
        self._look()
        progress = {
            "epoch": self.epoch,
            "step": self.step,
            "sum": self.sum,
            "seconds": self._elapsed(),
            "best": self.best if math.isfinite(self.best) else None,
            "best_epoch": self.best_epoch,
            "train": self.train_losses,
            "validation": self.validation_losses,
        }
        tensors = {
            "network": self.network.state_dict(),
            "average": {} if self.average is self.network else self.average.state_dict(),
            "best": self.best_weights,
            "optimiser": checkpoints.moments(self.optimiser),
        }
        checkpoints.write(self.checkpoint, self.identity, progress, tensors)

    def _resume(self, path: Path) -> None:
        progress, tensors = checkpoints.read(path, self.identity)
        self.network.load_state_dict(tensors["network"])
        if self.average is not self.network:
            self.average.load_state_dict(tensors["average"])
        self.best_weights = tensors["best"]
        checkpoints.restore_moments(self.optimiser, tensors.get("optimiser", {}))
        self.epoch, self.step, self.sum = progress["epoch"], progress["step"], progress["sum"]
        self.best = math.inf if progress["best"] is None else progress["best"]
        self.best_epoch, self.seconds = progress["best_epoch"], progress["seconds"]
        self.train_losses, self.validation_losses = progress["train"], progress["validation"]


def mean_loss(network: nn.Module, loss: Loss, examples: Examples, device: torch.device, batch_size: int = 256) -> float:
    """Mean loss over examples, without dropout.

    Parameters
    ----------
    network : Module
    loss : callable
    examples : Examples
    device : torch.device
    batch_size : int
    """
    network.eval()
    total = 0.0
    with torch.no_grad():
        for start in range(0, len(examples), batch_size):
            indices = np.arange(start, min(start + batch_size, len(examples)))
            total += loss(network, examples.batch(indices).to(device)).item() * len(indices)
    return total / len(examples)
