"""Kernels of companion systems against powers of their matrices, in double precision and beyond."""

import mpmath
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ssmts.core.linalg import companion
from ssmts.core.linalg.operators import Companion

CLOSE = {0.999: 1e-12, 1 - 1e-6: 1e-8, 1.0: 1e-8}


def draw(seed, d, kind="normal", bound=0.999):
    """a, b, c, k with ``sum |a|`` at the bound."""
    a, b, c, k = np.random.default_rng(seed).normal(size=(4, d))
    if kind == "positive":
        a = abs(a)
    elif kind == "alternating":
        a = abs(a) * (-1.0) ** np.arange(d)
    elif kind == "season":
        a = np.eye(d)[0]
    return a * bound / abs(a).sum(), b, c, k / abs(k).sum()


def matrix(a, b=None, k=None):
    d = len(a)
    A = np.eye(d, k=-1)
    A[:, -1] += a
    return A if b is None else A + np.outer(b, k)


def powers(A, x, c, n):
    """``c' A^m x`` for m < n, one product after the other."""
    out = np.empty(n)
    for m in range(n):
        out[m] = c @ x
        x = A @ x
    return out


def error(found, want):
    return np.abs(np.asarray(found) - want).max() / np.abs(want).max()


@pytest.mark.parametrize("bound", CLOSE)
@pytest.mark.parametrize("kind", ["normal", "positive", "alternating", "season"])
@pytest.mark.parametrize("d, n", [(1, 7), (2, 1), (5, 3), (16, 300), (64, 1056), (256, 4096)])
def test_kernels_are_those_of_brute_force(d, n, kind, bound):
    a, b, c, _ = draw(d, d, kind, bound)
    found = companion.companion_kernel(a, b, c, n)
    assert error(found, powers(matrix(a), b, c, n)) < CLOSE[bound]
    assert error(companion.companion_kernel(*map(torch.from_numpy, (a, b, c)), n), found) < 1e-13


@pytest.mark.parametrize("bound", CLOSE)
def test_reciprocals_in_forty_digits(bound):
    for kind in ("normal", "positive", "season"):
        a = draw(3, 24, kind, bound)[0]
        with mpmath.workdps(40):
            terms = [mpmath.mpf(1)]
            for m in range(1, 500):
                terms.append(sum(mpmath.mpf(float(a[i])) * terms[m - 1 - i] for i in range(min(24, m))))
            want = np.array([float(term) for term in terms])
        assert error(companion.reciprocal(a, 500), want) < 1e-14


@pytest.mark.parametrize("d, n", [(1, 5), (2, 9), (7, 30), (64, 720), (200, 500)])
def test_closed_loops_are_those_of_brute_force(d, n):
    a, b, c, k = draw(d, d)
    x = np.random.default_rng(1).normal(size=d)
    k = k / abs(b).max()
    loop = matrix(a, b, k)
    assert error(companion.roll_out(a, b, k, c, x, n), powers(loop, x, c, n)) < 1e-11
    assert error(companion.closed_loop_kernel(a, b, k, c, n), powers(loop, b, c, n)) < 1e-11
    tensors = [torch.from_numpy(v) for v in (a, b, k, c, x)]
    assert error(companion.roll_out(*tensors, n), companion.roll_out(a, b, k, c, x, n)) < 1e-11
    if d <= 9:  # beyond, eigenvalues lose the digits of the polynomial
        coefficients = companion.closed_loop_coefficients(a, b, k)
        np.testing.assert_allclose(np.poly(loop)[1:], -coefficients, atol=1e-9)


@given(st.integers(0, 10_000), st.integers(1, 12), st.integers(1, 40))
@settings(max_examples=60)
def test_the_last_state_is_that_of_the_recursion(seed, d, n):
    rng = np.random.default_rng(seed)
    a, b, _, _ = draw(seed, d)
    u = rng.normal(size=(3, n))
    x = np.zeros((3, d))
    for t in range(n):
        x = x @ matrix(a).T + b * u[:, t, None]
    np.testing.assert_allclose(companion.last_state(a, b, u), x, atol=1e-12)
    np.testing.assert_allclose(companion.last_state(*map(torch.from_numpy, (a, b, u))), x, atol=1e-12)


def test_krylov_vectors_by_squaring_are_products():
    a, b, c, _ = draw(0, 9)
    found = companion.krylov(matrix(a), b, 21)
    np.testing.assert_allclose(c @ found, powers(matrix(a), b, c, 21), atol=1e-12)
    both = companion.krylov(torch.from_numpy(np.stack([matrix(a)] * 2)), torch.from_numpy(np.stack([b, c])), 21)
    np.testing.assert_allclose(both[0], found, atol=1e-12)


@given(st.integers(0, 10_000), st.integers(1, 30), st.floats(0.05, 1.0))
@settings(max_examples=60)
def test_bounded_coefficients_keep_every_eigenvalue_inside(seed, d, bound):
    raw = np.random.default_rng(seed).normal(size=d) * 10 ** np.random.default_rng(seed).uniform(-3, 3)
    a = companion.bounded(raw, bound)
    assert abs(a).sum() <= bound * (1 + 1e-12)
    if abs(raw).sum() <= bound:
        np.testing.assert_array_equal(a, raw)
    radius = abs(Companion(a).eigenvalues()).max()
    limit = companion.spectral_bound(a)
    assert radius <= limit * (1 + 1e-7) + 1e-12
    assert limit <= bound ** (1 / d) * (1 + 1e-9)
    assert limit <= 1 - (1 - bound) / d + 1e-9
    np.testing.assert_allclose(companion.spectral_bound(torch.from_numpy(a)), limit)


def test_the_spectral_bound_is_reached_by_positive_coefficients():
    a = abs(np.random.default_rng(2).normal(size=(4, 6)))
    radii = [abs(Companion(row).eigenvalues()).max() for row in a]
    np.testing.assert_allclose(companion.spectral_bound(a), radii)
    assert companion.spectral_bound(np.zeros(3)) == 0


@pytest.mark.parametrize("scale", [1.5, 4.0, 10.0, 51.0])
def test_unstable_recursions_grow_as_they_should(scale):
    rng = np.random.default_rng(7)
    a = rng.normal(size=(3, 64))
    a *= scale / abs(a).sum(-1, keepdims=True)
    a[0] /= 2 * scale  # one that is stable beside them
    found = companion.reciprocal(a, 600)
    for row, phi in zip(found, a):
        want = np.zeros(664)
        want[64] = 1
        for m in range(65, 664):
            want[m] = phi @ want[m - 64 : m][::-1]
        np.testing.assert_allclose(row[:300], want[64:364], rtol=1e-8, atol=1e-12 * abs(want[:364]).max())
        assert error(row, want[64:]) < 1e-12
    np.testing.assert_allclose(companion.reciprocal(torch.from_numpy(a), 600), found, rtol=1e-9, atol=1e-13)


def test_gradients_of_unstable_kernels_are_exact():
    a = torch.tensor([0.3, 1.2], dtype=torch.float64, requires_grad=True)
    assert companion.reciprocal(a, 60).max() > 1e3
    assert torch.autograd.gradcheck(lambda a: companion.reciprocal(a, 60), (a,), rtol=1e-5)


def test_gradients_of_kernels_are_exact():
    tensors = [torch.from_numpy(v).requires_grad_() for v in draw(4, 5, bound=0.9)]
    x = torch.randn(2, 5, dtype=torch.float64, requires_grad=True)
    a, b, c, k = tensors
    check = torch.autograd.gradcheck
    assert check(lambda a, b, c: companion.companion_kernel(a, b, c, 40), (a, b, c))
    assert check(lambda a, b, k, c, x: companion.roll_out(a, b, k, c, x, 25), (a, b, k, c, x))
    assert check(lambda a: companion.reciprocal(companion.bounded(3 * a, 0.7), 50), (a,))
    assert check(lambda a, b, x: companion.last_state(a, b, x), (a, b, x))
    with torch.no_grad():
        without = companion.reciprocal(a, 50)
    torch.testing.assert_close(companion.reciprocal(a, 50), without, rtol=1e-13, atol=1e-14)


def test_gradients_agree_with_differences_where_the_sum_is_one():
    a = torch.from_numpy(draw(5, 6, bound=1.0)[0]).requires_grad_()
    weights = torch.randn(80, dtype=torch.float64)
    (companion.reciprocal(a, 80) @ weights).backward()
    for i in range(6):
        step = 1e-6 * np.eye(6)[i]
        both = [companion.reciprocal(a.detach().numpy() + s * step, 80) @ weights.numpy() for s in (1, -1)]
        assert a.grad[i].item() == pytest.approx((both[0] - both[1]) / 2e-6, rel=1e-6, abs=1e-8)
