"""The single step of a stream."""

import numpy.typing as npt

from ssmts.core.gaussian._pack import Packed
from ssmts.core.gaussian._stream import Stream
from ssmts.core.types import Innovation, LinearGaussianSSM, State


def step(
    ssm: LinearGaussianSSM | Packed,
    state: State,
    y_row: npt.ArrayLike,
    inputs: npt.ArrayLike | None = None,
    dt: float | None = None,
) -> tuple[State, Innovation]:
    """Take in one row: what was new in it, and the state of the next row.

    Parameters
    ----------
    ssm : LinearGaussianSSM or Packed
        Pass a `Packed` where speed matters, or keep a `Stream`: packing costs more than the step. Of `TimeVarying` matrices
        row 0 is used.
    state : State
        The prediction of this row; it is not changed.
    y_row : (n_obs,)
        NaN where missing.
    inputs : (n_inputs,), optional
    dt : int, default 1
        How many rows this one lies after the one before; those between are missing, and cost a step each.

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
    stream = Stream(ssm, state)
    if dt is not None and dt != 1:
        stream.skip(dt)
    stream.step(y_row, inputs)
    return stream.state, stream.innovation
