"""What a restriction leaves of a matrix to be estimated: directions in which it may move, or blocks of a covariance."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ssmts.core.types import Array, LinearGaussianSSM
from ssmts.estimation._tangents import numbers_of
from ssmts.exceptions import InputError


def unmoved(cov: Array) -> Array:
    """The projector on what a covariance leaves without noise, with a leading axis."""
    return np.asarray((np.eye(len(cov)) - cov @ np.linalg.pinv(cov, rcond=1e-12, hermitian=True))[None])


def within(B: Array, unseen: Array) -> Array:
    """The directions in B that do not touch what `unseen` (n or 1, r, r) projects on, at any time."""
    if not len(B) or not np.any(np.abs(unseen) > 1e-9):
        return B
    blocked = np.einsum("tij,kja->ktia", unseen, B).reshape(len(B), -1)
    left, roots, _ = np.linalg.svd(blocked @ blocked.T)
    return np.asarray(np.tensordot(left[:, roots < 1e-16 * max(1.0, roots.max())].T, B, 1))


def directions(ssm: LinearGaussianSSM, name: str, given: Any) -> Array:
    """Directions (k, *shape) in which a field may move."""
    shape = numbers_of(getattr(ssm, name)).shape
    values = np.ones(shape, dtype=bool) if given is None else np.asarray(given)
    if values.dtype == bool and values.shape == shape:
        places = np.argwhere(values)
        out = np.zeros((len(places), *shape))
        out[(np.arange(len(places)), *places.T)] = 1.0
        return out
    if values.dtype == bool or values.shape[1:] != shape or not np.all(np.isfinite(values)):
        raise InputError(
            f"restrict[{name!r}] must be booleans of shape {shape}, or directions of shape (n_directions, "
            f"{', '.join(map(str, shape))}); received {values.dtype} of shape {values.shape}."
        )
    return values.astype(float)


def blocks(ssm: LinearGaussianSSM, name: str, given: Any) -> npt.NDArray[np.bool_]:
    """The free entries of a covariance."""
    values = numbers_of(getattr(ssm, name))
    if given is None:
        return np.ones(values.shape, dtype=bool)
    free = np.asarray(given)
    if free.dtype != bool or free.shape != values.shape or np.any(free != free.T):
        raise InputError(f"restrict[{name!r}] must be symmetric booleans of shape {values.shape}.")
    own = np.diagonal(free)
    linked = free.astype(int) @ free.astype(int) > 0
    if (
        np.any(linked & ~free)
        or np.any(free.any(axis=0) & ~own)
        or np.any((values != 0) & ~free & (own | own[:, None]))
    ):
        raise InputError(
            f"the free entries of restrict[{name!r}] must be whole diagonal blocks, without covariance to other entries."
        )
    return free


def merged(field: Any, estimate: Array, free: npt.NDArray[np.bool_]) -> Array:
    """A covariance with its free entries estimated, where there is a variance at all."""
    old = numbers_of(field)
    there = np.diagonal(old) > 0
    return np.asarray(np.where(free & there & there[:, None], (estimate + estimate.T) / 2, old))
