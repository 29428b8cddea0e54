"""Many independent streams of one model, which advance in one call."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from ssmts.core.gaussian._forward import drive, over_time, unresolved
from ssmts.core.gaussian._lift import lifted_cov
from ssmts.core.gaussian._pack import Packed, diffuse_factor, pack
from ssmts.core.gaussian._streams.lanes import LANES, step_lanes
from ssmts.core.gaussian._streams.lanes_each import step_each
from ssmts.core.gaussian._streams.lanes_means import LONG, step_means
from ssmts.core.gaussian._streams.stream import KEEP, PLACE, Stream
from ssmts.core.types import Array, Index, Innovations, LinearGaussianSSM, State
from ssmts.exceptions import InputError, NumericalError


class Streams:
    """Many independent streams of one model: one call takes in a row of each.

    Streams that start alike and miss the same entries have the same covariance, which is then computed once, and a row
    costs each stream a few products. With the first row that some streams miss and others do not, each gets a covariance of
    its own. Both ways are exact.

    Parameters
    ----------
    ssm : LinearGaussianSSM or Packed
        Of `TimeVarying` matrices row 0 is used for every row.
    n_streams : int
    state : State, optional
        The prediction of the first row, for all streams, or with a leading axis of streams in every field but the rank,
        which is (n_streams,); the model's prior by default.
    shared : bool, default True
        Whether to keep one covariance for all streams while that is exact; False gives each its own from the start, which
        saves the change later on where missing entries are expected.

    Raises
    ------
    InputError
        If the state does not fit the model and the number of streams.

    See Also
    --------
    Stream : one stream, with the state in place.

    Examples
    --------
    >>> import numpy as np
    >>> from ssmts.core.gaussian import Streams
    >>> from ssmts.core.types import LinearGaussianSSM
    >>> one = np.eye(1)
    >>> streams = Streams(LinearGaussianSSM(one, one, one, one, np.zeros(1), one), 3)
    >>> streams.step([2.0, 4.0, np.nan]).value.ravel()
    array([ 2.,  4., nan])
    >>> streams.states.mean.ravel(), streams.states.cov.ravel()
    (array([1., 2., 0.]), array([1.5, 1.5, 2. ]))
    """

    def __init__(
        self, ssm: LinearGaussianSSM | Packed, n_streams: int, state: State | None = None, *, shared: bool = True
    ) -> None:
        if isinstance(n_streams, bool) or not isinstance(n_streams, int | np.integer) or n_streams < 1:
            raise InputError(f"n_streams is {n_streams!r}: pass a positive integer")
        self._packed = packed = pack(ssm)
        self._lift = lift = packed.lift  # as in `Stream`
        self._layout, self._values = (packed.layout, packed.values) if lift is None else (lift.layout, lift.values)
        self._offset: Array = self._up(packed.offset[:1]).ravel()
        self._n = int(n_streams)
        start = packed.start if state is None else state
        n_states = len(packed.start.mean)
        if start.mean.shape not in {(n_states,), (self._n, n_states)}:
            raise InputError(
                f"state.mean has the shape {start.mean.shape}: pass {(n_states,)} for all streams, or {(self._n, n_states)}"
            )
        self._lanes = LONG if start.mean.ndim == 1 else LANES  # of a block of means
        self._means: Array = _to_lanes(self._up(np.broadcast_to(start.mean, (self._n, n_states))), self._lanes)
        self._covs: Array = np.empty(0)  # lower triangles
        self._factors: Array = np.empty(0)  # (n_streams, n_states, columns) of what is diffuse, by places
        self._ranks: Index = np.zeros(self._n, np.int64)
        self._place: Index = np.arange(int(self._layout[0]))
        noise = np.diagonal(over_time(packed.ssm.obs_cov, 1)[0])
        self._several_exact = bool((noise == 0.0).sum() > 1)  # what is left of a covariance may be rounding
        self._leader: Stream | None = None  # has the covariance of all streams
        if start.mean.ndim == 1:
            self._leader = Stream(packed, start._replace(mean=np.zeros(n_states)))
            self._leader._which[KEEP] = 1
            if not shared:
                self._part()
        else:
            self._separate(start)

    def __len__(self) -> int:
        return self._n

    @property
    def shared(self) -> bool:
        """Whether all streams still have the same covariance, which is kept once."""
        return self._leader is not None

    def step(self, y: npt.ArrayLike, inputs: npt.ArrayLike | None = None) -> Innovations:
        """Take in one row of every stream.

        Parameters
        ----------
        y : (n_streams, n_obs)
            NaN where missing; (n_streams,) will do for a model of one observation.
        inputs : (n_inputs,), optional
            The same for all streams.

        Returns
        -------
        Innovations

        Raises
        ------
        InputError
            If the rows do not fit; the states stay as they were.
        NumericalError
            If a covariance has left the sound numbers; the message names the stream.
        """
        rows = np.ascontiguousarray(y, dtype=np.float64)
        n_obs = int(self._packed.layout[1])
        if rows.shape != (self._n, n_obs) and not (n_obs == 1 and rows.shape == (self._n,)):
            raise InputError(f"y has the shape {rows.shape}: pass one row a stream, {(self._n, n_obs)}")
        rows = rows.reshape(self._n, n_obs)
        pattern = np.zeros(n_obs)
        if not math.isfinite(rows.sum()):
            if np.isinf(rows).any():
                raise InputError(
                    f"y is infinite at {tuple(np.argwhere(np.isinf(rows))[0].tolist())}: missing values are NaN"
                )
            missing = np.isnan(rows)
            if self._leader is not None and (missing != missing[0]).any():
                self._part()
            pattern[missing[0]] = np.nan
        b, rows = self._driven(rows, inputs)
        v, loglik = np.empty((self._n, n_obs)), np.empty(self._n)
        if self._leader is None:
            return self._step_own(rows, b, v, loglik)
        before = self._place
        try:
            self._leader.step(pattern, inputs)
        except NumericalError as error:
            raise NumericalError(f"all streams: {error}") from error
        self._place = self._leader._which[PLACE:].copy()
        room, flat = self._leader._room, self._leader._flat
        table = flat[room.row : room.h].reshape(n_obs, -1)
        lines = flat[room.h : room.W] if room.h < room.W else self._values
        step_means(self._layout, self._values, before, b, table, lines, self._means, rows.ravel(), v.ravel(), loglik)
        variance = np.empty_like(v)
        variance[:] = self._leader.innovation.cov.diagonal()
        return Innovations(v, variance, loglik)

    def _step_own(self, rows: Array, b: Array, v: Array, loglik: Array) -> Innovations:
        variance = np.empty_like(v)
        common = self._layout, self._values, self._place, b, self._means, self._covs
        new = rows.ravel(), v.ravel(), variance.ravel(), loglik
        if self._several_exact or self._layout[2] or self._factors.size:
            bad = step_each(*common, self._factors.ravel(), self._ranks, *new)
            if not self._ranks.any():
                self._factors = np.empty(0)
        else:
            bad = step_lanes(*common, *new)
        if bad >= 0:
            raise NumericalError(
                f"stream {bad}: innovation_cov is negative or not finite: is the transition explosive? process_cov, obs_cov and "
                "initial_cov must be non-negative definite and of comparable scale"
            )
        return Innovations(v, variance, loglik)

    def _driven(self, rows: Array, inputs: npt.ArrayLike | None) -> tuple[Array, Array]:
        """What moves all states, and the rows less what they do not owe to them."""
        ssm = self._packed.ssm
        if ssm.obs_offset is None and ssm.input_matrix is None and ssm.feedthrough is None and inputs is None:
            return self._offset, rows
        u = None if inputs is None else np.asarray(inputs, dtype=float)[None]
        b, less = drive(self._packed, np.zeros((1, rows.shape[1])), u)
        return self._up(b[:1]).ravel(), rows + less

    def _up(self, table: Array) -> Array:
        """Lift the last axis of a table."""
        return table if self._lift is None else np.concatenate([table, table @ self._lift.sums.T], axis=-1)

    def _part(self) -> None:
        """Give every stream a covariance of its own."""
        assert self._leader is not None
        common, self._leader = self._leader.state, None
        self._means, self._lanes = _to_lanes(self._up(self._table()), LANES), LANES
        self._place = np.arange(len(self._place))
        self._separate(_repeated(common, self._n))

    def _separate(self, states: State) -> None:
        """Lay out the covariances of states in the order of their numbers."""
        n, n_states, covs = self._n, len(self._packed.start.mean), states.cov
        ranks: Any = states.rank
        if states.cov.shape != (n, n_states, n_states) or np.shape(ranks) != (n,):
            raise InputError(
                f"state.cov has the shape {states.cov.shape} and state.rank {np.shape(ranks)}: pass "
                f"{(n, n_states, n_states)} and {(n,)}"
            )
        if self._lift is not None:
            covs = lifted_cov(self._lift.sums, covs)
        lower = np.tril_indices(len(self._place))
        self._covs = _to_lanes(covs[:, lower[0], lower[1]], LANES)
        self._ranks = np.array(ranks, np.int64)
        self._factors = np.zeros((n, len(self._place), self._ranks.max()))
        same = bool((self._ranks == self._ranks[0]).all() and (states.diffuse_cov == states.diffuse_cov[0]).all())
        for i in np.flatnonzero(self._ranks)[: 1 if same else None]:
            factor = diffuse_factor(states.diffuse_cov[i], int(self._ranks[i]))
            self._factors[slice(None) if same else i, :, : self._ranks[i]] = self._up(factor.T).T

    def _table(self) -> Array:
        """Means (n_streams, n_states) in the order of the states."""
        return _from_lanes(self._means, self._n, len(self._place), self._lanes)[:, self._own]

    @property
    def _own(self) -> Index:
        """Places of the states of the model as it was given, which come first in a lifted one."""
        return self._place[: len(self._packed.start.mean)]

    @property
    def states(self) -> State:
        """The predictions of the next rows, copies with a leading axis of streams."""
        n, dx, own = self._n, len(self._place), self._own
        if self._leader is not None:
            return _repeated(self._leader.state, n)._replace(mean=self._table())
        lower = np.tril_indices(dx)
        covs = np.empty((n, dx, dx))
        covs[:, lower[0], lower[1]] = _from_lanes(self._covs, n, len(lower[0]), LANES)
        covs[:, lower[1], lower[0]] = covs[:, lower[0], lower[1]]
        covs = covs[:, own][:, :, own]
        ranks: Any = self._ranks.copy()
        diffuse = unresolved(self._factors[:, own], ranks) if self._factors.size else np.zeros_like(covs)
        return State(self._table(), covs, diffuse, ranks)


def _repeated(state: State, n: int) -> State:
    """The same state n times, with a leading axis."""
    return State(*[np.repeat(np.asarray(x)[None], n, axis=0) for x in state])  # type: ignore[arg-type]


def _to_lanes(table: Array, most: int) -> Array:
    """A table (n_streams, columns) as flat blocks: every column of so many streams is a line."""
    n, columns = table.shape
    lanes = min(n, most)
    padded = np.zeros((-(-n // lanes) * lanes, columns))
    padded[:n] = table
    return padded.reshape(-1, lanes, columns).swapaxes(1, 2).ravel()


def _from_lanes(flat: Array, n: int, columns: int, most: int) -> Array:
    """The table (n_streams, columns) that lies in flat blocks."""
    return flat.reshape(-1, columns, min(n, most)).swapaxes(1, 2).reshape(-1, columns)[:n].copy()
