"""The marginal likelihood of models with a diffuse start."""

from typing import Any

import numpy as np
import numpy.typing as npt

from ssmts.core.gaussian._filter import loglik
from ssmts.core.gaussian._forward import series
from ssmts.core.gaussian._pack import Packed, pack
from ssmts.core.gaussian._update import LOG_2PI
from ssmts.core.types import LinearGaussianSSM, State


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
    orthogonal to X; it adds log|X'X| / 2 to the diffuse likelihood without its constant, and is the same for all scales.
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
    Francke, Koopman and de Vos (2010), Journal of Time Series Analysis 31, 407-414, who also find |X'X| by a filter: as the
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
    begin = packed.start if state is None else state
    result = loglik(packed, values, inputs, method, state=state, diffuse_constant=False)
    if not begin.rank:
        return result
    n_obs = values.shape[-1]
    nothing = dict.fromkeys(("state_offset", "obs_offset", "input_matrix", "feedthrough", "process_loading"))
    zero = np.zeros_like(begin.mean), np.zeros_like(begin.cov)
    bare = packed.replace(
        process_cov=zero[1], obs_cov=np.eye(n_obs), initial_mean=zero[0], initial_cov=zero[1], **nothing
    )
    start = None if state is None else begin._replace(mean=zero[0], cov=zero[1])
    constant = 0.5 * LOG_2PI * np.sum(~np.isnan(values), axis=(-2, -1))
    whole = result - loglik(bare, 0.0 * values, None, method, state=start) - constant
    return whole if values.ndim == 3 else float(whole)
