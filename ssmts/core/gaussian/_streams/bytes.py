"""A state as bytes and back: what a stream needs to go on elsewhere, or tomorrow.

The format, little-endian throughout: 8 bytes `MAGIC`; version (2 bytes), flags (2), number of states (4), number of streams
(8); the rank of each stream (4 each); means; covariances, lower triangles by rows; diffuse covariances likewise if any rank is
positive, all in float64; CRC-32 of everything before (4). No code is run on reading.
"""

import struct
import zlib
from typing import Any

import numpy as np

from ssmts.core.types import Array, State
from ssmts.exceptions import InputError, PersistError

MAGIC = b"ssmtsST\n"
VERSION = 1
_HEADER = struct.Struct("<8sHHIQ")
_MANY, _DIFFUSE = 1, 2  # flags: a leading axis of streams; diffuse covariances follow


def state_to_bytes(state: State) -> bytes:
    """Write a state, a few kilobytes for tens of states.

    Parameters
    ----------
    state : State
        Of one stream, or with a leading axis of streams as `Streams.states` gives it.

    Raises
    ------
    InputError
        If its shapes do not fit each other, or a covariance is not symmetric.

    See Also
    --------
    state_from_bytes

    Examples
    --------
    >>> import numpy as np
    >>> from ssmts.core.gaussian import state_from_bytes, state_to_bytes
    >>> from ssmts.core.types import State
    >>> written = state_to_bytes(State(np.ones(2), np.eye(2), np.zeros((2, 2)), 0))
    >>> len(written), state_from_bytes(written).mean
    (72, array([1., 1.]))
    """
    mean, ranks = np.asarray(state.mean, dtype=float), np.asarray(state.rank)
    many = mean.ndim == 2
    mean, ranks = np.atleast_2d(mean), np.atleast_1d(ranks)
    (n, n_states), parts = mean.shape, [mean]
    diffuse = bool(ranks.any())
    for name in ("cov", "diffuse_cov") if diffuse else ("cov",):
        values = np.asarray(getattr(state, name), dtype=float)
        values = values if many else values[None]
        if values.shape != (n, n_states, n_states) or ranks.shape != (n,):
            raise InputError(f"state.{name} has the shape {values.shape[not many :]}, its mean {state.mean.shape}")
        if not np.array_equal(values, values.swapaxes(1, 2), equal_nan=True):
            raise InputError(f"state.{name} is not symmetric: pass a covariance")
        parts.append(values[(slice(None), *np.tril_indices(n_states))])
    head = _HEADER.pack(MAGIC, VERSION, many * _MANY + diffuse * _DIFFUSE, n_states, n)
    body = b"".join([head, ranks.astype("<i4").tobytes(), *(part.astype("<f8").tobytes() for part in parts)])
    return body + struct.pack("<I", zlib.crc32(body))


def state_from_bytes(data: bytes) -> State:
    """Read a state that `state_to_bytes` wrote; numbers come back to the last bit.

    Parameters
    ----------
    data : bytes

    Raises
    ------
    PersistError
        If the data are foreign, truncated, damaged, or of a newer version; the message says which.

    See Also
    --------
    state_to_bytes
    """
    data = bytes(data)
    if data[:8] != MAGIC[: len(data)] or not data:
        raise PersistError(f"these bytes are no state of ssmts: they begin with {data[:8]!r}, not with {MAGIC!r}")
    if len(data) < _HEADER.size:
        raise PersistError(f"the state is truncated: {len(data)} bytes, the header alone has {_HEADER.size}")
    _, version, flags, n_states, n = _HEADER.unpack_from(data)
    if version > VERSION:
        raise PersistError(f"the state has version {version}, but this ssmts reads up to {VERSION}: upgrade ssmts")
    lower = n_states * (n_states + 1) // 2
    columns = n_states + lower * (2 if flags & _DIFFUSE else 1)
    wanted = _HEADER.size + 4 * n + 8 * n * columns + 4
    if len(data) != wanted:
        what = "truncated" if len(data) < wanted else "followed by other data"
        raise PersistError(f"the state is {what}: {len(data)} bytes instead of {wanted}")
    if zlib.crc32(data[:-4]) != struct.unpack("<I", data[-4:])[0]:
        raise PersistError("the state is damaged: its checksum does not fit. Read or send it again")
    ranks: Any = np.frombuffer(data, "<i4", n, _HEADER.size).astype(np.int64)
    values = np.frombuffer(data, "<f8", n * columns, _HEADER.size + 4 * n).astype(np.float64)
    mean, *triangles = np.split(values, [n * n_states, n * (n_states + lower)])
    covs = [_full(part.reshape(n, -1), n_states) for part in triangles if part.size] or [np.zeros((n, 0, 0))]
    diffuse = covs[1] if len(covs) > 1 else np.zeros_like(covs[0])
    if flags & _MANY:
        return State(mean.reshape(n, n_states), covs[0], diffuse, ranks)
    return State(mean, covs[0][0], diffuse[0], int(ranks[0]))


def _full(lower: Array, n_states: int) -> Array:
    full = np.zeros((len(lower), n_states, n_states))
    rows, columns = np.tril_indices(n_states)
    full[:, rows, columns] = lower
    full[:, columns, rows] = lower
    return full
