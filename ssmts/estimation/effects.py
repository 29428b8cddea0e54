"""Effects of regressors on observations and states, profiled out of the likelihood by generalised least squares."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ssmts.core.gaussian import loglik, pack
from ssmts.core.gaussian._forward import over_time, run
from ssmts.core.types import Array, LinearGaussianSSM, TimeVarying
from ssmts.estimation._tangents import numbers_of
from ssmts.exceptions import InputError


class Effects(NamedTuple):
    """What `regression_effects` returns: those on observations first, then those on states.

    Attributes
    ----------
    coef, cov : (n_effects,), (n_effects, n_effects)
        Generalised least squares, and its covariance given the system matrices.
    loglik : float
        Log-likelihood at these effects, which is its maximum over them.
    diffuse_loglik : float
        Log-likelihood with the effects integrated out under a flat prior.
    """

    coef: Array
    cov: Array
    loglik: float
    diffuse_loglik: float


class Regressors(NamedTuple):
    """Checked regressors: what each effect adds to the observations and to the states, row by row."""

    obs: Array  # (n_times, n_obs, n_effects)
    states: Array  # (n_times, n_states, n_effects)

    def shifted(self, ssm: LinearGaussianSSM, coef: Array) -> LinearGaussianSSM:
        """The model with these effects in its offsets."""
        n, changed = len(self.obs), dict[str, Any]()
        for field, rows in (("obs_offset", self.obs @ coef), ("state_offset", self.states @ coef)):
            if rows.any():
                offset = getattr(ssm, field)
                base = np.zeros((1, rows.shape[1])) if offset is None else over_time(offset, n)
                changed[field] = TimeVarying(base + rows)
        return ssm._replace(**changed)

    def joined(self, ssm: LinearGaussianSSM) -> LinearGaussianSSM:
        """The model with the effects as further states that stay as they are, of which nothing is known."""
        n, dx, k = len(self.obs), len(ssm.initial_mean), self.obs.shape[2]
        rest = np.eye(k)

        def tall(field: Any, below: int) -> Any:
            values = numbers_of(field)
            lead = values.shape[: values.ndim - below]
            out = np.concatenate([values, np.zeros((*lead, k, *values.shape[len(lead) + 1 :]))], axis=len(lead))
            return TimeVarying(out) if isinstance(field, TimeVarying) else out

        F = np.zeros((n, dx + k, dx + k))
        F[:, :dx, :dx], F[:, :dx, dx:], F[:, dx:, dx:] = over_time(ssm.transition, n), self.states, rest
        H = np.concatenate(
            [np.broadcast_to(over_time(ssm.observation, n), (n, *self.obs.shape[1:2], dx)), self.obs], axis=2
        )
        shocks = numbers_of(ssm.process_cov).shape[-1]
        loading = np.eye(dx, shocks) if ssm.process_loading is None else ssm.process_loading
        diffuse = np.zeros((dx, dx)) if ssm.initial_diffuse_cov is None else ssm.initial_diffuse_cov
        zero = np.zeros((dx, k))
        return ssm._replace(
            transition=TimeVarying(F) if self.states.any() or isinstance(ssm.transition, TimeVarying) else F[0],
            observation=TimeVarying(H),
            initial_mean=np.concatenate([ssm.initial_mean, np.zeros(k)]),
            initial_cov=np.block([[ssm.initial_cov, zero], [zero.T, 0 * rest]]),
            initial_diffuse_cov=np.block([[diffuse, zero], [zero.T, rest]]),
            state_offset=None if ssm.state_offset is None else tall(ssm.state_offset, 1),
            input_matrix=None if ssm.input_matrix is None else tall(ssm.input_matrix, 2),
            process_loading=tall(loading, 2),
        )


def read_regressors(ssm: LinearGaussianSSM, n: int, obs: Any, states: Any) -> Regressors:
    """Check regressors of a model.

    Parameters
    ----------
    ssm : LinearGaussianSSM
    n : int
        Number of rows.
    obs, states
        As in `regression_effects`.
    """
    sizes = {"regressors": numbers_of(ssm.observation).shape[-2], "state_regressors": len(ssm.initial_mean)}
    given = {}
    for (name, size), values in zip(sizes.items(), (obs, states)):
        x = np.zeros((n, size, 0)) if values is None else np.asarray(values, dtype=float)
        if x.ndim == 2 and size == 1:
            x = x[:, None, :]
        if x.ndim != 3 or x.shape[:2] != (n, size) or not np.all(np.isfinite(x)):
            raise InputError(
                f"{name} must be finite numbers of shape ({n}, {size}, n_effects); received shape {x.shape}."
            )
        given[name] = x
    a, b = given.values()
    if not a.shape[2] + b.shape[2]:
        raise InputError("there are no regressors: pass regressors, state_regressors, or both.")
    return Regressors(np.pad(a, ((0, 0), (0, 0), (0, b.shape[2]))), np.pad(b, ((0, 0), (0, 0), (a.shape[2], 0))))


def regression_effects(
    ssm: LinearGaussianSSM,
    y: npt.ArrayLike,
    regressors: npt.ArrayLike | None = None,
    inputs: npt.ArrayLike | None = None,
    *,
    state_regressors: npt.ArrayLike | None = None,
) -> Effects:
    """Regress a series on known numbers, with errors that follow a state-space model: one filter pass.

    The effects stand beside the states with a diffuse prior; what the filter knows of them after the last row is generalised
    least squares (Rosenberg 1973; de Jong 1991). Neither missing values nor a diffuse start of the model change that.

    Parameters
    ----------
    ssm : LinearGaussianSSM
    y : (n_times, n_obs)
    regressors : (n_times, n_obs, n_effects), optional
        What a unit of each effect adds to each observation; (n_times, n_effects) will do for a single one.
    inputs : (n_times, n_inputs), optional
    state_regressors : (n_times, n_states, n_effects), optional
        What a unit of each effect adds to the states on the way from row t to t + 1.

    Returns
    -------
    Effects

    Raises
    ------
    InputError
        If shapes do not fit, or the rows leave an effect undetermined.

    Examples
    --------
    Ordinary least squares:

    >>> import numpy as np
    >>> from ssmts.core.types import LinearGaussianSSM
    >>> one = np.eye(1)
    >>> white = LinearGaussianSSM(0 * one, 0 * one, one, one, np.zeros(1), 0 * one)
    >>> regression_effects(white, [[1.0], [3.0], [5.0]], [[1.0, 0.0], [1.0, 1.0], [1.0, 2.0]]).coef
    array([1., 2.])
    """
    rows = np.asarray(y, dtype=float)
    return solve(ssm, read_regressors(ssm, len(rows), regressors, state_regressors), rows, inputs)


def solve(ssm: LinearGaussianSSM, given: Regressors, y: Array, inputs: npt.ArrayLike | None) -> Effects:
    """The effects of checked regressors."""
    k = given.obs.shape[2]
    done = run(pack(given.joined(ssm), len(y)), y, inputs, None)
    seen = done.state.diffuse_cov[-k:, -k:]
    if done.state.rank and seen.any():
        lost = int(np.linalg.matrix_rank(seen))
        raise InputError(
            f"the rows leave {lost} of {k} effect(s) undetermined: regressors that depend on each other or on what the model "
            "itself explains. Leave some out, or pass more rows."
        )
    coef = done.state.mean[-k:].copy()
    at_best = float(loglik(given.shifted(ssm, coef), y, inputs))
    return Effects(coef, done.state.cov[-k:, -k:].copy(), at_best, float(done.loglik))
