"""Companion matrices as power series: kernels, closed loops and states in a time of d + n, up to logarithms.

A companion system of order d is a shift plus one column. With S the shift down, ``A = S + a e_d'``, and the polynomial
``D(z) = det(I - z A) = 1 - phi_1 z - ... - phi_d z^d`` has the coefficients of A from the last to the first, ``phi = a[::-1]``. All that
a recursion with A does is a division by D: the terms of 1 / D are found by Newton's iteration (`reciprocal`), and the rest is
short products. No power of A is formed, and nothing is singular where an eigenvalue has the modulus 1.

Every function takes NumPy arrays or torch tensors and answers in kind; leading axes are systems of their own and broadcast.

References
----------
Zhang et al. (2023), Effectively modeling time series with simple discrete state spaces, ICLR, for the systems;
Brent and Kung (1978), Fast algorithms for manipulating formal power series, J. ACM 25, for the division.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .convolution import convolve, correlate, namespace

_BY_RECURSION = 16  # terms of a reciprocal before the first doubling
_GROWTH = 1e3  # Newton's errors grow with the square of the terms: where these are larger, one follows the other


def bounded(raw: Any, bound: float = 1.0) -> Any:
    """Coefficients whose absolute values sum to no more than a bound, so that every eigenvalue has at most the modulus 1.

    Parameters
    ----------
    raw : ndarray or Tensor, shape (..., d)
        Any numbers; those within the bound stay as they are.
    bound : float, default 1.0
        See `spectral_bound` for what less than 1 gives.

    Notes
    -----
    By Montel's theorem the roots of ``z^d - phi_1 z^(d-1) - ... - phi_d`` lie in the unit disc where ``sum |phi_i| <= 1``.

    Examples
    --------
    >>> import numpy as np
    >>> bounded(np.array([1.0, -3.0])), bounded(np.array([0.2, 0.3]))
    (array([ 0.25, -0.75]), array([0.2, 0.3]))
    """
    xp = namespace(raw)
    total = xp.abs(raw).sum(-1)[..., None]
    return raw * (bound / xp.where(total > bound, total, xp.full_like(total, bound)))


def spectral_bound(coefficients: Any) -> Any:
    """A modulus that no eigenvalue of a companion matrix exceeds: Cauchy's bound.

    Parameters
    ----------
    coefficients : ndarray or Tensor, shape (..., d)

    Returns
    -------
    ndarray or Tensor, shape (...)
        The positive root of ``r^d = |phi_1| r^(d-1) + ... + |phi_d|``, to rounding from above; 0 of zeros. With ``sum |phi_i| = s < 1``
        it is between s and ``s^(1/d)``: the margin to 1 is at least ``(1 - s) / d``.

    Examples
    --------
    >>> import numpy as np
    >>> float(spectral_bound(np.array([0.5, 0.5]))), float(spectral_bound(np.array([0.0, 0.25])))
    (1.0, 0.5)
    """
    xp = namespace(coefficients)
    sizes = xp.abs(coefficients)
    powers = _counted(sizes)
    high = 2 * xp.amax(sizes ** (1 / powers), -1)  # Fujiwara's bound
    low = xp.zeros_like(high)
    for _ in range(64):  # halving: sum |phi_i| r^-i falls with r
        middle = (low + high) / 2
        safe = xp.where(middle > 0, middle, xp.ones_like(middle))
        beyond = (sizes * (1 / safe)[..., None] ** powers).sum(-1) > 1
        low, high = xp.where(beyond, middle, low), xp.where(beyond, high, middle)
    return high


def reciprocal(coefficients: Any, n: int) -> Any:
    """First n terms of ``1 / (1 - phi_1 z - ... - phi_d z^d)``: the response of an autoregression to an impulse.

    Parameters
    ----------
    coefficients : ndarray or Tensor, shape (..., d)
        phi, the next value's coefficients on the last one, the one before it, and so on.
    n : int

    Returns
    -------
    ndarray or Tensor, shape (..., n)

    Notes
    -----
    Newton's iteration ``g <- g (2 - D g)`` doubles the right terms in each step. Errors are of the size of rounding beside the largest
    term: to 1e-15 for ``sum |phi_i| <= 1``, also where it is 1. Terms of an unstable recursion that grow beyond a thousand are taken one
    after the other, in a time of d n. A gradient passes through one more step of Newton's alone, whose derivative is that of the
    reciprocal, ``-g^2``.

    Examples
    --------
    >>> import numpy as np
    >>> reciprocal(np.array([0.5, 0.0]), 4).round(12)
    array([1.   , 0.5  , 0.25 , 0.125])
    """
    xp = namespace(coefficients)
    one = xp.ones_like(coefficients[..., :1])
    D = xp.concatenate([one, -coefficients], -1)
    fixed = D if xp is np else D.detach()
    g = _by_recursion(fixed, min(n, _BY_RECURSION))
    while (m := g.shape[-1]) < n and bool((abs(g) <= _GROWTH).all()):
        more = min(2 * m, n)
        error = convolve(fixed, g, more)[..., m:]
        g = xp.concatenate([g, -convolve(g, error, more - m)], -1)
    if g.shape[-1] < n or not bool((abs(g) <= _GROWTH).all()):
        g = _by_recursion(fixed, n)
    if xp is np or not coefficients.requires_grad:
        return g
    return g - convolve(g, convolve(g, D - fixed, n), n)


def companion_kernel(a: Any, b: Any, c: Any, n: int) -> Any:
    """The kernel ``c' A^k b``, k < n, of ``A = S + a e_d'``.

    Parameters
    ----------
    a, b, c : ndarray or Tensor, shape (..., d)
        Last column of A, input and output vectors.
    n : int

    Returns
    -------
    ndarray or Tensor, shape (..., n)

    Notes
    -----
    With ``q(u, v)`` the series of `correlate`, which is ``sum_k z^k u' S^k v``, the resolvent of a shift plus rank one gives
    ``sum_k z^k c' A^k b = q(c, b) + z q(c, a) q(e_d, b) / D``, where ``q(e_d, b)`` is b reversed.

    Examples
    --------
    >>> import numpy as np
    >>> first = np.array([1.0, 0.0])
    >>> companion_kernel(np.array([0.0, 0.5]), first, np.array([0.0, 1.0]), 4).round(12)
    array([0.  , 1.  , 0.5 , 0.25])
    """
    xp = namespace(a)
    last = convolve(reciprocal(xp.flip(a, (-1,)), n), xp.flip(b, (-1,)))  # e_d' A^k b
    return _plus(correlate(c, b), _delayed(convolve(last, correlate(c, a))), n)


def closed_loop_kernel(a: Any, b: Any, k: Any, c: Any, n: int) -> Any:
    """The kernel ``c' (A + b k')^m b``, m < n: what an input does to a system that predicts its own next one as ``k' x``.

    Parameters
    ----------
    a, b, k, c : ndarray or Tensor, shape (..., d)
        Last column of A, input, input-predicting and output vectors.
    n : int

    Returns
    -------
    ndarray or Tensor, shape (..., n)
    """
    return roll_out(a, b, k, c, b, n)


def roll_out(a: Any, b: Any, k: Any, c: Any, x: Any, n: int) -> Any:
    """Outputs ``c' (A + b k')^m x``, m < n, of a closed loop that starts from a state.

    Parameters
    ----------
    a, b, k, c : ndarray or Tensor, shape (..., d)
        As in `closed_loop_kernel`.
    x : ndarray or Tensor, shape (..., d)
        State after the last input.
    n : int

    Returns
    -------
    ndarray or Tensor, shape (..., n)
        Their first entry is ``c' x``.

    Notes
    -----
    A shift plus rank two, ``S + a e_d' + b k'``: the last entries and the predicted inputs of the states solve a 2 x 2 system of series,
    whose determinant is the polynomial of the closed loop, of degree d.
    """
    d = a.shape[-1]
    loop, (ea, eb, ka, kb) = _closed_polynomial(a, b, k)
    g = reciprocal(-loop[..., 1:], n)
    ex, kx = correlate(_last_unit(a), x), correlate(k, x)
    # (I - z M)^-1 (ex, kx) by Cramer's rule; numerators are polynomials of degree d - 1, what is beyond is rounding
    last = ex + _delayed(convolve(eb, kx, d) - convolve(kb, ex, d), d)
    inputs = kx + _delayed(convolve(ka, ex, d) - convolve(ea, kx, d), d)
    last, inputs = convolve(g, last), convolve(g, inputs)
    return _plus(correlate(c, x), _delayed(convolve(last, correlate(c, a)) + convolve(inputs, correlate(c, b))), n)


def closed_loop_coefficients(a: Any, b: Any, k: Any) -> Any:
    """Coefficients phi of the characteristic polynomial of ``A + b k'``, as `reciprocal` and `spectral_bound` take them.

    Parameters
    ----------
    a, b, k : ndarray or Tensor, shape (..., d)
    """
    return -_closed_polynomial(a, b, k)[0][..., 1:]


def last_state(a: Any, b: Any, u: Any) -> Any:
    """The state after a window of inputs, ``sum_i A^(n-1-i) b u_i``, without those on the way.

    Parameters
    ----------
    a, b : ndarray or Tensor, shape (..., d)
    u : ndarray or Tensor, shape (..., n)

    Returns
    -------
    ndarray or Tensor, shape (..., d)

    Notes
    -----
    ``x[i] = sum_k b[i-k] u[n-1-k] + a[i-k] s[n-1-k]``, where ``s_t`` is the last entry of the state before the input at t.
    """
    xp, d, n = namespace(u), a.shape[-1], u.shape[-1]
    kernel = convolve(reciprocal(xp.flip(a, (-1,)), n), xp.flip(b, (-1,)))
    s = _delayed(convolve(u, kernel), n)
    return convolve(b, xp.flip(u[..., -d:], (-1,)), d) + convolve(a, xp.flip(s[..., -d:], (-1,)), d)


def krylov(A: Any, b: Any, n: int) -> Any:
    """The vectors ``b, A b, ..., A^(n-1) b`` by repeated squaring: the slow twin of the kernels, for any matrix.

    Parameters
    ----------
    A : ndarray or Tensor, shape (..., d, d)
    b : ndarray or Tensor, shape (..., d)
    n : int

    Returns
    -------
    ndarray or Tensor, shape (..., d, n)
        In a time of ``d^3 log n + d^2 n``.
    """
    xp = namespace(A)
    found, power = b[..., None], A
    while found.shape[-1] < n:
        found = xp.concatenate([found, power @ found], -1)
        power = power @ power if found.shape[-1] < n else power
    return found[..., :n]


# parts --------------------------------------------------------------------------------------------------------------


def _closed_polynomial(a: Any, b: Any, k: Any) -> tuple[Any, tuple[Any, Any, Any, Any]]:
    """``det(I - z (A + b k'))``, d + 1 terms, and the series q of the rank-two part."""
    xp, d = namespace(a), a.shape[-1]
    e = _last_unit(a)
    ea, eb, ka, kb = correlate(e, a), correlate(e, b), correlate(k, a), correlate(k, b)
    square = convolve(ea, kb, d) - convolve(eb, ka, d)  # of z^2; beyond degree d it is rounding
    linear = _delayed(square, d) - ea - kb
    return xp.concatenate([xp.ones_like(linear[..., :1]), linear], -1), (ea, eb, ka, kb)


def _last_unit(a: Any) -> Any:
    xp = namespace(a)
    return xp.concatenate([xp.zeros_like(a[..., 1:]), xp.ones_like(a[..., :1])], -1)


def _by_recursion(D: Any, n: int) -> Any:
    """First n terms of 1 / D, one after the other."""
    xp, d = namespace(D), D.shape[-1] - 1
    phi = -xp.flip(D[..., 1:], (-1,))
    g = xp.zeros((*D.shape[:-1], d + n), dtype=D.dtype, **({} if xp is np else {"device": D.device}))
    g[..., d] = 1
    for m in range(1, n):
        g[..., d + m] = (phi * g[..., m : d + m]).sum(-1)
    return g[..., d:]


def _delayed(x: Any, n: int | None = None) -> Any:
    """The series times z, cut to n terms; as many as it has plus one unless given."""
    xp = namespace(x)
    y = xp.concatenate([xp.zeros_like(x[..., :1]), x], -1)
    return y if n is None else y[..., :n]


def _plus(short: Any, long: Any, n: int) -> Any:
    """First n terms of the sum of two series of any lengths, the second of which has n at least."""
    xp = namespace(long)
    m = min(short.shape[-1], n)
    return xp.concatenate([short[..., :m] + long[..., :m], long[..., m:n]], -1)


def _counted(x: Any) -> Any:
    """1, 2, ..., of the shape and type of x."""
    return namespace(x).cumsum(namespace(x).ones_like(x), -1)
