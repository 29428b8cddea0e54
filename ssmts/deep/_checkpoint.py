"""Checkpoints: tensors as safetensors, everything else as JSON in their header. Reading one runs no code of the file."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from safetensors import safe_open
from safetensors.torch import save
from sklearn.utils import check_random_state
from torch import Tensor, nn
from torch.optim import Optimizer

from .._files import place, replace
from ..exceptions import InputError, PersistError

Tensors = dict[str, Tensor]


def write(path: Path, identity: dict[str, Any], progress: dict[str, Any], groups: dict[str, Tensors]) -> None:
    """Write a file so that readers see the old one or the new one, never a part.

    Parameters
    ----------
    path : Path
    identity : dict
        What a run must share to go on from the file.
    progress : dict
        Numbers, strings and lists.
    groups : dict
        Named sets of tensors.
    """
    tensors = {f"{group}/{name}": value for group, values in groups.items() for name, value in values.items()}
    header = {"ssmts": json.dumps({"identity": identity, "progress": progress})}
    content = save({name: value.detach().cpu().clone().contiguous() for name, value in tensors.items()}, header)
    replace(path, content)


def seed_of(random_state: Any, checkpoint: str | os.PathLike[str] | None) -> int:
    """Seed of a run: without a random state that of the run that a checkpoint holds, which could not go on with another.

    Parameters
    ----------
    random_state : int, RandomState or None
    checkpoint : path, optional
        Whether there is such a file or not.

    Raises
    ------
    InputError
        What is no random state.
    PersistError
        The file is no checkpoint, or could not be written there.
    """
    if checkpoint is not None and place(checkpoint).exists() and random_state is None:
        return int(_content(Path(checkpoint))[0]["identity"]["options"]["seed"])
    try:
        return int(check_random_state(random_state).randint(2**31 - 1))
    except ValueError as error:
        raise InputError(
            f"random_state must be None, a whole number from 0 to 2**32 - 1 or a RandomState; received {random_state!r}."
        ) from error


def read(path: Path, identity: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Tensors]]:
    """Progress and tensors of a file.

    Parameters
    ----------
    path : Path
    identity : dict
        Of the run that is to go on.

    Raises
    ------
    PersistError
        No checkpoint, or that of another run; says what differs.
    """
    header, tensors = _content(path)
    theirs, progress = header["identity"], header["progress"]
    mine = json.loads(json.dumps(identity))  # tuples became lists in the file
    differences = [_difference(name, theirs.get(name), mine[name]) for name in mine if theirs.get(name) != mine[name]]
    if differences:
        others = " and other ".join(differences)
        raise PersistError(
            f"{path} is the checkpoint of another run, of other {others}. Pass another path, or delete it to start anew."
        )
    groups: dict[str, Tensors] = {}
    for name, value in tensors.items():
        group, _, rest = name.partition("/")
        groups.setdefault(group, {})[rest] = value
    return progress, groups


def weights(network: nn.Module) -> Tensors:
    """Copies of the parameters and buffers of a network."""
    return {name: value.detach().clone() for name, value in network.state_dict().items()}


def moments(optimiser: Optimizer) -> Tensors:
    """What an optimiser has gathered, by the number of the parameter and the name of the moment."""
    state = optimiser.state_dict()["state"]
    return {f"{i}/{name}": value for i, each in state.items() for name, value in each.items()}


def restore_moments(optimiser: Optimizer, tensors: Tensors) -> None:
    """Give an optimiser what `moments` took from one."""
    state: dict[int, Tensors] = {}
    for name, value in tensors.items():
        i, _, key = name.partition("/")
        state.setdefault(int(i), {})[key] = value
    optimiser.load_state_dict({**optimiser.state_dict(), "state": state})


def _content(path: Path) -> tuple[dict[str, Any], Tensors]:
    """Header and tensors of a file."""
    try:
        with safe_open(path, "pt") as file:
            header = json.loads(file.metadata()["ssmts"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
        header["identity"]["options"]["seed"], header["progress"]
    except Exception as error:
        raise PersistError(
            f"{path} is no checkpoint of a training: {type(error).__name__}: {error}. Pass another path, or delete it."
        ) from error
    return header, tensors


def _difference(name: str, theirs: Any, mine: Any) -> str:
    if not isinstance(theirs, dict) or not isinstance(mine, dict):
        return name
    names = [key for key in {**theirs, **mine} if theirs.get(key) != mine.get(key)]
    shown = ", ".join(f"{key} {theirs.get(key)!r} there, {mine.get(key)!r} here" for key in names[:3])
    return f"{name} ({shown})"
