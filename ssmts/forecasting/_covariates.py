"""How covariates enter a model: turned to columns that do not tell each other, no more of them than the rows bear."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..components.transforms import Array


class Covariates(NamedTuple):
    """How covariates enter: ``(X - center) @ rotation``, where ``rotation`` is (n_columns, rank)."""

    center: Array
    rotation: Array


def decorrelate(X: Array, center: bool, most: int) -> Covariates | None:
    """Rotation of covariates to uncorrelated columns of unit mean square, the `most` strongest principal components of them.

    Columns that depend on others add nothing.
    """
    if not X.size:
        return None
    mean = X.mean(axis=0) if center else np.zeros(X.shape[1])
    size = np.sqrt(np.mean((X - mean) ** 2, axis=0))
    size = np.where(size > 1e-10 * np.abs(X).max(axis=0), size, np.inf)
    _, roots, right = np.linalg.svd((X - mean) / size / np.sqrt(len(X)), full_matrices=False)
    keep = (roots > 1e-7 * roots.max()) & (np.arange(roots.size) < most)
    return Covariates(mean, right[keep].T / roots[keep] / size[:, None]) if keep.any() else None
