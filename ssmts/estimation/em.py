"""The EM algorithm of Shumway and Stoffer, with missing values, restrictions and any choice of matrices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ssmts.core.gaussian import moments, pack
from ssmts.core.gaussian._forward import over_time
from ssmts.core.types import Array, LinearGaussianSSM, TimeVarying
from ssmts.estimation._restrictions import blocks, directions, merged, unmoved, within
from ssmts.estimation._tangents import numbers_of
from ssmts.exceptions import InputError

STATE = ("transition", "state_offset", "input_matrix")
OBSERVATION = ("observation", "obs_offset", "feedthrough")
COVARIANCES = ("process_cov", "obs_cov", "initial_cov")
FIELDS = (*STATE, *OBSERVATION, *COVARIANCES, "initial_mean")


@dataclass(frozen=True)
class EMResult:
    """What `expectation_maximisation` returns.

    Attributes
    ----------
    ssm : LinearGaussianSSM
        The model after the last step.
    loglik : float
        Its log-likelihood.
    logliks : ndarray, shape (n_iterations + 1,)
        That of the start and after each step; it never falls.
    n_iterations : int
    converged : bool
        Whether the last step gained less than the tolerance.
    """

    ssm: LinearGaussianSSM
    loglik: float
    logliks: Array
    n_iterations: int
    converged: bool


class Expected(NamedTuple):
    """Moments of one regression, row by row: of what stands on its left (y) and on its right (z)."""

    zz: Array  # (n, c, c)
    yz: Array  # (n, r, c)
    yy: Array  # (n, r, r)


def expectation_maximisation(
    ssm: LinearGaussianSSM,
    y: npt.ArrayLike,
    estimate: Sequence[str],
    inputs: npt.ArrayLike | None = None,
    *,
    restrict: Mapping[str, npt.ArrayLike] | None = None,
    max_iter: int = 200,
    tol: float = 1e-8,
) -> EMResult:
    """Estimate whole matrices of a model, each step in closed form.

    Parameters
    ----------
    ssm : LinearGaussianSSM
        Where to start. A variance of zero stays zero, and what acts through it stays as it is: nothing is learnt about
        what is known without error. The start may be diffuse.
    y : (n_times, n_obs) or (n_series, n_times, n_obs)
        A series, or a batch of independent series of the same model. NaN are missing, in whole rows or in part.
    estimate : sequence of str
        Names of constant fields of `LinearGaussianSSM`; the others may be `TimeVarying`. Offsets and input matrices are
        estimated together with the transition or the observation matrix.
    inputs : (n_times, n_inputs), optional
    restrict : mapping of str to array_like, optional
        For a field of the estimate either booleans of its shape, True where an entry is free, or directions
        ``(n_directions, *shape)`` in which it may move from its start: the linear restrictions vec(T) = f + D theta of Wu, Pai
        and Hosking (1996), of which f is the start. The free entries of a covariance must be whole diagonal blocks, without
        covariance to the others.
    max_iter : int, default 200
    tol : float, default 1e-8
        Steps end where the gain in log-likelihood, relative to its size, is less. EM is fast at first and slow near a
        maximum, where `maximum_likelihood` is quicker.

    Returns
    -------
    EMResult

    Raises
    ------
    InputError
        If a name, a shape or a restriction does not fit, or the start of a diffuse state is to be estimated.

    Notes
    -----
    Coefficients are given their best values under the present covariances, and then covariances theirs (Meng and Rubin
    1993), so that the log-likelihood rises under restrictions too. Rows without any observation carry no weight in the
    observation equation; missing parts of a row are replaced by their expectations, given the rest of the row if the noises
    are correlated.

    References
    ----------
    Shumway and Stoffer (1982), Journal of Time Series Analysis 3. Wu, Pai and Hosking (1996), Statistics & Probability
    Letters 28. Holmes (2013), arXiv:1302.3919.

    Examples
    --------
    >>> import numpy as np
    >>> import statsmodels.datasets
    >>> from ssmts.core.types import LinearGaussianSSM
    >>> nile = statsmodels.datasets.nile.load_pandas().data[["volume"]].to_numpy()
    >>> one = np.eye(1)
    >>> level = LinearGaussianSSM(one, 5e3 * one, one, 1e4 * one, np.zeros(1), 0 * one, initial_diffuse_cov=one)
    >>> found = expectation_maximisation(level, nile, ("process_cov", "obs_cov"), max_iter=5000, tol=1e-13)
    >>> round(found.ssm.obs_cov.item() / 100), round(found.ssm.process_cov.item() / 100)
    (151, 15)
    """
    names = tuple(estimate)
    rows = np.asarray(y, dtype=float)
    moves = _Moves(pack(ssm, rows.shape[-2]).ssm, names, dict(restrict or {}), inputs)
    heights: list[float] = []
    while True:
        found = moments(ssm, rows, inputs)
        heights.append(float(np.sum(found.loglik)))
        gain = heights[-1] - heights[-2] if len(heights) > 1 else np.inf
        done = gain <= tol * abs(heights[-1])
        if done or len(heights) > max_iter:
            return EMResult(ssm, heights[-1], np.array(heights), len(heights) - 1, bool(done))
        parts = (rows, found.mean, found.cov, found.lag_one)
        ssm = moves.step(ssm, *(part if rows.ndim == 3 else part[None] for part in parts))


class _Moves:
    """Which matrices move, and in which directions."""

    def __init__(self, ssm: LinearGaussianSSM, names: tuple[str, ...], restrict: dict[str, Any], inputs: Any) -> None:
        for name in names:
            field = getattr(ssm, name) if name in FIELDS else None
            if field is None:
                what = "the model does not have it" if name in FIELDS else f"choose from {', '.join(FIELDS)}"
                raise InputError(f"estimate names {name!r}: {what}.")
            if isinstance(field, TimeVarying):
                raise InputError(f"{name} is time-varying, and only a constant matrix can be estimated.")
        for name in restrict:
            if name not in names:
                raise InputError(f"restrict names {name!r}, which is not among the fields to estimate.")
        diffuse = ssm.initial_diffuse_cov is not None and bool(np.any(ssm.initial_diffuse_cov))
        if diffuse and {"initial_mean", "initial_cov"} & set(names):
            raise InputError("the start is diffuse: initial_mean and initial_cov cannot be estimated.")
        self.names, self.inputs = names, None if inputs is None else np.asarray(inputs, dtype=float)
        self.directions = {n: directions(ssm, n, restrict.get(n)) for n in names if n not in COVARIANCES}
        self.blocks: dict[str, npt.NDArray[np.bool_]] = {
            n: blocks(ssm, n, restrict.get(n)) for n in names if n in COVARIANCES
        }
        if "process_cov" in names and ssm.process_loading is not None:
            G = numbers_of(ssm.process_loading)
            if np.linalg.matrix_rank(G).min() < G.shape[-1]:
                raise InputError("process_loading has dependent columns, so that process_cov is not determined.")

    def step(self, ssm: LinearGaussianSSM, y: Array, mean: Array, cov: Array, lag: Array) -> LinearGaussianSSM:
        """Maximise the expected log-likelihood over each group of fields; arrays lead with the series of a batch."""
        changed: dict[str, Any] = {}
        if {*STATE, "process_cov"} & set(self.names):
            changed |= self._states(ssm, mean, cov, lag)
        if {*OBSERVATION, "obs_cov"} & set(self.names):
            changed |= self._observations(ssm, y, mean, cov)
        changed |= self._start(ssm, mean[:, 0], cov[:, 0])
        return ssm._replace(**changed)

    def _right(
        self, ssm: LinearGaussianSSM, fields: tuple[str, ...], mean: Array, cov: Array
    ) -> tuple[Array, Array, Array]:
        """Coefficients (n or 1, r, c) of states, one and inputs, and the first two moments of these."""
        n, size = mean.shape[1], mean.shape[2]
        parts = [over_time(getattr(ssm, fields[0]), n)]
        z = [mean]
        offset = getattr(ssm, fields[1])
        if offset is not None:
            parts.append(over_time(offset, n)[..., None])
            z.append(np.ones((*mean.shape[:2], 1)))
        if getattr(ssm, fields[2]) is not None:
            assert self.inputs is not None
            parts.append(over_time(getattr(ssm, fields[2]), n))
            z.append(np.broadcast_to(self.inputs[:n], (len(mean), n, self.inputs.shape[1])))
        longest = max(len(part) for part in parts)
        theta = np.concatenate([np.broadcast_to(p[:n], (min(longest, n), *p.shape[1:])) for p in parts], axis=2)
        first = np.concatenate(z, axis=2)
        second = first[..., :, None] * first[..., None, :]
        second[..., :size, :size] += cov
        return theta, first, second

    def _states(self, ssm: LinearGaussianSSM, mean: Array, cov: Array, lag: Array) -> dict[str, Any]:
        n, dx = mean.shape[1] - 1, mean.shape[2]
        if n < 1:
            return {}
        theta, z, zz = self._right(ssm, STATE, mean[:, :-1], cov[:, :-1])
        ahead = mean[:, 1:]
        yz = ahead[..., :, None] * z[..., None, :]
        yz[..., :dx] += lag
        yy = ahead[..., :, None] * ahead[..., None, :] + cov[:, 1:]
        expected = Expected(zz.sum(axis=0), yz.sum(axis=0), yy.sum(axis=0))
        G = np.eye(dx)[None] if ssm.process_loading is None else over_time(ssm.process_loading, n)
        V = G @ over_time(ssm.process_cov, n) @ G.swapaxes(1, 2)
        theta, changed = self._regress(ssm, STATE, theta, expected, V[:n])
        if "process_cov" in self.blocks:
            back = np.linalg.pinv(G)[:n]
            rest = back @ _residual(theta, expected) @ back.swapaxes(1, 2)
            mean_rest = rest.sum(axis=0) / (n * len(mean))
            changed["process_cov"] = merged(ssm.process_cov, mean_rest, self.blocks["process_cov"])
        return changed

    def _observations(self, ssm: LinearGaussianSSM, y: Array, mean: Array, cov: Array) -> dict[str, Any]:
        n = y.shape[1]
        theta, z, zz = self._right(ssm, OBSERVATION, mean, cov)
        R = over_time(ssm.obs_cov, n)
        seen: npt.NDArray[np.bool_] = ~np.isnan(y)
        aside: npt.NDArray[np.bool_] = ~np.eye(R.shape[1], dtype=bool)
        if not R[:, aside].any() and not ("obs_cov" in self.blocks and self.blocks["obs_cov"][aside].any()):
            return self._separate(ssm, y, seen, theta, z, zz, np.diagonal(R, axis1=1, axis2=2))
        used = np.asarray(seen.any(axis=2))
        expected = _completed(y, seen, theta, z, zz, R)
        expected = Expected(*(np.sum(np.where(used[..., None, None], part, 0.0), axis=0) for part in expected))
        theta, changed = self._regress(ssm, OBSERVATION, theta, expected, R)
        if "obs_cov" in self.blocks:
            rest = _residual(theta, expected).sum(axis=0) / max(used.sum(), 1)
            changed["obs_cov"] = merged(ssm.obs_cov, rest, self.blocks["obs_cov"])
        return changed

    def _separate(
        self, ssm: LinearGaussianSSM, y: Array, seen: npt.NDArray[np.bool_], theta: Array, z: Array, zz: Array, r: Array
    ) -> dict[str, Any]:
        """Uncorrelated noises: each observation has its own rows, and the missing ones are simply not there."""
        filled, n = np.where(seen, y, 0.0), y.shape[1]
        changed: dict[str, Any] = {}
        theta = np.broadcast_to(theta, (n, *theta.shape[1:]))
        weight = np.where(r > 0, 1.0 / np.where(r > 0, r, 1.0), 0.0) * seen  # (series, n, r)
        B = self._basis(OBSERVATION, ssm, theta.shape[2])
        B = within(B, np.diag((r <= 0).any(axis=0).astype(float))[None])
        if len(B):
            left = np.einsum("kia,sti,stab,lib->kl", B, weight, zz, B, optimize=True)
            error = filled[..., :, None] * z[..., None, :] - theta @ zz
            right = np.einsum("kib,sti,stib->k", B, weight, error, optimize=True)
            move = np.tensordot(np.linalg.lstsq(left, right, rcond=1e-13)[0], B, 1)
            theta, changed = theta + move, self._parts(ssm, OBSERVATION, move)
        if "obs_cov" in self.blocks:
            fitted = np.einsum("tia,sta->sti", theta, z)
            squares = filled**2 - 2 * filled * fitted + np.sum((theta @ zz) * theta, axis=3)
            count = np.maximum(seen.sum(axis=(0, 1)), 1)
            rest = np.diag(np.sum(np.where(seen, squares, 0.0), axis=(0, 1)) / count)
            changed["obs_cov"] = merged(ssm.obs_cov, rest, self.blocks["obs_cov"])
        return changed

    def _basis(self, fields: tuple[str, ...], ssm: LinearGaussianSSM, width: int) -> Array:
        """Directions of all coefficients of an equation, (k, r, c)."""
        out, begin = [], 0
        for name in fields:
            if getattr(ssm, name) is None:
                continue
            values = numbers_of(getattr(ssm, name))
            columns = 1 if name.endswith("_offset") else values.shape[-1]
            if name in self.directions:
                D = self.directions[name]
                wide = np.zeros((len(D), D.shape[1], width))
                wide[:, :, begin : begin + columns] = D.reshape(*D.shape[:2], columns)
                out.append(wide)
            begin += columns
        return np.concatenate(out) if out else np.zeros((0, 1, width))

    def _parts(self, ssm: LinearGaussianSSM, fields: tuple[str, ...], move: Array) -> dict[str, Any]:
        """The fields that move, moved."""
        out, begin = {}, 0
        for name in fields:
            if getattr(ssm, name) is None:
                continue
            values = numbers_of(getattr(ssm, name))
            columns = 1 if name.endswith("_offset") else values.shape[-1]
            if name in self.directions:
                out[name] = values + move[:, begin : begin + columns].reshape(values.shape)
            begin += columns
        return out

    def _regress(
        self, ssm: LinearGaussianSSM, fields: tuple[str, ...], theta: Array, expected: Expected, noise: Array
    ) -> tuple[Array, dict[str, Any]]:
        """Generalised least squares over the directions along which the noise lets coefficients be seen."""
        B = self._basis(fields, ssm, theta.shape[2])
        weight = np.linalg.pinv(noise, rcond=1e-12, hermitian=True)
        B = within(B, np.eye(noise.shape[1]) - noise @ weight)
        if not len(B):
            return theta, {}
        error = expected.yz - theta @ expected.zz
        zz = expected.zz
        if len(weight) == 1:
            zz, error = zz.sum(axis=0, keepdims=True), error.sum(axis=0, keepdims=True)
        left = np.einsum("kia,tij,tab,ljb->kl", B, weight, zz, B, optimize=True)
        right = np.einsum("kib,tij,tjb->k", B, weight, error, optimize=True)
        move = np.tensordot(np.linalg.lstsq(left, right, rcond=1e-13)[0], B, 1)
        return theta + move, self._parts(ssm, fields, move)

    def _start(self, ssm: LinearGaussianSSM, mean: Array, cov: Array) -> dict[str, Any]:
        """Mean and covariance of the first state, which is known as well as the smoother knows it."""
        changed: dict[str, Any] = {}
        at = np.asarray(ssm.initial_mean, dtype=float)
        if "initial_mean" in self.names:
            B = within(self.directions["initial_mean"][..., None], unmoved(np.asarray(ssm.initial_cov, dtype=float)))[
                ..., 0
            ]
            weight = np.linalg.pinv(np.asarray(ssm.initial_cov, dtype=float), rcond=1e-12, hermitian=True)
            if len(B):
                move = np.linalg.lstsq(B @ weight @ B.T, B @ weight @ (mean.mean(axis=0) - at), rcond=1e-13)[0] @ B
                changed["initial_mean"] = at = at + move
        if "initial_cov" in self.blocks:
            off = mean - at
            rest = (cov + off[:, :, None] * off[:, None, :]).mean(axis=0)
            changed["initial_cov"] = merged(ssm.initial_cov, rest, self.blocks["initial_cov"])
        return changed


def _residual(theta: Array, e: Expected) -> Array:
    """Expected outer products of what a regression leaves over, row by row."""
    cross = theta @ e.yz.swapaxes(1, 2)
    return np.asarray(e.yy - cross - cross.swapaxes(1, 2) + theta @ e.zz @ theta.swapaxes(1, 2))


def _completed(
    y: Array, seen: npt.NDArray[np.bool_], theta: Array, z: Array, zz: Array, R: Array
) -> tuple[Array, Array, Array]:
    """Moments (series, n, ...) of whole rows of observations, the missing parts given the others and the states.

    A missing entry is a linear function of states and of what is seen of its row, with noise of the conditional covariance.
    """
    n_series, n, dy = y.shape
    J, c, left = np.zeros((n_series, n, dy, theta.shape[2])), np.where(seen, y, 0.0), np.zeros((n_series, n, dy, dy))
    for s, t in zip(*np.nonzero(~seen.all(axis=2))):
        o, H, cov = seen[s, t], theta[min(t, len(theta) - 1)], R[min(t, len(R) - 1)]
        gain = cov[np.ix_(~o, o)] @ np.linalg.pinv(cov[np.ix_(o, o)], hermitian=True)
        J[s, t, ~o] = H[~o] - gain @ H[o]
        c[s, t, ~o] = gain @ y[s, t, o]
        left[s, t][np.ix_(~o, ~o)] = cov[np.ix_(~o, ~o)] - gain @ cov[np.ix_(o, ~o)]
    Jz = np.einsum("stia,sta->sti", J, z)
    yz = J @ zz + c[..., None] * z[..., None, :]
    cross = Jz[..., :, None] * c[..., None, :]
    yy = J @ zz @ J.swapaxes(2, 3) + cross + cross.swapaxes(2, 3) + c[..., :, None] * c[..., None, :] + left
    return zz, yz, yy
