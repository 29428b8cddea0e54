"""Where training runs: devices, threads, and what is said when memory runs out."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from ..exceptions import InputError

_forked = False


def _after_fork() -> None:
    global _forked
    _forked = True


os.register_at_fork(after_in_child=_after_fork)


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
    except (RuntimeError, TypeError) as error:
        raise InputError(f"device must be 'auto', 'cpu' or 'cuda'; received {name!r}.") from error
    if device.type not in ("cpu", "cuda"):
        raise InputError(f"device must be 'auto', 'cpu' or 'cuda'; received {name!r}.")
    if device.type == "cuda" and not torch.cuda.is_available():
        raise InputError(f"device is {name!r}, and torch finds no CUDA device here. Pass device='auto' or 'cpu'.")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise InputError(
            f"device is {name!r}, and torch finds {torch.cuda.device_count()} CUDA device(s) here, counted from 0. Pass "
            "another, or 'cuda'."
        )
    return device


@contextmanager
def threads(n: int | None) -> Iterator[None]:
    """Let torch use n threads; those it has are given back afterwards.

    Parameters
    ----------
    n : int, optional
        As they are unless given; one in a forked process, where the threads of the parent do not exist and waiting for them never ends.
    """
    if _forked:
        n = 1
    before = torch.get_num_threads()
    if n is not None:
        torch.set_num_threads(n)
    try:
        yield
    finally:
        if n is not None and not _forked:
            torch.set_num_threads(before)


@contextmanager
def memory_named(advice: str) -> Iterator[None]:
    """Turn what torch and NumPy raise without memory into an `InputError` that says what to do.

    Parameters
    ----------
    advice : str
    """
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise InputError(f"{advice} ({error})") from error
    except RuntimeError as error:  # the CPU has no class of its own
        if "DefaultCPUAllocator" not in str(error):
            raise
        raise InputError(f"{advice} ({error})") from error
