"""The training loop of all deep estimators.

An epoch draws its order and its dropout from the seed and its own number, so that a run that was cut off and goes on from its last
checkpoint ends at the same weights as one that was not.
"""

from __future__ import annotations

import copy
import json
import math
import os
import secrets
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from tqdm.auto import tqdm

from ..exceptions import InputError, NumericalError, PersistError
from .windows import Batch, Windows

Loss = Callable[[Any, Batch], Tensor]


@dataclass(frozen=True)
class TrainOptions:
    """How a network is trained.

    Parameters
    ----------
    learning_rate : float
        Of AdamW at its height: after a linear rise over the first tenth of the steps, before a cosine down to a hundredth.
    weight_decay : float
        Of weight matrices; what a network's `parameter_groups` leaves out does not decay.
    batch_size : int
        Windows in a step.
    max_epochs : int
    batches_per_epoch : int
        An epoch ends after so many steps, or when all windows were drawn.
    patience : int
        Epochs without a better validation loss until training stops.
    gradient_clip : float
        Norm that the gradient is cut to.
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


class History(NamedTuple):
    """What training was like."""

    train: tuple[float, ...]  # mean loss of each epoch
    validation: tuple[float, ...]  # loss after each epoch; empty without validation windows
    best_epoch: int  # whose weights were kept, counted from 0
    seconds: float
    stopped_early: bool


def train(
    network: nn.Module,
    loss: Loss,
    windows: Windows,
    validation: Windows | None,
    options: TrainOptions,
    *,
    checkpoint: str | os.PathLike[str] | None = None,
) -> History:
    """Fit a network to windows.

    Parameters
    ----------
    network : Module
        Trained in place, and left on its device in evaluation mode, with the weights of the best validation loss, or the last ones.
    loss : callable
        ``loss(network, batch)``, a mean over the batch.
    windows : Windows
    validation : Windows or None
        Later in time; without them all epochs are run.
    options : TrainOptions
    checkpoint : path, optional
        File that is written after each epoch, and from which a run of the same data and options goes on.

    Returns
    -------
    History

    Raises
    ------
    NumericalError
        The loss is no finite number any more; names the step.
    InputError
        There is no window, no CUDA where it was asked for, or not enough memory; names the argument to change.
    PersistError
        The checkpoint is of another run.
    """
    if not len(windows):
        raise InputError("There is no window to train on: no rows with a value ahead of one with a value before.")
    device = device_of(options.device)
    with _threads(options.n_threads), torch.random.fork_rng([device] if device.type == "cuda" else []):
        try:
            return _Run(network.to(device), loss, windows, validation, options, device, checkpoint).run()
        except torch.OutOfMemoryError as error:
            raise InputError(
                f"Training ran out of memory on {device} with batch_size={options.batch_size} and a context of "
                f"{windows.context_length} rows. Lower batch_size first, then width or context_length. ({error})"
            ) from error


def device_of(name: str) -> torch.device:
    """Device by its name; "auto" is CUDA where it is, else the CPU.

    Parameters
    ----------
    name : str
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise InputError(f"device must be 'auto', 'cpu' or 'cuda'; received {name!r}.") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise InputError(f"device is {name!r}, and torch finds no CUDA device here. Pass device='auto' or 'cpu'.")
    return device


class _Run:
    """One training, from its start or from a checkpoint."""

    def __init__(
        self,
        network: nn.Module,
        loss: Loss,
        windows: Windows,
        validation: Windows | None,
        options: TrainOptions,
        device: torch.device,
        checkpoint: str | os.PathLike[str] | None,
    ) -> None:
        self.network, self.loss, self.windows, self.options, self.device = network, loss, windows, options, device
        self.validation = validation if validation is not None and len(validation) else None
        self.checkpoint = None if checkpoint is None else Path(checkpoint)
        groups = getattr(network, "parameter_groups", _one_group)(options.learning_rate, options.weight_decay)
        self.optimiser = torch.optim.AdamW(groups)
        self.rates = [group["lr"] for group in self.optimiser.param_groups]
        self.average = copy.deepcopy(network).requires_grad_(False) if options.average else network
        self.steps = min(options.batches_per_epoch, -(-len(windows) // options.batch_size))
        self.total = self.steps * options.max_epochs
        self.epoch, self.best, self.best_epoch = 0, math.inf, 0
        self.best_weights = _copied(self.average)
        self.train_losses: list[float] = []
        self.validation_losses: list[float] = []

    def run(self) -> History:
        began, options = time.perf_counter(), self.options
        if self.checkpoint is not None and self.checkpoint.exists():
            self._resume(self.checkpoint)
        bar = tqdm(total=options.max_epochs, initial=self.epoch, unit="epoch", disable=not options.progress)
        stopped = False
        while self.epoch < options.max_epochs and not (stopped := self._is_stale()):
            self.train_losses.append(self._train_epoch())
            self._keep_if_better()
            self.epoch += 1
            if self.checkpoint is not None:
                self._save(self.checkpoint)
            bar.update()
            bar.set_postfix(train=self.train_losses[-1], validation=(self.validation_losses or [math.nan])[-1])
        bar.close()
        self.network.load_state_dict(self.best_weights)
        self.network.eval()
        seconds = time.perf_counter() - began
        return History(tuple(self.train_losses), tuple(self.validation_losses), self.best_epoch, seconds, stopped)

    def _is_stale(self) -> bool:
        return self.validation is not None and self.epoch - 1 - self.best_epoch >= self.options.patience

    def _train_epoch(self) -> float:
        options = self.options
        rng = np.random.default_rng([options.seed, self.epoch])
        torch.manual_seed(int(rng.integers(2**62)))
        order = rng.permutation(len(self.windows))
        self.network.train()
        total = 0.0
        for i in range(self.steps):
            self._set_rates(self.epoch * self.steps + i)
            batch = self.windows.batch(order[i * options.batch_size : (i + 1) * options.batch_size]).to(self.device)
            with self._autocast():
                loss = self.loss(self.network, batch)
            value = loss.item()
            if not math.isfinite(value):
                raise NumericalError(
                    f"The training loss is {value} at step {i + 1} of epoch {self.epoch + 1}. Lower learning_rate "
                    f"(now {options.learning_rate:g}) or gradient_clip, or look for values far beyond all others in y."
                )
            self.optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(self.network.parameters(), options.gradient_clip)
            self.optimiser.step()
            self._follow(self.epoch * self.steps + i)
            total += value
        return total / self.steps

    def _set_rates(self, step: int) -> None:
        """Linear rise, then a cosine down to a hundredth."""
        rise = max(self.total // 10, 1)
        falling = 0.5 * (1 + math.cos(math.pi * max(step - rise, 0) / max(self.total - rise, 1)))
        factor = min((step + 1) / rise, 1.0) * (0.01 + 0.99 * falling)
        for group, rate in zip(self.optimiser.param_groups, self.rates):
            group["lr"] = rate * factor

    def _follow(self, step: int) -> None:
        """Move the running mean of the weights."""
        if self.average is self.network:
            return
        decay = min(self.options.average, (1 + step) / (10 + step))  # at first there is little to average
        with torch.no_grad():
            for mean, weight in zip(self.average.parameters(), self.network.parameters()):
                mean.lerp_(weight, 1 - decay)

    def _keep_if_better(self) -> None:
        if self.validation is None:
            self.best_weights, self.best_epoch = _copied(self.average), self.epoch
            return
        loss = mean_loss(self.average, self.loss, self.validation, self.device)
        if not math.isfinite(loss):
            raise NumericalError(
                f"The validation loss is {loss} after epoch {self.epoch + 1}. Lower learning_rate, or look for values far beyond "
                "all others in y."
            )
        self.validation_losses.append(loss)
        if loss < self.best:
            self.best, self.best_weights, self.best_epoch = loss, _copied(self.average), self.epoch

    def _autocast(self) -> Any:
        return torch.autocast(
            "cuda", torch.bfloat16, enabled=self.options.mixed_precision and self.device.type == "cuda"
        )

    # checkpoints ------------------------------------------------------------------------------------------------

    def _identity(self) -> dict[str, Any]:
        """What must be the same for a run to go on: data, options, network."""
        crc = 0
        for rows in [*self.windows.y, *(self.windows.X or ())]:
            crc = zlib.crc32(np.ascontiguousarray(rows).tobytes(), crc)
        options = {k: v for k, v in asdict(self.options).items() if k not in ("device", "n_threads", "progress")}
        shapes = {name: list(value.shape) for name, value in self.network.state_dict().items()}
        ranges = [windows.rows for windows in (self.windows, self.validation) if windows is not None]
        return {
            "data": crc,
            "windows": [zlib.crc32(rows.tobytes()) for rows in ranges],
            "lengths": [self.windows.context_length, self.windows.horizon],
            "options": options,
            "shapes": shapes,
        }

    def _save(self, path: Path) -> None:
        """Write the file so that readers see the old one or the new one, never a part."""
        tensors = {f"network/{k}": v for k, v in self.network.state_dict().items()}
        tensors |= {f"average/{k}": v for k, v in self.average.state_dict().items()}
        tensors |= {f"best/{k}": v for k, v in self.best_weights.items()}
        for i, state in self.optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser/{i}/{name}": value for name, value in state.items()}
        progress = {
            "epoch": self.epoch,
            "best": self.best if math.isfinite(self.best) else None,
            "best_epoch": self.best_epoch,
            "train": self.train_losses,
            "validation": self.validation_losses,
        }
        header = {"ssmts": json.dumps({"identity": self._identity(), "progress": progress})}
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
        try:
            save_file({k: v.detach().cpu().clone().contiguous() for k, v in tensors.items()}, temporary, header)
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)

    def _resume(self, path: Path) -> None:
        try:
            with safe_open(path, "pt") as file:
                header = json.loads(file.metadata()["ssmts"])
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
        except Exception as error:
            raise PersistError(
                f"{path} is no checkpoint of a training: {error}. Pass another path, or delete it."
            ) from error
        mine = self._identity()
        other = [name for name in mine if header["identity"].get(name) != mine[name]]
        if other:
            raise PersistError(
                f"{path} is the checkpoint of another run: its {', '.join(other)} differ. Pass another path, or delete it to start anew."
            )

        def part(prefix: str) -> dict[str, Tensor]:
            return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}

        self.network.load_state_dict(part("network/"))
        self.average.load_state_dict(part("average/"))
        self.best_weights = part("best/")
        state: dict[int, dict[str, Tensor]] = {}
        for name, value in part("optimiser/").items():
            i, key = name.split("/")
            state.setdefault(int(i), {})[key] = value
        self.optimiser.load_state_dict({**self.optimiser.state_dict(), "state": state})
        progress = header["progress"]
        self.epoch, self.best_epoch = progress["epoch"], progress["best_epoch"]
        self.best = math.inf if progress["best"] is None else progress["best"]
        self.train_losses, self.validation_losses = progress["train"], progress["validation"]


def mean_loss(network: nn.Module, loss: Loss, windows: Windows, device: torch.device, batch_size: int = 256) -> float:
    """Mean loss over windows, without dropout.

    Parameters
    ----------
    network : Module
    loss : callable
    windows : Windows
    device : torch.device
    batch_size : int
    """
    network.eval()
    total = 0.0
    with torch.no_grad():
        for start in range(0, len(windows), batch_size):
            batch = windows.batch(np.arange(start, min(start + batch_size, len(windows)))).to(device)
            total += loss(network, batch).item() * len(batch.series)
    return total / len(windows)


@contextmanager
def _threads(n: int | None) -> Iterator[None]:
    before = torch.get_num_threads()
    if n is not None:
        torch.set_num_threads(n)
    try:
        yield
    finally:
        if n is not None:
            torch.set_num_threads(before)


def _copied(network: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in network.state_dict().items()}


def _one_group(learning_rate: float, weight_decay: float) -> Any:
    raise InputError("A network needs a method parameter_groups(learning_rate, weight_decay).")
