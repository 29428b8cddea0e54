"""Filters that doubt outliers: the noise of a row that lies far off is made larger, and all else is the Kalman filter.

Every rule gives weights by which obs_cov is divided in the update of one row. What is far off is measured by the innovation
against its own covariance S or against that of the noise R alone. A row that is doubted teaches little, so that after a
lasting shift of the level every row may be doubted for ever; a `Release` sets the state free after so many rows.
"""

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.special import gammaincinv

from ssmts.core.gaussian._filter import filter_one
from ssmts.core.gaussian._forward import NOTHING, begin, drive, forward, over_time, series, unsound
from ssmts.core.gaussian._kernels.reweigh import ENTRIES, HARD, RATIONAL, SOFT, STUDENT, Plan, forward_robust
from ssmts.core.gaussian._ladder import stack
from ssmts.core.gaussian._pack import Packed, pack
from ssmts.core.types import Array, FilterResult, LinearGaussianSSM, RobustResult, State, TimeVarying
from ssmts.exceptions import InputError, InputTypeError


@dataclass(frozen=True)
class IMQ:
    """Inverse multiquadric weights, ``1 / (1 + d^2 / c^2)`` with the length d of the whitened innovation (WoLF).

    What one row can do to the state is bounded, and falls to nothing as the row goes to infinity.

    Parameters
    ----------
    c : float, optional
        Lengths well below c are believed. By default the root of the 0.99 quantile of chi-squared with n_obs degrees of
        freedom: 2.58 for one observation.
    whiten : {"S", "R"}, default "S"
        Whether d is measured by the covariance of the innovation or by that of the noise alone. By the former, a filter that
        is unsure of its state doubts less.

    References
    ----------
    Duran-Martin et al. (2024), Outlier-robust Kalman filtering through generalised Bayes, ICML.

    Examples
    --------
    >>> from ssmts.core.gaussian import IMQ
    >>> IMQ(c=3.0).whiten
    'S'
    """

    c: float | None = None
    whiten: str = "S"

    def _plan(self, n_obs: int) -> tuple[int, float, bool, int]:
        return RATIONAL, _length(self.c, n_obs), _by_noise(self.whiten), 0


@dataclass(frozen=True)
class Mahalanobis:
    """Weights by the Mahalanobis distance d of the row: in full up to c, then not at all, or less and less.

    Parameters
    ----------
    c : float, optional
        As in `IMQ`.
    soft : bool, default False
        The gate is hard by default: a row beyond c is as good as missing. A soft one gives it the weight ``c^2 / d^2``.
    whiten : {"S", "R"}, default "S"
        As in `IMQ`.

    References
    ----------
    Duran-Martin et al. (2024), as `IMQ`.

    Examples
    --------
    >>> from ssmts.core.gaussian import Mahalanobis
    >>> Mahalanobis(c=4.0).soft
    False
    """

    c: float | None = None
    soft: bool = False
    whiten: str = "S"

    def _plan(self, n_obs: int) -> tuple[int, float, bool, int]:
        return SOFT if self.soft else HARD, _length(self.c, n_obs), _by_noise(self.whiten), 0


@dataclass(frozen=True)
class Huber:
    """Huber's weights ``min(1, k / |e|)`` for every entry e of the whitened innovation, in one step.

    If obs_cov is full, the entries are those that its factor C of R = C diag(r) C' makes independent, in order.

    Parameters
    ----------
    k : float, default 1.345
        95 % efficient where the noise is Gaussian.
    whiten : {"S", "R"}, default "S"
        As in `IMQ`, entry by entry.

    References
    ----------
    Huber (1964), Robust estimation of a location parameter, Annals of Mathematical Statistics 35.

    Examples
    --------
    >>> from ssmts.core.gaussian import Huber
    >>> Huber().k
    1.345
    """

    k: float = 1.345
    whiten: str = "S"

    def _plan(self, n_obs: int) -> tuple[int, float, bool, int]:
        return ENTRIES, _positive("k", self.k), _by_noise(self.whiten), 0


@dataclass(frozen=True)
class StudentT:
    """Noise with Student's t distribution: each row's noise has a scale of its own, found with the state by variational Bayes.

    Parameters
    ----------
    df : float, default 4
        Degrees of freedom; the fewer, the heavier the tails.
    iterations : int, default 5
        How often scale and state of a row are computed in turn.

    References
    ----------
    Agamennoni, Nieto and Nebot (2012), Approximate inference in state-space models with heavy-tailed noise, IEEE Transactions
    on Signal Processing 60.

    Examples
    --------
    >>> from ssmts.core.gaussian import StudentT
    >>> StudentT(df=3.0).iterations
    5
    """

    df: float = 4.0
    iterations: int = 5

    def _plan(self, n_obs: int) -> tuple[int, float, bool, int]:
        if isinstance(self.iterations, bool) or not isinstance(self.iterations, int) or self.iterations < 1:
            raise InputError(f"iterations is {self.iterations!r}: pass a positive integer")
        if not np.isfinite(self.df):
            raise InputError(f"df is {self.df!r}: pass a finite number, or use `filter` for Gaussian noise")
        return STUDENT, _positive("df", self.df), True, self.iterations


@dataclass(frozen=True)
class Release:
    """When to stop doubting: after `patience` rows in succession with a weight under `below`, the state follows.

    The covariance of the state is then multiplied by the least factor for which no entry of the row lies beyond one standard
    deviation, and the row is believed in full. A burst of as many outliers is followed, too.

    Parameters
    ----------
    patience : int, default 5
        Missing rows do not count.
    below : float, default 0.25
        A weight that about 4.5 standard deviations have under every rule.

    Examples
    --------
    >>> from ssmts.core.gaussian import Release
    >>> Release(patience=3).below
    0.25
    """

    patience: int = 5
    below: float = 0.25


Rule: TypeAlias = IMQ | Mahalanobis | Huber | StudentT


def _length(c: float | None, n_obs: int) -> float:
    return float(np.sqrt(2 * gammaincinv(n_obs / 2, 0.99))) if c is None else _positive("c", c)


def _positive(name: str, value: Any) -> float:
    if not value > 0:
        raise InputError(f"{name} is {value!r}: pass a positive number")
    return float(value)


def _by_noise(whiten: str) -> bool:
    if whiten not in {"S", "R"}:
        raise InputError(f'whiten is {whiten!r}: choose "S" or "R"')
    return whiten == "R"


def plan_of(rule: Rule | None, release: Release | None, packed: Packed) -> Plan:
    """The numbers of a rule, `IMQ` by default, checked against the model."""
    rule = IMQ() if rule is None else rule
    if not isinstance(rule, IMQ | Mahalanobis | Huber | StudentT):
        raise InputTypeError(f"rule is {rule!r}: pass IMQ(), Mahalanobis(), Huber() or StudentT()")
    if not isinstance(release, Release | None):
        raise InputTypeError(f"release is {release!r}: pass Release(), or None for never")
    n_obs = int(packed.layout[1])
    kind, c, by_noise, iterations = rule._plan(n_obs)
    if kind != HARD or by_noise:
        roots = np.linalg.eigvalsh(over_time(packed.ssm.obs_cov, packed.n_times))
        if (roots[..., 0] <= 1e-12 * roots[..., -1]).any():
            raise InputError(
                "obs_cov is singular, but this rule divides it by weights: give every observation some noise, or gate rows "
                "with Mahalanobis()"
            )
    if release is None:
        return Plan(kind, c, by_noise, iterations, 0, 0.0)
    if isinstance(release.patience, bool) or not isinstance(release.patience, int) or release.patience < 1:
        raise InputError(f"patience is {release.patience!r}: pass a positive integer")
    return Plan(kind, c, by_noise, iterations, release.patience, _positive("below", release.below))


def robust_filter(
    ssm: LinearGaussianSSM | Packed,
    y: npt.ArrayLike,
    rule: Rule | None = None,
    release: Release | None = None,
    inputs: npt.ArrayLike | None = None,
    *,
    state: State | None = None,
) -> RobustResult:
    """Run the Kalman filter with weights that keep outliers from moving the state.

    In the update of each row obs_cov is divided by the row's weights; the prediction is unchanged, and so is the order of the
    cost. Rows that begin partly diffuse are believed in full.

    Parameters
    ----------
    ssm : LinearGaussianSSM or Packed
    y : (n_times, n_obs) or (n_series, n_times, n_obs)
    rule : IMQ, Mahalanobis, Huber or StudentT, optional
        How to weigh; ``IMQ()`` by default.
    release : Release, optional
        When to follow rows that go on being doubted; never by default. With ``Release()`` a shift of the level is followed
        after five rows.
    inputs, state
        As in `filter`.

    Raises
    ------
    InputError
        As `filter`; if obs_cov is singular under a rule that divides it; if a parameter of the rule cannot be used.
    NumericalError
        As `filter`.

    Examples
    --------
    >>> import numpy as np
    >>> from ssmts.core.gaussian import IMQ, robust_filter
    >>> from ssmts.core.types import LinearGaussianSSM
    >>> one = np.eye(1)
    >>> level = LinearGaussianSSM(one, 0.1 * one, one, one, np.zeros(1), one)
    >>> result = robust_filter(level, np.array([[0.2], [-0.1], [50.0], [0.1]]), IMQ())
    >>> result.weights[:, 0].round(3), result.filter.state.mean.round(1)
    (array([0.997, 0.996, 0.004, 1.   ]), array([0.1]))
    """
    packed = pack(ssm)
    values = series(y, packed)
    packed = pack(packed, values.shape[-2])
    plan = plan_of(rule, release, packed)
    if values.ndim == 3:
        many: RobustResult = stack([_one(packed, one, plan, inputs, state) for one in values])
        return many
    return _one(packed, values, plan, inputs, state)


def _one(packed: Packed, y: Array, plan: Plan, inputs: npt.ArrayLike | None, state: State | None) -> RobustResult:
    """One series: the rows that begin diffuse by the plain filter, the others with weights."""
    first = None
    u = None if inputs is None else np.asarray(inputs, dtype=float)
    m, P, A = begin(packed, state)
    n, dy = y.shape
    weights, released = np.where(np.isnan(y), np.nan, 1.0), np.zeros(n, bool)
    if A.shape[1]:
        b, less = drive(packed, y, u)
        k = forward(packed.layout, packed.values, b, less, np.arange(len(m)), m, P, A, True, *NOTHING)[2]
        first = filter_one(packed, y[:k], None if u is None else u[:k], state)
        if k == n:
            return RobustResult(first, weights, released)
        state, y, u = first.state, y[k:], None if u is None else u[k:]
        packed = pack(_from_row(packed.ssm, k))
        m, P, _ = begin(packed, state)
    n, dx = len(y), len(m)
    b, less = drive(packed, y, u)
    kept = np.empty(n), np.empty((n, dy)), np.empty((n, dy, dy))
    means = np.empty((n + 1, dx)), np.empty((n + 1, dx, dx)), np.empty((n, dx)), np.empty((n, dx, dx))
    tail = weights[-n:], released[-n:]
    _, t, wrong = forward_robust(packed.layout, packed.values, plan, 0, b, less, m, P, *kept, *means, *tail)
    if wrong:
        raise unsound(len(weights) - n + t, wrong, m, P)
    after = State(m, P, np.zeros((dx, dx)), 0)
    done = FilterResult(float(kept[0].sum()), kept[0], *means, kept[1], kept[2], 0, after)
    return RobustResult(done if first is None else _joined(first, done), weights, released)


def _from_row(ssm: LinearGaussianSSM, k: int) -> LinearGaussianSSM:
    """The model of the rows from k on."""
    fields: dict[str, Any] = {
        name: TimeVarying(x.values[k:]) for name, x in ssm._asdict().items() if isinstance(x, TimeVarying)
    }
    return ssm._replace(**fields)


def _joined(first: FilterResult, rest: FilterResult) -> FilterResult:
    """Two filter results as one; the state between them is kept once."""
    fields: dict[str, Any] = {}
    for name in ("loglik_t", "filtered_mean", "filtered_cov", "innovations", "innovation_cov"):
        fields[name] = np.concatenate([getattr(first, name), getattr(rest, name)])
    for name in ("predicted_mean", "predicted_cov"):
        fields[name] = np.concatenate([getattr(first, name), getattr(rest, name)[1:]])
    return rest._replace(loglik=first.loglik + rest.loglik, n_diffuse=first.n_diffuse, **fields)
