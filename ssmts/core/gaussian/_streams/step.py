"""The single step of a stream."""

import numpy as np
import numpy.typing as npt

from ssmts.core.gaussian._pack import Packed, pack
from ssmts.core.gaussian._streams.stream import Stream, onward
from ssmts.core.types import ContinuousSSM, Innovation, LinearGaussianSSM, State
from ssmts.exceptions import InputError

STEPS = 256  # lengths of steps whose matrices a continuous model remembers


def step(
    ssm: LinearGaussianSSM | Packed | ContinuousSSM,
    state: State | None,
    y_row: npt.ArrayLike,
    inputs: npt.ArrayLike | None = None,
    dt: float | None = None,
) -> tuple[State, Innovation]:
    """Take in one row: what was new in it, and the state of the next row.

    Parameters
    ----------
    ssm : LinearGaussianSSM, Packed or ContinuousSSM
        Pass a `Packed` where speed matters, or keep a `Stream`: packing costs more than the step. Of `TimeVarying` matrices
        row 0 is used.
    state : State or None
        The prediction of this row; it is not changed. In continuous time the state after the row before, as of its time. None
        is the prior of the model, before the first row.
    y_row : (n_obs,)
        NaN where missing.
    inputs : (n_inputs,), optional
    dt : float, optional
        How many rows this one lies after the one before, by default 1; those between are missing, and cost a step each. In
        continuous time the time since the row before, which must be given: 0 for the first row, and for a sensor that
        reports at the same time.

    Returns
    -------
    State
        The prediction of the next row, in continuous time the state at the time of this one.
    Innovation

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
    if isinstance(ssm, ContinuousSSM):
        state, ssm = elapse(ssm, at_once(ssm).start if state is None else state, dt), at_once(ssm)
        dt = None
    if inputs is None and (dt is None or dt == 1):
        packed = ssm if type(ssm) is Packed else pack(ssm)
        found = onward(packed, packed.start if state is None else state, np.asarray(y_row))
        if found is not None:
            return found[0], Innovation(*found[1:], 0)
    stream = Stream(ssm, state)
    if dt is not None and dt != 1:
        stream.skip(dt)
    stream.step(y_row, inputs)
    return stream.state, stream.innovation


def elapse(ssm: ContinuousSSM, state: State, dt: float | None) -> State:
    """The state of a continuous model after some time without rows.

    Parameters
    ----------
    ssm : ContinuousSSM
    state : State
    dt : float
        At least 0. What a step of this length does is remembered for the last `STEPS` lengths.

    Raises
    ------
    InputError
        If there is no dt, or it is negative or not finite.

    Examples
    --------
    >>> import numpy as np
    >>> from ssmts.core.types import ContinuousSSM, State
    >>> one = np.eye(1)
    >>> motion = ContinuousSSM(0 * one, one, one, one, np.zeros(1), one)
    >>> elapse(motion, State(np.ones(1), one, 0 * one, 0), 2.5).cov
    array([[3.5]])
    """
    if dt is None:
        raise InputError("a model in continuous time needs dt, the time since the row before: 0 for the first one")
    known = ssm.derived.setdefault("steps", {})
    if dt not in known:
        if len(known) >= STEPS:
            known.clear()
        known[dt] = ssm.over(float(dt))
    F, Q = known[dt]
    P = F @ state.cov @ F.T + Q
    diffuse = F @ state.diffuse_cov @ F.T if state.rank else state.diffuse_cov
    return State(F @ state.mean, (P + P.T) / 2, (diffuse + diffuse.T) / 2, state.rank)


def at_once(ssm: ContinuousSSM) -> Packed:
    """A continuous model as one in which no time passes from row to row."""
    made: Packed | None = ssm.derived.get("at once")
    if made is None:
        made = ssm.derived["at once"] = pack(ssm.discretise(0.0))
    return made
