"""One stream of rows that keeps outliers from moving its state."""

import numpy as np
import numpy.typing as npt

from ssmts.core.gaussian._forward import drive, unsound
from ssmts.core.gaussian._kernels.reweigh import forward_robust
from ssmts.core.gaussian._pack import Packed, pack
from ssmts.core.gaussian._robust import Release, Rule, plan_of
from ssmts.core.gaussian._streams.stream import Stream
from ssmts.core.types import Array, Innovation, LinearGaussianSSM, State
from ssmts.exceptions import InputError


class RobustStream:
    """A model and the state of one stream, with the weights of `robust_filter`.

    Parameters
    ----------
    ssm : LinearGaussianSSM or Packed
        Of `TimeVarying` matrices row 0 is used for every row.
    state : State, optional
        The prediction of the first row; the model's prior by default. It is not changed.
    rule, release
        As in `robust_filter`.

    Attributes
    ----------
    weights : (n_obs,)
        By what `obs_cov` was divided for the last row, NaN where unobserved.
    released : bool
        Whether the last row set the state free.
    innovation : Innovation
        What the last row said that was new, by the model as it is.

    Raises
    ------
    InputError
        As `robust_filter`.

    Examples
    --------
    >>> import numpy as np
    >>> from ssmts.core.gaussian import IMQ, RobustStream
    >>> from ssmts.core.types import LinearGaussianSSM
    >>> one = np.eye(1)
    >>> stream = RobustStream(LinearGaussianSSM(one, one, one, one, np.zeros(1), one), rule=IMQ(c=3.0))
    >>> _ = stream.step(1e6)
    >>> stream.weights.round(3), bool(abs(stream.state.mean[0]) < 0.01)
    (array([0.]), True)
    """

    def __init__(
        self,
        ssm: LinearGaussianSSM | Packed,
        state: State | None = None,
        rule: Rule | None = None,
        release: Release | None = None,
    ) -> None:
        self._packed = packed = pack(ssm)
        self._plan = plan_of(rule, release, packed)
        self._run = 0
        self._diffuse: Stream | None = Stream(packed, state)  # until nothing is
        self._take_over()
        n_obs = int(packed.layout[1])
        self.weights: Array = np.full(n_obs, np.nan)
        self.released = False
        self.innovation = Innovation(np.full(n_obs, np.nan), np.full((n_obs, n_obs), np.nan), 0.0, 0)

    def _take_over(self) -> None:
        assert self._diffuse is not None
        m, P, _, rank = self._diffuse.state
        if not rank:
            self._m, self._P, self._diffuse = m, P, None

    @property
    def state(self) -> State:
        """The prediction of the next row, a copy."""
        if self._diffuse is not None:
            return self._diffuse.state
        return State(self._m.copy(), self._P.copy(), np.zeros_like(self._P), 0)

    def step(self, y: npt.ArrayLike, inputs: npt.ArrayLike | None = None) -> float:
        """Take in one row.

        Parameters
        ----------
        y : float or (n_obs,)
            NaN where missing.
        inputs : (n_inputs,), optional

        Returns
        -------
        float
            Log-likelihood of the row by the model as it is, given the state before.

        Raises
        ------
        InputError
            If the row does not fit; the state stays as it was.
        NumericalError
            If a covariance has left the sound numbers; the stream is then of no more use.
        """
        n_obs = len(self.weights)
        row = np.array(y, dtype=np.float64, ndmin=1)
        if row.shape != (n_obs,) or np.isinf(row).any():
            raise InputError(f"y_row is {y!r}: pass {n_obs} finite numbers or NaN")
        if self._diffuse is not None:
            loglik = self._diffuse.step(row, inputs)
            self.weights, self.innovation = np.where(np.isnan(row), np.nan, 1.0), self._diffuse.innovation
            self._take_over()
            return loglik
        b, less = drive(self._packed, row[None], None if inputs is None else np.asarray(inputs, dtype=float)[None])
        loglik_t, v, S = np.empty(1), np.empty((1, n_obs)), np.empty((1, n_obs, n_obs))
        weights, released, n = np.where(np.isnan(row), np.nan, 1.0)[None], np.zeros(1, bool), len(self._m)
        nothing = np.empty((0, n)), np.empty((0, n, n))
        packed, here = self._packed, (loglik_t, v, S, *nothing, *nothing, weights, released)
        state = self._m, self._P
        self._run, _, wrong = forward_robust(
            packed.layout, packed.values, self._plan, self._run, b, less, *state, *here
        )
        if wrong:
            raise unsound(0, wrong, *state)
        self.weights, self.released = weights[0], bool(released[0])
        self.innovation = Innovation(v[0], S[0], float(loglik_t[0]), 0)
        return self.innovation.loglik
