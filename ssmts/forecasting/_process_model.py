"""A Gaussian process, a constant and covariates as one state-space model over steps of any lengths."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import NamedTuple, TypeVar

import numpy as np

from ..components.kernel_steps import Steps, steps_of
from ..components.kernels import Kernel, Leaf, Product, Sum, leaf_labels
from ..core.gaussian import Packed, pack
from ..core.types import Array, Index, LinearGaussianSSM, TimeVarying
from ..exceptions import NumericalError

ONE = np.ones(1)
T = TypeVar("T")


class Hyperparameter(NamedTuple):
    """A parameter of a kernel that can be estimated."""

    name: str
    leaf: int
    field: str


def hyperparameters(kernel: Kernel) -> tuple[Hyperparameter, ...]:
    """Variances and length scales of the leaves; of every product the variance that another one makes superfluous is left out."""
    superfluous, labels = _superfluous(kernel, 0), leaf_labels(kernel)
    out = []
    for i, (leaf, label) in enumerate(zip(kernel.leaves, labels)):
        if i not in superfluous:
            out.append(Hyperparameter(f"{label}_var", i, "variance"))
        if hasattr(leaf, "length_scale"):
            out.append(Hyperparameter(f"{label}_length_scale", i, "length_scale"))
    return tuple(out)


def _superfluous(kernel: Kernel, first: int) -> set[int]:
    """Leaves whose variance scales a product that the left factor scales already."""
    if isinstance(kernel, Leaf):
        return set()
    assert isinstance(kernel, Sum | Product)
    right = first + len(kernel.left.leaves)
    below = _superfluous(kernel.left, first) | _superfluous(kernel.right, right)
    return below | {right} if isinstance(kernel, Product) else below


def with_values(kernel: Kernel, values: Mapping[str, float]) -> Kernel:
    """The kernel with other hyperparameters, by name."""
    leaves = list(kernel.leaves)
    for name, leaf, field in hyperparameters(kernel):
        if name in values:
            leaves[leaf] = leaves[leaf].with_values(**{field: float(values[name])})
    return kernel.with_leaves(tuple(leaves))


def terms_of(kernel: Kernel) -> dict[str, Kernel]:
    """The summands by name, from left to right: ``matern_1``, ``periodic*matern_2``."""
    labels, out = leaf_labels(kernel), {}
    first, stack = 0, [kernel]
    while stack:
        term = stack.pop()
        if isinstance(term, Sum):
            stack += [term.right, term.left]
            continue
        out["*".join(labels[first : first + len(term.leaves)])] = term
        first += len(term.leaves)
    return out


def distinct(gaps: Array) -> tuple[Array, Index]:
    """Lengths that differ by more than the rounding of stamps, and which of them each step has."""
    order = np.argsort(gaps, kind="stable")
    ordered = gaps[order]
    new = np.diff(ordered, prepend=-1.0) > 1e-10 * ordered
    which = np.empty(len(gaps), np.int64)
    which[order] = np.cumsum(new) - 1
    return ordered[new], which


def model_of(steps: Steps, which: Index, obs_var: float, constant: bool, Z: Array | None) -> LinearGaussianSSM:
    """States of the kernel, then the constant, then the coefficients of covariates, of which nothing is known beforehand.

    Parameters
    ----------
    steps : Steps
        Of the distinct steps.
    which : (n_times,)
        Which of them leads from each row to the next.
    obs_var : float
    constant : bool
    Z : (n_times, n_covariates) or None
    """
    n, d = len(which), len(steps.observation)
    effects = int(constant) + (0 if Z is None else Z.shape[1])

    def tall(x: Array, one: float) -> Array:
        out = np.zeros((*x.shape[:-2], d + effects, d + effects))
        out[..., :d, :d] = x
        out[..., range(d, d + effects), range(d, d + effects)] = one
        return out

    seen = np.concatenate([steps.observation, np.ones(int(constant))])
    H = seen[None] if Z is None else TimeVarying(np.concatenate([np.tile(seen, (n, 1)), Z], axis=1)[:, None])
    fixed = len(steps.transition) == 1
    F, Q = tall(steps.transition, 1.0), tall(steps.process_cov, 0.0)
    return LinearGaussianSSM(
        transition=F[0] if fixed else TimeVarying(F[which]),
        process_cov=Q[0] if fixed else TimeVarying(Q[which]),
        observation=H,
        obs_cov=np.full((1, 1), obs_var),
        initial_mean=np.zeros(d + effects),
        initial_cov=tall(steps.stationary_cov, 0.0),
        initial_diffuse_cov=tall(np.zeros((d, d)), 1.0) if effects else None,
    )


@lru_cache(maxsize=256)
def ready(kernel: Kernel, obs_var: float, constant: bool, n_covariates: int, step: float = 1.0) -> Packed:
    """The model over steps of one length, packed once; covariates in it are zero."""
    Z = np.zeros((1, n_covariates)) if n_covariates else None
    return pack(model_of(steps_of(kernel, np.array([step])), np.zeros(1, np.int64), obs_var, constant, Z))


def over(kernel: Kernel, obs_var: float, constant: bool, gaps: Array | None, Z: Array | None) -> Packed:
    """The model of rows: `gaps` (n_times,) lead from each to the next; None stands for steps of length 1."""
    if gaps is None:
        packed = ready(kernel, obs_var, constant, 0 if Z is None else Z.shape[1])
        if Z is None:
            return packed
        seen = np.asarray(packed.ssm.observation.values[0, 0], dtype=np.float64)  # type: ignore[union-attr]
        lead = np.tile(seen[: len(seen) - Z.shape[1]], (len(Z), 1))
        return packed.replace(observation=TimeVarying(np.concatenate([lead, Z], axis=1)[:, None]))
    lengths, which = distinct(gaps)
    return pack(model_of(steps_of(kernel, lengths), which, obs_var, constant, Z), len(gaps))


def soundly(run: Callable[[str], T], method: str = "auto") -> T:
    """What `run` gives by a method, or by square roots where covariances lose their sign, as smooth processes over short steps can."""
    try:
        return run(method)
    except NumericalError:
        return run("square_root")
