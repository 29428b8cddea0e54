"""The single step of a stream."""

import numpy as np
import numpy.typing as npt

from ssmts.core.gaussian._filter import observed
from ssmts.core.gaussian._forward import NOTHING, begin, drive, forward, infinities, over_time, unresolved, unsound
from ssmts.core.gaussian._pack import Packed, pack
from ssmts.core.types import Innovation, LinearGaussianSSM, State
from ssmts.exceptions import InputError


def step(
    ssm: LinearGaussianSSM | Packed, state: State, y_row: npt.ArrayLike, inputs: npt.ArrayLike | None = None
) -> tuple[State, Innovation]:
    """Take in one row: what was new in it, and the state of the next row.

    Parameters
    ----------
    ssm : LinearGaussianSSM or Packed
        Pass a `Packed` where speed matters: packing costs more than the step. Of `TimeVarying` matrices row 0 is used.
    state : State
        The prediction of this row; it is not changed.
    y_row : (n_obs,)
        NaN where missing.
    inputs : (n_inputs,), optional

    Raises
    ------
    InputError, NumericalError
        As in `filter`.

    Examples
    --------
    >>> import numpy as np
    >>> from ssmts.core.gaussian import pack
    >>> from ssmts.core.types import LinearGaussianSSM
    >>> one = np.eye(1)
    >>> level = pack(LinearGaussianSSM(one, one, one, one, np.zeros(1), one))
    >>> state, innovation = step(level, level.start, [2.0])
    >>> state.mean, state.cov, innovation.value
    (array([1.]), array([[1.5]]), array([2.]))
    """
    packed = ssm if type(ssm) is Packed else pack(ssm)
    y = np.array(y_row, dtype=np.float64, ndmin=2)
    n_obs = len(packed.parts[3].ptr) - 1
    if y.shape != (1, n_obs) or np.isinf(y).any():
        raise InputError(f"y_row is {y_row!r}: pass {n_obs} finite numbers or NaN")
    b, y = drive(packed, y, None if inputs is None else np.asarray(inputs, dtype=float)[None])
    m, P, A = begin(packed, state)
    v, S = np.empty((1, n_obs)), np.empty((1, n_obs, n_obs))
    here = (packed.layout, packed.values, b, y, np.arange(len(m)), m, P, A, False)
    gain, rank, _, _, wrong = forward(*here, NOTHING.loglik, v, S, *NOTHING[3:])
    if wrong:
        raise unsound(0, wrong, m, P)
    if not state.rank:
        return State(m, P, state.diffuse_cov, 0), Innovation(v[0], S[0], gain, 0)
    S[0] += infinities(observed(over_time(packed.ssm.observation, 1)[0], state.diffuse_cov))
    return State(m, P, unresolved(A, rank), rank), Innovation(v[0], S[0], gain, state.rank - rank)
