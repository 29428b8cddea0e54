"""Matrices that are told by their structure: identity, shift, companion, rotation, and blocks of them along a diagonal.

An operator stands wherever a constant system matrix may. Packing a model for the recursions keeps what is not zero, so a model
made of operators costs what the same matrices written out cost; ``np.asarray`` writes them out.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy.linalg import eigvals
from scipy.sparse import block_diag, coo_array, csr_array, eye_array

from ssmts.exceptions import InputError

_Array = npt.NDArray[Any]


class Operator(ABC):
    """A matrix that knows where its zeros are; immutable. ``operator @ x`` and ``x @ operator`` multiply without them."""

    __array_ufunc__ = None  # so that ``array @ operator`` comes here

    @abstractmethod
    def to_sparse(self) -> csr_array:
        """The matrix by compressed rows."""

    @abstractmethod
    def eigenvalues(self) -> _Array:
        """Eigenvalues, each as often as it counts."""

    def power(self, n: int) -> _Array:
        """The matrix of n steps, written out, by repeated squaring; of no step, the identity.

        Parameters
        ----------
        n : int
            0 or more.

        Examples
        --------
        >>> Companion([1.0, 1.0]).power(10)[0]
        array([89., 55.])
        """
        if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 0:
            raise InputError(f"n must be a whole number of steps, 0 or more; received {n!r}.")
        if self.shape[0] != self.shape[1]:
            raise InputError(f"a matrix of shape {self.shape} has no powers: it must be square.")
        return np.linalg.matrix_power(self.to_dense(), n)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        rows, columns = self.to_sparse().shape
        return int(rows), int(columns)

    def to_dense(self) -> _Array:
        """The matrix with its zeros."""
        return np.asarray(self.to_sparse().toarray())

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> _Array:
        if copy is False:
            raise ValueError("an operator holds no array that could be handed out without a copy.")
        return self.to_dense().astype(dtype or None, copy=False)

    def __len__(self) -> int:
        return self.shape[0]

    def __matmul__(self, other: Any) -> _Array:
        return np.asarray(self.to_sparse() @ np.asarray(other))

    def __rmatmul__(self, other: Any) -> _Array:
        return np.asarray(np.asarray(other) @ self.to_sparse())


@dataclass(frozen=True)
class Identity(Operator):
    """States that stay as they are.

    Parameters
    ----------
    size : int
        Number of states.

    Examples
    --------
    >>> Identity(2).to_dense()
    array([[1., 0.],
           [0., 1.]])
    """

    size: int

    def __post_init__(self) -> None:
        _check_size(self.size)

    def to_sparse(self) -> csr_array:
        """The matrix by compressed rows."""
        return csr_array(eye_array(self.size))

    def eigenvalues(self) -> _Array:
        """Ones."""
        return np.ones(self.size)


@dataclass(frozen=True)
class Shift(Operator):
    """Every state takes over what the one before it was: ``x[i + 1] <- x[i]``.

    Parameters
    ----------
    size : int
        Number of states.
    cyclic : bool, default False
        Whether the first state takes over the last one, as the effects of a season do; else it becomes zero, as in a line of
        delays, whose noise or input enters there.

    Examples
    --------
    >>> Shift(3) @ [1.0, 2.0, 3.0]
    array([0., 1., 2.])
    >>> Shift(3, cyclic=True) @ [1.0, 2.0, 3.0]
    array([3., 1., 2.])
    """

    size: int
    cyclic: bool = False

    def __post_init__(self) -> None:
        _check_size(self.size)

    def to_sparse(self) -> csr_array:
        """The matrix by compressed rows."""
        states = np.arange(0 if self.cyclic else 1, self.size)
        return _sparse(np.ones(len(states)), states, (states - 1) % self.size, self.size)

    def eigenvalues(self) -> _Array:
        """The roots of one if cyclic, else zeros."""
        turns = np.exp(2j * math.pi * np.arange(self.size) / self.size)
        return turns if self.cyclic else np.zeros(self.size)


@dataclass(frozen=True, eq=False)
class Companion(Operator):
    """The recursion ``z[t] = c[0] z[t-1] + ... + c[d-1] z[t-d]`` as a matrix: a shift, and the coefficients along one side.

    Its characteristic polynomial is ``z^d - c[0] z^(d-1) - ... - c[d-1]``, whatever the form.

    Parameters
    ----------
    coefficients : (d,)
    form : {"first_row", "first_column", "last_column"}
        Where the coefficients stand. ``"first_row"``, the default because its states are plain: the last d values of z.
        ``"first_column"``: the states of Harvey (1989, section 4.1.2), what is known of z by steps ahead, whose noise has the
        shape of a moving average. ``"last_column"``: the transpose of the latter from the other end, S + a e_d' of Zhang et al.
        (2023, SpaceTime) with ``a = c[::-1]``.

    Examples
    --------
    >>> Companion([0.5, 0.3]).to_dense()
    array([[0.5, 0.3],
           [1. , 0. ]])
    >>> Companion([0.5, 0.3], "last_column").to_dense()
    array([[0. , 0.3],
           [1. , 0.5]])
    """

    coefficients: npt.ArrayLike
    form: Literal["first_row", "first_column", "last_column"] = "first_row"

    def __post_init__(self) -> None:
        values = np.array(self.coefficients)  # of complex numbers, too: a search may differentiate by them
        if values.ndim != 1 or not values.size or not np.issubdtype(values.dtype, np.number):
            raise InputError(
                f"coefficients must be one or more numbers along one axis; received {self.coefficients!r}."
            )
        if self.form not in ("first_row", "first_column", "last_column"):
            raise InputError(f"form must be 'first_row', 'first_column' or 'last_column'; received {self.form!r}.")
        values.setflags(write=False)
        object.__setattr__(self, "coefficients", values)

    def to_sparse(self) -> csr_array:
        """The matrix by compressed rows."""
        c = np.asarray(self.coefficients)
        d = len(c)
        all_, ones, zeros, later = np.arange(d), np.ones(d - 1), np.zeros(d, int), np.arange(1, d)
        if self.form == "first_row":
            side, shift = (zeros, all_), (later, later - 1)
        elif self.form == "first_column":
            side, shift = (all_, zeros), (later - 1, later)
        else:
            side, shift = (d - 1 - all_, zeros + d - 1), (later, later - 1)
        lines, columns = (np.concatenate([a, b]) for a, b in zip(side, shift))
        return _sparse(np.concatenate([c, ones]), lines, columns, d)

    def eigenvalues(self) -> _Array:
        """The roots of the characteristic polynomial."""
        return np.roots(np.append(1.0, -np.asarray(self.coefficients)))


@dataclass(frozen=True)
class Rotation(Operator):
    """Two states that turn: a harmonic and its quadrature.

    Parameters
    ----------
    angle : float
        Radians in one step.
    damping : float, default 1.0
        What a step leaves of their size; 1 is a season that stays.

    Examples
    --------
    >>> import numpy as np
    >>> (Rotation(np.pi / 2, damping=0.5) @ [1.0, 0.0]).round(12)
    array([ 0. , -0.5])
    """

    angle: float
    damping: float = 1.0

    def to_sparse(self) -> csr_array:
        """The matrix by compressed rows."""
        cos, sin = np.cos(self.angle), np.sin(self.angle)
        return csr_array(self.damping * np.array([[cos, sin], [-sin, cos]]))

    def eigenvalues(self) -> _Array:
        """A pair of conjugates."""
        turn = self.damping * np.exp(1j * self.angle)
        return np.array([turn, np.conj(turn)])


@dataclass(frozen=True, eq=False)
class BlockDiagonal(Operator):
    """Parts that do not depend on each other, side by side.

    Parameters
    ----------
    blocks : sequence of operators and matrices

    Examples
    --------
    >>> import numpy as np
    >>> trend, season = np.array([[1.0, 1.0], [0.0, 1.0]]), Companion(-np.ones(3))
    >>> BlockDiagonal([trend, season]).shape
    (5, 5)
    """

    blocks: tuple[Operator | npt.NDArray[Any], ...]

    def __post_init__(self) -> None:
        blocks = tuple(b if isinstance(b, Operator) else np.array(b) for b in self.blocks)
        for block in blocks:
            if len(block.shape) != 2:
                raise InputError(f"blocks must be matrices; received one of shape {block.shape}.")
        if not blocks:
            raise InputError("blocks is empty: pass one or more matrices.")
        object.__setattr__(self, "blocks", blocks)

    def to_sparse(self) -> csr_array:
        """The matrix by compressed rows."""
        parts = [b.to_sparse() if isinstance(b, Operator) else csr_array(b) for b in self.blocks]
        return csr_array(block_diag(parts, format="csr"))

    def eigenvalues(self) -> _Array:
        """Those of all blocks."""
        for block in self.blocks:
            if block.shape[0] != block.shape[1]:
                raise InputError(f"a block of shape {block.shape} has no eigenvalues: it must be square.")
        return np.concatenate([b.eigenvalues() if isinstance(b, Operator) else eigvals(b) for b in self.blocks])


def _sparse(values: _Array, lines: npt.NDArray[Any], columns: npt.NDArray[Any], size: int) -> csr_array:
    return csr_array(coo_array((values, (lines, columns)), shape=(size, size)))  # entries in one place are added


def _check_size(size: Any) -> None:
    if isinstance(size, bool) or not isinstance(size, int | np.integer) or size < 1:
        raise InputError(f"size must be a whole number of states, 1 or more; received {size!r}.")
