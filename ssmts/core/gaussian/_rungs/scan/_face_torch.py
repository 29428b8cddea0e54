"""The scan for tensors: what `ssmts.core.gaussian.torch` hands out."""

from typing import Any, NamedTuple

import torch

from ssmts.core.gaussian._forward import check_inputs
from ssmts.core.gaussian._rungs.scan import _torch as scan
from ssmts.core.gaussian._rungs.scan._elements_torch import Tensor, root
from ssmts.core.types import FilterResult, LinearGaussianSSM, SmoothResult, State, TimeVarying
from ssmts.exceptions import InputError


class SpanLoglik(NamedTuple):
    """The log-density of a span of rows as a function of the state x before it: constant + linear'x - x' precision x / 2.

    Attributes
    ----------
    constant : (n_series,)
    linear : (n_series, n_states)
    precision : (n_series, n_states, n_states)
    """

    constant: Tensor
    linear: Tensor
    precision: Tensor


def loglik(ssm: LinearGaussianSSM, y: Tensor, inputs: Tensor | None = None, *, form: str | None = None) -> Tensor:
    """Log-likelihoods, in Durbin and Koopman's convention where the start is diffuse.

    Parameters
    ----------
    ssm : LinearGaussianSSM of tensors
        The module docstring of `ssmts.core.gaussian.torch` says which axes.
    y : (n_times, n_obs) or (n_series, n_times, n_obs)
        NaN are missing.
    inputs : (n_times, n_inputs) or (n_series, n_times, n_inputs), optional
        Needed exactly if the model has ``input_matrix`` or ``feedthrough``.
    form : {"covariance", "square_root"}, optional
        None takes the square roots in float32, where covariances lose too many digits, and covariances in float64.

    Returns
    -------
    Tensor (n_series,)

    Raises
    ------
    InputError
        If dtypes or shapes do not fit, the form is unknown, an observation sees the state before it without any noise, or
        the series leaves part of a diffuse start undetermined.

    References
    ----------
    Särkkä and García-Fernández (2021), IEEE Transactions on Automatic Control 66; Yaghoobi et al. (2025), SIAM Journal on
    Scientific Computing 47, for the square roots; de Jong (1991), Annals of Statistics 19, for the diffuse start.

    Examples
    --------
    >>> import torch
    >>> one = torch.ones(1, 1, dtype=torch.float64)
    >>> level = LinearGaussianSSM(one, one, one, one, 0 * one[0], one)
    >>> loglik(level, torch.zeros(2, 3, 1, dtype=torch.float64))            # two series of three rows
    tensor([-4.0393, -4.0393], dtype=torch.float64)
    """
    return scan.loglik(tensors(ssm, y, inputs, form))


def filter(ssm: LinearGaussianSSM, y: Tensor, inputs: Tensor | None = None, *, form: str | None = None) -> FilterResult:
    """Filter all rows at once.

    Parameters
    ----------
    ssm, y, inputs, form
        As in `loglik`.

    Returns
    -------
    FilterResult of tensors
        Covariances of rows that do not determine a diffuse start yet are infinite in all entries and their means have no
        meaning; ``loglik_t`` has what these rows say together in the last of them.

    Raises
    ------
    InputError
        As in `loglik`.

    Examples
    --------
    >>> import torch
    >>> one = torch.ones(1, 1, dtype=torch.float64)
    >>> level = LinearGaussianSSM(one, one, one, one, 0 * one[0], 0 * one, initial_diffuse_cov=one)
    >>> filter(level, torch.tensor([[1.0], [float("nan")], [4.0]], dtype=torch.float64)).state.mean
    tensor([[3.2500]], dtype=torch.float64)
    """
    t = tensors(ssm, y, inputs, form)
    fields: dict[str, Any] = scan.filtered(t)
    settled = fields.pop("settled")
    before = torch.cat([torch.full_like(settled[:, :1], not t.A.shape[-1]), settled], dim=1)
    for name, known in (("predicted_cov", before), ("filtered_cov", settled), ("innovation_cov", before[:, :-1])):
        fields[name] = torch.where(known[..., None, None], fields[name], torch.inf)
    m, P = fields["predicted_mean"][:, -1], fields["predicted_cov"][:, -1]
    rank: Any = torch.full((len(m),), t.A.shape[-1])
    return FilterResult(**fields, n_diffuse=rank, state=State(m, P, torch.zeros_like(P), 0))  # type: ignore[arg-type]


def smooth(ssm: LinearGaussianSSM, y: Tensor, inputs: Tensor | None = None, *, form: str | None = None) -> SmoothResult:
    """Smooth states and disturbances.

    Parameters
    ----------
    ssm, y, inputs, form
        As in `loglik`.

    Returns
    -------
    SmoothResult of tensors
        Of a model with ``process_loading``, the process disturbances are those before it is applied.

    Raises
    ------
    InputError
        As in `loglik`.

    References
    ----------
    The backward recursion of de Jong (1989), Journal of the American Statistical Association 84, as a scan: unlike that
    of Rauch, Tung and Striebel it inverts no covariance of states.

    Examples
    --------
    >>> import torch
    >>> one = torch.ones(1, 1, dtype=torch.float64)
    >>> level = LinearGaussianSSM(one, one, one, one, 0 * one[0], 0 * one, initial_diffuse_cov=one)
    >>> smooth(level, torch.tensor([[1.0], [float("nan")], [4.0]], dtype=torch.float64)).smoothed_mean.ravel()
    tensor([1.7500, 2.5000, 3.2500], dtype=torch.float64)
    """
    t = tensors(ssm, y, inputs, form)
    done = scan.smoothed(t, t.y)
    Q = lift(ssm.process_cov, 2)
    QG = Q if ssm.process_loading is None else Q @ lift(ssm.process_loading, 2).mT
    noise, shock = t.R @ done.u, QG @ done.r
    noise_cov, shock_cov = t.R @ done.E @ t.R, QG @ done.N @ QG.mT
    series = (len(t.y), *t.y.shape[1:2])
    parts: list[Any] = [done.mean[..., 0], done.cov, noise[..., 0], t.R - noise_cov, shock[..., 0], Q - shock_cov]
    parts += [_standardised(noise, noise_cov, t.R), _standardised(shock, shock_cov, Q)]
    return SmoothResult(*(x.expand(*series, *x.shape[2:]) for x in parts))


def _standardised(values: Tensor, cov: Tensor, prior: Tensor) -> Tensor:
    variance, most = torch.diagonal(cov, dim1=-2, dim2=-1), torch.diagonal(prior, dim1=-2, dim2=-1)
    known = variance > (1e-14 if cov.dtype == torch.float64 else 1e-6) * most
    return torch.where(known, values[..., 0] / torch.where(known, variance, 1.0).sqrt(), torch.nan)


def sample(
    ssm: LinearGaussianSSM,
    y: Tensor,
    n_draws: int = 1,
    generator: torch.Generator | None = None,
    inputs: Tensor | None = None,
    *,
    form: str | None = None,
) -> Tensor:
    """Draw paths of the states given each series.

    Parameters
    ----------
    ssm, y, inputs, form
        As in `loglik`.
    n_draws : int, default 1
    generator : torch.Generator, optional
        On the device of ``y``; None is torch's own.

    Returns
    -------
    Tensor (n_series, n_draws, n_times, n_states)

    Raises
    ------
    InputError
        As in `loglik`, or if ``n_draws`` is no positive integer.

    References
    ----------
    Durbin and Koopman (2002), Biometrika 89: all draws are columns of one smoother.

    Examples
    --------
    >>> import torch
    >>> one = torch.ones(1, 1, dtype=torch.float64)
    >>> walk = LinearGaussianSSM(one, one, one, 1e-6 * one, 0 * one[0], 0 * one, initial_diffuse_cov=one)
    >>> sample(walk, torch.tensor([[1.0], [4.0]], dtype=torch.float64), 2).round(decimals=1)[0, :, :, 0]
    tensor([[1., 4.],
            [1., 4.]], dtype=torch.float64)
    """
    if isinstance(n_draws, bool) or not isinstance(n_draws, int) or n_draws < 1:
        raise InputError(f"n_draws is {n_draws!r}: pass a positive integer")
    t = tensors(ssm, y, inputs, form)
    series, n, dy, _ = t.y.shape
    dx = t.F.shape[-1]
    z = torch.randn(series, n, dx + dy, n_draws, dtype=t.y.dtype, device=t.y.device, generator=generator)
    return scan.paths(t, z[:, :, :dx], z[:, :, dx:]).permute(0, 3, 1, 2)


def span_loglik(
    ssm: LinearGaussianSSM, y: Tensor, first: int, stop: int, inputs: Tensor | None = None, *, form: str | None = None
) -> SpanLoglik:
    """The log-density of rows ``first`` to ``stop - 1`` given any state at row ``first - 1``.

    It is the normaliser of the product of the elements of these rows, found without an inverse of a covariance; what a
    change of the state at ``first - 1`` would do to the likelihood of a span is read off it. It loses digits with the
    square of the level of the data.

    Parameters
    ----------
    ssm, y, inputs, form
        As in `loglik`.
    first, stop : int
        ``0 < first < stop <= n_times``.

    Returns
    -------
    SpanLoglik

    Raises
    ------
    InputError
        As in `loglik`, or if the span is not one.

    Examples
    --------
    >>> import torch
    >>> one = torch.ones(1, 1, dtype=torch.float64)
    >>> level = LinearGaussianSSM(one, one, one, one, 0 * one[0], one)
    >>> span_loglik(level, torch.zeros(3, 1, dtype=torch.float64), 1, 2).precision       # of y[1] given x[0]: 1 / (1 + 1)
    tensor([[[0.5000]]], dtype=torch.float64)
    """
    t = tensors(ssm, y, inputs, form)
    if not 0 < first < stop <= t.y.shape[1]:
        raise InputError(f"the span is {first} to {stop}: pass 0 < first < stop <= {t.y.shape[1]}")
    return SpanLoglik(*scan.span(t, first, stop))


def lift(field: Any, axes: int) -> Tensor:
    """A field with axes of series and of time before its own, of length 1 where it has none."""
    timed = isinstance(field, TimeVarying)
    values: Tensor = field.values if timed else field  # type: ignore[assignment]
    extra = values.ndim - axes - timed
    if extra not in (0, 1):
        raise InputError(
            f"a field has the shape {tuple(values.shape)}: pass {axes} axes, after those of time and series"
        )
    if not timed:
        values = values.unsqueeze(-axes - 1)
    return values if extra else values[None]


def tensors(ssm: LinearGaussianSSM, y: Tensor, inputs: Tensor | None, form: str | None) -> scan.Tensors:
    """Check a call and bring it into the form that the scans take."""
    fields = [x.values if isinstance(x, TimeVarying) else x for x in ssm if x is not None]
    kinds = {(x.dtype, x.device) if isinstance(x, torch.Tensor) else type(x).__name__ for x in (*fields, y)}
    if kinds - {(torch.float32, y.device), (torch.float64, y.device)} or len(kinds) > 1:
        raise InputError(f"the model and y are of the kinds {kinds}: pass tensors of one float dtype on one device")
    if form is not None and form not in scan.FORMS:
        raise InputError(f"form is {form!r}: choose one of {scan.FORMS}")
    F, V, H, R = (lift(x, 2) for x in (ssm.transition, ssm.process_cov, ssm.observation, ssm.obs_cov))
    if y.ndim not in (2, 3) or y.shape[-1] != H.shape[-2] or not y.numel():
        raise InputError(
            f"y has the shape {tuple(y.shape)}: the model wants (n_times, {H.shape[-2]}) or with n_series before, not empty"
        )
    if torch.isinf(y).any():
        raise InputError("y is infinite somewhere: missing values are NaN")
    check_inputs(ssm, inputs)
    u = None if inputs is None else (inputs if inputs.ndim == 3 else inputs[None])[..., None]
    n = y.shape[-2]
    y = (y if y.ndim == 3 else y[None])[..., None]
    if ssm.process_loading is not None:
        G = lift(ssm.process_loading, 2)
        V = G[:, :n] @ V[:, :n] @ G[:, :n].mT
    y, b = y - _offset(ssm.obs_offset, ssm.feedthrough, u, y, n), _offset(ssm.state_offset, ssm.input_matrix, u, y, n)
    m, P = lift(ssm.initial_mean, 1)[:, 0, :, None], lift(ssm.initial_cov, 2)[:, 0]
    b = b if isinstance(b, torch.Tensor) else torch.zeros_like(m)[:, None]
    timed = dict(zip(("F", "b", "V", "H", "R"), (F, b, V, H, R)))
    series = [len(x) for x in (*timed.values(), m, P) if len(x) > 1]
    if series and len(y) == 1:
        y = y.expand(series[0], *y.shape[1:])
    for name, x in timed.items():
        if (x.shape[1] not in (1,) and x.shape[1] < n) or len(x) not in (1, len(y)):
            raise InputError(
                f"{name} is there for {tuple(x.shape[:2])} series and rows, but y has {tuple(y.shape[:2])}"
            )
        timed[name] = x[:, :n].expand(-1, n, -1, -1)
    A = _factor(ssm.initial_diffuse_cov, P)
    chosen = form or ("covariance" if y.dtype == torch.float64 else "square_root")
    return scan.Tensors(timed["F"], timed["b"], timed["V"], timed["H"], timed["R"], m, P, A, y, chosen)


def _offset(offset: Any, matrix: Any, u: Tensor | None, y: Tensor, n: int) -> Any:
    out: Any = 0.0
    if offset is not None:
        out = lift(offset, 1)[:, :n, :, None]
    if matrix is not None and u is not None:
        out = out + lift(matrix, 2)[:, :n] @ u
    return out


def _factor(diffuse_cov: Any, like: Tensor) -> Tensor:
    if diffuse_cov is None:
        return like.new_zeros(1, like.shape[-1], 0)
    factor = root(diffuse_cov)
    return factor[None, :, factor.detach().abs().amax(dim=0) > 0]
