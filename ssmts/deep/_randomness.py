"""What is random in a training: a function of the seed and the step, whatever else draws in this process.

Torch's dropout draws from the generator of the whole process, where trainings in several threads would take each other's numbers.
While a network is trained its dropout layers draw from a generator of their own. What else a network draws comes from the
generators of the process, which are set at each step and given back afterwards.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

_lock = threading.RLock()
_within: list[object] = []  # trainings now
_before: dict[str, Tensor] = {}  # states of the process's generators before the first of them


class Randomness:
    """Random numbers of a training.

    Parameters
    ----------
    device : torch.device
    seed : int
    """

    def __init__(self, device: torch.device, seed: int) -> None:
        self._device, self._seed = device, seed
        self._own = torch.Generator(device)

    def set(self, step: int) -> None:
        """Make what is drawn next that of a step."""
        own, common = np.random.SeedSequence([self._seed, 2, step]).generate_state(2, np.uint64) >> 1
        self._own.manual_seed(int(own))
        with _lock:  # nothing is being built
            torch.default_generator.manual_seed(int(common))
            if self._device.type == "cuda":
                torch.cuda.manual_seed(int(common))

    @contextmanager
    def within(self, network: nn.Module) -> Iterator[None]:
        """Let the dropout of a network draw here; leave it, and the process's generators, as they were."""
        layers = [module for module in network.modules() if type(module) is nn.Dropout]
        self._enter()
        try:
            for layer in layers:
                layer.forward = partial(_dropped, layer, self._own)  # type: ignore[method-assign]
            yield
        finally:
            for layer in layers:
                vars(layer).pop("forward", None)
            self._leave()

    def _enter(self) -> None:
        with _lock:
            if not _within:
                _before["cpu"] = torch.random.get_rng_state()
            name = str(self._device)
            if self._device.type == "cuda" and name not in _before:
                _before[name] = torch.cuda.get_rng_state(self._device)
            _within.append(self)

    def _leave(self) -> None:
        with _lock:
            _within.remove(self)
            if _within:
                return
            torch.random.set_rng_state(_before.pop("cpu"))
            for name in list(_before):
                torch.cuda.set_rng_state(_before.pop(name), name)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Let the process's generator on the CPU, from which weights are drawn, start from a seed; it is given back as it was.

    Parameters
    ----------
    seed : int
    """
    with _lock:
        before = torch.random.get_rng_state()
        try:
            torch.default_generator.manual_seed(seed)
            yield
        finally:
            torch.random.set_rng_state(before)


def _dropped(layer: nn.Dropout, generator: torch.Generator, x: Tensor) -> Tensor:
    """What `nn.Dropout` does, from a generator."""
    if not layer.training or not layer.p:
        return x
    kept = 1 - layer.p
    mask = torch.empty_like(x).bernoulli_(kept, generator=generator)
    return x * (mask.div_(kept) if kept else mask)
