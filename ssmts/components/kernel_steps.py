"""Covariance functions over steps of time: transition and noise of their processes, with derivatives by every parameter.

What `Kernel.process` and `ssmts.core.linalg.discretize` give together is had here leaf by leaf. Sums are blocks; of a product the
transition is the Kronecker product of transitions, and its noise follows from noises and stationary covariances without a
cancellation. So a season of 15 states over a thousand different steps costs the steps of its two factors.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from scipy.special import ive

from ssmts.components.kernels import Constant, Kernel, Leaf, Matern, Periodic, Product, Sum
from ssmts.core.types import Array

_SHORT, _TERMS = 0.5, 26  # steps, in units of a Matérn's time, over which its noise is summed, and of how many terms

Place: TypeAlias = tuple[int, str]  # a leaf by its number, and a field of it


class Slope(NamedTuple):
    """Derivatives by one parameter, of the block of states that it moves; None for what does not move."""

    transition: Array | None  # (n_steps, n_block, n_block)
    process_cov: Array | None  # (n_steps, n_block, n_block)
    stationary_cov: Array | None  # (n_block, n_block)
    first: int = 0  # where the block begins


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
    unit = _unit_matern(leaf.nu)
    rate = np.sqrt(2 * leaf.nu) / leaf.length_scale
    x = np.asarray(rate * dts)
    powers = x[:, None] ** np.arange(len(unit.nilpotent))
    F = np.exp(-x)[:, None, None] * np.einsum("tk,kij->tij", powers, unit.nilpotent)
    Q, short = np.empty_like(F), x < _SHORT
    Q[~short] = unit.cov - F[~short] @ unit.cov @ F[~short].swapaxes(1, 2)
    Q[short] = np.einsum("tk,kij->tij", x[short, None] ** np.arange(1, _TERMS + 1), unit.noise)
    moved, v = (-x / leaf.length_scale)[:, None, None], leaf.variance  # lengths over the scale are what counts
    slopes = {
        (0, "variance"): Slope(None, Q, unit.cov),
        (0, "length_scale"): Slope(moved * (unit.drift @ F), v * moved * (F @ unit.noise[0] @ F.swapaxes(1, 2)), None),
    }
    return Steps(F, v * Q, v * unit.cov, np.eye(len(unit.cov))[0], slopes)


class _UnitMatern(NamedTuple):
    """A Matérn process of unit variance, in units of time in which its drift A has the one eigenvalue -1.

    The transition over x is ``exp(-x) (I + x N + x^2 N^2 / 2)`` with N = A + I. The noise is the stationary covariance less what is left
    of it, or, where that would cancel, its own series.
    """

    drift: Array
    cov: Array
    nilpotent: Array  # (n_states, n_states, n_states) N^k / k!
    noise: Array  # (_TERMS, n_states, n_states) of x^(k + 1)


@cache
def _unit_matern(nu: float) -> _UnitMatern:
    process = Matern(nu, float(np.sqrt(2 * nu))).process()
    A, D = process.drift, process.diffusion_cov
    n = len(A)
    nilpotent, noise = [np.eye(n)], [D]
    for k in range(1, n):
        nilpotent.append(nilpotent[-1] @ (A + np.eye(n)) / k)
    for k in range(2, _TERMS + 1):
        noise.append((A @ noise[-1] + noise[-1] @ A.T) / k)
    return _UnitMatern(A, process.stationary_cov, np.array(nilpotent), np.array(noise))


def _periodic(leaf: Periodic, dts: Array) -> Steps:
    j = np.arange(leaf.order + 1)
    pairs = np.repeat(j, [1] + [2] * leaf.order)
    angle = 2 * np.pi * np.multiply.outer(dts, j[1:]) / leaf.period
    n, at = len(pairs), 2 * j[1:] - 1
    F, turned = np.zeros((len(dts), n, n)), np.zeros((len(dts), n, n))
    cos, sin, speed = np.cos(angle), np.sin(angle), -angle / leaf.period
    F[:, 0, 0] = 1.0
    F[:, at, at] = F[:, at + 1, at + 1] = cos
    F[:, at + 1, at], F[:, at, at + 1] = sin, -sin
    turned[:, at, at] = turned[:, at + 1, at + 1] = -speed * sin
    turned[:, at + 1, at], turned[:, at, at + 1] = speed * cos, -speed * cos
    x, twice = leaf.length_scale**-2, np.where(j > 0, 2.0, 1.0)
    bend = (ive(np.abs(j - 1), x) + ive(j + 1, x)) / 2 - ive(j, x)  # d/dx of exp(-x) I_j(x)
    unit, bent = np.diag((twice * ive(j, x))[pairs]), np.diag((twice * bend)[pairs])
    slopes = {
        (0, "variance"): Slope(None, None, unit),
        (0, "length_scale"): Slope(None, None, -2 * leaf.variance * leaf.length_scale**-3 * bent),
        (0, "period"): Slope(turned, None, None),
    }
    seen = np.zeros(n)
    seen[[0, *at]] = 1.0
    return Steps(F, np.zeros_like(F), leaf.variance * unit, seen, slopes)


def _constant(leaf: Constant, dts: Array) -> Steps:
    one = np.ones((len(dts), 1, 1))
    slopes = {(0, "variance"): Slope(None, None, np.ones((1, 1)))}
    return Steps(one, 0 * one, np.full((1, 1), float(leaf.variance)), np.ones(1), slopes)


def _sum(a: Steps, b: Steps) -> Steps:
    """Blocks."""
    n, m = len(a.observation), len(b.observation)

    def both(x: Array, y: Array) -> Array:
        return _placed(x, 0, n + m) + _placed(y, n, n + m)

    slopes = a.slopes | {place: slope._replace(first=n + slope.first) for place, slope in b.slopes.items()}
    F, Q, P = (both(x, y) for x, y in zip(a[:3], b[:3]))
    return Steps(F, Q, P, np.concatenate([a.observation, b.observation]), slopes)


def _placed(x: Array, first: int, size: int) -> Array:
    """A block in matrices of zeros."""
    out = np.zeros((*x.shape[:-2], size, size))
    out[..., first : first + x.shape[-1], first : first + x.shape[-1]] = x
    return out


def _product(a: Steps, b: Steps) -> Steps:
    """Kronecker products; the noise is ``Q1 x P2 + F1 P1 F1' x Q2``, and ``F1 P1 F1' = P1 - Q1``."""
    kept = a.stationary_cov - a.process_cov
    slopes = {}
    for place, slope in a.slopes.items():
        dF, dQ, dP = (None if x is None else _placed(x, slope.first, len(a.observation)) for x in slope[:3])
        of_Q = None if dQ is None else _kron(dQ, b.stationary_cov) - _kron(dQ, b.process_cov)
        of_P = None if dP is None else _kron(dP, b.process_cov)
        slopes[place] = Slope(
            None if dF is None else _kron(dF, b.transition),
            _total(of_Q, of_P),
            None if dP is None else _kron(dP, b.stationary_cov),
        )
    for place, slope in b.slopes.items():
        dF, dQ, dP = (None if x is None else _placed(x, slope.first, len(b.observation)) for x in slope[:3])
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
