"""The packed form of a model as compiled functions see it.

A packed model is a vector of integers and one of floats (see `_pack`). Kernels hand each other these two and a `Model` of
positions in them, because every array that is handed over costs a count of references.
"""

from typing import Any, NamedTuple

from numba import njit

from ssmts.core.types import Index

# Not the full fastmath, which would fold the test for NaN away. Parts are compiled into the kernels that Python calls: they
# need no cache and no wrappers, which cost as much to compile as they do.
OPTIONS: Any = {"nogil": True, "error_model": "numpy", "fastmath": {"reassoc", "contract", "nsz", "arcp"}}
kernel = njit(cache=True, no_cfunc_wrapper=True, **OPTIONS)
part = njit(forceinline=True, no_cpython_wrapper=True, no_cfunc_wrapper=True, **OPTIONS)
# Parts that few rows or few callers need are called instead of inlined: LLVM takes seconds for every thousand lines in one piece.
rare = njit(no_cpython_wrapper=True, no_cfunc_wrapper=True, **OPTIONS)


class Block(NamedTuple):
    """Where the compressed rows of a matrix are in a packed model."""

    n: int  # rows
    size: int  # entries
    times: int
    ptr: int
    col: int
    val: int


class Model(NamedTuple):
    """Where the pieces of a packed model are."""

    dx: int
    dy: int
    full: bool  # R is not diagonal
    F: Block
    V: Block  # lower triangle
    H: Block
    R: int
    R_times: int
    noisy: int  # the lines of the entries of V
    mixed: int
    n_mixed: int
    n_shears: int


@part
def _block(index: Index, head: int, i: int, j: int) -> Any:
    n, size, times = index[head], index[head + 1], index[head + 2]
    col = i + n + 1
    return Block(n, size, times, i, col, j), col + size, j + times * size


@part
def unpack(index: Index) -> Model:
    """Find the pieces of a packed model."""
    F, i, j = _block(index, 5, 15, 0)
    V, i, j = _block(index, 8, i, j)
    H, i, j = _block(index, 11, i, j)
    return Model(index[0], index[1], index[2] != 0, F, V, H, j, index[3], i, i + V.size, index[4], index[14])


@part
def start(G: Block, t: int) -> int:
    """Where the values of G[t] start."""
    return G.val + (t * G.size if G.times > 1 else 0)


@part
def noise(model: Model, t: int) -> int:
    """Where the values of R[t] start."""
    return model.R + (t * model.dy * model.dy if model.R_times > 1 else 0)
