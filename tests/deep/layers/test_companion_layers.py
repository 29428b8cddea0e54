"""Companion layers: their loops against plain loops of steps, their bounds, and what they refuse."""

import numpy as np
import pytest
import torch

from ssmts.core.linalg.operators import Companion as CompanionMatrix
from ssmts.deep.layers import ClosedLoopCompanion, Companion, MovingAverageResiduals, Preprocess, Shift
from ssmts.exceptions import InputError


def expected_of(layer, state):
    """The next input that a state expects, written out."""
    k = (layer.closed_coefficients - layer.coefficients).repeat(layer.channels // layer.n_kernels, 1)
    return (k * state).sum(-1)


@pytest.mark.parametrize("shared", [None, 2])
@pytest.mark.parametrize("d, n, horizon", [(1, 1, 1), (5, 3, 30), (5, 40, 1), (5, 40, 3), (16, 60, 100)])
def test_both_loops_are_those_of_steps(d, n, horizon, shared):
    torch.manual_seed(2)
    layer = ClosedLoopCompanion(4, d, 1.0, n_kernels=shared, init="normal").double()
    u, drives = (torch.randn(3, 4, rows, dtype=torch.float64) for rows in (n, horizon))
    said, expected, ahead = layer(u, horizon, drives)
    state = layer.zero_state(3)
    close = {"atol": 1e-11, "rtol": 0}
    for t in range(n):
        y, state = layer.step(u[..., t], state)
        torch.testing.assert_close(said[..., t], y, **close)
        torch.testing.assert_close(expected[..., t], expected_of(layer, state), **close)
    torch.testing.assert_close(layer.roll_out(state, horizon, drives[..., :-1]), ahead, **close)
    for m in range(horizon):
        torch.testing.assert_close(ahead[..., m], y, **close)
        y, state = layer.step(expected_of(layer, state) + drives[..., m], state)


def test_a_shorter_horizon_is_the_beginning_of_a_longer_one():
    layer = ClosedLoopCompanion(2, 6).double()
    state = torch.randn(2, 2, 6, dtype=torch.float64)
    long = layer.roll_out(state, 300)
    for n in (1, 5, 100):
        torch.testing.assert_close(layer.roll_out(state, n), long[..., :n], atol=1e-12, rtol=0)


def test_gradients_of_both_loops_are_exact():
    torch.manual_seed(4)
    layer = ClosedLoopCompanion(2, 3, 0.9, n_kernels=1, init="normal").double()
    with torch.no_grad():  # off the bound, where the scaling has a kink: beyond it and within
        layer.raw *= 1.5
        layer.raw_closed *= 0.7
    names = [name for name, _ in layer.named_parameters()]
    u, drives = (torch.randn(1, 2, n, dtype=torch.float64, requires_grad=True) for n in (5, 4))

    def both(u, drives, *parameters):
        return torch.func.functional_call(layer, dict(zip(names, parameters)), (u, 5, drives))

    assert torch.autograd.gradcheck(both, (u, drives, *layer.parameters()))


@pytest.mark.parametrize("bound", [0.5, 0.99, 1.0])
@pytest.mark.parametrize("init", ["normal", "zero"])
def test_no_loop_leaves_its_bound_in_training(bound, init):
    torch.manual_seed(5)
    layer = ClosedLoopCompanion(3, 8, bound, init=init)
    optimiser = torch.optim.SGD(layer.parameters(), lr=30.0)
    for _ in range(12):
        u = torch.randn(2, 3, 30)
        said, expected, ahead = layer(u, 20)
        loss = (said[..., :-1] - u[..., 1:]).square().mean() + ahead.square().mean() - expected.abs().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        for a in (layer.coefficients, layer.closed_coefficients):
            assert (a.abs().sum(-1) <= bound * (1 + 1e-9)).all()
            for row in a.detach().numpy():
                assert abs(CompanionMatrix(row).eigenvalues()).max() <= 1 - (1 - bound) / 8 + 1e-7


def test_horizons_far_beyond_stay_bounded():
    torch.manual_seed(6)
    layer = ClosedLoopCompanion(2, 4, 0.99, init="normal")
    ahead = layer(torch.randn(1, 2, 50), 5000)[2]
    assert ahead.isfinite().all()
    assert ahead[..., -10:].abs().max() <= ahead.abs().max()


def test_an_autoregression_goes_on_by_its_coefficients():
    layer = ClosedLoopCompanion(1, 2).double()
    phi = torch.tensor([[0.6, 0.3]], dtype=torch.float64)
    with torch.no_grad():
        layer.raw_closed.copy_(phi)
        layer.output.copy_(phi)
    ahead = layer(torch.tensor([[[1.0, 2.0]]], dtype=torch.float64), 3)[2]
    want = [0.6 * 2 + 0.3 * 1]
    want.append(0.6 * want[0] + 0.3 * 2)
    want.append(0.6 * want[1] + 0.3 * want[0])
    np.testing.assert_allclose(ahead[0, 0].detach(), want)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"channels": 0, "state_size": 2}, "channels must be a whole number"),
        ({"channels": 2, "state_size": 2.5}, "state_size must be"),
        ({"channels": 4, "state_size": 2, "n_kernels": 3}, "must divide the 4 channels"),
        ({"channels": 4, "state_size": 2, "bound": 1.5}, "bound must be"),
        ({"channels": 4, "state_size": 2, "init": "ones"}, "init must be"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    for kind in (Companion, ClosedLoopCompanion):
        with pytest.raises(InputError, match=message):
            kind(**arguments)


def test_bad_fixed_kernels_and_roll_outs_are_refused():
    with pytest.raises(InputError, match="windows is empty"):
        MovingAverageResiduals([])
    with pytest.raises(InputError, match="windows must be"):
        MovingAverageResiduals([4, 0])
    with pytest.raises(InputError, match="channels must be"):
        Preprocess(1, 50)
    with pytest.raises(InputError, match="state_size must be"):
        Shift(2, 0)
    layer = ClosedLoopCompanion(2, 3)
    with pytest.raises(InputError, match="horizon must be"):
        layer(torch.ones(1, 2, 5), 0)
    with pytest.raises(InputError, match="drives of the rows ahead"):
        layer(torch.ones(1, 2, 5), 4, torch.ones(1, 2, 2))
