"""Least squares of a vector autoregression, and its state-space form."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .._containers import FloatArray
from ..core.linalg.lyapunov import solve_lyapunov
from ..core.types import LinearGaussianSSM
from ..exceptions import NumericalError
from ._covariates import decorrelate

CALM = 0.97  # largest root from which a search for a stationary process starts


class Coefficients(NamedTuple):
    """Of a vector autoregression, as least squares found them."""

    coef: FloatArray  # (lags, k, k)
    const: FloatArray  # (k,)
    exog: FloatArray  # (k, n_features)
    cov: FloatArray  # (k, k)
    stderr: dict[str, FloatArray]
    loglik: float  # conditional on the first rows
    driven: bool

    def named(self, constant: bool) -> tuple[dict[str, Any], dict[str, Any]]:
        """Parameters and standard errors by name."""
        names = ["coef", *(["const"] if constant else []), *(["exog"] if self.driven else [])]
        params = {name: getattr(self, name) for name in names} | {"cov": self.cov}
        return params, {name: self.stderr[name] for name in names} | {"cov": np.full(self.cov.shape, np.nan)}

    def calmed(self) -> Coefficients:
        """With the roots drawn inside the unit circle, and an error in every column."""
        root = float(np.abs(np.linalg.eigvals(companion(self.coef))).max())
        factor = min(1.0, CALM / root) if root > 0 else 1.0
        powers = factor ** np.arange(1, len(self.coef) + 1)
        floor = 1e-6 * max(float(np.diagonal(self.cov).max()), 1e-300)
        return self._replace(coef=self.coef * powers[:, None, None], cov=self.cov + floor * np.eye(len(self.cov)))


def companion(coef: FloatArray) -> FloatArray:
    """The transition of the last ``lags`` rows, newest first."""
    lags, k, _ = coef.shape
    F = np.eye(lags * k, k=-k, dtype=coef.dtype)
    F[:k] = coef.transpose(1, 0, 2).reshape(k, lags * k)
    return F


def interpolated(y: FloatArray) -> FloatArray:
    """Missing values on straight lines between their neighbours."""
    out, rows = y.copy(), np.arange(len(y))
    for column in out.T:
        seen = ~np.isnan(column)
        if not seen.all():
            column[~seen] = np.interp(rows[~seen], rows[seen], column[seen])
    return out


def least_squares(y: FloatArray, X: FloatArray | None, lags: int, constant: bool, diagonal: bool) -> Coefficients:
    """Every column on the past of all, a constant, and covariates.

    Parameters
    ----------
    y : ndarray, shape (n_times, k)
        Complete rows.
    X : ndarray, shape (n_times, n_features), optional
    lags : int
    constant, diagonal : bool
    """
    n, k = y.shape
    m = n - lags
    past = [y[lags - i : n - i] for i in range(1, lags + 1)]
    d = 0 if X is None else X.shape[1]
    covariates = None if X is None else decorrelate(X[lags:], constant, m - k * lags - int(constant) - 1)
    center, rotation = (np.zeros(d), np.zeros((d, 0))) if covariates is None else covariates
    blocks = [*past, np.ones((m, int(constant)))]
    Z = np.hstack([*blocks, (X[lags:] - center) @ rotation] if X is not None else blocks)
    found, *_ = np.linalg.lstsq(Z, y[lags:], rcond=None)
    rest = y[lags:] - Z @ found
    cov = rest.T @ rest / m
    cov = np.diag(np.diagonal(cov)) if diagonal else cov
    B = found.T
    split = k * lags
    exog = B[:, split + int(constant) :] @ rotation.T
    const = (B[:, split] if constant else np.zeros(k)) - exog @ center
    inverse = np.linalg.pinv(Z.T @ Z, hermitian=True)
    back = np.eye(Z.shape[1], split + int(constant) + d)
    back[split + int(constant) :, split + int(constant) :] = rotation.T
    if constant:
        back[split + 1 :, split] = -(center @ rotation)
    spread = np.sqrt(np.maximum(np.einsum("ai,ab,bi->i", back, inverse, back), 0.0))
    errors = np.sqrt(np.diagonal(cov))[:, None] * spread
    stderr = {
        "coef": errors[:, :split].reshape(k, lags, k).transpose(1, 0, 2),
        "const": errors[:, split] if constant else np.zeros(k),
        "exog": errors[:, split + int(constant) :],
    }
    sign, logdet = np.linalg.slogdet(cov)
    loglik = -m / 2 * (k * np.log(2 * np.pi) + logdet + k) if sign > 0 else np.inf
    coef = B[:, :split].reshape(k, lags, k).transpose(1, 0, 2)
    return Coefficients(np.ascontiguousarray(coef), const, exog, cov, stderr, float(loglik), X is not None)


def model_of(found: Coefficients, y: FloatArray) -> LinearGaussianSSM:
    """State-space form: the last rows, without what constant and covariates add to the newest of them.

    It starts from the stationary law, or from the mean and covariance of the rows at hand where there is none; complete rows
    settle it after ``lags`` of them.
    """
    lags, k, _ = found.coef.shape
    F, E = companion(found.coef), np.eye(lags * k, k)
    stationary = np.abs(np.linalg.eigvals(F)).max() < 1 - 1e-6
    if stationary:
        mean = np.linalg.solve(np.eye(k) - found.coef.sum(axis=0), found.const)
        cov = solve_lyapunov(F, E @ found.cov @ E.T)
    else:
        windows = np.hstack([y[lags - i : len(y) - i] for i in range(1, lags + 1)])
        mean, cov = y.mean(axis=0), np.atleast_2d(np.cov(windows.T, bias=True))
    return LinearGaussianSSM(
        transition=F,
        process_cov=found.cov,
        observation=np.ascontiguousarray(E.T),
        obs_cov=np.zeros((k, k)),
        initial_mean=np.tile(mean, lags) - E @ found.const,
        initial_cov=cov,
        state_offset=F @ E @ found.const,
        obs_offset=found.const,
        process_loading=E,
        input_matrix=F @ E @ found.exog if found.driven else None,
        feedthrough=found.exog if found.driven else None,
    )


def stationary_model(p: dict[str, Any]) -> LinearGaussianSSM:
    """The model of deviations from the mean, which start from their stationary law.

    Parameters
    ----------
    p : dict
        ``coef``, ``cov`` (a matrix or its diagonal), and ``mean`` and ``exog`` as far as there are any.
    """
    coef = np.asarray(p["coef"])
    lags, k, _ = coef.shape
    F, E = companion(coef), np.eye(lags * k, k)
    cov = np.diag(p["cov"]) if np.ndim(p["cov"]) == 1 else np.asarray(p["cov"])
    exog = np.asarray(p["exog"]) if "exog" in p else None
    return LinearGaussianSSM(
        transition=F,
        process_cov=cov,
        observation=np.ascontiguousarray(E.T),
        obs_cov=np.zeros((k, k)),
        initial_mean=np.zeros(lags * k),
        initial_cov=_settled(F, (E @ cov @ E.T)[None])[0],
        obs_offset=np.asarray(p["mean"]) if "mean" in p else None,
        process_loading=E,
        input_matrix=None if exog is None else F @ E @ exog,
        feedthrough=exog,
    )


def stationary_slopes(p: dict[str, Any]) -> dict[str, dict[str, FloatArray]]:
    """Derivatives of the fields of `stationary_model`, those of the stationary covariance by Lyapunov equations of their own.

    Parameters
    ----------
    p : dict
        As in `stationary_model`.
    """
    ssm = stationary_model(p)
    lags, k, _ = p["coef"].shape
    F, P, E = np.asarray(ssm.transition), ssm.initial_cov, np.eye(lags * k, k)
    dF = np.zeros((lags, k, k, lags * k, lags * k))
    for lag, a, b in np.ndindex(lags, k, k):
        dF[lag, a, b, a, lag * k + b] = 1.0
    half = (dF @ P @ F.T).reshape(-1, lags * k, lags * k)
    shocks = np.eye(k * k).reshape(k, k, k, k)
    if np.ndim(p["cov"]) == 1:
        shocks = shocks[np.arange(k), np.arange(k)]
    spread = (E @ shocks @ E.T).reshape(-1, lags * k, lags * k)
    out: dict[str, dict[str, FloatArray]] = {
        "coef": {"transition": dF, "initial_cov": _settled(F, half + half.swapaxes(1, 2)).reshape(dF.shape)},
        "cov": {
            "process_cov": shocks,
            "initial_cov": _settled(F, spread).reshape(*shocks.shape[:-2], lags * k, lags * k),
        },
    }
    if "mean" in p:
        out["mean"] = {"obs_offset": np.eye(k)}
    if "exog" in p:
        d = p["exog"].shape[1]
        units = np.eye(k * d).reshape(k, d, k, d)
        out["exog"] = {"feedthrough": units, "input_matrix": F @ E @ units}
        out["coef"]["input_matrix"] = dF @ E @ p["exog"]
    return out


def _settled(F: FloatArray, V: FloatArray) -> FloatArray:
    """P = F P F' + V for each of many V (m, n, n), by doubling."""
    P, size = V, max(float(np.abs(V).max(initial=0.0)), 1e-300)
    for _ in range(40):
        step = F @ P @ F.T
        P, F = P + step, F @ F
        moved = float(np.abs(step).max(initial=0.0))
        if not moved < 1e12 * size:
            break
        if moved <= 1e-17 * float(np.abs(P).max(initial=0.0)):
            return np.asarray((P + P.swapaxes(1, 2)) / 2)
    raise NumericalError("the autoregression is not stationary, so that there is no stationary start.")
