"""Covariance functions over steps of time: transition and noise of their processes, with derivatives by every parameter.

What `Kernel.process` and `ssmts.core.linalg.discretize` give together is had here leaf by leaf. Sums are blocks; of a product the
transition is the Kronecker product of transitions, and its noise follows from noises and stationary covariances without a
cancellation. So a season of 15 states over a thousand different steps costs the steps of its two factors.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from scipy.special import ive

from ssmts.components.kernels import Constant, Kernel, Leaf, Matern, Periodic, Product, Sum
from ssmts.core.linalg.discretize import discretize
from ssmts.core.types import Array

Place: TypeAlias = tuple[int, str]  # a leaf by its number, and a field of it


class Slope(NamedTuple):
    """Derivatives by one parameter; None for what does not move."""

    transition: Array | None  # (n_steps, n_states, n_states)
    process_cov: Array | None  # (n_steps, n_states, n_states)
    stationary_cov: Array | None  # (n_states, n_states)


class Steps(NamedTuple):
    """The process of a kernel over steps of given lengths.

    Attributes
    ----------
    transition, process_cov : (n_steps, n_states, n_states)
    stationary_cov : (n_states, n_states)
    observation : (n_states,)
    slopes : dict of (leaf, field) to Slope
        By every variance, length scale and period.
    """

    transition: Array
    process_cov: Array
    stationary_cov: Array
    observation: Array
    slopes: dict[Place, Slope]


def steps_of(kernel: Kernel, dts: Array) -> Steps:
    """Discretise a kernel's process.

    Parameters
    ----------
    kernel : Kernel
    dts : (n_steps,)
        Lengths of the steps, at least 0; equal ones should be given once.

    Examples
    --------
    >>> import numpy as np
    >>> from ssmts.components.kernel_steps import steps_of
    >>> from ssmts.components.kernels import Matern
    >>> steps = steps_of(Matern(0.5), np.array([np.log(2.0)]))
    >>> steps.transition.ravel(), steps.process_cov.ravel()
    (array([0.5]), array([0.75]))
    """
    return _steps(kernel, np.asarray(dts, dtype=float), 0)


def _steps(kernel: Kernel, dts: Array, first: int) -> Steps:
    """As `steps_of`; leaves are counted from `first` on."""
    if isinstance(kernel, Leaf):
        of: Any = {Matern: _matern, Periodic: _periodic, Constant: _constant}[type(kernel)]
        done: Steps = of(kernel, dts)
        return done._replace(slopes={(first, name): slope for (_, name), slope in done.slopes.items()})
    assert isinstance(kernel, Sum | Product)
    left = _steps(kernel.left, dts, first)
    right = _steps(kernel.right, dts, first + len(kernel.left.leaves))
    return _sum(left, right) if isinstance(kernel, Sum) else _product(left, right)


def _matern(leaf: Matern, dts: Array) -> Steps:
    unit = replace(leaf, variance=1.0).process()
    F, Q = discretize(unit.drift, unit.diffusion_cov, dts)
    rate = (-dts / leaf.length_scale)[:, None, None]  # lengths over the scale are what counts
    v, P = leaf.variance, unit.stationary_cov
    slopes = {
        (0, "variance"): Slope(None, Q, P),
        (0, "length_scale"): Slope(
            rate * (unit.drift @ F), v * rate * (F @ unit.diffusion_cov @ F.swapaxes(1, 2)), None
        ),
    }
    return Steps(F, v * Q, v * P, unit.observation, slopes)


def _periodic(leaf: Periodic, dts: Array) -> Steps:
    k = np.arange(1, leaf.order + 1)
    angle = 2 * np.pi * np.multiply.outer(dts, k) / leaf.period
    n = 1 + 2 * leaf.order
    F, turned = np.zeros((len(dts), n, n)), np.zeros((len(dts), n, n))
    cos, sin = np.cos(angle), np.sin(angle)
    F[:, 0, 0] = 1.0
    speed = -angle / leaf.period
    for (line, column), values, bends in (
        ((0, 0), cos, -sin),
        ((1, 1), cos, -sin),
        ((0, 1), -sin, -cos),
        ((1, 0), sin, cos),
    ):
        F[:, 2 * k - 1 + line, 2 * k - 1 + column] = values
        turned[:, 2 * k - 1 + line, 2 * k - 1 + column] = speed * bends
    process = replace(leaf, variance=1.0).process()
    x, j = leaf.length_scale**-2, np.arange(leaf.order + 1)
    bend = (ive(np.abs(j - 1), x) + ive(j + 1, x)) / 2 - ive(j, x)  # d/dx of exp(-x) I_j(x)
    weights = np.where(j > 0, 2.0, 1.0) * bend * -2 * leaf.length_scale**-3
    pairs = np.repeat(j, [1] + [2] * leaf.order)
    found = {
        (0, "variance"): Slope(None, None, process.stationary_cov),
        (0, "length_scale"): Slope(None, None, leaf.variance * np.diag(weights[pairs])),
        (0, "period"): Slope(turned, None, None),
    }
    return Steps(F, np.zeros_like(F), leaf.variance * process.stationary_cov, process.observation, found)


def _constant(leaf: Constant, dts: Array) -> Steps:
    one = np.ones((len(dts), 1, 1))
    slopes = {(0, "variance"): Slope(None, None, np.ones((1, 1)))}
    return Steps(one, 0 * one, np.full((1, 1), float(leaf.variance)), np.ones(1), slopes)


def _sum(a: Steps, b: Steps) -> Steps:
    """Blocks."""
    n, m = len(a.observation), len(b.observation)

    def put(x: Array, before: int, after: int) -> Array:
        return np.pad(x, [(0, 0)] * (x.ndim - 2) + [(before, after)] * 2)

    def moved(slope: Slope, before: int, after: int) -> Slope:
        return Slope(*(None if x is None else put(x, before, after) for x in slope))

    slopes = {place: moved(slope, 0, m) for place, slope in a.slopes.items()}
    slopes |= {place: moved(slope, n, 0) for place, slope in b.slopes.items()}
    F, Q, P = (put(x, 0, m) + put(y, n, 0) for x, y in zip(a[:3], b[:3]))
    return Steps(F, Q, P, np.concatenate([a.observation, b.observation]), slopes)


def _product(a: Steps, b: Steps) -> Steps:
    """Kronecker products; the noise is ``Q1 x P2 + F1 P1 F1' x Q2``, and ``F1 P1 F1' = P1 - Q1``."""
    kept = a.stationary_cov - a.process_cov
    slopes = {}
    for place, (dF, dQ, dP) in a.slopes.items():
        of_Q = None if dQ is None else _kron(dQ, b.stationary_cov) - _kron(dQ, b.process_cov)
        of_P = None if dP is None else _kron(dP, b.process_cov)
        slopes[place] = Slope(
            None if dF is None else _kron(dF, b.transition),
            _total(of_Q, of_P),
            None if dP is None else _kron(dP, b.stationary_cov),
        )
    for place, (dF, dQ, dP) in b.slopes.items():
        of_Q = None if dQ is None else _kron(kept, dQ)
        of_P = None if dP is None else _kron(a.process_cov, dP)
        slopes[place] = Slope(
            None if dF is None else _kron(a.transition, dF),
            _total(of_Q, of_P),
            None if dP is None else _kron(a.stationary_cov, dP),
        )
    return Steps(
        _kron(a.transition, b.transition),
        _kron(a.process_cov, b.stationary_cov) + _kron(kept, b.process_cov),
        _kron(a.stationary_cov, b.stationary_cov),
        np.outer(a.observation, b.observation).ravel(),
        slopes,
    )


def _total(x: Array | None, y: Array | None) -> Array | None:
    if x is None or y is None:
        return y if x is None else x
    return x + y


def _kron(x: Array, y: Array) -> Array:
    """Kronecker product, step by step."""
    out = np.asarray(x[..., :, None, :, None] * y[..., None, :, None, :])
    return out.reshape(*out.shape[:-4], out.shape[-4] * out.shape[-3], -1)
