"""How far each row is out: joint statistics of the smoothing errors."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ssmts.core.gaussian._forward import dot, over_time, series
from ssmts.core.gaussian._ladder import stack
from ssmts.core.gaussian._pack import Packed, pack
from ssmts.core.gaussian._smooth import smooth_pass
from ssmts.core.types import Array, Index, LinearGaussianSSM, State

NOTHING = 1e-10  # an eigenvalue of a correlation matrix below this is zero


class RowStatistics(NamedTuple):
    """Statistics of each row, and the degrees of freedom of their chi-square distributions; 0 and 0 where nothing is said.

    Attributes
    ----------
    obs, obs_df : (n_times,)
        Are the observations of the row out together: the gain if each had an unknown error of its own.
    process, process_df : (n_times,)
        Did the shocks that follow the row break: the gain if each were unknown.
    state, state_df : (n_times,)
        Did anything break after the row: the gain if the next state were unknown altogether.
    """

    obs: Array
    obs_df: Index
    process: Array
    process_df: Index
    state: Array
    state_df: Index


def row_statistics(
    ssm: LinearGaussianSSM | Packed,
    y: npt.ArrayLike,
    inputs: npt.ArrayLike | None = None,
    *,
    state: State | None = None,
) -> RowStatistics:
    """Joint chi-square statistics for outliers and breaks in each row.

    Twice the log-likelihood that would be gained if something in a row were unknown, given all rows, without another fit:
    u'E^-1 u of the errors u of its observations with the covariance E, and r'N^-1 r of those of the next state. They tell
    breaks that the auxiliary residuals of `smooth`, one for each entry, tell only in part.

    Parameters
    ----------
    ssm, y, inputs, state
        As in `filter`.

    Returns
    -------
    RowStatistics
        A batch adds a leading axis of series to every field.

    Raises
    ------
    InputError, NumericalError
        As in `filter`.

    References
    ----------
    de Jong and Penzer (1998), Journal of the American Statistical Association 93, 796-806.

    Examples
    --------
    >>> import numpy as np
    >>> from ssmts.core.types import LinearGaussianSSM
    >>> one = np.eye(1)
    >>> white = LinearGaussianSSM(0 * one, 0 * one, one, one, np.zeros(1), 0 * one)
    >>> row_statistics(white, [[1.0], [np.nan], [3.0]]).obs
    array([1., 0., 9.])
    """
    packed = pack(ssm)
    values = series(y, packed)
    packed = pack(packed, values.shape[-2])
    if values.ndim == 3:
        many: RowStatistics = stack([_statistics(packed, one, inputs, state) for one in values])
        return many
    return _statistics(packed, values, inputs, state)


def _statistics(packed: Packed, y: Array, inputs: npt.ArrayLike | None, state: State | None) -> RowStatistics:
    done = smooth_pass(packed, y, inputs, state)
    shock, cov = done.r, done.N
    if packed.ssm.process_loading is not None:
        G_t = over_time(packed.ssm.process_loading, len(y)).swapaxes(1, 2)
        shock, cov = dot(G_t, done.r), G_t @ done.N @ G_t.swapaxes(1, 2)
    return RowStatistics(*_chi_square(done.u, done.E), *_chi_square(shock, cov), *_chi_square(done.r, done.N))


def _chi_square(error: Array, cov: Array) -> tuple[Array, Index]:
    """Error' cov^-1 error over the directions in which cov is not zero, and their number."""
    variance = np.diagonal(cov, axis1=1, axis2=2)
    known = variance > 0  # what is negative is zero but for rounding
    size = np.sqrt(np.where(known, variance, 1.0))
    scaled = np.where(known[:, :, None] & known[:, None, :], cov / size[:, :, None] / size[:, None, :], 0.0)
    roots, vectors = np.linalg.eigh(scaled)
    seen = roots > NOTHING
    parts = dot(vectors.swapaxes(1, 2), error / size)
    return np.sum(np.where(seen, parts**2, 0.0) / np.where(seen, roots, 1.0), axis=1), seen.sum(axis=1)
