"""Convolutions and correlations against their sums."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ssmts.core.linalg.convolution import convolve, correlate, fast_size


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 90), st.integers(0, 1000))
def test_convolution_is_the_product_of_series(n_u, n_kernel, n, seed):
    rng = np.random.default_rng(seed)
    u, kernel = rng.normal(size=(3, 2, n_u)), rng.normal(size=(2, n_kernel))
    want = np.zeros((3, 2, n_u + n_kernel + n))
    for i in range(n_u):
        want[..., i : i + n_kernel] += u[..., i : i + 1] * kernel
    np.testing.assert_allclose(convolve(u, kernel, n), want[..., :n], atol=1e-12)
    found = convolve(torch.from_numpy(u), torch.from_numpy(kernel), n)
    np.testing.assert_allclose(found, want[..., :n], atol=1e-12)
    assert convolve(u, kernel).shape == u.shape


@given(st.integers(1, 20), st.integers(1, 20), st.integers(1, 50), st.integers(0, 50), st.integers(0, 1000))
def test_first_terms_are_left_out(n_u, n_kernel, n, first, seed):
    rng = np.random.default_rng(seed)
    u, kernel, first = rng.normal(size=(3, 2, n_u)), rng.normal(size=(2, n_kernel)), min(first, n - 1)
    want = convolve(u, kernel, n)[..., first:]
    np.testing.assert_allclose(convolve(u, kernel, n, first=first), want, atol=1e-12)
    found = convolve(torch.from_numpy(u), torch.from_numpy(kernel), n, first=first)
    np.testing.assert_allclose(found, want, atol=1e-12)


def test_signals_taken_in_parts_are_those_taken_at_once():
    u, kernel = torch.randn(70, 3, 2000, dtype=torch.float64), torch.randn(2, 1, 3, 2000, dtype=torch.float64)
    found = convolve(u, kernel)
    assert found.shape == (2, 70, 3, 2000)
    want = [
        [convolve(u[b, h].numpy(), kernel[j, 0, h].numpy()) for h in range(3)] for j in range(2) for b in (0, 33, 69)
    ]
    np.testing.assert_allclose(found[:, [0, 33, 69]].flatten(0, 1), want, atol=1e-10)


@given(st.integers(1, 30), st.integers(0, 1000))
def test_correlation_is_its_sum(d, seed):
    u, v = np.random.default_rng(seed).normal(size=(2, d))
    want = [u[k:] @ v[: d - k] for k in range(d)]
    np.testing.assert_allclose(correlate(u, v), want, atol=1e-13)
    np.testing.assert_allclose(correlate(torch.from_numpy(u), torch.from_numpy(v)), want, atol=1e-13)


def test_single_precision_stays_single_and_half_becomes_single():
    u = torch.randn(2, 33)
    assert convolve(u, u).dtype == torch.float32
    torch.testing.assert_close(convolve(u.half(), u.half()), convolve(u, u), atol=0.02, rtol=0.02)
    assert convolve(np.ones(4, np.float32), np.ones(2, np.float32)).dtype == np.float32
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(convolve(u @ torch.eye(33), u), convolve(u, u), atol=0.1, rtol=0.1)


def test_gradients_of_convolutions_are_exact():
    u, kernel = (torch.randn(2, n, dtype=torch.float64, requires_grad=True) for n in (7, 4))
    assert torch.autograd.gradcheck(lambda u, k: convolve(u, k, 12), (u, kernel))
    assert torch.autograd.gradcheck(lambda u, k: convolve(u, k, 9, first=3), (u, kernel))
    two = torch.randn(3, 1, 2, 4, dtype=torch.float64, requires_grad=True)  # kernels that share signals
    signals = torch.randn(5, 2, 7, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(convolve, (signals, two))


@pytest.mark.parametrize("n", [1, 2, 63, 64, 100, 673, 1055, 4097])
def test_fast_sizes_have_small_factors(n):
    size = rest = fast_size(n)
    for p in (2, 3, 5):
        while rest % p == 0:
            rest //= p
    assert rest == 1
    assert n <= size <= 1.3 * n + 4
