"""From a `LinearGaussianSSM` to the one packed form that the compiled recursions take.

A packed model is one vector of integers and one of floats, so that handing it to a kernel costs well under a microsecond.
They hold the matrices by compressed rows, without their zeros; `_kernels.layout.unpack` gives the pieces their names back.
"""

from functools import lru_cache
from graphlib import CycleError, TopologicalSorter
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse
from scipy.sparse.csgraph import connected_components

from ssmts.core.gaussian._lift import Lift, Rows, find_sums, lifted_cov
from ssmts.core.types import Array, Index, LinearGaussianSSM, State, TimeVarying
from ssmts.exceptions import InputError, InputTypeError

REMEMBERED = 4096  # entries of a transition whose moves are remembered
EVER = 2**62  # rows that a model without time-varying matrices can serve
VALUES = {"process_cov", "obs_cov", "initial_mean", "initial_cov", "state_offset", "obs_offset"}
COVARIANCES = ("process_cov", "obs_cov", "initial_cov", "initial_diffuse_cov")


class Packed(NamedTuple):
    """A checked model in the form that kernels take.

    Every function of `ssmts.core.gaussian` accepts one in place of the model.

    Attributes
    ----------
    ssm : LinearGaussianSSM
        The model that was packed.
    start : State
        Its prior.
    n_times : int
        How many rows it can serve: the shortest `TimeVarying`.
    layout, values : ndarray
        The packed matrices.
    """

    ssm: LinearGaussianSSM
    start: State
    n_times: int
    layout: Index
    values: Array
    offset: Array  # state offset (0, 1 or n, n_states)
    factor: Array  # of the prior's diffuse_cov (n_states, rank)
    parts: tuple[Rows, tuple[Index, ...], Rows, Rows, Array]  # transition, its moves, noise, observation, obs_cov
    kept: dict[str, Any]  # what rungs have found out about the structure, whatever the values in `VALUES`
    derived: dict[Any, Any]  # what functions have made once of all values, by their own keys
    lift: Lift | None  # the same model with sums of states as further states, if that is worth while

    def replace(self, **fields: Any) -> "Packed":
        """Pack the same model with other values in some fields; what does not depend on them is reused.

        Parameters
        ----------
        **fields
            Fields of `LinearGaussianSSM` by name.

        Examples
        --------
        >>> import numpy as np
        >>> from ssmts.core.gaussian import pack
        >>> from ssmts.core.types import LinearGaussianSSM
        >>> one = np.eye(1)
        >>> packed = pack(LinearGaussianSSM(one, one, one, one, np.zeros(1), one))
        >>> packed.replace(obs_cov=2 * one).ssm.obs_cov
        array([[2.]])
        """
        return _assemble(self.ssm._replace(**fields), self, set(fields))


def pack(ssm: LinearGaussianSSM | Packed, n_times: int = 1) -> Packed:
    """Check a model and bring it into the packed form.

    Parameters
    ----------
    ssm : LinearGaussianSSM or Packed
        A packed one is returned as it is.
    n_times : int, default 1
        Number of rows that its time-varying matrices must be able to serve.

    Raises
    ------
    InputError
        If a shape does not fit, a value is not finite, a covariance is not symmetric or has a negative variance, or a
        `TimeVarying` has fewer than ``n_times`` rows.

    Examples
    --------
    >>> import numpy as np
    >>> from ssmts.core.types import LinearGaussianSSM
    >>> one = np.eye(1)
    >>> pack(LinearGaussianSSM(one, one, one, one, np.zeros(1), one)).start.rank
    0
    """
    if not isinstance(ssm, Packed):
        if not isinstance(ssm, LinearGaussianSSM):
            hint = "; .discretise(dts) makes one" if hasattr(ssm, "discretise") else ""
            raise InputTypeError(f"ssm is of type {type(ssm).__name__}: pass a LinearGaussianSSM or a Packed{hint}")
        ssm = _assemble(ssm, None, set(LinearGaussianSSM._fields))
    if ssm.n_times < n_times:
        short = [k for k, x in ssm.ssm._asdict().items() if isinstance(x, TimeVarying) and len(x.values) < n_times]
        raise InputError(
            f"the series has {n_times} rows, but {', '.join(short)} has values for {ssm.n_times} only: pass one value a row"
        )
    return ssm


def _assemble(ssm: LinearGaussianSSM, old: Packed | None, changed: set[str]) -> Packed:
    """Pack `ssm`, taking from `old` whatever depends on none of the fields that changed."""
    sizes = _sizes(ssm)
    checked = {name: _checked(ssm, name, sizes) for name in changed if getattr(ssm, name) is not None}

    def get(name: str) -> Array:
        return checked[name] if name in checked else _checked(ssm, name, sizes)

    parts: list[Any] = list(old.parts) if old else [None] * 5
    if "transition" in changed:
        parts[0] = compress(get("transition"))
        parts[1] = _moves(parts[0])
    V = None
    if changed & {"process_cov", "process_loading"}:
        V = get("process_cov")
        if ssm.process_loading is not None:
            G = get("process_loading")
            both = min(len(G), len(V)) if min(len(G), len(V)) > 1 else None  # one of two time axes may be longer
            G, V = G[:both], V[:both]
            V = G @ V @ G.swapaxes(1, 2)
        parts[2] = compress(V, lower=True)
    if changed & {"observation", "obs_cov"}:
        parts[4] = get("obs_cov")
        parts[3] = compress(get("observation"), alike=correlated(parts[4]) if is_full(parts[4]) else None)
    if old and not changed & {"initial_mean", "initial_cov", "initial_diffuse_cov"}:
        start, factor = old.start, old.factor
    else:
        diffuse = (
            np.zeros((1, sizes["x"], sizes["x"])) if ssm.initial_diffuse_cov is None else get("initial_diffuse_cov")
        )
        factor = diffuse_factor(diffuse[0])
        start = State(get("initial_mean")[0].copy(), get("initial_cov")[0].copy(), diffuse[0].copy(), factor.shape[1])
    offset = np.zeros((0, sizes["x"])) if ssm.state_offset is None else np.array(get("state_offset"), order="C")
    layout, values = _flatten(sizes, parts)
    lengths = [len(x.values) for x in ssm if isinstance(x, TimeVarying)]
    kept = old.kept if old and changed <= VALUES else {}
    lift = _lifted(old.lift if old else None, changed, sizes, parts, V)
    return Packed(ssm, start, min(lengths, default=EVER), layout, values, offset, factor, tuple(parts), kept, {}, lift)


def _lifted(
    lift: Lift | None, changed: set[str], sizes: dict[str, int], parts: list[Any], V: Array | None
) -> Lift | None:
    """The lifted form of a model; V is its process noise if that has changed."""
    if "transition" in changed:
        found = find_sums(parts[0])
        if not found:
            return None
        sums, F = found
        moves, noise = _moves(F), parts[2]
    elif lift is None:
        return None
    else:
        sums, F, moves, noise = lift[:4]
    if V is not None:
        noise = compress(lifted_cov(sums, V), lower=True)
    return Lift(sums, F, moves, noise, *_flatten(sizes | {"x": sizes["x"] + len(sums)}, [F, moves, noise, *parts[3:]]))


def takes_inputs(ssm: LinearGaussianSSM) -> bool:
    """Whether a model has inputs."""
    return ssm.input_matrix is not None or ssm.feedthrough is not None


def is_full(obs_cov: Array) -> bool:
    """Whether observation noises are correlated in some row."""
    return obs_cov.shape[1] > 1 and bool(np.any(np.tril(obs_cov, -1)))


def correlated(obs_cov: Array) -> Index:
    """The number of each observation's group: noises of different groups are never correlated."""
    return np.asarray(connected_components((obs_cov != 0).any(axis=0), directed=False)[1], dtype=np.int64)


def _flatten(sizes: dict[str, int], parts: list[Any]) -> tuple[Index, Array]:
    """One vector of integers, which starts with the sizes of what follows, and one of values."""
    F, moves, V, H, R = parts
    head = [sizes["x"], sizes["y"], int(is_full(R)), len(R), len(moves[0])]
    for part in (F, V, H):
        head += [len(part.ptr) - 1, len(part.col), len(part.val)]
    head.append(len(moves[2]) // 3)
    lines = np.repeat(np.arange(len(V.ptr) - 1), np.diff(V.ptr))
    layout = np.concatenate([head, F.ptr, F.col, V.ptr, V.col, H.ptr, H.col, lines, *moves], dtype=np.int64)
    return layout, np.concatenate([part.ravel() for part in (F.val, V.val, H.val, R)])


def _moves(F: Rows) -> tuple[Index, ...]:
    """What a transition does beside handing states on: states that it mixes, or shears, and the cycles of places (see `Moves`)."""
    pattern = F.ptr.tobytes(), F.col.tobytes(), (F.val == 1.0).all(axis=0).tobytes()
    return (_moves_of if len(F.col) <= REMEMBERED else _moves_of.__wrapped__)(*pattern)


@lru_cache(maxsize=256)
def _moves_of(*pattern: bytes) -> tuple[Index, ...]:
    """The same from rows, columns and which entries are always 1: a model that is packed again with other values has them in common."""
    ptr, col = (np.frombuffer(x, np.int64) for x in pattern[:2])
    units = np.frombuffer(pattern[2], np.bool_)
    n, source = len(ptr) - 1, _sources(ptr, col, units)
    order = _order(ptr, col, source)
    mixed, shears = [], []
    for i in range(n) if order is None else order:
        entries = range(ptr[i], ptr[i + 1])
        own = next((e for e in entries if col[e] == source[i]), -1)
        lines = [] if own >= 0 and units[own] else [(source[i], source[i], own)]
        lines += [(source[i], col[e], e) for e in entries if e != own]
        mixed += [i] if lines else []
        shears += lines
    if order is None or len(shears) > 3 * n:
        shears = []
    else:
        mixed = []
    cycles, left = [], set(np.flatnonzero(source != np.arange(n)).tolist())
    while left:
        cycle = [min(left)]
        while source[cycle[-1]] != cycle[0]:
            cycle.append(int(source[cycle[-1]]))
        left -= set(cycle)
        cycles += [len(cycle), *cycle]
    return tuple(np.array(x, np.int64).ravel() for x in (sorted(mixed), source[sorted(mixed)], shears, cycles))


def _sources(ptr: Index, col: Index, units: NDArray[np.bool_]) -> Index:
    """For each state the one whose place it takes over, a permutation: the one that it is handed on from, if there is one."""
    n, lengths = len(ptr) - 1, np.diff(ptr)
    source, taken = np.full(n, -1), np.zeros(n, bool)
    for i in np.argsort(lengths, kind="stable"):
        cols = col[ptr[i] : ptr[i + 1]][units[ptr[i] : ptr[i + 1]]]
        cols = cols[~taken[cols]]
        if cols.size:
            source[i] = i if i in cols else cols[0]
            taken[source[i]] = True
    rest = np.flatnonzero(source < 0)
    still = rest[~taken[rest]]
    source[still] = still
    taken[still] = True
    source[source < 0] = np.flatnonzero(~taken)
    return source


def _order(ptr: Index, col: Index, source: Index) -> list[int] | None:
    """The states in such an order that a place is changed after it has been read; None if there is no such order."""
    user = np.argsort(source)  # of each place
    readers: dict[int, set[int]] = {i: set() for i in range(len(source))}
    for i in range(len(source)):
        for k in col[ptr[i] : ptr[i + 1]]:
            if k != source[i]:
                readers[int(user[k])].add(i)
    try:
        return list(TopologicalSorter(readers).static_order())
    except CycleError:
        return None


def compress(values: Array, lower: bool = False, alike: Index | None = None) -> Rows:
    """Compress matrices (n_times or 1, rows, columns), or only their lower triangle.

    Rows with the same number in `alike` get the same pattern.
    """
    pattern = (values != 0).any(axis=0)
    if lower:
        pattern &= np.tri(len(pattern), dtype=bool)
    for group in () if alike is None else np.unique(alike):
        pattern[alike == group] = pattern[alike == group].any(axis=0)
    ptr = np.zeros(len(pattern) + 1, np.int64)
    np.cumsum(pattern.sum(axis=1), out=ptr[1:])
    return Rows(ptr, np.nonzero(pattern)[1], values[:, pattern])


def diffuse_factor(diffuse_cov: Array, rank: int | None = None) -> Array:
    """Columns A with A A' = diffuse_cov; their number is its rank, found after scaling its diagonal to one.

    A rank that is given may be more than the matrix has: a transition can wipe out what is unknown before any row has told it.
    """
    scale = np.sqrt(np.diagonal(diffuse_cov))
    seen = np.flatnonzero(scale)
    if rank == 0 or not seen.size:
        return np.zeros((len(scale), rank or 0))
    scaled = diffuse_cov[np.ix_(seen, seen)] / np.outer(scale[seen], scale[seen])
    roots, vectors = np.linalg.eigh(scaled)
    floor = len(seen) * np.finfo(float).eps * 10
    if roots[0] < -floor:
        raise InputError(
            f"initial_diffuse_cov has the negative eigenvalue {roots[0]:.3g} after scaling: pass a covariance"
        )
    rank = int(np.sum(roots > floor)) if rank is None else rank
    factor, largest = np.zeros((len(scale), rank)), min(rank, len(seen))
    roots, vectors = roots[len(seen) - largest :], vectors[:, len(seen) - largest :]
    factor[seen, :largest] = scale[seen, None] * vectors * np.sqrt(np.maximum(roots, 0.0))
    return factor


def _sizes(ssm: LinearGaussianSSM) -> dict[str, int]:
    def columns(field: Any) -> int:
        return int(np.shape(field.values if isinstance(field, TimeVarying) else field)[-1])

    def rows(field: Any) -> int:
        return int(np.shape(field.values if isinstance(field, TimeVarying) else field)[-2])

    try:
        inputs = [columns(x) for x in (ssm.input_matrix, ssm.feedthrough) if x is not None]
        return {
            "x": len(ssm.initial_mean),
            "y": rows(ssm.observation),
            "w": columns(ssm.process_cov),
            "u": inputs[0] if inputs else 0,
        }
    except (IndexError, TypeError) as error:
        raise InputError(
            f"a system matrix has too few axes ({error}): matrices are 2-D, offsets and means 1-D"
        ) from error


INDEFINITE = 1e-10  # an eigenvalue of a correlation matrix that is less below zero is rounding
SHAPES = {
    "transition": "xx",
    "process_cov": "ww",
    "observation": "yx",
    "obs_cov": "yy",
    "initial_mean": "x",
    "initial_cov": "xx",
    "initial_diffuse_cov": "xx",
    "state_offset": "x",
    "obs_offset": "y",
    "process_loading": "xw",
    "input_matrix": "xu",
    "feedthrough": "yu",
}


def _checked(ssm: LinearGaussianSSM, name: str, sizes: dict[str, int]) -> Array:
    """The values of a field as (n_times or 1, ...) floats, or an error that names it."""
    field = getattr(ssm, name)
    varying = isinstance(field, TimeVarying)
    if varying and name.startswith("initial"):
        raise InputError(f"{name} is TimeVarying, but there is one prior only: pass an array")
    if issparse(field):
        raise InputTypeError(f"{name} is a scipy sparse array: pass {name}.toarray(); its zeros are found and left out")
    try:
        values = np.asarray(field.values if varying else field, dtype=float)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name} is not numeric ({error}): pass an array of floats") from error
    values = values if varying else values[None]
    want = tuple(sizes[axis] for axis in SHAPES[name])
    if name == "process_cov" and ssm.process_loading is None:
        want = (sizes["x"], sizes["x"])
    if values.shape[1:] != want:
        raise InputError(
            f"{name} has the shape {np.shape(field.values if varying else field)}, but {want} is needed"
            f"{' after a leading axis of time' if varying else ''}"
            + (f" where initial_mean has the length {sizes['x']}" if "x" in SHAPES[name] else "")
        )
    if not np.isfinite(values).all():
        raise InputError(f"{name} holds {values[~np.isfinite(values)][0]}: pass finite numbers")
    if name in COVARIANCES:
        skew = np.abs(values - values.swapaxes(1, 2)).max(initial=0.0)
        if skew > 1e-9 * np.abs(values).max(initial=0.0):
            raise InputError(f"{name} is not symmetric: entries differ from their mirror by up to {skew:.3g}")
        if skew > 0:
            values = (values + values.swapaxes(1, 2)) / 2
        least = np.diagonal(values, axis1=1, axis2=2).min(initial=0.0)
        if least < 0:
            raise InputError(
                f"{name} has the negative variance {least:.3g} on its diagonal: variances are zero or more"
            )
        if name in ("process_cov", "initial_cov"):  # of the others the compiled factorisations find out
            _refuse_indefinite(name, values, varying)
    return values


def _refuse_indefinite(name: str, values: Array, varying: bool) -> None:
    """Refuse covariances that have a negative eigenvalue beyond rounding, after scaling their diagonals to one."""
    if not np.tril(values, -1).any():
        return
    size = np.sqrt(np.diagonal(values, axis1=1, axis2=2))
    size = np.where(size > 0, size, 1.0)
    scaled = values / (size[:, None] * size[:, :, None])
    try:
        np.linalg.cholesky(scaled + INDEFINITE * np.eye(values.shape[1]))
    except np.linalg.LinAlgError:
        least = np.linalg.eigvalsh(scaled)[:, 0]
        t = int(least.argmin())
        raise InputError(
            f"{name}{f' of row {t}' if varying else ''} has the negative eigenvalue {least[t]:.3g} after scaling its diagonal to one: "
            "pass a covariance"
        ) from None
