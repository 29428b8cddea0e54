"""One stream of rows: a model and a state that every row moves in place, with nothing allocated on the way.

The state, the last innovation and all work space lie in one flat array, because every array that is handed to a compiled
function costs as much as the arithmetic of a small model; `Room` says where. States that the transition only hands on keep
their places (see `_kernels.predict`), so a row costs what the observed entries and the mixed states ask for.
"""

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ssmts.core.gaussian._filter import observed
from ssmts.core.gaussian._forward import (
    BAD_NOISE,
    BAD_VARIANCE,
    check_state,
    drive,
    infinities,
    innovate,
    over_time,
    unresolved,
    unsound,
)
from ssmts.core.gaussian._kernels.layout import Model, kernel, noise, part, start, unpack
from ssmts.core.gaussian._kernels.predict import Moves, predict
from ssmts.core.gaussian._kernels.update import K, absorb, decorrelate, observe
from ssmts.core.gaussian._kernels.window import cube, matrix, vector
from ssmts.core.gaussian._pack import Packed, diffuse_factor, pack, takes_inputs
from ssmts.core.types import Array, Index, Innovation, LinearGaussianSSM, State
from ssmts.exceptions import InputError

BAD_ROW = 3  # an observation is infinite
RANK, COLUMNS, OFFSET, WRONG, KEEP, PLACE = range(6)  # of the integers that go with a flat state


class Room(NamedTuple):
    """Where the pieces of a flat state begin."""

    y: int  # (n_obs,) the row
    d: int  # (n_obs,) obs_offset
    b: int  # (n_states,) state_offset
    m: int  # (n_states,) by places, as all that follow
    P: int  # (n_states, n_states), its lower triangle
    A: int  # (n_states, columns) diffuse factor
    v: int  # (n_obs,) innovation
    S: int  # (n_obs, n_obs)
    row: int  # table of the observations
    h: int  # values of observation, made independent
    W: int  # work space
    end: int


def room_of(dx: int, dy: int, columns: int, size: int, lines: int) -> Any:
    """Lay out a flat state; `size` is the number of stored entries of observation if obs_cov is full, else 0.

    The states are those of the lifted model if there is one (see `_lift`). Work space has so many lines of n_states.
    """
    m = 2 * dy + dx
    A = m + dx + dx * dx
    v = A + dx * columns
    row = v + dy + dy * dy
    h = row + dy * (K + 2 * dx + dy)
    return Room(0, dy, 2 * dy, m, m + dx, A, v, v + dy, row, h, h + size, h + size + lines * dx)


room_compiled = part(room_of)


@part
def innovate_one(
    index: Index, value: Array, model: Model, t: int, y: float, place: Index, m: Array, P: Array
) -> tuple[float, float]:
    """Y - h m and h P h' + r of a single observation, by the stored entries of h."""
    H, g, s = model.H, start(model.H, t), value[noise(model, t)]
    for e in range(H.size):
        p = place[index[H.col + e]]
        y -= value[g + e] * m[p]
        for f in range(H.size):
            q = place[index[H.col + f]]
            s += value[g + e] * value[g + f] * P[max(p, q), min(p, q)]
    return y, s


@part
def moves_from(index: Index, model: Model, place: Index) -> Moves:
    """The moves of a model whose states are kept at `place`."""
    free = model.mixed + model.n_mixed
    shears = free + model.n_mixed
    cycles = shears + 3 * model.n_shears
    return Moves(
        place,
        vector(index, model.mixed, model.n_mixed),
        vector(index, free, model.n_mixed),
        vector(index, shears, 3 * model.n_shears),
        vector(index, cycles, index.size - cycles),
    )


@kernel
def advance(index: Index, value: Array, which: Index, flat: Array, rows: Array) -> float:
    """Absorb rows and predict after each; returns their log-likelihood, NaN if something is wrong.

    Lines of `rows` hold n_obs observations, and receive the covariance of the innovations if they are longer by its size; a line
    of no length stands for the row that lies in `flat`. There is one kernel for one row and for many, because it is long to
    compile.
    """
    model, t = unpack(index), np.int64(0)  # a literal 0 would compile all that it goes to once more
    dx, dy, columns = model.dx, model.dy, which[COLUMNS]
    lines = 3 * dx if model.n_mixed > 0 else 1
    room = room_compiled(dx, dy, columns, model.H.size if model.full else 0, lines)
    y, b = matrix(flat, room.y, 1, dy), matrix(flat, room.b, which[OFFSET], dx)
    m, P, A = vector(flat, room.m, dx), matrix(flat, room.P, dx, dx), matrix(flat, room.A, dx, columns)
    row, W = matrix(flat, room.row, dy, K + 2 * dx + dy), matrix(flat, room.W, lines, dx)
    v, S = matrix(flat, room.v, 1, dy), cube(flat, room.S, 1, dy, dy)
    place = vector(which, PLACE, dx)
    moves = moves_from(index, model, place)
    M, held = vector(flat, room.W, dx), matrix(flat, 0, 0, dx + 1)
    h, g = value, start(model.H, t)
    if model.full:
        h, g = vector(flat, room.h, model.H.size), 0
    total = 0.0
    for s in range(rows.shape[0]):
        if rows.shape[1] > 0:
            for i in range(dy):
                flat[i] = rows[s, i]
        for i in range(dy):
            if math.isinf(flat[i]):
                which[WRONG] = BAD_ROW
                return np.nan
        for i in range(dy):
            flat[i] -= flat[room.d + i]
        if dy == 1:
            flat[room.v], flat[room.S] = innovate_one(index, value, model, t, y[0, 0], place, m, P)
        else:
            innovate(index, value, model, t, y, place, m, P, M, v, S)
        if model.full:
            if not decorrelate(index, value, model, t, y, row, h):
                which[WRONG] = BAD_NOISE
                return np.nan
        else:
            observe(value, model, t, y, row)
        loglik, product, rank, count, sound = absorb(
            index, model.H, h, g, place, row, which[KEEP] != 0, M, m, P, A, which[RANK], held, 0, 1.0
        )
        if not sound:
            which[WRONG] = BAD_VARIANCE
            return np.nan
        which[RANK] = rank
        predict(index, value, model, t, b, moves, m, P, A, rank, held, count, W)
        total += loglik - 0.5 * math.log(product)
        for i in range(dy, rows.shape[1]):
            rows[s, i] = flat[room.S + i - dy]
    return total


ONE = np.empty((1, 0))  # the row that lies in a flat state


@kernel
def read_out(which: Index, flat: Array, first: int, dx: int, m: Array, P: Array) -> None:
    """Copy the mean and the covariance of dx states that begin at `first`, the first states by their numbers."""
    for i in range(m.size):
        p = which[PLACE + i]
        m[i] = flat[first + p]
        for j in range(i + 1):
            q = which[PLACE + j]
            P[i, j] = flat[first + (1 + max(p, q)) * dx + min(p, q)]
            P[j, i] = P[i, j]


@kernel
def read_in(m: Array, P: Array, sums: Array, flat: Array, first: int) -> None:
    """Write L m and the lower triangle of L P L' from `first` on, where L = [I; sums] (see `_lift`)."""
    n, dx = m.size, m.size + sums.shape[0]
    for i in range(n):
        flat[first + i] = m[i]
        for j in range(i + 1):
            flat[first + (1 + i) * dx + j] = P[i, j]
    for i in range(n, dx):
        line = first + (1 + i) * dx
        flat[first + i] = 0.0
        for j in range(dx):
            flat[line + j] = 0.0
        for k in range(n):
            x = sums[i - n, k]
            if x != 0.0:
                flat[first + i] += x * m[k]
                for j in range(n):
                    flat[line + j] += x * P[k, j]
        for j in range(n, i + 1):
            for k in range(n):
                flat[line + j] += sums[j - n, k] * flat[line + k]


@kernel
def advance_copy(
    integers: Index, numbers: Array, y: Array, m: Array, P: Array, new_m: Array, new_P: Array, v: Array, S: Array
) -> float:
    """`advance` from one state to another, without a diffuse part; the first two are those of an `Empty`."""
    model = unpack(integers)
    dx, dy = model.dx, model.dy
    room = room_compiled(dx, dy, 0, model.H.size if model.full else 0, 3 * dx if model.n_mixed > 0 else 1)
    size, rest = integers.size - PLACE - dx, (dx - m.size) * m.size
    index, value = vector(integers, 0, size), vector(numbers, room.m, numbers.size - room.m - rest)
    sums = matrix(numbers, numbers.size - rest, dx - m.size, m.size)
    flat, own = np.empty(room.end), vector(integers, size, PLACE + dx).copy()
    for i in range(room.m):
        flat[i] = numbers[i]
    for i in range(dy):
        flat[i] = y[i]
    for i in range(room.row, room.h):
        flat[i] = np.inf  # no row has been decorrelated
    read_in(m, P, sums, flat, room.m)
    loglik: float = advance(index, value, own, flat, np.empty((1, 0)))
    read_out(own, flat, room.m, dx, new_m, new_P)
    for i in range(dy):
        v[i] = flat[room.v + i]
        for j in range(dy):
            S[i, j] = flat[room.S + i * dy + j]
    return loglik


class Empty(NamedTuple):
    """A flat state of a model that waits for its means and covariances."""

    layout: Index
    values: Array
    sums: Array  # what the further states of the lifted model are, if it is the one in use
    room: Room
    which: Index
    head: Array  # what comes before the means
    integers: Index  # layout and `which`, and
    numbers: Array  # head, values and sums in a row: what is handed over less often costs less
    full: bool
    driven: bool  # needs inputs
    n_obs: int
    n_states: int  # of the model as it was given


def _empty(packed: Packed, rank: int) -> Empty:
    """The flat state for a diffuse part of this rank, made once for every model."""
    model, lift = packed.ssm, packed.lift
    layout, values = (packed.layout, packed.values) if lift is None else (lift.layout, lift.values)
    dx, dy, full, mixed = int(layout[0]), int(layout[1]), bool(layout[2]), bool(layout[4])
    room = room_of(dx, dy, rank, int(layout[12]) if full else 0, 3 * dx if mixed else 1)
    which, head = np.arange(-PLACE, dx), np.zeros(room.m)
    which[:PLACE] = rank, rank, min(len(packed.offset), 1), 0, 0
    driven = takes_inputs(model)
    if model.obs_offset is not None and not driven:
        head[room.d : room.b] = over_time(model.obs_offset, 1)[0]
    if len(packed.offset):
        head[room.b : room.m] = packed.offset[0] if lift is None else lift.up(packed.offset[0])
    n_states = len(packed.start.mean)
    sums = np.empty((0, n_states)) if lift is None else lift.sums
    joined = np.concatenate([layout, which]), np.concatenate([head, values, sums.ravel()])
    made = Empty(layout, values, sums, room, which, head, *joined, full, driven, dy, n_states)
    packed.derived["stream", rank] = made
    return made


def onward(packed: Packed, state: State, y: Array) -> tuple[State, Array, Array, float] | None:
    """The state after a row, what was new in it, its covariance and log-likelihood, in one call; None where `Stream` has to say."""
    if type(state) is not State or state.rank:
        return None
    empty: Empty = packed.derived.get(("stream", 0)) or _empty(packed, 0)
    n, dy = empty.n_states, empty.n_obs
    if empty.driven or y.shape != (dy,) or state.mean.shape != (n,) or state.cov.shape != (n, n):
        return None
    m, P, v, S = np.empty(n), np.empty((n, n)), np.empty(dy), np.empty((dy, dy))
    before = np.ascontiguousarray(state.mean, np.float64), np.ascontiguousarray(state.cov, np.float64)
    row = np.ascontiguousarray(y, np.float64)
    loglik = advance_copy(empty.integers, empty.numbers, row, *before, m, P, v, S)
    return (State(m, P, state.diffuse_cov, 0), v, S, loglik) if loglik == loglik else None


class Stream:
    """A model and the state of one stream, which every row moves in place.

    The fastest way to take in rows one by one: a row costs one compiled call that allocates nothing. What is not asked for
    is not computed: `step` returns the log-likelihood, `innovation` and `state` are handed out on request, as copies.

    Parameters
    ----------
    ssm : LinearGaussianSSM or Packed
        Of `TimeVarying` matrices row 0 is used for every row.
    state : State, optional
        The prediction of the first row; the model's prior by default. It is not changed.

    Raises
    ------
    InputError
        If the state does not fit the model.

    Examples
    --------
    >>> import numpy as np
    >>> from ssmts.core.gaussian import Stream
    >>> from ssmts.core.types import LinearGaussianSSM
    >>> one = np.eye(1)
    >>> stream = Stream(LinearGaussianSSM(one, one, one, one, np.zeros(1), one))
    >>> round(stream.step(2.0), 4)
    -2.2655
    >>> stream.state.mean, stream.innovation.cov
    (array([1.]), array([[2.]]))
    """

    __slots__ = (
        "_driven",
        "_flat",
        "_index",
        "_loglik",
        "_n_diffuse",
        "_n_obs",
        "_n_states",
        "_packed",
        "_rank",
        "_room",
        "_seen",
        "_value",
        "_which",
    )

    def __init__(self, ssm: LinearGaussianSSM | Packed, state: State | None = None) -> None:
        packed = ssm if type(ssm) is Packed else pack(ssm)
        A = packed.factor
        if state is None:
            state = packed.start
        else:
            check_state(packed, state)
            A = diffuse_factor(state.diffuse_cov, state.rank) if state.rank else A
        rank = state.rank
        empty: Empty = packed.derived.get(("stream", rank)) or _empty(packed, rank)
        room = empty.room
        which, flat = empty.which.copy(), np.empty(room.end)
        flat[: room.m] = empty.head
        m, P = np.ascontiguousarray(state.mean, np.float64), np.ascontiguousarray(state.cov, np.float64)
        read_in(m, P, empty.sums, flat, room.m)
        if rank:
            flat[room.A : room.v] = (A if packed.lift is None else packed.lift.up_factor(A)).ravel()
        if empty.full:
            flat[room.row : room.h] = np.inf  # no row has been decorrelated
        self._packed, self._which, self._flat = packed, which, flat
        self._index, self._value, self._room, self._rank = empty.layout, empty.values, room, rank
        self._driven, self._n_obs, self._n_states = empty.driven, empty.n_obs, empty.n_states
        self._seen: Array | None = None  # what infinity multiplies in the last innovation's covariance
        self._loglik, self._n_diffuse = 0.0, 0

    def step(self, y: npt.ArrayLike, inputs: npt.ArrayLike | None = None) -> float:
        """Take in one row.

        Parameters
        ----------
        y : float or (n_obs,)
            NaN where missing; a number will do for a model of one observation.
        inputs : (n_inputs,), optional

        Returns
        -------
        float
            Log-likelihood of the row given those before it.

        Raises
        ------
        InputError
            If the row does not fit; the state stays as it was.
        NumericalError
            If a covariance has left the sound numbers; the stream is then of no more use.
        """
        if isinstance(y, float) and self._n_obs == 1:
            self._flat[0] = y
        else:
            self._take(y)
        if self._driven or inputs is not None:
            self._drive(inputs)
        rank = self._rank
        if rank:
            H = over_time(self._packed.ssm.observation, 1)[0]
            self._seen = observed(H, self.state.diffuse_cov)
        loglik: float = advance(self._index, self._value, self._which, self._flat, ONE)
        if loglik != loglik:
            self._raise(y)
        self._loglik = loglik
        if rank:
            self._rank = int(self._which[RANK])
            self._n_diffuse = rank - self._rank
        elif self._seen is not None:
            self._seen, self._n_diffuse = None, 0
        return loglik

    def skip(self, dt: float) -> None:
        """Move on to the row that lies `dt` rows after the last one: those between are missing.

        Parameters
        ----------
        dt : int
            At least 1, which changes nothing.

        Raises
        ------
        InputError
            If dt is not a whole number of rows, or the model has inputs, which the missing rows would need.
        """
        if not dt >= 1 or dt != int(dt):
            raise InputError(f"dt is {dt!r}: rows lie a whole number of steps apart, at least 1")
        missing = np.full(self._n_obs, np.nan)
        for _ in range(int(dt) - 1):
            self.step(missing)

    def _take(self, y: npt.ArrayLike) -> None:
        n_obs = self._n_obs
        if not (type(y) is np.ndarray and y.shape == (n_obs,)) and np.shape(y) not in {
            (n_obs,),
            () if n_obs == 1 else (n_obs,),
        }:
            raise InputError(f"y_row is {y!r}: pass {n_obs} finite numbers or NaN")
        self._flat[:n_obs] = y

    def _drive(self, inputs: npt.ArrayLike | None) -> None:
        room, flat = self._room, self._flat
        b, y = drive(
            self._packed, flat[None, : room.d], None if inputs is None else np.asarray(inputs, dtype=float)[None]
        )
        flat[: room.d] = y[0]
        if len(b):
            self._which[OFFSET] = 1
            flat[room.b : room.m] = b[0] if self._packed.lift is None else self._packed.lift.up(b[0])

    def _raise(self, y: npt.ArrayLike) -> None:
        wrong, room, flat = int(self._which[WRONG]), self._room, self._flat
        self._which[WRONG] = 0
        if wrong == BAD_ROW:
            raise InputError(f"y_row is {y!r}: pass {self._n_obs} finite numbers or NaN")
        raise unsound(0, wrong, flat[room.m : room.P], flat[room.P : room.A])

    @property
    def state(self) -> State:
        """The prediction of the next row, a copy."""
        room, flat, which, rank, n = self._room, self._flat, self._which, self._rank, self._n_states
        dx, m, P = room.P - room.m, np.empty(n), np.empty((n, n))
        read_out(which, flat, room.m, dx, m, P)
        if not rank:
            return State(m, P, np.zeros((n, n)), 0)
        A = flat[room.A : room.v].reshape(dx, -1)[which[PLACE : PLACE + n]]
        return State(m, P, unresolved(A, rank), rank)

    @property
    def innovation(self) -> Innovation:
        """What the last row said that was new, a copy."""
        room, flat = self._room, self._flat
        v, S = flat[room.v : room.S].copy(), flat[room.S : room.row].reshape(self._n_obs, -1).copy()
        if self._seen is not None:
            S += infinities(self._seen)
        return Innovation(v, S, self._loglik, self._n_diffuse)
