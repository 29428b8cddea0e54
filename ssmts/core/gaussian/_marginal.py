"""The marginal likelihood of models with a diffuse start, and its score."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ssmts.core.gaussian._filter import loglik
from ssmts.core.gaussian._forward import series
from ssmts.core.gaussian._kernels.update import LOG_2PI
from ssmts.core.gaussian._pack import Packed, pack
from ssmts.core.gaussian._score import score
from ssmts.core.types import Array, LinearGaussianSSM, State, TimeVarying


def marginal_loglik(
    ssm: LinearGaussianSSM | Packed,
    y: npt.ArrayLike,
    inputs: npt.ArrayLike | None = None,
    method: str = "auto",
    *,
    state: State | None = None,
) -> Any:
    """Log-likelihood of what in the series does not depend on the diffuse start.

    Given the diffuse effects delta, the series has the mean X delta. The diffuse likelihood of `loglik` depends on how these
    effects are scaled, and by X on parameters of ``transition`` and ``observation``, so that it must not be compared between
    values of these. The marginal likelihood is the density of the contrasts B'y, where the columns of B are orthonormal and
    orthogonal to X; it adds log det(X'X) / 2 to the diffuse likelihood without its constant, and is the same for all scales.
    With a proper start it is the ordinary likelihood.

    Parameters
    ----------
    ssm, y, inputs, method, state
        As in `filter`.

    Returns
    -------
    float, or (n_series,) for a batch

    Raises
    ------
    InputError, NumericalError
        As in `filter`.

    References
    ----------
    Francke, Koopman and de Vos (2010), Journal of Time Series Analysis 31, 407-414, who also find det(X'X) by a filter: as the
    likelihood of zeros under the model without any noise but a unit one of the observations.

    Examples
    --------
    >>> import numpy as np
    >>> from ssmts.core.types import LinearGaussianSSM
    >>> one, y = np.eye(1), np.array([[1.0], [4.0], [2.0]])
    >>> model = LinearGaussianSSM(one, one, one, one, np.zeros(1), 0 * one, initial_diffuse_cov=one)
    >>> other = model._replace(initial_diffuse_cov=100.0 * one)
    >>> round(marginal_loglik(model, y), 6), round(marginal_loglik(other, y), 6)
    (-4.015792, -4.015792)
    """
    packed = pack(ssm)
    values = series(y, packed)
    result = loglik(packed, values, inputs, method, state=state, diffuse_constant=False)
    bare = _bare(packed, values, state)
    if bare is None:
        return result
    constant = 0.5 * LOG_2PI * np.sum(~np.isnan(values), axis=(-2, -1))
    whole = result - loglik(*bare.args, method=method, state=bare.state) - constant
    return whole if values.ndim == 3 else float(whole)


def marginal_score(
    ssm: LinearGaussianSSM | Packed,
    y: npt.ArrayLike,
    wrt: tuple[str, ...] | None = None,
    inputs: npt.ArrayLike | None = None,
    method: str = "auto",
    *,
    state: State | None = None,
) -> tuple[Any, LinearGaussianSSM]:
    """The marginal log-likelihood and its exact derivatives with respect to the system matrices.

    They are those of `score`, but for ``transition`` and ``observation``, on which det(X'X) depends.

    Parameters
    ----------
    ssm, y, wrt, inputs, method, state
        As in `score`.

    Returns
    -------
    loglik : float, or (n_series,) for a batch
        As `marginal_loglik` gives it.
    gradient : LinearGaussianSSM
        As `score` gives it.

    Raises
    ------
    InputError, NumericalError
        As in `score`.

    Examples
    --------
    >>> import numpy as np
    >>> from ssmts.core.types import LinearGaussianSSM
    >>> one, y = np.eye(1), np.array([[1.0], [4.0], [2.0]])
    >>> growing = LinearGaussianSSM(1.1 * one, one, one, one, np.zeros(1), 0 * one, initial_diffuse_cov=one)
    >>> value, gradient = marginal_score(growing, y, wrt=("transition",))
    >>> step = marginal_loglik(growing._replace(transition=1.1 * one + 1e-6), y) - value
    >>> bool(abs(step / 1e-6 - gradient.transition[0, 0]) < 1e-4)
    True
    """
    packed = pack(ssm)
    values = series(y, packed)
    value = marginal_loglik(packed, values, inputs, method, state=state)
    gradient = score(packed, values, wrt, inputs, method, state=state)[1]
    bare = _bare(packed, values, state)
    names = tuple(name for name in ("transition", "observation") if getattr(gradient, name) is not None)
    if bare is None or not names:
        return value, gradient
    of_bare = score(*bare.args, wrt=names, method=method, state=bare.state)[1]
    return value, gradient._replace(**{n: _less(getattr(gradient, n), getattr(of_bare, n)) for n in names})


def _less(one: Any, other: Any) -> Any:
    return TimeVarying(one.values - other.values) if isinstance(one, TimeVarying) else one - other


class _Bare(NamedTuple):
    """A model with no noise but a unit one of the observations, and zeros: their likelihood is that of |X'X|."""

    args: tuple[Packed, Array]
    state: State | None


def _bare(packed: Packed, values: Array, state: State | None) -> _Bare | None:
    """What |X'X| is found from, or None if nothing is diffuse."""
    begin = packed.start if state is None else state
    if not begin.rank:
        return None
    nothing = dict.fromkeys(("state_offset", "obs_offset", "input_matrix", "feedthrough", "process_loading"))
    mean, cov = np.zeros_like(begin.mean), np.zeros_like(begin.cov)
    model = packed.replace(
        process_cov=cov, obs_cov=np.eye(values.shape[-1]), initial_mean=mean, initial_cov=cov, **nothing
    )
    return _Bare((model, 0.0 * values), None if state is None else begin._replace(mean=mean, cov=cov))
