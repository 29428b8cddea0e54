"""Every layer says the same in its three faces, and what its recurrence says when it is written out."""

import numpy as np
import pytest
import torch

from ssmts.core.linalg.companion import roll_out
from ssmts.deep.layers import (
    ClosedLoopCompanion,
    Companion,
    Differences,
    MovingAverageResiduals,
    Preprocess,
    Shift,
)
from ssmts.exceptions import InputError

H, D = 6, 5
LAYERS = {
    "companion": lambda: Companion(H, D),
    "closed_loop": lambda: ClosedLoopCompanion(H, D),
    "companion, shared": lambda: Companion(H, D, n_kernels=2, skip=False, init="normal"),
    "companion of order 1": lambda: Companion(H, 1, 1.0),
    "closed_loop, shared": lambda: ClosedLoopCompanion(H, D, n_kernels=3, init="normal"),
    "shift": lambda: Shift(H, D),
    "differences": lambda: Differences(H),
    "residuals": lambda: MovingAverageResiduals([4, 5, 6, 7, 11, 30]),
    "preprocess": lambda: Preprocess(H, 20, seed=3),
}
TOLERANCE = {torch.float64: 1e-10, torch.float32: 1e-5}


def trained(make, dtype=torch.float64, seed=0):
    """A layer whose coefficients are somewhere."""
    torch.manual_seed(seed)
    layer = make()
    with torch.no_grad():
        for p in layer.parameters():
            p.add_(torch.randn_like(p))
    return layer.to(dtype)


@pytest.fixture(params=LAYERS)
def make(request):
    return LAYERS[request.param]


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("length", [1, 3, 40, 1300])
def test_three_faces_agree(make, dtype, length):
    layer = trained(make, dtype)
    u = torch.randn(2, H, length, dtype=dtype)
    whole = layer.convolve(u)
    close = {"atol": TOLERANCE[dtype] * whole.abs().max().item(), "rtol": 0}
    for cut in {0, 1, length // 3, length}:
        state, parts = layer.zero_state(2), []
        for part in (u[..., :cut], u[..., cut:]):
            if part.shape[-1]:
                y, state = layer.scan(part, state)
                parts.append(y)
        torch.testing.assert_close(torch.cat(parts, -1), whole, **close)
        scanned = state
    if length <= 40:
        state, rows = layer.zero_state(2), []
        for t in range(length):
            y, state = layer.step(u[..., t], state)
            rows.append(y)
        torch.testing.assert_close(torch.stack(rows, -1), whole, **close)
        torch.testing.assert_close(state, scanned, **close)


def test_gradients_pass_through_the_convolution(make):
    layer = trained(make)
    u = torch.randn(1, H, 9, dtype=torch.float64, requires_grad=True)
    parameters = list(layer.parameters())

    def run(u, *values):
        return torch.func.functional_call(layer, dict(zip(dict(layer.named_parameters()), values)), (u,), {})

    layer.forward = layer.convolve
    assert torch.autograd.gradcheck(run, (u, *parameters))


def test_companion_is_its_recurrence():
    layer = trained(LAYERS["companion"])
    u = np.random.default_rng(0).normal(size=(H, 30))
    a, c, skip = layer.coefficients.detach().numpy(), layer.output.detach().numpy(), layer.skip.detach().numpy()
    for h in range(H):
        w = np.zeros(30 + D)
        for t in range(30):
            w[D + t] = u[h, t] + a[h] @ w[t : D + t][::-1]
            y = c[h] @ w[t + 1 : D + t + 1][::-1] + skip[h] * u[h, t]
            assert layer.convolve(torch.from_numpy(u)[None])[0, h, t].item() == pytest.approx(y, abs=1e-12)


@pytest.mark.parametrize("length", [2, 5, 30, 900])
@pytest.mark.parametrize("driven", [False, True])
def test_closed_loop_is_a_step_fed_with_its_own_prediction(length, driven):
    layer = trained(LAYERS["closed_loop"])
    horizon = 25
    u = torch.randn(2, H, length, dtype=torch.float64)
    drives = torch.randn(2, H, horizon, dtype=torch.float64) if driven else None
    said, expected, ahead = layer(u, horizon, drives)
    state = layer.zero_state(2)
    k = layer.closed_coefficients - layer.coefficients
    for t in range(length):
        y, state = layer.step(u[..., t], state)
        torch.testing.assert_close(said[..., t], y)
        torch.testing.assert_close(expected[..., t], (k * state).sum(-1))
    torch.testing.assert_close(layer.last_state(u), state)
    for m in range(horizon):
        torch.testing.assert_close(ahead[..., m], y)
        own = (k * state).sum(-1) + (drives[..., m] if driven else 0)
        y, state = layer.step(own, state)


def test_closed_loop_is_that_of_the_papers_form():
    """The companion matrix in its last column, with general b, c and k, against the controller form of the same transfer functions."""
    layer = trained(LAYERS["closed_loop"])
    a, closed, c = (v.detach().double().numpy() for v in (layer.coefficients, layer.closed_coefficients, layer.output))
    state = np.random.default_rng(1).normal(size=(H, D))
    found = layer.roll_out(torch.from_numpy(state)[None], 40)[0].detach().numpy()
    for h in range(H):
        first = np.eye(D)[0]
        A = np.eye(D, k=-1) + np.outer(
            first, a[h]
        )  # first-row form; a change of coordinates T brings it to the last column
        T = np.stack([np.linalg.matrix_power(A, i) @ first for i in range(D)], axis=1)
        last = np.linalg.solve(T, np.linalg.matrix_power(A, D) @ first)
        want = roll_out(last, first, T.T @ (closed[h] - a[h]), T.T @ c[h], np.linalg.solve(T, state[h]), 40)
        np.testing.assert_allclose(found[h], want, atol=1e-10)


def test_no_eigenvalue_leaves_the_disc_in_training():
    """Gradient steps that push both loops outwards as hard as they can."""
    layer = ClosedLoopCompanion(4, 8)
    optimiser = torch.optim.SGD(layer.parameters(), lr=0.5)
    for _ in range(30):
        ahead = layer(torch.ones(1, 4, 20), 60)[2]
        optimiser.zero_grad()
        (-ahead.square().sum().log()).backward()
        optimiser.step()
        for coefficients in (layer.coefficients, layer.closed_coefficients):
            rows = coefficients.detach().numpy()
            radius = max(abs(np.roots([1.0, *-row])).max() for row in rows)
            assert radius <= layer.bound ** (1 / 8) + 1e-9 < 1
    assert layer.closed_coefficients.abs().sum(-1).max() > 0.99


def test_differences_and_residuals_are_what_they_say():
    u = torch.randn(1, H, 50, dtype=torch.float64)
    found = Differences(H).double().convolve(u)
    for h in range(H):
        np.testing.assert_allclose(found[0, h, 3:], np.diff(u[0, h].numpy(), n=h % 4)[3 - h % 4 :], atol=1e-6)
    windows = [4, 5, 6, 7, 11, 30]
    found = MovingAverageResiduals(windows).double().convolve(u)
    for h, rows in enumerate(windows):
        mean = np.convolve(u[0, h], np.ones(rows) / rows, "valid")
        np.testing.assert_allclose(found[0, h, rows - 1 :], u[0, h, rows - 1 :].numpy() - mean, atol=1e-6)


def test_preprocessing_draws_the_same_windows_from_the_same_seed():
    kernels = [Preprocess(16, 100, seed=seed).kernels for seed in (0, 0, 1)]
    assert torch.equal(kernels[0], kernels[1])
    assert not torch.equal(kernels[0], kernels[2])
    assert kernels[0].shape[-1] <= 100


def test_outputs_know_no_later_input(make):
    layer = trained(make)
    u = torch.randn(1, H, 30, dtype=torch.float64)
    changed = torch.cat([u[..., :20], u[..., 20:] + 1], -1)
    torch.testing.assert_close(layer.convolve(changed)[..., :20], layer.convolve(u)[..., :20], atol=1e-12, rtol=0)


def test_scans_have_the_gradients_of_convolutions(make):
    layer = trained(make)
    u = torch.randn(2, H, 12, dtype=torch.float64, requires_grad=True)
    weights, wanted = torch.randn(2, H, 12, dtype=torch.float64), [u, *layer.parameters()]
    whole, scanned = layer.convolve(u), layer.scan(u, layer.zero_state(2))[0]
    pair = [torch.autograd.grad((y * weights).sum(), wanted, allow_unused=True) for y in (whole, scanned)]
    for of_whole, of_scan in zip(*pair):
        assert (of_whole is None) == (of_scan is None)
        if of_whole is not None:
            torch.testing.assert_close(of_scan, of_whole, rtol=1e-8, atol=1e-10)


def test_half_precision_under_autocast(make):
    layer = trained(make, torch.float32)
    u = torch.randn(2, H, 20)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = layer.convolve(u.bfloat16())
    want = layer.convolve(u)
    torch.testing.assert_close(y.float(), want, rtol=0, atol=0.03 * want.abs().max().item())


def test_shapes_are_checked_at_the_door(make):
    layer = make()
    with pytest.raises(InputError, match=r"inputs must be \(batch, 6, time\)"):
        layer.convolve(torch.ones(2, H + 1, 5))
    with pytest.raises(InputError, match="no row"):
        layer.convolve(torch.ones(2, H, 0))
    with pytest.raises(InputError, match="the state must be"):
        layer.scan(torch.ones(2, H, 5), layer.zero_state(3))
    with pytest.raises(InputError, match=r"inputs must be \(batch, 6\)"):
        layer.step(torch.ones(2, H, 5), layer.zero_state(2))
