"""From a time-invariant model of one series to a stationary series: differences that take the diffuse states away.

Let c be the polynomial of the lag operator B whose roots are those of the diffuse part of the transition, c(0) = 1. Then
``w = c(B) y`` does not depend on the first diffuse states any more, is stationary if the other states are, and its
autocovariances are linear in the covariances of the shocks, of the observation noise and of the first stationary states::

    w[t] = L x[t-d] + sum_(l <= d) psi[l] shock[t-l] + sum_j c[j] e[t-j],    psi[l] = sum_(j < l) c[j] H F^(l-j-1) G

where L sees stationary states only (Harvey 1989, section 2.4). What the polynomial, psi and L are depends on transition,
observation and loading alone: a `Reduction` is made once for a model and serves every value of its covariances.

The polynomial is never multiplied from rounded factors: a rotation by 2 pi a / b counts as a root of the b-th cyclotomic
polynomial, whose coefficients are whole numbers, and complete sets of harmonics give 1 + B + ... + B^(s-1) exactly.
"""

import math
from collections import Counter
from fractions import Fraction
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from scipy.signal import lfilter
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from ssmts.core.gaussian._pack import Packed
from ssmts.core.types import Array, Index

_DENSE = 64  # states up to which a matrix with its zeros is multiplied sooner than one without
_SMALL = 8  # states of a block whose characteristic polynomial may come from its eigenvalues
_CONDITION = 1e3  # of the first d rows, up to which polynomials that are not of whole numbers are good enough
_LARGEST = 3000  # states
_LONGEST_PERIOD = 20_000
_ANNIHILATED = 1e-9  # rest of the response after d differences, relative to its largest value


class Reduction(NamedTuple):
    """What of a model's differenced series does not depend on covariances."""

    lags: Index  # of the coefficients of c that are not zero
    weights: Array
    degree: int  # d, how many rows the differences cost
    log_det: float  # log |det| of the map from the diffuse coefficients to the first d rows
    phi: Array  # (p,) autoregression that the stationary states bring
    proper: Index  # which states are not diffuse
    lead: Array  # (r + 1, n_proper) lines L F^k
    psi: Array  # (d, n_states) response to the states' noise, and
    tail: Array  # (d + r, n_shocks) to the shocks, continued beyond d
    basis: Array  # (n_shocks, r + 1) autocovariances under a unit variance of each shock
    noise: Array  # (r + 1,) and of the observation noise
    scale: float  # sum of the coefficients of c


def reduction(packed: Packed) -> Reduction | str:
    """The reduction of a model, or in words why it has none; made once for all values of the covariances."""
    if "reduction" not in packed.kept:
        packed.kept["reduction"] = _reduce(packed)
    found: Reduction | str = packed.kept["reduction"]
    return found


def _reduce(packed: Packed) -> Reduction | str:
    ssm = packed.ssm
    F, H = np.asarray(ssm.transition, dtype=float), np.asarray(ssm.observation, dtype=float)[0]
    diffuse = np.diagonal(packed.start.diffuse_cov) > 0
    states, proper = np.flatnonzero(diffuse), np.flatnonzero(~diffuse)
    if len(F) > _LARGEST:
        return f"there are more than {_LARGEST} states"
    if packed.factor.shape[1] != len(states):
        return "the diffuse covariance is singular on the states that it touches"
    if F[np.ix_(proper, states)].any():
        return "diffuse states enter the others"
    outer, inner = _polynomial(F[np.ix_(states, states)]), _polynomial(F[np.ix_(proper, proper)])
    if isinstance(outer, str) or isinstance(inner, str):
        return outer if isinstance(outer, str) else inner  # type: ignore[return-value]
    phi = -np.trim_zeros(inner, "b")[1:]
    if not _is_stationary(phi):
        return "states that are not diffuse are not stationary"
    return _respond(packed, F, H, states, proper, outer, phi)


def _respond(packed: Packed, F: Array, H: Array, states: Index, proper: Index, c: Array, phi: Array) -> Reduction | str:
    """Follow a unit noise of each state through the differences."""
    d, r = len(states), len(F)
    back = csr_array(F.T)
    line, lines, observed = np.zeros(len(F)), np.zeros((d, len(F))), np.zeros((d, d))
    power = H.copy()
    for l in range(d):
        line = back @ line + c[l] * H
        lines[l] = line
        observed[l] = power[states]
        power = back @ power
    left = back @ line + c[d] * H
    largest = max(np.abs(lines).max(initial=0.0), np.abs(H).max())
    if np.abs(left[states]).max(initial=0.0) > _ANNIHILATED * largest:
        return "the differences do not take the diffuse states away"
    sign, log_det = np.linalg.slogdet(observed @ packed.factor[states]) if d else (1.0, 0.0)
    condition = np.linalg.cond(observed) if d else 1.0
    if sign == 0 or not condition < (1e12 if np.array_equal(c, np.rint(c)) else _CONDITION):
        return "the first rows do not determine the diffuse states well"
    left[states] = 0.0
    whole, lead = np.zeros((d + r, len(F))), np.zeros((r + 1, len(proper)))
    whole[:d] = lines
    for k in range(r + 1):
        lead[k] = left[proper]
        if k < r:
            whole[d + k] = left
        left = back @ left
    G = packed.ssm.process_loading
    tail = whole if G is None else whole @ np.asarray(G, dtype=float)
    basis = [np.correlate(tail[:, i], tail[:d, i]) if d else np.zeros(r + 1) for i in range(tail.shape[1])]
    noise = np.zeros(r + 1)
    noise[: d + 1] = np.correlate(np.append(c, np.zeros(d)), c)
    lags = np.flatnonzero(c)
    return Reduction(
        lags,
        c[lags].copy(),
        d,
        float(log_det),
        phi,
        proper,
        lead,
        lines,
        tail,
        np.reshape(basis, (-1, r + 1)),
        noise,
        float(c.sum()),
    )


def _polynomial(F: Array) -> Array | str:
    """det(I - F B), coefficients of 1, B, B^2 ...: the product over the blocks of states that depend on each other."""
    n_blocks, block = connected_components(F != 0, connection="strong") if len(F) else (0, np.zeros(0))
    places = (
        np.split(np.argsort(block, kind="stable"), np.cumsum(np.bincount(block, minlength=n_blocks))[:-1])
        if n_blocks
        else []
    )
    turns: Counter[tuple[int, int]] = Counter()
    out = np.ones(1)
    for own in places:
        M = F[np.ix_(own, own)]
        turn = _turn(M)
        factor = np.ones(1) if turn else _characteristic(M)
        if turn:
            turns[turn] += 1
        if isinstance(factor, str):
            return factor
        out = np.convolve(out, factor)
    return np.convolve(out, _orbits(turns))


def _turn(M: Array) -> tuple[int, int] | None:
    """The part (a, b) of a full turn that a block rotates by, in lowest terms; None if it is no such rotation."""
    if M.shape == (1, 1):
        return {1.0: (0, 1), -1.0: (1, 2)}.get(float(M[0, 0]))
    if M.shape != (2, 2) or M[0, 0] != M[1, 1] or M[0, 1] != -M[1, 0]:
        return None
    if abs(math.hypot(M[0, 0], M[0, 1]) - 1.0) > 1e-14:
        return None
    angle = math.atan2(abs(M[0, 1]), M[0, 0]) / (2 * math.pi)
    part = Fraction(angle).limit_denominator(_LONGEST_PERIOD)
    return (part.numerator, part.denominator) if abs(float(part) - angle) < 1e-15 else None


def _orbits(turns: Counter[tuple[int, int]]) -> Array:
    """The polynomial with these rotations: of whole numbers as far as all the rotations of a denominator are there."""
    out = np.ones(1)
    for b in sorted({b for _, b in turns}):
        every = [a for a in range(b // 2 + 1) if math.gcd(a, b) == 1]
        common = min(turns[a, b] for a in every)
        for _ in range(common):
            out = np.convolve(out, _cyclotomic(b))
        for a in every:
            for _ in range(turns[a, b] - common):
                out = np.convolve(out, [1.0, -2.0 * math.cos(2 * math.pi * a / b), 1.0])
    return out


@lru_cache(maxsize=1024)
def _cyclotomic(b: int) -> Array:
    """The polynomial whose roots are the primitive b-th roots of one, with a constant term of 1."""
    rest = np.ones(1)
    for a in range(1, b):
        if b % a == 0:
            rest = np.convolve(rest, _cyclotomic(a))
    whole = np.zeros(b + 2 - len(rest))
    whole[0] = 1.0
    if b == 1:
        whole[1] = -1.0
    return np.asarray(np.rint(lfilter([1.0], rest, whole)))


def _characteristic(M: Array) -> Array | str:
    """det(I - M B) of one block of states that depend on each other."""
    if len(M) == 1:
        return np.array([1.0, -M[0, 0]])
    if len(M) == 2:
        return np.array([1.0, -M[0, 0] - M[1, 1], M[0, 0] * M[1, 1] - M[0, 1] * M[1, 0]])
    for matrix in (M, M.T):
        found = _companion(matrix)
        if found is not None:
            return found
    if len(M) > _SMALL:
        return f"{len(M)} states depend on each other in a way that is neither a companion matrix nor a rotation"
    return np.asarray(np.real(np.poly(M)))


def _companion(M: Array) -> Array | None:
    """The polynomial of a matrix in which all states but one are that one, delayed; None if it is no such matrix."""
    delayed = (np.count_nonzero(M, axis=1) == 1) & (M.max(axis=1) == 1.0)
    heads = np.flatnonzero(~delayed)
    if len(heads) > 1:
        return None
    head = int(heads[0]) if len(heads) else 0
    after = {int(M[i].argmax()): i for i in range(len(M)) if i != head}
    chain = [head]
    while chain[-1] in after and len(chain) < len(M):
        chain.append(after[chain[-1]])
    return np.append(1.0, -M[head, chain]) if len(chain) == len(M) else None


def _is_stationary(phi: Array) -> bool:
    """Whether all partial autocorrelations are inside (-1, 1): the step-down recursion."""
    rest = phi
    while rest.size:
        last = rest[-1]
        if not abs(last) < 1:
            return False
        rest = (rest[:-1] + last * rest[-2::-1]) / (1 - last**2) if rest.size > 1 else rest[:0]
    return True


def autocovariances(found: Reduction, packed: Packed) -> Array:
    """Autocovariances (r + 1,) of the differenced series."""
    Q = np.asarray(packed.ssm.process_cov, dtype=float)
    diagonal = np.diagonal(Q)
    if np.count_nonzero(Q) == np.count_nonzero(diagonal):
        out = diagonal @ found.basis
    else:
        out = _lagged_sums(found.tail[: found.degree] @ Q, found.tail)
    out = out + found.noise * float(np.asarray(packed.ssm.obs_cov)[0, 0])
    if found.proper.size:
        out = out + found.lead @ (_among(packed.start.cov, found.proper) @ found.lead[0])
    return np.asarray(out)


def _lagged_sums(C: Array, tail: Array) -> Array:
    """sum_l C[l] tail[l + k]' for k = 0 ... r."""
    d, r = len(C), len(tail) - len(C)
    products = C @ tail.T
    out = np.zeros(r + 1)
    for l in range(d):
        out += products[l, l : l + r + 1]
    return out


def level(found: Reduction, packed: Packed) -> float:
    """Mean of the differenced series."""
    ssm, out = packed.ssm, 0.0
    if ssm.obs_offset is not None:
        out += found.scale * float(np.asarray(ssm.obs_offset)[0])
    if ssm.state_offset is not None:
        out += float(found.psi.sum(axis=0) @ np.asarray(ssm.state_offset, dtype=float))
    if found.proper.size:
        out += float(found.lead[0] @ packed.start.mean[found.proper])
    return out


def is_settled(found: Reduction, packed: Packed) -> bool:
    """Whether the states that are not diffuse start from the law that their transition keeps."""
    own = found.proper
    if not own.size:
        return True
    F, m, P = _inner(packed, own), packed.start.mean[own], _among(packed.start.cov, own)
    b = packed.offset[0][own] if len(packed.offset) else 0.0
    if (m.any() or np.any(b)) and np.abs(F @ m + b - m).max() > 1e-10 * np.abs(m).max(initial=0.0):
        return False
    rows = packed.parts[2]
    V = np.zeros((len(packed.start.mean),) * 2)
    line = np.repeat(np.arange(len(V)), np.diff(rows.ptr))
    V[line, rows.col] = V[rows.col, line] = rows.val[0]
    rest = F @ (F @ P).T + _among(V, own) - P
    return bool(np.abs(rest).max() <= 1e-10 * np.abs(P).max(initial=0.0))


def _among(M: Array, own: Index) -> Array:
    """The lines and columns of some states."""
    return M if len(own) == len(M) else M[np.ix_(own, own)]


def _inner(packed: Packed, own: Index) -> Any:
    """The transition among the states that are not diffuse, of many states without its zeros."""
    if "inner" not in packed.kept:
        F = _among(np.asarray(packed.ssm.transition, dtype=float), own)
        packed.kept["inner"] = csr_array(F) if len(F) > _DENSE else F
    return packed.kept["inner"]
